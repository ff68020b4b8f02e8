"""The wire of a venue that speaks HTTP: bytes out, exact numbers in.

What is sent is sent once, as the bytes that were handed in, since a signature covers those bytes. What comes back is text, and
its numbers are integers and Decimals, never floats. An error says which of two things it is: nothing was sent, or the answer
is lost and it may have been done.

It knows no venue, no key and no meaning of a reply, and asks nothing twice: see `retry`. It follows no redirect, takes no proxy
from the environment, and keeps headers, queries and bodies out of errors, tracebacks and logs, because keys are in them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import anyio
from attrs import field, frozen

from ..errors import InvalidMarket, MissingExtra, VenueUnavailable, VenueUnknown

__all__ = ["Reply", "Wire", "exact"]

MOST_BYTES = 32 * 1024 * 1024
_MOST_DIGITS = 200


def exact(text: str) -> Any:
    """JSON as Python values: whole numbers as int, all others as Decimal, digit for digit.

    Raises ValueError for what is no JSON, for NaN and Infinity, for a number of more than 200 characters, for an object that
    has one key twice (it says two things), and for nesting that is deeper than any venue's.
    """
    try:
        return json.loads(text, parse_float=_decimal, parse_int=_whole, parse_constant=_constant, object_pairs_hook=_object)
    except RecursionError:
        pass
    raise ValueError("it is nested too deeply")


def _decimal(text: str) -> Decimal:
    return Decimal(_short(text))


def _whole(text: str) -> int:
    return int(_short(text))


def _short(text: str) -> str:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    return text


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has one key twice")
    return found


@frozen
class Reply:
    """What a venue answered, whatever its status. Names of headers are in small letters. Its text is not shown: tokens are in some."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)

    def json(self) -> Any:
        """The text as `exact` reads it. Raises `VenueUnknown` where it cannot: an answer came, and what it says is lost."""
        try:
            return exact(self.text)
        except ValueError:
            pass  # its own error holds the text
        raise VenueUnknown(f"the venue answered with status {self.status} and what is no JSON")


@frozen
class _Lost:
    """What became of a request that has no answer."""

    sent: bool
    why: str


