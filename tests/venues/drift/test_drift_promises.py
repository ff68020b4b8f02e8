"""Every promise of a venue that this one can keep, kept by the driver against a local exchange whose keepers play the script.

What is offered is what the exchange has: orders that keepers fill, in parts that they choose, never as a maker's at a resting price (a
limit that rests is filled against the market itself, as a taker); transfers cost up to one unit by the program's rounding, funding is
rounded by the program towards nothing, health is each sub-account's own. Those have tests of their own beside this.
"""

from __future__ import annotations

from contextlib import ExitStack

import anyio
import pytest
from drift_stand import stand, told

from sleeves.testing import Feature, Offer, audit, venue_suite
from sleeves.testing.drift_server import Perp
from sleeves.venues.drift.deployment import VELOCITY

FEE_PPM = 400
HOUR = 3_600 * 10**9
TERMS = Perp("SOL-PERP", "150", tick=10_000, step=10**7, min_size=10**7, spread_ppm=0)


def instrument():
    """The market as the driver knows it, before there is a driver."""
    with stand(perps=[TERMS]) as s:

        async def main():
            async with s.driver(accounts=(0,)) as venue:
                return venue.instrument("SOL-PERP", 0)

        return anyio.run(main)


MARKET = instrument()


class Played:
    """The driver, and the hand that plays a script to it: keepers fill orders at the open of the row that follows."""

    def __init__(self, script):
        self.script = script
        self.stack = ExitStack()
        self.stand = self.stack.enter_context(stand(usd="0", perps=[TERMS]))
        self.at(script.rows[0].at - HOUR)
        cash = script.balances[VELOCITY.quote.asset.code].units
        self.stand.server.mint(self.stand.key.pubkey(), cash)
        self.venue = self.stand.driver(accounts=(0,), spread_bps=0, slippage_bps=5_000, settle_above="0", sleeves=["suite"])

    def at(self, now):
        """It is that time, and the feeds know."""
        server = self.stand.server
        server.clock.skipped += now - server.clock()
        server.chain.advance(1)
        server.publish()

    async def open(self):
        try:
            async with self.stand.driver(accounts=(0,)) as first:
                await first.transfer(self.stand.transfer(self.script.balances[VELOCITY.quote.asset.code]))
            self.at(self.script.rows[0].at)
            await self.venue.aopen()
        except BaseException:
            self.stack.close()
            raise
        return self

    def cut(self):
        self.stand.node.stop()

    async def events(self):
        rows = self.script.rows
        for number, row in enumerate(rows):
            for event in told(self.venue):
                yield event
            self.at(self.script.end(number))
            self._price(row.close)
            await self.venue.refresh()
            for event in told(self.venue):
                yield event
            following = rows[min(number + 1, len(rows) - 1)]
            self._price(following.open)
            self._keepers(following.open)
            await self.venue.hear()
            if self.stand.server.orders(self.stand.user(0)):
                await self.venue.sweep()
        for event in told(self.venue):
            yield event

    def _price(self, units):
        self.stand.server.price("SOL-PERP", self.script.instrument.price_text(units))

    def _keepers(self, units):
        """Fill what may be filled at a price."""
        price = units * 10 ** (6 - self.script.instrument.price_scale)
        server = self.stand.server
        user = self.stand.user(0)
        for one in server.orders(user):
            limit = one["price"] or one["auction_end_price"]
            if limit >= price if not one["direction"] else limit <= price:
                server.fill(user, one["order_id"], price=price)

    async def history(self, since):
        """The script begins with coins in the account: how they came there is before it."""
        return await self.venue.history(max(since, self.script.rows[0].at))

    async def cash_flows(self, since):
        return await self.venue.cash_flows(max(since, self.script.rows[0].at))

    async def aclose(self):
        await self.venue.aclose()
        self.stack.close()

    def __getattr__(self, name):
        return getattr(self.venue, name)


def make(script):
    return Played(script).open()


OFFER = Offer(
    perp=MARKET,
    taker_ppm=FEE_PPM,
    features=[Feature.REDUCE_ONLY, Feature.SETTLES],
    price="150",
    break_connection=lambda played: played.cut(),
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestDrift(venue_suite(make, OFFER)):
    """The promises."""

    pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # noqa: RUF012 pytest reads a list


QUICK = (
    "a_desk_balances_on_it",
    "an_order_sent_twice_is_one_order",
    "what_is_unsettled_waits_until_it_is_asked_for",
    "reduce_only_never_opens",
    "an_order_for_a_stranger_sent_twice_is_refused_once",
)


def test_some_of_them_on_trio():
    found = anyio.run(audit, make, OFFER, *QUICK, backend="trio")
    assert found.holds, found
    assert [verdict.result for verdict in found.verdicts] == ["holds"] * len(QUICK)
