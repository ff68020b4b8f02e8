"""What the journal tells a page that the living desk does not: orders that are done, alerts, what happened in words, the past of
the charts, and returns.

It is a fold over records, kept up record by record, and bounded: the last orders that are done, the last items of each stream, so
many points a series. Nothing here looks at a desk, so the same journal always tells the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from ..facts import Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from ..fold import SleeveFold
from ..gates import describe
from ..ledger import INTERNAL, Entry, EntryKind, Role
from ..market import DAY, MINUTE, FundingRate, Instrument
from ..money import Amount, Asset
from ..orders import Fill, Order, OrderStatus
from ..records import (
    Alert,
    Answered,
    Asked,
    Bundled,
    BundleStatus,
    BundleUpdate,
    Changed,
    Crossed,
    Instructed,
    Level,
    Marked,
    Opened,
    OrderUpdate,
    Placed,
    Quarantined,
    Reconciled,
    Record,
    Recovered,
    Refusal,
    Residual,
)
from ..risk import left_of
from ..tearsheet import thin
from ..vault import of_client
from .messages import KEPT, POINTS, AlertItem, LogItem, OrderRow, Point

__all__ = ["DONE", "History", "PastOrder", "Track", "halved", "millis", "thinned"]

DONE = 200
"""How many orders that are done are kept."""


def millis(at: int) -> int:
    """Nanoseconds as whole milliseconds; what is before 1970 as 0."""
    return max(0, at // 1_000_000)


def halved(points: Sequence[Point], most: int = POINTS) -> Sequence[Point]:
    """Every second point, the last always among them, once and again until there are at most `most`: what a page does too."""
    while len(points) > most:
        points = points[(len(points) - 1) % 2 :: 2]
    return points


def thinned(points: Sequence[Point], most: int = POINTS, column: int = 2) -> list[Point]:
    """At most `most` points that show the same line: no extreme of a column is lost, and it ends where it ended."""
    return [points[i] for i in thin([point[column] for point in points], most)]


@define
class PastOrder:
    """An order and what became of it."""

    order: Order
    by: str
    closes: bool
    bundle: str
    filled: int = 0
    cost: int = 0
    """What its fills cost, or brought, in quote units."""
    status: OrderStatus = OrderStatus.SUBMITTED
    reason: str = ""
    row: OrderRow | None = None
    """How it was last shown; None once it is other than then."""


@define
class Track:
    """A sleeve over time: its figures, and the index of its returns at marks and beside transfers, as a report has them."""

    vault: str
    fold: SleeveFold
    points: list[Point] = field(factory=list)
    """At marks, in coins."""
    index: float = 1.0
    high: float = 1.0
    fall: float = 0.0
    """The deepest fall of the index from a high, as a part of it."""
    periods: int = 0
    last: tuple[int, int, int] | None = None
    """Equity, and what was paid in and taken out until then."""

    def until(self, equity: int | None) -> tuple[float, float]:
        """The index, and its deepest fall, with a last stretch up to an equity of now; as of the last sample where that is not known."""
        if equity is None or self.last is None:
            return self.index, self.fall
        base = self.last[0] + self.fold.paid_in - self.last[1]
        index = self.index * (left_of((equity + self.fold.taken_out - self.last[2]) / base - 1) if base > 0 else 1.0)
        high = max(self.high, index)
        return index, max(self.fall, (high - index) / high)

    def sample(self, at: int, prices: Mapping[str, int], instruments: Mapping[str, Instrument], *, shown: bool) -> None:
        """Note where it stands: at each mark, and before and after each transfer, so that no flow is taken for profit."""
        f = self.fold
        unrealized = f.unrealized(prices, instruments)
        if shown:
            unit = 10.0**f.asset.scale
            equity = None if unrealized is None else (f.balance + unrealized) / unit
            made = None if unrealized is None else unrealized / unit
            self.points.append((float(millis(at)), f.balance / unit, equity, f.realized / unit, made, f.fees / unit, f.returned / unit))
            if len(self.points) > 4 * POINTS:
                self.points = thinned(self.points, 2 * POINTS)
        if unrealized is None:
            return
        now = f.balance + unrealized, f.paid_in, f.taken_out
        if self.last is not None:
            base = self.last[0] + now[1] - self.last[1]
            self.index *= left_of((now[0] + now[2] - self.last[2]) / base - 1) if base > 0 else 1.0
            self.periods += 1
            self.high = max(self.high, self.index)
            self.fall = max(self.fall, (self.high - self.index) / self.high)
        self.last = now


@define
class Wallet:
    """A core vault over time."""

    asset: Asset
    coins: int = 0
    tradeable: int = 0
    sleeves: list[str] = field(factory=list)
    points: list[Point] = field(factory=list)


@define
class History:
    """The fold."""

    count: int = 0
    """How many records it stands for."""
    orders: dict[str, PastOrder] = field(factory=dict)
    """By id: those that are open, and the last that are done."""
    done: deque[str] = field(factory=deque)
    resting: dict[tuple[str, str], str] = field(factory=dict)
    """By (sleeve, symbol), the latest order that had a price to rest at."""
    alerts: deque[AlertItem] = field(factory=lambda: deque(maxlen=KEPT))
    log: deque[LogItem] = field(factory=lambda: deque(maxlen=KEPT))
    sleeves: dict[str, Track] = field(factory=dict)
    vaults: dict[str, Wallet] = field(factory=dict)
    instruments: dict[str, Instrument] = field(factory=dict)
    prices: dict[str, int] = field(factory=dict)
    paid: dict[str, FundingRate] = field(factory=dict)
    """By symbol, the latest rate at which funding was paid."""
    marks: deque[tuple[int, Mapping[str, tuple[int, int]]]] = field(factory=deque)
    """The prices of the marks of the last 24 hours, a minute apart at least, and of the last one before."""
    marked: bool = False

    def read(self, records: Iterable[Record]) -> History:
        """Take in records in order."""
        for record in records:
            self.apply(record)
        return self

    def points(self) -> dict[str, list[Point]]:
        """By series, the points that marks have made, to be taken from: what is taken out is not kept."""
        made = {f"sleeve:{name}": track.points for name, track in self.sleeves.items()}
        return made | {f"vault:{owner}": vault.points for owner, vault in self.vaults.items()}

    def apply(self, record: Record) -> tuple[AlertItem | None, LogItem | None]:
        """Take in one record; returns what it adds to the streams."""
        self.count += 1
        if isinstance(record, Entry):
            self._entry(record)
        elif isinstance(record, Placed):
            self._placed(record)
        elif isinstance(record, Fill):
            self._filled(record)
        elif isinstance(record, OrderUpdate):
            self._updated(record)
        elif isinstance(record, Marked):
            self._marked(record)
        elif isinstance(record, FundingPaid):
            known = self.paid.get(record.instrument.symbol)
            if known is None or record.at >= known.at:
                self.paid[record.instrument.symbol] = record.rate
        elif isinstance(record, Opened):
            self._opened(record)
        alert = None
        if isinstance(record, Alert):
            alert = AlertItem(self.count, millis(record.at), record.level.value, record.subject, record.code, record.text)
            self.alerts.append(alert)
        said = _words(record)
        if said is None:
            return alert, None
        item = LogItem(self.count, millis(record.at), *said)
        self.log.append(item)
        return alert, item

    # -- orders ------------------------------------------------------------------------------------------------------

    def _placed(self, record: Placed) -> None:
        order, place = record.order, record.order.place
        self.orders[order.id] = PastOrder(order, record.by, record.closes, record.bundle)
        if place.limit is not None and place.tif.value == "gtc":
            self.resting[order.sleeve, place.instrument.symbol] = order.id

    def _filled(self, fill: Fill) -> None:
        one = self.orders.get(fill.order_id)
        if one is not None and fill.side is one.order.place.side:
            one.filled += fill.qty
            one.cost += fill.cost
            one.row = None
            if one.filled >= one.order.place.qty:
                self._move(one, OrderStatus.FILLED)

    def _updated(self, record: OrderUpdate) -> None:
        one = self.orders.get(record.order_id)
        if one is not None:
            one.reason, one.row = record.reason, None
            self._move(one, record.status)

    def _move(self, one: PastOrder, status: OrderStatus) -> None:
        """An order that is done is kept until so many others are."""
        if status.done and not one.status.done:
            self.done.append(one.order.id)
            if len(self.done) > DONE:
                gone = self.orders.pop(self.done.popleft())
                where = gone.order.sleeve, gone.order.place.instrument.symbol
                if self.resting.get(where) == gone.order.id:
                    del self.resting[where]
        one.status, one.row = status, None

    # -- figures -----------------------------------------------------------------------------------------------------

    def _opened(self, record: Opened) -> None:
        if record.what == "instrument":
            self.instruments[record.name] = Instrument.from_terms(record.name, record.terms)
        elif record.what == "vault":
            code, _, scale = record.terms["asset"].rpartition(":")
            self.vaults[record.name] = Wallet(Asset(code, int(scale)))
        elif record.what == "sleeve":
            vault = self.vaults[record.terms["vault"]]
            vault.sleeves.append(record.name)
            self.sleeves[record.name] = Track(record.terms["vault"], SleeveFold(record.name, vault.asset))

    def _entry(self, entry: Entry) -> None:
        touched = None
        for account, asset, units in entry.postings:
            vault = self.vaults.get(account.owner)
            if vault is not None:
                if asset.code == vault.asset.code:
                    if account.role in _CORE and not of_client(account):
                        vault.coins += units
                    elif account.role is Role.TRADEABLE:
                        vault.tradeable += units
            elif account.owner in self.sleeves:
                touched = self.sleeves[account.owner]
        if touched is None:
            return
        if entry.kind in INTERNAL:
            touched.fold.apply(entry)
            return
        touched.sample(entry.at, self.prices, self.instruments, shown=self.marked)
        touched.fold.apply(entry)
        touched.sample(entry.at, self.prices, self.instruments, shown=self.marked)

    def _marked(self, record: Marked) -> None:
        self.prices.update({symbol: price for symbol, (price, _) in record.prices.items()})
        self.marked = True
        if not self.marks or record.at - self.marks[-1][0] >= MINUTE:
            self.marks.append((record.at, record.prices))
        while len(self.marks) > 1 and self.marks[1][0] <= record.at - DAY:
            self.marks.popleft()
        for track in self.sleeves.values():
            track.sample(record.at, self.prices, self.instruments, shown=True)
        for vault in self.vaults.values():
            unit = 10.0**vault.asset.scale
            total = vault.coins + sum(self.sleeves[name].fold.balance for name in vault.sleeves)
            vault.points.append((float(millis(record.at)), total / unit, vault.tradeable / unit))
            if len(vault.points) > 4 * POINTS:
                vault.points = thinned(vault.points, 2 * POINTS, column=1)

    def price_before(self, symbol: str, at: int) -> int | None:
        """The price of the last mark at least 24 hours before, if that is at most 25 hours before; None for none."""
        best = None
        for marked, prices in self.marks:
            if marked <= at - DAY and symbol in prices:
                best = prices[symbol][0] if at - prices[symbol][1] <= DAY + DAY // 24 else None
        return best


_CORE = frozenset({Role.IDLE, Role.RESERVED, Role.SUSPENSE, Role.IN_TRANSIT})


# -- in words ----------------------------------------------------------------------------------------------------------

Said = tuple[Any, str, str, Any]
"""Kind, subject, text and level of an item of the log."""

_MOVED = {
    EntryKind.TRADEABLE: "tradeable set",
    EntryKind.RESERVE: "reserve set",
    EntryKind.EARMARK: "set aside",
    EntryKind.ALLOCATE: "allocated",
    EntryKind.RECLAIM: "reclaimed",
    EntryKind.SWEEP: "swept back",
    EntryKind.DEPOSIT: "deposited",
    EntryKind.WITHDRAWAL: "withdrawn",
    EntryKind.MINT: "shares issued",
    EntryKind.REDEEM: "shares redeemed",
    EntryKind.ADJUST: "adjusted",
}
"""Entries that a person should see; what trading books is told by its facts."""
_WORSE = frozenset({"impaired", "close_only", "halted", "deactivated"})


def _words(record: Record) -> Said | None:
    """What a record says to a person, or nothing."""
    say = _SAY.get(type(record))
    return None if say is None else say(record)


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _level(bad: bool) -> str:
    return Level.WARNING.value if bad else Level.INFO.value


def _say_placed(r: Placed) -> Said:
    return "order", r.order.sleeve, f"{r.order.id} {describe(r.order.place)} by {r.by}{_because(r.order.place.why)}", "info"


def _say_update(r: OrderUpdate) -> Said:
    bad = r.status in (OrderStatus.REJECTED, OrderStatus.UNKNOWN)
    return "order", r.order_id.rpartition("-")[0], f"{r.order_id} is {r.status}{_because(r.reason)}", _level(bad)


def _say_bundled(r: Bundled) -> Said:
    return "order", r.sleeve, f"{r.id} {' then '.join(map(describe, r.bundle.legs))} by {r.by}{_because(r.bundle.why)}", "info"


def _say_bundle(r: BundleUpdate) -> Said:
    bad = r.status in (BundleStatus.ROLLING_BACK, BundleStatus.LEFT)
    return "order", r.id.rpartition("-")[0], f"{r.id} is {r.status}{_because(r.why)}", _level(bad)


def _say_fill(r: Fill) -> Said:
    market = r.instrument
    text = f"{r.order_id} {r.side} {market.qty_text(r.qty)} {market} at {market.price_text(r.price)}, fee {r.fee}"
    return "fill", r.order_id.rpartition("-")[0], text, "info"


def _say_liquidated(r: Liquidated) -> Said:
    market, side = r.instrument, "bought" if r.change > 0 else "sold"
    text = f"liquidation: {side} {market.qty_text(abs(r.change))} {market} at {market.price_text(r.price)}, fee {r.fee}"
    return "fill", market.symbol, text, "critical"


def _say_crossed(r: Crossed) -> Said:
    market = r.instrument
    text = f"inside: {market.qty_text(r.qty)} {market} at {market.price_text(r.price)} between {r.buy} and {r.sell}"
    return "fill", market.symbol, text, "info"


def _say_refusal(r: Refusal) -> Said:
    numbers = ", ".join(f"{name} {value}" for name, value in sorted(r.numbers.items()))
    times = f", {r.times} times" if r.times > 1 else ""
    return "refusal", r.sleeve, f"{r.gate} refused {r.wish or 'a wish'}: {r.reason}{f' ({numbers})' if numbers else ''}{times}", "warning"


def _say_changed(r: Changed) -> Said:
    bad = (r.what.startswith("latch ") and bool(r.after)) or r.after in _WORSE
    return "status", r.subject, f"{r.what} {r.before or 'none'} -> {r.after or 'none'} by {r.by}{_because(r.why)}", _level(bad)


def _say_opened(r: Opened) -> Said | None:
    return None if r.what == "instrument" else ("status", r.name, f"{r.what} opened by {r.by}", "info")


def _say_entry(r: Entry) -> Said | None:
    said = _MOVED.get(r.kind)
    if said is None:
        return None
    owners = list(dict.fromkeys(p.account.owner for p in r.postings if p.account.role not in (Role.WORLD, Role.MEMO)))
    subject = next((one for one in owners if not one.startswith("core:")), owners[0] if owners else "")
    sums: dict[Asset, int] = {}
    for (owner, role, _), asset, units in r.postings:
        if units > 0 and role not in (Role.MEMO, Role.HIGH_WATER) and owner in owners:
            sums[asset] = sums.get(asset, 0) + units
    what = ", ".join(str(Amount(units, asset)) for asset, units in sums.items())
    return "funds", subject, f"{said} {what} by {r.by}{_because(r.why)}".replace("  ", " "), "info"


def _say_paid(r: FundingPaid | Settled | Bankrupted) -> Said:
    what = {FundingPaid: "funding", Settled: "settled", Bankrupted: "bankrupt, borne by others"}[type(r)]
    text = f"{what} {Amount(r.amount, r.instrument.quote)} of {r.instrument}"
    return "funds", r.instrument.symbol, text, "critical" if isinstance(r, Bankrupted) else "info"


def _say_asked(r: Asked) -> Said:
    return "funds", r.sleeve or r.vault, f"{r.transfer.id} asked for: {r.transfer.amount} by {r.by}", "info"


def _say_residual(r: Residual) -> Said:
    return "recovery", r.vault, f"residual {r}", "warning"


def _say_reconciled(r: Reconciled) -> Said | None:
    other = {code: pair for code, pair in r.holdings.items() if pair[0] != pair[1]}
    if not other:
        return None
    text = ", ".join(f"{code} {theirs} there, {ours} in the books" for code, (theirs, ours) in other.items())
    return "recovery", r.wallet, f"reconciled by {r.by}: {text}", "warning"


_SAY: Mapping[type, Callable[[Any], Said | None]] = {
    Answered: lambda r: ("instruction", r.id, f"answered {r.code}: {r.message}", "info"),
    Asked: _say_asked,
    Bankrupted: _say_paid,
    Bundled: _say_bundled,
    BundleUpdate: _say_bundle,
    Changed: _say_changed,
    Crossed: _say_crossed,
    Entry: _say_entry,
    Fill: _say_fill,
    FundingPaid: _say_paid,
    Instructed: lambda r: ("instruction", r.id, f"{r.what} {_about(r)} by {r.by}".replace("  ", " "), "info"),
    Liquidated: _say_liquidated,
    Opened: _say_opened,
    OrderUpdate: _say_update,
    Placed: _say_placed,
    Quarantined: lambda r: ("recovery", "", f"{type(r.fact).__name__} {r.fact.key} is not booked: {r.why}", "warning"),
    Reconciled: _say_reconciled,
    Recovered: lambda r: ("recovery", "desk:main", f"recovered by {r.by}, then {r.policy}", "info"),
    Refusal: _say_refusal,
    Residual: _say_residual,
    Settled: _say_paid,
    Shifted: lambda r: ("funds", r.venue, f"{r.amount} moved from sub-account {r.source} to {r.target}", "info"),
    Transferred: lambda r: ("funds", r.venue, f"transferred {r.amount}, {r.id}", "info"),
}


def _about(r: Instructed) -> str:
    """What an instruction is about, by the names in it alone: what a human said to arm a venue stands in the journal, and not here."""
    names = ("sleeve", "vault", "target", "venue", "market", "side", "qty", "amount", "order", "confirmation")
    return " ".join(r.terms[name] for name in names if r.terms.get(name))
