"""A pool of several investors, as stories with exact figures: who brings what, what befalls it, and what each takes out.

Attackers have their own: they give money away, come and leave in loops, look before they decide, and name themselves badly.
"""

from __future__ import annotations

import inspect
from fractions import Fraction

import anyio
import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, carry
from sleeves import BTC, FLASH, QUIET, USD, Books, CoreVault, Desk, Instrument, Megavault, Treasury
from sleeves.errors import JournalError, NotEnough, SleevesError, VaultError
from sleeves.facts import Transferred, TransferRefused
from sleeves.journal import Memory
from sleeves.journals import SQLite
from sleeves.ledger import Entry, Role
from sleeves.live import carry as carry_out
from sleeves.live import trade
from sleeves.market import DAY, HOUR, MINUTE, SECOND, Kind, Mark
from sleeves.money import Amount
from sleeves.orders import Transfer
from sleeves.proof import prove
from sleeves.quoting import QuotingParams
from sleeves.records import Alert, Cause, Changed, Opened, Residual
from sleeves.shares import Fees, Rules, ShareError, Terms
from sleeves.sim import Tape, VirtualDriver
from sleeves.state import State
from sleeves.status import Hold, Status
from sleeves.verify import verify
from standing import ledger_of

T0 = 1_700_000_000 * SECOND
YEAR = 365 * DAY
UNIT = 10**6
PLAIN = Terms(virtual=0)


def pool_of(terms=PLAIN, total="0", **kwargs):
    """(vault, pool) with nothing in it."""
    vault = CoreVault(USD, total=total, at=T0)
    return vault, Megavault(vault, terms=terms, at=T0, **kwargs)


def rule(raised) -> str:
    return raised.value.rule


def refused(broken, call, *args, **kwargs):
    """The call breaks this rule of the pool."""
    with pytest.raises(ShareError) as raised:
        call(*args, **kwargs)
    assert raised.value.rule == broken, raised.value
    return str(raised.value)


def unchanged(pool, call, *args, error=SleevesError, **kwargs):
    """The call raises, and nothing was written."""
    written, ledger = len(pool.books.journal), ledger_of(pool.books.ledger)
    with pytest.raises(error) as raised:
        call(*args, **kwargs)
    assert len(pool.books.journal) == written and ledger_of(pool.books.ledger) == ledger
    return raised.value


class House:
    """A pool whose sub-vault `spot` holds a coin that it has bought through a desk."""

    def __init__(self, terms=PLAIN, policy=QUIET, books=None, **kwargs):
        self.vault = CoreVault(USD, total="0", at=T0, books=books, **kwargs)
        self.pool = Megavault(self.vault, terms=terms, at=T0)
        self.sleeve = self.vault.sleeve("spot", policy, at=T0)
        self.desk = Desk(self.vault)
        self.puppet = Puppet()
        self.puppet.sit(self.desk, self.sleeve)
        self.pool._marks = self.desk.marks
        self.puppet.now = T0
        self.puppet.quote("10000")

    def buys(self, qty, price=None):
        carry(self.desk, self.puppet.buy(qty, price))

    def sells(self, qty, price=None):
        carry(self.desk, self.puppet.sell(qty, price))

    def price(self, price):
        self.puppet.quote(price)


def sample_house(terms=PLAIN, **kwargs):
    """Ann brings 600, Bob 400; 500 of it go to a sub-vault that buys 0.04 BTC at 10,000 (a fee of 1): worth 999."""
    house = House(terms, **kwargs)
    house.pool.deposit("ann", "600")
    house.pool.deposit("bob", "400")
    house.pool.allocate("spot", "500")
    house.buys("0.04", "10000")
    return house


# -- three investors -------------------------------------------------------------------------------------------------------------


def test_three_investors_share_what_is_won_between_their_coming_and_leaving():
    house = House()
    pool, vault = house.pool, house.vault
    assert pool.deposit("ann", "600").shares == 600 * UNIT
    pool.allocate("spot", "500")
    house.buys("0.04", "10000")  # 400 and a fee of 1
    house.price("15000")  # worth 600: 199 won
    assert pool.equity() == 799 * UNIT and pool.price() == Fraction(799, 600)
    issued = pool.deposit("bob", "799")
    assert issued.shares == 600 * UNIT and issued.equity == 799 * UNIT
    house.price("10000")  # 200 lost, half of it Bob's
    assert pool.holding("ann").worth == pool.holding("bob").worth == USD("699")
    issued = pool.deposit("cyd", "1398")
    assert issued.shares == 1_200 * UNIT and pool.total == 2_400 * UNIT
    house.sells("0.04", "20000")  # 800 less a fee of 2: 398 won
    assert pool.equity() == (1_398 * 2 + 398) * UNIT
    out = [pool.withdraw(who, "all").money for who in ("bob", "cyd", "ann")]
    assert out == [USD("798.5"), USD("1597"), USD("798.5")]
    assert pool.total == 0 == pool.equity() and pool.price() is None and pool.investors() == []
    assert [vault.client_money(who) for who in ("ann", "bob", "cyd")] == [USD("798.5"), USD("798.5"), USD("1597")]
    pool.check()
    moves = [(one.investor, one.shares, str(one.money)) for one in pool.history()]
    assert moves[:2] == [("ann", 600 * UNIT, "600 USD"), ("bob", 600 * UNIT, "799 USD")]
    assert moves[-1] == ("ann", -600 * UNIT, "-798.5 USD") and sum(shares for _, shares, _ in moves) == 0
    house.desk.check({"USD": vault.coins, "BTC": BTC.zero}, deep=True).require()


def test_a_founder_is_issued_a_share_for_each_unit_that_is_there():
    vault = CoreVault(USD, total="1000", tradeable="1000", at=T0)
    with pytest.raises(VaultError, match="name the founder"):
        Megavault(vault)
    assert vault.pool == ""
    pool = Megavault(vault, founder="ann", at=T0)
    assert pool.shares("ann") == 1_000 * UNIT == pool.total and pool.basis("ann") == USD("1000")
    assert pool.holding("ann").worth == USD("1000")
    pool.deposit("bob", "500")
    assert pool.holding("bob").worth == USD("500")


@pytest.mark.parametrize("founder", ["", "ann", "a b", 7])
def test_there_is_no_founder_of_nothing_and_no_pool_of_a_pool(founder):
    vault, _ = pool_of()
    with pytest.raises(VaultError, match="already"):
        Megavault(vault)
    empty = CoreVault(USD, total="0", at=T0)
    if founder:
        with pytest.raises(VaultError):
            Megavault(empty, founder=founder)
        assert not empty.pool and not [owner for owner in empty.books.wallets if owner.startswith("mega:")]


@pytest.mark.parametrize("code", ["", "a" * 13, "USD", "BTC", "a b", "a/b", "é", 7, None, ".x"])
def test_shares_need_a_code_of_their_own(code):
    vault = CoreVault(USD, total="0", at=T0)
    vault.books.know(BTCUSD)  # a coin that may be bought here is counted here, whether any was or not
    with pytest.raises(SleevesError):
        Megavault(vault, code=code)
    assert not vault.pool


def test_two_pools_in_one_set_of_books_know_nothing_of_each_other():
    books = Books()
    pools = []
    for wallet in ("kraken", "drift"):
        core = CoreVault(USD, total="0", wallet=wallet, books=books, at=T0)
        pools.append(Megavault(core, terms=Terms(notice_ns=DAY, virtual=0), code=f"M-{wallet}", at=T0))
    one, two = pools
    one.deposit("ann", "100", at=T0)
    two.deposit("ann", "700", at=T0)
    two.deposit("bob", "300", at=T0)
    two.lock("ann", 5, T0 + DAY, at=T0)
    notice = one.give_notice("ann", 40 * UNIT, at=T0)
    assert (one.total, two.total) == (100 * UNIT, 1_000 * UNIT)
    assert one.investors() == ["ann"] and two.investors() == ["ann", "bob"]
    assert two.notices("ann") == [] and one.locks("ann") == []
    assert (one.basis("ann"), two.basis("ann")) == (USD("60"), USD("700"))
    refused("notice", two.redeem, notice, at=T0 + 2 * DAY)
    assert one.redeem(notice, at=T0 + DAY).money == USD("40")
    assert one.core.client_money("ann") == USD("40") and not two.core.client_money("ann").units
    for pool in pools:
        pool.check()
    prove([one.core, two.core], {"USD": USD("1100")}, deep=True).require()


def test_a_claim_never_takes_the_code_of_another_pool():
    books = Books()
    one = Megavault(CoreVault(USD, total="0", wallet="a", books=books, at=T0), code="M", terms=PLAIN)
    two = Megavault(CoreVault(USD, total="0", wallet="b", books=books, at=T0), code="M.1", terms=PLAIN)
    two.deposit("bob", "100")
    one.deposit("ann", "100")
    one.allocate("x", "50")
    one.impair("x", by="own", why="gone")
    assert one.side_pocket("x", by="own", why="gone").code == "M.2"
    assert two.total == 100 * UNIT and two.shares("ann") == 0 and two.holding("bob").worth == USD("100")


# -- those who give money away ----------------------------------------------------------------------------------------------------

GIFTS = ["0.000001", "0.001", "1", "1000", "999999", "1000000000"]


