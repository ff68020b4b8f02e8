"""What a trial comes to: the figures of the report, to the unit, whichever way the journal was written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import FLASH, QUIET, SOL, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.sim import Tape, replay
from sleeves.sweeps import figures, totals
from sleeves.sweeps.figures import checked
from strategies import heavy
from sweep_desks import MARKET, RULES, cross, two, walk


def slow_figures(report):
    """The same from the report's own fold: profit at each mark is realized + unrealized - fees + funding."""
    story = report.story
    rows = report.rows()
    curve = {}
    for name, sleeve in story.sleeves.items():
        for sample in sleeve.samples:
            curve.setdefault(sample.at, {})[name] = sample.equity - sample.paid_in + sample.taken_out
    high = deepest = 0
    marks = [sample.at for sample in next(iter(story.vaults.values())).samples]
    for at in marks:
        profit = sum(curve[at].values())
        high = max(high, profit)
        deepest = max(deepest, high - profit)
    return {
        "profit": sum((USD(row["net_profit"]) for row in rows), USD.zero),
        "equity": sum((USD(row["equity"]) for row in rows), USD.zero),
        "fees": sum((USD(row["fees"]) for row in rows), USD.zero),
        "funding": USD.zero,
        "returned": sum((USD(row["returned"]) for row in rows), USD.zero),
        "drawdown": USD.units(deepest),
        "fills": sum(row["fills"] for row in rows),
    }


@heavy
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(7, 30), st.sampled_from(["quiet", "flash"]), st.booleans())
def test_the_figures_are_those_of_the_report(seed, fast, slow, policy, plan):
    desk = cross(fast, slow, "50%", policy)
    report = replay(desk, walk(300, seed), rules=RULES, bounds=False, progress=False, plan=plan)
    brief = figures(report)
    assert brief == slow_figures(report)  # reading the story writes out what a fast replay noted
    assert figures(report) == brief


def test_of_two_sleeves_together():
    report = replay(two(3, 12), walk(3_000), rules=RULES, bounds=False, progress=False)
    found = figures(report)
    assert found == slow_figures(report)
    assert found["fills"] > 50


def test_totals_are_the_same_without_a_pass_over_the_journal():
    report = replay(cross(), walk(), rules=RULES, bounds=False, progress=False)
    assert totals(report) == {name: value for name, value in figures(report).items() if name not in ("drawdown", "fills")}


def test_figures_are_told_by_asset_where_there_are_several():
    dollars = CoreVault(USD, total="1000", tradeable="1000")
    coins = CoreVault(SOL, total="10", tradeable="10", books=dollars.books)
    desk = Desk(dollars, coins)
    dollars.sleeve("one", QUIET, allocate="1000")
    coins.sleeve("two", FLASH, allocate="10")
    found = figures(replay(desk, Tape.sample().slice(0, 50), bounds=False, progress=False))
    assert found["equity USD"] == USD(1000)
    assert found["equity SOL"] == SOL(10)
    assert found["drawdown SOL"] == SOL(0)
    assert found["fills"] == 0
    assert "equity" not in found


def test_of_an_engine_without_a_plan_on_real_candles():
    tape = Tape.sample()
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
    report = replay(desk, tape, bounds=False, progress=False)
    assert figures(report) == slow_figures(report)


@pytest.mark.parametrize("given_figures", [{"a": object()}, {"a": [1]}, {1: 2}, [1], None, {"a": MARKET}])
def test_what_is_no_figure_is_refused(given_figures):
    with pytest.raises(VaultError, match=r"figure|measure"):
        checked(given_figures)


def test_what_is_a_figure_is_taken_as_it_is():
    given_figures = {"a": USD("1.5"), "b": 3, "c": 0.5, "d": "text", "e": True, "f": None, "g": Decimal("1.10"), "h": float("nan")}
    assert list(checked(given_figures).items())[:7] == list(given_figures.items())[:7]
