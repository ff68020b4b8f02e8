"""A process dies at any instant, and a venue answers late or not at all: what was begun is found, and nothing is done twice."""

from __future__ import annotations

import anyio
import pytest

from helpers import SECOND, Puppet
from sleeves import FLASH, QUIET, USD, Books, Cancel, CoreVault, Desk, Place, Side, Treasury, recovery
from sleeves.engines import Idle, Trend
from sleeves.errors import JournalError, VaultError, VenueUnavailable, VenueUnknown, WrongStatus
from sleeves.gates import DailyLoss
from sleeves.journals import SQLite
from sleeves.live import carry, trade
from sleeves.orders import Fill, OrderReport, OrderStatus, SubmitOrder, Unanswered
from sleeves.records import Alert, Marked, OrderUpdate, Placed, Policy, Recovered, Refusal
from sleeves.recovery import Chase, recover
from sleeves.sim import Rules, Tape, VirtualDriver
from sleeves.state import State
from sleeves.status import Status
from standing import assert_stands

TAPE = Tape.sample().slice(0, 200)
MARKET = TAPE.instrument
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Wire(VirtualDriver):
    """The paper venue behind a wire on which answers, questions and events can be lost. What it does is real."""

    def __init__(self, *args, **words):
        super().__init__(*args, **words)
        self.lose_answers: set[str] = set()
        self.lose_requests: set[str] = set()
        self.deaf = 0
        self.sent: list[str] = []
        self.asked: list[str] = []

    async def submit(self, order):
        self.sent.append(order.id)
        if order.id in self.lose_requests:
            raise VenueUnknown("timed out")
        await super().submit(order)
        if order.id in self.lose_answers:
            raise VenueUnknown("timed out")

    async def look_up(self, order):
        self._hear()
        self.asked.append(order.id)
        return await super().look_up(order)

    async def history(self, since):
        self._hear()
        return await super().history(since)

    def _hear(self):
        if self.deaf:
            self.deaf -= 1
            raise VenueUnavailable("503")


class Life:
    """One account at one venue, and a desk on a journal in a file that can be killed and opened again."""

    def __init__(self, path, *, policy=FLASH, gates=(), rules=None, tape=TAPE):
        self.path, self.policy, self.gates = path, policy, gates
        self.venue = Wire(tape, {"USD": USD("20000")}, rules or Rules(), name="sim")
        self.puppet = Puppet(MARKET)
        self.journal = SQLite.open(path)
        vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(self.journal), at=TAPE.at[0] - SECOND)
        vault.sleeve("a", policy, allocate="5000")
        self.sit(Desk(vault))
        self.events = self.venue.events()

    def sit(self, desk):
        self.desk = desk
        self.vault = desk.treasury.vaults[0]
        self.sleeve = self.vault.sleeves["a"]
        desk.assign(self.puppet, to=self.sleeve, gates=self.gates)

    def dies(self):
        """Nothing survives but the file."""
        self.journal.close()
        self.journal = SQLite.open(self.path)
        self.sit(Desk(*Treasury.reopen(Books(self.journal)).vaults))

    async def hears(self, count=1, *, tells=True, carries=True):
        """The next events, taken in as the shell does; or lost on the wire."""
        for _ in range(count):
            event = await anext(self.events)
            if tells:
                commands = self.desk.step(event)
                if carries:
                    await carry(self.desk, commands, self.venue)

    async def buys(self, qty="0.1", **terms):
        """The engine orders; the order is on its way, and nothing of it was heard."""
        self.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty(qty), **terms)]
        await self.hears()
        assert not self.puppet.wishes

    async def agrees(self):
        """The books are the venue's coins to the unit, every law holds, and the journal says where the desk stands."""
        self.desk.check(await self.venue.balances(), positions=await self.venue.positions(), deep=True).require()
        assert_stands(self.desk, State.fold(self.journal))

    def kept(self, kind):
        return [record for record in self.journal if isinstance(record, kind)]


def story(tell=None, **terms):
    """Run an async story about a life on both backends; its terms are those of `Life`."""

    def take(tell):
        async def run(path):
            life = Life(path, **terms)
            try:
                await tell(life)
            finally:
                await life.events.aclose()
                life.journal.close()

        @both
        def test(backend, tmp_path):
            anyio.run(run, tmp_path / "a.sleeves", backend=backend)

        test.__doc__, test.__name__ = tell.__doc__, tell.__name__
        return test

    return take if tell is None else take(tell)


