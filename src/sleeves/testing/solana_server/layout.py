"""The bytes of token accounts, mints and lookup tables, as their programs lay them out. It knows no ledger.

Source: the layouts that the SPL Token and Address Lookup Table programs publish: a mint is 82 bytes, a token account 165, a
lookup table 56 bytes and then its addresses.
"""

from __future__ import annotations

import struct
from hashlib import sha256

from attrs import frozen
from solders.pubkey import Pubkey

__all__ = [
    "ATA",
    "COMPUTE_BUDGET",
    "LOOKUP_TABLE",
    "NATIVE_MINT",
    "SYSTEM",
    "TOKEN",
    "TOKEN_2022",
    "TokenState",
    "ata",
    "mint_bytes",
    "read_decimals",
    "read_token",
    "table_bytes",
    "token_bytes",
]

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
LOOKUP_TABLE = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")

_TOKEN = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT = struct.Struct("<I32sQBBI32s")
_NONE = bytes(32)


@frozen(order=False)
class TokenState:
    """What a token account says."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    native: int | None


def ata(owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN) -> Pubkey:
    """The associated token account of a wallet and a mint."""
    return Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ATA)[0]


def mint_bytes(decimals: int, supply: int, authority: Pubkey | None, freezer: Pubkey | None = None) -> bytes:
    """A mint."""
    return _MINT.pack(*_option(authority), supply, decimals, 1, *_option(freezer))


def token_bytes(mint: Pubkey, owner: Pubkey, amount: int, native: int | None = None) -> bytes:
    """A token account without delegate or close authority; `native` is the rent that a wrapped one keeps."""
    return _TOKEN.pack(
        bytes(mint), bytes(owner), amount, 0, _NONE, 1, int(native is not None), native or 0, 0, 0, _NONE
    )  # fmt: skip


def read_token(program: Pubkey, data: bytes) -> TokenState | None:
    """What a token account says; None for what is none."""
    if program not in (TOKEN, TOKEN_2022) or len(data) < 165 or (len(data) > 165 and data[165] != 2) or data[108] == 0:
        return None
    mint, owner, amount, _, _, _, wrapped, rent, *_ = _TOKEN.unpack(data[:165])
    return TokenState(Pubkey(mint), Pubkey(owner), amount, rent if wrapped else None)


def read_decimals(data: bytes) -> int:
    """The decimals of a mint."""
    return data[44]


def table_bytes(addresses: list[Pubkey], authority: Pubkey | None = None, slot: int = 0, deactivated: int | None = None) -> bytes:
    """A lookup table that is in use, or that was given up at a slot."""
    last = (1 << 64) - 1 if deactivated is None else deactivated
    head = struct.pack("<IQQB", 1, last, slot, 0) + (b"\1" + bytes(authority) if authority else bytes(33)) + bytes(2)
    return head + b"".join(bytes(address) for address in addresses)


def blockhash_bytes(seed: str, height: int) -> bytes:
    """A blockhash: nothing but a number that no other block has."""
    return sha256(f"{seed}:{height}".encode()).digest()


def _option(key: Pubkey | None) -> tuple[int, bytes]:
    return (0, _NONE) if key is None else (1, bytes(key))
