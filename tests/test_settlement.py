"""Settlement, fees and interest: the venue's tables and single figures, and what must hold of all of them."""

from __future__ import annotations

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

import drift_cases
from sleeves.errors import InvalidMarket
from sleeves.margin import Contract, unrealized
from sleeves.market import Perpetual
from sleeves.settlement import (
    BorrowCurve,
    FeeTier,
    FillerReward,
    FillFees,
    borrow_rate,
    claimable,
    deposit_rate,
    fee_tier,
    fill_fees,
    maker_rebate,
    net_user_pnl,
    pool_excess,
    taker_fee,
    token_amount,
    utilisation,
)
from strategies import law

M = 10**6
N = 10**9

# -- the venue's tables -----------------------------------------------------------------------------------------------

TOPICS = {
    "claimable (settleable) pnl of a position",
    "net user pnl and pnl pool excess",
    "fees of a fill against a maker",
    "fee tier by 30d volume and stake",
    "spot borrow and deposit rate",
}


def test_every_topic_of_the_settlement_tables_is_tested_here():
    drift_cases.covers("settlement_fees", TOPICS)


@drift_cases.table("settlement_fees", "claimable")
def test_table_of_claims(case):
    given_, position = case["inputs"], case["inputs"]["position"]
    contract = Contract("X", Perpetual(), position["base_asset_amount"], position["quote_asset_amount"], given_["oracle_price"])
    claim = claimable(unrealized(contract), contract.quote, position["quote_entry_amount"], given_["pnl_pool_excess"])
    assert claim == case["expected"]["claimable"]


@drift_cases.table("settlement_fees", "net user pnl")
def test_table_of_pools(case):
    given_ = case["inputs"]
    net = net_user_pnl(given_["base_asset_amount_with_amm"], given_["amm_quote_asset_amount"], given_["oracle_price"])
    assert {"net_user_pnl": net, "pool_excess": pool_excess(given_["pnl_pool_tokens"], net)} == case["expected"]


def tier(row):
    return FeeTier(row["fee_numerator"], row["fee_denominator"], row["maker_rebate_numerator"], row["maker_rebate_denominator"])


@drift_cases.table("settlement_fees", "fees of a fill")
def test_table_of_fill_fees(case):
    given_ = case["inputs"]
    share, of = given_["filler_reward_fraction"]
    fees = fill_fees(
        given_["quote_asset_amount"],
        tier(given_["fee_tier"]),
        tier(given_["fee_tier"]),
        adjustment_pct=given_["fee_adjustment_pct"],
        referred=given_["reward_referrer"],
        filler=FillerReward(share, of, given_["time_based_reward_lower_bound"]) if given_["filler_multiplier"] else None,
        multiplier=given_["filler_multiplier"],
        slots=given_["slots_since_order"],
    )
    assert case["expected"] == {
        "taker_fee": fees.taker,
        "maker_rebate": fees.maker,
        "fee_to_market": fees.market,
        "filler_reward": fees.filler,
        "referrer_reward": fees.referrer,
        "referee_discount": fees.discount,
    }


@drift_cases.table("settlement_fees", "fee tier")
def test_table_of_tiers(case):
    given_ = case["inputs"]
    table = [FeeTier(*row, *given_["maker_rebate"]) for row in given_["tier_table"]]
    got = fee_tier(table, given_["volume_30d"], given_["staked_gov_tokens"], high_leverage=given_["high_leverage_mode"])
    assert got == tier(case["expected"])


@drift_cases.table("settlement_fees", "spot borrow")
def test_table_of_rates(case):
    market = case["inputs"]["market"]
    insurance = market["insurance_fund"]["total_factor"]
    curve = BorrowCurve(
        market["optimal_utilization"], market["optimal_borrow_rate"], market["max_borrow_rate"], market["min_borrow_rate"], insurance
    )
    deposits = token_amount(market["deposit_balance"], market["cumulative_deposit_interest"], market["decimals"])
    borrowings = token_amount(market["borrow_balance"], market["cumulative_borrow_interest"], market["decimals"], borrowed=True)
    used = utilisation(deposits, borrowings, case["inputs"]["delta"])
    assert {"deposit_rate": deposit_rate(curve, used), "borrow_rate": borrow_rate(curve, used)} == case["expected"]


# -- single figures ---------------------------------------------------------------------------------------------------


