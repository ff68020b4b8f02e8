"""Markets of the program as instruments, and its whole numbers as ours: exact both ways, or refused.

    coin        a spot market: `Coin`, its asset counted in the mint's own decimals
    perpetual   a perp market: `Perp`; each sub-account trades it under a symbol of its own, "SOL-PERP:2"

The program counts base in 1e9, prices and quote in 1e6. A base asset here has nine places and the quote coin six, so quantities and
money are the same numbers on both sides; a price has the places of its market's tick. A price that does not lie on our scale is
refused where it is an order's, and rounded only where its caller says how.

It asks nobody: it is handed the accounts. What margin they leave is `risk`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field, frozen

from ...errors import InvalidAmount, InvalidMarket, VenueRejected, VenueUnavailable
from ...market import SECOND, Instrument, Kind, Perpetual
from ...money import Amount, Asset, Rounding, decimal_text, divide
from .accounts import PerpMarket, SpotMarket
from .deployment import Deployment
from .words import ContractKind, MarketStatus

__all__ = [
    "BASE_SCALE",
    "PRICE_SCALE",
    "QUOTE_SCALE",
    "Coin",
    "Markets",
    "Perp",
    "UnknownMarket",
    "asset_of",
    "average_price",
    "funding_ppb",
    "near_price",
    "our_price",
    "perpetual",
    "program_price",
]

BASE_SCALE = 9
"""Decimal places in which the program counts base amounts of perpetuals."""
PRICE_SCALE = 6
"""Decimal places of its prices."""
QUOTE_SCALE = 6
"""Decimal places of its quote amounts."""

_OPEN = frozenset({MarketStatus.ACTIVE, MarketStatus.FUNDING_PAUSED, MarketStatus.AMM_PAUSED, MarketStatus.WITHDRAW_PAUSED})
"""What a market may be for a new order; the last three are of old deployments and stop something else."""


class UnknownMarket(VenueUnavailable):
    """A market was named whose account has not been read yet: `perp` says of which kind, `index` which."""

    def __init__(self, perp: bool, index: int) -> None:
        super().__init__(f"the {'perp' if perp else 'spot'} market {index} has not been read")
        self.perp = perp
        self.index = index


@frozen(order=False)
class Coin:
    """A coin of the exchange: its spot market's number, what it is here, and its mint. The asset counts as finely as the mint."""

    index: int
    asset: Asset
    mint: str

    @classmethod
    def of(cls, deployment: Deployment, market: SpotMarket) -> Coin:
        """The coin of a spot market. The quote market is the deployment's own quote coin.

        Raises `InvalidMarket` where the quote market has another mint or other decimals than declared, or a name is no code.
        """
        quote = deployment.quote
        if market.index == quote.market:
            if market.mint != quote.mint:
                raise InvalidMarket(f"spot market {market.index} of {deployment.name} is {market.mint}, not the quote coin {quote.mint}")
            if not market.decimals == quote.asset.scale == QUOTE_SCALE:
                told = f"{market.decimals} decimals, and {quote.asset} is counted here in {quote.asset.scale}"
                raise InvalidMarket(f"the quote coin of {deployment.name} has {told}: need {QUOTE_SCALE} in both")
            return cls(market.index, quote.asset, market.mint)
        try:
            asset = Asset(market.name.strip(), market.decimals)
        except InvalidAmount as error:
            raise InvalidMarket(f"spot market {market.index} of {deployment.name}: {error}") from None
        if asset.code == quote.asset.code:
            raise InvalidMarket(f"spot market {market.index} of {deployment.name} is called {asset}, as the quote coin is")
        return cls(market.index, asset, market.mint)

    def amount(self, tokens: int) -> Amount:
        """Token units as an amount."""
        return Amount(tokens, self.asset)

    def tokens(self, amount: Amount) -> int:
        """An amount in token units. Raises `InvalidMarket` for another asset."""
        if amount.asset != self.asset:
            raise InvalidMarket(f"{amount} is not of {self.asset} with {self.asset.scale} decimal places")
        return amount.units


