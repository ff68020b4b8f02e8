"""Kraken's public candles: from its REST, with a file that grows, and from the archive that it lets everybody download.

    eth = await candles("ETH/USD", "1h", cache="eth-usd-1h.csv")
    tape = Tape.from_columns(eth.instrument, **eth.columns())

REST gives the last 720 closed bars, however far back it is asked; a file keeps those that were seen, and only grows. What it has
must agree with what Kraken says now, and no bar may be missing between them. The bar that still runs is never given.

It refuses to know what a tape is, and keeps no key: nothing here is private.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread
from attrs import evolve, field, frozen

from ...errors import BadTape, InvalidMarket
from ...market import MINUTE, SECOND, Instrument
from ...money import MAX_DIGITS
from .client import HOST, Client

__all__ = ["INTERVALS", "MOST_BARS", "Bar", "Candles", "candles", "read_candles"]

INTERVALS: Mapping[str, int] = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440, "1w": 10080, "15d": 21600}
"""The lengths of bars that Kraken's REST has, in minutes."""

MOST_BARS = 720
"""How many closed bars REST gives."""

_HEADER = ("ts", "open", "high", "low", "close", "volume", "trades")
_PRICES = ("open", "high", "low", "close")

Bar: TypeAlias = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, int]
"""Open time in seconds since 1970 UTC, open, high, low, close, volume in base coins, number of trades."""


