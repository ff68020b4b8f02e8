"""Tracing: a traced venue keeps every promise of a venue, each call is a span that says how it ended, and no words of an error."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sleeves import BTC, FLASH, USD, Amount, CoreVault, Desk, Instrument
from sleeves.engines import Trend
from sleeves.errors import MissingExtra, VaultError, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.live import trade
from sleeves.market import SECOND, Kind, Quote
from sleeves.orders import Event, Fill, Order, OrderReport, OrderStatus, Place, Side, Transfer
from sleeves.protocols import Venue
from sleeves.recovery import reconcile
from sleeves.sim import Fees, Rules, Tape, VirtualDriver
from sleeves.sim.faults import Dice, Faults, FaultyVenue
from sleeves.testing import Feature, Offer, Script, venue_suite

pytest.importorskip("opentelemetry.sdk")
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sleeves.tracing import Traced, traced

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SPOT = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_qty="0.0001", min_notional="1")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.1", lot="0.0001", kind=Kind.PERP)
WORDS = "hunter2-Sesame"
"""A password that must never be seen again."""
ORDER = Order("flash-1", "flash", Place(SPOT, Side.BUY, SPOT.qty("0.01")), SECOND)


class Traces:
    """A tracer of the real SDK, and the spans that it made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")

    @property
    def spans(self) -> Sequence[Any]:
        return self.exporter.get_finished_spans()

    @property
    def said(self) -> list[tuple[str, str]]:
        """Name and outcome of each span."""
        return [(span.name, span.attributes["sleeves.outcome"]) for span in self.spans]


# -- it is a venue --------------------------------------------------------------------------------------------------------------


def paper(script: Script) -> Venue:
    tape = Tape.from_columns(script.instrument, **script.columns()).with_funding(script.funding)
    rules = Rules(Fees(-123, 457), participation_ppm=1_000_000)
    return traced(VirtualDriver(tape, script.balances, rules, wallet=script.wallet), Traces().tracer)


class TestTracedSpot(venue_suite(paper, Offer(SPOT, maker_ppm=-123, taker_ppm=457, features=frozenset(Feature)))):
    """Coins."""


class TestTracedPerpetuals(venue_suite(paper, Offer(None, PERP, -123, 457, frozenset(Feature)))):
    """Contracts."""


@both
def test_a_traced_run_writes_the_same_journal(backend: str) -> None:
    def run(wrap: Callable[[Venue], Venue]) -> str:
        tape = Tape.sample().slice(0, 600)
        vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0])
        desk = Desk(vault)
        desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="15000"))
        anyio.run(trade, desk, wrap(VirtualDriver(tape, {"USD": USD("20000")})), backend=backend)
        assert sum(isinstance(record, Fill) for record in vault.books.journal) > 2
        return vault.books.journal.digest()

    traces = Traces()
    assert run(lambda venue: venue) == run(lambda venue: traced(venue, traces.tracer))
    names = [name for name, outcome in traces.said if outcome == "done"]
    assert names.count("venue.submit") > 2
    assert names.count("venue.events") == 1


def test_what_the_venue_has_beyond_the_protocol_goes_through() -> None:
    tape = Tape.sample().slice(0, 10)
    driver = VirtualDriver(tape, {"USD": USD("1")}, name="paper")
    venue = traced(driver, Traces().tracer)
    assert (venue.name, venue.real_money, venue.lockstep, venue.tape) == ("paper", False, True, tape)
    faulty = traced(FaultyVenue(driver, Faults.all(), Dice(1)), Traces().tracer)
    assert (faulty.real_money, faulty.lockstep) == (False, True)
    faulty.calm()
    assert faulty.faults == Faults()
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = venue.no_such_thing
    assert repr(venue) == f"traced({driver!r})"
    assert not hasattr(Traced.__new__(Traced), "anything"), "half made, it does not recurse"


# -- spans --------------------------------------------------------------------------------------------------------------------------


