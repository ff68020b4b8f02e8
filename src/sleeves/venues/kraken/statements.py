"""What Kraken's account statements have said: trades and ledger lines, each kept once, so that only what is new is asked for.

Rows never change, but may be written late. So a look goes back to `LATE` before the newest row that is known, and once in
`DEEP_EVERY` seconds over all that is asked for. A look is whole, or it raises. It knows no orders of ours and makes no fills.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio

from ...market import MINUTE
from .client import LedgerLine, TradeInfo

__all__ = ["Statement", "Statements"]

LATE = 15 * MINUTE
DEEP_EVERY = 1_800.0
MOST_KEPT = 100_000


class _Row(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def at(self) -> int: ...


R = TypeVar("R", bound=_Row)


class Statement(Generic[R]):
    """Rows of one kind, by id. `fetch` asks for all rows from an instant on; `group` says what a row belongs to."""

    def __init__(
        self, fetch: Callable[[int], Awaitable[list[R]]], group: Callable[[R], str], *, late: int = LATE, most: int = MOST_KEPT
    ) -> None:
        self._rows: dict[str, R] = {}
        self._groups: dict[str, list[R]] = {}
        self._fetch = fetch
        self._group = group
        self._late = late
        self._most = most
        self._from: int | None = None
        self._newest = 0
        self._deep, self._deep_from = 0.0, 0
        self._asking = anyio.Lock()

    async def since(self, at: int) -> list[R]:
        """All rows from an instant on, that instant included, oldest first, with those that came by now. Raises what `fetch` raises."""
        async with self._asking:
            now, known = anyio.current_time(), self._from
            usual = at if known is None else max(known, self._newest - self._late)
            deep = known is None or at < self._deep_from or now - self._deep >= DEEP_EVERY
            begin = min(at, usual) if deep else usual
            for row in await self._fetch(max(0, begin)):
                self._keep(row)
            if deep:
                self._from = begin if known is None else min(begin, known)
                self._deep, self._deep_from = now, begin  # whoever asks for more than that has not had a deep look yet
            self._forget()
            return sorted((row for row in self._rows.values() if row.at >= at), key=_when)

    def of(self, group: str) -> list[R]:
        """The rows that are known of a group, oldest first."""
        return sorted(self._groups.get(group, ()), key=_when)

    def get(self, row_id: str) -> R | None:
        """A row that is known, by its id."""
        return self._rows.get(row_id)

    def _keep(self, row: R) -> None:
        if row.id not in self._rows:
            self._rows[row.id] = row
            self._groups.setdefault(self._group(row), []).append(row)
            self._newest = max(self._newest, row.at)

    def _forget(self) -> None:
        """Drop the older half of what is more than is kept: it is asked for anew where it is wanted."""
        if len(self._rows) <= self._most:
            return
        kept = sorted(self._rows.values(), key=_when)[len(self._rows) // 2 :]
        self._rows, self._groups = {}, {}
        for row in kept:
            self._keep(row)
        self._from = kept[0].at + 1


def _when(row: _Row) -> tuple[int, str]:
    return row.at, row.id


class Statements:
    """The two statements of an account: trades by their order, and ledger lines by what they follow from."""

    def __init__(self, trades: Callable[[int], Awaitable[list[TradeInfo]]], lines: Callable[[int], Awaitable[list[LedgerLine]]]) -> None:
        self.trades = Statement(trades, lambda trade: trade.order)
        self.lines = Statement(lines, lambda line: line.refid)
