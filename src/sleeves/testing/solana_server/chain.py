"""A small Solana ledger: accounts, blocks and what landed, over LiteSVM. It knows no sockets and no JSON-RPC.

Money is in lamports and in the raw units of tokens. Times are UTC nanoseconds of the clock that was handed in. All methods may
be called from any thread.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from ...errors import SleevesError
from .layout import (
    COMPUTE_BUDGET,
    LOOKUP_TABLE,
    NATIVE_MINT,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    ata,
    blockhash_bytes,
    mint_bytes,
    read_decimals,
    read_token,
    table_bytes,
    token_bytes,
)

__all__ = ["Call", "Chain", "ChainError", "Inner", "Landing", "ProgramError", "State", "TokenBalance"]

MAX_AGE = 150
"""For how many blocks after its own a blockhash is good."""
FINAL_AFTER = 32
"""How many slots later a block is final."""
MOST_BYTES = 1232
PER_SIGNATURE = 5_000
_MOST_UNITS = 1_400_000
_UNITS_EACH = 200_000
_SECOND = 1_000_000_000

Err = Any
"""What went wrong with a transaction, in the chain's own JSON: "BlockhashNotFound", {"InstructionError": [0, {"Custom": 1}]}."""


class ChainError(SleevesError):
    """What a node answers instead of a result: a JSON-RPC error with its code and data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class ProgramError(SleevesError):
    """A stand-in program fails: with a number of its own (`Custom`), or with one of the chain's names."""

    def __init__(self, error: int | str, log: str = "") -> None:
        super().__init__(f"{error} {log}".strip())
        self.err: Err = {"Custom": error} if isinstance(error, int) else error
        self.log = log


@frozen(order=False)
class State:
    """What an account holds."""

    lamports: int
    owner: Pubkey = field(repr=str)
    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    executable: bool = False


@frozen(order=False)
class TokenBalance:
    """What a token account of a transaction held before or after it. `index` is its place among the transaction's accounts."""

    index: int
    mint: Pubkey = field(repr=str)
    owner: Pubkey = field(repr=str)
    program: Pubkey = field(repr=str)
    amount: int
    decimals: int


@frozen(order=False)
class Inner:
    """A call that a program made: with accounts by their places in the transaction."""

    program: int
    accounts: tuple[int, ...]
    data: bytes
    depth: int = 2


@frozen(order=False)
class Landing:
    """A transaction in a block, and what it did. `err` is None where it went well; its fee is paid in both cases."""

    signature: Signature = field(repr=str)
    slot: int
    at: int
    raw: bytes = field(repr=False)
    err: Err
    fee: int
    keys: tuple[Pubkey, ...] = field(repr=False)
    writable: tuple[Pubkey, ...] = field(repr=False)
    readonly: tuple[Pubkey, ...] = field(repr=False)
    before: tuple[int, ...] = field(repr=False)
    after: tuple[int, ...] = field(repr=False)
    tokens_before: tuple[TokenBalance, ...] = field(repr=False)
    tokens_after: tuple[TokenBalance, ...] = field(repr=False)
    logs: tuple[str, ...] = field(repr=False)
    inner: Mapping[int, tuple[Inner, ...]] = field(repr=False)
    units: int


