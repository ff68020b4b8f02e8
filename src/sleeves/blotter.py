"""The blotter: every order by id, how much of it is filled, and its status under the order table.

It keeps no money. What an order still holds is the ledger's HELD account of its id.
"""

from __future__ import annotations

from .ledger import Account, Role
from .money import Asset
from .orders import ORDER_TRANSITIONS, Order, OrderStatus
from .seat import Seat

__all__ = ["Blotter", "Working"]


class Working:
    """One order at the desk: whose it is, what holds its money, what is filled of it."""

    __slots__ = ("asset", "closes", "filled", "held", "order", "seat", "status")

    def __init__(self, order: Order, seat: Seat, asset: Asset, closes: bool) -> None:
        self.order = order
        self.seat = seat
        self.asset = asset
        self.closes = closes
        """Whether it took no new risk when it was ordered."""
        self.held = Account(order.sleeve, Role.HELD, order.id)
        self.filled = 0
        self.status = OrderStatus.SUBMITTED

    @property
    def left(self) -> int:
        return max(0, self.order.place.qty - self.filled)


class Blotter:
    """Orders by id. Done orders stay, because a late fill must still find its sleeve."""

    def __init__(self) -> None:
        self._orders: dict[str, Working] = {}

    def add(self, working: Working) -> None:
        self._orders[working.order.id] = working
        if not working.status.done:
            working.seat.open_orders[working.order.id] = working.order

    def get(self, order_id: str) -> Working | None:
        return self._orders.get(order_id)

    def left(self, order: Order) -> int:
        """What is not filled of an order; nothing for one that is not here."""
        working = self._orders.get(order.id)
        return 0 if working is None else working.left

    def move(self, working: Working, status: OrderStatus) -> bool:
        """Move an order to a status if the table allows it; False, changing nothing, if not."""
        if status not in ORDER_TRANSITIONS[working.status]:
            return False
        working.status = status
        if status.done:
            working.seat.open_orders.pop(working.order.id, None)
        return True

    def __len__(self) -> int:
        return len(self._orders)
