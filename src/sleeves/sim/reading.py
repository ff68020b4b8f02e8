"""Market data is trusted or refused here: a CSV file or columns become integer columns, all of whose rows can be true.

Clean input is read in parts, so that its cells are never all there at once. A row that cannot be true is an error that
names it, or, when repair was asked for, is mended and counted: for that the input is read again, as a whole. What was done
is kept in `Repairs`, so that a report can say on what its figures stand.

This module knows no tape, and nothing of where the columns go.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from operator import le, lt
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from attrs import evolve, frozen

from ..errors import BadTape
from ..market import Instrument
from .cells import Prices, Unit, Volumes, calendar, cells_of, floats_of, instant, instants, shown
from .columns import INT64, PART, Steps, steps_of

__all__ = [
    "MAX_LISTED",
    "PRICES",
    "Column",
    "Count",
    "Parts",
    "Read",
    "Repairs",
    "check_end",
    "check_interval",
    "gaps_told",
    "places",
    "read_columns",
    "read_parts",
    "read_table",
]

Column: TypeAlias = Iterable[Any]
"""A list, array or series of int, float, str or Decimal; for ts also of datetimes."""

MAX_LISTED = 20
"""How many row numbers a `Count` lists."""

PRICES = ("open", "high", "low", "close")


@frozen(order=False)
class Count:
    """How often something was met, and in which 1-based data rows: the first 20, in order."""

    count: int = 0
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.count}, {'first in' if len(self.rows) == MAX_LISTED else 'in'} row(s) {', '.join(map(str, self.rows))}"


@frozen(order=False)
class Repairs:
    """What was done to the input, and what is missing from it. Printed, it has one line for each thing that happened.

    `off_tick` counts prices that were rounded half-even to the tick; its `rows` are the rows that hold them. The
    others count rows. Only `off_tick` is ever not zero unless repair was asked for.

    A gap is a step of time longer than the interval. `missing_bars` counts the bars that would fill all gaps;
    `longest_gap_ns` is the longest such step, from bar open to bar open, and ends in data row `longest_gap_row`.
    """

    off_tick: Count = Count()
    duplicates: Count = Count()
    conflicts: Count = Count()
    unsorted: Count = Count()
    dropped: Count = Count()
    widened: Count = Count()
    swapped: Count = Count()
    nudged: Count = Count()
    gaps: int = 0
    missing_bars: int = 0
    longest_gap_ns: int = 0
    longest_gap_row: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything to tell: a repair or a gap."""
        return self != Repairs()

    def __str__(self) -> str:
        lines = [f"{text}: {found}" for name, text in _TOLD.items() if (found := getattr(self, name)).count]
        if self.gaps:
            longest = timedelta(microseconds=self.longest_gap_ns // 1000)
            told = f"gaps: {self.gaps}, with {self.missing_bars} bar(s) missing"
            lines.append(f"{told}; the longest is {longest} from open to open and ends in row {self.longest_gap_row}")
        return "\n".join(lines)


_TOLD = {
    "off_tick": "prices off the tick, rounded to it",
    "duplicates": "rows repeated exactly, dropped",
    "conflicts": "rows with the ts of another row but other values, dropped",
    "unsorted": "rows out of order, sorted",
    "dropped": "rows with a price that is not a positive number, dropped",
    "widened": "rows with open or close outside low..high, widened to hold them",
    "swapped": "rows with high below low, swapped",
    "nudged": "trades of one instant, each moved a nanosecond behind the one before",
}


@frozen
class Read:
    """What was read: six columns of one length, at least one row, and what a tape says of them."""

    columns: list[array[int]]
    """at, open, high, low, close and volume."""
    has_volume: bool
    interval: int
    repairs: Repairs


_Cells: TypeAlias = dict[str, Sequence[Any]]
"""ts, open, high, low, close and, if known, volume: of some rows."""

Parts: TypeAlias = Iterator[tuple[_Cells, Unit | None]]
"""Parts of a table in order; with the unit of its ts, where the table says what that is."""


def read_table(source: Path | bytes, instrument: Instrument, interval: int | None, repair: bool) -> Read:
    """Read a CSV file, plain or gzipped: once, in parts, and once more where it has to be read as a whole.

    Raises `BadTape` as `Tape.load` tells, and lets an `OSError` pass.
    """
    interval = check_interval(interval)
    with _opened(source) as file:
        read = _clean_rows(instrument, _lines(file), interval)
    if read is None:
        with _opened(source) as file:
            read = _whole(instrument, _table(file.read()), None, interval, repair)
    return read


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def read_columns(instrument: Instrument, ts: Column, given: Mapping[str, Column], interval: int | None, repair: bool) -> Read:
    """Read columns of figures: `given` has open, high, low, close and, if known, volume. Raises `BadTape` as `Tape.from_columns`."""
    interval = check_interval(interval)
    columns = {what: _kept(column) for what, column in {"ts": ts, **given}.items()}
    read = _clean_rows(instrument, _parts(columns), interval)
    if read is None:
        when, unit = calendar(columns["ts"])
        cells: _Cells = {"ts": when} | {what: cells_of(column, what) for what, column in columns.items() if what != "ts"}
        read = _whole(instrument, cells, unit, interval, repair)
    return read


def read_parts(parts: Callable[[], Parts], instrument: Instrument, interval: int | None, repair: bool) -> Read:
    """Read parts of figures, which are asked for once, and again where they have to be read as a whole."""
    interval = check_interval(interval)
    read = _clean_rows(instrument, parts(), interval)
    if read is not None:
        return read
    cells: dict[str, list[Any]] = {}
    unit: Unit | None = None
    for part, known in parts():
        unit = known
        for what, column in part.items():
            cells.setdefault(what, []).extend(column.tolist() if hasattr(column, "tolist") else column)
    if not cells:
        raise BadTape("there are no rows")
    return _whole(instrument, dict(cells), unit, interval, repair)


def check_interval(interval: object) -> int | None:
    """An interval that can be, or None for none given."""
    if interval is not None and (isinstance(interval, bool) or not isinstance(interval, int) or not 0 < interval <= INT64):
        raise BadTape(f"the interval {interval!r} must be a positive whole number of nanoseconds")
    return interval


def check_end(last: int, interval: int) -> None:
    """The last row is over at a time that fits 64 bits."""
    if last + interval > INT64:
        raise BadTape(f"the last row begins at {last}, and {interval} ns after that is after the year 2262: it does not fit 64 bits")


def gaps_told(steps: Steps, rows: Sequence[int] | None = None) -> Repairs:
    """The gaps among steps of time; `rows` are the rows' numbers in the input, where they are not 1, 2, 3 and so on."""
    row = steps.ends_in
    if row is not None:
        row = row + 1 if rows is None else rows[row]
    return Repairs(gaps=steps.gaps, missing_bars=steps.missing, longest_gap_ns=steps.longest, longest_gap_row=row)


# -- clean input, in parts -----------------------------------------------------------------------------------------------


def _clean_rows(instrument: Instrument, parts: Parts, interval: int | None) -> Read | None:
    """Input of which each row can be true as it stands, part after part; None for any other, whatever is wrong with it."""
    prices, volumes = Prices(instrument), Volumes(instrument)
    columns = [array("q") for _ in range(6)]
    off, listed = 0, dict[int, None]()
    unit: Unit | None = None
    has_volume, dated = False, False
    try:
        for cells, known in parts:
            done, rows = len(columns[0]), len(cells["ts"])
            if any(len(column) != rows for column in cells.values()) or (done and dated is (known is None)):
                return None
            has_volume, dated = "volume" in cells, known is not None
            at, unit = instants(cells["ts"], known or unit)
            read = [prices.column(cells[what]) for what in PRICES]
            volume = volumes.column(cells["volume"]) if has_volume else [0] * rows
            part = [at, *(units for units, _ in read), volume]
            if (done and at[0] <= columns[0][-1]) or not _clean(*part):
                return None
            for column, found in zip(columns, part, strict=True):
                column.extend(found)
            places = sorted(place for _, found_off in read for place in found_off)
            off += len(places)
            if len(listed) < MAX_LISTED:
                listed.update((done + place + 1, None) for place in places)
            prices.forget()
            volumes.forget()
    except (BadTape, ArithmeticError, EOFError, LookupError, TypeError, ValueError, csv.Error, gzip.BadGzipFile, zlib.error):
        return None  # what is wrong is found out, and said, where the input is read as a whole
    if not columns[0]:
        return None
    steps = steps_of(columns[0], interval)
    check_end(columns[0][-1], steps.interval)
    told = evolve(gaps_told(steps), off_tick=Count(off, tuple(listed)[:MAX_LISTED]))
    return Read(columns, has_volume, steps.interval, told)


def _kept(column: Any) -> Any:
    """A column that can be read twice, and in parts: what can be iterated but once is listed."""
    if isinstance(column, Iterable) and not isinstance(column, (str, bytes, Mapping)) and not hasattr(column, "__getitem__"):
        return list(column)
    return column


def _parts(columns: Mapping[str, Any]) -> Parts:
    vectors = {what: floats_of(column) for what, column in columns.items()}
    rows = len(columns["ts"])
    if any(len(column) != rows or isinstance(column, (str, bytes, Mapping)) for column in columns.values()):
        raise BadTape("the columns are not of one length")
    for first in range(0, rows, PART):
        when, unit = calendar(_part(columns["ts"], first))
        cells: _Cells = {"ts": when}
        for what, vector in vectors.items():
            if what != "ts":
                cells[what] = cells_of(_part(columns[what], first), what) if vector is None else vector[first : first + PART]
        yield cells, unit


def _part(column: Any, first: int) -> Any:
    return getattr(column, "iloc", column)[first : first + PART]


def _lines(file: BinaryIO) -> Parts:
    """The wanted columns of a CSV file, as text, part after part."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    raw: Any = gzip.GzipFile(fileobj=file) if packed else file
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    try:
        lines = (line for line in csv.reader(_without_zeros(text), strict=True) if line)
        header = next(lines, [])
        where = places(header)
        while rows := list(islice(lines, PART)):
            if set(map(len, rows)) != {len(header)}:
                raise BadTape("fields are missing")
            columns = list(zip(*rows, strict=True))
            yield {what: columns[place] for what, place in where.items()}, None
    finally:
        text.detach()  # whoever opened the file closes it


def _without_zeros(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise BadTape("not a text file")
        yield line


# -- from a file to cells ------------------------------------------------------------------------------------------------


def _table(data: bytes) -> _Cells:
    """The wanted columns of a CSV file, as text. Raises `BadTape` when it is not a table that has them."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise BadTape(f"the gzip file is broken: {error}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTape(f"not a text file: {error}") from error
    if "\0" in text:
        raise BadTape(f"not a text file: it holds a zero byte at character {text.index(chr(0))}")
    lines: list[list[str]] = []
    try:
        for line in csv.reader(io.StringIO(text, newline=""), strict=True):
            if line:
                lines.append(line)  # one by one: an error needs to know how far it came
    except csv.Error as error:
        raise BadTape(f"not a CSV file: {error}", len(lines) or None) from error
    if not lines:
        raise BadTape("the file is empty")
    header, rows = lines[0], lines[1:]
    where = places(header)
    if not rows:
        raise BadTape("the file has a header and no rows")
    if set(map(len, rows)) != {len(header)}:
        row, short = next((row, line) for row, line in enumerate(rows, 1) if len(line) != len(header))
        raise BadTape(f"{len(short)} field(s), but the header names {len(header)}", row)
    columns = list(zip(*rows, strict=True))
    return {what: list(columns[place]) for what, place in where.items()}


def places(names: Iterable[str]) -> dict[str, int]:
    """Where each wanted column stands among the names. Raises `BadTape` when one is missing or named twice."""
    found = [name.strip().lower() for name in names]
    missing = [what for what in ("ts", *PRICES) if what not in found]
    if missing:
        there = ", ".join(shown(name) for name in found[:20]) or "none"
        raise BadTape(f"missing column(s) {', '.join(missing)}; found {there}")
    wanted = [what for what in ("ts", *PRICES, "volume") if what in found]
    for what in wanted:
        if found.count(what) > 1:
            raise BadTape(f"column {what} is there {found.count(what)} times")
    return {what: found.index(what) for what in wanted}


# -- input as a whole ----------------------------------------------------------------------------------------------------

_Columns: TypeAlias = list[list[int]]
"""at, open, high, low, close and volume."""


def _whole(instrument: Instrument, cells: _Cells, unit: Unit | None, interval: int | None, repair: bool) -> Read:
    """Check, repair and count."""
    lengths = {what: len(column) for what, column in cells.items()}
    shortest, longest = min(lengths.values()), max(lengths.values())
    if not longest:
        raise BadTape("there are no rows")
    if shortest < longest:
        raise BadTape(f"the columns differ in length: {', '.join(f'{what} {n}' for what, n in lengths.items())}", shortest + 1)
    at, unit = instants(cells["ts"], unit)
    prices = Prices(instrument)
    read = [prices.column(cells[what]) for what in PRICES]
    volume = Volumes(instrument).column(cells["volume"]) if "volume" in cells else [0] * longest
    columns: _Columns = [list(at), *(list(units) for units, _ in read), list(volume)]
    rows: Sequence[int] = range(1, longest + 1)
    mended: dict[str, list[int]] = {}
    if not _clean(*columns):
        columns, rows, mended = _mended(columns, cells, unit, repair)
    off = sorted(place + 1 for _, places in read for place in places)
    if len(rows) < longest:
        kept = set(rows)
        off = [row for row in off if row in kept]
    made = [array("q", column) for column in columns]
    steps = steps_of(made[0], interval)
    check_end(made[0][-1], steps.interval)
    told = {kind: Count(len(found), tuple(dict.fromkeys(found))[:MAX_LISTED]) for kind, found in {**mended, "off_tick": off}.items()}
    return Read(made, "volume" in cells, steps.interval, evolve(gaps_told(steps, rows), **told))  # type: ignore[arg-type]  # the keys are those of the counts


def _clean(
    at: Sequence[int], open_: Sequence[int], high: Sequence[int], low: Sequence[int], close: Sequence[int], volume: Sequence[int]
) -> bool:
    """Whether no row needs a second look."""
    return (
        (min(at) >= 0 and min(low) > 0 and max(high) <= INT64 and min(volume) >= 0 and max(volume) <= INT64)
        and (all(map(le, low, open_)) and all(map(le, low, close)) and all(map(le, open_, high)) and all(map(le, close, high)))
        and all(map(lt, at, at[1:]))
    )


def _mended(columns: _Columns, cells: _Cells, unit: Unit, repair: bool) -> tuple[_Columns, list[int], dict[str, list[int]]]:
    """Row by row: refuse what cannot be trusted, or mend it. Gives the columns, each row's number in the input, and the rows mended."""
    mended: dict[str, list[int]] = {}
    first: dict[int, tuple[int, ...]] = {}
    latest = -1

    def refusal(row: int, fault: str) -> BadTape:
        return BadTape(fault.format_map({what: shown(column[row - 1]) for what, column in cells.items()}), row)

    def mend(kind: str, row: int, fault: str, remedy: str) -> None:
        if not repair:
            raise refusal(row, f"{fault} (repair=True {remedy})")
        mended.setdefault(kind, []).append(row)

    for row, (at, open_, high, low, close, volume) in enumerate(zip(*columns, strict=True), 1):
        if at < 0:
            raise BadTape(str(instant(cells["ts"][row - 1], unit)), row)
        if volume < 0:
            raise refusal(row, "volume {volume} is not a finite number of zero or more")
        if volume > INT64:
            raise refusal(row, "volume {volume} is too large: its lots do not fit 64 bits")
        prices = (open_, high, low, close)
        if max(prices) > INT64:
            what = PRICES[prices.index(max(prices))]
            raise refusal(row, f"{what} {{{what}}} is too large: its price units do not fit 64 bits")
        if min(prices) <= 0:
            what = PRICES[prices.index(min(prices))]
            mend("dropped", row, f"{what} {{{what}}} is not a positive finite number", "drops the row")
            continue
        if high < low:
            mend("swapped", row, "high {high} is below low {low}", "swaps them")
            high, low = low, high
        if not low <= open_ <= high or not low <= close <= high:
            what = "close" if low <= open_ <= high else "open"
            mend("widened", row, f"{what} {{{what}}} is outside low {{low}} and high {{high}}", "widens them")
            high, low = max(high, open_, close), min(low, open_, close)
        values = (row, open_, high, low, close, volume)
        if at in first:
            same = first[at][1:] == values[1:]
            fault = f"ts {{ts}} is in row {first[at][0]} already, with {'the same' if same else 'other'} values"
            mend("duplicates" if same else "conflicts", row, fault, "keeps the first")
            continue
        if at < latest:
            mend("unsorted", row, "ts {ts} is earlier than that of a row before it", "sorts the rows")
        latest = max(latest, at)
        first[at] = values
    if not first:
        raise BadTape(f"no row is left: the repair dropped all {len(columns[0])}")
    ordered = sorted(first)
    rows, *rest = (list(column) for column in zip(*(first[at] for at in ordered), strict=True))
    return [ordered, *rest], rows, mended
