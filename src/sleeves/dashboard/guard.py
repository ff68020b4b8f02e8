"""Who may look, and who may say something: tokens, sign-ins, hosts, origins and rates. It knows neither sockets nor desks.

    guard = Guard("a token of 16 characters or more", hosts=None, origins=())
    guard.names(host)                                   whether it is one of the names that this page answers to
    guard.who(authorization=..., cookie=...)            who that is, or None
    guard.may_ask(who, origin=..., host=..., secure=)   why a socket or a POST of theirs is not taken, or ""

A browser that was made to ask by another site brings its cookie along, and cannot hide its origin: so what comes with a
cookie, or with a host app's own sign-in, must say its origin. Who sends the token itself was not made to.

Tokens are compared in constant time, and are in no text that this module makes.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from attrs import field, frozen

from ..errors import VaultError
from ..keys import Secret

__all__ = ["LOOPBACK", "PROTOCOL", "TOKEN_PROTOCOL", "VISITOR", "Failures", "Guard", "Rate", "Rates", "Visitor", "new_token"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names that a page answers to where nothing else is said."""
PROTOCOL = "sleeves.v1"
"""The WebSocket subprotocol that is spoken."""
TOKEN_PROTOCOL = "sleeves.token."
"""What a subprotocol that bears the token begins with: a browser can send a socket no header of its own."""
VISITOR = "sleeves.visitor"
"""Where in a request's scope it stands who was let in."""

