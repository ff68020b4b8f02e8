"""A node of Solana over JSON-RPC: what accounts hold, what landed, what would happen, and one way to hand a transaction in.

    async with Rpc("https://node.example/?api-key=...") as rpc:
        account = await rpc.account(address)

Reads are asked again while a node is busy, behind or away, and end as `VenueUnavailable`. `send` asks once and is never asked
again by itself. Every number is an integer: lamports, raw units of tokens, slots. What an answer says is checked for its form,
and an answer that has not got it is none. The address of a node often has its key in it, so it is kept out of every error.

It knows no market and signs nothing. Source: Solana's JSON-RPC documentation; error codes from its published list.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from attrs import evolve, field, frozen
from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ...errors import VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...keys import Secret
from ..rate import Bucket
from ..retry import Reading, Retry
from ..wire import Reply, Wire
from .addresses import LOOKUP_TABLE, MEMO, MEMO_V1, TOKEN, TOKEN_2022
from .tokens import Account, TokenAccount
from .transaction import Decoded, Refused, base64_of, read_transaction

__all__ = [
    "Accounts",
    "Blockhash",
    "Chained",
    "EpochInfo",
    "Preflight",
    "Rpc",
    "RpcFault",
    "RpcLimited",
    "SignatureInfo",
    "Simulation",
    "Status",
    "Statuses",
]

log = logging.getLogger("sleeves.venues.solana")
log.addHandler(logging.NullHandler())

T = TypeVar("T")

COMMITMENTS = ("processed", "confirmed", "finalized")
_MOST_ACCOUNTS = 100
_MOST_SIGNATURES = 1000
_MOST_STATUSES = 256
_NEVER = (1 << 64) - 1

PASSING = frozenset({-32001, -32004, -32005, -32007, -32008, -32009, -32011, -32014, -32016, -32603, -32429, 429})
"""Codes of errors that pass by themselves: a node that is behind or busy, a block that is not there yet, a slot not reached."""

REFUSED = frozenset({-32003, -32006, -32013, -32015, -32602})
"""Codes with which a node refuses a transaction for good, before it does anything with it."""

NOT_TAKEN = frozenset({-32005, -32016, -32600, -32601, -32700, -32429, 429})
"""Codes with which a node did nothing, and another try may be taken."""


class RpcFault(VenueUnavailable):
    """A node answered with an error. `code` is its JSON-RPC code, or the HTTP status; `data` what it added."""

    def __init__(self, message: str, code: int = 0, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RpcLimited(RpcFault):
    """A node says that too much was asked. `after` is how many seconds it wants to be left alone, if it said so."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message, 429)
        self.after = after


class Preflight(VenueRejected):
    """A node tried the transaction first and it failed, so that it was not sent. `err` is the chain's error, `logs` the programs'."""

    def __init__(self, message: str, err: Any, logs: tuple[str, ...]) -> None:
        super().__init__(message)
        self.err = err
        self.logs = logs


@frozen(order=False)
class Accounts:
    """Accounts as of one slot, in the order in which they were asked for; None where nothing is."""

    slot: int
    values: tuple[Account | None, ...]


@frozen(order=False)
class Blockhash:
    """A blockhash, the last block height at which a transaction with it may land, and the slot at which a node said so."""

    hash: Hash = field(repr=str)
    last_valid_block_height: int
    slot: int


@frozen(order=False)
class EpochInfo:
    """Where the chain stands: its epoch, how far into it, its slot and its block height, which is lower."""

    epoch: int
    slot_index: int
    slots_in_epoch: int
    slot: int
    block_height: int


@frozen(order=False)
class Simulation:
    """What a transaction would do. `err` is the chain's JSON, None for nothing; `accounts` those asked for, after it."""

    slot: int
    err: Any
    logs: tuple[str, ...] = field(repr=False)
    accounts: tuple[Account | None, ...] = field(repr=False)
    units: int | None


@frozen(order=False)
class Status:
    """What became of a transaction that is in a block. With an `err` it landed, did nothing and cost its fee."""

    slot: int
    err: Any
    confirmation: str

    @property
    def confirmed(self) -> bool:
        """Whether enough of the chain has voted for its block."""
        return self.confirmation in ("confirmed", "finalized")


