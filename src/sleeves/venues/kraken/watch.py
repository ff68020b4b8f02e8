"""What is known of orders at Kraken, and what of it was told: execution reports and listings in, events out, each once.

    execution report   new, trade, filled, canceled, expired ...    by WebSocket, twice or not at all where a wire is bad
    listing            an order as REST shows it                    what became of it, however it came to that

An order is told as accepted once, and as off the book once, and only when every fill that Kraken counts of it was told: until then
its end is kept back. A trade is not told from here: it waits in `pending` for its ledger lines. Whose order it is says its client
id; one of nobody's bears Kraken's own id, and of it only fills are told.

It asks nothing, and waits for nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import define, frozen

from ...errors import InvalidAmount, InvalidMarket
from ...market import SECOND, Instrument
from ...orders import Accepted, Canceled, Event, Fill, Order, OrderReport, OrderStatus, Rejected, Side
from ..ids import ClientIds
from .client import OrderInfo, TradeInfo
from .ledger import Execution
from .names import Names

__all__ = ["Track", "Watch", "instant", "report_of"]

log = logging.getLogger("sleeves.venues.kraken")

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 what is subtracted from it is UTC by the format
_ENDS = {"filled": OrderStatus.FILLED, "closed": OrderStatus.FILLED, "canceled": OrderStatus.CANCELED, "expired": OrderStatus.CANCELED}
_ON_THE_BOOK = frozenset({"new", "partially_filled"})
LESS = "closed with less than was ordered"
"""Why an order is off the book that Kraken calls filled with less: somebody amended it."""
BEFORE = 5 * SECOND
"""What is dated so long before an order was sent is of another one, of former books, under the same id."""
_STEP = 100_000
"""REST shows times to a tenth of a millisecond: what is told of an order's life is rounded down to that, so that no fill is before it."""


def instant(text: object) -> int | None:
    """An RFC 3339 time, as Kraken writes them ("2026-11-20T23:40:00.123456Z"), in ns UTC, exactly; None for what is none."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return None
    whole, _, decimals = text[:-1].partition(".")
    if len(decimals) > 9 or (decimals and not (decimals.isascii() and decimals.isdigit())):
        return None
    try:
        seconds = (datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S") - _EPOCH) // timedelta(seconds=1)  # noqa: DTZ007 see _EPOCH
    except ValueError:
        return None
    return seconds * SECOND + int(decimals.ljust(9, "0") or "0")


def figure(value: object) -> Decimal | None:
    """A figure of an execution report; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        return None
    try:
        found = Decimal(value)
    except ArithmeticError:
        return None
    return found if found.is_finite() else None


@frozen
class Ended:
    """How an order went off the book; `filled` are the base units that Kraken counts of it, None where it did not say."""

    status: OrderStatus
    at: int
    reason: str
    filled: int | None


@define
class Track:
    """One order: `order_id` is ours, or Kraken's where it is nobody's; None while whose it is is not known."""

    order_id: str | None = None
    mine: bool = False
    txid: str = ""
    order: Order | None = None
    market: Instrument | None = None
    side: Side | None = None
    qty: int | None = None
    sent_at: int = 0
    handed: bool = False
    """Whether it left, as far as is known."""
    deadline: int | None = None
    """Until when the engine takes it, if it was sent so, in ns of Kraken's time."""
    accepted: bool = False
    refused: Rejected | None = None
    told: int = 0
    last: int = 0
    """The latest time that was told of it."""
    ended: Ended | None = None
    done: bool = False
    opened: int | None = None
    """When Kraken opened it, where a listing said so."""
    foreign: bool = False
    """Whether it bears an id of ours and is not that order: it is of former books."""
    presumed: bool = False
    """Whether it was refused here because Kraken shows it nowhere, and not by Kraken's word."""

    @property
    def followed(self) -> bool:
        """Whether what becomes of it is told from here: it was sent from here, or was open since."""
        return self.order is not None or self.accepted


