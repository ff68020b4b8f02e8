"""Kraken's two sockets as one connection: prices and status from the public one, execution reports from the private one.

Either is lost, both are given up: then there is one moment up to which all was heard. It is connected anew when somebody asks for
it. A report that is missing in the count of reports is a loss too. What a message means is for whoever hears it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ...errors import VenueUnavailable
from ...keys import Secret
from .socket import Socket, converse, only_error

__all__ = ["Feed"]

log = logging.getLogger("sleeves.venues.kraken")

Message = Mapping[str, Any]


class _Connection:
    """Both sockets, from connecting to loss."""

    def __init__(self, sockets: int) -> None:
        self.ready = anyio.Event()
        self.error: Exception | None = None
        self.over = False
        self.sockets: list[Socket] = []
        self.waits = sockets
        self.sequence: int | None = None
        self.scope = anyio.CancelScope()

    def lose(self, error: Exception) -> None:
        self.error = self.error or error
        self.over = True
        self.ready.set()
        self.scope.cancel()

    def subscribed(self) -> None:
        self.waits -= 1
        if not self.waits:
            self.ready.set()


class Feed:
    """The sockets of an account. `hear` is awaited with each message; `token` gives what the private one is opened with; `again` is
    awaited when it is connected once more, while new reports are heard already; `lost` is called with what ended it.
    """

    def __init__(
        self,
        urls: tuple[str, str],
        symbols: Sequence[str],
        *,
        name: str,
        hear: Callable[[Message], Awaitable[None]],
        token: Callable[[], Awaitable[Secret]],
        again: Callable[[], Awaitable[None]],
        lost: Callable[[Exception], None],
        quiet: float,
        connect_timeout: float,
    ) -> None:
        self.name = name
        self._urls = urls
        self._symbols = tuple(symbols)
        self._hear, self._token, self._again, self._lost = hear, token, again, lost
        self._times = {"quiet": quiet, "connect_timeout": connect_timeout}
        self._now: _Connection | None = None
        self._connected_before = False

    @property
    def up(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self._now is not None and not self._now.over

    async def connect(self, tasks: TaskGroup) -> None:
        """Connect, and subscribe; it is read by a task of `tasks` from then on. Raises what ended it before it was subscribed."""
        connection = self._now = _Connection(2 if self._symbols else 1)
        tasks.start_soon(self._run, connection, name=f"{self.name} sockets")
        try:
            await connection.ready.wait()
        except BaseException:
            connection.lose(VenueUnavailable(f"{self.name}: connecting was broken off"))
            raise
        if connection.error is not None:
            raise connection.error
        self._connected_before = True

    def lose(self, error: Exception) -> None:
        """Give the connection up, for this reason."""
        if self._now is not None:
            self._now.lose(error)

    async def ping(self) -> None:
        """Returns once all is heard that both sockets had sent before now. Raises `VenueUnavailable`."""
        connection = self._now
        if connection is None or connection.over:
            raise VenueUnavailable(f"{self.name} is not connected: read events() again")
        for socket in tuple(connection.sockets):
            await socket.ping()

    async def _run(self, connection: _Connection) -> None:
        error: Exception = VenueUnavailable(f"{self.name}: the sockets ended")
        with connection.scope:
            try:
                async with anyio.create_task_group() as tasks:
                    if self._symbols:
                        tasks.start_soon(self._public, connection)
                    tasks.start_soon(self._private, connection)
            except Exception as failed:
                error = only_error(failed)
        connection.lose(error)
        log.info("%s: the sockets are closed: %s", self.name, connection.error)
        if self._now is connection:
            self._lost(connection.error or error)

    async def _public(self, connection: _Connection) -> None:
        await converse(self._urls[0], partial(self._talk, connection), **self._times)

    async def _talk(self, connection: _Connection, socket: Socket) -> None:
        connection.sockets.append(socket)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(socket.read, self._hear)
            for symbol in self._symbols:
                await socket.ask("subscribe", {"channel": "ticker", "symbol": [symbol], "event_trigger": "bbo", "snapshot": True})
            connection.subscribed()

    async def _private(self, connection: _Connection) -> None:
        token = await self._token()
        await converse(self._urls[1], partial(self._talk_privately, connection, token), **self._times)

    async def _talk_privately(self, connection: _Connection, token: Secret, socket: Socket) -> None:
        connection.sockets.append(socket)
        params = {"channel": "executions", "snap_orders": True, "snap_trades": False, "order_status": True, "ratecounter": True}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(socket.read, partial(self._hear_in_order, connection))
            await socket.ask("subscribe", params | {"token": token.reveal()})
            if self._connected_before:
                await self._again()
            connection.subscribed()

    async def _hear_in_order(self, connection: _Connection, message: Message) -> None:
        number = message.get("sequence")
        if message.get("channel") == "executions" and type(number) is int:
            last = connection.sequence
            if last is not None and number > last + 1:
                raise VenueUnavailable(f"{self.name}: execution reports {last + 1} to {number - 1} never came")
            connection.sequence = number if last is None else max(last, number)
        await self._hear(message)
