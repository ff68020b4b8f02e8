"""The journal in a file: what it refuses to open and why, who may have it, and what is left when storage fails.

`tests/faults` kills it, cuts its power and flips its bits.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import threading
import traceback

import pytest

from sleeves import Books
from sleeves.codec import GENESIS, VERSION, encode, link
from sleeves.errors import JournalError
from sleeves.journals import SQLite
from sleeves.journals import sqlite as module
from sleeves.records import Alert, Asked, Level
from test_journal import House, lived

# -- journals to damage ------------------------------------------------------------------------------------------------


def alert(n, text=""):
    return Alert(n, Level.INFO, "s", "c", text or f"number {n}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "main.sleeves"


def written(path, count, *, snapshot=False, **words):
    """A closed journal of so many alerts."""
    with SQLite.open(path, **words) as journal:
        for n in range(len(journal), count):
            journal.append(alert(n))
        if snapshot:
            journal.save("all is well")
    return path


@pytest.fixture
def killed(path):
    """The files of a journal of 12 records, as a process leaves them that is killed: most of it is in the log."""
    with SQLite.open(path) as journal:
        for n in range(12):
            journal.append(alert(n))
        left = files(path)
    for name, content in left.items():
        (path.parent / name).write_bytes(content)
    return path


def files(path):
    """All files of a journal but its lock, which only says who had it last; an empty log is none."""
    found = {one.name: one.read_bytes() for one in path.parent.iterdir() if one.name.startswith(path.name) and one.suffix != ".lock"}
    return {name: content for name, content in found.items() if content or not name.endswith("-wal")}


@contextlib.contextmanager
def refused(path, match, **words):
    """What is refused says so, names the journal, and is left as it is, to the byte; a copy of it is refused alike."""
    before = files(path)
    with pytest.raises(JournalError, match=match) as caught:
        SQLite.open(path, **words)
    assert str(path) in str(caught.value)
    assert files(path) == before
    if path.is_file():
        with pytest.raises(JournalError) as again, SQLite.reading(path, **words):
            pass
        assert str(path) in str(again.value)
        assert files(path) == before
    yield


def refuses(path, match, **words):
    with refused(path, match, **words):
        pass


def run(path, *statements):
    """Let another program at it."""
    db = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        for statement in statements:
            db.execute(*statement if isinstance(statement, tuple) else (statement,))
    finally:
        db.close()


def flip(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def beside(path, suffix):
    return path.with_name(path.name + suffix)


# -- what is no journal ------------------------------------------------------------------------------------------------


def test_a_journal_is_begun_where_no_file_is(path):
    written(path, 3)
    assert sorted(files(path)) == ["main.sleeves", "main.sleeves.anchor"]
    assert path.stat().st_mode & 0o777 == 0o600
    with SQLite.open(path) as journal:
        assert (len(journal), list(journal)) == (3, [alert(0), alert(1), alert(2)])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is an empty file"),
        (b"x", "is not a database of SQLite"),
        (b"a long list of things to do\n" * 500, "is not a database of SQLite"),
        (bytes(8192), "is not a database of SQLite"),
        (b"SQLite format 3\0", "is not a database of SQLite"),
    ],
    ids=["empty", "a byte", "text", "zeros", "its first bytes"],
)
def test_a_file_that_is_no_database_is_refused(path, content, told):
    path.write_bytes(content)
    refuses(path, told)


def test_the_database_of_another_application_is_refused(path):
    run(path, "CREATE TABLE things (name TEXT)", "INSERT INTO things VALUES ('mine')")
    refuses(path, "is a database, but no journal of sleeves")


def test_an_empty_database_is_refused(path):
    run(path, "CREATE TABLE things (name TEXT)", "DROP TABLE things")
    refuses(path, "is a database, but no journal of sleeves")


def test_a_folder_is_refused(path):
    path.mkdir()
    with pytest.raises(JournalError, match=r"main.sleeves cannot be opened: it is a folder"):
        SQLite.open(path)
    with pytest.raises(JournalError, match=r"there is no journal .*main.sleeves"), SQLite.reading(path):
        pass
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(JournalError, match=r"nowhere/main.sleeves cannot be opened: its lock cannot be taken: .*No such file"):
        SQLite.open(tmp_path / "nowhere" / "main.sleeves")


def test_an_sqlite_without_strict_tables_is_refused(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(JournalError, match=r"journals need SQLite 3\.37 or later"):
        SQLite.open(path)


# -- later and earlier versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "hint"), [(2, ": use a later program"), (99, ": use a later program"), (0, "$")])
def test_tables_of_another_version_are_refused(path, version, hint):
    written(path, 3)
    run(path, f"PRAGMA user_version = {version}")
    refuses(path, rf"has tables of version {version}, and this program knows version 1{hint}")


def test_tables_of_a_later_version_that_are_in_the_log_only_are_refused(killed):
    """A later program may have been killed when it had just changed them."""
    content = killed.read_bytes()
    db = sqlite3.connect(killed, isolation_level=None)
    db.execute("PRAGMA user_version = 2")
    left = files(killed)
    db.close()
    assert left[killed.name] == content
    for name, one in left.items():
        if not name.endswith("-shm"):
            (killed.parent / name).write_bytes(one)
    refuses(killed, "has tables of version 2")


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_record_of_a_later_version_is_refused_by_its_number(path, snapshot):
    """Also when a snapshot stands for it: what it means is not known here."""
    written(path, 3)
    with SQLite.open(path) as journal:
        digest = journal.digest()
    line = encode(alert(3)).replace(f'"v":{VERSION}', f'"v":{VERSION + 1}')
    row = (4, None, line, link(digest, line))
    run(path, ("INSERT INTO records VALUES (?, ?, ?, ?)", row))
    if snapshot:
        run(path, ("INSERT INTO snapshots VALUES (4, ?, '{}', ?)", (row[3], module._hash(4, row[3], "{}"))))
    refuses(path, f"record 4 cannot be read: .*written by version {VERSION + 1}")


def test_a_record_of_an_earlier_version_is_read(path):
    written(path, 0)
    line = encode(alert(7)).replace(f'"v":{VERSION}', '"v":1')
    run(path, ("INSERT INTO records VALUES (1, NULL, ?, ?)", (line, link(GENESIS, line))))
    with SQLite.open(path) as journal:
        assert list(journal) == [alert(7)]


def test_words_that_look_like_a_version_are_words(path):
    sly = alert(1, f'"v":{VERSION}, "v":99, \\"v\\":99}} "kind":"opened"')
    with SQLite.open(path) as journal:
        journal.append(sly)
    with SQLite.open(path) as journal:
        assert list(journal) == [sly]


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 13))
def test_a_byte_flipped_in_a_record_is_refused_by_its_number(path, number):
    written(path, 12)
    flip(path, path.read_bytes().index(f"number {number - 1}".encode() + b'"'))
    refuses(path, f"record {number} is damaged: its digest does not follow")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE records SET line = replace(line, 'number 5', 'number 6') WHERE number = 6", "record 6 is damaged"),
        ("UPDATE records SET digest = upper(digest) WHERE number = 6", "record 6 is damaged"),
        ("DELETE FROM records WHERE number = 6", "record 6 is missing, 7 comes after 5"),
        ("DELETE FROM records WHERE number = 1", "record 1 is missing, 2 comes after 0"),
        ("DELETE FROM records WHERE number = 12", "ends at record 11, but its anchor knows record 12"),
        ("DELETE FROM records", "ends at record 0, but its anchor knows record 12"),
        ("UPDATE records SET number = 13 WHERE number = 6", "record 6 is missing"),
        ("UPDATE records SET number = -1 WHERE number = 1", "record 1 is missing"),
        ("DROP VIEW postings", "its tables are not those that sleeves makes"),
        ("DROP TABLE snapshots", "its tables are not those that sleeves makes"),
        ("CREATE TABLE mine (name TEXT)", "its tables are not those that sleeves makes"),
        ("CREATE TRIGGER mine BEFORE INSERT ON records BEGIN SELECT raise(IGNORE); END", "its tables are not those that sleeves makes"),
        ("PRAGMA application_id = 7", "no journal of sleeves"),
    ],
)
def test_what_another_program_changed_is_refused(path, statement, told):
    written(path, 12)
    db = sqlite3.connect(path, isolation_level=None)
    triggers = [row[0] for row in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")]
    db.close()
    run(path, "DROP TRIGGER records_are_not_changed", "DROP TRIGGER records_are_not_removed", statement, *triggers)
    refuses(path, told)


@pytest.mark.parametrize("statement", ["UPDATE records SET line = '{}'", "DELETE FROM records"])
def test_rows_are_only_added(path, statement):
    written(path, 3)
    with pytest.raises(sqlite3.IntegrityError, match="a journal is only added to"):
        run(path, statement)
    with SQLite.open(path) as journal:
        assert len(journal) == 3


def test_a_key_that_was_freed_is_seen_when_the_record_is_read(path):
    """Whoever frees a key could have a fact booked twice."""
    with SQLite.open(path) as journal:
        for record in lived().books.journal:
            journal.append(record)
    number = next(
        n for n, record in enumerate(lived().books.journal, 1) if encode(record).startswith('{"at"') and '"trade"' in encode(record)
    )
    db = sqlite3.connect(path, isolation_level=None)
    trigger = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'records_are_not_changed'").fetchone()[0]
    db.close()
    run(path, "DROP TRIGGER records_are_not_changed", f"UPDATE records SET key = NULL WHERE number = {number}", trigger)
    with SQLite.open(path) as journal, pytest.raises(JournalError, match=f"record {number} is damaged: it is filed under a key"):
        list(journal)


def test_a_record_under_the_key_of_another_is_not_handed_out(path):
    with SQLite.open(path) as journal:
        for record in lived().books.journal:
            journal.append(record)
        key, number = journal._db.execute("SELECT key, number FROM records WHERE key IS NOT NULL LIMIT 1").fetchone()
        journal._db.execute("DROP TRIGGER records_are_not_changed")
        journal._db.execute("UPDATE records SET key = 'another' WHERE number = ?", (number,))
        assert journal.find(key) is None
        with pytest.raises(JournalError, match=f"record {number} is damaged: it is filed under a key that is not its own"):
            journal.find("another")


@pytest.mark.parametrize("name", ["\0", "\ud800", "é", '"', "\\", "a\nb", "\\ud800", "x" * 10_000])
def test_whatever_a_venue_calls_things_they_are_found(path, name):
    house = House(SQLite.open(path))
    transfer = Asked(1, "ann", "main", _transfer(name))
    other = Asked(1, "ann", "main", _transfer(name + "2"))
    house.books.journal.append(transfer, other)
    assert house.books.journal.find(f"transfer|{name}") == transfer
    assert house.books.journal.find(f"transfer|{name}2") == other
    with pytest.raises(JournalError, match="is journaled already"):
        house.books.journal.append(transfer)
    house.books.journal.close()
    with SQLite.open(path) as journal:
        assert [record for record in journal if isinstance(record, Asked)] == [transfer, other]


def _transfer(name):
    from sleeves import USD
    from sleeves.orders import Transfer

    return Transfer(name, USD.units(5), "sim")


# -- a cut tail, an older copy: the anchor -----------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [1, 2, 3, 5])
def test_a_file_that_was_cut_is_refused(path, pages):
    written(path, 60)
    size = path.stat().st_size
    assert size > 5 * 4096
    os.truncate(path, size - pages * 4096)
    refuses(path, "is damaged|cannot be read|is missing|ends at record")


@pytest.mark.parametrize("torn", [1, 100, 512, 2048, 4095])
def test_a_torn_last_page_is_refused(path, torn):
    written(path, 60)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - torn)
    refuses(path, "is damaged|cannot be read|is missing|ends at record")


@pytest.mark.parametrize("torn", [1, 512, 2048, 4095])
def test_a_last_page_of_zeros_is_refused(path, torn):
    written(path, 60)
    size = path.stat().st_size
    os.truncate(path, size - torn)
    os.truncate(path, size)
    refuses(path, "is damaged|cannot be read|is missing|ends at record")


def test_a_log_cut_anywhere_is_seen_or_has_lost_nothing(killed):
    log = beside(killed, "-wal").read_bytes()
    frame = 24 + 4096
    lengths = sorted({0, 31, 32, *range(32, len(log) + 1, frame), *range(1000, len(log), 9973), len(log) - 1})
    left = files(killed)
    opened = []
    for length in lengths:
        for name, content in left.items():
            (killed.parent / name).write_bytes(content[:length] if name.endswith("-wal") else content)
        if length < len(log):
            refuses(killed, "ends at record [0-9]+, but its anchor knows record 12: its tail was cut")
        else:
            with SQLite.open(killed) as journal:
                opened.append(len(journal))
    assert opened == [12]


def test_a_log_that_is_gone_is_seen(killed):
    beside(killed, "-wal").unlink()
    refuses(killed, "ends at record 0, but its anchor knows record 12: its tail was cut, or an older copy was put in its place")


def test_damage_in_the_log_is_seen_and_the_log_is_kept(killed):
    """SQLite forgets a log from its first bad frame on, without a word, and would remove it when the file is closed."""
    log = beside(killed, "-wal")
    flip(log, log.stat().st_size // 2)
    refuses(killed, "but its anchor knows record 12")
    flip(log, log.stat().st_size // 2)
    with SQLite.open(killed) as journal:
        assert len(journal) == 12


def test_an_older_copy_is_refused(path):
    older = written(path, 10).read_bytes()
    written(path, 20)
    path.write_bytes(older)
    refuses(path, "ends at record 10, but its anchor knows record 20: its tail was cut, or an older copy was put in its place")


def test_an_older_copy_under_a_younger_log_is_refused(path):
    older = written(path, 30).read_bytes()
    written(path, 60)
    with SQLite.open(path) as journal:
        for n in range(60, 70):
            journal.append(alert(n))
        left = files(path)
    for name, content in left.items():
        (path.parent / name).write_bytes(older if name == path.name else content)
    refuses(path, "is damaged|cannot be read|anchor knows")


def test_an_older_copy_of_the_whole_folder_is_seen_by_an_anchor_elsewhere(path, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "anchor"
    elsewhere.parent.mkdir()
    older = written(path, 10, anchor=elsewhere).read_bytes()
    written(path, 20, anchor=elsewhere)
    path.write_bytes(older)
    refuses(path, f"remove {elsewhere}$", anchor=elsewhere)
    with SQLite.open(path, anchor=None) as journal:
        assert len(journal) == 10
    elsewhere.unlink()
    written(path, 12, anchor=elsewhere)


def test_another_journal_in_its_place_is_refused(path, tmp_path):
    written(path, 10)
    with SQLite.open(tmp_path / "other.sleeves") as other:
        for n in range(20):
            other.append(alert(n, "of another life"))
    shutil.copy(tmp_path / "other.sleeves", path)
    refuses(path, "has another record 10, but its anchor knows record 10")


def test_a_journal_that_is_gone_is_not_begun_anew(path):
    written(path, 3)
    path.unlink()
    with refused(path, "there is no journal .*main.sleeves, but its anchor knows record 3: it was moved or lost"):
        assert not path.exists()
    beside(path, ".anchor").unlink()
    written(path, 1)


def test_a_log_without_its_journal_is_not_lost(killed):
    """SQLite would remove it, or write it into whatever file comes next."""
    moved = killed.rename(killed.with_name("moved"))
    beside(killed, ".anchor").unlink()
    with refused(killed, "there is no journal .*, but its log .*main.sleeves-wal is there"):
        assert not killed.exists()
    moved.rename(killed)
    with SQLite.open(killed) as journal:
        assert len(journal) == 12


def test_a_journal_that_was_cut_to_nothing_is_not_begun_anew(killed):
    killed.write_bytes(b"")
    beside(killed, ".anchor").unlink()
    refuses(killed, "is an empty file")


def test_an_anchor_with_one_good_slot_serves(path):
    written(path, 5)
    SQLite.open(path).close()
    anchor = beside(path, ".anchor")
    for at in (0, 4096):
        good = anchor.read_bytes()
        flip(anchor, at)
        with SQLite.open(path) as journal:
            assert len(journal) == 5
        assert anchor.read_bytes() == good


def test_an_anchor_with_no_good_slot_is_refused(path):
    written(path, 5)
    anchor = beside(path, ".anchor")
    flip(anchor, 0)
    flip(anchor, 4096)
    with pytest.raises(JournalError, match=f"anchor {anchor} is damaged"):
        SQLite.open(path)
    anchor.unlink()
    written(path, 6)


@pytest.mark.parametrize("content", [b"", bytes(4224)])
def test_an_anchor_that_was_never_written_knows_nothing(path, content):
    """A power cut may leave it so when it had just been made."""
    written(path, 5)
    beside(path, ".anchor").write_bytes(content)
    written(path, 6)


def test_an_anchor_that_cannot_be_written_is_refused(path, tmp_path):
    with pytest.raises(JournalError, match=r"anchor .*nowhere/anchor cannot be written: .*No such file"):
        SQLite.open(path, anchor=tmp_path / "nowhere" / "anchor")
    with SQLite.open(path) as journal:
        assert len(journal) == 0


@pytest.mark.parametrize("cut", range(5))
def test_the_anchor_knows_each_record_once_it_is_kept(path, cut):
    """The log without the last commit is refused, whichever slot the anchor's turn was."""
    with SQLite.open(path) as journal:
        for n in range(7 + cut):
            before = beside(path, "-wal").stat().st_size if n else 0
            journal.append(alert(n))
        left = files(path)
    for name, content in left.items():
        (path.parent / name).write_bytes(content[:before] if name.endswith("-wal") else content)
    refuses(path, f"but its anchor knows record {7 + cut}")


