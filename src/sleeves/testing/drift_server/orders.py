"""Orders of perpetuals: placed, cancelled, filled, expired. Rules after both programs' `controller/orders.rs`, `math/orders.rs`,
`validation/order.rs` and `instructions/user.rs`.

Auctions' price paths are not modelled: an order may be filled at once, and up to its limit. Trigger orders are refused, and so are
orders at an offset from the oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ...margin import Check
from ...settlement import FillerReward, FillFees, fill_fees, taker_fee
from ...venues.drift.deployment import Feature
from ...venues.drift.events import Action, OrderAction, OrderPlaced, PlacedOrder, Why
from ...venues.drift.words import OrderKind, OrderStatus, Trigger
from .fields import Fields
from .frame import Frame
from .perp import add_quote, apply, fund, position, tier_of
from .reading import Reader
from .refusing import fail, require
from .standing import meets, must_be_fresh, must_meet
from .words import active, initialized, reduce_only, settlement

__all__ = [
    "LIMIT",
    "MARKET",
    "Params",
    "cancel",
    "cancel_many",
    "expire",
    "fill",
    "open_order",
    "place",
    "place_many",
    "read_params",
    "reduced",
    "volume",
]

Slot = dict[str, Any]
MARKET, LIMIT = 0, 1
INIT, OPEN, FILLED, CANCELED = 0, 1, 2, 3
BASE = 10**9
DAYS_30 = 30 * 86_400
_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.TRIGGER_MARKET, OrderKind.TRIGGER_LIMIT, OrderKind.ORACLE)
_STATUSES = (OrderStatus.INIT, OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.CANCELED)
_TRIGGERS = (Trigger.ABOVE, Trigger.BELOW, Trigger.TRIGGERED_ABOVE, Trigger.TRIGGERED_BELOW)


@frozen
class Params:
    """An order as it is asked for: the program's OrderParams."""

    kind: int
    perp: bool
    long: bool
    user_id: int
    base: int
    price: int
    market: int
    reduce_only: bool
    post_only: int
    flags: int
    expires: int | None
    trigger_price: int | None
    trigger: int
    offset: int | None
    duration: int | None
    start: int | None
    end: int | None

    @property
    def immediate(self) -> bool:
        return bool(self.flags & 1)


def read_params(frame: Frame, read: Reader) -> Params:
    """OrderParams out of an instruction's data; Velocity's has two options more, which must be empty: builders are not modelled."""
    wide = frame.deployment.has(Feature.BUILDER_OPTIONS)
    found = Params(
        read.enum(5),
        bool(read.enum(2)),
        not read.enum(2),
        read.u8(),
        read.u64(),
        read.u64(),
        read.u16(),
        read.flag(),
        read.enum(4),
        read.u8(),
        read.option(read.i64),
        read.option(read.u64),
        read.enum(4),
        read.option(read.i64 if wide else read.i32),
        read.option(read.u8),
        read.option(read.i64),
        read.option(read.i64),
    )
    if wide and (read.option(read.u8) is not None or read.option(read.u16) is not None):
        fail("DefaultError", "builders are not modelled here")
    return found


# -- placing ------------------------------------------------------------------------------------------------------------------


def place_many(frame: Frame, user: Fields, asked: list[Params]) -> None:
    """Place orders, and test the margin once, for all of them."""
    for params in asked:
        if params.immediate:
            frame.log("immediate_or_cancel order must be in place_and_make or place_and_take")
            fail("InvalidOrderIOC")
    _not_liquidated(frame, user)
    expire(frame, user, None)
    risky = False
    placed = False
    for params in asked:
        done = place(frame, user, params)
        if done is not None:
            placed, risky = True, risky or done
    if placed:
        # who adds risk must meet the initial requirement at strict prices, who does not the maintenance one
        check = Check.INITIAL if risky else Check.MAINTENANCE
        must_meet(frame, user, check, strict=True)
        user["last_active_slot"] = frame.slot
        user["idle"] = 0


