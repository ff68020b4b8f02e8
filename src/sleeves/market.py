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
from functools import lru_cache

from attrs import asdict, field, fields, frozen

from .errors import InvalidAmount, InvalidMarket
from .money import PPM, Amount, AmountLike, Asset, Rounding, decimal_text, divide, parse_units

__all__ = [
    "BP",
    "DAY",
    "HOUR",
    "MINUTE",
    "PPB",
    "SECOND",
    "Basis",
    "Book",
    "FundingRate",
    "Instrument",
    "Kind",
    "Mark",
    "Perpetual",
    "Quote",
]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BP = 10_000
"""Basis points in one: the unit of margin ratios and weights."""

PPB = 1_000_000_000
"""Parts per billion in one: the unit of funding rates (0.01% is 100,000)."""

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9/:._-]{0,31}")


class Kind(StrEnum):
    """What is traded: the coin itself, or a perpetual contract on it."""

    SPOT = "spot"
    PERP = "perp"


@frozen(order=False)
class Perpetual:
    """The terms of a perpetual contract: what margin, liquidation and funding follow.

    Ratios and weights in basis points of notional. `initial_bp` is needed to open (1,000: at most 10x), `maintenance_bp`
    to keep; both grow with the root of the size by `imf` (millionths, see `margin.size_premium`). `gain_initial_bp` and
    `gain_maintenance_bp` say how much of an unrealized gain counts as collateral, less with size by `gain_imf`; a loss
    always counts in full. `liquidation_fee_ppm` is what a forced close costs, `funding_every` the time between two
    funding payments. The defaults are those of SOL-PERP in the seed (10x, 5% maintenance, 8 hours) and of Drift's majors.

    Raises `InvalidMarket` unless 0 < maintenance < initial <= 10,000 and all else is a whole number in its range.
    """

    initial_bp: int = 1_000
    maintenance_bp: int = 500
    imf: int = 0
    gain_initial_bp: int = 0
    gain_maintenance_bp: int = BP
    gain_imf: int = 0
    liquidation_fee_ppm: int = 10_000
    funding_every: int = 8 * HOUR

    def __attrs_post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 0:
                raise InvalidMarket(f"{name} {value!r} of a perpetual contract must be a whole number and not negative")
        if not 0 < self.maintenance_bp < self.initial_bp <= BP:
            ratios = f"maintenance {self.maintenance_bp} bp, initial {self.initial_bp} bp"
            raise InvalidMarket(f"margin ratios of a perpetual contract, {ratios}: need 0 < maintenance < initial <= {BP}")
        if max(self.gain_initial_bp, self.gain_maintenance_bp) > BP or self.liquidation_fee_ppm >= self.maintenance_bp * PPM // BP:
            raise InvalidMarket(f"{self}: a gain counts at most in full, and a liquidation fee must be below the maintenance ratio")
        if not self.funding_every:
            raise InvalidMarket("funding of a perpetual contract needs an interval above zero")

    def terms(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_terms(cls, terms: Mapping[str, str]) -> Perpetual:
        """Read back what `terms` wrote; other keys are passed over."""
        return cls(**{one.name: int(terms[one.name]) for one in fields(cls) if one.name in terms})


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


@lru_cache(maxsize=4096)
def _account_of(symbol: str) -> int | None:
    _, colon, number = symbol.rpartition(":")
    return int(number) if colon and number.isascii() and number.isdigit() else None


@frozen(order=False)
class Instrument:
    """One market: what is traded, in what it is quoted, and in which steps.

    `tick` and `lot` are the smallest steps of price and quantity as plain text. `min_qty` (base coins) and
    `min_notional` (quote coins) are the venue's least order. A perpetual has a `contract`, its terms for margin and
    funding, by default `Perpetual()`; what it trades is never a coin. Raises `InvalidMarket` for steps that are not positive or
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
    contract: Perpetual | None = field(kw_only=True, default=None)
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
        if self.kind is Kind.PERP and self.contract is None:
            object.__setattr__(self, "contract", Perpetual())
        if (self.kind is Kind.PERP) is not isinstance(self.contract, Perpetual):
            raise InvalidMarket(f"{self.symbol}: a perpetual has a Perpetual as its contract and spot has none, not {self.contract!r}")
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

    @property
    def account(self) -> int | None:
        """The sub-account that it is traded in, the number behind the last colon of its symbol; None where that is no number.

        >>> from sleeves.money import SOL, USD
        >>> Instrument("SOL-PERP:2", base=SOL, quote=USD, kind=Kind.PERP).account
        2
        """
        return _account_of(self.symbol)

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

    def whole_price(self, price: int | str | Decimal) -> int:
        """A price in price units that need not lie on the tick, such as an oracle's: text is rounded half-even to a unit."""
        if type(price) is int and price > 0:
            return price
        if isinstance(price, float):
            raise InvalidMarket(f"price {price!r} of {self.symbol} is a float: write it as text, '{price!r}'")
        try:
            exact = Decimal(price) if isinstance(price, (str, Decimal)) else Decimal("NaN")
        except ArithmeticError:
            exact = Decimal("NaN")
        if not exact.is_finite() or exact <= 0 or abs(exact.adjusted()) > 40:
            raise InvalidMarket(f"price {price!r} of {self.symbol} is not a positive finite number")
        numerator, denominator = exact.as_integer_ratio()
        return max(1, divide(numerator * 10**self.price_scale, denominator, Rounding.HALF_EVEN))

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

    @property
    def ratio(self) -> tuple[int, int]:
        """What turns price times quantity into quote units: multiply by the first, divide by the second."""
        return self._times, self._over

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
            **({} if self.contract is None else self.contract.terms()),
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
            contract=Perpetual.from_terms(terms) if terms["kind"] == Kind.PERP else None,
        )

    def __str__(self) -> str:
        return self.symbol


