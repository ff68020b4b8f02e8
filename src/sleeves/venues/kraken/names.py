"""Kraken's names: what an asset, a wallet of it and a pair are called where, and the `Instrument` that a pair is.

Made from what `Assets` and `AssetPairs` say, and nothing is sliced: XXBT is BTC because Kraken lists it with the altname XBT, and
XTZ is XTZ. Results name a pair by its id (XETHZUSD), orders by its altname (ETHUSD), WebSocket v2 by its symbol (ETH/USD, with
BTC and DOGE where everything else says XBT and XDG); all of them are found here, and so is the wsname (XBT/USD).

It asks Kraken nothing, and knows neither prices nor orders.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from ...errors import InvalidAmount, InvalidMarket
from ...market import Instrument
from ...money import BTC, ETH, EUR, SOL, USD, USDC, USDT, Amount, Asset, decimal_text, parse_units

__all__ = ["CODES", "COUNTED", "WALLETS", "Names", "Pair", "Wallet", "code_of"]

CODES: Mapping[str, str] = {"XBT": "BTC", "XDG": "DOGE"}
"""Altnames of assets that WebSocket v2, and everybody else, calls otherwise."""

WALLETS: Mapping[str, str] = {
    "F": "earns automatically (Kraken Rewards)",
    "B": "yield products",
    "S": "staked",
    "M": "opt-in rewards",
    "P": "parachain",
    "T": "tokenised",
    "HOLD": "on hold",
}
"""Suffixes of balances, and what lies there. Kraken lets none of them be traded by its own name."""

COUNTED = frozenset({"", "F"})
"""The wallets that an order of the base asset can draw on: they are its balance. The others are shown apart."""

USUAL = {asset.code: asset for asset in (USD, EUR, USDC, USDT, BTC, ETH, SOL)}
_NUMBERED = re.compile(r"(.*[^0-9])[0-9]{2}")


def code_of(altname: str) -> str:
    """What an asset of that altname is called by everybody else: BTC for XBT."""
    return CODES.get(altname, altname)


@frozen
class Wallet:
    """Where coins of an asset lie: `suffix` is empty for the wallet that is traded from. `counted`: it is part of the balance that
    orders can draw on; `tradeable`: orders name it.
    """

    name: str
    asset: Asset
    suffix: str
    counted: bool
    tradeable: bool


@frozen
class Pair:
    """What Kraken lists. `status` is online, cancel_only, post_only, limit_only or reduce_only; fees are the first rows of the listed
    schedules in millionths, None where there are none, and the account's own are `TradeVolume`'s to say.
    """

    id: str
    altname: str
    wsname: str
    symbol: str
    base: str
    quote: str
    status: str
    pair_decimals: int
    lot_decimals: int
    cost_decimals: int
    taker_ppm: int | None
    maker_ppm: int | None
    _instrument: Instrument | str = field(repr=False)

    @property
    def instrument(self) -> Instrument:
        """The market. Raises `InvalidMarket` where Kraken lists what cannot be one here, with the reason."""
        if isinstance(self._instrument, str):
            raise InvalidMarket(f"pair {self.id} of Kraken: {self._instrument}")
        return self._instrument


class Names:
    """Looks names up. `assets` and `pairs` are the results of `Assets` and `AssetPairs`.

    An asset is that of `sleeves.money` where it counts at least as finely as Kraken does, else an `Asset` with Kraken's decimals.
    `override` says otherwise, by code (`{"BTC": Asset("BTC", 12)}`): finer is fine. `venue` is the name in the instruments.

    Raises `InvalidMarket` for an override that is coarser, has another code or is of no asset here, and for listings that are none.
    """

    def __init__(
        self,
        assets: Mapping[str, Mapping[str, Any]],
        pairs: Mapping[str, Mapping[str, Any]],
        *,
        venue: str = "kraken",
        override: Mapping[str, Asset] | None = None,
    ) -> None:
        self.venue = venue
        self._assets: dict[str, Asset] = {}
        self._wallets: dict[str, Wallet] = {}
        listed = {name: _altname(name, row) for name, row in _rows(assets, "Assets").items()}
        self._override = dict(override or {})
        known = {*listed, *listed.values()}
        for name, altname in listed.items():
            if _parts(name, known) is None:
                self._assets[name] = self._asset(name, altname, assets[name])
        for name, altname in listed.items():
            if name in self._assets:
                self._assets.setdefault(altname, self._assets[name])
                self._assets.setdefault(self._assets[name].code, self._assets[name])
        for code, asset in self._override.items():
            if self._assets.get(code) != asset:
                raise InvalidMarket(f"an asset was given for {code!r}, {asset!r}: Kraken lists no asset of that code")
        self._ids = tuple(name for name in listed if name in self._assets)
        self._pairs: dict[str, Pair] = {}
        self._listed = tuple(self._pair(name, row) for name, row in _rows(pairs, "AssetPairs").items())
        for names in zip(*((pair.id, pair.altname, pair.symbol, pair.wsname) for pair in self._listed), strict=True):
            for name, pair in zip(names, self._listed, strict=True):
                if name:
                    self._pairs.setdefault(name, pair)

    @property
    def assets(self) -> tuple[str, ...]:
        """The ids of all assets, wallets apart."""
        return self._ids

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs."""
        return self._listed

    def asset(self, name: str) -> Asset:
        """An asset by its id, altname or code. Raises `InvalidMarket` for what is none, a wallet too."""
        found = self._assets.get(name) if isinstance(name, str) else None
        if found is None:
            raise InvalidMarket(f"Kraken lists no asset {name!r}")
        return found

    def wallet(self, name: str) -> Wallet:
        """A wallet by the name that balances and ledgers have: ETH, XETH, ETH.F, SOL03.S.

        One with a suffix that is not known here is neither counted nor tradeable. Raises `InvalidMarket` where its asset is not known.
        """
        if name not in self._wallets:
            parts = _parts(name, self._assets) if isinstance(name, str) else None
            base, suffix = (name, "") if parts is None else parts
            asset = self.asset(base)
            self._wallets[name] = Wallet(name, asset, suffix, counted=suffix in COUNTED, tradeable=not suffix)
        return self._wallets[name]

    def amount(self, name: str, value: str | int | Decimal) -> Amount:
        """So much of the asset that lies in a wallet. Raises `InvalidAmount` for what is no exact number of its units."""
        return self.wallet(name).asset(value)

    def pair(self, name: str) -> Pair:
        """A pair by its id, altname, wsname or symbol. Raises `InvalidMarket` for what is none."""
        found = self._pairs.get(name) if isinstance(name, str) else None
        if found is None:
            raise InvalidMarket(f"Kraken lists no pair {name!r}")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._pairs

    def __repr__(self) -> str:
        return f"<Names {len(self._ids)} assets, {len(self._listed)} pairs of {self.venue}>"

    def _asset(self, name: str, altname: str, row: Mapping[str, Any]) -> Asset:
        code, decimals = code_of(altname), row.get("decimals")
        if type(decimals) is not int:
            raise InvalidMarket(f"asset {name} of Kraken: its decimals are {decimals!r}")
        given = self._override.get(code)
        if given is not None:
            if not isinstance(given, Asset) or given.code != code or given.scale < decimals:
                raise InvalidMarket(f"an asset for {code} has that code and at least Kraken's {decimals} decimals, not {given!r}")
            return given
        usual = USUAL.get(code)
        try:
            return usual if usual is not None and usual.scale >= decimals else Asset(code, decimals)
        except InvalidAmount as error:
            raise InvalidMarket(f"asset {name} of Kraken: {error}") from error

    def _pair(self, name: str, row: Mapping[str, Any]) -> Pair:
        altname = _altname(name, row)
        wsname = row.get("wsname") or ""
        base, quote = str(row.get("base", "")), str(row.get("quote", ""))
        symbol = "/".join(map(code_of, str(wsname).split("/"))) if wsname else ""
        if not symbol and base in self._assets and quote in self._assets and "." not in altname:
            symbol = f"{self._assets[base].code}/{self._assets[quote].code}"
        places = [row.get("pair_decimals"), row.get("lot_decimals", 8), row.get("cost_decimals", 5)]
        market: Instrument | str
        try:
            if any(type(number) is not int or not 0 <= number <= 18 for number in places):
                raise InvalidMarket(f"its decimals for price, lot and cost are {places}")
            market = Instrument(
                symbol or altname,
                base=self.asset(base),
                quote=self.asset(quote),
                tick=_text(row.get("tick_size") or _step(places[0])),
                lot=_step(places[1]),
                min_qty=_text(row.get("ordermin") or "0"),
                min_notional=_text(row.get("costmin") or "0"),
                venue=self.venue,
            )
        except (InvalidMarket, InvalidAmount) as error:
            market = str(error)
        pair_decimals, lot_decimals, cost_decimals = (number if type(number) is int else 0 for number in places)
        taker = _rate(row.get("fees"))
        maker = _rate(row.get("fees_maker"))
        return Pair(
            id=name,
            altname=altname,
            wsname=str(wsname),
            symbol=symbol,
            base=base,
            quote=quote,
            status=str(row.get("status", "online")),
            pair_decimals=pair_decimals,
            lot_decimals=lot_decimals,
            cost_decimals=cost_decimals,
            taker_ppm=taker,
            maker_ppm=taker if maker is None else maker,
            instrument=market,
        )


