"""The de-peg engine: each rule on both sides of its threshold, the faults of its origin, and its stories on the simulator.

The first half asks the engine alone, with a view that is set up by hand: a price, a fair value, a position. Prices are in
billionths of a SOL, so that every threshold is met to the unit whatever the fair value is. The second half seats it at a
real desk, over markets and news on tapes. All paths here are made up, and say so: there is no real series at hand.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import QUIET, SOL, USDC, Allowance, CoreVault, Desk, Instrument
from sleeves.amm import Outside
from sleeves.engines.depeg import BSOL, EPOCH, INF, JITOSOL, JUPSOL, MSOL, TOKENS, Depeg, Holding, Peg, Token
from sleeves.errors import AssetMismatch, InvalidAmount, InvalidMarket
from sleeves.market import DAY, HOUR, MINUTE, Book, Kind
from sleeves.money import PPM, Amount, Asset, Rounding
from sleeves.news import FairValue
from sleeves.orders import Fill, Order, Place, Side, TimeInForce
from sleeves.sim import Exchange, Fees, Latency, Rules, Slippage, Tape, replay
from sleeves.sim.replay import account_of

COIN = 10**9
"""The units of one SOL and of one token alike."""
NOW = 20_000 * DAY


def market_of(token: Token, suffix: str = "", **terms: Any) -> Instrument:
    terms = {"tick": "0.000000001", "lot": "0.000001", "min_qty": "0.001"} | terms
    return Instrument(f"{token.coin}/SOL{suffix}", base=token.coin, quote=SOL, **terms)


JITO, JITO_POOL = market_of(JITOSOL), market_of(JITOSOL, ".unstake")
MSOL_MARKET = market_of(MSOL)
BOTH = Peg(JITOSOL, JITO, JITO_POOL)

N = TypeVar("N")


class Scene:
    """A view that is set up by hand: only what the engine may see, with the desk's own allowances."""

    def __init__(self, engine: Depeg, *, free: str = "100", asset: Asset = SOL) -> None:
        self.engine = engine
        self.memory = engine.begin()
        self.asset = asset
        self.now = NOW
        self.money = asset(free).units
        self.books: dict[str, Book] = {}
        self.rates: dict[str, FairValue] = {}
        self.owned: dict[str, tuple[int, int]] = {}
        self.open: list[Order] = []
        self.locked: dict[str, int] = {}
        self.allowance = Allowance()

    # -- what the engine asks

    def book_of(self, instrument: Instrument) -> Book | None:
        return self.books.get(instrument.symbol)

    def news(self, kind: type[N], topic: str) -> N | None:
        found = self.rates.get(topic)
        return found if isinstance(found, kind) else None

    def position(self, instrument: Instrument) -> int:
        return self.owned.get(instrument.symbol, (0, 0))[0]

    def open_cost(self, instrument: Instrument) -> int:
        return self.owned.get(instrument.symbol, (0, 0))[1]

    def sellable(self, instrument: Instrument) -> int:
        coin = instrument.base.code
        owned = sum(qty for symbol, (qty, _) in self.owned.items() if symbol.startswith(coin + "/"))
        return owned - self.locked.get(coin, 0)

    def free(self) -> int:
        return self.money

    def orders(self) -> Sequence[Order]:
        return tuple(self.open)

    def hold(self, place: Place) -> int | None:
        book = self.book_of(place.instrument)
        if book is None:
            return None
        return self.allowance.units(place, self.allowance.worst(place, book.ask))[1]

    def affordable(self, instrument: Instrument, money: int | Amount | None = None) -> int:
        if isinstance(money, Amount):
            money = self.asset(money).units
        book = self.book_of(instrument)
        return (
            0 if book is None else self.allowance.affordable(instrument, self.money if money is None else min(money, self.money), book.ask)
        )

    # -- what a test sets

    def price(self, bid: int, ask: int | None = None, *, market: Instrument = JITO, ago: int = 0) -> Scene:
        book = self.books.setdefault(market.symbol, Book(market, len(self.books)))
        book.at, book.bid, book.ask = self.now - ago, bid, bid if ask is None else ask
        return self

    def fair(self, worth: int = 11, units: int = 10, *, token: Token = JITOSOL, ago: int = 0, quote: Asset = SOL) -> Scene:
        self.rates[token.coin.code] = FairValue(token.coin, quote, self.now - ago, worth, units)
        return self

    def own(self, qty: int, cost: int, *, market: Instrument = JITO) -> Scene:
        self.owned[market.symbol] = qty, cost
        return self

    def later(self, ns: int) -> Scene:
        """Time passes; prices and fair values stay, and are seen anew."""
        self.now += ns
        for book in self.books.values():
            book.at = self.now
        for coin, rate in self.rates.items():
            self.rates[coin] = FairValue(rate.base, rate.quote, self.now, rate.worth, rate.units)
        return self

    def decide(self) -> list[Place]:
        wishes = self.engine.decide(self.memory, self)  # type: ignore[arg-type]  # what it does not show, the engine must not ask
        return [wish for wish in wishes or () if isinstance(wish, Place)]

    @property
    def told(self) -> tuple[str, str]:
        held = self.memory.tokens[0]
        return held.did, held.why


def engine(*pegs: Peg, **changes: Any) -> Depeg:
    """With loss limits of 5%, nearer than the defaults."""
    return Depeg(pegs or (Peg(JITOSOL, JITO),), **({"widen": "5%", "loss": "5%"} | changes))


def words(places: Sequence[Place]) -> list[tuple[str, str, str]]:
    return [(place.side.value, place.instrument.symbol, place.why) for place in places]


BUYS = [("buy", "jitoSOL/SOL", "de-peg")]


def sells(why: str, market: Instrument = JITO) -> list[tuple[str, str, str]]:
    return [("sell", market.symbol, why)]


def at_discount(worth: int, units: int, rate: str) -> int:
    """The highest price, in billionths, that lies at least this far under fair value."""
    return int(Fraction(worth, units) * COIN * (1 - Fraction(rate)))


fairs = st.tuples(st.integers(10**6, 10**17), st.integers(10**6, 10**17)).filter(lambda f: Fraction(1, 4) < Fraction(*f) < 4)


# -- entering ------------------------------------------------------------------------------------------------------------


@given(fairs)
def test_it_buys_at_the_cost_of_both_ways_and_the_threshold(fair: tuple[int, int]) -> None:
    """0.1% fee and 0.1% slippage twice and 0.5%: at a discount of 0.9% it buys, a billionth of a SOL above that it does not."""
    edge = at_discount(*fair, rate="0.009")
    assert words(Scene(engine()).fair(*fair).price(edge).decide()) == BUYS
    scene = Scene(engine()).fair(*fair).price(edge + 1)
    assert scene.decide() == []
    assert scene.told == ("nothing", "the discount is below 0.9%")


@given(fairs)
def test_costs_of_both_ways_count_twice_each(fair: tuple[int, int]) -> None:
    dear = engine(fee="0.3%", slip="0.2%")
    assert dear.costs == 10_000
    edge = at_discount(*fair, rate="0.015")
    assert words(Scene(dear).fair(*fair).price(edge).decide()) == BUYS
    assert Scene(dear).fair(*fair).price(edge + 1).decide() == []


def test_a_discount_is_measured_at_the_ask_when_buying() -> None:
    assert Scene(engine()).fair(1, 1).price(900_000_000, 995_000_000).decide() == []
    assert words(Scene(engine()).fair(1, 1).price(900_000_000, 991_000_000).decide()) == BUYS


@given(fairs, st.integers(9_000, 200_000))
def test_no_buy_fills_where_it_promises_less_than_the_threshold(fair: tuple[int, int], discount: int) -> None:
    """The order's limit: at it, with the fees of both ways and the slippage of the sale, just the threshold is left."""
    price = at_discount(*fair, rate=str(Fraction(discount, PPM)))
    (place,) = Scene(engine()).fair(*fair).price(price).decide()
    assert place.limit is not None and place.tif is TimeInForce.IOC and place.limit >= price
    left = 1 - Fraction(place.limit, COIN) / Fraction(*fair) - Fraction(3, 1_000)
    assert Fraction(5, 1_000) <= left < Fraction(5, 1_000) + Fraction(1, COIN) / Fraction(*fair)


