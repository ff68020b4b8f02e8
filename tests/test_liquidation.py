"""Liquidation: the venue's tables and single figures, and what must hold of any amount that is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import drift_cases
from sleeves.errors import InvalidMarket
from sleeves.liquidation import (
    asset_for_liability,
    base_to_cover,
    deposit_interest_delta,
    funding_rate_delta,
    liability_for_asset,
    liability_to_cover,
    liquidator_fee,
    max_share,
    perp_insurance_fee,
    spot_insurance_fee,
)
from strategies import law

M = 10**6
N = 10**9
ALL = {2**64 - 1, 2**128 - 1}
"""What the program answers for 'no amount is too much'."""

# -- the venue's tables -----------------------------------------------------------------------------------------------

TABLE = {
    "calculate_base_asset_amount_to_cover_margin_shortage": lambda g: base_to_cover(
        g["margin_shortage"],
        g["margin_ratio"],
        g["liquidation_fee"],
        g["if_liquidation_fee"],
        g["oracle_price"],
        g["quote_oracle_price"],
    ),
    "calculate_liability_transfer_to_cover_margin_shortage": lambda g: liability_to_cover(
        g["margin_shortage"],
        g["asset_weight"],
        g["asset_liquidation_multiplier"],
        g["liability_weight"],
        g["liability_liquidation_multiplier"],
        g["liability_decimals"],
        g["liability_price"],
        g["if_liquidation_fee"],
    ),
    "calculate_liability_transfer_implied_by_asset_amount": lambda g: liability_for_asset(
        g["asset_transfer"],
        g["asset_liquidation_multiplier"],
        g["asset_decimals"],
        g["asset_price"],
        g["liability_liquidation_multiplier"],
        g["liability_decimals"],
        g["liability_price"],
    ),
    "calculate_asset_transfer_for_liability_transfer": lambda g: asset_for_liability(
        g["asset_amount"],
        g["asset_liquidation_multiplier"],
        g["asset_decimals"],
        g["asset_price"],
        g["liability_transfer"],
        g["liability_liquidation_multiplier"],
        g["liability_decimals"],
        g["liability_price"],
    ),
    "calculate_perp_if_fee": lambda g: perp_insurance_fee(
        g["margin_shortage"],
        g["user_base_asset_amount"],
        g["margin_ratio"],
        g["liquidator_fee"],
        g["oracle_price"],
        g["quote_oracle_price"],
        g["max_if_fee"],
    ),
    "calculate_spot_if_fee": lambda g: spot_insurance_fee(
        g["margin_shortage"],
        g["token_amount"],
        g["asset_weight"],
        g["asset_liquidation_multiplier"],
        g["liability_weight"],
        g["liability_liquidation_multiplier"],
        g["liability_decimals"],
        g["liability_price"],
        g["max_if_fee"],
    ),
    "socialised loss as cumulative funding delta": lambda g: funding_rate_delta(
        g["loss"], g["base_asset_amount_long"], g["base_asset_amount_short"]
    ),
    "socialised spot loss as cumulative deposit interest delta": lambda g: deposit_interest_delta(
        g["loss"], g["deposit_balance"], g["cumulative_deposit_interest"], g["decimals"]
    ),
    "socialised spot loss, nobody to socialise to": lambda g: deposit_interest_delta(
        g["loss"], g["deposit_balance"], g["cumulative_deposit_interest"], g["decimals"]
    ),
    "max share of a position a liquidator may take": lambda g: max_share(
        g["margin_shortage"],
        g["margin_freed"],
        g["slot"] - g["last_active_slot"],
        initial_bp=g["initial_pct"],
        duration=g["duration"],
    ),
    "time-increasing liquidator fee": lambda g: liquidator_fee(g["base_fee"], g["max_fee"], g["current_slot"] - g["last_active_slot"]),
}


def test_every_topic_of_the_liquidation_tables_is_tested_here():
    drift_cases.covers("liquidation", TABLE.keys())


UNSAID = {"liquidation_fee": 0, "if_liquidation_fee": 0, "margin_freed": 0, "last_active_slot": 0, "quote_oracle_price": M}


@drift_cases.table("liquidation", tuple(TABLE))
def test_table_of_liquidations(case):
    (expected,) = case["expected"].values()
    measured = TABLE[case["topic"]](UNSAID | case["inputs"])
    assert (int(expected) in ALL) if measured is None else (measured == int(expected))


# -- single figures, from protocol-v2 math/liquidation/tests.rs ----------------------------------------------------------


def test_base_to_cover():
    assert [base_to_cover(10 * M, 1_000, *fees, 100 * M) for fees in ((0, 0), (10_000, 0), (10_000, 10_000))] == [
        N,
        1_111_111_111,
        1_250_000_000,
    ]
    assert [base_to_cover(10 * M, 1_000, 0, 0, 100 * M, quote) for quote in (990_000, 1_010_000)] == [1_010_101_010, 990_099_009]
    # the fee takes all that closing frees, or one millionth less
    assert base_to_cover(M, 500, 50_000, 0, 100 * M) is None
    assert base_to_cover(M, 500, 49_999, 0, 100 * M) == 10_000 * N
    assert base_to_cover(M, 500, 25_000, 25_000, 100 * M) is None
    assert base_to_cover(M, 500, 25_000, 24_999, 100 * M) == 10_000 * N


def test_liability_to_cover():
    assert liability_to_cover(10 * M, 8_000, M, 12_000, M, 9, 100 * M) == 250_000_000
    assert liability_to_cover(10 * M, 8_000, 1_100_000, 12_000, 900_000, 9, 100 * M) == 449_984_250
    assert liability_to_cover(10 * M, 8_000, M, 12_000, M, 9, 100 * M, 10_000) == 257_731_958
    assert liability_to_cover(10 * M, 10_000, M, 10_000, 750_000, 6, 100 * M) is None
    assert liability_to_cover(10 * M, 10_000, M, 10_001, M, 6, 100 * M) == 1_000 * M
    assert liability_to_cover(0, 8_000, M, 12_000, M, 9, 100 * M) == 1
    assert liability_to_cover(10 * M, 8_000, M, 12_000, M, 3, 100 * M) == 250
    assert liability_to_cover(10 * M, 8_000, M, 12_000, M, 6, M, 400_000) is None


def test_transfers_for_one_another():
    assert liability_for_asset(10 * M, M, 6, M, M, 9, 100 * M) == 100_000_000
    assert liability_for_asset(10 * M, 1_010_000, 6, M, 990_000, 9, 100 * M) == 98_019_802
    assert liability_for_asset(1, M, 9, M, M, 6, M) == 1
    assert asset_for_liability(200 * M, M, 6, M, M, M, 6, M) == M
    assert asset_for_liability(20 * M, M, 5, M, M, M, 6, M) == 100_000
    # less than one quote coin of collateral is not left behind
    assert asset_for_liability(2 * M - 1, M, 6, M, M, M, 6, M) == 2 * M - 1
    assert asset_for_liability(2 * M, M, 6, M, M, M, 6, M) == M


def test_fees():
    assert [liquidator_fee(20_000, 50_000, slots) for slots in (10, 1_499, 1_500, 10_000, 30_000, 100_000)] == [
        20_000,
        20_000,
        21_500,
        30_000,
        50_000,
        50_000,
    ]
    assert perp_insurance_fee(M, 10 * N, 500, 10_000, 100 * M, M, 50_000) == 37_050
    assert perp_insurance_fee(M, 10 * N, 500, 10_000, 100 * M, M, 37_049) == 37_049
    assert perp_insurance_fee(1_000 * M, 10 * N, 500, 10_000, 100 * M, M, 50_000) == 0
    assert perp_insurance_fee(20 * M, 10 * N, 500, 100_000, 100 * M, M, 50_000) == 0
    assert perp_insurance_fee(0, 0, 500, 0, 100 * M, M, 50_000) == 0
    assert perp_insurance_fee(0, N, 500, 0, 1, 1, 50_000) == 0
    assert spot_insurance_fee(100 * M, N, 10_000, 1_010_000, 11_000, M, 9, 100 * M, 50_000) == 0
    assert spot_insurance_fee(0, N, 10_000, 1_010_000, 11_000, M, 9, 100 * M, 100_000) == 90_000 * M // 1_100_000 * 19 // 20
    assert spot_insurance_fee(0, N, 10_000, 1_010_000, 11_000, M, 9, 100 * M, 50_000) == 50_000
    assert spot_insurance_fee(M, N, 20_000, M, 11_000, M, 9, 100 * M, 50_000) == 0
    assert spot_insurance_fee(M, 0, 10_000, M, 11_000, M, 9, 100 * M, 50_000) == 0
    assert spot_insurance_fee(M, N, 10_000, M, 11_000, 0, 9, 100 * M, 50_000) == 0


def test_how_much_at_once():
    assert [max_share(1_000 * M, freed, slots) for freed, slots in ((0, 0), (0, 75), (0, 135), (0, 134), (300 * M, 75))] == [
        1_000,
        6_000,
        10_000,
        9_933,
        4_800,
    ]
    assert [max_share(shortage, 0, 0) for shortage in (50 * M - 1, 50 * M, 0)] == [10_000, 1_000, 10_000]
    assert max_share(1_000 * M, 10**12, 0) == 10_000 * (10**9 // 10 + 10**12 // 10 - 10**12 > 0)
    assert max_share(1_000 * M, 0, 0, duration=0) == 10_000


def test_who_bears_a_loss():
    assert funding_rate_delta(-100 * M, 7 * N, -4 * N) == 9_090_910_000
    assert funding_rate_delta(0, 7 * N, 0) == 0
    assert deposit_interest_delta(11 * M, 120 * N, 10**10, 6) == 916_666_667
    assert deposit_interest_delta(100 * M, 0, 11_110_000_000, 0) == 0
    assert deposit_interest_delta(120 * M, 120 * N, 10**10, 6) == 10**10 - 1
    assert deposit_interest_delta(10**12, 120 * N, 10**10, 6) == 10**10 - 1


# -- laws -------------------------------------------------------------------------------------------------------------

money = st.integers(1, 10**13)
price = st.integers(10_000, 10**12)


@law
@given(money, st.integers(10, 10_000), st.integers(0, 50_000), st.integers(0, 20_000), price)
def test_law_closing_that_much_frees_the_shortage_and_no_more(shortage, ratio, fee, insurance, at):
    base = base_to_cover(shortage, ratio, fee, insurance, at)
    if base is None:
        # what a coin frees is not worth one price unit after fees
        assert at * (ratio * 100 - fee) // M - at * insurance // M <= 0
    else:
        frees = at * (ratio * 100 - fee) // M - at * insurance // M
        assert base * frees <= shortage * N < (base + 1) * frees


@law
@given(money, money, st.integers(10, 10_000), st.integers(0, 50_000), st.integers(0, 20_000), price)
def test_law_a_larger_shortage_or_fee_takes_more(one, other, ratio, fee, insurance, at):
    small, large = sorted((one, other))

    def taken(shortage, extra=0):
        base = base_to_cover(shortage, ratio, fee + extra, insurance, at)
        return float("inf") if base is None else base

    assert taken(small) <= taken(large) and taken(small) <= taken(small, 1_000)


@law
@given(money, st.integers(0, 12), st.integers(0, 12), price, price, st.integers(M, 1_200_000), st.integers(800_000, M))
def test_law_what_an_asset_pays_for_costs_no_more_than_that_asset(
    asset, asset_places, places, asset_price, liability_price, premium, discount
):
    """Rounded against the account that is liquidated: the liability that goes is paid for, but for its last unit."""
    liability = liability_for_asset(asset, premium, asset_places, asset_price, discount, places, liability_price)
    worth = asset * asset_price * discount * 10**places
    unit = liability_price * premium * 10**asset_places
    # two ceilings, the second only when the liability has fewer places
    slack = 1 + 10 ** max(0, asset_places - places)
    assert worth <= liability * unit < worth + unit * slack


@law
@given(money, st.integers(0, 10**13), st.integers(0, 400), st.integers(0, 10_000), st.integers(0, 300))
def test_law_the_share_stays_in_its_bounds_and_grows_with_time(shortage, freed, slots, initial, duration):
    share = max_share(shortage, freed, slots, initial_bp=initial, duration=duration)
    assert 0 <= share <= 10_000
    assert share <= max_share(shortage, freed, slots + 1, initial_bp=initial, duration=duration)
    assert max_share(shortage, freed, max(slots, duration), initial_bp=initial, duration=duration) == 10_000


@law
@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
def test_law_a_socialised_loss_is_borne_in_full(loss, long, short):
    if long + short == 0:
        with pytest.raises(InvalidMarket, match="needs open interest"):
            funding_rate_delta(-loss, long, -short)
        return
    delta = funding_rate_delta(-loss, long, -short)
    assert loss * 10**12 <= delta * (long + short)
    assert not delta or (delta - 1_000) * (long + short) < loss * 10**12


@law
@given(st.integers(0, 10**15), st.integers(0, 10**18), st.integers(10**10, 10**11), st.integers(0, 12))
def test_law_depositors_lose_no_more_than_they_have(loss, balance, index, places):
    delta = deposit_interest_delta(loss, balance, index, places)
    assert 0 <= delta < index
    before, after = (balance * at // 10 ** (19 - places) for at in (index, index - delta))
    assert after == 0 or before - after >= min(loss, before) - 1 or index - delta == 1


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [True, None, 1.0, float("nan"), "1"], ids=repr)
@pytest.mark.parametrize(
    ("function", "good"),
    [
        (base_to_cover, [M, 1_000, 0, 0, M, M]),
        (liability_to_cover, [M, 8_000, M, 12_000, M, 6, M, 0]),
        (liability_for_asset, [M, M, 6, M, M, 6, M]),
        (asset_for_liability, [M, M, 6, M, M, M, 6, M]),
        (liquidator_fee, [1, 2, 3]),
        (perp_insurance_fee, [M, N, 500, 0, M, M, 1]),
        (spot_insurance_fee, [M, N, 8_000, M, 12_000, M, 6, M, 1]),
        (max_share, [M, 0, 1]),
        (funding_rate_delta, [-1, N, -N]),
        (deposit_interest_delta, [1, N, 10**10, 6]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_argument_is_a_whole_number_in_its_range(function, good, bad):
    assert function(*good) is None or type(function(*good)) is int
    for i in range(len(good)):
        with pytest.raises(InvalidMarket, match="whole number"):
            function(*good[:i], bad, *good[i + 1 :])
        if function is not funding_rate_delta:
            with pytest.raises(InvalidMarket, match="at least"):
                function(*good[:i], -1, *good[i + 1 :])


@pytest.mark.parametrize(
    ("attempt", "rule"),
    [
        (lambda: base_to_cover(M, 1_000, 0, 0, 0), "price must be at least 1, not 0"),
        (lambda: base_to_cover(M, 1_000, 0, 0, M, 0), "quote price must be at least 1, not 0"),
        (lambda: funding_rate_delta(1, N, -N), "a loss must be zero or below, not 1"),
        (lambda: funding_rate_delta(-1, N, 1), "needs open interest"),
        (lambda: funding_rate_delta(-1, 0, 0), "needs open interest to bear it, not 0 long and 0 short"),
        (lambda: deposit_interest_delta(1, N, 10**10, 20), "at most 19, not 20"),
        (lambda: liability_to_cover(M, 8_000, M, 12_000, 0, 6, M), "liability multiplier must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_rule(attempt, rule):
    with pytest.raises(InvalidMarket, match=rule):
        attempt()
