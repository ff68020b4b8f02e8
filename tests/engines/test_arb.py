"""The arbitrage engine: what it decides, with exact figures; its laws; and its stories on the simulator.

The first half asks the engine alone, with a view that is set up by hand: pools, books, money. What a bundle would make is
worked out by the pools' own swaps, leg after leg. The second half seats it at a real desk over a simulated exchange. All
prices here are made up, and say so: there is no real series of pools at hand.
"""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import fields
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import QUIET, SOL, USDC, Allowance, Bundle, CoreVault, Desk, Instrument, Place, Side
from sleeves.amm import Concentrated, ConstantProduct, Pool, Range, sqrt_price
from sleeves.engines.arb import Arb, ArbMemory
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.market import MINUTE, SECOND, Book, Kind
from sleeves.money import PPM, Asset, Rounding
from sleeves.news import PoolState
from sleeves.orders import Fill, Intent, Order, TimeInForce
from sleeves.records import Bundled, BundleStatus, BundleUpdate, Refusal
from sleeves.report import Report
from sleeves.sim import Exchange, Fees, Rules, Slippage, Tape, replay
from sleeves.sim.replay import account_of
from sleeves.sizing import Hop, best_input
from strategies import law

NOW = 1_800_000_000 * SECOND
LST = Asset("jitoSOL", 9)
TERMS: dict[str, Any] = {"tick": "0.0001", "lot": "0.001"}
ORCA = Instrument("SOL/USDC.orca", base=SOL, quote=USDC, **TERMS)
RAY = Instrument("SOL/USDC.ray", base=SOL, quote=USDC, **TERMS)
METEORA = Instrument("SOL/USDC.met", base=SOL, quote=USDC, **TERMS)
KRAKEN = Instrument("SOL/USDC.book", base=SOL, quote=USDC, tick="0.01", lot="0.01")
LST_USDC = Instrument("jitoSOL/USDC", base=LST, quote=USDC, **TERMS)
LST_SOL = Instrument("jitoSOL/SOL", base=LST, quote=SOL, tick="0.000001", lot="0.001")

N = TypeVar("N")


def product(base: str, quote: str, fee_ppm: int, market: Instrument = ORCA) -> ConstantProduct:
    return ConstantProduct(market.base(base).units, market.quote(quote).units, fee_ppm)


CHEAP = product("10000", "1500000", 3_000)
DEAR = product("8000", "1216000", 2_500)
"""cases/amm_cases.json, integer_two_pool_arb: 2,595.572329 in make 10.061183."""


class Scene:
    """A view that is set up by hand: only what the engine may see, with a desk's own allowances."""

    def __init__(self, engine: Arb, *, free: str = "100000", allowance: Allowance | None = None) -> None:
        self.engine = engine
        self.memory = engine.begin()
        self.now = NOW
        self.money = engine.asset(free).units
        self.allowance = Allowance(0, 0) if allowance is None else allowance
        self.books: dict[str, Book] = {}
        self.states: dict[str, PoolState] = {}
        self.coins: dict[str, int] = {}
        self.profit: int | None = 0
        self.bundles = 0
        self.open: list[Order] = []

    # -- what the engine asks

    def book_of(self, instrument: Instrument) -> Book | None:
        return self.books.get(instrument.symbol)

    def news(self, kind: type[N], topic: str) -> N | None:
        found = self.states.get(topic)
        return found if isinstance(found, kind) else None

    def orders(self) -> Sequence[Order]:
        return tuple(self.open)

    def free(self) -> int:
        return self.money

    def pnl(self) -> int | None:
        return self.profit

    def sellable(self, instrument: Instrument) -> int:
        return self.coins.get(instrument.base.code, 0)

    def home(self, coin: Asset) -> Instrument | None:
        found = (
            book.instrument for book in self.books.values() if (book.instrument.base, book.instrument.quote) == (coin, self.engine.asset)
        )
        return next(found, None)

    def hold(self, place: Place) -> int | None:
        book = self.book_of(place.instrument)
        return None if book is None else self.allowance.units(place, self.allowance.worst(place, book.ask))[1]

    def needs(self, place: Place) -> int | None:
        return self.hold(place) if place.instrument.quote == self.engine.asset and place.side is Side.BUY else 0

    # -- what a test sets

    def pool(self, market: Instrument, pool: Pool, *, ago: int = 0, priced: int | None = 0) -> Scene:
        """A pool is told so long ago, and its market's price; None for no price."""
        self.states[market.symbol] = PoolState(market, self.now - ago, pool)
        if priced is not None:
            price = market.round_price(float(pool.price()) * market.ratio[1] / market.ratio[0])
            self.quote(market, price, price, ago=priced)
        return self

    def quote(self, market: Instrument, bid: int, ask: int, *, ago: int = 0) -> Scene:
        book = self.books.setdefault(market.symbol, Book(market, len(self.books)))
        book.at, book.bid, book.ask = self.now - ago, bid, ask
        return self

    def text(self, market: Instrument, bid: str, ask: str, *, ago: int = 0) -> Scene:
        return self.quote(market, market.price(bid), market.price(ask), ago=ago)

    def decide(self) -> Sequence[Intent]:
        wishes = self.engine.decide(self.memory, self)  # type: ignore[arg-type]  # what it does not show, the engine must not ask
        return tuple(wishes or ())

    def bundle(self) -> Bundle:
        (wish,) = self.decide()
        assert isinstance(wish, Bundle)
        return wish

    @property
    def why(self) -> str:
        return self.memory.why


def engine(*pools: Instrument, **changes: Any) -> Arb:
    """Without gas, tips and failing, and content with any profit."""
    free: dict[str, Any] = {"gas": "0", "tip": "0", "success": "100%", "least": "0", "least_rate": "0%", "most": "100000"}
    return Arb(USDC, pools or (ORCA, RAY), **(free | changes))


def two(arb: Arb | None = None, **terms: Any) -> Scene:
    """SOL for about 150 at one pool and 152 at the other."""
    return Scene(arb or engine(), **terms).pool(ORCA, CHEAP).pool(RAY, DEAR)


def words(bundle: Bundle) -> list[str]:
    return [f"{leg.side} {leg.instrument}" for leg in bundle.legs]


