"""Watching sub-accounts over real sockets: accounts are bytes on a LiteSVM chain, and what is seen is read back from a node of it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.market import HOUR
from sleeves.testing.drift_server import Coin, Perp, drift_server
from sleeves.testing.solana_server import Fault
from sleeves.venues.drift.accounts import WrongAccount
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.monitor import Blind, Monitor, Snapshot, Source
from sleeves.venues.drift.risk import Validity
from sleeves.venues.solana import SYSTEM, Pubsub, Rpc
from solana_stand import QUICK, both, run

USD = 10**6
SOL = 10**9


class House:
    """An exchange with an account of ours on it: $1,000 and 10 coins of JTO in sub-account 0, $50 in 2, and none in 1."""

    def __init__(self, exchange):
        self.exchange, self.chain, self.node = exchange, exchange.chain, exchange.node
        self.key = exchange.wallet(quote=5_000 * USD)
        self.me = str(self.key.pubkey())
        for sub in (0, 1, 2):
            exchange.open(self.key, sub)
        exchange.deposit(self.key, 0, 1_000 * USD)
        exchange.deposit(self.key, 2, 50 * USD)
        self.where = exchange.deployment.user(self.me, 0)

    def bytes_of(self, address):
        return self.chain.account(Pubkey.from_string(address))

    def put(self, address, data=None, owner=None):
        """An account as it was, but for its bytes or its owner."""
        was = self.bytes_of(address)
        self.chain.set_account(Pubkey.from_string(address), owner=owner or was.owner, data=was.data if data is None else data)

    def long(self, base=SOL, name="SOL-PERP"):
        """Buy with an order that a keeper fills."""
        self.exchange.order(self.key, 0, name, base, 200 * USD, long=True)
        number = self.exchange.orders(self.where)[-1]["order_id"]
        self.exchange.fill(self.where, number)


def house(**terms):
    @asynccontextmanager
    async def opened():
        with drift_server(terms.pop("deployment", VELOCITY), perps=(Perp("SOL-PERP"), Perp("BTC-PERP", "60000")), **terms) as exchange:
            yield House(exchange)

    return opened()


def story(told, backend="asyncio", pushed=False, **terms):
    """Run a story with a house, and a monitor of it."""

    async def main():
        async with house() as it, Rpc(it.exchange.url, retry=QUICK, timeout=5.0) as rpc, anyio.create_task_group():
            pubsub = Pubsub(it.node.ws_url, first=0.01, most=0.05) if pushed else None
            more = {"accounts": (0, 2), "poll": 60.0, **terms}
            if pubsub is None:
                async with Monitor(rpc, VELOCITY, it.me, **more) as monitor:
                    await told(it, monitor)
                return
            async with pubsub, Monitor(rpc, VELOCITY, it.me, pubsub=pubsub, **more) as monitor:
                await told(it, monitor)

    run(main, backend)


def chained(call, *args, **named):
    return anyio.to_thread.run_sync(lambda: call(*args, **named))


# -- what is seen -------------------------------------------------------------------------------------------------------------


@both
def test_all_that_there_is_of_one_slot(backend):
    async def told(it, monitor):
        it.long()
        it.exchange.order(it.key, 0, "SOL-PERP", 2 * SOL, 140 * USD, long=True, post_only=True)
        it.exchange.price("SOL-PERP", "160")
        seen = await monitor.look()
        assert seen.one_slot and seen.slot == seen.oldest == it.chain.slot and seen.source is Source.POLL
        assert (seen.deployment, seen.authority, seen.stats.authority, seen.state.perp_markets) == (VELOCITY, it.me, it.me, 2)
        account = seen.account(0)
        figures, position = account.figures, account.user.perps[0]
        (perp,), (coin,) = figures.perps, figures.spots
        assert account.wrong == "" and (coin.tokens, coin.index, coin.initial_weight) == (1_000 * USD - 0, 10**10, 10_000)
        assert (perp.base, perp.quote, perp.price.price) == (SOL, position.quote, 160 * USD)
        assert perp.unsettled_pnl == 160 * USD + position.quote > 0 == perp.unsettled_funding
        # worst of the orders: 3 SOL at 160; 5% to keep, 10% to open; a cent for the order
        assert figures.maintenance.requirement == 24 * USD + 10_000 and figures.initial.requirement == 48 * USD + 10_000
        assert figures.maintenance.collateral == 1_000 * USD + perp.unsettled_pnl and figures.initial.collateral == 1_000 * USD
        assert figures.net_equity == figures.maintenance.collateral and figures.leverage_bp == 480 * USD * 10_000 // figures.net_equity
        assert figures.health == 98 and not figures.liquidatable and figures.sure
        assert figures.free == 952 * USD - 10_000 and perp.liquidation_price is None  # $1,000 behind one SOL
        (order,) = account.user.orders
        assert (order.base, order.price, order.long, perp.open_bids) == (2 * SOL, 140 * USD, True, 2 * SOL)
        assert seen.account(2).figures.net_equity == 50 * USD and [one.sub for one in seen.accounts] == [0, 2]
        assert {one.name for one in seen.prices} == {"USDT", "SOL-PERP"} and seen.errors == ()
        assert all(one.age == 0 and one.at for one in seen.prices)

    story(told, backend)


def test_the_liquidation_price_is_where_the_health_ends():
    async def told(it, monitor):
        await chained(it.long, 30 * SOL)
        first = (await monitor.look()).account(0).figures
        price = first.perps[0].liquidation_price
        assert 100 * USD < price < 150 * USD
        await chained(it.exchange.price, "SOL-PERP", f"{(price + 20_000) / USD:.6f}")
        assert not (await monitor.look()).account(0).figures.liquidatable
        await chained(it.exchange.price, "SOL-PERP", f"{(price - 20_000) / USD:.6f}")
        assert (await monitor.look()).account(0).figures.liquidatable

    story(told)


def test_a_funding_rate_is_a_ratio_of_the_oracles_average():
    async def told(it, monitor):
        # 0.015 quote coins per coin at an average of 150: 0.01% an hour, and not 1.5%
        where = VELOCITY.perp_market(0)
        await chained(it.exchange.set, "PerpMarket", where, last_funding_rate=15_000_000, last_funding_oracle_twap=150 * USD)
        seen = await monitor.look()
        (quote,) = seen.funding
        assert (quote.venue, quote.symbol, quote.rate_ppb, quote.interval) == ("velocity", "SOL-PERP", 100_000, HOUR)
        assert quote.next > seen.at - HOUR

    story(told, perps=(0,))


def test_a_funding_rate_that_cannot_be_told_is_said_and_takes_nothing_with_it():
    async def told(it, monitor):
        where = VELOCITY.perp_market(0)
        await chained(it.exchange.set, "PerpMarket", where, last_funding_rate=15_000_000, last_funding_oracle_twap=-1)
        seen = await monitor.look()
        assert seen.funding == () and seen.errors == ("SOL-PERP had its last funding at an oracle average of -1: a price is above zero",)
        assert seen.account(0).figures.net_equity == 1_000 * USD and "NOT KNOWN SOL-PERP had its last funding" in str(seen)

    story(told, perps=(0,))


def test_funding_that_fell_due_is_seen():
    async def told(it, monitor):
        await chained(it.long)
        market = it.exchange.perp("SOL-PERP")
        index = market["cumulative_funding_rate_long"] + 250_000_000
        await chained(it.exchange.set, "PerpMarket", VELOCITY.perp_market(0), cumulative_funding_rate_long=index)
        assert (await monitor.look()).account(0).figures.unsettled_funding == -250_000

    story(told)


def test_a_sub_account_that_is_not_there_is_not_an_empty_one():
    async def told(it, monitor):
        seen = await monitor.look()
        empty, none = seen.account(1), seen.account(7)
        assert empty.figures.net_equity == 0 and empty.user.spots == ()
        assert none.user is None and none.figures is None and "does not exist" in none.wrong
        assert "sub-account 7: not known" in str(seen) and "sub-account 1  equity 0 USDT  health 100" in str(seen)
        with pytest.raises(InvalidMarket, match="sub-account 3 is not watched: 1, 7 are"):
            seen.account(3)

    story(told, accounts=(1, 7))


@pytest.mark.parametrize("name", ["user", "stats", "state", "perp", "spot"])
@pytest.mark.parametrize("wrong", ["owner", "cut", "other"])
def test_an_account_that_is_not_what_it_should_be_raises(name, wrong):
    async def told(it, monitor):
        it.long()
        stranger = it.exchange.wallet(quote=10 * USD)
        it.exchange.open(stranger, 0)
        at = {
            "user": (it.where, VELOCITY.user(str(stranger.pubkey()), 0)),
            "stats": (VELOCITY.user_stats(it.me), VELOCITY.user_stats(str(stranger.pubkey()))),
            "state": (VELOCITY.state(), VELOCITY.user_stats(it.me)),
            "perp": (VELOCITY.perp_market(0), VELOCITY.perp_market(1)),
            "spot": (VELOCITY.spot_market(0), VELOCITY.perp_market(1)),
        }
        where, another = at[name]
        if wrong == "owner":
            it.put(where, owner=SYSTEM)
        else:
            it.put(where, data=it.bytes_of(where).data[:200] if wrong == "cut" else it.bytes_of(another).data)
        with pytest.raises(WrongAccount):
            await monitor.look()

    story(told)


@pytest.mark.parametrize("name", ["state", "perp", "spot"])
def test_a_market_or_a_state_that_is_gone_raises(name):
    async def told(it, monitor):
        it.long()
        where = {"state": VELOCITY.state(), "perp": VELOCITY.perp_market(0), "spot": VELOCITY.spot_market(0)}[name]
        it.chain.set_account(Pubkey.from_string(where), lamports=0)
        with pytest.raises(WrongAccount, match="there is no"):
            await monitor.look()

    story(told)


def test_another_deployments_account_is_not_read():
    async def main():
        async with house() as it, Monitor(it.exchange.url, DRIFT_V2, it.me) as monitor:
            # the bytes of the right place, from the wrong program
            for here, there in ((DRIFT_V2.state(), VELOCITY.state()), (DRIFT_V2.user(it.me, 0), it.where)):
                was = it.bytes_of(there)
                it.chain.set_account(Pubkey.from_string(here), owner=Pubkey.from_string(VELOCITY.program_id), data=was.data)
            with pytest.raises(WrongAccount, match=VELOCITY.program_id):
                await monitor.look()

    run(main)


def test_an_oracle_that_is_gone_or_old_leaves_no_figure_unmarked():
    async def told(it, monitor):
        it.long()
        oracle = (await monitor.look()).perps[0].oracle
        it.exchange.stall("SOL-PERP")
        rails = (await monitor.look()).state.guard_rails
        it.exchange.advance(rails.stale_for_margin)
        seen = await monitor.look()
        age = next(one.age for one in seen.prices if one.name == "SOL-PERP")
        assert age >= rails.stale_for_margin
        it.exchange.advance(1)
        seen = await monitor.look()
        figures = seen.account(0).figures
        assert (
            not figures.sure and "SOL-PERP: too old" in figures.doubts[0] and figures.perps[0].price.validity is Validity.STALE_FOR_MARGIN
        )
        assert "DOUBTFUL SOL-PERP: too old" in str(seen)
        it.chain.set_account(Pubkey.from_string(oracle), lamports=0)
        seen = await monitor.look()
        account = seen.account(0)
        assert account.figures is None and account.user is not None and oracle in account.wrong
        assert seen.account(2).figures.net_equity == 50 * USD  # who does not stand there is told of
        assert len(seen.errors) == 1 and "sub-account 0: not known" in str(seen)

    story(told)


def test_what_makes_no_sense_is_refused():
    good = ("http://node.example", VELOCITY, "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB")
    assert Monitor(*good)._poll == 10.0
    for terms in ({"accounts": ()}, {"accounts": (0, 0)}, {"accounts": (-1,)}, {"accounts": (65_536,)}, {"perps": ("x",)}):
        with pytest.raises(InvalidMarket):
            Monitor(*good, **terms)
    for terms in ({"poll": 0}, {"poll": float("inf")}, {"settle": -1}, {"poll": True}):
        with pytest.raises(InvalidMarket, match="positive number of seconds"):
            Monitor(*good, **terms)
    with pytest.raises(InvalidMarket, match="no address"):
        Monitor("http://node.example", VELOCITY, "me")

    async def main():
        with pytest.raises(VenueUnavailable, match="is not open"):
            await Monitor(*good).look()

    run(main)


# -- again and again ----------------------------------------------------------------------------------------------------------


async def until(items, fits, within=5.0):
    """The next item that fits, and all before it."""
    found = []
    with anyio.fail_after(within):
        async for one in items:
            found.append(one)
            if fits(one):
                return found
    raise AssertionError(found)


def equity_is(dollars, sub=2):
    return lambda one: isinstance(one, Snapshot) and one.account(sub).figures.net_equity == dollars * USD


@both
def test_polls_go_on_and_what_cannot_be_read_is_not_the_last_again(backend):
    async def told(it, monitor):
        items = aiter(monitor)
        first = await anext(items)
        assert isinstance(first, Snapshot)
        for _ in range(3):  # as often as a read is asked
            it.node.fault("getMultipleAccounts", Fault.status(503))
        blind = await anext(items)
        assert isinstance(blind, Blind) and blind.since == first.at and "503" in blind.why and "last known" in str(blind)
        await chained(it.exchange.deposit, it.key, 2, USD)
        after = await anext(items)
        assert equity_is(51)(after) and after.source is Source.POLL

    story(told, backend, poll=0.1)


def test_a_wrong_account_makes_blind_and_what_is_right_again_is_seen_again():
    async def told(it, monitor):
        items, was = aiter(monitor), it.bytes_of(it.where).data
        it.put(it.where, data=was[:100])
        blind = await anext(items)
        assert isinstance(blind, Blind) and blind.since is None and "never" in str(blind)
        it.put(it.where, data=was)
        assert isinstance(await anext(items), Snapshot)

    story(told, poll=0.05)


@both
def test_a_push_is_told_long_before_the_next_poll(backend):
    async def told(it, monitor):
        items = aiter(monitor)
        await until(items, equity_is(50))
        await anyio.sleep(0.3)
        await chained(it.exchange.deposit, it.key, 2, USD)
        seen = (await until(items, equity_is(51)))[-1]
        assert seen.source in (Source.PUSH, Source.POLL)
        await settled(items)
        await chained(it.exchange.deposit, it.key, 2, USD)
        assert (await until(items, equity_is(52)))[-1].source is Source.PUSH

    story(told, backend, pushed=True)


async def settled(items):
    """Read on until nothing comes for a while."""
    while True:
        with anyio.move_on_after(0.4) as scope:
            await anext(items)
        if scope.cancelled_caught:
            return


def test_an_older_push_is_dropped():
    async def told(it, monitor):
        await monitor.look()
        key, known = it.where, monitor._raw[it.where]
        from sleeves.venues.solana import Account, Changed

        older = Account(known.address, known.lamports, known.owner, b"x", False, known.slot - 1)
        monitor._take(key, Changed(known.slot - 1, older))
        assert monitor.dropped == 1 and monitor._raw[key] is known
        monitor._take(key, Changed(known.slot, known))
        assert monitor.dropped == 1

    story(told)


def test_a_push_of_an_older_slot_over_the_wire_changes_nothing():
    async def told(it, monitor):
        async with anyio.create_task_group() as tasks:
            seen = []

            async def watch():
                async for one in monitor:
                    seen.append(one)

            tasks.start_soon(watch)
            await anyio.sleep(0.6)
            before = len(seen)
            it.node.lines.older(50, times=20)
            await chained(it.exchange.deposit, it.key, 2, USD)
            await anyio.sleep(0.5)
            assert monitor.dropped >= 1 and len(seen) == before
            assert equity_is(51)(await monitor.look())  # a poll is always the truth
            tasks.cancel_scope.cancel()

    story(told, pushed=True)


@both
def test_a_lost_connection_is_made_again_and_all_is_read_anew(backend):
    async def told(it, monitor):
        seen = []

        async def watch():
            async for one in monitor:
                seen.append(one)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.sleep(0.6)
            it.node.lines.refusing = True
            it.node.lines.drop()
            await chained(it.exchange.deposit, it.key, 2, USD)  # nobody is told
            await anyio.sleep(0.3)
            assert equity_is(50)(seen[-1])
            it.node.lines.refusing = False
            with anyio.fail_after(5):
                while not equity_is(51)(seen[-1]):
                    await anyio.sleep(0.02)
            assert seen[-1].source is Source.POLL and not [one for one in seen if isinstance(one, Blind)]
            tasks.cancel_scope.cancel()

    story(told, backend, pushed=True)


def test_a_position_in_a_market_that_was_not_read_has_all_read_anew():
    async def told(it, monitor):
        seen = []

        async def watch():
            async for one in monitor:
                seen.append(one)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.sleep(0.6)
            await chained(it.long)
            with anyio.fail_after(5):
                while not (isinstance(seen[-1], Snapshot) and seen[-1].account(0).figures.perps):
                    await anyio.sleep(0.02)
            assert 0 in seen[-1].perps and not [one for one in seen if isinstance(one, Blind)]
            tasks.cancel_scope.cancel()

    story(told, pushed=True)


def test_a_snapshot_of_pushes_says_that_its_parts_are_of_different_slots():
    async def told(it, monitor):
        items = aiter(monitor)
        await until(items, equity_is(50))
        await settled(items)
        await chained(it.chain.advance, 3)
        await chained(it.exchange.deposit, it.key, 2, USD)
        seen = (await until(items, equity_is(51)))[-1]
        assert seen.source is Source.PUSH and not seen.one_slot and seen.slot - seen.oldest >= 3
        assert f"slots {seen.oldest} to {seen.slot}" in str(seen)

    story(told, pushed=True)


def test_a_node_that_is_behind_what_was_pushed_is_not_believed():
    async def told(it, monitor):
        await monitor.look()
        it.node.behind = 5
        with pytest.raises(VenueUnavailable, match="Minimum context slot"):
            await monitor.look()

    story(told)


def test_it_ends_when_it_is_closed():
    async def told(it, monitor):
        seen = []
        async for one in monitor:
            seen.append(one)
            await monitor.aclose()
        assert len(seen) == 1
        await monitor.aclose()

    story(told)


def test_it_opens_its_own_node_and_socket_and_closes_them():
    async def main():
        async with house() as it, Monitor(it.exchange.url, VELOCITY, it.me, (2,), pubsub=it.node.ws_url) as monitor:
            assert equity_is(50)(await monitor.look())
            with anyio.fail_after(5):
                while not it.node.asked("accountSubscribe"):
                    await anyio.sleep(0.02)
        assert it.me in repr(monitor)

    run(main)


def test_a_coin_is_seen_with_its_weights_and_its_interest():
    async def main():
        async with house(coins=(Coin("JTO", 9, "2"),)) as it, Monitor(it.exchange.url, VELOCITY, it.me) as monitor:
            it.exchange.mint(it.key.pubkey(), 10 * SOL, 1)
            it.exchange.deposit(it.key, 0, 10 * SOL, 1)
            it.exchange.set("SpotMarket", VELOCITY.spot_market(1), cumulative_deposit_interest=10**10 + 10**9)
            seen = await monitor.look()
            coin = next(one for one in seen.account(0).figures.spots if one.name == "JTO")
            assert coin.tokens == 11 * SOL and coin.value == 22 * USD and coin.index == 11 * 10**9
            assert (coin.initial_weight, coin.maintenance_weight) == (8_000, 9_000)
            assert seen.account(0).figures.initial.collateral == 1_000 * USD + 17_600_000

    run(main)
