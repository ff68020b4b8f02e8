"""ccxt in worker threads: one call at a time for each exchange object, from asyncio and trio alike.

The synchronous library is used, because its asynchronous one knows asyncio only. An exchange object is not made for several
threads, so its calls go one after the other. A thread is never given up: what was sent stays sent, so a call that is canceled
from outside is waited for, for as long as its time limit lets it take. That limit is for each time that nothing comes; an answer
that comes in drops is cut off after `WHOLE` times as much, for each request (not behind a proxy of ccxt's own setting).

What leaves this module is what ccxt answered, or a `Trouble`; none of its exceptions does, because their causes hold the
request with its headers, and so the key and its signature. A key is lent to the object for one call and taken back. This module
is the only one that imports the library.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import anyio
import anyio.from_thread
import anyio.to_thread

from ...errors import MissingExtra, VenueRejected
from ...keys import Held
from .faults import Trouble, trouble_of
from .manners import Manner

__all__ = ["Line", "make_exchange"]

WHOLE = 3
"""How many times the limit for one wait a request may take in all."""
_LENT = ("apiKey", "secret", "password", "walletAddress", "privateKey", "uid", "token", "login", "accountId", "twofa")
_DEMO = ("binance", "binanceusdm")
"""Where the host for tests that ccxt calls a sandbox is shut for contracts, and a demo account took its place."""
_BUSY: WeakKeyDictionary[Any, threading.Lock] = WeakKeyDictionary()
_SAYS_NOTHING = logging.Logger("sleeves.venues.ccxt.silent", logging.CRITICAL + 1)
"""ccxt writes every request with its headers to its logger at DEBUG, the key and the signature among them."""
_SAYS_NOTHING.disabled = True


def make_exchange(exchange: Any, manner: Manner, *, config: Mapping[str, Any], sandbox: bool, timeout: float) -> Any:
    """An exchange object of ccxt, by its id, or one that was handed in, set so that money can pass through it.

    Raises `MissingExtra` without the library, `VenueRejected` for an id that it does not know, for an asynchronous object,
    and where `sandbox` is asked of an exchange without a host for tests.
    """
    try:
        import ccxt
    except ImportError as error:
        raise MissingExtra("ccxt", "ccxt", "trading through ccxt") from error
    if isinstance(exchange, str):
        made = getattr(ccxt, exchange, None) if exchange in ccxt.exchanges else None
        if made is None:
            raise VenueRejected(f"ccxt knows no exchange {exchange!r}")
        exchange = made(dict(config))
    if not isinstance(exchange, ccxt.Exchange) or getattr(exchange, "synchronous", True) is not True:
        raise VenueRejected(f"an exchange is ccxt's id of it, or an object of its synchronous classes, not {type(exchange).__name__}")
    if sandbox:
        _into_sandbox(exchange)
    exchange.number = str
    exchange.on_json_response = _read_json
    exchange.logger = _SAYS_NOTHING
    exchange.verbose = False
    exchange.timeout = int(timeout * 1000)
    exchange.options.update(manner.options)
    exchange.options["maxRetriesOnFailure"] = 0
    exchange.enableLastHttpResponse = True
    if hasattr(exchange, "initialize_client"):
        exchange.initialize_client = exchange.initializeClient = lambda: True
    return exchange


def _into_sandbox(exchange: Any) -> None:
    """Point it at its host for tests, before anything is asked."""
    if "demo" in exchange.urls and exchange.id in _DEMO:
        exchange.enable_demo_trading(True)
        return
    if exchange.has.get("sandbox") is not True or not exchange.urls.get("test"):
        raise VenueRejected(f"{exchange.id} has no host for tests, so sandbox=True cannot be")
    if not getattr(exchange, "isSandboxModeEnabled", False):
        exchange.set_sandbox_mode(True)


def _keep_sockets(session: Any, kept: WeakSet[Any]) -> None:
    """Have a session note the sockets that it opens, so that they can be shut from outside."""

    def noting(connection: Any) -> Any:
        class Noting(connection):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    kept.add(self.sock)

        return Noting

    for adapter in getattr(session, "adapters", {}).values():
        pools = adapter.poolmanager.pool_classes_by_scheme
        adapter.poolmanager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": noting(pool.ConnectionCls)}) for scheme, pool in pools.items()
        }


def _read_json(text: str) -> Any:
    """JSON with its numbers as they are written: ccxt takes text where it takes a float."""
    return json.loads(text, parse_float=str)


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class NoAnswer(Exception):
    """What came back cannot be an answer of the exchange's."""


