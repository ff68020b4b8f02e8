"""Bundles carried out: leg after leg, a failed one again, and what then stands alone taken back to the unit.

    RUNNING       send leg n for what the legs before it call for; filled: the next leg
    a leg fails   again, up to the bundle's tries; then go on with the part that is filled
    at the end    what no other leg matches is rolled back, or left with an alert

After a restart no leg is sent: what stands alone is rolled back. Legs are judged by the gates when the bundle is
accepted, whole and once; those that follow are asked of the core gates again when they are sent, and so is what rolls back
and opens. What rolls back and only closes is asked of no gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import evolve

from . import booking
from .books import Books
from .flight import Flight, least
from .gates import CORE, describe, opens, size
from .ledger import Account, Entry, Role
from .orders import Bundle, Command, Fill, Place, Side, SubmitOrder
from .protocols import Gate
from .records import Alert, Bundled, BundleStatus, BundleUpdate, Level, Placed, Record, Refusal
from .seat import Seat
from .status import Status

__all__ = ["Bundles", "Judge", "Submit"]

NOTHING: tuple[Command, ...] = ()


class Judge(Protocol):
    """The first refusal of a sleeve's gates, or of these."""

    def __call__(self, seat: Seat, place: Place, gates: Sequence[Gate] | None = None) -> Refusal | None: ...


class Submit(Protocol):
    """Hold the money and journal an order; `bundle` and `leg` say what it is part of."""

    def __call__(self, seat: Seat, place: Place, now: int, by: str, bundle: str = "", leg: int = 0) -> SubmitOrder: ...


