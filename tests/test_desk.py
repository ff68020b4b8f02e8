"""The desk: orders are held and journaled before they leave, facts are booked once, faults stay where they happen."""

from __future__ import annotations

import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, carry, fill, new_desk
from sleeves import BTC, ETH, FLASH, QUIET, USD, Allowance, Asset, Books, Cancel, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import InvalidAmount, InvalidMarket, JournalError, LedgerError, NotEnough, VaultError, WrongStatus
from sleeves.gates import Cooldown
from sleeves.journal import Memory
from sleeves.ledger import Entry, EntryKind
from sleeves.market import DAY, HOUR, Quote
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, CancelOrder, Fill, OrderStatus, Rejected
from sleeves.records import Alert, Marked, OrderUpdate, Placed, Refusal
from sleeves.report import Report
from sleeves.status import Status


def kinds(vault):
    return [type(r).__name__ if not isinstance(r, Entry) else str(r.kind) for r in vault.books.journal]


def test_an_order_is_held_and_journaled_before_it_leaves():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    command = puppet.buy("0.01")
    assert command.order.id == "a-1"
    assert kinds(vault)[-2:] == ["Placed", "hold"]
    cost = BTCUSD.notional(command.order.worst, BTCUSD.qty("0.01"), Rounding.CEIL)
    assert sleeve.held == cost + cost.portion(4_000, 1_000_000, Rounding.CEIL) + USD("0.0001"), "its cost, its fee, and room for roundings"
    assert puppet.buy("0.01").order.id == "a-2"


def test_a_market_buy_carries_the_worst_price_that_its_hold_covers():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    assert puppet.buy("0.01", price="10000").order.worst == BTCUSD.price("10050")
    assert puppet.buy("0.01", limit=BTCUSD.price("9000")).order.worst == BTCUSD.price("9000")
    carry(desk, puppet.buy("0.01"))
    assert puppet.sell("0.01").order.worst is None


