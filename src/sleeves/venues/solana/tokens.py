"""Tokens on Solana: what their accounts say, and the instructions that move them. It asks nobody and signs nothing.

Amounts are in raw units of the token, lamports for SOL. Source: the layouts and instructions of the SPL Token, Token-2022 and
Associated Token Account programs, of the System, Compute Budget and Memo programs.
"""

from __future__ import annotations

import struct

from attrs import field, frozen
from solders.instruction import AccountMeta
from solders.instruction import Instruction as Written
from solders.pubkey import Pubkey

from ...errors import InvalidMarket
from .addresses import ATA, COMPUTE_BUDGET, MEMO, SYSTEM, TOKEN, TOKEN_2022

__all__ = [
    "Account",
    "Mint",
    "TokenAccount",
    "ata",
    "close_account",
    "create_ata",
    "memo",
    "sync_native",
    "transfer_sol",
    "transfer_tokens",
    "unit_limit",
    "unit_price",
]

_ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT = struct.Struct("<I32sQBBI32s")
_MULTISIG = 355
_MOST = (1 << 64) - 1


@frozen(order=False)
class Account:
    """What an address holds, as of a slot."""

    address: Pubkey = field(repr=str)
    lamports: int
    owner: Pubkey = field(repr=str)
    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    executable: bool = False
    slot: int = 0


@frozen(order=False)
class TokenAccount:
    """What a token account says. `native` is the rent in it where it is wrapped SOL, else None."""

    address: Pubkey = field(repr=str)
    mint: Pubkey = field(repr=str)
    owner: Pubkey = field(repr=str)
    amount: int
    delegate: Pubkey | None = field(repr=str)
    delegated: int
    frozen: bool
    native: int | None
    close_authority: Pubkey | None = field(repr=str)
    program: Pubkey = field(repr=str)
    lamports: int

    @classmethod
    def find(cls, account: Account | None) -> TokenAccount | None:
        """What an account says if it is a token account, of either program; None for anything else."""
        if account is None or account.owner not in (TOKEN, TOKEN_2022) or len(account.data) < _ACCOUNT.size:
            return None
        data = account.data
        if len(data) > _ACCOUNT.size and (account.owner == TOKEN or len(data) == _MULTISIG or data[_ACCOUNT.size] != 2):
            return None
        mint, owner, amount, lent, delegate, state, wrapped, rent, delegated, closed, closer = _ACCOUNT.unpack(data[: _ACCOUNT.size])
        if state not in (1, 2):
            return None
        return cls(
            address=account.address,
            mint=Pubkey(mint),
            owner=Pubkey(owner),
            amount=amount,
            delegate=Pubkey(delegate) if lent else None,
            delegated=delegated if lent else 0,
            frozen=state == 2,
            native=rent if wrapped else None,
            close_authority=Pubkey(closer) if closed else None,
            program=account.owner,
            lamports=account.lamports,
        )

    @classmethod
    def decode(cls, account: Account) -> TokenAccount:
        """The same. Raises `InvalidMarket` for what is no token account."""
        found = cls.find(account)
        if found is None:
            raise InvalidMarket(f"{account.address} is no token account: {len(account.data)} bytes of {account.owner}")
        return found


@frozen(order=False)
class Mint:
    """What a mint says: of a token as a whole. No authority means that it was given up for good."""

    address: Pubkey = field(repr=str)
    decimals: int
    supply: int
    mint_authority: Pubkey | None = field(repr=str)
    freeze_authority: Pubkey | None = field(repr=str)
    program: Pubkey = field(repr=str)

    @classmethod
    def decode(cls, account: Account) -> Mint:
        """Raises `InvalidMarket` for what is no mint."""
        data = account.data
        plain = account.owner == TOKEN and len(data) == _MINT.size
        newer = account.owner == TOKEN_2022 and (len(data) == _MINT.size or (len(data) > 165 and len(data) != _MULTISIG and data[165] == 1))
        if not (plain or newer) or data[45] != 1:
            raise InvalidMarket(f"{account.address} is no mint: {len(data)} bytes of {account.owner}")
        issued, issuer, supply, decimals, _, frozen_by, freezer = _MINT.unpack(data[: _MINT.size])
        authorities = (Pubkey(issuer) if issued else None, Pubkey(freezer) if frozen_by else None)
        return cls(account.address, decimals, supply, *authorities, account.owner)


def ata(owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN) -> Pubkey:
    """The associated token account of a wallet for a mint."""
    return Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ATA)[0]


def transfer_sol(source: Pubkey, to: Pubkey, lamports: int) -> Written:
    """Lamports from a wallet that signs."""
    data = struct.pack("<IQ", 2, _u64(lamports, "lamports"))
    return Written(SYSTEM, data, [AccountMeta(source, True, True), AccountMeta(to, False, True)])


def transfer_tokens(
    source: Pubkey, mint: Pubkey, to: Pubkey, owner: Pubkey, amount: int, decimals: int, program: Pubkey = TOKEN
) -> Written:
    """Tokens from one token account to another, the mint named (TransferChecked). `owner` signs."""
    accounts = [
        AccountMeta(source, False, True),
        AccountMeta(mint, False, False),
        AccountMeta(to, False, True),
        AccountMeta(owner, True, False),
    ]
    return Written(program, struct.pack("<BQB", 12, _u64(amount, "an amount"), decimals), accounts)


def create_ata(payer: Pubkey, owner: Pubkey, mint: Pubkey, program: Pubkey = TOKEN) -> Written:
    """The associated token account of a wallet, if it is not there yet. `payer` pays its rent and signs."""
    accounts = [
        AccountMeta(payer, True, True),
        AccountMeta(ata(owner, mint, program), False, True),
        AccountMeta(owner, False, False),
        AccountMeta(mint, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(program, False, False),
    ]
    return Written(ATA, b"\1", accounts)


def sync_native(account: Pubkey) -> Written:
    """Have lamports that were sent to a wrapped SOL account counted as its tokens."""
    return Written(TOKEN, b"\x11", [AccountMeta(account, False, True)])


def close_account(account: Pubkey, to: Pubkey, owner: Pubkey, program: Pubkey = TOKEN) -> Written:
    """Close a token account; its lamports go to `to`. `owner` signs."""
    return Written(program, b"\x09", [AccountMeta(account, False, True), AccountMeta(to, False, True), AccountMeta(owner, True, False)])


def memo(text: str, signer: Pubkey | None = None) -> Written:
    """A line of text in the transaction; signed by a wallet, if told."""
    return Written(MEMO, text.encode(), [AccountMeta(signer, True, False)] if signer else [])


def unit_limit(units: int) -> Written:
    """The most compute units that the transaction may use."""
    if type(units) is not int or not 0 < units <= 1_400_000:
        raise InvalidMarket(f"a limit of compute units is a whole number from 1 to 1400000, not {units!r}")
    return Written(COMPUTE_BUDGET, b"\2" + units.to_bytes(4, "little"), [])


def unit_price(micro_lamports: int) -> Written:
    """What is paid per compute unit of the limit, in millionths of a lamport."""
    return Written(COMPUTE_BUDGET, b"\3" + _u64(micro_lamports, "a unit price").to_bytes(8, "little"), [])


def _u64(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise InvalidMarket(f"{what} of a transaction is a whole number from 0 to 2^64 - 1, not {value!r}")
    return value
