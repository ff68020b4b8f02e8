"""Core vaults and sleeves: who may move what, and what the figures say."""

from __future__ import annotations

from decimal import Decimal

import pytest

from helpers import BTCUSD, Puppet, carry, fill, new_desk
from sleeves import BTC, FLASH, QUIET, USD, USDC, Books, CoreVault, Desk, Place, ProfitPolicy, Reserve, Side, Treasury
from sleeves.errors import AssetMismatch, InvalidAmount, NotEnough, VaultError, WrongStatus
from sleeves.journal import Memory
from sleeves.ledger import Entry
from sleeves.market import DAY, HOUR, MINUTE
from sleeves.records import Alert, Changed
from sleeves.status import Status


def test_the_worked_case_of_the_seed():
    """Total 20.01253, tradeable 15, Quiet 10, Flash 5: nothing remains to allocate, 5.01253 is idle."""
    vault = CoreVault(USD, total="20.01253", tradeable="15")
    quiet = vault.sleeve("quiet", QUIET, allocate="10")
    flash = vault.sleeve("flash", FLASH, allocate="5")

    assert vault.total == USD("20.01253")
    assert vault.tradeable == USD("15")
    assert (quiet.balance, flash.balance) == (USD("10"), USD("5"))
    assert vault.remaining == USD("0")
    assert vault.idle == USD("5.01253")
    assert vault.coins == vault.total


def test_tradeable_zero_still_reports_the_total_and_touches_nothing():
    vault = CoreVault(USD, total="20.01253")

    assert vault.total == USD("20.01253")
    assert vault.remaining == vault.tradeable == USD("0")
    with pytest.raises(NotEnough, match="only 0 USD remains"):
        vault.sleeve("quiet", QUIET, allocate="0.000001")
    assert not vault.sleeves


def test_tradeable_set_to_zero_leaves_sleeves_idle_and_their_holdings_alone():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    before = sleeve.balance, sleeve.positions()

    vault.set_tradeable("0", by="ann", why="holiday")
    assert (sleeve.balance, sleeve.positions()) == before
    assert puppet.buy("0.01").reason == "tradeable"
    carry(desk, puppet.sell("0.01"))
    assert sleeve.is_flat()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"total": "-1"}, "need 0 <= total"),
        ({"total": "10", "tradeable": "-1"}, "0 <= tradeable"),
        ({"total": "10", "tradeable": "10.000001"}, "exceeds the total"),
        ({"total": "10", "tradeable": "9.500001", "reserve": "5%"}, "less the reserve 0.5 USD"),
        ({"total": "10", "tradeable": "5", "cap": "4"}, "tradeable <= cap"),
        ({"total": "10", "wallet": "Main Wallet"}, "wallet name"),
    ],
)
def test_a_vault_that_cannot_be_is_refused(kwargs, message):
    with pytest.raises(VaultError, match=message):
        CoreVault(USD, **kwargs)


@pytest.mark.parametrize("value", ["NaN", "inf", "1e5", "0.0000001", 1.5, None, True, Decimal("NaN"), "١٠"])
def test_every_command_refuses_what_is_no_amount_and_changes_nothing(value):
    vault = CoreVault(USD, total="100", tradeable="50")
    sleeve = vault.sleeve("a", QUIET, allocate="10")
    before = list(vault.books.journal)
    for command in (
        lambda: vault.allocate(sleeve, value),
        lambda: vault.reclaim(sleeve, value),
        lambda: vault.set_tradeable(value),
        lambda: vault.observe_balance(value),
        lambda: vault.sleeve("b", QUIET, allocate=value),
        lambda: CoreVault(USD, total=value),
    ):
        with pytest.raises(InvalidAmount):
            command()
    assert list(vault.books.journal) == before
    assert list(vault.sleeves) == ["a"]


def test_an_amount_of_another_asset_is_refused():
    vault = CoreVault(USD, total="100", tradeable="50")
    with pytest.raises(AssetMismatch, match="5 USDC"):
        vault.sleeve("a", QUIET, allocate=USDC("5"))


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 33, "../x", "<img onerror=x>", "a;drop", "é", "a\n", None, 3])
def test_hostile_names_are_refused(name):
    vault = CoreVault(USD, total="100", tradeable="50")
    with pytest.raises(VaultError, match="name"):
        vault.sleeve(name, QUIET)


