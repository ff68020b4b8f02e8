"""A life of two sleeves that any process can go on with: what a step does follows from its number and the books alone.

The venue is a function: an order's facts follow from the order and its step, and are told twice, as venues do. So a life
that was killed anywhere, and went on, must end with the same balances as one that never was.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from sleeves import BTC, FLASH, QUIET, USD, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.journals import SQLite
from sleeves.ledger import Entry
from sleeves.market import MINUTE
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, Rejected
from sleeves.records import Fact, Placed
from sleeves.verify import verify

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="1")
NAMES = ("quiet", "flash")
SNAPSHOT_EVERY = 50
"""Steps between two snapshots."""
LOOK_BACK = 500
"""Records that tell what was under way: more than any step has."""


class Wisher:
    """An engine that wishes what it is told to."""

    watches, every = (MARKET,), 0

    def __init__(self, name):
        self.name = f"wisher-{name}"
        self.wishes = []

    def __repr__(self):
        return f"Wisher({self.name!r})"

    def begin(self):
        return None

    def decide(self, memory, view):
        wishes, self.wishes = self.wishes, []
        return wishes


class Life:
    """The books, vault and desk on a journal, begun or recovered. `told(count, digest)` hears of each record that is durable."""

    def __init__(self, journal, seed, told=lambda count, digest: None):
        self.journal = journal
        self.seed = seed
        self.told = told
        self.books = Books(journal)
        self.done = set()
        self.orders = {}
        for record in journal.after(max(0, len(journal) - LOOK_BACK)):
            if isinstance(record, Placed):
                self.orders[record.order.place.why] = record.order
            elif isinstance(record, Entry):
                self.done.add(record.why)
        self.vault = next(iter(CoreVault.reopen(self.books)), None)
        if self.vault is None:
            self.vault = CoreVault(USD, total="100000", tradeable="60000", reserve="10%", books=self.books, at=0)
        for name, policy in zip(NAMES, (QUIET, FLASH), strict=True):
            if name not in self.vault.sleeves:
                self.vault.sleeve(name, policy, allocate="10000", at=0)
        self.desk = Desk(self.vault)
        self.engines = [Wisher(name) for name in NAMES]
        for engine, name in zip(self.engines, NAMES, strict=True):
            self.desk.assign(engine, to=self.vault.sleeves[name])
        if self.desk.recovering:
            self.desk.recovered()
        self.tell()

    def tell(self):
        if not self.journal.waiting:
            self.told(len(self.journal), self.journal.digest())

    def again(self, k):
        """Tell what became of a step that was done before."""
        if (order := self.orders.get(f"step {k}")) is not None:
            self.tell_facts(order)

    def step(self, k):
        """Do step k, or what is left of it to do. Every third goes in a group, as the shell would have it."""
        if k % 3:
            self._step(k)
        else:
            with self.journal.group():
                self._step(k)
            self.tell()
        if k % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1:
            self.books.snapshot()

    def _step(self, k):
        now, price = (k + 1) * MINUTE, _price(self.seed, k)
        draw = random.Random(f"{self.seed} {k}")
        sleeve = self.vault.sleeves[NAMES[k % 2]]
        why = f"step {k}"
        if k % 11 == 5 and why not in self.done:
            self.vault.allocate(sleeve, "250", why=why, at=now)
            self.tell()
        if k % 13 == 7 and f"{why}, back" not in self.done:
            self.vault.reclaim(sleeve, "100", why=f"{why}, back", at=now)
            self.tell()
        if why not in self.orders:
            held = sleeve.position(MARKET).units
            if held and draw.random() < 0.6:
                wish = Place(MARKET, Side.SELL, held, reduce_only=True, why=why)
            else:
                wish = Place(MARKET, Side.BUY, MARKET.qty("0.00001") * draw.randint(100, 5_000), why=why)
            self.engines[k % 2].wishes.append(wish)
        for command in self.desk.quote(self.desk.index(MARKET), now, price, price + 1):
            self.orders[why] = command.order
        self.tell()
        self.again(k)

    def tell_facts(self, order):
        for fact in facts_of(order, self.seed):
            for _ in range(2):
                self.desk.step(fact)
                self.tell()

    def balances(self):
        """What every account holds and what has flowed between them, zeros left out."""
        dumped = self.books.ledger.dump()
        return {what: sorted(row for row in dumped[what] if row[-1] != "0") for what in ("cells", "flows")}

    def by_the_venue(self):
        """The coins of the wallet as the venue counts them: what was brought, and every fill of every order, once."""
        coins = {USD: USD("100000").units, BTC: 0}
        for record in self.journal:
            if isinstance(record, Placed):
                for fact in facts_of(record.order, self.seed):
                    if isinstance(fact, Fill):
                        sign = fact.side.sign
                        coins[BTC] += sign * fact.qty
                        coins[USD] -= sign * fact.cost + fact.fee.units
        return coins

    def fills(self):
        """How often each fact is booked."""
        booked = {}
        for record in self.journal:
            if isinstance(record, Fact):
                booked[record.key] = booked.get(record.key, 0) + 1
        return booked


def _price(seed, k):
    """A price that depends on the step alone."""
    return 2_000_000 + random.Random(f"{seed} price {k}").randint(-100_000, 100_000)


def facts_of(order, seed):
    """What becomes of an order: filled whole or in pieces, canceled in part, rejected."""
    k = int(order.place.why.removeprefix("step "))
    draw, at, qty = random.Random(f"{seed} facts {k}"), (k + 1) * MINUTE, order.place.qty
    fate = draw.choice(["whole", "whole", "pieces", "pieces", "part", "none", "rejected"])
    if fate == "rejected":
        return [Rejected(order.id, at + 1, "maintenance")]
    third, half = MARKET.round_qty(qty // 3), MARKET.round_qty(qty // 2)
    parts = {"whole": [qty], "pieces": [third, third, qty - 2 * third], "part": [half], "none": []}[fate]
    facts = [Accepted(order.id, at + 1, f"venue-{k}")]
    facts += [_fill(order, part, at + 2 + n, n, _price(seed, k)) for n, part in enumerate(parts) if part]
    return facts if fate in ("whole", "pieces") else [*facts, Canceled(order.id, at + 9, "requested")]


def _fill(order, qty, at, n, price):
    side = order.place.side
    cost = MARKET.cost(price, qty, Rounding.CEIL if side is Side.BUY else Rounding.FLOOR)
    return Fill(order.id, at, MARKET, side, qty, price, cost, USD.units(cost // 1_000), Liquidity.TAKER, f"{order.id}/{n}", "sim")


def lived(path, steps, seed, **words):
    """A life of so many steps in a file; its journal is open still."""
    life = Life(SQLite.open(path), seed, **words)
    for k in range(steps):
        life.step(k)
    return life


def verified(path):
    """Open a journal and put it to every test there is: its own, `verify`, and opening books on it. Raises `JournalError`.

    Returns the journal, open.
    """
    journal = SQLite.open(path)
    try:
        verify(journal)
        Books(journal)
    except BaseException:
        journal.close()
        raise
    return journal


def scratch():
    """A folder that goes with its use: in memory where there is such a place, as nothing here waits for a disk."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="sleeves-", dir=memory if memory.is_dir() else None)