@frozen(order=False)
class Statuses:
    """Statuses as of a slot; None where a node knows of none."""

    slot: int
    values: tuple[Status | None, ...]


@frozen(order=False)
class SignatureInfo:
    """A transaction that an address was part of. `at` is its block's time in UTC nanoseconds, None where a node does not know it."""

    signature: Signature = field(repr=str)
    slot: int
    err: Any
    memo: str | None
    at: int | None


@frozen(order=False)
class _Tokens:
    """What a token account of a transaction held."""

    mint: Pubkey = field(repr=str)
    owner: Pubkey | None = field(repr=str)
    amount: int


@frozen(order=False)
class Chained:
    """A transaction that is in a block, and what it did there. `err` None: it went well. `fee` is paid in both cases.

    `decoded` is the transaction itself, with the addresses that its lookup tables stood for when it ran.
    """

    signature: Signature = field(repr=str)
    slot: int
    at: int | None
    err: Any
    fee: int
    decoded: Decoded = field(repr=False)
    pre_lamports: tuple[int, ...] = field(repr=False)
    post_lamports: tuple[int, ...] = field(repr=False)
    pre_tokens: Mapping[int, _Tokens] = field(repr=False)
    post_tokens: Mapping[int, _Tokens] = field(repr=False)
    logs: tuple[str, ...] = field(repr=False)

    def lamports(self, address: Pubkey) -> tuple[int, int]:
        """What an address had before and after; (0, 0) for one that was no part of it."""
        for place, key in enumerate(self.decoded.keys):
            if key.address == address:
                return self.pre_lamports[place], self.post_lamports[place]
        return 0, 0

    def tokens(self, owner: Pubkey) -> dict[Pubkey, tuple[int, int]]:
        """By mint, what all token accounts of a wallet in it held before and after.

        Raises `VenueUnavailable` where the node does not say whose an account is: old blocks have no owners.
        """
        found: dict[Pubkey, list[int]] = {}
        for which, held in enumerate((self.pre_tokens, self.post_tokens)):
            for each in held.values():
                if each.owner is None:
                    raise VenueUnavailable(f"the node does not say whose token accounts {self.signature} moved")
                if each.owner == owner:
                    found.setdefault(each.mint, [0, 0])[which] += each.amount
        return {mint: (before, after) for mint, (before, after) in found.items()}

    @property
    def memos(self) -> tuple[str, ...]:
        """The memos in it, as text."""
        made = (one for one in self.decoded.instructions if one.program.address in (MEMO, MEMO_V1))
        return tuple(one.data.decode("utf-8", "replace") for one in made)