# -- snapshots ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    ["state = 'all is wrong'", "hash = upper(hash)", "digest = hash", "number = 4", "number = 6", "state = state || ' '"],
)
def test_a_damaged_snapshot_is_refused_and_may_be_removed(path, damage):
    written(path, 5, snapshot=True)
    run(path, f"UPDATE snapshots SET {damage}")
    with refused(path, "its snapshot at record [456] is damaged.*DELETE FROM snapshots") as _:
        run(path, "DELETE FROM snapshots")
    with SQLite.open(path) as journal:
        assert (len(journal), journal.load()) == (5, None)


def test_the_latest_snapshot_is_kept(path):
    with SQLite.open(path) as journal:
        journal.save("of nothing")
        assert journal.load() is None
        for n in range(3):
            journal.append(alert(n))
            journal.save(f"state {n}")
            journal.save(f"state {n}, again")
        assert journal.load() == (3, "state 2, again")
        with journal.group():
            journal.append(alert(3))
            journal.save("within a group")
            assert journal.waiting == 0
    with SQLite.open(path) as journal:
        assert journal.load() == (4, "within a group")


# -- one process, one thread -------------------------------------------------------------------------------------------


def test_a_second_opening_is_refused_and_told_by_whom(path):
    journal = SQLite.open(path)
    journal.append(alert(0))
    with pytest.raises(JournalError, match=rf"main.sleeves is open in process {os.getpid()} on .*ask that one for a copy"):
        SQLite.open(path)
    link = path.with_name("link.sleeves")
    link.symlink_to(path)
    with pytest.raises(JournalError, match=f"is open in process {os.getpid()}"):
        SQLite.open(link)
    with pytest.raises(JournalError, match=f"is open in process {os.getpid()}"), SQLite.reading(path):
        pass
    journal.append(alert(1))
    journal.close()
    with SQLite.open(link) as journal:
        assert list(journal) == [alert(0), alert(1)]


