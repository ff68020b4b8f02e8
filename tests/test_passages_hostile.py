"""Coins between sub-accounts where several things happen at once, or somebody else's hand is in it: what a hostile reader found."""

from __future__ import annotations

import pytest

from sleeves import QUIET, USDC, Books, CoreVault, Desk, Place, Side
from sleeves.errors import VaultError
from sleeves.facts import CashFlow, FlowKind, Shifted, TransferRefused
from sleeves.margin import health_bp
from sleeves.orders import Fill, Liquidity, Transfer
from sleeves.records import Refusal
from test_passages import MARKETS, Stand, alerts, funded, reopened


def line(stand, units, name, account):
    return CashFlow(stand.desk.books.now, USDC.units(units), FlowKind.INTEREST, name, "", "v", account)


def look(stand, *flows):
    return stand.desk.reconcile(stand.chain.balances, flows, holdings=stand.chain.holdings)[0]


# -- interest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("has", "left", "standing"), [(2, 0, []), (1, 0, [-1]), (0, 0, [-1, -1])])
def test_two_lines_of_interest_owed_never_take_more_than_their_sleeve_has(has, left, standing):
    stand = Stand()
    if has:
        stand.vault.allocate(stand["a"], USDC.units(has))
        stand.price()
        stand.chain.all()
    stand.chain.coins[1] = stand.chain.coins.get(1, 0) - 2
    found = look(stand, line(stand, -1, "i1", 1), line(stand, -1, "i2", 1))
    assert stand["a"].free_units() == left
    assert [one.amount.units for one in found.standing] == [one.amount.units for one in found.found] == standing
    stand.desk.check(stand.chain.balances, deep=True).require()


@pytest.mark.parametrize(("idle", "left", "standing"), [(2, 0, []), (1, 0, [-1]), (0, 0, [-1, -1])])
def test_two_lines_of_interest_owed_never_take_more_than_is_idle(idle, left, standing):
    stand = Stand()
    stand.vault.set_tradeable("1000")
    stand.vault.allocate(stand["c"], USDC.units(10**9 - idle))
    stand.chain.coins[0] -= 2
    found = look(stand, line(stand, -1, "i1", 0), line(stand, -1, "i2", None))
    assert stand.vault.idle_units() == left
    assert [one.amount.units for one in found.standing] == standing
    stand.desk.check(stand.chain.balances, deep=True).require()


def test_interest_owed_beside_a_deposit_that_fills_the_reserve_is_measured_with_what_is_left_idle():
    """One unit is idle and owed, and goes to the reserve with the deposit that is seen: it is not spent twice."""
    stand = Stand()
    stand.vault.set_tradeable("1000")
    stand.vault.allocate(stand["a"], "500")
    stand.price()
    stand.chain.all()
    stand.vault.allocate(stand["c"], "500")
    stand.vault.set_reserve("50%")
    stand.vault.reclaim(stand["c"], USDC.units(1))
    stand.desk.deposit(stand.vault, "10")
    stand.chain.coins[0] += USDC("10").units - 1
    stand.chain.coins[1] += 20
    found = look(stand, line(stand, 20, "i1", 1), line(stand, -1, "i2", 0))
    assert (stand.vault.idle_units(), stand.vault.reserve_units()) == (0, USDC("10").units + 1)
    assert [one.amount.units for one in found.standing] == [-1]
    stand.desk.check(stand.chain.balances, deep=True).require()


def test_coins_in_margin_and_in_orders_earn_interest_too():
    stand = funded()
    stand.vault.sleeve("d", QUIET, allocate="100", account=1)
    stand.price()
    stand.chain.all()
    stand.trade("a", Side.BUY, "2.5", "100")
    stand.chain.take(stand.desk.order(stand["a"], Place(MARKETS[1], Side.BUY, 10**9, limit=MARKETS[1].price("90")), by="ann"))
    assert (stand["a"].margin, stand["a"].held > USDC("0")) == (USDC("25"), True)
    stand.chain.coins[1] += 400
    assert look(stand, line(stand, 400, "i1", 1)).clean
    assert (stand["a"].realized.units, stand["d"].realized.units) == (300, 100)
    stand.prove()


# -- where coins lie ---------------------------------------------------------------------------------------------------


def test_coins_moved_by_hand_from_one_sub_account_to_another_are_followed_in_two_steps():
    stand = funded()
    forty = USDC("40").units
    stand.chain.coins[1] -= forty
    stand.chain.coins[2] += forty
    assert not look(stand).clean
    stand.desk.follow(stand.vault, 1, by="ann", why="moved by hand")
    assert stand.desk.books.misplaced["main"] == {(0, "USDC"): -forty, (2, "USDC"): forty}, "what they lack lies in the third"
    assert [(one.account, one.off.units) for one in look(stand).misplaced] == [(0, -forty), (2, forty)]
    refused = stand.desk.order(stand["c"], Place(MARKETS[0], Side.BUY, 10**7), by="ann")
    assert isinstance(refused, Refusal)
    stand.desk.follow(stand.vault, 2, by="ann", why="moved by hand")
    assert stand.desk.books.misplaced["main"] == {}
    assert (stand["a"].allocation, stand["b"].allocation) == (USDC("260"), USDC("340"))
    assert look(stand).clean
    stand.prove()


