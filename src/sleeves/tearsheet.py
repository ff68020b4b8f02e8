"""The figures behind a tear sheet: what a journal says of deals, costs, refusals and lost orders, and what marks say of months.

Pure folds: records, samples and tapes in, plain values out. Money is in units of the asset that is named. Nothing here
draws, prints or writes; `report` gives the answers their names, and `plots` draws them.

What is measured, and how:

    month       the returns of all periods between two marks or transfers that end in it, one after the other; a mark at
                midnight ends the day, and the month, before it. Its net is the change of equity that no flow made: to the unit.
    underwater  the index of those returns over its high before, less one
    slippage    an order at market: its price against the close of the tape when it was ordered; a stop: against its stop. What
                the market did in between is in it. A limit is filled at its limit or better: it has none, and a trade inside none.
    turnover    the money that changed hands, both ways, fees apart
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define, field

from .explain import causes_of
from .facts import Liquidated
from .ledger import Entry, EntryKind, Role
from .market import DAY, HOUR, MINUTE, SECOND, Instrument
from .money import Amount, Asset, Rounding
from .orders import Fill, Order, OrderStatus
from .records import INSIDE, LEFT_OVER, Crossed, Marked, OrderUpdate, Placed, Record, Refusal
from .risk import compound, left_of, returns

if TYPE_CHECKING:
    from .report import Sample

__all__ = [
    "CANDLES",
    "LARGEST",
    "POINTS",
    "Candle",
    "Cost",
    "Deal",
    "Lost",
    "Month",
    "Moved",
    "Period",
    "Refused",
    "Sheet",
    "candles",
    "days",
    "months",
    "periods",
    "read",
    "thin",
    "together",
    "underwater",
    "years",
]

POINTS = 4_000
"""The most points of one line in a picture: more than any screen is wide."""

LARGEST = 5
"""How many records are kept of each cause besides the first and the last: those that moved most."""

CANDLES = 1_500
"""The most candles of one picture."""

_OWN_REASONS = frozenset({"requested", LEFT_OVER})
"""Why orders are off that nobody lost."""


# -- a journal's deals, costs and refusals -----------------------------------------------------------------------------


class Deal(NamedTuple):
    """One fill, or forced close, of one sleeve. `price` in the instrument's units, `qty` in base units, `cost` in quote units.

    `net` is what it did to the sleeve's balance, in units of the sleeve's asset: what was realized less fees. `record` is the
    number, from 1, of the entry that booked it. `slippage` is in quote units, above zero where it cost something; None: not known.
    """

    record: int
    at: int
    sleeve: str
    symbol: str
    side: str
    qty: int
    price: int
    cost: int
    fee: Amount
    net: int
    opens: bool
    """Whether it made a position, or made one larger."""
    inside: bool
    forced: bool
    order: str
    slippage: int | None


class Lost(NamedTuple):
    """An order that the venue rejected, or canceled unasked."""

    record: int
    at: int
    sleeve: str
    order: str
    status: str
    reason: str


class Refused(NamedTuple):
    """All refusals of one sleeve by one gate for one reason; `numbers` and `wish` are those of the last."""

    sleeve: str
    gate: str
    reason: str
    times: int
    first: int
    last: int
    numbers: Mapping[str, str]
    wish: str


@define
class Cost:
    """What trading in one market cost a sleeve, in units of its asset. `of` is a symbol, or what else was booked (interest)."""

    sleeve: str
    of: str
    fills: int = 0
    turnover: int = 0
    """Of those fills that were paid in the sleeve's own asset."""
    elsewhere: int = 0
    """Fills that were paid in another asset: they are not in the turnover."""
    fees: int = 0
    funding: int = 0
    """Received; below zero: paid."""
    slippage: int | None = None
    """None while no fill has one that is known."""
    measured: int = 0
    """The turnover of the fills whose slippage is known."""
    inside: int = 0
    realized: int = 0


class Moved(NamedTuple):
    """One record that changed a sleeve's equity, for one cause, and by how much in units."""

    record: int
    at: int
    kind: str
    by: str
    ref: str
    why: str
    cause: str
    units: int


