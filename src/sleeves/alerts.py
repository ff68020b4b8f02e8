"""Being told: a desk's alerts brought to people, without ever holding up the desk.

    alerts = Alerts(desk, Log(), Apprise(url))
    tasks.start_soon(alerts.run)

    journal record -> is it worth telling -> was it told just now -> a bounded queue for each notifier -> notifier

What is told again within the cooldown of its cause is counted, and the count is told when the cooldown is over. A cause is
a level, a subject and a code together, so a warning never mutes the critical alert that follows it. A critical alert that
nobody answers is told again, and to those on call as well. Each notifier has its own queue, time limit and tries: one that
hangs or fails keeps nobody else waiting.

Notices are for people. What they say is in the journal anyway; nothing here is ever read back. What an alert means, and
what is to be done about it, is not known here.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import unicodedata
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from math import inf
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import anyio
from attrs import evolve, field, frozen

from .books import Books
from .desk import Desk
from .errors import MissingExtra, SleevesError, VaultError
from .market import MINUTE, SECOND
from .records import Alert, Changed, Level, Record, Recovered
from .standings import DESK, MACHINES

if TYPE_CHECKING:
    from .keys.secret import Secret

__all__ = ["Alerts", "Apprise", "AtLeast", "Callback", "Log", "Notice", "Notifier", "NotifyFailed", "Tally", "utc"]

log = logging.getLogger("sleeves.alerts")
log.addHandler(logging.NullHandler())
logging.getLogger("sleeves.notices").addHandler(logging.NullHandler())

LONGEST = 1_000
"""Characters that the text of a notice has at most."""
LONGEST_NAME = 120
"""Characters that its subject and its code have at most."""
LOOK = 0.25
"""How often what is due by the clock is looked for, in seconds."""
MOST_CAUSES = 4_096
"""Causes whose cooldown is remembered at once; the oldest gives way."""
ESCALATIONS = 5
"""How often a critical alert that stays is told again, each time after twice as long."""
MOST_BUSY = 4
"""Calls of one notifier that may hang at once in threads of their own."""

_RANK = {Level.INFO: 0, Level.WARNING: 1, Level.CRITICAL: 2}
_STDLIB = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.CRITICAL: logging.CRITICAL}
_WORSE = frozenset({"impaired", "close_only", "halted", "deactivated"})
ENDS: Mapping[str, tuple[str, ...]] = {
    "limit_lifted": ("limit",),
    "reconnected": ("connection_lost",),
    "sync_restored": ("sync_failed", "reconcile_failed"),
}
"""Which alerts say that others, of the same subject, are over."""

_ENDED = frozenset(code for codes in ENDS.values() for code in codes)


EACH = ("confirm", "limit", "residual")
"""Codes whose alerts each say something else: a wish that waits, a limit, a position that stays open."""


class NotifyFailed(SleevesError):
    """A notifier could not hand a notice on. Its message says nothing that is secret."""


def utc(at: int) -> str:
    """A time in nanoseconds as text: "2025-11-22 01:42:00 UTC"; one that no calendar has, as its number."""
    try:
        return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{at} ns"


def _plain(text: object, most: int) -> str:
    """One line that shows what it says: no control characters, none that are invisible or turn the direction; shortened."""
    raw = str(text)[: most + 1]
    shown = "".join(" " if c.isspace() else "\ufffd" if unicodedata.category(c)[0] == "C" else c for c in raw)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _name(text: object) -> str:
    return _plain(text, LONGEST_NAME)


def _text(text: object) -> str:
    return _plain(text, LONGEST)


@frozen(order=False)
class Notice:
    """What a person is told. Its words are one line each, of bounded length, without control or invisible characters.

    They may still come from a venue or an engine: a notifier that speaks a markup language escapes them.
    """

    at: int
    """When it happened, in nanoseconds."""
    level: Level = field(converter=Level)
    subject: str = field(converter=_name)
    code: str = field(converter=_name)
    text: str = field(converter=_text)
    more: int = 0
    """How many of the same cause came since the last notice of it and were not told apart."""
    stands_ns: int = 0
    """For a critical alert that nobody answered: how long it has stood."""

    @property
    def title(self) -> str:
        stands = f", unanswered for {self.stands_ns // MINUTE} min" if self.stands_ns else ""
        return f"{self.level.value.upper()} {self.code}: {self.subject}{stands}"

    @property
    def body(self) -> str:
        return f"{self.text}{self._more}\n{utc(self.at)}"

    @property
    def _more(self) -> str:
        return f" ({self.more} more since)" if self.more else ""

    def __str__(self) -> str:
        return f"{self.title}: {self.text}{self._more}, {utc(self.at)}"


class Notifier(Protocol):
    """A way to reach people."""

    async def notify(self, notice: Notice) -> None:
        """Hand a notice on. Raises only `NotifyFailed`, whose message may be logged, so it holds no credential."""


@frozen
class Log:
    """Tells the standard library's logging, at the notice's level, under `sleeves.notices` or another logger."""

    logger: logging.Logger = field(factory=lambda: logging.getLogger("sleeves.notices"))

    async def notify(self, notice: Notice) -> None:
        extra = {
            "sleeves_at": notice.at,
            "sleeves_subject": notice.subject,
            "sleeves_code": notice.code,
            "sleeves_more": notice.more,
        }
        self.logger.log(_STDLIB[notice.level], "%s", notice, extra=extra)


@frozen
class AtLeast:
    """Hands on to another notifier what is at least of this level: `AtLeast(Level.CRITICAL, pager)`."""

    level: Level = field(converter=Level)
    notifier: Notifier

    async def notify(self, notice: Notice) -> None:
        if _RANK[notice.level] >= _RANK[self.level]:
            await self.notifier.notify(notice)


class Callback:
    """Calls a function, which may be async, with each notice, for `within` seconds at most.

    A plain function runs in a thread of its own, so it may block. One that hangs is left behind there, and keeps neither
    the desk nor the end of the process waiting.
    """

    def __init__(self, call: Callable[[Notice], object], *, within: float = 10.0) -> None:
        if not callable(call):
            raise VaultError(f"a callback is called with a notice, and {call!r} cannot be called")
        self._call = call
        self._within = _seconds(within, "within")
        self._aside = _Aside()

    async def notify(self, notice: Notice) -> None:
        try:
            done = await self._aside.run(lambda: self._call(notice), self._within)
            if isawaitable(done):
                with anyio.fail_after(self._within):
                    await done
        except NotifyFailed as error:
            raise NotifyFailed(f"{self!r}: {error}") from None
        except TimeoutError:
            raise NotifyFailed(f"{self!r}: no answer within {self._within:g} s") from None
        except Exception as error:
            raise NotifyFailed(f"{self!r} raised {type(error).__name__}") from error

    def __repr__(self) -> str:
        return f"Callback({getattr(self._call, '__qualname__', type(self._call).__name__)})"


class _Aside:
    """Calls that may block, each in a daemon thread: one that never ends must not keep the process from ending."""

    def __init__(self) -> None:
        self._busy = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[[], object], within: float) -> object:
        """What the call returns. Raises what it raises, and `NotifyFailed` when it takes too long or too many hang."""
        with self._lock:
            if self._busy >= MOST_BUSY:
                raise NotifyFailed(f"{self._busy} earlier calls have not ended yet")
            self._busy += 1
        over = threading.Event()
        came: list[object] = []
        raised: list[BaseException] = []

        def work() -> None:
            try:
                came.append(call())
            except BaseException as error:  # it is raised again where the result is waited for
                raised.append(error)
            finally:
                with self._lock:
                    self._busy -= 1
                over.set()

        threading.Thread(target=work, name="sleeves notifier", daemon=True).start()
        pause = 0.001
        with anyio.move_on_after(within):
            while not over.is_set():
                await anyio.sleep(pause)
                pause = min(2 * pause, 0.05)
        if not over.is_set():
            raise NotifyFailed(f"no answer within {within:g} s")
        if raised:
            raise raised[0]
        return came[0]


class Apprise:
    """Tells Telegram, Slack, mail and a hundred other services through the apprise package, extra `alerts`.

    Each of `urls` is one service, as apprise writes it (`tgram://...`, `slack://...`, `mailto://...`). Such a URL is a
    credential: hand it in as a `sleeves.keys.Secret`, or as text. It is never shown: not in the repr, not in errors, and
    what apprise and the HTTP client below it log is blotted out. Notices are sent as plain text, in which mentions, tags and
    links are broken up, so that words of a venue or an engine can neither ring everybody nor be clicked.

    A delivery has `within` seconds, in a thread of its own. Raises `MissingExtra` without apprise, `VaultError` for what is
    no URL that it knows.
    """

    __slots__ = ("_aside", "_known", "_services", "_within")

    def __init__(self, *urls: str | Secret, within: float = 20.0) -> None:
        try:
            import apprise
        except ImportError as error:
            raise MissingExtra("apprise", "alerts", "telling Telegram, Slack, mail and others") from error
        self._known = ""  # should it be refused below, a traceback can still show it
        if not urls:
            raise VaultError("apprise needs at least one URL of a service to tell")
        self._within = _seconds(within, "within")
        self._aside = _Aside()
        self._services = apprise.Apprise()
        names = []
        for number, given in enumerate(urls, 1):
            url = _revealed(given)
            _BLOT.hide(url)
            service = _made(apprise, url)
            if service is None:  # whatever it is, it may be a password: it is not repeated here
                raise VaultError(f"the URL number {number} is none that apprise knows: see its list of services")
            self._services.add(service)
            names.append(str(service.service_name))
        self._known = ", ".join(names)

    async def notify(self, notice: Notice) -> None:
        title, body, kind = _harmless(notice.title), _harmless(notice.body), _KINDS[notice.level]

        def send() -> bool:
            return bool(self._services.notify(title=title, body=body, notify_type=kind, body_format="text"))

        try:
            taken = await self._aside.run(send, self._within)
        except NotifyFailed as error:
            raise NotifyFailed(f"{self!r}: {error}") from None
        except Exception as error:  # its words may hold the URL: only its class is told
            raise NotifyFailed(f"{self!r} raised {type(error).__name__}") from None
        if not taken:
            raise NotifyFailed(f"{self!r}: not every service took it")

    def __repr__(self) -> str:
        return f"Apprise({self._known})"

    def __reduce__(self) -> Any:
        raise TypeError("an Apprise holds credentials and is not pickled or copied")


_KINDS = {Level.INFO: "info", Level.WARNING: "warning", Level.CRITICAL: "failure"}


def _revealed(url: str | Secret) -> str:
    """A URL that was handed in as text, or as a secret that reveals it."""
    reveal = getattr(url, "reveal", None)
    told = reveal() if callable(reveal) else url
    if not isinstance(told, str):
        raise VaultError(f"a URL is text or a Secret, not a {type(url).__name__}")
    return told


def _made(apprise: Any, url: str) -> Any:
    """The service of one URL; None for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what its own plugins import is none of the caller's business
        try:
            return apprise.Apprise.instantiate(url, suppress_exceptions=True)
        except Exception:  # a plugin that stumbles over a URL says it in its own words, which may repeat it
            return None


