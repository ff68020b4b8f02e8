"""Being told: what people hear of a desk, when, how often, and what a notifier that fails or hangs does to the others."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Puppet, new_desk
from sleeves import FLASH, QUIET, SOL, USD, USDC, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.alerts import EACH, LONGEST, LONGEST_NAME, Alerts, Apprise, AtLeast, Callback, Log, Notice, NotifyFailed, utc
from sleeves.errors import MissingExtra, SleevesError, VaultError
from sleeves.keys.secret import Secret
from sleeves.market import MINUTE, SECOND, Kind
from sleeves.money import Rounding
from sleeves.orders import Fill, Liquidity, SubmitOrder
from sleeves.records import Alert, Changed, Level, Policy, Recovered
from strategies import law

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
INFO, WARNING, CRITICAL = Level.INFO, Level.WARNING, Level.CRITICAL
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
WORDS = "hunter2-Sesame"
"""A password that must never be seen again."""


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Heard:
    """A notifier that remembers; it may be told to fail so often, or to wait."""

    def __init__(self, fails: int = 0, waits: float = 0.0) -> None:
        self.notices: list[Notice] = []
        self.fails = fails
        self.waits = waits
        self.calls = 0

    async def notify(self, notice: Notice) -> None:
        self.calls += 1
        if self.waits:
            await anyio.sleep(self.waits)
        if self.fails:
            self.fails -= 1
            raise NotifyFailed("the line is busy")
        self.notices.append(notice)

    @property
    def said(self) -> list[tuple[str, str, int]]:
        return [(one.level.value, one.code, one.more) for one in self.notices]


class Failing(Heard):
    """Never takes anything."""

    async def notify(self, notice: Notice) -> None:
        self.calls += 1
        raise NotifyFailed("the line is cut")


def books() -> Books:
    return CoreVault(USD, total="10", tradeable="5").books


def alert(
    where: Books, code: str, level: Level = WARNING, subject: str = "flash", text: str = "something is wrong", at: int = SECOND
) -> None:
    where.record(Alert(at, level, subject, code, text))


def told(alerts: Alerts, *, within: float = 5.0, backend: str = "asyncio") -> int:
    """All that waits and is due is handed on; how many were left."""
    return anyio.run(alerts.flush, within, backend=backend)


@asynccontextmanager
async def running(alerts: Alerts) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alerts.run)
        await until(lambda: alerts._running)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    with anyio.fail_after(within):
        while not condition():
            await anyio.sleep(0.005)


# -- what is told ------------------------------------------------------------------------------------------------------------


@both
def test_a_critical_alert_is_handed_on_within_a_second_on_an_idle_loop(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is woken: between its own looks a minute passes here."""
    monkeypatch.setattr("sleeves.alerts.LOOK", 60.0)
    where, heard, other = books(), Heard(), Heard()
    alerts = Alerts(where, heard, other)

    async def main() -> float:
        async with running(alerts):
            await anyio.sleep(0.3)  # it is asleep, and has looked around once
            began = time.monotonic()
            alert(where, "engine_fault", CRITICAL)
            await until(lambda: heard.notices and other.notices)
            return time.monotonic() - began

    assert anyio.run(main, backend=backend) < 1.0
    assert heard.said == other.said == [("critical", "engine_fault", 0)]


@both
def test_an_alert_from_another_thread_is_found_within_a_second(backend: str) -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard)

    async def main() -> None:
        async with running(alerts):
            thread = threading.Thread(target=alert, args=(where, "engine_fault", CRITICAL))
            thread.start()
            await until(lambda: heard.notices, 1.0)
            thread.join()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(("least", "codes"), [(INFO, ["a", "b", "c"]), ("warning", ["b", "c"]), (CRITICAL, ["c"])])
def test_told_is_what_is_at_least_of_the_level(least: Any, codes: list[str]) -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard, least=least)
    for code, level in zip("abc", Level, strict=True):
        alert(where, code, level)
    told(alerts)
    assert sorted(one.code for one in heard.notices) == codes


def test_what_was_recorded_before_run_is_told_and_the_worst_first() -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard, least=INFO)
    for code, level in (("a", INFO), ("b", WARNING), ("c", CRITICAL), ("d", CRITICAL), ("e", WARNING)):
        alert(where, code, level)
    assert told(alerts) == 0
    assert [one.code for one in heard.notices] == ["c", "d", "b", "e", "a"]


def test_a_notice_says_level_subject_code_text_and_time() -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard)
    alert(where, "engine_fault", CRITICAL, "flash", "trend: ValueError: no", at=1_700_000_000 * SECOND)
    told(alerts)
    (notice,) = heard.notices
    assert notice.title == "CRITICAL engine_fault: flash"
    assert notice.body == "trend: ValueError: no\n2023-11-14 22:13:20 UTC"
    assert str(notice) == "CRITICAL engine_fault: flash: trend: ValueError: no, 2023-11-14 22:13:20 UTC"


