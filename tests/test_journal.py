"""The journal: one canonical line per record, chained, read back to the very same records, or refused by line number."""

from __future__ import annotations

import contextlib
import functools
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import BTC, FLASH, QUIET, USD, Books, Bundle, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import JournalError, LedgerError, SleevesError
from sleeves.facts import Settled, Shifted
from sleeves.journal import VERSION, Memory, chain, encode
from sleeves.ledger import Account, Entry, EntryKind, Posting, Role
from sleeves.market import HOUR, SECOND, Kind
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, Order, OrderStatus, Rejected, TimeInForce, Transfer
from sleeves.proof import prove
from sleeves.records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Changed,
    Crossed,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Refusal,
)
from strategies import accounts, amounts, heavy, hostile_text, law, markets

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="1")


# -- a real life -------------------------------------------------------------------------------------------------------


class Script:
    """An engine that wishes what it is told to."""

    name, watches, every = "script", (BTCUSD,), 0

    def __init__(self):
        self.wishes = []

    def __repr__(self):
        return "Script()"

    def begin(self):
        return None

    def decide(self, memory, view):
        wishes, self.wishes = self.wishes, []
        return wishes


class House:
    """A vault, two sleeves and a desk over a journal."""

    def __init__(self, journal=None, **words):
        self.books = Books(journal)
        self.vault = CoreVault(USD, total="10000", tradeable="5000", reserve="10%", books=self.books, at=0)
        self.quiet = self.vault.sleeve("quiet", QUIET, allocate="1000", **words)
        self.flash = self.vault.sleeve("flash", FLASH, allocate="1000", **words)
        self.desk = Desk(self.vault)
        self.engine = Script()
        self.desk.assign(self.engine, to=self.flash)
        self.now = SECOND
        self.trades = 0

    def wish(self, price, *wishes):
        """A price comes, the engine wishes; returns the orders that went out."""
        self.now += SECOND
        self.engine.wishes = list(wishes)
        units = BTCUSD.price(price)
        return [command.order for command in self.desk.quote(0, self.now, units, units)]

    def fill_of(self, order, qty, price):
        self.now += SECOND
        self.trades += 1
        units, at_price, side = BTCUSD.qty(qty), BTCUSD.price(price), order.place.side
        cost = BTCUSD.cost(at_price, units, Rounding.CEIL if side is Side.BUY else Rounding.FLOOR)
        fee = USD.units(cost // 1_000)
        return Fill(order.id, self.now, BTCUSD, side, units, at_price, cost, fee, Liquidity.TAKER, f"t{self.trades}", "sim")

    def fill(self, order, qty, price):
        self.desk.step(self.fill_of(order, qty, price))


def place(side, qty, **terms):
    return Place(BTCUSD, side, BTCUSD.qty(qty), **terms)


def lived(**words):
    """A life with every kind of record in it."""
    house = House(**words)
    (order,) = house.wish("20000", place(Side.BUY, "0.02", limit=BTCUSD.price("20000"), why="a dip"))
    house.desk.step(Accepted(order.id, house.now, "venue-1"))
    house.fill(order, "0.01", "20000")
    house.fill(order, "0.01", "19990")
    house.vault.allocate(house.flash, "500", why="more")
    house.wish("21000", place(Side.BUY, "1"))
    house.wish("21000", place(Side.BUY, "1"))
    (order,) = house.wish("21000", place(Side.SELL, "0.02", tif=TimeInForce.IOC, reduce_only=True, expect=5))
    house.fill(order, "0.02", "21000")
    (order,) = house.wish("20500", place(Side.BUY, "0.01", stop=BTCUSD.price("20600")))
    house.desk.step(Canceled(order.id, house.now, "requested"))
    (order,) = house.wish("20500", place(Side.BUY, "0.01"))
    house.desk.step(Rejected(order.id, house.now, "maintenance"))
    house.flash.pause(by="ann", why="lunch")
    house.flash.resume(by="ann")
    house.vault.set_tradeable("4000", cap="6000", by="ann")
    house.vault.observe_balance("1000", at=house.now)
    house.vault.observe_balance("12000", at=house.now)
    house.wish("20500")
    house.desk.mark(2 * HOUR)
    return house


@functools.cache
def life_lines():
    return tuple(lived().books.journal.lines())


def test_a_life_has_every_kind_of_record():
    kinds = {type(record) for record in lived().books.journal}
    assert kinds == {Opened, Changed, Entry, Placed, OrderUpdate, Fill, Refusal, Alert, Marked}


def test_a_life_reads_back_to_the_very_same_records():
    journal = lived().books.journal
    again = Memory.read(journal.lines())
    assert list(again) == list(journal)
    assert [type(record) for record in again] == [type(record) for record in journal]
    assert again.digest() == journal.digest()
    assert list(again.lines()) == list(journal.lines())
    assert len(again) == len(journal)


def test_equal_lives_give_equal_bytes():
    one, other = lived(), lived()
    assert list(one.books.journal.lines()) == list(other.books.journal.lines())
    assert one.books.journal.digest() == other.books.journal.digest()


def test_a_life_with_one_other_word_gives_another_digest():
    assert lived(why="x").books.journal.digest() != lived(why="y").books.journal.digest()


def test_the_ledger_is_the_fold_of_what_is_read_back():
    house = lived()
    ledger = type(house.books.ledger)()
    for record in Memory.read(house.books.journal.lines()):
        if isinstance(record, Entry):
            ledger.post(record)
    assert list(ledger.accounts()) == list(house.books.ledger.accounts())
    prove([house.vault], deep=True).require()


# -- every record, with any words --------------------------------------------------------------------------------------

words = hostile_text
who = words.filter(str.strip)
times = st.integers(0, 2**63)
counts = st.integers(1, 10**30)
terms = st.dictionaries(words, words, max_size=3)
optional = st.one_of(st.none(), counts)

opened = st.builds(Opened, times, who, words.filter(lambda what: what != "instrument"), words, terms)
listed = st.builds(
    lambda at, by, market: Opened(at, by, "instrument", market.symbol, market.terms()), times, who, st.just(BTCUSD) | markets
)
changed = st.builds(Changed, times, who, words, words, words, words, words)
booked = st.builds(
    Entry,
    times,
    st.sampled_from(EntryKind),
    words,
    st.lists(st.builds(lambda a, m: Posting(a, m.asset, m.units), accounts, amounts()), max_size=3).map(tuple),
    words,
    words,
)
wishes = st.builds(
    Place,
    st.just(BTCUSD),
    st.sampled_from(Side),
    counts,
    limit=optional,
    stop=optional,
    tif=st.sampled_from(TimeInForce),
    reduce_only=st.booleans(),
    expect=st.one_of(st.none(), st.integers()),
    why=words,
    tag=words.map(lambda word: word[:64]),
) | st.builds(
    Place,
    st.just(BTCUSD),
    st.sampled_from(Side),
    counts,
    limit=counts,
    post_only=st.booleans(),
    good_til=counts,
    tag=words.map(lambda word: word[:64]),
)
orders = st.builds(Order, words, words, wishes, times, optional)
placed = st.builds(Placed, times, orders, words, st.booleans()) | st.builds(
    Placed, times, orders, words, st.booleans(), words.filter(bool), st.integers(0, 9)
)
legs = st.builds(lambda side, qty, why: Place(BTCUSD, side, qty, why=why), st.sampled_from(Side), counts, words)
bundles = st.builds(Bundle, st.lists(legs, min_size=2, max_size=4), st.integers(1, 9), st.booleans(), words)
bundled = st.builds(Bundled, times, words, words, words, bundles, st.lists(st.integers(0, 10**30), max_size=4).map(tuple))
bundle_updates = st.builds(BundleUpdate, times, words, st.sampled_from(BundleStatus), words)
crossed = st.builds(Crossed, times, st.just(BTCUSD), counts, counts, words, words, st.integers(0, 10**30))
updated = st.builds(OrderUpdate, times, words, st.sampled_from(OrderStatus), words)
fills = st.builds(
    Fill,
    words,
    times,
    st.just(BTCUSD),
    st.sampled_from(Side),
    counts,
    counts,
    st.integers(0, 10**30),
    amounts(),
    st.sampled_from(Liquidity),
    words,
    words,
)
refused = st.builds(Refusal, times, words, words, words, terms, words, counts)
alerts = st.builds(Alert, times, st.sampled_from(Level), words, words, words)
marked = st.builds(Marked, times, st.dictionaries(words, st.tuples(counts, times), max_size=3))
instructed = st.builds(Instructed, times, words, words, words, terms)
answered = st.builds(Answered, times, words, words, words, terms)
accounts_apart = st.tuples(st.integers(0, 99), st.integers(0, 99)).filter(lambda pair: pair[0] != pair[1])
positive = amounts().filter(lambda amount: amount.units > 0)
shifted = st.builds(
    lambda at, coins, ends, name, venue: Shifted(at, coins, *ends, name, venue), times, positive, accounts_apart, words, words
)
asked = st.builds(
    lambda at, by, vault, name, coins, venue, ends, sleeve: Asked(at, by, vault, Transfer(name, coins, venue, *ends), sleeve),
    times,
    words,
    words,
    words,
    positive,
    words,
    accounts_apart,
    words,
)
records = st.one_of(
    shifted,
    asked,
    opened,
    listed,
    changed,
    booked,
    placed,
    bundled,
    bundle_updates,
    crossed,
    updated,
    fills,
    refused,
    alerts,
    marked,
    instructed,
    answered,
)
LISTED = Opened(0, "desk", "instrument", BTCUSD.symbol, BTCUSD.terms())


def journal_of(*kept):
    journal = Memory()
    journal.append(*kept)
    return journal


def relisted(record):
    """Whether a record gives BTC/USD other terms, so that what comes after it speaks of another market."""
    return isinstance(record, Opened) and record.what == "instrument" and record.name == BTCUSD.symbol


@law
@given(st.lists(records.filter(lambda record: not relisted(record)), max_size=4))
def test_any_records_read_back_to_the_very_same_records(kept):
    journal = journal_of(LISTED, *kept)
    again = Memory.read(journal.lines())
    assert list(again) == [LISTED, *kept]
    assert again.digest() == journal.digest()


@law
@given(records)
def test_a_line_is_canonical_json_on_one_line_of_ascii(record):
    line = encode(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")) == line
    assert json.loads(line)["v"] == VERSION


@law
@given(words, st.dictionaries(words, words, min_size=2, max_size=4))
def test_the_order_in_which_terms_were_named_does_not_matter(name, named):
    backwards = dict(reversed(named.items()))
    assert encode(Opened(0, "x", "vault", name, named)) == encode(Opened(0, "x", "vault", name, backwards))


@pytest.mark.parametrize("fee", [0, 5])
def test_a_settlement_reads_back_with_its_fee(fee):
    perp = Instrument("BTC-PERP:1", base=BTC, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
    kept = [Opened(0, "desk", "instrument", perp.symbol, perp.terms()), Settled(1, perp, -105, "s", "v", fee)]
    line = encode(kept[1])
    assert ("fee" in json.loads(line)) is bool(fee), "older lines have none"
    assert list(Memory.read(journal_of(*kept).lines())) == kept


def test_an_empty_journal_reads_back_empty():
    assert list(Memory.read([])) == []
    assert Memory().digest() == Memory.read([]).digest()
    assert list(Memory().lines()) == []


def test_lines_may_end_with_a_line_break():
    assert list(Memory.read(line + "\n" for line in life_lines())) == list(Memory.read(life_lines()))


@heavy
@given(words, words, words)
def test_words_of_people_survive_or_are_refused_and_break_nothing(name, by, why):
    """Whoever names a sleeve, and whatever reason they give: the journal of it can be read."""
    house = House()
    with contextlib.suppress(SleevesError):
        sleeve = house.vault.sleeve(name, FLASH, allocate="10", by=by, why=why)
        sleeve.pause(by=by, why=why)
    with contextlib.suppress(SleevesError):
        house.vault.allocate(house.flash, "1", by=by, why=why)
        house.vault.reclaim(house.flash, "1", by=by, why=why)
        house.vault.observe_balance("9000", by=by, why=why)
    journal = house.books.journal
    assert list(Memory.read(journal.lines())) == list(journal)


@heavy
@given(words, words)
def test_an_entry_that_was_kept_can_be_read_whatever_its_accounts_are_called(owner, of):
    """A line that cannot be read back makes a whole journal unreadable: what cannot be read is refused when it is written."""
    account = Account(owner, Role.FREE, of)
    books = Books()
    try:
        books.post(Entry(0, EntryKind.FUNDING, "x", (Posting(account, USD, 1), Posting(account._replace(role=Role.PNL), USD, -1))))
        lines = list(books.journal.lines())
    except (JournalError, LedgerError):
        return
    assert list(Memory.read(lines)) == list(books.journal)


# -- tampering ---------------------------------------------------------------------------------------------------------


def refused_at(lines, number):
    with pytest.raises(JournalError, match=rf"^journal line {number}: "):
        Memory.read(lines)


lines_at = st.integers(0, len(life_lines()) - 1)


@law
@given(lines_at, st.data())
def test_a_byte_flipped_anywhere_is_refused_by_its_line(at, data):
    lines = list(life_lines())
    where = data.draw(st.integers(0, len(lines[at]) - 1))
    other = data.draw(st.sampled_from(string.printable).filter(lambda c: c != lines[at][where]))
    lines[at] = lines[at][:where] + other + lines[at][where + 1 :]
    refused_at(lines, at + 1)


@pytest.mark.parametrize("at", range(len(life_lines())))
def test_every_byte_of_a_line_is_under_its_digest(at):
    """Each byte of each line of a life, one at a time; the lines before it are known to be good."""
    line = life_lines()[at]
    before = list(life_lines()[:at])
    for where in range(0, len(line), 7):
        flipped = line[:where] + chr(ord(line[where]) ^ 1) + line[where + 1 :]
        refused_at([*before, flipped], at + 1)


@pytest.mark.parametrize("at", range(len(life_lines()) - 1))
def test_a_line_dropped_doubled_or_swapped_is_refused_where_the_chain_breaks(at):
    lines = list(life_lines())
    refused_at(lines[:at] + lines[at + 1 :], at + 1)
    refused_at(lines[: at + 1] + lines[at:], at + 2)
    refused_at([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], at + 1)


def test_a_journal_cut_short_reads_as_a_shorter_one_with_another_digest():
    """The chain cannot know what came after; the digest that was noted elsewhere does."""
    lines = life_lines()
    short = Memory.read(lines[:-1])
    assert len(short) == len(lines) - 1
    assert short.digest() != Memory.read(lines).digest()
    assert short.digest() == lines[-2].rpartition(" ")[2]


@pytest.mark.parametrize("line", ["", " ", "\n", "x", "{}", "{} ", " 0", "\ud800", "{} " + "0" * 64])
def test_a_line_without_its_digest_is_refused(line):
    refused_at([line], 1)
    refused_at([*life_lines(), line], len(life_lines()) + 1)


def test_a_digest_in_capitals_is_another_digest():
    (line,) = chain([encode(LISTED)])
    text, _, digest = line.rpartition(" ")
    refused_at([f"{text} {digest.upper()}"], 1)


# -- lines that are chained well and mean nothing ----------------------------------------------------------------------

ALERT = {"v": 1, "kind": "alert", "at": 0, "level": "info", "subject": "s", "code": "c", "text": "t"}


def test_the_line_that_the_next_tests_break_is_a_good_one():
    assert list(Memory.read(chain([json.dumps(ALERT)]))) == [Alert(0, Level.INFO, "s", "c", "t")]


@pytest.mark.parametrize("version", [0, VERSION + 1, 99, None, "1", -1, [1]])
def test_a_version_that_this_one_cannot_read_is_refused(version):
    with pytest.raises(JournalError, match="journal line 1: written by version"):
        Memory.read(chain([json.dumps(ALERT | {"v": version})]))


def test_a_line_without_a_version_is_refused():
    with pytest.raises(JournalError, match="journal line 1"):
        Memory.read(chain([json.dumps({name: value for name, value in ALERT.items() if name != "v"})]))


DUNDERS = ["_eq__", "_ne__", "_lt__", "_class__", "_init__", "_subclasshook__", "_init_subclass__", "_dict__", "_str__"]


@pytest.mark.parametrize(
    "kind",
    ["", "gold", "Alert", "record", "asset", "instrument", "decoder", None, 1, [], "assets", "instruments", *DUNDERS],
    ids=repr,
)
def test_a_kind_that_no_record_has_is_refused(kind):
    with pytest.raises(JournalError, match="journal line 1"):
        Memory.read(chain([json.dumps(ALERT | {"kind": kind})]))


MARKS = {"v": 1, "kind": "marked", "at": 0}
LISTING = {"v": 1, "kind": "opened", "at": 0, "by": "x", "what": "instrument", "name": "BTC/USD"}
BOOKED = {"v": 1, "kind": "entry", "at": 0, "entry": "fill", "by": "x", "ref": "", "why": ""}


NONSENSE = {
    "empty": "",
    "a list": "[]",
    "a number": "5",
    "null": "null",
    "text": '"text"',
    "half": "{",
    "no number": "NaN",
    "deep": "[" * 100_000,
    "nothing in it": "{}",
    "no kind": '{"v":1}',
    "no fields": json.dumps({"v": 1, "kind": "alert"}),
    "unknown level": json.dumps(ALERT | {"level": "loud"}),
    "price without time": json.dumps(MARKS | {"prices": {"X": []}}),
    "prices in a list": json.dumps(MARKS | {"prices": []}),
    "price alone": json.dumps(MARKS | {"prices": {"X": 5}}),
    "no terms": json.dumps(LISTING | {"terms": {}}),
    "terms in a list": json.dumps(LISTING | {"terms": []}),
    "base is a number": json.dumps(LISTING | {"terms": BTCUSD.terms() | {"base": 5}}),
    "base without scale": json.dumps(LISTING | {"terms": BTCUSD.terms() | {"base": "BTC"}}),
    "tick is nan": json.dumps(LISTING | {"terms": BTCUSD.terms() | {"tick": "nan"}}),
    "unknown market kind": json.dumps(LISTING | {"terms": BTCUSD.terms() | {"kind": "option"}}),
    "bad symbol": json.dumps(LISTING | {"name": "a b", "terms": BTCUSD.terms()}),
    "account without role": json.dumps(BOOKED | {"postings": [["flash", "USD", 6, 1]]}),
    "posting without units": json.dumps(BOOKED | {"postings": [["flash/free", "USD", 6]]}),
    "scale below zero": json.dumps(BOOKED | {"postings": [["flash/free", "USD", -1, 1]]}),
    "units are a float": json.dumps(BOOKED | {"postings": [["flash/free", "USD", 6, 1.5]]}),
    "units are text": json.dumps(BOOKED | {"postings": [["flash/free", "USD", 6, "1"]]}),
    "account is a number": json.dumps(BOOKED | {"postings": [[5, "USD", 6, 1]]}),
    "postings are a number": json.dumps(BOOKED | {"postings": 5}),
    "unknown kind of entry": json.dumps(BOOKED | {"postings": [], "entry": "gift"}),
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_a_line_that_is_chained_well_and_means_nothing_is_refused_by_its_number(text):
    lines = list(chain([encode(LISTED), text]))
    refused_at(lines, 2)


def test_an_order_or_a_fill_of_an_instrument_that_was_never_opened_is_refused():
    house = lived()
    orphans = [record for record in house.books.journal if isinstance(record, Placed | Fill)]
    for record in (orphans[0], next(r for r in orphans if isinstance(r, Fill))):
        with pytest.raises(JournalError, match="journal line 1: instrument 'BTC/USD' is used before it was opened"):
            Memory.read(journal_of(record).lines())


@pytest.mark.parametrize("record", ["text", None, 5, {"kind": "alert"}, BTC], ids=repr)
def test_what_is_no_record_is_not_kept(record):
    journal = Memory()
    with pytest.raises((SleevesError, TypeError)):
        journal.append(LISTED, record)
    assert len(journal) == 0


def test_what_was_journaled_cannot_be_changed_afterwards():
    """Append-only: not even the one who handed in the terms can alter what was written."""
    handed_in = {"asset": "USD:6"}
    journal = journal_of(Opened(0, "x", "vault", "core", handed_in), Refusal(0, "s", "g", "r", handed_in))
    digest = journal.digest()
    handed_in["asset"] = "EUR:2"
    assert journal.digest() == digest


# -- a journal that cannot keep a record: nothing has changed -------------------------------------------------------------


class FullDisk(Memory):
    """A journal that keeps nothing while its disk is full."""

    full = False

    def append(self, *kept):
        if self.full:
            raise JournalError("no space left on device")
        super().append(*kept)


@pytest.fixture
def house():
    return House(FullDisk())


def money(house):
    return list(house.books.ledger.accounts())


@pytest.mark.parametrize(
    "command",
    [
        lambda h: h.vault.allocate(h.flash, "100"),
        lambda h: h.vault.reclaim(h.flash, "100"),
        lambda h: h.vault.observe_balance("11000"),
        lambda h: h.vault.observe_balance("9000"),
        lambda h: h.vault.set_tradeable("4000"),
    ],
    ids=["allocate", "reclaim", "more", "less", "tradeable"],
)
def test_no_money_moves_that_the_journal_does_not_keep(house, command):
    before = money(house)
    house.books.journal.full = True
    with pytest.raises(JournalError):
        command(house)
    assert money(house) == before
    house.books.journal.full = False
    command(house)
    assert money(house) != before
    prove([house.vault], deep=True).require()


def test_no_status_moves_that_the_journal_does_not_keep(house):
    before = house.flash.status
    house.books.journal.full = True
    with pytest.raises(JournalError):
        house.flash.pause()
    assert house.flash.status is before
    house.books.journal.full = False
    house.flash.pause()
    assert [r.after for r in house.books.journal if isinstance(r, Changed)][-1] == "paused"


def test_an_instrument_that_the_journal_did_not_keep_is_not_known(house):
    other = Instrument("BTC/EUR", base=BTC, quote=Instrument.from_terms("X/Y", BTCUSD.terms()).quote, tick="1")
    house.books.journal.full = True
    with pytest.raises(JournalError):
        house.books.know(other)
    house.books.journal.full = False
    house.books.know(other)
    assert [r.name for r in house.books.journal if isinstance(r, Opened) and r.what == "instrument"] == ["BTC/USD", "BTC/EUR"]


def test_a_name_that_the_journal_did_not_keep_is_not_taken(house):
    house.books.journal.full = True
    with pytest.raises(JournalError):
        house.vault.sleeve("third", FLASH)
    assert "third" not in house.vault.sleeves
    house.books.journal.full = False
    house.vault.sleeve("third", FLASH)


def test_a_fill_that_the_journal_did_not_keep_is_booked_when_it_is_told_again(house):
    """Exactly once is not at most once: a fact that could not be written is not yet known."""
    (order,) = house.wish("20000", place(Side.BUY, "0.02"))
    fill = house.fill_of(order, "0.02", "20000")
    before = money(house)
    house.books.journal.full = True
    with pytest.raises(JournalError):
        house.desk.step(fill)
    assert money(house) == before
    house.books.journal.full = False
    house.desk.step(fill)
    assert house.flash.position(BTCUSD) == BTC("0.02")
    prove([house.vault], deep=True).require()
    house.desk.step(fill)
    assert house.flash.position(BTCUSD) == BTC("0.02")


def test_an_entry_that_the_ledger_refuses_leaves_no_line(house):
    before = len(house.books.journal)
    bad = Entry(0, EntryKind.HOLD, "x", (Posting(Account("flash", Role.FREE), USD, -1),))
    with pytest.raises(LedgerError):
        house.books.post(bad, Alert(0, Level.INFO, "s", "c", "t"))
    assert len(house.books.journal) == before


@pytest.mark.parametrize("by", ["", None], ids=repr)
def test_every_entry_says_who(house, by):
    """A command by nobody is refused; otherwise the books could not prove law 8 ever after."""
    with contextlib.suppress(SleevesError):
        house.vault.allocate(house.flash, "1", by=by)
    prove([house.vault], deep=True).require()
