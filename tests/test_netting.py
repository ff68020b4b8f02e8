"""Several sleeves on one position that the venue nets: whose exit, whose funding, whose loss, and what an order would do."""

from __future__ import annotations

from decimal import Decimal

import pytest

from helpers import Puppet
from sleeves import BTC, FLASH, QUIET, SOL, USDC, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import InvalidMarket, JournalError, NotEnough, VaultError
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from sleeves.gates import PriceAge
from sleeves.journal import Memory
from sleeves.ledger import EntryKind
from sleeves.margin import Weights
from sleeves.market import SECOND, FundingRate, Kind, Perpetual
from sleeves.money import Rounding
from sleeves.orders import Canceled, CancelOrder, Fill, Liquidity, Position, Rejected, SettlePnl, SubmitOrder, Transfer
from sleeves.records import Alert, Placed, Quarantined, Refusal
from sleeves.status import Status

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")


class House:
    """A vault with two sleeves, `a` and `b`, a puppet at each, and a venue that does what the test says."""

    def __init__(self, *, total="2000", allocate="1000", policies=(QUIET, QUIET), price="100", **terms):
        self.vault = CoreVault(USDC, total=total, tradeable=total)
        self.desk = Desk(self.vault, **terms)
        self.a, self.b = (self.vault.sleeve(n, p, allocate=allocate) for n, p in zip("ab", policies, strict=True))
        self.puppets = [Puppet(PERP), Puppet(PERP)]
        for puppet, sleeve in zip(self.puppets, (self.a, self.b), strict=True):
            puppet.price = price
            puppet.sit(self.desk, sleeve)
        self.facts = 0
        self.quote(price)

    def quote(self, price, **when):
        self.price = PERP.price(price)
        return list(self.puppets[0].quote(price, **when))

    def wish(self, sleeve, side, qty, price=None, **terms):
        puppet = self.puppets[0] if sleeve is self.a else self.puppets[1]
        for other in self.puppets:
            other.price = price or PERP.price_text(self.price)
        return puppet.wish(Place(PERP, side, PERP.qty(qty), **terms), price=price)

    def fill(self, command, *, qty=None, price=None, fee="0"):
        """The venue fills an order; what the desk answers."""
        order = command.order
        units = order.place.qty if qty is None else PERP.qty(qty)
        at = order.place.limit or (self.price if price is None else PERP.price(price))
        buy = order.place.side is Side.BUY
        cost = PERP.cost(at, units, Rounding.CEIL if buy else Rounding.FLOOR)
        self.facts += 1
        when = self.desk.books.now
        return list(
            self.desk.step(Fill(order.id, when, PERP, order.place.side, units, at, cost, USDC(fee), Liquidity.TAKER, f"t{self.facts}", "v"))
        )

    def trade(self, sleeve, side, qty, price=None, **terms):
        """An order and its fill at once."""
        command = self.wish(sleeve, side, qty, **terms)
        assert isinstance(command, SubmitOrder), command
        return self.fill(command, price=price)

    def alerts(self, code=None):
        return [r for r in self.desk.books.journal if isinstance(r, Alert) and code in (None, r.code)]

    def pays(self, rate="0.1%", *, qty=None, at=None, amount=None):
        held = sum(s.position_units(PERP) for s in (self.a, self.b)) if qty is None else qty
        paid = FundingRate.of(PERP, rate, price=self.price, at=self.desk.books.now if at is None else at)
        self.facts += 1
        fact = FundingPaid(paid, held, paid.payment(held) if amount is None else amount, f"f{self.facts}", "v")
        return self.desk.step(fact)

    def settles(self, amount):
        self.facts += 1
        return self.desk.step(Settled(self.desk.books.now, PERP, USDC(amount).units, f"s{self.facts}", "v"))


# -- slices ------------------------------------------------------------------------------------------------------------------


def test_each_sleeve_owns_a_slice_of_what_the_venue_nets():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.quote("110")
    h.trade(h.b, Side.SELL, "4")
    mine, theirs = h.a.slice(PERP), h.b.slice(PERP)
    assert (mine.qty, mine.entry, mine.margin) == (SOL("10"), 100, USDC("100"))
    assert (theirs.qty, theirs.entry, theirs.margin) == (-SOL("4"), 110, USDC("44"))
    assert mine.unrealized(PERP.mark("110", 0)) == USDC("100")
    position = Position(PERP, SOL("6").units, -USDC("1000").units + USDC("440").units)
    assert h.desk.check({"USDC": USDC("2000")}, positions={"SOL-PERP": position}).holds


@pytest.mark.parametrize(
    ("qty", "money", "what"),
    [("6.01", "-560", "slices sum to"), ("6", "-559.999999", "the money side of all slices")],
)
def test_a_position_that_is_not_the_sum_of_its_slices_is_found(qty, money, what):
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.quote("110")
    h.trade(h.b, Side.SELL, "4")
    position = Position(PERP, SOL(qty).units, USDC(money).units)
    (finding,) = [f for f in h.desk.check(positions={"SOL-PERP": position}).findings if not f.holds]
    assert finding.law == 9
    assert what in finding.breaches[0]


def test_an_exit_is_sized_to_its_owner_and_not_to_the_net():
    """The venue nets 10 long and 4 short to 6: the owner of the 10 may close 10, and not a lot more."""
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.SELL, "4")
    refused = h.wish(h.a, Side.SELL, "10.01", reduce_only=True)
    assert isinstance(refused, Refusal)
    assert refused.reason == "position"
    command = h.wish(h.a, Side.SELL, "10", reduce_only=True)
    assert command.order.netted
    assert not command.order.reduce_only
    assert command.order.place.reduce_only
    h.fill(command)
    assert (h.a.position(PERP), h.b.position(PERP)) == (SOL.zero, -SOL("4"))


def test_where_nobody_else_could_trade_the_position_the_venue_is_told_reduce_only():
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk, puppet = Desk(vault), Puppet(PERP)
    puppet.price = "100"
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="1000"))
    puppet.quote()
    order = puppet.buy("10", limit=PERP.price("100")).order
    cost = USDC("1000").units
    desk.step(Fill(order.id, desk.books.now, PERP, Side.BUY, order.place.qty, 10_000, cost, USDC("0"), Liquidity.TAKER, "t", "v"))
    exit_ = puppet.sell("10", reduce_only=True).order
    assert not exit_.netted
    assert exit_.reduce_only


def test_where_another_engine_watches_the_market_an_exit_does_not_rely_on_the_venue():
    """A stop that is alone today would be cut by the venue when the other sleeve hedges tomorrow."""
    h = House()
    h.trade(h.a, Side.BUY, "10")
    assert h.wish(h.a, Side.SELL, "10", stop=PERP.price("95"), reduce_only=True).order.netted


def test_another_sleeves_open_order_makes_a_position_shared():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.wish(h.b, Side.SELL, "1", limit=PERP.price("120"))
    assert h.wish(h.a, Side.SELL, "10", reduce_only=True).order.netted


def test_open_exits_count_toward_what_can_still_be_closed():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    first = h.wish(h.a, Side.SELL, "6", limit=PERP.price("120"), reduce_only=True)
    assert h.wish(h.a, Side.SELL, "4.01", limit=PERP.price("120"), reduce_only=True).reason == "position"
    h.fill(first, qty="5")
    second = h.wish(h.a, Side.SELL, "4", limit=PERP.price("120"), reduce_only=True)
    assert isinstance(second, SubmitOrder)


def test_one_sleeves_stop_does_not_close_anothers_position():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.BUY, "10")
    command = h.wish(h.a, Side.SELL, "10", reduce_only=True)
    h.fill(command, price="90")
    assert h.b.position(PERP) == SOL("10")
    assert h.b.realized == USDC.zero


