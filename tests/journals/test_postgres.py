"""What is PostgreSQL's own: one writer by lock and fence, a server that dies, tampering by SQL, secrets, readers beside a writer."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
from decimal import Decimal

import pytest

import postgres_server
from sleeves import USD
from sleeves.codec import KINDS, encode
from sleeves.errors import JournalError, MissingExtra
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from sleeves.journal import Memory
from sleeves.journals import Postgres
from sleeves.journals.postgres import _KEYED
from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.orders import Fill, Order, Place, Side
from sleeves.records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleUpdate,
    Changed,
    Crossed,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Quarantined,
    Reconciled,
    Recovered,
    Refusal,
    Residual,
    key_of,
)
from test_journal import BTCUSD, LISTED, lived

psycopg = pytest.importorskip("psycopg")


def alert(n):
    return Alert(n, Level.INFO, "s", "c", f"number {n}")


def placed(order_id):
    return Placed(1, Order(order_id, "flash", Place(BTCUSD, Side.BUY, 5), 1, None))


def refused(told=None):
    return pytest.raises(JournalError, match=told)


@pytest.fixture
def name(names):
    return next(names)


@pytest.fixture
def dsn(server):
    return server.dsn


@pytest.fixture
def sql(dsn):
    """A superuser's session, which may do what the triggers refuse to others."""
    with psycopg.connect(dsn, autocommit=True) as session:
        yield session


@pytest.fixture
def own_server():
    """A server for one test alone, to be crashed."""
    if reason := postgres_server.available():
        pytest.skip(reason)
    with postgres_server.Server() as running:
        yield running


def end_session(sql, pid):
    """Kill a backend and wait until it is gone."""
    sql.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


def backend(journal):
    return journal._db.info.backend_pid


def forget_lock(journal):
    """What a pooler, or a failover, can do to a session that does not notice."""
    journal._db.execute("SELECT pg_advisory_unlock_all()")


def row_of(sql, name, schema="sleeves"):
    found = sql.execute(f'SELECT owner, fence, count, digest FROM "{schema}".journals WHERE name = %s', (name,)).fetchone()
    return dict(zip(("owner", "fence", "count", "digest"), found, strict=True))


# -- one writer --------------------------------------------------------------------------------------------------------


def test_a_second_opener_is_refused_at_once_and_told_who_has_it(dsn, name):
    with Postgres.open(dsn, name) as first:
        start = time.monotonic()
        since = r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
        with refused(rf"{name}@.* is open in process {os.getpid()} on {socket.gethostname()} {since}"):
            Postgres.open(dsn, name)
        assert time.monotonic() - start < 8, "a lock is waited for 10 s"
        first.append(alert(1))
    with Postgres.open(dsn, name) as second:
        assert list(second) == [alert(1)]


def test_of_many_that_open_at_once_one_gets_it(dsn, name):
    start, end, won, refused = threading.Barrier(6), threading.Barrier(6), [], []

    def opener():
        start.wait()
        try:
            with Postgres.open(dsn, name) as journal:
                end.wait()
                journal.append(alert(1))
                won.append(list(journal))
        except JournalError as error:
            refused.append(str(error))
            end.wait()

    at_once(opener, 6)
    assert won == [[alert(1)]]
    assert len(refused) == 5
    assert all("is open in" in text for text in refused)


def at_once(target, count):
    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_journal_that_was_closed_belongs_to_nobody_and_can_be_opened_at_once(dsn, name, sql):
    for fence in range(1, 20):
        with Postgres.open(dsn, name) as journal:
            assert row_of(sql, name)["fence"] == fence
            assert row_of(sql, name)["owner"]
            lock = journal._lock
        assert sql.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone() == (True,)
        assert sql.execute("SELECT pg_advisory_unlock(%s)", (lock,)).fetchone() == (True,)
        assert row_of(sql, name)["owner"] == ""


