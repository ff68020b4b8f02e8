"""Tracing: each call to a venue as an OpenTelemetry span. Needs the extra `tracing`.

    await trade(desk, traced(venue, tracer))

A span has the name of the call, which venue and what it concerned (order, sleeve, instrument, transfer), and how it ended:

    done            it returned
    rejected        the venue said no                          VenueRejected
    unavailable     it was not reached, nothing was done       VenueUnavailable
    unknown         it was sent and the answer is lost         VenueUnknown
    canceled        the caller was canceled while it waited
    error           anything else was raised

Of an error the class is recorded and nothing else: its words, and the frames that it came through, may hold credentials. What
the venue answers and what it tells as events is not traced; of a feed there is a span until its first event, and one for its
loss. The venue stays what it was: all that is asked of the wrapper goes through to it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

from .errors import MissingExtra, VaultError, VenueRejected, VenueUnavailable, VenueUnknown
from .facts import CashFlow
from .market import Instrument
from .money import Amount
from .orders import Event, Order, OrderReport, Position, Transfer
from .protocols import Venue
from .records import Fact

__all__ = ["Traced", "traced"]

_OUTCOMES = ((VenueRejected, "rejected"), (VenueUnavailable, "unavailable"), (VenueUnknown, "unknown"))
_CLOSING = 5.0
"""The longest that closing a feed may take, in seconds."""


def traced(venue: Venue, tracer: Any = None) -> Traced:
    """A venue each of whose calls is a span of this tracer; without one, of `opentelemetry.trace.get_tracer("sleeves")`.

    Raises `MissingExtra` without opentelemetry, `VaultError` for what is no tracer.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise MissingExtra("opentelemetry-api", "tracing", "tracing calls to venues") from error
    tracer = trace.get_tracer("sleeves") if tracer is None else tracer
    if not callable(getattr(tracer, "start_as_current_span", None)):
        raise VaultError(f"a tracer is opentelemetry.trace.get_tracer(...), not {tracer!r}")
    return Traced(venue, tracer, trace)


class Traced:
    """A venue whose calls are spans; `traced` makes one."""

    def __init__(self, venue: Venue, tracer: Any, trace: Any) -> None:
        self._venue = venue
        self._tracer = tracer
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        """What the venue has beyond the protocol: `real_money`, `lockstep`, `rehearse`, `aclose`, its own."""
        if name.startswith("__") or "_venue" not in self.__dict__:
            raise AttributeError(name)
        found = getattr(self._venue, name)
        return self._rehearse if name == "rehearse" and found is not None else found

    @property
    def name(self) -> str:
        return self._venue.name

    def __repr__(self) -> str:
        return f"traced({self._venue!r})"

    @contextmanager
    def _span(self, call: str, **about: object) -> Iterator[Any]:
        """A span around a call, with how it ended."""
        attributes = {"sleeves.venue": self.name, **{f"sleeves.{key}": value for key, value in about.items() if value != ""}}
        with self._tracer.start_as_current_span(
            f"venue.{call}",
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                self._ended(span, error)
                raise
            span.set_attribute("sleeves.outcome", "done")

    def _ended(self, span: Any, error: BaseException) -> None:
        """Note on a span what was raised: its class, and none of its words."""
        if not isinstance(error, Exception):
            span.set_attribute("sleeves.outcome", "canceled")
            return
        outcome = next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "error")
        span.set_attribute("sleeves.outcome", outcome)
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))

    # -- Feed ------------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        feed = self._venue.events()
        try:
            with self._span("events"):  # it ends before anything is yielded: it must not be the current one of the caller's code
                try:
                    event = await anext(feed)
                except StopAsyncIteration:
                    return
            while True:
                yield event
                try:
                    event = await anext(feed)
                except StopAsyncIteration:
                    return
                except Exception as error:
                    self._lost(error)
                    raise
        finally:
            if isinstance(feed, AsyncGenerator):
                with anyio.move_on_after(_CLOSING, shield=True):
                    await feed.aclose()

    def _lost(self, error: Exception) -> None:
        """A span of no length, outside of any other."""
        span = self._tracer.start_span("venue.events_lost", kind=self._trace.SpanKind.CLIENT, attributes={"sleeves.venue": self.name})
        self._ended(span, error)
        span.end()

    # -- Broker ----------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        with self._span("submit", **_about(order)):
            await self._venue.submit(order)

    async def cancel(self, order: Order) -> None:
        with self._span("cancel", **_about(order)):
            await self._venue.cancel(order)

    async def settle(self, instrument: Instrument) -> None:
        with self._span("settle", instrument=instrument.symbol):
            await self._venue.settle(instrument)

    async def look_up(self, order: Order) -> OrderReport | None:
        with self._span("look_up", **_about(order)) as span:
            report = await self._venue.look_up(order)
            span.set_attribute("sleeves.order_status", "not found" if report is None else report.status.value)
            return report

    async def open_orders(self) -> Sequence[OrderReport]:
        with self._span("open_orders") as span:
            return _counted(span, await self._venue.open_orders())

    # -- Custody ---------------------------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Amount]:
        with self._span("balances"):
            return await self._venue.balances()

    async def positions(self) -> Mapping[str, Position]:
        with self._span("positions"):
            return await self._venue.positions()

    async def history(self, since: int) -> Sequence[Fact]:
        with self._span("history", since=since) as span:
            return _counted(span, await self._venue.history(since))

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        with self._span("cash_flows", since=since) as span:
            return _counted(span, await self._venue.cash_flows(since))

    async def transfer(self, transfer: Transfer) -> None:
        with self._span("transfer", transfer=transfer.id, asset=transfer.amount.asset.code):
            await self._venue.transfer(transfer)

    async def _rehearse(self, transfer: Transfer) -> None:
        with self._span("rehearse", transfer=transfer.id, asset=transfer.amount.asset.code):
            await self._venue.rehearse(transfer)  # type: ignore[attr-defined]


def _about(order: Order) -> dict[str, object]:
    return {"order_id": order.id, "sleeve": order.sleeve, "instrument": order.place.instrument.symbol, "side": order.place.side.value}


def _counted(span: Any, found: Sequence[Any]) -> Sequence[Any]:
    span.set_attribute("sleeves.count", len(found))
    return found