def test_a_trade_made_in_another_sub_account_is_not_adopted_by_a_sleeve_that_cannot_lie_there():
    stand = funded()
    market = MARKETS[2]
    trade = Fill(
        "", stand.desk.books.now, market, Side.BUY, 10**9, market.price("100"), USDC("100").units, USDC.zero, Liquidity.TAKER, "m1", "v"
    )
    stand.chain.take(stand.desk.step(trade))
    for name in "ac":
        with pytest.raises(VaultError, match="made in sub-account 2"):
            stand.desk.adopt(trade, stand[name], by="ann", why="mine")
    stand.desk.adopt(trade, stand["b"], by="ann", why="mine")
    assert stand["b"].contracts() == {market: 10**9}
    stand.prove()


def test_accounts_are_proved_of_one_wallet_only():
    books = Books()
    desk = Desk(*(CoreVault(USDC, total="10", books=books, wallet=name) for name in ("x", "y")))
    with pytest.raises(VaultError, match="one wallet"):
        desk.check(accounts={0: {"USDC": USDC("10")}})


# -- on the way --------------------------------------------------------------------------------------------------------


def test_what_set_out_before_the_desk_was_made_is_asked_for_with_the_next_moment():
    vault = CoreVault(USDC, total="1000", tradeable="900")
    vault.sleeve("a", QUIET, allocate="50", account=1)
    desk = Desk(vault)
    assert desk.pass_time(1) == [Transfer("main-transfer-1", USDC("50"), "", 0, 1)]
    assert not desk.pass_time(2)


@pytest.mark.parametrize("lands_first", [True, False])
def test_what_comes_home_while_an_allocation_waits_is_no_part_of_that(lands_first):
    """A sleeve with 10 of profit and nothing allocated: the 10 are reclaimed, 50 are on their way to it and never come."""
    stand = funded()
    stand.earn("b", 10)
    stand.vault.reclaim(stand["b"], "300")
    stand.price()
    stand.chain.all()
    stand.vault.reclaim(stand["b"], "10")
    stand.price()
    stand.vault.allocate(stand["b"], "50")
    stand.chain.land()
    assert (stand["b"].allocation, stand["b"].returned, stand.vault.tradeable) == (USDC("50"), USDC("10"), USDC("910"))
    if lands_first:
        stand.chain.all()
        assert stand["b"].free == USDC("50")
    else:
        lost = stand.chain.sent.pop()
        stand.chain.take(stand.desk.step(TransferRefused(stand.desk.books.now, lost.id, "no")))
        assert (stand["b"].allocation, stand["b"].free) == (USDC("0"), USDC("0"))
        assert stand.vault.remaining == min(stand.vault.idle, stand.vault.tradeable - USDC("400"), key=lambda one: one.units)
    stand.prove()


@pytest.mark.parametrize(("spare", "goes"), [(0, True), (1, False)])
def test_an_allocation_leaves_what_contracts_of_the_main_account_lean_on(spare, goes):
    """4 SOL at 80 need 16 (5%); health 80 needs 80 of collateral. 300 coins less a loss of 80 are 220: 140 may leave, no unit more."""
    stand = Stand()
    stand.vault.set_tradeable("1000")
    stand.vault.allocate(stand["c"], "100")
    stand.trade("c", Side.BUY, "4", "100")
    stand.price("80")
    main = stand.desk.account(stand.vault)
    need = 80 * 10**6
    collateral = sum(coin.units for coin in main.coins) - USDC("80").units
    stand.vault.allocate(stand["a"], USDC.units(collateral - need + spare))
    stand.price("80")
    assert bool(stand.chain.sent) is goes
    assert (health_bp(stand.desk.account(stand.vault)) >= 8000) is True
    assert stand["a"].allocation.units == (collateral - need if goes else 0)
    assert [one.subject for one in alerts(stand.desk, "shift_unfit")] == ([] if goes else ["a"])
    if not goes:
        assert stand["a"].between.units == 0
        assert "sub-account 0" in alerts(stand.desk, "shift_unfit")[0].text
    stand.desk.check(stand.chain.balances, accounts=stand.chain.holdings, deep=True).require()


def test_a_shift_under_the_id_of_a_deposit_does_not_end_the_deposit():
    stand = funded()
    (asked,) = stand.desk.deposit(stand.vault, "10")
    stand.chain.take(stand.desk.step(Shifted(stand.desk.books.now, USDC("5"), 1, 0, asked.id, "v")))
    assert stand.desk.transfers == [asked.id]
    assert reopened(stand).desk.transfers == [asked.id], "nor does a restart"


def test_the_simulator_takes_no_move_within_the_account_for_a_deposit():
    """`replay` hands commands to the simulated exchange itself, past the shell that would refuse them."""
    from sleeves.sim.account import Account
    from sleeves.sim.models import Rules

    account = Account({"USDC": USDC("10")}, Rules(), wallet={"USDC": USDC("10")})
    account.transfer(Transfer("t-1", USDC("5"), "", 0, 1), 1)
    (told,) = account.outbox
    assert isinstance(told, TransferRefused)
    assert "no sub-accounts" in told.reason
    assert account.coins["USDC"] == USDC("10").units
