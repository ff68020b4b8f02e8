"""The promises of a venue, kept by the ccxt driver on the local Kraken: an unmodified ccxt over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

from sleeves import ETH, USD, Instrument
from sleeves.keys import KeySet, Rights, Secret
from sleeves.market import Quote
from sleeves.orders import Event
from sleeves.sim import Rules, Slippage
from sleeves.testing import Feature, Offer, Script, venue_suite
from sleeves.testing.kraken_server import KrakenServer, kraken_server
from sleeves.venues.ccxt import Ccxt

MARKET = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.01", min_qty="0.02", min_notional="0.5", venue="kraken")
"""Coarser steps than Kraken's own, so that price times quantity is a whole number of what its ledger counts."""

RULES = Rules.of(slippage=Slippage.none(), participation="100%")


class InStep:
    """The driver, and the server that plays a script: a row, a round of asking, and what was told."""

    def __init__(self, server: KrakenServer, venue: Ccxt) -> None:
        self.server, self.venue = server, venue

    def __getattr__(self, name: str) -> object:
        return getattr(self.venue, name)

    async def events(self) -> AsyncGenerator[Event]:
        async with aclosing(self.venue.events()) as stream:
            while (step := self.server.step()) is not None:
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


async def make_venue(script: Script) -> InStep:
    server = kraken_server(pairs=[script.instrument], script=script, tier=None, rules=RULES)
    server.__enter__()
    key = KeySet(
        "kit",
        venue="kraken",
        api_key=Secret(server.key.api_key),
        secret=Secret(server.key.secret),
        rights=Rights.of("read", "trade", addresses=["127.0.0.1"]),
    )
    venue = Ccxt(
        "kraken",
        [script.instrument],
        keys=key,
        config={"enableRateLimit": False, "urls": {"api": {"public": server.url, "private": server.url}}},
        poll=None,
        clock=lambda: server.now,
    )
    await venue.aopen()
    return InStep(server, venue)


OFFER = Offer(
    spot=MARKET,
    maker_ppm=2_500,
    taker_ppm=4_000,
    price="2000",
    fee_step=100,
    features={
        Feature.RESTING,
        Feature.PARTIAL,
        Feature.POST_ONLY,
        Feature.REDUCE_ONLY,
        Feature.FILL_OR_KILL,
        Feature.IN_STEP,
    },
    break_connection=lambda venue: venue.server.stop(),
    patience=lambda: anyio.fail_after(10),
)


class TestCcxtOnKraken(venue_suite(make_venue, OFFER)):  # type: ignore[misc]
    """On trio; the kit of perpetuals runs on asyncio."""

    @pytest.fixture(params=["trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