class Watch:
    """The orders of an account. `tell` is called with each event; `now` gives Kraken's time in ns."""

    def __init__(
        self,
        ids: ClientIds,
        names: Names,
        markets: Mapping[str, Instrument],
        tell: Callable[[Event], None],
        now: Callable[[], int],
    ) -> None:
        self.names = names
        self.pending: dict[str, Execution] = {}
        """Trades that were reported and not told, by their ids."""
        self.told: set[str] = set()
        """The ids of trades that were told."""
        self.strange: dict[str, None] = {}
        """Kraken's ids of orders of which it is to be found out whose they are."""
        self.short: dict[str, None] = {}
        """Kraken's ids of orders that have more fills than were reported."""
        self.unsaid: dict[str, None] = {}
        """Kraken's ids of orders that are off the book, and how far they were filled was not said."""
        self._ids = ids
        self._markets = markets
        self._tell = tell
        self.now = now
        """Kraken's time, in ns UTC."""
        self._ours: dict[str, Track] = {}
        self._running: dict[str, Track] = {}
        """Orders of ours that were sent from here, or open since, until they are known to be off the book."""
        self._theirs: dict[str, Track] = {}
        self.sending = 0
        """How many orders are on their way, so that what is reported of nobody's order may still prove to be ours."""

    # -- what we do ----------------------------------------------------------------------------------------------------------

    def of(self, order_id: str) -> Track | None:
        """What is known of an order of ours."""
        return self._ours.get(order_id)

    def at(self, txid: str) -> Track | None:
        """What is known of an order by Kraken's id."""
        return self._theirs.get(txid)

    def sent(self, order: Order, at: int) -> Track:
        """An order is sent now."""
        track = self._ours.get(order.id) or Track(order.id, True)
        track.order, track.sent_at = order, at
        track.market, track.side, track.qty = order.place.instrument, order.place.side, order.place.qty
        self._ours[order.id] = self._running[order.id] = track
        self.sending += 1
        return track

    def answered(self, track: Track, txid: str = "") -> None:
        """AddOrder was answered, or its answer is lost."""
        self.sending = max(0, self.sending - 1)
        if txid:
            self.join(track, txid)

    def refuse(self, order: Order, reason: str, *, reached: bool = True) -> None:
        """An order was refused, there or here: told once."""
        track = self._ours.setdefault(order.id, Track(order.id, True))
        track.order, track.done = order, True
        track.refused = Rejected(order.id, max(order.at, self.now()), reason, reached)
        self._tell(track.refused)

    def follow(self, before: Watch) -> None:
        """Orders that were refused, or whose fate is not known, are kept from an earlier opening: Kraken may show nothing of them."""
        for order_id, track in before._ours.items():
            if track.order is not None and not track.txid:
                self._ours[order_id] = track
                if not track.done:
                    self._running[order_id] = track

    def disown(self, track: Track) -> None:
        """An order bears an id of ours, and is another one than that: its fills are nobody's from now on."""
        if track.order_id is not None and self._ours.get(track.order_id) is track:
            del self._ours[track.order_id]
            self._running.pop(track.order_id, None)
        track.mine, track.foreign, track.order_id, track.order = False, True, track.txid, None

    def forget(self, track: Track) -> None:
        """Nothing of it was sent."""
        if track.order_id is not None and not track.txid:
            self._ours.pop(track.order_id, None)
            self._running.pop(track.order_id, None)

    # -- what Kraken reports -------------------------------------------------------------------------------------------------------

    def report(self, item: Mapping[str, Any], since: int = 0) -> None:
        """One execution report. A trade from before `since` is passed over: it was told by whoever asked then."""
        txid = item.get("order_id")
        if not isinstance(txid, str) or not txid:
            return
        kind, status = str(item.get("exec_type", "")), str(item.get("order_status", ""))
        at = instant(item.get("timestamp"))
        track = self._track(txid, item.get("cl_ord_id"), at)
        self._describe(track, item)
        at = self.now() if at is None else at
        if kind == "trade" or (item.get("exec_id") and item.get("last_qty") is not None):
            trade = self._trade(track, item, at)
            if trade is None:
                self.short[txid] = None
            elif trade.at >= since:
                self._accept(track, at)
                self.add(trade)
            else:
                return
        end = kind if kind in _ENDS else status  # what the order is counts, whatever the report is called
        if kind == "rejected" or end in _ENDS:
            end = "rejected" if kind == "rejected" else end
            self._accept(track, at, only=end == "filled")
            self._end(track, end, at, str(item.get("reason") or item.get("cancel_reason") or ""), figure(item.get("cum_qty")))
        elif kind == "new" or (status in _ON_THE_BOOK and kind != "pending_new"):
            self._accept(track, at)

    def listed(self, info: OrderInfo, *, end: bool = True) -> Track:
        """An order as REST shows it; with `end`, what became of it counts, and is told where no report told it."""
        track = self._track(info.id, info.cl_ord_id, info.opened, sure=True)
        track.opened = info.opened or track.opened
        if track.order_id is None:
            track.order_id = info.id  # it has no client id: it is nobody's here
        self.strange.pop(info.id, None)
        if track.market is None:
            track.market = self._market(info.pair)
        track.side = track.side or Side(info.side)
        if track.market is not None and track.qty is None:
            track.qty = self._units(track.market, info.qty)
        if end:
            if info.status in ("open", "closed") or info.filled:
                self._accept(track, info.opened or self.now())
            if info.status in _ENDS:
                self._end(track, info.status, info.closed or self.now(), info.reason, info.filled, asked=True)
        self._settle(track)
        return track

    def nobody(self, txid: str) -> None:
        """Kraken does not say whose order this is: it is none of ours."""
        self.strange.pop(txid, None)
        track = self._track(txid, None)
        track.order_id = track.order_id or txid

    def add(self, trade: Execution) -> None:
        """A trade was reported, or found. Told before or waiting, it changes nothing."""
        if trade.id in self.told or trade.id in self.pending:
            return
        if trade.margin:
            log.info("trade %s is on margin: no coins of the wallet were traded", trade.id)
            return
        self.pending[trade.id] = trade
        track = self._track(trade.order, None)
        if track.order_id is None:
            self.strange[trade.order] = None

    def drop(self, trade: Execution) -> None:
        """A report of a trade is one that is listed under another id: it is none of its own."""
        self.pending.pop(trade.id, None)
        self.told.add(trade.id)

    def fill(self, fill: Fill, trade: Execution) -> None:
        """The fill of a trade was made: it is told, unless it was."""
        self.pending.pop(trade.id, None)
        if trade.id in self.told:
            return
        self.told.add(trade.id)
        track = self._track(trade.order, None)
        if track.mine:
            self._accept(track, fill.at)
        self._tell(fill)
        track.told += fill.qty
        track.last = max(track.last, fill.at)
        self._settle(track)

    # -- what is open ------------------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something that was reported is not told yet."""
        return bool(self.pending or self.strange or self.short or self.unsaid)

    def unfinished(self) -> list[Track]:
        """Orders of ours that were sent from here, or open since, and are not off the book as far as is known."""
        for order_id in [name for name, track in self._running.items() if track.done or track.ended is not None]:
            del self._running[order_id]
        return list(self._running.values())

    def missing(self, txid: str) -> bool:
        """Whether an order still lacks fills, now that the list of trades was read; what it lacked and has is settled."""
        track = self._theirs.get(txid)
        if track is None:
            self.short.pop(txid, None)
            return False
        if track.ended is None or track.ended.filled is None or track.told + self._waiting(txid) >= track.ended.filled:
            self.short.pop(txid, None)
            self._settle(track)
        return txid in self.short

    def execution(self, trade: TradeInfo) -> Execution:
        """A trade of the list of trades. Raises `InvalidMarket` for a pair that is not known."""
        pair = self.names.pair(trade.pair)
        market = self._markets.get(pair.symbol) or pair.instrument
        fees = ((pair.quote, trade.fee),) if trade.fee else ()
        side, maker = Side(trade.side), bool(trade.maker)
        figures = trade.price, trade.qty, trade.cost
        return Execution(trade.id, trade.order, trade.at, market, side, *figures, fees, maker, bool(trade.margin), trade.ledgers)

    # -- how -----------------------------------------------------------------------------------------------------------------------

    def _track(self, txid: str, client_id: object, at: int | None = None, *, sure: bool = False) -> Track:
        """An order by Kraken's id, found by its client id where that is ours. What is dated long before ours was sent is not that; with
        `sure`, that date is when it was opened.
        """
        track = self._theirs.get(txid)
        ours = self._ids.order_id(client_id)
        nobodys = track is not None and track.order_id == txid and not track.mine and not track.foreign
        if track is None or (ours is not None and (track.order_id is None or nobodys)):
            known = self._ours.get(ours) if ours is not None else None
            other = known is not None and bool(known.txid) and known.txid != txid  # an older order of the same number, of other books
            old = known is not None and known.order is not None and at is not None and at + BEFORE < known.sent_at
            if known is not None and track is not None and not other and not old:
                self.join(known, txid)
                return known
            track = track or (Track() if known is None or other or old else known)
            track.txid = txid
            if other or (old and sure):
                track.order_id, track.foreign = txid, True
            elif old:
                pass  # a listing says which of the two it is
            elif ours is not None:
                track.order_id, track.mine = ours, True
                self._ours.setdefault(ours, track)
            elif client_id is not None and track.order_id is None:
                track.order_id = txid  # somebody else's client id
            self._theirs[txid] = track
            if track.order_id is not None:
                self.strange.pop(txid, None)
        return track

    def join(self, track: Track, txid: str) -> None:
        """It is known now that this order of ours is that one of Kraken's: what was reported of it before counts."""
        known = self._theirs.get(txid)
        track.txid = txid
        self._theirs[txid] = track
        self.strange.pop(txid, None)
        if known is not None and known is not track:
            track.told += known.told
            track.last = max(track.last, known.last)
            if known.accepted:
                self._accept(track, known.last)
            track.ended, track.opened = track.ended or known.ended, track.opened or known.opened
            self._settle(track)

    def _describe(self, track: Track, item: Mapping[str, Any]) -> None:
        if track.market is None and "symbol" in item:
            track.market = self._market(item["symbol"])
        if track.side is None and item.get("side") in ("buy", "sell"):
            track.side = Side(item["side"])
        qty = figure(item.get("order_qty"))
        if track.qty is None and qty is not None and track.market is not None:
            track.qty = self._units(track.market, qty)

    def _trade(self, track: Track, item: Mapping[str, Any], at: int) -> Execution | None:
        """The trade that a report tells, or None where it does not say all that is needed."""
        trade_id, price, qty = item.get("exec_id"), figure(item.get("last_price")), figure(item.get("last_qty"))
        market = track.market
        if not isinstance(trade_id, str) or not trade_id or price is None or qty is None or track.side is None or market is None:
            return None
        if price <= 0 or qty <= 0:
            return None
        listed, fees = item.get("fees"), []
        for fee in listed or ():
            paid = figure(fee.get("qty")) if isinstance(fee, Mapping) else None
            if paid is None or not isinstance(fee.get("asset"), str):
                return None
            fees.append((fee["asset"], paid))
        maker, margin = item.get("liquidity_ind") == "m", item.get("margin") is True
        known = None if listed is None else tuple(fees)  # a fee that was not told is not none
        return Execution(trade_id, track.txid, at, market, track.side, price, qty, figure(item.get("cost")), known, maker, margin)

    def _accept(self, track: Track, at: int, *, only: bool = True) -> None:
        if not only or track.accepted or not track.mine or track.order_id is None or track.done:
            return
        track.accepted = True
        if not track.done and track.ended is None:
            self._running[track.order_id] = track
        begun = track.order.at if track.order is not None else 0
        at = max(at // _STEP * _STEP, begun)
        track.last = max(track.last, at)
        self._tell(Accepted(track.order_id, at, track.txid))

    def _end(self, track: Track, kind: str, at: int, reason: str, filled: Decimal | None, *, asked: bool = False) -> None:
        """It is off the book. How far it was filled is asked for where it is not said: a fill may come behind."""
        if track.ended is not None or track.done:
            return
        if track.order_id is None or (track.mine and track.market is None):
            self.strange[track.txid] = None  # a listing says the rest
            return
        units = None if filled is None or track.market is None else self._units(track.market, filled)
        status = _ENDS.get(kind, OrderStatus.REJECTED)
        if units is None and status is OrderStatus.FILLED and track.qty is not None:
            units = track.qty if asked or track.told + self._waiting(track.txid) >= track.qty else None
        if units is None and not asked and track.mine and status is not OrderStatus.REJECTED:
            self.unsaid[track.txid] = None
            return
        self.unsaid.pop(track.txid, None)
        track.ended = Ended(status, at, reason or ("expired" if kind == "expired" else ""), units)
        self._settle(track)

    def _settle(self, track: Track) -> None:
        """Tell that an order is off the book, once all its fills are told."""
        ended = track.ended
        if ended is None or track.done or track.order_id is None:
            return
        if any(trade.order == track.txid for trade in self.pending.values()):
            return
        if ended.filled is not None and track.told < ended.filled:
            if track.mine:
                self.short[track.txid] = None
            return
        self.short.pop(track.txid, None)
        track.done = True
        ordered = track.order.place.qty if track.order is not None else track.qty
        less = ordered is not None and max(track.told, ended.filled or 0) < ordered
        if not track.mine or (ended.status is OrderStatus.FILLED and not less):
            return
        at = max(ended.at // _STEP * _STEP, track.last)
        if track.order is not None:
            at = max(at, track.order.at)
        if ended.status is OrderStatus.REJECTED and not track.told:
            track.refused = Rejected(track.order_id, at, ended.reason or "rejected")
            self._tell(track.refused)
        else:
            self._tell(Canceled(track.order_id, at, LESS if ended.status is OrderStatus.FILLED else ended.reason))

    def _waiting(self, txid: str) -> int:
        """So much of an order was reported as traded, and is not told."""
        return sum(self._units(trade.market, trade.qty) or 0 for trade in self.pending.values() if trade.order == txid)

    def _market(self, name: object) -> Instrument | None:
        try:
            pair = self.names.pair(str(name))
            return self._markets.get(pair.symbol) or pair.instrument
        except InvalidMarket:
            return None

    def _units(self, market: Instrument, qty: Decimal) -> int | None:
        try:
            return market.base(qty).units
        except InvalidAmount:
            return None


_STATUSES = {"open": OrderStatus.OPEN, "pending": OrderStatus.OPEN, **_ENDS}


def report_of(info: OrderInfo, order_id: str, market: Instrument, now: int, ordered: int | None = None) -> OrderReport:
    """An order as REST shows it, as a report; one that is closed with less than was `ordered` is canceled.

    Raises `InvalidMarket` for an unknown status, `InvalidAmount` for a figure too fine.
    """
    status = _STATUSES.get(info.status)
    if status is None:
        raise InvalidMarket(f"order {info.id} of Kraken has a status {info.status!r} that is not known")
    filled = market.base(info.filled).units
    at = (info.closed if status is not OrderStatus.OPEN else now) or now
    if status is OrderStatus.FILLED and ordered is not None and filled < ordered:
        return OrderReport(order_id, at, OrderStatus.CANCELED, filled, LESS, info.id)
    return OrderReport(order_id, at, status, filled, info.reason, info.id)
