"""The page of a desk behind a socket of this machine, beside the run that it shows: `await serve(desk, ...)`.

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, pulse=pulse))
        tasks.start_soon(partial(serve, desk, pulse=pulse, on_ready=lambda page: print(page.login)))

It needs the `dashboard` extra, takes no signal, and ends with the scope that it runs in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
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

__all__ = ["Served", "serve"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())


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
        raise MissingExtra("uvicorn", "dashboard", "serving the dashboard") from error
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        what = "uvicorn needs asyncio: run with anyio.run(..., backend='asyncio'), or hand app(desk) to a server of your loop's"
        raise VaultError(what) from None
    listed = None if hosts is None else list(hosts)
    if not _is_loopback(host):
        if not listed:
            raise VaultError(f"{host!r} is reached from other machines: say by which names, hosts=['bots.example.com']")
        log.warning("the page is served at %s beyond this machine: put TLS in front of it", host)
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
    try:
        config = uvicorn.Config(
            made,
            http="h11",
            ws="wsproto",
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
        await _run(_server(uvicorn.Server)(config), listener, Served(f"http://{shown}:{port}/", made.state.token), on_ready)
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


def _server(base: type[Any]) -> type[Any]:
    """uvicorn's server without its hands on the process's signals, which are the run's."""

    class Quiet(base):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.up = anyio.Event()

        def capture_signals(self) -> AbstractContextManager[None]:
            return nullcontext()

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
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener
