"""How the simulated venue fills: impact, latency, the queue, shown books, pools. Each choice, and both sides of it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import BTC, SOL, USD, USDC, Instrument, Place, Side
from sleeves.amm import Range, sqrt_price
from sleeves.errors import BadTape, InvalidAmount
from sleeves.market import MINUTE, SECOND, FundingRate, Kind
from sleeves.money import PPM, Rounding
from sleeves.orders import Canceled, Fill, Liquidity, Order, Rejected, TimeInForce
from sleeves.sim import (
    Concentrated,
    ConstantProduct,
    Depth,
    Fees,
    Latency,
    Maker,
    Matcher,
    Rules,
    Slippage,
    SquareRoot,
    Stable,
    Tape,
)
from strategies import law

MARKET = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
MS = 1_000_000


class Market:
    def __init__(self, rules, *, usdc="1000000", sol="10000", market=MARKET):
        self.market = market
        self.matcher = Matcher(market, {"USDC": USDC(usdc), "SOL": SOL(sol)}, rules)
        self.now = self.orders = 0

    def events(self):
        found = list(self.matcher.outbox)
        self.matcher.outbox.clear()
        return found

    def row(self, *prices, volume=-1, step=MINUTE):
        """One bar: open, high, low, close; one price stands for all four."""
        self.matcher.advance(self.now, step, *(prices if len(prices) == 4 else prices * 4), volume)
        self.now += step
        return self.events()

    def order(self, side, qty, *, limit=None, worst=None, at=None, **terms):
        self.orders += 1
        place = Place(self.market, side, self.market.qty(qty), limit=limit, **terms)
        order = Order(f"a-{self.orders}", "a", place, self.now, worst)
        self.matcher.submit(order, self.now if at is None else at)
        return order


def fills(events):
    return [e for e in events if isinstance(e, Fill)]


def kinds(events):
    return [type(e).__name__ for e in events]


# -- slippage ----------------------------------------------------------------------------------------------------------------

notionals = st.integers(0, 10**14)


@law
@given(notionals, notionals)
def test_slippage_lies_between_its_bounds_and_rises_with_size(one, other):
    """Seed property 9, reference P3: 0.1% to 0.3%, increasing, in notional and not in coins."""
    slippage = Slippage.of("0.1%", "0.3%")
    less, more = sorted((one, other))
    assert 1_000 <= slippage.of_notional(less, USDC) <= slippage.of_notional(more, USDC) <= 3_000


@law
@given(st.integers(0, 10**11))
def test_slippage_has_no_jump(notional):
    """The origin jumps from 0.10% to 0.14% at ten coins of any market (part 2): here a dollar more is at most one ppm more."""
    slippage = Slippage.of("0.1%", "0.3%")
    assert slippage.of_notional(notional + 10**6, USDC) - slippage.of_notional(notional, USDC) <= 1


def test_ten_coins_of_a_dear_market_slip_like_their_worth():
    slippage = Slippage.of("0.1%", "0.3%", full_at="50000")
    btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001")
    sol = Instrument("SOL/USD", base=SOL, quote=USD, tick="0.01", lot="0.01")
    assert slippage.fill_price(sol, Side.BUY, sol.qty("10"), sol.price("100")) == sol.price("100.11")  # 1,000 of 50,000
    assert slippage.fill_price(btc, Side.BUY, btc.qty("10"), btc.price("60000")) == btc.price("60180")


IMPACT = SquareRoot.of(half_spread="0.05%", impact="1%", daily_volume="1000000")


def test_impact_grows_with_the_root_of_size():
    """A hundredth of a day's volume: a tenth of 1%, and half the spread. Four times that: twice the impact."""
    assert IMPACT.of_notional(USDC("10000").units, USDC) == 500 + 1_000
    assert IMPACT.of_notional(USDC("40000").units, USDC) == 500 + 2_000
    assert IMPACT.of_notional(0, USDC) == 500


