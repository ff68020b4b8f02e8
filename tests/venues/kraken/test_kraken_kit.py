"""The kit's promises, kept by the Kraken driver over real sockets: a script is played by the local exchange, row by row."""

from __future__ import annotations

import anyio
import pytest

from sleeves import ETH, Asset, Instrument
from sleeves.keys import KeySet, Rights, Secret
from sleeves.market import Quote
from sleeves.money import PPM
from sleeves.sim import Rules, Slippage
from sleeves.testing import Feature, Offer, Script, venue_suite
from sleeves.testing.kraken_server import kraken_server
from sleeves.venues.kraken import Kraken
from sleeves.venues.kraken.client import Tier

TETHER = Asset("USDT", 8)
"""As finely as Kraken counts it, so that what its ledger rounds is rounded in our units."""
ether = Instrument("ETH/USDT", base=ETH, quote=TETHER, tick="0.01", lot="0.00000001", min_qty="0.002", min_notional="0.5", venue="kraken")
RULES = Rules(slippage=Slippage.none(), participation_ppm=PPM)
FREE = Tier("free", 1e9, 1e9, 1e9, 1e9, 1_000)


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.slow)])
def anyio_backend(request):
    return request.param


class Played:
    """A driver and the exchange behind it, in step: a row is played when the last one was taken in, its facts are told before its price.

    The two sockets of a venue are read side by side, so which of a fill and a price comes first is nobody's promise; here the
    script's own order is kept.
    """

    def __init__(self, exchange, venue):
        self.exchange, self.venue = exchange, venue

    def __getattr__(self, name):
        return getattr(self.venue, name)

    async def events(self):
        told = self.venue.events()
        while self.venue.waiting:
            await anext(told)  # the price before the script
        while True:
            step = self.exchange.step()
            await self.venue.caught_up()
            prices = []
            while self.venue.waiting:
                event = await anext(told)
                if isinstance(event, Quote):
                    prices.append(event)
                else:
                    yield event
            for event in prices:
                yield event
            if step is None:
                return

    async def aclose(self):
        await self.venue.aclose()
        await anyio.to_thread.run_sync(self.exchange.stop)


async def make_kraken(script: Script):
    exchange = await anyio.to_thread.run_sync(_started, script)
    key = KeySet(
        "main", venue="kraken", api_key=Secret(exchange.key.api_key), secret=Secret(exchange.key.secret), rights=Rights.of("read", "trade")
    )
    venue = Kraken(
        key,
        [script.instrument],
        base_url=exchange.url,
        socket_url=exchange.socket_url,
        private_socket_url=exchange.private_socket_url,
        tier=FREE,
        dead_man=None,
        clock=lambda: exchange.now,
    )
    await venue.aopen()
    return Played(exchange, venue)


def _started(script):
    return kraken_server(pairs=[script.instrument], script=script, rules=RULES, tier=None).start()


async def cut(venue):
    await anyio.to_thread.run_sync(venue.exchange.stop)


OFFER = Offer(
    spot=ether,
    maker_ppm=2_500,
    taker_ppm=4_000,
    price="2500",
    features={
        Feature.RESTING,
        Feature.PARTIAL,
        Feature.POST_ONLY,
        Feature.REDUCE_ONLY,
        Feature.FILL_OR_KILL,
        Feature.IN_STEP,
    },
    break_connection=cut,
    patience=lambda: anyio.fail_after(30),
)


class TestKraken(venue_suite(make_kraken, OFFER)):
    pass
