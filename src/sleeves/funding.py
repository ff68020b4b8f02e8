"""Funding of perpetual contracts: the rate from two averages, what a position receives, and who gets how much of it.

`rate_from_twaps` and what follows it are Drift v2's rules (protocol-v2 `math/funding.rs`, `controller/funding.rs`,
`math/helpers.rs`, `math/amm.rs`), in its units: prices 1e-6, base 1e-9, rates and cumulative rates 1e-9 quote coins per
base coin, money 1e-6. `entitlement` and `split` know no venue: they share one payment among the owners of a netted
position, to the last unit.

    rate     = clamp(mark - oracle + oracle // 5000, +- oracle // 33, 20 or 10) x 1000 // 24       per hour
    payment  = -(sign of base) x (cumulative - last) x |base| / 1e12, toward zero                  positive: received
    owner    = -qty x price x rate                                                                 longs pay shorts at a positive rate

This module keeps no clock and no balance: times come in, amounts go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from attrs import frozen

from .errors import InvalidAmount, InvalidMarket
from .margin import whole
from .money import Rounding, divide

__all__ = [
    "Tier",
    "Update",
    "clamped_rate",
    "entitlement",
    "hourly_estimate",
    "live_oracle_twap",
    "max_divergence",
    "next_update",
    "payment",
    "rate_from_twaps",
    "split",
    "venue_share",
]

HOUR = 3_600
"""Drift counts its funding periods in seconds."""

OFFSET = 5_000
"""The carry that longs pay shorts: one part of the oracle average in so many."""

RATE_TO_QUOTE = 10**12
"""From rate (1e-9) times base (1e-9) to quote units (1e-6)."""


class Tier(StrEnum):
    """How safe a venue holds a contract to be: the safer, the tighter its funding is clamped."""

    A = "A"
    B = "B"
    C = "C"
    SPECULATIVE = "Speculative"
    HIGHLY_SPECULATIVE = "HighlySpeculative"
    ISOLATED = "Isolated"


_CLAMP = {Tier.A: 33, Tier.B: 33, Tier.C: 20, Tier.SPECULATIVE: 10, Tier.HIGHLY_SPECULATIVE: 10, Tier.ISOLATED: 10}


# -- the rate ---------------------------------------------------------------------------------------------------------


def max_divergence(oracle_twap: int, tier: Tier) -> int:
    """How far from the oracle average the mark may count for funding: a 33rd for A and B, a 20th for C, else a 10th."""
    if not isinstance(tier, Tier):
        raise InvalidMarket(f"a contract tier is one of {', '.join(Tier.__members__)}, not {tier!r}")
    return whole(oracle_twap, "the oracle average", 1) // _CLAMP[tier]  # Drift's floor


def rate_from_twaps(mark_twap: int, oracle_twap: int, tier: Tier, *, period: int = HOUR, offset: int = OFFSET) -> int:
    """The funding rate of one period, in 1e-9 quote coins per base coin: above zero, longs pay shorts.

    `offset` is the divisor of the standing carry, 0 for none. A full spread is paid over a day, in as many parts as
    periods of `period` seconds fit in it; each is rounded toward zero.
    """
    return clamped_rate(mark_twap, oracle_twap, max_divergence(oracle_twap, tier), period=period, offset=offset)


def clamped_rate(mark_twap: int, oracle_twap: int, limit: int, *, period: int = HOUR, offset: int = OFFSET) -> int:
    """`rate_from_twaps` with the clamp given as a price."""
    whole(mark_twap, "the mark average", 1)
    whole(oracle_twap, "the oracle average", 1)
    whole(limit, "the limit of the spread", 0)
    whole(offset, "the divisor of the offset", 0)
    per_day = max(1, 24 * HOUR // whole(period, "a funding period in seconds", 1))  # Drift's floor
    spread = mark_twap - oracle_twap + (oracle_twap // offset if offset else 0)
    return divide(max(-limit, min(limit, spread)) * 1_000, per_day, Rounding.DOWN)


def next_update(now: int, last_update: int, period: int = HOUR) -> int:
    """Seconds until funding may be updated again; 0 when it may now.

    It is due on the period's own marks (the full hour). Who updated more than a third of a period late skips the next
    mark. Source: protocol-v2 `math/helpers.rs`.
    """
    whole(period, "a funding period in seconds", 1)
    since = whole(now, "now", 0) - whole(last_update, "the last update", 0)
    if since < 0:
        raise InvalidMarket(f"now {now} lies before the last update {last_update}")
    wait = period
    late = last_update % period
    if late:
        wait = period - late
        if late > period // 3:
            wait += period
    return max(0, wait - since)


# -- the payment ------------------------------------------------------------------------------------------------------


def payment(base: int, cumulative: int, last: int) -> int:
    """What a position receives (below zero: pays) since its index was `last`, in quote units, toward zero.

    `cumulative` is the index of the position's own side: the two differ when the venue could not pay one in full.
    """
    whole(base, "the base of a position")
    change = whole(cumulative, "a cumulative rate") - whole(last, "a cumulative rate")
    return divide(-base * change, RATE_TO_QUOTE, Rounding.DOWN)


@frozen(order=False)
class Update:
    """One funding update of a market: what is added to each side's index, the fee pool after it, what users now are owed."""

    long_rate: int
    short_rate: int
    fee_pool: int
    unsettled: int
    """Change of what all users are owed and have not settled, in quote units: below zero, they owe."""


