"""What lies along a tape, as JSON and back: funding rates, books, news.

A pool's reserves are the one kind of news that is not written: a pool is whatever class its protocol has. What is read
back is checked by the very constructors that checked it first.

This module knows no tape and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import BadTape, SleevesError
from ..market import Basis, FundingRate, Instrument
from ..money import Amount, Asset
from ..news import FairValue, News, Reading, TokenFacts
from .depth import Depth

__all__ = ["Along", "read_along", "read_market", "told_along", "told_market"]

Along = tuple[tuple[FundingRate, ...], tuple[Depth, ...], tuple[News, ...]]


def told_market(market: Instrument) -> list[Any]:
    """An instrument as its symbol and terms. Raises `BadTape` where they would not give the same one back."""
    told = [market.symbol, market.terms()]
    if read_market(told) != market:
        raise BadTape(f"the terms of {market} do not say all that it is: it cannot be kept in a file")
    return told


def read_market(told: Any) -> Instrument:
    """The instrument of a symbol and terms. Raises `BadTape` where there is none."""
    symbol, terms = told if isinstance(told, list) and len(told) == 2 else (None, None)
    if not isinstance(symbol, str) or not isinstance(terms, dict) or not all(isinstance(text, str) for text in terms.values()):
        raise BadTape("an instrument is a symbol with its terms as text")
    try:
        return Instrument.from_terms(symbol, terms)
    except (SleevesError, KeyError, ValueError, TypeError) as error:
        raise BadTape(f"the terms of {symbol!r} are of no instrument: {error}") from error


def told_along(funding: Iterable[FundingRate], depths: Iterable[Depth], news: Iterable[News]) -> dict[str, Any]:
    """All that lies along a tape. Raises `BadTape` for news that cannot be written."""
    markets: dict[Instrument, int] = {}
    told = {
        "funding": [_rate(one, markets) for one in funding],
        "depths": [[one.at, list(map(list, one.bids)), list(map(list, one.asks))] for one in depths],
        "news": [_news(one, markets) for one in news],
    }
    return {"markets": [told_market(market) for market in markets], **told}


def read_along(told: Any) -> Along:
    """What was told, again. Raises `BadTape` for whatever cannot be."""
    try:
        markets = [read_market(one) for one in _list(told["markets"])]
        funding = tuple(_rate_again(one, markets) for one in _list(told["funding"]))
        depths = tuple(Depth(at, _levels(bids), _levels(asks)) for at, bids, asks in _list(told["depths"]))
        news = tuple(_AGAIN[one[0]](one[1:], markets) for one in _list(told["news"]))
    except BadTape:
        raise
    except (SleevesError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadTape(f"what lies along the tape cannot be read: {type(error).__name__}: {error}") from error
    return funding, depths, news


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise BadTape(f"what lies along the tape comes in lists, not as {type(told).__name__}")
    return told


def _levels(told: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((price, units) for price, units in told)


def _asset(asset: Asset) -> list[Any]:
    return [asset.code, asset.scale]


def _rate(rate: FundingRate, markets: dict[Instrument, int]) -> list[Any]:
    market = markets.setdefault(rate.instrument, len(markets))
    return [market, rate.at, rate.rate_ppb, rate.price, rate.every, rate.basis.value]


def _rate_again(told: Sequence[Any], markets: Sequence[Instrument]) -> FundingRate:
    market, at, rate_ppb, price, every, basis = told
    if type(market) is not int or market < 0:
        raise BadTape(f"{market!r} is no number of a market")
    return FundingRate(markets[market], at, rate_ppb, price, every, Basis(basis))


def _news(one: News, markets: dict[Instrument, int]) -> list[Any]:
    if isinstance(one, FundingRate):
        return ["rate", *_rate(one, markets)]
    if isinstance(one, FairValue):
        return ["fair", _asset(one.base), _asset(one.quote), one.at, one.worth, one.units, one.source]
    if isinstance(one, Reading):
        return ["reading", one.topic, one.at, one.value]
    if isinstance(one, TokenFacts):
        liquidity = [*_asset(one.liquidity.asset), one.liquidity.units]
        return [
            "facts",
            _asset(one.coin),
            one.at,
            one.mint_authority,
            one.freeze_authority,
            liquidity,
            one.top_holders_ppm,
            one.source,
        ]
    raise BadTape(f"a {type(one).__name__} cannot be kept in a file: save the tape without it, and give it with with_news once it is open")


def _fair_again(told: Sequence[Any], _: Sequence[Instrument]) -> FairValue:
    base, quote, at, worth, units, source = told
    return FairValue(Asset(*base), Asset(*quote), at, worth, units, source)


def _reading_again(told: Sequence[Any], _: Sequence[Instrument]) -> Reading:
    topic, at, value = told
    return Reading(topic, at, value)


def _facts_again(told: Sequence[Any], _: Sequence[Instrument]) -> TokenFacts:
    coin, at, mint, freeze, (code, scale, units), top_holders_ppm, source = told
    return TokenFacts(Asset(*coin), at, mint, freeze, Amount(units, Asset(code, scale)), top_holders_ppm, source)


_AGAIN: dict[str, Callable[[Sequence[Any], Sequence[Instrument]], News]] = {
    "facts": _facts_again,
    "fair": _fair_again,
    "rate": _rate_again,
    "reading": _reading_again,
}
