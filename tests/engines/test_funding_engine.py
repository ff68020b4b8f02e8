"""The funding engine: each rule on both sides of its threshold, laws over random paths, and stories on the simulator.

For the rules it sits at a `Stand`: a real desk over a real vault, and a venue that the test plays.
"""

from __future__ import annotations

import copy
import csv
import gzip
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from hypothesis import assume, given
from hypothesis import strategies as st

from funding_stand import BTCPERP, BTCSPOT, GOOD, PERP, PLAIN, SPOT, START, Stand, engine, entered, text
from sleeves import BTC, QUIET, SOL, USDC, USDT, Asset, CoreVault, Desk, Instrument
from sleeves.engines.carry import Carry, Hedge, Pair
from sleeves.engines.funding import Funding, FundingMemory, Result
from sleeves.engines.rates import lasting, percent, rate_ppb
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.facts import FundingPaid
from sleeves.guards import HealthAfter, Leverage, Profit
from sleeves.margin import Check, equity, health_bp, notional, standing
from sleeves.market import BP, DAY, HOUR, MINUTE, SECOND, FundingRate, Kind
from sleeves.money import PPM, Rounding
from sleeves.orders import Bundle, Command, Fill, Intent, Order, Place, Rejected, Side
from sleeves.protocols import View
from sleeves.records import Alert, Placed, Refusal
from sleeves.sim import Exchange, Fees, Rules, Slippage, Tape, account_of, replay
from strategies import heavy, law

# -- what a hedge is, brings and costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "every", "horizon", "keep", "revenue"),
    [
        ("0.1%", 8 * HOUR, 14 * DAY, 500_000, 21_000),  # 42 intervals of 0.1%, at half
        ("0.1%", 8 * HOUR, 14 * DAY, 1_000_000, 42_000),
        ("0.0125%", HOUR, 14 * DAY, 500_000, 21_000),  # the same, paid hourly
        ("-0.1%", 8 * HOUR, 14 * DAY, 500_000, -42_000),  # a loss counts in full
        ("0%", 8 * HOUR, 14 * DAY, 500_000, 0),
        ("0.0304762%", 8 * HOUR, 14 * DAY, 500_000, 6_400),  # 6,400.002, rounded down
        ("0.0304761%", 8 * HOUR, 14 * DAY, 500_000, 6_399),
    ],
)
def test_revenue_is_the_rate_over_the_horizon_at_half(rate: str, every: int, horizon: int, keep: int, revenue: int) -> None:
    news = FundingRate.of(PERP, rate, price="100", at=0, every=every)
    carry = Carry.of(PLAIN, news, worth=1, horizon=horizon, keep_ppm=keep)
    assert (carry.revenue_ppm, carry.cost_ppm, carry.net_ppm) == (revenue, 6_400, revenue - 6_400)


def test_a_rate_in_coins_is_a_part_of_notional_before_it_gets_here() -> None:
    """Drift's figure is USD per coin and hour: at 150 a coin 0.015 is 0.01% an hour, and not 1.5% as the origin read it."""
    news = FundingRate.per_coin(PERP, "0.015", price="150", at=0, every=HOUR)
    assert Carry.of(PLAIN, news, worth=1, horizon=DAY, keep_ppm=PPM).revenue_ppm == 24 * 100


@pytest.mark.parametrize(("worth", "cost"), [(10**18, 6_401), (10**9, 6_800), (10**8, 10_400), (3 * 10**8, 7_734), (1, 400_000_006_400)])
def test_costs_are_both_legs_in_and_out_with_what_an_order_costs(worth: int, cost: int) -> None:
    """0.1% and 0.02% of fees and 0.1% of slippage on each leg, twice, and 0.1 coins for each of four orders, rounded up."""
    assert Pair(SPOT, PERP, per_order="0.1").cost_ppm(worth) == cost
    assert PLAIN.cost_ppm(worth) == 6_400


@pytest.mark.parametrize(
    ("coins", "contracts", "reserved", "hedgeable", "net", "drift", "within"),
    [
        (10_000, -10_000, 0, 10_000, 0, 0, True),
        (10_000, -9_900, 0, 10_000, 100, 10_000, True),  # exactly 1%
        (10_000, -9_899, 0, 10_000, 101, 10_100, False),
        (10_000, -10_100, 0, 10_000, -100, -10_000, True),
        (10_000, -10_101, 0, 10_000, -101, -10_100, False),
        (10_017, -10_000, 17, 10_000, 0, 0, True),
        (17, 0, 17, 0, 0, 0, True),
        (16, 0, 17, 0, 0, 0, True),
        (17, -1, 17, 0, -1, 0, False),  # what the origin took for "within tolerance"
        (0, -10_000, 0, 0, -10_000, 0, False),
        (0, 5, 0, 0, 5, 0, False),
        (10_000, 0, 0, 10_000, 10_000, 1_000_000, False),
    ],
)
def test_drift_is_net_over_hedgeable_and_a_naked_short_is_never_within_tolerance(
    coins: int, contracts: int, reserved: int, hedgeable: int, net: int, drift: int, within: bool
) -> None:
    hedge = Hedge(coins, contracts, reserved)
    assert (hedge.hedgeable, hedge.net, hedge.drift_ppm, hedge.within(10_000)) == (hedgeable, net, drift, within)


@law
@given(st.integers(0, 10**12), st.integers(-(10**12), 10**12), st.integers(0, 10**10), st.integers(0, PPM))
def test_law_within_is_the_drift_to_the_unit(coins: int, contracts: int, reserved: int, tolerance: int) -> None:
    hedge = Hedge(coins, contracts, reserved)
    hedgeable = max(0, coins - reserved)
    assert hedge.within(tolerance) is (
        abs(Fraction(hedgeable + contracts, hedgeable)) <= Fraction(tolerance, PPM) if hedgeable else contracts == 0
    )


@pytest.mark.parametrize(("pair", "reserved"), [(Pair(SPOT, PERP), "0.017"), (Pair(BTCSPOT, BTCPERP), "0"), (PLAIN, "0")])
def test_of_sol_what_pays_for_transactions_is_reserved(pair: Pair, reserved: str) -> None:
    assert pair.reserved_units == pair.spot.base(reserved).units


COARSE = Instrument("SOL-C", base=SOL, quote=USDC, tick="0.01", lot="0.025", kind=Kind.PERP)


def test_the_step_is_whole_lots_of_both_markets() -> None:
    fine = Instrument("SOL/F", base=SOL, quote=USDC, tick="0.01", lot="0.01")
    assert Pair(fine, COARSE).step == SOL("0.05").units
    assert PLAIN.step == SOL("0.001").units


@pytest.mark.parametrize(
    ("rate", "ppb"),
    [("0.05%", 500_000), ("0.0005", 500_000), ("-0.05%", -500_000), (" -0.0005 ", -500_000), ("0.0000001%", 1), ("1", 10**9)],
)
def test_a_rate_is_read_exactly(rate: str, ppb: int) -> None:
    assert rate_ppb(rate) == ppb


@pytest.mark.parametrize("bad", ["", "much", "NaN", "inf", "0.00000001%", "1e-3", 0.0005, 5, None, True])
def test_what_is_no_rate_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidAmount):
        rate_ppb(bad)


