"""One connection to Kraken's WebSocket v2: words out, exact numbers in, and whether anybody is still there.

Requests carry a number, and their answers find them by it. What comes on a channel is handed on in the order in which it came. A
connection that says nothing is asked (`ping`), and is lost when it does not answer. It opens no second connection: whoever lost
one decides what next. It knows no orders and no prices.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio

from ...errors import InvalidMarket, MissingExtra, VenueUnavailable
from ...keys import Secret
from ..wire import exact

__all__ = ["Socket", "converse", "only_error", "socket_url"]

T = TypeVar("T")

MOST_CHARACTERS = 16 * 1024 * 1024


def socket_url(url: object, what: str) -> str:
    """A ws or wss URL with a host, as it was given. Raises `InvalidMarket`."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if not isinstance(url, str) or parts is None or parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username:
        raise InvalidMarket(f"{what} is a ws or wss URL with a host, without a user in it, not this {type(url).__name__}")
    return url


class _Answer:
    def __init__(self) -> None:
        self.came = anyio.Event()
        self.message: dict[str, Any] | None = None


class Socket:
    """A connection while it lasts; made by `converse`. All its methods raise `VenueUnavailable` once it is lost."""

    def __init__(self, session: Any, name: str, quiet: float, patience: float) -> None:
        self.name = name
        self._session = session
        self._quiet = quiet
        self._patience = patience
        self._number = 0
        self._answers: dict[int, _Answer] = {}
        self._lost: VenueUnavailable | None = None

    @property
    def lost(self) -> bool:
        return self._lost is not None

    async def read(self, take: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Hand each message of a channel to `take`, until the connection is lost, which is raised, or the task is canceled.

        A text that is no JSON object ends it too: what was in it is not known.
        """
        asked = False
        while True:
            text = None
            with anyio.move_on_after(self._quiet):
                text = await self._receive()
            if text is None:
                if asked:
                    self._lose(f"nothing was heard for {2 * self._quiet:g} s, and a ping was not answered")
                asked = True
                await self._send(Secret(json.dumps({"method": "ping", "req_id": self._next()})))
                continue
            asked = False
            message = self._parsed(text)
            if "method" in message:
                self._answered(message)
            else:
                await take(message)

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, within: float | None = None) -> dict[str, Any]:
        """Send a request, and wait for its answer. Somebody must `read` meanwhile.

        Raises `VenueUnavailable` too where it is refused, or not answered in time.
        """
        number, answer = self._next(), _Answer()
        request = Secret(json.dumps({"method": method, "req_id": number} | ({} if params is None else {"params": dict(params)})))
        del params  # they may hold a token: no frame of a traceback keeps it
        self._answers[number] = answer
        try:
            await self._send(request)
            with anyio.move_on_after(self._patience if within is None else within):
                await answer.came.wait()
        finally:
            self._answers.pop(number, None)
        if self._lost is not None:
            raise self._lost
        if answer.message is None:
            raise VenueUnavailable(f"{self.name}: no answer to {method}")
        if answer.message.get("success") is False or answer.message.get("error"):
            raise VenueUnavailable(f"{self.name} refused to {method}: {_short(answer.message.get('error'))}")
        return answer.message

    async def ping(self) -> None:
        """Returns once all is read that was sent on the other side before it answered this."""
        await self.ask("ping")

    def fail(self, error: VenueUnavailable) -> None:
        """It is lost: whoever waits for an answer is told."""
        self._lost = self._lost or error
        for answer in self._answers.values():
            answer.came.set()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _answered(self, message: dict[str, Any]) -> None:
        number = message.get("req_id")
        if not isinstance(number, int) and message.get("method") == "pong":
            number = min(self._answers, default=None)  # a server that does not say which ping it answers
        answer = self._answers.get(number) if isinstance(number, int) else None
        if answer is not None and answer.message is None:
            answer.message = message
            answer.came.set()

    def _parsed(self, text: str) -> dict[str, Any]:
        message = None
        if len(text) <= MOST_CHARACTERS:
            try:
                message = exact(text)
            except ValueError:
                message = None
        if not isinstance(message, dict):
            self._lose(f"a message of {len(text)} characters that is no JSON object")
        assert isinstance(message, dict)
        return message

    async def _receive(self) -> str:
        import httpx_ws

        try:
            return str(await self._session.receive_text())
        except httpx_ws.HTTPXWSException as error:
            raise self._broken(error) from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise self._broken(error) from None

    async def _send(self, message: Secret) -> None:
        if self._lost is not None:
            raise self._lost
        failure: Exception | None = None
        try:
            await self._session.send_text(message.reveal())
        except Exception as error:  # the library raises errors of three others here, and holds what was sent
            failure = error
        if failure is not None:
            raise self._broken(failure)

    def _broken(self, error: Exception) -> VenueUnavailable:
        code = getattr(error, "code", None)
        why = type(error).__name__ + (f" {code}" if code else "")
        self.fail(VenueUnavailable(f"{self.name}: the connection is lost ({why})"))
        assert self._lost is not None
        return self._lost

    def _lose(self, why: str) -> None:
        self.fail(VenueUnavailable(f"{self.name}: {why}"))
        assert self._lost is not None
        raise self._lost


async def converse(
    url: str, talk: Callable[[Socket], Awaitable[T]], *, quiet: float = 30.0, connect_timeout: float = 5.0, patience: float = 10.0
) -> T:
    """Connect, and talk; returns what `talk` returns. What it raises is raised; anything else that ends it is `VenueUnavailable`.

    Needs httpx and httpx-ws, from the extra `kraken`.
    """
    try:
        import httpx
        import httpx_ws
    except ImportError as error:
        raise MissingExtra(error.name or "httpx-ws", "kraken", "Kraken's WebSocket") from error
    parts = urlsplit(url)
    name = f"{parts.scheme}://{parts.netloc}{parts.path}"
    timeout = httpx.Timeout(patience, connect=connect_timeout)
    session: Any
    said: list[T] = []
    failed: list[Exception] = []
    lost: str | None = None
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False, verify=parts.scheme == "wss") as client,
            httpx_ws.aconnect_ws(url, client, keepalive_ping_interval_seconds=None) as session,
        ):
            socket = Socket(session, name, quiet, patience)
            try:
                said.append(await talk(socket))
            except Exception as error:
                failed.append(error)
            finally:
                socket.fail(VenueUnavailable(f"{name}: the connection is closed"))
    except Exception as error:
        lost = _words(error)
    if failed:
        raise only_error(failed[0])
    if said:
        return said[0]
    raise VenueUnavailable(f"{name}: {lost or 'the connection ended'}")


def only_error(error: Exception) -> Exception:
    """The one error in a group of one, or the first that is no mere loss of a connection: that says why it ended."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [only_error(one) for one in error.exceptions]
    return next((one for one in leaves if not isinstance(one, VenueUnavailable)), leaves[0])


def _words(error: Exception) -> str:
    found = only_error(error)
    response = getattr(found, "response", None)
    status = getattr(response, "status_code", None)
    return f"no connection ({type(found).__name__}{'' if status is None else f', status {status}'})"


def _short(text: object) -> str:
    words = str(text)
    return words if len(words) <= 200 else words[:200] + "..."
