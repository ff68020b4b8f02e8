"""A journal put to the test as a whole: every record read, folded anew, and held against what it was opened with.

The chain says that nothing was changed; this says that what stands there can have happened: each entry balanced and
posted again, no fact, order or transfer twice, the latest snapshot and what follows it equal to the fold of all.
"""

from __future__ import annotations

import json
from collections import Counter

from attrs import Factory, frozen

from .errors import JournalError
from .journal import Journal
from .ledger import Entry, Role
from .money import Amount
from .progress import Progress, told
from .records import key_of
from .state import State
from .vault import of_client

__all__ = ["Verdict", "verify"]


@frozen(order=False, repr=False)
class Verdict:
    """What a journal holds, once it has passed."""

    records: int
    digest: str
    kinds: dict[str, int]
    totals: dict[str, Amount]
    """By core vault: all coins of its asset, those of its sleeves with open positions at cost; no clients' money."""
    snapshot: int | None
    """The record that the latest snapshot stands at, which was held against the fold of all."""
    clients: dict[str, Amount] = Factory(dict)
    """By core vault that has some: the money of investors that lies on its wallet, or is on its way from there."""

    def __str__(self) -> str:
        kinds = ", ".join(f"{times:,} {kind}" for kind, times in sorted(self.kinds.items()))
        lines = [f"{self.records:,} records hold: {kinds or 'nothing'}", f"digest {self.digest}"]
        lines += [f"{owner}: total {total}" for owner, total in self.totals.items()]
        lines += [f"{owner}: client money {total}" for owner, total in self.clients.items()]
        at = "none" if self.snapshot is None else f"at record {self.snapshot:,}, and what follows it is the fold of all records"
        return "\n".join([*lines, f"snapshot: {at}"])

    __repr__ = __str__


def verify(journal: Journal, *, progress: Progress = None) -> Verdict:
    """Read and fold a whole journal. Raises `JournalError` with the number of the first record that cannot stand there.

    The chain is checked by whoever opened the journal. Takes some 20 seconds for a million records; `progress` says how far
    it is, by default as a bar where that is long.
    """
    state, kinds, keys = State(), Counter[str](), set[str]()
    loaded = journal.load()
    kept = None if loaded is None else State.load(loaded[1])
    for number, record in enumerate(told(journal, "records", progress), 1):
        key = key_of(record)
        if key is not None and key in keys:
            raise JournalError(f"journal record {number}: {key} is journaled twice")
        if key is not None:
            keys.add(key)
        kinds[type(record).__name__] += 1
        State.fold([record], state)
        if isinstance(record, Entry) and not record.by:
            raise JournalError(f"journal record {number} names nobody")
        if kept is not None and loaded is not None and number > loaded[0]:
            kept.apply(record)
    if state.count != len(journal):
        raise JournalError(f"{state.count} records could be read of a journal of {len(journal)}")
    if kept is not None and _figures(kept) != _figures(state):
        raise JournalError(f"the snapshot at record {loaded[0] if loaded else 0} with what follows it is not the fold of all records")
    unbalanced = {asset.code: units for asset, units in state.ledger.trial_balance().items() if units}
    if unbalanced:
        raise JournalError(f"all accounts do not sum to zero: {unbalanced}")
    totals, clients = _totals(state), _clients(state)
    return Verdict(len(journal), journal.digest(), dict(kinds), totals, None if loaded is None else loaded[0], clients)


def _figures(state: State) -> object:
    """A state without the order in which its accounts were opened."""
    body = json.loads(state.dump())
    return body | {"ledger": {part: sorted(cells) for part, cells in body["ledger"].items()}}


def _totals(state: State) -> dict[str, Amount]:
    sums = dict.fromkeys(state.vaults, 0)
    homes = {owner: owner for owner in state.vaults} | {name: one.vault for name, one in state.sleeves.items()}
    for account, amount in state.ledger.accounts():
        home = homes.get(account.owner)
        if home is not None and amount.asset == state.vaults[home].asset and account.role in _OWN and not of_client(account):
            sums[home] += amount.units
    return {owner: Amount(units, state.vaults[owner].asset) for owner, units in sums.items()}


def _clients(state: State) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for account, amount in state.ledger.accounts():
        if account.owner in state.vaults and amount.units and of_client(account):
            found[account.owner] = found.get(account.owner, amount.asset.zero) + amount
    return found


_OWN = frozenset(
    {
        Role.FREE,
        Role.HELD,
        Role.MARGIN,
        Role.BETWEEN,
        Role.UNSETTLED,
        Role.TRADING,
        Role.CONTRACTS,
        Role.IDLE,
        Role.RESERVED,
        Role.SUSPENSE,
        Role.IN_TRANSIT,
    }
)