def _harmless(text: str) -> str:
    """Text in which no chat sees a mention, a tag or a link: an invisible space stands behind what would begin one."""
    return re.sub(r"([@<])|(:)(?=//)", lambda match: match[0] + "\u200b", text)


class _Blot(logging.Filter):
    """Blots words of credentials out of what is logged."""

    _LOGGERS = ("apprise", "urllib3.connectionpool", "requests")
    _COMMON = frozenset({"format", "html", "markdown", "text", "true", "false", "verify"})
    SHORTEST = 4
    """Shorter parts of a URL are no secrets, and would blot out everything."""

    def __init__(self) -> None:
        super().__init__()
        self._words: dict[str, None] = {}
        self._pattern = re.compile(r"(?!)")

    def hide(self, url: str) -> None:
        """From here on nothing of this URL but its scheme is logged by apprise and what it stands on."""
        rest = url.partition("://")[2] or url
        for word in (rest, *re.split(r"[/:@?&=,;#\s]+", rest)):
            for spelled in (word, unquote(word)):
                if len(spelled) >= self.SHORTEST and spelled.lower() not in self._COMMON:
                    self._words[spelled] = None
        longest_first = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else self._pattern
        for name in self._LOGGERS:
            logger = logging.getLogger(name)
            if self not in logger.filters:
                logger.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit: whoever formats it says so
            message = str(record.msg)
        record.msg, record.args = self._pattern.sub("***", message), ()
        if record.exc_info:
            error = record.exc_info[1]
            record.exc_info, record.exc_text = None, None
            record.msg += f" ({type(error).__name__})"
        return True


