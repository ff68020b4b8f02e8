"""Numbers that a venue must see rise: one series for each key, never repeated, whatever dies in between.

A number is the time in the venue's unit, or one more than the last where the clock stands still or goes back. A small SQLite
file remembers, ahead of use, how far the numbers may have gone: it is written about once a second of use, and a program that
was killed begins behind all that it can have given out. The file belongs to one process; a second one is refused, since two
programs on one key are what venues name as the main cause of refused nonces.

It knows nothing of keys but a name for each, and nothing of calls: that numbers leave in order is `Held.turn`'s part.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from ..market import SECOND
from .secret import InvalidKey, KeysError, Unwritable

__all__ = ["MICROSECOND", "MILLISECOND", "Nonces"]

MICROSECOND = 1_000
MILLISECOND = 1_000_000
MOST = 2**63 - 1
APPLICATION = 0x51EE7E6
_TABLE = "CREATE TABLE nonces (key TEXT PRIMARY KEY, ceiling INTEGER NOT NULL) STRICT"
_KEEP = "INSERT INTO nonces VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET ceiling = max(ceiling, excluded.ceiling)"


class Nonces:
    """Rising numbers by key. Made by `Nonces.open`; without a file, `Nonces(clock)`, they rise for this process alone.

    `clock` gives the time in nanoseconds since 1970 UTC; `unit_ns` is the venue's unit: milliseconds where none is said. A file
    may be opened with another unit, and the numbers still rise; but a key that was used with microseconds stays on numbers of
    that size. Used by the thread that opened it.
    """

    def __init__(self, clock: Callable[[], int], *, unit_ns: int = MILLISECOND) -> None:
        if not callable(clock):
            raise InvalidKey(f"the clock of nonces is called for the time, such as time.time_ns, and {clock!r} is not")
        if type(unit_ns) is not int or not 0 < unit_ns <= SECOND:
            raise InvalidKey(f"unit_ns {unit_ns!r} must be a whole number of nanoseconds, 1 to {SECOND}")
        self.path: Path | None = None
        self._clock = clock
        self._unit = unit_ns
        self._ahead = max(SECOND // unit_ns, 16)
        self._last: dict[str, int] = {}
        self._ceiling: dict[str, int] = {}
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._process = os.getpid()

    @classmethod
    def open(cls, path: str | Path, clock: Callable[[], int], *, unit_ns: int = MILLISECOND) -> Nonces:
        """Open the file, or begin one, mode 0600. Raises `KeysError` where another process has it, or it cannot be trusted."""
        nonces = cls(clock, unit_ns=unit_ns)
        nonces.path = Path(path)
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            nonces._db = _connected(Path(path))
        except (OSError, sqlite3.Error) as error:
            raise KeysError(f"nonces {path}: {_reason(error)}") from error
        return nonces

    def draw(self, key: str) -> int:
        """The next number of a key: above every one that was ever drawn for it, before a crash too.

        Raises `KeysError` where the file cannot keep it, was closed, or is used by another thread or a forked child; then no number
        is given out. `InvalidKey` for a clock that gives no time, and past 2^63 - 1.
        """
        self._check()
        number = max(self._known(key) + 1, self._now() // self._unit)
        if number > self._ceiling.get(key, -1):
            self._keep(key, number + self._ahead)
        self._last[key] = number
        return number

    def raise_to(self, key: str, number: int) -> None:
        """The next number will be above this one: after another program has used the key. Raises as `draw` does."""
        if type(number) is not int or not 0 <= number < MOST:
            raise InvalidKey(f"a nonce {number!r} must be a whole number, 0 to {MOST - 1}")
        self._check()
        if number > self._known(key):
            self._keep(key, number + self._ahead)
            self._last[key] = number

    def close(self) -> None:
        """Let go of the file. Closing again does nothing."""
        self._closed = True
        if self._db is not None and os.getpid() == self._process:
            self._db.close()

    def __enter__(self) -> Nonces:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Nonces {getattr(self, 'path', None) or 'in memory'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("nonces are not pickled or copied: two would give one number twice")

    def _check(self) -> None:
        what = self.path or "in memory"
        if os.getpid() != self._process:
            raise KeysError(f"nonces {what} belong to the process that this one was forked from")
        if self._closed:
            raise KeysError(f"nonces {what} were closed")
        if self._db is not None:
            try:
                self._db.cursor()  # SQLite says when this is another thread
            except sqlite3.ProgrammingError:
                raise KeysError(f"nonces {what} belong to the thread that opened them") from None

    def _now(self) -> int:
        now = self._clock()
        if type(now) is not int or now < 0:
            raise InvalidKey(f"the clock of nonces gave {now!r}, which is no time in whole nanoseconds since 1970")
        return now

    def _known(self, key: str) -> int:
        """The last number, or the highest that may have been given out before this start."""
        if key not in self._last:
            if not isinstance(key, str) or not key:
                raise InvalidKey("nonces are drawn for a name")
            self._last[key] = self._stored(key)
        return self._last[key]

    def _stored(self, key: str) -> int:
        if self._db is None:
            return 0
        try:
            row = self._db.execute("SELECT ceiling FROM nonces WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise KeysError(f"nonces {self.path} cannot be read: {error}") from error
        return 0 if row is None else int(row[0])

    def _keep(self, key: str, ceiling: int) -> None:
        if ceiling > MOST:
            raise InvalidKey(f"the nonces of this key have come to their end, {MOST}: make a new key")
        if self._db is not None:
            try:
                self._db.execute(_KEEP, (key, ceiling))
            except sqlite3.Error as error:
                raise KeysError(f"nonces {self.path} cannot be kept, so none is given out: {error}") from error
        self._ceiling[key] = ceiling


def _connected(path: Path) -> sqlite3.Connection:
    """The file, locked for this process; each statement is on the disk when it returns."""
    db = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = PERSIST")
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA fullfsync = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("BEGIN EXCLUSIVE")
        tables = [row[0] for row in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
        if not tables and db.execute("PRAGMA application_id").fetchone()[0] == 0:
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(_TABLE)
        elif tables != [_TABLE] or db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise sqlite3.DatabaseError("it is no file of nonces")
        db.execute("COMMIT")
        if (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(said)
    except BaseException:
        db.close()
        raise
    return db


def _reason(error: OSError | sqlite3.Error) -> str:
    if isinstance(error, OSError):
        return f"the file cannot be made: {error.strerror}"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return "another program has them open: two programs on one key refuse each other's nonces"
    return f"the file cannot be trusted: {error}. Without it numbers begin at the clock: see that none can have been higher, then remove it"
