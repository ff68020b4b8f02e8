"""The tape: what one market did, as parallel integer columns that a simulator replays.

Reading is where market data is trusted or refused: `reading` does that for files and for columns of figures, `columns` for
columns that are in the tape's own units already.

A tape knows nothing of orders, books, engines or clocks, and nothing of where its bars go. It opens a file only when
asked to load one, and it needs no numpy, pandas or polars.

    >>> from sleeves.money import BTC, USD
    >>> btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
    >>> tape = Tape.from_columns(btc, ts=[1506816000, 1506819600], open=["10", "10.5"], high=[11, 11], low=[9, 10.25], close=["10.5", "11"])
    >>> list(tape.rows())[1]
    (1506819600000000000, 1050, 1100, 1025, 1100, 0)
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from ..errors import BadTape
from ..market import SECOND, FundingRate, Instrument
from ..money import BTC, USD
from ..news import News
from .arrow import batches_of, contents_of, parts_of, table_of, units_of
from .columns import PART, Column64, Extremes, column64, ends_listed, ends_of, prove, steps_of, told_apart, zeros
from .contents import Contents, check_along
from .depth import Depth
from .reading import (
    MAX_LISTED,
    PRICES,
    Column,
    Count,
    Parts,
    Read,
    Repairs,
    check_end,
    check_interval,
    gaps_told,
    places,
    read_columns,
    read_parts,
    read_table,
)
from .tapefile import Mapped, map_again, map_file, write_file

__all__ = ["SAMPLE_INSTRUMENT", "Column", "Count", "Depth", "Repairs", "Tape"]

SAMPLE_INSTRUMENT = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001", min_qty="0.0001", min_notional="1")
"""The market of `Tape.sample()`: Coinbase BTC/USD."""

_SAMPLE = "btc-usd-1h-2017-10-2018-03.csv.gz"


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
        _check_instrument(instrument)
        name = Path(path).name
        try:
            read = read_table(Path(path), instrument, interval, repair)
        except BadTape:
            raise
        except (OSError, ValueError) as error:
            raise BadTape(f"{name} cannot be read: {error}") from error
        return cls._of(instrument, read, name)

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
        _check_instrument(instrument)
        given = {"open": open, "high": high, "low": low, "close": close} | ({} if volume is None else {"volume": volume})
        return cls._of(instrument, read_columns(instrument, ts, given, interval, repair), name)

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
        found = {what: frame[names[place]] for what, place in places(map(str, names)).items()}
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
        return _of_units(instrument, given, check_interval(interval), name)

    @classmethod
    def from_ticks(
        cls,
        instrument: Instrument,
        *,
        at: Any,
        price: Any,
        size: Any = None,
        interval: int = 0,
        repair: bool = False,
        name: str = "ticks",
    ) -> Tape:
        """A row for each trade, in the units of `from_units`: its open, high, low and close are one column, `price`.

        `size` is in whole lots. A row is over at once, and its engines are asked then, unless an `interval` is given. Raises
        `BadTape` as `from_units` does. Trades of one instant must be told apart by their nanoseconds: with `repair`, each is
        moved one behind the trade before it, and counted in `repairs`.
        """
        prices, moved = column64(price, "price"), Count()
        if repair:
            at, count, listed = told_apart(column64(at, "at"), MAX_LISTED)
            moved = Count(count, tuple(listed))
        given = {"at": at, "open": prices, "high": prices, "low": prices, "close": prices} | ({} if size is None else {"volume": size})
        tape = _of_units(instrument, given, 0 if interval == 0 and type(interval) is int else check_interval(interval), name)
        return tape._with(repairs=evolve(tape.repairs, nudged=moved)) if moved.count else tape

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        instrument: Instrument | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        interval: int | None = None,
        repair: bool = False,
        name: str = "arrow",
    ) -> Tape:
        """Read an Arrow table or record batch: one that `to_arrow` made as it was, any other as `from_columns` reads columns.

        `columns` tells names that are not those of `load`: `{"ts": "Date", "volume": "Volume BTC"}`. Timestamps without a zone
        are UTC. A table that a tape made says all that the tape was, and `instrument` is left out then.

        Raises `BadTape` as `from_columns` and `from_units` do, `MissingExtra` without pyarrow.
        """
        return cls._of_arrow(table, instrument, columns, interval, repair, name)

    @classmethod
    def read_parquet(
        cls,
        path: str | os.PathLike[str],
        instrument: Instrument | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        interval: int | None = None,
        repair: bool = False,
    ) -> Tape:
        """Read a parquet file, batch by batch, so that its figures are never all there at once. See `from_arrow`."""
        return cls._of_arrow(path, instrument, columns, interval, repair, Path(path).name)

    @classmethod
    def _of_arrow(
        cls, source: Any, instrument: Instrument | None, columns: Mapping[str, str] | None, interval: int | None, repair: bool, name: str
    ) -> Tape:
        schema, batches = batches_of(source, PART)
        contents = contents_of(schema)
        if contents is not None:
            if columns or interval or repair or instrument not in (None, contents.instrument):
                raise BadTape(
                    f"{name} was made by a tape of {contents.instrument}, and is read as that, without columns, interval or repair"
                )
            return _of_batches(cls, contents, batches)
        if instrument is None:
            raise BadTape(f"{name} was not made by a tape: say which instrument it is of")
        _check_instrument(instrument)
        unread: list[Any] = [batches]  # a file's can be asked for but once

        def parts() -> Parts:
            return parts_of(schema, unread.pop() if unread else batches_of(source, PART)[1], columns)

        return cls._of(instrument, read_parts(parts, instrument, interval, repair), name)

    def to_arrow(self) -> Any:
        """The tape as an Arrow table of int64 columns, in its units, none of them copied, with its terms as metadata.

        So it goes to parquet, DuckDB, polars or another process, and comes back by `from_arrow` or `read_parquet` as it was.
        Raises `MissingExtra` without pyarrow, `BadTape` when news of a pool lies along it.
        """
        names = ("at", *PRICES, "volume") if self.has_volume else ("at", *PRICES)
        return table_of(self._contents(), dict(zip(names, self._columns(), strict=False)))

    @classmethod
    def sample(cls) -> Tape:
        """The packaged sample: 4,368 real hourly bars of BTC/USD, October 2017 to March 2018. Its source is in data/README.md."""
        data = resources.files("sleeves.data").joinpath(_SAMPLE).read_bytes()
        return cls._of(SAMPLE_INSTRUMENT, read_table(data, SAMPLE_INSTRUMENT, None, False), _SAMPLE)

    @classmethod
    def _of(cls, instrument: Instrument, read: Read, name: str) -> Tape:
        at, open_, high, low, close, volume = read.columns
        tape = cls(instrument, read.interval, at, open_, high, low, close, volume, read.has_volume, read.repairs, name)
        tape._known["gapped"] = read.repairs.gaps > 0
        return tape

    @classmethod
    def open_file(cls, path: str | os.PathLike[str], *, verify: bool = False) -> Tape:
        """Open a file that `save` or a `TapeWriter` wrote. Its head alone is read: the columns are mapped, as views of the file.

        So a tape may be longer than memory, and processes that open one file share its memory. Pickled, the tape is its path,
        and it is opened again where it is unpickled; that is refused when the file is not the same any more. A file must not be
        changed in place while it is open; to save over it is allowed, the tape keeps what it has.

        Raises `BadTape` for a file that is torn, foreign, or from a later version. What is in the columns is believed, unless
        `verify` is asked for: then every byte is held against its digest, and every row is proved.
        """
        mapped = map_file(path, verify)
        return _of_file(cls, mapped, 0, len(mapped.columns[0]), None)

    @property
    def path(self) -> Path | None:
        """The file that its columns are mapped from; None where they are in memory."""
        source = self._known.get("file")
        return None if source is None else Path(source[0].mark[0])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tape to a file, with its repairs and what lies along it. A file that is there is replaced, all at once.

        Raises `BadTape` when a row cannot be true, when news of a pool lies along it, which no file keeps, and when the file
        cannot be written: then what was there before is there still.
        """
        write_file(path, self._contents(), self._columns())

    def _contents(self) -> Contents:
        along = (self.funding, self.depths, self.news)
        return Contents(self.instrument, self.interval, self.has_volume, self.repairs, self.name, along, self.outside, self._gapped())

    def __reduce__(self) -> tuple[Any, ...]:
        told = {what: getattr(self, what) for what in _TOLD}
        source = self._known.get("file")
        if source is not None:
            mapped, first, last = source
            return _again, (type(self), mapped.mark, first, last, told)
        made: dict[int, array[int]] = {}
        for column in self._columns():
            if id(column) not in made:
                made[id(column)] = array("q", bytes(column)) if isinstance(column, memoryview) else column
        return _restored, (type(self), tuple(made[id(column)] for column in self._columns()), told)

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
        if "file" in self._known:
            mapped, begin, _ = self._known["file"]
            mapped.came_to(begin + first)
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
        at, open_, high, low, close, volume = _cut(self._columns(), start, stop)
        if not at:
            raise BadTape(f"rows {start}..{stop} of {self} hold nothing")
        since, until = at[0], at[-1] + self.interval
        tape = evolve(
            self,
            funding=tuple(rate for rate in self.funding if since < rate.at <= until),
            depths=tuple(depth for depth in self.depths if since <= depth.at <= until),
            news=tuple(one for one in self.news if since <= one.at <= until),
            at=at,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=volume,
        )
        if self._known.get("gapped") is False:
            tape._known["gapped"] = False
        source = self._known.get("file")
        if source is not None:
            mapped, first, _ = source
            begin = first + range(len(self))[start:stop].start
            tape._known["file"] = (mapped, begin, begin + len(tape))
        return tape

    def between(self, since_ns: int, until_ns: int) -> Tape:
        """The rows with since_ns <= at < until_ns, as `slice` gives them. Raises `BadTape` when there is none."""
        start, stop = bisect_left(self.at, since_ns), bisect_left(self.at, until_ns)
        if start >= stop:
            raise BadTape(f"no row of {self} opens in {since_ns}..{until_ns}")
        return self.slice(start, stop)

    def digest(self) -> str:
        """SHA-256 in hex over all of the tape that a run can hang on, the same on every machine: the instrument's symbol and terms, the
        interval, whether volume is known, all six columns, funding, books and news. Its name and its repairs do not count.
        """
        sizes = [len(self), len(self.funding), len(self.depths), len(self.news)]
        head = ["tape 2", self.instrument.symbol, self.instrument.terms(), self.interval, self.has_volume, sizes]
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
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
    _check_instrument(instrument)
    made: dict[int, Column64] = {}
    for what, column in given.items():
        if id(column) not in made:
            made[id(column)] = column64(column, what)
    columns = {what: made[id(column)] for what, column in given.items()}
    if not len(columns["at"]) and not any(map(len, columns.values())):
        raise BadTape("there are no rows")
    prove(columns, instrument.tick_units)
    steps = steps_of(columns["at"], interval)
    check_end(columns["at"][-1], steps.interval)
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
        repairs=gaps_told(steps),
        name=name,
    )
    tape._known["gapped"] = steps.gaps > 0
    return tape