def made(bundle: Bundle, pools: dict[str, Pool], *, at_limits: str = "") -> dict[str, int]:
    """What is over of each coin when the legs trade with these pools, one after the other.

    With `at_limits` purchases or sales for USDC fill at their limits. Nothing is ever spent that is not there, but for
    USDC; what an immediate limit forbids fails.
    """
    over: dict[str, int] = {}
    for leg in bundle.legs:
        market, qty = leg.instrument, leg.qty
        assert leg.tif is TimeInForce.IOC and leg.limit is not None
        assert qty % market.lot_units == 0 and leg.limit % market.tick_units == 0 and qty > 0
        base, quote = market.base.code, market.quote.code
        buys = leg.side is Side.BUY
        swap = pools[market.symbol].buy(qty) if buys else pools[market.symbol].sell(qty)
        pools[market.symbol] = swap.pool
        money = swap.paid if buys else swap.got
        limit = market.cost(leg.limit, qty, Rounding.FLOOR if buys else Rounding.CEIL)
        assert money <= limit if buys else money >= limit
        if quote == "USDC" and at_limits == leg.side.value:
            money = limit
        over[base] = over.get(base, 0) + (qty if buys else -qty)
        over[quote] = over.get(quote, 0) + (-money if buys else money)
        assert all(units >= 0 for coin, units in over.items() if coin != "USDC")
    return over


def taken_back(bundle: Bundle, pools: dict[str, Pool]) -> int:
    """What is left of USDC when all SOL that was bought goes back where it came from, once others have restored the pools."""
    back = 0
    for leg in bundle.legs:
        if leg.side is Side.BUY:
            back += pools[leg.instrument.symbol].sell(leg.qty).got - pools[leg.instrument.symbol].buy(leg.qty).paid
    return back


# -- one gap between two pools --------------------------------------------------------------------------------------------------


def test_it_buys_where_a_coin_is_cheap_and_sells_where_it_is_dear() -> None:
    scene = two()
    bundle = scene.bundle()
    assert words(bundle) == ["buy SOL/USDC.orca", "sell SOL/USDC.ray"]
    assert {leg.qty for leg in bundle.legs} == {SOL("17.222").units}  # 17.2226 is the best, in whole lots
    over = made(bundle, {ORCA.symbol: CHEAP, RAY.symbol: DEAR})
    assert over["SOL"] == 0
    assert over["USDC"] == bundle.legs[-1].expect == scene.memory.net
    assert 10_061_183 - 5 <= over["USDC"] <= 10_061_183, "the peak that amm_cases.json gives, less what a lot costs"
    assert (scene.memory.did, scene.why) == ("bundle", "")


def test_it_goes_the_other_way_when_the_gap_does() -> None:
    swapped = Scene(engine()).pool(ORCA, DEAR).pool(RAY, CHEAP)
    assert words(swapped.bundle()) == ["buy SOL/USDC.ray", "sell SOL/USDC.orca"]


@settings(law, max_examples=80)
@given(st.integers(0, 1_200), st.sampled_from([0, 100, 3_000]), st.sampled_from([0, 400, 2_500]), st.booleans())
def test_the_fees_of_both_pools_are_charged(gap: int, first: int, second: int, down: bool) -> None:
    """It trades on any gap beyond both fees and on none within: the origin summed the fees and charged none."""
    price = Fraction(150) * (1 - Fraction(gap, 100_000) if down else 1 + Fraction(gap, 100_000))
    one = product("10000", "1500000", first)
    other = ConstantProduct(SOL("10000").units, int(price * 10_000 * 10**6), second)
    scene = Scene(engine()).pool(ORCA, one).pool(RAY, other)
    wishes = scene.decide()
    ways = [[Hop(one, False), Hop(other, True)], [Hop(other, False), Hop(one, True)]]
    best = max(best_input(way).gross for way in ways)
    if best <= 0:
        assert not wishes and scene.why.startswith(("no ring of markets gains after", "what it gains does not cover"))
    elif wishes:
        (bundle,) = wishes
        assert isinstance(bundle, Bundle)
        assert 0 < made(bundle, {ORCA.symbol: one, RAY.symbol: other})["USDC"] <= best + 4, "but for units of rounding"
    else:
        assert best < 3_000, "only less than a lot's or a tick's worth is left alone"


def test_a_purchase_is_limited_so_that_half_of_what_is_more_than_asked_for_is_kept() -> None:
    """10.06 less 4, half of which may be paid more: at its limit, and with the sale as planned, it makes 7.03."""
    bundle = two(engine(least="4")).bundle()
    worst = made(bundle, {ORCA.symbol: CHEAP, RAY.symbol: DEAR}, at_limits="buy")["USDC"]
    assert 7_030_000 <= worst < 7_036_000, "within a tick and a millionth"


def test_a_sale_takes_any_price_that_is_no_worse_than_taking_the_purchase_back() -> None:
    """Taking it back costs 24.4: a sale that brings 24.3 less than was paid is better than none."""
    pools: dict[str, Pool] = {ORCA.symbol: CHEAP, RAY.symbol: DEAR}
    bundle = two().bundle()
    back = taken_back(bundle, pools)
    assert -24_500_000 < back < -24_300_000
    assert back <= made(bundle, pools, at_limits="sell")["USDC"] < back + 6_000


def test_what_is_left_after_gas_and_tips_decides() -> None:
    cost = Fraction(10_061_183, 2)
    enough, scarce = (two(engine(gas=str(Decimal(units) / 10**6), tip="1")) for units in (int(cost) - 1_005_000, int(cost) - 999_900))
    assert enough.bundle().legs[-1].expect == enough.memory.net
    assert enough.memory.net is not None and 10_000 < enough.memory.net < 10_400
    assert not scarce.decide()
    assert scarce.why == "what it gains does not cover gas, tips and the chance of failing"
    assert scarce.memory.ring.endswith("> SOL x 1.007768"), "152 / 150 * 0.997 * 0.9975"


@pytest.mark.parametrize(("least", "trades"), [("10.06", True), ("10.062", False)])
def test_it_asks_for_the_least_profit(least: str, trades: bool) -> None:
    scene = two(engine(least=least))
    assert bool(scene.decide()) is trades
    assert trades or scene.why == f"it would make less than {least} USDC, or is not worth the chance of failing"


def test_it_trades_less_where_the_best_size_makes_too_small_a_part_of_it() -> None:
    """At its best size the gap makes 0.387% of what goes in. A smaller trade makes up to 0.778%, twice that."""
    whole = two().bundle()
    part = two(engine(least_rate="0.5%")).bundle()
    assert part.legs[0].qty < whole.legs[0].qty
    for bundle, least in ((whole, "0.0038"), (part, "0.005")):
        paid = CHEAP.buy(bundle.legs[0].qty).paid
        expect = bundle.legs[-1].expect
        assert expect is not None and Fraction(expect, paid) >= Fraction(least)
    none = two(engine(least_rate="0.8%"))
    assert not none.decide()
    assert none.why == "it would make less than 0.8% of what goes in"


