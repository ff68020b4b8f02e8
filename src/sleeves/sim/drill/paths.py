"""The prices of a drill: each market stands still at its latest price, or follows a tape from there, in short rows.

Short, because what a desk answers to a fact leaves the house when the row is over in which it happened.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from ...market import SECOND, Instrument
from ...money import Rounding, divide
from ..tape import Tape

__all__ = ["path_of", "times_of"]

STEP = SECOND // 10
"""The length of the rows in which the paper market moves at first."""
FINE = 300
"""How many of those there are; the rest of the time has about as many rows again."""


def times_of(at: int, within: int) -> list[int]:
    """When rows begin, and when the last one ends: fine at first, coarser after."""
    fine = min(within // STEP, FINE)
    rest = within - fine * STEP
    coarse = max(STEP, rest // FINE)
    return [at + n * STEP for n in range(fine)] + [at + fine * STEP + n * coarse for n in range(rest // coarse + 1)]


def path_of(market: Instrument, tape: Tape | None, price: int, begins: int, times: Sequence[int]) -> Tape:
    """A market's rows at these times: the tape's own path, moved to begin there and then; else one price.

    Inside of a row of the tape the price goes as the matcher has it go, in four straight lines.
    """
    knots = [(times[0], price)] if tape is None else _knots(tape, market, price, begins, times)
    instants = [at for at, _ in knots]
    columns: dict[str, list[int]] = {name: [] for name in ("open", "high", "low", "close")}
    for since, until in pairwise(times):
        first, last = _at(knots, instants, since, market), _at(knots, instants, until, market)
        inside = [one for _, one in knots[bisect_right(instants, since) : bisect_left(instants, until)]]
        for name, value in zip(columns, (first, max(first, last, *inside), min(first, last, *inside), last), strict=True):
            columns[name].append(value)
    begun = list(times[:-1])
    volume = [0] * len(begun) if tape is None or not tape.has_volume else _volume(tape, begins, times)
    open_, high, low, close = (array("q", column) for column in columns.values())
    return Tape(
        market,
        max(b - a for a, b in pairwise(times)),
        array("q", begun),
        open_,
        high,
        low,
        close,
        array("q", volume),
        has_volume=tape is not None and tape.has_volume,
        name="flat" if tape is None else tape.name,
    )


def _knots(tape: Tape, market: Instrument, price: int, begins: int, times: Sequence[int]) -> list[tuple[int, int]]:
    """Where the path of a tape turns."""
    first, tick, knots = tape.open[0], market.tick_units, [(times[0], price)]
    for (at, open_, high, low, close, _), end in zip(tape.rows(), tape.ends(), strict=True):
        since = at - begins + times[0]
        if since > times[-1]:
            break
        path = (open_, low, high, close, close) if close >= open_ else (open_, high, low, close, close)
        for n, one in enumerate(path):
            moved = max(1, divide(one * price, first * tick, Rounding.HALF_EVEN)) * tick
            knots.append((since + (end - at) * n // 4, moved))
    return knots


def _at(knots: Sequence[tuple[int, int]], instants: Sequence[int], when: int, market: Instrument) -> int:
    """The price of a path at an instant, on the tick."""
    behind = bisect_right(instants, when)
    since, price = knots[behind - 1]
    if behind == len(knots) or since == when:
        return price
    until, there = knots[behind]
    tick = market.tick_units
    return max(1, divide(price * (until - when) + there * (when - since), (until - since) * tick, Rounding.HALF_EVEN)) * tick


def _volume(tape: Tape, begins: int, times: Sequence[int]) -> list[int]:
    """The lots of each row: its share by time of the rows of the tape that it lies in."""
    moved = [
        (at - begins + times[0], end - begins + times[0], lots) for at, end, lots in zip(tape.at, tape.ends(), tape.volume, strict=True)
    ]
    ends = [end for _, end, _ in moved]
    volume = []
    for since, until in pairwise(times):
        sum_, n = 0, bisect_right(ends, since)
        while n < len(moved) and moved[n][0] < until:
            begin, end, lots = moved[n]
            sum_ += lots * (min(end, until) - max(begin, since)) // (end - begin)
            n += 1
        volume.append(sum_)
    return volume
