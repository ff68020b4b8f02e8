"""What the local servers of Solana's world share: to be served, faults that wait for calls, answers whole and cut short.

It knows nothing of what they say.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from ..serving import Server

__all__ = ["Served", "cut", "lifespan", "reply"]

A = TypeVar("A")
F = TypeVar("F")


class Served(Generic[A, F]):
    """An ASGI app on a loopback socket. `start` serves it; `calls` is what was asked, faults wait for the next call by its word."""

    def __init__(self) -> None:
        self.calls: list[A] = []
        self._faults: dict[str, deque[F]] = {}
        self._server = Server(self)

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> str:
        """Listen on a free port of this machine, and say where."""
        return self._server.start()

    def stop(self) -> None:
        """Cut what is under way and stop."""
        self._server.stop()

    def fault(self, word: str, fault: F, times: int = 1) -> None:
        """Have the next call of a method, or whose path ends in this word, go wrong; "*": any."""
        self._faults.setdefault(word, deque()).extend([fault] * times)

    def asked(self, word: str) -> list[A]:
        """The calls of a method, or whose path ends in this word, that arrived."""
        return [call for call in list(self.calls) if self._word(call) == word]

    def _word(self, call: A) -> str:
        raise NotImplementedError

    def _take(self, word: Any) -> F | None:
        return next((queue.popleft() for name in (word, "*") if (queue := self._faults.get(name))), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return  # it has gone before its end
        await self._respond(request, body, send)

    async def _respond(self, request: Request, body: bytes, send: Send) -> None:
        raise NotImplementedError

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """A WebSocket: there is none, unless a server has one."""
        await receive()
        await send({"type": "websocket.close", "code": 1008})


async def reply(send: Send, status: int, text: str, kind: str = "application/json; charset=utf-8") -> None:
    """A whole answer."""
    body = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def cut(send: Send) -> None:
    """Begin an answer and close the connection before its end."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"jsonrpc":', "more_body": True})


async def lifespan(receive: Receive, send: Send) -> None:
    """Begin and end when told, with nothing to do."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
