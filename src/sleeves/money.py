"""Exact amounts of an asset: integers inside, text and Decimal at the edge.

An `Amount` is a whole number of an asset's smallest units. There is no float here, no ambient context, no silent
rounding and no truth value: `if amount:` is refused, because "is there money" and "is there an answer" are two
questions. Whatever divides must name its `Rounding`.

This module knows nothing of prices, accounts or time.

    >>> USD = Asset("USD", 6)
    >>> USD("150.25") - USD("0.15")
    USD("150.1")
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from typing import NoReturn

from attrs import field, frozen

from .errors import AssetMismatch, InvalidAmount

__all__ = [
    "BTC",
    "ETH",
    "EUR",
    "PPM",
    "SOL",
    "USD",
    "USDC",
    "USDT",
    "Amount",
    "AmountLike",
    "Asset",
    "Fraction",
    "Rounding",
    "decimal_text",
    "divide",
    "parse_units",
    "ppm",
]

PPM = 1_000_000
"""Parts per million: the unit of every rate in the books (a fee of 0.26% is 2,600)."""

MAX_SCALE = 30
MAX_DIGITS = 60
_PLAIN = re.compile(r"([+-]?)([0-9]{1,60})(?:\.([0-9]{1,60}))?")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}")


class Rounding(Enum):
    """Where a division goes when it does not come out even. Named at each division, against the one who moves money."""

    DOWN = "down"
    """Toward zero."""
    UP = "up"
    """Away from zero."""
    FLOOR = "floor"
    """Toward minus infinity."""
    CEIL = "ceil"
    """Toward plus infinity."""
    HALF_EVEN = "half even"
    """To the nearest, ties to the even neighbour. For prices on a tick, never for money that changes hands."""


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """`numerator / denominator` as an integer, rounded as named. The denominator must be positive.

    >>> divide(-7, 2, Rounding.DOWN), divide(-7, 2, Rounding.FLOOR), divide(-7, 2, Rounding.UP)
    (-3, -4, -4)
    """
    if denominator <= 0:
        raise InvalidAmount(f"cannot divide by {denominator}: the denominator must be positive")
    if rounding is Rounding.CEIL:
        return -(-numerator // denominator)
    if rounding is Rounding.FLOOR:
        return numerator // denominator
    if rounding is Rounding.DOWN:
        return numerator // denominator if numerator >= 0 else -(-numerator // denominator)
    if rounding is Rounding.UP:
        return -(-numerator // denominator) if numerator >= 0 else numerator // denominator
    if rounding is not Rounding.HALF_EVEN:
        raise InvalidAmount(f"{rounding!r} names no rounding: use one of {', '.join(Rounding.__members__)}")
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + int(twice > denominator or (twice == denominator and quotient % 2 == 1))


def parse_units(value: str | int | Decimal, scale: int, what: str = "amount") -> int:
    """`value` as an integer of 10**-scale units, exactly, or `InvalidAmount` with the value and the rule it breaks.

    Takes plain decimal text ("-12.5", no exponent, ASCII digits), whole numbers and finite Decimals. Trailing zeros
    do not count as precision. Floats are refused: they do not hold the value that you see.
    """
    if isinstance(value, bool):
        raise InvalidAmount(f"{what} {value!r} is a truth value, not a number")
    if isinstance(value, int):
        if abs(value) >= 10**MAX_DIGITS:
            raise InvalidAmount(f"{what} {str(value)[:20]}... has more than {MAX_DIGITS} digits")
        return value * int(10**scale)
    if isinstance(value, float):
        raise InvalidAmount(f"{what} {value!r} is a float, which holds no exact value: write it as text, '{value!r}'")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidAmount(f"{what} {value} is not a finite number")
        if not value:
            return 0
        if abs(value.adjusted()) > MAX_DIGITS:
            raise InvalidAmount(f"{what} {value} has more than {MAX_DIGITS} digits")
        value = format(value, "f")
        value = value.rstrip("0").rstrip(".") if "." in value else value
    if not isinstance(value, str):
        raise InvalidAmount(f"{what} {value!r} is a {type(value).__name__}: give text, a whole number or a Decimal")
    match = _PLAIN.fullmatch(value.strip(" "))
    if match is None:
        shown = value if len(value) <= 40 else value[:40] + "..."
        raise InvalidAmount(f"{what} {shown!r} is not a plain finite decimal number")
    sign, whole, decimals = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(decimals) > scale:
        raise InvalidAmount(f"{what} {value} has {len(decimals)} decimal places, but only {scale} are exact here")
    units = int(whole + decimals.ljust(scale, "0"))
    return -units if sign == "-" else units


def decimal_text(units: int, scale: int) -> str:
    """`units` of 10**-scale as the shortest plain decimal text; `parse_units` reads it back."""
    digits = str(abs(units)).rjust(scale + 1, "0")
    whole, decimals = (digits[:-scale], digits[-scale:].rstrip("0")) if scale else (digits, "")
    return ("-" if units < 0 else "") + whole + ("." + decimals if decimals else "")


Fraction = str | Decimal
"""A rate at the edge: text such as "1.25%" or "0.0125", or a Decimal."""


def ppm(value: Fraction, what: str = "rate") -> int:
    """A rate as exact parts per million: "1.25%" and "0.0125" are both 12,500.

    Raises `InvalidAmount` for a float, for more than six decimal places, and for anything that is not finite.
    """
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_units(value.strip()[:-1].strip(), 4, what)
    if isinstance(value, (int, float)):
        kind = "ambiguous" if isinstance(value, int) else "a float"
        raise InvalidAmount(f'{what} {value!r} is {kind}: write a rate as text, "1.25%" or "0.0125"')
    return parse_units(value, 6, what)


@frozen(order=False)
class Asset:
    """A coin or currency, and how finely it is counted.

    `scale` is the number of decimal places of the smallest unit and can never change once money was booked in it,
    so choose it generously. Calling an asset makes an amount of it: `USD("150.25")`.
    """

    code: str
    scale: int = field()

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.code, str) or _CODE.fullmatch(self.code) is None:
            raise InvalidAmount(f"asset code {self.code!r} must be 1 to 16 of A-Z a-z 0-9 . _ - and start with a letter or digit")
        if isinstance(self.scale, bool) or not isinstance(self.scale, int) or not 0 <= self.scale <= MAX_SCALE:
            raise InvalidAmount(f"the scale of {self.code} must be a whole number from 0 to {MAX_SCALE}, not {self.scale!r}")

    def __call__(self, value: AmountLike) -> Amount:
        """An exact amount: from text ("150.25" or "150.25 USD"), a whole number of coins, a Decimal, or an Amount of this asset."""
        if isinstance(value, Amount):
            if value.asset != self:
                raise AssetMismatch(f"{value} is not an amount of {self.code} with {self.scale} decimal places")
            return value
        if isinstance(value, str) and value.endswith(" " + self.code):
            value = value[: -len(self.code) - 1]
        return Amount(parse_units(value, self.scale, f"{self.code} amount"), self)

    def units(self, units: int) -> Amount:
        """An amount given in smallest units."""
        return Amount(units, self)

    @property
    def zero(self) -> Amount:
        return Amount(0, self)

    def __str__(self) -> str:
        return self.code


@frozen(order=False, repr=False, weakref_slot=False)
class Amount:
    """A whole number of an asset's smallest units. Adds to and compares with its own asset only."""

    units: int
    asset: Asset

    def __attrs_post_init__(self) -> None:
        if isinstance(self.units, bool) or not isinstance(self.units, int):
            raise InvalidAmount(f"an amount counts whole units, not {self.units!r}; call the asset for text: {self.asset}(...)")
        if not isinstance(self.asset, Asset):
            raise InvalidAmount(f"an amount is of an asset, not of {self.asset!r}")

    def _same(self, other: object, verb: str) -> int:
        if not isinstance(other, Amount):
            raise AssetMismatch(f"cannot {verb} {self} and {other!r}: both must be amounts")
        if other.asset != self.asset:
            raise AssetMismatch(f"cannot {verb} {self} and {other}: they are different assets")
        return other.units

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.units + self._same(other, "add"), self.asset)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.units - self._same(other, "subtract"), self.asset)

    def __neg__(self) -> Amount:
        return Amount(-self.units, self.asset)

    def __abs__(self) -> Amount:
        return Amount(abs(self.units), self.asset)

    def __lt__(self, other: Amount) -> bool:
        return self.units < self._same(other, "compare")

    def __le__(self, other: Amount) -> bool:
        return self.units <= self._same(other, "compare")

    def __gt__(self, other: Amount) -> bool:
        return self.units > self._same(other, "compare")

    def __ge__(self, other: Amount) -> bool:
        return self.units >= self._same(other, "compare")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"the truth of {self} is ambiguous: compare it, or look at .units")

    def portion(self, numerator: int, denominator: int, rounding: Rounding) -> Amount:
        """This amount times `numerator / denominator`, rounded as named."""
        return Amount(divide(self.units * numerator, denominator, rounding), self.asset)

    @property
    def decimal(self) -> Decimal:
        """The exact value in coins."""
        return Decimal(self.text)

    @property
    def text(self) -> str:
        """The exact value in coins without the asset's code."""
        return decimal_text(self.units, self.asset.scale)

    def __str__(self) -> str:
        return f"{self.text} {self.asset.code}"

    def __repr__(self) -> str:
        return f'{self.asset.code}("{self.text}")'

    def __format__(self, spec: str) -> str:
        """Format specs go to the exact Decimal: `f"{amount:,.2f}"`. Without one, the text with the code."""
        return format(self.decimal, spec) if spec else str(self)


AmountLike = str | int | Decimal | Amount
"""What an asset turns into an `Amount`."""

USD = Asset("USD", 6)
EUR = Asset("EUR", 6)
USDC = Asset("USDC", 6)
USDT = Asset("USDT", 6)
BTC = Asset("BTC", 8)
ETH = Asset("ETH", 10)
SOL = Asset("SOL", 9)
