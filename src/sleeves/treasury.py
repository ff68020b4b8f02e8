"""Several core vaults over one set of books, and the inventory of all they hold: idle against deployed.

Values need marks. A coin without one is "unknown", and so is every sum that it is part of; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from .books import Books
from .errors import VaultError
from .ledger import Role
from .market import SECOND, Mark
from .markup import block, table
from .money import Amount, Asset, Rounding
from .vault import CoreVault

__all__ = ["Holding", "Inventory", "Treasury"]


@frozen(order=False)
class Holding:
    """Coins of one asset in one place. `value` is in the vault's asset at a mark of `age_ns`; None is unknown."""

    vault: str
    sleeve: str
    engine: str
    place: str
    """idle, set aside, reserve, suspense, free, held, margin, on its way, unsettled, in transit, or unrealized of a contract."""
    amount: Amount
    value: Amount | None
    age_ns: int | None

    @property
    def deployed(self) -> bool:
        return bool(self.sleeve)


@frozen(order=False, repr=False)
class Inventory:
    """Everything that is held, at one instant."""

    at: int
    holdings: tuple[Holding, ...]

    def total(self, asset: Asset, *, deployed: bool | None = None) -> Amount:
        """All coins of an asset; with `deployed`, only those in sleeves (True) or outside of them (False)."""
        chosen = (h for h in self.holdings if h.amount.asset == asset and deployed in (None, h.deployed))
        return Amount(sum(h.amount.units for h in chosen), asset)

    def by(self, what: str) -> dict[str, dict[str, Amount | None]]:
        """Values by "asset", "engine", "sleeve" or "vault", each split by the asset that they are valued in.

        Raises `VaultError` for anything else.
        """
        if what not in ("asset", "engine", "sleeve", "vault"):
            raise VaultError(f"an inventory is split by asset, engine, sleeve or vault, not by {what!r}")
        sums: dict[str, dict[str, Amount | None]] = {}
        for holding in self.holdings:
            key = holding.amount.asset.code if what == "asset" else str(getattr(holding, what)) or "none"
            values = sums.setdefault(key, {})
            unit = holding.vault.rpartition(":")[2]
            known = holding.value
            if unit in values:
                before = values[unit]
                known = None if before is None or known is None else before + known
            values[unit] = known
        return sums

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per holding, for pandas, polars or a page."""
        return [
            {
                "vault": h.vault,
                "sleeve": h.sleeve,
                "engine": h.engine,
                "place": h.place,
                "asset": h.amount.asset.code,
                "amount": h.amount.text,
                "value": None if h.value is None else h.value.text,
                "valued_in": h.vault.rpartition(":")[2],
                "mark_age_s": None if h.age_ns is None else h.age_ns / SECOND,
            }
            for h in self.holdings
        ]

    def _lines(self) -> Iterator[tuple[str, ...]]:
        yield ("where", "engine", "place", "amount", "value", "mark age")
        for h in self.holdings:
            value = "unknown" if h.value is None else f"{h.value:,.2f} {h.value.asset}"
            age = "" if h.age_ns is None or not h.age_ns else f"{h.age_ns / SECOND:g} s"
            yield (h.sleeve or h.vault, h.engine, h.place, str(h.amount), value, age)

    def __str__(self) -> str:
        lines = list(self._lines())
        widths = [max(len(line[i]) for line in lines) for i in range(6)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for h in self.holdings:
            age = "" if h.value is not None and not h.age_ns else None if h.age_ns is None else f"{h.age_ns / SECOND:g} s"
            rows.append([h.sleeve or h.vault, h.engine, h.place, h.amount, h.value, age])
        missing = any(h.value is None for h in self.holdings)
        notes = ["unknown: no price has been seen that links this coin to the asset of its vault"] if missing else []
        return block("Inventory", table(["where", "engine", "place", "amount", "value", "mark age"], rows, words=3), notes=notes)


_PLACES = {
    Role.FREE: "free",
    Role.HELD: "held",
    Role.MARGIN: "margin",
    Role.BETWEEN: "on its way",
    Role.UNSETTLED: "unsettled",
    Role.IDLE: "idle",
    Role.RESERVED: "reserve",
    Role.SUSPENSE: "suspense",
    Role.IN_TRANSIT: "in transit",
    Role.CLIENT: "client money",
}


class Treasury:
    """Core vaults that share one set of books. Raises `VaultError` when they do not."""

    def __init__(self, *vaults: CoreVault) -> None:
        if not vaults:
            raise VaultError("a treasury needs at least one core vault")
        if not all(isinstance(vault, CoreVault) for vault in vaults):
            raise VaultError(f"a treasury is made of core vaults, not of {vaults[0]!r}")
        if any(vault.books is not vaults[0].books for vault in vaults):
            raise VaultError("these vaults keep different books: make one Books() and hand it to each CoreVault(..., books=books)")
        self.vaults = vaults

    @classmethod
    def reopen(cls, books: Books) -> Treasury:
        """The vaults of books that were opened on a journal with records: all sleeves stand as they stood.

        Raises `VaultError` when no vault was ever opened in them.
        """
        if not isinstance(books, Books):
            raise VaultError(f"a treasury is reopened from Books(journal), not from {books!r}")
        vaults = CoreVault.reopen(books)
        if not vaults:
            raise VaultError("no vault was opened in these books yet: open one, CoreVault(..., books=books)")
        return cls(*vaults)

    def __repr__(self) -> str:
        return f"Treasury({', '.join(vault.owner for vault in self.vaults)})"

    def _repr_html_(self) -> str:
        return "".join(vault._repr_html_() for vault in self.vaults)

    def __getitem__(self, asset: str) -> CoreVault:
        """The first vault of an asset, by its code."""
        for vault in self.vaults:
            if vault.asset.code == asset:
                return vault
        raise KeyError(f"no vault of {asset!r} here, but of {', '.join(vault.asset.code for vault in self.vaults)}")

    def inventory(self, marks: Mapping[str, Mark], *, now: int, engines: Mapping[str, str] | None = None) -> Inventory:
        """All coins of all vaults and sleeves, valued in their vault's asset at these marks (by symbol).

        `engines` names the engine of each sleeve. The age of a mark is counted from `now`.
        """
        engines = engines or {}
        holdings: list[Holding] = []
        for vault in self.vaults:
            holdings += self._holdings(vault, vault.owner, "", "", marks, now)
            for name in vault.sleeves:
                holdings += self._holdings(vault, name, name, engines.get(name, ""), marks, now)
        return Inventory(now, tuple(holdings))

    @staticmethod
    def _holdings(vault: CoreVault, owner: str, sleeve: str, engine: str, marks: Mapping[str, Mark], now: int) -> list[Holding]:
        sums: dict[tuple[str, Asset], int] = {}
        for account, amount in vault.books.ledger.accounts(owner):
            if account.role in _PLACES:
                place = "set aside" if account.role is Role.IDLE and account.of else _PLACES[account.role]
                sums[place, amount.asset] = sums.get((place, amount.asset), 0) + amount.units
        found = []
        for (place, asset), units in sums.items():
            if not units:
                continue
            value, age = _value(Amount(units, asset), vault.asset, marks, now)
            found.append(Holding(vault.owner, sleeve, engine, place, Amount(units, asset), value, age))
        if sleeve:
            found += _unrealized(vault, sleeve, engine, marks, now)
        return found


def _unrealized(vault: CoreVault, sleeve: str, engine: str, marks: Mapping[str, Mark], now: int) -> list[Holding]:
    """What each open contract has won or lost at its mark: a contract is no coin, and worth what it has made."""
    found = []
    for market in vault.sleeves[sleeve].contracts():
        part, mark = vault.sleeves[sleeve].slice(market), marks.get(market.symbol)
        made = None if mark is None else part.unrealized(mark)
        place, age = f"unrealized {market.symbol}", None if mark is None else now - mark.at
        found.append(Holding(vault.owner, sleeve, engine, place, vault.asset.zero if made is None else made, made, age))
    return found


def _value(amount: Amount, unit: Asset, marks: Mapping[str, Mark], now: int) -> tuple[Amount | None, int | None]:
    """What coins are worth in another asset, rounded down, at the freshest mark that links the two."""
    if amount.asset == unit:
        return amount, 0
    linked = [mark for mark in marks.values() if mark.instrument.base == amount.asset and mark.instrument.quote == unit]
    if not linked:
        return None, None
    mark = max(linked, key=lambda m: m.at)
    return mark.instrument.notional(mark.price, amount.units, Rounding.FLOOR), now - mark.at