_TOLD = ("instrument", "interval", "has_volume", "repairs", "name", "funding", "depths", "news", "outside")
"""What a tape is besides its columns."""


def _of_file(kind: type[Tape], mapped: Mapped, first: int, last: int, told: Mapping[str, Any] | None) -> Tape:
    """Rows first..last of a file, with what it says besides, or with what it was told to be since."""
    contents, size = mapped.contents, len(mapped.columns[0])
    whole = (first, last) == (0, size)
    at, open_, high, low, close, volume = mapped.columns if whole else _cut(mapped.columns, first, last)
    tape = kind(at=at, open=open_, high=high, low=low, close=close, volume=volume, **(_told(contents) if told is None else told))
    if not contents.gapped or whole:
        tape._known["gapped"] = contents.gapped
    tape._known["file"] = (mapped, first, last)
    return tape


def _of_batches(kind: type[Tape], contents: Contents, batches: Iterable[Any]) -> Tape:
    """The tape that made a table, out of its batches."""
    columns: dict[str, array[int]] = {}
    for batch in batches:
        for what, column in units_of(batch).items():
            if len(column):
                columns.setdefault(what, array("q")).frombytes(memoryview(column).cast("B"))
    if not columns or not len(columns["at"]):
        raise BadTape("there are no rows")
    prove(columns, contents.instrument.tick_units)
    check_end(columns["at"][-1], contents.interval)
    check_along(contents, columns["at"][0], columns["at"][-1] + contents.interval)
    prices = [columns[what] for what in PRICES]
    open_, high, low, close = prices[:1] * 4 if all(price == prices[0] for price in prices) else prices
    volume = columns["volume"] if contents.has_volume else zeros(len(columns["at"]))
    return kind(at=columns["at"], open=open_, high=high, low=low, close=close, volume=volume, **_told(contents))


