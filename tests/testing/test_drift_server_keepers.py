"""What keepers, oracles and time do at the local Drift: figures are those of reference/drift.md and cases/drift, named where they stand."""

from __future__ import annotations

import pytest
from drift_hand import COIN, UNIT, Hand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from sleeves.errors import LedgerError
from sleeves.testing.drift_server import Coin, Perp, drift_server
from sleeves.testing.drift_server.server import DriftServer
from sleeves.testing.solana_server import ChainError
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.events import (
    Action,
    FundingPayment,
    FundingRate,
    Liquidation,
    LiquidationKind,
    OrderAction,
    OrderPlaced,
    PnlSettled,
    SpotInterest,
    Why,
    read_log,
)
from sleeves.venues.drift.words import MarketStatus

BOTH = [DRIFT_V2, VELOCITY]
HUNDRED = Perp("SOL-PERP", "100", spread_ppm=0)
FREE = [0, 100_000, 0, 100_000]


def told(drift, landing, kind):
    return [one for one in read_log(drift.deployment, landing.logs).events if isinstance(one, kind)]


def only(drift, landing, kind):
    found = told(drift, landing, kind)
    assert len(found) == 1, found
    return found[0]


def code(act):
    """The program's number that it fails with."""
    with pytest.raises(ChainError) as caught:
        act()
    return caught.value.data["err"]["InstructionError"][1]["Custom"]


def fees(drift, fee, fee_of, rebate, rebate_of, filler=0):
    """Every tier of the State's table at these fees."""
    table = drift.look("State", drift.deployment.state())["perp_fee_structure"]
    for row in table["fee_tiers"]:
        row.update(fee_numerator=fee, fee_denominator=fee_of, maker_rebate_numerator=rebate, maker_rebate_denominator=rebate_of)
    table["filler_reward_numerator"] = filler
    drift.set("State", drift.deployment.state(), perp_fee_structure=table)


@pytest.fixture(params=BOTH, ids=lambda one: one.name)
def drift(request):
    server = DriftServer(request.param, perps=[HUNDRED], coins=[Coin("SOL", 9, "100")])
    yield server
    server.check()


def trader(drift, quote=1_000 * UNIT):
    """An owner with that in sub-account 0. His key, and its address."""
    key = drift.wallet(quote=quote)
    drift.open(key)
    drift.deposit(key, 0, quote)
    return key, drift.user(key.pubkey())


def bought(drift, base, quote=1_000 * UNIT, *, long=True, price=100 * UNIT):
    """An owner with a position from `price`, without a fee."""
    fees(drift, *FREE)
    key, user = trader(drift, quote)
    number = drift.order(key, 0, "SOL-PERP", base, price, long=long)
    drift.fill(user, number, price=price)
    return key, user


# -- fills and fees -------------------------------------------------------------------------------------------------------------


def test_a_fill_against_the_market_itself_and_its_fee(drift):
    """100 quote at 10 bps: a taker fee of 0.10 (reference/drift.md 3.6, settlement_fees.json)."""
    fees(drift, 10, 10_000, 6, 10_000)
    key, user = trader(drift)
    number = drift.order(key, 0, "SOL-PERP", COIN, 100 * UNIT, long=True)
    fill = only(drift, drift.fill(user, number), OrderAction)
    assert (fill.action, fill.why, fill.base, fill.quote) == (Action.FILL, Why.ORDER_FILLED_WITH_AMM, COIN, 100 * UNIT)
    assert (fill.taker_fee, fill.maker, fill.taker, fill.taker_order) == (100_000, None, user, number)
    assert (fill.taker_filled, fill.taker_quote_filled) == (COIN, 100 * UNIT)
    held = drift.position(user, "SOL-PERP")
    assert (held["base_asset_amount"], held["quote_asset_amount"], held["quote_entry_amount"]) == (COIN, -100_100_000, -100 * UNIT)
    assert held["quote_break_even_amount"] == -100_100_000 and drift.orders(user) == []
    market = drift.perp("SOL-PERP")
    assert (market["base_asset_amount_long"], market["base_asset_amount_with_amm"]) == (COIN, COIN)
    assert market["total_fee_minus_distributions"] == 100_000
    stats = drift.look("UserStats", drift.deployment.user_stats(str(key.pubkey())))
    assert (stats["taker_volume_30d"], stats["fees"]["total_fee_paid"]) == (100 * UNIT, 100_000)