# -- the process dies ----------------------------------------------------------------------------------------------------------


@story
async def test_a_fill_that_was_never_heard_is_booked_when_the_desk_is_recovered(life):
    await life.hears(3)
    await life.buys()
    await life.hears(1, tells=False)
    life.dies()
    found = await recover(life.desk, life.venue)
    assert found.booked == 1
    assert found.resolved == {"a-1": OrderStatus.FILLED}
    assert life.sleeve.position(MARKET) == MARKET.base("0.1")
    assert life.venue.sent == ["a-1"]
    await life.agrees()
    (record,) = life.kept(Recovered)
    assert record.policy is Policy.RESUME and record.found["booked"] == "1"


@story
async def test_an_order_that_was_journaled_and_never_left_is_not_sent_again_and_keeps_its_money(life):
    """Killed between the record and its command."""
    await life.hears(3)
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    await life.hears(carries=False)
    held = life.sleeve.held
    assert held.units > 0
    life.dies()
    found = await recover(life.desk, life.venue)
    assert found.resolved == {"a-1": OrderStatus.UNKNOWN} and life.venue.sent == []
    assert life.sleeve.held == held
    await life.agrees()
    await carry(life.desk, life.desk.give_up("a-1", by="ann", why="the venue never had it"), life.venue)
    assert life.sleeve.held == USD.zero and life.sleeve.free == USD("5000")
    await life.buys()
    assert life.venue.sent == ["a-2"], "the next order is another one"
    await life.agrees()


@story
async def test_an_order_that_rests_at_the_venue_is_found_open(life):
    await life.hears(3)
    low = MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor())
    await life.buys(limit=low)
    life.dies()
    found = await recover(life.desk, life.venue)
    assert found.resolved == {"a-1": OrderStatus.OPEN} and [o.id for o in life.desk.open_orders()] == ["a-1"]
    life.puppet.wishes = [Cancel("a-1")]
    await life.hears(4)
    assert life.sleeve.held == USD.zero
    await life.agrees()


def _floor():
    from sleeves.money import Rounding

    return Rounding.FLOOR


@story
async def test_an_order_that_was_canceled_meanwhile_frees_its_money(life):
    await life.hears(3)
    await life.buys(limit=MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor()))
    await life.venue.cancel(life.desk.open_orders()[0])
    life.dies()
    found = await recover(life.desk, life.venue)
    assert found.resolved == {"a-1": OrderStatus.CANCELED} and life.sleeve.free == USD("5000")
    await life.agrees()


@story
async def test_nothing_is_traded_before_the_desk_is_recovered(life):
    await life.hears(3)
    life.dies()
    with pytest.raises(VaultError, match=r"await recover\(desk, venue\)"):
        await trade(life.desk, life.venue)
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    await life.hears(2)
    assert life.puppet.wishes and not life.venue.sent, "no engine is asked"
    refused = life.desk.order(life.sleeve, life.puppet.wishes[0], by="ann")
    assert isinstance(refused, Refusal) and refused.reason == "recovering"
    await recover(life.desk, life.venue)
    await life.hears(1)
    assert life.venue.sent == ["a-1"]


@story
async def test_what_follows_from_a_booked_fill_is_made_up_for(life):
    """Killed between a close and its sweep: the sleeve is flat, and its profit still lies there."""
    await life.hears(3)
    await life.buys("0.5")
    await life.hears(2)
    life.puppet.wishes = [Place(MARKET, Side.SELL, MARKET.qty("0.5"), reduce_only=True)]
    await life.hears()
    fill = None
    while not isinstance(fill, Fill):
        fill = await anext(life.events)
    sweep = life.vault.sweep
    life.vault.sweep = lambda *_, **__: pytest.fail("killed here")
    with pytest.raises(BaseException, match="killed here"):
        life.desk.step(fill)
    life.vault.sweep = sweep
    assert life.sleeve.is_flat()
    life.dies()
    await recover(life.desk, life.venue)
    assert life.sleeve.balance.units <= life.sleeve.allocation.units
    await life.agrees()


@story
async def test_a_flattening_that_was_under_way_goes_on(life):
    await life.hears(3)
    await life.buys("0.5")
    await life.hears(2)
    assert life.sleeve.position(MARKET).units
    life.desk.kill(life.sleeve, flatten=True, by="ann")  # the command is never carried out
    life.dies()
    found = await recover(life.desk, life.venue)
    assert found.resolved == {"a-2": OrderStatus.UNKNOWN}, "its sale may be on its way: nothing is sold twice"
    await carry(life.desk, life.desk.give_up("a-2", by="ann", why="never sent"), life.venue)
    await life.hears(2)
    assert life.sleeve.is_flat() and life.venue.sent == ["a-1", "a-3"]
    await life.agrees()


