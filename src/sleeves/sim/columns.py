"""Columns of 64-bit integers: what a tape is made of. To take them as they are, to prove their rows, and to search them.

A column is an `array("q")` or a memoryview of format "q", of memory or of a file. Rows are proved in parts, by numpy where
it is loaded already or so many rows repay loading it, and by builtins elsewhere: the answers are the same.

This module knows no tape and no file: it is handed columns, and says what is wrong with them, by row.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import index, le, lt, sub
from typing import Any, TypeAlias

from attrs import frozen

from ..errors import BadTape

__all__ = [
    "INT64",
    "PART",
    "Column64",
    "Extremes",
    "Steps",
    "column64",
    "ends_listed",
    "ends_of",
    "prove",
    "steps_of",
    "told_apart",
    "zeros",
]

Column64: TypeAlias = "array[int] | memoryview[int]"
"""Signed 64-bit integers side by side: slices, indexes, iterates, and offers its buffer to numpy without a copy."""

INT64 = 2**63 - 1

PART = 16_384
"""Rows that are looked at together."""

STEP = 128
"""Rows whose least and greatest are kept by `Extremes`."""

REPAYS = 500_000
"""Rows from which on loading numpy is cheaper than doing without."""

_NATIVE = frozenset({"q", "l", "n", "@q", "@l", "@n", "=q", "<q" if sys.byteorder == "little" else ">q"})


def numpy_for(rows: int) -> Any:
    """numpy, where it is loaded already or these rows repay loading it; None where it is not, or is not installed."""
    if "numpy" not in sys.modules and rows < REPAYS:
        return None
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def zeros(rows: int) -> Column64:
    """A column of zeros. It cannot be written to, and takes up no memory before it is."""
    return memoryview(bytes(8 * rows)).cast("q")


def column64(given: Any, what: str) -> Column64:
    """A column as it is where it offers a buffer of native 64-bit integers, else copied: lists, arrays, series of integers.

    Raises `BadTape`, with the 1-based row if it is one cell, for what is no whole number or does not fit 64 bits.
    """
    if isinstance(given, array) and given.typecode == "q":
        return given
    kind = str(getattr(given, "dtype", "")).lower()
    if kind.startswith(("date", "time", "duration")):
        raise BadTape(f"column {what} holds {kind}: units are whole numbers; Tape.from_columns reads datetimes")
    try:
        plain = given.to_numpy() if hasattr(given, "to_numpy") else given
    except (TypeError, ValueError) as error:
        raise BadTape(f"column {what} has no plain values: {error}") from error
    mask = getattr(plain, "mask", None)
    found = None if mask is not None and not callable(mask) else _buffer(plain)
    return _copied(plain, what) if found is None else found


def _buffer(given: Any) -> Column64 | None:
    try:
        view = memoryview(given)
    except (TypeError, ValueError, BufferError):
        return None
    if view.ndim != 1 or view.itemsize != 8 or view.format not in _NATIVE or not view.c_contiguous:
        return None
    if not len(view):
        return array("q")
    return (view if view.format == "q" else view.cast("B").cast("q")).toreadonly()


def _copied(given: Any, what: str) -> array[int]:
    cells = None
    if hasattr(given, "tolist"):
        cells = given.tolist()
    elif isinstance(given, Iterable) and not isinstance(given, (str, bytes, bytearray, Mapping)):
        cells = list(given)
    if not isinstance(cells, list):
        raise BadTape(f"column {what} is a {type(given).__name__}: give a list, an array or a series of whole numbers")
    if set(map(type, cells)) <= {int}:
        try:
            return array("q", cells)
        except OverflowError:
            pass
    column = array("q")
    for row, cell in enumerate(cells, 1):
        try:
            if isinstance(cell, bool):
                raise TypeError
            column.append(index(cell))
        except TypeError:
            raise BadTape(f"{what} {_shown(cell)} is not a whole number: Tape.from_columns reads text, floats and Decimals", row) from None
        except OverflowError:
            raise BadTape(f"{what} {_shown(cell)} does not fit 64 bits", row) from None
    return column


def _shown(cell: object) -> str:
    if isinstance(cell, int) and cell.bit_length() > 1000:  # more than Python may turn into text
        return f"of {cell.bit_length()} bits"
    text = repr(cell)
    return text if len(text) <= 40 else text[:40] + "..."


# -- proving -------------------------------------------------------------------------------------------------------------


def prove(columns: Mapping[str, Column64], tick: int, since: int = 0, before: int = -1) -> None:
    """All rows can be true: `at` rises, prices are positive and on the tick, low <= open, close <= high, volume is not negative.

    `columns` has at, open, high, low, close and, if known, volume; where two are one object, they are looked at once. `since`
    rows were proved before, of which the last was at `before`: rows are numbered behind them. Raises `BadTape` with the first
    row that cannot be true, counted from 1, and with the values and the rule.
    """
    lengths = {what: len(column) for what, column in columns.items()}
    rows, longest = min(lengths.values()), max(lengths.values())
    if rows < longest:
        raise BadTape(f"the columns differ in length: {', '.join(f'{what} {n}' for what, n in lengths.items())}", since + rows + 1)
    numpy = numpy_for(since + rows)
    for first in range(0, rows, PART):
        part = {what: column[first : first + PART] for what, column in _once(columns).items()}
        good = _good(part, tick, before) if numpy is None else _good_by(numpy, part, tick, before)
        if not good:
            whole = {what: column[first : first + PART] for what, column in columns.items()}
            raise _fault(whole, tick, since + first, before)
        before = part["at"][-1]


def _once(columns: Mapping[str, Column64]) -> dict[str, Column64]:
    """The columns, without those that are another of them once more: of a trade, open, high, low and close are its price."""
    seen: set[int] = set()
    found: dict[str, Column64] = {}
    for what, column in columns.items():
        if id(column) not in seen:
            seen.add(id(column))
            found[what] = column
    return found


def _good(part: Mapping[str, Column64], tick: int, before: int) -> bool:
    lists = {what: column.tolist() for what, column in part.items()}
    at = lists["at"]
    prices = [column for what, column in lists.items() if what not in ("at", "volume")]
    if at[0] <= before or not all(map(lt, at, at[1:])) or min(lists.get("volume", at)) < 0:
        return False
    for low, high in _pairs(lists):
        if not all(map(le, low, high)):
            return False
    return all(min(column) > 0 for column in prices) and (tick == 1 or not any(any(map(tick.__rmod__, column)) for column in prices))


def _good_by(numpy: Any, part: Mapping[str, Column64], tick: int, before: int) -> bool:
    arrays = {what: numpy.frombuffer(column, dtype="int64") for what, column in part.items()}
    at = arrays["at"]
    prices = [column for what, column in arrays.items() if what not in ("at", "volume")]
    if at[0] <= before or not bool((at[1:] > at[:-1]).all()) or ("volume" in arrays and int(arrays["volume"].min()) < 0):
        return False
    for low, high in _pairs(arrays):
        if not bool((low <= high).all()):
            return False
    return all(int(column.min()) > 0 for column in prices) and (tick == 1 or not any(bool((column % tick).any()) for column in prices))


def _pairs(columns: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Which columns are at most which others, as far as they are there."""
    for low, high in (("low", "open"), ("low", "close"), ("open", "high"), ("close", "high")):
        if low in columns and high in columns:
            yield columns[low], columns[high]


