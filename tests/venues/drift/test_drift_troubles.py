"""What goes wrong on the way: answers that are lost, transactions that never land, nodes that are behind, a process that dies."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
from drift_stand import PER_SOL, check_books, of, run, told

from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.facts import Shifted, TransferRefused
from sleeves.market import DAY
from sleeves.orders import Accepted, Canceled, Fill, OrderStatus, Rejected
from sleeves.testing.solana_server import Fault

SECOND = 10**9


@asynccontextmanager
async def passing(s, slots=40):
    """The chain goes on meanwhile: blocks are made, blockhashes grow old."""

    async def go_on():
        while True:
            await anyio.sleep(0.02)
            s.server.advance(slots)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        yield
        tasks.cancel_scope.cancel()


def market(venue):
    return venue.instrument("SOL-PERP", 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_order_whose_answer_is_lost_is_found_on_the_chain_and_sent_once(backend):
    async def story(s, venue):
        s.node.fault("sendTransaction", Fault.lost())
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        assert [one.order_id for one in of(told(venue), Accepted)] == [order.id]
        assert s.lying(1) == [1]
        await check_books(s, venue)

    run(story, backend)


def test_an_order_that_never_lands_is_dead_when_its_blockhash_is_and_not_before():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.dropped(), 1_000)
        order = s.buy(market(venue), "1")
        with pytest.raises(VenueUnknown, match="not decided yet"):
            await venue.submit(order)
        assert not told(venue), "nothing is known, so nothing is said"
        assert await venue.look_up(order) is None
        with pytest.raises(VenueUnavailable, match="not known to be placed"):
            await venue.cancel(order)
        async with passing(s):
            with anyio.fail_after(10):
                while await venue.look_up(order) is None:
                    await anyio.sleep(0.02)
        (said,) = of(told(venue), Rejected)
        assert (said.order_id, said.reached) == (order.id, False)
        assert "expired and never landed" in said.reason
        assert not s.lying(1)
        await check_books(s, venue)

    run(story, driver={"confirm_within": 0.6})


def test_an_order_that_lands_late_is_told_then():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.late(5))
        order = s.buy(market(venue), "1")
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        s.server.advance(10)
        with anyio.fail_after(5):
            while not s.lying(1) or await venue.look_up(order) is None:
                await anyio.sleep(0.02)
        assert (await venue.look_up(order)).status is OrderStatus.OPEN
        assert [one.order_id for one in of(told(venue), Accepted)] == [order.id]

    run(story, driver={"confirm_within": 0.3, "resend_s": 60})


def test_an_order_that_landed_with_an_error_is_no_success():
    """The chain says "landed": that is not "done". It is the trap that the reference measured in another library."""

    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.fails({"InstructionError": [2, {"Custom": 6003}]}))
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        events = told(venue)
        assert not of(events, Accepted)
        (said,) = of(events, Rejected)
        assert said.reached
        assert "landed and failed" in said.reason
        assert not s.lying(1)
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED
        async with s.driver() as other:
            assert (await other.look_up(order)).status is OrderStatus.REJECTED, "the chain tells another process the same"
        await check_books(s, venue)

    run(story)


@pytest.mark.parametrize(
    "fault", [Fault.status(429), Fault.status(503), Fault.error(-32005, "Node is behind"), Fault.cut(), Fault.garbage()], ids=str
)
def test_a_node_that_does_not_take_it_is_asked_again_or_nothing_was_sent(fault):
    """One try in vain: either it went through at the next, or it is said that nothing was done. Never neither, never twice."""

    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", fault)
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        assert len(of(told(venue), Accepted)) == 1
        assert s.lying(1) == [1]
        await check_books(s, venue)

    run(story)


def test_a_node_that_takes_nothing_at_all_had_nothing_and_the_order_may_be_sent_again():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.status(429), 1_000)
        order = s.buy(market(venue), "1")
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await venue.submit(order)
        assert not told(venue)
        s.mend()
        await venue.submit(order)
        assert len(of(told(venue), Accepted)) == 1
        assert s.lying(1) == [1]

    run(story)


@pytest.mark.parametrize("method", ["getMultipleAccounts", "getLatestBlockhash", "simulateTransaction"])
def test_a_node_that_does_not_answer_before_the_signature_had_nothing(method):
    async def story(s, venue):
        told(venue)
        s.node.fault(method, Fault.status(503), 1_000)
        order = s.buy(market(venue), "1")
        with pytest.raises(VenueUnavailable):
            await venue.submit(order)
        with pytest.raises(VenueUnavailable):
            await venue.transfer(s.transfer("1", 0, 1))
        s.mend()
        assert not told(venue)
        assert not s.lying(1)
        await venue.submit(order)
        assert s.lying(1) == [1]

    run(story)


def test_an_old_blockhash_of_a_node_that_is_behind_is_no_no():
    async def story(s, venue):
        s.server.advance(200)
        told(venue)
        s.node.fault("getLatestBlockhash", Fault.expired())
        order = s.buy(market(venue), "1")
        with pytest.raises(VenueUnavailable, match="behind"):
            await venue.submit(order)
        await venue.submit(order)
        assert len(of(told(venue), Accepted)) == 1

    run(story)


def test_priority_fees_that_are_not_told_hold_nothing_up():
    async def story(s, venue):
        s.node.fault("getRecentPrioritizationFees", Fault.status(503), 1_000)
        await venue.submit(s.buy(market(venue), "1"))
        assert s.lying(1) == [1]

    run(story)


def test_a_log_that_was_cut_tells_nothing_until_it_is_whole():
    async def story(s, venue):
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        s.server.fill(s.user(1), 1)
        told(venue)
        s.server.cut_logs(1)
        with pytest.raises(VenueUnavailable):
            await venue.hear()
        assert not told(venue)
        await venue.hear()
        assert len(of(told(venue), Fill)) == 1
        await venue.hear()
        assert not told(venue), "a fill is told once"
        await check_books(s, venue)

    run(story)


def test_a_cancel_whose_answer_is_lost_is_a_cancel():
    async def story(s, venue):
        order = s.buy(market(venue), "1", limit="140")
        await venue.submit(order)
        told(venue)
        s.node.fault("sendTransaction", Fault.lost())
        await venue.cancel(order)
        assert [one.order_id for one in of(told(venue), Canceled)] == [order.id]
        assert not s.lying(1)

    run(story)


def test_a_cancel_that_failed_on_the_chain_is_not_told_as_done():
    async def story(s, venue):
        order = s.buy(market(venue), "1", limit="140")
        await venue.submit(order)
        told(venue)
        s.node.fault("sendTransaction", Fault.fails())
        with pytest.raises(VenueUnavailable, match="landed and failed"):
            await venue.cancel(order)
        assert not of(told(venue), Canceled)
        assert s.lying(1) == [1]
        await venue.cancel(order)
        assert not s.lying(1)

    run(story)


def test_a_fill_before_the_cancel_is_a_fill():
    async def story(s, venue):
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        s.server.fill(s.user(1), 1)
        await venue.cancel(order)
        events = told(venue)
        assert len(of(events, Fill)) == 1
        assert not of(events, Canceled)
        assert (await venue.look_up(order)).status is OrderStatus.FILLED

    run(story)


def test_a_transfer_that_never_lands_frees_what_waits_behind_it_when_it_is_dead():
    async def story(s, venue):
        told(venue)
        s.node.fault("sendTransaction", Fault.dropped(), 1_000)
        one, other = s.transfer("400", 0, 1), s.transfer("400", 0, 1)
        with pytest.raises(VenueUnknown):
            await venue.transfer(one)
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await venue.transfer(other)
        assert not told(venue)
        assert not await venue.never_landed(one, s.server.clock())
        s.mend()
        async with passing(s):
            with anyio.fail_after(10):
                while not (said := of(told(venue), TransferRefused, Shifted)):
                    await anyio.sleep(0.02)
        if isinstance(said[0], TransferRefused):
            assert said[0].id == one.id
            await venue.transfer(other)
            assert [fact.id for fact in of(told(venue), Shifted)] == [other.id]
        await check_books(s, venue)

    run(story, driver={"confirm_within": 0.6, "resend_s": 60})


# -- a process that dies -------------------------------------------------------------------------------------------------------------


def test_after_a_restart_an_order_is_known_by_its_memo_and_can_be_canceled():
    async def story(s, venue):
        one, other = s.buy(market(venue), "1", limit="140"), s.buy(market(venue), "2", limit="139")
        await venue.submit(one)
        await venue.submit(other)
        s.server.fill(s.user(1), 1, price=140_000_000)
        await venue.aclose()
        async with s.driver() as again:
            assert not of(told(again), Fill, Accepted), "what was there before it opened is for history"
            assert [(one.order_id, one.qty) for one in await again.history(0) if isinstance(one, Fill)] == [(one.id, PER_SOL)]
            assert (await again.look_up(one)).status is OrderStatus.FILLED
            assert (await again.look_up(other)).status is OrderStatus.OPEN
            assert [report.order_id for report in await again.open_orders()] == [other.id]
            await again.cancel(other)
            assert not s.lying(1)
            assert [said.order_id for said in of(told(again), Canceled)] == [other.id]
            await check_books(s, again)

    run(story)


def test_a_process_that_dies_while_its_order_is_on_the_way_finds_it_again():
    async def story(s, venue):
        s.node.fault("sendTransaction", Fault.late(3))
        order = s.buy(market(venue), "1")
        with anyio.move_on_after(1.0) as scope:
            await venue.submit(order)
        assert scope.cancelled_caught
        await venue.aclose()
        async with s.driver() as again:
            assert await again.look_up(order) is None
            s.server.advance(5)
            report = await again.look_up(order)
            assert report.status is OrderStatus.OPEN
            assert s.lying(1) == [1]
            await again.hear()
            assert [one.order_id for one in of(told(again), Accepted)] == [order.id]

    run(story, driver={"resend_s": 60})


def test_an_order_of_an_earlier_process_is_dead_by_the_chains_own_word_alone():
    async def story(s, venue):
        s.server.pass_time(DAY // SECOND)
        s.node.fault("sendTransaction", Fault.dropped(), 1_000)
        order, one = s.buy(market(venue), "1"), s.transfer("5", 0, 1)
        for send in (venue.submit, venue.transfer):
            with pytest.raises(VenueUnknown):
                await send(order if send == venue.submit else one)
        asked = s.server.clock()
        await venue.aclose()
        s.mend()
        async with s.driver() as again:
            assert await again.look_up(order) is None, "asked for the first time"
            assert not await again.never_landed(one, asked)
            s.server.advance(250)
            assert await again.look_up(order) is None, "a lifetime of a blockhash is not enough"
            assert not await again.never_landed(one, asked)
            s.server.pass_time(900)
            report = await again.look_up(order)
            assert report.status is OrderStatus.REJECTED
            assert await again.never_landed(one, asked)

    run(story, driver={"confirm_within": 0.3, "resend_s": 60})


def test_a_transfer_that_landed_is_never_said_not_to_have():
    async def story(s, venue):
        s.server.pass_time(DAY // SECOND)
        one, asked = s.transfer("5", 0, 1), s.server.clock()
        await venue.transfer(one)
        await venue.aclose()
        async with s.driver() as again:
            for _ in range(3):
                assert not await again.never_landed(one, asked)
                s.server.pass_time(900)

    run(story)


# -- bundles -----------------------------------------------------------------------------------------------------------------------


def test_a_bundle_goes_first():
    async def story(s, venue):
        bundles, sent = len(s.engine.asked("sendBundle")), s.sent()
        await venue.submit(s.buy(market(venue), "1"))
        assert len(s.engine.asked("sendBundle")) == bundles + 1
        assert s.sent() == sent
        assert s.lying(1) == [1]
        await check_books(s, venue)

    run(story, jito=True)


def test_after_three_bundles_in_vain_it_goes_through_the_node():
    async def story(s, venue):
        s.engine.stop()
        sent = s.sent()
        order = s.buy(market(venue), "1")
        await venue.submit(order)
        assert s.sent() == sent + 1
        assert s.lying(1) == [1]

    run(story, jito=True)
