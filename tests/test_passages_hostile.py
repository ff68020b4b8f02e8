"""Coins between sub-accounts where several things happen at once, or somebody else's hand is in it: what a hostile reader found."""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

from helpers import Puppet
from sleeves import QUIET, USDC, Books, CoreVault, Desk, Place, Side, Virtual
from sleeves.control import Control
from sleeves.errors import VaultError, VenueUnavailable, WrongStatus
from sleeves.facts import CashFlow, FlowKind, Shifted, TransferRefused
from sleeves.instructions import Code, Reclaim
from sleeves.logs import dump, follow
from sleeves.margin import health_bp
from sleeves.market import SECOND
from sleeves.orders import Fill, Liquidity, Transfer
from sleeves.records import Refusal
from sleeves.recovery import Arrivals, _lines
from sleeves.shell import carry_out
from test_control import Shop
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


@pytest.mark.parametrize("unknown", [0, 3, -3])
def test_what_one_sub_account_earned_and_another_owed_cancels_out_for_the_account_and_is_booked_to_each(unknown):
    """A venue that rounds against us in one and for us in the other: the account as a whole has what it had."""
    stand = funded()
    stand.chain.coins |= {0: stand.chain.coins[0] + unknown, 1: stand.chain.coins[1] + 5, 2: stand.chain.coins[2] - 5}
    found = look(stand, line(stand, 5, "i1", 1), line(stand, -5, "i2", 2))
    assert (stand["a"].realized.units, stand["b"].realized.units) == (5, -5)
    assert [one.amount.units for one in found.standing] == ([unknown] if unknown else [])
    assert not found.misplaced
    assert not look(stand, line(stand, 5, "i1", 1), line(stand, -5, "i2", 2)).found
    stand.desk.check(accounts=stand.chain.holdings, deep=True).require()


@pytest.mark.parametrize("units", [5, -5])
def test_what_a_sub_account_earned_and_the_main_one_owed_cancels_out_too(units):
    stand = funded()
    idle = stand.vault.idle.units
    stand.chain.coins |= {0: stand.chain.coins[0] - units, 1: stand.chain.coins[1] + units}
    assert look(stand, line(stand, units, "i1", 1), line(stand, -units, "i2", None)).clean
    assert (stand["a"].realized.units, stand.vault.idle.units) == (units, idle - units)
    stand.prove()


def test_a_line_that_was_adopted_before_it_was_written_explains_no_coins_that_were_moved_by_hand():
    stand = funded()
    stand.chain.coins[1] += 5
    (one,) = look(stand).standing
    stand.desk.adopt(one, stand["a"], by="ann", why="interest that has no line yet")
    assert look(stand, line(stand, 5, "i1", 1)).clean
    stand.chain.coins |= {0: stand.chain.coins[0] - 40, 1: stand.chain.coins[1] + 40}
    found = look(stand, line(stand, 5, "i1", 1))
    assert not found.standing
    assert [(one.account, one.off.units) for one in found.misplaced] == [(0, -40), (1, 40)]
    assert stand["a"].realized.units == 5


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


@pytest.mark.parametrize(("off", "blocked"), [(3, False), (4, True), (-3, False), (-4, True)])
def test_what_is_tolerated_of_a_coin_may_lie_elsewhere_and_no_unit_more(off, blocked):
    stand = funded()
    stand.desk.books.tolerances["USDC"] = 3
    stand.chain.coins |= {0: stand.chain.coins[0] - off, 1: stand.chain.coins[1] + off}
    place = Place(MARKETS[1], Side.BUY, 10**7, limit=MARKETS[1].price("90"))
    stand.chain.take(stand.desk.order(stand["a"], place, by="ann"))
    found, commands = stand.desk.reconcile(stand.chain.balances, holdings=stand.chain.holdings)
    assert [one.off.units for one in found.misplaced] == [-off, off], "it is shown either way"
    assert [one.order.sleeve for one in commands] == (["a"] if blocked else [])
    assert len(alerts(stand.desk, "misplaced")) == (2 if blocked else 0)
    assert isinstance(stand.desk.order(stand["a"], place, by="ann"), Refusal) is blocked


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


def test_what_lies_in_the_sub_account_of_a_deactivated_sleeve_is_not_given_to_it():
    stand = Stand()
    idle = stand.vault.sleeve("z", QUIET, account=5)
    stand.desk.deactivate(idle, by="ann", why="no longer used")
    stand.chain.coins |= {0: stand.chain.coins[0] - 7, 5: 7}
    look(stand)
    with pytest.raises(WrongStatus, match="reactivate"):
        stand.desk.follow(stand.vault, 5, by="ann", why="it came late")
    stand.desk.reactivate(idle, by="ann", why="it came late")
    stand.desk.follow(stand.vault, 5, by="ann", why="it came late")
    assert idle.free_units() == 7
    stand.prove()


def test_a_sleeve_with_a_sub_account_is_backed_by_nothing_else():
    stand = Stand()
    sleeve = stand.vault.sleeve("z", QUIET, account=5)
    with pytest.raises(VaultError, match="lies in sub-account 5"):
        stand.desk.assign(Puppet(MARKETS[1], "z"), to=sleeve, backing=Virtual())


@pytest.mark.parametrize("wrong", [[], {0: []}, {"0": {}}, {0: {"USDC": 5}}, {True: {}}, {-1: {}}])
def test_accounts_that_are_none_are_misuse_and_no_finding(wrong):
    with pytest.raises(VaultError, match="by sub-account"):
        Stand().desk.check(accounts=wrong)


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


# -- at the venue ------------------------------------------------------------------------------------------------------


