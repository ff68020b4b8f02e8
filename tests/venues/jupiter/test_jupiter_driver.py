"""The driver on real sockets: orders that trade, that come to nothing, that are lost; and books equal to the chain, to the unit."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from contextlib import aclosing
from functools import partial

import anyio
import pytest
from jupiter_stand import JITOSOL, PER_SOL, check_books, flat, meanwhile, mint, of, pool, run, stand, told
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from sleeves.amm import ConstantProduct
from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind
from sleeves.market import Quote
from sleeves.money import SOL, USDC, Amount, Asset
from sleeves.news import Reading
from sleeves.orders import Canceled, Fill, Liquidity, OrderStatus, Rejected, Side, TimeInForce, Transfer
from sleeves.testing.jupiter_server import WSOL
from sleeves.testing.solana_server import Chain, Fault
from sleeves.venues.jupiter import TOKENS, Jupiter, JupiterApi, Market, Token
from sleeves.venues.solana import memo as memo_of
from sleeves.venues.solana import transfer_sol

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# -- trades ------------------------------------------------------------------------------------------------------------------


@both
def test_a_round_trip_is_booked_to_the_last_unit(backend):
    async def story(s, venue, market):
        before = s.holds()
        assert await venue.balances() == {"SOL": SOL("10"), "USDC": USDC("10000")}
        told(venue)
        buy = s.buy(market, "1.5", worst="160")
        await venue.submit(buy)
        sell = s.sell(market, "1.2")
        await venue.submit(sell)
        fills = of(told(venue), Fill)
        assert [(fill.order_id, fill.side, fill.qty) for fill in fills] == [
            (buy.id, Side.BUY, SOL("1.5").units),
            (sell.id, Side.SELL, SOL("1.2").units),
        ]
        for fill in fills:
            assert (fill.liquidity, fill.venue, fill.fee.asset) == (Liquidity.TAKER, "jupiter", SOL)
            assert fill.fee.units <= 5_000 + 100, "a signature and little priority"
        bought, sold = fills
        assert before[1] - bought.cost + sold.cost == s.holds()[1]
        assert before[0] + bought.qty - bought.fee.units - sold.qty - sold.fee.units == s.holds()[0]
        sol, usdc, _ = s.holds()
        assert await venue.balances() == {"SOL": SOL.units(sol), "USDC": USDC.units(usdc)}
        assert list(await check_books(s, venue, before)) == fills
        assert await venue.open_orders() == []
        report = await venue.look_up(buy)
        assert (report.status, report.filled, report.venue_id) == (OrderStatus.FILLED, buy.place.qty, bought.trade_id)

    run(story, backend)


def test_a_sale_is_exact_in_and_a_buy_brings_its_quantity():
    async def story(s, venue, market):
        await venue.submit(s.sell(market, "2"))
        await venue.submit(s.buy(market, "2", worst="200"))
        sold, bought = of(told(venue), Fill)
        assert sold.qty == bought.qty == 2 * PER_SOL
        (ask,) = [float(call.query["amount"]) for call in s.jupiter.asked("build")[-1:]]
        assert bought.cost == ask, "what was paid in is what was asked for"
        most = 2 * PER_SOL // 100_000
        assert 5_000 - most <= bought.fee.units <= 5_100, "what came beyond the order lowers the fee in that coin"

    run(story)


def test_a_staking_token_is_bought_with_sol():
    def markets(s):
        return (Market.of("JitoSOL/SOL", s.jitosol, TOKENS["SOL"], size="1"),)

    async def story(s, venue, market):
        before = s.holds()
        order = s.buy(market, "2", worst="1.2")
        await venue.submit(order)
        fills = of(told(venue), Fill)
        whole = fills[0]
        assert sum(fill.qty for fill in fills) == order.place.qty
        assert whole.instrument == market.instrument and 2.29 < sum(fill.cost for fill in fills) / PER_SOL < 2.32
        rent = 2_039_280
        assert whole.fee.asset == SOL and whole.fee.units == 5_000 + rent + (whole.fee.units - 5_000 - rent)
        assert 0 <= whole.fee.units - 5_000 - rent < 1_000, "the account for the tokens had to be opened: its rent is a cost"
        if len(fills) > 1:
            assert (fills[1].leg, fills[1].qty, fills[1].fee.asset) == ("improvement", 1, JITOSOL)
            assert fills[1].fee.units < 0, "what came beyond the order"
        history = await check_books(s, venue, before)
        assert list(history) == fills
        assert s.holds()[2] == order.place.qty - sum(fill.fee.units for fill in fills if fill.fee.asset == JITOSOL)
        await venue.submit(s.sell(market, "2"))
        (sold,) = of(told(venue), Fill)
        assert sold.fee.units < 6_000, "the account is there now"
        await check_books(s, venue, before)

    run(story, markets=markets)


def test_a_price_that_gets_better_on_the_way_is_told_as_a_second_leg():
    """JitoSOL is cheaper when the swap runs than when it was quoted: what comes too much is a fee below zero in that coin."""

    def markets(s):
        return (Market.of("JitoSOL/SOL", s.jitosol, TOKENS["SOL"], lot="0.01"),)

    async def story(s, venue, market):
        before = s.holds()
        order = s.buy(market, "1", worst="1.2")
        await meanwhile(s, venue, order, lambda: s.jupiter.price("Sanctum", "1.14"))
        first, second = of(told(venue), Fill)
        assert (first.qty + second.qty, second.qty) == (PER_SOL, PER_SOL // 100)
        assert (first.leg, second.leg, first.trade_id) == ("", "improvement", second.trade_id)
        assert first.key != second.key
        assert -second.fee.units == s.holds()[2] - PER_SOL > PER_SOL // 200
        assert second.cost == (first.cost + second.cost) // 100
        assert first.cost + second.cost + first.fee.units == before[0] - s.holds()[0]
        await check_books(s, venue, before)

    run(story, markets=markets)


def test_what_goes_in_is_the_cost_also_where_an_account_is_closed_on_the_way():
    """A wallet with wrapped SOL: the swap unwraps it, and the rent of that account comes back as a part of the fee."""

    async def story(s, venue, market):
        s.chain.mint_to(WSOL, s.key.pubkey(), 3 * PER_SOL)
        s.chain.mint_to(mint(s.jitosol), s.key.pubkey(), 1)
        before = s.holds()
        await venue.submit(s.buy(market, "2", worst="1.2"))
        fills = of(told(venue), Fill)
        assert sum(fill.cost for fill in fills) == int(s.jupiter.asked("build")[-1].query["amount"])
        assert 0 <= fills[0].fee.units + 2_039_280 - 5_000 < 1_000
        await check_books(s, venue, before)

    run(story, markets=lambda s: (Market.of("JitoSOL/SOL", s.jitosol, TOKENS["SOL"]),))


def test_the_chains_time_lags_and_a_fill_is_not_before_its_order():
    """Block times are in whole seconds and may lag; what is asked for from an instant on is all there, and nothing before it."""

    async def story(s, venue, market):
        order = s.buy(market, "1", worst="160")
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert fill.at >= order.at > s.chain.now + 4 * 10**9
        assert await venue.history(fill.at) == [fill] and len(await venue.cash_flows(fill.at)) == 3
        assert await venue.history(fill.at + 1) == [] == await venue.cash_flows(fill.at + 1)
        async with s.driver(market) as other:
            assert await other.history(fill.at) == [fill]
            assert (await other.look_up(order)).status is OrderStatus.FILLED

    run(story, chain=Chain(clock=lambda: time.time_ns() - 5 * 10**9))


def test_no_price_is_told_while_an_order_is_under_way():
    async def story(s, venue, market):
        told(venue)
        s.jupiter.fault("build", Fault.slow(0.1))
        s.node.fault("sendTransaction", Fault.late(1), times=100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.refresh)
            await anyio.sleep(0.03)
            tasks.start_soon(venue.submit, s.sell(market, "1"))
            while not s.node.asked("sendTransaction"):
                await anyio.sleep(0.01)
            await anyio.sleep(0.2)
            assert told(venue) == [], "the quote that was asked for before came meanwhile"
            s.chain.advance(1)
        await venue.refresh()
        fill, *_, quote = of(told(venue), Fill, Quote)
        assert quote.at >= fill.at

    run(story)


def test_a_market_of_one_dex_trades_there():
    def markets(s):
        return s.market(), s.market("SOL/USDC:Raydium", dexes="Raydium"), s.market("SOL/USDC:Orca", dexes="Orca Whirlpool")

    async def story(s, venue, whole, raydium, orca):
        bids = {quote.instrument.symbol: quote.bid for quote in of(told(venue), Quote)}
        assert bids["SOL/USDC"] == bids["SOL/USDC:Orca"] > bids["SOL/USDC:Raydium"]
        kept = s.jupiter.pool("Orca Whirlpool")
        await venue.submit(s.sell(raydium, "1"))
        assert s.jupiter.pool("Orca Whirlpool") == kept and s.jupiter.pool("Raydium").base > 10_000 * PER_SOL
        (fill,) = of(told(venue), Fill)
        assert fill.instrument == raydium.instrument
        async with s.driver(whole, raydium, orca) as other:
            assert list(await other.history(0)) == [fill], "the memo says which of the markets it was"

    run(story, markets=markets)


def test_quotes_are_of_the_size_and_rounded_against_us():
    async def story(s, venue, market):
        (quote,) = of(told(venue), Quote)
        (reading,) = [one for one in s.jupiter.asked("build") if one.query["inputMint"] == str(WSOL)]
        assert reading.query["amount"] == str(5 * PER_SOL)
        got = pool(151).sell(5 * PER_SOL).got
        assert quote.bid == got * 10**9 // (5 * 10**6), "price units of 10^-9"
        bought = pool(151).buy_with(got).got
        assert quote.ask == -(-got * 10**18 // (bought * 10**6))

    run(story, markets=lambda s: (s.market(size="5"),), pools={"Orca Whirlpool": pool(151)})


def test_pools_that_disagree_are_told_against_us():
    """The router would sell at 151 and buy at 150: as a quote that is a bid of 150 and an ask of 151."""

    async def story(s, venue, market):
        (quote,) = of(told(venue), Quote)
        assert quote.ask == 151 * 10**9 and 150 * 10**9 <= quote.bid < 150 * 10**9 + 1_000

    run(story, pools={"Raydium": flat(150), "Orca Whirlpool": flat(151)})


@both
def test_the_feed_tells_by_itself_and_with_the_slot(backend):
    with stand() as s:

        async def main():
            seen = []
            async with s.driver(s.market(), quote_every=0.05) as venue, aclosing(venue.events()) as events:
                while len(of(seen, Quote)) < 3:
                    seen.append(await anext(events))
            assert of(seen, Reading)[0] == Reading("SOL/USDC slot", of(seen, Reading)[0].at, float(s.chain.slot))
            assert [type(one) for one in seen[:2]] == [Reading, Quote]
            times = [one.at for one in of(seen, Quote)]
            assert times == sorted(times)

        anyio.run(main, backend=backend)


def test_a_feed_that_is_lost_says_so_and_comes_back():
    with stand() as s:

        async def main():
            async with s.driver(s.market(), quote_every=0.02) as venue:
                async with aclosing(venue.events()) as events:
                    assert isinstance(await anext(events), Reading)
                    s.jupiter.fault("build", Fault.status(503), times=5)
                    with pytest.raises(VenueUnavailable, match="503"):
                        await _forever(events)
                async with aclosing(venue.events()) as again:
                    with pytest.raises(VenueUnavailable, match="503"):
                        await _forever(again)
                s.jupiter._faults.clear()
                async with aclosing(venue.events()) as third:
                    assert isinstance(await anext(third), (Reading, Quote))

        anyio.run(main)


async def _forever(events):
    async for _ in events:
        pass


# -- bounds ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_a_limit_is_a_bound_on_both_sides(side):
    """The best price of the pool is found; a limit there trades, one beyond it does not."""

    async def story(s, venue, market):
        before = s.holds()
        edge = flat(150).numerator * 1_000 if side is Side.BUY else 150 * 10**9
        inside, outside = edge, edge - side.sign * 10**3
        await venue.submit(s.order(market, side, "1", limit=outside, tif=TimeInForce.IOC))
        (over,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(over, Canceled) and s.sent() == (0, 0) and s.holds() == before
        order = s.order(market, side, "1", limit=inside, tif=TimeInForce.IOC)
        await venue.submit(order)
        (fill,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(fill, Fill) and (fill.qty, fill.price) == (PER_SOL, edge)
        await check_books(s, venue, before)

    run(story, pools={"Flat": flat(150)})


def test_the_threshold_keeps_to_the_bound_and_not_to_the_slippage_alone():
    async def story(s, venue, market):
        sell = s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC)
        await venue.submit(sell)
        last = s.jupiter.asked("build")[-1]
        assert int(last.query["slippageBps"]) == 6, "150 less 6 bp is 149.91, less 7 it is 149.895"
        assert of(told(venue), Fill)

    run(story, pools={"Flat": flat(150)})


@pytest.mark.parametrize(("moved", "fills"), [("149.91", True), ("149.89", False)])
def test_the_market_moves_between_the_look_and_the_block(moved, fills):
    """By then the transaction is signed: it lands, and Jupiter's threshold or its own last line holds it."""

    async def story(s, venue, market):
        before = s.holds()
        order = s.sell(market, "1", limit="149.9", tif=TimeInForce.IOC)
        await meanwhile(s, venue, order, lambda: s.jupiter.price("Flat", moved))
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Fill if fills else Canceled)
        report = await venue.look_up(order)
        assert report.status is (OrderStatus.FILLED if fills else OrderStatus.CANCELED)
        if not fills:
            assert "moved on" in event.reason
            (line,) = await venue.cash_flows(0)
            assert (line.kind, line.ref, line.amount) == (FlowKind.FEE, "", SOL.units(s.holds()[0] - before[0]))
            assert line.amount.units < 0, "it landed, and failed: that cost its fee and nothing else"
        await check_books(s, venue, before)

    run(story, pools={"Flat": flat(150)})