class Rpc:
    """A node at a URL. Made without any I/O, and opened by its first question: `async with` closes it, as `aclose` does.

    `commitment` is how settled must be what reads tell. `retry` says how often and how fast a read is asked again, `bucket` how
    much may be asked at all. `headers` go with each call; keep a key in `Secret`. Raises `InvalidMarket` for what is no URL.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        commitment: str = "confirmed",
        headers: Mapping[str, str | Secret] | None = None,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        retry: Retry | None = None,
        bucket: Bucket | None = None,
    ) -> None:
        if commitment not in COMMITMENTS:
            raise VenueRejected(f"{commitment!r} is no commitment: {', '.join(COMMITMENTS)}")
        shown = {name: value.reveal() if isinstance(value, Secret) else value for name, value in (headers or {}).items()}
        self._wire = Wire(
            url.reveal() if isinstance(url, Secret) else url,
            timeout=timeout,
            connect_timeout=connect_timeout,
            headers={**shown, "Content-Type": "application/json"},
            extra="jupiter",
        )
        self._commitment = commitment
        retry = retry or Retry()
        self._retry = retry if retry.again is not None else evolve(retry, again=_passing)
        self._bucket = bucket
        self._ids = count(1)

    async def aopen(self) -> None:
        """Nothing is opened before the first question; here for the symmetry."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def __aenter__(self) -> Rpc:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Rpc {self._wire!r}>"

    # -- asking ---------------------------------------------------------------------------------------------------------------

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a read, as `wire` reads JSON. Raises `RpcFault` with the node's code, `RpcLimited`, `VenueUnavailable`."""
        return await self._read(method, list(params), lambda result: result)

    async def _read(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T:
        async def ask() -> T:
            reply = await self._post(method, params)
            result = self._result(method, reply)
            try:
                return parse(result)
            except _Malformed as wrong:
                why = str(wrong)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                why = f"{type(error).__name__}: {error}"
            raise VenueUnavailable(f"{method}: the node's answer has not the form of one: {why}")

        return await self._retry(Reading(method, ask))

    async def _post(self, method: str, params: list[Any]) -> Reply:
        if self._bucket is not None:
            await self._bucket.take()
        body = json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}, separators=(",", ":"))
        return await self._wire.post("", body.encode())

    def _result(self, method: str, reply: Reply) -> Any:
        """The result in a reply. Raises `RpcFault` and `RpcLimited`, and `VenueUnknown` for what is no JSON-RPC answer."""
        if reply.status == 429:
            raise RpcLimited(f"{method}: too many requests (HTTP 429)", _seconds(reply.headers.get("retry-after")))
        if reply.status >= 500:
            raise RpcFault(f"{method}: HTTP {reply.status}", reply.status)
        try:
            answer = reply.json()
        except VenueUnknown:
            if reply.status >= 400:
                raise RpcFault(f"{method}: HTTP {reply.status}", reply.status) from None
            raise
        if not isinstance(answer, dict):
            raise VenueUnknown(f"{method}: status {reply.status} and no JSON-RPC answer")
        error = answer.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            code = code if type(code) is int else 0
            message = f"{method}: {error.get('message') or 'an error without words'} ({code})"
            if code in (429, -32429):
                raise RpcLimited(message, _seconds(reply.headers.get("retry-after")))
            raise RpcFault(message, code, error.get("data"))
        if error is not None or reply.status >= 400:
            raise RpcFault(f"{method}: HTTP {reply.status}: {error}", reply.status)
        if "result" not in answer:
            raise VenueUnknown(f"{method}: status {reply.status} and neither a result nor an error")
        return answer["result"]

    def _config(self, commitment: str | None = None, min_slot: int | None = None, **more: Any) -> dict[str, Any]:
        least = {} if min_slot is None else {"minContextSlot": min_slot}
        return {"commitment": commitment or self._commitment, **least, **more}

    @property
    def _settled(self) -> str:
        """What is asked of blocks, of which nodes tell none that are only processed."""
        return "confirmed" if self._commitment == "processed" else self._commitment

    # -- where the chain stands -----------------------------------------------------------------------------------------------

    async def slot(self, commitment: str | None = None) -> int:
        """The slot that the node has come to."""
        return await self._read("getSlot", [self._config(commitment)], _whole)

    async def block_height(self, commitment: str | None = None) -> int:
        """How many blocks there are: less than slots, since some had none."""
        return await self._read("getBlockHeight", [self._config(commitment)], _whole)

    async def block_time(self, slot: int) -> int | None:
        """When the block of a slot was made, in UTC nanoseconds; None where the node cannot say."""
        return await self._read("getBlockTime", [slot], lambda it: None if it is None else _whole(it) * 1_000_000_000)

    async def first_block(self) -> int:
        """The slot of the oldest block that the node still has."""
        return await self._read("getFirstAvailableBlock", [], _whole)

    async def epoch_info(self, commitment: str | None = None) -> EpochInfo:
        """Epoch, slot and block height, all of one moment."""

        def parse(it: Any) -> EpochInfo:
            names = ("epoch", "slotIndex", "slotsInEpoch", "absoluteSlot", "blockHeight")
            return EpochInfo(*(_whole(it[name]) for name in names))

        return await self._read("getEpochInfo", [self._config(commitment)], parse)

    async def latest_blockhash(self, commitment: str | None = None) -> Blockhash:
        """The latest blockhash, and until which block height it is good."""

        def parse(it: Any) -> Blockhash:
            value = it["value"]
            return Blockhash(Hash.from_string(value["blockhash"]), _whole(value["lastValidBlockHeight"]), _slot(it))

        return await self._read("getLatestBlockhash", [self._config(commitment)], parse)

    async def is_blockhash_valid(self, blockhash: Hash, commitment: str | None = None, min_slot: int | None = None) -> bool:
        """Whether a transaction with this blockhash may land, as of that commitment."""
        config = self._config(commitment, min_slot)
        return await self._read("isBlockhashValid", [str(blockhash), config], lambda it: _of_slot(it, _truth))

    # -- accounts -------------------------------------------------------------------------------------------------------------

    async def balance(self, address: Pubkey) -> int:
        """Lamports of an account."""
        return await self._read("getBalance", [str(address), self._config()], lambda it: _of_slot(it, _whole))

    async def account(self, address: Pubkey, *, min_slot: int | None = None) -> Account | None:
        """What an address holds; None where nothing is."""
        config = self._config(None, min_slot, encoding="base64")
        return await self._read("getAccountInfo", [str(address), config], lambda it: _account(address, it["value"], _slot(it)))

    async def accounts(self, addresses: Sequence[Pubkey], *, min_slot: int | None = None) -> Accounts:
        """What many addresses hold. Up to 100 are of one slot; of more, each hundred is of a slot of its own, `slot` the first."""
        values: list[Account | None] = []
        slots: list[int] = []
        for start in range(0, max(1, len(addresses)), _MOST_ACCOUNTS):
            asked = addresses[start : start + _MOST_ACCOUNTS]

            def parse(it: Any, asked: Sequence[Pubkey] = asked) -> Accounts:
                found = _list(it["value"])
                if len(found) != len(asked):
                    raise _Malformed(f"{len(found)} accounts for {len(asked)} addresses")
                slot = _slot(it)
                return Accounts(slot, tuple(_account(key, one, slot) for key, one in zip(asked, found, strict=True)))

            config = self._config(None, min_slot, encoding="base64")
            part = await self._read("getMultipleAccounts", [[str(key) for key in asked], config], parse)
            values += part.values
            slots.append(part.slot)
        return Accounts(min(slots), tuple(values))

    async def token_accounts(self, owner: Pubkey, *, mint: Pubkey | None = None) -> tuple[TokenAccount, ...]:
        """The token accounts of a wallet, of both token programs, or those of one mint."""
        chosen = [{"mint": str(mint)}] if mint else [{"programId": str(TOKEN)}, {"programId": str(TOKEN_2022)}]
        found: list[TokenAccount] = []

        def parse(it: Any) -> list[TokenAccount]:
            slot = _slot(it)
            tokens = [_token_account(Pubkey.from_string(one["pubkey"]), one["account"], slot) for one in _list(it["value"])]
            if not all(one is not None and one.owner == owner for one in tokens):
                raise _Malformed("an account that is no token account of this wallet")
            return [one for one in tokens if one is not None]

        for which in chosen:
            params = [str(owner), which, self._config(encoding="base64")]
            found += await self._read("getTokenAccountsByOwner", params, parse)
        return tuple(sorted(found, key=lambda one: bytes(one.address)))

    async def lookup_tables(self, addresses: Iterable[Pubkey]) -> dict[Pubkey, tuple[Pubkey, ...]]:
        """Lookup tables by their address. Raises `VenueRejected` for one that is none, or was given up."""
        wanted = tuple(dict.fromkeys(addresses))
        if not wanted:
            return {}
        return {key: _table(key, one) for key, one in zip(wanted, (await self.accounts(wanted)).values, strict=True)}

    async def rent(self, size: int) -> int:
        """The lamports that keep an account of so many bytes alive."""
        return await self._read("getMinimumBalanceForRentExemption", [size], _whole)

    async def priority_fees(self, addresses: Sequence[Pubkey] = ()) -> tuple[tuple[int, int], ...]:
        """What transactions lately paid per compute unit, in micro-lamports, by slot: those that wrote to these accounts."""

        def parse(it: Any) -> tuple[tuple[int, int], ...]:
            return tuple(sorted((_whole(one["slot"]), _whole(one["prioritizationFee"])) for one in _list(it)))

        return await self._read("getRecentPrioritizationFees", [[str(key) for key in addresses]], parse)

    # -- transactions ---------------------------------------------------------------------------------------------------------

    async def simulate(
        self,
        raw: bytes,
        *,
        accounts: Sequence[Pubkey] = (),
        sig_verify: bool = False,
        replace_blockhash: bool = False,
        min_slot: int | None = None,
    ) -> Simulation:
        """What a transaction would do, signed or not, and what `accounts` would hold after it."""
        more: dict[str, Any] = {"encoding": "base64", "sigVerify": sig_verify, "replaceRecentBlockhash": replace_blockhash}
        if accounts:
            more["accounts"] = {"encoding": "base64", "addresses": [str(key) for key in accounts]}

        def parse(it: Any) -> Simulation:
            value, slot = it["value"], _slot(it)
            found = value.get("accounts") or []
            if value["err"] is None and len(found) != len(accounts):
                raise _Malformed(f"{len(found)} accounts after it for {len(accounts)} addresses")
            after = tuple(_account(key, one, slot) for key, one in zip(accounts, found, strict=False))
            units = value.get("unitsConsumed")
            return Simulation(slot, value["err"], _texts(value.get("logs")), after, None if units is None else _whole(units))

        return await self._read("simulateTransaction", [base64_of(raw), self._config(None, min_slot, **more)], parse)

    async def send(self, raw: bytes, *, skip_preflight: bool = False, min_slot: int | None = None) -> Signature:
        """Hand in a signed transaction, once, and have the node not try again by itself. Handed in is not landed.

        Raises `Preflight` where the node tried it and it failed, `VenueRejected` where it is refused for what it is, and
        `VenueUnavailable` where the node did not take it: in these three it was not sent on. `VenueUnknown`: it may have been.
        A transaction that the node says has landed before was taken.
        """
        signature = read_signature(raw)
        config = {"encoding": "base64", "skipPreflight": skip_preflight, "preflightCommitment": self._commitment, "maxRetries": 0}
        if min_slot is not None:
            config["minContextSlot"] = min_slot
        fault: RpcFault | None = None
        result: Any = None
        try:
            result = self._result("sendTransaction", await self._post("sendTransaction", [base64_of(raw), config]))
        except RpcFault as error:
            fault = error
        if fault is not None:
            return _not_taken(fault, signature)
        if result != str(signature):
            raise VenueUnknown(f"sendTransaction: the node took {signature} and answers with another signature")
        return signature

    async def statuses(self, signatures: Sequence[Signature], *, search: bool = False) -> Statuses:
        """What became of transactions; `search`: also of older ones than a node remembers by itself."""
        found: list[Status | None] = []
        slots: list[int] = []
        for start in range(0, max(1, len(signatures)), _MOST_STATUSES):
            asked = signatures[start : start + _MOST_STATUSES]

            def parse(it: Any, asked: Sequence[Signature] = asked) -> Statuses:
                values = _list(it["value"])
                if len(values) != len(asked):
                    raise _Malformed(f"{len(values)} statuses for {len(asked)} signatures")
                return Statuses(_slot(it), tuple(_status(one) for one in values))

            params = [[str(one) for one in asked], {"searchTransactionHistory": search}]
            part = await self._read("getSignatureStatuses", params, parse)
            found += part.values
            slots.append(part.slot)
        return Statuses(min(slots), tuple(found))

    async def signatures_for(
        self,
        address: Pubkey,
        *,
        since: int | None = None,
        until: Signature | None = None,
        before: Signature | None = None,
        min_slot: int | None = None,
    ) -> tuple[SignatureInfo, ...]:
        """The transactions that an address was part of, the oldest first, all pages of them.

        From a block's time on (`since`, UTC ns, that instant included), after a signature (`until`), before one; told by a node
        that has come to a slot (`min_slot`).
        """
        found: list[SignatureInfo] = []
        least = min_slot
        while True:
            more = {name: str(one) for name, one in (("until", until), ("before", before)) if one is not None}
            config = self._config(self._settled, least, limit=_MOST_SIGNATURES, **more)
            page = await self._read("getSignaturesForAddress", [str(address), config], lambda it: [_signed(one) for one in _list(it)])
            known = {one.signature for one in found}
            found += [one for one in page if one.signature not in known]
            if not page or (since is not None and page[-1].at is not None and page[-1].at < since - 1_000_000_000):
                break
            if before == page[-1].signature:
                raise VenueUnavailable("getSignaturesForAddress: the node gives the same page again")
            before, least = page[-1].signature, max(least or 0, page[0].slot)
        return tuple(one for one in reversed(found) if since is None or one.at is None or one.at >= _second(since))

    async def transaction(self, signature: Signature) -> Chained | None:
        """A transaction that landed, and what it did; None where the node knows of none. It must be confirmed to be seen."""
        config = {"encoding": "base64", "commitment": self._settled, "maxSupportedTransactionVersion": 0}
        return await self._read("getTransaction", [str(signature), config], lambda it: _chained(signature, it))


