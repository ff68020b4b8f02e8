"""The embedded journal: one SQLite file, one connection, one process. The default for live use.

Rule 1. What `append` returned from is on the disk: write-ahead log, synchronous FULL. The records of one append are one
        transaction.
Rule 2. One process has the file: a lock beside it names who. Others are refused at once; readers are given a copy. A
        forked child has nothing of it.
Rule 3. Rows are added and never changed. Opening walks the whole chain, has SQLite check the file, holds the tables
        against those that are made here, and the end against the anchor beside it, so that a cut tail or an old copy
        is seen.
Rule 4. When storage fails, the outcome is unknown: the journal takes no more until it is opened again.
Rule 5. An opening that is refused leaves the file and its log as they are, to the byte: they are evidence.

Beside the file lie its write-ahead log (`-wal`) while it is open or was not closed, `.lock` and `.anchor`.

Why not a second connection: SQLite before 3.51.3 can lose a write-ahead log to a reset that two connections race for.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Any
from weakref import WeakSet
from zlib import crc32

from ..errors import JournalError
from .chained import Chained, Row

try:
    import fcntl
except ImportError:  # not on this system: SQLite's own exclusive lock keeps a second writer out
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
    "PRAGMA fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
)
_PAGE = 1_000
"""Rows that are read at once."""
_OLDEST = (3, 37)
"""The first SQLite with STRICT tables."""


class SQLite(Chained):
    """A journal in a file. Made by `SQLite.open`; used by the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None, anchor: Anchor | None, name: str = "") -> None:
        super().__init__(name or str(path))
        self.path = path
        self._db = connection
        self._lock = lock
        self._anchor = anchor
        self._broken = False
        self._thread = get_ident()
        _OPEN.add(self)

    @classmethod
    def open(cls, path: str | Path, *, anchor: str | Path | None = "") -> SQLite:
        """Open a journal, or begin one where no file is.

        `anchor` is a file that remembers the last record, by default beside the journal; on another disk it also tells
        when the whole folder was put back to an older copy. None goes without. All records are checked, which takes some two
        seconds for a million of them.

        Raises `JournalError` when another process has it (and says which), when the file is no journal, is damaged
        (and says at which record), ends before its anchor does, was written by a later version, or cannot be written.
        """
        path = Path(os.path.realpath(path))
        return cls._open(path, _anchor_of(path, anchor))

    @classmethod
    def _open(cls, path: Path, anchor: Anchor | None, name: str = "") -> SQLite:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise JournalError(f"journals need SQLite 3.37 or later; this Python has {sqlite3.sqlite_version}")
        if path.is_dir():
            raise JournalError(f"journal {path} cannot be opened: it is a folder")
        lock = _take_lock(path)
        try:
            known = None if anchor is None else anchor.read()
            _put_back(path)
            if not path.exists():
                _begin(path, anchor, known)
            _check_head(path, name or str(path))
            journal = cls(path, _connect(path), lock, anchor, name)
        except BaseException:
            _drop_lock(lock)
            raise
        try:
            journal._check()
            if anchor is not None and known is not None:
                journal._check_anchor(anchor, *known)
            journal._make_ready()
            if fcntl is None:
                _sign(lock)
            if anchor is not None:
                anchor.open(journal._count, journal._digest)
        except BaseException as error:
            journal._let_go(f"it was not opened: {error}", as_it_is=True)
            raise
        return journal

    @classmethod
    @contextmanager
    def reading(cls, path: str | Path, *, anchor: str | Path | None = "") -> Iterator[SQLite]:
        """A copy of a journal, opened and checked as `open` does, the file itself untouched: for verify and export.

        Raises what `open` raises, and `JournalError` where there is no file. The copy takes no records.
        """
        path = Path(os.path.realpath(path))
        if not path.is_file():
            raise JournalError(f"there is no journal {path}")
        witness = _anchor_of(path, anchor)
        with tempfile.TemporaryDirectory(prefix="sleeves-") as folder:
            copy = Path(folder) / path.name
            lock = _take_lock(path, to_read=True)
            try:
                known = None if witness is None else witness.read()
                for suffix in ("", "-wal"):
                    if _beside(path, suffix).is_file():
                        shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
            except OSError as error:
                raise JournalError(f"journal {path} cannot be read: {error}") from error
            finally:
                _drop_lock(lock)
            journal = cls._open(copy, None, str(path))
            try:
                if witness is not None and known is not None:
                    journal._check_anchor(witness, *known)
                journal._failed = "this is a copy, for reading"
                yield journal
            finally:
                journal.close()

    # -- opening ---------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """See that all is as it was written. Nothing is changed."""
        try:
            for setting in _SETTINGS:
                self._db.execute(setting)
            _check_kind(self.name, *(self._db.execute(f"PRAGMA {word}").fetchone()[0] for word in ("application_id", "user_version")))
            if _schema(self._db) != _made_here():
                raise JournalError(f"journal {self.name} is damaged: its tables are not those that sleeves makes")
            self._take(self._rows(0))
            problems = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check(3)")]
        except sqlite3.Error as error:
            raise self._unopened(error) from error
        if problems != ["ok"]:
            raise JournalError(f"journal {self.name} is damaged: {'; '.join(problems)}")
        self.load()

    def _make_ready(self) -> None:
        """A copy has no write-ahead log yet."""
        try:
            mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.Error as error:
            raise self._unopened(error) from error
        if mode != "wal":
            raise JournalError(f"journal {self.name}: this file system gives no write-ahead log (SQLite answered {mode!r})")

    def _check_anchor(self, anchor: Anchor, number: int, digest: str) -> None:
        if not number:
            return
        there = self._ask("SELECT digest FROM records WHERE number = ?", number)
        if there != [(digest,)]:
            what = f"has another record {number}" if there else f"ends at record {self._count}"
            raise JournalError(
                f"journal {self.name} {what}, but its anchor knows record {number}: its tail was cut, or an older copy was "
                f"put in its place. If that was on purpose, remove {anchor.path}"
            )

    def _unopened(self, error: sqlite3.Error) -> JournalError:
        code = _code(error)
        if code == sqlite3.SQLITE_BUSY and self.path in _DISOWNED:
            return JournalError(f"journal {self.name} was open in the process that this one was forked from: open it in a new process")
        if code == sqlite3.SQLITE_BUSY:
            other = "another program, which is none of sleeves" if fcntl is not None else _who(self._lock)
            return JournalError(f"journal {self.name} is open in {other}: one process writes it; ask that one for a copy")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return JournalError(f"journal {self.name} is damaged: {error}")
        return JournalError(f"journal {self.name} cannot be opened for writing: {error}")

    # -- storage ---------------------------------------------------------------------------------------------------------

    def _write(self, rows: Sequence[Row]) -> None:
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            raise self._fail(self._doubled(rows) or error) from error
        except sqlite3.Error as error:
            raise self._fail(error) from error

    def _doubled(self, rows: Sequence[Row]) -> JournalError | None:
        """What the index of keys has refused, in words."""
        keys = [row.key for row in rows if row.key is not None]
        with suppress(JournalError):
            for key in keys:
                if keys.count(key) > 1 or self._line(key) is not None:
                    return JournalError(f"{key} is journaled already")
        return None

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fail(error) from error
        if self._anchor is not None:
            self._anchor.write(self._count, self._digest)

    def _fail(self, error: BaseException) -> JournalError:
        failed = super()._fail(error)
        self._broken = True
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        return failed

    def _rows(self, after: int) -> Iterator[Row]:
        query = "SELECT number, key, line, digest FROM records WHERE number > ? ORDER BY number LIMIT ?"
        while page := self._ask(query, after, _PAGE, what=f"behind record {after} "):
            yield from map(Row._make, page)
            after = page[-1][0]

    def _lines(self, text: str, since: int) -> Iterator[tuple[int, str]]:
        yield from self._ask("SELECT number, line FROM records WHERE number >= ? AND instr(line, ?) ORDER BY number", since, text)

    def _line(self, key: str) -> tuple[int, str] | None:
        found = self._ask("SELECT number, line FROM records WHERE key = ?", key)
        return found[0] if found else None

    def _ask(self, question: str, *words: str | int, what: str = "") -> list[Any]:
        if os.getpid() != self._owner:
            super()._check_able()
        try:
            return self._db.execute(question, words).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.name} cannot be read {what}({error})") from error

    def _check_able(self) -> None:
        super()._check_able()
        self._check_thread()

    def _check_thread(self) -> None:
        if get_ident() != self._thread:
            raise JournalError(f"journal {self.name} belongs to the thread that opened it; this is another one")

    # -- snapshots -------------------------------------------------------------------------------------------------------

    def load(self) -> tuple[int, str] | None:
        """As `Journal.load`. Raises `JournalError` for a snapshot that is damaged, or of another journal."""
        for number, digest, state, claimed in self._ask("SELECT number, digest, state, hash FROM snapshots"):
            there = self._ask("SELECT digest FROM records WHERE number = ?", number)
            if claimed != _hash(number, digest, state) or there != [(digest,)]:
                raise JournalError(
                    f"journal {self.name}: its snapshot at record {number} is damaged. Its records are read without it once it "
                    f"is removed: sqlite3 {self.path} 'DELETE FROM snapshots'"
                )
            return number, state
        return None

    def save(self, snapshot: str) -> None:
        self.flush()
        self._check_able()
        if not self._count:
            return
        row = self._count, self._digest, snapshot, _hash(self._count, self._digest, snapshot)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM snapshots")
            self._db.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?)", row)
            self._db.execute("COMMIT")
        except BaseException as error:
            failed = self._fail(error)
            if isinstance(error, sqlite3.Error):
                raise failed from error
            raise

    # -- the file --------------------------------------------------------------------------------------------------------

    def copy(self, path: str | Path) -> None:
        """Write a copy of the whole journal to a new file, for readers: the file itself is this process's alone.

        Raises `JournalError` when a file is there already or cannot be written; none is left behind then.
        """
        self._check_able()
        self.flush()
        path = Path(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise JournalError(f"a copy of journal {self.name} cannot be written to {path}: {error}") from error
        try:
            self._db.execute("VACUUM INTO ?", (str(path),))
            _sync(path)
        except (OSError, sqlite3.Error) as error:
            path.unlink(missing_ok=True)
            raise JournalError(f"a copy of journal {self.name} cannot be written to {path}: {error}") from error

    def close(self) -> None:
        """Make all durable and let go of the file. Closing again does nothing, nor does closing in a forked child.

        Raises what `flush` raises; the file is let go of all the same.
        """
        if self._lock is None:
            return
        self._check_thread()
        try:
            if not self._failed:
                self.flush()
        finally:
            self._let_go("it was closed", as_it_is=self._broken)

    def _let_go(self, why: str, *, as_it_is: bool) -> None:
        """Close the file: its log written back into it and removed, or both left as they are."""
        self._failed = self._failed or why
        try:
            if as_it_is:
                _close_as_it_is(self._db, self.path)
            else:
                self._db.close()
        finally:
            if self._anchor is not None:
                self._anchor.close()
            _drop_lock(self._lock)
            self._lock = None

    def _disown(self) -> None:
        """In a forked child: the file stays the parent's alone, and its lock goes when the parent goes.

        Were the connection closed here, when the child ends, SQLite would remove the log that the parent writes to. So it
        is kept from ever being closed.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._db))
        _DISOWNED.add(self.path)
        _drop_lock(self._lock)
        self._lock = None
        if self._anchor is not None:
            self._anchor.close()

    def __del__(self) -> None:
        """One that nobody has any more is closed, so that its lock does not stay with the process."""
        if "_lock" in self.__dict__:
            with suppress(JournalError):
                self.close()


class Anchor:
    """A small file that remembers the last record: two slots on two sectors, written in turn, so that one is always whole."""

    SLOT = 128
    APART = 4096

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._turn = 0

    def read(self) -> tuple[int, str] | None:
        """The last record that it knows, (number, digest); None where there is none. Raises `JournalError` when it is damaged."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"anchor {self.path} cannot be read: {error}") from error
        parts = [text[at : at + self.SLOT] for at in (0, self.APART)]
        slots = [known for part in parts if (known := _slot(part)) is not None]
        if not slots and any(part.strip(b"\0") for part in parts):
            raise JournalError(
                f"anchor {self.path} is damaged: how far its journal must reach is not known. If it is known, remove the anchor"
            )
        return max(slots, default=None)

    def open(self, number: int, digest: str) -> None:
        """Make it if need be, and have both slots say what the journal says. Raises `JournalError` when it cannot be written."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o600)
            for _ in range(2):
                self._put(number, digest)
            os.fsync(self._file)
        except OSError as error:
            raise JournalError(f"anchor {self.path} cannot be written: {error}") from error

    def write(self, number: int, digest: str) -> None:
        with suppress(OSError):  # the records are safe; what befalls the anchor must not undo that
            self._put(number, digest)

    def _put(self, number: int, digest: str) -> None:
        assert self._file is not None
        text = f"{number} {digest}"
        slot = f"{text} {crc32(text.encode()):08x}".ljust(self.SLOT - 1).encode() + b"\n"
        os.lseek(self._file, self._turn * self.APART, os.SEEK_SET)
        self._turn = 1 - self._turn
        os.write(self._file, slot)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _anchor_of(path: Path, anchor: str | Path | None) -> Anchor | None:
    return None if anchor is None else Anchor(Path(anchor) if anchor else _beside(path, ".anchor"))


def _slot(text: bytes) -> tuple[int, str] | None:
    words = text.decode("ascii", "replace").split()
    if len(words) == 3 and words[0].isdigit() and words[2] == f"{crc32(f'{words[0]} {words[1]}'.encode()):08x}":
        return int(words[0]), words[1]
    return None


# -- the file before it is open, and after -------------------------------------------------------------------------------


def _check_head(path: Path, name: str) -> None:
    """Refuse what is no journal of ours by its first bytes, before SQLite touches it."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise _unwritable(path, error) from error
    if not head:
        raise JournalError(f"journal {name} is an empty file: it never was a journal, or it was lost. Remove it to begin a new one")
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise JournalError(f"{name} is no journal: it is not a database of SQLite, or its head is damaged")
    _check_kind(name, int.from_bytes(head[68:72], "big"), int.from_bytes(head[60:64], "big"))


def _check_kind(name: str, application: int, version: int) -> None:
    if application != APPLICATION:
        raise JournalError(f"{name} is a database, but no journal of sleeves")
    if version != SCHEMA:
        hint = ": use a later program" if version > SCHEMA else ""
        raise JournalError(f"journal {name} has tables of version {version}, and this program knows version {SCHEMA}{hint}")


def _begin(path: Path, anchor: Anchor | None, known: tuple[int, str] | None) -> None:
    """Make an empty journal where none is: the whole of it at once, so that an empty file never was one of ours."""
    if anchor is not None and known is not None and known[0]:
        raise JournalError(
            f"there is no journal {path}, but its anchor knows record {known[0]}: it was moved or lost. "
            f"If that was on purpose, remove {anchor.path}"
        )
    if (log := _beside(path, "-wal")).exists():
        raise JournalError(f"there is no journal {path}, but its log {log} is there: put the file back, or remove the log to begin anew")
    new = _beside(path, ".new")
    try:
        for leftover in (new, _beside(new, "-journal"), _beside(new, "-wal")):
            leftover.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(new, isolation_level=None)
        try:
            db.executescript(
                f"PRAGMA fullfsync = ON; BEGIN IMMEDIATE; {_TABLES}"
                f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; COMMIT; PRAGMA journal_mode = WAL;"
            )
        finally:
            db.close()
        new.rename(path)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise _unwritable(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR))  # SQLite would open for reading what it may not write
        return sqlite3.connect(path, isolation_level=None, timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise _unwritable(path, error) from error


def _close_as_it_is(db: sqlite3.Connection, path: Path) -> None:
    """Close without writing the log back: SQLite lets a file be that is not where it was, so it is moved for that moment."""
    held = _beside(path, ".held")
    try:
        path.rename(held)
    except OSError:
        db.close()
        return
    try:
        db.close()
    finally:
        held.rename(path)
    log = _beside(path, "-wal")
    if log.exists() and not log.stat().st_size:
        log.unlink()


def _put_back(path: Path) -> None:
    """Undo the moment of `_close_as_it_is`, when the process was killed in it."""
    held = _beside(path, ".held")
    if held.exists() and not path.exists():
        held.rename(path)


def _schema(db: sqlite3.Connection) -> list[Any]:
    return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()


def _made_here() -> list[Any]:
    """The tables as `_begin` makes them."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.executescript(_TABLES)
        return _schema(db)
    finally:
        db.close()


def _hash(number: int, digest: str, state: str) -> str:
    return sha256(f"{number} {digest}\n{state}".encode()).hexdigest()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync(path: Path) -> None:
    """A file, or the names in a folder, onto the disk."""
    if path.is_dir() and os.name == "nt":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _unwritable(path: Path, error: Exception) -> JournalError:
    return JournalError(f"journal {path} cannot be opened for writing: {error}")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


# -- one process ---------------------------------------------------------------------------------------------------------


def _take_lock(path: Path, *, to_read: bool = False) -> int | None:
    """Have the journal to ourselves, or raise `JournalError` with who has it.

    None is for a reader where no lock is and none can be made: who writes there leaves one.
    """
    lock = _beside(path, ".lock")
    try:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            if not to_read:
                raise
            if not lock.exists():
                return None
            file = os.open(lock, os.O_RDONLY)
    except OSError as error:
        raise JournalError(f"journal {path} cannot be opened: its lock cannot be taken: {error}") from error
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _who(file)
            os.close(file)
            raise JournalError(f"journal {path} is open in {who}: one process writes it; ask that one for a copy") from None
        except OSError as error:
            os.close(file)
            raise JournalError(f"journal {path} cannot be opened: its lock cannot be taken: {error}") from error
        _sign(file)
    return file


def _sign(lock: int | None) -> None:
    if lock is not None:
        with suppress(OSError):  # a reader may not be allowed to
            os.ftruncate(lock, 0)
            os.lseek(lock, 0, os.SEEK_SET)
            os.write(lock, f"process {os.getpid()} on {platform.node()}\n".encode())


def _who(lock: int | None) -> str:
    if lock is None:
        return "an unknown process"
    os.lseek(lock, 0, os.SEEK_SET)
    return os.read(lock, 200).decode("utf-8", "replace").strip() or "an unknown process"


def _drop_lock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


_OPEN: WeakSet[SQLite] = WeakSet()
_DISOWNED: set[Path] = set()
"""What the process that this one was forked from had open: here SQLite still takes it for open."""
_BINARY = getattr(os, "O_BINARY", 0)


def _disown_all() -> None:
    for journal in _OPEN:
        journal._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