# -- what an order needs -----------------------------------------------------------------------------------------------------


def test_opening_holds_margin_and_fee_and_closing_holds_nothing():
    h = House()
    command = h.wish(h.a, Side.BUY, "10", limit=PERP.price("100"))
    assert h.a.held == USDC("104.0001")  # 10% of 1,000, 0.4% of it, a ten-thousandth for roundings
    h.fill(command)
    assert (h.a.held, h.a.margin, h.a.free) == (USDC.zero, USDC("100"), USDC("900"))
    h.wish(h.a, Side.SELL, "10", reduce_only=True)
    assert h.a.held == USDC.zero


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("most", "qty", "passes"), [(10, "95", True), (10, "101", False), (5, "50", True), (5, "50.01", False)])
def test_leverage_is_capped_on_what_would_result(side, most, qty, passes):
    """Reference P4: above 10x paper, 5x live, is rejected; with the whole sleeve's equity behind it."""
    h = House(most_leverage=most)
    answer = h.wish(h.a, side, qty, limit=PERP.price("100"))
    assert isinstance(answer, SubmitOrder) is passes, answer


def test_stacked_orders_do_not_pass_the_cap():
    h = House(most_leverage=5)
    sent = 0
    for _ in range(20):
        sent += isinstance(h.wish(h.a, Side.SELL, "9", limit=PERP.price("110")), SubmitOrder)
    assert sent == 5


def test_losses_that_are_not_settled_are_no_money_for_an_order():
    h = House()
    h.trade(h.a, Side.BUY, "50")
    h.quote("90")
    view = h.desk._seats["a"].view
    assert view.free() == USDC("0").units  # 1,000 less 500 of margin and 500 lost
    assert h.wish(h.a, Side.BUY, "1").reason == "funds"
    h.quote("100")
    assert view.free() == USDC("500").units
    h.quote("120")
    assert view.free() == USDC("500").units  # what is won counts when it is settled


def test_an_order_that_the_account_as_a_whole_could_not_carry_is_refused():
    """Size premium: two sleeves that could each carry theirs alone cannot carry both."""
    market = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP, contract=Perpetual(imf=20_000))
    vault = CoreVault(USDC, total="2000", tradeable="2000")
    desk = Desk(vault)
    sleeves = [vault.sleeve(n, QUIET, allocate="1000") for n in "ab"]
    answers = []
    for sleeve in sleeves:
        puppet = Puppet(market)
        puppet.price = "100"
        puppet.sit(desk, sleeve)
        puppet.quote()
        answers.append(puppet.buy("45", limit=market.price("100")))
    assert isinstance(answers[0], SubmitOrder)
    assert answers[1].reason == "joint_margin"


@pytest.mark.parametrize("gone", [0, 61])
def test_a_stale_or_unseen_price_refuses_with_a_reason(gone):
    h = House()
    view, vault = h.desk._seats["a"].view, h.desk.engines["a"]
    view.now = h.desk.books.now + gone * SECOND
    refusal = PriceAge()(Place(PERP, Side.BUY, 1), view, vault)
    assert (refusal is None) is (gone == 0)
    other = Instrument("BTC-PERP", base=SOL, quote=USDC, kind=Kind.PERP)
    assert PriceAge()(Place(other, Side.BUY, 1), view, vault).reason == "no_price"
    from sleeves.gates import margin

    assert margin(Place(other, Side.BUY, 1), view, vault).reason == "stale_price"


@pytest.mark.parametrize(("gone", "known"), [(60, True), (61, False)])
def test_nothing_is_opened_nor_withdrawn_on_a_stale_price_of_another_contract(gone, known):
    """A sleeve has contracts in one market, whose feed stops, and orders in another one."""
    h = House(total="3000")
    other = Instrument("BTC-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    h.trade(h.a, Side.BUY, "10")
    index, now = h.desk.index(other), h.desk.books.now
    for step in (gone - 1, gone):
        h.desk.quote(index, now + step * SECOND, other.price("100"), other.price("100"))
    answer = h.desk.order(h.a, Place(other, Side.BUY, SOL("1").units), by="ann")
    assert isinstance(answer, list) is known
    assert known or answer.reason == "stale_price"
    if not known:
        with pytest.raises(VaultError, match="no fresh price"):
            h.desk.withdraw(h.vault, "1", by="ann")
        with pytest.raises(VaultError, match="no fresh price"):
            h.desk.exposure(h.vault)


def test_a_price_is_as_fresh_as_its_feed_is_slow():
    """Bars of an hour: a price is not stale before two of them are missing."""
    from sleeves.market import HOUR, Book

    book = Book(PERP, 0)
    book.before, book.at, book.bid = HOUR, 2 * HOUR, 1
    assert not book.stale(4 * HOUR)
    assert book.stale(4 * HOUR + 1)
    assert book.stale(2 * HOUR - 1)
    book.before = book.at
    assert not book.stale(book.at + 60 * SECOND)
    assert book.stale(book.at + 60 * SECOND + 1)


@pytest.mark.parametrize("bad", [0, -5])
def test_a_price_that_cannot_be_moves_nothing(bad):
    h = House()
    h.trade(h.a, Side.BUY, "90")
    written = len(h.desk.books.journal)
    assert list(h.desk.quote(h.puppets[0].index, h.desk.books.now + SECOND, bad, bad)) == []
    assert len(h.desk.books.journal) == written
    assert h.desk.order(h.a, Place(PERP, Side.BUY, SOL("1").units), by="ann").reason in ("no_price", "funds")
    with pytest.raises(VaultError, match="no fresh price"):
        h.desk.exposure(h.vault)


# -- by hand -----------------------------------------------------------------------------------------------------------------


def test_a_position_is_closed_by_hand_with_its_exact_size_reduce_only_and_then_settled():
    """Reference P15 and P16."""
    h = House()
    h.trade(h.a, Side.SELL, "7.5")
    (command,) = h.desk.close(h.a, PERP, by="ann")
    place = command.order.place
    assert (place.side, place.qty, place.reduce_only) == (Side.BUY, SOL("7.5").units, True)
    with pytest.raises(NotEnough, match="nothing of it left to close"):
        h.desk.close(h.a, PERP, by="ann")
    answer = h.fill(command, price="90")
    assert answer == [SettlePnl(PERP)]
    with pytest.raises(NotEnough):
        h.desk.close(h.a, PERP, by="ann")


@pytest.mark.parametrize(("price", "settles"), [("100.1", False), ("100.11", True), ("99.9", False), ("99.89", True)])
def test_what_is_unsettled_is_settled_on_close_beyond_one_coin(price, settles):
    """Reference P16, both sides and both signs: ten contracts, so 1.00 and 1.10."""
    h = House()
    h.trade(h.a, Side.BUY, "10")
    command = h.wish(h.a, Side.SELL, "10", reduce_only=True)
    assert bool(h.fill(command, price=price)) is settles


def test_an_order_by_hand_passes_the_same_gates():
    h = House()
    refusal = h.desk.order(h.a, Place(PERP, Side.BUY, SOL("200").units), by="ann")
    assert isinstance(refusal, Refusal)
    assert refusal in list(h.desk.books.journal)
    (command,) = h.desk.order(h.a, Place(PERP, Side.BUY, SOL("1").units), by="ann")
    (hold,) = [r for r in h.desk.books.journal if getattr(r, "kind", None) is EntryKind.HOLD]
    assert (hold.by, hold.ref) == ("ann", command.order.id)
    h.desk.kill(h.a, flatten=False, by="ann")
    with pytest.raises(VaultError, match="halted"):
        h.desk.order(h.a, Place(PERP, Side.BUY, SOL("1").units), by="ann")


def test_what_is_asked_of_the_wrong_kind_says_which_kind_it_wants():
    h = House()
    place = Place(PERP, Side.BUY, 10**7)
    for wrong, what in (
        (lambda: h.desk.close("a", PERP, by="ann"), "no sleeve with an engine"),
        (lambda: h.desk.close(h.a, "SOL-PERP", by="ann"), "in an Instrument"),
        (lambda: h.desk.what_if(place, h.vault), "a Place and a Sleeve"),
        (lambda: h.desk.what_if(h.a, h.a), "a Place and a Sleeve"),
        (lambda: h.desk.exposure(h.a), "no core vault"),
        (lambda: h.desk.withdraw(h.a, "1", by="ann"), "no core vault"),
        (lambda: h.desk.deposit(h.a, "1"), "no core vault"),
        (lambda: h.desk.withdraw(h.vault, "0", by="ann"), "must be positive"),
        (lambda: h.desk.withdraw(h.vault, "-1", by="ann"), "must be positive"),
    ):
        with pytest.raises(VaultError, match=what):
            wrong()
    with pytest.raises(InvalidMarket, match="no perpetual"):
        h.desk.settle("SOL-PERP")


def test_only_a_perpetual_is_settled():
    h = House()
    assert h.desk.settle(PERP) == [SettlePnl(PERP)]
    with pytest.raises(InvalidMarket):
        h.desk.settle(SPOT)


# -- funding -----------------------------------------------------------------------------------------------------------------


def test_funding_goes_to_the_owner_of_each_slice_and_sums_to_what_the_venue_paid():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.SELL, "4")
    h.pays("0.1%")
    assert (h.a.funding, h.b.funding) == (-USDC("1"), USDC("0.4"))
    assert (h.a.unsettled, h.b.unsettled) == (-USDC("1"), USDC("0.4"))


