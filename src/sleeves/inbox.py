"""The inbox between a venue's wire and the desk, for venues that do not wait: bounded, and it loses nothing that happened.

    facts and order events   each is handled, in the order in which they came, never dropped
    prices                   the newest of an instrument takes the place of the one that waits
    news                     the newest of a kind and topic likewise; what was paid is a fact and no news

What is handed out was preceded by all facts that came before it, so no price is ever shown to an engine ahead of the fills
that were told first. Of what waits, whoever has waited longest goes first, so that an instrument whose prices come in
haste does not keep others waiting. When so many events wait that the bound is reached, the reader waits (back-pressure).

It knows nothing of what an event means to a desk.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple

import anyio
import anyio.lowlevel
from attrs import frozen

from .errors import VaultError
from .market import Quote
from .news import News
from .orders import Event

__all__ = ["Inbox", "Received"]


@frozen(order=False)
class Received:
    """An event, and when it came by the clock of whoever put it in."""

    event: Event
    at: float


class _Waiting(NamedTuple):
    """A price, or news, that waits: the facts that came before it, and since when something of its topic waits."""

    segment: int
    since: int
    received: Received


_Key = tuple[type, str]


def _key(event: Event) -> _Key | None:
    """What a newer event may take the place of; None for what is never dropped."""
    if type(event) is Quote:
        return Quote, event.instrument.symbol
    return (type(event), event.topic) if isinstance(event, News) else None


class Inbox:
    """Up to `most` events that wait. One task puts them in, one takes them out.

    Raises `VaultError` for a bound that is no positive whole number.
    """

    def __init__(self, most: int = 1_024) -> None:
        if type(most) is not int or most <= 0:
            raise VaultError(f"an inbox of {most!r} events: the bound must be a positive whole number")
        self.most = most
        self.conflated = 0
        """Events whose place a newer one took."""
        self.most_depth = 0
        self.waits = 0
        """How often putting something in had to wait."""
        self._facts: deque[Received] = deque()
        self._taken = 0
        """Facts that were handed out: the number of the segment that is open, the events before the next fact."""
        self._news: dict[_Key, _Waiting] = {}
        self._segments: dict[int, list[tuple[int, _Key]]] = {}
        """By how many facts came before, a heap of what waits behind them; entries that moved on are passed over."""
        self._ticket = 0
        self._closed = False
        self._filled = anyio.Event()
        self._emptied = anyio.Event()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._facts) + len(self._news)

    async def put(self, event: Event, at: float = 0.0) -> None:
        """Put an event in, and wait while there is no room for it. Others run in the meantime, at least once."""
        await anyio.lowlevel.checkpoint()
        key = _key(event)
        if self._full(key):
            self.waits += 1
            while self._full(key):
                self._emptied = anyio.Event()
                await self._emptied.wait()
        received = Received(event, at)
        if key is None:
            self._facts.append(received)
        else:
            self._put_news(key, received)
        self.most_depth = max(self.most_depth, len(self))
        self._filled.set()

    def _full(self, key: _Key | None) -> bool:
        """Whether there is no room: what takes another's place needs none."""
        return len(self) >= self.most and (key is None or key not in self._news)

    def _put_news(self, key: _Key, received: Received) -> None:
        segment, known = self._taken + len(self._facts), self._news.get(key)
        if known is None:
            self._ticket += 1
            since = self._ticket
        else:
            self.conflated += 1
            since = known.since
        self._news[key] = _Waiting(segment, since, received)
        if known is None or known.segment != segment:
            heapq.heappush(self._segments.setdefault(segment, []), (since, key))

    def close(self) -> None:
        """There will be no more: what waits is still handed out."""
        self._closed = True
        self._filled.set()

    async def take(self) -> Received | None:
        """The next event; None once it is closed and empty. Others run in the meantime, at least once."""
        await anyio.lowlevel.checkpoint()
        while not len(self):
            if self._closed:
                return None
            self._filled = anyio.Event()
            await self._filled.wait()
        received = self._next()
        self._emptied.set()
        return received

    def _next(self) -> Received:
        """What waits longest of all that no untold fact came before; the next fact where there is none."""
        heap = self._segments.get(self._taken, [])
        while heap:
            since, key = heapq.heappop(heap)
            waiting = self._news.get(key)
            if waiting is not None and waiting.segment == self._taken and waiting.since == since:
                del self._news[key]
                return waiting.received
        self._segments.pop(self._taken, None)
        self._taken += 1
        return self._facts.popleft()
