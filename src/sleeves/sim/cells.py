"""Cells to integers: what one figure of market data says, exactly, in the units of an instrument.

Text, floats and Decimals become whole numbers here, and never through a float: a float is read as the shortest text that
stands for it. Where arithmetic is sure of the same answer the text is not made, cell by cell or, of a numpy column, all at once.

This module knows no rows, columns' names or files: whoever reads says what a bad cell means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from ..errors import BadTape
from ..market import SECOND, Instrument
from ..money import Rounding, divide
from .columns import INT64, numpy_for

__all__ = ["DATED", "Prices", "Unit", "Volumes", "calendar", "cells_of", "floats_of", "instant", "instants", "shown"]

MANY = 500
"""Floats that are quicker in numpy, if that is loaded."""

MOST_TEXTS = 100_000
"""Texts whose figures are remembered from part to part."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# -- from columns to cells -----------------------------------------------------------------------------------------------


def cells_of(column: Any, what: str) -> list[Any]:
    """A column of numbers as a plain list."""
    kind = _kind(column)
    if kind.startswith(("date", "time", "duration")):
        raise BadTape(f"column {what} holds {kind}: give numbers")
    cells = None
    if kind in ("float16", "float32"):  # their shortest text is not that of the float64 which a list would hold
        cells = (column.to_numpy() if hasattr(column, "to_numpy") else column).astype("U64").tolist()
    elif hasattr(column, "to_list") or hasattr(column, "tolist"):
        cells = column.to_list() if hasattr(column, "to_list") else column.tolist()
    elif isinstance(column, Iterable) and not isinstance(column, (str, bytes, Mapping)):
        cells = list(column)
    if not isinstance(cells, list):
        raise BadTape(f"column {what} is a {type(column).__name__}: give a list, an array or a series")
    return cells


def calendar(column: Any) -> tuple[list[Any], Unit | None]:
    """A ts column as a plain list, and its unit when the column itself says what that is: None leaves it to the first row."""
    if _kind(column).startswith(("date", "timestamp")):
        moments = column
        if hasattr(column, "to_numpy"):
            zoned = hasattr(column.dtype, "tz") and hasattr(column.dtype, "unit")  # of these pandas would make objects
            moments = column.to_numpy(dtype=f"datetime64[{column.dtype.unit}]") if zoned else column.to_numpy()
        if moments.dtype.kind == "M":
            return _from_datetime64(moments), DATED
        return [_from_datetime(cell) for cell in moments.tolist()], DATED
    cells = cells_of(column, "ts")
    if cells and all(isinstance(cell, datetime) for cell in cells):
        return [_from_datetime(cell) for cell in cells], DATED
    return cells, None


def floats_of(column: Any) -> Any:
    """A column of float64 as a numpy array; None for any other."""
    if _kind(column) != "float64":
        return None
    try:
        values = column.to_numpy() if hasattr(column, "to_numpy") else column
    except (TypeError, ValueError):
        return None
    whole = getattr(values, "ndim", 0) == 1 and str(values.dtype) == "float64" and type(values).__name__ == "ndarray"
    return values if whole and values.dtype.isnative else None


def _kind(column: Any) -> str:
    """The dtype of a numpy, pandas or polars column in lower case, or nothing."""
    return str(getattr(column, "dtype", "")).lower()


def _from_datetime64(column: Any) -> list[int | None]:
    """Nanoseconds of a numpy datetime64 array of any unit, exactly: numpy's own conversion would wrap around."""
    match = re.fullmatch(r"datetime64\[(\d*)(D|h|m|s|ms|us|ns)\]", str(column.dtype.name))
    if match is None:
        raise BadTape(f"column ts holds {column.dtype}: give datetimes in days or finer")
    step = int(match.group(1) or 1) * _DATETIME64[match.group(2)]
    return [None if value == -(2**63) else value * step for value in column.astype("int64").tolist()]


_DATETIME64 = {"D": 86_400 * SECOND, "h": 3_600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}


