"""Coins between the wallet and the sub-accounts that back sleeves: told steps, refusals, restarts, and a law over all of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers import Puppet
from sleeves import FLASH, QUIET, SOL, USDC, Books, CoreVault, Desk, Instrument, Place, ProfitPolicy, Side, Treasury
from sleeves.errors import NotEnough, VaultError
from sleeves.facts import CashFlow, FlowKind, Settled, Shifted, Transferred, TransferRefused
from sleeves.journal import Memory
from sleeves.ledger import Role
from sleeves.margin import health_bp
from sleeves.market import SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Fill, Liquidity, SubmitOrder, Transfer
from sleeves.records import Alert, Asked, Refusal
from sleeves.vault import SubAccount

MARKETS = {n: Instrument(f"SOL-PERP:{n}", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP, venue="v") for n in (0, 1, 2)}
HALF = ProfitPolicy.above_high_water("50%")


class Chain:
    """What the venue has in each sub-account. It moves coins when it is told to, and tells when the test says so."""

    def __init__(self, desk, total):
        self.desk, self.coins, self.facts, self.sent = desk, {0: total}, 0, []

    def take(self, commands):
        """Keep transfers as sent; give back the rest."""
        self.sent += [one for one in commands if isinstance(one, Transfer)]
        return [one for one in commands if not isinstance(one, Transfer)]

    def move(self, transfer, units=None):
        """It lands; what the venue will tell of it."""
        units = transfer.amount.units if units is None else units
        assert transfer.inside
        self.coins[transfer.source] = self.coins.get(transfer.source, 0) - units
        self.coins[transfer.target] = self.coins.get(transfer.target, 0) + units
        self.sent.remove(transfer)
        return Shifted(self.desk.books.now, USDC.units(units), transfer.source, transfer.target, transfer.id, "v")

    def land(self, transfer=None):
        """It lands and is told."""
        self.take(self.desk.step(self.move(transfer or self.sent[0])))

    def all(self):
        while self.sent:
            self.land()

    @property
    def holdings(self):
        return {account: {"USDC": USDC.units(units)} for account, units in self.coins.items()}

    @property
    def balances(self):
        return {"USDC": USDC.units(sum(self.coins.values()))}


class Stand:
    """A vault of 1,000 USDC with sleeves that lie in sub-accounts 1 and 2, and one that lies in none."""

    def __init__(self, first=FLASH, journal=None):
        self.vault = CoreVault(USDC, total="1000", tradeable="900", books=Books(Memory() if journal is None else journal))
        self.desk = Desk(self.vault, settle_above=0)
        self.chain = Chain(self.desk, USDC("1000").units)
        self.told = 0
        self.sit({"a": (first, 1), "b": (QUIET, 2), "c": (QUIET, None)})

    def sit(self, sleeves):
        for name, (policy, account) in sleeves.items():
            if name not in self.vault.sleeves:
                self.vault.sleeve(name, policy, account=account)
            puppet = Puppet(MARKETS[account or 0], name)
            puppet.sit(self.desk, self.vault.sleeves[name])
        self.price()

    def __getitem__(self, name):
        return self.vault.sleeves[name]

    def price(self, price="100"):
        for market in MARKETS.values():
            self.chain.take(
                self.desk.quote(self.desk.index(market), self.desk.books.now + SECOND, market.price(price), market.price(price))
            )

    def trade(self, name, side, qty, price):
        """An order filled at once."""
        market = MARKETS[self[name].account or 0]
        self.price(price)
        sent = self.desk.order(self[name], Place(market, side, market.qty(qty), reduce_only=False), by="test")
        assert not isinstance(sent, Refusal), sent
        order = next(one.order for one in sent if isinstance(one, SubmitOrder))
        units, at = order.place.qty, market.price(price)
        self.told += 1
        fill = Fill(
            order.id,
            self.desk.books.now,
            market,
            side,
            units,
            at,
            market.cost(at, units, Rounding.CEIL if side is Side.BUY else Rounding.FLOOR),
            USDC.zero,
            Liquidity.TAKER,
            f"t{self.told}",
            "v",
        )
        return self.chain.take(self.desk.step(fill))

    def settle(self, name, amount, fee=0):
        """The venue turns what is unsettled into coins of the sub-account."""
        account = self[name].account or 0
        self.told += 1
        self.chain.coins[account] = self.chain.coins.get(account, 0) + amount
        self.chain.take(self.desk.step(Settled(self.desk.books.now, MARKETS[account], amount, f"s{self.told}", "v", fee)))

    def earn(self, name, per_coin):
        """A round trip of one coin, settled."""
        self.trade(name, Side.BUY, "1", "100")
        self.trade(name, Side.SELL, "1", str(100 + per_coin))
        self.settle(name, USDC(str(per_coin)).units)

    def prove(self):
        self.desk.check(self.chain.balances, accounts=self.chain.holdings, deep=True).require()

    def between(self, name):
        return self[name].between


def alerts(desk, code):
    return [one for one in desk.books.journal if isinstance(one, Alert) and one.code == code]


@pytest.fixture
def stand():
    return Stand()


# -- out -------------------------------------------------------------------------------------------------------------------


def test_what_is_allocated_is_asked_for_and_is_the_sleeves_when_the_venue_says_so(stand):
    stand.vault.allocate(stand["a"], "100")
    assert (stand["a"].allocation, stand["a"].free, stand.between("a")) == (USDC("100"), USDC("0"), USDC("100"))
    assert stand.vault.remaining == USDC("800")
    stand.prove()
    stand.price()
    (sent,) = stand.chain.sent
    assert sent == Transfer("main-transfer-1", USDC("100"), "", 0, 1)
    assert stand.desk.transfers == ["main-transfer-1"]
    assert any(isinstance(r, Asked) and r.sleeve == "a" and r.transfer == sent for r in stand.desk.books.journal)
    stand.prove()  # it lies at either end
    stand.chain.land()
    assert (stand["a"].free, stand.between("a"), stand.desk.transfers) == (USDC("100"), USDC("0"), [])
    assert stand.vault.total == USDC("1000")
    stand.prove()


def test_a_sleeve_can_be_opened_with_an_allocation(stand):
    sleeve = stand.vault.sleeve("d", QUIET, allocate="50", account=7)
    stand.price()
    stand.chain.all()
    assert (sleeve.free, stand.chain.coins[7]) == (USDC("50"), USDC("50").units)
    stand.prove()


def test_one_sum_at_a_time_for_each_sleeve_and_sleeves_beside_each_other(stand):
    stand.vault.allocate(stand["a"], "100")
    stand.vault.allocate(stand["b"], "50")
    stand.price()
    assert [one.target for one in stand.chain.sent] == [1, 2]
    stand.vault.allocate(stand["a"], "10")
    stand.price()
    assert len(stand.chain.sent) == 2
    stand.chain.land(stand.chain.sent[0])
    assert [(one.target, one.amount) for one in stand.chain.sent] == [(2, USDC("50")), (1, USDC("10"))]
    stand.chain.all()
    assert (stand["a"].free, stand["b"].free) == (USDC("110"), USDC("50"))
    stand.prove()


def test_while_a_position_is_open_coins_set_out_at_once(stand):
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    stand.chain.all()
    stand.trade("a", Side.BUY, "0.5", "100")
    stand.vault.allocate(stand["a"], "10")
    assert stand["a"].pending == USDC("0")
    stand.price()
    stand.chain.all()
    assert stand["a"].allocation == USDC("110")
    stand.prove()


@pytest.mark.parametrize("number", [-1, 65536, 1.0, True, "1"])
def test_a_sub_account_is_a_number_that_the_venue_can_have(stand, number):
    with pytest.raises(VaultError, match="0 to 65535"):
        stand.vault.sleeve("x", QUIET, account=number)
    assert "x" not in stand.vault.sleeves


def test_more_than_remains_is_refused_and_nothing_is_asked_for(stand):
    with pytest.raises(NotEnough):
        stand.vault.allocate(stand["a"], "900.000001")
    stand.price()
    assert not stand.chain.sent


def test_a_refusal_makes_an_allocation_idle_again(stand):
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    (sent,) = stand.chain.sent
    stand.desk.step(TransferRefused(stand.desk.books.now, sent.id, "frozen"))
    assert (stand["a"].allocation, stand.between("a"), stand.vault.remaining) == (USDC("0"), USDC("0"), USDC("900"))
    assert [one.subject for one in alerts(stand.desk, "transfer_refused")] == ["a"]
    stand.price()
    assert stand.chain.sent == [sent], "it is not asked for again"
    stand.prove()


# -- home -------------------------------------------------------------------------------------------------------------------


def funded(**terms):
    stand = Stand(**terms)
    for name in "ab":
        stand.vault.allocate(stand[name], "300")
    stand.vault.allocate(stand["c"], "100")
    stand.price()
    stand.chain.all()
    return stand


def test_reclaimed_coins_are_idle_when_they_have_come():
    stand = funded()
    stand.vault.reclaim(stand["a"], "120")
    assert (stand["a"].free, stand.between("a"), stand["a"].allocation) == (USDC("180"), USDC("120"), USDC("300"))
    stand.price()
    assert stand.chain.sent == [Transfer("main-transfer-3", USDC("120"), "", 1, 0)]
    stand.prove()
    stand.chain.land()
    assert (stand["a"].allocation, stand.vault.idle) == (USDC("180"), USDC("420"))
    stand.prove()


def test_what_has_not_set_out_is_taken_back_at_once(stand):
    stand.vault.allocate(stand["a"], "100")
    stand.vault.reclaim(stand["a"], "30")
    assert (stand["a"].allocation, stand.between("a")) == (USDC("70"), USDC("70"))
    with pytest.raises(NotEnough):
        stand.vault.reclaim(stand["a"], "70.000001")
    stand.price()
    with pytest.raises(NotEnough):
        stand.vault.reclaim(stand["a"], "0.000001")
    stand.chain.all()
    stand.prove()


def test_a_flash_sleeves_profit_is_swept_home_and_raises_tradeable_when_it_is_there():
    stand = funded()
    stand.earn("a", 7)
    (sent,) = stand.chain.sent
    assert (sent.amount, sent.source, sent.target) == (USDC("7"), 1, 0)
    assert (stand.vault.tradeable, stand["a"].free, stand["a"].returned) == (USDC("900"), USDC("300"), USDC("0"))
    stand.prove()
    stand.chain.land()
    assert (stand.vault.tradeable, stand["a"].returned, stand["a"].allocation) == (USDC("907"), USDC("7"), USDC("300"))
    stand.prove()


def test_profit_on_its_way_is_not_swept_twice():
    stand = funded()
    stand.earn("a", 7)
    stand.earn("a", 5)
    assert [one.amount for one in stand.chain.sent] == [USDC("7")]
    assert stand.between("a") == USDC("12")
    stand.chain.all()
    assert (stand["a"].returned, stand.vault.tradeable) == (USDC("12"), USDC("912"))
    stand.prove()


def test_a_share_of_new_profit_is_measured_with_what_is_on_its_way():
    stand = funded(first=HALF)
    stand.earn("a", 10)
    stand.earn("a", 10)
    stand.chain.all()
    assert (stand["a"].returned, stand["a"].free) == (USDC("10"), USDC("310"))
    assert stand["a"].high_water_units() == USDC("10").units
    stand.prove()


def test_a_refused_sweep_is_the_sleeves_again_and_goes_with_the_next_close():
    stand = funded()
    stand.earn("a", 7)
    stand.desk.step(TransferRefused(stand.desk.books.now, stand.chain.sent.pop().id, "expired"))
    assert (stand["a"].free, stand.between("a"), stand.vault.tradeable) == (USDC("307"), USDC("0"), USDC("900"))
    stand.prove()
    stand.earn("a", 1)
    stand.chain.all()
    assert (stand["a"].returned, stand.vault.tradeable) == (USDC("8"), USDC("908"))
    stand.prove()


def test_reclaimed_beyond_its_allocation_is_profit():
    stand = funded()
    stand.earn("b", 20)
    assert not stand.chain.sent, "a quiet sleeve keeps it"
    stand.vault.reclaim(stand["b"], "310")
    stand.price()
    stand.chain.all()
    assert (stand["b"].allocation, stand["b"].returned, stand["b"].free) == (USDC("0"), USDC("10"), USDC("10"))
    stand.prove()


def test_coins_that_contracts_lean_on_stay():
    """With 250 of contracts behind 300 coins, health is 96 at the default 5%: at 250 left it is 95, at 60 it is below 80."""
    stand = funded()
    stand.trade("a", Side.BUY, "2.5", "100")
    stand.vault.reclaim(stand["a"], "50")
    stand.price()
    assert len(stand.chain.sent) == 1
    stand.chain.land()
    joint = stand.desk.account(stand.vault, 1)
    assert health_bp(joint) >= 8000
    free = stand["a"].free
    stand.vault.reclaim(stand["a"], free)
    stand.price()
    left = stand.desk.account(stand.vault, 1)
    assert (len(stand.chain.sent) == 1) == (health_bp(left) >= 8000 and stand.between("a") == free)
    if health_bp(joint) >= 8000 > health_bp(left):
        assert stand["a"].free == free
    stand.prove()


def test_health_at_the_threshold_exactly():
    """A requirement of 12.5 (250 at 5%): 62.5 coins are health 80, one unit less is below."""
    for left, goes in (("62.5", True), ("62.499999", False)):
        stand = funded()
        stand.trade("a", Side.BUY, "2.5", "100")
        spare = stand["a"].balance.units - USDC(left).units
        if spare > stand["a"].free_units():
            pytest.skip(f"only {stand['a'].free} of {stand['a'].balance} is free")
        stand.vault.reclaim(stand["a"], USDC.units(spare))
        stand.price()
        assert bool(stand.chain.sent) is goes
        assert bool(alerts(stand.desk, "shift_unfit")) is not goes
        stand.prove()


def test_without_a_fresh_price_nothing_leaves_from_under_contracts():
    stand = funded()
    stand.trade("a", Side.BUY, "1", "100")
    stand.desk.books.now += 3600 * SECOND
    stand.vault.reclaim(stand["a"], "1")
    stand.chain.take(stand.desk.pass_time(stand.desk.books.now))
    assert not stand.chain.sent
    assert "no fresh price" in alerts(stand.desk, "shift_unfit")[0].text
    assert stand.between("a") == USDC("0")


# -- what does not fit --------------------------------------------------------------------------------------------------------


def test_the_same_shift_told_twice_changes_nothing():
    stand = Stand()
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    fact = stand.chain.move(stand.chain.sent[0])
    for _ in range(3):
        stand.desk.step(fact)
    assert stand["a"].free == USDC("100")
    stand.prove()


@pytest.mark.parametrize("came", ["99.999999", "0.000001"])
def test_less_came_than_was_asked_for(stand, came):
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    stand.chain.take(stand.desk.step(stand.chain.move(stand.chain.sent[0], USDC(came).units)))
    assert (stand["a"].free, stand["a"].allocation, stand.between("a")) == (USDC(came), USDC(came), USDC("0"))
    assert len(alerts(stand.desk, "shift_mismatch")) == 1
    stand.prove()


def test_more_came_than_was_asked_for_and_a_human_says_that_it_is_right(stand):
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    stand.chain.take(stand.desk.step(stand.chain.move(stand.chain.sent[0], USDC("101").units)))
    assert stand["a"].free == USDC("100")
    found, _ = stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert [(one.account, one.off) for one in found.misplaced] == [(0, -USDC("1")), (1, USDC("1"))]
    assert not found.clean
    assert "sub-account 1 holds" in str(found)
    stand.desk.follow(stand.vault, 1, by="ann", why="it was 101")
    assert stand["a"].allocation == USDC("101")
    assert not stand.desk.books.misplaced["main"]
    stand.prove()


def test_a_shift_that_nobody_asked_for_moves_nothing_in_the_books_and_stops_new_risk_there():
    stand = funded()
    stand.chain.coins[1] -= USDC("40").units
    stand.chain.coins[0] += USDC("40").units
    stand.desk.step(Shifted(stand.desk.books.now, USDC("40"), 1, 0, "by hand", "v"))
    assert stand["a"].free == USDC("300")
    assert len(alerts(stand.desk, "shift_unasked")) == 1
    stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert len(alerts(stand.desk, "misplaced")) == 2
    stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert len(alerts(stand.desk, "misplaced")) == 2, "once for each"
    place = Place(MARKETS[1], Side.BUY, MARKETS[1].qty("1"))
    refused = stand.desk.order(stand["a"], place, by="ann")
    assert isinstance(refused, Refusal)
    assert (refused.gate, refused.reason) == ("status", "backing")
    assert isinstance(stand.desk.order(stand["c"], Place(MARKETS[0], Side.BUY, 10**7), by="ann"), Refusal), "the main account has too much"
    assert not isinstance(stand.desk.order(stand["b"], Place(MARKETS[2], Side.BUY, 10**7), by="ann"), Refusal)
    stand.desk.follow(stand.vault, 1, by="ann", why="moved by hand")
    assert (stand["a"].free, stand["a"].allocation) == (USDC("260"), USDC("260"))
    assert not isinstance(stand.desk.order(stand["a"], place, by="ann"), Refusal)


@pytest.mark.parametrize(
    ("account", "by", "why"), [(1, "ann", "x"), (1, "", "x"), (1, "ann", ""), (0, "ann", "x"), (9, "ann", "x"), ("1", "ann", "x")]
)
def test_nothing_is_followed_that_no_look_has_found(account, by, why):
    stand = funded()
    stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    with pytest.raises(VaultError):
        stand.desk.follow(stand.vault, account, by=by, why=why)


def test_a_sleeve_cannot_follow_beyond_what_it_has():
    stand = funded()
    stand.trade("a", Side.BUY, "2.5", "100")
    stand.chain.coins[1] -= USDC("300").units
    stand.chain.coins[0] += USDC("300").units
    stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    before = stand["a"].allocation
    with pytest.raises(NotEnough):
        stand.desk.follow(stand.vault, 1, by="ann", why="x")
    assert stand["a"].allocation == before


def test_given_up_and_come_all_the_same():
    stand = Stand()
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    (sent,) = stand.chain.sent
    stand.chain.take(stand.desk.give_up(sent.id, by="ann", why="no word"))
    assert stand.vault.remaining == USDC("900")
    stand.chain.take(stand.desk.step(stand.chain.move(sent)))
    found, _ = stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert {one.account for one in found.misplaced} == {0, 1}
    stand.desk.follow(stand.vault, 1, by="ann", why="it came")
    assert stand["a"].free == USDC("100")
    stand.prove()


def test_holdings_and_balances_of_two_instants_are_refused():
    stand = funded()
    with pytest.raises(VaultError, match="two instants"):
        stand.desk.reconcile({"USDC": USDC("1000.000001")}, holdings=stand.chain.holdings)
    for wrong in ([], {0: []}, {"0": {}}, {0: {"USDC": 5}}, {0: {"SOL": USDC("1")}}, {True: {}}):
        with pytest.raises(VaultError):
            stand.desk.reconcile(stand.chain.balances, holdings=wrong)


def test_a_deposit_into_a_sub_account_is_in_suspense_and_misplaced():
    stand = funded()
    stand.chain.coins[2] += 5
    found, _ = stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert [one.amount for one in found.standing] == [USDC.units(5)]
    assert [(one.account, one.off.units) for one in found.misplaced] == [(2, 5)]
    stand.desk.adopt(found.standing[0], stand["b"], by="ann", why="a gift")
    assert stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)[0].clean
    stand.prove()


# -- who trades where ---------------------------------------------------------------------------------------------------------


def test_a_sleeve_trades_in_its_own_sub_account_and_nowhere_else():
    stand = funded()
    stand.desk.index(MARKETS[0])
    for name, there in (("a", 2), ("a", 0), ("c", 1)):
        refused = stand.desk.order(stand[name], Place(MARKETS[there], Side.BUY, 10**7), by="ann")
        assert isinstance(refused, Refusal)
        assert (refused.gate, refused.reason) == ("quote", "account")
    assert not isinstance(stand.desk.order(stand["c"], Place(MARKETS[0], Side.BUY, 10**7), by="ann"), Refusal)


def test_the_account_that_a_sleeve_shares_is_its_sub_account():
    stand = funded()
    stand.trade("a", Side.BUY, "1", "100")
    own, main = stand.desk.account(stand.vault, 1), stand.desk.account(stand.vault)
    assert [(one.symbol, one.base) for one in own.contracts] == [("SOL-PERP:1", 10**9)]
    assert own.coins[0].units == USDC("300").units
    assert not main.contracts
    assert main.coins[0].units == USDC("400").units
    shown = str(stand.desk.exposure(stand.vault, 1))
    assert "sub-account 1" in shown
    assert "core:main:USDC idle" not in shown


def test_a_backing_is_where_the_sleeve_lies():
    stand = Stand()
    assert stand.desk.engines["a"].backing == SubAccount("main", 1)
    sleeve = stand.vault.sleeve("d", QUIET, account=3)
    with pytest.raises(VaultError, match="sub-account 3"):
        stand.desk.assign(Puppet(MARKETS[1], "d"), to=sleeve, backing=SubAccount("v", 1))
    stand.desk.assign(Puppet(MARKETS[1], "d"), to=sleeve, backing=SubAccount("v", 3))


def test_an_alert_of_health_names_the_sub_account():
    stand = funded()
    stand.trade("a", Side.BUY, "9", "100")
    stand.price("71")
    texts = [one.text for one in alerts(stand.desk, "health")]
    assert texts
    assert all(text.startswith("sub-account 1: ") for text in texts)


# -- interest, and what a settlement cost ----------------------------------------------------------------------------------------


def interest(stand, account, units, line="i1"):
    stand.chain.coins[account] += units
    flow = CashFlow(stand.desk.books.now, USDC.units(units), FlowKind.INTEREST, line, "", "v", account)
    return stand.desk.reconcile(stand.chain.balances, [flow], holdings=stand.chain.holdings)[0]


def test_interest_is_the_sleeves_whose_coins_earned_it():
    stand = funded()
    assert interest(stand, 1, 123).clean
    assert (stand["a"].free_units(), stand["a"].realized.units) == (USDC("300").units + 123, 123)
    assert not alerts(stand.desk, "residual_found")
    again = CashFlow(stand.desk.books.now, USDC.units(123), FlowKind.INTEREST, "i1", "", "v", 1)
    assert stand.desk.reconcile(stand.chain.balances, [again], holdings=stand.chain.holdings)[0].clean
    stand.prove()


def test_interest_of_the_main_account_is_the_core_vaults():
    stand = funded()
    assert interest(stand, 0, 7).clean
    assert stand.vault.idle == USDC.units(USDC("300").units + 7)
    stand.prove()


def test_interest_of_sleeves_that_share_a_sub_account_is_shared_by_what_they_have():
    stand = funded()
    stand.vault.sleeve("d", QUIET, allocate="100", account=1)
    stand.price()
    stand.chain.all()
    assert interest(stand, 1, 101).clean
    assert (stand["a"].free_units() - USDC("300").units, stand["d"].free_units() - USDC("100").units) == (76, 25)
    stand.prove()


def test_interest_owed_that_nobody_can_pay_stands_in_suspense():
    stand = Stand()
    stand.chain.coins[1] = 0
    found = interest(stand, 1, -1)
    assert [one.amount.units for one in found.standing] == [-1]
    stand = funded()
    assert interest(stand, 1, -1).clean
    assert stand["a"].free_units() == USDC("300").units - 1
    stand.prove()


def test_a_fee_charged_with_a_settlement_is_a_fee_of_the_sleeve():
    stand = funded()
    stand.trade("a", Side.BUY, "1", "100")
    stand.trade("a", Side.SELL, "1", "90")
    stand.settle("a", -USDC("10").units - 25, fee=25)
    assert (stand["a"].free_units(), stand["a"].fees.units, stand["a"].unsettled.units) == (USDC("290").units - 25, 25, 0)
    stand.prove()
    stand.trade("a", Side.BUY, "1", "100")
    stand.settle("a", 0, fee=10_000)
    assert (stand["a"].unsettled.units, stand["a"].fees.units) == (-10_000, 10_025)
    stand.prove()


# -- over a restart ----------------------------------------------------------------------------------------------------------


def reopened(stand):
    """A second process on the same journal; what it does not know, the chain tells."""
    again = Stand.__new__(Stand)
    journal = Memory()
    journal.append(*stand.desk.books.journal)
    treasury = Treasury.reopen(Books(journal))
    again.vault = treasury.vaults[0]
    again.desk = Desk(again.vault, settle_above=0)
    again.chain, again.told = stand.chain, stand.told
    again.chain.desk = again.desk
    again.sit({name: (sleeve.policy, sleeve.account) for name, sleeve in stand.vault.sleeves.items()})
    again.chain.take(again.desk.recovered())
    again.price()
    return again


def test_what_was_asked_for_before_a_restart_is_known_after_it():
    stand = Stand()
    stand.vault.allocate(stand["a"], "100")
    stand.price()
    again = reopened(stand)
    assert again["a"].account == 1
    assert again.desk.transfers == ["main-transfer-1"]
    again.chain.land()
    assert again["a"].free == USDC("100")
    again.vault.allocate(again["b"], "5")
    again.price()
    assert again.chain.sent[0].id == "main-transfer-2"
    again.chain.all()
    again.prove()


def test_what_was_not_asked_for_yet_is_asked_for_after_a_restart():
    stand = Stand()
    stand.vault.allocate(stand["a"], "100")
    again = reopened(stand)
    again.chain.all()
    assert again["a"].free == USDC("100")
    again.prove()


def test_a_pool_has_no_sub_accounts():
    from sleeves.megavault import Megavault, Terms

    stand = Stand()
    with pytest.raises(VaultError, match="one account"):
        Megavault(stand.vault, terms=Terms())
    alone = CoreVault(USDC, total=0, tradeable=0)
    Megavault(alone, terms=Terms())
    with pytest.raises(VaultError, match="cannot have sub-account 1"):
        alone.sleeve("x", QUIET, account=1)


# -- the law ---------------------------------------------------------------------------------------------------------------------


class Moving(RuleBasedStateMachine):
    """Whatever is allocated, reclaimed and earned, and however moves are told, lost, refused or told twice: every coin is where the
    books say, no coin is made, and Tradeable rises by what came home as profit and by nothing else."""

    @initialize(policy=st.sampled_from([FLASH, QUIET, HALF]))
    def begin(self, policy):
        self.stand = Stand(first=policy)
        self.told = []
        self.made = 0

    @rule(name=st.sampled_from("abc"), units=st.integers(1, 400_000_000))
    def allocate(self, name, units):
        try:
            self.stand.vault.allocate(self.stand[name], USDC.units(units))
        except NotEnough:
            return
        if units % 3:
            self.stand.price()

    @rule(name=st.sampled_from("abc"), units=st.integers(1, 400_000_000))
    def reclaim(self, name, units):
        try:
            self.stand.vault.reclaim(self.stand[name], USDC.units(units))
        except NotEnough:
            return
        if units % 3:
            self.stand.price()

    @rule(name=st.sampled_from("ab"), per=st.integers(-9, 30))
    def trade(self, name, per):
        if self.stand[name].free_units() < USDC("30").units or not per:
            return
        self.stand.earn(name, per)
        self.made += USDC(str(per)).units

    @precondition(lambda self: self.stand.chain.sent)
    @rule(data=st.data())
    def lands(self, data):
        fact = self.stand.chain.move(data.draw(st.sampled_from(self.stand.chain.sent)))
        if data.draw(st.booleans()):
            self.stand.chain.take(self.stand.desk.step(fact))
        else:
            self.told.append(fact)

    @precondition(lambda self: self.told)
    @rule(data=st.data(), again=st.booleans())
    def is_told(self, data, again):
        fact = self.told.pop(data.draw(st.integers(0, len(self.told) - 1)))
        for _ in range(1 + again):
            self.stand.chain.take(self.stand.desk.step(fact))

    @precondition(lambda self: self.stand.chain.sent)
    @rule(data=st.data())
    def refused(self, data):
        lost = data.draw(st.sampled_from(self.stand.chain.sent))
        self.stand.chain.sent.remove(lost)
        self.stand.chain.take(self.stand.desk.step(TransferRefused(self.stand.desk.books.now, lost.id, "no")))

    @rule()
    def restart(self):
        self.stand = reopened(self.stand)

    @invariant()
    def holds(self):
        if not hasattr(self, "stand"):
            return
        stand = self.stand
        stand.desk.check(stand.chain.balances, accounts=stand.chain.holdings).require()
        assert stand.vault.total.units == USDC("1000").units + self.made
        swept = sum(sleeve.returned.units for sleeve in stand.vault.sleeves.values())
        reclaimed = stand.vault.tradeable.units - USDC("900").units
        assert reclaimed == swept
        assert stand.vault.remaining.units >= 0

    def teardown(self):
        if hasattr(self, "stand"):
            for fact in self.told:
                self.stand.chain.take(self.stand.desk.step(fact))
            self.stand.price()
            self.stand.chain.all()
            self.stand.prove()
            apart = [one for one in self.stand.vault.sleeves.values() if one.apart]
            for sleeve in apart:
                assert not sleeve.between.units
                cells = self.stand.desk.books.ledger.cells(sleeve.name)
                assert sum(units for account, _, units in cells if account.role in (Role.FREE, Role.HELD, Role.MARGIN)) == (
                    self.stand.chain.coins.get(sleeve.account, 0)
                )


TestMoving = Moving.TestCase
TestMoving.settings = settings(stateful_step_count=30, deadline=None)


def test_a_deposit_still_comes_to_the_main_account(stand):
    (sent,) = stand.desk.deposit(stand.vault, "10")
    assert not sent.inside
    stand.chain.coins[0] += USDC("10").units
    stand.desk.step(Transferred(stand.desk.books.now, USDC("10"), sent.id, "v"))
    assert stand.vault.total == USDC("1010")
    stand.prove()


@pytest.mark.parametrize("bad", [(0, None), (None, 1), (1, 1), (-1, 0), (0, 1.0), (True, 0)])
def test_a_transfer_within_the_account_names_two_sub_accounts(bad):
    with pytest.raises(ValueError, match="need two numbers"):
        Transfer("t", USDC("1"), "", *bad)
    with pytest.raises(ValueError, match="above zero"):
        Transfer("t", Amount(-1, USDC), "", 0, 1)