def test_claims():
    # protocol-v2 state/user/tests.rs, get_claimable_pnl: long 1 from 100, 50 of it already taken, at 150
    assert [claimable(100 * M, -50 * M, -100 * M, excess) for excess in (-1, 0, 49 * M, 50 * M, 51 * M)] == [
        50 * M,
        50 * M,
        99 * M,
        100 * M,
        100 * M,
    ]
    assert claimable(25 * M, -50 * M, -100 * M, 0) == 25 * M
    assert claimable(9 * M, -100 * M, -90 * M, 0) == 0
    assert [claimable(pnl, 0, 0, 0) for pnl in (-50 * M, 0, 1)] == [-50 * M, 0, 0]


def test_pools():
    # protocol-v2 state/user/tests.rs, get_claimable_pnl::multiple_users_*
    assert [net_user_pnl(N, -100 * M, price * M) for price in (150, 160, 90)] == [50 * M, 60 * M, -10 * M]
    assert net_user_pnl(-1, 0, 1) == 0
    assert [pool_excess(10 * M, net) for net in (50 * M, 10 * M, 10 * M - 1, -5 * M)] == [0, 0, 1, 10 * M]
    assert pool_excess(1_000 * M, 60 * M) == 940 * M
    assert pool_excess(10, 0, 14) == 12


TIERS = [FeeTier(*row, 25, M) for row in ((35, 100_000), (30, 100_000), (275, M), (25, 100_000), (225, M), (20, 100_000))]
FLAT = FeeTier(100, 100_000, 60, 100_000)


