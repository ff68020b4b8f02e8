"""Pages: whatever their size, and whatever comes in between, all rows are found once, or the list is not told at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import VenueUnavailable
from sleeves.venues.ccxt.paging import SMALLEST_PAGE, backward, by_id, by_offset, forward, in_windows
from strategies import law

times = st.lists(st.integers(1, 400), max_size=60).map(sorted)
sizes = st.integers(2, 9)


def rows_of(at: list[int]) -> list[dict[str, Any]]:
    return [{"id": str(n), "timestamp": time} for n, time in enumerate(at)]


def run(read: Callable[..., Any], *args: Any, **named: Any) -> Any:
    async def call() -> Any:
        return await read(*args, **named)

    return anyio.run(call)


def fits(at: list[int], size: int) -> bool:
    """Whether no instant has as many rows as a page."""
    return all(at.count(time) < size for time in set(at))


@law
@given(at=times, size=sizes, since=st.integers(0, 400), told=st.booleans())
def test_forward_finds_all_from_an_instant_on(at: list[int], size: int, since: int, told: bool) -> None:
    rows = rows_of(at)

    async def page(start: int) -> list[dict[str, Any]]:
        return [row for row in rows if row["timestamp"] >= start][:size]

    wanted = [row for row in rows if row["timestamp"] >= since]
    if fits([row["timestamp"] for row in wanted], size):
        assert run(forward, page, since, full=size if told else None) == wanted
    elif told:
        try:
            assert run(forward, page, since, full=size) == wanted
        except VenueUnavailable as error:
            assert "fit on a page" in str(error)


@law
@given(at=times, size=sizes, since=st.integers(0, 400))
def test_backward_finds_all_from_an_instant_on(at: list[int], size: int, since: int) -> None:
    rows = rows_of(at)

    async def page(before: int | None) -> list[dict[str, Any]]:
        return [row for row in rows if before is None or row["timestamp"] <= before][-size:]

    wanted = {row["id"] for row in rows if row["timestamp"] >= since}
    try:
        found = {row["id"] for row in run(backward, page, since, size)}
    except VenueUnavailable:
        assert not fits(at, size)
    else:
        assert wanted <= found


@law
@given(at=times, size=sizes, late=st.integers(0, 5))
def test_offsets_find_all_though_rows_come_in_between(at: list[int], size: int, late: int) -> None:
    rows = rows_of(at)
    seen = list(rows)

    async def page(offset: int) -> list[dict[str, Any]]:
        newest = list(reversed(seen))[offset : offset + size]
        if late > offset // size:  # one more came while this was on its way
            seen.append({"id": f"new {len(seen)}", "timestamp": 401})
        return newest

    found = {row["id"] for row in run(by_offset, page, size)}
    assert {row["id"] for row in rows} <= found


@law
@given(at=times, size=sizes)
def test_ids_find_all(at: list[int], size: int) -> None:
    rows = rows_of(at)

    async def page(first: int) -> list[dict[str, Any]]:
        return [row for row in rows if int(row["id"]) >= first][:size]

    assert run(by_id, page, rows[:size], size) == rows


@law
@given(at=times, width=st.integers(5, 120))
def test_windows_find_all(at: list[int], width: int) -> None:
    rows = rows_of(at)

    async def page(start: int) -> list[dict[str, Any]]:
        return [row for row in rows if start <= row["timestamp"] < start + width]

    assert run(in_windows, page, 0, 400, width) == rows


def exchange_of(rows: list[dict[str, Any]], size: int, *, newest_first: bool) -> tuple[Any, Any]:
    """How an exchange answers from an instant on, and from one to another: sorted, as ccxt hands it on, and cut at a page's size."""

    async def until(start: int, end: int) -> list[dict[str, Any]]:
        there = [row for row in rows if start <= row["timestamp"] <= end]
        return there[-size:] if newest_first else there[:size]

    async def page(start: int) -> list[dict[str, Any]]:
        return await until(start, 10**9)

    return page, until