def test_funding_between_slices_that_the_venue_nets_to_nothing():
    """The venue holds nothing and pays nothing; the long still owes the short."""
    h = House()
    h.trade(h.a, Side.BUY, "5")
    h.trade(h.b, Side.SELL, "5")
    h.pays("0.1%")
    assert (h.a.funding, h.b.funding) == (-USDC("0.5"), USDC("0.5"))


def test_funding_is_for_what_was_held_at_its_instant_however_late_it_is_told():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    instant = h.desk.books.now
    h.quote("100")
    h.trade(h.a, Side.SELL, "10")
    h.trade(h.b, Side.BUY, "3")
    h.pays("0.1%", qty=SOL("10").units, at=instant)
    assert (h.a.funding, h.b.funding) == (-USDC("1"), USDC.zero)
    assert not h.alerts("funding_mismatch")


def test_funding_that_does_not_fit_is_booked_whole_and_said():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.BUY, "10")
    h.pays("0.1%", qty=SOL("21").units)
    assert h.a.funding + h.b.funding == -USDC("2.1")
    assert len(h.alerts("funding_mismatch")) == 1
    assert h.desk.check(deep=True).holds


def test_the_same_fact_twice_is_booked_once_and_another_under_its_key_is_said():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    rate = FundingRate.of(PERP, "0.1%", price="100", at=h.desk.books.now)
    fact = FundingPaid(rate, SOL("10").units, -1_000_000, "x", "v")
    h.desk.step(fact)
    h.desk.step(fact)
    assert h.a.funding == -USDC("1")
    assert not h.alerts()
    h.desk.step(FundingPaid(rate, SOL("10").units, -2_000_000, "x", "v"))
    assert h.a.funding == -USDC("1")
    assert [a.code for a in h.alerts()] == ["fact_conflict"]


@pytest.mark.parametrize(
    "fact",
    [
        FundingPaid(FundingRate.of(PERP, "0.1%", price="100", at=1), 7, -1, "x"),
        Settled(1, PERP, 5, "x"),
        Liquidated(1, PERP, 5, 1, 1, USDC("0"), "x"),
        Bankrupted(1, PERP, 5, "x"),
        Transferred(1, SOL("1"), "x"),
    ],
)
def test_a_fact_that_belongs_to_nobody_is_said_and_not_booked(fact):
    h = House()
    written = len(h.desk.books.journal)
    h.desk.step(fact)
    assert [type(r) for r in list(h.desk.books.journal)[written:]] == [Quarantined, Alert]
    assert h.alerts()[0].code == "fact_unattributed"
    h.desk.step(fact)
    assert len(h.desk.books.journal) == written + 2, "told again, it is said once"


# -- settlement --------------------------------------------------------------------------------------------------------------


def test_a_flash_sleeve_returns_a_contracts_profit_when_it_is_cash_and_not_before():
    h = House(policies=(FLASH, QUIET))
    h.trade(h.a, Side.BUY, "10")
    assert h.trade(h.a, Side.SELL, "10", price="110") == [SettlePnl(PERP)]
    assert (h.a.unsettled, h.a.returned) == (USDC("100"), USDC.zero)
    h.settles("100")
    assert (h.a.unsettled, h.a.returned, h.a.balance) == (USDC.zero, USDC("100"), USDC("1000"))


def test_closing_one_slice_of_a_netted_position_may_bring_no_cash_yet():
    """Long 10 at 100 against short 10 at 110: closing the long at 200 turns the net short at 200, and realizes 100 of 1,000."""
    h = House(total="20000", allocate="5000")
    h.trade(h.a, Side.BUY, "10")
    h.quote("110")
    h.trade(h.b, Side.SELL, "10")
    h.quote("200")
    h.trade(h.a, Side.SELL, "10", price="200")
    h.settles("100")
    assert (h.a.unsettled, h.a.free) == (USDC("900"), USDC("5100"))
    assert (h.b.unsettled, h.b.free) == (USDC.zero, USDC("4890"))  # 110 of margin stay where they are
    h.trade(h.b, Side.BUY, "10", price="200")
    assert h.b.unsettled == -USDC("900")
    assert h.a.unsettled + h.b.unsettled == USDC.zero


def test_two_unsettled_claims_that_cancel_out_are_settled_by_a_settlement_of_nothing():
    """What the venue has nothing to move for, the books may still owe between sleeves; the next settlement pays it."""
    h = House(total="20000", allocate="5000")
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.SELL, "10")
    h.trade(h.a, Side.SELL, "10", price="110")
    h.trade(h.b, Side.BUY, "10", price="110")
    assert (h.a.unsettled, h.b.unsettled) == (USDC("100"), -USDC("100"))
    h.settles("0")
    assert (h.a.unsettled, h.b.unsettled) == (USDC.zero, USDC.zero)
    assert (h.a.free, h.b.free) == (USDC("5100"), USDC("4900"))


def test_a_settled_loss_that_nobody_can_pay_stops_its_sleeve():
    h = House()
    h.trade(h.a, Side.BUY, "50")
    h.trade(h.a, Side.SELL, "50", price="70")
    h.settles("-1500")
    assert h.a.free == -USDC("500")
    assert h.a.status is Status.CLOSE_ONLY
    assert [a.code for a in h.alerts()] == ["overdrawn"]
    assert h.b.status is Status.ACTIVE
    assert h.desk.check({"USDC": USDC("500")}, positions={}, deep=True).holds


# -- the ring fence ----------------------------------------------------------------------------------------------------------


def test_a_sleeve_is_closed_before_its_loss_takes_the_money_of_another():
    """Together they have 2,000 behind 90 contracts, and the venue would wait; alone, 1,000 carry them down to 8,000 / 85.5 = 93.567..."""
    h = House()
    h.trade(h.a, Side.BUY, "90")
    assert h.quote("93.57") == []
    (command,) = h.quote("93.56")
    place = command.order.place
    assert (place.side, place.qty, place.reduce_only) == (Side.SELL, SOL("90").units, True)
    assert h.a.status is Status.CLOSE_ONLY
    assert [a.code for a in h.alerts("ring_fence")] == ["ring_fence"]
    h.fill(command)
    assert h.a.position(PERP) == SOL.zero
    assert h.b.status is Status.ACTIVE
    assert h.desk._seats["a"].flatten_by == ""


