"""An order in ccxt's words, and what ccxt says of one in ours.

A worst price goes with an order at market as the limit of an immediate one: no venue may fill it beyond. What an exchange has no
words for is refused by name before anything is sent, and so is a price or a quantity that ccxt would round on its way.

This module builds and reads; it sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from ...errors import InvalidAmount
from ...market import SECOND, Instrument
from ...money import Rounding, divide
from ...orders import Order, OrderReport, OrderStatus, Side, TimeInForce
from ..ids import ClientIds
from .manners import Ids, Manner
from .names import Names

__all__ = ["Request", "Unsaid", "client_id", "report_of", "request_of", "status_of"]

MOST_DIGITS = 12


class Unsaid(Exception):
    """An order that this exchange has no words for; says why."""


@frozen
class Request:
    """What `create_order` is called with."""

    symbol: str
    type: str
    side: str
    amount: str
    price: str | None
    params: Mapping[str, Any]

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.symbol, self.type, self.side, self.amount, self.price, dict(self.params)


def client_id(ids: ClientIds, manner: Manner, order_id: str) -> str:
    """Our order id in the exchange's form. Raises `VenueRejected` for one that could not be read back."""
    if manner.ids is Ids.UUID:
        return ids.uuid(order_id)
    return ids.hex(order_id) if manner.ids is Ids.HEX else "0x" + ids.hex(order_id)