@pytest.mark.parametrize(("adjustment", "taker", "maker", "market"), [(0, 100_000, 60_000, 40_000), (-50, 50_000, 30_000, 20_000)])
def test_a_makers_order_is_taken_by_another_and_gets_its_rebate(drift, adjustment, taker, maker, market):
    """10 bps and a rebate of 6 on 100: 0.10 / 0.06 / 0.04, and by -50 % 0.05 / 0.03 / 0.02 (reference/drift.md 3.6)."""
    fees(drift, 10, 10_000, 6, 10_000)
    drift.set("PerpMarket", drift.deployment.perp_market(0), fee_adjustment=adjustment)
    key, user = trader(drift)
    number = drift.order(key, 0, "SOL-PERP", COIN, 101 * UNIT, long=False, post_only=True)
    drift.price("SOL-PERP", "101")
    drift.set("PerpMarket", drift.deployment.perp_market(0), total_fee_minus_distributions=0)
    fill = only(drift, drift.fill(user, number, price=101 * UNIT), OrderAction)
    assert (fill.why, fill.maker, fill.maker_order, fill.quote) == (Why.ORDER_FILLED_WITH_MATCH, user, number, 101 * UNIT)
    share = 101  # of a hundred: the sale is of 101
    assert (fill.taker_fee, fill.maker_fee) == (taker * share // 100, -maker * share // 100)
    assert drift.perp("SOL-PERP")["total_fee_minus_distributions"] == market * share // 100
    held = drift.position(user, "SOL-PERP")
    assert held["quote_asset_amount"] == 101 * UNIT + maker * share // 100 and held["base_asset_amount"] == -COIN
    assert drift.position(drift.user(drift.crowd.pubkey()), "SOL-PERP")["base_asset_amount"] == COIN


def test_partial_fills_and_what_the_keeper_gets(drift):
    key, user = trader(drift)
    number = drift.order(key, 0, "SOL-PERP", 3 * COIN, 100 * UNIT, long=True)
    first = only(drift, drift.fill(user, number, COIN), OrderAction)
    second = only(drift, drift.fill(user, number), OrderAction)
    assert (first.base, first.taker_filled, second.base, second.taker_filled) == (COIN, COIN, 2 * COIN, 3 * COIN)
    assert second.fill_id == first.fill_id + 1
    # the lesser of a tenth of the fee and of what grows with the order's age, no less than a cent times its root
    assert first.filler_reward == min(first.taker_fee // 10, 10_000)
    keeper = drift.position(drift.user(drift.keeper.pubkey()), "SOL-PERP")
    assert keeper["quote_asset_amount"] == first.filler_reward + second.filler_reward


def test_the_fee_follows_the_tier_of_thirty_days(drift):
    key, user = trader(drift, 100_000 * UNIT)
    stats = drift.deployment.user_stats(str(key.pubkey()))
    table = {DRIFT_V2: ((0, 100), (2_000_000, 80), (10_000_000, 60)), VELOCITY: ((0, 40), (5_000_000, 30), (80_000_000, 20))}
    for volume, rate in table[drift.deployment]:
        for less in (1, 0) if volume else (0,):
            drift.set("UserStats", stats, taker_volume_30d=volume * UNIT - less, maker_volume_30d=0, last_taker_volume_30d_ts=drift.now)
            number = drift.order(key, 0, "SOL-PERP", COIN, 100 * UNIT, long=True)
            fee = only(drift, drift.fill(user, number), OrderAction).taker_fee
            before = [row for row in table[drift.deployment] if row[0] < volume]
            assert fee == (before[-1][1] if less else rate) * 1_000  # 1e-5 of 100


def test_no_order_is_filled_past_its_limit_and_a_dead_feed_fills_none(drift):
    key, user = trader(drift)
    number = drift.order(key, 0, "SOL-PERP", COIN, 100 * UNIT, long=True)
    assert code(lambda: drift.fill(user, number, price=100 * UNIT + 1)) == 6171
    drift.stall("SOL-PERP")
    drift.stall("SOL")
    drift.advance(121)
    assert code(lambda: drift.fill(user, number, price=100 * UNIT)) == 6035
    drift.price("SOL-PERP", "100")
    drift.status("SOL-PERP", MarketStatus.SETTLEMENT)
    assert code(lambda: drift.fill(user, number, price=100 * UNIT)) == 6148
    drift.status("SOL-PERP", MarketStatus.ACTIVE)
    drift.fill(user, number, price=100 * UNIT)


def test_a_reduce_only_order_closes_and_never_turns_round(drift):
    key, user = bought(drift, 2 * COIN)
    number = drift.order(key, 0, "SOL-PERP", 5 * COIN, 90 * UNIT, long=False, reduce_only=True)
    fill = only(drift, drift.fill(user, number), OrderAction)
    assert fill.base == 2 * COIN and (fill.taker_entry, fill.taker_existing_base) == (200 * UNIT, None)
    assert [one["order_id"] for one in drift.orders(user)] == [number], "three coins of it are open, and nothing to reduce"
    gone = only(drift, drift.fill(user, number), OrderAction)
    assert (gone.action, gone.why) == (Action.CANCEL, Why.REDUCE_ONLY_ORDER_INCREASED_POSITION)
    assert drift.orders(user) == []


def test_keepers_match_what_can_be_and_take_off_what_is_late(drift):
    key, user = trader(drift)
    near = drift.order(key, 0, "SOL-PERP", COIN, 100 * UNIT, long=True)
    far = drift.order(key, 0, "SOL-PERP", COIN, 90 * UNIT, long=True, expires=drift.now + 60)
    resting = drift.order(key, 0, "SOL-PERP", COIN, 105 * UNIT, long=False, post_only=True)
    (filled,) = [only(drift, one, OrderAction) for one in drift.match()]
    assert (filled.taker_order, filled.action) == (near, Action.FILL)
    drift.price("SOL-PERP", "106")
    (made,) = [only(drift, one, OrderAction) for one in drift.match()]
    assert (made.maker_order, made.quote) == (resting, 105 * UNIT)
    quote = drift.position(user, "SOL-PERP")["quote_asset_amount"]
    drift.pass_time(120)
    (late,) = [only(drift, one, OrderAction) for one in drift.match()]
    assert (late.action, late.why, late.taker_order, late.filler_reward) == (Action.CANCEL, Why.ORDER_EXPIRED, far, 10_000)
    assert drift.position(user, "SOL-PERP")["quote_asset_amount"] == quote - 10_000, "the keeper's cent comes out of the position"
    assert drift.match() == []


def test_turning_a_position_round(drift):
    key, user = bought(drift, 2 * COIN)
    drift.price("SOL-PERP", "110")
    number = drift.order(key, 0, "SOL-PERP", 3 * COIN, 110 * UNIT, long=False)
    fill = only(drift, drift.fill(user, number), OrderAction)
    assert (fill.taker_entry, fill.taker_existing_base) == (200 * UNIT, 2 * COIN)
    held = drift.position(user, "SOL-PERP")
    assert (held["base_asset_amount"], held["quote_asset_amount"], held["quote_entry_amount"]) == (-COIN, 130 * UNIT, 110 * UNIT)


# -- funding ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("long", "paid"), [(True, -2_500_000), (False, 2_500_000)])
def test_funding_is_paid_when_a_position_is_touched(long, paid):
    """Long 10, index up by 0.25: -2.50; short 10: +2.50 (funding.json payment.long_pays, payment.short_earns)."""
    for deployment in BOTH:
        drift = DriftServer(deployment, perps=[Perp("SOL-PERP", "100", spread_ppm=0, fees=10 * UNIT)])
        key, user = bought(drift, 10 * COIN, long=long)
        drift.pass_time(3_600)
        rate = only(drift, drift.fund("SOL-PERP", 250_000_000), FundingRate)
        assert (rate.rate, rate.cumulative_long, rate.cumulative_short) == (250_000_000,) * 3
        before = drift.position(user, "SOL-PERP")["quote_asset_amount"]
        drift.order(key, 0, "SOL-PERP", COIN, 10 * UNIT if long else 190 * UNIT, long=long)
        assert drift.position(user, "SOL-PERP")["quote_asset_amount"] == before, "placing does not touch the position"
        number = drift.order(key, 0, "SOL-PERP", COIN, 100 * UNIT, long=long)
        payment = told(drift, drift.fill(user, number), FundingPayment)[0]
        assert (payment.user, payment.payment, payment.base) == (user, paid, 10 * COIN if long else -10 * COIN)
        assert drift.look("User", user)["cumulative_perp_funding"] == paid
        assert drift.position(user, "SOL-PERP")["last_cumulative_funding_rate"] == 250_000_000
        drift.check()


def test_funding_is_due_on_the_hour_and_once(drift):
    assert code(lambda: drift.fund("SOL-PERP", 1)) == 6251  # FundingWasNotUpdated
    drift.pass_time(3_600 - drift.now % 3_600 + 1)
    drift.fund("SOL-PERP", 1_000)
    assert code(lambda: drift.fund("SOL-PERP", 1)) == 6251
    drift.pass_time(3_600)
    assert only(drift, drift.fund("SOL-PERP", -3_000), FundingRate).cumulative_long == -2_000


def test_drifts_rate_follows_from_its_averages_and_velocitys_must_be_said():
    """Mark 47.629736, oracle 51, the lowest tier: -0.140002666 an hour (reference/drift.md 3.6, funding.json)."""
    drift = DriftServer(DRIFT_V2, perps=[Perp("SOL-PERP", "51", tier=4)])
    market = drift.deployment.perp_market(0)
    drift.set("PerpMarket", market, last_mark_price_twap=47_629_736, last_oracle_price_twap=51 * UNIT)
    drift.pass_time(3_600)
    rate = only(drift, drift.fund("SOL-PERP"), FundingRate)
    assert (rate.rate, rate.oracle_twap, rate.mark_twap) == (-140_002_666, 51 * UNIT, 47_629_736)
    other = DriftServer(VELOCITY, perps=[HUNDRED])
    other.pass_time(3_600)
    assert code(lambda: other.fund("SOL-PERP")) == 6129


def test_a_market_that_cannot_pay_cuts_the_side_that_receives():
    """A rate of 0.041666666, users net short 12.295 against the market: its pool has (0.50 - 0.25) / 3 (reference/drift.md 3.6)."""
    drift = DriftServer(DRIFT_V2, perps=[Perp("SOL-PERP", "100", step=1, min_size=1, spread_ppm=0)])
    _, user = bought(drift, 12_295_000_000, 2_000 * UNIT, long=False)
    market = drift.deployment.perp_market(0)
    drift.set("PerpMarket", market, total_fee_minus_distributions=500_000, total_exchange_fee=500_000)
    drift.pass_time(3_600)
    rate = only(drift, drift.fund("SOL-PERP", 41_666_666), FundingRate)
    assert rate.rate_long == 41_666_666 and 0 < rate.rate_short < 41_666_666
    assert drift.perp("SOL-PERP")["total_fee_minus_distributions"] == 500_000 - 83_333
    quote = drift.position(user, "SOL-PERP")["quote_asset_amount"]
    drift.price("SOL-PERP", "101")
    drift.settle(user, "SOL-PERP")
    paid = drift.look("User", user)["cumulative_perp_funding"]
    assert 0 < paid <= 83_333 and quote > 0


# -- settling -------------------------------------------------------------------------------------------------------------------


def test_a_loss_is_settled_by_anyone_and_a_gain_by_its_owner(drift):
    key, user = bought(drift, COIN)
    drift.price("SOL-PERP", "90")
    lost = only(drift, drift.settle(user, "SOL-PERP"), PnlSettled)
    assert (lost.pnl, lost.quote_after, lost.entry, lost.price) == (-10 * UNIT, -90 * UNIT, -100 * UNIT, 90 * UNIT)
    assert drift.balance(user) == 990 * UNIT
    assert code(lambda: drift.settle(user, "SOL-PERP")) == 6259  # NoUnsettledPnl
    drift.set("PerpMarket", drift.deployment.perp_market(0), unrealized_pnl_max_imbalance=0)
    drift.price("SOL-PERP", "110")
    won = only(drift, drift.settle(user, "SOL-PERP", key), PnlSettled)
    assert won.pnl == 20 * UNIT and drift.balance(user) == 1_010 * UNIT
    assert drift.look("User", user)["settled_perp_pnl"] == 10 * UNIT


@pytest.mark.parametrize(("excess", "claimable"), [(0, 50), (49, 99)])
def test_no_more_is_settled_than_was_realized_and_the_pool_has_over(excess, claimable):
    """Long 1 from 100, 50 of it taken already, oracle at 150: 50 can be claimed, 99 with 49 over (settlement_fees.json claimable.*)."""
    for deployment in BOTH:
        # what all users gain together is 100: the pool holds that, and the excess
        drift = DriftServer(deployment, perps=[Perp("SOL-PERP", "100", spread_ppm=0, pool=(100 + excess) * UNIT)])
        key, user = bought(drift, COIN)
        # a keeper's hand: 50 of its loss is paid back by others, so that its quote is -50, and its entry still -100
        places = drift.look("User", user)["perp_positions"]
        places[0]["quote_asset_amount"] = -50 * UNIT
        drift.set("User", user, perp_positions=places)
        drift.set("PerpMarket", drift.deployment.perp_market(0), quote_asset_amount=-50 * UNIT)
        drift.price("SOL-PERP", "150")
        assert only(drift, drift.settle(user, "SOL-PERP", key), PnlSettled).pnl == claimable * UNIT
        drift.check()


def test_a_keeper_may_not_settle_a_gain_that_the_pool_has_not_over(drift):
    key, user = bought(drift, COIN)
    drift.set("SpotMarket", drift.deployment.spot_market(0), withdraw_guard_threshold=10**15)
    number = drift.order(key, 0, "SOL-PERP", COIN, 1 * UNIT, long=False)
    drift.price("SOL-PERP", "110")
    drift.fill(user, number)
    pools = drift.perp("SOL-PERP")["pnl_pool"]
    assert pools["scaled_balance"] > 0
    assert only(drift, drift.settle(user, "SOL-PERP"), PnlSettled).pnl == 10 * UNIT, "the pool has far more than all gain together"
    poor = DriftServer(drift.deployment, perps=[Perp("SOL-PERP", "100", spread_ppm=0, pool=10 * UNIT)])
    key, user = bought(poor, COIN)
    number = poor.order(key, 0, "SOL-PERP", COIN, 1 * UNIT, long=False)
    poor.price("SOL-PERP", "110")
    poor.fill(user, number)
    assert code(lambda: poor.settle(user, "SOL-PERP")) == 6093  # UserMustSettleTheirOwnPositiveUnsettledPNL
    assert only(poor, poor.settle(user, "SOL-PERP", key), PnlSettled).pnl == 10 * UNIT
    poor.check()


def test_what_stops_a_settlement(drift):
    key, user = bought(drift, COIN)
    drift.price("SOL-PERP", "110")
    drift.status("SOL-PERP", MarketStatus.REDUCE_ONLY)
    assert code(lambda: drift.settle(user, "SOL-PERP", key)) == 6158
    drift.status("SOL-PERP", MarketStatus.ACTIVE)
    drift.pause(64)
    assert code(lambda: drift.settle(user, "SOL-PERP", key)) == 6024
    drift.pause(0)
    drift.stall("SOL-PERP")
    drift.stall("SOL")
    drift.advance(121)
    assert code(lambda: drift.settle(user, "SOL-PERP", key)) == 6264
    drift.price("SOL-PERP", "110")
    drift.settle(user, "SOL-PERP", key)


# -- interest ---------------------------------------------------------------------------------------------------------------------


def test_a_debt_grows_and_deposits_earn_no_more_than_that(drift):
    """At half the optimal use the rate is half the optimal one: 3 % a year (settlement_fees.json's curve at 6 % and 80 %)."""
    market = drift.deployment.spot_market(0)
    key = drift.wallet()
    drift.mint(key.pubkey(), 200_000 * COIN, 1)
    drift.open(key)
    drift.deposit(key, 0, 200_000 * COIN, 1)
    held = drift.look("SpotMarket", market)["deposit_balance"] // 1_000
    drift.withdraw(key, 0, held * 4 // 10, reduce_only=False)
    user, before = drift.user(key.pubkey()), drift.balance(drift.user(key.pubkey()))
    assert before == -(held * 4 // 10) - 1, "a debt is rounded up twice: scaled, and shown in units"
    drift.pass_time(31_536_000 // 12)
    event = only(drift, drift.accrue(), SpotInterest)
    grown = -drift.balance(user) + before
    assert abs(grown - -before * 30_000 // 12 // 10**6) <= -before // 10**6, "3 % of a twelfth of a year, but for the seconds of the slots"
    assert event.deposit_index > 10**10 and event.borrow_index > 10**10
    assert drift.check().left[0] >= 0


def test_velocity_refuses_a_withdrawal_on_a_debt_that_was_not_counted_of_late():
    drift = DriftServer(VELOCITY, perps=[HUNDRED], coins=[Coin("SOL", 9, "100")])
    other = DriftServer(DRIFT_V2, perps=[HUNDRED], coins=[Coin("SOL", 9, "100")])
    for one in (drift, other):
        key, _ = trader(one, 2_000 * UNIT)
        one.mint(one.keeper.pubkey(), 100 * COIN, 1)
        one.deposit(one.keeper, 0, 100 * COIN, 1)
        one.withdraw(key, 0, 5 * COIN, 1, reduce_only=False)
        one.pass_time(3_155)  # the time in which a basis point could hide at 100 % a year is 3,153.6 s
        if one is drift:
            assert code(lambda: one.withdraw(key, 0, UNIT)) == 6371  # noqa: B023 called at once
            one.accrue(1)
        one.withdraw(key, 0, UNIT)
        one.check()


# -- liquidation ------------------------------------------------------------------------------------------------------------------


def test_the_price_of_a_liquidation_to_the_tick(drift):
    """$500, long 10 at 100, funding +0.25: 52.894737 (reference/drift.md 3.6)."""
    drift.set("PerpMarket", drift.deployment.perp_market(0), total_fee_minus_distributions=0)
    _, user = bought(drift, 10 * COIN, 500 * UNIT)
    drift.pass_time(3_600)
    drift.fund("SOL-PERP", 250_000_000)
    drift.price("SOL-PERP", "52.894737")
    assert code(lambda: drift.liquidate(user, "SOL-PERP")) == 6004  # SufficientCollateral
    drift.price("SOL-PERP", "52.894736")
    landing = drift.liquidate(user, "SOL-PERP")
    event, fill = only(drift, landing, Liquidation), only(drift, landing, OrderAction)
    orders = told(drift, landing, OrderPlaced)
    assert [(one.user, one.order.long) for one in orders] == [(user, False), (drift.user(drift.keeper.pubkey()), True)]
    fees_told = event.parts["liquidate_perp"]["liquidator_fee"], event.parts["liquidate_perp"]["if_fee"]
    assert (fill.taker_fee, fill.maker_fee, fill.quote) == (
        sum(fees_told),
        -fees_told[0],
        event.parts["liquidate_perp"]["quote_asset_amount"],
    )
    assert event.kind is LiquidationKind.PERP and event.user == user and event.collateral < event.requirement
    part = event.parts["liquidate_perp"]
    value = -part["base_asset_amount"] * 52_894_736 // 10**9
    # the trade is at the oracle's value; the fees are told, and charged, besides
    assert part["quote_asset_amount"] == value > 0 and part["liquidator_fee"] == value // 100 and part["if_fee"] > 0
    held = drift.position(user, "SOL-PERP")
    assert held["base_asset_amount"] == 10 * COIN + part["base_asset_amount"] and part["base_asset_amount"] < 0
    assert held["quote_asset_amount"] == -1_002_500_000 + value - part["liquidator_fee"] - part["if_fee"]


def test_a_liquidation_cancels_the_orders_first(drift):
    key, user = bought(drift, 10 * COIN, 500 * UNIT)
    number = drift.order(key, 0, "SOL-PERP", COIN, 120 * UNIT, long=False, reduce_only=True)
    drift.price("SOL-PERP", "52")
    landing = drift.liquidate(user, "SOL-PERP")
    assert only(drift, landing, Liquidation).cancelled == (number,)
    actions = told(drift, landing, OrderAction)
    assert [(one.action, one.why) for one in actions] == [(Action.CANCEL, Why.LIQUIDATION), (Action.FILL, Why.LIQUIDATION)]
    assert drift.orders(user) == []


def test_a_loss_beyond_all_is_taken_with_the_deposit_and_then_shared(drift):
    _, user = bought(drift, 10 * COIN, 500 * UNIT)
    _, other = bought(drift, 10 * COIN, 5_000 * UNIT, long=False)
    _, third = bought(drift, 10 * COIN, 5_000 * UNIT)
    drift.price("SOL-PERP", "40")
    assert code(lambda: drift.liquidate(user, "SOL-PERP")) == 6023, "too far from the average of five minutes"
    drift.pass_time(300)
    drift.price("SOL-PERP", "40")
    while drift.position(user, "SOL-PERP")["base_asset_amount"]:
        drift.liquidate(user, "SOL-PERP")
        drift.advance(150)
    held = drift.balance(user)
    taken = only(drift, drift.liquidate_pnl(user, "SOL-PERP"), Liquidation)
    assert taken.kind is LiquidationKind.PERP_PNL_FOR_DEPOSIT and taken.bankrupt
    part = taken.parts["liquidate_perp_pnl_for_deposit"]
    assert part["asset_transfer"] == held and part["pnl_transfer"] < held, "a fee of one per cent is in it"
    assert drift.balance(user) == 0 and drift.look("User", user)["status"] & 2
    lost = -drift.position(user, "SOL-PERP")["quote_asset_amount"]
    shared = only(drift, drift.bankrupt(user, "SOL-PERP"), Liquidation).parts["perp_bankruptcy"]
    assert shared["pnl"] == -lost and shared["cumulative_funding_rate_delta"] > 0
    assert not drift.look("User", user)["status"] & 3
    for one in (other, third):
        drift.price("SOL-PERP", "41" if one == third else "42")
        settled = drift.look("User", one)["cumulative_perp_funding"]
        drift.settle(one, "SOL-PERP")
        assert drift.look("User", one)["cumulative_perp_funding"] < settled, "every holder pays, long or short"


# -- the proof --------------------------------------------------------------------------------------------------------------------


def test_the_proof_finds_a_unit_that_is_missing_and_one_that_was_made(drift):
    _, user = bought(drift, COIN)
    drift.check()
    places = drift.look("User", user)["spot_positions"]
    places[0]["scaled_balance"] += 1
    drift.set("User", user, spot_positions=places)
    with pytest.raises(LedgerError, match="scaled deposits of spot market 0"):
        drift.check()
    places[0]["scaled_balance"] -= 1
    drift.set("User", user, spot_positions=places)
    held = drift.look("User", user)["perp_positions"]
    held[0]["quote_asset_amount"] -= 1
    drift.set("User", user, perp_positions=held)
    with pytest.raises(LedgerError, match="quote of perp market 0"):
        drift.check()
    held[0]["quote_asset_amount"] += 1
    drift.set("User", user, perp_positions=held)
    drift.check()
    vault = Pubkey.from_string(drift.deployment.spot_vault(0))
    state = drift.chain.account(vault)
    has = int.from_bytes(state.data[64:72], "little")
    drift.chain.set_account(vault, owner=state.owner, data=state.data[:64] + (has - 1).to_bytes(8, "little") + state.data[72:])
    with pytest.raises(LedgerError, match="1 less than is claimed"):
        drift.check()
    drift.chain.set_account(vault, owner=state.owner, data=state.data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(BOTH),
    st.lists(
        st.one_of(
            st.tuples(st.just("trade"), st.integers(0, 1), st.integers(1, 400), st.booleans(), st.booleans()),
            st.tuples(st.just("price"), st.integers(8_000, 12_500)),
            st.tuples(st.just("time"), st.integers(60, 40_000), st.integers(-50_000_000, 50_000_000)),
            st.tuples(st.just("settle"), st.integers(0, 1)),
            st.tuples(st.just("withdraw"), st.integers(0, 1), st.integers(1, 300 * UNIT)),
            st.tuples(st.just("move"), st.integers(0, 1), st.integers(1, 300 * UNIT)),
        ),
        max_size=14,
    ),
)
def test_whatever_happens_nothing_is_made_or_lost(deployment, steps):
    drift = DriftServer(deployment, perps=[Perp("SOL-PERP", "100", fees=5 * UNIT)], coins=[Coin("SOL", 9, "100")])
    people = [trader(drift, 1_234_567_891) for _ in range(2)]
    drift.mint(people[1][0].pubkey(), 20 * COIN, 1)
    drift.deposit(people[1][0], 0, 20 * COIN, 1)
    drift.withdraw(people[1][0], 0, 2_000_000_019, reduce_only=False)  # a debt, so that interest grows
    for step in steps:
        try:
            _do(drift, people, *step)
        except ChainError as error:
            assert error.data["err"]["InstructionError"][1] != "ProgramFailedToComplete", error.data
        drift.check()


def _do(drift, people, what, *how):
    if what == "trade":
        key, user = people[how[0]]
        number = drift.order(key, 0, "SOL-PERP", how[1] * 10**7, 0, long=how[2], reduce_only=how[3])
        drift.fill(user, number)
    elif what == "price":
        drift.price("SOL-PERP", f"{how[0] / 100:.2f}")
    elif what == "time":
        drift.pass_time(how[0])
        drift.accrue()
        drift.fund("SOL-PERP", how[1])
    elif what == "settle":
        drift.settle(people[how[0]][1], "SOL-PERP", people[how[0]][0])
    elif what == "withdraw":
        drift.withdraw(people[how[0]][0], 0, how[1])
    else:
        drift.gift(people[how[0]][0].pubkey(), 0, how[1])


def test_every_keepers_work_can_be_found_again_over_the_socket():
    with drift_server(VELOCITY, perps=[HUNDRED]) as drift:
        hand = Hand(drift)
        hand.open()
        hand.deposit(500 * UNIT)
        number = drift.order(hand.key, 0, "SOL-PERP", COIN, 100 * UNIT, long=True)
        fill = drift.fill(hand.address(), number)
        drift.gift(hand.key.pubkey(), 0, UNIT)
        found = hand.rpc("getSignaturesForAddress", hand.address(), {"commitment": "confirmed"})
        assert [one["signature"] for one in found][1] == str(fill.signature)
        kinds = [type(one).__name__ for each in reversed(found) for one in hand.events(each["signature"])]
        assert kinds == ["UserCreated", "Deposited", "OrderAction", "OrderPlaced", "OrderAction", "Deposited"]
        assert hand.user().perps[0].base == COIN and hand.perp().long_base == COIN
