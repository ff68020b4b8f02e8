"""The typed views: slots, flags, words, and every refusal with the value and the rule, on both sides of each threshold."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("solders")

import drift_bytes
from sleeves.errors import VenueError
from sleeves.venues.drift.accounts import (
    PerpMarket,
    SpotMarket,
    State,
    User,
    UserStats,
    WrongAccount,
    read,
    read_perp_market,
    read_spot_market,
    read_state,
    read_user,
    read_user_stats,
)
from sleeves.venues.drift.deployment import DRIFT_V2, DRIFT_V2_LEGACY, VELOCITY, VELOCITY_CLOB
from sleeves.venues.drift.words import (
    AssetTier,
    ContractTier,
    ExchangePause,
    MarginMode,
    MarketStatus,
    OracleSource,
    OrderKind,
    SpotPause,
    Trigger,
)

SLOT = 77
USERS = [DRIFT_V2, DRIFT_V2_LEGACY, VELOCITY, VELOCITY_CLOB]
BOTH = [DRIFT_V2, VELOCITY]


def named(deployment):
    return deployment.name


def user_of(deployment, record, address=None):
    data = drift_bytes.encoded(deployment, "User", record)
    where = address or deployment.user(record["authority"], record["sub_account_id"])
    return read_user(deployment, where, deployment.program_id, data, SLOT)


def spot_of(deployment, record):
    return read_spot_market(
        deployment, deployment.spot_market(1), deployment.program_id, drift_bytes.encoded(deployment, "SpotMarket", record), SLOT
    )


def perp_of(deployment, record):
    return read_perp_market(
        deployment, deployment.perp_market(0), deployment.program_id, drift_bytes.encoded(deployment, "PerpMarket", record), SLOT
    )


def state_of(deployment, record):
    return read_state(deployment, deployment.state(), deployment.program_id, drift_bytes.encoded(deployment, "State", record), SLOT)


# -- users ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", USERS, ids=named)
def test_slots_0_1_and_7_are_read_and_empty_ones_dropped(deployment):
    record = drift_bytes.user(deployment)
    user = user_of(deployment, record)
    assert (user.authority, user.sub, user.name, user.slot) == (drift_bytes.AUTHORITY, 3, "sleeve alpha", SLOT)
    assert user.address == deployment.user(drift_bytes.AUTHORITY, 3)
    assert [one.market for one in user.perps] == [one.market for one in user.spots] == [20, 21, 27]
    slots = [record["perp_positions"][slot] for slot in (0, 1, 7)]
    assert [(one.base, one.quote, one.entry, one.break_even, one.last_funding) for one in user.perps] == [
        tuple(
            one[name]
            for name in (
                *("base_asset_amount", "quote_asset_amount", "quote_entry_amount", "quote_break_even_amount"),
                "last_cumulative_funding_rate",
            )
        )
        for one in slots
    ]
    assert [one.open_asks < 0 < one.open_bids for one in user.perps] == [True] * 3
    assert [one.id for one in user.orders] == [1_000, 1_001, 1_031]
    assert [one.long for one in user.orders] == [True, False, False]
    assert {one.kind for one in user.orders} == {OrderKind.LIMIT}
    assert [one.base - one.filled for one in user.orders] == [7, 7, 7]
    assert {one.trigger_condition for one in user.orders} == {Trigger.ABOVE}
    assert user.orders[2].oracle_offset == record["orders"][31]["oracle_price_offset"]
    assert user_of(deployment, deployment.codec("User").blank() | {"authority": drift_bytes.AUTHORITY}).perps == ()


@pytest.mark.parametrize("deployment", USERS, ids=named)
def test_status_bits_and_delegate(deployment):
    blank = deployment.codec("User").blank() | {"authority": drift_bytes.AUTHORITY}
    velocity = deployment.program_id == VELOCITY.program_id
    known, unknown = (47, 16) if velocity else (31, 32)
    for bits, told in ((0, (0, 0, 0)), (1, (1, 0, 0)), (2, (0, 1, 0)), (4, (0, 0, 1)), (7, (1, 1, 1)), (known, (1, 1, 1))):
        user = user_of(deployment, blank | {"status": bits})
        assert (user.being_liquidated, user.bankrupt, user.reduce_only) == tuple(map(bool, told))
    with pytest.raises(WrongAccount, match=f"status is {unknown}, and its known bits are {known}"):
        user_of(deployment, blank | {"status": unknown})
    assert user_of(deployment, blank).delegate is None
    assert user_of(deployment, blank | {"delegate": drift_bytes.OTHER}).delegate == drift_bytes.OTHER


def test_margin_modes_are_drifts_alone():
    blank = DRIFT_V2.codec("User").blank() | {"authority": drift_bytes.AUTHORITY}
    told = [user_of(DRIFT_V2, blank | {"margin_mode": mode}) for mode in (0, 1, 2)]
    assert [one.margin_mode for one in told] == [MarginMode.DEFAULT, MarginMode.HIGH_LEVERAGE, MarginMode.HIGH_LEVERAGE_MAINTENANCE]
    assert [one.high_leverage for one in told] == [False, True, False]
    assert [one.high_leverage_maintenance for one in told] == [False, True, True]
    with pytest.raises(WrongAccount, match="margin_mode is 3, and drift knows 0, 1, 2"):
        user_of(DRIFT_V2, blank | {"margin_mode": 3})
    there = user_of(VELOCITY, drift_bytes.user(VELOCITY) | {"equity_floor": 4_000_000_000, "equity_floor_buffer": 250_000_000})
    assert (there.high_leverage, there.equity_floor, there.equity_buffer) == (False, 4_000_000_000, 250_000_000)
    assert (told[0].equity_floor, told[0].equity_buffer) == (0, 0)


def one_position(deployment, **fields):
    record = deployment.codec("User").blank() | {"authority": drift_bytes.AUTHORITY}
    record["perp_positions"][1] |= {"market_index": 5} | fields
    return record


def test_an_isolated_balance_only_where_the_flag_says_so():
    deposit = {"isolated_position_scaled_balance": 10**12}
    (held,) = user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, **deposit)).perps
    assert (held.isolated, held.is_isolated) == (0, False)
    (held,) = user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, position_flag=1, **deposit)).perps
    assert (held.isolated, held.is_isolated, held.being_liquidated, held.bankrupt) == (10**12, True, False, False)
    # a deposit alone is a position too, where it is one
    assert len(user_of(DRIFT_V2, one_position(DRIFT_V2, position_flag=1, **deposit)).perps) == 1
    assert user_of(DRIFT_V2, one_position(DRIFT_V2, **deposit)).perps == ()
    (held,) = user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, position_flag=7)).perps
    assert (held.is_isolated, held.being_liquidated, held.bankrupt) == (True, True, True)
    with pytest.raises(WrongAccount, match=r"perp_positions.1.position_flag is 8, and its known bits are 7"):
        user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, position_flag=8))


@pytest.mark.parametrize("deployment", [VELOCITY, VELOCITY_CLOB], ids=named)
def test_velocity_has_no_isolated_positions(deployment):
    for fields in ({"position_flag": 1}, {"isolated_position_scaled_balance": 1}):
        with pytest.raises(WrongAccount, match="has no isolated positions"):
            user_of(deployment, one_position(deployment, base_asset_amount=1, **fields))
    (held,) = user_of(deployment, one_position(deployment, base_asset_amount=1, position_flag=6, max_margin_ratio=2_000)).perps
    assert (held.being_liquidated, held.bankrupt, held.max_margin_ratio) == (True, True, 2_000)


@pytest.mark.parametrize("left", ["lp_shares", "last_quote_asset_amount_per_lp", "padding"])
@pytest.mark.parametrize("meant", ["position_flag", "max_margin_ratio"])
def test_leftovers_of_liquidity_shares_are_not_taken_for_flags_and_ratios(left, meant):
    """Reference 2.2: real users read with today's names show bankrupt positions and ratios up to 65,024."""
    leftover = {left: b"\1\0" if left == "padding" else 1}
    with pytest.raises(WrongAccount, match=f"beside {left}.*DRIFT_V2_LEGACY"):
        user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, **leftover, **{meant: 2}))
    (held,) = user_of(DRIFT_V2, one_position(DRIFT_V2, base_asset_amount=1, **leftover)).perps
    assert (held.max_margin_ratio, held.bankrupt) == (0, False)


