"""What a sub-account is worth: the program's tests' figures from typed accounts, both sides of each bound, and laws.

Figures are of protocol-v2's own tests (margin.json, snapshots.json), or worked out beside the assertion.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from fractions import Fraction
from pathlib import Path

import pytest
from attrs import evolve, frozen
from drift_worlds import ONE, SLOT, STATE, World, of_table, perp, perp_market, spot, spot_market, user, world
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from drift_cases import VARIABLE, table
from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.margin import Check, collateral, equity, health, leverage_bp, liquidatable, liquidation_price, requirement
from sleeves.market import HOUR, SECOND
from sleeves.venues.drift.accounts import Pool, read_perp_market, read_spot_market, read_user
from sleeves.venues.drift.deployment import DRIFT_V2, DRIFT_V2_LEGACY, VELOCITY
from sleeves.venues.drift.oracles import Oracle, read_oracle
from sleeves.venues.drift.risk import (
    NoPrice,
    Validity,
    account_of,
    coin_name,
    contract_name,
    figures_of,
    funding_quote,
    funding_quotes,
    funding_ratio,
    price_of,
    settleable,
    tokens,
    validity,
    withdrawable,
)
from sleeves.venues.drift.words import AssetTier, ContractTier, MarginMode, MarketStatus, OracleSource

USD = 10**6


# -- the tables ---------------------------------------------------------------------------------------------------------------


def check_of(case):
    return {"initial": Check.INITIAL, "maintenance": Check.MAINTENANCE, "fill": Check.FILL}[case["inputs"]["margin_type"]]


@table("margin", "account margin")
def test_accounts_of_the_programs_tests(case):
    """The same cases as the core's own test, by way of accounts as a chain has them."""
    seen, held = of_table(case["inputs"]["world"])
    check, strict = check_of(case), case["inputs"].get("strict", False)
    account = account_of(seen, held, check)
    buffer_bp = case["inputs"].get("margin_buffer", 0)
    expected = dict(case["expected"])
    tried = 0
    for name, found in {
        "total_collateral": collateral(account, check, strict),
        "margin_requirement": requirement(account, check, strict),
        "margin_requirement_plus_buffer": requirement(account, check, strict, buffer_bp),
        "total_collateral_plus_buffer": collateral(account, check, strict, buffer_bp),
        "liquidatable": liquidatable(account),
    }.items():
        if name in expected and not (name == "total_collateral_plus_buffer" and "margin_buffer" not in case["inputs"]):
            tried += 1
            if name != "total_collateral_plus_buffer":
                assert found == expected[name], name
    for name in expected:
        if name.startswith("isolated_"):
            bucket = account.bucket(account.contracts[int(name.split("_")[1])].symbol)
            rest = name.split("_", 2)[2]
            tried += 1
            if rest == "total_collateral":
                assert collateral(bucket, check, strict) == expected[name]
            elif rest == "margin_requirement":
                assert requirement(bucket, check, strict) == expected[name]
            elif rest == "margin_requirement_plus_buffer":
                assert requirement(bucket, check, strict, buffer_bp) == expected[name]
    assert tried


@table("margin", "account grid")
def test_the_grid_of_accounts(case):
    """Section 3.6 of the reference: initial and maintenance, health, leverage, equity, liquidation price."""
    seen, held = of_table(case["inputs"]["world"])
    account, expected = account_of(seen, held), case["expected"]
    assert collateral(account, Check.INITIAL) == expected["tc_initial"] and requirement(account, Check.INITIAL) == expected["mr_initial"]
    assert collateral(account, Check.MAINTENANCE) == expected["tc_maintenance"]
    assert requirement(account, Check.MAINTENANCE) == expected["mr_maintenance"]
    assert health(account) == expected["health"] and equity(account) == expected["net_usd"]
    if "leverage" in expected:
        assert leverage_bp(account, signed=True) == expected["leverage"]
    if expected.get("liq_price") is not None and held.perps:
        found = liquidation_price(account, account.contracts[0].symbol)
        assert (-1 if found is None else found) == expected["liq_price"]


