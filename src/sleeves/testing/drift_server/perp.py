"""Positions of perpetuals: fills, funding, fees and settling. Rules after both programs' `controller/position.rs`, `controller/funding.rs`,
`controller/pnl.rs`, `math/fees.rs`; figures by `sleeves.funding` and `sleeves.settlement`.

The other side of a fill that no maker stands for is the market itself, at the price of the fill: its curve is not modelled, and what its
spread earns neither. It moves no tokens and checks no margin.
"""

from __future__ import annotations

from typing import Any

from ...errors import InvalidMarket
from ...funding import payment
from ...money import Rounding, divide
from ...settlement import FeeTier, claimable, fee_tier, net_user_pnl, pool_excess
from ...venues.drift.deployment import Deployment, Feature
from ...venues.drift.events import FundingPayment, PnlSettled
from .fields import Fields
from .frame import Frame
from .refusing import fail, require
from .spot import balance_of, borrows, change, deposits, signed, spot_position
from .words import active, reduce_only

__all__ = ["Position", "add_quote", "apply", "claim", "fund", "position", "quote_of", "settle", "tier_of", "unrealized"]

Position = dict[str, Any]
BASE = 10**9
LONG_STEPS = (5_000_000 * 10**6, 80_000_000 * 10**6)
"""Volumes from which Velocity's second and third tier hold (reference/drift.md, section 5)."""


def _idle(place: Position) -> bool:
    isolated = place.get("position_flag", 0) & 1
    held = place["base_asset_amount"] or place["quote_asset_amount"] or place["open_orders"] or place["open_bids"] or place["open_asks"]
    return not held and not isolated


def position(user: Fields, index: int, *, make: bool = False) -> Position | None:
    """A user's position in a market, or None; with `make`, a free place is taken for it."""
    places: list[Position] = user["perp_positions"]
    for place in places:
        if place["market_index"] == index and not _idle(place):
            return place
    if not make:
        return None
    for place in places:
        if _idle(place):
            kept = place.get("max_margin_ratio", 0) if place["market_index"] == index else 0
            for name, value in place.items():
                place[name] = bytes(len(value)) if isinstance(value, bytes) else 0
            place["market_index"] = index
            if "max_margin_ratio" in place:
                place["max_margin_ratio"] = kept
            return place
    return fail("MaxNumberOfPositions")


def quote_of(base: int, price: int) -> int:
    """Quote units that `base` (never negative) costs at a price, rounded down: what a maker's order is filled for."""
    return base * price // BASE  # the program's floor


def unrealized(place: Position, price: int) -> int:
    """Profit or loss at a price, without funding that is not paid yet."""
    base = place["base_asset_amount"]
    value = abs(base) * price // BASE  # the program's floor
    return int((value if base >= 0 else -value) + place["quote_asset_amount"])


def add_quote(place: Position, market: Fields, amount: int, *, break_even: bool = True) -> None:
    """Give a position so many quote units, or take them: funding, fees, what is settled (which leaves `break_even` as it is)."""
    if amount == 0:
        return
    before = place["quote_asset_amount"] == 0 and place["base_asset_amount"] == 0
    place["quote_asset_amount"] += amount
    market.add("quote_asset_amount", amount)
    after = place["quote_asset_amount"] == 0 and place["base_asset_amount"] == 0
    if before != after:
        market.more("number_of_users", 1 if before else -1)
    if break_even:
        place["quote_break_even_amount"] += amount
        side = "long" if place["base_asset_amount"] >= 0 else "short"
        if place["base_asset_amount"]:
            market.more(f"quote_break_even_amount_{side}", amount)