@define
class Sheet:
    """What one pass over a journal finds."""

    deals: list[Deal] = field(factory=list)
    costs: dict[tuple[str, str], Cost] = field(factory=dict)
    refused: list[Refused] = field(factory=list)
    lost: list[Lost] = field(factory=list)
    prices: dict[str, list[tuple[int, int]]] = field(factory=dict)
    """(at, price) of each mark, by symbol."""
    saved: dict[Asset, tuple[int, int, int]] = field(factory=dict)
    """(trades inside, spread that both sides together did not pay, what both sides traded), by quote asset."""
    instruments: dict[str, Instrument] = field(factory=dict)
    moved: dict[tuple[str, str], list[Moved]] = field(factory=dict)
    """Of each sleeve and cause the first record, the last and the `LARGEST` largest, in order."""
    marked: tuple[int, int] | None = None
    """The number, and the time, of the last mark."""


@define
class _Tally:
    times: int
    first: int
    last: int
    numbers: Mapping[str, str]
    wish: str


class _Closes:
    """The last price of a tape at a time: the close of the last bar that was over."""

    def __init__(self, tape: Any) -> None:
        self._at, self._interval, self._close = tape.at, tape.interval, tape.close

    def at(self, now: int) -> int | None:
        row = bisect_right(self._at, now) - 1
        if row >= 0 and self._at[row] + self._interval > now:
            row -= 1  # it is not over, and the one before is: a bar is over where the next begins, if not sooner
        return None if row < 0 else int(self._close[row])


def read(records: Iterable[Record], assets: Mapping[str, Asset], tapes: Sequence[Any] = ()) -> Sheet:
    """Fold a journal once. `assets` says in which asset each sleeve counts; what other owners did is passed over.

    `tapes` are what the run was played on, for what orders slipped; without them it is not known.
    """
    sheet = Sheet()
    orders: dict[str, Order] = {}
    owned: dict[tuple[str, str], int] = {}
    refusals: dict[tuple[str, str, str], _Tally] = {}
    closes = {tape.instrument.symbol: _Closes(tape) for tape in tapes}
    last: Fill | Liquidated | None = None
    for number, record in enumerate(records, 1):
        if isinstance(record, Entry):
            _entry(sheet, record, number, last, assets, orders, owned, closes)
        elif isinstance(record, (Fill, Liquidated)):
            last = record
        elif isinstance(record, Placed):
            orders[record.order.id] = record.order
        elif isinstance(record, Marked):
            sheet.marked = number, record.at
            for symbol, (price, _) in record.prices.items():
                sheet.prices.setdefault(symbol, []).append((record.at, price))
        elif isinstance(record, Refusal):
            _refused(refusals, record)
        elif isinstance(record, OrderUpdate):
            if record.status in (OrderStatus.CANCELED, OrderStatus.REJECTED) and record.reason not in _OWN_REASONS:
                sleeve = record.order_id.rpartition("-")[0]
                sheet.lost.append(Lost(number, record.at, sleeve, record.order_id, record.status.value, record.reason))
        elif isinstance(record, Crossed):
            market = record.instrument
            times, units, traded = sheet.saved.get(market.quote, (0, 0, 0))
            cost = 2 * market.cost(record.price, record.qty, Rounding.FLOOR)
            sheet.saved[market.quote] = times + 1, units + record.saved, traded + cost
    sheet.refused = [Refused(*key, one.times, one.first, one.last, one.numbers, one.wish) for key, one in refusals.items()]
    return sheet


def _refused(refusals: dict[tuple[str, str, str], _Tally], record: Refusal) -> None:
    key = (record.sleeve, record.gate, record.reason)
    known = refusals.get(key)
    if known is None:
        refusals[key] = _Tally(record.times, record.at, record.at, record.numbers, record.wish)
    else:
        known.times += record.times
        known.last, known.numbers, known.wish = record.at, record.numbers, record.wish


