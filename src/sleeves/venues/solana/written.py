"""Addresses and instructions from plain text and bytes, as an interface tells them. Nothing is judged here: see `guard`."""

from __future__ import annotations

from collections.abc import Iterable

from solders.instruction import AccountMeta
from solders.instruction import Instruction as Written
from solders.pubkey import Pubkey
from solders.signature import Signature

from ...errors import InvalidMarket

__all__ = ["address", "instruction", "signature"]


def address(text: object) -> Pubkey:
    """An address from base58. Raises `InvalidMarket` for what is none."""
    try:
        return Pubkey.from_string(text if isinstance(text, str) else "")
    except ValueError:
        raise InvalidMarket(f"{text!r} is no address of Solana") from None


def instruction(program: str, accounts: Iterable[tuple[str, bool, bool]], data: bytes) -> Written:
    """An instruction: a program, accounts as (address, signs, is written to), data. Raises `InvalidMarket` for what is none."""
    return Written(address(program), data, [AccountMeta(address(key), signs, writes) for key, signs, writes in accounts])


def signature(text: object) -> Signature:
    """A signature from base58. Raises `InvalidMarket` for what is none."""
    try:
        return Signature.from_string(text if isinstance(text, str) else "")
    except ValueError:
        raise InvalidMarket(f"{text!r} is no signature") from None
