"""A desk in a notebook, live: the parts of the page in a cell's output, through anywidget. Needs the extra `notebook`.

    desk.widget()                              the whole page, to look at
    desk.widget(show=["engine-vault-card"])    some of its parts
    desk.widget(control=control)               and with its buttons: `control` carries instructions out

What is told are the messages of the socket, over the notebook's own channel, so the same store and the same parts read them.

    in `await trade(...)`       told between the desk's steps, within a tenth of a second of a record, prices at least every two seconds
    in a synchronous `replay`   told within the desk's step: the journal tells of a record, and the time since the last look says
                                whether to look. Books are whole then, since a record is told once it is applied; an order
                                of that very step may be on its way. When the cell is through it is told as it then stands

A widget that nobody looks at looks at nothing. It keeps no desk alive: once the desk is gone it says so, and shows what it saw
last. All of this is for the thread in which the widget is made; a desk that runs in another thread is not for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..desk import Desk
from ..errors import MissingExtra, VaultError
from ..pulse import Pulse
from .bundle import link
from .clerk import Clerk, Visit
from .feed import Feed
from .messages import BadMessage, Hello, Message, Resync, from_json, to_json

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise MissingExtra("anywidget", "notebook", "showing a desk in a notebook") from error

if TYPE_CHECKING:
    from ..control import Control

__all__ = ["PARTS", "DeskWidget"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

PARTS = (
    "alert-list",
    "book-view",
    "core-vault-card",
    "engine-vault-card",
    "funding-table",
    "health-gauge",
    "inventory-view",
    "order-log",
    "position-table",
    "sleeve-chart",
    "sleeves-page",
)
"""What a widget can show."""
BUSY = 0.05
"""How late a look may be, in seconds, before the loop is taken to be busy with a cell that does not wait."""
LOOK, SELDOM = 0.25, 2.0
"""How often prices are looked at where nothing else happens, in seconds: while they move, and at the least."""
WHOLE = 5.0
"""How often all is told anew, in seconds, while nothing that a page asks can be heard."""
SHARE = 4
"""Looks are so many times as long apart as the last one took, at least: a desk is to trade, and to be looked at only then."""
MANY = 64
"""Changes that a page has missed, beyond which it is told all anew."""
MOST_FRONTS = 100
"""Pages that are known to have views."""
DEAF = 20.0
"""After how many seconds without a word from any page it may be that none can be heard: pages say something every 15."""
UNHEARD = 0.5
"""The least time between two tellings, in seconds, while no page has said that it is there: all is told each time."""


class DeskWidget(anywidget.AnyWidget):
    """A desk in a notebook. Shown by being a cell's last expression, in as many views as one likes; `close` ends it.

    `show` are the parts, from `PARTS`; `height` is the most that it takes, as CSS has it. At most `most_per_second` messages a second are
    sent. Without `control` it takes no instructions; with one they bear the name `by`, and what moves money needs a yes to
    the numbers first, as on the page. While a cell runs that does not wait, what is asked is heard at its end; in marimo, and in
    kernels that take in nothing while a cell runs, so it is for `await trade(...)` too: there run the desk as a task,
    `asyncio.create_task(trade(...))`, and its buttons are heard at once.

    Raises `VaultError` for what is no desk, no part and no number.
    """

    _esm = traitlets.Unicode("").tag(sync=True)
    first = traitlets.Unicode("").tag(sync=True)
    """The desk as it stood when the widget was made, as a message: for views that open while the kernel is busy."""
    key = traitlets.Unicode("").tag(sync=True)
    show = traitlets.List(traitlets.Unicode()).tag(sync=True)
    height = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        desk: Desk,
        *,
        pulse: Pulse | None = None,
        title: str = "",
        control: Control | None = None,
        by: str = "notebook",
        show: Sequence[str] = ("sleeves-page",),
        height: str = "80vh",
        most_per_second: int = 10,
        venues: Iterable[Any] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(desk, Desk):
            raise VaultError(f"a widget shows a Desk, not {desk!r}")
        _check(title, by, show, height, most_per_second)
        feed = Feed(desk, pulse=pulse, title=title, venues=venues, commands=control is not None)
        self._teller = _Teller(desk, feed, control, by, self.send, most_per_second, clock)
        terms = {"key": secrets.token_hex(8), "show": list(show), "height": height}
        super().__init__(_esm=link("widget.js"), first=self._teller.first, **terms)
        self.on_msg(self._heard)

    def update(self) -> None:
        """Tell all views how the desk stands now, whatever the rhythm. Nothing where nothing has changed, or nobody looks."""
        self._teller.look()

    def close(self) -> None:
        """Take the widget off all pages, and have it listen no more. It stays closed."""
        teller = self.__dict__.get("_teller")  # ipywidgets also closes what was never made
        if teller is not None:
            teller.look()  # what it says last is how the desk stands
            teller.end("The widget was closed.")
            self.layout.close()
        super().close()

    def _heard(self, _: object, frame: object, __: object) -> None:
        self._teller.hear(frame)


class _Teller:
    """What a widget tells its pages, and answers them. It knows no notebook but the `send` that takes its frames."""

    def __init__(
        self,
        desk: Desk,
        feed: Feed,
        control: Control | None,
        by: str,
        send: Callable[[dict[str, str]], object],
        most_per_second: int,
        clock: Callable[[], float],
    ) -> None:
        self._send_frame = send
        self._clock = clock
        self._least = 1 / most_per_second
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of the thread in which the desk runs."""
        self._due = inf
        """When the desk is to be looked at next."""
        self._looks = LOOK
        self._said = self._whole = -inf
        """When something was told last, and when all of it was."""
        self._owed = False
        """Whether a page waits to be told all of it."""
        self._cost = 0.0
        """Seconds that the last look took."""
        self._fronts: dict[str, int] = {}
        """By page that has it, how many views it has there."""
        self._heard = -inf
        """When a page said something last."""
        self._asked: deque[Hello | Resync | str] = deque()
        """What pages said and was not answered yet: in a kernel with subshells it comes in another thread."""
        self._tasks: set[asyncio.Task[bool]] = set()
        bell = _Bell(self, feed, Clerk(desk, control).visit(f"widget-{secrets.token_hex(8)}", by))
        self._bell = ref(bell)  # the desk has it: a widget that is forgotten must not keep a desk
        picture = feed.snapshot()
        self._session, self._seq = picture.session, picture.seq
        self.first = to_json(picture).decode()
        feed.on_change(bell)
        self._open = True
        self._wake(clock() + LOOK)

    # -- when to look --------------------------------------------------------------------------------------------------

    def dirty(self) -> None:
        """The journal has a record. Called within the desk's step, for each: it must cost next to nothing."""
        now = self._clock()
        if now < self._due:
            soonest = self._said + self._rhythm()
            if soonest < self._due:
                self._wake(max(soonest, now))
        elif now >= self._due + BUSY:  # who would look between two steps does not get to
            self.look(within=True)
            self._due = self._clock() + self._rhythm()

    def _rhythm(self) -> float:
        """The least time between two looks now."""
        most = self._least if self._watched() else SELDOM if self._fronts else UNHEARD
        return max(self._least, most, SHARE * self._cost)

    def _watched(self) -> bool:
        return any(self._fronts.values())

    def _wake(self, at: float) -> None:
        """Look at this time. Without a loop in this thread it is left to the first record after it."""
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = at, None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        there = ref(self)

        def due() -> None:
            one = there()
            if one is not None:
                one._come()

        self._timer = self._loop.call_later(max(0.0, at - self._clock()), due)

    def _come(self) -> None:
        """The loop has time to look."""
        self._timer = None
        self._looks = LOOK if self.look() else min(2 * self._looks, SELDOM)
        if self._open:
            soon = self._clock() + max(self._looks, self._rhythm())
            self._wake(min(soon, self._whole + UNHEARD) if self._owed else soon)

    # -- telling -------------------------------------------------------------------------------------------------------

    def look(self, *, within: bool = False) -> bool:
        """Look at the desk and tell what is other than before. Whether there was anything. `within` a step nobody is heard."""
        if not self._open:
            return False
        bell = self._bell()
        if bell is None:
            self.end("The desk is gone.")
            return False
        since = self._clock()
        try:
            return self._tell(bell.feed, within)
        except Exception as error:  # a picture must not stand in the way of the desk that it is of
            log.exception("a widget could not tell how its desk stands, and tells no more")
            self.end(f"The desk could not be shown: {type(error).__name__}.")
            return False
        except BaseException:  # a cell is interrupted by hand: what was under way may not have been told
            self._seq = -1
            raise
        finally:
            self._cost = self._clock() - since

    def _tell(self, feed: Feed, within: bool) -> bool:
        now = self._clock()
        asked = (self._owed and now >= self._whole + UNHEARD) or (within and self._wanted())
        missed = feed.since(self._session, self._seq)
        self._said = now
        if missed == [] and not asked:
            return False
        if self._fronts and not self._watched():
            return False  # looked at all the same, so that what the feed heard does not pile up
        deaf = within or now - self._heard >= DEAF
        if missed is None or len(missed) > MANY or asked or not self._fronts or (deaf and now - self._whole >= WHOLE):
            self._tell_all(feed)
        else:
            for delta in missed:
                self._send(delta)
                self._seq = delta.seq
        return True

    def _owe(self, feed: Feed) -> None:
        """Have all of it told now, or, where that was but a moment ago, soon: a page that asks on and on makes no desk slow."""
        soon = self._whole + UNHEARD
        if self._clock() >= soon:
            self._tell_all(feed)
        else:
            self._owed = True
            if soon < self._due or self._timer is None:
                self._wake(soon)

    def _tell_all(self, feed: Feed) -> None:
        self._owed = False
        picture = feed.snapshot()
        self._session, self._seq, self._whole = picture.session, picture.seq, self._clock()
        self._send(picture)

    def _wanted(self) -> bool:
        """Whether a page asks for all of it; what else pages ask waits for the loop."""
        waiting = [self._asked.popleft() for _ in range(len(self._asked))]
        kept = [one for one in waiting if not isinstance(one, (Hello, Resync))]
        self._asked.extendleft(reversed(kept))
        return len(kept) < len(waiting)

    def _send(self, message: Message) -> None:
        if self._open:
            self._send_frame({"text": to_json(message).decode()})

    def end(self, why: str) -> None:
        """Tell all views that nothing more will come, and listen no more."""
        if not self._open:
            return
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        bell = self._bell()
        if bell is not None:
            bell.feed.close()
        for task in self._tasks:
            task.cancel()
        self._send_frame({"ended": why})

    # -- being asked ---------------------------------------------------------------------------------------------------

    def hear(self, frame: object) -> None:
        """A page says something: in the loop's thread, or in another one while that is busy with a cell."""
        if not isinstance(frame, dict) or not self._open:
            return
        self._heard = self._clock()
        name, views, text = frame.get("front"), frame.get("views"), frame.get("text")
        if isinstance(name, str) and type(views) is int and (name in self._fronts or len(self._fronts) < MOST_FRONTS):
            self._fronts[name[:64]] = views
        if isinstance(text, str) and len(self._asked) < MANY:
            try:
                message = from_json(text)
            except BadMessage:
                message = None  # the visit says what is wrong with it
            self._asked.append(message if isinstance(message, (Hello, Resync)) else text)
            self._have_answered()

    def _have_answered(self) -> None:
        """In the thread of the desk, when that has time."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if self._loop is None or self._loop is here:
            self._answer()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        while self._asked and self._open:
            message, since = self._asked.popleft(), self._clock()
            self.look()
            bell = self._bell()
            if bell is None or not self._open:
                return
            if isinstance(message, (Hello, Resync)) and self._whole >= since:
                continue  # that look told all of it
            if isinstance(message, Resync):
                self._owe(bell.feed)
            elif isinstance(message, Hello):
                self._greet(bell.feed, message)
            elif self._loop is not None:
                task = self._loop.create_task(bell.visit.hear(message, self._send))
                self._tasks.add(task)
                task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("what a page asked could not be answered", exc_info=task.exception())

    def _greet(self, feed: Feed, hello: Hello) -> None:
        """Tell a page what it missed. All views hear it; those that know it already pass it over."""
        missed = feed.since(hello.session, hello.seq)
        if missed is None or len(missed) > MANY:
            self._owe(feed)
        else:
            for delta in missed:
                self._send(delta)


class _Bell:
    """What a desk's feed rings on each record. The desk has it, and it has all of a widget that knows the desk; the widget itself
    only looks for it, so that it keeps no desk."""

    __slots__ = ("__weakref__", "_teller", "feed", "visit")

    def __init__(self, teller: _Teller, feed: Feed, visit: Visit) -> None:
        self._teller, self.feed, self.visit = ref(teller), feed, visit

    def __call__(self) -> None:
        teller = self._teller()
        if teller is not None:
            teller.dirty()
        else:
            self.feed.close()


def _check(title: str, by: str, show: Sequence[str], height: str, most_per_second: int) -> None:
    if not isinstance(title, str) or not isinstance(by, str) or not by.strip():
        raise VaultError(f"the title of a widget is text, and its instructions are by somebody: not title {title!r} and by {by!r}")
    if isinstance(show, str) or not show or not all(part in PARTS for part in show):
        raise VaultError(f"a widget shows some of {', '.join(PARTS)}, not {show!r}")
    if not isinstance(height, str) or re.fullmatch(r"none|[0-9]{1,4}(px|vh|em|rem)", height) is None:
        raise VaultError(f'the height of a widget is such as "600px", "80vh" or "none", not {height!r}')
    if type(most_per_second) is not int or not 1 <= most_per_second <= 60:
        raise VaultError(f"most_per_second {most_per_second!r} must be a whole number from 1 to 60")
