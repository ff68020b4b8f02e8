"""The desk: orders are held and journaled before they leave, facts are booked once, faults stay where they happen."""

from __future__ import annotations

import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, carry, fill, new_desk
from sleeves import BTC, ETH, FLASH, QUIET, USD, Allowance, Asset, Cancel, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import InvalidAmount, InvalidMarket, NotEnough, VaultError
from sleeves.ledger import Entry, EntryKind
from sleeves.market import HOUR, Quote
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, CancelOrder, OrderStatus, Rejected
from sleeves.records import Alert, Marked, OrderUpdate, Placed
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
    cells[key] += 1
    proof = desk.check(deep=True)
    assert {finding.law for finding in proof.findings if not finding.holds} >= {1, 2, 5, 8}
    with pytest.raises(Exception, match="BROKEN"):
        proof.require()
    cells[key] -= 1
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


def test_a_perpetual_is_refused_and_not_booked_as_spot():
    from sleeves.market import Kind

    desk, *_ = new_desk(QUIET)
    with pytest.raises(InvalidMarket, match="spot only"):
        desk.index(Instrument("BTC-PERP", base=BTC, quote=USD, kind=Kind.PERP))


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
    desk.restart(sleeve)
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
