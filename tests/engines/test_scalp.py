"""The scalp engine: what it measures, who has a turn, each rule on both sides of its threshold, stories, and laws.

Rules are tried at a real desk over a real vault, whose orders a test fills, rejects or leaves open. Stories and laws run
on the simulator. All prices but those of the last part are synthetic: walks of a seed, and paths made for a rule.
"""

from __future__ import annotations

import copy
import math
import random
import re
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import BTC, ETH, QUIET, SOL, USD, USDC, Allowance, CoreVault, Desk, Instrument, Place
from sleeves.engines import Feedback, Momentum, Pod, Scalp, Sentiment
from sleeves.engines.momentum import Signal, ramp
from sleeves.engines.pods import Outcome, Standing, Turns
from sleeves.engines.scalp import ScalpMemory, Watch
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.ledger import Account, Role
from sleeves.market import HOUR, MINUTE, SECOND, Book, Kind
from sleeves.money import Asset, Rounding
from sleeves.news import Reading
from sleeves.orders import Canceled, Command, Fill, Liquidity, Order, Rejected, Side, SubmitOrder, TimeInForce
from sleeves.records import Placed, Refusal
from sleeves.report import Report
from sleeves.sim import SAMPLE_INSTRUMENT, Exchange, Fees, Latency, Rules, Slippage, Tape, replay
from sleeves.sim.replay import account_of

BONK, WIF = Asset("BONK", 5), Asset("WIF", 6)
A = Instrument("SOL/USD", base=SOL, quote=USD, tick="0.01", lot="0.001", min_qty="0.001")
B = Instrument("WIF/USD", base=WIF, quote=USD, tick="0.0001", lot="0.01", min_qty="0.01")
C = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001", min_qty="0.0001")
START = 1_000 * HOUR
STEP = 5
CALM = 300  # seconds of a calm market before anything happens
UNIT = 10**9


def book_of(market: Instrument, at: int, bid: int, ask: int | None = None, volume: int = -1) -> Book:
    book = Book(market, 0)
    book.at, book.bid, book.ask, book.volume = at, bid, bid if ask is None else ask, volume
    return book


# -- momentum --------------------------------------------------------------------------------------------------------------


def measured(momentum: Momentum, prices: Sequence[tuple[float, int, int]], spread: int = 0) -> Signal | None:
    """The signal after these (seconds, price, volume)."""
    samples = momentum.begin()
    book = book_of(A, 0, 1)
    for seconds, price, volume in prices:
        book = book_of(A, round(seconds * SECOND), price, price + spread, volume)
        momentum.note(samples, book)
    return momentum.read(samples, book)


def oracle(prices: Sequence[tuple[float, int, int]], window: float) -> tuple[float, float, float | None]:
    """(move, z, surge) of prices at least a step apart, with none left out: the page's formula, told another way."""
    now = prices[-1][0]
    old = [i for i, (at, _, _) in enumerate(prices) if at <= now - window]
    last = old[-1]
    returns = [math.log(prices[i][1]) - math.log(prices[i - 1][1]) for i in old[1:]]
    squares = max(sum(r * r for r in returns), len(returns) / prices[last][1] ** 2)  # a tick a step at least
    variance = squares / (prices[last][0] - prices[0][0])
    move = prices[-1][1] / prices[last][1]
    z = math.log(move) / math.sqrt(variance * (now - prices[last][0]))

    def per_second(rows: range) -> float | None:
        known = [(prices[i][2], prices[i][0] - prices[i - 1][0]) for i in rows if prices[i][2] >= 0]
        return sum(v for v, _ in known) / sum(t for _, t in known) if known else None

    recent, usual = per_second(range(last + 1, len(prices))), per_second(range(1, last + 1))
    return move - 1, z, None if recent is None or usual is None else recent / usual


def calm(seconds: int = CALM, price: int = 10_000, by: int = 5, volume: int = 1_000) -> list[tuple[float, int, int]]:
    """A price each step, up and down by `by`."""
    return [(at, price + by * (n % 2), volume) for n, at in enumerate(range(0, seconds + 1, STEP))]


def burst(prices: list[tuple[float, int, int]], *, to: int, volume: int = 8_000, steps: int = 1) -> list[tuple[float, int, int]]:
    at, last, _ = prices[-1]
    return [*prices, *((at + STEP * n, last + (to - last) * n // steps, volume) for n in range(1, steps + 1))]


walks = st.lists(
    st.tuples(st.integers(5, 20), st.integers(9_000, 11_000), st.one_of(st.just(-1), st.integers(1, 10**6))), min_size=40, max_size=70
)


@settings(max_examples=60)
@given(walks)
def test_move_z_and_surge_are_those_of_the_formula(walk: list[tuple[int, int, int]]) -> None:
    at, prices = 0, []
    for seconds, price, volume in walk:
        at += seconds
        prices.append((float(at), price, volume))
    momentum = Momentum(history=10**6 * SECOND, least=5)
    signal = measured(momentum, prices)
    assert signal is not None
    move, z, surge = oracle(prices, 30)
    assert signal.move == pytest.approx(move, abs=1e-12)
    assert signal.z == pytest.approx(z, rel=1e-9, abs=1e-9)
    assert signal.surge == (None if surge is None else pytest.approx(surge, rel=1e-12))


def test_a_burst_is_not_measured_against_itself() -> None:
    """The history ends where the window begins: half a move within the window has half the z."""
    whole, half = (measured(Momentum(), burst(calm(), to=to)) for to in (10_405, 10_205))
    assert whole is not None
    assert half is not None
    assert whole.z / half.z == pytest.approx(math.log(10_405 / 10_005) / math.log(10_205 / 10_005), rel=0.02)
    wild = measured(Momentum(), burst(calm(by=50), to=10_405))
    assert wild is not None
    assert wild.z < whole.z / 8, "the same move is less against a wilder history"


def test_an_old_move_is_history_after_the_window() -> None:
    prices = burst(calm(), to=10_405)
    at = prices[-1][0]
    for n in range(1, 9):
        prices.append((at + STEP * n, 10_405, 1_000))
    signal = measured(Momentum(), prices)
    assert signal is not None
    assert signal.move == 0
    assert signal.surge == pytest.approx(1_000 / ((60 * 1_000 + 8_000 + 2 * 1_000) / 63)), "the burst's volume is history too"


def test_a_feed_that_was_silent_gives_a_move_all_the_time_that_it_took() -> None:
    """The same 2% after ten minutes of silence is less than after five seconds."""
    soon = measured(Momentum(history=HOUR), [*calm(), (CALM + 5, 10_200, 1_000)])
    late = measured(Momentum(history=HOUR), [*calm(), (CALM + 600, 10_200, 1_000)])
    assert soon is not None
    assert late is not None
    assert late.z < soon.z / 4


def test_a_price_that_stood_still_is_taken_to_move_by_a_tick() -> None:
    """A first move of three ticks after five minutes of nothing is no event of infinite size."""
    signal = measured(Momentum(), [*calm(by=0), (CALM + 5, 10_003, 1_000)])
    assert signal is not None
    assert signal.z == pytest.approx(3 / math.sqrt(6), rel=0.01)


@pytest.mark.parametrize("steps", [19, 20])
def test_it_has_no_opinion_before_least_steps_of_history(steps: int) -> None:
    prices = calm((steps + 6) * STEP)
    assert (measured(Momentum(least=20), prices) is not None) == (steps >= 20)


def test_volumes_that_are_not_known_are_absent_and_not_zero() -> None:
    known = measured(Momentum(), burst(calm(), to=10_300))
    unknown = measured(Momentum(), burst(calm(volume=-1), to=10_300, volume=-1))
    assert known is not None
    assert unknown is not None
    assert known.surge == pytest.approx((5 * 1_000 + 8_000) / 6_000)
    assert unknown.surge is None
    assert Momentum().confidence(unknown) == pytest.approx(Momentum(weights=(0.5, 0, 0.2)).confidence(known))
    assert 0 < Momentum().confidence(known) < Momentum().confidence(unknown), "what is known to be small counts as small"


def test_trades_where_there_never_were_any_are_a_surge_and_a_move_without_trades_is_none() -> None:
    first = measured(Momentum(), burst(calm(volume=0), to=10_300, volume=10))
    hollow = measured(Momentum(), burst(calm(volume=0), to=10_300, volume=0))
    assert first is not None
    assert hollow is not None
    assert first.surge == math.inf
    assert hollow.surge == 0
    assert Momentum().confidence(first) > 0.9
    assert Momentum().confidence(hollow) == 0


def test_prices_within_one_step_are_one_sample_with_all_their_volume() -> None:
    fine = [
        (at / 10, price, volume) for at, price, volume in ((n * 10 + k, 10_000 + 5 * (n // 5 % 2), 100) for n in range(400) for k in (0, 5))
    ]
    momentum = Momentum()
    samples = momentum.begin()
    for seconds, price, volume in fine:
        momentum.note(samples, book_of(A, round(seconds * SECOND), price, volume=volume))
    assert {sample.volume for sample in samples} == {1_000}
    assert {b.began - a.began for a, b in zip(samples, list(samples)[1:], strict=False)} == {5 * SECOND}


@pytest.mark.parametrize("every", [0.1, 5, 7, 60, 3_600])
def test_what_is_kept_of_an_instrument_is_bounded_by_the_window(every: float) -> None:
    momentum = Momentum()
    samples = momentum.begin()
    for n in range(20_000):
        momentum.note(samples, book_of(A, round(n * every * SECOND), 10_000 + n % 7, volume=1))
        assert len(samples) <= momentum.most_samples
    assert momentum.most_samples == 128
    assert samples[-1].at - samples[1].at <= momentum.window + momentum.history


signals = st.builds(
    Signal, st.floats(-0.5, 0.5), st.floats(-50, 50), st.one_of(st.none(), st.floats(0, 100), st.just(math.inf)), st.floats(0, 0.5)
)
parts = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1)), max_size=3)


@settings(max_examples=200)
@given(signals, parts, st.floats(0, 20))
def test_confidence_lies_from_0_to_1_and_grows_with_the_move_and_with_each_part(
    signal: Signal, others: list[tuple[float, float]], more: float
) -> None:
    momentum = Momentum()
    confidence = momentum.confidence(signal, others)
    assert 0 <= confidence <= 1
    assert momentum.confidence(Signal(signal.move, signal.z + more, signal.surge, signal.spread), others) >= confidence - 1e-12
    assert momentum.confidence(signal, [(weight, min(1, part + 0.1)) for weight, part in others]) >= confidence - 1e-12
    assert momentum.confidence(Signal(signal.move, signal.z, signal.surge, signal.spread + 0.001), others) <= confidence + 1e-12


def test_confidence_is_the_weighted_geometric_mean_of_what_is_known() -> None:
    signal = Signal(0.02, 4.0, 3.0, 0.001)  # a move of (4 - 2) / (6 - 2), volume (3 - 1) / (5 - 1), spread 1 - 0.1% / 1%
    assert Momentum().confidence(signal) == pytest.approx(0.5**0.5 * 0.5**0.3 * 0.9**0.2)
    assert Momentum().confidence(signal, [(1.0, 0.8)]) == pytest.approx((0.5**0.5 * 0.5**0.3 * 0.9**0.2 * 0.8**1.0) ** (1 / 2))
    assert Momentum().confidence(Signal(0.02, 4.0, None, 0.001)) == pytest.approx((0.5**0.5 * 0.9**0.2) ** (1 / 0.7))
    assert statistics.fmean([ramp(x, 2, 6) for x in (1, 2, 4, 6, 7)]) == 0.5
    assert ramp(25, 80, 20) == pytest.approx(55 / 60), "full below none: fear is greed the other way round"


@pytest.mark.parametrize(
    "signal", [Signal(0.02, 2.0, 9.0, 0.0), Signal(0.02, -9.0, 9.0, 0.0), Signal(0.02, 9.0, 1.0, 0.0), Signal(0.02, 9.0, 9.0, 0.01)]
)
def test_one_part_of_nothing_makes_nothing_whatever_the_others_say(signal: Signal) -> None:
    assert Momentum().confidence(signal, [(100.0, 1.0)]) == 0


def test_a_signal_is_told_in_words() -> None:
    assert str(Signal(0.0212, 4.25, 3.0, 0.00031)) == "moved 2.12%, z 4.2, volume 3.0x, spread 3.1 bp"
    assert str(Signal(-0.01, -1.0, None, 0.0)) == "moved -1%, z -1.0, volume unknown, spread 0.0 bp"


# -- pods and turns --------------------------------------------------------------------------------------------------------

FEEDBACK = Feedback()


def turns_of(**priorities: float) -> Turns:
    return Turns({name: Standing(priority) for name, priority in priorities.items()})


def take(turns: Turns, now: int, **changes: Any) -> tuple[str, ...]:
    assert turns.take(now * SECOND, FEEDBACK, **({"count": 1, "length": 5 * SECOND, "neglected_every": 10**9} | changes))
    return turns.now


@pytest.mark.parametrize(
    ("outcome", "before", "after"),
    [
        (Outcome.FOUND, 5, 6), (Outcome.FOUND, 9.5, 10),
        (Outcome.WON, 2, 10),
        (Outcome.LOST, 5, 4), (Outcome.LOST, 1.5, 1),
        (Outcome.FAILED, 5, 4), (Outcome.FAILED, 1, 1),
        (Outcome.STOPPED, 5, 3), (Outcome.STOPPED, 2, 1),
        (Outcome.NOTHING, 5, 4.5), (Outcome.NOTHING, 3.2, 3), (Outcome.NOTHING, 3, 3), (Outcome.NOTHING, 2, 2),
    ],
)  # fmt: skip
def test_success_raises_a_priority_and_failure_lowers_it(outcome: Outcome, before: float, after: float) -> None:
    turns = turns_of(memes=before)
    turns.tell("memes", outcome, 0, FEEDBACK)
    assert turns.standings["memes"].priority == after


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(0, 300)), max_size=60), st.floats(1, 10))
def test_a_priority_stays_within_its_bounds_whatever_comes(outcomes: list[tuple[Outcome, int]], priority: float) -> None:
    standing, now = Standing(priority), 0
    for outcome, seconds in outcomes:
        now += seconds * SECOND
        standing.tell(outcome, now, FEEDBACK)
        assert FEEDBACK.least <= standing.priority <= FEEDBACK.most
        assert standing.rests_until <= now + FEEDBACK.rest
        assert standing.failures < FEEDBACK.patience


