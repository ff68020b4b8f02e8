"""How the desk, its venues, vaults and sleeves stand: what holds them, who lifts it, and that it survives a restart."""

from __future__ import annotations

import pytest

from helpers import BTCUSD, Puppet, fill
from sleeves import FLASH, QUIET, USD, CoreVault, Desk, Place, Side
from sleeves.errors import NotEnough, VaultError, WrongStatus
from sleeves.orders import CancelOrder, Rejected, SubmitOrder
from sleeves.records import Alert, Changed, Refusal
from sleeves.state import State
from sleeves.status import Hold, Status
from standing import assert_stands, reopened


class Two:
    """Two sleeves, each with an engine that wishes what it is told, at one desk."""

    def __init__(self):
        self.vault = CoreVault(USD, total="10000", tradeable="8000")
        self.quiet = self.vault.sleeve("quiet", QUIET, allocate="2000")
        self.flash = self.vault.sleeve("flash", FLASH, allocate="2000")
        self.desk = Desk(self.vault)
        self.one, self.other = Puppet(name="one"), Puppet(name="other")
        self.one.sit(self.desk, self.quiet)
        self.other.sit(self.desk, self.flash)

    def buys(self, puppet, qty="0.05", **kwargs):
        return puppet.wish(Place(BTCUSD, Side.BUY, BTCUSD.qty(qty), **kwargs))

    def sells(self, puppet, qty="0.05"):
        return puppet.wish(Place(BTCUSD, Side.SELL, BTCUSD.qty(qty)))

    def holds(self, puppet, qty="0.05"):
        """Buy and have it filled."""
        submit = self.buys(puppet, qty)
        self.desk.step(fill(submit.order, price="10000"))
        return submit

    def changes(self, what):
        return [r for r in self.desk.books.journal if isinstance(r, Changed) and r.what == what]


@pytest.fixture
def two():
    return Two()


LIMIT = BTCUSD.price("9000")


def ordered(answer):
    return isinstance(answer, SubmitOrder)


# -- the desk itself -----------------------------------------------------------------------------------------------------


def test_a_paused_desk_takes_no_new_risk_anywhere_and_exits_go_on(two):
    two.holds(two.one)
    resting = two.buys(two.other, limit=LIMIT)
    commands = two.desk.pause(two.desk, by="ada", why="news")
    assert [(type(c), c.order.id) for c in commands] == [(CancelOrder, resting.order.id)]
    assert two.desk.status is Status.PAUSED
    assert {two.quiet.status, two.flash.status, two.vault.status} == {Status.PAUSED}
    assert {two.quiet.own_status, two.flash.own_status, two.vault.own_status} == {Status.ACTIVE}
    refused = two.buys(two.one)
    assert isinstance(refused, Refusal)
    assert refused.numbers["status"] == "paused"
    assert ordered(two.sells(two.one))
    two.desk.resume(two.desk, by="ada")
    assert ordered(two.buys(two.one))


def test_resuming_the_desk_does_not_resume_what_was_paused_by_itself(two):
    two.flash.pause(by="ada")
    two.desk.pause(two.desk, by="ada")
    two.desk.resume(two.desk, by="ada")
    assert (two.quiet.status, two.flash.status) == (Status.ACTIVE, Status.PAUSED)


def test_a_killed_desk_closes_what_is_worth_most_first_and_comes_back_paused(two):
    two.holds(two.one, "0.05")
    two.holds(two.other, "0.09")
    commands = two.desk.kill(two.desk, flatten=True, by="ada", why="enough")
    assert [(c.order.sleeve, c.order.place.side) for c in commands] == [("flash", Side.SELL), ("quiet", Side.SELL)]
    assert {two.desk.status, two.quiet.own_status, two.flash.own_status} == {Status.HALTED}
    assert two.desk._seats["quiet"].wake == two.desk._seats["flash"].wake != 0
    for command in commands:
        two.desk.step(fill(command.order, price="10000"))
    assert two.quiet.is_flat()
    assert two.flash.is_flat()
    with pytest.raises(WrongStatus):
        two.desk.resume(two.desk, by="ada")
    two.desk.revive(two.desk, by="ada", why="looked at it")
    assert two.desk.status is Status.PAUSED
    two.desk.resume(two.desk, by="ada")
    two.desk.resume(two.quiet, by="ada")
    assert (two.quiet.status, two.flash.status) == (Status.ACTIVE, Status.PAUSED)
    assert two.desk.check()