def test_the_older_layout_has_neither():
    fields = {"per_lp_base": 3, "remainder_base_asset_amount": -92_000_000, "last_base_asset_amount_per_lp": -590_407_963_917}
    record = one_position(DRIFT_V2_LEGACY, lp_shares=377_900_000_000, **fields)
    (held,) = user_of(DRIFT_V2_LEGACY, record).perps
    assert (held.isolated, held.is_isolated, held.being_liquidated, held.bankrupt, held.max_margin_ratio) == (0, False, False, False, 0)


REFUSED = [
    ("spot_positions", 1, {"balance_type": 2}, "spot_positions.1.balance_type is 2, and it is 0 or 1"),
    ("spot_positions", 7, {"padding": b"\0\0\0\1"}, "spot_positions.7.padding is 00000001, and the reserved bytes"),
    ("spot_positions", 0, {"open_bids": -1}, "spot_positions.0.open_bids is -1, and bids are not negative"),
    ("spot_positions", 0, {"open_asks": 1}, "spot_positions.0.open_asks is 1, and asks are not positive"),
    ("perp_positions", 7, {"open_asks": 1}, "perp_positions.7.open_asks is 1"),
    ("perp_positions", 7, {"open_bids": -1}, "perp_positions.7.open_bids is -1"),
    ("perp_positions", 7, {"market_index": 20}, "perp_positions name .* one of them twice"),
    ("spot_positions", 7, {"market_index": 20}, "spot_positions name .* one of them twice"),
    ("orders", 31, {"order_id": 1_000}, "orders name .* one of them twice"),
    ("orders", 31, {"status": 4}, "orders.31.status is 4, and .* knows 0, 1, 2, 3"),
    ("orders", 31, {"order_type": 5}, "orders.31.order_type is 5"),
    ("orders", 31, {"market_type": 2}, "orders.31.market_type is 2"),
    ("orders", 31, {"direction": 2}, "orders.31.direction is 2"),
    ("orders", 31, {"existing_position_direction": 2}, "orders.31.existing_position_direction is 2"),
    ("orders", 31, {"reduce_only": 2}, "orders.31.reduce_only is 2"),
    ("orders", 31, {"post_only": 255}, "orders.31.post_only is 255"),
    ("orders", 31, {"immediate_or_cancel": 2}, "orders.31.immediate_or_cancel is 2"),
    ("orders", 31, {"trigger_condition": 4}, "orders.31.trigger_condition is 4"),
    ("orders", 31, {"base_asset_amount": 5, "base_asset_amount_filled": 6}, "orders.31 is filled by 6 of 5"),
]


