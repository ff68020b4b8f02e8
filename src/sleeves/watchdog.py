"""The watchdog: how long an engine may think, and how much it may wish for, before it is taken for broken.

    with Watchdog(seconds=2.0, most_wishes=1_000) as watchdog:
        end = desk.wrap(watchdog.guard)

Each decision is guarded. One that takes longer is broken off with `EngineStuck`, one that wishes without end with
`EngineFlood`; the desk takes both as it takes any engine that raises: that engine is asked no more, a human is told, and
the others go on. Wishes that come from a generator are taken inside the guard, so it is guarded too.

In the main thread of a Unix process, where nobody else uses SIGALRM, the alarm clock breaks in. It raises only inside
what the engine runs: never in the guard, in the desk, or in the desk's own code that the engine called to look at
something (it rings again until the engine is back in its own). What it cannot break off is one call into C that does not
come back to Python; elsewhere (another thread, Windows) it can break off nothing. There a thread watches, and says so in
the log while the decision hangs; when the decision comes back after all, it is refused for being late.

It knows nothing of what is wished for.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from math import inf
from types import FrameType, TracebackType
from typing import Any, Self

from .errors import EngineFault, VaultError
from .orders import Bundle, Cancel, Intent, Place

__all__ = ["EngineFlood", "EngineStuck", "Watchdog"]

log = logging.getLogger("sleeves.watchdog")
log.addHandler(logging.NullHandler())

Decide = Callable[[Any, Any], Iterable[Intent] | None]

AGAIN = 0.02
"""How long the alarm clock waits before it rings again, in seconds."""
OURS = frozenset(
    {
        "sleeves.blotter",
        "sleeves.books",
        "sleeves.exposure",
        "sleeves.ledger",
        "sleeves.seat",
        "sleeves.sleeve",
        "sleeves.vault",
        "sleeves.watchdog",
    }
)
"""This module, and what a view looks things up with: it remembers what it worked out, and must not be left halfway through."""


class EngineStuck(EngineFault):
    """An engine took longer over one decision than it may."""


class EngineFlood(EngineFault):
    """An engine wished for more at once than it may."""


class _Rung(BaseException):
    """The alarm clock rang inside an engine. No `except Exception` of the engine's catches it."""


class Watchdog:
    """A bound for the time of each decision in seconds, and for its number of wishes; None for no bound.

    Entered, it has the alarm clock where that is free, or a thread of its own; left, it gives back what it found. Raises
    `VaultError` for bounds that are not above zero.
    """

    def __init__(
        self, seconds: float | None = 2.0, most_wishes: int | None = 1_000, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0.001 <= seconds < inf):
            raise VaultError(f"engine_patience {seconds!r} must be a number of seconds, 0.001 or more")
        if most_wishes is not None and (type(most_wishes) is not int or most_wishes <= 0):
            raise VaultError(f"most_wishes {most_wishes!r} must be a positive whole number")
        self.seconds = seconds
        self.most_wishes = most_wishes
        self.stuck = 0
        """Decisions that took longer than they may."""
        self.breaks_in = False
        """Whether it can break off a decision, or only tell."""
        self.late = False
        """Whether the alarm clock rang for the decision that is under way."""
        self._clock = clock
        self._deadline = inf
        self._name = ""
        self._handler = self._rang
        self._found: Any = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def guard(self, name: str, decide: Decide) -> Decide:
        """An engine's `decide`, guarded; `name` is its sleeve."""
        return _Guard(self, name, decide)

    # -- the clock ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.seconds is None:
            return self
        if _alarm_is_free():
            self._found = signal.signal(signal.SIGALRM, self._handler)
            self.breaks_in = True
        else:
            self._over.clear()
            self._thread = threading.Thread(target=self._watch, args=(self.seconds,), name="sleeves watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.breaks_in:
            self.breaks_in = False
            if signal.getsignal(signal.SIGALRM) is self._handler:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, self._found)
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def begin(self, name: str) -> None:
        """A decision begins."""
        self._name, self.late = name, False
        if self.seconds is None:
            return
        self._deadline = self._clock() + self.seconds
        if self.breaks_in:
            if signal.getsignal(signal.SIGALRM) is self._handler:
                signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN)
            else:
                self.breaks_in = False
                log.warning("somebody else has taken SIGALRM: an engine that hangs cannot be broken off any more")

    def end(self) -> bool:
        """The decision is over; whether it was late."""
        late = self.late or self._clock() >= self._deadline
        self._deadline, self.late = inf, False
        if self.breaks_in:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.stuck += late
        return late

    def _rang(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 the shape of a signal handler
        """The alarm clock: break in, if an engine is at it, is late, and is in code of its own.

        `frame` is where the process was. Only what the guard has called may be broken off, and of that neither this module
        nor what a view looks things up with; so what is raised here ends in the guard, which has called it.
        """
        if self._clock() < self._deadline:
            return
        self.late = True
        own = True
        inner = frame
        while frame is not None and frame.f_code is not _GUARD:
            own = own and frame.f_globals.get("__name__") not in OURS
            frame = frame.f_back
        if own and frame is not None and frame is not inner:
            raise _Rung

    def _watch(self, seconds: float) -> None:
        """In a thread of its own: tell of a decision that hangs, once."""
        told = inf
        while not self._over.wait(min(0.25, seconds / 4)):
            deadline = self._deadline
            if deadline != told and self._clock() >= deadline:
                told = deadline
                text = "the engine of %s has not answered for %g s and cannot be broken off from here: the desk stands still"
                log.critical(text, self._name, seconds, extra={"sleeve": self._name})


class _Guard:
    """One engine's `decide` under a watchdog."""

    __slots__ = ("_decide", "_dog", "_name")

    def __init__(self, dog: Watchdog, name: str, decide: Decide) -> None:
        self._dog, self._name, self._decide = dog, name, decide

    def __call__(self, memory: Any, view: Any) -> Iterable[Intent] | None:
        """What the engine wishes. Raises what it raises, `EngineStuck` and `EngineFlood`."""
        dog = self._dog
        most = inf if dog.most_wishes is None else dog.most_wishes
        wishes: Any = None
        error: BaseException | None = None
        dog.begin(self._name)
        try:
            wishes = self._decide(memory, view)
            if wishes is not None and not isinstance(wishes, _WHOLE) and isinstance(wishes, Iterable):
                taken = []
                for wish in wishes:
                    taken.append(wish)
                    if len(taken) > most or dog.late:
                        break
                wishes = taken
        except BaseException as raised:
            error = raised
        late = dog.end()
        if error is not None and not isinstance(error, (Exception, _Rung)):
            raise error  # the process is to end, and not because of the engine
        if late:
            cause = error if isinstance(error, Exception) else None
            raise EngineStuck(f"it took longer than {dog.seconds:g} s over one decision") from cause
        if error is not None:
            raise error
        if isinstance(wishes, (list, tuple)) and len(wishes) > most:
            raise EngineFlood(f"it wished for more than {most:,} things at once")
        return wishes  # type: ignore[no-any-return]


_GUARD = _Guard.__call__.__code__
_WHOLE = (list, tuple, Place, Cancel, Bundle)
"""What is there whole, or is no list of wishes."""


def _alarm_is_free() -> bool:
    """Whether this is the main thread of a process that has an alarm clock which nobody uses."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN) and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