def test_the_transaction_holds_itself_to_the_least_where_the_interface_does_not():
    """The interface builds a swap without any threshold: the last instruction fails, the swap with it."""

    async def story(s, venue, market):
        before = s.holds()

        def careless(answer):
            data = bytearray(b64decode(answer["swapInstruction"]["data"]))
            data[24:26] = (10_000).to_bytes(2, "little")
            answer["swapInstruction"]["data"] = b64encode(bytes(data)).decode()
            return answer

        s.jupiter.tamper["build"] = careless
        for side, limit, worse in ((Side.SELL, "149.9", "100"), (Side.BUY, "150.1", "200")):
            s.jupiter.price("Flat", "150")
            order = s.order(market, side, "1", limit=limit, tif=TimeInForce.IOC)
            await meanwhile(s, venue, order, lambda worse=worse: s.jupiter.price("Flat", worse))
            (event,) = of(told(venue), Fill, Canceled, Rejected)
            assert isinstance(event, Canceled), event
        assert s.holds()[1:] == before[1:] and before[0] - s.holds()[0] < 11_000

    run(story, pools={"Flat": flat(150)})


def test_fill_or_kill_is_whole_or_nothing():
    async def story(s, venue, market):
        order = s.buy(market, "1", limit="152", tif=TimeInForce.FOK)
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert fill.qty == PER_SOL
        assert int(s.jupiter.asked("build")[-1].query["slippageBps"]) == 0, "it must bring all of it"
        dear = s.buy(market, "1", limit="140", tif=TimeInForce.FOK)
        await venue.submit(dear)
        assert [event.order_id for event in of(told(venue), Canceled)] == [dear.id]

    run(story, pools={"Flat": flat(150)})


