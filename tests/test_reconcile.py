"""Every difference between the books and the venue is named, stands in SUSPENSE, and goes where a human says."""

from __future__ import annotations

import anyio
import pytest

from helpers import BTCUSD, SECOND, Puppet
from sleeves import BTC, ETH, FLASH, QUIET, USD, Amount, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import NotEnough, VaultError
from sleeves.facts import CashFlow, FlowKind, Transferred
from sleeves.ledger import Account, Role
from sleeves.money import Asset, Rounding
from sleeves.orders import CancelOrder, Fill, Liquidity, Order, Position, SubmitOrder
from sleeves.reconcile import Reconciliation
from sleeves.records import Alert, Cause, Reconciled, Refusal, Residual
from sleeves.recovery import reconcile
from sleeves.sim import Rules, Tape, VirtualDriver
from sleeves.state import State
from standing import assert_stands

BNB = Asset("BNB", 8)
ETHUSD = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001", min_notional="1")


class House:
    """A vault of 20,000 USD, two sleeves of 5,000, and what the venue holds, beside each other."""

    def __init__(self, **terms):
        self.vault = CoreVault(USD, total="20000", tradeable="15000", reserve="5%", at=0)
        self.quiet = self.vault.sleeve("quiet", QUIET, allocate="5000")
        self.flash = self.vault.sleeve("flash", FLASH, allocate="5000")
        self.desk = Desk(self.vault, **terms)
        self.puppets = {s.name: Puppet(name=s.name) for s in (self.quiet, self.flash)}
        for sleeve in (self.quiet, self.flash):
            self.puppets[sleeve.name].sit(self.desk, sleeve)
        self.books = self.desk.books
        self.coins = {"USD": USD("20000"), "BTC": BTC.zero}
        self.flows = []
        self.trades = 0
        self.puppets["quiet"].quote()
        self.read = 0

    def moves(self, amount, kind=FlowKind.OTHER, ref="", *, line=True):
        """Coins move at the venue, with or without a line in its ledger."""
        code = amount.asset.code
        self.coins[code] = self.coins.get(code, amount.asset.zero) + amount
        if line:
            self.flows.append(CashFlow(self.books.now, amount, kind, f"L{len(self.flows) + 1}", ref, "test"))

    def fill(self, order_id, side, qty, price, *, fee=None, market=BTCUSD):
        """A trade at the venue: its coins move, its lines are written; the fill is returned, to be told."""
        self.trades += 1
        units, at = market.qty(qty), market.price(price)
        cost = market.cost(at, units, Rounding.CEIL if side is Side.BUY else Rounding.FLOOR)
        fee = USD("1") if fee is None else fee
        fact = Fill(order_id, self.books.now, market, side, units, at, cost, fee, Liquidity.TAKER, f"t{self.trades}", "test")
        for amount in (Amount(side.sign * units, market.base), Amount(-side.sign * cost, market.quote)):
            self.moves(amount, FlowKind.TRADE, fact.key)
        self.moves(-fee, FlowKind.FEE, fact.key)
        return fact

    def buys(self, name="quiet", qty="0.1", price="10000"):
        """A sleeve's own buy, told as it should be."""
        (command,) = (self.puppets[name].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty(qty))),)
        self.desk.step(self.fill(command.order.id, Side.BUY, qty, price))
        return command.order

    def look(self, **more) -> Reconciliation:
        found, self.commands = self.desk.reconcile(self.coins, self.flows, **more)
        self.holds()
        return found

    def holds(self):
        """All laws hold, and the venue's coins are the books', what stands in SUSPENSE with them."""
        self.desk.check(self.coins, deep=True).require()
        assert_stands(self.desk, State.fold(self.books.journal))

    def suspense(self, asset=USD):
        cells = self.books.ledger.accounts(self.vault.owner)
        return sum(amount.units for account, amount in cells if account.role is Role.SUSPENSE and amount.asset == asset)

    def tries(self, name="quiet", market=BTCUSD, side=Side.BUY, qty="0.01"):
        """What a further order comes to: the order, or the reason of the refusal."""
        answer = self.puppets[name].wish(Place(market, side, market.qty(qty)))
        return answer.reason if isinstance(answer, Refusal) else "ordered" if isinstance(answer, SubmitOrder) else answer


