"""The async shell around a desk: venues' events in, the desk's commands out.

One task per venue reads its events and carries out at once what the desk answers, so that a venue is never ahead of
the books. Beside them, one task makes the journal durable within milliseconds, one asks after orders whose fate is
unknown, and one holds the books against the venues. The desk itself knows nothing of tasks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from math import inf

import anyio

from .desk import Desk
from .errors import JournalError, VaultError, VenueError, VenueUnavailable
from .journal import Memory
from .protocols import Venue
from .records import Level
from .recovery import Chase, reconcile
from .shell import carry, carry_out, log, named

__all__ = ["carry", "trade"]

COMMIT_WITHIN = 0.005
"""The longest that a record which no command waits for is not durable, in seconds."""


async def trade(desk: Desk, *venues: Venue, patience: float = 60.0, reconcile_every: float | None = 300.0) -> None:
    """Run the desk on these venues until each has no more events, or the surrounding scope is canceled.

    With several venues an order goes to the one that its instrument names, or that its price came from when it names
    none; one that names a stranger is rejected. An order whose answer was lost is asked after for `patience` seconds, then
    told as an alert and asked after once in that time; it is never sent again. Every `reconcile_every` seconds the books
    are held against the venues; None does without.

    Raises `VaultError` when two venues bear one name, and when the desk was opened on a journal with records and is not
    recovered; `JournalError` when the journal could not keep something: then nothing more is done; and what
    `Feed.events` raises (as a group when several venues raise at once).
    """
    if not isinstance(desk, Desk):
        raise VaultError(f"trade(desk, venue): the first is a Desk, not {desk!r}")
    by_name = named(venues, "trade")
    if not desk.engines:
        log.warning("this desk has no engine, so nothing will ever be ordered: desk.assign(engine, to=sleeve)")
    for name, value in (("patience", patience), ("reconcile_every", reconcile_every)):
        if value is not None and not (isinstance(value, (int, float)) and 0.001 <= value < inf):
            raise VaultError(f"{name} {value!r} must be a number of seconds, 0.001 or more")
    if desk.recovering:
        raise VaultError("this desk was opened on a journal with records: await recover(desk, venue) before it trades")
    watch = _Watch(desk)
    try:
        with desk.books.journal.group():
            async with anyio.create_task_group() as beside:
                if not isinstance(desk.books.journal, Memory):
                    beside.start_soon(watch.commit, name="sleeves journal")
                beside.start_soon(watch.chase, by_name, patience, name="sleeves unknown orders")
                if reconcile_every is not None:
                    beside.start_soon(_reconcile, desk, venues, reconcile_every, name="sleeves reconciliation")
                async with anyio.create_task_group() as tasks:
                    for venue in venues:
                        tasks.start_soon(_serve, venue, by_name, watch, name=f"sleeves {venue.name}")
                beside.cancel_scope.cancel()
            if watch.heard:
                desk.mark(desk.books.now)
    except BaseExceptionGroup as group:
        only = _only(group)
        raise only from only.__cause__


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that holds one, or the journal's: where that failed, whatever else failed follows from it."""
    leaves = list(_leaves(group))
    journals = [error for error in leaves if isinstance(error, JournalError)]
    return journals[0] if journals else leaves[0] if len(leaves) == 1 else group


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


class _Watch:
    """What goes on beside the venues: it is told after each event, and sleeps while there is nothing to do."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.heard = False
        self._doubtful = anyio.Event()

    def look(self) -> None:
        """An event was taken in."""
        self.heard = True
        if self.desk.in_doubt or self.desk.uncanceled:
            self._doubtful.set()

    async def commit(self) -> None:
        """Make durable what no command waited for: what venues told, and what a human ordered beside them."""
        while True:
            await anyio.sleep(COMMIT_WITHIN)
            if self.desk.books.journal.waiting:
                self.desk.books.journal.flush()

    async def chase(self, by_name: Mapping[str, Venue], patience: float) -> None:
        """Ask after orders whose fate is unknown, at first often."""
        while True:
            await self._doubtful.wait()
            self._doubtful = anyio.Event()
            chase = Chase(self.desk, by_name, patience)
            while self.desk.in_doubt or self.desk.uncanceled:
                await anyio.sleep(chase.pause)
                await chase.once()
                self.look()


async def _serve(venue: Venue, by_name: Mapping[str, Venue], watch: _Watch) -> None:
    desk, events = watch.desk, venue.events()
    try:
        async for event in events:
            commands = desk.step(event)
            if commands:
                await carry_out(desk, commands, venue, by_name)
            watch.look()
    finally:
        if isinstance(events, AsyncGenerator):
            with anyio.move_on_after(5, shield=True):
                await events.aclose()


async def _reconcile(desk: Desk, venues: Sequence[Venue], every: float) -> None:
    while True:
        await anyio.sleep(every)
        try:
            await reconcile(desk, *venues)
        except VenueUnavailable as error:
            log.warning("the books could not be held against the venue: %s", error)
        except (VenueError, VaultError) as error:  # what the venue says cannot be: the run goes on, and a human is told
            desk.alert(desk.books.now, Level.CRITICAL, "reconcile", "reconcile_failed", str(error))