def test_a_desk_that_is_not_this_one_is_no_target(two):
    other = Two()
    for act in (two.desk.pause, two.desk.resume):
        with pytest.raises(VaultError):
            act(other.desk, by="ada")
    with pytest.raises(VaultError):
        two.desk.kill(other.quiet, flatten=True, by="ada")


# -- venues --------------------------------------------------------------------------------------------------------------


def test_a_venue_that_cannot_be_seen_takes_no_new_risk_until_it_can(two):
    two.holds(two.one)
    resting = two.buys(two.other, limit=LIMIT)
    commands = two.desk.latch("sim", Hold.CONNECTION, by="live", why="feed lost")
    assert [c.order.id for c in commands] == [resting.order.id]
    assert two.desk.venue_status("sim") is Status.IMPAIRED
    refused = two.buys(two.one)
    assert (refused.gate, refused.reason, refused.numbers) == ("status", "venue", {"venue": "sim", "status": "impaired"})
    assert ordered(two.sells(two.one))
    assert two.quiet.status is Status.ACTIVE
    with pytest.raises(WrongStatus, match="only the desk itself"):
        two.desk.lift("sim", Hold.CONNECTION, by="ada")
    assert two.desk.lift("sim", Hold.CONNECTION, by="live")
    assert not two.desk.lift("sim", Hold.CONNECTION, by="live")
    assert ordered(two.buys(two.one))


def test_two_causes_hold_until_both_are_gone(two):
    two.desk.latch("sim", Hold.CONNECTION, by="live")
    two.desk.latch("sim", Hold.SYNC, by="live")
    two.desk.lift("sim", Hold.CONNECTION, by="live")
    assert two.desk.venue_status("sim") is Status.IMPAIRED
    two.desk.lift("sim", Hold.SYNC, by="ada", why="I looked")
    assert two.desk.venue_status("sim") is Status.ACTIVE


def test_holding_twice_for_one_cause_is_written_once(two):
    two.desk.latch("sim", Hold.SYNC, by="live", why="first")
    assert two.desk.latch("sim", Hold.SYNC, by="live", why="again") == []
    assert [r.why for r in two.changes("latch sync")] == ["first"]


@pytest.mark.parametrize("name", ["quiet", "core:main:USD"])
def test_a_name_alone_is_a_venue_s_and_never_taken_for_a_sleeve(two, name):
    with pytest.raises(VaultError, match="hand it in itself"):
        two.desk.latch(name, Hold.EXPOSURE, by="ada")
    assert two.quiet.status is two.vault.status is Status.ACTIVE
    two.desk.latch(name, Hold.CONNECTION, by="live")
    assert two.desk.venue_status(name) is Status.IMPAIRED, "a venue may bear a sleeve's name"
    assert two.quiet.status is two.vault.status is Status.ACTIVE


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_venue_has_a_name(two, name):
    with pytest.raises(VaultError):
        two.desk.venue_status(name)


def test_a_sleeve_named_desk_is_not_the_desk():
    vault = CoreVault(USD, total="100", tradeable="50")
    sleeve = vault.sleeve("desk", QUIET, allocate="50")
    desk = Desk(vault)
    puppet = Puppet()
    puppet.sit(desk, sleeve)
    desk.pause(desk, by="ada")
    assert (sleeve.own_status, desk.status) == (Status.ACTIVE, Status.PAUSED)
    again = reopened(desk)
    assert (again.engines["desk"].sleeve.own_status, again.status) == (Status.ACTIVE, Status.PAUSED)