@law
@given(notionals, notionals)
def test_impact_rises_with_size_and_is_rounded_against_the_order(one, other):
    less, more = sorted((one, other))
    assert IMPACT.of_notional(less, USDC) <= IMPACT.of_notional(more, USDC) < PPM
    exact = Fraction(less * 10_000**2, USDC("1000000").units)
    rooted = IMPACT.of_notional(less, USDC) - 500
    assert rooted**2 >= exact or rooted == PPM - 501


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SquareRoot(0.1, 1, "1"),
        lambda: SquareRoot(-1, 1, "1"),
        lambda: SquareRoot(1, PPM, "1"),
        lambda: SquareRoot(1, 1, "0"),
        lambda: SquareRoot(1, 1, "nan"),
        lambda: SquareRoot.of(half_spread="nan", impact="1%", daily_volume="1"),
        lambda: Latency(-1),
        lambda: Latency(0, 0.5),
        lambda: Latency(float("nan")),
        lambda: Rules(most_leverage_bp=9_999),
        lambda: Rules(liquidation_buffer_bp=-1),
        lambda: Rules(least_health=101),
        lambda: Rules(maker="through"),
        lambda: Rules(slippage=None),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidAmount):
        wrong()


def test_every_choice_is_named():
    rules = Rules.of(slippage=IMPACT, latency=Latency(200 * MS, 50 * MS), maker="queue", participation="10%")
    text = "\n".join(rules.describe())
    for words in ("root of notional", "250 ms", "200 ms to arrive", "consume the queue", "10%", "maker 0.25%"):
        assert words in text
    assert "at most 10x" in "\n".join(rules.describe_contracts())


# -- latency -----------------------------------------------------------------------------------------------------------------


def test_an_order_acts_on_the_price_at_which_it_arrives():
    """A bar of a minute: 100 at once, 99 at 15 s, 102 at 30 s, 101 from 45 s on, straight lines between them."""
    waits = {0: 10_000, 3: 9_980, 15: 9_900, 16: 9_920, 30: 10_200, 36: 10_160, 45: 10_100, 46: 10_100, 60: 10_100, 61: 10_300}
    for wait, price in waits.items():
        m = Market(Rules(Fees(0, 0), Slippage.none(), latency=Latency(wait * SECOND)))
        m.order(Side.BUY, "1")
        found = fills([*m.row(10_000, 10_200, 9_900, 10_100), *m.row(10_300)])
        assert [f.price for f in found] == [price], wait
        assert found[0].at == wait * SECOND


def test_a_moment_costs_a_moment_and_not_a_corner_of_the_bar():
    m = Market(Rules(Fees(0, 0), Slippage.none(), latency=Latency(200 * MS)))
    m.order(Side.BUY, "1")
    assert fills(m.row(10_000, 10_200, 9_900, 10_100))[0].price == 9_999


def test_seeing_late_and_arriving_late_add_up():
    m = Market(Rules(Fees(0, 0), Slippage.none(), latency=Latency(10 * SECOND, 20 * SECOND)))
    m.order(Side.BUY, "1")
    assert fills(m.row(10_000, 10_200, 9_900, 10_100))[0].price == 10_200


@law
@given(st.tuples(*[st.integers(9_000, 11_000)] * 4), st.integers(0, 70), st.sampled_from(Side))
def test_an_order_that_arrives_within_a_bar_meets_a_price_of_that_bar(bar, wait, side):
    a, _, _, d = bar
    m = Market(Rules(Fees(0, 0), Slippage.none(), latency=Latency(wait * SECOND)))
    m.order(side, "1")
    for fill in fills(m.row(a, max(bar), min(bar), d)):
        assert min(bar) <= fill.price <= max(bar)
        assert fill.at == wait * SECOND <= 60 * SECOND


@pytest.mark.parametrize(("wait", "kind"), [(24, "Fill"), (23, "Fill"), (22, "Canceled"), (1, "Canceled")])
def test_a_fill_may_come_before_a_cancel_that_is_on_its_way(wait, kind):
    """The price falls from 100 at 15 s to 99 at 30 s: through 99.50 at 22.5 s."""
    m = Market(Rules(Fees(0, 0), latency=Latency(wait * SECOND)))
    order = m.order(Side.BUY, "1", limit=9_950)
    m.row(10_000)
    m.matcher.cancel(order.id, m.now)
    assert kinds(m.row(10_000, 10_000, 9_900, 9_900)) == [kind]
    assert not m.row(9_000)