def test_feedback_is_by_the_name_of_the_pod_and_a_token_is_none() -> None:
    """The origin told the token's symbol, no pod was found by it, and no feedback ever applied."""
    turns = turns_of(memes=5)
    with pytest.raises(InvalidMarket, match="'WIF/USD' is no pod: the pods are memes"):
        turns.tell("WIF/USD", Outcome.WON, 0, FEEDBACK)
    assert turns.standings["memes"].priority == 5


def test_two_failures_in_a_row_are_a_rest_and_one_is_not() -> None:
    turns = turns_of(majors=5, memes=5)
    turns.tell("majors", Outcome.FAILED, 0, FEEDBACK)
    assert take(turns, 0, count=2) == ("memes", "majors")
    turns.tell("majors", Outcome.LOST, 5 * SECOND, FEEDBACK)
    assert not turns.has("majors", 5 * SECOND), "it does not end the turn that it has"
    assert turns.has("memes", 5 * SECOND)
    assert take(turns, 5, count=2) == ("memes",)
    assert take(turns, 124, count=2) == ("memes",)
    assert set(take(turns, 129, count=2)) == {"majors", "memes"}


def test_a_win_between_two_failures_is_forgiveness() -> None:
    turns = turns_of(majors=5)
    for outcome in (Outcome.LOST, Outcome.WON, Outcome.LOST):
        turns.tell("majors", outcome, 0, FEEDBACK)
    assert take(turns, 0) == ("majors",)


def test_one_stop_is_a_rest() -> None:
    turns = turns_of(majors=5)
    turns.tell("majors", Outcome.STOPPED, 0, FEEDBACK)
    assert take(turns, 119) == ()
    assert take(turns, 124) == ("majors",)


def test_the_highest_priority_goes_first_and_among_equals_the_first_named() -> None:
    assert take(turns_of(a=5, b=7, c=7), 0) == ("b",)
    assert take(turns_of(a=5, b=7, c=7), 0, count=2) == ("b", "c")


def test_waiting_counts_a_point_a_minute_and_five_at_most() -> None:
    def second_turn(seconds: int, first: float) -> tuple[str, ...]:
        turns = turns_of(a=first, b=1)
        take(turns, 0, count=2)
        turns.standings["a"].turned_at = seconds * SECOND
        return take(turns, seconds)

    assert second_turn(59, 2) == ("a",)
    assert second_turn(61, 2) == ("b",)
    assert second_turn(299, 6) == ("a",)
    assert second_turn(10_000, 6.01) == ("a",), "however long it waits"


@pytest.mark.parametrize("every", [1, 3, 5])
def test_the_most_neglected_pod_has_its_turn_each_nth_scan_and_no_dice_are_rolled(every: int) -> None:
    """`low` can never win by priority: it is 9 behind, and waiting is worth 5."""
    turns = turns_of(high=10, low=1)
    had = []
    for scan in range(1, 31):
        turns.standings["high"].priority = 10
        if "low" in take(turns, 5 * scan, neglected_every=every):
            had.append(scan)
        assert turns.now[0] == "high"
    assert had == list(range(every, 31, every))


def test_each_pod_gets_its_turn_however_low_it_stands() -> None:
    turns = turns_of(**{f"p{n}": 10 if n == 0 else 1 for n in range(8)})
    seen: set[str] = set()
    for scan in range(40):
        turns.standings["p0"].priority = 10
        seen |= set(take(turns, 5 * scan, neglected_every=5))
    assert seen == set(turns.standings)


def test_a_turn_in_which_nothing_was_found_costs_half_a_point_and_one_without_a_price_nothing() -> None:
    turns = turns_of(majors=5)
    take(turns, 0)
    take(turns, 5)
    assert turns.standings["majors"].priority == 5, "no price of it was looked at"
    turns.standings["majors"].looked = True
    take(turns, 10)
    assert turns.standings["majors"].priority == 4.5


def test_a_turn_in_which_something_was_found_costs_nothing_and_the_next_is_judged_by_itself() -> None:
    turns = turns_of(majors=5)
    take(turns, 0)
    turns.standings["majors"].looked = True
    turns.tell("majors", Outcome.FOUND, 0, FEEDBACK)
    take(turns, 5)
    assert turns.standings["majors"].priority == 6
    take(turns, 10)
    assert turns.standings["majors"].priority == 6, "no price of it was looked at in this turn"
    turns.standings["majors"].looked = True
    take(turns, 15)
    assert turns.standings["majors"].priority == 5.5, "what was found in an earlier turn is no find of this one"


def test_after_a_win_its_turn_comes_as_if_it_had_never_had_one() -> None:
    """Both stand at the top; the winner has waited for five points at once, the other for one."""
    turns = turns_of(high=10, winner=10)
    for name, at in (("high", 40), ("winner", 90)):
        turns.standings[name].turned_at = at * SECOND
    assert take(turns, 100) == ("high",)
    turns.standings["high"].turned_at = 40 * SECOND
    turns.tell("winner", Outcome.WON, 100 * SECOND, FEEDBACK)
    assert take(turns, 105) == ("winner",)


def test_a_turn_lasts_as_long_as_it_is_said() -> None:
    turns = turns_of(majors=5)
    take(turns, 0)
    assert not turns.take(5 * SECOND - 1, FEEDBACK, count=1, length=5 * SECOND, neglected_every=5)
    assert turns.take(5 * SECOND, FEEDBACK, count=1, length=5 * SECOND, neglected_every=5)


# -- the stand -------------------------------------------------------------------------------------------------------------

EASY: dict[str, Any] = {"fee": "0.1%", "slip": "0.1%"}


def scalp(*markets: Instrument, budget: str = "1000", **changes: Any) -> Scalp:
    return Scalp([Pod("pod", markets or (A,), budget)], **(EASY | changes))


