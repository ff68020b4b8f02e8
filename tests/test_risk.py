"""Figures of risk and performance: each against a number worked out by hand, and blind to money that comes and goes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.risk import DAYS_A_YEAR, drawdown, realized_volatility, returns, sharpe, sortino
from strategies import law

equity = st.floats(1.0, 1e9)
rates = st.floats(-0.5, 1.0)


def compounded(values, paid_in, taken_out):
    return math.prod(1 + r for r in returns(values, paid_in, taken_out))


def close_to(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


# -- returns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "paid_in", "taken_out", "expected"),
    [  # by hand
        ([], [], [], []),
        ([100], [0], [0], []),
        ([100, 110], [0, 0], [0, 0], [0.10]),
        ([100, 110, 99], [0, 0, 0], [0, 0, 0], [0.10, -0.10]),
        ([100, 160], [0, 60], [0, 0], [0.0]),  # 60 came in, nothing was made
        ([100, 40], [0, 0], [0, 60], [0.0]),  # 60 went out, nothing was lost
        ([100, 220], [0, 100], [0, 0], [0.10]),  # 200 at work from the start made 20
        ([100, 60], [0, 0], [0, 50], [0.10]),  # 10 made, then 50 taken
        ([100, 150], [0, 50], [0, 30], [0.20]),  # 150 at work made 30, then 30 taken
        ([0, 100], [0, 100], [0, 0], [0.0]),
        ([0, 0], [0, 0], [0, 0], [0.0]),  # a period that starts with nothing
        ([0, 120], [0, 100], [0, 0], [0.20]),
        ([100, 0], [0, 0], [0, 0], [-1.0]),
        ([100, 100], [500, 0], [500, 0], [0.0]),  # flows before the first value are in it
    ],
)
def test_the_return_of_a_period(values, paid_in, taken_out, expected):
    assert returns(values, paid_in, taken_out) == close_to(expected)


@law
@given(equity, st.lists(st.tuples(rates, st.floats(0, 1e6), st.floats(0, 0.9)), min_size=1, max_size=10))
def test_returns_are_what_was_earned_whatever_was_paid_in_or_taken_out(start, periods):
    """Money paid in at a period's start and taken out at its end is never taken for profit or loss."""
    values, paid_in, taken_out = [start], [0.0], [0.0]
    for rate, deposit, part_taken in periods:
        grown = (values[-1] + deposit) * (1 + rate)
        taken = grown * part_taken
        values.append(grown - taken)
        paid_in.append(deposit)
        taken_out.append(taken)
    earned = [rate for rate, _, _ in periods]
    assert returns(values, paid_in, taken_out) == pytest.approx(earned, rel=1e-6, abs=1e-6)


@law
@given(equity, st.lists(rates, max_size=10), st.data())
def test_a_deposit_or_withdrawal_anywhere_does_not_change_the_compounded_return(start, earned, data):
    """A moment is inserted in which equity moves by exactly what came or went; all later equity is scaled by it."""
    values = [start]
    for rate in earned:
        values.append(values[-1] * (1 + rate))
    nothing = [0.0] * len(values)
    at = data.draw(st.integers(0, len(values) - 1))
    flow = data.draw(st.one_of(st.floats(0, 1e9), st.floats(-0.99, 0).map(lambda part: part * values[at])))
    scale = (values[at] + flow) / values[at]
    with_flow = [*values[: at + 1], values[at] + flow, *(value * scale for value in values[at + 1 :])]
    paid_in, taken_out = [0.0] * len(with_flow), [0.0] * len(with_flow)
    paid_in[at + 1], taken_out[at + 1] = max(0.0, flow), max(0.0, -flow)
    assert compounded(with_flow, paid_in, taken_out) == pytest.approx(compounded(values, nothing, nothing), rel=1e-6)


# -- sharpe and sortino ------------------------------------------------------------------------------------------------


def test_a_year_has_365_days():
    assert DAYS_A_YEAR == 365