@pytest.mark.parametrize("at", [-(10**30), 10**30])
def test_a_time_that_no_calendar_has_is_told_as_a_number(at: int) -> None:
    assert utc(at) == f"{at} ns"


def test_alerts_listen_to_a_desk_and_close_ends_it() -> None:
    desk, _, sleeve, _ = new_desk(FLASH)
    heard = Heard()
    alerts = Alerts(desk, heard)
    desk.alert(desk.books.now, WARNING, sleeve.name, "one", "first")
    alerts.close()
    alerts.close()
    desk.alert(desk.books.now, WARNING, sleeve.name, "two", "second")
    told(alerts)
    assert [one.code for one in heard.notices] == ["one"]
    assert desk.books.listeners == []


def test_without_a_notifier_they_are_logged_at_their_level(caplog: pytest.LogCaptureFixture) -> None:
    where = books()
    alerts = Alerts(where, least=INFO)
    for code, level in zip("abc", Level, strict=True):
        alert(where, code, level, at=5)
    with caplog.at_level(logging.DEBUG, "sleeves.notices"):
        told(alerts)
    seen = [(one.levelno, *(one.__dict__[f"sleeves_{name}"] for name in ("code", "at", "subject"))) for one in caplog.records]
    assert seen == [(logging.CRITICAL, "c", 5, "flash"), (logging.WARNING, "b", 5, "flash"), (logging.INFO, "a", 5, "flash")]


def test_changes_and_recoveries_are_told_where_they_are_asked_for() -> None:
    def run(**terms: Any) -> Heard:
        where, heard = books(), Heard()
        alerts = Alerts(where, heard, **terms)
        where.record(Changed(1, "ann", "flash", "status", "active", "halted", "enough"))
        where.record(Changed(2, "ann", "flash", "status", "halted", "paused"))
        where.record(Changed(3, "limit", "flash", "latch daily_loss", "", "86400000000000", "lost 4%"))
        where.record(Changed(4, "desk", "flash", "latch daily_loss", "86400000000000", ""))
        where.record(Recovered(5, "recover", Policy.RESUME, {"booked": "2"}))
        told(alerts)
        return heard

    assert run().notices == []
    heard = run(also=(Changed, Recovered), cooldown=0)
    assert [(one.level.value, one.subject, one.code, one.text) for one in heard.notices] == [
        ("warning", "flash", "status", "active -> halted by ann: enough"),
        ("warning", "flash", "latch daily_loss", "on by limit: lost 4%"),
        ("info", "flash", "status", "halted -> paused by ann"),
        ("info", "flash", "latch daily_loss", "off by desk"),
        ("info", "desk", "recovered", "by recover, then resume; booked 2"),
    ]


@pytest.mark.parametrize(
    ("broken", "level", "works"),
    [("sync_failed", CRITICAL, "sync_restored"), ("connection_lost", WARNING, "reconnected"), ("limit", CRITICAL, "limit_lifted")],
)
def test_criterion_9_9_who_heard_that_it_broke_hears_that_it_works_again(broken: str, level: Level, works: str) -> None:
    """It is news of the level INFO, which is not told to who was told of no fault."""
    where, heard = books(), Heard()
    alerts = Alerts(where, heard)
    alert(where, works, INFO, "venue:kraken")
    alert(where, broken, level, "venue:kraken", "no answer, three times")
    alert(where, works, INFO, "venue:drift")
    alert(where, works, INFO, "venue:kraken", "it answers")
    alert(where, works, INFO, "venue:kraken", "said again")
    told(alerts)
    assert [(one.subject, one.code, one.text) for one in heard.notices] == [
        ("venue:kraken", broken, "no answer, three times"),
        ("venue:kraken", works, "it answers"),
    ]
    assert alerts.standing == []


# -- health: criteria 2.4 and 2.5 ----------------------------------------------------------------------------------------------


def held(price: str) -> Heard:
    """120 contracts at 100 on 2,000 between two sleeves, then this price: C = 2,000 - 120 d and M = 6 (100 - d)."""
    vault = CoreVault(USDC, total="2000", tradeable="2000")
    desk, heard, clock = Desk(vault), Heard(), Clock()
    alerts = Alerts(desk, heard, clock=clock)
    for number, name in enumerate("ab"):
        puppet = Puppet(PERP)
        puppet.price = "100"
        puppet.sit(desk, vault.sleeve(name, QUIET, allocate="1000"))
        puppet.quote("100")
        command = puppet.wish(Place(PERP, Side.BUY, PERP.qty("60")))
        assert isinstance(command, SubmitOrder)
        cost = PERP.cost(PERP.price("100"), PERP.qty("60"), Rounding.CEIL)
        what = (PERP, Side.BUY, PERP.qty("60"), PERP.price("100"), cost, USDC.zero, Liquidity.TAKER)
        desk.step(Fill(command.order.id, desk.books.now, *what, f"t{number}", "v"))
    puppet.quote("92.60")
    told(alerts)
    assert heard.notices == []
    puppet.quote(price)
    clock.now += SECOND
    told(alerts)
    return heard


