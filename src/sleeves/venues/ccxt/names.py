"""What an exchange's markets are called and how finely they count: ccxt's markets as instruments, its codes as assets.

An amount or a price is read from text, exactly, or refused with its name: what ccxt made of it by a float is not taken for
money. Symbols are ccxt's, "ETH/USD" for coins and "ETH/USDC:USDC" for a perpetual that is quoted and settled in one coin. Other
contracts (inverse ones, dated ones, options) are refused by name.

This module asks nobody: it is given what `load_markets` found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Context, Decimal
from typing import Any

from ...errors import InvalidAmount, InvalidMarket
from ...market import BP, HOUR, Instrument, Kind, Perpetual
from ...money import BTC, ETH, EUR, PPM, SOL, USD, USDC, USDT, Amount, Asset, Rounding, divide, parse_units
from .manners import Lines, Manner, Realized

__all__ = ["Names", "exact", "seen"]

HOUSE: Mapping[str, Asset] = {asset.code: asset for asset in (USD, EUR, USDC, USDT, BTC, ETH, SOL)}
UNKNOWN_DECIMALS = 8
"""How finely a coin is taken to be counted where nobody says."""

_TICK_SIZE, _DECIMAL_PLACES = 4, 2
_WIDE = Context(prec=150)
"""Room for every digit of a product: the usual 28 would round some."""
_CODE = re.compile(r"[^A-Za-z0-9._-]")


def exact(value: object, what: str) -> Decimal:
    """A number that ccxt hands on, from text or a whole number. Raises `InvalidAmount`, for a float too."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InvalidAmount(f"{what} {value!r} is no exact number")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise InvalidAmount(f"{what} {str(value)[:40]!r} is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise InvalidAmount(f"{what} {str(value)[:40]!r} is not a finite number of usual size")
    return number


def seen(value: object, what: str) -> Decimal:
    """A number that moves no money, a price of a book or a term of a market: ccxt may have made a float of it, read as it is shown."""
    return exact(repr(value) if isinstance(value, float) else value, what)


def _given(value: object) -> Decimal | None:
    """A term of a market; None for none."""
    return None if value is None or value == "" else seen(value, "term of a market")


