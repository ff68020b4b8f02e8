"""A local exchange on a socket of this machine, a wallet on it, drivers for that wallet, and what its books must be equal to."""

from __future__ import annotations

from contextlib import contextmanager

import anyio
import pytest
from attrs import define, field
from solders.keypair import Keypair

from sleeves.errors import InvalidMarket
from sleeves.facts import Settled
from sleeves.keys import Secret
from sleeves.money import Amount
from sleeves.orders import Order, Place, Side, Transfer
from sleeves.testing.drift_server import DriftServer, Perp, drift_server
from sleeves.testing.jito_server import jito_server
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.driver import Drift
from sleeves.venues.jito import Jito
from sleeves.venues.retry import Retry
from sleeves.venues.solana import Rpc, Signer

FAST = Retry(attempts=3, first=0.01, most=0.02, jitter=0)
PER_USD = 10**6
PER_SOL = 10**9
BOTH = pytest.mark.parametrize("deployment", [VELOCITY, DRIFT_V2], ids=lambda one: one.name)


@define
class Stand:
    """The world of one test."""

    server: DriftServer
    key: Keypair
    engine: object = None
    n: int = 0
    terms: dict = field(factory=dict)

    @property
    def deployment(self):
        return self.server.deployment

    @property
    def chain(self):
        return self.server.chain

    @property
    def node(self):
        return self.server.node

    @property
    def coin(self):
        return self.deployment.quote.asset

    def rpc(self):
        return Rpc(self.server.url, retry=FAST)

    def driver(self, *, key=None, **terms):
        """A driver of the wallet; it looks only when it is asked to."""
        terms = {
            "quote_every": None,
            "watch_every": None,
            "poll_s": 0.02,
            "resend_s": 0.1,
            "confirm_within": 10.0,
            "trade_frozen": True,
            "clock": self.server.clock,
            **self.terms,
            **terms,
        }
        if self.engine is not None:
            terms.setdefault("jito", Jito(self.engine.url, floor_url=self.engine.url, per_second=10_000, attempts=1))
        return Drift(self.rpc(), self.deployment, Signer(Secret(str(key or self.key))), **terms)

    def usd(self, text):
        return self.coin(text)

    def transfer(self, amount, source=None, target=None):
        """A transfer of so many coins, below zero out of the account."""
        self.n += 1
        given = amount if isinstance(amount, Amount) else (-self.coin(amount[1:]) if amount.startswith("-") else self.coin(amount))
        return Transfer(f"by-hand-{self.n}", given, self.deployment.name, source, target)

    def order(self, instrument, side, qty, *, worst=None, netted=False, **terms):
        """An order of the sleeve `suite`."""
        self.n += 1
        if isinstance(terms.get("limit"), str):
            terms["limit"] = instrument.price(terms["limit"])
        bound = instrument.price(worst) if isinstance(worst, str) else worst
        place = Place(instrument, side, instrument.qty(qty), **terms)
        return Order(f"suite-{self.n}", "suite", place, self.server.clock(), bound, netted)

    def buy(self, instrument, qty, **terms):
        return self.order(instrument, Side.BUY, qty, **terms)

    def sell(self, instrument, qty, **terms):
        return self.order(instrument, Side.SELL, qty, **terms)

    def user(self, sub=0):
        return self.server.user(self.key.pubkey(), sub)

    def coins(self, sub=0):
        """What the exchange says that a sub-account has, in units."""
        return self.server.balance(self.user(sub))

    def lying(self, sub=0):
        """The numbers of the orders that lie in a sub-account."""
        return [one["order_id"] for one in self.server.orders(self.user(sub))]

    def position(self, sub=0, market="SOL-PERP"):
        """Base and quote amount of a position; nothing of both where there is none."""
        try:
            place = self.server.position(self.user(sub), market)
        except InvalidMarket:
            return 0, 0
        return place["base_asset_amount"], place["quote_asset_amount"]

    def wallet(self):
        """Units of the quote coin in the wallet."""
        return self.chain.tokens(self.key.pubkey(), self.server.mints[0])

    def mend(self):
        """No fault waits any more."""
        self.node._faults.clear()

    def sent(self):
        return len(self.node.asked("sendTransaction"))


@contextmanager
def stand(deployment=VELOCITY, *, usd="1000", perps=None, jito=False, server=None, **terms):
    with drift_server(deployment, perps=perps or [Perp("SOL-PERP", "150")], **(server or {})) as one:
        key = one.wallet(quote=int(deployment.quote.asset(usd).units))
        if not jito:
            yield Stand(one, key, terms=terms)
            return
        with jito_server(one.chain) as engine:
            yield Stand(one, key, engine, terms=terms)


def told(venue):
    """What the driver has told and nobody has read yet."""
    events = []
    while True:
        try:
            events.append(venue._at.inbox.receive_nowait())
        except anyio.WouldBlock:
            return events


def of(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


def run(story, backend="asyncio", *, deployment=VELOCITY, driver=None, fund=True, **terms):
    """A story with a stand and an open driver of its wallet, which has 1,000 in sub-account 0 and 300 of it in 1 unless told not to."""
    with stand(deployment, **terms) as s:

        async def main():
            with anyio.fail_after(40):
                async with s.driver(**(driver or {})) as venue:
                    if fund:
                        await venue.transfer(s.transfer("1000"))
                        await venue.transfer(s.transfer("300", 0, 1))
                    return await story(s, venue)

        return anyio.run(main, backend=backend)


def summed(flows):
    """Units by sub-account and coin."""
    sums = {}
    for line in flows:
        key = line.account, line.amount.asset.code
        sums[key] = sums.get(key, 0) + line.amount.units
    return {key: units for key, units in sums.items() if units}


async def check_books(s, venue):
    """Lines sum to what the venue holds, and that is what the exchange says, to the unit; a driver that was restarted tells the same."""
    proof = s.server.check()
    assert proof is not None
    flows, history = await venue.cash_flows(0), await venue.history(0)
    holdings = await venue.holdings()
    held = {(sub, code): amount.units for sub, coins in holdings.items() for code, amount in coins.items() if amount.units}
    assert summed(flows) == held
    names = [line.key for line in flows]
    assert len(set(names)) == len(names)
    keys = [fact.key for fact in history]
    assert len(set(keys)) == len(keys)
    assert all(line.ref in keys for line in flows if line.ref)
    positions = await venue.positions()
    for sub in venue.accounts:
        if s.chain.account(_key(s.user(sub))) is None:
            assert sub not in holdings
            continue
        there = s.coins(sub)
        assert 0 <= there - held.get((sub, s.coin.code), 0) <= 10, "only interest that no transaction has told of yet may be beyond"
        for name in venue.names:
            said = positions.get(f"{name}:{sub}")
            assert s.position(sub, name) == ((said.qty, said.money) if said else (0, 0))
    async with s.driver() as other:
        chained = [one for one in history if not isinstance(one, Settled) or not one.id.startswith("asked")]
        assert chained == list(await other.history(0)), "after a restart it tells the same"
        assert list(await other.cash_flows(0)) == list(flows)
        assert await other.holdings() == holdings
    return history


def _key(text):
    from solders.pubkey import Pubkey

    return Pubkey.from_string(text)