# -- what is found -----------------------------------------------------------------------------------------------------------


def test_where_both_agree_nothing_is_found_and_the_look_is_journaled():
    h = House()
    h.buys()
    found = h.look()
    assert found.clean and not found.found
    assert [line.asset.code for line in found.lines] == ["BTC", "USD"]
    kept = [r for r in h.books.journal if isinstance(r, Reconciled)]
    assert kept[-1].holdings == {"BTC": ("0.1", "0.1"), "USD": ("18999", "18999")}
    assert not [r for r in h.books.journal if isinstance(r, Residual)]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FlowKind.REWARD, Cause.REWARD),
        (FlowKind.EARN, Cause.EARN),
        (FlowKind.DUST, Cause.DUST),
        (FlowKind.LIQUIDATION, Cause.LIQUIDATION),
        (FlowKind.FEE, Cause.FEE),
        (FlowKind.FUNDING, Cause.FUNDING),
        (FlowKind.SETTLEMENT, Cause.SETTLEMENT),
        (FlowKind.TRADE, Cause.MANUAL_TRADE),
        (FlowKind.OTHER, Cause.UNKNOWN),
    ],
)
@pytest.mark.parametrize("amount", ["12.34", "-12.34"])
def test_a_line_of_the_venues_own_ledger_names_the_residual(kind, cause, amount):
    h = House()
    before = [(s.realized, s.balance) for s in (h.quiet, h.flash)], h.vault.idle, h.vault.tradeable
    h.moves(USD(amount), kind)
    (one,) = h.look().found
    assert (one.cause, one.amount, one.line) == (cause, USD(amount), h.flows[0].key)
    assert h.vault.suspense == USD(amount) and h.vault.total == USD("20000") + USD(amount)
    assert ([(s.realized, s.balance) for s in (h.quiet, h.flash)], h.vault.idle, h.vault.tradeable) == before, "nobody's money moved"
    alert = [r for r in h.books.journal if isinstance(r, Alert)][-1]
    assert alert.code == "residual_found" and one.id in alert.text


def test_what_no_line_explains_is_unknown():
    h = House()
    h.moves(USD("5"), line=False)
    (one,) = h.look().found
    assert (one.cause, one.line) == (Cause.UNKNOWN, "")


def test_a_coin_that_the_books_never_had_is_found_too():
    h = House()
    h.moves(BNB("3"), FlowKind.REWARD)
    (one,) = h.look().found
    assert one.amount == BNB("3") and one.vault == h.vault.owner
    assert "BNB" in str(h.look())


def test_a_coin_that_the_venue_does_not_speak_of_is_missing():
    h = House()
    h.buys()
    del h.coins["BTC"]
    h.flows.clear()
    found, _ = h.desk.reconcile(h.coins, h.flows)
    assert [(one.amount, one.cause) for one in found.found] == [(BTC("-0.1"), Cause.UNKNOWN)]


def test_less_than_a_lot_is_dust():
    h = House()
    h.buys()
    coarse = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.01")
    h.desk.index(coarse)
    h.moves(ETH("0.009"), line=False)
    (one,) = h.look().found
    assert (one.cause, one.amount) == (Cause.DUST, ETH("0.009"))
    h.moves(ETH("0.01"), line=False)
    assert [r.cause for r in h.look().found] == [Cause.UNKNOWN], "a whole lot is no dust"


def test_a_look_at_the_same_finds_nothing_new():
    h = House()
    h.moves(USD("5"), FlowKind.REWARD)
    h.moves(USD("7"), line=False)
    assert len(h.look().found) == 2
    written = len(h.books.journal)
    again = h.look()
    assert not again.found and len(again.standing) == 2
    assert len(h.books.journal) == written + 1, "only that it was looked"


def test_lines_of_what_is_booked_explain_nothing():
    h = House()
    h.buys()
    h.moves(USD("5"), line=False)
    assert [one.cause for one in h.look().found] == [Cause.UNKNOWN]


