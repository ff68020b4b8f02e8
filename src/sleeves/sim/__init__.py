"""The simulated world: market data as columns, a matching engine without I/O, and two ways to run a desk on it.

    from sleeves.sim import Tape, replay

`replay` runs a desk over a tape as fast as it can; `VirtualDriver` is the same matcher behind the async `Venue`
protocol, for `live.trade`. Both write the same journal, record for record.
"""

from __future__ import annotations

from ..amm import Concentrated, ConstantProduct, Stable
from .account import Account
from .book import OrderBook, SelfMatch
from .book_market import BookMarket
from .driver import VirtualDriver
from .exchange import Exchange
from .flow import Flow, Print
from .matcher import Matcher
from .models import FeeIn, Fees, Latency, Maker, Rules, Settles, Slippage, SquareRoot
from .replay import account_of, replay, replay_many
from .tape import SAMPLE_INSTRUMENT, Depth, Repairs, Tape
from .tapefile import TapeWriter

__all__ = [
    "SAMPLE_INSTRUMENT",
    "Account",
    "BookMarket",
    "Concentrated",
    "ConstantProduct",
    "Depth",
    "Exchange",
    "FeeIn",
    "Fees",
    "Flow",
    "Latency",
    "Maker",
    "Matcher",
    "OrderBook",
    "Print",
    "Repairs",
    "Rules",
    "SelfMatch",
    "Settles",
    "Slippage",
    "SquareRoot",
    "Stable",
    "Tape",
    "TapeWriter",
    "VirtualDriver",
    "account_of",
    "replay",
    "replay_many",
]
