"""Drivers: they do, they never decide. Each is imported by its own name, and needs its own extra.

    sleeves.venues.kraken     Kraken spot, REST and WebSocket v2                        sleeves[kraken]
    sleeves.venues.ccxt       any exchange that ccxt knows, spot and linear perpetuals  sleeves[ccxt]
    sleeves.venues.jupiter    swaps on Solana through Jupiter, sent by Jito or RPC      sleeves[jupiter]

What they share: `ids` (our order ids in the venue's form), `wire` (bytes out, exact numbers in), `rate` (how much may be
asked), `retry` (what may be asked again), `solana` (the chain itself), `jito` (bundles).

A driver knows markets, orders, facts and keys, and neither engines nor books; no driver knows another one.
"""

from __future__ import annotations

__all__: list[str] = []