@pytest.mark.parametrize("gift", GIFTS)
@pytest.mark.parametrize("money", ["1", "1999", "1500000"])
def test_a_first_depositor_who_gives_money_away_loses_it(gift, money):
    vault, pool = pool_of(Terms())
    pool.deposit("eve", USD.units(1))
    pool.sweep(vault.coins + USD(gift))
    try:
        victim = pool.deposit("ann", money)
    except ShareError as error:
        assert error.rule == "zero_shares"
        victim = None
    back = pool.withdraw("eve", "all", at_least="0").money if pool.quote(1).money.units else USD.zero
    given_away = USD(gift) + USD.units(1)
    assert back < given_away, "she loses by it"
    if USD(gift) >= USD("1"):
        assert back.units * 900 < given_away.units, "nearly all of it"
    if victim is not None:
        worth = pool.holding("ann").worth
        assert (USD(money) - worth).units <= pool.price() + 1, "and who comes after loses less than a share"


def test_without_the_guard_that_pays():
    vault, pool = pool_of(PLAIN)
    pool.deposit("eve", USD.units(1))
    pool.sweep(vault.coins + USD("1000"))
    assert pool.deposit("ann", "1999").shares == 1
    back = pool.withdraw("eve", "all").money
    assert back == USD("1499.5") > USD("1000.000001"), "why there is a guard"


def test_at_least_guards_who_comes_as_well():
    vault, pool = pool_of(PLAIN)
    pool.deposit("eve", USD.units(1))
    due = pool.preview_deposit("1999")
    pool.sweep(vault.coins + USD("1000"))
    assert "less than 1999000000" in str(unchanged(pool, pool.deposit, "ann", "1999", at_least=due, error=ShareError))


@pytest.mark.parametrize("bad", [True, None, "5", 5.0, float("nan"), -1])
def test_at_least_is_a_number_of_shares(bad):
    """One that is not a number must not switch the guard off."""
    _, pool = pool_of()
    refused("least", pool.deposit, "ann", "5", at_least=bad)
    assert pool.total == 0


def test_a_least_first_deposit():
    _, pool = pool_of(Terms.of(USD, first_least="1000"))
    refused("first", pool.deposit, "eve", "999.999999")
    pool.deposit("ann", "1000")
    pool.deposit("eve", USD.units(1))


def test_who_comes_when_all_have_left_does_not_get_what_is_left():
    """What rounding, slippage or a stranger left in a pool with no shares is nobody's, and stays so."""
    vault, pool = pool_of(Terms())
    pool.deposit("ann", "1000")
    pool.sweep(vault.coins + USD("500"))
    out = pool.withdraw("ann", "all").money
    assert USD("1499") < out < USD("1500") and pool.total == 0
    left = pool.equity()
    assert left == (USD("1500") - out).units > 0
    pool.sweep(vault.coins + USD("100"))
    pool.deposit("bob", "1000")
    assert pool.holding("bob").worth <= USD("1000")
    assert pool.withdraw("bob", "all").money <= USD("1000")
    # without the guard it is the next one's, as on dYdX
    vault, pool = pool_of(PLAIN)
    pool.sweep("100")
    pool.deposit("bob", "1")
    assert pool.holding("bob").worth == USD("101")


@pytest.mark.parametrize("virtual", [0, 1, 1_000])
@pytest.mark.parametrize("price", ["1", "3", "0.7"])
def test_a_hundred_small_steps_win_nothing(virtual, price):
    """In and out in ones, sevens and dust: rounding is never on his side."""
    vault, pool = pool_of(Terms(virtual=virtual))
    pool.deposit("ann", "100")
    (pool.sweep if price != "0.7" else vault.observe_balance)(USD.units(int(Fraction(price) * 100 * UNIT)))
    before = pool.holding("ann").worth
    put = 0
    for n in range(100):
        units = 1 + n * n % 17
        try:
            pool.deposit("eve", USD.units(units))
            put += units
        except ShareError as error:
            assert error.rule == "zero_shares"
        shares = pool.free_shares("eve")
        if shares:
            try:
                pool.withdraw("eve", 1 + n % shares)
            except ShareError as error:
                assert error.rule == "least"
    if pool.free_shares("eve"):
        try:
            pool.withdraw("eve", "all")
        except ShareError as error:
            assert error.rule == "least"
    assert vault.client_money("eve").units <= put
    assert pool.holding("ann").worth >= before


def test_very_large_and_very_small_numbers_stand_side_by_side():
    _, pool = pool_of(Terms())
    pool.deposit("ann", USD.units(1))
    pool.deposit("bob", Amount(10**40, USD))
    pool.deposit("cyd", USD.units(7))
    assert pool.total == 10**40 + 8
    assert pool.withdraw("bob", "all").money.units == 10**40
    assert pool.withdraw("cyd", "all").money.units == 7
    assert pool.withdraw("ann", "all").money.units == 1
    pool.check()


# -- leaving -----------------------------------------------------------------------------------------------------------------------


def test_slippage_is_what_dydx_takes():
    """A perpetual worth 1,000 on 500 of equity: leverage 2. Ten percent leaves with spread x (1 + average skew) x l behind."""
    perp = Instrument("BTC-PERP", base=BTC, quote=USD, tick="1", lot="0.0001", kind=Kind.PERP)
    vault = CoreVault(USD, total="0", at=T0)
    pool = Megavault(vault, terms=PLAIN, at=T0)
    sleeve = vault.sleeve("maker", QUIET, at=T0)
    desk = Desk(vault, most_leverage=10)
    puppet = Puppet(perp)
    puppet.sit(desk, sleeve)
    pool._marks = desk.marks
    pool.deposit("ann", "900")
    pool.deposit("bob", "100")
    pool.allocate("maker", "502.5")
    puppet.now = T0
    puppet.quote("10000")
    carry(desk, puppet.buy("0.1", "10000"))  # a fee of 2.5
    (one,) = pool.sub_vaults()
    assert one.worth == 500 * UNIT and one.leverage == 2
    seen = pool.preview_withdraw("bob", "all")
    (main, maker) = seen.drawn
    # equity 997.5; bob has a tenth: 49.75 of main, and of the 50 all but min(2 x 10%, 1.15% x (l + A(l') - A(l) x 9))
    lever, after = Fraction(2), Fraction(20, 9)
    way = (2 * after**2 + 4 * after**3 / 3) - (2 * lever**2 + 4 * lever**3 / 3)
    assert maker.slippage == min(Fraction(1, 5), Fraction(1, 100) * (lever + way * 9))
    assert main.units == 49_750_000 and maker.units == int(50_000_000 * (1 - maker.slippage))
    assert maker.slippage == Fraction(1, 5), "the margin bounds it here"
    assert pool.withdraw("bob", "all", at_least="89.75").money == USD("89.75") == seen.money
    assert pool.holding("ann").worth == USD("907.75"), "what he left behind is hers"
    refused("least", pool.withdraw, "ann", 9 * UNIT, at_least="9")


def test_a_sub_vault_that_cannot_pay_its_part_stops_a_withdrawal_unless_less_is_enough():
    house = sample_house()
    pool, vault = house.pool, house.vault
    house.price("40000")  # 99 free, and coins worth 1600: main 500, sub-vault 1699
    message = refused("short", pool.withdraw, "bob", "all")
    assert "spot" in message
    assert "could be paid" in pool.preview_withdraw("bob", "all").skipped[0].why
    refused("least", pool.withdraw, "bob", "all", at_least="299.000001")
    ann = pool.holding("ann").worth
    paid = pool.withdraw("bob", "all", at_least="299")
    assert paid.money == USD("299"), "two fifths of the main account, and what was free of the sub-vault"
    assert paid.skipped[0].short > 0
    assert pool.holding("ann").worth == ann + USD("879.6") - USD("299"), "the rest stays with the others"
    pool.check()
    house.desk.check({"USD": vault.coins, "BTC": BTC("0.04")}).require()


def test_a_frozen_sub_vault_pays_nothing():
    house = sample_house()
    house.pool.impair("spot", "50%", by="own", why="the venue is down")
    assert house.pool.sub_vaults()[0].worth == Fraction(499 * UNIT, 2)
    refused("short", house.pool.withdraw, "bob", "all")
    assert house.pool.withdraw("bob", "all", at_least="0").money == USD("200"), "of the main account alone"


def test_the_main_account_pays_of_what_is_set_aside_where_idle_coins_do_not_reach():
    """Coins wait for the next buy of a sleeve with a position: they are the pool's, and in its main account."""
    house = sample_house()
    house.pool.allocate("spot", "500")
    assert house.sleeve.pending == USD("500")
    told = house.pool.preview_withdraw("bob", 100 * UNIT)
    assert house.pool.withdraw("bob", 100 * UNIT, at_least="0").money == told.money > USD("0")
    assert USD("0") < house.sleeve.pending < USD("500"), "what idle coins did not reach for came of it"
    house.pool.check()


def test_the_reserve_pays_its_part_and_asks_for_no_more_afterwards():
    vault = CoreVault(USD, total="1000", reserve="10%", tradeable="900", at=T0)
    pool = Megavault(vault, terms=PLAIN, founder="ann", at=T0)
    pool.allocate("x", "900")
    assert pool.withdraw("ann", 500 * UNIT).money == USD("500")
    assert (vault.reserve, vault.idle, vault.sleeves["x"].free) == (USD("50"), USD.zero, USD("450"))
    pool.deposit("bob", "500")
    assert vault.remaining == USD("450"), "the reserve of ten percent is not to be allocated"
    pool.allocate("x", "450")
    unchanged(pool, pool.allocate, "x", USD.units(1), error=NotEnough)


def test_dust_that_is_worth_less_than_a_unit_stays():
    vault, pool = pool_of(PLAIN)
    pool.deposit("ann", "1")
    vault.observe_balance("0.5")
    refused("least", pool.withdraw, "ann", 1, at_least="0")
    refused("least", pool.withdraw, "ann", 1)
    assert pool.withdraw("ann", 2).money.units == 1


