"""A transaction as bytes, read and written: who signs, which accounts each instruction may touch, and what it says.

Nothing is judged here (see `guard`), nothing is signed and nothing is asked. Source: Solana's transaction format, legacy and
version 0 with lookup tables; a whole transaction is at most 1232 bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from attrs import field, frozen
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction as Written
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ...errors import InvalidMarket, VenueRejected

__all__ = ["MOST_BYTES", "Decoded", "Instruction", "Key", "Refused", "Tables", "compile_v0", "read_transaction"]

MOST_BYTES = 1232
"""The most bytes of a transaction."""

Tables = Mapping[Pubkey, Sequence[Pubkey]]
"""Lookup tables by their address: the addresses that each lists, in order."""


class Refused(VenueRejected):
    """A transaction that is not signed. `rule` names the rule that it breaks. Nothing was sent."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule
        self.why = why


@frozen(order=False)
class Key:
    """An account of a transaction, and what the transaction may do with it. `by_table`: its address stands in a lookup table."""

    address: Pubkey = field(repr=str)
    signer: bool
    writable: bool
    by_table: bool = False


@frozen(order=False)
class Instruction:
    """One call of a program, as a transaction has it. `place` is its number in the transaction, from 0."""

    place: int
    program: Key
    accounts: tuple[Key, ...] = field(repr=False)
    data: bytes = field(repr=False)


@frozen(order=False)
class Decoded:
    """A transaction, read whole. The first of `keys` pays its fee; `signed` is what a signature covers."""

    raw: bytes = field(repr=False)
    version: Literal["legacy", 0]
    keys: tuple[Key, ...] = field(repr=False)
    signatures: tuple[Signature, ...] = field(repr=False)
    blockhash: Hash = field(repr=str)
    tables: tuple[Pubkey, ...]
    instructions: tuple[Instruction, ...] = field(repr=False)
    signed: bytes = field(repr=False)

    @property
    def payer(self) -> Pubkey:
        return self.keys[0].address

    @property
    def signers(self) -> tuple[Pubkey, ...]:
        return tuple(key.address for key in self.keys if key.signer)

    @property
    def writable(self) -> tuple[Pubkey, ...]:
        return tuple(key.address for key in self.keys if key.writable)


def read_transaction(raw: bytes, tables: Tables | None = None) -> Decoded:
    """Read a transaction, its lookup tables resolved with those given.

    Raises `Refused` for what cannot be read as one whole transaction and nothing more, for a table that is not given or has no
    such entry, and for an account that it lists twice.
    """
    if not isinstance(raw, bytes):
        raise Refused("unreadable", f"a transaction is bytes, not {type(raw).__name__}")
    if len(raw) > MOST_BYTES:
        raise Refused("size", f"{len(raw)} bytes; a transaction has at most {MOST_BYTES}")
    try:
        tx = VersionedTransaction.from_bytes(raw)
        tx.sanitize()
        whole = bytes(tx) == raw
    except Exception as error:  # solders has several classes for this
        raise Refused("unreadable", f"no transaction: {error}") from None
    if not whole:
        raise Refused("unreadable", "bytes are left over after the transaction")
    message = tx.message
    if not isinstance(message, (Message, MessageV0)):
        raise Refused("version", f"a transaction of the form {type(message).__name__} is not understood")
    head, static = message.header, message.account_keys
    writes_signed = head.num_required_signatures - head.num_readonly_signed_accounts
    writes_plain = len(static) - head.num_readonly_unsigned_accounts
    signers = head.num_required_signatures
    keys = [Key(key, at < signers, at < writes_signed or signers <= at < writes_plain) for at, key in enumerate(static)]
    used: list[Pubkey] = []
    written: list[Key] = []
    read: list[Key] = []
    for lookup in message.address_table_lookups if isinstance(message, MessageV0) else ():
        used.append(lookup.account_key)
        listed = (tables or {}).get(lookup.account_key)
        if listed is None:
            raise Refused("tables", f"the lookup table {lookup.account_key} is not known")
        if max([*lookup.writable_indexes, *lookup.readonly_indexes], default=-1) >= len(listed):
            raise Refused("tables", f"the lookup table {lookup.account_key} has {len(listed)} entries, and a later one is used")
        written += [Key(listed[at], False, True, True) for at in lookup.writable_indexes]
        read += [Key(listed[at], False, False, True) for at in lookup.readonly_indexes]
    keys += [*written, *read]
    if len({key.address for key in keys}) != len(keys):
        raise Refused("twice", "one account is listed twice")
    most = max((max([one.program_id_index, *one.accounts]) for one in message.instructions), default=0)
    if most >= len(keys):
        raise Refused("unreadable", f"an instruction uses account {most} of {len(keys)}")
    instructions = tuple(
        Instruction(place, keys[one.program_id_index], tuple(keys[at] for at in one.accounts), bytes(one.data))
        for place, one in enumerate(message.instructions)
    )
    return Decoded(
        raw=raw,
        version=0 if isinstance(message, MessageV0) else "legacy",
        keys=tuple(keys),
        signatures=tuple(tx.signatures),
        blockhash=message.recent_blockhash,
        tables=tuple(used),
        instructions=instructions,
        signed=to_bytes_versioned(message),
    )


def compile_v0(
    payer: Pubkey, instructions: Sequence[Written], blockhash: Hash, tables: Tables | None = None, *, static: Iterable[Pubkey] = ()
) -> bytes:
    """An unsigned version 0 transaction, its signatures blank. `static` are addresses that no lookup table may stand for: tips.

    Raises `InvalidMarket` where it cannot be written, or not in 1232 bytes.
    """
    kept = set(static)
    known = [
        AddressLookupTableAccount(table, [_other(table, at) if key in kept else key for at, key in enumerate(listed)])
        for table, listed in (tables or {}).items()
    ]
    try:
        message = MessageV0.try_compile(payer, list(instructions), known, blockhash)
        blank = [Signature.default()] * message.header.num_required_signatures
        raw = bytes(VersionedTransaction.populate(message, blank))
    except Exception as error:  # solders has several classes for this
        raise InvalidMarket(f"these instructions make no transaction: {error}") from None
    if len(raw) > MOST_BYTES:
        raise InvalidMarket(f"these instructions make a transaction of {len(raw)} bytes; at most {MOST_BYTES} are sent")
    return raw


def table_keys(raw: bytes) -> tuple[Pubkey, ...]:
    """The lookup tables that a transaction uses, which must be read before it can be. Raises `Refused` for what is no transaction."""
    try:
        message = VersionedTransaction.from_bytes(raw).message
    except Exception as error:
        raise Refused("unreadable", f"no transaction: {error}") from None
    return tuple(lookup.account_key for lookup in message.address_table_lookups) if isinstance(message, MessageV0) else ()


def called(raw: bytes, *programs: Pubkey) -> tuple[bytes, ...]:
    """The data of each call of these programs that a transaction makes itself, in order. Raises `Refused` for what is no transaction."""
    try:
        message = VersionedTransaction.from_bytes(raw).message
    except Exception as error:
        raise Refused("unreadable", f"no transaction: {error}") from None
    keys = message.account_keys
    calls = (one for one in message.instructions if one.program_id_index < len(keys))
    return tuple(bytes(one.data) for one in calls if keys[one.program_id_index] in programs)


def base64_of(raw: bytes) -> str:
    """Bytes as nodes take them."""
    return b64encode(raw).decode()


def _other(table: Pubkey, at: int) -> Pubkey:
    """An address that nobody has, in the place of one that must not be taken from a table."""
    return Pubkey.find_program_address([b"static", at.to_bytes(2, "little")], table)[0]