def test_a_writer_whose_connection_was_lost_does_not_write_after_another_has_opened(dsn, name, sql):
    first = Postgres.open(dsn, name)
    first.append(alert(1))
    end_session(sql, backend(first))
    with Postgres.open(dsn, name) as second:
        with refused("records behind number 1 may be there or not"):
            first.append(alert(2))
        with refused("takes no more"):
            first.append(alert(2))
        second.append(alert(3))
        first.close()
        assert list(second) == [alert(1), alert(3)]
        second.append(alert(4))
    with Postgres.open(dsn, name) as third:
        assert list(third) == [alert(1), alert(3), alert(4)]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_writer_that_lost_its_lock_unawares_is_stopped_by_the_fence(dsn, name, sql, grouped):
    """Its session lives, so only the fence keeps it out."""
    first = Postgres.open(dsn, name)
    first.append(alert(1))
    forget_lock(first)
    with Postgres.open(dsn, name) as second:
        with refused(rf"process {os.getpid()} on .* has taken it over; nothing was written"):  # noqa: SIM117
            with first.group() if grouped else contextlib.nullcontext():
                first.append(alert(2))
        with refused("takes no more"):
            first.append(alert(2))
        first.close()
        assert row_of(sql, name)["owner"]
        with refused("is open in"):
            Postgres.open(dsn, name)
        second.append(alert(3))
        assert list(second) == [alert(1), alert(3)]


def test_a_writer_behind_the_fence_saves_no_snapshot(dsn, name):
    first = Postgres.open(dsn, name)
    first.append(alert(1))
    forget_lock(first)
    with Postgres.open(dsn, name) as second:
        with refused("has taken it over"):
            first.save("old")
        assert second.load() is None
    first.close()


def test_an_opener_waits_for_the_commit_of_the_one_before(dsn, name):
    """A transaction that is still open holds the journal's row: the next opener sees what it kept, all or nothing."""
    first = Postgres.open(dsn, name)
    forget_lock(first)

    def open_and_look(opened):
        with Postgres.open(dsn, name) as second:
            opened.append(list(second))

    opened = []
    with first.group():
        first.append(alert(1))
        opener = threading.Thread(target=open_and_look, args=(opened,))
        opener.start()
        time.sleep(0.1)
        assert not opened
    opener.join()
    assert opened == [[alert(1)]]
    first.close()


WRITER = """
import sys
from sleeves.errors import JournalError
from sleeves.journals import Postgres
from sleeves.records import Alert, Level
dsn, name = sys.argv[1:]
journal = Postgres.open(dsn, name)
print(journal._db.info.backend_pid, flush=True)
for n in map(int, sys.stdin):
    try:
        journal.append(Alert(n, Level.INFO, "s", "c", f"number {n}"))
        print(f"kept {n}", flush=True)
    except JournalError as error:
        print(error, flush=True)
"""


@pytest.fixture
def writer(dsn, name):
    """Another process that has the journal; it appends the numbers it is told."""
    with subprocess.Popen([sys.executable, "-c", WRITER, dsn, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.backend = int(process.stdout.readline())
        yield process
        process.kill()


def tell(writer, n):
    writer.stdin.write(f"{n}\n")
    writer.stdin.flush()


def test_a_process_that_is_killed_lets_go_of_the_journal(dsn, name, writer, sql):
    tell(writer, 1)
    assert writer.stdout.readline() == "kept 1\n"
    with refused(f"is open in process {writer.pid} on "):
        Postgres.open(dsn, name)
    writer.kill()
    wait_until(lambda: not sql.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (writer.backend,)).fetchone())
    with Postgres.open(dsn, name) as journal:
        assert list(journal) == [alert(1)]


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_process_that_slept_while_another_took_over_writes_no_more(dsn, name, writer, sql):
    tell(writer, 1)
    assert writer.stdout.readline() == "kept 1\n"
    writer.send_signal(signal.SIGSTOP)
    tell(writer, 2)
    end_session(sql, writer.backend)
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(3))
        writer.send_signal(signal.SIGCONT)
        assert "may be there or not" in writer.stdout.readline()
        tell(writer, 4)
        assert "takes no more" in writer.stdout.readline()
        assert list(journal) == [alert(1), alert(3)]


def test_another_thread_does_not_write(dsn, name):
    errors = []

    def other():
        for use in (lambda: journal.append(alert(2)), lambda: journal.save("state")):
            try:
                use()
            except JournalError as error:
                errors.append(str(error))

    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        at_once(other, 1)
        assert len(errors) == 2
        assert all("belongs to the thread that opened it" in error for error in errors)
        journal.append(alert(3))
        assert list(journal) == [alert(1), alert(3)]


