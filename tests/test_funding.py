"""Funding: the venue's tables and single figures, and a split that loses nothing and favours nobody."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import drift_cases
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.funding import (
    Tier,
    Update,
    clamped_rate,
    entitlement,
    hourly_estimate,
    live_oracle_twap,
    max_divergence,
    next_update,
    payment,
    rate_from_twaps,
    split,
    venue_share,
)
from strategies import law

M = 10**6
N = 10**9

# -- the venue's tables -----------------------------------------------------------------------------------------------

TOPICS = {
    "funding rate from twaps (test helper: 1/33 clamp, no 1/5000 offset)",
    "max mark/oracle divergence used for funding",
    "net unsettled funding after one update",
    "time until the next permitted funding update",
    "unsettled funding of a position",
    "live twaps and predicted hourly funding estimate",
}


def test_every_topic_of_the_funding_tables_is_tested_here():
    drift_cases.covers("funding", TOPICS)


@drift_cases.table("funding", "funding rate from twaps")
def test_table_of_rates(case):
    given_ = case["inputs"]
    limit = given_["oracle_twap"] // given_["clamp_denominator"]
    period, offset = given_["funding_period"], given_["offset_denominator"]
    rate = clamped_rate(given_["mark_twap"], given_["oracle_twap"], limit, period=period, offset=offset)
    assert rate == case["expected"]["funding_rate"]


@drift_cases.table("funding", "max mark/oracle divergence")
def test_table_of_clamps(case):
    given_ = case["inputs"]
    assert max_divergence(given_["oracle_twap"], Tier(given_["contract_tier"])) == case["expected"]["max_divergence"]


@drift_cases.table("funding", "net unsettled funding")
def test_table_of_updates(case):
    given_ = case["inputs"]
    net = given_["base_asset_amount_with_amm"]
    update = venue_share(given_["funding_rate"], max(0, net), min(0, net), given_["total_fee_minus_distributions"])
    measured = {"total_fee_minus_distributions": update.fee_pool, "net_unsettled_funding_pnl": update.unsettled}
    assert measured == case["expected"]


@drift_cases.table("funding", "time until")
def test_table_of_waits(case):
    given_ = case["inputs"]
    assert next_update(given_["now"], given_["last_update"], given_["period"]) == case["expected"]["seconds"]


@drift_cases.table("funding", "unsettled funding of a position")
def test_table_of_payments(case):
    given_ = case["inputs"]
    base = given_["base_asset_amount"]
    index = given_["cumulative_funding_rate_long" if base > 0 else "cumulative_funding_rate_short"]
    assert payment(base, index, given_["last_cumulative_funding_rate"]) == case["expected"]["payment"]


@drift_cases.table("funding", "live twaps")
def test_table_of_live_estimates(case):
    """The oracle average and the estimate. The live mark average needs the venue's own book and is taken as given."""
    given_, expected = case["inputs"], case["expected"]
    since = given_["now"] - given_["last_oracle_twap_ts"]
    assert live_oracle_twap(given_["last_oracle_twap"], given_["oracle_price"], since) == expected["oracle_twap"]
    tier = Tier(given_["contract_tier"])
    assert hourly_estimate(expected["mark_twap"], expected["oracle_twap"], tier) == expected["estimate_pct"]


# -- single figures ---------------------------------------------------------------------------------------------------