class Bundles:
    """All bundles of a desk that are under way."""

    def __init__(self, seats: Mapping[str, Seat], books: Books, judge: Judge, order: Submit, land: Callable[[Seat, int], None]) -> None:
        self.flights: dict[str, Flight] = {}
        self.waiting: dict[str, None] = {}
        """Bundles that wait for a price, by id."""
        self._seats = seats
        self._books = books
        self._judge = judge
        self._order = order
        self._land = land

    # -- what is told ----------------------------------------------------------------------------------------------------

    def remember(self, flights: Mapping[str, Flight], sleeve: str) -> None:
        """Take up what the journal says of a sleeve's bundles."""
        for name, flight in flights.items():
            if flight.record.sleeve == sleeve:
                self.flights[name] = flight.copy()
                self._seats[sleeve].view.bundles += 1

    def placed(self, record: Placed) -> None:
        if record.bundle:
            self.flights[record.bundle].placed(record)

    def filled(self, fill: Fill, *, done: bool) -> None:
        """A fill is booked; `done` says whether its order has no more to come."""
        flight = self._of(fill.order_id)
        if flight is not None:
            flight.fill(fill)
            if done:
                flight.off(fill.order_id)

    def knows(self, order_id: str) -> bool:
        """Whether an order is of a bundle that is under way."""
        return self._of(order_id) is not None

    def off(self, order_id: str) -> None:
        """An order is done without being filled whole."""
        for flight in self.flights.values():
            flight.off(order_id)

    def _of(self, order_id: str) -> Flight | None:
        return next((flight for flight in self.flights.values() if order_id in flight.orders), None)

    # -- a wish ----------------------------------------------------------------------------------------------------------

    def begin(
        self, seat: Seat, bundle: Bundle, now: int, by: str, reserve: Callable[[str, Seat, Sequence[Place], int], None] | None = None
    ) -> list[Command] | Refusal:
        """Accept a bundle whole and send its first leg, or say what refuses it; then nothing has changed.

        `reserve` is told of a bundle that was accepted, before its first leg leaves.
        """
        notes: dict[str, str] = {}
        judged = self._judge_all(seat, bundle, notes)
        if isinstance(judged, Refusal):
            return judged
        self._land(seat, now)
        seat.counter += 1
        sleeve = seat.sleeve
        record = Bundled(now, f"{sleeve.name}-b{seat.counter}", sleeve.name, by, bundle, tuple(judged), notes)
        kept = sum(judged)
        holds = [booking.hold(sleeve.name, record.id, sleeve.asset, kept, at=now, by=by)] if kept else []
        self._books.post(record, *holds)
        self.flights[record.id] = Flight.begin(record)
        seat.view.bundles += 1
        if reserve is not None:
            reserve(record.id, seat, bundle.legs, now)
        return [self._order(seat, bundle.legs[0], now, by, record.id, 0)]

    def _judge_all(self, seat: Seat, bundle: Bundle, notes: dict[str, str]) -> list[int] | Refusal:
        """What is to be set aside for each leg until it is sent; or the first refusal, of the bundle as a whole.

        `notes` are filled with what gates had to say of it: what takes new risk is weighed.
        """
        view = seat.view
        reserves: list[int] = []
        left = 0
        view.legs = bundle.legs
        try:
            for n, leg in enumerate(bundle.legs):
                refusal = self._judge(seat, leg)
                if refusal is not None:
                    return evolve(refusal, wish=" then ".join(map(describe, bundle.legs)))
                if not notes and opens(leg, view):
                    notes |= seat.notes(leg)
                needs = view.needs(leg) or 0
                left = view.own_free() - needs if n == 0 else left
                reserves.append(max(0, min(needs, left)) if n else 0)
                left -= reserves[-1]
                view.assume(leg)
        finally:
            view.legs = ()
            view.forget()
        return reserves

    # -- what follows ----------------------------------------------------------------------------------------------------

    def after(self, order_id: str, now: int) -> list[Command]:
        """What is to be done now that an order is filled, in part or whole, or off the book."""
        flight = self._of(order_id)
        if flight is None or flight.out:
            return []
        return self._go_on(flight, max(now, *self._priced(flight)))  # what a venue tells late is answered at the prices of now

    def _priced(self, flight: Flight) -> list[int]:
        """When the prices of its legs were told; zero for one that has none."""
        books = [self._seats[flight.record.sleeve].view.book_of(leg.instrument) for leg in flight.legs]
        return [0 if book is None else book.at for book in books]

    def look(self, now: int) -> list[Command]:
        """Prices have come: go on with what waited for one."""
        waiting, self.waiting = self.waiting, {}
        return [command for name in waiting if name in self.flights for command in self._go_on(self.flights[name], now)]

    def take_back(self, seat: Seat, now: int, why: str) -> list[Command]:
        """Send no more legs of a sleeve's bundles: what stands alone is rolled back as soon as their orders are done."""
        commands: list[Command] = []
        for flight in [one for one in self.flights.values() if one.record.sleeve == seat.sleeve.name]:
            if flight.status is BundleStatus.RUNNING:
                commands += self._roll_back(flight, seat, now, why)
            elif not flight.out:
                commands += self._go_on(flight, now)
        return commands

    def _go_on(self, flight: Flight, now: int) -> list[Command]:
        seat = self._seats[flight.record.sleeve]
        if seat.flatten_by:
            matched = BundleStatus.DONE if flight.part() else BundleStatus.NOTHING
            return self._end(flight, now, BundleStatus.LEFT if flight.alone() else matched, f"being closed by {seat.flatten_by}")
        if flight.status is BundleStatus.ROLLING_BACK:
            return self._roll_back(flight, seat, now, "what stood alone was rolled back")
        leg, bundle = flight.leg, flight.record.bundle
        wanted = flight.wanted(leg)
        if flight.sent < bundle.tries and self._fits(seat, flight.legs[leg], wanted, now):
            return self._send(flight, seat, leg, wanted, now)
        if not flight.filled[leg]:
            return self._roll_back(flight, seat, now, f"leg {leg + 1} was not filled")
        if leg + 1 < len(flight.legs):
            following = flight.wanted(leg + 1)
            if following >= least(flight.legs[leg + 1]):
                return self._send(flight, seat, leg + 1, following, now)
            return self._roll_back(flight, seat, now, f"what was filled is less than leg {leg + 2} can be")
        if flight.alone():
            return self._roll_back(flight, seat, now, "not all of a leg was filled")
        return self._end(flight, now, BundleStatus.DONE)

    @staticmethod
    def _fits(seat: Seat, place: Place, qty: int, now: int) -> bool:
        """Whether a rest of a leg is as much as the venue takes."""
        if qty < least(place):
            return False
        seat.view.now = now
        return seat.view.book_of(place.instrument) is None or size(evolve(place, qty=qty), seat.view, seat.vault) is None

    def _send(self, flight: Flight, seat: Seat, leg: int, qty: int, now: int) -> list[Command]:
        """Send a leg, if the gates still let it pass."""
        place = flight.legs[leg]
        if flight.leg < leg:
            self._spend(flight, flight.record.reserves[leg], now)
        seat.view.now = now
        if seat.view.book_of(place.instrument) is None:
            self.waiting[flight.record.id] = None
            return []
        place = evolve(place, qty=qty)
        refusal = self._judge(seat, place, CORE)
        if refusal is not None:
            self._books.record(refusal)
            return self._roll_back(flight, seat, now, f"leg {leg + 1} was refused: {refusal.reason}")
        return [self._order(seat, place, now, flight.record.by, flight.record.id, leg)]

    def _spend(self, flight: Flight, units: int, now: int, *records: Record) -> None:
        """What was set aside for a leg is free for its order."""
        asset = self._seats[flight.record.sleeve].sleeve.asset
        held = self._books.ledger.units(Account(flight.record.sleeve, Role.HELD, flight.record.id), asset)
        units = min(units, held)
        entries: list[Entry] = []
        if units > 0:
            entries = [booking.release(flight.record.sleeve, flight.record.id, asset, units, at=now, by="desk")]
        if records or entries:
            self._books.post(*records, *entries)

    def _roll_back(self, flight: Flight, seat: Seat, now: int, why: str) -> list[Command]:
        """Take back what stands alone, the last leg first and one at a time, once none of its orders is out; or leave it."""
        record = flight.record
        alone = {} if flight.out else flight.alone()
        halted = seat.sleeve.own_status is Status.HALTED
        if alone and (halted or not record.bundle.rollback):
            return self._leave(flight, alone, now, "the sleeve is halted" if halted else why)
        if not flight.out and not alone:
            return self._end(flight, now, BundleStatus.DONE if flight.part() else BundleStatus.NOTHING, why)
        if flight.status is not BundleStatus.ROLLING_BACK:
            update = BundleUpdate(now, record.id, BundleStatus.ROLLING_BACK, why)
            self._books.record(update)
            flight.update(update)
        if flight.out:
            return []
        seat.view.now = now
        for leg in sorted(alone, reverse=True):
            if flight.back.get(leg, 0) < record.bundle.tries:
                if seat.view.book_of(flight.legs[leg].instrument) is None:
                    self.waiting[record.id] = None
                    return []
                back = self._back(flight, seat, leg, alone[leg], now)
                if back is not None:
                    return [back]
        return self._leave(flight, alone, now, "it could not be rolled back")

    def _back(self, flight: Flight, seat: Seat, leg: int, qty: int, now: int) -> SubmitOrder | None:
        """The order that takes back so much of a leg, at market; reduce-only where it closes what the leg opened."""
        market, side, view = flight.legs[leg].instrument, flight.side_back(leg), seat.view
        if market.contract is None and side is Side.SELL:
            qty = market.round_qty(min(qty, view.sellable(market)))
        if qty < least(flight.legs[leg]):
            return None
        place = Place(market, side, qty, why="rolls a lone leg back")
        if opens(place, view) or (market.contract is None and side is Side.BUY):
            refusal = self._judge(seat, place, CORE)
            if refusal is not None:
                self._books.record(refusal)
                return None
        else:
            place = evolve(place, reduce_only=True)
        return self._order(seat, place, now, "desk", flight.record.id, leg)

    def _leave(self, flight: Flight, alone: Mapping[int, int], now: int, why: str) -> list[Command]:
        """Say what stands alone."""
        parts = [f"{flight.legs[n].side} {flight.legs[n].instrument.qty_text(qty)} {flight.legs[n].instrument}" for n, qty in alone.items()]
        text = f"{flight.record.id}: {', '.join(parts)} stands alone: {why}"
        return self._end(flight, now, BundleStatus.LEFT, why, Alert(now, Level.CRITICAL, flight.record.sleeve, "lone_leg", text))

    def _end(self, flight: Flight, now: int, status: BundleStatus, why: str = "", *alerts: Alert) -> list[Command]:
        """A bundle is over: what is still set aside for it is free."""
        update = BundleUpdate(now, flight.record.id, status, why)
        self._spend(flight, sum(flight.record.reserves), now, *alerts, update)
        flight.update(update)
        del self.flights[flight.record.id]
        self.waiting.pop(flight.record.id, None)
        self._seats[flight.record.sleeve].view.bundles -= 1
        return []
