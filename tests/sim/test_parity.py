"""The parity law: what runs through the async shell against the paper venue writes the very journal that a replay writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import anyio
import pytest
from hypothesis import given, settings
from test_replay import (  # the same markets and engines as the laws of replay, in the file beside this one
    BUY_ALL,
    MARKET,
    SELL_ALL,
    START,
    Scripted,
    all_rules,
    desk_of,
    engines,
    flat,
    lines_of,
    run,
    sleeve_of,
    tape_of,
    tapes,
)

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.live import trade
from sleeves.market import SECOND, Quote
from sleeves.orders import Accepted, Canceled, Event, Fill, Order, Place, Side
from sleeves.sim import Rules, Slippage, Tape, VirtualDriver
from sleeves.sim.replay import account_of

BACKENDS = ("asyncio", "trio")


def live(desk: Desk, tape: Tape, rules: Rules | None, backend: str) -> VirtualDriver:
    """The same run as a replay, through `trade` and the paper venue."""
    venue = VirtualDriver(tape, account_of(desk), rules)
    anyio.run(trade, desk, venue, backend=backend)
    return venue


def check(make: Callable[[], Desk], tape: Tape, rules: Rules | None, backend: str) -> None:
    replayed, traded = make(), make()
    report = run(replayed, tape, rules)
    venue = live(traded, tape, rules, backend)
    assert lines_of(replayed) == lines_of(traded)
    assert report.holdings == venue.matcher.balances()


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(tape=tapes(), one=engines, other=engines, rules=all_rules)
def test_one_tape_writes_one_journal(backend: str, tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    check(lambda: desk_of(quiet=one, flash=other), tape, rules, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_month_of_the_sample_writes_one_journal(backend: str) -> None:
    tape = Tape.sample().slice(0, 720)

    def make() -> Desk:
        vault = CoreVault(USD, total="100000", tradeable="60000", reserve="5%")
        desk = Desk(vault)
        desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="20000"))
        desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="20000"))
        return desk

    check(make, tape, None, backend)


TRADES = Scripted(((BUY_ALL,), (), (SELL_ALL,)))

EDGES: dict[str, tuple[Callable[[], Desk], Tape]] = {
    "one bar": (lambda: desk_of(quiet=TRADES), tape_of(flat(10_000))),
    "a desk without engines": (lambda: desk_of(quiet=None), tape_of(flat(10_000, 10_100))),
    "an engine that watches another market": (
        lambda: desk_of(quiet=Scripted((), watches=(Tape.sample().instrument,))),
        tape_of(flat(10_000, 10_100)),
    ),
    "books that were opened the instant the tape begins": (lambda: opened_at(START), tape_of(flat(10_000, 10_100, 10_200))),
    "the first instant of 1970": (
        lambda: desk_of(quiet=TRADES),
        Tape.from_columns(MARKET, ts=[0], open=[100], high=[100], low=[100], close=[100]),
    ),
}


def opened_at(second: int) -> Desk:
    vault = CoreVault(USD, total="1000", tradeable="1000", at=second * SECOND)
    desk = Desk(vault)
    desk.assign(TRADES, to=vault.sleeve("quiet", QUIET, allocate="1000"))
    return desk


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("make", "tape"), EDGES.values(), ids=EDGES.keys())
def test_it_holds_at_the_edges(make: Callable[[], Desk], tape: Tape, backend: str) -> None:
    check(make, tape, None, backend)


# -- the paper venue as a venue --------------------------------------------------------------------------------------------


def events_of(venue: VirtualDriver) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in venue.events()]

    return anyio.run(collect)


def test_the_paper_venue_tells_each_close_at_the_end_of_its_bar() -> None:
    tape = tape_of([(10_000, 10_500, 9_900, 10_100, 5), (10_100, 10_200, 9_000, 9_100, 5)])
    closes = [(at + tape.interval, close) for at, close in zip(tape.at, tape.close, strict=True)]
    assert events_of(VirtualDriver(tape, {})) == [Quote(MARKET, at, close, close, MARKET.qty("5")) for at, close in closes]


def test_the_paper_venue_goes_no_further_than_its_reader() -> None:
    """An order that follows from a price is with the venue before it moves on, and what comes of it is told before the next price."""
    desk = desk_of(quiet=Scripted(((), (BUY_ALL,))))
    venue = VirtualDriver(tape_of(flat(10_000, 10_010, 10_020, 10_030)), account_of(desk))
    told: list[tuple[str, int]] = []

    async def read() -> None:
        async for event in venue.events():
            told.append((type(event).__name__, venue.matcher.last))
            for command in desk.step(event):
                await venue.submit(command.order)

    anyio.run(read)
    assert told == [("Quote", 10_000), ("Quote", 10_010), ("Fill", 10_020), ("Quote", 10_020), ("Quote", 10_030)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_paper_venue_stays_behind_its_name_and_its_balances(backend: str) -> None:
    desk = desk_of(quiet=Scripted(((BUY_ALL,),)))
    venue = VirtualDriver(tape_of(flat(10_000, 10_000)), account_of(desk), Rules(slippage=Slippage.none()), name="paper")
    anyio.run(trade, desk, venue, backend=backend)
    (fill,) = [record for record in desk.books.journal if isinstance(record, Fill)]
    assert (venue.name, fill.venue, fill.trade_id) == ("paper", "paper", "paper-1")
    assert anyio.run(venue.balances, backend=backend) == account_of(desk)


def test_the_paper_venue_cancels() -> None:
    venue = VirtualDriver(tape_of(flat(10_000, 10_000, 9_000)), {"USD": USD("1000")})

    async def read() -> list[Event]:
        order = Order("quiet-1", "quiet", Place(MARKET, Side.BUY, MARKET.qty("1"), limit=MARKET.price("95")), 0)
        found = []
        async for event in venue.events():
            found.append(event)
            if len(found) == 1:
                await venue.submit(order)
                await venue.submit(order)
            if isinstance(event, Accepted):
                await venue.cancel(order)
                await venue.cancel(order)
        return found

    kinds = [type(event) for event in anyio.run(read)]
    assert kinds == [Quote, Accepted, Canceled, Quote, Quote]
    assert venue.matcher.available("USD") == USD("1000").units


@pytest.mark.parametrize("at", [1, 3, 10])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_is_stopped_midway_has_written_the_beginning_of_the_whole_one(backend: str, at: int) -> None:
    engine = Scripted(((BUY_ALL,), (), (SELL_ALL,), (), (BUY_ALL,)))
    tape = tape_of(flat(*range(10_000, 10_012)))
    whole = desk_of(flash=engine)
    run(whole, tape)
    desk = desk_of(flash=engine)

    class Stopped(VirtualDriver):
        async def events(self) -> AsyncIterator[Event]:
            seen = 0
            async with aclosing(super().events()) as events:
                async for event in events:
                    if seen == at:
                        scopes[0].cancel()
                        await anyio.lowlevel.checkpoint()
                    seen += 1
                    yield event

    scopes: list[anyio.CancelScope] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await trade(desk, Stopped(tape, account_of(desk)))

    anyio.run(main, backend=backend)
    lines = lines_of(desk)
    assert lines == lines_of(whole)[: len(lines)]
    assert len(lines) < len(lines_of(whole))
    assert desk.check(deep=True).holds
    assert sleeve_of(desk, "flash").status == "active"