def test_tiers_on_both_sides_of_every_step():
    # protocol-v2 math/fees/tests.rs, test_calc_taker_tiers
    volumes = [value for step in (2, 10, 20, 80, 200) for value in (step * M * M - 1, step * M * M)]
    assert [TIERS.index(fee_tier(TIERS, volume)) for volume in (0, *volumes)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    stakes = [value for step in (999, 9_999, 49_999, 99_999, 249_995) for value in (step * M - 1, step * M)]
    got = [fee_tier(TIERS, 70_000_000 * M, stake) for stake in stakes]
    assert [one.fee for one in got] == [25, 23, 23, 22, 22, 20, 20, 18, 18, 15]
    assert [one.rebate for one in got] == [25, 26, 26, 27, 27, 30, 30, 32, 32, 35]
    assert fee_tier(TIERS, 280_000_000 * M, 800_000 * M, high_leverage=True) == TIERS[0]


def test_fees_of_a_fill():
    # protocol-v2 math/fees/tests.rs, calculate_fee_for_taker_and_maker
    assert fill_fees(100 * M, FLAT, FLAT) == FillFees(100_000, 60_000, 40_000, 0, 0, 0)
    assert fill_fees(100 * M, FLAT, FLAT, adjustment_pct=-50) == FillFees(50_000, 30_000, 20_000, 0, 0, 0)
    assert fill_fees(100 * M, FLAT, FLAT, adjustment_pct=50) == FillFees(150_000, 90_000, 60_000, 0, 0, 0)
    assert fill_fees(100 * M, FLAT, FLAT, adjustment_pct=-50, referred=True) == FillFees(45_000, 30_000, 10_000, 0, 5_000, 5_000)
    assert fill_fees(100 * M, FLAT, FLAT, filler=FillerReward(10, 100, 10**16)).filler == 10_000
    aged = [fill_fees(100 * M, FLAT, FLAT, filler=FillerReward(1, 1, 10_000), slots=slots).filler for slots in (0, 1, 16, 60)]
    assert aged == [10_000, 10_000, 20_000, 27_800]
    assert fill_fees(100 * M, FLAT, FLAT, filler=FillerReward(1, 1, 10_000), multiplier=2_000).filler == 20_000
    assert fill_fees(100 * M, FLAT, FLAT, high_leverage=True).taker == 200_000
    assert fill_fees(100 * M, FeeTier(0, 1, 0, 1), FLAT).market == -60_000


def test_rounding_goes_against_the_user():
    one = FeeTier(1, 1_000, 1, 1_000)
    assert [taker_fee(quote, one) for quote in (0, 1, 1_000, 1_001)] == [0, 1, 1, 2]
    assert [maker_rebate(quote, one) for quote in (0, 999, 1_000, 1_999)] == [0, 0, 1, 1]
    assert (taker_fee(1_001, one, 1), taker_fee(1_001, one, -1), taker_fee(1_001, one, -100)) == (3, 2, 0)
    assert (maker_rebate(2_000, one, 1), maker_rebate(2_000, one, -1), maker_rebate(2_000, one, 100)) == (2, 1, 4)


CURVE = BorrowCurve(700_000, 70_000, M)


def test_interest():
    # driftpy tests/math/spot.py, test_borrow_rates, for the linear part; the pieces above it as in driftpy math/spot_balance.py
    deposits = token_amount(98_370_859_233_811, 10_154_217_042, 9)
    borrowings = token_amount(17_089_916_758_840, 10_417_153_549, 9, borrowed=True)
    used = utilisation(deposits, borrowings)
    assert (deposit_rate(CURVE, used), borrow_rate(CURVE, used)) == (3_176, 17_822)
    steps = (0, 350_000, 700_000, 700_001, 850_000, 900_000, 950_000, 990_000, 995_000, M, 2 * M)
    assert [borrow_rate(CURVE, step) for step in steps] == [0, 35_000, 70_000, 70_000, 116_500, 209_500, 349_000, 535_000, 767_500, M, M]
    assert borrow_rate(CURVE, 925_000) == 209_500 + 139_500 // 2
    assert [borrow_rate(BorrowCurve(700_000, 70_000, M, floor=3), step) for step in (149_999, 150_000, 150_010)] == [15_000, 15_000, 15_001]
    assert deposit_rate(BorrowCurve(700_000, 70_000, M, insurance=250_000), 700_000) == 70_000 * 75 // 100 * 70 // 100


def test_utilisation():
    assert [utilisation(*held) for held in ((0, 0), (0, 1), (10, 5), (10, 5, 10), (10, 5, -5), (0, 0, -1), (0, 0, 1))] == [
        *(0, M, 500_000, 250_000, M, M, 0),
    ]
    assert [token_amount(1, 10**10 + 1, places, borrowed=debt) for places, debt in ((9, False), (9, True), (6, False), (6, True))] == [
        1,
        2,
        0,
        1,
    ]


# -- laws -------------------------------------------------------------------------------------------------------------

amounts = st.integers(-(10**15), 10**15)
fractions = st.tuples(st.integers(0, 1_000), st.integers(1_000, 10**6))
tiers = st.builds(lambda fee, rebate: FeeTier(*fee, *rebate), fractions, fractions)


@law
@given(amounts, amounts, amounts, amounts)
def test_law_a_loss_is_claimed_in_full_and_a_gain_never_beyond_itself(pnl, quote, entry, excess):
    claim = claimable(pnl, quote, entry, excess)
    if pnl <= 0:
        assert claim == pnl
    else:
        assert 0 <= claim <= pnl
        assert claim <= claimable(pnl, quote, entry, excess + 1)
        assert claimable(pnl, quote, entry, max(excess, pnl)) == pnl


@law
@given(st.integers(0, 10**15), tiers, tiers, st.integers(-100, 100), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_law_a_fill_hands_out_what_the_taker_pays(quote, taker, maker, adjustment, referred, filled, slots):
    filler = FillerReward() if filled else None
    fees = fill_fees(quote, taker, maker, adjustment_pct=adjustment, referred=referred, filler=filler, slots=slots)
    assert fees.taker == fees.maker + fees.market + fees.filler + fees.referrer
    assert all(value >= 0 for name, value in asdict(fees).items() if name != "market")
    assert fees.filler <= fees.taker // 10


@law
@given(st.integers(0, 10**15), tiers, st.integers(-100, 99))
def test_law_an_adjustment_moves_both_its_way(quote, one, adjustment):
    assert taker_fee(quote, one, adjustment) <= taker_fee(quote, one, adjustment + 1)
    assert maker_rebate(quote, one, adjustment) <= maker_rebate(quote, one, adjustment + 1)
    assert taker_fee(quote, one) * one.fee_of >= quote * one.fee
    assert maker_rebate(quote, one) * one.rebate_of <= quote * one.rebate


@law
@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**12))
def test_law_more_volume_and_more_stake_never_cost_more(volume, more, staked, extra):
    before = fee_tier(TIERS, volume, staked)
    for after in (fee_tier(TIERS, volume + more, staked), fee_tier(TIERS, volume, staked + extra)):
        # the numerators of two tiers have other denominators, and a stake rounds by one of them
        assert after.fee * before.fee_of <= (before.fee + 1) * after.fee_of
    assert fee_tier(TIERS, volume, staked + extra).rebate >= before.rebate


