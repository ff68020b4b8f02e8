"""A wallet, a small chain and a node of it on a socket, for the tests of what talks to Solana."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import cache

import anyio
import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.keys import Secret
from sleeves.testing.serving import serve
from sleeves.testing.solana_server import Chain, solana_server
from sleeves.venues.retry import Retry
from sleeves.venues.solana import JUPITER, TOKEN, WSOL, Guard, Rpc, Sender, Signer, Spending, ata, compile_v0, transfer_tokens

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SOL = 10**9
FEE = 5_000
QUICK = Retry(attempts=3, first=0.01, most=0.02, jitter=0.0)


@cache
def key(name: str) -> Keypair:
    """The same key for the same name, in every run."""
    return Keypair.from_seed(name.encode().ljust(32, b"."))


def address(name: str) -> Pubkey:
    return key(name).pubkey()


ME, FRIEND, THIEF, TIPS, POOL = (address(name) for name in ("me", "friend", "thief", "tips", "pool"))
SIGNER = Signer(Secret(str(key("me"))))
BLOCKHASH = Hash(bytes([9]) * 32)


class World:
    """A chain with money on it: SOL and USDC of ours, and a pool that swaps through a stand-in for Jupiter's program."""

    def __init__(self, **terms):
        self.chain = Chain(**terms)
        self.usdc = self.chain.create_mint(6, mint=address("usdc"))
        self.chain.airdrop(ME, 10 * SOL)
        self.chain.airdrop(THIEF, SOL)
        self.chain.airdrop(TIPS, SOL)
        self.chain.airdrop(FRIEND, SOL)
        self.chain.mint_to(self.usdc, ME, 1_000_000_000)
        self.chain.mint_to(self.usdc, POOL, 10**15)
        self.chain.mint_to(WSOL, POOL, 10**15)
        self.mine = ata(ME, self.usdc)
        self.chain.program(JUPITER, self.swap, owns=[POOL])
        self.makes = self.honest

    def swap(self, call):
        """What the program does: as `makes` says, which a test may change."""
        amount, least = int.from_bytes(call.data[:8], "little"), int.from_bytes(call.data[8:16], "little")
        return self.makes(amount, least)

    def honest(self, amount, least):
        out = amount * 6  # 1 USDC (6 decimals) for 0.006 SOL (9 decimals)
        assert out >= least
        return [
            transfer_tokens(self.mine, self.usdc, ata(POOL, self.usdc), ME, amount, 6),
            transfer_tokens(ata(POOL, WSOL), WSOL, ata(ME, WSOL), POOL, out, 9),
        ]

    def call(self, amount, least=0, more=()):
        """The instruction of a swap of USDC for wrapped SOL."""
        metas = [AccountMeta(ME, True, True)]
        metas += [AccountMeta(one, False, True) for one in (self.mine, ata(ME, WSOL), ata(POOL, self.usdc), ata(POOL, WSOL))]
        metas += [AccountMeta(one, False, False) for one in (POOL, self.usdc, WSOL, TOKEN)]
        return Instruction(JUPITER, amount.to_bytes(8, "little") + least.to_bytes(8, "little"), [*metas, *more])

    def raw(self, *instructions, tables=None, payer=ME, static=()):
        """An unsigned transaction with a blockhash of now."""
        return compile_v0(payer, list(instructions), self.chain.blockhash()[0], tables, static=static)


@contextmanager
def world(**terms):
    """A chain and its node: `it.node.url`."""
    it = World(**terms)
    with solana_server(it.chain) as node:
        it.node = node
        yield it


@asynccontextmanager
async def sending(it, *, guard=None, **terms):
    """A sender over a node, quick enough for tests."""
    async with Rpc(it.node.url, retry=QUICK, timeout=5.0) as rpc:
        terms = {"poll_s": 0.01, "resend_s": 0.05, **terms}
        yield Sender(rpc, guard or Guard(ME, payees=[FRIEND], tip_accounts=[TIPS]), SIGNER, **terms)


@contextmanager
def answers(*said):
    """A server that answers with these, one after another, the last again and again: (status, text, headers), or a text.

    Gives its address and the requests that came: (path with query, headers, body).
    """
    left, came = list(said), []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        came.append((target, {name.decode(): value.decode() for name, value in scope["headers"]}, body))
        one = left.pop(0) if len(left) > 1 else left[0]
        status, text, headers = one if isinstance(one, tuple) else (200, one, {})
        named = [(name.encode(), value.encode()) for name, value in {"content-length": str(len(text.encode())), **headers}.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": text.encode()})

    with serve(app) as url:
        yield url, came


def run(story, backend="asyncio"):
    anyio.run(story, backend=backend)


def spending(**terms):
    """Enough for a plain transaction, and what is added."""
    return Spending(**{"lamports": FEE, "fee": FEE, **terms})


__all__ = [
    "BLOCKHASH",
    "FEE",
    "FRIEND",
    "ME",
    "POOL",
    "QUICK",
    "SIGNER",
    "SOL",
    "THIEF",
    "TIPS",
    "World",
    "address",
    "answers",
    "both",
    "key",
    "run",
    "sending",
    "spending",
    "world",
]