def venue_share(rate: int, long_base: int, short_base: int, fee_pool: int, *, floor: int = 0, net_base: int | None = None) -> Update:
    """Apply `rate` to a market whose venue is the other side of what its users are net, and can run dry.

    `long_base` is all that users hold long, `short_base` (zero or below) all that they hold short, `net_base` their
    sum unless a part of it is not the venue's. What the users owe goes into the fee pool. What the venue owes it may
    pay with a third of what the pool holds above `floor`; past that, the receiving side's rate is cut to what the
    paying users and that third come to, one unit kept back. Source: protocol-v2 `math/funding.rs`.
    """
    whole(long_base, "the long base", 0)
    if whole(short_base, "the short base") > 0:
        raise InvalidMarket(f"the short base must be zero or below, not {short_base}")
    net = long_base + short_base if net_base is None else whole(net_base, "the net base")
    gain = -payment(net, whole(rate, "a funding rate"), 0)
    if gain >= 0:
        return Update(rate, rate, whole(fee_pool, "a fee pool") + gain, -gain)
    budget = max(0, whole(fee_pool, "a fee pool") - whole(floor, "the floor of a pool")) // 3  # Drift's floor
    if -gain <= budget:
        return Update(rate, rate, fee_pool + gain, -gain)
    paid = abs(payment(long_base if rate > 0 else short_base, rate, 0))
    receiving = short_base if rate > 0 else long_base
    kept = max(0, budget + paid - 1)
    cut = 0
    if receiving:
        size = divide(kept * RATE_TO_QUOTE, abs(receiving), Rounding.DOWN)
        cut = size if rate > 0 else -size
    return Update(cut if rate < 0 else rate, cut if rate > 0 else rate, fee_pool - budget, -gain)


# -- between two updates ----------------------------------------------------------------------------------------------


def live_oracle_twap(twap: int, price: int, since: int, *, period: int = HOUR) -> int:
    """The oracle average `since` seconds after its last update, with `price` in it, clamped to a third around the average."""
    whole(since, "seconds since the last update", 0)
    elapsed, third = max(1, since), whole(twap, "the oracle average", 1) // 3  # Drift's floor
    seen = max(twap - third, min(twap + third, whole(price, "the oracle price", 1)))
    old = max(0, whole(period, "a funding period in seconds", 1) - elapsed)
    return (twap * old + seen * elapsed) // (old + elapsed)  # Drift's floor


def hourly_estimate(mark_twap: int, oracle_twap: int, tier: Tier) -> int:
    """The next hourly rate as a share of the oracle average, 1e6 being one percent: what Drift's SDK predicts from two averages."""
    limit = max_divergence(oracle_twap, tier)
    spread = max(-limit, min(limit, whole(mark_twap, "the mark average", 1) - oracle_twap + oracle_twap // OFFSET))
    return divide(divide(spread * 100_000_000, oracle_twap, Rounding.DOWN), 24, Rounding.DOWN)


# -- among owners -----------------------------------------------------------------------------------------------------


def entitlement(qty: int, price: int, rate_ppb: int) -> int:
    """What a holder of `qty` (short: below zero) receives for one interval, as the numerator of an exact share.

    `-qty x price x rate`: at a positive rate longs pay shorts. All owners of a position share the denominator, so that
    `split` can do without it. A zero or negative price is refused.
    """
    return -whole(qty, "a quantity") * whole(price, "a funding price", 1) * whole(rate_ppb, "a funding rate")


def _amount(value: object, what: str) -> int:
    if type(value) is not int:
        raise InvalidAmount(f"{what} must be a whole number, not {value!r}")
    return value


def split(amount: int, numerators: Sequence[int], denominator: int = 1) -> list[int]:
    """Share a payment among its owners: whole units, in their order, that sum to `amount` exactly.

    Owner i is entitled to `numerators[i] / denominator` units. Each share is floored, and what is left goes, a unit
    each, to the largest fractions, ties to the earlier. So while `amount` is the exact sum rounded either way, nobody
    is off by a whole unit. Where the venue's figure differs by more, the difference is shared by the size of the
    entitlements, again with the largest remainder. Raises `InvalidAmount` for an amount that nobody has a claim on.
    """
    _amount(amount, "a payment")
    if _amount(denominator, "the denominator of the shares") <= 0:
        raise InvalidAmount(f"the denominator of the shares must be positive, not {denominator}")
    parts = [divmod(_amount(one, "a share"), denominator) for one in numerators]
    shares = [floor for floor, _ in parts]
    left = amount - sum(shares)
    if 0 <= left <= len(shares) and (left == 0 or any(numerators)):
        order = sorted(range(len(shares)), key=lambda i: (-parts[i][1], i))
        # an owner with no claim has no fraction either: units beyond the fractions go to those who have one
        order = [i for i in order if numerators[i]]
        if left <= len(order):
            for i in order[:left]:
                shares[i] += 1
            return shares
    weights = [abs(one) for one in numerators]
    total = sum(weights)
    if not total:
        raise InvalidAmount(f"a payment of {amount} has no owner: nobody holds a share of it")
    extra = [divmod(left * weight, total) for weight in weights]
    missing = left - sum(floor for floor, _ in extra)
    order = sorted(range(len(shares)), key=lambda i: (-extra[i][1], i))
    gets = set(order[:missing])
    return [share + floor + (i in gets) for i, (share, (floor, _)) in enumerate(zip(shares, extra, strict=True))]
