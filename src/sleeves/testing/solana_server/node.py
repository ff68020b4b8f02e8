"""A node of the local chain: JSON-RPC over HTTP, in the shapes that Solana's documentation gives. Served on a loopback socket.

Faults are queued for a method and each is taken once by the next call of it, so that a test says exactly what goes wrong. It
knows HTTP and the chain, and no driver.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
from attrs import field, frozen
from solders.hash import Hash
from solders.message import MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from starlette.requests import Request
from starlette.types import Send

from .asgi import Served, cut, reply
from .base58 import decode58, encode58
from .chain import FINAL_AFTER, Chain, ChainError, Err, Inner, Landing, State, TokenBalance
from .layout import TOKEN, TOKEN_2022, read_token
from .lines import Lines

__all__ = ["Fault", "SolanaServer", "solana_server"]

VERSION = {"feature-set": 3294202862, "solana-core": "3.1.8"}
_COMMITMENTS = ("processed", "confirmed", "finalized")
_MOST_ACCOUNTS = 100
_MOST_SIGNATURES = 1000
_MOST_STATUSES = 256
_RECENT = 150
_PUBLIC_BYTES = 128


@frozen(order=False)
class Fault:
    """What goes wrong with one call. Made by its class methods."""

    kind: str
    code: int = 0
    text: str = ""
    data: Any = None
    seconds: float = 0.0
    done: bool = field(default=False, kw_only=True)

    @classmethod
    def status(cls, code: int, text: str = "") -> Fault:
        """Answered with an HTTP status, and not done: 429, 502, 503..."""
        return cls("status", code, text)

    @classmethod
    def error(cls, code: int, message: str = "Internal error", data: Any = None) -> Fault:
        """Answered with a JSON-RPC error, and not done."""
        return cls("error", code, message, data)

    @classmethod
    def garbage(cls, text: str = "<html>Bad gateway</html>") -> Fault:
        """Answered with status 200 and what is no JSON, and not done."""
        return cls("garbage", text=text)

    @classmethod
    def hang(cls, seconds: float = 60.0) -> Fault:
        """Not done, and no answer."""
        return cls("hang", seconds=seconds)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Done and answered after a while."""
        return cls("slow", seconds=seconds)

    @classmethod
    def cut(cls) -> Fault:
        """Not done, and the connection is cut."""
        return cls("cut")

    @classmethod
    def lost(cls) -> Fault:
        """Done, and the connection is cut instead of an answer."""
        return cls("cut", done=True)

    @classmethod
    def after(cls, fault: Fault) -> Fault:
        """Done, and then this is answered: `Fault.after(Fault.status(502))`."""
        return cls(fault.kind, fault.code, fault.text, fault.data, fault.seconds, done=True)

    @classmethod
    def replaced(cls, result: Any) -> Fault:
        """Done, and answered with another result: what a node that lies or is broken says."""
        return cls("replaced", data=result)

    @classmethod
    def dropped(cls) -> Fault:
        """sendTransaction: taken and answered, and it never lands."""
        return cls("fate", text="dropped")

    @classmethod
    def late(cls, slots: int) -> Fault:
        """sendTransaction: taken and answered, and it lands so many slots later, if its blockhash is still good then."""
        return cls("fate", text="late", data=slots)

    @classmethod
    def fails(cls, err: Err = None) -> Fault:
        """sendTransaction: taken and answered, and it lands with an error; its fee is taken."""
        return cls("fate", text="fails", data=err or {"InstructionError": [0, {"Custom": 6001}]})

    @classmethod
    def expired(cls, blocks: int = 151) -> Fault:
        """getLatestBlockhash: one that is so old is answered as the latest."""
        return cls("expired", code=blocks)


@frozen(order=False)
class Asked:
    """A call that arrived."""

    method: str
    params: tuple[Any, ...]
    error: int | None = None


