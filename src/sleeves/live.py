"""The async shell around a desk: venues' events in, the desk's commands out, and what a run does when the world fails.

    feed      each venue's events are read by a task of their own; what a venue that waits for the desk tells (`lockstep`)
              is taken in one by one, all others go through a bounded inbox, see `inbox`
    lost      a feed that breaks, or falls silent, is latched and tried again; the books are held against it first
    beside    the journal is made durable within milliseconds; orders and transfers of unknown fate are asked after; the
              books are held against the venues; each engine is under a watchdog
    end       when all feeds are over; at a signal or a `Stop`, in the state that was asked for; at an error, at once

All of it lives in one task group, on asyncio or trio, and nothing outlives `trade`. The desk itself knows nothing of tasks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from math import inf
from typing import Any

import anyio
from anyio.abc import TaskStatus
from attrs import frozen

from .desk import Desk
from .errors import JournalError, VaultError, VenueError, VenueUnavailable, WrongStatus
from .facts import Shifted, Transferred
from .inbox import Inbox
from .journal import Memory
from .logs import follow
from .orders import CancelOrder, Event, Place, TimeInForce
from .protocols import Venue
from .pulse import Pulse
from .records import Asked, Level, Record
from .recovery import Arrivals, Chase, Sync
from .shell import carry, carry_out, log, named, real_money, stands_for
from .standings import DESK, venue_subject
from .status import Hold
from .watchdog import Watchdog

__all__ = ["Stop", "carry", "trade"]

COMMIT_WITHIN = 0.005
"""The longest that a record which no command waits for is not durable, in seconds."""
LOOK = 0.05
"""How often it is looked whether what a stop waits for has come, in seconds."""
HEAR_EVERY = 1.0
"""How often a venue is asked then for all that it had to tell, in seconds."""
WAYS = ("leave", "hold", "cancel", "flatten")
"""How a run can be ended from outside: as it is; nothing new; and orders that take new risk canceled; or everything closed."""
TICK = 1.0
"""How often time passes where no venue tells anything, in seconds."""


class Stop:
    """Ends a run from outside, in a defined state: `trade(..., stop=stop)`, and later `stop("cancel", by="ann")`.

        leave     engines are asked no more in this run; nothing else changes, and the next start goes on
        hold      the desk is paused: engines are asked no more; orders stay where they are
        cancel    and the orders that take new risk are canceled
        flatten   the desk is killed: all orders are canceled and all positions closed

    It is called in the run's own thread. Called again while the run ends, it ends at once.
    """

    def __init__(self) -> None:
        self.asked: tuple[str, str, str] | None = None
        """How it is to end, who asked for that, and why; None while nobody did."""
        self.times = 0
        self._tell: Callable[[], None] | None = None

    def __call__(self, way: str, *, by: str, why: str = "") -> None:
        """Ask for the end of the run. Raises `VaultError` for a way that is none, and for nobody."""
        _check_way(way, "stop")
        if not isinstance(by, str) or not by.strip() or not isinstance(why, str):
            raise VaultError(f"a run is stopped by somebody, for a reason in text, not by {by!r} for {why!r}")
        self.asked = self.asked or (way, by, why)
        self.times += 1
        if self._tell is not None:
            self._tell()


async def trade(
    desk: Desk,
    *venues: Venue,
    patience: float = 60.0,
    reconcile_every: float | None = 300.0,
    reconnect: float | None = 10.0,
    silent_after: float | None = None,
    most_waiting: int = 1_024,
    engine_patience: float | None = 2.0,
    most_wishes: int | None = 1_000,
    on_signal: str | None = None,
    grace: float = 10.0,
    stop: Stop | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Run the desk on these venues until each has no more events, or the surrounding scope is canceled.

    With several venues an order goes to the one that its instrument names, or that its price came from when it names
    none; one that names a stranger is rejected. A venue that does not say `real_money = False` needs to be armed before it
    takes new risk (`Desk.arm`). An order whose answer was lost is asked after for `patience` seconds, then told as an alert
    and asked after once in that time; it is never sent again. At the start, every `reconcile_every` seconds, and soon after a
    transfer or a lost answer the books are held against the venues; None does without.

    A feed that raises `VenueUnavailable`, or tells nothing for `silent_after` seconds, is tried again every `reconnect`
    seconds: no new risk is taken there until the books were held against it and it tells again. With None what it raises
    ends the run. Up to `most_waiting` events of a venue wait to be handled.

    An engine that takes longer than `engine_patience` seconds over a decision, or wishes for more than `most_wishes` things
    at once, is stopped as one that raised; None leaves out either bound. In the main thread this uses SIGALRM where nobody
    else does, and gives it back.

    With `on_signal` SIGINT and SIGTERM end the run as `Stop` does in that way, within `grace` seconds, and `trade` returns;
    a second one ends it at once. Without it no signal is taken. `stop` does the same when it is called, and `pulse` counts.

    Raises `VaultError` when two venues bear one name, when the desk was opened on a journal with records and is not
    recovered, and for `on_signal` outside of the main thread; `JournalError` when the journal could not keep something: then
    nothing more is done; and what `Feed.events` raises beside that (as a group when several venues raise at once). What
    nobody expected is told as an alert `critical` and logged with its stack before it is raised.
    """
    if not isinstance(desk, Desk):
        raise VaultError(f"trade(desk, venue): the first is a Desk, not {desk!r}")
    by_name = named(venues, "trade")
    maybe = {"reconcile_every": reconcile_every, "reconnect": reconnect, "silent_after": silent_after}
    seconds = {"patience": patience, "grace": grace} | {name: value for name, value in maybe.items() if value is not None}
    for name, value in seconds.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.001 <= value < inf:
            raise VaultError(f"{name} {value!r} must be a number of seconds, 0.001 or more")
    if type(most_waiting) is not int or most_waiting <= 0:
        raise VaultError(f"most_waiting {most_waiting!r} must be a positive whole number of events")
    if on_signal is not None:
        _check_way(on_signal, "on_signal")
        if threading.current_thread() is not threading.main_thread():
            raise VaultError("signals come to the main thread only: run trade there, or leave out on_signal")
    for what, given, kind in (("stop", stop, Stop), ("pulse", pulse, Pulse)):
        if given is not None and not isinstance(given, kind):
            raise VaultError(f"{what} is a {kind.__name__}(), not {given!r}")
    watchdog = Watchdog(engine_patience, most_wishes)
    if desk.recovering:
        raise VaultError("this desk was opened on a journal with records: await recover(desk, venue) before it trades")
    if not desk.engines:
        log.warning("this desk has no engine, so nothing will ever be ordered: desk.assign(engine, to=sleeve)")
    run = _Run(
        desk,
        venues,
        by_name,
        Pulse() if pulse is None else pulse,
        Stop() if stop is None else stop,
        watchdog,
        _Terms(patience, reconcile_every, reconnect, silent_after, most_waiting, on_signal, grace),
    )
    await run.run()


