"""All that the books, the vaults and the desk know, as a fold of the journal's records.

What is not here is not needed to go on after a restart, or comes anew with the next price. `dump` writes it as a
snapshot, `load` reads it back, and a snapshot with the records behind it is the fold of all records: tests hold the fold
against the living desk after each step.

    state = State.fold(journal)

This module decides nothing: it only remembers.
"""

from __future__ import annotations

import json
from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import Factory, define

from .codec import Decoder, canonical, encode
from .errors import JournalError, SleevesError
from .facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from .flight import Flight
from .ledger import Account, Entry, EntryKind, Ledger, Role
from .market import DAY, Instrument
from .money import Asset
from .orders import Fill, Order, OrderStatus, Side
from .policy import ProfitPolicy, Reserve
from .records import (
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Changed,
    Fact,
    Instructed,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Quarantined,
    Reconciled,
    Record,
    Residual,
    words_of,
)
from .status import Hold, Latch, Status

__all__ = ["MOST_MOVES", "MOST_SENT", "OpenOrder", "SleeveState", "State", "VaultState", "note_brought", "note_sent"]

VERSION = 4
MOST_MOVES = 4_096
"""Changes of slices that are remembered per instrument, for funding that is told late."""
MOST_FOLLOWED = 100
"""Records that are remembered of an instruction that is not answered."""
MOST_SENT = 1_000
"""Times of orders of new risk that are remembered per sleeve, for gates that count them."""
CLOSES = 7 * DAY
"""How far back the prices of marks are kept, for reserves that flex with volatility."""


@define
class VaultState:
    """A core vault, but for its coins: those are in the ledger."""

    asset: Asset
    wallet: str
    reserve: Reserve | None
    cap: int | None
    status: Status = Status.ACTIVE
    volatility_ppm: int | None = None
    expected: dict[str, int] = Factory(dict)
    """By transfer that was asked for and is not through: the units that are to come."""
    observed: dict[str, int] = Factory(dict)
    """By transfer, what a look at the wallet has found of it before it was told."""
    watched: tuple[int, int, int] | None = None
    """(day, profit of all its sleeves at its start, highest profit), where limits look at them."""


@define
class SleeveState:
    """A sleeve, but for its money, and the engine that sat there last."""

    vault: str
    policy: ProfitPolicy
    status: Status = Status.STAND_BY
    engine: str = ""
    counter: int = 0
    """How many orders it has had."""
    last_exit: int | None = None
    flatten_by: str = ""
    """Who has its positions closed, while they are."""
    account: int | None = None
    """The sub-account that backs it."""
    watched: tuple[int, int, int] | None = None
    """(day, profit at its start, highest profit), see `records.Marked`."""
    sent: list[int] = Factory(list)
    """When its latest orders of new risk were sent, in order of time."""


@define
class OpenOrder:
    """An order that the venue has, or may have."""

    order: Order
    by: str
    closes: bool
    filled: int = 0
    status: OrderStatus = OrderStatus.SUBMITTED


