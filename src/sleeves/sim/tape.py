"""The tape: what one market did, as parallel integer columns that a simulator replays.

Reading is where market data is trusted or refused. Text, floats and Decimals become integers exactly once, here, and
never through a float; a row that cannot be true is an error that names it, or, when repair was asked for, is mended
and counted. What was done is kept in `Repairs`, so that a report can say on what its figures stand.

A tape knows nothing of orders, books, engines or clocks, and nothing of where its bars go. It opens a file only when
asked to load one, and it needs no numpy, pandas or polars: it asks a column for a list of its values.

    >>> from sleeves.money import BTC, USD
    >>> btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
    >>> tape = Tape.from_columns(btc, ts=[1506816000, 1506819600], open=["10", "10.5"], high=[11, 11], low=[9, 10.25], close=["10.5", "11"])
    >>> list(tape.rows())[1]
    (1506819600000000000, 1050, 1100, 1025, 1100, 0)
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import sys
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import chain, pairwise
from operator import le, lt, sub
from pathlib import Path
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from ..errors import BadTape
from ..market import SECOND, FundingRate, Instrument
from ..money import BTC, USD, Rounding, divide
from ..news import News
from .columns import INT64, PART, Column64, Extremes, Steps, column64, ends_listed, ends_of, prove, steps_of, zeros

__all__ = ["SAMPLE_INSTRUMENT", "Column", "Count", "Depth", "Repairs", "Tape"]

SAMPLE_INSTRUMENT = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001", min_qty="0.0001", min_notional="1")
"""The market of `Tape.sample()`: Coinbase BTC/USD."""

Column: TypeAlias = Iterable[Any]
"""A list, array or series of int, float, str or Decimal; for ts also of datetimes."""

MAX_LISTED = 20
"""How many row numbers a `Count` lists."""

_SAMPLE = "btc-usd-1h-2017-10-2018-03.csv.gz"
_PRICES = ("open", "high", "low", "close")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


@frozen(order=False)
class Depth:
    """A book as it was shown at one instant: (price, base units) by level, best first, in the instrument's units.

    Raises `BadTape` unless prices fall from bid to bid, rise from ask to ask, do not cross, and all figures are positive.
    """

    at: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]

    def __attrs_post_init__(self) -> None:
        levels = (*self.bids, *self.asks)
        if type(self.at) is not int or not all(type(n) is int and n > 0 for level in levels for n in level):
            raise BadTape(f"a book at {self.at!r} needs whole nanoseconds and levels of positive whole units: {levels!r}")
        down = [price for price, _ in reversed(self.bids)] + [price for price, _ in self.asks]
        if any(a >= b for a, b in pairwise(down)):
            raise BadTape(f"a book at {self.at} has levels that cross or are out of order: bids {self.bids}, asks {self.asks}")


_TOLD = {
    "off_tick": "prices off the tick, rounded to it",
    "duplicates": "rows repeated exactly, dropped",
    "conflicts": "rows with the ts of another row but other values, dropped",
    "unsorted": "rows out of order, sorted",
    "dropped": "rows with a price that is not a positive number, dropped",
    "widened": "rows with open or close outside low..high, widened to hold them",
    "swapped": "rows with high below low, swapped",
}


@frozen(eq=False, repr=False)
class Tape:
    """Bars of one instrument in order of time: at least one row, strictly rising in `at`, each with low <= open, close <= high.

    The columns are of 64-bit integers and of equal length: `array("q")`, or memoryviews of format "q". `at` is the bar's
    open in nanoseconds UTC; prices are in the instrument's price units, positive and on the tick; `volume` is in whole lots
    of the instrument, rounded down, and all zero, for unknown, when `has_volume` is False. `interval` is the bar's length in
    nanoseconds: the most common step of `at` (the smaller of equally common ones), zero for a single row, unless it was
    given. A row may be a single trade: its four prices are one column then, and its interval is zero.

    Make one with `load`, `from_columns`, `from_frame`, `from_units`, `from_ticks` or `sample`, which check all this; the
    constructor does not.
    """

    instrument: Instrument
    interval: int
    at: Column64
    open: Column64
    high: Column64
    low: Column64
    close: Column64
    volume: Column64
    has_volume: bool = True
    repairs: Repairs = field(factory=Repairs)
    name: str = "columns"
    funding: tuple[FundingRate, ...] = ()
    """Funding that falls due along the tape, in order of time: of perpetuals only."""
    depths: tuple[Depth, ...] = ()
    """Books that were shown along the tape, in order of time."""
    news: tuple[News, ...] = ()
    """News that is told along the tape, in order of time: fair values, readings, rates that are published and not yet due."""
    outside: int = 0
    """Funding rates, books and news that were given and lie outside of the tape: they are left out."""
    _known: dict[str, Any] = field(init=False, factory=dict)
    """What was worked out about the columns and is kept: whether any step is longer than the interval, and their extremes."""

    def with_funding(self, rates: Iterable[FundingRate]) -> Tape:
        """The tape with these funding rates, sorted, as far as they fall due after it begins and until it ends.

        Raises `BadTape` for another instrument's, two at once, or when none of them falls due along the tape.
        """
        given = tuple(rates)
        if not all(isinstance(rate, FundingRate) for rate in given):
            raise BadTape(f"funding is FundingRates, not {next(rate for rate in given if not isinstance(rate, FundingRate))!r}")
        rates = tuple(sorted(given, key=lambda rate: rate.at))
        if any(rate.instrument != self.instrument for rate in rates):
            raise BadTape(f"funding of another instrument than {self.instrument}")
        _once([rate.at for rate in rates], "funding rates")
        along = tuple(rate for rate in rates if self.at[0] < rate.at <= self.at[-1] + self.interval)
        self._check_along(along, rates, "funding rates")
        return self._with(funding=along, outside=self.outside + len(rates) - len(along))

    def with_depth(self, depths: Iterable[Depth]) -> Tape:
        """The tape with these books, sorted, as far as they are shown along it. Raises `BadTape` as `with_funding` does."""
        given = tuple(depths)
        if not all(isinstance(depth, Depth) for depth in given):
            raise BadTape(f"books are Depths, not {next(depth for depth in given if not isinstance(depth, Depth))!r}")
        depths = tuple(sorted(given, key=lambda depth: depth.at))
        _once([depth.at for depth in depths], "books")
        along = tuple(depth for depth in depths if self.at[0] <= depth.at <= self.at[-1] + self.interval)
        self._check_along(along, depths, "books")
        return self._with(depths=along, outside=self.outside + len(depths) - len(along))

    def with_news(self, news: Iterable[News]) -> Tape:
        """The tape with this news, sorted, as far as it is told along it. It tells, and nothing follows from it by itself.

        Raises `BadTape` for what is no news, or when none of it lies along the tape.
        """
        given = tuple(news)
        if not all(isinstance(one, News) for one in given):
            stranger = next(one for one in given if not isinstance(one, News))
            raise BadTape(f"news is FairValue, Reading, FundingRate, PoolState or TokenFacts, not {stranger!r}")
        news = tuple(sorted(given, key=lambda one: one.at))
        along = tuple(one for one in news if self.at[0] <= one.at <= self.at[-1] + self.interval)
        self._check_along(along, news, "news")
        return self._with(news=along, outside=self.outside + len(news) - len(along))

    def _with(self, **changes: Any) -> Tape:
        """The tape with other things along it: its columns, and what is known of them, are the same."""
        tape = evolve(self, **changes)
        tape._known.update(self._known)
        return tape

    def _check_along(self, along: Sequence[object], given: Sequence[News | Depth], what: str) -> None:
        if given and not along:
            times = f"{given[0].at} to {given[-1].at} ns"
            raise BadTape(
                f"none of the {what}, {times}, lies along {self.name}, {self.at[0]} to {self.at[-1] + self.interval} ns since 1970"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], instrument: Instrument, *, interval: int | None = None, repair: bool = False) -> Tape:
        """Read a CSV file, plain or gzipped (told by its first bytes, not by its name), in UTF-8 with commas.

        The first line names the columns: ts, open, high, low, close and, if known, volume, in any order and case;
        others are ignored. Volume is in base coins. Blank lines are skipped and not counted as rows. What `ts` may be,
        and what is refused or repaired, is said at `from_columns`.

        Raises `BadTape` when the file cannot be read, is no such file, or holds a row that cannot be trusted.
        """
        name = Path(path).name
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            raise BadTape(f"{name} cannot be read: {error}") from error
        return _tape(instrument, _table(data), None, interval, repair, name)

    @classmethod
    def from_columns(
        cls,
        instrument: Instrument,
        *,
        ts: Column,
        open: Column,  # noqa: A002 the column's name
        high: Column,
        low: Column,
        close: Column,
        volume: Column | None = None,
        interval: int | None = None,
        repair: bool = False,
        name: str = "columns",
    ) -> Tape:
        """Read columns of equal length: lists, numpy arrays, pandas or polars series.

        `ts` is the bar's open since 1970 UTC: in seconds below 1e11, milliseconds below 1e14, microseconds below 1e17,
        else nanoseconds. The first row decides for all. Datetimes are taken too; one without a zone is UTC. A float is
        read as the shortest text that stands for it. Prices off the tick are rounded half-even to it, at least to one
        tick, and counted. `volume` is in base coins.

        Raises `BadTape` with the 1-based row for a price that is not a positive number, a volume that is negative or no
        number, high below low, open or close outside low..high, rows out of order, two rows of one ts, a ts that cannot
        be read, and figures that do not fit 64 bits. With `repair`, rows with a bad price are dropped, high and low are
        swapped or widened, rows are sorted, and of rows with one ts the first is kept; all of it counted in `repairs`.
        What has no obvious repair (a bad ts or volume, a missing column, a short row, no row left) remains an error.
        """
        when, unit = _calendar(ts)
        given = {"open": open, "high": high, "low": low, "close": close} | ({} if volume is None else {"volume": volume})
        cells = {"ts": when} | {what: _cells(column, what) for what, column in given.items()}
        return _tape(instrument, cells, unit, interval, repair, name)

    @classmethod
    def from_frame(
        cls, instrument: Instrument, frame: Any, *, interval: int | None = None, repair: bool = False, name: str = "frame"
    ) -> Tape:
        """Read a pandas or polars DataFrame, or any mapping of columns, with the column names of `load`. See `from_columns`."""
        names = getattr(frame, "columns", None)
        if names is None and isinstance(frame, Mapping):
            names = frame.keys()
        if names is None:
            raise BadTape(f"a {type(frame).__name__} has no named columns: give a DataFrame or a mapping of columns")
        names = list(names)
        found = {what: frame[names[place]] for what, place in _places(map(str, names)).items()}
        return cls.from_columns(instrument, **found, interval=interval, repair=repair, name=name)

    @classmethod
    def from_units(
        cls,
        instrument: Instrument,
        *,
        at: Any,
        open: Any,  # noqa: A002 the column's name
        high: Any,
        low: Any,
        close: Any,
        volume: Any = None,
        interval: int | None = None,
        name: str = "columns",
    ) -> Tape:
        """Take columns that are in the tape's own units: `at` in nanoseconds, prices in price units, `volume` in whole lots.

        Columns of native 64-bit integers that offer their buffer (`array("q")`, numpy, pandas, polars, memoryviews) are taken
        as they are and not copied: do not write to them afterwards. Lists and other integers are copied.

        Raises `BadTape` with the 1-based row for whatever is no whole number, does not fit 64 bits, or breaks what a tape
        promises: `at` that does not rise or is before 1970, a price that is not positive or off the tick, high below low, open
        or close outside low..high, a volume below zero. Nothing is repaired here.
        """
        given = {"at": at, "open": open, "high": high, "low": low, "close": close} | ({} if volume is None else {"volume": volume})
        return _of_units(instrument, given, _interval(interval), name)

    @classmethod
    def from_ticks(cls, instrument: Instrument, *, at: Any, price: Any, size: Any = None, interval: int = 0, name: str = "ticks") -> Tape:
        """A row for each trade, in the units of `from_units`: its open, high, low and close are one column, `price`.

        `size` is in whole lots. A row is over at once, and its engines are asked then, unless an `interval` is given. Raises
        `BadTape` as `from_units` does; trades of one instant must be told apart by their nanoseconds.
        """
        prices = column64(price, "price")
        given = {"at": at, "open": prices, "high": prices, "low": prices, "close": prices} | ({} if size is None else {"volume": size})
        return _of_units(instrument, given, 0 if interval == 0 and type(interval) is int else _interval(interval), name)

    @classmethod
    def sample(cls) -> Tape:
        """The packaged sample: 4,368 real hourly bars of BTC/USD, October 2017 to March 2018. Its source is in data/README.md."""
        data = resources.files("sleeves.data").joinpath(_SAMPLE).read_bytes()
        return _tape(SAMPLE_INSTRUMENT, _table(data), None, None, False, _SAMPLE)

    def rows(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Each row as (at, open, high, low, close, volume)."""
        parts = (self._lists(first, min(first + PART, len(self))) for first in range(0, len(self), PART))
        return chain.from_iterable(zip(*part, strict=True) for part in parts)

    def ends(self) -> Column64:
        """When each bar is over, in ns: an interval after its begin, or where the next bar begins if that is sooner."""
        return ends_of(self.at, self.interval, self._gapped())

    def block(self, first: int, last: int) -> tuple[list[int], ...]:
        """Rows first..last, the last left out, as lists: at, open, high, low, close, volume, and when each is over.

        0 <= first <= last <= the number of rows; columns that are one object are one list.
        """
        size = len(self)
        if not 0 <= first <= last <= size:
            raise BadTape(f"rows {first}..{last} are not in {self}")
        at, *rest = self._lists(first, last)
        if first == last:
            return at, *rest, []
        behind = at if last == size else [*at, self.at[last]]
        return at, *rest, ends_listed(behind, self.interval, last == size, self._gapped())

    def first_beyond(self, row: int, low: int, high: int, stop: int | None = None) -> int:
        """The first row from `row` on, counted from 0, whose low is at most `low` or whose high is at least `high`.

        `stop`, by default the number of rows, where there is none before it. Whole parts of the tape are passed over by their
        least and greatest, which are worked out when a search first comes by.
        """
        size = len(self)
        stop = size if stop is None else min(stop, size)
        if row < 0:
            raise BadTape(f"row {row} is not in {self}")
        extremes = self._known.get("extremes")
        if extremes is None:
            extremes = self._known["extremes"] = Extremes(self.low, self.high)
        found: int = extremes.first(row, low, high, stop)
        return found

    def _lists(self, first: int, last: int) -> list[list[int]]:
        """The six columns from row to row as lists."""
        made: dict[int, list[int]] = {}
        found = []
        for column in self._columns():
            if id(column) not in made:
                made[id(column)] = column[first:last].tolist()
            found.append(made[id(column)])
        return found

    def _columns(self) -> tuple[Column64, ...]:
        return self.at, self.open, self.high, self.low, self.close, self.volume

    def _gapped(self) -> bool:
        """Whether any step of time is longer than the interval."""
        found = self._known.get("gapped")
        if found is None:
            found = self._known["gapped"] = steps_of(self.at, self.interval).gaps > 0
        return bool(found)

    def slice(self, start: int, stop: int | None = None) -> Tape:
        """Rows start..stop as Python slices count them: copied from arrays, a view of memoryviews. Its `repairs` still tell of
        the whole input.

        Raises `BadTape` when no row is left.
        """
        at = self.at[start:stop]
        if not at:
            raise BadTape(f"rows {start}..{stop} of {self} hold nothing")
        since, until = at[0], at[-1] + self.interval
        cut = {id(column): column[start:stop] for column in self._columns()}
        tape = evolve(
            self,
            funding=tuple(rate for rate in self.funding if since < rate.at <= until),
            depths=tuple(depth for depth in self.depths if since <= depth.at <= until),
            news=tuple(one for one in self.news if since <= one.at <= until),
            at=at,
            open=cut[id(self.open)],
            high=cut[id(self.high)],
            low=cut[id(self.low)],
            close=cut[id(self.close)],
            volume=cut[id(self.volume)],
        )
        if self._known.get("gapped") is False:
            tape._known["gapped"] = False
        return tape

    def between(self, since_ns: int, until_ns: int) -> Tape:
        """The rows with since_ns <= at < until_ns, as `slice` gives them. Raises `BadTape` when there is none."""
        start, stop = bisect_left(self.at, since_ns), bisect_left(self.at, until_ns)
        if start >= stop:
            raise BadTape(f"no row of {self} opens in {since_ns}..{until_ns}")
        return self.slice(start, stop)

    def digest(self) -> str:
        """SHA-256 in hex over the instrument's symbol and terms, all six columns, funding, books and news: the same on every machine."""
        digest = hashlib.sha256(json.dumps(["tape 1", self.instrument.symbol, self.instrument.terms(), len(self)], sort_keys=True).encode())
        for column in self._columns():
            if sys.byteorder == "big":
                column = array("q", column)
                column.byteswap()
            digest.update(column)
        for rate in self.funding:
            digest.update(repr((rate.at, rate.rate_ppb, rate.price, rate.every, rate.basis.value)).encode())
        for depth in self.depths:
            digest.update(repr((depth.at, depth.bids, depth.asks)).encode())
        for one in self.news:
            digest.update(repr(one).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.at)

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S") for at in (self.at[0], self.at[-1]))
        return f"{self.name}: {len(self)} rows of {self.instrument} from {first} to {last} UTC"

    def __repr__(self) -> str:
        return f"<Tape {self}>"


