"""What the world says besides prices: funding rates, what a staking token is worth, pools' reserves, facts, readings.

News comes as events like prices do, is shown to engines as `View.news`, and is never journaled: it moves no money. Each
piece is about a `topic`, and the latest of a kind and topic is what is shown. How old it may be is for an engine to say.

    view.news(FundingRate, "SOL-PERP")    view.news(FairValue, "jitoSOL")    view.news(Reading, "sentiment")
    view.news(TokenFacts, "BONK")

This module knows nothing of who reads it.
"""

from __future__ import annotations

import math

from attrs import frozen

from .amm import Pool
from .errors import InvalidMarket
from .market import FundingRate, Instrument
from .money import PPM, Amount, Asset, Fraction, Rounding, divide, ppm

__all__ = ["FairValue", "News", "PoolState", "Reading", "TokenFacts"]


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


@frozen(order=False)
class TokenFacts:
    """What was found out about a coin on its chain: who may still make more of it or lock it, and who could sell it off.

    `mint_authority` says whether somebody may still issue more, `freeze_authority` whether somebody may stop holders from
    moving theirs; False: given up for good. `liquidity` is what its pools hold of other coins, as an amount of one of
    them, and `top_holders_ppm` the part of all its coins that its ten largest holders have, pools apart. Raises
    `InvalidMarket` for anything else, and for what nobody has looked at: there is no default.
    """

    coin: Asset
    at: int
    mint_authority: bool
    freeze_authority: bool
    liquidity: Amount
    top_holders_ppm: int
    source: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.coin, Asset) or type(self.at) is not int or not isinstance(self.source, str):
            what = f"token facts of {self.coin!r} at {self.at!r} from {self.source!r}"
            raise InvalidMarket(f"{what}: need an Asset, whole nanoseconds and text")
        for name, value in (("mint_authority", self.mint_authority), ("freeze_authority", self.freeze_authority)):
            if type(value) is not bool:
                raise InvalidMarket(f"token facts of {self.coin}: {name} {value!r} must be True or False")
        if not isinstance(self.liquidity, Amount) or self.liquidity.units < 0 or self.liquidity.asset == self.coin:
            what = f"token facts of {self.coin}: liquidity {self.liquidity!r}"
            raise InvalidMarket(f"{what} must be an Amount of another coin, and not negative")
        if type(self.top_holders_ppm) is not int or not 0 <= self.top_holders_ppm <= PPM:
            what = f"token facts of {self.coin}: top_holders_ppm {self.top_holders_ppm!r}"
            raise InvalidMarket(f"{what} must be whole parts per million from 0 to {PPM}")

    @classmethod
    def of(
        cls,
        coin: Asset,
        *,
        at: int,
        mint_authority: bool,
        freeze_authority: bool,
        liquidity: Amount,
        top_holders: Fraction,
        source: str = "",
    ) -> TokenFacts:
        """With the share as text: `top_holders="28%"`. Raises `InvalidAmount` for a share that is no exact rate."""
        return cls(coin, at, mint_authority, freeze_authority, liquidity, ppm(top_holders, "top holders"), source)

    @property
    def topic(self) -> str:
        return self.coin.code


News = FundingRate | FairValue | PoolState | Reading | TokenFacts