def test_words() -> None:
    assert [lasting(ns) for ns in (14 * DAY, 8 * HOUR, 30 * MINUTE, 90 * SECOND, SECOND // 2)] == [
        "14 days",
        "8 h",
        "30 min",
        "90 s",
        "0.5 s",
    ]
    assert (percent(-6_400), percent(-500_000, 10**9), percent(0)) == ("-0.64%", "-0.05%", "0%")


# -- entering ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "enters"), [("0.0304762%", True), ("0.0304761%", False), ("0%", False), ("-1%", False), ("1%", True)])
def test_it_enters_where_half_of_the_rate_pays_for_all_costs_and_not_below(rate: str, enters: bool) -> None:
    """Costs of 0.64%: 42 intervals at half of 0.0304762% are 0.6400002%."""
    stand = Stand(engine())
    stand.at("100")
    orders = stand.rate(rate)
    assert bool(orders) is enters
    assert stand.result is (Result.ENTERING if enters else Result.OUT)


@pytest.mark.parametrize(("least", "enters"), [("1.46%", True), ("1.4601%", False), ("-1%", True)])
def test_the_least_carry_is_a_parameter(least: str, enters: bool) -> None:
    stand = Stand(engine(least_net=least))
    stand.at("100")
    assert bool(stand.rate("0.1%")) is enters  # 2.1% - 0.64%


def test_a_dearer_venue_is_entered_for_a_higher_rate_only() -> None:
    for fee, enters in (("0.4%", True), ("0.4001%", False)):
        stand = Stand(engine(Pair(SPOT, PERP, reserved="0", spot_fee=fee, perp_fee="0.45%", slippage="0.1%")))
        stand.at("100")
        assert bool(stand.rate("0.1%")) is enters


def test_what_orders_cost_keeps_small_hedges_out() -> None:
    """Four orders at 2 coins are 8: of 500 coins that is 1.6%, of 5,000 coins 0.16%, and 1.46% are left of the rate."""
    pair = Pair(SPOT, PERP, reserved="0", per_order="2")
    for money, enters in (("500", False), ("5000", True)):
        stand = Stand(engine(pair), money)
        stand.at("100")
        assert bool(stand.rate("0.1%")) is enters


def test_both_legs_are_the_same_size_and_go_as_a_bundle_with_the_short_first() -> None:
    stand = Stand(engine())
    stand.at("100")
    short, buy = stand.rate(GOOD)
    assert (short.place.instrument, short.place.side) == (PERP, Side.SELL)
    assert (buy.place.instrument, buy.place.side) == (SPOT, Side.BUY)
    assert short.place.qty == buy.place.qty > 0
    assert stand.sleeve.position(SPOT) == -stand.sleeve.position(PERP)
    placed = [record for record in stand.desk.books.journal if isinstance(record, Placed)]
    assert len({record.bundle for record in placed} - {""}) == 1


def test_the_less_liquid_leg_is_a_parameter() -> None:
    stand = Stand(engine(Pair(SPOT, PERP, reserved="0", first=Kind.SPOT)))
    stand.at("100")
    assert [order.place.instrument for order in stand.rate(GOOD)] == [SPOT, PERP]


def test_what_is_reserved_is_bought_besides_and_not_hedged() -> None:
    stand = entered(Stand(engine(Pair(SPOT, PERP))))
    coins, contracts = stand.sleeve.position(SPOT), stand.sleeve.position(PERP)
    assert coins + contracts == SOL("0.017")
    assert stand.at("100") == []
    assert (stand.seen().hedge.net, stand.result) == (0, Result.OK)


def test_the_short_says_what_it_expects_so_that_a_gate_can_weigh_it() -> None:
    """42 intervals of 0.1% of what it is worth: the whole rate, of which the gate takes its own part."""
    stand = Stand(engine())
    stand.at("100")
    short, buy = stand.rate("0.1%")
    assert short.place.expect == PERP.cost(10_000, short.place.qty, Rounding.FLOOR) * 42 // 1000
    assert buy.place.expect is None


def needed(stand: Stand, qty: int) -> int:
    """By the formula of the docs: the hold of the coins, the hold of the short, and room for a rise."""
    view = stand.view()
    price, margin = view.hold(Place(SPOT, Side.BUY, qty)), view.hold(Place(PERP, Side.SELL, qty))
    assert price is not None
    assert margin is not None
    return price + margin - -PERP.cost(stand.prices[PERP], qty, Rounding.FLOOR) * stand.engine.room_ppm // PPM


@heavy
@given(st.integers(50_00, 500_00), st.sampled_from(["100", "1234.567891", "50000"]), st.sampled_from(["0%", "20%", "60%"]))
def test_it_is_as_large_as_money_margin_and_room_allow_and_not_a_lot_larger(price: int, money: str, room: str) -> None:
    stand = Stand(engine(room=room, most_leverage="1000", least_health=0, critical=0), money, most_leverage=1000)
    stand.at(price)
    fresh = Stand(engine(room=room), money)
    fresh.at(price)
    (short, _) = stand.rate(GOOD)
    assert needed(fresh, short.place.qty) <= USDC(money).units < needed(fresh, short.place.qty + PLAIN.step)
    assert not [record for record in stand.desk.books.journal if isinstance(record, Refusal)], "it asked for more than it could have"


def test_by_hand_three_quarters_of_the_money_go_into_coins() -> None:
    """10,000 / (1.005 x 1.004 + 1.005 x 0.104 + 0.005 + 0.2), at 100 a coin."""
    stand = entered(Stand(engine()))
    assert stand.hedge == ("75.841", "-75.841")
    assert pytest.approx(7_584.1, abs=0.1) == 10_000 / (1.005 * 1.004 + 1.005 * 0.104 + 0.005 + 0.2)


@pytest.mark.parametrize("least", [60, 85, 90])
def test_it_asks_for_nothing_that_leaves_less_than_the_least_health(least: int) -> None:
    """After the coins are paid: one step more of both legs would leave less."""
    stand = Stand(engine(room="0%", least_health=least, most_leverage="1000"), most_leverage=1000)
    stand.at("100")
    stand.rate(GOOD)
    qty = -stand.sleeve.position(PERP).units
    account = stand.view().exposure()
    assert account is not None
    assert health_bp(account) >= least * 100
    fresh = Stand(engine())
    fresh.at("100")
    after = health_after(fresh, qty), health_after(fresh, qty + PLAIN.step)
    assert after[0] >= least * 100 > after[1] or least == 60  # at 60 it is the money that ends


def health_after(stand: Stand, qty: int) -> int:
    """With all allowances spent: what the engine reckons with."""
    view, short, buy = stand.view(), Place(PERP, Side.SELL, qty), Place(SPOT, Side.BUY, qty)
    account, price, margin = view.exposure(short), view.hold(buy), view.hold(short)
    assert account is not None
    assert price is not None
    assert margin is not None
    stands = standing(account, Check.MAINTENANCE)
    left = stands.collateral - price - (margin - PERP.cost(stand.prices[PERP], qty, Rounding.FLOOR) // 10)
    return (left - stands.requirement) * BP // left if left > 0 else 0


@pytest.mark.parametrize(("most", "desk"), [("1", 10), ("2", 10), ("0.5", 10), ("5", 1), ("1000", 2)])
def test_contracts_are_at_most_so_many_times_what_stands_behind_them(most: str, desk: int) -> None:
    """The engine's own figure, or the desk's where that is stricter; never in vain."""
    stand = entered(Stand(engine(room="0%", most_leverage=most), most_leverage=desk))
    account = stand.view().exposure()
    assert account is not None
    limit = min(Fraction(most), desk)
    owed = sum(notional(one, one.base) for one in account.contracts)
    assert limit * Fraction(95, 100) < Fraction(owed, equity(account)) <= limit
    assert not [record for record in stand.desk.books.journal if isinstance(record, Refusal)]


@pytest.mark.parametrize("cap", ["1000", "10", "5000.5"])
def test_a_market_is_capped_in_coins_of_the_quote(cap: str) -> None:
    stand = entered(Stand(engine(Pair(SPOT, PERP, reserved="0", cap=cap), least="0")))
    qty = stand.sleeve.position(SPOT).units
    view = Stand(engine())
    view.at("100")
    holds = [view.view().hold(Place(SPOT, Side.BUY, units)) for units in (qty, qty + PLAIN.step)]
    assert holds[0] is not None
    assert holds[1] is not None
    assert holds[0] <= USDC(cap).units < holds[1]


def test_what_is_reserved_counts_in_the_cap() -> None:
    """What was bought before and kept has cost something of it."""
    stand = entered(Stand(engine(Pair(SPOT, PERP, reserved="5", cap="2000"))))
    for _ in range(2):
        assert USDC("1900").units < stand.sleeve.open_cost_units(SPOT) <= USDC("2000").units
        readings(stand, *["-0.06%"] * 4)
        assert stand.hedge == ("5", "0")
        readings(stand, "0.06%", "0.06%")


def test_it_uses_its_part_of_the_free_money() -> None:
    whole, half = entered(Stand(engine())), entered(Stand(engine(size="50%")))
    assert half.sleeve.position(SPOT).units * 2 == pytest.approx(whole.sleeve.position(SPOT).units, abs=2 * PLAIN.step)


@pytest.mark.parametrize(("least", "enters"), [("7584.1", True), ("7584.2", False), ("0", True)])
def test_there_is_a_least_entry(least: str, enters: bool) -> None:
    stand = Stand(engine(least=least))
    stand.at("100")
    assert bool(stand.rate(GOOD)) is enters


def test_a_venues_least_order_is_not_asked_for_in_vain() -> None:
    for least, enters in (("75.841", True), ("75.842", False)):
        perp = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.001", min_qty=least, kind=Kind.PERP)
        stand = Stand(engine(Pair(SPOT, perp, reserved="0")))
        stand.at("100", markets=(SPOT, perp))
        assert bool(stand.rate(GOOD, market=perp)) is enters
        assert not [record for record in stand.desk.books.journal if isinstance(record, Refusal)]


def test_without_money_it_asks_for_nothing() -> None:
    stand = Stand(engine(), "0.5")
    stand.at("100")
    assert stand.rate(GOOD) == []
    assert "too little" in stand.seen().why or "below 10" in stand.seen().why


# -- what it does not decide on ------------------------------------------------------------------------------------------------


def test_without_a_rate_it_does_nothing() -> None:
    stand = Stand(engine())
    assert stand.at("100") == []
    assert (stand.result, stand.seen().why) == (Result.OUT, "no funding rate")


@pytest.mark.parametrize(
    ("changes", "every", "age", "enters"),
    [
        ({}, 8 * HOUR, 16 * HOUR, True),
        ({}, 8 * HOUR, 16 * HOUR + 1, False),
        ({}, HOUR, 2 * HOUR, True),
        ({}, HOUR, 2 * HOUR + 1, False),
        ({"age_ns": MINUTE}, 8 * HOUR, MINUTE, True),
        ({"age_ns": MINUTE}, 8 * HOUR, MINUTE + 1, False),
        ({}, 8 * HOUR, 0, True),
        ({}, 8 * HOUR, -1, False),
    ],
)
def test_a_rate_that_is_old_or_of_a_time_to_come_opens_nothing(changes: dict[str, Any], every: int, age: int, enters: bool) -> None:
    stand = Stand(engine(**changes))
    stand.rate("1%", at=START + MINUTE - age, every=every)
    assert bool(stand.at("100", MINUTE)) is enters
    assert enters or stand.seen().why == "the funding rate is too old"


@pytest.mark.parametrize("late", [SPOT, PERP])
@pytest.mark.parametrize(("age", "enters"), [(MINUTE, True), (MINUTE + 1, False)])
def test_a_stale_price_of_either_leg_opens_nothing(late: Instrument, age: int, enters: bool) -> None:
    other = PERP if late is SPOT else SPOT
    stand = Stand(engine())
    stand.at("100", markets=(late,))
    assert stand.at("100", age, markets=(other,)) == []
    assert bool(stand.rate(GOOD)) is enters
    assert enters or stand.seen().why == "no fresh price"


@pytest.mark.parametrize("there", [SPOT, PERP])
def test_a_missing_price_of_either_leg_opens_nothing(there: Instrument) -> None:
    stand = Stand(engine())
    stand.at("100", markets=(there,))
    assert stand.rate(GOOD) == []


def test_while_a_bundle_or_an_order_is_under_way_it_waits() -> None:
    stand = Stand(engine())
    stand.filling = False
    stand.at("100")
    (order,) = stand.rate(GOOD)
    assert stand.at("100") == []
    assert stand.result is Result.WAITING
    stand.filling = True
    stand.carry(stand.desk.step(stand.fill(order)))
    assert stand.at("100") == []
    assert stand.result is Result.OK


def test_while_a_rebalance_is_under_way_it_asks_for_no_other() -> None:
    stand = Stand(engine()).holds("10", "-9")
    stand.filling = False
    (order,) = stand.rate(GOOD, MINUTE)
    assert stand.at("100") == []
    assert stand.at("101", 31 * MINUTE) == []
    stand.carry(stand.desk.step(stand.fill(order)))
    assert stand.at("100") == []
    assert stand.results[0] is Result.REBALANCED


def test_a_bundle_between_two_of_its_orders_is_under_way_too() -> None:
    """One that waits for a price has no order open."""
    stand = Stand(engine())
    stand.desk._seats["funding"].view.bundles = 1
    stand.at("100")
    assert stand.rate(GOOD) == []
    assert stand.result is Result.WAITING


@pytest.mark.parametrize("broken", [SPOT, PERP])
def test_an_entry_whose_leg_fails_leaves_nothing_and_is_tried_again_later_and_later(broken: Instrument) -> None:
    """After 30 minutes, then an hour, then two: what the bundle rolled back has cost fees."""
    stand = Stand(engine())
    stand.at("100")
    stand.refusing = {broken}
    tried = [stand.now] if stand.rate(GOOD) else []
    assert stand.hedge == ("0", "0")
    for _ in range(240):
        stand.rate(GOOD, at=stand.now)
        if stand.at("100"):
            tried.append(stand.now)
        assert stand.hedge == ("0", "0")
    assert [(b - a) // MINUTE for a, b in pairwise(tried)] == [30, 60, 120]
    stand.refusing = set()
    for _ in range(240):
        stand.rate(GOOD, MINUTE)
        stand.at("100", 0)
    assert stand.sleeve.position(PERP).units < 0
    assert stand.seen().tries == 0


# -- several markets -----------------------------------------------------------------------------------------------------------


def two(**changes: Any) -> Funding:
    pairs = (Pair(BTCSPOT, BTCPERP, cap="3000"), Pair(SPOT, PERP, reserved="0", cap="3000"))
    return Funding(pairs, **({"every": 0} | changes))


def both(stand: Stand, sol: str, btc: str) -> list[str]:
    stand.at("100")
    stand.at("50000", 0, markets=(BTCSPOT, BTCPERP))
    stand.now += SECOND
    at = stand.now
    news = [FundingRate.of(market, rate, price="100", at=at) for market, rate in ((PERP, sol), (BTCPERP, btc))]
    for one in news:
        stand.desk._news[FundingRate, one.topic] = one
    return [order.place.instrument.symbol for order in [*stand.at("50000", 0, markets=(BTCPERP,)), *stand.at("100", 0, markets=(PERP,))]]


@pytest.mark.parametrize(
    ("sol", "btc", "first"),
    [("0.1%", "0.09%", "SOL-PERP"), ("0.09%", "0.1%", "BTC-PERP"), ("0.1%", "-0.1%", "SOL-PERP"), ("-0.1%", "0.1%", "BTC-PERP")],
)
def test_markets_are_entered_by_their_carry_the_best_first(sol: str, btc: str, first: str) -> None:
    stand = Stand(two())
    symbols = both(stand, sol, btc)
    assert symbols[0] == first
    assert len(symbols) == (4 if "-" not in sol + btc else 2)
    for market in (SPOT, BTCSPOT):
        assert stand.sleeve.open_cost_units(market) <= USDC("3000").units


def test_no_more_markets_than_allowed() -> None:
    stand = Stand(two(most_markets=1))
    assert both(stand, "0.1%", "0.2%") == ["BTC-PERP", "BTC/USDC"]
    assert stand.seen().why == "1 market(s) held, and no more may be"


def test_the_second_market_leaves_the_room_of_the_first_alone() -> None:
    """20% of both notionals stay free."""
    pairs = (Pair(BTCSPOT, BTCPERP), Pair(SPOT, PERP, reserved="0", cap="5000"))
    stand = Stand(Funding(pairs, every=0))
    assert both(stand, "0.2%", "0.1%")[0] == "SOL-PERP"
    account = stand.view().exposure()
    assert account is not None
    assert len(account.contracts) == 2
    assert stand.view().free() * 5 >= sum(notional(one, one.base) for one in account.contracts)


# -- leaving, and coming back ----------------------------------------------------------------------------------------------------


def readings(stand: Stand, *rates: str, every: int = 8 * HOUR) -> list[int]:
    """One reading after another, a row's interval apart: how many orders each led to."""
    found = []
    for rate in rates:
        sent = len(stand.orders)
        stand.at(stand.prices[PERP], every)
        stand.rate(rate, every=every)
        found.append(len(stand.orders) - sent)
    return found


def test_it_leaves_after_four_readings_below_and_not_before() -> None:
    stand = entered(Stand(engine()))
    assert readings(stand, *["-0.0501%"] * 4) == [0, 0, 0, 2]
    assert stand.hedge == ("0", "0")
    assert all(order.place.reduce_only for order in stand.orders)


@pytest.mark.parametrize(("rate", "leaves"), [("-0.0500001%", True), ("-0.05%", False), ("-0.0499999%", False), ("-0.0005001", True)])
def test_a_reading_counts_below_the_threshold_and_not_at_it(rate: str, leaves: bool) -> None:
    stand = entered(Stand(engine()))
    assert sum(readings(stand, *[rate] * 4)) == (2 if leaves else 0)


def test_readings_count_in_a_row() -> None:
    stand = entered(Stand(engine()))
    assert sum(readings(stand, *["-0.06%"] * 3, "-0.05%", *["-0.06%"] * 3)) == 0
    assert readings(stand, "-0.06%") == [2]


def test_the_same_reading_told_again_counts_once() -> None:
    stand = entered(Stand(engine()))
    readings(stand, "-0.06%", "-0.06%", "-0.06%")
    at = stand.now
    for again in range(1, 6):
        stand.at("100")
        assert stand.rate(f"-0.06{again}%", at=at) == []  # another figure of the same instant
    assert readings(stand, "-0.06%") == [2]


@pytest.mark.parametrize(
    ("rate", "every", "leaves"),
    [
        ("-0.00625%", HOUR, False),  # times eight is -0.05% exactly
        ("-0.0062501%", HOUR, True),
        ("-0.025%", 4 * HOUR, False),
        ("-0.0250001%", 4 * HOUR, True),
        ("-0.06%", 16 * HOUR, False),
        ("-0.1000001%", 16 * HOUR, True),
    ],
)
def test_rates_of_other_intervals_are_scaled_exactly(rate: str, every: int, leaves: bool) -> None:
    stand = entered(Stand(engine()))
    assert sum(readings(stand, *[rate] * 4, every=every)) == (2 if leaves else 0)


def gone(**changes: Any) -> Stand:
    """Left for its rate."""
    stand = entered(Stand(engine(**changes)))
    readings(stand, *["-0.06%"] * 4)
    assert stand.hedge == ("0", "0")
    return stand


def test_it_comes_back_after_two_readings_above_and_not_before() -> None:
    stand = gone()
    assert readings(stand, "0.0501%", "0.0501%") == [0, 2]


@pytest.mark.parametrize(("rate", "returns"), [("0.05%", False), ("0.0500001%", True), ("0.049%", False)])
def test_a_reading_counts_above_the_threshold_and_not_at_it(rate: str, returns: bool) -> None:
    """0.05% would pay for its costs, and does for a market that was never left."""
    stand = gone()
    assert sum(readings(stand, *[rate] * 4)) == (2 if returns else 0)
    fresh = Stand(engine())
    fresh.at("100")
    assert bool(fresh.rate("0.05%"))


def test_one_reading_that_is_not_above_begins_anew() -> None:
    stand = gone()
    assert readings(stand, "0.06%", "0.05%", "0.06%", "0.06%") == [0, 0, 0, 2]


def test_readings_are_parameters() -> None:
    stand = entered(Stand(engine(leave="-0.01%", leave_after=2, enter="0.2%", enter_after=3)))
    assert readings(stand, "-0.02%", "-0.02%", "0.3%", "0.3%", "0.3%") == [0, 2, 0, 0, 2]


def test_it_leaves_when_it_has_paid_what_leaving_and_coming_back_costs() -> None:
    """-0.04% is never below -0.05%, but sixteen times 0.04% are the 0.64% that two round trips of fills cost."""
    stand = entered(Stand(engine()))
    found = readings(stand, *["-0.04%"] * 16)
    assert found == [0] * 15 + [2]
    assert "paid 0.64% in funding" in stand.orders[0].place.why


def test_what_it_earns_in_between_is_set_against_what_it_paid() -> None:
    stand = entered(Stand(engine()))
    assert sum(readings(stand, *["-0.04%"] * 15, "0.08%", *["-0.04%"] * 2)) == 0
    assert readings(stand, "-0.04%") == [2]
    again = entered(Stand(engine()))
    assert sum(readings(again, "0.5%", *["-0.04%"] * 15)) == 0  # what was earned before is earned, and no credit
    assert readings(again, "-0.04%") == [2]


def test_what_was_paid_is_forgotten_with_the_hedge() -> None:
    stand = entered(Stand(engine()))
    readings(stand, *["-0.04%"] * 16)
    assert readings(stand, "0.06%", "0.06%") == [0, 2]
    assert sum(readings(stand, *["-0.04%"] * 15)) == 0


def test_leaving_closes_all_but_what_is_reserved_and_rolls_nothing_back() -> None:
    stand = entered(Stand(engine(Pair(SPOT, PERP))))
    wishes = spied(stand)
    readings(stand, *["-0.06%"] * 4)
    assert stand.hedge == ("0.017", "0")
    (bundle,) = [wish for wish in wishes if isinstance(wish, Bundle)]
    assert bundle.rollback is False
    assert [leg.instrument for leg in bundle.legs] == [PERP, SPOT]
    assert readings(stand, "0.06%", "0.06%") == [0, 2]
    assert stand.sleeve.position(SPOT) + stand.sleeve.position(PERP) == SOL("0.017"), "what is reserved is not bought twice"


def spied(stand: Stand) -> list[Intent]:
    """The wishes of the engine from here on."""
    seat, found = stand.desk._seats["funding"], list[Intent]()
    decide = seat.decide

    def listening(memory: FundingMemory, view: View) -> Iterable[Intent] | None:
        wishes = decide(memory, view)
        found.extend(wishes or ())
        return wishes

    seat.decide = listening
    return found


def test_leaving_goes_on_until_it_is_through() -> None:
    """The perpetual does not answer for a while: then the coins are sold nowhere, and then all is closed."""
    stand = entered(Stand(engine()))
    stand.refusing = {PERP}
    readings(stand, *["-0.06%"] * 4)
    held = stand.hedge
    assert held[1] != "0"
    for _ in range(3):
        stand.at("100")
    stand.refusing = set()
    stand.rate("0.1%", MINUTE)  # the rate is good again: what was begun is ended
    stand.at("100", 0)
    assert stand.hedge == ("0", "0")


def test_leaving_closes_a_leg_that_stands_alone() -> None:
    for coins, contracts, left in (("10", "0", "sell 10 SOL/USDC*"), ("0", "-10", "buy 10 SOL-PERP*")):
        stand = Stand(engine()).holds(coins, contracts)
        stand.seen().leaving = "test"
        assert text(stand.at("100")) == [left]


def test_it_does_not_leave_on_a_stale_price() -> None:
    stand = entered(Stand(engine()))
    for _ in range(4):
        stand.now += 8 * HOUR
        assert stand.rate("-0.06%") == []
    assert stand.result is Result.BLOCKED
    assert len(stand.at("100")) == 2


# -- rebalancing -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coins", "contracts", "orders", "result"),
    [
        ("10", "-10", [], Result.OK),
        ("10", "-9.9", [], Result.OK),  # exactly 1.0%
        ("10", "-9.899", ["sell 0.101 SOL-PERP"], Result.REBALANCING),
        ("10", "-10.1", [], Result.OK),
        ("10", "-10.101", ["buy 0.101 SOL-PERP*"], Result.REBALANCING),
        ("10", "-5", ["sell 5 SOL-PERP"], Result.REBALANCING),
        ("10", "-20", ["buy 10 SOL-PERP*"], Result.REBALANCING),
        ("0.1", "-0.095", ["sell 0.005 SOL-PERP"], Result.REBALANCING),  # exactly the least
        ("0.1", "-0.096", [], Result.SKIP),
        ("0.1", "-0.105", ["buy 0.005 SOL-PERP*"], Result.REBALANCING),
        ("0.1", "-0.104", [], Result.SKIP),
        ("0", "-0.004", ["buy 0.004 SOL-PERP*"], Result.REBALANCING),  # naked, however little it is
        ("0", "-10", ["buy 10 SOL-PERP*"], Result.REBALANCING),
        ("10", "0", ["sell 10 SOL-PERP"], Result.REBALANCING),
        ("10", "2", ["sell 12 SOL-PERP"], Result.REBALANCING),
        ("0", "2", ["sell 2 SOL-PERP"], Result.REBALANCING),
    ],
)
def test_it_rebalances_beyond_tolerance_by_exactly_what_is_off(coins: str, contracts: str, orders: list[str], result: Result) -> None:
    stand = Stand(engine()).holds(coins, contracts)
    assert text(stand.rate(GOOD, MINUTE)) == orders
    assert stand.result is result
    after = Hedge(stand.sleeve.position(SPOT).units, stand.sleeve.position(PERP).units)
    assert after.within(10_000) or result is Result.SKIP
    stand.at("100")
    assert stand.results[0] is {Result.REBALANCING: Result.REBALANCED}.get(result, result) or not after.hedgeable


def test_what_is_reserved_is_not_hedged() -> None:
    stand = Stand(engine(Pair(SPOT, PERP, reserved="1"))).holds("11", "-10")
    assert stand.rate(GOOD, MINUTE) == []
    assert stand.result is Result.OK
    naked = Stand(engine(Pair(SPOT, PERP, reserved="1"))).holds("1", "-10")
    assert text(naked.rate(GOOD, MINUTE)) == ["buy 10 SOL-PERP*"]


@pytest.mark.parametrize(("wait", "again"), [(30 * MINUTE, True), (30 * MINUTE - 1, False), (MINUTE, False)])
def test_rebalances_are_half_an_hour_apart(wait: int, again: bool) -> None:
    stand = Stand(engine()).holds("10", "-9")
    first = stand.rate(GOOD, MINUTE)
    assert text(first) == ["sell 1 SOL-PERP"]
    stamp = stand.now
    stand.at("100")
    assert stand.results == [Result.REBALANCED, Result.OK]
    stand.trade(SPOT, "1")
    stand.now = stamp + wait - SECOND
    stand.rate(GOOD)
    stand.orders.clear()
    orders = stand.at("100", SECOND)
    assert text(orders) == (["sell 1 SOL-PERP"] if again else [])
    if not again:
        assert stand.result is Result.COOLDOWN
        assert stand.seen().why == f"drift 9.0909%, {lasting(30 * MINUTE - wait)} left"


@pytest.mark.parametrize(("coins", "contracts"), [("10", "-9"), ("10", "-11")])
def test_a_rebalance_that_failed_starts_no_cooldown(coins: str, contracts: str) -> None:
    stand = Stand(engine()).holds(coins, contracts)
    stand.refusing = {PERP}
    assert len(stand.rate(GOOD, MINUTE)) == 1
    assert stand.seen().rebalanced_at is None
    stand.refusing = set()
    assert len(stand.at("100")) == 1, "the very next look tries again"
    assert stand.results[-1] is Result.BLOCKED
    stand.at("100")
    assert stand.results[0] is Result.REBALANCED
    assert stand.seen().rebalanced_at is not None


def test_a_rebalance_that_filled_in_part_starts_it() -> None:
    stand = Stand(engine()).holds("10", "-8")
    stand.filling = False
    (order,) = stand.rate(GOOD, MINUTE)
    stand.carry(stand.desk.step(stand.fill(order, SOL("1").units)))
    stand.carry(stand.desk.step(Rejected(order.id, stand.now, "the rest is not")))
    assert stand.at("100") == []
    assert stand.result is Result.COOLDOWN


def test_a_naked_short_waits_for_no_cooldown() -> None:
    """The origin reports it as within tolerance."""
    stand = Stand(engine()).holds("10", "-9")
    stand.rate(GOOD, MINUTE)
    stand.at("100")
    stand.trade(SPOT, "-10")
    stand.orders.clear()
    assert text(stand.at("100"))[0] == "buy 10 SOL-PERP*"


def test_reducing_needs_no_rate() -> None:
    stand = Stand(engine()).holds("10", "-11")
    assert text(stand.at("100")) == ["buy 1 SOL-PERP*"]


@pytest.mark.parametrize(("coins", "contracts", "order"), [("10", "-9", "sell 1 SOL/USDC*"), ("10", "0", "sell 10 SOL/USDC*")])
def test_without_a_fresh_rate_nothing_is_opened_and_what_is_not_hedged_is_sold(coins: str, contracts: str, order: str) -> None:
    stand = Stand(engine()).holds(coins, contracts)
    assert text(stand.at("100")) == [order]


def test_coins_alone_are_hedged_where_their_carry_pays_and_sold_where_not() -> None:
    for rate, order in ((GOOD, "sell 10 SOL-PERP"), ("0.01%", "sell 10 SOL/USDC*"), ("-0.01%", "sell 10 SOL/USDC*")):
        stand = Stand(engine()).holds("10", "0")
        assert text(stand.rate(rate, MINUTE)) == [order]


def test_coins_alone_in_a_market_that_was_left_are_sold_before_it_is_entered_again() -> None:
    stand = gone()
    stand.trade(SPOT, "10")
    stand.orders.clear()
    readings(stand, "0.045%")
    assert text(stand.orders) == ["sell 10 SOL/USDC*"], "a rate that pays, and no second reading above 0.05%"


def test_a_short_that_stands_is_expanded_at_any_fresh_rate() -> None:
    stand = Stand(engine()).holds("10", "-9")
    assert text(stand.rate("-0.01%", MINUTE)) == ["sell 1 SOL-PERP"]


@pytest.mark.parametrize("contracts", ["-9", "0"])
def test_what_cannot_be_hedged_is_sold(contracts: str) -> None:
    """The venue refuses the short once: then the coins go."""
    stand = Stand(engine()).holds("10", contracts)
    stand.refusing = {PERP}
    stand.rate(GOOD, MINUTE)
    orders = stand.at("100")
    assert text(orders)[0] == f"sell {10 + int(contracts)} SOL/USDC*"
    stand.at("100")
    assert stand.seen().hedge.within(10_000)


def test_a_short_that_money_does_not_carry_is_not_asked_for() -> None:
    """1,000 of 1,010 are in coins: what is left carries no short of that size, so that the coins are sold instead."""
    stand = Stand(engine(), "1010").holds("10", "0")
    assert text(stand.rate(GOOD, MINUTE)) == ["sell 10 SOL/USDC*"]
    assert not [record for record in stand.desk.books.journal if isinstance(record, Refusal)]


def test_a_paused_sleeve_reduces_and_closes_what_stands_alone() -> None:
    stand = Stand(engine()).holds("10", "-9")
    stand.desk.pause(stand.sleeve, by="test")
    stand.rate(GOOD, MINUTE)
    assert stand.hedge == ("10", "-9")
    assert text(stand.at("100")) == ["sell 1 SOL/USDC*"]


def test_a_coarse_lot_of_the_perpetual_is_balanced_with_coins() -> None:
    """0.02 coins are 2% of 1, and less than a lot of 0.025 contracts."""
    stand = Stand(engine(Pair(SPOT, COARSE, reserved="0")))
    stand.at("100", markets=(SPOT, COARSE))
    stand.trade(SPOT, "1.02")
    stand.trade(COARSE, "-1")
    stand.orders.clear()
    assert text(stand.rate(GOOD, MINUTE, market=COARSE)) == ["sell 0.02 SOL/USDC*"]


# -- health ------------------------------------------------------------------------------------------------------------------------


def edge(stand: Stand, critical: int) -> int:
    """The lowest price, in cents, at which the health of the short is below `critical`."""
    view, low = stand.view(), stand.prices[PERP]
    account = view.exposure()
    assert account is not None
    high = 2 * low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if health_bp(account.at("SOL-PERP", middle)) < critical * 100 else (middle, high)
    return high


@pytest.mark.parametrize("critical", [20, 35])
def test_it_reduces_below_the_critical_health_and_not_a_tick_before(critical: int) -> None:
    stand = entered(Stand(engine(critical=critical)))
    price = edge(stand, critical)
    assert stand.at(price - 1) == []
    assert stand.memory.health_bp is not None
    assert stand.memory.health_bp >= critical * 100
    orders = stand.at(price)
    assert [order.place.instrument for order in orders] == [PERP, SPOT]
    assert all(order.place.reduce_only for order in orders)
    assert orders[0].place.qty == orders[1].place.qty
    account = stand.view().exposure()
    assert account is not None
    (short,) = account.contracts
    behind = Fraction(equity(account), notional(short, short.base))
    assert Fraction(30, 100) <= behind < Fraction(301, 1000), "the margin and room for a rise of 20%, as after an entry, and no more"
    assert stand.sleeve.position(SPOT) == -stand.sleeve.position(PERP)


@pytest.mark.parametrize(
    ("room", "least", "behind"), [("0%", 60, 125), ("2%", 60, 125), ("3%", 60, 130), ("0%", 20, 100), ("50%", 90, 600)]
)
def test_what_is_left_has_room_and_the_least_health(room: str, least: int, behind: int) -> None:
    """In thousandths of what it is worth: 5% of maintenance is a health of 60 of 12.5%; the initial margin is 10%."""
    stand = Stand(engine(room=room, least_health=least)).holds("50", "-50")
    stand.at(edge(stand, 20))
    account = stand.view().exposure()
    assert account is not None
    (short,) = account.contracts
    assert behind <= Fraction(equity(account), notional(short, short.base)) * 1_000 < behind + 1


def test_exactly_at_the_critical_health_nothing_is_reduced() -> None:
    """A price at which the health of a short is a whole number, and the next tick, at which it is less."""
    stand = Stand(engine(), "2000").holds("10", "-10")
    account = stand.view().exposure()
    assert account is not None
    whole = [(price, health_bp(account.at("SOL-PERP", price))) for price in range(10_000, 20_000)]
    price, level = next((price, bp // 100) for price, bp in whole if bp % 100 == 0 and 1_000 <= bp <= 6_000)
    exact = Stand(engine(critical=level), "2000").holds("10", "-10")
    assert exact.at(price) == []
    assert exact.memory.health_bp == level * 100
    assert len(exact.at(price + 1)) == 2


def test_health_comes_before_the_cooldown() -> None:
    stand = Stand(engine(), "2000").holds("10", "-9")
    stand.rate(GOOD, MINUTE)
    assert stand.sleeve.position(PERP) == -SOL("10")
    stand.at("100")
    assert stand.results[0] is Result.REBALANCED
    stand.orders.clear()
    assert [order.place.instrument for order in stand.at(edge(stand, 20))] == [PERP, SPOT]
    assert stand.now - stand.seen().rebalanced_at < 30 * MINUTE


def test_health_is_restored_with_the_perpetual_alone_where_the_coins_have_no_fresh_price() -> None:
    stand = entered(Stand(engine()))
    price = edge(stand, 20)
    stand.now += HOUR
    assert [order.place.instrument for order in stand.at(price, markets=(PERP,))] == [PERP]


def test_of_several_markets_the_worst_carry_is_reduced_first() -> None:
    stand = Stand(two(room="0%"), "4500")
    both(stand, "0.2%", "0.1%")
    assert stand.sleeve.position(PERP).units
    assert stand.sleeve.position(BTCPERP).units
    stand.orders.clear()
    for price in range(10_000, 16_000, 50):
        if stand.at(price, SECOND, markets=(SPOT, PERP)):
            break
    assert {order.place.instrument.base for order in stand.orders} == {BTC}
    assert all(order.place.reduce_only for order in stand.orders)


@heavy
@given(st.integers(1_000, 10_000), st.integers(0, 60), st.integers(1, 400))
def test_law_what_is_closed_for_health_restores_it(money: int, critical: int, beyond: int) -> None:
    stand = entered(Stand(engine(critical=critical), str(money)))
    assume(critical > 0)
    stand.at(edge(stand, critical) + beyond)
    account = stand.view().exposure()
    assert account is not None
    if stand.orders and account.contracts and stand.sleeve.status.may_open:
        assert health_bp(account) >= 6_000
        assert stand.sleeve.position(SPOT) == -stand.sleeve.position(PERP)


# -- laws ------------------------------------------------------------------------------------------------------------------------


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 50, -50, 300, -300, 1_200]),  # the price, in basis points
        st.sampled_from(["0.1%", "0.1%", "0.06%", "0.01%", "-0.06%", "-0.06%", "-0.3%"]),
        st.sampled_from(["", "perp refuses", "spot refuses", "stale", "coins by hand", "contracts by hand"]),
        st.integers(1, 60),
    ),
    min_size=8,
    max_size=25,
)


