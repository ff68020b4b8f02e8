"""The figures of luck against those that their authors printed, and laws that they must keep."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount
from sleeves.tuning import Shape, deflated, expected_best, probable, shape_of, years_needed

DAILY = 2.5 / math.sqrt(250)
"""The example of Bailey and Lopez de Prado (2014), "A numerical example": a Sharpe ratio of 2.5 a year of 250 days, found in 1,250 days."""
VARIANCE = 1 / (2 * 250)
"""The variance over tries is 1/2 a year there."""


@pytest.mark.parametrize(("tries", "best"), [(100, 0.1132), (46, 0.1004), (88, 0.1111)])
def test_the_best_that_luck_finds_is_as_published(tries, best):
    assert expected_best(tries, VARIANCE) == pytest.approx(best, abs=6e-5)


@pytest.mark.parametrize(
    ("tries", "skewness", "kurtosis", "sure"),
    [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)],
)
def test_the_deflated_sharpe_ratio_is_as_published(tries, skewness, kurtosis, sure):
    assert deflated(Shape(1250, DAILY, skewness, kurtosis), tries, VARIANCE) == pytest.approx(sure, abs=6e-5)


@pytest.mark.parametrize(("skewness", "kurtosis", "sure"), [(-2.448, 10.164, 0.913), (0, 3, 0.982)])
def test_the_probabilistic_sharpe_ratio_is_as_published(skewness, kurtosis, sure):
    """Bailey and Lopez de Prado (2012): two years of monthly returns with a Sharpe ratio of 0.458 a month."""
    assert probable(Shape(24, 0.458, skewness, kurtosis)) == pytest.approx(sure, abs=6e-4)


def test_the_shortest_past_is_as_published():
    """Bailey, Borwein, Lopez de Prado and Zhu (2014): 1.57 of ten tries; in five years not more than 45 tries."""
    assert expected_best(10) == pytest.approx(1.57, abs=5e-3)
    assert years_needed(45) < 5 < years_needed(46)
    assert years_needed(1) == 0


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0, 10))
def test_more_tries_find_more_luck(one, other, variance):
    few, many = sorted((one, other))
    assert 0 <= expected_best(few, variance) <= expected_best(many, variance) + 1e-12


@given(st.lists(st.floats(-0.5, 0.5), max_size=60), st.integers(1, 1000))
def test_probabilities_are_such_and_deflating_never_raises_them(returns, tries):
    shape = shape_of(returns)
    if shape is None:
        return
    plain, less = probable(shape), deflated(shape, tries, 0.01)
    if plain is None:
        assert less is None
        return
    assert less is not None and 0 <= less <= plain <= 1
    assert deflated(shape, 1, 0.01) == plain, "one try is no selection"


def test_the_moments_of_returns():
    shape = shape_of([0.01, 0.02, 0.03, 0.06])
    assert shape is not None
    assert shape.count == 4
    assert shape.sharpe == pytest.approx(0.03 / 0.021602469)
    assert shape.skewness == pytest.approx(0.6872431935)
    assert shape.kurtosis == pytest.approx(2.0)
    assert shape_of([0.01]) is None
    assert shape_of([]) is None
    assert shape_of([0.01, 0.01, 0.01]) is None


def test_moments_that_leave_nothing_under_the_root_say_nothing():
    assert probable(Shape(10, 2.0, 3.0, 1.0)) is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, "0.1", None, 1j])
def test_what_is_no_finite_number_is_refused(wrong):
    with pytest.raises(InvalidAmount):
        shape_of([0.1, wrong, 0.2])
    with pytest.raises(InvalidAmount):
        expected_best(10, wrong)
    with pytest.raises(InvalidAmount):
        probable(Shape(10, 0.1, 0.0, 3.0), wrong)


@pytest.mark.parametrize("tries", [0, -1, 1.5, "9", None, True])
def test_tries_are_whole_and_there_is_one(tries):
    with pytest.raises(InvalidAmount):
        expected_best(tries)


def test_a_negative_variance_is_none():
    with pytest.raises(InvalidAmount):
        expected_best(10, -0.1)


@pytest.mark.parametrize("returns", [[1e200, -1e200, 3e200], [10**400, 1.0], [1e160, -1e160, 2.0], [1e308, 1e308, -1e308]])
def test_returns_that_no_float_can_square_are_refused_and_not_a_crash(returns):
    with pytest.raises(InvalidAmount):
        shape_of(returns)


def test_very_many_tries_have_their_best_too():
    assert 8 < expected_best(10**16) < expected_best(10**17) < expected_best(10**20) < 12
    for too_many in (10**101, 10**400):
        with pytest.raises(InvalidAmount, match="at most"):
            expected_best(too_many)
