"""The file of a tape: its integer columns as they lie in memory, little-endian, behind a head that says what they are.

    64 bytes   magic, version, length of the head, size of the file, SHA-256 of the head
    head       JSON: the instrument's terms, name, interval, rows, repairs, which column lies where, a SHA-256 of each
    columns    64-bit integers, one column behind the other; columns that are the same are there once
    along      JSON: funding, books, news

A file is opened by looking at its head alone and mapping the rest: processes that open one file share its memory, and a
tape may be longer than memory. It is written beside its place and then renamed, so that nobody sees half of one. A file that
is torn, foreign or from a later version is refused; that no byte of the columns was changed, and that every row can be true,
is looked at where `verify` is asked for.

This module knows no tape: it hands out columns and what the head says. It is not for files that are changed in place while
they are open.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from attrs import evolve, frozen

from ..errors import BadTape
from ..market import Instrument
from .columns import Column64, column64, prove, steps_of, zeros
from .contents import Contents, check_along, read_contents, told_along, told_contents, whole_number
from .reading import check_end, check_interval, gaps_told

__all__ = ["Mapped", "TapeWriter", "map_again", "map_file", "write_file"]

MAGIC = b"sltape\r\n"
VERSION = 1
MOST_HEAD = 1 << 20
"""Bytes that a head may be long: it does not grow with the rows."""

KEPT_ROWS = 1 << 20
"""How far behind a reader in order the memory of rows is given back."""

NAMES = ("at", "open", "high", "low", "close", "volume")
_PREFIX = struct.Struct("<8sIIQQ32s")
_PIECE = 1 << 20


# -- opening -------------------------------------------------------------------------------------------------------------


class Mapped:
    """A file that is open. `columns` are views of it, six of them; `mark` says which file it is: path, size, time, digest."""

    __slots__ = ("__weakref__", "_at", "_map", "_starts", "columns", "contents", "mark")

    def __init__(self, mark: _Mark, mapped: mmap.mmap, head: _Head, contents: Contents) -> None:
        self.mark, self.contents = mark, contents
        self._map, self._at = mapped, 0
        self._starts = tuple(head.start + 8 * head.rows * number for number in range(len(head.digests)))
        views = [_native(memoryview(mapped)[start : start + 8 * head.rows].cast("q")) for start in self._starts]
        kept = {what: views[place] for what, place in head.places.items()}
        self.columns: tuple[Column64, ...] = tuple(kept[what] if what in kept else zeros(head.rows) for what in NAMES)

    def came_to(self, row: int) -> None:
        """A reader in order has come to this row: the memory of rows far behind it is given back. They can be read again."""
        if row < self._at:
            self._at = row
        elif row - self._at >= KEPT_ROWS and hasattr(mmap, "MADV_DONTNEED"):
            for start in self._starts:
                first = -(-(start + 8 * self._at) // mmap.PAGESIZE) * mmap.PAGESIZE
                size = (start + 8 * row) // mmap.PAGESIZE * mmap.PAGESIZE - first
                if size > 0:
                    self._map.madvise(mmap.MADV_DONTNEED, first, size)
            self._at = row


_Mark = tuple[str, int, int, str]
_OPEN: WeakValueDictionary[_Mark, Mapped] = WeakValueDictionary()


def map_file(path: str | os.PathLike[str], verify: bool = False) -> Mapped:
    """Open a file. With `verify`, every byte is held against its digest and every row is proved.

    Raises `BadTape` for whatever is no whole file of a tape.
    """
    name = os.fspath(path)
    try:
        where = os.path.abspath(path)
        with open(where, "rb") as file:
            size, changed = _stat(file)
            if size < _PREFIX.size:
                raise BadTape(f"{name} is no file of a tape: it has {size} bytes")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except BadTape:
        raise
    except (OSError, ValueError) as error:
        raise BadTape(f"{name} cannot be read: {error}") from error
    try:
        if len(mapped) != size:
            raise BadTape("it is being written")
        head = _head(mapped)
        contents = _contents(mapped, head)
        opened = Mapped((where, size, changed, head.digest), mapped, head, contents)
        at, interval = opened.columns[0], contents.interval
        if at[0] < 0 or at[-1] < at[0]:
            raise BadTape(f"its rows begin at {at[0]} and end at {at[-1]}")
        check_end(at[-1], interval)
        check_along(contents, at[0], at[-1] + interval)
        if verify:
            _verify(opened, head)
    except BadTape as error:
        raise BadTape(f"{Path(name).name}: {error}", error.row) from None
    _OPEN[opened.mark] = opened
    return opened


def map_again(mark: _Mark) -> Mapped:
    """Open the file of a mark, which another process had open. Raises `BadTape` when it is not the same file any more.

    Where its time has changed, as that of a copy on another machine, its bytes are held against their digests.
    """
    path, size, changed, digest = mark
    known = _OPEN.get(mark)
    if known is not None:
        with suppress(OSError), open(path, "rb") as file:
            if _stat(file) == (size, changed):
                return known
    for verify in (False, True):
        opened = map_file(path, verify)
        if (opened.mark[1], opened.mark[3]) != (size, digest):
            raise BadTape(f"{Path(path).name} is not the file any more that this tape was opened from")
        if verify or opened.mark[2] == changed:
            break
    return opened


def _stat(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


@frozen
class _Head:
    told: Mapping[str, Any]
    digest: str
    start: int
    """The byte at which the columns begin."""
    rows: int
    places: Mapping[str, int]
    """Which column of the file each column of the tape is."""
    digests: tuple[str, ...]


def _head(mapped: mmap.mmap) -> _Head:
    """What the head says, as far as it says where things lie. Raises `BadTape` unless all of the file is accounted for."""
    magic, version, flags, length, size, digest = _PREFIX.unpack_from(mapped)
    if magic != MAGIC:
        raise BadTape("it is no file of a tape")
    if version != VERSION or flags:
        raise BadTape(f"it is of version {version}.{flags}, and this reads version {VERSION}.0")
    if not 0 < length <= min(MOST_HEAD, len(mapped) - _PREFIX.size):
        raise BadTape(f"its head cannot be {length} bytes long")
    text = mapped[_PREFIX.size : _PREFIX.size + length]
    if hashlib.sha256(text).digest() != digest:
        raise BadTape("its head is not what was written")
    if size != len(mapped):
        raise BadTape(f"it was {size} bytes long, and {len(mapped)} are there")
    told = _json(text)
    if not isinstance(told, dict):
        raise BadTape("its head is no table")
    rows, places, digests = whole_number(told, "rows", 1), told.get("columns"), told.get("digests")
    if not isinstance(digests, list) or not all(isinstance(one, str) for one in digests):
        raise BadTape(f"its columns have no digests: {digests!r:.60}")
    wanted = NAMES if isinstance(places, dict) and "volume" in places else NAMES[:-1]
    if not isinstance(places, dict) or sorted(places) != sorted(wanted) or not all(type(n) is int for n in places.values()):
        raise BadTape(f"its columns are {places!r:.200}, not {', '.join(NAMES)}")
    if sorted(set(places.values())) != list(range(len(digests))):
        raise BadTape(f"its columns lie at {places!r:.200}, and there are {len(digests)}")
    begin = _PREFIX.size + length
    start = begin + -begin % 64
    if any(mapped[begin:start]):
        raise BadTape("there is something between its head and its columns")
    if start + 8 * rows * len(digests) + whole_number(told, "along_bytes") != size:
        raise BadTape(f"{rows} rows in {len(digests)} columns are not what {size} bytes hold")
    return _Head(told, digest.hex(), start, rows, places, tuple(digests))


def _contents(mapped: mmap.mmap, head: _Head) -> Contents:
    along = mapped[head.start + 8 * head.rows * len(head.digests) :]
    if hashlib.sha256(along).hexdigest() != head.told.get("along_sha256"):
        raise BadTape("what lies along it is not what was written")
    return read_contents(head.told, _json(along), "volume" in head.places)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadTape(f"what should be JSON is not: {error}") from error


def _verify(opened: Mapped, head: _Head) -> None:
    columns = dict(zip(NAMES, opened.columns, strict=True))
    for what, place in head.places.items():
        if _digest(columns[what]) != head.digests[place]:
            raise BadTape(f"its column {what} is not what was written")
    contents = opened.contents
    prove({what: columns[what] for what in head.places}, contents.instrument.tick_units)
    if (steps_of(columns["at"], contents.interval).gaps > 0) is not contents.gapped:
        raise BadTape(f"its head says {contents.gapped} of gaps, and its rows say otherwise")


# -- writing -------------------------------------------------------------------------------------------------------------


def write_file(path: str | os.PathLike[str], contents: Contents, columns: tuple[Column64, ...]) -> None:
    """Write a tape's columns, and what it says besides, to a file. Raises `BadTape` and leaves no file when that cannot be."""
    named = dict(zip(NAMES, columns, strict=True))
    if not contents.has_volume:
        del named["volume"]
    prove(named, contents.instrument.tick_units)
    check_end(named["at"][-1], contents.interval)
    places: dict[str, int] = {}
    once: dict[int, int] = {}
    for what, column in named.items():
        places[what] = once.setdefault(id(column), len(once))
    parts = [next(column for what, column in named.items() if places[what] == number) for number in range(len(once))]
    gapped = steps_of(named["at"], contents.interval).gaps > 0
    _finish(Path(path), evolve(contents, gapped=gapped), len(named["at"]), places, [(_digest(one), _pieces(one)) for one in parts])


