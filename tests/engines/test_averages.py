"""Averages: one by one and all at once come to the same bits, and to the textbook's average."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.engines import Ema
from sleeves.engines import averages as module
from sleeves.engines.averages import BLOCK
from sleeves.errors import InvalidAmount, MissingExtra
from strategies import law

LENGTHS = st.one_of(st.integers(0, 3 * BLOCK + 2), st.sampled_from([n * BLOCK + d for n in (1, 2, 5) for d in (-1, 0, 1)]))
PERIODS = st.one_of(st.integers(1, 300), st.sampled_from([1, 2, 10, 50, 10_000]))
PRICES = st.floats(-1e15, 1e15, allow_nan=False)


def bits(values):
    return [float(value).hex() for value in values]


def state(ema):
    return ema.counted, ema.place, ema.sum.hex(), ema.base.hex()


@st.composite
def columns(draw):
    """Values of any length, wild, walking or standing still."""
    length = draw(LENGTHS)
    kind = draw(st.sampled_from(["wild", "walk", "flat"]))
    if kind == "wild":
        return draw(st.lists(PRICES, min_size=length, max_size=length))
    first = draw(st.integers(1, 10**9))
    if kind == "flat":
        return [float(first)] * length
    steps = draw(st.randoms(use_true_random=False))
    found = []
    for _ in range(length):
        found.append(float(first))
        first = max(1, first + steps.randint(-1_000, 1_000))
    return found


@law
@given(columns(), PERIODS)
def test_over_a_column_is_what_the_steps_are_bit_for_bit(values, periods):
    one, many = Ema(periods), Ema(periods)
    assert bits(one.step(x) for x in values) == bits(many.over(values))
    assert state(one) == state(many)
    assert one.value.hex() == many.value.hex()
    assert one.count == many.count == len(values)


@law
@given(columns(), columns(), PERIODS)
def test_a_column_may_be_cut_anywhere(first, second, periods):
    whole, cut = Ema(periods), Ema(periods)
    assert bits(whole.over([*first, *second])) == bits([*cut.over(first), *cut.over(second)])
    assert state(whole) == state(cut)


@law
@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=400), st.integers(1, 1_000))
def test_it_is_the_textbook_average(values, periods):
    alpha, expected, most, ema = 2 / (periods + 1), values[0], 0.0, Ema(periods)
    for x in values:
        expected += alpha * (x - expected)
        most = max(most, x)  # to this the textbook's own differences are rounded
        assert math.isclose(ema.step(x), expected, rel_tol=0, abs_tol=1e-12 * most)


def test_an_average_of_three():
    ema = Ema(3)  # each value weighs a half
    assert [ema.step(x) for x in (8, 4, 2, 2)] == [8, 6, 4, 3]
    assert (ema.value, ema.count) == (3, 4)


def test_its_state_can_be_set():
    ema, other = Ema(10), Ema(10)
    ema.over(range(1, 100))
    other.counted, other.place, other.sum, other.base = ema.counted, ema.place, ema.sum, ema.base
    assert other.value == ema.value
    assert other.step(7.0) == ema.step(7.0)


def test_it_reads_integer_buffers():
    column = np.arange(1, 200, dtype=np.int64)
    assert bits(Ema(7).over(column)) == bits(Ema(7).over([float(x) for x in column]))


@pytest.mark.parametrize("periods", [0, -1, 2.0, True, "10", None, math.nan])
def test_periods_are_whole_and_positive(periods):
    with pytest.raises(InvalidAmount, match="whole number of at least 1"):
        Ema(periods)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "7", None, True])
def test_what_is_no_number_is_not_taken_in(value):
    ema = Ema(3)
    ema.step(8)
    with pytest.raises(InvalidAmount):
        ema.step(value)
    assert (ema.value, ema.count) == (8, 1)


@pytest.mark.parametrize("column", [[1.0, math.nan], [math.inf], [[1.0, 2.0]]])
def test_a_column_with_what_is_no_number_is_not_taken_in_at_all(column):
    ema = Ema(3)
    with pytest.raises(InvalidAmount, match="one column of finite numbers"):
        ema.over(column)
    assert ema.count == 0


def test_without_numpy_columns_need_the_extra(monkeypatch):
    monkeypatch.setattr(module, "numpy_or_none", lambda: None)
    with pytest.raises(MissingExtra, match=r"sleeves\[fast\]"):
        Ema(3).over([1.0])
    assert Ema(3).step(1.0) == 1.0
