"""Figures of risk and performance: each against a number worked out by hand, and blind to money that comes and goes."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount
from sleeves.risk import (
    DAYS_A_YEAR,
    Method,
    Tier,
    backtest,
    beta,
    by_risk,
    compound,
    concentration,
    contributions,
    correlation,
    correlations,
    covariance,
    drawdown,
    drawdowns,
    expected_shortfall,
    into_bands,
    kelly,
    kelly_of_returns,
    kupiec,
    left_of,
    limit_of,
    profit_factor,
    realized_volatility,
    returns,
    returns_needed,
    risk_parity,
    sharpe,
    sortino,
    tier,
    to_volatility,
    value_at_risk,
    volatility,
    volatility_of,
    win_rate,
)
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


# -- numbers that are none ---------------------------------------------------------------------------------------------

NO_NUMBERS = [math.nan, math.inf, -math.inf, "0.01", b"1", True, 1j, Decimal("0.1"), [0.1], 10**400]


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=lambda one: repr(one)[:12])
@pytest.mark.parametrize(
    "ask",
    [
        lambda bad: compound([0.1, bad]),
        lambda bad: sharpe([0.1, 0.2, bad]),
        lambda bad: sortino([0.1, 0.2, bad]),
        lambda bad: volatility([0.1, 0.2, bad]),
        lambda bad: drawdown([1.0, bad]),
        lambda bad: drawdowns([1.0, bad]),
        lambda bad: value_at_risk([*[0.0] * 30, bad]),
        lambda bad: expected_shortfall([*[0.0] * 30, bad]),
        lambda bad: backtest([*[0.0] * 30, bad]),
        lambda bad: win_rate([bad]),
        lambda bad: profit_factor([bad]),
        lambda bad: covariance([[0.1, 0.2, bad], [0.0, 0.0, 0.0]]),
        lambda bad: correlation([0.1, 0.2, bad], [0.1, 0.3, 0.2]),
        lambda bad: beta([0.1, 0.2, 0.3], [0.1, 0.3, bad]),
        lambda bad: contributions([1.0, bad], [[1.0, 0.0], [0.0, 1.0]]),
        lambda bad: volatility_of([1.0, 1.0], [[1.0, bad], [bad, 1.0]]),
        lambda bad: risk_parity([[1.0, bad], [bad, 1.0]]),
        lambda bad: risk_parity([[1.0, 0.0], [0.0, 1.0]], [1.0, bad]),
        lambda bad: risk_parity([[1.0, 0.0], [0.0, 1.0]], tolerance=bad),
        lambda bad: concentration([1.0, bad]),
        lambda bad: kelly(bad, 1.0),
        lambda bad: kelly(0.5, bad),
        lambda bad: kelly(0.5, 1.0, most=bad),
        lambda bad: kelly_of_returns(bad, 1.0),
        lambda bad: kelly_of_returns(0.1, bad),
        lambda bad: to_volatility(bad, 0.5),
        lambda bad: to_volatility(0.5, bad),
        lambda bad: into_bands([bad], [1.0], 0.1),
        lambda bad: into_bands([1.0], [1.0], bad),
        lambda bad: by_risk({"a": bad}),
        lambda bad: by_risk({"a": 1.0}, {"a": bad}),
    ],
)
def test_what_is_no_finite_number_is_refused_and_named(ask, bad):
    with pytest.raises(InvalidAmount, match="number"):
        ask(bad)


@pytest.mark.parametrize("bad", ["0.01,0.02", None, 5, {"a": 1.0}])
@pytest.mark.parametrize("ask", [sharpe, volatility, drawdowns, value_at_risk, concentration, win_rate, compound])
def test_what_is_no_list_is_refused(ask, bad):
    with pytest.raises(InvalidAmount, match="list of numbers"):
        ask(bad)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: returns([1, 2], [0], [0, 0]),
        lambda: correlation([0.1, 0.2], [0.1]),
        lambda: beta([0.1], [0.1, 0.2]),
        lambda: covariance([[0.1, 0.2], [0.1]]),
        lambda: contributions([1.0], [[1.0, 0.0], [0.0, 1.0]]),
        lambda: risk_parity([[1.0]], [1.0, 2.0]),
        lambda: into_bands([1.0], [0.5, 0.5], 0.1),
        lambda: drawdowns([1.0, 2.0], [1]),
    ],
)
def test_lists_of_two_lengths_are_refused(ask):
    with pytest.raises(InvalidAmount, match="one length"):
        ask()


def test_arrays_are_lists_of_numbers_too():
    numpy = pytest.importorskip("numpy")
    daily = numpy.array([0.01, -0.02, 0.03] * 10)
    assert value_at_risk(daily) == value_at_risk(list(map(float, daily)))
    assert correlation(daily, -daily) == close_to(-1)
    assert concentration(numpy.array([3, 1])) == close_to(0.625)


# -- value at risk -----------------------------------------------------------------------------------------------------


def exact_value_at_risk(sample, per_mille):
    """The smallest loss that is exceeded in at most so many of a thousand cases, found by looking at each, in fractions."""
    levels = sorted(Fraction(one) for one in sample)
    allowed = Fraction(1000 - per_mille, 1000) * len(levels)
    return min(0, max(level for level in levels if sum(other < level for other in levels) <= allowed))


def exact_shortfall(sample, per_mille):
    """The mean of the worst part of the sample, the last of it counted in part."""
    weight = left = Fraction(1000 - per_mille, 1000) * len(sample)
    total = Fraction(0)
    for level in sorted(Fraction(one) for one in sample):
        part = min(Fraction(1), left)
        total, left = total + part * level, left - part
    return total / weight


@pytest.mark.parametrize(
    ("confidence", "n", "loss"),
    [  # of the returns -1%, -2%, ... -n%
        ("95%", 20, -0.19),  # one of twenty was worse
        ("95%", 39, -0.38),  # 5% of 39 is not two
        ("95%", 40, -0.38),
        ("95%", 100, -0.95),
        ("99%", 100, -0.99),
        ("90%", 10, -0.09),  # ten times one tenth is one, though not in floats
        ("0.9", 10, -0.09),
        ("50%", 2, -0.01),
    ],
)
def test_value_at_risk_leaves_just_so_many_days_beyond_it(confidence, n, loss):
    daily = [-i / 100 for i in range(1, n + 1)]
    found = value_at_risk(daily, confidence=confidence)
    assert found.loss == close_to(loss)
    assert (found.days, found.windows, found.independent, found.method) == (1, n, n, Method.OVERLAPPING)


@pytest.mark.parametrize(
    ("confidence", "need"), [("95%", 20), ("99%", 100), ("90%", 10), ("99.9%", 1000), ("97.5%", 40), ("50%", 2), ("66%", 3)]
)
def test_value_at_risk_needs_enough_days_to_leave_one_beyond_it(confidence, need):
    assert returns_needed(confidence) == need
    assert value_at_risk([-0.01] * (need - 1), confidence=confidence) is None
    assert expected_shortfall([-0.01] * (need - 1), confidence=confidence) is None
    assert value_at_risk([-0.01] * need, confidence=confidence).loss == -0.01


@pytest.mark.parametrize("confidence", [0.95, 95, "100%", "49.9999%", "-1%", "nan", None, "five"])
def test_a_confidence_is_text_from_half_to_below_all(confidence):
    with pytest.raises(InvalidAmount):
        value_at_risk([0.0] * 30, confidence=confidence)


@pytest.mark.parametrize("days", [0, -1, 1.0, True, "7", None])
def test_days_are_whole_and_above_zero(days):
    with pytest.raises(InvalidAmount, match="days"):
        value_at_risk([0.0] * 30, days)


samples = st.lists(st.integers(-900_000, 2_000_000).map(lambda ppm: ppm / 1e6), min_size=20, max_size=60)


@law
@given(samples, st.sampled_from([900, 950]))
def test_q05_value_at_risk_is_no_gain_and_within_the_worst_that_has_been(daily, per_mille):
    found = value_at_risk(daily, confidence=f"{per_mille / 10}%")
    assert min(0.0, *daily) <= found.shortfall <= found.loss <= 0
    assert found.loss == close_to(float(exact_value_at_risk(daily, per_mille)))
    assert found.shortfall == close_to(float(min(exact_value_at_risk(daily, per_mille), exact_shortfall(daily, per_mille))))
    assert expected_shortfall(daily, confidence=f"{per_mille / 10}%") == found.shortfall


@law
@given(samples, st.integers(2, 7))
def test_q05_over_several_days_real_returns_are_taken_where_there_are_enough_and_it_is_said(daily, days):
    found = value_at_risk(daily, days)
    windows = [math.prod(1 + one for one in daily[i : i + days]) - 1 for i in range(len(daily) - days + 1)]
    if len(windows) >= 20:
        assert (found.method, found.windows, found.independent) == (Method.OVERLAPPING, len(windows), len(daily) // days)
        assert found.loss == close_to(float(exact_value_at_risk(windows, 950)))
        assert min(0.0, *windows) <= found.shortfall <= found.loss <= 0
    else:
        one = value_at_risk(daily)
        assert (found.method, found.windows) == (Method.ROOT_OF_TIME, len(daily))
        assert math.log1p(found.loss) == close_to(math.log1p(one.loss) * days**0.5)
        assert -1 < found.loss <= 0


def test_losses_that_hang_together_are_seen_over_seven_days_and_not_by_the_root_of_time():
    daily = ([-0.02] * 7 + [0.02] * 7) * 10
    seven = value_at_risk(daily, 7)
    assert seven.loss == close_to(0.98**7 - 1)  # a week of losses, seven of them in a row
    guessed = math.expm1(math.log(0.98) * 7**0.5)
    assert seven.loss < guessed < value_at_risk(daily, 1).loss < 0


@pytest.mark.parametrize(("known", "method"), [(25, Method.ROOT_OF_TIME), (26, Method.OVERLAPPING)])
def test_the_seventh_day_takes_six_more(known, method):
    assert value_at_risk([0.01, -0.01] * 13 if known == 26 else [0.01, -0.01] * 12 + [0.01], 7).method is method


def test_windows_do_not_reach_over_a_day_that_is_not_known():
    daily = [*[-0.01] * 22, None, *[-0.01] * 22]
    found = value_at_risk(daily, 7)
    assert (found.windows, found.independent) == (32, 6)  # 16 on each side, 3 of them apart
    assert value_at_risk(daily).windows == 44
    assert value_at_risk([None if i % 6 == 5 else -0.01 for i in range(60)], 7).method is Method.ROOT_OF_TIME
    assert value_at_risk([None] * 100) is None


def test_nobody_loses_more_than_all_by_the_root_of_time():
    assert -1 < value_at_risk([-0.9] * 20, 7).loss < -0.99
    assert value_at_risk([-1.0] * 20, 7).loss == -1
    assert value_at_risk([0.01] * 20, 7).loss == 0


# -- was it right? -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaches", "days", "confidence", "statistic", "rejected"),
    [  # worked out apart, in decimals of 50 places
        (10, 100, "95%", 4.1309, True),  # the origin had -4.13 here, and found the model acceptable
        (5, 100, "95%", 0.0, False),
        (0, 100, "95%", 10.2587, True),
        (1, 250, "99%", 1.1765, False),
        (7, 255, "99%", 5.3163, True),
        (100, 100, "95%", 599.1465, True),
    ],
)
def test_kupiec_tells_a_value_at_risk_that_is_broken_too_often_or_too_seldom(breaches, days, confidence, statistic, rejected):
    found = kupiec(breaches, days, confidence)
    assert found.statistic == pytest.approx(statistic, abs=1e-3)
    assert found.rejected is rejected is (found.statistic > 3.8415)
    p = 1 - Fraction(confidence.removesuffix("%")) / 100
    assert found.expected == close_to(float(p * days))


@law
@given(st.integers(1, 400), st.data())
def test_the_statistic_is_never_below_zero_and_grows_with_the_distance(days, data):
    breaches = data.draw(st.integers(0, days))
    found = kupiec(breaches, days)
    assert found.statistic >= 0 and 0 <= found.p_value <= 1
    if breaches / days > 0.05 and breaches < days:
        assert kupiec(breaches + 1, days).statistic > found.statistic


@pytest.mark.parametrize(("breaches", "days"), [(-1, 10), (11, 10), (1.0, 10), (1, 10.0), (True, 10), (None, 1), (0, -1)])
def test_breaches_are_whole_and_no_more_than_days(breaches, days):
    with pytest.raises(InvalidAmount):
        kupiec(breaches, days)


def test_nothing_is_said_of_no_days():
    assert kupiec(0, 0) is None
    assert backtest([0.01] * 20) is None


@law
@given(st.lists(st.sampled_from([-0.05, -0.02, -0.01, 0.0, 0.01, 0.03]), min_size=21, max_size=80), st.integers(20, 30))
def test_a_backtest_tries_each_day_against_those_before_it(daily, window):
    expected = sum(today < value_at_risk(daily[i : i + window]).loss for i, today in enumerate(daily[window:]))
    found = backtest(daily, window=window)
    assert (None if found is None else (found.breaches, found.days)) == ((expected, len(daily) - window) if len(daily) > window else None)


@pytest.mark.parametrize("window", [19, 0, 20.0, True])
def test_a_window_is_long_enough_for_its_confidence(window):
    with pytest.raises(InvalidAmount, match="window"):
        backtest([0.0] * 50, window=window)


# -- falls and how long they took --------------------------------------------------------------------------------------


def test_a_fall_has_a_depth_a_duration_and_a_time_to_recovery():
    found = drawdowns([100, 120, 90, 60, 90, 120, 110], [0, 1, 2, 5, 6, 9, 12])
    assert (found.deepest, found.current) == (close_to(-0.5), close_to(-10 / 120))
    assert (found.high_at, found.low_at, found.recovered_at, found.duration, found.longest) == (1, 5, 9, 8, 8)
    assert found.to_recovery == 4


def test_a_fall_that_has_not_recovered_lasts_until_now():
    found = drawdowns([100, 50, 80], [0, 10, 30])
    assert (found.deepest, found.current, found.recovered_at, found.to_recovery) == (-0.5, close_to(-0.2), None, None)
    assert (found.duration, found.longest) == (30, 30)


def test_the_longest_fall_need_not_be_the_deepest():
    found = drawdowns([100, 50, 100, 99, 98, 99, 99, 100])
    assert (found.deepest, found.high_at, found.low_at, found.recovered_at, found.duration, found.longest) == (-0.5, 0, 1, 2, 2, 5)


@pytest.mark.parametrize("values", [[1.0], [1, 2, 3], [5, 5, 5], [0, 0], [0, -1], [-3, -5]])
def test_without_a_fall_from_a_high_above_zero_there_is_none(values):
    found = drawdowns(values)
    assert (found.deepest, found.current, found.duration) == (0, 0, 0)


def test_there_is_no_drawdown_of_nothing():
    assert drawdowns([]) is None


@pytest.mark.parametrize("at", [[2, 1], [0.0, 1.0], [True, 2], ["a", "b"]])
def test_times_are_whole_and_in_order(at):
    with pytest.raises(InvalidAmount, match="times"):
        drawdowns([1.0, 2.0], at)


@law
@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 5)), min_size=1, max_size=30))
def test_q07_a_drawdown_is_no_gain_the_present_one_no_deeper_and_no_duration_below_zero(steps):
    values, at = [float(value) for value, _ in steps], list(itertools.accumulate(gap for _, gap in steps))
    found = drawdowns(values, at)
    assert -1 < found.deepest <= found.current <= 0
    assert found.deepest == close_to(-drawdown(values))
    assert found.current == close_to(values[-1] / max(values) - 1)
    assert 0 <= found.duration <= found.longest <= at[-1] - at[0]
    if found.recovered_at is not None:
        assert found.high_at <= found.low_at <= found.recovered_at
        assert found.to_recovery >= 0
    # by hand: from each value to the first that is as high again, or to the end
    spans = []
    for i, value in enumerate(values[:-1]):
        if values[i + 1] < value and value == max(values[: i + 1]):
            back = next((j for j in range(i + 1, len(values)) if values[j] >= value), len(values) - 1)
            spans.append(at[back] - at[i])
    assert found.longest == max(spans, default=0)


# -- ratios and trades -------------------------------------------------------------------------------------------------


@law
@given(st.lists(st.integers(-200_000, 200_000).map(lambda ppm: ppm / 1e6), min_size=2, max_size=40))
def test_q06_sharpe_and_sortino_are_as_they_are_defined(daily):
    numpy = pytest.importorskip("numpy")
    ratio, down = sharpe(daily), sortino(daily)
    if ratio is not None:
        assert ratio == pytest.approx(numpy.mean(daily) / numpy.std(daily, ddof=1) * 365**0.5, rel=1e-6, abs=1e-9)
    lost = numpy.sqrt(numpy.mean(numpy.minimum(daily, 0) ** 2))
    assert (down is None) == (min(daily) >= 0)
    if down is not None:
        assert down == pytest.approx(numpy.mean(daily) / lost * 365**0.5, rel=1e-6, abs=1e-9)


@law
@given(st.lists(st.integers(-1000, 1000), max_size=30))
def test_q20_win_rate_and_profit_factor_are_as_they_are_defined(nets):
    wins, losses = [n for n in nets if n > 0], [n for n in nets if n < 0]
    assert win_rate(nets) == (close_to(len(wins) / len(nets)) if nets else None)
    assert profit_factor(nets) == (close_to(float(Fraction(sum(wins), -sum(losses)))) if losses else None)


@law
@given(st.lists(st.integers(-500_000, 500_000).map(lambda ppm: ppm / 1e6), max_size=40), st.integers(0, 40))
def test_q19_the_return_of_a_period_is_that_of_its_parts_one_after_the_other(daily, cut):
    first, second = daily[:cut], daily[cut:]
    assert 1 + compound(daily) == close_to((1 + compound(first)) * (1 + compound(second)))


# -- how things move ---------------------------------------------------------------------------------------------------

COLUMNS = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-100_000, 100_000).map(lambda ppm: ppm / 1e6), min_size=n, max_size=n), min_size=3, max_size=30
    ).map(lambda rows: [list(column) for column in zip(*rows, strict=True)])
)


def test_a_year_of_volatility_is_the_deviation_of_days_times_the_root_of_365():
    assert volatility([0.01, 0.03]) == close_to(0.01 * 2**0.5 * 365**0.5)
    assert volatility([0.01, None, 0.03, None]) == volatility([0.01, 0.03])
    assert volatility([0.01, 0.01]) == 0
    assert volatility([0.01]) is volatility([]) is volatility([None, 0.01]) is None


@law
@given(COLUMNS)
def test_q08_correlations_are_symmetric_one_with_themselves_and_within_one(columns):
    numpy = pytest.importorskip("numpy")
    named = {str(i): column for i, column in enumerate(columns)}
    found = correlations(named)
    for a, b in itertools.product(named, named):
        assert found[a][b] == found[b][a]
        assert found[a][b] is None or -1 <= found[a][b] <= 1
        assert a != b or found[a][b] == 1
        if a != b and found[a][b] is not None:
            assert found[a][b] == pytest.approx(numpy.corrcoef(named[a], named[b])[0, 1], abs=1e-6)
        assert (found[a][b] is None) == (a != b and (len(set(named[a])) == 1 or len(set(named[b])) == 1))


def test_a_correlation_needs_three_days_in_common_that_vary():
    assert correlation([0.1, 0.2, 0.3], [0.2, 0.4, 0.6]) == close_to(1)
    assert correlation([0.1, 0.2, 0.3], [0.3, 0.2, 0.1]) == close_to(-1)
    assert correlation([0.1, 0.2], [0.2, 0.4]) is None
    assert correlation([0.1, None, 0.3, 0.2], [0.2, 0.4, None, 0.1]) is None
    assert correlation([0.1, 0.1, 0.1], [0.1, 0.2, 0.3]) is None
    assert correlation([0.1, 0.2, 0.3], [0.2, 0.4, 0.6], least=4) is None
    with pytest.raises(InvalidAmount, match="least"):
        correlation([0.1, 0.2, 0.3], [0.2, 0.4, 0.6], least=2)


@law
@given(COLUMNS, st.integers(-3_000, 3_000))
def test_q10_beta_is_finite_and_that_of_the_regression(columns, times):
    of, benchmark = columns[:2]
    found = beta(of, benchmark)
    assert (found is None) == (len(set(benchmark)) == 1)
    if found is not None:
        assert math.isfinite(found)
        n = len(of)
        xs, ys = [Fraction(x) for x in benchmark], [Fraction(y) for y in of]
        top = n * sum(x * y for x, y in zip(xs, ys, strict=True)) - sum(xs) * sum(ys)
        assert found == pytest.approx(float(top / (n * sum(x * x for x in xs) - sum(xs) ** 2)), rel=1e-6, abs=1e-9)
        scaled = beta([times / 1000 * x for x in benchmark], benchmark)
        assert scaled == pytest.approx(times / 1000, abs=1e-9)


def test_beta_is_unknown_without_enough_days_or_a_benchmark_that_moves():
    assert beta([0.1, 0.2], [0.1, 0.2]) is None
    assert beta([0.1, 0.2, 0.3], [0.1, 0.1, 0.1]) is None
    assert beta([0.1, 0.1, 0.1], [0.1, 0.2, 0.3]) == close_to(0)


@law
@given(COLUMNS, st.data())
def test_q09_contributions_to_volatility_sum_to_that_of_the_whole(columns, data):
    numpy = pytest.importorskip("numpy")
    weights = data.draw(st.lists(st.integers(-300, 300).map(lambda w: w / 100), min_size=len(columns), max_size=len(columns)))
    linked = covariance(columns)
    assert numpy.allclose(linked, numpy.cov(columns), atol=1e-12)
    whole, parts = volatility_of(weights, linked), contributions(weights, linked)
    assert math.fsum(parts) == pytest.approx(whole, rel=1e-6, abs=1e-9)
    together = [math.fsum(w * column[i] for w, column in zip(weights, columns, strict=True)) for i in range(len(columns[0]))]
    assert whole == pytest.approx(float(numpy.std(together, ddof=1)), rel=1e-6, abs=1e-8)


def test_a_hedge_takes_from_the_volatility_of_the_whole():
    parts = contributions([1.0, -0.5], [[0.04, 0.04], [0.04, 0.04]])
    assert parts == close_to([0.2, -0.1])
    assert contributions([1.0, -1.0], [[0.04, 0.04], [0.04, 0.04]]) == [0.0, 0.0]
    assert contributions([], []) == []


@pytest.mark.parametrize(
    "matrix",
    [[[1.0, 0.5], [0.4, 1.0]], [[1.0, 0.5]], [[-1.0]], [[1.0], [1.0]], [[0.0, 1.0], [1.0, 0.0]], [1.0], "ab"],
    ids=["not symmetric", "not square", "below zero", "narrow", "more than its variances", "flat", "text"],
)
def test_what_is_no_covariance_is_refused(matrix):
    with pytest.raises(InvalidAmount):
        contributions([1.0] * len(matrix), matrix)


def test_a_sum_whose_variance_would_be_below_zero_is_refused():
    with pytest.raises(InvalidAmount, match="below zero"):
        volatility_of([1.0] * 3, [[1.0, -0.9, -0.9], [-0.9, 1.0, -0.9], [-0.9, -0.9, 1.0]])


def test_a_covariance_is_over_the_days_that_all_know():
    assert covariance([[0.1, None, 0.3, 0.2], [0.2, 0.4, None, 0.4]]) == [close_to([0.005, 0.01]), close_to([0.01, 0.02])]
    assert covariance([[0.1, None], [0.2, 0.4]]) is None
    assert covariance([[0.1, 0.2], [0.2, 0.4]], least=3) is None


@law
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20))
def test_concentration_is_between_that_of_all_alike_and_all_in_one(values):
    found = concentration(values)
    sizes = [abs(value) for value in values]
    if not any(sizes):
        assert found is None
    else:
        assert found == close_to(float(sum(Fraction(size, sum(sizes)) ** 2 for size in sizes)))
        assert 1 / len(values) - 1e-9 <= found <= 1 + 1e-9


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("win", "payoff", "most", "part"),
    [  # by hand: p - (1 - p) / b
        (0.6, 1.0, 1.0, 0.2),
        (0.5, 2.0, 1.0, 0.25),
        (0.5, 1.0, 1.0, 0.0),
        (0.4, 1.0, 1.0, 0.0),  # a bet that loses is not made, nor turned
        (1.0, 0.1, 1.0, 1.0),
        (0.0, 9.0, 1.0, 0.0),
        (0.6, 1.0, 0.1, 0.1),  # capped
        (0.6, 1.0, 0.2, 0.2),
    ],
)
def test_kelly_bets_what_grows_fastest_and_no_more_than_the_cap(win, payoff, most, part):
    assert kelly(win, payoff, most) == close_to(part)


@law
@given(st.integers(1, 99), st.integers(1, 500))
def test_no_other_part_grows_faster(win, payoff):
    p, b = win / 100, payoff / 100
    part = kelly(p, b)

    def growth(f):
        return p * math.log1p(b * f) + (1 - p) * math.log1p(-f)

    for other in (0.0, 0.1, 0.3, 0.5, 0.9, part + 0.01, max(0.0, part - 0.01)):
        if other < 1:
            assert growth(other) <= growth(part) + 1e-12


@pytest.mark.parametrize(("win", "payoff", "most"), [(1.01, 1, 1), (-0.01, 1, 1), (0.5, 0, 1), (0.5, -1, 1), (0.5, 1, 0), (0.5, 1, -1)])
def test_kelly_refuses_what_is_no_bet(win, payoff, most):
    with pytest.raises(InvalidAmount):
        kelly(win, payoff, most)


def test_kelly_of_returns_is_their_mean_over_their_variance():
    assert kelly_of_returns(0.001, 0.0025) == close_to(0.4)
    assert kelly_of_returns(0.001, 0.0025, most=0.25) == 0.25
    assert kelly_of_returns(-0.001, 0.0025) == 0
    assert kelly_of_returns(0.001, 0.0) is None
    with pytest.raises(InvalidAmount, match="variance"):
        kelly_of_returns(0.001, -0.1)


@law
@given(st.integers(0, 200), st.integers(0, 400), st.integers(1, 300))
def test_q21_what_is_sized_to_a_target_is_within_it(target, has, most):
    part = to_volatility(target / 100, has / 100, most / 100)
    assert part * has / 100 <= target / 100 * (1 + 1e-12)
    assert 0 <= part <= most / 100
    assert part == most / 100 or part * has / 100 == close_to(target / 100)


def test_what_is_not_known_is_not_sized():
    assert to_volatility(0.2, None) is None
    for target, has in ((-0.1, 0.2), (0.1, -0.2)):
        with pytest.raises(InvalidAmount):
            to_volatility(target, has)


@st.composite
def covariances(draw):
    """Covariances of up to five positions: what they have in common, and what each has alone."""
    n = draw(st.integers(1, 5))
    loads = draw(st.lists(st.lists(st.integers(-100, 100), min_size=n, max_size=n), min_size=1, max_size=3))
    own = draw(st.lists(st.integers(5, 100), min_size=n, max_size=n))
    scale = draw(st.sampled_from([1e-8, 1e-4, 1.0]))
    return [[scale * (sum(load[i] * load[j] for load in loads) + (own[i] ** 2 if i == j else 0)) for j in range(n)] for i in range(n)]


@law
@given(covariances())
def test_risk_parity_has_everything_contribute_alike(linked):
    weights = risk_parity(linked)
    assert math.fsum(weights) == close_to(1) and min(weights) > 0
    whole = volatility_of(weights, linked)
    assert contributions(weights, linked) == pytest.approx([whole / len(linked)] * len(linked), rel=1e-6)


@law
@given(covariances(), st.data())
def test_q22_a_risk_budget_is_spent_whole_and_as_it_was_given(linked, data):
    budgets = data.draw(st.lists(st.integers(1, 50), min_size=len(linked), max_size=len(linked)))
    weights = risk_parity(linked, budgets)
    whole = volatility_of(weights, linked)
    parts = contributions(weights, linked)
    assert math.fsum(parts) == close_to(whole)
    assert [part / whole for part in parts] == pytest.approx([one / sum(budgets) for one in budgets], abs=1e-8)


def test_risk_parity_of_what_does_not_move_together_is_by_one_over_deviation():
    assert risk_parity([[0.04, 0.0], [0.0, 0.16]]) == close_to([2 / 3, 1 / 3])
    assert risk_parity([[0.04, 0.02], [0.02, 0.04]]) == close_to([0.5, 0.5])
    assert risk_parity([[9.0]]) == [1.0]


@pytest.mark.parametrize(
    ("linked", "budgets"),
    [
        ([], None),
        ([[0.0]], None),
        ([[1.0, 0.0], [0.0, 0.0]], None),
        ([[1.0]], [0.0]),
        ([[1.0]], [-1.0]),
        ([[1.0, -1.0], [-1.0, 1.0]], None),
    ],
)
def test_risk_parity_refuses_what_has_no_answer(linked, budgets):
    with pytest.raises(InvalidAmount):
        risk_parity(linked, budgets)


@st.composite
def portfolios(draw):
    n = draw(st.integers(1, 6))
    parts = st.lists(st.integers(0, 100), min_size=n, max_size=n).filter(any)
    held, wanted = draw(parts), draw(parts)
    return [one / sum(held) for one in held], [one / sum(wanted) for one in wanted], draw(st.integers(0, 40)) / 100


@law
@given(portfolios())
def test_q23_weights_are_brought_within_their_bands(portfolio):
    weights, targets, band = portfolio
    after = [w + c for w, c in zip(weights, into_bands(weights, targets, band), strict=True)]
    assert math.fsum(after) == close_to(1)
    assert all(abs(w - t) <= band + 1e-9 for w, t in zip(after, targets, strict=True))


@law
@given(portfolios())
def test_q24_with_the_least_total_trade(portfolio):
    """What is beyond its band must be sold, what is short of it bought, and both sides are equal: less cannot do."""
    weights, targets, band = portfolio
    changes = into_bands(weights, targets, band)
    beyond = math.fsum(max(0.0, w - t - band) for w, t in zip(weights, targets, strict=True))
    short = math.fsum(max(0.0, t - band - w) for w, t in zip(weights, targets, strict=True))
    assert math.fsum(map(abs, changes)) == pytest.approx(2 * max(beyond, short), abs=1e-9)


def test_bands_by_hand():
    assert into_bands([0.6, 0.4], [0.5, 0.5], 0.1) == close_to([0, 0])
    assert into_bands([0.65, 0.35], [0.5, 0.5], 0.1) == close_to([-0.05, 0.05])
    assert into_bands([0.7, 0.2, 0.1], [0.4, 0.3, 0.3], 0.1) == close_to([-0.2, 0.05, 0.15])
    for weights, targets, band in (([0.5, 0.5], [0.5, 0.5], -0.1), ([0.5, 0.5], [0.5, 0.4], 0.1)):
        with pytest.raises(InvalidAmount, match="band"):
            into_bands(weights, targets, band)


# -- what is closed first ----------------------------------------------------------------------------------------------


@law
@given(st.dictionaries(st.text(max_size=3), st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=8))
def test_q18_what_adds_most_to_the_risk_is_closed_first(positions):
    values = {name: value for name, (value, _) in positions.items()}
    parts = {name: part for name, (_, part) in positions.items()}
    order = by_risk(values, parts)
    assert sorted(order) == sorted(values)
    assert [parts[name] for name in order] == sorted(parts.values(), reverse=True)
    for one, other in itertools.pairwise(order):
        assert parts[one] > parts[other] or abs(values[one]) >= abs(values[other])
    by_size = by_risk(values)
    assert [abs(values[name]) for name in by_size] == sorted(map(abs, values.values()), reverse=True)


def test_q18_without_all_contributions_the_size_of_the_position_decides():
    values = {"a": 5.0, "b": -9.0, "c": 7.0}
    assert by_risk(values, {"a": 0.3, "b": 0.1, "c": 0.2}) == ["a", "c", "b"]
    assert by_risk(values, {"a": 0.3, "b": 0.1}) == ["b", "c", "a"]
    assert by_risk(values, {"a": 0.3, "b": 0.1, "c": None}) == ["b", "c", "a"]
    assert by_risk(values) == ["b", "c", "a"]


def test_q18_what_has_no_price_is_closed_before_what_has_and_equals_as_they_were_named():
    assert by_risk({"a": 5.0, "b": None, "c": 5.0, "d": -5.0}) == ["b", "a", "c", "d"]
    assert by_risk({}) == by_risk({}, {}) == []


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (0.0, Tier.OK),
        (0.119999999, Tier.OK),
        (0.12, Tier.NEAR),
        (0.134999999, Tier.NEAR),
        (0.135, Tier.CLOSE),
        (0.149999999, Tier.CLOSE),
        (0.15, Tier.BREACHED),
        (9.0, Tier.BREACHED),
        (-9.0, Tier.OK),
        (None, Tier.UNKNOWN),
        (0, Tier.OK),
        (1, Tier.BREACHED),
        (Decimal("0.12"), Tier.NEAR),
        (Decimal("0.1199999999999999999999999999"), Tier.OK),
    ],
)
def test_q16_warnings_come_at_exactly_80_and_90_percent_of_a_limit(value, state):
    assert tier(value, "15%") is tier(value, "0.15") is tier(value, Decimal("0.15")) is state


@law
@given(st.integers(1, 10**6), st.integers(-6, 3))
def test_q16_for_every_limit_and_on_both_sides(most, places):
    limit = Decimal(most).scaleb(places)
    step = Decimal(1).scaleb(places - 3)
    for part, at, below in (("0.8", Tier.NEAR, Tier.OK), ("0.9", Tier.CLOSE, Tier.NEAR), ("1", Tier.BREACHED, Tier.CLOSE)):
        edge = limit * Decimal(part)
        assert tier(edge, limit) is at
        assert tier(float(str(edge)), limit) is at
        assert tier(edge - step, limit) is below


@pytest.mark.parametrize("most", ["0", 0, "-5%", "-1", 0.15, "nan", "inf", True, None, "", "%", "5%%", "1e3", b"5", [5]])
def test_a_limit_is_an_exact_number_above_zero(most):
    for ask in (limit_of, lambda one: tier(0.1, one)):
        with pytest.raises(InvalidAmount):
            ask(most)


@pytest.mark.parametrize("value", [math.nan, math.inf, Decimal("NaN"), Decimal("Infinity"), "0.1", True])
def test_a_value_is_a_finite_number_or_unknown(value):
    with pytest.raises(InvalidAmount, match="number"):
        tier(value, "15%")


# -- what was there before ---------------------------------------------------------------------------------------------


def test_q25_what_reports_take_from_here_is_as_it_was():
    assert returns([100, 110, 99], [0, 0, 0], [0, 0, 0]) == close_to([0.10, -0.10])
    assert sharpe([0.01, 0.03]) == close_to(730**0.5)
    assert sortino([0.02, -0.01]) == close_to(0.5**0.5 * 365**0.5)
    assert drawdown([100, 80, 90, 72, 130]) == close_to(0.28)
    assert realized_volatility([100, 110, 100], 86_400) == close_to(math.log(1.1) * 730**0.5)
    assert sharpe([]) is sortino([]) is realized_volatility([], 60) is None and drawdown([]) == 0


def test_who_has_lost_all_or_more_has_nothing_that_grows_again():
    assert compound([0.5, -1.0, 3.0]) == -1.0
    assert compound([-2.7, -2.7]) == -1.0, "and two losses of more than all are no profit"
    assert compound([-0.5, 1.0]) == 0.0
    assert (left_of(-1.0), left_of(-0.999), left_of(-2.7), left_of(0.25)) == (0.0, pytest.approx(0.001), 0.0, 1.25)