def _fault(part: Mapping[str, Column64], tick: int, since: int, before: int) -> BadTape:
    """What is wrong with the first row that cannot be true."""
    names = list(part)
    for row, values in enumerate(zip(*part.values(), strict=True), since + 1):
        cells = dict(zip(names, values, strict=True))
        fault = _fault_of(cells, tick, before)
        if fault:
            return BadTape(fault, row)
        before = cells["at"]
    raise AssertionError("a part that is not good has a row that is not")


def _fault_of(cells: Mapping[str, int], tick: int, before: int) -> str:
    if cells["at"] < 0:
        return f"at {cells['at']} is before 1970"
    if cells["at"] <= before:
        return f"at {cells['at']} does not come after that of the row before it, {before}"
    for what, units in cells.items():
        if what == "volume" and units < 0:
            return f"volume {units} is not a number of lots, zero or more"
        if what not in ("at", "volume") and units <= 0:
            return f"{what} {units} is not a positive number of price units"
        if what not in ("at", "volume") and units % tick:
            return f"{what} {units} is not on the tick of {tick} price units"
    low, high = cells["low"], cells["high"]
    if high < low:
        return f"high {high} is below low {low}"
    for what in ("open", "close"):
        if not low <= cells[what] <= high:
            return f"{what} {cells[what]} is outside low {low} and high {high}"
    return ""


