"""Any ASGI app on a loopback socket, in a thread of its own: what the local exchanges of this package are served by.

    with serve(app) as url:
        httpx.get(url)

HTTP and WebSockets come through one free port of this machine; the app runs on an asyncio loop in its own thread, so that
the caller may be plain code, asyncio or trio. What the app does is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from ..errors import MissingExtra, VaultError

__all__ = ["ASGIApp", "Server", "serve"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_STARTS_WITHIN = 10.0
_NO_START = "the app's lifespan did not start"


class Server:
    """An ASGI app behind a socket of this machine, from `start` to `stop`; both may be called again, and do nothing then.

    `port` 0 is any that is free. `grace` is how many seconds a lifespan's end may take when it stops; requests and sockets under
    way are cut. Raises `VaultError` for a port that is none; at `start`, `MissingExtra` where uvicorn is not installed, `OSError`
    for a port that is in use, and whatever the app's lifespan raises.
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, grace: float = 2.0) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 1 << 16:
            raise VaultError(f"port {port!r} is no whole number from 0 to 65535")
        self.app = app
        self.host = host
        self.grace = grace
        self._thread: threading.Thread | None = None
        self._server: Any = None
        self._chosen = bool(port)
        self._port = port

    @property
    def url(self) -> str:
        """Where it listens, "http://127.0.0.1:PORT"; the same after it was stopped."""
        return f"http://{self.host}:{self._port}"

    def start(self) -> str:
        """Listen, and say where: on the port that was chosen, else on that of before where it is still free, else on any."""
        if self._thread is not None:
            return self.url
        try:
            import uvicorn
        except ImportError as error:
            raise MissingExtra("uvicorn", "servers", "a local exchange") from error
        try:
            listener = _listen(self.host, self._port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if self._chosen:
                raise OSError(errno.EADDRINUSE, f"port {self._port} of {self.host} is in use: give another, or none") from error
            listener = _listen(self.host, 0)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app,
            http="h11",
            ws="wsproto",
            loop="asyncio",
            log_config=None,
            log_level=None,
            timeout_keep_alive=75,
        )
        self._server = _server(uvicorn.Server)(config, self.grace)
        self._thread = threading.Thread(target=self._server.run_on, args=(listener,), name="sleeves-serving", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_STARTS_WITHIN) or self._server.failed is not None:
            failed = self._server.failed
            self.stop()
            raise failed or TimeoutError(f"the server did not start within {_STARTS_WITHIN:g} s")
        return self.url

    def stop(self) -> None:
        """Cut all that is under way, stop and join."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._server.end()
        thread.join(self.grace + _STARTS_WITHIN)
        if thread.is_alive():
            raise TimeoutError("the server did not stop: the app holds its loop")


def _listen(host: str, port: int) -> socket.socket:
    # by name, so that asyncio sees TCP and sends small answers without delay
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener


def _server(base: type[Any]) -> type[Any]:
    """uvicorn's server, that stops at once when it is told to, from whichever thread."""

    class Quick(base):  # type: ignore[misc]
        def __init__(self, config: Any, grace: float) -> None:
            super().__init__(config)
            self.grace = grace
            self.up = threading.Event()
            self.failed: BaseException | None = None
            self._over: asyncio.Event | None = None
            self._loop: asyncio.AbstractEventLoop | None = None

        def run_on(self, listener: socket.socket) -> None:
            try:
                asyncio.run(self._run(listener))
            except SystemExit:  # how some versions say it
                self.failed = RuntimeError(_NO_START)
            except BaseException as error:
                self.failed = error
            finally:
                listener.close()
                self.up.set()

        async def _run(self, listener: socket.socket) -> None:
            self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
            await self.serve(sockets=[listener])
            if not self.started and self.failed is None:
                self.failed = RuntimeError(_NO_START)

        def end(self) -> None:
            self.force_exit = self.should_exit = True
            if self._loop is not None and self._over is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: it is over
                    self._loop.call_soon_threadsafe(self._over.set)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                self.up.set()

        async def main_loop(self) -> None:
            assert self._over is not None
            while not await self.on_tick(0):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), 1.0)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
            for server in self.servers:
                server.close()
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
            tasks = list(self.server_state.tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=self.grace)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lifespan.shutdown(), self.grace)

    return Quick


@contextmanager
def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, grace: float = 2.0) -> Iterator[str]:
    """Serve an ASGI app while the block runs; gives its address, "http://127.0.0.1:PORT". WebSockets: the same with "ws".

    Raises as `Server` does.
    """
    server = Server(app, host=host, port=port, grace=grace)
    try:
        yield server.start()
    finally:
        server.stop()