_BLOT = _Blot()


def _seconds(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.001 <= value < inf:
        raise VaultError(f"{what} {value!r} must be a number of seconds, 0.001 or more")
    return float(value)


# -- what is worth telling -------------------------------------------------------------------------------------------


class _Muted:
    """A cause that was told: when, and what came of it since."""

    __slots__ = ("count", "last", "told")

    def __init__(self, last: Notice, told: int) -> None:
        self.last = last
        self.told = told
        self.count = 0


class _Sieve:
    """What was told just now is not told again, but counted. Times are the clock's."""

    def __init__(self, cooldown: int, cooldowns: Mapping[str, int]) -> None:
        self._cooldown = cooldown
        self._cooldowns = dict(cooldowns)
        self._causes: dict[tuple[Level, str, str], _Muted] = {}
        """The one that was told longest ago stands first."""

    def _rest(self, code: str) -> int:
        return self._cooldowns.get(code, self._cooldown)

    def take(self, notice: Notice, now: int) -> list[Notice]:
        """What is to be told of it now."""
        rest = self._rest(notice.code)
        if not rest:
            return [notice]
        key = (notice.level, notice.subject, notice.code)
        known = self._causes.get(key)
        if known is not None and now - known.told < rest:
            known.count += 1
            known.last = notice
            return []
        told = []
        if known is not None:
            del self._causes[key]
            notice = evolve(notice, more=known.count)
        elif len(self._causes) >= MOST_CAUSES:
            oldest = self._causes.pop(next(iter(self._causes)))
            told += [evolve(oldest.last, more=oldest.count - 1)] if oldest.count else []
        self._causes[key] = _Muted(notice, now)
        return [*told, notice]

    def due(self, now: int) -> list[Notice]:
        """What came in cooldowns that are over."""
        over = [(key, one) for key, one in self._causes.items() if now - one.told >= self._rest(key[2])]
        return self._tell(over, now)

    def all(self, now: int) -> list[Notice]:
        """What came in all cooldowns."""
        return self._tell([(key, one) for key, one in self._causes.items() if one.count], now)

    def _tell(self, causes: Iterable[tuple[tuple[Level, str, str], _Muted]], now: int) -> list[Notice]:
        told = []
        for key, one in causes:
            del self._causes[key]
            if one.count:  # the last of them is told with its words, the others are its `more`
                told.append(evolve(one.last, more=one.count - 1))
                self._causes[key] = _Muted(one.last, now)
        return told


class _Stands:
    """A critical alert that nobody has answered."""

    __slots__ = ("due", "last", "since", "times")

    def __init__(self, last: Notice, since: int, due: int) -> None:
        self.last = last
        self.since = since
        self.due = due
        self.times = 0


class _Watch:
    """Critical alerts that stay, and when they are told again: after a while, then after twice that while, and so on."""

    def __init__(self, after: int | None) -> None:
        self._after = after
        self._standing: dict[tuple[str, str], _Stands] = {}

    def note(self, notice: Notice, now: int) -> None:
        if self._after is None or notice.level is not Level.CRITICAL:
            return
        key = (notice.subject, notice.code)
        known = self._standing.get(key)
        if known is not None:
            known.last = notice
            return
        if len(self._standing) >= MOST_CAUSES:
            del self._standing[next(iter(self._standing))]
        self._standing[key] = _Stands(notice, now, now + self._after)

    def due(self, now: int) -> list[Notice]:
        """What has stood long enough to be told again."""
        told = []
        for key, one in list(self._standing.items()):
            if now >= one.due:
                one.times += 1
                one.due = now + (self._after or 0) * 2**one.times
                told.append(evolve(one.last, stands_ns=now - one.since))
                if one.times == ESCALATIONS:
                    del self._standing[key]
        return told

    def end(self, subject: str | None, code: str | None = None) -> bool:
        """They are answered: those of a subject (None: of all), with this code (None: with any). Whether there were any."""
        over = [key for key in self._standing if subject in (None, key[0]) and code in (None, key[1])]
        for key in over:
            del self._standing[key]
        return bool(over)

    @property
    def standing(self) -> list[Notice]:
        return [one.last for one in self._standing.values()]


# -- bringing it there -----------------------------------------------------------------------------------------------


@frozen
class Tally:
    """How one notifier fared: notices that wait, that were handed on, that were given up, and that its full queue dropped."""

    waiting: int
    told: int
    failed: int
    dropped: int


class _Post:
    """One notifier and its queue: bounded, the worst first; what does not fit is counted, and told once there is room."""

    def __init__(
        self, name: str, notifier: Notifier, most: int, retries: Sequence[float], patience: float, gave_up: Callable[[_Post, str], None]
    ) -> None:
        self.name = name
        self.told = self.failed = self.dropped = 0
        self._notifier = notifier
        self._most = most
        self._retries = retries
        self._patience = patience
        self._gave_up = gave_up
        self._queues: dict[Level, deque[Notice]] = {level: deque() for level in (Level.CRITICAL, Level.WARNING, Level.INFO)}
        self._lost: Counter[Level] = Counter()
        """What was dropped and nobody was told of yet, by level."""
        self._lost_at = 0
        self._down = False
        self._busy = 0
        self._lock = threading.Lock()
        self._wake: anyio.Event | None = None
        self._thread = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values())) + self._busy

    def put(self, notice: Notice) -> None:
        """Queue a notice. When the queue is full the oldest of the least level gives way, or this one if it is less still."""
        with self._lock:
            if sum(map(len, self._queues.values())) >= self._most:
                least = next(level for level in reversed(self._queues) if self._queues[level])
                if _RANK[notice.level] < _RANK[least]:
                    return self._drop(notice)
                self._drop(self._queues[least].popleft())
            self._queues[notice.level].append(notice)
        if self._wake is not None and threading.get_ident() == self._thread:
            self._wake.set()  # from another thread it is found at the next look
        return None

    def _drop(self, notice: Notice) -> None:
        self.dropped += 1
        self._lost[notice.level] += 1
        self._lost_at = notice.at

    def _take(self) -> tuple[Notice, Counter[Level]] | None:
        """The next notice, and what it tells the dropping of; None while there is none."""
        with self._lock:
            lost: Counter[Level] = Counter()
            if self._lost and not self._down:
                lost, self._lost = self._lost, lost
                notice = self._say(lost)
            else:
                queue = next((queue for queue in self._queues.values() if queue), None)
                if queue is None:
                    return None
                notice = queue.popleft()
            self._busy += 1
            return notice, lost

    def _say(self, lost: Counter[Level]) -> Notice:
        level = Level.CRITICAL if lost[Level.CRITICAL] else Level.WARNING
        critical = f", {lost[Level.CRITICAL]} of them critical," if lost[Level.CRITICAL] else ""
        text = f"{lost.total()} notices{critical} were dropped: {self.name} did not keep up, and {self._most} were waiting"
        return Notice(self._lost_at, level, "alerts", "notices_dropped", text)

    async def run(self) -> None:
        """Hand on what comes, for ever."""
        self._thread = threading.get_ident()
        try:
            while True:
                self._wake = anyio.Event()
                if not await self.once():
                    with anyio.move_on_after(LOOK):
                        await self._wake.wait()
        finally:
            self._wake = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is under way, or is still to be said of what was dropped."""
        return not self.waiting and (self._down or not self._lost)

    async def drain(self, posts: Iterable[_Post]) -> None:
        """Hand on all that waits, until all these are idle: one that gives up has the others say so."""
        while not all(post.idle for post in posts):
            if not await self.once():
                await anyio.sleep(0.01)

    async def once(self) -> bool:
        """Hand on the next notice, if there is one. One that is broken off waits again: better told twice than never."""
        taken = self._take()
        if taken is None:
            return False
        notice, lost = taken
        done: bool | None = None
        try:
            done = await self._deliver(notice)
            await anyio.sleep(0)  # a notifier that waits for nothing must let others run
        finally:
            with self._lock:
                self._busy -= 1
                if lost and not done:
                    self._lost.update(lost)
                elif done is None:
                    self._queues[notice.level].appendleft(notice)
        return True

    async def _deliver(self, notice: Notice) -> bool:
        why = ""
        for pause in (*self._retries, None):
            try:
                with anyio.fail_after(self._patience):
                    await self._notifier.notify(notice)
            except NotifyFailed as error:
                why = str(error)
            except TimeoutError:
                why = f"no answer within {self._patience:g} s"
            except Exception as error:  # it breaks its promise; the others and the desk must not notice
                why = f"raised {type(error).__name__}"
            else:
                self.told += 1
                self._down = False
                return True
            log.warning("%s did not take the notice %s: %s", self.name, notice.code, why)
            if pause is not None:
                await anyio.sleep(pause)
        self.failed += 1
        self._down = True
        log.error("%s: gave up after %d tries on: %s", self.name, len(self._retries) + 1, notice)
        self._gave_up(self, why)
        return False


class Alerts:
    """Listens to a desk, or to books, and tells notifiers what people should know: `Log()` where none is given.

    Told are alerts of at least the level `least`, and of records `Changed` and `Recovered` where `also` names them. Equal
    ones (level, subject, code) are told once per `cooldown`, or per the cooldown of their code in `cooldowns`, both in
    nanoseconds; 0 mutes nothing, and is what those of `EACH` have unless you say otherwise. A critical one stands until
    somebody answers: by `acknowledge`, by a change that a human makes to its subject, or by an alert which says that it is
    over. One that stands for `escalate_after` nanoseconds is told again, to those `on_call` too, then after twice that time,
    and so on, a few times; None does without.

    Each notifier has a queue of `most` notices, `patience` seconds for one delivery, and is tried again after each pause of
    `retries`, in seconds. `clock` counts nanoseconds and never goes back. Listening begins here, telling with `run`.

    Raises `VaultError` for parameters that make no sense.
    """

    def __init__(
        self,
        desk: Desk | Books,
        *notifiers: Notifier,
        least: Level | str = Level.WARNING,
        cooldown: int = 5 * MINUTE,
        cooldowns: Mapping[str, int] | None = None,
        also: Iterable[type] = (),
        on_call: Iterable[Notifier] = (),
        escalate_after: int | None = 15 * MINUTE,
        most: int = 1_000,
        retries: Sequence[float] = (1.0, 2.0, 4.0),
        patience: float = 30.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        books = desk.books if isinstance(desk, Desk) else desk
        if not isinstance(books, Books):
            raise VaultError(f"alerts are those of a Desk or of Books, not of {desk!r}")
        self._least = _level(least)
        self._also = _kinds(also)
        for code, rest in {"": cooldown, **(cooldowns or {})}.items():
            if type(rest) is not int or rest < 0:
                raise VaultError(f"the cooldown {rest!r}{' of ' + code if code else ''} must be whole nanoseconds, 0 or more")
        if escalate_after is not None and (type(escalate_after) is not int or escalate_after <= 0):
            raise VaultError(f"escalate_after {escalate_after!r} must be whole nanoseconds above 0, or None")
        if type(most) is not int or most < 1:
            raise VaultError(f"most {most!r} must be a whole number of notices, 1 or more")
        pauses = tuple(_seconds(pause, "a pause of retries") for pause in retries)
        self._sieve = _Sieve(cooldown, {**dict.fromkeys(EACH, 0), **(cooldowns or {})})
        self._watch = _Watch(escalate_after)
        self._open: dict[tuple[str, str], None] = {}
        """What was told and another alert will say the end of, by subject and code."""
        self._clock = clock
        self._lock = threading.Lock()
        self._running = False
        told, called = tuple(notifiers) or (Log(),), tuple(on_call)
        self._posts: dict[str, _Post] = {}
        for one in (*told, *called):
            if not callable(getattr(one, "notify", None)):
                raise VaultError(f"{one!r} is no notifier: it has no method notify(notice)")
            name = type(one).__name__
            name = name if name not in self._posts else f"{name} {len(self._posts) + 1}"
            self._posts[name] = _Post(name, one, most, pauses, _seconds(patience, "patience"), self._gave_up)
        self._told = list(self._posts.values())[: len(told)]
        self._end = books.listen(self._hear)

    # -- in: called by the desk, so it waits for nothing ---------------------------------------------------------------

    def _hear(self, record: Record) -> None:
        kind = type(record)
        if kind is Alert:
            self._alert(record)  # type: ignore[arg-type]
        elif kind is Changed:
            self._changed(record)  # type: ignore[arg-type]
        elif kind is Recovered and Recovered in self._also:
            self._recovered(record)  # type: ignore[arg-type]

    def _alert(self, alert: Alert) -> None:
        notice = Notice(alert.at, alert.level, alert.subject, alert.code, alert.text)
        with self._lock:
            ended = [(notice.subject, code) for code in ENDS.get(alert.code, ()) if (notice.subject, code) in self._open]
            for one in ended:
                del self._open[one]
                self._watch.end(*one)
            if _RANK[alert.level] >= _RANK[self._least] or ended:  # who was told that it is broken is told that it works
                self._tell(notice)
                if alert.code in _ENDED and len(self._open) < MOST_CAUSES:
                    self._open[notice.subject, notice.code] = None

    def _changed(self, change: Changed) -> None:
        with self._lock:
            if change.by not in MACHINES:
                self._answered(change.subject)
            if Changed in self._also:
                latch, why = change.what.startswith("latch "), f": {change.why}" if change.why else ""
                worse = bool(change.after) if latch else change.after in _WORSE
                moved = ("on" if change.after else "off") if latch else f"{change.before or 'none'} -> {change.after or 'none'}"
                level = Level.WARNING if worse else Level.INFO
                self._tell(Notice(change.at, level, change.subject, change.what, f"{moved} by {change.by}{why}"))

    def _answered(self, subject: str) -> None:
        """A human did something about a subject; about the desk is about all. Alerts name a venue by its bare name."""
        for one in (None,) if subject == DESK else {subject, subject.removeprefix("venue:")}:
            self._watch.end(None if one is None else _name(one))

    def _recovered(self, record: Recovered) -> None:
        found = ", ".join(f"{name} {value}" for name, value in record.found.items()) or "nothing new"
        with self._lock:
            self._tell(Notice(record.at, Level.INFO, "desk", "recovered", f"by {record.by}, then {record.policy}; {found}"))

    def _tell(self, notice: Notice) -> None:
        now = self._clock()
        self._watch.note(notice, now)
        self._queue(self._sieve.take(notice, now), self._told)

    @staticmethod
    def _queue(notices: Iterable[Notice], posts: Iterable[_Post]) -> None:
        for post in posts:
            for notice in notices:
                post.put(notice)

    def _gave_up(self, post: _Post, why: str) -> None:
        """A notifier is not reached: the others say so."""
        with self._lock:
            notice = Notice(time.time_ns(), Level.WARNING, post.name, "notifier_failed", why)
            self._queue(self._sieve.take(notice, self._clock()), [one for one in self._posts.values() if one is not post])

    # -- out -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell notifiers what comes, until it is canceled: for a task group. Raises `VaultError` when it runs already."""
        if self._running:
            raise VaultError("these alerts are being told already: run() runs once at a time")
        self._running = True
        try:
            async with anyio.create_task_group() as tasks:
                for post in self._posts.values():
                    tasks.start_soon(post.run, name=f"sleeves notifier {post.name}")
                while True:
                    self._look()
                    await anyio.sleep(LOOK)
        finally:
            self._running = False

    def _look(self) -> None:
        """Queue what is due by the clock."""
        with self._lock:
            now = self._clock()
            self._queue(self._sieve.due(now), self._told)
            self._queue(self._watch.due(now), self._posts.values())

    async def flush(self, within: float = 10.0) -> int:
        """Tell all that waits, with what was counted in cooldowns, in at most so many seconds; returns how many notices are left.

        For the end of a program, beside `run` or without it.
        """
        _seconds(within, "within")
        with self._lock:
            self._queue(self._sieve.all(self._clock()), self._told)
        with anyio.move_on_after(within):
            async with anyio.create_task_group() as tasks:
                for post in self._posts.values():
                    tasks.start_soon(post.drain, self._posts.values())
        return sum(post.waiting for post in self._posts.values())

    def acknowledge(self, subject: str, code: str | None = None) -> bool:
        """Somebody takes care of a subject's critical alerts, or of those of one code: they are not told again by themselves.

        Returns whether there were any.
        """
        with self._lock:
            return self._watch.end(_name(subject), None if code is None else _name(code))

    @property
    def standing(self) -> list[Notice]:
        """Critical alerts that nobody has answered yet, the oldest first."""
        with self._lock:
            return self._watch.standing

    def tally(self) -> dict[str, Tally]:
        """How each notifier fares, by its name."""
        return {name: Tally(post.waiting, post.told, post.failed, post.dropped) for name, post in self._posts.items()}

    def close(self) -> None:
        """Listen no more. What waits can still be told."""
        self._end()


def _level(level: Level | str) -> Level:
    try:
        return Level(level)
    except ValueError:
        raise VaultError(f"level {level!r} is none of {', '.join(Level)}") from None


def _kinds(also: Iterable[type]) -> frozenset[type]:
    kinds = frozenset(also) if isinstance(also, Iterable) else frozenset({NoneType})
    if kinds - {Changed, Recovered}:
        raise VaultError(f"also {also!r}: besides alerts the records Changed and Recovered can be told")
    return kinds
