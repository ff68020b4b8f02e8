"""What the world says besides prices: funding rates, what a staking token is worth, pools' reserves, outside readings.

News comes as events like prices do, is shown to engines as `View.news`, and is never journaled: it moves no money. Each
piece is about a `topic`, and the latest of a kind and topic is what is shown. How old it may be is for an engine to say.

    view.news(FundingRate, "SOL-PERP")    view.news(FairValue, "jitoSOL")    view.news(Reading, "sentiment")

This module knows nothing of who reads it.
"""

from __future__ import annotations

import math

from attrs import frozen

from .amm import Pool
from .errors import InvalidMarket
from .market import FundingRate, Instrument
from .money import Amount, Asset, Rounding, divide

__all__ = ["FairValue", "News", "PoolState", "Reading"]


@frozen(order=False)
class FairValue:
    """What one coin redeems for in another, exactly: `worth` smallest units of `quote` for `units` of `base`.

    For a staking token that is what its pool holds over the tokens it has issued. Raises `InvalidMarket` unless both
    are whole and above zero.
    """

    base: Asset
    quote: Asset
    at: int
    worth: int
    units: int
    source: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.base, Asset) or not isinstance(self.quote, Asset) or self.base == self.quote:
            raise InvalidMarket(f"a fair value is of one Asset in another, not of {self.base!r} in {self.quote!r}")
        if type(self.at) is not int or not isinstance(self.source, str):
            raise InvalidMarket(f"fair value of {self.base} at {self.at!r} from {self.source!r}: need whole nanoseconds and text")
        for name, value in (("worth", self.worth), ("units", self.units)):
            if type(value) is not int or value <= 0:
                raise InvalidMarket(f"fair value of {self.base}: {name} {value!r} must be a positive whole number of smallest units")

    @classmethod
    def of_pool(cls, holds: Amount, issued: Amount, *, at: int, source: str = "stake pool") -> FairValue:
        """From what a stake pool holds and the tokens it has issued: `of_pool(SOL("1072"), coin("1000"), at=now)`."""
        if not isinstance(holds, Amount) or not isinstance(issued, Amount):
            raise InvalidMarket(f"a stake pool holds and has issued Amounts, not {holds!r} and {issued!r}")
        return cls(issued.asset, holds.asset, at, holds.units, issued.units, source)

    @property
    def topic(self) -> str:
        return self.base.code

    def price(self, instrument: Instrument) -> int:
        """In the price units of an instrument of this pair, rounded down. Raises `InvalidMarket` for another pair."""
        if instrument.base != self.base or instrument.quote != self.quote:
            raise InvalidMarket(f"the fair value of {self.base} in {self.quote} is no price of {instrument}")
        times, over = instrument.ratio
        return divide(self.worth * over, self.units * times, Rounding.FLOOR)


@frozen(order=False)
class PoolState:
    """What a pool that an instrument trades with held at one instant."""

    instrument: Instrument
    at: int
    pool: Pool

    def __attrs_post_init__(self) -> None:
        pool = hasattr(self.pool, "at_price") and not isinstance(self.pool, type)
        if not pool or not isinstance(self.instrument, Instrument) or type(self.at) is not int:
            what = f"pool {self.pool!r} of {self.instrument} at {self.at!r}"
            raise InvalidMarket(f"{what}: need a pool (sleeves.amm), an Instrument, whole nanoseconds")

    @property
    def topic(self) -> str:
        return self.instrument.symbol


@frozen(order=False)
class Reading:
    """A number from an outside feed, such as a sentiment score. What it means is between the feed and the engine."""

    topic: str
    at: int
    value: float

    def __attrs_post_init__(self) -> None:
        finite = isinstance(self.value, (int, float)) and not isinstance(self.value, bool) and math.isfinite(self.value)
        if not isinstance(self.topic, str) or not self.topic or type(self.at) is not int or not finite:
            raise InvalidMarket(f"reading {self.topic!r} at {self.at!r} of {self.value!r}: need a name, whole nanoseconds, a finite number")


News = FundingRate | FairValue | PoolState | Reading
