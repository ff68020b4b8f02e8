"""What the world says: instruments and their prices.

An `Instrument` is the one place where an opinion becomes a number that can be traded: it rounds to tick and lot, and
it turns a price and a quantity into money. Inside, a price is an integer of 10**-price_scale quote coins per base
coin, and a quantity is an integer of the base asset's smallest units. Time is integer nanoseconds, UTC.

This module knows nothing of accounts, orders or where prices come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from attrs import field, frozen

from .errors import InvalidAmount, InvalidMarket
from .money import PPM, Amount, AmountLike, Asset, Rounding, decimal_text, divide, parse_units

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Book", "Instrument", "Kind", "Mark", "Quote"]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9/:._-]{0,31}")


class Kind(StrEnum):
    """What is traded: the coin itself, or a perpetual contract on it."""

    SPOT = "spot"
    PERP = "perp"


def _places(text: str, what: str) -> int:
    """Decimal places of a plain number, trailing zeros aside."""
    decimals = str(text).partition(".")[2].rstrip("0")
    if len(decimals) > 18:
        raise InvalidMarket(f"{what} {text} has more than 18 decimal places")
    return len(decimals)


def _step(value: str | int | Decimal) -> str:
    """A step as plain text. Floats are refused: they do not hold the step that you see."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InvalidMarket(f"step {value!r} must be plain text such as '0.01'")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@frozen(order=False)
class Instrument:
    """One market: what is traded, in what it is quoted, and in which steps.

    `tick` and `lot` are the smallest steps of price and quantity as plain text. `min_qty` (base coins) and
    `min_notional` (quote coins) are the venue's least order. Raises `InvalidMarket` for steps that are not positive or
    finer than the base asset counts.

        >>> from sleeves.money import BTC, USD
        >>> btc = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001")
        >>> btc.notional(btc.price("20000.50"), btc.qty("0.5"), Rounding.CEIL)
        USD("10000.25")
    """

    symbol: str
    base: Asset = field(kw_only=True)
    quote: Asset = field(kw_only=True)
    tick: str = field(kw_only=True, default="0.01", converter=_step)
    lot: str = field(kw_only=True, default="0.00001", converter=_step)
    min_qty: str = field(kw_only=True, default="0", converter=_step)
    min_notional: str = field(kw_only=True, default="0", converter=_step)
    kind: Kind = field(kw_only=True, default=Kind.SPOT)
    venue: str = field(kw_only=True, default="")
    price_scale: int = field(init=False, repr=False, eq=False)
    tick_units: int = field(init=False, repr=False, eq=False)
    lot_units: int = field(init=False, repr=False, eq=False)
    min_qty_units: int = field(init=False, repr=False, eq=False)
    min_notional_units: int = field(init=False, repr=False, eq=False)
    _times: int = field(init=False, repr=False, eq=False)
    _over: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.symbol, str) or _SYMBOL.fullmatch(self.symbol) is None:
            raise InvalidMarket(f"symbol {self.symbol!r} must be 1 to 32 of A-Z a-z 0-9 / : . _ - and start with a letter or digit")
        if not isinstance(self.base, Asset) or not isinstance(self.quote, Asset):
            raise InvalidMarket(f"base and quote of {self.symbol} must be assets, not {self.base!r} and {self.quote!r}")
        if self.base.code == self.quote.code:
            raise InvalidMarket(f"{self.symbol} trades {self.base} against itself")
        if not isinstance(self.kind, Kind) or not isinstance(self.venue, str):
            raise InvalidMarket(f"{self.symbol}: kind {self.kind!r} must be a Kind and venue {self.venue!r} text")
        scale = _places(self.tick, f"the tick of {self.symbol}")
        derived = {
            "price_scale": scale,
            "tick_units": self._steps("tick", self.tick, scale),
            "lot_units": self._steps("lot", self.lot, self.base.scale),
            "min_qty_units": self._steps("min_qty", self.min_qty, self.base.scale),
            "min_notional_units": self._steps("min_notional", self.min_notional, self.quote.scale),
            "_times": 10 ** max(0, self.quote.scale - scale - self.base.scale),
            "_over": 10 ** max(0, scale + self.base.scale - self.quote.scale),
        }
        for name, least in (("tick_units", 1), ("lot_units", 1), ("min_qty_units", 0), ("min_notional_units", 0)):
            if derived[name] < least:
                raise InvalidMarket(f"the {name.removesuffix('_units')} of {self.symbol} must be positive")
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _steps(self, name: str, text: str | int | Decimal, scale: int) -> int:
        try:
            return parse_units(text, scale, f"{name} of {self.symbol}")
        except InvalidAmount as error:
            raise InvalidMarket(str(error)) from error

    # -- prices ------------------------------------------------------------------------------------------------------

    def price(self, value: str | int | Decimal) -> int:
        """An exact price: positive and on the tick, or `InvalidMarket`."""
        units = self._steps("price", value, self.price_scale)
        if units <= 0 or units % self.tick_units:
            raise InvalidMarket(f"price {value} of {self.symbol} must be a positive multiple of the tick {self.tick}")
        return units

    def round_price(self, opinion: float | Decimal | str, rounding: Rounding = Rounding.HALF_EVEN) -> int:
        """An opinion about a price, rounded to the tick; at least one tick. NaN, infinity, zero and less are refused."""
        try:
            exact = opinion if isinstance(opinion, Decimal) else Decimal(opinion)
        except (ArithmeticError, TypeError, ValueError):
            exact = Decimal("NaN")
        if not exact.is_finite() or exact <= 0 or exact.adjusted() > 40:
            raise InvalidMarket(f"price {opinion} of {self.symbol} is not a positive finite number")
        if exact.adjusted() < -40:
            return self.tick_units
        numerator, denominator = exact.as_integer_ratio()
        ticks = divide(numerator * 10**self.price_scale, denominator * self.tick_units, rounding)
        return max(1, ticks) * self.tick_units

    def shift(self, price: int, by_ppm: int, rounding: Rounding) -> int:
        """`price` moved by parts per million, on the tick as rounded; at least one tick."""
        ticks = divide(price * (PPM + by_ppm), PPM * self.tick_units, rounding)
        return max(1, ticks) * self.tick_units

    def price_text(self, price: int) -> str:
        return decimal_text(price, self.price_scale)

    def price_float(self, price: int) -> float:
        """For opinions and pictures only; money never passes through here."""
        return float(price / 10**self.price_scale)

    # -- quantities --------------------------------------------------------------------------------------------------

    def qty(self, value: AmountLike) -> int:
        """An exact quantity in base units: positive and a whole number of lots, or `InvalidMarket`."""
        units = self.base(value).units if isinstance(value, Amount) else self._steps("quantity", value, self.base.scale)
        if units <= 0 or units % self.lot_units:
            raise InvalidMarket(f"quantity {value} of {self.symbol} must be a positive multiple of the lot {self.lot}")
        return units

    def round_qty(self, opinion: float | int) -> int:
        """An opinion about a quantity in base units, rounded toward zero to whole lots. NaN and infinity are refused."""
        if isinstance(opinion, float) and not math.isfinite(opinion):
            raise InvalidMarket(f"quantity {opinion} of {self.symbol} is not finite")
        lots = abs(int(opinion)) // self.lot_units
        return lots * self.lot_units if opinion >= 0 else -lots * self.lot_units

    def affordable(self, money: int, price: int, allowance_ppm: int = 0) -> int:
        """The most base units, in whole lots, whose cost plus allowance fits in `money` quote units."""
        unit_cost = price * (PPM + allowance_ppm) * self._times
        if money <= 0 or unit_cost <= 0:
            return 0
        return money * PPM * self._over // unit_cost // self.lot_units * self.lot_units

    def qty_text(self, qty: int) -> str:
        return decimal_text(qty, self.base.scale)

    # -- money -------------------------------------------------------------------------------------------------------

    def cost(self, price: int, qty: int, rounding: Rounding, plus_ppm: int = 0) -> int:
        """`price` times `qty` in quote units, plus parts per million of it, rounded once as named."""
        if plus_ppm:
            return divide(price * qty * self._times * (PPM + plus_ppm), self._over * PPM, rounding)
        return divide(price * qty * self._times, self._over, rounding)

    def notional(self, price: int, qty: int, rounding: Rounding) -> Amount:
        """`cost` as an amount of the quote asset."""
        return Amount(self.cost(price, qty, rounding), self.quote)

    def mark(self, price: AmountLike, at: int) -> Mark:
        """A mark of this instrument from text, or from an amount of the quote asset."""
        return Mark(self, at, self.price(self.quote(price).decimal if isinstance(price, Amount) else price))

    # -- text --------------------------------------------------------------------------------------------------------

    def terms(self) -> dict[str, str]:
        """All that defines it besides its symbol, as text; `from_terms` reads it back."""
        return {
            "base": f"{self.base.code}:{self.base.scale}",
            "quote": f"{self.quote.code}:{self.quote.scale}",
            "tick": self.tick,
            "lot": self.lot,
            "min_qty": self.min_qty,
            "min_notional": self.min_notional,
            "kind": self.kind.value,
            "venue": self.venue,
        }

    @classmethod
    def from_terms(cls, symbol: str, terms: Mapping[str, str]) -> Instrument:
        def asset(text: str) -> Asset:
            code, _, scale = text.rpartition(":")
            return Asset(code, int(scale))

        return cls(
            symbol,
            base=asset(terms["base"]),
            quote=asset(terms["quote"]),
            tick=terms["tick"],
            lot=terms["lot"],
            min_qty=terms["min_qty"],
            min_notional=terms["min_notional"],
            kind=Kind(terms["kind"]),
            venue=terms["venue"],
        )

    def __str__(self) -> str:
        return self.symbol


