"""Any exchange that ccxt knows, spot and linear perpetuals: one driver, and a table of how exchanges differ.

    from sleeves.venues.ccxt import Ccxt

    async with Ccxt("krakenfutures", ["ETH/USD:USD"], keys=key, sandbox=True) as venue:
        await trade(desk, venue)

Needs the `ccxt` extra. ccxt is asked in worker threads, so this runs on asyncio and trio.
"""

from __future__ import annotations

from .driver import Ccxt
from .manners import MANNERS, Cash, Ids, Lines, Manner, Pages, Realized

__all__ = ["MANNERS", "Cash", "Ccxt", "Ids", "Lines", "Manner", "Pages", "Realized"]
