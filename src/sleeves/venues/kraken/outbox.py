"""What a venue has to tell and nobody has read yet: facts all, in their order; of prices only the newest of each market waits.

A price that comes before the last one of its market was read takes its place in the line, unless a fact came in between: then it
stands behind that fact. It knows nothing of wires.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from ...errors import InvalidMarket
from ...market import Quote
from ...orders import Event

__all__ = ["Outbox"]


class Outbox:
    """A line of events. Many put in, at once and without waiting; one takes out. Whoever reads a wire waits for `room` before.

    Raises `InvalidMarket` for a bound that is no positive whole number.
    """

    def __init__(self, most: int = 1_024) -> None:
        if type(most) is not int or most <= 0:
            raise InvalidMarket(f"an outbox of {most!r} events: the bound must be a positive whole number")
        self.most = most
        self._line: dict[int | str, Event] = {}
        self._facts = 0
        self._behind: dict[str, int] = {}
        self._ended: BaseException | None = None
        self._changed = anyio.Event()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._line)

    def put(self, event: Event) -> None:
        """Put an event at the end, or a price in the place of the one of its market that waits."""
        if isinstance(event, Quote):
            symbol = event.instrument.symbol
            if self._behind.get(symbol) != self._facts:
                self._line.pop(symbol, None)
            self._line[symbol] = event
            self._behind[symbol] = self._facts
        else:
            self._facts += 1
            self._line[self._facts] = event
        self._wake()

    def end(self, error: BaseException) -> None:
        """There will be no more for now, and why: told behind all that waits."""
        self._ended = error
        self._wake()

    def begin(self) -> None:
        """There will be more again. Prices that wait are of an older connection, and are dropped."""
        self._ended = None
        for symbol in [place for place in self._line if isinstance(place, str)]:
            del self._line[symbol]
        self._wake()

    async def take(self) -> Event:
        """The next event. Raises what `end` was told once all that waited is taken."""
        await anyio.lowlevel.checkpoint()
        while True:
            if self._line:
                event = self._line.pop(next(iter(self._line)))
                self._wake()
                return event
            if self._ended is not None:
                raise self._ended
            await self._changed.wait()

    async def room(self) -> None:
        """Wait until fewer events than the bound wait."""
        while len(self._line) >= self.most and self._ended is None:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