@law
@given(st.integers(1, 849_999), st.integers(0, M), st.integers(0, 5 * M), st.integers(0, M), st.integers(0, M))
def test_law_interest_rises_with_use_and_depositors_earn_no_more_than_borrowers_pay(optimal, rate, more, one, other):
    curve = BorrowCurve(optimal, rate, rate + more)
    low, high = sorted((one, other))
    assert borrow_rate(curve, low) <= borrow_rate(curve, high) <= curve.max_rate
    assert deposit_rate(curve, high) <= borrow_rate(curve, high)
    assert deposit_rate(curve, high) * M <= borrow_rate(curve, high) * high


@law
@given(st.integers(0, 10**18), st.integers(10**10, 10**11), st.integers(0, 19))
def test_law_a_debt_is_the_deposit_or_one_unit_more(balance, index, places):
    deposit, debt = token_amount(balance, index, places), token_amount(balance, index, places, borrowed=True)
    assert deposit <= debt <= deposit + 1
    assert deposit * 10 ** (19 - places) <= balance * index <= debt * 10 ** (19 - places)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [True, None, 1.0, float("nan"), "1"], ids=repr)
def test_only_whole_numbers_are_taken(bad):
    for attempt in (
        lambda: claimable(bad, 0, 0, 0),
        lambda: claimable(1, bad, 0, 0),
        lambda: net_user_pnl(bad, 0, 1),
        lambda: pool_excess(bad, 0),
        lambda: FeeTier(bad, 1, 0, 1),
        lambda: FillerReward(bad),
        lambda: fee_tier(TIERS, bad),
        lambda: taker_fee(bad, FLAT),
        lambda: taker_fee(1, FLAT, bad),
        lambda: BorrowCurve(bad, 1, 1),
        lambda: borrow_rate(CURVE, bad),
        lambda: utilisation(bad, 0),
        lambda: token_amount(bad, 1, 0),
        lambda: fill_fees(1, FLAT, FLAT, filler=FillerReward(), slots=bad),
    ):
        with pytest.raises(InvalidMarket, match="whole number"):
            attempt()


@pytest.mark.parametrize(
    ("attempt", "rule"),
    [
        (lambda: net_user_pnl(1, 0, 0), "the price must be at least 1, not 0"),
        (lambda: pool_excess(-1, 0), "the pnl pool must be at least 0"),
        (lambda: FeeTier(2, 1, 0, 1), "fee of a fee tier must be at most 1, not 2 / 1"),
        (lambda: FeeTier(0, 0, 0, 1), "denominator of the fee must be at least 1"),
        (lambda: FeeTier(0, 1, -1, 1), "rebate of a fee tier must be at least 0"),
        (lambda: FillerReward(1, 0), "denominator of a filler's share"),
        (lambda: fee_tier(TIERS[:5], 0), "at least 6 rows, not 5"),
        (lambda: fee_tier(TIERS, -1), "30-day volume"),
        (lambda: taker_fee(-1, FLAT), "quote of a fill"),
        (lambda: taker_fee(1, FLAT, 101), "at most 100, not 101"),
        (lambda: taker_fee(1, FLAT, -101), "at least -100, not -101"),
        (lambda: BorrowCurve(850_000, 1, 1), "below 850000 millionths, not 850000"),
        (lambda: BorrowCurve(0, 1, 1), "optimal utilisation must be at least 1"),
        (lambda: BorrowCurve(1, 2, 1), "maximum borrow rate must be at least 2"),
        (lambda: BorrowCurve(1, 1, 1, insurance=M + 1), "at most 1000000 millionths"),
        (lambda: borrow_rate(CURVE, -1), "a utilisation must be at least 0"),
        (lambda: utilisation(-1, 0), "deposits must be at least 0"),
        (lambda: token_amount(1, 0, 0), "interest index must be at least 1"),
        (lambda: token_amount(1, 1, 20), "at most 19, not 20"),
    ],
)
def test_what_cannot_be_is_refused_with_its_rule(attempt, rule):
    with pytest.raises(InvalidMarket, match=rule):
        attempt()