def _rows(table: object, what: str) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(table, Mapping) or not all(isinstance(name, str) and isinstance(row, Mapping) for name, row in table.items()):
        raise InvalidMarket(f"what Kraken gave as {what} is no table of rows by name")
    return table


def _altname(name: str, row: Mapping[str, Any]) -> str:
    altname = row.get("altname") or name
    if not isinstance(altname, str):
        raise InvalidMarket(f"{name} of Kraken: its altname is {altname!r}")
    return altname


def _parts(name: str, known: Container[str]) -> tuple[str, str] | None:
    """A wallet's name as asset and suffix: ETH.F, and SOL03.S, where two digits name a product; None for an asset's own name."""
    base, dot, suffix = name.rpartition(".")
    if not dot or not base:
        return None
    if base in known:
        return base, suffix
    numbered = _NUMBERED.fullmatch(base)
    if numbered is not None and numbered.group(1) in known:
        return numbered.group(1), suffix
    return None


def _step(decimals: int) -> str:
    return decimal_text(1, decimals)


def _text(value: object) -> str | int | Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InvalidMarket(f"{value!r} is no step")
    return value


def _rate(schedule: object) -> int | None:
    """The first row of a fee schedule, [[volume, percent], ...], in millionths; negative for a rebate. None where there is none."""
    if not isinstance(schedule, list) or not schedule or not isinstance(schedule[0], list) or len(schedule[0]) < 2:
        return None
    percent = schedule[0][1]
    try:
        return parse_units(percent, 4, "a fee in percent")  # 0.0001 % is one millionth
    except InvalidAmount:
        return None
