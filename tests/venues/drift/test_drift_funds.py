"""What may be moved, and the transaction that moves it: pure."""

from __future__ import annotations

import pytest
from attrs import evolve
from drift_views import BASE, coins, held, seen, spot, terms, user, view
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sleeves.money import BTC, USDT
from sleeves.orders import Transfer
from sleeves.venues.drift.account import tokens
from sleeves.venues.drift.accounts import UserStats
from sleeves.venues.drift.fence import tag_of
from sleeves.venues.drift.funds import Plan, creates, load_of, name_of, needs_of, plan_of, refusal_of, without
from sleeves.venues.drift.instructions import Instructions
from sleeves.venues.drift.words import ExchangePause, MarketStatus, SpotPause

ME = str(Keypair.from_seed(bytes([1]) * 32).pubkey())
ALL = frozenset({0, 1, 2})
MAIN = user(0, spots=(coins(1_000_000),))
ENGINE = user(1, spots=(coins(500_000),))


def planned(transfer, look):
    return plan_of(transfer, look, terms(look))


def move(units, source, target):
    return Transfer("t-1", USDT.zero.__class__(units, USDT), "velocity", source, target)


def refused(plan, look, wallet=None, health=None, least=80, accounts=ALL):
    return refusal_of(plan, look, wallet, least, lambda _: health, accounts)


def names(load):
    known = ("initialize_user_stats", "initialize_user", "deposit", "withdraw", "transfer_deposit", "refresh_spot_market_interest")
    tags = {tag_of(name): name for name in known}
    return [tags.get(bytes(one.data)[:8], "token account") for one in load.instructions]


def written(plan, look):
    return load_of(plan, look, Instructions(look.deployment), ME, "note", (30_000_000, 2_000_000))


# -- plans ---------------------------------------------------------------------------------------------------------------------


def test_coins_come_to_and_go_from_sub_account_0():
    look = seen(MAIN)
    assert planned(Transfer("t", USDT("1.5")), look) == Plan(spot(), 1_500_000, None, 0)
    assert planned(Transfer("t", -USDT("1.5")), look) == Plan(spot(), 1_500_000, 0, None)
    assert planned(Transfer("t", USDT("1.5"), "velocity", 0, 1), look) == Plan(spot(), 1_500_000, 0, 1)


def test_another_coin_is_not_moved():
    assert "no coin" in planned(Transfer("t", BTC("1")), seen(MAIN))


# -- refusals ------------------------------------------------------------------------------------------------------------------


def test_a_deposit_needs_coins_in_the_wallet():
    plan = Plan(spot(), 100, None, 0)
    assert refused(plan, seen(MAIN), wallet=100) == ""
    assert "the wallet has 0.000099 USDT, and 0.0001 USDT are to be paid in" in refused(plan, seen(MAIN), wallet=99)
    assert "the wallet has 0 USDT, and 0.0001 USDT are to be paid in" in refused(plan, seen(MAIN), wallet=None)


def test_a_deposit_keeps_to_the_markets_cap():
    def market(cap):
        return spot(deposit_balance=900_000, max_deposits=cap)

    for cap, fits in ((1_000, True), (999, False), (0, True)):
        look = seen(MAIN, spots=[market(cap)])
        said = refused(Plan(market(cap), 100, None, 0), look, wallet=100)
        assert (said == "") is fits, (cap, said)


def test_what_leaves_must_be_there():
    look = seen(MAIN, ENGINE)
    for plan in (Plan(spot(), 1_000_000, 0, None), Plan(spot(), 1_000_000, 0, 1)):
        assert refused(plan, look) == ""
        assert "has 1 USDT, and 1.000001 USDT are to leave it" in refused(evolve(plan, units=1_000_001), look), (
            "the program would lend it in a shift"
        )
    assert "does not exist" in refused(Plan(spot(), 1, 2, 0), look)


def test_a_debt_is_nothing_that_could_leave():
    owing = user(0, spots=(coins(1_000, borrowed=True),))
    assert "has -0.001 USDT" in refused(Plan(spot(), 1, 0, None), seen(owing))


def test_only_sub_accounts_that_are_kept_here():
    assert "none of those" in refused(Plan(spot(), 1, 0, 7), seen(MAIN))
    assert "none of those" in refused(Plan(spot(), 1, 7, 0), seen(MAIN))


@pytest.mark.parametrize("inside", [False, True])
def test_a_pause_is_believed(inside):
    out = Plan(spot(), 1, 0, 1 if inside else None)
    assert "withdrawals" in refused(out, seen(MAIN, ENGINE, exchange_status=ExchangePause.WITHDRAW))
    assert "withdrawals" in refused(evolve(out, market=spot(paused=SpotPause.WITHDRAW)), seen(MAIN, ENGINE))
    paused = refused(out, seen(MAIN, ENGINE, exchange_status=ExchangePause.DEPOSIT))
    assert ("deposits" in paused) is inside, "a shift is a withdrawal and a deposit"
    assert "deposits" in refused(Plan(spot(), 1, None, 0), seen(MAIN, exchange_status=ExchangePause.DEPOSIT), wallet=1)