@frozen(order=False)
class Perp:
    """A perpetual of the exchange: what is the same in every sub-account. `step` and `min_size` are base units, `tick` is 1e6."""

    index: int
    name: str
    base: Asset
    quote: Asset
    tick: int
    step: int
    min_size: int
    contract: Perpetual
    status: MarketStatus
    venue: str
    _instruments: dict[int, Instrument] = field(factory=dict, init=False, eq=False, repr=False)

    @classmethod
    def of(cls, deployment: Deployment, market: PerpMarket) -> Perp:
        """The perpetual of a perp market, with its terms as they are now.

        Raises `InvalidMarket` for what is no perpetual, or is settled in another coin, or has terms that cannot be.
        """
        where = f"perp market {market.index} of {deployment.name}"
        name = market.name.strip()
        code = name.removesuffix("-PERP")
        if market.kind is not ContractKind.PERPETUAL or code == name:
            raise InvalidMarket(f"{where}, {name!r}, is no perpetual: its kind is {market.kind.value}, and its name must end in -PERP")
        if market.quote_market != deployment.quote.market:
            raise InvalidMarket(f"{where} is settled in spot market {market.quote_market}, not in {deployment.quote.market}")
        if deployment.quote.asset.scale != QUOTE_SCALE:
            raise InvalidMarket(f"{deployment.quote.asset} of {deployment.name} must be counted in {QUOTE_SCALE} decimal places")
        if market.tick <= 0 or market.step <= 0 or market.min_size < 0 or market.funding_period <= 0:
            steps = f"tick {market.tick}, step {market.step}, least size {market.min_size}, funding period {market.funding_period}"
            raise InvalidMarket(f"{where} has {steps}: need a tick, a step and a period above zero")
        try:
            base = Asset(code, BASE_SCALE)
        except InvalidAmount as error:
            raise InvalidMarket(f"{where}: {error}") from None
        contract = Perpetual(
            initial_bp=market.initial_ratio,
            maintenance_bp=market.maintenance_ratio,
            imf=market.imf,
            gain_initial_bp=market.pnl_weight_initial,
            gain_maintenance_bp=market.pnl_weight_maintenance,
            gain_imf=market.pnl_imf,
            liquidation_fee_ppm=market.liquidator_fee + market.insurance_liquidation_fee,
            funding_every=market.funding_period * SECOND,
        )
        return cls(
            market.index,
            name,
            base,
            deployment.quote.asset,
            market.tick,
            market.step,
            market.min_size,
            contract,
            market.status,
            deployment.name,
        )

    def instrument(self, sub: int) -> Instrument:
        """This perpetual as it is traded in a sub-account: "SOL-PERP:2"."""
        if type(sub) is not int or not 0 <= sub <= 0xFFFF:
            raise InvalidMarket(f"sub-account {sub!r} must be a whole number from 0 to 65535")
        known = self._instruments.get(sub)
        if known is None:
            known = self._instruments[sub] = Instrument(
                f"{self.name}:{sub}",
                base=self.base,
                quote=self.quote,
                tick=decimal_text(self.tick, PRICE_SCALE),
                lot=decimal_text(self.step, BASE_SCALE),
                min_qty=decimal_text(self.min_size, BASE_SCALE),
                kind=Kind.PERP,
                venue=self.venue,
                contract=self.contract,
            )
        return known

    def check_open(self, *, reduces: bool) -> None:
        """That an order may be placed here now: any in an active market, in a reduce-only one what reduces. Raises `VenueRejected`."""
        if self.status in _OPEN or (self.status is MarketStatus.REDUCE_ONLY and reduces):
            return
        only = "takes only orders that reduce" if self.status is MarketStatus.REDUCE_ONLY else "takes no orders"
        raise VenueRejected(f"{self.name} of {self.venue} is {self.status.value}: it {only}")