def test_a_forked_child_uses_neither_the_journal_nor_its_session(dsn, name):
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        child = os.fork()
        if not child:
            refused = 0
            for use in (lambda: journal.append(alert(2)), lambda: journal.find("x"), lambda: list(journal), lambda: journal.save("x")):
                try:
                    use()
                except JournalError:
                    refused += 1
            journal.close()
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
        journal.append(alert(2))
        assert list(journal) == [alert(1), alert(2)]


# -- storage that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [2, 20])
def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(own_server, group):
    """SIGKILL for all of the server in the middle of appends of two; of what was in flight there is all of an append or nothing."""
    random.seed(group)
    acknowledged = 0
    for _ in range(4):
        with Postgres.open(own_server.dsn) as journal:
            assert acknowledged <= len(journal) <= acknowledged + group
            assert len(journal) % 2 == 0
            assert list(journal) == list(map(alert, range(len(journal))))
            acknowledged = len(journal)
            killer = threading.Timer(random.uniform(0.02, 0.12), own_server.kill)
            killer.start()
            with refused("may be there or not: it takes no more"):
                while True:
                    with journal.group():
                        for n in range(acknowledged, acknowledged + group, 2):
                            journal.append(alert(n), alert(n + 1))
                    acknowledged += group
            killer.join()
            with refused("takes no more"):
                journal.append(alert(0))
            with refused("cannot be read"):
                journal.find("order|flash-1")
        with refused("cannot be reached"):
            Postgres.open(own_server.dsn)
        own_server.restart()
    assert acknowledged


def test_a_group_that_loses_its_connection_is_not_kept(dsn, name, sql):
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        with refused("may be there or not"), journal.group():
            journal.append(alert(2))
            end_session(sql, backend(journal))
            journal.flush()
    with Postgres.open(dsn, name) as journal:
        assert list(journal) == [alert(1)]


@pytest.mark.parametrize(("statement", "state"), [("SELECT 1 / 0", "INERROR"), ("ROLLBACK", "IDLE")])
def test_a_transaction_that_is_not_there_any_more_is_not_committed(dsn, name, statement, state):
    """PostgreSQL answers COMMIT then with ROLLBACK, or with COMMIT and a warning: it raises nothing."""
    with Postgres.open(dsn, name) as journal:
        with refused(f"its transaction is {state}"), journal.group():
            journal.append(alert(1))
            with contextlib.suppress(psycopg.Error):
                journal._db.execute(statement)
            journal.flush()
        assert list(journal) == []
        with refused("takes no more"):
            journal.append(alert(2))
    with Postgres.open(dsn, name) as journal:
        assert list(journal) == []


@pytest.mark.parametrize("what", ["append", "group", "save"])
def test_ctrl_c_in_the_middle_of_writing_leaves_the_outcome_unknown(dsn, name, sql, what):
    def interrupt(*_):
        raise KeyboardInterrupt

    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with sql.transaction():
                sql.execute("SELECT FROM sleeves.journals WHERE name = %s FOR UPDATE", (name,))
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(KeyboardInterrupt), journal.group() if what == "group" else contextlib.nullcontext():
                    journal.save("state") if what == "save" else journal.append(alert(2))
        finally:
            signal.signal(signal.SIGALRM, before)
        with refused(r"takes no more \(KeyboardInterrupt"):
            journal.append(alert(3))
    with Postgres.open(dsn, name) as journal:
        assert list(journal) == [alert(1)]
        assert journal.load() is None


def test_a_record_that_somebody_else_wrote_stops_the_writer(dsn, name, sql):
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        sql.execute("INSERT INTO sleeves.records VALUES (%s, 2, NULL, '{}', '')", (name,))
        with refused("is journaled already"):
            journal.append(alert(2))
    with refused("record 2 is damaged"):
        Postgres.open(dsn, name)


def test_a_count_that_somebody_else_changed_stops_the_writer(dsn, name, sql):
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
        sql.execute("UPDATE sleeves.journals SET count = 0 WHERE name = %s", (name,))
        with refused("its row says 0 records, not 1; nothing was written"):
            journal.append(alert(2))


# -- what the server is made to promise --------------------------------------------------------------------------------


@pytest.mark.parametrize("default", ["off", "local", "remote_write", "on"])
def test_commits_are_synchronous_whatever_the_default_is(dsn, name, default):
    with Postgres.open(psycopg.conninfo.make_conninfo(dsn, options=f"-c synchronous_commit={default}"), name) as journal:
        assert journal._value("SHOW synchronous_commit") == "on"


