"""What every journal promises, held against each of them: Memory, SQLite and PostgreSQL keep the same records in the same chain."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import BTC, USD
from sleeves.errors import JournalError
from sleeves.journal import Memory, encode
from sleeves.journals import Postgres, SQLite
from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.orders import Fill, Liquidity, Order, OrderStatus, Place, Side, Transfer
from sleeves.records import Alert, Answered, Asked, Cause, Instructed, Level, OrderUpdate, Placed, Residual, key_of
from strategies import heavy
from test_journal import BTCUSD, LISTED, lived, records, relisted

# -- the journals ------------------------------------------------------------------------------------------------------


class InMemory:
    """It ends with the process, so the same one stands for what is opened again."""

    def __init__(self):
        self.journal = Memory()

    def open(self):
        return self.journal

    def close(self, journal):
        pass

    def seen(self):
        return list(self.journal)


class InSQLite:
    def __init__(self, folder):
        self.path = folder / "main.sleeves"
        self.copies = (folder / f"copy-{n}" for n in itertools.count())

    def open(self):
        return SQLite.open(self.path)

    def close(self, journal):
        journal.close()

    def seen(self):
        """What the files hold now, as if the process had been killed."""
        copy = next(self.copies)
        copy.mkdir()
        for path in self.path.parent.glob("main.sleeves*"):
            if path.suffix != ".lock":
                shutil.copyfile(path, copy / path.name)
        with SQLite.open(copy / self.path.name) as journal:
            return list(journal)


class InPostgres:
    def __init__(self, dsn, name):
        self.dsn, self.name = dsn, name

    def open(self):
        return Postgres.open(self.dsn, self.name)

    def close(self, journal):
        journal.close()

    def seen(self):
        """What another session sees, and so what a crash would leave."""
        with Postgres.reading(self.dsn, self.name) as journal:
            return list(journal)


@pytest.fixture(scope="session")
def make(tmp_path_factory, request, names):
    """Makes a new home of a journal of a kind."""

    def make(kind):
        if kind == "memory":
            return InMemory()
        if kind == "sqlite":
            return InSQLite(tmp_path_factory.mktemp("journal"))
        return InPostgres(request.getfixturevalue("server").dsn, next(names))

    return make


every = pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
stored = pytest.mark.parametrize("kind", ["sqlite", "postgres"])
"""Those that outlive the process."""


@pytest.fixture
def home(make, kind):
    return make(kind)


@pytest.fixture
def journal(home):
    journal = home.open()
    yield journal
    home.close(journal)


@pytest.fixture
def again(home):
    """Closes a journal and opens it anew."""
    opened = []

    def again(journal):
        home.close(journal)
        opened.append(home.open())
        return opened[-1]

    yield again
    for one in opened:
        home.close(one)


# -- records -----------------------------------------------------------------------------------------------------------


def alert(n):
    return Alert(n, Level.INFO, "s", "c", f"number {n}")


def placed(order_id, at=1):
    return Placed(at, Order(order_id, "flash", Place(BTCUSD, Side.BUY, 5), at, None))


def fill(order_id, trade, at=1, **words):
    return Fill(order_id, at, BTCUSD, Side.BUY, 5, 7, 35, USD.units(1), Liquidity.TAKER, trade, "sim", **words)


def memory_of(*kept):
    memory = Memory()
    memory.append(*kept)
    return memory


UNWRITABLE = Alert(1, "loud", "s", "c", "its level is none")
"""A record by its class, which no line can be written of."""


def refused(told=None):
    return pytest.raises(JournalError, match=told)


# -- append ------------------------------------------------------------------------------------------------------------


@every
def test_a_new_journal_is_empty(journal):
    assert len(journal) == 0
    assert list(journal) == list(journal.lines()) == []
    assert journal.digest() == Memory().digest()
    assert journal.load() is None


@every
def test_records_come_back_in_the_order_in_which_they_were_appended(journal):
    journal.append(LISTED)
    journal.append(alert(3), alert(1))
    journal.append()
    journal.append(alert(2))
    assert list(journal) == [LISTED, alert(3), alert(1), alert(2)]
    assert len(journal) == 4


@every
@pytest.mark.parametrize("what", ["text", None, 5, BTC], ids=repr)
def test_of_an_append_with_something_that_is_no_record_nothing_is_kept(home, journal, what):
    journal.append(alert(1))
    before = journal.digest()
    with refused():
        journal.append(alert(2), what, alert(3))
    assert (len(journal), journal.digest()) == (1, before)
    journal.append(alert(4))
    assert list(journal) == home.seen() == [alert(1), alert(4)]


@stored
def test_of_an_append_with_a_record_that_cannot_be_written_nothing_is_kept(home, journal):
    journal.append(alert(1))
    with refused("cannot be written"):
        journal.append(alert(2), UNWRITABLE, alert(3))
    with journal.group():
        journal.append(alert(4))
        with refused("cannot be written"):
            journal.append(alert(5), UNWRITABLE)
    assert list(journal) == home.seen() == [alert(1), alert(4)]


@every
def test_an_append_of_very_many_records_is_one_append(home, journal):
    kept = [LISTED, *map(alert, range(500))]
    journal.append(*kept)
    assert list(journal) == home.seen() == kept


@stored
def test_of_an_append_whose_last_key_is_taken_nothing_is_kept(journal, again):
    journal.append(LISTED, placed("flash-1"))
    with refused():
        journal.append(*map(alert, range(200)), placed("flash-1"))
    assert list(again(journal)) == [LISTED, placed("flash-1")]


# -- durable -----------------------------------------------------------------------------------------------------------


@every
def test_what_append_returned_from_is_seen_by_others(home, journal):
    for n in range(5):
        journal.append(alert(n))
        assert home.seen() == list(map(alert, range(n + 1)))


@stored
def test_in_a_group_nothing_is_durable_before_the_flush(home, journal):
    journal.append(LISTED)
    with journal.group():
        journal.append(placed("flash-1"))
        assert journal.waiting == 1
        assert home.seen() == [LISTED]
        assert list(journal) == [LISTED, placed("flash-1")]
        journal.flush()
        assert journal.waiting == 0
        assert home.seen() == [LISTED, placed("flash-1")]
        journal.append(alert(1))
        assert home.seen() == [LISTED, placed("flash-1")]
    assert home.seen() == [LISTED, placed("flash-1"), alert(1)]


@stored
def test_a_group_within_a_group_ends_with_the_outer_one(home, journal):
    with journal.group():
        with journal.group():
            journal.append(alert(1))
        assert home.seen() == []
    assert home.seen() == [alert(1)]


@stored
def test_a_group_that_an_error_leaves_keeps_what_was_appended(home, journal):
    with contextlib.suppress(ZeroDivisionError), journal.group():
        journal.append(alert(1))
        raise ZeroDivisionError
    assert home.seen() == [alert(1)]


@stored
def test_a_group_waits_for_so_many_and_so_long_only(home, journal):
    with journal.group():
        for n in range(64):
            journal.append(alert(n))
        assert journal.waiting < 64
        journal.flush()
        journal.append(alert(64))
        time.sleep(0.01)
        journal.append(alert(65))
        assert journal.waiting == 0
        assert home.seen() == list(map(alert, range(66)))


@every
def test_groups_give_the_same_journal_as_single_appends(journal):
    alone = memory_of(*lived().books.journal)
    with journal.group():
        for record in alone:
            journal.append(record)
    assert journal.digest() == alone.digest()


# -- finding -----------------------------------------------------------------------------------------------------------

KEYED = [
    placed("flash-1"),
    fill("flash-1", "t1"),
    fill("flash-1", "t1", account="two", leg="b"),
    Asked(1, "ann", "main", Transfer("move-1", USD.units(5), "sim")),
    Residual(1, "r1", "main", USD.units(-5), Cause.DUST),
    Instructed(1, "ann", "r-1", "kill", {"target": "flash"}),
    Answered(1, "r-1", "done", "halted", {}),
]


@every
def test_a_record_is_found_by_its_key(journal):
    journal.append(LISTED, alert(1), *KEYED)
    for record in KEYED:
        assert journal.find(key_of(record)) == record
    for key in ("", "order|flash-2", "order|flash", "ORDER|FLASH-1", "order|flash-1 "):
        assert journal.find(key) is None


@stored
def test_a_record_that_waits_for_the_flush_is_found(journal):
    journal.append(LISTED)
    with journal.group():
        journal.append(placed("flash-1"))
        assert journal.find("order|flash-1") == placed("flash-1")
        assert list(journal.order("flash-1")) == [placed("flash-1")]


@stored
@pytest.mark.parametrize("record", KEYED, ids=lambda record: type(record).__name__)
def test_a_key_that_is_journaled_already_is_refused_and_the_journal_takes_no_more(journal, again, record):
    journal.append(LISTED, record)
    with refused("is journaled already"):
        journal.append(record)
    with refused("takes no more"):
        journal.append(alert(1))
    reopened = again(journal)
    assert list(reopened) == [LISTED, record]
    reopened.append(alert(1))
    assert len(reopened) == 3


@stored
def test_a_key_twice_in_one_append_is_refused(journal, again):
    journal.append(LISTED)
    with refused(r"order\|flash-1 is (journaled already|twice in one append)"):
        journal.append(placed("flash-1"), placed("flash-1"))
    assert list(again(journal)) == [LISTED]


@stored
def test_a_key_twice_in_one_group_is_refused_where_it_comes_again(journal):
    journal.append(LISTED)
    with refused("is journaled already"), journal.group():
        journal.append(placed("flash-1"))
        journal.append(placed("flash-1"))
        pytest.fail("it was taken")


@stored
@pytest.mark.parametrize("grouped", [False, True])
def test_a_journal_that_takes_no_more_tells_what_it_knows_to_be_durable(home, journal, grouped):
    journal.append(LISTED, placed("flash-1"))
    with refused(), journal.group() if grouped else contextlib.nullcontext():
        journal.append(alert(1))
        journal.append(placed("flash-1"))
    known = [LISTED, placed("flash-1")] if grouped else [LISTED, placed("flash-1"), alert(1)]
    assert list(journal) == home.seen() == known
    assert (len(journal), journal.digest()) == (len(known), memory_of(*known).digest())
    assert journal.find("order|flash-1") == placed("flash-1")
    with refused("takes no more"):
        journal.save("state")


@every
def test_all_that_concerns_an_order_is_found(journal):
    first = [placed("flash-1"), OrderUpdate(2, "flash-1", OrderStatus.OPEN), fill("flash-1", "t1"), fill("flash-1", "t2", at=3)]
    other = [placed("flash-11"), fill("flash-11", "flash-1"), alert(1), OrderUpdate(4, "flash-11", OrderStatus.CANCELED, "flash-1")]
    journal.append(LISTED, *(record for pair in zip(first, other, strict=True) for record in pair))
    assert list(journal.order("flash-1")) == first
    assert list(journal.order("flash-11")) == [record for record in other if record != alert(1)]
    assert list(journal.order("flash")) == []


# -- the end of it, and from there on ----------------------------------------------------------------------------------


@every
def test_the_records_behind_any_count(journal):
    kept = [LISTED, placed("flash-1"), *map(alert, range(3)), fill("flash-1", "t1")]
    journal.append(*kept)
    for count in range(len(kept) + 2):
        assert list(journal.after(count)) == kept[count:]


@stored
def test_it_is_read_while_it_is_appended_to(home, journal):
    """What is appended in the middle of a reading is durable at once, and part of it."""
    journal.append(*map(alert, range(3)))
    read = []
    for record in journal:
        read.append(record)
        if record.at < 3:
            journal.append(alert(record.at + 10))
            assert len(home.seen()) == len(journal)
    assert read[:3] == list(map(alert, range(3)))


@every
def test_all_lives_give_the_same_bytes(journal):
    memory = lived().books.journal
    for record in memory:
        journal.append(record)
    assert list(journal.lines()) == list(memory.lines())
    assert journal.digest() == memory.digest()
    assert list(Memory.read(journal.lines())) == list(memory)


@every
def test_a_life_goes_on_where_it_was_closed(journal, again):
    kept = list(lived().books.journal)
    for start in range(0, len(kept), 9):
        journal = again(journal)
        assert (len(journal), list(journal)) == (start, kept[:start])
        journal.append(*kept[start : start + 9])
    assert list(again(journal).lines()) == list(memory_of(*kept).lines())


@stored
def test_closing_makes_durable_and_may_be_done_twice(home, journal):
    with refused(), journal.group():
        journal.append(alert(1))
        journal.close()
        journal.close()
        assert home.seen() == [alert(1)]
        journal.append(alert(2))
    assert home.seen() == [alert(1)]


# -- snapshots ---------------------------------------------------------------------------------------------------------


@every
def test_the_latest_snapshot_is_loaded_with_the_count_it_stands_for(journal, again):
    journal.append(alert(1), alert(2))
    journal.save('{"state":1}')
    assert journal.load() == (2, '{"state":1}')
    journal.append(alert(3))
    assert journal.load() == (2, '{"state":1}')
    journal = again(journal)
    assert journal.load() == (2, '{"state":1}')
    assert list(journal.after(2)) == [alert(3)]
    journal.save("later")
    journal.save("latest")
    assert again(journal).load() == (3, "latest")


@stored
def test_a_snapshot_stands_for_durable_records_only(home, journal):
    with journal.group():
        journal.append(alert(1))
        journal.save("{}")
        assert journal.waiting == 0
        assert home.seen() == [alert(1)]


@every
@pytest.mark.parametrize("snapshot", ["", "é😀\n'; drop table snapshots; --", "x" * 3_000_000], ids=["empty", "words", "3 MB"])
def test_a_snapshot_comes_back_as_it_was_given(journal, again, snapshot):
    journal.append(alert(1))
    journal.save(snapshot)
    assert again(journal).load() == (1, snapshot)


# -- any words, any numbers --------------------------------------------------------------------------------------------

HOSTILE = {
    "nul": "a\0b",
    "only nul": "\0",
    "half a pair": "\ud800",
    "pair the wrong way round": "\udfff\ud800",
    "right to left": "\u202eevil\u202c",
    "line breaks": "a\r\n\u2028b",
    "sql": "'; DROP TABLE records; --",
    "quotes": '"\'`\\"{}',
    "escapes": "\\u0000 \\ud800 \\\\",
    "placeholders": "%s %(name)s ? :1 $1 {schema}",
    "wildcards": "%_*",
    "accents": "é é ١٢ 😀 \ufeff",
    "1 MB": "x" * 1_000_000,
    "1 MB that does not pack": "".join(chr(33 + n * n % 7_919 % 90) for n in range(1_000_000)),
}


@every
@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_any_words_survive_byte_for_byte_and_are_found(journal, again, words):
    kept = [LISTED, Alert(1, Level.INFO, words, words, words), placed(words), placed(words + "x"), fill(words, words)]
    journal.append(*kept)
    journal = again(journal)
    assert list(journal) == kept
    assert list(journal.lines()) == list(memory_of(*kept).lines())
    assert journal.find(f"order|{words}") == placed(words)
    assert journal.find(fill(words, words).key) == fill(words, words)
    assert list(journal.order(words)) == [placed(words), fill(words, words)]


@stored
@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_a_key_of_any_words_is_refused_when_it_comes_again(journal, again, words):
    journal.append(LISTED, placed(words))
    with refused("is journaled already"):
        journal.append(placed(words))
    assert list(again(journal)) == [LISTED, placed(words)]


@every
def test_huge_numbers_are_exact(journal, again):
    account = Account("flash", Role.FREE)
    units = [10**40, -(10**40), 10**40 + 1, 2**63, -(2**63) - 1, 2**53 + 1, 10**400]
    kept = [
        LISTED,
        Entry(2**63 + 1, EntryKind.ADJUST, "ann", tuple(Posting(account, USD, n) for n in units)),
        Fill("flash-1", 1, BTCUSD, Side.BUY, 10**40, 10**40 + 1, 10**80, USD.units(-(10**40)), Liquidity.MAKER, "t", "sim"),
    ]
    journal.append(*kept)
    journal = again(journal)
    assert list(journal) == kept
    assert [posting.units for posting in list(journal)[1].postings] == units


# -- any life ----------------------------------------------------------------------------------------------------------

_records = records.filter(lambda record: not relisted(record))
_steps = st.lists(
    st.one_of(st.lists(_records, min_size=1, max_size=4), st.sampled_from(["group", "flush", "end", "save", "again"])), max_size=8
)


@stored
@settings(heavy, max_examples=25)
@given(_steps)
def test_whatever_is_done_it_keeps_what_memory_keeps(make, kind, steps):
    """Appends alone and in groups, flushes, snapshots and reopenings in any order."""
    home, memory, taken, groups = make(kind), memory_of(LISTED), set(), []
    journal = home.open()
    try:
        journal.append(LISTED)
        for step in steps:
            if isinstance(step, list):
                new = [r for r in step if (key := key_of(r)) is None or not (key in taken or taken.add(key))]
                memory.append(*new)
                journal.append(*new)
            elif step == "group":
                groups.append(journal.group())
                groups[-1].__enter__()
            elif step == "end" and groups:
                groups.pop().__exit__(None, None, None)
            elif step == "flush":
                journal.flush()
            elif step == "save":
                memory.save("state")
                journal.save("state")
            elif step == "again":
                home.close(journal)
                groups.clear()
                journal = home.open()
            assert (len(journal), journal.digest(), journal.load()) == (len(memory), memory.digest(), memory.load())
            if not groups:
                assert home.seen() == list(memory)
        assert list(journal) == list(memory)
        assert list(journal.lines()) == list(memory.lines())
        for key in taken:
            assert encode(journal.find(key)) == encode(memory.find(key))
    finally:
        home.close(journal)