def test_a_chance_that_legs_fail_weighs_what_taking_back_costs() -> None:
    """SOL that was bought and is sold back where it came from costs two fees and its own impact, 24 USDC; the gap makes 10."""
    back = CHEAP.buy(SOL("17.222").units).paid - CHEAP.sell(SOL("17.222").units).got
    assert 24_000_000 < back < 25_000_000
    sizes = [two(engine(success=success)).bundle().legs[0].qty for success in ("100%", "90%", "70%", "50%")]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4, "a smaller trade, which loses less, where legs fail"
    scene = two(engine(success="40%"))  # the first SOL makes 0.78% of what goes in, and costs 0.6% to take back
    assert not scene.decide() and scene.why == "what it gains does not cover gas, tips and the chance of failing"


# -- caps, money, lots -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", ["10", "500", "2595"])
def test_no_more_goes_in_than_its_cap_even_at_its_limits(most: str) -> None:
    bundle = two(engine(most=most)).bundle()
    spent = ORCA.cost(bundle.legs[0].limit or 0, bundle.legs[0].qty, Rounding.CEIL)
    assert Decimal("0.98") * Decimal(most) * 10**6 < spent <= Decimal(most) * 10**6


def test_it_spends_only_what_is_free_with_what_the_desk_sets_aside() -> None:
    scene = two(free="500", allowance=Allowance.of("0.4%", "0.5%"))
    needed = sum(scene.needs(leg) or 0 for leg in scene.bundle().legs)
    assert 490 * 10**6 < needed <= 500 * 10**6
    broke = two(free="0")
    assert not broke.decide() and broke.why == "no free money"


def test_it_trades_in_whole_lots_and_not_at_all_below_one() -> None:
    coarse = {market.symbol: Instrument(market.symbol, base=SOL, quote=USDC, tick="0.0001", lot="5") for market in (ORCA, RAY)}
    a, b = coarse.values()
    bundle = Scene(engine(a, b)).pool(a, CHEAP).pool(b, DEAR).bundle()
    assert [leg.qty for leg in bundle.legs] == [SOL("15").units] * 2
    small = Scene(engine(a, b, most="700")).pool(a, CHEAP).pool(b, DEAR)
    assert not small.decide() and small.why == "too little for SOL/USDC.orca"


@pytest.mark.parametrize(("terms", "trades"), [({"min_qty": "17"}, True), ({"min_qty": "18"}, False), ({"min_notional": "2600"}, False)])
def test_it_wishes_nothing_that_the_venue_would_refuse(terms: dict[str, str], trades: bool) -> None:
    market = Instrument(ORCA.symbol, base=SOL, quote=USDC, **(TERMS | terms))
    assert bool(Scene(engine(market, RAY)).pool(market, CHEAP).pool(RAY, DEAR).decide()) is trades


def test_a_tick_too_coarse_to_keep_the_profit_is_left_alone() -> None:
    """Bought at 150.71 and sold at 151.30 on average: on ticks of two coins the purchase is limited to 152."""
    a, b = (Instrument(market.symbol, base=SOL, quote=USDC, tick="2", lot="0.001") for market in (ORCA, RAY))
    scene = Scene(engine(a, b)).pool(a, CHEAP).pool(b, DEAR)
    assert not scene.decide() and scene.why == "its limits on the tick would not keep the profit"


# -- stale, missing, under way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [5 * SECOND + 1, MINUTE, -1], ids=["just over", "old", "of the future"])
@pytest.mark.parametrize("which", ["state", "price"])
def test_a_market_that_is_not_fresh_is_left_out(age: int, which: str) -> None:
    scene = Scene(engine()).pool(ORCA, CHEAP)
    scene.pool(RAY, DEAR, ago=age, priced=0) if which == "state" else scene.pool(RAY, DEAR, priced=age)
    assert not scene.decide()
    assert scene.why == "fewer than two markets are fresh"
    assert scene.engine.saw(scene.memory)["left out"] == "SOL/USDC.ray (stale)"
    assert scene.engine.saw(scene.memory)["fresh"] == "1 of 2 markets"


def test_an_input_of_just_the_age_is_fresh() -> None:
    assert Scene(engine()).pool(ORCA, CHEAP, ago=5 * SECOND, priced=5 * SECOND).pool(RAY, DEAR).decide()


def test_an_unknown_pool_or_price_is_left_out() -> None:
    scene = Scene(engine()).pool(ORCA, CHEAP).pool(RAY, DEAR, priced=None)
    assert not scene.decide() and scene.memory.left_out == ("SOL/USDC.ray (no price)",)
    unseen = Scene(engine()).pool(ORCA, CHEAP)
    unseen.quote(RAY, 1_520_000, 1_520_000)
    assert not unseen.decide() and unseen.memory.left_out == ("SOL/USDC.ray (no PoolState)",)


def test_the_fresh_ones_are_traded_without_the_stale() -> None:
    scene = Scene(engine(ORCA, RAY, METEORA)).pool(ORCA, CHEAP).pool(RAY, DEAR).pool(METEORA, product("1000", "170000", 100), ago=MINUTE)
    assert words(scene.bundle()) == ["buy SOL/USDC.orca", "sell SOL/USDC.ray"]


def test_while_a_bundle_is_under_way_it_waits() -> None:
    scene = two()
    scene.bundles = 1
    assert not scene.decide() and scene.why == "a bundle is under way"
    scene.bundles = 0
    scene.open = [Order("arb-1", "arb", Place(ORCA, Side.BUY, SOL("1").units), NOW)]
    assert not scene.decide() and scene.why == "an order is under way"


def test_it_rests_after_a_bundle_that_made_nothing_and_not_after_one_that_did() -> None:
    scene = two()
    scene.bundle()
    scene.profit = 1
    scene.bundle()  # it made something
    for profit in (1, 0, None):  # refused, lost, unknown
        scene.profit = profit
        assert not scene.decide() and scene.why == "cooldown"
        scene.now += MINUTE - 1
        assert not two_again(scene).decide() and scene.why == "cooldown"
        scene.now += 1
        scene.profit = 1
        two_again(scene).bundle()


def two_again(scene: Scene) -> Scene:
    return scene.pool(ORCA, CHEAP).pool(RAY, DEAR)


# -- order books -------------------------------------------------------------------------------------------------------------------


def test_a_book_is_bought_at_its_ask_and_sold_at_its_bid_with_its_fee_and_slippage() -> None:
    """Kraken asks 148: with 0.1% of slippage and 0.4% of fee that is 148.74, and raydium pays 151.6 at first."""
    arb = engine(RAY, books=(KRAKEN,))
    scene = Scene(arb).pool(RAY, DEAR).text(KRAKEN, "147.9", "148")
    bundle = scene.bundle()
    assert words(bundle) == ["buy SOL/USDC.book", "sell SOL/USDC.ray"]
    buy = bundle.legs[0]
    assert buy.limit is not None and buy.limit >= KRAKEN.price("148.15")  # 148 * 1.001 = 148.148
    assert buy.qty <= KRAKEN.affordable(1_000 * 10**6, KRAKEN.price("148.15")), "no deeper than 1,000 USDC"
    paid = KRAKEN.cost(KRAKEN.price("148.15"), buy.qty, Rounding.CEIL, 4_000)
    expect = bundle.legs[1].expect
    assert expect is not None and 0 <= DEAR.sell(buy.qty).got - paid - expect < 20_000, "never more than it will make"
    sold = Scene(engine(ORCA, books=(KRAKEN,))).pool(ORCA, CHEAP).text(KRAKEN, "153", "153.1").bundle()
    assert words(sold) == ["buy SOL/USDC.orca", "sell SOL/USDC.book"]
    assert sold.legs[1].limit is not None and sold.legs[1].limit <= KRAKEN.price("152.84")  # 153 * 0.999 = 152.847


