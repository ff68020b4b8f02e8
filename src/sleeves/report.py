"""What a run came to, as a fold over its journal: per sleeve and per vault, as text, as HTML, as plain rows.

A report reads records, not live objects, so it can be made of any journal. Returns are flow-aware: an allocation or a
sweep is never a profit or a loss. Drawdown and ratios are measured at the journal's marks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attrs import define, field, frozen

from .errors import MissingExtra, VaultError
from .explain import Waterfall, explain
from .facts import Liquidated
from .fold import SleeveFold
from .ledger import INTERNAL, Entry, EntryKind, Role
from .market import DAY, FundingRate, Instrument
from .money import Amount, Asset, Rounding, divide
from .orders import Fill, OrderStatus, Position
from .proof import Proof
from .records import INSIDE, LEFT_OVER, Alert, Marked, Opened, OrderUpdate, Record, Refusal
from .risk import drawdown, returns, sharpe, sortino
from .vault import Sleeve, of_client

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Report", "Sample", "SleeveStory", "Trade", "VaultSample", "VaultStory", "fold"]


class Sample(NamedTuple):
    """A sleeve at a mark or beside a transfer, in units; `paid_in` and `taken_out` are sums since it was opened."""

    at: int
    balance: int
    equity: int | None
    realized: int
    unrealized: int | None
    fees: int
    returned: int
    paid_in: int
    taken_out: int


class VaultSample(NamedTuple):
    """One mark of a vault, in units."""

    at: int
    total: int
    tradeable: int
    idle_and_reserve: int
    suspense: int


@frozen(order=False)
class Trade:
    """One round trip of a sleeve in an instrument, from flat to flat. `net` is what it made after all its fees."""

    sleeve: str
    symbol: str
    opened: int
    closed: int
    net: Amount
    fees: Amount
    fills: int


@define
class _Open:
    """A round trip under way."""

    at: int
    net: int = 0
    fees: int = 0
    fills: int = 0


@define
class SleeveStory:
    """All that the journal says of one sleeve."""

    fold: SleeveFold
    vault: str
    policy: str
    engine: str = ""
    idle: str = ""
    """Why its engine cannot trade at all, or nothing."""
    watches: list[str] = field(factory=list)
    samples: list[Sample] = field(factory=list)
    shown_from: int = 0
    """The number of samples before the first mark: pictures begin there."""
    trades: list[Trade] = field(factory=list)
    refusals: dict[str, int] = field(factory=dict)
    lost: dict[str, int] = field(factory=dict)
    """Orders that the venue rejected, or canceled unasked, by reason."""
    crossed: int = 0
    """Fills that were traded inside, with another sleeve."""
    swept: list[tuple[int, int]] = field(factory=list)
    """(at, units) of each sweep."""
    fills: int = 0
    _open: dict[str, _Open] = field(factory=dict)

    def amount(self, units: int) -> Amount:
        return Amount(units, self.fold.asset)


@define
class VaultStory:
    """All that the journal says of one core vault."""

    owner: str
    asset: Asset
    coins: int = 0
    tradeable: int = 0
    suspense: int = 0
    sleeves: list[str] = field(factory=list)
    samples: list[VaultSample] = field(factory=list)


@define
class Story:
    """The fold of a whole journal."""

    sleeves: dict[str, SleeveStory] = field(factory=dict)
    vaults: dict[str, VaultStory] = field(factory=dict)
    instruments: dict[str, Instrument] = field(factory=dict)
    prices: dict[str, int] = field(factory=dict)
    fills: list[tuple[str, Fill]] = field(factory=list)
    alerts: list[Alert] = field(factory=list)
    since: int | None = None
    marked: int | None = None
    until: int = 0


_OWN_REASONS = frozenset({"requested", LEFT_OVER})
"""Why orders are off that nobody lost."""


def fold(records: Iterable[Record]) -> Story:
    """Read a journal from its first record to its last."""
    story = Story()
    last: Fill | Liquidated | None = None
    for record in records:
        story.until = max(story.until, record.at)
        if isinstance(record, Entry):
            _entry(story, record, last)
        elif isinstance(record, (Fill, Liquidated)):
            last = record
        elif isinstance(record, Marked):
            _marked(story, record)
        elif isinstance(record, Refusal):
            refusals = story.sleeves[record.sleeve].refusals
            refusals[record.reason] = refusals.get(record.reason, 0) + record.times
        elif isinstance(record, OrderUpdate):
            if record.status in (OrderStatus.CANCELED, OrderStatus.REJECTED) and record.reason not in _OWN_REASONS:
                lost = story.sleeves[record.order_id.rpartition("-")[0]].lost
                lost[f"{record.status}: {record.reason}"] = lost.get(f"{record.status}: {record.reason}", 0) + 1
        elif isinstance(record, Opened):
            _opened(story, record)
        elif isinstance(record, Alert):
            story.alerts.append(record)
    return story


def _opened(story: Story, record: Opened) -> None:
    if record.what == "instrument":
        story.instruments[record.name] = Instrument.from_terms(record.name, record.terms)
    elif record.what == "vault":
        code, _, scale = record.terms["asset"].rpartition(":")
        story.vaults[record.name] = VaultStory(record.name, Asset(code, int(scale)))
    elif record.what == "sleeve":
        vault = story.vaults[record.terms["vault"]]
        vault.sleeves.append(record.name)
        story.sleeves[record.name] = SleeveStory(SleeveFold(record.name, vault.asset), vault.owner, record.terms["policy"])
    elif record.what == "engine":
        sleeve = story.sleeves[record.terms["sleeve"]]
        sleeve.engine, sleeve.idle, sleeve.watches = record.name, record.terms.get("idle", ""), record.terms.get("watches", "").split()


_CORE = frozenset({Role.IDLE, Role.RESERVED, Role.SUSPENSE, Role.IN_TRANSIT})


def _entry(story: Story, entry: Entry, fill: Fill | Liquidated | None) -> None:
    touched = None
    for account, asset, units in entry.postings:
        owner, role, _ = account
        vault = story.vaults.get(owner)
        if vault is not None:
            if asset.code == vault.asset.code:
                if role in _CORE and not of_client(account):
                    vault.coins += units
                    if role is Role.SUSPENSE:
                        vault.suspense += units
                elif role is Role.TRADEABLE:
                    vault.tradeable += units
        elif owner in story.sleeves:
            touched = owner
    if touched is None:
        return
    sleeve = story.sleeves[touched]
    before = sleeve.fold.realized - sleeve.fold.fees, sleeve.fold.fees, sleeve.fold.returned
    moved = _moved(story, sleeve, entry, fill)
    transfer = entry.kind not in INTERNAL
    if transfer:
        _sample(story, sleeve, entry.at)
    sleeve.fold.apply(entry)
    if transfer:
        _sample(story, sleeve, entry.at)
    if entry.kind in (EntryKind.FILL, EntryKind.LIQUIDATION) and fill is not None:
        made = sleeve.fold.realized - sleeve.fold.fees - before[0]
        if isinstance(fill, Fill):
            story.fills.append((sleeve.fold.name, fill))
            sleeve.crossed += fill.venue == INSIDE
            sleeve.fills += 1
        if story.since is None:
            story.since = fill.at
        fees = sleeve.fold.fees - before[1]
        for n, (market, owned) in enumerate(moved):  # what it made, and its fee, belong to one trip: that of the first
            _trip(sleeve, market, fill.at, owned, 0 if n else made, 0 if n else fees)
    elif entry.kind is EntryKind.SWEEP:
        sleeve.swept.append((entry.at, sleeve.fold.returned - before[2]))


def _moved(story: Story, sleeve: SleeveStory, entry: Entry, fill: Fill | Liquidated | None) -> list[tuple[Instrument, int]]:
    """Which positions a trade changes, with what each was before: those that it closes first.

    Mostly that of its own market; others where coins that were bought elsewhere are sold, or one is traded for another.
    """
    if fill is None or entry.kind not in (EntryKind.FILL, EntryKind.LIQUIDATION):
        return []
    touched: dict[str, int] = {}
    for (_, role, of), asset, units in entry.postings:
        if role is Role.TRADING and asset == story.instruments[of].base:
            touched[of] = touched.get(of, 0) - units
    if len(touched) <= 1 and fill.instrument.symbol in (touched or {fill.instrument.symbol: 0}):
        return [(fill.instrument, sleeve.fold.positions.get(fill.instrument.symbol, 0))]
    moved = [(story.instruments[symbol], sleeve.fold.positions.get(symbol, 0), change) for symbol, change in touched.items() if change]
    return [(market, owned) for market, owned, change in sorted(moved, key=lambda one: one[1] * one[2] >= 0)]


def _trip(sleeve: SleeveStory, market: Instrument, at: int, owned: int, made: int, fees: int) -> None:
    """Add a trade to the round trip that it belongs to, and close the trip when nothing is left that could be traded.

    `owned` is the position before it. A trade of contracts that turns a position ends one trip and begins another: its
    fee is shared by size, rounded against the one that ends; all else that it made was made by the one that ends.
    """
    left = sleeve.fold.positions.get(market.symbol, 0)
    turned = market.contract is not None and left * owned < 0
    paid = divide(fees * abs(owned), abs(owned) + abs(left), Rounding.CEIL) if turned else fees
    trip = sleeve._open.setdefault(market.symbol, _Open(at))
    trip.net += made + fees - paid
    trip.fees += paid
    trip.fills += 1
    closes = owned * (left - owned) < 0
    if closes and (turned or abs(left) < max(market.lot_units, market.min_qty_units)):
        del sleeve._open[market.symbol]
        sleeve.trades.append(
            Trade(sleeve.fold.name, market.symbol, trip.at, at, sleeve.amount(trip.net), sleeve.amount(trip.fees), trip.fills)
        )
    if turned:
        sleeve._open[market.symbol] = _Open(at, paid - fees, fees - paid, 1)


def _sample(story: Story, sleeve: SleeveStory, at: int) -> None:
    """Note the sleeve's figures: at each mark, and before and after each transfer, so that returns are time-weighted."""
    f = sleeve.fold
    unrealized = f.unrealized(story.prices, story.instruments)
    equity = None if unrealized is None else f.balance + unrealized
    sleeve.samples.append(Sample(at, f.balance, equity, f.realized, unrealized, f.fees, f.returned, f.paid_in, f.taken_out))


