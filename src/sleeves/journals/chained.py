"""What journals that outlive the process have in common: a chain of rows, a writer that stops when storage fails, checks.

A row is (number, key, line, digest). A commit that raised can be on disk all the same, so a journal whose storage has
failed takes nothing more: it is opened again, and what is there is looked at.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple, NoReturn, Self

from ..codec import GENESIS, VERSION, Decoder, canonical, encode, link
from ..errors import JournalError
from ..journal import order_of
from ..records import Opened, Record, key_of

__all__ = ["Chained", "Row", "check_chain"]

WITHIN = 0.005
"""The longest that an append leaves others waiting to be committed with it, in seconds."""
MOST_WAITING = 64
"""The most records that wait for one commit."""

_THIS_VERSION = (f'"v":{VERSION},', f'"v":{VERSION}}}')
_OPENED = '"kind":"opened"'
"""As they stand in a canonical line. Within a text of it every quote has a backslash before it: these never match there."""


class Row(NamedTuple):
    number: int
    key: str | None
    line: str
    digest: str


class Chained(ABC):
    """The part of a stored journal that knows no storage. `name` is how errors call it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0
        self._digest = GENESIS
        self._durable = 0, GENESIS
        self._decoder = Decoder()
        self._owner = os.getpid()
        self._failed = ""
        """Why it takes no more, once it does not."""
        self._grouped = 0
        self._waiting = 0
        self._since = 0.0

    @property
    def failed(self) -> str:
        """Why it takes no more; nothing while it does."""
        return self._failed

    # -- what a storage does ------------------------------------------------------------------------------------------

    @abstractmethod
    def _write(self, rows: Sequence[Row]) -> None:
        """Add rows to the transaction that is open, or to a new one. Raises `JournalError`."""

    @abstractmethod
    def _commit(self) -> None:
        """Make what was written durable. Raises `JournalError`."""

    @abstractmethod
    def _rows(self, after: int) -> Iterator[Row]:
        """The rows behind a number, in order. Rows that are added meanwhile come too."""

    @abstractmethod
    def _lines(self, text: str, since: int) -> Iterator[tuple[int, str]]:
        """Numbers and lines, from a number on, that contain a text."""

    @abstractmethod
    def _line(self, key: str) -> tuple[int, str] | None:
        """The number and line of the row that has a key."""

    @abstractmethod
    def close(self) -> None:
        """Make all durable and let go of the storage. Closing again does nothing."""

    # -- the journal ----------------------------------------------------------------------------------------------------

    def append(self, *records: Record) -> None:
        """As `Journal.append`. Raises `JournalError` and goes on when a record cannot be written in the first place."""
        self._check_able()
        if not records:
            return
        number, digest = self._count, self._digest
        rows = []
        for record in records:
            line = encode(record)
            number, digest = number + 1, link(digest, line)
            if type(record) is Opened and record.what == "instrument":
                self._decoder.read(line, number)
            rows.append(Row(number, _key(record), line, digest))
        with_others = self._waiting > 0
        try:
            self._write(rows)
        except BaseException as error:
            self._stop(error)
            raise
        self._count, self._digest = number, digest
        if not with_others:
            self._since = monotonic()
        self._waiting += len(rows)
        if not self._grouped or self._waiting >= MOST_WAITING or monotonic() - self._since >= WITHIN:
            self.flush()

    def flush(self) -> None:
        if not self._waiting and not self._failed:
            return
        self._check_able()
        try:
            self._commit()
        except BaseException as error:
            self._stop(error)
            raise
        self._waiting = 0
        self._durable = self._count, self._digest

    @property
    def waiting(self) -> int:
        """How many records are written and not yet durable; never any outside of `group`."""
        return self._waiting

    @contextmanager
    def group(self) -> Iterator[None]:
        """As `Journal.group`. Nothing runs in the background: the time is looked at with each append.

        One within another ends with the outer one. Who holds one open while other tasks run flushes on a timer, as
        `live.trade` does. Raises at its end what `flush` raises, also when an append failed within and its error was swallowed.
        """
        self._grouped += 1
        try:
            yield
        except BaseException:
            self._grouped -= 1
            if not self._grouped and not self._failed:
                self.flush()
            raise
        self._grouped -= 1
        if not self._grouped:
            self.flush()

    def find(self, key: str) -> Record | None:
        found = self._line(_filed(key))
        if found is None:
            return None
        number, line = found
        record = self._read(self._decoder, number, line)
        if key_of(record) != key:
            raise self._misfiled(number)
        return record

    def order(self, order_id: str) -> Iterator[Record]:
        """As `Journal.order`; nothing for an order that was never placed here."""
        placed = self._line(_filed(f"order|{order_id}"))
        if placed is None:
            return
        for number, line in self._lines(canonical(order_id), placed[0]):
            record = self._read(self._decoder, number, line)
            if order_of(record) == order_id:
                yield record

    def after(self, count: int) -> Iterator[Record]:
        """As `Journal.after`. Raises `JournalError` with the number of a record that means nothing, or that has another's key."""
        decoder = Decoder() if count == 0 else self._decoder
        for number, key, line, _ in self._rows(count):
            record = self._read(decoder, number, line)
            if _key(record) != key:
                raise self._misfiled(number)
            yield record

    def digest(self) -> str:
        return self._digest

    def lines(self) -> Iterator[str]:
        """The journal as JSON lines, each with its digest, as `Memory.read` reads them back."""
        for row in self._rows(0):
            yield f"{row.line} {row.digest}"

    def __iter__(self) -> Iterator[Record]:
        return self.after(0)

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self._count} records)"

    def __reduce__(self) -> NoReturn:
        raise JournalError(f"journal {self.name} cannot be copied or pickled: it has one writer")

    # -- trust ----------------------------------------------------------------------------------------------------------

    def _take(self, rows: Iterable[Row]) -> None:
        """Walk the whole chain, and learn where it ends and which instruments it knows.

        Raises `JournalError` at a row that does not follow, or that a later version wrote.
        """
        this, or_this = _THIS_VERSION
        row = None
        for row in check_chain(self.name, rows):
            line = row[2]
            if (this not in line and or_this not in line) or _OPENED in line:
                self._read(self._decoder, row[0], line)
        if row is not None:
            self._count, self._digest = self._durable = row[0], row[3]

    def _read(self, decoder: Decoder, number: int, line: str) -> Record:
        try:
            return decoder.read(line, number)
        except JournalError as error:
            raise JournalError(f"journal {self.name}, record {number} cannot be read: {error}") from error

    def _misfiled(self, number: int) -> JournalError:
        return JournalError(f"journal {self.name}: record {number} is damaged: it is filed under a key that is not its own")

    def _check_able(self) -> None:
        if os.getpid() != self._owner:
            raise JournalError(f"journal {self.name} belongs to process {self._owner}, not to its child {os.getpid()}")
        if self._failed:
            raise JournalError(f"journal {self.name} takes no more ({self._failed}): open it again and recover")

    def _stop(self, error: BaseException) -> None:
        """Whatever ended a write or a commit, its outcome is unknown."""
        if not self._failed:
            self._fail(error)

    def _fail(self, error: BaseException) -> JournalError:
        """Storage has failed: whether the last records are there is not known until it is opened again."""
        self._failed = str(error) or type(error).__name__
        self._count, self._digest = self._durable
        self._waiting = 0
        return JournalError(
            f"journal {self.name}: {self._failed}; records behind number {self._count} may be there or not: "
            "it takes no more, open it again and recover"
        )


def check_chain(name: str, rows: Iterable[Row], number: int = 0, digest: str = GENESIS) -> Iterator[Row]:
    """Rows as they come, each checked against the one before it. Raises `JournalError` at the first that does not follow."""
    for row in rows:
        number += 1
        digest = link(digest, row[2])
        if row[0] != number:
            raise JournalError(f"journal {name}: record {number} is missing, {row[0]} comes after {number - 1}")
        if row[3] != digest:
            raise JournalError(f"journal {name}: record {number} is damaged: its digest does not follow from the records before it")
        yield row


def _key(record: Record) -> str | None:
    """The key of a record as its row has it."""
    key = key_of(record)
    return None if key is None else _filed(key)


def _filed(key: str) -> str:
    """Whatever a venue calls its trades, it is kept in ASCII, and two keys stay two."""
    return canonical(key)[1:-1]
