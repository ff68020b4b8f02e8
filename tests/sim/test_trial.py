"""The trial: everything that can go wrong, decided by a seed. And that it catches what is broken on purpose."""

from __future__ import annotations

import os

import anyio
import pytest

from sleeves.books import Books
from sleeves.errors import JournalError, VenueUnavailable, VenueUnknown
from sleeves.journal import Memory
from sleeves.orders import Canceled, Fill, OrderReport, OrderStatus
from sleeves.records import Alert, Level
from sleeves.sim import Fees, Rules, Tape, VirtualDriver
from sleeves.sim.faults import Dice, Dying, Faults, FaultyVenue
from sleeves.sim.trial import SPOT, Trial
from sleeves.testing import Feature, Offer, venue_suite

SEEDS = int(os.environ.get("SLEEVES_TRIALS", "12"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_laws_hold_through_all_faults(seed):
    outcome = Trial(seed).run()
    assert outcome.crashes and outcome.orders and outcome.faults


def test_the_same_seed_is_the_same_run():
    assert Trial(3).run() == Trial(3).run()
    assert Trial(3).run().digest != Trial(4).run().digest


def test_over_the_seeds_each_fault_strikes_and_each_thing_happens():
    outcomes = [Trial(seed).run() for seed in range(40, 52)]
    struck = sum((one.faults for one in outcomes), start=outcomes[0].faults.__class__())
    assert set(struck) == {field.name for field in Faults.__attrs_attrs__}
    assert min(struck.values()) >= 5
    assert all(sum(getattr(one, what) for one in outcomes) > 5 for what in ("crashes", "unknown", "given_up", "residuals"))


def test_without_faults_nothing_is_unknown():
    outcome = Trial(1, faults=Faults(), crash_ppm=0, fails_ppm=0).run()
    assert (outcome.crashes, outcome.unknown, outcome.given_up, sum(outcome.faults.values())) == (0, 0, 0, 0)
    assert outcome.orders > 30


# -- broken on purpose -----------------------------------------------------------------------------------------------------------


def forgets_old_facts(patch):
    """A fact that was booked before a restart is booked again."""
    patch.setattr(Books, "fact", lambda self, key: self.facts.get(key))


def takes_silence_for_a_cancel(patch):
    """An order that is not found is called canceled."""
    look_up = FaultyVenue.look_up

    async def canceled(self, order):
        return await look_up(self, order) or OrderReport(order.id, order.at, OrderStatus.CANCELED)

    patch.setattr(FaultyVenue, "look_up", canceled)


def sends_again(patch):
    """An order whose answer is lost is sent once more."""
    submit = FaultyVenue.submit

    async def again(self, order):
        try:
            await submit(self, order)
        except VenueUnknown:
            await submit(self, order)

    patch.setattr(FaultyVenue, "submit", again)


def does_not_wait_for_the_disk(patch):
    """Commands leave before their record is durable."""
    flush = Dying.flush
    patch.setattr(Dying, "flush", lambda self: None if self._grouped else flush(self))


def forgets_a_fill(patch):
    """What was missed is not asked for."""
    history = FaultyVenue.history

    async def short(self, since):
        return [fact for fact in await history(self, since) if not isinstance(fact, Fill) or not fact.trade_id.endswith("3")]

    patch.setattr(FaultyVenue, "history", short)


def frees_too_early(patch):
    """A lost answer frees what the order holds."""
    from sleeves.desk import Desk
    from sleeves.orders import Unanswered

    step = Desk.step

    def frees(self, event):
        if isinstance(event, Unanswered):
            return step(self, Canceled(event.order_id, event.at, "no answer"))
        return step(self, event)

    patch.setattr(Desk, "step", frees)


def absorbs_residuals(patch):
    """A difference is left unbooked."""
    from sleeves import reconcile

    patch.setattr(reconcile._Maker, "rest", lambda *_: None)


@pytest.mark.parametrize(
    "broken",
    [forgets_old_facts, takes_silence_for_a_cancel, sends_again, does_not_wait_for_the_disk, forgets_a_fill, absorbs_residuals],
)
def test_a_desk_that_is_broken_on_purpose_is_caught(broken, monkeypatch):
    broken(monkeypatch)
    for seed in range(30):
        try:
            Trial(seed).run()
        except AssertionError as error:
            assert f"seed {seed}" in str(error)
            return
    pytest.fail(f"{broken.__doc__} Thirty seeds did not see it.")


# -- the faulty wire ---------------------------------------------------------------------------------------------------------------


def behind_a_good_wire(script):
    tape = Tape.from_columns(script.instrument, **script.columns()).with_funding(script.funding)
    return FaultyVenue(VirtualDriver(tape, script.balances, Rules(Fees(0, 0)), wallet=script.wallet), Faults(), Dice(1))


PLAIN = frozenset({Feature.RESTING, Feature.TRANSFERS, Feature.REPLAY})


class TestWithoutFaults(venue_suite(behind_a_good_wire, Offer(SPOT, features=PLAIN))):
    """A wire that does nothing keeps every promise of what is behind it."""


def test_dice_are_the_same_everywhere():
    """SplitMix64 from seed 0: the published first outputs of the algorithm."""
    dice = Dice(0)
    assert [dice.roll() for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert {Dice(9).between(3, 3)} == {3}


@pytest.mark.parametrize("fault", ["unavailable", "request_lost", "request_late", "answer_lost"])
def test_what_a_fault_of_a_command_does_to_the_venue(fault):
    from sleeves import Place, Side
    from sleeves.orders import Order

    async def tell():
        trial = Trial(1, rows=10)
        driver = trial.venue.venue
        venue = FaultyVenue(driver, Faults(**{fault: 1_000_000}), Dice(1))
        order = Order("x-1", "x", Place(SPOT, Side.BUY, SPOT.qty("1")), 0, SPOT.price("1000"))
        with pytest.raises(VenueUnavailable if fault == "unavailable" else VenueUnknown):
            await venue.submit(order)
        reached = await driver.look_up(order) is not None
        assert reached is (fault == "answer_lost") and venue.struck == {fault: 1}
        venue.calm()
        await venue.arrive()
        assert (await driver.look_up(order) is not None) is (fault in ("answer_lost", "request_late"))

    anyio.run(tell)


def alert(n):
    return Alert(n, Level.INFO, "x", "c", "t")


def test_a_dying_journal_keeps_what_was_flushed_and_whole_appends_of_the_rest():
    seen = set()
    for seed in range(60):
        journal = Dying(Dice(seed))
        journal.append(alert(1), alert(2))
        group = journal.group()
        group.__enter__()
        journal.append(alert(3))
        journal.flush()
        journal.append(alert(4), alert(5))
        journal.append(alert(6))
        assert journal.waiting == 3
        rest = journal.rest()
        seen.add(len(rest))
        assert [record.at for record in rest] == list(range(1, len(rest) + 1)) and isinstance(rest, Memory)
    assert seen == {3, 5, 6}


def test_a_dying_journal_that_failed_takes_no_more():
    journal = Dying(Dice(1), fails_ppm=1_000_000)
    with pytest.raises(JournalError, match="may be there or not"):
        journal.append(alert(1))
    for act in (lambda: journal.append(alert(2)), journal.flush):
        with pytest.raises(JournalError, match="takes no more"):
            act()
    assert len(journal.rest()) in (0, 1)
