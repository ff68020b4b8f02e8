"""Jupiter's HTTP interface: what a swap would bring, the instructions or the transaction for it, and what is known of tokens.

    build     a quote and the instructions of a swap, from Metis and from the DEXes that are named; no fee of Jupiter's
    order     a quote and a whole transaction, from all routers; `execute` has it sent
    quote     a quote alone, and `swap` a transaction for it: served, and in no documentation
    prices    of the last trades: to be shown, not to be traded on
    tokens, labels

Amounts are whole smallest units, as text on the wire. What an answer has beyond what is read here is kept in `.raw`, and a quote
that is handed back is handed back as the very text that came. Calls keep the pace of the plan and wait when they are told to.

It signs nothing, knows no account, and believes nothing about a transaction: that is looked at elsewhere, before it is signed.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeVar

import anyio
from attrs import field, frozen

from ...errors import InvalidMarket, VenueRejected, VenueUnavailable, VenueUnknown
from ...keys import Secret
from ...market import BP, SECOND
from ..rate import Bucket
from ..retry import Reading, Retry
from ..wire import Reply, Wire

__all__ = [
    "HOST",
    "Build",
    "Executed",
    "JupiterApi",
    "JupiterLimited",
    "JupiterRefused",
    "Price",
    "Ready",
    "Route",
    "RouteStep",
    "WireInstruction",
]

HOST = "https://api.jup.ag"
KEYLESS_PER_SECOND = 0.5
FREE_PER_SECOND = 1.0
EXECUTE_PER_SECOND = 20.0
MOST_PRICES = 50
MOST_WAIT_S = 60.0
"""The longest that the interface may tell to wait: its window."""

log = logging.getLogger("sleeves.venues.jupiter")
log.addHandler(logging.NullHandler())

T = TypeVar("T")


class JupiterRefused(VenueRejected):
    """A no, by HTTP status, with Jupiter's own text. `code` is its error code where it gives one."""

    def __init__(self, message: str, status: int, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class JupiterLimited(VenueUnavailable):
    """It was asked too often. `after_s` is in how many seconds it may be asked again, where that was told."""

    def __init__(self, message: str, after_s: float | None) -> None:
        super().__init__(message)
        self.after_s = after_s


@frozen(order=False)
class RouteStep:
    """One pool that a route goes through. `bps` is the part of the whole that goes this way."""

    amm: str
    label: str
    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int
    bps: int | None


@frozen(order=False)
class Route:
    """What a swap of exactly `in_amount` would bring: `out_amount`, and no less than `threshold` once it is sent.

    `slot` is the slot of the state that it was worked out on; None where it was not told.
    """

    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int
    threshold: int
    slippage_bps: int
    slot: int | None
    steps: tuple[RouteStep, ...]
    raw: Mapping[str, Any] = field(repr=False, eq=False)
    text: str = field(repr=False, eq=False, default="")
    """The answer, letter for letter."""


@frozen(order=False)
class WireInstruction:
    """An instruction as it came: a program, accounts as (address, signs, is written to), data."""

    program: str
    accounts: tuple[tuple[str, bool, bool], ...]
    data: bytes


@frozen(order=False)
class Build:
    """A route and the instructions for it, in the order in which they belong into a transaction; a limit of units is not among them."""

    route: Route
    budget: tuple[WireInstruction, ...]
    setup: tuple[WireInstruction, ...]
    swap: WireInstruction
    cleanup: tuple[WireInstruction, ...]
    other: tuple[WireInstruction, ...]
    tip: tuple[WireInstruction, ...]
    tables: Mapping[str, tuple[str, ...]]


@frozen(order=False)
class Ready:
    """A route and a transaction for it. `transaction` is empty where none could be made: `code` and `said` tell why.

    Without a taker there is none either, and no error.
    """

    route: Route
    transaction: bytes
    request: str
    last_valid_block_height: int | None
    router: str
    fee_payer: str
    code: int | None
    said: str


@frozen(order=False)
class Executed:
    """What became of a transaction, as Jupiter says: code 0 is success. The chain says what is so."""

    success: bool
    code: int
    signature: str
    slot: int | None
    said: str
    in_amount: int | None
    out_amount: int | None
    raw: Mapping[str, Any] = field(repr=False, eq=False)


@frozen(order=False)
class Price:
    """What a token was last traded at, in dollars: to be shown. Where it is not sure the interface leaves the token out."""

    mint: str
    usd: Decimal
    block: int | None
    decimals: int | None
    raw: Mapping[str, Any] = field(repr=False, eq=False)


class JupiterApi:
    """One key at Jupiter's interface, or none. It does no I/O before its first call; `async with` it, or close it with `aclose`.

    `per_second` is the pace of calls, by default that of no key (0.5) or of a free one (1); a plan has more. Where an answer
    says that nothing is left, calls wait until the window's end. `clock` gives UTC nanoseconds.

    Questions are asked up to `attempts` times and raise `VenueUnavailable`, or `JupiterRefused` where the answer is no. Whatever
    answers another question than was asked is no answer. `execute` is sent once.
    """

    def __init__(
        self,
        base_url: str = HOST,
        *,
        key: Secret | None = None,
        per_second: float | None = None,
        timeout: float = 10.0,
        attempts: int = 3,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if key is not None and not isinstance(key, Secret):
            raise InvalidMarket("the key of Jupiter's interface is a keys.Secret")
        pace = (FREE_PER_SECOND if key is not None else KEYLESS_PER_SECOND) if per_second is None else per_second
        self._wire = Wire(base_url, timeout=timeout, extra="jupiter")
        self._key = key
        self._bucket = Bucket(max(1.0, pace), pace, name="jupiter")
        self._execute_bucket = Bucket(max(1.0, EXECUTE_PER_SECOND), EXECUTE_PER_SECOND, name="jupiter execute")
        self._retry = Retry(attempts=attempts, again=_again)
        self._clock = clock
        self._closed_until = 0
        self.remaining: int | None = None
        """How many calls are left in the window, as told last; below zero: it was overdrawn."""

    async def aopen(self) -> None:
        """Nothing has to be opened."""

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def __aenter__(self) -> JupiterApi:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    # -- swaps ---------------------------------------------------------------------------------------------------------------

    async def build(
        self,
        input_mint: str,
        output_mint: str,
        amount: int,
        *,
        taker: str,
        slippage_bps: int = 50,
        dexes: Sequence[str] = (),
        exclude_dexes: Sequence[str] = (),
        for_bundle: bool = False,
        max_accounts: int | None = None,
        fast: bool = False,
        price_percentile: str | int | None = None,
    ) -> Build:
        """A quote for exactly `amount` of one token, and the instructions that a wallet signs for it."""
        query: dict[str, str | int] = {**_pair(input_mint, output_mint, amount), "taker": taker, "slippageBps": _bps(slippage_bps)}
        if dexes and exclude_dexes:
            raise InvalidMarket("dexes and exclude_dexes exclude each other")
        query |= {name: ",".join(some) for name, some in (("dexes", dexes), ("excludeDexes", exclude_dexes)) if some}
        query |= {"forJitoBundle": "true"} if for_bundle else {}
        query |= {"mode": "fast"} if fast else {}
        query |= {} if max_accounts is None else {"maxAccounts": max_accounts}
        query |= {} if price_percentile is None else {"computeUnitPricePercentile": price_percentile}
        return await self._read("/swap/v2/build", query, lambda raw, text: _build(raw, text, query))

    async def order(
        self,
        input_mint: str,
        output_mint: str,
        amount: int,
        *,
        taker: str = "",
        slippage_bps: int | None = None,
        exclude_routers: Sequence[str] = (),
        exclude_dexes: Sequence[str] = (),
        priority_fee_lamports: int | None = None,
        jito_tip_lamports: int | None = None,
        fee_type: str = "",
    ) -> Ready:
        """A quote for exactly `amount`, from whichever router is best; with a taker also the transaction to be signed.

        `fee_type` says what the lamports are: "maxCap", the most, or "exactFee".
        """
        query: dict[str, str | int] = _pair(input_mint, output_mint, amount)
        query |= {"taker": taker} if taker else {}
        query |= {} if slippage_bps is None else {"slippageBps": _bps(slippage_bps)}
        query |= {name: ",".join(some) for name, some in (("excludeRouters", exclude_routers), ("excludeDexes", exclude_dexes)) if some}
        query |= {} if priority_fee_lamports is None else {"priorityFeeLamports": priority_fee_lamports}
        query |= {} if jito_tip_lamports is None else {"jitoTipLamports": jito_tip_lamports}
        query |= {"broadcastFeeType": fee_type} if fee_type else {}
        return await self._read("/swap/v2/order", query, lambda raw, text: _ready(raw, text, query))

    async def execute(self, signed: bytes, request: str, *, last_valid_block_height: int | None = None) -> Executed:
        """Have a signed transaction of `order` sent. Sent once, never again.

        Raises `JupiterRefused` where it was refused, `VenueUnavailable` where it was not reached or is asked too often, and
        `VenueUnknown` where the answer is lost.
        """
        if not isinstance(signed, bytes) or not signed or not isinstance(request, str) or not request:
            raise InvalidMarket("what is executed is a signed transaction in bytes, with the id of its order")
        said: dict[str, str] = {"signedTransaction": b64encode(signed).decode(), "requestId": request}
        if last_valid_block_height is not None:
            said["lastValidBlockHeight"] = str(last_valid_block_height)
        await self._execute_bucket.take()
        reply = await self._wire.post("/swap/v2/execute", json.dumps(said).encode(), self._headers(json_body=True))
        if reply.status >= 500:
            raise VenueUnknown(f"/swap/v2/execute: HTTP {reply.status}: {self._said(reply)}")
        self._check("/swap/v2/execute", reply)
        return _executed(_object("/swap/v2/execute", reply.json(), VenueUnknown))

    async def quote(
        self,
        input_mint: str,
        output_mint: str,
        amount: int,
        *,
        slippage_bps: int = 50,
        dexes: Sequence[str] = (),
        version: int = 2,
        exact_out: bool = False,
        direct: bool = False,
    ) -> Route:
        """A quote alone. Version 1, which nobody maintains, also knows `exact_out` and `direct`."""
        if version not in (1, 2) or ((exact_out or direct) and version != 1):
            raise InvalidMarket("a quote is of version 1 or 2, and only version 1 knows exact out and direct routes")
        query: dict[str, str | int] = {**_pair(input_mint, output_mint, amount), "slippageBps": _bps(slippage_bps)}
        query |= {"dexes": ",".join(dexes)} if dexes else {}
        query |= {"swapMode": "ExactOut"} if exact_out else {}
        query |= {"onlyDirectRoutes": "true"} if direct else {}
        return await self._read(f"/swap/v{version}/quote", query, lambda raw, text: _route(raw, text, query))

    async def swap(self, route: Route, *, taker: str, version: int = 2) -> bytes:
        """A transaction for a quote, which goes back letter for letter. Nothing is sent to the chain by this."""
        if not route.text:
            raise InvalidMarket("only a quote as it came can be handed back")
        body = f'{{"quoteResponse":{route.text},"userPublicKey":{json.dumps(taker)}}}'.encode()
        path = f"/swap/v{version}/swap"

        async def ask() -> bytes:
            await self._turn()
            reply = await self._wire.post(path, body, self._headers(json_body=True))
            self._check(path, reply)
            return _bytes(_object(path, reply.json()).get("swapTransaction"), "swapTransaction")

        return await self._retry(Reading(path, ask))

    # -- tokens --------------------------------------------------------------------------------------------------------------

    async def prices(self, mints: Iterable[str]) -> dict[str, Price]:
        """What tokens were last traded at, at most 50; those that are not sure are not in the answer."""
        asked = list(mints)
        if not 1 <= len(asked) <= MOST_PRICES:
            raise InvalidMarket(f"prices are asked for 1 to {MOST_PRICES} tokens, not for {len(asked)}")

        def read(raw: Any, _: str) -> dict[str, Price]:
            found = {}
            for mint, one in _object("/price/v3", raw).items():
                usd = one.get("usdPrice") if isinstance(one, dict) else None
                if mint in asked and isinstance(usd, (int, Decimal)) and not isinstance(usd, bool) and usd > 0:
                    found[mint] = Price(mint, Decimal(usd), _whole(one.get("blockId")), _whole(one.get("decimals")), one)
            return found

        return await self._read("/price/v3", {"ids": ",".join(asked)}, read)

    async def tokens(self, query: str) -> list[Mapping[str, Any]]:
        """What is known of tokens by symbol, name or mint: `id` is the mint. A symbol proves nothing: anybody may take any."""
        return await self._read("/tokens/v2/search", {"query": query}, lambda raw, _: _objects("/tokens/v2/search", raw))

    async def tagged(self, tag: str) -> list[Mapping[str, Any]]:
        """The tokens of a tag: `lst`, `verified`."""
        return await self._read("/tokens/v2/tag", {"query": tag}, lambda raw, _: _objects("/tokens/v2/tag", raw))

    async def labels(self) -> dict[str, str]:
        """The labels of DEXes by program: the exact words for `dexes`. They change."""

        def read(raw: Any, _: str) -> dict[str, str]:
            found = _object("/swap/v2/program-id-to-label", raw)
            return {str(program): label for program, label in found.items() if isinstance(label, str)}

        try:
            return await self._read("/swap/v2/program-id-to-label", {}, read)
        except JupiterRefused as error:
            if error.status != 404:
                raise
        return await self._read("/swap/v1/program-id-to-label", {}, read)

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _read(self, path: str, query: Mapping[str, str | int], read: Callable[[Any, str], T]) -> T:
        async def ask() -> T:
            await self._turn()
            reply = await self._wire.get(path, query, self._headers())
            self._check(path, reply)
            return read(reply.json(), reply.text)

        return await self._retry(Reading(path, ask))

    async def _turn(self) -> None:
        """Keep the pace, and wait for the end of a window of which nothing is left."""
        await self._bucket.take()
        left = (self._closed_until - self._clock()) / SECOND
        if left > 0:
            await anyio.sleep(min(left, MOST_WAIT_S))

    def _headers(self, *, json_body: bool = False) -> dict[str, str]:
        headers = {"Content-Type": "application/json"} if json_body else {}
        return headers if self._key is None else {**headers, "x-api-key": self._key.reveal()}

    def _check(self, path: str, reply: Reply) -> None:
        """Raise for what is no answer; note what is left of the window."""
        window = self._window(reply)
        if reply.status == 200:
            return
        said = self._said(reply)
        log.warning("%s: HTTP %s: %s (request %s)", path, reply.status, said, reply.headers.get("x-api-gateway-request-id", "unknown"))
        if reply.status == 429:
            raise JupiterLimited(f"{path}: asked too often (HTTP 429): {said}", window)
        if reply.status >= 500:
            raise VenueUnavailable(f"{path}: HTTP {reply.status}: {said}")
        raise JupiterRefused(f"{path}: {said} (HTTP {reply.status})", reply.status, _code(reply))

    def _window(self, reply: Reply) -> float | None:
        """What the headers say is left, and in how many seconds the window ends; the next calls wait where nothing is left."""
        remaining, reset = (_number(reply.headers.get(f"x-ratelimit-{name}")) for name in ("remaining", "reset"))
        if remaining is not None:
            self.remaining = remaining
        if reset is None:
            return None
        ends = reset * SECOND
        left = (ends - self._clock()) / SECOND
        if (remaining is not None and remaining <= 0) or reply.status == 429:
            self._closed_until = ends
        return min(MOST_WAIT_S, max(0.0, left))

    def _said(self, reply: Reply) -> str:
        """An answer's own words, short, and without the key."""
        text = reply.text.strip()
        try:
            found = reply.json()
        except VenueUnknown:
            found = None
        if isinstance(found, dict):
            words = found.get("error") or found.get("errorMessage") or found.get("message")
            text = words if isinstance(words, str) else text
        text = " ".join(text.split())[:300]
        return text if self._key is None else self._key.hide(text)


def _again(error: Exception) -> bool | float:
    """A limit that says when is waited for; a no is a no."""
    if isinstance(error, JupiterLimited) and error.after_s is not None:
        return max(0.05, error.after_s)
    return True


def _pair(input_mint: str, output_mint: str, amount: int) -> dict[str, str | int]:
    if not isinstance(input_mint, str) or not isinstance(output_mint, str) or not input_mint or not output_mint:
        raise InvalidMarket(f"a swap is of one mint for another, not of {input_mint!r} for {output_mint!r}")
    if input_mint == output_mint:
        raise InvalidMarket(f"a swap of {input_mint} for itself: Jupiter makes no circular trade")
    if type(amount) is not int or not 0 < amount < 1 << 64:
        raise InvalidMarket(f"a swap is of whole smallest units above zero and below 2^64, not of {amount!r}")
    return {"inputMint": input_mint, "outputMint": output_mint, "amount": str(amount)}


def _bps(value: int) -> int:
    if type(value) is not int or not 0 <= value <= BP:
        raise InvalidMarket(f"slippage {value!r} must be whole basis points from 0 to {BP}")
    return value


def _object(path: str, value: object, error: type[Exception] = VenueUnavailable) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise error(f"{path} was answered with what is no object")
    return value


def _objects(path: str, value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise VenueUnavailable(f"{path} was answered with what is no list of objects")
    return value


def _whole(value: object) -> int | None:
    """A number, or text of digits; None for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return None


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    digits = text.strip().removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _units(raw: Mapping[str, Any], key: str) -> int:
    """Smallest units, told as text of digits. Nothing else is taken: what is guessed here is paid for."""
    value = _whole(raw.get(key))
    if value is None or not 0 <= value < 1 << 64:
        raise VenueUnavailable(f"{key} {raw.get(key)!r} of a quote is no whole number of smallest units")
    return value


def _code(reply: Reply) -> int | None:
    try:
        found = reply.json()
    except VenueUnknown:
        return None
    return _whole(found.get("errorCode", found.get("code"))) if isinstance(found, dict) else None


def _route(raw: Any, text: str, query: Mapping[str, str | int]) -> Route:
    """A quote, which must be of what was asked for."""
    one = _object("a quote", raw)
    for key in ("inputMint", "outputMint"):
        if one.get(key) != query[key]:
            raise VenueUnavailable(f"a quote for {query[key]} was asked for, and the answer is of {one.get(key)!r}")
    exact_out = query.get("swapMode") == "ExactOut"
    told, asked = _units(one, "outAmount" if exact_out else "inAmount"), int(query["amount"])
    if told != asked:
        raise VenueUnavailable(f"a quote for {asked} units was asked for, and the answer is of {told}")
    if one.get("swapMode", "ExactIn") != ("ExactOut" if exact_out else "ExactIn"):
        raise VenueUnavailable(f"a quote was answered as {one.get('swapMode')!r}")
    amount, threshold = _units(one, "outAmount"), _units(one, "otherAmountThreshold")
    if not amount or (threshold > amount and not exact_out):
        raise VenueUnavailable(f"a quote of {amount} units with a threshold of {threshold}: need out above zero, the threshold no higher")
    slot = _whole(one.get("contextSlot"))
    slippage = _whole(one.get("slippageBps"))
    steps = one.get("routePlan") or []
    if not isinstance(steps, list):
        raise VenueUnavailable("the route of a quote is no list")
    return Route(
        str(query["inputMint"]),
        str(query["outputMint"]),
        _units(one, "inAmount"),
        amount,
        threshold,
        0 if slippage is None else slippage,
        slot,
        tuple(map(_step, steps)),
        one,
        text,
    )


def _step(raw: object) -> RouteStep:
    info = raw.get("swapInfo") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(info, dict):
        raise VenueUnavailable("a step of a route has no swapInfo")
    words = [info.get(key) for key in ("ammKey", "label", "inputMint", "outputMint")]
    amm, label, goes, comes = (word if isinstance(word, str) else "" for word in words)
    percent = _whole(raw.get("percent"))
    bps = _whole(raw.get("bps"))
    return RouteStep(
        amm,
        label,
        goes,
        comes,
        _units(info, "inAmount"),
        _units(info, "outAmount"),
        percent * 100 if bps is None and percent is not None else bps,
    )


def _bytes(value: object, what: str) -> bytes:
    try:
        return b64decode(value if isinstance(value, str) else "!", validate=True)
    except (BinasciiError, ValueError):
        raise VenueUnavailable(f"{what} is no base64") from None


def _instruction(raw: object, what: str) -> WireInstruction:
    accounts = raw.get("accounts") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(raw.get("programId"), str) or not isinstance(accounts, list):
        raise VenueUnavailable(f"{what} is no instruction")
    metas = []
    for one in accounts:
        if not isinstance(one, dict) or not isinstance(one.get("pubkey"), str):
            raise VenueUnavailable(f"{what} has an account without a pubkey")
        signs, writes = one.get("isSigner"), one.get("isWritable")
        if type(signs) is not bool or type(writes) is not bool:
            raise VenueUnavailable(f"{what} does not say whether {one['pubkey']} signs and is written to")
        metas.append((one["pubkey"], signs, writes))
    return WireInstruction(raw["programId"], tuple(metas), _bytes(raw.get("data"), f"the data of {what}"))


def _instructions(raw: Mapping[str, Any], key: str) -> tuple[WireInstruction, ...]:
    """A list of instructions, or one; none where it is missing or null."""
    value = raw.get(key)
    given = [] if value is None else value if isinstance(value, list) else [value]
    return tuple(_instruction(one, key) for one in given)


def _build(raw: Any, text: str, query: Mapping[str, str | int]) -> Build:
    one = _object("/swap/v2/build", raw)
    route = _route(one, text, query)
    fee = one.get("platformFee")
    if isinstance(fee, dict) and _whole(fee.get("feeBps")) != 0:
        raise VenueUnavailable(f"a platform fee of {fee.get('feeBps')!r} bps is in a route, and none was asked for")
    tables = one.get("addressesByLookupTableAddress") or {}
    if not isinstance(tables, dict) or not all(
        isinstance(some, list) and all(isinstance(address, str) for address in some) for some in tables.values()
    ):
        raise VenueUnavailable("addressesByLookupTableAddress is no object of lists of addresses")
    return Build(
        route,
        _instructions(one, "computeBudgetInstructions"),
        _instructions(one, "setupInstructions"),
        _instruction(one.get("swapInstruction"), "swapInstruction"),
        _instructions(one, "cleanupInstruction"),
        _instructions(one, "otherInstructions"),
        _instructions(one, "tipInstruction"),
        {table: tuple(some) for table, some in tables.items()},
    )


def _ready(raw: Any, text: str, query: Mapping[str, str | int]) -> Ready:
    one = _object("/swap/v2/order", raw)
    route = _route(one, text, query)
    transaction = one.get("transaction")
    said = one.get("errorMessage") or one.get("error")
    request = one.get("requestId")
    return Ready(
        route,
        _bytes(transaction, "transaction") if transaction else b"",
        request if isinstance(request, str) else "",
        _whole(one.get("lastValidBlockHeight")),
        str(one.get("router") or one.get("swapType") or ""),
        str(one.get("signatureFeePayer") or ""),
        _whole(one.get("errorCode")),
        said if isinstance(said, str) else "",
    )


def _executed(one: Mapping[str, Any]) -> Executed:
    status, code = one.get("status"), one.get("code")
    if status not in ("Success", "Failed"):
        raise VenueUnknown(f"/swap/v2/execute was answered with status {status!r}")
    said = one.get("error")
    return Executed(
        status == "Success",
        code if type(code) is int else (0 if status == "Success" else -1_001),
        str(one.get("signature") or ""),
        _whole(one.get("slot")),
        said if isinstance(said, str) else "",
        _whole(one.get("totalInputAmount", one.get("inputAmountResult"))),
        _whole(one.get("totalOutputAmount", one.get("outputAmountResult"))),
        one,
    )
