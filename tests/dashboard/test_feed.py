"""The law of the feed: what a page was told, applied in order, is what a fresh look shows, wherever it began and whatever it missed."""

from __future__ import annotations

import json
import logging
import math
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand import PERP, SPOT, Page, make_desk

from live_stand import mocked, soon
from sleeves import Books, Desk, Place, Side, Treasury
from sleeves.dashboard import feed as feeds
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.history import History, halved, thinned
from sleeves.dashboard.messages import KEPT, POINTS, from_json, to_json
from sleeves.errors import SleevesError, VaultError
from sleeves.journal import Memory
from sleeves.journals import SQLite
from sleeves.live import trade
from sleeves.orders import OrderStatus
from sleeves.records import Alert, Level, Refusal
from sleeves.report import Report
from strategies import heavy, law


class Ticks:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def shown(feed):
    """What a fresh page shows."""
    page = Page()
    page.take(to_json(feed.snapshot()))
    return page.picture()


def told(page, feed, deltas):
    for delta in deltas:
        assert page.take(to_json(delta)) == "ok"
    return page


# -- the law -------------------------------------------------------------------------------------------------------------

SLEEVES = ("quiet", "flash", "swing", "carry", "rest")
_acts = st.one_of(
    st.tuples(st.just("play"), st.integers(1, 12)),
    st.tuples(st.just("play_looking"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(["pause", "resume", "stop", "start", "kill", "flatten", "revive", "restart"]), st.sampled_from([*SLEEVES, ""])
    ),
    st.tuples(st.sampled_from(["allocate", "reclaim"]), st.sampled_from(SLEEVES)),
    st.tuples(st.sampled_from(["buy", "sell", "bid", "close", "cancel"]), st.sampled_from(SLEEVES)),
    st.tuples(st.just("long"), st.sampled_from(SLEEVES)),
    st.tuples(st.just("alert"), st.sampled_from([1, 3, 550])),
    st.tuples(st.just("open"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("leave"), st.integers(0, 3)),
)


def act(stand, ticks, feed, what, given):
    """Do something to the desk. What it refuses is a step too."""
    desk, vault = stand.desk, stand.vault
    sleeve = vault.sleeves.get(given) if isinstance(given, str) else None
    try:
        if what == "play":
            stand.play(given)
        elif what == "play_looking":
            stand.play(given, each=feed.refresh)
        elif what in ("kill", "flatten"):
            stand.carry(desk.kill(sleeve or desk, flatten=what == "flatten", by="ann", why="a test"))
        elif what in ("pause", "stop"):
            stand.carry(getattr(desk, what)(sleeve or vault, by="ann"))
        elif what in ("revive", "resume", "start", "restart"):
            stand.carry(getattr(desk, what)(sleeve or desk, by="ann", why="a test") or ())
        elif what in ("allocate", "reclaim"):
            getattr(vault, what)(sleeve, "250", by="ann")
        elif what in ("buy", "sell", "bid", "long"):
            market = PERP if what == "long" else SPOT
            price = market.round_price(market.price_float(desk.marks()[market.symbol].price) * 0.9) if what == "bid" else None
            side = Side.SELL if what == "sell" else Side.BUY
            done = desk.order(sleeve, Place(market, side, market.qty("0.01"), limit=price), by="ann")
            stand.carry(() if isinstance(done, Refusal) else done)
        elif what == "close":
            done = desk.close(sleeve, SPOT, by="ann")
            stand.carry(() if isinstance(done, Refusal) else done)
        elif what == "cancel":
            stand.carry(desk.cancel_all(sleeve))
        elif what == "alert":
            for n in range(given):
                desk.alert(desk.books.now, Level.INFO, "desk:main", "test", f"number {n}")
        elif what == "open":
            vault.sleeve(f"new-{given}", vault.sleeves["quiet"].policy, by="ann")
        elif what == "wait":
            ticks.now += given
    except (SleevesError, AttributeError, KeyError):
        pass


@settings(law, max_examples=30)
@given(st.integers(0, 60), st.lists(_acts, min_size=1, max_size=16))
def test_the_first_picture_and_all_changes_are_a_fresh_picture(begun, acts):
    """Three pages: one is told everything, one leaves at any moments and comes back, one comes back with what it saw first."""
    ticks = Ticks()
    stand = make_desk(2, rows=400, first=100)
    stand.play(begun)
    feed = Feed(stand.desk, clock=ticks, session="s", venues=[stand.venue])
    first = to_json(feed.snapshot())
    pages = [Page(), Page(), Page()]
    for page in pages:
        page.take(first)
    always, sometimes, late = pages
    away = 0
    for what, how in acts:
        act(stand, ticks, feed, what, how)
        away = how if what == "leave" else away - 1
        if what != "play" or away < 0:  # a page may be told at once, or after many steps
            told(always, feed, feed.since("s", always.seq))
        if away < 0:
            told(sometimes, feed, feed.since(sometimes.session, sometimes.seq))
    fresh = shown(feed)
    assert told(always, feed, feed.since("s", always.seq)).picture() == fresh
    assert told(sometimes, feed, feed.since("s", sometimes.seq)).picture() == fresh
    assert told(late, feed, feed.since("s", late.seq)).picture() == fresh
    assert always.seq == feed.seq
    again = Feed(stand.desk, clock=ticks, venues=[stand.venue])
    other = shown(again)
    assert other["tables"] == fresh["tables"], "what one feed tells any other tells"
    assert other["streams"] == fresh["streams"]


@settings(law, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=10), st.integers(1, 5))
def test_who_reads_slowly_ends_with_the_same_picture(steps, most):
    """A reader takes a message now and then, out of a queue of a few; what it missed is made good by a picture."""
    ticks = Ticks()
    stand = make_desk(1, contracts=False, rows=400, first=100)
    feed = Feed(stand.desk, clock=ticks)
    page = Page()

    async def main():
        with feed.subscribe(most=most) as stream:
            for takes, rows in steps:
                stand.play(rows, each=feed.refresh)
                assert stream.waiting <= most + 1
                for _ in range(min(takes, stream.waiting)):
                    assert page.take(await anext(stream)) == "ok"
            feed.refresh()
            while stream.waiting:
                assert page.take(await anext(stream)) == "ok"

    anyio.run(main)
    assert page.picture() == shown(feed)


def test_a_page_that_was_away_too_long_is_told_all_of_it():
    stand = make_desk(1, contracts=False)
    feed = Feed(stand.desk, keep=5, session="s")
    feed.snapshot()
    stand.play(5, each=feed.refresh)
    assert feed.seq == 5 and [delta.seq for delta in feed.since("s", 0)] == [1, 2, 3, 4, 5]
    stand.play(1)
    assert feed.since("s", 0) is None, "six behind, five are kept"
    assert [delta.seq for delta in feed.since("s", 1)] == [2, 3, 4, 5, 6]
    assert feed.since("s", 6) == []
    assert feed.since("s", 7) is None, "what was never told"
    assert feed.since("another", 6) is None
    assert feed.since(None, None) is None
    assert feed.since("s", None) is None


def test_nothing_new_is_nothing_told():
    stand = make_desk(2)
    stand.play(3)
    feed = Feed(stand.desk)
    assert feed.refresh() is None, "the first look has nothing to compare with"
    assert feed.refresh() is None
    assert feed.seq == 0
    stand.play(1)
    delta = feed.refresh()
    assert delta.seq == 1 and set(delta.set) >= {"desk", "markets"}
    assert feed.refresh() is None


def test_each_feed_has_a_name_of_its_own():
    stand = make_desk(1, contracts=False)
    assert Feed(stand.desk).session != Feed(stand.desk).session
    assert len(Feed(stand.desk).session) >= 12


# -- streams and charts ----------------------------------------------------------------------------------------------------


def test_streams_are_numbered_by_the_journal_and_bounded():
    stand = make_desk(5)
    feed = Feed(stand.desk, session="s")
    page = Page()
    page.take(to_json(feed.snapshot()))
    stand.play(600)
    stand.desk.alert(stand.desk.books.now, Level.CRITICAL, "flash", "test", "look")
    told(page, feed, feed.since("s", 0))
    records = list(stand.desk.books.journal)
    alerts = page.streams["alerts"]
    expected = [(n, one.code, one.level.value, one.text) for n, one in enumerate(records, 1) if isinstance(one, Alert)]
    assert [(one["n"], one["code"], one["level"], one["text"]) for one in alerts] == expected[-KEPT:] and len(alerts) > 1
    log = page.streams["log"]
    assert len(log) == KEPT and all(a["n"] < b["n"] for a, b in pairwise(log))
    assert {one["kind"] for one in log} >= {"order", "fill", "funds", "refusal"}
    for one in range(600):
        stand.desk.alert(stand.desk.books.now, Level.INFO, "desk:main", "test", f"number {one}")
    told(page, feed, feed.since("s", page.seq))
    assert [one["text"] for one in page.streams["alerts"]] == [f"number {n}" for n in range(100, 600)]
    assert page.picture() == shown(feed)


def test_the_past_of_charts_is_what_a_report_draws():
    stand = make_desk(3)
    stand.play(300)
    charts = Feed(stand.desk).snapshot().charts
    report = Report(stand.desk)
    for name in stand.sleeves:
        points = charts[f"sleeve:{name}"].points
        series = report.series(name)
        expected = [(row["at"] // 1_000_000, *(row[field] for field in charts[f"sleeve:{name}"].fields[1:])) for row in series]
        for point, row in zip(points, expected, strict=False):
            assert [None if one is None else round(one, 9) for one in point] == [None if one is None else round(one, 9) for one in row]
        assert len(points) <= len(expected) + 1, "the last point is of now"
    vaults = report.vault_series("core:main:USD")
    assert [one[1] for one in charts["vault:core:main:USD"].points][: len(vaults)] == pytest.approx([row["total"] for row in vaults])


def test_a_chart_gets_points_at_once_where_something_was_booked_and_in_a_rhythm_for_prices():
    ticks = Ticks()
    stand = make_desk(2)
    stand.play(40)
    feed = Feed(stand.desk, clock=ticks, session="s")
    feed.snapshot()
    stand.play(6)
    moved = feed.refresh().points
    assert set(moved) <= {f"sleeve:{name}" for name in (*SLEEVES,)} | {"vault:core:main:USD"}
    stand.vault.allocate(stand.sleeves["quiet"], "10", by="ann")
    assert "sleeve:quiet" in feed.refresh().points, "booked"
    priced = "sleeve:swing"
    ticks.now += 2
    stand.play(1)
    assert priced in feed.refresh().points, "a contract's price moved, and a second is over"
    stand.desk.quote(stand.desk.index(PERP), stand.desk.books.now + 1, PERP.price("5000"), PERP.price("5000"))
    assert priced not in (feed.refresh().points or {}), "so soon again"


def test_a_run_that_nobody_looks_at_meanwhile_is_drawn_from_its_marks():
    stand = make_desk(3)
    stand.play(20)
    feed = Feed(stand.desk, session="s")
    page = Page()
    page.take(to_json(feed.snapshot()))
    begun = {series: len(one["points"]) for series, one in page.charts.items()}
    stand.play(300)
    delta = feed.refresh()
    told(page, feed, [delta])
    assert page.picture() == shown(feed)
    fresh = Feed(stand.desk).snapshot().charts
    for series, points in delta.points.items():
        assert feeds.MANY < len(points) <= feeds.BETWEEN + 1
        whole = {point[0]: point for point in fresh[series].points}
        assert all(whole.get(point[0], point) == pytest.approx(point) for point in points[:-1]), "each is what the journal's marks say"
        times = [point[0] for point in page.charts[series]["points"]]
        assert times == sorted(times)
        column = 2 if series.startswith("sleeve:") else 1
        for best in (min, max):
            past = [point[column] for point in fresh[series].points[begun[series] + 1 :] if point[column] is not None]
            now = [point[column] for point in points if point[column] is not None]
            assert best(now) == pytest.approx(best(past), rel=1e-3), "no extreme of it is lost"


def test_a_chart_never_has_more_points_than_are_drawn(monkeypatch):
    monkeypatch.setattr(feeds, "DRAWN", 0.0)
    stand = make_desk(1, contracts=False, rows=2600)
    feed = Feed(stand.desk, session="s", keep=10_000)
    page = Page()
    page.take(to_json(feed.snapshot()))
    for n in range(POINTS + POINTS // 2 + 100):
        stand.vault.set_tradeable(str(5000 + n % 2), by="ann", at=1_700_000_000_000_000_000 + n)
        feed.refresh()
    points = page.charts
    told(page, feed, feed.since("s", 0))
    assert points is page.charts
    series = page.charts["vault:core:main:USD"]["points"]
    assert POINTS // 2 <= len(series) <= POINTS
    assert page.picture() == shown(feed)


@heavy
@given(st.integers(0, 4 * 60), st.integers(5, 60))
def test_points_are_let_go_evenly_and_the_last_stays(count, most):
    points = [(float(n), float(n)) for n in range(count)]
    left = halved(points, most)
    assert len(left) <= most and (not points or left[-1] == points[-1])
    steps = {b[0] - a[0] for a, b in pairwise(left)}
    assert len(steps) <= 1, "as far from each other as ever"
    assert len(thinned(points, most, 1)) <= most


def test_no_extreme_of_the_past_is_lost():
    points = [(float(n), 0.0, math.sin(n) + (100.0 if n == 1234 else 0.0)) for n in range(5_000)]
    left = thinned(points)
    assert points[1234] in left and left[-1] == points[-1] and len(left) <= POINTS


# -- on a run ------------------------------------------------------------------------------------------------------------


def test_a_run_of_trade_is_told_to_the_last_record():
    """On trio's made-up time: pages that come at any time, one of them slow, while `trade` plays a venue."""
    stand = make_desk(3, rows=120)
    pages = [Page() for _ in range(4)]
    feed = Feed(stand.desk, session="s", venues=[stand.venue])

    async def watch(page, delay, slow):
        await anyio.sleep(delay)
        with feed.subscribe(page.session, page.seq, most=3) as stream:
            async for message in stream:
                assert page.take(message) == "ok"
                await anyio.sleep(slow)

    async def main():
        async with feed.running(), anyio.create_task_group() as tasks:
            for n, page in enumerate(pages):
                tasks.start_soon(watch, page, n * 0.01, n * 0.3)
            await soon()
            await trade(stand.desk, stand.venue)
            await anyio.sleep(5)
            feed.close()

    anyio.run(main, **mocked())
    assert feed.seq > 0
    again = shown(Feed(stand.desk, venues=[stand.venue], session="s"))
    for page in pages:
        assert page.tables == again["tables"]
        assert page.streams == again["streams"]


def test_a_subscriber_begins_with_what_it_missed_or_with_a_picture():
    stand = make_desk(1, contracts=False)
    stand.play(3)
    feed = Feed(stand.desk, session="s")

    async def first(*known):
        with feed.subscribe(*known) as stream:
            return [from_json(await anext(stream), side="server") for _ in range(stream.waiting)]

    async def main():
        (snapshot,) = await first()
        assert (snapshot.session, snapshot.seq) == ("s", 0)
        stand.play(2, each=feed.refresh)
        assert [one.seq for one in await first("s", 0)] == [1, 2]
        assert await first("s", 2) == []
        assert [type(one).__name__ for one in await first("t", 2)] == ["Snapshot"]
        with feed.subscribe("s", 2) as stream:
            assert feed.subscribers == 1
            stand.play(1)
            stream.resync()
            assert from_json(await anext(stream), side="server").seq == 3
            assert stream.waiting == 0, "what the picture has is not told twice"
        assert feed.subscribers == 0

    anyio.run(main)


def test_a_change_is_written_once_for_all(monkeypatch):
    written = []
    monkeypatch.setattr(feeds, "to_json", lambda message: written.append(type(message).__name__) or to_json(message))
    stand = make_desk(1, contracts=False)
    feed = Feed(stand.desk)
    with feed.subscribe(), feed.subscribe("", 0):
        assert written == []
    feed.snapshot()
    streams = [feed.subscribe(feed.session, 0) for _ in range(20)]
    for one in streams:
        one.__enter__()
    stand.play(1)
    feed.refresh()
    assert written == ["Delta"]
    for one in streams:
        one.__exit__(None, None, None)
    stand.play(1)
    feed.refresh()
    assert written == ["Delta"], "nobody is there"


def test_it_refreshes_soon_after_a_record_and_at_times_for_prices():
    stand = make_desk(1, contracts=False)
    stand.play(5)
    market, at = stand.desk.index(SPOT), stand.desk.books.now
    stand.desk.quote(market, at + 1, SPOT.price("5000"), SPOT.price("5000"))
    feed = Feed(stand.desk, every=10.0)

    async def main():
        async with feed.running():
            with feed.subscribe() as stream:
                await anext(stream)
                since = anyio.current_time()
                stand.vault.allocate(stand.sleeves["quiet"], "1", by="ann")
                await anext(stream)
                assert anyio.current_time() - since < 0.2, "a record is told at once"
                since = anyio.current_time()
                stand.desk.quote(market, at + 2, SPOT.price("5001"), SPOT.price("5001"))
                await anext(stream)
                assert 1 < anyio.current_time() - since < 11, "a price in its rhythm"
            with pytest.raises(VaultError, match="runs already"):
                async with feed.running():
                    pass
        async with feed.running():
            pass

    anyio.run(main, **mocked())


def test_it_goes_on_at_leisure_while_nobody_looks():
    stand = make_desk(1, contracts=False)
    stand.play(5)
    feed = Feed(stand.desk)

    async def main():
        async with feed.running():
            for n in range(1, 41):
                stand.vault.set_tradeable(str(4000 + n), by="ann")
                await anyio.sleep(0.1)

    anyio.run(main, **mocked())
    assert 1 <= feed.seq <= 6, "four seconds, one look a second"


def test_what_cannot_be_looked_at_is_logged_and_tried_again(caplog):
    """And nothing is lost by it: not what happened, nor what changed."""
    stand = make_desk(1, contracts=False)
    stand.play(2)
    fails, page = [], Page()

    class Torn:
        @property
        def real_money(self):
            if fails:
                fails.pop()
                raise RuntimeError("the venue is torn")
            return False

    feed = Feed(stand.desk, venues=[Torn()], session="s")
    stand.desk.order(stand.sleeves["quiet"], Place(SPOT, Side.BUY, SPOT.qty("0.01"), limit=SPOT.price("100")), by="ann")
    fails += [True]
    with pytest.raises(RuntimeError):
        feed.snapshot()
    assert stand.desk.books.listeners == []
    page.take(to_json(feed.snapshot()))

    async def main():
        async with feed.running():
            with feed.subscribe("s", 0) as stream:
                fails.extend([True] * 3)
                stand.desk.alert(stand.desk.books.now, Level.INFO, "desk:main", "test", "look")
                with anyio.fail_after(60):
                    while not page.streams["alerts"]:
                        assert page.take(await anext(stream)) == "ok"

    with caplog.at_level(logging.ERROR, "sleeves.dashboard"):
        anyio.run(main, **mocked())
    assert not fails and caplog.text.count("could not be looked at") == 3
    assert page.picture() == shown(feed)


def test_whoever_is_asked_while_the_desk_is_looked_at_may_look_too():
    stand = make_desk(1, contracts=False)
    feed, seen = Feed(stand.desk, session="s"), []
    stand.play(2)
    stand.desk.order(stand.sleeves["quiet"], Place(SPOT, Side.BUY, SPOT.qty("0.01"), limit=SPOT.price("100")), by="ann")
    feed.snapshot()
    feed.depth = lambda _: seen.append(feed.refresh())
    stand.play(1)
    assert feed.refresh().seq == 1 and seen == [None]


def test_a_long_journal_is_read_in_slices_while_the_desk_goes_on(monkeypatch):
    monkeypatch.setattr(feeds, "SLICE", 50)
    stand = make_desk(3)
    stand.play(100)
    count = len(stand.desk.books.journal)
    turns = 0

    async def main():
        nonlocal turns
        feed = Feed(stand.desk)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.ready)
            tasks.start_soon(feed.ready)
            while feed._past is None:
                await anyio.lowlevel.checkpoint()
                turns += 1
                if turns == 5:
                    stand.play(5)
        return feed

    feed = anyio.run(main)
    assert turns >= count // 50 // 2
    assert shown(feed) == shown(Feed(stand.desk, session=feed.session))


def test_records_that_nobody_asks_for_do_not_pile_up():
    stand = make_desk(1, contracts=False)
    feed = Feed(stand.desk, session="s")
    page = Page()
    page.take(to_json(feed.snapshot()))
    for n in range(feeds.HEARD * 5 // 2):
        stand.desk.alert(stand.desk.books.now, Level.INFO, "desk:main", "test", f"number {n}")
        assert len(feed._heard) <= feeds.HEARD
    told(page, feed, feed.since("s", 0))
    assert [one["text"] for one in page.streams["alerts"]] == [f"number {n}" for n in range(2_000, 2_500)]
    assert page.picture() == shown(feed) == shown(Feed(stand.desk))


def test_a_run_over_a_database_is_told_to_the_last_record(tmp_path, monkeypatch):
    """Records are kept in groups there: what is told is what is kept, and what another feed reads of it later."""
    monkeypatch.setattr(feeds, "SLICE", 40)
    with SQLite.open(tmp_path / "desk.db") as journal:
        stand = make_desk(2, rows=150, books=Books(journal))
        page, feed = Page(), Feed(stand.desk, session="s", venues=[stand.venue])

        async def watch():
            with feed.subscribe() as stream:
                async for message in stream:
                    assert page.take(message) == "ok"

        async def main():
            async with feed.running(), anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                await soon()
                await trade(stand.desk, stand.venue)
                await anyio.sleep(5)
                feed.close()

        anyio.run(main, **mocked())
        later = Feed(stand.desk, session="s", venues=[stand.venue])
        anyio.run(later.ready)
        again = shown(later)
        assert (page.tables, page.streams) == (again["tables"], again["streams"])
        assert again["tables"]["desk"]["desk:main"]["records"] == len(journal) > 300


# -- listeners and the end -------------------------------------------------------------------------------------------------


def test_who_listens_is_called_for_each_record_and_may_look():
    """As a widget does: from within the step that wrote the record. The next look puts right what was not yet done."""
    stand = make_desk(3)
    feed = Feed(stand.desk, session="s")
    page, calls = Page(), []
    page.take(to_json(feed.snapshot()))

    def look():
        calls.append(len(stand.desk.books.journal))
        told(page, feed, feed.since("s", page.seq))

    end = feed.on_change(look)
    before = len(stand.desk.books.journal)
    stand.play(80)
    stand.carry(stand.desk.pause(stand.vault, by="ann"))
    stand.carry(stand.desk.kill(stand.desk, flatten=True, by="ann"))
    stand.play(3)
    assert len(calls) == len(stand.desk.books.journal) - before > 100
    told(page, feed, feed.since("s", page.seq))
    assert page.picture()["tables"] == shown(feed)["tables"] == shown(Feed(stand.desk))["tables"]
    end()
    end()
    stand.desk.alert(stand.desk.books.now, Level.INFO, "desk:main", "test", "nobody listens")
    assert len(calls) == len(stand.desk.books.journal) - before - 1


def test_a_listener_that_raises_disturbs_nobody(caplog):
    stand = make_desk(1, contracts=False)
    feed, heard = Feed(stand.desk), []

    def raises():
        raise RuntimeError("no")

    feed.on_change(raises)
    feed.on_change(lambda: heard.append(1))
    with caplog.at_level(logging.ERROR, "sleeves.dashboard"):
        stand.desk.alert(1, Level.INFO, "desk:main", "test", "one")
        stand.desk.alert(1, Level.INFO, "desk:main", "test", "two")
    assert len(heard) == 2 and caplog.text.count("is told of no more changes") == 1
    stand.play(1)
    assert feed.refresh() is not None


def test_nothing_is_read_before_the_first_look_and_nothing_is_left_after_the_end():
    stand = make_desk(1, contracts=False)
    stand.play(1)
    before = list(stand.desk.books.listeners)
    feed = Feed(stand.desk)
    assert stand.desk.books.listeners == before
    feed.snapshot()
    assert len(stand.desk.books.listeners) == len(before) + 1
    feed.close()
    feed.close()
    assert stand.desk.books.listeners == before
    for look in (feed.snapshot, feed.refresh, lambda: feed.since("s", 0), lambda: feed.on_change(print)):
        with pytest.raises(VaultError, match="closed"):
            look()


def test_a_feed_over_reopened_books_tells_what_the_old_one_told():
    stand = make_desk(3)
    stand.play(200)
    old = shown(Feed(stand.desk))
    journal = Memory.read(list(stand.desk.books.journal.lines()))
    treasury = Treasury.reopen(Books(journal))
    again = Desk(*treasury.vaults, most_leverage=5)
    new = shown(Feed(again))
    assert new["streams"] == old["streams"]
    assert new["tables"]["orders"] == old["tables"]["orders"]
    assert any(row["status"] == OrderStatus.FILLED for row in new["tables"]["orders"].values())
    for name, row in new["tables"]["sleeves"].items():
        for field in ("balance", "realized", "fees", "funding", "returned", "allocation"):
            assert row[field] == old["tables"]["sleeves"][name][field], (name, field)
    for said in Report(again).rows():  # where no price is known yet, a return is that of the last mark
        row, before = new["tables"]["sleeves"][said["sleeve"]], old["tables"]["sleeves"][said["sleeve"]]
        if row["equity"] is not None:
            assert (row["return_pct"], row["drawdown_pct"]) == (before["return_pct"], before["drawdown_pct"])
        assert float(row["return_pct"]) == pytest.approx(said["return"] * 100, abs=1e-4)
        assert float(row["drawdown_pct"]) == pytest.approx(said["drawdown"] * 100, abs=1e-4)
    assert all(row["mark"] is None for row in new["tables"]["markets"].values()), "no price was seen yet"
    open_ones = {row["sleeve"] for row in new["tables"]["positions"].values()}
    assert open_ones and all(new["tables"]["sleeves"][name]["equity"] is None for name in open_ones), "so equity is not known"


@pytest.mark.parametrize("terms", [{"keep": -1}, {"keep": 1.0}, {"every": 0}, {"every": -1}, {"every": True}, {"every": float("nan")}])
def test_terms_that_cannot_be_are_refused(terms):
    with pytest.raises(VaultError):
        Feed(make_desk(1, contracts=False).desk, **terms)
    with pytest.raises(VaultError, match="of a Desk"):
        Feed("desk")


def test_what_is_written_is_json_that_any_reader_takes():
    stand = make_desk(2, hostile=True)
    stand.play(20)
    body = json.loads(Feed(stand.desk).written(), parse_constant=lambda text: pytest.fail(text))
    assert body["type"] == "snapshot"


def test_a_look_that_is_broken_off_is_made_good_under_another_session(monkeypatch):
    """Who stops the cell of a notebook stops it anywhere: nothing is half known then."""
    stand = make_desk(3)
    stand.play(40)
    feed = Feed(stand.desk, session="s")
    told_before = feed.snapshot()
    poked = []
    feed.on_change(lambda: poked.append(1))
    stand.play(60)
    apply, left = History.apply, iter(range(7))

    def stopped(self, record):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return apply(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(History, "apply", stopped)
        with pytest.raises(KeyboardInterrupt):
            feed.refresh()
    assert feed.since(told_before.session, told_before.seq) is None, "pages are told all of it"
    assert feed.session != "s"
    again, fresh = feed.snapshot(), Feed(stand.desk, session="t").snapshot()
    assert (again.streams, again.tables["orders"]) == (fresh.streams, fresh.tables["orders"])
    before = len(poked)
    stand.play(3)
    assert len(poked) > before, "and it is still told of records, once each"
    assert feed._past.count + len(feed._heard) == len(stand.desk.books.journal)


def test_a_return_goes_up_to_now_and_agrees_with_the_profit():
    """At a price far from the last mark, the return has the sign of what was made: both are of one instant."""
    stand = make_desk(3)
    stand.play(120)
    feed = Feed(stand.desk)
    for price in ("9000", "1500", "4000"):
        instrument = next(one for one in stand.desk.books.instruments.values() if one.contract is not None)
        stand.desk.quote(stand.desk.index(instrument), stand.desk.books.now + 1, instrument.price(price), instrument.price(price))
        shown_now = {name: (row.net, row.return_pct, row.drawdown_pct) for name, row in feed.snapshot().tables["sleeves"].items()}
        stand.desk.mark(stand.desk.books.now)
        for said in Report(stand.desk).rows():
            net, made, fell = shown_now[said["sleeve"]]
            assert net == said["net_profit"]
            assert float(made) == pytest.approx(said["return"] * 100, abs=1e-4)
            assert float(fell) == pytest.approx(said["drawdown"] * 100, abs=1e-4)
