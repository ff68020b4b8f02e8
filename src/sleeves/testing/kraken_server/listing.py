"""What the local exchange lists: assets and pairs under the names that Kraken has for them.

The table has Kraken's own ids, decimals and minimums of some common pairs; any other pair is listed by a `Pair` or an
`Instrument`. Prices of the moment and accounts are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from ...errors import InvalidMarket
from ...market import Instrument, Kind
from ...money import Asset, decimal_text
from ...sim.models import Fees
from .wire import Number

__all__ = ["Listed", "Listing", "Pair"]

_OLD = {
    "BTC": ("XXBT", "XBT"),
    "ETH": ("XETH", "ETH"),
    "XRP": ("XXRP", "XRP"),
    "LTC": ("XLTC", "LTC"),
    "XLM": ("XXLM", "XLM"),
    "XMR": ("XXMR", "XMR"),
    "ZEC": ("XZEC", "ZEC"),
    "ETC": ("XETC", "ETC"),
    "DOGE": ("XXDG", "XDG"),
    "MLN": ("XMLN", "MLN"),
    "REP": ("XREP", "REP"),
    "USD": ("ZUSD", "USD"),
    "EUR": ("ZEUR", "EUR"),
    "GBP": ("ZGBP", "GBP"),
    "CAD": ("ZCAD", "CAD"),
    "JPY": ("ZJPY", "JPY"),
    "AUD": ("ZAUD", "AUD"),
}
"""Id and altname of the assets that have an X or Z before them; all others are called by their code."""

_DECIMALS = {
    "USD": 4,
    "EUR": 4,
    "GBP": 4,
    "CAD": 4,
    "AUD": 4,
    "JPY": 2,
    "XRP": 8,
    "XLM": 8,
    "DOGE": 8,
    "USDT": 8,
    "USDC": 8,
    "ADA": 8,
    "XTZ": 8,
}
_MONEY = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY")
_USUAL_DECIMALS = 10

_SCHEDULE = (
    (0, "0.4", "0.25"),
    (10_000, "0.35", "0.2"),
    (50_000, "0.24", "0.14"),
    (100_000, "0.22", "0.12"),
    (250_000, "0.2", "0.1"),
    (500_000, "0.18", "0.08"),
    (1_000_000, "0.16", "0.06"),
    (2_500_000, "0.14", "0.04"),
    (5_000_000, "0.12", "0.02"),
    (10_000_000, "0.1", "0.0"),
)
"""Kraken's spot schedule of November 2025: 30-day volume in dollars, taker and maker fee in percent."""


@frozen
class Pair:
    """A pair to list: its WebSocket name, steps, least order, and the price at which it begins, all as plain text."""

    symbol: str
    tick: str = "0.01"
    lot: str = "0.00000001"
    ordermin: str = "0.001"
    costmin: str = "0.5"
    price: str = "100"


_COMMON = {
    pair.symbol: pair
    for pair in (
        Pair("BTC/USD", "0.1", ordermin="0.00005", price="100000"),
        Pair("BTC/EUR", "0.1", ordermin="0.00005", price="90000"),
        Pair("BTC/USDT", "0.1", ordermin="0.00005", price="100000"),
        Pair("BTC/USDC", "0.1", ordermin="0.00005", price="100000"),
        Pair("ETH/USD", "0.01", ordermin="0.002", price="2500"),
        Pair("ETH/EUR", "0.01", ordermin="0.002", price="2250"),
        Pair("ETH/USDT", "0.01", ordermin="0.002", price="2500"),
        Pair("ETH/USDC", "0.01", ordermin="0.002", price="2500"),
        Pair("ETH/BTC", "0.00001", ordermin="0.002", costmin="0.00002", price="0.025"),
        Pair("SOL/USD", "0.01", ordermin="0.02", price="150"),
        Pair("SOL/EUR", "0.01", ordermin="0.02", price="135"),
        Pair("SOL/USDC", "0.01", ordermin="0.02", price="150"),
        Pair("XRP/USD", "0.00001", ordermin="2", price="0.5"),
        Pair("ADA/USD", "0.000001", ordermin="8", price="0.4"),
        Pair("XTZ/USD", "0.0001", ordermin="3", price="0.7"),
        Pair("DOGE/USD", "0.0000001", ordermin="20", price="0.1"),
        Pair("USDT/USD", "0.00001", ordermin="5", price="1"),
        Pair("USDC/USD", "0.0001", ordermin="5", price="1"),
    )
}


@frozen
class Listed:
    """A listed pair: the instrument as the exchange counts it, and its names."""

    market: Instrument
    id: str
    altname: str
    wsname: str
    base_id: str
    quote_id: str
    lot_decimals: int
    cost_decimals: int
    begins: int
    """Its first price, in price units."""

    @property
    def symbol(self) -> str:
        """As WebSocket v2 says it: BTC/USD."""
        return self.market.symbol

    @property
    def pair_decimals(self) -> int:
        return self.market.price_scale

    def info(self, fees: Fees, status: str) -> dict[str, Any]:
        """An entry of AssetPairs."""
        market = self.market
        taker, maker = schedule(fees)
        return {
            "altname": self.altname,
            "wsname": self.wsname,
            "aclass_base": "currency",
            "base": self.base_id,
            "aclass_quote": "currency",
            "quote": self.quote_id,
            "lot": "unit",
            "cost_decimals": self.cost_decimals,
            "pair_decimals": self.pair_decimals,
            "lot_decimals": self.lot_decimals,
            "lot_multiplier": 1,
            "leverage_buy": [2, 3],
            "leverage_sell": [2, 3],
            "fees": taker,
            "fees_maker": maker,
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": market.min_qty,
            "costmin": market.min_notional,
            "tick_size": market.tick,
            "status": status,
            "long_position_limit": 250,
            "short_position_limit": 250,
            "execution_venue": "international",
        }


