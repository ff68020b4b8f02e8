"""What a run came to, as a fold over its journal: per sleeve and per vault, as text, as HTML, as plain rows.

A report reads records, not live objects, so it can be made of any journal. Returns are flow-aware: an allocation or a
sweep is never a profit or a loss. Drawdown and ratios are measured at the journal's marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attrs import define, field, frozen

from . import export, tearsheet
from .errors import MissingExtra, VaultError
from .explain import Waterfall, explain, explain_each
from .facts import Liquidated
from .fold import SleeveFold
from .ledger import INTERNAL, Entry, EntryKind, Role
from .market import BP, FundingRate, Instrument
from .markup import block, table
from .money import Amount, Asset, Rounding, divide
from .orders import Fill, OrderStatus, Position
from .proof import Proof
from .records import INSIDE, LEFT_OVER, Alert, Marked, Opened, OrderUpdate, Record, Refusal
from .risk import Drawdown, drawdown, drawdowns, left_of, sharpe, sortino
from .tearsheet import Month, Period, Sheet
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
        self._measured: dict[tuple[str, ...], list[Period]] = {}

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
    def sheet(self) -> Sheet:
        """What the journal says of deals, costs, refusals and lost orders: one pass more, made when it is asked for."""
        assets = {name: sleeve.fold.asset for name, sleeve in self.story.sleeves.items()}
        return tearsheet.read(self.desk.books.journal, assets, self.tapes)

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

    @cached_property
    def waterfalls(self) -> dict[str, Waterfall]:
        """What `explain` says of each sleeve, by name, in one pass over the journal."""
        return explain_each(self.desk.books.journal, {name: sleeve.fold.asset for name, sleeve in self.story.sleeves.items()})

    # -- rows --------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per sleeve: money as exact text, ratios as floats (None: not enough data). For pandas or polars."""
        return [self._row(name) for name in self.story.sleeves]

    def _net(self, sleeve: SleeveStory) -> int | None:
        """What trading has made of a sleeve's money by the last record, at the last prices; None where one is not known."""
        f = sleeve.fold
        unrealized = f.unrealized(self.story.prices, self.story.instruments)
        return None if unrealized is None else f.realized + unrealized - f.fees + f.funding

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
            index.append(index[-1] * left_of(period))

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
            "net_profit": text(self._net(sleeve)),
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
        return [
            {"at": s.at} | {name: None if value is None else value / unit for name, value in zip(_SERIES, s[1:7], strict=True)}
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
                "asset": t.net.asset.code,
                "opened": t.opened,
                "closed": t.closed,
                "net": t.net.text,
                "fees": t.fees.text,
                "fills": t.fills,
            }
            for sleeve in self.story.sleeves.values()
            for t in sleeve.trades
        ]

    def fills(self) -> list[dict[str, Any]]:
        """One plain row per fill and forced close: `record` is the number of the entry that booked it, `net` what it did to the
        sleeve's balance, `slippage` in the quote asset (None: not known, see `sleeves.tearsheet`)."""
        rows = []
        for deal in self.sheet.deals:
            market = self.sheet.instruments[deal.symbol]
            rows.append(
                {
                    "record": deal.record,
                    "at": deal.at,
                    "sleeve": deal.sleeve,
                    "symbol": deal.symbol,
                    "side": deal.side,
                    "qty": market.qty_text(deal.qty),
                    "price": market.price_text(deal.price),
                    "cost": Amount(deal.cost, market.quote).text,
                    "quote": market.quote.code,
                    "fee": deal.fee.text,
                    "fee_in": deal.fee.asset.code,
                    "net": self.story.sleeves[deal.sleeve].amount(deal.net).text,
                    "opens": deal.opens,
                    "inside": deal.inside,
                    "forced": deal.forced,
                    "order": deal.order,
                    "slippage": None if deal.slippage is None else Amount(deal.slippage, market.quote).text,
                }
            )
        return rows

    def months(self) -> list[dict[str, Any]]:
        """One plain row per sleeve and calendar month, UTC: `return` is time-weighted, flows apart; `net` is exact, and sums to
        the net profit at the last mark, see `remarks`. `whole` is False where it was measured between times more than a day from the
        month's begin and end."""
        return [
            _month_row(name, self.story.sleeves[name].fold.asset, month)
            for name in self.story.sleeves
            for month in tearsheet.months(self._periods(name))
        ]

    def years(self) -> list[dict[str, Any]]:
        """The same by calendar year, `month` None: months one after the other, and the sum of their nets."""
        return [
            _month_row(name, self.story.sleeves[name].fold.asset, year)
            for name in self.story.sleeves
            for year in tearsheet.years(tearsheet.months(self._periods(name)))
        ]

    def together(self) -> list[dict[str, Any]]:
        """Months, and years (`month` None), of all sleeves of one asset as one, `sleeve` None: where an asset has two or more.

        Measured at marks alone, since a transfer of one sleeve says nothing of what the others are worth then.
        """
        rows = []
        for asset, names in self._by_asset().items():
            if len(names) > 1:
                found = tearsheet.months(self._periods(*names))
                rows += [_month_row(None, asset, one) for one in [*found, *tearsheet.years(found)]]
        return rows

    def costs(self) -> list[dict[str, Any]]:
        """One plain row per sleeve and market: fees, funding received and slippage as exact text, and in basis points of turnover.

        A rate is None without turnover; slippage is None where it is not known of any fill, and its rate is of those fills
        of which it is.
        """
        rows = []
        for cost in self.sheet.costs.values():
            amount = self.story.sleeves[cost.sleeve].amount
            rows.append(
                {
                    "sleeve": cost.sleeve,
                    "market": cost.of,
                    "asset": self.story.sleeves[cost.sleeve].fold.asset.code,
                    "fills": cost.fills,
                    "inside": cost.inside,
                    "turnover": amount(cost.turnover).text,
                    "fees": amount(cost.fees).text,
                    "fees_bp": cost.fees / cost.turnover * BP if cost.turnover else None,
                    "funding": amount(cost.funding).text,
                    "slippage": None if cost.slippage is None else amount(cost.slippage).text,
                    "slippage_bp": cost.slippage / cost.measured * BP if cost.slippage is not None and cost.measured else None,
                    "realized": amount(cost.realized).text,
                }
            )
        return rows

    def saved(self) -> list[dict[str, Any]]:
        """One plain row per asset in which sleeves traded inside: how often, the spread that both sides together did not pay, and
        their turnover, of both sides."""
        return [
            {
                "asset": asset.code,
                "times": times,
                "saved": Amount(units, asset).text,
                "turnover": Amount(traded, asset).text,
                "saved_bp": units / traded * BP if traded else None,
            }
            for asset, (times, units, traded) in self.sheet.saved.items()
        ]

    def refusals(self) -> list[dict[str, Any]]:
        """One plain row per sleeve, gate and reason, with how often, and the wish and the numbers of the last one."""
        return [
            {
                "sleeve": one.sleeve,
                "gate": one.gate,
                "reason": one.reason,
                "times": one.times,
                "first": one.first,
                "last": one.last,
                "wish": one.wish,
                "numbers": ", ".join(f"{name} {value}" for name, value in one.numbers.items()),
            }
            for one in self.sheet.refused
        ]

    def lost(self) -> list[dict[str, Any]]:
        """One plain row per order that the venue rejected, or canceled unasked."""
        return [one._asdict() for one in self.sheet.lost]

    def underwater(self, sleeve: str) -> list[dict[str, Any]]:
        """How far the index of a sleeve's returns stands below its high before, at each sample: 0 or less."""
        return [{"at": at, "underwater": value} for at, value in tearsheet.underwater(self._periods(sleeve))]

    def falls(self, sleeve: str) -> Drawdown | None:
        """The deepest and the longest fall of a sleeve, in nanoseconds; None without two samples whose equity is known."""
        index, at = [1.0], [span.since for span in self._periods(sleeve)[:1]]
        for span in self._periods(sleeve):
            index.append(index[-1] * left_of(span.gain))
            at.append(span.until)
        return drawdowns(index, at) if at else None

    def daily(self, sleeve: str | Sleeve | None = None) -> dict[int, float]:
        """Returns by UTC day, in whole days since 1970, flows apart, from the first day with money at work and a mark on.

        A day without a mark is not in it: what was made on it is in the day of the next one. Without a sleeve they are of all
        of them as one, measured at marks. Raises `VaultError` for a sleeve that is not in the journal, and without one where
        sleeves count in several assets, or there are none.
        """
        if sleeve is not None:
            name = sleeve if isinstance(sleeve, str) else sleeve.name
            if name not in self.story.sleeves:
                raise VaultError(f"no sleeve {name!r} in this journal")
            return self._days((name,))
        assets = self._by_asset()
        if len(assets) != 1:
            rule = "returns of sleeves together are of one asset: name a sleeve"
            raise VaultError(f"{rule}; these count in {', '.join(asset.code for asset in assets) or 'none'}")
        return self._days(tuple(self.story.sleeves))

    def _by_asset(self) -> dict[Asset, list[str]]:
        found: dict[Asset, list[str]] = {}
        for name, sleeve in self.story.sleeves.items():
            found.setdefault(sleeve.fold.asset, []).append(name)
        return found

    def _samples(self, names: tuple[str, ...]) -> list[Sample]:
        """Those of one sleeve, or of several as one at the marks."""
        of = [self.story.sleeves[name].samples for name in names]
        if len(of) == 1:
            return of[0]
        marks = [sample.at for sample in next(iter(self.story.vaults.values())).samples]
        return tearsheet.together(of, marks, Sample)

    def _periods(self, *names: str) -> list[Period]:
        known = self._measured.get(names)
        if known is None:
            known = self._measured[names] = tearsheet.periods(self._samples(names), self.story.marked or 0)
        return known

    def _returns(self, name: str) -> list[float]:
        return [span.gain for span in self._periods(name)]

    def _days(self, names: tuple[str, ...]) -> dict[int, float]:
        """Returns by day: without what lies before the first mark, and before there was any money."""
        samples = self._samples(names)
        known = [sample for sample in samples if sample.equity is not None]
        shown_from = self.story.sleeves[names[0]].shown_from if len(names) == 1 else 0
        unmarked = sum(sample.equity is not None for sample in samples[:shown_from])
        empty = next((i for i, sample in enumerate(known) if sample.equity), len(known))
        return tearsheet.days(self._periods(*names)[max(unmarked, empty) :])

    def _daily(self, name: str) -> list[float]:
        return list(self._days((name,)).values())

    # -- for other programs --------------------------------------------------------------------------------------------

    def to_frame(self, what: str = "sleeves", *, backend: str = "pandas", money: str = "text") -> Any:
        """A table as a frame of pandas, polars or pyarrow, through narwhals (the extra `frames`).

        `what` is "sleeves", "vaults", "trades", "fills", "series", "monthly", "costs" or "refusals". Money, prices and
        quantities are exact decimal text; with money="decimal" they are Decimals, with "float" the nearest floats. Times are
        UTC datetimes to the nanosecond. Raises `VaultError` for another table, and as `sleeves.export.frame` does.
        """
        kinds, rows = self._frame(what)
        return export.frame(kinds, rows, backend=backend, money=money)

    def to_parquet(self, path: str | Path, what: str = "sleeves", *, backend: str = "polars", money: str = "text") -> None:
        """Write a table of `to_frame` as parquet: by polars, or by pyarrow."""
        kinds, rows = self._frame(what)
        export.frame_to_parquet(kinds, rows, path, backend=backend, money=money)

    def to_quantstats(self, sleeve: str | Sleeve | None = None) -> Any:
        """Daily returns, flows apart, as the pandas Series that quantstats takes: floats over dates without a zone, in order.

        What `daily` says, and raises as it does; `MissingExtra` without pandas. Pass `periods=365` to quantstats: days here
        are calendar days.
        """
        name = "sleeves" if sleeve is None else sleeve if isinstance(sleeve, str) else sleeve.name
        return export.returns_series(self.daily(sleeve), name)

    def _frame(self, what: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
        if not isinstance(what, str) or what not in _FRAMES:
            raise VaultError(f"no table {what!r}: there are {', '.join(_FRAMES)}")
        kinds = _FRAMES[what]
        rows: list[dict[str, Any]]
        if what == "sleeves":
            rows = self.rows()
        elif what == "vaults":
            rows = self.vault_rows()
        elif what == "trades":
            rows = self.trades()
        elif what == "fills":
            rows = self.fills()
        elif what == "series":
            rows = self._series_rows()
        elif what == "monthly":
            rows = self.months()
        else:
            rows = self.costs() if what == "costs" else self.refusals()
        return kinds, rows

    def _series_rows(self) -> list[dict[str, Any]]:
        """The samples of all sleeves from the first mark on, as exact text."""
        rows = []
        for name, sleeve in self.story.sleeves.items():
            for s in sleeve.samples[sleeve.shown_from :]:
                values = dict(zip(_SERIES, s[1:7], strict=True))
                exact = {column: None if units is None else sleeve.amount(units).text for column, units in values.items()}
                rows.append({"sleeve": name, "asset": sleeve.fold.asset.code, "at": s.at, **exact})
        return rows

    # -- for people --------------------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """How the run was made: the data, what was repaired in it, every choice of the simulated venue; and what it met with."""
        lines = self.made()
        for name, sleeve in self.story.sleeves.items():
            lines += self.remarks(name)
            lines += [f"{name}: refused {times}x for {reason}" for reason, times in sorted(sleeve.refusals.items())]
            lines += [f"{name}: {times} orders {reason}" for reason, times in sorted(sleeve.lost.items())]
        return [*lines, *(f"alert {alert.code} ({alert.subject}): {alert.text}" for alert in self.story.alerts)]

    def made(self) -> list[str]:
        """How the run was made: the data, what was repaired in it, and every choice of the simulated venue."""
        lines = []
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
        return lines

    def remarks(self, name: str) -> list[str]:
        """What is peculiar to one sleeve in this run: what is in no month, trades inside, an engine that cannot trade, missing data."""
        sleeve, lines = self.story.sleeves[name], []
        made = self._net(sleeve)
        later = 0 if made is None else made - sum(span.net for span in self._periods(name))
        if later:
            lines.append(f"{name}: {sleeve.amount(later)} was made behind the last mark: it is in no month, return or drawdown")
        if sleeve.crossed:
            lines.append(f"{name}: {sleeve.crossed}x traded inside, with another sleeve, and with no fee")
        if sleeve.idle:
            lines.append(f"{name}: idle, {sleeve.idle}")
        played = [tape.instrument.symbol for tape in self.tapes]
        missing = [symbol for symbol in sleeve.watches if symbol not in played]
        if played and missing and not sleeve.idle:
            lines.append(f"{name}: its engine watches {' and '.join(missing)}, which no tape of this run has")
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
        return block("Report", table(head, body), notes=[*self._vault_lines(), *self._verdict().splitlines()])

    def figures(self) -> dict[str, Any]:
        """The five graphs as plotly figures by name. Raises `MissingExtra` without plotly."""
        found: dict[str, Any] = _plots().figures(self)
        return found

    def plot(self, name: str | None = None) -> Any:
        """A plotly figure for a notebook: the five graphs below each other, or one of `figures` by name.

        Besides the five there are "waterfall", "trades", "drawdown" and "monthly". Raises `VaultError` for another name,
        `MissingExtra` without plotly.
        """
        return _plots().plot(self, name)

    def save(self, path: str | Path, title: str = "sleeves report") -> None:
        """Write the tear sheet: one self-contained HTML file that asks the network for nothing. Raises `MissingExtra` without plotly."""
        page = _plots().page(self, title)
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)