def _marked(story: Story, record: Marked) -> None:
    story.prices.update({symbol: price for symbol, (price, _) in record.prices.items()})
    if story.marked is None:
        story.marked = record.at
        for sleeve in story.sleeves.values():
            sleeve.shown_from = len(sleeve.samples)
    for sleeve in story.sleeves.values():
        _sample(story, sleeve, record.at)
    for vault in story.vaults.values():
        total = vault.coins + sum(story.sleeves[name].fold.balance for name in vault.sleeves)
        vault.samples.append(VaultSample(record.at, total, vault.tradeable, vault.coins - vault.suspense, vault.suspense))


class _Described(Protocol):
    def describe(self) -> list[str]: ...


class _Desk(Protocol):
    """What a report asks of a desk."""

    @property
    def books(self) -> Any: ...

    def check(
        self, holdings: Mapping[str, Amount] | None = None, *, positions: Mapping[str, Position] | None = None, deep: bool = False
    ) -> Proof: ...


class Report:
    """The result of a run. Print it, show it in a notebook, take its rows, or save it as one HTML file with pictures.

    `tape` (one, or a tuple of them), `rules`, `holdings` and `positions` (the venue's own balances and contracts) are what
    the run knows besides the journal. `bounds` runs it again under the pessimistic and the optimistic rules.
    """

    def __init__(
        self,
        desk: _Desk,
        *,
        tape: Any = None,
        rules: _Described | None = None,
        holdings: Mapping[str, Amount] | None = None,
        positions: Mapping[str, Position] | None = None,
        bounds: Callable[[], tuple[Report, Report] | str] | None = None,
    ) -> None:
        self.desk = desk
        self.tape = tape
        self.rules = rules
        self.holdings = holdings
        self.positions = positions
        self._bounds = bounds

    @cached_property
    def bounds(self) -> tuple[Report, Report] | str:
        """The same run under the pessimistic and the optimistic rules, run now; or why there is none."""
        return "this report was made without bounds" if self._bounds is None else self._bounds()

    def _bounded(self) -> list[tuple[str, Report]]:
        bounds = self.bounds
        return [] if isinstance(bounds, str) else [("pessimistic", bounds[0]), ("optimistic", bounds[1])]

    @property
    def tapes(self) -> tuple[Any, ...]:
        """The tapes of the run, none or more."""
        return () if self.tape is None else self.tape if isinstance(self.tape, tuple) else (self.tape,)

    @cached_property
    def story(self) -> Story:
        return fold(self.desk.books.journal)

    @cached_property
    def proof(self) -> Proof:
        """The laws of the books at the end of the run, checked in depth and, where known, against the venue."""
        return self.desk.check(self.holdings, positions=self.positions, deep=True)

    def explain(self, sleeve: str | Sleeve) -> Waterfall:
        """Why the sleeve's equity is what it is, by cause. Raises `VaultError` for a sleeve that is not in the journal."""
        name = sleeve if isinstance(sleeve, str) else sleeve.name
        if name not in self.story.sleeves:
            raise VaultError(f"no sleeve {name!r} in this journal")
        return explain(self.desk.books.journal, name, self.story.sleeves[name].fold.asset)

    # -- rows --------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per sleeve: money as exact text, ratios as floats (None: not enough data). For pandas or polars."""
        return [self._row(name) for name in self.story.sleeves]

    def _row(self, name: str) -> dict[str, Any]:
        sleeve = self.story.sleeves[name]
        f = sleeve.fold
        unrealized = f.unrealized(self.story.prices, self.story.instruments)
        wins = [t.net.units for t in sleeve.trades if t.net.units > 0]
        losses = [-t.net.units for t in sleeve.trades if t.net.units < 0]
        periods = self._returns(name)
        daily = self._daily(name)
        index = [1.0]
        for period in periods:
            index.append(index[-1] * (1 + period))

        def text(units: int | None) -> str | None:
            return None if units is None else sleeve.amount(units).text

        return {
            "sleeve": name,
            "policy": sleeve.policy,
            "engine": sleeve.engine,
            "asset": f.asset.code,
            "allocation": text(f.allocation),
            "balance": text(f.balance),
            "unrealized": text(unrealized),
            "equity": text(None if unrealized is None else f.balance + unrealized),
            "realized": text(f.realized),
            "fees": text(f.fees),
            "funding": text(f.funding),
            "returned": text(f.returned),
            "net_profit": text(None if unrealized is None else f.realized + unrealized - f.fees + f.funding),
            "fills": sleeve.fills,
            "trades": len(sleeve.trades),
            "win_rate": len(wins) / len(sleeve.trades) if sleeve.trades else None,
            "profit_factor": sum(wins) / sum(losses) if losses else None,
            "return": index[-1] - 1 if periods else None,
            "drawdown": drawdown(index) if periods else None,
            "sharpe": sharpe(daily),
            "sortino": sortino(daily),
            "refusals": sum(sleeve.refusals.values()),
        }

    def vault_rows(self) -> list[dict[str, Any]]:
        """One plain row per core vault."""
        rows = []
        for vault in self.story.vaults.values():
            balances = sum(self.story.sleeves[name].fold.balance for name in vault.sleeves)
            rows.append(
                {
                    "vault": vault.owner,
                    "asset": vault.asset.code,
                    "total": Amount(vault.coins + balances, vault.asset).text,
                    "tradeable": Amount(vault.tradeable, vault.asset).text,
                    "in_sleeves": Amount(balances, vault.asset).text,
                    "idle_and_reserve": Amount(vault.coins - vault.suspense, vault.asset).text,
                    "suspense": Amount(vault.suspense, vault.asset).text,
                    "returned": Amount(sum(self.story.sleeves[name].fold.returned for name in vault.sleeves), vault.asset).text,
                }
            )
        return rows

    def series(self, sleeve: str) -> list[dict[str, Any]]:
        """One plain row per mark and transfer of a sleeve from the first mark on, in coins as floats; `at` in nanoseconds."""
        story = self.story.sleeves[sleeve]
        unit = 10.0**story.fold.asset.scale
        names = ("balance", "equity", "realized", "unrealized", "fees", "returned")
        return [
            {"at": s.at} | {name: None if value is None else value / unit for name, value in zip(names, s[1:7], strict=True)}
            for s in story.samples[story.shown_from :]
        ]

    def vault_series(self, vault: str) -> list[dict[str, Any]]:
        """One plain row per mark of a core vault, in coins as floats."""
        story = self.story.vaults[vault]
        unit = 10.0**story.asset.scale
        return [{"at": s.at, "total": s.total / unit, "tradeable": s.tradeable / unit} for s in story.samples]

    def trades(self) -> list[dict[str, Any]]:
        """One plain row per round trip."""
        return [
            {
                "sleeve": t.sleeve,
                "symbol": t.symbol,
                "opened": t.opened,
                "closed": t.closed,
                "net": t.net.text,
                "fees": t.fees.text,
                "fills": t.fills,
            }
            for sleeve in self.story.sleeves.values()
            for t in sleeve.trades
        ]

    def _known(self, name: str) -> list[Sample]:
        return [s for s in self.story.sleeves[name].samples if s.equity is not None]

    def _returns(self, name: str) -> list[float]:
        samples = self._known(name)
        if not samples:
            return []
        paid = [0.0] + [float(b.paid_in - a.paid_in) for a, b in itertools.pairwise(samples)]
        taken = [0.0] + [float(b.taken_out - a.taken_out) for a, b in itertools.pairwise(samples)]
        return returns([float(s.equity or 0) for s in samples], paid, taken)

    def _daily(self, name: str) -> list[float]:
        """Returns compounded by UTC day of the mark that ends them, from the sleeve's first mark on."""
        days: dict[int, float] = {}
        samples, shown_from = self.story.sleeves[name].samples, self.story.sleeves[name].shown_from
        known, first = self._known(name), self.story.marked or 0
        unmarked = sum(sample.equity is not None for sample in samples[:shown_from])
        empty = next((i for i, sample in enumerate(known) if sample.equity), len(known))
        for i, (sample, period) in enumerate(zip(known[1:], self._returns(name), strict=True), 1):
            if i <= max(unmarked, empty):
                continue
            day = (max(sample.at, first) - 1) // DAY
            days[day] = (1 + days.get(day, 0.0)) * (1 + period) - 1
        return list(days.values())

    # -- for people --------------------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """How the run was made: the data, what was repaired in it, and every choice of the simulated venue."""
        lines = []
        played = [tape.instrument.symbol for tape in self.tapes]
        for tape in self.tapes:
            rare = [f"{len(tape.funding)} funding rates"] * bool(tape.funding) + [f"{len(tape.depths)} books"] * bool(tape.depths)
            rare += [f"{len(tape.news)} pieces of news"] * bool(tape.news)
            told = sum(isinstance(one, FundingRate) for one in tape.news)
            if told:
                lines.append(
                    f"data: {told} funding rates of {tape.instrument.symbol} are news, which is told and never paid: see with_funding"
                )
            if tape.outside:
                lines.append(f"data: {tape.outside} funding rates or books of {tape.instrument.symbol} lie outside of the tape, left out")
            lines.append(" with ".join([f"data: {len(tape):,} rows of {tape.instrument.symbol} from {tape.name}", *rare]))
            lines += [f"data: {line}" for line in str(tape.repairs).splitlines() if line]
        if self.rules is not None:
            lines += self.rules.describe()
        if self._bounds is not None and isinstance(self.bounds, str):
            lines.append(f"no bounds: {self.bounds}")
        elif self._bounds is not None:
            for name, report in self._bounded():
                own = [] if self.rules is None else self.rules.describe()
                lines += [f"{name}: {line}" for line in ([] if report.rules is None else report.rules.describe()) if line not in own]
        for name, sleeve in self.story.sleeves.items():
            if sleeve.crossed:
                lines.append(f"{name}: {sleeve.crossed}x traded inside, with another sleeve, and with no fee")
            if sleeve.idle:
                lines.append(f"{name}: idle, {sleeve.idle}")
            missing = [symbol for symbol in sleeve.watches if symbol not in played]
            if played and missing and not sleeve.idle:
                lines.append(f"{name}: its engine watches {' and '.join(missing)}, which no tape of this run has")
            lines += [f"{name}: refused {times}x for {reason}" for reason, times in sorted(sleeve.refusals.items())]
            lines += [f"{name}: {times} orders {reason}" for reason, times in sorted(sleeve.lost.items())]
        lines += [f"alert {alert.code} ({alert.subject}): {alert.text}" for alert in self.story.alerts]
        return lines

    def _table(self) -> list[list[str]]:
        rows = self.rows()

        def money(value: str | None) -> str:
            return "unknown" if value is None else f"{Decimal(value):z,.2f}"

        def percent(value: float | None) -> str:
            return "n/a" if value is None else f"{value:.1%}"

        def ratio(value: float | None) -> str:
            return "n/a" if value is None else f"{value:.2f}"

        table = [["", *(f"{row['sleeve']} ({row['asset']})" for row in rows)]]
        table.append(["policy", *(row["policy"] for row in rows)])
        table.append(["engine", *(row["engine"] or "none" for row in rows)])
        for key, label in _MONEY.items():
            if key != "funding" or any(Decimal(row[key]) for row in rows):
                table.append([label, *(money(row[key]) for row in rows)])
        for name, report in self._bounded():
            table.append([f"net profit, {name}", *(money(row["net_profit"]) for row in report.rows())])
        for key in ("fills", "trades"):
            table.append([key, *(str(row[key]) for row in rows)])
        for key, label in _PERCENT.items():
            table.append([label, *(percent(row[key]) for row in rows)])
        for key, label in _RATIO.items():
            table.append([label, *(ratio(row[key]) for row in rows)])
        return table

    def _vault_lines(self) -> list[str]:
        lines = []
        for row in self.vault_rows():
            money = {name: f"{Decimal(value):z,.2f}" for name, value in row.items() if name not in ("vault", "asset")}
            line = (
                f"{row['vault']}: total {money['total']} {row['asset']}, tradeable {money['tradeable']}, in sleeves {money['in_sleeves']}"
            )
            line += f", idle and reserve {money['idle_and_reserve']}, swept back {money['returned']}"
            lines.append(line + (f", in suspense {money['suspense']}" if Decimal(row["suspense"]) else ""))
        return lines

    def _verdict(self) -> str:
        laws = ", ".join(str(finding.law) for finding in self.proof.findings)
        if self.proof.holds:
            venue = " and equal the venue's balances" if self.holdings is not None else ""
            return f"books: exact to the unit{venue} (laws {laws} hold)"
        return "books: BROKEN\n" + str(self.proof)

    def __str__(self) -> str:
        table = self._table()
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
            for row in table
        ]
        lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*lines, "", *self._vault_lines(), self._verdict()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._table()
        cells = "".join(f"<tr><th>{escape(row[0])}</th>" + "".join(f"<td>{escape(c)}</td>" for c in row[1:]) + "</tr>" for row in body)
        below = "".join(f"<p>{escape(line)}</p>" for line in [*self._vault_lines(), self._verdict()])
        return f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>{cells}</table>{below}"

    def figures(self) -> dict[str, Any]:
        """The five graphs as plotly figures by name. Raises `MissingExtra` without plotly."""
        found: dict[str, Any] = _plots().figures(self)
        return found

    def save(self, path: str | Path) -> None:
        """Write one self-contained HTML file with the table and the graphs. Raises `MissingExtra` without plotly."""
        page = _plots().page(self)
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)


_MONEY = {
    "allocation": "allocation",
    "balance": "balance, positions at cost",
    "unrealized": "unrealized",
    "equity": "equity",
    "realized": "realized, before fees",
    "fees": "fees",
    "funding": "funding received",
    "returned": "swept to Tradeable",
    "net_profit": "net profit",
}
_PERCENT = {"win_rate": "win rate", "return": "return, flows apart", "drawdown": "deepest drawdown"}
_RATIO = {"profit_factor": "profit factor", "sharpe": "Sharpe (365 days)", "sortino": "Sortino (365 days)"}


def _plots() -> Any:
    try:
        from . import plots
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "plotly":
            raise
        raise MissingExtra("plotly", "plots", "drawing a report") from error
    return plots