def told_apart(at: Column64, listed: int) -> tuple[Column64, int, list[int]]:
    """Times of which none is that of the row before it: a row of the same time as the one before is moved a nanosecond behind it.

    Gives the times, how many rows were moved, and the first `listed` of them, counted from 1. Raises `BadTape` with the first
    row that is earlier than the one before it.
    """
    rows, numpy = len(at), numpy_for(len(at))
    if numpy is not None and rows and at[-1] <= INT64 - rows:
        given = numpy.frombuffer(at, dtype="int64")
        back = numpy.flatnonzero(given[1:] < given[:-1])
        if not len(back):
            places = numpy.arange(rows, dtype="int64")
            moved = numpy.maximum.accumulate(given - places) + places
            which = numpy.flatnonzero(moved != given)
            if not len(which):
                return at, 0, []
            return memoryview(moved).cast("B").cast("q").toreadonly(), len(which), (which[:listed] + 1).tolist()
        first = int(back[0]) + 1
    else:
        apart, rows_moved, before = array("q", at), array("q"), at[0] - 1 if rows else 0
        first = 0
        for row, now in enumerate(at):
            if row and now < at[row - 1]:
                first = row
                break
            if now <= before:
                if before == INT64:
                    raise BadTape(f"at {now} cannot be told from that of the row before it within 64 bits", row + 1)
                apart[row] = now = before + 1
                rows_moved.append(row + 1)
            before = now
        if not first:
            return (apart, len(rows_moved), rows_moved[:listed].tolist()) if rows_moved else (at, 0, [])
    raise BadTape(f"at {at[first]} is earlier than that of the row before it, {at[first - 1]}", first + 1)


# -- steps of time -------------------------------------------------------------------------------------------------------


@frozen
class Steps:
    """The steps of a column of times, held against an interval: those longer than it are gaps."""

    interval: int
    gaps: int = 0
    missing: int = 0
    """Bars that would fill all gaps."""
    longest: int = 0
    ends_in: int | None = None
    """The row, counted from 0, in which the first of the longest gaps ends."""


