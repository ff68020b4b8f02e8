"""What venues tell of orders: fills that are booked, with what follows from them, and orders that are done.

A fill has happened and is always booked, once, to the sleeve that ordered it. What cannot be booked is told and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import booking
from .blotter import Blotter, Working
from .books import Books
from .bundles import Bundles
from .market import Instrument
from .money import Rounding, divide
from .netting import Netting
from .netting import missing as short_of
from .orders import (
    ORDER_TRANSITIONS,
    Accepted,
    Canceled,
    CancelOrder,
    Command,
    Fill,
    OrderReport,
    OrderStatus,
    Place,
    Rejected,
    Side,
    Unanswered,
)
from .records import Alert, Crossed, Level, OrderUpdate, Record
from .seat import Seat
from .sleeve import Sleeve, move_together
from .status import Move
from .stops import FLATTEN_TRIES, Stops
from .trades import closes, entry_of

__all__ = ["Answers"]

NOTHING: tuple[Command, ...] = ()


class Answers:
    """The ears of one desk for its orders. `index` registers an instrument."""

    def __init__(
        self,
        books: Books,
        blotter: Blotter,
        netting: Netting,
        stops: Stops,
        bundles: Bundles,
        index: Callable[[Instrument], int],
    ) -> None:
        self._books = books
        self._blotter = blotter
        self._netting = netting
        self._stops = stops
        self._bundles = bundles
        self._index = index

    def filled(self, fill: Fill) -> Sequence[Command]:
        known = self._books.fact(fill.key)
        if known is not None:
            if known != fill:
                text = f"{fill.key} came again with other content and was not booked: {fill}"
                self._books.set_aside(fill, "conflict", Alert(fill.at, Level.CRITICAL, fill.order_id, "fill_conflict", text))
            return NOTHING
        working = self._blotter.find(fill.order_id)
        if working is None or not _same_trade(working.order.place, fill):
            text = f"{fill.key} belongs to no order of this desk and was not booked: {fill}"
            self._books.set_aside(fill, "unattributed", Alert(fill.at, Level.CRITICAL, fill.order_id, "fill_unattributed", text))
            return NOTHING
        self._index(fill.instrument)
        closed = closes(working.seat.sleeve, fill)
        records, overdrawn = self._records(working, fill)
        if overdrawn:
            why = f"overdrawn by {fill.key}"
            move_together(self._books, records, [(working.seat.sleeve, Move.BREACH, why)], by="desk", at=fill.at)
        else:
            self._books.post(*records)
        self._note(working, fill)
        commands = self._after_fill(working.seat, fill, closed, overdrawn)
        return [*commands, *self._go_on(fill.order_id, fill.at)] if self._bundles.flights else commands

    def crossed(self, crossed: Crossed, fills: Sequence[Fill]) -> list[Command]:
        """A trade inside: both fills with the record of it, or nothing."""
        trades, closed = [], []
        for fill in fills:
            working = self._blotter.get(fill.order_id)
            assert working is not None, "what is traded inside was ordered here"
            trades.append((working, fill))
            closed.append(closes(working.seat.sleeve, fill))
        overdrawn = self._book(trades, crossed)
        commands: list[Command] = []
        for (working, fill), one in zip(trades, closed, strict=True):
            commands += self._after_fill(working.seat, fill, one, overdrawn)
        return commands

    def _go_on(self, order_id: str, at: int) -> list[Command]:
        """What a bundle does next; nothing is ordered before the desk is recovered."""
        return [] if self._stops.recovering or not self._bundles.flights else self._bundles.after(order_id, at)

    def _book(self, trades: Sequence[tuple[Working, Fill]], *first: Record) -> bool:
        """Book fills, with what they do to sleeves' status, all of it or nothing. Returns whether one overdrew."""
        records: list[Record] = list(first)
        moves: list[tuple[Sleeve, Move, str]] = []
        for working, fill in trades:
            more, overdraws = self._records(working, fill)
            records += more
            if overdraws:
                moves.append((working.seat.sleeve, Move.BREACH, f"overdrawn by {fill.key}"))
        if moves:
            move_together(self._books, records, moves, by="desk", at=trades[0][1].at)
        else:
            self._books.post(*records)
        for working, fill in trades:
            self._note(working, fill)
        return bool(moves)

    def _records(self, working: Working, fill: Fill) -> tuple[list[Record], bool]:
        """What a fill is booked with, and whether it overdraws."""
        sleeve, place, by = working.seat.sleeve, working.order.place, fill.venue or "venue"
        held = self._books.ledger.units(working.held, working.asset)
        if fill.qty < place.qty - working.filled:
            held = self._used(working, fill, held)
        entry = entry_of(sleeve, fill, held=held, by=by, account=working.held)
        records: list[Record] = [fill, entry]
        if self._books.residuals:
            records[1:1] = self._books.release(fill.key, at=fill.at, by=by)

        def tell(code: str, text: str) -> None:
            records.append(Alert(fill.at, Level.CRITICAL, sleeve.name, code, text))

        filled = working.filled + fill.qty
        if filled > place.qty:
            tell("overfill", f"{working.order.id} filled {filled} of {place.qty} units")
        if working.leg and not self._bundles.knows(fill.order_id):
            what = f"{fill.side} {fill.instrument.qty_text(fill.qty)} {fill.instrument}"
            tell("lone_leg", f"{fill.key} is of a leg of a bundle that is over: {what} stands alone")
        missing = short_of(self._books, entry)
        if missing is not None:
            tell("overdrawn", f"{fill.key} left {missing} free: no new risk until this is cleared")
        return records, missing is not None

    def _note(self, working: Working, fill: Fill) -> None:
        """A fill is booked: the blotter, the slices and the bundles know of it."""
        market = fill.instrument
        self._books.booked(fill)
        working.filled += fill.qty
        if market.contract is not None:
            self._netting.moved(market, fill.at, working.order.sleeve, fill.side.sign * fill.qty)
        if working.filled >= working.order.place.qty:
            self._blotter.move(working, OrderStatus.FILLED)
        if self._bundles.flights:
            self._bundles.filled(fill, done=working.status.done)

    @staticmethod
    def _used(working: Working, fill: Fill, held: int) -> int:
        """The part of a hold that a partial fill uses up: its share, or what it cost where that is more."""
        share = divide(held * fill.qty, working.left, Rounding.DOWN)
        market, place = fill.instrument, working.order.place
        if market.contract is not None:
            against = max(0, -place.side.sign * working.seat.sleeve.position_units(market))
            opens, left = max(0, fill.qty - against), max(0, working.left - against)
            return divide(held * opens, left, Rounding.DOWN) if left else share
        if fill.side is Side.SELL:
            return min(held, fill.qty)
        spent = fill.cost + (fill.fee.units if fill.fee.asset == working.asset else 0)
        return min(held, max(share, spent))

    def _after_fill(self, seat: Seat, fill: Fill, closed: bool, overdrawn: bool) -> Sequence[Command]:
        sleeve, view, contract = seat.sleeve, seat.view, fill.instrument.contract
        exit_ = closed if contract is not None else fill.side is Side.SELL
        if exit_ and (view._last_exit is None or fill.at > view._last_exit):
            view._last_exit = fill.at
        if closed and sleeve.is_flat():
            if sleeve.policy.share_ppm:
                sleeve.vault.sweep(sleeve, ref=fill.key, at=fill.at)
            sleeve.vault.land(sleeve, at=fill.at)
        commands: list[Command] = []
        if contract is not None:
            if self._books.quarantine:
                commands += self._netting.retry(fill.instrument)
            if closed:
                commands += self._netting.settle_if_closed(sleeve, fill.instrument)
        if seat.flatten_by:
            return [*commands, *self._stops.flatten(seat, fill.at)]
        if overdrawn:
            return [*commands, *self._stops.cancel_opening(seat)]
        if contract is not None or (fill.side is Side.BUY and not sleeve.status.may_open):
            return [*commands, *self._stops.cancel_opening(seat, closing=True)]
        return commands

    def accepted(self, event: Accepted) -> Sequence[Command]:
        working = self._blotter.get(event.order_id)
        if working is not None and working.status in (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN):
            self._books.record(OrderUpdate(event.at, event.order_id, OrderStatus.OPEN, event.venue_id))
            found = working.status is OrderStatus.UNKNOWN
            self._blotter.move(working, OrderStatus.OPEN)
            if found and working.seat.flatten_by and not self._stops.recovering and event.order_id not in self._stops.flattening:
                return [CancelOrder(working.order)]  # the cancel that went out with the stop may not have found it
        return NOTHING

    def unanswered(self, event: Unanswered) -> Sequence[Command]:
        """Whether the venue has the order is not known: what it holds stays held until the venue tells.

        A flattening goes on with the rest.
        """
        working = self._blotter.get(event.order_id)
        if working is not None and OrderStatus.UNKNOWN in ORDER_TRANSITIONS[working.status]:
            self._books.record(OrderUpdate(event.at, event.order_id, OrderStatus.UNKNOWN, event.reason))
            self._blotter.move(working, OrderStatus.UNKNOWN)
            if working.seat.flatten_by:
                return self._stops.flatten(working.seat, event.at)
        return NOTHING

    def reported(self, report: OrderReport) -> Sequence[Command]:
        """The venue was asked and has answered. An order is taken for done only when its fills are booked: they come apart."""
        if report.status is OrderStatus.OPEN:
            return self.accepted(Accepted(report.order_id, report.at, report.venue_id))
        working = self._blotter.get(report.order_id)
        if working is None or working.status.done or report.filled > working.filled or report.status is OrderStatus.FILLED:
            return NOTHING
        return self.off(report.order_id, report.at, report.status, report.reason)

    def canceled(self, event: Canceled) -> Sequence[Command]:
        return self.off(event.order_id, event.at, OrderStatus.CANCELED, event.reason)

    def rejected(self, event: Rejected) -> Sequence[Command]:
        working = self._blotter.get(event.order_id)
        if working is not None and not working.status.done and event.order_id in self._stops.flattening:
            seat, market = working.seat, working.order.place.instrument
            if event.reached:
                seat.flatten_tries[market.symbol] = FLATTEN_TRIES
                text = f"flattening order {event.order_id} was rejected: {event.reason}; what is left of {market} stays open"
                self._stops.alert(event.at, Level.CRITICAL, seat.sleeve.name, "residual", text)
            else:
                self._stops.not_reached(seat, working.order, event.at, event.reason)
        return self.off(event.order_id, event.at, OrderStatus.REJECTED, event.reason)

    def off(self, order_id: str, at: int, status: OrderStatus, reason: str) -> Sequence[Command]:
        """An order is off the venue's book: what it still holds is free again."""
        working = self._blotter.get(order_id)
        if working is None or working.status.done:
            return NOTHING
        update = OrderUpdate(at, order_id, status, reason)
        held = self._books.ledger.units(working.held, working.asset)
        if held:
            self._books.post(update, booking.release(working.order.sleeve, order_id, working.asset, held, at=at, by="venue", why=reason))
        else:
            self._books.record(update)
        self._blotter.move(working, status)
        self._bundles.off(order_id)
        seat = working.seat
        if seat.sleeve.is_flat() and not seat.open_orders:
            seat.sleeve.vault.sweep(seat.sleeve, ref=order_id, at=at)
        commands = self._go_on(order_id, at)
        return [*commands, *self._stops.flatten(seat, at)] if seat.flatten_by else commands


def _same_trade(place: Place, fill: Fill) -> bool:
    """Whether a fill is of the instrument and side that were ordered."""
    return place.side is fill.side and (place.instrument is fill.instrument or place.instrument == fill.instrument)
