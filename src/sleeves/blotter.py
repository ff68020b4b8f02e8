"""The blotter: every order by id, how much of it is filled, and its status under the order table.

It keeps no money. What an order still holds is the ledger's HELD account of its id.
"""

from __future__ import annotations

from collections.abc import Mapping

from .books import Books
from .ledger import Account, Role
from .money import Asset
from .orders import ORDER_TRANSITIONS, Fill, Order, OrderStatus, Side
from .records import OrderUpdate, Placed
from .seat import Seat
from .state import OpenOrder

__all__ = ["Blotter", "Working", "working_of"]


class Working:
    """One order at the desk: whose it is, what holds its money, what is filled of it."""

    __slots__ = ("asset", "closes", "filled", "held", "leg", "order", "seat", "status")

    def __init__(self, order: Order, seat: Seat, asset: Asset, closes: bool, held: Account | None = None) -> None:
        self.order = order
        self.seat = seat
        self.asset = asset
        self.closes = closes
        """Whether it took no new risk when it was ordered."""
        self.held = Account(order.sleeve, Role.HELD, order.id) if held is None else held
        self.filled = 0
        self.leg = False
        """Whether it is part of a bundle."""
        self.status = OrderStatus.SUBMITTED

    @property
    def left(self) -> int:
        return max(0, self.order.place.qty - self.filled)


class Blotter:
    """Orders by id. Done orders stay, because a late fill must still find its sleeve; older ones are in the journal."""

    def __init__(self, books: Books, seats: Mapping[str, Seat]) -> None:
        self._orders: dict[str, Working] = {}
        self.unknown: dict[str, Order] = {}
        """Orders whose fate is unknown, by id."""
        self.open_in: dict[str, dict[str, Order]] = {}
        """Open orders by symbol and id."""
        self.of_contracts: dict[str, dict[str, Order]] = {}
        """Those of contracts."""
        self._books = books
        self._seats = seats

    def add(self, working: Working) -> None:
        self._orders[working.order.id] = working
        if not working.status.done:
            order, market = working.order, working.order.place.instrument
            working.seat.open_orders[order.id] = order
            there = self.open_in.get(market.symbol)
            if there is None:
                there = self.open_in[market.symbol] = {}
                if market.contract is not None:
                    self.of_contracts[market.symbol] = there
            there[order.id] = order
        if working.status is OrderStatus.UNKNOWN:
            self.unknown[working.order.id] = working.order

    def get(self, order_id: str) -> Working | None:
        return self._orders.get(order_id)

    def find(self, order_id: str) -> Working | None:
        """The order of an id, however long ago it was done; None for a stranger's."""
        working = self._orders.get(order_id)
        if working is None and self._books.daybooks:
            working = self._noted(order_id)
        if working is not None or not self._books.reopened:
            return working
        past: OpenOrder | None = None
        leg = False
        for record in self._books.journal.order(order_id):
            if isinstance(record, Placed):
                past, leg = OpenOrder(record.order, record.by, record.closes), bool(record.bundle)
            elif past is not None and isinstance(record, Fill) and record.side is past.order.place.side:
                past.filled += record.qty
                past.status = OrderStatus.FILLED if past.filled >= past.order.place.qty else past.status
            elif past is not None and isinstance(record, OrderUpdate):
                past.status = record.status
        seat = None if past is None else self._seats.get(past.order.sleeve)
        if past is None or seat is None:
            return None
        self.add(working_of(past, seat))
        self._orders[order_id].leg = leg
        return self._orders[order_id]

    def _noted(self, order_id: str) -> Working | None:
        """An order that was only noted, by a fast replay: filled whole."""
        for daybook in self._books.daybooks:
            known = daybook.find(order_id)
            if known is not None:
                order, asset = known
                working = Working(order, self._seats[order.sleeve], asset, order.place.side is not Side.BUY)
                working.filled, working.status = order.place.qty, OrderStatus.FILLED
                self.add(working)
                return working
        return None

    def left(self, order: Order) -> int:
        """What is not filled of an order; nothing for one that is not here."""
        working = self._orders.get(order.id)
        return 0 if working is None else working.left

    def move(self, working: Working, status: OrderStatus) -> bool:
        """Move an order to a status if the table allows it; False, changing nothing, if not."""
        if status not in ORDER_TRANSITIONS[working.status]:
            return False
        working.status = status
        if status is OrderStatus.UNKNOWN:
            self.unknown[working.order.id] = working.order
        elif self.unknown:
            self.unknown.pop(working.order.id, None)
        if status.done:
            working.seat.open_orders.pop(working.order.id, None)
            self.open_in.get(working.order.place.instrument.symbol, {}).pop(working.order.id, None)
        return True

    def __len__(self) -> int:
        return len(self._orders)


def working_of(one: OpenOrder, seat: Seat) -> Working:
    """An order as the blotter keeps it, from what the journal remembers of it."""
    market = one.order.place.instrument
    asset = market.base if market.contract is None and one.order.place.side is Side.SELL else market.quote
    working = Working(one.order, seat, asset, one.closes)
    working.filled, working.status = one.filled, one.status
    return working
