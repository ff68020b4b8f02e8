"""The embedded journal: one SQLite file, one connection, one process. The default for live use.

Rule 1. What `append` returned from is on the disk: write-ahead log, synchronous FULL. The records of one append are one
        transaction.
Rule 2. One process has the file: a lock beside it names who. Others are refused at once; readers are given a copy.
Rule 3. Rows are added and never changed. Opening walks the whole chain, has SQLite check the file, and holds the end
        against the anchor beside it, so that a cut tail or an old copy is seen.
Rule 4. When storage fails, the outcome is unknown: the journal takes no more until it is opened again.

Why not a second connection: SQLite before 3.51.3 can lose a write-ahead log to a reset that two connections race for.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

from ..errors import JournalError
from .chained import Chained, Row

try:
    import fcntl
except ImportError:  # not on this system: SQLite's own exclusive lock still keeps a second writer out
    fcntl = None  # type: ignore[assignment]

__all__ = ["SQLite"]

SCHEMA = 1
APPLICATION = 0x51EE7E5
_TABLES = """
CREATE TABLE records (
  number INTEGER PRIMARY KEY,
  key TEXT,
  line TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys ON records (key) WHERE key IS NOT NULL;
CREATE TABLE snapshots (
  number INTEGER PRIMARY KEY,
  digest TEXT NOT NULL,
  state TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER records_are_not_changed BEFORE UPDATE ON records BEGIN SELECT raise(ABORT, 'a journal is only added to'); END;
CREATE TRIGGER records_are_not_removed BEFORE DELETE ON records BEGIN SELECT raise(ABORT, 'a journal is only added to'); END;
CREATE VIEW postings AS
  SELECT number, json_extract(line, '$.at') AS at, json_extract(line, '$.entry') AS entry,
         json_extract(value, '$[0]') AS owner, json_extract(value, '$[1]') AS role, json_extract(value, '$[2]') AS of,
         json_extract(value, '$[3]') AS asset, json_extract(value, '$[4]') AS scale, json_extract(value, '$[5]') AS units
  FROM records, json_each(line, '$.postings')
  WHERE json_extract(line, '$.kind') = 'entry';
"""
_SETTINGS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
)
_PAGE = 1_000
"""Rows that are read at once."""


class SQLite(Chained):
    """A journal in a file. Made by `SQLite.open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None, anchor: Anchor | None) -> None:
        super().__init__(str(path))
        self.path = path
        self._db = connection
        self._lock = lock
        self._anchor = anchor
        self._begun = False

    @classmethod
    def open(cls, path: str | Path, *, anchor: str | Path | None = "") -> SQLite:
        """Open a journal, or begin one where no file is.

        `anchor` is a file that remembers the last record, by default beside the journal; on another disk it also tells
        when the whole folder was put back to an older copy. None goes without.

        Raises `JournalError` when another process has it (and says which), when the file is no journal, is damaged
        (and says at which record), ends before its anchor does, was written by a later version, or cannot be written.
        """
        path = Path(path)
        lock = _take_lock(path)
        try:
            connection = _connect(path)
            journal = cls(path, connection, lock, None if anchor is None else Anchor(Path(anchor) if anchor else _beside(path, ".anchor")))
            try:
                journal._begin_or_check()
            except sqlite3.Error as error:
                raise _unreadable(path, error) from error
            except BaseException:
                connection.close()
                raise
        except BaseException:
            _drop_lock(lock)
            raise
        return journal

    @classmethod
    @contextmanager
    def reading(cls, path: str | Path) -> Iterator[SQLite]:
        """A copy of a journal's file, opened and checked as `open` does, the file itself untouched: for verify and export.

        Raises what `open` raises, and `JournalError` where there is no file.
        """
        path = Path(path)
        if not path.is_file():
            raise JournalError(f"there is no journal {path}")
        lock = _take_lock(path) if os.access(path.parent, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="sleeves-") as folder:
            copy = Path(folder) / path.name
            try:
                for suffix in ("", "-wal", ".anchor"):
                    if _beside(path, suffix).is_file():
                        shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
            except OSError as error:
                raise JournalError(f"journal {path} cannot be read: {error}") from error
            finally:
                _drop_lock(lock)
            try:
                journal = cls.open(copy)
            except JournalError as error:
                raise JournalError(str(error).replace(str(copy), str(path))) from error
            journal.name = str(path)
            try:
                yield journal
            finally:
                journal.close()

    # -- opening ---------------------------------------------------------------------------------------------------------

    def _begin_or_check(self) -> None:
        db = self._db
        for setting in _SETTINGS:
            db.execute(setting)
        try:
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise _unreadable(self.path, error) from error
        if mode != "wal":
            raise JournalError(f"journal {self.name}: this file system gives no write-ahead log (it answered {mode!r})")
        application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if not tables and not application:
            db.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA application_id={APPLICATION};PRAGMA user_version={SCHEMA};COMMIT;")
        elif application != APPLICATION:
            raise JournalError(f"{self.name} is a database, but no journal of sleeves")
        elif version != SCHEMA:
            raise JournalError(f"journal {self.name} has tables of version {version}; this program knows version {SCHEMA}: use a newer one")
        problems = [row[0] for row in db.execute("PRAGMA integrity_check(3)")]
        self._take(self._rows(0))
        if problems != ["ok"]:
            raise JournalError(f"journal {self.name} is damaged: {'; '.join(problems)}")
        if self._anchor is not None:
            self._anchor.open()
            self._check_anchor(self._anchor)
        self.load()

    def _check_anchor(self, anchor: Anchor) -> None:
        known = anchor.read()
        if known is None:
            return
        number, digest = known
        row = self._db.execute("SELECT digest FROM records WHERE number = ?", (number,)).fetchone()
        if number and (row is None or row[0] != digest):
            what = f"ends at record {self._count}" if row is None else f"has another record {number}"
            raise JournalError(
                f"journal {self.name} {what}, but its anchor knows record {number}: its tail was cut, or an older copy was "
                f"put in its place. If that was on purpose, remove {anchor.path}"
            )

    # -- storage ---------------------------------------------------------------------------------------------------------

    def _write(self, rows: Sequence[Row]) -> None:
        try:
            if not self._begun:
                self._db.execute("BEGIN IMMEDIATE")
                self._begun = True
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.Error, sqlite3.Warning) as error:
            if isinstance(error, sqlite3.IntegrityError):
                again = next((row.key for row in rows if row.key is not None and self._line(row.key) is not None), None)
                error = sqlite3.IntegrityError(f"{again} is journaled already") if again else error
            raise self._fail(error) from error

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fail(error) from error
        self._begun = False
        if self._anchor is not None:
            self._anchor.write(self._count, self._digest)

    def _rows(self, after: int) -> Iterator[Row]:
        while True:
            page = self._db.execute(
                "SELECT number, key, line, digest FROM records WHERE number > ? ORDER BY number LIMIT ?", (after, _PAGE)
            ).fetchall()
            if not page:
                return
            for row in page:
                yield Row(*row)
            after = page[-1][0]

    def _lines(self, text: str) -> Iterator[tuple[int, str]]:
        yield from self._db.execute("SELECT number, line FROM records WHERE instr(line, ?) ORDER BY number", (text,)).fetchall()

    def _line(self, key: str) -> tuple[int, str] | None:
        found: tuple[int, str] | None = self._db.execute("SELECT number, line FROM records WHERE key = ?", (key,)).fetchone()
        return found

    # -- snapshots -------------------------------------------------------------------------------------------------------

    def load(self) -> tuple[int, str] | None:
        row = self._db.execute("SELECT number, digest, state, hash FROM snapshots ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            return None
        number, digest, state, claimed = row
        there = self._db.execute("SELECT digest FROM records WHERE number = ?", (number,)).fetchone()
        if claimed != _hash(number, digest, state) or there is None or there[0] != digest:
            raise JournalError(f"journal {self.name}: its snapshot at record {number} is damaged")
        return number, state

    def save(self, snapshot: str) -> None:
        if not self._count:
            return
        self.flush()
        self._check_able()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)",
                (self._count, self._digest, snapshot, _hash(self._count, self._digest, snapshot)),
            )
            self._db.execute("DELETE FROM snapshots WHERE number < ?", (self._count,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fail(error) from error

    # -- the file --------------------------------------------------------------------------------------------------------

    def copy(self, path: str | Path) -> None:
        """Write a copy of the whole journal to a new file, for readers: the file itself is this process's alone.

        Raises `JournalError` when the file is there already or cannot be written.
        """
        self.flush()
        path = Path(path)
        if path.exists():
            raise JournalError(f"{path} is there already")
        try:
            self._db.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            raise JournalError(f"a copy of journal {self.name} cannot be written to {path}: {error}") from error

    def close(self) -> None:
        """Make all durable and let go of the file. Closing again does nothing."""
        try:
            if not self._failed:
                self.flush()
        finally:
            self._failed = self._failed or "it was closed"
            self._db.close()
            if self._anchor is not None:
                self._anchor.close()
            _drop_lock(self._lock)
            self._lock = None

    def __enter__(self) -> SQLite:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SQLite({self.name!r}, {self._count} records)"


class Anchor:
    """A small file that remembers the last record: two slots, written in turn, so that one is always whole."""

    SLOT = 128

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._turn = 0

    def open(self) -> None:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"anchor {self.path} cannot be opened: {error}") from error

    def read(self) -> tuple[int, str] | None:
        """The last record that it knows, (number, digest), or None."""
        assert self._file is not None
        os.lseek(self._file, 0, os.SEEK_SET)
        text = os.read(self._file, 2 * self.SLOT)
        slots = [found for at in (0, self.SLOT) if (found := _slot(text[at : at + self.SLOT])) is not None]
        return max(slots, default=None)

    def write(self, number: int, digest: str) -> None:
        assert self._file is not None
        text = f"{number} {digest}"
        slot = f"{text} {crc32(text.encode()):08x}".ljust(self.SLOT - 1).encode() + b"\n"
        self._turn = 1 - self._turn
        with suppress(OSError):  # the records are safe; a full disk must not undo that
            os.lseek(self._file, self._turn * self.SLOT, os.SEEK_SET)
            os.write(self._file, slot)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _slot(text: bytes) -> tuple[int, str] | None:
    words = text.decode("ascii", "replace").split()
    if len(words) == 3 and words[0].isdigit() and words[2] == f"{crc32(f'{words[0]} {words[1]}'.encode()):08x}":
        return int(words[0]), words[1]
    return None


def _hash(number: int, digest: str, state: str) -> str:
    from hashlib import sha256

    return sha256(f"{number} {digest}\n{state}".encode()).hexdigest()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return sqlite3.connect(path, isolation_level=None, timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> JournalError:
    return JournalError(f"journal {path} cannot be opened for writing: {error}")


def _take_lock(path: Path) -> int | None:
    """Have the journal to ourselves, or raise `JournalError` with who has it."""
    lock = _beside(path, ".lock")
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"journal {path} cannot be opened for writing: {error}") from error
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = os.read(file, 200).decode("utf-8", "replace").strip() or "an unknown process"
            os.close(file)
            raise JournalError(f"journal {path} is open in {who}: one process writes it; ask that one for a copy") from None
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return file


def _drop_lock(file: int | None) -> None:
    if file is not None:
        os.close(file)