@pytest.mark.parametrize(
    ("daily", "ratio"),
    [
        ([0.01, 0.03], 2**0.5),  # mean 0.02, deviation 0.01 x root 2
        ([0.03, 0.01], 2**0.5),
        ([-0.01, -0.03], -(2**0.5)),
        ([0.01, -0.01], 0.0),
        ([0.01, 0.02, 0.03], 2.0),  # mean 0.02, deviation 0.01
        ([0.0, 0.0, 0.03], 3**-0.5),  # mean 0.01, deviation root of 0.0003
    ],
)
def test_sharpe_is_mean_over_deviation_times_the_root_of_a_year(daily, ratio):
    assert sharpe(daily) == close_to(ratio * 365**0.5)


def test_sharpe_as_a_number():
    assert sharpe([0.01, 0.03]) == pytest.approx(27.018512, abs=1e-6)  # root of 730


@pytest.mark.parametrize("daily", [[], [0.01], [0.0, 0.0], [0.5] * 4, [0.1] * 3, [0.7] * 3, [0.01] * 365, [-0.013] * 11, [1 / 3] * 7])
def test_sharpe_is_unknown_without_two_days_or_without_any_deviation(daily):
    assert sharpe(daily) is None


@pytest.mark.parametrize(
    ("daily", "ratio"),
    [
        ([0.02, -0.01], 0.5**0.5),  # mean 0.005 over root of 0.0001 / 2
        ([-0.01, -0.01], -1.0),
        ([0.01, -0.01], 0.0),
        ([0.03, 0.03, -0.03, 0.01], 2 / 3),  # mean 0.01 over root of 0.0009 / 4, which is 0.015
    ],
)
def test_sortino_is_mean_over_the_downside_of_all_days(daily, ratio):
    assert sortino(daily) == close_to(ratio * 365**0.5)


@pytest.mark.parametrize("daily", [[], [-0.01], [0.0, 0.0], [0.01, 0.02], [0.1] * 3])
def test_sortino_is_unknown_without_two_days_or_without_a_losing_day(daily):
    assert sortino(daily) is None


@law
@given(st.lists(st.integers(-500_000, 500_000).map(lambda ppm: ppm / 1e6), min_size=2, max_size=20), st.floats(0.1, 10))
def test_ratios_do_not_change_with_the_size_of_the_bet(daily, scale):
    for ratio in (sharpe, sortino):
        one, other = ratio(daily), ratio([scale * r for r in daily])
        if one is not None and other is not None and abs(one) < 1e6:
            assert other == pytest.approx(one, rel=1e-3, abs=1e-3)


# -- drawdown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fall"),
    [
        ([], 0.0),
        ([100], 0.0),
        ([100, 110, 120], 0.0),
        ([100, 50], 0.5),
        ([100, 50, 200, 150], 0.5),
        ([100, 90, 200, 100], 0.5),
        ([100, 80, 90, 72, 130], 0.28),
        ([100, 0], 1.0),
        ([0, 0], 0.0),
        ([0, 100, 75], 0.25),
    ],
)
def test_the_deepest_fall_from_a_previous_high(values, fall):
    assert drawdown(values) == close_to(fall)


@law
@given(st.lists(st.floats(1.0, 1e9), max_size=20))
def test_drawdown_is_the_worst_of_all_pairs_of_a_high_and_what_came_after(values):
    falls = [(high - low) / high for i, high in enumerate(values) for low in values[i:]]
    assert drawdown(values) == close_to(max([0.0, *falls]))
    assert 0 <= drawdown(values) <= 1


# -- volatility --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "seconds", "volatility"),
    [
        ([100, 110, 100], 86_400, math.log(1.1) * 730**0.5),  # two log returns of +l and -l deviate by l x root 2
        ([100, 110, 100], 3_600, math.log(1.1) * (2 * 365 * 24) ** 0.5),
        ([100, 100, 100], 86_400, 0.0),
        ([100, 200, 400], 86_400, 0.0),
    ],
)
def test_volatility_is_the_deviation_of_log_returns_over_a_year(prices, seconds, volatility):
    assert realized_volatility(prices, seconds) == close_to(volatility)


@pytest.mark.parametrize(
    ("prices", "seconds"),
    [([], 60), ([100], 60), ([100, 110], 60), ([100, 0, 100], 60), ([100, -1, 100], 60), ([100, 110, 100], 0), ([100, 110, 100], -1)],
)
def test_volatility_is_unknown_without_three_positive_prices_a_time_apart(prices, seconds):
    assert realized_volatility(prices, seconds) is None
