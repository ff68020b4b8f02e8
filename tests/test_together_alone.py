"""Isolation as a figure: five engines on one treasury fare, each to the unit, as each would alone on the same market."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import pytest

from sleeves.orders import Fill
from sleeves.records import Crossed
from sleeves.sim import replay

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "four_engines.py"))
NAMES = tuple(EXAMPLE["engines"]())


@cache
def run(*names):
    desk = EXAMPLE["desk_with"](*names)
    tapes, rules = EXAMPLE["market"]()
    report = replay(desk, tapes, rules=rules, progress=False, bounds=False)
    assert report.proof.holds, str(report.proof)
    return desk, report


def fills_of(desk, name):
    fills = [record for record in desk.books.journal if isinstance(record, Fill) and record.order_id.rpartition("-")[0] == name]
    return [(fill.at, fill.instrument, fill.side, fill.qty, fill.price, fill.cost, fill.fee) for fill in fills]


def lines_of(desk, name):
    return [(line.cause, line.amount) for line in desk.explain(name).lines]


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_fares_beside_the_others_as_it_does_alone(name):
    together, alone = run(*NAMES)[0], run(name)[0]
    assert not [record for record in together.books.journal if isinstance(record, Crossed)]
    assert fills_of(together, name) == fills_of(alone, name)
    assert len(fills_of(alone, name)) > 1
    assert lines_of(together, name) == lines_of(alone, name)


def test_what_they_made_together_is_what_the_account_has():
    desk, report = run(*NAMES)
    rows = {row["sleeve"]: row for row in report.rows()}
    assert rows.keys() == set(NAMES)
    for name in NAMES:
        assert desk.explain(name).exact
    assert desk.check(report.holdings, positions=report.positions, deep=True).holds