def test_a_name_is_taken_once_in_all_the_books():
    books = Books()
    usd = CoreVault(USD, total="100", tradeable="50", books=books)
    usdc = CoreVault(USDC, total="100", tradeable="50", books=books)
    usd.sleeve("a", QUIET)
    with pytest.raises(VaultError, match="taken"):
        usdc.sleeve("a", QUIET)
    with pytest.raises(VaultError, match="taken"):
        CoreVault(USD, total="1", books=books)


# -- allocations -------------------------------------------------------------------------------------------------------


def test_every_change_says_who_when_how_much_and_why():
    vault = CoreVault(USD, total="100", tradeable="50")
    sleeve = vault.sleeve("a", QUIET, allocate="10", by="ann", why="start", at=5)
    vault.allocate(sleeve, "5", by="bob", why="more", at=6)
    vault.reclaim(sleeve, "3", by="cid", why="less", at=7)
    vault.set_tradeable("60", by="dan", why="bold", at=8)
    vault.set_reserve("10%", by="eve", why="storm", at=9)

    entries = [r for r in vault.books.journal if isinstance(r, Entry)]
    told = [(e.by, e.at, str(e.kind), max(p.units for p in e.postings), e.why) for e in entries[-5:]]
    assert told == [
        ("ann", 5, "allocate", USD("10").units, "start"),
        ("bob", 6, "allocate", USD("5").units, "more"),
        ("cid", 7, "reclaim", USD("3").units, "less"),
        ("dan", 8, "tradeable", USD("10").units, "bold"),
        ("eve", 9, "reserve", USD("10").units, "storm"),
    ]
    assert [(c.by, c.what, c.before, c.after) for c in vault.books.journal if isinstance(c, Changed)] == [("eve", "reserve", "none", "10%")]


def test_allocating_stops_at_what_remains_and_reclaiming_at_what_is_free():
    vault = CoreVault(USD, total="100", tradeable="50")
    sleeve = vault.sleeve("a", QUIET, allocate="10")
    with pytest.raises(NotEnough) as error:
        vault.allocate(sleeve, "40.000001")
    assert error.value.free == USD("40")
    vault.allocate(sleeve, "40")
    assert vault.remaining == USD("0")

    with pytest.raises(NotEnough, match="only 50 USD is free") as error:
        vault.reclaim(sleeve, "50.000001")
    assert error.value.free == USD("50")
    vault.reclaim(sleeve, "50")
    assert (sleeve.balance, sleeve.allocation, vault.remaining) == (USD("0"), USD("0"), USD("50"))


def test_reclaiming_is_bounded_by_free_money_while_a_position_is_open():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05"))
    free = sleeve.free
    assert free < USD("600")
    with pytest.raises(NotEnough) as error:
        vault.reclaim(sleeve, "600")
    assert error.value.free == free


def test_an_allocation_during_a_position_lands_with_the_next_buy():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.01"))
    free = sleeve.free

    vault.allocate(sleeve, "500", by="ann")
    assert (sleeve.allocation, sleeve.pending, sleeve.free) == (USD("1000"), USD("500"), free)
    assert vault.remaining == USD("13500")

    carry(desk, puppet.buy("0.01"))
    assert (sleeve.allocation, sleeve.pending) == (USD("1500"), USD("0"))


def test_an_allocation_during_a_position_lands_when_the_position_is_closed():
    desk, vault, sleeve, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.01"))
    vault.allocate(sleeve, "500")
    carry(desk, puppet.sell("0.01", price="11000"))
    assert (sleeve.allocation, sleeve.pending) == (USD("1500"), USD("0"))
    assert sleeve.balance == USD("1500")
    assert sleeve.returned > USD("0")


def test_what_is_set_aside_is_reclaimed_first():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.09"))
    vault.allocate(sleeve, "500")
    vault.reclaim(sleeve, "400")
    assert (sleeve.pending, sleeve.allocation) == (USD("100"), USD("1000"))


def test_two_sleeves_cannot_be_made_to_pay_each_other():
    one = CoreVault(USD, total="100", tradeable="50")
    two = CoreVault(USD, total="100", tradeable="50")
    theirs = two.sleeve("theirs", QUIET, allocate="10")
    for command in (one.allocate, one.reclaim):
        with pytest.raises(VaultError, match="belongs to"):
            command(theirs, "1")
    assert not [name for name in dir(theirs) if "transfer" in name or "pay" in name]