class SolanaServer(Served[Asked, Fault]):
    """An ASGI app over a chain. `start` serves it; `calls` is what was asked.

    `behind` makes it a node that is so many slots behind the others: heights and statuses are those of then, it says that it is
    unhealthy, and refuses to take transactions or to answer for a later slot. Accounts are shown as they are all the same.
    """

    def __init__(self, chain: Chain | None = None) -> None:
        self.chain = chain or Chain()
        self.behind = 0
        self.lines = Lines(self.chain, self._shown, lambda: self.behind)
        """Its WebSocket: who listens, and what goes wrong there."""
        super().__init__()

    @property
    def ws_url(self) -> str:
        """Where its WebSocket is."""
        return "ws" + self.url.removeprefix("http")

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        def note(method: str, params: tuple[Any, ...], error: int | None) -> None:
            self.calls.append(Asked(method, params, error))

        await self.lines.serve(receive, send, self._take_named, note)

    def _take_named(self, method: Any) -> Fault | None:
        """The fault of a call on the WebSocket: only one that is for it by its name, "*" being for calls over HTTP."""
        queue = self._faults.get(method) if isinstance(method, str) else None
        return queue.popleft() if queue else None

    def _word(self, call: Asked) -> str:
        return call.method

    # -- HTTP -----------------------------------------------------------------------------------------------------------------

    async def _respond(self, request: Request, body: bytes, send: Send) -> None:
        if request.method != "POST":
            await reply(send, 405, "Used HTTP Method is not allowed. POST or OPTIONS is required", "text/plain")
            return
        try:
            asked = json.loads(body)
        except ValueError:
            await reply(send, 200, _json({"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}))
            return
        many = isinstance(asked, list)
        answers = []
        for one in asked if many else [asked]:
            fault = self._take(one.get("method") if isinstance(one, dict) else None)
            if fault is not None and fault.kind in ("slow", "hang") and not fault.done:
                await anyio.sleep(fault.seconds)
            if fault is None or fault.done or fault.kind in ("slow", "fate", "replaced", "expired"):
                answer = await anyio.to_thread.run_sync(self._answer, one, fault)
            else:
                answer = {}
            if fault is not None and fault.kind in ("slow", "hang") and fault.done:
                await anyio.sleep(fault.seconds)
            if fault is not None and fault.kind == "cut":
                await cut(send)
                return
            if fault is not None and fault.kind in ("status", "garbage"):
                code = fault.code if fault.kind == "status" else 200
                await reply(send, code, fault.text or f"status {code}", "text/html" if fault.kind == "garbage" else "text/plain")
                return
            if fault is not None and fault.kind == "error":
                answer = {
                    "jsonrpc": "2.0",
                    "error": _without_none({"code": fault.code, "message": fault.text, "data": fault.data}),
                    "id": one.get("id"),
                }
            answers.append(answer)
        await reply(send, 200, _json(answers if many else answers[0]))

    def _answer(self, asked: Any, fault: Fault | None) -> dict[str, Any]:
        """One JSON-RPC call."""
        if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0" or not isinstance(asked.get("method"), str):
            return {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None}
        method, params = asked["method"], asked.get("params", [])
        call: Callable[..., Any] | None = _METHODS.get(method)
        try:
            if call is None:
                raise ChainError(-32601, "Method not found")
            if not isinstance(params, list):
                raise ChainError(-32602, "Invalid params: invalid type: map, expected a sequence.")
            result = call(self, *params, **({"fault": fault} if method in ("sendTransaction", "getLatestBlockhash") else {}))
        except ChainError as error:
            self.calls.append(Asked(method, tuple(params), error.code))
            said = _without_none({"code": error.code, "message": error.message, "data": error.data})
            return {"jsonrpc": "2.0", "error": said, "id": asked.get("id")}
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            self.calls.append(Asked(method, tuple(params), -32602))
            return {"jsonrpc": "2.0", "error": {"code": -32602, "message": f"Invalid params: {error}"}, "id": asked.get("id")}
        self.calls.append(Asked(method, tuple(params)))
        if fault is not None and fault.kind == "replaced":
            result = fault.data(result) if callable(fault.data) else fault.data
        return {"jsonrpc": "2.0", "result": result, "id": asked.get("id")}

    # -- heights --------------------------------------------------------------------------------------------------------------

    def _slot(self, config: Mapping[str, Any] | None) -> int:
        """The slot that an answer is of. Raises `ChainError` where one was asked for that is not reached."""
        config = config or {}
        commitment = config.get("commitment", "finalized")
        if commitment not in _COMMITMENTS:
            raise ChainError(
                -32602, f"Invalid params: unknown variant `{commitment}`, expected one of `processed`, `confirmed`, `finalized`."
            )
        slot = self.chain.slot - self.behind - (FINAL_AFTER if commitment == "finalized" else 0)
        least = config.get("minContextSlot")
        if least is not None and slot < least:
            raise ChainError(-32016, "Minimum context slot has not been reached", {"contextSlot": slot})
        return slot

    def _with_slot(self, config: Mapping[str, Any] | None, value: Any) -> dict[str, Any]:
        return {"context": {"apiVersion": VERSION["solana-core"], "slot": self._slot(config)}, "value": value}

    def _healthy(self) -> None:
        if self.behind:
            raise ChainError(-32005, f"Node is behind by {self.behind} slots", {"numSlotsBehind": self.behind})

    def get_health(self) -> str:
        self._healthy()
        return "ok"

    def get_version(self) -> dict[str, Any]:
        return dict(VERSION)

    def get_slot(self, config: Any = None) -> int:
        return self._slot(config)

    def get_block_height(self, config: Any = None) -> int:
        return self.chain.height(self._slot(config))

    def get_epoch_info(self, config: Any = None) -> dict[str, Any]:
        slot = self._slot(config)
        epoch, index, length = self.chain.epoch_at(slot)
        found = {"absoluteSlot": slot, "blockHeight": self.chain.height(slot), "epoch": epoch, "slotIndex": index}
        return {**found, "slotsInEpoch": length, "transactionCount": len(self.calls)}

    def get_epoch_schedule(self) -> dict[str, Any]:
        _, _, length = self.chain.epoch_at(0)
        named = {"firstNormalEpoch": 0, "firstNormalSlot": 0, "leaderScheduleSlotOffset": length}
        return {**named, "slotsPerEpoch": length, "warmup": False}

    def get_block_time(self, slot: int) -> int:
        if slot > self.chain.slot:
            raise ChainError(-32004, f"Block not available for slot {slot}")
        return int((self.chain.now - (self.chain.slot - slot) * 400_000_000) // 1_000_000_000)

    def get_first_available_block(self) -> int:
        return self.chain.first_slot

    def get_genesis_hash(self) -> str:
        return str(Hash(bytes([7]) * 32))

    def get_latest_blockhash(self, config: Any = None, *, fault: Fault | None = None) -> dict[str, Any]:
        slot = self._slot(config)
        behind = self.chain.slot - slot
        if fault is not None and fault.kind == "expired":
            behind += fault.code
        found, last = self.chain.blockhash(behind)
        return self._with_slot(config, {"blockhash": str(found), "lastValidBlockHeight": last})

    def is_blockhash_valid(self, blockhash: str, config: Any = None) -> dict[str, Any]:
        found = Hash.from_string(blockhash)
        return self._with_slot(config, self.chain.is_valid(found, self.chain.slot - self._slot(config)))

    # -- accounts -------------------------------------------------------------------------------------------------------------

    def get_balance(self, address: str, config: Any = None) -> dict[str, Any]:
        return self._with_slot(config, self.chain.balance(_key(address)))

    def get_account_info(self, address: str, config: Any = None) -> dict[str, Any]:
        return self._with_slot(config, self._shown(self.chain.account(_key(address)), config))

    def get_multiple_accounts(self, addresses: list[str], config: Any = None) -> dict[str, Any]:
        if len(addresses) > _MOST_ACCOUNTS:
            raise ChainError(-32602, f"Too many inputs provided; max {_MOST_ACCOUNTS}")
        return self._with_slot(config, [self._shown(self.chain.account(_key(one)), config) for one in addresses])

    def get_token_accounts_by_owner(self, owner: str, chosen: Mapping[str, str], config: Any = None) -> dict[str, Any]:
        wallet = _key(owner)
        mint = _key(chosen["mint"]) if "mint" in chosen else None
        programs = (TOKEN, TOKEN_2022) if mint else (_key(chosen["programId"]),)
        if not set(programs) <= {TOKEN, TOKEN_2022}:
            raise ChainError(-32602, "Invalid param: unrecognized Token program id")
        found = []
        for program in programs:
            for address, state in self.chain.accounts_of(program):
                read = read_token(state.owner, state.data)
                if read and read.owner == wallet and (mint is None or read.mint == mint):
                    found.append({"pubkey": str(address), "account": self._shown(state, config)})
        return self._with_slot(config, found)

    def get_token_account_balance(self, address: str, config: Any = None) -> dict[str, Any]:
        state = self.chain.account(_key(address))
        read = state and read_token(state.owner, state.data)
        if not read:
            raise ChainError(-32602, "Invalid param: could not find account")
        return self._with_slot(config, _ui(read.amount, self._decimals(read.mint)))

    def get_token_supply(self, mint: str, config: Any = None) -> dict[str, Any]:
        state = self.chain.account(_key(mint))
        if state is None or state.owner not in (TOKEN, TOKEN_2022):
            raise ChainError(-32602, "Invalid param: could not find mint")
        return self._with_slot(config, _ui(int.from_bytes(state.data[36:44], "little"), state.data[44]))

    def get_program_accounts(self, program: str, config: Any = None) -> Any:
        config = config or {}
        found = []
        for address, state in self.chain.accounts_of(_key(program)):
            if all(_fits(state.data, rule) for rule in config.get("filters") or ()):
                found.append({"pubkey": str(address), "account": self._shown(state, config)})
        return self._with_slot(config, found) if config.get("withContext") else found

    def get_minimum_balance(self, size: int, config: Any = None) -> int:
        self._slot(config)
        return self.chain.rent(size)

    def _decimals(self, mint: Pubkey) -> int:
        state = self.chain.account(mint)
        return state.data[44] if state else 0

    def _shown(self, state: State | None, config: Any) -> dict[str, Any] | None:
        if state is None:
            return None
        config = config or {}
        encoding = config.get("encoding", "binary")
        data: Any
        part = config.get("dataSlice")
        raw = state.data if part is None else state.data[part["offset"] : part["offset"] + part["length"]]
        read = read_token(state.owner, state.data)
        if encoding == "jsonParsed" and read:
            mint, amount = read.mint, _ui(read.amount, self._decimals(read.mint))
            info: dict[str, Any] = {
                "isNative": read.native is not None,
                "mint": str(mint),
                "owner": str(read.owner),
                "state": "initialized",
                "tokenAmount": amount,
            }
            name = "spl-token" if state.owner == TOKEN else "spl-token-2022"
            data = {"parsed": {"info": info, "type": "account"}, "program": name, "space": len(state.data)}
        elif encoding in ("base64", "jsonParsed"):
            data = [b64encode(raw).decode(), "base64"]
        elif encoding in ("base58", "binary"):
            if len(raw) > _PUBLIC_BYTES:
                raise ChainError(-32600, "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.")
            data = [encode58(raw), "base58"] if encoding == "base58" else encode58(raw)
        else:
            raise ChainError(-32602, f"Invalid params: the encoding {encoding} is not served here")
        shown = {"data": data, "executable": state.executable, "lamports": state.lamports, "owner": str(state.owner)}
        return {**shown, "rentEpoch": 18446744073709551615, "space": len(state.data)}

    # -- transactions ---------------------------------------------------------------------------------------------------------

    def get_fee_for_message(self, message: str, config: Any = None) -> dict[str, Any]:
        read = from_bytes_versioned(b64decode(message, validate=True))
        blank = [Signature.default()] * read.header.num_required_signatures
        fee = self.chain.fee_of(bytes(VersionedTransaction.populate(read, blank)))
        return self._with_slot(config, fee if self.chain.is_valid(read.recent_blockhash) else None)

    def get_recent_prioritization_fees(self, addresses: list[str] | None = None) -> list[dict[str, int]]:
        if addresses and len(addresses) > 128:
            raise ChainError(-32602, "Too many inputs provided; max 128")
        prices = self.chain.unit_prices[-_RECENT:] or [0]
        first = self.chain.slot - self.behind - len(prices) + 1
        return [{"slot": first + place, "prioritizationFee": price} for place, price in enumerate(prices)]

    def send_transaction(self, encoded: str, config: Any = None, *, fault: Fault | None = None) -> str:
        config = config or {}
        raw = _bytes(encoded, config.get("encoding", "base58"))
        skip = bool(config.get("skipPreflight"))
        if not skip:
            self._healthy()
            self._slot({"commitment": config.get("preflightCommitment", "finalized"), "minContextSlot": config.get("minContextSlot")})
        fate = (fault.text, fault.data) if fault is not None and fault.kind == "fate" else None
        return str(self.chain.send(raw, skip_preflight=skip, fate=fate))

    def simulate_transaction(self, encoded: str, config: Any = None) -> dict[str, Any]:
        config = config or {}
        raw = _bytes(encoded, config.get("encoding", "base58"))
        if config.get("sigVerify") and config.get("replaceRecentBlockhash"):
            raise ChainError(-32602, "sigVerify may not be used with replaceRecentBlockhash")
        replace = bool(config.get("replaceRecentBlockhash"))
        run, keys = self.chain.simulate(raw, verify=bool(config.get("sigVerify")), replace=replace)
        asked = config.get("accounts")
        accounts: list[Any] | None = None
        if asked is not None:
            addresses = asked.get("addresses", [])
            if asked.get("encoding", "base64") not in ("base64", "jsonParsed"):
                raise ChainError(-32602, "base58 encoding not supported")
            if len(addresses) > len(keys):
                raise ChainError(-32602, f"Too many accounts provided; max {len(keys)}")
            accounts = [None] * len(addresses)
            if run.err is None:
                states = [run.after.get(key, self.chain.account(key)) for key in map(_key, addresses)]
                accounts = [self._shown(state, {"encoding": "base64"}) for state in states]
        replaced = None
        if replace:
            found, last = self.chain.blockhash()
            replaced = {"blockhash": str(found), "lastValidBlockHeight": last}
        inner = [_inner_shown(place, made) for place, made in sorted(run.inner.items())] if config.get("innerInstructions") else None
        value = {"accounts": accounts, "err": run.err, "fee": run.fee or None, "innerInstructions": inner, "logs": run.logs}
        value |= {"loadedAccountsDataSize": 0, "replacementBlockhash": replaced, "returnData": None, "unitsConsumed": run.units}
        return self._with_slot(config, value)

    def _visible(self, signature: str) -> Landing | None:
        landing = self.chain.landing(_signature(signature))
        return landing if landing and landing.slot <= self.chain.slot - self.behind else None

    def _confirmation(self, landing: Landing) -> tuple[str, int | None]:
        passed = self.chain.slot - self.behind - landing.slot
        return ("finalized", None) if passed >= FINAL_AFTER else ("confirmed", passed)

    def get_signature_statuses(self, signatures: list[str], config: Any = None) -> dict[str, Any]:
        if len(signatures) > _MOST_STATUSES:
            raise ChainError(-32602, f"Too many inputs provided; max {_MOST_STATUSES}")
        found: list[Any] = []
        for landing in map(self._visible, signatures):
            if landing is None or (not (config or {}).get("searchTransactionHistory") and self.chain.slot - landing.slot > 2 * _RECENT):
                found.append(None)
                continue
            status, confirmations = self._confirmation(landing)
            shown = {"confirmationStatus": status, "confirmations": confirmations, "err": landing.err, "slot": landing.slot}
            found.append({**shown, "status": _status(landing.err)})
        return self._with_slot({"commitment": "processed"}, found)

    def get_signatures_for_address(self, address: str, config: Any = None) -> list[dict[str, Any]]:
        config = config or {}
        slot = self._slot(config)
        limit = config.get("limit", _MOST_SIGNATURES)
        if not 1 <= limit <= _MOST_SIGNATURES:
            raise ChainError(-32602, f"Invalid limit; max {_MOST_SIGNATURES}")
        found: list[dict[str, Any]] = []
        begun = "before" not in config
        for landing in self.chain.landings_of(_key(address)):
            if config.get("until") == str(landing.signature) or len(found) == limit:
                break
            if begun and landing.slot <= slot:
                shown = {"blockTime": landing.at // 1_000_000_000, "confirmationStatus": self._confirmation(landing)[0], "err": landing.err}
                found.append({**shown, "memo": _memo(landing), "signature": str(landing.signature), "slot": landing.slot})
            begun = begun or config["before"] == str(landing.signature)
        return found

    def get_transaction(self, signature: str, config: Any = None) -> dict[str, Any] | None:
        config = {"encoding": config} if isinstance(config, str) else config or {}
        landing = self._visible(signature)
        if landing is None or landing.slot > self._slot(config):
            return None
        tx = VersionedTransaction.from_bytes(landing.raw)
        version: Any = 0 if isinstance(tx.message, MessageV0) else "legacy"
        if version == 0 and config.get("maxSupportedTransactionVersion") is None:
            message = "Transaction version (0) is not supported by the requesting client. Please try the request again with the following"
            raise ChainError(-32015, message + ' configuration parameter: "maxSupportedTransactionVersion": 0')
        shown = _transaction(tx, landing.raw, config.get("encoding", "json"))
        meta = _meta(landing, version)
        found = {"blockTime": landing.at // 1_000_000_000, "meta": meta, "slot": landing.slot, "transaction": shown}
        return found if config.get("maxSupportedTransactionVersion") is None else {**found, "version": version}

    def request_airdrop(self, address: str, lamports: int, config: Any = None) -> str:
        self._slot(config)
        self.chain.airdrop(_key(address), lamports)
        return str(Signature.default())


_METHODS: dict[str, Callable[..., Any]] = {
    "getAccountInfo": SolanaServer.get_account_info,
    "getBalance": SolanaServer.get_balance,
    "getBlockHeight": SolanaServer.get_block_height,
    "getBlockTime": SolanaServer.get_block_time,
    "getEpochInfo": SolanaServer.get_epoch_info,
    "getEpochSchedule": SolanaServer.get_epoch_schedule,
    "getFeeForMessage": SolanaServer.get_fee_for_message,
    "getFirstAvailableBlock": SolanaServer.get_first_available_block,
    "getGenesisHash": SolanaServer.get_genesis_hash,
    "getHealth": SolanaServer.get_health,
    "getLatestBlockhash": SolanaServer.get_latest_blockhash,
    "getMinimumBalanceForRentExemption": SolanaServer.get_minimum_balance,
    "getMultipleAccounts": SolanaServer.get_multiple_accounts,
    "getProgramAccounts": SolanaServer.get_program_accounts,
    "getRecentPrioritizationFees": SolanaServer.get_recent_prioritization_fees,
    "getSignatureStatuses": SolanaServer.get_signature_statuses,
    "getSignaturesForAddress": SolanaServer.get_signatures_for_address,
    "getSlot": SolanaServer.get_slot,
    "getTokenAccountBalance": SolanaServer.get_token_account_balance,
    "getTokenAccountsByOwner": SolanaServer.get_token_accounts_by_owner,
    "getTokenSupply": SolanaServer.get_token_supply,
    "getTransaction": SolanaServer.get_transaction,
    "getVersion": SolanaServer.get_version,
    "isBlockhashValid": SolanaServer.is_blockhash_valid,
    "requestAirdrop": SolanaServer.request_airdrop,
    "sendTransaction": SolanaServer.send_transaction,
    "simulateTransaction": SolanaServer.simulate_transaction,
}


@contextmanager
def solana_server(chain: Chain | None = None) -> Iterator[SolanaServer]:
    """A local node while the block runs: `node.url` is where, `node.chain` what it stands on."""
    node = SolanaServer(chain)
    node.start()
    try:
        yield node
    finally:
        node.stop()


# -- shapes -------------------------------------------------------------------------------------------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {name: what for name, what in value.items() if what is not None}


def _key(text: Any) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except (ValueError, TypeError):
        raise ChainError(-32602, "Invalid param: Invalid") from None


def _signature(text: Any) -> Signature:
    try:
        return Signature.from_string(text)
    except (ValueError, TypeError):
        raise ChainError(-32602, "Invalid param: Invalid") from None


def _bytes(encoded: Any, encoding: str) -> bytes:
    try:
        return b64decode(encoded, validate=True) if encoding == "base64" else decode58(encoded)
    except (ValueError, TypeError) as error:
        raise ChainError(-32602, f"invalid {encoding} encoding: {error}") from None


def _ui(amount: int, decimals: int) -> dict[str, Any]:
    """A token amount, as nodes show it. The float is part of the shape; nobody should count with it."""
    digits = str(amount).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".") if decimals else digits
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(text), "uiAmountString": text}


def _fits(data: bytes, rule: Mapping[str, Any]) -> bool:
    if "dataSize" in rule:
        return len(data) == int(rule["dataSize"])
    if "memcmp" in rule:
        wanted, at = rule["memcmp"], rule["memcmp"]["offset"]
        sought = b64decode(wanted["bytes"]) if wanted.get("encoding") == "base64" else decode58(wanted["bytes"])
        return data[at : at + len(sought)] == sought
    raise ChainError(-32602, "Invalid params: unknown filter")


def _status(err: Err) -> dict[str, Any]:
    return {"Ok": None} if err is None else {"Err": err}


def _memo(landing: Landing) -> str | None:
    """The memos of a transaction as nodes list them: "[5] hello"."""
    tx = VersionedTransaction.from_bytes(landing.raw)
    found = []
    for each in tx.message.instructions:
        if str(landing.keys[each.program_id_index]).startswith("Memo"):
            data = bytes(each.data)
            found.append(f"[{len(data)}] {data.decode('utf-8', 'replace')}")
    return "; ".join(found) or None


def _inner_shown(place: int, made: tuple[Inner, ...]) -> dict[str, Any]:
    shown = [
        {"programIdIndex": each.program, "accounts": list(each.accounts), "data": encode58(each.data), "stackHeight": each.depth}
        for each in made
    ]
    return {"index": place, "instructions": shown}


def _token_shown(each: TokenBalance) -> dict[str, Any]:
    shown = {"accountIndex": each.index, "mint": str(each.mint), "owner": str(each.owner), "programId": str(each.program)}
    return {**shown, "uiTokenAmount": _ui(each.amount, each.decimals)}


def _meta(landing: Landing, version: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "computeUnitsConsumed": landing.units,
        "err": landing.err,
        "fee": landing.fee,
        "innerInstructions": [_inner_shown(place, made) for place, made in sorted(landing.inner.items())],
        "loadedAddresses": {"readonly": [str(key) for key in landing.readonly], "writable": [str(key) for key in landing.writable]},
        "logMessages": list(landing.logs),
        "postBalances": list(landing.after),
        "postTokenBalances": [_token_shown(each) for each in landing.tokens_after],
        "preBalances": list(landing.before),
        "preTokenBalances": [_token_shown(each) for each in landing.tokens_before],
        "rewards": [],
        "status": _status(landing.err),
    }
    if version == "legacy":
        del meta["loadedAddresses"]
    return meta


def _transaction(tx: VersionedTransaction, raw: bytes, encoding: str) -> Any:
    if encoding == "base64":
        return [b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [encode58(raw), "base58"]
    if encoding != "json":
        raise ChainError(-32602, f"Invalid params: the encoding {encoding} of transactions is not served here")
    message = tx.message
    head = message.header
    shown: dict[str, Any] = {
        "accountKeys": [str(key) for key in message.account_keys],
        "header": {
            "numReadonlySignedAccounts": head.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": head.num_readonly_unsigned_accounts,
            "numRequiredSignatures": head.num_required_signatures,
        },
        "instructions": [
            {"accounts": list(each.accounts), "data": encode58(bytes(each.data)), "programIdIndex": each.program_id_index, "stackHeight": 1}
            for each in message.instructions
        ],
        "recentBlockhash": str(message.recent_blockhash),
    }
    if isinstance(message, MessageV0):
        shown["addressTableLookups"] = [
            {
                "accountKey": str(each.account_key),
                "readonlyIndexes": list(each.readonly_indexes),
                "writableIndexes": list(each.writable_indexes),
            }
            for each in message.address_table_lookups
        ]
    return {"message": shown, "signatures": [str(signature) for signature in tx.signatures]}