class Book:
    """The latest top of book of one instrument: one object for its whole life, changed in place. Zero: not seen yet."""

    __slots__ = ("ask", "at", "bid", "index", "instrument")

    def __init__(self, instrument: Instrument, index: int) -> None:
        self.instrument = instrument
        self.index = index
        self.at = 0
        self.bid = 0
        self.ask = 0

    @property
    def seen(self) -> bool:
        return self.bid > 0

    @property
    def mid(self) -> int:
        """The middle, rounded down to a whole price unit. For marks, not for orders."""
        return (self.bid + self.ask) >> 1


@frozen(order=False)
class Quote:
    """Top of book at an instant. Refuses a price that is not positive, and a bid above its ask."""

    instrument: Instrument
    at: int
    bid: int
    ask: int

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or type(self.at) is not int:
            raise InvalidMarket(f"a quote is of an Instrument at whole nanoseconds, not of {self.instrument!r} at {self.at!r}")
        if type(self.bid) is not int or type(self.ask) is not int or not 0 < self.bid <= self.ask:
            raise InvalidMarket(f"quote of {self.instrument} with bid {self.bid} and ask {self.ask}: need 0 < bid <= ask")


@frozen(order=False)
class Mark:
    """A price at which a holding is valued, and when it was seen."""

    instrument: Instrument
    at: int
    price: int

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or type(self.at) is not int:
            raise InvalidMarket(f"a mark is of an Instrument at whole nanoseconds, not of {self.instrument!r} at {self.at!r}")
        if type(self.price) is not int or self.price <= 0:
            raise InvalidMarket(f"a mark of {self.instrument} must be a positive whole number of price units, not {self.price!r}")