def _month_row(sleeve: str | None, asset: Asset, month: Month) -> dict[str, Any]:
    return {
        "sleeve": sleeve,
        "asset": asset.code,
        "year": month.year,
        "month": month.month or None,
        "return": month.gain,
        "net": Amount(month.net, asset).text,
        "since": month.since,
        "until": month.until,
        "whole": month.whole,
    }


_SERIES = ("balance", "equity", "realized", "unrealized", "fees", "returned")
_FRAMES: Mapping[str, dict[str, str]] = {
    "sleeves": {
        **dict.fromkeys(("sleeve", "policy", "engine", "asset"), "text"),
        **dict.fromkeys(
            ("allocation", "balance", "unrealized", "equity", "realized", "fees", "funding", "returned", "net_profit"), "money"
        ),
        **dict.fromkeys(("fills", "trades"), "whole"),
        **dict.fromkeys(("win_rate", "profit_factor", "return", "drawdown", "sharpe", "sortino"), "float"),
        "refusals": "whole",
    },
    "vaults": {
        **dict.fromkeys(("vault", "asset"), "text"),
        **dict.fromkeys(("total", "tradeable", "in_sleeves", "idle_and_reserve", "suspense", "returned"), "money"),
    },
    "trades": {
        **dict.fromkeys(("sleeve", "symbol", "asset"), "text"),
        **dict.fromkeys(("opened", "closed"), "time"),
        **dict.fromkeys(("net", "fees"), "money"),
        "fills": "whole",
    },
    "fills": {
        "record": "whole",
        "at": "time",
        **dict.fromkeys(("sleeve", "symbol", "side"), "text"),
        **dict.fromkeys(("qty", "price", "cost"), "money"),
        "quote": "text",
        "fee": "money",
        "fee_in": "text",
        "net": "money",
        **dict.fromkeys(("opens", "inside", "forced"), "bool"),
        "order": "text",
        "slippage": "money",
    },
    "series": {**dict.fromkeys(("sleeve", "asset"), "text"), "at": "time", **dict.fromkeys(_SERIES, "money")},
    "monthly": {
        **dict.fromkeys(("sleeve", "asset"), "text"),
        **dict.fromkeys(("year", "month"), "whole"),
        "return": "float",
        "net": "money",
        **dict.fromkeys(("since", "until"), "time"),
        "whole": "bool",
    },
    "costs": {
        **dict.fromkeys(("sleeve", "market", "asset"), "text"),
        **dict.fromkeys(("fills", "inside"), "whole"),
        **dict.fromkeys(("turnover", "fees"), "money"),
        "fees_bp": "float",
        **dict.fromkeys(("funding", "slippage"), "money"),
        "slippage_bp": "float",
        "realized": "money",
    },
    "refusals": {
        **dict.fromkeys(("sleeve", "gate", "reason"), "text"),
        "times": "whole",
        **dict.fromkeys(("first", "last"), "time"),
        **dict.fromkeys(("wish", "numbers"), "text"),
    },
}
"""What is in the columns of each frame, by their names: see `sleeves.export.frame`."""

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