@story
async def test_recovery_may_die_and_begin_again(life):
    await life.hears(3)
    await life.buys()
    life.dies()
    life.venue.deaf = 3
    for _ in range(3):
        with pytest.raises(VenueUnavailable):
            await recover(life.desk, life.venue, retry_after=())
        assert life.desk.recovering
        life.dies()
    await recover(life.desk, life.venue)
    await life.agrees()
    with pytest.raises(VaultError, match="recovered already"):
        await recover(life.desk, life.venue)


@story
async def test_a_desk_that_never_died_has_nothing_to_recover(life):
    with pytest.raises(VaultError, match="not opened on a journal with records"):
        await recover(life.desk, life.venue)
    with pytest.raises(WrongStatus):
        life.desk.recovered()


async def with_policy(life, policy, status):
    await life.hears(3)
    await life.buys("0.2")
    await life.hears(2)
    life.dies()
    found = await recover(life.desk, life.venue, policy=policy)
    assert life.sleeve.own_status is status
    assert found.policy is policy
    await life.hears(3)
    assert life.sleeve.is_flat() is (policy is Policy.FLATTEN)
    await life.agrees()


@story
async def test_told_to_resume_sleeves_go_on_as_they_were(life):
    await with_policy(life, Policy.RESUME, Status.ACTIVE)


@story
async def test_told_to_hold_sleeves_are_paused_with_what_they_have(life):
    await with_policy(life, Policy.HOLD, Status.PAUSED)


@story
async def test_told_to_flatten_sleeves_are_killed_and_sold(life):
    await with_policy(life, Policy.FLATTEN, Status.HALTED)


@story
async def test_a_sleeve_with_a_position_needs_an_engine_before_it_is_recovered(life):
    await life.hears(3)
    await life.buys()
    await life.hears(2)
    life.journal.close()
    life.journal = SQLite.open(life.path)
    desk = Desk(*Treasury.reopen(Books(life.journal)).vaults)
    with pytest.raises(VaultError, match=r"sleeve a has positions and no engine: assign one, or engines.Idle"):
        await recover(desk, life.venue)
    life.vault, life.desk = desk.treasury.vaults[0], desk
    life.sleeve = life.vault.sleeves["a"]
    desk.assign(Idle(MARKET), to=life.sleeve)
    await recover(desk, life.venue)
    await life.hears(2)
    await carry(desk, desk.close(life.sleeve, MARKET, by="ann"), life.venue)
    await life.hears(1)
    assert life.sleeve.is_flat(), "a human closes by hand what has no strategy"
    await life.agrees()


@story(policy=QUIET, gates=(DailyLoss.of("0.01%"),))
async def test_a_loss_of_today_is_known_after_a_restart(life):
    """Otherwise a restart would be the way around a daily loss limit."""
    await life.hears(3)
    await life.buys("0.5")
    await life.hears(1)
    for _ in range(120):
        await life.hears()
        if life.desk._seats["a"].view.day_pnl() < -USD("5").units:
            break
    else:
        pytest.skip("the sample never fell")
    life.desk.mark(life.desk.books.now)
    seen = life.desk._seats["a"].view.watched()
    assert life.kept(Marked)[-1].watched == {"a": seen}
    life.dies()
    await recover(life.desk, life.venue)
    assert life.desk._seats["a"].view.watched() == seen
    await life.hears()
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.01"))]
    await life.hears()
    assert life.kept(Refusal)[-1].reason == "daily_loss"