class Stand:
    """An engine with 1,000 coins at a desk. Prices are in price units, times in seconds since the start."""

    def __init__(self, engine: Scalp, money: str = "1000", *, allowance: Allowance | None = None) -> None:
        self.engine = engine
        self.vault = CoreVault(USD, total="1000000", tradeable="1000000")
        self.sleeve = self.vault.sleeve("scalp", QUIET, allocate=money)
        self.desk = Desk(self.vault, allowance=Allowance(0, 5_000) if allowance is None else allowance)
        self.desk.assign(engine, to=self.sleeve)
        self.answer = "fill"
        self.done: list[tuple[float, str, str, str]] = []
        self.orders: list[Order] = []
        self.time: float = 0

    @property
    def memory(self) -> ScalpMemory:
        memory: ScalpMemory = self.desk._seats["scalp"].memory
        return memory

    def watch(self, market: Instrument = A) -> Watch:
        return self.memory.watches[market.symbol]

    def at(self, second: float, price: int | tuple[int, int], volume: int = UNIT, *, market: Instrument = A) -> list[tuple[str, str]]:
        """Show a price, and answer the orders; what the engine asked for, as (side, why)."""
        bid, ask = price if isinstance(price, tuple) else (price, price)
        self.time = max(self.time, second)
        return self.carry(self.desk.quote(self.desk.index(market), START + round(second * SECOND), bid, ask, volume), second)

    def read(self, second: float, topic: str, value: float, *, old: float = 0) -> list[tuple[str, str]]:
        return self.carry(self.desk.step(Reading(topic, START + round((second - old) * SECOND), value)), second)

    def carry(self, commands: Sequence[Command], second: float) -> list[tuple[str, str]]:
        found = []
        for command in commands:
            assert isinstance(command, SubmitOrder)
            place = command.order.place
            found.append((place.side.value, place.why))
            self.done.append((second, place.side.value, place.why, place.instrument.symbol))
            self.orders.append(command.order)
            if self.answer == "fill":
                self.fill(command.order)
            elif self.answer == "reject":
                self.desk.step(Rejected(command.order.id, self.desk.books.now, "post office closed"))
            elif self.answer == "cancel":
                self.desk.step(Canceled(command.order.id, self.desk.books.now))
        return found

    def fill(self, order: Order, price: int | None = None, qty: int | None = None) -> None:
        place = order.place
        book = self.desk._boards[place.instrument.symbol]
        buy = place.side is Side.BUY
        price = price or (book.ask if buy else book.bid)
        qty = qty or place.qty
        cost = place.instrument.cost(price, qty, Rounding.CEIL if buy else Rounding.FLOOR)
        now, trade = self.desk.books.now, f"{order.id}-{price}-{qty}"
        self.desk.step(Fill(order.id, now, place.instrument, place.side, qty, price, cost, USD.zero, Liquidity.TAKER, trade, "sim"))

    def calm(self, *markets: Instrument, price: int = 10_000, seconds: int = CALM, volume: int = UNIT, by: int = 5) -> Stand:
        """A price a step of each, up and down a little, up to `seconds` later."""
        start = self.time + (STEP if self.done or self.time else 0)
        for n in range(seconds // STEP + 1):
            for market in markets or (A,):
                assert self.at(start + n * STEP, price + by * (n % 2), volume, market=market) == []
        return self

    def bought(self, price: int = 10_300, *, market: Instrument = A) -> Stand:
        """A burst with volume, bought at that price."""
        assert self.at(self.time + STEP, price, 20 * UNIT, market=market) == BOUGHT
        return self

    def why_not(self) -> str:
        return dict(self.engine.saw(self.memory)).get("why not", "")

    def confidence(self) -> float:
        found = re.search(r"confidence (\S+),", dict(self.engine.saw(self.memory))["best"])
        assert found is not None
        return float(found.group(1))

    def refusals(self) -> list[Refusal]:
        return [record for record in self.desk.books.journal if isinstance(record, Refusal)]


BOUGHT = [("buy", "burst")]
TAKEN, STOPPED, TRAILED, TIMED = ([("sell", why)] for why in ("take", "stop", "trail", "time"))
AT = CALM + STEP  # when `bought` has bought
COST = 10_300


def holding(**changes: Any) -> Stand:
    """Bought at 103.00 after a burst, with the whole stake; fees apart the position is worth what it cost."""
    return Stand(scalp(A, B, **changes)).calm().bought()


# -- buying ----------------------------------------------------------------------------------------------------------------


def test_it_buys_a_burst_with_volume_and_nothing_before() -> None:
    stand = Stand(scalp()).calm()
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    assert stand.sleeve.position(A) == SOL("4.83")  # half of the budget, 500 coins, at 103.51: what an order at market might have to pay
    (order,) = stand.orders
    assert order.place.tif is TimeInForce.IOC
    assert order.place.limit == 10_310, "0.1% above the ask, down to the tick"
    assert order.place.expect == int(A.cost(10_300, order.place.qty, Rounding.FLOOR) * min(0.02, 0.5 * (10_300 / 10_005 - 1)))


def test_the_coins_and_their_worth_never_pass_what_the_stake_the_budget_and_the_free_money_allow() -> None:
    for changes, money, most in (
        ({}, "1000", 500),
        ({"stake": "100%"}, "1000", 1000),
        ({"stake": "100%"}, "250", 250),
        ({"stake": "7%"}, "1000", 70),
    ):
        stand = Stand(scalp(**changes), money, allowance=Allowance()).calm()
        assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
        (placed,) = [record for record in stand.desk.books.journal if isinstance(record, Placed)]
        held = A.cost(10_351, placed.order.place.qty, Rounding.CEIL) * 1_004 // 1_000 / 10**6
        assert most - 1 < held <= most


@pytest.mark.parametrize(("up", "bought"), [(10_000 * 1e-9, False), (-10_000 * 1e-9, True)])
def test_it_buys_from_min_confidence_on(up: float, bought: bool) -> None:
    """The confidence that this very path has, told by the formula and not by the engine."""
    prices = [*calm(volume=UNIT), (AT, 10_120, 8 * UNIT)]
    _, z, surge = oracle(prices, 30)
    assert surge is not None
    confidence = ((z - 2) / (20 - 2)) ** 0.5 * ((surge - 1) / 4) ** 0.3
    assert 0.4 < confidence < 0.5
    stand = Stand(scalp(momentum=Momentum(strong=20.0), min_confidence=confidence + up)).calm()
    assert stand.at(AT, 10_120, 8 * UNIT) == (BOUGHT if bought else [])
    assert stand.why_not() == ("" if bought else "too little confidence")


@pytest.mark.parametrize(("spread", "bought"), [(50, True), (52, False)])
def test_it_buys_up_to_a_spread_of_its_cap(spread: int, bought: bool) -> None:
    """0.5% of the middle of 103.00; the prices before had a spread too, so that the middle moves as it did."""
    stand = Stand(scalp(momentum=Momentum(spread="0.4855%"), min_confidence="10%", wake_confidence="10%"))
    for n in range(CALM // STEP + 1):
        middle = 10_000 + 5 * (n % 2)
        assert stand.at(n * STEP, (middle - spread // 2, middle + spread // 2)) == []
    assert stand.at(AT, (10_300 - spread // 2, 10_300 + spread // 2), 20 * UNIT) == (BOUGHT if bought else [])
    assert stand.why_not() == ("" if bought else "the spread is beyond its cap")


@pytest.mark.parametrize(
    ("fee", "slip", "follow", "price", "bought"),
    [
        ("0.1%", "0.1%", "50%", 10_086, True),  # half of 0.81% is more than 0.4%
        ("0.1%", "0.1%", "50%", 10_085, False),  # half of 0.7996% is not
        ("0.4%", "0.2%", "50%", 10_246, True),  # 2.41%
        ("0.4%", "0.2%", "50%", 10_245, False),  # 2.399%
        ("0.4%", "0.2%", "100%", 10_126, True),
        ("0.4%", "0.2%", "100%", 10_125, False),
        ("0%", "0%", "50%", 10_020, True),
    ],
)
def test_it_buys_when_the_move_that_is_expected_is_worth_more_than_the_round_trip(
    fee: str, slip: str, follow: str, price: int, bought: bool
) -> None:
    """The price a window ago was 100.05."""
    loose = {"momentum": Momentum(calm=0.0, strong=0.5), "min_confidence": "50%"}
    stand = Stand(scalp(fee=fee, slip=slip, follow=follow, **loose)).calm()
    assert stand.at(AT, price, 20 * UNIT) == (BOUGHT if bought else [])
    assert stand.why_not() == ("" if bought else "the move that is expected costs more than it brings")


def test_no_more_is_expected_of_a_move_than_its_exit_takes() -> None:
    """A jump of 50% is not a gain of 25%: it is sold at +2%, and a round trip of 2.2% eats that."""
    assert Stand(scalp(fee="1%")).calm().at(AT, 15_000, 20 * UNIT) == []
    assert Stand(scalp(fee="0.8%")).calm().at(AT, 15_000, 20 * UNIT) == BOUGHT


def test_the_spread_is_part_of_what_a_round_trip_costs() -> None:
    loose = {"momentum": Momentum(calm=0.0, strong=0.5), "min_confidence": "50%"}
    for spread, bought in ((0, True), (4, False)):
        stand = Stand(scalp(**loose))
        for n in range(CALM // STEP + 1):
            middle = 10_000 + 5 * (n % 2)
            stand.at(n * STEP, (middle - spread // 2, middle + spread // 2))
        assert (stand.at(AT, (10_087 - spread // 2, 10_087 + spread // 2), 20 * UNIT) == BOUGHT) is bought


def test_a_fall_is_never_bought_and_nothing_is_ever_sold_short() -> None:
    stand = Stand(scalp()).calm()
    for n in range(1, 40):
        assert stand.at(CALM + STEP * n, 10_000 - 50 * n, 20 * UNIT) == []
    with pytest.raises(InvalidMarket, match="is a contract"):
        Pod("perps", [Instrument("SOL-PERP", base=SOL, quote=USD, kind=Kind.PERP)], "10")


def test_it_buys_no_less_than_the_least_order_and_a_quarter_more_than_the_venue_takes() -> None:
    """What has fallen by its stop must still be worth the venue's least order."""
    least = Instrument("LST/USD", base=SOL, quote=USD, tick="0.01", lot="0.001", min_notional="80")
    for market, money, bought in ((A, "9.9", False), (A, "10.2", True), (least, "99", False), (least, "101.5", True)):
        stand = Stand(Scalp([Pod("pod", [market], "1000")], **EASY, stake="100%"), money).calm(market)
        assert (stand.at(AT, 10_300, 20 * UNIT, market=market) == BOUGHT) is bought, (market, money)
        assert not stand.refusals()
        if not bought:
            assert stand.why_not() == "the budget or the money does not reach for an order"


@pytest.mark.parametrize(("money", "bought"), [("128", False), ("131", True)])
def test_it_buys_a_quarter_more_than_the_venues_least_quantity(money: str, bought: bool) -> None:
    """1.25 coins at 103.51 are 129.39."""
    whole = Instrument("BIG/USD", base=SOL, quote=USD, tick="0.01", lot="0.001", min_qty="1")
    stand = Stand(Scalp([Pod("pod", [whole], "1000")], **EASY, stake="100%"), money).calm(whole)
    assert (stand.at(AT, 10_300, 20 * UNIT, market=whole) == BOUGHT) is bought


def test_it_buys_no_second_time_while_the_first_is_under_way_or_held() -> None:
    stand = Stand(scalp()).calm()
    stand.answer = "nothing"
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    assert stand.at(AT + 5, 10_400, 20 * UNIT) == []
    stand.fill(stand.orders[0])
    assert stand.at(AT + 10, 10_400, 20 * UNIT) == []
    assert not stand.refusals()


def test_while_an_entry_is_open_nothing_has_come_of_it_yet() -> None:
    stand = Stand(scalp()).calm()
    stand.answer = "nothing"
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    for n in range(1, 5):
        assert stand.at(AT + n, 10_300) == []
    assert stand.memory.turns.standings["pod"].failures == 0
    stand.desk.step(Canceled(stand.orders[0].id, stand.desk.books.now))
    stand.at(AT + 5, 10_300)
    assert stand.memory.turns.standings["pod"].failures == 1


@pytest.mark.parametrize(("age", "bought"), [(10, True), (10.1, False)])
def test_what_moved_while_it_was_not_asked_is_bought_only_while_that_price_is_fresh(age: float, bought: bool) -> None:
    stand = Stand(scalp(A, B, every=MINUTE, momentum=Momentum(window=MINUTE, history=2 * HOUR, least=5)))
    for n in range(0, 1_800, 60):
        stand.at(n, 10_000 + 5 * (n // 60 % 2))
        stand.at(n + 55, 10_000 + 5 * (n // 60 % 2), market=B)
        stand.at(n + 57, 10_000 + 5 * (n // 60 % 2), market=B)
    stand.at(1_800, 10_000)
    stand.at(1_860 - age - 1, 10_005, market=B)
    stand.at(1_860 - age, 10_300, 90 * UNIT, market=B)
    assert stand.at(1_860, 10_000) == (BOUGHT if bought else [])


def test_a_limit_beyond_what_the_desk_sets_aside_at_market_still_fits_its_hold() -> None:
    """1% of slippage where the desk reckons with none, and a fee of 0.4% on all of it: less is bought, and nothing is refused."""
    stand = Stand(scalp(budget="5000", stake="100%", slip="1%", fee="0%", take="4%"), "1000", allowance=Allowance(4_000, 0)).calm()
    assert stand.at(AT, 10_600, 20 * UNIT) == BOUGHT
    assert not stand.refusals()
    limit, qty = stand.orders[0].place.limit, stand.orders[0].place.qty
    assert limit == 10_706
    assert 999 * 10**6 < A.cost(limit, qty, Rounding.CEIL) * 1_004 // 1_000 <= 1_000 * 10**6


def test_an_instrument_is_bought_at_its_own_new_price_only() -> None:
    """The burst came while all slots were taken; a price of another instrument frees one and is no reason to buy this one."""
    stand = Stand(scalp(A, B, most_open=1, stake="20%")).calm(A, B)
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == BOUGHT
    assert stand.at(AT, 10_300, 20 * UNIT) == []
    assert stand.why_not() == "as many positions are open as may be"
    assert stand.at(AT + 1, 10_600, market=B) == TAKEN
    assert stand.at(AT + 2, 10_600, market=B) == []
    assert stand.at(AT + 3, 10_310, 20 * UNIT) == BOUGHT


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_positions_are_open_than_may_be(most: int) -> None:
    stand = Stand(scalp(A, B, C, most_open=most, stake="20%")).calm(A, B, C)
    bought = [stand.at(AT, 10_300, 20 * UNIT, market=market) == BOUGHT for market in (A, B, C)]
    assert bought == [n < most for n in range(3)]
    assert not stand.refusals()


def test_an_order_that_is_open_counts_as_a_position() -> None:
    stand = Stand(scalp(A, B, most_open=1, stake="20%")).calm(A, B)
    stand.answer = "nothing"
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == []


def test_a_pod_spends_no_more_than_its_budget_and_another_pod_has_its_own() -> None:
    """At 60% a stake the second position of a pod gets what is left, and a third nothing."""
    pods = [Pod("one", [A, B, C], "100"), Pod("two", [BTCUSD], "50")]
    stand = Stand(Scalp(pods, **EASY, stake="60%", most_open=9)).calm(A, B, C, BTCUSD)
    for market, bought in ((A, True), (B, True), (C, False), (BTCUSD, True)):
        assert (stand.at(AT, 10_300, 20 * UNIT, market=market) == BOUGHT) is bought
        if not bought:
            assert stand.why_not() == "the budget or the money does not reach for an order"
    costs = [stand.sleeve.open_cost_units(market) / 10**6 for market in (A, B, C, BTCUSD)]
    assert costs == pytest.approx([59.7, 40.1, 0, 29.8], abs=0.2)
    assert sum(costs[:3]) <= 100


BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_qty="0.0001")


def test_what_an_open_order_sets_aside_counts_in_its_pods_budget() -> None:
    stand = Stand(Scalp([Pod("one", [A, B], "100")], **EASY, stake="60%")).calm(A, B)
    stand.answer = "nothing"
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == BOUGHT
    held = [stand.desk.books.ledger.units(Account("scalp", Role.HELD, order.id), USD) for order in stand.orders]
    assert sum(held) <= 100 * 10**6
    assert held[0] > 59 * 10**6


def test_of_several_that_moved_since_it_last_looked_the_best_is_bought_first() -> None:
    """Where `every` lets prices pass by, one decision sees several new ones; it asks for one at a time."""
    stand = Stand(scalp(A, B, C, every=5 * SECOND, stake="20%", momentum=Momentum(strong=90.0), min_confidence="10%"))
    for n in range(CALM // STEP):
        for market in (A, B, C):
            assert stand.at(n * STEP, 10_000 + 5 * (n % 2), market=market) == []
    stand.at(CALM + 1, 10_005, market=A)
    stand.at(CALM + 2, 10_250, 9 * UNIT, market=B)
    stand.at(CALM + 3, 10_300, 9 * UNIT, market=C)
    stand.at(CALM + 6, 10_005, market=A)
    assert stand.done[-1][1:] == ("buy", "burst", "ETH/USD")
    assert len(stand.done) == 1
    assert stand.engine.saw(stand.memory)["best"].startswith("WIF/USD")
    assert stand.why_not() == "another was bought first, and it is one at a time"


# -- outside readings --------------------------------------------------------------------------------------------------------

FEAR = Sentiment("fear-and-greed", low=20, high=80, age=HOUR)


def test_a_market_wide_reading_makes_nothing_enter_that_has_no_move_of_its_own() -> None:
    """The origin's signal was the market's mood: all entered, or none did."""
    stand = Stand(scalp(A, B, C, sentiments=[Sentiment("fear-and-greed", 20, 80, HOUR, weight=100)])).calm(A, B, C)
    assert stand.read(AT, "fear-and-greed", 100) == []
    assert stand.at(AT, 10_000, 20 * UNIT) == []
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == BOUGHT
    assert stand.at(AT, 10_005, 20 * UNIT, market=C) == []
    assert [symbol for *_, symbol in stand.done] == ["WIF/USD"]


def test_two_instruments_at_one_instant_have_a_confidence_each() -> None:
    stand = Stand(scalp(A, B, sentiments=[FEAR])).calm(A, B)
    stand.read(AT, "fear-and-greed", 50)
    told = []
    for market, price in ((A, 10_060), (B, 10_001)):
        stand.memory.glance = None
        stand.at(AT, price, 20 * UNIT, market=market)
        told.append(stand.confidence())
    assert told[0] > 0.5
    assert told[1] == 0


@pytest.mark.parametrize(
    ("reading", "confidence"),
    [
        (None, 0.81),  # as if there were no such input
        ((80, 0), 0.87), ((200, 0), 0.87), ((50, 0), 0.69), ((20, 0), 0.0), ((-5, 0), 0.0),
        ((80, 3_599), 0.87), ((80, 3_600), 0.87), ((80, 3_601), 0.81), ((20, 3_601), 0.81), ((20, -1), 0.81),
    ],
    ids=str,
)  # fmt: skip
def test_a_reading_is_one_more_input_while_it_is_fresh_and_absent_when_it_is_not(
    reading: tuple[float, float] | None, confidence: float
) -> None:
    """Volume alone keeps confidence below one here: (0.5 ** 0.3) ** (1 / 1.0) without a reading, ** (1 / 1.5) with one at its high."""
    momentum = Momentum(surge=3.4)
    stand = Stand(scalp(momentum=momentum, sentiments=[FEAR], follow=0.0001)).calm()
    if reading is not None:
        value, old = reading
        stand.read(CALM, "fear-and-greed", value, old=old - STEP)
    stand.at(AT, 10_300, UNIT * 8)
    assert stand.confidence() == pytest.approx(confidence, abs=0.006)


def test_a_reading_about_one_instrument_is_no_input_of_another() -> None:
    stand = Stand(scalp(A, B, sentiments=[Sentiment("mood", 0, 1, HOUR, about=A)], stake="20%")).calm(A, B)
    stand.read(AT, "mood", 0)
    assert stand.at(AT, 10_300, 20 * UNIT) == []
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == BOUGHT


def test_a_reading_alone_wakes_the_engine_and_buys_nothing() -> None:
    """It holds back what has moved; lifted, it counts at the next price of that instrument."""
    stand = Stand(scalp(sentiments=[FEAR])).calm()
    stand.read(AT, "fear-and-greed", 0)
    assert stand.at(AT, 10_300, 20 * UNIT) == []
    assert stand.read(AT + 1, "fear-and-greed", 90) == []
    assert stand.at(AT + 2, 10_300, 0) == BOUGHT


def test_without_any_reading_it_is_the_engine_without_such_an_input() -> None:
    with_, without = (Stand(scalp(sentiments=sentiments)).calm() for sentiments in ((FEAR,), ()))
    for stand in (with_, without):
        stand.at(AT, 10_300, 20 * UNIT)
        stand.at(AT + 5, 10_510)
    assert with_.done == without.done != []
    assert with_.memory == without.memory


# -- selling -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "done"), [(10_506, TAKEN), (10_505, []), (10_600, TAKEN), (10_197, STOPPED), (10_198, []), (9_000, STOPPED)]
)
def test_it_takes_a_gain_of_2_percent_and_stops_a_loss_of_1_percent_fees_apart(price: int, done: list[tuple[str, str]]) -> None:
    """Of a cost of 103.00: 105.06 and 101.97. At once, also before `hold_least`."""
    stand = holding()
    assert stand.at(AT + 1, price) == done
    assert bool(stand.sleeve.is_flat()) is bool(done)


def test_a_gain_is_what_a_sale_at_the_bid_brings_over_what_was_paid() -> None:
    stand = Stand(scalp(A, B)).calm()
    stand.answer = "nothing"
    stand.at(AT, 10_300, 20 * UNIT)
    stand.fill(stand.orders[0], price=10_310)
    stand.answer = "fill"
    assert stand.at(AT + 1, (10_510, 10_530)) == []  # 105.162 is 2% above 103.10
    assert stand.at(AT + 2, (10_516, 10_600)) == []
    assert stand.at(AT + 3, (10_517, 10_600)) == TAKEN


@pytest.mark.parametrize(
    ("high", "low", "done"),
    [
        (10_403, 10_350, TRAILED),  # +1%, then 0.51% off the high
        (10_403, 10_351, TRAILED),  # 103.51 is 0.4999...% off: 104.03 x 0.995 is 103.50985
        (10_403, 10_352, []),
        (10_402, 10_300, []),  # never armed
        (10_500, 10_447, TRAILED),
        (10_500, 10_448, []),
    ],
)
def test_it_sells_on_a_turn_from_the_high_once_the_gain_has_armed_it(high: int, low: int, done: list[tuple[str, str]]) -> None:
    expected = TRAILED if low <= high * 0.995 and high >= 10_403 else []
    assert holding_turn(high, low) == expected


def holding_turn(high: int, low: int, **changes: Any) -> list[tuple[str, str]]:
    stand = holding(**changes)
    assert stand.at(AT + 20, high) == []
    return stand.at(AT + 40, low)


@pytest.mark.parametrize(("seconds", "done"), [(29, []), (30, TRAILED)])
def test_a_turn_is_no_reason_to_sell_before_hold_least(seconds: int, done: list[tuple[str, str]]) -> None:
    stand = holding()
    assert stand.at(AT + 10, 10_450) == []
    assert stand.at(AT + seconds, 10_350) == done
    assert stand.at(AT + 31, 10_350) == ([] if done else TRAILED)


@pytest.mark.parametrize(("seconds", "done"), [(299, []), (300, TIMED), (400, TIMED)])
def test_it_sells_after_hold_most_in_any_case(seconds: int, done: list[tuple[str, str]]) -> None:
    stand = holding()
    assert stand.at(AT + 100, 10_310) == []
    assert stand.at(AT + seconds, 10_310) == done


def test_it_is_held_from_the_order_on_not_from_the_next_price() -> None:
    stand = holding(hold_most=60 * SECOND, hold_least=0)
    assert stand.at(AT + 59.9, 10_310) == []
    assert stand.at(AT + 60, 10_310) == TIMED


def test_the_high_and_the_arming_are_of_this_position_not_of_the_one_before() -> None:
    stand = holding(hibernate=0, min_confidence="5%", wake_confidence="5%")
    assert stand.at(AT + 10, 10_480) == []
    assert stand.at(AT + 40, 10_400) == TRAILED
    stand.calm(price=10_000, seconds=CALM)
    at = stand.time
    assert stand.at(at + 5, 10_300, 20 * UNIT) == BOUGHT
    assert stand.at(at + 36, 10_310) == []
    assert stand.at(at + 40, 10_250) == [], "sold on the turn from a high of another position"


def test_exits_of_a_silent_instrument_go_out_at_prices_of_others() -> None:
    stand = holding(hold_most=40 * SECOND)
    assert stand.at(AT + 20, 10_000, market=B) == []
    assert stand.at(AT + 39, 10_000, market=B) == []
    assert stand.at(AT + 40, 10_000, market=B) == TIMED
    assert stand.done[-1][-1] == "SOL/USD"


def test_on_a_price_too_old_for_the_desk_nothing_is_sold_and_the_next_price_sells_it() -> None:
    """It is not asked for, for the desk would refuse it: `stale_price`; telemetry says that it waits."""
    stand = holding(hold_most=40 * SECOND)
    for second in (61, 70, 200):
        assert stand.at(AT + second, 10_000, market=B) == []
        assert stand.engine.saw(stand.memory)["waits for a price"] == "SOL/USD to be sold (time)"
    assert not stand.refusals()
    assert stand.at(AT + 201, 10_320) == TIMED
    assert "waits for a price" not in stand.engine.saw(stand.memory)


def test_what_a_late_fill_sold_waits_no_longer() -> None:
    """Its sale was told canceled, and had been filled: the fact comes later, and is what the view shows."""
    stand = holding()
    stand.answer = "nothing"
    assert stand.at(AT + 1, 10_600) == TAKEN
    order = stand.orders[-1]
    stand.desk.step(Canceled(order.id, stand.desk.books.now))
    assert stand.at(AT + 62, 10_000, market=B) == []
    assert stand.engine.saw(stand.memory)["waits for a price"] == "SOL/USD to be sold (take)"
    stand.fill(order, price=10_600)
    assert stand.at(AT + 63, 10_000, market=B) == []
    assert "waits for a price" not in stand.engine.saw(stand.memory)
    assert priority(stand) == 10


def test_a_stop_is_not_seen_on_a_price_that_is_too_old() -> None:
    """The last price was above the stop; what it is now nobody knows, and no decision is made of it."""
    stand = holding(hold_most=HOUR)
    assert stand.at(AT + 1, 10_210) == []
    assert stand.at(AT + 300, 9_000, market=B) == []
    assert stand.at(AT + 301, 9_000) == STOPPED


def test_the_desk_itself_would_refuse_a_sale_on_such_a_price() -> None:
    stand = holding(hold_most=HOUR)
    stand.at(AT + 300, 10_000, market=B)
    refusal = stand.desk.order(stand.sleeve, Place(A, Side.SELL, stand.sleeve.position(A).units, reduce_only=True), by="test")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "stale_price"


def test_exits_are_reduce_only_at_market_and_of_the_whole_position() -> None:
    stand = holding()
    owned = stand.sleeve.position(A).units
    stand.at(AT + 1, 10_600)
    place = stand.orders[-1].place
    assert (place.side, place.qty, place.limit, place.stop, place.reduce_only) == (Side.SELL, owned, None, None, True)
    assert stand.sleeve.is_flat()


@pytest.mark.parametrize("answer", ["reject", "cancel"])
def test_a_sale_that_failed_is_tried_again_until_the_position_is_gone(answer: str) -> None:
    """The origin dropped the position from its tracking even if the sell had failed, and held it for ever."""
    stand = holding()
    stand.answer = answer
    for n in range(5):
        assert stand.at(AT + 1 + n, 10_190) == STOPPED
        assert not stand.sleeve.is_flat()
    assert stand.at(AT + 6, 10_300) == STOPPED, "a stop that was decided stands, also when the price has come back"
    stand.answer = "fill"
    assert stand.at(AT + 7, 10_300) == STOPPED
    assert stand.sleeve.is_flat()
    assert stand.at(AT + 8, 10_300) == []


def test_a_sale_that_failed_is_tried_again_no_more_often_than_retry() -> None:
    stand = holding(retry=2 * SECOND)
    stand.answer = "reject"
    assert [bool(stand.at(AT + 1 + n / 2, 10_190)) for n in range(9)] == [True, False, False, False, True, False, False, False, True]


def test_what_a_partial_sale_left_is_sold_too() -> None:
    stand = holding()
    stand.answer = "nothing"
    assert stand.at(AT + 1, 10_190) == STOPPED
    order = stand.orders[-1]
    stand.fill(order, qty=A.qty("2"))
    assert stand.at(AT + 2, 10_190) == [], "the rest of it is still open"
    stand.desk.step(Canceled(order.id, stand.desk.books.now))
    stand.answer = "fill"
    assert stand.at(AT + 3, 10_190) == STOPPED
    assert stand.orders[-1].place.qty == order.place.qty - A.qty("2")
    assert stand.sleeve.is_flat()


def test_a_position_that_it_did_not_ask_for_is_looked_after_like_its_own() -> None:
    """After a restart memory is fresh, and a human may have bought: the view says what is there. Time counts from then on."""
    stand = Stand(scalp()).calm()
    stand.carry(list(stand.desk.order(stand.sleeve, Place(A, Side.BUY, A.qty("1")), by="human")), 0)
    assert stand.watch().since == -1
    assert stand.at(CALM + 10, 10_005) == []
    assert stand.at(CALM + 309, 10_005) == []
    assert stand.at(CALM + 310, 10_005) == TIMED


def test_coins_below_the_least_order_are_dust_and_no_position() -> None:
    dusty = Instrument("DST/USD", base=SOL, quote=USD, tick="0.01", lot="0.001", min_qty="0.1")
    stand = Stand(Scalp([Pod("pod", [dusty], "1000")], **EASY)).calm(dusty)
    stand.answer = "nothing"
    assert stand.at(AT, 10_300, 20 * UNIT, market=dusty) == BOUGHT
    stand.fill(stand.orders[0], qty=dusty.qty("0.099"))
    stand.desk.step(Canceled(stand.orders[0].id, stand.desk.books.now))
    assert stand.at(AT + 400, 10_300, market=dusty) == []
    assert stand.watch(dusty).since == -1
    assert "waits for a price" not in stand.engine.saw(stand.memory)
    assert stand.memory.turns.standings["pod"].failures == 1, "nothing that could be sold came of the order"
    assert not stand.refusals()


# -- what comes of it: pods, rest, hibernation -------------------------------------------------------------------------------


def priority(stand: Stand) -> float:
    return stand.memory.turns.standings["pod"].priority


def test_a_win_puts_its_pod_to_the_top() -> None:
    stand = holding()
    stand.at(AT + 1, 10_600)
    stand.at(AT + 2, 10_600)
    assert priority(stand) == 10


@pytest.mark.parametrize(("price", "won"), [(10_321, True), (10_320, False), (10_310, False), (10_250, False)])
def test_a_win_is_a_gain_beyond_two_fees(price: int, won: bool) -> None:
    """Two fees of 0.1%: 103.206."""
    stand = holding()
    before = priority(stand)
    assert stand.at(AT + 300, price) == TIMED
    before = priority(stand)
    stand.at(AT + 301, 10_005)
    assert priority(stand) == (10 if won else before - 1)


@pytest.mark.parametrize("answer", ["reject", "cancel"])
def test_an_entry_of_which_nothing_came_is_a_failure_and_two_are_a_rest(answer: str) -> None:
    stand = Stand(scalp()).calm()
    stand.answer = answer
    before = priority(stand)
    assert stand.at(AT, 10_300, 20 * UNIT) == BOUGHT
    assert priority(stand) == before + 1
    assert stand.at(AT + 1, 10_301, 20 * UNIT) == BOUGHT  # a failure of the first, and the second at once
    assert priority(stand) == before + 1
    assert stand.at(AT + 2, 10_302, 20 * UNIT) == []
    stand.answer = "fill"
    assert stand.at(AT + 121.9, 11_300, 20 * UNIT) == [], "it rests for two minutes"
    assert stand.at(AT + 122, 11_300, 200 * UNIT) == BOUGHT


def test_a_gate_that_refuses_counts_like_a_venue_that_does() -> None:
    stand = Stand(scalp()).calm()
    stand.vault.pause()
    before = priority(stand)
    assert stand.at(AT, 10_300, 20 * UNIT) == []
    assert len(stand.refusals()) == 1
    assert stand.at(AT + 1, 10_000) == []
    assert priority(stand) == before + 1 - 1
    assert stand.memory.turns.standings["pod"].failures == 1


def stopped(**changes: Any) -> Stand:
    stand = holding(**({"hibernate": 10 * MINUTE, "feedback": Feedback(rest=0)} | changes))
    assert stand.at(AT + 1, 10_190) == STOPPED
    assert stand.at(AT + 2, 10_190) == []
    return stand


def test_a_stop_lowers_its_pod_twice_and_sends_it_to_rest() -> None:
    stand = stopped(feedback=Feedback())
    assert priority(stand) == 3 + 1 - 2
    assert not stand.memory.turns.has("pod", stand.desk.books.now)


@pytest.mark.parametrize(("second", "bought"), [(301, False), (601.9, False), (602, True)])
def test_an_instrument_hibernates_after_a_stop(second: float, bought: bool) -> None:
    """From when the position is gone, a second after the sale was asked for."""
    stand = stopped()
    for n in range(1, int((second - 2) // STEP)):
        stand.at(AT + 2 + n * STEP, 10_000 + 5 * (n % 2))
    assert stand.at(AT + second, 10_400, 20 * UNIT) == (BOUGHT if bought else [])
    assert stand.why_not() == ("" if bought else "it rests after a sale, and longer after a stop")


@pytest.mark.parametrize(("second", "bought"), [(31.9, False), (32, True)])
def test_one_burst_is_bought_once(second: float, bought: bool) -> None:
    """After a sale with a gain a window must pass before what is measured is a new move."""
    stand = holding()
    assert stand.at(AT + 1, 10_600) == TAKEN
    assert stand.at(AT + 2, 10_800, 20 * UNIT) == []
    assert stand.why_not() == "it rests after a sale, and longer after a stop"
    assert stand.at(AT + second, 13_500, 90 * UNIT) == (BOUGHT if bought else [])


def test_another_instrument_of_the_pod_does_not_hibernate_with_it() -> None:
    stand = Stand(scalp(A, B, feedback=Feedback(rest=0))).calm(A, B).bought()
    assert stand.at(AT + 1, 10_190) == STOPPED
    stand.at(AT + 2, 10_190)
    assert stand.at(AT + 3, 10_300, 20 * UNIT, market=B) == BOUGHT


def test_after_its_sleep_it_is_bought_again_only_when_confidence_is_back() -> None:
    """What was confidence enough before the stop is not after it, until it once was more."""
    rules = {"momentum": Momentum(strong=20.0), "min_confidence": "25%", "wake_confidence": "50%", "stop": "0.5%", "hibernate": MINUTE}
    stand = Stand(scalp(A, B, feedback=Feedback(rest=0), **rules)).calm()

    def burst_of(price: int) -> list[tuple[str, str]]:
        stand.calm(seconds=CALM * 3)
        return stand.at(stand.time + STEP, price, 8 * UNIT)

    assert burst_of(10_120) == BOUGHT
    assert stand.at(stand.time + 1, 10_000) == STOPPED
    assert burst_of(10_120) == []
    assert stand.why_not() == "too little confidence"
    assert burst_of(10_400) == BOUGHT
    assert stand.at(stand.time + 1, 10_700) == TAKEN
    assert burst_of(10_120) == BOUGHT


def test_a_position_that_a_human_closed_is_neither_a_win_nor_a_loss() -> None:
    stand = holding()
    assert stand.at(AT + 0.5, 10_300) == []
    before = priority(stand)
    closed = stand.desk.close(stand.sleeve, A, by="human")
    assert not isinstance(closed, Refusal)
    stand.carry(closed, AT)
    assert stand.at(AT + 1, 10_000) == []
    assert priority(stand) == before
    assert stand.watch().since == -1


def test_what_fell_below_the_venues_least_order_counts_as_a_stop() -> None:
    """A gap of 30% left less than the venue takes: it cannot be sold, and is not bought again soon."""
    least = Instrument("LST/USD", base=SOL, quote=USD, tick="0.01", lot="0.001", min_notional="80")
    stand = Stand(Scalp([Pod("pod", [least], "100")], **EASY, stake="100%", momentum=Momentum()), "110").calm(least)
    assert stand.at(AT, 10_300, 20 * UNIT, market=least) == []  # 100 coins of budget do not reach for 100 and allowances
    stand = Stand(Scalp([Pod("pod", [least], "102")], **EASY, stake="100%"), "110").calm(least)
    assert stand.at(AT, 10_300, 20 * UNIT, market=least) == BOUGHT
    assert stand.at(AT + 1, 10_300, market=least) == []
    assert stand.at(AT + 2, 7_000, market=least) == []
    assert stand.memory.turns.standings["pod"].rests_until > 0
    assert stand.watch(least).asleep_until > 0
    assert not stand.refusals()


def test_each_pod_is_told_what_came_of_its_own_instruments() -> None:
    pods = [Pod("majors", [A], "500", priority=6), Pod("memes", [B], "500", priority=6)]
    stand = Stand(Scalp(pods, **EASY)).calm(A, B).bought()
    stand.at(AT + 1, 10_600)
    stand.at(AT + 2, 10_600, market=B)
    stands = stand.memory.turns.standings
    assert stands["majors"].priority == 10
    assert stands["memes"].priority < 6


def test_only_the_pod_that_has_its_turn_may_buy() -> None:
    pods = [Pod("high", [A], "500", priority=10), Pod("low", [B], "500", priority=1)]
    stand = Stand(Scalp(pods, **EASY, turns=1, turn=HOUR, neglected_every=100)).calm(A, B)
    assert stand.engine.saw(stand.memory)["turn"] == "high"
    assert stand.at(AT, 10_300, 20 * UNIT, market=B) == []
    assert stand.at(AT, 10_300, 20 * UNIT, market=A) == BOUGHT
    assert stand.at(AT + 1, 10_190, market=A) == STOPPED, "exits wait for no turn"


def test_an_exit_waits_for_no_turn() -> None:
    pods = [Pod("high", [A], "500", priority=1), Pod("low", [B], "500", priority=10)]
    stand = Stand(Scalp(pods, **EASY, turns=1, turn=HOUR, neglected_every=100)).calm(A, B)
    stand.carry(list(stand.desk.order(stand.sleeve, Place(A, Side.BUY, A.qty("1")), by="human")), 0)
    assert stand.engine.saw(stand.memory)["turn"] == "low"
    assert stand.at(AT, 9_000) == STOPPED


# -- telemetry, memory, determinism --------------------------------------------------------------------------------------------


def test_it_tells_whose_turn_it_was_its_best_candidate_and_why_that_was_not_bought() -> None:
    stand = Stand(scalp(A, B)).calm(A, B)
    stand.at(AT, 10_060, 20 * UNIT)
    stand.at(AT, 10_001, market=B)
    told = stand.desk.telemetry("scalp").saw
    assert told["turn"] == "pod"
    assert told["priorities"].startswith("pod ")
    assert re.fullmatch(r"SOL/USD: moved 0.5497%, z \d.\d, volume \d.\dx, spread 0.0 bp, confidence 0.\d\d, expected 0.2749%", told["best"])
    assert told["why not"] == "the move that is expected costs more than it brings"
    assert "rests 120 s" in dict(Turns({"pod": Standing(5, rests_until=120 * SECOND)}).told(0))["priorities"]


def test_before_it_knows_enough_it_says_so() -> None:
    stand = Stand(scalp())
    stand.at(0, 10_000)
    assert stand.engine.saw(stand.memory) | {"priorities": ""} == {
        "turn": "pod",
        "priorities": "",
        "best": "SOL/USD: no signal yet",
        "why not": "too little history",
    }
    stand.calm().bought()
    assert stand.engine.saw(stand.memory)["asked for"].startswith("SOL/USD: moved 2.949%, z ")


def test_what_it_remembers_is_bounded_by_its_instruments_and_its_window() -> None:
    stand = Stand(scalp(A, B, C))
    rng = random.Random(7)
    prices = {A: 10_000, B: 10_000, C: 10_000}
    most = stand.engine.momentum.most_samples
    for n in range(12_000):
        market = rng.choice((A, B, C))
        prices[market] = max(100, prices[market] + rng.randint(-20, 20))
        stand.at(n, prices[market], rng.randint(0, 9) * UNIT, market=market)
    assert all(len(watch.samples) <= most == watch.samples.maxlen for watch in stand.memory.watches.values())
    assert set(stand.memory.watches) == {"SOL/USD", "WIF/USD", "ETH/USD"}
    assert len(stand.memory.waiting) <= 3
    assert set(stand.memory.turns.standings) == {"pod"}


paths = st.lists(
    st.tuples(st.sampled_from([A, B]), st.integers(1, 40), st.integers(-250, 300), st.integers(-1, 30)), min_size=10, max_size=60
)


@settings(max_examples=25, deadline=None)
@given(paths)
def test_the_same_prices_make_the_same_decisions_and_the_same_journal(path: list[tuple[Instrument, int, int, int]]) -> None:
    stands = [Stand(scalp(A, B, momentum=Momentum(least=5, history=5 * MINUTE))) for _ in range(2)]
    for stand in stands:
        prices = {A: 10_000, B: 10_000}
        at = 0
        for market, seconds, by, volume in path * 2:
            at += seconds
            prices[market] = max(1_000, prices[market] * (10_000 + by) // 10_000)
            stand.at(at, prices[market], volume if volume < 0 else volume * UNIT, market=market)
    assert stands[0].done == stands[1].done
    assert stands[0].memory == stands[1].memory
    assert list(stands[0].desk.books.journal) == list(stands[1].desk.books.journal)


def test_deciding_twice_from_one_memory_gives_one_answer() -> None:
    stand = Stand(scalp()).calm()
    seat = stand.desk._seats["scalp"]
    twin, before = copy.deepcopy(stand.memory), len(stand.done)
    answers: list[Any] = []

    def twice(memory: ScalpMemory, view: Any) -> Any:
        answers.append(stand.engine.decide(twin, view))
        answers.append(stand.engine.decide(memory, view))
        return answers[-1]

    seat.decide = twice
    stand.at(AT, 10_300, 20 * UNIT)
    assert answers[0] == answers[1]
    assert twin == stand.memory
    assert len(stand.done) == before + 1


# -- parameters, words ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_seed() -> None:
    engine = Scalp([Pod("pod", [A], "10")])
    assert (engine.take, engine.stop, engine.hold_least, engine.hold_most) == (0.02, 0.01, 30 * SECOND, 5 * MINUTE)
    assert engine.watches == (A,)
    assert (engine.name, engine.every) == ("scalp", 0)
    assert engine.pods[0].money == USD("10")
    assert Pod("pod", A, USD("10")) == Pod("pod", [A], USD("10")), "one instrument is a group of one"


def test_it_watches_all_instruments_of_all_pods_in_their_order() -> None:
    assert Scalp([Pod("one", [B, A], "10"), Pod("two", [C], "10")]).watches == (B, A, C)


def test_it_says_its_rules_in_words() -> None:
    text = Scalp([Pod("memes", [B], "300")], sentiments=[FEAR, Sentiment("mood", 0, 1, HOUR, about=B)]).describe()
    for told in (
        "memes (WIF/USD; 300 USD)", "60%", "30 s", "0.5%", "fear-and-greed of all, mood of WIF/USD", "50%", "1.2%", "+2%", "-1%",
        "after +1% and 30 s", "after 300 s", "at most 3 positions", "30 min of hibernation",
    ):  # fmt: skip
        assert told in text, told
    assert "readings" not in scalp().describe()


SHARES = ("take", "stop", "trail", "stake", "follow")
COSTS = ("fee", "slip", "arm")
TIMES = ("hold_least", "hold_most", "hibernate", "turn", "price_age", "retry", "every", "most_open", "turns", "neglected_every")


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in SHARES for value in ("0%", "-1%", "100.01%", math.nan, math.inf, 1, None, True, "much")),
        *({name: value} for name in COSTS for value in ("-0.01%", "100%", math.nan, math.inf, 1, None)),
        *({name: value} for name in TIMES for value in (-1, 0.5, True, None, math.nan, math.inf, "5")),
        *({name: 0} for name in ("hold_most", "turn", "price_age", "most_open", "turns", "neglected_every")),
        {"hold_least": 6 * MINUTE},
        {"min_confidence": "0%"},
        {"min_confidence": "-1%"},
        {"min_confidence": "80%"},
        {"min_confidence": math.nan},
        {"wake_confidence": "100.01%"},
        {"wake_confidence": math.nan},
        {"least": "-1"},
        {"least": "NaN"},
        {"least": 10.0},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        scalp(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"pods": []},
        {"pods": None},
        {"pods": 3},
        {"pods": ["memes"]},
        {"pods": [Pod("one", [A], "1"), Pod("one", [B], "1")]},
        {"pods": [Pod("one", [A], "1"), Pod("two", [A], "1")]},
        {"pods": [Pod("one", [A, A], "1")]},
        {"pods": [Pod("one", [A, Instrument("WIF/USDC", base=WIF, quote=USDC)], "1")]},
        {"pods": [Pod("one", [A], "1"), Pod("two", [Instrument("WIF/SOL", base=WIF, quote=SOL)], "1")]},
        {"momentum": None},
        {"feedback": 3},
        {"sentiments": ["mood"]},
        {"sentiments": None},
    ],
    ids=str,
)
def test_pods_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    """Two pairs of one token in two quote coins are priced apart, or not at all: the origin priced SOL pairs in dollars."""
    with pytest.raises(InvalidMarket):
        Scalp(**({"pods": [Pod("pod", [A], "1")]} | changes))


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("", [A], "1"), InvalidMarket),
        ((None, [A], "1"), InvalidMarket),
        (("pod", [], "1"), InvalidMarket),
        (("pod", None, "1"), InvalidMarket),
        (("pod", ["SOL/USD"], "1"), InvalidMarket),
        *((("pod", [A], budget), InvalidAmount) for budget in ("0", "-1", "NaN", "inf", "much", "0.0000001", 10.5, math.nan, None, True)),
        *((("pod", [A], "1", priority), InvalidAmount) for priority in (math.nan, math.inf, "5", None, True)),
    ],
    ids=str,
)
def test_a_pod_that_makes_no_sense_is_refused(args: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        Pod(*args)


@pytest.mark.parametrize("outside", [0.5, 10.5, -1])
def test_a_first_priority_lies_within_the_bounds_of_feedback(outside: float) -> None:
    with pytest.raises(InvalidAmount, match="must lie from 1 to 10"):
        Scalp([Pod("pod", [A], "1", priority=outside)])


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        *((Momentum, {name: value}) for name in ("step", "window", "history", "least") for value in (0, -1, 0.5, True, None, math.nan)),
        *((Momentum, {name: value}) for name in ("calm", "strong", "surge", "spread") for value in (-1.0, math.nan, math.inf, None, True)),
        (Momentum, {"history": MINUTE}),
        (Momentum, {"calm": 6.0}),
        (Momentum, {"surge": 1.0}),
        (Momentum, {"spread": "0%"}),
        (Momentum, {"spread": "100%"}),
        (Momentum, {"weights": (1, 1)}),
        (Momentum, {"weights": None}),
        (Momentum, {"weights": (0, 1, 1)}),
        (Momentum, {"weights": (1, -1, 1)}),
        (Momentum, {"weights": (1, math.nan, 1)}),
        *(
            (Feedback, {name: value})
            for name in ("least", "most", "found", "nothing", "most_points")
            for value in (math.nan, math.inf, None)
        ),
        (Feedback, {"least": 10}),
        (Feedback, {"bored": 11}),
        (Feedback, {"found": -1}),
        (Feedback, {"lost": 1}),
        (Feedback, {"failed": 0.1}),
        (Feedback, {"stopped": 1}),
        (Feedback, {"nothing": 1}),
        (Feedback, {"patience": 0}),
        (Feedback, {"rest": -1}),
        (Feedback, {"point": 0}),
        (Feedback, {"point": 0.5}),
        *((Sentiment, {"age": value}) for value in (0, -1, 0.5, True, None)),
        *((Sentiment, {name: value}) for name in ("low", "high", "weight") for value in (math.nan, math.inf, None, True, "1")),
        (Sentiment, {"high": 0}),
        (Sentiment, {"weight": 0}),
        (Sentiment, {"weight": -1}),
    ],
    ids=str,
)
def test_data_that_make_no_sense_are_refused(made: Any, changes: dict[str, Any]) -> None:
    given = {"topic": "mood", "low": 0, "high": 1, "age": HOUR} if made is Sentiment else {}
    with pytest.raises(InvalidAmount):
        made(**(given | changes))


@pytest.mark.parametrize("changes", [{"topic": ""}, {"topic": None}, {"about": "SOL/USD"}])
def test_a_sentiment_is_of_a_topic_and_about_an_instrument(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidMarket):
        Sentiment(**({"topic": "mood", "low": 0, "high": 1, "age": HOUR} | changes))


# -- stories on the simulator: synthetic prices, each named for what it is -------------------------------------------------------

MAJORS, MEMES = Pod("majors", [A, C], "500"), Pod("memes", [B], "500")
ROWS = 720  # an hour of rows of five seconds


def walk(seed: int, rows: int = ROWS, bp: float = 2.0) -> list[float]:
    """A random walk from 10,000 with a volatility of `bp` a row. There is no signal in it."""
    rng, price, prices = random.Random(seed), 10_000.0, []
    for _ in range(rows):
        price *= math.exp(rng.gauss(0, bp / 10_000))
        prices.append(price)
    return prices


def volumes(seed: int, rows: int = ROWS, surge: Sequence[int] = ()) -> list[float]:
    """Lognormal about 20 coins a row; twenty times that in rows of a surge."""
    rng = random.Random(seed)
    return [round(rng.lognormvariate(3, 0.5) * (20 if row in surge else 1), 2) for row in range(rows)]


def with_path(prices: Sequence[float], at: int, path: Sequence[float]) -> list[float]:
    """The walk, with a path in parts of the price there put in at a row; the walk goes on from its end."""
    base, end = prices[at - 1], at + len(path)
    on = base * path[-1] / prices[end - 1]
    return [*prices[:at], *(base * part for part in path), *(price * on for price in prices[end:])]


def line(since: float, until: float, rows: int) -> list[float]:
    return [since + (until - since) * (row + 1) / rows for row in range(rows)]


def tape_of(
    market: Instrument, closes: Sequence[float], traded: Sequence[float] | None, *, step: int = STEP, rows: Sequence[int] = ()
) -> Tape:
    """Each row opens where the one before closed. `rows`: which of them there are, all by default."""
    prices = [max(1, round(close)) for close in closes]
    bars = list(zip([prices[0], *prices[:-1]], prices, strict=True))
    kept = rows or range(len(bars))
    columns = {
        "open": [bars[n][0] for n in kept],
        "close": [bars[n][1] for n in kept],
        "high": [max(bars[n]) for n in kept],
        "low": [min(bars[n]) for n in kept],
    }
    text = {name: [market.price_text(price) for price in column] for name, column in columns.items()}
    volume = None if traded is None else [str(traded[n]) for n in kept]
    times = [START // SECOND + step * n for n in kept]
    return Tape.from_columns(market, ts=times, **text, volume=volume, interval=step * SECOND, name=f"synthetic {market.symbol}")


def play(engine: Scalp, tapes: Sequence[Tape], rules: Rules | None = None, money: str = "1000") -> tuple[Desk, Report]:
    vault = CoreVault(USD, total=money, tradeable=money)
    desk = Desk(vault)
    desk.assign(engine, to=vault.sleeve("scalp", QUIET, allocate=money))
    return desk, replay(desk, tapes, rules=rules, progress=False, bounds=False)


def story(
    path: Sequence[float], *, surge: int = 3, seed: int = 0, then: Sequence[tuple[int, Sequence[float]]] = (), **changes: Any
) -> tuple[Desk, Report]:
    """Three walks, one of which goes a path from row 240 on, with twenty times the volume in its first rows."""
    tapes = []
    for n, market in enumerate((A, B, C)):
        prices, surges = walk(seed + n, 1_440), set[int]()
        if market is B:
            for at, part in ((240, path), *then):
                prices, surges = with_path(prices, at, part), surges | set(range(at, at + surge))
        tapes.append(tape_of(market, prices, volumes(seed + 10 + n, 1_440, tuple(surges))))
    return play(Scalp([MAJORS, MEMES], **changes), tapes)


def deeds(desk: Desk) -> list[tuple[str, str]]:
    """What was ordered, in order: (why, symbol)."""
    return [(record.order.place.why, record.order.place.instrument.symbol) for record in desk.books.journal if isinstance(record, Placed)]


def fills(desk: Desk) -> list[Fill]:
    return [record for record in desk.books.journal if isinstance(record, Fill)]


BURST = line(1, 1.03, 3)


def test_story_a_burst_that_goes_on_is_bought_and_sold_at_its_target() -> None:
    """At the simulator's default fees and slippage: it rises 3% in 15 s with volume, and 6% more within the next minute."""
    desk, report = story([*BURST, *line(1.03, 1.09, 15)])
    assert deeds(desk) == [("burst", "WIF/USD"), ("take", "WIF/USD")]
    bought, sold = fills(desk)
    gain = sold.cost / bought.cost - 1
    assert gain > 0.02 - 0.0012, "2% at the price that it decided on, less what the sale slipped"
    (row,) = report.rows()
    profit = sold.cost - bought.cost - bought.fee.units - sold.fee.units
    assert USD(row["net_profit"]).units == profit > 0, "it made money, and for no other reason"
    assert bought.at - START < 245 * STEP * SECOND, "within the burst"
    assert sold.at - bought.at < MINUTE
    assert report.proof.holds


def test_story_the_same_burst_without_volume_is_left_alone() -> None:
    desk, _ = story([*BURST, *line(1.03, 1.09, 15)], surge=0)
    assert deeds(desk) == []


def test_story_a_burst_that_costs_would_eat_is_left_alone() -> None:
    """2% in 15 s, with volume: half of it is less than a round trip of 1.2%. At a tenth of the fees it is bought."""
    path = [*line(1, 1.02, 3), *line(1.02, 1.05, 60)]
    assert deeds(story(path)[0]) == []
    assert deeds(story(path, fee="0.04%")[0]) == [("burst", "WIF/USD"), ("take", "WIF/USD")]


@pytest.mark.parametrize("seed", range(5))
def test_story_on_random_walks_it_stays_out(seed: int) -> None:
    """Two hours of three walks at a venue without fees: not one order. Costs are no part of why."""
    tapes = [tape_of(market, walk(100 * seed + n, 1_440), volumes(100 * seed + 50 + n, 1_440)) for n, market in enumerate((A, B, C))]
    desk, report = play(Scalp([MAJORS, MEMES], fee="0%", slip="0%"), tapes, Rules(Fees(0, 0), Slippage.none()))
    assert deeds(desk) == []
    assert report.rows()[0]["net_profit"] == "0"


def test_story_walks_without_volumes_are_bought_now_and_then_and_no_more() -> None:
    """Where volume is not known a move must speak for itself. In 24 hours of walks, without any cost, it was taken in once."""
    orders = 0
    for seed in range(4):
        tapes = [tape_of(market, walk(100 * seed + n, 1_440), None) for n, market in enumerate((A, B, C))]
        desk, _ = play(Scalp([MAJORS, MEMES], fee="0%", slip="0%"), tapes, Rules(Fees(0, 0), Slippage.none()))
        orders += sum(why == "burst" for why, _ in deeds(desk))
    assert orders <= 2


SPIKE = [*BURST, 1.03, *line(1.03, 0.97, 6), *[0.97] * 60]


def test_story_a_spike_that_reverses_is_stopped_with_a_bounded_loss_and_not_bought_again() -> None:
    """Down 1% a row: the stop is seen at most a row late, and the sale slips 0.1% or so. Twelve minutes later it spikes again."""
    desk, report = story(SPIKE, then=[(400, [*BURST, *line(1.03, 1.09, 15)])], seed=3)
    assert deeds(desk) == [("burst", "WIF/USD"), ("stop", "WIF/USD")]
    bought, sold = fills(desk)
    loss = 1 - sold.cost / bought.cost
    assert 0.01 < loss < 0.01 + 0.01 + 0.002, "the stop, a row, and what the sale slipped"
    assert float(report.rows()[0]["net_profit"]) < 0
    assert report.proof.holds


def test_story_after_its_sleep_the_same_instrument_is_bought_again() -> None:
    """Row 640 is half an hour and three minutes after the stop."""
    desk, _ = story(SPIKE, then=[(640, [*BURST, *line(1.03, 1.09, 15)])], seed=3)
    assert deeds(desk) == [(why, "WIF/USD") for why in ("burst", "stop", "burst", "take")]


def test_story_a_burst_that_dies_is_sold_after_five_minutes() -> None:
    desk, report = story([*BURST, *[1.03] * 100])
    assert deeds(desk) == [("burst", "WIF/USD"), ("time", "WIF/USD")]
    bought, sold = fills(desk)
    assert 5 * MINUTE <= sold.at - bought.at <= 5 * MINUTE + STEP * SECOND
    assert float(report.rows()[0]["net_profit"]) == pytest.approx(-250 * (2 * 0.004 + 2 * 0.001), abs=0.5), "it paid for a round trip"


def test_story_a_trailing_exit_keeps_what_a_burst_gave() -> None:
    """Up to +1.6% over the cost in 40 s, then down: sold on the turn, above the cost."""
    desk, _ = story([*BURST, *line(1.03, 1.049, 8), *line(1.049, 1.03, 8), *[1.03] * 20])
    assert deeds(desk) == [("burst", "WIF/USD"), ("trail", "WIF/USD")]
    bought, sold = fills(desk)
    assert sold.price > bought.price
    assert sold.at - bought.at >= 30 * SECOND


def test_story_an_outside_feed_holds_back_what_the_prices_alone_would_buy() -> None:
    """Fear of 10 from the beginning, an hour old at most: nothing. The same reading grown old is as if there were none."""
    path = [*BURST, *line(1.03, 1.09, 15)]
    tapes = [tape_of(B, with_path(walk(1), 240, path), volumes(11, ROWS, (240, 241, 242)))]
    feed = Reading("fear-and-greed", tapes[0].at[0] + SECOND, 10)
    for age, orders in ((HOUR, []), (10 * MINUTE, ["burst", "take"])):
        engine = Scalp([MEMES], sentiments=[Sentiment("fear-and-greed", 20, 80, age)])
        desk, _ = play(engine, [tapes[0].with_news([feed])])
        assert [why for why, _ in deeds(desk)] == orders


# -- laws on the simulator -------------------------------------------------------------------------------------------------------

CALMED = Momentum(step=5 * SECOND, window=20 * SECOND, history=3 * MINUTE, least=8, calm=0.5, strong=3.0, surge=3.0)
LAW = settings(max_examples=25, deadline=None)


def wild(seed: int, rows: int = 300) -> list[Tape]:
    """Three instruments with bursts that go on, turn or die, in rows of 5 s, 5 s with holes, and 30 s. Synthetic."""
    rng = random.Random(seed)
    tapes = []
    for market, step in ((A, 5), (B, 5), (C, 30)):
        count = rows * 5 // step
        prices, traded, price = [], [], 10_000.0
        coming: list[float] = []
        for _ in range(count):
            if not coming and rng.random() < 0.02:
                coming = [0.007] * rng.randint(2, 4) + [rng.choice((0.006, 0.002, 0.0, -0.004, -0.012))] * rng.randint(1, 8)
            price *= math.exp((coming[0] if coming else 0) + rng.gauss(0, 0.0004))
            prices.append(price)
            traded.append(round(rng.lognormvariate(3, 0.5) * (8 if coming else 1), 2))
            del coming[:1]
        hole = rng.randint(20, count - 20)
        kept = [n for n in range(count) if market is not B or not hole <= n < hole + 18]
        tapes.append(tape_of(market, prices, traded, step=step, rows=kept))
    return tapes


def eager(**changes: Any) -> Scalp:
    """One that trades a lot, so that laws have something to hold against."""
    pods = [Pod("majors", [A, C], "300"), Pod("memes", [B], "120")]
    given = {
        "fee": "0%",
        "slip": "0.2%",
        "min_confidence": "30%",
        "wake_confidence": "40%",
        "hibernate": 2 * MINUTE,
        "hold_most": 90 * SECOND,
    }
    return Scalp(pods, momentum=CALMED, **(given | {"follow": "100%"} | changes))


def held_over_time(desk: Desk) -> list[tuple[int, dict[str, int], dict[str, int]]]:
    """After each fill: (when, base units by symbol, what they cost), told from the fills alone."""
    qty, cost, told = dict.fromkeys(("SOL/USD", "WIF/USD", "ETH/USD"), 0), dict.fromkeys(("SOL/USD", "WIF/USD", "ETH/USD"), 0), []
    for fill in fills(desk):
        symbol = fill.instrument.symbol
        if fill.side is Side.BUY:
            qty[symbol], cost[symbol] = qty[symbol] + fill.qty, cost[symbol] + fill.cost
        else:
            cost[symbol] -= cost[symbol] * fill.qty // qty[symbol]
            qty[symbol] -= fill.qty
        told.append((fill.at, dict(qty), dict(cost)))
    return told


seeds = st.integers(0, 10**6)
venues = st.builds(
    Rules.of,
    fees=st.sampled_from([Fees(0, 0), Fees()]),
    slippage=st.sampled_from([Slippage(), Slippage.none()]),
    participation=st.sampled_from([None, "2%"]),
    latency=st.sampled_from([Latency(), Latency(order_ns=2 * SECOND)]),
)


def test_the_laws_are_not_held_against_nothing() -> None:
    """What the engine does on these tapes: each kind of exit many times."""
    told: list[str] = []
    for seed in range(12):
        told += [why for why, _ in deeds(play(eager(), wild(seed))[0])]
    counts = {why: told.count(why) for why in sorted(set(told))}
    assert set(counts) == {"burst", "stop", "take", "time", "trail"}
    assert min(counts.values()) >= 8, counts


@LAW
@given(seeds, venues, st.integers(1, 3), st.sampled_from(["100%", "40%"]), st.sampled_from(["1000", "90"]))
def test_law_it_never_exceeds_its_positions_its_budgets_or_its_money(seed: int, rules: Rules, most: int, stake: str, money: str) -> None:
    desk, report = play(eager(most_open=most, stake=stake), wild(seed), rules, money)
    for _, qty, cost in held_over_time(desk):
        assert sum(units >= least for units, least in zip(qty.values(), (10**6, 10**4, 10**6), strict=True)) <= most
        assert all(units >= 0 for units in qty.values()), "sold what it did not have"
        assert cost["SOL/USD"] + cost["ETH/USD"] <= 300 * 10**6
        assert cost["WIF/USD"] <= 120 * 10**6
    cash = int(money) * 10**6
    for fill in fills(desk):
        cash += (fill.cost if fill.side is Side.SELL else -fill.cost) - fill.fee.units
        assert cash >= 0, "spent what it did not have"
    refused = [record for record in desk.books.journal if isinstance(record, Refusal)]
    assert not refused, "it asked for what the desk had to refuse"
    assert report.proof.holds


@LAW
@given(seeds, venues)
def test_law_it_buys_at_a_price_of_that_very_instant_and_sells_at_none_that_is_stale(seed: int, rules: Rules) -> None:
    tapes = wild(seed)
    desk, _ = play(eager(), tapes, rules)
    shown = {tape.instrument.symbol: list(tape.ends()) for tape in tapes}
    for record in desk.books.journal:
        if isinstance(record, Placed):
            place, times = record.order.place, shown[record.order.place.instrument.symbol]
            seen = [at for at in times if at <= record.at]
            if place.side is Side.BUY:
                assert seen[-1] == record.at
            else:
                age, step = record.at - seen[-1], seen[-1] - seen[-2]
                assert age <= MINUTE or age <= 2 * step


@LAW
@given(seeds, st.sampled_from([Slippage(), Slippage.none()]))
def test_law_a_loss_is_bounded_by_the_stop_one_row_and_slippage(seed: int, slippage: Slippage) -> None:
    """Of every round trip, fees apart: on top of 1% come one fall from a price to the next, and a gap that the sale fell into.

    Gaps are where a feed had a hole: from its last price before to its first after it.
    """
    tapes = wild(seed)
    desk, _ = play(eager(), tapes, Rules.of(slippage=slippage))
    falls = {tape.instrument.symbol: max(1 - b / a for a, b in pairwise(tape.close)) for tape in tapes}
    gaps = {tape.instrument.symbol: max(1 - b / a for a, b in zip(tape.close, tape.open[1:], strict=False)) for tape in tapes}
    paid: dict[str, Fill] = {}
    for fill in fills(desk):
        symbol = fill.instrument.symbol
        if fill.side is Side.BUY:
            paid[symbol] = fill
            continue
        slip = 0.0011 if slippage.high_ppm else 0.0
        worst = (1 - 0.01) * (1 - falls[symbol]) * (1 - gaps[symbol]) * (1 - slip) - 2e-4  # two ticks
        assert fill.cost / fill.qty >= paid[symbol].cost / paid[symbol].qty * worst


@LAW
@given(seeds, venues)
def test_law_nothing_is_held_beyond_hold_most_while_there_are_prices(seed: int, rules: Rules) -> None:
    """A row, and the latency of two orders, on top: SOL and ETH have a price in each row."""
    desk, _ = play(eager(), wild(seed), rules)
    if rules.participation_ppm is not None:
        return
    opened: dict[str, int] = {}
    for fill in fills(desk):
        symbol = fill.instrument.symbol
        if fill.side is Side.BUY:
            opened.setdefault(symbol, fill.at)
        elif symbol != "WIF/USD":
            assert fill.at - opened.pop(symbol) <= 90 * SECOND + 30 * SECOND + 4 * SECOND
        else:
            opened.pop(symbol)


@LAW
@given(seeds, venues, st.integers(60, 280))
def test_law_after_a_kill_it_is_flat_and_asks_for_nothing_more(seed: int, rules: Rules, row: int) -> None:
    tapes = wild(seed)
    vault = CoreVault(USD, total="1000", tradeable="1000")
    sleeve = vault.sleeve("scalp", QUIET, allocate="1000")
    desk = Desk(vault)
    desk.assign(eager(), to=sleeve)
    exchange = Exchange(tapes, account_of(desk), rules)
    killed = 0
    for step in exchange.play():
        commands: list[Command] = []
        while exchange.outbox:
            commands += desk.step(exchange.outbox.popleft())
        if step.price:
            commands += desk.quote(desk.index(tapes[step.market].instrument), step.at, step.price, step.price, step.volume)
        if not killed and step.at >= START + row * STEP * SECOND:
            killed = len(desk.books.journal)
            commands += desk.kill(sleeve, flatten=True, by="test")
        for command in commands:
            exchange.carry(command, step.at)
    after = [record for record in list(desk.books.journal)[killed:] if isinstance(record, Placed)]
    assert all(record.by == "test" and record.order.place.side is Side.SELL for record in after)
    assert sleeve.is_flat()
    assert desk.check(exchange.balances()).holds


# -- real candles ----------------------------------------------------------------------------------------------------------------

DATA = Path(__file__).parents[3] / "shared" / "data" / "btc-perp-1m-2022-01.csv.gz"
PAGE = Path(__file__).parents[2] / "docs" / "engines" / "scalp.md"
MINUTES = Momentum(step=MINUTE, window=2 * MINUTE, history=HOUR)
MOST = Momentum(step=MINUTE, window=2 * MINUTE, history=HOUR, calm=1.0, strong=4.0, surge=3.0)
CHEAP = Rules(Fees.of("0.02%", "0.05%"), Slippage.of("0.01%", "0.02%"))
FREE = Rules(Fees(0, 0), Slippage.none())
RUNS: dict[str, tuple[dict[str, Any], Rules]] = {
    "as it comes, default venue": ({"momentum": MINUTES}, Rules()),
    "costs set to a cheap venue's": ({"momentum": MINUTES, "fee": "0.05%", "slip": "0.03%"}, CHEAP),
    "the same, bought far more easily": ({"momentum": MOST, "fee": "0.05%", "slip": "0.03%", "follow": "100%"}, CHEAP),
    "the same, at a venue without any cost": ({"momentum": MOST, "fee": "0.05%", "slip": "0.03%", "follow": "100%"}, FREE),
}


def real_table() -> str:
    """What a month of real one-minute candles made of 5,000 coins."""
    tape = Tape.load(DATA, SAMPLE_INSTRUMENT)
    lines = [f"{'':<38}{'trades':>8}{'won':>7}{'stops':>7}{'fees':>8}{'net profit':>12}"]
    for name, (changes, rules) in RUNS.items():
        desk, report = play(Scalp([Pod("btc", [SAMPLE_INSTRUMENT], "5000")], stake="100%", **changes), [tape], rules, "5000")
        assert report.proof.holds
        (row,) = report.rows()
        won = "n/a" if row["win_rate"] is None else f"{row['win_rate']:.0%}"
        stops = sum(why == "stop" for why, _ in deeds(desk))
        lines.append(f"{name:<38}{row['trades']:>8}{won:>7}{stops:>7}{float(row['fees']):>8,.0f}{float(row['net_profit']):>12,.0f}")
    return "\n".join(lines)


def test_what_it_made_of_a_month_of_real_minutes_is_what_the_page_says() -> None:
    if not DATA.is_file():
        pytest.skip(f"{DATA.name} is not beside the project")
    assert real_table() in PAGE.read_text(encoding="utf-8")


def test_the_parameters_on_the_page_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \| .+ \|$", page, re.MULTILINE))
    engine = Scalp([Pod("pod", [A], "1")])
    own = {one.name: getattr(engine, one.name) for one in Scalp.__attrs_attrs__ if one.init}  # type: ignore[attr-defined]
    parts = {"momentum": own.pop("momentum"), "feedback": own.pop("feedback")}
    own |= {f"{name}.{one.name}": getattr(part, one.name) for name, part in parts.items() for one in type(part).__attrs_attrs__}
    for name in ("pods", "sentiments"):
        del own[name]
    assert list(said) == list(own)
    for name, value in own.items():
        assert said[name] == shown(name, value), name


COUNTS = {"most_open", "turns", "neglected_every", "momentum.least", "feedback.patience"}
NUMBERS = {"momentum.calm", "momentum.strong", "momentum.surge"}


def shown(name: str, value: object) -> str:
    """A parameter as the page writes it: rates in percent, times in seconds, minutes or hours."""
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    if isinstance(value, float):
        return f"{value:g}" if name in NUMBERS or name.startswith("feedback.") else f"{value * 100:.4g}%"
    if isinstance(value, int) and name not in COUNTS:
        return f"{value // SECOND} s" if value < MINUTE else f"{value // MINUTE} min"
    return str(value)