def test_what_brings_nothing_is_refused_in_a_pool_that_is_worth_nothing():
    vault, pool = pool_of(Terms())
    pool.deposit("ann", "100")
    vault.observe_balance("0")
    assert pool.equity() == 0 and pool.price() == 0
    for call in (pool.withdraw, pool.give_notice):
        refused("equity", call, "ann", "all")
    refused("equity", pool.deposit, "bob", "100")
    refused("equity", pool.preview_deposit, "100")
    pool.sweep("50")
    assert pool.withdraw("ann", "all").money == USD("50")


# -- prices ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "known"), [(0, True), (MINUTE, True), (MINUTE + 1, False), (-1, True), (-DAY, True)])
def test_both_sides_of_the_age_of_a_price(age, known):
    """Too old is unknown; a time that is past is no way round it: what happens now happens now, and what is looked at then is not known."""
    house = sample_house()
    pool, now = house.pool, house.puppet.now
    calls = {
        "deposit": lambda: pool.deposit("ann", "1", at=now + age),
        "withdraw": lambda: pool.withdraw("ann", 100 * UNIT, at_least="0", at=now + age),
        "preview": lambda: pool.preview_deposit("1", at=now + age),
        "holding": lambda: pool.holding("ann", at=now + age),
        "notice": lambda: pool.give_notice("bob", UNIT, at=now + age),
        "charge": lambda: pool.charge("bob", at=now + age),
    }
    for name, call in calls.items():
        if known and (age >= 0 or name not in ("preview", "holding")):
            call()
        else:
            refused("price", call)


def test_nobody_can_act_in_the_past_nor_move_time_by_what_is_refused():
    house = sample_house()
    pool, seen = house.pool, house.pool.books.now
    old = {symbol: evolve(mark, at=seen - 2 * HOUR) for symbol, mark in house.desk.marks().items()}
    ahead = {symbol: evolve(mark, at=seen + 1) for symbol, mark in house.desk.marks().items()}
    for marks in (old, ahead):
        refused("price", lambda marks=marks: pool.withdraw("ann", UNIT, marks=marks, at_least="0", at=seen - 2 * HOUR))
    refused("price", lambda: pool.deposit("ann", "1", at=seen + DAY))
    assert pool.books.now == seen, "what was refused has not happened"
    assert pool.give_notice("bob", UNIT, at=seen - 7 * DAY).due == seen + pool.terms.notice_ns


def test_a_price_that_is_missing_or_of_another_market_is_none():
    house = sample_house()
    now = house.puppet.now
    other = Instrument("BTC/USD", base=BTC, quote=USD, tick="1", lot="0.00000001")
    for marks in ({}, [], {"BTC/USD": Mark(other, now, 10_000)}, [Mark(other, now, 10_000)]):
        refused("price", house.pool.withdraw, "bob", "all", marks=marks, at_least="0")
        refused("price", house.pool.deposit, "bob", "5", marks=marks)
    assert house.pool.equity(marks=[Mark(BTCUSD, now, BTCUSD.price("10000"))]) == 999 * UNIT


def test_a_chain_s_rules_pass_over_what_they_cannot_read():
    house = sample_house(Terms.chain())
    assert house.pool.equity(marks={}) == 500 * UNIT
    assert house.pool.deposit("cyd", "500", marks={}).shares == 1_000 * UNIT, "twice what he should have: why the default is strict"
    out = house.pool.withdraw("cyd", "all", marks={})
    assert out.money == USD("500") and [one.why for one in out.skipped] == ["its worth is not known"]


def test_a_chain_s_rules_count_debt_as_nothing():
    def pool(rules):
        vault = CoreVault(USD, total="0", at=T0)
        pool = Megavault(vault, terms=Terms(virtual=0, rules=rules), at=T0)
        sleeve = vault.sleeve("x", QUIET, at=T0)
        desk = Desk(vault)
        puppet = Puppet()
        puppet.sit(desk, sleeve)
        pool._marks = desk.marks
        puppet.now = T0
        pool.deposit("ann", "1000")
        pool.allocate("x", "500")
        puppet.quote("10000")
        command = puppet.buy("0.049", "10000")  # 490 and a fee of 1.225
        carry(desk, command)
        return pool, sleeve, desk, puppet

    strict, _, _, puppet = pool(Rules.STRICT)
    puppet.quote("100")
    assert strict.equity() == (500 + 500) * UNIT - 490 * UNIT - 1_225_000 + 4_900_000
    chain, _, _, puppet = pool(Rules.CHAIN)
    puppet.quote("100")
    assert chain.equity() == strict.equity()


def test_nothing_comes_or_leaves_while_coins_are_missing_on_their_way_or_not_explained():
    house = sample_house()
    pool, vault, books = house.pool, house.vault, house.vault.books
    pool.retrieve("spot", "50")
    pool.withdraw("bob", 100 * UNIT, at_least="0")

    def closed():
        for call in (pool.preview_deposit, lambda money: pool.deposit("ann", money), lambda money: pool.withdraw("ann", 5, at_least="0")):
            refused("price", call, "5")

    # coins of the pool in a residual of the venue: BTC that nobody can explain
    residual = Residual(books.now, "r1", vault.owner, BTC("0.001"), Cause.UNKNOWN, "", "", "")
    from sleeves import booking

    entry = booking.suspend(vault.owner, BTC, residual.of, BTC("0.001").units, ref="r1", at=books.now, by="reconcile", why="unknown")
    books.post(residual, entry)
    closed()
    books.post(booking.suspend(vault.owner, BTC, residual.of, -BTC("0.001").units, ref="r1", at=books.now, by="ann", why="so"))
    pool.deposit("cyd", "5")
    books.mismatched["main"] = frozenset({"BTC/USD"})
    closed()
    books.mismatched.clear()
    vault.observe_balance("0")  # all coins are gone, and some were promised
    assert vault.short()
    closed()


def test_a_client_s_money_is_no_part_of_the_pool_wherever_it_is():
    house = sample_house()
    pool, vault, desk = house.pool, house.vault, house.desk
    paid = pool.withdraw("bob", 100 * UNIT, at_least="0").money
    equity = pool.equity()
    (transfer,) = desk.withdraw(vault, paid, by="own", client="bob")
    assert transfer.id == "main-transfer-1:bob" and transfer.amount == -paid
    assert pool.equity() == equity, "on its way"
    pool.deposit("cyd", "5")
    desk.step(TransferRefused(house.puppet.now, transfer.id, "no"))
    assert vault.client_money("bob") == paid and pool.equity() == equity + 5 * UNIT
    (transfer,) = desk.withdraw(vault, paid, by="own", client="bob")
    desk.step(Transferred(house.puppet.now, -paid, transfer.id, "v"))
    assert not vault.client_money("bob").units and pool.equity() == equity + 5 * UNIT
    with pytest.raises(NotEnough):
        desk.withdraw(vault, USD.units(1), by="own", client="bob")


# -- notice ----------------------------------------------------------------------------------------------------------------------

NOTICE = Terms(virtual=0, notice_ns=7 * DAY)


@pytest.mark.parametrize(("found", "paid"), [("2200", "1000"), ("2000", "1000"), ("1600", "800")])
def test_a_notice_pays_the_worse_of_two_values(found, paid):
    vault, pool = pool_of(NOTICE)
    pool.deposit("ann", "1000", at=T0)
    pool.deposit("bob", "1000", at=T0)
    refused("notice", pool.withdraw, "ann", "all", at=T0)
    notice = pool.give_notice("ann", "all", at=T0)
    assert notice.worth == USD("1000") and pool.holding("ann", at=T0).noticed == 1_000 * UNIT
    assert pool.holding("ann", at=T0).withdrawable == USD.zero
    (pool.sweep if USD(found) > USD("2000") else vault.observe_balance)(found, at=T0 + DAY)
    refused("notice", pool.redeem, notice, at=T0 + 7 * DAY - 1)
    refused("locked", pool.give_notice, "ann", 1, at=T0 + DAY)
    assert pool.redeem(notice, at=T0 + 7 * DAY).money == USD(paid)
    assert pool.holding("bob", at=T0 + 7 * DAY).worth == USD(found) - USD(paid)
    refused("notice", pool.redeem, notice, at=T0 + 7 * DAY)
    refused("notice", pool.cancel_notice, notice, at=T0 + 7 * DAY)


def test_who_stays_after_all_keeps_no_more_than_his_shares_were_worth():
    _, pool = pool_of(NOTICE)
    pool.deposit("ann", "1000", at=T0)
    pool.deposit("bob", "1000", at=T0)
    notice = pool.give_notice("ann", "all", at=T0)
    pool.sweep("4000", at=T0 + DAY)
    assert pool.cancel_notice(notice, at=T0 + DAY) == 500 * UNIT, "half of them, at twice the price"
    assert pool.total == 1_500 * UNIT and pool.free_shares("ann") == 500 * UNIT and pool.basis("ann") == USD("1000")
    assert pool.holding("bob", at=T0 + DAY).worth > USD("2000")
    notice = pool.give_notice("ann", 200 * UNIT, at=T0 + DAY)
    pool.core.observe_balance("100", at=T0 + 2 * DAY)
    assert pool.cancel_notice(notice, at=T0 + 2 * DAY) == 200 * UNIT, "after a loss all of them: there is nothing to gain"
    pool.check()