def read_signature(raw: bytes) -> Signature:
    """The signature by which a signed transaction is known. Raises `VenueRejected` for what is not signed."""
    if len(raw) < 65 or not 1 <= raw[0] < 128:
        raise VenueRejected("these bytes are no signed transaction")
    signature = Signature.from_bytes(raw[1:65])
    if signature == Signature.default():
        raise VenueRejected("this transaction is not signed")
    return signature


def _not_taken(fault: RpcFault, signature: Signature) -> Signature:
    """What an error of sendTransaction means."""
    if fault.code == -32002:
        data = fault.data if isinstance(fault.data, dict) else {}
        err = data.get("err")
        if err == "AlreadyProcessed" or "already been processed" in str(fault):
            return signature
        raise Preflight(str(fault), err, _texts(data.get("logs"))) from None
    if fault.code in REFUSED:
        raise VenueRejected(str(fault)) from None
    if fault.code in NOT_TAKEN or isinstance(fault, RpcLimited) or 400 <= fault.code < 500:
        raise fault from None
    raise VenueUnknown(f"{fault}; it was sent, and may land") from None


def _passing(error: VenueError) -> bool | float:
    """Whether asking again may help."""
    if isinstance(error, RpcLimited):
        return True if error.after is None else error.after
    if isinstance(error, RpcFault):
        return error.code in PASSING or error.code >= 500
    return True


