"""The trail: every transaction once, in the chain's order; a node that tells a part, or tells otherwise, is not believed."""

from __future__ import annotations

import logging

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from past_stand import IDS, SOL, SUBS, USDC, Life, check_whole, reading

from sleeves.errors import VenueUnavailable
from sleeves.facts import Transferred
from sleeves.market import DAY
from sleeves.orders import Fill
from sleeves.testing.drift_server import drift_server
from sleeves.testing.solana_server import Fault
from sleeves.venues.drift.done import LAG
from sleeves.venues.drift.trail import Trail, in_order
from sleeves.venues.retry import Retry
from sleeves.venues.solana import Rpc
from strategies import law

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# -- the order of the chain ----------------------------------------------------------------------------------------------------


@law
@given(st.lists(st.tuples(st.integers(1, 4), st.sets(st.integers(0, 2), min_size=1)), max_size=12))
def test_lists_are_laid_together_as_the_chain_ran(ran):
    """Transactions of some slots, each in the lists of the addresses that it names: each once, and every list keeps its order."""
    slots = sorted(slot for slot, _ in ran)
    chain = [(slot, f"t{n}", names) for n, (slot, (_, names)) in enumerate(zip(slots, ran, strict=True))]
    lists = [[(slot, name) for slot, name, names in chain if number in names] for number in range(3)]
    order = in_order(lists)
    assert sorted(order) == sorted(name for _, name, _ in chain)
    for names in lists:
        assert [name for name in order if name in {one for _, one in names}] == [name for _, name in names]
    slot_of = {name: slot for slot, name, _ in chain}
    assert [slot_of[name] for name in order] == slots


@pytest.mark.parametrize("lists", [[[(2, "a"), (1, "b")]], [[(1, "a"), (1, "b")], [(1, "b"), (1, "a")]]])
def test_lists_that_contradict_are_refused(lists):
    with pytest.raises(VenueUnavailable, match="the node lists"):
        in_order(lists)


# -- on a node -----------------------------------------------------------------------------------------------------------------


def lived(drift):
    """A short life: two sub-accounts, five transactions that move something."""
    life = Life(drift)
    drift.open(life.key)
    drift.open(life.key, 1)
    drift.deposit(life.key, 0, 900 * USDC)
    life.shift(0, 1, 300 * USDC)
    life.trade(1, SOL, long=True, order_id="trend-1")
    return life


def trail_of(rpc, life, **more):
    return Trail(rpc, life.drift.deployment, life.owner, SUBS, IDS, **more)


def never_again():
    """Reads are asked once: what fails is seen at once."""
    return Retry(attempts=1)


@both
def test_each_transaction_is_read_once(backend):
    with drift_server() as drift:
        life = lived(drift)

        async def story():
            async with Rpc(drift.url) as rpc:
                trail = trail_of(rpc, life, at_once=2)
                with pytest.raises(VenueUnavailable, match="from when on"):
                    await trail.refresh()
                await trail.back_to(0)
                names = [one.signature for one in trail.records]
                assert len(names) == len(set(names)) == 6 and trail.start == 0
                slots = [one.slot for one in trail.records]
                assert slots == sorted(slots)
                asked = sum(call.method == "getTransaction" for call in drift.node.calls)
                assert asked == 6
                await trail.refresh()
                life.trade(1, SOL, long=False)
                await trail.refresh()
                assert len(trail.records) == 8
                assert sum(call.method == "getTransaction" for call in drift.node.calls) == 8
                drift.advance(40)  # what was told is final now, and is not listed again
                await trail.refresh()
                await trail.refresh()
                assert [one.signature for one in trail.records][:6] == names and len(trail.records) == 8

        anyio.run(story, backend=backend)


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("getTransaction", Fault.replaced(lambda _: None)),
        ("getTransaction", Fault.error(-32603)),
        ("getSignaturesForAddress", Fault.error(-32603)),
        ("getSignaturesForAddress", Fault.garbage()),
        ("getSlot", Fault.status(503)),
        ("getTransaction", Fault.replaced(lambda it: {**it, "slot": it["slot"] + 1})),
        ("getTransaction", Fault.replaced(lambda it: {**it, "meta": {**it["meta"], "logMessages": None}})),
        (
            "getTransaction",
            Fault.replaced(lambda it: {**it, "meta": {**it["meta"], "logMessages": [*it["meta"]["logMessages"][:2], "Log truncated"]}}),
        ),
    ],
)
def test_a_part_is_never_told(method, fault):
    """Whatever of it fails, at the first, second or third question: it raises, and the next try tells all of it."""
    with drift_server() as drift:
        life = lived(drift)

        async def story():
            async with Rpc(drift.url, retry=never_again()) as rpc:
                for nth in range(1 if method == "getSlot" else 3):
                    trail = trail_of(rpc, life, at_once=1)
                    if method == "getSlot":
                        await trail.back_to(0)
                    before = trail.records
                    if nth:
                        drift.node.fault(method, Fault.replaced(lambda told: told), nth)
                    drift.node.fault(method, fault)
                    with pytest.raises(VenueUnavailable):
                        await (trail.refresh() if method == "getSlot" else trail.back_to(0))
                    assert trail.records == before
                    await (trail.refresh() if method == "getSlot" else trail.back_to(0))
                    assert len(trail.records) == 6

        anyio.run(story)


