"""The addresses that everybody on Solana knows: programs, wrapped SOL, sysvars. Constants, nothing else."""

from __future__ import annotations

from typing import Final

from solders.pubkey import Pubkey

__all__ = [
    "ATA",
    "CLOCK",
    "COMPUTE_BUDGET",
    "JUPITER",
    "LOOKUP_TABLE",
    "MEMO",
    "MEMO_V1",
    "STAKE",
    "SYSTEM",
    "TOKEN",
    "TOKEN_2022",
    "WSOL",
]

SYSTEM: Final = Pubkey.from_string("11111111111111111111111111111111")
TOKEN: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022: Final = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_BUDGET: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
MEMO: Final = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
MEMO_V1: Final = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
LOOKUP_TABLE: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
STAKE: Final = Pubkey.from_string("Stake11111111111111111111111111111111111111")
JUPITER: Final = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
"""Jupiter's swap program, version 6."""
WSOL: Final = Pubkey.from_string("So11111111111111111111111111111111111111112")
"""The mint of wrapped SOL."""
CLOCK: Final = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
"""The account with the chain's own time and epoch."""
