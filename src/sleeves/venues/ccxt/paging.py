"""Lists that come in pages, read to their end: never a part.

Rows are told apart by an id, so a row that comes twice counts once, and what comes in between two pages is not lost. A list whose
end cannot be told is `VenueUnavailable`, not a part of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ...errors import VenueUnavailable

__all__ = ["Page", "Row", "backward", "by_id", "by_offset", "forward", "in_windows"]

Row: TypeAlias = Mapping[str, Any]
Page: TypeAlias = Callable[..., Awaitable[Sequence[Row]]]
MOST_PAGES = 10_000


def _time(row: Row) -> int:
    at = row.get("timestamp")
    if type(at) is not int:
        raise VenueUnavailable(f"a row without a time of its own: id {row.get('id')!r}")
    return at


def _id(row: Row) -> str:
    return str(row.get("id"))


async def forward(page: Page, since: int, *, name: Callable[[Row], str] = _id, full: int | None = None) -> list[Row]:
    """From an instant on, each page from the last one's time on: `page(since)`. Fewer rows than `full` are the end, where it is known."""
    found: dict[str, Row] = {}
    cursor = since
    for _ in range(MOST_PAGES):
        rows = await page(cursor)
        new = [row for row in rows if name(row) not in found]
        found |= {name(row): row for row in new}
        if not rows or (full is not None and len(rows) < full):
            return list(found.values())
        last = max(map(_time, rows))
        if not new:
            if full is not None and last == cursor:
                raise VenueUnavailable(f"more rows at {last} ms than fit on a page of {full}: what comes behind them cannot be asked for")
            return list(found.values())
        cursor = max(cursor, last)
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")


async def in_windows(page: Page, since: int, until: int, width: int, *, name: Callable[[Row], str] = _id) -> list[Row]:
    """From an instant on where a page covers a span of time only: `page(since)`, on and on to `until`."""
    found: dict[str, Row] = {}
    cursor = since
    for _ in range(MOST_PAGES):
        if cursor > until:
            return list(found.values())
        rows = await page(cursor)
        new = [row for row in rows if name(row) not in found]
        found |= {name(row): row for row in new}
        cursor = max(map(_time, rows)) if new else cursor + width
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")


async def by_offset(page: Page, full: int, *, name: Callable[[Row], str] = _id) -> list[Row]:
    """From the newest back, by how many were seen: `page(offset)`. Rows that come meanwhile push others on, and those are seen twice."""
    found: dict[str, Row] = {}
    for turn in range(MOST_PAGES):
        rows = await page(turn * full)
        found |= {name(row): row for row in rows}
        if len(rows) < full:
            return list(found.values())
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")


async def backward(page: Page, since: int, full: int, *, name: Callable[[Row], str] = _id) -> list[Row]:
    """From the newest back, each page from the last one's oldest time back: `page(before)`, None for the newest; to before `since`."""
    found: dict[str, Row] = {}
    before: int | None = None
    for _ in range(MOST_PAGES):
        rows = await page(before)
        new = [row for row in rows if name(row) not in found]
        found |= {name(row): row for row in new}
        oldest = min(map(_time, rows), default=0)
        if not new and len(rows) >= full and oldest == before:
            raise VenueUnavailable(f"more rows at {oldest} ms than fit on a page of {full}: what lies behind them cannot be asked for")
        if not new or oldest < since:
            return list(found.values())
        before = oldest
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")


async def by_id(page: Page, first: Sequence[Row], full: int) -> list[Row]:
    """On from a first page by the id behind the last one's: `page(id)`."""
    found = {_id(row): row for row in first}
    rows: Sequence[Row] = first
    for _ in range(MOST_PAGES):
        if len(rows) < full:
            return list(found.values())
        rows = await page(max(int(_id(row)) for row in rows) + 1)
        found |= {_id(row): row for row in rows}
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")
