"""Margin: the venue's tables and single figures to the unit, and the laws that hold for every account."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

import drift_cases
from sleeves.errors import InvalidMarket
from sleeves.margin import (
    Check,
    Coin,
    Contract,
    Lone,
    MarginAccount,
    Weights,
    asset_weight,
    collateral,
    equity,
    free_collateral,
    gain_weight,
    health,
    health_bp,
    leverage_bp,
    liability_weight,
    liquidatable,
    liquidation_price,
    liquidation_tick,
    margin_ratio,
    max_withdrawable,
    notional,
    requirement,
    safe_within,
    size_discount,
    size_premium,
    standing,
    unrealized,
    whole,
    worst_case,
)
from sleeves.market import Perpetual
from strategies import law

M = 10**6
N = 10**9
MAJOR = Perpetual(1_000, 500, gain_initial_bp=0, gain_maintenance_bp=10_000)
SOL = Weights(8_000, 9_000, 12_000, 11_000)


def cash(units, price=M):
    return Coin("USDC", units, 6, price, is_quote=True)


def sol(units, price=100 * M, **extra):
    return Coin("SOL", units, 9, price, weights=SOL, oracle="SOL-PERP", **extra)


def perp(base, quote, price=100 * M, terms=MAJOR, symbol="SOL-PERP", **extra):
    return Contract(symbol, terms, base, quote, price, **extra)


def account(*held, **extra):
    coins = tuple(one for one in held if isinstance(one, Coin))
    return MarginAccount(coins, tuple(one for one in held if isinstance(one, Contract)), **{"per_order": 10_000, **extra})


# -- the venue's tables -----------------------------------------------------------------------------------------------

TOPICS = {
    "spot asset weight",
    "spot liability weight",
    "scaled initial asset weight",
    "IMF size premium",
    "unrealized pnl weight",
    "perp position value",
    "perp margin ratio",
    "spot worst case with open orders",
    "account margin",
    "net equity",
    "max withdrawable before borrow limits",
    "health",
    "account grid (margin, health, leverage, equity, liquidation price)",
}


def test_every_topic_of_the_margin_tables_is_tested_here():
    drift_cases.covers("margin", TOPICS)


@drift_cases.table("margin", "spot asset weight")
def test_table_of_asset_weights(case):
    given_, check = case["inputs"], Check(case["inputs"]["margin_type"])
    coin = drift_cases.coin(given_["market"], units=given_["token_amount"], price=given_["oracle_price"])
    assert asset_weight(coin, check) == case["expected"]["weight"]


@drift_cases.table("margin", "spot liability weight")
def test_table_of_liability_weights(case):
    given_, check = case["inputs"], Check(case["inputs"]["margin_type"])
    coin = drift_cases.coin(given_["market"], units=-given_["token_amount"], price=given_["oracle_price"])
    assert liability_weight(coin, check) == case["expected"]["weight"]


@drift_cases.table("margin", "scaled initial asset weight")
def test_table_of_weights_scaled_by_the_markets_deposits(case):
    coin = drift_cases.coin(case["inputs"]["market"], units=0, price=case["inputs"]["oracle_price"])
    assert asset_weight(coin, Check.INITIAL) == case["expected"]["weight"]


@drift_cases.table("margin", "IMF size premium")
def test_table_of_size_premiums(case):
    given_ = case["inputs"]
    assert given_["precision"] == 10_000
    assert size_premium(given_["liability_weight"], given_["size"], given_["imf_factor"]) == case["expected"]["weight"]


@drift_cases.table("margin", "unrealized pnl weight")
def test_table_of_gain_weights(case):
    given_ = case["inputs"]
    terms = Perpetual(gain_initial_bp=given_["unrealized_pnl_initial_asset_weight"], gain_imf=given_["unrealized_pnl_imf_factor"])
    contract = perp(1, 0, terms=terms)
    assert gain_weight(contract, given_["unrealized_pnl"], Check(given_["margin_type"])) == case["expected"]["weight"]


@drift_cases.table("margin", "perp margin ratio")
def test_table_of_margin_ratios(case):
    given_ = case["inputs"]
    prices = {"market_index": 0, "oracle_price": 1, "cumulative_funding_rate_long": 0, "cumulative_funding_rate_short": 0}
    flat = dict.fromkeys(("quote_asset_amount", "open_bids", "open_asks", "open_orders", "last_cumulative_funding_rate"), 0)
    contract = drift_cases.contract(prices | given_["market"], flat | {"base_asset_amount": given_["size"]}, {})
    ratio = margin_ratio(contract, Check(given_["margin_type"]), high_leverage=given_["high_leverage_mode"])
    assert ratio == case["expected"]["ratio"]


@drift_cases.table("margin", "spot worst case with open orders")
def test_table_of_spot_orders(case):
    given_ = case["inputs"]
    coin = drift_cases.coin(given_["market"], given_["position"])
    worst = worst_case(coin, Check(given_["margin_type"]), strict=given_["strict"])
    assert case["expected"] == {
        "token_amount": worst.units,
        "token_value": worst.value,
        "weighted_token_value": worst.weighted,
        "orders_value": worst.orders_value,
        "free_collateral_contribution": worst.contribution,
    }


@drift_cases.table("margin", "account margin")
def test_table_of_accounts(case):
    given_, everything = case["inputs"], drift_cases.account(case["inputs"]["world"])
    check, strict, measured = Check(given_["margin_type"]), given_["strict"], {}
    for name in case["expected"]:
        isolated = name.startswith("isolated_0_")
        of = everything.bucket("perp 0") if isolated else everything
        buffer = given_["margin_buffer"] if name.endswith("_plus_buffer") else 0
        figure = {"margin_requirement": requirement, "total_collateral": collateral}
        short = name.removeprefix("isolated_0_").removesuffix("_plus_buffer")
        measured[name] = figure[short](of, check, strict, buffer)
    assert measured == case["expected"]


@drift_cases.table("margin", "perp position value")
def test_table_of_position_values(case):
    given_, everything = case["inputs"], drift_cases.account(case["inputs"]["world"])
    now = standing(everything, Check(given_["margin_type"]), strict=given_["strict"])
    assert case["expected"] == {"margin_requirement": now.requirement, "total_collateral": now.collateral}


@drift_cases.table("margin", "net equity")
def test_table_of_equities(case):
    assert equity(drift_cases.account(case["inputs"]["world"])) == case["expected"]["net_usd"]


@drift_cases.table("margin", "max withdrawable before borrow limits")
def test_table_of_withdrawals(case):
    code = f"coin {case['inputs']['market_index']}"
    assert max_withdrawable(drift_cases.account(case["inputs"]["world"]), code, borrow=True) == case["expected"]["amount"]


@drift_cases.table("margin", "health")
def test_table_of_healths(case):
    everything = drift_cases.account(case["inputs"]["world"])
    now = standing(everything, Check.MAINTENANCE)
    measured = {"total_collateral": now.collateral, "margin_requirement": now.requirement, "health": health(everything)}
    measured["liquidatable"] = liquidatable(everything)
    assert case["expected"].items() <= measured.items()


@drift_cases.table("margin", "account grid")
def test_table_of_the_account_grid(case):
    everything = drift_cases.account(case["inputs"]["world"])
    closed = liquidation_price(everything, f"perp {case['inputs']['perp_market_index']}")
    initial, maintenance = standing(everything, Check.INITIAL), standing(everything, Check.MAINTENANCE)
    assert case["expected"] == {
        "tc_initial": initial.collateral,
        "mr_initial": initial.requirement,
        "tc_maintenance": maintenance.collateral,
        "mr_maintenance": maintenance.requirement,
        "health": health(everything),
        "leverage": leverage_bp(everything, signed=True),
        "net_usd": equity(everything),
        "liq_price": -1 if closed is None else closed,
    }


@drift_cases.table("snapshots", "")
def test_table_of_real_accounts(case):
    given_, everything = case["inputs"], drift_cases.account(case["inputs"]["world"])
    now = standing(everything, Check(given_["margin_type"]), strict=given_["strict"])
    measured = {"total_collateral": now.collateral, "margin_requirement": now.requirement}
    measured |= {"health": health(everything), "net_usd": equity(everything)}
    assert case["expected"].items() <= measured.items()


# -- single figures, for when the tables are not at hand -----------------------------------------------------------------
# Integer re-implementation of protocol-v2's rules, checked against its TypeScript SDK 2.163; the last one by hand:
# pnl -15,012.3456 + 14,900 - 1 funding; SOL 1501.23456 x 0.8 (0.9); 5612.148224 / 96 = 58.459877 above 150.123456.

FIGURES = {
    "short 10 at 100": (account(cash(1_000 * M), perp(-10 * N, 1_000 * M)), 1_000 * M, 100 * M, 1_000 * M, 50 * M, 95, 10_000, 190_476_190),
    "long in gain, which is no initial collateral": (
        account(cash(200 * M), perp(10 * N, -900 * M)),
        *(200 * M, 100 * M, 300 * M, 50 * M, 83, 33_333, 73_684_211),
    ),
    "long that owes funding": (
        account(cash(500 * M), perp(10 * N, -1_000 * M, funding=-2_500_000)),
        *(497_500_000, 100 * M, 497_500_000, 50 * M, 90, 20_100, 52_894_737),
    ),
    "long with size premium": (
        account(cash(2_000_000 * M), perp(100_000 * N, -10_000_000 * M, terms=evolve(MAJOR, imf=50))),
        *(2_000_000 * M, 1_000_000 * M, 2_000_000 * M, 558_000 * M, 72, 50_000, 84_727_812),
    ),
    "SOL behind borrowed cash and a long": (
        account(cash(-330 * M), sol(10 * N), perp(5 * N, -500 * M)),
        *(800 * M, 380 * M, 900 * M, 355 * M, 61, 12_388, 60_363_637),
    ),
    "SOL and cash behind a short": (
        account(cash(500 * M), sol(10 * N), perp(-20 * N, 2_000 * M)),
        *(1_300 * M, 200 * M, 1_400 * M, 100 * M, 93, 13_333, 208_333_333),
    ),
    "all at once": (
        account(
            cash(5_125 * M),
            sol(10 * N, 150_123_456),
            perp(-100 * N, 14_900 * M, 150_123_456, funding=-1 * M),
        ),
        *(6_212_642_048, 1_501_234_560, 6_362_765_504, 750_617_280, 88, 23_050, 208_583_333),
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_single_figures_of_whole_accounts(name):
    held, *expected = FIGURES[name]
    initial, maintenance = standing(held, Check.INITIAL), standing(held, Check.MAINTENANCE)
    figures = [initial.collateral, initial.requirement, maintenance.collateral, maintenance.requirement]
    assert [*figures, health(held), leverage_bp(held), liquidation_price(held, "SOL-PERP")] == expected


def test_size_premium_and_discount():
    # protocol-v2 math/margin/tests.rs, state/perp_market/tests.rs
    assert size_premium(1_000, 100_000 * N, 50) == 1_000
    assert size_premium(500, 100_000 * N, 50) == 558
    assert size_discount(9_000, 1_000 * N, 10_000) == 8_357
    assert size_premium(700, 10**20, 0) == size_discount(700, 10**20, 0) == 700


def test_high_leverage_fades_back_with_size():
    # protocol-v2 state/perp_market/tests.rs, new_hlm_imf_size
    contract = perp(0, 0, terms=evolve(MAJOR, imf=50), high_initial_bp=100, high_maintenance_bp=50)
    sizes = (N // 10, 3_000 * N, 10**15)
    assert [margin_ratio(contract, Check.INITIAL, size=size, high_leverage=True) for size in sizes] == [100, 221, 1_300]
    assert margin_ratio(contract, Check.MAINTENANCE, size=3_000 * N, high_leverage=True) == 67
    assert margin_ratio(contract, Check.MAINTENANCE, size=10**15, high_leverage=True) == 540
    assert margin_ratio(contract, Check.INITIAL, size=N // 10) == 1_000
    assert margin_ratio(evolve(contract, high_maintenance_bp=0), Check.INITIAL, size=N // 10, high_leverage=True) == 1_000
    assert margin_ratio(evolve(contract, terms=MAJOR), Check.FILL, size=N, high_leverage=True) == 75
    assert margin_ratio(evolve(contract, expired=True), Check.INITIAL, size=N) == 0


def test_a_fill_stands_between_initial_and_maintenance():
    assert margin_ratio(perp(N, 0), Check.FILL) == 750
    assert [asset_weight(sol(N), check) for check in Check] == [8_000, 8_500, 9_000]
    assert [liability_weight(sol(-N), check) for check in Check] == [12_000, 11_500, 11_000]


def test_initial_gains_are_capped_and_weigh_less_when_all_users_gain():
    # protocol-v2 math/margin/tests.rs, calculate_user_equity_value_tests: $100 a contract
    terms = evolve(MAJOR, gain_initial_bp=10_000, gain_imf=1_000)
    held = account(perp(-6_147_540_983, 153_688_524_588, 21_050 * M, terms), gain_cap=100 * M)
    assert unrealized(held.contracts[0]) == 24_282_786_896
    assert gain_weight(held.contracts[0], 24_282_786_896, Check.INITIAL) == 9_516
    assert collateral(held, Check.INITIAL) == 100 * M
    assert collateral(held, Check.MAINTENANCE) == 24_282_786_896
    assert collateral(evolve(held, gain_cap=None), Check.INITIAL) == 24_282_786_896 * 9_516 // 10_000
    crowded = perp(N, 0, terms=evolve(terms, gain_imf=0), max_imbalance=50 * M)
    assert [gain_weight(evolve(crowded, net_user_pnl=net), 1, Check.INITIAL) for net in (50 * M, 50 * M + 1, 100 * M)] == [
        10_000,
        9_999,
        5_000,
    ]
    assert gain_weight(evolve(crowded, net_user_pnl=100 * M), 1, Check.MAINTENANCE) == 10_000
    assert [gain_weight(evolve(crowded, net_user_pnl=100 * M), pnl, Check.INITIAL) for pnl in (0, -1)] == [10_000, 10_000]


def test_deposits_beyond_a_limit_shrink_the_initial_weight():
    # protocol-v2 math/margin/tests.rs, spot_market_scale_initial_asset_weight
    coin = Coin("SOL", 0, 9, 25 * M, weights=evolve(SOL, initial_asset=9_000, scale_initial_start=500_000 * M))
    weights = [asset_weight(evolve(coin, deposits=many * N), Check.INITIAL) for many in (1, 20_000, 20_001, 40_000)]
    assert weights == [9_000, 9_000, 8_999, 4_500]
    assert asset_weight(evolve(coin, deposits=40_000 * N), Check.MAINTENANCE) == 9_000


def test_a_strict_check_takes_the_worse_of_price_and_average():
    # protocol-v2 math/margin/tests.rs, usdc_less_than_1_with_deposit and its neighbours
    for units, price, twap, worse in (
        (M, 990_000, 950_000, 950_000),
        (M, 990_000, 1_010_000, 990_000),
        (-M, 1_010_000, 1_020_000, 1_020_000),
    ):
        held = account(cash(units, price), quote_price=price, quote_twap=twap)
        now = standing(held, Check.INITIAL, strict=True)
        assert now.collateral + now.requirement == worse
        assert standing(held, Check.INITIAL).collateral + standing(held, Check.INITIAL).requirement == price
    loss = account(perp(N, -200 * M), quote_price=M, quote_twap=1_100_000)
    assert collateral(loss, Check.INITIAL, strict=True) == -110 * M
    assert requirement(loss, Check.INITIAL, strict=True) == 11 * M
    gain = account(perp(N, -50 * M), quote_price=M, quote_twap=900_000)
    assert collateral(gain, Check.MAINTENANCE, strict=True) == 45 * M
    owned = account(sol(N, twap=90 * M)), account(sol(-N, twap=110 * M))
    assert collateral(owned[0], Check.INITIAL, strict=True) == 72 * M
    assert requirement(owned[1], Check.INITIAL, strict=True) == 132 * M


def test_open_orders_count_at_their_worst():
    # protocol-v2 math/margin/tests.rs, usdc_deposit_and_5x_sol_bid and sol_deposit_and_5x_sol_ask; perp by hand
    bid = account(cash(10_000 * M), sol(0, bids=500 * N, orders=1))
    assert (collateral(bid, Check.INITIAL), requirement(bid, Check.INITIAL)) == (50_000 * M, 50_000 * M + 10_000)
    ask = account(sol(500 * N, asks=3_000 * N, orders=1))
    assert (collateral(ask, Check.INITIAL), requirement(ask, Check.INITIAL)) == (300_000 * M, 300_000 * M + 10_000)
    both = account(cash(1_000 * M), perp(5 * N, -500 * M, bids=10 * N, asks=3 * N, orders=2))
    assert both.contracts[0].worst == 15 * N
    assert requirement(both, Check.INITIAL) == 150_020_000
    assert leverage_bp(both) == 15_000
    assert perp(5 * N, 0, asks=11 * N).worst == -6 * N
    assert perp(5 * N, 0, bids=1, asks=10 * N).worst == 5 * N + 1


def test_of_bids_and_asks_the_side_that_leaves_less_counts():
    # by hand: all bids leave 0.8 x 210 - 200 = -32, all asks -1.2 x 90 + 100 = -8; mirrored 0.8 x 20 - 10 = 6 and -1.2 x 190 + 200 = -28
    bought = worst_case(sol(N // 10, bids=2 * N, asks=N), Check.INITIAL)
    assert (bought.units, bought.contribution, bought.orders_value) == (21 * N // 10, -32 * M, -200 * M)
    sold = worst_case(sol(N // 10, bids=N // 10, asks=2 * N), Check.INITIAL)
    assert (sold.units, sold.contribution, sold.orders_value) == (-19 * N // 10, -28 * M, 200 * M)


def test_own_stricter_ratios_count_for_initial_only():
    # protocol-v2 math/margin/tests.rs, user_custom_margin_ratio and user_perp_positions_custom_margin_ratio
    held = account(cash(100 * M), sol(-100 * N), perp(100 * N, 0), custom_bp=10_000)
    assert requirement(held, Check.INITIAL) == 30_000 * M
    assert requirement(held, Check.MAINTENANCE) == 11_500 * M
    assert collateral(account(sol(100 * N), custom_bp=5_000), Check.INITIAL) == 5_000 * M
    assert collateral(account(sol(100 * N), custom_bp=20_000), Check.INITIAL) == 0
    assert requirement(account(perp(100 * N, 0, custom_bp=20_000)), Check.INITIAL) == 20_000 * M
    assert requirement(account(perp(100 * N, 0, custom_bp=40_000), custom_bp=5_000), Check.FILL) == 750 * M


def test_an_isolated_contract_stands_alone():
    # protocol-v2 math/margin/tests.rs, isolated_position_margin_requirement
    held = account(cash(20_000 * M), sol(-100 * N), perp(100 * N, -11_000 * M, isolated=100 * M))
    alone = held.bucket("SOL-PERP")
    assert (collateral(held, Check.INITIAL), requirement(held, Check.INITIAL)) == (20_000 * M, 12_000 * M)
    assert (collateral(alone, Check.INITIAL), requirement(alone, Check.INITIAL)) == (-900 * M, 1_000 * M)
    assert (requirement(held, Check.INITIAL, buffer_bp=1_000), requirement(alone, Check.INITIAL, buffer_bp=1_000)) == (
        13_000 * M,
        2_000 * M,
    )
    assert collateral(alone, Check.INITIAL, buffer_bp=1_000) == -1_000 * M
    assert not liquidatable(held) and liquidatable(alone)
    assert equity(held) == 20_000 * M - 10_000 * M + 100 * M - 1_000 * M
    shared = evolve(held, contracts=(evolve(held.contracts[0], isolated=None),))
    assert shared.bucket("SOL-PERP") == shared


def test_withdrawals():
    # protocol-v2 math/margin/tests.rs, calculate_max_withdrawable_amount
    held = account(cash(-10_000 * M), sol(200 * N))
    assert max_withdrawable(held, "SOL") == max_withdrawable(held, "SOL", borrow=True) == 74_999_999_000
    assert max_withdrawable(account(cash(-1), sol(8_008)), "SOL") == 7_000
    assert max_withdrawable(account(cash(10_000 * M), sol(0)), "USDC") == 10_000 * M
    rich = account(cash(10_000 * M), sol(N), perp(N, 0))
    assert max_withdrawable(rich, "SOL") == N < max_withdrawable(rich, "SOL", borrow=True)
    dead = account(cash(-M), Coin("DEAD", 5, 0, M, weights=Weights(0, 0, 20_000, 20_000)))
    assert max_withdrawable(dead, "DEAD") == 5 and max_withdrawable(dead, "DEAD", borrow=True) == 2**64 - 1
    assert max_withdrawable(account(cash(5 * M), perp(N, -200 * M)), "USDC") == 0
    assert max_withdrawable(account(cash(-5 * M)), "USDC") == 0


def test_health_at_its_edges():
    assert health(account(cash(0))) == health(account(cash(5))) == 100
    assert health(account(cash(0), perp(N, -100 * M))) == 0
    assert health(account(cash(-5))) == 0
    needs = perp(N, -100 * M)  # 5 at maintenance
    assert [health(account(cash(units), needs)) for units in (5 * M, 5 * M - 1, 10 * M, 1_000 * M, 1_001 * M)] == [0, 0, 50, 100, 100]
    assert [health(account(cash(units), perp(N, -100 * M, terms=Perpetual(10_000, 9_950)))) for units in (100 * M, 100 * M - 10**5)] == [
        1,
        0,
    ]


def test_exactly_at_the_requirement_is_safe():
    assert not liquidatable(account(cash(5 * M), perp(N, -100 * M)))
    assert liquidatable(account(cash(5 * M - 1), perp(N, -100 * M)))


def test_leverage_needs_equity():
    assert leverage_bp(account(cash(50 * M), perp(10 * N, -1_050 * M))) is None
    assert leverage_bp(account(cash(50 * M), perp(10 * N, -1_060 * M))) is None
    assert leverage_bp(account(cash(50 * M), perp(10 * N, -1_060 * M)), signed=True) == -1_000_000
    assert leverage_bp(account(cash(50 * M), perp(10 * N, -1_050 * M)), signed=True) is None
    assert leverage_bp(account()) is None
    assert leverage_bp(account(cash(1))) == 0


def test_at_moves_what_shares_the_oracle_and_nothing_else():
    held = account(
        cash(M), sol(N), Coin("ETH", N, 9, 7 * M), perp(N, 0), perp(N, 0, symbol="OTHER"), perp(N, 0, symbol="TWIN", oracle="SOL-PERP")
    )
    moved = held.at("SOL-PERP", 90 * M)
    assert [one.price // M for one in moved.coins] == [1, 90, 7]
    assert [one.price // M for one in moved.contracts] == [90, 100, 90]
    assert held.at("OTHER", 90 * M).coins == held.coins
    with pytest.raises(InvalidMarket, match=r"no contract 'BTC-PERP'.*SOL-PERP, OTHER, TWIN"):
        held.at("BTC-PERP", 1)
    with pytest.raises(InvalidMarket, match="no coin 'BTC'"):
        max_withdrawable(held, "BTC")
    with pytest.raises(InvalidMarket, match="it has none"):
        account().contract("X")


def test_scales_of_any_instrument():
    wide = Contract("B", MAJOR, 3, -30_000, 10_000, base_scale=0, price_scale=2)  # 3 coins at 100.00, cents
    held = MarginAccount((Coin("EUR", 10_000, 2, M, is_quote=True),), (wide,), quote_scale=2)
    assert (unrealized(wide, quote_scale=2), notional(wide, wide.base, quote_scale=2), equity(held)) == (0, 30_000, 10_000)
    assert requirement(held, Check.MAINTENANCE) == 1_500
    fine = perp(100_000 * 10**18, 0, terms=evolve(MAJOR, imf=50), base_scale=18)
    assert margin_ratio(fine, Check.MAINTENANCE) == 558
    # 100 + 3p - 300 against 5% of 3p: 2.85p < 200
    assert liquidation_tick(held, "B", 1) == 7_017
    assert liquidation_price(held, "B") == 7_018  # the closed form: 70.1754..., less what it truncates


# -- the exact price of a liquidation -----------------------------------------------------------------------------------


def test_liquidation_tick_single_figures():
    # 1000 + 10 x (100 - p) < 0.5 p  from  190.476190476...
    short = account(cash(1_000 * M), perp(-10 * N, 1_000 * M))
    assert [liquidation_tick(short, "SOL-PERP", tick) for tick in (1, 1_000, 10_000, M, 7)] == [
        190_476_191,
        190_477_000,
        190_480_000,
        191 * M,
        190_476_195,
    ]
    # 500 + 10 x (p - 100) < 0.5 p  from  52.631578...
    long = account(cash(500 * M), perp(10 * N, -1_000 * M))
    assert [liquidation_tick(long, "SOL-PERP", tick) for tick in (1, 10_000, M)] == [52_631_578, 52_630_000, 52 * M]
    assert liquidation_tick(account(cash(5_000 * M), perp(10 * N, -1_000 * M)), "SOL-PERP", 1) is None
    assert liquidation_tick(account(cash(M), perp(0, -10 * M)), "SOL-PERP", 1) is None
    assert liquidation_price(account(cash(M), perp(0, -10 * M)), "SOL-PERP") is None
    covered = account(sol(20 * N), perp(-10 * N, 1_000 * M))  # twice the coins that it is short: never
    assert liquidation_tick(covered, "SOL-PERP", 1) is None


def test_liquidation_tick_can_be_the_very_next_one():
    long, short = perp(N, -100 * M), perp(-N, 100 * M)
    assert [liquidation_tick(account(cash(money * M), long), "SOL-PERP", M) for money in (5, 6)] == [99 * M, 98 * M]
    assert [liquidation_tick(account(cash(money * M), short), "SOL-PERP", M) for money in (5, 7)] == [101 * M, 102 * M]
    off_tick = account(cash(5 * M), perp(N, -100 * M, 100_000_001))
    assert liquidation_tick(off_tick, "SOL-PERP", M) == 99 * M


def test_liquidation_tick_of_an_account_that_is_past_it():
    under = account(cash(50 * M), perp(10 * N, -1_060 * M, 100_000_005))
    assert liquidation_tick(under, "SOL-PERP", 10) == 100_000_000
    assert liquidation_tick(account(cash(50 * M), perp(-10 * N, 940 * M, 100_000_005)), "SOL-PERP", 10) == 100_000_010
    assert liquidation_tick(under, "SOL-PERP", 10**9) == 10**9  # no positive price below: the lowest there is


def test_liquidation_tick_of_an_isolated_contract_ignores_the_rest():
    held = account(cash(10**15), perp(10 * N, -1_000 * M, isolated=500 * M))
    assert liquidation_tick(held, "SOL-PERP", 1) == 52_631_578
    assert liquidation_price(held, "SOL-PERP") == 52_631_579


units = st.integers(-(10**13), 10**13)
prices = st.integers(1, 5_000).map(lambda n: n * 100_000)
TICK = 100_000


@st.composite
def perpetuals(draw):
    initial = draw(st.sampled_from([10_000, 5_000, 2_000, 1_000, 500, 200]))
    return Perpetual(
        initial_bp=initial,
        maintenance_bp=initial // 2,
        imf=draw(st.sampled_from([0, 0, 50, 4_000])),
        gain_initial_bp=draw(st.sampled_from([0, 10_000])),
        gain_maintenance_bp=draw(st.sampled_from([0, 8_000, 10_000])),
        gain_imf=draw(st.sampled_from([0, 1_000])),
        liquidation_fee_ppm=0,
    )


quote_prices = st.sampled_from([M, M, 995_000])


@st.composite
def accounts(draw, quote_price=quote_prices):
    """Any account: cash owned or owed, a coin of the first contract's oracle and one of its own, up to three contracts."""
    quote = draw(quote_price)
    price = draw(prices)
    weights = st.sampled_from([Weights(), SOL, evolve(SOL, imf=1_000)])
    coins = [Coin("USDC", draw(st.integers(-(10**9), 10**12)), 6, quote, is_quote=True)]
    orders = st.one_of(st.just(0), st.integers(0, 10**11))
    if draw(st.booleans()):
        held = draw(st.integers(-(10**11), 10**11))
        coins.append(Coin("A", held, 9, price, weights=draw(weights), oracle="A-PERP", bids=draw(orders), asks=draw(orders)))
    if draw(st.booleans()):
        coins.append(Coin("B", draw(st.integers(-(10**9), 10**10)), 8, draw(prices), weights=draw(weights)))
    contracts = []
    for symbol in ("A-PERP", "B-PERP", "C-PERP")[: draw(st.integers(1, 3))]:
        at = price if symbol == "A-PERP" else draw(prices)
        base = draw(st.integers(10**8, 10**12).flatmap(lambda n: st.sampled_from([n, -n])))
        entry = at * draw(st.integers(50, 150)) // 100
        contracts.append(
            Contract(
                symbol,
                draw(perpetuals()),
                base,
                -base * entry // N,
                at,
                funding=draw(st.integers(-(10**6), 10**6)),
                bids=draw(orders),
                asks=draw(orders),
                orders=draw(st.integers(0, 3)),
            )
        )
    return MarginAccount(tuple(coins), tuple(contracts), per_order=10_000, quote_price=quote)