# -- profit ------------------------------------------------------------------------------------------------------------


def test_flash_returns_its_profit_on_a_full_close_and_keeps_its_allocation():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.02", price="11000"))
    assert flash.returned == USD("0"), "a partial close sweeps nothing"

    carry(desk, puppet.sell("0.03", price="11000"))
    profit = flash.realized - flash.fees
    assert profit == USD("50") - flash.fees
    assert flash.returned == profit
    assert flash.balance == flash.allocation == USD("1000")
    assert vault.tradeable == USD("15000") + profit
    assert vault.remaining == USD("14000") + profit


def test_quiet_keeps_and_compounds():
    desk, vault, quiet, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="11000"))
    assert quiet.returned == USD("0")
    assert quiet.balance == USD("1000") + quiet.realized - quiet.fees
    assert vault.tradeable == USD("15000")


def test_flash_that_lost_first_restores_its_allocation_then_sweeps():
    desk, vault, flash, puppet = new_desk(FLASH, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="9000"))
    low = flash.balance
    assert low < USD("950")
    assert flash.returned == USD("0")

    carry(desk, puppet.buy("0.02", price="10000"))
    carry(desk, puppet.sell("0.02", price="11000"))
    assert low < flash.balance < USD("1000")
    assert flash.returned == USD("0"), "not yet restored"

    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="12000"))
    assert flash.balance == USD("1000")
    assert flash.returned > USD("0")
    assert vault.tradeable == USD("15000") + flash.returned


def test_a_sweep_can_be_previewed_and_done_twice_changes_nothing():
    desk, vault, sleeve, puppet = new_desk(ProfitPolicy.above_high_water("50%"), allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="12000"))
    made = sleeve.realized - sleeve.fees
    assert sleeve.returned.units == made.units // 2
    assert sleeve.policy.preview("1100", "1000", asset=USD) == USD("50")
    assert vault.sweep(sleeve) == USD("0")
    assert sleeve.next_sweep().units == 0


def test_profit_that_a_sleeve_kept_comes_back_as_returned_when_reclaimed():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    carry(desk, puppet.sell("0.05", price="12000"))
    profit = sleeve.balance - USD("1000")
    vault.reclaim(sleeve, sleeve.balance)
    assert (sleeve.balance, sleeve.allocation, sleeve.returned) == (USD("0"), USD("0"), profit)
    assert vault.tradeable == USD("15000") + profit


# -- the reserve -------------------------------------------------------------------------------------------------------


def test_a_reserve_is_kept_out_of_what_can_be_allocated():
    vault = CoreVault(USD, total="1000", tradeable="800", reserve="20%")
    assert (vault.reserve, vault.idle, vault.remaining) == (USD("200"), USD("800"), USD("800"))
    vault.set_reserve("5%", by="ann", why="calm")
    assert (vault.reserve, vault.idle) == (USD("50"), USD("950"))
    vault.set_reserve(None, by="ann")
    assert vault.reserve == USD("0")


def test_a_flexing_reserve_follows_volatility_within_its_band():
    vault = CoreVault(USD, total="1000", tradeable="500", reserve=Reserve.flex("5%", "20%", calm="40%", wild="120%"))
    assert vault.reserve == USD("200"), "volatility is not known yet: wild"
    for volatility, reserve in ((0, "50"), (400_000, "50"), (800_000, "125"), (1_200_000, "200"), (9_000_000, "200")):
        vault.flex_reserve(volatility)
        assert vault.reserve == USD(reserve)


def test_the_desk_tells_a_flexing_reserve_the_markets_volatility():
    vault = CoreVault(USD, total="1000", tradeable="500", reserve=Reserve.flex())
    desk = Desk(vault)
    desk.assign(Puppet(), to=vault.sleeve("a", QUIET, allocate="100"))
    index = desk.index(BTCUSD)
    for hour in range(80):
        desk.quote(index, hour * HOUR, 1_000_000 + hour % 2, 1_000_000 + hour % 2)
    assert vault.volatility_ppm is not None
    assert vault.volatility_ppm < 400_000
    assert vault.reserve == USD("50")