def test_a_real_engine_goes_on_after_a_restart_and_ends_with_what_the_venue_holds(tmp_path):
    """Trend on the sample, killed every hundred events, over SQLite."""

    async def tell():
        path = tmp_path / "a.sleeves"
        venue = VirtualDriver(Tape.sample().slice(0, 1_500), {"USD": USD("20000")}, name="sim")
        journal = SQLite.open(path)
        vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal), at=TAPE.at[0] - SECOND)
        for name, policy in (("quiet", QUIET), ("flash", FLASH)):
            vault.sleeve(name, policy, allocate="5000")
        desk, events, n, restarts = Desk(vault), venue.events(), 0, 0
        for name, make in (("quiet", Trend.quiet), ("flash", Trend.flash)):
            desk.assign(make(MARKET), to=vault.sleeves[name])
        async for event in events:
            await carry(desk, desk.step(event), venue)
            n += 1
            if n % 100 == 0:
                journal.close()
                journal = SQLite.open(path)
                desk = Desk(*Treasury.reopen(Books(journal)).vaults)
                for name, make in (("quiet", Trend.quiet), ("flash", Trend.flash)):
                    desk.assign(make(MARKET), to=desk.treasury.vaults[0].sleeves[name])
                await recover(desk, venue)
                restarts += 1
        assert restarts >= 15
        assert sum(isinstance(record, Fill) for record in journal) > 4
        desk.check(await venue.balances(), deep=True).require()
        journal.close()

    anyio.run(tell)


# -- the answer is lost --------------------------------------------------------------------------------------------------------


@story
async def test_an_order_whose_answer_was_lost_is_looked_up_and_never_sent_again(life):
    life.venue.lose_answers = {"a-1"}
    await life.hears(3)
    await life.buys()
    assert life.desk.status_of("a-1") is OrderStatus.UNKNOWN and life.sleeve.held.units > 0
    await Chase(life.desk, {"sim": life.venue}, 60.0).once()
    assert life.desk.status_of("a-1") is not OrderStatus.UNKNOWN
    await life.hears(2)
    assert life.desk.status_of("a-1") is OrderStatus.FILLED and life.venue.sent == ["a-1"]
    await life.agrees()


@story
async def test_not_found_is_not_canceled(life):
    """It is asked after, a human is told once, and what it holds stays held all the while."""
    life.venue.lose_requests = {"a-1"}
    await life.hears(3)
    await life.buys()
    held, chase = life.sleeve.held, Chase(life.desk, {"sim": life.venue}, 0.0)
    for _ in range(5):
        await chase.once()
        assert life.desk.status_of("a-1") is OrderStatus.UNKNOWN and life.sleeve.held == held
    assert [alert.code for alert in life.kept(Alert)] == ["order_unknown"]
    assert life.venue.asked == ["a-1"] * 5 and life.venue.sent == ["a-1"]
    await life.agrees()


@story
async def test_an_order_that_arrives_late_is_found_after_all(life):
    life.venue.lose_requests = {"a-1"}
    await life.hears(3)
    await life.buys()
    order = life.desk.open_orders()[0]
    chase = Chase(life.desk, {"sim": life.venue}, 0.0)
    await chase.once()
    await VirtualDriver.submit(life.venue, order)
    await life.hears(1, tells=False)
    await chase.once()
    await life.hears(1)
    assert life.desk.status_of("a-1") is OrderStatus.FILLED
    await life.agrees()


@story
async def test_a_fill_of_an_order_that_was_given_up_is_booked_all_the_same(life):
    life.venue.lose_requests = {"a-1"}
    await life.hears(3)
    await life.buys()
    order = life.desk.open_orders()[0]
    life.desk.give_up("a-1", by="ann", why="gone")
    await VirtualDriver.submit(life.venue, order)
    await life.hears(3)
    assert life.sleeve.position(MARKET) == MARKET.base("0.1")
    await life.agrees()


@story(tape=TAPE.slice(0, 60))
async def test_the_shell_asks_by_itself_and_the_run_ends_with_every_fate_known(life):
    life.venue.lose_answers = {"a-1"}
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    await life.events.aclose()
    with anyio.fail_after(20):
        await trade(life.desk, life.venue, patience=0.01)
    assert life.venue.sent == ["a-1"] and life.desk.status_of("a-1") is OrderStatus.FILLED
    assert next((u.order_id, u.status) for u in life.kept(OrderUpdate)) == ("a-1", OrderStatus.UNKNOWN)
    await life.agrees()


@story
async def test_a_cancel_whose_answer_was_lost_is_asked_again_while_the_order_is_open(life):
    await life.hears(3)
    await life.buys(limit=MARKET.shift(life.desk.marks()[MARKET.symbol].price, -500_000, _floor()))
    await life.hears(1)
    cancel, cancels = life.venue.cancel, []

    async def lost(order):
        cancels.append(order.id)
        if len(cancels) == 1:
            raise VenueUnknown("timed out")
        await cancel(order)

    life.venue.cancel = lost
    life.puppet.wishes = [Cancel("a-1")]
    await life.hears(1)
    assert life.desk.status_of("a-1") is OrderStatus.UNKNOWN
    await Chase(life.desk, {"sim": life.venue}, 60.0).once()
    await life.hears(2)
    assert cancels == ["a-1", "a-1"] and life.desk.status_of("a-1") is OrderStatus.CANCELED
    await life.agrees()