def walk(stand: Stand, path: Sequence[tuple[int, str, str, int]]) -> Iterable[list[Order]]:
    """A random life from inside the market: prices, rates, markets that refuse, silence, and a hand that unbalances the hedge."""
    entered(stand)
    for move, rate, event, part in path:
        stand.refusing = {"perp refuses": {PERP}, "spot refuses": {SPOT}}.get(event, set())
        if "hand" in event:
            market = SPOT if "coins" in event else PERP
            held = stand.sleeve.position(market).units * part // 100 // PLAIN.step * PLAIN.step
            if held:
                side = Side.SELL if held > 0 else Side.BUY
                commands = stand.desk.order(stand.sleeve, Place(market, side, abs(held), reduce_only=True), by="test", at=stand.now)
                assert not isinstance(commands, Refusal)
                stand.carry(commands)
        price = max(1_000, stand.prices[PERP] * (10_000 + move) // 10_000)
        yield stand.at(price, 4 * HOUR) if event != "stale" else stand.at(price, 4 * HOUR, markets=(SPOT,))
        yield stand.rate(rate, at=stand.now - (17 * HOUR if event == "stale" else 0))
        yield stand.at(price, MINUTE)
        yield stand.at(price, HOUR)


@heavy
@given(steps, st.sampled_from([None, "500", "3000"]))
def test_law_it_never_exceeds_its_cap_nor_is_refused_for_money(path: list[tuple[int, str, str, int]], cap: str | None) -> None:
    stand = Stand(engine(Pair(SPOT, PERP, reserved="0", cap=cap)))
    for _ in walk(stand, path):
        coins, contracts = stand.sleeve.position(SPOT), stand.sleeve.position(PERP)
        assert stand.sleeve.open_cost_units(SPOT) <= USDC(cap or "10000").units
        assert coins.units >= 0
        assert contracts.units <= 0
    refused = {record.reason for record in stand.desk.books.journal if isinstance(record, Refusal)}
    assert refused <= {"status"}, "only a sleeve that the desk has closed is refused anything"
    assert stand.desk.check().holds


@heavy
@given(steps)
def test_law_after_a_rebalance_has_filled_drift_is_within_tolerance(path: list[tuple[int, str, str, int]]) -> None:
    stand = Stand(engine())
    for orders in walk(stand, path):
        seen = stand.seen()
        if orders and seen.asked is not None and not stand.refusing:
            coins, contracts = stand.sleeve.position(SPOT).units, stand.sleeve.position(PERP).units
            assert Hedge(coins, contracts).within(stand.engine.tolerance_ppm)


@heavy
@given(steps)
def test_law_what_opens_was_decided_on_a_fresh_rate_and_fresh_prices(path: list[tuple[int, str, str, int]]) -> None:
    stand = Stand(engine())
    for orders in walk(stand, path):
        for order in orders:
            if not order.place.reduce_only and order.sleeve:
                news = stand.view().news(FundingRate, "SOL-PERP")
                assert news is not None
                rolled_back = order.place.why == "rollback" or "roll" in order.place.why
                assert rolled_back or 0 <= order.at - news.at <= 16 * HOUR
                for market in (SPOT, PERP):
                    book = stand.view().book_of(market)
                    assert book is not None
                    assert rolled_back or not book.stale(order.at)


@heavy
@given(steps)
def test_law_after_a_kill_it_is_flat_and_stays_so(path: list[tuple[int, str, str, int]]) -> None:
    stand = Stand(engine())
    for _ in walk(stand, path):
        pass
    stand.refusing = set()
    stand.at(stand.prices[PERP])
    stand.carry(stand.desk.kill(stand.sleeve, flatten=True, by="test", at=stand.now))
    assert stand.sleeve.is_flat()
    for _ in range(3):
        stand.rate("1%", 8 * HOUR)
        stand.at("100")
    assert stand.sleeve.is_flat()
    assert stand.desk.check().holds


@heavy
@given(steps)
def test_law_the_same_world_makes_the_same_decisions(path: list[tuple[int, str, str, int]]) -> None:
    stands = [Stand(engine()), Stand(engine())]
    for stand in stands:
        for _ in walk(stand, path):
            pass
    assert list(stands[0].desk.books.journal) == list(stands[1].desk.books.journal)
    assert stands[0].memory == stands[1].memory


def test_deciding_twice_from_one_memory_gives_one_answer() -> None:
    stand = Stand(engine())
    seat = stand.desk._seats["funding"]
    decide, answers = seat.decide, []

    def twice(memory: FundingMemory, view: View) -> Iterable[Intent] | None:
        twin = copy.deepcopy(memory)
        answers.append((decide(twin, view), decide(memory, view)))
        assert twin == memory
        return answers[-1][1]

    seat.decide = twice
    entered(stand)
    readings(stand, *["-0.06%"] * 4, "0.06%", "0.06%")
    assert all(one == other for one, other in answers)
    assert sum(one is not None and bool(list(one)) for one, _ in answers) >= 3


def test_it_remembers_a_few_numbers_however_long_it_runs() -> None:
    stand = entered(Stand(engine()))
    size = len(repr(stand.memory))
    for n in range(2_000):
        stand.rate(f"0.0{n % 7}%", 8 * HOUR)
        stand.at("100", MINUTE)
    assert set(stand.memory.markets) == {"SOL-PERP"}
    assert len(repr(stand.memory)) < size + 200


# -- words, and parameters -----------------------------------------------------------------------------------------------------------


def test_it_tells_what_it_saw_and_why_not() -> None:
    stand = Stand(engine(Pair(SPOT, PERP)))
    stand.at("100")
    stand.rate("0.01%")
    saw = stand.desk.telemetry(stand.sleeve).saw
    assert saw["SOL-PERP rate"] == "0.01% per 8 h"
    assert saw["SOL-PERP carry"] == "-0.43%"
    assert saw["SOL-PERP action"] == "out"
    assert saw["SOL-PERP why"] == "carry -0.43% is below 0%"
    stand.rate("0.1%", 8 * HOUR)
    stand.at("100")
    stand.at("100")
    saw = stand.desk.telemetry(stand.sleeve).saw
    assert saw["SOL-PERP hedgeable"].endswith(" SOL")
    assert (saw["SOL-PERP net"], saw["SOL-PERP drift"], saw["SOL-PERP action"]) == ("0 SOL", "0%", "ok")
    assert float(saw["health"]) > 80


def test_it_tells_nothing_it_does_not_know() -> None:
    fresh = engine()
    assert fresh.saw(fresh.begin()) == {
        "SOL-PERP rate": "none",
        "SOL-PERP carry": "unknown",
        "SOL-PERP hedgeable": "0 SOL",
        "SOL-PERP net": "0 SOL",
        "SOL-PERP drift": "0%",
        "SOL-PERP action": "out",
        "SOL-PERP why": "",
    }


def test_it_says_its_rules_in_words() -> None:
    words = Funding(Pair(SPOT, PERP)).describe()
    for told in ("SOL/USDC and SOL-PERP", "14 days", "50%", "4 readings", "-0.05% per 8 h", "after 2 above 0.05%", "1% of drift", "30 min"):
        assert told in words
    for told in ("0.005 coins", "below 60", "5x", "health of 20", "100% of its free money", "rise of 20%"):
        assert told in words


def test_it_watches_both_legs_of_all_its_pairs() -> None:
    assert two().watches == (BTCPERP, BTCSPOT, PERP, SPOT)
    assert Funding(PLAIN).every == MINUTE


def test_the_reverse_is_refused_clearly() -> None:
    with pytest.raises(InvalidMarket, match="borrowed"):
        Funding(PLAIN, reverse=True)


EUROPERP = Instrument("SOL-EUR", base=SOL, quote=USDT, tick="0.01", lot="0.001", kind=Kind.PERP)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pair(PERP, PERP),
        lambda: Pair(SPOT, SPOT),
        lambda: Pair(PERP, SPOT),
        lambda: Pair(SPOT, BTCPERP),
        lambda: Pair(SPOT, EUROPERP),
        lambda: Pair("SOL/USDC", PERP),  # type: ignore[arg-type]
        lambda: Pair(SPOT, PERP, first="perp"),  # type: ignore[arg-type]
        lambda: Funding(()),
        lambda: Funding(None),  # type: ignore[arg-type]
        lambda: Funding(5),  # type: ignore[arg-type]
        lambda: Funding((PLAIN, PLAIN)),
        lambda: Funding((SPOT, PERP)),  # type: ignore[arg-type]
        lambda: Funding(PLAIN, reverse=1),  # type: ignore[arg-type]
    ],
)
def test_markets_that_make_no_hedge_are_refused(make: Any) -> None:
    with pytest.raises(InvalidMarket):
        make()