# -- one engine stopped while others run ---------------------------------------------------------------------------------


def test_an_engine_is_stopped_and_started_while_the_other_runs(two):
    two.holds(two.one)
    resting = two.buys(two.one, limit=LIMIT)
    commands = two.desk.stop(two.quiet, by="ada", why="new parameters")
    assert [c.order.id for c in commands] == [resting.order.id]
    two.one.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))]
    assert ordered(two.buys(two.other))
    assert two.one.wishes, "a stopped engine was asked"
    assert two.quiet.status is Status.PAUSED
    assert "stopped by ada" in two.desk.telemetry("quiet").idle
    closing = two.desk.close(two.quiet, BTCUSD, by="ada")
    assert ordered(closing[0])
    two.desk.start(two.quiet, by="ada")
    two.one.wishes = []
    assert ordered(two.buys(two.one))
    assert two.desk.telemetry("quiet").idle == ""


def test_starting_what_runs_is_refused_and_so_is_starting_what_was_killed(two):
    with pytest.raises(WrongStatus, match="runs already"):
        two.desk.start(two.quiet, by="ada")
    two.desk.stop(two.quiet, by="ada")
    two.desk.kill(two.quiet, flatten=False, by="ada")
    with pytest.raises(WrongStatus, match="halted"):
        two.desk.start(two.quiet, by="ada")
    two.desk.revive(two.quiet, by="ada", why="x")
    two.one.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))]
    two.one.quote()
    assert two.one.wishes, "revived, but still stopped"
    two.desk.start(two.quiet, by="ada")
    two.one.quote()
    assert not two.one.wishes


def test_an_engine_whose_begin_raises_stays_stopped(two):
    two.desk.stop(two.quiet, by="ada")
    two.one.begin = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        two.desk.start(two.quiet, by="ada")
    assert Hold.STOPPED in two.desk.latches(two.quiet)
    assert_stands(two.desk, State.fold(two.desk.books.journal))


def test_stopping_twice_is_stopping_once(two):
    two.desk.stop(two.quiet, by="ada")
    assert two.desk.stop(two.quiet, by="ben") == []
    assert two.desk.latches(two.quiet)[Hold.STOPPED].by == "ada"


def test_a_start_after_the_engine_raised_gives_it_fresh_memory(two):
    two.one.decide = lambda memory, view: 1 / 0
    two.desk._seats["quiet"].decide = two.one.decide
    two.one.quote()
    assert two.quiet.own_status is Status.CLOSE_ONLY
    two.desk._seats["quiet"].decide = Puppet.decide.__get__(two.one)
    two.desk.start(two.quiet, by="ada")
    assert two.quiet.own_status is Status.CLOSE_ONLY
    two.quiet.clear(by="ada", why="mended")
    two.quiet.resume(by="ada")
    assert ordered(two.buys(two.one))


# -- closing a sleeve for good -------------------------------------------------------------------------------------------


def test_a_sleeve_is_deactivated_only_with_nothing_in_it(two):
    with pytest.raises(NotEnough, match="while it has 2000000000 units of USD on"):
        two.desk.deactivate(two.flash, by="ada", why="over")
    two.desk.pause(two.flash, by="ada")
    two.vault.reclaim(two.flash, "2000")
    two.desk.deactivate(two.flash, by="ada", why="over")
    assert two.flash.status is Status.DEACTIVATED
    with pytest.raises(WrongStatus, match="deactivated"):
        two.vault.allocate(two.flash, "10")
    two.other.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))]
    two.other.quote()
    assert two.other.wishes, "the engine of a deactivated sleeve was asked"
    with pytest.raises(WrongStatus):
        two.flash.resume(by="ada")
    two.desk.reactivate(two.flash, by="ada", why="again")
    two.flash.resume(by="ada")
    two.vault.allocate(two.flash, "2000")
    two.other.wishes = []
    assert ordered(two.buys(two.other))