def test_what_was_unknown_and_comes_back_is_taken_back():
    h = House()
    h.moves(USD("5"), line=False)
    h.look()
    h.moves(USD("-3"), line=False)
    assert not h.look().found and h.vault.suspense == USD("2")
    h.moves(USD("-2"), line=False)
    found = h.look()
    assert found.clean and not h.books.residuals and h.vault.suspense == USD.zero


def test_what_comes_back_beyond_what_was_unknown_is_found_anew():
    h = House()
    h.moves(USD("5"), line=False)
    h.look()
    h.moves(USD("-8"), line=False)
    (one,) = h.look().found
    assert one.amount == USD("-3") and h.vault.suspense == USD("-3")


def test_a_line_that_comes_after_the_coins_names_them_and_takes_the_unknown_back():
    """Some venues write their ledger minutes after the balance moves."""
    h = House()
    h.moves(USD("5"), line=False)
    h.look()
    h.flows.append(CashFlow(h.books.now, USD("5"), FlowKind.REWARD, "late", "", "test"))
    h.moves(USD("1"), line=False)
    h.look()
    assert h.vault.suspense == USD("6"), "to the unit, whatever it is called"


# -- deposits and withdrawals are facts --------------------------------------------------------------------------------------


def test_a_deposit_by_hand_becomes_idle_and_nobodys_profit():
    h = House()
    h.moves(USD("500"), FlowKind.DEPOSIT)
    found = h.look()
    assert found.clean and h.vault.total == USD("20500")
    assert [r.amount for r in h.books.journal if isinstance(r, Transferred)] == [USD("500")]
    assert h.quiet.realized == h.flash.realized == USD.zero
    assert h.look().clean, "the same line is the same deposit"
    assert h.vault.total == USD("20500")


def test_a_withdrawal_by_hand_takes_idle_coins_first():
    h = House()
    h.moves(USD("-500"), FlowKind.WITHDRAWAL)
    idle = h.vault.idle
    assert h.look().clean and h.vault.idle == idle - USD("500")


def test_a_deposit_of_a_coin_without_a_vault_stands_in_suspense():
    h = House()
    h.moves(BNB("2"), FlowKind.DEPOSIT)
    assert [(one.cause, one.amount) for one in h.look().found] == [(Cause.DEPOSIT, BNB("2"))]


def test_a_deposit_that_was_asked_for_and_is_not_told_yet_is_no_residual():
    h = House()
    (transfer,) = h.desk.deposit(h.vault, "700")
    h.moves(USD("700"), line=False)
    assert h.look().clean and h.vault.total == USD("20700")
    h.desk.step(Transferred(h.books.now, USD("700"), transfer.id, "test"))
    h.holds()
    assert h.vault.total == USD("20700"), "told later, it is not booked twice"


def test_a_withdrawal_that_was_asked_for_and_is_not_told_yet_is_no_residual():
    h = House()
    (transfer,) = h.desk.withdraw(h.vault, "700", by="ann")
    h.moves(USD("-700"), line=False)
    assert h.look().clean and h.vault.total == USD("19300")
    h.desk.step(Transferred(h.books.now, USD("-700"), transfer.id, "test"))
    h.holds()
    assert h.vault.in_transit == USD.zero


# -- somebody else's trades --------------------------------------------------------------------------------------------------


def by_hand(h, side=Side.BUY, qty="0.2", price="10000", *, told=True, fee=None):
    trade = h.fill("hand-1", side, qty, price, fee=fee)
    if told:
        h.desk.step(trade)
    return trade


def test_a_trade_by_hand_is_never_guessed_into_a_sleeve():
    h = House()
    trade = by_hand(h)
    found = h.look().found
    assert {(one.amount, one.cause) for one in found} == {
        (BTC("0.2"), Cause.MANUAL_TRADE),
        (USD("-2000"), Cause.MANUAL_TRADE),
        (USD("-1"), Cause.MANUAL_TRADE),
    }
    assert all(one.ref == trade.key for one in found)
    assert h.quiet.position(BTCUSD) == h.flash.position(BTCUSD) == BTC.zero


