"""What keepers do with accounts that are not theirs: fills, funding, liquidations, bankruptcies. Rules after both programs'
`controller/orders.rs`, `controller/funding.rs`, `controller/liquidation.rs`; figures by `sleeves.funding` and `sleeves.liquidation`.

There is no insurance fund here: the loss of a bankrupt position is borne by all who hold the market, through the funding index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from solders.instruction import Instruction

from ...funding import Tier, next_update, rate_from_twaps, venue_share
from ...liquidation import (
    asset_for_liability,
    base_to_cover,
    funding_rate_delta,
    liability_for_asset,
    liability_to_cover,
    liquidator_fee,
    max_share,
    perp_insurance_fee,
)
from ...margin import Check, Standing, asset_weight, margin_ratio, standing
from ...money import Rounding, divide
from ...venues.drift.deployment import Feature
from ...venues.drift.events import Action, FundingRate, Liquidation, LiquidationKind, OrderAction, OrderPlaced, PlacedOrder, Why
from ...venues.drift.words import OrderKind, OrderStatus, Trigger
from .fields import Fields
from .frame import Frame
from .orders import cancel_many, fill, open_order, reduced, volume
from .perp import add_quote, apply, fund, position
from .reading import Reader
from .refusing import fail, require
from .spot import balance_of, change, spot_position
from .standing import account_of, must_meet
from .words import settlement

__all__ = ["fill_order", "keeper_funding", "liquidate", "liquidate_pnl", "resolve_bankruptcy"]

PPM = 10**6
BASE = 10**9
DAY = 86_400
MOST = (1 << 64) - 1
SMALL = 50 * PPM
"""A position worth no more is taken whole."""
_TIERS = (Tier.A, Tier.B, Tier.C, Tier.SPECULATIVE, Tier.HIGHLY_SPECULATIVE, Tier.ISOLATED)


def fill_order(frame: Frame, read: Reader) -> list[Instruction]:
    """fill_perp_order: `order id?, maker's order id?`, and then the stand-in's own `base u64, price u64`."""
    number, against = read.option(read.u32), read.option(read.u32)
    base, price = read.u64(), read.u64()
    names = ["state", "authority@", "filler!", "filler_stats!", "user!", "user_stats!"]
    at = frame.named(*names, *(["maker!", "maker_stats!"] if against is not None else []))
    frame.open(at["state"])
    filler, user = frame.user(at["filler"]), frame.user(at["user"])
    require(at["authority"] in (filler["authority"], filler["delegate"]), "ConstraintRaw", "filler")
    stats = frame.load("UserStats", at["user_stats"])
    require(stats["authority"] == user["authority"], "ConstraintRaw", "user_stats")
    order = open_order(user, number if number is not None else user["next_order_id"] - 1)
    if order is None:
        fail("OrderDoesNotExist")
    frame.maps(8 if against is not None else 6, perps=[order["market_index"]])
    maker = None
    if against is not None:
        other = frame.user(at["maker"])
        theirs = open_order(other, against)
        if theirs is None:
            fail("OrderDoesNotExist", "maker")
        opposite = theirs["direction"] != order["direction"] and theirs["market_index"] == order["market_index"]
        require(opposite and theirs["post_only"] == 1, "InvalidOrder", "maker's order must be post only, and of the other side")
        maker = other, frame.load("UserStats", at["maker_stats"]), theirs
    fill(frame, user, stats, order, base=base, price=price, filler=filler, maker=maker)
    return []


# -- funding ------------------------------------------------------------------------------------------------------------------