@define(eq=False)
class Markets:
    """The markets of a deployment that were read so far, by number and by name."""

    deployment: Deployment
    _coins: dict[int, Coin] = field(factory=dict, init=False)
    _perps: dict[int, Perp] = field(factory=dict, init=False)

    def add(self, market: SpotMarket | PerpMarket) -> Coin | Perp:
        """Take a market in, or its newer terms. Raises `InvalidMarket`, also where two markets have one name.

        Newer terms of a perpetual make other instruments: a driver reads them once and holds on to them while it runs.
        """
        if isinstance(market, SpotMarket):
            coin = Coin.of(self.deployment, market)
            same = next((one for one in self._coins.values() if one.index != coin.index and one.asset.code == coin.asset.code), None)
            if same is not None:
                raise InvalidMarket(f"spot markets {same.index} and {coin.index} of {self.deployment.name} are both called {coin.asset}")
            self._coins[coin.index] = coin
            return coin
        perp = Perp.of(self.deployment, market)
        if any(one.index != perp.index and one.name == perp.name for one in self._perps.values()):
            raise InvalidMarket(f"two perp markets of {self.deployment.name} are called {perp.name}")
        self._perps[perp.index] = perp
        return perp

    def coin(self, index: int) -> Coin:
        """A coin by its spot market's number. Raises `UnknownMarket`."""
        found = self._coins.get(index)
        if found is None:
            raise UnknownMarket(False, index)
        return found

    def perp(self, index: int) -> Perp:
        """A perpetual by its market's number. Raises `UnknownMarket`."""
        found = self._perps.get(index)
        if found is None:
            raise UnknownMarket(True, index)
        return found

    @property
    def quote(self) -> Coin:
        """The coin that everything is settled in. Raises `UnknownMarket` before its market was read."""
        return self.coin(self.deployment.quote.market)

    def coins(self) -> Iterator[Coin]:
        """Those that were read, by number."""
        return iter([self._coins[index] for index in sorted(self._coins)])

    def perps(self) -> Iterator[Perp]:
        """Those that were read, by number."""
        return iter([self._perps[index] for index in sorted(self._perps)])

    def coin_of(self, asset: Asset) -> Coin:
        """The coin that an asset is. Raises `InvalidMarket` for one that is not known here."""
        found = next((one for one in self._coins.values() if one.asset == asset), None)
        if found is None:
            raise InvalidMarket(f"{asset} with {asset.scale} decimal places is no coin of {self.deployment.name}")
        return found

    def instrument(self, index: int, sub: int) -> Instrument:
        """A perpetual in a sub-account. Raises `UnknownMarket`."""
        return self.perp(index).instrument(sub)

    def find(self, symbol: str) -> tuple[Perp, int]:
        """What a symbol names: "SOL-PERP:2" is the perpetual SOL-PERP in sub-account 2. Raises `InvalidMarket` for another."""
        name, colon, number = symbol.rpartition(":")
        perp = next((one for one in self._perps.values() if one.name == name), None)
        if perp is None or not colon or not (number.isascii() and number.isdigit()) or str(int(number)) != number:
            raise InvalidMarket(f"{symbol!r} is no perpetual of {self.deployment.name} with the number of a sub-account, as SOL-PERP:0")
        return perp, perp.instrument(int(number)).account or 0

    def perp_of(self, instrument: Instrument) -> tuple[Perp, int]:
        """The perpetual and the sub-account that an instrument stands for. Raises `InvalidMarket` where its terms are not ours."""
        perp, sub = self.find(instrument.symbol)
        ours = perp.instrument(sub)
        if (instrument.venue, instrument.base, instrument.quote, instrument.tick_units, instrument.lot_units, instrument.price_scale) != (
            ours.venue,
            ours.base,
            ours.quote,
            ours.tick_units,
            ours.lot_units,
            ours.price_scale,
        ):
            raise InvalidMarket(f"{instrument.symbol} is not on these terms at {self.deployment.name}: {instrument!r}, there {ours!r}")
        return perp, sub


def asset_of(deployment: Deployment, market: SpotMarket) -> Asset:
    """What a spot market's coin is here. Raises `InvalidMarket` as `Coin.of` does."""
    return Coin.of(deployment, market).asset


def perpetual(deployment: Deployment, market: PerpMarket, sub: int) -> Instrument:
    """A perp market as it is traded in a sub-account, "SOL-PERP:2", on its terms of now. Raises `InvalidMarket` as `Perp.of` does."""
    return Perp.of(deployment, market).instrument(sub)


# -- prices ------------------------------------------------------------------------------------------------------------------


def program_price(instrument: Instrument, price: int) -> int:
    """A price of ours as the program's (1e6), exactly: a tick is never finer than the program counts."""
    if price <= 0 or instrument.price_scale > PRICE_SCALE:
        raise InvalidMarket(f"price {price} of {instrument} must be above zero, in at most {PRICE_SCALE} decimal places")
    return int(price * 10 ** (PRICE_SCALE - instrument.price_scale))


def our_price(instrument: Instrument, price: int) -> int:
    """A price of the program's (1e6) as ours. Raises `InvalidMarket` where it lies between two of ours."""
    units, rest = divmod(price, 10 ** (PRICE_SCALE - instrument.price_scale))
    if rest or units <= 0:
        raise InvalidMarket(f"the program's price {price} is none of {instrument}, which counts {instrument.price_scale} decimal places")
    return int(units)


def near_price(instrument: Instrument, price: int, rounding: Rounding = Rounding.HALF_EVEN) -> int:
    """A price of the program's (1e6), such as an oracle's, in our units as rounded; at least one. For marks, not for orders."""
    if price <= 0:
        raise InvalidMarket(f"the price {price} of {instrument} must be above zero")
    return max(1, divide(price, int(10 ** (PRICE_SCALE - instrument.price_scale)), rounding))


def average_price(instrument: Instrument, qty: int, cost: int, *, buys: bool) -> int:
    """What `cost` for `qty` comes to, on the side on which both still bear it out; at least one price unit."""
    times, over = instrument.ratio
    return max(1, divide(cost * over, qty * times, Rounding.FLOOR if buys else Rounding.CEIL))


def funding_ppb(per_base: int, price: int) -> int:
    """Funding in quote per base coin (1e9) as parts per billion of notional at a price (1e6), half-even.

    The program's own figure is money per coin: taken for a ratio it would be off by the price.
    """
    if price <= 0:
        raise InvalidMarket(f"funding of {per_base} per coin is no part of a notional at the price {price}")
    return divide(per_base * 10**PRICE_SCALE, price, Rounding.HALF_EVEN)