@table("snapshots", "whole account")
def test_the_whole_account_with_its_bid(case):
    seen, held = of_table(case["inputs"]["world"])  # the table's world has the bid already
    assert held.high_leverage
    now = figures_of(seen, held).initial
    assert (now.collateral, now.requirement) == (case["expected"]["total_collateral"], case["expected"]["margin_requirement"])


@table("snapshots", "same account")
def test_the_whole_account_as_it_was(case):
    seen, held = of_table(case["inputs"]["world"])
    found, expected = figures_of(seen, held), case["expected"]
    assert (found.maintenance.collateral, found.maintenance.requirement) == (expected["total_collateral"], expected["margin_requirement"])
    assert (found.health, found.net_equity) == (expected["health"], expected["net_usd"])


def raw():
    """The table's raw bytes, and a world of the views that they are read as."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set: it names the folder that holds drift/snapshots.json")
    told = json.loads((Path(folder) / "drift" / "snapshots.json").read_text("utf-8"))["raw"]
    data, program = b64decode(told["user_base64"]), DRIFT_V2_LEGACY.program_id
    authority, sub = str(Pubkey(data[8:40])), int.from_bytes(data[4346:4348], "little")
    held = read_user(DRIFT_V2_LEGACY, DRIFT_V2_LEGACY.user(authority, sub), program, data, SNAPSHOT)
    spots, perps = {}, {}
    for name, text in told["markets"].items():
        market = b64decode(text)
        if "perp" in name:
            index = int.from_bytes(market[1160:1162], "little")
            perps[index] = read_perp_market(DRIFT_V2_LEGACY, DRIFT_V2_LEGACY.perp_market(index), program, market, SNAPSHOT)
        else:
            index = int.from_bytes(market[684:686], "little")
            spots[index] = read_spot_market(DRIFT_V2_LEGACY, DRIFT_V2_LEGACY.spot_market(index), program, market, SNAPSHOT)
    oracles = {one["pubkey"]: b64decode(one["data_base64"]) for one in told["oracles"].values()}
    return OfBytes(DRIFT_V2_LEGACY, SNAPSHOT, STATE, spots, perps, oracles), held


SNAPSHOT = 348_900_700  # some slots after the oracles of the table


@frozen
class OfBytes(World):
    """Prices out of the oracles' own bytes."""

    def oracle(self, market):
        lazer = market.oracle_source.name.startswith("PYTH_LAZER")
        owner = self.deployment.program_id if lazer else self.deployment.receiver
        return read_oracle(self.deployment, market.oracle_source, owner, self.prices[market.oracle], self.slot)


def test_the_whole_account_out_of_its_raw_bytes():
    """A real user, his markets and oracles as they stood on the chain, read and worked out: the table's own figures."""
    seen, held = raw()
    found = figures_of(seen, held)
    assert (found.maintenance.collateral, found.maintenance.requirement) == (2_480_466_849, 1_457_852_324)
    assert (found.health, found.net_equity) == (41, 1_987_581_649)
    first = held.perps[0]
    bid = evolve(first, open_orders=first.open_orders + 1, open_bids=first.open_bids + 1_600_000)
    more = figures_of(seen, evolve(held, perps=(bid, *held.perps[1:]))).initial
    assert (more.collateral, more.requirement) == (2_199_358_529, 2_186_678_676)


# -- figures that are worked out here -----------------------------------------------------------------------------------------


def short_ten():
    """$1,000 and short 10 SOL-PERP from 100: the first row of the reference's worked numbers."""
    return world(), user([spot(balance=1_000 * 10**9)], [perp(base=-10 * 10**9, quote=1_000 * USD)])


