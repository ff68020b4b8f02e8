"""Where on a tape `Trend` can wish for anything, and what it remembers there.

What it remembers of the market (prices of the last hour, falling minima of 8 hours, hourly closes) follows from the rows
alone, and is worked out for a stretch of them at once. What it remembers of its trade depends on whether it holds anything,
which changes only with its orders:

- While it holds nothing, it may buy where the trend holds and the last hour rose enough, or the price stands far enough above
  the lowest of 8 hours, below which no tracked low lies. Where the tracked low is nearer, it is asked in vain.
- While it holds, it may sell at or below the price of its stop, or on a turn from its high once it was armed, if the last hour
  did not rise too much. The prices of stop and arming are found by halving, in the very arithmetic of `decide`.

The thresholds, and what is wished for, are the engine's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen

from ..market import HOUR, MINUTE, Book, Instrument
from ..protocols import Columns, View
from .passes import MOST_PRICE, STRETCH, Rows

if TYPE_CHECKING:
    from .trend import Trend, TrendMemory

__all__ = ["Trends"]

WINDOW = 8 * HOUR
HAIR = 1e-12
FEW = 12
"""Rows that are sooner decided one by one than brought in at once."""
SEARCHED = 256
"""Rows that are looked through at once for the end of a holding, and twice as many each time again."""


@frozen
class _Past:
    """What the rows before a stretch leave to it: times and prices that windows reach back to, which of them are samples, the
    last hourly closes, and when the engine is asked next.
    """

    wake: int = 0
    times: Any = ()
    prices: Any = ()
    samples: Any = ()
    closes: tuple[float, ...] = ()


class _Stretch:
    """Rows from `first` to before `last`: of those that the engine is asked on, all that follows from their prices."""

    def __init__(self, engine: Trend, rows: Rows, first: int, last: int, past: _Past) -> None:
        np = self.np = rows.np
        self.first, self.last, self.past = first, last, past
        self.rows = rows.asked(first, last, past.wake) if engine.every else None
        ends, prices = rows.ends(first, last), rows.close[first:last].astype(np.float64)
        if self.rows is not None:
            ends, prices = ends[self.rows - first], prices[self.rows - first]
        self.count, self.skip = len(ends), len(past.times)
        self.times = np.concatenate((np.asarray(past.times, np.int64), ends))
        self.prices = np.concatenate((np.asarray(past.prices, np.float64), prices))
        self._sample(np.asarray(past.samples, bool))
        self._close_hours()
        self.lowest = self._lowest()
        self._signal(engine)

    def place(self, row: int) -> int:
        """How many of its rows that the engine is asked on come before this one."""
        return min(row, self.last) - self.first if self.rows is None else int(self.np.searchsorted(self.rows, row))

    def row(self, place: int) -> int:
        return self.first + place if self.rows is None else int(self.rows[place])

    def behind(self, time: int) -> int:
        """How many of them are over at this time."""
        return max(0, int(self.np.searchsorted(self.times, time, "right")) - self.skip)

    def _sample(self, known: Any) -> None:
        """Which rows are samples: the first, and each that is a minute behind the one before."""
        np, times = self.np, self.times
        before = np.flatnonzero(known)
        sampled = np.ones(len(times), bool)
        sampled[: self.skip] = known
        since = int(times[before[-1]]) if len(before) else None
        new = times[self.skip :]
        if len(new) and not ((since is None or new[0] - since >= MINUTE) and (np.diff(new) >= MINUTE).all()):
            for place, time in enumerate(new.tolist(), self.skip):
                sampled[place] = since is None or time - since >= MINUTE
                since = time if sampled[place] else since
        self.sampled = sampled
        self.samples = np.flatnonzero(sampled)
        self.sample_times = times[self.samples]

    def _close_hours(self) -> None:
        """Where an hour begins, and all hourly closes so far as they matter: those of the past first."""
        np = self.np
        hours = (self.times - 1) // HOUR
        begins = np.flatnonzero(hours[1:] != hours[:-1]) + 1
        begins = begins[begins >= self.skip]
        self.begins = begins - self.skip
        self.closes = np.concatenate((np.asarray(self.past.closes, np.float64), self.prices[begins - 1]))

    def _lowest(self) -> Any:
        """The lowest price of the last 8 hours with each row: least of spans that double, two of which cover a window."""
        np, prices = self.np, self.prices
        ends = np.arange(self.skip, len(prices))
        begins = np.searchsorted(self.times, self.times[ends] - WINDOW)
        lengths = ends - begins + 1
        level = np.frexp(lengths)[1] - 1
        found = np.empty(len(ends))
        spans, size = prices, 1
        for power in range(int(level.max()) + 1 if len(level) else 0):
            here = np.flatnonzero(level == power)
            found[here] = np.minimum(spans[begins[here]], spans[ends[here] - size + 1])
            spans = np.minimum(spans[:-size], spans[size:]) if len(spans) > size else spans[:0]
            size *= 2
        return found

    def _signal(self, engine: Trend) -> None:
        """Where it may buy while it holds nothing, and where it may not sell while it holds."""
        np, skip = self.np, self.skip
        times, prices = self.times[skip:], self.prices[skip:]
        known = np.searchsorted(self.begins, np.arange(self.count), "right") + len(self.past.closes)
        four = known >= 4
        at = np.where(four, known, 4)
        closes = np.concatenate((self.closes, np.zeros(4)))
        mean = (((closes[at - 4] + closes[at - 3]) + closes[at - 2]) + closes[at - 1]) / 4
        mean[~four] = 1.0
        sample = np.searchsorted(self.sample_times, times - HOUR, "right") - 1
        before = self.prices[self.samples[np.maximum(sample, 0)]] if self.count else prices
        rise = prices / before - 1
        risen = (sample >= 0) & (rise >= engine.enter - HAIR)
        turned = prices / self.lowest - 1 > engine.turn + HAIR
        buys = four & ~(prices / mean - 1 < engine.trend - HAIR) & (risen | turned)
        self.buys: Sequence[int] = np.flatnonzero(buys).tolist()
        self.keeps = (sample >= 0) & (rise >= engine.hold - HAIR)

    def after(self, every: int) -> _Past:
        """What it leaves to the stretch behind it."""
        np = self.np
        if not len(self.times):
            return self.past
        last = int(self.times[-1])
        old = int(np.searchsorted(self.sample_times, last - HOUR, "right")) - 1
        begin = min(int(np.searchsorted(self.times, last - WINDOW)), int(self.samples[max(old, 0)]))
        kept = slice(begin, None)
        wake = last + every if self.count else self.past.wake
        return _Past(wake, self.times[kept].copy(), self.prices[kept].copy(), self.sampled[kept].copy(), tuple(self.closes[-4:].tolist()))

    def recall(self, memory: TrendMemory, place: int) -> None:
        """Bring what is remembered of the market to where it stands behind this one of its rows."""
        np, here = self.np, self.skip + place
        now = int(self.times[here])
        until = int(np.searchsorted(self.samples, here, "right"))
        since = max(0, int(np.searchsorted(self.sample_times, now - HOUR, "right")) - 1)
        at = self.samples[since:until]
        memory.samples.clear()
        memory.samples.extend(zip(self.times[at].tolist(), self.prices[at].tolist(), strict=True))
        begin = int(np.searchsorted(self.times, now - WINDOW))
        falling = self.prices[begin : here + 1][::-1]
        least = np.minimum.accumulate(falling)
        lows = here - np.flatnonzero(np.concatenate(([True], falling[1:] < least[:-1])))[::-1]
        memory.lows.clear()
        memory.lows.extend(zip(self.times[lows].tolist(), self.prices[lows].tolist(), strict=True))
        closes = len(self.past.closes) + int(np.searchsorted(self.begins, place, "right"))
        memory.hours.clear()
        memory.hours.extend(self.closes[max(0, closes - 4) : closes].tolist())
        memory.hour = (now - 1) // HOUR
        memory.last = float(self.prices[here])


@frozen
class _Holding:
    """A position, and the prices at which it has come to its stop, and to where a turn sells it."""

    qty: int
    cost: int
    stops_below: int = field(eq=False)
    arms_from: int = field(eq=False)


class Trends:
    """A plan of `Trend`. Within a stretch it looks ahead; the first row of the next one is asked in any case.

    How far a memory has come, it says itself: the last of its lows is that of its last decision.
    """

    def __init__(self, np: Any, engine: Trend, tape: Columns, stretch: int = STRETCH) -> None:
        self._np, self._engine, self._size = np, engine, stretch
        self._rows = Rows(np, tape, engine.every)
        self._stretch: _Stretch | None = None
        self._lived = False
        """Whether the memory had lived before: then it is asked on every row."""
        self._holding: _Holding | None = None
        self._least = max(engine.instrument.lot_units, engine.instrument.min_qty_units)

    def next(self, memory: TrendMemory, row: int, view: View) -> int:
        count = self._rows.count
        if row >= count:
            return count
        if self._stretch is None:
            self._lived = bool(memory.lows)
            self._stretch = _Stretch(self._engine, self._rows, row, min(row + self._size, count), _Past())
        if self._lived:
            return row if not self._engine.every else self._rows.next_asked(row, memory.lows[-1][0] + self._engine.every)
        stretch = self._stretch
        self._advance(memory, stretch, row)
        self._look(view)
        while row >= stretch.last:
            first = stretch.last
            last = min(first + self._size, count)
            stretch = self._stretch = _Stretch(self._engine, self._rows, first, last, stretch.after(self._engine.every))
        place = self._buys(stretch, row) if self._holding is None else self._sells(memory, stretch, row, self._holding)
        if place < stretch.count:
            return stretch.row(place)
        if stretch.last == count:
            return count
        past = stretch.after(self._engine.every)
        return stretch.last if not self._engine.every else self._rows.next_asked(stretch.last, past.wake)

    def seek(self, memory: TrendMemory, since: int, row: int) -> None:
        if row > since and self._stretch is not None and not self._lived:
            self._advance(memory, self._stretch, row)

    # -- looking ahead -----------------------------------------------------------------------------------------------------

    def _look(self, view: View) -> None:
        """What the engine holds now."""
        qty = view.position(self._engine.instrument)
        if qty < self._least:
            self._holding = None
            return
        cost = view.open_cost(self._engine.instrument)
        known = self._holding
        if known is None or (known.qty, known.cost) != (qty, cost):
            engine = self._engine

            def first(holds: Callable[[float], bool]) -> int:
                return bisect_left(range(MOST_PRICE + 1), True, key=lambda price: holds(engine.net(price, qty, cost)))

            stops_below = first(lambda net: net > -engine.stop + HAIR)
            self._holding = _Holding(qty, cost, stops_below, first(lambda net: net >= engine.arm - HAIR))

    def _buys(self, stretch: _Stretch, row: int) -> int:
        place = bisect_left(stretch.buys, stretch.place(row))
        return stretch.buys[place] if place < len(stretch.buys) else stretch.count

    def _sells(self, memory: TrendMemory, stretch: _Stretch, row: int, holding: _Holding) -> int:
        np, engine = self._np, self._engine
        high, armed = memory.high, memory.armed
        begin, size = stretch.place(row), SEARCHED
        while begin < stretch.count:
            end = min(begin + size, stretch.count)
            prices = stretch.prices[stretch.skip + begin : stretch.skip + end]
            highs = np.maximum(np.maximum.accumulate(prices), high)
            arms = np.logical_or.accumulate(prices >= holding.arms_from) | armed
            sells = (prices < holding.stops_below) | (arms & (prices / highs - 1 <= -engine.trail + HAIR))
            found = np.flatnonzero(sells & ~stretch.keeps[begin:end])
            if len(found):
                return begin + int(found[0])
            high, armed = float(highs[-1]), bool(arms[-1])
            begin, size = end, 2 * size
        return begin

    # -- bringing a memory along -------------------------------------------------------------------------------------------

    def _advance(self, memory: TrendMemory, stretch: _Stretch, row: int) -> None:
        """Bring a memory to where it stands behind the rows before this one, all passed with what is held."""
        begin = stretch.behind(memory.lows[-1][0]) if memory.lows else 0
        end = stretch.place(row)
        if end <= begin:
            return
        holding = self._holding
        times, prices = stretch.times[stretch.skip + begin : stretch.skip + end], stretch.prices[stretch.skip + begin : stretch.skip + end]
        if end - begin <= FEW:
            shown = _Shown(self._engine.instrument, holding)
            for now, price in zip(times.tolist(), prices.tolist(), strict=True):
                self._engine.decide(memory, shown.at(now, int(price)))
            return
        if holding is None:
            self._follow(memory, times, prices, stretch.lowest[begin:end])
        else:
            memory.low = 0.0
            memory.high = max(memory.high, float(prices.max()))
            memory.armed = memory.armed or bool((prices >= holding.arms_from).any())
            memory.sell_at = self._due(times, memory.sell_at, self._engine.sell_every)
        stretch.recall(memory, end - 1)

    def _follow(self, memory: TrendMemory, times: Any, prices: Any, lowest: Any) -> None:
        """The tracked low, and when it is looked again whether to buy, along rows on which nothing is held."""
        most = self._engine.band + HAIR
        low, low_at = memory.low, memory.low_at
        for now, price, least in zip(times.tolist(), prices.tolist(), lowest.tolist(), strict=True):
            if not low or price < low or now - low_at > WINDOW or low / least - 1 > most:
                low, low_at = price, now
        memory.low, memory.low_at, memory.armed, memory.high = low, low_at, False, 0.0
        memory.buy_at = self._due(times, memory.buy_at, self._engine.buy_every)

    def _due(self, times: Any, due: int, every: int) -> int:
        """When it is looked again, if it was looked along these times whenever it was due: a step that long is always followed."""
        np = self._np
        sure = np.flatnonzero((times[1:] - times[:-1] >= every) & (times[1:] >= due))
        place = int(sure[-1]) + 1 if len(sure) else int(np.searchsorted(times, due))
        while place < len(times):
            due = int(times[place]) + every
            place = int(np.searchsorted(times, due))
        return due


class _Shown:
    """A view of one price and of what is held, with nothing to trade with."""

    def __init__(self, instrument: Instrument, holding: _Holding | None) -> None:
        self.now = 0
        self._book = Book(instrument, 0)
        self._holding = holding

    def at(self, now: int, price: int) -> View:
        self.now = self._book.at = now
        self._book.bid = self._book.ask = price
        return cast(View, self)

    def book_of(self, instrument: Instrument) -> Book:  # noqa: ARG002
        return self._book

    def position(self, instrument: Instrument) -> int:  # noqa: ARG002
        return 0 if self._holding is None else self._holding.qty

    def open_cost(self, instrument: Instrument) -> int:  # noqa: ARG002
        return 0 if self._holding is None else self._holding.cost

    def orders(self) -> Sequence[object]:
        return ()

    def free(self) -> int:
        return 0

    def affordable(self, instrument: Instrument, money: int) -> int:  # noqa: ARG002
        return 0