def test_criterion_2_4_health_below_50_is_told_as_a_warning() -> None:
    """M is half of C at d = 7.4074: at 92.60 (in `held`) nothing is told, at 92.59 a warning."""
    heard = held("92.59")
    assert heard.said == [("warning", "health", 0)]
    assert heard.notices[0].text.startswith("health 49.9")


def test_criterion_2_5_health_below_20_is_told_as_critical_with_the_liquidation_price() -> None:
    """M is 80% of C at d = 11.111: at 88.89 it is a warning still, at 88.88 critical."""
    assert [one[0] for one in held("88.89").said] == ["warning"]
    heard = held("88.88")
    assert heard.said == [("critical", "health", 0)]
    assert "SOL-PERP at 87.71 liquidates the account" in heard.notices[0].text


# -- how often ----------------------------------------------------------------------------------------------------------------


def test_equal_ones_are_told_once_per_cooldown_and_then_how_many_more_came() -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, cooldown=5 * MINUTE, clock=clock)
    for number in range(4):
        alert(where, "overdrawn", text=f"number {number}")
        clock.now += MINUTE
    deliver(alerts)
    assert [one.text for one in heard.notices] == ["number 0"]
    clock.now = 5 * MINUTE - 1
    deliver(alerts)
    assert len(heard.notices) == 1
    clock.now = 5 * MINUTE
    deliver(alerts)
    assert [(one.text, one.more) for one in heard.notices] == [("number 0", 0), ("number 3", 2)]
    assert "number 3 (2 more since)" in str(heard.notices[1])
    clock.now = 10 * MINUTE - 1  # the summary began a cooldown of its own
    alert(where, "overdrawn")
    deliver(alerts)
    assert len(heard.notices) == 2
    clock.now = 20 * MINUTE
    deliver(alerts)
    clock.now = 30 * MINUTE
    alert(where, "overdrawn", text="anew")
    deliver(alerts)
    assert [(one.text, one.more) for one in heard.notices][3:] == [("anew", 0)]


def deliver(alerts: Alerts) -> None:
    """What is due by the clock, and no more."""

    async def main() -> None:
        async with running(alerts):
            await until(lambda: not any(tally.waiting for tally in alerts.tally().values()))
            await anyio.sleep(0.02)

    anyio.run(main)


@pytest.mark.parametrize("other", [{"level": CRITICAL}, {"subject": "quiet"}, {"code": "other"}])
def test_another_level_subject_or_code_is_another_cause(other: dict[str, Any]) -> None:
    """A warning does not mute the critical alert of the same subject and code: the origin's did for a minute."""
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, clock=clock)
    alert(where, "health", WARNING)
    alert(where, **{"code": "health", **other})
    deliver(alerts)
    assert len(heard.notices) == 2
    assert all(one.more == 0 for one in heard.notices)


def test_a_cause_has_the_cooldown_of_its_code_and_0_mutes_nothing() -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, cooldown=MINUTE, cooldowns={"often": 0, "seldom": 10 * MINUTE}, clock=clock)
    for _ in range(3):
        for code in ("often", "seldom", "usual"):
            alert(where, code)
        clock.now += MINUTE
    deliver(alerts)
    assert [code for _, code, _ in heard.said].count("often") == 3
    assert [code for _, code, _ in heard.said].count("usual") == 3
    assert [code for _, code, _ in heard.said].count("seldom") == 1


def test_at_the_end_what_was_counted_is_told_without_waiting_for_the_cooldown() -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, clock=clock)
    for number in range(3):
        alert(where, "overdrawn", text=f"number {number}")
    assert told(alerts) == 0
    assert [(one.text, one.more) for one in heard.notices] == [("number 0", 0), ("number 2", 1)]


def test_a_flood_of_causes_is_remembered_within_bounds_and_none_is_swallowed() -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, most=100_000, clock=clock)
    for number in range(5_000):
        alert(where, "fill_unattributed", subject=f"order-{number}")
        alert(where, "fill_unattributed", subject=f"order-{number}")
    assert len(alerts._sieve._causes) == 4_096
    told(alerts)
    assert len({one.subject for one in heard.notices}) == 5_000
    assert len(heard.notices) + sum(one.more for one in heard.notices) == 10_000


@law
@given(st.lists(st.tuples(st.sampled_from(list(Level)), st.sampled_from("ab"), st.integers(0, 7)), max_size=60), st.integers(0, 5))
def test_every_alert_is_told_or_counted_exactly_once(events: list[tuple[Level, str, int]], cooldown: int) -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, least=INFO, cooldown=cooldown, escalate_after=None, clock=clock)
    for level, code, pause in events:
        alert(where, code, level)
        clock.now += pause
        alerts._look()
    told(alerts)
    for level in Level:
        for code in "ab":
            mine = [one for one in heard.notices if (one.level, one.code) == (level, code)]
            assert len(mine) + sum(one.more for one in mine) == sum(event[:2] == (level, code) for event in events)


