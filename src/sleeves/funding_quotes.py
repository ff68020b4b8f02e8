"""Funding rates of many venues side by side: each with its interval, and then comparable.

Venues tell rates for an hour, for eight, for a day, as shares of different prices, of a payment that was made or of one that is
expected. A `FundingQuote` holds a rate exactly as a ratio, with all of that beside it; a quote without an interval is refused,
since nobody can say what it is a rate of. `ranked` puts quotes of many venues in order, by what they come to in a year.

It asks no venue and knows no position: what a holder pays is in `market.FundingRate`, which `FundingQuote.news` makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from attrs import field, frozen

from .errors import InvalidMarket
from .market import DAY, HOUR, PPB, Basis, FundingRate, Instrument
from .money import Rounding, divide

__all__ = ["FundingQuote", "Kind", "ShareOf", "ranked"]

YEAR = 365 * DAY
_PLAIN = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?%?")


class ShareOf(StrEnum):
    """What a funding rate is a share of."""

    MARK = "mark"
    """The contract's own price."""
    ORACLE = "oracle"
    """The price of what the contract follows, as the venue's oracle says."""
    ORACLE_TWAP = "oracle twap"
    """The same, averaged over the interval."""
    INDEX = "index"
    """The price of what the contract follows, as a venue's own index of other venues says."""


class Kind(StrEnum):
    """How sure a rate is."""

    SETTLED = "settled"
    """It was paid, for the interval that ended last."""
    PREDICTED = "predicted"
    """It is what the venue, or a formula of its, expects for the payment that comes next."""
    LIVE = "live"
    """It is what would be paid if the interval ended now; it moves until it does."""


def _ratio(value: object) -> Fraction:
    """A ratio from a Fraction, a Decimal or plain text ("0.0001", "0.01%"). Bare whole numbers are refused: they could be anything."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, Decimal) and value.is_finite() and -40 < value.adjusted() < 40:
        return Fraction(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value.strip()):
        text = value.strip()
        return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    raise InvalidMarket(f"funding rate {value!r} must be a Fraction, a Decimal, or text such as '0.01%' or '0.0001': a ratio, exactly")


def _share_of(value: object) -> ShareOf:
    try:
        return ShareOf(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidMarket(f"a funding rate is a share of one of {', '.join(ShareOf)}, not of {value!r}") from None


def _kind(value: object) -> Kind:
    try:
        return Kind(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidMarket(f"a funding quote is one of {', '.join(Kind)}, not {value!r}") from None


@frozen(order=False)
class FundingQuote:
    """The funding rate of one market at one venue, for one interval.

    `rate` is a ratio of notional: above zero, longs pay shorts. `interval` is what it is for, in ns; `basis` whose price
    notional is counted at; `next` when the next payment is due, in ns UTC, None where the venue does not say; `kind` how sure
    the rate is. Raises `InvalidMarket` for a rate that is no exact ratio or not between -100% and 100%, and for an interval
    that is missing, not whole or not above zero.

        >>> FundingQuote("velocity", "SOL-PERP", "0.00125%", HOUR, "oracle twap", None, "settled").per_year
        Fraction(219, 2000)
    """

    venue: str
    symbol: str
    rate: Fraction = field(converter=_ratio)
    interval: int
    basis: ShareOf = field(converter=_share_of)
    next: int | None
    kind: Kind = field(converter=_kind)

    def __attrs_post_init__(self) -> None:
        for what, name in (("venue", self.venue), ("symbol", self.symbol)):
            if not isinstance(name, str) or not name:
                raise InvalidMarket(f"the {what} of a funding quote must be text, not {name!r}")
        if not -1 < self.rate < 1:
            raise InvalidMarket(f"funding rate {float(self.rate):g} of {self} must lie between -100% and 100%: it is a ratio of notional")
        if type(self.interval) is not int or self.interval <= 0:
            rule = "whole nanoseconds above zero: a rate without an interval is no rate"
            raise InvalidMarket(f"the interval {self.interval!r} of the funding quote of {self} must be {rule}")
        if self.next is not None and (type(self.next) is not int or self.next < 0):
            raise InvalidMarket(f"the next payment {self.next!r} of {self} must be whole nanoseconds UTC, or None where nobody says")

    def __str__(self) -> str:
        return f"{self.symbol} at {self.venue}"

    @property
    def per_hour(self) -> Fraction:
        """The rate of an hour, exactly, as a ratio of notional. Payments are not compounded."""
        return self.rate * HOUR / self.interval

    @property
    def per_year(self) -> Fraction:
        """The rate of 365 days, exactly, as a ratio of notional. Payments are not compounded."""
        return self.rate * YEAR / self.interval

    @property
    def rate_ppb(self) -> int:
        """The rate in parts per billion for its interval, half-even, as `market.FundingRate` has it."""
        return divide(self.rate.numerator * PPB, self.rate.denominator, Rounding.HALF_EVEN)

    def news(self, instrument: Instrument, *, price: int, at: int) -> FundingRate:
        """The same for engines: a rate of `instrument`, told at `at` (ns), of notional at `price` (its price units).

        Raises `InvalidMarket` for an instrument of another symbol or venue.
        """
        if instrument.symbol != self.symbol or (instrument.venue and instrument.venue != self.venue):
            raise InvalidMarket(f"the funding quote of {self} is none of {instrument.symbol} at {instrument.venue or 'any venue'}")
        basis = {ShareOf.MARK: Basis.MARK, ShareOf.INDEX: Basis.INDEX}.get(self.basis, Basis.ORACLE)
        return FundingRate(instrument, at, self.rate_ppb, price, self.interval, basis)


def ranked(quotes: Iterable[FundingQuote], *, kinds: Iterable[Kind | str] = tuple(Kind)) -> tuple[FundingQuote, ...]:
    """Quotes of these kinds by what they come to in a year, what pays a short the most first; ties by venue and symbol.

    Raises `InvalidMarket` for what is no quote.
    """
    wanted = {_kind(one) for one in kinds}
    found = []
    for quote in quotes:
        if not isinstance(quote, FundingQuote):
            raise InvalidMarket(f"only funding quotes are ranked, not {quote!r}: a bare rate has no interval")
        if quote.kind in wanted:
            found.append(quote)
    return tuple(sorted(found, key=lambda one: (-one.per_year, one.venue, one.symbol, one.kind)))
