"""Oracle accounts: a price, how sure it is, and how old.

Reads Pyth Lazer accounts (they belong to the exchange's own program), the old Pyth push accounts, and the quote asset's constant.
A source whose layout is not known here raises: a price is never guessed.

It refuses to know which market uses which oracle, and whether a price is fresh enough for a purpose: that is its reader's to judge
by `slot` and `at`.
"""

from __future__ import annotations

from attrs import frozen

from .deployment import Deployment
from .words import OracleSource

__all__ = ["Oracle", "read_oracle"]


@frozen
class Oracle:
    """A price in 1e6 (as the program scales it), its confidence in 1e6, the slot it was posted in, and its time in nanoseconds or None.

    The quote asset's constant has no account: its `slot` is that of the read.
    """

    price: int
    confidence: int
    slot: int
    at: int | None
    source: OracleSource


def read_oracle(deployment: Deployment, source: OracleSource, owner: str, data: bytes, slot: int) -> Oracle:
    """The price in an oracle's bytes. A `WrongAccount` for a source that is not known here, a wrong owner, or bytes that are no oracle."""
    raise NotImplementedError
