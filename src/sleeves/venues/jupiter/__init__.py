"""Jupiter, the router of Solana: swaps of a wallet as a venue, and its interface by itself.

    signer = Signer(Secret(...))
    markets = [Market.of("SOL/USDC", TOKENS["SOL"], TOKENS["USDC"], size="1")]
    async with Jupiter(signer, markets, rpc=Rpc(url), api=JupiterApi(key=Secret(...))) as venue:
        await trade(desk, venue)

Needs the `jupiter` extra.
"""

from __future__ import annotations

from ..solana import Rpc, Signer
from .client import HOST, Build, Executed, JupiterApi, JupiterLimited, JupiterRefused, Price, Ready, Route, RouteStep, WireInstruction
from .driver import Jupiter
from .markets import TOKENS, Market, Token

__all__ = [
    "HOST",
    "TOKENS",
    "Build",
    "Executed",
    "Jupiter",
    "JupiterApi",
    "JupiterLimited",
    "JupiterRefused",
    "Market",
    "Price",
    "Ready",
    "Route",
    "RouteStep",
    "Rpc",
    "Signer",
    "Token",
    "WireInstruction",
]
