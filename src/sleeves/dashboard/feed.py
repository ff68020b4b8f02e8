"""A desk told as it changes: one picture, then what is other than before, each with a number, so that nothing is lost unseen.

    feed = Feed(desk)
    feed.snapshot()              all of it, at a sequence number
    feed.refresh()               what has changed since; None where nothing has
    async with feed.running():   refreshes by itself, on records and in a rhythm
        with feed.subscribe() as told:
            async for message in told: ...

A refresh looks at the whole desk and compares it with what was told last: no part of it has to remember to say that it changed.
What was told is kept for a while, so that a page which was away is told what it missed, in order; who was away too long, or reads
too slowly, is told all of it anew.

Everything runs on the desk's own event loop and thread. Between two steps of a desk a picture is whole. A refresh that is asked for
from within a step, by who listens to the journal, sees the ledger as it is and a status, or an order, perhaps as it was before that
record: the next refresh puts it right.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Any

import anyio
import anyio.lowlevel

from .. import __version__
from ..desk import Desk
from ..errors import VaultError
from ..pulse import Pulse
from ..records import Record
from .history import History, halved, millis, thinned
from .messages import KEPT, POINTS, STREAMS, AlertItem, Chart, Delta, LogItem, Point, SleeveRow, Snapshot, VaultRow, fields_of, to_json
from .picture import LookAtDepth, Tables, laws_of, tables

__all__ = ["Feed", "Subscription"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

TOGETHER = 0.01
"""Seconds that a refresh waits after a record, so that what belongs together is told together."""
SHARE = 4
"""Between two refreshes there is so many times as long as one took, at least: a desk is to trade, and to be looked at only then."""
UNSEEN = 1.0
"""Seconds between refreshes while nobody is told anything: charts go on all the same."""
DRAWN = 1.0
"""Seconds between two points of a chart in which nothing but a price has moved."""
MANY = 64
"""Marks between two points of a chart from which on they are drawn as well."""
BETWEEN = 256
"""Points that are made of them, at most."""
LAWS = 5.0
"""Seconds between two looks at the laws of the books."""
HEARD = 1_000
"""Records that wait at most until they are taken in, whether anybody looks or not."""
SLICE = 500
"""Records of the journal that are read at once while a desk goes on."""
QUEUE = 64
"""Messages that wait for one subscriber; one that is further behind is told all of it anew."""


class Feed:
    """What pages are told of one desk. Nothing runs, and nothing is read, before the first look.

    `pulse` says how the desk's run is, `venues` are those that it runs on, `every` the seconds between looks at prices, `keep` how
    many changes are kept for pages that were away, `depth` what knows more of a market than its best prices. `session` names this
    feed: a page that comes with another one is told all of it. `commands` is what pages are told of whether they may instruct.

    Raises `VaultError` for terms that cannot be.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        pulse: Pulse | None = None,
        title: str = "",
        venues: Iterable[Any] = (),
        every: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        keep: int = 1024,
        depth: LookAtDepth | None = None,
        session: str | None = None,
        commands: bool = False,
    ) -> None:
        if not isinstance(desk, Desk):
            raise VaultError(f"a feed is of a Desk, not of {desk!r}")
        if type(keep) is not int or keep < 0 or isinstance(every, bool) or not isinstance(every, (int, float)) or not 0 < every < 3_600:
            raise VaultError(f"keep {keep!r} must be a whole number of 0 or more, every {every!r} seconds above 0 and below an hour")
        self.desk = desk
        self.pulse = Pulse(most_silence=None) if pulse is None else pulse
        self.title = title
        self.venues = tuple(venues)
        self.every = every
        self.clock = clock
        self.depth = depth
        self.session = secrets.token_urlsafe(9) if session is None else session
        self.commands = commands
        self.seq = 0
        """How many changes were told so far."""
        self._ring: deque[Delta] = deque(maxlen=keep)
        self._read = History()
        """What was read of the journal so far, until all of it is."""
        self._past: History | None = None
        self._inside = False
        """Whether this is within a step of the desk: a record is being told."""
        self._looking = False
        """Whether the desk is being looked at: who is asked then, and looks in turn, is told nothing twice."""
        self._runs = False
        self._tables: Tables = {}
        self._charts: dict[str, list[Point]] = {}
        self._drawn: dict[str, float] = {}
        """By series, when its last point was added, by the clock."""
        self._heard: list[Record] = []
        """Records that are not taken in yet."""
        self._added: dict[str, deque[AlertItem | LogItem]] = {name: deque(maxlen=KEPT) for name in STREAMS}
        """What records that are taken in have added to the streams, and nobody was told yet."""
        self._end: Callable[[], None] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._subscribers: list[Subscription] = []
        self._written: tuple[int, bool, bytes] | None = None
        """The last snapshot on the wire, and of what number."""
        self._bell: anyio.Event | None = None
        """What a record rings while somebody is told."""
        self._came: anyio.Event | None = None
        """What rings when somebody comes."""
        self._laws, self._laws_at = "", float("-inf")
        self._cost = 0.0
        """Seconds that the last refresh took."""
        self.closed = False

    # -- looking -----------------------------------------------------------------------------------------------------

    def _begin(self) -> History:
        """The first look: what the journal tells, and a picture to compare later ones with."""
        if self.closed:
            raise VaultError("this feed is closed")
        if self._past is not None:
            return self._past
        past = self._read.read(self.desk.books.journal.after(self._read.count))
        fresh = self._look(past)
        for series, points in past.points().items():
            self._charts[series] = thinned(points, column=_column(series))
            points.clear()
        if self._end is None:
            self._end = self.desk.books.listen(self._hear)
        self._heard = []
        self._past, self._tables = past, fresh
        self._draw(past, fresh)
        return past

    async def ready(self) -> None:
        """Read what the journal has, in slices between which the desk goes on: for one with many records, before the first look.

        Without it the first look reads all of it at once. Again: nothing.
        """
        journal = self.desk.books.journal
        while self._past is None:
            self._read.read(islice(journal.after(self._read.count), SLICE))
            if self._read.count >= len(journal):
                self._begin()
            await anyio.lowlevel.checkpoint()

    def _look(self, past: History) -> Tables:
        now = self.clock()
        if now - self._laws_at >= LAWS and not self._inside:
            self._laws, self._laws_at = laws_of(self.desk), now
        return tables(self.desk, pulse=self.pulse, venues=self.venues, past=past, laws=self._laws, depth=self.depth)

    def _hear(self, record: Record) -> None:
        """A record was kept: it is taken in at the next refresh."""
        self._heard.append(record)
        if len(self._heard) >= HEARD and self._past is not None:
            self._take_in(self._past)
        if self._bell is not None:
            self._bell.set()
        self._inside = True
        try:
            for callback in tuple(self._callbacks):
                self._call(callback)
        finally:
            self._inside = False

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("%r raised and is told of no more changes", callback)
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def refresh(self) -> Delta | None:
        """Look at the desk and tell what is other than what was told last; None where nothing is. Raises `VaultError` once closed."""
        begun = self._past is not None
        past = self._begin()
        if not begun:
            return None
        if self._looking:
            return None
        since = self.clock()
        self._take_in(past)
        self._looking = True
        try:
            fresh = self._look(past)
        finally:
            self._looking = False
        added = self._taken()
        changed: dict[str, dict[str, Any]] = {}
        dropped: dict[str, tuple[str, ...]] = {}
        for name, rows in fresh.items():
            before = self._tables[name]
            other = {}
            for key, row in rows.items():
                known = before.get(key)
                if known == row:
                    rows[key] = known  # one object for equal rows, however many changes are kept
                else:
                    other[key] = row
            gone = tuple(key for key in before if key not in rows)
            if other:
                changed[name] = other
            if gone:
                dropped[name] = gone
        self._tables = fresh
        points = self._draw(past, fresh)
        self._cost = self.clock() - since
        if not (changed or dropped or added or points):
            return None
        self.seq += 1
        delta = Delta(self.session, self.seq, millis(self.desk.books.now), changed, dropped, added, points)
        self._ring.append(delta)
        self._tell(delta)
        return delta

    def _take_in(self, past: History) -> None:
        """Take in the records that came since.

        Where that is broken off, as by who stops the cell of a notebook, the journal is read anew and pages are told all of it.
        """
        records, self._heard = self._heard, []
        whole = False
        try:
            for record in records:
                alert, said = past.apply(record)
                if alert is not None:
                    self._added["alerts"].append(alert)
                if said is not None:
                    self._added["log"].append(said)
            whole = True
        finally:
            if not whole:
                self._anew()

    def _anew(self) -> None:
        """Know nothing any more, and be another session: the next look reads the journal from its beginning."""
        self._past, self._read, self._heard = None, History(), []
        self._written, self.session, self.seq = None, secrets.token_urlsafe(9), 0
        self._ring.clear()
        self._drawn.clear()
        for items in self._added.values():
            items.clear()
        for one in self._subscribers:
            one.resync()

    def _taken(self) -> dict[str, tuple[AlertItem | LogItem, ...]]:
        """What the streams got since that was last told."""
        added = {name: tuple(items) for name, items in self._added.items() if items}
        for items in self._added.values():
            items.clear()
        return added

    def _draw(self, past: History, fresh: Tables) -> dict[str, tuple[Point, ...]]:
        """A further point of each series that moved: at once where something was booked, else in a rhythm.

        Where many marks were written since its last one, as by a replay that waits for nobody, those are the line up to it.
        """
        at, now = float(millis(self.desk.books.now)), self.clock()
        added: dict[str, tuple[Point, ...]] = {}
        if not at:
            return {}
        marks = past.points()
        for series, figures, booked in _figures(fresh):
            points = self._charts.setdefault(series, [])
            last = points[-1][1:] if points else None
            between = marks.get(series, [])
            many = len(between) >= MANY
            if last == figures and not many:
                continue
            only_priced = last is not None and all(last[i] == figures[i] for i in booked)
            if only_priced and not many and now - self._drawn.get(series, float("-inf")) < DRAWN:
                continue
            new: list[Point] = []
            if many:
                since = points[-1][0] if points else 0.0
                new = thinned([one for one in between if (since or 0.0) < (one[0] or 0.0) < at], BETWEEN, column=_column(series))
            between.clear()
            new.append((at, *figures))
            points += new
            added[series] = tuple(new)
            self._drawn[series] = now
            if len(points) > POINTS:
                self._charts[series] = list(halved(points))
        return added

    def snapshot(self) -> Snapshot:
        """All of it as it stands now, at the feed's number, which a look may have raised."""
        self.refresh()
        past = self._begin()
        return Snapshot(
            session=self.session,
            seq=self.seq,
            at_ms=millis(self.desk.books.now),
            title=self.title,
            version=__version__,
            commands=self.commands,
            tables=self._tables,
            streams={"alerts": tuple(past.alerts), "log": tuple(past.log)},
            charts={series: Chart(fields_of(series), tuple(points)) for series, points in self._charts.items()},
        )

    def since(self, session: str | None, seq: int | None) -> list[Delta] | None:
        """What a page that was last told `seq` of a session has missed, in order; None where it has to be told all of it.

        It looks first: what is told then is as of now.
        """
        self.refresh()
        if session != self.session or seq is None or not 0 <= seq <= self.seq:
            return None
        if seq == self.seq:
            return []
        if not self._ring or self._ring[0].seq > seq + 1:
            return None
        return [delta for delta in self._ring if delta.seq > seq]

    # -- telling -----------------------------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have it called whenever the journal got a record, at once and within the step that wrote it; returns what ends it.

        One that raises is logged and called no more.
        """
        self._begin()
        self._callbacks.append(callback)

        def end() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return end

    @contextmanager
    def subscribe(self, session: str | None = None, seq: int | None = None, *, most: int = QUEUE) -> Iterator[Subscription]:
        """What a page is told from here on, as messages on the wire: what it missed since `seq` of a session, or a snapshot, first.

        At most `most` messages wait; one that falls behind that is told all of it anew in their place.
        """
        one = Subscription(self, most)
        missed = self.since(session, seq)
        if missed is None or len(missed) > most:
            one.resync()
        else:
            one._queue.extend(map(to_json, missed))
        self._subscribers.append(one)
        if self._came is not None:
            self._came.set()
        try:
            yield one
        finally:
            one._close()
            if one in self._subscribers:
                self._subscribers.remove(one)

    @property
    def subscribers(self) -> int:
        """How many are told now."""
        return len(self._subscribers)

    def _tell(self, delta: Delta) -> None:
        """Put a change, written once, before all who are told."""
        if any(one.wants for one in self._subscribers):
            written = to_json(delta)
            for one in self._subscribers:
                one._put(written)

    def written(self) -> bytes:
        """A snapshot on the wire; written once for all who need it at the same number."""
        self.refresh()
        known = self._written
        if known is None or known[:2] != (self.seq, self.commands):
            known = self._written = self.seq, self.commands, to_json(self.snapshot())
        return known[2]

    # -- running -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Feed]:
        """Refresh by itself while inside: soon after each record, and every so many seconds for prices. Once at a time: `VaultError`."""
        if self._runs:
            raise VaultError("this feed runs already")
        self._runs = True
        try:
            await self.ready()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run)
                try:
                    yield self
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            self._runs, self._bell, self._came = False, None, None

    async def _run(self) -> None:
        rested = self.clock()
        while not self.closed:
            await self._wait()
            await anyio.sleep(max(0.0, rested - self.clock()))
            try:
                self.refresh()
                rested = self.clock() + SHARE * self._cost
            except Exception:
                if self.closed:
                    return
                log.exception("the desk could not be looked at; it is tried again")
                await anyio.sleep(self.every)

    async def _wait(self) -> None:
        """Until a record came, or it is time to look at prices; while nobody is told anything, until somebody comes, or for longer."""
        bell = anyio.Event()
        if self._subscribers:
            self._bell = bell
            if self._heard:
                bell.set()
            with anyio.move_on_after(self.every):
                await bell.wait()
                await anyio.sleep(TOGETHER)
        else:
            self._came = bell
            with anyio.move_on_after(max(self.every, UNSEEN)):
                await bell.wait()

    def close(self) -> None:
        """Tell nobody anything any more. Again: nothing."""
        self.closed = True
        if self._end is not None:
            self._end()
            self._end = None
        for one in self._subscribers:
            one._close()
        self._callbacks.clear()
        for bell in (self._bell, self._came):
            if bell is not None:
                bell.set()


class Subscription:
    """Messages on the wire for one page, in order: an async iterator that ends when its feed is closed. Made by `Feed.subscribe`."""

    def __init__(self, feed: Feed, most: int) -> None:
        self._feed = feed
        self._most = most
        self._queue: deque[bytes] = deque()
        self._behind = False
        self._closed = False
        self._bell: anyio.Event | None = None

    @property
    def wants(self) -> bool:
        """Whether it takes further changes now: one that is to be told all of it anew does not."""
        return not self._behind and not self._closed

    @property
    def waiting(self) -> int:
        """How many messages wait for it."""
        return len(self._queue) + self._behind

    def resync(self) -> None:
        """Tell it all of it anew, in place of what waits."""
        self._queue.clear()
        self._behind = True
        self._ring_bell()

    def _put(self, written: bytes) -> None:
        if not self.wants:
            return
        if len(self._queue) >= self._most:
            self.resync()
            return
        self._queue.append(written)
        self._ring_bell()

    def _ring_bell(self) -> None:
        if self._bell is not None:
            self._bell.set()

    def _close(self) -> None:
        self._closed = True
        self._ring_bell()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._closed or self._feed.closed:
                raise StopAsyncIteration
            if self._behind:
                written = self._feed.written()
                self._behind = False
                return written
            if self._queue:
                return self._queue.popleft()
            self._bell = anyio.Event()
            await self._bell.wait()


_SLEEVE = (0, 2, 4, 5)
"""Which figures of a sleeve's point are booked: balance, realized, fees, returned."""
_VAULT = (0, 1)


def _column(series: str) -> int:
    """What of a series' points must keep its extremes when it is thinned: a sleeve's equity, a vault's total."""
    return 2 if series.startswith("sleeve:") else 1


def _figures(fresh: Tables) -> Iterator[tuple[str, Point, tuple[int, ...]]]:
    """By series, its figures now, as floats for drawing, and which of them are booked."""
    for name, row in fresh["sleeves"].items():
        assert isinstance(row, SleeveRow)
        texts = (row.balance, row.equity, row.realized, row.unrealized, row.fees, row.returned)
        yield f"sleeve:{name}", tuple(None if text is None else float(text) for text in texts), _SLEEVE
    for owner, row in fresh["vaults"].items():
        assert isinstance(row, VaultRow)
        yield f"vault:{owner}", (float(row.total), float(row.tradeable)), _VAULT