def keeper_funding(frame: Frame, read: Reader) -> list[Instruction]:
    """update_funding_rate: `market u16`, and then the stand-in's own `rate i64?`, which without it follows from the averages."""
    index, told = read.u16(), read.option(read.i64)
    at = frame.named("state", "market!", "oracle")
    frame.open(at["state"])
    market = frame.load("PerpMarket", at["market"])
    require(market["market_index"] == index and market["oracle"] == at["oracle"], "ConstraintRaw", "perp_market")
    due = next_update(frame.now, market["last_funding_rate_ts"], market["funding_period"]) == 0
    paused = market["paused_operations"] & 1 or frame.state["exchange_status"] & 32
    require(due and not paused, "FundingWasNotUpdated")
    twap = market["last_oracle_price_twap"]
    rate = told
    if rate is None:
        require(not frame.deployment.has(Feature.FUNDING_DEAD_ZONE), "DefaultError", "Velocity's rate is not worked out here: say it")
        rate = rate_from_twaps(market["last_mark_price_twap"], twap, _TIERS[market["contract_tier"]], period=market["funding_period"])
    floor = market["total_exchange_fee"] // 2
    done = venue_share(
        rate,
        market["base_asset_amount_long"],
        market["base_asset_amount_short"],
        market["total_fee_minus_distributions"],
        floor=floor,
        net_base=market["base_asset_amount_with_amm"],
    )
    market.all(
        {
            "last_funding_rate": rate,
            "last_funding_rate_long": done.long_rate,
            "last_funding_rate_short": done.short_rate,
            "last_funding_rate_ts": frame.now,
            "last_funding_oracle_twap": twap,
            "total_fee_minus_distributions": done.fee_pool,
            "net_revenue_since_last_funding": 0,
        }
    )
    period = market["funding_period"]
    mean = market["last_24h_avg_funding_rate"]
    market["last_24h_avg_funding_rate"] = divide(rate * period + mean * (DAY - period), DAY, Rounding.DOWN)
    market.add("cumulative_funding_rate_long", done.long_rate)
    market.add("cumulative_funding_rate_short", done.short_rate)
    market.add("net_unsettled_funding_pnl", done.unsettled)
    number = market["next_funding_rate_record_id"]
    market["next_funding_rate_record_id"] = number + 1
    drift = not frame.deployment.has(Feature.FUNDING_DEAD_ZONE)
    frame.tell(
        FundingRate(
            at=frame.now,
            id=number,
            market=index,
            rate=rate,
            rate_long=done.long_rate,
            rate_short=done.short_rate,
            cumulative_long=market["cumulative_funding_rate_long"],
            cumulative_short=market["cumulative_funding_rate_short"],
            oracle_twap=twap,
            mark_twap=market["last_mark_price_twap"],
            revenue=0 if drift else None,
            base_with_amm=market["base_asset_amount_with_amm"],
            base_with_lp=0 if drift else None,
        )
    )
    return []


# -- liquidation --------------------------------------------------------------------------------------------------------------


class _Case:
    """One liquidation: who, what is missing, and how it ends."""

    def __init__(self, frame: Frame, index: int) -> None:
        at = frame.named("state", "authority@", "liquidator!", "liquidator_stats!", "user!", "user_stats!")
        frame.open(at["state"])
        self.frame = frame
        self.user, self.liquidator = frame.user(at["user"]), frame.user(at["liquidator"])
        self.index = index
        self.stats, self.liquidator_stats = at["user_stats"], at["liquidator_stats"]
        held = position(self.liquidator, index)
        self.liquidator_long = held is None or held["base_asset_amount"] >= 0
        require(at["authority"] in (self.liquidator["authority"], self.liquidator["delegate"]), "ConstraintRaw", "liquidator")
        require(at["user"] != at["liquidator"], "UserCantLiquidateThemself")
        self.buffer = frame.state["liquidation_margin_buffer_ratio"]

    def begin(self) -> Standing | None:
        """Enter the liquidation, and cancel the orders; None where the account is safe after that. Fails for one that was safe before."""
        frame, user = self.frame, self.user
        require(not user["status"] & 2, "UserBankrupt")
        require(not self.liquidator["status"] & 2, "UserBankrupt")
        market = frame.perp(self.index)
        fund(frame, user, market)
        fund(frame, self.liquidator, market)
        before = standing(account_of(frame, user), Check.MAINTENANCE)
        if user["status"] & 1:
            if self.now().short == 0:
                self._leave()
                return None
        else:
            require(before.short > 0, "SufficientCollateral")
            user["status"] |= 1
            user["liquidation_margin_freed"] = 0
            user["last_active_slot"] = frame.slot
            user.add("next_liquidation_id", 1)
        self.id = user["next_liquidation_id"] - 1
        self.first = standing(account_of(frame, user), Check.MAINTENANCE)
        missing = self.now().short
        active_slot = user["last_active_slot"]
        self.cancelled = cancel_many(frame, user, why=Why.LIQUIDATION, filler=self.liquidator.address)
        user["last_active_slot"] = active_slot
        after = self.now()
        self.freed = max(0, missing - after.short)
        user.add("liquidation_margin_freed", self.freed)
        return after

    def now(self) -> Standing:
        """Where the account stands, with the buffer that it must reach to be let go."""
        return standing(account_of(self.frame, self.user), Check.MAINTENANCE, buffer_bp=self.buffer)

    def _leave(self) -> None:
        self.user["status"] &= ~1
        self.user["liquidation_margin_freed"] = 0

    def share(self, missing: int) -> int:
        """How much of the shortage may be taken at once, in 1e-4."""
        user, state = self.user, self.frame.state
        return max_share(
            missing,
            user["liquidation_margin_freed"],
            max(0, self.frame.slot - user["last_active_slot"]),
            initial_bp=state["initial_pct_to_liquidate"],
            duration=state["liquidation_duration"],
        )

    def end(self, kind: LiquidationKind, part: dict[str, Any], missing: int, *, done: bool = False) -> None:
        """Let the account go where it is `done` or safe, or declare it bankrupt, and tell the liquidation."""
        frame, user = self.frame, self.user
        after = self.now()
        more = max(0, missing - after.short)
        user.add("liquidation_margin_freed", more)
        if after.short == 0 or done:
            self._leave()
        elif _bankrupt(user):
            user["status"] |= 2
        frame.tell(
            Liquidation(
                at=frame.now,
                kind=kind,
                user=user.address,
                liquidator=self.liquidator.address,
                requirement=self.first.requirement,
                collateral=self.first.collateral,
                freed=self.freed + more,
                id=self.id,
                bankrupt=bool(user["status"] & 2),
                cancelled=tuple(self.cancelled),
                parts={kind.part: part},
            )
        )