def test_a_sleeve_adopts_a_trade_with_all_its_coins():
    h = House()
    trade = by_hand(h)
    residual = h.look().found[0]
    h.desk.adopt(residual, h.quiet, by="ann", why="meant for quiet")
    h.holds()
    assert h.quiet.position(BTCUSD) == BTC("0.2") and h.quiet.fees == USD("1") and h.quiet.free == USD("2999")
    assert not h.books.residuals and h.vault.suspense == USD.zero and not h.books.quarantine
    h.desk.step(trade)
    assert h.look().clean, "told again, it is booked already"
    assert h.quiet.position(BTCUSD) == BTC("0.2")
    h.desk.mark(h.books.now)
    assert h.desk.explain(h.quiet).exact


def test_a_trade_is_adopted_by_its_key_or_by_itself_as_well():
    for name in (lambda t: t, lambda t: t.key):
        h = House()
        trade = by_hand(h)
        h.look()
        h.desk.adopt(name(trade), h.flash, by="ann", why="hers")
        assert h.flash.position(BTCUSD) == BTC("0.2")


def test_a_sale_by_hand_of_a_sleeves_coins_closes_its_position_and_sweeps():
    h = House()
    h.buys("flash", "0.1", "10000")
    by_hand(h, Side.SELL, "0.1", "11000")
    h.look()
    assert h.flash.position(BTCUSD) == BTC("0.1"), "until somebody says whose it was"
    h.desk.adopt("test|BTC/USD|t2|hand-1", h.flash, by="ann", why="I closed it by hand")
    h.holds()
    assert h.flash.is_flat() and h.flash.realized == USD("100") and h.flash.returned == USD("98")


def test_a_trade_that_its_sleeve_cannot_bear_is_not_adopted():
    h = House()
    by_hand(h, qty="0.6")
    h.look()
    written = len(h.books.journal)
    with pytest.raises(NotEnough, match="cannot bear"):
        h.desk.adopt("test|BTC/USD|t1|hand-1", h.quiet, by="ann", why="x")
    h2 = House()
    h2.moves(BTC("1"), FlowKind.DEPOSIT)
    by_hand(h2, Side.SELL, "0.1")
    h2.look()
    with pytest.raises(NotEnough, match="cannot bear"):
        h2.desk.adopt("test|BTC/USD|t1|hand-1", h2.quiet, by="ann", why="x")
    assert len(h.books.journal) == written
    h.holds()


def test_a_trade_whose_coins_do_not_stand_in_suspense_is_not_adopted():
    h = House()
    trade = by_hand(h)
    with pytest.raises(VaultError, match="reconcile first"):
        h.desk.adopt(trade, h.quiet, by="ann", why="x")
    h.look()
    fee = next(one for one in h.books.residuals.values() if one.amount == USD("-1"))
    h.desk.adopt(fee, h.vault, by="ann", why="the core bears the fee")
    with pytest.raises(VaultError, match="does not stand in suspense"):
        h.desk.adopt(trade, h.quiet, by="ann", why="x")
    h.holds()


def test_a_trade_by_hand_in_another_quote_is_not_adopted():
    h = House()
    euro = Instrument("ETH/BTC", base=ETH, quote=BTC, tick="0.00001", lot="0.001")
    h.desk.index(euro)
    h.moves(BTC("1"), FlowKind.DEPOSIT)
    trade = h.fill("hand-1", Side.BUY, "1", "0.05", market=euro)
    h.desk.step(trade)
    h.look()
    with pytest.raises(VaultError, match="quoted in BTC"):
        h.desk.adopt(trade, h.quiet, by="ann", why="x")


def test_a_fact_that_comes_after_it_was_a_residual_leaves_suspense_when_it_is_booked():
    """Our own fill, told late: the look found its coins first."""
    h = House()
    order = h.puppets["quiet"].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"))).order
    late = h.fill(order.id, Side.BUY, "0.1", "10000")
    h.look()
    assert h.suspense(BTC) == BTC("0.1").units
    h.desk.step(late)
    h.holds()
    assert h.look().clean and not h.books.residuals
    assert h.quiet.position(BTCUSD) == BTC("0.1") and h.quiet.fees == USD("1")


# -- adopting coins ----------------------------------------------------------------------------------------------------------