LONGEST = 512
"""The most characters of a credential that are looked at."""
SIGN_INS = 1_000
"""The most sign-ins that are remembered; the one that was used longest ago is let go."""
LASTS = 7 * 86_400.0
"""How long a sign-in lasts, in seconds."""
_TOKEN = re.compile(r"[A-Za-z0-9_\-.~]{16,256}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-:.@ ]{0,63}")
_HOST = re.compile(r"(?:\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def new_token() -> Secret:
    """A token of 256 random bits."""
    return Secret(secrets.token_urlsafe(32))


@frozen(order=False)
class Visitor:
    """Who was let in. `session` tells one sign-in from another; `ambient`: the browser vouched for it by itself, see `may_ask`."""

    name: str
    session: str = field(repr=False)
    ambient: bool

    @property
    def of_host(self) -> bool:
        """Whether a host app's own sign-in has let it in."""
        return self.session.startswith("host:")


class Guard:
    """Who is let in, and from where.

    `token` opens it: 16 to 256 of A-Z a-z 0-9 _ - . ~, or None for none. `by` is the name of whoever has it. Raises
    `VaultError` for a token, a host, an origin or a name that is none; it never shows the token.
    """

    def __init__(
        self,
        token: str | Secret | None,
        *,
        hosts: Iterable[str] | None = None,
        origins: Iterable[str] = (),
        by: str = "page",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = None if token is None else check_token(token)
        del token
        self.by = check_name(by)
        if hosts is not None and not (hosts := _listed(hosts, "hosts")):
            raise VaultError("hosts is empty, so the page would answer to no name: leave it out for this machine's own")
        self.hosts = frozenset(LOOPBACK if hosts is None else map(_check_host, _listed(hosts, "hosts")))
        self.origins = tuple(_check_origin(one) for one in _listed(origins, "origins"))
        self.failures = Failures(clock)
        self.cookie = f"sleeves-{secrets.token_hex(4)}"
        """The name of this page's cookie: cookies are shared by all ports of a host, so each page has a name of its own."""
        self._clock = clock
        self._signed_in: OrderedDict[str, float] = OrderedDict()
        """By the digest of a cookie: until when it lasts, by the clock."""

    # -- from where ----------------------------------------------------------------------------------------------------

    def names(self, host: str | None) -> bool:
        """Whether a request's Host is one of ours: a page on a name that somebody points at this machine is not."""
        found = _split_host(host)
        return found is not None and ("*" in self.hosts or found[0] in self.hosts)

    def may_ask(self, who: Visitor, *, origin: str | None, host: str | None, secure: bool) -> str:
        """Why a socket, or a request that may change something, is not taken from this visitor; nothing where it is."""
        if origin is None:
            return "an Origin is needed with a sign-in; a program sends the token as its Bearer" if who.ambient else ""
        return "" if self.knows(origin, host, secure=secure) else "this origin is foreign here"

    def knows(self, origin: str, host: str | None, *, secure: bool) -> bool:
        """Whether an origin is this page's own, or one of those that may use it."""
        found, here = _split_origin(origin), _split_host(host)
        if found is None or here is None:
            return False
        scheme, name, port = found
        if found in self.origins:
            return True
        if secure and scheme != "https":
            return False
        return (name, port) == (here[0], here[1] or _PORTS[scheme])

    def shares(self, origin: str) -> bool:
        """Whether an origin is one of the others whose pages may read from here."""
        return _split_origin(origin) in self.origins

    # -- who -----------------------------------------------------------------------------------------------------------

    def who(self, *, authorization: str | None = None, protocols: Sequence[str] = (), cookie: str | None = None) -> Visitor | None:
        """Who that is by its Bearer, by a socket's subprotocols or by its cookie; None for nobody."""
        if self.token is None:
            return None
        given = _bearer(authorization)
        if given is None:
            given = next((one[len(TOKEN_PROTOCOL) :] for one in protocols if one.startswith(TOKEN_PROTOCOL)), None)
        if given is not None:
            return Visitor(self.by, "token", False) if self.opens(given) else None
        if cookie is None or not 0 < len(cookie) <= LONGEST:
            return None
        digest = _digest(cookie)
        until = self._signed_in.get(digest)
        if until is None or self._clock() >= until:
            self._signed_in.pop(digest, None)
            return None
        self._signed_in.move_to_end(digest)
        return Visitor(self.by, digest, True)

    def offered(self, authorization: str | None, protocols: Sequence[str]) -> bool:
        """Whether a token was sent at all, rather than none or a sign-in that has ended."""
        return self.token is not None and (_bearer(authorization) is not None or any(one.startswith(TOKEN_PROTOCOL) for one in protocols))

    def named(self, name: str) -> Visitor:
        """Whom a host app's own sign-in has let in. Raises `VaultError` for a name that no instruction may bear."""
        return Visitor(check_name(name), f"host:{name}", True)

    def opens(self, given: str) -> bool:
        """Whether this is the token."""
        if self.token is None or not isinstance(given, str) or not 0 < len(given) <= LONGEST or not given.isascii():
            return False
        return self.token == Secret(given)

    def sign_in(self) -> str:
        """A new sign-in for whoever has shown the token: the value of its cookie."""
        value = secrets.token_urlsafe(32)
        self._signed_in[_digest(value)] = self._clock() + LASTS
        while len(self._signed_in) > SIGN_INS:
            self._signed_in.popitem(last=False)
        return value

    def sign_out(self, cookie: str | None) -> None:
        """End a sign-in; nothing where there is none."""
        if cookie:
            self._signed_in.pop(_digest(cookie[:LONGEST]), None)

    def signed_in(self, who: Visitor) -> bool:
        """Whether a visitor of before is still let in: a sign-in may have ended since."""
        return who.session == "token" or who.of_host or self._clock() < self._signed_in.get(who.session, 0.0)


def check_token(token: str | Secret) -> Secret:
    """A token, hidden. Raises `VaultError`, without it, for one that is too short or could not be sent."""
    given = token if isinstance(token, Secret) else None
    if given is None and isinstance(token, str) and token and token.isascii():
        given = Secret(token)
    del token
    if given is None or _TOKEN.fullmatch(given.reveal()) is None:
        raise VaultError("a token is 16 to 256 of A-Z a-z 0-9 _ - . ~ (this one is not shown)")
    return given


def check_name(name: str) -> str:
    """A name that instructions may bear. Raises `VaultError` for another."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        rule = "1 to 64 of A-Z a-z 0-9 _ - : . @ and space, a letter or digit first"
        raise VaultError(f"{ascii(name)[:80]} is no name for instructions: {rule}")
    return name


def _bearer(authorization: str | None) -> str | None:
    """What an Authorization header gives as a token; None where it gives none: another scheme is for somebody else, as a proxy."""
    scheme, _, rest = (authorization or "").strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def _digest(value: str) -> str:
    return sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _listed(values: Iterable[str], what: str) -> list[str]:
    if isinstance(values, str):
        raise VaultError(f"{what} are several in a list, not the text {values!r}")
    return list(values)


def _check_host(host: str) -> str:
    if not isinstance(host, str) or _HOST.fullmatch(host) is None:
        raise VaultError(f'host {host!r} must be a name such as "bots.example.com", without a port; or "*" for any')
    return host.lower()


def _check_origin(origin: str) -> tuple[str, str, int]:
    found = _split_origin(origin) if isinstance(origin, str) else None
    if found is None:
        raise VaultError(f'origin {origin!r} must be one such as "https://bots.example.com", without a path')
    return found


def _split_host(host: str | None) -> tuple[str, int | None] | None:
    """The name in small letters, and the port where one is said."""
    if not host or len(host) > 300:
        return None
    name, port = host, ""
    if host.startswith("["):
        name, end, rest = host.partition("]")
        name, port = name + end, rest.removeprefix(":") if rest.startswith(":") or not rest else "x"
    elif ":" in host:
        name, _, port = host.partition(":")
    if _HOST.fullmatch(name) is None or name == "*" or (port and not re.fullmatch(r"[0-9]{1,5}", port)):
        return None
    return name.lower(), int(port) if port else None


def _split_origin(origin: str) -> tuple[str, str, int] | None:
    """Scheme, name and port of "https://host:port"; None for what is none, as "null" is."""
    if len(origin) > 300:
        return None
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}".lower() != origin.lower():
        return None
    found = _split_host(parts.netloc)
    return None if found is None else (parts.scheme, found[0], found[1] or _PORTS[parts.scheme])


# -- rates -----------------------------------------------------------------------------------------------------------------


class Rate:
    """So many a second, with `burst` at once after a rest."""

    __slots__ = ("_at", "_clock", "_left", "burst", "per_second")

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst = per_second, burst
        self._clock, self._left, self._at = clock, burst, clock()

    def take(self) -> bool:
        """Whether one more is within the rate; it is counted if so."""
        now = self._clock()
        self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Rates:
    """A rate for each of many by name; of more than `most`, the one that was used longest ago is forgotten."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic, most: int = 1_000) -> None:
        self._terms = per_second, burst, clock
        self._most = most
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def take(self, name: str) -> bool:
        rate = self._rates.get(name)
        if rate is None:
            rate = self._rates[name] = Rate(*self._terms)
            while len(self._rates) > self._most:
                self._rates.popitem(last=False)
        self._rates.move_to_end(name)
        return rate.take()


class Failures:
    """Wrong tokens: each beyond a few waits longer for its answer, and only so many wait. Who has the right one never waits.

    So nobody is locked out by somebody who guesses.
    """

    FREE = 5
    """How many in a row are answered at once; one more each second."""
    STEP = 0.2
    LONGEST = 2.0
    """Each further one waits so much longer, up to this many seconds."""
    WAITING = 32
    """How many may wait; those beyond are told to come later."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen, self._at = 0.0, clock()
        self.waiting = 0

    def note(self) -> float | None:
        """One more was wrong: how many seconds its answer has to wait; None where too many wait already."""
        now = self._clock()
        self._seen = max(0.0, self._seen - (now - self._at)) + 1
        self._at = now
        if self._seen <= self.FREE:
            return 0.0
        if self.waiting >= self.WAITING:
            return None
        return min(self.LONGEST, (self._seen - self.FREE) * self.STEP)