def test_pairs_in_different_quotes_are_refused() -> None:
    other = Instrument("SOL/USDT", base=SOL, quote=USDT, tick="0.01", lot="0.001")
    with pytest.raises(InvalidMarket, match="one asset"):
        Funding((PLAIN, Pair(other, EUROPERP)))


@pytest.mark.parametrize(
    "changes",
    [
        {"cap": "0"},
        {"cap": "-1"},
        {"cap": "NaN"},
        {"cap": 5.0},
        {"reserved": "-0.1"},
        {"reserved": "NaN"},
        {"per_order": "-1"},
        {"per_order": math.inf},
        {"spot_fee": "101%"},
        {"spot_fee": "-2%"},
        {"perp_fee": 0.01},
        {"perp_fee": "NaN"},
        {"slippage": "-0.1%"},
        {"slippage": "101%"},
        {"slippage": None},
    ],
    ids=str,
)
def test_figures_of_a_pair_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        Pair(SPOT, PERP, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {what: bad}
            for what in ("horizon", "per", "leave_after", "enter_after", "price_age_ns")
            for bad in (0, -1, 1.5, math.nan, True, "1")
        ),
        *({what: bad} for what in ("cooldown", "retry", "every") for bad in (-1, 0.5, math.inf, None)),
        *({what: bad} for what in ("age_ns", "most_markets") for bad in (0, -1, 1.0)),
        *({what: bad} for what in ("least_health", "critical") for bad in (-1, 101, 20.0, None)),
        {"critical": 61},
        {"leave": "0.05%"},
        {"leave": "0.06%"},
        {"leave": -0.0005},
        {"enter": math.nan},
        {"enter": "NaN"},
        {"keep": "101%"},
        {"keep": "-1%"},
        {"keep": 0.5},
        {"least_net": "-101%"},
        {"tolerance": "-0.1%"},
        {"tolerance": "NaN"},
        {"size": "0%"},
        {"size": "100.1%"},
        {"room": "-1%"},
        {"room": "1001%"},
        {"most_leverage": 0},
        {"most_leverage": "-1"},
        {"most_leverage": 5.0},
        {"least_qty": "-0.1"},
        {"least_qty": "some"},
        {"least": "-10"},
        {"least": 10.5},
    ],
    ids=str,
)
def test_figures_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        Funding(PLAIN, **changes)