class Book:
    """The latest top of book of one instrument: one object for its whole life, changed in place. Zero: not seen yet."""

    __slots__ = ("ask", "at", "before", "bid", "index", "instrument", "volume")

    def __init__(self, instrument: Instrument, index: int) -> None:
        self.instrument = instrument
        self.index = index
        self.at = 0
        self.before = 0
        """When the price before this one was seen."""
        self.bid = 0
        self.ask = 0
        self.volume = -1
        """Base units that were traded from the price before this one to this one; -1: not known."""

    @property
    def seen(self) -> bool:
        return self.bid > 0

    def stale(self, now: int, age_ns: int = MINUTE) -> bool:
        """Whether its price is older than this, and than twice the step between its last two prices; or from the future.

        So a feed of bars is as fresh as its bars are long.
        """
        age = now - self.at
        return age < 0 or (age > age_ns and age > 2 * (self.at - self.before))

    @property
    def mid(self) -> int:
        """The middle, rounded down to a whole price unit. For marks, not for orders."""
        return (self.bid + self.ask) >> 1


@frozen(order=False)
class Quote:
    """Top of book at an instant. Refuses a price that is not positive, and a bid above its ask.

    `volume` are the base units that were traded since the quote before; -1: not known. A quote that stands for several
    that were skipped says what was traded in all of them.
    """

    instrument: Instrument
    at: int
    bid: int
    ask: int
    volume: int = -1

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or type(self.at) is not int:
            raise InvalidMarket(f"a quote is of an Instrument at whole nanoseconds, not of {self.instrument!r} at {self.at!r}")
        if type(self.bid) is not int or type(self.ask) is not int or not 0 < self.bid <= self.ask:
            raise InvalidMarket(f"quote of {self.instrument} with bid {self.bid} and ask {self.ask}: need 0 < bid <= ask")
        if type(self.volume) is not int or self.volume < -1:
            raise InvalidMarket(f"quote of {self.instrument} with volume {self.volume!r}: need whole base units, or -1 for not known")


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


class Basis(StrEnum):
    """The price on which funding is paid."""

    MARK = "mark"
    """The contract's own price."""
    ORACLE = "oracle"
    """The price of what the contract follows, as the venue's oracle says."""
    INDEX = "index"
    """The same, as a venue's own index of other venues says."""


