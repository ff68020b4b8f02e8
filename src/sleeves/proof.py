"""The laws of the books, checked: each law answers with whether it holds, and with the number that breaks it.

The cheap form reads balances. The deep form throws them away, folds the journal anew, and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from .errors import LedgerError
from .facts import AccountFact, Liquidated, Settled, Shifted, Transferred
from .ledger import FLOW_ROLES, GUARDED_ROLES, Entry, EntryKind, Ledger, Role
from .markup import block, table
from .money import Amount, Rounding
from .orders import Fill, Position, Side
from .status import Status
from .vault import CoreVault, Sleeve, netted

__all__ = ["Finding", "Proof", "prove"]


@frozen(order=False)
class Finding:
    """One law: its number in the design, its name, and what breaks it (nothing when it holds)."""

    law: int
    name: str
    breaches: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.breaches


@frozen(order=False, repr=False)
class Proof:
    """All laws that could be checked with what was given."""

    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)

    def require(self) -> Proof:
        """Raise `LedgerError` with every breach, or return itself."""
        if not self.holds:
            raise LedgerError(str(self))
        return self

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"law {finding.law:>2} {finding.name:<14} {'holds' if finding.holds else 'BROKEN'}")
            lines += [f"          {breach}" for breach in finding.breaches]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [[str(one.law), one.name, "holds" if one.holds else "BROKEN: " + "; ".join(one.breaches)] for one in self.findings]
        title = "The laws of the books hold" if self.holds else "A law of the books is BROKEN"
        return block(title, table(["law", "", ""], rows, words=3))


def prove(
    vaults: Sequence[CoreVault],
    holdings: Mapping[str, Amount] | None = None,
    *,
    positions: Mapping[str, Position] | None = None,
    accounts: Sequence[str] | None = None,
    deep: bool = False,
) -> Proof:
    """Check the laws over these vaults, which share their books.

    Without `holdings` (what the venue says it holds, by asset code) and `accounts` (what is wrong in which of its sub-accounts)
    law 6 is not among the findings: it cannot be known from the books alone.
    With `positions` (its contracts by symbol) law 9 also compares the sum of all slices with
    them, quantity and money side. Laws 7, 8 and 10 need `deep`.
    """
    findings = [
        Finding(1, "conservation", tuple(_conservation(vaults))),
        Finding(2, "isolation", tuple(_each(vaults, _isolation))),
        Finding(3, "no overdraft", tuple(_each(vaults, _overdraft)) + tuple(_core_overdraft(vaults))),
        Finding(4, "facts stop", tuple(_each(vaults, _stopped))),
        Finding(5, "profit", tuple(_each(vaults, _profit))),
        Finding(9, "ownership", tuple(_each(vaults, _ownership)) + tuple([] if positions is None else _netted(vaults, positions))),
    ]
    if holdings is not None or accounts is not None:
        findings.append(Finding(6, "backing", (*([] if holdings is None else _backing(vaults, holdings)), *(accounts or ()))))
    if deep:
        findings += [
            Finding(7, "exactly once", tuple(_once(vaults))),
            Finding(8, "all written", tuple(_written(vaults))),
            Finding(10, "rounding", tuple(_rounding(vaults))),
        ]
    return Proof(tuple(sorted(findings, key=lambda finding: finding.law)))


def _each(vaults: Sequence[CoreVault], law: Callable[[Sleeve], list[str]]) -> list[str]:
    return [breach for vault in vaults for sleeve in vault.sleeves.values() for breach in law(sleeve)]


def _conservation(vaults: Sequence[CoreVault]) -> list[str]:
    ledger = vaults[0].books.ledger
    breaches = [f"all accounts of {asset} sum to {units} units" for asset, units in ledger.trial_balance().items() if units]
    for vault in vaults:
        core = vault.idle.units + vault.reserve.units + vault.suspense.units + vault.in_transit.units
        parts = core + sum(sleeve.balance.units for sleeve in vault.sleeves.values())
        if parts != vault.total.units:
            breaches.append(f"{vault.owner}: total {vault.total} is not the sum of its parts, {Amount(parts, vault.asset)}")
    return breaches


def _isolation(sleeve: Sleeve) -> list[str]:
    """A sleeve's accounts sum, per asset, to what its core vault gave it: nothing came from, or went to, another."""
    ledger = sleeve.vault.books.ledger
    sums: dict[str, int] = {}
    for account, amount in ledger.accounts(sleeve.name):
        if account.role in FLOW_ROLES:
            sums[amount.asset.code] = sums.get(amount.asset.code, 0) + amount.units
    breaches = []
    for code, units in sums.items():
        given = ledger.net_flow(sleeve.name, ledger.asset(code))
        if units != given or (given and code != sleeve.asset.code):
            breaches.append(f"{sleeve.name}: its {code} accounts sum to {units} units, but it was given {given}")
    return breaches