@pytest.mark.parametrize("deployment", USERS, ids=named)
@pytest.mark.parametrize(("table", "slot", "fields", "why"), REFUSED)
def test_what_the_program_cannot_have_written_is_refused(deployment, table, slot, fields, why):
    record = drift_bytes.user(deployment)
    record[table][slot] = record[table][slot] | fields
    with pytest.raises(WrongAccount, match=why):
        user_of(deployment, record)


@pytest.mark.parametrize("deployment", USERS, ids=named)
@pytest.mark.parametrize("name", ["is_margin_trading_enabled", "idle", "has_open_order", "has_open_auction"])
def test_a_yes_or_no_is_0_or_1(deployment, name):
    record = drift_bytes.user(deployment)
    for number in (0, 1):
        user_of(deployment, record | {name: number})
    with pytest.raises(WrongAccount, match=f"{name} is 2, and it is 0 or 1"):
        user_of(deployment, record | {name: 2})


@pytest.mark.parametrize("deployment", USERS, ids=named)
def test_orders_that_are_done_are_no_orders(deployment):
    record = drift_bytes.user(deployment)
    full = {"base_asset_amount": 6, "base_asset_amount_filled": 6}
    record["orders"][1] = record["orders"][1] | full
    assert [one.id for one in user_of(deployment, record).orders] == [1_000, 1_001, 1_031]
    for status in (0, 2, 3):
        record["orders"][1] = record["orders"][1] | {"status": status}
        assert [one.id for one in user_of(deployment, record).orders] == [1_000, 1_031]


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(WrongAccount, match="is not UTF-8"):
        user_of(VELOCITY, drift_bytes.user(VELOCITY) | {"name": b"\xff" * 32})


def test_more_orders_than_a_byte_counts():
    """In the order-book branch the counts are two bytes wide, in the User and in its positions."""
    record = drift_bytes.user(VELOCITY_CLOB) | {"open_orders": 300, "has_open_order": 1, "pool_id": 2}
    record["perp_positions"][7] = record["perp_positions"][7] | {"open_orders": 256}
    user = user_of(VELOCITY_CLOB, record)
    assert (user.open_orders, user.pool, user.perps[2].open_orders) == (300, 2, 256)