def test_the_fence_counts_with_what_size_costs_the_whole_account():
    """Two longs, each small alone: the venue asks the ratio of their sum, and the fence closes before the venue does."""
    terms = Perpetual(imf=20_000)
    market = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP, contract=terms)
    vault = CoreVault(USDC, total="2000", tradeable="2000")
    desk = Desk(vault)
    for name in "ab":
        puppet = Puppet(market)
        puppet.price = "100"
        puppet.sit(desk, vault.sleeve(name, QUIET, allocate="1000"))
        puppet.quote()
        order = puppet.buy("38", limit=market.price("100")).order
        cost = market.cost(order.place.limit, order.place.qty, Rounding.CEIL)
        desk.step(Fill(order.id, desk.books.now, market, Side.BUY, order.place.qty, 10_000, cost, USDC("0"), Liquidity.TAKER, name, "v"))
    venue = desk.exposure(vault).joint.liquidation["SOL-PERP"]
    alone = {name: one.liquidation["SOL-PERP"] for name, one in desk.exposure(vault).sleeves.items()}
    assert all(price < venue for price in alone.values())
    puppet.quote(str(venue + Decimal("0.01")))
    assert {a.subject for a in desk.books.journal if isinstance(a, Alert) and a.code == "ring_fence"} == set()
    puppet.quote(str(venue))
    assert {a.subject for a in desk.books.journal if isinstance(a, Alert) and a.code == "ring_fence"} == {"a", "b"}


def test_the_fence_cancels_what_is_open_first():
    h = House()
    h.trade(h.a, Side.SELL, "90")
    open_ = h.wish(h.a, Side.BUY, "1", limit=PERP.price("90"), reduce_only=True)
    assert h.quote("105.8") == []
    assert h.quote("105.83") == [CancelOrder(open_.order)]
    (command,) = h.desk.step(Canceled(open_.order.id, h.desk.books.now))
    assert command.order.place.qty == SOL("90").units


def test_money_taken_from_a_sleeve_moves_its_fence():
    """With 1,000 behind 50 contracts they are carried to 4,000 / 47.5; with 750, to 4,250 / 47.5 = 89.473..."""
    h = House()
    h.trade(h.a, Side.BUY, "50")
    assert h.quote("89.47") == []
    h.quote("95")
    h.vault.reclaim(h.a, "250", by="ann")
    assert h.quote("89.48") == []
    (command,) = h.quote("89.47")
    assert isinstance(command, SubmitOrder)


def test_money_that_open_contracts_have_lost_is_not_reclaimed():
    h = House()
    h.trade(h.a, Side.BUY, "50")
    h.quote("95")
    with pytest.raises(NotEnough) as error:
        h.vault.reclaim(h.a, "250.000001", by="ann")
    assert error.value.free == USDC("250")


def test_a_flattening_that_the_venue_rejects_is_said_once():
    h = House()
    h.trade(h.a, Side.BUY, "90")
    (command,) = h.quote("93")
    h.desk.step(Rejected(command.order.id, h.desk.books.now, "no"))
    h.quote("92")
    h.quote("91")
    assert len(h.alerts("residual")) == 2
    assert h.a.position(PERP) == SOL("90")


# -- health ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "levels"), [("92.6", []), ("92.59", ["warning"]), ("89.6", ["warning"])])
def test_health_below_50_warns_once(price, levels):
    """Reference P6, both sides. 120 at 100 on 2,000: C = 2,000 - 120 d and M = 6 (100 - d); M is half of C at d = 7.4074."""
    h = House()
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    for step in ("95", price, price):
        h.quote(step)
    assert [a.level.value for a in h.alerts("health")] == levels


@pytest.mark.parametrize(("price", "levels"), [("88.89", ["warning"]), ("88.88", ["warning", "critical"])])
def test_health_below_20_is_critical_even_right_after_a_warning(price, levels):
    """The origin lets a warning mute a critical for a minute. M is 80% of C at d = 1,000 / 90, so below 88.888..."""
    h = House()
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    h.quote("92")
    h.quote(price)
    assert [a.level.value for a in h.alerts("health")] == levels


@pytest.mark.parametrize(("after", "levels"), [(60, ["warning", "warning"]), (59, ["warning", "warning"]), (58, ["warning"])])
def test_health_that_recovers_is_told_again_when_it_falls_again_a_minute_after_it_was_told(after, levels):
    """Falling again within the minute it is told at its end, with the next price that is still below."""
    h = House()
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    h.quote("92.5")
    h.quote("95")
    h.quote("92.5", after=(after - 1) * SECOND)
    h.quote("92.4")
    assert [a.level.value for a in h.alerts("health")] == levels


def test_health_that_falls_again_within_the_minute_and_stays_there_is_told_at_its_end():
    h = House()
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    for price in ("92.5", "95", "92.5"):
        h.quote(price)
    for _ in range(10):
        h.quote("92.5", after=30 * SECOND)
    assert [a.level.value for a in h.alerts("health")] == ["warning", "warning"]


def test_each_level_of_health_has_a_rest_of_its_own():
    """Down, up and down again within a minute: one warning and one critical, neither mutes the other."""
    h = House()
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    for price in ("92.5", "88.5", "95", "92.5", "88.5"):
        h.quote(price)
    assert [a.level.value for a in h.alerts("health")] == ["warning", "critical"]


def test_falling_through_both_levels_at_once_is_critical_and_names_the_price():
    h = House(total="4000", allocate="1000")
    h.trade(h.a, Side.BUY, "90")
    h.trade(h.b, Side.BUY, "90")
    h.puppets[0].desk = h.desk
    h.quote("80")
    told = h.alerts("health")
    assert [a.level.value for a in told] == ["critical"]
    assert "liquidates the account" in told[0].text


# -- liquidation and bankruptcy ------------------------------------------------------------------------------------------------


def liquidated(h, change, price, fee="0", number=1):
    units, at = SOL(change).units, PERP.price(price)
    cost = PERP.cost(at, abs(units), Rounding.FLOOR if units < 0 else Rounding.CEIL)
    return list(h.desk.step(Liquidated(h.desk.books.now, PERP, units, at, cost, USDC(fee), f"l{number}", "v")))


def test_a_liquidation_takes_first_from_the_slice_that_carries_itself_least():
    h = House(total="6000", allocate="1000")
    h.trade(h.a, Side.BUY, "20")
    h.trade(h.b, Side.BUY, "80")
    liquidated(h, "-90", "90", fee="81")
    assert (h.a.position(PERP), h.b.position(PERP)) == (SOL("10"), SOL.zero)
    assert (h.a.fees, h.b.fees) == (USDC("9"), USDC("72"))
    assert (h.a.realized, h.b.realized) == (-USDC("100"), -USDC("800"))
    assert {s.status for s in (h.a, h.b)} == {Status.CLOSE_ONLY}
    assert len(h.alerts("liquidated")) == 2
    assert h.desk.check(deep=True).holds


def test_a_liquidation_leaves_slices_on_the_other_side_alone():
    h = House(total="6000", allocate="1000")
    h.trade(h.a, Side.BUY, "50")
    h.trade(h.b, Side.SELL, "10")
    liquidated(h, "-40", "90")
    assert (h.a.position(PERP), h.b.position(PERP)) == (SOL("10"), -SOL("10"))
    assert (h.a.status, h.b.status) == (Status.CLOSE_ONLY, Status.ACTIVE)


