"""The desk in a notebook: what goes over the notebook's own channel, while runs that wait and runs that do not go on."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import weakref
from decimal import Decimal

import comm
import pytest
from comm.base_comm import BaseComm
from stand import MARKUP, Page, make_desk

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.control import Control
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import to_json
from sleeves.dashboard.widget import PARTS, DeskWidget
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.live import trade
from sleeves.sim import Tape, replay


class Wire(BaseComm):
    """The notebook's side of a comm, as ipykernel's: it keeps what a page would get, and hands on what one says."""

    wires: list[Wire]

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if msg_type == "comm_open":
            self.state = dict(data["state"])
            self.frames, self.closed = [], False
            if "_esm" in self.state:  # not that of a layout
                Wire.wires.append(self)
        elif msg_type == "comm_close":
            self.closed = True
        elif data.get("method") == "custom":
            self.frames.append(data["content"])
        else:
            self.state |= data.get("state", {})

    def say(self, frame):
        self.handle_msg({"content": {"data": {"method": "custom", "content": frame}}, "buffers": []})


class Front:
    """What widget.js is to a page: one store, fed by frames."""

    def __init__(self, wire, name="f"):
        self.wire, self.name, self.page = wire, name, Page()
        self.page.take(wire.state["first"].encode())
        self.read, self.gaps, self.other = 0, 0, []
        self.ended = ""

    def look(self, views=1):
        self.wire.say({"front": self.name, "views": views})
        if views:
            self.say(type="hello", session=self.page.session, seq=self.page.seq)

    def say(self, **message):
        self.wire.say({"text": json.dumps(message)})

    def take(self):
        """Take in what came; returns how many messages moved the picture."""
        moved = 0
        for frame in self.wire.frames[self.read :]:
            self.ended = frame.get("ended", self.ended)
            body = json.loads(frame.get("text", "null"))
            if body is None or body["type"] not in ("snapshot", "delta"):
                self.other += [] if body is None else [body]
                continue
            before = self.page.seq
            self.gaps += self.page.take(frame["text"].encode()) == "gap"
            moved += self.page.seq != before
        self.read = len(self.wire.frames)
        return moved


@pytest.fixture(autouse=True)
def wires(monkeypatch):
    Wire.wires = []
    monkeypatch.setattr(comm, "create_comm", lambda **terms: Wire(**terms))
    yield Wire.wires
    for one in list(_widgets()):
        one.close()


def _widgets():
    from ipywidgets.widgets.widget import _instances

    return [one for one in _instances.values() if isinstance(one, DeskWidget)]


class Clock:
    """A clock that goes on a little whenever it is looked at: a thousand records take seconds."""

    def __init__(self, step=0.002):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def two_sleeves():
    tape = Tape.sample().slice(0, 1500)
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
    return desk, tape


def as_told(desk, widget):
    """How a page must show the desk now: as a fresh message does."""
    bell = widget._teller._bell()
    body = json.loads(to_json(bell.feed.snapshot()))
    return {name: body[name] for name in ("tables", "streams", "charts")}


async def until(condition, what, seconds=20.0):
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def same(front, desk, widget):
    front.take()
    return front.page.picture() == as_told(desk, widget)


def test_a_page_begins_with_the_desk_as_it_stood_and_all_of_the_components():
    desk, _ = two_sleeves()
    widget = desk.widget(title="Two sleeves")
    state = Wire.wires[0].state
    first = json.loads(state["first"])
    assert first["type"] == "snapshot"
    assert first["title"] == "Two sleeves"
    assert first["commands"] is False
    assert set(first["tables"]["sleeves"]) == {"quiet", "flash"}
    assert state["show"] == ["sleeves-page"]
    assert "export default" in state["_esm"]
    assert 'define("engine-vault-card"' in state["_esm"]
    assert widget.comm is Wire.wires[0]


def test_a_replay_in_a_cell_is_told_while_it_runs_and_as_it_ended():
    desk, tape = two_sleeves()

    async def cells():
        widget = desk.widget(clock=Clock())
        front = Front(Wire.wires[0])
        front.look()
        report = replay(desk, tape, bounds=False)  # nothing is awaited: the loop does not get to run
        told = front.take()
        assert told >= 5, "it was told while the cell ran"
        assert not front.gaps
        assert front.page.tables["desk"]["desk:main"]["records"] > 500
        await until(lambda: same(front, desk, widget), "the last of it")
        return front, report

    front, report = asyncio.run(cells())
    row = next(row for row in report.rows() if row["sleeve"] == "quiet")
    assert Decimal(front.page.tables["sleeves"]["quiet"]["balance"]) == Decimal(row["balance"])
    assert front.page.tables["desk"]["desk:main"]["records"] == len(desk.books.journal)


def test_what_is_told_is_bounded_whatever_the_journal_writes():
    desk, tape = two_sleeves()

    async def cells():
        clock = Clock()
        desk.widget(clock=clock, most_per_second=4)
        front = Front(Wire.wires[0])
        front.look()
        front.take()
        begun = clock.now
        replay(desk, tape, bounds=False)
        assert front.take() <= 4 * (clock.now - begun) + 1

    asyncio.run(cells())


def test_a_run_that_waits_is_told_between_its_steps():
    one = make_desk(2, rows=150)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        told = []

        async def look():
            while True:
                told.append(front.take())
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        await trade(one.desk, Paced(one.venue))
        looking.cancel()
        assert sum(map(bool, told)) >= 5
        await until(lambda: same(front, one.desk, widget), "the last of it")
        assert not front.gaps

    asyncio.run(cells())


class Paced:
    """A venue that takes a while over each event, so that a run lasts."""

    def __init__(self, venue, pause=0.002):
        self._venue, self._pause = venue, pause

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def events(self):
        async for event in self._venue.events():
            await asyncio.sleep(self._pause)
            yield event


def test_prices_alone_are_told_as_well():
    one = make_desk(2, rows=200)
    one.play(20)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        market = one.venue.exchange.tapes[0].instrument
        index = one.desk.index(market)
        price = one.desk.marks()[market.symbol].price
        one.desk.quote(index, one.desk.books.now + 1, price, price)  # what is written by the hour is written
        await until(lambda: same(front, one.desk, widget), "the beginning")
        records, price = len(one.desk.books.journal), price + 100
        one.desk.quote(index, one.desk.books.now + 1, price, price)
        assert len(one.desk.books.journal) == records, "a record was written"
        wanted = market.price_text(price)

        def shown():
            front.take()
            return Decimal(front.page.tables["markets"][market.symbol]["bid"]) == Decimal(wanted)

        await until(shown, "the new price")

    asyncio.run(cells())


def test_while_no_page_has_said_that_it_is_there_all_is_told_each_time():
    desk, tape = two_sleeves()

    async def cells():
        desk.widget(clock=Clock())
        late = Front(Wire.wires[0])
        replay(desk, tape, bounds=False)
        kinds = {json.loads(frame["text"])["type"] for frame in Wire.wires[0].frames}
        assert kinds == {"snapshot"}
        late.read = len(Wire.wires[0].frames) - 1  # it was not listening but to the last
        late.take()
        assert not late.gaps
        assert late.page.tables["desk"]["desk:main"]["records"] > 500

    asyncio.run(cells())


def test_a_page_that_missed_something_during_a_cell_that_does_not_wait_is_whole_again_within_it():
    desk, tape = two_sleeves()

    async def cells():
        desk.widget(clock=Clock(0.01))
        front = Front(Wire.wires[0])
        front.look()
        front.take()
        replay(desk, tape, bounds=False)
        told = [json.loads(frame["text"])["type"] for frame in front.wire.frames]
        again = [n for n, kind in enumerate(told) if kind == "snapshot"]
        assert len(again) >= 2, "told anew, without having been asked for"
        front.page, front.read = Page(), again[-1]  # all before was lost on the way
        front.take()
        assert front.page.seq is not None
        assert not front.gaps

    asyncio.run(cells())


def test_views_come_and_go_and_several_share_one_widget():
    one = make_desk(2, rows=300)
    one.play(10)

    async def cells():
        widget = one.desk.widget(clock=Clock(0.01))
        wire = Wire.wires[0]
        first, second = Front(wire, "a"), Front(wire, "b")
        first.look()
        one.play(20)
        await until(lambda: same(first, one.desk, widget), "the first view")
        second.look()  # knows no more than how it was at the beginning
        await until(lambda: same(second, one.desk, widget), "the second view")
        one.play(20)
        await until(lambda: same(first, one.desk, widget) and same(second, one.desk, widget), "both")
        assert not first.gaps
        assert not second.gaps

        first.look(0)
        second.look(0)
        sent = len(wire.frames)
        one.play(30)
        await asyncio.sleep(0.3)
        assert len(wire.frames) == sent, "nobody looks, so nothing is told"
        first.look()
        await until(lambda: same(first, one.desk, widget), "back again")

    asyncio.run(cells())


def test_a_gap_is_asked_for_and_mended():
    one = make_desk(2, rows=100)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        await until(lambda: same(front, one.desk, widget), "the beginning")
        one.play(10)
        widget.update()
        front.read = len(front.wire.frames)
        one.play(10)
        widget.update()
        front.take()
        assert front.gaps == 1
        front.say(type="resync")
        await until(lambda: same(front, one.desk, widget), "all of it anew")

    asyncio.run(cells())


def test_a_page_that_asks_on_and_on_is_told_all_of_it_now_and_then():
    one = make_desk(2, rows=100)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        begun = asyncio.get_running_loop().time()
        for _ in range(30):
            one.play(1)
            front.say(type="resync")
            await asyncio.sleep(0.01)
        lasted = asyncio.get_running_loop().time() - begun
        told = [json.loads(frame["text"])["type"] for frame in front.wire.frames]
        assert told.count("snapshot") <= 2 + 2 * lasted
        await until(lambda: same(front, one.desk, widget), "all of it")

    asyncio.run(cells())


def test_what_a_page_says_in_another_thread_is_heard_in_the_desks():
    """Kernels with subshells take in what pages say in a thread of their own."""
    one = make_desk(2, rows=100)
    threads = set()

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        teller = widget._teller
        answer = teller._answer

        def noted():
            threads.add(threading.get_ident())
            answer()

        teller._answer = noted
        one.play(10)
        other = threading.Thread(target=front.look)
        other.start()
        other.join()
        await until(lambda: same(front, one.desk, widget), "the answer")

    asyncio.run(cells())
    assert threads == {threading.get_ident()}


def test_a_page_that_asks_while_a_cell_does_not_wait_is_told_all_within_it():
    desk, tape = two_sleeves()

    async def cells():
        clock = Clock()
        desk.widget(clock=clock)
        front = Front(Wire.wires[0])
        front.look()

        def ask():
            front.say(type="resync")

        half = threading.Thread(target=ask)

        class Asking(Trend):
            def decide(self, memory, view):
                if half.ident is None and len(desk.books.journal) > 300:
                    half.start()
                    half.join()
                return super().decide(memory, view)

        sleeve = desk.treasury["USD"].sleeve("asking", QUIET)
        desk.assign(Asking.quiet(tape.instrument, name="asking"), to=sleeve)
        replay(desk, tape, bounds=False)
        kinds = [json.loads(frame["text"])["type"] for frame in front.wire.frames]
        assert "snapshot" in kinds[1:]

    asyncio.run(cells())


def test_without_a_control_nothing_is_taken():
    one = make_desk(2, rows=50)
    allocate = {"what": "allocate", "id": "p-1", "vault": "core:main:USD", "sleeve": "flash", "amount": "10"}

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        records = len(one.desk.books.journal)
        front.say(type="preview", instruction=allocate)
        front.say(type="do", instruction=allocate)
        front.say(type="ping")
        front.wire.say({"text": "no JSON"})
        front.wire.say({"text": 5})
        front.wire.say("nonsense")
        front.wire.say({"front": 5, "views": "many"})
        await until(lambda: front.take() is None or len(front.other) == 4, "four answers")
        kinds = sorted((body["type"], body.get("code")) for body in front.other)
        assert kinds == [("pong", None), ("refused", "bad_message"), ("refused", "read_only"), ("refused", "read_only")]
        assert len(one.desk.books.journal) == records
        widget.close()

    asyncio.run(cells())


def test_with_a_control_money_moves_after_a_yes_to_the_numbers():
    one = make_desk(2, contracts=False, rows=50, total="20000")
    one.play(5)
    vault = one.vault

    async def cells():
        async with Control(one.desk, one.venue) as control:
            widget = one.desk.widget(control=control, by="ann")
            assert json.loads(Wire.wires[0].state["first"])["commands"] is True
            front = Front(Wire.wires[0])
            front.look()
            vault.set_tradeable("12000")
            before = vault.sleeves["flash"].allocation
            terms = {"what": "allocate", "id": "p-1", "sleeve": "flash", "amount": "100"}
            front.say(type="do", instruction=terms)
            await until(lambda: front.take() is None or front.other, "an answer")
            assert front.other.pop()["code"] == "needs_ticket"
            front.say(type="preview", instruction=terms)
            await until(lambda: front.take() is None or front.other, "the numbers")
            preview = front.other.pop()
            assert preview["type"] == "preview", preview
            assert preview["ok"], preview
            assert vault.sleeves["flash"].allocation == before, "a preview moves nothing"
            front.say(type="do", instruction=terms, ticket=preview["ticket"])
            await until(lambda: front.take() is None or front.other, "the answer")
            assert front.other.pop()["ok"] is True
            assert vault.sleeves["flash"].allocation + vault.sleeves["flash"].pending == before + USD("100")
            asked = [record for record in one.desk.books.journal if getattr(record, "by", "") == "ann"]
            assert asked, "it is in the journal, by name"
            await until(lambda: same(front, one.desk, widget), "the page")

    asyncio.run(cells())


def test_closing_ends_all_that_listens():
    one = make_desk(2, rows=50)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        front.look()
        assert len(one.desk.books.listeners) == 1
        widget.close()
        widget.close()
        front.take()
        assert front.ended == "The widget was closed."
        assert front.wire.closed
        assert one.desk.books.listeners == []
        sent = len(front.wire.frames)
        one.play(5)
        widget.update()
        front.wire.say({"text": '{"type":"resync"}'})
        await asyncio.sleep(0.4)
        assert len(front.wire.frames) == sent

    asyncio.run(cells())


@pytest.mark.parametrize("commanded", [False, True])
def test_a_widget_keeps_no_desk(commanded):
    async def cells():
        one = make_desk(2, contracts=False, rows=50)
        control = Control(one.desk, one.venue) if commanded else None
        widget = one.desk.widget(control=control)
        front = Front(Wire.wires[0])
        front.look()
        one.play(5)
        widget.update()
        there = weakref.ref(one.desk)
        del one, control
        gc.collect()
        await asyncio.sleep(0)
        gc.collect()
        assert there() is None
        widget.update()
        front.take()
        assert front.ended == "The desk is gone."
        assert front.page.tables["sleeves"], "what was told last is shown on"

    asyncio.run(cells())


def test_a_widget_that_is_forgotten_is_told_no_more():
    one = make_desk(2, rows=50)

    async def cells():
        widget = one.desk.widget()
        widget.close()
        there = weakref.ref(widget)
        del widget
        Wire.wires.clear()
        gc.collect()
        assert there() is None
        one.play(3)
        assert one.desk.books.listeners == []

    asyncio.run(cells())


def test_a_picture_that_fails_disturbs_no_run(monkeypatch, caplog):
    desk, tape = two_sleeves()
    other, _ = two_sleeves()
    replay(other, tape, bounds=False)

    async def cells():
        desk.widget(clock=Clock())
        front = Front(Wire.wires[0])
        front.look()

        def broken(self, session, seq):
            raise ZeroDivisionError("secret words")

        monkeypatch.setattr(Feed, "since", broken)
        replay(desk, tape, bounds=False)
        front.take()
        assert front.ended == "The desk could not be shown: ZeroDivisionError."

    asyncio.run(cells())
    assert desk.books.journal.digest() == other.books.journal.digest()
    assert "tells no more" in caplog.text


def test_after_a_cell_was_interrupted_all_is_told_anew(monkeypatch):
    desk, tape = two_sleeves()

    async def cells():
        widget = desk.widget(clock=Clock())
        front = Front(Wire.wires[0])
        front.look()
        since = Feed.since
        left = [3]

        def interrupted(self, session, seq):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return since(self, session, seq)

        monkeypatch.setattr(Feed, "since", interrupted)
        with pytest.raises(KeyboardInterrupt):
            replay(desk, tape, bounds=False)
        told = len(front.wire.frames)
        await until(lambda: same(front, desk, widget), "all of it")
        assert json.loads(front.wire.frames[told]["text"])["type"] == "snapshot"

    asyncio.run(cells())


def test_a_run_that_is_watched_writes_the_same_journal_and_its_bounds_are_not_told():
    desk, tape = two_sleeves()
    other, _ = two_sleeves()
    plain = replay(other, tape)

    async def cells():
        widget = desk.widget(clock=Clock())
        front = Front(Wire.wires[0])
        front.look()
        report = replay(desk, tape)
        await until(lambda: same(front, desk, widget), "the end")
        sent = len(front.wire.frames)
        worst, best = report.bounds
        assert len(front.wire.frames) == sent, "copies of the desk that run for the bounds tell nothing"
        assert str(plain.bounds[0]) == str(worst)

    asyncio.run(cells())
    assert desk.books.journal.digest() == other.books.journal.digest()


def test_a_thousand_changes_missed_are_told_as_one():
    one = make_desk(2, rows=300)

    async def cells():
        widget = one.desk.widget()
        front = Front(Wire.wires[0])
        feed = widget._teller._bell().feed
        for _ in range(280):  # more than a desk plays before the widget has told all for the first time, and MANY more
            one.play(1)
            feed.refresh()
        sent = len(front.wire.frames)
        front.look()
        await until(lambda: same(front, one.desk, widget), "all of it")
        told = [json.loads(frame["text"])["type"] for frame in front.wire.frames[sent:]]
        assert told.count("snapshot") == 1
        assert len(told) < 10

    asyncio.run(cells())


def test_outside_of_a_loop_a_widget_shows_and_is_told_by_the_run():
    desk, tape = two_sleeves()
    widget = desk.widget(clock=Clock())
    front = Front(Wire.wires[0])
    front.look()
    replay(desk, tape, bounds=False)
    widget.update()
    assert same(front, desk, widget)


def test_a_name_like_markup_is_text_in_what_is_told():
    one = make_desk(2, hostile=True, rows=20)
    widget = one.desk.widget()
    first = json.loads(Wire.wires[0].state["first"])
    assert first["tables"]["sleeves"]["flash"]["engine"] == MARKUP
    assert MARKUP not in Wire.wires[0].state["_esm"]
    assert MARKUP not in repr(widget)


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ({"show": ["iframe"]}, "shows some of"),
        ({"show": []}, "shows some of"),
        ({"show": "sleeves-page"}, "shows some of"),
        ({"height": "1px;background:url(x)"}, "height"),
        ({"most_per_second": 0}, "most_per_second"),
        ({"most_per_second": 2.5}, "most_per_second"),
        ({"control": "me"}, "control"),
        ({"title": 5}, "title"),
        ({"by": ""}, "by"),
    ],
)
def test_terms_that_cannot_be_are_refused_and_nothing_is_left(terms, what):
    one = make_desk(2, rows=20)
    with pytest.raises(VaultError, match=what):
        one.desk.widget(**terms)
    assert one.desk.books.listeners == []
    assert Wire.wires == []


def test_what_is_no_desk_is_refused():
    with pytest.raises(VaultError, match="Desk"):
        DeskWidget("desk")


def test_every_part_that_can_be_shown_is_one_of_the_page():
    from sleeves.dashboard.bundle import link

    text = link("widget.js")
    for part in PARTS:
        assert f'define("{part}"' in text, part


def test_without_anywidget_it_says_what_brings_it():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import sleeves.dashboard\n"
        "from sleeves import USD, CoreVault, Desk; from sleeves.errors import MissingExtra\n"
        "try: Desk(CoreVault(USD, total='1')).widget()\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'needs anywidget: python -m pip install "sleeves[notebook]"' in done.stdout