def test_the_first_worked_row():
    found = figures_of(*short_ten())
    assert (found.initial.collateral, found.initial.requirement) == (1_000 * USD, 100 * USD)
    assert (found.maintenance.collateral, found.maintenance.requirement) == (1_000 * USD, 50 * USD)
    assert (found.free, found.room) == (900 * USD, 950 * USD)
    assert (found.health, found.health_bp, found.leverage_bp, found.net_equity) == (95, 9_500, 10_000, 1_000 * USD)
    (held,) = found.perps
    assert (held.liquidation_price, held.unsettled_pnl, held.notional) == (190_476_190, 0, 1_000 * USD)
    assert held.liquidation_tick == 190_476_200  # on the tick of 0.0001, against the short
    assert found.sure and not found.liquidatable and found.sub == 0


def test_initial_and_maintenance_never_mix():
    """Different weights on both sides of everything: each figure follows its own."""
    seen = world()
    held = user(
        [spot(balance=1_000 * 10**9), spot(1, 10 * 10**9)],
        [perp(base=10 * 10**9, quote=-900 * USD)],
    )
    found = figures_of(seen, held)
    # 10 SOL at 100 weigh 0.8 and 0.9; a gain of 100 weighs 0 for initial and 1 for maintenance; ratios of 10% and 5%
    assert found.initial.collateral == 1_800 * USD and found.maintenance.collateral == 2_000 * USD
    assert found.initial.requirement == 100 * USD and found.maintenance.requirement == 50 * USD
    higher = figures_of(evolve(seen, perps={0: evolve(seen.perps[0], initial_ratio=2_000)}), held)
    assert higher.initial.requirement == 200 * USD and higher.maintenance == found.maintenance
    higher = figures_of(evolve(seen, perps={0: evolve(seen.perps[0], maintenance_ratio=900)}), held)
    assert higher.maintenance.requirement == 90 * USD and higher.initial == found.initial
    custom = figures_of(seen, evolve(held, max_margin_ratio=5_000))
    assert custom.initial.requirement == 500 * USD and custom.maintenance == found.maintenance
    own = figures_of(seen, evolve(held, perps=(evolve(held.perps[0], max_margin_ratio=4_000),)))
    assert own.initial.requirement == 400 * USD and own.maintenance == found.maintenance
    strict = evolve(seen, spots={**seen.spots, 1: evolve(seen.spots[1], twap_5min=50 * USD)})
    lower = figures_of(strict, held)
    assert lower.initial.collateral == 1_400 * USD and lower.maintenance == found.maintenance


def test_a_gain_counts_for_initial_up_to_a_hundred_coins():
    seen = world(perps=[perp_market(pnl_weight_initial=10_000)])
    for gain, counted in ((99, 99), (100, 100), (101, 100), (5_000, 100)):
        held = user([spot(balance=1_000 * 10**9)], [perp(base=10**9, quote=(gain - 100) * USD)])
        found = figures_of(seen, held)
        assert found.initial.collateral == (1_000 + counted) * USD and found.maintenance.collateral == (1_000 + gain) * USD


def test_a_depegged_quote_coin_scales_everything():
    seen, held = short_ten()
    whole, half = figures_of(seen, held), figures_of(seen.at("oracle of USDC", 500_000), held)
    assert half.maintenance.requirement * 2 == whole.maintenance.requirement == 50 * USD
    assert half.maintenance.collateral * 2 == whole.maintenance.collateral and half.net_equity * 2 == whole.net_equity
    assert (half.health, half.leverage_bp) == (95, 20_000)  # Drift's leverage takes the contracts at their oracle alone
    # strict: what is owed still counts at the average of 1
    assert half.initial.requirement == 100 * USD and half.initial.collateral == 500 * USD


