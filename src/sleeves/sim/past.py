"""What has happened at a simulated exchange, as it answers when it is asked: orders, facts, and its own ledger of coins.

Everything is read off the events that the exchange has made, told or not; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..facts import CashFlow, FlowKind, Settled, Transferred
from ..money import Amount
from ..orders import Accepted, Canceled, Event, Fill, Order, OrderReport, OrderStatus, Rejected, Side
from ..records import Fact

__all__ = ["Past", "flows_of"]


class Past:
    """The exchange's memory of one account."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._orders: dict[str, Order] = {}
        self._said: dict[str, list[Event]] = {}

    def sent(self, order: Order) -> None:
        """An order has come in."""
        self._orders.setdefault(order.id, order)

    def note(self, event: Event) -> None:
        """Something has happened. To be called once for each event that the exchange makes."""
        if isinstance(event, Fact):
            self.facts.append(event)
        if isinstance(event, (Accepted, Fill, Canceled, Rejected)):
            self._said.setdefault(event.order_id, []).append(event)

    def report(self, order_id: str, now: int) -> OrderReport | None:
        """What became of an order; None for one that never came in."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        said = self._said.get(order_id, [])
        filled = sum(event.qty for event in said if isinstance(event, Fill))
        off = next((event for event in said if isinstance(event, (Canceled, Rejected))), None)
        if filled >= order.place.qty:
            return OrderReport(order_id, now, OrderStatus.FILLED, filled)
        if off is None:
            return OrderReport(order_id, now, OrderStatus.OPEN, filled)
        status = OrderStatus.REJECTED if isinstance(off, Rejected) else OrderStatus.CANCELED
        return OrderReport(order_id, off.at, status, filled, off.reason)

    def open_orders(self, now: int) -> list[OrderReport]:
        """Every order that came in and is not done."""
        reports = (self.report(order_id, now) for order_id in self._orders)
        return [report for report in reports if report is not None and report.status is OrderStatus.OPEN]


def flows_of(facts: Iterable[Fact]) -> Sequence[CashFlow]:
    """The coins that facts have moved, line by line: what contracts have not settled yet is none."""
    return [flow for fact in facts for flow in _flows_of(fact)]


def _flows_of(fact: Fact) -> Iterable[CashFlow]:
    def line(amount: Amount, kind: FlowKind, part: str) -> CashFlow:
        return CashFlow(fact.at, amount, kind, f"{fact.key}/{part}", fact.key, fact.venue)

    if isinstance(fact, Fill):
        market, sign = fact.instrument, 1 if fact.side is Side.BUY else -1
        if market.contract is None:
            yield line(Amount(sign * fact.qty, market.base), FlowKind.TRADE, "base")
            yield line(Amount(-sign * fact.cost, market.quote), FlowKind.TRADE, "quote")
        if fact.fee.units and (market.contract is None or fact.fee.asset != market.quote):
            yield line(-fact.fee, FlowKind.FEE, "fee")
    elif isinstance(fact, Settled):
        if fact.amount:
            yield line(Amount(fact.amount, fact.instrument.quote), FlowKind.SETTLEMENT, "settled")
    elif isinstance(fact, Transferred):
        yield line(fact.amount, FlowKind.DEPOSIT if fact.amount.units > 0 else FlowKind.WITHDRAWAL, "transferred")
