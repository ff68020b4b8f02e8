"""The books of one account: a ledger, the journal that it is the fold of, and the facts already booked.

Order matters here: an entry is checked, then journaled, then applied. When the journal cannot keep it, nothing has
changed. When the process dies in between, the journal has it and the next start applies it.

Books know neither vaults nor orders; they only keep.
"""

from __future__ import annotations

from collections.abc import Callable

from .errors import JournalError, VaultError
from .facts import AccountFact
from .journal import Journal, Memory
from .ledger import COIN_ROLES, Entry, EntryKind, Ledger, Role
from .market import Instrument
from .money import Asset
from .orders import Fill
from .records import Opened, Record

__all__ = ["Books"]

_ORDERS = frozenset({EntryKind.HOLD, EntryKind.RELEASE})


class Books:
    """What a user assembles first when several vaults share one account; a single `CoreVault` makes its own.

    `journal` is where records are kept (in memory by default). `clock` gives the time in nanoseconds for commands that
    name none; without it a command happens at the latest time that the books have seen, so that a simulated run writes
    the same journal each time.
    """

    __slots__ = (
        "_clock",
        "changes",
        "desk",
        "facts",
        "instruments",
        "journal",
        "ledger",
        "now",
        "perpetuals",
        "wallets",
    )

    def __init__(self, journal: Journal | None = None, *, clock: Callable[[], int] | None = None) -> None:
        self.ledger = Ledger()
        self.journal: Journal = Memory() if journal is None else journal
        if len(self.journal):
            raise JournalError(f"this journal holds {len(self.journal)} records: opening books again from one is not built yet")
        self.facts: dict[str, Fill | AccountFact] = {}
        self.wallets: dict[str, str] = {}
        self.instruments: dict[str, Instrument] = {}
        self.perpetuals = False
        """Whether an instrument with contracts is known here."""
        self.changes = 0
        """Counts entries that changed what somebody is worth or has: all but holds and their release."""
        self.now = 0
        self.desk = False
        """Whether a desk trades on these books."""
        self._clock = clock

    def time(self, at: int | None = None) -> int:
        """The time of a record: the one given, or the clock's, or the latest seen.

        Raises `VaultError` for a time that is not whole nanoseconds.
        """
        if at is None:
            at = self._clock() if self._clock else self.now
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
        if len(entries) == 1:
            touched = ledger.check(entries[0])
            self.journal.append(*records)
            ledger.apply(entries[0], touched)
            self.changes += entries[0].kind not in _ORDERS
            return
        applied: list[Entry] = []
        try:
            for entry in entries:
                ledger.post(entry)
                applied.append(entry)
            self.journal.append(*records)
        except BaseException:
            for entry in reversed(applied):
                ledger.apply(entry.reverse())
            raise
        self.changes += any(entry.kind not in _ORDERS for entry in entries)

    def record(self, *records: Record) -> None:
        """Journal records that move no money."""
        self.journal.append(*records)

    def claim(self, name: str, wallet: str, *records: Record) -> None:
        """Take a name for an owner of accounts whose coins lie in this wallet, and post the records that open it.

        Raises `VaultError` when the name is taken, and what `post` raises; the name is free again then.
        """
        if name in self.wallets:
            raise VaultError(f"the name {name!r} is taken in these books")
        self.post(*records)
        self.wallets[name] = wallet

    def coins(self, wallet: str, *, leaving: bool = True) -> dict[Asset, int]:
        """What a wallet must hold, per asset, in units: all coins of all owners there; with or without those on their way."""
        sums: dict[Asset, int] = {}
        for owner, where in self.wallets.items():
            if where == wallet:
                for account, amount in self.ledger.accounts(owner):
                    if account.role in COIN_ROLES and (leaving or account.role is not Role.IN_TRANSIT):
                        sums[amount.asset] = sums.get(amount.asset, 0) + amount.units
        return sums

    def know(self, instrument: Instrument) -> None:
        """Register an instrument by its symbol, once. Raises `VaultError` when the symbol has other terms here."""
        known = self.instruments.get(instrument.symbol)
        if known is None:
            self.record(Opened(self.time(), "desk", "instrument", instrument.symbol, instrument.terms()))
            self.instruments[instrument.symbol] = instrument
            self.perpetuals |= instrument.contract is not None
        elif known != instrument:
            raise VaultError(f"{instrument.symbol} is known in these books on other terms: {known.terms()}")