class Names:
    """The markets of one exchange. `assets` overrides how coins are counted, `given` are instruments to take as they stand."""

    def __init__(
        self,
        markets: Mapping[str, Mapping[str, Any]],
        currencies: Mapping[str, Mapping[str, Any]],
        *,
        mode: int,
        manner: Manner,
        venue: str,
        exchange: str,
        says_currencies: bool = False,
        assets: Mapping[str, Asset] | None = None,
        given: Iterable[Instrument] = (),
    ) -> None:
        self.venue = venue
        self._exchange = exchange
        self._markets = markets
        self._currencies = currencies
        self._mode = mode
        self._manner = manner
        self._says_currencies = says_currencies
        self._lots: dict[str, int] = {}
        self._quotes: dict[str, int] = {}
        self._products: dict[str, int] = {}
        self._by_id = {str(market.get("id")).lower(): symbol for symbol, market in markets.items() if market.get("swap")}
        for market in markets.values():
            with suppress(InvalidMarket, InvalidAmount):  # one that cannot be counted is refused when it is asked for
                self._note(market)
        self._assets: dict[str, Asset] = {}
        self._instruments: dict[str, Instrument] = {}
        for code, asset in (assets or {}).items():
            self._override(code, asset, "assets")
        taken = list(given)
        for instrument in taken:
            for asset in (instrument.base, instrument.quote):
                self._override(asset.code, asset, instrument.symbol)
        for instrument in taken:
            self._instruments[instrument.symbol] = self._as_given(instrument)

    # -- assets ------------------------------------------------------------------------------------------------------

    def asset(self, code: str) -> Asset:
        """How a coin is counted here: as this library does where that is fine enough, else as the exchange does."""
        known = self._assets.get(code)
        if known is None:
            decimals, house = self.decimals(code), HOUSE.get(code)
            known = house if house is not None and house.scale >= decimals else Asset(_CODE.sub("_", code)[:16], decimals)
            self._assets[code] = known
        return known

    def decimals(self, code: str) -> int:
        """How many decimal places the exchange counts a coin with, as far as it says."""
        found = [self._lots.get(code, 0)]
        said = (self._currencies.get(code) or {}).get("precision")
        currency = self._places(said) if said is not None else None
        if currency is not None and self._says_currencies:
            found.append(currency)
        else:
            found.append(max(UNKNOWN_DECIMALS if code in self._quotes or code not in self._lots else 0, currency or 0))
        settles = self._manner.decimals.get("*", 0) if code in self._quotes else 0
        if self._manner.lines is Lines.TRADES:  # no ledger says how its money is rounded: as finely as a trade can be
            settles = max(settles, min(18, self._products.get(code, 0)))
        return max(*found, self._quotes.get(code, 0), self._manner.decimals.get(code, settles))

    def amount(self, code: str, value: object, what: str) -> Amount:
        """An exact amount of a coin. Raises `InvalidAmount` where it is finer than the coin is counted here."""
        asset = self.asset(code)
        return Amount(parse_units(exact(value, what), asset.scale, f"{what} in {code}"), asset)

    def wallet(self, code: str) -> str | None:
        """The coin that a wallet's code belongs to; None for a wallet that is not counted."""
        for suffix in self._manner.counted:
            if code.endswith(suffix):
                return code[: -len(suffix)]
        return None if "." in code and self._manner.counted else code

    def _override(self, code: str, asset: Asset, where: str) -> None:
        if not isinstance(asset, Asset):
            raise InvalidMarket(f"{where}: {code} is an Asset, not {asset!r}")
        if asset.scale < (least := self.decimals(code)):
            raise InvalidMarket(f"{where}: {code} with {asset.scale} decimal places is coarser than {self._exchange} counts it, {least}")
        if self._assets.setdefault(code, asset) != asset:
            raise InvalidMarket(f"{where}: {code} with {asset.scale} decimal places, and with {self._assets[code].scale} elsewhere")

    # -- instruments -------------------------------------------------------------------------------------------------

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and symbol in self._markets

    def market(self, symbol: str) -> Mapping[str, Any]:
        """ccxt's market. Raises `InvalidMarket` for a symbol that the exchange does not have."""
        if symbol not in self._markets:
            raise InvalidMarket(f"{self._exchange} has no market {symbol!r}, as ccxt names them")
        return self._markets[symbol]

    def instrument(self, symbol: str) -> Instrument:
        """A market as an instrument. Raises `InvalidMarket`, by name, for one that cannot be traded through this driver."""
        known = self._instruments.get(symbol)
        if known is None:
            known = self._instruments[symbol] = self._made(symbol)
        return known

    def symbol_of(self, market_id: str) -> str | None:
        """The symbol of a contract by the exchange's own id of it, in lower case; None for none."""
        return self._by_id.get(market_id)

    def per_contract(self, symbol: str) -> Decimal:
        """How many base coins ccxt's unit of an amount is: of a contract, its size."""
        market = self.market(symbol)
        size = _given(market.get("contractSize")) if market.get("contract") else None
        return Decimal(1) if size is None else size

    def qty(self, instrument: Instrument, contracts: object, what: str) -> int:
        """ccxt's amount in base units. Raises `InvalidAmount` where it is no whole number of them."""
        coins = _WIDE.multiply(exact(contracts, what), self.per_contract(instrument.symbol))
        return parse_units(coins, instrument.base.scale, f"{what} of {instrument}")

    def contracts(self, instrument: Instrument, qty: int) -> str:
        """Base units as ccxt's amount, in plain text."""
        coins = Decimal(qty).scaleb(-instrument.base.scale, _WIDE)
        return format(_WIDE.divide(coins, self.per_contract(instrument.symbol)).normalize(_WIDE), "f")

    def _made(self, symbol: str) -> Instrument:
        market = self.market(symbol)
        kind = self._kind(symbol, market)
        precision, limits = market.get("precision") or {}, market.get("limits") or {}
        tick, lot = self._step(precision.get("price")), self._step(precision.get("amount"))
        if tick is None or lot is None:
            raise InvalidMarket(f"{symbol} of {self._exchange}: its steps of price and amount are not known")
        own = _given((market.get("info") or {}).get("tick_size")) if isinstance(market.get("info"), Mapping) else None
        size = self.per_contract(symbol)
        least_qty, least_cost = (_given((limits.get(what) or {}).get("min")) for what in ("amount", "cost"))
        return Instrument(
            symbol,
            base=self.asset(str(market["base"])),
            quote=self.asset(str(market["quote"])),
            tick=_plain(max(tick, own or tick)),
            lot=_plain(lot * size),
            min_qty=_plain((least_qty or Decimal(0)) * size),
            min_notional=_plain(least_cost or Decimal(0)),
            kind=kind,
            venue=self.venue,
            contract=self._terms(limits) if kind is Kind.PERP else None,
        )

    def _kind(self, symbol: str, market: Mapping[str, Any]) -> Kind:
        if market.get("spot"):
            return Kind.SPOT
        what = f"{symbol} of {self._exchange}"
        if market.get("inverse"):
            raise InvalidMarket(f"{what} is an inverse contract, settled in what it is a contract on: only linear ones are handled")
        if not market.get("swap") or not market.get("linear") or market.get("settle") != market.get("quote"):
            raise InvalidMarket(f"{what} is of type {market.get('type')!r}: only coins and linear perpetuals are handled")
        if self._manner.realized is Realized.NOBODY:
            hint = "hand in a Manner that says so, or trade its coins only"
            raise InvalidMarket(f"{what} is a contract, and how this exchange books their profit is not known here: {hint}")
        return Kind.PERP

    def _terms(self, limits: Mapping[str, Any]) -> Perpetual:
        """Terms for margin: at most ten times, or what the exchange allows where that is less; half of it to keep."""
        most = _given((limits.get("leverage") or {}).get("max"))
        over, part = (most or Decimal(10)).as_integer_ratio()
        initial = 1_000 if over < part else min(BP, max(1_000, divide(BP * part, over, Rounding.CEIL)))
        maintenance = initial // 2
        return Perpetual(
            initial_bp=initial,
            maintenance_bp=maintenance,
            liquidation_fee_ppm=min(10_000, maintenance * PPM // BP - 1),
            funding_every=self._manner.funding_every or 8 * HOUR,
        )

    def _as_given(self, given: Instrument) -> Instrument:
        """An instrument of the caller's own, where it stands for the market as it is."""
        own = self._made(given.symbol)
        same = given.kind is own.kind and (given.base.code, given.quote.code) == (own.base.code, own.quote.code)
        steps = (Decimal(given.tick) % Decimal(own.tick), Decimal(given.lot) % Decimal(own.lot))
        if not same or any(steps) or given.venue not in ("", self.venue):
            raise InvalidMarket(f"{given!r} is not what {self._exchange} trades as {given.symbol}: {own!r}")
        return given

    # -- steps -------------------------------------------------------------------------------------------------------

    def _note(self, market: Mapping[str, Any]) -> None:
        """How finely a market makes its coins count."""
        if not market.get("spot") and not (market.get("swap") and market.get("linear")):
            return
        precision = market.get("precision") or {}
        lot, size = self._step(precision.get("amount")), _given(market.get("contractSize")) if market.get("contract") else None
        if lot is not None:
            places = _decimals(lot * (size or 1))
            base = str(market.get("base"))
            self._lots[base] = max(self._lots.get(base, 0), places)
        quote = str(market.get("quote"))
        said = self._step(precision.get("quote"))
        self._quotes[quote] = max(self._quotes.get(quote, 0), _decimals(said) if said is not None else 0)
        tick = self._step(precision.get("price"))
        if tick is not None and lot is not None:
            self._products[quote] = max(self._products.get(quote, 0), _decimals(tick) + _decimals(lot))

    def _step(self, value: object) -> Decimal | None:
        """A step of price or amount, in the exchange's way of saying it; None for none."""
        number = _given(value)
        if number is None or number < 0:
            return None
        if self._mode == _TICK_SIZE:
            return number if number > 0 else None
        if self._mode == _DECIMAL_PLACES and number == number.to_integral_value() and number <= 30:
            return Decimal(1).scaleb(-int(number))
        raise InvalidMarket(f"{self._exchange} counts prices by significant digits, which no fixed step stands for")

    def _places(self, value: object) -> int | None:
        step = self._step(value)
        return None if step is None else _decimals(step)


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


def _decimals(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))