# -- owner, discriminator, length, address -------------------------------------------------------------------------------

READERS = [(User, read_user), (UserStats, read_user_stats), (SpotMarket, read_spot_market), (PerpMarket, read_perp_market)]
READERS += [(State, read_state)]


def whole(deployment, kind):
    make = {
        User: lambda: (drift_bytes.user(deployment), deployment.user(drift_bytes.AUTHORITY, 3)),
        UserStats: lambda: (drift_bytes.stats(deployment), deployment.user_stats(drift_bytes.AUTHORITY)),
        SpotMarket: lambda: (drift_bytes.spot_market(deployment), deployment.spot_market(1)),
        PerpMarket: lambda: (drift_bytes.perp_market(deployment), deployment.perp_market(0)),
        State: lambda: (drift_bytes.state(deployment), deployment.state()),
    }
    record, address = make[kind]()
    return drift_bytes.encoded(deployment, kind.__name__, record), address


@pytest.mark.parametrize("deployment", BOTH, ids=named)
@pytest.mark.parametrize(("kind", "reader"), READERS, ids=[kind.__name__ for kind, _ in READERS])
def test_each_reader_checks_owner_discriminator_length_and_address(deployment, kind, reader):
    data, address = whole(deployment, kind)
    owner, size = deployment.program_id, deployment.layout(kind.__name__).size
    told = reader(deployment, address, owner, data, SLOT)
    assert told == read(deployment, kind, address, owner, data, SLOT)
    assert (told.address, told.slot) == (address, SLOT)
    assert reader(deployment, address, owner, data + bytes(256), SLOT) == told
    other = next(one for one in BOTH if one is not deployment)
    for args, why in (
        ((address, other.program_id, data), f"its owner is {other.program_id}, and {deployment.name} is {owner}"),
        ((address, owner, data[:-1]), f"has {size} bytes at least, and here are {size - 1}"),
        ((address, owner, b""), "and here are 0"),
        ((address, owner, b"\0" + data[1:]), "begins with"),
        ((drift_bytes.OTHER, owner, data), "the address .* is "),
    ):
        with pytest.raises(WrongAccount, match=why) as refused:
            reader(deployment, *args, SLOT)
        assert str(refused.value).startswith(f"{args[0]} is no {kind.__name__} of {deployment.name}: ")
        assert isinstance(refused.value, VenueError)


def test_another_sub_accounts_address_is_refused():
    record = drift_bytes.user(VELOCITY)
    with pytest.raises(WrongAccount, match=f"of sub-account 3 of {drift_bytes.AUTHORITY} is "):
        user_of(VELOCITY, record, address=VELOCITY.user(drift_bytes.AUTHORITY, 4))


def test_the_same_bytes_under_the_other_deployment():
    """Velocity's User as Drift's: owner and address say no before the wrong table could say anything."""
    data, address = whole(VELOCITY, User)
    for owner in (VELOCITY.program_id, DRIFT_V2.program_id):
        with pytest.raises(WrongAccount):
            read_user(DRIFT_V2, address, owner, data, SLOT)
    with pytest.raises(WrongAccount, match=r"of 2\.162 has 4376 bytes"):
        read_user(DRIFT_V2, address, DRIFT_V2.program_id, data[:4_375], SLOT)


def test_a_length_that_another_version_of_the_program_has():
    """The main sub-account of the order-book branch would otherwise be read as Velocity's, its second position from the wrong place."""
    data, address = whole(VELOCITY, User)
    branch = VELOCITY_CLOB.layout("User").size
    for length in (branch - 1, branch + 1, len(data) + 256):
        assert read_user(VELOCITY, address, VELOCITY.program_id, data.ljust(length, b"\0"), SLOT)
    for length in (branch, branch + 256):
        with pytest.raises(WrongAccount, match=f"it has {length} bytes, as many as one of order-book branch would"):
            read_user(VELOCITY, address, VELOCITY.program_id, data.ljust(length, b"\0"), SLOT)
    longer, where = whole(VELOCITY_CLOB, User)
    assert read_user(VELOCITY_CLOB, where, VELOCITY.program_id, longer.ljust(branch + 256, b"\0"), SLOT)


