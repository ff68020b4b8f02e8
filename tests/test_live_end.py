"""How a run ends: by a signal, by a `Stop`, inside of somebody else's program; always in a state that is known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import anyio
import pytest

from live_stand import MARKET, alerts, mocked, stand, until
from sleeves import BTC, Place, Side
from sleeves.errors import VaultError, VenueUnavailable
from sleeves.journals import SQLite
from sleeves.live import Stop, trade
from sleeves.orders import Fill, OrderStatus
from sleeves.pulse import Pulse
from sleeves.records import Alert, Changed
from sleeves.status import Status
from sleeves.verify import verify

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
HERE = Path(__file__).parent


def buy(qty="0.01", **terms):
    return Place(MARKET, Side.BUY, MARKET.qty(qty), **terms)


# -- real signals at a real process ----------------------------------------------------------------------------------------------


class Child:
    def __init__(self, path, backend, way, grace="5", *rest):
        source = str(HERE.parent / "src")
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(HERE), source]), PYTHONUNBUFFERED="1")
        command = [sys.executable, str(HERE / "live_child.py"), str(path), backend, way, grace, *rest]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        ready = self.process.stdout.readline()
        assert ready == "ready\n", (ready, self.process.stderr.read())

    def ends(self, *signals, pause=0.0):
        """Send it signals, and wait for its end: (what it said, its exit code, seconds)."""
        begun = time.monotonic()
        for one in signals:
            self.process.send_signal(one)
            time.sleep(pause)
        out, err = self.process.communicate(timeout=30)
        return out, self.process.returncode, time.monotonic() - begun, err


def kept(path):
    """What the journal of a process that is gone has; it is opened, verified and folded like any other."""
    with SQLite.open(path) as journal:
        verify(journal)
        return list(journal)


@both
@pytest.mark.parametrize(
    ("way", "number", "status", "position", "left"),
    [
        ("hold", signal.SIGINT, "paused", "0.05 BTC", 1),
        ("cancel", signal.SIGTERM, "paused", "0.05 BTC", 0),
        ("flatten", signal.SIGTERM, "halted", "0 BTC", 0),
    ],
)
def test_a_signal_ends_the_run_in_the_state_that_was_asked_for(tmp_path, backend, way, number, status, position, left):
    path = tmp_path / "a.sleeves"
    out, code, seconds, err = Child(path, backend, way).ends(number)
    assert (out, code) == (f"over {status} {position} {left} 0\n", 0), err
    assert seconds < 5
    records = kept(path)
    (change,) = [record for record in records if isinstance(record, Changed) and record.subject == "desk:main"]
    assert (change.by, change.why, change.after) == ("signal", number.name, status)
    assert not [record for record in records if isinstance(record, Alert) and record.code == "stop_incomplete"]


@both
def test_what_is_not_through_within_the_grace_is_said(tmp_path, backend):
    path = tmp_path / "a.sleeves"
    out, code, seconds, err = Child(path, backend, "cancel", "0.5", "stubborn").ends(signal.SIGTERM)
    assert code == 0 and out.startswith("over paused 0.05 BTC 1"), err
    assert 0.4 < seconds < 4
    (alert,) = [record for record in kept(path) if isinstance(record, Alert) and record.code == "stop_incomplete"]
    assert "a-2 is" in alert.text and alert.level == "critical"


@both
def test_a_second_signal_ends_it_at_once(tmp_path, backend):
    path = tmp_path / "a.sleeves"
    out, code, seconds, err = Child(path, backend, "flatten", "30", "stubborn").ends(signal.SIGINT, signal.SIGINT, pause=0.3)
    assert code == 0 and out.startswith("over halted"), err
    assert seconds < 5
    assert kept(path)


def test_without_being_told_to_it_takes_no_signal(tmp_path):
    """The process ends as any other does, and its journal opens all the same."""
    path = tmp_path / "a.sleeves"
    _, code, _, _ = Child(path, "asyncio", "none").ends(signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert kept(path)


@pytest.mark.parametrize("on_signal", [None, "hold"])
@both
def test_signal_handlers_are_as_they_were(backend, on_signal):
    async def main():
        desk, pit, _ = stand()
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
        pit.quote()
        pit.end()
        await trade(desk, pit, on_signal=on_signal)
        after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
        assert on_signal or after == before
        assert after[1:] == before[1:]

    anyio.run(main, backend=backend)


def test_signals_are_for_the_main_thread():
    found = []

    async def main():
        desk, pit, _ = stand()
        try:
            await trade(desk, pit, on_signal="hold")
        except VaultError as error:
            found.append(str(error))

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    thread.join()
    assert "main thread only" in found[0]


# -- a stop from the program -------------------------------------------------------------------------------------------------------


async def busy(desk, pit, puppet):
    """A position, and an order that rests."""
    puppet.wishes = [buy("0.05")]
    pit.quote("10000")
    await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.05"))
    puppet.wishes = [buy("0.05", limit=MARKET.price("9000"))]
    pit.quote()
    await until(lambda: len(desk.open_orders()) == 1 and desk.status_of("a-2") is OrderStatus.OPEN)


def stopped(story, **terms):
    async def main():
        desk, pit, (puppet,) = stand()
        stop, pulse = Stop(), Pulse()
        async with anyio.create_task_group() as tasks:

            async def run():
                await trade(desk, pit, stop=stop, pulse=pulse, **terms)
                done.set()

            done = anyio.Event()
            tasks.start_soon(run)
            await busy(desk, pit, puppet)
            await story(desk, pit, puppet, stop, pulse)
            with anyio.fail_after(60):
                await done.wait()
        assert pit.closed == pit.connections
        desk.check(dict(pit.coins), deep=True).require()
        return desk, pit, puppet, pulse

    return main


@both
@pytest.mark.parametrize(("way", "status"), [("hold", Status.PAUSED), ("cancel", Status.PAUSED), ("flatten", Status.HALTED)])
def test_a_stop_leaves_what_it_says(backend, way, status):
    async def story(desk, pit, puppet, stop, pulse):
        stop(way, by="ann", why="the evening")
        puppet.wishes = [buy()]
        pit.quote()

    desk, pit, puppet, pulse = anyio.run(stopped(story), backend=backend)
    assert desk.status is status and puppet.wishes, "the engine was asked no more"
    assert len(desk.open_orders()) == (way == "hold") and pit.canceled == ([] if way == "hold" else ["a-2"])
    assert puppet.sleeve.is_flat() is (way == "flatten")
    change = next(record for record in desk.books.journal if isinstance(record, Changed) and record.subject == "desk:main")
    assert (change.by, change.why) == ("ann", "the evening")
    assert (pulse.time_to_flat is not None) is (way == "flatten")
    assert not alerts(desk, "stop_incomplete")


def test_a_stop_that_does_not_come_through_names_what_is_left_when_the_grace_is_over():
    async def story(desk, pit, puppet, stop, pulse):
        async def deaf(order):
            await anyio.sleep_forever()

        pit.cancel = deaf
        begun = anyio.current_time()
        stop("flatten", by="ann")
        await until(lambda: alerts(desk, "stop_incomplete"), 60)
        assert 9.9 < anyio.current_time() - begun < 11

    desk, pit, puppet, _ = anyio.run(stopped(story), **mocked())
    (alert,) = [record for record in desk.books.journal if isinstance(record, Alert) and record.code == "stop_incomplete"]
    assert "a-2 is" in alert.text and "a still has 0.05 BTC of BTC/USD" in alert.text
    assert not puppet.sleeve.is_flat() and desk.status is Status.HALTED


@both
def test_a_stop_that_is_called_again_ends_it_at_once(backend):
    async def story(desk, pit, puppet, stop, pulse):
        pit.cancel = lambda order: anyio.sleep_forever()
        stop("cancel", by="ann")
        await anyio.sleep(0.05)
        stop("cancel", by="ann")

    begun = time.monotonic()
    desk, *_ = anyio.run(stopped(story, grace=30), backend=backend)
    assert time.monotonic() - begun < 5 and desk.open_orders()


@both
def test_a_stop_that_came_before_the_run_ends_it_before_anything_is_ordered(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        stop = Stop()
        stop("cancel", by="ann")
        puppet.wishes = [buy()]
        pit.quote()
        await trade(desk, pit, stop=stop)
        assert desk.status is Status.PAUSED and not pit.sent

    anyio.run(main, backend=backend)


@both
def test_a_desk_that_was_killed_before_can_be_stopped_too(backend):
    async def story(desk, pit, puppet, stop, pulse):
        desk.kill(desk, flatten=False, by="ann")
        stop("hold", by="ann")

    desk, *_ = anyio.run(stopped(story), backend=backend)
    assert desk.status is Status.HALTED and not alerts(desk, "critical")


@pytest.mark.parametrize(("way", "by"), [("sell", "ann"), (None, "ann"), ("hold", ""), ("hold", None), ("hold", " ")])
def test_a_stop_of_no_way_or_by_nobody_is_refused(way, by):
    with pytest.raises(VaultError):
        Stop()(way, by=by)


# -- inside of somebody else's program ---------------------------------------------------------------------------------------------


@both
def test_in_a_task_group_of_a_host_it_runs_beside_others_and_ends_with_the_host(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        seen = []

        async def other():
            while True:
                seen.append(len(desk.books.journal))
                await anyio.sleep(0.002)

        async with anyio.create_task_group() as host:
            host.start_soon(other)
            host.start_soon(trade, desk, pit)
            await busy(desk, pit, puppet)
            await until(lambda: len(seen) > 3)
            host.cancel_scope.cancel()
        assert pit.closed == 1 and desk.status is Status.ACTIVE
        desk.check(dict(pit.coins), deep=True).require()

    anyio.run(main, backend=backend)


@both
def test_two_runs_of_two_desks_in_one_program_do_not_disturb_each_other(backend):
    """The alarm clock is the first one's; the second has a thread that watches."""

    async def main():
        stands = [stand(), stand()]
        async with anyio.create_task_group() as host:
            for desk, pit, (puppet,) in stands:
                host.start_soon(trade, desk, pit)
                await busy(desk, pit, puppet)
            host.cancel_scope.cancel()
        for desk, pit, _ in stands:
            desk.check(dict(pit.coins), deep=True).require()
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL

    anyio.run(main, backend=backend)


