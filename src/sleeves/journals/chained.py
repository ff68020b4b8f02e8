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
from typing import NamedTuple

from ..codec import GENESIS, Decoder, encode, link
from ..errors import JournalError
from ..journal import order_of
from ..records import Opened, Record, key_of

__all__ = ["Chained", "Row", "check_chain"]

WITHIN = 0.005
"""The longest that an append waits for others to be committed with, in seconds."""
MOST_WAITING = 64
"""The most records that wait for one commit."""


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
        self._decoder = Decoder()
        self._owner = os.getpid()
        self._failed = ""
        self._grouped = 0
        self._waiting = 0
        self._since = 0.0

    # -- what a storage does ------------------------------------------------------------------------------------------

    @abstractmethod
    def _write(self, rows: Sequence[Row]) -> None:
        """Add rows to the transaction that is open, or to a new one. Raises `JournalError`."""

    @abstractmethod
    def _commit(self) -> None:
        """Make what was written durable. Raises `JournalError`."""

    @abstractmethod
    def _rows(self, after: int) -> Iterator[Row]: ...

    @abstractmethod
    def _lines(self, text: str) -> Iterator[tuple[int, str]]:
        """Numbers and lines that contain a text."""

    @abstractmethod
    def _line(self, key: str) -> tuple[int, str] | None: ...

    # -- the journal ----------------------------------------------------------------------------------------------------

    def append(self, *records: Record) -> None:
        self._check_able()
        number, digest = self._count, self._digest
        rows = []
        for record in records:
            line = encode(record)
            number, digest = number + 1, link(digest, line)
            rows.append(Row(number, key_of(record), line, digest))
        if not rows:
            return
        self._write(rows)
        self._count, self._digest = number, digest
        for record in records:
            if type(record) is Opened and record.what == "instrument":
                self._decoder.read(rows[0].line if len(rows) == 1 else encode(record), number)
        if not self._waiting:
            self._since = monotonic()
        self._waiting += len(rows)
        if not self._grouped or self._waiting >= MOST_WAITING or monotonic() - self._since >= WITHIN:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._check_able()
            self._commit()
            self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many records are written and not yet durable; never any outside of `group`."""
        return self._waiting

    @contextmanager
    def group(self) -> Iterator[None]:
        self._grouped += 1
        try:
            yield
        finally:
            self._grouped -= 1
            if not self._grouped and not self._failed:
                self.flush()

    def find(self, key: str) -> Record | None:
        found = self._line(key)
        return None if found is None else self._decoder.read(found[1], found[0])

    def order(self, order_id: str) -> Iterator[Record]:
        for number, line in self._lines(order_id):
            record = self._decoder.read(line, number)
            if order_of(record) == order_id:
                yield record

    def after(self, count: int) -> Iterator[Record]:
        decoder = Decoder() if count == 0 else self._decoder
        for row in self._rows(count):
            yield decoder.read(row.line, row.number)

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

    # -- trust ----------------------------------------------------------------------------------------------------------

    def _take(self, rows: Iterable[Row]) -> None:
        """Walk the whole chain, and learn where it ends and which instruments it knows. Raises `JournalError` at a bad row."""
        for row in check_chain(self.name, rows):
            self._count, self._digest = row.number, row.digest
            if '"kind":"opened"' in row.line:
                self._decoder.read(row.line, row.number)

    def _check_able(self) -> None:
        if self._failed:
            raise JournalError(f"journal {self.name} takes no more since its storage failed ({self._failed}): open it again and recover")
        if os.getpid() != self._owner:
            raise JournalError(f"journal {self.name} belongs to process {self._owner}, not to its child {os.getpid()}")

    def _fail(self, error: Exception) -> JournalError:
        """Storage has failed: whether the last records are there is not known until it is opened again."""
        self._failed = str(error) or type(error).__name__
        return JournalError(
            f"journal {self.name}: {self._failed}; the records behind number {self._count} may be there or not: "
            "it takes no more, open it again and recover"
        )


def check_chain(name: str, rows: Iterable[Row], number: int = 0, digest: str = GENESIS) -> Iterator[Row]:
    """Rows as they come, each checked against the one before it."""
    for row in rows:
        number += 1
        if row.number != number:
            raise JournalError(f"journal {name}: record {number} is missing, {row.number} comes after {number - 1}")
        digest = link(digest, row.line)
        if row.digest != digest:
            raise JournalError(f"journal {name}: record {number} is damaged: its digest does not follow from the records before it")
        yield row