def test_a_liquidation_of_more_than_sleeves_held_is_booked_and_said():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    liquidated(h, "-12", "90")
    assert h.a.position(PERP) == -SOL("2")
    assert [a.code for a in h.alerts()] == ["liquidated", "overfill"]
    assert h.desk.check(deep=True).holds


def test_a_bankruptcy_makes_good_what_sleeves_owe_that_have_nothing_left():
    h = House()
    h.trade(h.a, Side.BUY, "90")
    liquidated(h, "-90", "70")  # lost 2,700 of its 1,000: the other's 1,000 are gone too, and 700 beyond
    h.desk.step(Bankrupted(h.desk.books.now, PERP, USDC("700").units, "b1", "v"))
    assert h.a.balance == -USDC("1000")
    assert h.b.balance == USDC("1000")
    positions = {"SOL-PERP": Position(PERP, 0, -USDC("2000").units)}
    assert h.desk.check({"USDC": USDC("2000")}, positions=positions, deep=True).holds
    assert h.a.status is Status.CLOSE_ONLY


BTCP = Instrument("BTC-PERP", base=BTC, quote=USDC, tick="0.01", lot="0.0001", kind=Kind.PERP)


def test_a_bankruptcy_pays_the_debtor_whichever_contract_it_names():
    h = House(policies=(QUIET, FLASH))
    h.trade(h.a, Side.BUY, "90")
    h.desk.quote(h.desk.index(BTCP), h.desk.books.now, 10**6, 10**6)
    (command,) = h.desk.order(h.b, Place(BTCP, Side.BUY, BTCP.qty("0.001")), by="ann")
    order = command.order
    h.desk.step(
        Fill(order.id, h.desk.books.now, BTCP, Side.BUY, order.place.qty, 10**6, USDC("10").units, USDC("0"), Liquidity.TAKER, "z", "v")
    )
    for market, qty, price, name in ((BTCP, BTCP.qty("0.001"), 900_000, "l1"), (PERP, PERP.qty("90"), 7_000, "l2")):
        h.desk.step(Liquidated(h.desk.books.now, market, -qty, price, market.cost(price, qty, Rounding.FLOOR), USDC("0"), name, "v"))
    h.desk.step(Bankrupted(h.desk.books.now, BTCP, USDC("701").units, "b", "v"))
    assert h.a.balance == USDC("1000") - USDC("2700") + USDC("701")
    assert h.b.balance == USDC("999")
    assert h.b.returned == USDC.zero


def test_a_bankruptcy_is_booked_once_however_often_it_is_told():
    h = House()
    h.trade(h.a, Side.BUY, "90")
    liquidated(h, "-90", "70")
    fact = Bankrupted(h.desk.books.now, PERP, USDC("700").units, "b", "v")
    h.desk.step(fact)
    h.desk.step(fact)
    assert h.a.balance == -USDC("1000")


def test_a_liquidation_cancels_what_would_open_again():
    h = House(total="6000", allocate="1000")
    h.trade(h.a, Side.BUY, "50")
    more = h.wish(h.a, Side.BUY, "10", limit=PERP.price("90"))
    assert CancelOrder(more.order) in liquidated(h, "-20", "95")
    assert h.a.position(PERP) == SOL("30")


def test_coins_that_left_unasked_cancel_orders_that_would_open():
    h = House()
    order = h.wish(h.a, Side.BUY, "10", limit=PERP.price("90"))
    assert h.desk.step(Transferred(h.desk.books.now, -USDC("300"), "stranger", "v")) == [CancelOrder(order.order)]


def test_a_withdrawal_that_was_not_sent_is_not_waited_for():
    h = House(total="2500")
    with pytest.raises(NotEnough):
        h.desk.withdraw(h.vault, "501", by="ann")
    (transfer,) = h.desk.withdraw(h.vault, "400", by="ann")
    h.desk.step(TransferRefused(h.desk.books.now, "main-transfer-1", "no"))
    assert h.vault.in_transit == (USDC.zero if transfer.id == "main-transfer-1" else USDC("400"))


def test_a_bankruptcy_that_no_sleeve_owes_is_said_and_not_booked():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.desk.step(Bankrupted(h.desk.books.now, PERP, 5, "b", "v"))
    assert [a.code for a in h.alerts()] == ["fact_unattributed"]
    assert h.a.realized == USDC.zero


# -- money behind orders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "limit"), [(Side.SELL, "1"), (Side.SELL, "95"), (Side.BUY, "150"), (Side.BUY, "105")])
def test_a_limit_far_through_the_market_holds_what_it_would_lose_there(side, limit):
    h = House()
    assert h.wish(h.a, side, "90", limit=PERP.price(limit)).reason == "funds"
    command = h.wish(h.a, side, "10", limit=PERP.price("99" if side is Side.SELL else "101"))
    notional = 1_010 if side is Side.BUY else 1_005  # at its worst price, or at the best that a sale may still get
    assert h.a.held.decimal >= Decimal(notional) / 10 + 10
    h.fill(command)
    assert h.a.equity(h.desk.marks()) == USDC("990")


def test_the_part_of_a_hold_that_an_opening_needs_is_not_used_up_by_a_closing():
    h = House()
    h.trade(h.a, Side.BUY, "40")
    command = h.wish(h.a, Side.SELL, "90")
    held = h.a.held
    h.fill(command, qty="40")
    assert h.a.held == held
    h.fill(command, qty="25")
    assert USDC("0") < h.a.held < held
    h.fill(command, qty="25")
    assert h.a.held == USDC.zero
    assert (h.a.position(PERP), h.a.margin) == (-SOL("50"), USDC("500"))


def test_an_exit_that_no_longer_fits_its_slice_is_canceled():
    h = House()
    h.trade(h.b, Side.BUY, "10")
    h.trade(h.a, Side.BUY, "10")
    resting = h.wish(h.a, Side.SELL, "10", limit=PERP.price("101"), reduce_only=True)
    sold = h.wish(h.a, Side.SELL, "10")
    assert CancelOrder(resting.order) in h.fill(sold)


def test_an_engine_orders_nothing_while_its_sleeve_is_being_closed():
    h = House()
    h.trade(h.a, Side.BUY, "90")
    resting = h.wish(h.a, Side.SELL, "45", limit=PERP.price("150"), reduce_only=True)
    h.puppets[0].wishes = [Place(PERP, Side.SELL, PERP.qty("45"), limit=PERP.price("160"), reduce_only=True)]
    assert h.quote("93.5") == [CancelOrder(resting.order)]
    (closing,) = h.desk.step(Canceled(resting.order.id, h.desk.books.now))
    assert closing.order.place.qty == SOL("90").units
    refusals = [r for r in h.desk.books.journal if isinstance(r, Refusal)]
    assert [(r.reason, r.numbers["status"]) for r in refusals] == [("status", "being closed by desk")]


def test_a_fence_that_the_venue_would_not_let_close_tries_again_after_a_minute():
    h = House(total="4000", allocate="2000")
    h.trade(h.a, Side.BUY, "180")
    (command,) = h.quote("93.5")
    h.desk.step(Rejected(command.order.id, h.desk.books.now, "busy"))
    assert h.quote("93.4") == []
    h.puppets[0].now += 60 * SECOND
    (again,) = h.quote("93.4")
    assert again.order.place.qty == SOL("180").units
    h.fill(again)
    assert h.a.is_flat()
    h.a.clear(by="ann", why="looked")
    h.a.resume(by="ann")
    assert h.desk._seats["a"].flatten_by == ""
    assert isinstance(h.wish(h.a, Side.BUY, "1"), SubmitOrder)


# -- told in another order -----------------------------------------------------------------------------------------------------