def _of_units(instrument: Instrument, given: Mapping[str, Any], interval: int | None, name: str) -> Tape:
    """Columns in units as a tape: proved, and nothing mended."""
    _instrument(instrument)
    made: dict[int, Column64] = {}
    for what, column in given.items():
        if id(column) not in made:
            made[id(column)] = column64(column, what)
    columns = {what: made[id(column)] for what, column in given.items()}
    if not len(columns["at"]) and not any(map(len, columns.values())):
        raise BadTape("there are no rows")
    prove(columns, instrument.tick_units)
    steps = steps_of(columns["at"], interval)
    _check_end(columns["at"][-1], steps.interval)
    tape = Tape(
        instrument,
        steps.interval,
        columns["at"],
        columns["open"],
        columns["high"],
        columns["low"],
        columns["close"],
        columns["volume"] if "volume" in columns else zeros(len(columns["at"])),
        has_volume="volume" in columns,
        repairs=_gaps_told(steps),
        name=name,
    )
    tape._known["gapped"] = steps.gaps > 0
    return tape


def _instrument(instrument: object) -> None:
    if not isinstance(instrument, Instrument):
        raise BadTape(f"a tape is of an Instrument, not of {instrument!r}")


def _interval(interval: object) -> int | None:
    if interval is not None and (isinstance(interval, bool) or not isinstance(interval, int) or not 0 < interval <= INT64):
        raise BadTape(f"the interval {interval!r} must be a positive whole number of nanoseconds")
    return interval


