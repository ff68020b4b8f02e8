"""A page's WebSocket: what changes goes out as the feed tells it, what the page says goes to the clerk, until either hangs up.

Who comes here was let in. A page that says nothing for a while is taken for dead; one that says too much is hung up on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..errors import JournalError
from .clerk import Clerk, Visit
from .feed import QUEUE, Feed, Subscription
from .guard import PROTOCOL, Visitor
from .messages import Hello, Message, Ping, Refused, Resync, to_json

__all__ = ["Line", "Rounds"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

HELLO_WITHIN = 10.0
"""How long a page may take for its first message, in seconds."""
SILENT = 90.0
"""How long a page may say nothing, in seconds: pages ping more often than that."""
WELCOME_EVERY = 1.0
"""How often it is looked whether who was let in still is, in seconds, whether the page says anything or not."""
WHOLE_EVERY = 1.0
"""How often one page is told all of it at most, in seconds: one that asks again sooner waits."""
ROUND = 0.25
"""The same for all pages of a desk: those who ask meanwhile are told together, of one writing."""
MOST_AT_ONCE = 32
"""Instructions of one page that are under way at once."""
MOST_REFUSED = 400
"""Messages that came too fast, or were none, until a page is hung up on."""
MOST_ANSWERS = 1_000
"""Answers that wait for one page, until it is hung up on."""

ENDED, BAD, NOT_WELCOME, TOO_LARGE, FAILED = 1000, 1002, 1008, 1009, 1011
"""Why a line is hung up, as WebSockets say it."""


class Rounds:
    """When all of a desk may be looked at and written: who asks soon after another waits for the next round, with all who wait."""

    def __init__(self) -> None:
        self._next = float("-inf")

    async def turn(self) -> None:
        """Return when it is one's turn: at once, or within `ROUND` seconds."""
        now, at = anyio.current_time(), self._next
        if now < at:
            await anyio.sleep_until(at)
            now = at
        self._next = max(self._next, now + ROUND)