class _Malformed(Exception):
    """An answer that has not the form of one."""


def _wrong(what: str, value: object) -> NoReturn:
    raise _Malformed(f"{value!r:.80} is no {what}")


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        _wrong("whole number", value)
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        _wrong("yes or no", value)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        _wrong("list", value)
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _slot(it: Any) -> int:
    return _whole(it["context"]["slot"])


def _of_slot(it: Any, read: Callable[[Any], T]) -> T:
    """A value that comes with the slot that it is of."""
    _slot(it)
    return read(it["value"])


def _seconds(text: str | None) -> float | None:
    """How long to wait, as HTTP says it in whole seconds; at most a minute."""
    return min(60.0, float(text)) if text is not None and text.isascii() and text.isdigit() else None


def _second(ns: int) -> int:
    """The whole second that an instant lies in, in ns: block times are in whole seconds."""
    return ns // 1_000_000_000 * 1_000_000_000


def _account(address: Pubkey, it: Any, slot: int) -> Account | None:
    if it is None:
        return None
    data, encoding = it["data"]
    if encoding != "base64":
        _wrong("base64", encoding)
    raw = b64decode(data, validate=True)
    return Account(address, _whole(it["lamports"]), Pubkey.from_string(it["owner"]), raw, _truth(it["executable"]), slot)


