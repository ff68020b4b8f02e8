"""Carry: what a coin hedged by its perpetual is, what it is expected to bring, and what getting in and out of it costs.

    carry      = rate x horizon / interval, a gain counted in part    less the cost of both legs, in and out
    hedgeable  = max(0, coins - reserved)
    net        = hedgeable + contracts                                contracts below zero when short
    drift      = net / hedgeable

Integers only, and exact: a threshold is met or it is not. This module knows no prices, no orders and no memory.
"""

from __future__ import annotations

from math import lcm

from attrs import field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import PPB, FundingRate, Instrument, Kind
from ..money import PPM, Rounding, divide
from .rates import part, said, within

__all__ = ["RESERVED", "Carry", "Hedge", "Pair"]

RESERVED = {"SOL": "0.017"}
"""Coins that pay for transactions on their own chain, by code: so many are kept and never hedged unless a pair says otherwise."""


# -- the hedge -------------------------------------------------------------------------------------------------------------


@frozen
class Pair:
    """One hedge: a spot market and a perpetual of the same coin, quoted in the same asset, and what trading them costs.

    `cap` is the most that the coins may cost, in quote coins; `reserved` how many base coins are neither hedged nor sold:
    0.017 of SOL, and nothing of others, unless given. `spot_fee`, `perp_fee` and `slippage` are what one fill is taken to
    cost, `per_order` what each order costs besides (gas and tip), in quote coins. `first` is the leg that is traded first:
    the less liquid one.

        Pair(SOL_USDC, SOL_PERP, cap="5000", spot_fee="0.1%", perp_fee="0.02%")

    Raises `InvalidMarket` for markets that make no hedge, `InvalidAmount` for a figure that makes no sense.
    """

    spot: Instrument
    perp: Instrument
    cap: str | None = field(default=None, kw_only=True)
    reserved: str | None = field(default=None, kw_only=True)
    spot_fee_ppm: int = field(alias="spot_fee", converter=part, default=said("0.1%"), kw_only=True)
    perp_fee_ppm: int = field(alias="perp_fee", converter=part, default=said("0.02%"), kw_only=True)
    slippage_ppm: int = field(alias="slippage", converter=part, default=said("0.1%"), kw_only=True)
    per_order: str = field(default="0", kw_only=True)
    first: Kind = field(default=Kind.PERP, kw_only=True)
    cap_units: int | None = field(init=False, repr=False, eq=False)
    reserved_units: int = field(init=False, repr=False, eq=False)
    per_order_units: int = field(init=False, repr=False, eq=False)
    step: int = field(init=False, repr=False, eq=False)
    """The least base units that are whole lots of both markets."""

    def __attrs_post_init__(self) -> None:
        for market in (self.spot, self.perp):
            if not isinstance(market, Instrument):
                raise InvalidMarket(f"a hedge is of two Instruments, not of {market!r}")
        if self.spot.contract is not None or self.perp.contract is None:
            raise InvalidMarket(f"a hedge is of a spot market and a perpetual, not of {self.spot} and {self.perp}")
        if (self.spot.base, self.spot.quote) != (self.perp.base, self.perp.quote):
            raise InvalidMarket(f"{self.spot} and {self.perp} are not of one coin in one quote: they do not hedge each other")
        if not isinstance(self.first, Kind):
            raise InvalidMarket(f"the leg of {self.perp} that is traded first must be Kind.SPOT or Kind.PERP, not {self.first!r}")
        within(f"spot fee of {self}", self.spot_fee_ppm, -PPM // 100)
        within(f"perp fee of {self}", self.perp_fee_ppm, -PPM // 100)
        within(f"slippage of {self}", self.slippage_ppm)
        base, quote = self.spot.base, self.spot.quote
        reserved = RESERVED.get(base.code, "0") if self.reserved is None else self.reserved
        found = {
            "cap_units": None if self.cap is None else quote(self.cap).units,
            "reserved_units": base(reserved).units,
            "per_order_units": quote(self.per_order).units,
            "step": lcm(self.spot.lot_units, self.perp.lot_units),
        }
        for name, value in found.items():
            if value is not None and value < (name == "cap_units"):
                rule = "above zero" if name == "cap_units" else "zero or more"
                raise InvalidAmount(f"{name.removesuffix('_units')} of {self} must be {rule}: {self!r}")
            object.__setattr__(self, name, value)

    def cost_ppm(self, worth: int) -> int:
        """What getting in costs, and getting out again: both legs, in parts per million of `worth` quote units, rounded up."""
        traded = 2 * (self.spot_fee_ppm + self.perp_fee_ppm + 2 * self.slippage_ppm)
        return traded + (divide(4 * self.per_order_units * PPM, max(1, worth), Rounding.CEIL) if self.per_order_units else 0)

    def __str__(self) -> str:
        return f"{self.spot} and {self.perp}"


@frozen
class Carry:
    """What a hedge is expected to bring over a horizon, in parts per million of what it is worth."""

    revenue_ppm: int
    cost_ppm: int
    """Fees, slippage and charges of both legs, in and out."""

    @property
    def net_ppm(self) -> int:
        return self.revenue_ppm - self.cost_ppm

    @classmethod
    def of(cls, pair: Pair, rate: FundingRate, *, worth: int, horizon: int, keep_ppm: int = PPM // 2) -> Carry:
        """At this rate for `horizon` ns; `worth` in quote units. A gain counts for `keep_ppm` of it, a loss in full.

        The revenue is rounded down, the cost up.
        """
        part = keep_ppm if rate.rate_ppb > 0 else PPM
        revenue = divide(rate.rate_ppb * horizon * part, rate.every * PPB, Rounding.FLOOR)
        return cls(revenue, pair.cost_ppm(worth))


@frozen
class Hedge:
    """What is held of one pair, in base units: coins, and contracts, below zero when short."""

    coins: int
    contracts: int
    reserved: int = 0

    @property
    def hedgeable(self) -> int:
        return max(0, self.coins - self.reserved)

    @property
    def net(self) -> int:
        return self.hedgeable + self.contracts

    @property
    def drift_ppm(self) -> int:
        """`net / hedgeable` to the nearest part per million, for people; 0 where nothing is hedgeable, see `within`."""
        return divide(self.net * PPM, self.hedgeable, Rounding.HALF_EVEN) if self.hedgeable else 0

    def within(self, tolerance_ppm: int) -> bool:
        """Whether it has drifted by no more than the tolerance, exactly. Contracts without coins have, however few they are."""
        if not self.hedgeable:
            return not self.contracts
        return abs(self.net) * PPM <= tolerance_ppm * self.hedgeable
