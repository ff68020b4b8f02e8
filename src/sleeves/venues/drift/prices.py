"""Prices and funding rates as the feed tells them, from the accounts of one slot. Pure.

    quote    the oracle's price, less its confidence and a spread for the bid, with both for the ask, on the tick and against us
    rate     what one hour's funding of a side was of the price, as a ratio: the program writes quote coins per base coin

A quote is no order that somebody has on a book: orders here are filled by keepers in an auction around the oracle's price, against
the market itself or against others, and margin and liquidation follow the oracle too. An oracle that is too old or too unsure for
the program's own margin checks, or by our clock, makes no quote: see `risk.price_of`
and `doubt_of`. It knows no order.
"""

from __future__ import annotations

from ...errors import InvalidMarket
from ...market import BP, Basis, FundingRate, Instrument, Quote
from ...money import Rounding, divide
from .accounts import PerpMarket
from .markets import funding_ppb, near_price
from .risk import Price

__all__ = ["OLDEST_S", "doubt_of", "price_units", "quote_of", "rate_of"]

OLDEST_S = 60
"""Seconds between an oracle's own time and ours beyond which its price is not used."""
_PRICE = 10**6
_SECOND = 1_000_000_000


def doubt_of(price: Price, now: int) -> str:
    """Why nothing is to be done by an oracle's price at `now` (UTC ns), or nothing.

    It goes by slots, as the program does, and by the oracle's own time: a node that stands still tells a slot as old as the price.
    """
    what = f"the oracle's price {price.price} of {price.name}"
    if not price.validity.usable:
        return f"{what} is {price.validity.value}"
    if price.at is not None and abs(now - price.at) > OLDEST_S * _SECOND:
        seconds = (now - price.at) // _SECOND
        return f"{what} is of {seconds} s ago" if seconds > 0 else f"{what} is of {-seconds} s from now by our clock"
    return ""


def price_units(instrument: Instrument, price: int, rounding: Rounding) -> int:
    """A price of the program's (1e6) on the instrument's tick, rounded as named; at least one tick."""
    ticks = divide(price * 10**instrument.price_scale, _PRICE * instrument.tick_units, rounding)
    return max(1, ticks) * instrument.tick_units


def quote_of(instrument: Instrument, price: Price, spread_bps: int, at: int) -> Quote:
    """A bid and an ask around an oracle's price: its confidence and `spread_bps` to either side."""
    aside = price.confidence + divide(price.price * spread_bps, BP, Rounding.CEIL)
    bid = price_units(instrument, max(1, price.price - aside), Rounding.FLOOR)
    ask = price_units(instrument, price.price + aside, Rounding.CEIL)
    return Quote(instrument, at, bid, max(bid, ask))


def rate_of(instrument: Instrument, market: PerpMarket, *, long: bool = False) -> FundingRate | None:
    """The last hour's funding of one side as a share of the oracle's average price then; None for a market that never had any.

    It is that of the shorts unless `long`: above zero they got it, below zero they paid. What a venue tells engines must be what a
    short really gets, and the program gives the receiving side less than the market's rate where the market's own pool cannot pay all;
    the side that pays, pays all of it. So where shorts receive, longs may pay more than this says; where shorts pay, longs may get less.
    The market's own rate is in `funding_quotes`.

    Rounded half-even to a part in a billion. Raises `InvalidMarket` for a period or an average that cannot be.
    """
    if not market.last_funding_at:
        return None
    twap = market.last_funding_oracle_twap
    if twap <= 0 or market.funding_period <= 0:
        raise InvalidMarket(f"the funding of {market.name} is of a price of {twap} and every {market.funding_period} s")
    per_base = market.last_funding_rate_long if long else market.last_funding_rate_short
    ppb, price = funding_ppb(per_base, twap), near_price(instrument, twap)
    return FundingRate(instrument, market.last_funding_at * _SECOND, ppb, price, market.funding_period * _SECOND, Basis.ORACLE)
