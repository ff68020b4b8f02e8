"""The page of a desk behind a socket of this machine, beside the run that it shows: `await serve(desk, ...)`.

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, pulse=pulse))
        tasks.start_soon(partial(serve, desk, pulse=pulse, on_ready=lambda page: print(page.login)))

It needs the `dashboard` extra, takes no signal, and ends with the scope that it runs in.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from math import ceil
from typing import Any

import anyio
from attrs import frozen

from ..control import Control
from ..desk import Desk
from ..errors import MissingExtra, VaultError
from ..keys import Secret
from ..pulse import Pulse
from .app import Authorize, app
from .feed import Feed
from .guard import LOOPBACK, VISITOR, Rate

__all__ = ["Served", "serve"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

MOST_LINES = 512
"""Connections at once; half of what the process may have open where that is less, since venues and journals need some too."""
MOST_STRANGERS = 192
"""Those among them that were not let in, as a hundred pages are that all come at once: of more the oldest is cut off, so who has the
token always comes in."""
BACKLOG = 128
"""Connections that are taken at once."""
REQUEST_WITHIN = 10.0
"""How long a request may take to come, head and body, in seconds."""
UNREAD = 30.0
"""How long somebody may read nothing of what is sent, in seconds, once it is more than a little."""
PINGS_PER_SECOND, PING_BURST = 5.0, 20.0
"""Ping frames of one socket; who sends more is cut off, since nobody waits for their pongs."""


@frozen(order=False)
class Served:
    """Where a page is served."""

    url: str
    """Such as "http://127.0.0.1:8000/"."""
    token: Secret | None
    """What opens it, hidden; None where the host app's own sign-in does."""

    @property
    def login(self) -> str:
        """An address that opens the page once and signs in: to be shown to its owner and nobody else."""
        return self.url if self.token is None else f"{self.url}login?token={self.token.reveal()}"


async def serve(
    desk: Desk,
    *,
    control: Control | None = None,
    pulse: Pulse | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | Secret | None = None,
    hosts: Iterable[str] | None = None,
    origins: Iterable[str] = (),
    frames: Iterable[str] = (),
    title: str = "sleeves",
    feed: Feed | None = None,
    depth: Callable[[Any], Any] | None = None,
    authorize: Authorize | None = None,
    by: str = "page",
    on_ready: Callable[[Served], object] | None = None,
    grace: float = 2.0,
) -> None:
    """Serve the page at `host` and `port` (0: any that is free) until the surrounding scope is canceled.

    The other terms are those of `app`. `on_ready` is called once it listens, with where, and with the token. Only this machine
    is listened to by default: another `host` needs `hosts`, the names that people reach it by, and TLS in front of it. At the end
    pages are told that it closes, and requests have `grace` seconds.

    Raises what `app` raises, `VaultError` on another loop than asyncio's, which uvicorn needs, and `OSError` for a port in use.
    """
    try:
        import uvicorn
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "uvicorn":
            raise
        raise MissingExtra("uvicorn", "dashboard", "serving the dashboard") from error
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        what = "uvicorn needs asyncio: run with anyio.run(..., backend='asyncio'), or hand app(desk) to a server of your loop's"
        raise VaultError(what) from None
    if inspect.iscoroutinefunction(on_ready):
        raise VaultError("on_ready is a plain function: it is called, and not waited for")
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace < 3_600:
        raise VaultError(f"grace {grace!r} must be seconds from 0 to an hour")
    listed = None if hosts is None else list(hosts)
    if not _is_loopback(host):
        if not listed:
            raise VaultError(f"{host!r} is reached from other machines: say by which names, hosts=['bots.example.com']")
        log.warning("the page is served at %s beyond this machine: put TLS in front of it", host)
    elif listed is None and host.strip("[]") not in ("localhost", "127.0.0.1", "::1"):
        listed = [*LOOPBACK, f"[{host}]" if ":" in host else host]  # this machine has more names than these
    made = app(
        desk,
        control=control,
        pulse=pulse,
        token=token,
        hosts=listed,
        origins=origins,
        frames=frames,
        title=title,
        feed=feed,
        depth=depth,
        authorize=authorize,
        by=by,
    )
    listener = _listen(host, port)
    lines = Lines()
    try:
        http, ws = _protocols(lines)
        config = uvicorn.Config(
            made,
            http=http,
            ws=ws,
            backlog=BACKLOG,
            lifespan="on",
            log_config=None,
            access_log=False,  # an address may have the token in it
            server_header=False,
            ws_max_size=65_536,
            ws_per_message_deflate=False,  # a hundred pages would each have the same change deflated
            timeout_graceful_shutdown=max(1, ceil(grace)),
        )
        port = listener.getsockname()[1]
        name = listed[0] if listed and not _is_loopback(host) and listed[0] != "*" else host
        shown = f"[{name}]" if ":" in name and not name.startswith("[") else name
        await _run(_server(uvicorn.Server, lines)(config), listener, Served(f"http://{shown}:{port}/", made.state.token), on_ready)
    finally:
        listener.close()