# -- a critical alert that stays ------------------------------------------------------------------------------------------------


def test_a_critical_alert_that_nobody_answers_is_told_again_and_to_those_on_call() -> None:
    where, heard, pager, clock = books(), Heard(), Heard(), Clock()
    alerts = Alerts(where, heard, on_call=[pager], clock=clock)
    alert(where, "engine_fault", CRITICAL)
    alert(where, "overdrawn", WARNING)
    deliver(alerts)
    assert pager.notices == []
    seen = []
    for minutes in range(1, 1_000):
        clock.now = minutes * MINUTE
        alerts._look()
        if alerts.tally()["Heard 2"].waiting:
            deliver(alerts)
            seen.append(minutes)
    assert seen == [15, 45, 105, 225, 465]  # after a quarter of an hour, then twice that, and so on, five times
    assert [one.stands_ns // MINUTE for one in pager.notices] == seen
    assert {one.code for one in pager.notices} == {"engine_fault"}
    assert pager.notices[0].title == "CRITICAL engine_fault: flash, unanswered for 15 min"
    assert [one.stands_ns // MINUTE for one in heard.notices if one.stands_ns] == seen


def answer_by_name(alerts: Alerts, where: Books) -> None:
    assert alerts.acknowledge("flash", "engine_fault")


def answer_by_subject(alerts: Alerts, where: Books) -> None:
    assert alerts.acknowledge("flash")


def answer_by_change(alerts: Alerts, where: Books) -> None:
    where.record(Changed(1, "ann", "flash", "status", "close_only", "paused", "looked at it"))


def answer_for_the_desk(alerts: Alerts, where: Books) -> None:
    where.record(Changed(1, "ann", "desk:main", "status", "active", "halted", "stop it all"))


def not_by_another_code(alerts: Alerts, where: Books) -> None:
    assert not alerts.acknowledge("flash", "health")


def not_for_another_subject(alerts: Alerts, where: Books) -> None:
    where.record(Changed(1, "ann", "quiet", "status", "close_only", "paused"))


def not_by_the_desk_itself(alerts: Alerts, where: Books) -> None:
    where.record(Changed(1, "desk", "flash", "status", "active", "close_only"))


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (answer_by_name, 0),
        (answer_by_subject, 0),
        (answer_by_change, 0),
        (answer_for_the_desk, 0),
        (not_by_another_code, 1),
        (not_for_another_subject, 1),
        (not_by_the_desk_itself, 1),
    ],
)
def test_it_stands_until_somebody_answers(answer: Callable[[Alerts, Books], None], left: int) -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, clock=clock)
    alert(where, "engine_fault", CRITICAL)
    assert [one.code for one in alerts.standing] == ["engine_fault"]
    answer(alerts, where)
    assert len(alerts.standing) == left
    clock.now = 15 * MINUTE
    deliver(alerts)
    assert len([one for one in heard.notices if one.stands_ns]) == left


def test_a_human_who_changes_a_venue_answers_what_is_said_of_it_by_its_bare_name() -> None:
    where = books()
    alerts = Alerts(where, Heard())
    alert(where, "sync_failed", CRITICAL, "kraken")
    where.record(Changed(1, "ann", "venue:kraken", "latch sync", "5", "", "agreed by hand"))
    assert alerts.standing == []


def test_without_escalation_nothing_stands() -> None:
    where, heard, clock = books(), Heard(), Clock()
    alerts = Alerts(where, heard, escalate_after=None, clock=clock)
    alert(where, "engine_fault", CRITICAL)
    clock.now = 10_000 * MINUTE
    deliver(alerts)
    assert alerts.standing == []
    assert len(heard.notices) == 1


# -- a notifier that fails, hangs or is slow --------------------------------------------------------------------------------------


@both
def test_one_that_hangs_keeps_neither_the_others_nor_the_desk_waiting(backend: str) -> None:
    where, hanging, heard = books(), Heard(waits=3_600), Heard()
    alerts = Alerts(where, hanging, heard, cooldown=0, retries=(), patience=3_600)

    async def main() -> float:
        async with running(alerts):
            began = time.monotonic()
            for number in range(50):
                alert(where, f"code-{number}", CRITICAL)
            took = time.monotonic() - began
            await until(lambda: len(heard.notices) == 50)
            return took

    assert anyio.run(main, backend=backend) < 5.0, "one that hangs would take an hour"
    assert hanging.notices == []
    assert alerts.tally()["Heard"].waiting == 50