class Call:
    """One call of a program that a stand-in plays: what it was handed, and the accounts as the calls before it left them."""

    def __init__(self, program: Pubkey, accounts: tuple[AccountMeta, ...], data: bytes, look: Callable[[Pubkey], State | None]) -> None:
        self.program = program
        self.accounts = accounts
        self.data = data
        self.logs: list[str] = []
        self.writes: dict[Pubkey, State] = {}
        self.units = 0
        """Compute units that the program takes; the stand-in says how many."""
        self.signed: set[Pubkey] = set()
        self.closed: list[tuple[Pubkey, Pubkey]] = []
        self._look = look

    def account(self, address: Pubkey) -> State | None:
        """What is there at this point of the transaction; None where nothing is."""
        state = self.writes.get(address) or self._look(address)
        return state if state is not None and state.lamports else None

    def tokens(self, address: Pubkey) -> int:
        """What a token account holds at this point; 0 where there is none."""
        state = self.account(address)
        read = state and read_token(state.owner, state.data)
        return read.amount if read else 0

    def write(self, address: Pubkey, data: bytes) -> None:
        """Change an account of this program itself. Raises `ProgramError` for what it does not own or may not write."""
        state = self.account(address)
        if state is None or state.owner != self.program:
            raise ProgramError("ExternalAccountDataModified", f"{address} is not owned by {self.program}")
        if not any(meta.pubkey == address and meta.is_writable for meta in self.accounts):
            raise ProgramError("ReadonlyDataModified", f"{address} was not handed over for writing")
        self.writes[address] = State(state.lamports, state.owner, bytes(data))

    def make(self, address: Pubkey, data: bytes, lamports: int) -> None:
        """Fill an account that a call of this one's makes in the System program, with `lamports` as its rent.

        Raises `ProgramError` where there is one already, or where it was not handed over for writing.
        """
        if self.account(address) is not None:
            raise ProgramError(0, f"Allocate: account Address {{ address: {address} }} already in use")
        if not any(meta.pubkey == address and meta.is_writable for meta in self.accounts):
            raise ProgramError("ReadonlyDataModified", f"{address} was not handed over for writing")
        self.writes[address] = State(lamports, self.program, bytes(data))

    def close(self, address: Pubkey, to: Pubkey) -> None:
        """Give an account of this program up; `to` gets its lamports. Raises `ProgramError` as `write` does."""
        self.write(address, b"")
        if not any(meta.pubkey == to and meta.is_writable for meta in self.accounts):
            raise ProgramError("ReadonlyLamportChange", f"{to} was not handed over for writing")
        self.closed.append((address, to))
        self.writes[address] = State(0, SYSTEM, b"")

    def sign(self, *seeds: bytes) -> Pubkey:
        """Sign the calls that follow with the address that this program derives from seeds."""
        address = Pubkey.find_program_address(list(seeds), self.program)[0]
        self.signed.add(address)
        return address

    def log(self, text: str) -> None:
        """A line in the transaction's logs."""
        self.logs.append(f"Program log: {text}")

    def tell(self, data: bytes) -> None:
        """An event in the transaction's logs."""
        self.logs.append(f"Program data: {b64encode(data).decode()}")


StandIn = Callable[[Call], "Sequence[Instruction]"]


@frozen(order=False)
class _StandIn:
    run: StandIn
    owns: frozenset[Pubkey]


@define
class _Run:
    """What running a transaction came to."""

    err: Err
    logs: list[str]
    units: int
    fee: int
    inner: dict[int, tuple[Inner, ...]]
    after: dict[Pubkey, State | None]
    charged: bool = False


@frozen(order=False)
class _Opened:
    """A transaction with its lookup tables resolved."""

    tx: VersionedTransaction
    raw: bytes
    keys: tuple[Pubkey, ...]
    written: tuple[Pubkey, ...]
    read: tuple[Pubkey, ...]
    instructions: tuple[Instruction, ...]

    @property
    def signature(self) -> Signature:
        return self.tx.signatures[0]

    @property
    def message(self) -> Any:
        return self.tx.message

    @property
    def payer(self) -> Pubkey:
        return self.keys[0]