async def _run(server: Any, listener: socket.socket, served: Served, on_ready: Callable[[Served], object] | None) -> None:
    """Run uvicorn's server as a task among others: a cancel ends it in its own way, not in the middle."""
    over = anyio.Event()

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                await server.serve(sockets=[listener])
            finally:
                server.up.set()
                over.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, name="sleeves dashboard")
        try:
            await server.up.wait()
            if not server.started:
                raise VaultError("the page's server did not start; its log says why")
            if on_ready is not None:
                on_ready(served)
            await over.wait()
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await over.wait()


class Lines:
    """Who is connected: so many at once, few of them strangers, and nobody for long who neither asks nor reads.

    A descriptor is dear where a desk trades beside the page. Kept by the connection's transport, the oldest first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[Any, _Held] = {}
        self.most = min(MOST_LINES, _descriptors() // 2)

    def came(self, protocol: Any, transport: Any) -> None:
        """Somebody came, or goes on by another protocol."""
        if transport in self._lines:
            self._lines[transport].protocol = protocol
            return
        strangers = [one for one, held in self._lines.items() if not held.let_in and not one.is_closing()]
        if len(strangers) >= MOST_STRANGERS or (strangers and len(self._lines) >= self.most):
            strangers[0].abort()
        elif len(self._lines) >= self.most:
            transport.abort()
        self._lines[transport] = _Held(protocol, self._clock())

    def asks(self, transport: Any, unfinished: bool) -> None:
        """Somebody sent something, and it was the end of a request or not."""
        held = self._lines.get(transport)
        if held is not None:
            held.asks_since = (held.asks_since or self._clock()) if unfinished else None

    def fills(self, transport: Any, full: bool) -> None:
        """More waits to be read than a little, or no more."""
        held = self._lines.get(transport)
        if held is not None:
            held.full = full

    def went(self, transport: Any) -> None:
        self._lines.pop(transport, None)

    def sweep(self) -> None:
        """Cut off who takes too long."""
        now = self._clock()
        for transport, held in list(self._lines.items()):
            unread = transport.get_write_buffer_size()
            if not unread or unread < held.unread or not (held.full or transport.is_closing()):
                held.reads_since = now
            held.unread = unread
            late = held.asks_since is not None and now - held.asks_since > REQUEST_WITHIN
            if late or now - held.reads_since > UNREAD:
                transport.abort()


class _Held:
    """A connection, since when a request of it is unfinished, and since when nothing is read of what waits for it."""

    def __init__(self, protocol: Any, now: float) -> None:
        self.protocol = protocol
        self.asks_since: float | None = now
        self.reads_since = now
        self.unread = 0
        self.full = False

    @property
    def let_in(self) -> bool:
        scope = getattr(self.protocol, "scope", None)
        return scope is not None and scope.get(VISITOR) is not None


def _descriptors() -> int:
    """How many files and sockets the process may have open."""
    try:
        import resource
    except ImportError:  # another system
        return 2 * MOST_LINES
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2 * MOST_LINES if most == resource.RLIM_INFINITY else most


def _protocols(lines: Lines) -> tuple[type[Any], type[Any]]:
    """uvicorn's protocols for requests and for sockets, within the limits above."""
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

    class Kept:
        """What both have: they are counted, and say when more waits than a little."""

        transport: Any

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)  # type: ignore[misc]
            lines.came(self, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            lines.went(self.transport)
            super().connection_lost(exc)  # type: ignore[misc]

        def pause_writing(self) -> None:
            lines.fills(self.transport, True)
            super().pause_writing()  # type: ignore[misc]

        def resume_writing(self) -> None:
            lines.fills(self.transport, False)
            super().resume_writing()  # type: ignore[misc]

    class Request(Kept, H11Protocol):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # an upgrade is handed over before its end is read, and is asked all the same
            goes_on = self.transport.get_protocol() is self
            lines.asks(self.transport, goes_on and str(self.conn.their_state) in ("IDLE", "SEND_BODY"))

    class Socket(Kept, WSProtocol):
        def connection_made(self, transport: Any) -> None:
            self.pings = Rate(PINGS_PER_SECOND, PING_BURST)
            super().connection_made(transport)

        def handle_ping(self, event: Any) -> None:
            if self.pings.take():
                super().handle_ping(event)
            else:
                self.transport.abort()

    return Request, Socket


def _server(base: type[Any], lines: Lines) -> type[Any]:
    """uvicorn's server without its hands on the process's signals, which are the run's."""

    class Quiet(base):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.up = anyio.Event()

        def capture_signals(self) -> AbstractContextManager[None]:
            return nullcontext()

        async def on_tick(self, counter: int) -> bool:
            if counter % 10 == 0:  # once a second
                lines.sweep()
            return bool(await super().on_tick(counter))

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            self.up.set()

    return Quiet


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 1 << 16:
        raise VaultError(f"port {port!r} is no whole number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # by name, so that asyncio sees TCP and sends small answers without delay
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise OSError(error.errno, f"Address already in use: {host}:{port}; port 0 takes any that is free") from error
        raise
    return listener