class Wire:
    """Requests to one base URL. Made without any I/O; the connection is opened by the first call and closed by `aclose`.

    `timeout` (seconds) bounds each wait for the other side, and with `connect_timeout` the whole of a call. `headers` go with
    every request. A reply of more than `most_bytes`, unpacked, is given up. `extra` is what brings httpx, for the error where it
    is missing. To be used in one event loop at a time: after `aclose` a call opens anew, in any.

    Raises `InvalidMarket` for a base URL that is no http or https URL with a host, and for times that are not positive.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = MOST_BYTES,
        extra: str = "kraken",
    ) -> None:
        self._base, self._place = _base(base_url)
        for what, value in (("timeout", timeout), ("connect_timeout", connect_timeout), ("most_bytes", most_bytes)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise InvalidMarket(f"{what} {value!r} of a wire must be a positive number")
        self._timeout, self._connect_timeout, self._most = timeout, connect_timeout, most_bytes
        self._headers = {"User-Agent": "sleeves", "Accept": "application/json", "Accept-Encoding": "gzip", **(headers or {})}
        self._extra = extra
        self._transport: Any = None

    async def get(self, path: str, query: Mapping[str, str | int] | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask. Raises `VenueUnavailable` where nothing was sent, `VenueUnknown` where the answer is lost, cut or too long."""
        target = f"{path}?{urlencode(query)}" if query else path
        outcome = await self._exchange("GET", target, None, headers)
        del target, query, headers  # a traceback with locals must not show them
        return self._answer("GET", path, outcome)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send these bytes, once. Raises as `get` does."""
        outcome = await self._exchange("POST", path, body, headers)
        del body, headers
        return self._answer("POST", path, outcome)

    async def aclose(self) -> None:
        """Close the connections. Closing again does nothing."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Wire {self._place}>"

    def _answer(self, method: str, path: str, outcome: Reply | _Lost) -> Reply:
        if isinstance(outcome, Reply):
            return outcome
        what = f"{method} {path or '/'} of {self._place}: {outcome.why}"
        if outcome.sent:
            raise VenueUnknown(f"{what}; it was sent, and may have been done")
        raise VenueUnavailable(f"{what}; nothing was sent")

    async def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str] | None) -> Reply | _Lost:
        """One request and its answer. Returns what went wrong, since errors of the library hold the request and its headers."""
        httpx = self._library()
        transport = self._open(httpx)
        outcome: Reply | _Lost = _Lost(True, f"no whole answer within {self._timeout + self._connect_timeout:g} s")
        with anyio.move_on_after(self._timeout + self._connect_timeout):
            try:
                request = httpx.Request(
                    method,
                    self._base + target,
                    headers={**self._headers, **(headers or {})},
                    content=body,
                    extensions={"timeout": {"connect": self._connect_timeout, **dict.fromkeys(("read", "write", "pool"), self._timeout)}},
                )
            except (httpx.InvalidURL, ValueError, TypeError):
                return _Lost(False, "its address, a header or its body cannot be written as HTTP")
            try:
                outcome = await self._read(transport, request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                outcome = _Lost(False, f"no connection ({str(error) or type(error).__name__})")
            except httpx.PoolTimeout:
                outcome = _Lost(False, "all connections are in use")
            except httpx.TimeoutException:
                outcome = _Lost(True, f"no answer within {self._timeout:g} s")
            except (httpx.HTTPError, httpx.StreamError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                outcome = _Lost(True, f"the connection broke ({type(error).__name__})")
        return outcome

    async def _read(self, transport: Any, request: Any) -> Reply | _Lost:
        response = await transport.handle_async_request(request)
        raw, length = bytearray(), 0
        try:
            async for chunk in response.stream:  # to its end, or to an error: left early, the library leaves its parts open
                length += len(chunk)
                if length <= self._most:
                    raw += chunk
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = None if length > self._most else _unpacked(bytes(raw), headers.get("content-encoding", "identity"), self._most)
        if body is None:
            return _Lost(True, f"an answer of more than {self._most} bytes, or packed in a way that is not known")
        try:
            return Reply(response.status_code, headers, body.decode("utf-8"))
        except UnicodeDecodeError:
            return _Lost(True, f"an answer with status {response.status_code} that is no text")

    def _library(self) -> Any:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("httpx", self._extra, "to talk to a venue") from error
        return httpx

    def _open(self, httpx: Any) -> Any:
        """The library below its client: that follows no redirect, keeps no cookie and logs no address."""
        if self._transport is None:
            self._transport = httpx.AsyncHTTPTransport(trust_env=False)
        return self._transport


def _unpacked(raw: bytes, encoding: str, most: int) -> bytes | None:
    """A body as it was before it was packed; None for what cannot be unpacked, or is longer than `most` then."""
    if encoding.strip().lower() in ("identity", ""):
        return raw
    unpack = zlib.decompressobj(wbits=47)  # gzip and deflate, told by their first bytes
    try:
        body = unpack.decompress(raw, most + 1)
    except zlib.error:
        return None
    return body if unpack.eof and len(body) <= most else None


def _base(url: object) -> tuple[str, str]:
    """A base URL without its last slash, and what may be shown of it: scheme, host and port."""
    if isinstance(url, str):
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts = None
        if parts is not None and parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.fragment:
            return url.rstrip("/"), f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
        del parts
    shown = f"a {type(url).__name__}" if not isinstance(url, str) else f"this text of {len(url)} characters"
    del url  # some have a token in them
    raise InvalidMarket(f"the base of a wire is an http or https URL with a host, without user, password or fragment, not {shown}")