def _entry(
    sheet: Sheet,
    entry: Entry,
    number: int,
    fact: Fill | Liquidated | None,
    assets: Mapping[str, Asset],
    orders: Mapping[str, Order],
    owned: dict[tuple[str, str], int],
    closes: Mapping[str, _Closes],
) -> None:
    """Take in one entry of one sleeve: its deal, and its costs by market."""
    sleeve = next((account.owner for account, _, _ in entry.postings if account.owner in assets), None)
    if sleeve is None:
        return
    asset = assets[sleeve]
    changed: dict[str, int] = {}
    for (owner, role, of), what, units in entry.postings:
        if owner == sleeve and role is Role.TRADING and what != asset:
            changed[of] = changed.get(of, 0) - units
    causes = causes_of(entry, sleeve, asset)
    for cause, units in causes.items():
        _keep(sheet.moved, sleeve, Moved(number, entry.at, entry.kind.value, entry.by, entry.ref, entry.why, cause, units))
        kind, _, of = cause.partition(" ")
        if kind in ("realized", "fees", "funding") and of and cause != "funding":
            cost = sheet.costs.setdefault((sleeve, of), Cost(sleeve, of))
            if kind == "fees":
                cost.fees -= units
            else:
                setattr(cost, kind, getattr(cost, kind) + units)
    if entry.kind in (EntryKind.FILL, EntryKind.LIQUIDATION) and fact is not None:
        deal = _deal(entry, number, sleeve, fact, changed, sum(causes.values()), owned, orders, closes)
        sheet.deals.append(deal)
        sheet.instruments.setdefault(deal.symbol, fact.instrument)
        _count(sheet.costs.setdefault((sleeve, deal.symbol), Cost(sleeve, deal.symbol)), deal, fact.instrument.quote == asset)
    for of, units in changed.items():
        owned[sleeve, of] = owned.get((sleeve, of), 0) + units


def _keep(moved: dict[tuple[str, str], list[Moved]], sleeve: str, one: Moved) -> None:
    """Add it as the last, and let go of the smallest of those between the first and the last when they are too many."""
    kept = moved.setdefault((sleeve, one.cause), [])
    kept.append(one)
    if len(kept) > LARGEST + 2:
        del kept[min(range(1, len(kept) - 1), key=lambda n: (abs(kept[n].units), -n))]


def _count(cost: Cost, deal: Deal, own: bool) -> None:
    cost.fills += 1
    cost.inside += deal.inside
    if not own:
        cost.elsewhere += 1
        return
    cost.turnover += deal.cost
    if deal.slippage is not None:
        cost.slippage = (cost.slippage or 0) + deal.slippage
        cost.measured += deal.cost


def _deal(
    entry: Entry,
    number: int,
    sleeve: str,
    fact: Fill | Liquidated,
    changed: Mapping[str, int],
    net: int,
    owned: Mapping[tuple[str, str], int],
    orders: Mapping[str, Order],
    closes: Mapping[str, _Closes],
) -> Deal:
    market = fact.instrument
    change, before = changed.get(market.symbol, 0), owned.get((sleeve, market.symbol), 0)
    opens = abs(before + change) > abs(before) if change else False
    if isinstance(fact, Fill):
        inside, slipped = fact.venue == INSIDE, _slippage(fact, orders.get(fact.order_id), closes.get(market.symbol))
        return Deal(
            number, fact.at, sleeve, market.symbol, fact.side.value, fact.qty, fact.price, fact.cost, fact.fee, net, opens, inside, False,
            fact.order_id, slipped,
        )  # fmt: skip
    qty = abs(change)  # an account's forced close is split among its sleeves: this is one's part
    side, fee = "buy" if change > 0 else "sell", Amount(_fee(entry, sleeve, market), market.quote)
    cost = market.cost(fact.price, qty, Rounding.HALF_EVEN)
    return Deal(number, fact.at, sleeve, market.symbol, side, qty, fact.price, cost, fee, net, opens, False, True, "", None)


def _fee(entry: Entry, sleeve: str, market: Instrument) -> int:
    here = ((role, asset, units) for (owner, role, _), asset, units in entry.postings if owner == sleeve)
    return sum(units for role, asset, units in here if role is Role.FEES and asset == market.quote)


