"""The watchdog: an engine that hangs, floods or raises is stopped, and everything else goes on as if it had not been there."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from itertools import count, repeat

import anyio
import pytest
from attrs import frozen

from helpers import BTCUSD, SECOND, new_desk
from sleeves import FLASH, QUIET, USD, CoreVault, Desk, Place, Side
from sleeves.engines import Trend
from sleeves.errors import EngineFault, VaultError
from sleeves.ledger import Entry
from sleeves.live import trade
from sleeves.orders import Fill
from sleeves.records import Alert, Changed, Marked, OrderUpdate, Placed, Refusal
from sleeves.sim import Tape, VirtualDriver
from sleeves.status import Status
from sleeves.watchdog import EngineFlood, EngineStuck, Watchdog

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
TAPE = Tape.sample().slice(0, 900)
MARKET = TAPE.instrument
A_BUY = Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"))


@pytest.fixture(autouse=True)
def the_alarm_is_given_back():
    yield
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class Told:
    """A clock that says what a test tells it to."""

    def __init__(self, times):
        self.times = list(times)

    def __call__(self):
        return self.times.pop(0)


# -- one decision ------------------------------------------------------------------------------------------------------------


def spins(memory, view):
    while True:
        pass


def sleeps(memory, view):
    time.sleep(60)


def swallows(memory, view):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def generates(memory, view):
    return (A_BUY for _ in wait_for_ever())


def wait_for_ever():
    while True:
        pass
    yield


def late_but_back(memory, view):
    """One call into C that does not let go: it comes back by itself, too late."""
    sum(repeat(0, 40_000_000))
    return [A_BUY]


@pytest.mark.parametrize("decide", [spins, sleeps, swallows, generates, late_but_back])
def test_a_decision_that_takes_too_long_is_broken_off(decide):
    with Watchdog(0.05) as dog:
        assert dog.breaks_in
        begun = time.monotonic()
        with pytest.raises(EngineStuck, match=r"longer than 0.05 s over one decision"):
            dog.guard("a", decide)(None, None)
        assert time.monotonic() - begun < 20.0, "most of these would take a minute, or for ever"
        assert dog.stuck == 1
        dog.seconds = 60.0
        assert dog.guard("a", lambda memory, view: [A_BUY])(None, None) == [A_BUY], "the next one is not touched"


@pytest.mark.parametrize("endless", [lambda: (A_BUY for _ in count()), lambda: repeat(A_BUY), lambda: [A_BUY] * 1_001])
def test_wishes_without_end_are_a_fault_too(endless):
    with Watchdog(2.0) as dog, pytest.raises(EngineFlood, match="more than 1,000 things at once"):
        dog.guard("a", lambda memory, view: endless())(None, None)
    with Watchdog(None, 1_000) as dog, pytest.raises(EngineFlood):
        dog.guard("a", lambda memory, view: endless())(None, None)


@pytest.mark.parametrize("most", [1, 1_000])
def test_as_many_wishes_as_are_allowed_pass(most):
    dog = Watchdog(None, most)
    assert dog.guard("a", lambda memory, view: [A_BUY] * most)(None, None) == [A_BUY] * most
    assert dog.guard("a", lambda memory, view: (A_BUY for _ in range(most)))(None, None) == [A_BUY] * most
    with pytest.raises(EngineFlood):
        dog.guard("a", lambda memory, view: [A_BUY] * (most + 1))(None, None)


def test_endless_wishes_with_no_bound_for_their_number_are_late_at_last():
    with Watchdog(0.05, None) as dog, pytest.raises(EngineStuck):
        dog.guard("a", lambda memory, view: repeat(A_BUY))(None, None)


@pytest.mark.parametrize("wrong", [None, A_BUY, 5, "buy", [A_BUY], (A_BUY,), []])
def test_what_is_no_endless_wish_is_handed_on_as_it_is(wrong):
    """What is wrong with it is for the desk to say."""
    with Watchdog() as dog:
        found = dog.guard("a", lambda memory, view: wrong)(None, None)
    assert found is wrong or found == list(wrong)


def test_what_an_engine_raises_is_raised():
    def raises(memory, view):
        raise ZeroDivisionError("no")

    def late(memory, view):
        time.sleep(0.0)
        try:
            spins(memory, view)
        finally:
            raise KeyError("on the way out")

    with Watchdog(0.05) as dog:
        with pytest.raises(ZeroDivisionError, match="no"):
            dog.guard("a", raises)(None, None)
        with pytest.raises(EngineStuck) as stuck:
            dog.guard("a", late)(None, None)
        assert isinstance(stuck.value.__cause__, KeyError)


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_the_engines_fault(ends):
    def stops(memory, view):
        raise ends

    with Watchdog() as dog, pytest.raises(ends):
        dog.guard("a", stops)(None, None)
    with Watchdog(0.02, clock=Told([0.0, 9.0, 9.0])) as dog, pytest.raises(ends):
        dog.guard("a", stops)(None, None)  # late, and on its way out


@pytest.mark.parametrize(
    ("seconds", "most"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), ("2", 1), (True, 1), (2, 0), (2, 1.5), (2, True)]
)
def test_bounds_that_are_none_are_refused(seconds, most):
    with pytest.raises(VaultError, match="must be"):
        Watchdog(seconds, most)


# -- where it may strike -------------------------------------------------------------------------------------------------------


def test_it_strikes_inside_the_engine_and_nowhere_else():
    """Alarms rain on a process that goes in and out of decisions: none is raised while no decision is late, whatever runs."""
    with Watchdog(60.0) as dog:
        struck, over = [0], threading.Event()

        def rain():
            while not over.wait(0.0002):
                os.kill(os.getpid(), signal.SIGALRM)
                struck[0] += 1

        guarded, thread = dog.guard("a", lambda memory, view: sum(range(200))), threading.Thread(target=rain)
        thread.start()
        until = time.monotonic() + 60
        while struck[0] < 300 and time.monotonic() < until:
            guarded(None, None)
        over.set()
        thread.join()
        assert struck[0] >= 300 and dog.stuck == 0


def test_whatever_the_moment_it_is_either_late_or_not_and_nothing_else_comes_out():
    """Decisions that take about as long as they may: each answers, or is told to be stuck; the code around is never hit."""
    outcomes = set()
    with Watchdog(0.001) as dog:
        for n in range(400):
            begun = time.perf_counter()

            def about(memory, view, until=begun + 0.0008 + (n % 9) * 0.00005):
                while time.perf_counter() < until:
                    pass
                return [A_BUY]

            try:
                outcomes.add(dog.guard("a", about)(None, None) == [A_BUY])
            except EngineStuck:
                outcomes.add("stuck")
            held = sum(range(50))  # the desk's own code, right behind: nothing may be raised here
            assert held == 1225
    assert "stuck" in outcomes and outcomes <= {True, "stuck"}


def test_the_desks_own_code_that_an_engine_calls_is_not_broken_off_halfway():
    """The handler looks where the process is: in what a view remembers things with it waits until the engine is back."""
    source = "def inner(again):\n    again()\n"
    scope = {"__name__": "sleeves.seat"}
    exec(source, scope)
    found = []

    def engine(memory, view):
        def ring():
            dog._deadline = 0.0
            dog._rang(signal.SIGALRM, sys._getframe())

        try:
            scope["inner"](ring)
        except BaseException as error:
            found.append(type(error).__name__)
        else:
            found.append("held back")
        ring()

    with Watchdog(60.0) as dog, pytest.raises(EngineStuck):
        dog.guard("a", engine)(None, None)
    assert found == ["held back"]
    dog._deadline = 0.0
    dog._rang(signal.SIGALRM, sys._getframe())  # outside of any guard: nothing


def test_an_alarm_that_rings_while_the_guard_itself_is_at_work_raises_nothing():
    """Between an engine's last word and the guard's: nothing of it comes out, and the decision counts by the clock."""
    rung = []

    def clock():
        if dog._deadline == 5.0:
            dog._deadline = -1.0
            rung.append(1)
            dog._rang(signal.SIGALRM, sys._getframe())
            dog._deadline = 5.0
        return 0.0

    dog = Watchdog(5.0, clock=clock)
    for _ in range(2):
        assert dog.guard("a", lambda memory, view: [A_BUY])(None, None) == [A_BUY]
    assert len(rung) == 2 and dog.stuck == 0


def test_an_engine_that_looks_at_its_view_for_ever_is_broken_off_all_the_same():
    desk, vault, sleeve, puppet = new_desk(QUIET)

    def looks(memory, view):
        while True:
            view.day_pnl()
            view.free()

    with Watchdog(0.05) as dog:
        end = desk.wrap(lambda name, decide: dog.guard(name, looks))
        puppet.quote()
        end()
    assert isinstance(desk.faults[0][1], EngineStuck)
    desk.check(deep=True).require()


# -- where there is no alarm clock -------------------------------------------------------------------------------------------


def in_a_thread(work):
    found = []

    def run():
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return found[0]


def test_in_another_thread_it_tells_while_it_hangs_and_refuses_what_came_late(caplog):
    def work():
        with Watchdog(0.05) as dog:
            assert not dog.breaks_in
            return dog.guard("quiet", hangs)(None, None)

    def hangs(memory, view):
        until = time.monotonic() + 8
        while not caplog.records and time.monotonic() < until:
            time.sleep(0.01)

    def quick():
        now = [0.0]
        with Watchdog(0.01, clock=lambda: now[0]) as dog:
            dog.guard("quiet", lambda memory, view: None)(None, None)
            now[0] = 60.0
            time.sleep(0.1)  # the desk has other things to do

    with caplog.at_level(logging.CRITICAL, "sleeves.watchdog"):
        in_a_thread(quick)
        assert not caplog.records
        assert isinstance(in_a_thread(work), EngineStuck)
    (told,) = caplog.records
    assert "the engine of quiet has not answered for 0.05 s and cannot be broken off" in told.getMessage()
    assert told.__dict__["sleeve"] == "quiet"


def test_an_alarm_that_somebody_else_uses_is_left_alone(caplog):
    mine = []
    signal.signal(signal.SIGALRM, lambda *_: mine.append(1))
    try:
        with Watchdog(0.05) as dog:
            assert not dog.breaks_in
            with pytest.raises(EngineStuck):
                dog.guard("a", lambda memory, view: time.sleep(0.2))(None, None)
        assert not mine
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with Watchdog(0.05) as dog:
        assert dog.breaks_in
        try:
            signal.signal(signal.SIGALRM, lambda *_: mine.append(1))  # while it runs
            with pytest.raises(EngineStuck):
                dog.guard("a", lambda memory, view: time.sleep(0.2))(None, None)
            assert not dog.breaks_in and not mine and "somebody else has taken SIGALRM" in caplog.text
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_no_bound_takes_no_alarm_and_no_thread():
    threads = threading.active_count()
    with Watchdog(None) as dog:
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and threading.active_count() == threads
        assert dog.guard("a", lambda memory, view: None)(None, None) is None


# -- at a desk: the others do not notice ---------------------------------------------------------------------------------------


@frozen
class Bad:
    """Behaves at first; from its tenth price on it does what a test has it do."""

    does: object
    name: str = "bad"
    every: int = 0
    watches: tuple = (MARKET,)

    def begin(self):
        return [0]

    def decide(self, memory, view):
        memory[0] += 1
        return self.does(memory, view) if memory[0] >= 10 else None


def raises(memory, view):
    raise RuntimeError("no more")


def floods(memory, view):
    return (Place(MARKET, Side.BUY, MARKET.qty("0.001")) for _ in count())


def of_the_others(desk):
    """All that the journal has of the two that behave, and of nobody."""
    kept = []
    for record in desk.books.journal:
        names = {
            Placed: lambda r: r.order.sleeve,
            Fill: lambda r: r.order_id.rpartition("-")[0],
            OrderUpdate: lambda r: r.order_id.rpartition("-")[0],
            Changed: lambda r: r.subject,
            Refusal: lambda r: r.sleeve,
            Alert: lambda r: r.subject,
            Entry: lambda r: next((p.account.owner for p in r.postings if p.account.owner in ("quiet", "flash", "bad")), ""),
            Marked: lambda r: "",
        }
        name = names.get(type(record), lambda r: "bad")(record)
        if name != "bad":
            kept.append(record if not isinstance(record, Entry) else (record.at, record.kind, record.by, record.postings, record.ref))
    return kept


def played(does, backend="asyncio"):
    vault = CoreVault(USD, total="20000", tradeable="15000", at=TAPE.at[0] - SECOND)
    desk = Desk(vault)
    for name, engine, policy in (("quiet", Trend.quiet(MARKET), QUIET), ("bad", Bad(does), QUIET), ("flash", Trend.flash(MARKET), FLASH)):
        desk.assign(engine, to=vault.sleeve(name, policy, allocate="4000"))
    venue = VirtualDriver(TAPE, {"USD": USD("20000")})
    run = partial(trade, engine_patience=0.7)  # a busy machine may well stand still for some tenths
    anyio.run(run, desk, venue, backend=backend)
    return desk


@pytest.fixture(scope="module")
def undisturbed():
    desk = played(lambda memory, view: None)
    assert sum(isinstance(record, Fill) for record in desk.books.journal) > 4
    return of_the_others(desk)


@both
@pytest.mark.parametrize("does", [spins, sleeps, generates, floods, raises, swallows])
def test_criterion_9_7_a_broken_engine_is_stopped_and_told_and_the_others_do_not_notice(does, backend, undisturbed):
    """Their part of the journal is, record for record, that of a run in which it does nothing."""
    desk = played(does, backend)
    ((name, fault),) = desk.faults
    kinds = {floods: EngineFlood, raises: RuntimeError}
    assert name == "bad" and isinstance(fault, kinds.get(does, EngineStuck))
    assert isinstance(fault, EngineFault) or does is raises
    told = [record for record in desk.books.journal if isinstance(record, Alert)]
    assert [(one.level, one.subject, one.code) for one in told] == [("critical", "bad", "engine_fault")]
    sleeves = desk.treasury["USD"].sleeves
    assert sleeves["bad"].own_status is Status.CLOSE_ONLY and sleeves["quiet"].own_status is Status.ACTIVE
    assert of_the_others(desk) == undisturbed
    desk.check(deep=True).require()
