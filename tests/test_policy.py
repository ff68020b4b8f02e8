"""What becomes of a profit: rules as data, laws on integers, and figures that can be followed by hand."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount
from sleeves.money import PPM, USD, Asset, decimal_text
from sleeves.policy import FLASH, QUIET, ProfitPolicy, Reserve, Sweep
from strategies import law

CENT = Asset("CENT", 0)
"""An asset in which a unit is a coin: figures can be followed in the head."""

HALF = ProfitPolicy.above_high_water("50%")
shares = st.one_of(st.sampled_from([1, 333_333, 500_000, 999_999, PPM]), st.integers(1, PPM))
moneys = st.integers(0, 10**15)


def policy_of(share_ppm, least=None, most=None):
    policy = ProfitPolicy.sweep_on_close().share(decimal_text(share_ppm, 4) + "%")
    if least is not None:
        policy = policy.at_least(str(least))
    return policy if most is None else policy.at_most(str(most))


@st.composite
def policies(draw):
    least = draw(st.one_of(st.none(), st.integers(1, 10**6)))
    most = draw(st.one_of(st.none(), st.integers(least or 1, 10**9)))
    return policy_of(draw(shares), least, most)


# -- figures by hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "balance", "allocation", "high_water", "free", "sweep"),
    [
        (FLASH, 1_100, 1_000, 0, 1_100, (100, 0)),
        (FLASH, 1_001, 1_000, 0, 1_001, (1, 0)),
        (FLASH, 1_000, 1_000, 0, 1_000, (0, 0)),
        (FLASH, 900, 1_000, 0, 900, (0, 0)),  # a loss is restored first
        (FLASH, 1_100, 1_000, 0, 40, (40, 0)),  # no more than is free
        (FLASH, 1_100, 1_000, 0, 0, (0, 0)),
        (FLASH, 1_100, 1_000, 0, -5, (0, 0)),
        (QUIET, 5_000, 1_000, 0, 5_000, (0, 0)),  # keeps all
        (HALF, 1_100, 1_000, 0, 1_100, (50, 50)),
        (HALF, 1_050, 1_000, 50, 1_050, (0, 0)),  # kept profit was shared
        (HALF, 1_090, 1_000, 50, 1_090, (20, 20)),
        (HALF, 1_001, 1_000, 0, 1_001, (0, 0)),  # half a unit is none
        (HALF, 1_003, 1_000, 0, 1_003, (1, 1)),
        (HALF, 1_100, 1_000, 0, 10, (10, 10)),
        (HALF.at_most("20"), 1_100, 1_000, 0, 1_100, (20, 20)),
        (ProfitPolicy.above_high_water("10%"), 1_100, 1_000, 0, 1_100, (10, 90)),
        (FLASH.at_least("10"), 1_009, 1_000, 0, 1_009, (0, 0)),
        (FLASH.at_least("10"), 1_010, 1_000, 0, 1_010, (10, 0)),
        (FLASH.at_least("10"), 1_010, 1_000, 0, 9, (0, 0)),
        (FLASH.at_most("10"), 1_010, 1_000, 0, 1_010, (10, 0)),
        (FLASH.at_most("10"), 1_011, 1_000, 0, 1_011, (10, 0)),
        (HALF.at_least("10"), 1_019, 1_000, 0, 1_019, (0, 0)),
        (HALF.at_least("10"), 1_020, 1_000, 0, 1_020, (10, 10)),
    ],
)
def test_what_is_swept_and_what_is_kept(policy, balance, allocation, high_water, free, sweep):
    assert policy.sweep(balance, allocation, high_water, free, CENT) == Sweep(*sweep)


def test_a_flash_sleeve_restores_its_allocation_after_a_loss_before_it_returns_anything():
    balance, returned = 1_000, []
    for profit in (50, -80, 30, 49, 11, -5, 5, 7):
        balance += profit
        units, _ = FLASH.sweep(balance, 1_000, 0, balance, CENT)
        balance -= units
        returned.append(units)
    assert returned == [50, 0, 0, 0, 10, 0, 0, 7]


def test_floor_and_cap_are_coins_of_the_asset():
    policy = FLASH.at_least("10").at_most("500")
    assert policy.sweep(USD("1009.999999").units, USD("1000").units, 0, USD("1009.999999").units, USD) == (0, 0)
    assert policy.sweep(USD("1010").units, USD("1000").units, 0, USD("1010").units, USD) == (USD("10").units, 0)
    assert policy.sweep(USD("9000").units, USD("1000").units, 0, USD("9000").units, USD) == (USD("500").units, 0)


@pytest.mark.parametrize(
    ("policy", "balance", "allocation", "free", "swept"),
    [
        (FLASH, "1100", "1000", None, "100"),
        (FLASH, "1100", "1000", "30", "30"),
        (FLASH, "900", "1000", None, "0"),
        (HALF, "1100", "1000", None, "50"),
        (QUIET, "1100", "1000", None, "0"),
    ],
)
def test_a_policy_can_be_previewed_in_coins(policy, balance, allocation, free, swept):
    assert policy.preview(balance, allocation, free=free, asset=USD) == USD(swept)


# -- laws --------------------------------------------------------------------------------------------------------------


@law
@given(policies(), moneys, moneys, moneys, moneys)
def test_a_sweep_stays_within_profit_free_money_floor_and_cap(policy, balance, allocation, high_water, free):
    units, kept = policy.sweep(balance, allocation, high_water, free, CENT)
    profit = balance - allocation - (high_water if policy.high_water else 0)
    assert units >= 0
    assert kept >= 0
    assert units <= max(0, Fraction(max(0, profit) * policy.share_ppm, PPM))
    assert units <= free
    assert policy.most is None or units <= int(policy.most)
    assert units == 0 or policy.least is None or units >= int(policy.least)
    assert units + kept <= max(0, profit)
    if not units:
        assert kept == 0


@law
@given(shares, moneys, moneys)
def test_a_share_takes_all_that_it_may_when_nothing_stands_in_its_way(share_ppm, profit, allocation):
    units, kept = policy_of(share_ppm).sweep(allocation + profit, allocation, 0, allocation + profit, CENT)
    assert units == profit * share_ppm // PPM
    part = Fraction(share_ppm, PPM)
    assert units <= part * (units + kept) < units + part or share_ppm == PPM


history = st.lists(st.tuples(st.integers(-(10**6), 10**6), st.one_of(st.none(), st.integers(0, 10**6))), max_size=25)


@law
@given(policies(), st.integers(0, 10**6), history)
def test_no_profit_is_ever_shared_twice(policy, allocation, events):
    """Whatever comes, all that was swept is at most the share of the highest profit that was ever there."""
    balance, high_water, swept, peak = allocation, 0, 0, 0
    for profit, free in events:
        balance += profit
        peak = max(peak, balance + swept - allocation)
        units, kept = policy.sweep(balance, allocation, high_water, balance if free is None else free, CENT)
        balance, high_water, swept = balance - units, high_water + kept, swept + units
        assert swept * PPM <= policy.share_ppm * peak
        assert balance >= allocation or units == 0


@law
@given(shares, st.integers(0, 10**6), st.lists(st.integers(-(10**6), 10**6), max_size=25))
def test_a_share_above_its_high_water_is_the_share_of_each_new_high(share_ppm, allocation, profits):
    """Without floor, cap or want of free money: within a unit per sweep of the share of the highest profit."""
    policy = policy_of(share_ppm)
    balance, high_water, swept, peak, sweeps = allocation, 0, 0, 0, 0
    for profit in profits:
        balance += profit
        peak = max(peak, balance + swept - allocation)
        units, kept = policy.sweep(balance, allocation, high_water, balance, CENT)
        balance, high_water, swept, sweeps = balance - units, high_water + kept, swept + units, sweeps + bool(units)
        due = Fraction(peak * share_ppm, PPM)
        assert due - sweeps - 1 < swept <= due


@law
@given(policies(), moneys, moneys, moneys)
def test_sweeping_again_at_once_takes_only_what_cap_or_free_money_held_back(policy, balance, allocation, free):
    units, kept = policy.sweep(balance, allocation, 0, free, CENT)
    again, _ = policy.sweep(balance - units, allocation, kept, free - units, CENT)
    held_back = units == free or (policy.most is not None and units == int(policy.most))
    assert again == 0 or held_back


@law
@given(moneys, moneys, moneys, moneys)
def test_quiet_sweeps_nothing_ever(balance, allocation, high_water, free):
    assert QUIET.sweep(balance, allocation, high_water, free, CENT) == (0, 0)


# -- building a policy -------------------------------------------------------------------------------------------------


def test_the_ready_made_policies():
    assert (FLASH.name, FLASH.share_ppm, FLASH.high_water) == ("flash", PPM, False)
    assert (QUIET.name, QUIET.share_ppm, QUIET.high_water) == ("quiet", 0, False)
    assert ProfitPolicy.above_high_water("50%") == FLASH.share("50%")


@pytest.mark.parametrize(
    ("share", "parts", "marked"), [("0%", 0, False), ("0.0001%", 1, True), ("50%", 500_000, True), ("100%", PPM, False)]
)
def test_a_share_below_all_and_above_nothing_keeps_a_high_water_mark(share, parts, marked):
    policy = FLASH.share(share)
    assert (policy.share_ppm, policy.high_water, policy.name) == (parts, marked, "custom")


@pytest.mark.parametrize("share", ["-0.0001%", "100.0001%", "1.000001", "nan", "", 0.5, 50, None, True])
def test_a_share_is_between_nothing_and_all(share):
    with pytest.raises(InvalidAmount):
        FLASH.share(share)


def test_refining_a_policy_leaves_the_one_it_came_from():
    FLASH.share("50%").at_least("10").at_most("500")
    assert ProfitPolicy.sweep_on_close() == FLASH
    assert FLASH.at_least("10").at_most("500") == FLASH.at_most("500").at_least("10")


@pytest.mark.parametrize(
    ("least", "most"), [(None, None), ("0.000001", None), (None, "0.000001"), ("10", "10"), ("10", "500"), (USD("10"), USD("500"))]
)
def test_floor_and_cap_that_fit_the_asset(least, most):
    policy = FLASH if least is None else FLASH.at_least(least)
    (policy if most is None else policy.at_most(most)).check(USD)


@pytest.mark.parametrize(
    ("least", "most"),
    [
        ("0", None),
        ("-1", None),
        (None, "0"),
        (None, "-1"),
        ("10", "9.999999"),
        ("0.0000001", None),
        ("nan", None),
        (None, "inf"),
        ("ten", None),
    ],
)
def test_floor_and_cap_that_cannot_be_are_refused(least, most):
    policy = FLASH if least is None else FLASH.at_least(least)
    policy = policy if most is None else policy.at_most(most)
    with pytest.raises(InvalidAmount):
        policy.check(USD)


@pytest.mark.parametrize("share_ppm", [-1, PPM + 1, 2 * PPM, 0.5, float("nan"), "50%", None], ids=repr)
def test_a_policy_that_would_sweep_more_than_its_profit_cannot_be_used(share_ppm):
    """However it was built: `check` runs before a sleeve gets its policy."""
    with pytest.raises((InvalidAmount, TypeError)):
        ProfitPolicy("mine", share_ppm).check(USD)


# -- reserve -----------------------------------------------------------------------------------------------------------

FLEX = Reserve.flex("5%", "20%", calm="40%", wild="120%")


@pytest.mark.parametrize(
    ("volatility_ppm", "part"),
    [  # by hand: 15% over 80% of volatility, so 1,875 millionths per percent, rounded up
        (None, 200_000),
        (0, 50_000),
        (400_000, 50_000),
        (400_001, 50_001),
        (800_000, 125_000),
        (1_199_999, 200_000),
        (1_200_000, 200_000),
        (9_000_000, 200_000),
    ],
)
def test_a_flexing_reserve_follows_volatility(volatility_ppm, part):
    assert FLEX.part(volatility_ppm) == part


@pytest.mark.parametrize(
    ("part", "total", "target"),
    [
        ("10%", 1_000, 100),
        ("10%", 1_001, 101),
        ("10%", 1, 1),
        ("10%", 0, 0),
        ("10%", -50, 0),
        ("0%", 1_000, 0),
        ("100%", 7, 7),
        ("0.0001%", 1, 1),
    ],
)
def test_a_fixed_reserve_is_its_part_rounded_up(part, total, target):
    assert Reserve.fixed(part).target(total) == target
    assert Reserve.fixed(part).target(total, 5_000_000) == target
    assert not Reserve.fixed(part).flexes


@st.composite
def reserves(draw):
    low = draw(st.integers(0, PPM))
    high = draw(st.integers(low, PPM))
    calm = draw(st.integers(0, 10**6))
    return Reserve(low, high, calm, draw(st.integers(calm + 1, 2 * 10**6)))


@law
@given(reserves(), st.integers(0, 3 * 10**6), st.integers(0, 3 * 10**6))
def test_a_reserve_never_falls_as_volatility_rises_and_stays_in_its_band(reserve, one, other):
    calm, wild = sorted((one, other))
    assert reserve.low_ppm <= reserve.part(calm) <= reserve.part(wild) <= reserve.high_ppm
    assert reserve.part(reserve.calm_ppm) == reserve.low_ppm
    assert reserve.part(reserve.wild_ppm) == reserve.part(None) == reserve.high_ppm


@law
@given(reserves(), st.integers(0, 10**18), st.integers(0, 3 * 10**6))
def test_a_reserve_is_the_straight_line_rounded_up_and_never_more_than_there_is(reserve, total, volatility):
    rise = min(Fraction(1), max(Fraction(0), Fraction(volatility - reserve.calm_ppm, reserve.wild_ppm - reserve.calm_ppm)))
    part = ceil(reserve.low_ppm + (reserve.high_ppm - reserve.low_ppm) * rise)
    assert reserve.part(volatility) == part
    assert reserve.target(total, volatility) == ceil(Fraction(total * part, PPM)) <= total


@pytest.mark.parametrize("band", [("-1%", "5%"), ("5%", "4%"), ("5%", "100.0001%"), ("nan", "5%")])
def test_a_band_that_cannot_be_is_refused(band):
    with pytest.raises(InvalidAmount):
        Reserve.flex(*band)


@pytest.mark.parametrize("swing", [("40%", "40%"), ("41%", "40%"), ("-1%", "40%")])
def test_volatility_that_cannot_be_is_refused(swing):
    with pytest.raises(InvalidAmount):
        Reserve.flex("5%", "20%", calm=swing[0], wild=swing[1])


@pytest.mark.parametrize("part", ["-0.0001%", "100.0001%", "", 0.1, 10, None])
def test_a_fixed_part_is_between_nothing_and_all(part):
    with pytest.raises(InvalidAmount):
        Reserve.fixed(part)


@pytest.mark.parametrize(
    ("reserve", "text"),
    [
        (Reserve.fixed("10%"), "10%"),
        (Reserve.fixed("0.0001%"), "0.0001%"),
        (Reserve.fixed("12.3456%"), "12.3456%"),
        (FLEX, "5% to 20% as volatility goes from 40% to 120%"),
    ],
)
def test_a_reserve_says_its_part(reserve, text):
    assert str(reserve) == text
    assert Reserve.parse(text) == reserve