def test_a_core_vault_adopts_coins_as_idle_ones():
    h = House()
    h.moves(USD("30"), FlowKind.REWARD)
    (one,) = h.look().found
    idle, tradeable = h.vault.idle, h.vault.tradeable
    h.desk.adopt(one, h.vault, by="ann", why="a rebate")
    h.holds()
    assert h.vault.idle == idle + USD("30") and h.vault.tradeable == tradeable and not h.books.residuals
    assert h.look().clean


def test_a_core_vault_bears_what_is_missing_out_of_idle_coins_then_the_reserve():
    h = House()
    idle, reserve = h.vault.idle, h.vault.reserve
    h.moves(-(idle + USD("10")), line=False)
    (one,) = h.look().found
    h.desk.adopt(one.id, h.vault, by="ann", why="gone for good")
    h.holds()
    assert h.vault.idle == USD.zero and h.vault.reserve == reserve - USD("10")


def test_a_core_vault_does_not_bear_what_sleeves_have():
    h = House()
    h.moves(USD("-15000"), line=False)
    (one,) = h.look().found
    with pytest.raises(NotEnough, match="only 10000 USD is idle or in reserve") as caught:
        h.desk.adopt(one, h.vault, by="ann", why="x")
    assert caught.value.free == USD("10000")
    h.holds()


@pytest.mark.parametrize("amount", ["30", "-30"])
def test_a_sleeve_adopts_coins_as_its_profit_or_loss(amount):
    h = House()
    h.moves(USD(amount), line=False)
    (one,) = h.look().found
    h.desk.adopt(one, h.quiet, by="ann", why="funding that was paid apart")
    h.holds()
    assert h.quiet.realized == USD(amount) and h.quiet.balance == USD("5000") + USD(amount) and h.quiet.allocation == USD("5000")
    waterfall = h.desk.explain(h.quiet)
    assert waterfall.exact and any("adopted" in line.cause for line in waterfall.lines)


def test_a_sleeve_does_not_bear_more_than_it_has_free():
    h = House()
    h.moves(USD("-5000.01"), line=False)
    (one,) = h.look().found
    with pytest.raises(NotEnough):
        h.desk.adopt(one, h.quiet, by="ann", why="x")
    h.moves(USD("0.01"), line=False)
    h.look()
    h.desk.adopt(one.id, h.quiet, by="ann", why="all of it")
    h.holds()
    assert h.quiet.free == USD.zero


def test_a_fee_in_a_coin_that_the_sleeve_has_not_is_covered_from_suspense_and_paid_for():
    h = House()
    h.moves(BNB("1"), FlowKind.DEPOSIT)
    h.look()
    order = h.puppets["quiet"].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"))).order
    h.desk.step(h.fill(order.id, Side.BUY, "0.1", "10000", fee=BNB("0.002")))
    h.holds()
    assert h.quiet.status == "close_only" and h.quiet.free_units(BNB) == -BNB("0.002").units
    (one,) = h.books.residuals.values()
    with pytest.raises(VaultError, match="say by value="):
        h.desk.adopt(one, h.quiet, by="ann", why="fee")
    idle = h.vault.idle
    h.desk.adopt(one, h.quiet, value="1.20", by="ann", why="fee in BNB")
    h.holds()
    assert h.quiet.free_units(BNB) == 0 and h.quiet.fees == USD("1.20") and h.vault.idle == idle + USD("1.20")
    assert h.suspense(BNB) == BNB("0.998").units
    h.quiet.clear(by="ann", why="covered")
    assert h.look().clean is False, "0.998 BNB still stand there"


@pytest.mark.parametrize(
    ("to", "what", "said"),
    [
        ("quiet", BNB("2"), "a core vault of BNB may adopt it"),
        ("vault", BNB("2"), "adopts its own asset"),
    ],
)
def test_coins_are_not_adopted_where_they_do_not_belong(to, what, said):
    h = House()
    h.moves(what, FlowKind.REWARD)
    (one,) = h.look().found
    with pytest.raises(VaultError, match=said):
        h.desk.adopt(one, getattr(h, to), by="ann", why="x")
    h.holds()