@pytest.mark.parametrize(("bid", "ask"), [("151.5", "150.8"), ("150", "149.99")])
def test_a_book_within_fee_slippage_and_spread_is_left_alone(bid: str, ask: str) -> None:
    """Pool 150 with a fee of 0.3%, and 0.5% at the book: nothing is gained between 148.8 and 151.2."""
    low = min(bid, ask, key=float)
    scene = Scene(engine(ORCA, books=(KRAKEN,))).pool(ORCA, CHEAP).text(KRAKEN, low, low)
    assert not scene.decide() and scene.why == "no ring of markets gains after their fees"


def test_two_books_apart_are_traded_up_to_their_depth() -> None:
    other = Instrument("SOL/USDC.other", base=SOL, quote=USDC, tick="0.01", lot="0.01")
    arb = Arb(USDC, books=(KRAKEN, other), least="0.1", least_rate="0%", depth="300", fee="0.1%", slip="0.05%")
    bundle = Scene(arb).text(KRAKEN, "150", "150.02").text(other, "152", "152.02").bundle()
    assert words(bundle) == ["buy SOL/USDC.book", "sell SOL/USDC.other"]
    assert bundle.legs[0].qty == SOL("1.97").units  # 300 USDC at 152 * 0.9995 and 0.1%


# -- three markets -------------------------------------------------------------------------------------------------------------------


def triangle(rate: str, **terms: Any) -> Scene:
    """jitoSOL for SOL at this rate, while USDC says 1.1."""
    arb = engine(ORCA, LST_USDC, LST_SOL)
    sol, lst = product("100000", "15000000", 400), product("100000", "16500000", 400, LST_USDC)
    cross = ConstantProduct(LST("10000").units, SOL(str(Decimal(rate) * 10_000)).units, 400)
    return Scene(arb, **terms).pool(ORCA, sol).pool(LST_USDC, lst).pool(LST_SOL, cross)


@pytest.mark.parametrize(
    ("rate", "way"),
    [
        ("1.09", ["buy SOL/USDC.orca", "buy jitoSOL/SOL", "sell jitoSOL/USDC"]),
        ("1.11", ["buy jitoSOL/USDC", "sell jitoSOL/SOL", "sell SOL/USDC.orca"]),
    ],
)
def test_a_triangle_is_gone_round_the_way_that_gains(rate: str, way: list[str]) -> None:
    scene = triangle(rate)
    bundle = scene.bundle()
    assert words(bundle) == way
    pools = {symbol: state.pool for symbol, state in scene.states.items()}
    over = made(bundle, pools)
    assert over["USDC"] == bundle.legs[-1].expect and over["USDC"] > 0
    whole = best_input([Hop(pools0[0], pools0[1]) for pools0 in ways_of(scene, bundle)])
    assert over["USDC"] > Decimal("0.99") * whole.gross
    assert all(units <= 10 * market.lot_units for units, market in ((over["SOL"], ORCA), (over["jitoSOL"], LST_SOL)))


def ways_of(scene: Scene, bundle: Bundle) -> list[tuple[Pool, bool]]:
    return [(scene.states[leg.instrument.symbol].pool, leg.side is Side.SELL) for leg in bundle.legs]


def test_what_a_desk_sets_aside_in_other_coins_is_not_spent_by_the_leg_behind() -> None:
    """With an allowance of 0.4% for fees a purchase with SOL needs so much more SOL: the triangle must gain more than that."""
    narrow = triangle("1.095", allowance=Allowance.of("0.4%", "0.5%"))
    assert triangle("1.095").decide() and not narrow.decide()
    wide = triangle("1.05", allowance=Allowance.of("0.4%", "0.5%"))
    bundle = wide.bundle()
    spent = wide.hold(bundle.legs[1])
    assert spent is not None and spent <= bundle.legs[0].qty
    assert bundle.legs[2].qty <= bundle.legs[1].qty


def test_several_pools_are_traded_in_one_bundle() -> None:
    scene = Scene(engine(ORCA, RAY, METEORA)).pool(ORCA, CHEAP).pool(RAY, DEAR).pool(METEORA, DEAR)
    bundle = scene.bundle()
    assert words(bundle)[0] == "buy SOL/USDC.orca" and sorted(words(bundle)[1:]) == ["sell SOL/USDC.met", "sell SOL/USDC.ray"]
    over = made(bundle, {ORCA.symbol: CHEAP, RAY.symbol: DEAR, METEORA.symbol: DEAR})
    assert over["USDC"] == bundle.legs[-1].expect
    assert over["USDC"] > 1.3 * made(two().bundle(), {ORCA.symbol: CHEAP, RAY.symbol: DEAR})["USDC"]
    pair = Scene(engine(ORCA, RAY, METEORA, most_legs=2)).pool(ORCA, CHEAP).pool(RAY, DEAR).pool(METEORA, DEAR).bundle()
    assert len(pair.legs) == 2


def test_coins_left_behind_are_sold_where_they_bring_most_when_nothing_else_is_to_be_done() -> None:
    scene = Scene(engine(slip="0.5%")).pool(ORCA, CHEAP).pool(RAY, CHEAP.at_price(150_100, 10**6))
    scene.coins["SOL"] = SOL("2.0005").units
    (wish,) = scene.decide()
    assert isinstance(wish, Place)
    assert (wish.side, wish.instrument, wish.qty, wish.reduce_only, wish.why) == (Side.SELL, RAY, SOL("2").units, True, "leftover")
    got = Fraction(RAY.cost(wish.limit or 0, wish.qty, Rounding.CEIL))
    assert Fraction("0.995") <= got / CHEAP.at_price(150_100, 10**6).sell(wish.qty).got < Fraction("0.9951")
    scene.coins["SOL"] = SOL("0.0009").units
    scene.now += MINUTE
    assert not scene.pool(ORCA, CHEAP).pool(RAY, CHEAP.at_price(150_100, 10**6)).decide(), "less than a lot"


# -- laws ------------------------------------------------------------------------------------------------------------------------------