class Silent:
    """A venue that took nothing and is certain of it."""

    def __init__(self, name, certain=True):
        self.name, self.certain, self.asked, self.carried = name, certain, [], []

    async def holdings(self):
        return {}

    async def transfer(self, transfer):
        self.carried.append(transfer)

    async def never_landed(self, transfer, since):
        self.asked.append((transfer, since))
        if isinstance(self.certain, Exception):
            raise self.certain
        return self.certain


def asked_after(desk, *venues, seconds=(31.0,)):
    """Ask after what is under way, so many seconds after it was first seen."""

    async def later():
        arrivals = Arrivals(desk, lambda _: anyio.sleep(0), 60.0, {one.name: one for one in venues})
        await arrivals.once([])
        for pause in seconds:
            await anyio.sleep(pause)
            await arrivals.once([])

    anyio.run(later, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


def under_way(*wallets):
    books = Books()
    vaults = [CoreVault(USDC, total="100", tradeable="90", books=books, wallet=name) for name in wallets]
    for vault in vaults:
        vault.sleeve(f"in-{vault.wallet}", QUIET, allocate="50", account=1)
    desk = Desk(*vaults)
    return desk, desk.pass_time(SECOND)


@pytest.mark.parametrize(
    ("certain", "pause", "left"),
    [(True, 31.0, 0), (True, 29.0, 1), (False, 31.0, 1), (None, 31.0, 1), (1, 31.0, 1), (VenueUnavailable("no answer"), 31.0, 1)],
)
def test_only_a_venue_that_is_certain_ends_a_move_that_it_never_told_of(certain, pause, left):
    desk, (sent,) = under_way("main")
    venue = Silent("v", certain)
    asked_after(desk, venue, seconds=(pause,))
    assert len(desk.transfers) == left
    assert venue.asked == ([(sent, SECOND)] if pause > 30 else [])
    assert desk.treasury.vaults[0].idle == USDC("50" if left else "100")
    desk.check(deep=True).require()


def test_a_venue_that_was_not_meant_to_carry_a_move_is_not_asked_whether_it_came():
    """Each wallet is that of its venue. y is not here now: x knows nothing of its move, and would be certain that none came."""
    desk, sent = under_way("x", "y")
    assert [one.venue for one in sent] == ["x", "y"]
    there = Silent("x")
    asked_after(desk, there)
    assert [one.venue for one, _ in there.asked] == ["x"]
    assert desk.transfers == [sent[1].id]


@pytest.mark.parametrize(("names", "carried", "why"), [("v", "v", ""), ("vw", "", "no single venue here has"), ("", "", "no single venue")])
def test_a_move_goes_to_the_only_venue_with_sub_accounts_and_is_refused_where_that_is_not_one(names, carried, why):
    desk, sent = under_way("main")
    venues = {name: Silent(name) for name in names}
    anyio.run(carry_out, desk, sent, None, venues)
    assert "".join(name for name, venue in venues.items() if venue.carried) == carried
    assert bool(desk.transfers) is bool(carried)
    assert [why in one.text for one in alerts(desk, "transfer_refused")] == ([True] if why else [])
    assert desk.treasury.vaults[0].idle == USDC("50" if carried else "100")


def test_an_instruction_says_that_coins_are_on_their_way_and_not_that_they_came():
    stand = funded()
    control = Control(stand.desk, Shop())
    told = anyio.run(control.do, Reclaim("r-1", "ann", "a", "100"))
    assert told.code is Code.DONE
    assert "there when the venue says so" in told.message
    assert (told.evidence["on_its_way"], told.evidence["allocation"]) == ("100 USDC", "300 USDC")
    slice_ = anyio.run(control.do, Reclaim("r-2", "ann", "c", "10"))
    assert "on_its_way" not in slice_.evidence
    assert slice_.message == "10 USDC reclaimed from c"


def test_health_of_each_sub_account_is_in_the_log(caplog):
    stand = funded()
    stand.trade("a", Side.BUY, "1", "100")
    stand.trade("c", Side.BUY, "0.1", "100")
    end = follow(stand.desk)
    with caplog.at_level("INFO", logger="sleeves.state"):
        stand.desk.mark(stand.desk.books.now)
    end()
    said = [one.sleeves_vault for one in caplog.records if one.name == "sleeves.state"]
    assert said == ["core:main:USDC", "core:main:USDC:1"]
    assert set(dump(stand.desk)["accounts"]) == {"core:main:USDC", "core:main:USDC:1"}


# -- whole seconds -------------------------------------------------------------------------------------------------------------


class Ledgered:
    """A venue whose own ledger has these lines."""

    name = "v"

    def __init__(self, *lines):
        self.lines = lines

    async def cash_flows(self, since):
        return [line for line in self.lines if line.at >= since]


@pytest.mark.parametrize(
    ("at", "kind", "told"),
    [
        (10 * SECOND, FlowKind.INTEREST, True),
        (9 * SECOND + SECOND // 2, FlowKind.INTEREST, True),
        (9 * SECOND, FlowKind.INTEREST, True),
        (9 * SECOND - 1, FlowKind.INTEREST, False),
        (9 * SECOND + SECOND // 2, FlowKind.DEPOSIT, False),
        (10 * SECOND, FlowKind.DEPOSIT, True),
    ],
)
def test_interest_of_the_second_in_which_the_books_began_is_heard_and_no_deposit_of_before(at, kind, told):
    """A chain tells whole seconds: a line of after the beginning may bear a time of before it. A deposit then is in the total."""
    begun = 10 * SECOND
    line = CashFlow(at, USDC.units(1), kind, "i", "", "v", 1)
    assert bool(anyio.run(_lines, Ledgered(line), begun, begun)) is told
    assert bool(anyio.run(_lines, Ledgered(line), begun + 5 * SECOND, begun)) is False