def request_of(
    order: Order,
    market: Instrument,
    names: Names,
    manner: Manner,
    own_id: str,
    *,
    can: Callable[[str], Any],
    rounded: Callable[[str, str, str], str],
    last: tuple[int, int] | None,
    params: Mapping[str, Any],
) -> Request:
    """An order as `create_order` takes it. Raises `Unsaid`.

    `can` says whether ccxt has a feature for this market, `rounded(what, symbol, text)` what ccxt would make of an amount or a
    price, `last` are the best bid and ask that were told.
    """
    place = order.place
    if place.qty % market.lot_units:
        raise Unsaid(f"quantity {market.qty_text(place.qty)} of {market} is no multiple of the lot {market.lot}")
    for what, given in (("limit", place.limit), ("stop", place.stop)):
        if given is not None and given % market.tick_units:
            raise Unsaid(f"{what} {market.price_text(given)} of {market} is no multiple of the tick {market.tick}")
    said: dict[str, Any] = {"clientOrderId": own_id, **manner.order}
    contract = market.contract is not None
    if order.reduce_only:
        if contract:
            said["reduceOnly"] = True
        elif place.side is Side.BUY:
            raise Unsaid(f"reduce only: coins of {market} are sold to reduce them, never bought")
    limit = place.limit
    bound = limit is None and order.worst is not None
    if bound:
        limit = _inward(market, order.worst or 0, place.side)
    if place.stop is not None:
        if not manner.stop or can(manner.stop) is False:
            raise Unsaid("stops are not sent through ccxt to this exchange: how it tells of them is not known here")
        said[manner.stop] = _exact_price(market, place.stop, rounded)
    tif = place.tif
    if bound and tif is TimeInForce.GTC and place.stop is None:
        tif = TimeInForce.IOC
    if limit is not None and tif is not TimeInForce.GTC:
        word = manner.ioc if tif is TimeInForce.IOC else manner.fok
        if not word or _missing(can("timeInForce"), tif):
            way = f"; a Manner of your own may say how they are worded: manner=Manner({tif.value}=...)" if not word else ""
            raise Unsaid(f"this exchange has no orders that are {tif.name} through ccxt that are known here{way}")
        said["timeInForce"] = word
    if limit is None and place.tif is TimeInForce.FOK:
        raise Unsaid("an order at market that is filled whole or not at all needs a limit or a worst price")
    if place.post_only:
        if not manner.post_only or _missing(can("timeInForce"), "PO"):
            way = "; a Manner of your own may say so: manner=Manner(post_only=True)" if not manner.post_only else ""
            raise Unsaid(f"this exchange has no orders that are post-only through ccxt that are known here{way}")
        said["postOnly"] = True
    if place.good_til is not None:
        if not manner.good_til or place.good_til % SECOND:
            raise Unsaid("an order that ends at a time" + (" ends at a whole second" if manner.good_til else " is not sent through ccxt"))
        said |= {"timeInForce": "GTD", manner.good_til: str(place.good_til // SECOND)}
    price: str | None = None
    if limit is not None:
        price = _exact_price(market, limit, rounded, inward=place.side if bound else None)
    elif manner.needs_price:
        if last is None:
            raise Unsaid(f"an order at market needs a price to count its slippage from, and none of {market} was told yet")
        price = market.price_text(last[1] if place.side is Side.BUY else last[0])
    amount = names.contracts(market, place.qty)
    if Decimal(rounded("amount", market.symbol, amount)) != Decimal(amount):
        raise Unsaid(f"quantity {amount} of {market} would be sent as {rounded('amount', market.symbol, amount)}")
    return Request(market.symbol, "market" if limit is None else "limit", place.side.value, amount, price, {**said, **params})


def _inward(market: Instrument, worst: int, side: Side) -> int:
    """The last tick that is not beyond a worst price."""
    way = Rounding.FLOOR if side is Side.BUY else Rounding.CEIL
    return max(1, divide(worst, market.tick_units, way)) * market.tick_units


def _exact_price(market: Instrument, price: int, rounded: Callable[[str, str, str], str], *, inward: Side | None = None) -> str:
    """A price in text that ccxt sends as it is. A bound of our own is brought inward, to a coarser price, until it does."""
    for digits in range(MOST_DIGITS if inward is not None else 1):
        step = market.tick_units * 10**digits
        tried = divide(price, step, Rounding.FLOOR if inward is not Side.SELL else Rounding.CEIL) * step if digits else price
        text = market.price_text(tried)
        if tried > 0 and Decimal(rounded("price", market.symbol, text)) == Decimal(text):
            return text
    text = market.price_text(price)
    raise Unsaid(f"price {text} of {market} would be sent as {rounded('price', market.symbol, text)}")


def _missing(said: Any, what: str) -> bool:
    """Whether ccxt says of an exchange that it does not have this."""
    return isinstance(said, Mapping) and said.get(what.upper() if isinstance(what, str) else what) is False


def status_of(row: Mapping[str, Any]) -> OrderStatus | None:
    """What became of an order; None where ccxt does not say."""
    said = row.get("status")
    if said in ("open", "canceling"):
        return OrderStatus.OPEN
    if said == "closed":
        return OrderStatus.FILLED
    if said in ("canceled", "expired"):
        return OrderStatus.CANCELED
    return OrderStatus.REJECTED if said == "rejected" else None


def report_of(
    row: Mapping[str, Any], order_id: str, market: Instrument | None, names: Names, *, at: int, qty: int | None
) -> OrderReport | None:
    """What ccxt says of an order, as evidence; None where it does not say what became of it.

    One that is closed with less than it was for is canceled: its rest never fills. Raises `InvalidAmount`.
    """
    status = status_of(row)
    if status is None:
        return None
    filled, whole = 0, qty
    if market is not None:
        filled = abs(names.qty(market, row["filled"], "filled quantity")) if row.get("filled") is not None else 0
        if whole is None and row.get("amount") is not None:
            whole = abs(names.qty(market, row["amount"], "quantity"))
        if row.get("filled") is None and status is OrderStatus.FILLED:
            raise InvalidAmount(f"order {order_id} is closed, and how much of it was filled is not told")
    if status is OrderStatus.FILLED and whole is not None and filled < whole:
        status = OrderStatus.CANCELED
    if status in (OrderStatus.CANCELED, OrderStatus.OPEN) and whole is not None and filled >= whole:
        status = OrderStatus.FILLED
    ended = row.get("lastUpdateTimestamp") if status.done else None
    when = ended if type(ended) is int else None
    reason = _reason(row) if status is not OrderStatus.FILLED else ""
    return OrderReport(order_id, at if when is None else when * 1_000_000, status, filled, reason, str(row.get("id") or ""))


def _reason(row: Mapping[str, Any]) -> str:
    info = row.get("info")
    if isinstance(info, Mapping):
        for name in ("reason", "updateReason", "error"):
            if isinstance(info.get(name), str) and info[name]:
                return str(info[name])[:300]
    status = row.get("status")
    return f"{status}" if status not in ("open", "closed", None) else ""