class Line:
    """One socket, from its opening until it is closed."""

    def __init__(
        self, socket: WebSocket, feed: Feed, clerk: Clerk, who: Visitor, welcome: Callable[[], Awaitable[bool]], rounds: Rounds
    ) -> None:
        self._socket = socket
        self._feed = feed
        self._visit: Visit = clerk.visit(who.session, who.name)
        self._welcome = welcome
        """Whether who was let in still is; asked at each message, and now and then."""
        self._rounds = rounds
        self._whole = float("-inf")
        """When it was told all of it last."""
        self._owed = False
        """Whether it is to be told all of it."""
        self._answers: deque[bytes] = deque()
        self._bell = anyio.Event()
        self._turn = anyio.Lock()
        self._under_way = 0
        self._bad = 0
        self._code = ENDED

    async def run(self) -> None:
        """Speak until the page leaves, says something that ends it, or the feed is closed."""
        offered = self._socket.scope.get("subprotocols") or ()
        await self._socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        try:
            hello = await self._greeted()
            if hello is None:
                return
            await self._feed.ready()
            missed = self._feed.since(hello.session, hello.seq)
            if missed is None or len(missed) > QUEUE:
                await self._rounds.turn()
                self._whole = anyio.current_time()
            with self._feed.subscribe(hello.session, hello.seq) as told:
                if not told.waiting:  # it missed nothing: it is to know that it is up to date, in a still market too
                    await self._visit.hear(Ping(), self._note)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell, told, tasks.cancel_scope)
                    tasks.start_soon(self._answer)
                    tasks.start_soon(self._watch, tasks.cancel_scope)
                    await self._listen(told, tasks)
                    tasks.cancel_scope.cancel()
        except* WebSocketDisconnect:
            pass
        except* JournalError:
            log.exception("the journal could not keep an instruction: the desk is dead")
            self._code = FAILED
        except* Exception:
            log.exception("a page's line broke")
            self._code = FAILED
        finally:
            await self._hang_up()

    async def _greeted(self) -> Hello | None:
        with anyio.move_on_after(HELLO_WITHIN):
            data = await self._receive()
            heard = None if data is None else self._visit.read(data, self._note)
            if isinstance(heard, Hello):
                return heard
            await self._send_answers()
        self._code = self._code if self._code != ENDED else BAD
        return None

    # -- what comes in -------------------------------------------------------------------------------------------------

    async def _receive(self) -> str | bytes | None:
        """What the page says next. Raises `WebSocketDisconnect` when it has left."""
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        text = event.get("text")
        return text if text is not None else event.get("bytes")

    async def _listen(self, told: Subscription, tasks: anyio.abc.TaskGroup) -> None:
        while True:
            with anyio.move_on_after(SILENT) as waits:
                data = await self._receive()
            if waits.cancelled_caught:
                return
            if not await self._welcome():
                self._code = NOT_WELCOME
                return
            if not self._hear(data, told, tasks):
                return

    def _hear(self, data: str | bytes | None, told: Subscription, tasks: anyio.abc.TaskGroup) -> bool:
        """Take in one message; False where the line is to be hung up."""
        message = None if data is None else self._visit.read(data, self._note)
        if message is None:
            self._bad += 1
            self._code = NOT_WELCOME if self._bad > MOST_REFUSED else self._code
            return self._code == ENDED
        if isinstance(message, (Hello, Resync)):
            if not self._owed:
                self._owed = True
                tasks.start_soon(self._tell_all, told)
        elif self._under_way >= MOST_AT_ONCE:
            self._note(Refused(getattr(message, "id", None), "too_fast", f"{MOST_AT_ONCE} instructions of this page are under way"))
        else:
            self._under_way += 1
            tasks.start_soon(self._attend, message)
        return self._code == ENDED

    async def _attend(self, message: Message) -> None:
        try:
            await self._visit.hear(message, self._note)
        finally:
            self._under_way -= 1

    # -- what goes out -------------------------------------------------------------------------------------------------

    def _note(self, message: Message) -> None:
        """An answer that is to go out; one that is too large to read ends the line."""
        if isinstance(message, Refused) and message.code == "too_large":
            self._code = TOO_LARGE
        if len(self._answers) >= MOST_ANSWERS:
            self._code = NOT_WELCOME
            return
        self._answers.append(to_json(message))
        self._bell.set()

    async def _tell(self, told: Subscription, scope: anyio.CancelScope) -> None:
        async for written in told:
            await self._send(written)
        scope.cancel()  # the feed is closed

    async def _tell_all(self, told: Subscription) -> None:
        """All of it anew, as soon as it may be."""
        await anyio.sleep_until(self._whole + WHOLE_EVERY)
        await self._rounds.turn()
        self._owed, self._whole = False, anyio.current_time()
        told.resync()

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """Hang up on who is let in no more, though it says nothing."""
        await anyio.sleep(WELCOME_EVERY)
        while await self._welcome():
            await anyio.sleep(WELCOME_EVERY)
        self._code = NOT_WELCOME
        scope.cancel()

    async def _answer(self) -> None:
        while True:
            await self._bell.wait()
            self._bell = anyio.Event()
            await self._send_answers()

    async def _send_answers(self) -> None:
        while self._answers:
            await self._send(self._answers[0])
            self._answers.popleft()  # only now: who is canceled meanwhile leaves it to `_hang_up`

    async def _send(self, written: bytes) -> None:
        async with self._turn:
            try:
                await self._socket.send({"type": "websocket.send", "text": written.decode("ascii")})
            except (RuntimeError, OSError) as error:  # it was closed while this was on its way
                raise WebSocketDisconnect(1006) from error

    async def _hang_up(self) -> None:
        """Say what is still to be said, and why; a page that does not listen any more is left."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            if self._socket.application_state is not WebSocketState.CONNECTED:
                return
            with suppress(WebSocketDisconnect, RuntimeError, OSError):
                if self._socket.client_state is WebSocketState.CONNECTED:
                    await self._send_answers()
                await self._socket.close(self._code)