def _slippage(fill: Fill, order: Order | None, closes: _Closes | None) -> int | None:
    """What a fill cost against the price that it was ordered at, in quote units; None where that price is not known."""
    if order is None:
        return None
    place, market = order.place, fill.instrument
    if fill.venue == INSIDE or (place.limit is not None and place.stop is None):
        return 0
    wanted = place.stop if place.stop is not None else None if closes is None else closes.at(order.at)
    if wanted is None:
        return None
    return market.cost((fill.price - wanted) * place.side.sign, fill.qty, Rounding.CEIL)


# -- returns over time -------------------------------------------------------------------------------------------------


class Period(NamedTuple):
    """From one known sample to the next: the return, flows apart, and what was made, in units."""

    since: int
    until: int
    gain: float
    net: int


class Month(NamedTuple):
    """A calendar month, UTC, of a sleeve or of several together.

    `gain` is None where no period ends in it. `since` and `until` are the first and the last sample that it was measured
    between; it is `whole` where both are within a day of the month's begin and end.
    """

    year: int
    month: int
    gain: float | None
    net: int
    since: int
    until: int
    whole: bool


def periods(samples: Sequence[Sample], first: int = 0) -> list[Period]:
    """The periods between samples whose equity is known. Samples before `first`, the first mark, count as being at it."""
    known = [sample for sample in samples if sample.equity is not None]
    if not known:
        return []
    paid = [0] + [b.paid_in - a.paid_in for a, b in pairwise(known)]
    taken = [0] + [b.taken_out - a.taken_out for a, b in pairwise(known)]
    gains = returns([float(s.equity or 0) for s in known], [float(one) for one in paid], [float(one) for one in taken])
    times = [max(sample.at, first) for sample in known]
    return [
        Period(times[i], times[i + 1], gain, (known[i + 1].equity or 0) - (known[i].equity or 0) - paid[i + 1] + taken[i + 1])
        for i, gain in enumerate(gains)
    ]


def days(spans: Iterable[Period]) -> dict[int, float]:
    """Returns compounded by UTC day (whole days since 1970) of the mark that ends them: one at midnight ends the day before."""
    found: dict[int, float] = {}
    for span in spans:
        day = (span.until - 1) // DAY
        found[day] = (1 + found.get(day, 0.0)) * left_of(span.gain) - 1
    return found


def months(spans: Iterable[Period]) -> list[Month]:
    """Periods by the calendar month, UTC, that they end in, from the first to the last; a month without one has no return."""
    found: dict[int, list[Period]] = {}
    for span in spans:
        found.setdefault(_month_of(span.until - 1), []).append(span)
    out = []
    for number in range(min(found, default=0), max(found, default=-1) + 1):
        year, month = divmod(number, 12)
        begin, end, here = _begin(number), _begin(number + 1), found.get(number, [])
        if not here:
            out.append(Month(year, month + 1, None, 0, begin, end, False))
            continue
        gain = compound([span.gain for span in here])
        since, until = here[0].since, here[-1].until
        whole = abs(since - begin) <= DAY and abs(until - end) <= DAY
        out.append(Month(year, month + 1, gain, sum(span.net for span in here), since, until, whole))
    return out


def years(of: Iterable[Month]) -> list[Month]:
    """Months by calendar year, `month` 0: their returns one after the other, and the sum of what they made. Whole where all twelve are."""
    found: dict[int, list[Month]] = {}
    for month in of:
        found.setdefault(month.year, []).append(month)
    out = []
    for year, here in found.items():
        gains = [month.gain for month in here if month.gain is not None]
        gain = compound(gains) if gains else None
        whole = len(here) == 12 and all(month.whole for month in here)
        out.append(Month(year, 0, gain, sum(month.net for month in here), here[0].since, here[-1].until, whole))
    return out