def test_accounts_whose_layout_is_not_known():
    data, address = whole(VELOCITY, PerpMarket)
    with pytest.raises(WrongAccount, match=r"the layout of a PerpMarket of velocity-clob \(order-book branch\) is not known"):
        read_perp_market(VELOCITY_CLOB, address, VELOCITY.program_id, data, SLOT)
    with pytest.raises(TypeError, match="there is no view"):
        read(VELOCITY, dict, address, VELOCITY.program_id, data, SLOT)


# -- markets, statistics, state ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", BOTH, ids=named)
def test_spot_markets(deployment):
    record = drift_bytes.spot_market(deployment)
    market = spot_of(deployment, record)
    assert (market.index, market.name, market.decimals, market.status) == (1, "SOL", 6, MarketStatus.ACTIVE)
    assert (market.oracle, market.oracle_source, market.tier) == (record["oracle"], OracleSource.PYTH_LAZER, AssetTier.PROTECTED)
    assert (market.deposit_index, market.twap_5min) == (
        record["cumulative_deposit_interest"],
        record["historical_oracle_data"]["last_oracle_price_twap_5min"],
    )
    assert (market.token_2022, market.transfer_hook, market.paused) == (False, False, SpotPause(0))
    flagged = spot_of(deployment, record | {"token_program_flag": 3, "paused_operations": 8})
    assert (flagged.token_2022, flagged.transfer_hook, flagged.paused) == (True, True, SpotPause.WITHDRAW)
    assert spot_of(deployment, record | {"decimals": 19}).decimals == 19
    for fields, why in (
        ({"decimals": 20}, "decimals are 20, and the program's arithmetic has 19 at most"),
        ({"token_program_flag": 4}, "token_program_flag is 4"),
        ({"paused_operations": 32}, "paused_operations is 32"),
        ({"asset_tier": 5}, "asset_tier is 5"),
        ({"oracle_source": 16}, "oracle_source is 16"),
        ({"orders_enabled": 2}, "orders_enabled is 2"),
        ({"cumulative_deposit_interest": 0}, "cumulative_deposit_interest is 0, and it is above 0"),
        ({"cumulative_borrow_interest": 0}, "cumulative_borrow_interest is 0"),
        ({"vault": drift_bytes.OTHER}, "the vault of spot market 1 is"),
        ({"pubkey": drift_bytes.OTHER}, "that is written in it"),
        ({"market_index": 2}, "the address of spot market 2 is"),
        ({"status": 9}, "status is 9"),
    ):
        with pytest.raises(WrongAccount, match=why):
            spot_of(deployment, record | fields)


def test_one_status_number_is_read_by_its_deployment():
    for number, words in (
        (2, (MarketStatus.FUNDING_PAUSED, MarketStatus.REDUCE_ONLY)),
        (3, (MarketStatus.AMM_PAUSED, MarketStatus.SETTLEMENT)),
    ):
        told = tuple(perp_of(one, drift_bytes.perp_market(one) | {"status": number}).status for one in BOTH)
        assert told == words
    assert perp_of(DRIFT_V2, drift_bytes.perp_market(DRIFT_V2) | {"status": 6}).status is MarketStatus.REDUCE_ONLY
    with pytest.raises(WrongAccount, match="status is 6, and velocity knows 0, 1, 2, 3, 4"):
        perp_of(VELOCITY, drift_bytes.perp_market(VELOCITY) | {"status": 6})


