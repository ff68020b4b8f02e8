"""Every promise of a venue, kept by the driver against a local chain and a local Jupiter that play the script.

What is offered is what a router has: no limits that rest, no post-only, no transfers. The fee of the network is no rate: it is told
as a millionth of what is traded, and a step that covers a signature and little priority.
"""

from __future__ import annotations

from contextlib import ExitStack

import anyio
import pytest
from jupiter_stand import flat, stand, told

from sleeves.market import Instrument
from sleeves.money import SOL, USDC
from sleeves.testing import Feature, Offer, audit, venue_suite
from sleeves.testing.solana_server import Chain

ASIDE = "0.05"
STEP = 12_000
"""Lamports: more than any transaction of this driver costs here."""
MARKET = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.000000001", lot="0.001", venue="jupiter")


class Played:
    """The driver, and the hand that plays a script to it: an order acts at the open of the row that follows."""

    def __init__(self, script):
        self.script = script
        self.now = script.rows[0].at
        self.stack = ExitStack()
        chain = Chain(clock=lambda: self.now)
        cash = script.balances["USDC"]
        self.stand = self.stack.enter_context(stand(sol=ASIDE, usdc=cash.text, pools={"Flat": flat(150)}, chain=chain))
        market = self.stand.market(lot="0.001", size="0.1")
        assert market.instrument == script.instrument
        self.venue = self.stand.driver(market, aside=ASIDE, clock=lambda: self.now, sleeves=["suite"])

    async def open(self):
        try:
            await self.venue.aopen()
        except BaseException:
            self.stack.close()
            raise
        return self

    def cut(self):
        self.stand.node.stop()
        self.stand.jupiter.stop()

    async def events(self):
        rows = self.script.rows
        for number, row in enumerate(rows):
            for event in told(self.venue):
                yield event
            self.now = self.script.end(number)
            self._price(row.close)
            await self.venue.refresh()
            self._price(rows[min(number + 1, len(rows) - 1)].open)
            for event in told(self.venue):
                yield event
        for event in told(self.venue):
            yield event

    def _price(self, units):
        self.stand.jupiter.price("Flat", self.script.instrument.price_text(units))

    async def aclose(self):
        await self.venue.aclose()
        self.stack.close()

    def __getattr__(self, name):
        return getattr(self.venue, name)


def make(script):
    return Played(script).open()


OFFER = Offer(
    spot=MARKET,
    taker_ppm=1,
    fee_step=STEP,
    features=[Feature.REDUCE_ONLY, Feature.FILL_OR_KILL, Feature.IN_STEP],
    price="150",
    break_connection=lambda played: played.cut(),
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestJupiter(venue_suite(make, OFFER)):
    """The promises."""


def test_a_desk_balances_on_trio():
    found = anyio.run(audit, make, OFFER, "a_desk_balances_on_it", "an_order_sent_twice_is_one_order", backend="trio")
    assert found.holds and len(found.verdicts) == 2, found