def _bankrupt(user: Fields) -> bool:
    """Nothing left to take, and something owed."""
    if any(place["scaled_balance"] and not place["balance_type"] for place in user["spot_positions"]):
        return False
    if any(place["base_asset_amount"] or place["quote_asset_amount"] > 0 or place["open_orders"] for place in user["perp_positions"]):
        return False
    owes = any(place["scaled_balance"] and place["balance_type"] for place in user["spot_positions"])
    return owes or any(place["quote_asset_amount"] < 0 for place in user["perp_positions"])


def liquidate(frame: Frame, read: Reader) -> list[Instruction]:
    """liquidate_perp: a keeper takes a position over at the oracle's price, and is paid his fee."""
    index, most, limit = read.u16(), read.u64(), read.option(read.u64)
    case = _Case(frame, index)
    frame.maps(6, perps=[index])
    market = frame.perp(index)
    require(market["status"] != settlement(frame.deployment), "InvalidPerpPositionToLiquidate", "market is in settlement")
    price = frame.price(market).price
    quote_price = frame.price(frame.spot(0)).price
    now = case.begin()
    if now is None:
        return []
    place = position(case.user, index)
    base = abs(place["base_asset_amount"]) if place else 0
    part: dict[str, Any] = {
        "market_index": index,
        "oracle_price": price,
        "base_asset_amount": 0,
        "quote_asset_amount": 0,
        "fill_record_id": 0,
        "user_order_id": 0,
        "liquidator_order_id": 0,
        "liquidator_fee": 0,
        "if_fee": 0,
    }
    if frame.deployment.has(Feature.SPOT_TRADING):
        part["lp_shares"] = 0  # Drift's record still has them
    if now.short == 0 or base == 0 or place is None:
        require(now.short == 0 or bool(case.cancelled), "PositionDoesntHaveOpenPositionOrOrders")
        case.end(LiquidationKind.PERP, part, now.short)
        return []
    apart = abs(price - market["last_oracle_price_twap_5min"]) * PPM // market["last_oracle_price_twap_5min"]
    require(apart <= frame.state["oracle_twap_5min_percent_divergence"], "PriceBandsBreached")
    size = _sizes(case, market, place, now.short, most, price, quote_price)
    long = place["base_asset_amount"] > 0
    discount = price * size.fee // PPM  # the program's floor
    fine = limit is None or (price - discount <= limit if long else price + discount >= limit)
    require(fine, "LiquidationDoesntSatisfyLimitPrice")
    value = size.taken * price // BASE  # the program's floors, here and below
    fee, if_fee = value * size.fee // PPM, value * size.insured // PPM
    filled = _handed_over(case, market, place, size.taken, value, fee, if_fee)
    numbers = _told_as_orders(case, market, size.taken, value, fee + if_fee, fee, long, price, limit, filled)
    part.update(
        base_asset_amount=-size.taken if long else size.taken,
        quote_asset_amount=value if long else -value,
        **numbers,
        liquidator_fee=fee,
        if_fee=if_fee,
    )
    case.end(LiquidationKind.PERP, part, now.short, done=size.taken >= size.cover)
    must_meet(frame, case.liquidator, Check.INITIAL, doing="liquidator")
    return []


