"""The door of the page: an ASGI layer that lets in who may come in, and puts what browsers are to heed on what goes out.

Host first, then who it is, then for sockets and for what may change something where it comes from. Nothing behind it has to ask.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from ..errors import VaultError
from .guard import VISITOR, Guard, Rate, Visitor

__all__ = ["OPEN", "Door", "asked_of", "refusal", "turn_away"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

OPEN = frozenset({"/login", "/login.css"})
"""What is there for everybody, so that they can sign in."""
SAFE = frozenset({"GET", "HEAD"})


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """A no, as JSON."""
    body = json.dumps({"code": code, "message": message}).encode()
    return Response(body, status, headers, "application/json")


async def asked_of(authorize: Callable[[Any], Any], connection: HTTPConnection) -> Any:
    """Who that is by a host app's own sign-in, be it a plain function or one that waits."""
    name = authorize(connection)
    return await name if inspect.isawaitable(name) else name


async def turn_away(guard: Guard) -> Response:
    """The answer to a wrong token: it takes longer the more of them there were."""
    failures = guard.failures
    wait = failures.note()
    if wait is None:
        return refusal(429, "too_fast", "too many wrong tokens: try again later", {"Retry-After": "2"})
    failures.waiting += 1
    try:
        await anyio.sleep(wait)
    finally:
        failures.waiting -= 1
    return refusal(401, "wrong_token", "that is not the token", _CHALLENGE)


class Door:
    """Around the app: see the module. `authorize` is a host app's own sign-in."""

    def __init__(self, app: Any, *, guard: Guard, authorize: Callable[[Any], Any] | None, frames: Iterable[str]) -> None:
        self.app = app
        self.guard = guard
        self.authorize = authorize
        self._complains = Rate(1 / 60, 1)
        self.headers = _headers(frames, shared=bool(guard.origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        found = await self._look(scope)
        if isinstance(found, Response):
            await self._refuse(found, scope, receive, send)
            return
        scope[VISITOR] = found
        await self.app(scope, receive, self._wrapped(scope, send))

    async def _look(self, scope: Scope) -> Visitor | Response | None:
        """Who may come in; None for what is there for everybody; or the no."""
        guard, headers, socket = self.guard, Headers(scope=scope), scope["type"] == "websocket"
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else None
        if not guard.names(host):
            return refusal(421, "foreign_host", "this page does not answer to that name: see hosts=")
        secure = scope.get("scheme") in ("https", "wss")
        origins = headers.getlist("origin")
        origin = origins[0] if len(origins) == 1 else (None if not origins else "many")
        if _path(scope) in OPEN and not socket:
            if scope["method"] not in SAFE and origin is not None and not guard.knows(origin, host, secure=secure):
                return refusal(403, "foreign_origin", "this origin is foreign here")
            return None
        if not socket and scope["method"] == "OPTIONS" and origin is not None and guard.shares(origin):
            return Response(status_code=204, headers=_PREFLIGHT)
        who = await self._who(scope, headers)
        if isinstance(who, Response):
            return who
        if socket or scope["method"] not in SAFE:
            why = guard.may_ask(who, origin=origin, host=host, secure=secure)
            if why:
                return refusal(403, "foreign_origin", why)
        return who

    async def _who(self, scope: Scope, headers: Headers) -> Visitor | Response:
        guard, connection = self.guard, HTTPConnection(scope)
        protocols = [one for one in scope.get("subprotocols") or () if isinstance(one, str)]
        authorization = headers.get("authorization") if guard.token is not None else None
        who = guard.who(authorization=authorization, protocols=protocols, cookie=connection.cookies.get(guard.cookie))
        if who is not None:
            return who
        if guard.offered(authorization, protocols):
            return await turn_away(guard)
        if self.authorize is not None:
            return await self._ask_host(connection)
        if scope["type"] == "http" and scope["method"] in SAFE and _path(scope) in ("", "/"):
            return RedirectResponse("login" if _path(scope) else _root(scope) + "/login", 303)
        return refusal(401, "not_signed_in", "a token is needed: sign in, or send it as a Bearer", _CHALLENGE)

    async def _ask_host(self, connection: HTTPConnection) -> Visitor | Response:
        assert self.authorize is not None
        try:
            name = await asked_of(self.authorize, connection)
        except Exception:
            if self._complains.take():
                log.exception("authorize failed, so nobody is let in by it")
            return refusal(503, "sign_in_failed", "who that is could not be asked", {"Retry-After": "5"})
        if name is None:
            return refusal(401, "not_signed_in", "sign in first")
        try:
            return self.guard.named(name)
        except VaultError:
            log.exception("authorize gave a name that no instruction may bear")
            return refusal(403, "bad_name", "the name of this sign-in cannot stand in the journal")

    # -- what goes out -------------------------------------------------------------------------------------------------

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "websocket":
            response.headers["Connection"] = "close"  # it is no connection that another request could come by
        await response(scope, receive, self._wrapped(scope, send))

    def _wrapped(self, scope: Scope, send: Send) -> Send:
        """`send` with the headers that browsers are to heed on every answer."""
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            return send
        origin = Headers(scope=scope).get("origin")
        shares = origin is not None and self.guard.shares(origin)

        async def wrapped(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                if self.guard.origins:
                    headers.add_vary_header("Origin")
                if shares and origin is not None:
                    headers["Access-Control-Allow-Origin"] = origin
            await send(message)

        return wrapped


def _path(scope: Scope) -> str:
    """The path behind where this app is mounted."""
    path, root = str(scope.get("path", "")), _root(scope)
    return path[len(root) :] if root and path.startswith(root) else path


def _root(scope: Scope) -> str:
    return str(scope.get("root_path", "")).rstrip("/")


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sleeves"'}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


def _headers(frames: Iterable[str], *, shared: bool) -> dict[str, str]:
    """What browsers are to heed: nothing from elsewhere, no script in the page's text, in no foreign frame, kept nowhere."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": " ".join(["'self'", *frames]),
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "cross-origin" if shared else "same-origin",
        "Cache-Control": "no-store",
    }