def _check_way(way: object, what: str) -> None:
    if way not in WAYS:
        raise VaultError(f"{what} {way!r} is none of {', '.join(WAYS)}")


@frozen
class _Terms:
    """On what terms a run goes."""

    patience: float
    reconcile_every: float | None
    reconnect: float | None
    silent_after: float | None
    most_waiting: int
    on_signal: str | None
    grace: float


class _Run:
    """One run of `trade`."""

    def __init__(
        self,
        desk: Desk,
        venues: Sequence[Venue],
        by_name: Mapping[str, Venue],
        pulse: Pulse,
        stop: Stop,
        watchdog: Watchdog,
        terms: _Terms,
    ) -> None:
        self.desk, self.venues, self.by_name = desk, venues, by_name
        self.pulse, self.stop, self.watchdog, self.terms = pulse, stop, watchdog, terms
        self.sync = Sync(desk, venues)
        self.heard = False
        self._stuck = pulse.stuck
        self._canceled: set[str] = set()
        """Orders whose cancel a stop has asked for."""
        self._quiet = False
        """Whether engines are asked no more because the run ends."""
        self._known: set[str] = set()
        """Orders of unknown fate that a look was asked for already."""
        self._doubtful = anyio.Event()
        self._asked = anyio.Event()
        self._look_due = anyio.Event()
        self._stopped = anyio.Event()
        self._lost = {venue.name for venue in venues if Hold.CONNECTION in desk.latches(venue.name)}
        """Venues whose feed is lost, since the last run or in this one."""
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        desk, journal = self.desk, self.desk.books.journal
        try:
            with ExitStack() as kept:
                kept.callback(self._flush)
                kept.enter_context(journal.group())
                kept.callback(self._flush)
                kept.callback(self.pulse.attach(desk))
                kept.callback(desk.books.listen(self._note))
                kept.callback(follow(desk))
                kept.enter_context(self.watchdog)
                kept.callback(desk.wrap(self._guard))
                self._arm()
                try:
                    with self._scope:
                        await self._tasks()
                finally:
                    self._say_what_is_left()
                if self.heard:
                    desk.mark(desk.books.now)
                journal.flush()
        except BaseExceptionGroup as group:
            self._told(group)
            only = _only(group)
            raise only from only.__cause__
        except Exception as error:
            self._told(error)
            raise
        finally:
            self.stop._tell = None

    async def _pass_time(self, clock: Callable[[], int]) -> None:
        """Where no price comes, time passes all the same: what waits for a human expires, limits are looked at."""
        while True:
            await anyio.sleep(TICK)
            await self._do(self.desk.pass_time(clock()))

    def _flush(self) -> None:
        """Whatever ended the run: what the journal has is kept."""
        with suppress(JournalError):  # where it failed, that is what the run ends with
            self.desk.books.journal.flush()

    async def _tasks(self) -> None:
        terms = self.terms
        async with anyio.create_task_group() as beside:
            if not isinstance(self.desk.books.journal, Memory):
                beside.start_soon(self._commit, name="sleeves journal")
            beside.start_soon(self._chase, name="sleeves unknown orders")
            beside.start_soon(self._transfers, name="sleeves transfers")
            if terms.reconcile_every is not None:
                beside.start_soon(self._reconcile, terms.reconcile_every, name="sleeves reconciliation")
            self.stop._tell = self._hush
            beside.start_soon(self._await_stop, name="sleeves stop")
            if terms.on_signal is not None:
                await beside.start(self._signals, terms.on_signal, name="sleeves signals")
            if self.stop.asked is not None:
                self._hush()
            if self.desk.books.clock is not None:
                beside.start_soon(self._pass_time, self.desk.books.clock, name="sleeves time")
            async with anyio.create_task_group() as tasks:
                for venue in self.venues:
                    tasks.start_soon(self._serve, venue, name=f"sleeves {venue.name}")
            beside.cancel_scope.cancel()

    def _arm(self) -> None:
        """Venues of real money take new risk only when a human armed them; and everybody is to know that it is real."""
        desk = self.desk
        desk.meet(real_money(self.venues))
        for name, real in real_money(self.venues).items():
            if real:
                armed = "armed" if name in desk.armed else "not armed: it takes no new risk until desk.arm(...)"
                text = f"REAL MONEY: {name} moves real money; it is {armed}"
                log.warning("%s", text, extra={"venue": name})
                if name not in desk.armed:
                    desk.alert(desk.books.now, Level.WARNING, venue_subject(name), "not_armed", text)

    def _guard(self, name: str, decide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """An engine under the watchdog, which is asked no more once the run ends."""
        guarded = self.watchdog.guard(name, decide)

        def asked(memory: Any, view: Any) -> Any:
            return None if self._quiet else guarded(memory, view)

        return asked

    def _told(self, error: BaseException) -> None:
        """Say what the run ends with: what a feed or a journal raises is expected, anything else is a fault that nobody foresaw."""
        leaves = [one for one in _leaves(error) if isinstance(one, Exception)]
        for one in leaves:
            self.pulse.failed(one)
            log.error("the run ends: %s: %s", type(one).__name__, one, exc_info=one)
        if any(isinstance(one, JournalError) for one in leaves):
            return  # then nothing more is written
        for one in leaves:
            if not isinstance(one, VenueError):
                with suppress(JournalError):
                    text = f"the run ends: {type(one).__name__}: {one}"
                    self.desk.alert(self.desk.books.now, Level.CRITICAL, DESK, "critical", text)

    # -- events ------------------------------------------------------------------------------------------------------

    async def _serve(self, venue: Venue) -> None:
        """A venue that waits for the desk is ahead of it by one event at most; any other tells what it has to an inbox."""
        if getattr(venue, "lockstep", False) is True:
            await self._listen(venue, partial(self._take_in, venue))
            return
        inbox, lost = Inbox(self.terms.most_waiting), None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._empty, venue, inbox, name=f"sleeves {venue.name} inbox")
            try:
                await self._listen(venue, partial(self._put, venue, inbox))
            except VenueUnavailable as error:
                lost = error  # once all that it told is taken in
            inbox.close()
        if lost is not None:
            raise lost from lost.__cause__

    async def _put(self, venue: Venue, inbox: Inbox, event: Event, at: float) -> None:
        await inbox.put(event, at)
        self._measure(venue.name, inbox)

    async def _empty(self, venue: Venue, inbox: Inbox) -> None:
        while (received := await inbox.take()) is not None:
            self._measure(venue.name, inbox)
            await self._take_in(venue, received.event, received.at)

    def _measure(self, name: str, inbox: Inbox) -> None:
        one = self.pulse.venue(name)
        one.depth, one.waits, one.conflated = len(inbox), inbox.waits, inbox.conflated
        one.most_depth = max(one.most_depth, inbox.most_depth)

    async def _take_in(self, venue: Venue, event: Event, at: float) -> None:
        commands = self.desk.step(event)
        if commands:
            self.pulse.commands += len(commands)
            await carry_out(self.desk, commands, venue, self.by_name)
        self.pulse.stuck = self._stuck + self.watchdog.stuck
        self.pulse.handled(venue.name, at, self.desk)
        self._looked()

    def _looked(self) -> None:
        """An event was taken in: is there anything to ask after?"""
        self.heard = True
        desk = self.desk
        doubted = desk.in_doubt
        if not doubted and not desk.uncanceled:
            self._known.clear()
            return
        self._doubtful.set()
        new = {order.id for order in doubted} - self._known
        if new:
            self._known |= new
            self._look_soon()

    # -- feeds that are lost -------------------------------------------------------------------------------------------

    async def _listen(self, venue: Venue, tell: Callable[[Event, float], Any]) -> None:
        """Tell each event of a venue, over as many connections as it takes, until it says that there are no more."""
        name, every = venue.name, self.terms.reconnect
        if name in self._lost:
            self.pulse.venue(name).lost = True
            await self._come_back(name, every or 10.0, first=0.0)
        while True:
            try:
                await self._hear(venue, tell)
            except _Lost as lost:
                if every is None:
                    raise lost.error from lost.error.__cause__
                await self._lose(name, lost.error, every)
                await self._come_back(name, every)
            else:
                return

    async def _hear(self, venue: Venue, tell: Callable[[Event, float], Any]) -> None:
        """One connection. Raises `_Lost` with what the feed raised; what `tell` raises is not of the feed."""
        events: AsyncIterator[Event] | None = None
        try:
            while True:
                try:
                    events = venue.events() if events is None else events
                    event = await self._next(venue, events)
                except StopAsyncIteration:
                    return
                except VenueUnavailable as error:
                    raise _Lost(error) from error
                at = self.pulse.heard(venue.name)
                if venue.name in self._lost:
                    self._found(venue.name)
                await tell(event, at)
        finally:
            if isinstance(events, AsyncGenerator):
                with anyio.move_on_after(5, shield=True):
                    await events.aclose()

    async def _next(self, venue: Venue, events: AsyncIterator[Event]) -> Event:
        quiet = self.terms.silent_after
        if quiet is None:
            return await anext(events)
        with anyio.move_on_after(quiet):
            return await anext(events)
        raise VenueUnavailable(f"{venue.name} has told nothing for {quiet:g} s")

    async def _lose(self, name: str, error: VenueUnavailable, every: float) -> None:
        """A feed is lost: no new risk there until it is back."""
        self._lost.add(name)
        self.pulse.failed(error, name)
        self.pulse.venue(name).lost = True
        log.warning("the feed of %s is lost: %s", name, error, extra={"venue": name})
        desk = self.desk
        text = f"the feed of {name} is lost: {error}; no new risk there until it is back, tried every {every:g} s"
        desk.alert(desk.books.now, Level.WARNING, venue_subject(name), "connection_lost", text)
        names = stands_for(desk, self.by_name, name)
        commands = [one for known in names for one in desk.latch(known, Hold.CONNECTION, by="live", why=str(error))]
        with anyio.move_on_after(every):
            await self._do(commands)

    async def _come_back(self, name: str, every: float, *, first: float | None = None) -> None:
        """Wait until the books could be held against a venue whose feed is lost: what was missed is booked first."""
        begun, told = anyio.current_time(), False
        pause = every if first is None else first
        while True:
            await anyio.sleep(pause)
            pause = every
            try:
                await self.sync.look(name)
            except (VenueError, VaultError) as error:
                self.pulse.failed(error, name)
                log.warning("%s is not back: %s", name, error, extra={"venue": name})
            else:
                self.pulse.syncs += 1
                return
            gone = anyio.current_time() - begun
            if not told and gone >= self.terms.patience:
                told, desk = True, self.desk
                text = f"{name} does not answer since {gone:.0f} s; it is tried on, and no new risk is taken there"
                desk.alert(desk.books.now, Level.CRITICAL, venue_subject(name), "connection_lost", text)

    def _found(self, name: str) -> None:
        """A feed that was lost tells again, and the books were held against its venue."""
        desk = self.desk
        self._lost.discard(name)
        one = self.pulse.venue(name)
        one.lost = False
        one.reconnects += 1
        for known in stands_for(desk, self.by_name, name):
            desk.lift(known, Hold.CONNECTION, by="live", why="it tells again, and the books were held against it")
        desk.alert(desk.books.now, Level.INFO, venue_subject(name), "reconnected", f"the feed of {name} is back")
        self._look_soon()  # what happened between that look and its first word

    # -- beside the feeds --------------------------------------------------------------------------------------------

    async def _do(self, commands: Sequence[Any]) -> None:
        """Carry out what no one venue's event led to."""
        if commands:
            await carry_out(self.desk, commands, self.venues[0] if len(self.venues) == 1 else None, self.by_name)

    async def _commit(self) -> None:
        """Make durable what no command waited for: what venues told, and what a human ordered beside them."""
        while True:
            await anyio.sleep(COMMIT_WITHIN)
            if self.desk.books.journal.waiting:
                self.desk.books.journal.flush()

    async def _chase(self) -> None:
        """Ask after orders whose fate is unknown, at first often."""
        desk = self.desk
        while True:
            await self._doubtful.wait()
            self._doubtful = anyio.Event()
            chase = Chase(desk, self.by_name, self.terms.patience)
            while desk.in_doubt or desk.uncanceled:
                await anyio.sleep(chase.pause)
                await chase.once()
                self._looked()

    def _note(self, record: Record) -> None:
        """A transfer was asked for, or is through: the books are to follow the account soon."""
        if isinstance(record, (Asked, Transferred, Shifted)):
            self._asked.set()
            self._look_soon()

    async def _transfers(self) -> None:
        """Ask after transfers that the venue does not tell of."""
        arrivals = Arrivals(self.desk, self.sync.look, self.terms.patience, self.by_name, self._do)
        while True:
            while arrivals.under_way:
                await arrivals.once([group[0] for group in self.sync.groups()])
                await anyio.sleep(1.0)
            self._asked = anyio.Event()
            await self._asked.wait()

    def _look_soon(self) -> None:
        """Have the books held against the venues now, and not at the next turn; one that waits for the desk has nothing to tell."""
        if not all(getattr(venue, "lockstep", False) is True for venue in self.venues):
            self._look_due.set()

    async def _reconcile(self, every: float) -> None:
        """Hold the books against the venues at the start, in turn, and at once where that was asked for."""
        self._look_soon()
        if any(Hold.SYNC in self.desk.latches(venue.name) for venue in self.venues):
            self._look_due.set()
        while True:
            with anyio.move_on_after(every):
                await self._look_due.wait()
            self._look_due = anyio.Event()
            for group in self.sync.groups():
                if self._lost.intersection(group):
                    continue  # whoever brings it back looks
                came = await self.sync.once(group)
                self.pulse.syncs += came
                for error in self.sync.errors:
                    self.pulse.failed(error)

    # -- the end from outside ------------------------------------------------------------------------------------------

    async def _signals(self, way: str, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                name = signal.Signals(number).name
                log.warning("%s: the run ends, %s", name, way if self.stop.asked is None else "at once")
                self.stop(way, by="signal", why=name)

    def _hush(self) -> None:
        """The end was asked for, once or again: engines are asked no more from here on."""
        self._quiet = True
        self._stopped.set()

    async def _await_stop(self) -> None:
        await self._stopped.wait()
        assert self.stop.asked is not None
        self._stopped = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end, *self.stop.asked)
            if self.stop.times < 2:
                await self._stopped.wait()
            log.warning("the run ends at once")
            self._scope.cancel()

    async def _end(self, way: str, by: str, why: str) -> None:
        """Bring the desk to the state that was asked for, within the grace; then the run is over."""
        desk, until = self.desk, anyio.current_time() + self.terms.grace
        desk.alert(desk.books.now, Level.WARNING, DESK, "stopping", f"the run is ended by {by}, {way}" + (f": {why}" if why else ""))
        commands: Sequence[Any] = ()
        with suppress(WrongStatus):  # it was killed, or deactivated, before: nothing is asked or sent anyway
            if way == "flatten":
                commands = desk.kill(desk, flatten=True, by=by, why=why)
            elif way != "leave":
                commands = desk.pause(desk, by=by, why=why)
        self._canceled = {one.order.id for one in commands if isinstance(one, CancelOrder)}
        with anyio.move_on_after(self.terms.grace):
            if way not in ("leave", "hold"):
                await self._do(commands)
                await self._hear_out()
            while self._left(way) and anyio.current_time() < until:
                heard = anyio.current_time()
                while self._left(way) and anyio.current_time() < heard + HEAR_EVERY:
                    await anyio.sleep(LOOK)
                await self._hear_out()
        self._scope.cancel()

    async def _hear_out(self) -> None:
        """What a venue had to tell until now is taken in, where it can say when that is: a fill may be on its way."""
        for venue in self.venues:
            caught_up = getattr(venue, "caught_up", None)
            if caught_up is None or venue.name in self._lost:
                continue
            with suppress(VenueError):
                await caught_up()
            await anyio.sleep(LOOK)  # its feed is read meanwhile
            while self.pulse.venue(venue.name).depth:
                await anyio.sleep(LOOK)

    def _say_what_is_left(self) -> None:
        """However the run ended after it was stopped: what the state that was asked for still lacks is named."""
        self.pulse.look(self.desk)
        if self.stop.asked is None or not (left := self._left(self.stop.asked[0])):
            return
        text = f"the run ended, {self.stop.asked[0]} not through: {'; '.join(left)}"
        with suppress(JournalError):
            self.desk.alert(self.desk.books.now, Level.CRITICAL, DESK, "stop_incomplete", text)

    def _left(self, way: str) -> list[str]:
        """What the state that was asked for still lacks, in words."""
        if way in ("leave", "hold"):
            return []
        at_once = [order.id for order in self.desk.open_orders() if not _rests(order.place)]
        orders = [order for order in self.desk.open_orders() if way == "flatten" or order.id in (*self._canceled, *at_once)]
        left = [f"{order.id} is {self.desk.status_of(order.id)}" for order in orders]
        if way == "flatten":
            for vault in self.desk.treasury.vaults:
                for name, sleeve in vault.sleeves.items():
                    if not sleeve.is_flat():
                        left += [f"{name} still has {amount} of {market}" for market, amount in sleeve.positions().items()]
        return left


def _rests(place: Place) -> bool:
    """Whether an order may stay at the venue: not one that is filled at once or not at all, and whose end is only not told yet."""
    return place.stop is not None or (place.limit is not None and place.tif is TimeInForce.GTC)


class _Lost(Exception):
    """A feed raised."""

    def __init__(self, error: VenueUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


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