def steps_of(at: Column64, interval: int | None = None) -> Steps:
    """The steps of `at`, and its interval where none is given: the most common step, the smaller of equally common ones."""
    if interval is None:
        interval = _usual(at)
    if not interval:
        return Steps(0)
    gaps = missing = longest = 0
    ends_in = None
    numpy = numpy_for(len(at))
    for first in range(0, len(at), PART):
        part = at[first : first + PART + 1]
        if len(part) < 2:
            break
        if numpy is not None:
            steps = numpy.diff(numpy.frombuffer(part, dtype="int64"))
            wide = steps[steps > interval]
            if not len(wide):
                continue
            found, filled, most = len(wide), int(((wide - 1) // interval).sum()), int(wide.max())
            place = int(steps.argmax())
        else:
            listed = part.tolist()
            plain = list(map(sub, listed[1:], listed))
            most = max(plain)
            if most <= interval:
                continue
            gapped = [step for step in plain if step > interval]
            found, filled, place = len(gapped), sum((step - 1) // interval for step in gapped), plain.index(most)
        gaps, missing = gaps + found, missing + filled
        if most > longest:
            longest, ends_in = most, first + place + 1
    return Steps(interval, gaps, missing, longest, ends_in)


def _usual(at: Column64) -> int:
    counted: Counter[int] = Counter()
    numpy = numpy_for(len(at))
    for first in range(0, len(at), PART):
        part = at[first : first + PART + 1]
        if len(part) < 2:
            break
        if numpy is not None:
            steps = numpy.diff(numpy.frombuffer(part, dtype="int64"))
            if int(steps.min()) == int(steps.max()):
                counted[int(steps[0])] += len(steps)
            else:
                found, often = numpy.unique(steps, return_counts=True)
                for step, times in zip(found.tolist(), often.tolist(), strict=True):
                    counted[step] += times
        else:
            listed = part.tolist()
            counted.update(map(sub, listed[1:], listed))
    return min(counted.items(), key=lambda found: (-found[1], found[0]))[0] if counted else 0


def ends_of(at: Column64, interval: int, gapped: bool) -> Column64:
    """An interval after each begin, or where the next row begins if that is sooner. `gapped`: whether any step is longer."""
    if not interval:
        return at
    numpy = numpy_for(len(at))
    if numpy is not None:
        begins = numpy.frombuffer(at, dtype="int64")
        ends = begins + interval
        numpy.minimum(ends[:-1], begins[1:], out=ends[:-1])
        return memoryview(ends).cast("B").cast("q").toreadonly()
    ends = array("q", bytes(at[1:]))
    if gapped:
        ends = array("q", map(min, map(interval.__add__, at), ends))
    ends.append(at[-1] + interval)
    return ends


def ends_listed(begins: list[int], interval: int, last: bool, gapped: bool) -> list[int]:
    """`ends_of` for a part, as a list. `begins` has the begin of the row behind the part too, unless `last`: there is none."""
    if not interval:
        return begins if last else begins[:-1]
    after = begins[1:]
    if last:
        after.append(begins[-1] + interval)
    return list(map(min, map(interval.__add__, begins), after)) if gapped else after


# -- searching -----------------------------------------------------------------------------------------------------------


class Extremes:
    """The least low and the greatest high by steps of rows, worked out part by part where a search comes by."""

    __slots__ = ("_high", "_low", "_parts")

    def __init__(self, low: Column64, high: Column64) -> None:
        self._low, self._high = low, high
        self._parts: dict[int, tuple[int, int, array[int], array[int]]] = {}

    def first(self, row: int, low: int, high: int, stop: int) -> int:
        """The first row from `row` on whose low is at most `low` or whose high is at least `high`; `stop` where none is before it."""
        parts = self._parts
        while row < stop:
            number = row // PART
            part = parts.get(number) or self._part(number)
            begin = number * PART
            if part[0] <= low or part[1] >= high:
                _, _, lows, highs = part
                for step in range((row - begin) // STEP, len(lows)):
                    if lows[step] <= low or highs[step] >= high:
                        since = begin + step * STEP
                        first = row if row > since else since
                        if first >= stop:
                            return stop
                        found = self._scan(first, since + STEP, low, high)
                        if found >= 0:
                            return found if found < stop else stop
            row = begin + PART
        return stop

    def _scan(self, first: int, last: int, low: int, high: int) -> int:
        lows, highs = self._low[first:last].tolist(), self._high[first:last].tolist()
        for row, (least, most) in enumerate(zip(lows, highs, strict=True), first):
            if least <= low or most >= high:
                return row
        return -1

    def _part(self, number: int) -> tuple[int, int, array[int], array[int]]:
        first = number * PART
        low, high = self._low[first : first + PART], self._high[first : first + PART]
        numpy = numpy_for(len(self._low))
        if numpy is not None:
            starts = numpy.arange(0, len(low), STEP)
            lows = array("q", numpy.minimum.reduceat(numpy.frombuffer(low, dtype="int64"), starts).tobytes())
            highs = array("q", numpy.maximum.reduceat(numpy.frombuffer(high, dtype="int64"), starts).tobytes())
        else:
            lows = array("q", (min(low[place : place + STEP]) for place in range(0, len(low), STEP)))
            highs = array("q", (max(high[place : place + STEP]) for place in range(0, len(high), STEP)))
        self._parts[number] = part = (min(lows), max(highs), lows, highs)
        return part