def made_pool(kind: str, sol: int, off: int, fee: int) -> Pool:
    """So many SOL, and USDC for them at 150 and so many millionths more."""
    base, quote = sol * 10**9, sol * 150 * (PPM + off)
    if kind == "product":
        return ConstantProduct(base, quote, fee)
    root = sqrt_price(quote, base)
    return Concentrated(root, (Range(int(root * 0.95), int(root * 1.05), math.isqrt(base * quote)),), fee)


KINDS, DEPTHS, POOL_FEES = ["product", "concentrated"], [30, 2_000, 20_000, 500_000], [0, 100, 500, 3_000]
pools = st.builds(made_pool, st.sampled_from(KINDS), st.sampled_from(DEPTHS), st.integers(-20_000, 20_000), st.sampled_from(POOL_FEES))
CHOICES: dict[str, list[str]] = {
    "gas": ["0", "0.001", "0.05"],
    "tip": ["0", "0.002"],
    "least": ["0", "0.1", "3"],
    "least_rate": ["0%", "0.1%", "0.5%"],
    "most": ["7", "300", "20000"],
    "success": ["100%", "99%", "90%"],
    "most_legs": ["2", "3", "6"],
    "lot": ["0.0001", "0.001", "0.1"],
    "tick": ["0.0001", "0.001", "0.1"],
    "free": ["2", "250", "100000"],
    "fee": ["0%", "0.4%"],
}


def check_one(three: Sequence[Pool], chosen: dict[str, str]) -> bool:
    """In exact units, leg after leg: what it says it makes it makes, and at its limits it still does not lose. Whether it trades."""
    terms = dict(chosen)
    steps = {"tick": terms.pop("tick"), "lot": terms.pop("lot")}
    free, allowance = terms.pop("free"), Allowance.of(terms.pop("fee"))
    markets = [Instrument(f"SOL/USDC.{n}", base=SOL, quote=USDC, **steps) for n in range(3)]
    most_legs = int(terms.pop("most_legs"))
    arb = Arb(USDC, markets, most_legs=most_legs, **terms)  # type: ignore[arg-type]
    scene = Scene(arb, free=free, allowance=allowance)
    for market, pool in zip(markets, three, strict=True):
        scene.pool(market, pool)
    wishes = scene.decide()
    for wish in wishes:
        assert isinstance(wish, Bundle) and len(wishes) == 1
        costs = arb.costs.per_step * len(wish.legs)
        over = made(wish, {market.symbol: pool for market, pool in zip(markets, three, strict=True)})
        pools = {market.symbol: pool for market, pool in zip(markets, three, strict=True)}
        net, worst = over["USDC"] - costs, made(wish, dict(pools), at_limits="buy")["USDC"] - costs
        assert made(wish, dict(pools), at_limits="sell")["USDC"] >= taken_back(wish, pools) - 2
        spent = sum(leg.instrument.cost(leg.limit or 0, leg.qty, Rounding.CEIL) for leg in wish.legs if leg.side is Side.BUY)
        assert net == wish.legs[-1].expect == scene.memory.net
        assert net > 0 and worst > 0 and over["SOL"] >= 0
        assert net >= USDC(terms["least"]).units
        assert net * PPM >= arb.least_rate * (spent - net)
        assert spent <= USDC(terms["most"]).units
        assert sum(scene.needs(leg) or 0 for leg in wish.legs) <= USDC(free).units
        assert len(wish.legs) <= max(4, most_legs)
        assert [leg.expect for leg in wish.legs[:-1]] == [None] * (len(wish.legs) - 1)
    return bool(wishes)


@settings(law, max_examples=150)
@given(pools, pools, pools, st.fixed_dictionaries({name: st.sampled_from(given) for name, given in CHOICES.items()}))
def test_it_never_proposes_a_loss_and_never_exceeds_its_cap(one: Pool, other: Pool, third: Pool, chosen: dict[str, str]) -> None:
    check_one((one, other, third), chosen)


def test_it_never_proposes_a_loss_on_a_thousand_made_up_views_of_which_it_trades_on_many() -> None:
    dice, traded = random.Random(1), 0
    for _ in range(1_000):
        three = [made_pool(dice.choice(KINDS), dice.choice(DEPTHS), dice.randint(-9_000, 9_000), dice.choice(POOL_FEES)) for _ in range(3)]
        traded += check_one(three, {name: dice.choice(given) for name, given in CHOICES.items()})
    assert traded > 250


@settings(law, max_examples=60)
@given(
    pools, st.integers(80, 120), st.integers(80, 120), st.sampled_from(["0.001", "0.1"]), st.sampled_from([Allowance(0, 0), Allowance.of()])
)
def test_no_triangle_spends_what_it_does_not_have(pool: Pool, cross: int, lst: int, lot: str, allowance: Allowance) -> None:
    markets = [
        Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.0001", lot=lot),
        Instrument("jitoSOL/USDC", base=LST, quote=USDC, tick="0.0001", lot=lot),
        Instrument("jitoSOL/SOL", base=LST, quote=SOL, tick="0.0001", lot=lot),
    ]
    states: list[Pool] = [
        pool,
        ConstantProduct(LST("5000").units, USDC(str(5_000 * Decimal("1.5") * lst)).units, 400),
        ConstantProduct(LST("5000").units, SOL(str(5_000 * Decimal(cross) / 100)).units, 400),
    ]
    scene = Scene(engine(*markets), allowance=allowance)
    for market, state in zip(markets, states, strict=True):
        scene.pool(market, state)
    for wish in scene.decide():
        assert isinstance(wish, Bundle)
        over = made(wish, {market.symbol: state for market, state in zip(markets, states, strict=True)})
        assert over["USDC"] == wish.legs[-1].expect and over["USDC"] > 0
        states_again = {market.symbol: state for market, state in zip(markets, states, strict=True)}
        assert made(wish, states_again, at_limits="buy")["USDC"] > 0


@settings(law, max_examples=60)
@given(st.lists(st.tuples(st.integers(-MINUTE, MINUTE), st.integers(-MINUTE, MINUTE)), min_size=3, max_size=3))
def test_it_never_trades_on_stale_input(ages: list[tuple[int, int]]) -> None:
    markets = (ORCA, RAY, METEORA)
    scene = Scene(engine(*markets))
    for market, pool, (told, priced) in zip(markets, (CHEAP, DEAR, product("1000", "180000", 100)), ages, strict=True):
        scene.pool(market, pool, ago=told, priced=priced)
    fresh = {market for market, (told, priced) in zip(markets, ages, strict=True) if 0 <= told <= 5 * SECOND and 0 <= priced <= 5 * SECOND}
    for wish in scene.decide():
        assert isinstance(wish, Bundle)
        assert {leg.instrument for leg in wish.legs} <= fresh
    assert len(scene.memory.left_out) == 3 - len(fresh)