@story
async def test_only_an_order_of_unknown_fate_can_be_given_up(life):
    await life.hears(3)
    await life.buys()
    for name in ("a-1", "a-9", ""):
        with pytest.raises(VaultError, match="no order of unknown fate"):
            life.desk.give_up(name, by="ann", why="x")
    life.desk.step(Unanswered("a-1", life.desk.books.now, "x"))
    for by, why in (("", "x"), (" ", "x"), ("ann", "")):
        with pytest.raises(VaultError, match="a name and a reason"):
            life.desk.give_up("a-1", by=by, why=why)
    assert life.sleeve.held.units > 0


@story
async def test_a_report_takes_no_order_for_done_before_its_fills_are_booked(life):
    await life.hears(3)
    await life.buys()
    qty = MARKET.qty("0.1")
    held = life.sleeve.held
    for status, filled in ((OrderStatus.FILLED, qty), (OrderStatus.CANCELED, 1), (OrderStatus.CANCELED, qty)):
        assert not life.desk.step(OrderReport("a-1", life.desk.books.now, status, filled))
        assert life.sleeve.held == held and life.desk.status_of("a-1") is OrderStatus.SUBMITTED
    life.desk.step(OrderReport("a-1", life.desk.books.now, OrderStatus.CANCELED, 0))
    assert life.sleeve.held == USD.zero


# -- write ahead -----------------------------------------------------------------------------------------------------------------


@story
async def test_no_command_leaves_the_house_before_its_record_is_durable(life):
    """A second reader of the file sees the order in it at the moment the venue is called."""
    seen = []

    async def look(order):
        assert life.journal.waiting == 0
        seen.append((await anyio.to_thread.run_sync(_placed_in, life.path), order.id))

    life.venue.submit = look
    with life.journal.group():
        await life.hears(3)
        life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
        await life.hears(1)
    assert seen == [(["a-1"], "a-1")]


def _placed_in(path):
    """The orders that a crash at this moment would leave in the file: a copy of it and its log, opened anew."""
    import shutil
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        for one in path.parent.iterdir():
            if not one.name.endswith(".lock"):
                shutil.copy(one, Path(folder) / one.name)
        with SQLite.open(Path(folder) / path.name) as journal:
            return [record.order.id for record in journal if isinstance(record, Placed)]


@story
async def test_a_storage_error_stops_the_desk_and_what_is_there_is_found_by_its_id(life):
    await life.hears(3)
    life.puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    write = life.journal._write

    def fails(rows):
        write(rows)
        raise life.journal._fail(OSError("disk I/O error"))

    life.journal._write = fails
    event = await anext(life.events)
    with pytest.raises(JournalError, match="may be there or not"):
        life.desk.step(event)
    assert life.venue.sent == []
    with pytest.raises(JournalError, match="open it again and recover"):
        life.desk.step(await anext(life.events)), life.vault.allocate(life.sleeve, "1")
    life.dies()
    await recover(life.desk, life.venue)
    ids = [record.order.id for record in life.kept(Placed)]
    assert ids in ([], ["a-1"]) and life.venue.sent == []
    await life.agrees()


def test_an_order_id_is_never_used_twice(tmp_path):
    """The journal itself refuses the second one, whatever went wrong before."""
    with SQLite.open(tmp_path / "a.sleeves") as journal:
        books = Books(journal)
        vault = CoreVault(USD, total="20000", tradeable="15000", books=books, at=0)
        sleeve = vault.sleeve("a", QUIET, allocate="5000")
        desk = Desk(vault)
        puppet = Puppet(MARKET)
        puppet.sit(desk, sleeve)
        puppet.quote("10000")
        (command,) = [puppet.buy("0.1")]
        assert isinstance(command, SubmitOrder)
        desk._seats["a"].counter = 0
        with pytest.raises(JournalError, match="journaled already"):
            puppet.buy("0.1")