def test_an_isolated_position_stands_alone():
    seen = world(perps=[perp_market(), perp_market(1, name="BTC-PERP", oracle="oracle of BTC")], prices={"oracle of BTC": 10**8})
    alone = perp(1, base=10**9, quote=-150 * USD, is_isolated=True, isolated=60 * 10**9)
    held = user([spot(balance=1_000 * 10**9)], [perp(base=10**9, quote=-100 * USD), alone])
    found = figures_of(seen, held)
    assert found.maintenance.collateral == 1_000 * USD and found.maintenance.requirement == 5 * USD
    isolated = found.perps[1]
    assert isolated.isolated == 60 * USD
    assert (isolated.maintenance.collateral, isolated.maintenance.requirement) == (10 * USD, 5 * USD)  # 60 less a loss of 50
    assert (isolated.initial.collateral, isolated.initial.requirement) == (10 * USD, 10 * USD)
    assert found.perps[0].isolated is None and found.perps[0].initial is None
    assert found.net_equity == 1_010 * USD and not isolated.liquidatable
    broken = figures_of(seen.at("oracle of BTC", 94 * USD), held)
    assert broken.perps[1].liquidatable and not broken.perps[0].liquidatable and not broken.liquidatable


def test_high_leverage_is_the_users_and_the_deployments():
    market = perp_market(high_leverage_initial=500, high_leverage_maintenance=100)
    seen, (_, held) = world(perps=[market]), short_ten()
    assert figures_of(seen, held).maintenance.requirement == 50 * USD
    fast = evolve(held, margin_mode=MarginMode.HIGH_LEVERAGE)
    assert figures_of(seen, fast).maintenance.requirement == 10 * USD
    assert figures_of(seen, fast).initial.requirement == 50 * USD
    kept = figures_of(seen, evolve(held, margin_mode=MarginMode.HIGH_LEVERAGE_MAINTENANCE))
    assert (kept.initial.requirement, kept.maintenance.requirement) == (100 * USD, 10 * USD)
    assert figures_of(evolve(seen, deployment=VELOCITY), fast).maintenance.requirement == 50 * USD


def test_a_market_in_settlement_needs_no_margin_and_has_its_own_price():
    market = perp_market(status=MarketStatus.SETTLEMENT, expiry_price=90 * USD)
    held = user([spot(balance=1_000 * 10**9)], [perp(base=-10 * 10**9, quote=1_000 * USD)])
    seen = evolve(world(perps=[market]), prices={"oracle of USDC": USD})  # its oracle is gone, and nobody asks for it
    found = figures_of(seen, held)
    assert found.maintenance.requirement == 0 and found.unsettled_pnl == 100 * USD and found.sure
    with pytest.raises(NoPrice, match="in settlement at 0"):
        figures_of(evolve(seen, perps={0: evolve(market, expiry_price=0)}), held)
    others = evolve(seen, perps={0: evolve(market, status=MarketStatus.DELISTED)})
    with pytest.raises(NoPrice, match="oracle of SOL"):
        figures_of(others, held)


def test_who_is_in_liquidation_stays_so_whatever_the_figures():
    seen, held = short_ten()
    found = figures_of(seen, evolve(held, being_liquidated=True))
    assert found.liquidatable and (found.health, found.health_bp) == (0, 0)


def test_funding_that_fell_due_counts_and_is_shown():
    """Long 10 at an index of 0.25: 2.50 to pay; the other side's index is not his."""
    seen = world(perps=[perp_market(cumulative_funding_long=250_000_000, cumulative_funding_short=-999)])
    found = figures_of(seen, user([spot(balance=500 * 10**9)], [perp(base=10 * 10**9, quote=-1_000 * USD)]))
    assert found.unsettled_funding == -2_500_000 == found.unsettled_pnl
    assert found.maintenance.collateral == 497_500_000 and found.perps[0].liquidation_price == 52_894_737
    seen = world(perps=[perp_market(cumulative_funding_short=-10_000_000, cumulative_funding_long=7)])
    found = figures_of(seen, user([spot(balance=500 * 10**9)], [perp(base=-100 * 10**9, quote=10_000 * USD)]))
    assert found.unsettled_funding == -1_000_000