def test_what_moves_nothing_is_not_written():
    """A share that is worth half a unit has no worth at notice: no entry says so, neither then nor when it is taken back."""
    _, pool = pool_of(NOTICE)
    pool.deposit("ann", "1000", at=T0)
    pool.core.observe_balance("500", at=T0)
    notice = pool.give_notice("ann", 1, at=T0)
    assert notice.worth == USD("0") and pool.cancel_notice(notice, at=T0) == 0
    assert pool.total == 1_000 * UNIT - 1
    entries = [one for one in pool.books.journal if isinstance(one, Entry)]
    assert [one.why for one in entries][-3:] == ["notice"] + 2 * ["notice canceled"] and all(one.postings for one in entries)


def test_another_s_notice_cannot_be_used():
    _, pool = pool_of(NOTICE)
    pool.deposit("ann", "1000", at=T0)
    pool.deposit("eve", "1", at=T0)
    notice = pool.give_notice("ann", "all", at=T0)
    from attrs import evolve

    for forged in (evolve(notice, investor="eve"), evolve(notice, id="notice:0:MEGA-1"), None, "notice", 5):
        unchanged(pool, pool.redeem, forged, at=T0 + 9 * DAY)
    forged = evolve(notice, worth=USD("9999"), shares=1, due=0)
    refused("notice", pool.redeem, forged, at=T0 + DAY)
    assert pool.redeem(forged, at=T0 + 7 * DAY).money == USD("1000"), "what counts is what the books know of it"


# -- locks -----------------------------------------------------------------------------------------------------------------------


def test_locked_shares_stay_until_their_time_and_leave_with_the_others_then():
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    pool.lock("ann", 60 * UNIT, T0 + DAY, at=T0)
    assert pool.holding("ann", at=T0).withdrawable == USD("40")
    refused("locked", pool.withdraw, "ann", 40 * UNIT + 1, at=T0 + DAY - 1)
    refused("locked", pool.lock, "ann", 40 * UNIT + 1, T0 + DAY, at=T0)
    assert pool.preview_withdraw("ann", "all", at=T0 + DAY - 1).money == USD("40")
    assert pool.preview_withdraw("ann", "all", at=T0 + DAY).money == USD("100")
    assert pool.withdraw("ann", "all", at=T0 + DAY).money == USD("100")
    assert pool.locks("ann") == [] and pool.total == 0


def test_a_lock_on_a_height_opens_at_that_height_alone():
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    pool.lock("ann", 100 * UNIT, 50, now=49, clock="height", at=T0)
    refused("locked", pool.withdraw, "ann", 1, at=T0 + YEAR)
    assert pool.unlock("ann", now=49, clock="height", at=T0) == 0
    assert pool.unlock("ann", now=50, at=T0) == 0, "50 ns is another clock"
    assert pool.unlock("ann", now=50, clock="height", at=T0) == 100 * UNIT
    refused("owner", pool.unlock, "ann", now=51, clock="height", at=T0)
    for bad in (None, "50", 50.0, True):
        refused("lock", pool.unlock, "ann", now=bad, clock="height", at=T0)


@pytest.mark.parametrize("shares", [0, -1, True, None, "all", 1.0, float("nan")])
def test_a_lock_needs_shares(shares):
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    refused("lock", pool.lock, "ann", shares, T0 + DAY, at=T0)


@pytest.mark.parametrize("til", [T0, T0 - 1, 0, -5, None, "tomorrow", 1e30, float("inf")])
def test_a_lock_ends_ahead(til):
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    refused("lock", pool.lock, "ann", 5, til, at=T0)
    refused("lock", pool.lock, "ann", 5, T0 + 1, clock="moon", now=T0, at=T0)


def test_a_fee_that_locked_shares_owe_is_taken_of_them_and_never_stops_a_lock_that_has_run_out():
    fees = Terms(virtual=0, fees=Fees(performance_ppm=500_000), manager="mia")
    _, pool = pool_of(fees)
    pool.deposit("ann", "100", at=T0)
    pool.lock("ann", 95 * UNIT, T0 + DAY, at=T0)
    pool.sweep("200", at=T0)  # 100 won: half of it, 25 shares at 2, is the manager's, and 5 of hers are free
    assert pool.charge("ann", at=T0 + HOUR) == 25 * UNIT
    assert pool.free_shares("ann") == 0 and pool.locks("ann")[0].shares == 75 * UNIT and pool.basis("ann") == USD("200")
    pool.sweep("400", at=T0 + HOUR)
    seen = pool.preview_withdraw("ann", "all", at=T0 + DAY)
    assert pool.withdraw("ann", "all", at=T0 + DAY) == seen
    assert seen.shares == (75 - 12) * UNIT - 500_000 and seen.money == USD("250")
    assert pool.investors() == ["mia"]
    pool.check()


# -- fees ------------------------------------------------------------------------------------------------------------------------


