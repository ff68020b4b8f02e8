"""The ccxt driver on a shape, in step: a row of the market is played, the driver asks once, and what it told is handed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from attrs import frozen
from ccxt_binance import Binance
from ccxt_futures import KEY as FUTURES_KEY
from ccxt_futures import SECRET as FUTURES_SECRET
from ccxt_futures import Futures
from ccxt_house import FEES, KEY, SECRET, House
from ccxt_hyperliquid import ADDRESS, PRIVATE, Hyperliquid

from sleeves import ETH, Asset, Instrument
from sleeves.keys import KeySet, Rights, Secret
from sleeves.market import Kind, Quote
from sleeves.orders import Event
from sleeves.sim.exchange import Step
from sleeves.sim.models import Fees
from sleeves.testing import Feature, Offer, Script
from sleeves.testing.serving import Server
from sleeves.venues.ccxt import Ccxt


def _perp(symbol: str, quote: Asset, venue: str, lot: str = "0.001", tick: str = "0.01") -> Instrument:
    return Instrument(symbol, base=ETH, quote=quote, tick=tick, lot=lot, min_qty="0.002", min_notional="5", kind=Kind.PERP, venue=venue)


@frozen
class Shape:
    """One exchange's shape: what it is to ccxt, its market, its key, and what of the kit it has."""

    id: str
    server: Any
    market: Instrument
    key: tuple[str, str]
    features: frozenset[Feature]
    fees: Fees = FEES

    def keys(self) -> KeySet:
        api, secret = self.key
        rights = Rights.of("read", "trade", addresses=["127.0.0.1"])
        return KeySet("kit", venue=self.id, api_key=Secret(api), secret=Secret(secret), rights=rights)

    @property
    def offer(self) -> Offer:
        return Offer(
            perp=self.market if self.market.contract is not None else None,
            spot=self.market if self.market.contract is None else None,
            maker_ppm=self.fees.maker_ppm,
            taker_ppm=self.fees.taker_ppm,
            price="2000",
            features=self.features,
            break_connection=lambda venue: venue.stop(),
        )


ALL = frozenset(
    {Feature.RESTING, Feature.PARTIAL, Feature.POST_ONLY, Feature.REDUCE_ONLY, Feature.FILL_OR_KILL, Feature.FUNDING, Feature.IN_STEP}
)
FEW = ALL - {Feature.FILL_OR_KILL}

SHAPES: Mapping[str, Shape] = {
    "binanceusdm": Shape(
        "binanceusdm",
        lambda house: Binance(house, futures=True),
        _perp("ETH/USDT:USDT", Asset("USDT", 8), "binanceusdm"),
        (KEY, SECRET),
        ALL,
    ),
    "binance": Shape(
        "binance",
        lambda house: Binance(house, futures=False),
        Instrument(
            "ETH/USDT", base=ETH, quote=Asset("USDT", 8), tick="0.01", lot="0.001", min_qty="0.002", min_notional="5", venue="binance"
        ),
        (KEY, SECRET),
        ALL - {Feature.FUNDING},
    ),
    "krakenfutures": Shape(
        "krakenfutures",
        Futures,
        _perp("ETH/USD:USD", Asset("USD", 14), "krakenfutures"),
        (FUTURES_KEY, FUTURES_SECRET),
        FEW - {Feature.FUNDING},
    ),
    "hyperliquid": Shape(
        "hyperliquid",
        Hyperliquid,
        _perp("ETH/USDC:USDC", Asset("USDC", 8), "hyperliquid", tick="0.1"),
        (ADDRESS, PRIVATE),
        FEW - {Feature.FUNDING},
    ),
}


class InStep:
    """A driver on a shape."""

    def __init__(self, shape: Shape, script: Script, **more: Any) -> None:
        self.house = House(script, fees=shape.fees, deposited=more.pop("deposited", False))
        self.shape = shape.server(self.house)
        self.server = Server(self.shape.app)
        url = self.server.start()
        terms = {"poll": None, "clock": lambda: self.house.now, "news_every": 0, "flat_at": self.house.now} | more
        self.venue = Ccxt(shape.id, [script.instrument], keys=shape.keys(), config=self.shape.config(url), **terms)
        self.last: Step | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)

    async def __aenter__(self) -> InStep:
        await self.venue.aopen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def stop(self) -> None:
        self.server.stop()

    async def step(self) -> list[Event]:
        """One step of the market, one round of asking, and all that was told then."""
        self.last = self.house.step()
        return await self.asked()

    async def asked(self) -> list[Event]:
        await self.venue.polled()
        return await self.said()

    async def said(self) -> list[Event]:
        async with aclosing(self.venue.events()) as stream:
            return [await anext(stream) for _ in range(self.venue.waiting)]

    async def events(self) -> AsyncGenerator[Event]:
        async with aclosing(self.venue.events()) as stream:
            while (step := self.house.step()) is not None:
                await self.venue.polled()
                while self.venue.waiting:
                    event = await anext(stream)
                    if step.price or not isinstance(event, Quote):
                        yield event
            await self.venue.polled()
            while self.venue.waiting:
                event = await anext(stream)
                if not isinstance(event, Quote):
                    yield event

    async def aclose(self) -> None:
        await self.venue.aclose()
        self.server.stop()
