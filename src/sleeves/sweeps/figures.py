"""What a trial comes to: figures that are taken off a report where the trial ran, so that no journal travels.

Money is an `Amount`, exact; counts are whole numbers. It knows nothing of how trials are sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from ..errors import VaultError
from ..ledger import Entry, EntryKind, Role
from ..money import Amount, Asset, Rounding
from ..orders import Fill
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
    fills, falls = _falls(report, by_asset)
    for asset in by_asset:
        fall = falls[asset.code]
        found["drawdown" if len(by_asset) == 1 else f"drawdown {asset.code}"] = None if fall is None else Amount(fall, asset)
    return {**found, "fills": fills}


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
    """What one sleeve has made so far, and what it owns, in units."""

    __slots__ = ("asset", "costs", "made", "owned")

    def __init__(self, asset: str) -> None:
        self.asset = asset
        self.made = 0
        self.owned: dict[str, int] = {}
        self.costs: dict[str, int] = {}


_MADE = frozenset({Role.PNL, Role.FEES, Role.FUNDING})
_HOLDS = frozenset({EntryKind.HOLD, EntryKind.RELEASE})
"""They move coins that are set aside for orders, and make nothing."""


def _falls(report: Report, by_asset: Mapping[Asset, list[Sleeve]]) -> tuple[int, dict[str, int | None]]:
    """The number of fills, and by asset the deepest fall of the profit at marks."""
    standing = {sleeve.name: _Standing(asset.code) for asset, sleeves in by_asset.items() for sleeve in sleeves}
    markets = report.desk.books.instruments
    prices: dict[str, int] = {}
    high = {asset.code: 0 for asset in by_asset}
    deepest: dict[str, int | None] = {asset.code: 0 for asset in by_asset}
    fills = 0
    for record in report.desk.books.journal:
        kind = type(record)
        if kind is Entry:
            if record.kind not in _HOLDS:
                _apply(record, standing)
        elif kind is Fill:
            fills += 1
        elif kind is Marked:
            prices.update({symbol: price for symbol, (price, _) in record.prices.items()})
            profit: dict[str, int | None] = dict.fromkeys(high, 0)
            for one in standing.values():
                so_far, worth = profit[one.asset], _worth(one, prices, markets)
                profit[one.asset] = None if so_far is None or worth is None else so_far + one.made + worth
            for asset, net in profit.items():
                before = deepest[asset]
                if net is None or before is None:
                    deepest[asset] = None
                    continue
                high[asset] = max(high[asset], net)
                deepest[asset] = max(before, high[asset] - net)
    return fills, deepest


def _apply(entry: Entry, standing: Mapping[str, _Standing]) -> None:
    for (owner, role, of), asset, units in entry.postings:
        if role in _MADE:
            one = standing.get(owner)
            if one is not None and asset.code == one.asset:
                one.made -= units
        elif role is Role.TRADING:
            one = standing.get(owner)
            if one is None:
                continue
            if asset.code == one.asset:
                one.costs[of] = one.costs.get(of, 0) + units
            else:
                one.owned[of] = one.owned.get(of, 0) - units


def _worth(one: _Standing, prices: Mapping[str, int], markets: Mapping[str, object]) -> int | None:
    """Open positions at these prices less what they cost, each rounded down; None when one has no price."""
    total = 0
    for symbol, qty in one.owned.items():
        if qty:
            price = prices.get(symbol)
            if price is None:
                return None
            total += markets[symbol].cost(price, qty, Rounding.FLOOR) - one.costs.get(symbol, 0)  # type: ignore[attr-defined]
    return total