def _handed_over(case: _Case, market: Fields, place: dict[str, Any], taken: int, value: int, fee: int, if_fee: int) -> dict[str, Any]:
    """The trade at the oracle's value, and then the fees, one by one; what both sides held before, as fills tell it."""
    frame, long = case.frame, place["base_asset_amount"] > 0
    other = position(case.liquidator, market["market_index"], make=True)
    assert other is not None
    mine, theirs = reduced(place, taken, not long), reduced(other, taken, long)
    apply(place, market, -taken if long else taken, value if long else -value)
    add_quote(place, market, -fee)
    add_quote(place, market, -if_fee)
    apply(other, market, taken if long else -taken, -value if long else value)
    add_quote(other, market, fee)
    market.more("total_liquidation_fee", if_fee)
    market.more("pending_if_fee", if_fee)
    volume(frame, frame.load("UserStats", case.stats), "taker", value)
    volume(frame, frame.load("UserStats", case.liquidator_stats), "maker", value)
    return {"taker_entry": mine[0], "taker_existing_base": mine[1], "maker_entry": theirs[0], "maker_existing_base": theirs[1]}


def _told_as_orders(
    case: _Case,
    market: Fields,
    taken: int,
    value: int,
    charged: int,
    fee: int,
    long: bool,
    price: int,
    limit: int | None,
    filled: dict[str, Any],
) -> dict[str, int]:
    """The two orders that nobody placed, and their fill: their numbers."""
    frame, index = case.frame, market["market_index"]
    number = market["next_fill_record_id"]
    market["next_fill_record_id"] = number + 1
    ids = []
    sides: dict[str, Any] = {}
    for side, who, buys in (("taker", case.user, not long), ("maker", case.liquidator, long)):
        ids.append(who["next_order_id"])
        who["next_order_id"] += 1
        named = {"": who.address, "_order": ids[-1], "_long": buys, "_base": taken, "_filled": taken, "_quote_filled": value}
        sides |= {f"{side}{name}": what for name, what in named.items()}
        held = long if side == "taker" else case.liquidator_long
        capped = limit if side == "maker" else None
        frame.emit(OrderPlaced(at=frame.now, user=who.address, order=_nobodys(frame, ids[-1], index, taken, buys, held, capped)))
    frame.emit(
        OrderAction(
            at=frame.now,
            action=Action.FILL,
            why=Why.LIQUIDATION,
            market=index,
            perp=True,
            fill_id=number,
            base=taken,
            quote=value,
            taker_fee=charged,
            maker_fee=-fee,
            oracle_price=price,
            **sides,
            **filled,
        )
    )
    return {"fill_record_id": number, "user_order_id": ids[0], "liquidator_order_id": ids[1]}


def _nobodys(frame: Frame, number: int, index: int, base: int, long: bool, held_long: bool, limit: int | None) -> PlacedOrder:
    return PlacedOrder(
        slot=frame.slot,
        price=limit or 0,
        base=base,
        filled=0,
        quote_filled=0,
        trigger_price=0,
        auction_start=0,
        auction_end=0,
        expires=0,
        oracle_offset=0,
        id=number,
        market=index,
        status=OrderStatus.OPEN,
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        perp=True,
        user_id=0,
        held_long=held_long,
        long=long,
        reduce_only=False,
        post_only=False,
        immediate=False,
        trigger=Trigger.ABOVE,
        auction_duration=0,
        posted_slot_tail=0,
        flags=0,
    )


@frozen
class _Size:
    """The liquidator's fee and the insurance fund's (1e-6), the base that would cover the shortage, and what of it is taken."""

    fee: int
    insured: int
    cover: int
    taken: int