def _token_account(address: Pubkey, it: Any, slot: int) -> TokenAccount | None:
    """A token account, from its bytes or as a node reads them, which some do unasked."""
    if not isinstance(it["data"], dict):
        return TokenAccount.find(_account(address, it, slot))
    info, program = it["data"]["parsed"]["info"], Pubkey.from_string(it["owner"])
    if program not in (TOKEN, TOKEN_2022) or it["data"]["parsed"].get("type") != "account":
        return None
    rent = info["rentExemptReserve"]["amount"] if info["isNative"] and "rentExemptReserve" in info else "0"
    lent = info.get("delegatedAmount")
    return TokenAccount(
        address=address,
        mint=Pubkey.from_string(info["mint"]),
        owner=Pubkey.from_string(info["owner"]),
        amount=_digits(info["tokenAmount"]["amount"]),
        delegate=Pubkey.from_string(info["delegate"]) if info.get("delegate") else None,
        delegated=_digits(lent["amount"]) if lent else 0,
        frozen=info["state"] == "frozen",
        native=_digits(rent) if _truth(info["isNative"]) else None,
        close_authority=Pubkey.from_string(info["closeAuthority"]) if info.get("closeAuthority") else None,
        program=program,
        lamports=_whole(it["lamports"]),
    )


def _digits(text: object) -> int:
    """An amount, which nodes write as text."""
    if not isinstance(text, str) or not text.isascii() or not text.isdigit():
        _wrong("amount", text)
    return int(text)


