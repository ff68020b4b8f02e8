"""A node of Solana over its WebSocket: told of accounts, signatures, logs and slots as they change, until it is closed.

    async with Pubsub("wss://node.example/?api-key=...") as pubsub:
        async with pubsub.account(address) as pushes:
            async for push in pushes:
                ...

A push is a hint and never the truth: it may be late, come twice, or not at all, and nothing in it says so. What is known is
said: a `Gap` comes first, after each new connection and wherever pushes had to be thrown away, and means that what happened
before it must be read by other means. A connection that is lost is made again, with growing waits, and all that was listened to
is asked for anew. The address of a node often has its key in it, so it is kept out of every error and every log.

It knows no program and decides nothing about what is pushed. Source: Solana's RPC documentation of its WebSocket methods.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from secrets import token_bytes
from types import TracebackType
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup
from attrs import field, frozen
from solders.pubkey import Pubkey
from solders.signature import Signature

from ...errors import InvalidMarket, MissingExtra, VenueError, VenueRejected, VenueUnavailable
from ...keys import Secret
from ..wire import exact
from .rpc import COMMITMENTS, _account, _Malformed, _slot, _texts, _whole
from .tokens import Account

__all__ = ["Changed", "Concluded", "Gap", "Logged", "Pubsub", "Pushes", "SlotMoved"]

log = logging.getLogger("sleeves.venues.solana")
log.addHandler(logging.NullHandler())

P = TypeVar("P")

MOST_CHARACTERS = 64 * 1024 * 1024
"""An account has at most 10 MiB, which base64 makes 14 of; anything far beyond that is no message of a node."""


@frozen(order=False)
class Gap:
    """What happened before this is not known from pushes: read it. `why` says what came to pass."""

    why: str


@frozen(order=False)
class Changed:
    """What an account holds as of a slot. An account that was closed has no lamports and no bytes."""

    slot: int
    account: Account


@frozen(order=False)
class Concluded:
    """A transaction came into a block, of that slot. With an `err` it did nothing and cost its fee."""

    slot: int
    signature: Signature = field(repr=str)
    err: Any


@frozen(order=False)
class Logged:
    """What the programs of a transaction wrote. With an `err` it did nothing else."""

    slot: int
    signature: Signature = field(repr=str)
    err: Any
    logs: tuple[str, ...] = field(repr=False)


@frozen(order=False)
class SlotMoved:
    """The node has come to a slot; `root` is the last that can no longer be undone."""

    slot: int
    parent: int
    root: int


class Pushes(Generic[P]):
    """What is told of one thing, in the order in which it came: iterate it. Made by `Pubsub`.

    At most `waiting` pushes wait to be read; when one more comes, all of them are thrown away and a `Gap` stands in their place.
    """

    def __init__(self, method: str, params: list[Any], read: Callable[[Any], P], *, waiting: int, once: bool = False) -> None:
        self.what = f"{method} {params[0]}" if params and isinstance(params[0], str) else method
        self._method = method
        self._params = params
        self._read = read
        self._most = waiting
        self._once = once
        self._over = False
        self._items: deque[P | Gap] = deque()
        self._news = anyio.Event()
        self._live = anyio.Event()
        self._error: VenueError | None = None

    async def live(self) -> None:
        """Wait until the node has said that it will tell. Raises `VenueRejected` where it refuses."""
        await self._live.wait()
        if self._error is not None:
            raise self._error

    @property
    def waiting(self) -> int:
        """How many items wait to be read."""
        return len(self._items)

    def __aiter__(self) -> AsyncIterator[P | Gap]:
        return self

    async def __anext__(self) -> P | Gap:
        """The next push, or `Gap`. Raises what the node refused it with; ends where nothing more can come."""
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        return self._items.popleft()

    def _put(self, item: P | Gap) -> None:
        if isinstance(item, Gap) and self._items and isinstance(self._items[-1], Gap):
            self._items.pop()  # one says it as well as two
        if len(self._items) >= self._most:
            lost = sum(not isinstance(one, Gap) for one in self._items) + (not isinstance(item, Gap))
            self._items.clear()
            item = Gap(f"{lost} pushes were thrown away: more than {self._most} waited to be read")
        self._items.append(item)
        self._news.set()

    def _begin(self, why: str) -> None:
        self._put(Gap(why))
        self._live.set()

    def _lapse(self) -> None:
        if self._live.is_set() and self._error is None:
            self._live = anyio.Event()

    def _end(self, error: VenueError | None = None) -> None:
        self._over, self._error = True, self._error or error
        self._live.set()
        self._news.set()


class Pubsub:
    """Subscriptions at a node's WebSocket, a ws or wss URL. Made without any I/O; `async with` connects, and keeps connecting.

    `quiet` is after how many seconds a connection is asked whether it is there, `patience` how long an answer may take.
    `first` and `most` are the waits before a lost connection is made again: doubled each time. `waiting` bounds what waits in
    each `Pushes`. Raises `InvalidMarket` for what is no such URL and for times that are not positive. Needs httpx-ws, from the
    extra `velocity`.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        commitment: str = "confirmed",
        headers: Mapping[str, str | Secret] | None = None,
        quiet: float = 20.0,
        patience: float = 10.0,
        connect_timeout: float = 5.0,
        first: float = 0.25,
        most: float = 30.0,
        waiting: int = 1024,
    ) -> None:
        if commitment not in COMMITMENTS:
            raise VenueRejected(f"{commitment!r} is no commitment: {', '.join(COMMITMENTS)}")
        times = {"quiet": quiet, "patience": patience, "connect_timeout": connect_timeout, "first": first, "most": most}
        for what, value in times.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise InvalidMarket(f"{what} {value!r} of a pubsub must be a positive number of seconds")
        if type(waiting) is not int or waiting < 1:
            raise InvalidMarket(f"waiting {waiting!r} of a pubsub must be a whole number from 1 on")
        self._url, self.place = _address(url)
        self._headers = {name: value if isinstance(value, Secret) else Secret(value) for name, value in (headers or {}).items()}
        self._commitment = commitment
        self._quiet, self._patience, self._connect_timeout = quiet, patience, connect_timeout
        self._first, self._most, self._waiting = first, most, waiting
        self._wanted: dict[int, Pushes[Any]] = {}
        self._number = 0
        self._changed = anyio.Event()
        self._stack: AsyncExitStack | None = None
        self._connected = False
        self.connections = 0
        """How many connections were made so far."""

    # -- opening --------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Pubsub:
        await self.aopen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aopen(self) -> None:
        """Begin to connect, in the background. Opening again does nothing. Raises `MissingExtra` without httpx or httpx-ws."""
        if self._stack is not None:
            return
        _library()
        self._changed = anyio.Event()
        stack = AsyncExitStack()
        tasks: TaskGroup = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(self._keep_connected, name="sleeves solana pubsub")
        stack.callback(tasks.cancel_scope.cancel)
        self._stack = stack

    async def aclose(self) -> None:
        """Close the connection and end all that is listened to. Closing again does nothing."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        for pushes in self._wanted.values():
            pushes._end()
        self._wanted.clear()
        await stack.aclose()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment, as far as is known."""
        return self._connected

    def __repr__(self) -> str:
        return f"<Pubsub {self.place}>"

    # -- listening ------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def account(self, address: Pubkey, *, commitment: str | None = None) -> AsyncIterator[Pushes[Changed]]:
        """What an account holds, whenever it changes. The first item is a `Gap`: what it held until then must be read."""

        def read(it: Any) -> Changed:
            slot = _slot(it)
            found = _account(address, it["value"], slot)
            if found is None:
                raise _Malformed("no account in a push of one")
            return Changed(slot, found)

        config = {"encoding": "base64", "commitment": self._of(commitment)}
        async with self._listen("account", [str(address), config], read) as pushes:
            yield pushes

    @asynccontextmanager
    async def signature(self, signature: Signature, *, commitment: str | None = None) -> AsyncIterator[Pushes[Concluded]]:
        """That a transaction came into a block: one push, and then it ends. One that is there already is told of, or not: ask too."""

        def read(it: Any) -> Concluded:
            return Concluded(_slot(it), signature, it["value"]["err"])

        config = {"commitment": self._of(commitment), "enableReceivedNotification": False}
        async with self._listen("signature", [str(signature), config], read, once=True) as pushes:
            yield pushes

    @asynccontextmanager
    async def logs(self, mentions: Pubkey, *, commitment: str | None = None) -> AsyncIterator[Pushes[Logged]]:
        """What transactions that mention an address wrote to their logs, those that failed included."""

        def read(it: Any) -> Logged:
            value = it["value"]
            return Logged(_slot(it), Signature.from_string(value["signature"]), value["err"], _texts(value["logs"]))

        async with self._listen("logs", [{"mentions": [str(mentions)]}, {"commitment": self._of(commitment)}], read) as pushes:
            yield pushes

    @asynccontextmanager
    async def slots(self) -> AsyncIterator[Pushes[SlotMoved]]:
        """That the node has come to another slot."""

        def read(it: Any) -> SlotMoved:
            return SlotMoved(_whole(it["slot"]), _whole(it["parent"]), _whole(it["root"]))

        async with self._listen("slot", [], read) as pushes:
            yield pushes

    def _of(self, commitment: str | None) -> str:
        if commitment is not None and commitment not in COMMITMENTS:
            raise VenueRejected(f"{commitment!r} is no commitment: {', '.join(COMMITMENTS)}")
        return commitment or self._commitment

    @asynccontextmanager
    async def _listen(self, method: str, params: list[Any], read: Callable[[Any], P], *, once: bool = False) -> AsyncIterator[Pushes[P]]:
        if self._stack is None:
            raise VenueUnavailable(f"{self.place} is not open: `async with Pubsub(url) as pubsub`")
        pushes: Pushes[P] = Pushes(method, params, read, waiting=self._waiting, once=once)
        self._number += 1
        number = self._number
        self._wanted[number] = pushes
        self._changed.set()
        try:
            yield pushes
        finally:
            self._wanted.pop(number, None)
            pushes._end()
            self._changed.set()

    # -- the connection -------------------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        """Connect again and again: after a connection on which something was told or agreed, soon; else after longer and longer."""
        wait = self._first
        while True:
            talk = _Talk(self)
            why = await self._connection(talk)
            self._connected = False
            for pushes in self._wanted.values():
                pushes._lapse()
            wait = self._first if talk.heard else min(self._most, 2 * wait)
            log.info("%s: %s; connecting again in %g s", self.place, why, wait)
            await anyio.sleep(wait)

    async def _connection(self, talk: _Talk) -> str:
        """One connection from its beginning to its end. Returns why it ended, in words without the address."""
        httpx, httpx_ws = _library()
        session: Any
        try:
            transport = httpx.AsyncHTTPTransport(trust_env=False)  # below the client, which logs addresses
            async with transport:
                response = await self._upgraded(httpx, transport)
                try:
                    if response.status_code != 101:
                        return f"no WebSocket there (HTTP {response.status_code})"
                    stream = response.extensions["network_stream"]
                    terms = {"keepalive_ping_interval_seconds": self._quiet, "keepalive_ping_timeout_seconds": self._patience}
                    async with httpx_ws.AsyncWebSocketSession(stream, response=response, **terms) as session:
                        self._connected, self.connections = True, self.connections + 1
                        return await talk.over(session, again=self.connections > 1)
                finally:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                        await response.aclose()
        except Exception as error:  # of three libraries, single or in groups; some hold the address
            return f"the connection is lost ({_name(error)})"

    async def _upgraded(self, httpx: Any, transport: Any) -> Any:
        """The answer to the request for a WebSocket."""
        headers = {name: value.reveal() for name, value in self._headers.items()}
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        upgrade["sec-websocket-key"] = b64encode(token_bytes(16)).decode()
        limits = {"connect": self._connect_timeout, "read": self._patience, "write": self._patience, "pool": self._connect_timeout}
        url = "http" + self._url.reveal()[2:]  # ws to http, wss to https
        request = httpx.Request("GET", url, headers={"User-Agent": "sleeves", **headers, **upgrade}, extensions={"timeout": limits})
        with anyio.fail_after(self._connect_timeout + self._patience):
            return await transport.handle_async_request(request)


