"""From an order to what the program takes, and back from what lies in a sub-account to a report.

    at market              a market order: an auction from the oracle's price to the worst price that is allowed, then dropped
    immediate or cancel    the same, to the limit: the program has no such order that a keeper may fill in a later transaction
    limit                  rests; the program gives one that crosses the market an auction of its own
    post-only              fails as a whole where it would take
    good_til               the program's own time, in whole seconds, rounded down: it never rests longer than was said

What the program would round, cut or drop is refused here instead: base that is no multiple of the step, a price off the tick, a time
that has passed (which the program passes over in silence). A stop and fill-or-kill have no form here that keeps their promise.

Units: base 1e9, prices 1e6, as the program counts; the instrument's own are turned exactly or not at all. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from ...market import BP, Instrument
from ...money import Rounding, divide
from ...orders import Order, OrderReport, Side, TimeInForce
from ...orders import OrderStatus as Status
from .accounts import OpenOrder, PerpMarket, State, User
from .instructions import OrderKind, OrderParams, PostOnly
from .markets import program_price
from .words import MarketStatus

__all__ = ["MOST_ORDERS", "Ask", "bound_of", "lying", "open_report", "order_params", "refusal"]

MOST_ORDERS = 32
"""Orders that lie in one sub-account."""
_PRICE = 10**6
_SECOND = 1_000_000_000
_MOST_BASE = 1 << 62


@frozen(order=False)
class Ask:
    """How orders at market are asked for: how much worse than the oracle they may come out, how long the auction and the order last."""

    slippage_bps: int = 50
    auction_slots: int = 20
    last_s: int = 60


def refusal(order: Order, instrument: Instrument, market: PerpMarket, user: User, now: int) -> str:
    """Why the program would not take an order, or not as it is; nothing where nothing speaks against it. `now` in UTC ns."""
    place = order.place
    if place.stop is not None:
        return "a stop is woken by keepers and then trades at whatever the auction gives: it is not placed here"
    if place.tif is TimeInForce.FOK:
        return "fill or kill has no form at the program: keepers fill orders in parts"
    if place.qty % market.step or place.qty % instrument.lot_units:
        return f"{place.qty} base units are no whole number of steps of {market.step}"
    if place.qty < market.min_size and not place.reduce_only:
        return f"{place.qty} base units are less than the least of {market.min_size}"
    if place.qty >= _MOST_BASE:
        return f"{place.qty} base units are more than the program can count"
    if place.limit is not None and program_price(instrument, place.limit) % market.tick:
        return f"the price {instrument.price_text(place.limit)} is no multiple of the tick {market.tick} (1e6)"
    if place.good_til is not None and place.good_til // _SECOND <= now // _SECOND:
        return "it is good until a time that has passed"
    closes = market.status is MarketStatus.REDUCE_ONLY
    if market.status is not MarketStatus.ACTIVE and not closes:
        return f"{market.name} is {market.status.value}, and takes no orders"
    if (closes or user.reduce_only) and not place.reduce_only:
        return f"{market.name if closes else f'sub-account {user.sub}'} is reduce only, and this may open"
    if user.bankrupt or user.being_liquidated:
        return f"sub-account {user.sub} is {'bankrupt' if user.bankrupt else 'being liquidated'}"
    if len(user.orders) >= MOST_ORDERS:
        return f"{MOST_ORDERS} orders lie in sub-account {user.sub}, and no more fit"
    if order.reduce_only and not _against(order, user, market):
        return "it is to reduce, and there is no position against it"
    return ""


def _against(order: Order, user: User, market: PerpMarket) -> bool:
    held = next((one.base for one in user.perps if one.market == market.index), 0)
    return held * order.place.side.sign < 0


def bound_of(order: Order, instrument: Instrument, market: PerpMarket, oracle: int, ask: Ask) -> int:
    """The worst price (1e6, on the tick) at which an order may fill: its limit, its worst price, the slippage; the tightest of them."""
    buys = order.place.side is Side.BUY
    prices: list[int] = []
    for price in (order.place.limit, order.worst):
        if price is not None:
            exact = divide(price * _PRICE, 10**instrument.price_scale, Rounding.FLOOR if buys else Rounding.CEIL)
            prices.append(exact)
    if order.place.limit is None:
        prices.append(divide(oracle * (BP + order.place.side.sign * ask.slippage_bps), BP, Rounding.FLOOR if buys else Rounding.CEIL))
    bound = min(prices) if buys else max(prices)
    return divide(bound, market.tick, Rounding.FLOOR if buys else Rounding.CEIL) * market.tick


def order_params(
    order: Order, instrument: Instrument, market: PerpMarket, state: State, oracle: int, ask: Ask, now: int
) -> OrderParams | str:
    """What the program takes for an order that `refusal` let pass, or why it is refused. `now` in UTC ns, by the chain's time."""
    place = order.place
    buys = place.side is Side.BUY
    bound = bound_of(order, instrument, market, oracle, ask)
    if bound < market.tick:
        return "the worst price that it allows is below one tick"
    terms: dict[str, Any] = {"market": market.index, "long": buys, "base": place.qty, "reduce_only": order.reduce_only, "price": bound}
    if place.limit is not None and place.tif is TimeInForce.GTC:
        if order.worst is not None and program_price(instrument, place.limit) != bound:
            return "its limit is beyond the worst price that its money covers"
        expires = None if place.good_til is None else place.good_til // _SECOND
        return OrderParams(**terms, kind=OrderKind.LIMIT, post_only=PostOnly.MUST if place.post_only else PostOnly.NONE, expires=expires)
    start = divide(oracle, market.tick, Rounding.FLOOR if buys else Rounding.CEIL) * market.tick
    start = max(market.tick, min(start, bound) if buys else max(start, bound))
    return OrderParams(
        **terms,
        kind=OrderKind.MARKET,
        auction_start=start,
        auction_end=bound,
        auction_duration=max(ask.auction_slots, state.min_auction_duration),
        expires=now // _SECOND + ask.last_s,
    )


def open_report(order_id: str, sub: int, one: OpenOrder, at: int) -> OrderReport:
    """What lies in a sub-account as a report, under our id or the program's."""
    return OrderReport(order_id, at, Status.OPEN, one.filled, "", f"{sub}/{one.id}")


def lying(user: User, number: int) -> OpenOrder | None:
    """The order of a number in a sub-account; None where it lies there no more."""
    found: Sequence[OpenOrder] = [one for one in user.orders if one.id == number]
    return found[0] if found else None