def test_a_default_that_promises_more_stays(dsn, name):
    with Postgres.open(psycopg.conninfo.make_conninfo(dsn, options="-c synchronous_commit=remote_apply"), name) as journal:
        assert journal._value("SHOW synchronous_commit") == "remote_apply"


def test_a_quiet_session_is_kept_and_a_wait_for_a_lock_ends(dsn, name):
    words = "-c idle_session_timeout=100 -c lock_timeout=0 -c default_transaction_isolation=serializable"
    with Postgres.open(psycopg.conninfo.make_conninfo(dsn, options=words), name) as journal:
        time.sleep(0.2)
        journal.append(alert(1))
        assert journal._value("SHOW lock_timeout") == "10s"
        assert journal._value("SHOW transaction_isolation") == "read committed"


def test_a_server_without_fsync_is_refused(own_server):
    with psycopg.connect(own_server.dsn, autocommit=True) as session:
        session.execute("ALTER SYSTEM SET fsync = off")
        session.execute("SELECT pg_reload_conf()")
    own_server.restart()
    with refused("runs with fsync off"):
        Postgres.open(own_server.dsn)


# -- tampering ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sleeves.records SET line = '{}'",
        "UPDATE sleeves.records SET key = NULL WHERE false",
        "DELETE FROM sleeves.records",
        "TRUNCATE sleeves.records",
        "DELETE FROM sleeves.journals",
        "TRUNCATE sleeves.journals",
    ],
)
def test_what_was_written_is_not_changed_by_sql(dsn, name, sql, change):
    with Postgres.open(dsn, name) as journal:
        journal.append(alert(1))
    with pytest.raises(psycopg.errors.RaiseException, match="a journal is only added to"):
        sql.execute(change)
    with Postgres.open(dsn, name) as journal:
        assert list(journal) == [alert(1)]


TAMPERED = {
    "a line": ("UPDATE records SET line = replace(line, 'number 4', 'number 5') WHERE number = 7", "record 7 is damaged"),
    "a space in a line": ("UPDATE records SET line = line || ' ' WHERE number = 6", "record 6 is damaged"),
    "a digest": ("UPDATE records SET digest = repeat('0', 64) WHERE number = 3", "record 3 is damaged"),
    "a number": ("UPDATE records SET number = 99 WHERE number = 3", "record 3 is missing, 4 comes after 2"),
    "a record taken out": ("DELETE FROM records WHERE number = 1", "record 1 is missing, 2 comes after 0"),
    "the last record": ("DELETE FROM records WHERE number = 8", "ends at record 7, but 8 were kept: its tail was cut"),
    "all records": ("DELETE FROM records", "ends at record 0, but 8 were kept"),
    "the count": ("UPDATE journals SET count = 7", "has a record 8, but 7 were kept"),
    "the count, up": ("UPDATE journals SET count = 9", "ends at record 8, but 9 were kept"),
    "the journal's digest": ("UPDATE journals SET digest = repeat('0', 64)", "has another record 8 than the one that was kept"),
    "the journal's row": ("DELETE FROM journals", "has a record 1, but 0 were kept|there is no journal"),
    "a record more": ("INSERT INTO records VALUES ('tampered', 9, NULL, '{}', '')", "record 9 is damaged"),
    "a key set free": ("UPDATE records SET key = NULL WHERE number = 2", "record 2 is damaged: it is filed under a key that is not"),
    "a key changed": ("UPDATE records SET key = 'order|flash-9' WHERE number = 2", "record 2 is damaged: it is filed under a key"),
    "a key invented": ("UPDATE records SET key = 'order|flash-9' WHERE number = 8", "record 8 is damaged: it is filed under a key"),
    "a snapshot": ("UPDATE snapshots SET state = 'other'", "its snapshot at record 8 is damaged"),
    "a snapshot's number": ("UPDATE snapshots SET number = 7", "its snapshot at record 7 is damaged"),
    "a snapshot's digest": ("UPDATE snapshots SET digest = ''", "its snapshot at record 8 is damaged"),
}


