"""Trades as ccxt hands them out (`fetch_my_trades`): dictionaries of its unified structure, from any exchange.

ccxt turns the exchange's text into floats. The text is still there, in `info`: where a text stands for the very float,
it is taken; else the float's own shortest text. An exchange set to `"number": str` needs neither.

This module imports no ccxt: it reads lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..errors import InvalidAmount
from ..market import Instrument, Kind
from ..money import Amount, Asset
from ..orders import Liquidity, Side
from .cells import exact
from .history import History, PastTrade, forward, gather
from .table import Place, read_all, shown
from .trade import Rounded, amount_of, trade_of

__all__ = ["ccxt_trades"]

_TAGS = ("clientOrderId", "cl_ord_id", "clOrdId", "origClientOrderId", "userref")
_DEEPEST = 4


def ccxt_trades(
    trades: Iterable[Mapping[str, Any]],
    instruments: Iterable[Instrument] | Mapping[str, Instrument],
    *,
    venue: str,
    assets: Iterable[Asset] = (),
    repair: bool = False,
) -> History:
    """The trades of a list of ccxt's unified trades, in order of time.

    A `symbol` is that of an instrument, or, where `instruments` is a mapping, a name in it. Fees are in the coins of the
    instruments or in further `assets`; all of `fees` count, or `fee` where there are none. A fee that is not told is an
    error, for it is not zero. A `cost` that is missing, or was worked out by ccxt in floats, is worked out again of
    price and quantity. Tags are the client's order id or reference, wherever the exchange names one.

    Raises `BadHistory` with the 1-based number, the value and the rule for whatever cannot be read; with `repair` such
    trades, one id with two contents apart, are left out and listed in `left_out`.
    """
    named = dict(instruments) if isinstance(instruments, Mapping) else {market.symbol: market for market in instruments}
    coins = {asset.code: asset for market in named.values() for asset in (market.base, market.quote)}
    coins.update({asset.code: asset for asset in assets})
    told: list[tuple[str, PastTrade]] = []
    rounded = Rounded()

    def read(numbered: tuple[int, Mapping[str, Any]]) -> None:
        place = Place("ccxt trades", numbered[0])
        told.append((str(place), _trade(place, numbered[1], named, coins, venue, rounded)))

    left_out = read_all(enumerate(trades, 1), read, repair)
    return gather(forward(told, lambda trade: trade.fill.at), notes=rounded.notes, left_out=left_out)


def _trade(
    place: Place, trade: Mapping[str, Any], named: Mapping[str, Instrument], coins: Mapping[str, Asset], venue: str, rounded: Rounded
) -> PastTrade:
    if not isinstance(trade, Mapping):
        raise place.wrong(f"a {type(trade).__name__} is no trade: give ccxt's dictionaries")
    symbol, side, at, maker = trade.get("symbol"), trade.get("side"), trade.get("timestamp"), trade.get("takerOrMaker")
    if not isinstance(symbol, str) or symbol not in named:
        raise place.wrong(f"symbol {shown(symbol)} is none of {', '.join(sorted(named)) or 'no instruments'}")
    market = named[symbol]
    if side not in ("buy", "sell"):
        raise place.wrong(f"side {shown(side)} is neither buy nor sell")
    if type(at) is not int:
        raise place.wrong(f"timestamp {shown(at)} is no whole number of milliseconds")
    if maker not in ("taker", "maker", None):
        raise place.wrong(f"takerOrMaker {shown(maker)} is neither taker nor maker")
    info = trade.get("info")
    texts = set(_texts(info, _DEEPEST))
    if market.kind is Kind.SPOT and isinstance(info, Mapping) and _borrowed(info.get("margin")):
        raise place.wrong(f"a margin trade (margin {shown(info['margin'])}): it moves no coins")
    return trade_of(
        place,
        market,
        id=_id(place, trade),
        order=str(trade.get("order") or ""),
        at=at * 1_000_000,
        side=Side(side),
        qty=_number(place, "amount", trade.get("amount"), texts),
        price=_number(place, "price", trade.get("price"), texts),
        cost=_cost(place, trade.get("cost"), texts, market),
        fees=_fees(place, trade, texts, coins),
        liquidity=Liquidity.MAKER if maker == "maker" else Liquidity.TAKER,
        venue=venue,
        rounded=rounded,
        tag=next((str(part[key]) for part in (trade, info) if isinstance(part, Mapping) for key in _TAGS if part.get(key)), ""),
    )


def _id(place: Place, trade: Mapping[str, Any]) -> str:
    value = trade.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise place.wrong(f"id {shown(value)} is none: a trade is known by it")
    return str(value)


def _borrowed(margin: object) -> bool:
    """Whether an exchange's `margin` is an amount other than zero, as Kraken writes it."""
    try:
        return bool(exact(margin))
    except InvalidAmount:
        return False


def _texts(info: object, depth: int) -> Iterator[str]:
    """All texts that may be numbers in what the exchange itself has answered."""
    if isinstance(info, str) and 0 < len(info) <= 60:
        yield info
    elif isinstance(info, Mapping | list | tuple) and depth:
        for part in info.values() if isinstance(info, Mapping) else info:
            yield from _texts(part, depth - 1)


def _number(place: Place, what: str, value: object, texts: Iterable[str]) -> Decimal:
    try:
        told = exact(value)
    except InvalidAmount as error:
        raise place.wrong(f"{what} {error}") from error
    return (_raw(value, texts) or told) if isinstance(value, float) else told


def _raw(value: float, texts: Iterable[str]) -> Decimal | None:
    """The one exact number among the texts that stands for this float, if there is just one."""
    found = set()
    for text in texts:
        try:
            number = exact(text)
        except InvalidAmount:
            continue
        if float(number) == value:
            found.add(number)
    return found.pop() if len(found) == 1 else None


def _cost(place: Place, value: object, texts: Iterable[str], market: Instrument) -> Decimal | None:
    """The cost as the exchange told it; None for one that only ccxt has made, in floats, and that is no exact money."""
    if value is None:
        return None
    cost = _number(place, "cost", value, texts)
    if isinstance(value, float) and _raw(value, texts) is None:
        try:
            market.quote(cost)
        except InvalidAmount:
            return None
    return cost


def _fees(place: Place, trade: Mapping[str, Any], texts: Iterable[str], coins: Mapping[str, Asset]) -> list[Amount]:
    given = [one for one in trade.get("fees") or [trade.get("fee")] if isinstance(one, Mapping)]
    told = [one for one in given if one.get("cost") is not None or one.get("currency") is not None]
    if not told:
        raise place.wrong("says no fee: give {'fee': {'cost': 0, 'currency': 'USD'}} where there was none")
    found = []
    for one in told:
        number, code = _number(place, "fee", one.get("cost"), texts), one.get("currency")
        if not isinstance(code, str) or code not in coins:
            raise place.wrong(f"fee in {shown(code)}, which is none of {', '.join(sorted(coins))}: name it in assets")
        found.append(amount_of(place, "fee", number, coins[code]))
    return found