def test_funding_told_before_the_fill_that_it_follows_from_waits_for_it():
    h = House()
    order = h.wish(h.a, Side.BUY, "10").order
    at = h.desk.books.now
    h.pays("0.1%", qty=SOL("10").units, at=at + 1)
    assert h.a.funding == USDC.zero
    cost = USDC("1000").units
    h.desk.step(Fill(order.id, at, PERP, Side.BUY, order.place.qty, 10_000, cost, USDC("0"), Liquidity.TAKER, "late", "v"))
    assert h.a.funding == -USDC("1")
    assert len(h.alerts("fact_unattributed")) == 1
    assert h.desk.check(deep=True).holds


def test_a_liquidation_told_before_its_fill_waits_for_it():
    h = House()
    order = h.wish(h.a, Side.BUY, "10").order
    at = h.desk.books.now
    liquidated(h, "-10", "90")
    assert h.a.position(PERP) == SOL.zero
    h.desk.step(Fill(order.id, at, PERP, Side.BUY, order.place.qty, 10_000, USDC("1000").units, USDC("0"), Liquidity.TAKER, "late", "v"))
    assert h.a.position(PERP) == SOL.zero
    assert h.a.realized == -USDC("100")


def test_a_fill_in_the_instant_of_funding_counts_as_the_payment_says():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.quote("100")
    at = h.desk.books.now
    h.trade(h.b, Side.BUY, "10")
    h.pays("0.1%", qty=SOL("10").units, at=at)
    assert (h.a.funding, h.b.funding) == (-USDC("1"), USDC.zero)


def test_two_wallets_of_one_coin_at_one_desk_trade_no_contracts():
    books = Books()
    vaults = [CoreVault(USDC, total="1000", wallet=name, books=books) for name in ("one", "two")]
    with pytest.raises(VaultError, match="give each wallet a desk of its own"):
        Desk(*vaults).index(PERP)


# -- transfers, once more --------------------------------------------------------------------------------------------------------


class Failing(Memory):
    """A journal whose n-th append fails."""

    def __init__(self):
        super().__init__()
        self.count, self.fails = 0, None

    def append(self, *records):
        self.count += 1
        if self.count == self.fails:
            raise JournalError("disk")
        super().append(*records)


@pytest.mark.parametrize("units", ["500", "-200"])
def test_a_transfer_whose_journal_fails_is_booked_once_when_it_is_told_again(units):
    for nth in range(1, 4):
        journal = Failing()
        vault = CoreVault(USDC, total="1000", tradeable="100", reserve="10%", books=Books(journal))
        desk = Desk(vault)
        if units == "500":
            (transfer,) = desk.deposit(vault, units)
        else:
            (transfer,) = desk.withdraw(vault, units[1:], by="ann")
        fact = Transferred(1, USDC(units), transfer.id, "v")
        journal.fails = journal.count + nth
        try:
            desk.step(fact)
        except JournalError:
            pass
        journal.fails = None
        desk.step(fact)
        assert vault.total == USDC("1000") + USDC(units)
        assert vault.in_transit == USDC.zero
        assert desk.check({"USDC": USDC("1000") + USDC(units)}, deep=True).holds


def test_a_refusal_whose_journal_fails_is_taken_in_when_it_is_told_again():
    journal = Failing()
    vault = CoreVault(USDC, total="1000", books=Books(journal))
    desk = Desk(vault)
    (transfer,) = desk.withdraw(vault, "500", by="ann")
    journal.fails = journal.count + 1
    with pytest.raises(JournalError):
        desk.step(TransferRefused(1, transfer.id, "no"))
    desk.step(TransferRefused(1, transfer.id, "no"))
    assert (vault.idle, vault.in_transit) == (USDC("1000"), USDC.zero)


@pytest.mark.parametrize(("units", "seen"), [("500", "2500"), ("-500", "1500"), ("500", "2200"), ("-500", "1800")])
def test_what_a_look_at_the_wallet_found_of_a_transfer_is_not_found_again(units, seen):
    vault = CoreVault(USDC, total="2000")
    desk = Desk(vault)
    commands = desk.deposit(vault, "500") if units == "500" else desk.withdraw(vault, "500", by="ann")
    desk.observe_balance(vault, seen)
    assert vault.coins == USDC(seen)
    assert not vault.short()
    desk.step(Transferred(1, USDC(units), commands[0].id, "v"))
    assert vault.coins == USDC("2000") + USDC(units)
    assert desk.check({"USDC": vault.coins}, deep=True).holds


def test_a_withdrawal_that_left_short_leaves_nothing_on_its_way():
    vault = CoreVault(USDC, total="1000")
    desk = Desk(vault)
    (transfer,) = desk.withdraw(vault, "400", by="ann")
    desk.step(Transferred(1, -USDC("399"), transfer.id, "v"))
    assert (vault.idle, vault.in_transit) == (USDC("601"), USDC.zero)


def test_what_an_overdrawn_sleeve_lacks_neither_leaves_nor_is_given_to_another():
    h = House(total="2500")
    h.trade(h.a, Side.BUY, "50")
    h.trade(h.a, Side.SELL, "50", price="70")
    h.settles("-1500")
    assert (h.a.free, h.vault.idle, h.vault.remaining) == (-USDC("500"), USDC("500"), USDC.zero)
    with pytest.raises(NotEnough):
        h.desk.withdraw(h.vault, "0.000001", by="ann")
    with pytest.raises(NotEnough):
        h.vault.allocate(h.b, "0.000001", by="ann")
    h.vault.allocate(h.a, "500", by="ann")
    assert h.a.free == USDC.zero


def test_withdrawals_one_after_another_count_what_is_on_its_way():
    h = House(total="4000")
    h.trade(h.a, Side.BUY, "60")
    h.trade(h.b, Side.BUY, "60")
    h.desk.withdraw(h.vault, "1000", by="ann")
    with pytest.raises(VaultError, match=r"health would go from 80 to 79\.99"):
        h.desk.withdraw(h.vault, "0.1", by="ann")


def test_collateral_of_another_vault_of_the_wallet_does_not_leave_unseen():
    books = Books()
    usdc = CoreVault(USDC, total="1000", tradeable="1000", books=books)
    sol = CoreVault(SOL, total="10", books=books)
    desk = Desk(usdc, sol, collateral={SOL: Weights()})
    puppet = Puppet(PERP)
    puppet.price = "100"
    puppet.sit(desk, usdc.sleeve("a", QUIET, allocate="1000"))
    spot = desk.index(SPOT)
    puppet.quote()
    desk.quote(spot, desk.books.now, 10_000, 10_000)
    order = puppet.buy("60", limit=PERP.price("100")).order
    cost = USDC("6000").units
    desk.step(Fill(order.id, desk.books.now, PERP, Side.BUY, order.place.qty, 10_000, cost, USDC("0"), Liquidity.TAKER, "t", "v"))
    with pytest.raises(VaultError, match="health would go from 85 to 75, below 80"):
        desk.withdraw(sol, "8", by="ann")


@pytest.mark.parametrize("least", [float("nan"), -1, 101, "80", True, None])
def test_the_least_health_is_a_whole_number(least):
    h = House(total="4000")
    with pytest.raises(VaultError, match="least_health"):
        h.desk.withdraw(h.vault, "1", by="ann", least_health=least)


def test_an_order_by_hand_names_who_gave_it():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.desk.close(h.a, PERP, by="ann")
    assert [r.by for r in h.desk.books.journal if isinstance(r, Placed)] == ["puppet", "ann"]
    for by in ("", " ", None):
        with pytest.raises(VaultError, match="by somebody"):
            h.desk.order(h.a, Place(PERP, Side.BUY, 10**7), by=by)
    with pytest.raises(VaultError):
        h.desk.order(h.a, None, by="ann")