@both
def test_one_that_hangs_is_given_up_after_its_time_and_the_others_say_so(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    where, hanging, heard = books(), Heard(waits=3_600), Heard()
    alerts = Alerts(where, hanging, heard, retries=(0.01,), patience=0.05)

    async def main() -> None:
        async with running(alerts):
            alert(where, "engine_fault", CRITICAL)
            await until(lambda: len(heard.notices) == 2)

    with caplog.at_level(logging.WARNING, "sleeves.alerts"):
        anyio.run(main, backend=backend)
    assert [(one.subject, one.code, one.text) for one in heard.notices][1] == ("Heard", "notifier_failed", "no answer within 0.05 s")
    assert hanging.calls == 2
    assert alerts.tally()["Heard"].failed == 1
    assert [one.levelname for one in caplog.records] == ["WARNING", "WARNING", "ERROR"]


@both
def test_a_failed_delivery_is_tried_again_within_bounds(backend: str) -> None:
    where, shaky, dead = books(), Heard(fails=2), Failing()
    alerts = Alerts(where, shaky, dead, retries=(0.01, 0.01), escalate_after=None)
    alert(where, "engine_fault", CRITICAL)
    assert told(alerts, backend=backend) == 0
    assert [one.code for one in shaky.notices] == ["engine_fault", "notifier_failed"]
    assert (shaky.calls, dead.calls) == (4, 3)
    tally = alerts.tally()
    assert (tally["Heard"].told, tally["Heard"].failed) == (2, 0)
    assert (tally["Failing"].told, tally["Failing"].failed) == (0, 1)


@both
def test_two_that_fail_do_not_tell_each_other_of_it_for_ever(backend: str) -> None:
    where, one, two = books(), Failing(), Failing()
    alerts = Alerts(where, one, two, retries=())
    alert(where, "engine_fault", CRITICAL)
    assert told(alerts, backend=backend) == 0
    assert one.calls <= 3
    assert two.calls <= 3


@both
@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), ExceptionGroup("x", [OSError("y")]), RuntimeError(WORDS)])
def test_one_that_raises_something_else_is_isolated_too_and_its_words_are_not_repeated(
    backend: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Rude(Heard):
        async def notify(self, notice: Notice) -> None:
            self.calls += 1
            raise error

    where, rude, heard = books(), Rude(), Heard()
    alerts = Alerts(where, rude, heard, retries=())
    alert(where, "engine_fault", CRITICAL)
    with caplog.at_level(logging.DEBUG):
        assert told(alerts, backend=backend) == 0
    assert [one.code for one in heard.notices] == ["engine_fault", "notifier_failed"]
    assert heard.notices[1].text == f"raised {type(error).__name__}"
    assert WORDS not in caplog.text


@both
def test_a_full_queue_drops_the_least_and_oldest_and_tells_how_many(backend: str) -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard, least=INFO, cooldown=0, most=5)
    for number in range(4):
        alert(where, f"info-{number}", INFO)
    for number in range(4):
        alert(where, f"critical-{number}", CRITICAL)
    alert(where, "late", INFO)
    assert alerts.tally()["Heard"].dropped == 4
    assert told(alerts, backend=backend) == 0
    assert [one.code for one in heard.notices] == ["notices_dropped", *(f"critical-{n}" for n in range(4)), "late"]
    assert heard.notices[0].level is WARNING
    assert heard.notices[0].text == "4 notices were dropped: Heard did not keep up, and 5 were waiting"


def test_critical_ones_that_were_dropped_are_told_as_critical() -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard, cooldown=0, most=2)
    for number in range(5):
        alert(where, f"critical-{number}", CRITICAL)
    alert(where, "warning", WARNING)
    told(alerts)
    assert heard.said[0] == ("critical", "notices_dropped", 0)
    assert heard.notices[0].text == "4 notices, 3 of them critical, were dropped: Heard did not keep up, and 2 were waiting"
    assert [one.code for one in heard.notices[1:]] == ["critical-3", "critical-4"]


@both
def test_what_was_dropped_while_it_failed_is_told_once_it_is_reached_again(backend: str) -> None:
    where, shaky = books(), Heard(fails=1)
    alerts = Alerts(where, shaky, cooldown=0, most=1, retries=())
    for number in range(3):
        alert(where, f"code-{number}")
    assert told(alerts, backend=backend) == 0  # the word about the two that were dropped fails, the last alert does not
    assert [one.code for one in shaky.notices] == ["code-2", "notices_dropped"]
    assert "2 notices were dropped" in shaky.notices[1].text


@both
def test_flush_ends_within_its_bound_and_says_what_is_left(backend: str) -> None:
    where, hanging, heard = books(), Heard(waits=3_600), Heard()
    alerts = Alerts(where, hanging, heard)
    alert(where, "engine_fault", CRITICAL)
    alert(where, "overdrawn", WARNING)
    began = time.monotonic()
    assert told(alerts, within=0.2, backend=backend) == 2
    assert time.monotonic() - began < 2
    assert len(heard.notices) == 2
    hanging.waits = 0
    assert told(alerts, backend=backend) == 0  # what was broken off had not gone
    assert [one.code for one in hanging.notices] == ["engine_fault", "overdrawn"]


@both
def test_flush_beside_run_tells_everything_once(backend: str) -> None:
    where, heard = books(), Heard(waits=0.002)
    alerts = Alerts(where, heard, cooldown=0)

    async def main() -> int:
        async with running(alerts):
            for number in range(50):
                alert(where, f"code-{number}")
            await anyio.sleep(0.02)
            return await alerts.flush()

    assert anyio.run(main, backend=backend) == 0
    assert sorted(one.code for one in heard.notices) == sorted(f"code-{number}" for number in range(50))


