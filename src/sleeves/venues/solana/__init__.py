"""Solana itself: a node, a wallet's key, what is looked at before it signs, and how a transaction is brought to land.

    async with Rpc(url) as rpc:
        sender = Sender(rpc, Guard(signer.address), signer)
        signed = await sender.prepare(raw, Spending(most_out={usdc: 150_000_000}, least_in={WSOL: 990_000_000}, lamports=9_000, fee=9_000))
        outcome = await sender.land(signed)

All use of solders in the drivers lies here. It knows no market, no router and no strategy. Needs the `jupiter` extra.
"""

from __future__ import annotations

from ...errors import MissingExtra

try:
    import solders as _solders  # noqa: F401
except ImportError:
    raise MissingExtra("solders", "jupiter", "Solana") from None

from .addresses import (
    ATA,
    CLOCK,
    COMPUTE_BUDGET,
    JUPITER,
    LOOKUP_TABLE,
    MEMO,
    MEMO_V1,
    STAKE,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WSOL,
)
from .guard import Cleared, Examined, Guard, Rule, Spending
from .lst import STAKING_TOKENS, FairValues, Sanctum, StakingToken, Worth
from .pubsub import Changed, Concluded, Gap, Logged, Pubsub, Pushes, SlotMoved
from .rpc import (
    Accounts,
    Blockhash,
    Chained,
    EpochInfo,
    Preflight,
    Rpc,
    RpcFault,
    RpcLimited,
    SignatureInfo,
    Simulation,
    Status,
    Statuses,
)
from .send import Expired, Landed, Outcome, Sender, Unknown
from .signer import Signed, Signer
from .tokens import (
    Account,
    Mint,
    TokenAccount,
    ata,
    close_account,
    create_ata,
    memo,
    sync_native,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from .transaction import Decoded, Instruction, Key, Refused, Tables, compile_v0, read_transaction

__all__ = [
    "ATA",
    "CLOCK",
    "COMPUTE_BUDGET",
    "JUPITER",
    "LOOKUP_TABLE",
    "MEMO",
    "MEMO_V1",
    "STAKE",
    "STAKING_TOKENS",
    "SYSTEM",
    "TOKEN",
    "TOKEN_2022",
    "WSOL",
    "Account",
    "Accounts",
    "Blockhash",
    "Chained",
    "Changed",
    "Cleared",
    "Concluded",
    "Decoded",
    "EpochInfo",
    "Examined",
    "Expired",
    "FairValues",
    "Gap",
    "Guard",
    "Instruction",
    "Key",
    "Landed",
    "Logged",
    "Mint",
    "Outcome",
    "Preflight",
    "Pubsub",
    "Pushes",
    "Refused",
    "Rpc",
    "RpcFault",
    "RpcLimited",
    "Rule",
    "Sanctum",
    "Sender",
    "SignatureInfo",
    "Signed",
    "Signer",
    "Simulation",
    "SlotMoved",
    "Spending",
    "StakingToken",
    "Status",
    "Statuses",
    "Tables",
    "TokenAccount",
    "Unknown",
    "Worth",
    "ata",
    "close_account",
    "compile_v0",
    "create_ata",
    "memo",
    "read_transaction",
    "sync_native",
    "transfer_sol",
    "transfer_tokens",
    "unit_limit",
    "unit_price",
]
