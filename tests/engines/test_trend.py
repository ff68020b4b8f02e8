"""Each rule of the trend engine, on a price path made for it, on both sides of its threshold.

The engine sits at a real desk over a real vault. Its orders fill at once, at the price that it saw and without a fee,
so that what it nets is what the path says, less the two fees that the engine itself reckons with.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import BTC, QUIET, USD, Allowance, CoreVault, Desk, Instrument
from sleeves.engines import Trend
from sleeves.engines.trend import TrendMemory
from sleeves.errors import InvalidAmount
from sleeves.market import HOUR, MINUTE, SECOND
from sleeves.money import Rounding
from sleeves.orders import Canceled, Command, Fill, Intent, Liquidity, Order, Side, SubmitOrder
from sleeves.protocols import View
from sleeves.records import Refusal

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_qty="0.0001")
BASE = 1_000_000  # 10,000.00
NEVER = 5.0  # a rise that does not come: for a rule that is not under test
START = 1_000 * HOUR


class Stand:
    """An engine with 1,000 coins at a desk; `at` is the time since the start, in seconds. Prices are in cents."""

    def __init__(self, engine: Trend, money: str = "1000", *, market: Instrument = MARKET, allowance: Allowance | None = None) -> None:
        self.market = market
        self.vault = CoreVault(USD, total="1000000", tradeable="1000000")
        self.sleeve = self.vault.sleeve("trend", QUIET, allocate=money)
        self.desk = Desk(self.vault, allowance=Allowance(0, 0) if allowance is None else allowance)
        self.memory = TrendMemory()
        stand = self

        class Seen(Trend):
            def begin(self) -> TrendMemory:
                stand.memory = super().begin()
                return stand.memory

        seen = Seen(**{name: getattr(engine, name) for name in FIELDS})
        self.desk.assign(seen, to=self.sleeve)
        self.index = self.desk.index(market)
        self.filling = True
        self.done: list[tuple[float, str, str]] = []

    def at(self, second: float, price: int) -> list[tuple[str, str]]:
        """Show a price; what the engine did at it, as (side, why)."""
        now = START + round(second * SECOND)
        commands = self.desk.quote(self.index, now, price, price)
        found = []
        for command in commands:
            assert isinstance(command, SubmitOrder)
            place = command.order.place
            found.append((place.side.value, place.why))
            if self.filling:
                self.desk.step(self.fill(command.order, now, price))
        self.done += [(second, *some) for some in found]
        return found

    def fill(self, order: Order, now: int, price: int) -> Fill:
        place = order.place
        rounding = Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR
        cost = self.market.cost(price, place.qty, rounding)
        return Fill(order.id, now, self.market, place.side, place.qty, price, cost, USD.zero, Liquidity.TAKER, order.id, "sim")

    def flat(self, price: int, *, hours: float = 5, since: float = 0) -> Stand:
        """A price a minute that does not move, from `since` up to and with so many hours later."""
        for minute in range(round(hours * 60) + 1):
            assert self.at(since + 60 * minute, price) == []
        return self


FIELDS = [field.name for field in Trend.__attrs_attrs__]  # type: ignore[attr-defined]
AFTER = 5 * 3_600  # seconds of a flat five hours


def momentum(**changes: Any) -> Trend:
    """Only the rise of the last hour can make it buy."""
    return Trend(MARKET, **({"turn": NEVER} | changes))


def turning(**changes: Any) -> Trend:
    """Only a turn from a low can make it buy."""
    return Trend(MARKET, **({"enter": NEVER} | changes))


BOUGHT = [("buy", "momentum")]
TURNED = [("buy", "turn")]

bases = st.integers(1, 2_000).map(lambda n: n * 100_000)  # every threshold of the script is a whole number of cents of these


# -- buying on momentum ----------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(bases)
def test_it_buys_when_the_last_hour_rose_by_enter(base: int) -> None:
    """1.25% exactly is enough; a cent less is not."""
    assert Stand(momentum()).flat(base).at(AFTER + 60, base * 10_125 // 10_000) == BOUGHT
    assert Stand(momentum()).flat(base).at(AFTER + 60, base * 10_125 // 10_000 - 1) == []


@pytest.mark.parametrize(("seconds", "bought"), [(3_540, True), (3_600, True), (3_660, False)])
def test_a_rise_is_measured_over_one_hour(seconds: int, bought: bool) -> None:
    """Up by 1% when the flat time ends, and by 1.3% in all `seconds` later: only what lies within the hour counts."""
    stand = Stand(momentum()).flat(BASE)
    first, second = BASE * 1_010 // 1_000, BASE * 1_013 // 1_000
    for minute in range(1, seconds // 60):
        assert stand.at(AFTER + 60 * minute, first) == []
    assert stand.at(AFTER + seconds, second) == (BOUGHT if bought else [])


def test_without_a_price_an_hour_old_there_is_no_rise() -> None:
    """Four hourly closes can be had from a feed that was silent in between; a rise of the last hour cannot."""
    stand = Stand(momentum(trend="0%"))
    for minute in range(59):
        stand.at(60 * minute, BASE)
    assert stand.at(59 * 60, BASE * 2) == []


@settings(max_examples=25)
@given(bases)
def test_it_buys_only_while_the_price_stands_trend_above_the_mean_of_four_hourly_closes(base: int) -> None:
    """0.2% exactly is enough; a cent less is not."""
    assert Stand(momentum(enter=0.0)).flat(base).at(AFTER + 60, base * 10_020 // 10_000) == BOUGHT
    assert Stand(momentum(enter=0.0)).flat(base).at(AFTER + 60, base * 10_020 // 10_000 - 1) == []


@pytest.mark.parametrize(
    ("closes", "price", "bought"),
    [
        # the last hour rose by 2% each time; the price must reach the mean of these four closes and 0.2%
        ((10_000, 10_000, 10_000, 10_000), 10_200, True),
        ((10_300, 10_200, 10_100, 10_000), 10_200, True),  # from 10,170.3
        ((10_400, 10_200, 10_110, 10_000), 10_200, True),  # from 10,197.9
        ((10_400, 10_200, 10_120, 10_000), 10_200, False),  # from 10,200.4
        ((10_400, 10_240, 10_120, 10_000), 10_200, False),
    ],
)
def test_the_trend_is_over_the_last_four_hours_and_no_more(closes: Sequence[int], price: int, bought: bool) -> None:
    stand = Stand(momentum())
    stand.flat(20_000 * 100, hours=1)  # an older hour, far above: it must not count
    for hour, close in enumerate(closes, 1):
        for minute in range(1, 61):
            stand.at(3_600 * hour + 60 * minute, close * 100)
    assert stand.done == []
    assert stand.at(3_600 * 5 + 60, price * 100) == (BOUGHT if bought else [])


@pytest.mark.parametrize(("last", "then", "bought"), [(170, 30, False), (179, 60, False), (180, 30, True), (300, 30, True)])
def test_it_waits_for_four_hourly_closes(last: int, then: int, bought: bool) -> None:
    """The price on the hour is the close of the hour that ends there, and known as such just after it.

    So the four closes here are those of minute 0, 60, 120 and 180.
    """
    stand = Stand(momentum()).flat(BASE, hours=last / 60)
    assert stand.at(60 * last + then, BASE * 2) == (BOUGHT if bought else [])


# -- buying on a turn ------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(bases)
def test_it_buys_when_the_price_has_turned_up_by_more_than_turn(base: int) -> None:
    """The script asks for more than 0.2%: exactly that is not yet a turn, a cent more is."""
    assert Stand(turning(trend=0.0)).flat(base).at(AFTER + 60, base * 10_020 // 10_000) == []
    assert Stand(turning(trend=0.0)).flat(base).at(AFTER + 60, base * 10_020 // 10_000 + 1) == TURNED


def test_the_low_is_the_lowest_since_the_start() -> None:
    stand = Stand(turning(trend="-10%")).flat(BASE)
    low = BASE * 99 // 100
    assert stand.at(AFTER + 60, low) == []
    assert stand.at(AFTER + 120, low * 10_020 // 10_000 - 1) == []
    assert stand.at(AFTER + 180, low * 10_020 // 10_000 + 1) == TURNED


def test_a_turn_needs_the_trend_too() -> None:
    """0.5% above its low, and 0.5% below the mean of the last four hours."""
    stand = Stand(turning()).flat(BASE)
    assert stand.at(AFTER + 60, BASE * 99 // 100) == []
    assert stand.at(AFTER + 120, BASE * 995 // 1_000) == []


EIGHT = 8 * 3_600


@settings(max_examples=10)
@given(bases)
def test_the_low_must_lie_within_band_of_the_lowest_of_eight_hours(base: int) -> None:
    """After eight hours at the base the tracked low is out of date, and the next price takes its place.

    At 2% above the lowest it is a low to turn from; a cent more and it is none.
    """
    for low, expected in ((base * 102 // 100, TURNED), (base * 102 // 100 + 1, [])):
        stand = Stand(turning()).flat(base, hours=8)
        assert stand.at(EIGHT + 60, low) == []
        assert stand.at(EIGHT + 120, low * 101 // 100) == expected


@pytest.mark.parametrize(("late", "expected"), [(0, TURNED), (15, [])])
def test_a_low_is_remembered_for_eight_hours(late: int, expected: list[tuple[str, str]]) -> None:
    """One dip of 10% and eight flat hours: a rise of 1% is a turn from that dip, and fifteen seconds later from nothing."""
    stand = Stand(turning())
    stand.at(0, BASE)
    stand.at(60, BASE * 90 // 100)
    for minute in range(2, 8 * 60 + 1):
        assert stand.at(60 * minute, BASE) == []
    assert stand.at(60 + EIGHT + late, BASE * 101 // 100) == expected


def test_after_a_sale_the_low_is_tracked_anew() -> None:
    """Sold with a gain: the turn is from the price after the sale, not from the low before the buy, which is far below."""
    stand = Stand(turning(trend=-1.0, hold=NEVER)).flat(BASE)
    assert stand.at(AFTER + 60, BASE * 1_003 // 1_000) == TURNED
    assert stand.at(AFTER + 120, BASE * 1_018 // 1_000) == []
    assert stand.at(AFTER + 180, BASE * 1_015 // 1_000) == [("sell", "trail")]
    low = BASE * 1_014 // 1_000
    assert stand.at(AFTER + 240, low) == []
    assert stand.at(AFTER + 300, low * 10_020 // 10_000 - 1) == []
    assert stand.at(AFTER + 360, low * 10_020 // 10_000 + 1) == TURNED


def test_a_low_too_far_above_the_lowest_moves_up_with_the_price() -> None:
    """It does not become a low to turn from later, when the lowest price has been forgotten."""
    stand = Stand(turning(trend=-1.0)).flat(BASE, hours=8)
    assert stand.at(EIGHT + 60, BASE * 103 // 100) == []
    for minute in range(2, 8 * 60 + 10):
        assert stand.at(EIGHT + 60 * minute, BASE * 105 // 100) == []


# -- how often, and how much -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "bought"),
    [((15,), [False]), ((29,), [False]), ((30,), [True]), ((15, 30), [False, True]), ((14, 29, 44), [False, False, True])],
)
def test_it_checks_for_a_buy_every_thirty_seconds(seconds: Sequence[int], bought: Sequence[bool]) -> None:
    stand = Stand(momentum()).flat(BASE)  # checked at its last price
    assert [stand.at(AFTER + second, BASE * 2) == BOUGHT for second in seconds] == list(bought)


@pytest.mark.parametrize(
    ("seconds", "sold"),
    [((14,), [False]), ((15,), [True]), ((5, 10, 15), [False, False, True])],
)
def test_it_checks_for_a_sale_every_fifteen_seconds(seconds: Sequence[int], sold: Sequence[bool]) -> None:
    stand = holding()
    assert [stand.at(BUY_AT + second, BASE // 2) == STOPPED for second in seconds] == list(sold)


@pytest.mark.parametrize(("seconds", "sold"), [((30,), [False]), ((45,), [False]), ((60,), [True]), ((30, 60), [False, True])])
def test_a_sale_is_checked_no_more_often_than_sell_every_also_where_buys_are(seconds: Sequence[int], sold: Sequence[bool]) -> None:
    stand = holding(sell_every=60 * SECOND)
    stand.at(BUY_AT + 1, BASE)
    assert stand.at(BUY_AT + 60, BASE) == []  # this one is a check
    assert [stand.at(BUY_AT + 60 + second, BASE // 2) == STOPPED for second in seconds] == list(sold)


def test_while_an_order_is_open_it_places_no_other() -> None:
    stand = Stand(momentum(size="40%")).flat(BASE)
    stand.filling = False
    assert stand.at(AFTER + 60, BASE * 102 // 100) == BOUGHT
    assert stand.at(AFTER + 120, BASE * 103 // 100) == []
    assert not refusals(stand)


def test_while_a_sale_is_open_it_places_no_other() -> None:
    stand = holding()
    stand.filling = False
    before = refusals(stand)
    assert stand.at(BUY_AT + 60, BASE // 2) == STOPPED
    assert stand.at(BUY_AT + 120, BASE // 2) == []
    assert refusals(stand) == before, "it asked, and the desk had to refuse"


def refusals(stand: Stand) -> int:
    return sum(isinstance(record, Refusal) for record in stand.desk.books.journal)


@pytest.mark.parametrize(("size", "qty"), [("100%", "0.09803"), ("50%", "0.04901"), ("1%", "0.00098")])
def test_it_uses_its_part_of_the_free_money(size: str, qty: str) -> None:
    """1,000 coins at 10,200."""
    stand = Stand(momentum(size=size, least="1")).flat(BASE)
    assert stand.at(AFTER + 60, BASE * 102 // 100) == BOUGHT
    assert stand.sleeve.position(MARKET) == BTC(qty)


def test_it_leaves_room_for_the_allowances() -> None:
    """0.4% for the fee and 0.5% for the price: 1,000 / 10,200 / 1.005 / 1.004."""
    stand = Stand(momentum(), allowance=Allowance()).flat(BASE)
    assert stand.at(AFTER + 60, BASE * 102 // 100) == BOUGHT
    assert stand.sleeve.position(MARKET) == BTC("0.09716")


TEN = Instrument("TEN/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")


@pytest.mark.parametrize(
    ("money", "least", "bought"),
    [
        ("10.001", "10", True),
        ("9.999", "10", False),
        ("10.011", "10.01", True),
        ("10.009", "10.01", False),
        ("5.001", "5", True),
        ("0.5", "0", True),
    ],
)
def test_it_places_no_order_below_the_least(money: str, least: str, bought: bool) -> None:
    """At 10 a coin in lots of a thousandth: what its money buys in whole lots must come to `least`."""
    stand = Stand(Trend(TEN, turn=NEVER, least=least), money, market=TEN).flat(900)
    assert stand.at(AFTER + 60, 1_000) == (BOUGHT if bought else [])


# -- selling ---------------------------------------------------------------------------------------------------------------

BUY_AT = AFTER + 3_660
STOPPED = [("sell", "stop")]
TRAILED = [("sell", "trail")]


def holding(base: int = BASE, **changes: Any) -> Stand:
    """An engine that has just bought at `base`, with the price where it was an hour ago."""
    stand = Stand(Trend(MARKET, **({"enter": 0.0, "trend": -1.0, "turn": NEVER} | changes)), "100000.01")
    stand.vault.pause()
    for minute in range(BUY_AT // 60):
        assert stand.at(60 * minute, base) == []
    stand.vault.resume()
    assert stand.at(BUY_AT, base) == BOUGHT
    return stand


def test_the_stand_holds_what_it_bought_at_the_base() -> None:
    stand = holding()
    assert stand.sleeve.position(MARKET) == BTC("10")
    assert stand.sleeve.deployed == USD("100000")


@settings(max_examples=25)
@given(bases)
def test_it_stops_a_loss_net_of_two_fees(base: int) -> None:
    """A fall of 0.8% and two fees of 0.4% are 1.6%: sold; a cent above: held."""
    assert holding(base).at(BUY_AT + 60, base * 992 // 1_000) == STOPPED
    assert holding(base).at(BUY_AT + 60, base * 992 // 1_000 + base // 1_000_000 + 1) == []


@pytest.mark.parametrize(
    ("fee", "stop", "price"),
    [("0.4%", "1.6%", 992_000), ("0%", "1.6%", 984_000), ("0.26%", "2%", 985_200), ("1%", "2%", 1_000_000)],
)
def test_the_fee_is_a_parameter(fee: str, stop: str, price: int) -> None:
    changes = {"fee": fee, "stop": stop}
    assert holding(**changes).at(BUY_AT + 60, price - 1) == STOPPED
    assert holding(**changes).at(BUY_AT + 60, price + 1) == []


def test_a_small_loss_is_held() -> None:
    stand = holding()
    for minute, price in enumerate((998, 996, 994, 993, 1_000, 1_005, 993), 1):
        assert stand.at(BUY_AT + 60 * minute, BASE * price // 1_000) == []


@settings(max_examples=25)
@given(bases)
def test_a_gain_arms_the_trailing_stop_at_its_threshold(base: int) -> None:
    """A rise of 0.9% less two fees is 0.1%: from there a turn down by 0.2% sells; from a cent below it does not."""
    top = base * 1_009 // 1_000
    for high, expected in ((top, TRAILED), (top - base // 1_000_000 - 1, [])):
        stand = holding(base)
        assert stand.at(BUY_AT + 60, high) == []
        assert stand.at(BUY_AT + 120, high * 997 // 1_000) == expected


@settings(max_examples=25)
@given(bases)
def test_it_sells_when_the_price_has_turned_down_by_trail_from_its_high(base: int) -> None:
    """0.2% exactly below the high since the buy is enough; a cent less is not."""
    high = base * 1_010 // 1_000
    for price, expected in ((high * 998 // 1_000, TRAILED), (high * 998 // 1_000 + 1, [])):
        stand = holding(base)
        assert stand.at(BUY_AT + 60, high) == []
        assert stand.at(BUY_AT + 120, base * 1_009 // 1_000) == []
        assert stand.at(BUY_AT + 180, price) == expected


def test_once_armed_it_sells_on_a_turn_whatever_is_left_of_the_gain() -> None:
    stand = holding()
    assert stand.at(BUY_AT + 60, BASE * 1_010 // 1_000) == []
    assert stand.at(BUY_AT + 120, BASE * 1_000 // 1_000) == TRAILED


def test_the_high_is_of_this_position_not_of_the_one_before() -> None:
    stand = holding()
    assert stand.at(BUY_AT + 60, BASE * 110 // 100) == []
    assert stand.at(BUY_AT + 120, BASE) == TRAILED
    assert stand.at(BUY_AT + 180, BASE) == BOUGHT
    assert stand.at(BUY_AT + 240, BASE * 1_005 // 1_000) == []
    assert stand.at(BUY_AT + 300, BASE) == [], "armed by the gain of the position before"
    assert stand.at(BUY_AT + 360, BASE * 1_010 // 1_000) == [], "turned down from the high of the position before"
    assert stand.at(BUY_AT + 420, BASE * 1_007 // 1_000) == TRAILED


@settings(max_examples=25)
@given(bases)
def test_it_never_sells_while_the_last_hour_rose_by_hold(base: int) -> None:
    """Armed at +5% and turned down from there: at 1.1% above an hour ago it holds on, a cent below it sells."""
    for price, expected in ((base * 1_011 // 1_000, []), (base * 1_011 // 1_000 - 1, TRAILED)):
        stand = holding(base)
        assert stand.at(BUY_AT + 60, base * 105 // 100) == []
        assert stand.at(BUY_AT + 120, price) == expected


def test_it_holds_even_a_loss_while_the_last_hour_rose() -> None:
    """Bought at the top of a spike: 10% up on the hour, 5% down on the buy."""
    stand = Stand(momentum(trend=-1.0)).flat(BASE)
    assert stand.at(AFTER + 60, BASE * 116 // 100) == BOUGHT
    assert stand.at(AFTER + 120, BASE * 110 // 100) == []
    assert stand.at(AFTER + 180, BASE) == STOPPED


def test_it_sells_all_that_it_has() -> None:
    stand = holding()
    assert stand.at(BUY_AT + 60, BASE // 2) == STOPPED
    assert stand.sleeve.is_flat()
    assert stand.sleeve.position(MARKET) == BTC.zero
    assert stand.sleeve.realized == USD("-50000")


def test_dust_is_no_position() -> None:
    """Coins below the venue's least order cannot be sold: it goes on looking for a buy."""
    stand = holding(trend="0%")
    (order,) = [command.order for command in sale_of(stand) if isinstance(command, SubmitOrder)]
    place = order.place
    left = MARKET.min_qty_units - 1
    qty = place.qty - left
    cost, now = MARKET.cost(BASE // 2, qty, Rounding.FLOOR), stand.desk.books.now
    stand.desk.step(Fill(order.id, now, MARKET, Side.SELL, qty, BASE // 2, cost, USD.zero, Liquidity.TAKER, "part", "sim"))
    stand.desk.step(Canceled(order.id, now))
    stand.filling = True
    assert stand.sleeve.position(MARKET).units == left
    for minute in range(2, 62):
        assert stand.at(BUY_AT + 60 * minute, BASE // 2) == []
    assert stand.at(BUY_AT + 60 * 62, BASE) == BOUGHT


def sale_of(stand: Stand) -> Sequence[Command]:
    stand.filling = False
    return stand.desk.quote(stand.index, START + (BUY_AT + 60) * SECOND, BASE // 2, BASE // 2)


# -- memory, determinism ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["rising", "falling", "walking", "flat"])
def test_what_it_remembers_is_bounded_over_a_hundred_thousand_prices(shape: str) -> None:
    """A price a minute for an hour, a low for each check of eight hours at most, four closes."""
    stand = Stand(momentum(enter=NEVER))
    rng = random.Random(1)
    price = 10**8
    most = 0
    for step in range(100_000):
        price += {"rising": 1, "falling": -1, "walking": rng.randint(-50, 50), "flat": 0}[shape]
        stand.at(15 * step, price)
        most = max(most, len(stand.memory.samples) + len(stand.memory.lows))
    assert len(stand.memory.samples) <= 62
    assert len(stand.memory.hours) == 4
    assert most <= 62 + 8 * 3_600 // 15 + 1


paths = st.lists(st.tuples(st.integers(1, 2_000), st.integers(-300, 300)), min_size=1, max_size=60)


@settings(max_examples=40)
@given(paths)
def test_the_same_prices_make_the_same_decisions_and_the_same_memory(path: list[tuple[int, int]]) -> None:
    engine = Trend(MARKET, enter="0.2%", trend="-5%", hold="1%", stop="0.9%", fee="0.1%")
    stands = [Stand(engine), Stand(engine)]
    for stand in stands:
        now, price = 0, BASE
        for seconds, move in path * 3:
            now, price = now + seconds, max(1_000, price + price * move // 10_000)
            stand.at(now, price)
    assert stands[0].done == stands[1].done
    assert stands[0].memory == stands[1].memory
    assert list(stands[0].desk.books.journal) == list(stands[1].desk.books.journal)


def test_deciding_twice_from_one_memory_gives_one_answer() -> None:
    """`decide` reads the view and its memory and nothing else."""
    answers: list[tuple[Any, Any]] = []

    class Twice(Trend):
        def decide(self, memory: TrendMemory, view: View) -> Iterable[Intent] | None:
            twin = copy.deepcopy(memory)
            answers.append((super().decide(twin, view), super().decide(memory, view)))
            assert twin == memory
            return answers[-1][1]

    engine = Twice(MARKET, turn=NEVER)
    vault = CoreVault(USD, total="1000", tradeable="1000")
    desk = Desk(vault)
    desk.assign(engine, to=vault.sleeve("one", QUIET, allocate="1000"))
    for minute in range(301):
        desk.quote(0, START + minute * MINUTE, BASE, BASE)
    desk.quote(0, START + 301 * MINUTE, 2 * BASE, 2 * BASE)
    assert answers[-1][0] == answers[-1][1]
    assert answers[-1][0] is not None


def test_it_is_not_asked_and_does_nothing_before_the_first_price() -> None:
    elsewhere = Instrument("ETH/USD", base=BTC, quote=USD)
    stand = Stand(Trend(MARKET))
    assert stand.desk.quote(stand.desk.index(elsewhere), START, 100, 100) == ()
    assert stand.memory == TrendMemory()


# -- presets, names, parameters --------------------------------------------------------------------------------------------


def test_the_defaults_are_the_scripts() -> None:
    trend = Trend(MARKET)
    assert (trend.enter, trend.trend, trend.stop, trend.arm, trend.hold) == (0.0125, 0.002, 0.016, 0.001, 0.011)
    assert (trend.buy_every, trend.sell_every, trend.every) == (30 * SECOND, 15 * SECOND, 15 * SECOND)
    assert trend.watches == (MARKET,)
    assert trend.name == "trend"


def test_quiet_asks_for_more_and_holds_longer_than_flash() -> None:
    quiet, flash, plain = Trend.quiet(MARKET), Trend.flash(MARKET), Trend(MARKET)
    assert quiet != flash != plain
    assert {quiet.name, flash.name, plain.name} == {"trend-quiet", "trend-flash", "trend"}
    for rule in ("enter", "trend", "stop", "arm", "trail"):
        assert getattr(quiet, rule) > getattr(flash, rule) >= getattr(plain, rule)
    assert quiet.every > flash.every
    assert quiet.size < flash.size == 1


@pytest.mark.parametrize(("rise", "flash", "quiet"), [("1.019", None, None), ("1.021", "0.09794", None), ("1.031", "0.09699", "0.04849")])
def test_the_presets_do_different_things_on_one_path(rise: str, flash: str | None, quiet: str | None) -> None:
    """2% of trend is enough for flash, with all its money; quiet asks for 3%, and spends half."""
    price = round(BASE * float(rise))
    for preset, qty in ((Trend.flash(MARKET, turn=NEVER), flash), (Trend.quiet(MARKET, turn=NEVER), quiet)):
        stand = Stand(preset).flat(BASE)
        assert stand.at(AFTER + 900, price) == ([] if qty is None else BOUGHT)
        assert stand.sleeve.position(MARKET) == BTC(qty or "0")


def test_presets_can_be_changed_in_part() -> None:
    assert Trend.quiet(MARKET, size="25%").size == 0.25
    assert Trend.quiet(MARKET, size="25%").enter == Trend.quiet(MARKET).enter
    assert Trend.flash(MARKET, name="mine").name == "mine"


def test_it_says_its_rules_in_words() -> None:
    text = Trend(MARKET).describe()
    for told in ("BTC/USD", "1.25%", "0.2%", "2%", "-1.6%", "0.1%", "1.1%", "100%"):
        assert told in text


@pytest.mark.parametrize(
    "changes",
    [
        {"size": "0%"},
        {"size": "100.01%"},
        {"size": "-1%"},
        {"size": 1.5},
        *({rule: "-0.01%"} for rule in ("enter", "turn", "band", "stop", "arm", "trail", "hold", "fee")),
        *({rule: math.nan} for rule in ("enter", "trend", "turn", "band", "stop", "arm", "trail", "hold", "fee", "size")),
        {"trend": math.inf},
        {"trend": -math.inf},
        {"enter": "much"},
        {"enter": ""},
        {"enter": 1},
        {"enter": True},
        {"enter": None},
        {"least": "ten"},
        {"least": "NaN"},
        {"least": "0.0000001"},
        {"least": 10.0},
        {"buy_every": 0},
        {"buy_every": -1},
        {"sell_every": 0},
        {"sell_every": -1},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        Trend(MARKET, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"least": "-10"},
        {"buy_every": math.nan},
        {"sell_every": math.nan},
        {"sell_every": math.inf},
        {"buy_every": 0.5},
        {"buy_every": True},
    ],
    ids=str,
)
def test_times_are_whole_nanoseconds_and_the_least_order_is_not_below_zero(changes: dict[str, Any]) -> None:
    """A time that is no whole number would go into the desk's clock; one that is not a number wakes the engine at each price."""
    with pytest.raises(InvalidAmount):
        Trend(MARKET, **changes)