class Wire:
    """A venue that answers each call with `raises`, or with something plain. It has no `rehearse`."""

    name = "kraken"

    def __init__(self, raises: BaseException | None = None, events: Sequence[Event | Exception] = ()) -> None:
        self.raises = raises
        self.told = events
        self.closed = False
        self.inside: list[Any] = []

    async def _answer(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.inside.append(trace.get_current_span())
        if self.raises is not None:
            raise self.raises

    async def events(self) -> AsyncIterator[Event]:
        try:
            for event in self.told:
                await anyio.lowlevel.checkpoint()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True

    async def submit(self, order: Order) -> None:
        await self._answer()

    async def cancel(self, order: Order) -> None:
        await self._answer()

    async def settle(self, instrument: Instrument) -> None:
        await self._answer()

    async def look_up(self, order: Order) -> OrderReport | None:
        await self._answer()
        return OrderReport(order.id, 1, OrderStatus.OPEN) if order is ORDER else None

    async def open_orders(self) -> Sequence[OrderReport]:
        await self._answer()
        return [OrderReport("a", 1, OrderStatus.OPEN)] * 3

    async def balances(self) -> dict[str, Amount]:
        await self._answer()
        return {"USD": USD("5")}

    async def positions(self) -> dict[str, Any]:
        await self._answer()
        return {}

    async def history(self, since: int) -> Sequence[Any]:
        await self._answer()
        return []

    async def cash_flows(self, since: int) -> Sequence[Any]:
        await self._answer()
        return []

    async def transfer(self, transfer: Transfer) -> None:
        await self._answer()


class Rehearsing(Wire):
    async def rehearse(self, transfer: Transfer) -> None:
        await self._answer()


OUT = Transfer("w-1", USD("-5"), "kraken")
ABOUT_ORDER = {"sleeves.order_id": "flash-1", "sleeves.sleeve": "flash", "sleeves.instrument": "BTC/USD", "sleeves.side": "buy"}
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("submit", (ORDER,), ABOUT_ORDER),
    ("cancel", (ORDER,), ABOUT_ORDER),
    ("settle", (PERP,), {"sleeves.instrument": "BTC-PERP"}),
    ("look_up", (ORDER,), {**ABOUT_ORDER, "sleeves.order_status": "open"}),
    ("open_orders", (), {"sleeves.count": 3}),
    ("balances", (), {}),
    ("positions", (), {}),
    ("history", (7,), {"sleeves.since": 7, "sleeves.count": 0}),
    ("cash_flows", (7,), {"sleeves.since": 7, "sleeves.count": 0}),
    ("transfer", (OUT,), {"sleeves.transfer": "w-1", "sleeves.asset": "USD"}),
    ("rehearse", (OUT,), {"sleeves.transfer": "w-1", "sleeves.asset": "USD"}),
]


@both
@pytest.mark.parametrize(("call", "given", "about"), CALLS, ids=[call for call, *_ in CALLS])
def test_each_call_is_a_span_with_what_it_concerned(call: str, given: tuple[Any, ...], about: dict[str, Any], backend: str) -> None:
    traces, wire = Traces(), Rehearsing()
    venue = traced(wire, traces.tracer)
    anyio.run(getattr(venue, call), *given, backend=backend)
    (span,) = traces.spans
    assert span.name == f"venue.{call}"
    assert span.kind is trace.SpanKind.CLIENT
    assert dict(span.attributes) == {"sleeves.venue": "kraken", "sleeves.outcome": "done", **about}
    assert span.status.is_unset
    assert wire.inside[0].get_span_context().span_id == span.context.span_id, "the venue's own spans are its children"


def test_an_order_that_is_not_found_says_so() -> None:
    traces = Traces()
    other = Order("flash-2", "flash", ORDER.place, SECOND)
    assert anyio.run(traced(Wire(), traces.tracer).look_up, other) is None
    assert traces.spans[0].attributes["sleeves.order_status"] == "not found"


ERRORS = [
    (VenueRejected(WORDS), "rejected"),
    (VenueUnavailable(WORDS), "unavailable"),
    (VenueUnknown(WORDS), "unknown"),
    (ValueError(WORDS), "error"),
    (ExceptionGroup(WORDS, [OSError(WORDS)]), "error"),
]


