"""How a call gets to Kraken and back: one small port, and two ways through it.

    HttpxTransport      our own bytes over httpx: what is signed is what is sent
    KrakenexTransport   krakenex, a client that many have already, in a worker thread

A private call waits for its key's turn, draws the nonce, and holds the turn until the reply is in, so that the calls of one key
reach Kraken in the order of their nonces; acts go before questions that wait. From the nonce on it is shielded from cancellation:
what was sent has an answer, or is known to be without one, before anybody else's call goes out; the time limits bound that.

It knows no endpoint, no error of Kraken's and no meaning of a reply, and sends everything once.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlencode
from weakref import ref

import anyio
import anyio.to_thread

from ...errors import InvalidMarket, MissingExtra, VenueUnavailable, VenueUnknown
from ...keys import Held
from ..wire import Reply, Wire
from .sign import signature

__all__ = ["Args", "HttpxTransport", "KrakenexTransport", "Transport", "open_transport"]

Args: TypeAlias = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Arguments of a call, or what makes them once the call's turn has come: what it raises is raised, and nothing is sent."""


class Transport(Protocol):
    """The port. A call is public, a GET with its arguments in the query, where no key is held, else a signed POST."""

    async def call(self, held: Held | None, path: str, args: Args) -> Reply:
        """Send it once; `path` is /0/public/X or /0/private/X. Arguments are text, made in the key's turn where they are made.

        Raises `VenueUnavailable` where nothing was sent, `VenueUnknown` where the answer is lost; whatever Kraken answered is a reply.
        """

    async def aclose(self) -> None:
        """Close the connections. Closing again does nothing."""


def open_transport(which: str | Transport, base_url: str, *, timeout: float, connect_timeout: float) -> Transport:
    """A transport by name, "httpx" or "krakenex", or the one that was given. Does no I/O. Raises `InvalidMarket` for another name."""
    if not isinstance(which, str):
        return which
    if which == "httpx":
        return HttpxTransport(base_url, timeout=timeout, connect_timeout=connect_timeout)
    if which == "krakenex":
        return KrakenexTransport(base_url, timeout=timeout, connect_timeout=connect_timeout)
    raise InvalidMarket(f"transport {which!r} is none of httpx, krakenex, or a Transport of your own")


def _checked(given: Args) -> dict[str, str]:
    """Arguments as text only: anything else is written in two ways by two libraries, and a signature covers one."""
    args = given() if callable(given) else given
    for name, value in args.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidMarket(f"argument {name!r} of a call to Kraken is a {type(value).__name__}: give text")
    if "nonce" in args or "otp" in args:
        raise InvalidMarket("nonce and otp of a call to Kraken come from its key, not from its arguments")
    return dict(args)


class HttpxTransport:
    """Our own: a form as its exact bytes, over `Wire`. The default."""

    def __init__(self, base_url: str, *, timeout: float = 10.0, connect_timeout: float = 5.0) -> None:
        self._wire = Wire(base_url, timeout=timeout, connect_timeout=connect_timeout)

    async def call(self, held: Held | None, path: str, args: Args) -> Reply:
        """See `Transport`."""
        if not callable(args):
            args = _checked(args)
        if held is None:
            return await self._wire.get(path, _checked(args))
        async with held.turn() as nonce:
            with anyio.CancelScope(shield=True):
                reply = await self._wire.post(path, *_signed(held, path, nonce, _checked(args)))
        return reply

    async def aclose(self) -> None:
        """See `Transport`."""
        await self._wire.aclose()

    def __repr__(self) -> str:
        return f"<HttpxTransport {self._wire!r}>"


