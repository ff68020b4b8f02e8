"""A file of finished trials: what a sweep has come to so far, so that the same sweep, run again, runs only what is missing.

    what was run    tapes and rules, how desks are made and measured, the version of sleeves: another of these is another sweep
    what came of it each trial by its parameters, as soon as it is done; those that failed are not kept, and are tried again

It is one SQLite file, of several sweeps if need be. Several processes may have it open: each trial is kept once. A file that is
damaged, or is none of these, is refused and left as it is. It knows nothing of how trials are run.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import JournalError
from ..money import Amount, Asset
from .figures import Figure

__all__ = ["Keep"]

APPLICATION = 0x51EE75
SCHEMA = 1
PATIENCE = 60
"""Seconds to wait while another process writes."""

_TABLES = """
CREATE TABLE sweeps (id INTEGER PRIMARY KEY, what TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE trials (
  sweep INTEGER NOT NULL REFERENCES sweeps (id),
  params TEXT NOT NULL,
  figures TEXT NOT NULL,
  digest TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (sweep, params)
) STRICT, WITHOUT ROWID;
"""


class Keep:
    """The trials of one sweep in a file. Made by `open`; used by the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, sweep: int) -> None:
        self.path = path
        self._db = connection
        self._sweep = sweep

    @classmethod
    def open(cls, path: str | os.PathLike[str], what: str) -> Keep:
        """Open the file, or begin one, for the sweep of which `what` says what is run.

        Raises `JournalError` for a file that cannot be opened or written, is damaged or of another kind, or is of a later version.
        """
        path = Path(path)
        if path.is_dir():
            raise JournalError(f"{path} is a folder: trials are kept in a file")
        db = None
        try:
            db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            cls._begin(db, path)
            row = db.execute("SELECT id FROM sweeps WHERE what = ?", (what,)).fetchone()
            if row is None:
                db.execute("INSERT OR IGNORE INTO sweeps (what) VALUES (?)", (what,))
                row = db.execute("SELECT id FROM sweeps WHERE what = ?", (what,)).fetchone()
            return cls(path, db, row[0])
        except BaseException as error:
            if db is not None:
                db.close()
            if isinstance(error, (sqlite3.Error, ValueError)):
                raise JournalError(f"trials cannot be kept in {path}: {error}") from error
            raise

    @staticmethod
    def _begin(db: sqlite3.Connection, path: Path) -> None:
        """Check what is there; write the tables where nothing is."""
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            (application,), (schema,) = db.execute("PRAGMA application_id").fetchone(), db.execute("PRAGMA user_version").fetchone()
            tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if not tables and not application:
                for statement in _TABLES.split(";")[:-1]:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {SCHEMA}")
            elif application != APPLICATION:
                raise JournalError(f"{path} is another kind of file: it keeps no trials")
            elif schema > SCHEMA:
                raise JournalError(f"{path} was written by a later version ({schema}) than this one reads ({SCHEMA})")
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise JournalError(f"{path} is damaged: {found}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def found(self) -> dict[str, tuple[dict[str, Figure], str]]:
        """What is kept of this sweep: by the text of its parameters, a trial's figures and its journal's digest.

        Raises `JournalError` where a row is not what was written.
        """
        out = {}
        try:
            with closing(self._db.execute("SELECT params, figures, digest, hash FROM trials WHERE sweep = ?", (self._sweep,))) as rows:
                for params, figures, digest, claimed in rows:
                    if _hash(params, figures, digest) != claimed:
                        raise JournalError(f"{self.path} is damaged: the trial {params[:80]} is not what was written")
                    out[params] = ({name: _read(value) for name, value in json.loads(figures).items()}, digest)
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{self.path} cannot be read: {error}") from error
        return out

    def put(self, trials: Iterable[tuple[str, Mapping[str, Figure], str]]) -> None:
        """Keep trials: (text of the parameters, figures, digest). Those that are kept already stay as they are."""
        rows = []
        for params, figures, digest in trials:
            text = json.dumps({name: _written(value) for name, value in figures.items()})
            rows.append((self._sweep, params, text, digest, _hash(params, text, digest)))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?)", rows)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"trials cannot be kept in {self.path}: {error}") from error

    def close(self) -> None:
        self._db.close()


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _written(value: Figure) -> Any:
    if isinstance(value, Amount):
        return {"amount": [value.asset.code, value.asset.scale, str(value.units)]}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) is int:
        return {"int": hex(value)}
    return value


def _read(value: Any) -> Figure:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]  # text, truth or nothing
    ((kind, of),) = value.items()
    if kind == "amount":
        code, scale, units = of
        return Amount(int(units), Asset(code, scale))
    if kind == "decimal":
        return Decimal(of)
    return float(of) if kind == "float" else int(of, 16)
