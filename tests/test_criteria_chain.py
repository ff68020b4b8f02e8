"""The acceptance criteria that need a perpetual market on a chain, 2.1, 4.5 and 4.6, one test each.

They are tried on a local chain: the real driver, its real transactions over a node and a block engine on sockets, and a stand-in for the
program, which serves the very program id, addresses and layouts of Velocity on the main network. The main network itself was not to be
reached where this was built. The others are in test_criteria.py and test_criteria_live.py.
"""

from __future__ import annotations

from contextlib import contextmanager

import anyio
import pytest

pytest.importorskip("solders")
pytest.importorskip("uvicorn")

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves import Place, Side
from sleeves.errors import VenueUnavailable
from sleeves.keys import Secret
from sleeves.orders import Order
from sleeves.testing.drift_server import DriftServer, Perp, drift_server
from sleeves.testing.jito_server import jito_server
from sleeves.testing.solana_server import Fault
from sleeves.venues.checkup import Grade
from sleeves.venues.drift import DRIFT_V2, VELOCITY, Drift, Jito, Rpc, Signer, WrongAccount
from sleeves.venues.drift.checkup import DEVNET, MAINNET, checkup
from sleeves.venues.retry import Retry

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
QUICK = Retry(attempts=2, first=0.01, most=0.02, jitter=0.0)
STRANGER = Keypair.from_seed(bytes([77]) * 32)
COIN, UNIT = 10**9, 10**6


class World:
    """A local Velocity, a wallet with 1,000 in its main sub-account, and drivers for it."""

    def __init__(self, server: DriftServer) -> None:
        self.server = server
        self.key = server.wallet(quote=1_000 * UNIT)
        server.open(self.key)
        server.deposit(self.key, 0, 1_000 * UNIT)
        self.n = 0

    def driver(self, deployment=VELOCITY, **terms):
        asked = {"accounts": (0,), "quote_every": None, "watch_every": None, "poll_s": 0.02, "resend_s": 0.05, **terms}
        return Drift(
            Rpc(self.server.url, retry=QUICK),
            deployment,
            Signer(Secret(str(self.key))),
            clock=self.server.clock,
            trade_frozen=True,
            **asked,
        )

    @property
    def user(self):
        return self.server.user(self.key.pubkey())

    def order(self, market):
        self.n += 1
        return Order(f"suite-{self.n}", "suite", Place(market, Side.SELL, market.qty("1")), self.server.clock(), None)

    def sent(self):
        """Transactions that reached the node."""
        return len(self.server.node.asked("sendTransaction"))

    def account(self, address, **changes):
        """Have an account be of another owner, or of other bytes."""
        at = Pubkey.from_string(address)
        there = self.server.chain.account(at)
        owner, data = changes.get("owner", there.owner), changes.get("data", lambda data: data)(there.data)
        self.server.chain.set_account(at, owner=owner, data=data)


@contextmanager
def world(**terms):
    with drift_server(VELOCITY, perps=[Perp("SOL-PERP", "150")], **terms) as server:
        yield World(server)


# -- 2.1 ---------------------------------------------------------------------------------------------------------------------


def another_owner(w):
    w.account(VELOCITY.state(), owner=STRANGER.pubkey())


def another_kind(w):
    w.account(VELOCITY.perp_market(0), data=lambda data: bytes([data[0] ^ 1]) + data[1:])


def too_short(w):
    w.account(VELOCITY.spot_market(0), data=lambda data: data[:700])


def another_place(w):
    """A market that says another number lies where it does not belong."""
    w.server.set("PerpMarket", VELOCITY.perp_market(0), market_index=5)


def another_authority(w):
    w.server.set("User", w.user, authority=str(STRANGER.pubkey()))


def another_coin(w):
    w.server.set("SpotMarket", VELOCITY.spot_market(0), mint=DRIFT_V2.quote.mint)


def no_state(w):
    w.server.chain.set_account(Pubkey.from_string(VELOCITY.state()), lamports=0)


MISMATCHES = {
    another_owner: "owner|owned|belongs",
    another_kind: "discriminator|begins",
    too_short: "700",
    another_place: "5",
    another_authority: str(STRANGER.pubkey()),
    another_coin: DRIFT_V2.quote.mint,
    no_state: "no State",
}