def test_the_same_memory_and_view_give_the_same_intents_and_memory_does_not_grow() -> None:
    scene = two()
    twin = copy.deepcopy(scene)
    assert scene.decide() == twin.decide()
    assert scene.memory == twin.memory
    sizes = set()
    for n in range(50):
        scene.now += MINUTE
        scene.profit = n % 3
        two_again(scene).decide()
        sizes.add(sum(len(str(getattr(scene.memory, one.name))) for one in fields(ArbMemory)))
    assert max(sizes) < 400


def test_what_it_saw_is_told_in_words() -> None:
    scene = two(engine(least="0.5"))
    scene.decide()
    told = dict(scene.engine.saw(scene.memory))
    assert told.pop("ring").endswith(" x 1.007768")
    net = told.pop("net")
    assert net == str(USDC.units(scene.memory.net or 0))
    assert told == {
        "fresh": "2 of 2 markets",
        "left out": "none",
        "plan": "buy 17.222 SOL/USDC.orca, sell 17.222 SOL/USDC.ray",
        "decision": "bundle",
        "why": "",
    }


# -- parameters ----------------------------------------------------------------------------------------------------------------------


def test_it_describes_itself_with_its_parameters() -> None:
    said = Arb(USDC, pools=(ORCA, RAY), books=(KRAKEN,), least="0.25", most="750", age_ns=3 * SECOND).describe()
    for words_of_it in (
        "arb in USDC between pools SOL/USDC.orca, SOL/USDC.ray and order books SOL/USDC.book at a fee of 0.4%, 0.1% off",
        "for up to 1000 USDC",
        "at least 0.25 USDC and 0.1% more than goes in",
        "0.001 of gas and 0.002 of tip for each leg",
        "a chance of 99% that a leg goes through",
        "at most 750 USDC at a time",
        "leaves out what is older than 3 s; rests 60 s",
    ):
        assert words_of_it in said
    assert "order books" not in Arb(USDC, pools=(ORCA, RAY)).describe()


PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Arb("USDC", pools=(ORCA, RAY)), "begins and ends in an Asset"),
        (lambda: Arb(USDC), "at least two markets, each once, not none"),
        (lambda: Arb(USDC, pools=ORCA), "at least two markets"),
        (lambda: Arb(USDC, pools=(ORCA, ORCA)), "each once"),
        (lambda: Arb(USDC, pools=(ORCA,), books=(ORCA,)), "each once"),
        (lambda: Arb(USDC, pools=(ORCA, PERP)), "trades spot Instruments"),
        (lambda: Arb(USDC, pools=(ORCA, "SOL/USDC")), "trades spot Instruments"),
        (lambda: Arb(USDC, pools="SOL/USDC"), "watches Instruments, not 'SOL/USDC'"),
        (lambda: Arb(USDC, pools=7), "watches Instruments, not 7"),
        (lambda: Arb(SOL, pools=(ORCA, RAY)), "is not quoted in SOL"),
        (lambda: Arb(USDC, pools=(ORCA, LST_SOL)), "jitoSOL/SOL is not quoted in USDC, and not both of its coins"),
        (lambda: Arb(USDC, pools=(ORCA, RAY), name=""), "has a name"),
    ],
)
def test_markets_that_cannot_be_traded_round_are_refused(make: Callable[[], Arb], said: str) -> None:
    with pytest.raises(InvalidMarket, match=said):
        make()


BAD_RATES: list[Any] = ["-1%", "100%", "nan", float("nan"), None, True]
BAD_COUNTS: list[Any] = [-1, 1.5, float("inf"), True, None, "5"]
BAD_AMOUNTS: list[Any] = ["-0.000001", "nan", "inf", "", 1.5, float("nan"), True, "0.0000001", None]


@pytest.mark.parametrize(
    ("name", "bad"),
    [(name, bad) for name in ("least_rate", "fee", "slip") for bad in BAD_RATES]
    + [("success", bad) for bad in ("0%", "101%", "-1%", "nan", None)]
    + [(name, bad) for name in ("most_hops", "most_legs", "age_ns", "cooldown", "every") for bad in BAD_COUNTS]
    + [("most_hops", 1), ("most_legs", 1), ("age_ns", 0)]
    + [(name, bad) for name in ("least", "gas", "tip", "most", "depth") for bad in BAD_AMOUNTS]
    + [("most", "0"), ("depth", "0")],
)
def test_a_parameter_that_is_none_is_refused(name: str, bad: Any) -> None:
    with pytest.raises(InvalidAmount):
        Arb(USDC, pools=(ORCA, RAY), **{name: bad})


# -- stories: a real desk over a simulated exchange -------------------------------------------------------------------------------------


def tape(market: Instrument, prices: Sequence[str], *, since: int = 0) -> Tape:
    """A row a second, each at one price: made up."""
    ts = [NOW + SECOND * (since + n) for n in range(len(prices))]
    return Tape.from_columns(market, ts=ts, open=prices, high=prices, low=prices, close=prices, name="synthetic")


def pooled(pool: Pool) -> Rules:
    return Rules(Fees(0, 0), pool=pool)


class Story:
    """An engine with 10,000 USDC at a desk that sets nothing aside beyond the price, as fits markets whose fees are the pools' own."""

    def __init__(self, arb: Arb, *, allowance: Allowance | None = None, money: str = "10000") -> None:
        self.vault = CoreVault(USDC, total="50000", tradeable="50000")
        self.sleeve = self.vault.sleeve("arb", QUIET, allocate=money)
        self.desk = Desk(self.vault, allowance=Allowance(0, 0) if allowance is None else allowance)
        self.desk.assign(arb, to=self.sleeve)

    def run(self, tapes: Sequence[Tape], rules: dict[str, Rules]) -> Report:
        report = replay(self.desk, tapes, rules=rules, progress=False, bounds=False)
        report.proof.require()
        return report

    def of(self, kind: type[N]) -> list[N]:
        return [record for record in self.desk.books.journal if isinstance(record, kind)]

    @property
    def ends(self) -> list[str]:
        return [str(record.status) for record in self.of(BundleUpdate) if record.status is not BundleStatus.ROLLING_BACK]

    @property
    def telling(self) -> dict[str, str]:
        return dict(self.desk.telemetry(self.sleeve).saw)