@story
async def test_a_trade_by_hand_that_nobody_heard_is_named_though_it_is_older_than_our_own_last_fact(life):
    from sleeves.orders import Order
    from sleeves.records import Cause
    from sleeves.recovery import reconcile

    await life.hears(3)
    await VirtualDriver.submit(life.venue, Order("hand-1", "", Place(MARKET, Side.BUY, MARKET.qty("0.2")), life.desk.books.now))
    for _ in range(3):
        await life.hears(tells=False)
    await life.hears(30)
    await life.buys()
    await life.hears(3)
    assert life.sleeve.position(MARKET) == MARKET.base("0.1")
    (found,) = await reconcile(life.desk, life.venue)
    assert {one.cause for one in found.found} == {Cause.MANUAL_TRADE}
    life.desk.adopt(found.found[0], life.sleeve, by="ann", why="hers")
    assert life.sleeve.position(MARKET) == MARKET.base("0.3")
    await life.agrees()


class Slow(VirtualDriver):
    """A venue whose prices come some milliseconds apart, so that timers run beside it."""

    balances_say = None

    async def events(self):
        events = super().events()
        try:
            async for event in events:
                await anyio.sleep(0.002)
                yield event
        finally:
            await events.aclose()

    async def balances(self):
        if self.balances_say is not None:
            raise self.balances_say
        return await super().balances()


def beside(venue, tmp_path):
    vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(SQLite.open(tmp_path / "a.sleeves")), at=TAPE.at[0] - SECOND)
    desk = Desk(vault)
    puppet = Puppet(MARKET)
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="5000"))
    return desk


@both
def test_the_shell_reconciles_on_a_timer_and_makes_records_durable_that_no_command_waits_for(backend, tmp_path):
    from sleeves.facts import FlowKind
    from sleeves.records import Reconciled

    venue = Slow(TAPE.slice(0, 60), {"USD": USD("20000")}, name="sim")
    desk, waited = beside(venue, tmp_path), []
    venue.credit(USD("5"), FlowKind.REWARD)

    async def tell():
        async def watch():
            while True:
                await anyio.sleep(0.03)
                waited.append(len(desk.books.journal) - desk.books.journal.waiting)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await trade(desk, venue, reconcile_every=0.02)
            tasks.cancel_scope.cancel()

    anyio.run(tell, backend=backend)
    looks = [record for record in desk.books.journal if isinstance(record, Reconciled)]
    assert len(looks) >= 2 and [one.amount for one in desk.books.residuals.values()] == [USD("5")]
    assert waited[0] < waited[-1], "marks and looks became durable while it ran"
    desk.books.journal.close()


@both
@pytest.mark.parametrize("error", [VenueUnavailable("503"), VaultError("a wallet cannot hold -1 USD")])
def test_a_look_that_fails_does_not_stop_the_run(backend, tmp_path, error, monkeypatch):
    """It is tried thrice more; then a human is told, and no new risk is taken until one comes through."""
    monkeypatch.setattr(recovery, "RETRY_AFTER", (0.001, 0.001, 0.001))
    venue = Slow(TAPE.slice(0, 30), {"USD": USD("20000")}, name="sim")
    desk = beside(venue, tmp_path)
    venue.balances_say = error

    async def tell():
        await trade(desk, venue, reconcile_every=0.01)

    anyio.run(tell, backend=backend)
    codes = {record.code for record in desk.books.journal if isinstance(record, Alert)}
    assert codes == {"sync_failed"} and desk.venue_status("sim") is Status.IMPAIRED
    desk.books.journal.close()


@both
def test_a_journal_that_fails_ends_the_run_at_once(backend, tmp_path):
    venue = Slow(TAPE.slice(0, 60), {"USD": USD("20000")}, name="sim")
    desk = beside(venue, tmp_path)
    journal = desk.books.journal

    async def tell():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            with pytest.raises(JournalError, match="open it again"):
                await trade(desk, venue, reconcile_every=0.01)
            tasks.cancel_scope.cancel()

    async def fail():
        await anyio.sleep(0.05)
        journal._fail(OSError("disk I/O error"))

    anyio.run(tell, backend=backend)
    journal.close()


@both
def test_a_run_that_is_canceled_leaves_a_journal_that_opens(backend, tmp_path):
    venue = Slow(TAPE, {"USD": USD("20000")}, name="sim")
    desk = beside(venue, tmp_path)

    async def tell():
        with anyio.move_on_after(0.1):
            await trade(desk, venue, reconcile_every=0.01)

    anyio.run(tell, backend=backend)
    count = len(desk.books.journal)
    assert desk.books.journal.waiting == 0
    desk.books.journal.close()
    with SQLite.open(tmp_path / "a.sleeves") as journal:
        assert len(journal) == count