@define
class State:
    """The fold. Public fields are what the living objects are made of when books are opened again."""

    count: int = 0
    """How many records it stands for."""
    now: int = 0
    begun: int = 0
    """The first time that any record has."""
    ledger: Ledger = Factory(Ledger)
    instruments: dict[str, Instrument] = Factory(dict)
    vaults: dict[str, VaultState] = Factory(dict)
    sleeves: dict[str, SleeveState] = Factory(dict)
    orders: dict[str, OpenOrder] = Factory(dict)
    flights: dict[str, Flight] = Factory(dict)
    """Bundles under way, by id."""
    asked: dict[str, str] = Factory(dict)
    """By id of a transfer that is not through: the vault that it is of."""
    transfers: int = 0
    most_brought: dict[str, int] = Factory(dict)
    """By core vault, the most that was ever brought into it from outside, net."""
    adopted: str = ""
    """The key of somebody else's trade that the next fill books."""
    moves: dict[str, deque[tuple[int, str, int]]] = Factory(dict)
    quarantine: dict[str, list[Fact]] = Factory(dict)
    """By key: facts that were told and are not booked."""
    residuals: dict[str, Residual] = Factory(dict)
    """Residuals that still stand in SUSPENSE, by id."""
    explained: dict[str, None] = Factory(dict)
    """What residuals were named by, standing or adopted."""
    found: int = 0
    """How many residuals there ever were."""
    marked: int = 0
    """When holdings were last valued."""
    closes: deque[tuple[int, dict[str, int]]] = Factory(deque)
    """(at, prices by symbol) of the marks of the last week, while a reserve flexes."""
    last: dict[str, int] = Factory(dict)
    """By venue: the time of its latest fact."""
    reconciled: dict[str, int] = Factory(dict)
    """By wallet: when the books were last held against its venue."""
    standings: dict[str, Status] = Factory(dict)
    """By subject, the status of the desk itself and of venues."""
    instructed: dict[str, list[str]] = Factory(dict)
    """By author of an instruction that is not answered (`Instructed.author`): what followed from it so far."""
    latches: dict[str, dict[Hold, Latch]] = Factory(dict)
    """By subject: what holds it."""
    pools: dict[str, dict[str, str]] = Factory(dict)
    """By megavault: its terms, and all that was said of it since, the latest of each."""

    @classmethod
    def fold(cls, records: Iterable[Record], since: State | None = None) -> State:
        """What records amount to. Raises `JournalError` with the number of a record that cannot have happened."""
        state = cls() if since is None else since
        for record in records:
            try:
                state.apply(record)
            except (SleevesError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise JournalError(f"journal record {state.count + 1} cannot follow from those before it: {error}") from error
        return state

    def apply(self, record: Record) -> None:
        """Take in the next record."""
        apply = _APPLY.get(type(record))
        if apply is not None:
            apply(self, record)
        if self.instructed:
            self._follow(record)
        if not self.begun and record.at > 0:
            self.begun = record.at
        self.count += 1
        if record.at > self.now:
            self.now = record.at

    # -- by kind ---------------------------------------------------------------------------------------------------------

    def _entry(self, entry: Entry) -> None:
        self.ledger.post(entry)
        if entry.kind in _FROM_OUTSIDE:
            note_brought(self.ledger, entry, self.most_brought)
            if entry.kind is EntryKind.SEND:
                self._sent(entry)
        elif entry.kind is EntryKind.ADJUST and entry.ref in self.residuals:
            self._drop_if_gone(entry.ref)
        elif entry.kind in _MOVERS:
            for account, asset, units in entry.postings:
                if account.role is Role.CONTRACTS and asset == self.instruments[account.of].base:
                    self.moves.setdefault(account.of, deque(maxlen=MOST_MOVES)).append((entry.at, account.owner, units))

    def _sent(self, entry: Entry) -> None:
        """Coins set out, or stay after all; journals of version 1 have no other record of what was asked for."""
        self._number(entry.ref)
        for account, _, units in entry.postings:
            if account.role is Role.IN_TRANSIT and units > 0:
                self.asked.setdefault(entry.ref, account.owner)

    def _number(self, transfer: str) -> None:
        """The ids of transfers are never used twice."""
        number = transfer.partition(":")[0].rpartition("-transfer-")[2]
        if number.isdigit() and transfer != number:
            self.transfers = max(self.transfers, int(number))

    def _drop_if_gone(self, residual_id: str) -> None:
        one = self.residuals[residual_id]
        if not self.ledger.units(Account(one.vault, Role.SUSPENSE, one.of), one.amount.asset):
            del self.residuals[residual_id]

    def _opened(self, r: Opened) -> None:
        terms = r.terms
        if r.what == "instrument":
            self.instruments[r.name] = Instrument.from_terms(r.name, terms)
        elif r.what == "vault":
            code, _, scale = terms["asset"].rpartition(":")
            reserve = None if terms["reserve"] == "none" else Reserve.parse(terms["reserve"])
            cap = None if terms["cap"] == "None" else int(terms["cap"])
            self.vaults[r.name] = VaultState(Asset(code, int(scale)), terms["wallet"], reserve, cap)
        elif r.what == "sleeve":
            account = int(terms["account"]) if "account" in terms else None
            self.sleeves[r.name] = SleeveState(terms["vault"], ProfitPolicy.from_terms(terms), account=account)
        elif r.what == "engine":
            self.sleeves[terms["sleeve"]].engine = r.name
        elif r.what == "megavault":
            self.pools[r.name] = dict(terms)

    def _changed(self, r: Changed) -> None:
        if r.subject in self.pools:
            self.pools[r.subject][r.what] = r.after
        elif r.what == "status":
            if ":" in r.subject and r.subject not in self.vaults:
                self.standings[r.subject] = Status(r.after)
                return
            subject = self.vaults[r.subject] if r.subject in self.vaults else self.sleeves[r.subject]
            subject.status = Status(r.after)
        elif r.what.startswith("latch "):
            self._latched(r, Hold(r.what.removeprefix("latch ")))
        elif r.what == "cap":
            self.vaults[r.subject].cap = None if r.after == "None" else int(r.after)
        elif r.what == "reserve":
            self.vaults[r.subject].reserve = None if r.after == "none" else Reserve.parse(r.after)
        elif r.what == "volatility":
            self.vaults[r.subject].volatility_ppm = int(r.after)
        elif r.what == "adopted":
            self.adopted = r.after
        elif r.what == "flatten":
            self.sleeves[r.subject].flatten_by = r.after
        elif r.what.startswith("observed "):
            self.vaults[r.subject].observed[r.what.removeprefix("observed ")] = int(r.after)
        elif r.what.startswith("transfer "):
            self._forget(r.what.removeprefix("transfer "))

    def _latched(self, r: Changed, cause: Hold) -> None:
        if r.after:
            self.latches.setdefault(r.subject, {})[cause] = Latch(cause, r.at, r.by, r.why, int(r.after))
        else:
            self.latches.get(r.subject, {}).pop(cause, None)

    def _placed(self, r: Placed) -> None:
        order = r.order
        self.orders[order.id] = OpenOrder(order, r.by, r.closes)
        sleeve = self.sleeves[order.sleeve]
        sleeve.counter = max(sleeve.counter, int(order.id.rpartition("-")[2]))
        if not r.closes:
            note_sent(sleeve.sent, r.at)
        if r.bundle:
            self.flights[r.bundle].placed(r)

    def _bundled(self, r: Bundled) -> None:
        self.flights[r.id] = Flight.begin(r)
        sleeve = self.sleeves[r.sleeve]
        sleeve.counter = max(sleeve.counter, int(r.id.rpartition("-b")[2]))

    def _bundle(self, r: BundleUpdate) -> None:
        self.flights[r.id].update(r)
        if r.status.over:
            del self.flights[r.id]

    def _update(self, r: OrderUpdate) -> None:
        if r.status.done:
            self.orders.pop(r.order_id, None)
            for flight in self.flights.values():
                flight.off(r.order_id)
        elif r.order_id in self.orders:
            self.orders[r.order_id].status = r.status

    def _fill(self, r: Fill) -> None:
        self._told(r)
        if r.key == self.adopted:
            self.adopted = ""
            return
        name, market = r.order_id.rpartition("-")[0], r.instrument
        sleeve = self.sleeves.get(name)
        if sleeve is None:
            return
        owned = -self.ledger.units(Account(name, Role.TRADING, market.symbol), market.base)
        exits = r.side is Side.SELL if market.contract is None else owned * r.side.sign < 0
        if exits and (sleeve.last_exit is None or r.at > sleeve.last_exit):
            sleeve.last_exit = r.at
        flight = next((one for one in self.flights.values() if r.order_id in one.orders), None)
        if flight is not None:
            flight.fill(r)
        working = self.orders.get(r.order_id)
        if working is not None:
            working.filled += r.qty
            if working.filled >= working.order.place.qty:
                del self.orders[r.order_id]
                if flight is not None:
                    flight.off(r.order_id)

    def _told(self, fact: Fact) -> None:
        self.last[fact.venue] = max(self.last.get(fact.venue, 0), fact.at)
        waiting = self.quarantine.get(fact.key)
        if waiting is not None and fact in waiting:
            waiting.remove(fact)
            if not waiting:
                del self.quarantine[fact.key]

    def _transferred(self, r: Transferred) -> None:
        self._told(r)
        self._number(r.id)
        self._forget(r.id)

    def _shifted(self, r: Shifted) -> None:
        self._told(r)
        self._number(r.id)

    def _forget(self, transfer: str) -> None:
        self.asked.pop(transfer, None)
        for vault in self.vaults.values():
            vault.expected.pop(transfer, None)
            vault.observed.pop(transfer, None)

    def _asked(self, r: Asked) -> None:
        self._number(r.transfer.id)
        if r.transfer.inside:
            return  # what is on its way within the account stands in the ledger
        self.asked[r.transfer.id] = r.vault
        if r.transfer.amount.units > 0:
            self.vaults[r.vault].expected[r.transfer.id] = r.transfer.amount.units

    def _instructed(self, r: Instructed) -> None:
        self.instructed[r.author] = []

    def _answered(self, r: Answered) -> None:
        for author in [one for one in self.instructed if one.rpartition("/")[2] == r.id]:
            del self.instructed[author]

    def _follow(self, record: Record) -> None:
        """Remember what an instruction has led to, while it is not answered."""
        followed = self.instructed.get(getattr(record, "by", ""))
        if followed is not None and len(followed) < MOST_FOLLOWED:
            followed.append(words_of(record))

    def _quarantined(self, r: Quarantined) -> None:
        self.quarantine.setdefault(r.fact.key, []).append(r.fact)

    def _residual(self, r: Residual) -> None:
        self.residuals[r.id] = r
        self.explained[r.line] = None
        self.found = max(self.found, int(r.id[1:]))

    def _reconciled(self, r: Reconciled) -> None:
        self.reconciled[r.wallet] = r.at

    def _marked(self, r: Marked) -> None:
        self.marked = r.at
        for name, seen in r.watched.items():
            watched = self.vaults[name] if name in self.vaults else self.sleeves[name]
            watched.watched = seen
        if any(vault.reserve is not None and vault.reserve.flexes for vault in self.vaults.values()):
            self.closes.append((r.at, {symbol: price for symbol, (price, _) in r.prices.items()}))
            while self.closes and self.closes[0][0] < r.at - CLOSES:
                self.closes.popleft()

    # -- as text ---------------------------------------------------------------------------------------------------------

    def dump(self) -> str:
        """A snapshot: one text that `load` reads back."""
        return canonical(
            {
                "v": VERSION,
                "count": self.count,
                "now": self.now,
                "begun": self.begun,
                "ledger": self.ledger.dump(),
                "instruments": [[symbol, market.terms()] for symbol, market in self.instruments.items()],
                "vaults": [[owner, _vault(vault)] for owner, vault in self.vaults.items()],
                "sleeves": [[name, _sleeve(sleeve)] for name, sleeve in self.sleeves.items()],
                "orders": [
                    [encode(Placed(one.order.at, one.order, one.by, one.closes)), str(one.filled), one.status.value]
                    for one in self.orders.values()
                ],
                "flights": [_flight(one) for one in self.flights.values()],
                "asked": list(self.asked.items()),
                "transfers": self.transfers,
                "most_brought": _units(self.most_brought),
                "moves": [[symbol, [[at, name, str(qty)] for at, name, qty in moves]] for symbol, moves in self.moves.items()],
                "quarantine": [encode(Quarantined(fact.at, fact, "")) for facts in self.quarantine.values() for fact in facts],
                "residuals": [encode(one) for one in self.residuals.values()],
                "explained": list(self.explained),
                "found": self.found,
                "marked": self.marked,
                "closes": [[at, [[symbol, str(price)] for symbol, price in prices.items()]] for at, prices in self.closes],
                "last": list(self.last.items()),
                "reconciled": list(self.reconciled.items()),
                "instructed": list(self.instructed.items()),
                "standings": [[subject, status.value] for subject, status in self.standings.items()],
                "latches": [
                    [subject, one.cause.value, one.at, one.by, one.why, one.until]
                    for subject, latches in self.latches.items()
                    for one in latches.values()
                ],
                "pools": [[name, list(said.items())] for name, said in self.pools.items()],
            }
        )

    @classmethod
    def load(cls, text: str) -> State:
        """Read a snapshot back. Raises `JournalError` for one of another version, or that means nothing."""
        try:
            body = json.loads(text)
            if body["v"] != VERSION:
                raise JournalError(f"a snapshot of version {body['v']!r}, not {VERSION}")
            return cls._loaded(body)
        except (SleevesError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise JournalError(f"the snapshot cannot be read: {error}") from error

    @classmethod
    def _loaded(cls, body: Mapping[str, Any]) -> State:
        state = cls(count=body["count"], now=body["now"], begun=body["begun"], ledger=Ledger.load(body["ledger"]))
        state.transfers = body["transfers"]
        state.most_brought = {owner: int(units) for owner, units in body["most_brought"]}
        state.instruments = {symbol: Instrument.from_terms(symbol, terms) for symbol, terms in body["instruments"]}
        decoder = Decoder(state.instruments)
        state.vaults = {owner: _vault_of(terms) for owner, terms in body["vaults"]}
        state.sleeves = {name: _sleeve_of(terms) for name, terms in body["sleeves"]}
        for line, filled, status in body["orders"]:
            placed = decoder.read(line, 0)
            assert isinstance(placed, Placed)
            state.orders[placed.order.id] = OpenOrder(placed.order, placed.by, placed.closes, int(filled), OrderStatus(status))
        for terms in body.get("flights", ()):
            flight = _flight_of(terms, decoder)
            state.flights[flight.record.id] = flight
        state.asked = dict(body["asked"])
        state.moves = {
            symbol: deque([(at, name, int(qty)) for at, name, qty in moves], maxlen=MOST_MOVES) for symbol, moves in body["moves"]
        }
        for line in body["quarantine"]:
            kept = decoder.read(line, 0)
            assert isinstance(kept, Quarantined)
            state.quarantine.setdefault(kept.fact.key, []).append(kept.fact)
        for line in body["residuals"]:
            one = decoder.read(line, 0)
            assert isinstance(one, Residual)
            state.residuals[one.id] = one
        state.explained = dict.fromkeys(body["explained"])
        state.found, state.marked, state.last = body["found"], body["marked"], dict(body["last"])
        state.reconciled = dict(body["reconciled"])
        state.instructed = {author: list(followed) for author, followed in body["instructed"]}
        state.standings = {subject: Status(status) for subject, status in body["standings"]}
        for subject, cause, *rest in body["latches"]:
            state.latches.setdefault(subject, {})[Hold(cause)] = Latch(Hold(cause), *rest)
        state.pools = {name: dict(said) for name, said in body["pools"]}
        state.closes = deque((at, {symbol: int(price) for symbol, price in prices}) for at, prices in body["closes"])
        return state


def note_brought(ledger: Ledger, entry: Entry, most: dict[str, int]) -> None:
    """After coins came from outside, left, or set out: the most that was ever brought into each vault that they concern."""
    if entry.kind in _FROM_OUTSIDE:
        for owner, asset in {(p.account.owner, p.asset) for p in entry.postings if p.account.role is Role.IDLE}:
            brought = sum(ledger.flow(owner, kind, asset) for kind in _FROM_OUTSIDE)
            most[owner] = max(most.get(owner, 0), brought)


def note_sent(sent: list[int], at: int) -> None:
    """One more order of new risk was sent; of too many the first is forgotten. Times may come in any order."""
    insort(sent, at)
    if len(sent) > MOST_SENT:
        del sent[0]


_FROM_OUTSIDE = frozenset({EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.SEND})
_MOVERS = frozenset({EntryKind.FILL, EntryKind.LIQUIDATION})

_APPLY: Mapping[type, Any] = {
    Entry: State._entry,
    Opened: State._opened,
    Changed: State._changed,
    Placed: State._placed,
    Bundled: State._bundled,
    BundleUpdate: State._bundle,
    OrderUpdate: State._update,
    Fill: State._fill,
    FundingPaid: State._told,
    Settled: State._told,
    Liquidated: State._told,
    Bankrupted: State._told,
    Transferred: State._transferred,
    Shifted: State._shifted,
    Asked: State._asked,
    Instructed: State._instructed,
    Answered: State._answered,
    Quarantined: State._quarantined,
    Residual: State._residual,
    Marked: State._marked,
    Reconciled: State._reconciled,
}


def _flight(one: Flight) -> dict[str, Any]:
    return {
        "record": encode(one.record),
        "filled": [str(units) for units in one.filled],
        "leg": one.leg,
        "sent": one.sent,
        "orders": [[name, leg, sign] for name, (leg, sign) in one.orders.items()],
        "out": one.out,
        "back": [list(pair) for pair in one.back.items()],
        "coins": _units(one.coins),
        "status": one.status.value,
    }


def _flight_of(terms: Mapping[str, Any], decoder: Decoder) -> Flight:
    record = decoder.read(terms["record"], 0)
    assert isinstance(record, Bundled)
    orders = {name: (leg, sign) for name, leg, sign in terms["orders"]}
    filled = [int(units) for units in terms["filled"]]
    coins = {code: int(units) for code, units in terms["coins"]}
    back, status = dict(terms["back"]), BundleStatus(terms["status"])
    return Flight(record, filled, terms["leg"], terms["sent"], back, coins, orders, list(terms["out"]), status)


def _units(units: Mapping[str, int]) -> list[list[str]]:
    return [[name, str(one)] for name, one in units.items()]


def _watched(watched: tuple[int, int, int] | None) -> list[Any] | None:
    return None if watched is None else [watched[0], *map(str, watched[1:])]


def _watched_of(terms: Sequence[Any] | None) -> tuple[int, int, int] | None:
    return None if terms is None else (terms[0], int(terms[1]), int(terms[2]))


def _vault(vault: VaultState) -> dict[str, Any]:
    return {
        "asset": [vault.asset.code, vault.asset.scale],
        "wallet": vault.wallet,
        "reserve": None if vault.reserve is None else str(vault.reserve),
        "cap": None if vault.cap is None else str(vault.cap),
        "status": vault.status.value,
        "volatility_ppm": vault.volatility_ppm,
        "expected": _units(vault.expected),
        "observed": _units(vault.observed),
        "watched": _watched(vault.watched),
    }


def _vault_of(terms: Mapping[str, Any]) -> VaultState:
    reserve, cap = terms["reserve"], terms["cap"]
    return VaultState(
        Asset(*terms["asset"]),
        terms["wallet"],
        None if reserve is None else Reserve.parse(reserve),
        None if cap is None else int(cap),
        Status(terms["status"]),
        terms["volatility_ppm"],
        {name: int(units) for name, units in terms["expected"]},
        {name: int(units) for name, units in terms["observed"]},
        _watched_of(terms["watched"]),
    )


def _sleeve(sleeve: SleeveState) -> dict[str, Any]:
    return {
        "vault": sleeve.vault,
        "policy": sleeve.policy.terms(),
        "status": sleeve.status.value,
        "engine": sleeve.engine,
        "counter": sleeve.counter,
        "last_exit": sleeve.last_exit,
        "flatten_by": sleeve.flatten_by,
        "account": sleeve.account,
        "watched": _watched(sleeve.watched),
        "sent": sleeve.sent,
    }


def _sleeve_of(terms: Mapping[str, Any]) -> SleeveState:
    return SleeveState(
        terms["vault"],
        ProfitPolicy.from_terms(terms["policy"]),
        Status(terms["status"]),
        terms["engine"],
        terms["counter"],
        terms["last_exit"],
        terms["flatten_by"],
        terms["account"],
        _watched_of(terms["watched"]),
        list(terms["sent"]),
    )