def _sizes(case: _Case, market: Fields, place: dict[str, Any], missing: int, most: int, price: int, quote_price: int) -> _Size:
    """How much is taken, and for which fees."""
    frame, base = case.frame, abs(place["base_asset_amount"])
    ratio = margin_ratio(account_of(frame, case.user).contract(f"perp {market['market_index']}"), Check.MAINTENANCE, size=base)
    ratio += case.buffer
    idle = max(0, frame.slot - case.user["last_active_slot"])
    # it never grows past what the maintenance ratio pays for
    fee = liquidator_fee(market["liquidator_fee"], max(market["liquidator_fee"], market["margin_ratio_maintenance"] * 100), idle)
    insured = perp_insurance_fee(missing, base, ratio, fee, price, quote_price, market["if_liquidation_fee"])
    step = market["order_step_size"]
    cover = base_to_cover(missing, ratio, fee, insured, price, quote_price)
    cover = MOST if cover is None else -(-cover // step) * step
    allowed = cover * case.share(missing) // 10_000
    if base * price // BASE <= SMALL:
        allowed = max(allowed, base)
    taken = min(base, most - most % step, -(-allowed // step) * step)
    require(taken > 0, "InvalidBaseAssetAmountForLiquidatePerp", "nothing to take")
    return _Size(fee, insured, cover, taken)


def liquidate_pnl(frame: Frame, read: Reader, accrue: Callable[[Frame, Fields, int | None], None]) -> list[Instruction]:
    """liquidate_perp_pnl_for_deposit: a keeper takes a closed position's loss over, for a deposit and his fee."""
    index, coin, most = read.u16(), read.u16(), read.u64() | read.u64() << 64
    read.option(read.u64)
    case = _Case(frame, index)
    frame.maps(6, spots=[coin], perps=[index])
    market, asset = frame.perp(index), frame.spot(coin)
    price = frame.price(asset).price
    accrue(frame, asset, price)
    held = spot_position(case.user, coin)
    require(held is not None and not held["balance_type"] and held["scaled_balance"] > 0, "WrongSpotBalanceType")
    assert held is not None
    now = case.begin()
    if now is None:
        return []
    place = position(case.user, index)
    lost = place is not None and not place["base_asset_amount"] and place["quote_asset_amount"] < 0
    require(lost, "InvalidPerpPositionToLiquidate")
    assert place is not None
    loss = -place["quote_asset_amount"]
    tokens = balance_of(asset, held)
    up, down = PPM + asset["liquidator_fee"], PPM - market["liquidator_fee"]
    worth = 10_000
    if coin:
        worth = asset_weight(account_of(frame, case.user).coin(f"spot {coin}"), Check.MAINTENANCE)
    quote_price = frame.price(frame.spot(0)).price
    cover = liability_to_cover(now.short, worth, up, 10_000, down, 6, quote_price)
    share = case.share(now.short)
    moved = min(loss, most, loss if cover is None else max(1, cover * share // 10_000))
    moved = min(moved, liability_for_asset(tokens, up, asset["decimals"], price, down, 6, quote_price))
    given = min(tokens, asset_for_liability(tokens, up, asset["decimals"], price, moved, down, 6, quote_price))
    change(asset, held, given, out=True)
    theirs = spot_position(case.liquidator, coin, make=True)
    assert theirs is not None
    change(asset, theirs, given, out=False)
    other = position(case.liquidator, index, make=True)
    assert other is not None
    add_quote(place, market, moved)
    add_quote(other, market, -moved)
    part = {
        "perp_market_index": index,
        "market_oracle_price": frame.price(market).price,
        "pnl_transfer": moved,
        "asset_market_index": coin,
        "asset_price": price,
        "asset_transfer": given,
    }
    case.end(LiquidationKind.PERP_PNL_FOR_DEPOSIT, part, now.short)
    must_meet(frame, case.liquidator, Check.INITIAL, doing="liquidator")
    return []


def resolve_bankruptcy(frame: Frame, read: Reader) -> list[Instruction]:
    """resolve_perp_bankruptcy: the loss is spread over all who hold the market."""
    read.u16()
    index = read.u16()
    case = _Case(frame, index)
    frame.maps(10, spots=[0], perps=[index])
    user, market = case.user, frame.perp(index)
    require(bool(user["status"] & 2), "UserNotBankrupt")
    place = position(user, index)
    require(place is not None and not place["base_asset_amount"] and place["quote_asset_amount"] < 0, "InvalidPerpPositionToLiquidate")
    assert place is not None
    loss = int(place["quote_asset_amount"])
    delta = funding_rate_delta(loss, market["base_asset_amount_long"], market["base_asset_amount_short"])
    market.add("cumulative_funding_rate_long", delta)
    market.add("cumulative_funding_rate_short", -delta)
    market.more("total_social_loss", -loss)
    add_quote(place, market, -loss)
    user.add("total_social_loss", -loss)
    if not _bankrupt(user):
        user["status"] &= ~3
        user["liquidation_margin_freed"] = 0
    part = {
        "market_index": index,
        "pnl": loss,
        "if_payment": 0,
        "clawback_user": None,
        "clawback_user_payment": None,
        "cumulative_funding_rate_delta": delta,
    }
    frame.tell(
        Liquidation(
            at=frame.now,
            kind=LiquidationKind.PERP_BANKRUPTCY,
            user=user.address,
            liquidator=case.liquidator.address,
            requirement=0,
            collateral=0,
            freed=0,
            id=user["next_liquidation_id"] - 1,
            bankrupt=True,
            parts={LiquidationKind.PERP_BANKRUPTCY.part: part},
        )
    )
    return []
