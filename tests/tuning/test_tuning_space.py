"""What may be varied, and what is refused before anything runs."""

from __future__ import annotations

import math

import pytest

from sleeves.errors import VaultError
from sleeves.tuning import Choice, Range
from sleeves.tuning.space import space_of


def test_ranges_and_choices_are_what_they_look_like():
    given = {"a": (5, 50), "b": (20, 200, 10), "c": (0.001, 0.1, "log"), "d": ["long", "both"], "e": (0, 0.5), "f": [True, None, 3, 0.5]}
    assert space_of(given) == {
        "a": Range(5, 50),
        "b": Range(20, 200, 10),
        "c": Range(0.001, 0.1, log=True),
        "d": Choice(("long", "both")),
        "e": Range(0.0, 0.5),
        "f": Choice((True, None, 3, 0.5)),
    }
    assert space_of({"a": (5, 5)}) == {"a": Range(5, 5)}
    assert space_of({"a": (0.1, 0.5, 0.1)}) == {"a": Range(0.1, 0.5, 0.1)}, "in decimals, as it is written"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "one or more"),
        (None, "mapping"),
        ([("a", (1, 2))], "mapping"),
        ({"a b": (1, 2)}, "as Python names one"),
        ({3: (1, 2)}, "as Python names one"),
        ({"class": (1, 2)}, "as Python names one"),
        ({"a": (2, 1)}, "low 2 lies above high 1"),
        ({"a": (math.nan, 1.0)}, "finite"),
        ({"a": (0.0, math.inf)}, "finite"),
        ({"a": (True, 5)}, "finite numbers"),
        ({"a": ("1", "5")}, "finite numbers"),
        ({"a": (1j, 5)}, "finite numbers"),
        ({"a": (1,)}, "a range is"),
        ({"a": (1, 2, 3, 4)}, "a range is"),
        ({"a": (0.0, 1.0, "log")}, "above zero"),
        ({"a": (-1, 1, "log")}, "above zero"),
        ({"a": (1, 10, "exp")}, "a step is"),
        ({"a": (1, 10, 0)}, "a step is"),
        ({"a": (1, 10, -3)}, "a step is"),
        ({"a": (1, 10, 1.5)}, "whole"),
        ({"a": (1.0, 10.0, math.nan)}, "a step is"),
        ({"a": (1, 10, 4)}, "no whole steps of 4"),
        ({"a": (0.0, 1.0, 0.3)}, "no whole steps of 0.3"),
        ({"a": (0, 2**60)}, "2\\^53"),
        ({"a": []}, "something to choose"),
        ({"a": [math.nan]}, "finite"),
        ({"a": [[1]]}, "a choice is among"),
        ({"a": [1, 1]}, "nothing twice"),
        ({"a": [1, True]}, "nothing twice"),
        ({"a": 5}, "a range is a tuple"),
        ({"a": "5"}, "a range is a tuple"),
        ({"a": {1, 2}}, "a range is a tuple"),
    ],
)
def test_what_cannot_be_searched_is_named(given, says):
    with pytest.raises(VaultError, match=says):
        space_of(given)


@pytest.mark.parametrize(
    ("param", "value", "edge"),
    [
        (Range(5, 50), 5, True),
        (Range(5, 50), 6, False),
        (Range(5, 50), 50, True),
        (Range(5, 50), 49, False),
        (Range(0.0, 1.0), 0.01, True),
        (Range(0.0, 1.0), 0.0101, False),
        (Range(0.0, 1.0), 0.99, True),
        (Range(0.0, 1.0), 0.9899, False),
        (Range(0.001, 10.0, log=True), 0.00109, True),
        (Range(0.001, 10.0, log=True), 0.0012, False),
        (Range(0.0, 1.0, 0.005), 0.005, False),
        (Range(0.0, 1.0, 0.005), 1.0, True),
        (Range(5, 5), 5, False),
        (Choice(("a", "b")), "a", False),
    ],
)
def test_where_the_edge_of_a_range_is(param, value, edge):
    assert param.at_edge(value) is edge
