"""Where on a tape `Scalp` can buy, when it trades one market on bars, and what it remembers there.

While nothing is held, ordered or to be settled it can only buy, and it buys only on a move that is worth more than a round trip
costs: that is the one of its conditions that a pass looks for. The others are its own to judge. As long as anything else is
going on it is asked on every row, for minutes.

Between two such rows its pod's turns are passed on as they would have been, and the samples and the best of the last turn are
made anew. On ticks, which samples gather up, and on several markets, which take turns, there is no plan.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from ..market import Book
from ..protocols import Columns, View
from .momentum import Sample
from .passes import STRETCH, Rows

if TYPE_CHECKING:
    from .scalp import Scalp, ScalpMemory

__all__ = ["Bursts", "on_bars"]

FEW = 4
"""Rows that are sooner decided one by one than brought in at once."""


def on_bars(np: Any, tape: Columns, step: int) -> bool:
    """Whether each row of a tape is over so many ns after the one before, or later: then each is a sample of its own."""
    rows = Rows(np, tape)
    for first in range(0, rows.count, STRETCH):
        ends = rows.ends(first, min(first + STRETCH + 1, rows.count))
        if len(ends) > 1 and int(np.diff(ends).min()) < step:
            return False
    return True


class Bursts:
    """A plan of `Scalp` on one market. How far a memory has come, it says itself: by the last price that it saw."""

    def __init__(self, np: Any, engine: Scalp, tape: Columns, stretch: int = STRETCH) -> None:
        self._np, self._engine, self._size = np, engine, stretch
        self._rows = Rows(np, tape)
        self._market = tape.instrument
        self._lots = tape.instrument.lot_units if tape.has_volume else 0
        self._last = 0
        """The rows before this one were looked through."""
        self._moves: list[int] = []
        """Rows of the present stretch with a move that is worth it."""
        self._first = -1
        """The row that it began at; -1: not yet."""
        self._lived = False
        self._least = max(self._market.lot_units, self._market.min_qty_units)

    def next(self, memory: ScalpMemory, row: int, view: View) -> int:
        watch, count = memory.watches[self._market.symbol], self._rows.count
        if self._first < 0:
            self._first, self._lived = row, watch.seen_at >= 0
        if row >= count:
            return count
        busy = watch.since >= 0 or watch.asked_at >= 0 or view.position(self._market) >= self._least or view.orders()
        if busy or self._lived:
            self._pass(memory, row)
            return row
        while True:
            if row < self._last:
                place = bisect_left(self._moves, row)
                if place < len(self._moves):
                    return self._moves[place]
            if self._last >= count:
                return count
            first = self._last if row < self._last + self._size else row
            self._last = min(first + self._size, count)
            self._moves = self._worth(first, self._last)

    def seek(self, memory: ScalpMemory, since: int, row: int) -> None:
        if row > since:
            self._pass(memory, row)

    def _worth(self, first: int, last: int) -> list[int]:
        """Rows whose move over the window, as far as it is counted on, is worth more than a round trip, at no spread."""
        np, engine, momentum = self._np, self._engine, self._engine.momentum
        begin = max(0, first - momentum.most_samples)
        ends, prices = self._rows.ends(begin, last), self._rows.close[begin:last].astype(np.float64)
        then = np.searchsorted(ends, ends - momentum.window, "right") - 1
        moves = prices / prices[np.maximum(then, 0)] - 1
        worth = (then >= 0) & (np.minimum(engine.take, engine.follow * moves) > engine.cost)
        found: list[int] = (np.flatnonzero(worth[first - begin :]) + first).tolist()
        return found

    # -- bringing a memory along -------------------------------------------------------------------------------------------

    def _pass(self, memory: ScalpMemory, row: int) -> None:
        """Bring a memory to where it stands behind the rows before this one, on all of which nothing was going on."""
        engine, watch, turns = self._engine, memory.watches[self._market.symbol], memory.turns
        begin = self._behind(watch.seen_at, row)
        if begin >= row:
            return
        pod = engine.pods[0].name
        ends = self._rows.ends(begin, row).tolist()
        if row - begin > FEW:
            since, looks = begin, list[int]()
            for place, now in enumerate(ends, begin):
                if engine.pass_turn(turns, now):
                    since, memory.glance, memory.asked = place, None, ""
                    looks.clear()
                if turns.has(pod, now):
                    turns.standings[pod].looked = True
                    looks.append(place)
            if since > begin:
                self._sample(memory, since)
            self._look(memory, since, ends[since - begin :], looks)
            return
        shown = _Shown(self._market, self._rows, self._lots)
        for place, now in enumerate(ends, begin):
            engine.decide(memory, shown.at(place, now))

    def _behind(self, time: int, row: int) -> int:
        """The first row before this one, or this one, that is over after a time."""
        if time < 0:
            return self._first
        at = self._rows.at[:row]
        begin = max(0, int(self._np.searchsorted(at, time, "right")) - 1 - (self._rows.interval == 0))
        return begin + int(self._np.searchsorted(self._rows.ends(begin, row), time, "right"))

    def _sample(self, memory: ScalpMemory, row: int) -> None:
        """The samples behind the rows before this one."""
        np, momentum, samples = self._np, self._engine.momentum, memory.watches[self._market.symbol].samples
        begin = max(self._first, row - momentum.most_samples)
        ends = self._rows.ends(begin, row)
        oldest = int(np.searchsorted(ends, ends[-1] - momentum.window - momentum.history, "right")) - 1
        kept = max(0, oldest)
        samples.clear()
        for place, now in enumerate(ends[kept:].tolist(), begin + kept):
            price = float(self._rows.close[place])
            samples.append(Sample(now, now, price, math.log(price), self._volume(place)))

    def _look(self, memory: ScalpMemory, first: int, ends: Sequence[int], looks: Sequence[int]) -> None:
        """Take these rows' prices in, and look at those of its pod's turn."""
        watch, looked = memory.watches[self._market.symbol], set(looks)
        shown = _Shown(self._market, self._rows, self._lots)
        for row, now in enumerate(ends, first):
            view = shown.at(row, now)
            self._engine.momentum.note(watch.samples, shown.book)
            if row in looked:
                self._engine.note_look(memory, view, self._market, shown.book)
        memory.now = watch.seen_at = ends[-1]

    def _volume(self, row: int) -> int:
        return int(self._rows.volume[row]) * self._lots if self._lots else -1


class _Shown:
    """A view of the prices of one market, with nothing that was ordered and nothing to trade with."""

    def __init__(self, instrument: Any, rows: Rows, lots: int) -> None:
        self.now = 0
        self.book = Book(instrument, 0)
        self._rows, self._lots = rows, lots

    def at(self, row: int, now: int) -> View:
        book = self.book
        book.before, book.at = book.at or now, now
        self.now = now
        book.bid = book.ask = int(self._rows.close[row])
        book.volume = int(self._rows.volume[row]) * self._lots if self._lots else -1
        return cast(View, self)

    def book_of(self, instrument: Any) -> Book:  # noqa: ARG002
        return self.book

    def news(self, kind: Any, topic: str) -> None:
        """None is told along a tape that is planned."""

    def position(self, instrument: Any) -> int:  # noqa: ARG002
        return 0

    def orders(self) -> Sequence[object]:
        return ()