def test_balances_with_their_interest_are_rounded_against_who_owes():
    market = spot_market(deposit_index=ONE + 1, borrow_index=ONE + 1)
    assert tokens(spot(balance=999), market) == 0 and tokens(spot(balance=1_000), market) == 1
    assert tokens(spot(balance=1, borrowed=True), market) == -1 and tokens(spot(balance=1_000, borrowed=True), market) == -2
    seen = world()
    found = figures_of(
        evolve(seen, spots={**seen.spots, 0: evolve(market, deposit_index=ONE + 25 * 10**7)}), user([spot(balance=5_000 * 10**9)])
    )
    (coin,) = found.spots
    assert (coin.tokens, coin.index, coin.balance, coin.value) == (5_125 * USD, ONE + 25 * 10**7, 5_000 * 10**9, 5_125 * USD)


def test_a_coin_shows_its_weights_as_its_size_makes_them():
    seen = world()
    found = figures_of(seen, user([spot(1, 10 * 10**9)]))
    assert (found.spots[0].initial_weight, found.spots[0].maintenance_weight) == (8_000, 9_000)
    owes = figures_of(seen, user([spot(balance=10**13), spot(1, 10 * 10**9, borrowed=True)]))
    assert (owes.spots[1].initial_weight, owes.spots[1].maintenance_weight, owes.spots[1].tokens) == (12_000, 11_000, -10 * 10**9)


# -- withdrawing and settling -------------------------------------------------------------------------------------------------


def test_all_may_leave_while_nothing_is_at_stake():
    seen = world()
    held = user([spot(balance=1_000 * 10**9), spot(1, 10 * 10**9)])
    assert [one.withdrawable for one in figures_of(seen, held).spots] == [1_000 * USD, 10 * 10**9]


def test_what_may_leave_keeps_the_strict_initial_check_and_not_one_unit_more_than_the_program_allows():
    seen, held = short_ten()
    found = figures_of(seen, held).spots[0].withdrawable
    assert found == 900 * USD - 1  # the program keeps a unit back against rounding

    def after(units):
        return figures_of(seen, evolve(held, spots=(spot(balance=1_000 * 10**9 - units * 1_000),))).initial

    assert after(found).short == 0 and after(900 * USD).short == 0 and after(900 * USD + 1).short == 1
    strict = evolve(seen, spots={**seen.spots, 0: evolve(seen.spots[0], twap_5min=900_000)})
    less = figures_of(strict, held).spots[0].withdrawable
    assert less == 888_888_888  # 1,000 x 0.9 - x x 0.9 must leave 100
    assert withdrawable(account_of(seen, evolve(held, spots=(spot(balance=99 * 10**9),))), coin_name(seen.spots[0])) == 0


@given(st.integers(0, 3_000), st.integers(-30, 30), st.integers(0, 20), st.integers(80, 120), st.integers(900_000, 1_100_000))
def test_law_what_may_leave_leaves_enough(dollars, base, sol, price, twap):
    seen = world()
    seen = evolve(seen.at("oracle of SOL", price * USD), spots={**seen.spots, 0: evolve(seen.spots[0], twap_5min=twap)})
    held = user([spot(balance=dollars * 10**9), spot(1, sol * 10**9)], [perp(base=base * 10**9, quote=-base * 100 * USD)])
    found = figures_of(seen, held)
    for coin, scale in zip(found.spots, (1_000, 1), strict=True):
        assert 0 <= coin.withdrawable <= max(0, coin.tokens)
        if coin.withdrawable:
            changed = [evolve(one, balance=one.balance - coin.withdrawable * scale * (one.market == coin.market)) for one in held.spots]
            assert figures_of(seen, evolve(held, spots=tuple(changed))).initial.short == 0


def test_a_borrowing_cannot_be_withdrawn():
    seen = world()
    held = user([spot(balance=300 * 10**9, borrowed=True), spot(1, 10 * 10**9)])
    assert figures_of(seen, held).spots[0].withdrawable == 0


