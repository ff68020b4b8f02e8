"""Two sleeves of one account on opposite sides of one market: what is done so that they do not trade with each other.

    allow    nothing: each order goes to the venue
    refuse   an order that opens, and would meet an order of another sleeve that rests at the venue, is refused
    cross    the same; and what two engines want of each other in one step is traded inside, between bid and ask, with no
             fee. Only what is left over goes to the venue.

A trade inside is two fills at one price and one cost, each booked to its own sleeve, behind a `Crossed` record: the sum
of all sleeves, which is what the venue holds, does not move. Legs of bundles are not crossed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from attrs import evolve

from .answers import Answers
from .blotter import Blotter
from .books import Books
from .bundles import Judge, Submit
from .gates import CORE, opens, refuse
from .market import Book
from .money import PPM, Rounding, divide
from .orders import CancelOrder, Command, Fill, Liquidity, Order, OrderStatus, Place, Side, SubmitOrder, TimeInForce
from .records import INSIDE, LEFT_OVER, Crossed, Refusal
from .seat import Seat

__all__ = ["Inside", "SelfTrade"]


class SelfTrade(StrEnum):
    """What is done when sleeves of one account would trade with each other."""

    ALLOW = "allow"
    REFUSE = "refuse"
    CROSS = "cross"


class Inside:
    """The self-trade guard of one desk. `at_ppm` is where between bid and ask a trade inside is priced: 500,000 is the middle."""

    def __init__(
        self,
        policy: SelfTrade,
        at_ppm: int,
        answers: Answers,
        order: Submit,
        judge: Judge,
        seats: Mapping[str, Seat],
        boards: Mapping[str, Book],
        blotter: Blotter,
        books: Books,
    ) -> None:
        self.policy = policy
        self._at_ppm = at_ppm
        self._answers = answers
        self._order = order
        self._judge = judge
        self._seats = seats
        self._boards = boards
        self._blotter = blotter
        self._books = books

    def refuses(self, seat: Seat, place: Place) -> Refusal | None:
        """Why an order may not go out: it opens, and would meet what another sleeve has resting there."""
        if self.policy is SelfTrade.ALLOW or not opens(place, seat.view):
            return None
        for order in self._others(seat, place):
            if order.place.limit is not None and order.place.stop is None and self._meets(seat, place, order.place.limit):
                price = place.instrument.price_text(order.place.limit)
                return refuse("self_trade", "self_trade", place, seat.view, seat.vault, other=order.sleeve, order=order.id, at=price)
        return None

    def _others(self, seat: Seat, place: Place) -> Iterable[Order]:
        """Open orders of other sleeves of the account on the other side of this market."""
        there = self._blotter.open_in.get(place.instrument.symbol)
        if not there:
            return ()
        wallet, own = seat.sleeve.vault.wallet, seat.sleeve.name
        found = [
            order
            for order in there.values()
            if order.sleeve != own and order.place.side is not place.side and self._seats[order.sleeve].sleeve.vault.wallet == wallet
        ]
        if len(found) > 1:  # by sleeve, as they were seated, and of one sleeve the older first
            names, ids = {order.sleeve for order in found}, {order.id for order in found}
            seats = [other for name, other in self._seats.items() if name in names]
            found = [order for other in seats for order in other.open_orders.values() if order.id in ids]
        return found

    def _meets(self, seat: Seat, place: Place, limit: int) -> bool:
        """Whether an order could take what rests at a limit: at its own price, or at the worst that it is sent with."""
        buys = place.side is Side.BUY
        price = place.limit
        if price is None:
            terms = seat.view.terms(place)
            price = None if terms is None else terms[0]
        if price is None:
            book = seat.view.book_of(place.instrument)
            price = None if book is None else book.bid
        return price is not None and (price >= limit if buys else price <= limit)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def cross(self, commands: list[Command], more: Sequence[Command], now: int) -> list[Command]:
        """The commands of one step with what one more engine wants: what can be traded inside is, the rest stays."""
        out = list(commands)
        leaving = {one.order.id for one in out if isinstance(one, CancelOrder)}
        for command in more:
            follows: list[Command] = [command]
            while isinstance(follows[0], SubmitOrder):
                wish = follows[0].order
                free = ((i, one.order) for i, one in enumerate(out) if isinstance(one, SubmitOrder) and one.order.id not in leaving)
                at = next((i for i, order in free if self._match(order, wish)), None)
                if at is None:
                    break
                met = out[at]
                assert isinstance(met, SubmitOrder)
                after, rests = self._trade(met.order, wish, now)
                out[at : at + 1] = [rest for rest in rests if rest.order.sleeve == met.order.sleeve]
                follows = [rest for rest in rests if rest.order.sleeve == wish.sleeve]
                out += after
                if not follows:
                    break
            out += follows
        return out

    def _match(self, first: Order, second: Order) -> bool:
        """Whether two orders that have not left the house can trade with each other."""
        one, two = first.place, second.place
        market = one.instrument
        if first.sleeve == second.sleeve or one.side is two.side or market != two.instrument:
            return False
        wallets = {self._seats[order.sleeve].sleeve.vault.wallet for order in (first, second)}
        if len(wallets) > 1 or any(self._tied(order) for order in (first, second)):
            return False
        price, buy, sell = self._price(first), *((one, two) if one.side is Side.BUY else (two, one))
        least, most = sorted((one.qty, two.qty))
        if least != most and any(place.tif is TimeInForce.FOK and place.qty == most for place in (one, two)):
            return False  # whole or not at all, and the other side does not cover it
        return price > 0 and (buy.limit or price) >= price >= (sell.limit or price) and least >= market.lot_units

    def _tied(self, order: Order) -> bool:
        """Whether an order must go to the venue: a stop waits there, a post-only order rests there, a leg belongs to others."""
        working = self._blotter.get(order.id)
        place = order.place
        moved = working is None or working.filled > 0 or working.status is not OrderStatus.SUBMITTED
        return moved or place.stop is not None or place.post_only or (working is not None and working.leg)

    def _price(self, order: Order) -> int:
        book = self._boards[order.place.instrument.symbol]
        return book.bid + divide((book.ask - book.bid) * self._at_ppm, PPM, Rounding.FLOOR)

    def _trade(self, first: Order, second: Order, now: int) -> tuple[list[Command], list[SubmitOrder]]:
        """Trade as much as both want. Returns what follows from it, and what is left of each as an order of its own."""
        market = first.place.instrument
        buy, sell = (first, second) if first.place.side is Side.BUY else (second, first)
        qty, price, book = min(first.place.qty, second.place.qty), self._price(first), self._boards[market.symbol]
        cost = market.cost(price, qty, Rounding.FLOOR)
        saved = market.cost(book.ask - book.bid, qty, Rounding.FLOOR)
        trade, fee = f"{buy.id}x{sell.id}", market.quote.zero
        fills = [
            Fill(order.id, now, market, order.place.side, qty, price, cost, fee, Liquidity.TAKER, trade, INSIDE) for order in (sell, buy)
        ]
        commands = self._answers.crossed(Crossed(now, market, qty, price, buy.id, sell.id, saved), fills)
        rests: list[SubmitOrder] = []
        for order in (first, second):
            rest = order.place.qty - qty
            if rest:
                commands += self._answers.off(order.id, now, OrderStatus.CANCELED, LEFT_OVER)
                rests += self._again(order, rest, now)
        return commands, rests

    def _again(self, order: Order, qty: int, now: int) -> list[SubmitOrder]:
        """What is left of an order as a new one; nothing where it is less than the venue takes."""
        market, seat = order.place.instrument, self._seats[order.sleeve]
        least = max(market.lot_units, market.min_qty_units)
        worth = market.cost(order.place.limit or self._boards[market.symbol].bid, qty, Rounding.FLOOR)
        if qty < least or worth < market.min_notional_units or seat.flatten_by:
            return []
        place = evolve(order.place, qty=qty)
        refusal = self._judge(seat, place, CORE)
        if refusal is not None:
            self._books.record(refusal)
            return []
        return [self._order(seat, place, now, seat.engine.name)]
