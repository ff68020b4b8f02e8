"""What the world will do: one market, an account, and rows of prices.

A script is data. It does not know who plays it, nor what is ordered while it plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ..market import SECOND, FundingRate, Instrument
from ..money import Amount

__all__ = ["BEGIN", "Row", "Script"]

BEGIN = 1_700_000_000 * SECOND
"""When every script begins."""


@frozen(order=False)
class Row:
    """One interval of a market: prices in the instrument's units, `volume` in base units, `at` the nanosecond it begins."""

    at: int
    open: int
    high: int
    low: int
    close: int
    volume: int


@frozen(order=False)
class Script:
    """What the world will do: one instrument, an account's coins, a wallet outside of it, rows of prices, funding that falls due.

    Whoever plays it promises to: tell each row's close as a `Quote` at the row's end, and play the next row only when that
    was taken in and what came of it was carried out; have an order act on the row that follows; pay each funding rate at its
    instant on what is held then; and end `events()` when all is told.
    """

    name: str
    instrument: Instrument
    interval: int
    rows: tuple[Row, ...]
    balances: Mapping[str, Amount]
    wallet: Mapping[str, Amount] = field(factory=dict)
    funding: tuple[FundingRate, ...] = ()

    def end(self, row: int) -> int:
        """When a row is over and its close is told."""
        return self.rows[row].at + self.interval

    def columns(self) -> dict[str, Any]:
        """The rows as `Tape.from_columns` takes them: times in nanoseconds, prices and volumes as text."""
        market = self.instrument
        columns: dict[str, Any] = {"ts": [row.at for row in self.rows], "interval": self.interval, "name": self.name}
        for what in ("open", "high", "low", "close"):
            columns[what] = [market.price_text(getattr(row, what)) for row in self.rows]
        return columns | {"volume": [market.qty_text(row.volume) for row in self.rows]}