def test_a_short_reserve_blocks_allocations_until_it_is_cured():
    vault = CoreVault(USD, total="1000", tradeable="500", reserve="20%")
    vault.observe_balance("600")
    vault.sleeve("a", QUIET, allocate="400")
    vault.observe_balance("450")
    assert vault.reserve == USD("50")
    with pytest.raises(NotEnough):
        vault.allocate(vault.sleeves["a"], "1")


# -- the wallet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cap", "tradeable"), [(None, "15"), ("17", "17"), ("100", "20")])
def test_found_money_raises_the_total_and_tradeable_only_as_far_as_the_cap_says(cap, tradeable):
    vault = CoreVault(USD, total="20", tradeable="15", cap=cap)
    sleeve = vault.sleeve("a", QUIET, allocate="10")
    assert vault.observe_balance("25") == USD("5")
    assert (vault.total, vault.tradeable) == (USD("25"), USD(tradeable))
    assert (sleeve.balance, sleeve.realized) == (USD("10"), USD("0"))
    assert vault.observe_balance("25") == USD("0")


def test_money_that_left_comes_out_of_idle_first_then_out_of_what_was_set_aside_then_the_reserve():
    desk, vault, sleeve, puppet = new_desk(QUIET, total="1000", tradeable="900", reserve="10%", allocate="500")
    carry(desk, puppet.buy("0.01"))
    vault.allocate(sleeve, "300")
    coins = vault.coins
    assert (vault.idle, sleeve.pending, vault.reserve) == (USD("400"), USD("300"), USD("100"))
    vault.observe_balance(coins - USD("60"))
    assert (vault.idle, sleeve.pending, vault.reserve) == (USD("340"), USD("300"), USD("100"))
    vault.observe_balance(coins - USD("160"))
    assert (vault.idle, sleeve.pending, vault.reserve) == (USD("240"), USD("240"), USD("100"))
    vault.observe_balance(coins - USD("450"))
    assert (vault.idle, sleeve.pending, vault.reserve, vault.suspense) == (USD("0"), USD("0"), USD("50"), USD("0"))
    assert not vault.short()


def test_a_shortfall_stands_in_suspense_blocks_new_risk_says_so_and_lets_exits_go_on():
    desk, vault, sleeve, puppet = new_desk(QUIET, total="1000", tradeable="1000", allocate="900")
    carry(desk, puppet.buy("0.01"))
    balance = sleeve.balance
    vault.observe_balance("500", by="reconcile")

    assert vault.short()
    assert vault.suspense < USD("0")
    assert sleeve.balance == balance
    assert vault.coins == USD("500")
    alerts = [r for r in vault.books.journal if isinstance(r, Alert)]
    assert alerts[-1].code == "shortfall"
    assert puppet.buy("0.001").reason == "shortfall"
    with pytest.raises(VaultError, match="missing in suspense"):
        vault.allocate(sleeve, "1")
    carry(desk, puppet.sell("0.01"))

    vault.observe_balance(vault.coins - vault.suspense)
    assert not vault.short()
    assert vault.suspense == USD("0")


def test_a_vault_makes_a_shortfall_good_out_of_its_own_when_told_to():
    desk, vault, sleeve, puppet = new_desk(FLASH, total="1000", tradeable="1000", allocate="1000")
    carry(desk, puppet.buy("0.05"))
    vault.observe_balance(vault.coins - USD("10"))
    carry(desk, puppet.sell("0.05", price="12000"))
    assert vault.idle > USD("10")
    assert vault.short()
    assert vault.cure(by="ann") == USD("0")
    assert not vault.short()


# -- states ------------------------------------------------------------------------------------------------------------


def test_a_paused_sleeve_buys_nothing_and_still_exits():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    sleeve.pause(by="ann", why="news")
    assert puppet.buy("0.01").reason == "status"
    carry(desk, puppet.sell("0.01"))
    assert sleeve.is_flat()
    sleeve.resume(by="ann")
    carry(desk, puppet.buy("0.01"))
    assert not sleeve.is_flat()


def test_a_paused_vault_pauses_all_its_sleeves():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    vault.pause(by="ann")
    assert sleeve.status is Status.PAUSED
    assert puppet.buy("0.01").reason == "status"
    vault.resume(by="ann")
    assert sleeve.status is Status.ACTIVE