@pytest.mark.parametrize(("discount", "part"), [("0.009", "0.25"), ("0.014", "0.5"), ("0.019", "0.75"), ("0.024", "1"), ("0.2", "1")])
def test_the_size_grows_with_the_discount_up_to_full(discount: str, part: str) -> None:
    """Beyond costs of 0.4%: a quarter of the cap at 0.5%, all of it at 2% and more."""
    scene = Scene(engine(most="10")).fair(11, 10).price(at_discount(11, 10, discount))
    (place,) = scene.decide()
    assert place.limit is not None
    spent, wanted = JITO.cost(place.limit, place.qty, Rounding.CEIL), Fraction(part) * 10 * COIN
    assert wanted - 2_000 < spent <= wanted, "within a lot"


def test_it_buys_more_when_the_discount_grows_and_no_more_than_its_size_then() -> None:
    scene = Scene(engine()).fair(1, 1).price(991_000_000)
    (first,) = scene.decide()
    scene.own(first.qty, JITO.cost(991_000_000, first.qty, Rounding.CEIL)).decide()
    assert scene.later(HOUR).decide() == [], "its size at this discount is held"
    assert scene.told == ("hold", "the caps are reached")
    (second,) = scene.price(986_000_000).decide()
    assert second.limit is not None
    held = scene.open_cost(JITO) + JITO.cost(second.limit, second.qty, Rounding.CEIL)
    assert 5 * COIN - 2_000 < held <= 5 * COIN, "half of the cap at 1.4%"


def test_what_it_expects_is_the_discount_before_costs() -> None:
    """The costs are for a gate to weigh it against: `Profit` would charge them twice."""
    (place,) = Scene(engine(most="10")).fair(1, 1).price(950_000_000).decide()
    per_coin = Fraction(1) - Fraction(950, 1_000)
    assert place.expect is not None and abs(place.expect - per_coin * place.qty) < 2


def test_it_buys_only_what_its_free_money_holds() -> None:
    scene = Scene(engine(), free="2").fair(1, 1).price(900_000_000)
    (place,) = scene.decide()
    needed = scene.hold(place)
    assert needed is not None and 2 * COIN * 99 // 100 < needed <= 2 * COIN
    assert Scene(engine(), free="0").fair(1, 1).price(900_000_000).decide() == []
    scarce = Scene(engine(least="1"), free="0.9").fair(1, 1).price(900_000_000)
    assert scarce.decide() == []
    assert scarce.told == ("nothing", "too little free money")


@pytest.mark.parametrize(("free", "bought"), [("1.008", True), ("1.0", False)])
def test_it_buys_nothing_below_the_least_order(free: str, bought: bool) -> None:
    """1.008 SOL hold 1 SOL at 0.99 with the allowance of 0.4% up to the limit; 1 SOL do not."""
    scene = Scene(engine(least="1"), free=free).fair(1, 1).price(991_000_000)
    assert bool(scene.decide()) is bought


def test_what_the_venue_would_refuse_is_not_wished() -> None:
    big = market_of(JITOSOL, min_notional="3")
    scene = Scene(engine(Peg(JITOSOL, big))).fair(1, 1).price(991_000_000, market=big)
    assert scene.decide() == [], "a quarter of the cap of 10 is below 3 SOL"
    assert words(scene.price(980_000_000, market=big).decide()) == BUYS
    heavy = market_of(JITOSOL, min_qty="6")
    assert Scene(engine(Peg(JITOSOL, heavy))).fair(1, 1).price(985_000_000, market=heavy).decide() == []


# -- caps --------------------------------------------------------------------------------------------------------------


def test_the_cap_of_a_token_is_at_cost_and_counts_what_is_ordered() -> None:
    scene = Scene(engine(most="10")).fair(1, 1).price(800_000_000)
    (place,) = scene.decide()
    scene.open.append(Order("a-1", "a", place, scene.now))
    assert scene.decide() == []
    assert scene.told == ("nothing", "an order of it is under way")


def test_the_cap_of_a_token_does_not_grow_when_its_value_falls() -> None:
    scene = Scene(engine(widen="99%", loss="99%", cooldown=0)).fair(1, 1).price(800_000_000).own(12 * COIN, 10 * COIN)
    assert scene.decide() == [] and scene.price(400_000_000).decide() == []
    assert scene.told == ("hold", "the caps are reached")


def test_the_total_cap_holds_over_all_tokens_also_within_one_decision() -> None:
    two = engine(Peg(JITOSOL, JITO), Peg(MSOL, MSOL_MARKET), cap="10", most="10", total="15")
    scene = Scene(two).fair(1, 1).fair(1, 1, token=MSOL).price(900_000_000).price(900_000_000, market=MSOL_MARKET)
    first, second = scene.decide()
    assert first.limit is not None and second.limit is not None
    costs = [place.instrument.cost(place.limit or 0, place.qty, Rounding.CEIL) for place in (first, second)]
    assert 10 * COIN - 2_000 < costs[0] <= 10 * COIN and 5 * COIN - 3_000 < costs[1] <= 15 * COIN - costs[0]


def test_two_buys_of_one_decision_share_the_free_money() -> None:
    two = engine(Peg(JITOSOL, JITO), Peg(MSOL, MSOL_MARKET), cap="10", most="10", total="25")
    scene = Scene(two, free="12").fair(1, 1).fair(1, 1, token=MSOL).price(900_000_000).price(900_000_000, market=MSOL_MARKET)
    held = [scene.hold(place) or 0 for place in scene.decide()]
    assert len(held) == 2 and sum(held) <= 12 * COIN


def test_an_order_of_one_token_under_way_counts_against_the_total_of_another() -> None:
    two = engine(Peg(JITOSOL, JITO), Peg(MSOL, MSOL_MARKET), cap="10", most="10", total="10")
    scene = Scene(two).fair(1, 1, token=MSOL).price(900_000_000, market=MSOL_MARKET)
    (place,) = scene.decide()
    scene.open.append(Order("a-1", "a", place, scene.now))
    assert scene.fair(1, 1).price(900_000_000).decide() == []
    assert scene.told == ("nothing", "the caps are reached")


# -- old and missing inputs --------------------------------------------------------------------------------------------


def opened(holds: bool, **changes: Any) -> Scene:
    """A discount that has been there for a day, with a position to exit from or money to enter with."""
    scene = Scene(engine(**changes), free="0").fair(1, 1).price(500_000_000)
    scene.decide()
    scene.now += DAY
    scene.memory.tokens[0].opened = scene.now - DAY
    scene.money = 100 * COIN
    return scene.own(COIN, COIN) if holds else scene


@pytest.mark.parametrize(("ago", "decides"), [(0, True), (HOUR, True), (HOUR + 1, False), (-1, False)])
@pytest.mark.parametrize("holds", [False, True])
def test_nothing_is_decided_on_a_fair_value_older_than_fair_age_or_from_the_future(ago: int, decides: bool, holds: bool) -> None:
    scene = opened(holds).fair(1, 1, ago=ago).price(500_000_000)
    assert bool(scene.decide()) is decides
    assert decides or scene.told == ("nothing", "the fair value is stale")


@pytest.mark.parametrize(("ago", "decides"), [(0, True), (MINUTE, True), (MINUTE + 1, False), (-1, False)])
@pytest.mark.parametrize("holds", [False, True])
def test_nothing_is_decided_on_a_price_older_than_price_age_or_from_the_future(ago: int, decides: bool, holds: bool) -> None:
    scene = opened(holds).fair(1, 1).price(500_000_000, ago=ago)
    assert bool(scene.decide()) is decides
    assert decides or scene.told == ("nothing", "the price is stale")


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize(("what", "ns"), [("fair_age", 5 * MINUTE), ("price_age", 3 * HOUR)])
def test_both_ages_are_parameters(what: str, ns: int, holds: bool) -> None:
    for ago, decides in ((ns, True), (ns + 1, False)):
        scene = opened(holds, **{what: ns})
        scene.fair(1, 1, ago=ago if what == "fair_age" else 0).price(500_000_000, ago=ago if what == "price_age" else 0)
        assert bool(scene.decide()) is decides


