"""The inbox: nothing that happened is lost, prices are the newest, and nobody is kept waiting for ever."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import BTC, ETH, SOL, USD, Instrument
from sleeves.errors import VaultError
from sleeves.facts import FundingPaid, Transferred
from sleeves.inbox import Inbox
from sleeves.market import FundingRate, Kind, Quote
from sleeves.news import Reading
from sleeves.orders import Accepted

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
MARKETS = [Instrument(f"{coin.code}/USD", base=coin, quote=USD, tick="0.01", lot="0.00001") for coin in (BTC, ETH, SOL)]
PERP = Instrument("SOL-PERP", base=SOL, quote=USD, kind=Kind.PERP, tick="0.01", lot="0.01")


def quote(n, market=0):
    return Quote(MARKETS[market], n, 100 + n, 100 + n)


def fact(n):
    return Transferred(n, USD("1"), f"t-{n}", "pit")


async def filled(*events, most=1_024):
    inbox = Inbox(most)
    for event in events:
        await inbox.put(event, float(event.at))
    inbox.close()
    return inbox


async def emptied(inbox):
    found = []
    while (one := await inbox.take()) is not None:
        found.append(one)
    return found


def out(*events, backend="asyncio", most=1_024):
    async def run():
        return [one.event for one in await emptied(await filled(*events, most=most))]

    return anyio.run(run, backend=backend)


@both
def test_the_newest_price_of_an_instrument_is_the_one_that_is_handed_out(backend):
    assert out(quote(1), quote(2), quote(3), backend=backend) == [quote(3)]
    assert out(quote(1), quote(2, 1), quote(3), backend=backend) == [quote(3), quote(2, 1)]


@both
def test_facts_that_came_before_a_price_are_handed_out_before_it(backend):
    assert out(quote(1), fact(2), quote(3), backend=backend) == [fact(2), quote(3)]
    assert out(quote(1), fact(2), quote(3, 1), backend=backend) == [quote(1), fact(2), quote(3, 1)]


@both
def test_facts_and_order_events_are_all_handed_out_in_order(backend):
    events = [fact(1), Accepted("a-1", 2), fact(3), Accepted("a-1", 2), fact(3)]
    assert out(*events, backend=backend) == events


@both
def test_news_is_conflated_by_kind_and_topic_and_what_was_paid_is_not(backend):
    readings = [Reading("mood", 1, 0.1), Reading("mood", 2, 0.2), Reading("rain", 3, 0.3)]
    rates = [FundingRate(PERP, at, at, 100, 3600) for at in (4, 5)]
    paid = [FundingPaid(FundingRate(PERP, at, 1, 100, 3600), 100, 1, f"f-{at}") for at in (6, 7)]
    assert out(*readings, *rates, *paid, backend=backend) == [readings[1], readings[2], rates[1], *paid]


@both
def test_it_counts_what_it_conflates_and_how_deep_it_was(backend):
    async def run():
        inbox = await filled(quote(1), quote(2), fact(3), quote(4, 1), quote(5))
        assert (len(inbox), inbox.conflated, inbox.most_depth, inbox.waits) == (3, 2, 3, 0)
        found = await emptied(inbox)
        assert [one.at for one in found] == [3.0, 5.0, 4.0], "the moment at which what is handed out came"
        assert len(inbox) == 0

    anyio.run(run, backend=backend)


@both
def test_prices_in_haste_do_not_keep_another_instrument_waiting(backend):
    """A batch of prices in the same order again and again, and one taken in the meantime: each has its turn."""

    async def run():
        inbox, taken = Inbox(), []
        for n in range(0, 30, 3):
            for market in range(3):
                await inbox.put(quote(n + market, market))
            if n % 2:
                await inbox.put(fact(n))
            taken.append((await inbox.take()).event)
        quotes = [MARKETS.index(one.instrument) for one in taken if isinstance(one, Quote)]
        assert set(quotes[:3]) == {0, 1, 2} and set(quotes[-3:]) == {0, 1, 2}

    anyio.run(run, backend=backend)


@both
def test_a_reader_waits_while_too_many_events_wait_but_not_with_the_price_that_takes_anothers_place(backend):
    async def run():
        inbox, put = Inbox(2), []

        async def reader():
            for event in (quote(1), fact(2), quote(3), quote(4, 1), fact(5)):
                await inbox.put(event)
                put.append(event)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            assert put == [quote(1), fact(2), quote(3)] and inbox.waits == 1
            assert (await inbox.take()).event == fact(2)
            await anyio.wait_all_tasks_blocked()
            assert put[-1] == quote(4, 1) and inbox.waits == 2
            assert (await inbox.take()).event == quote(3)
            await anyio.wait_all_tasks_blocked()
            assert put[-1] == fact(5)
        inbox.close()
        assert [one.event for one in await emptied(inbox)] == [quote(4, 1), fact(5)] and inbox.most_depth == 2

    anyio.run(run, backend=backend)


@both
def test_neither_a_reader_nor_a_handler_that_never_waits_keeps_the_others_from_running(backend):
    async def run():
        inbox, seen = Inbox(8), 0

        async def reader():
            for n in range(200):
                await inbox.put(quote(n))
            inbox.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            while await inbox.take() is not None:
                seen += 1
        assert seen > 20, "the handler had its turns while the reader was at it"

    anyio.run(run, backend=backend)


@both
def test_a_closed_inbox_hands_out_what_it_has_and_then_nothing(backend):
    async def run():
        inbox = await filled(fact(1))
        assert (await inbox.take()).event == fact(1)
        assert await inbox.take() is None
        assert await inbox.take() is None

    anyio.run(run, backend=backend)


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "9", None])
def test_a_bound_that_is_none_is_refused(most):
    with pytest.raises(VaultError, match="positive whole number"):
        Inbox(most)


_EVENTS = st.lists(st.one_of(st.just("take"), st.just("fact"), st.integers(0, 2)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(_EVENTS)
def test_whatever_comes_in_whatever_order_the_laws_hold(script):
    """Facts: all, in order. A price: the newest that had come, and behind every fact that came before it. None is forgotten."""

    async def run():
        inbox, put, told, last = Inbox(1_000), [], [], {}

        async def take():
            event = (await inbox.take()).event
            told.append(event)
            if isinstance(event, Quote):
                symbol = event.instrument.symbol
                assert event == last.pop(symbol), "not the newest"
                before = put[: put.index(event)]
                assert all(one in told for one in before if isinstance(one, Transferred)), "ahead of a fact"
            else:
                waiting = [one for one in last.values() if put.index(one) < put.index(event)]
                assert not waiting, "a price that came before this fact is still waiting, and nothing newer took its place"

        for n, what in enumerate(script):
            if what == "take":
                if len(inbox):
                    await take()
                continue
            event = fact(n) if what == "fact" else quote(n, what)
            put.append(event)
            if isinstance(event, Quote):
                last[event.instrument.symbol] = event
            await inbox.put(event)
        while len(inbox):
            await take()
        facts = [one for one in put if isinstance(one, Transferred)]
        assert [one for one in told if isinstance(one, Transferred)] == facts
        assert not last
        assert len(told) + inbox.conflated == len(put)
        assert not inbox._news and not any(inbox._segments.values())

    anyio.run(run)
