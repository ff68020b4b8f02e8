"""Why a sleeve's equity went from what it was to what it is: a waterfall by cause, each line with its journal records."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from .fold import SleeveFold
from .ledger import FLOW_ROLES, SLEEVE_ROLES, Entry, EntryKind, Role
from .market import Instrument
from .money import Amount, Asset
from .records import Marked, Opened, Record

__all__ = ["Line", "Waterfall", "causes_of", "explain"]

_OWN = FLOW_ROLES & SLEEVE_ROLES
_FLOWS = {EntryKind.ALLOCATE: "allocated", EntryKind.RECLAIM: "reclaimed", EntryKind.SWEEP: "swept to Tradeable"}


@frozen(order=False)
class Line:
    """One cause: what it did to the equity, and the numbers (from 1) of the journal records that did it."""

    cause: str
    amount: Amount
    records: tuple[int, ...]


@frozen(order=False, repr=False)
class Waterfall:
    """Start, causes, end. `start` and `end` are None when a position had no mark then; so is the unrealized line."""

    sleeve: str
    since: int | None
    until: int | None
    start: Amount | None
    end: Amount | None
    lines: tuple[Line, ...]

    @property
    def exact(self) -> bool:
        """Whether the start and all causes add up to the end, to the unit."""
        if self.start is None or self.end is None:
            return False
        return self.start.units + sum(line.amount.units for line in self.lines) == self.end.units

    def __str__(self) -> str:
        def row(label: str, amount: Amount | None, note: str = "") -> str:
            return f"{label:<32}{'unknown' if amount is None else f'{amount:,.2f}':>16}  {note}".rstrip()

        rows = [row(f"{self.sleeve}: equity at start", self.start)]
        for line in self.lines:
            first, count = line.records[0], len(line.records)
            note = f"record {first}" if count == 1 else f"{count} records, {first} to {line.records[-1]}"
            rows.append(row("  " + line.cause, line.amount, note))
        rows.append(row(f"{self.sleeve}: equity at end", self.end, "adds up to the unit" if self.exact else ""))
        return "\n".join(rows)

    __repr__ = __str__


def explain(records: Iterable[Record], sleeve: str, asset: Asset, since: int | None = None, until: int | None = None) -> Waterfall:
    """Fold the journal: equity before `since`, what each cause did from then and before `until`, equity at the end.

    A window runs from the first record at or after `since` up to the first at or after `until`, so that windows join
    even where a fact was told late. Positions are valued at the last marks journaled before each instant.
    """
    fold = SleeveFold(sleeve, asset)
    prices: dict[str, int] = {}
    instruments: dict[str, Instrument] = {}
    causes: dict[str, tuple[int, list[int]]] = {}
    start_unrealized: int | None = 0
    start_equity: int | None = 0
    begun = since is None
    last_mark = 0
    for number, record in enumerate(records, 1):
        if until is not None and record.at >= until:
            break
        if not begun and since is not None and record.at >= since:
            begun = True
            start_unrealized, start_equity = fold.unrealized(prices, instruments), fold.equity(prices, instruments)
        if isinstance(record, Entry):
            fold.apply(record)
            if begun:
                _attribute(record, number, fold, causes)
        elif isinstance(record, Marked):
            prices.update({symbol: price for symbol, (price, _) in record.prices.items()})
            last_mark = number
        elif isinstance(record, Opened) and record.what == "instrument":
            instruments[record.name] = Instrument.from_terms(record.name, record.terms)
    if not begun:
        start_unrealized, start_equity = fold.unrealized(prices, instruments), fold.equity(prices, instruments)
    end_unrealized, end_equity = fold.unrealized(prices, instruments), fold.equity(prices, instruments)
    lines = [Line(cause, Amount(units, asset), tuple(numbers)) for cause, (units, numbers) in causes.items()]
    if start_unrealized is not None and end_unrealized is not None and end_unrealized != start_unrealized:
        lines.append(Line("unrealized", Amount(end_unrealized - start_unrealized, asset), (last_mark,)))
    start = None if start_equity is None else Amount(start_equity, asset)
    end = None if end_equity is None else Amount(end_equity, asset)
    return Waterfall(sleeve, since, until, start, end, tuple(lines))


def causes_of(entry: Entry, sleeve: str, asset: Asset) -> dict[str, int]:
    """What an entry did to a sleeve's balance, in units of its asset by cause: "realized BTC/USD", "fees BTC/USD", "allocated".

    Their sum is the change of the balance, open positions at cost.
    """
    found: dict[str, int] = {}
    flow = 0
    for (owner, role, of), paid, units in entry.postings:
        if owner != sleeve or paid != asset:
            continue
        if role is Role.PNL:
            found[f"realized {of}"] = found.get(f"realized {of}", 0) - units
        elif role is Role.FEES:
            found[f"fees {of}"] = found.get(f"fees {of}", 0) - units
        elif role is Role.FUNDING:
            found[f"funding {of}"] = found.get(f"funding {of}", 0) - units
        if role in _OWN:
            flow += units
    if flow:
        found[_FLOWS.get(entry.kind, str(entry.kind))] = flow
    return found


def _attribute(entry: Entry, number: int, fold: SleeveFold, causes: dict[str, tuple[int, list[int]]]) -> None:
    """Give each posting of the entry that changed the sleeve's balance to its cause."""
    for cause, units in causes_of(entry, fold.name, fold.asset).items():
        total, numbers = causes.setdefault(cause, (0, []))
        numbers.append(number)
        causes[cause] = (total + units, numbers)