@pytest.mark.parametrize("what", ["r99", "", "nothing"])
def test_what_stands_nowhere_is_not_adopted(what):
    h = House()
    with pytest.raises(VaultError, match="no residual that stands here"):
        h.desk.adopt(what, h.vault, by="ann", why="x")


@pytest.mark.parametrize(("by", "why"), [("", "x"), ("  ", "x"), ("ann", ""), (None, "x")])
def test_adopting_needs_a_name_and_a_reason(by, why):
    h = House()
    h.moves(USD("5"), line=False)
    (one,) = h.look().found
    with pytest.raises(VaultError, match="a name and a reason"):
        h.desk.adopt(one, h.vault, by=by, why=why)


def test_a_residual_is_adopted_once():
    h = House()
    h.moves(USD("5"), line=False)
    (one,) = h.look().found
    h.desk.adopt(one, h.vault, by="ann", why="x")
    with pytest.raises(VaultError, match="no residual"):
        h.desk.adopt(one, h.vault, by="ann", why="x")


def test_coins_that_a_sleeve_trades_and_that_are_gone_are_its_loss_at_what_they_had_cost():
    h = House()
    h.buys("quiet", "0.1", "10000")
    h.moves(BTC("-0.04"), FlowKind.EARN)
    (one,) = h.look().found
    h.desk.adopt(one, h.quiet, by="ann", why="I moved them to earn")
    h.holds()
    assert h.quiet.position(BTCUSD) == BTC("0.06") and h.quiet.realized == USD("-400") and not h.books.residuals
    h.desk.mark(h.books.now)
    assert h.desk.explain(h.quiet).exact
    with pytest.raises(VaultError, match="no residual"):
        h.desk.adopt(one, h.quiet, by="ann", why="again")


def test_coins_that_a_sleeve_trades_and_that_were_found_are_its_gain_at_their_worth():
    h = House()
    h.buys("quiet", "0.1", "10000")
    h.moves(BTC("0.01"), FlowKind.REWARD)
    (one,) = h.look().found
    for value, said in ((None, "say by value="), ("-1", "cannot be worth")):
        with pytest.raises(VaultError, match=said):
            h.desk.adopt(one, h.quiet, value=value, by="ann", why="staking")
    h.desk.adopt(one, h.quiet, value="100", by="ann", why="staking")
    h.holds()
    assert h.quiet.position(BTCUSD) == BTC("0.11") and h.quiet.realized == USD("100") and h.quiet.slice(BTCUSD).cost == USD("1100")


def test_a_sleeve_does_not_lose_coins_that_it_has_not():
    h = House()
    h.buys("quiet", "0.1", "10000")
    h.buys("flash", "0.1", "10000")
    h.moves(BTC("-0.15"), line=False)
    (one,) = h.look().found
    with pytest.raises(NotEnough, match=r"only 0\.1 BTC of its coins are in no order"):
        h.desk.adopt(one, h.quiet, by="ann", why="x")


def test_a_flash_sleeve_whose_coins_are_all_gone_is_flat():
    h = House()
    h.buys("flash", "0.1", "10000")
    h.moves(BTC("-0.1"), line=False)
    (one,) = h.look().found
    h.desk.adopt(one, h.flash, by="ann", why="stolen")
    h.holds()
    assert h.flash.is_flat() and h.flash.realized == USD("-1000")


def test_coins_that_left_a_vault_of_their_own_block_what_trades_them():
    """A withdrawal of coins that sleeves hold: the vault of that coin is short, and nobody buys more of it."""
    books = Books()
    vaults = [CoreVault(USD, total="20000", tradeable="15000", books=books, at=0), CoreVault(BTC, total="0", books=books, at=0)]
    desk = Desk(*vaults)
    puppet = Puppet()
    puppet.sit(desk, vaults[0].sleeve("a", QUIET, allocate="5000"))
    puppet.quote("10000")
    order = puppet.buy("0.1").order
    fee, cost = USD("1"), USD("1000").units
    desk.step(Fill(order.id, 5, BTCUSD, Side.BUY, BTCUSD.qty("0.1"), BTCUSD.price("10000"), cost, fee, Liquidity.TAKER, "t1", "test"))
    line = CashFlow(6, BTC("-0.04"), FlowKind.WITHDRAWAL, "L1", "", "test")
    desk.reconcile({"USD": USD("18999"), "BTC": BTC("0.06")}, [line])
    assert vaults[1].short()
    assert puppet.buy("0.01").reason == "residual" and isinstance(puppet.sell("0.01"), SubmitOrder)


