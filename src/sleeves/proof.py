"""The laws of the books, checked: each law answers with whether it holds, and with the number that breaks it.

The cheap form reads balances. The deep form throws them away, folds the journal anew, and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from .errors import LedgerError
from .ledger import FLOW_ROLES, GUARDED_ROLES, Entry, EntryKind, Ledger, Role
from .money import Amount, Rounding
from .orders import Fill, Side
from .status import Status
from .vault import CoreVault, Sleeve

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


def prove(vaults: Sequence[CoreVault], holdings: Mapping[str, Amount] | None = None, *, deep: bool = False) -> Proof:
    """Check the laws over these vaults, which share their books.

    Without `holdings` (what the venue says it holds, by asset code) law 6 is not among the findings: it cannot be
    known from the books alone. Laws 7, 8 and 10 need `deep`.
    """
    findings = [
        Finding(1, "conservation", tuple(_conservation(vaults))),
        Finding(2, "isolation", tuple(_each(vaults, _isolation))),
        Finding(3, "no overdraft", tuple(_each(vaults, _overdraft)) + tuple(_core_overdraft(vaults))),
        Finding(4, "facts stop", tuple(_each(vaults, _stopped))),
        Finding(5, "profit", tuple(_each(vaults, _profit))),
        Finding(9, "ownership", tuple(_each(vaults, _ownership))),
    ]
    if holdings is not None:
        findings.append(Finding(6, "backing", tuple(_backing(vaults, holdings))))
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
        parts = vault.idle.units + vault.reserve.units + vault.suspense.units + sum(s.balance.units for s in vault.sleeves.values())
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
    """The coins of a base asset that a sleeve has are those of its positions, less fees paid in that coin."""
    books = sleeve.vault.books
    owned: dict[str, int] = {}
    has: dict[str, int] = {}
    for account, amount in books.ledger.accounts(sleeve.name):
        code = amount.asset.code
        if code == sleeve.asset.code:
            continue
        if account.role in (Role.TRADING, Role.FEES):
            owned[code] = owned.get(code, 0) - amount.units
        elif account.role in (Role.FREE, Role.HELD):
            has[code] = has.get(code, 0) + amount.units
    return [
        f"{sleeve.name}: has {has.get(code, 0)} units of {code}, owns {owned.get(code, 0)}"
        for code in sorted(owned | has)
        if has.get(code, 0) != owned.get(code, 0)
    ]


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
    books = vaults[0].books
    seen: dict[str, int] = {}
    booked: dict[str, int] = {}
    for record in books.journal:
        if isinstance(record, Fill):
            seen[record.key] = seen.get(record.key, 0) + 1
        elif isinstance(record, Entry) and record.kind is EntryKind.FILL:
            booked[record.ref] = booked.get(record.ref, 0) + 1
    twice = [f"fill {key} is booked {count} times" for key, count in booked.items() if count != 1]
    twice += [
        f"fill {key} is journaled {count} times and booked {booked.get(key, 0)}" for key, count in seen.items() if count != booked.get(key)
    ]
    return twice + [f"fill {key} is known but was never booked" for key in books.facts if key not in booked]


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
    ours, theirs = dict(books.ledger.accounts()), dict(again.accounts())
    pairs = {(account, amount) for account, amount in books.ledger.accounts()} ^ {(account, amount) for account, amount in again.accounts()}
    if pairs or len(ours) != len(theirs):
        breaches += [f"{account}: {amount} stands in one of ledger and journal only" for account, amount in sorted(pairs, key=str)]
    return breaches


def _rounding(vaults: Sequence[CoreVault]) -> list[str]:
    """No trade was booked better for the sleeve than its price says: a buyer pays at least it, a seller gets at most it."""
    breaches = []
    for record in vaults[0].books.journal:
        if isinstance(record, Fill):
            exact = record.instrument.cost(record.price, record.qty, Rounding.FLOOR if record.side is Side.BUY else Rounding.CEIL)
            if (record.side is Side.BUY and record.cost < exact) or (record.side is Side.SELL and record.cost > exact):
                breaches.append(f"fill {record.key}: {record.side} cost {record.cost} against {exact} at its price")
    return breaches