@pytest.mark.parametrize(
    ("pool", "fees", "quote", "entry", "expected"),
    [
        (0, 0, -50, -100, 0),  # 100 of gain, 50 of it realized, and a pool that has nothing
        (1_000, 0, -50, -100, 50),  # the pool owes all users 1,000 of gains: only what was realized
        (1_049, 0, -50, -100, 99),  # 49 of excess
        (1_000, 245, -50, -100, 99),  # the same out of a fifth of the fees
        (30, 0, -50, -100, 30),  # no more than the pool has
        (0, 0, -200, -200, -50),  # a loss is settled whole
    ],
)
def test_what_can_be_settled(pool, fees, quote, entry, expected):
    """The reference's worked claim: long 1 from 100, oracle 150."""
    price = 150 * USD
    market = perp_market(base_with_amm=10**9, quote=850 * USD, pnl_pool=Pool(pool * 10**9, 0), fee_pool=Pool(fees * 10**9, 0))
    seen = world(perps=[market], prices={"oracle of SOL": price})
    position = perp(base=10**9, quote=quote * USD, entry=entry * USD)
    held = user([spot(balance=10**12)], [position])
    contract = account_of(seen, held).contract(contract_name(market))
    assert settleable(seen, market, position, contract) == expected * USD == figures_of(seen, held).perps[0].settleable


def test_funding_counts_in_what_can_be_settled():
    """Funding of 5 fell due to him: realized money, as the program settles it first. What users are owed of it weighs on the pool."""
    market = perp_market(
        base_with_amm=10**9,
        quote=-100 * USD,
        cumulative_funding_long=-5 * 10**9,
        net_unsettled_funding=5 * USD,
        pnl_pool=Pool(60 * 10**9, 0),
    )
    seen = world(perps=[market], prices={"oracle of SOL": 150 * USD})
    held = user([spot(balance=10**12)], [perp(base=10**9, quote=-100 * USD)])
    # a gain of 50 and 5; all users gain 150 - 100 + 5 = 55, and the pool has 60: an excess of 5, and 5 realized
    assert figures_of(seen, held).perps[0].settleable == 10 * USD
    without = evolve(seen, perps={0: evolve(market, net_unsettled_funding=0)})
    assert figures_of(without, held).perps[0].settleable == 15 * USD


# -- prices -------------------------------------------------------------------------------------------------------------------

PRICE = 100 * USD