class Line:
    """Calls of one exchange object, in order."""

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange
        self.id = str(exchange.id)
        self.numbered = False
        """Whether calls with a key bear a number of the ring's."""
        self._busy = _BUSY.setdefault(exchange, threading.Lock())
        self._limiter: anyio.CapacityLimiter | None = None
        self._sent = 0
        self._sockets: WeakSet[Any] = WeakSet()
        _keep_sockets(exchange.session, self._sockets)
        self._own = exchange.fetch
        exchange.fetch = self._fetch

    def open(self) -> None:
        """Begin, in the event loop that calls will come from."""
        self._limiter = anyio.CapacityLimiter(1)

    def has(self, what: str) -> bool:
        """Whether ccxt has a method for this exchange; one that it emulates counts."""
        return bool(self.exchange.has.get(what))

    async def call(self, method: str, *args: Any, held: Held | None = None) -> tuple[Any, Trouble | None]:
        """What a method answers, or the trouble that there was; with a key's values, and its numbers, for the time of the call."""
        assert self._limiter is not None
        draw = held.nonce if held is not None and self.numbered else None
        return await anyio.to_thread.run_sync(self._call, method, args, held, draw, limiter=self._limiter)

    async def close(self) -> None:
        """Close its connections. It opens new ones when it is called again."""
        if self._limiter is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _close(self) -> None:
        with self._busy:
            self.exchange.session.close()

    def _fetch(self, *args: Any, **named: Any) -> Any:
        """One request. What is no JSON is no answer: ccxt hands a page of HTML on, and reads nothing out of it, such as no balance."""
        self._sent += 1
        end = threading.Timer(WHOLE * self.exchange.timeout / 1000, self._cut)
        end.daemon = True
        end.start()
        try:
            answer = self._own(*args, **named)
        finally:
            end.cancel()
        if isinstance(answer, (str, bytes)) and not _is_json(answer):
            raise NoAnswer("what was answered is no JSON")
        if self.id == "kraken" and isinstance(answer, dict) and "result" not in answer:
            raise NoAnswer("what was answered has no result")
        return answer

    def _cut(self) -> None:
        """End what is still being read: its thread then finds that the connection is lost."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _call(self, method: str, args: tuple[Any, ...], held: Held | None, draw: Callable[[], int] | None) -> tuple[Any, Trouble | None]:
        exchange = self.exchange
        with self._busy:
            kept = {name: getattr(exchange, name, None) for name in _LENT}
            nonce = exchange.__dict__.get("nonce")
            self._sent = 0
            answer, trouble = None, None
            try:
                if held is not None:
                    self._lend(held)
                if draw is not None:
                    exchange.nonce = lambda: anyio.from_thread.run_sync(draw)
                answer = getattr(exchange, method)(*args)
            except Exception as error:
                trouble = trouble_of(self.id, error, sent=self._sent, hide=self._values())
            finally:
                for name, value in kept.items():
                    setattr(exchange, name, value)
                if draw is not None:
                    del exchange.nonce
                    if nonce is not None:
                        exchange.nonce = nonce
                exchange.last_request_headers = exchange.last_request_url = exchange.last_request_body = None
            return answer, trouble

    def _lend(self, held: Held) -> None:
        exchange, needs = self.exchange, self.exchange.requiredCredentials
        if needs.get("walletAddress"):
            exchange.walletAddress = held.api_key.reveal()
            exchange.privateKey = held.secret.reveal()
        else:
            exchange.apiKey = held.api_key.reveal()
            exchange.secret = held.secret.reveal()
        if held.passphrase is not None:
            exchange.password = held.passphrase.reveal()

    def _values(self) -> list[str]:
        """What no text may have of the object's credentials; an address is none."""
        found = (getattr(self.exchange, name, None) for name in _LENT if name not in ("walletAddress", "uid", "accountId", "login"))
        return sorted((value for value in found if isinstance(value, str) and value), key=len, reverse=True)