def _from_datetime(moment: Any) -> int | None:
    """Nanoseconds of a datetime, with those of a pandas Timestamp; without a zone it is UTC. None for NaT."""
    if not isinstance(moment, datetime) or moment != moment:  # NaT differs from itself
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int((aware - _EPOCH) // timedelta(microseconds=1)) * 1000 + int(getattr(moment, "nanosecond", 0))


# -- from cells to integers ----------------------------------------------------------------------------------------------


def _text(cell: Any) -> str:
    """The shortest text that stands for a cell."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, float):
        return float.__repr__(cell)
    if isinstance(cell, int) and cell.bit_length() > 1000:  # more than Python may turn into text
        return "1e400" if cell > 0 else "-1e400"
    return str(cell)


def shown(cell: Any) -> str:
    text = _text(cell)
    return repr(text if len(text) <= 40 else text[:40] + "...")


_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
_MAX_TEXT = 1200
_MAX_EXPONENT = 2400
_TENS: tuple[int, ...] = tuple(10**places for places in range(40))


def _ratio(text: str) -> tuple[int, int] | None:
    """A finite decimal number as numerator and positive denominator, or None for any other text.

    Exact for all that can end up in 64 bits; a huge exponent is cut to one that is still out of reach, so that nobody
    has to work out 1e999999.
    """
    whole, _, decimals = text.partition(".")
    plain = whole + decimals
    if len(plain) < 40 and plain.isascii() and plain.isdigit():
        return int(plain), _TENS[len(decimals)]
    match = _NUMBER.fullmatch(text.strip(" ")) if len(text) <= _MAX_TEXT else None
    if match is None:
        return None
    sign, whole, decimals, power = match.groups()
    digits = int(whole + decimals) * (-1 if sign == "-" else 1)
    exponent = max(-_MAX_EXPONENT, min(_MAX_EXPONENT, int(power or 0) - len(decimals)))
    shift: int = 10 ** abs(exponent)
    return (digits * shift, 1) if exponent >= 0 else (digits, shift)


class Prices(dict[str, int]):
    """What a text is in price units, each worked out once. 0: not a price. Beyond 64 bits: too large a one."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self.times, self.tick = _TENS[instrument.price_scale], instrument.tick_units
        self.off_tick: set[str] = set()

    def __missing__(self, text: str) -> int:
        exact = _ratio(text)
        if exact is None or exact[0] <= 0:
            self[text] = 0
            return 0
        numerator, denominator = exact[0] * self.times, exact[1] * self.tick
        ticks, rest = divmod(numerator, denominator)
        if rest:
            self.off_tick.add(text)
            ticks = max(1, divide(numerator, denominator, Rounding.HALF_EVEN))
        self[text] = units = ticks * self.tick
        return units

    def column(self, cells: Sequence[Any]) -> tuple[list[int], list[int]]:
        """The price units of a column, and the places that were off the tick."""
        if hasattr(cells, "dtype"):
            return self._vector(cells)
        if set(map(type, cells)) == {float}:
            numpy = numpy_for(0) if len(cells) >= MANY else None
            return self._floats(cells) if numpy is None else self._vector(numpy.array(cells))
        texts = list(map(_text, cells))
        units = list(map(self.__getitem__, texts))
        return units, [place for place, text in enumerate(texts) if text in self.off_tick] if self.off_tick else []

    def forget(self) -> None:
        """Let go of the texts so far, where they are many."""
        if len(self) > MOST_TEXTS:
            self.clear()
            self.off_tick.clear()

    def _vector(self, cells: Any) -> tuple[list[int], list[int]]:
        """`_floats`, for a numpy array of float64."""
        numpy = numpy_for(0)
        tick, times = self.tick, self.times
        with numpy.errstate(all="ignore"):
            ticks = cells * (times / tick)
            nearest = numpy.rint(ticks)
            sure = (cells > 0) & (cells < min(1e12 * tick, 1e15) / times) & (numpy.abs(ticks - nearest) < 0.49)
            units = numpy.where(sure, numpy.maximum(nearest, 1), 1).astype("int64") * tick
            off = sure & (units / float(times) != cells)
        if bool(sure.all()):
            return units.tolist(), numpy.flatnonzero(off).tolist() if bool(off.any()) else []
        found, places = units.tolist(), set(numpy.flatnonzero(off).tolist())
        for place in numpy.flatnonzero(~sure).tolist():
            text = float.__repr__(float(cells[place]))
            found[place] = self[text]
            if text in self.off_tick:
                places.add(place)
        return found, sorted(places)

    def _floats(self, cells: Sequence[float]) -> tuple[list[int], list[int]]:
        """As if each float were read as its shortest text, without the text where arithmetic is sure of the same answer.

        Below 1e12 ticks the error of the product is under 0.001, so only a price near the middle of two ticks needs its
        text. And of at most 15 digits only one decimal gives a float: when the tick found gives it, that is its text.
        """
        tick, times = self.tick, self.times
        per_tick, most = times / tick, min(1e12 * tick, 1e15) / times
        found, off = [], []
        for place, cell in enumerate(cells):
            if 0 < cell < most:
                ticks = cell * per_tick
                nearest = round(ticks)
                if -0.49 < ticks - nearest < 0.49:
                    units = (nearest or 1) * tick
                    if units / times != cell:
                        off.append(place)
                    found.append(units)
                    continue
            text = float.__repr__(cell)
            found.append(self[text])
            if text in self.off_tick:
                off.append(place)
        return found, off


class Volumes(dict[str, int]):
    """What a text is in whole lots, rounded down, each worked out once. -1: not a volume. Beyond 64 bits: too large a one."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self.times, self.lot = _TENS[instrument.base.scale], instrument.lot_units

    def __missing__(self, text: str) -> int:
        exact = _ratio(text)
        lots = -1 if exact is None or exact[0] < 0 else exact[0] * self.times // (exact[1] * self.lot)
        self[text] = lots
        return lots

    def column(self, cells: Sequence[Any]) -> list[int]:
        """The lots of a column."""
        if hasattr(cells, "dtype"):
            return self._vector(cells)
        if set(map(type, cells)) == {float}:
            numpy = numpy_for(0) if len(cells) >= MANY else None
            return self._floats(cells) if numpy is None else self._vector(numpy.array(cells))
        return list(map(self.__getitem__, map(_text, cells)))

    def forget(self) -> None:
        """Let go of the texts so far, where they are many."""
        if len(self) > MOST_TEXTS:
            self.clear()

    def _vector(self, cells: Any) -> list[int]:
        """`_floats`, for a numpy array of float64."""
        numpy = numpy_for(0)
        lot, times = self.lot, self.times
        with numpy.errstate(all="ignore"):
            lots = cells * (times / lot)
            within = (cells > 0) & (cells < min(1e12 * lot, 1e15) / times)
            nearest = numpy.where(within, numpy.rint(lots), 0).astype("int64")
            whole = within & (nearest * lot / float(times) == cells)
            sure = whole | (within & (numpy.abs(lots - nearest) >= 0.01)) | (cells == 0)
            down = numpy.where(whole, nearest, numpy.where(within, lots, 0).astype("int64"))
        found: list[int] = down.tolist()
        if not bool(sure.all()):
            for place in numpy.flatnonzero(~sure).tolist():
                found[place] = self[float.__repr__(float(cells[place]))]
        return found

    def _floats(self, cells: Sequence[float]) -> list[int]:
        """As `Prices._floats`: only a volume next to a whole number of lots, and not exactly that, needs its text."""
        lot, times = self.lot, self.times
        per_lot, most = times / lot, min(1e12 * lot, 1e15) / times
        found = []
        for cell in cells:
            if 0 < cell < most:
                lots = cell * per_lot
                nearest = round(lots)
                if nearest * lot / times == cell:
                    found.append(nearest)
                    continue
                if not -0.01 < lots - nearest < 0.01:
                    found.append(int(lots))
                    continue
            found.append(self[float.__repr__(cell)])
        return found


@frozen
class Unit:
    """A unit of time since 1970: `factor` nanoseconds, and the figures low <= ts < high that are read in it."""

    name: str
    factor: int
    low: int
    high: int


_UNITS = (
    Unit("seconds", SECOND, 0, 10**11),
    Unit("milliseconds", 1_000_000, 10**11, 10**14),
    Unit("microseconds", 1_000, 10**14, 10**17),
    Unit("nanoseconds", 1, 10**17, INT64 + 1),
)
DATED = Unit("nanoseconds", 1, 0, INT64 + 1)


def instants(cells: Sequence[Any], unit: Unit | None) -> tuple[list[int], Unit]:
    """A ts column in nanoseconds, in the unit of its first row unless given: -1 where it cannot be read, for `instant` to say why."""
    unit = unit or next((unit for unit in reversed(_UNITS) if _magnitude(cells[0]) >= unit.low), _UNITS[0])
    factor, whole = unit.factor, _whole(cells)
    if whole is not None and unit.low <= min(whole) and max(whole) < min(unit.high, INT64 // factor):
        return [number * factor for number in whole], unit
    found = (instant(cell, unit) for cell in cells)
    return [-1 if isinstance(instant, str) else instant for instant in found], unit


def _whole(cells: Sequence[Any]) -> list[int] | None:
    """The cells as integers when all of them plainly are, else None."""
    kinds = set(map(type, cells))
    if kinds == {int}:
        return list(cells)
    if kinds == {str} and 0 < min(map(len, cells)) <= max(map(len, cells)) <= 19:
        digits = "".join(cells)
        return list(map(int, cells)) if digits.isascii() and digits.isdigit() else None
    if kinds == {float} and all(map(float.is_integer, cells)) and max(map(abs, cells)) < 2**53:
        return list(map(int, cells))
    return None


def _magnitude(cell: Any) -> int:
    exact = _ratio(_text(cell))
    return 0 if exact is None else exact[0] // exact[1]


def instant(cell: Any, unit: Unit) -> int | str:
    """A ts in nanoseconds, or what is wrong with it."""
    exact = _ratio(_text(cell))
    if exact is None:
        return f"ts {shown(cell)} is not a number: give seconds, milliseconds, microseconds or nanoseconds since 1970"
    numerator, denominator = exact
    if numerator < 0:
        return f"ts {shown(cell)} is before 1970"
    whole = numerator // denominator
    if whole <= INT64 and not unit.low <= whole < unit.high:
        other = next(unit for unit in reversed(_UNITS) if whole >= unit.low)
        return f"ts {shown(cell)} would be in {other.name}, but the first row is in {unit.name}"
    nanos, rest = divmod(numerator * unit.factor, denominator)
    if nanos > INT64:
        return f"ts {shown(cell)} is after the year 2262: its nanoseconds do not fit 64 bits"
    if rest:
        return f"ts {shown(cell)} in {unit.name} is not a whole number of nanoseconds"
    return nanos
