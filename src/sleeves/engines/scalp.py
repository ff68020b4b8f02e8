"""Scalp: buy a burst that has volume behind it, take 2%, stop at 1%, be out within minutes.

Many instruments in pods (`pods.py`) that take turns and have a budget each; what a burst is, `momentum.py` measures. The
engine buys spot and sells what it bought; it is never short.

- Buy, in its pod's turn and at the instrument's own new price, when confidence reaches `min_confidence`, the spread is
  within its cap, and the part `follow` of the move that is expected once more is worth more than the round trip costs.
- Sell all at market: at `take` or `stop`; after a turn of `trail` from the high once `arm` was reached, not before
  `hold_least`; and at `hold_most` in any case.

Gains are gross: what a sale at the bid would bring over what the position cost, fees apart. A position is what the
view says it is, never what was ordered; an exit that was decided stands until the position is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import Factory, define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import MINUTE, SECOND, Book, Instrument
from ..money import PPM, Rounding
from ..news import Reading
from ..orders import Intent, Place, Side, TimeInForce
from ..protocols import Columns, Plan, View
from .momentum import Momentum, Sample, Signal, ramp
from .passes import MOST_PRICE, Rows, numpy_or_none
from .pods import Feedback, Outcome, Pod, Turns, check_pods
from .rates import in_percent as percent
from .rates import opinion
from .scalp_plan import Bursts, on_bars

__all__ = ["Scalp", "ScalpMemory", "Sentiment", "Watch"]

HAIR = 1e-12
"""What a float may be off: a gain exactly at a threshold is at it."""
ABOVE_LEAST = 1.25
"""A buy is this much above the venue's least order, so that what has fallen can still be sold."""


@frozen
class Sentiment:
    """An outside feed as one more input of confidence: the `Reading`s of a topic, none where there is none.

    A reading counts for nothing at `low` and in full at `high`, which may lie below it. One that is older than `age`, or
    from the future, counts as absent. It is about one instrument, or about all.
    """

    topic: str
    low: float
    high: float
    age: int
    weight: float = 0.5
    about: Instrument | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.topic, str) or not self.topic:
            raise InvalidMarket(f"a sentiment has the topic of its readings, not {self.topic!r}")
        if type(self.age) is not int or self.age <= 0:
            raise InvalidAmount(f"age {self.age!r} of {self.topic} must be a positive whole number of nanoseconds")
        for what in ("low", "high", "weight"):
            value = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
                raise InvalidAmount(f"{what} {value!r} of {self.topic} is not a finite number")
        if self.low == self.high or self.weight <= 0:
            raise InvalidAmount(f"{self.topic}: low {self.low} and high {self.high} must differ, and weight {self.weight} be positive")
        if self.about is not None and not isinstance(self.about, Instrument):
            raise InvalidMarket(f"{self.topic} is about an Instrument or about all, not about {self.about!r}")

    def part(self, view: View) -> float | None:
        """From 0 to 1; None where there is no reading that is fresh."""
        reading = view.news(Reading, self.topic)
        if reading is None or not 0 <= view.now - reading.at <= self.age:
            return None
        return ramp(reading.value, self.low, self.high)


class Why(StrEnum):
    """What kept the engine from buying."""

    WARMING = "too little history"
    SPREAD = "the spread is beyond its cap"
    CONFIDENCE = "too little confidence"
    COST = "the move that is expected costs more than it brings"
    ASLEEP = "it rests after a sale, and longer after a stop"
    OPEN = "as many positions are open as may be"
    MONEY = "the budget or the money does not reach for an order"
    LATER = "another was bought first, and it is one at a time"


@define
class Watch:
    """What is remembered of one instrument."""

    samples: deque[Sample]
    seen_at: int = -1
    """The time of the last price that was taken in."""
    asked_at: int = -1
    """When the entry was asked for that nothing has come of yet."""
    since: int = -1
    """From when the position is counted: when it was asked for, or first seen."""
    high: int = 0
    """The highest bid since then."""
    armed: bool = False
    leaving: str = ""
    """Why it is being sold."""
    sold_at: int = -1
    """When that was last asked for."""
    gain: float = 0.0
    """What it gained, gross, when that was asked for."""
    asleep_until: int = 0
    doubted: bool = False
    """Whether it was stopped, and has not been confident enough since."""


