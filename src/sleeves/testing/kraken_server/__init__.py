"""A local exchange that speaks Kraken's spot API: REST, signed calls, WebSocket v2. For tests of bots, ours and yours.

    with kraken_server(pairs=["ETH/USD"], balances={"USD": "10000", "ETH": "1"}) as exchange:
        bot(exchange.url, exchange.key.api_key, exchange.key.secret)
        exchange.price("ETH/USD", "2400.00")
        exchange.fault("AddOrder", Fault.lost())

Fees, rounding and fills are those of `sleeves.sim`; field shapes, errors, nonces, counters and holds are Kraken's, and real
clients that nobody here wrote are run against it. It needs the extra "servers" to listen. It knows no driver of ours.
"""

from __future__ import annotations

from .exchange import Call, KrakenExchange
from .faults import Fault
from .keys import Key, signature
from .listing import Pair
from .server import KrakenServer, kraken_server
from .wire import Refused

__all__ = ["Call", "Fault", "Key", "KrakenExchange", "KrakenServer", "Pair", "Refused", "kraken_server", "signature"]