@pytest.mark.parametrize("deployment", BOTH, ids=named)
def test_perp_markets(deployment):
    record = drift_bytes.perp_market(deployment)
    market = perp_of(deployment, record)
    amm = record["amm"]
    home = record if deployment is VELOCITY else amm
    stats = record["market_stats"] if deployment is VELOCITY else amm
    assert (market.index, market.name, market.tier) == (0, "SOL-PERP", ContractTier.A)
    assert (market.cumulative_funding_long, market.last_funding_rate) == (home["cumulative_funding_rate_long"], home["last_funding_rate"])
    assert (market.funding_period, market.mark_twap) == (stats["funding_period"], stats["last_mark_price_twap"])
    assert market.oracle_twap_5min == stats["historical_oracle_data"]["last_oracle_price_twap_5min"]
    assert (market.base_with_amm, market.peg) == (amm["base_asset_amount_with_amm"], amm["peg_multiplier"])
    assert (market.quote, market.step, market.oracle) == (home["quote_asset_amount"], home["order_step_size"], home["oracle"])
    assert (market.fee_pool.balance, market.pnl_pool.market) == (amm["fee_pool"]["scaled_balance"], record["pnl_pool"]["market_index"])
    lever = deployment is DRIFT_V2
    assert bool(market.high_leverage_initial) is bool(market.high_leverage_maintenance) is lever
    assert bool(market.taker_addon) is bool(market.funding_dead_zone) is bool(market.funding_slope) is not lever
    for part, fields, why in (
        (record, {"contract_tier": 6}, "contract_tier is 6"),
        (record, {"contract_type": 3}, "contract_type is 3"),
        (record, {"paused_operations": 128}, "paused_operations is 128"),
        (record, {"pubkey": drift_bytes.OTHER}, "that is written in it"),
        (record, {"market_index": 1}, "of perp market 1 is"),
        (home, {"oracle_source": 16}, "oracle_source is 16"),
        (home, {"order_tick_size": 0}, "order_tick_size is 0, and it is above 0"),
        (home, {"order_step_size": 0}, "order_step_size is 0"),
        (stats, {"funding_period": 0}, "funding_period is 0"),
        (stats, {"funding_period": -1}, "funding_period is -1"),
        (stats, {"last_oracle_valid": 2}, "last_oracle_valid is 2"),
        (amm, {"base_asset_reserve": 0}, "base_asset_reserve is 0"),
        (amm, {"peg_multiplier": 0}, "peg_multiplier is 0"),
    ):
        kept = dict(part)
        part.update(fields)
        with pytest.raises(WrongAccount, match=why):
            perp_of(deployment, record)
        part.update(kept)
    assert perp_of(deployment, record) == market


def test_statistics():
    told = [read_user_stats(one, one.user_stats(drift_bytes.AUTHORITY), one.program_id, whole(one, UserStats)[0], SLOT) for one in BOTH]
    assert [one.referrer_reward is None for one in told] == [one.staked_gov is None for one in told] == [False, True]
    assert [one.equity_breaker for one in told] == [False, False]
    assert told[0].referrer is not None
    tripped = drift_bytes.stats(VELOCITY) | {"equity_breaker_tripped": 1, "referrer": "1" * 32}
    data = drift_bytes.encoded(VELOCITY, "UserStats", tripped)
    seen = read_user_stats(VELOCITY, told[1].address, VELOCITY.program_id, data, SLOT)
    assert (seen.equity_breaker, seen.referrer) == (True, None)
    data = drift_bytes.encoded(VELOCITY, "UserStats", tripped | {"equity_breaker_tripped": 2})
    with pytest.raises(WrongAccount, match="equity_breaker_tripped is 2"):
        read_user_stats(VELOCITY, told[1].address, VELOCITY.program_id, data, SLOT)


@pytest.mark.parametrize("deployment", BOTH, ids=named)
def test_the_state(deployment):
    record = drift_bytes.state(deployment)
    told = state_of(deployment, record)
    assert told.exchange_status == ExchangePause.DEPOSIT | ExchangePause.AMM
    assert (len(told.perp_fees), len(told.spot_fees)) == (10, 10)
    assert told.perp_fees[9].fee_numerator == record["perp_fee_structure"]["fee_tiers"][9]["fee_numerator"]
    assert told.spot_fees[1].referee_denominator == record["spot_fee_structure"]["fee_tiers"][1]["referee_fee_denominator"]
    assert told.guard_rails.stale_for_margin == record["oracle_guard_rails"]["slots_before_stale_for_margin"]
    assert (told.perp_markets, told.spot_markets) == (record["number_of_markets"], record["number_of_spot_markets"])
    assert state_of(deployment, record | {"exchange_status": 255}).exchange_status.value == 255
    with pytest.raises(WrongAccount, match=f"the signer of {deployment.name} is {deployment.signer()}, and {drift_bytes.OTHER} is written"):
        state_of(deployment, record | {"signer": drift_bytes.OTHER})


# -- speed ---------------------------------------------------------------------------------------------------------------


def test_a_user_is_read_in_under_two_milliseconds():
    """A fifth of one on an idle core; the bound leaves room for a busy machine, and the best of many runs counts."""
    data, address = whole(VELOCITY, User)
    best = 10**9
    for _ in range(50):
        start = time.perf_counter_ns()
        read_user(VELOCITY, address, VELOCITY.program_id, data, SLOT)
        best = min(best, time.perf_counter_ns() - start)
    assert best < 2_000_000