# -- what it stops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "tolerance", "comes"),
    [
        ("5", "5", "ordered"),
        ("5.01", "5", "residual"),
        ("-5", "5", "ordered"),
        ("-5.01", "5", "shortfall"),
        ("0.01", "0", "residual"),
        ("-0.01", None, "shortfall"),
    ],
)
def test_beyond_its_tolerance_nothing_takes_new_risk_in_that_asset_and_exits_go_on(amount, tolerance, comes):
    h = House(tolerances={} if tolerance is None else {USD: tolerance})
    h.buys()
    h.moves(USD(amount), line=False)
    h.look()
    assert h.tries() == comes
    assert h.tries(side=Side.SELL) == "ordered"


def test_a_residual_in_one_coin_stops_only_what_trades_that_coin():
    h = House()
    h.desk.index(ETHUSD)
    h.moves(ETH("1"), line=False)
    h.look()
    h.desk.step(_quote(ETHUSD, "2000", h))
    assert h.tries(market=ETHUSD) == "residual"
    assert h.tries(market=BTCUSD) == "ordered"


def _quote(market, price, h):
    from sleeves.market import Quote

    return Quote(market, h.books.now + SECOND, market.price(price), market.price(price))


def test_two_residuals_that_cancel_out_still_stop():
    h = House(tolerances={USD: "5"})
    h.moves(USD("5"), FlowKind.REWARD)
    h.moves(USD("-5"), FlowKind.EARN)
    h.moves(USD("1"), FlowKind.REWARD)
    h.look()
    assert h.vault.suspense == USD("1") and h.tries() == "residual"


def test_adopting_lets_it_go_on():
    h = House()
    h.moves(USD("5"), line=False)
    (one,) = h.look().found
    assert h.tries() == "residual"
    h.desk.adopt(one, h.vault, by="ann", why="a gift")
    assert h.tries() == "ordered"


def test_buys_that_rest_are_canceled_when_coins_are_missing():
    h = House()
    order = h.puppets["quiet"].wish(Place(BTCUSD, Side.BUY, BTCUSD.qty("0.1"), limit=BTCUSD.price("9000"))).order
    h.moves(USD("-1"), line=False)
    h.look()
    assert h.commands == [CancelOrder(order)]


def test_nothing_is_allocated_while_more_is_missing_than_is_tolerated():
    h = House(tolerances={USD: "10"})
    h.moves(USD("-10"), line=False)
    h.look()
    most = h.vault.remaining
    h.vault.allocate(h.quiet, "100", by="ann")
    assert h.vault.remaining == most - USD("100")
    h.moves(USD("-0.01"), line=False)
    h.look()
    with pytest.raises(VaultError, match="missing in suspense"):
        h.vault.allocate(h.quiet, "100", by="ann")


def test_what_is_missing_within_its_tolerance_is_not_given_away():
    h = House(tolerances={USD: "8000"})
    h.moves(USD("-8000"), line=False)
    h.look()
    assert h.vault.remaining.units <= h.vault.idle.units - USD("8000").units


# -- what it is told ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balances", "said"),
    [
        (None, "are Amounts by name"),
        ([], "are Amounts by name"),
        ({"USD": 20000}, "are Amounts by name"),
        ({"EUR": USD("1")}, "are Amounts by the code"),
        ({"USD": Asset("USD", 2)("1")}, "decimal places"),
    ],
)
def test_balances_that_are_none_are_refused_and_nothing_is_booked(balances, said):
    h = House()
    written = len(h.books.journal)
    with pytest.raises(VaultError, match=said):
        h.desk.reconcile(balances)
    assert len(h.books.journal) == written


def test_a_wallet_of_no_vault_is_refused():
    h = House()
    with pytest.raises(VaultError, match="no vault here is of a wallet 'cold'"):
        h.desk.reconcile(h.coins, wallet="cold")