class _Talk:
    """What is said on one connection: which numbers the node knows our subscriptions by."""

    def __init__(self, pubsub: Pubsub) -> None:
        self._pubsub = pubsub
        self._asked: dict[int, tuple[str, int]] = {}
        """Requests without an answer, by their number: what was asked, and for which subscription of ours."""
        self._theirs: dict[int, int] = {}
        """The node's number of a subscription, and ours."""
        self._known: dict[int, int | None] = {}
        """Our subscriptions that were asked for here, and the node's number once it is known."""
        self._methods: dict[int, str] = {}
        """What our subscriptions are called by: account, logs..."""
        self._early: dict[int, list[Any]] = {}
        """What was told under numbers that no answer has named yet."""
        self._request = 0
        self._why = ""
        self._again = False
        self.heard = False
        """Whether the node has agreed to anything here: then it is there, and is soon asked again."""

    async def over(self, session: Any, *, again: bool) -> str:
        self._again = again
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask, session, tasks)
            await self._hear(session)
            tasks.cancel_scope.cancel()
        return self._why

    async def _ask(self, session: Any, tasks: TaskGroup) -> None:
        """Subscribe to all that is wanted, and take back what no longer is, whenever that changes."""
        pubsub = self._pubsub
        while True:
            pubsub._changed = anyio.Event()
            for ours, pushes in list(pubsub._wanted.items()):
                if ours not in self._known and not pushes._over:
                    self._known[ours] = None
                    await self._send(session, f"{pushes._method}Subscribe", pushes._params, ours, tasks)
            for ours, theirs in list(self._known.items()):
                if ours not in pubsub._wanted and theirs is not None:
                    del self._known[ours]
                    method = self._methods.pop(ours)
                    if self._theirs.pop(theirs, None) is not None:  # else it has ended by itself
                        await self._send(session, f"{method}Unsubscribe", [theirs], 0, tasks)
            await pubsub._changed.wait()

    async def _send(self, session: Any, method: str, params: list[Any], ours: int, tasks: TaskGroup) -> None:
        self._request += 1
        number = self._request
        self._asked[number] = (method, ours)
        if ours:
            self._methods[ours] = method.removesuffix("Subscribe")
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await session.send_text(json.dumps(request, separators=(",", ":")))
        tasks.start_soon(self._wait_for, session, number)

    async def _wait_for(self, session: Any, number: int) -> None:
        """An answer that does not come in time ends the connection: what a node has agreed to must be known."""
        await anyio.sleep(self._pubsub._patience)
        if number in self._asked:
            self._why = self._why or f"no answer to {self._asked[number][0]} within {self._pubsub._patience:g} s"
            await session.close()

    async def _hear(self, session: Any) -> None:
        import httpx_ws

        while not self._why:
            try:
                text = await session.receive_text()
            except (httpx_ws.HTTPXWSException, anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
                self._why = self._why or f"the connection is lost ({_name(error)})"
                return
            self._understand(text)

    def _understand(self, text: str) -> None:
        try:
            message = exact(text) if len(text) <= MOST_CHARACTERS else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._why = f"a message of {len(text)} characters that is no JSON object"
        elif "id" in message and "method" not in message:
            self._answered(message)
        elif isinstance(message.get("params"), dict):
            theirs = message["params"].get("subscription")
            if type(theirs) is int:
                self._told(theirs, message["params"].get("result"))

    def _answered(self, message: dict[str, Any]) -> None:
        number = message["id"]
        method, ours = self._asked.pop(number, ("", 0)) if type(number) is int else ("", 0)
        pushes = self._pubsub._wanted.get(ours)
        if not ours:
            return
        result, error = message.get("result"), message.get("error")
        if type(result) is int:
            self.heard = True
            self._known[ours] = result
            self._theirs[result] = ours
            if pushes is None:
                self._pubsub._changed.set()  # nobody wants it any more: it is taken back
                return
            pushes._begin("connected again" if self._again else "subscribed")
            for early in self._early.pop(result, []):
                self._told(result, early)
            return
        said = error.get("message") if isinstance(error, dict) else "no number of a subscription"
        code = error.get("code") if isinstance(error, dict) else None
        if code in (-32601, -32602, -32600) and pushes is not None:
            pushes._end(VenueRejected(f"{self._pubsub.place} refused {pushes.what}: {str(said)[:200]} ({code})"))
        else:
            self._why = f"{method} was answered with {str(said)[:200]!r} ({code})"

    def _told(self, theirs: int, result: Any) -> None:
        ours = self._theirs.get(theirs)
        if ours is None:
            if any(known is None for known in self._known.values()) and len(self._early) < 64:
                self._early.setdefault(theirs, []).append(result)  # told before the answer that names it
            return
        pushes = self._pubsub._wanted.get(ours)
        if pushes is None or pushes._over:
            return
        try:
            item = pushes._read(result)
        except (_Malformed, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            log.warning("%s: a push of %s has not the form of one: %s", self._pubsub.place, pushes.what, _name(error))
            pushes._put(Gap("a push could not be read"))
            return
        self.heard = True
        pushes._put(item)
        if pushes._once:
            pushes._end()
            self._theirs.pop(theirs, None)


def _library() -> tuple[Any, Any]:
    try:
        import httpx
        import httpx_ws
    except ImportError as error:
        raise MissingExtra(error.name or "httpx-ws", "velocity", "a node's WebSocket") from error
    return httpx, httpx_ws


def _name(error: BaseException) -> str:
    """The kind of an error, without its words: some hold the address, which may hold a key."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    code = getattr(error, "code", None)
    return type(error).__name__ + (f" {code}" if type(code) is int else "")


def _address(url: object) -> tuple[Secret, str]:
    """A ws or wss URL, kept; and what may be shown of it: scheme, host and port."""
    text = url.reveal() if isinstance(url, Secret) else url
    parts = None
    if isinstance(text, str):
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts = None
    if not isinstance(text, str) or parts is None or parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username:
        kind = type(url).__name__
        del url, text, parts
        raise InvalidMarket(f"a node's WebSocket is a ws or wss URL with a host, without a user in it, not this {kind}")
    place = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
    return Secret(text), place