def test_without_latency_a_cancel_is_at_once():
    m = Market(Rules())
    order = m.order(Side.BUY, "1", limit=9_950)
    m.row(10_000)
    m.matcher.cancel(order.id, m.now)
    m.matcher.cancel(order.id, m.now)
    assert kinds(m.events()) == ["Canceled"]


def test_a_post_only_order_that_would_take_when_it_arrives_is_canceled():
    m = Market(Rules(latency=Latency(SECOND)))
    m.row(10_000)
    m.order(Side.BUY, "1", limit=9_950, post_only=True)
    events = m.row(9_900)
    assert kinds(events) == ["Accepted", "Canceled"]


# -- makers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "touch", "through"), [(Maker.THROUGH, False, True), (Maker.QUEUE, False, True), (Maker.TOUCH, True, True)]
)
@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, -1), (Side.SELL, 1)])
def test_a_resting_limit_fills_when_the_price_trades_through_it(maker, touch, through, side, sign):
    def at(extreme):
        m = Market(Rules(maker=maker))
        m.order(side, "1", limit=10_000 + 50 * sign)
        m.row(10_000)
        return fills(m.row(10_000, max(10_000, extreme), min(10_000, extreme), 10_000))

    assert bool(at(10_000 + 50 * sign)) is touch
    (fill,) = at(10_000 + 51 * sign)
    assert through
    assert fill.liquidity is Liquidity.MAKER
    assert fill.price == 10_000 + 50 * sign


def test_the_queue_is_consumed_by_trades_at_its_price():
    m = Market(Rules(Fees(0, 0), maker=Maker.QUEUE))
    m.row(10_000)
    m.matcher.display(Depth(m.now, ((9_990, SOL("3").units),), ((10_010, SOL("5").units),)))
    m.order(Side.BUY, "2", limit=9_990)
    assert not fills(m.row(10_000))
    assert not fills(m.row(9_990, volume=300))  # exactly what stood before it
    (fill,) = fills(m.row(9_990, volume=50))
    assert (fill.qty, fill.price, fill.liquidity) == (SOL("0.5").units, 9_990, Liquidity.MAKER)
    (rest,) = fills(m.row(9_990, volume=1_000))
    assert rest.qty == SOL("1.5").units


def test_a_queue_that_no_book_has_shown_is_not_guessed():
    m = Market(Rules(maker=Maker.QUEUE))
    m.order(Side.BUY, "2", limit=9_990)
    m.row(10_000)
    assert not fills(m.row(9_990, volume=10**6))


def test_a_maker_is_paid_where_the_venue_pays():
    m = Market(Rules(Fees(-100, 400)))
    m.order(Side.BUY, "1", limit=9_950)
    m.row(10_000)
    (fill,) = fills(m.row(9_900))
    assert fill.fee == -USDC("0.00995")


# -- books that are shown ----------------------------------------------------------------------------------------------------

BOOK = Depth(0, ((9_990, SOL("2").units), (9_980, SOL("5").units)), ((10_010, SOL("1").units), (10_020, SOL("4").units)))


def test_an_order_at_market_takes_level_by_level():
    m = Market(Rules(Fees(0, 0)))
    m.matcher.display(BOOK)
    m.order(Side.BUY, "3")
    assert [(f.price, f.qty) for f in fills(m.row(10_000))] == [(10_010, SOL("1").units), (10_020, SOL("2").units)]
    m.order(Side.SELL, "3")
    assert [(f.price, f.qty) for f in fills(m.row(10_000))] == [(9_990, SOL("2").units), (9_980, SOL("1").units)]


