"""The exchange as an ASGI app: REST and WebSocket v2, signed calls judged as they arrive, faults struck.

    /0/public/X     /0/private/X     /v2 (public socket)     /private/v2 (the private one)

What a call does to the exchange is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from .exchange import Call, KrakenExchange
from .faults import Fault
from .keys import PERMISSIONS, Key
from .limits import COSTS
from .private import PRIVATE
from .public import PUBLIC
from .wire import Refused, text_of

__all__ = ["App"]

SECOND = 1_000_000_000
_JSON = "application/json; charset=utf-8"
_ALWAYS = ("Time", "SystemStatus", "Assets", "AssetPairs")
"""What answers during maintenance."""
_MOST_BODY = 1 << 20


class App:
    """An ASGI app over an exchange."""

    def __init__(self, exchange: KrakenExchange) -> None:
        self.exchange = exchange
        self._over: asyncio.Event | None = None
        self._reminders: set[int] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._over is None:
            self._over = asyncio.Event()
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        self._over = asyncio.Event()
        self._reminders.clear()
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._over.set()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -- REST ----------------------------------------------------------------------------------------------------------

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _body(receive)
        path = scope["path"]
        kind, _, method = path.removeprefix("/0/").partition("/")
        if not path.startswith("/0/") or kind not in ("public", "private"):
            await _answer(send, 404, "Not Found", "text/plain")
            return
        exchange = self.exchange
        with exchange.lock:
            fault = exchange.faults.take(method)
            least, most = exchange.jitter
            late = exchange.dice.uniform(least, most) if kind == "private" and most > 0 else 0.0
        if late:
            await asyncio.sleep(late)
        if fault is not None and not fault.done and not await self._wait(fault, receive):
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        if kind == "public":
            call = partial(self._public, method, _form(query), headers, body)
        else:
            call = partial(self._private, scope["method"], path, method, headers, body)
        if fault is None or fault.processed:
            text = self._carry(call)
        else:
            text = text_of({"error": [fault.error_text]}) if fault.error_text else ""
            self._note_unprocessed(method, kind, headers, body, fault)
        if fault is not None and fault.done:
            if not await self._wait(fault, receive):
                return
            text = text_of({"error": [fault.error_text]}) if fault.error_text else text
        if fault is not None and fault.body is not None:
            html = fault.body.startswith("<")
            await _answer(send, fault.code, fault.body, "text/html; charset=utf-8" if html else _JSON)
            return
        await _answer(send, 200 if fault is None else fault.code, text, _JSON)

    async def _wait(self, fault: Fault, receive: Any) -> bool:
        """Let a fault's time pass; False where the connection was cut."""
        if fault.delay is None or fault.delay > 0:
            assert self._over is not None
            ends: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._over.wait()), asyncio.ensure_future(_gone(receive))}
            try:
                await asyncio.wait(ends, timeout=fault.delay, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in ends:
                    task.cancel()
                await asyncio.wait(ends)
        if not fault.answers:
            _cut(receive)
            with contextlib.suppress(TimeoutError):  # a server that knows that it was cut says nothing of it
                await asyncio.wait_for(_gone(receive), 1.0)
        return fault.answers

    def _carry(self, call: Callable[[], Any]) -> str:
        exchange = self.exchange
        with exchange.lock:
            exchange.tick()
            try:
                result = call()
            except Refused as refused:
                if exchange.calls:
                    exchange.calls[-1].error = refused.error
                return text_of({"error": [refused.error]})
            finally:
                exchange.sockets.flush()
                self._remind()
            return text_of({"error": [], "result": result})

    def _public(self, method: str, query: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> Any:
        exchange = self.exchange
        call = Call(method, dict(query), "", False, exchange.clock())
        exchange.calls.append(call)
        if method not in PUBLIC:
            raise Refused("EGeneral:Unknown method")
        if exchange.system == "maintenance" and method not in _ALWAYS:
            raise Refused("EService:Unavailable")
        call.args |= _arguments(headers, body)  # some clients POST here too
        return PUBLIC[method](exchange, call.args)

    def _private(self, verb: str, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Any:
        exchange = self.exchange
        call = Call(method, {}, "", False, exchange.clock())
        exchange.calls.append(call)
        if verb != "POST" or method not in PRIVATE:
            raise Refused("EGeneral:Unknown method")
        call.args = args = _arguments(headers, body)
        key = self._known(path, args, headers, body, call)
        key.take_nonce(str(args.get("nonce", "")))
        key.last_used = exchange.clock()
        if exchange.system == "maintenance":
            raise Refused("EService:Unavailable")
        tier, cost = key.tier, COSTS.get(method, 1)
        if cost and tier is not None and not key.counter.add(cost, exchange.clock(), tier.calls_decay, tier.calls):
            raise Refused("EAPI:Rate limit exceeded")
        allowed = PERMISSIONS[method]
        if allowed and not key.permissions & set(allowed):
            raise Refused("EGeneral:Permission denied")
        return PRIVATE[method](exchange, key, args)

    def _known(self, path: str, args: Mapping[str, Any], headers: Mapping[str, str], body: bytes, call: Call) -> Key:
        """Whose call it is. Raises `Refused` for an unknown key, a wrong signature, and while the account is locked."""
        exchange = self.exchange
        name = headers.get("api-key", "")
        key, now = exchange.keys.get(name), exchange.clock()
        if key is None:
            raise Refused(exchange.strangers.refuse(name, now, exchange.lockout_after))
        call.key = key.name
        account = exchange.account(key.account)
        if account.locked_until > now:
            raise Refused("EGeneral:Temporary lockout")
        error = "EAPI:Invalid key" if key.revoked or (key.expires and now >= key.expires) else ""
        call.signed = key.signed(path, str(args.get("nonce", "")), body, headers.get("api-sign", ""))
        if not error and not call.signed:
            error = "EAPI:Invalid signature"
        if not error:
            key.strikes = 0
            return key
        key.strikes += 1
        if key.strikes >= exchange.lockout_after:
            key.strikes = 0
            exchange.lock_out(account=key.account)
        raise Refused(error)

    def _note_unprocessed(self, method: str, kind: str, headers: Mapping[str, str], body: bytes, fault: Fault) -> None:
        """A call that met a fault before anybody looked at it is a call that arrived all the same."""
        with self.exchange.lock:
            key = self.exchange.keys.get(headers.get("api-key", ""))
            args = {}
            with contextlib.suppress(Refused):
                args = _arguments(headers, body) if kind == "private" else {}
            signed = key is not None and key.signed(f"/0/{kind}/{method}", str(args.get("nonce", "")), body, headers.get("api-sign", ""))
            error = fault.error_text or f"HTTP {fault.code}"
            call = Call(method, args, "" if key is None else key.name, signed, self.exchange.clock(), error)
            self.exchange.calls.append(call)

    def _remind(self) -> None:
        """Look again when the next order ends by itself, or the dead man's switch goes off."""
        exchange = self.exchange
        now = exchange.clock()
        for end in exchange.ends():
            if end > now and end not in self._reminders:
                self._reminders.add(end)
                asyncio.get_running_loop().call_later((end - now) / SECOND + 0.001, self._look_again, end)

    def _look_again(self, end: int) -> None:
        self._reminders.discard(end)
        self.exchange.tick()

    # -- sockets -------------------------------------------------------------------------------------------------------

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].rstrip("/")
        if path not in ("/v2", "/private/v2"):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await receive()
        await send({"type": "websocket.accept"})
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(news.set)

        exchange = self.exchange
        with exchange.lock:
            socket = exchange.sockets.connect(private=path == "/private/v2", wake=wake)
        news.set()
        reading = asyncio.ensure_future(self._read(socket, receive))
        try:
            while not reading.done():
                if socket.dropped:
                    _cut(receive)
                    return
                while socket.waiting and not socket.dropped:
                    await send({"type": "websocket.send", "text": socket.waiting.popleft()})
                if not await _woken(news, reading, exchange.heartbeat) and not reading.done():
                    with exchange.lock:
                        socket.send({"channel": "heartbeat"})
                news.clear()
        finally:
            with exchange.lock:
                exchange.sockets.leave(socket)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def _read(self, socket: Any, receive: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            with self.exchange.lock:
                self.exchange.tick()
                self.exchange.sockets.hear(socket, message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace"))
            socket.wake()


async def _woken(news: asyncio.Event, reading: asyncio.Future[None], seconds: float) -> bool:
    """Whether there is news before so much time is over."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(news.wait())
    both: set[asyncio.Future[Any]] = {waiting, reading}
    try:
        done, _ = await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return bool(done)


async def _body(receive: Any) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if message["type"] == "http.disconnect" or not message.get("more_body") or size > _MOST_BODY:
            return b"".join(parts)


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cut(receive: Any) -> None:
    """Close the connection without a word. Servers that do not show it close it when the app raises."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("cut on purpose")
    transport.abort()


async def _answer(send: Any, status: int, text: str, kind: str) -> None:
    data = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _form(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _arguments(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The arguments of a call, from a form or from JSON."""
    try:
        text = body.decode()
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return dict(_form(text))
        found = json.loads(text or "{}", parse_float=str)
    except ValueError:
        raise Refused("EGeneral:Invalid arguments") from None
    if not isinstance(found, dict):
        raise Refused("EGeneral:Invalid arguments")
    return found