@pytest.mark.parametrize(("ago", "bought"), [(0, True), (1, False), (MINUTE, False)])
def test_it_buys_only_on_a_fair_value_that_was_told_since_the_discount_was_first_seen(ago: int, bought: bool) -> None:
    """A pool that lost something and a price that fell with it: until the pool is heard of again, it looks like a gift."""
    scene = Scene(engine()).fair(1, 1, ago=ago).price(900_000_000)
    assert bool(scene.decide()) is bought
    assert bought or scene.told == ("nothing", "the fair value is older than the discount")
    scene.now += 1
    assert words(scene.fair(1, 1).decide()) == BUYS, "heard of again, and unchanged"


def test_a_discount_that_closed_is_a_new_one_when_it_opens_again() -> None:
    scene = Scene(engine(), free="0").fair(1, 1).price(900_000_000)
    scene.decide()
    scene.now += MINUTE
    scene.price(995_000_000).decide()
    scene.money = 100 * COIN
    assert scene.price(900_000_000).decide() == []
    assert scene.told == ("nothing", "the fair value is older than the discount")


def test_a_fair_value_in_another_coin_is_none() -> None:
    scene = Scene(engine()).fair(150, 1, quote=USDC).price(900_000_000)
    assert scene.decide() == []
    assert scene.told == ("nothing", "the fair value is in USDC")


def test_each_token_stands_for_itself() -> None:
    """The price of one is old, the fair value of another is missing: the third is decided about."""
    inf = market_of(INF)
    three = engine(Peg(JITOSOL, JITO), Peg(MSOL, MSOL_MARKET), Peg(INF, inf))
    scene = Scene(three).fair(1, 1).fair(1, 1, token=INF)
    scene.price(900_000_000, ago=HOUR).price(900_000_000, market=MSOL_MARKET).price(900_000_000, market=inf)
    assert words(scene.decide()) == [("buy", "INF/SOL", "de-peg")]
    assert [held.why for held in scene.memory.tokens] == ["the price is stale", "no fair value", "de-peg"]


