"""What a trial comes to: figures that are taken off a report where the trial ran, so that no journal travels.

Money is an `Amount`, exact; counts are whole numbers. It knows nothing of how trials are sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ..daybook import Daybook, Note, mark_of
from ..errors import VaultError
from ..journal import Memory
from ..ledger import Entry, EntryKind, Role
from ..market import Instrument
from ..money import Amount, Asset, Rounding
from ..orders import Fill, Side
from ..records import Marked
from ..report import Report
from ..vault import Sleeve

__all__ = ["Figure", "Measure", "checked", "figures", "totals"]

Figure = Amount | Decimal | int | float | str | bool | None
"""What a figure may be; None for one that is not known."""
Measure = Callable[[Report], Mapping[str, Figure]]
"""Takes the figures of a trial off its report, by name."""


def totals(report: Report) -> dict[str, Figure]:
    """Profit, equity, fees, funding and what was swept back, of all sleeves together: read off the books, whatever the journal's length.

    `profit` is what trading made, after fees and with open positions at the last prices; None, as `equity`, where one has no
    price. With sleeves in several assets each figure is there for each of them: "profit USD", "profit SOL".
    """
    found: dict[str, Figure] = {}
    marks = report.desk.marks()  # type: ignore[attr-defined]  # a Desk has them
    by_asset = _by_asset(report)
    for asset, sleeves in by_asset.items():
        for name, figure in _of(asset, sleeves, marks).items():
            found[name if len(by_asset) == 1 else f"{name} {asset.code}"] = figure
    return found


def figures(report: Report) -> dict[str, Figure]:
    """What `totals` says; the number of fills; and `drawdown`, the deepest fall of the profit from its high before, at marks.

    The fall is money, exact, and starts from a profit of zero: what is paid in or swept back does not change it. None where a mark
    misses a price. It takes one pass over the journal.
    """
    found = totals(report)
    by_asset = _by_asset(report)
    books = report.desk.books
    falls = _Falls(by_asset, books.instruments).fold(books.journal)
    for asset in by_asset:
        fall = falls.deepest[asset.code]
        found["drawdown" if len(by_asset) == 1 else f"drawdown {asset.code}"] = None if fall is None else Amount(fall, asset)
    return {**found, "fills": falls.fills}


def checked(given: object) -> dict[str, Figure]:
    """The figures of a measure, if they are such. Raises `VaultError`, which names the one that is none."""
    if not isinstance(given, Mapping):
        raise VaultError(f"a measure gives figures by name, not a {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str):
            raise VaultError(f"a figure has a name, not {name!r}")
        if value is not None and type(value) not in (Amount, Decimal, int, float, str, bool):
            raise VaultError(f"the figure {name} is a {type(value).__name__}: give an Amount, a number, text, or None")
    return dict(given)


def _by_asset(report: Report) -> dict[Asset, list[Sleeve]]:
    found: dict[Asset, list[Sleeve]] = {}
    for vault in report.desk.treasury.vaults:  # type: ignore[attr-defined]  # a Desk has it
        for sleeve in vault.sleeves.values():
            found.setdefault(sleeve.asset, []).append(sleeve)
    return found


def _of(asset: Asset, sleeves: list[Sleeve], marks: Mapping[str, object]) -> dict[str, Figure]:
    def total(units: list[int]) -> Amount:
        return Amount(sum(units), asset)

    open_ones = [sleeve.unrealized(marks) for sleeve in sleeves]  # type: ignore[arg-type]
    unrealized = None if any(one is None for one in open_ones) else total([one.units for one in open_ones if one is not None])
    realized, fees = total([s.realized.units for s in sleeves]), total([s.fees.units for s in sleeves])
    funding, balance = total([s.funding.units for s in sleeves]), total([s.balance.units for s in sleeves])
    return {
        "profit": None if unrealized is None else realized + unrealized - fees + funding,
        "equity": None if unrealized is None else balance + unrealized,
        "fees": fees,
        "funding": funding,
        "returned": total([s.returned.units for s in sleeves]),
    }


class _Standing:
    """What one sleeve has paid and been paid in trading so far, and what it owns, in units."""

    __slots__ = ("asset", "cash", "owned")

    def __init__(self, asset: str) -> None:
        self.asset = asset
        self.cash = 0
        self.owned: dict[str, int] = {}


_TRADING = Role.TRADING
_MADE = frozenset({Role.PNL, Role.FEES, Role.FUNDING, _TRADING})
"""What an entry adds to these came out of trading: what a position cost is part of it, and its worth is set against that."""
_HOLDS = frozenset({EntryKind.HOLD, EntryKind.RELEASE})
"""They move coins that are set aside for orders, and make nothing."""


class _Falls:
    """The number of fills, and by asset the deepest fall of the profit at marks, as a fold over records and notes."""

    def __init__(self, by_asset: Mapping[Asset, list[Sleeve]], markets: Mapping[str, Instrument]) -> None:
        self.fills = 0
        self.deepest: dict[str, int | None] = {asset.code: 0 for asset in by_asset}
        self._high = {asset.code: 0 for asset in by_asset}
        self._standing = {sleeve.name: _Standing(asset.code) for asset, sleeves in by_asset.items() for sleeve in sleeves}
        self._markets = markets
        self._prices: dict[str, int] = {}

    def fold(self, journal: Any) -> _Falls:
        """Read the journal. What a fast replay noted is read as it was noted, and not written out for this."""
        order = Daybook.order
        kept = journal.kept if isinstance(journal, Memory) else journal
        for one in kept:
            kind = type(one)
            if kind is tuple:
                writes = one[0]
                if writes is mark_of:
                    self._prices[one[2]] = one[3]
                    self._mark()
                elif writes.__func__ is not order:
                    self._noted(writes.__self__, one)
            elif kind is Entry:
                if one.kind not in _HOLDS:
                    self._entry(one)
            elif kind is Fill:
                self.fills += 1
            elif kind is Marked:
                self._prices.update({symbol: price for symbol, (price, _) in one.prices.items()})
                self._mark()
        return self

    def _noted(self, daybook: Daybook, note: Note) -> None:
        place, cost, fee = note[3], note[5], note[6]
        standing, symbol = self._standing[daybook.sleeve], daybook.market.symbol
        self.fills += 1
        if place.side is Side.BUY:
            standing.cash -= cost + fee
            standing.owned[symbol] = standing.owned.get(symbol, 0) + place.qty
        else:
            standing.cash += cost - fee
            standing.owned[symbol] = standing.owned.get(symbol, 0) - place.qty

    def _entry(self, entry: Entry) -> None:
        for (owner, role, of), asset, units in entry.postings:
            if role in _MADE:
                one = self._standing.get(owner)
                if one is None:
                    continue
                if asset.code == one.asset:
                    one.cash -= units
                elif role is _TRADING:
                    one.owned[of] = one.owned.get(of, 0) - units

    def _mark(self) -> None:
        profit: dict[str, int | None] = dict.fromkeys(self._high, 0)
        for one in self._standing.values():
            so_far, worth = profit[one.asset], self._worth(one)
            profit[one.asset] = None if so_far is None or worth is None else so_far + one.cash + worth
        for asset, net in profit.items():
            before = self.deepest[asset]
            if net is None or before is None:
                self.deepest[asset] = None
                continue
            if net > self._high[asset]:
                self._high[asset] = net
            elif self._high[asset] - net > before:
                self.deepest[asset] = self._high[asset] - net

    def _worth(self, one: _Standing) -> int | None:
        """Open positions at these prices, each rounded down; None when one has no price."""
        total = 0
        for symbol, qty in one.owned.items():
            if qty:
                price = self._prices.get(symbol)
                if price is None:
                    return None
                total += self._markets[symbol].cost(price, qty, Rounding.FLOOR)
        return total