def test_a_vault_is_deactivated_once_all_its_sleeves_are(two):
    with pytest.raises(WrongStatus):
        two.desk.deactivate(two.vault, by="ada", why="over")
    for sleeve in (two.quiet, two.flash):
        two.desk.pause(sleeve, by="ada")
        two.vault.reclaim(sleeve, "2000")
        two.desk.deactivate(sleeve, by="ada", why="over")
    two.desk.pause(two.vault, by="ada")
    two.desk.deactivate(two.vault, by="ada", why="over")
    assert two.vault.status is Status.DEACTIVATED


def test_a_fact_that_reaches_a_deactivated_sleeve_is_booked_and_said(two):
    """Its order was taken for rejected; the venue filled it all the same."""
    submit = two.buys(two.other, "0.05")
    two.desk.step(Rejected(submit.order.id, submit.order.at, "no"))
    two.desk.pause(two.flash, by="ada")
    two.vault.reclaim(two.flash, "2000")
    two.desk.deactivate(two.flash, by="ada", why="over")
    two.desk.step(fill(submit.order, price="10000"))
    assert two.flash.own_status is Status.CLOSE_ONLY
    assert any(isinstance(r, Alert) and r.subject == "flash" for r in two.desk.books.journal)
    assert two.desk.check()


# -- over a restart ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot", [False, True])
def test_all_that_holds_survives_a_restart(two, snapshot):
    two.desk.stop(two.quiet, by="ada", why="new parameters")
    two.desk.latch("sim", Hold.SYNC, by="live", why="no answer")
    two.desk.latch(two.vault, Hold.EXPOSURE, by="limit", why="too much")
    two.desk.pause(two.desk, by="ada")
    again = reopened(two.desk, snapshot=snapshot)
    assert_stands(again, again.books.state)
    assert again.status is Status.PAUSED
    assert again.latches("sim") == two.desk.latches("sim")
    (vault,) = again.treasury.vaults
    assert again.latches(vault) == two.desk.latches(two.vault)
    assert Hold.STOPPED in again.latches(vault.sleeves["quiet"])
    again.recovered(by="recover", venues=["sim"])
    assert again.latches("sim") == {}, "recover has seen the venue"
    assert again._seats["quiet"].wake != 0, "a stopped engine stays stopped"
    assert again._seats["flash"].wake == 0
    assert vault.status is Status.CLOSE_ONLY
    again.lift(vault, Hold.EXPOSURE, by="ada")
    again.resume(again, by="ada")
    assert (vault.status, again.status) == (Status.ACTIVE, Status.ACTIVE)


def test_a_killed_desk_stays_killed_over_a_restart(two):
    two.holds(two.one)
    two.desk.kill(two.desk, flatten=True, by="ada")
    again = reopened(two.desk)
    commands = again.recovered(by="recover")
    assert again.status is Status.HALTED
    assert not commands, "its closing order is out already"
    assert [order.place.side for order in again.open_orders()] == [Side.SELL]
    assert all(seat.wake != 0 for seat in again._seats.values())


# -- a shell around engines ----------------------------------------------------------------------------------------------


def test_engines_can_be_wrapped_and_are_themselves_again(two):
    asked = []

    def wrapper(name, decide):
        def wrapped(memory, view):
            asked.append(name)
            return decide(memory, view)

        return wrapped

    end = two.desk.wrap(wrapper)
    with pytest.raises(VaultError):
        two.desk.wrap(wrapper)
    third = two.vault.sleeve("third", QUIET, allocate="100")
    late = Puppet(name="late")
    late.sit(two.desk, third)
    two.one.quote()
    assert asked == ["quiet", "flash", "third"]
    end()
    two.one.quote()
    assert len(asked) == 3
