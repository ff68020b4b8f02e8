"""One sleeve's figures as a fold over the journal's records, with no look at the live ledger.

`explain` and `report` read the books this way, so that what they show is what was written.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from .ledger import Entry, EntryKind, Role
from .market import Instrument
from .money import Asset, Rounding

__all__ = ["SleeveFold"]


_CASH = frozenset({Role.FREE, Role.HELD, Role.UNSETTLED, Role.MARGIN, Role.BETWEEN})


@define
class SleeveFold:
    """What entries have made of one sleeve so far, in units of its vault's asset; positions in base units by symbol."""

    name: str
    asset: Asset
    cash: int = 0
    """Free, held, set aside as margin and unsettled."""
    cost: int = 0
    """What open positions cost in coins; contracts cost nothing."""
    realized: int = 0
    fees: int = 0
    funding: int = 0
    paid_in: int = 0
    taken_out: int = 0
    flows: dict[EntryKind, int] = field(factory=dict)
    """Money from and to the core vault, by kind of entry."""
    positions: dict[str, int] = field(factory=dict)
    costs: dict[str, int] = field(factory=dict)

    def apply(self, entry: Entry) -> None:
        """Take in one entry; others' postings are passed over."""
        name, code = self.name, self.asset.code
        change = 0
        for (owner, role, of), asset, units in entry.postings:
            if owner != name:
                continue
            if asset.code == code:
                if role in _CASH:
                    self.cash += units
                elif role is Role.CONTRACTS:
                    self.cost += units
                elif role is Role.TRADING:
                    self.cost += units
                    self.costs[of] = self.costs.get(of, 0) + units
                elif role is Role.PNL:
                    self.realized -= units
                elif role is Role.FEES:
                    self.fees += units
                elif role is Role.FUNDING:
                    self.funding -= units
                else:
                    continue
                change += units
            elif role is Role.TRADING:
                self.positions[of] = self.positions.get(of, 0) - units
        if change:
            self.flows[entry.kind] = self.flows.get(entry.kind, 0) + change
            if change > 0:
                self.paid_in += change
            else:
                self.taken_out -= change

    @property
    def balance(self) -> int:
        """Cash and open positions at cost."""
        return self.cash + self.cost

    @property
    def capital(self) -> int:
        """All that came from the core vault, net."""
        return sum(self.flows.values())

    @property
    def allocation(self) -> int:
        return self.flows.get(EntryKind.ALLOCATE, 0) + self.flows.get(EntryKind.RECLAIM, 0)

    @property
    def returned(self) -> int:
        return -self.flows.get(EntryKind.SWEEP, 0)

    def unrealized(self, prices: Mapping[str, int], instruments: Mapping[str, Instrument]) -> int | None:
        """Open positions at these prices less their cost, each rounded down; None when one has no price."""
        total = 0
        for symbol, qty in self.positions.items():
            if qty:
                if symbol not in prices or symbol not in instruments:
                    return None
                total += instruments[symbol].cost(prices[symbol], qty, Rounding.FLOOR) - self.costs.get(symbol, 0)
        return total

    def equity(self, prices: Mapping[str, int], instruments: Mapping[str, Instrument]) -> int | None:
        unrealized = self.unrealized(prices, instruments)
        return None if unrealized is None else self.balance + unrealized