def test_without_locks_of_the_system_sqlites_own_keeps_others_out(path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with SQLite.open(path) as journal:
        journal.append(alert(0))
        with pytest.raises(JournalError, match=rf"main.sleeves is open in process {os.getpid()} on "):
            SQLite.open(path)
        journal.append(alert(1))
    with SQLite.open(path) as journal:
        assert len(journal) == 2


def test_another_program_that_has_it_open_is_told_of(path):
    written(path, 2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("SELECT count(*) FROM records").fetchall()
    with pytest.raises(JournalError, match=r"main.sleeves is open in another program, which is none of sleeves"):
        SQLite.open(path)
    other.close()
    written(path, 3)


def test_another_program_is_kept_out(path):
    with SQLite.open(path) as journal:
        journal.append(alert(0))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            run(path, "SELECT * FROM records")


def test_another_thread_may_not_have_it(path):
    told = []

    def try_all():
        for act in (lambda: journal.append(alert(1)), journal.close, lambda: list(journal), lambda: journal.save("x")):
            try:
                act()
            except JournalError as error:
                told.append(str(error))

    with SQLite.open(path) as journal:
        journal.append(alert(0))
        thread = threading.Thread(target=try_all)
        thread.start()
        thread.join()
        journal.append(alert(1))
        assert list(journal) == [alert(0), alert(1)]
    assert len(told) == 4
    assert all("thread" in text for text in told)


def test_a_closed_journal_takes_and_gives_no_more(path):
    journal = SQLite.open(path)
    journal.append(alert(0))
    journal.close()
    journal.close()
    for act in (lambda: journal.append(alert(1)), journal.flush, lambda: journal.save("x"), lambda: journal.copy(path.with_name("copy"))):
        with pytest.raises(JournalError, match=r"takes no more \(it was closed\)"):
            act()
    for act in (lambda: list(journal), lambda: journal.find("x"), journal.load, lambda: list(journal.order("flash-1"))):
        with pytest.raises(JournalError, match=r"cannot be read .*closed database"):
            act()
    assert (len(journal), repr(journal)) == (1, f"SQLite('{path}', 1 records)")


def test_one_that_nobody_has_any_more_is_let_go_of(path):
    SQLite.open(path).append(alert(0))
    with SQLite.open(path) as journal:
        assert list(journal) == [alert(0)]


def test_one_that_was_refused_is_let_go_of(path):
    written(path, 5)
    flip(path, path.read_bytes().index(b"number 3"))
    for _ in range(3):
        refuses(path, "record 4 is damaged")
    flip(path, path.read_bytes().index(b"umber 3") - 1)
    written(path, 6)


def test_one_that_was_moved_in_the_moment_of_letting_go_is_put_back(killed):
    """A process that refuses an opening may be killed in the middle of it."""
    killed.rename(beside(killed, ".held"))
    with SQLite.open(killed) as journal:
        assert len(journal) == 12


# -- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_reading_is_of_a_copy_and_leaves_all_as_it_is(killed, how):
    if how == "closed":
        SQLite.open(killed).close()
    before = files(killed)
    with SQLite.reading(killed) as journal:
        assert list(journal) == list(map(alert, range(12)))
        assert repr(journal) == f"SQLite('{killed}', 12 records)"
        with pytest.raises(JournalError, match=r"takes no more .this is a copy, for reading"):
            journal.append(alert(12))
    assert files(killed) == before


def test_a_copy_is_a_journal(path, tmp_path):
    house = House(SQLite.open(path))
    house.books.snapshot()
    house.vault.allocate(house.flash, "10")
    journal = house.books.journal
    copy = tmp_path / "copy.sleeves"
    journal.copy(copy)
    with SQLite.open(copy) as other:
        assert list(other.lines()) == list(journal.lines())
        assert other.load() == journal.load()
        assert list(Books(other).ledger.accounts()) == list(house.books.ledger.accounts())
        other.append(alert(1))
    with pytest.raises(JournalError, match=r"copy.sleeves: .*File exists"):
        journal.copy(copy)
    with pytest.raises(JournalError, match=r"nowhere/copy: .*No such file"):
        journal.copy(tmp_path / "nowhere" / "copy")
    house.vault.allocate(house.flash, "10")
    journal.close()


def test_a_copy_within_a_group_has_all_of_it(path, tmp_path):
    with SQLite.open(path) as journal, journal.group():
        journal.append(alert(0))
        journal.copy(tmp_path / "copy.sleeves")
        journal.append(alert(1))
    with SQLite.open(tmp_path / "copy.sleeves") as copy:
        assert list(copy) == [alert(0)]


# -- when storage fails ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(size=0):
    """Files may not grow beyond a size. Python lets writes fail then, instead of ending the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_the_journal_and_loses_nothing(path):
    journal = SQLite.open(path)
    kept = 0
    told = r"main.sleeves: .*; records behind number (\d+) may be there or not"
    with full_disk(120_000), pytest.raises(JournalError, match=told) as caught:  # noqa: PT012
        while True:
            journal.append(alert(kept))
            kept += 1
    assert f"behind number {kept} " in str(caught.value)
    assert len(journal) == kept > 10
    for act in (lambda: journal.append(alert(kept)), journal.flush, lambda: journal.save("x"), lambda: journal.copy(path.with_name("c"))):
        with pytest.raises(JournalError, match=r"main.sleeves takes no more \(.*\): open it again and recover"):
            act()
    with pytest.raises(JournalError, match="takes no more"), journal.group():
        pass
    left = files(path)
    journal.close()
    assert files(path) == left, "a journal whose storage failed is left as it is"
    with SQLite.open(path) as journal:
        assert list(journal) == list(map(alert, range(kept)))
        journal.append(alert(kept))


def test_a_failure_in_a_group_that_is_swallowed_comes_up_at_its_end(path):
    """Or what follows from lost records would leave the house."""
    journal = SQLite.open(path)
    journal.append(alert(0))
    with pytest.raises(JournalError, match="takes no more"), journal.group():  # noqa: PT012
        journal.append(alert(1))
        with full_disk(), contextlib.suppress(JournalError):
            journal.flush()
        assert journal.waiting == 0
        assert len(journal) == 1
    journal.close()
    with SQLite.open(path) as journal:
        assert list(journal) == [alert(0)]


def test_a_snapshot_that_could_not_be_kept_costs_no_record(path):
    journal = SQLite.open(path)
    for n in range(5):
        journal.append(alert(n))
    journal.save("small")
    with full_disk(100_000), pytest.raises(JournalError, match="records behind number 5 may be there or not"):
        journal.save("large" * 100_000)
    with pytest.raises(JournalError, match="takes no more"):
        journal.append(alert(5))
    journal.close()
    with SQLite.open(path) as journal:
        assert (len(journal), journal.load()) == (5, (5, "small"))


def test_a_copy_that_could_not_be_written_is_not_left_and_the_journal_goes_on(path, tmp_path):
    with SQLite.open(path) as journal:
        for n in range(100):
            journal.append(alert(n))
        with full_disk(20_000), pytest.raises(JournalError, match=r"a copy of journal .* cannot be written to .*copy.sleeves"):
            journal.copy(tmp_path / "copy.sleeves")
        assert not (tmp_path / "copy.sleeves").exists()
        journal.append(alert(100))


@pytest.mark.parametrize("size", [0, 10, 4096, 10_000])
def test_a_journal_that_could_not_be_begun_is_begun_later(path, size):
    with full_disk(size), pytest.raises(JournalError, match=r"main.sleeves"):
        SQLite.open(path)
    assert not path.exists()
    written(path, 2)


def test_a_full_disk_while_it_opens_costs_nothing(killed):
    with full_disk(), pytest.raises(JournalError, match=r"anchor .* cannot be written"):
        SQLite.open(killed)
    with SQLite.open(killed) as journal:
        assert len(journal) == 12


def test_ctrl_c_in_the_middle_leaves_it_whole(path):
    """Wherever it strikes: all of an append, or nothing; and what is unknown is looked at after opening again."""
    journal, kept, within = SQLite.open(path), 0, 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for n in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0001 * n)
                while True:
                    journal.append(alert(kept), alert(kept + 1))
                    kept += 2
            except KeyboardInterrupt as error:
                signal.setitimer(signal.ITIMER_REAL, 0)
                if {"_write", "_commit"} & {frame.name for frame in traceback.extract_tb(error.__traceback__)}:
                    within += 1
                    with pytest.raises(JournalError, match=r"takes no more \(KeyboardInterrupt\): open it again and recover"):
                        journal.append(alert(0))
            journal.close()
            journal = SQLite.open(path)
            assert len(journal) in (kept, kept + 2)
            kept = len(journal)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        journal.close()
    assert within > 5


def test_books_that_could_not_write_change_nothing_and_recover(path):
    house = House(SQLite.open(path))
    before = list(house.books.ledger.accounts())
    with full_disk(beside(path, "-wal").stat().st_size), pytest.raises(JournalError):
        house.vault.allocate(house.flash, "100")
    assert list(house.books.ledger.accounts()) == before
    with pytest.raises(JournalError, match="takes no more"):
        house.vault.allocate(house.flash, "100")
    house.books.journal.close()
    with SQLite.open(path) as journal:
        assert list(Books(journal).ledger.accounts()) == before
