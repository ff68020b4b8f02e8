"""An order of ours as Kraken's AddOrder takes it, and why one is not even sent.

    at market                      market; with a worst price a limit there, immediate or cancel
    limit                          limit, with its time in force; good_til in whole seconds, never later than asked
    stop                           stop-loss; with a limit, or a worst price, stop-loss-limit

Fees are always asked for in the quote currency (`fciq`). Kraken's spot market has no positions, so a reduce-only sale of coins is
a plain sale, and a reduce-only buy is refused here. Nothing is rounded but a worst price, onto the tick, to the safe side.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ...market import SECOND, Instrument
from ...money import decimal_text
from ...orders import Order, Place, Side, TimeInForce
from .names import Pair

__all__ = ["objection", "resting", "rfc3339", "ticket"]

_TIME_IN_FORCE = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}


def rfc3339(at: int) -> str:
    """An instant in ns UTC as Kraken reads it, in whole milliseconds, rounded down."""
    seconds, rest = divmod(at, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def objection(place: Place, known: Instrument) -> str | None:
    """Why an order is none that could be sent for this market; None where nothing speaks against it."""
    market = place.instrument
    if market != known:
        here, there = market.terms(), known.terms()
        differ = [f"{name} {value!r} here and {there.get(name)!r} there" for name, value in here.items() if there.get(name) != value]
        return f"{market} is another instrument at {known.venue}: {', '.join(differ) or known.symbol}"
    if place.reduce_only and place.side is Side.BUY:
        return f"a reduce-only buy of {market}: a spot market has no position that a buy could reduce"
    if place.qty % market.lot_units:
        return f"quantity {market.qty_text(place.qty)} of {market} is no multiple of the lot {market.lot}"
    for what, price in (("limit", place.limit), ("stop", place.stop)):
        if price is not None and price % market.tick_units:
            return f"{what} {market.price_text(price)} of {market} is no multiple of the tick {market.tick}"
    return None


def resting(order: Order) -> bool:
    """Whether it is sent as an order with a limit."""
    return order.place.limit is not None or order.worst is not None


def ticket(order: Order, pair: Pair, client_id: str, deadline: int | None = None) -> dict[str, str]:
    """The arguments of AddOrder. `deadline` is when Kraken is to refuse it, in ns of Kraken's time."""
    place = order.place
    market = place.instrument
    limit, tif = place.limit, place.tif
    if limit is None and order.worst is not None:
        limit = _on_tick(order.worst, market, place.side)
        tif = TimeInForce.IOC if place.stop is None and tif is TimeInForce.GTC else tif
    args = {
        "pair": pair.altname,
        "type": place.side.value,
        "ordertype": _kind(limit, place.stop),
        "volume": decimal_text(place.qty, market.base.scale),
        "cl_ord_id": client_id,
        "oflags": "fciq,post" if place.post_only else "fciq",
    }
    if place.stop is not None:
        args["price"] = market.price_text(place.stop)
        if limit is not None:
            args["price2"] = market.price_text(limit)
    elif limit is not None:
        args["price"] = market.price_text(limit)
    if tif in _TIME_IN_FORCE and args["ordertype"] != "market":
        args["timeinforce"] = _TIME_IN_FORCE[tif]
    elif tif is TimeInForce.FOK:
        args["timeinforce"] = "FOK"
    if place.good_til is not None:
        args |= {"timeinforce": "GTD", "expiretm": str(place.good_til // SECOND)}
    if deadline is not None:
        args["deadline"] = rfc3339(deadline)
    return args


def _kind(limit: int | None, stop: int | None) -> str:
    if stop is None:
        return "market" if limit is None else "limit"
    return "stop-loss" if limit is None else "stop-loss-limit"


def _on_tick(worst: int, market: Instrument, side: Side) -> int:
    """A worst price on the tick, for a buy not above it, for a sale not below it; at least one tick."""
    ticks = worst // market.tick_units if side is Side.BUY else -(-worst // market.tick_units)
    return max(1, ticks) * market.tick_units