def _month_of(at: int) -> int:
    """The month of a time, counted from January of the year 0."""
    day = datetime.fromtimestamp(at // SECOND, UTC)
    return day.year * 12 + day.month - 1


def _begin(number: int) -> int:
    """When a month begins, in nanoseconds."""
    year, month = divmod(number, 12)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * SECOND


def underwater(spans: Sequence[Period]) -> list[tuple[int, float]]:
    """(at, how far the index of returns stands below its high before: 0 or less) at each sample."""
    if not spans:
        return []
    index = high = 1.0
    out = [(spans[0].since, 0.0)]
    for span in spans:
        index *= left_of(span.gain)
        high = max(high, index)
        out.append((span.until, index / high - 1 if high > 0 else 0.0))
    return out


def together(of: Sequence[Sequence[Sample]], marks: Sequence[int], like: type[Sample]) -> list[Sample]:
    """Several sleeves of one asset as one, at the marks, at which all of them were valued. Unknown while one of them is.

    Between marks only flows are known of all, so that what was paid in counts from the mark before, and what was taken
    out to the mark after.
    """
    out = []
    places = [0] * len(of)
    for at in marks:
        now = []
        for n, samples in enumerate(of):
            while places[n] < len(samples) and samples[places[n]].at <= at:
                places[n] += 1
            if places[n]:
                now.append(samples[places[n] - 1])
        if not now:
            continue
        known = all(sample.equity is not None for sample in now)
        rows = [(s.balance, s.realized, s.fees, s.returned, s.paid_in, s.taken_out) for s in now]
        equity = sum(sample.equity or 0 for sample in now) if known else None
        balance, realized, fees, returned, paid_in, taken_out = (sum(column) for column in zip(*rows, strict=True))
        out.append(like(at, balance, equity, realized, None if equity is None else equity - balance, fees, returned, paid_in, taken_out))
    return out


# -- pictures' raw material --------------------------------------------------------------------------------------------


class Candle(NamedTuple):
    """What a market did over a stretch of time, in price units; `at` is its begin."""

    at: int
    open: int
    high: int
    low: int
    close: int


_STEPS = tuple(
    [SECOND * n for n in (1, 5, 15, 30)]
    + [MINUTE * n for n in (1, 2, 5, 10, 15, 30)]
    + [HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)]
    + [DAY * n for n in (1, 2, 7, 14, 28)]
)


def candles(tape: Any, most: int = CANDLES) -> tuple[int, list[Candle]]:
    """(nanoseconds of a candle, the candles) of a tape: its own bars, or larger ones of them where there are more than `most`.

    Larger ones begin at round times: of an hour at full hours, and so on.
    """
    count = len(tape)
    if count <= most:
        return tape.interval, [Candle(*row[:5]) for row in tape.rows()]
    span = tape.at[-1] - tape.at[0]
    step = next((one for one in _STEPS if one > tape.interval and span // one + 2 <= most), max(1, -(-span // max(1, most - 2))))
    out: list[Candle] = []
    begin = None
    for at, open_, high, low, close, _ in tape.rows():
        if begin is None or at // step != begin:
            begin = at // step
            out.append(Candle(begin * step, open_, high, low, close))
        else:
            one = out[-1]
            out[-1] = Candle(one.at, one.open, max(one.high, high), min(one.low, low), close)
    return step, out


def thin(values: Sequence[float | None], most: int = POINTS) -> list[int]:
    """Which of these values to draw, as rising indexes: all of them when there are at most `most`.

    Of more, the first, and of each of equal stretches its least, its greatest, its last and its first unknown value:
    neither an extreme nor a gap is lost, and the line ends where it ended. `most` is at least 5.
    """
    if len(values) <= most:
        return list(range(len(values)))
    buckets = (most - 1) // 4
    kept = {0}
    for bucket in range(buckets):
        indexes = range(bucket * len(values) // buckets, (bucket + 1) * len(values) // buckets)
        known = [(value, i) for i in indexes if (value := values[i]) is not None]
        kept.add(indexes[-1])
        if known:
            kept |= {min(known)[1], max(known)[1]}
        if len(known) < len(indexes):
            kept.add(next(i for i in indexes if values[i] is None))
    return sorted(kept)
