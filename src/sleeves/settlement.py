"""Settling profit and loss, trading fees by tier, and interest: what a venue moves besides a trade's own money.

Pure figures after Drift v2 (protocol-v2 `state/user.rs`, `math/amm.rs`, `math/fees.rs`, `math/spot_balance.rs`; the
interest curve as in driftpy 0.8), in its units: money and prices 1e-6, base 1e-9, scaled balances 1e-9, interest
indices 1e-10, rates and utilisation 1e-6 of one.

    claimable   = pnl when it is a loss, else min(pnl, max(0, quote - entry) + pool excess)
    pool excess = max(0, pnl pool + fee pool / 5 - max(0, net user pnl))
    taker fee   = ceil(quote x fee), then adjusted by percent          maker rebate = floor(quote x rebate), then adjusted
    tier        = by 30-day volume; staked tokens lower the fee and raise the rebate
    borrow rate = linear to the optimal utilisation, then in six steeper pieces to the maximum

Settling moves money between a contract and the balance: equity stays, what can be withdrawn changes. This module books
nothing, and it knows neither accounts nor time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve, field, frozen

from .errors import InvalidMarket
from .margin import whole
from .money import PPM, Rounding, divide

__all__ = [
    "BorrowCurve",
    "FeeTier",
    "FillFees",
    "FillerReward",
    "borrow_rate",
    "claimable",
    "deposit_rate",
    "fee_tier",
    "fill_fees",
    "maker_rebate",
    "net_user_pnl",
    "pool_excess",
    "taker_fee",
    "token_amount",
    "utilisation",
]

BASE = 10**9

VOLUME_STEPS = tuple(millions * 1_000_000 * PPM for millions in (2, 10, 20, 80, 200))
"""30-day volume in quote units from which the next tier holds."""

STAKE_STEPS = ((999 * PPM, 5), (9_999 * PPM, 10), (49_999 * PPM, 20), (99_999 * PPM, 30), (249_995 * PPM, 40))
"""Staked tokens (1e-6), and the percent that they take off the fee and put on the rebate."""

CURVE = ((850_000, 50), (900_000, 100), (950_000, 150), (990_000, 200), (995_000, 250), (PPM, 250))
"""Above the optimal utilisation: where each piece ends, and its thousandths of the way to the maximum rate."""


# -- profit and loss --------------------------------------------------------------------------------------------------


def claimable(pnl: int, quote: int, entry: int, excess: int) -> int:
    """How much of an unrealized `pnl` can be settled now: all of a loss; of a gain what was realized, and the pool's excess.

    `quote` is the contract's money side and `entry` that of its opening trades, both negative for a long.
    """
    whole(quote, "the quote of a position")
    whole(entry, "the entry of a position")
    whole(excess, "the pool excess")
    if whole(pnl, "a pnl") <= 0:
        return pnl
    return min(pnl, max(0, quote - entry) + max(0, excess))


def net_user_pnl(net_base: int, net_quote: int, price: int) -> int:
    """What all users of a market would gain together at `price`: the value of their net base and the quote they put in."""
    whole(net_quote, "the users' net quote")
    return divide(whole(net_base, "the users' net base") * whole(price, "the price", 1), BASE, Rounding.DOWN) + net_quote


def pool_excess(pnl_pool: int, net_pnl: int, fee_pool: int = 0) -> int:
    """What the pool could pay beyond all that users gain together, a fifth of the fee pool counted in; never below zero."""
    pool = whole(pnl_pool, "the pnl pool", 0) + whole(fee_pool, "the fee pool", 0) // 5  # Drift's floor
    return max(0, pool - max(0, whole(net_pnl, "the net pnl of users")))


# -- fees -------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class FeeTier:
    """A taker's fee and a maker's rebate as exact fractions of the quote; a referred taker's discount and reward, of the fee."""

    fee: int
    fee_of: int
    rebate: int
    rebate_of: int
    discount: int = field(default=1, kw_only=True)
    discount_of: int = field(default=10, kw_only=True)
    reward: int = field(default=1, kw_only=True)
    reward_of: int = field(default=10, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for part, of in (("fee", "fee_of"), ("rebate", "rebate_of"), ("discount", "discount_of"), ("reward", "reward_of")):
            whole(getattr(self, part), f"the {part} of a fee tier", 0)
            if getattr(self, part) > whole(getattr(self, of), f"the denominator of the {part}", 1):
                raise InvalidMarket(f"the {part} of a fee tier must be at most 1, not {getattr(self, part)} / {getattr(self, of)}")


@frozen(order=False)
class FillerReward:
    """What a keeper gets for filling: a fraction of the fee, and no more than `least` quote units times a root of the order's age."""

    share: int = 10
    share_of: int = 100
    least: int = 10_000

    def __attrs_post_init__(self) -> None:
        whole(self.share, "the share of a filler", 0)
        whole(self.share_of, "the denominator of a filler's share", 1)
        whole(self.least, "the least of a filler's reward", 0)


@frozen(order=False)
class FillFees:
    """Who gets what of a fill, in quote units: `taker` = `market` + `maker` + `filler` + `referrer`."""

    taker: int
    maker: int
    market: int
    filler: int
    referrer: int
    discount: int


def fee_tier(tiers: Sequence[FeeTier], volume_30d: int, staked: int = 0, *, high_leverage: bool = False) -> FeeTier:
    """The tier of a user with that volume (quote units) and stake (1e-6 tokens), out of a venue's six.

    A stake takes 5 to 40% off the fee and puts as much on the rebate, rounded down. In high leverage the first tier
    holds, whatever was traded or staked (and `taker_fee` doubles it). Source: protocol-v2 `math/fees.rs`.
    """
    if len(tiers) <= len(VOLUME_STEPS):
        raise InvalidMarket(f"a table of fee tiers has at least {len(VOLUME_STEPS) + 1} rows, not {len(tiers)}")
    whole(volume_30d, "the 30-day volume", 0)
    whole(staked, "the staked tokens", 0)
    if high_leverage:
        return tiers[0]
    tier = tiers[sum(volume_30d >= step for step in VOLUME_STEPS)]
    off = max((percent for step, percent in STAKE_STEPS if staked >= step), default=0)
    if off:
        # 5, 10 and 20 percent are taken off rounded up; above, what stays is rounded up
        exact = tier.fee * (100 - off)
        fee = divide(exact, 100, Rounding.FLOOR if off <= 20 else Rounding.CEIL)
        tier = evolve(tier, fee=fee, rebate=tier.rebate * (100 + off) // 100)  # Drift's floor
    return tier


def taker_fee(quote: int, tier: FeeTier, adjustment_pct: int = 0, *, high_leverage: bool = False) -> int:
    """The fee on `quote` units, rounded up, doubled in high leverage, then raised or lowered by percent, against the taker."""
    fee = divide(whole(quote, "the quote of a fill", 0) * tier.fee, tier.fee_of, Rounding.CEIL) * (2 if high_leverage else 1)
    return fee + divide(fee * _percent(adjustment_pct), 100, Rounding.CEIL)


def maker_rebate(quote: int, tier: FeeTier, adjustment_pct: int = 0) -> int:
    """The rebate on `quote` units, rounded down, and then raised or lowered by percent, against the maker."""
    rebate = divide(whole(quote, "the quote of a fill", 0) * tier.rebate, tier.rebate_of, Rounding.FLOOR)
    return rebate + divide(rebate * _percent(adjustment_pct), 100, Rounding.FLOOR)


def _percent(value: int) -> int:
    if whole(value, "a fee adjustment in percent", -100) > 100:
        raise InvalidMarket(f"a fee adjustment in percent must be at most 100, not {value}")
    return value


def fill_fees(
    quote: int,
    taker: FeeTier,
    maker: FeeTier,
    *,
    adjustment_pct: int = 0,
    referred: bool = False,
    filler: FillerReward | None = None,
    multiplier: int = 1_000,
    slots: int = 0,
    high_leverage: bool = False,
) -> FillFees:
    """Fees of a fill against a maker. `filler` is who filled it, after `slots`; `multiplier` (1,000 is once) is for far prices.

    A referred taker pays less, and his referrer is paid out of the fee. The market keeps the rest, which is below zero
    where a maker's rebate exceeds the taker's fee.
    """
    fee, discount, reward = taker_fee(quote, taker, adjustment_pct, high_leverage=high_leverage), 0, 0
    if referred:
        discount = fee * taker.discount // taker.discount_of  # Drift's floor
        reward = fee * taker.reward // taker.reward_of  # Drift's floor
        fee -= discount
    rebate = maker_rebate(quote, maker, adjustment_pct)
    filled = _filler(fee, filler, multiplier, slots) if filler is not None else 0
    return FillFees(fee, rebate, fee - filled - reward - rebate, filled, reward, discount)


def _filler(fee: int, reward: FillerReward, multiplier: int, slots: int) -> int:
    """The lesser of a share of the fee and of what grows with the fourth root of the order's age."""
    scaled = reward.least * max(1_000, min(100_000, whole(multiplier, "the multiplier", 0))) // 1_000  # Drift's floor
    age = max(1, whole(slots, "the slots since the order", 0))
    by_time = math.isqrt(math.isqrt(age * 100_000_000)) * scaled // 100  # Drift's floors
    return min(fee * reward.share // reward.share_of, by_time)


# -- interest ---------------------------------------------------------------------------------------------------------


@frozen(order=False)
class BorrowCurve:
    """A coin's interest: rates per year and utilisations in millionths. `floor` is the least borrow rate, in 200ths."""

    optimal_utilisation: int
    optimal_rate: int
    max_rate: int
    floor: int = 0
    insurance: int = 0
    """The insurance fund's part of the interest, in millionths."""

    def __attrs_post_init__(self) -> None:
        whole(self.optimal_utilisation, "the optimal utilisation", 1)
        if self.optimal_utilisation >= CURVE[0][0]:
            raise InvalidMarket(f"the optimal utilisation must be below {CURVE[0][0]} millionths, not {self.optimal_utilisation}")
        whole(self.optimal_rate, "the optimal borrow rate", 0)
        whole(self.max_rate, "the maximum borrow rate", self.optimal_rate)
        whole(self.floor, "the floor of the borrow rate", 0)
        if whole(self.insurance, "the insurance fund's part", 0) > PPM:
            raise InvalidMarket(f"the insurance fund's part must be at most {PPM} millionths, not {self.insurance}")


def token_amount(balance: int, index: int, decimals: int, *, borrowed: bool = False) -> int:
    """A scaled balance (1e-9) times its interest index (1e-10) in the coin's units: a deposit rounded down, a debt up."""
    whole(balance, "a scaled balance", 0)
    whole(index, "an interest index", 1)
    if whole(decimals, "the scale of a coin", 0) > 19:
        raise InvalidMarket(f"the scale of a coin with interest must be at most 19, not {decimals}")
    return divide(balance * index, int(10 ** (19 - decimals)), Rounding.CEIL if borrowed else Rounding.FLOOR)


def utilisation(deposits: int, borrowings: int, delta: int = 0) -> int:
    """Millionths of the deposits that are lent out, after `delta` more were deposited, or, below zero, borrowed."""
    whole(delta, "a change")
    lent = whole(borrowings, "the borrowings", 0) + max(0, -delta)
    held = whole(deposits, "the deposits", 0) + max(0, delta)
    if not held:
        return PPM if lent else 0
    return lent * PPM // held  # Drift's floor


def borrow_rate(curve: BorrowCurve, used: int) -> int:
    """What borrowers pay per year, in millionths, at a utilisation of `used` millionths. At more than all of it, the maximum."""
    whole(used, "a utilisation", 0)
    if used <= curve.optimal_utilisation:
        slope = curve.optimal_rate * PPM // curve.optimal_utilisation  # Drift's floor
        rate = used * slope // PPM  # Drift's floor
    else:
        rate, start = curve.optimal_rate, curve.optimal_utilisation
        for end, weight in CURVE:
            piece = (curve.max_rate - curve.optimal_rate) * weight // 1_000  # Drift's floor
            rate += piece * (min(used, end) - start) // (end - start)  # Drift's floor
            start = end
            if used <= end:
                break
    return max(rate, curve.floor * PPM // 200)  # Drift's floor


def deposit_rate(curve: BorrowCurve, used: int) -> int:
    """What depositors earn per year, in millionths: the borrowers' interest over all deposits, less the insurance fund's part."""
    return borrow_rate(curve, used) * (PPM - curve.insurance) * used // PPM // PPM  # Drift's floors
