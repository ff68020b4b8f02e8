"""What a hostile chain, node, owner, clock and caller try: nothing is lost, told twice, or told that did not happen."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve
from drift_stand import PER_SOL, check_books, of, run, stand, told

from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.facts import Settled, Shifted, Transferred, TransferRefused
from sleeves.market import FundingRate, Quote
from sleeves.orders import Accepted, Canceled, Fill, OrderStatus, Rejected
from sleeves.testing.drift_server import Perp
from sleeves.testing.solana_server import Fault
from sleeves.venues.drift.deployment import DRIFT_V2

SECOND, MS = 10**9, 10**6


def market(venue, name="SOL-PERP", sub=1):
    return venue.instrument(name, sub)


# -- a node whose list of transactions lags behind its blocks ------------------------------------------------------------------


def lagging(s, times=1_000):
    """The node has the blocks, and does not list their newest transaction yet: the index of addresses is written later."""
    listed = {str(one.signature) for one in s.chain.landings}
    s.node.fault("getSignaturesForAddress", Fault.replaced(lambda page: [one for one in page if one["signature"] in listed]), times)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_order_that_landed_and_is_not_listed_yet_is_not_rejected(backend):
    async def story(s, venue):
        told(venue)
        lagging(s, 12)
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        events = told(venue)
        assert s.lying(1) == [1]
        assert not of(events, Rejected), "it lies on the exchange"
        assert [one.order_id for one in of(events, Accepted)] == [order.id]
        await check_books(s, venue)

    run(story, backend)


def test_a_transfer_that_landed_and_is_not_listed_yet_is_told_before_the_next_is_written():
    async def story(s, venue):
        told(venue)
        lagging(s, 12)
        one = s.transfer("5", 0, 1)
        await venue.transfer(one)
        assert [fact.id for fact in of(told(venue), Shifted, TransferRefused)] == [one.id]
        await check_books(s, venue)

    run(story)


def test_a_settlement_that_landed_and_is_not_listed_yet_is_not_answered_with_nothing():
    async def story(s, venue):
        await venue.submit(s.buy(market(venue), "1"))
        s.server.fill(s.user(1), 1)
        s.server.price("SOL-PERP", "140")
        await venue.hear()
        told(venue)
        lagging(s, 12)
        await venue.settle(market(venue))
        assert [fact.amount < 0 for fact in of(told(venue), Settled)] == [True]
        await check_books(s, venue)

    run(story)


# -- whoever asks gives up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_fill_that_was_being_told_when_its_listener_gave_up_is_told_later(backend):
    async def story(s, venue):
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        s.server.fill(s.user(1), 1)
        told(venue)
        room = venue._at.outbox
        while True:
            try:
                room.send_nowait(VenueUnavailable("so that there is no room"))
            except anyio.WouldBlock:
                break
        with anyio.move_on_after(0.5) as scope:
            await venue.hear()
        assert scope.cancelled_caught
        told(venue)
        await venue.hear()
        assert [one.order_id for one in of(told(venue), Fill)] == [order.id]
        await venue.hear()
        assert not of(told(venue), Fill), "once"

    run(story, backend)


def test_a_cancel_of_an_order_that_is_being_signed_is_not_passed_over():
    async def story(s, venue):
        told(venue)
        s.node.fault("simulateTransaction", Fault.slow(0.6))
        order = s.buy(market(venue), "1", limit="140")
        said = []

        async def cancel():
            await anyio.sleep(0.2)
            try:
                await venue.cancel(order)
            except VenueUnavailable as error:
                said.append(error)
            else:
                said.append(None)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel)
            await venue.submit(order)
        assert said
        assert said[0] is not None or not s.lying(1), "either it is off, or whoever asked knows that nothing was done"

    run(story)


# -- one bad market ------------------------------------------------------------------------------------------------------------

TWO = [Perp("SOL-PERP", "150"), Perp("BTC-PERP", "60000")]


@pytest.mark.parametrize("bad", ["SOL-PERP", "BTC-PERP"])
@pytest.mark.parametrize("what", ["oracle", "average"])
def test_a_market_that_cannot_be_priced_silences_no_other(bad, what):
    async def story(s, venue):
        other = "BTC-PERP" if bad == "SOL-PERP" else "SOL-PERP"
        s.server.pass_time(3_600)
        for name in venue.names:
            s.server.fund(name, 1_000_000)
        if what == "oracle":
            s.server.set("PythLazerOracle", s.server.oracles[bad], price=0)
        else:
            s.server.set("PerpMarket", s.deployment.perp_market(s.server.index(bad)), last_funding_oracle_twap=0)
        told(venue)
        await venue.refresh()
        events = told(venue)
        assert {one.instrument.symbol for one in of(events, Quote)} >= {f"{other}:0", f"{other}:1"}
        assert {one.instrument.symbol for one in of(events, FundingRate)} >= {f"{other}:0", f"{other}:1"}
        if what == "oracle":
            assert not any(one.instrument.symbol.startswith(bad) for one in of(events, Quote))
        else:
            assert any(one.instrument.symbol.startswith(bad) for one in of(events, Quote))

    run(story, perps=TWO, driver={"markets": ("SOL-PERP", "BTC-PERP")}, deployment=DRIFT_V2)


@pytest.mark.parametrize("price", [0, -1])
def test_without_a_price_an_order_and_a_transfer_end_in_words_that_the_shell_knows(price):
    async def story(s, venue):
        await venue.submit(s.buy(market(venue), "1"))
        s.server.fill(s.user(1), 1)
        await venue.hear()
        told(venue)
        s.server.set("PythLazerOracle", s.server.oracles["SOL-PERP"], price=price)
        sent = s.sent()
        for ask in (
            venue.submit(s.sell(market(venue), "1")),
            venue.transfer(s.transfer("1", 1, 0)),
            venue.settle(market(venue)),
            venue.rehearse(s.transfer("1", 1, 0)),
        ):
            try:
                await ask
            except VenueUnavailable:
                pass
        assert s.sent() == sent
        assert not of(told(venue), Settled, Shifted, Accepted)

    run(story)


# -- old, and told as new -------------------------------------------------------------------------------------------------------


def test_a_node_that_stands_still_makes_no_price():
    """All of it is of one slot, and old: State, oracle and slot agree, so that only a clock can tell."""

    async def story(s, venue):
        told(venue)
        await venue.refresh()
        assert of(told(venue), Quote)
        s.server.clock.skipped += 90 * SECOND
        sent = s.sent()
        await venue.refresh()
        assert not of(told(venue), Quote)
        await venue.submit(s.buy(market(venue), "1"))
        assert not s.lying(1)
        assert s.sent() == sent

    run(story)


def test_a_look_is_never_of_before_the_last():
    async def story(s, venue):
        s.server.advance(3)
        seen = await venue.look()
        s.node.fault("getMultipleAccounts", Fault.replaced(lambda it: {**it, "context": {**it["context"], "slot": seen.slot - 2}}), 1_000)
        with pytest.raises(VenueUnavailable):
            await venue.look()

    run(story)


@pytest.mark.parametrize("apart", [-3_600, 3_600])
def test_a_clock_that_is_far_from_the_chains_does_not_open(apart):
    with stand() as s:

        async def main():
            with pytest.raises(VenueUnavailable, match="clock"):
                async with s.driver(clock=lambda: s.server.clock() + apart * SECOND):
                    raise AssertionError("it opened")

        anyio.run(main)


def test_an_exchange_with_more_markets_than_fit_one_question_opens():
    perps = [Perp(f"M{number}-PERP", "10") for number in range(60)]
    with stand(DRIFT_V2, perps=perps) as s:

        async def main():
            async with s.driver(markets=("M3-PERP", "M59-PERP")) as venue:
                await venue.refresh()
                assert {one.instrument.symbol.partition(":")[0] for one in of(told(venue), Quote)} == {"M3-PERP", "M59-PERP"}

        anyio.run(main)


# -- what a run says and what a block does --------------------------------------------------------------------------------------


def test_a_withdrawal_that_the_program_cuts_down_is_told_as_what_came():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.late(5))
        one = s.transfer("-600")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.transfer, one)
            await anyio.sleep(1.0)
            s.server.withdraw(s.key, 0, int(s.usd("200").units))
            s.server.advance(10)
        events = of(told(venue), Transferred, TransferRefused)
        (came,) = [fact for fact in events if fact.id == one.id]
        assert isinstance(came, Transferred)
        assert came.amount.units == -(s.wallet() - 200_000_000)
        assert 499_999_990 <= -came.amount.units <= 500_000_000, "what was left, and not what was asked for"
        await check_books(s, venue)

    run(story, driver={"resend_s": 60})


def test_a_withdrawal_that_the_program_cuts_down_to_nothing_is_refused():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.late(5))
        one = s.transfer("-600")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.transfer, one)
            await anyio.sleep(1.0)
            s.server.withdraw(s.key, 0, s.coins(0))
            s.server.advance(10)
        events = told(venue)
        assert [fact.id for fact in of(events, TransferRefused)] == [one.id]
        assert all(fact.id != one.id for fact in of(events, Transferred))
        await check_books(s, venue)

    run(story, driver={"resend_s": 60})


# -- a second process, and the same one again -----------------------------------------------------------------------------------


def test_an_order_that_an_earlier_process_placed_is_not_placed_again():
    async def story(s, venue):
        order = s.buy(market(venue), "1", limit="140")
        await venue.submit(order)
        await venue.aclose()
        async with s.driver() as again:
            await again.submit(order)
            assert s.lying(1) == [1]

    run(story)


def test_another_order_that_has_the_id_of_one_on_the_chain_is_rejected_and_says_so():
    """Fresh books on a used wallet count from one again: what the wallet did before is not what they asked for."""

    async def story(s, venue):
        order = s.buy(market(venue), "1", limit="140")
        await venue.submit(order)
        await venue.aclose()
        async with s.driver() as again:
            for later in (MS, 60 * SECOND):
                other = evolve(order, at=order.at + later)
                again._orders.clear()
                assert await again.look_up(other) is None, "what became of the other one is no word of this one"
                await again.cancel(other)
                assert s.lying(1) == [1]
                await again.submit(other)
                (said,) = of(told(again), Rejected)
                assert said.order_id == order.id
                assert "is on the chain for another order" in said.reason
                assert "name the sleeves otherwise" in said.reason
                assert s.lying(1) == [1]
            again._orders.clear()
            assert (await again.look_up(order)).status is OrderStatus.OPEN
            await again.submit(order)
            assert not of(told(again), Rejected)
            assert s.lying(1) == [1]

    run(story)


def test_a_transfer_of_another_driver_in_the_same_process_moves_nothing_again():
    async def story(s, venue):
        one = s.transfer("10", 0, 1)
        async with s.driver() as other:
            await venue.transfer(one)
            before, sent = (s.coins(0), s.coins(1)), s.sent()
            await venue.transfer(one)
            await other.transfer(one)
            assert [fact.id for fact in of(told(other), Shifted)] == [one.id], "it is told what happened, and nothing else"
        async with s.driver() as later:
            await later.transfer(one)
            assert not of(told(later), Shifted, TransferRefused)
        assert ((s.coins(0), s.coins(1)), s.sent()) == (before, sent)

    run(story)


@pytest.mark.parametrize(("seconds", "known"), [(590, True), (700, False)])
def test_a_transfer_of_long_before_is_neither_sent_again_nor_said_to_be_the_same(seconds, known):
    async def story(s, venue):
        one = s.transfer("10", 0, 1)
        await venue.transfer(one)
        await venue.aclose()
        s.server.pass_time(seconds)
        before = s.coins(0), s.coins(1)
        async with s.driver() as later:
            if known:
                await later.transfer(one)
            else:
                with pytest.raises(VenueUnknown, match=r"is on the chain already, for 10 USDT at .*name the vault's wallet otherwise"):
                    await later.transfer(one)
            assert not of(told(later), Shifted, TransferRefused)
        assert (s.coins(0), s.coins(1)) == before

    run(story)


@pytest.mark.parametrize(("behind", "late"), [(8, False), (20, True)])
def test_an_order_that_was_passed_over_for_its_end_says_both_times(behind, late):
    async def story(s, venue):
        async with s.driver(clock=lambda: s.server.clock() - behind * SECOND, last_s=10) as slow:
            order = s.buy(market(slow), "1")
            await slow.submit(evolve(order, at=order.at - behind * SECOND))
            said = of(told(slow), Rejected)
            assert bool(said) is late, said
            if late:
                assert "its end, " in said[0].reason
                assert "lay behind the chain's clock, " in said[0].reason
            assert bool(s.lying(1)) is not late

    run(story)


# -- fills -------------------------------------------------------------------------------------------------------------------------


def test_filled_in_parts_and_taken_off_by_the_owners_hand():
    async def story(s, venue):
        order = s.buy(market(venue), "3", limit="160")
        await venue.submit(order)
        s.server.fill(s.user(1), 1, base=PER_SOL)
        s.server.fill(s.user(1), 1, base=PER_SOL)
        s.server.cancel(s.key, 1, 1)
        await venue.hear()
        events = told(venue)
        assert [one.qty for one in of(events, Fill)] == [PER_SOL, PER_SOL]
        assert [one.order_id for one in of(events, Canceled)] == [order.id]
        assert (await venue.look_up(order)).filled == 2 * PER_SOL
        await check_books(s, venue)

    run(story)


def test_what_others_pay_is_asked_of_a_node_that_cannot_say_and_nothing_is_rejected_for_it():
    async def story(s, venue):
        told(venue)
        s.node.fault("getRecentPrioritizationFees", Fault.error(-32601, "Method not found"), 1_000)
        await venue.submit(s.buy(market(venue), "1"))
        assert not of(told(venue), Rejected)
        assert s.lying(1) == [1]

    run(story)


def test_the_watch_goes_on_after_an_answer_that_nobody_foresaw():
    async def story(s, venue):
        async with s.driver(watch_every=0.05, quote_every=0.05) as other:
            real, times = other._at.past.news, []

            async def news(since):
                times.append(since)
                if len(times) < 3:
                    raise KeyError("something that nobody foresaw")
                return await real(since)

            other._at.past.news = news
            with pytest.raises(VenueUnavailable):
                async for _ in other.events():
                    pass
            with anyio.fail_after(5):
                while len(times) < 5:
                    await anyio.sleep(0.05)

    run(story)