@st.composite
def sound(draw):
    """An account that is just not liquidatable: topped up by what is missing, and by up to half of its first contract."""
    held = draw(accounts())
    spare = notional(held.contracts[0], held.contracts[0].base) * draw(st.integers(0, 500)) // 1_000
    missing = standing(held, Check.MAINTENANCE).short + spare + 2
    money = held.coins[0]
    return evolve(held, coins=(evolve(money, units=money.units + missing * M // held.quote_price + 1), *held.coins[1:]))


@law
@given(accounts(), st.sampled_from(Check))
def test_law_the_short_way_through_a_plain_account_comes_to_the_same(held, check):
    """A strict check of an account that knows no averages goes the long way, with the same prices."""
    assert standing(held, check) == standing(held, check, strict=True)


@law
@given(accounts(quote_price=st.just(M)), prices, st.booleans())
def test_law_one_contract_and_cash_at_any_price_is_that_account_at_that_price(held, price, orders):
    assert Lone.of(held) is None or (len(held.contracts), len(held.coins)) == (1, 1)
    first = held.contracts[0] if orders else evolve(held.contracts[0], bids=0, asks=0, orders=0)
    alone = evolve(held, coins=held.coins[:1], contracts=(first,), per_order=0, gain_cap=None, high_leverage=False)
    lone = Lone.of(alone)
    there = alone.at("A-PERP", price)
    if lone is None:
        assert first.isolated is not None or first.expired
        return
    then = standing(there, Check.MAINTENANCE, strict=True)
    assert lone.at(price) == (then.collateral, then.requirement)
    assert (lone.broken(price), lone.health_bp(price)) == (liquidatable(there), health_bp(there))
    assert lone.closed() == liquidation_price(alone, "A-PERP")


@law
@given(st.one_of(accounts(quote_price=st.just(M)), sound()), st.integers(0, 99), st.data())
def test_law_nothing_breaks_between_safe_prices_whatever_each_is(held, least, data):
    spare = data.draw(st.sampled_from([0, 10**9, 10**12, 10**14]))
    money = evolve(held.coins[0], units=held.coins[0].units + spare)
    plain = evolve(
        held,
        coins=(money,),
        per_order=0,
        gain_cap=None,
        high_leverage=False,
        contracts=tuple(evolve(one, isolated=None) for one in held.contracts),
    )
    found = safe_within(plain, health=least)
    if found is None:
        return
    for _ in range(5):
        there = plain
        for symbol, (low, high) in found.items():
            there = there.at(symbol, data.draw(st.one_of(st.sampled_from([low, high]), st.integers(low, high))))
        assert not liquidatable(there)
        assert health_bp(there) >= least * 100


def test_a_sound_account_has_safe_prices_around_the_present_ones_and_a_tight_one_has_none():
    rich = account(cash(1_000 * M), perp(10 * N, -1_000 * M), per_order=0)
    tight = account(cash(51 * M), perp(10 * N, -1_000 * M), per_order=0)
    (low, high) = safe_within(rich)["SOL-PERP"]
    assert low < rich.contracts[0].price < high
    assert safe_within(rich, health=100) is None
    assert safe_within(evolve(rich, coins=(*rich.coins, Coin("B", 1, 8, M)))) is None
    assert safe_within(evolve(rich, per_order=1)) is None
    assert safe_within(evolve(tight, coins=(evolve(tight.coins[0], units=-60 * M),))) is None


@law
@given(st.one_of(accounts(), sound()), st.sampled_from([1, 10, TICK, 7 * TICK]))
def test_law_the_liquidation_tick_is_liquidatable_and_one_tick_before_is_not(held, tick):
    contract = held.contracts[0]
    answer = liquidation_tick(held, contract.symbol, tick)
    side = -1 if contract.base > 0 else 1
    assert answer is None or (answer > 0 and answer % tick == 0)
    if liquidatable(held):
        rounded = contract.price // tick * tick if side < 0 else -(-contract.price // tick) * tick
        assert answer == max(tick, rounded)
    elif answer is None:
        far = tick if side < 0 else contract.price * 10**12 // tick * tick
        assert not liquidatable(held.at(contract.symbol, far)) or (side < 0 and contract.price < tick)
    else:
        assert side * (answer - contract.price) >= 0
        assert liquidatable(held.at(contract.symbol, answer))
        before = answer - side * tick
        if side * (before - contract.price) >= 0:
            assert not liquidatable(held.at(contract.symbol, before))


@law
@given(sound(), st.integers(0, 100))
def test_law_nothing_nearer_than_the_liquidation_tick_is_liquidatable(held, part):
    """On a coarse tick, where no rounding can blur the verdict, the first is the only place where it turns."""
    contract = held.contracts[0]
    assert not liquidatable(held)
    answer = liquidation_tick(held, contract.symbol, TICK)
    side = -1 if contract.base > 0 else 1
    end = (TICK if side < 0 else contract.price * 1_000) if answer is None else answer - side * TICK
    steps = abs(end - contract.price) // TICK if side * (end - contract.price) > 0 else 0
    assert not liquidatable(held.at(contract.symbol, contract.price + side * (steps * part // 100) * TICK))


@law
@given(accounts())
def test_law_health_is_a_percentage_and_zero_or_less_only_when_it_may_be_liquidated(held):
    assert 0 <= health(held) <= 100
    if liquidatable(held):
        assert health(held) == 0
    if health(held) > 0:
        assert not liquidatable(held)


@law
@given(accounts(), st.sampled_from(Check), st.booleans())
def test_law_free_collateral_is_what_the_requirement_leaves(held, check, strict):
    free = free_collateral(held, check, strict)
    has, needs = collateral(held, check, strict), requirement(held, check, strict)
    assert free == max(0, has - needs) == standing(held, check, strict=strict).free
    if check is Check.MAINTENANCE and not strict:
        assert liquidatable(held) is (has < needs)
        assert free == 0 or not liquidatable(held)


@law
@given(perpetuals(), st.integers(10**10, 10**12), st.integers(0, 10**12), prices, prices)
def test_law_a_rising_price_never_raises_the_health_of_a_short(terms, base, money, one, other):
    low, high = sorted((one, other))
    held = account(cash(money), perp(-base, base // 10, low, terms))
    assert health(held) >= health(held.at("SOL-PERP", high))


@law
@given(perpetuals(), st.integers(10**10, 10**12), st.integers(0, 90), prices, prices)
@example(MAJOR, 10**10, 50, 90 * M, 110 * M)
def test_law_a_rising_price_never_lowers_the_health_of_a_long(terms, base, percent, one, other):
    """While its money is less than what it bought for: beyond that, the requirement grows faster than the collateral."""
    low, high = sorted((one, other))
    cost = base // 10
    held = account(cash(cost * percent // 100), perp(base, -cost, low, evolve(terms, gain_maintenance_bp=10_000)))
    assert health(held) <= health(held.at("SOL-PERP", high))


def test_a_long_with_more_money_than_cost_loses_health_as_it_gains():
    held = account(cash(1_000 * M), perp(N, -100 * M))
    assert [health(held.at("SOL-PERP", price * M)) for price in (100, 1_000)] == [100, 97]


@law
@given(accounts(st.just(M)), st.integers(-(10**12), 10**12))
def test_law_settling_leaves_equity_and_maintenance_as_they_were(held, amount):
    """Profit that moves from a contract to the balance changes nothing that a loss or a full gain weight would see."""
    contract, money = held.contracts[0], held.coins[0]
    settled = evolve(
        held,
        coins=(evolve(money, units=money.units + amount), *held.coins[1:]),
        contracts=(evolve(contract, quote=contract.quote - amount), *held.contracts[1:]),
    )
    assert equity(settled) == equity(held)
    full = contract.terms.gain_maintenance_bp == 10_000
    if full and money.units >= 0 and money.units + amount >= 0:
        assert standing(settled, Check.MAINTENANCE) == standing(held, Check.MAINTENANCE)


@law
@given(st.integers(0, 20_000), st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**6), st.booleans())
def test_law_size_makes_premiums_grow_and_discounts_fall(ratio, one, other, imf, bounded):
    small, large = sorted((one, other))
    assert size_premium(ratio, small, imf, bounded=bounded) <= size_premium(ratio, large, imf, bounded=bounded)
    assert size_discount(ratio, small, imf) >= size_discount(ratio, large, imf)
    assert size_premium(ratio, small, imf) >= ratio >= size_discount(ratio, small, imf)
    assert size_premium(ratio, small, imf, bounded=False) >= (ratio - ratio // 5 if imf else ratio)


@law
@given(accounts(), st.integers(0, 2))
def test_law_what_can_be_withdrawn_leaves_initial_margin(held, which):
    """The program's figure takes the weight of the balance as it stands, so size discounts and spot orders are left out."""
    plain = tuple(evolve(one, weights=evolve(one.weights, imf=0), bids=0, asks=0) for one in held.coins)
    held = evolve(held, coins=plain)
    coin = plain[which % len(plain)]
    amount = max_withdrawable(held, coin.code)
    assert 0 <= amount <= max(0, coin.units)
    after = evolve(held, coins=tuple(evolve(one, units=one.units - amount) if one is coin else one for one in plain))
    if amount:
        assert standing(after, Check.INITIAL).short == 0
    if amount < coin.units and free_collateral(held, Check.INITIAL) > 10**6:
        most = evolve(
            held, coins=tuple(evolve(one, units=one.units - amount * 101 // 100 - 10**9) if one is coin else one for one in plain)
        )
        assert standing(most, Check.INITIAL).short > 0


@law
@given(accounts(), st.sampled_from(Check))
def test_law_a_strict_or_buffered_check_is_never_easier(held, check):
    twap = evolve(held, quote_twap=held.quote_price * 99 // 100)
    assert collateral(twap, check, strict=True) <= collateral(twap, check)
    assert requirement(twap, check, strict=True) >= requirement(twap, check)
    assert requirement(held, check, buffer_bp=200) >= requirement(held, check)
    assert collateral(held, check, buffer_bp=200) <= collateral(held, check)


@law
@given(accounts())
def test_law_initial_margin_is_at_least_maintenance_margin(held):
    assert requirement(held, Check.INITIAL) >= requirement(held, Check.FILL) >= requirement(held, Check.MAINTENANCE)


@law
@given(perpetuals(), units, units, prices)
@example(MAJOR, 10**10, -(10**9), 10**8)
def test_law_unrealized_is_the_exact_value_but_for_a_unit(terms, base, quote, price):
    exact = Fraction(base * price, N) + quote
    assert abs(unrealized(perp(base, quote, price, terms)) - exact) < 1


# -- what is refused --------------------------------------------------------------------------------------------------

NO_WHOLE = [True, False, None, 1.0, float("nan"), float("inf"), "1", "", b"1", 1j, Fraction(1), [1]]


@pytest.mark.parametrize("bad", NO_WHOLE, ids=repr)
def test_only_whole_numbers_are_taken(bad):
    refused = [
        lambda: whole(bad, "it"),
        lambda: Coin("A", bad, 9, M),
        lambda: Coin("A", 0, bad, M),
        lambda: Coin("A", 0, 9, bad),
        lambda: Coin("A", 0, 9, M, bids=bad),
        lambda: Weights(bad),
        lambda: perp(bad, 0),
        lambda: perp(0, bad),
        lambda: perp(0, 0, bad),
        lambda: perp(0, 0, funding=bad),
        lambda: MarginAccount(quote_scale=bad),
        lambda: MarginAccount(per_order=bad),
        lambda: account(perp(N, 0)).at("SOL-PERP", bad),
        lambda: size_premium(bad, 0, 0),
        lambda: size_premium(0, bad, 1),
        lambda: size_discount(0, 0, bad),
        lambda: liquidation_tick(account(perp(N, 0)), "SOL-PERP", bad),
        lambda: requirement(account(), Check.INITIAL, buffer_bp=bad),
    ]
    for attempt in refused:
        with pytest.raises(InvalidMarket, match="whole number"):
            attempt()


@pytest.mark.parametrize(
    ("attempt", "rule"),
    [
        (lambda: Coin("A", 0, 9, 0), "price of A must be at least 1, not 0"),
        (lambda: Coin("A", 0, 9, -5), "price of A must be at least 1, not -5"),
        (lambda: Coin("A", 0, 9, M, twap=0), "average price of A"),
        (lambda: Coin("A", 0, -1, M), "scale of A must be at least 0"),
        (lambda: Coin("A", 0, 31, M), "scale of A must be at most 30"),
        (lambda: Coin("A", 0, 9, M, price_scale=-1), "price scale of A"),
        (lambda: Coin("A", 0, 9, M, asks=-1), "asks of A must be at least 0"),
        (lambda: Coin("", 0, 9, M), "must be text"),
        (lambda: Coin("A", 0, 9, M, weights=None), "needs Weights"),
        (lambda: Coin("A", 0, 6, M, is_quote=True, bids=1), "quote coin"),
        (lambda: Weights(maintenance_asset=-1), "maintenance_asset must be at least 0"),
        (lambda: perp(0, 0, 0), "price of SOL-PERP must be at least 1"),
        (lambda: perp(0, 0, bids=-1), "bids of SOL-PERP"),
        (lambda: perp(0, 0, custom_bp=-1), "custom_bp of SOL-PERP"),
        (lambda: perp(0, 0, isolated=-1), "isolated deposit of SOL-PERP"),
        (lambda: perp(0, 0, base_scale=-1), "base scale of SOL-PERP"),
        (lambda: perp(0, 0, expired=1), "truth value"),
        (lambda: perp(0, 0, terms=None), "must be a Perpetual"),
        (lambda: perp(0, 0, symbol=""), "must be text"),
        (lambda: MarginAccount([cash(0)]), "must be a tuple of Coin"),
        (lambda: MarginAccount((), (cash(0),)), "must be a tuple of Contract"),
        (lambda: MarginAccount((cash(0), cash(1))), "each coin and contract once"),
        (lambda: MarginAccount((cash(0), Coin("EUR", 0, 6, M, is_quote=True))), "one quote coin"),
        (lambda: MarginAccount((cash(0, 990_000),)), "account's price of 1000000 millionths"),
        (lambda: MarginAccount((cash(0),), quote_scale=2), "quote coin USDC must have 2 places"),
        (lambda: MarginAccount(quote_price=0), "price of the quote coin"),
        (lambda: MarginAccount(quote_twap=-1), "average price of the quote coin"),
        (lambda: MarginAccount(gain_cap=-1), "cap of a gain"),
        (lambda: MarginAccount(high_leverage=1), "truth value"),
        (lambda: account(Coin("SOL", 0, 9, M, oracle="SOL-PERP", price_scale=2), perp(0, 0)), "one price scale"),
        (lambda: account(perp(N, 0)).at("SOL-PERP", 0), "price of SOL-PERP"),
        (lambda: liquidation_tick(account(perp(N, 0)), "SOL-PERP", 0), "tick must be at least 1"),
        (lambda: liquidation_tick(account(), "SOL-PERP", 1), "no contract"),
        (lambda: collateral(account(), "initial"), "a margin check is one of INITIAL, FILL, MAINTENANCE"),
        (lambda: requirement(account(), Check.INITIAL, buffer_bp=-1), "buffer"),
        (lambda: size_premium(1, -1, 1), "a size must be at least 0"),
        (lambda: size_discount(1, 1, -1), "an imf must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_with_its_rule(attempt, rule):
    with pytest.raises(InvalidMarket, match=rule):
        attempt()