@frozen
class Listing:
    """All pairs and assets of one exchange, found by any of their names.

    `decimals` overrides how finely an asset is counted. Raises `InvalidMarket` for a pair that is not in the table and has no
    terms, for a lot that is no power of ten, and for two pairs of one name.
    """

    pairs: dict[str, Listed]
    """By id."""
    assets: dict[str, Asset]
    """By usual code."""
    _names: dict[str, Listed] = field(repr=False)

    @classmethod
    def of(
        cls, pairs: Iterable[str | Pair | Instrument], *, codes: Iterable[str] = (), decimals: Mapping[str, int] | None = None
    ) -> Listing:
        counted = dict(decimals or {})
        listed: dict[str, Listed] = {}
        names: dict[str, Listed] = {}
        assets: dict[str, Asset] = {}
        for given in pairs:
            one = _listed(given, counted)
            if one.id in listed:
                raise InvalidMarket(f"{one.symbol} is listed twice")
            listed[one.id] = one
            for asset in (one.market.base, one.market.quote):
                assets[asset.code] = asset
            for name in (one.id, one.altname, one.wsname, one.symbol, one.wsname.replace("/", "")):
                if names.setdefault(name, one) is not one:
                    raise InvalidMarket(f"{one.symbol} and {names[name].symbol} are both called {name}")
        for code in codes:
            assets.setdefault(code, _asset(code, counted))
        return cls(listed, assets, names)

    def pair(self, name: str) -> Listed | None:
        """A pair by its id, altname, wsname or WebSocket v2 symbol."""
        return self._names.get(name)

    def by_symbol(self, symbol: str) -> Listed:
        """A pair by the test's own name for it. Raises `InvalidMarket`."""
        found = self._names.get(symbol)
        if found is None:
            raise InvalidMarket(f"{symbol} is not listed here, only {', '.join(one.symbol for one in self.pairs.values())}")
        return found

    def code_of(self, name: str) -> str | None:
        """The usual code of an asset by its id, altname or code."""
        for code in self.assets:
            if name in (code, asset_id(code), altname(code)):
                return code
        return None

    def asset_info(self, code: str) -> dict[str, Any]:
        """An entry of Assets."""
        return {
            "aclass": "currency",
            "altname": altname(code),
            "decimals": self.assets[code].scale,
            "display_decimals": 2 if code in _MONEY else 5,
            "status": "enabled",
        }


def schedule(fees: Fees) -> tuple[list[list[Any]], list[list[Any]]]:
    """Taker and maker fees, each as rows of the least 30-day volume and percent: Kraken's where they are its entry fees, else one row."""
    if fees == Fees():
        return [[least, Number(rate)] for least, rate, _ in _SCHEDULE], [[least, Number(rate)] for least, _, rate in _SCHEDULE]
    return [[0, Number(decimal_text(fees.taker_ppm, 4))]], [[0, Number(decimal_text(fees.maker_ppm, 4))]]


def asset_id(code: str) -> str:
    """What Kraken calls an asset inside: XXBT, ZUSD, SOL."""
    return _OLD[code][0] if code in _OLD else code


def altname(code: str) -> str:
    """What Kraken calls it in names of pairs: XBT, USD, SOL."""
    return _OLD[code][1] if code in _OLD else code


def wallet_id(code: str, earning: bool) -> str:
    """The key of a wallet in Kraken's balances: XETH, or ETH.F for what earns."""
    return f"{altname(code)}.F" if earning else asset_id(code)


def _asset(code: str, decimals: Mapping[str, int]) -> Asset:
    return Asset(code, decimals.get(code, _DECIMALS.get(code, _USUAL_DECIMALS)))


def _listed(given: str | Pair | Instrument, decimals: Mapping[str, int]) -> Listed:
    begins = "100"
    if isinstance(given, Instrument):
        if given.kind is not Kind.SPOT:
            raise InvalidMarket(f"{given.symbol} is a perpetual: Kraken's spot exchange lists none")
        base, _, quote = given.symbol.partition("/")
        if (base, quote) != (given.base.code, given.quote.code):
            raise InvalidMarket(f"{given.symbol} must be called by its coins, {given.base.code}/{given.quote.code}")
        pair = Pair(given.symbol, given.tick, given.lot, given.min_qty, given.min_notional)
        begins = _COMMON[given.symbol].price if given.symbol in _COMMON else begins
    elif isinstance(given, Pair):
        pair, begins = given, given.price
    elif given in _COMMON:
        pair, begins = _COMMON[given], _COMMON[given].price
    else:
        raise InvalidMarket(f"{given} is not in the table of common pairs: give a Pair or an Instrument")
    base, _, quote = pair.symbol.partition("/")
    market = Instrument(
        pair.symbol,
        base=_asset(base, decimals),
        quote=_asset(quote, decimals),
        tick=pair.tick,
        lot=pair.lot,
        min_qty=pair.ordermin,
        min_notional=pair.costmin,
    )
    lot_decimals = market.base.scale - len(str(market.lot_units)) + 1
    if 10 ** (market.base.scale - lot_decimals) != market.lot_units or lot_decimals < 0:
        raise InvalidMarket(
            f"the lot {pair.lot} of {pair.symbol} must be a power of ten of at most one coin: Kraken knows lot decimals only"
        )
    old = base in _OLD and quote in _OLD
    name = altname(base) + altname(quote)
    return Listed(
        market,
        asset_id(base) + asset_id(quote) if old else name,
        name,
        f"{altname(base)}/{altname(quote)}",
        asset_id(base),
        asset_id(quote),
        lot_decimals,
        max(5, market.quote.scale),
        market.round_price(begins),
    )