@both
@pytest.mark.parametrize(("error", "outcome"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
@pytest.mark.parametrize(("call", "given"), [(call, given) for call, given, _ in CALLS], ids=[call for call, *_ in CALLS])
def test_of_an_error_the_class_is_recorded_and_none_of_its_words(
    call: str, given: tuple[Any, ...], error: Exception, outcome: str, backend: str
) -> None:
    traces = Traces()
    with pytest.raises(type(error)) as raised:
        anyio.run(getattr(traced(Rehearsing(error), traces.tracer), call), *given, backend=backend)
    assert raised.value is error
    (span,) = traces.spans
    assert span.attributes["sleeves.outcome"] == outcome
    assert span.attributes["error.type"] == type(error).__name__
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()
    assert WORDS not in span.to_json()


@both
def test_a_call_that_is_canceled_says_so(backend: str) -> None:
    class Slow(Wire):
        async def submit(self, order: Order) -> None:
            await anyio.sleep_forever()

    traces = Traces()

    async def main() -> None:
        with anyio.move_on_after(0.02):
            await traced(Slow(), traces.tracer).submit(ORDER)

    anyio.run(main, backend=backend)
    assert traces.said == [("venue.submit", "canceled")]
    assert traces.spans[0].status.is_unset


def test_a_venue_that_cannot_rehearse_still_cannot() -> None:
    assert not hasattr(traced(Wire(), Traces().tracer), "rehearse")
    assert hasattr(traced(Rehearsing(), Traces().tracer), "rehearse")


# -- the feed ------------------------------------------------------------------------------------------------------------------------

PRICES = [Quote(SPOT, n * SECOND, 100_00, 100_01) for n in (1, 2, 3)]


async def read(venue: Venue, most: int = 100) -> list[Event]:
    """What a feed tells; nothing of it may be told within a span."""
    heard: list[Event] = []
    feed = venue.events()
    try:
        async for event in feed:
            assert not trace.get_current_span().get_span_context().is_valid
            heard.append(event)
            if len(heard) == most:
                break
    finally:
        await feed.aclose()  # type: ignore[attr-defined]
    return heard


@both
@pytest.mark.parametrize("events", [[], PRICES[:1], PRICES])
def test_a_feed_is_a_span_until_its_first_event(events: list[Event], backend: str) -> None:
    traces, wire = Traces(), Wire(events=events)
    assert anyio.run(read, traced(wire, traces.tracer), backend=backend) == events
    assert traces.said == [("venue.events", "done")]
    assert wire.closed


@both
def test_a_feed_that_is_left_is_closed(backend: str) -> None:
    wire = Wire(events=PRICES)
    assert anyio.run(read, traced(wire, Traces().tracer), 2, backend=backend) == PRICES[:2]
    assert wire.closed


@both
def test_a_feed_that_is_lost_is_a_span_of_its_own(backend: str) -> None:
    lost = VenueUnavailable(WORDS)
    for events, said in (
        ([lost], [("venue.events", "unavailable")]),
        ([PRICES[0], lost], [("venue.events", "done"), ("venue.events_lost", "unavailable")]),
    ):
        traces, wire = Traces(), Wire(events=events)
        with pytest.raises(VenueUnavailable) as error:
            anyio.run(read, traced(wire, traces.tracer), backend=backend)
        assert error.value is lost
        assert traces.said == said
        assert all(WORDS not in span.to_json() for span in traces.spans)
        assert wire.closed


@both
def test_a_feed_that_is_no_generator_needs_no_closing(backend: str) -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = list(PRICES)

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> Event:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    class Simple(Wire):
        def events(self) -> AsyncIterator[Event]:
            return Plain()

    assert anyio.run(read, traced(Simple(), Traces().tracer), backend=backend) == PRICES


@both
def test_spans_of_a_faulty_run_say_what_was_struck(backend: str) -> None:
    tape = Tape.sample().slice(0, 600)
    vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0])
    desk, traces = Desk(vault), Traces()
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="15000"))
    faulty = FaultyVenue(VirtualDriver(tape, {"USD": USD("20000")}), Faults(answer_lost=500_000), Dice(3))
    venue = traced(faulty, traces.tracer)

    async def main() -> None:
        with anyio.move_on_after(20):
            await trade(desk, venue)
        faulty.calm()
        await reconcile(desk, venue)

    anyio.run(main, backend=backend)
    said = traces.said
    struck = faulty.struck["answer_lost"]
    assert struck > 0
    assert sum(outcome == "unknown" for _, outcome in said) == struck
    assert {"venue.submit", "venue.balances", "venue.history"} <= {name for name, outcome in said}


# -- misuse --------------------------------------------------------------------------------------------------------------------------


def test_without_a_tracer_it_is_the_global_one_which_does_nothing_by_default() -> None:
    wire = Wire()
    anyio.run(traced(wire).submit, ORDER)
    assert len(wire.inside) == 1


@pytest.mark.parametrize("tracer", [3, "tracer", object()])
def test_a_tracer_is_a_tracer(tracer: Any) -> None:
    with pytest.raises(VaultError, match="a tracer is"):
        traced(Wire(), tracer)


def test_without_opentelemetry_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=r"sleeves\[tracing\]"):
        traced(Wire())


@both
def test_nothing_is_logged_by_it(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """A span that is ended in another context than it was begun in is a warning of opentelemetry's."""
    with caplog.at_level(logging.DEBUG):
        anyio.run(read, traced(Wire(events=PRICES), Traces().tracer), 1, backend=backend)
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
