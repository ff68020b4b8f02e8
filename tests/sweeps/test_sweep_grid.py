"""Grids: every combination once, in a stable order; what has no order, is empty or is there twice is refused."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import USD
from sleeves.errors import VaultError
from sleeves.sweeps import grid
from sleeves.sweeps.grid import MOST, combinations
from sleeves.sweeps.identity import told
from strategies import law

axes = st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True), min_size=1)


@law
@given(axes)
def test_every_combination_is_there_once_with_the_last_name_changing_fastest(given_axes):
    found = combinations(given_axes)
    assert [tuple(params.values()) for params in found] == list(itertools.product(*given_axes.values()))
    assert all(list(params) == list(given_axes) for params in found)
    assert grid(**given_axes) == found


@law
@given(axes)
def test_where_leaves_what_it_is_true_of(given_axes):
    kept = [params for params in combinations(given_axes) if sum(params.values()) > 0]
    if kept:
        assert grid(where=lambda **params: sum(params.values()) > 0, **given_axes) == kept
    else:
        with pytest.raises(VaultError, match="where is true of none"):
            grid(where=lambda **params: sum(params.values()) > 0, **given_axes)


@pytest.mark.parametrize(
    ("given_grid", "rule"),
    [
        ({}, "the grid is empty"),
        ([], "the grid is empty"),
        ({"a": []}, "a has no values"),
        ({"a": [1, 2, 1]}, "the value of a 1 is there twice"),
        ({"a": [float("nan"), float("nan")]}, "twice"),
        ({"a": "text"}, "are a list, not 'text'"),
        ({"a": 5}, "are a list, not 5"),
        ({"a": {1, 2}}, "a set has none"),
        ({"a": {"b": 1}}, "are a list"),
        ({"a b": [1]}, "no name of a parameter"),
        ({"class": [1]}, "no name of a parameter"),
        ({3: [1]}, "no name of a parameter"),
        ("ab", "a mapping from names to values"),
        (7, "a mapping from names to values"),
        ([{"a": 1}, {"a": 1}], "there twice"),
        ([{"a": 1}, 3], "holds dicts of parameters"),
        ([{"": 1}], "no name of a parameter"),
        ({frozenset({1})}, "a set has none"),
        ({"a": range(MOST + 1)}, "more than 1,000,000 values"),
        ({"a": range(1001), "b": range(1000)}, "1,001,000 combinations"),
    ],
)
def test_what_is_no_grid_is_refused(given_grid, rule):
    with pytest.raises(VaultError, match=rule):
        combinations(given_grid)


def test_values_that_look_alike_are_not_the_same():
    assert len(combinations({"a": [1, 1.0, True, "1", Decimal(1), USD(1), None, (1,), [1]]})) == 9


def test_values_that_cannot_be_hashed_or_told_are_values_too():
    class Strange:
        def __repr__(self):
            raise RuntimeError("no text")

    assert len(combinations({"a": [[1], [2], {"b": [3]}, Strange(), Strange()]})) == 5


def test_numbers_of_numpy_become_plain_ones():
    assert [type(params["a"]) for params in combinations({"a": np.array([1, 2])})] == [int, int]
    assert [type(params["a"]) for params in combinations([{"a": np.float64(0.5)}, {"a": np.int32(3)}])] == [float, int]


def test_a_value_that_holds_itself_is_no_endless_loop():
    value: list[object] = []
    value.append(value)
    with pytest.raises(VaultError, match="50 deep"):
        told(value)
    assert len(combinations({"a": [value, 1]})) == 2


def test_trials_may_have_different_parameters():
    assert combinations(params for params in [{"a": 1}, {"b": 2}, {}]) == [{"a": 1}, {"b": 2}, {}]