def test_a_management_fee_over_a_year():
    terms = Terms(virtual=0, fees=Fees(management_ppm=20_000), manager="mia")
    for steps in (1, 12, 365):
        _, pool = pool_of(terms)
        pool.deposit("ann", "1000", at=T0)
        for n in range(1, steps + 1):
            pool.accrue(at=T0 + YEAR * n // steps)
        mia = pool.holding("mia", at=T0 + YEAR).worth
        assert USD("19.80") < mia <= USD("20"), "two of a hundred, never more"
        assert steps > 1 or mia == USD("20") - USD.units(1) or mia == USD("20")
        assert pool.accrue(at=T0 + YEAR) == pool.accrue(at=T0) == 0, "neither twice, nor back in time"


def test_who_comes_pays_no_management_fee_for_the_time_before():
    """A single share stood there for a year, on which a fee of 2% comes to nothing: a million that comes then owes nothing for it."""
    vault, pool = pool_of(Terms(virtual=0, fees=Fees(management_ppm=20_000), manager="mia"))
    pool.deposit("eve", USD.units(1), at=T0)
    pool.deposit("ann", "1000000", at=T0 + YEAR)
    assert pool.accrue(at=T0 + YEAR) == 0 and pool.holding("ann", at=T0 + YEAR).worth == USD("1000000")
    pool.withdraw("ann", 10**12 - 1, at=T0 + YEAR)
    assert pool.accrue(at=T0 + YEAR) == 0, "nor does who leaves"
    pool.accrue(at=T0 + 2 * YEAR)
    assert pool.deposit("bob", "1000000", at=T0 + 2 * YEAR).shares == 10**12
    assert pool.accrue(at=T0 + 2 * YEAR + YEAR // 2) == (10**12 + 2) // 99, "and half a year is half a year: 1% of 100%"


def test_time_before_the_last_fee_costs_nothing_and_gives_nothing_back():
    terms = Terms(virtual=0, fees=Fees(management_ppm=20_000), manager="mia")
    _, pool = pool_of(terms)
    pool.deposit("ann", "1000", at=T0 + YEAR)
    total = pool.total
    pool.deposit("bob", "1", at=T0)
    pool.withdraw("bob", "all", at=T0 - YEAR)
    assert pool.total == total and pool._said["accrued"] == str(T0 + YEAR)
    pool.change_terms(terms, by="mia", at=T0)  # nor is a year charged again by new terms of long ago
    pool.accrue(at=T0 + YEAR + DAY)
    assert 0 < pool.shares("mia") < total * 20_000 // 1_000_000 // 364


def test_a_performance_fee_is_on_new_highs_alone():
    terms = Terms(virtual=0, fees=Fees(performance_ppm=200_000), manager="mia")
    vault, pool = pool_of(terms)
    pool.deposit("ann", "1000")
    pool.deposit("bob", "1000")
    pool.sweep("3000")  # each has won 500
    assert pool.charge("ann") * pool.price() <= 100 * UNIT
    assert pool.holding("ann").worth == USD("1400.000001") and pool.basis("ann") == USD("1500"), "rounded for her by a unit"
    vault.observe_balance("1500")  # half is lost
    assert pool.charge("ann") == pool.charge("bob") == 0
    pool.sweep("3000")  # and comes back: Ann has been charged for it, Bob has not
    assert pool.charge("ann") == 0
    assert pool.charge("bob") == 100 * UNIT * 2 // 3
    assert pool.holding("mia").worth == USD("199.999998")
    assert pool.charge("mia") == 0
    refused("owner", pool.charge, "cyd")


def test_a_hurdle_comes_first():
    terms = Terms(virtual=0, fees=Fees(performance_ppm=200_000, hurdle_ppm=50_000), manager="mia")
    _, pool = pool_of(terms)
    pool.deposit("ann", "1000", at=T0)
    pool.sweep("1050", at=T0)
    assert pool.charge("ann", at=T0 + YEAR) == 0, "5% in a year is the hurdle"
    assert pool.basis("ann") == USD("1050")
    pool.sweep("1150", at=T0 + YEAR)
    fee = pool.charge("ann", at=T0 + YEAR)
    assert fee == 20 * UNIT * 1_000 // 1_150, "20% of 100"


def test_what_is_worse_for_investors_waits_and_what_is_better_does_not():
    terms = Terms(virtual=0, fees=Fees(20_000, 200_000), manager="mia", notice_ns=7 * DAY)
    _, pool = pool_of(terms)
    pool.deposit("ann", "1000", at=T0)
    new = Terms(virtual=0, fees=Fees(0, 300_000), manager="mia", notice_ns=DAY, price_age_ns=0)
    begins = pool.change_terms(new, by="mia", at=T0)
    assert begins == T0 + 14 * DAY
    here = pool.terms_at(T0)
    assert (here.fees, here.notice_ns, here.price_age_ns) == (Fees(0, 200_000), DAY, MINUTE)
    assert pool.terms_at(begins - 1) == here and pool.terms_at(begins) == new
    pool.accrue(at=begins - 1)
    assert pool._terms == here
    pool.accrue(at=begins)
    assert pool._terms == new and not pool._said["next_at"]
    assert pool.change_terms(new, by="mia", at=begins) == begins
    for bad in (Terms(virtual=1, manager="mia"), Terms(virtual=0), Terms(virtual=0, manager="mia", notice_ns=DAY + 1), "free", None):
        unchanged(pool, pool.change_terms, bad, by="mia", at=begins, error=ShareError)


def test_new_terms_are_held_against_those_that_have_fallen_due_though_nobody_accrued_since():
    """From 2% to 10%, due after a week, and then to 5%: until then that is worse than what holds, and from then on better."""
    told = [Terms(virtual=0, fees=Fees(ppm), manager="mia", price_age_ns=age) for ppm, age in ((20_000, MINUTE), (100_000, 0), (50_000, 0))]
    begins = T0 + told[0].change_rest_ns
    for now, holds in ((begins - 1, Terms(virtual=0, fees=Fees(20_000), manager="mia")), (begins, told[2])):
        _, pool = pool_of(told[0])
        pool.deposit("ann", "1000", at=T0)
        assert pool.change_terms(told[1], by="mia", at=T0) == begins
        late = pool.change_terms(told[2], by="mia", at=now)
        assert late == (now if holds == told[2] else now + told[0].change_rest_ns)
        assert (pool.terms_at(now), pool.terms_at(late)) == (holds, told[2])


def test_who_did_it_is_in_every_record():
    """Each command is given by somebody else: all that it writes bears that name, and what is kept of the pool is what is written."""
    terms = Terms(fees=Fees(20_000, 200_000, 50_000), manager="mia", first_loss="cyd")
    vault = CoreVault(USD, total="0", at=T0)
    books, now = vault.books, T0
    pool = Megavault(vault, terms=terms, at=T0, by="by-0")
    given = {}
    story = [
        ("deposit", lambda **by: pool.deposit("ann", "100", **by)),
        ("deposit", lambda **by: pool.deposit("bob", "100", ref="r", **by)),
        ("deposit", lambda **by: pool.deposit("cyd", "100", **by)),
        ("set_quoting", lambda **by: pool.set_quoting(QuotingParams(layers=1), why="so", **by)),
        ("allocate", lambda **by: pool.allocate("x", "150", **by)),
        ("allocate", lambda **by: pool.allocate("x", "10", **by)),
        ("set_market", lambda **by: pool.set_market("x", initial="5%", step="0.01%", **by)),
        ("set_status", lambda **by: pool.set_status("x", Status.ACTIVE, **by)),
        ("retrieve", lambda **by: pool.retrieve("x", "10", **by)),
        ("allocate", lambda **by: pool.allocate("y", "20", **by)),
        ("lock", lambda **by: pool.lock("ann", UNIT, now + DAY, **by)),
        ("accrue", lambda **by: pool.accrue(**by)),
        ("unlock", lambda **by: pool.unlock("ann", **by)),
        ("sweep", lambda **by: pool.sweep("400", **by)),
        ("charge", lambda **by: pool.charge("bob", **by)),
        ("deposit", lambda **by: pool.deposit("ann", "100", **by)),
        ("give_notice", lambda **by: given.update(one=pool.give_notice("ann", 9 * UNIT, **by))),
        ("cancel_notice", lambda **by: pool.cancel_notice(given["one"], **by)),
        ("give_notice", lambda **by: given.update(one=pool.give_notice("bob", 9 * UNIT, **by))),
        ("redeem", lambda **by: pool.redeem(given["one"], **by)),
        ("withdraw", lambda **by: pool.withdraw("ann", 5 * UNIT, **by)),
        ("paid_out", lambda **by: pool.paid_out("ann", "1", ref="p", **by)),
        ("invest", lambda **by: pool.invest("ann", "1", **by)),
        ("change_terms", lambda **by: pool.change_terms(evolve(terms, fees=Fees(30_000, 200_000, 60_000)), why="dearer", **by)),
        ("impair", lambda **by: pool.impair("x", "10%", why="gone", **by)),
        ("restore", lambda **by: pool.restore("x", why="back", **by)),
        ("impair", lambda **by: pool.impair("x", why="gone", **by)),
        ("side_pocket", lambda **by: pool.side_pocket("x", why="gone", **by)),
        ("accrue", lambda **by: pool.accrue(**by)),
        ("distribute", lambda **by: pool.distribute("x", "5", **by)),
        ("retrieve", lambda **by: pool.retrieve("y", vault.sleeves["y"].free, **by)),
        ("set_status", lambda **by: pool.set_status("y", Status.DEACTIVATED, **by)),
        ("decommission", lambda **by: pool.decommission(**by)),
    ]
    charging, said = {"deposit", "charge", "give_notice", "withdraw", "invest"}, set()
    for number, (name, call) in enumerate([("Megavault", None), *story]):
        written, now = 0 if call is None else len(books.journal), now + 3 * DAY
        if call is not None:
            call(by=f"by-{number}", at=now)
        records = list(books.journal)[written:]
        if call is None:
            records = [one for one in records if isinstance(one, Opened) and one.what == "megavault"]
        assert records, name
        assert {one.by for one in records if not isinstance(one, Alert)} == {f"by-{number}"}, (name, records)
        here = [one.what for one in records if isinstance(one, Changed) and one.subject == pool.owner]
        assert len(here) == len(set(here)), "each is said once"
        assert name not in charging or any(what.startswith("charged ") for what in here), (name, here)
        said |= {what.split()[0] for what in here}
        assert State.fold(books.journal).pools[pool.owner] == pool._said
    assert said == {
        "accrued",
        "charged",
        "quoting",
        "margin",
        "step",
        "basis",
        "terms",
        "next",
        "next_at",
        "haircut",
        "pocket",
        "decommissioned",
    }
    for name in commands():
        assert name in dict(story), f"{name} is a command of a pool: who gives it belongs into this story"


def commands():
    """All that a pool can be told by somebody."""
    public = [(name, call) for name, call in inspect.getmembers(Megavault, inspect.isfunction) if not name.startswith("_")]
    return [name for name, call in public if "by" in inspect.signature(call).parameters]


@pytest.mark.parametrize("by", ["", " ", None, 7, True, b"ann", float("nan")])
def test_nothing_is_done_by_nobody(by):
    house = sample_house(Terms(virtual=0, fees=Fees(20_000)))
    pool = house.pool
    for call in (
        lambda: pool.deposit("ann", "5", by=by),
        lambda: pool.withdraw("ann", UNIT, by=by),
        lambda: pool.give_notice("ann", UNIT, by=by),
        lambda: pool.accrue(by=by, at=T0 + DAY),
        lambda: pool.charge("ann", by=by),
        lambda: pool.set_quoting(None, by=by),
        lambda: pool.set_market("spot", step="1%", by=by),
        lambda: pool.change_terms(Terms(virtual=0), by=by),
    ):
        assert "who does it" in str(unchanged(pool, call, error=VaultError))


def test_the_alert_of_a_side_pocket_comes_after_what_it_tells():
    """What a human changes answers the alerts that were told before it: this one is told of the change."""
    house = sample_house()
    house.pool.impair("spot", by="own", why="frozen")
    house.pool.side_pocket("spot", by="own", why="frozen")
    last = list(house.pool.books.journal)[-1]
    assert isinstance(last, Alert) and last.code == "side_pocket"


def test_a_fee_rises_only_from_when_it_was_said_to():
    """2% until the rest is over and 10% from then on, though nobody accrued in between."""
    terms = Terms(virtual=0, fees=Fees(management_ppm=20_000), manager="mia")
    _, pool = pool_of(terms)
    pool.deposit("ann", "1000", at=T0)
    begins = pool.change_terms(Terms(virtual=0, fees=Fees(management_ppm=100_000), manager="mia"), by="mia", at=T0)
    pool.accrue(at=begins + YEAR)
    part = Fraction(pool.shares("mia"), pool.total)
    week = Fraction(7, 365) * Fraction(2, 100)
    assert part < week + Fraction(1, 10)
    assert part > Fraction(1, 10)
    assert pool._terms.fees.management_ppm == 100_000


def test_the_manager_is_an_investor_like_others_but_pays_himself_nothing():
    terms = Terms(virtual=0, fees=Fees(20_000, 500_000), manager="mia")
    _, pool = pool_of(terms)
    pool.deposit("mia", "1000", at=T0)
    pool.sweep("2000", at=T0)
    assert pool.charge("mia", at=T0 + YEAR) == 0
    assert pool.withdraw("mia", "all", at=T0 + YEAR).money == USD("2000") and pool.total == 0


# -- losses ----------------------------------------------------------------------------------------------------------------------


def frozen_pool(terms=PLAIN):
    vault, pool = pool_of(terms)
    for who, money in (("ann", "600"), ("bob", "300"), ("mia", "100")):
        pool.deposit(who, money, at=T0)
    pool.allocate("x", "400", at=T0)
    return vault, pool


def test_what_is_frozen_stops_all_until_it_is_known_what_it_is_worth():
    _, pool = frozen_pool()
    assert pool.impair("x", by="own", why="the program is frozen", at=T0) == 0
    for call in (
        lambda: pool.deposit("ann", "1", at=T0),
        lambda: pool.withdraw("ann", 1, at_least="0", at=T0),
        lambda: pool.preview_deposit("1", at=T0),
        lambda: pool.quote(1, at=T0),
        lambda: pool.give_notice("ann", 1, at=T0),
        lambda: pool.charge("ann", at=T0),
        lambda: pool.holding("ann", at=T0),
        lambda: pool.price(at=T0),
    ):
        refused("price", call)
    with pytest.raises(VaultError, match="frozen"):
        pool.allocate("x", "1", at=T0)
    with pytest.raises(VaultError, match="frozen"):
        pool.retrieve("x", "1", at=T0)
    pool.restore("x", by="own", why="well again", at=T0)
    assert pool.holding("ann", at=T0).worth == USD("600")


def test_a_haircut_is_borne_by_all_alike():
    _, pool = frozen_pool()
    assert pool.impair("x", "50%", by="own", why="half is gone", at=T0) == 0
    assert [pool.holding(who, at=T0).worth for who in ("ann", "bob", "mia")] == [USD("480"), USD("240"), USD("80")]
    pool.impair("x", "100%", by="own", why="all is gone", at=T0)
    assert [pool.holding(who, at=T0).worth for who in ("ann", "bob", "mia")] == [USD("360"), USD("180"), USD("60")]
    # paid in any order, all alike
    assert [pool.withdraw(who, "all", at_least="0", at=T0).money for who in ("bob", "mia")] == [USD("180"), USD("60")]
    pool.restore("x", by="own", why="all of it came back", at=T0)
    assert pool.holding("ann", at=T0).worth == USD("760"), "hers alone now, for the others took the loss and left"
    for bad in ("101%", "-1%", 0.5, "half", float("nan"), 1):
        unchanged(pool, pool.impair, "x", bad, by="own", why="so", at=T0)
    unchanged(pool, pool.impair, "x", "1%", by="own", why="", at=T0)
    unchanged(pool, pool.impair, "y", "1%", by="own", why="so", at=T0)


def test_first_loss_gives_up_shares_as_far_as_they_reach():
    _, pool = frozen_pool(Terms(virtual=0, first_loss="mia"))
    assert pool.impair("x", "20%", by="own", why="a fifth", at=T0) == 80 * UNIT, "80 are lost, and she bears them"
    assert [pool.holding(who, at=T0).worth for who in ("ann", "bob", "mia")] == [USD("600"), USD("300"), USD("20")]
    assert pool.impair("x", "20%", by="own", why="the same", at=T0) == 0
    assert pool.impair("x", "10%", by="own", why="less", at=T0) == 0
    assert pool.impair("x", "50%", by="own", why="half", at=T0) == 20 * UNIT, "all that she has"
    assert pool.investors() == ["ann", "bob"]
    assert pool.holding("ann", at=T0).worth == USD(str(Fraction(600 * 800, 900).__floor__())) + USD.units(333_333)
    pool.check()


def test_first_loss_takes_bound_shares_too_and_a_whole_pool_if_need_be():
    _, pool = pool_of(Terms(virtual=0, first_loss="mia", notice_ns=DAY))
    pool.deposit("mia", "100", at=T0)
    pool.allocate("x", "100", at=T0)
    pool.lock("mia", 30 * UNIT, T0 + DAY, at=T0)
    notice = pool.give_notice("mia", 50 * UNIT, at=T0)
    assert pool.impair("x", "60%", by="own", why="so", at=T0) == 60 * UNIT
    assert pool.notices("mia")[0].shares == 40 * UNIT and pool.locks("mia") == []
    assert pool.impair("x", "100%", by="own", why="so", at=T0) == 40 * UNIT
    assert pool.total == 0 and pool.notices("mia") == []
    refused("notice", pool.redeem, notice, at=T0 + DAY)
    pool.check()


def test_a_haircut_is_written_whole_while_another_is_frozen():
    """One that is frozen at an unknown worth does not leave another's haircut half said."""
    _, pool = frozen_pool(Terms(virtual=0, first_loss="mia"))
    pool.allocate("y", "100", at=T0)
    pool.impair("y", by="own", why="unknown", at=T0)
    assert pool.impair("x", "20%", by="own", why="a fifth", at=T0) == 80 * UNIT
    assert pool.total == 920 * UNIT


def test_a_side_pocket_belongs_to_who_was_there():
    house = sample_house()
    pool, vault = house.pool, house.vault
    house.price("10000")
    pool.lock("ann", 100 * UNIT, house.puppet.now + DAY)
    with pytest.raises(VaultError, match="must be impaired"):
        pool.side_pocket("spot", by="own", why="so")
    pool.impair("spot", by="own", why="frozen")
    claim = pool.side_pocket("spot", by="own", why="nobody knows")
    assert claim.code == "MEGA.1" and pool.claims("spot") == {"ann": 600 * UNIT, "bob": 400 * UNIT}
    assert pool.equity() == 500 * UNIT and pool.holding("ann").worth == USD("300"), "locked ones have their claim as well"
    assert pool.deposit("cyd", "500").shares == 1_000 * UNIT
    pool.withdraw("bob", "all")
    for call in (pool.allocate, pool.retrieve):
        with pytest.raises(VaultError, match="side pocket"):
            call("spot", "1")
    with pytest.raises(VaultError, match="side pocket"):
        pool.restore("spot", by="own", why="so")
    with pytest.raises(VaultError, match="no side pocket yet"):
        pool.side_pocket("spot", by="own", why="so")
    assert pool.distribute("spot", "50", by="own") == {"ann": USD("30"), "bob": USD("20")}
    assert vault.client_money("ann") == USD("30") and vault.client_money("bob") == USD("220")
    house.sells("0.04", "20000")  # 798 more
    refused("short", pool.distribute, "spot", "847.000001", by="own")
    assert pool.distribute("spot", by="own") == {"ann": USD("508.2"), "bob": USD("338.8")}
    assert pool.equity() == 800 * UNIT, "neither the pool nor Cyd has any of it"
    assert pool.holding("cyd").worth == USD("500")
    refused("short", pool.distribute, "spot", by="own")
    with pytest.raises(VaultError):
        pool.distribute("y", by="own")
    pool.check()
    house.desk.check({"USD": vault.coins, "BTC": BTC.zero}, deep=True).require()


def test_what_is_set_aside_for_a_sub_vault_is_not_in_its_pocket():
    house = sample_house()
    house.pool.allocate("spot", "100")
    assert house.sleeve.pending == USD("100")
    house.pool.impair("spot", by="own", why="frozen")
    house.pool.side_pocket("spot", by="own", why="frozen")
    assert house.sleeve.pending == USD.zero and house.pool.equity() == 500 * UNIT
    house.pool.distribute("spot", "99", by="own")
    assert house.pool.equity() == 500 * UNIT


# -- sub-vaults ------------------------------------------------------------------------------------------------------------------


def test_a_sub_vault_is_closed_when_it_is_empty_and_its_name_is_not_used_again():
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    pool.allocate("x", "40", at=T0)
    assert pool.set_status("x", Status.ACTIVE, by="own", at=T0) is Status.ACTIVE
    refused("positive", pool.set_status, "x", Status.DEACTIVATED, by="own", at=T0)
    assert pool.decommission(at=T0) == []
    pool.retrieve("x", "40", at=T0)
    with pytest.raises(NotEnough):
        pool.retrieve("x", USD.units(1), at=T0)
    assert pool.set_status("x", Status.DEACTIVATED, by="own", at=T0) is Status.DEACTIVATED
    assert pool.set_status("x", Status.STAND_BY, by="own", at=T0) is Status.PAUSED
    pool.set_status("x", Status.DEACTIVATED, by="own", at=T0)
    assert pool.decommission(at=T0) == ["x"] and pool.sub_vaults(at=T0) == []
    for call in (lambda: pool.allocate("x", "1", at=T0), lambda: pool.set_status("x", Status.ACTIVE, by="own", at=T0)):
        with pytest.raises(VaultError, match="no sub-vault"):
            call()
    for bad in (Status.HALTED, Status.IMPAIRED, "active?", None):
        unchanged(pool, pool.set_status, "x", bad, by="own", at=T0)
    pool.allocate("z", "40", at=T0)
    assert pool.equity(at=T0) == 100 * UNIT


@pytest.mark.parametrize("terms", [{"initial": "101%"}, {"initial": "-1%"}, {"step": "-0.0001%"}, {"initial": "5%", "step": 0.1}])
def test_what_a_withdrawal_costs_is_set_whole_or_not_at_all(terms):
    _, pool = frozen_pool()
    said = dict(pool._said)
    unchanged(pool, pool.set_market, "x", **terms, at=T0)
    assert pool._said == said
    pool.set_market("x", initial="5%", step="0.05%", at=T0)
    assert (pool._said["margin x"], pool._said["step x"]) == ("50000", "500")


def test_a_pool_of_flash_sleeves_puts_all_to_work_again():
    """What they sweep raises Tradeable, what leaves lowers it; after many rounds all that is idle can be allocated."""
    house = House(policy=FLASH)
    pool, vault = house.pool, house.vault
    pool.deposit("ann", "1000")
    pool.allocate("spot", "1000")
    for n in range(6):
        house.buys("0.09", "10000")
        house.sells("0.09", "12000" if n % 2 else "9000")
        pool.deposit("bob", "100")
        pool.withdraw("bob", pool.free_shares("bob") // 2)
        assert vault.tradeable_units() >= vault.allocated_units() + vault.idle_units()
        pool.allocate("spot", vault.remaining)
        assert not vault.idle.units
    pool.withdraw("ann", "all")
    pool.withdraw("bob", "all")
    assert not pool.total and pool.equity() < 3
    pool.deposit("cyd", "500")
    pool.allocate("spot", "500")
    house.desk.check({"USD": vault.coins, "BTC": BTC.zero}, deep=True).require()


def test_profit_that_leaves_takes_its_tradeable_with_it():
    house = House()
    pool, vault = house.pool, house.vault
    pool.deposit("ann", "100")
    pool.allocate("spot", "100")
    house.buys("0.005", "10000")
    house.sells("0.005", "30000")
    won = pool.equity()
    assert pool.withdraw("ann", "all").money.units == won
    assert vault.tradeable == USD.zero == vault.allocated, "nothing is at risk where nothing is"


def test_a_gift_to_a_pool_that_has_lost_can_be_put_to_work():
    house = sample_house()
    pool, vault = house.pool, house.vault
    pool.allocate("spot", "500")
    house.sells("0.04", "2000")  # 320 lost
    pool.sweep(vault.coins + USD("50"))
    risked = vault.tradeable
    assert vault.remaining >= USD("50") and risked >= USD("1000"), "a gift never lowers what may be at risk"
    pool.allocate("spot", "50")


def test_a_gift_never_fails_half_way_where_the_reserve_lacks_coins():
    vault = CoreVault(USD, total="1000", reserve="10%", tradeable="900", at=T0)
    pool = Megavault(vault, terms=PLAIN, founder="ann", at=T0)
    pool.allocate("x", "900")
    vault.set_reserve("20%")  # 100 are lacking, and nothing is idle
    assert pool.sweep("1010").units == USD("10").units
    assert pool.equity() == 1_010 * UNIT


# -- money of clients ------------------------------------------------------------------------------------------------------------


def test_money_that_was_only_seen_is_not_spent_before_the_venue_tells():
    """Eve asks for a deposit and sends nothing; Ann's arrives, and a look at the wallet takes it for Eve's."""
    vault, pool = pool_of()
    desk = Desk(vault)
    (eve,) = desk.deposit(vault, "1000", client="eve")
    (ann,) = desk.deposit(vault, "600", client="ann")
    desk.observe_balance(vault, "600")
    assert vault.client_money("eve") == USD("600") and vault.settled_client_money("eve") == USD.zero
    refused("amount", pool.invest, "eve", "600")
    with pytest.raises(NotEnough):
        desk.withdraw(vault, "600", by="own", client="eve")
    desk.step(Transferred(T0 + 1, USD("600"), ann.id, "v"))
    assert vault.settled_client_money("ann") == USD("600")
    pool.invest("ann", "600")
    desk.step(TransferRefused(T0 + 2, eve.id, "nothing came"))
    assert vault.client_money("eve") == USD.zero
    assert vault.suspense == USD("600"), "what was taken for hers has to be explained: the wallet holds 600, not 1200"


def test_less_came_of_a_clients_deposit_than_was_seen():
    """80 of hers and 20 of a stranger's are seen as 100 of hers; when the venue says 80 the rest is the pool's."""
    vault, pool = pool_of()
    desk = Desk(vault)
    (transfer,) = desk.deposit(vault, "100", client="eve")
    desk.observe_balance(vault, "100")
    desk.step(Transferred(T0 + 1, USD("80"), transfer.id, "v"))
    assert vault.client_money("eve") == vault.settled_client_money("eve") == USD("80")
    assert vault.idle == USD("20") == vault.total and pool.equity() == 20 * UNIT
    prove([vault], {"USD": USD("100")}, deep=True).require()


def test_a_transfer_that_nobody_asked_for_is_no_clients_whatever_its_id():
    vault, pool = pool_of()
    desk = Desk(vault)
    for n, name in enumerate(["deposit:eve", "0xabc:eve", "eve", ":eve", "main-transfer-9:e v e", "a:b-transfer-1:eve"]):
        desk.step(Transferred(T0 + n, USD("10"), name, "v"))
    assert not vault.client_money("eve").units and vault.idle == USD("60")
    prove([vault], {"USD": USD("60")}, deep=True).require()
    assert pool.total == 0


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("name", ["ann", "x-transfer-999999", "eve-transfer-x", "a.b@c-d_e"])
def test_a_clients_transfers_are_known_after_a_crash_whatever_he_calls_himself(tmp_path, store, name):
    path = tmp_path / "books"
    books = Books(SQLite.open(path, anchor=None) if store == "sqlite" else Memory())
    vault = CoreVault(USD, total="0", books=books, at=T0)
    Megavault(vault, terms=PLAIN, at=T0)
    desk = Desk(vault)
    (first,) = desk.deposit(vault, "100", client=name)
    (second,) = desk.deposit(vault, "50", client=name)
    assert (first.id, second.id) == (f"main-transfer-1:{name}", f"main-transfer-2:{name}")
    desk.observe_balance(vault, "100")  # seen, and then the process dies
    if store == "sqlite":
        books.journal.close()
        journal = SQLite.open(path, anchor=None)
    else:
        journal = Memory.read(list(books.journal.lines()))
    (vault,) = Treasury.reopen(Books(journal)).vaults
    desk = Desk(vault)
    pool = Megavault.reopen(vault)
    assert desk.transfers == [first.id, second.id]
    assert vault.client_money(name) == USD("100") and vault.settled_client_money(name) == USD.zero
    desk.step(Transferred(T0 + 1, USD("100"), first.id, "v"))
    desk.step(Transferred(T0 + 1, USD("100"), first.id, "v"))  # told twice
    assert pool.invest(name, "100").shares == 100 * UNIT
    (third,) = desk.deposit(vault, "1", client="bob")
    assert third.id == "main-transfer-3:bob"
    desk.step(TransferRefused(T0 + 2, second.id, "no"))
    desk.check({"USD": USD("100")}, deep=True).require()
    if store == "sqlite":
        journal.close()


def test_client_money_through_a_run(tmp_path):
    """In, invested, redeemed, and out, over the simulated venue beside `trade`; and one that the venue refuses goes back to him."""

    async def main():
        venue = VirtualDriver(Tape.sample().slice(0, 3), {"USD": USD("0")}, wallet={"USD": USD("1500")})
        vault = CoreVault(USD, total="0", at=T0)
        pool = Megavault(vault, terms=PLAIN)
        desk = Desk(vault)
        await carry_out(desk, list(desk.deposit(vault, "1000", client="ann")), venue)
        await carry_out(desk, list(desk.deposit(vault, "1000", client="bob")), venue)  # the wallet outside has only 500 more
        await trade(desk, venue)
        assert (vault.client_money("ann"), vault.client_money("bob")) == (USD("1000"), USD.zero)
        pool.invest("ann", "900")
        out = pool.withdraw("ann", 300 * UNIT)
        assert out.money == USD("300") and vault.client_money("ann") == USD("400")
        await carry_out(desk, list(desk.withdraw(vault, "400", by="own", client="ann")), venue)
        return venue, vault, pool, desk

    async def by_hand():
        venue, vault, pool, desk = await main()
        async for event in venue.events():
            desk.step(event)
        balances = await venue.balances()
        assert not vault.client_money("ann").units and balances["USD"] == USD("600")
        assert pool.holding("ann").worth == USD("600") and not desk.transfers
        desk.check(balances, deep=True).require()

    anyio.run(by_hand)


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "a:b", "é", "a" * 65, None, 5, True, b"ann", "lock:time:1:1", "\ud800"])
def test_a_bad_name_changes_nothing(name):
    vault, pool = pool_of()
    desk = Desk(vault)
    pool.deposit("ann", "100")
    for call in (
        lambda: pool.deposit(name, "1"),
        lambda: pool.invest(name, "1"),
        lambda: pool.withdraw(name, 1),
        lambda: pool.withdraw(name, "all"),
        lambda: pool.preview_withdraw(name, 1),
        lambda: pool.give_notice(name, 1),
        lambda: pool.lock(name, 1, T0 + DAY),
        lambda: pool.unlock(name),
        lambda: pool.holding(name),
        lambda: pool.charge(name),
        lambda: pool.paid_out(name, "1"),
    ):
        unchanged(pool, call)
    if name:
        unchanged(pool, lambda: desk.deposit(vault, "1", client=name))
        unchanged(pool, lambda: desk.withdraw(vault, "1", by="own", client=name))
        assert not desk.transfers


@pytest.mark.parametrize("amount", [0, "0", "-1", "nan", "inf", float("nan"), float("inf"), 0.1, True, None, "1.0000001", "ten", b"1", [1]])
def test_a_bad_amount_changes_nothing(amount):
    vault, pool = pool_of()
    desk = Desk(vault)
    pool.deposit("ann", "100")
    pool.allocate("x", "10")
    vault.books.post()
    for call in (
        lambda: pool.deposit("ann", amount),
        lambda: pool.preview_deposit(amount),
        lambda: pool.invest("ann", amount),
        lambda: pool.paid_out("ann", amount),
        lambda: pool.allocate("x", amount),
        lambda: pool.allocate("new", amount),
        lambda: pool.retrieve("x", amount),
        lambda: desk.deposit(vault, amount, client="ann"),
        lambda: desk.withdraw(vault, amount, by="own", client="ann"),
    ):
        unchanged(pool, call)
    assert "new" not in vault.sleeves
    if amount not in (0, "0", None):
        unchanged(pool, pool.withdraw, "ann", 5, at_least=amount)


@pytest.mark.parametrize("shares", [0, -1, "0", "5", "ALL", "", None, True, 1.0, float("nan"), float("inf"), 10**40, [1]])
def test_a_bad_number_of_shares_changes_nothing(shares):
    _, pool = pool_of(Terms(virtual=0, fees=Fees(20_000, 200_000), manager="mia"))
    pool.deposit("ann", "100", at=T0)
    for call in (pool.withdraw, pool.give_notice, pool.preview_withdraw):
        error = unchanged(pool, call, "ann", shares, at=T0 + DAY, error=ShareError)
        assert error.rule in ("shares", "locked")
    unchanged(pool, pool.quote, shares, at=T0 + DAY, error=ShareError)
    refused("owner", pool.withdraw, "bob", 1, at=T0)


@pytest.mark.parametrize("at", ["now", 1.5, True, float("nan"), T0 + 0.0])
def test_a_bad_time_changes_nothing(at):
    _, pool = pool_of()
    pool.deposit("ann", "100", at=T0)
    for call in (
        lambda: pool.deposit("ann", "1", at=at),
        lambda: pool.withdraw("ann", 1, at=at),
        lambda: pool.accrue(at=at),
        lambda: pool.lock("ann", 1, T0 + DAY, at=at),
        lambda: pool.equity(at=at),
    ):
        unchanged(pool, call)


# -- over a restart --------------------------------------------------------------------------------------------------------------


def test_what_is_frozen_is_frozen_after_a_restart_with_and_without_a_desk():
    vault, pool = frozen_pool()
    pool.impair("x", by="own", why="frozen", at=T0)
    journal = Memory.read(list(vault.books.journal.lines()))
    (vault,) = Treasury.reopen(Books(journal)).vaults
    pool = Megavault.reopen(vault)
    refused("price", pool.withdraw, "ann", 1, at_least="0", at=T0)
    assert Hold.FROZEN in vault.sleeves["x"].latches
    Desk(vault)
    refused("price", pool.withdraw, "ann", 1, at_least="0", at=T0)


def test_a_pool_is_opened_once():
    """Two that do not know of each other would charge every fee twice."""
    vault, pool = pool_of(Terms(fees=Fees(management_ppm=20_000)))
    with pytest.raises(VaultError, match="open already"):
        Megavault.reopen(vault)
    pool.deposit("ann", "100", at=T0)
    (vault,) = Treasury.reopen(Books(Memory.read(list(vault.books.journal.lines())))).vaults
    with pytest.raises(VaultError):
        Megavault(vault)
    again = Megavault.reopen(vault)
    assert again.shares("ann") == 100 * UNIT
    with pytest.raises(VaultError, match="open already"):
        Megavault.reopen(vault)
    bare = CoreVault(USD, total="0", at=T0)
    with pytest.raises(VaultError, match="no megavault"):
        Megavault.reopen(bare)


def test_a_journal_that_fails_leaves_all_as_it_was():
    vault, pool = pool_of(Terms(fees=Fees(20_000, 200_000), manager="mia", notice_ns=DAY))
    pool.deposit("ann", "100", at=T0)
    notice = pool.give_notice("ann", UNIT, at=T0)
    said = dict(pool._said)

    def no(*records):
        raise JournalError("the disk is full")

    vault.books.journal.append = no
    for call in (
        lambda: pool.deposit("bob", "100", at=T0 + DAY),
        lambda: pool.redeem(notice, at=T0 + DAY),
        lambda: pool.cancel_notice(notice, at=T0 + DAY),
        lambda: pool.give_notice("ann", 5, at=T0 + DAY),
        lambda: pool.accrue(at=T0 + DAY),
        lambda: pool.change_terms(Terms(manager="mia"), by="mia", at=T0 + DAY),
        lambda: pool.allocate("new", "5", at=T0 + DAY),
        lambda: pool.lock("ann", 5, T0 + 9 * DAY, at=T0 + DAY),
    ):
        unchanged(pool, call, error=JournalError)
    del vault.books.journal.append
    assert pool._said == said and pool._terms.fees == Fees(20_000, 200_000) and "new" not in vault.sleeves
    assert pool.redeem(notice, at=T0 + DAY).money.units == 999_945, "worth 1 at notice, and less by a day of the fee since"
    pool.check()


def test_check_says_what_is_wrong():
    """A share that was made by going round the pool is found."""
    from sleeves.errors import LedgerError
    from sleeves.ledger import Account, Entry, EntryKind, Posting

    vault, pool = pool_of()
    pool.deposit("ann", "100")
    made = Posting(Account("investor:eve", Role.SHARES), pool.share, 5)
    vault.books.post(Entry(T0, EntryKind.MINT, "eve", (made, Posting(Account("eve", Role.ISSUED), pool.share, -5))))
    with pytest.raises(LedgerError, match="investors have 100000005 MEGA, 100000000 were issued"):
        pool.check()


def test_a_transfer_of_the_pools_own_coins_is_not_asked_for():
    """Only redeemed money leaves: the owner of the books cannot send what belongs to investors."""
    vault, pool = pool_of()
    pool.deposit("ann", "100")
    desk = Desk(vault)
    unchanged(pool, desk.withdraw, vault, "10", by="own", error=VaultError)
    pool.withdraw("ann", 10 * UNIT)
    (transfer,) = desk.withdraw(vault, "10", by="own", client="ann")
    assert isinstance(transfer, Transfer)


# -- found by a hostile review ----------------------------------------------------------------------------------------------------


def two_at_a_desk():
    """Ann and Bob have 500 each in the pool through a desk; Ann has redeemed all of hers."""
    vault = CoreVault(USD, total="0", at=T0)
    desk = Desk(vault)
    pool = Megavault(vault, marks=desk.marks, at=T0)
    for who in ("ann", "bob"):
        (asked,) = desk.deposit(vault, "500", client=who)
        desk.step(Transferred(T0, asked.amount, asked.id, "sim"))
        pool.invest(who, "500")
    pool.withdraw("ann", "all")
    return vault, desk, pool


@pytest.mark.parametrize("way", ["refused", "given up"])
def test_a_payment_that_was_taken_for_refused_and_left_after_all_left_from_the_clients_money(way):
    vault, desk, pool = two_at_a_desk()
    (asked,) = desk.withdraw(vault, "500", by="ann", client="ann")
    if way == "refused":
        desk.step(TransferRefused(T0, asked.id, "not now"))
    else:
        desk.give_up(asked.id, by="own", why="lost")
    assert vault.client_money("ann") == USD("500")
    desk.step(Transferred(T0 + 1, asked.amount, asked.id, "sim"))
    assert vault.client_money("ann") == USD("0") and vault.idle == USD("500") and pool.holding("bob").worth == USD("500")
    with pytest.raises(NotEnough):
        desk.withdraw(vault, "1", by="ann", client="ann")
    desk.check({"USD": USD("500")}).require()


def test_more_left_than_a_client_had_asked_for_is_that_clients_too():
    vault, desk, pool = two_at_a_desk()
    (asked,) = desk.withdraw(vault, "100", by="ann", client="ann")
    desk.step(Transferred(T0 + 1, USD("-130"), asked.id, "sim"))
    assert vault.client_money("ann") == USD("370") and pool.holding("bob").worth == USD("500")
    desk.check({"USD": USD("870")}).require()


def test_client_money_on_its_way_is_no_part_of_the_vault_and_has_a_line_of_its_own():
    vault, desk, pool = two_at_a_desk()
    asked = desk.withdraw(vault, "200", by="ann", client="ann")
    assert vault.total == USD("500") and vault.in_transit == USD("0") and vault.coins == USD("1000")
    with pytest.raises(VaultError, match="exceeds"):
        vault.set_tradeable("501")
    told = verify(vault.books.journal)
    assert told.totals == {vault.owner: USD("500")} and told.clients == {vault.owner: USD("500")}
    assert "client money 500 USD" in str(told)
    desk.check({"USD": USD("1000")}).require()
    desk.step(Transferred(T0 + 1, asked[0].amount, asked[0].id, "sim"))
    assert vault.total == USD("500") and verify(vault.books.journal).clients == {vault.owner: USD("300")}
    assert pool.equity() == 500 * UNIT


def test_nobody_takes_the_pools_coins_out_nor_gives_it_any_by_mistake(tmp_path):
    """Over a restart too, before the pool itself is open again."""
    path = tmp_path / "pool.sleeves"
    journal = SQLite.open(path)
    vault = CoreVault(USD, total="0", at=T0, books=Books(journal))
    pool = Megavault(vault, at=T0)
    pool.deposit("ann", "500")
    desk = Desk(vault)
    for act in (lambda: desk.withdraw(vault, "1", by="own"), lambda: desk.deposit(vault, "1")):
        with pytest.raises(VaultError, match="mega:MEGA"):
            act()
    journal.close()
    journal = SQLite.open(path)
    vault = Treasury.reopen(Books(journal))["USD"]
    with pytest.raises(VaultError, match="belong to the investors of mega:MEGA"):
        Desk(vault).withdraw(vault, "1", by="own")
    journal.close()


def test_fees_begin_with_the_first_time_that_is_known():
    """A pool that is opened before any price has no time yet: 1970 is not when it began."""
    vault = CoreVault(USD, total="0")
    pool = Megavault(vault, terms=Terms.of(USD, virtual=0, fees=Fees.of(management="2%", performance="20%", hurdle="5%")))
    pool.deposit("ann", "1000")
    pool.deposit("bob", "1000", at=T0)
    assert pool.shares("manager") == 0 and pool.basis("ann") == USD("1000")
    pool.deposit("bob", "1000", at=T0 + 365 * DAY)
    assert 0 < pool.shares("manager") < 45 * UNIT, "2% of 2,000 for a year"


def test_the_last_one_to_leave_is_told_that_a_position_cannot_be_paid_out():
    house = sample_house()
    pool = house.pool
    pool.withdraw("bob", "all", at_least="0")
    refused("short", pool.withdraw, "ann", "all")
    assert pool.preview_withdraw("ann", "all").skipped
    house.sells("0.04", "10000")
    paid = pool.withdraw("ann", "all")
    assert pool.total == 0 == pool.equity() and paid.skipped == ()