@frozen(eq=False)
class Candles:
    """Closed bars of a pair in order of time, each `interval` ns long. `instrument` is the market, None where Kraken was not asked.

    Where nobody traded a bar may be missing: `gaps` says where, and `filled` puts them in. Raises `BadTape` for bars that are not in
    order, not a whole number of intervals apart, or whose prices are not positive with low <= open, close <= high.
    """

    pair: str
    interval: int
    bars: tuple[Bar, ...] = field(repr=False)
    instrument: Instrument | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        for row, (_, open_, high, low, close, volume, trades) in enumerate(self.bars, 1):
            if not 0 < low <= min(open_, close) <= max(open_, close) <= high or volume < 0 or trades < 0:
                what = f"open {open_}, high {high}, low {low}, close {close}, volume {volume}, {trades} trades"
                raise BadTape(f"{self.pair}: a bar cannot be {what}", row)
        step = self.interval // SECOND
        for row, (before, after) in enumerate(pairwise(self.bars), 2):
            if after[0] <= before[0] or (after[0] - before[0]) % step:
                raise BadTape(f"{self.pair}: ts {after[0]} does not follow {before[0]} by a whole number of {step} s", row)

    def columns(self) -> dict[str, Any]:
        """What a tape is made of: `Tape.from_columns(candles.instrument, **candles.columns())`."""
        columns = zip(*self.bars, strict=True) if self.bars else ((),) * len(_HEADER)
        named = {name: list(column) for name, column in zip(_HEADER, columns, strict=True) if name != "trades"}
        return {**named, "interval": self.interval, "name": f"Kraken's {self.pair}"}

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Where bars are missing: the open times of the bars before and behind, in seconds."""
        step = self.interval // SECOND
        return tuple((before[0], after[0]) for before, after in pairwise(self.bars) if after[0] - before[0] > step)

    def filled(self) -> Candles:
        """With a bar for each interval: where one is missing, flat at the last close, with no volume and no trades."""
        step, bars = self.interval // SECOND, []
        for before, after in pairwise(self.bars):
            bars.append(before)
            bars += [(at, *(before[4],) * 4, Decimal(0), 0) for at in range(before[0] + step, after[0], step)]
        return evolve(self, bars=(*bars, *self.bars[-1:]))

    def since(self, at: int) -> Candles:
        """The bars that open from an instant on, ns UTC."""
        return evolve(self, bars=tuple(bar for bar in self.bars if bar[0] * SECOND >= at))

    def joined(self, newer: Candles) -> Candles:
        """These bars, and the newer ones of the same pair behind them.

        Raises `BadTape` where a bar is in both and differs, which says that one of them is wrong, and `InvalidMarket` for another pair
        or interval.
        """
        if (newer.pair, newer.interval) != (self.pair, self.interval):
            raise InvalidMarket(f"bars of {self.pair}, {self.interval} ns, are not joined with those of {newer.pair}, {newer.interval} ns")
        last = self.bars[-1][0] if self.bars else -1
        known = {bar[0]: bar for bar in self.bars}
        first = newer.bars[0][0] if newer.bars else last + 1
        for bar in newer.bars:
            if bar[0] <= last and first <= bar[0] and known.get(bar[0], bar) != bar:
                raise BadTape(f"{self.pair}: the bar of ts {bar[0]} is {_told(known[bar[0]])} in one and {_told(bar)} in the other")
        bars = (*self.bars, *(bar for bar in newer.bars if bar[0] > last))
        return evolve(self, bars=bars, instrument=newer.instrument or self.instrument)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them as CSV with a header, which `Tape.load` and `read_candles` read: whole or not at all. Raises OSError."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows((at, *(format(figure, "f") for figure in figures), trades) for at, *figures, trades in self.bars)
        target = Path(path)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def __len__(self) -> int:
        return len(self.bars)


async def candles(
    pair: str,
    interval: str | int,
    *,
    since: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    base_url: str = HOST,
    client: Client | None = None,
) -> Candles:
    """Closed bars of a pair, by any of its names. `interval` is one of `INTERVALS`, or its minutes.

    Without a `cache` at most the last 720. With one, those of the file too, and the file has all of them after. `since` (ns UTC)
    leaves out what opens before. `client` is one that is open already.

    Raises `InvalidMarket` for a pair or an interval that there is none of; `BadTape` for a file that cannot be read, that disagrees
    with Kraken, or that ends so long ago that bars between are lost; `VenueUnavailable` where Kraken does not answer.
    """
    minutes = _minutes(interval)
    kept = None if cache is None else await anyio.to_thread.run_sync(_kept, cache)
    asked = Client(base_url=base_url) if client is None else client
    try:
        found = (await asked.names()).pair(pair)
        step = minutes * 60
        name = found.symbol or found.altname
        if kept:
            old = Candles(name, minutes * MINUTE, kept, found.instrument)
            new = await _recent(asked, found.altname, minutes, kept[-1][0] - step)
            fresh = evolve(old, bars=new)
            if new and new[0][0] > kept[-1][0] + step and len(new) >= MOST_BARS:
                raise BadTape(
                    f"{os.fspath(cache or '')} ends with the bar of ts {kept[-1][0]}, and Kraken's first is that of {new[0][0]}: "
                    "what is between is lost to REST; take it from the archive, or begin another file"
                )
            whole = old.joined(fresh)
        else:
            whole = Candles(name, minutes * MINUTE, await _recent(asked, found.altname, minutes, None), found.instrument)
    finally:
        if client is None:
            await asked.aclose()
    if cache is not None and len(whole) > len(kept or ()):
        await anyio.to_thread.run_sync(partial(whole.save, cache))
    return whole if since is None else whole.since(since)


def read_candles(path: str | os.PathLike[str], pair: str, interval: str | int, *, instrument: Instrument | None = None) -> Candles:
    """Bars from a CSV file, plain or gzipped: one that `save` wrote, or one of Kraken's archive (OHLCVT: unixtime, open, high, low,
    close, volume, trades, without a header; intervals without trades are missing there).

    Raises `BadTape` for a file that is none, with its row, and `InvalidMarket` for an interval that is not positive.
    """
    return Candles(pair, _minutes(interval, any_=True) * MINUTE, _bars(path), instrument)


def _minutes(interval: object, *, any_: bool = False) -> int:
    minutes = INTERVALS.get(interval) if isinstance(interval, str) else interval
    if type(minutes) is not int or minutes <= 0 or (not any_ and minutes not in INTERVALS.values()):
        raise InvalidMarket(f"interval {interval!r} is none of {', '.join(INTERVALS)}, nor its minutes")
    return minutes


async def _recent(client: Client, pair: str, minutes: int, since: int | None) -> tuple[Bar, ...]:
    """The closed bars that REST has: up to the last closed one where Kraken names it, else all but the running one, the last."""
    told = await client.ohlc(pair, minutes, since)
    rows = sorted(told.rows)
    return tuple(row for row in rows if row[0] <= told.last) if told.last is not None else tuple(rows[:-1])


def _kept(path: str | os.PathLike[str]) -> tuple[Bar, ...]:
    return _bars(path) if Path(path).exists() else ()


def _bars(path: str | os.PathLike[str]) -> tuple[Bar, ...]:
    name = Path(path).name
    try:
        data = Path(path).read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise BadTape(f"{name} cannot be read: {error}") from error
    if lines and not lines[0][0].strip().isdigit():
        if tuple(cell.strip().lower() for cell in lines[0]) != _HEADER:
            raise BadTape(f"{name} has the header {','.join(lines[0])[:100]}, not {','.join(_HEADER)}")
        lines = lines[1:]
    return tuple(_bar(name, row, line) for row, line in enumerate(lines, 1))


def _bar(name: str, row: int, line: list[str]) -> Bar:
    if len(line) != len(_HEADER):
        raise BadTape(f"{name} has {len(line)} fields in place of {len(_HEADER)}", row)
    at, *figures, trades = (cell.strip() for cell in line)
    for what, cell in (("ts", at), ("trades", trades)):
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 12):
            raise BadTape(f"{name} has the {what} {cell[:40]!r}, which is no whole number", row)
    return (int(at), *_figures(name, row, figures), int(trades))  # type: ignore[return-value]  # five of them


def _figures(name: str, row: int, cells: Iterable[str]) -> list[Decimal]:
    found = []
    for what, cell in zip((*_PRICES, "volume"), cells, strict=True):
        try:
            figure = Decimal(cell)
        except ArithmeticError:
            figure = Decimal("NaN")
        if not figure.is_finite() or abs(figure.adjusted()) > MAX_DIGITS or len(cell) > MAX_DIGITS or not cell.isascii():
            raise BadTape(f"{name} has the {what} {cell[:40]!r}, which is no figure", row)
        found.append(figure)
    return found


def _told(bar: Bar) -> str:
    return ", ".join(map(str, bar[1:]))