def _check_end(last: int, interval: int) -> None:
    if last + interval > INT64:
        raise BadTape(f"the last row begins at {last}, and {interval} ns after that is after the year 2262: it does not fit 64 bits")


def _gaps_told(steps: Steps) -> Repairs:
    row = None if steps.ends_in is None else steps.ends_in + 1
    return Repairs(gaps=steps.gaps, missing_bars=steps.missing, longest_gap_ns=steps.longest, longest_gap_row=row)


def _once(times: list[int], what: str) -> None:
    if len(set(times)) != len(times):
        raise BadTape(f"two {what} at one instant: {next(at for at in times if times.count(at) > 1)}")


# -- from a file to cells ------------------------------------------------------------------------------------------------


def _table(data: bytes) -> dict[str, list[Any]]:
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
    places = _places(header)
    if not rows:
        raise BadTape("the file has a header and no rows")
    if set(map(len, rows)) != {len(header)}:
        row, short = next((row, line) for row, line in enumerate(rows, 1) if len(line) != len(header))
        raise BadTape(f"{len(short)} field(s), but the header names {len(header)}", row)
    columns = list(zip(*rows, strict=True))
    return {what: list(columns[place]) for what, place in places.items()}


def _places(names: Iterable[str]) -> dict[str, int]:
    """Where each wanted column stands among the names. Raises `BadTape` when one is missing or named twice."""
    found = [name.strip().lower() for name in names]
    missing = [what for what in ("ts", *_PRICES) if what not in found]
    if missing:
        shown = ", ".join(_shown(name) for name in found[:20]) or "none"
        raise BadTape(f"missing column(s) {', '.join(missing)}; found {shown}")
    wanted = [what for what in ("ts", *_PRICES, "volume") if what in found]
    for what in wanted:
        if found.count(what) > 1:
            raise BadTape(f"column {what} is there {found.count(what)} times")
    return {what: found.index(what) for what in wanted}


