"""How often one may call: Kraken's counters, per key and, for its trading engine, per pair of an account.

Figures from Kraken's support pages as kept in the project's reference; what a call does is not known here.
"""

from __future__ import annotations

from attrs import define, frozen

from ...errors import VaultError

__all__ = ["COSTS", "Counter", "Tier", "cancel_cost", "tier_of"]

SECOND = 1_000_000_000
_PPB = 1_000_000_000


@frozen
class Tier:
    """A tier's limits: REST counter and trading engine, the decay of each in billionths a second, open orders per pair."""

    name: str
    calls: int
    calls_decay: int
    engine: int
    engine_decay: int
    open_orders: int


_TIERS = {
    tier.name: tier
    for tier in (
        Tier("starter", 15, 330_000_000, 60, 1_000_000_000, 60),
        Tier("intermediate", 20, 500_000_000, 125, 2_340_000_000, 80),
        Tier("pro", 20, 1_000_000_000, 180, 3_750_000_000, 225),
    )
}


def tier_of(name: str | None) -> Tier | None:
    """A tier by name; None for no limits. Raises `VaultError` for another name."""
    if name is not None and name not in _TIERS:
        raise VaultError(f"tier {name!r} is none of {', '.join(_TIERS)}, or None for no limits")
    return None if name is None else _TIERS[name]


COSTS = {
    "AddOrder": 0,
    "AddOrderBatch": 0,
    "CancelOrder": 0,
    "CancelOrderBatch": 0,
    "CancelAll": 0,
    "CancelAllOrdersAfter": 0,
    "Ledgers": 2,
    "QueryLedgers": 2,
    "TradesHistory": 2,
}
"""What a private call adds to its key's counter; all others add one."""

_YOUNG = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))


def cancel_cost(age_ns: int) -> int:
    """What a cancel adds to the engine's counter by the age of its order."""
    for limit, cost in _YOUNG:
        if age_ns < limit * SECOND:
            return cost
    return 0


@define
class Counter:
    """A counter that decays: what is added stays in it until time has taken it away. Counted in billionths."""

    level: int = 0
    at: int = 0

    def now(self, at: int, decay: int) -> int:
        """Its level at an instant, in whole counts rounded up."""
        if at > self.at:
            self.level = max(0, self.level - (at - self.at) * decay // SECOND)
            self.at = at
        return -(-self.level // _PPB)

    def add(self, cost: int, at: int, decay: int, most: int) -> bool:
        """Add to it. False where that is more than it may hold; it counts all the same, to at most twice what it may hold."""
        self.now(at, decay)
        fits = self.level + cost * _PPB <= most * _PPB
        self.level = min(self.level + cost * _PPB, max(self.level, 2 * most * _PPB))
        return fits
