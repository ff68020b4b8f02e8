"""Kraken's public endpoints: what each answers for which arguments.

Accounts and keys are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .listing import asset_id
from .market import INTERVALS, Market
from .wire import Refused, stamp

if TYPE_CHECKING:
    from .exchange import KrakenExchange

__all__ = ["PUBLIC"]

SECOND = 1_000_000_000
_ONLY = {
    "leverage": ("leverage_buy", "leverage_sell"),
    "fees": ("fees", "fees_maker", "fee_volume_currency"),
    "margin": ("margin_call", "margin_stop"),
}
"""What AssetPairs tells where only a part is asked for."""
Args = Mapping[str, Any]


def _time(exchange: KrakenExchange, _args: Args) -> dict[str, Any]:
    when = datetime.fromtimestamp(exchange.now // SECOND, UTC)
    return {"unixtime": exchange.now // SECOND, "rfc1123": when.strftime("%a, %d %b %y %H:%M:%S +0000")}


def _system_status(exchange: KrakenExchange, _args: Args) -> dict[str, Any]:
    return {"status": exchange.system, "timestamp": stamp(exchange.now, 0)}


def _assets(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    listing = exchange.listing
    asked = _names(args, "asset")
    codes = list(listing.assets)
    if asked:
        codes = []
        for name in asked:
            code = listing.code_of(name)
            if code is None:
                raise Refused("EQuery:Unknown asset")
            codes.append(code)
    return {asset_id(code): listing.asset_info(code) for code in codes}


def _asset_pairs(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    told = {}
    what = str(args.get("info") or "info")
    if what not in ("info", *_ONLY):
        raise Refused("EGeneral:Invalid arguments:info")
    only = _ONLY.get(what)
    for market in _markets(exchange, args, needed=False):
        info = market.listed.info(exchange.rules.fees, market.status)
        told[market.listed.id] = info if only is None else {name: info[name] for name in only}
    return told


def _ticker(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    return {market.listed.id: market.ticker() for market in _markets(exchange, args, needed=False)}


def _ohlc(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    (market,) = _markets(exchange, args)
    minutes = _whole(args, "interval", 1)
    if minutes not in INTERVALS:
        raise Refused("EGeneral:Invalid arguments")
    rows, last = market.ohlc(minutes, _whole(args, "since", 0), exchange.now)
    return {market.listed.id: rows, "last": last}


def _depth(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    (market,) = _markets(exchange, args)
    count = _whole(args, "count", 100)
    if not 1 <= count <= 500:
        raise Refused("EGeneral:Invalid arguments:count")
    return {market.listed.id: market.depth(count)}


def _trades(exchange: KrakenExchange, args: Args) -> dict[str, Any]:
    (market,) = _markets(exchange, args)
    count = _whole(args, "count", 1000)
    if not 1 <= count <= 1000:
        raise Refused("EGeneral:Invalid arguments:count")
    rows, last = market.past_trades(_whole(args, "since", 0), count)
    return {market.listed.id: rows, "last": last}


def _names(args: Args, name: str) -> list[str]:
    return [one.strip() for one in str(args.get(name) or "").split(",") if one.strip()]


def _whole(args: Args, name: str, usual: int) -> int:
    text = str(args.get(name) or "").partition(".")[0]
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()):
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return int(text)


def _markets(exchange: KrakenExchange, args: Args, *, needed: bool = True) -> list[Market]:
    """The markets that `pair` names; all where it names none and need not."""
    asked = _names(args, "pair")
    if not asked and not needed:
        return list(exchange.markets.values())
    found = []
    for name in asked:
        listed = exchange.listing.pair(name)
        if listed is None:
            raise Refused("EQuery:Unknown asset pair")
        found.append(exchange.markets[listed.symbol])
    if needed and len(found) != 1:
        raise Refused("EGeneral:Invalid arguments")
    return found


PUBLIC: dict[str, Callable[[KrakenExchange, Args], dict[str, Any]]] = {
    "Time": _time,
    "SystemStatus": _system_status,
    "Assets": _assets,
    "AssetPairs": _asset_pairs,
    "Ticker": _ticker,
    "OHLC": _ohlc,
    "Depth": _depth,
    "Trades": _trades,
}
"""By name, what a public endpoint answers."""