@pytest.mark.parametrize("amount", ["-1", -1])
def test_a_tolerance_is_not_negative_and_of_an_asset(amount):
    with pytest.raises(VaultError, match="tolerance"):
        House(tolerances={USD: amount})
    with pytest.raises(VaultError, match="by Asset"):
        House(tolerances={"USD": "1"})


def test_a_look_prints_as_a_table():
    h = House()
    h.moves(USD("12.5"), FlowKind.REWARD)
    text = str(h.look())
    assert text.splitlines()[0].split() == ["asset", "venue", "holds", "books", "had", "in", "suspense", "cause"]
    assert "20012.5" in text and "reward" in text


# -- contracts ---------------------------------------------------------------------------------------------------------------


def test_contracts_that_do_not_agree_are_shown_told_once_and_stop_new_risk_in_them():
    from sleeves import SOL, USDC
    from sleeves.market import Kind

    perp = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
    vault = CoreVault(USDC, total="1000", tradeable="1000", at=0)
    sleeve = vault.sleeve("a", QUIET, allocate="1000")
    desk = Desk(vault)
    puppet = Puppet(perp)
    puppet.sit(desk, sleeve)
    puppet.quote("100")
    held = {"USDC": USDC("1000")}
    theirs = {"SOL-PERP": Position(perp, SOL("1").units, -USDC("100").units)}
    found, _ = desk.reconcile(held, positions=theirs)
    assert [(one.symbol, one.ours, one.theirs[0]) for one in found.contracts] == [("SOL-PERP", (0, 0), SOL("1").units)]
    assert not found.clean and "SOL-PERP" in str(found)
    desk.reconcile(held, positions=theirs)
    assert [r.code for r in desk.books.journal if isinstance(r, Alert)] == ["position_mismatch"]
    assert puppet.buy("1").reason == "mismatch"
    found, _ = desk.reconcile(held, positions={})
    assert found.clean and isinstance(puppet.buy("1"), SubmitOrder)


# -- over a venue ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_human_trades_by_hand_on_the_account_of_a_running_desk(backend):
    """The whole story on the paper venue: found, named, adopted; the venue's coins are the books' to the unit."""
    tape = Tape.sample().slice(0, 50)
    market = tape.instrument
    vault = CoreVault(USD, total="20000", tradeable="15000", at=tape.at[0] - 1)
    sleeve = vault.sleeve("quiet", QUIET, allocate="10000")
    desk = Desk(vault)
    puppet = Puppet(market)
    puppet.sit(desk, sleeve)
    venue = VirtualDriver(tape, {"USD": USD("20000")}, Rules(), name="sim")

    async def story():
        from sleeves.live import carry

        events = venue.events()
        for n in range(40):
            event = await anext(events)
            if n == 5:
                puppet.wishes = [Place(market, Side.BUY, market.qty("0.5"))]
            if n == 10:
                await venue.submit(Order("by-hand", "", Place(market, Side.BUY, market.qty("0.25")), desk.books.now))
            await carry(desk, desk.step(event), venue)
        await events.aclose()
        venue.credit(USD("3.21"), FlowKind.REWARD)
        (found,) = await reconcile(desk, venue)
        assert {one.cause for one in found.found} == {Cause.MANUAL_TRADE, Cause.REWARD}
        desk.check(await venue.balances(), deep=True).require()
        reward = next(one for one in found.found if one.cause is Cause.REWARD)
        desk.adopt(reward, vault, by="ann", why="a rebate")
        desk.adopt(next(one for one in found.found if one.cause is Cause.MANUAL_TRADE), sleeve, by="ann", why="hers")
        (found,) = await reconcile(desk, venue)
        assert found.clean and sleeve.position(market) == market.base("0.75")
        desk.check(await venue.balances(), deep=True).require()

    anyio.run(story, backend=backend)


def test_the_suspense_accounts_are_named_by_cause_and_residual():
    h = House()
    h.moves(USD("5"), FlowKind.REWARD)
    (one,) = h.look().found
    assert one.of == "reward:r1"
    assert h.books.ledger.balance(Account(h.vault.owner, Role.SUSPENSE, "reward:r1"), USD) == USD("5")