def _told(contents: Contents) -> dict[str, Any]:
    """What `_TOLD` names."""
    funding, depths, news = contents.along
    along = {"funding": funding, "depths": depths, "news": news}
    return along | {what: getattr(contents, what) for what in _TOLD if what not in along}


def _cut(columns: Sequence[Column64], start: int | None, stop: int | None) -> list[Column64]:
    """The columns from row to row; those that are one object are one object again."""
    cut: dict[int, Column64] = {}
    for column in columns:
        if id(column) not in cut:
            cut[id(column)] = column[start:stop]
    return [cut[id(column)] for column in columns]


def _again(kind: type[Tape], mark: tuple[str, int, int, str], first: int, last: int, told: Mapping[str, Any]) -> Tape:
    return _of_file(kind, map_again(mark), first, last, told)


def _restored(kind: type[Tape], columns: tuple[array[int], ...], told: Mapping[str, Any]) -> Tape:
    at, open_, high, low, close, volume = columns
    return kind(at=at, open=open_, high=high, low=low, close=close, volume=volume, **told)


def _check_instrument(instrument: object) -> None:
    if not isinstance(instrument, Instrument):
        raise BadTape(f"a tape is of an Instrument, not of {instrument!r}")


def _once(times: list[int], what: str) -> None:
    if len(set(times)) != len(times):
        raise BadTape(f"two {what} at one instant: {next(at for at in times if times.count(at) > 1)}")