@both
def test_criterion_2_1_it_connects_to_the_main_networks_deployment_and_to_nothing_that_only_looks_like_it(backend):
    """The origin connected to whatever its address answered. Here the driver opens where owner, kind, length, address, authority and mint
    of what is there are those of the deployment, and after any mismatch nothing is opened and nothing sent. Which chain a node is of is
    looked at by the doctor, by the hash of its first block."""
    assert VELOCITY.program_id == "vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P"

    async def opens(w):
        async with w.driver() as venue:
            assert [one.symbol for one in venue.instruments] == ["SOL-PERP:0"]
            assert (await venue.balances())["USDT"].units == 1_000 * UNIT

    async def refused(w, said, **terms):
        venue = w.driver(**terms)
        with pytest.raises(WrongAccount, match=said):
            await venue.aopen()
        with pytest.raises(VenueUnavailable, match="not open"):
            await venue.balances()
        assert w.sent() == 0

    async def chained(w, first):
        """What the doctor says of a node that begins with this hash."""
        w.server.node.fault("getGenesisHash", Fault.replaced(first))
        async with Rpc(w.server.url, retry=QUICK) as rpc:
            found = await checkup(rpc, VELOCITY, str(w.key.pubkey()), clock=w.server.clock, moving_within=2.0)
        return [one.grade for one in found.findings if one.subject == "chain"]

    with world(slot_ns=20_000_000) as w:
        anyio.run(opens, w, backend=backend)
        assert anyio.run(chained, w, MAINNET, backend=backend) == [Grade.GOOD]
        assert anyio.run(chained, w, DEVNET, backend=backend) == [Grade.BAD]
        assert w.sent() == 0
    for mismatch, said in MISMATCHES.items():
        with world() as w:
            mismatch(w)
            anyio.run(refused, w, said, backend=backend)
    with world() as w:
        anyio.run(lambda: refused(w, "is not on this node", deployment=DRIFT_V2), backend=backend)


# -- 4.5 and 4.6 ---------------------------------------------------------------------------------------------------------------


def placed(backend, story, *, engine=True):
    """A story with an open driver, with a block engine or without one."""

    async def main():
        terms = {"jito": Jito(block.url, floor_url=block.url, per_second=10_000, attempts=1)} if engine else {}
        async with w.driver(**terms) as venue:
            with anyio.fail_after(20):
                await story(w, block, venue, venue.instrument("SOL-PERP", 0))

    with world() as w, jito_server(w.server.chain) as block:
        anyio.run(main, backend=backend)


def tips(w, block):
    return sum(w.server.chain.balance(one) for one in block.tip_accounts)


@both
def test_criterion_4_5_an_order_goes_as_a_bundle_through_jito_where_it_is_there(backend):
    """It pays a tip then, and is not shown to the node. Without an engine, or with one that does not answer, it goes through the node."""

    async def there(w, block, venue, market):
        before = tips(w, block)
        await venue.submit(w.order(market))
        assert len(block.asked("sendBundle")) == 1
        assert w.sent() == 0
        assert tips(w, block) - before == 10_000
        assert len(w.server.orders(w.user)) == 1

    async def gone(w, block, venue, market):
        block.stop()
        before = tips(w, block)
        await venue.submit(w.order(market))
        assert w.sent() == 1
        assert tips(w, block) == before, "no tip for a bundle that there is none of"
        assert len(w.server.orders(w.user)) == 1

    async def none(w, block, venue, market):
        await venue.submit(w.order(market))
        assert (len(block.asked("sendBundle")), w.sent()) == (0, 1)
        assert len(w.server.orders(w.user)) == 1

    placed(backend, there)
    placed(backend, gone)
    placed(backend, none, engine=False)


@both
def test_criterion_4_6_after_three_failures_it_goes_another_way_and_lands_once(backend):
    """The same signed bytes each time, so that whichever arrive land once. Before the third failure no other way is taken."""

    def failing(times):
        async def story(w, block, venue, market):
            block.fault("sendBundle", Fault.status(503), times)
            await venue.submit(w.order(market))
            bundles, sent = len(block.asked("sendBundle")), w.sent()
            assert (bundles, min(sent, 1)) == ((times + 1, 0) if times < 3 else (3, 1))
            assert len(w.server.orders(w.user)) == 1
            held = [one for one in w.server.orders(w.user) if one["base_asset_amount"] == COIN]
            assert len(held) == 1

        return story

    for times in (1, 2, 3):
        placed(backend, failing(times))
