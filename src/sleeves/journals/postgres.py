"""The shared journal: PostgreSQL, for several processes or machines. One schema holds many journals, each by its name.

Rule 1. What `append` returned from is on the server's disk: `synchronous_commit` is on, whatever the server's default is,
        and a server that runs without fsync is refused. The records of one append are one transaction.
Rule 2. One process writes a journal. Its session's lock keeps others out and tells them who has it. Each opening raises
        the journal's fence and each write is held against it, so a writer that lost the lock unawares writes no more.
Rule 3. Rows are added and never changed: triggers refuse it. Opening walks the whole chain, and holds its end against
        the journal's own row and each key against its record, so that a change, a cut tail or a freed key is seen.
Rule 4. When storage fails, the outcome is unknown: the journal takes no more until it is opened again.
Rule 5. A dsn may hold a password. Errors call a journal `name@host/database` and quote nothing else of the dsn.

The lock belongs to the session: a pooler in between must give each client a session of its own. Readers take no lock.
What only an outside witness can tell, that a whole database was put back to an older copy, is not known here.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ..codec import GENESIS
from ..errors import JournalError, MissingExtra
from .chained import Chained, Row, _key

if TYPE_CHECKING:
    import psycopg

__all__ = ["Postgres"]

SCHEMA = 1
"""The version of the tables."""

_TABLES = r"""
CREATE TABLE {schema}.meta (version integer NOT NULL);
INSERT INTO {schema}.meta VALUES (1);
CREATE TABLE {schema}.journals (
  name text PRIMARY KEY,
  owner text NOT NULL,
  fence bigint NOT NULL,
  count bigint NOT NULL,
  digest text NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE {schema}.records (
  journal text NOT NULL,
  number bigint NOT NULL,
  key text,
  line text NOT NULL,
  digest text NOT NULL,
  PRIMARY KEY (journal, number)
);
CREATE FUNCTION {schema}.short(key text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
  $$ SELECT sha256(convert_to(key, 'UTF8')) $$;
COMMENT ON FUNCTION {schema}.short IS 'What stands for a key in the index, which takes no more than some 2,700 bytes.';
CREATE UNIQUE INDEX keys ON {schema}.records (journal, {schema}.short(key)) WHERE key IS NOT NULL;
CREATE TABLE {schema}.snapshots (
  journal text PRIMARY KEY,
  number bigint NOT NULL,
  digest text NOT NULL,
  state bytea NOT NULL,
  hash text NOT NULL
);
CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'a journal is only added to'; END $$;
CREATE TRIGGER records_are_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.records
  FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse();
CREATE TRIGGER journals_are_not_removed BEFORE DELETE OR TRUNCATE ON {schema}.journals
  FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse();
CREATE FUNCTION {schema}.readable(line text) RETURNS json LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN strpos(line, '\u0000') + strpos(line, '\ud') = 0 THEN line ELSE
    translate(
      regexp_replace(
        regexp_replace(line, '(?<!\\)((?:\\\\)*)\\(ud[89ab]..)\\(ud[c-f]..)', E'\\1\x01\\2\x01\\3', 'g'),
        '(?<!\\)((?:\\\\)*)\\(u0000|ud[89a-f]..)', '\1\\\\\2', 'g'),
      E'\x01', '\')
  END::json $$;
COMMENT ON FUNCTION {schema}.readable IS
  'A line as JSON. What no text can hold, NUL and half a surrogate pair, stands as the letters that JSON writes for it.';
CREATE VIEW {schema}.postings AS
  SELECT journal, number, (entry ->> 'at')::numeric AS at, entry ->> 'entry' AS entry,
         part ->> 0 AS owner, part ->> 1 AS role, part ->> 2 AS of,
         part ->> 3 AS asset, (part ->> 4)::integer AS scale, (part ->> 5)::numeric AS units
  FROM {schema}.records, {schema}.readable(line) AS entry, json_array_elements(entry -> 'postings') AS part
  WHERE strpos(line, '"kind":"entry"') > 0;
"""
_OPEN = """
INSERT INTO {schema}.journals AS journal
VALUES (%s, %s || to_char(now() AT TIME ZONE 'UTC', '" since "YYYY-MM-DD"T"HH24:MI:SS"Z"'), 1, 0, %s)
ON CONFLICT (name) DO UPDATE SET fence = journal.fence + 1, owner = EXCLUDED.owner
RETURNING fence
"""
_APPEND = """
WITH ours AS (
  UPDATE {schema}.journals SET count = %s, digest = %s WHERE name = %s AND fence = %s AND count = %s RETURNING name
)
INSERT INTO {schema}.records (journal, number, key, line, digest)
SELECT ours.name, row.* FROM ours, (VALUES {rows}) AS row
"""
_ROW = "(%s::bigint, %s::text, %s::text, %s::text)"
_SAVE = """
WITH ours AS (SELECT name FROM {schema}.journals WHERE name = %(name)s AND fence = %(fence)s AND count = %(count)s FOR UPDATE)
INSERT INTO {schema}.snapshots AS snapshot
SELECT ours.name, %(count)s, %(digest)s, %(state)s, %(hash)s FROM ours
ON CONFLICT (journal) DO UPDATE
SET number = EXCLUDED.number, digest = EXCLUDED.digest, state = EXCLUDED.state, hash = EXCLUDED.hash
"""
_CONNECTION = {
    "connect_timeout": "10",
    "fallback_application_name": "sleeves",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""What a dsn may say otherwise. A server that is gone is noticed in half a minute, not in two hours."""

_SETTINGS = {
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "10s",
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
}
"""Of the session, where the server knows them: a quiet journal stays open, and a machine that died lets go of its lock."""

_KEYED = re.compile(
    r'"kind":"(?:answered|asked|bankrupted|bundled|fill|funding|instructed|liquidated|placed|residual|settled|shifted|transferred)"'
)
"""Lines whose record may bear a key."""
_AT_ONCE = 50
"""Rows that are written by one statement."""
_PAGE = 500
"""Rows that are read at once. Pages, not a cursor: a cursor would need a transaction, which an append in between would join."""


class Postgres(Chained):
    """A journal in a PostgreSQL database. Made by `Postgres.open`; written by the thread that opened it."""

    def __init__(self, name: str, schema: str, connection: psycopg.Connection[Any]) -> None:
        super().__init__(f"{name}@{connection.info.host}/{connection.info.dbname}")
        self.journal = name
        self.schema = schema
        self._db = connection
        self._thread = get_ident()
        self._fence: int | None = None
        self._begun = False
        self._quoted = _quoted(schema)

    @classmethod
    def open(cls, dsn: str, name: str = "main", *, schema: str = "sleeves") -> Postgres:
        """Open a journal to write it; begin it, and make its schema and tables, where there are none.

        `dsn` is what libpq takes: a `postgresql://` address or `host=... dbname=...`.

        Raises `JournalError` at once when another process has the journal (and says which and since when); when it is
        damaged (and says at which record), ends before or behind what its row knows, or was written by a later version;
        when the server cannot be reached, or does not keep what it says it keeps. `MissingExtra` without psycopg.
        """
        journal = cls._connect(dsn, name, schema)
        with journal._opening():
            journal._make_durable()
            if journal._version() is None:
                journal._make_tables()
            journal._check_version()
            journal._take_lock()
            journal._check()
        return journal

    @classmethod
    @contextmanager
    def reading(cls, dsn: str, name: str = "main", *, schema: str = "sleeves") -> Iterator[Postgres]:
        """A journal as it is now, opened and checked as `open` does, and nothing written: for verify and export.

        It takes no lock, so there may be many, beside a writer too; what is appended later is not seen. Do not keep it
        for long: the server holds on to all that was there when it began.

        Raises what `open` raises, and `JournalError` where there is no such journal.
        """
        journal = cls._connect(dsn, name, schema)
        with journal._opening():
            journal._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if journal._version() is None:
                raise JournalError(f"there is no journal {journal.name}: no tables of sleeves in schema {schema!r}")
            journal._check_version()
            journal._check()
        try:
            yield journal
        finally:
            journal.close()

    # -- opening ---------------------------------------------------------------------------------------------------------

    @classmethod
    def _connect(cls, dsn: str, name: str, schema: str) -> Postgres:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("psycopg", "postgres", "a PostgreSQL journal") from error
        _check_name("journal", name)
        _check_name("schema", schema)
        parts = _parts(dsn)
        try:
            return cls(name, schema, psycopg.connect(**(_CONNECTION | parts | {"client_encoding": "utf8"}), autocommit=True))
        except (psycopg.Error, OSError, ValueError) as error:
            problem = _said(error)
        if any(parts.get(secret) and parts[secret] in problem for secret in ("password", "sslpassword")):
            problem = "its answer would give the password away"
        where = f"{name}@{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"
        raise JournalError(f"journal {where} cannot be reached: {problem}")  # out here it carries no other error with it

    @contextmanager
    def _opening(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except BaseException as error:
            self._failed = self._failed or "it could not be opened"
            self._let_go()
            if isinstance(error, psycopg.Error):
                raise JournalError(f"journal {self.name} cannot be opened: {_said(error)}") from error
            raise

    def _make_durable(self) -> None:
        query = "SELECT set_config(name, value, false) FROM pg_settings JOIN unnest(%s::text[], %s::text[]) AS t (name, value) USING (name)"
        self._run(query, list(_SETTINGS), list(_SETTINGS.values()))
        if self._value("SHOW fsync") != "on":
            raise JournalError(f"the server of journal {self.name} runs with fsync off: what it says it keeps, it can lose")
        if self._value("SHOW synchronous_commit") != "remote_apply":  # which promises more
            self._run("SET synchronous_commit = on")

    def _version(self) -> int | None:
        """The version of the tables, None where there are none."""
        if self._value("SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'meta'", self.schema) is None:
            return None
        found: int | None = self._value("SELECT max(version) FROM {schema}.meta")
        return 0 if found is None else found

    def _make_tables(self) -> None:
        with self._db.transaction():
            self._run("SELECT pg_advisory_xact_lock(%s)", _number("tables", self.schema))
            if self._version() is None:  # or somebody else has made them in the meantime
                if self._value("SELECT 1 FROM pg_namespace WHERE nspname = %s", self.schema) is None:
                    self._run("CREATE SCHEMA {schema}")
                self._run(_TABLES)

    def _check_version(self) -> None:
        version = self._version()
        if version != SCHEMA:
            raise JournalError(
                f"journal {self.name} has tables of version {version}; this program knows version {SCHEMA}: use one that fits"
            )

    def _take_lock(self) -> None:
        """Have the journal to ourselves, or raise `JournalError` with who has it."""
        if not self._value("SELECT pg_try_advisory_lock(%s)", self._lock):
            who = self._value("SELECT owner FROM {schema}.journals WHERE name = %s", self.journal) or "an unknown process"
            raise JournalError(f"journal {self.name} is open in {who}: one process writes it; others read it with Postgres.reading")
        owner = f"process {os.getpid()} on {socket.gethostname()}"
        self._fence = self._value(_OPEN, self.journal, owner, GENESIS)

    def _check(self) -> None:
        """Walk the chain, and hold its end against what the journal's row knows."""
        known = self._run("SELECT count, digest FROM {schema}.journals WHERE name = %s", self.journal).fetchone()
        if known is None:
            raise JournalError(f"there is no journal {self.name}")
        self._take(self._rows(0))
        count, digest = known
        if self._count < count:
            raise JournalError(f"journal {self.name} ends at record {self._count}, but {count} were kept: its tail was cut")
        if self._count > count:
            raise JournalError(f"journal {self.name} has a record {count + 1}, but {count} were kept: it came from somewhere else")
        if self._digest != digest:
            raise JournalError(f"journal {self.name} has another record {count} than the one that was kept")
        self.load()

    def _take(self, rows: Iterable[Row]) -> None:
        super()._take(self._checked(rows))

    def _checked(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows as they come. When the next is asked for, the one before is known to be good, and its key is looked at."""
        for row in rows:
            yield row
            if (row.key is not None or _KEYED.search(row.line)) and row.key != _key(self._read(self._decoder, row.number, row.line)):
                raise self._misfiled(row.number)

    # -- storage ---------------------------------------------------------------------------------------------------------

    def _write(self, rows: Sequence[Row]) -> None:
        with self._storing(rows):
            if not self._begun and (self._grouped or len(rows) > _AT_ONCE):  # one statement is a transaction by itself
                self._run("BEGIN")
                self._begun = True
            for start in range(0, len(rows), _AT_ONCE):
                self._add(rows[start : start + _AT_ONCE])

    def _add(self, rows: Sequence[Row]) -> None:
        query = _APPEND.replace("{rows}", ", ".join([_ROW] * len(rows)))
        given: list[object] = [rows[-1].number, rows[-1].digest, self.journal, self._fence, rows[0].number - 1]
        for row in rows:
            given += row
        if self._run(query, *given).rowcount != len(rows):
            raise self._taken()

    def _commit(self) -> None:
        if not self._begun:
            return
        with self._storing():
            state = self._db.info.transaction_status.name
            if state != "INTRANS":  # one in which something failed is rolled back by COMMIT, and no error is raised
                raise self._fail(JournalError(f"its transaction is {state}, not to be committed"))
            self._run("COMMIT")
        self._begun = False

    def _rows(self, after: int) -> Iterator[Row]:
        query = "SELECT number, key, line, digest FROM {schema}.records WHERE journal = %s AND number > %s ORDER BY number LIMIT %s"
        while page := self._ask(query, self.journal, after, _PAGE):
            yield from map(Row._make, page)
            after = page[-1][0]

    def _lines(self, text: str, since: int) -> Iterator[tuple[int, str]]:
        query = "SELECT number, line FROM {schema}.records WHERE journal = %s AND number >= %s AND strpos(line, %s) > 0 ORDER BY number"
        yield from self._ask(query, self.journal, since, text)

    def _line(self, key: str) -> tuple[int, str] | None:
        query = """
            SELECT number, line FROM {schema}.records
            WHERE journal = %s AND {schema}.short(key) = {schema}.short(%s) AND key IS NOT NULL
        """
        return next(iter(self._ask(query, self.journal, key)), None)

    def _fail(self, error: BaseException) -> JournalError:
        import psycopg

        failed = super()._fail(error)
        with suppress(psycopg.Error):
            self._db.rollback()
        return failed

    def _check_able(self) -> None:
        super()._check_able()
        if self._fence is None:
            raise JournalError(f"journal {self.name} is open for reading only")
        if get_ident() != self._thread:
            raise JournalError(f"journal {self.name} belongs to the thread that opened it; this is another one")

    # -- snapshots -------------------------------------------------------------------------------------------------------

    def load(self) -> tuple[int, str] | None:
        query = """
            SELECT snapshot.number, snapshot.digest, state, hash, record.digest
            FROM {schema}.snapshots AS snapshot LEFT JOIN {schema}.records AS record USING (journal, number)
            WHERE journal = %s
        """
        for number, digest, state, claimed, there in self._ask(query, self.journal):
            if claimed != _hash(number, digest, state) or there != digest:
                raise JournalError(
                    f"journal {self.name}: its snapshot at record {number} is damaged. Its records are read without it once it "
                    f"is removed: DELETE FROM {self._quoted}.snapshots WHERE journal = '{self.journal}'"
                )
            return number, state.decode("utf-8", "surrogatepass")
        return None

    def save(self, snapshot: str) -> None:
        self.flush()
        self._check_able()
        if not self._count:
            return
        state = snapshot.encode("utf-8", "surrogatepass")
        given = {
            "name": self.journal,
            "fence": self._fence,
            "count": self._count,
            "digest": self._digest,
            "state": state,
            "hash": _hash(self._count, self._digest, state),
        }
        with self._storing():
            if self._db.execute(self._sql(_SAVE), given).rowcount != 1:
                raise self._taken()

    # -- the session -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Make all durable and let go of the journal. Closing again does nothing, nor does closing in a forked child.

        Raises what `flush` raises; the journal is let go of all the same.
        """
        if os.getpid() != self._owner:  # the session is the parent's
            return
        try:
            if not self._failed:
                self.flush()
        finally:
            self._failed = self._failed or "it was closed"
            self._let_go()

    def _let_go(self) -> None:
        import psycopg

        with suppress(psycopg.Error):
            self._db.rollback()
            if self._fence is not None:
                self._run("UPDATE {schema}.journals SET owner = '' WHERE name = %s AND fence = %s", self.journal, self._fence)
                self._run("SELECT pg_advisory_unlock(%s)", self._lock)
        self._db.close()

    @property
    def _lock(self) -> int:
        return _number("journal", self.schema, self.journal)

    @contextmanager
    def _storing(self, rows: Sequence[Row] = ()) -> Iterator[None]:
        """Whatever ends this early, Ctrl-C too, leaves it unknown what was kept."""
        import psycopg

        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            raise self._fail(JournalError(self._doubled(rows))) from error
        except psycopg.Error as error:
            raise self._fail(JournalError(_said(error))) from error
        except BaseException as error:
            self._stop(error)
            raise

    def _doubled(self, rows: Sequence[Row]) -> str:
        """What a unique index has refused, in words."""
        import psycopg

        keys = [row.key for row in rows if row.key is not None]
        with suppress(psycopg.Error, JournalError):
            self._db.rollback()  # only then does the server answer again; what is looked for may have gone with it
            for key in keys:
                if keys.count(key) > 1:
                    return f"{key} is twice in one append"
                if there := self._line(key):
                    return f"{key} is journaled already, as record {there[0]}"
        return f"one of {', '.join(keys) or 'these records'} is journaled already"

    def _taken(self) -> JournalError:
        """The journal's row is no longer as this writer left it. Nothing was written."""
        self._db.rollback()
        query = "SELECT owner, fence, count FROM {schema}.journals WHERE name = %s"
        owner, fence, count = next(iter(self._ask(query, self.journal)), ("", 0, 0))
        if fence == self._fence:
            why = f"its row says {count} records, not {self._count}"
        else:
            why = f"{owner or 'another process'} has taken it over"
        self._fail(JournalError(why))
        return JournalError(f"journal {self.name}: {why}; nothing was written: open it again and recover")

    def _ask(self, query: str, *values: object) -> list[Any]:
        """What the server finds, read whole. Raises `JournalError`."""
        import psycopg

        if os.getpid() != self._owner:
            raise JournalError(f"journal {self.name} belongs to process {self._owner}, not to its child {os.getpid()}")
        try:
            found: list[Any] = self._run(query, *values).fetchall()
        except psycopg.Error as error:
            raise JournalError(f"journal {self.name} cannot be read: {_said(error)}") from error
        return found

    def _value(self, query: str, *values: object) -> Any:
        row = self._run(query, *values).fetchone()
        return None if row is None else row[0]

    def _run(self, query: str, *values: object) -> psycopg.Cursor[Any]:
        return self._db.execute(self._sql(query), values)

    def _sql(self, query: str) -> str:
        return query.replace("{schema}", self._quoted.replace("%", "%%"))


def _parts(dsn: str) -> dict[str, Any]:
    """What a dsn says. Raises `JournalError` that quotes none of it: where it is read wrongly, any part may be the password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    parts: dict[str, Any] | None
    try:
        parts = dict(conninfo_to_dict(dsn))
    except (psycopg.Error, ValueError):
        parts = None
    if parts is None or ("://" in dsn and _strays(parts)):
        raise JournalError("this dsn cannot be read: in an address, what is special in user or password is written as %XX")
    return parts


def _strays(parts: dict[str, Any]) -> bool:
    """Whether a piece of a password with an unescaped @ or / has ended up in another place."""
    ports = str(parts.get("port", "")).replace(",", "")
    return any("@" in parts.get(name, "") for name in ("host", "hostaddr", "dbname")) or not (ports.isdigit() or not ports)


def _quoted(name: str) -> str:
    """A name as SQL writes any name."""
    return '"' + name.replace('"', '""') + '"'


def _check_name(what: str, name: str) -> None:
    """PostgreSQL cuts longer names off without a word."""
    if not name or not name.isprintable() or len(name.encode()) > 63:
        raise JournalError(f"the name of a {what} is 1 to 63 bytes of printable text, not {name!r}")


def _hash(number: int, digest: str, state: bytes) -> str:
    return sha256(b"%d %b\n%b" % (number, digest.encode(), state)).hexdigest()


def _number(*words: str) -> int:
    """The number by which the server knows a lock."""
    return int.from_bytes(sha256("\n".join(("sleeves", *words)).encode()).digest()[:8], signed=True)


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