def test_the_parameters_on_the_page_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engines" / "funding.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \| .+ \|$", page.partition("Of `Funding`:")[2], re.MULTILINE))
    plain, pair = Funding(PLAIN), Pair(SPOT, PERP)
    rates = ("keep", "least_net", "tolerance", "size", "room")
    words = {name: percent(getattr(plain, f"{name}_ppm")) for name in rates}
    words |= {name: percent(getattr(plain, f"{name}_ppb"), 10**9) for name in ("leave", "enter")}
    words |= {name: lasting(getattr(plain, name)) for name in ("horizon", "per", "cooldown", "retry", "price_age_ns", "every")}
    words |= {
        name: str(getattr(plain, name)) for name in ("leave_after", "enter_after", "least_qty", "least", "least_health", "critical", "name")
    }
    words |= {"most_markets": "all", "most_leverage": "5", "age_ns": "two intervals", "reverse": "no"}
    assert told == words
    assert (plain.most_markets, plain.most_leverage_bp, plain.age_ns, plain.reverse) == (None, 50_000, None, False)
    assert {one.alias or one.name for one in fields(Funding) if one.init} == {"pairs", *words}
    of_pair = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]*?) \| .+ \|$", page.partition("Of a `Pair`:")[2].partition("Of `Funding`:")[0], re.MULTILINE)
    )
    costs = {name: percent(getattr(pair, f"{name}_ppm")) for name in ("spot_fee", "perp_fee", "slippage")}
    assert of_pair == {"cap": "none", "reserved": "0.017 of SOL, else 0", **costs, "per_order": "0", "first": "perp"}
    assert {one.alias or one.name for one in fields(Pair) if one.init} == {"spot", "perp", *of_pair}