def _status(it: Any) -> Status | None:
    if it is None:
        return None
    confirmation = it.get("confirmationStatus")
    if confirmation is None:  # an old node: without confirmations left it is rooted
        confirmation = "finalized" if it.get("confirmations") is None else "processed"
    if confirmation not in COMMITMENTS:
        _wrong("commitment", confirmation)
    return Status(_whole(it["slot"]), it["err"], confirmation)


def _signed(it: Any) -> SignatureInfo:
    at = it.get("blockTime")
    memo = it.get("memo")
    if memo is not None and not isinstance(memo, str):
        _wrong("memo", memo)
    return SignatureInfo(
        Signature.from_string(it["signature"]), _whole(it["slot"]), it["err"], memo, None if at is None else _whole(at) * 1_000_000_000
    )


def _table(key: Pubkey, account: Account | None) -> tuple[Pubkey, ...]:
    """A lookup table: 56 bytes of which the first four say that it is one and the next eight since when it is given up."""
    data = account.data if account else b""
    if account is None or account.owner != LOOKUP_TABLE or len(data) < 56 or len(data) % 32 != 24 or data[:4] != b"\1\0\0\0":
        raise VenueRejected(f"{key} is no lookup table")
    if int.from_bytes(data[4:12], "little") != _NEVER:
        raise VenueRejected(f"the lookup table {key} was given up")
    return tuple(Pubkey(data[at : at + 32]) for at in range(56, len(data), 32))


def _held(listed: Any) -> dict[int, _Tokens]:
    found: dict[int, _Tokens] = {}
    for one in listed or ():
        amount = _digits(one["uiTokenAmount"]["amount"])
        owner = one.get("owner")
        place = _whole(one["accountIndex"])
        found[place] = _Tokens(Pubkey.from_string(one["mint"]), Pubkey.from_string(owner) if owner else None, amount)
    return found


def _chained(signature: Signature, it: Any) -> Chained | None:
    if it is None:
        return None
    raw, encoding = it["transaction"]
    if encoding != "base64":
        _wrong("base64", encoding)
    meta = it["meta"]
    if meta is None:
        _wrong("account of what it did", meta)
    decoded = _with_loaded(b64decode(raw, validate=True), meta.get("loadedAddresses") or {})
    if decoded.signatures[0] != signature:
        _wrong("transaction of this signature", str(decoded.signatures[0]))
    pre, post = (tuple(_whole(one) for one in meta[name]) for name in ("preBalances", "postBalances"))
    if not len(pre) == len(post) == len(decoded.keys):
        _wrong("list of balances", f"{len(pre)} and {len(post)} for {len(decoded.keys)} accounts")
    at = it.get("blockTime")
    return Chained(
        signature=signature,
        slot=_whole(it["slot"]),
        at=None if at is None else _whole(at) * 1_000_000_000,
        err=meta["err"],
        fee=_whole(meta["fee"]),
        decoded=decoded,
        pre_lamports=pre,
        post_lamports=post,
        pre_tokens=_held(meta.get("preTokenBalances")),
        post_tokens=_held(meta.get("postTokenBalances")),
        logs=_texts(meta.get("logMessages")),
    )


def _with_loaded(raw: bytes, loaded: Mapping[str, Sequence[str]]) -> Decoded:
    """A transaction with the addresses that the chain says its tables stood for, tables themselves being unknown."""
    message = VersionedTransaction.from_bytes(raw).message
    written, read = ([Pubkey.from_string(one) for one in loaded.get(name, ())] for name in ("writable", "readonly"))
    written.reverse()
    read.reverse()
    tables: dict[Pubkey, dict[int, Pubkey]] = {}
    for lookup in message.address_table_lookups if isinstance(message, MessageV0) else ():
        entries = tables.setdefault(lookup.account_key, {})
        entries.update({at: written.pop() for at in lookup.writable_indexes})
        entries.update({at: read.pop() for at in lookup.readonly_indexes})
    try:
        return read_transaction(
            raw, {key: [found.get(at, key) for at in range(max(found, default=-1) + 1)] for key, found in tables.items()}
        )
    except Refused as error:
        why = str(error)
    raise _Malformed(why)