class TapeWriter:
    """Writes the file of a tape from parts, none of which has to be kept: for tapes that are longer than memory.

        with TapeWriter("trades.tape", market) as writer:
            for part in parts:
                writer.append(at=part.at, price=part.price, size=part.lots)
        tape = Tape.open_file("trades.tape")

    Each part is columns in units, as `Tape.from_units` takes them, or, of trades, `at`, `price` and `size`, as
    `Tape.from_ticks`; all parts are of one kind. A part that cannot be true is refused whole, with its row counted from the
    first of all parts, and the next one may follow. The file is there once the writer is closed, and not at all when its
    block was left by an error. Until then the columns lie beside it in files that begin with a dot.
    """

    def __init__(
        self, path: str | os.PathLike[str], instrument: Instrument, *, interval: int | None = None, name: str | None = None
    ) -> None:
        if not isinstance(instrument, Instrument):
            raise BadTape(f"a tape is of an Instrument, not of {instrument!r}")
        self.path, self.instrument = Path(path), instrument
        self.rows = 0
        """How many rows were appended."""
        self._interval, self._name = check_interval(interval), self.path.name if name is None else name
        self._files: dict[str, BinaryIO] = {}
        self._digests: dict[str, Any] = {}
        self._kind: tuple[str, ...] = ()
        self._last, self._closed = -1, False

    def append(
        self,
        *,
        at: Any,
        open: Any = None,  # noqa: A002 the column's name
        high: Any = None,
        low: Any = None,
        close: Any = None,
        volume: Any = None,
        price: Any = None,
        size: Any = None,
    ) -> None:
        """The rows that follow those before. Raises `BadTape` as `Tape.from_units` does; an empty part is no part."""
        if self._closed:
            raise BadTape(f"the writer of {self.path.name} is closed")
        offered = {"at": at, "open": open, "high": high, "low": low, "close": close, "volume": volume, "price": price, "size": size}
        given = {what: column64(column, what) for what, column in offered.items() if column is not None}
        kind = tuple(given)
        if kind not in _KINDS:
            raise BadTape(f"a part has at, open, high, low, close and volume, or at, price and size; not {', '.join(kind)}")
        if self._kind and kind != self._kind:
            raise BadTape(f"this part has {', '.join(kind)}, and those before had {', '.join(self._kind)}")
        prove(_as_rows(given), self.instrument.tick_units, self.rows, self._last)
        if not len(given["at"]):
            return
        try:
            if not self._kind:
                self._begin(kind)
            for what, column in given.items():
                for piece in _pieces(column):
                    self._files[what].write(piece)
                    self._digests[what].update(piece)
        except OSError as error:
            self.abandon()
            raise BadTape(f"{self.path.name} cannot be written: {error}") from error
        self.rows += len(given["at"])
        self._last = given["at"][-1]

    def close(self) -> None:
        """Put the file in its place. Raises `BadTape`, and leaves none, when there are no rows or it cannot be written."""
        if self._closed:
            return
        try:
            if not self.rows:
                raise BadTape("there are no rows")
            self._put()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave no file. What was there before stays."""
        self._closed = True
        for file in self._files.values():
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                os.unlink(file.name)
        self._files.clear()

    def _begin(self, kind: tuple[str, ...]) -> None:
        for what in kind:
            self._files[what] = _beside(self.path, what)
            self._digests[what] = hashlib.sha256()
        self._kind = kind

    def _put(self) -> None:
        trades = "price" in self._kind
        try:
            for file in self._files.values():
                file.flush()
            with (
                mmap.mmap(self._files["at"].fileno(), 0, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as raw,
                raw.cast("q") as at,
            ):
                steps = steps_of(_native(at), 0 if trades and self._interval is None else self._interval)
        except (OSError, ValueError) as error:
            raise BadTape(f"{self.path.name} cannot be written: {error}") from error
        check_end(self._last, steps.interval)
        contents = Contents(
            self.instrument,
            steps.interval,
            "volume" in self._kind or "size" in self._kind,
            gaps_told(steps),
            self._name,
            gapped=steps.gaps > 0,
        )
        numbers = {what: number for number, what in enumerate(self._kind)}
        places = {what: numbers[column] for what, column in _as_rows({what: what for what in self._kind}).items()}
        parts = [(self._digests[what].hexdigest(), _copied(self._files[what])) for what in self._kind]
        _finish(self.path, contents, self.rows, places, parts)

    def __enter__(self) -> TapeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


_KINDS = {NAMES, NAMES[:-1], ("at", "price", "size"), ("at", "price")}


def _as_rows(given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of trades as those of rows."""
    if "price" not in given:
        return dict(given)
    price = given["price"]
    rows = {"at": given["at"], "open": price, "high": price, "low": price, "close": price}
    return rows | ({"volume": given["size"]} if "size" in given else {})