def test_what_was_taken_is_gone_until_the_next_book():
    m = Market(Rules(Fees(0, 0)))
    m.matcher.display(BOOK)
    m.order(Side.BUY, "4")
    m.row(10_000)
    m.order(Side.BUY, "2")
    assert [(f.price, f.qty) for f in fills(m.row(10_000))] == [(10_020, SOL("1").units)]
    m.matcher.display(BOOK)
    assert [(f.price, f.qty) for f in fills(m.row(10_000))] == [(10_010, SOL("1").units)]


def test_a_limit_takes_no_level_beyond_it():
    m = Market(Rules(Fees(0, 0)))
    m.matcher.display(BOOK)
    m.order(Side.BUY, "3", limit=10_015, tif=TimeInForce.IOC)
    events = m.row(10_000)
    assert [(f.price, f.qty) for f in fills(events)] == [(10_010, SOL("1").units)]
    assert isinstance(events[-1], Canceled)
    m = Market(Rules(Fees(0, 0)))
    m.matcher.display(BOOK)
    m.order(Side.BUY, "3", worst=10_010)
    assert [(f.price, f.qty) for f in fills(m.row(10_000))] == [(10_010, SOL("1").units)]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        (((100, 1), (100, 1)), ()),
        (((100, 1), (101, 1)), ()),
        ((), ((100, 1), (99, 1))),
        (((100, 1),), ((100, 1),)),
        (((0, 1),), ()),
        (((100, 0),), ()),
        (((100.0, 1),), ()),
        (((float("nan"), 1),), ()),
    ],
)
def test_a_book_that_cannot_be_is_refused(bids, asks):
    with pytest.raises(BadTape):
        Depth(0, bids, asks)


def test_a_tape_takes_books_and_funding_once_per_instant_and_of_its_own_instrument():
    perp = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    columns = {name: [1] * 3 for name in ("open", "high", "low", "close")}
    one, other = (Tape.from_columns(market, ts=[0, 60, 120], **columns) for market in (perp, MARKET))
    rate = FundingRate.of(perp, "0.01%", price="1", at=60 * SECOND)
    late = FundingRate.of(perp, "0.01%", price="1", at=120 * SECOND)
    tape = one.with_funding([late, rate]).with_depth([BOOK])
    assert [r.at for r in tape.funding] == [60 * SECOND, 120 * SECOND]
    assert tape.digest() != one.digest()
    assert tape.slice(1).funding == (late,)
    assert tape.slice(2).funding == ()  # what falls due as a tape begins was for what was held before it
    assert tape.slice(1).depths == ()
    with pytest.raises(BadTape, match="two funding rates"):
        one.with_funding([rate, rate])
    with pytest.raises(BadTape, match="two books"):
        one.with_depth([BOOK, BOOK])
    with pytest.raises(BadTape, match="another instrument"):
        other.with_funding([rate])


# -- pools -------------------------------------------------------------------------------------------------------------------

POOL = ConstantProduct(base=SOL("10000").units, quote=USDC("1000000").units, fee_ppm=3_000)


def test_a_swap_is_what_the_pool_says_at_the_markets_price():
    m = Market(Rules(pool=POOL))
    m.order(Side.BUY, "10")
    (fill,) = fills(m.row(11_000))
    swap = POOL.at_price(11_000 * 10**6, 100 * 10**9).buy(SOL("10").units)
    assert (fill.qty, fill.cost, fill.fee) == (SOL("10").units, swap.paid, USDC.zero)
    m.order(Side.SELL, "10")
    (fill,) = fills(m.row(11_000))
    assert fill.cost == POOL.at_price(11_000 * 10**6, 100 * 10**9).sell(SOL("10").units).got


def test_two_swaps_at_one_instant_move_the_pool_for_each_other():
    m = Market(Rules(pool=POOL))
    m.order(Side.BUY, "10")
    m.order(Side.BUY, "10")
    first, second = fills(m.row(10_000))
    assert second.cost > first.cost