# -- from columns to cells -----------------------------------------------------------------------------------------------


def _cells(column: Any, what: str) -> list[Any]:
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


def _calendar(column: Any) -> tuple[list[Any], _Unit | None]:
    """A ts column as a plain list, and its unit when the column itself says what that is: None leaves it to the first row."""
    if _kind(column).startswith(("date", "timestamp")):
        moments = column
        if hasattr(column, "to_numpy"):
            zoned = hasattr(column.dtype, "tz") and hasattr(column.dtype, "unit")  # of these pandas would make objects
            moments = column.to_numpy(dtype=f"datetime64[{column.dtype.unit}]") if zoned else column.to_numpy()
        if moments.dtype.kind == "M":
            return _from_datetime64(moments), _CALENDAR
        return [_from_datetime(cell) for cell in moments.tolist()], _CALENDAR
    cells = _cells(column, "ts")
    if cells and all(isinstance(cell, datetime) for cell in cells):
        return [_from_datetime(cell) for cell in cells], _CALENDAR
    return cells, None


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


def _shown(cell: Any) -> str:
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


class _Prices(dict[str, int]):
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
        if set(map(type, cells)) == {float}:
            return self._floats(cells)
        texts = list(map(_text, cells))
        units = list(map(self.__getitem__, texts))
        return units, [place for place, text in enumerate(texts) if text in self.off_tick] if self.off_tick else []

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


