"""A local Jupiter over a local Solana: quotes and swaps against pools of `sleeves.amm`, on a socket of this machine.

    chain = Chain()
    usdc = chain.create_mint(6)
    pools = [Amm("Raydium", WSOL, usdc, ConstantProduct(10**13, 15 * 10**11, 2_500)),
             Amm("Orca Whirlpool", WSOL, usdc, ConstantProduct(10**13, 152 * 10**10, 400))]
    with solana_server(chain) as node, jupiter_server(chain, pools) as jupiter:
        JupiterApi(jupiter.url)

It answers `/swap/v2/build`, `order`, `execute`, `quote`, `swap` and `program-id-to-label`, the quote of version 1, prices and
tokens, with the field shapes of the real one. The transactions that it makes are real ones, and run on the chain, where a stand-in
plays Jupiter's program and the DEXes in one: pools lie in accounts of the chain, so that a swap that fails or is only simulated
moves nothing.

What is not Jupiter here: one pool a hop, at most two hops, no splits; the data of the swap instruction is of this stand-in's
own layout; routers are Metis alone, so no market maker signs.

Needs the `servers` extra.
"""

from __future__ import annotations

from ...errors import MissingExtra

try:
    import solders as _solders  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ImportError:
    raise MissingExtra("solders and starlette", "servers", "a local Jupiter") from None

from .dexes import JUPITER, WSOL, Amm, Dexes, Hop, Path
from .server import Fault, JupiterServer, jupiter_server

__all__ = ["JUPITER", "WSOL", "Amm", "Dexes", "Fault", "Hop", "JupiterServer", "Path", "jupiter_server"]