def test_a_market_that_winds_down_gives_out_and_takes_nothing_in():
    for status in (MarketStatus.REDUCE_ONLY, MarketStatus.SETTLEMENT):
        market = spot(status=status)
        assert refused(Plan(market, 1, 0, None), seen(MAIN, spots=[market])) == ""
        assert status.value in refused(Plan(market, 1, None, 0), seen(MAIN, spots=[market]), wallet=1)
    assert "delisted" in refused(Plan(spot(status=MarketStatus.DELISTED), 1, 0, None), seen(MAIN))


def test_a_sub_account_in_trouble_gives_nothing_out():
    assert "bankrupt" in refused(Plan(spot(), 1, 0, None), seen(evolve(MAIN, bankrupt=True)))
    assert "being liquidated" in refused(Plan(spot(), 1, 0, None), seen(evolve(MAIN, being_liquidated=True)))


def test_health_after_it_must_be_80_where_contracts_are_held():
    holding = evolve(MAIN, perps=(held(base=BASE),))
    for plan in (Plan(spot(), 1, 0, None), Plan(spot(), 1, 0, 1)):
        assert refused(plan, seen(holding, ENGINE), health=8_000) == ""
        assert "79.99" in refused(plan, seen(holding, ENGINE), health=7_999)
        assert refused(plan, seen(holding, ENGINE), health=7_000, least=70) == ""
        assert refused(plan, seen(MAIN, ENGINE), health=0) == "", "without contracts there is no health to keep"


def test_health_is_asked_of_the_sub_account_as_it_would_be():
    asked = []
    holding = evolve(MAIN, perps=(held(base=BASE),))
    refusal_of(Plan(spot(), 400_000, 0, None), seen(holding), None, 80, lambda one: asked.append(one), ALL)
    assert tokens(spot(), asked[0]) == 600_000


@pytest.mark.parametrize("index", [10**10, 10**10 + 1, 12_345_678_901])
@pytest.mark.parametrize("units", [0, 1, 333_333, 999_999])
def test_what_is_left_is_rounded_down_never_up(index, units):
    market = spot(deposit_index=index)
    has = tokens(market, MAIN)
    left = tokens(market, without(MAIN, market, units))
    assert has - units - 1 <= left <= has - units


# -- new sub-accounts ------------------------------------------------------------------------------------------------------------


def test_the_program_numbers_sub_accounts_in_order_so_all_before_are_made_too():
    assert list(creates(seen(), 0)) == [0]
    assert list(creates(seen(MAIN), 2)) == [1, 2]
    assert list(creates(seen(MAIN, ENGINE), 2)) == [2]
    assert list(creates(seen(MAIN), 0)) == []
    assert list(creates(seen(MAIN), None)) == []
    assert (name_of(0), name_of(3)) == ("main", "engine 3")


def test_one_that_was_closed_is_not_made_again():
    stats = view(UserStats, sub_accounts_created=3)
    assert "was closed" in refused(Plan(spot(), 1, 0, 2), seen(MAIN, stats=stats))
    assert "was closed" in refused(Plan(spot(), 1, None, 0), seen(stats=stats), wallet=1)


def test_the_first_deposit_opens_everything():
    look = seen()
    plan = Plan(spot(), 7, None, 0)
    assert needs_of(plan, look) == (1, True)
    load = written(plan, look)
    assert names(load) == ["initialize_user_stats", "initialize_user", "deposit"]
    assert load.rent == 32_000_000
    assert load.out == {Pubkey.from_string(spot().mint): 7}
    assert not load.into
    fee = seen(max_initialize_fee=100)
    assert written(plan, fee).rent == 32_000_000 + 10**9, "a hundred hundredths of SOL"


def test_a_deposit_into_what_is_there_opens_nothing():
    load = written(Plan(spot(), 7, None, 0), seen(MAIN))
    assert names(load) == ["deposit"]
    assert load.rent == 0


def test_a_shift_opens_its_target():
    load = written(Plan(spot(), 7, 0, 2), seen(MAIN))
    assert names(load) == ["initialize_user", "initialize_user", "refresh_spot_market_interest", "transfer_deposit"]
    assert load.rent == 60_000_000
    assert not load.out
    assert not load.into, "nothing moves in the wallet"


def test_a_withdrawal_brings_what_it_says_to_our_own_token_account():
    load = written(Plan(spot(), 7, 0, None), seen(MAIN))
    assert names(load) == ["refresh_spot_market_interest", "token account", "withdraw"]
    assert load.into == {Pubkey.from_string(spot().mint): 7}
    assert load.rent == 0