# -- the cooldown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ns", "bought"), [(HOUR - 1, False), (HOUR, True)])
def test_a_token_rests_after_a_buy(ns: int, bought: bool) -> None:
    scene = Scene(engine()).fair(1, 1).price(900_000_000).own(COIN, COIN * 9 // 10)
    scene.decide()
    assert scene.told == ("hold", "cooldown")
    assert bool(scene.later(ns).decide()) is bought


@pytest.mark.parametrize(("ns", "bought"), [(HOUR - 1, False), (HOUR, True)])
def test_a_token_rests_after_a_sale(ns: int, bought: bool) -> None:
    scene = Scene(engine()).fair(1, 1).price(995_000_000).own(COIN, COIN * 9 // 10)
    scene.decide()
    scene.own(0, 0).later(DAY).decide()
    assert bool(scene.later(ns).price(900_000_000).decide()) is bought


def test_an_order_that_did_not_fill_starts_no_cooldown() -> None:
    scene = Scene(engine()).fair(1, 1).price(900_000_000)
    assert words(scene.decide()) == words(scene.later(1).decide()) == BUYS


def test_the_rest_of_one_token_does_not_hold_another_back() -> None:
    two = engine(Peg(JITOSOL, JITO), Peg(MSOL, MSOL_MARKET))
    scene = Scene(two).fair(1, 1).price(900_000_000).own(COIN, COIN * 9 // 10).fair(1, 1, token=MSOL).price(900_000_000, market=MSOL_MARKET)
    assert words(scene.decide()) == [("buy", "mSOL/SOL", "de-peg")]


# -- the exit at the peg -------------------------------------------------------------------------------------------------


@given(fairs)
def test_it_sells_everything_at_the_peg(fair: tuple[int, int]) -> None:
    """At a discount of 0.1% at the bid; a billionth of a SOL below that it waits."""
    exact = Fraction(*fair) * COIN * Fraction(999, 1_000)
    edge = -int(-exact // 1)
    scene = Scene(engine()).fair(*fair).own(3 * COIN, 3 * edge * 9 // 10).price(edge, 2 * edge)
    (place,) = scene.decide()
    assert words([place]) == sells("re-peg") and place.qty == 3 * COIN and place.reduce_only
    assert scene.told == ("sell", "re-peg")
    assert Scene(engine()).fair(*fair).own(3 * COIN, 3 * edge * 9 // 10).price(edge - 1, 2 * edge).decide() == []


def test_a_sale_at_the_peg_takes_no_worse_price_than_its_slippage() -> None:
    (place,) = Scene(engine()).fair(1, 1).own(COIN, COIN // 2).price(1_000_000_000).decide()
    assert (place.limit, place.tif) == (999_000_000, TimeInForce.IOC)


def test_above_its_fair_value_it_sells_too() -> None:
    assert words(Scene(engine()).fair(1, 1).own(COIN, COIN // 2).price(1_100_000_000).decide()) == sells("re-peg")


@given(st.integers(900_000_000, 1_100_000_000))
def test_at_the_peg_it_sells_for_no_less_than_was_paid(cost: int) -> None:
    """The coins bring the bid less fee and slippage; the buy's fee was paid too. A price that just pays, and a unit less."""
    paid = -(-cost * 1_001 // 1_000)
    edge = next(price for price in range(paid * 1_000 // 998 - 3, paid * 1_000 // 998 + 4) if price * 998 // 1_000 >= paid)
    for price, sold in ((edge, True), (edge - 1, False)):
        scene = Scene(engine(loss="99%", widen="99%")).fair(price, COIN).own(COIN, cost).price(price)
        assert words(scene.decide()) == (sells("re-peg") if sold else [])


# -- unstaking -----------------------------------------------------------------------------------------------------------


def waiting(cost: int, *, bid: int = 980_000_000, pool: int | None = COIN, ago: int = 0, **changes: Any) -> Scene:
    """One coin that is worth 1 SOL, bought at this cost a day ago, on a market that has not come back."""
    scene = Scene(engine(BOTH, **({"cap": "5", "cooldown": 365 * DAY} | changes))).fair(1, 1).own(COIN, cost).price(bid)
    scene.decide()
    scene.later(DAY)
    return scene if pool is None else scene.price(pool, market=JITO_POOL, ago=ago)


def test_it_unstakes_when_that_pays_more_than_the_market_and_at_least_what_was_paid() -> None:
    scene = waiting(970_000_000)
    (place,) = scene.decide()
    assert words([place]) == sells("unstake", JITO_POOL)
    assert place.qty == COIN and place.limit is None and scene.told == ("unstake", "unstake")


@pytest.mark.parametrize(("ns", "unstakes"), [(DAY - 1, False), (DAY, True)])
def test_it_waits_for_a_re_peg_first(ns: int, unstakes: bool) -> None:
    scene = Scene(engine(BOTH, cooldown=365 * DAY)).fair(1, 1).own(COIN, 970_000_000).price(980_000_000).price(COIN, market=JITO_POOL)
    assert scene.decide() == []
    assert words(scene.later(ns).decide()) == (sells("unstake", JITO_POOL) if unstakes else [])


def redeemed(worth: int = COIN) -> int:
    """What unstaking coins worth this much brings: 0.1% of fee, and two days at 7% a year."""
    wait = -(-70_000 * 2 // 365)
    return worth * (PPM - 1_000) * (PPM - wait) // PPM**2


def test_the_fee_and_the_delay_count_against_unstaking() -> None:
    """What was paid, its fee with it, must come back: to the unit of SOL on both sides."""
    least = redeemed()
    cost = least * 1_000 // 1_001
    while -(-(cost + 1) * 1_001 // 1_000) <= least:
        cost += 1
    assert words(waiting(cost).decide()) == sells("unstake", JITO_POOL)
    assert waiting(cost + 1).decide() == []
    free = Token(JITOSOL.coin, JITOSOL.rate, "0%", 0)
    scene = Scene(engine(Peg(free, JITO, JITO_POOL), cooldown=365 * DAY)).fair(1, 1).own(COIN, cost + 1).price(980_000_000)
    scene.price(COIN, market=JITO_POOL).decide()
    assert words(scene.later(DAY).decide()) == sells("unstake", JITO_POOL), "without a fee and a delay it pays"


def test_it_does_not_unstake_where_the_market_pays_as_much() -> None:
    """The market brings its bid less 0.2%. Where that is what unstaking at a fee of 0.5% brings, it waits; a unit less, and it unstakes."""
    dear = Token(JITOSOL.coin, JITOSOL.rate, "0.5%", 0)
    bid = next(price for price in range(996_000_000, COIN) if price * 998 // 1_000 >= 995_000_000)
    for price, unstakes in ((bid, False), (bid - 1, True)):
        scene = Scene(engine(Peg(dear, JITO, JITO_POOL), exit="0%", patience=0)).fair(1, 1).own(COIN, 900_000_000)
        scene.price(price).price(COIN, market=JITO_POOL)
        assert words(scene.decide()) == (sells("unstake", JITO_POOL) if unstakes else [])


def test_a_longer_delay_and_a_higher_yield_speak_against_unstaking() -> None:
    slow = Token(JITOSOL.coin, JITOSOL.rate, "0.1%", 60 * DAY)
    for token, carry, unstakes in ((JITOSOL, "7%", True), (slow, "7%", False), (slow, "0%", True), (JITOSOL, "99%", True)):
        scene = Scene(engine(Peg(token, JITO, JITO_POOL), carry=carry, cooldown=365 * DAY)).fair(1, 1).own(COIN, 990_000_000)
        scene.price(985_000_000).price(COIN, market=JITO_POOL).decide()
        assert bool(scene.later(DAY).decide()) is unstakes, (token.unstake_delay, carry)


def test_a_redemption_price_below_the_fair_value_is_what_counts() -> None:
    assert waiting(970_000_000, pool=971_000_000).decide() == []
    assert words(waiting(970_000_000, pool=990_000_000, bid=960_000_000).decide()) == sells("unstake", JITO_POOL)


@pytest.mark.parametrize(("ago", "unstakes"), [(MINUTE, True), (MINUTE + 1, False), (-1, False)])
def test_it_does_not_unstake_at_an_old_price(ago: int, unstakes: bool) -> None:
    assert bool(waiting(970_000_000, ago=ago).decide()) is unstakes


def test_without_a_redemption_market_or_its_price_it_waits() -> None:
    assert waiting(970_000_000, pool=None).decide() == []
    alone = Scene(engine(cooldown=365 * DAY)).fair(1, 1).own(COIN, 970_000_000).price(980_000_000)
    alone.decide()
    assert alone.later(DAY).decide() == []


def test_while_an_unstaking_is_under_way_nothing_is_done_about_that_token() -> None:
    scene = waiting(970_000_000)
    (place,) = scene.decide()
    scene.open.append(Order("a-1", "a", place, scene.now))
    scene.locked["jitoSOL"] = COIN
    assert scene.later(DAY).price(500_000_000).decide() == []
    assert scene.told == ("nothing", "an order of it is under way")


def test_coins_that_cannot_be_sold_now_are_not_wished_to_be() -> None:
    scene = waiting(970_000_000)
    scene.locked["jitoSOL"] = COIN
    assert scene.decide() == []


# -- the time stop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ns", "sold"), [(14 * DAY - 1, False), (14 * DAY, True)])
def test_it_gives_up_when_its_time_is_up(ns: int, sold: bool) -> None:
    scene = Scene(engine(cooldown=365 * DAY)).fair(1, 1).own(COIN, 985_000_000).price(980_000_000)
    assert scene.decide() == []
    found = scene.later(ns).decide()
    assert words(found) == (sells("time stop") if sold else [])
    assert not sold or found[0].limit is None, "at market"


def test_a_time_stop_unstakes_where_that_pays_more_than_the_market_even_at_a_loss() -> None:
    scene = waiting(1_010_000_000, bid=980_000_000)
    assert scene.decide() == [], "unstaking would not bring back what was paid"
    assert words(scene.later(13 * DAY).decide()) == sells("time stop", JITO_POOL)
    dear = waiting(1_010_000_000, bid=980_000_000, pool=900_000_000)
    dear.decide()
    assert words(dear.later(13 * DAY).decide()) == sells("time stop")


def test_the_time_of_a_new_position_is_its_own() -> None:
    """Dust of an old one does not start the clock."""
    scene = Scene(engine()).fair(1, 1).own(500, 500).price(995_000_000)
    scene.decide()
    scene.later(20 * DAY).own(COIN, 980_000_000)
    assert scene.decide() == []
    assert scene.later(14 * DAY - 1).decide() == []
    assert words(scene.later(1).decide()) == sells("time stop")


# -- the loss limits ---------------------------------------------------------------------------------------------------


@given(st.integers(900_000_000, 1_000_000_000), st.integers(950_000_000, 1_200_000_000))
def test_it_sells_when_the_discount_grew_by_more_than_widen_since_it_was_bought(cost: int, fair: int) -> None:
    """Bought at `cost` for what was worth 1 SOL; 5% wider than then exactly is borne, a billionth of a SOL more is not."""
    edge = -int(-(Fraction(cost, COIN) - Fraction(5, 100)) * fair // 1)
    for price, sold in ((edge, False), (edge - 1, True)):
        scene = Scene(engine(loss="99%", cooldown=365 * DAY)).fair(1, 1).own(COIN, cost).price(cost)
        scene.decide()
        scene.fair(fair, COIN).price(price)
        found = scene.decide()
        assert words(found) == (sells("widened") if sold else [])
        assert not sold or found[0].limit is None, "at market"


@given(st.integers(900_000_000, 1_100_000_000))
def test_it_sells_when_more_than_loss_of_what_was_paid_would_be_lost(cost: int) -> None:
    """What was paid with its fee, against the bid less fee and slippage: 5% less is borne, a unit of SOL more is not."""
    paid = -(-cost * 1_001 // 1_000)
    bid = paid * 95 // 100 * 1_000 // 998
    while (bid * 998 // 1_000) * 100 >= paid * 95:
        bid -= 1
    while (bid * 998 // 1_000) * 100 < paid * 95:
        bid += 1
    for price, sold in ((bid, False), (bid - 1, True)):
        scene = Scene(engine(widen="99%", cooldown=365 * DAY)).fair(price, COIN).own(COIN, cost).price(price)
        assert words(scene.decide()) == (sells("loss") if sold else [])


def test_losses_are_measured_at_the_bid() -> None:
    for limits, why in (({"loss": "99%"}, "widened"), ({"widen": "99%"}, "loss")):
        scene = Scene(engine(cooldown=365 * DAY, **limits)).fair(1, 1).own(COIN, 970_000_000).price(970_000_000)
        scene.decide()
        assert scene.price(960_000_000).decide() == []
        assert words(scene.price(900_000_000, 970_000_000).decide()) == sells(why)


def test_a_fair_value_that_falls_with_the_price_ends_in_the_loss_limit() -> None:
    """Slashed after it was bought: there is no discount to wait for, and what is lost is bounded."""
    scene = Scene(engine()).fair(1, 1).own(COIN, 985_000_000).price(985_000_000)
    scene.decide()
    assert words(scene.fair(9, 10).price(890_000_000).decide()) == sells("loss")


def test_a_loss_limit_comes_before_unstaking() -> None:
    """A market that much below fair value may know what the pool does not say yet."""
    assert words(waiting(970_000_000, bid=900_000_000).decide()) == sells("widened")


def test_what_was_given_up_is_not_bought_again_before_it_was_back_at_its_peg() -> None:
    scene = Scene(engine()).fair(1, 1).own(COIN, 985_000_000).price(985_000_000)
    scene.decide()
    assert words(scene.price(900_000_000).decide()) == sells("widened")
    scene.own(0, 0).later(DAY).decide()
    assert scene.later(DAY).decide() == []
    assert scene.told == ("nothing", "given up, and not back at its peg since")
    assert scene.price(998_999_999).decide() == [] and scene.price(900_000_000).decide() == []
    assert scene.price(999_000_000).decide() == [], "back at its peg"
    assert words(scene.price(900_000_000).decide()) == BUYS


def test_after_a_time_stop_it_is_not_bought_at_once_again() -> None:
    scene = Scene(engine()).fair(1, 1).own(8 * COIN, 8 * 980_000_000).price(980_000_000)
    scene.decide()
    assert words(scene.later(14 * DAY).decide()) == sells("time stop")
    scene.own(0, 0).decide()
    assert scene.later(DAY).decide() == []
    assert scene.told == ("nothing", "given up, and not back at its peg since")


def test_an_unstaking_that_paid_may_be_done_again() -> None:
    scene = waiting(970_000_000, cooldown=HOUR)
    while words(found := scene.decide()) == BUYS:
        scene.own(scene.position(JITO) + found[0].qty, scene.open_cost(JITO) + JITO.cost(980_000_000, found[0].qty, Rounding.CEIL))
        scene.decide()
        scene.later(HOUR)
    assert words(found) == sells("unstake", JITO_POOL)
    scene.own(0, 0).decide()
    assert words(scene.later(HOUR).decide()) == BUYS


# -- what it remembers ---------------------------------------------------------------------------------------------------


def test_a_discount_is_that_of_its_own_buys_at_the_fair_value_they_were_decided_on() -> None:
    """Two buys, at 3% and at 9%: 6% in all, and 5% more may come."""
    scene = Scene(engine(loss="99%", cap="20", cooldown=0)).fair(1, 1).price(970_000_000)
    (first,) = scene.decide()
    scene.own(COIN, 970_000_000).fair(2, 1).decide()  # what is told after the buy does not change what it was bought on
    assert first.why == "de-peg" and scene.memory.tokens[0].worth == COIN
    scene.fair(1, 1).price(910_000_000)
    assert words(scene.decide()) == [*sells("widened")]
    scene = Scene(engine(loss="99%", widen="7%", cap="20", cooldown=0)).fair(1, 1).price(970_000_000)
    scene.decide()
    scene.own(COIN, 970_000_000).price(910_000_000)
    assert words(scene.decide()) == BUYS
    scene.own(2 * COIN, 1_880_000_000)
    for price, sold in ((870_000_000, False), (869_999_999, True)):
        found = scene.price(price).decide()
        assert (words(found) == sells("widened")) is sold


def test_after_a_restart_it_takes_its_coins_as_bought_now() -> None:
    """Memory is fresh: the cost is read off the books, the fair value of then is not known, and time starts anew."""
    scene = Scene(engine(loss="99%")).own(COIN, 985_000_000).fair(1, 1, ago=2 * HOUR).price(940_000_000)
    assert scene.decide() == [] and scene.memory.tokens[0].worth == 0
    scene.fair(1, 1)
    assert scene.decide() == [], "1.5% when bought, 6% now: 4.5% wider"
    assert scene.memory.tokens[0].worth == COIN
    assert words(scene.price(934_999_999).decide()) == sells("widened")


def test_part_of_a_position_keeps_the_discount_of_the_whole() -> None:
    scene = Scene(engine()).fair(1, 1).own(4 * COIN, 4 * 985_000_000).price(985_000_000)
    scene.decide()
    scene.own(COIN, 985_000_000).decide()
    assert scene.memory.tokens[0].worth == COIN


def test_memory_does_not_grow_with_time() -> None:
    scene = Scene(engine(BOTH, cooldown=0)).fair(1, 1)
    size = len(copy.copy(scene.memory).tokens)
    for step in range(500):
        scene.later(MINUTE).price(900_000_000 + step * 100_000).decide()
    assert len(scene.memory.tokens) == size == 1
    assert all(not isinstance(getattr(scene.memory.tokens[0], name), (list, dict, set)) for name in FIELDS)


FIELDS = [one.name for one in Holding.__attrs_attrs__]  # type: ignore[attr-defined]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(800_000_000, 1_100_000_000), st.integers(0, 2), st.integers(0, 3 * COIN)), max_size=20))
def test_deciding_is_pure(steps: list[tuple[int, int, int]]) -> None:
    """The same memory and view give the same wishes, and the same memory afterwards."""
    scene = Scene(engine(BOTH, cooldown=0)).fair(1, 1)
    for price, hours, qty in steps:
        scene.later(hours * HOUR).price(price).price(COIN, market=JITO_POOL).own(qty, qty * 97 // 100)
        memory = copy.deepcopy(scene.memory)
        first = scene.decide()
        kept, scene.memory = scene.memory, memory
        assert scene.decide() == first
        assert scene.memory == kept


# -- the faults of the origin ----------------------------------------------------------------------------------------------


def test_a_constant_fair_value_is_never_used() -> None:
    """The origin knew 1.072 and 1.145 for ever. Here the same price is cheap or not as the pool says, and unknown without it."""
    price = 1_072_000_000 * 98 // 100
    assert words(Scene(engine()).fair(1_072, 1_000).price(price).decide()) == BUYS
    assert Scene(engine()).fair(1_050, 1_000).price(price).decide() == []
    scene = Scene(engine()).price(price)
    assert scene.decide() == []
    assert scene.told == ("nothing", "no fair value")


def test_a_missing_price_is_not_replaced_by_the_fair_value() -> None:
    """The origin then saw a perfect peg. Here nothing is known: neither a buy nor, with coins in hand, a sale at the peg."""
    for scene in (Scene(engine()).fair(1, 1), Scene(engine()).fair(1, 1).own(COIN, COIN // 2)):
        assert scene.decide() == []
        assert scene.told == ("nothing", "no price")
        assert scene.engine.saw(scene.memory)["jitoSOL discount"] == "unknown"


def test_it_does_not_buy_on_each_tick_without_a_cap() -> None:
    """The origin bought ten tokens every five seconds for as long as the discount lasted."""
    scene = Scene(engine(cooldown=5 * MINUTE), free="1000").fair(1, 1).price(900_000_000)
    buys = []
    for _ in range(12 * 60):
        for place in scene.decide():
            buys.append(scene.now)
            scene.own(scene.position(JITO) + place.qty, scene.open_cost(JITO) + JITO.cost(900_000_000, place.qty, Rounding.CEIL))
        scene.later(5_000_000_000)
    assert len(buys) == 3 and all(b - a >= 5 * MINUTE for a, b in pairwise(buys))
    assert scene.open_cost(JITO) <= 10 * COIN


def test_what_was_bought_is_sold_again() -> None:
    """The origin had no exit."""
    scene = Scene(engine()).fair(1, 1).price(980_000_000)
    (place,) = scene.decide()
    scene.own(place.qty, JITO.cost(980_000_000, place.qty, Rounding.CEIL)).later(HOUR)
    (sale,) = scene.price(999_500_000).decide()
    assert (sale.side, sale.qty, sale.why) == (Side.SELL, place.qty, "re-peg")


def test_a_token_is_priced_in_what_it_redeems_for_and_never_bought_with_usd() -> None:
    """The origin took SOL for USDC. A market in USDC cannot be watched, and a vault of USDC cannot buy by mistake."""
    dollars = Instrument("jitoSOL/USDC", base=JITOSOL.coin, quote=USDC, tick="0.01")
    with pytest.raises(InvalidMarket, match="jitoSOL in SOL"):
        Peg(JITOSOL, dollars)
    with pytest.raises(AssetMismatch):
        Scene(engine(), asset=USDC, free="1000").fair(1, 1).price(900_000_000).decide()


def test_the_size_of_a_buy_obeys_the_most_that_one_may_be_for() -> None:
    """The origin had a `max_trade` of 1 SOL, and bought 10 tokens each time."""
    for most in ("1", "0.5"):
        (place,) = Scene(engine(most=most)).fair(11, 10).price(900_000_000).decide()
        assert place.limit is not None
        assert SOL(most).units - 2_000 < JITO.cost(place.limit, place.qty, Rounding.CEIL) <= SOL(most).units


# -- what it tells -------------------------------------------------------------------------------------------------------


def test_it_tells_what_its_last_decision_was_made_on() -> None:
    scene = Scene(engine(BOTH)).fair(1_072, 1_000).price(1_050_000_000)
    scene.decide()
    assert scene.engine.saw(scene.memory) == {
        "jitoSOL price": "1.05",
        "jitoSOL fair": "1.072",
        "jitoSOL discount": "2.0522%",
        "jitoSOL decision": "buy",
        "jitoSOL why": "de-peg",
    }
    scene.price(1_071_000_000).decide()
    told = scene.engine.saw(scene.memory)
    assert (told["jitoSOL discount"], told["jitoSOL decision"]) == ("0.0932%", "nothing")
    assert told["jitoSOL why"] == "the discount is below 0.9%"
    fresh = engine()
    assert fresh.saw(fresh.begin())["jitoSOL price"] == "unknown"


def test_it_says_its_rules_in_words() -> None:
    told = engine(BOTH, Peg(MSOL, MSOL_MARKET)).describe()
    for part in ("jitoSOL on jitoSOL/SOL and jitoSOL/SOL.unstake", "mSOL on mSOL/SOL", "at least 0.9%", "up to 10 SOL", "at 2.4%"):
        assert part in told
    assert "unstakes jitoSOL after 1 d" in told and "older than 1 h or a price older than 1 min" in told
    assert "unstakes" not in engine().describe()


def test_it_watches_every_market_and_knows_its_coin() -> None:
    both = engine(BOTH, Peg(MSOL, MSOL_MARKET))
    assert both.watches == (JITO, JITO_POOL, MSOL_MARKET) and both.quote == SOL and both.every == 0
    assert engine(BOTH).pegs == Depeg(BOTH).pegs


def test_the_parameters_on_its_page_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engines" / "depeg.md").read_text(encoding="utf-8")
    table = page.partition("## The parameters")[2].partition("\n## ")[0]
    said = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \| [^|]+ \|$", table, re.MULTILINE))
    plain = Depeg(Peg(JITOSOL, JITO))
    names = [one.name for one in Depeg.__attrs_attrs__ if one.name != "pegs"]  # type: ignore[attr-defined]
    assert list(said) == names
    assert [shown(getattr(plain, name), rate=name in RATES) for name in names] == list(said.values())


def shown(value: object, *, rate: bool) -> str:
    """A parameter as the page writes it."""
    if isinstance(value, int):
        return f"{value / 10_000:g}%" if rate else "0" if not value else next(f"{value // n} {s}" for s, n in SPANS.items() if value >= n)
    return str(value)


SPANS = {"d": DAY, "h": HOUR, "min": MINUTE}


def test_the_tokens_are_data() -> None:
    assert [str(token.coin) for token in TOKENS] == ["jitoSOL", "mSOL", "bSOL", "jupSOL", "INF"]
    assert all(token.coin.scale == 9 and token.redeems == SOL and token.unstake_fee and token.unstake_delay for token in TOKENS)
    assert (JITOSOL.unstake_fee, JITOSOL.unstake_delay, MSOL.unstake_delay) == (1_000, EPOCH, 2 * EPOCH)
    assert {BSOL.coin, JUPSOL.coin} <= {token.coin for token in TOKENS}
    mine = Token(Asset("mySOL", 9), "my pool's own page", "0.3%", 3 * DAY)
    assert engine(Peg(mine, market_of(mine))).watches[0].base == mine.coin


# -- what is refused -----------------------------------------------------------------------------------------------------


RATES = ["threshold", "full", "exit", "fee", "slip", "widen", "loss", "carry"]


@pytest.mark.parametrize("what", RATES)
@pytest.mark.parametrize("value", ["nan", "inf", "-0.1%", "100%", 0.01, float("nan"), 1, None, True, "", b"1%"])
def test_a_rate_is_text_between_nothing_and_all(what: str, value: object) -> None:
    with pytest.raises(InvalidAmount):
        engine(**{what: value})


@pytest.mark.parametrize("what", ["cap", "total", "most", "least"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", 0, 1.5, None, True, "0.0000000001", "1 USDC"])
def test_a_cap_is_an_exact_amount_above_zero(what: str, value: object) -> None:
    with pytest.raises(InvalidAmount):
        engine(**{what: value})


@pytest.mark.parametrize("what", ["hold", "fair_age", "price_age", "patience", "cooldown", "every"])
@pytest.mark.parametrize("value", [-1, 1.0, float("nan"), "1", None, True])
def test_a_time_is_whole_nanoseconds(what: str, value: object) -> None:
    with pytest.raises(InvalidAmount):
        engine(**{what: value})


@pytest.mark.parametrize("what", ["hold", "fair_age", "price_age"])
def test_some_times_are_above_zero(what: str) -> None:
    with pytest.raises(InvalidAmount):
        engine(**{what: 0})
    assert engine(patience=0, cooldown=0, every=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"exit": "0.5%"},
        {"threshold": "2.1%"},
        {"least": "6"},
        {"most": "11"},
        {"cap": "26"},
        {"fee": "40%", "slip": "9.8%"},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount, match=r"need|leave no price"):
        engine(**changes)


@pytest.mark.parametrize("pegs", [(), (JITO,), "pegs", None, 1, (Peg(JITOSOL, JITO), BOTH), [Peg(JITOSOL, JITO), None]])
def test_it_watches_pegs_each_token_once(pegs: Any) -> None:
    with pytest.raises(InvalidMarket):
        Depeg(pegs)


def test_tokens_that_redeem_for_different_coins_need_an_engine_each() -> None:
    ether = Asset("ETH", 18)
    steth = Token(Asset("stETH", 18), "Lido: pooled ether over shares", redeems=ether)
    peg = Peg(steth, Instrument("stETH/ETH", base=steth.coin, quote=ether, tick="0.0001", lot="0.0001"))
    assert Depeg(peg).quote == ether
    with pytest.raises(InvalidMarket, match="the same coin"):
        Depeg((peg, Peg(JITOSOL, JITO)))


@pytest.mark.parametrize("name", ["", None, 1])
def test_it_has_a_name(name: Any) -> None:
    with pytest.raises(InvalidMarket):
        engine(name=name)


@pytest.mark.parametrize(
    "given",
    [
        (JITOSOL, MSOL_MARKET),
        (JITOSOL, JITO, MSOL_MARKET),
        (JITOSOL, JITO, JITO),
        (JITOSOL, market_of(JITOSOL, "-PERP", kind=Kind.PERP)),
        (JITOSOL, "jitoSOL/SOL"),
        (JITOSOL, JITO, "jitoSOL/SOL.unstake"),
        ("jitoSOL", JITO),
    ],
)
def test_a_peg_is_a_token_on_spot_markets_of_its_pair(given: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidMarket):
        Peg(*given)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("jitoSOL", "a pool"), InvalidMarket),
        ((SOL, "a pool"), InvalidMarket),
        ((JITOSOL.coin, ""), InvalidMarket),
        ((JITOSOL.coin, None), InvalidMarket),
        ((JITOSOL.coin, "a pool", "-1%"), InvalidAmount),
        ((JITOSOL.coin, "a pool", "100%"), InvalidAmount),
        ((JITOSOL.coin, "a pool", float("nan")), InvalidAmount),
        ((JITOSOL.coin, "a pool", "0.1%", -1), InvalidAmount),
        ((JITOSOL.coin, "a pool", "0.1%", 1.5), InvalidAmount),
    ],
)
def test_a_token_says_how_it_is_redeemed(given: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        Token(*given)


# -- on the desk and the simulator -------------------------------------------------------------------------------------------
#
# All paths below are synthetic. Prices move from row to row; an order fills at the first price after its decision.

COSTS = Rules(Fees.of("0.1%", "0.1%"), Slippage.of("0.1%", "0.1%"))
"""What the engine takes a trade to cost by default."""


class Seen(Depeg):
    """The engine, with all that it wished and held written down beside it."""

    log: ClassVar[list[tuple[int, Place, FairValue, int, int]]] = []
    held: ClassVar[list[tuple[int, ...]]] = []

    def decide(self, memory: Any, view: Any) -> Any:
        wishes = super().decide(memory, view)
        self.held.append(tuple(view.open_cost(peg.market) for peg in self.pegs))
        for wish in wishes or ():
            fair, book = view.news(FairValue, wish.instrument.base.code), view.book_of(wish.instrument)
            self.log.append((view.now, wish, fair, book.ask, view.now - book.at))
        return wishes


def tape_of(market: Instrument, prices: Sequence[Fraction], *, every: int = HOUR, gone: Sequence[int] = ()) -> Tape:
    """Rows that go from each price to the next, a tape of made-up prices; `gone` rows are missing."""
    units = [max(1, int(price * COIN)) for price in prices]
    rows = [n for n in range(len(units) - 1) if n not in gone]
    text = market.price_text
    return Tape.from_columns(
        market,
        ts=[NOW + every * n for n in rows],
        open=[text(units[n]) for n in rows],
        high=[text(max(units[n : n + 2])) for n in rows],
        low=[text(min(units[n : n + 2])) for n in rows],
        close=[text(units[n + 1]) for n in rows],
        volume=["10"] * len(rows),
        interval=every,
        name="synthetic",
    )


def rates(token: Token, fairs: Sequence[Fraction], *, every: int = HOUR, gone: Sequence[int] = ()) -> list[FairValue]:
    """What a pool would tell at each row's begin."""
    return [FairValue(token.coin, SOL, NOW + every * n, int(fair * 10**15), 10**15) for n, fair in enumerate(fairs) if n not in gone]


def unstaking(token: Token = JITOSOL, stock: int = 10**15) -> Rules:
    """A redemption: any amount at the price of the tape, which is the fair value, less the fee and after the delay."""
    return Rules(pool=Outside(0, stock, 1, 1, token.unstake_fee), latency=Latency(order_ns=token.unstake_delay))


class Run:
    """One engine in a sleeve of 30 SOL, over tapes that are made of fair values and discounts."""

    def __init__(
        self,
        fairs: Sequence[Fraction],
        discounts: Sequence[Fraction],
        *,
        every: int = HOUR,
        redeems: bool = False,
        silent: Sequence[int] = (),
        **changes: Any,
    ) -> None:
        prices = [fair * (1 - discount) for fair, discount in zip(fairs, discounts, strict=True)]
        tapes = [tape_of(JITO, prices, every=every).with_news(rates(JITOSOL, fairs, every=every, gone=silent))]
        rules = {JITO.symbol: COSTS}
        if redeems:
            tapes.append(tape_of(JITO_POOL, fairs, every=every))
            rules[JITO_POOL.symbol] = unstaking()
        self.vault = CoreVault(SOL, total="50", tradeable="50")
        self.sleeve = self.vault.sleeve("lst", QUIET, allocate="30")
        self.desk = Desk(self.vault)
        changes = {"price_age": every, "fair_age": 2 * every} | changes
        self.engine = Seen(BOTH if redeems else Peg(JITOSOL, JITO), **changes)
        self.engine.log.clear()
        self.engine.held.clear()
        self.desk.assign(self.engine, to=self.sleeve)
        self.report = replay(self.desk, tapes, rules=rules, bounds=False, progress=False)
        self.log = list(self.engine.log)
        self.report.proof.require()

    @property
    def net(self) -> int:
        """Units of SOL won or lost."""
        (row,) = self.report.rows()
        return SOL(row["net_profit"]).units

    @property
    def fills(self) -> list[Fill]:
        return [record for record in self.desk.books.journal if isinstance(record, Fill)]

    def sold(self) -> list[str]:
        """Why it sold, in order, and where."""
        return [f"{place.why} on {place.instrument}" for _, place, *_ in self.log if place.side is Side.SELL]

    def spent(self) -> int:
        return sum(fill.cost for fill in self.fills if fill.side is Side.BUY)


def calm(rows: int, seed: int) -> list[Fraction]:
    """Discounts of 0.05% to 0.15%, seeded."""
    dice = random.Random(seed)
    return [Fraction(dice.randint(500, 1_500), PPM) for _ in range(rows)]


def steps(*turns: tuple[int, str], start: str = "0.001") -> list[Fraction]:
    """Discounts that go in straight lines: so many rows to each value."""
    path = [Fraction(start)]
    for rows, value in turns:
        path += [path[-1] + (Fraction(value) - path[-1]) * Fraction(n, rows) for n in range(1, rows + 1)]
    return path


def yields(rows: int, start: str = "1.15") -> list[Fraction]:
    """A fair value that rises by 0.038% every 48 hours, about 7% a year."""
    return [Fraction(start) * (1 + Fraction(38, 100_000)) ** (n // 48) for n in range(rows)]


def a_crash(seed: int, depth: str = "0.14") -> tuple[list[Fraction], list[Fraction]]:
    """Shaped on the mSOL of 12 December 2023: one seller, 14% in minutes, back within half an hour. Rows of a minute; synthetic."""
    discounts = [*calm(120, seed), *steps((8, depth), (4, depth), (14, "0.001")), *calm(120, seed + 1)]
    return [Fraction("1.15")] * len(discounts), discounts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_story_a_token_crashes_and_comes_back_and_it_earns_the_discount_less_the_costs(seed: int) -> None:
    run = Run(*a_crash(seed), every=MINUTE, cooldown=3 * MINUTE)
    buys = [one for one in run.log if one[1].side is Side.BUY]
    assert len(buys) >= 2 and set(run.sold()) == {"re-peg on jitoSOL/SOL"}
    assert run.sleeve.is_flat()
    told = Fraction(0)
    for _, place, fair, price, _ in run.log:
        slips, fee = Fraction(1, 1_000), Fraction(1, 1_000)
        worth = place.qty * Fraction(fair.worth, fair.units)
        discount = 1 - Fraction(price, COIN) / Fraction(fair.worth, fair.units)
        sign = 1 if place.side is Side.SELL else -1
        told += sign * worth * (1 - discount) * (1 - sign * slips) * (1 - sign * fee)
    assert abs(run.net - told) < 200, "what it earned is the discounts less fees and slippage, but for roundings"
    assert run.net >= run.spent() * 4 // 1_000, "each buy promised 0.5% after all costs, and 0.1% is left at the peg"
    assert run.net > run.spent() * 5 // 100, "and a crash of 14% pays far more"


def test_story_a_dip_that_does_not_pay_for_both_ways_is_left_alone() -> None:
    run = Run(*a_crash(1, depth="0.0088"), every=MINUTE)
    assert run.log == [] and run.net == 0


def a_slashing() -> tuple[list[Fraction], list[Fraction]]:
    """The pool loses 8% at once, and the price with it. Synthetic."""
    fairs = [Fraction("1.15")] * 24 + [Fraction("1.058")] * 48
    return fairs, calm(72, seed=7)


def test_story_a_slashing_is_no_discount_and_it_stays_out() -> None:
    assert Run(*a_slashing()).log == []


def test_story_the_same_prices_over_a_fair_value_that_stays_are_bought() -> None:
    """Against a constant the slashing would look like a gift of 8%: what the origin would have bought."""
    fairs, discounts = a_slashing()
    prices = [fair * (1 - discount) for fair, discount in zip(fairs, discounts, strict=True)]
    stays = [Fraction("1.15")] * len(fairs)
    run = Run(stays, [1 - price / fair for price, fair in zip(prices, stays, strict=True)])
    assert any(place.side is Side.BUY for _, place, *_ in run.log)


def test_story_a_discount_that_does_not_close_is_unstaked_at_a_profit() -> None:
    discounts = steps((6, "0.025"), (24 * 8, "0.025"))
    fairs = yields(len(discounts))
    run = Run(fairs, discounts, redeems=True, cooldown=30 * DAY)
    assert run.sold() == ["unstake on jitoSOL/SOL.unstake"]
    bought, redeemed = run.fills
    assert redeemed.at - run.log[-1][0] == 2 * DAY and redeemed.at - bought.at > 3 * DAY
    fair = next(f for f, n in zip(fairs, range(10**6), strict=False) if NOW + n * HOUR == redeemed.at)
    told = bought.qty * fair * Fraction(999, 1_000) - bought.cost - bought.fee.units
    assert abs(run.net - told) < 10, "fair value less the unstaking fee, less what was paid"
    assert run.net > 0 and run.sleeve.is_flat()


def test_story_without_a_redemption_the_same_discount_ends_in_the_time_stop() -> None:
    discounts = steps((1, "0.025"), (24 * 8, "0.025"))
    run = Run(yields(len(discounts)), discounts, cooldown=30 * DAY, hold=5 * DAY)
    assert run.sold() == ["time stop on jitoSOL/SOL"] and run.sleeve.is_flat()
    assert -run.spent() * 4 // 1_000 < run.net < -run.spent() * 3 // 1_000, "the costs of both ways, but for what staking brought"


def test_story_a_discount_that_widens_ends_in_the_loss_limit_and_is_not_bought_again() -> None:
    """From 1.5% to 35% by at most 0.5% a row: it is out at 5% wider than it bought, and stays out all the way down."""
    discounts = steps((4, "0.015"), (4, "0.015"), (67, "0.35"), (100, "0.35"))
    run = Run(yields(len(discounts)), discounts, cap="5", cooldown=30 * DAY, widen="5%")
    assert run.sold() == ["widened on jitoSOL/SOL"] and run.sleeve.is_flat()
    assert sum(place.side is Side.BUY for _, place, *_ in run.log) == 1
    assert run.spent() * 5 // 100 < -run.net < run.spent() * 63 // 1_000, "5%, half a percent in between, and the costs of both ways"
    held_on = Run(yields(len(discounts)), discounts, cap="5", cooldown=30 * DAY, widen="99%", loss="99%")
    assert held_on.net < 4 * run.net, "without the limits it would have lost a third"


def test_story_a_slashing_of_what_is_held_ends_in_the_loss_limit() -> None:
    discounts = [*steps((4, "0.015"), (8, "0.015")), *[Fraction("0.015")] * 60]
    fairs = [Fraction("1.15")] * 10 + [Fraction("1.15") * (1 - Fraction(n, 100)) for n in range(1, len(discounts) - 9)]
    run = Run(fairs, discounts, cap="5", cooldown=30 * DAY, widen="5%", loss="5%")
    assert run.sold() == ["loss on jitoSOL/SOL"] and run.sleeve.is_flat()
    assert run.spent() * 5 // 100 < -run.net < run.spent() * 8 // 100, "a percent an hour, so two rows beyond the limit at most"


@pytest.mark.parametrize("silent", [True, False])
def test_story_while_the_fair_value_is_old_nothing_is_traded(silent: bool) -> None:
    """The pool is not heard of for 20 hours while the token falls by 6%; when it is heard of again, the engine goes on."""
    gone = range(6, 30) if silent else ()
    discounts = [*steps((8, "0.001"), (4, "0.06"), (28, "0.06"), (4, "0.0005")), *calm(8, seed=3)]
    run = Run([Fraction("1.15")] * len(discounts), discounts, silent=gone)
    hours = [(now - NOW) // HOUR for now, *_ in run.log]
    assert any(12 <= hour < 30 for hour in hours) is not silent
    assert run.sold() == ["re-peg on jitoSOL/SOL"] and run.net > 0
    assert hours[0] == (30 if silent else 9), "the first hour with a discount of 0.9% and a fair value to believe"
    told = run.desk.telemetry(run.sleeve)
    assert told.saw["jitoSOL decision"] == "nothing"


def test_story_in_a_vault_of_dollars_it_does_not_trade() -> None:
    """Its markets are in SOL: there it is seated idle, with the reason."""
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    seat = Desk(vault).assign(engine(), to=vault.sleeve("lst", QUIET, allocate="500"))
    assert "USDC" in seat.idle_reason


# -- what always holds -------------------------------------------------------------------------------------------------------

MSOL_POOL = market_of(MSOL, ".unstake")
PACED = Token(JITOSOL.coin, JITOSOL.rate, "0.1%", 5 * HOUR)
jumps = st.integers(-60_000, 60_000)
worlds = st.fixed_dictionaries(
    {
        "moves": st.lists(st.tuples(jumps, jumps, st.integers(-20_000, 3_000), st.integers(0, 9)), min_size=10, max_size=50),
        "kill": st.integers(0, 100),
        "cap": st.integers(1, 10),
        "most": st.integers(1, 10),
        "total": st.integers(1, 14),
        "cooldown": st.sampled_from([0, HOUR, 6 * HOUR]),
        "patience": st.sampled_from([0, 3 * HOUR]),
        "hold": st.sampled_from([4 * HOUR, 40 * HOUR]),
        "limit": st.sampled_from(["3%", "15%"]),
        "participation": st.sampled_from([None, "30%"]),
    }
)


def a_world(world: dict[str, Any]) -> tuple[list[Tape], dict[str, Rules]]:
    """Two tokens on paths that jump, fair values that move, and rows and news that are missing."""
    fair, discount, other = Fraction("1.15"), Fraction(1, 1_000), Fraction(1, 1_000)
    fairs, prices, others = [fair], [fair * (1 - discount)], [Fraction(1)]
    no_row, no_news = set(), set()
    for n, (move, aside, slash, missing) in enumerate(world["moves"]):
        discount = min(max(discount + Fraction(move, PPM), Fraction(-1, 100)), Fraction(4, 10))
        other = min(max(other + Fraction(aside, PPM), Fraction(-1, 100)), Fraction(4, 10))
        fair *= 1 + Fraction(slash, PPM) if slash % 5 == 0 else 1
        if missing == 1:
            no_row.add(n)
        if missing in (2, 3):
            no_news.add(n)
        fairs.append(fair)
        prices.append(fair * (1 - discount))
        others.append(1 - other)
    fairs += [fair] * 12
    prices += [prices[-1]] * 12
    others += [others[-1]] * 12
    end = len(fairs)
    tapes = [
        tape_of(JITO, prices, gone=sorted(no_row)).with_news(rates(JITOSOL, fairs, gone=sorted(no_news))),
        tape_of(MSOL_MARKET, others).with_news(rates(MSOL, [Fraction(1)] * end)),
        tape_of(JITO_POOL, fairs),
    ]
    slips = Slippage.of("0.05%", "0.2%", full_at="10")
    costs = Rules.of(fees=Fees.of("0.1%", "0.1%"), slippage=slips, participation=world["participation"])
    return tapes, {JITO.symbol: costs, MSOL_MARKET.symbol: costs, JITO_POOL.symbol: unstaking(PACED)}


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_it_keeps_its_caps_trades_on_nothing_old_and_is_flat_after_a_kill(world: dict[str, Any]) -> None:
    tapes, rules = a_world(world)
    most = min(world["most"], world["cap"])
    total = max(world["total"], world["cap"])
    vault = CoreVault(SOL, total="50", tradeable="50")
    sleeve = vault.sleeve("lst", QUIET, allocate="12")
    desk = Desk(vault)
    seen = Seen(
        (Peg(PACED, JITO, JITO_POOL), Peg(MSOL, MSOL_MARKET)),
        cap=str(world["cap"]),
        most=str(most),
        total=str(total),
        cooldown=world["cooldown"],
        patience=world["patience"],
        hold=world["hold"],
        widen=world["limit"],
        loss=world["limit"],
        price_age=MINUTE,
        fair_age=2 * HOUR,
    )
    seen.log.clear()
    seen.held.clear()
    desk.assign(seen, to=sleeve)
    exchange = Exchange(tapes, account_of(desk), rules)
    indexes = [desk.index(tape.instrument) for tape in tapes]
    killed_at = NOW + HOUR * (world["kill"] * len(world["moves"]) // 100)
    killed = False

    def carry(commands: Sequence[Any], now: int) -> None:
        for command in commands:
            exchange.carry(command, now)
        while exchange.outbox:
            carry(desk.step(exchange.outbox.popleft()), now)

    for step in exchange.play():
        carry((), step.at)
        if step.price:
            carry(desk.quote(indexes[step.market], step.at, step.price, step.price, step.volume), step.at)
        if not killed and step.at >= killed_at:
            killed = True
            carry(desk.kill(sleeve, flatten=True, by="test", at=step.at), step.at)
            wished = len(seen.log)
    carry((), desk.books.now)
    assert killed and not desk.faults

    cap = SOL(world["cap"]).units
    assert all(sum(held) <= SOL(total).units and max(held) <= cap for held in seen.held), "its caps, at cost"
    for now, place, fair, _, age in seen.log:
        assert 0 <= now - fair.at <= 2 * HOUR and 0 <= age <= MINUTE
        if place.side is Side.BUY:
            assert place.limit is not None
            assert place.instrument.cost(place.limit, place.qty, Rounding.CEIL) <= SOL(most).units
            assert 1 - Fraction(place.limit, COIN) / Fraction(fair.worth, fair.units) >= Fraction(8, 1_000)
    assert len(seen.log) == wished, "a killed engine wishes nothing"
    assert sleeve.is_flat() and not desk.open_orders(), "flat after a kill"
    proof = desk.check(exchange.balances())
    assert proof.holds, str(proof)