def test_a_gain_in_one_contract_does_not_hide_what_is_owed_in_another():
    h = House(policies=(FLASH, QUIET))
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.a, Side.SELL, "10", price="110")
    h.desk.quote(h.desk.index(BTCP), h.desk.books.now, 10_000, 10_000)
    for side, price in ((Side.BUY, 10_000), (Side.SELL, 9_000)):
        (command,) = h.desk.order(h.a, Place(BTCP, side, BTCP.qty("10")), by="ann")
        qty, cost = command.order.place.qty, BTCP.cost(price, BTCP.qty("10"), Rounding.FLOOR)
        h.desk.step(Fill(command.order.id, h.desk.books.now, BTCP, side, qty, price, cost, USDC("0"), Liquidity.TAKER, side.value, "v"))
    assert h.a.unsettled_parts() == (USDC("100").units, -USDC("100").units)
    assert h.a.next_sweep().units == 0
    assert h.a.loose_units() == USDC("900").units


# -- in the report -----------------------------------------------------------------------------------------------------------


def test_liquidations_and_turns_are_in_the_round_trips():
    from sleeves.report import Report

    h = House(total="6000", allocate="1000")
    h.trade(h.a, Side.BUY, "80")
    liquidated(h, "-80", "90", fee="72")
    h.trade(h.b, Side.BUY, "10")
    h.quote("100")
    h.trade(h.b, Side.SELL, "15", price="101")
    h.trade(h.b, Side.BUY, "5", price="100")
    trips = [(t["sleeve"], t["net"], t["fees"], t["fills"]) for t in Report(h.desk).trades()]
    assert trips == [("a", "-872", "72", 2), ("b", "10", "0", 2), ("b", "5", "0", 2)]
    opened = [t["opened"] for t in Report(h.desk).trades()]
    assert opened[1] < opened[2]


# -- what an order would do ----------------------------------------------------------------------------------------------------


def test_what_if_says_what_an_order_does_to_its_sleeve_to_all_and_who_would_pay():
    h = House(total="3000", allocate="1000")
    h.trade(h.a, Side.BUY, "40")
    written = len(h.desk.books.journal)
    seen = h.desk.what_if(Place(PERP, Side.BUY, SOL("40").units), h.a)
    assert len(h.desk.books.journal) == written
    before, after = seen.before.sleeves["a"], seen.after.sleeves["a"]
    assert (before.equity, before.requirement, before.leverage_bp) == (USDC("1000"), USDC("200"), 40_000)
    # with its fee of 0.4% of 4,000
    assert (after.equity, after.requirement) == (USDC("984"), USDC("400"))
    assert after.leverage_bp == 8_000 * 10_000 * 10**6 // USDC("984").units
    assert seen.after.joint.equity == USDC("2984")
    assert (before.health, after.health) == (80, 59)
    # alone: 80 p - 8,000 + 984 = 4 p  ->  p = 92.315..., together: 80 p - 8,000 + 2,984 = 4 p -> 66
    assert after.liquidation == {"SOL-PERP": Decimal("92.31")}
    assert seen.after.joint.liquidation == {"SOL-PERP": Decimal("65.99")}
    payers = {payer.who: payer.amount for payer in seen.after.payers}
    loss = USDC.units(80 * (10_000 - 6_599) * 10**4)
    assert payers["a"] == USDC("984")
    assert payers["core:main:USDC idle"] == USDC("1000")
    assert payers["b"] == loss - USDC("1984")
    assert list(payers) == ["a", "core:main:USDC idle", "b"]
    assert "would pay: a 984.00 USDC\n" in str(seen)
    assert "would pay: b 736.80 USDC, of a loss that is not its own" in str(seen)
    assert "liquidated at 92.31" in str(seen)


@pytest.mark.parametrize(
    ("client", "leaves", "found", "rest"),
    [
        # 170 p - 17,000 + 5,000 = 8.5 p  ->  74.30, and what others pay is within what the house has
        ("0", "0", "0", []),
        # + 2,000 of a client  ->  61.91, a loss of 6,475.30 where the house has 5,000
        ("2000", "0", "0", [("clients of core:main:USDC", "1475.3")]),
        # + 1,000 that nobody can explain  ->  55.72, a loss of 7,527.60
        ("2000", "0", "1000", [("clients of core:main:USDC", "2000"), ("the venue", "527.6")]),
        # of which the client takes 500 out  ->  58.82, a loss of 7,000.60: what is on its way pays nothing
        ("2000", "500", "1000", [("clients of core:main:USDC", "1500"), ("the venue", "500.6")]),
        # without a client  ->  68.11, a loss of 5,421.30
        ("0", "0", "1000", [("the venue", "421.3")]),
    ],
)
def test_clients_pay_after_all_of_the_house_and_before_the_venue(client, leaves, found, rest):
    h = House(total="5000", allocate="2000")
    h.vault.set_reserve("10%", by="ann")
    if client != "0":
        (asked,) = h.desk.deposit(h.vault, client, client="ann")
        h.desk.step(Transferred(h.desk.books.now, asked.amount, asked.id, "v"))
    for qty in ("100", "70"):
        h.trade(h.a, Side.BUY, qty)
    if found != "0":
        position = Position(PERP, SOL("170").units, -USDC("17000").units)
        h.desk.reconcile({"USDC": h.vault.coins + USDC(found)}, positions={"SOL-PERP": position})
        assert h.vault.suspense == USDC(found)
    if leaves != "0":
        h.desk.withdraw(h.vault, leaves, by="ann", client="ann")
    seen = h.desk.exposure(h.vault)
    price = seen.joint.liquidation["SOL-PERP"]
    own, *others = [(payer.who, payer.amount) for payer in seen.payers]
    assert own == ("a", USDC("2000")) and seen.payers[0].own and not any(payer.own for payer in seen.payers[1:])
    house = [("core:main:USDC idle", USDC("500")), ("core:main:USDC reserve", USDC("500"))]
    assert others[:2] == house and others[2][0] == "b"
    assert others[3:] == [(who, USDC(amount)) for who, amount in rest]
    if rest:
        assert others[2][1] == USDC("2000"), "all of the house is gone"
        assert f"would pay: {rest[0][0]} {USDC(rest[0][1]):,.2f} USDC, of a loss that is not its own" in str(seen)
    assert sum(payer.amount.units for payer in seen.payers) == USDC.units(170 * (10_000 - int(price * 100)) * 10**4).units


def test_what_if_of_a_hedge_lowers_what_the_account_needs():
    h = House()
    h.trade(h.a, Side.BUY, "40")
    seen = h.desk.what_if(Place(PERP, Side.SELL, SOL("40").units), h.b)
    assert seen.before.joint.requirement == USDC("200")
    assert seen.after.joint.requirement == USDC.zero
    assert seen.after.sleeves["b"].requirement == USDC("200")
    assert seen.after.joint.liquidation == {}
    assert seen.after.payers == ()


def test_after_the_order_is_filled_it_is_as_what_if_said():
    h = House()
    place = Place(PERP, Side.SELL, SOL("40").units, limit=PERP.price("100"))
    seen = h.desk.what_if(place, h.a)
    (command,) = h.desk.order(h.a, place, by="ann")
    h.fill(command, fee="16")
    now = h.desk.exposure(h.vault)
    assert now.sleeves["a"] == seen.after.sleeves["a"]
    assert now.joint == seen.after.joint
    assert now.payers == seen.after.payers


def test_what_is_not_known_is_not_guessed():
    h = House()
    other = Instrument("BTC-PERP", base=SOL, quote=USDC, kind=Kind.PERP)
    with pytest.raises(VaultError, match="no fresh price"):
        h.desk.what_if(Place(other, Side.BUY, 1), h.a)
    stranger = CoreVault(USDC, total="1", wallet="other").sleeve("c", QUIET)
    with pytest.raises(VaultError, match="not a vault or a sleeve of this desk"):
        h.desk.what_if(Place(PERP, Side.BUY, 1), stranger)


