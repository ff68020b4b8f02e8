"""What a tape is besides its columns, as JSON and back: its instrument, interval, name, repairs, and what lies along it.

A pool's reserves are the one kind of news that is not written: a pool is whatever class its protocol has. What is read
back is checked by the very constructors that checked it first.

This module knows no tape and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import asdict, fields, frozen

from ..errors import BadTape, SleevesError
from ..market import Basis, FundingRate, Instrument
from ..money import Amount, Asset
from ..news import FairValue, News, Reading, TokenFacts
from .columns import INT64
from .depth import Depth
from .reading import Count, Repairs

__all__ = ["Contents", "check_along", "read_contents", "told_along", "told_contents", "whole_number"]

Along = tuple[tuple[FundingRate, ...], tuple[Depth, ...], tuple[News, ...]]


@frozen
class Contents:
    """What a tape is besides its columns. `along` is funding, books and news."""

    instrument: Instrument
    interval: int
    has_volume: bool
    repairs: Repairs
    name: str
    along: Along = ((), (), ())
    outside: int = 0
    gapped: bool = False
    """Whether any step of time is longer than the interval."""


def told_contents(contents: Contents) -> dict[str, Any]:
    """All of it but what lies along, and whether there is volume. Raises `BadTape` for what cannot be told."""
    if not isinstance(contents.name, str):
        raise BadTape(f"the name of a tape is text, not {contents.name!r}")
    repairs = asdict(contents.repairs, recurse=False)
    return {
        "instrument": _market(contents.instrument),
        "interval": contents.interval,
        "name": contents.name,
        "gapped": contents.gapped,
        "repairs": {what: [one.count, list(one.rows)] if isinstance(one, Count) else one for what, one in repairs.items()},
        "outside": contents.outside,
    }


def read_contents(told: Mapping[str, Any], along: Any, has_volume: bool) -> Contents:
    """What was told, again. Raises `BadTape` for whatever cannot be."""
    name, gapped = told.get("name"), told.get("gapped")
    if not isinstance(name, str) or type(gapped) is not bool:
        raise BadTape(f"its head names it {name!r:.60} and says {gapped!r:.60} of gaps")
    return Contents(
        _market_again(told.get("instrument")),
        whole_number(told, "interval"),
        has_volume,
        _repairs_again(told.get("repairs")),
        name,
        _along_again(along),
        whole_number(told, "outside"),
        gapped,
    )


def whole_number(told: Mapping[str, Any], what: str, least: int = 0) -> int:
    """A whole number of 64 bits that a table must hold."""
    value = told.get(what)
    if type(value) is not int or not least <= value <= INT64:
        raise BadTape(f"its {what} is {value!r:.60}, not a whole number from {least} on")
    return value


def check_along(contents: Contents, since: int, until: int) -> None:
    """What lies along a tape lies along it, in order of time, and funding is of its own contract."""
    funding, depths, news = contents.along
    for what, times in (("funding", [r.at for r in funding]), ("books", [d.at for d in depths]), ("news", [n.at for n in news])):
        if times and not (since <= times[0] and times == sorted(times) and times[-1] <= until):
            raise BadTape(f"its {what} do not lie along it in order of time")
        if what != "news" and len(set(times)) < len(times):
            raise BadTape(f"two of its {what} are at one instant")
    if any(rate.instrument != contents.instrument or rate.at == since for rate in funding):
        raise BadTape(f"its funding is not that of {contents.instrument}, due after it begins")


def _repairs_again(told: Any) -> Repairs:
    if not isinstance(told, dict):
        raise BadTape(f"its repairs are {told!r:.60}")
    kinds = {one.name: one for one in fields(Repairs)}
    if not kinds.keys() >= told.keys():
        raise BadTape(f"its repairs say {', '.join(sorted(told.keys() - kinds.keys())):.60}, which this version knows nothing of")
    made: dict[str, Any] = {}
    for one in (kinds[name] for name in told):
        value = told[one.name]
        if isinstance(one.default, Count):
            count, rows = value if isinstance(value, list) and len(value) == 2 else (None, None)
            if not isinstance(rows, list) or not all(type(number) is int and number >= 0 for number in (count, *rows)):
                raise BadTape(f"its repairs say {value!r:.60} of {one.name}")
            made[one.name] = Count(count or 0, tuple(rows))
        else:
            made[one.name] = None if value is None and one.default is None else whole_number(told, one.name)
    return Repairs(**made)


def _market(market: Instrument) -> list[Any]:
    """An instrument as its symbol and terms. Raises `BadTape` where they would not give the same one back."""
    told = [market.symbol, market.terms()]
    if _market_again(told) != market:
        raise BadTape(f"the terms of {market} do not say all that it is: it cannot be kept in a file")
    return told


def _market_again(told: Any) -> Instrument:
    """The instrument of a symbol and terms. Raises `BadTape` where there is none."""
    symbol, terms = told if isinstance(told, list) and len(told) == 2 else (None, None)
    if not isinstance(symbol, str) or not isinstance(terms, dict) or not all(isinstance(text, str) for text in terms.values()):
        raise BadTape("an instrument is a symbol with its terms as text")
    try:
        return Instrument.from_terms(symbol, terms)
    except (SleevesError, KeyError, ValueError, TypeError) as error:
        raise BadTape(f"the terms of {symbol!r} are of no instrument: {error}") from error


def told_along(along: Along) -> dict[str, Any]:
    """All that lies along a tape. Raises `BadTape` for news that cannot be told."""
    funding, depths, news = along
    markets: dict[Instrument, int] = {}
    told = {
        "funding": [_rate(one, markets) for one in funding],
        "depths": [[one.at, list(map(list, one.bids)), list(map(list, one.asks))] for one in depths],
        "news": [_news(one, markets) for one in news],
    }
    return {"markets": [_market(market) for market in markets], **told}


def _along_again(told: Any) -> Along:
    """What was told, again. Raises `BadTape` for whatever cannot be."""
    try:
        markets = [_market_again(one) for one in _list(told["markets"])]
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
