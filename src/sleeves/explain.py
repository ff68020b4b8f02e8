"""Why a sleeve's equity went from what it was to what it is: a waterfall by cause, each line with its journal records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

from .fold import SleeveFold
from .ledger import FLOW_ROLES, SLEEVE_ROLES, Entry, EntryKind, Role
from .market import Instrument
from .markup import block, table
from .money import Amount, Asset
from .records import Marked, Opened, Record

__all__ = ["Line", "Waterfall", "causes_of", "explain", "explain_each"]

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
            rows.append(row("  " + line.cause, line.amount, _numbered(line.records)))
        rows.append(row(f"{self.sleeve}: equity at end", self.end, "adds up to the unit" if self.exact else ""))
        return "\n".join(rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines: list[list[object]] = [[line.cause, line.amount, _numbered(line.records)] for line in self.lines]
        rows: list[list[object]] = [["equity at start", self.start, ""], *lines, ["equity at end", self.end, ""]]
        exact = "The lines add up to the unit." if self.exact else "A position had no price then, so an equity is unknown."
        return block(f"Why {self.sleeve}'s equity is what it is", table(["", "amount", "records"], rows), notes=[exact])


def _numbered(records: tuple[int, ...]) -> str:
    first, count = records[0], len(records)
    return f"record {first}" if count == 1 else f"{count} records, {first} to {records[-1]}"


def explain(records: Iterable[Record], sleeve: str, asset: Asset, since: int | None = None, until: int | None = None) -> Waterfall:
    """Fold the journal: equity before `since`, what each cause did from then and before `until`, equity at the end.

    A window runs from the first record at or after `since` up to the first at or after `until`, so that windows join
    even where a fact was told late. Positions are valued at the last marks journaled before each instant.
    """
    return explain_each(records, {sleeve: asset}, since, until)[sleeve]


def explain_each(
    records: Iterable[Record], assets: Mapping[str, Asset], since: int | None = None, until: int | None = None
) -> dict[str, Waterfall]:
    """The same for several sleeves at once, by name, in one pass. `assets` says in which asset each is counted."""
    told = {name: _Told(SleeveFold(name, asset)) for name, asset in assets.items()}
    prices: dict[str, int] = {}
    instruments: dict[str, Instrument] = {}
    begun = since is None
    last_mark = 0
    for number, record in enumerate(records, 1):
        if until is not None and record.at >= until:
            break
        if not begun and since is not None and record.at >= since:
            begun = True
            for one in told.values():
                one.start(prices, instruments)
        if isinstance(record, Entry):
            for name in {account.owner: None for account, _, _ in record.postings}:
                if name in told:
                    told[name].take(record, number, begun)
        elif isinstance(record, Marked):
            prices.update({symbol: price for symbol, (price, _) in record.prices.items()})
            last_mark = number
        elif isinstance(record, Opened) and record.what == "instrument":
            instruments[record.name] = Instrument.from_terms(record.name, record.terms)
    if not begun:
        for one in told.values():
            one.start(prices, instruments)
    return {name: one.waterfall(since, until, prices, instruments, last_mark) for name, one in told.items()}


@define
class _Told:
    """What the journal has said of one sleeve so far."""

    fold: SleeveFold
    causes: dict[str, tuple[int, list[int]]] = field(factory=dict)
    start_unrealized: int | None = 0
    start_equity: int | None = 0

    def start(self, prices: Mapping[str, int], instruments: Mapping[str, Instrument]) -> None:
        self.start_unrealized, self.start_equity = self.fold.unrealized(prices, instruments), self.fold.equity(prices, instruments)

    def take(self, entry: Entry, number: int, begun: bool) -> None:
        """Take in an entry and, in the window, give each posting that changed the sleeve's balance to its cause."""
        self.fold.apply(entry)
        if begun:
            for cause, units in causes_of(entry, self.fold.name, self.fold.asset).items():
                total, numbers = self.causes.setdefault(cause, (0, []))
                numbers.append(number)
                self.causes[cause] = (total + units, numbers)

    def waterfall(
        self, since: int | None, until: int | None, prices: Mapping[str, int], instruments: Mapping[str, Instrument], last_mark: int
    ) -> Waterfall:
        asset, started = self.fold.asset, self.start_unrealized
        unrealized, equity = self.fold.unrealized(prices, instruments), self.fold.equity(prices, instruments)
        lines = [Line(cause, Amount(units, asset), tuple(numbers)) for cause, (units, numbers) in self.causes.items()]
        if started is not None and unrealized is not None and unrealized != started:
            lines.append(Line("unrealized", Amount(unrealized - started, asset), (last_mark,)))
        start = None if self.start_equity is None else Amount(self.start_equity, asset)
        end = None if equity is None else Amount(equity, asset)
        return Waterfall(self.fold.name, since, until, start, end, tuple(lines))


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