def test_collateral_of_other_coins_counts_as_it_weighs():
    h = House(collateral={SOL: Weights(8_000, 9_000, 12_000, 11_000)})
    h.desk.quote(h.desk.index(SPOT), h.desk.books.now, SPOT.price("100"), SPOT.price("100"))
    seen = h.desk.what_if(Place(SPOT, Side.BUY, SOL("5").units), h.a)
    assert seen.after.joint.equity == USDC("1998")  # the fee of 0.4% of 500
    assert seen.after.joint.collateral == USDC("1498") + USDC("450")


@pytest.mark.parametrize("wrong", [{"collateral": {"SOL": Weights()}}, {"collateral": {SOL: 0.8}}])
def test_collateral_is_weights_by_asset(wrong):
    with pytest.raises(InvalidMarket):
        House(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"most_leverage": "0.99"},
        {"most_leverage": "nan"},
        {"most_leverage": USDC("10")},
        {"health_alerts": (101,)},
        {"health_alerts": ("50",)},
    ],
)
def test_a_desk_that_cannot_be_is_refused(wrong):
    from sleeves.errors import SleevesError

    with pytest.raises(SleevesError):
        House(**wrong)


# -- coins that come and go ----------------------------------------------------------------------------------------------------


def test_a_deposit_is_booked_when_it_came():
    h = House()
    (transfer,) = h.desk.deposit(h.vault, "500")
    assert transfer == Transfer("main-transfer-1", USDC("500"))
    assert h.vault.total == USDC("2000")
    fact = Transferred(h.desk.books.now, USDC("500"), transfer.id, "v")
    h.desk.step(fact)
    h.desk.step(fact)
    assert (h.vault.total, h.vault.idle) == (USDC("2500"), USDC("500"))
    with pytest.raises(VaultError, match="must be positive"):
        h.desk.deposit(h.vault, "0")


def test_a_withdrawal_is_out_of_reach_at_once_and_gone_when_it_left():
    h = House(total="2500")
    (transfer,) = h.desk.withdraw(h.vault, "400", by="ann", why="rent")
    assert (h.vault.idle, h.vault.in_transit, h.vault.total) == (USDC("100"), USDC("400"), USDC("2500"))
    assert h.vault.coins == USDC("2500")
    with pytest.raises(NotEnough) as error:
        h.desk.withdraw(h.vault, "100.000001", by="ann")
    assert error.value.free == USDC("100")
    h.desk.step(Transferred(h.desk.books.now, -USDC("400"), transfer.id, "v"))
    assert (h.vault.total, h.vault.coins, h.vault.in_transit) == (USDC("2100"), USDC("2100"), USDC.zero)
    assert h.desk.check({"USDC": USDC("2100")}, deep=True).holds


def test_a_withdrawal_that_the_venue_refuses_is_idle_again():
    h = House(total="2500")
    (transfer,) = h.desk.withdraw(h.vault, "400", by="ann")
    h.desk.step(TransferRefused(h.desk.books.now, transfer.id, "no"))
    h.desk.step(TransferRefused(h.desk.books.now, transfer.id, "no"))
    assert (h.vault.idle, h.vault.in_transit) == (USDC("500"), USDC.zero)
    assert [a.code for a in h.alerts()] == ["transfer_refused"]


@pytest.mark.parametrize(("amount", "passes"), [("1100", True), ("1100.000001", False)])
def test_a_withdrawal_must_leave_health_at_80(amount, passes):
    """Reference P12: 30 at 100 in each of two sleeves need 300 to keep; 1,500 left is a health of 80."""
    h = House(total="2600", allocate="1000")
    h.trade(h.a, Side.BUY, "30")
    h.trade(h.b, Side.BUY, "30")
    h.vault.reclaim(h.a, "600", by="ann")
    if passes:
        (command,) = h.desk.withdraw(h.vault, amount, by="ann")
        assert isinstance(command, Transfer)
    else:
        with pytest.raises(VaultError, match=r"health would go from 88.46 to 79.99, below 80"):
            h.desk.withdraw(h.vault, amount, by="ann")
        assert h.vault.in_transit == USDC.zero


def test_coins_that_left_without_having_set_out_are_missing():
    h = House()
    h.desk.step(Transferred(h.desk.books.now, -USDC("300"), "stranger", "v"))
    assert h.vault.suspense == -USDC("300")
    assert [a.code for a in h.alerts()] == ["shortfall"]
    assert h.desk.check({"USDC": USDC("1700")}).holds


# -- states ------------------------------------------------------------------------------------------------------------------


def test_a_paused_sleeve_opens_nothing_on_either_side_and_may_close():
    h = House()
    h.trade(h.a, Side.SELL, "10")
    h.a.pause(by="ann")
    assert h.wish(h.a, Side.SELL, "1").reason == "status"
    assert h.wish(h.a, Side.BUY, "10.01").reason == "status"
    assert isinstance(h.wish(h.a, Side.BUY, "10", reduce_only=True), SubmitOrder)


def test_pausing_cancels_what_would_open_and_leaves_what_closes():
    h = House()
    h.trade(h.a, Side.SELL, "10")
    closes = h.wish(h.a, Side.BUY, "10", limit=PERP.price("90"), reduce_only=True)
    opens = h.wish(h.a, Side.SELL, "1", limit=PERP.price("110"))
    assert h.desk.pause(h.a, by="ann") == [CancelOrder(opens.order)]
    assert closes.order in h.desk.open_orders()


def test_kill_and_flatten_buys_a_short_back():
    h = House()
    h.trade(h.a, Side.SELL, "10")
    (command,) = h.desk.kill(h.a, flatten=True, by="ann")
    assert (command.order.place.side, command.order.place.qty) == (Side.BUY, SOL("10").units)
    h.fill(command)
    assert h.a.is_flat()


def test_an_allocation_to_an_open_slice_arrives_with_the_next_order_that_opens():
    h = House(total="3000")
    h.trade(h.a, Side.SELL, "10")
    h.vault.allocate(h.a, "500", by="ann")
    assert (h.a.allocation, h.a.pending) == (USDC("1000"), USDC("500"))
    h.wish(h.a, Side.BUY, "1", reduce_only=True)
    assert h.a.pending == USDC("500")
    h.wish(h.a, Side.SELL, "1")
    assert (h.a.allocation, h.a.pending) == (USDC("1500"), USDC.zero)


def test_the_inventory_shows_margin_and_what_is_unsettled():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.pays("-0.1%")
    h.quote("101")
    held = [x for x in h.desk.inventory().holdings if x.sleeve == "a"]
    assert {x.place: x.value for x in held} == {
        "free": USDC("900"),
        "margin": USDC("100"),
        "unsettled": USDC("1"),
        "unrealized SOL-PERP": USDC("10"),
    }
    assert sum(x.value.units for x in held) == h.a.equity(h.desk.marks()).units


def test_orders_know_that_they_are_netted_when_read_back():
    h = House()
    h.trade(h.a, Side.BUY, "10")
    h.trade(h.b, Side.SELL, "4")
    h.wish(h.a, Side.SELL, "10", reduce_only=True)
    h.pays()
    liquidated(h, "-3", "95")
    h.settles("-1")
    (transfer,) = h.desk.deposit(h.vault, "5")
    h.desk.step(Transferred(h.desk.books.now, USDC("5"), transfer.id, "v"))
    lines = list(h.desk.books.journal.lines())
    again = Memory.read(lines)
    assert list(again) == list(h.desk.books.journal)
    assert list(again.lines()) == lines
    kinds = {type(r).__name__ for r in again}
    assert {"FundingPaid", "Liquidated", "Settled", "Transferred"} <= kinds
    assert [r.order.netted for r in again if isinstance(r, Placed)] == [True, True, True]
