"""A bundle under way: which leg is out, how much of each is filled, and what stands alone.

It is a fold of the bundle's own records, the same in the living desk and in what a restart reads back. What is to be
done next is for the desk to say.
"""

from __future__ import annotations

from fractions import Fraction

from attrs import Factory, define, evolve

from .orders import Fill, Place, Side
from .records import Bundled, BundleStatus, BundleUpdate, Placed

__all__ = ["Flight"]


@define
class Flight:
    """One bundle from its first leg to its end."""

    record: Bundled
    filled: list[int]
    """By leg, base units that are filled of it, less what was rolled back."""
    leg: int = 0
    """The leg that was sent last."""
    sent: int = 0
    """How often that leg was sent."""
    back: dict[int, int] = Factory(dict)
    """By leg, how often an order was sent that rolls it back."""
    coins: dict[str, int] = Factory(dict)
    """By asset code, what all its trades of coins have brought and taken, fees in it."""
    orders: dict[str, tuple[int, int]] = Factory(dict)
    """Its orders by id: which leg, and 1 for that leg's own side or -1 for what rolls it back."""
    out: list[str] = Factory(list)
    """Those of its orders that the venue has, or may have."""
    status: BundleStatus = BundleStatus.RUNNING

    @classmethod
    def begin(cls, record: Bundled) -> Flight:
        return cls(record, [0] * len(record.bundle.legs))

    def copy(self) -> Flight:
        return evolve(
            self, filled=list(self.filled), back=dict(self.back), coins=dict(self.coins), orders=dict(self.orders), out=list(self.out)
        )

    # -- by kind of record -----------------------------------------------------------------------------------------------

    def placed(self, record: Placed) -> None:
        order, leg = record.order, record.leg
        sign = 1 if order.place.side is self.legs[leg].side else -1
        self.orders[order.id] = (leg, sign)
        self.out.append(order.id)
        if sign > 0:
            self.sent = self.sent + 1 if leg == self.leg else 1
            self.leg = leg
        else:
            self.back[leg] = self.back.get(leg, 0) + 1

    def fill(self, fill: Fill) -> None:
        leg, sign = self.orders[fill.order_id]
        self.filled[leg] += sign * fill.qty
        market = fill.instrument
        if market.contract is None:
            for asset, units in ((market.base, fill.qty), (market.quote, -fill.cost)):
                self.coins[asset.code] = self.coins.get(asset.code, 0) + fill.side.sign * units
        self.coins[fill.fee.asset.code] = self.coins.get(fill.fee.asset.code, 0) - fill.fee.units

    def off(self, order_id: str) -> None:
        """An order of it is done."""
        if order_id in self.out:
            self.out.remove(order_id)

    def update(self, record: BundleUpdate) -> None:
        self.status = record.status

    # -- what it asks for ------------------------------------------------------------------------------------------------

    @property
    def legs(self) -> tuple[Place, ...]:
        return self.record.bundle.legs

    def part(self, legs: int | None = None) -> Fraction:
        """The part of the bundle that the first so many legs have all filled; of all legs where nothing is said."""
        count = len(self.legs) if legs is None else legs
        parts = [Fraction(max(0, self.filled[n]), self.legs[n].qty) for n in range(count)]
        return min([Fraction(1), *parts])

    def wanted(self, leg: int) -> int:
        """Base units, in whole lots, that are still to be filled of a leg so that it matches those before it."""
        place = self.legs[leg]
        target = place.instrument.round_qty(int(place.qty * self.part(leg)))
        return max(0, target - self.filled[leg])

    def alone(self) -> dict[int, int]:
        """By leg, base units in whole lots that no other leg matches: of coins, no more than the bundle still has of them."""
        part = self.part()
        alone: dict[int, int] = {}
        for n, leg in enumerate(self.legs):
            over = self.filled[n] - int(leg.qty * part)
            if leg.instrument.contract is None and leg.side is Side.BUY:
                over = min(over, self.coins.get(leg.instrument.base.code, 0))
            lots = leg.instrument.round_qty(max(0, over))
            if lots:
                alone[n] = lots
        return alone

    def side_back(self, leg: int) -> Side:
        """The side that takes a leg back."""
        return Side.SELL if self.legs[leg].side is Side.BUY else Side.BUY


def least(place: Place) -> int:
    """The least order of a leg's instrument, in base units."""
    return max(place.instrument.lot_units, place.instrument.min_qty_units)