def _signed(held: Held, path: str, nonce: int, args: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a private call: handed on without a name, so that no frame of a traceback holds them."""
    body = _form(held, nonce, args).encode()
    return body, {
        "API-Key": held.api_key.reveal(),
        "API-Sign": signature(held.secret, path, nonce, body),
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    }


def _form(held: Held, nonce: int, args: Mapping[str, str]) -> str:
    password = {} if held.passphrase is None else {"otp": held.passphrase.reveal()}
    return urlencode({"nonce": str(nonce), **args, **password})


class KrakenexTransport:
    """krakenex 2.2 in a worker thread, one call at a time for each key.

    Its nonces are the ring's, not its own clock's; what it is given is a copy, and text only; it keeps key and secret for the time of
    a call alone; it follows no redirect and takes no proxy from the environment; each reply is taken from it before the next call.
    krakenex has no limit on the whole of a call: after `timeout` and `connect_timeout` together its connections are cut.
    """

    def __init__(self, base_url: str, *, timeout: float = 10.0, connect_timeout: float = 5.0) -> None:
        self._place = repr(Wire(base_url, timeout=timeout, connect_timeout=connect_timeout))
        self._base = base_url.rstrip("/")
        self._times = connect_timeout, timeout
        self._apis: dict[str, tuple[Any, anyio.CapacityLimiter]] = {}

    async def call(self, held: Held | None, path: str, args: Args) -> Reply:
        """See `Transport`."""
        if not callable(args):
            args = _checked(args)
        api, limiter = self._api("" if held is None else held.name)
        if held is None:
            ask = partial(_krakenex_call, api, None, 0, path, _checked(args), self._times)
            outcome = await anyio.to_thread.run_sync(ask, limiter=limiter)
        else:
            async with held.turn() as nonce:
                signature(held.secret, path, nonce, b"")  # krakenex would tell of a secret that is none in a thread, by its value
                with anyio.CancelScope(shield=True):
                    ask = partial(_krakenex_call, api, held, nonce, path, _checked(args), self._times)
                    outcome = await anyio.to_thread.run_sync(ask, limiter=limiter)
        if isinstance(outcome, Reply):
            return outcome
        sent, why = outcome
        what = f"{path} by krakenex: {why}"
        if sent:
            raise VenueUnknown(f"{what}; it was sent, and may have been done")
        raise VenueUnavailable(f"{what}; nothing was sent")

    async def aclose(self) -> None:
        """See `Transport`."""
        apis, self._apis = self._apis, {}
        for api, _ in apis.values():
            api.close()

    def __repr__(self) -> str:
        return f"<KrakenexTransport {self._place}>"

    def _api(self, name: str) -> tuple[Any, anyio.CapacityLimiter]:
        """The client of a key, "" for the public one, made when it is first asked for. It is used by one thread at a time."""
        if name not in self._apis:
            try:
                import krakenex
            except ImportError as error:
                raise MissingExtra("krakenex", "krakenex", 'transport="krakenex"') from error
            api = krakenex.API()
            api.uri = self._base
            api.session.max_redirects = 0
            api.session.trust_env = False
            api.lines = _listed(api.session)
            self._apis[name] = api, anyio.CapacityLimiter(1)
        return self._apis[name]


def _krakenex_call(
    api: Any, held: Held | None, nonce: int, path: str, args: dict[str, str], times: tuple[float, float]
) -> Reply | tuple[bool, str]:
    """One call of krakenex, in a thread: the reply, or whether it was sent and what went wrong, since its errors hold the headers."""
    import requests

    name = path.rpartition("/")[2]
    api.response = None
    outcome: tuple[bool, str] = (True, "no answer")
    cut = threading.Event()
    deadline = threading.Timer(sum(times), _cut, (api.lines, cut))
    deadline.daemon = True
    deadline.start()
    try:
        if held is None:
            api.query_public(name, args, timeout=times)
        else:
            api.key, api.secret = held.api_key.reveal(), held.secret.reveal()
            api._nonce = lambda: nonce
            if held.passphrase is not None:
                args["otp"] = held.passphrase.reveal()
            api.query_private(name, args, timeout=times)
    except requests.HTTPError:
        pass  # a reply with a status other than success: it is taken below
    except requests.ConnectTimeout:
        outcome = (False, f"no connection within {times[0]:g} s")
    except requests.Timeout:
        outcome = (True, f"no answer within {times[1]:g} s")
    except requests.ConnectionError as error:
        outcome = (not _never_connected(error), "the connection broke")
    except requests.RequestException as error:
        outcome = (True, f"the answer cannot be read ({type(error).__name__})")
    except ValueError:
        outcome = (False, "it cannot be written as HTTP")  # unless there is a reply, which is no JSON then
    finally:
        deadline.cancel()
        response, api.response = api.response, None
        api.key = api.secret = ""
        api.__dict__.pop("_nonce", None)
        args.clear()
    if response is None:
        return (True, f"no whole answer within {sum(times):g} s") if cut.is_set() and outcome[0] else outcome
    try:
        text = response.content.decode("utf-8")
    except UnicodeDecodeError:
        return True, f"an answer with status {response.status_code} that is no text"
    return Reply(response.status_code, {key.lower(): value for key, value in response.headers.items()}, text)


def _listed(session: Any) -> deque[ref[Any]]:
    """Have a session list the connections that it opens last, so that they can be cut from another thread while it waits."""
    lines: deque[ref[Any]] = deque(maxlen=8)
    for adapter in session.adapters.values():
        pools = adapter.poolmanager.pool_classes_by_scheme
        adapter.poolmanager.pool_classes_by_scheme = {scheme: _listing(pool, lines) for scheme, pool in pools.items()}
    return lines


def _listing(pool: Any, lines: deque[ref[Any]]) -> Any:
    class Line(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            line = super()._new_conn()
            lines.append(ref(line))
            return line

        def connect(self) -> None:
            super().connect()
            lines.append(ref(self.sock))  # another one where it is encrypted

    return type(pool.__name__, (pool,), {"ConnectionCls": Line})


def _cut(lines: deque[ref[Any]], cut: threading.Event) -> None:
    """End every wait for the other side on these connections. What was sent may have been done."""
    cut.set()
    for line in tuple(lines):
        with suppress(OSError, TypeError):  # it is closed already
            socket.socket.shutdown(line(), socket.SHUT_RDWR)  # type: ignore[arg-type]  # beneath any encryption: who reads meets its end


def _never_connected(error: Any) -> bool:
    """Whether requests says that there was no connection at all, so that nothing can have been sent."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return any(kind.__name__ == "NewConnectionError" for kind in type(reason).__mro__)