@both
def test_they_run_once_at_a_time_and_again_after_the_end(backend: str) -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard)

    async def main() -> None:
        async with running(alerts):
            with pytest.raises(VaultError, match="told already"):
                await alerts.run()
        async with running(alerts):
            alert(where, "overdrawn")
            await until(lambda: heard.notices)

    anyio.run(main, backend=backend)


@both
def test_a_notifier_that_waits_for_nothing_lets_others_run(backend: str) -> None:
    where, heard = books(), Heard()
    alerts = Alerts(where, heard, cooldown=0, most=100_000)

    async def main() -> int:
        async with running(alerts):
            for number in range(2_000):
                alert(where, f"code-{number}")
            for _ in range(10):
                await anyio.sleep(0)
            return len(heard.notices)

    assert anyio.run(main, backend=backend) < 100


@pytest.mark.parametrize(
    "terms",
    [
        {"least": "loud"},
        {"cooldown": -1},
        {"cooldown": 1.5},
        {"cooldown": True},
        {"cooldowns": {"health": "1"}},
        {"also": [Alert]},
        {"also": 3},
        {"escalate_after": 0},
        {"escalate_after": 1.0},
        {"most": 0},
        {"most": 1e9},
        {"retries": [0]},
        {"retries": [float("nan")]},
        {"patience": float("inf")},
        {"patience": -1},
        {"patience": "1"},
        {"on_call": [print]},
    ],
)
def test_parameters_that_make_no_sense_are_refused(terms: dict[str, Any]) -> None:
    where = books()
    with pytest.raises(VaultError):
        Alerts(where, Heard(), **terms)
    assert where.listeners == []


@pytest.mark.parametrize("what", [None, "desk", object()])
def test_alerts_are_of_a_desk_or_of_books(what: Any) -> None:
    with pytest.raises(VaultError, match="Desk or of Books"):
        Alerts(what, Heard())
    with pytest.raises(VaultError, match="no notifier"):
        Alerts(books(), what)


# -- hostile words --------------------------------------------------------------------------------------------------------------

HOSTILE = "a\nb\r\x1b[31mred\x00\u202egnp.exe\u200b\u2028<!channel> @everyone [x](https://evil.example) <b>&amp;\ud800"


def test_a_notice_is_one_line_of_text_that_shows_what_it_says() -> None:
    notice = Notice(0, WARNING, HOSTILE, HOSTILE, HOSTILE)
    for word in (notice.subject, notice.code, notice.text):
        assert word.startswith("a b \ufffd[31mred\ufffd\ufffdgnp.exe\ufffd <!channel>")
        assert word.encode()
        assert len(word.splitlines()) == 1


@law
@given(st.text(max_size=3_000), st.text(max_size=400))
def test_whatever_is_said_the_notice_is_bounded_and_plain(text: str, name: str) -> None:
    notice = Notice(0, CRITICAL, name, name, text)
    assert len(notice.text) <= LONGEST
    assert len(notice.subject) <= LONGEST_NAME
    assert (notice.title + notice.text).isprintable() or not (notice.title + notice.text).isascii()
    assert len(notice.body.splitlines()) <= 2
    assert str(notice).encode()


def test_a_notice_that_is_too_long_says_that_it_was_cut() -> None:
    assert Notice(0, WARNING, "a", "b", "x" * LONGEST).text == "x" * LONGEST
    assert Notice(0, WARNING, "a", "b", "x" * (LONGEST + 1)).text == "x" * (LONGEST - 1) + "…"


# -- notifiers -------------------------------------------------------------------------------------------------------------------

NOTICE = Notice(1_700_000_000 * SECOND, CRITICAL, "flash", "engine_fault", "it stands still")


@both
def test_a_callback_may_be_plain_or_async(backend: str) -> None:
    heard: list[tuple[str, Notice]] = []

    def plain(notice: Notice) -> None:
        assert threading.current_thread() is not threading.main_thread()
        heard.append(("plain", notice))

    async def later(notice: Notice) -> None:
        await anyio.sleep(0)
        heard.append(("async", notice))

    for call in (plain, later, lambda notice: later(notice)):
        anyio.run(Callback(call).notify, NOTICE, backend=backend)
    assert heard == [("plain", NOTICE), ("async", NOTICE), ("async", NOTICE)]


@both
def test_a_callback_that_raises_or_hangs_fails_and_its_words_are_not_repeated(backend: str) -> None:
    def rude(notice: Notice) -> None:
        raise ValueError(WORDS)

    async def slow(notice: Notice) -> None:
        await anyio.sleep(3_600)

    with pytest.raises(NotifyFailed, match="raised ValueError") as error:
        anyio.run(Callback(rude).notify, NOTICE, backend=backend)
    assert WORDS not in str(error.value)
    with pytest.raises(NotifyFailed, match=r"no answer within 0\.05 s"):
        anyio.run(Callback(slow, within=0.05).notify, NOTICE, backend=backend)