@frozen(order=False)
class FundingRate:
    """What holders of a perpetual pay each other at one instant, for one interval.

    `rate_ppb` is a part of notional in parts per billion **for this interval** of `every` ns: above zero, longs pay
    shorts. `price` is what notional is counted at, in price units, and `basis` says whose price that is. A yearly,
    hourly or per-coin figure is never stored: `of` and `per_coin` convert at the edge, and refuse what does not fit.
    """

    instrument: Instrument
    at: int
    rate_ppb: int
    price: int
    every: int
    basis: Basis = Basis.MARK

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or self.instrument.contract is None:
            raise InvalidMarket(f"funding is paid on a perpetual, not on {self.instrument}")
        for name, value, least in (("at", self.at, 0), ("price", self.price, 1), ("every", self.every, 1)):
            if type(value) is not int or value < least:
                raise InvalidMarket(f"funding of {self.instrument}: {name} {value!r} must be a whole number, at least {least}")
        if type(self.rate_ppb) is not int or abs(self.rate_ppb) >= PPB:
            rule = "whole parts per billion between -100% and 100%; write rates as text with FundingRate.of"
            raise InvalidMarket(f"funding rate {self.rate_ppb!r} of {self.instrument} must be {rule}")
        if not isinstance(self.basis, Basis):
            raise InvalidMarket(f"funding basis {self.basis!r} of {self.instrument} must be a Basis")

    @classmethod
    def of(
        cls,
        instrument: Instrument,
        rate: str,
        *,
        price: int | str | Decimal,
        at: int,
        every: int | None = None,
        basis: Basis | str = Basis.MARK,
    ) -> FundingRate:
        """A rate as text: "0.01%" or "0.0001" of notional for one interval, the contract's own one by default."""
        every = _interval(instrument, every)
        return cls(instrument, at, _rate_ppb(rate, instrument), instrument.whole_price(price), every, Basis(basis))

    @classmethod
    def per_coin(
        cls,
        instrument: Instrument,
        quote_per_coin: str,
        *,
        price: int | str | Decimal,
        at: int,
        every: int | None = None,
        basis: Basis | str = Basis.ORACLE,
    ) -> FundingRate:
        """From quote coins paid per base coin, as Drift and Velocity publish it: divided by the price, half-even to a ppb."""
        units = instrument.whole_price(price)
        try:
            exact = Decimal(quote_per_coin)
        except (ArithmeticError, TypeError, ValueError):
            exact = Decimal("NaN")
        if isinstance(quote_per_coin, float) or not exact.is_finite() or exact.adjusted() > 40:
            raise InvalidMarket(f"funding {quote_per_coin!r} of {instrument} must be plain text of quote coins per coin")
        numerator, denominator = exact.as_integer_ratio()
        rate = divide(numerator * 10**instrument.price_scale * PPB, denominator * units, Rounding.HALF_EVEN)
        return cls(instrument, at, rate, units, _interval(instrument, every), Basis(basis))

    @property
    def topic(self) -> str:
        return self.instrument.symbol

    def entitlement(self, qty: int) -> tuple[int, int]:
        """What a holder of `qty` contracts (below zero: short) receives, as an exact fraction of quote units."""
        numerator, denominator = self.instrument.ratio
        return -qty * self.price * self.rate_ppb * numerator, denominator * PPB

    def payment(self, qty: int) -> int:
        """What a holder of `qty` contracts receives (below zero: pays), in quote units, rounded down."""
        numerator, denominator = self.entitlement(qty)
        return divide(numerator, denominator, Rounding.FLOOR)


def _interval(instrument: Instrument, every: int | None) -> int:
    if every is not None:
        return every
    return 8 * HOUR if instrument.contract is None else instrument.contract.funding_every


def _rate_ppb(rate: str, instrument: Instrument) -> int:
    """ "0.01%" or "0.0001" in parts per billion, exactly."""
    if not isinstance(rate, str):
        raise InvalidMarket(f"funding rate {rate!r} of {instrument} must be text such as '0.01%'")
    percent = rate.rstrip().endswith("%")
    try:
        return parse_units(rate.rstrip().removesuffix("%") if percent else rate, 7 if percent else 9, f"funding rate of {instrument}")
    except InvalidAmount as error:
        raise InvalidMarket(str(error)) from error