def test_story_it_makes_exactly_what_it_expects_for_the_reason_that_it_gives() -> None:
    """Five seconds at 150 and 152: others keep the pools at these prices, so each second it makes the same 10.061183."""
    story = Story(engine())
    story.run([tape(ORCA, ["150"] * 6), tape(RAY, ["152"] * 6)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    bundles = story.of(Bundled)
    assert story.ends == ["done"] * 5 and len(bundles) == 6, "the last was wished for at the last price"
    made_by_one = made(bundles[0].bundle, {ORCA.symbol: CHEAP, RAY.symbol: DEAR})["USDC"]
    assert [one.bundle.legs[-1].expect for one in bundles] == [made_by_one] * 6
    assert story.sleeve.realized == USDC.units(5 * made_by_one)
    assert story.sleeve.balance == USDC("10000") + USDC.units(5 * made_by_one)
    assert 10_061_178 <= made_by_one <= 10_061_183
    assert bundles[0].bundle.why == "buy 17.222 SOL/USDC.orca, sell 17.222 SOL/USDC.ray"
    fills = story.of(Fill)
    assert [(fill.side, fill.instrument) for fill in fills] == [(Side.BUY, ORCA), (Side.SELL, RAY)] * 5
    assert story.sleeve.is_flat(), "but for the order of the last second, which met no price"


def test_story_it_stays_out_of_a_gap_that_the_fees_eat_up_and_says_so() -> None:
    """0.53% apart, with fees of 0.3% and 0.25%."""
    story = Story(engine())
    story.run([tape(ORCA, ["150"] * 20), tape(RAY, ["150.8"] * 20)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    assert not story.of(Bundled) and not story.of(Fill) and not story.of(Refusal)
    assert story.sleeve.balance == USDC("10000")
    assert story.telling["why"] == "no ring of markets gains after their fees"


def test_story_it_stays_out_of_a_gap_that_gas_and_failing_eat_up_and_says_so() -> None:
    """0.6% apart: 0.05% beyond the fees, which makes a few thousandths of a USDC."""
    story = Story(engine(gas="0.01", tip="0.01"))
    story.run([tape(ORCA, ["150"] * 20), tape(RAY, ["150.9"] * 20)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    assert not story.of(Bundled) and not story.of(Refusal)
    assert story.telling["why"] == "what it gains does not cover gas, tips and the chance of failing"
    assert story.telling["ring"].endswith("x 1.000475")


def test_story_a_sale_that_misses_its_limit_is_rolled_back_and_rested_after() -> None:
    """The dear pool falls to 149 before the sale: what was bought goes back where it came from, for two fees, and it rests."""
    story = Story(engine(cooldown=40 * SECOND))
    dear = ["152", "152", "149"] + ["149"] * 20
    story.run([tape(ORCA, ["150"] * 23), tape(RAY, dear)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    first, second = story.of(Bundled)
    assert story.ends == ["done", "nothing"]
    gained = first.bundle.legs[-1].expect
    qty = second.bundle.legs[0].qty
    lost = CHEAP.buy(qty).paid - CHEAP.sell(qty).got  # a second later, when others have brought the pool back
    assert gained is not None and story.sleeve.realized == USDC.units(gained - lost)
    assert story.sleeve.is_flat()
    assert not story.of(Refusal)


def test_story_a_sale_that_loses_less_than_taking_the_purchase_back_is_made() -> None:
    """The dear pool falls to 150: 21.4 are lost there, and 24.4 would be where the coins came from."""
    story = Story(engine(cooldown=40 * SECOND))
    story.run([tape(ORCA, ["150"] * 9), tape(RAY, ["152", *["150"] * 8])], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    (bundle,) = story.of(Bundled)
    assert story.ends == ["done"] and story.sleeve.is_flat()
    pools: dict[str, Pool] = {ORCA.symbol: CHEAP, RAY.symbol: DEAR.at_price(150_000, 10**6)}
    qty = bundle.bundle.legs[0].qty
    lost = CHEAP.buy(qty).paid - pools[RAY.symbol].sell(qty).got
    assert story.sleeve.realized == USDC.units(-lost) and 20_000_000 < lost < -taken_back(bundle.bundle, pools)
    assert story.telling["why"] == "cooldown"


def test_story_a_purchase_that_misses_its_limit_costs_nothing() -> None:
    """The cheap pool has risen to 152 when the order meets it."""
    story = Story(engine(cooldown=10 * SECOND))
    story.run([tape(ORCA, ["150"] + ["152"] * 9), tape(RAY, ["152"] * 10)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    assert story.ends == ["nothing"] and not story.of(Fill)
    assert story.sleeve.balance == USDC("10000")


def test_story_it_rests_after_a_failure_and_then_goes_on() -> None:
    story = Story(engine(cooldown=4 * SECOND))
    cheap = ["150", "152", *["150"] * 10]
    story.run([tape(ORCA, cheap), tape(RAY, ["152"] * 12)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    at = [(record.at - NOW) // SECOND for record in story.of(Bundled)]
    assert at[:3] == [1, 6, 7], "wished for after 1 s, failed after 2 s, rested for 4 s"


def test_story_a_market_that_falls_silent_is_traded_no_more() -> None:
    """Raydium is last heard of after 8 s, at 150. Six seconds later orca falls to 145: nobody knows what raydium is worth."""
    story = Story(engine())
    story.run([tape(ORCA, ["150"] * 14 + ["145"] * 10), tape(RAY, ["150"] * 8)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    assert not story.of(Bundled)
    assert story.telling["left out"] == "SOL/USDC.ray (stale)"
    assert story.telling["why"] == "fewer than two markets are fresh"
    awake = Story(engine())
    awake.run([tape(ORCA, ["150"] * 14 + ["145"] * 10), tape(RAY, ["150"] * 24)], {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR)})
    assert awake.of(Bundled), "the very gap that it trades when both are heard"


def test_story_a_triangle_makes_exactly_what_it_expects() -> None:
    """USDC, SOL, jitoSOL and back, at a market where no USDC is traded: the profit is booked where USDC comes back."""
    story = Story(engine(ORCA, LST_USDC, LST_SOL, most="3000"))
    depth = {
        ORCA: product("100000", "15000000", 400),
        LST_USDC: product("100000", "16500000", 400, LST_USDC),
        LST_SOL: ConstantProduct(LST("10000").units, SOL("10900").units, 400),
    }
    prices = {ORCA: "150", LST_SOL: "1.09", LST_USDC: "165"}
    rules = {market.symbol: pooled(pool) for market, pool in depth.items()}
    story.run([tape(market, [price] * 7) for market, price in prices.items()], rules)
    assert story.ends == ["done"] * 3, "each takes two rows: a leg that follows meets the next price"
    expected = [record.bundle.legs[-1].expect or 0 for record in story.of(Bundled)][:3]
    assert min(expected) > 10 * 10**6
    assert story.sleeve.free + story.sleeve.held == USDC("10000") + USDC.units(sum(expected)), "what came back less what went in"
    assert USDC.zero <= story.sleeve.realized - USDC.units(sum(expected)) < USDC("1"), "and the cost of a few coins that were left over"


def test_story_a_pool_and_a_book_make_at_least_what_is_expected() -> None:
    """The book fills 0.1% off its price and takes 0.4%, as the engine assumes, so it makes what it says and a little more."""
    story = Story(engine(RAY, books=(KRAKEN,), depth="2000"), allowance=Allowance.of("0.4%", "0.5%"))
    rules = {RAY.symbol: pooled(DEAR), KRAKEN.symbol: Rules(Fees(4_000, 4_000), Slippage.of("0.1%", "0.1%"))}
    story.run([tape(KRAKEN, ["148"] * 4), tape(RAY, ["152"] * 4)], rules)
    assert story.ends == ["done"] * 3
    expected = sum(record.bundle.legs[-1].expect or 0 for record in story.of(Bundled)[:3])
    gained = story.sleeve.free + story.sleeve.held - USDC("10000")
    assert 0 <= gained.units - expected < 3 * 50_000
    assert expected > 3 * 20 * 10**6


def test_story_the_same_book_slips_more_than_was_assumed_and_fills_no_worse_than_the_limits() -> None:
    story = Story(engine(RAY, books=(KRAKEN,), depth="2000", slip="0%", least="5"), allowance=Allowance.of("0.4%", "0.5%"))
    rules = {RAY.symbol: pooled(DEAR), KRAKEN.symbol: Rules(Fees(4_000, 4_000), Slippage.of("0.1%", "0.1%"))}
    story.run([tape(KRAKEN, ["148"] * 4), tape(RAY, ["152"] * 4)], rules)
    gained = story.sleeve.free + story.sleeve.held - USDC("10000")
    assert story.ends == ["done"] * 3 and gained >= USDC("15")


def test_story_several_pools_at_once_make_exactly_what_is_expected() -> None:
    story = Story(engine(ORCA, RAY, METEORA))
    rules = {ORCA.symbol: pooled(CHEAP), RAY.symbol: pooled(DEAR), METEORA.symbol: pooled(DEAR)}
    story.run([tape(ORCA, ["150"] * 6), tape(RAY, ["152"] * 6), tape(METEORA, ["152"] * 6)], rules)
    expected = [record.bundle.legs[-1].expect or 0 for record in story.of(Bundled)]
    assert story.ends == ["done"] * 3
    assert expected[0] < 11 * 10**6 and min(expected[1:]) > 13 * 10**6, "the first was wished for before the third price was seen"
    assert story.sleeve.realized == USDC.units(sum(expected[:3]))


# -- laws on the simulator ---------------------------------------------------------------------------------------------------------------

worlds = st.fixed_dictionaries(
    {
        "moves": st.lists(st.tuples(st.integers(-90, 90), st.integers(-150, 150), st.integers(-90, 90)), min_size=6, max_size=25),
        "kill": st.integers(0, 100),
        "most": st.sampled_from(["50", "900", "6000"]),
        "least": st.sampled_from(["0", "0.5"]),
        "cooldown": st.sampled_from([0, SECOND, 5 * SECOND]),
        "silent": st.integers(0, 30),
        "book": st.booleans(),
    }
)


@settings(law, max_examples=40)
@given(worlds)
def test_it_keeps_its_cap_trades_on_nothing_old_and_is_flat_after_a_kill(world: dict[str, Any]) -> None:
    """Prices jump between the decision and the trade, a market falls silent, and in the midst of it the sleeve is killed."""
    paths: list[list[str]] = [["150.00"], ["150.00"], ["150.00"]]
    for moves in world["moves"]:
        for path, move in zip(paths, moves, strict=True):
            path.append(f"{Decimal(path[-1]) * (1 + Decimal(move) / 10_000):.2f}")
    third = KRAKEN if world["book"] else METEORA
    markets = (ORCA, RAY, third)
    tapes = [tape(market, path[: world["silent"] + 2] if market is third else path) for market, path in zip(markets, paths, strict=True)]
    rules = {
        ORCA.symbol: pooled(product("3000", "450000", 400)),
        RAY.symbol: pooled(product("5000", "750000", 500)),
        third.symbol: Rules(Fees(1_000, 1_000)) if world["book"] else pooled(product("800", "120000", 100)),
    }
    wished: list[tuple[int, Bundle]] = []

    class Seen(Arb):
        def decide(self, memory: ArbMemory, view: Any) -> Any:
            wishes = super().decide(memory, view)
            for wish in wishes or ():
                for leg in wish.legs if isinstance(wish, Bundle) else (wish,):
                    state = view.news(PoolState, leg.instrument.symbol)
                    ages = [view.now - view.book_of(leg.instrument).at] + ([view.now - state.at] if state else [])
                    assert all(0 <= age <= self.age_ns for age in ages), "nothing old"
                if isinstance(wish, Bundle):
                    wished.append((view.now, wish))
            return wishes

    arb = Seen(
        USDC,
        pools=(ORCA, RAY) if world["book"] else markets,
        books=(KRAKEN,) if world["book"] else (),
        most=world["most"],
        least=world["least"],
        least_rate="0%",
        fee="0.1%",
        cooldown=world["cooldown"],
        age_ns=3 * SECOND,
    )
    story = Story(arb, allowance=Allowance.of("0.1%", "0.5%"))
    desk, sleeve = story.desk, story.sleeve
    exchange = Exchange(tapes, account_of(desk), rules)
    indexes = [desk.index(one.instrument) for one in tapes]
    killed_at = NOW + SECOND * (world["kill"] * len(world["moves"]) // 100)
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
            before = len(wished)
    carry((), desk.books.now)
    assert killed and not desk.faults and desk.check().holds
    assert len(wished) == before, "a killed engine wishes nothing"
    for _, bundle in wished:
        spent = sum(leg.instrument.cost(leg.limit or 0, leg.qty, Rounding.CEIL) for leg in bundle.legs if leg.side is Side.BUY)
        assert spent <= USDC(world["most"]).units
        assert (bundle.legs[-1].expect or 0) > 0
    kept = {market.symbol for market in markets if market is third and world["silent"] + 2 <= len(world["moves"])}
    held = {market.symbol for market in markets if sleeve.position(market).units >= market.lot_units}
    assert held <= kept, "flat after a kill, but for what a market that fell silent could not take"


# -- the page --------------------------------------------------------------------------------------------------------------------------


def test_the_parameters_on_the_page_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engines" / "arb.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", page, re.MULTILINE))
    arb = Arb(USDC, pools=(ORCA, RAY))
    shown = {one.name: getattr(arb, one.name) for one in fields(Arb) if one.name not in ("asset", "pools", "books")}
    rates = {name: f"{Decimal(shown[name]) / 10_000:g}%" for name in ("least_rate", "success", "fee", "slip")}
    shown |= rates | {"age_ns": f"{arb.age_ns // SECOND} s", "cooldown": f"{arb.cooldown // MINUTE} min"}
    assert said == {"pools": "none", "books": "none"} | {name: str(value) for name, value in shown.items()}
