"""Lists that come in pages, read to their end: never a part.

Rows are told apart by an id, so a row that comes twice counts once, and what comes in between two pages is not lost; a row without
one is refused. A list whose end cannot be told is `VenueUnavailable`, not a part of it.

Asked from an instant on, some exchanges begin with the oldest row and some with the newest, and where there are more than a page has
the latter leave out what lies between. Where nobody has looked which it is (`first_known`), a page that may be full is `proved`: by
asking for what lies before its oldest row, or where that cannot be asked by how it changes when the next page is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ...errors import VenueUnavailable

__all__ = ["Page", "Row", "backward", "by_id", "by_offset", "forward", "in_windows", "proved"]

Row: TypeAlias = Mapping[str, Any]
Page: TypeAlias = Callable[..., Awaitable[Sequence[Row]]]
MOST_PAGES = 10_000
SMALLEST_PAGE = 10
"""So many rows may be a page that is full, where nobody says how many fit on one: none that is known is smaller."""
LEAST_PAGE = 50
"""So many rows at one instant may be all that fits on a page, where nobody says how many do."""


def _time(row: Row) -> int:
    at = row.get("timestamp")
    if type(at) is not int:
        raise VenueUnavailable(f"a row without a time of its own: id {row.get('id')!r}")
    return at


def _id(row: Row) -> str:
    told = row.get("id")
    if told is None or told == "":
        raise VenueUnavailable(f"a row without an id, of {row.get('timestamp')!r}: it cannot be told from others")
    return str(told)


async def forward(
    page: Page,
    since: int,
    *,
    name: Callable[[Row], str] = _id,
    full: int | None = None,
    first_known: bool = True,
    until: Page | None = None,
) -> list[Row]:
    """From an instant on, each page from the last one's time on: `page(since)`. Fewer rows than `full` are the end, where it is known.

    `first_known`: that a page begins with the oldest row is known; otherwise it is proved, with `until(since, until)` where there is one.
    """
    found: dict[str, Row] = {}
    cursor = since
    for _ in range(MOST_PAGES):
        rows = await page(cursor)
        new = [row for row in rows if name(row) not in found]
        found |= {name(row): row for row in new}
        if new and not first_known:
            found |= await proved(page, cursor, rows, name=name, full=full, until=until)
        if not rows or (full is not None and len(rows) < full and (first_known or until is None)):
            return list(found.values())
        last = max(map(_time, rows))
        if not new:
            if last == cursor and len(rows) >= (full or LEAST_PAGE):
                raise VenueUnavailable(f"more rows at {last} ms than fit on a page of {len(rows)}: what comes behind cannot be asked for")
            return list(found.values())
        cursor = max(cursor, last)
    raise VenueUnavailable(f"no end after {MOST_PAGES} pages")


async def proved(
    page: Page, cursor: int, rows: Sequence[Row], *, name: Callable[[Row], str], full: int | None, until: Page | None
) -> dict[str, Row]:
    """What a page from an instant on has left out before its oldest row, read back to that instant. Raises where that is not sure."""
    if len(rows) < (full if full is not None and until is None else SMALLEST_PAGE):
        return {}
    known, found = {name(row) for row in rows}, dict[str, Row]()
    oldest = min(map(_time, rows))
    for _ in range(MOST_PAGES if until is not None else 0):
        assert until is not None
        before = await until(cursor, oldest + 1)
        names = {name(row) for row in before}
        if max(map(_time, before), default=0) > oldest + 1:
            break  # it does not heed an end
        if not names & known:
            raise VenueUnavailable(f"rows from {cursor} to {oldest} ms were asked for, and those that are known of it were not told")
        if names <= known:
            if oldest > cursor and len(before) >= (full or LEAST_PAGE) and min(map(_time, before)) >= oldest:
                raise VenueUnavailable(
                    f"more rows at {oldest} ms than fit on a page of {len(before)}: what lies before cannot be asked for"
                )
            return found
        found |= {name(row): row for row in before if name(row) not in known}
        known |= names
        oldest = min(oldest, *map(_time, before))
    if full is not None and len(rows) < full:
        return found
    here = {name(row) for row in rows}
    behind = {name(row) for row in await page(max(map(_time, rows)))} - here
    if not behind or behind & {name(row) for row in await page(cursor)}:
        raise VenueUnavailable(
            f"a page of {len(rows)} rows from {cursor} ms on may have left out others: a Manner of your own may say that it is oldest_first"
        )
    return found


async def in_windows(
    page: Page,
    since: int,
    until: int,
    width: int,
    *,
    name: Callable[[Row], str] = _id,
    full: int | None = None,
    first_known: bool = True,
    back: Page | None = None,
) -> list[Row]:
    """From an instant on where a page covers a span of time only: `page(since)`, on and on to `until`.

    `first_known` and `back` are as `forward` has them.
    """
    found: dict[str, Row] = {}
    cursor = since
    for _ in range(MOST_PAGES):
        if cursor > until:
            return list(found.values())
        rows = await page(cursor)
        new = [row for row in rows if name(row) not in found]
        found |= {name(row): row for row in new}
        if new and not first_known:
            found |= await proved(page, cursor, rows, name=name, full=full, until=back)
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
