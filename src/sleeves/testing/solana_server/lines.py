"""The WebSocket of a local node: who listens to which account, signature, log or slot, and what each is told.

Shapes as in Solana's RPC documentation. Every change of the chain is looked at when it happens, so that nothing is told as one
that were two. What goes wrong is said beforehand: `drop` cuts connections, `delay`, `repeat`, `lose` and `older` are for the next
pushes, and a connection is refused while `refusing` is set. Words for a fault of an answer are the node's own: `Fault.error` for
"accountSubscribe", and `Fault.hang` for none.

It knows the chain and no driver; how an account is shown it is told by the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field
from solders.pubkey import Pubkey
from solders.signature import Signature

from .chain import FINAL_AFTER, Chain, ChainError, Landing, State

if TYPE_CHECKING:
    from .node import Fault

__all__ = ["Line", "Lines"]

_COMMITMENTS = ("processed", "confirmed", "finalized")
_LOOKS = 0.05
"""Seconds after which a chain that moves by its clock is looked at again."""


@define(eq=False)
class _Listens:
    """One subscription: what was told last, so that what is new is known."""

    kind: str
    key: Any = None
    config: Mapping[str, Any] = field(factory=dict)
    last: Any = None
    seen: int = 0


@define(eq=False)
class Line:
    """One connection: what it listens to, and what waits to be sent to it, each with the time (event loop's) from which it may go."""

    wake: Callable[[], None]
    listens: dict[int, _Listens] = field(factory=dict)
    waiting: deque[tuple[float, str]] = field(factory=deque)
    dropped: bool = False


class Lines:
    """All connections of a node. `show` writes an account as the node's other answers do."""

    def __init__(self, chain: Chain, show: Callable[[State | None, Any], Any], behind: Callable[[], int]) -> None:
        self.chain = chain
        self.open: list[Line] = []
        self.refusing = False
        """Whether connections are refused (HTTP 503)."""
        self.connected = 0
        """How many connections were made."""
        self._show, self._behind = show, behind
        self._number = 0
        self._delay: deque[float] = deque()
        self._repeat = self._lose = 0
        self._older: deque[int] = deque()
        self._unwatch: Callable[[], None] | None = None

    # -- what goes wrong ------------------------------------------------------------------------------------------------------

    def drop(self) -> int:
        """Cut all connections without a word; says how many. Who connects again is let in, unless `refusing`."""
        with self.chain._lock:
            cut = list(self.open)
            for line in cut:
                line.dropped = True
                line.wake()
            self.open.clear()
            return len(cut)

    def delay(self, seconds: float, times: int = 1) -> None:
        """The next pushes go out so much later, and those behind them stay behind them."""
        with self.chain._lock:
            self._delay.extend([seconds] * times)

    def repeat(self, times: int = 1) -> None:
        """The next pushes are sent twice."""
        with self.chain._lock:
            self._repeat += times

    def lose(self, times: int = 1) -> None:
        """The next pushes are not sent, and nobody is told."""
        with self.chain._lock:
            self._lose += times

    def older(self, slots: int, times: int = 1) -> None:
        """The next pushes say that they are of so many slots before."""
        with self.chain._lock:
            self._older.extend([slots] * times)

    def tell(self, kind: str, key: Any, value: Any, *, slot: int) -> int:
        """Say this to all who listen to it, whatever the chain holds: what a node that is behind, or broken, pushes. Says to how many."""
        with self.chain._lock:
            found = [(line, n) for line in self.open for n, it in line.listens.items() if (it.kind, it.key) == (kind, key)]
            for line, number in found:
                self._push(line, number, kind, _of_slot(slot, value))
            return len(found)

    # -- what clients ask -----------------------------------------------------------------------------------------------------

    def hear(self, line: Line, asked: Any, answer: Callable[[Any], None]) -> None:
        """A call of a client. `answer` is called with its result before anything is told of it. Raises `ChainError`."""
        method, params = asked.get("method"), asked.get("params") or []
        if not isinstance(params, list):
            raise ChainError(-32602, "Invalid params: invalid type: map, expected a sequence.")
        kind = str(method).removesuffix("Subscribe").removesuffix("Unsubscribe")
        with self.chain._lock:
            if str(method).endswith("Unsubscribe") and kind in _KINDS:
                if not params or line.listens.pop(params[0], None) is None:
                    raise ChainError(-32602, "Invalid subscription id.")
                answer(True)
                return
            if not str(method).endswith("Subscribe") or kind not in _KINDS:
                raise ChainError(-32601, "Method not found")
            listens = self._listens(kind, params)
            self._number += 1
            line.listens[self._number] = listens
            answer(self._number)
            self._look_for(line, self._number, listens)

    def _listens(self, kind: str, params: list[Any]) -> _Listens:
        config = dict(params[1]) if len(params) > 1 and isinstance(params[1], Mapping) else {}
        if config.get("commitment", "finalized") not in _COMMITMENTS:
            raise ChainError(-32602, f"Invalid params: unknown variant `{config['commitment']}`")
        if kind == "slot":
            return _Listens(kind, None, {}, self._slot())
        if not params:
            raise ChainError(-32602, "`params` should have at least 1 argument(s)")
        landed = len(self.chain.landings)
        if kind == "account":
            key = _read(Pubkey, params[0])
            if config.get("encoding", "binary") not in ("base64", "binary", "base58"):
                raise ChainError(-32602, f"Invalid params: encoding {config['encoding']}")
            return _Listens(kind, key, config, self.chain.account(key))
        if kind == "signature":
            return _Listens(kind, _read(Signature, params[0]), config)
        about = params[0]
        if isinstance(about, Mapping) and isinstance(about.get("mentions"), list):
            if len(about["mentions"]) != 1:
                raise ChainError(-32602, "Invalid Request: Only 1 address supported")
            return _Listens(kind, _read(Pubkey, about["mentions"][0]), config, seen=landed)
        if about not in ("all", "allWithVotes"):
            raise ChainError(-32602, "Invalid params: unknown filter of logs")
        return _Listens(kind, None, config, seen=landed)

    # -- what they are told ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See what has changed, and have it told."""
        with self.chain._lock:
            for line in list(self.open):
                for number, listens in list(line.listens.items()):
                    self._look_for(line, number, listens)

    def _slot(self) -> int:
        return self.chain.slot - self._behind()

    def _settled(self, listens: _Listens, slot: int) -> bool:
        """Whether a block is as settled as was asked for. Accounts are shown as they are at once, as in the node's other answers."""
        return listens.config.get("commitment", "finalized") != "finalized" or self._slot() - slot >= FINAL_AFTER

    def _look_for(self, line: Line, number: int, listens: _Listens) -> None:
        slot = self._slot()
        if listens.kind == "slot":
            while listens.last < slot:
                listens.last += 1
                self._push(line, number, "slot", {"parent": listens.last - 1, "root": listens.last - FINAL_AFTER, "slot": listens.last})
        elif listens.kind == "account":
            now = self.chain.account(listens.key)
            if now != listens.last:
                listens.last = now
                shown = self._show(now or State(0, Pubkey.default(), b""), listens.config)
                self._push(line, number, "account", _of_slot(slot, shown))
        elif listens.kind == "signature":
            landing = self.chain.landing(listens.key)
            if landing is not None and self._settled(listens, landing.slot):
                del line.listens[number]  # told once, and then it ends
                self._push(line, number, "signature", _of_slot(landing.slot, {"err": landing.err}))
        else:
            self._look_for_logs(line, number, listens)

    def _look_for_logs(self, line: Line, number: int, listens: _Listens) -> None:
        landings = self.chain.landings
        while listens.seen < len(landings) and self._settled(listens, landings[listens.seen].slot):
            landing: Landing = landings[listens.seen]
            listens.seen += 1
            if listens.key is None or listens.key in landing.keys:
                said = {"err": landing.err, "logs": list(landing.logs), "signature": str(landing.signature)}
                self._push(line, number, "logs", _of_slot(landing.slot, said))

    def _push(self, line: Line, number: int, kind: str, result: Any) -> None:
        if self._lose:
            self._lose -= 1
            return
        if self._older and isinstance(result.get("context"), dict):
            result = {**result, "context": {**result["context"], "slot": result["context"]["slot"] - self._older.popleft()}}
        message = {"jsonrpc": "2.0", "method": f"{kind}Notification", "params": {"result": result, "subscription": number}}
        after = self._delay.popleft() if self._delay else 0.0
        line.waiting.append((after, _json(message)))
        if self._repeat:
            self._repeat -= 1
            line.waiting.append((0.0, _json(message)))
        line.wake()

    # -- one connection -------------------------------------------------------------------------------------------------------

    async def serve(self, receive: Any, send: Any, take: Callable[[Any], Fault | None], note: Callable[..., None]) -> None:
        """Carry one connection: `take` gives the fault of a call, `note` keeps it among the node's calls."""
        await receive()
        if self.refusing:
            await send({"type": "websocket.close", "code": 1013})
            return
        await send({"type": "websocket.accept"})
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(news.set)

        line = Line(wake)
        with self.chain._lock:
            self.open.append(line)
            self.connected += 1
            if self._unwatch is None:
                self._unwatch = self.chain.watch(self.look)
        reading = asyncio.ensure_future(self._read(line, receive, take, note))
        try:
            while not reading.done():
                if line.dropped:
                    _cut(receive)
                    return
                while line.waiting and not line.dropped:
                    after, text = line.waiting.popleft()
                    if after:
                        await asyncio.sleep(after)
                    if not line.dropped:
                        await send({"type": "websocket.send", "text": text})
                await _woken(news, reading, _LOOKS)
                news.clear()
                await asyncio.to_thread(self.look)
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            with self.chain._lock:
                if line in self.open:
                    self.open.remove(line)
                if not self.open and self._unwatch is not None:
                    self._unwatch()
                    self._unwatch = None
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def _read(self, line: Line, receive: Any, take: Callable[[Any], Fault | None], note: Callable[..., None]) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
            try:
                asked = json.loads(text)
            except ValueError:
                asked = None
            if not isinstance(asked, dict):
                line.waiting.append((0.0, _json({"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None})))
                line.wake()
                continue
            fault = take(asked.get("method"))
            if fault is not None and fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault is not None and fault.kind == "cut":
                line.dropped = True
                line.wake()
                continue
            if fault is not None and fault.kind == "hang":
                continue
            await asyncio.to_thread(self._respond, line, asked, fault, note)
            line.wake()

    def _respond(self, line: Line, asked: dict[str, Any], fault: Fault | None, note: Callable[..., None]) -> None:
        params = asked.get("params")
        listed = tuple(params) if isinstance(params, list) else ()

        def answer(result: Any) -> None:
            line.waiting.append((0.0, _json({"jsonrpc": "2.0", "result": result, "id": asked.get("id")})))

        try:
            if fault is not None and fault.kind == "error":
                raise ChainError(fault.code, fault.text, fault.data)
            self.hear(line, asked, answer)
        except ChainError as error:
            note(str(asked.get("method")), listed, error.code)
            told = {"code": error.code, "message": error.message}
            line.waiting.append((0.0, _json({"jsonrpc": "2.0", "error": told, "id": asked.get("id")})))
            return
        note(str(asked.get("method")), listed, None)


_KINDS = ("account", "signature", "logs", "slot")


def _read(kind: Any, text: Any) -> Any:
    try:
        return kind.from_string(text)
    except (ValueError, TypeError):
        raise ChainError(-32602, "Invalid Request: Invalid pubkey or signature provided") from None


def _of_slot(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"apiVersion": "3.1.8", "slot": slot}, "value": value}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def _woken(news: asyncio.Event, reading: asyncio.Future[None], seconds: float) -> None:
    """Wait for news, for the end of the connection, or so long."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(news.wait())
    both: set[asyncio.Future[Any]] = {waiting, reading}
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _cut(receive: Any) -> None:
    """Close the connection without a word. Servers that do not show it close it when the app raises."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("cut on purpose")
    transport.abort()