def _not_liquidated(frame: Frame, user: Fields) -> None:
    require(not user["status"] & 2, "UserBankrupt")
    if user["status"] & 1:
        buffer = frame.state["liquidation_margin_buffer_ratio"]
        require(meets(frame, user, Check.MAINTENANCE, buffer_bp=buffer), "UserIsBeingLiquidated")
        user["status"] &= ~1


def place(frame: Frame, user: Fields, params: Params) -> bool | None:
    """Place one order and tell it. Whether it adds risk; None where the program leaves it out without a failure."""
    deployment = frame.deployment
    require(params.perp, "InvalidOrderMarketType", "must be perp order")
    if user["status"] & 4:
        require(params.reduce_only, "UserReduceOnly", "order must be reduce only")
    at = next((at for at, one in enumerate(user["orders"]) if one["status"] != OPEN), None)
    if at is None:
        fail("MaxNumberOfOrders")
    if params.user_id and any(one["user_order_id"] == params.user_id and one["status"] == OPEN for one in user["orders"]):
        fail("UserOrderIdAlreadyInUse", f"user_order_id is already in use {params.user_id}")
    market = frame.perp(params.market)
    require(market["status"] != initialized(deployment), "MarketBeingInitialized")
    ended = market["status"] > settlement(deployment) or market["status"] == settlement(deployment)
    expired = market["expiry_ts"] != 0 and frame.now >= market["expiry_ts"]
    require(not ended and not expired, "MarketPlaceOrderPaused", "Market is in settlement mode")
    if params.kind not in (MARKET, LIMIT) or params.offset:
        fail("InvalidOrder", "trigger orders and offsets from the oracle are not modelled here")
    held = position(user, params.market, make=True)
    assert held is not None
    step, tick = market["order_step_size"], market["order_tick_size"]
    require(params.base >= step, "OrderAmountTooSmall", f"params.base_asset_amount={params.base} cannot be below {step}")
    base = params.base - params.base % step
    oracle = frame.price(market).price
    start, end, duration = _auction(frame, params, oracle, tick)
    expires = params.expires
    if expires is None:
        expires = frame.now + max(30, duration // 2 + 10) if params.kind == MARKET else 0
    if expires and expires < frame.now:
        frame.log(f"max_ts ({expires}) < now ({frame.now}), skipping order")
        return None
    forced = market["status"] == reduce_only(deployment)
    price = _on_tick(params.price, tick, params.long)
    if params.post_only == 3:
        price = _slid(market, params, price, tick)
    if not _valid(frame, market, params, base, price):
        return None
    order: Slot = user["orders"][at]
    for name, value in order.items():
        order[name] = bytes(len(value)) if isinstance(value, bytes) else 0
    order.update(
        status=OPEN,
        order_type=params.kind,
        market_type=1,
        slot=frame.slot,
        order_id=user["next_order_id"],
        user_order_id=params.user_id,
        market_index=params.market,
        price=price,
        existing_position_direction=int(held["base_asset_amount"] < 0),
        base_asset_amount=base,
        direction=int(not params.long),
        reduce_only=int(params.reduce_only or forced),
        trigger_condition=params.trigger,
        post_only=int(params.post_only != 0),
        auction_start_price=start,
        auction_end_price=end,
        auction_duration=duration,
        max_ts=expires,
        posted_slot_tail=frame.slot % 256,
    )
    risky = _adds_risk(order, held)
    if forced:
        against = held["base_asset_amount"] != 0 and (held["base_asset_amount"] > 0) != params.long
        require(against, "InvalidOrderNotRiskReducing", "order direction must be opposite of existing position in reduce only mode")
    user["next_order_id"] += 1
    _count(user, order, 1)
    held["open_orders"] += 1
    _reserve(held, params.long, base)
    most = market["max_open_interest"]
    if most and risky:
        side = market[f"base_asset_amount_{'long' if params.long else 'short'}"]
        require(abs(side) + base <= most, "MaxOpenInterest")
    taker, maker = _sides(user, order)
    frame.tell(
        OrderAction(
            at=frame.now,
            action=Action.PLACE,
            why=Why.NONE,
            market=params.market,
            perp=True,
            oracle_price=oracle,
            flags=order["bit_flags"],
            **taker,
            **maker,
        )
    )
    frame.tell(OrderPlaced(at=frame.now, user=user.address, order=_told(order)))
    return risky


def _auction(frame: Frame, params: Params, oracle: int, tick: int) -> tuple[int, int, int]:
    """Start, end and slots of an order's auction, as it was asked for; a market order without one ends at its limit."""
    if params.kind == LIMIT and None in (params.start, params.end, params.duration):
        return 0, 0, 0
    least = frame.state["min_perp_auction_duration"]
    duration = params.duration or 0
    if params.kind == MARKET or duration:
        duration = max(duration, least)
    if params.start is not None and params.end is not None:
        return params.start, params.end, duration
    start = _on_tick(oracle, tick, params.long)
    # the program's ends lie half a percent from the oracle where no limit is given
    end = params.price or oracle + (oracle // 200 if params.long else -(oracle // 200))
    return start, _on_tick(end, tick, params.long), duration


def _on_tick(price: int, tick: int, long: bool) -> int:
    """A price on the tick, rounded for who pays it: a buyer's down, a seller's up."""
    rest = price % tick
    return price - rest if long or not rest else price - rest + tick


def bid_ask(market: Fields) -> tuple[int, int]:
    """What the market itself bids and asks, from its reserves (1e6)."""
    peg = market["peg_multiplier"]
    bid = market["bid_quote_asset_reserve"] * peg // market["bid_base_asset_reserve"]
    ask = -(-market["ask_quote_asset_reserve"] * peg // market["ask_base_asset_reserve"])
    return bid, ask


def _slid(market: Fields, params: Params, price: int, tick: int) -> int:
    bid, ask = bid_ask(market)
    return _on_tick(min(price, ask - tick), tick, True) if params.long else _on_tick(max(price, bid + tick), tick, False)


def _valid(frame: Frame, market: Fields, params: Params, base: int, price: int) -> bool:
    """Whether the order may stand. Fails for what is wrong with it; False for a post-only order that is to be left out quietly."""
    post_only = params.post_only != 0
    if params.kind == MARKET:
        require(not post_only, "InvalidOrderPostOnly", "Market order can not be post only")
    else:
        require(price > 0, "InvalidOrderLimitPrice", "Limit order price == 0")
    if base < market["min_order_size"] and not params.reduce_only:
        fail("InvalidOrderMinOrderSize", f"Order base_asset_amount ({base}) < min_order_size ({market['min_order_size']})")
    if post_only:
        bid, ask = bid_ask(market)
        if (params.long and price >= ask) or (not params.long and price <= bid):
            if params.post_only == 2:
                frame.log("post only order would take; left out")
                return False
            fail("PlacePostOnlyLimitFailure", f"price={price} bid={bid} ask={ask}")
    return True


def _adds_risk(order: Slot, held: dict[str, Any]) -> bool:
    if order["reduce_only"]:
        return False
    now, base = held["base_asset_amount"], order["base_asset_amount"]
    if not order["direction"]:
        return bool(now >= 0 or held["open_bids"] + base > -now)
    return bool(now <= 0 or -held["open_asks"] + base > now)


def _reserve(held: dict[str, Any], long: bool, base: int) -> None:
    if long:
        held["open_bids"] += base
    else:
        held["open_asks"] -= base


def _count(user: Fields, order: Slot, change: int) -> None:
    user["open_orders"] += change
    user["has_open_order"] = int(user["open_orders"] > 0)
    if order["auction_duration"]:
        user["open_auctions"] += change
        user["has_open_auction"] = int(user["open_auctions"] > 0)


def _told(order: Slot) -> PlacedOrder:
    return PlacedOrder(
        slot=order["slot"],
        price=order["price"],
        base=order["base_asset_amount"],
        filled=order["base_asset_amount_filled"],
        quote_filled=order["quote_asset_amount_filled"],
        trigger_price=order["trigger_price"],
        auction_start=order["auction_start_price"],
        auction_end=order["auction_end_price"],
        expires=order["max_ts"],
        oracle_offset=order["oracle_price_offset"],
        id=order["order_id"],
        market=order["market_index"],
        status=_STATUSES[order["status"]],
        kind=_KINDS[order["order_type"]],
        perp=bool(order["market_type"]),
        user_id=order["user_order_id"],
        held_long=not order["existing_position_direction"],
        long=not order["direction"],
        reduce_only=bool(order["reduce_only"]),
        post_only=bool(order["post_only"]),
        immediate=bool(order["immediate_or_cancel"]),
        trigger=_TRIGGERS[order["trigger_condition"]],
        auction_duration=order["auction_duration"],
        posted_slot_tail=order["posted_slot_tail"],
        flags=order["bit_flags"],
    )


def _as(side: str, user: Fields, order: Slot) -> dict[str, Any]:
    return {
        side: user.address,
        f"{side}_order": order["order_id"],
        f"{side}_long": not order["direction"],
        f"{side}_base": order["base_asset_amount"],
        f"{side}_filled": order["base_asset_amount_filled"],
        f"{side}_quote_filled": order["quote_asset_amount_filled"],
    }


def _sides(user: Fields, order: Slot) -> tuple[dict[str, Any], dict[str, Any]]:
    """The order in its event: a post-only one as the maker's, any other as the taker's."""
    return ({}, _as("maker", user, order)) if order["post_only"] else (_as("taker", user, order), {})


# -- cancelling ---------------------------------------------------------------------------------------------------------------


def open_order(user: Fields, order_id: int) -> Slot | None:
    """The open order of that number."""
    return next((one for one in user["orders"] if one["order_id"] == order_id and one["status"] == OPEN), None)


def cancel(frame: Frame, user: Fields, order: Slot, why: Why = Why.NONE, filler: str | None = None, reward: int = 0) -> None:
    """End an order and tell it."""
    require(order["status"] == OPEN, "OrderNotOpen")
    market = frame.perp(order["market_index"])
    taker, maker = _sides(user, order)
    velocity = frame.deployment.has(Feature.BUILDER_OPTIONS)
    frame.tell(
        OrderAction(
            at=frame.now,
            action=Action.CANCEL,
            why=why,
            market=order["market_index"],
            perp=True,
            filler=filler,
            filler_reward=reward,
            taker_fee=None if velocity else reward,
            oracle_price=frame.price(market).price,
            **taker,
            **maker,
        )
    )
    _end(user, order, CANCELED)


def _end(user: Fields, order: Slot, status: int) -> None:
    held = position(user, order["market_index"])
    assert held is not None
    _reserve(held, not order["direction"], -(order["base_asset_amount"] - order["base_asset_amount_filled"]))
    held["open_orders"] -= 1
    _count(user, order, -1)
    order["status"] = status


def cancel_many(
    frame: Frame, user: Fields, *, market: int | None = None, long: bool | None = None, why: Why = Why.NONE, filler: str | None = None
) -> list[int]:
    """Cancel all open orders that fit. Their numbers."""
    gone = []
    for order in user["orders"]:
        if order["status"] != OPEN:
            continue
        if market is not None and order["market_index"] != market:
            continue
        if long is not None and bool(order["direction"]) == long:
            continue
        cancel(frame, user, order, why, filler)
        gone.append(order["order_id"])
    user["last_active_slot"] = frame.slot
    return gone


def expire(frame: Frame, user: Fields, filler: Fields | None, order_id: int | None = None) -> int:
    """Cancel what is past its time; a keeper who does it gets the State's flat fee for each. How many."""
    count = 0
    for order in user["orders"]:
        if order["status"] != OPEN or not order["max_ts"] or frame.now <= order["max_ts"] or order_id not in (None, order["order_id"]):
            continue
        reward = 0
        if filler is not None and filler.address != user.address:
            reward = _pay_filler(frame, user, filler, order["market_index"], frame.state["perp_fee_structure"]["flat_filler_fee"])
        cancel(frame, user, order, Why.ORDER_EXPIRED, filler.address if filler else None, reward)
        count += 1
    return count


def _pay_filler(frame: Frame, user: Fields, filler: Fields, index: int, fee: int) -> int:
    market = frame.perp(index)
    fund(frame, filler, market)
    mine, theirs = position(user, index), position(filler, index, make=True)
    assert mine is not None
    assert theirs is not None
    add_quote(mine, market, -fee)
    add_quote(theirs, market, fee)
    return fee


# -- filling ------------------------------------------------------------------------------------------------------------------


def fill(
    frame: Frame,
    user: Fields,
    stats: Fields,
    order: Slot,
    *,
    base: int,
    price: int,
    filler: Fields,
    maker: tuple[Fields, Fields, Slot] | None = None,
) -> int:
    """Fill so much of a taker's order at a price, against a maker's order or the market itself. What was filled, in base units.

    A reduce-only order is filled up to its position and no further; where it has none left, it is cancelled.
    """
    index = order["market_index"]
    market = frame.perp(index)
    for one in [user, filler, *([maker[0]] if maker else [])]:
        fund(frame, one, market)
    require(market["status"] in (active(frame.deployment), reduce_only(frame.deployment)), "MarketFillOrderPaused", "Market not active")
    require(not market["paused_operations"] & 4 and not frame.state["exchange_status"] & 8, "MarketFillOrderPaused", "fills paused")
    require(order["status"] == OPEN, "OrderNotOpen")
    if expire(frame, user, filler, order["order_id"]):
        return 0
    require(not frame.stale(frame.price(market)), "InvalidOracle", "oracle is stale")
    _within(order, price)
    held = position(user, index)
    assert held is not None
    base = min(base, _left(order, held))
    if maker is not None:
        _within(maker[2], price)
        theirs = position(maker[0], index)
        assert theirs is not None
        base = min(base, _left(maker[2], theirs))
        if base == 0 and _left(maker[2], theirs) == 0:
            cancel(frame, maker[0], maker[2], Why.REDUCE_ONLY_ORDER_INCREASED_POSITION, filler.address)
            return 0
    base -= base % market["order_step_size"]
    if base == 0:
        cancel(frame, user, order, Why.REDUCE_ONLY_ORDER_INCREASED_POSITION, filler.address)
        return 0
    _exchange(frame, user, stats, order, base, price, filler, maker)
    return base


def _within(order: Slot, price: int) -> None:
    """An order is never filled at a price worse than its limit."""
    limit = order["price"] or order["auction_end_price"]
    fine = not limit or (price <= limit if not order["direction"] else price >= limit)
    require(fine, "InvalidOrderFillPrice", f"price={price} limit={limit}")


def _left(order: Slot, held: dict[str, Any]) -> int:
    left = int(order["base_asset_amount"] - order["base_asset_amount_filled"])
    if not order["reduce_only"]:
        return left
    now = held["base_asset_amount"]
    against = now > 0 if order["direction"] else now < 0
    return min(left, abs(now)) if against else 0


def _exchange(
    frame: Frame,
    user: Fields,
    stats: Fields,
    order: Slot,
    base: int,
    price: int,
    filler: Fields,
    maker: tuple[Fields, Fields, Slot] | None,
) -> None:
    index = order["market_index"]
    market = frame.perp(index)
    long = not order["direction"]
    # a buyer who takes pays the unit that does not divide, a seller who takes forgoes it
    quote = -(-base * price // BASE) if long else base * price // BASE
    fees = _fees(frame, market, stats, maker[1] if maker else None, quote, order, filler.address != user.address)
    taken = _one_side(market, user, order, base, quote, long)
    add_quote(taken.held, market, -fees.taker)
    made = None
    if maker is not None:
        made = _one_side(market, maker[0], maker[2], base, quote, not long)
        add_quote(made.held, market, fees.maker)
    else:
        market.add("base_asset_amount_with_amm", base if long else -base)
    if fees.filler:
        place = position(filler, index, make=True)
        assert place is not None
        add_quote(place, market, fees.filler)
    kept = fees.taker - fees.filler - (fees.maker if maker else 0)
    for name in ("total_fee", "total_exchange_fee", "total_fee_minus_distributions"):
        market.more(name, kept)
    market.more("net_revenue_since_last_funding", kept)
    _volumes(frame, stats, "taker", quote, fees.taker)
    if maker is not None:
        _volumes(frame, maker[1], "maker", quote, fees.maker)
    number = market["next_fill_record_id"]
    market["next_fill_record_id"] = number + 1
    market.put("last_fill_price", price)
    told = {**_as("taker", user, order), "taker_entry": taken.entry, "taker_existing_base": taken.existing}
    if maker is not None and made is not None:
        told |= {**_as("maker", maker[0], maker[2]), "maker_entry": made.entry, "maker_existing_base": made.existing}
    frame.tell(
        OrderAction(
            at=frame.now,
            action=Action.FILL,
            why=Why.ORDER_FILLED_WITH_MATCH if maker else Why.ORDER_FILLED_WITH_AMM,
            market=index,
            perp=True,
            filler=filler.address,
            filler_reward=fees.filler,
            fill_id=number,
            base=base,
            quote=quote,
            taker_fee=fees.taker,
            maker_fee=-fees.maker if maker else None,
            surplus=None if maker else 0,
            oracle_price=frame.price(market).price,
            flags=order["bit_flags"],
            **told,
        )
    )
    for one, side in [(user, taken), *([(maker[0], made)] if maker and made else [])]:
        if side.grew:
            must_be_fresh(frame, one)
        must_meet(frame, one, Check.FILL if side.grew else Check.MAINTENANCE, doing="fill")


@frozen
class _Side:
    held: dict[str, Any]
    grew: bool
    entry: int | None
    existing: int | None


def _one_side(market: Fields, user: Fields, order: Slot, base: int, quote: int, long: bool) -> _Side:
    """One party's part of a fill: its position, its order."""
    held = position(user, order["market_index"])
    assert held is not None
    before, told = held["base_asset_amount"], reduced(held, base, long)
    apply(held, market, base if long else -base, -quote if long else quote)
    order["base_asset_amount_filled"] += base
    order["quote_asset_amount_filled"] += quote
    _reserve(held, long, -base)
    if order["base_asset_amount_filled"] == order["base_asset_amount"]:
        held["open_orders"] -= 1
        _count(user, order, -1)
        order["status"] = FILLED
    return _Side(held, abs(held["base_asset_amount"]) > abs(before), *told)


def reduced(held: Mapping[str, int], base: int, long: bool) -> tuple[int | None, int | None]:
    """What a fill tells of a position that it makes smaller: the entry of that part, and the whole base where it turns round."""
    before, entry = held["base_asset_amount"], held["quote_entry_amount"]
    if not before or (before > 0) == long:
        return None, None
    return (abs(entry), abs(before)) if base > abs(before) else (abs(entry) * base // abs(before), None)


def _fees(frame: Frame, market: Fields, stats: Fields, maker: Fields | None, quote: int, order: Slot, rewarded: bool) -> FillFees:
    rule = frame.state["perp_fee_structure"]
    reward = None
    if rewarded and rule["filler_reward_numerator"]:
        reward = FillerReward(
            rule["filler_reward_numerator"], max(1, rule["filler_reward_denominator"]), rule["time_based_reward_lower_bound"]
        )
    tier = tier_of(frame.deployment, frame.state, stats)
    made = tier_of(frame.deployment, frame.state, maker) if maker is not None else tier
    found = fill_fees(quote, tier, made, adjustment_pct=market["fee_adjustment"], filler=reward, slots=max(1, frame.slot - order["slot"]))
    if maker is None:
        fee = taker_fee(quote, tier, market["fee_adjustment"])
        return FillFees(fee, 0, fee - found.filler, found.filler, 0, 0)
    return found


def _volumes(frame: Frame, stats: Fields, side: str, quote: int, fee: int) -> None:
    volume(frame, stats, side, quote)
    stats["fees"]["total_fee_paid" if side == "taker" else "total_fee_rebate"] += fee


def volume(frame: Frame, stats: Fields, side: str, quote: int) -> None:
    """Count a fill in a user's 30 days: what was there before fades with the time since the last one."""
    at = f"last_{side}_volume_30d_ts"
    since = max(1, frame.now - stats[at])
    rest = max(0, DAYS_30 - since)
    stats[f"{side}_volume_30d"] = stats[f"{side}_volume_30d"] * rest // DAYS_30 + quote
    stats[at] = frame.now