def _overdraft(sleeve: Sleeve) -> list[str]:
    """No guarded account of a sleeve is below zero, but for FREE, which a fact may overdraw."""
    return [
        f"{account} is {amount}"
        for account, amount in sleeve.vault.books.ledger.accounts(sleeve.name)
        if account.role in GUARDED_ROLES and account.role is not Role.FREE and amount.units < 0
    ]


def _stopped(sleeve: Sleeve) -> list[str]:
    """A sleeve that a fact has overdrawn takes no new risk."""
    if sleeve.status in (Status.CLOSE_ONLY, Status.HALTED):
        return []
    return [
        f"{account} is {amount} while {sleeve.name} is {sleeve.status}"
        for account, amount in sleeve.vault.books.ledger.accounts(sleeve.name)
        if account.role is Role.FREE and amount.units < 0
    ]


def _core_overdraft(vaults: Sequence[CoreVault]) -> list[str]:
    return [
        f"{account} is {amount}"
        for vault in vaults
        for account, amount in vault.books.ledger.accounts(vault.owner)
        if account.role in GUARDED_ROLES and amount.units < 0
    ]


def _profit(sleeve: Sleeve) -> list[str]:
    """balance - net deposits = realized - fees + funding, with open positions at cost on the left."""
    capital = sleeve.vault.books.ledger.net_flow(sleeve.name, sleeve.asset)
    left, right = sleeve.balance.units - capital, sleeve.realized.units - sleeve.fees.units + sleeve.funding.units
    if left == right:
        return []
    return [f"{sleeve.name}: balance less capital is {left} units, realized less fees plus funding is {right}"]


def _ownership(sleeve: Sleeve) -> list[str]:
    """What a sleeve has of a base asset, coins or contracts, is what its positions say, less fees paid in that coin."""
    books = sleeve.vault.books
    owned: dict[str, int] = {}
    has: dict[str, int] = {}
    for account, amount in books.ledger.accounts(sleeve.name):
        code = amount.asset.code
        if code == sleeve.asset.code:
            continue
        if account.role in (Role.TRADING, Role.FEES):
            owned[code] = owned.get(code, 0) - amount.units
        elif account.role in (Role.FREE, Role.HELD, Role.CONTRACTS):
            has[code] = has.get(code, 0) + amount.units
    return [
        f"{sleeve.name}: has {has.get(code, 0)} units of {code}, owns {owned.get(code, 0)}"
        for code in sorted(owned | has)
        if has.get(code, 0) != owned.get(code, 0)
    ]


def _netted(vaults: Sequence[CoreVault], positions: Mapping[str, Position]) -> list[str]:
    """The slices of each contract sum to what the venue says it holds: its quantity, and the money side of it."""
    ours = netted(vaults)
    breaches = []
    for symbol in sorted(ours.keys() | positions.keys()):
        base, money = ours.get(symbol, (0, 0))
        theirs = positions.get(symbol)
        held, said = (0, 0) if theirs is None else (theirs.qty, theirs.money)
        if base != held:
            breaches.append(f"{symbol}: slices sum to {base} units, the venue holds {held}")
        if money != said:
            breaches.append(f"{symbol}: the money side of all slices is {money} units, the venue's {said}")
    return breaches


def _backing(vaults: Sequence[CoreVault], holdings: Mapping[str, Amount]) -> list[str]:
    books = vaults[0].books
    expected: dict[str, Amount] = {}
    for wallet in {vault.wallet for vault in vaults}:
        for asset, units in books.coins(wallet).items():
            expected[asset.code] = expected.get(asset.code, asset.zero) + Amount(units, asset)
    breaches = []
    for code in sorted(expected.keys() | holdings.keys()):
        ours, theirs = expected.get(code), holdings.get(code)
        if (0 if ours is None else ours.units) != (0 if theirs is None else theirs.units):
            breaches.append(
                f"{code}: the books have {'none' if ours is None else ours}, the venue holds {'none' if theirs is None else theirs}"
            )
    return breaches