@define
class Glance:
    """The best candidate of a turn."""

    market: Instrument
    signal: Signal | None
    confidence: float
    expected: float
    why: Why | None
    """What kept it from being bought; None while nothing has."""

    def __str__(self) -> str:
        if self.signal is None:
            return f"{self.market.symbol}: no signal yet"
        return f"{self.market.symbol}: {self.signal}, confidence {self.confidence:.2f}, expected {percent(self.expected)}"

    @property
    def rank(self) -> tuple[bool, float]:
        """The best last: what may be bought after what may not, then by confidence."""
        return self.why is None, self.confidence


@define
class ScalpMemory:
    """What the scalp engine remembers: bounded by the number of its instruments, and fresh from `Scalp.begin`."""

    turns: Turns
    watches: dict[str, Watch]
    glance: Glance | None = None
    """The best of this turn that was not asked for."""
    asked: str = ""
    """What was asked for last in this turn, and on which signal."""
    waiting: dict[str, str] = Factory(dict)
    """Exits that wait for a price, by symbol: why it is to be sold."""
    now: int = 0


def _pods(given: Iterable[Pod] | Pod) -> tuple[Pod, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)


def _sentiments(given: Iterable[Sentiment] | Sentiment) -> tuple[Sentiment, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)


@frozen
class Scalp:
    """The scalp engine over its pods. Rates are best written as text ("2%"), times are in nanoseconds.

    `fee` and `slip` are what one fill is assumed to cost; `slip` is also what the entry's limit allows above the ask.
    `stake` is the part of a pod's budget that one entry uses, `most_open` how many positions there may be over all pods.
    A turn lasts `turn`, `turns` pods have it at a time, and each `neglected_every`-th the one that waited longest besides.
    After a sale an instrument is not bought for a window of `momentum`; after a stop it hibernates for `hibernate`, and then
    needs `wake_confidence` once.
    """

    pods: tuple[Pod, ...] = field(converter=_pods)
    momentum: Momentum = field(factory=Momentum)
    sentiments: tuple[Sentiment, ...] = field(default=(), converter=_sentiments)
    feedback: Feedback = field(factory=Feedback)
    min_confidence: float = field(default=0.6, converter=opinion)
    wake_confidence: float = field(default=0.75, converter=opinion)
    follow: float = field(default=0.5, converter=opinion)
    fee: float = field(default=0.004, converter=opinion)
    slip: float = field(default=0.002, converter=opinion)
    take: float = field(default=0.02, converter=opinion)
    stop: float = field(default=0.01, converter=opinion)
    arm: float = field(default=0.01, converter=opinion)
    trail: float = field(default=0.005, converter=opinion)
    hold_least: int = 30 * SECOND
    hold_most: int = 5 * MINUTE
    hibernate: int = 30 * MINUTE
    most_open: int = 3
    stake: float = field(default=0.5, converter=opinion)
    least: str = "10"
    """The least order in quote coins."""
    turns: int = 3
    turn: int = 5 * SECOND
    neglected_every: int = 5
    price_age: int = 10 * SECOND
    """How old a price may be to buy on, or twice the step of its feed, see `Book.stale`. To sell on, what the desk lets pass."""
    retry: int = SECOND
    """The least time between two tries to sell one position."""
    every: int = 0
    name: str = "scalp"
    watches: tuple[Instrument, ...] = field(init=False, repr=False, eq=False)
    _pod_of: dict[str, Pod] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.momentum, Momentum) or not isinstance(self.feedback, Feedback):
            raise InvalidMarket(f"momentum and feedback are a Momentum and a Feedback, not {self.momentum!r} and {self.feedback!r}")
        check_pods(self.pods, self.feedback.least, self.feedback.most)
        object.__setattr__(self, "watches", tuple(market for pod in self.pods for market in pod.markets))
        object.__setattr__(self, "_pod_of", {market.symbol: pod for pod in self.pods for market in pod.markets})
        if not all(isinstance(one, Sentiment) for one in self.sentiments):
            raise InvalidMarket(f"sentiments are Sentiments, not {self.sentiments!r}")
        for what in ("take", "stop", "trail", "stake", "follow"):
            if not 0 < getattr(self, what) <= 1:
                raise InvalidAmount(f"{what} {percent(getattr(self, what))} must lie above 0% and up to 100%")
        for what in ("fee", "slip", "arm"):
            if not 0 <= getattr(self, what) < 1:
                raise InvalidAmount(f"{what} {percent(getattr(self, what))} must lie from 0% to below 100%")
        if not 0 < self.min_confidence <= self.wake_confidence <= 1:
            given = f"min_confidence {percent(self.min_confidence)} and wake_confidence {percent(self.wake_confidence)}"
            raise InvalidAmount(f"{given}: need 0% < the first <= the second <= 100%")
        floors = {"hold_least": 0, "hold_most": 1, "hibernate": 0, "turn": 1, "price_age": 1, "retry": 0, "every": 0}
        for what, floor in (floors | {"most_open": 1, "turns": 1, "neglected_every": 1}).items():
            if type(getattr(self, what)) is not int or getattr(self, what) < floor:
                unit = " of nanoseconds" if what in floors else ""
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be a whole number{unit}, at least {floor}")
        if self.hold_least > self.hold_most:
            raise InvalidAmount(f"hold_least {self.hold_least} ns must not be beyond hold_most {self.hold_most} ns")
        if self.watches[0].quote(self.least).units < 0:
            raise InvalidAmount(f"the least order {self.least} must not be negative")

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        pods = "; ".join(f"{pod.name} ({', '.join(m.symbol for m in pod.markets)}; {pod.money})" for pod in self.pods)
        feeds = ", ".join(f"{one.topic} of {'all' if one.about is None else one.about.symbol}" for one in self.sentiments)
        return (
            f"{self.name} over the pods {pods}: buys with confidence of {percent(self.min_confidence)} in the move of "
            f"{self.momentum.window / SECOND:g} s against its volatility, its volume and its spread (at most "
            f"{percent(self.momentum.spread)}){', and readings of ' + feeds if feeds else ''}, when {percent(self.follow)} of the move "
            f"is worth more than the round trip of {percent(self.cost)} and the spread; sells, fees apart, at +{percent(self.take)}, at "
            f"-{percent(self.stop)}, on a turn of {percent(self.trail)} after +{percent(self.arm)} and {self.hold_least / SECOND:g} "
            f"s, and after {self.hold_most / SECOND:g} s; at most {self.most_open} positions of {percent(self.stake)} of a pod's budget; "
            f"{self.hibernate / MINUTE:g} min of hibernation after a stop"
        )

    @property
    def cost(self) -> float:
        """What a round trip is assumed to cost, as a part of the price, besides the spread."""
        return 2 * (self.fee + self.slip)

    def begin(self) -> ScalpMemory:
        return ScalpMemory(Turns.begin(self.pods), {market.symbol: Watch(self.momentum.begin()) for market in self.watches})

    def saw(self, memory: ScalpMemory) -> Mapping[str, str]:
        """Whose turn it is, what was asked for in it, the best that was not and why, and exits that wait for a price."""
        told = dict(memory.turns.told(memory.now))
        if memory.asked:
            told["asked for"] = memory.asked
        if memory.glance is not None:
            told["best"] = str(memory.glance)
            told["why not"] = (memory.glance.why or Why.LATER).value
        if memory.waiting:
            told["waits for a price"] = ", ".join(f"{symbol} to be sold ({why})" for symbol, why in memory.waiting.items())
        return told

    # -- deciding ----------------------------------------------------------------------------------------------------

    def decide(self, memory: ScalpMemory, view: View) -> Iterable[Intent] | None:
        memory.now = view.now
        wishes: list[Intent] = []
        busy = {order.place.instrument.symbol for order in view.orders()}
        opened, moved = 0, []
        for market in self.watches:
            watch, book = memory.watches[market.symbol], view.book_of(market)
            if book is None:
                continue
            if book.at > watch.seen_at:
                watch.seen_at = book.at
                self.momentum.note(watch.samples, book)
                moved.append(market)
            held = self._held(view, market, book)
            opened += held > 0 or market.symbol in busy
            if market.symbol in busy:
                continue
            if held:
                exit_ = self._exit(memory, watch, view, market, book, held)
                if exit_ is not None:
                    wishes.append(exit_)
            else:
                memory.waiting.pop(market.symbol, None)
                self._settle(memory, watch, market, view.now, dust=view.position(market) > 0)
        if self.pass_turn(memory.turns, view.now):
            memory.glance, memory.asked = None, ""
        entry = self._entry(memory, view, [market for market in moved if market.symbol not in busy], opened)
        if entry is not None:
            wishes.append(entry)
        return wishes or None

    def pass_turn(self, turns: Turns, now: int) -> bool:
        """Pass the turn on if it is over; whether it was."""
        return turns.take(now, self.feedback, count=self.turns, length=self.turn, neglected_every=self.neglected_every)

    def _held(self, view: View, market: Instrument, book: Book) -> int:
        """Base units that the sleeve owns, where they can be sold: less than the venue's least order is dust."""
        qty = view.position(market)
        if qty < max(market.lot_units, market.min_qty_units):
            return 0
        return qty if market.cost(book.bid, qty, Rounding.FLOOR) >= market.min_notional_units else 0

    def _settle(self, memory: ScalpMemory, watch: Watch, market: Instrument, now: int, *, dust: bool) -> None:
        """Nothing is held and nothing ordered: what came of the trade, or of the order, that was.

        A position that became dust before it was to be sold fell below the venue's least order: a stop that came too late.
        """
        pod = self._pod_of[market.symbol].name
        if watch.since >= 0:
            if watch.leaving == "stop" or (dust and not watch.leaving):
                memory.turns.tell(pod, Outcome.STOPPED, now, self.feedback)
                watch.asleep_until, watch.doubted = now + max(self.hibernate, self.momentum.window), True
            elif watch.leaving:
                won = watch.gain - 2 * self.fee > 0
                memory.turns.tell(pod, Outcome.WON if won else Outcome.LOST, now, self.feedback)
                watch.asleep_until = now + self.momentum.window  # one burst is bought once
        elif watch.asked_at >= 0:
            memory.turns.tell(pod, Outcome.FAILED, now, self.feedback)
        watch.since = watch.asked_at = watch.sold_at = -1
        watch.high, watch.armed, watch.leaving, watch.gain = 0, False, "", 0.0

    def plan(self, tape: Columns) -> Plan[ScalpMemory] | None:
        """Where it can buy on this tape; None unless this is its one market, on bars no shorter than a step, asked at each price.

        None without numpy as well, and at prices beyond 2**53 units.
        """
        np = numpy_or_none()
        if np is None or self.every or self.watches != (tape.instrument,):
            return None
        if int(Rows(np, tape).close.max()) > MOST_PRICE or not on_bars(np, tape, self.momentum.step):
            return None
        return Bursts(np, self, tape)

    # -- selling -----------------------------------------------------------------------------------------------------

    def _exit(self, memory: ScalpMemory, watch: Watch, view: View, market: Instrument, book: Book, held: int) -> Place | None:
        now, symbol = view.now, market.symbol
        if watch.since < 0:
            watch.since, watch.asked_at = watch.asked_at if watch.asked_at >= 0 else now, -1
        stale = book.stale(now)
        watch.high = max(watch.high, book.bid)
        cost = view.open_cost(market)
        gain = market.cost(book.bid, held, Rounding.FLOOR) / cost - 1 if cost > 0 else 0.0
        watch.armed = watch.armed or gain >= self.arm - HAIR
        if not watch.leaving:
            watch.leaving = self._why_sell(watch, now, book.bid, gain, stale)
        if not watch.leaving:
            return None
        qty = market.round_qty(min(held, view.sellable(market)))
        if stale or qty < max(market.lot_units, market.min_qty_units):
            memory.waiting[symbol] = watch.leaving
            return None
        memory.waiting.pop(symbol, None)
        if watch.sold_at >= 0 and now - watch.sold_at < self.retry:
            return None
        watch.sold_at, watch.gain = now, gain
        return Place(market, Side.SELL, qty, reduce_only=True, why=watch.leaving)

    def _why_sell(self, watch: Watch, now: int, bid: int, gain: float, stale: bool) -> str:
        """An old price is no reason to sell; the time is one all the same."""
        held_for = now - watch.since
        if not stale:
            if gain <= -self.stop + HAIR:
                return "stop"
            if gain >= self.take - HAIR:
                return "take"
        if held_for >= self.hold_most:
            return "time"
        turned = not stale and watch.armed and bid <= watch.high * (1 - self.trail) * (1 + HAIR)
        return "trail" if turned and held_for >= self.hold_least else ""

    # -- buying ------------------------------------------------------------------------------------------------------

    def _entry(self, memory: ScalpMemory, view: View, moved: Iterable[Instrument], opened: int) -> Place | None:
        """An order for the best of those whose price is new and whose pod has its turn; one at a time, and never on news alone."""
        turns, found = memory.turns, []
        for market in moved:
            pod, book = self._pod_of[market.symbol].name, view.book_of(market)
            if book is None or not turns.has(pod, view.now) or self._held(view, market, book) or book.stale(view.now, self.price_age):
                continue
            turns.standings[pod].looked = True
            found.append((self._look(memory.watches[market.symbol], view, market, book), book))
        place = None
        for glance, book in sorted(found, key=lambda one: one[0].rank, reverse=True):
            if glance.why is None and place is None:
                place = self._buy(view, glance, book) if opened < self.most_open else None
                if place is not None:
                    watch = memory.watches[glance.market.symbol]
                    watch.asked_at, watch.doubted = view.now, False
                    turns.tell(self._pod_of[glance.market.symbol].name, Outcome.FOUND, view.now, self.feedback)
                    memory.asked = str(glance)
                    continue
                glance.why = Why.MONEY if opened < self.most_open else Why.OPEN
            _note(memory, glance)
        return place

    def note_look(self, memory: ScalpMemory, view: View, market: Instrument, book: Book) -> None:
        """Look at a market that is not to be bought, as its price in its pod's turn is looked at: for plans."""
        _note(memory, self._look(memory.watches[market.symbol], view, market, book))

    def _look(self, watch: Watch, view: View, market: Instrument, book: Book) -> Glance:
        """What one instrument is worth, money apart."""
        signal = self.momentum.read(watch.samples, book)
        if signal is None:
            return Glance(market, None, 0.0, 0.0, Why.WARMING)
        others = [(one.weight, part) for one in self.sentiments if one.about in (None, market) and (part := one.part(view)) is not None]
        confidence = self.momentum.confidence(signal, others)
        expected = min(self.take, self.follow * signal.move)
        why = None
        if view.now < watch.asleep_until:
            why = Why.ASLEEP
        elif signal.spread > self.momentum.spread:
            why = Why.SPREAD
        elif confidence < (self.wake_confidence if watch.doubted else self.min_confidence):
            why = Why.CONFIDENCE
        elif expected <= self.cost + signal.spread:
            why = Why.COST
        return Glance(market, signal, confidence, expected, why)

    def _buy(self, view: View, glance: Glance, book: Book) -> Place | None:
        """For the stake, as far as the pod's budget and the free money go; None where that comes to less than the least order."""
        market = glance.market
        pod = self._pod_of[market.symbol]
        budget = pod.money.units
        money = min(int(budget * self.stake), budget - self._used(view, pod), view.free())
        limit = market.shift(book.ask, round(self.slip * PPM), Rounding.FLOOR)
        qty = min(view.affordable(market, money), market.affordable(money, limit))
        for _ in range(2):
            cost = market.cost(book.ask, qty, Rounding.FLOOR)
            least = max(market.quote(self.least).units, ABOVE_LEAST * market.min_notional_units)
            if not qty or qty < ABOVE_LEAST * market.min_qty_units or cost < least:
                return None
            expect = int(cost * glance.expected)
            place = Place(market, Side.BUY, qty, limit, tif=TimeInForce.IOC, expect=expect, why="burst")
            needed = view.hold(place)
            if needed is None:
                return None
            if needed <= money:
                return place
            qty = market.round_qty(qty * money // needed - market.lot_units)
        return None

    def _used(self, view: View, pod: Pod) -> int:
        """What a pod's positions cost, fees apart, and what its open buys set aside."""
        mine = {market.symbol for market in pod.markets}
        buys = (order.place for order in view.orders() if order.place.side is Side.BUY and order.place.instrument.symbol in mine)
        return sum(view.open_cost(market) for market in pod.markets) + sum(view.hold(place) or 0 for place in buys)


def _note(memory: ScalpMemory, glance: Glance) -> None:
    """Keep the best of a turn that was not bought."""
    if memory.glance is None or glance.confidence >= memory.glance.confidence:
        memory.glance = glance