def apply(place: Position, market: Fields, base: int, quote: int) -> int:
    """Change a position by `base` and `quote` (a buy pays, so its quote is below zero). The profit that it realized.

    Its funding must be paid up to now.
    """
    old, entry, even = place["base_asset_amount"], place["quote_entry_amount"], place["quote_break_even_amount"]
    new = old + base
    if old == 0 or (old > 0) == (base > 0):
        new_entry, new_even, pnl = entry + quote, even + quote, 0
        _open_interest(market, "long" if base > 0 else "short", base, quote, quote)
        if old == 0:
            market.more("number_of_users_with_base", 1)
            if place["quote_asset_amount"] == 0:
                market.more("number_of_users", 1)
    elif abs(base) <= abs(old):
        new_entry = entry - divide(entry * abs(base), abs(old), Rounding.DOWN)
        new_even = even - divide(even * abs(base), abs(old), Rounding.DOWN)
        pnl = entry - new_entry + quote
        _open_interest(market, "long" if old > 0 else "short", base, new_entry - entry, new_even - even)
        if new == 0:
            market.more("number_of_users_with_base", -1)
            if place["quote_asset_amount"] + quote == 0:
                market.more("number_of_users", -1)
    else:
        new_entry = new_even = quote - divide(quote * abs(old), abs(base), Rounding.DOWN)
        pnl = entry + quote - new_entry
        _open_interest(market, "long" if old > 0 else "short", -old, -entry, -even)
        _open_interest(market, "long" if new > 0 else "short", new, new_entry, new_even)
    market.add("quote_asset_amount", quote)
    place["base_asset_amount"] = new
    place["quote_asset_amount"] += quote
    place["quote_entry_amount"] = new_entry
    place["quote_break_even_amount"] = new_even
    if new == 0:
        place["last_cumulative_funding_rate"] = 0
    elif old == 0 or (old > 0) != (new > 0) or abs(new) > abs(old):
        place["last_cumulative_funding_rate"] = _cumulative(market, new)
    return int(pnl)


def _open_interest(market: Fields, side: str, base: int, entry: int, even: int) -> None:
    market.add(f"base_asset_amount_{side}", base)
    market.more(f"quote_entry_amount_{side}", entry)
    market.more(f"quote_break_even_amount_{side}", even)


# -- funding ------------------------------------------------------------------------------------------------------------------


def _cumulative(market: Fields, base: int) -> int:
    return int(market["cumulative_funding_rate_long" if base > 0 else "cumulative_funding_rate_short"])


def owed(place: Position, market: Fields) -> int:
    """Funding that a position has not been paid yet, in quote units; below zero: that it has not paid."""
    base = place["base_asset_amount"]
    if not base:
        return 0
    return payment(base, _cumulative(market, base), place["last_cumulative_funding_rate"])


def fund(frame: Frame, user: Fields, market: Fields) -> int:
    """Pay a position its funding up to now, and tell it."""
    place = position(user, market["market_index"])
    if place is None:
        return 0
    base, last = place["base_asset_amount"], place["last_cumulative_funding_rate"]
    if not base or _cumulative(market, base) == last:
        return 0
    paid = owed(place, market)
    frame.tell(
        FundingPayment(
            at=frame.now,
            authority=user["authority"],
            user=user.address,
            market=market["market_index"],
            payment=paid,
            base=base,
            last_funding=last,
            funding_long=market["cumulative_funding_rate_long"],
            funding_short=market["cumulative_funding_rate_short"],
        )
    )
    place["last_cumulative_funding_rate"] = _cumulative(market, base)
    user.add("cumulative_perp_funding", paid)
    add_quote(place, market, paid)
    market.add("net_unsettled_funding_pnl", -paid)
    return paid


# -- fees ---------------------------------------------------------------------------------------------------------------------


def tier_of(deployment: Deployment, state: Fields, stats: Fields) -> FeeTier:
    """The fees of an authority by its volume of 30 days and its stake, out of the State's table."""
    rows = [
        FeeTier(
            row["fee_numerator"],
            max(1, row["fee_denominator"]),
            row["maker_rebate_numerator"],
            max(1, row["maker_rebate_denominator"]),
            discount=row["referee_fee_numerator"],
            discount_of=max(1, row["referee_fee_denominator"]),
            reward=row["referrer_reward_numerator"],
            reward_of=max(1, row["referrer_reward_denominator"]),
        )
        for row in state["perp_fee_structure"]["fee_tiers"]
    ]
    volume = stats["maker_volume_30d"] + stats["taker_volume_30d"]
    if deployment.has(Feature.SPOT_TRADING):
        return fee_tier(rows, volume, stats["if_staked_gov_token_amount"])
    at: int = sum(volume >= step for step in LONG_STEPS)
    return rows[at]