def _once(vaults: Sequence[CoreVault]) -> list[str]:
    """Each fact is journaled once; a fill has one entry, a fact about the account one for each sleeve, summing to it."""
    books = vaults[0].books
    told: dict[str, Fill | AccountFact] = {}
    breaches = []
    booked: dict[str, list[Entry]] = {}
    for record in books.journal:
        if isinstance(record, (Fill, AccountFact)):
            if record.key in told:
                breaches.append(f"{record.key} is journaled twice")
            told[record.key] = record
        elif isinstance(record, Entry) and record.kind in _FROM_FACTS:
            booked.setdefault(record.ref, []).append(record)
    for key, fact in told.items():
        entries = booked.pop(key, [])
        if isinstance(fact, Fill):
            if len(entries) != 1:
                breaches.append(f"fill {key} is booked {len(entries)} times")
            continue
        owners = [entry.postings[0].account.owner for entry in entries]
        if len(owners) != len(set(owners)):
            breaches.append(f"{key} is booked twice to one sleeve")
        said, sums = _said(fact), _booked(fact, entries)
        if said != sums:
            breaches.append(f"{key} says {said} units, {sums} are booked")
    breaches += [f"{key} is booked {len(entries)} times and was never told" for key, entries in booked.items()]
    return breaches + [f"{key} is known but was never booked" for key in books.facts if key not in told]


_FROM_FACTS = frozenset({EntryKind.FILL, EntryKind.FUNDING, EntryKind.SETTLE, EntryKind.LIQUIDATION, EntryKind.BANKRUPTCY})


def _said(fact: AccountFact) -> int:
    """What a fact says in one number: its money, or for a liquidation its contracts."""
    if isinstance(fact, Liquidated):
        return fact.change
    if isinstance(fact, Settled):
        return fact.amount + fact.fee
    return 0 if isinstance(fact, (Transferred, Shifted)) else fact.amount


def _booked(fact: AccountFact, entries: Sequence[Entry]) -> int:
    """The same number, as its entries have booked it."""
    if isinstance(fact, Liquidated):
        return sum(p.units for e in entries for p in e.postings if p.account.role is Role.CONTRACTS and p.asset == fact.instrument.base)
    unsettled = sum(p.units for e in entries for p in e.postings if p.account.role is Role.UNSETTLED)
    return -unsettled if isinstance(fact, Settled) else unsettled


def _written(vaults: Sequence[CoreVault]) -> list[str]:
    """The ledger is the fold of the journal, and every entry says who did it."""
    books = vaults[0].books
    again = Ledger()
    breaches = []
    for number, record in enumerate(books.journal, 1):
        if isinstance(record, Entry):
            if not record.by:
                breaches.append(f"record {number} names nobody")
            try:
                again.post(record)
            except LedgerError as error:
                breaches.append(f"record {number} cannot be posted again: {error}")
    pairs = {(account, amount) for account, amount in books.ledger.accounts() if amount.units}
    pairs ^= {(account, amount) for account, amount in again.accounts() if amount.units}
    if pairs:
        breaches += [f"{account}: {amount} stands in one of ledger and journal only" for account, amount in sorted(pairs, key=str)]
    return breaches + books.ledger.differences() + [breach for vault in vaults for breach in vault.differences()]


def _rounding(vaults: Sequence[CoreVault]) -> list[str]:
    """No trade was booked better for the sleeve than its price says: a buyer pays at least it, a seller gets at most it."""
    breaches = []
    for record in vaults[0].books.journal:
        if isinstance(record, Fill):
            exact = record.instrument.cost(record.price, record.qty, Rounding.FLOOR if record.side is Side.BUY else Rounding.CEIL)
            if (record.side is Side.BUY and record.cost < exact) or (record.side is Side.SELL and record.cost > exact):
                breaches.append(f"fill {record.key}: {record.side} cost {record.cost} against {exact} at its price")
    return breaches
