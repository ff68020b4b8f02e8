"""Jupiter's HTTP interface over the pools of a local chain, in the shapes that its documentation gives.

Faults are queued for the last word of a path ("build", "execute") and each is taken once. It knows HTTP and the chain, and no
driver.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from uuid import uuid4

import anyio
from attrs import frozen
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from starlette.requests import Request
from starlette.types import Send

from ...amm import Pool
from ..solana_server import Chain, ChainError, Fault
from ..solana_server.asgi import Served, cut
from ..solana_server.layout import ATA, COMPUTE_BUDGET, SYSTEM, TOKEN, ata, read_token
from .dexes import _PROGRAMS, WSOL, Amm, Dexes, Path, threshold

__all__ = ["Asked", "Fault", "JupiterServer", "jupiter_server"]

_SECOND = 1_000_000_000
_PER_SIGNATURE = 5_000
_UNITS = 300_000
"""The limit of compute units of a whole transaction that is made here."""


@frozen(order=False)
class Asked:
    """A call that arrived, and the status that it was answered with."""

    path: str
    query: Mapping[str, str]
    key: str | None
    status: int


class _No(Exception):
    """Answered with a status and an error."""

    def __init__(self, status: int, said: str, **more: Any) -> None:
        super().__init__(said)
        self.status = status
        self.said = {"error": said, **more}


class JupiterServer(Served[Asked, Fault]):
    """An ASGI app over the pools of a chain. `start` serves it; `calls` is what was asked.

    `keys`: those that are known; without a key a call is taken all the same, a wrong one is not. `limit` calls of the general
    kind are taken in `window_s` seconds, then 429. `unit_price` is what a transaction offers for a unit, in micro-lamports.
    `behind` are slots by label: how old the state is that quotes of a DEX are of.

    `tamper`, by the last word of a path, is given what would be answered and gives what is: a server that was taken over.
    """

    def __init__(
        self,
        chain: Chain,
        amms: Iterable[Amm] = (),
        *,
        keys: Iterable[str] = (),
        limit: int | None = None,
        window_s: float = 60.0,
        unit_price: int = 1_000,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        self.chain = chain
        self.dexes = Dexes(chain, amms)
        self.keys = set(keys)
        self.limit = limit
        self.window_s = window_s
        self.unit_price = unit_price
        self.behind: dict[str, int] = {}
        self.symbols: dict[Pubkey, str] = {WSOL: "SOL"}
        self.usd: dict[Pubkey, str] = {}
        """Prices in dollars, by mint; a token without one is left out, as one that is not sure."""
        self.tamper: dict[str, Callable[[Any], Any]] = {}
        self._clock = clock
        self._arrived: deque[int] = deque()
        self._orders: dict[str, tuple[Path, Pubkey]] = {}

    # -- what tests do -------------------------------------------------------------------------------------------------------

    def _word(self, call: Asked) -> str:
        return call.path.rpartition("/")[2]

    def pool(self, label: str, base: Pubkey | None = None, quote: Pubkey | None = None) -> Pool:
        """A DEX's pool as it is now."""
        return self.dexes.pool(self.dexes.find(label, base, quote))

    def price(self, label: str, price: str, base: Pubkey | None = None, quote: Pubkey | None = None) -> None:
        """Have a DEX's pool be at another price, in quote coins per base coin, as if others had traded."""
        self.dexes.move(self.dexes.find(label, base, quote), price)

    # -- HTTP ----------------------------------------------------------------------------------------------------------------

    async def _respond(self, request: Request, body: bytes, send: Send) -> None:
        path, query = request.url.path, dict(request.query_params)
        key = request.headers.get("x-api-key")
        fault = self._take(path.rpartition("/")[2])
        if fault is not None and fault.kind in ("slow", "hang"):
            await anyio.sleep(fault.seconds)
        headers: dict[str, str] = {"x-api-gateway-request-id": uuid4().hex}
        status, answer = 200, None
        if fault is None or fault.done or fault.kind in ("slow", "replaced"):
            status, answer = await anyio.to_thread.run_sync(self._answer, request.method, path, query, body, key, headers)
        self.calls.append(Asked(path, query, key, status if fault is None else fault.code or status))
        if fault is not None and fault.kind in ("cut", "hang"):
            await cut(send)
            return
        text = json.dumps(answer)
        if fault is not None and fault.kind == "status":
            status, text = fault.code, fault.text or json.dumps({"error": f"status {fault.code}"})
        elif fault is not None and fault.kind == "garbage":
            text = fault.text
        elif fault is not None and fault.kind == "replaced":
            text = json.dumps(fault.data(answer) if callable(fault.data) else fault.data)
        await _send(send, status, text, headers)

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: bytes, key: str | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        word = path.rpartition("/")[2]
        try:
            if key is not None and self.keys and key not in self.keys:
                raise _No(401, "Unauthorized")
            if word != "execute":
                self._count(headers)
            answers = _ROUTES.get((method, path))
            if answers is None:
                raise _No(404, "Not found")
            given = query if method == "GET" else _body(body)
            answer = getattr(self, answers)(given)
        except _No as error:
            return error.status, error.said
        change = self.tamper.get(word)
        return 200, answer if change is None else change(answer)

    def _count(self, headers: dict[str, str]) -> None:
        """A sliding window; what is left of it may be told as less than nothing."""
        if self.limit is None:
            return
        now = self._clock()
        window = int(self.window_s * _SECOND)
        while self._arrived and self._arrived[0] <= now - window:
            self._arrived.popleft()
        self._arrived.append(now)
        left = self.limit - len(self._arrived)
        ends = -(-(self._arrived[0] + window) // _SECOND)
        headers |= {"x-ratelimit-remaining": str(left), "x-ratelimit-current": str(len(self._arrived)), "x-ratelimit-reset": str(ends)}
        if left < 0:
            self._arrived.pop()
            raise _No(429, "Rate limit exceeded")

    # -- swaps ---------------------------------------------------------------------------------------------------------------

    def build(self, query: Mapping[str, str]) -> dict[str, Any]:
        wallet = _key(query.get("taker"), "taker")
        if "dexes" in query and "excludeDexes" in query:
            raise _No(400, "dexes and excludeDexes are mutually exclusive")
        path, slippage = self._path(query), _bps(query.get("slippageBps", "50"))
        instructions = self._instructions(path, wallet, slippage, wrap=query.get("wrapAndUnwrapSol", "true") != "false")
        blockhash, last = self.chain.blockhash()
        tip = query.get("tipAmount")
        seconds, nanos = divmod(self.chain.now, _SECOND)
        table = self.dexes.table
        return {
            **self._quote(path, slippage),
            "computeBudgetInstructions": [_shown(_unit_price(self.unit_price))],
            "setupInstructions": [_shown(one) for one in instructions["setup"]],
            "swapInstruction": _shown(instructions["swap"][0]),
            "cleanupInstruction": _shown(instructions["cleanup"][0]) if instructions["cleanup"] else None,
            "otherInstructions": [],
            "tipInstruction": _shown(_transfer_sol(wallet, Pubkey(bytes([9]) * 32), int(tip))) if tip else None,
            "addressesByLookupTableAddress": {str(table): [str(one) for one in self._table()]} if table else None,
            "blockhashWithMetadata": {
                "blockhash": list(bytes(blockhash)),
                "lastValidBlockHeight": last,
                "fetchedAt": {"secs_since_epoch": seconds, "nanos_since_epoch": nanos},
            },
        }

    def order(self, query: Mapping[str, str]) -> dict[str, Any]:
        routers = query.get("excludeRouters", "").split(",")
        if "metis" in routers:
            raise _No(400, "No routes found")
        path = self._path(query, labels=False)
        slippage = _bps(query.get("slippageBps", "50"))
        priority = usual = self.unit_price * _UNITS // 1_000_000
        if "priorityFeeLamports" in query:
            told = int(query["priorityFeeLamports"])
            priority = min(told, usual) if query.get("broadcastFeeType") == "maxCap" else told
        request, taker = str(uuid4()), query.get("taker")
        answer: dict[str, Any] = {
            **self._quote(path, slippage),
            "mode": "manual" if "slippageBps" in query else "ultra",
            "feeBps": 0,
            "feeMint": str(path.hops[-1].output_mint),
            "signatureFeeLamports": _PER_SIGNATURE,
            "signatureFeePayer": taker,
            "prioritizationFeeLamports": priority,
            "prioritizationFeePayer": taker,
            "rentFeeLamports": 0,
            "rentFeePayer": taker,
            "router": "metis",
            "swapType": "aggregator",
            "gasless": False,
            "requestId": request,
            "totalTime": 4,
            "taker": taker,
            "transaction": None,
        }
        if taker is None:
            return answer
        wallet = _key(taker, "taker")
        short = self._short_of(wallet, path, _PER_SIGNATURE + priority)
        if short is not None:
            code, said = short
            return {**answer, "transaction": "", "errorCode": code, "errorMessage": said, "error": said}
        raw, last = self._transaction(path, wallet, slippage, priority * 1_000_000 // _UNITS)
        self._orders[request] = path, wallet
        return {**answer, "transaction": b64encode(raw).decode(), "lastValidBlockHeight": str(last)}

    def execute(self, body: Mapping[str, Any]) -> dict[str, Any]:
        known = self._orders.get(str(body.get("requestId")))
        if known is None:
            return {"status": "Failed", "code": -1, "error": "Order not found, it might have expired"}
        try:
            raw = b64decode(str(body.get("signedTransaction")), validate=True)
            signature = VersionedTransaction.from_bytes(raw).signatures[0]
        except (BinasciiError, ValueError):
            return {"status": "Failed", "code": -2, "error": "Invalid signed transaction"}
        named = {"signature": str(signature)}
        try:
            self.chain.send(raw)
        except ChainError as error:
            return {"status": "Failed", "code": -1000, "error": error.message, **named}
        landing = self.chain.landing(signature)
        if landing is None or landing.err is not None:
            return {"status": "Failed", "code": -1000, "error": "Failed to land", **named}
        path, _ = known
        out = str(path.got)
        return {
            "status": "Success",
            "code": 0,
            **named,
            "slot": str(landing.slot),
            "inputAmountResult": str(path.paid),
            "outputAmountResult": out,
            "totalInputAmount": str(path.paid),
            "totalOutputAmount": out,
            "swapEvents": [
                {
                    "inputMint": str(hop.input_mint),
                    "inputAmount": str(hop.paid),
                    "outputMint": str(hop.output_mint),
                    "outputAmount": str(hop.got),
                }
                for hop in path.hops
            ],
        }

    def quote(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("swapMode", "ExactIn") != "ExactIn":
            raise _No(400, "Only ExactIn is supported")
        return self._quote(self._path(query), _bps(query.get("slippageBps", "50")))

    def quote_v1(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("swapMode", "ExactIn") == "ExactIn":
            return self._quote(self._path(query), _bps(query.get("slippageBps", "50")))
        goes, comes, amount, labels, _ = self._asked_for(query)
        path = self.dexes.for_out(goes, comes, amount, labels)
        if path is None:
            raise _No(400, "No routes found", errorCode="NO_ROUTES_FOUND")
        slippage = _bps(query.get("slippageBps", "50"))
        most = path.paid * (10_000 + slippage) // 10_000
        return {**self._quote(path, slippage), "outAmount": str(amount), "otherAmountThreshold": str(most), "swapMode": "ExactOut"}

    def swap(self, body: Mapping[str, Any]) -> dict[str, Any]:
        given = body.get("quoteResponse")
        if not isinstance(given, dict) or not {"inputMint", "outputMint", "inAmount", "routePlan", "contextSlot", "timeTaken"} <= set(
            given
        ):
            raise _No(500, "quoteResponse was changed on its way")
        labels = ",".join(one["swapInfo"]["label"] for one in given["routePlan"])
        path = self._path(
            {"inputMint": given["inputMint"], "outputMint": given["outputMint"], "amount": given["inAmount"], "dexes": labels}
        )
        raw, last = self._transaction(path, _key(body.get("userPublicKey"), "userPublicKey"), int(given["slippageBps"]), self.unit_price)
        return {"swapTransaction": b64encode(raw).decode(), "lastValidBlockHeight": last, "prioritizationFeeLamports": 0}

    # -- tokens --------------------------------------------------------------------------------------------------------------

    def labels(self, query: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 an endpoint like the others
        labels = dict.fromkeys(place.label for place in self.dexes.places)
        return {_PROGRAMS.get(label, str(Pubkey(bytes([number + 1]) * 32))): label for number, label in enumerate(labels)}

    def prices(self, query: Mapping[str, str]) -> dict[str, Any]:
        asked = [one for one in query.get("ids", "").split(",") if one]
        if not 1 <= len(asked) <= 50:
            raise _No(400, "Too many ids requested (max 50)" if asked else "Missing required query param: ids")
        found = {str(mint): usd for mint, usd in self.usd.items()}
        return {
            mint: {
                "usdPrice": float(found[mint]),
                "liquidity": 1_000_000.5,
                "blockId": self.chain.slot,
                "decimals": self.dexes.decimals(Pubkey.from_string(mint)),
                "priceChange24h": -0.5,
                "createdAt": "2024-06-05T08:55:25.527Z",
            }
            for mint in asked
            if mint in found
        }

    def tokens(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        word = query.get("query", "")
        return [self._token(mint) for mint in self._mints() if word in (str(mint), self.symbols.get(mint))]

    def tagged(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        if query.get("query") not in ("lst", "verified"):
            raise _No(400, "Invalid tag")
        return [self._token(mint) for mint in self._mints()] if query["query"] == "verified" else []

    def _mints(self) -> list[Pubkey]:
        return list(dict.fromkeys(mint for place in self.dexes.places for mint in (place.base, place.quote)))

    def _token(self, mint: Pubkey) -> dict[str, Any]:
        symbol = self.symbols.get(mint, str(mint)[:4])
        return {
            "id": str(mint),
            "name": symbol,
            "symbol": symbol,
            "decimals": self.dexes.decimals(mint),
            "tokenProgram": str(TOKEN),
            "isVerified": True,
            "audit": {"mintAuthorityDisabled": True, "freezeAuthorityDisabled": True, "topHoldersPercentage": 12.5},
            "organicScore": 99.1,
            "liquidity": 1_000_000.5,
        }

    # -- how it is made ------------------------------------------------------------------------------------------------------

    def _asked_for(self, query: Mapping[str, str]) -> tuple[Pubkey, Pubkey, int, list[str], list[str]]:
        goes, comes = _key(query.get("inputMint"), "inputMint"), _key(query.get("outputMint"), "outputMint")
        amount = query.get("amount", "")
        if not (amount.isascii() and amount.isdigit()) or not 0 < int(amount) < 1 << 64:
            raise _No(400, f"Query parameter amount cannot be parsed: {amount!r}")
        if goes == comes:
            raise _No(400, "Input and output mints are not allowed to be equal", errorCode="CIRCULAR_ARBITRAGE_IS_DISABLED")
        only, without = ([label for label in query.get(what, "").split(",") if label] for what in ("dexes", "excludeDexes"))
        return goes, comes, int(amount), only, without

    def _path(self, query: Mapping[str, str], *, labels: bool = True) -> Path:
        goes, comes, amount, only, without = self._asked_for(query)
        path = self.dexes.path(goes, comes, amount, only if labels else (), without)
        if path is None:
            raise _No(400, "No routes found")
        return path

    def _quote(self, path: Path, slippage: int) -> dict[str, Any]:
        price = Fraction(1)
        for hop in path.hops:
            spot = self.dexes.pool(hop.place).price()
            price *= spot if hop.sells else 1 / spot
        impact = max(Fraction(0), 1 - Fraction(path.got) / (path.paid * price))
        lag = max(self.behind.get(self.dexes.places[hop.place].label, 0) for hop in path.hops)
        return {
            "inputMint": str(path.hops[0].input_mint),
            "inAmount": str(path.paid),
            "outputMint": str(path.hops[-1].output_mint),
            "outAmount": str(path.got),
            "otherAmountThreshold": str(threshold(path.got, slippage)),
            "swapMode": "ExactIn",
            "slippageBps": slippage,
            "priceImpactPct": f"{float(impact):.18f}",
            "platformFee": None,
            "contextSlot": self.chain.slot - lag,
            "timeTaken": 0.004,
            "routePlan": [
                {
                    "swapInfo": {
                        "ammKey": str(self.dexes.places[hop.place].account),
                        "label": self.dexes.places[hop.place].label,
                        "inputMint": str(hop.input_mint),
                        "outputMint": str(hop.output_mint),
                        "inAmount": str(hop.paid),
                        "outAmount": str(hop.got),
                    },
                    "percent": 100,
                    "bps": 10_000,
                    "usdValue": 0.0,
                }
                for hop in path.hops
            ],
        }

    def _instructions(self, path: Path, wallet: Pubkey, slippage: int, *, wrap: bool = True) -> dict[str, list[Instruction]]:
        goes, comes = path.hops[0].input_mint, path.hops[-1].output_mint
        setup, cleanup = [], []
        if goes == WSOL and wrap:
            wrapped = ata(wallet, WSOL)
            setup += [_create_ata(wallet, WSOL), _transfer_sol(wallet, wrapped, path.paid), _sync(wrapped)]
        setup.append(_create_ata(wallet, comes))
        if WSOL in (goes, comes) and wrap:
            cleanup.append(_close(ata(wallet, WSOL), wallet))
        return {"setup": setup, "swap": [self.dexes.instruction(path, wallet, slippage)], "cleanup": cleanup}

    def _transaction(self, path: Path, wallet: Pubkey, slippage: int, unit_price: int) -> tuple[bytes, int]:
        """A whole transaction that is not signed yet."""
        made = self._instructions(path, wallet, slippage)
        lead = [Instruction(COMPUTE_BUDGET, b"\2" + _UNITS.to_bytes(4, "little"), []), _unit_price(unit_price)]
        blockhash, last = self.chain.blockhash()
        assert self.dexes.table is not None
        tables = [AddressLookupTableAccount(self.dexes.table, self._table())]
        message = MessageV0.try_compile(wallet, [*lead, *made["setup"], *made["swap"], *made["cleanup"]], tables, blockhash)
        return bytes(VersionedTransaction.populate(message, [Signature.default()])), last

    def _table(self) -> list[Pubkey]:
        return [TOKEN, *(key for place in self.dexes.places for key in place.accounts)]

    def _short_of(self, wallet: Pubkey, path: Path, fees: int) -> tuple[int, str] | None:
        goes = path.hops[0].input_mint
        lamports = self.chain.balance(wallet)
        if lamports < fees:
            return 2, "Insufficient SOL for gas"
        state = self.chain.account(ata(wallet, goes))
        read = state and read_token(state.owner, state.data)
        has = (read.amount if read else 0) + (lamports - fees if goes == WSOL else 0)
        return (1, "Insufficient funds") if has < path.paid else None


_ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", "/swap/v2/build"): "build",
    ("GET", "/swap/v2/order"): "order",
    ("POST", "/swap/v2/execute"): "execute",
    ("GET", "/swap/v2/quote"): "quote",
    ("POST", "/swap/v2/swap"): "swap",
    ("GET", "/swap/v1/quote"): "quote_v1",
    ("GET", "/swap/v2/program-id-to-label"): "labels",
    ("GET", "/swap/v1/program-id-to-label"): "labels",
    ("GET", "/price/v3"): "prices",
    ("GET", "/tokens/v2/search"): "tokens",
    ("GET", "/tokens/v2/tag"): "tagged",
}


@contextmanager
def jupiter_server(chain: Chain, amms: Iterable[Amm] = (), **terms: Any) -> Iterator[JupiterServer]:
    """A local Jupiter over a chain, served as long as the block runs; `terms` as of `JupiterServer`."""
    server = JupiterServer(chain, amms, **terms)
    server.start()
    try:
        yield server
    finally:
        server.stop()


# -- words of the wire ---------------------------------------------------------------------------------------------------------


async def _send(send: Send, status: int, text: str, headers: Mapping[str, str]) -> None:
    body = text.encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    await send({"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in named.items()]})
    await send({"type": "http.response.body", "body": body})


def _body(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _No(400, "Failed to deserialize the JSON body")
    return found


def _key(text: object, what: str) -> Pubkey:
    try:
        return Pubkey.from_string(text if isinstance(text, str) else "")
    except ValueError:
        raise _No(400, f"Query parameter {what} cannot be parsed: Invalid") from None


def _bps(text: str) -> int:
    if text == "rtse":
        return 50
    if not (text.isascii() and text.isdigit()) or int(text) > 10_000:
        raise _No(400, "Query parameter slippageBps cannot be parsed")
    return int(text)


def _shown(one: Instruction) -> dict[str, Any]:
    accounts = [{"pubkey": str(meta.pubkey), "isWritable": meta.is_writable, "isSigner": meta.is_signer} for meta in one.accounts]
    return {"programId": str(one.program_id), "accounts": accounts, "data": b64encode(bytes(one.data)).decode()}


def _unit_price(micro_lamports: int) -> Instruction:
    return Instruction(COMPUTE_BUDGET, b"\3" + micro_lamports.to_bytes(8, "little"), [])


def _transfer_sol(source: Pubkey, to: Pubkey, lamports: int) -> Instruction:
    metas = [AccountMeta(source, True, True), AccountMeta(to, False, True)]
    return Instruction(SYSTEM, (2).to_bytes(4, "little") + lamports.to_bytes(8, "little"), metas)


def _sync(account: Pubkey) -> Instruction:
    return Instruction(TOKEN, b"\x11", [AccountMeta(account, False, True)])


def _close(account: Pubkey, owner: Pubkey) -> Instruction:
    return Instruction(
        TOKEN, b"\x09", [AccountMeta(account, False, True), AccountMeta(owner, False, True), AccountMeta(owner, True, False)]
    )


def _create_ata(owner: Pubkey, mint: Pubkey) -> Instruction:
    """For an account that may be there already."""
    metas = [
        AccountMeta(owner, True, True),
        AccountMeta(ata(owner, mint), False, True),
        AccountMeta(owner, False, False),
        AccountMeta(mint, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(TOKEN, False, False),
    ]
    return Instruction(ATA, b"\1", metas)