# -- what is refused -----------------------------------------------------------------------------------------------------------


REFUSED = {
    "a limit that rests": (lambda s, m: s.buy(m, "1", limit="150"), "rests"),
    "a stop": (lambda s, m: s.sell(m, "1", stop=100 * 10**9), "stop"),
    "post-only": (lambda s, m: s.buy(m, "1", limit="150", post_only=True), "post-only"),
    "more coins than there are": (lambda s, m: s.sell(m, "11"), "funds"),
    "more money than there is": (lambda s, m: s.buy(m, "100", worst="200"), "funds"),
    "all of the SOL, fees unpaid": (lambda s, m: s.sell(m, "10"), "funds"),
    "a stranger's market": (lambda s, m: s.sell(s.market("SOL/USDC:2"), "1"), "not traded"),
    "the market with other terms": (lambda s, m: s.sell(s.market(lot="0.1"), "1"), "not traded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_once_and_costs_nothing(name):
    make, why = REFUSED[name]

    async def story(s, venue, market):
        before, order = s.holds(), make(s, market)
        await venue.submit(order)
        await venue.submit(order)
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and event.reached and why in event.reason
        report = await venue.look_up(order)
        assert (report.status, report.filled) == (OrderStatus.REJECTED, 0)
        assert s.sent() == (0, 0) and s.holds() == before

    run(story)


def test_an_order_sent_twice_is_one_order():
    async def story(s, venue, market):
        order = s.buy(market, "1", worst="160")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(venue.submit, order)
        await venue.submit(order)
        assert len(of(told(venue), Fill)) == 1 and s.sent() == (1, 0)

    run(story)


def test_orders_of_one_wallet_go_one_after_the_other():
    async def story(s, venue, market):
        before = s.holds()
        orders = [s.buy(market, "0.5", worst="160"), s.sell(market, "0.3"), s.buy(market, "0.1", worst="160")]
        async with anyio.create_task_group() as tasks:
            for order in orders:
                tasks.start_soon(venue.submit, order)
        assert sorted(fill.order_id for fill in of(told(venue), Fill)) == sorted(order.id for order in orders)
        await check_books(s, venue, before)

    run(story)


def test_it_settles_and_transfers_nothing():
    async def story(s, venue, market):
        with pytest.raises(VenueRejected):
            await venue.settle(market.instrument)
        with pytest.raises(VenueRejected):
            await venue.transfer(Transfer("t", USDC("1")))
        assert await venue.positions() == {}
        await venue.cancel(s.buy(market, "1"))
        assert await venue.look_up(s.buy(market, "1")) is None, "never sent"

    run(story)


def test_before_it_is_open_and_after_nothing_is_done():
    with stand() as s:
        market = s.market()
        venue = s.driver(market)

        async def main():
            for _ in range(2):
                for call in (
                    partial(venue.submit, s.buy(market, "1", worst="160")),
                    partial(venue.cancel, s.buy(market, "1")),
                    venue.balances,
                    venue.positions,
                    venue.open_orders,
                    venue.refresh,
                    partial(venue.history, 0),
                    partial(venue.cash_flows, 0),
                    lambda: anext(venue.events()),
                ):
                    with pytest.raises(VenueUnavailable, match="not open"):
                        await call()
                async with venue:
                    await venue.aopen()
                    assert (await venue.balances())["USDC"] == USDC("10000")
                await venue.aclose()

        anyio.run(main)


# -- answers that are lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.lost(), Fault.after(Fault.status(502)), Fault.after(Fault.garbage())])
def test_an_answer_that_is_lost_is_followed_to_its_end(fault):
    async def story(s, venue, market):
        before = s.holds()
        s.node.fault("sendTransaction", fault)
        order = s.buy(market, "1", worst="160")
        await venue.submit(order)
        (fill,) = of(told(venue), Fill)
        assert fill.qty == PER_SOL
        await check_books(s, venue, before)

    run(story)


@pytest.mark.parametrize("word", ["build", "getMultipleAccounts", "simulateTransaction", "getLatestBlockhash"])
def test_what_fails_before_it_is_sent_was_not_sent_and_may_be_ordered_again(word):
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault(word, Fault.status(503), times=3)
        s.jupiter.fault(word, Fault.status(503))
        with pytest.raises(VenueUnavailable):
            await venue.submit(order)
        assert s.holds() == before and s.sent() == (0, 0) and not of(told(venue), Fill, Canceled, Rejected)
        s.node._faults.clear()
        await venue.submit(order)
        assert len(of(told(venue), Fill)) == 1

    run(story)


def test_a_blockhash_that_is_too_old_when_it_comes_is_not_signed():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("getLatestBlockhash", Fault.expired())
        with pytest.raises(VenueUnavailable, match="BlockhashNotFound"):
            await venue.submit(order)
        assert s.sent() == (0, 0) and s.holds() == before and not of(told(venue), Fill, Canceled, Rejected)
        await venue.submit(order)
        assert of(told(venue), Fill)

    run(story)


def test_a_blockhash_that_expires_before_it_is_sent_was_not_sent():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault(
            "sendTransaction",
            Fault.error(-32002, "Transaction simulation failed: Blockhash not found", {"err": "BlockhashNotFound", "logs": []}),
        )
        with pytest.raises((VenueUnavailable, VenueUnknown)) as raised:
            await venue.submit(order)
        assert isinstance(raised.value, VenueUnavailable) and s.holds() == before

    run(story)


def test_a_node_that_takes_nothing_was_not_reached():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("sendTransaction", Fault.status(429), times=3)
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await venue.submit(order)
        assert s.holds() == before
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1

    run(story)


def test_a_transaction_that_is_dropped_is_sent_again_and_lands_once():
    async def story(s, venue, market):
        before = s.holds()
        s.node.fault("sendTransaction", Fault.dropped(), times=2)
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1 and s.sent()[0] >= 3
        signatures = {call.params[0] for call in s.node.asked("sendTransaction")}
        assert len(signatures) == 1, "the same bytes each time"
        await check_books(s, venue, before)

    run(story)


def test_one_that_never_lands_is_rejected_only_when_it_can_land_no_more():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("sendTransaction", Fault.dropped(), times=1_000)
        with pytest.raises(VenueUnknown, match="not decided"):
            await venue.submit(order)
        assert not of(told(venue), Fill, Canceled, Rejected)
        (open_one,) = await venue.open_orders()
        assert (open_one.order_id, open_one.status) == (order.id, OrderStatus.OPEN)
        assert (await venue.look_up(order)).status is OrderStatus.OPEN
        await venue.submit(order)
        s.chain.advance(151)
        await anyio.sleep(0.1)
        assert not of(told(venue), Rejected), "its blockhash is old, but not by blocks that are final"
        s.chain.advance(33)
        with anyio.fail_after(5):
            while not (said := of(told(venue), Fill, Canceled, Rejected)):
                await anyio.sleep(0.01)
        (event,) = said
        assert isinstance(event, Rejected) and not event.reached and "expired" in event.reason
        assert s.holds() == before and await venue.open_orders() == []
        s.node._faults.clear()
        await venue.submit(s.buy(market, "1", worst="160"))
        assert len(of(told(venue), Fill)) == 1, "the wallet is free again"

    run(story, driver={"confirm_within": 0.5})


def test_one_that_lands_late_is_told_when_it_does():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("sendTransaction", Fault.late(5), times=1_000)
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        later = s.sell(market, "1")
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await venue.submit(later)
        s.chain.advance(5)
        s.node._faults.clear()
        with anyio.fail_after(5):
            while not (said := of(told(venue), Fill)):
                await anyio.sleep(0.01)
        assert said[0].order_id == order.id
        await check_books(s, venue, before)

    run(story, driver={"confirm_within": 0.4})


def test_one_that_lands_and_fails_is_rejected_and_its_fee_is_a_line():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("sendTransaction", Fault.fails({"InstructionError": [3, {"Custom": 1}]}))
        await venue.submit(order)
        (event,) = of(told(venue), Fill, Canceled, Rejected)
        assert isinstance(event, Rejected) and event.reached and "failed" in event.reason
        (line,) = await venue.cash_flows(0)
        assert (line.kind, line.ref) == (FlowKind.FEE, "") and line.amount.units == s.holds()[0] - before[0] < 0
        async with s.driver(market) as other:
            report = await other.look_up(order)
            assert (report.status, report.filled) == (OrderStatus.REJECTED, 0), "the memo says whose it was"
        await check_books(s, venue, before)

    run(story)


def test_an_order_is_found_by_its_memo_after_a_restart():
    async def story(s, venue, market):
        order = s.buy(market, "1", worst="160")
        await venue.submit(order)
        async with s.driver(market) as other:
            report = await other.look_up(order)
            assert (report.status, report.filled) == (OrderStatus.FILLED, PER_SOL)
            assert await other.look_up(s.buy(market, "1")) is None

    run(story)


def test_a_cancelled_submit_is_followed_on():
    async def story(s, venue, market):
        before, order = s.holds(), s.buy(market, "1", worst="160")
        s.node.fault("sendTransaction", Fault.late(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.submit, order)
            while not s.node.asked("sendTransaction"):
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        s.chain.advance(1)
        with anyio.fail_after(5):
            while not (said := of(told(venue), Fill)):
                await anyio.sleep(0.01)
        assert said[0].order_id == order.id
        await check_books(s, venue, before)

    run(story)


# -- what others do with the wallet ------------------------------------------------------------------------------------------


def test_money_that_comes_and_goes_is_a_line_of_its_own():
    async def story(s, venue, market):
        before = s.holds()
        other = Keypair()
        s.chain.airdrop(other.pubkey(), 5 * PER_SOL)
        _pay(s, other, s.key.pubkey(), PER_SOL)
        _pay(s, s.key, other.pubkey(), 2 * PER_SOL)
        lines = await venue.cash_flows(0)
        assert [(line.kind, line.amount, line.ref) for line in lines] == [
            (FlowKind.DEPOSIT, SOL("1"), ""),
            (FlowKind.FEE, SOL("-0.000005"), ""),
            (FlowKind.WITHDRAWAL, SOL("-2"), ""),
        ]
        assert await venue.history(0) == []
        await check_books(s, venue, before)

    run(story)


def _pay(s, key, to, lamports, memo=None):
    more = [memo_of(memo)] if memo else []
    blockhash, _ = s.chain.blockhash()
    message = MessageV0.try_compile(key.pubkey(), [transfer_sol(key.pubkey(), to, lamports), *more], [], blockhash)
    return s.chain.send(bytes(VersionedTransaction(message, [key])))


def test_a_memo_of_a_stranger_makes_no_order_of_ours():
    async def story(s, venue, market):
        order = s.buy(market, "1", worst="160")
        other = Keypair()
        s.chain.airdrop(other.pubkey(), 5 * PER_SOL)
        _pay(s, other, s.key.pubkey(), PER_SOL, f"{venue._ids.hex(order.id)} {order.place.qty} 1 {market.symbol}")
        assert await venue.history(0) == []
        assert await venue.look_up(order) is None
        (line,) = await venue.cash_flows(0)
        assert (line.kind, line.amount, line.ref) == (FlowKind.DEPOSIT, SOL("1"), "")

    run(story)


def test_a_swap_that_the_owner_made_elsewhere_bears_its_signature():
    async def story(s, venue, market):
        before = s.holds()
        order = s.jupiter.order({"inputMint": s.usdc.mint, "outputMint": str(WSOL), "amount": "150000000", "taker": str(s.key.pubkey())})
        tx = VersionedTransaction.from_bytes(b64decode(order["transaction"]))
        signature = s.chain.send(bytes(VersionedTransaction(tx.message, [s.key])))
        (fill,) = await venue.history(0)
        assert (fill.order_id, fill.trade_id) == (str(signature), str(signature))
        lots = int(order["outAmount"]) // market.instrument.lot_units
        assert (fill.side, fill.cost, fill.qty) == (Side.BUY, 150_000_000, lots * market.instrument.lot_units)
        assert fill.fee == SOL.units(before[0] + fill.qty - s.holds()[0])
        await check_books(s, venue, before)

    run(story)


def test_what_lies_aside_is_not_counted_and_not_sold():
    async def story(s, venue, market):
        assert (await venue.balances())["SOL"] == SOL("8")
        await venue.submit(s.sell(market, "8.001"))
        (event,) = of(told(venue), Fill, Rejected)
        assert isinstance(event, Rejected) and "funds" in event.reason
        await venue.submit(s.sell(market, "8"))
        (fill,) = of(told(venue), Fill, Rejected)
        assert fill.qty == 8 * PER_SOL
        assert (await venue.balances())["SOL"] == -fill.fee, "its fee came out of what lies aside"

    run(story, driver={"aside": "2"})


def test_wrapped_sol_is_sol():
    async def story(s, venue, market):
        s.chain.mint_to(WSOL, s.key.pubkey(), 3 * PER_SOL)
        assert (await venue.balances())["SOL"] == SOL("13")
        before = s.holds()
        await venue.submit(s.buy(market, "1", worst="160"))
        (fill,) = of(told(venue), Fill)
        assert fill.qty == PER_SOL
        await check_books(s, venue, before)

    run(story)


# -- slots -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("behind", "refused"), [(3, False), (4, True)])
def test_legs_of_slots_too_far_apart_are_refused(behind, refused):
    def markets(s):
        return s.market("SOL/USDC:Raydium", dexes="Raydium"), s.market("SOL/USDC:Orca", dexes="Orca Whirlpool"), s.market()

    async def story(s, venue, raydium, orca, whole):
        s.jupiter.behind["Raydium"] = behind
        await venue.refresh()
        assert venue.slots["SOL/USDC:Orca"] - venue.slots["SOL/USDC:Raydium"] == behind
        told(venue)
        for market in (raydium, orca):
            await venue.submit(s.sell(market, "0.5"))
            (event,) = of(told(venue), Fill, Rejected)
            assert isinstance(event, Rejected if refused else Fill)
            assert not refused or "slots apart" in event.reason
        await venue.submit(s.sell(orca, "0.5", reduce_only=True))
        await venue.submit(s.sell(whole, "0.5"))
        assert len(of(told(venue), Fill)) == 2, "an exit goes on, and a market of all DEXes is compared with none"

    run(story, markets=markets, driver={"most_slots_apart": 3})


# -- what cannot be ------------------------------------------------------------------------------------------------------------


def test_a_mint_with_other_decimals_is_refused_when_it_opens():
    with stand() as s:
        wrong = Token(Asset("USDC", 9), s.usdc.mint)

        async def main():
            with pytest.raises(InvalidMarket, match="6 decimals"):
                async with s.driver(Market.of("SOL/USDC", TOKENS["SOL"], wrong)):
                    pass
            with pytest.raises(InvalidMarket, match="no mint"):
                async with s.driver(Market.of("SOL/USDT", TOKENS["SOL"], TOKENS["USDT"])):
                    pass

        anyio.run(main)


def test_an_asset_that_is_counted_more_finely_than_the_chain_does():
    def markets(s):
        fine = Token(Asset("USDC", 8), s.usdc.mint, 6)
        return (Market.of("SOL/USDC", TOKENS["SOL"], fine),)

    async def story(s, venue, market):
        before = s.holds()
        await venue.submit(s.sell(market, "1"))
        (fill,) = of(told(venue), Fill)
        assert fill.cost == (s.holds()[1] - before[1]) * 100
        assert (await venue.balances())["USDC"] == Amount(s.holds()[1] * 100, market.quote.asset)

    run(story, markets=markets)


def test_terms_that_cannot_be():
    with stand() as s:
        market = s.market()
        for terms in (
            {"route": "direct"},
            {"slippage_bps": -1},
            {"slippage_bps": 10_000},
            {"slippage_bps": True},
            {"most_slots_apart": -1},
            {"confirm_within": 0},
            {"confirm_within": float("nan")},
            {"quote_every": 0},
        ):
            with pytest.raises(InvalidMarket):
                s.driver(market, **terms)
        with pytest.raises(InvalidMarket, match="DEXes"):
            s.driver(s.market(dexes="Raydium"), route="execute")
        for markets in ((market, market), (market, Market.of("SOL/U", TOKENS["SOL"], Token(Asset("USDC", 6), s.jitosol.mint)))):
            with pytest.raises(InvalidMarket):
                s.driver(*markets)
        with pytest.raises(InvalidMarket):
            Jupiter(s.driver()._signer, (), rpc=s.driver()._rpc, api=JupiterApi())


def test_a_pool_that_has_run_dry_has_no_quote_and_no_trade():
    async def story(s, venue, market):
        assert not of(told(venue), Quote)
        await venue.submit(s.sell(market, "1"))
        (event,) = of(told(venue), Fill, Rejected)
        assert isinstance(event, Rejected) and "No routes found" in event.reason

    run(story, markets=lambda s: (s.market(dexes="Nobody"),), pools={"Raydium": ConstantProduct(PER_SOL, 150 * 10**6, 0)})


def test_it_takes_time_only_to_wait(monkeypatch):
    """An order is decided within a fraction of a second on a chain that answers at once."""

    async def story(s, venue, market):
        before = time.monotonic()
        await venue.submit(s.buy(market, "1", worst="160"))
        assert time.monotonic() - before < 2

    run(story)