# -- settling -----------------------------------------------------------------------------------------------------------------


def excess_of(market: Fields, quote: Fields, price: int) -> int:
    """What the market's pools could pay beyond what its users gain together."""
    pool, fees = balance_of(quote, market["pnl_pool"]), balance_of(quote, market["fee_pool"])
    return pool_excess(pool, net_user_pnl(_users_base(market), market["quote_asset_amount"], price), fees)


def _users_base(market: Fields) -> int:
    return int(market["base_asset_amount_long"] + market["base_asset_amount_short"])


def claim(place: Position, market: Fields, quote: Fields, price: int) -> int:
    """How much of a position's profit can be settled now; all of a loss."""
    excess = excess_of(market, quote, price)
    return claimable(unrealized(place, price), place["quote_asset_amount"], place["quote_entry_amount"], excess)


def settle(frame: Frame, user: Fields, market: Fields, quote: Fields, price: int, by: str) -> int:
    """Move what can be settled between a position and its quote balance, and tell it. Fails as the program does where nothing can be."""
    place = position(user, market["market_index"])
    if place is None:
        fail("UserHasNoPositionInMarket")
    _may_settle(frame, market, place)
    excess, wanted = excess_of(market, quote, price), claim(place, market, quote, price)
    require(wanted != 0, "NoUnsettledPnl")
    home = spot_position(user, quote["market_index"], make=True)
    assert home is not None
    pool = market["pnl_pool"]
    moved = _with_pool(quote, pool, home, wanted)
    require(moved != 0, "PnlPoolCantSettleUser")
    own = by in (user["authority"], user["delegate"])
    freed = moved > 0 and place["base_asset_amount"] == 0 and bool(user["status"] & 1)
    require(moved < 0 or excess > 0 or freed or own, "UserMustSettleTheirOwnPositiveUnsettledPNL")
    change(quote, pool, abs(moved), out=moved > 0)
    change(quote, home, abs(moved), out=moved < 0)
    add_quote(place, market, -moved, break_even=False)
    user.add("settled_perp_pnl", moved)
    place["settled_pnl"] += moved
    frame.tell(
        PnlSettled(
            at=frame.now,
            user=user.address,
            market=market["market_index"],
            pnl=moved,
            base=place["base_asset_amount"],
            quote_after=place["quote_asset_amount"],
            entry=place["quote_entry_amount"],
            price=price,
        )
    )
    return moved


def _may_settle(frame: Frame, market: Fields, place: Position) -> None:
    statuses = [active(frame.deployment)]
    if not place["base_asset_amount"]:
        statuses.append(reduce_only(frame.deployment))
    paused = market["paused_operations"]
    closed = bool(paused & 8) or (bool(place["base_asset_amount"]) and bool(paused & 16))
    require(market["status"] in statuses and not closed, "InvalidMarketStatusToSettlePnl")


def _with_pool(quote: Fields, pool: dict[str, Any], home: dict[str, Any], wanted: int) -> int:
    """What the pool has for a profit; for a loss, no more than may be lent to the user who owes it."""
    if wanted > 0:
        return min(wanted, balance_of(quote, pool))
    held = max(0, signed(quote, home))
    if -wanted <= held:
        return wanted
    guard = quote["withdraw_guard_threshold"]
    twap, less = quote["borrow_token_twap"], min(deposits(quote), quote["deposit_token_twap"])
    most = max(guard, min(max(less // 3, twap + less // 5), less - less // 14))
    lent = max(0, min(most - borrows(quote), deposits(quote) - borrows(quote)))
    return int(max(wanted, -(held + lent)))


def check_price(price: int) -> int:
    """A price of a fill, whole and above zero."""
    if type(price) is not int or price <= 0:
        raise InvalidMarket(f"a price must be a whole number above zero, not {price!r}")
    return price