@pytest.mark.parametrize("terms", [{"limit": 9_000}, {"stop": 11_000}])
def test_a_pool_holds_no_resting_orders(terms):
    m = Market(Rules(pool=POOL))
    m.row(10_000)
    m.order(Side.BUY, "1", **terms)
    (event,) = m.events()
    assert isinstance(event, Rejected)
    assert event.reason == "a pool holds no resting orders"


def test_a_swap_beyond_its_limit_is_not_done_in_part():
    least = POOL.at_price(10_000 * 10**6, 100 * 10**9).buy(SOL("10").units).paid
    exact = -(-least * 10**5 // SOL("10").units)
    m = Market(Rules(pool=POOL))
    m.order(Side.BUY, "10", limit=exact - 1, tif=TimeInForce.IOC)
    assert kinds(m.row(10_000)) == ["Accepted", "Canceled"]
    m = Market(Rules(pool=POOL))
    m.order(Side.BUY, "10", limit=exact, tif=TimeInForce.IOC)
    assert kinds(m.row(10_000)) == ["Accepted", "Fill"]


def test_more_than_the_pool_has_is_canceled_and_said():
    m = Market(Rules(pool=POOL), usdc="100000000000")
    m.order(Side.BUY, "10000")
    (event,) = m.row(10_000)
    assert isinstance(event, Canceled)
    assert "the pool cannot fill it" in event.reason


pools = st.sampled_from(
    [
        POOL,
        Concentrated(sqrt_price(10_000 * 10**6, 100 * 10**9), (Range(sqrt_price(1, 1000), sqrt_price(1, 1), 10**13),), 500),
        Stable(base=SOL("10000").units, quote=SOL("1000000").units // 1000, amplification=100, fee_ppm=400, quote_factor=1000),
    ]
)


@law
@given(pools, st.sampled_from(Side), st.integers(1, 20_000), st.integers(9_000, 11_000))
def test_a_swap_is_never_better_than_its_price_says(pool, side, lots, price):
    """Law 10 also for pools: a buyer pays at least price x quantity, a seller gets at most it; nothing else moves."""
    m = Market(Rules(pool=pool))
    m.order(side, str(lots / 100))
    events = m.row(price)
    assert len(events) == 1
    if fills(events):
        (fill,) = events
        exact = MARKET.cost(fill.price, fill.qty, Rounding.FLOOR if side is Side.BUY else Rounding.CEIL)
        assert fill.cost >= exact if side is Side.BUY else fill.cost <= exact
        sign = 1 if side is Side.BUY else -1
        assert m.matcher.balances()["USDC"] == USDC("1000000") - USDC.units(sign * fill.cost)
        assert m.matcher.balances()["SOL"] == SOL("10000") + SOL.units(sign * fill.qty)


# -- limits, whatever the venue ------------------------------------------------------------------------------------------------


rules_ = st.builds(
    Rules,
    st.just(Fees(0, 0)),
    st.sampled_from([Slippage(), IMPACT, Slippage.none()]),
    st.sampled_from([None, 100_000]),
    st.builds(Latency, st.sampled_from([0, 20 * SECOND])),
    st.sampled_from(Maker),
)
bars = st.lists(st.tuples(*[st.integers(9_500, 10_500)] * 4, st.integers(0, 500)), min_size=1, max_size=6)


@law
@given(rules_, bars, st.sampled_from(Side), st.integers(9_500, 10_500), st.booleans(), st.integers(1, 300))
def test_a_limit_never_fills_worse_than_its_limit(rules, rows, side, limit, shown, lots):
    m = Market(rules)
    if shown:
        m.matcher.display(BOOK)
    m.order(side, str(lots / 100), limit=limit)
    filled = 0
    for a, b, c, d, volume in rows:
        for fill in fills(m.row(a, max(a, b, c, d), min(a, b, c, d), d, volume=volume)):
            assert fill.price <= limit if side is Side.BUY else fill.price >= limit
            filled += fill.qty
    assert filled <= lots * MARKET.lot_units


def test_accepted_comes_before_what_follows():
    m = Market(Rules())
    m.order(Side.BUY, "1", limit=10_100)
    assert kinds(m.row(10_000)) == ["Accepted", "Fill"]