def test_the_words_of_the_telemetry_are_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engines" / "funding.md").read_text(encoding="utf-8")
    table = page.partition("## What it came to")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [result.value for result in Result]


# -- stories on the simulator --------------------------------------------------------------------------------------------------------

QUARTER = 15 * MINUTE
FEES = Rules(Fees.of("0.1%", "0.1%"), Slippage.of("0.1%", "0.1%"))


def tape(market: Instrument, prices: Sequence[float], step: int = QUARTER, opens: dict[int, float] | None = None) -> Tape:
    """A row per price that opens there, unless told otherwise, and stays."""
    cells = [f"{price:.2f}" for price in prices]
    first = [f"{(opens or {}).get(n, price):.2f}" for n, price in enumerate(prices)]
    high = [max(pair, key=float) for pair in zip(first, cells, strict=True)]
    low = [min(pair, key=float) for pair in zip(first, cells, strict=True)]
    ts = [(START + n * step) // SECOND for n in range(len(prices))]
    return Tape.from_columns(market, ts=ts, interval=step, open=first, high=high, low=low, close=cells)


class Story:
    """Both legs on one simulated venue, funding every 8 hours, and an engine with 10,000 coins."""

    def __init__(
        self,
        prices: Sequence[float],
        rates: Sequence[str],
        *,
        engine: Funding | None = None,
        rules: Rules = FEES,
        spot: Sequence[float] | None = None,
        spot_opens: dict[int, float] | None = None,
        perp_opens: dict[int, float] | None = None,
        kill_at: int | None = None,
        gates: Sequence[Any] = (),
    ) -> None:
        spot_tape, perp_tape = tape(SPOT, spot or prices, opens=spot_opens), tape(PERP, prices, opens=perp_opens)
        self.rates = [
            FundingRate.of(PERP, rate, price=f"{prices[min(32 * n, len(prices) - 1)]:.2f}", at=START + n * 8 * HOUR)
            for n, rate in enumerate(rates, 1)
        ]
        self.vault = CoreVault(USDC, total="10000", tradeable="10000")
        self.sleeve = self.vault.sleeve("funding", QUIET, allocate="10000")
        self.desk = Desk(self.vault)
        self.desk.assign(Funding(PLAIN) if engine is None else engine, to=self.sleeve, gates=gates)
        tapes = [spot_tape, perp_tape.with_funding(self.rates)]
        if kill_at is None:
            replay(self.desk, tapes, rules=rules, progress=False, bounds=False)
        else:
            self.play(tapes, rules, kill_at)
        journal = list(self.desk.books.journal)
        self.fills = [record for record in journal if isinstance(record, Fill)]
        self.alerts = [record for record in journal if isinstance(record, Alert)]
        self.refusals = [record for record in journal if isinstance(record, Refusal)]

    def play(self, tapes: Sequence[Tape], rules: Rules, kill_at: int) -> None:
        """As `replay` does, and the sleeve is killed at a row."""
        exchange = Exchange(tapes, account_of(self.desk), rules)
        killed = False

        def carry(commands: Iterable[Command], now: int) -> None:
            for command in commands:
                exchange.carry(command, now)
            while exchange.outbox:
                carry(self.desk.step(exchange.outbox.popleft()), now)

        for step in exchange.play():
            carry((), step.at)
            if step.price:
                carry(self.desk.step(exchange.quote(step)), step.at)
            if step.at >= START + kill_at * QUARTER and not killed:
                killed = True
                carry(self.desk.kill(self.sleeve, flatten=True, by="test", at=step.at), step.at)

    @property
    def hedge(self) -> tuple[str, str]:
        return self.sleeve.position(SPOT).text, self.sleeve.position(PERP).text

    @property
    def profit(self) -> Fraction:
        """What it made, at the latest prices, in coins."""
        return Fraction(self.sleeve.equity(self.desk.marks()).decimal) - 10_000

    def due(self) -> Fraction:
        """The sum over intervals of what was held then, times its price, times the rate; from the fills alone."""
        due = Fraction(0)
        for rate in self.rates:
            held = sum(fill.side.sign * fill.qty for fill in self.fills if fill.instrument == PERP and fill.at < rate.at)
            due -= Fraction(held * rate.price * rate.rate_ppb, 10**9 * 100 * 10**9)
        return due

    def cost(self) -> Fraction:
        """Fees, and what slipped against the row's price, of all fills."""
        fees = sum(Fraction(fill.fee.decimal) for fill in self.fills)
        return fees + sum(Fraction(abs(fill.price - self.shown(fill)) * fill.qty, 100 * 10**9) for fill in self.fills)

    def shown(self, fill: Fill) -> int:
        """The price without its slippage of 0.1%, which was rounded to the tick against the order."""
        prices = [price for price in range(int(fill.price * 0.998), int(fill.price * 1.002) + 1) if slipped(fill, price) == fill.price]
        return prices[len(prices) // 2]


def slipped(fill: Fill, price: int) -> int:
    return FEES.slippage.fill_price(fill.instrument, fill.side, fill.qty, price)


def wave(rows: int, size: float) -> list[float]:
    return [150 * (1 + size * math.sin(2 * math.pi * n / rows * 3)) for n in range(rows)]


def slope(rows: int, size: float) -> list[float]:
    return [150 * (1 + size * n / rows) for n in range(rows)]


TEN_DAYS = 32 * 30


@pytest.mark.parametrize("prices", [slope(TEN_DAYS, 0), slope(TEN_DAYS, 0.1), slope(TEN_DAYS, -0.1), wave(TEN_DAYS, 0.1)])
def test_story_it_earns_funding_and_nothing_of_the_price_whatever_the_price_does(prices: list[float]) -> None:
    """0.1% every 8 hours for ten days, with the price flat, 10% up, 10% down, or in waves of 10%.

    The profit is the funding on what it held less fees and slippage, to a ten-thousandth of the hedge for roundings.
    """
    story = Story(prices, ["0.1%"] * 29)
    assert len(story.fills) == 2
    assert Fraction(story.sleeve.funding.decimal) > 100
    assert abs(Fraction(story.sleeve.funding.decimal) - story.due()) < Fraction(len(story.rates), 10**6)
    hedge = Fraction(story.sleeve.position(SPOT).decimal) * 150
    assert abs(story.profit - (story.due() - story.cost())) < hedge / 10_000
    assert story.profit > 100
    assert story.desk.check().holds
    assert story.refusals == []


def test_story_funding_that_does_not_pay_for_its_costs_is_left_alone() -> None:
    """0.03% every 8 hours: half of it over 14 days is 0.63%, and both legs in and out cost 0.64%."""
    story = Story(wave(TEN_DAYS, 0.1), ["0.03%"] * 29)
    assert story.fills == []
    assert story.sleeve.balance == USDC("10000")
    assert story.desk.telemetry(story.sleeve).saw["SOL-PERP why"] == "carry -0.01% is below 0%"


def test_story_it_leaves_after_exactly_four_readings_and_comes_back_after_two() -> None:
    rates = ["0.1%"] * 6 + ["-0.06%"] * 3 + ["0.01%"] + ["-0.06%"] * 4 + ["0.06%"] + ["0.02%"] + ["0.06%"] * 6
    story = Story(wave(32 * (len(rates) + 1), 0.02), rates)
    at = [(fill.at - START) / (8 * HOUR) for fill in story.fills]
    assert at == [1, 1, 14, 14, 18, 18]  # the fourth in a row is the 14th reading, the second above the 18th
    assert [fill.instrument for fill in story.fills] == [PERP, SPOT] * 3
    assert abs(Fraction(story.sleeve.funding.decimal) - story.due()) < Fraction(len(rates), 10**6)


def test_story_a_leg_that_cannot_be_bought_takes_the_other_back_to_the_unit() -> None:
    """The coins open 2% higher just when they are to be bought: the short is bought back at once."""
    story = Story(slope(TEN_DAYS, 0), ["0.1%"] * 29, spot_opens={32: 153, 33: 153})
    first = [fill for fill in story.fills if fill.at < START + 34 * QUARTER]
    assert [(fill.instrument, fill.side) for fill in first] == [(PERP, Side.SELL), (PERP, Side.BUY)]
    assert first[0].qty == first[1].qty
    assert [fill.instrument for fill in story.fills[2:]] == [PERP, SPOT], "half an hour later both are there"
    assert story.fills[2].at == START + 34 * QUARTER
    assert story.hedge[0] == story.hedge[1].removeprefix("-")


def test_story_a_short_that_cannot_be_sold_costs_nothing() -> None:
    story = Story(slope(64, 0), ["0.1%"] * 1, perp_opens={32: 147, 33: 147}, engine=Funding(PLAIN, retry=DAY))
    assert story.fills == []
    assert story.sleeve.balance == USDC("10000")


def test_story_what_the_venue_closes_by_force_is_balanced_again() -> None:
    """The price jumps by 60% overnight: the venue closes contracts, and what they hedged is not kept."""
    prices = [150.0] * 64 + [240.0] * 64
    story = Story(prices, ["0.1%"] * 3, engine=Funding(PLAIN, room="5%", least_health=0, critical=0))
    assert any(alert.code == "liquidated" for alert in story.alerts)
    coins, contracts = story.sleeve.position(SPOT).units, story.sleeve.position(PERP).units
    assert Hedge(coins, contracts).within(10_000)
    assert story.desk.check().holds


def test_story_a_rising_price_is_met_before_the_venue_does_anything() -> None:
    """50% up in two days: both legs are reduced at a health of 20, more than once, and nothing is closed by force."""
    story = Story(slope(32 * 6, 0.5), ["0.1%"] * 5)
    assert not [alert for alert in story.alerts if alert.code in ("liquidated", "ring_fence")]
    reduced = [fill for fill in story.fills[2:] if fill.instrument == PERP]
    assert reduced
    assert all(fill.side is Side.BUY for fill in reduced)
    assert story.hedge[0] == story.hedge[1].removeprefix("-") != "0"
    assert abs(story.profit - (story.due() - story.cost())) < 2


def test_story_what_it_asks_for_passes_all_guards() -> None:
    """Cost against what it expects, health and leverage after, each stricter than the desk's own gates."""
    guards = [Profit("0.1%", "0.1%"), HealthAfter(60), Leverage("5")]
    story = Story(wave(TEN_DAYS, 0.1), ["0.1%"] * 10 + ["-0.06%"] * 4 + ["0.1%"] * 15, gates=guards)
    assert len(story.fills) == 6
    assert story.refusals == []


def test_story_a_guard_that_knows_higher_costs_keeps_it_out_and_it_asks_ever_more_seldom() -> None:
    """The gate's own fee is not the engine's: what it refuses is in the journal, and nothing is traded."""
    story = Story(wave(TEN_DAYS, 0.1), ["0.1%"] * 29, gates=[Profit("1.1%")])
    assert story.fills == []
    assert {refusal.reason for refusal in story.refusals} == {"unprofitable"}
    assert sum(refusal.times for refusal in story.refusals) < 40


def test_story_a_killed_sleeve_is_flat_and_stays_flat() -> None:
    story = Story(wave(TEN_DAYS, 0.1), ["0.1%"] * 29, kill_at=400)
    assert len(story.fills) == 4
    assert story.hedge == ("0", "0")
    assert story.sleeve.is_flat()
    assert story.desk.check().holds


# -- real rates ------------------------------------------------------------------------------------------------------------------------

FILE = Path(__file__).parents[3] / "shared" / "data" / "xrp-perp-funding-8h-2021.csv.gz"
XRP = Asset("XRP", 6)
XRPSPOT = Instrument("XRP/USDT", base=XRP, quote=USDT, tick="0.0001", lot="0.1")
XRPPERP = Instrument("XRP-PERP", base=XRP, quote=USDT, tick="0.0001", lot="0.1", kind=Kind.PERP)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    if not FILE.is_file():
        pytest.skip(f"{FILE.name} is not beside the project")
    with gzip.open(FILE, "rt") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("changes", "fills"),
    [
        ({}, 2),  # in at the first rate, and through the crash of December
        ({"leave_after": 1, "enter": "0.009%"}, 6),
        ({"horizon": 14 * DAY}, 2),  # the one rate of 0.058% is enough
    ],
)
def test_real_funding_is_what_was_held_times_mark_times_rate_to_the_unit(
    rows: list[dict[str, str]], changes: dict[str, Any], fills: int
) -> None:
    """The marks of the perpetual stand for the coin's prices as well, which the file does not have."""
    columns = {name: [row[f"mark_{name}"] for row in rows] for name in ("open", "high", "low", "close")}
    ts = [row["ts"] for row in rows]
    spot = Tape.from_columns(XRPSPOT, ts=ts, interval=8 * HOUR, repair=True, **columns)
    perp = Tape.from_columns(XRPPERP, ts=ts, interval=8 * HOUR, repair=True, **columns)
    rates = [FundingRate.of(XRPPERP, row["funding_rate"], price=row["mark_open"], at=int(row["ts"]) * SECOND) for row in rows]
    vault = CoreVault(USDT, total="10000", tradeable="10000")
    sleeve = vault.sleeve("funding", QUIET, allocate="10000")
    desk = Desk(vault)
    pair = Pair(XRPSPOT, XRPPERP)
    desk.assign(Funding(pair, **({"horizon": 60 * DAY} | changes)), to=sleeve)
    report = replay(
        desk, [spot, perp.with_funding(rates)], rules=Rules(Fees.of("0.02%", "0.05%"), Slippage.none()), progress=False, bounds=False
    )
    journal = list(desk.books.journal)
    made = [record for record in journal if isinstance(record, Fill)]
    assert len(made) == fills
    booked = 0
    for rate in rates:
        held = sum(fill.side.sign * fill.qty for fill in made if fill.instrument == XRPPERP and fill.at < rate.at)
        booked += math.floor(Fraction(-held, 10**6) * Fraction(rate.price, 10**4) * Fraction(rate.rate_ppb, 10**9) * 10**6)
    assert sleeve.funding.units == booked
    assert sleeve.funding.units != 0
    assert sum(record.amount for record in journal if isinstance(record, FundingPaid)) == booked
    assert report.proof.require().holds
