"""A local Solana: a small chain in memory, and its JSON-RPC on a socket of this machine. No network, no real money.

    chain = Chain()
    usdc = chain.create_mint(6)
    chain.airdrop(wallet, 10_000_000_000)
    chain.mint_to(usdc, wallet, 1_000_000)
    with solana_server(chain) as node:
        Rpc(node.url)

LiteSVM, which solders brings, runs the real System, Token, Token-2022, Associated Token Account, Compute Budget, Memo and
Address Lookup Table programs, and charges what the chain charges. What it has not got, the chain around it adds: signatures are
checked, a blockhash is good for 150 blocks, a transaction lands once, and what it moved can be looked up.

What is no chain here. There is one fork and one node: what has landed is confirmed at once and final 32 slots later, and
accounts are always read as they are now, over HTTP and over the WebSocket (`lines`) alike. A program that LiteSVM has not got,
such as Jupiter's, is played by a stand-in written in Python (`Chain.program`): it says which calls that program would make, and
those run in the real token programs.

Needs the `servers` extra.
"""

from __future__ import annotations

from ...errors import MissingExtra

try:
    import solders as _solders  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ImportError:
    raise MissingExtra("solders and starlette", "servers", "a local Solana") from None

from .chain import Call, Chain, ChainError, Landing, ProgramError, State
from .node import Fault, SolanaServer, solana_server

__all__ = ["Call", "Chain", "ChainError", "Fault", "Landing", "ProgramError", "SolanaServer", "State", "solana_server"]