@both
def test_a_plain_callback_that_hangs_is_left_behind_and_not_called_without_end(backend: str) -> None:
    gate, calls = threading.Event(), []

    def stuck(notice: Notice) -> None:
        calls.append(notice)
        gate.wait(30)

    callback = Callback(stuck, within=0.02)

    async def main() -> None:
        for _ in range(6):
            with pytest.raises(NotifyFailed):
                await callback.notify(NOTICE)

    anyio.run(main, backend=backend)
    assert len(calls) == 4
    gate.set()
    deadline = time.monotonic() + 5
    while callback._aside._busy and time.monotonic() < deadline:
        time.sleep(0.005)
    anyio.run(callback.notify, NOTICE, backend=backend)  # they have ended: it is called again
    assert len(calls) == 5


def test_a_callback_that_hangs_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import time, anyio\n"
        "from sleeves.alerts import Callback, Notice, NotifyFailed\n"
        "from sleeves.records import Level\n"
        "try:\n"
        "    anyio.run(Callback(lambda notice: time.sleep(600), within=0.05).notify, Notice(0, Level.INFO, 'a', 'b', 'c'))\n"
        "except NotifyFailed as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "no answer within 0.05 s" in done.stdout


@pytest.mark.parametrize(("call", "within"), [(None, 1.0), (print, 0), (print, float("nan")), (print, float("inf")), (print, "1")])
def test_a_callback_needs_something_to_call_and_a_time(call: Any, within: Any) -> None:
    with pytest.raises(VaultError):
        Callback(call, within=within)


def test_a_notifier_for_the_worst_alone() -> None:
    where, all_of_it, pager = books(), Heard(), Heard()
    alerts = Alerts(where, all_of_it, AtLeast("critical", pager))
    alert(where, "a", WARNING)
    alert(where, "b", CRITICAL)
    told(alerts)
    assert [one.code for one in all_of_it.notices] == ["b", "a"]
    assert [one.code for one in pager.notices] == ["b"]


def test_a_logger_of_ones_own() -> None:
    mine = logging.getLogger("mine.alerts")
    with capturing(mine) as records:
        anyio.run(Log(mine).notify, NOTICE)
    assert [one.getMessage() for one in records] == [str(NOTICE)]