class Chain:
    """A chain of one node. It moves on when it is told to, or by itself with `slot_ns` nanoseconds to a slot.

    `slots_per_epoch` is how long an epoch is. The first slot and the first epoch are far from zero, and the height of a block
    is lower than its slot, as it is on the real chain: who takes one for the other finds out here.
    """

    def __init__(
        self,
        *,
        slot_ns: int = 0,
        slots_per_epoch: int = 432_000,
        first_slot: int = 400_000_000,
        clock: Callable[[], int] = time.time_ns,
        seed: str = "sleeves",
    ) -> None:
        self._svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self._svm.set_epoch_schedule(EpochSchedule.without_warmup())
        self._lock = threading.RLock()
        self._slot_ns = slot_ns
        self._slots_per_epoch = slots_per_epoch
        self._first = first_slot
        self._moved = 0
        self._clock = clock
        self._begin = clock()
        self._seed = seed
        self._serial = 0
        self._heights: dict[Hash, int] = {}
        self._known: set[Pubkey] = set()
        self._landed: dict[Signature, Landing] = {}
        self._by_address: dict[Pubkey, list[Signature]] = {}
        self._waiting: list[tuple[int, _Opened]] = []
        self._programs: dict[Pubkey, _StandIn] = {}
        self._watchers: list[Callable[[], None]] = []
        self.unit_prices: list[int] = []
        """What the latest transactions paid per compute unit, in micro-lamports."""
        self.set_account(NATIVE_MINT, owner=TOKEN, data=mint_bytes(9, 0, None))
        self._tick()

    # -- time -----------------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self._clock()

    @property
    def first_slot(self) -> int:
        """The slot at which this chain began."""
        return self._first

    @property
    def slot(self) -> int:
        with self._lock:
            passed = (self._clock() - self._begin) // self._slot_ns if self._slot_ns else 0
            return self._first + self._moved + max(0, passed)

    @property
    def block_height(self) -> int:
        return self.height(self.slot)

    def height(self, slot: int) -> int:
        """How many blocks there were at a slot: one slot in twenty had none, before this chain began."""
        return slot - self._first // 20

    @property
    def epoch(self) -> int:
        return self.slot // self._slots_per_epoch

    def epoch_at(self, slot: int) -> tuple[int, int, int]:
        """The epoch of a slot, how far it is into it, and how long it is."""
        return slot // self._slots_per_epoch, slot % self._slots_per_epoch, self._slots_per_epoch

    def advance(self, slots: int = 1) -> None:
        """Let slots pass. What was held back lands when its slot comes, if its blockhash is still good."""
        with self._lock:
            for _ in range(min(slots, 1000)):
                self._moved += 1
                self._tick()
                self._tell()
            self._moved += max(0, slots - 1000)
            self._tick()
            self._tell()

    def advance_epoch(self) -> None:
        """Go to the first slot of the next epoch."""
        with self._lock:
            self._moved += self._slots_per_epoch - self.slot % self._slots_per_epoch
            self._tick()
            self._tell()

    def blockhash(self, behind: int = 0) -> tuple[Hash, int]:
        """The latest blockhash, or that of so many blocks before, and the last height at which it is good."""
        with self._lock:
            height = self.block_height - behind
            found = Hash(blockhash_bytes(self._seed, height))
            self._heights[found] = height
            return found, height + MAX_AGE

    def is_valid(self, blockhash: Hash, behind: int = 0) -> bool:
        """Whether a blockhash is good now, or was so many blocks before."""
        height = self._heights.get(blockhash)
        return height is not None and 0 <= self.block_height - behind - height <= MAX_AGE

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have this called after whatever changes, under the chain's lock and by whoever changed it. Returns how to end that."""
        with self._lock:
            self._watchers.append(watcher)

        def end() -> None:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

        return end

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()

    @property
    def landings(self) -> list[Landing]:
        """All that landed, the oldest first."""
        with self._lock:
            return list(self._landed.values())

    # -- accounts -------------------------------------------------------------------------------------------------------------

    def account(self, address: Pubkey) -> State | None:
        """What is there; None where nothing is."""
        with self._lock:
            found = self._svm.get_account(address)
        return None if found is None or not found.lamports else State(found.lamports, found.owner, bytes(found.data), found.executable)

    def accounts_of(self, program: Pubkey) -> list[tuple[Pubkey, State]]:
        """All accounts that a program owns, in the order of their addresses."""
        with self._lock:
            found = ((key, self.account(key)) for key in self._known)
            return sorted(((key, it) for key, it in found if it and it.owner == program), key=lambda pair: bytes(pair[0]))

    def balance(self, address: Pubkey) -> int:
        """Lamports of an account."""
        state = self.account(address)
        return state.lamports if state else 0

    def tokens(self, owner: Pubkey, mint: Pubkey) -> int:
        """What all token accounts of a wallet hold of a mint, in raw units."""
        found = (read_token(state.owner, state.data) for program in (TOKEN, TOKEN_2022) for _, state in self.accounts_of(program))
        return sum(read.amount for read in found if read and (read.owner, read.mint) == (owner, mint))

    def rent(self, size: int) -> int:
        """The lamports that keep an account of so many bytes alive."""
        return int(self._svm.minimum_balance_for_rent_exemption(size))

    def set_account(self, address: Pubkey, *, owner: Pubkey = SYSTEM, data: bytes = b"", lamports: int | None = None) -> None:
        """Put an account there, out of nowhere. Without `lamports` it has its rent; with 0 it is gone."""
        with self._lock:
            has = self.rent(len(data)) if lamports is None else lamports
            self._known.add(address)
            self._svm.set_account(address, Account(has, data, owner, False, 0))
            self._tell()

    def airdrop(self, address: Pubkey, lamports: int) -> None:
        """Lamports out of nowhere."""
        with self._lock:
            state = self.account(address) or State(0, SYSTEM, b"")
            self.set_account(address, owner=state.owner, data=state.data, lamports=state.lamports + lamports)

    def create_mint(
        self,
        decimals: int,
        *,
        mint: Pubkey | None = None,
        authority: Pubkey | None = None,
        freezer: Pubkey | None = None,
        program: Pubkey = TOKEN,
    ) -> Pubkey:
        """A new token; at an address of its own, or at a known one."""
        mint = mint or self._fresh("mint")
        self.set_account(mint, owner=program, data=mint_bytes(decimals, 0, authority, freezer))
        return mint

    def mint_to(self, mint: Pubkey, owner: Pubkey, amount: int) -> Pubkey:
        """Tokens out of nowhere, into a wallet's associated account, whose address is returned. Wrapped SOL has its lamports too."""
        with self._lock:
            home = self.account(mint)
            if home is None or home.owner not in (TOKEN, TOKEN_2022):
                raise ValueError(f"{mint} is no mint of this chain: create_mint makes one")
            address = ata(owner, mint, home.owner)
            state = self.account(address)
            if state is None:
                native = self.rent(165) if mint == NATIVE_MINT else None
                state = State(self.rent(165), home.owner, token_bytes(mint, owner, 0, native))
            has = int.from_bytes(state.data[64:72], "little") + amount
            data = state.data[:64] + has.to_bytes(8, "little") + state.data[72:]
            lamports = state.lamports + (amount if mint == NATIVE_MINT else 0)
            self.set_account(address, owner=home.owner, data=data, lamports=lamports)
            if mint != NATIVE_MINT:
                supply = int.from_bytes(home.data[36:44], "little") + amount
                self.set_account(mint, owner=home.owner, data=home.data[:36] + supply.to_bytes(8, "little") + home.data[44:])
            return address

    def create_table(self, addresses: Sequence[Pubkey], *, deactivated: int | None = None) -> Pubkey:
        """A lookup table with these addresses; given up at a slot, if told."""
        table = self._fresh("table")
        self.set_account(table, owner=LOOKUP_TABLE, data=table_bytes(list(addresses), slot=self.slot - 1, deactivated=deactivated))
        return table

    def program(self, program: Pubkey, stand_in: StandIn, owns: Iterable[Pubkey] = ()) -> None:
        """Play a program that is not run here. The stand-in gets a `Call` and gives the calls that the program would make.

        Those run in the real programs, atomically with the rest of the transaction, and are held to the chain's rules: only
        accounts and programs that the call was handed, nothing written that it may not write, and no signature but those it was
        handed and those of `owns`, the addresses that belong to the program. It raises `ProgramError` to fail.
        """
        with self._lock:
            self._programs[program] = _StandIn(stand_in, frozenset(owns))

    # -- transactions ---------------------------------------------------------------------------------------------------------

    def send(self, raw: bytes, *, skip_preflight: bool = False, fate: tuple[str, Any] | None = None) -> Signature:
        """Take a transaction as a node does. Raises `ChainError` where a node answers with an error.

        `fate` is what becomes of it then: ("dropped", None) never lands, ("late", slots) lands so much later, if it still may,
        ("fails", err) lands with that error and has its fee taken. With `skip_preflight` nothing is looked at before it is taken.
        """
        with self._lock:
            self._tick()
            opened = self._open(raw)
            if not skip_preflight:
                self._preflight(opened)
            kind, what = fate or ("", 0)
            if kind == "late":
                self._waiting.append((self.slot + int(what), opened))
            elif kind != "dropped":
                self._land(opened, what if kind == "fails" else None)
            self._tell()
            return opened.signature

    def simulate(self, raw: bytes, *, verify: bool = False, replace: bool = False) -> tuple[_Run, tuple[Pubkey, ...]]:
        """What a transaction would do, and its accounts. Nothing is changed. It need not be signed, unless `verify`."""
        with self._lock:
            self._tick()
            opened = self._open(raw)
            if verify and not self._signed(opened):
                return _Run("SignatureFailure", [], 0, 0, {}, {}), opened.keys
            if not replace and not self.is_valid(opened.message.recent_blockhash):
                return _Run("BlockhashNotFound", [], 0, 0, {}, {}), opened.keys
            if opened.signature in self._landed:
                return _Run("AlreadyProcessed", [], 0, 0, {}, {}), opened.keys
            return self._run(opened), opened.keys

    def land(self, raws: Sequence[bytes]) -> list[Landing]:
        """Transactions that land together, in order and in one slot, or not at all: then `ChainError` says which one and why."""
        with self._lock:
            self._tick()
            opened = [self._open(raw) for raw in raws]
            kept = {key: self.account(key) for each in opened for key in each.keys}
            landed: list[Landing] = []
            for place, each in enumerate(opened):
                done = self._land(each) if self._signed(each) else None
                if done is not None:
                    landed.append(done)
                if done is None or done.err is not None:
                    for key, state in kept.items():
                        self._put(key, state)
                    for one in landed:
                        self._forget(one)
                    err = "it does not land" if done is None else json.dumps(done.err)
                    raise ChainError(-32000, f"transaction {place} of the bundle: {err}", {"err": done and done.err, "index": place})
            self._tell()
            return landed

    def landing(self, signature: Signature) -> Landing | None:
        """A transaction that landed."""
        with self._lock:
            self._tick()
            return self._landed.get(signature)

    def landings_of(self, address: Pubkey) -> list[Landing]:
        """All that landed with an address among its accounts, the latest first."""
        with self._lock:
            self._tick()
            return [self._landed[signature] for signature in reversed(self._by_address.get(address, []))]

    def fee_of(self, raw: bytes) -> int:
        """What a transaction costs, signatures and priority."""
        with self._lock:
            return self._fee(self._open(raw))

    # -- what happens inside --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Set the chain's clock, and land what was held back until now."""
        slot, seconds = self.slot, self._clock() // _SECOND
        epoch, index, _ = self.epoch_at(slot)
        self._svm.set_clock(Clock(slot, seconds - index * 2 // 5, epoch, epoch + 1, seconds))
        due = [opened for at, opened in self._waiting if at <= slot]
        self._waiting = [(at, opened) for at, opened in self._waiting if at > slot]
        for opened in due:
            self._land(opened)

    def _fresh(self, what: str) -> Pubkey:
        with self._lock:
            self._serial += 1
            return Pubkey(blockhash_bytes(f"{self._seed} {what}", self._serial))

    def _put(self, address: Pubkey, state: State | None) -> None:
        state = state or State(0, SYSTEM, b"")
        if not state.executable:
            self._svm.set_account(address, Account(state.lamports, state.data, state.owner, False, 0))

    def _open(self, raw: bytes) -> _Opened:
        """Read a transaction. Raises `ChainError` for what is none."""
        if len(raw) > MOST_BYTES:
            raise ChainError(
                -32602, f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} bytes (max: {MOST_BYTES} bytes)"
            )
        try:
            tx = VersionedTransaction.from_bytes(raw)
            tx.sanitize()
        except Exception as error:
            raise ChainError(-32602, f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}") from None
        message = tx.message
        if not isinstance(message, (Message, MessageV0)):
            raise ChainError(-32602, "invalid transaction: a version that is not served here")
        written: list[Pubkey] = []
        read: list[Pubkey] = []
        for lookup in message.address_table_lookups if isinstance(message, MessageV0) else ():
            table = self.account(lookup.account_key)
            if table is None or table.owner != LOOKUP_TABLE or len(table.data) < 56:
                raise ChainError(
                    -32602, f"invalid transaction: Transaction address table lookup uses an invalid or unknown account {lookup.account_key}"
                )
            listed = [Pubkey(table.data[at : at + 32]) for at in range(56, len(table.data), 32)]
            if max([*lookup.writable_indexes, *lookup.readonly_indexes], default=0) >= len(listed):
                raise ChainError(-32602, "invalid transaction: Transaction address table lookup uses an invalid index")
            written += [listed[at] for at in lookup.writable_indexes]
            read += [listed[at] for at in lookup.readonly_indexes]
        keys = (*message.account_keys, *written, *read)
        signers = message.header.num_required_signatures
        last = len(message.account_keys) - message.header.num_readonly_unsigned_accounts
        may_write = [
            place < signers - message.header.num_readonly_signed_accounts
            or signers <= place < last
            or len(message.account_keys) <= place < len(message.account_keys) + len(written)
            for place in range(len(keys))
        ]
        instructions = tuple(
            Instruction(
                keys[each.program_id_index], bytes(each.data), [AccountMeta(keys[at], at < signers, may_write[at]) for at in each.accounts]
            )
            for each in message.instructions
        )
        return _Opened(tx, raw, keys, tuple(written), tuple(read), instructions)

    def _signed(self, opened: _Opened) -> bool:
        signed = to_bytes_versioned(opened.message)
        pairs = zip(opened.tx.signatures, opened.keys, strict=False)
        return all(signature.verify(key, signed) for signature, key in pairs)

    def _preflight(self, opened: _Opened) -> None:
        if not self._signed(opened):
            raise ChainError(-32003, "Transaction signature verification failure")
        if opened.signature in self._landed:
            raise _refused("AlreadyProcessed", "This transaction has already been processed", [], 0)
        if not self.is_valid(opened.message.recent_blockhash):
            raise _refused("BlockhashNotFound", "Blockhash not found", [], 0)
        run = self._run(opened)
        if run.err is not None:
            raise _refused(run.err, said(run.err), run.logs, run.units)

    def _land(self, opened: _Opened, forced: Err = None) -> Landing | None:
        """Put a transaction into a block, if it may; None where it never gets into one."""
        if opened.signature in self._landed or not self._signed(opened) or not self.is_valid(opened.message.recent_blockhash):
            return None
        before = {key: self.account(key) for key in opened.keys}
        run = self._run(opened, commit=True, forced=forced)
        if not run.charged:
            return None
        after = {key: self.account(key) for key in opened.keys}
        landing = Landing(
            signature=opened.signature,
            slot=self.slot,
            at=self._clock(),
            raw=opened.raw,
            err=run.err,
            fee=run.fee,
            keys=opened.keys,
            writable=opened.written,
            readonly=opened.read,
            before=tuple(_lamports(before[key]) for key in opened.keys),
            after=tuple(_lamports(after[key]) for key in opened.keys),
            tokens_before=self._token_balances(opened.keys, before),
            tokens_after=self._token_balances(opened.keys, after),
            logs=tuple(run.logs),
            inner=run.inner,
            units=run.units,
        )
        self._landed[landing.signature] = landing
        self._known.update(opened.keys)
        for key in dict.fromkeys(opened.keys):
            self._by_address.setdefault(key, []).append(landing.signature)
        self.unit_prices = [*self.unit_prices[-149:], _budget(opened.instructions)[1]]
        return landing

    def _forget(self, landing: Landing) -> None:
        self._landed.pop(landing.signature, None)
        for key in dict.fromkeys(landing.keys):
            self._by_address[key].remove(landing.signature)

    def _token_balances(self, keys: Sequence[Pubkey], states: Mapping[Pubkey, State | None]) -> tuple[TokenBalance, ...]:
        found = []
        for place, key in enumerate(keys):
            state = states[key]
            read = state and read_token(state.owner, state.data)
            mint = read and self.account(read.mint)
            if state and read and mint:
                found.append(TokenBalance(place, read.mint, read.owner, state.owner, read.amount, read_decimals(mint.data)))
        return tuple(found)

    def _fee(self, opened: _Opened) -> int:
        limit, price = _budget(opened.instructions)
        return PER_SIGNATURE * int(opened.message.header.num_required_signatures) + -(-price * limit // 1_000_000)

    def _run(self, opened: _Opened, *, commit: bool = False, forced: Err = None) -> _Run:
        """Run a transaction, for good or to see what it would do."""
        if forced is not None:
            return self._charge(opened, forced, ["Program log: made to fail"], commit)
        if not any(each.program_id in self._programs for each in opened.instructions):
            return self._execute(opened, opened.tx, list(range(len(opened.instructions))), commit)
        steps: list[Instruction] = []
        places: list[int] = []
        logs: list[str] = []
        inner: dict[int, tuple[Inner, ...]] = {}
        writes: dict[Pubkey, State] = {}
        closed: list[tuple[Pubkey, Pubkey, int]] = []
        units, limit = 0, _budget(opened.instructions)[0]
        for place, each in enumerate(opened.instructions):
            stand_in = self._programs.get(each.program_id)
            if stand_in is None:
                steps.append(each)
                places.append(place)
                continue
            call = Call(each.program_id, tuple(each.accounts), bytes(each.data), self._seen(opened, steps, writes))
            begun = f"Program {each.program_id} invoke [1]"
            try:
                made = list(stand_in.run(call))
                _held_to_the_rules(call, made, stand_in.owns | call.signed)
                if units + call.units > limit:
                    raise ProgramError("ProgramFailedToComplete", "exceeded CUs meter at BPF instruction")
            except ProgramError as error:
                why = f"Program {each.program_id} failed: {_why(error.err)}"
                told = [*logs, begun, *call.logs, f"Program log: {error.log}", why]
                run = self._charge(opened, {"InstructionError": [place, error.err]}, told, commit)
                run.units = min(limit, run.units + units + call.units)
                return run
            spent = [f"Program {each.program_id} consumed {call.units} of {limit - units} compute units"] if call.units else []
            logs += [begun, *call.logs, *spent, f"Program {each.program_id} success"]
            units += call.units
            for address, to in call.closed:
                gone = self.account(address) if address not in writes else writes[address]
                closed.append((address, to, _lamports(gone)))
            writes.update(call.writes)
            inner[place] = tuple(_inner(opened.keys, one) for one in made)
            steps += made
            places += [place] * len(made)
        run = self._execute(opened, *self._rewritten(opened, steps, places), commit)
        run.logs, run.inner, run.units = [*logs, *run.logs], {**run.inner, **inner}, run.units + units
        if run.err is None:
            run.after.update(writes)
            if commit:
                for key, state in writes.items():
                    self._put(key, state)
            for _, to, lamports in closed:
                has = (None if commit else run.after.get(to)) or self.account(to) or State(0, SYSTEM, b"")
                got = State(has.lamports + lamports, has.owner, has.data, has.executable)
                run.after[to] = got
                if commit:
                    self._put(to, got)
        return run

    def _seen(self, opened: _Opened, steps: Sequence[Instruction], writes: Mapping[Pubkey, State]) -> Callable[[Pubkey], State | None]:
        """Accounts as the calls so far leave them."""
        found: dict[Pubkey, State | None] = {}
        earlier = list(steps)

        def look(address: Pubkey) -> State | None:
            if earlier:
                run = self._execute(opened, *self._rewritten(opened, earlier, [0] * len(earlier)), False)
                found.update(run.after)
                earlier.clear()
            return writes.get(address) or (found[address] if address in found else self.account(address))

        return look

    def _rewritten(self, opened: _Opened, steps: Sequence[Instruction], places: Sequence[int]) -> tuple[VersionedTransaction, list[int]]:
        """A transaction of calls that can be run here, with the original's limit of compute units."""
        limit, _ = _budget(opened.instructions)
        said_so = any(each.program_id == COMPUTE_BUDGET and bytes(each.data)[:1] == b"\2" for each in steps)
        lead = [] if said_so else [Instruction(COMPUTE_BUDGET, b"\2" + limit.to_bytes(4, "little"), [])]
        message = MessageV0.try_compile(opened.payer, [*lead, *steps], [], opened.message.recent_blockhash)
        blank = [Signature.default()] * message.header.num_required_signatures
        return VersionedTransaction.populate(message, blank), [0] * len(lead) + list(places)

    def _charge(self, opened: _Opened, err: Err, logs: list[str], commit: bool) -> _Run:
        """Take the fee of a transaction that fails, and nothing else."""
        budget = [each for each in opened.instructions if each.program_id == COMPUTE_BUDGET]
        run = self._execute(opened, *self._rewritten(opened, budget, [0] * len(budget)), commit)
        return _Run(err, logs, run.units, run.fee, {}, run.after, run.charged)

    def _execute(self, opened: _Opened, tx: VersionedTransaction, places: Sequence[int], commit: bool) -> _Run:
        """Have LiteSVM run it. It charges by the signatures that it sees, which a rewritten one has more or fewer of."""
        more = (tx.message.header.num_required_signatures - opened.message.header.num_required_signatures) * PER_SIGNATURE
        kept = self.account(opened.payer)
        if more and kept is not None:
            self._put(opened.payer, State(max(0, kept.lamports + more), kept.owner, kept.data))
        done: Any = self._svm.send_transaction(tx) if commit else self._svm.simulate_transaction(tx)
        failed = isinstance(done, FailedTransactionMetadata)
        meta: Any = done.meta() if hasattr(done, "meta") else done
        now = self.account(opened.payer)
        charged = commit and _lamports(now) != _lamports(kept) + more
        if more and not charged:
            self._put(opened.payer, kept)
        err = _err(json.loads(done.to_json())["err"], places) if failed else None
        after: dict[Pubkey, State | None] = {}
        if not failed and not commit:
            for key, it in done.post_accounts():
                after[key] = State(it.lamports, it.owner, bytes(it.data), it.executable) if it.lamports else None
        inner = _inners(meta, tx, opened, places) if not failed else {}
        told = meta.fee() if hasattr(meta, "fee") else self._fee(opened) + more  # solders 0.26 does not tell it
        fee = told - more if told else 0
        return _Run(err, list(meta.logs()), meta.compute_units_consumed(), fee, inner, after, charged)


def said(err: Err) -> str:
    """What a node says of an error, in its words."""
    if isinstance(err, str):
        return err
    if isinstance(err, dict) and "InstructionError" in err:
        place, why = err["InstructionError"]
        if isinstance(why, dict) and "Custom" in why:
            return f"Error processing Instruction {place}: custom program error: {why['Custom']:#x}"
        return f"Error processing Instruction {place}: {why}"
    return json.dumps(err)


def _why(err: Err) -> str:
    """What a program's failure is called in the logs."""
    return f"custom program error: {err['Custom']:#x}" if isinstance(err, dict) and "Custom" in err else str(err)


def _refused(err: Err, why: str, logs: list[str], units: int) -> ChainError:
    data = {"accounts": None, "err": err, "innerInstructions": None, "logs": logs, "replacementBlockhash": None, "returnData": None}
    return ChainError(-32002, f"Transaction simulation failed: {why}", {**data, "unitsConsumed": units})


def _lamports(state: State | None) -> int:
    return state.lamports if state else 0


def _err(err: Err, places: Sequence[int]) -> Err:
    """An error with the place that the instruction has in the original."""
    if isinstance(err, dict) and "InstructionError" in err:
        place, why = err["InstructionError"]
        return {"InstructionError": [places[place], why]}
    return err


def _budget(instructions: Iterable[Instruction]) -> tuple[int, int]:
    """The limit of compute units and the price of one in micro-lamports."""
    limit, price, counted = None, 0, 0
    for each in instructions:
        data = bytes(each.data)
        if each.program_id != COMPUTE_BUDGET:
            counted += 1
        elif data[:1] == b"\2":
            limit = int.from_bytes(data[1:5], "little")
        elif data[:1] == b"\3":
            price = int.from_bytes(data[1:9], "little")
    return min(_MOST_UNITS, _UNITS_EACH * counted if limit is None else limit), price


def _held_to_the_rules(call: Call, made: Sequence[Instruction], owns: frozenset[Pubkey]) -> None:
    """What the chain allows a program to hand on."""
    handed = {meta.pubkey for meta in call.accounts}
    written = {meta.pubkey for meta in call.accounts if meta.is_writable}
    signed = {meta.pubkey for meta in call.accounts if meta.is_signer} | owns
    for each in made:
        for meta in each.accounts:
            if meta.pubkey not in handed:
                raise ProgramError("MissingAccount", f"{meta.pubkey} was not handed to {call.program}")
            if (meta.is_writable and meta.pubkey not in written) or (meta.is_signer and meta.pubkey not in signed):
                raise ProgramError("PrivilegeEscalation", f"{meta.pubkey}'s writable or signer privilege escalated")
        if each.program_id not in handed:
            raise ProgramError("MissingAccount", f"the program {each.program_id} was not handed to {call.program}")


def _inner(keys: Sequence[Pubkey], made: Instruction) -> Inner:
    places = {key: place for place, key in reversed(list(enumerate(keys)))}
    return Inner(places.get(made.program_id, 0), tuple(places.get(meta.pubkey, 0) for meta in made.accounts), bytes(made.data))


def _inners(meta: Any, tx: VersionedTransaction, opened: _Opened, places: Sequence[int]) -> dict[int, tuple[Inner, ...]]:
    """The calls that real programs made, with accounts by their places in the original."""
    if tx is not opened.tx:
        return {}
    found = {}
    for place, calls in enumerate(meta.inner_instructions()):
        if calls:
            made = [(each.instruction(), each.stack_height() or 2) for each in calls]
            found[places[place]] = tuple(Inner(one.program_id_index, tuple(one.accounts), bytes(one.data), depth) for one, depth in made)
    return found