def test_rates():
    # protocol-v2 math/funding/tests.rs: unsettled_funding_pnl, capped_sym_funding_test
    assert rate_from_twaps(47_629_736, 51 * M, Tier.HIGHLY_SPECULATIVE) == -140_002_666
    assert rate_from_twaps(50 * M, 49 * M, Tier.B, offset=0) == 41_666_666
    assert rate_from_twaps(99 * M, 49 * M, Tier.B) == 1_484_848 * 1_000 // 24
    assert rate_from_twaps(M, 49 * M, Tier.A) == -(1_484_848 * 1_000 // 24)
    assert rate_from_twaps(50 * M, 50 * M, Tier.A) == 10_000 * 1_000 // 24
    assert rate_from_twaps(50 * M, 50 * M, Tier.A, offset=3_333) == 15_001 * 1_000 // 24
    assert rate_from_twaps(50 * M, 50 * M, Tier.A, period=8 * 3_600) == 10_000 * 1_000 // 3


@pytest.mark.parametrize(("tier", "limit"), [*zip(Tier, (1_484_848, 1_484_848, 2_450_000, 4_900_000, 4_900_000, 4_900_000), strict=True)])
def test_clamps_by_tier(tier, limit):
    assert max_divergence(49 * M, tier) == limit
    at, beyond = clamped_rate(49 * M + limit, 49 * M, limit, offset=0), clamped_rate(49 * M + limit + 24, 49 * M, limit, offset=0)
    assert at == beyond == limit * 1_000 // 24 > clamped_rate(49 * M + limit - 24, 49 * M, limit, offset=0)


def test_updates_of_a_venue_that_receives_and_of_one_that_runs_dry():
    # protocol-v2 math/funding/tests.rs: unsettled_funding_pnl, and the pool that pays a third of what it may spend
    received = venue_share(-140_002_666, 0, -512_295_081_967, 99_999_000_000)
    assert received == Update(-140_002_666, -140_002_666, 100_070_722_677, -71_722_677)
    dry = venue_share(41_666_666, 12_295_081_967, -24_590_163_934, 500_000, floor=250_000)
    assert dry == Update(41_666_666, 24_222_164, 416_667, 512_295)
    mirrored = venue_share(-41_666_666, 24_590_163_934, -12_295_081_967, 500_000, floor=250_000)
    assert mirrored == Update(-24_222_164, -41_666_666, 416_667, 512_295)


def test_an_update_on_both_sides_of_what_the_pool_may_spend():
    # 10 net short at +0.1: the venue owes 1.0
    enough = venue_share(100_000_000, 0, -10 * N, 3 * M)
    assert enough == Update(100_000_000, 100_000_000, 2 * M, M)
    short = venue_share(100_000_000, 0, -10 * N, 3 * M - 3)
    assert short == Update(100_000_000, 99_999_800, 2 * M - 2, M)
    assert venue_share(100_000_000, 0, -10 * N, 0).short_rate == 0
    assert venue_share(100_000_000, 0, -10 * N, 3 * M, floor=4 * M).fee_pool == 3 * M
    assert venue_share(100_000_000, 5 * N, -5 * N, 0) == Update(100_000_000, 100_000_000, 0, 0)


@pytest.mark.parametrize(
    ("now", "last", "wait"),
    [(0, 0, 3_600), (3_599, 0, 1), (3_600, 0, 0), (9_999, 0, 0), (4_800, 4_800, 2_400), (4_801, 4_801, 5_999), (3_601, 3_601, 3_599)],
)
def test_the_next_update_is_on_the_hour_or_the_one_after(now, last, wait):
    # protocol-v2 math/helpers.rs: more than a third of the period late skips one
    assert next_update(now, last) == wait


def test_payments():
    # hand-computed from protocol-v2 math/funding.rs: toward zero on both sides
    assert [payment(base, 1_250_000_000, N) for base in (10 * N, -10 * N, 0)] == [-2_500_000, 2_500_000, 0]
    assert payment(3 * N, -140_002_666, 0) == 420_007
    assert [payment(base, 1_999, 0) for base in (N + 1, -N - 1)] == [-1, 1]
    assert payment(N, 1, 0) == 0


def test_live_estimate():
    # driftpy tests/math/funding.py and protocol-v2 sdk/tests/amm: clamp_A
    assert live_oracle_twap(1_820_964, 1_924_000, 1_924) == 1_876_031
    assert hourly_estimate(1_680_634, 1_876_031, Tier.A) == -126_261
    assert [live_oracle_twap(300, price, 3_600) for price in (1, 199, 201, 399, 401, 10**9)] == [200, 200, 201, 399, 400, 400]
    assert live_oracle_twap(300, 390, 0) == 300


# -- the split --------------------------------------------------------------------------------------------------------


def test_a_split_reads_like_a_bill():
    assert split(10, [1, 1, 1], 3) == [4, 3, 3]  # 1 was expected: the rest by size, ties to the earlier
    assert split(1, [1, 1, 1], 3) == [1, 0, 0]
    assert split(2, [1, 1, 4], 3) == [1, 0, 1]  # 1/3, 1/3, 4/3
    assert split(-1, [-1, -1], 2) == [0, -1]
    assert split(-1, [1, -3], 2) == [1, -2]  # opposite owners, half a unit each, ties to the earlier
    assert split(0, [5, -5], 1) == [5, -5]
    assert split(0, [0, 0], 7) == [0, 0] and split(0, [], 1) == []
    assert split(7, [0, 3, 0], 1) == [0, 7, 0]
    assert split(1, [0, 1], 3) == [0, 1]
    assert split(-7, [1, 1], 1) == [-3, -4]  # the venue took where we thought it would give


claims = st.lists(st.one_of(st.just(0), st.integers(-(10**15), 10**15)), max_size=8)
denominators = st.one_of(st.integers(1, 12), st.integers(1, 10**12))


@law
@given(st.integers(-(10**15), 10**15), claims, denominators)
def test_law_a_split_sums_exactly(amount, numerators, denominator):
    if amount and not any(numerators):
        with pytest.raises(InvalidAmount, match="has no owner"):
            split(amount, numerators, denominator)
    else:
        shares = split(amount, numerators, denominator)
        assert sum(shares) == amount and all(type(share) is int for share in shares)
        assert all(share == 0 for share, one in zip(shares, numerators, strict=True) if not one)


@law
@given(claims, denominators, st.booleans())
def test_law_with_the_venues_figure_right_nobody_is_off_by_a_unit(numerators, denominator, up):
    exact = Fraction(sum(numerators), denominator)
    amount = -(-exact.numerator // exact.denominator) if up else exact.numerator // exact.denominator
    shares = split(amount, numerators, denominator) if any(numerators) or not amount else []
    for share, one in zip(shares, numerators, strict=bool(shares)):
        assert abs(share - Fraction(one, denominator)) < 1


@law
@given(claims, denominators, st.integers(-50, 50), st.randoms(use_true_random=False))
@example([1, 1, 1], 3, 0, None)
def test_law_the_order_of_owners_moves_nobody_by_more_than_a_unit(numerators, denominator, off, random):
    if not any(numerators):
        numerators = [*numerators, 1]
    amount = sum(numerators) // denominator + off
    order = list(range(len(numerators)))[::-1]
    if random is not None:
        random.shuffle(order)
    straight, shuffled = split(amount, numerators, denominator), split(amount, [numerators[i] for i in order], denominator)
    assert all(abs(straight[i] - share) <= 1 for i, share in zip(order, shuffled, strict=True))


@law
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6), st.integers(1, 10**9), st.integers(-(10**6), 10**6))
def test_law_entitlements_of_owners_add_up_to_that_of_the_netted_position(slices, price, rate):
    assert sum(entitlement(qty, price, rate) for qty in slices) == entitlement(sum(slices), price, rate)
    for qty in slices:
        received = entitlement(qty, price, rate)
        assert (received < 0) is (qty * rate > 0) and entitlement(-qty, price, rate) == -received
    net = entitlement(sum(slices), price, rate)
    shares = split(net // 10**9, [entitlement(qty, price, rate) for qty in slices], 10**9)
    assert sum(shares) == net // 10**9


@law
@given(st.integers(-(10**15), 10**15), st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_law_a_payment_is_exact_toward_zero_and_mirrored(base, cumulative, last):
    exact = Fraction(-base * (cumulative - last), 10**12)
    paid = payment(base, cumulative, last)
    assert abs(paid) <= abs(exact) < abs(paid) + 1
    assert payment(-base, cumulative, last) == -paid == payment(base, last, cumulative)


@law
@given(st.integers(-(10**9), 10**9), st.integers(0, 10**14), st.integers(0, 10**14), st.integers(0, 10**12))
def test_law_the_receivers_never_get_more_than_the_payers_and_a_third_of_the_pool(rate, long, short, pool):
    update = venue_share(rate, long, -short, pool)
    given_out = payment(long, update.long_rate, 0) + payment(-short, update.short_rate, 0)
    assert given_out <= pool // 3 + 1
    assert update.fee_pool >= pool - pool // 3
    assert {update.long_rate, update.short_rate} == {rate} or (update.long_rate if rate > 0 else update.short_rate) == rate


@law
@given(st.integers(1, 10**12), st.integers(1, 10**12), st.sampled_from(Tier))
def test_law_a_rate_stays_within_its_clamp_and_rises_with_the_mark(mark, oracle, tier):
    limit = max_divergence(oracle, tier)
    rate = rate_from_twaps(mark, oracle, tier)
    assert abs(rate) * 24 <= limit * 1_000
    assert rate <= rate_from_twaps(mark + 1, oracle, tier)


@law
@given(st.integers(0, 10**10), st.integers(0, 10**5), st.integers(1, 10**5))
def test_law_the_wait_ends_on_a_full_period(last, since, period):
    wait = next_update(last + since, last, period)
    assert 0 <= wait <= period + period
    if wait:
        assert (last + since + wait) % period == 0


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [True, None, 1.0, float("nan"), "1", Fraction(1)], ids=repr)
def test_only_whole_numbers_are_taken(bad):
    for attempt in (
        lambda: payment(bad, 0, 0),
        lambda: payment(1, 0, bad),
        lambda: entitlement(1, bad, 1),
        lambda: rate_from_twaps(bad, 1, Tier.A),
        lambda: next_update(bad, 0),
        lambda: venue_share(bad, 0, 0, 0),
        lambda: venue_share(1, 0, 0, bad),
        lambda: hourly_estimate(1, bad, Tier.A),
    ):
        with pytest.raises(InvalidMarket, match="whole number"):
            attempt()
    for attempt in (lambda: split(bad, [1]), lambda: split(1, [bad]), lambda: split(1, [1], bad)):
        with pytest.raises(InvalidAmount, match="whole number"):
            attempt()


@pytest.mark.parametrize(
    ("error", "attempt", "rule"),
    [
        (InvalidAmount, lambda: split(1, [1], 0), "must be positive, not 0"),
        (InvalidAmount, lambda: split(1, [1], -1), "must be positive, not -1"),
        (InvalidAmount, lambda: split(1, []), "has no owner"),
        (InvalidAmount, lambda: split(-1, [0, 0]), "a payment of -1 has no owner"),
        (InvalidMarket, lambda: entitlement(1, 0, 1), "price must be at least 1, not 0"),
        (InvalidMarket, lambda: entitlement(1, -1, 1), "price must be at least 1, not -1"),
        (InvalidMarket, lambda: rate_from_twaps(0, 1, Tier.A), "mark average"),
        (InvalidMarket, lambda: rate_from_twaps(1, -1, Tier.A), "oracle average"),
        (InvalidMarket, lambda: rate_from_twaps(1, 1, "A"), "a contract tier is one of A, B, C"),
        (InvalidMarket, lambda: rate_from_twaps(1, 1, Tier.A, period=0), "funding period"),
        (InvalidMarket, lambda: rate_from_twaps(1, 1, Tier.A, offset=-1), "offset"),
        (InvalidMarket, lambda: next_update(5, 6), "before the last update 6"),
        (InvalidMarket, lambda: next_update(5, 5, 0), "funding period"),
        (InvalidMarket, lambda: venue_share(1, -1, 0, 0), "long base"),
        (InvalidMarket, lambda: venue_share(1, 0, 1, 0), "short base must be zero or below, not 1"),
        (InvalidMarket, lambda: live_oracle_twap(1, 0, 0), "oracle price"),
        (InvalidMarket, lambda: live_oracle_twap(1, 1, -1), "since the last update"),
    ],
)
def test_what_cannot_be_is_refused_with_its_rule(error, attempt, rule):
    with pytest.raises(error, match=rule):
        attempt()