@pytest.mark.parametrize(("change", "told"), TAMPERED.values(), ids=TAMPERED)
def test_a_superusers_tampering_is_seen_on_opening(dsn, sql, names, change, told):
    schema = f"tampered-{next(names)}"
    with Postgres.open(dsn, "tampered", schema=schema) as journal:
        journal.append(LISTED, placed("flash-1"), *map(alert, range(6)))
        journal.save("state")
    sql.execute("SELECT set_config('search_path', %s, false)", (f'"{schema}"',))
    sql.execute("SET session_replication_role = replica")  # no trigger fires
    assert sql.execute(change).rowcount
    for _ in range(2):  # having been refused, it is refused again
        with refused(told), Postgres.reading(dsn, "tampered", schema=schema):
            pytest.fail("it was opened")
        with refused(told):
            Postgres.open(dsn, "tampered", schema=schema)


def test_a_snapshot_of_another_journal_is_refused(dsn, sql, names):
    """It is sound in itself: only the digest tells that it stands for other records."""
    schema = f"swapped_{next(names)}"
    for n, name in enumerate(("one", "other")):
        with Postgres.open(dsn, name, schema=schema) as journal:
            journal.append(alert(n))
            journal.save(name)
    other = f"SELECT digest, state, hash FROM {schema}.snapshots WHERE journal = 'other'"
    sql.execute(f"UPDATE {schema}.snapshots SET (digest, state, hash) = ({other}) WHERE journal = 'one'")
    with refused("its snapshot at record 1 is damaged"):
        Postgres.open(dsn, "one", schema=schema)
    sql.execute(f"DELETE FROM {schema}.snapshots WHERE journal = 'one'")
    with Postgres.open(dsn, "one", schema=schema) as journal:
        assert journal.load() is None


def test_each_record_that_bears_a_key_is_looked_at_when_opening():
    """Lines of other kinds are not read for it. A new kind stops here until somebody has said which it is."""
    keyless = {Alert, BundleUpdate, Changed, Crossed, Entry, Marked, Opened, OrderUpdate, Quarantined, Reconciled, Recovered, Refusal}
    keyed = {Answered, Asked, Bankrupted, Bundled, Fill, FundingPaid, Instructed, Liquidated, Placed, Residual, Settled, Shifted}
    keyed.add(Transferred)
    assert keyed | keyless == KINDS
    kinds = ("answered", "asked", "bankrupted", "bundled", "fill", "funding", "instructed", "liquidated", "placed", "residual", "settled")
    kinds += ("shifted", "transferred")
    assert all(_KEYED.search(f'{{"at":1,"kind":"{kind}"}}') for kind in kinds)
    life = [LISTED, *lived().books.journal]
    assert [record for record in life if key_of(record)] == [record for record in life if _KEYED.search(encode(record))]


# -- tables ------------------------------------------------------------------------------------------------------------


def test_many_that_find_no_tables_make_them_once(dsn, names):
    for _ in range(5):
        schema, start, errors = f"made-{next(names)}", threading.Barrier(6), []
        journals = iter([f"j{n}" for n in range(6)])

        def creator(schema=schema, start=start, errors=errors, journals=journals):
            name = next(journals)
            start.wait()
            try:
                with Postgres.open(dsn, name, schema=schema) as journal:
                    journal.append(alert(1))
            except Exception as error:
                errors.append(error)

        at_once(creator, 6)
        assert errors == []


@pytest.mark.parametrize(("change", "told"), [("SET version = 2", "version 2; this program knows version 1")])
def test_tables_of_a_later_version_are_refused(dsn, sql, names, change, told):
    schema = f"later_{next(names)}"
    with Postgres.open(dsn, schema=schema) as journal:
        journal.append(alert(1))
    sql.execute(f"UPDATE {schema}.meta {change}")
    with refused(told):
        Postgres.open(dsn, schema=schema)
    with refused(told), Postgres.reading(dsn, schema=schema):
        pytest.fail("it was opened")
    assert row_of(sql, "main", schema)["fence"] == 1