@contextmanager
def capturing(logger: logging.Logger) -> Iterator[list[logging.LogRecord]]:
    """Everything that is logged there and below, from DEBUG on."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    keep, before = Keep(), logger.level
    logger.addHandler(keep)
    logger.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        logger.removeHandler(keep)
        logger.setLevel(before)


# -- apprise, against a real server on this machine -------------------------------------------------------------------------------


class Server:
    """An HTTP server that keeps what is posted to it, and answers with `status`; `hold` makes it wait that long first."""

    def __init__(self) -> None:
        server = self
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.append((self.path, json.loads(body)))
                server.hold.wait(10)
                self.send_response(server.status)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """With a password, and a token in its path."""
        return f"json://ann:{WORDS}@127.0.0.1:{self.http.server_address[1]}/{WORDS}-token/"

    def close(self) -> None:
        self.hold.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("apprise")
    one = Server()
    try:
        yield one
    finally:
        one.close()


@both
def test_apprise_delivers_a_notice_as_plain_text(backend: str, server: Server) -> None:
    anyio.run(Apprise(server.url).notify, NOTICE, backend=backend)
    ((path, post),) = server.posts
    assert path == f"/{WORDS}-token/"
    assert post["title"] == "CRITICAL engine_fault: flash"
    assert post["message"].splitlines() == ["it stands still", "2023-11-14 22:13:20 UTC"]
    assert post["type"] == "failure"


@pytest.mark.parametrize(("level", "kind"), [(INFO, "info"), (WARNING, "warning"), (CRITICAL, "failure")])
def test_apprise_is_told_the_level(level: Level, kind: str, server: Server) -> None:
    anyio.run(Apprise(server.url).notify, Notice(0, level, "a", "b", "c"))
    assert server.posts[0][1]["type"] == kind


def test_hostile_words_neither_ring_nor_link_nor_end_a_tag(server: Server) -> None:
    words = "<!channel> @everyone [x](https://evil.example/?a=1) </pre><b>*_`~ mailto://x"
    anyio.run(Apprise(server.url).notify, Notice(0, WARNING, words, words, words))
    post = server.posts[0][1]
    for text in (post["title"], post["message"]):
        for mark in ("<!", "@everyone", "https://", "</", "<b", "mailto://"):
            assert mark not in text
        assert text.replace("\u200b", "").count(words) >= 1, "nothing is lost but the invisible marks"


@pytest.mark.parametrize("form", ["html", "markdown", "text"])
def test_a_service_of_any_format_gets_no_tag_and_no_link_out_of_it(form: str, server: Server) -> None:
    """Apprise turns plain text into what a service speaks, or what its URL asks for."""
    words = "<script>alert(1)</script> [x](https://evil.example)"
    anyio.run(Apprise(f"{server.url}?format={form}").notify, Notice(0, WARNING, words, words, words))
    text = server.posts[0][1]["title"] + server.posts[0][1]["message"]
    assert "<script" not in text
    assert "](https://" not in text
    assert "alert(1)" in text


@both
def test_a_service_that_refuses_or_is_not_there_fails(backend: str, server: Server) -> None:
    server.status = 500
    with pytest.raises(NotifyFailed, match="not every service took it"):
        anyio.run(Apprise(server.url).notify, NOTICE, backend=backend)
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as nobody:
        port = nobody.server_address[1]
    with pytest.raises(NotifyFailed):
        anyio.run(Apprise(f"json://127.0.0.1:{port}/{WORDS}").notify, NOTICE, backend=backend)


@both
def test_a_service_that_does_not_answer_is_given_up_in_time(backend: str, server: Server) -> None:
    server.hold.clear()
    began = time.monotonic()
    with pytest.raises(NotifyFailed, match=r"no answer within 0\.2 s"):
        anyio.run(Apprise(server.url, within=0.2).notify, NOTICE, backend=backend)
    assert time.monotonic() - began < 3


def test_every_service_is_told(server: Server) -> None:
    apprise = Apprise(server.url, server.url)
    anyio.run(apprise.notify, NOTICE)
    assert len(server.posts) == 2
    assert repr(apprise) == "Apprise(JSON, JSON)"


def test_the_url_is_never_shown(server: Server) -> None:
    """A sentinel in it is looked for in every public face of the notifier, in errors with their causes, and in all logs."""
    root = logging.getLogger()
    faces: list[str] = []
    with capturing(root) as records:
        apprise = Apprise(server.url)
        anyio.run(apprise.notify, NOTICE)
        server.status = 404
        for attempt in (server.url, f"json://127.0.0.1:9/{WORDS}"):
            with pytest.raises(NotifyFailed) as error:
                anyio.run(Apprise(attempt).notify, NOTICE)
            faces += [str(error.value), repr(error.value), str(error.value.__cause__)]
        for bad in (f"nonsense://{WORDS}", WORDS, f"tgram://{WORDS}", "json://", "", f"https://{WORDS}@[::"):
            with pytest.raises(VaultError) as refused:
                Apprise(bad)
            faces += [str(refused.value), repr(refused.value), str(refused.value.__cause__)]
    faces += [repr(apprise), str(apprise), f"{apprise}", str(dir(apprise))]
    for face in faces:
        assert WORDS not in face
    formatter = logging.Formatter()
    assert any(one.name == "apprise" for one in records), "apprise has logged something"
    for record in records:
        assert WORDS not in formatter.format(record), record.name
        assert WORDS not in str(record.__dict__)


def test_what_else_the_http_client_logs_is_left_alone() -> None:
    pytest.importorskip("apprise")
    Apprise(f"json://127.0.0.1/{WORDS}")
    logger = logging.getLogger("urllib3.connectionpool")
    with capturing(logger) as records:
        logger.debug("%s of %d", "GET /index.html", 3)
        try:
            raise ValueError(WORDS)
        except ValueError:
            logger.exception("for %s", WORDS)
        logger.debug("this does not fit: %d", "x")
    assert [one.getMessage() for one in records] == ["GET /index.html of 3", "for *** (ValueError)", "this does not fit: %d"]


def test_it_is_neither_pickled_nor_copied(server: Server) -> None:
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="credentials"):
            way(Apprise(server.url))


def test_the_url_may_be_a_secret(server: Server) -> None:
    anyio.run(Apprise(Secret(server.url)).notify, NOTICE)
    assert len(server.posts) == 1


@pytest.mark.parametrize("urls", [(), (3,), (None,), (b"json://host",), (Secret("nonsense"),)])
def test_what_is_no_url_is_refused(urls: tuple[Any, ...]) -> None:
    pytest.importorskip("apprise")
    with pytest.raises(VaultError):
        Apprise(*urls)


def test_without_apprise_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtra, match=r"sleeves\[alerts\]"):
        Apprise("json://host")


def test_a_failure_to_notify_is_one_of_this_librarys_errors() -> None:
    assert issubclass(NotifyFailed, SleevesError)


@pytest.mark.parametrize("code", EACH)
def test_what_says_something_else_each_time_is_never_muted(code: str) -> None:
    """Three positions that stay open are three notices, not one and a number."""
    vault = CoreVault(USD, total="10", tradeable="10")
    told: list[Notice] = []
    alerts = Alerts(vault.books, Callback(told.append))
    for what in ("BTC", "ETH", "SOL"):
        vault.books.record(Alert(1, Level.WARNING, "a", code, f"{what} stays open"))
    anyio.run(alerts.flush)
    assert [notice.text for notice in told] == ["BTC stays open", "ETH stays open", "SOL stays open"]