class _Volumes(dict[str, int]):
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
        if set(map(type, cells)) == {float}:
            return self._floats(cells)
        return list(map(self.__getitem__, map(_text, cells)))

    def _floats(self, cells: Sequence[float]) -> list[int]:
        """As `_Prices._floats`: only a volume next to a whole number of lots, and not exactly that, needs its text."""
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
class _Unit:
    """A unit of time since 1970: `factor` nanoseconds, and the figures low <= ts < high that are read in it."""

    name: str
    factor: int
    low: int
    high: int


_UNITS = (
    _Unit("seconds", SECOND, 0, 10**11),
    _Unit("milliseconds", 1_000_000, 10**11, 10**14),
    _Unit("microseconds", 1_000, 10**14, 10**17),
    _Unit("nanoseconds", 1, 10**17, INT64 + 1),
)
_CALENDAR = _Unit("nanoseconds", 1, 0, INT64 + 1)


def _instants(cells: list[Any], unit: _Unit | None) -> tuple[list[int], _Unit]:
    """A ts column in nanoseconds, in the unit of its first row unless given: -1 where it cannot be read, for `_instant` to say why."""
    unit = unit or next((unit for unit in reversed(_UNITS) if _magnitude(cells[0]) >= unit.low), _UNITS[0])
    factor, whole = unit.factor, _whole(cells)
    if whole is not None and unit.low <= min(whole) and max(whole) < min(unit.high, INT64 // factor):
        return [number * factor for number in whole], unit
    found = (_instant(cell, unit) for cell in cells)
    return [-1 if isinstance(instant, str) else instant for instant in found], unit


def _whole(cells: list[Any]) -> list[int] | None:
    """The cells as integers when all of them plainly are, else None."""
    kinds = set(map(type, cells))
    if kinds == {int}:
        return cells
    if kinds == {str} and 0 < min(map(len, cells)) <= max(map(len, cells)) <= 19:
        digits = "".join(cells)
        return list(map(int, cells)) if digits.isascii() and digits.isdigit() else None
    if kinds == {float} and all(map(float.is_integer, cells)) and max(map(abs, cells)) < 2**53:
        return list(map(int, cells))
    return None


def _magnitude(cell: Any) -> int:
    exact = _ratio(_text(cell))
    return 0 if exact is None else exact[0] // exact[1]


def _instant(cell: Any, unit: _Unit) -> int | str:
    """A ts in nanoseconds, or what is wrong with it."""
    exact = _ratio(_text(cell))
    if exact is None:
        return f"ts {_shown(cell)} is not a number: give seconds, milliseconds, microseconds or nanoseconds since 1970"
    numerator, denominator = exact
    if numerator < 0:
        return f"ts {_shown(cell)} is before 1970"
    whole = numerator // denominator
    if whole <= INT64 and not unit.low <= whole < unit.high:
        other = next(unit for unit in reversed(_UNITS) if whole >= unit.low)
        return f"ts {_shown(cell)} would be in {other.name}, but the first row is in {unit.name}"
    nanos, rest = divmod(numerator * unit.factor, denominator)
    if nanos > INT64:
        return f"ts {_shown(cell)} is after the year 2262: its nanoseconds do not fit 64 bits"
    if rest:
        return f"ts {_shown(cell)} in {unit.name} is not a whole number of nanoseconds"
    return nanos


# -- from integers to a tape ---------------------------------------------------------------------------------------------

_Columns: TypeAlias = list[list[int]]
"""at, open, high, low, close and volume."""


def _tape(instrument: Instrument, cells: dict[str, list[Any]], unit: _Unit | None, interval: int | None, repair: bool, name: str) -> Tape:
    """Check, repair and count: the one way to a tape."""
    interval = _interval(interval)
    lengths = {what: len(column) for what, column in cells.items()}
    shortest, longest = min(lengths.values()), max(lengths.values())
    if not longest:
        raise BadTape("there are no rows")
    if shortest < longest:
        raise BadTape(f"the columns differ in length: {', '.join(f'{what} {n}' for what, n in lengths.items())}", shortest + 1)
    at, unit = _instants(cells["ts"], unit)
    prices = _Prices(instrument)
    read = [prices.column(cells[what]) for what in _PRICES]
    volume = _Volumes(instrument).column(cells["volume"]) if "volume" in cells else [0] * longest
    columns = [at, *(units for units, _ in read), volume]
    rows: Sequence[int] = range(1, longest + 1)
    mended: dict[str, list[int]] = {}
    if not _clean(*columns):
        columns, rows, mended = _mended(columns, cells, unit, repair)
    steps = list(map(sub, columns[0][1:], columns[0]))
    if interval is None:
        interval = min(Counter(steps).items(), key=lambda found: (-found[1], found[0]))[0] if steps else 0
    off = sorted(place + 1 for _, places in read for place in places)
    if len(rows) < longest:
        kept = set(rows)
        off = [row for row in off if row in kept]
    return Tape(
        instrument,
        interval,
        *(array("q", column) for column in columns),  # type: ignore[misc,arg-type]  # the six columns in their order
        has_volume="volume" in cells,
        repairs=_repairs(mended | {"off_tick": off}, steps, interval, rows),
        name=name,
    )


def _clean(at: list[int], open_: list[int], high: list[int], low: list[int], close: list[int], volume: list[int]) -> bool:
    """Whether no row needs a second look."""
    return (
        (min(at) >= 0 and min(low) > 0 and max(high) <= INT64 and min(volume) >= 0 and max(volume) <= INT64)
        and (all(map(le, low, open_)) and all(map(le, low, close)) and all(map(le, open_, high)) and all(map(le, close, high)))
        and all(map(lt, at, at[1:]))
    )


def _mended(columns: _Columns, cells: dict[str, list[Any]], unit: _Unit, repair: bool) -> tuple[_Columns, list[int], dict[str, list[int]]]:
    """Row by row: refuse what cannot be trusted, or mend it. Gives the columns, each row's number in the input, and the rows mended."""
    mended: dict[str, list[int]] = {}
    first: dict[int, tuple[int, ...]] = {}
    latest = -1

    def refusal(row: int, fault: str) -> BadTape:
        return BadTape(fault.format_map({what: _shown(column[row - 1]) for what, column in cells.items()}), row)

    def mend(kind: str, row: int, fault: str, remedy: str) -> None:
        if not repair:
            raise refusal(row, f"{fault} (repair=True {remedy})")
        mended.setdefault(kind, []).append(row)

    for row, (at, open_, high, low, close, volume) in enumerate(zip(*columns, strict=True), 1):
        if at < 0:
            raise BadTape(str(_instant(cells["ts"][row - 1], unit)), row)
        if volume < 0:
            raise refusal(row, "volume {volume} is not a finite number of zero or more")
        if volume > INT64:
            raise refusal(row, "volume {volume} is too large: its lots do not fit 64 bits")
        prices = (open_, high, low, close)
        if max(prices) > INT64:
            what = _PRICES[prices.index(max(prices))]
            raise refusal(row, f"{what} {{{what}}} is too large: its price units do not fit 64 bits")
        if min(prices) <= 0:
            what = _PRICES[prices.index(min(prices))]
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


def _repairs(mended: Mapping[str, list[int]], steps: list[int], interval: int, rows: Sequence[int]) -> Repairs:
    """The counts of what was mended, and the gaps that the steps of time leave."""
    told = {kind: Count(len(found), tuple(dict.fromkeys(found))[:MAX_LISTED]) for kind, found in mended.items()}
    gaps = [(step, place) for place, step in enumerate(steps, 1) if step > interval]
    longest, place = max(gaps, key=lambda gap: gap[0], default=(0, 0))
    return evolve(
        Repairs(**told),  # type: ignore[arg-type]  # the keys are those of the counts
        gaps=len(gaps),
        missing_bars=sum((step - 1) // interval for step, _ in gaps),
        longest_gap_ns=longest,
        longest_gap_row=rows[place] if gaps else None,
    )
