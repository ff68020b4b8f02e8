"""A local block engine: bundles that land on a local Solana together or not at all, in the shapes of Jito's documentation.

    with solana_server(chain) as node, jito_server(chain) as engine:
        Jito(engine.url, floor_url=engine.url)

A bundle is taken when its transactions are signed and one of them tips one of the tip accounts; whether it lands is another
thing. `next` says what becomes of the bundles that come: "land", the usual; "drop", accepted and never seen again; a number, it
lands so many slots later; "reject", not even accepted. The engine does no more than the chain: a transaction that is in a
bundle and was sent by another way lands once.

What is no block engine here: no auction, no regions, no leader schedule.

Needs the `servers` extra.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from binascii import Error as BinasciiError
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import anyio
from attrs import define, field, frozen

from ..errors import MissingExtra

try:
    from solders.pubkey import Pubkey
    from solders.signature import Signature
    from solders.transaction import VersionedTransaction
    from starlette.requests import Request
    from starlette.types import Send
except ImportError:
    raise MissingExtra("solders and starlette", "servers", "a local block engine") from None

from .solana_server import Chain, ChainError, Fault
from .solana_server.asgi import Served, cut, reply
from .solana_server.base58 import decode58
from .solana_server.layout import SYSTEM

__all__ = ["Asked", "JitoServer", "jito_server"]

_MOST = 5
_LEAST_TIP = 1_000
_FLOOR = {
    "landed_tips_25th_percentile": "1.00025e-06",
    "landed_tips_50th_percentile": "2.014e-06",
    "landed_tips_75th_percentile": "6e-06",
    "landed_tips_95th_percentile": "1e-04",
    "landed_tips_99th_percentile": "1e-04",
    "ema_landed_tips_50th_percentile": "1.67e-06",
}


@frozen(order=False)
class Asked:
    """A call that arrived."""

    method: str
    params: tuple[Any, ...]
    auth: str | None


@define
class _Bundle:
    id: str
    raws: list[bytes]
    signatures: list[str]
    status: str = "Pending"
    slot: int | None = None
    due: int = 0
    why: str = ""


class _No(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@define(eq=False)
class JitoServer(Served[Asked, Fault]):
    """An ASGI app over a chain. `start` serves it; `calls` is what was asked, `next` what becomes of bundles, in their order.

    `per_second` limits all calls together, as the engine limits an address. `auth` are the values of `x-jito-auth` that it
    takes; without any it asks for none.
    """

    chain: Chain
    per_second: int | None = None
    auth: tuple[str, ...] = ()
    clock: Callable[[], int] = time.time_ns
    next: deque[str | int] = field(factory=deque)
    floor: dict[str, str] = field(factory=lambda: dict(_FLOOR))
    """Tips in SOL, as the text of numbers; written without quotes."""
    tip_accounts: tuple[Pubkey, ...] = tuple(Pubkey(sha256(f"sleeves tip {n}".encode()).digest()) for n in range(8))
    _bundles: dict[str, _Bundle] = field(factory=dict, init=False)
    _arrived: deque[int] = field(factory=deque, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    def __attrs_post_init__(self) -> None:
        Served.__init__(self)
        for account in self.tip_accounts:
            if not self.chain.balance(account):
                self.chain.airdrop(account, 1_000_000_000)

    def _word(self, call: Asked) -> str:
        return call.method

    # -- HTTP ----------------------------------------------------------------------------------------------------------------

    async def _respond(self, request: Request, body: bytes, send: Send) -> None:
        if request.method == "GET" and request.url.path == "/api/v1/bundles/tip_floor":
            method, params, number = "tip_floor", [], None
        else:
            try:
                asked = json.loads(body)
                method, params, number = str(asked["method"]), list(asked.get("params", [])), asked.get("id")
            except (ValueError, TypeError, KeyError):
                await reply(send, 400, '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}')
                return
        self.calls.append(Asked(method, tuple(params), request.headers.get("x-jito-auth")))
        fault = self._take(method)
        if fault is not None and fault.kind in ("slow", "hang"):
            await anyio.sleep(fault.seconds)
        status, text = 200, ""
        if fault is None or fault.done or fault.kind in ("slow", "replaced"):
            status, text = await anyio.to_thread.run_sync(
                self._answer, request.url.path, method, params, number, request.headers.get("x-jito-auth")
            )
        if fault is not None and fault.kind in ("cut", "hang"):
            await cut(send)
            return
        if fault is not None and fault.kind in ("status", "garbage"):
            status, text = (fault.code if fault.kind == "status" else 200), fault.text or f"status {fault.code}"
        elif fault is not None and fault.kind == "error":
            text = json.dumps({"jsonrpc": "2.0", "error": {"code": fault.code, "message": fault.text}, "id": number})
        elif fault is not None and fault.kind == "replaced":
            text = json.dumps({"jsonrpc": "2.0", "result": fault.data, "id": number})
        await reply(send, status, text)

    def _answer(self, path: str, method: str, params: Sequence[Any], number: Any, auth: str | None) -> tuple[int, str]:
        with self._lock:
            if method == "tip_floor":
                figures = ",".join(f'"{name}":{value}' for name, value in self.floor.items())
                when = datetime.fromtimestamp(self.clock() // 1_000_000_000, UTC).isoformat()
                return 200, f'[{{"time":"{when}",{figures}}}]'
            try:
                if self.auth and auth not in self.auth:
                    raise _No(-32600, "The supplied auth key is not authorized to access the requested endpoint")
                self._count()
                found = self._call(path, method, params)
            except _No as error:
                said = {"jsonrpc": "2.0", "error": {"code": error.code, "message": str(error)}, "id": number}
                return (429 if error.code == -32097 else 400), json.dumps(said)
            return 200, json.dumps({"jsonrpc": "2.0", "result": found, "id": number})

    def _count(self) -> None:
        now = self.clock()
        while self._arrived and self._arrived[0] <= now - 1_000_000_000:
            self._arrived.popleft()
        if self.per_second is not None and len(self._arrived) >= self.per_second:
            raise _No(-32097, f"Rate limit exceeded. Limit: {self.per_second} per second for txn requests")
        self._arrived.append(now)

    def _call(self, path: str, method: str, params: Sequence[Any]) -> Any:
        places = {"sendBundle": "/api/v1/bundles", "getTipAccounts": "/api/v1/bundles"}
        if path not in (f"/api/v1/{method}", places.get(method)):
            raise _No(-32601, "Method not found")
        if method == "sendBundle":
            return self._bundle(params)
        if method == "getTipAccounts":
            return [str(account) for account in self.tip_accounts]
        if method not in ("getInflightBundleStatuses", "getBundleStatuses"):
            raise _No(-32601, "Method not found")
        asked = params[0] if params else None
        if not isinstance(asked, list) or not 1 <= len(asked) <= _MOST:
            raise _No(-32602, "Invalid params: bundle ids must be an array of at most 5")
        self.look()
        return {"context": {"slot": self.chain.slot}, "value": list(filter(None, map(_INFLIGHT[method], [self] * len(asked), asked)))}

    # -- bundles -------------------------------------------------------------------------------------------------------------

    def _bundle(self, params: Sequence[Any]) -> str:
        given = params[0] if params else None
        terms = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
        if not isinstance(given, list) or not 1 <= len(given) <= _MOST:
            raise _No(-32602, f"bundle must contain 1 to {_MOST} transactions")
        raws = [_bytes(one, terms.get("encoding", "base58")) for one in given]
        try:
            transactions = [VersionedTransaction.from_bytes(raw) for raw in raws]
        except Exception as error:
            raise _No(-32602, f"transaction #0 could not be decoded: {error}") from None
        if not any(self._tips(one) for one in transactions):
            raise _No(-32602, f"Bundles must write lock at least one tip account, of at least {_LEAST_TIP} lamports")
        signatures = [str(one.signatures[0]) for one in transactions]
        name = sha256(",".join(signatures).encode()).hexdigest()
        fate = self.next.popleft() if self.next else "land"
        if fate == "reject":
            raise _No(-32602, "Bundle Dropped, no connected leader up soon")
        bundle = self._bundles[name] = _Bundle(name, raws, signatures)
        if fate == "drop":
            bundle.status = "Failed"
            return name
        bundle.due = self.chain.slot + (fate if isinstance(fate, int) else 0)
        self.look()
        return name

    def _tips(self, transaction: VersionedTransaction) -> bool:
        """Whether it pays a tip account, which must stand in the transaction itself and not in a table."""
        keys = transaction.message.account_keys
        for one in transaction.message.instructions:
            data = bytes(one.data)
            if keys[one.program_id_index] == SYSTEM and data[:4] == b"\2\0\0\0" and one.accounts[1] < len(keys):
                paid = int.from_bytes(data[4:12], "little")
                if keys[one.accounts[1]] in self.tip_accounts and paid >= _LEAST_TIP:
                    return True
        return False

    def look(self) -> None:
        """Land what is due."""
        for bundle in self._bundles.values():
            if bundle.status == "Pending" and bundle.due <= self.chain.slot:
                try:
                    landed = self.chain.land(bundle.raws)
                except ChainError as error:
                    bundle.status, bundle.why = "Failed", error.message
                else:
                    bundle.status, bundle.slot = "Landed", landed[0].slot

    def _inflight(self, name: str) -> Mapping[str, Any]:
        bundle = self._bundles.get(name)
        if bundle is None:
            return {"bundle_id": name, "status": "Invalid", "landed_slot": None}
        return {"bundle_id": name, "status": bundle.status, "landed_slot": bundle.slot}

    def _landed(self, name: str) -> Mapping[str, Any] | None:
        bundle = self._bundles.get(name)
        if bundle is None or bundle.slot is None:
            return None
        named = {"bundle_id": name, "transactions": bundle.signatures, "slot": bundle.slot}
        return {**named, "confirmation_status": self._confirmation(bundle), "err": {"Ok": None}}

    def _confirmation(self, bundle: _Bundle) -> str:
        landing = self.chain.landing(Signature.from_string(bundle.signatures[0]))
        return "finalized" if landing is not None and self.chain.slot - landing.slot >= 32 else "confirmed"


_INFLIGHT: dict[str, Callable[[JitoServer, str], Mapping[str, Any] | None]] = {
    "getInflightBundleStatuses": JitoServer._inflight,
    "getBundleStatuses": JitoServer._landed,
}


@contextmanager
def jito_server(chain: Chain, **terms: Any) -> Iterator[JitoServer]:
    """A local block engine over a chain, served as long as the block runs; `terms` as of `JitoServer`."""
    server = JitoServer(chain, **terms)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _bytes(text: Any, encoding: str) -> bytes:
    """Base58 where nothing else is said."""
    try:
        if encoding == "base64":
            return b64decode(text, validate=True)
        return decode58(text)
    except (BinasciiError, ValueError, TypeError):
        raise _No(-32602, f"transaction is no {encoding}") from None