def test_a_confirmed_transaction_that_is_gone_is_said_loudly(caplog):
    with drift_server() as drift:
        life = lived(drift)

        async def story():
            async with reading(life) as (_, past):
                await past.news(0)
                before = await past.history(0)
                newest = drift.chain.landings[-1]
                fork = Fault.replaced(lambda told: [one for one in told if one["slot"] != newest.slot])
                drift.node.fault("getSignaturesForAddress", fork, 6)
                with caplog.at_level(logging.CRITICAL, "sleeves.venues.drift"), pytest.raises(VenueUnavailable, match="are gone"):
                    await past.refresh()
                drift.node._faults.clear()
                await past.refresh()
                assert await past.history(0) == before

        anyio.run(story)
        assert "gone from the chain" in caplog.text


def test_a_node_that_is_behind_is_not_believed():
    """It is asked with the slot that was seen last: it waits, or says so; no fact is lost."""
    with drift_server() as drift:
        life = lived(drift)

        async def story():
            async with Rpc(drift.url, retry=never_again()) as rpc:
                trail = trail_of(rpc, life)
                await trail.back_to(0)
                with pytest.raises(VenueUnavailable):
                    await trail.refresh(min_slot=drift.chain.slot + 1_000)
                await trail.refresh(min_slot=drift.chain.slot)
                asked = [call for call in drift.node.calls if call.method == "getSignaturesForAddress"]
                assert asked[-1].params[1]["minContextSlot"] >= trail.records[-1].slot

        anyio.run(story)


@both
def test_what_was_long_ago_is_read_only_where_it_is_needed(backend):
    """A fill of an order that was placed long ago, and a deposit on top of an old one: as far back as they need, and no further."""
    with drift_server() as drift:
        life = lived(drift)
        number = life.place("trend-7", 1, "SOL-PERP", 2 * SOL, 140 * USDC, long=True)
        for days in (3, 20, 100):
            drift.pass_time(days * DAY // 10**9)
            drift.publish()
            life.shift(0, 1, 5 * USDC)
        drift.pass_time(3_600)
        drift.publish()
        since = drift.clock()
        drift.pass_time(2)  # blocks tell their time in whole seconds
        drift.publish()

        async def story():
            async with reading(life) as (_, past):
                await past.news(since)
                assert past._trail.start == since - LAG and not past._trail.records  # nothing has happened: nothing is read
                drift.deposit(life.key, 1, 7 * USDC)
                told = await past.news(since)
                assert [one.amount.units for one in told if isinstance(one, Transferred)] == [7 * USDC]
                deep = past._trail.start
                assert since - 2 * DAY < deep < since - LAG
                drift.fill(life.user(1), number, SOL, 139 * USDC)
                fills = [one for one in await past.news(since) if isinstance(one, Fill)]
                assert [fill.order_id for fill in fills] == ["trend-7"] and past._trail.start == 0
                assert past.name_of(1, number) == "trend-7"

        anyio.run(story, backend=backend)
        anyio.run(check_whole, life)


def test_a_node_without_the_beginning_says_so():
    """It has forgotten who placed an order: what was filled is not told as somebody's."""
    with drift_server() as drift:
        life = Life(drift)
        drift.open(life.key)
        drift.deposit(life.key, 0, 900 * USDC)
        number = life.place("trend-1", 0, "SOL-PERP", SOL, 160 * USDC, long=True)
        forgotten = {str(one.signature) for one in drift.chain.landings}
        drift.pass_time(100)
        drift.publish()
        since = drift.clock()
        drift.fill(life.user(0), number)

        async def story():
            async with reading(life) as (_, past):
                drift.node.fault(
                    "getSignaturesForAddress", Fault.replaced(lambda told: [one for one in told if one["signature"] not in forgotten]), 60
                )
                with pytest.raises(VenueUnavailable, match="the placing of order 1 of sub-account 0"):
                    await past.news(since - 50 * 10**9)
                drift.node._faults.clear()
                with pytest.raises(VenueUnavailable):
                    past.name_of(0, 99)

        anyio.run(story)
