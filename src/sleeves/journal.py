"""The journal: the book of original entry. Append-only and hash-chained; the ledger is the fold of its entries.

A record is written as one line of canonical JSON (`codec`). Its digest is SHA-256 over the digest before it and that
line, so changing, dropping or swapping any line changes every digest after it. `Memory` keeps records as objects and
works out lines and digests when asked: equal runs give equal bytes. `sleeves.journals` has those that outlive the
process: SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from .codec import GENESIS, KINDS, VERSION, chain, encode, link, read
from .errors import JournalError
from .orders import Fill
from .records import OrderUpdate, Placed, Record, key_of

__all__ = ["GENESIS", "VERSION", "Journal", "Memory", "chain", "encode", "find", "order_of"]


class Journal(Protocol):
    """Where records are kept: one writer at a time, all of an `append` or nothing of it."""

    def append(self, *records: Record) -> None:
        """Keep records that belong together.

        On return they are durable, but within `group`. Raises `JournalError` when they could not be kept; the books then
        change nothing. One that outlives the process takes no more after that: what was lost in between may be there or
        not, so it must be opened again and looked at.
        """

    def group(self) -> AbstractContextManager[object]:
        """Within it, appends are durable at the next `flush`, at its end, or with an append some milliseconds later.

        What follows from a record must not leave the house before `flush`.
        """

    def flush(self) -> None:
        """All that was appended is durable. Raises like `append`."""

    @property
    def waiting(self) -> int:
        """How many records are not durable yet; none outside of `group`."""

    def find(self, key: str) -> Record | None:
        """The record that bears this key (`records.key_of`), if any."""

    def order(self, order_id: str) -> Iterator[Record]:
        """All that concerns one order: how it was placed, its fills, what became of it."""

    def load(self) -> tuple[int, str] | None:
        """The latest snapshot: how many records it stands for, and what `save` was given; None where there is none."""

    def save(self, snapshot: str) -> None:
        """Keep what all records until now amount to, so that opening does not have to read them all."""

    def after(self, count: int) -> Iterator[Record]:
        """The records behind the first `count`."""

    def digest(self) -> str:
        """The digest of the last line: one value that stands for the whole journal."""

    def __iter__(self) -> Iterator[Record]: ...

    def __len__(self) -> int: ...


class Memory:
    """A journal in memory: for simulation, tests and notebooks. It ends with the process.

    A fast replay notes what it does in figures (`sleeves.daybook`): those are written out as records, once, when somebody reads.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        """Records, and among them notes that are not written out yet: tuples, whose first item does it."""
        self._more = 0
        """For how many records more those notes stand than they are."""
        self._brief = False
        self._snapshot: tuple[int, str] | None = None

    def append(self, *records: Record) -> None:
        for record in records:
            if type(record) not in KINDS:
                raise JournalError(f"{record!r} is no record that a journal keeps")
        self._kept.extend(records)

    def note(self, note: tuple[Any, ...], records: int) -> None:
        """Keep a note that stands for so many records, at least one: its first item, called with it, writes them out."""
        self._kept.append(note)
        self._more += records - 1
        self._brief = True

    @property
    def kept(self) -> Sequence[Any]:
        """Records, and notes that are not written out yet, in order: for who can read notes (see `sleeves.daybook`). Not to be changed."""
        return self._kept

    @property
    def _records(self) -> list[Record]:
        """All records, notes written out."""
        if self._brief:
            written: list[Record] = []
            for one in self._kept:
                if type(one) is tuple:
                    written.extend(one[0](one))
                else:
                    written.append(one)
            self._kept, self._more, self._brief = written, 0, False
        return self._kept

    def group(self) -> AbstractContextManager[object]:
        return nullcontext()

    def flush(self) -> None:
        """Nothing here outlives the process."""

    @property
    def waiting(self) -> int:
        return 0

    def find(self, key: str) -> Record | None:
        return find(self._records, key)

    def order(self, order_id: str) -> Iterator[Record]:
        return (record for record in self._records if order_of(record) == order_id)

    def load(self) -> tuple[int, str] | None:
        return self._snapshot

    def save(self, snapshot: str) -> None:
        self._snapshot = len(self), snapshot

    def after(self, count: int) -> Iterator[Record]:
        return iter(self._records[count:])

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._kept) + self._more

    def lines(self) -> Iterator[str]:
        """The journal as JSON lines, each with its digest: the same bytes for the same run."""
        yield from chain(encode(record) for record in self._records)

    def digest(self) -> str:
        digest = GENESIS
        for record in self._records:
            digest = link(digest, encode(record))
        return digest

    @classmethod
    def read(cls, lines: Iterable[str]) -> Memory:
        """Read lines back, checking each link. Raises `JournalError` with the number of the first bad line."""
        journal = cls()
        journal._kept.extend(read(lines))
        return journal


def find(records: Iterable[Record], key: str) -> Record | None:
    """The record that bears a key, by looking at all."""
    return next((record for record in records if key_of(record) == key), None)


def order_of(record: Record) -> str | None:
    """The order that a record concerns, if it concerns one."""
    if isinstance(record, Placed):
        return record.order.id
    return record.order_id if isinstance(record, (OrderUpdate, Fill)) else None
