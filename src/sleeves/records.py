"""The kinds of record that a journal keeps: all that ever changed, and all that was refused.

With them one can rebuild every balance, status and order, and answer who did what, when, how much and why. Market data
is not journaled; a `Marked` record keeps the prices at which holdings were valued, on a cadence.

A record is a value. It knows nothing of where it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from .errors import LedgerError
from .facts import AccountFact
from .ledger import Entry
from .orders import Fill, Order, OrderStatus

__all__ = ["Alert", "Changed", "Level", "Marked", "Opened", "OrderUpdate", "Placed", "Record", "Refusal"]


def _words(given: Mapping[str, str]) -> dict[str, str]:
    """What is journaled is the journal's own: the caller's mapping may change after."""
    return dict(given)


def _check_author(record: Opened | Changed) -> None:
    if type(record.at) is not int or not isinstance(record.by, str) or not record.by.strip():
        raise LedgerError(f"a record says when, in whole nanoseconds, and who did it, not {record.at!r} and {record.by!r}: {record}")


def _prices(given: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return dict(given)


@frozen(order=False)
class Opened:
    """A vault, sleeve, instrument or engine was set up, on these terms."""

    at: int
    by: str
    what: str
    name: str
    terms: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)

    def __attrs_post_init__(self) -> None:
        _check_author(self)


@frozen(order=False)
class Changed:
    """A status or a term of a vault or sleeve was changed by somebody, for a reason."""

    at: int
    by: str
    subject: str
    what: str
    before: str
    after: str
    why: str = ""

    def __attrs_post_init__(self) -> None:
        _check_author(self)
        if not isinstance(self.why, str):
            raise LedgerError(f"a change says why in text, not {self.why!r}")


@frozen(order=False)
class Placed:
    """An order was accepted by the desk and its money held. Journaled before the order leaves the house."""

    at: int
    order: Order
    by: str = ""
    """Who ordered it: an engine, a human, or the desk."""


@frozen(order=False)
class OrderUpdate:
    """What became of an order."""

    at: int
    order_id: str
    status: OrderStatus
    reason: str = ""


@frozen(order=False)
class Refusal:
    """A wish that a gate refused: which gate, why as a code, and the numbers that decided.

    `times` counts equal refusals in a row that this record stands for, so that an engine that asks each tick does
    not flood the journal.
    """

    at: int
    sleeve: str
    gate: str
    reason: str
    numbers: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)
    wish: str = ""
    times: int = 1

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value}" for name, value in self.numbers.items())
        return f"{self.gate} refused {self.wish or 'a wish'} of {self.sleeve}: {self.reason}" + (f" ({numbers})" if numbers else "")


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@frozen(order=False)
class Alert:
    """Something that a human should know, under a stable code."""

    at: int
    level: Level
    subject: str
    code: str
    text: str


@frozen(order=False)
class Marked:
    """The prices, by symbol in price units, at which holdings are valued from here on, and when each was seen."""

    at: int
    prices: Mapping[str, tuple[int, int]] = field(factory=dict, converter=_prices, hash=False)


Record = Opened | Changed | Entry | Placed | OrderUpdate | Fill | AccountFact | Refusal | Alert | Marked
