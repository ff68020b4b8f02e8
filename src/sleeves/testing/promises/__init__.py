"""The promises of a venue, a module for each subject."""

from __future__ import annotations

from .answers import ANSWERS
from .balances import BALANCES
from .contracts import CONTRACTS
from .liquidation import LIQUIDATION
from .memory import MEMORY
from .once import ONCE
from .orders import ORDERS
from .promise import Promise
from .rounding import ROUNDING
from .terms import TERMS
from .times import TIMES
from .transfers import TRANSFERS
from .whole import WHOLE

__all__ = ["PROMISES", "Promise"]

PROMISES: tuple[Promise, ...] = (
    *ROUNDING,
    *ONCE,
    *ORDERS,
    *ANSWERS,
    *TIMES,
    *BALANCES,
    *TERMS,
    *CONTRACTS,
    *TRANSFERS,
    *LIQUIDATION,
    *MEMORY,
    *WHOLE,
)
"""Every promise that the suite puts to the test, in its order."""
