"""The pulse of a run: counters that a run really made, and a health that says what is not well, and only that."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from helpers import fill
from live_stand import BEGIN, MARKET, SECOND, looked, stand, until
from sleeves import BTC, USD, Place, Side
from sleeves.errors import JournalError, VaultError, VenueUnavailable, VenueUnknown
from sleeves.journals import SQLite
from sleeves.live import carry, trade
from sleeves.money import Rounding
from sleeves.orders import Canceled, Fill, Liquidity
from sleeves.pulse import Pulse, VenuePulse
from sleeves.records import Level
from sleeves.status import Hold

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def buy(qty="0.01", **terms):
    return Place(MARKET, Side.BUY, MARKET.qty(qty), **terms)


def attached(**terms):
    clock = Clock()
    desk, pit, (puppet,) = stand()
    pulse = Pulse(clock=clock, **terms)
    pulse.attach(desk)
    pulse.heard("pit")
    puppet.quote()
    return desk, pit, puppet, pulse, clock


# -- whether a run is on, and a dead desk ---------------------------------------------------------------------------------------


def test_a_pulse_knows_whether_a_run_is_on():
    desk, _, _ = stand()
    pulse = Pulse()
    assert pulse.runs is None
    ends = [pulse.attach(desk), pulse.attach(desk)]
    assert pulse.runs == 2
    ends[0]()
    ends[0]()
    assert pulse.runs == 1, "ended twice, counted once"
    ends[1]()
    assert pulse.runs == 0


def test_a_desk_whose_journal_failed_is_not_well(monkeypatch):
    desk, _, _, pulse, _ = attached()
    assert pulse.snapshot(desk).ok
    for act in (
        lambda: desk.pause(desk, by="ann"),
        lambda: desk.treasury.vaults[0].set_reserve("1", by="ann"),
    ):
        desk.books.failed = ""
        with monkeypatch.context() as patch:
            patch.setattr(desk.books.journal, "append", _full)
            with pytest.raises(JournalError):
                act()
        health = pulse.snapshot(desk)
        assert not health.ok and health.why[0] == "the journal failed, and the desk is dead: disk full"


def test_a_file_that_takes_no_more_is_told_of(tmp_path):
    with SQLite.open(tmp_path / "one.sleeves") as journal:
        assert journal.failed == ""
        journal._fail(OSError("no space"))
        desk, *_ = stand()
        desk.books.journal.failed = journal.failed
        assert "no space" in Pulse(most_silence=None).snapshot(desk).why[0]


def _full(*records):
    raise JournalError("disk full")


# -- counters ------------------------------------------------------------------------------------------------------------------


def test_lags_are_ranked_and_the_oldest_give_way():
    one = VenuePulse()
    assert one.median_lag is None and one.p99_lag is None
    one.lags.extend(n / 1000 for n in range(1, 101))
    assert (one.median_lag, one.p99_lag) == (0.051, 0.1)
    one.lags.extend([1.0] * 5_000)
    assert len(one.lags) == 2_048 and one.median_lag == 1.0


@both
def test_a_run_counts_what_it_did(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        pulse = Pulse()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, pulse=pulse, reconnect=0.01))
            await looked(desk, pit)  # a look may find a fill before the feed tells it
            puppet.wishes = [buy(), buy("0.02")]
            pit.quote()
            await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.03"))
            assert (pulse.events, pulse.commands, pulse.reconnects, pulse.conflated) == (3, 2, 0, 0)
            pit.cut()
            await until(lambda: pulse.venue("pit").lost)
            assert "the feed of pit is lost" in pulse.snapshot(desk).why
            assert "venue:pit is impaired" in pulse.snapshot(desk).why
            pit.quote()
            await until(lambda: pulse.reconnects == 1)
            assert pulse.venue("pit").errors == pulse.errors == {"VenueUnavailable": 1}
            assert pulse.alerts == {"warning": 1, "info": 1} and pulse.syncs >= 1
            tasks.cancel_scope.cancel()
        health = pulse.snapshot(desk)
        assert health.ok and str(health) == "ok" and health.why == ()
        pit.end()
        await trade(desk, pit, pulse=pulse)
        assert pulse.events == 4, "one pulse serves several runs"

    anyio.run(main, backend=backend)


@both
def test_the_time_to_flat_is_that_of_the_last_kill(backend):
    async def main():
        desk, pit, (one, two) = stand(names=("one", "two"))
        clock = Clock()
        pulse = Pulse(clock=clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, pulse=pulse))
            one.wishes, two.wishes = [buy()], [buy()]
            pit.quote()
            await until(lambda: one.sleeve.position(MARKET) == two.sleeve.position(MARKET) == BTC("0.01"))
            assert pulse.time_to_flat is None
            commands = desk.kill(desk, flatten=True, by="ann")
            assert set(pulse.snapshot(desk).flattening) == {"one", "two"} and pulse.time_to_flat is None
            clock.now += 3.5
            await carry(desk, commands, pit)
            await until(lambda: not pulse.snapshot(desk).flattening)
            assert pulse.time_to_flat == 3.5
            desk.revive(desk, by="ann", why="again")
            desk.kill(one.sleeve, flatten=True, by="ann")
            assert pulse.snapshot(desk).flattening == () and pulse.time_to_flat == 0.0, "it was flat already"
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


def test_a_sleeve_is_not_flat_while_an_order_of_it_is_out():
    desk, pit, puppet, pulse, clock = attached()
    order = puppet.buy("0.01", limit=MARKET.price("9000")).order
    desk.kill(puppet.sleeve, flatten=True, by="ann")
    clock.now = 2.0
    assert pulse.snapshot(desk).flattening == ("a",) and pulse.time_to_flat is None, "it may still fill"
    desk.step(Canceled(order.id, order.at))
    assert pulse.snapshot(desk).flattening == () and pulse.time_to_flat == 2.0


def test_a_halted_sleeve_that_nobody_closes_is_said_to_be_just_that():
    desk, _, puppet, pulse, _ = attached()
    order = desk.order(puppet.sleeve, buy(), by="ann")[0].order
    desk.step(fill(order))
    desk.kill(puppet.sleeve, flatten=False, by="ann", why="enough")
    assert f"{puppet.sleeve.name} is halted, and nothing closes what it holds" in pulse.snapshot(desk).why
    assert not any("is to be flat" in one for one in pulse.snapshot(desk).why)


def test_a_kill_that_was_given_up_is_not_counted_as_flat():
    desk, pit, puppet, pulse, clock = attached()
    commands = puppet.buy("0.01")
    desk.step(_filled(commands.order))
    desk.kill(puppet.sleeve, flatten=True, by="ann")
    assert pulse.snapshot(desk).flattening == ("a",)
    desk.revive(puppet.sleeve, by="ann", why="no")
    assert pulse.snapshot(desk).flattening == () and pulse.time_to_flat is None


def _filled(order):
    place = order.place
    cost = MARKET.notional(MARKET.price("10000"), place.qty, Rounding.CEIL)
    return Fill(
        order.id, order.at + 1, MARKET, place.side, place.qty, MARKET.price("10000"), cost.units, USD.zero, Liquidity.TAKER, "t-1", "pit"
    )


# -- health --------------------------------------------------------------------------------------------------------------------


def test_all_is_well_where_nothing_is_wrong_and_what_a_human_stopped_is_no_illness():
    desk, _, puppet, pulse, _ = attached()
    assert pulse.snapshot(desk).ok
    desk.pause(desk, by="ann")
    assert pulse.snapshot(desk).ok and pulse.snapshot(desk).statuses["desk:main"] == "paused"
    desk.kill(desk, flatten=False, by="ann")
    health = pulse.snapshot(desk)
    assert health.ok and health.statuses["a"] == "halted"


@pytest.mark.parametrize(("silence", "ok"), [(60.0, True), (60.1, False)])
def test_a_venue_that_says_nothing_for_too_long_is_not_well(silence, ok):
    desk, _, _, pulse, clock = attached()
    clock.now = silence
    health = pulse.snapshot(desk)
    assert health.ok is ok and health.silences == {"pit": silence}
    assert ok or health.why == ("pit has told nothing for 60 s",)
    pulse.most_silence = None
    assert pulse.snapshot(desk).ok


@pytest.mark.parametrize(("lag", "ok"), [(1.0, True), (1.01, False)])
def test_events_that_are_handled_too_late_are_not_well(lag, ok):
    desk, _, _, pulse, clock = attached()
    clock.now = lag
    pulse.handled("pit", 0.0, desk)
    health = pulse.snapshot(desk)
    assert health.ok is ok and (health.median_lag, health.p99_lag) == (lag, lag)
    assert ok or health.why == ("99% of events are handled within 1.01 s, above 1",)


@pytest.mark.parametrize(("most", "ok"), [(1, True), (0, False)])
def test_records_that_are_not_durable_are_not_well(tmp_path, most, ok):
    with SQLite.open(tmp_path / "a.sleeves") as journal:
        desk, _, (puppet,) = stand(journal)
        with journal.group():
            desk.alert(BEGIN, Level.INFO, "a", "x", "one record that waits")
            health = Pulse(most_waiting=most).snapshot(desk)
            assert health.waiting == 1 and health.ok is ok


def test_what_is_in_doubt_latched_or_broken_is_named():
    desk, _, puppet, pulse, _ = attached()
    order = puppet.buy("0.01").order
    from sleeves.orders import Unanswered

    desk.step(Unanswered(order.id, order.at, "timed out"))
    assert pulse.snapshot(desk).in_doubt == ("a-1",)
    desk.latch("pit", Hold.SYNC, by="live", why="503")
    desk.latch(puppet.sleeve, Hold.DRAWDOWN, by="limit", why="x")

    def breaks(memory, view):
        raise RuntimeError("no more")

    end = desk.wrap(lambda name, decide: breaks)
    puppet.quote()
    end()
    health = pulse.snapshot(desk)
    assert not health.ok
    assert set(health.why) == {
        "venue:pit is impaired",
        "a is close_only",
        "the fate of a-1 is unknown",
        "the engine of a was stopped: its engine raised RuntimeError; Desk.restart gives it another start",
    }
    assert health.latches == {"venue:pit": ("sync",), "a": ("drawdown",)} and set(health.faults) == {"a"}
    assert health.alerts["critical"] == 1
    assert str(health).startswith("not ok: ")


def test_what_does_not_add_up_is_named_beyond_its_tolerance():
    desk, pit, _, pulse, _ = attached()
    desk.reconcile({"USD": USD("20005"), "BTC": BTC("0")})
    health = pulse.snapshot(desk)
    assert health.why == ("USD of main does not add up",) and len(health.residuals) == 1
    desk.books.tolerances["USD"] = USD("5").units
    assert pulse.snapshot(desk).ok and pulse.snapshot(desk).residuals


def test_ages_are_in_the_desks_own_time():
    desk, _, puppet, pulse, _ = attached()
    seen = desk.books.now
    desk.reconcile({"USD": USD("20000")}, at=seen + 10 * SECOND)
    desk.books.time(seen + 90 * SECOND)
    health = pulse.snapshot(desk)
    assert health.price_ages == {"BTC/USD": 90.0} and health.reconciled_ages == {"main": 80.0}
    assert Pulse().snapshot(stand()[0]).reconciled_ages == {"main": None}


def test_rows_say_all_of_it_in_text():
    desk, _, puppet, pulse, clock = attached()
    clock.now = 0.25
    pulse.handled("pit", 0.0, desk)
    rows = pulse.snapshot(desk).rows()
    assert all(len(row) == 3 and all(isinstance(cell, str) for cell in row) for row in rows)
    assert rows[0] == ("ok", "", "true") and ("status", "desk:main", "active") in rows and ("silence_s", "pit", "0.25") in rows
    assert ("reconciled_age_s", "main", "never") in rows and rows[-1] == ("p99_lag_s", "", "0.25")


@pytest.mark.parametrize("terms", [{"most_lag": -1}, {"most_lag": float("nan")}, {"most_silence": "60"}, {"most_waiting": True}])
def test_limits_that_are_none_are_refused(terms):
    with pytest.raises(VaultError, match="must be a number of zero or more"):
        Pulse(**terms)


@both
def test_decisions_that_hang_are_counted_over_all_runs_of_a_pulse(backend):
    import time

    async def main():
        pulse = Pulse()
        for run in (1, 2):
            desk, pit, (puppet,) = stand()
            seen = puppet.decide
            puppet.decide = lambda memory, view, seen=seen: (time.sleep(0.05), seen(memory, view))[1]
            pit.quote()
            pit.end()
            await trade(desk, pit, pulse=pulse, engine_patience=0.01)
            assert pulse.stuck == run and len(desk.faults) == 1

    anyio.run(main, backend=backend)


def test_what_was_survived_is_counted_by_class():
    pulse = Pulse()
    for error in (VenueUnavailable("x"), VenueUnavailable("y"), VenueUnknown("z")):
        pulse.failed(error, "pit")
    pulse.failed(KeyError("x"))
    assert pulse.errors == {"VenueUnavailable": 2, "VenueUnknown": 1, "KeyError": 1}
    assert pulse.venue("pit").errors == {"VenueUnavailable": 2, "VenueUnknown": 1}


def test_a_venue_of_real_money_that_is_not_armed_is_no_health():
    """It trades nothing new: whoever asks is to know why."""
    desk, pit, puppet, pulse, clock = attached()
    assert pulse.snapshot(desk).ok
    desk.require_arming("pit")
    assert pulse.snapshot(desk).why == ("pit moves real money and is not armed",)
    desk.arm("pit", per_hour="1000", phrase=desk.arming_phrase("pit", per_hour="1000"), by="ann")
    assert pulse.snapshot(desk).ok
