"""What the simulated venue charges and how it fills: fees, slippage by size, and how much of a row's volume one may take.

Integers and named rounding only; every choice is data, and `Rules.describe` names it for the report.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from ..errors import InvalidAmount
from ..market import Instrument
from ..money import PPM, Amount, Asset, Fraction, Rounding, decimal_text, divide, ppm
from ..orders import Liquidity, Side

__all__ = ["FeeIn", "Fees", "Rules", "Slippage"]


class FeeIn(StrEnum):
    """In which asset a fee is taken."""

    QUOTE = "quote"
    RECEIVED = "received"
    """In the asset that the trade brings: base on a buy, quote on a sale."""


@frozen(order=False)
class Fees:
    """Maker and taker fee in parts per million of the trade; a maker fee below zero is a rebate.

    The defaults are Kraken's entry tier for spot, 0.25% and 0.40% (its schedule of November 2025).
    """

    maker_ppm: int = 2_500
    taker_ppm: int = 4_000
    taken_in: FeeIn = FeeIn.QUOTE

    @classmethod
    def of(cls, maker: Fraction, taker: Fraction, *, taken_in: FeeIn | str = FeeIn.QUOTE) -> Fees:
        return cls(ppm(maker, "maker fee"), ppm(taker, "taker fee"), FeeIn(taken_in))

    def __attrs_post_init__(self) -> None:
        for name, value in (("maker", self.maker_ppm), ("taker", self.taker_ppm)):
            if type(value) is not int or not -PPM < value < PPM:
                rule = "whole parts per million between -1,000,000 and 1,000,000"
                raise InvalidAmount(f"{name} fee {value!r} must be {rule}; write rates as text with Fees.of('0.25%', '0.4%')")

    def due(self, market: Instrument, side: Side, qty: int, cost: int, liquidity: Liquidity) -> tuple[Asset, int]:
        """The asset of a trade's fee, and the fee in millionths of its smallest unit: exact, not rounded yet."""
        rate = self.maker_ppm if liquidity is Liquidity.MAKER else self.taker_ppm
        if self.taken_in is FeeIn.RECEIVED and side is Side.BUY:
            return market.base, qty * rate
        return market.quote, cost * rate

    def charge(self, market: Instrument, side: Side, qty: int, cost: int, liquidity: Liquidity) -> Amount:
        """The fee of one trade, rounded up (a rebate toward zero)."""
        asset, millionths = self.due(market, side, qty, cost, liquidity)
        return Amount(divide(millionths, PPM, Rounding.CEIL), asset)


@frozen(order=False)
class Slippage:
    """How far from the price an order at market fills, by its size in quote coins: continuous, from `low` to `high`.

        slippage = low + (high - low) x min(notional / full_at, 1)

    in parts per million, rounded up. The fill price is rounded to the tick against the order.
    """

    low_ppm: int = 1_000
    high_ppm: int = 3_000
    full_at: str = field(default="50000", converter=str)
    """The notional, in quote coins, from which on `high` applies."""

    @classmethod
    def of(cls, low: Fraction = "0.1%", high: Fraction = "0.3%", *, full_at: str = "50000") -> Slippage:
        return cls(ppm(low, "slippage"), ppm(high, "slippage"), full_at)

    @classmethod
    def none(cls) -> Slippage:
        """Orders fill at the very price. For comparisons, not for belief."""
        return cls(0, 0)

    def __attrs_post_init__(self) -> None:
        if type(self.low_ppm) is not int or type(self.high_ppm) is not int or not 0 <= self.low_ppm <= self.high_ppm < PPM:
            rule = "whole parts per million, 0 <= low <= high < 1,000,000"
            raise InvalidAmount(f"slippage {self.low_ppm!r} to {self.high_ppm!r} must be {rule}; write rates as text with Slippage.of(...)")
        if Asset("QUOTE", 18)(self.full_at).units <= 0:
            raise InvalidAmount(f"full_at {self.full_at} must be positive")

    def of_notional(self, notional: int, quote: Asset) -> int:
        """Slippage in parts per million for this notional in units of the quote asset."""
        if self.high_ppm == self.low_ppm:
            return self.low_ppm
        full = quote(self.full_at).units
        return self.low_ppm + divide((self.high_ppm - self.low_ppm) * min(notional, full), full, Rounding.CEIL)

    def fill_price(self, market: Instrument, side: Side, qty: int, price: int) -> int:
        """Where an order of this size fills when the market is at `price`."""
        if not self.high_ppm:
            return price
        by = self.of_notional(market.cost(price, qty, Rounding.CEIL), market.quote)
        return market.shift(price, by, Rounding.CEIL) if side is Side.BUY else market.shift(price, -by, Rounding.FLOOR)


@frozen(order=False)
class Rules:
    """How the simulated venue works. `participation_ppm` limits fills to a part of each row's volume; None: no limit."""

    fees: Fees = field(factory=Fees)
    slippage: Slippage = field(factory=Slippage)
    participation_ppm: int | None = None

    @classmethod
    def of(cls, *, fees: Fees | None = None, slippage: Slippage | None = None, participation: Fraction | None = None) -> Rules:
        return cls(fees or Fees(), slippage or Slippage(), None if participation is None else ppm(participation, "participation"))

    def __attrs_post_init__(self) -> None:
        part = self.participation_ppm
        if part is not None and (type(part) is not int or not 0 < part <= PPM):
            raise InvalidAmount(f"participation of {self.participation_ppm} ppm must lie above 0% and up to 100%")

    def describe(self) -> list[str]:
        """Each choice in a sentence, for reports."""

        def percent(rate: int) -> str:
            return decimal_text(rate, 4) + "%"

        fees, slip = self.fees, self.slippage
        lines = [
            f"fees: maker {percent(fees.maker_ppm)}, taker {percent(fees.taker_ppm)}, taken in the {fees.taken_in} asset",
            f"slippage at market: {percent(slip.low_ppm)} rising with size to {percent(slip.high_ppm)} at {slip.full_at} quote coins"
            if slip.high_ppm
            else "slippage: none",
            "resting limits fill at their price, as maker, only when the price trades through them",
            "path inside a bar: open, low, high, close when it closes at or above its open; else open, high, low, close",
            "an order acts on the first price after the decision: the next bar's open",
        ]
        if self.participation_ppm is not None:
            lines.append(f"fills take at most {percent(self.participation_ppm)} of a row's volume")
        return lines