def test_a_fill_at_the_worst_price_with_the_highest_fee_never_touches_free_money():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    command = puppet.buy("0.01234567")
    free = sleeve.free
    cost = BTCUSD.cost(command.order.worst, command.order.place.qty, Rounding.CEIL)
    fee = USD.units(-(-cost * 4_000 // 1_000_000))
    desk.step(fill(command.order, price=BTCUSD.price_text(command.order.worst), fee=fee))
    assert sleeve.free >= free
    assert sleeve.held == USD("0")


def test_a_fill_comes_once_however_often_it_is_told():
    desk, vault, sleeve, puppet = new_desk(FLASH)
    order = puppet.buy("0.01").order
    fact = fill(order)
    desk.step(fact)
    before = list(vault.books.journal)
    for _ in range(3):
        assert not desk.step(fact)
    assert list(vault.books.journal) == before
    assert sleeve.position(BTCUSD) == BTC("0.01")


def test_the_same_fill_with_other_content_is_not_booked_and_says_so():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01").order
    desk.step(fill(order, trade="t"))
    balance = sleeve.balance
    desk.step(evolve(fill(order, trade="t"), cost=1))
    assert sleeve.balance == balance
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["fill_conflict"]


@pytest.mark.parametrize("change", [{"order_id": "a-99"}, {"order_id": "foreign"}, {"side": Side.SELL}])
def test_a_fill_that_is_not_ours_is_never_guessed_into_a_sleeve(change):
    desk, vault, sleeve, puppet = new_desk(QUIET)
    fact = evolve(fill(puppet.buy("0.01").order), **change)
    balance = sleeve.balance
    desk.step(fact)
    assert sleeve.balance == balance
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["fill_unattributed"]


def test_pieces_use_up_the_hold_and_the_last_one_frees_the_rest():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01", limit=BTCUSD.price("10000")).order
    held = sleeve.held
    desk.step(fill(order, qty="0.004", trade="1"))
    assert USD("0") < sleeve.held < held
    desk.step(fill(order, qty="0.006", trade="2"))
    assert sleeve.held == USD("0")
    assert sleeve.deployed == USD("100")
    assert sleeve.free + sleeve.deployed + sleeve.fees == USD("5000")


def test_a_cancel_frees_the_hold_and_a_late_fill_is_still_booked():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01").order
    desk.step(Canceled(order.id, order.at + 1, "user"))
    assert sleeve.free == USD("5000")
    desk.step(fill(order))
    assert sleeve.position(BTCUSD) == BTC("0.01")
    assert desk.check(deep=True).holds


def test_a_fact_that_overdraws_is_booked_and_stops_new_risk_until_it_is_made_good():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    first = puppet.buy("0.09").order
    desk.step(Canceled(first.id, first.at + 1))
    carry(desk, puppet.buy("0.09"))
    desk.step(fill(first, price="10000"))

    assert sleeve.free < USD("0")
    assert sleeve.status is Status.CLOSE_ONLY
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["overdrawn"]
    assert puppet.buy("0.001").reason == "status"
    with pytest.raises(NotEnough, match="overdrawn"):
        sleeve.clear(by="ann", why="fine")
    vault.allocate(sleeve, "1000")
    carry(desk, puppet.sell("0.18"))
    with pytest.raises(VaultError, match="needs a reason"):
        sleeve.clear(by="ann", why="")
    sleeve.clear(by="ann", why="repaid")
    assert sleeve.status is Status.PAUSED
    sleeve.resume(by="ann")
    assert sleeve.status is Status.ACTIVE


def test_a_rejected_order_frees_its_hold_and_says_why():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01").order
    desk.step(Rejected(order.id, order.at, "no funds"))
    assert sleeve.free == USD("5000")
    update = [r for r in vault.books.journal if isinstance(r, OrderUpdate)][-1]
    assert (update.status, update.reason) == (OrderStatus.REJECTED, "no funds")


def test_events_about_unknown_or_done_orders_change_nothing():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    written = len(vault.books.journal)
    for event in (Canceled("a-1", 9), Rejected("a-1", 9, "x"), Accepted("a-1", 9), Canceled("zzz", 9), Accepted("zzz", 9)):
        assert not desk.step(event)
    assert len(vault.books.journal) == written


def test_an_engine_cancels_only_its_own_orders():
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    one, two = Puppet(), Puppet()
    one.sit(desk, vault.sleeve("one", QUIET, allocate="5000"))
    two.sit(desk, vault.sleeve("two", QUIET, allocate="5000"))
    order = one.buy("0.01", limit=BTCUSD.price("9000")).order
    assert two.wish(Cancel(order.id)) is None
    assert isinstance(one.wish(Cancel(order.id)), CancelOrder)


def test_what_is_no_event_is_refused():
    desk, *_ = new_desk(QUIET)
    with pytest.raises(TypeError, match="not an event"):
        desk.step("buy")


@pytest.mark.parametrize(("bid", "ask"), [(0, 1), (-1, 1), (2, 1), (0, 0)])
def test_a_quote_that_cannot_be_is_refused(bid, ask):
    with pytest.raises(InvalidMarket, match="0 < bid <= ask"):
        Quote(BTCUSD, 1, bid, ask)


def test_an_engine_that_raises_is_stopped_and_the_others_go_on():
    class Bomb(Puppet):
        name = "bomb"

        def decide(self, memory, view):
            raise RuntimeError("boom")

    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    bomb, sound = Bomb(), Puppet()
    bad = vault.sleeve("bad", QUIET, allocate="5000")
    bomb.sit(desk, bad)
    sound.sit(desk, vault.sleeve("good", QUIET, allocate="5000"))
    carry(desk, sound.buy("0.01"))
    assert bad.status is Status.CLOSE_ONLY
    assert [(name, str(error)) for name, error in desk.faults] == [("bad", "boom")]
    assert [r.text for r in vault.books.journal if isinstance(r, Alert)] == ["bomb: RuntimeError: boom"]


def test_an_engine_that_wishes_nonsense_is_stopped():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    puppet.wish("buy")
    assert sleeve.status is Status.CLOSE_ONLY
    assert isinstance(desk.faults[0][1], TypeError)


def test_a_generator_is_a_fine_decision():
    class Lazy(Puppet):
        def decide(self, memory, view):
            if self.wishes:
                yield self.wishes.pop()

    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk, lazy = Desk(vault), Lazy()
    lazy.sit(desk, vault.sleeve("a", QUIET, allocate="5000"))
    carry(desk, lazy.buy("0.01"))


def test_a_desk_refuses_what_does_not_belong_to_it():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    with pytest.raises(VaultError, match="already has the engine puppet"):
        desk.assign(Puppet(), to=sleeve)
    stranger = CoreVault(USD, total="10", tradeable="10").sleeve("b", QUIET)
    with pytest.raises(VaultError, match="not in a vault of this desk"):
        desk.assign(Puppet(), to=stranger)
    with pytest.raises(VaultError, match="at least one core vault"):
        Desk()
    with pytest.raises(VaultError, match="other terms"):
        desk.index(Instrument("BTC/USD", base=ETH, quote=USD))


def test_an_asset_cannot_change_its_scale():
    from sleeves.errors import AssetMismatch

    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01").order
    with pytest.raises(AssetMismatch, match="counted here"):
        desk.step(fill(order, fee=Asset("USD", 2)("0.25")))


def test_holdings_are_marked_on_a_cadence_and_no_price_is_journaled_otherwise():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for _ in range(100):
        puppet.quote(after=HOUR // 10)
    marks = [r for r in vault.books.journal if isinstance(r, Marked)]
    assert 10 <= len(marks) <= 12


def test_explain_adds_up_to_the_unit_and_points_at_its_records():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.02", price="11000"))
    desk.mark(desk.books.now)
    middle = desk.books.now + 1
    puppet.quote("12000", after=HOUR)
    carry(desk, puppet.sell("0.03", price="12000"))
    desk.mark(desk.books.now + 1)

    whole = desk.explain(flash)
    assert whole.exact
    causes = {line.cause: line for line in whole.lines}
    assert set(causes) == {"allocated", "realized BTC/USD", "fees BTC/USD", "swept to Tradeable"}
    assert causes["swept to Tradeable"].amount == -flash.returned
    records = list(vault.books.journal)
    for line in whole.lines:
        for number in line.records:
            assert isinstance(records[number - 1], Entry)
    first, second = desk.explain(flash, until=middle), desk.explain(flash, since=middle)
    assert first.exact
    assert second.exact
    assert first.end == second.start
    assert "unrealized" in {line.cause for line in first.lines}
    assert "adds up to the unit" in str(whole)


def test_explain_is_unknown_where_a_price_is_missing():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.05"))
    story = desk.explain(sleeve, until=1)
    assert story.end == USD("0") or story.end is not None
    assert not desk.explain(sleeve, since=10**30).lines


def test_the_proof_names_what_is_broken():
    """Break the ledger behind its back: each law says so."""
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.05"))
    assert desk.check(deep=True).holds
    cells = vault.books.ledger._cells
    key = next(cell for cell in cells if cell[0].role == "free" and cell[1] == "USD" and cell[0].owner == "a")
    cells[key].units += 1
    proof = desk.check(deep=True)
    assert {finding.law for finding in proof.findings if not finding.holds} >= {1, 2, 5, 8}
    with pytest.raises(Exception, match="BROKEN"):
        proof.require()
    cells[key].units -= 1
    assert desk.check({"USD": vault.coins, "BTC": BTC("0.05")}).holds
    off = desk.check({"USD": vault.coins + USD("0.000001"), "BTC": BTC("0.05")})
    assert [f.law for f in off.findings if not f.holds] == [6]


def test_the_engine_vault_shows_what_the_seed_asks_for():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    puppet.quote("11000")
    engine = desk.engines["a"]
    assert (engine.engine, engine.allocated, engine.available) == ("puppet", USD("1000"), sleeve.free)
    assert engine.unrealized(desk.marks()) == USD("50")
    assert engine.realized == USD("0")
    assert engine.status is Status.ACTIVE
    assert "puppet on a" in repr(engine)


@pytest.mark.parametrize("make", [lambda: Allowance(-1), lambda: Allowance.of(fee="100%"), lambda: Allowance.of(slippage=0.5)])
def test_an_allowance_that_cannot_be_is_refused(make):
    with pytest.raises(InvalidAmount):
        make()


def test_orders_are_journaled_with_everything_needed_to_send_them_again():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    command = puppet.buy("0.01", limit=BTCUSD.price("9000"), post_only=True)
    (placed,) = [r for r in vault.books.journal if isinstance(r, Placed)]
    assert placed.order is command.order
    assert placed.order.place == Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"), limit=BTCUSD.price("9000"), post_only=True)
    hold = [r for r in vault.books.journal if isinstance(r, Entry) and r.kind is EntryKind.HOLD][-1]
    assert hold.ref == placed.order.id


def test_an_engine_with_its_own_terms_for_a_known_symbol_is_stopped_and_orders_nothing():
    """A finer tick under the same symbol would hold a hundredth of the cost."""
    desk, vault, sleeve, puppet = new_desk(QUIET)
    fake = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.0001", lot="0.00000001")
    assert puppet.wish(Place(fake, Side.BUY, fake.qty("1"))) is None
    assert sleeve.status is Status.CLOSE_ONLY
    assert sleeve.free == USD("5000")
    assert "other terms" in desk.engines["a"].idle_reason or desk.faults


def test_what_facts_have_oversold_can_be_bought_back_while_close_only():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    order = puppet.sell("0.1").order
    desk.step(fill(order, qty="0.15", price="10000"))
    assert sleeve.free_units(BTC) == -BTC("0.05").units
    assert sleeve.status is Status.CLOSE_ONLY
    assert puppet.buy("0.05000001").reason == "status", "more than was oversold is new risk"
    carry(desk, puppet.buy("0.05"))
    assert sleeve.is_flat()
    sleeve.clear(by="ann", why="bought back")
    assert sleeve.status is Status.PAUSED


def test_an_overdrawn_sleeve_gets_an_allocation_at_once():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    first = puppet.buy("0.09").order
    desk.step(Canceled(first.id, first.at + 1))
    carry(desk, puppet.buy("0.09"))
    desk.step(fill(first, price="10000"))
    vault.allocate(sleeve, "1000")
    assert sleeve.pending == USD("0")
    assert sleeve.free > USD("0")


def test_a_pause_at_the_desk_cancels_resting_buys_and_leaves_sales():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    buy = puppet.buy("0.01", limit=BTCUSD.price("9000")).order
    puppet.sell("0.01", limit=BTCUSD.price("20000"))
    assert [c.order.id for c in desk.pause(sleeve, by="ann")] == [buy.id]
    assert sleeve.status is Status.PAUSED
    sleeve.resume(by="ann")
    assert [c.order.id for c in desk.pause(vault, by="ann")] == [buy.id]


def test_flattening_is_given_up_after_some_tries_and_says_so():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    commands, sent = desk.kill(sleeve, flatten=True, by="ann"), 0
    while commands:
        sent += 1
        commands = desk.step(Canceled(commands[0].order.id, desk.books.now, "no market"))
    assert sent == 5
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["residual"]


def test_a_rejected_exit_in_one_market_does_not_stop_the_other():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    ether = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001")
    desk.quote(desk.index(ether), puppet.now, 10_000, 10_000)
    carry(desk, puppet.wish(Place(ether, Side.BUY, ether.qty("1"))))
    carry(desk, puppet.buy("0.01"))
    one, two = desk.kill(sleeve, flatten=True, by="ann")
    assert not desk.step(Rejected(one.order.id, desk.books.now, "no"))
    (again,) = desk.step(Canceled(two.order.id, desk.books.now, "later"))
    assert again.order.place.instrument == two.order.place.instrument


def test_an_engine_that_raised_gets_another_start_when_told_to():
    class Flaky(Puppet):
        def decide(self, memory, view):
            if self.wishes:
                raise RuntimeError("once")
            self.asked = True

    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk, flaky = Desk(vault), Flaky()
    sleeve = vault.sleeve("a", QUIET, allocate="5000")
    flaky.sit(desk, sleeve)
    flaky.wishes = [1]
    flaky.quote()
    assert "RuntimeError" in desk.engines["a"].idle_reason
    flaky.wishes, flaky.asked = [], False
    sleeve.clear(by="ann", why="mended")
    sleeve.resume(by="ann")
    flaky.quote()
    assert not flaky.asked
    desk.restart(sleeve, by="ann", why="mended")
    flaky.quote()
    assert flaky.asked
    assert desk.engines["a"].idle_reason == ""


def test_a_gate_that_answers_nonsense_refuses():
    desk, vault, sleeve, puppet = new_desk(QUIET, gates=[lambda place, view, vault: False])
    assert puppet.buy("0.01").reason == "gate_error"


def test_marks_age_with_every_price_of_any_market():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    other = Instrument("ETH/USD", base=ETH, quote=USD)
    carry(desk, puppet.buy("0.01"))
    seen = desk.marks()["BTC/USD"].at
    desk.quote(desk.index(other), seen + 90 * 1_000_000_000, 10_000, 10_000)
    (btc,) = [h for h in desk.inventory().holdings if h.amount.asset == BTC]
    assert btc.age_ns == 90 * 1_000_000_000


def test_windows_join_even_where_a_fact_is_told_late():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.01").order
    late = order.at
    desk.mark(late + HOUR)
    desk.step(fill(order, at=late + 1))
    desk.mark(late + 2 * HOUR)
    for bound in (late, late + 1, late + 2, late + HOUR, late + HOUR + 1):
        first, second = desk.explain(sleeve, until=bound), desk.explain(sleeve, since=bound)
        assert first.exact
        assert second.exact
        assert first.end == second.start


def test_two_desks_cannot_drive_one_set_of_books():
    desk, vault, *_ = new_desk(QUIET)
    with pytest.raises(VaultError, match="have a desk already"):
        Desk(vault)


# -- a position below zero: facts have sold more than was owned ----------------------------------------------------------


def oversold(policy=QUIET, qty="0.15", **words):
    """A sleeve that bought 0.1 and was told that it sold more."""
    desk, vault, sleeve, puppet = new_desk(policy, **words)
    carry(desk, puppet.buy("0.1"))
    desk.step(fill(puppet.sell("0.1").order, qty=qty, price="12000"))
    return desk, vault, sleeve, puppet


def test_buys_that_close_what_was_oversold_count_together():
    desk, vault, sleeve, puppet = oversold()
    first = puppet.buy("0.03").order
    assert puppet.buy("0.03").reason == "status", "0.06 would open new risk"
    second = puppet.buy("0.02").order
    desk.step(fill(first))
    desk.step(fill(second))
    assert sleeve.is_flat()


def test_the_order_that_closes_what_was_oversold_is_spared_and_no_other():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    resting = puppet.buy("0.2", limit=BTCUSD.price("9000")).order
    (cancel,) = desk.step(fill(puppet.sell("0.1").order, qty="0.15", price="12000"))
    assert cancel.order is resting, "it would open more than was oversold"
    desk.step(Canceled(resting.id, desk.books.now))
    cure = puppet.buy("0.05").order
    assert not desk.step(fill(cure, qty="0.02", trade="1"))
    assert not desk.pause(sleeve, by="ann")
    desk.step(fill(cure, qty="0.03", trade="2"))
    assert sleeve.is_flat()


def test_a_full_close_by_buying_back_sweeps_and_ends_the_round_trip():
    desk, vault, flash, puppet = oversold(FLASH)
    carry(desk, puppet.buy("0.05", price="11000"))
    assert flash.is_flat()
    assert flash.returned > USD("0")
    assert flash.balance == flash.allocation
    (trade,) = Report(desk).story.sleeves["a"].trades
    assert trade.fills == 3


def test_a_full_close_that_overdraws_another_coin_still_sweeps_and_lands():
    desk, vault, flash, puppet = new_desk(FLASH)
    carry(desk, puppet.buy("0.1", price="10000"))
    vault.allocate(flash, "1000")
    third = Asset("BNB", 8)
    desk.step(fill(puppet.sell("0.1").order, price="12000", fee=third("0.001")))
    assert flash.status is Status.CLOSE_ONLY
    assert flash.pending == USD("0")
    assert flash.returned > USD("0")
    assert flash.balance == flash.allocation == USD("6000")


def test_an_overdrawn_sleeve_that_becomes_flat_gets_what_was_set_aside_for_it():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    late = puppet.buy("0.09").order
    desk.step(Canceled(late.id, late.at + 1))
    carry(desk, puppet.buy("0.09"))
    vault.allocate(sleeve, "500")
    assert sleeve.pending == USD("500")
    desk.step(fill(late, price="10000"))
    assert sleeve.free < USD("0")
    assert sleeve.status is Status.CLOSE_ONLY
    carry(desk, puppet.sell("0.18", price="3000"))
    assert sleeve.is_flat()
    assert (sleeve.pending, sleeve.allocation) == (USD("0"), USD("1500"))


def test_a_rest_after_a_sale_does_not_depend_on_the_order_in_which_sales_are_told():
    for turn in (1, -1):
        desk, vault, sleeve, puppet = new_desk(QUIET, gates=[Cooldown(HOUR)])
        carry(desk, puppet.buy("0.1"))
        early, late = puppet.sell("0.05").order, puppet.sell("0.05").order
        puppet.now += HOUR
        for fact in [fill(early, price="10000"), fill(late, price="10000", at=puppet.now)][::turn]:
            desk.step(fact)
        puppet.now += HOUR // 2
        assert puppet.buy("0.01").reason == "cooldown"


# -- the journal fails once ----------------------------------------------------------------------------------------------


class FailsOnAlert(Memory):
    """A journal that cannot keep the next alert."""

    def append(self, *records):
        if any(isinstance(record, Alert) for record in records):
            self.append = super().append
            raise JournalError("disk full")
        super().append(*records)


def test_a_fact_whose_alert_cannot_be_written_is_not_booked_and_then_booked_once():
    books = Books(FailsOnAlert())
    desk, vault, sleeve, puppet = new_desk(QUIET, books=books)
    fact = fill(puppet.buy("0.1").order, qty="0.11")
    with pytest.raises(JournalError):
        desk.step(fact)
    assert sleeve.position(BTCUSD) == BTC("0")
    desk.step(fact)
    desk.step(fact)
    assert sleeve.position(BTCUSD) == BTC("0.11")
    assert desk.check(deep=True).holds


def test_a_sleeve_is_never_overdrawn_and_active():
    books = Books(FailsOnAlert())
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000", books=books)
    first = puppet.buy("0.09").order
    desk.step(Canceled(first.id, first.at + 1))
    carry(desk, puppet.buy("0.09"))
    with pytest.raises(JournalError):
        desk.step(fill(first))
    assert (sleeve.status, sleeve.free > USD("0")) == (Status.ACTIVE, True)
    desk.step(fill(first))
    assert (sleeve.status, sleeve.free < USD("0")) == (Status.CLOSE_ONLY, True)
    assert desk.check(deep=True).holds


# -- a human's commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["pause", "kill", "revive"])
def test_a_desk_commands_only_its_own(command):
    desk, vault, mine, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    puppet.buy("0.1", limit=BTCUSD.price("9000"))
    _, other_vault, other, _ = new_desk(QUIET)
    words = {"kill": {"flatten": True}, "revive": {"why": "again"}}.get(command, {})
    for target in (other, other_vault, "a", None):
        with pytest.raises(VaultError, match="not a vault or a sleeve of this desk"):
            getattr(desk, command)(target, by="ann", **words)
    assert other.status is Status.ACTIVE
    (order,) = desk.open_orders()
    assert not desk.step(Canceled(order.id, desk.books.now)), "nothing is sold"
    assert mine.status is Status.ACTIVE


@pytest.mark.parametrize("by", ["", "  ", None, 7])
def test_a_command_names_who_gave_it(by):
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    written = len(vault.books.journal)
    for command in (
        lambda: desk.kill(sleeve, flatten=True, by=by),
        lambda: desk.pause(vault, by=by),
        lambda: desk.restart(sleeve, by=by),
        lambda: sleeve.pause(by=by),
        lambda: vault.set_reserve("5%", by=by),
    ):
        with pytest.raises(LedgerError, match="who did it"):
            command()
    assert len(vault.books.journal) == written
    assert (sleeve.status, vault.reserve) == (Status.ACTIVE, USD("0"))


def test_a_killed_sleeve_is_revived_and_not_restarted():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    resting = puppet.buy("0.01", limit=BTCUSD.price("9000")).order
    desk.kill(sleeve, flatten=True, by="ann")
    with pytest.raises(WrongStatus, match="revive"):
        desk.restart(sleeve, by="ann")
    (sale,) = desk.step(Canceled(resting.id, desk.books.now))
    assert sale.order.place.side is Side.SELL
    (cancel,) = desk.revive(sleeve, by="ann", why="changed my mind")
    assert cancel.order is sale.order
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["residual"]
    assert not desk.step(Canceled(sale.order.id, desk.books.now))
    assert sleeve.position(BTCUSD) == BTC("0.1")


def test_an_engine_that_cannot_begin_leaves_everything_as_it_was():
    class Once(Puppet):
        begun = False

        def begin(self):
            if self.begun:
                raise RuntimeError("no")
            self.begun = True

    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    one, two = (vault.sleeve(name, QUIET, allocate="1000") for name in ("a", "b"))
    Puppet().sit(desk, one)
    Once().sit(desk, two)
    desk.kill(vault, flatten=False, by="ann")
    written = len(vault.books.journal)
    with pytest.raises(RuntimeError):
        desk.revive(vault, by="ann", why="again")
    assert (vault.status, one.own_status, two.own_status) == (Status.HALTED,) * 3
    assert len(vault.books.journal) == written


def test_a_restart_is_written_down():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    desk.restart(sleeve, by="ann", why="new parameters")
    last = list(vault.books.journal)[-1]
    assert (last.by, last.what, last.after, last.why) == ("ann", "engine", "restarted", "new parameters")
    assert desk.check(deep=True).holds


def test_buys_of_an_engine_that_raised_are_canceled():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    resting = puppet.buy("0.1", limit=BTCUSD.price("9000")).order
    puppet.wishes = ["rubbish"]
    (cancel,) = puppet.quote()
    assert cancel.order is resting
    assert not puppet.quote()


def test_buys_are_canceled_while_coins_are_missing():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    resting = puppet.buy("0.1", limit=BTCUSD.price("9000")).order
    assert not desk.observe_balance(vault, "6000")
    (cancel,) = desk.observe_balance(vault, "1000")
    assert cancel.order is resting
    assert vault.suspense == USD("-4000")
    assert not desk.observe_balance(vault, "5000")


@pytest.mark.parametrize(
    "event",
    [
        lambda: Accepted("a-1", 1, b"7"),
        lambda: Canceled("a-1", 1, ValueError("x")),
        lambda: Rejected("a-1", float("nan"), "no"),
        lambda: Rejected(7, 1, "no"),
        lambda: Quote(BTCUSD, 1.5, 1, 1),
        lambda: Quote("BTC/USD", 1, 1, 1),
    ],
)
def test_what_could_not_be_written_down_is_no_event(event):
    with pytest.raises(InvalidMarket):
        event()


def test_a_command_at_no_time_is_refused():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    for at in (float("nan"), 1.5, "now", True):
        with pytest.raises(VaultError, match="whole number of nanoseconds"):
            vault.allocate(sleeve, "1", at=at)


def test_a_revival_that_cannot_be_written_down_has_not_happened():
    desk, vault, sleeve, puppet = new_desk(QUIET, books=Books(FailsOnAlert()))
    carry(desk, puppet.buy("0.1"))
    (sale,) = desk.kill(sleeve, flatten=True, by="ann")
    with pytest.raises(JournalError):
        desk.revive(sleeve, by="ann", why="again")
    assert sleeve.status is Status.HALTED
    desk.revive(sleeve, by="ann", why="again")
    sleeve.resume(by="ann")
    assert not desk.step(Canceled(sale.order.id, desk.books.now)), "nothing is sold"


def test_a_mistaken_revival_does_not_touch_the_engine():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    begun = []
    puppet.begin = lambda: begun.append(1)
    for target in (sleeve, vault):
        with pytest.raises(WrongStatus):
            desk.revive(target, by="ann", why="again")
    desk.kill(sleeve, flatten=False, by="ann")
    with pytest.raises(LedgerError, match="who did it"):
        desk.revive(sleeve, by="", why="again")
    assert not begun


def test_a_buy_that_only_closed_is_canceled_once_it_would_open():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    late = puppet.buy("0.2", limit=BTCUSD.price("9000")).order
    (cancel,) = desk.step(fill(puppet.sell("0.1").order, qty="0.15", price="12000"))
    assert cancel.order is late
    desk.step(Canceled(late.id, desk.books.now))
    closer = puppet.buy("0.05", limit=BTCUSD.price("9000")).order
    (cancel,) = desk.step(fill(late))
    assert sleeve.position(BTCUSD) == BTC("0.15")
    assert cancel.order is closer


def test_a_small_buy_that_was_ordered_to_open_does_not_stand_in_the_way_of_the_exit():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.1"))
    resting = puppet.buy("0.03", limit=BTCUSD.price("5000")).order
    (cancel,) = desk.step(fill(puppet.sell("0.1").order, qty="0.15", price="12000"))
    assert cancel.order is resting
    desk.step(Canceled(resting.id, desk.books.now))
    carry(desk, puppet.buy("0.05"))
    assert sleeve.is_flat()


def test_a_pause_of_the_sleeve_alone_leaves_its_buys_even_as_they_fill():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    resting = puppet.buy("0.1", limit=BTCUSD.price("9000")).order
    sleeve.pause(by="ann")
    assert not desk.step(fill(resting, qty="0.04"))


# -- marks -----------------------------------------------------------------------------------------------------------------


def test_holdings_are_valued_when_all_prices_of_an_instant_are_known():
    """Two markets that move together, told one after the other: no mark has one of them new and the other old."""
    other = Instrument("BTC/USD-B", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    desk, _, _, puppet = new_desk(QUIET)
    first, second = desk.index(BTCUSD), desk.index(other)
    for hour in range(1, 4):
        for index, market in ((first, BTCUSD), (second, other)):
            price = market.price(str(10_000 + 100 * hour))
            desk.quote(index, hour * HOUR, price, price)
    desk.mark(3 * HOUR)
    marks = [record for record in desk.books.journal if isinstance(record, Marked)][-3:]
    assert [mark.at for mark in marks] == [HOUR, 2 * HOUR, 3 * HOUR]
    for hour, mark in enumerate(marks, 1):
        assert {at for _, at in mark.prices.values()} == {hour * HOUR}


def test_a_mark_is_made_before_what_happens_later_is_booked():
    desk, _, sleeve, puppet = new_desk(QUIET)
    order = puppet.buy("0.1").order
    at = desk.books.now - desk.books.now % HOUR + HOUR
    units = BTCUSD.price("10000")
    desk.quote(puppet.index, at, units, units)
    before = len(desk.books.journal)
    desk.step(fill(order, price="10000", at=at + 1))
    kinds = [type(record) for record in list(desk.books.journal)[before:]]
    assert kinds[0] is Marked
    assert Fill in kinds
    assert sleeve.position(BTCUSD) == BTC("0.1")


# -- what a stranger handed in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gates", "says"),
    [
        ([Cooldown], "Cooldown is a class: hand in a gate"),
        (["cooldown"], "'cooldown' is no gate"),
        ([None], "None is no gate"),
        ("cooldown", "gates are a list of gates"),
        (Cooldown(1), "gates are a list of gates"),
    ],
)
def test_what_is_no_gate_is_refused_when_it_is_handed_in(gates, says):
    with pytest.raises(VaultError, match=says):
        new_desk(QUIET, gates=gates)


def test_telemetry_says_how_old_a_wish_and_a_refusal_are_and_why_an_engine_is_not_asked():
    desk, vault, _, puppet = new_desk(QUIET)
    puppet.buy("1")
    puppet.quote(after=2 * HOUR)
    assert "2 h ago: funds refused" in str(desk.telemetry("a"))
    idle = Puppet(Instrument("BTC/ETH", base=BTC, quote=ETH), "elsewhere")
    desk.assign(idle, to=vault.sleeve("b", QUIET))
    assert "idle: none of BTC/ETH is quoted in USD" in str(desk.telemetry("b"))


def test_an_engine_that_cannot_say_what_it_saw_stands_in_nobodys_way():
    class Mute(Puppet):
        def saw(self, memory):
            return 1 / 0

    desk, vault, _, _ = new_desk(QUIET)
    desk.assign(Mute(BTCUSD, "mute"), to=vault.sleeve("b", QUIET))
    assert desk.telemetry("b").saw == {"saw": "raised ZeroDivisionError: division by zero"}


def test_an_old_price_is_not_fresh_because_it_came_late():
    """A snapshot of yesterday, after prices of today: nobody buys on it, and no day begins anew."""
    desk, _, _, puppet = new_desk(QUIET)
    puppet.quote("10000", after=2 * DAY)
    now = desk.books.now
    units = BTCUSD.price("5000")
    puppet.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01"))]
    assert not desk.quote(puppet.index, now - DAY, units, units)
    (refused,) = [r for r in desk.books.journal if isinstance(r, Refusal)]
    assert (refused.at, refused.reason) == (now, "stale_price")