@pytest.mark.parametrize("tables", ["CREATE TABLE {0}.records (n int)", "CREATE TABLE {0}.meta (n int)"])
def test_a_schema_with_other_peoples_tables_is_left_alone(dsn, sql, names, tables):
    schema = f"theirs_{next(names)}"
    sql.execute(f"CREATE SCHEMA {schema}")
    sql.execute(tables.format(schema))
    with refused(r"cannot be opened: (relation|column) "):
        Postgres.open(dsn, schema=schema)
    assert len(sql.execute("SELECT FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()) == 1


@pytest.mark.parametrize("schema", ['we"ird', "Two Words", "'; DROP", "100%s", "{schema}", "%%", "é"])
def test_a_schema_may_have_any_name(dsn, sql, schema):
    with Postgres.open(dsn, schema=schema) as journal:
        journal.append(LISTED, placed("flash-1"))
        journal.save("state")
        assert journal.find("order|flash-1") == placed("flash-1")
    with Postgres.reading(dsn, schema=schema) as journal:
        assert list(journal) == [LISTED, placed("flash-1")]
    assert sql.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is not None


@pytest.mark.parametrize("bad", ["", "\0", "a\nb", "\ud800", "x" * 64, "é" * 32], ids=ascii)
def test_a_name_that_cannot_be_one_is_refused(dsn, bad):
    for words in ({"name": bad}, {"schema": bad}):
        with refused("1 to 63 bytes of printable text"):
            Postgres.open(dsn, **words)


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii"])
def test_text_is_text_whatever_encoding_a_dsn_names(dsn, encoding, names):
    name = f"é漢-{next(names)}"
    with Postgres.open(psycopg.conninfo.make_conninfo(dsn, client_encoding=encoding), name) as journal:
        journal.append(LISTED, placed("é漢"))
        assert journal.find("order|é漢") == placed("é漢")


def test_journals_of_one_schema_know_nothing_of_each_other(dsn, names):
    with Postgres.open(dsn, next(names)) as one, Postgres.open(dsn, next(names)) as other:
        for n in range(3):
            one.append(alert(n))
            other.append(alert(n + 10))
        one.append(LISTED, placed("flash-1"))
        assert other.find("order|flash-1") is None
        assert list(other.order("flash-1")) == []
        other.append(LISTED, placed("flash-1"))
        one.save("one")
        assert other.load() is None
        assert list(other) == [*map(alert, range(10, 13)), LISTED, placed("flash-1")]


def test_journals_of_one_name_in_two_schemas_are_two(dsn, names):
    here, there = (f"s{next(names)}" for _ in range(2))
    with Postgres.open(dsn, schema=here) as one, Postgres.open(dsn, schema=there) as other:
        one.append(alert(1))
        other.append(alert(2))
        assert (list(one), list(other)) == ([alert(1)], [alert(2)])


def test_a_long_journal_is_opened_and_read_in_little_memory(dsn, name):
    with Postgres.open(dsn, name) as journal:
        journal.append(*(Alert(n, Level.INFO, "s", "c", "x" * 2_000) for n in range(8_000)))
    tracemalloc.start()
    try:
        with Postgres.open(dsn, name) as journal:
            assert sum(1 for _ in journal) == 8_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


# -- for auditors ------------------------------------------------------------------------------------------------------


def test_the_view_of_postings_says_what_the_entries_say(dsn, name, sql):
    hostile = Account("é😀\ud800\\ud800\\\ud800\ud83d\\\ude00", Role.FREE, "\0\\u0000%s")
    kept = [
        *lived().books.journal,
        Entry(2**63, EntryKind.ADJUST, "ann", (Posting(hostile, USD, 10**40 + 1), Posting(hostile, USD, -(10**40))), "\0", "\ud800"),
        Alert(1, Level.INFO, "s", "c", '"kind":"entry"'),
    ]
    with Postgres.open(dsn, name) as journal:
        journal.append(*kept)
    query = "SELECT number, at, entry, owner, role, of, asset, scale, units FROM sleeves.postings WHERE journal = %s ORDER BY number"
    seen = sql.execute(query, (name,)).fetchall()
    expected = [
        (number, record.at, record.kind, *map(readable, posting.account), posting.asset.code, posting.asset.scale, posting.units)
        for number, record in enumerate(kept, 1)
        if isinstance(record, Entry)
        for posting in record.postings
    ]
    assert seen == expected
    assert all(type(units) is Decimal for *_, units in seen)
    (total,) = sql.execute("SELECT sum(units) FROM sleeves.postings WHERE journal = %s AND owner LIKE 'é%%'", (name,)).fetchone()
    assert total == 1


def readable(words):
    """What no text of PostgreSQL can hold, written out."""
    return "".join(f"\\u{ord(c):04x}" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in words)


# -- readers -----------------------------------------------------------------------------------------------------------


def test_readers_stand_beside_a_writer_and_see_the_journal_as_it_was(dsn, name):
    with Postgres.open(dsn, name) as writer:
        writer.append(LISTED, placed("flash-1"))
        writer.save("state")
        with Postgres.reading(dsn, name) as first:
            writer.append(alert(1))
            with Postgres.reading(dsn, name) as second, writer.group():
                writer.append(alert(2))
                writer.flush()
                assert list(first) == [LISTED, placed("flash-1")]
                assert list(second) == [LISTED, placed("flash-1"), alert(1)]
                assert first.find("order|flash-1") == placed("flash-1")
                assert list(first.order("flash-1")) == [placed("flash-1")]
                assert first.load() == second.load() == (2, "state")
                assert second.digest() == Memory.read(second.lines()).digest()
        assert len(writer) == 4


def test_a_reader_cannot_write(dsn, name):
    with Postgres.open(dsn, name) as writer:
        writer.append(alert(1))
    with Postgres.reading(dsn, name) as reader:
        for write in (lambda: reader.append(alert(2)), lambda: reader.save("state")):
            with refused("is open for reading only"):
                write()
        reader.flush()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader._db.execute("UPDATE sleeves.journals SET count = 0")
    with Postgres.open(dsn, name) as writer:
        assert list(writer) == [alert(1)]


def test_reading_begins_nothing(dsn, sql):
    with refused("no tables of sleeves in schema 'nowhere'"), Postgres.reading(dsn, schema="nowhere"):
        pytest.fail("it was opened")
    assert sql.execute("SELECT FROM pg_namespace WHERE nspname = 'nowhere'").fetchone() is None
    with Postgres.open(dsn, schema="somewhere"):
        pass
    with refused("there is no journal other@"), Postgres.reading(dsn, "other", schema="somewhere"):
        pytest.fail("it was opened")
    assert sql.execute("SELECT name FROM somewhere.journals").fetchall() == [("main",)]


def test_an_auditor_may_read_with_no_right_to_write(dsn, sql, name):
    with Postgres.open(dsn, name) as writer:
        writer.append(alert(1))
        sql.execute("DROP ROLE IF EXISTS auditor")
        sql.execute("CREATE ROLE auditor LOGIN")
        sql.execute("GRANT USAGE ON SCHEMA sleeves TO auditor; GRANT SELECT ON ALL TABLES IN SCHEMA sleeves TO auditor")
        auditor = psycopg.conninfo.make_conninfo(dsn, user="auditor")
        with Postgres.reading(auditor, name) as reader:
            assert list(reader) == [alert(1)]
        with refused("permission denied"):
            Postgres.open(auditor, "another")
        sql.execute("DROP OWNED BY auditor; DROP ROLE auditor")


# -- secrets -----------------------------------------------------------------------------------------------------------

CANARY = "c4n4ry-s3cr3t"

UNREACHABLE = {
    "nobody listens": f"postgresql://desk:{CANARY}@127.0.0.1:1/trading",
    "in words": f"host=127.0.0.1 port=1 user=desk password={CANARY} dbname=trading",
    "no such host": f"postgresql://desk:{CANARY}@no-such-host.invalid/trading",
    "no such socket": f"host=/nowhere password={CANARY}",
    "many hosts": f"postgresql://desk:{CANARY}@127.0.0.1:1,127.0.0.1:2/trading",
    "a key's password": f"host=127.0.0.1 port=1 sslpassword={CANARY}",
    "an option unknown": f"postgresql://desk:{CANARY}@127.0.0.1:1/trading?colour=blue",
    "an at sign": f"postgresql://desk:p@{CANARY}@127.0.0.1:1/trading",
    "a slash": f"postgresql://desk:1/{CANARY}@127.0.0.1:1/trading",
    "a question mark": f"postgresql://desk:1?{CANARY}@127.0.0.1:1/trading",
    "a question mark, an equals sign": f"postgresql://desk:1?a={CANARY}@127.0.0.1:1/trading",
    "a per cent sign": f"postgresql://desk:%zz{CANARY}@127.0.0.1:1/trading",
    "a space": f"postgresql://desk:a {CANARY}@127.0.0.1:1/trading",
    "a bracket": f"postgresql://desk:[{CANARY}@127.0.0.1:1/trading",
    "no host": f"postgresql://desk:{CANARY}/trading",
    "no host, an at sign": f"postgresql://desk:{CANARY}@/trading?host=/nowhere",
    "a space in words": f"host=127.0.0.1 password=a {CANARY}",
    "a quote in words": f"host=127.0.0.1 password='a' {CANARY}'",
    "an open quote": f"host=127.0.0.1 password='{CANARY}",
    "a nul": f"host=127.0.0.1 port=1 password={CANARY}\0",
    "half a pair": f"host=127.0.0.1 port=1 password={CANARY}\ud800",
    "not a dsn": CANARY,
    "a bad port": f"host=127.0.0.1 port=x password={CANARY}",
    "a bad time": f"host=127.0.0.1 port=1 connect_timeout=x password={CANARY}",
    "an encoding": f"host=127.0.0.1 port=1 client_encoding={CANARY}",
}


@pytest.mark.parametrize("dsn", UNREACHABLE.values(), ids=UNREACHABLE)
def test_no_part_of_a_dsn_but_host_and_database_is_told(dsn, caplog):
    caplog.set_level(logging.DEBUG)
    with refused() as caught:
        Postgres.open(dsn)
    with refused() as other, Postgres.reading(dsn):
        pytest.fail("it was opened")
    for error in (caught.value, other.value):
        assert CANARY not in told(error)
        assert "cannot be reached" in str(error) or "this dsn cannot be read" in str(error)
    assert CANARY not in caplog.text


def told(error):
    """All that an error can say, with those it came from, suppressed or not."""
    seen = [*traceback.format_exception(error)]
    while error is not None:
        seen += [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ())]
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


def test_an_answer_that_quotes_the_password_is_not_told(dsn):
    with refused("cannot be reached") as caught:
        Postgres.open(psycopg.conninfo.make_conninfo(dsn, user=CANARY, password=CANARY))
    assert CANARY not in told(caught.value)


def test_host_and_database_of_an_unreachable_server_are_told():
    with refused(r"^journal main@127\.0\.0\.1/trading cannot be reached: .*refused"):
        Postgres.open(UNREACHABLE["nobody listens"])


def test_a_password_is_told_neither_when_it_is_wrong_nor_when_it_is_right(own_server, caplog):
    caplog.set_level(logging.DEBUG)
    with psycopg.connect(own_server.dsn, autocommit=True) as session:
        session.execute(f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{CANARY}'")
        (path,) = session.execute("SHOW hba_file").fetchone()
        rules = "local all guarded scram-sha-256", "local all all trust"
        session.execute(f"COPY (SELECT * FROM (VALUES ('{rules[0]}'), ('{rules[1]}')) AS rules) TO '{path}'")
        session.execute("SELECT pg_reload_conf()")
    wait_until(lambda: "failed" in answer(own_server, "wrong"))
    with refused("password authentication failed") as caught:
        Postgres.open(psycopg.conninfo.make_conninfo(own_server.dsn, user="guarded", password=CANARY + "-wrong"))
    assert CANARY not in told(caught.value)
    right = psycopg.conninfo.make_conninfo(own_server.dsn, user="guarded", password=CANARY)
    errors = []
    with Postgres.open(right) as journal, Postgres.reading(right) as reader:
        shown = [repr(journal), repr(reader), journal.name, repr(vars(journal))]
        journal.append(LISTED, placed("flash-1"))
        for wrong in (lambda: Postgres.open(right), lambda: reader.append(alert(1)), lambda: journal.append(placed("flash-1"))):
            with refused() as caught:
                wrong()
            errors.append(caught.value)
    with Postgres.open(right) as journal:
        own_server.kill()
        for wrong in (lambda: journal.append(alert(1)), lambda: journal.find("x"), lambda: Postgres.open(right)):
            with refused() as caught:
                wrong()
            errors.append(caught.value)
    assert journal.name.startswith("main@/") and journal.name.endswith("/postgres")
    assert CANARY not in "\n".join([*shown, *map(told, errors), caplog.text])


def answer(server, password):
    try:
        psycopg.connect(server.dsn, user="guarded", password=password).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


# -- without psycopg ---------------------------------------------------------------------------------------------------


def test_the_journals_are_imported_without_psycopg_and_opening_says_what_is_missing():
    code = """
import sys
sys.modules["psycopg"] = None
from sleeves.errors import MissingExtra
from sleeves.journals import Postgres, SQLite
try:
    Postgres.open("host=nowhere")
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == 'a PostgreSQL journal needs psycopg: python -m pip install "sleeves[postgres]", or ".[postgres]" in a clone\n'


def test_importing_the_journals_does_not_import_psycopg():
    code = "import sys, sleeves.journals; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert issubclass(MissingExtra, ImportError)