def test_kill_cancels_everything_and_flattens_when_told_to():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    resting = puppet.wish(Place(BTCUSD, Side.SELL, BTCUSD.qty("0.004"), limit=BTCUSD.price("20000")))
    commands = desk.kill(sleeve, flatten=True, by="ann", why="drill")
    assert [type(c).__name__ for c in commands] == ["CancelOrder"]
    assert commands[0].order.id == resting.order.id

    from sleeves.orders import Canceled

    (exit_,) = desk.step(Canceled(resting.order.id, 1))
    assert exit_.order.place.qty == BTCUSD.qty("0.01")
    desk.step(fill(exit_.order, price="10000"))
    assert sleeve.is_flat()
    assert sleeve.status is Status.HALTED
    assert puppet.buy("0.01") is None, "a killed engine is not asked"
    with pytest.raises(WrongStatus, match="revive"):
        sleeve.resume(by="ann")


def test_kill_without_flatten_leaves_the_position_and_cannot_sell():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    assert not desk.kill(sleeve, flatten=False, by="ann")
    assert not sleeve.is_flat()


def test_what_a_kill_cannot_sell_is_reported():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.0002"))
    carry(desk, puppet.sell("0.00015"))
    assert not desk.kill(sleeve, flatten=True, by="ann")
    assert [r.code for r in vault.books.journal if isinstance(r, Alert)] == ["residual"]


def test_killing_a_vault_kills_each_sleeve():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    carry(desk, puppet.buy("0.01"))
    (command,) = desk.kill(vault, flatten=True, by="ann")
    assert command.order.place.side is Side.SELL
    assert vault.status is sleeve.status is Status.HALTED


def test_a_killed_sleeve_comes_back_paused():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    desk.kill(sleeve, flatten=False, by="ann")
    desk.revive(sleeve, by="ann", why="again")
    assert sleeve.status is Status.PAUSED
    sleeve.resume(by="ann")
    carry(desk, puppet.buy("0.01"))


# -- the treasury --------------------------------------------------------------------------------------------------------


def test_a_treasury_shows_idle_and_deployed_by_asset_engine_and_sleeve():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    inventory = desk.inventory()

    assert inventory.total(USD, deployed=False) == USD("19000")
    assert inventory.total(BTC, deployed=True) == BTC("0.05")
    assert inventory.by("engine")["puppet"]["USD"] == sleeve.free + USD("500")
    assert inventory.by("sleeve")["none"]["USD"] == USD("19000")
    assert {row["asset"] for row in inventory.rows()} == {"USD", "BTC"}
    assert "0.05 BTC" in str(inventory)
    assert "<table" in inventory._repr_html_()
    with pytest.raises(VaultError, match="not by 'colour'"):
        inventory.by("colour")


def test_a_mark_has_an_age_and_a_missing_price_is_unknown():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.05", price="10000"))
    vault.books.now = desk.marks()["BTC/USD"].at + 3 * MINUTE
    (btc,) = [h for h in desk.inventory().holdings if h.amount.asset == BTC]
    assert btc.age_ns == 3 * MINUTE

    blind = Treasury(vault).inventory({}, now=DAY)
    (btc,) = [h for h in blind.holdings if h.amount.asset == BTC]
    assert (btc.value, btc.age_ns) == (None, None)
    assert "unknown" in str(blind)
    assert blind.by("sleeve")["a"]["USD"] is None
    assert sleeve.unrealized({}) is None
    assert sleeve.equity({}) is None


def test_vaults_of_one_treasury_share_their_books():
    with pytest.raises(VaultError, match="different books"):
        Treasury(CoreVault(USD, total="1"), CoreVault(USDC, total="1"))
    books = Books()
    usd, usdc = CoreVault(USD, total="1", books=books), CoreVault(USDC, total="2", books=books)
    treasury = Treasury(usd, usdc)
    assert treasury["USDC"] is usdc
    with pytest.raises(KeyError):
        treasury["BTC"]


def test_a_wallet_counts_a_coin_that_another_vaults_sleeve_bought():
    """The BTC that a USD sleeve owns lies in the same wallet as the BTC vault's, and is not found money."""
    books = Books()
    usd = CoreVault(USD, total="20000", tradeable="15000", books=books)
    btc = CoreVault(BTC, total="1", books=books)
    sleeve = usd.sleeve("a", QUIET, allocate="1000")
    desk = Desk(usd, btc)
    puppet = Puppet()
    puppet.sit(desk, sleeve)
    carry(desk, puppet.buy("0.05", price="10000"))
    assert btc.total == BTC("1")
    assert btc.coins == BTC("1.05")
    assert btc.observe_balance("1.05") == BTC("0")