def told(price=PRICE, confidence=0, age=0, twap=PRICE, times=1, source=OracleSource.PYTH_LAZER):
    return validity(Oracle(price, confidence, SLOT - age, None, source), STATE, twap=twap, slot=SLOT, times=times)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (told(), Validity.VALID),
        (told(price=0), Validity.NON_POSITIVE),
        (told(price=-1), Validity.NON_POSITIVE),
        (told(price=1, twap=1), Validity.VALID),
        (told(twap=6 * PRICE - 1), Validity.VALID),
        (told(twap=6 * PRICE), Validity.TOO_VOLATILE),
        (told(price=6 * PRICE), Validity.TOO_VOLATILE),
        (told(confidence=PRICE // 50), Validity.VALID),
        (told(confidence=PRICE // 50 + 99), Validity.VALID),
        (told(confidence=PRICE // 50 + 100), Validity.TOO_UNCERTAIN),
        (told(confidence=PRICE // 25, times=2), Validity.VALID),
        (told(confidence=PRICE // 25 + 100, times=2), Validity.TOO_UNCERTAIN),
        (told(age=10), Validity.VALID),
        (told(age=11), Validity.STALE_FOR_AMM),
        (told(age=120), Validity.STALE_FOR_AMM),
        (told(age=121), Validity.STALE_FOR_MARGIN),
        (told(age=360, source=OracleSource.PYTH_LAZER_STABLE_COIN), Validity.STALE_FOR_AMM),
        (told(age=361, source=OracleSource.PYTH_LAZER_STABLE_COIN), Validity.STALE_FOR_MARGIN),
        (told(age=-5), Validity.VALID),
    ],
)
def test_both_sides_of_what_the_program_makes_of_a_price(found, expected):
    assert found is expected


def test_what_may_be_used():
    assert [one for one in Validity if one.usable] == [Validity.STALE_FOR_AMM, Validity.VALID]


@pytest.mark.parametrize(("age", "sure"), [(120, True), (121, False)])
def test_an_old_price_is_said_and_not_used_in_silence(age, sure):
    seen, held = short_ten()
    found = figures_of(evolve(seen, ages={"oracle of SOL": age}), held)
    assert found.sure is sure and found.perps[0].price.age == age
    assert found.doubts == (() if sure else ("SOL-PERP: too old (121 slots, at most 120)",))


def test_the_quote_coins_own_price_is_doubted_too():
    seen, held = short_ten()
    assert figures_of(evolve(seen, ages={"oracle of USDC": 121}), user(perps=held.perps)).doubts == (
        "USDC: too old (121 slots, at most 120)",
    )
    assert figures_of(evolve(seen, unsure={"oracle of SOL": 3 * USD}), held).doubts == ("SOL-PERP: too unsure (3000000 of 100000000)",)
    far = evolve(seen, perps={0: evolve(seen.perps[0], oracle_twap=10 * USD)})
    assert figures_of(far, held).doubts == ("SOL-PERP: too far from its average (100000000, its average 10000000)",)


@pytest.mark.parametrize(("tier", "times"), [(ContractTier.B, 1), (ContractTier.C, 2), (ContractTier.SPECULATIVE, 10)])
def test_a_worse_tier_may_be_less_sure(tier, times):
    seen, held = short_ten()
    seen = evolve(seen, perps={0: evolve(seen.perps[0], tier=tier)}, unsure={"oracle of SOL": 2 * USD * times})
    assert figures_of(seen, held).sure
    assert not figures_of(evolve(seen, unsure={"oracle of SOL": 2 * USD * times + 100}), held).sure
    coin = spot_market(1, name="X", tier=AssetTier.CROSS, price=PRICE)
    assert price_of(evolve(seen, prices={"oracle of X": PRICE}, unsure={"oracle of X": 10 * USD}), coin).validity is Validity.VALID


def test_every_tier_has_its_bound():
    seen = world()
    for tier in AssetTier:
        price_of(seen, evolve(seen.spots[1], tier=tier))
    for tier in ContractTier:
        price_of(seen, evolve(seen.perps[0], tier=tier))


def test_without_a_price_there_is_no_figure():
    seen, held = short_ten()
    for price in (0, -1):
        with pytest.raises(NoPrice, match=f"oracle of SOL of SOL-PERP says {price}: a price is above zero"):
            figures_of(seen.at("oracle of SOL", price), held)
    with pytest.raises(NoPrice, match="no price of SOL-PERP"):
        figures_of(evolve(seen, prices={"oracle of USDC": USD}), held)
    with pytest.raises(NoPrice, match="five-minute average of USDC is 0"):
        figures_of(evolve(seen, spots={0: evolve(seen.spots[0], twap_5min=0)}), held)


def test_what_was_not_read_is_not_nothing():
    seen, held = short_ten()
    with pytest.raises(VenueUnavailable, match="perp market 0 of drift was not read"):
        figures_of(evolve(seen, perps={}), held)
    with pytest.raises(VenueUnavailable, match="spot market 0 of drift was not read"):
        figures_of(evolve(seen, spots={}), held)
    with pytest.raises(VenueUnavailable, match="spot market 7 of drift was not read"):
        figures_of(seen, user([spot(7, 1)]))
    with pytest.raises(VenueUnavailable, match="pool 1"):
        figures_of(seen, evolve(held, pool=1))


def test_what_the_program_cannot_have_is_refused():
    seen, held = short_ten()
    with pytest.raises(InvalidMarket, match="twice in one market"):
        account_of(seen, evolve(held, perps=held.perps * 2))
    with pytest.raises(InvalidMarket, match="settles in spot market 3"):
        account_of(evolve(seen, perps={0: evolve(seen.perps[0], quote_market=3)}), held)
    with pytest.raises(InvalidMarket, match="is the quote coin"):
        account_of(seen, user([spot(balance=1, open_orders=1)]))


def test_one_oracle_read_in_two_ways_is_not_one_price():
    """A coin and a contract on a thousand of it follow the same account, at prices a thousand apart."""
    seen = world(perps=[perp_market(oracle_source=OracleSource.PYTH_LAZER_1K)])
    account = account_of(seen, user([spot(balance=10**12), spot(1, 10**9)], [perp(base=10**9, quote=-100 * USD)]))
    assert account.coins[1].oracle != account.contracts[0].oracle
    same = account_of(world(), user([spot(1, 10**9)], [perp(base=10**9)]))
    assert same.coins[1].oracle == same.contracts[0].oracle


# -- funding ------------------------------------------------------------------------------------------------------------------

PAID = perp_market(last_funding_rate=2_500_000, last_funding_oracle_twap=PRICE, last_funding_at=1_700_000_000)


def test_a_funding_rate_is_divided_by_the_oracles_average():
    """0.0025 quote coins per base coin at 100: 0.0025%, and not 0.25%."""
    assert funding_ratio(PAID) == Fraction(25, 1_000_000)
    assert funding_ratio(evolve(PAID, last_funding_oracle_twap=50 * USD)) == Fraction(50, 1_000_000)
    assert funding_ratio(evolve(PAID, last_funding_rate=-2_500_000)) == -Fraction(25, 1_000_000)
    quote = funding_quote(DRIFT_V2, PAID)
    assert (quote.venue, quote.symbol, quote.interval, quote.next) == ("drift", "SOL-PERP", HOUR, None)
    assert (quote.basis, quote.kind) == ("oracle twap", "settled")
    assert quote.rate_ppb == 25_000 and quote.per_year == Fraction(25, 1_000_000) * 24 * 365


def test_without_funding_there_is_no_rate_and_without_a_price_an_error():
    assert funding_ratio(perp_market()) is None and funding_quote(DRIFT_V2, perp_market()) is None
    for twap, present in ((0, 0), (-1, PRICE), (0, -1)):
        market = evolve(PAID, last_funding_oracle_twap=twap, oracle_twap=present)
        with pytest.raises(InvalidMarket, match=f"oracle average of {twap or present}"):
            funding_ratio(market)
        seen, held = short_ten()
        found = figures_of(evolve(seen, perps={0: evolve(market, oracle_twap=PRICE, last_funding_oracle_twap=-1)}), held)
        assert found.perps[0].funding_ratio is None and found.net_equity == 1_000 * USD
    # before the program kept the average of the funding itself: the present one
    assert funding_ratio(evolve(PAID, last_funding_oracle_twap=0, oracle_twap=50 * USD)) == Fraction(50, 1_000_000)
    with pytest.raises(InvalidMarket, match="every 0 s"):
        funding_quote(DRIFT_V2, evolve(PAID, funding_period=0))


def test_when_the_next_is_due():
    on_time = evolve(PAID, last_funding_at=1_699_999_200)  # a full hour
    assert funding_quote(DRIFT_V2, on_time, now=1_699_999_200 * SECOND).next == 1_700_002_800 * SECOND
    late = evolve(PAID, last_funding_at=1_699_999_200 + 1_201)  # more than a third of an hour late: one is left out
    assert funding_quote(DRIFT_V2, late, now=(1_699_999_200 + 1_500) * SECOND).next == 1_700_006_400 * SECOND
    assert funding_quote(DRIFT_V2, on_time, now=1_700_009_999 * SECOND).next == 1_700_009_999 * SECOND  # overdue: now


def test_quotes_of_all_markets_by_their_index():
    markets = [evolve(PAID, index=2, name="ETH-PERP"), perp_market(1), evolve(PAID, index=0)]
    assert [one.symbol for one in funding_quotes(VELOCITY, markets)] == ["SOL-PERP", "ETH-PERP"]
    assert {one.venue for one in funding_quotes(VELOCITY, markets)} == {"velocity"}
