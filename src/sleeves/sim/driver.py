"""VirtualDriver: the matcher as a venue, so that paper runs the very code that live runs.

It plays a tape through the async `Venue` protocol at the pace of whoever reads its events: it moves on to the next
price only when the last event was taken in and what came of it was submitted. So a run through `live.trade` writes the
same journal as `replay` of the same tape.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import anyio.lowlevel

from ..market import Quote
from ..money import Amount
from ..orders import Event, Order
from .matcher import Matcher
from .models import Rules
from .tape import Tape

__all__ = ["VirtualDriver"]


class VirtualDriver:
    """A paper venue over a tape. `balances` are the coins of the simulated account by asset code."""

    def __init__(self, tape: Tape, balances: Mapping[str, Amount], rules: Rules | None = None, *, name: str = "sim") -> None:
        self.tape = tape
        self.matcher = Matcher(tape.instrument, balances, rules, name=name)
        self._now = 0

    @property
    def name(self) -> str:
        return self.matcher.name

    async def events(self) -> AsyncIterator[Event]:
        """The tape's prices and what became of our orders, to the tape's end."""
        tape, matcher = self.tape, self.matcher
        outbox = matcher.outbox
        for (at, open_, high, low, close, volume), end in zip(tape.rows(), tape.ends(), strict=True):
            if low <= matcher.low_trigger or high >= matcher.high_trigger:
                matcher.advance(at, end - at, open_, high, low, close, volume if tape.has_volume else -1)
                while outbox:
                    event = outbox.popleft()
                    self._now = event.at
                    yield event
            else:
                matcher.last = close
            self._now = end
            yield Quote(tape.instrument, end, close, close)
            while outbox:
                event = outbox.popleft()
                self._now = event.at
                yield event
            await anyio.lowlevel.checkpoint()

    async def submit(self, order: Order) -> None:
        self.matcher.submit(order, self._now)

    async def cancel(self, order: Order) -> None:
        self.matcher.cancel(order.id, self._now)

    async def balances(self) -> Mapping[str, Amount]:
        return self.matcher.balances()
