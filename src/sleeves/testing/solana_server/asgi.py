"""Answers over HTTP, whole and cut short, as the local servers of Solana's world give them. It knows nothing of what they say."""

from __future__ import annotations

from starlette.types import Receive, Send

__all__ = ["cut", "lifespan", "reply"]


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
