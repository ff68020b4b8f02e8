"""Every trading strategy its own money inside one shared account, exact to the last unit, and proven.

    from sleeves import FLASH, QUIET, USD, CoreVault, Desk

Venues, dashboards and plots are imported by their own names and need their extras; this module needs none and does no
I/O.
"""

from __future__ import annotations

from .booking import Allowance
from .books import Books
from .desk import Desk
from .errors import SleevesError
from .limits import Limit
from .market import Instrument
from .megavault import Megavault
from .money import BTC, ETH, EUR, SOL, USD, USDC, USDT, Amount, Asset, Rounding
from .orders import Bundle, Cancel, Place, Side, TimeInForce
from .policy import FLASH, QUIET, ProfitPolicy, Reserve
from .treasury import Treasury
from .vault import CoreVault, EngineVault, Sleeve, SubAccount, Virtual

__version__ = "0.1.0"

__all__ = [
    "BTC",
    "ETH",
    "EUR",
    "FLASH",
    "QUIET",
    "SOL",
    "USD",
    "USDC",
    "USDT",
    "Allowance",
    "Amount",
    "Asset",
    "Books",
    "Bundle",
    "Cancel",
    "CoreVault",
    "Desk",
    "EngineVault",
    "Instrument",
    "Limit",
    "Megavault",
    "Place",
    "ProfitPolicy",
    "Reserve",
    "Rounding",
    "Side",
    "Sleeve",
    "SleevesError",
    "SubAccount",
    "TimeInForce",
    "Treasury",
    "Virtual",
]