@both
def test_an_engine_is_stopped_and_started_again_while_the_others_run(backend):
    async def main():
        desk, pit, (one, two) = stand(names=("one", "two"))
        async with anyio.create_task_group() as host:
            host.start_soon(partial(trade, desk, pit))
            pit.quote()
            desk.stop(one.sleeve, by="ann", why="a look")
            one.wishes, two.wishes = [buy()], [buy()]
            pit.quote()
            await until(lambda: pit.sent == ["two-1"])
            assert one.wishes
            desk.start(one.sleeve, by="ann")
            pit.quote()
            await until(lambda: pit.sent == ["two-1", "one-1"])
            host.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@both
def test_what_a_wrapped_desk_had_is_given_back(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        for _ in range(2):
            pit.end()
            await trade(desk, pit)
            assert desk._seats["a"].decide == puppet.decide
        listeners = len(desk.books.listeners)
        assert listeners == 0

    anyio.run(main, backend=backend)


# -- what is on its way ------------------------------------------------------------------------------------------------------------


def late(pit, **says):
    """Have fills told only when the venue is asked to catch up, as one whose ledger has to be read first."""
    withheld, fill = [], pit.fill
    pit.fill = withheld.append

    async def caught_up():
        await anyio.sleep(0.05)
        while withheld:
            fill(withheld.pop())

    pit.caught_up = says.get("caught_up", caught_up)
    return withheld


@both
@pytest.mark.parametrize("way", ["cancel", "flatten"])
def test_a_fill_that_is_on_its_way_is_waited_for(backend, way):
    """Stopped between an order at market and its fill: the books end with the fill, and are what the venue holds."""

    async def main():
        desk, pit, (puppet,) = stand()
        withheld, stop, pulse = late(pit), Stop(), Pulse()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, stop=stop, pulse=pulse, grace=0.6, reconcile_every=None))
            pit.quote()
            await until(lambda: pulse.events)
            puppet.wishes = [buy()]
            pit.quote()
            await until(lambda: withheld)
            stop(way, by="ann")
        assert desk.check(await pit.balances()).holds
        assert [one.order_id for one in desk.books.journal if isinstance(one, Fill)][:1] == ["a-1"]

    anyio.run(main, backend=backend)


@both
def test_one_that_is_never_told_is_said(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        withheld, stop, pulse = late(pit), Stop(), Pulse()
        del pit.caught_up
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, stop=stop, pulse=pulse, grace=0.3, reconcile_every=None))
            pit.quote()
            await until(lambda: pulse.events)
            puppet.wishes = [buy()]
            pit.quote()
            await until(lambda: withheld)
            stop("cancel", by="ann")
        (alert,) = [one for one in desk.books.journal if isinstance(one, Alert) and one.code == "stop_incomplete"]
        assert "a-1 is" in alert.text

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("says", [VenueUnavailable("the line is dead"), None])
def test_a_venue_that_cannot_catch_up_holds_nobody_up(says):
    """It raises, or never answers: the run ends within the grace."""

    async def caught_up():
        if says is not None:
            raise says
        await anyio.sleep_forever()

    async def main():
        desk, pit, _ = stand()
        pit.caught_up = caught_up
        stop, pulse = Stop(), Pulse()
        begun = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, stop=stop, pulse=pulse, grace=0.5, reconcile_every=None))
            pit.quote()
            await until(lambda: pulse.events)
            stop("cancel", by="ann")
        assert anyio.current_time() - begun < 5

    anyio.run(main, **mocked())
