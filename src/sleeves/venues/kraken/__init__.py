"""Kraken spot as a venue. Needs the extra `kraken`: httpx, httpx-ws and stamina; `transport="krakenex"` needs `krakenex`.

async with Kraken(keys, ["ETH/USD"]) as venue:
    await trade(desk, venue)
"""

from __future__ import annotations

from .bars import Candles, candles, read_candles
from .driver import FeeRate, Holding, Kraken

__all__ = ["Candles", "FeeRate", "Holding", "Kraken", "candles", "read_candles"]
