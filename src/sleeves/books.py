"""The books of one account: a ledger, the journal that it is the fold of, and the facts already booked.

Order matters here: an entry is checked, then journaled, then applied. When the journal cannot keep it, nothing has
changed. When the process dies in between, the journal has it and the next start applies it.

Books know neither vaults nor orders; they only keep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from weakref import WeakSet

from .booking import suspend
from .daybook import Daybook
from .errors import JournalError, VaultError
from .facts import Shifted, Transferred
from .journal import Journal, Memory
from .ledger import COIN_ROLES, Account, Entry, EntryKind, Ledger, Role
from .market import Instrument
from .money import Asset
from .records import Fact, Opened, Quarantined, Record, Residual
from .state import State, note_brought

__all__ = ["Books"]

log = logging.getLogger("sleeves.books")
log.addHandler(logging.NullHandler())

_FROM_OUTSIDE = frozenset({EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.SEND})
_ORDERS = frozenset({EntryKind.HOLD, EntryKind.RELEASE})
SNAPSHOT_EVERY = 25_000
"""Records between two snapshots of a journal that outlives the process."""


class Books:
    """What a user assembles first when several vaults share one account; a single `CoreVault` makes its own.

    `journal` is where records are kept (in memory by default). One that holds records already is folded, and the books
    stand where they stood: `Treasury.reopen` then has the vaults, and `recover` the desk. `clock` gives the time in
    nanoseconds for commands that name none; without it a command happens at the latest time that the books have seen, so
    that a simulated run writes the same journal each time.

    Raises `JournalError` for a journal that cannot be trusted.
    """

    __slots__ = (
        "__weakref__",
        "_facts",
        "_lying",
        "_reopened",
        "_saved",
        "accounts",
        "changes",
        "clock",
        "daybooks",
        "desk",
        "explained",
        "failed",
        "found",
        "instruments",
        "journal",
        "last",
        "ledger",
        "listeners",
        "mismatched",
        "misplaced",
        "most_brought",
        "now",
        "perpetuals",
        "quarantine",
        "reconciled",
        "residuals",
        "state",
        "tolerances",
        "wallets",
    )

    def __init__(self, journal: Journal | None = None, *, clock: Callable[[], int] | None = None) -> None:
        self.ledger = Ledger()
        self.journal: Journal = Memory() if journal is None else journal
        self.failed = ""
        """Why the journal could not keep something, once it could not: these books are dead then."""
        if not all(hasattr(self.journal, name) for name in ("append", "after", "load", "find")):
            raise JournalError(f"a journal is one such as Memory() or SQLite.open(path), not {journal!r}")
        if any(one.journal is self.journal for one in _KEPT):
            raise JournalError("this journal has books already: two would not know of each other's entries")
        self._facts: dict[str, Fact] = {}
        self.daybooks: list[Daybook] = []
        """Fills that are booked and were only noted, by those who noted them."""
        self.quarantine: dict[str, list[Fact]] = {}
        """By key: facts that were told and are not booked."""
        self.residuals: dict[str, Residual] = {}
        """What stands in SUSPENSE and was not adopted yet, by id."""
        self.explained: set[str] = set()
        """What residuals were named by, standing or adopted: the same line explains nothing twice."""
        self.found = 0
        """How many residuals there ever were."""
        self.most_brought: dict[str, int] = {}
        """By core vault, the most that was ever brought into it from outside, net: what comes beyond it is new."""
        self.last: dict[str, int] = {}
        """By venue, the time of its latest fact that is booked."""
        self.reconciled: dict[str, int] = {}
        """By wallet, when the books were last held against its venue."""
        self.tolerances: dict[str, int] = {}
        """By asset code, how many units may stand in SUSPENSE while new risk is taken; none where nothing is said."""
        self.mismatched: dict[str, frozenset[str]] = {}
        """By wallet, contracts of which its venue holds something else than the sleeves: no new risk in them."""
        self.misplaced: dict[str, dict[tuple[int, str], int]] = {}
        """By wallet, sub-accounts and coins of which its venue holds more than the books say there, or less (below zero)."""
        self.wallets: dict[str, str] = {}
        self.accounts: dict[str, int] = {}
        """By sleeve with a sub-account of its own, its number."""
        self.instruments: dict[str, Instrument] = {}
        self.perpetuals = False
        """Whether an instrument with contracts is known here."""
        self.changes = 0
        """Counts entries that changed what somebody is worth or has: all but holds and their release."""
        self.now = 0
        self.desk = False
        """Whether a desk trades on these books."""
        self.state: State | None = None
        """The fold of the journal, kept up for one that outlives the process or was not empty; snapshots are made of it."""
        self.listeners: list[Callable[[Record], None]] = []
        """Who is told of each record once it is kept and applied, see `listen`."""
        self.clock = clock
        """What tells the time of commands that name none; None for the latest that was seen."""
        self._saved = 0
        self._lying: dict[tuple[str, int], _Lying] = {}
        """By wallet and sub-account, the coins there as they were last asked for."""
        self._reopened = len(self.journal) > 0
        if self._reopened:
            self._reopen()
        elif not isinstance(self.journal, Memory):
            self.state = State()
        _KEPT.add(self)

    def _reopen(self) -> None:
        """Stand where the journal's records lead."""
        snapshot = self.journal.load()
        since = None if snapshot is None else _of_this_version(snapshot[1])
        if snapshot is not None and since is not None and since.count != snapshot[0]:
            raise JournalError(f"the snapshot at record {snapshot[0]} is of another one")
        self._saved = 0 if since is None else since.count
        state = self.state = State.fold(self.journal.after(self._saved), since)
        if state.count != len(self.journal):
            raise JournalError(f"{state.count} records could be read of a journal of {len(self.journal)}")
        # the state goes on as the fold of what is written, the ledger as what is booked: they must never be one object
        self.ledger = Ledger.load(state.ledger.dump())
        self.instruments = dict(state.instruments)
        self.perpetuals = any(market.contract is not None for market in self.instruments.values())
        self.wallets = {owner: vault.wallet for owner, vault in state.vaults.items()}
        self.wallets |= {name: self.wallets[sleeve.vault] for name, sleeve in state.sleeves.items()}
        self.accounts = {name: sleeve.account for name, sleeve in state.sleeves.items() if sleeve.account}
        self.quarantine = {key: list(facts) for key, facts in state.quarantine.items()}
        self.residuals = dict(state.residuals)
        self.explained, self.found = set(state.explained), state.found
        self.last, self.reconciled, self.most_brought = dict(state.last), dict(state.reconciled), dict(state.most_brought)
        self.now = state.now
        self.changes = 1
        self._snapshot_if_due()

    @property
    def reopened(self) -> bool:
        """Whether these books went on from records that were there when they were opened."""
        return self._reopened

    def time(self, at: int | None = None) -> int:
        """The time of a record: the one given, or the clock's, or the latest seen.

        Raises `VaultError` for a time that is not whole nanoseconds.
        """
        if at is None:
            at = self.clock() if self.clock else self.now
        if type(at) is not int:
            raise VaultError(f"time {at!r} must be a whole number of nanoseconds since 1970, UTC")
        if at > self.now:
            self.now = at
        return at

    def post(self, *records: Record) -> None:
        """Check, journal and apply entries, with the records that they follow from. All of it or nothing.

        Raises what `Ledger.post` and `Journal.append` raise.
        """
        if not records:
            return
        ledger = self.ledger
        entries = [record for record in records if type(record) is Entry]
        if len(entries) == 1 and entries[0].kind not in _FROM_OUTSIDE:
            entry = entries[0]
            touched = ledger.check(entry)
            try:
                self.journal.append(*records)
            except JournalError as error:
                self.failed = str(error)
                raise
            ledger.apply(entry, touched)
            if entry.kind not in _ORDERS:
                self.changes += 1
                if entry.kind is EntryKind.ADJUST:
                    self._follow(records)
            if self.state is not None:
                self._remember(records)
            if self.listeners:
                self._tell(records)
            return
        applied: list[Entry] = []
        brought = dict(self.most_brought)
        try:
            for entry in entries:
                ledger.post(entry)
                applied.append(entry)
                note_brought(ledger, entry, brought)
            self.journal.append(*records)
        except BaseException as error:
            if isinstance(error, JournalError):
                self.failed = str(error)
            for entry in reversed(applied):
                ledger.apply(entry.reverse())
            raise
        self.most_brought = brought
        self.changes += any(entry.kind not in _ORDERS for entry in entries)
        self._follow(records)
        if self.state is not None:
            self._remember(records)
        if self.listeners:
            self._tell(records)

    def record(self, *records: Record) -> None:
        """Journal records that move no money."""
        try:
            self.journal.append(*records)
        except JournalError as error:
            self.failed = str(error)
            raise
        if self.state is not None:
            self._remember(records)
        if self.listeners:
            self._tell(records)

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """What a copy takes over: all but who listens here, for it would be told of the copy's records as if they were these."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name != "__weakref__"}
        return None, kept | {"listeners": []}

    def listen(self, listener: Callable[[Record], None]) -> Callable[[], None]:
        """Have each record told once it is kept and applied, in order; returns what ends it.

        A listener looks and writes nothing here. One that raises is logged, dropped, and disturbs nothing else.
        """
        self.listeners.append(listener)

        def end() -> None:
            if listener in self.listeners:
                self.listeners.remove(listener)

        return end

    def _tell(self, records: tuple[Record, ...]) -> None:
        for listener in tuple(self.listeners):
            try:
                for record in records:
                    listener(record)
            except Exception:
                log.exception("%r raised and is told of no more records", listener)
                if listener in self.listeners:
                    self.listeners.remove(listener)

    def unexplained(self, wallet: str, asset: Asset) -> int:
        """Units of an asset that stand in SUSPENSE of a wallet, each cause by itself, whichever way."""
        units = 0
        for account, code, there in self.ledger.suspense:
            if code == asset.code and account[0].startswith("core:") and self.wallets.get(account[0]) == wallet:
                units += abs(there)
        return units

    def _follow(self, records: tuple[Record, ...]) -> None:
        """What residuals there are, after these records."""
        for record in records:
            if type(record) is Residual:
                self.residuals[record.id] = record
                self.explained.add(record.line)
                self.found += 1
            elif type(record) is Entry and record.kind is EntryKind.ADJUST and record.ref in self.residuals:
                one = self.residuals[record.ref]
                if not self.ledger.units(Account(one.vault, Role.SUSPENSE, one.of), one.amount.asset):
                    del self.residuals[record.ref]

    def release(self, key: str, *, at: int, by: str) -> list[Entry]:
        """What takes residuals out of SUSPENSE that were named by a fact, now that the fact is to be booked."""
        entries = []
        for one in self.residuals.values() if self.residuals else ():
            if one.ref == key:
                units = self.ledger.units(Account(one.vault, Role.SUSPENSE, one.of), one.amount.asset)
                why = "its fact is booked"
                entries.append(suspend(one.vault, one.amount.asset, one.of, -units, ref=one.id, at=at, by=by, why=why))
        return entries

    def _remember(self, records: tuple[Record, ...]) -> None:
        assert self.state is not None
        for record in records:
            self.state.apply(record)
        self._snapshot_if_due()

    def _snapshot_if_due(self) -> None:
        if self.state is not None and self.state.count - self._saved >= SNAPSHOT_EVERY:
            self.snapshot()

    def snapshot(self) -> None:
        """Keep what all records until now amount to, so that the next opening reads only those behind it."""
        state = State.fold(self.journal) if self.state is None else self.state
        self.journal.save(state.dump())
        self._saved = state.count

    # -- facts -----------------------------------------------------------------------------------------------------------

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What was booked since the books were opened, by key; `fact` also looks further back."""
        if not self.daybooks:
            return self._facts
        return self._facts | {fact.key: fact for daybook in self.daybooks for fact in daybook.facts()}

    def fact(self, key: str) -> Fact | None:
        """What was booked under a key, however long ago; None for what never was."""
        known = self._facts.get(key)
        if known is None and self.daybooks:
            known = next((fact for daybook in self.daybooks if (fact := daybook.fact(key)) is not None), None)
        if known is None and self._reopened:
            found = self.journal.find(key)
            known = found if isinstance(found, Fact) else None
        return known

    @property
    def begun(self) -> int:
        """The first time that they have seen; 0 while they have seen none."""
        if self.state is not None:
            return self.state.begun
        return next((record.at for record in self.journal if record.at > 0), 0)

    def set_aside(self, fact: Fact, why: str, *records: Record) -> bool:
        """Journal a fact that cannot be booked, with the records that say so; False when it is known here already."""
        waiting = self.quarantine.get(fact.key, [])
        if fact in waiting:
            return False
        market = None if isinstance(fact, (Transferred, Shifted)) else fact.instrument
        if market is not None and self.instruments.get(market.symbol, market) != market:
            self.record(*records)  # it names an instrument on other terms: it cannot be written down, but it can be told
            return False
        if market is not None:
            self.know(market)
        self.record(Quarantined(self.now, fact, why), *records)
        self.quarantine.setdefault(fact.key, []).append(fact)
        return True

    def booked(self, fact: Fact) -> None:
        """Remember that a fact is booked: told again, it changes nothing."""
        self._facts[fact.key] = fact
        if fact.at > self.last.get(fact.venue, 0):
            self.last[fact.venue] = fact.at
        waiting = self.quarantine.get(fact.key) if self.quarantine else None
        if waiting and fact in waiting:
            waiting.remove(fact)
            if not waiting:
                del self.quarantine[fact.key]

    def claim(self, name: str, wallet: str, *records: Record, account: int | None = None) -> None:
        """Take a name for an owner of accounts whose coins lie in this wallet, or in a sub-account of it, and post what opens it.

        Raises `VaultError` when the name is taken, and what `post` raises; the name is free again then.
        """
        if name in self.wallets:
            hint = "; the journal has it already: Treasury.reopen(books) gives it as it stood" if self._reopened else ""
            raise VaultError(f"the name {name!r} is taken in these books{hint}")
        self.post(*records)
        self.wallets[name] = wallet
        if account:
            self.accounts[name] = account
        for known in self._lying.values():
            known.changed.add(name)

    def coins(self, wallet: str, *, leaving: bool = True, account: int | None = None) -> dict[Asset, int]:
        """What a wallet must hold, per asset, in units: all coins of all owners there; with or without those on their way.

        With an `account` only those of owners whose coins lie in that sub-account, and none that are between it and another.
        """
        sums: dict[Asset, int] = {}
        away = frozenset() if leaving else _LEAVING
        if account is not None:
            away |= _BETWEEN
        for owner, where in self.wallets.items():
            if where == wallet and (account is None or self.accounts.get(owner, 0) == account):
                for cell, amount in self.ledger.accounts(owner):
                    if cell.role in COIN_ROLES and cell.role not in away:
                        sums[amount.asset] = sums.get(amount.asset, 0) + amount.units
        return sums

    def lying(self, wallet: str, account: int) -> dict[str, int]:
        """By asset code, the units that `coins` says without those on their way: worked out anew only of owners that changed."""
        known = self._lying.get((wallet, account))
        if known is None:
            known = self._lying[wallet, account] = _Lying(self.ledger.follow())
            known.changed.update(self.wallets)
        sums = known.sums
        for owner in known.changed:
            if self.wallets.get(owner) == wallet and self.accounts.get(owner, 0) == account:
                has: dict[str, int] = {}
                for cell, code, units in self.ledger.cells(owner):
                    if cell[1] in _STAYING:
                        has[code] = has.get(code, 0) + units
                for code, units in known.parts.get(owner, {}).items():
                    sums[code] -= units
                for code, units in has.items():
                    sums[code] = sums.get(code, 0) + units
                known.parts[owner] = has
        known.changed.clear()
        return dict(sums)

    def know(self, instrument: Instrument) -> None:
        """Register an instrument by its symbol, once. Raises `VaultError` when the symbol has other terms here."""
        known = self.instruments.get(instrument.symbol)
        if known is None:
            self.record(Opened(self.time(), "desk", "instrument", instrument.symbol, instrument.terms()))
            self.instruments[instrument.symbol] = instrument
            self.perpetuals |= instrument.contract is not None
        elif known != instrument:
            raise VaultError(f"{instrument.symbol} is known in these books on other terms: {known.terms()}")


_LEAVING = frozenset({Role.IN_TRANSIT})
_BETWEEN = frozenset({Role.BETWEEN})
_STAYING = COIN_ROLES - _LEAVING - _BETWEEN


class _Lying:
    """The coins in one place: of each owner, their sum, and who has changed since."""

    __slots__ = ("changed", "parts", "sums")

    def __init__(self, changed: set[str]) -> None:
        self.changed = changed
        self.parts: dict[str, dict[str, int]] = {}
        self.sums: dict[str, int] = {}


_KEPT: WeakSet[Books] = WeakSet()
"""All books that somebody still has."""


def _of_this_version(snapshot: str) -> State | None:
    """What a snapshot says; None for one that another version of this program took: then all records are folded."""
    try:
        return State.load(snapshot)
    except JournalError:
        return None