def test_a_refused_buy_lands_nothing():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.01"))
    vault.allocate(sleeve, "500")
    sleeve.pause(by="ann")
    assert puppet.buy("0.01").reason == "status"
    assert (sleeve.pending, sleeve.allocation) == (USD("500"), USD("1000"))


def test_the_next_buy_may_already_use_what_was_set_aside():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="1000")
    carry(desk, puppet.buy("0.09"))
    assert puppet.buy("0.05").reason == "funds"
    vault.allocate(sleeve, "500")
    carry(desk, puppet.buy("0.05"))
    assert sleeve.pending == USD("0")


def test_a_killed_vault_comes_back_with_its_sleeves():
    desk, vault, sleeve, puppet = new_desk(QUIET)
    desk.kill(vault, flatten=False, by="ann")
    desk.revive(vault, by="ann", why="again")
    assert vault.status is sleeve.own_status is Status.PAUSED
    vault.resume(by="ann")
    sleeve.resume(by="ann")
    carry(desk, puppet.buy("0.01"))


def test_what_is_set_aside_counts_against_tradeable():
    desk, vault, sleeve, puppet = new_desk(QUIET, allocate="5000")
    carry(desk, puppet.buy("0.1"))
    vault.allocate(sleeve, "5000")
    vault.set_tradeable("6000")
    assert puppet.buy("0.7").reason == "tradeable"
    assert vault.at_risk_units() <= vault.tradeable_units()


def test_coins_that_only_came_back_do_not_raise_tradeable():
    vault = CoreVault(USD, total="20000", tradeable="5000", cap="20000")
    for _ in range(3):
        vault.observe_balance("17000")
        vault.observe_balance("20000")
    assert vault.tradeable == USD("5000")
    vault.observe_balance("21000")
    assert vault.tradeable == USD("6000")


def test_tradeable_never_grows_into_the_reserve():
    vault = CoreVault(USD, total="10000", tradeable="8000", reserve="20%", cap="20000")
    vault.observe_balance("11000")
    assert (vault.reserve, vault.tradeable) == (USD("2200"), USD("8800"))
    vault.set_tradeable(vault.tradeable)


def test_a_withdrawal_that_takes_what_was_set_aside_says_so():
    desk, vault, sleeve, puppet = new_desk(QUIET, total="10000", tradeable="10000", allocate="5000")
    carry(desk, puppet.buy("0.1"))
    vault.allocate(sleeve, "5000")
    vault.observe_balance(vault.coins - USD("4000"))
    assert [(r.subject, r.code) for r in vault.books.journal if isinstance(r, Alert)] == [("a", "earmark_lost")]


@pytest.mark.parametrize("reserve", [0.1, 5, True, object()])
def test_a_reserve_that_is_none_changes_nothing(reserve):
    vault = CoreVault(USD, total="10000", tradeable="5000", reserve="10%")
    written = len(vault.books.journal)
    with pytest.raises(VaultError, match="a reserve is text"):
        vault.set_reserve(reserve, by="ann")
    assert (len(vault.books.journal), vault.remaining) == (written, USD("5000"))


@pytest.mark.parametrize("volatility", [float("nan"), 500_000.5, True, -1, "40%"])
def test_a_volatility_that_is_none_changes_nothing(volatility):
    vault = CoreVault(USD, total="10000", tradeable="5000", reserve=Reserve.flex())
    written = len(vault.books.journal)
    with pytest.raises(VaultError, match="parts per million"):
        vault.flex_reserve(volatility)
    assert (len(vault.books.journal), vault.volatility_ppm) == (written, None)


def test_a_volatility_that_moves_nothing_writes_nothing():
    class Counting(Memory):
        def append(self, *records):
            assert records
            super().append(*records)

    vault = CoreVault(USD, total="10000", tradeable="5000", reserve=Reserve.flex(), books=Books(Counting()))
    vault.flex_reserve(2_000_000)
    assert vault.reserve == USD("2000")