def _finish(path: Path, contents: Contents, rows: int, places: Mapping[str, int], parts: Sequence[tuple[str, Iterable[Any]]]) -> None:
    """Write the whole file beside its place, and then put it there."""
    along = _text(told_along(contents.along))
    lies = {"rows": rows, "columns": places, "digests": [digest for digest, _ in parts]}
    head = _text({**told_contents(contents), **lies, "along_bytes": len(along), "along_sha256": hashlib.sha256(along).hexdigest()})
    if len(head) > MOST_HEAD:
        raise BadTape(f"the head of a file would be {len(head)} bytes long, more than {MOST_HEAD}")
    begin = _PREFIX.size + len(head)
    padding = -begin % 64
    size = begin + padding + 8 * rows * len(parts) + len(along)
    with ExitStack() as left:
        try:
            file = _beside(path, "whole")
            left.callback(_gone, file)
            file.write(_PREFIX.pack(MAGIC, VERSION, 0, len(head), size, hashlib.sha256(head).digest()))
            file.write(head + bytes(padding))
            for _, pieces in parts:
                for piece in pieces:
                    file.write(piece)
            file.write(along)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(file.name, path)
        except (OSError, ValueError) as error:
            raise BadTape(f"{path.name} cannot be written: {error}") from error


def _beside(path: Path, what: str) -> BinaryIO:
    return open(path.with_name(f".{path.name}.{os.urandom(6).hex()}.{what}"), "x+b")


def _gone(file: BinaryIO) -> None:
    file.close()
    with suppress(OSError):
        os.unlink(file.name)


def _copied(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _text(told: Any) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(column: Column64) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(column):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(column: Column64) -> Iterator[Any]:
    """The bytes of a column as they lie in a file, some rows at a time."""
    for first in range(0, len(column), _PIECE // 8):
        yield _native(column[first : first + _PIECE // 8])


def _native(column: Column64) -> Column64:
    """A column of the file as this machine counts, or the other way around."""
    if sys.byteorder == "little":
        return column
    turned = array("q", column)
    turned.byteswap()
    return turned