@law
@given(
    at=st.lists(st.integers(1, 400), max_size=120).map(sorted),
    size=st.integers(SMALLEST_PAGE, 20),
    since=st.integers(0, 400),
    newest_first=st.booleans(),
    told=st.booleans(),
    can=st.booleans(),
)
def test_nothing_is_left_out_where_nobody_knows_with_which_row_a_page_begins(
    at: list[int], size: int, since: int, newest_first: bool, told: bool, can: bool
) -> None:
    """All of it, or nothing and a word why; and with an end that can be asked for, all of it, unless an instant fills a page."""
    rows = rows_of(at)
    page, until = exchange_of(rows, size, newest_first=newest_first)
    wanted = [row for row in rows if row["timestamp"] >= since]
    for read, named in (
        (forward, {"until": until if can else None}),
        (in_windows, {"back": until if can else None}),
    ):
        args = (page, since) if read is forward else (page, since, 400, 1_000)
        try:
            found = run(read, *args, full=size if told else None, first_known=False, **named)
        except VenueUnavailable:
            assert not can or not fits([row["timestamp"] for row in wanted], size)
        else:
            assert sorted(found, key=lambda row: int(row["id"])) == wanted


@pytest.mark.parametrize("rows", [SMALLEST_PAGE - 1, SMALLEST_PAGE])
def test_a_page_that_nobody_knows_the_size_of_is_proved_from_so_many_rows_on(rows: int) -> None:
    page, _ = exchange_of(rows_of(list(range(1, 100))), rows, newest_first=True)
    if rows < SMALLEST_PAGE:
        assert len(run(forward, page, 0, first_known=False)) == rows
    else:
        with pytest.raises(VenueUnavailable, match="may have left out"):
            run(forward, page, 0, first_known=False)


def test_an_exchange_that_does_not_heed_an_end_is_not_believed_about_it() -> None:
    rows = rows_of(list(range(1, 121)))
    for newest_first in (True, False):
        page, _ = exchange_of(rows, 50, newest_first=newest_first)

        async def until(start: int, end: int, page: Any = page) -> list[dict[str, Any]]:
            return list(await page(start))

        if newest_first:
            with pytest.raises(VenueUnavailable, match="may have left out"):
                run(forward, page, 0, full=50, first_known=False, until=until)
        else:
            assert run(forward, page, 0, full=50, first_known=False, until=until) == rows

    async def nothing(start: int, end: int) -> list[dict[str, Any]]:
        return []

    with pytest.raises(VenueUnavailable, match="were not told"):
        run(forward, exchange_of(rows, 50, newest_first=True)[0], 0, full=50, first_known=False, until=nothing)


@pytest.mark.parametrize("told", [None, ""])
def test_a_row_without_an_id_is_no_row(told: object) -> None:
    """All of them would be one."""

    async def page(start: int) -> list[dict[str, Any]]:
        return [{"id": told, "timestamp": 1_000 + n} for n in range(5)]

    with pytest.raises(VenueUnavailable, match="without an id"):
        run(forward, page, 0)


@pytest.mark.parametrize(("rows", "full", "raises"), [(49, None, False), (50, None, True), (9, 10, False), (10, 10, True)])
def test_an_instant_that_fills_a_page_is_told_of(rows: int, full: int | None, raises: bool) -> None:
    """What lies behind it could not be asked for: there may be more at that very instant."""

    async def page(start: int) -> list[dict[str, Any]]:
        return rows_of([7] * rows) if start <= 7 else []

    if raises:
        with pytest.raises(VenueUnavailable, match="cannot be asked for"):
            run(forward, page, 0, full=full)
    else:
        assert len(run(forward, page, 0, full=full)) == rows


def test_a_list_without_end_is_told_of() -> None:
    async def page(start: int) -> list[dict[str, Any]]:
        return [{"id": str(start + 1), "timestamp": start + 1}]

    with pytest.raises(VenueUnavailable, match="no end"):
        run(forward, page, 0)


def test_a_row_without_a_time_is_no_row() -> None:
    async def page(start: int) -> list[dict[str, Any]]:
        return [{"id": "1", "timestamp": None}]

    with pytest.raises(VenueUnavailable, match="without a time"):
        run(forward, page, 0)
