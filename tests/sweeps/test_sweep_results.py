"""What a sweep shows: the best first, every parameter as text and nothing else, heat maps of exact figures."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import SOL, USD
from sleeves.errors import VaultError
from sleeves.sweeps import Sweep, Trial, grid, sweep
from strategies import law
from sweep_desks import RULES, cross, walk

HOSTILE = ["<script>alert(1)</script>", "\x1b[31mred", "a\nb", "x" * 5_000, "", "%{x} $y$", "\u202eright to left", "ünïcode"]


def trials(*rows, **more):
    """Trials with parameters a and b and a profit; a text in the profit's place is an error."""
    made = []
    for a, b, profit in rows:
        if isinstance(profit, str) and not profit.lstrip("-").replace(".", "").isdigit():
            made.append(Trial({"a": a, "b": b}, {}, profit))
        else:
            made.append(Trial({"a": a, "b": b}, {"profit": None if profit is None else USD(profit), **more}))
    return Sweep(made, "make", "a tape")


FOUR = trials((1, 10, "5"), (1, 20, "-3"), (2, 10, "7.25"), (2, 20, "-3"))


def test_the_table_has_the_best_first_and_says_what_failed():
    found = trials((1, 10, "5"), (1, 20, "ValueError: no"), (2, 10, "7.25"), (2, 20, None), (3, 30, "ValueError: no"))
    assert str(found) == (
        "a   b  profit (USD)\n"
        "-------------------\n"
        "2  10          7.25\n"
        "1  10          5.00\n"
        "\n"
        "5 trials of make over a tape\n"
        "1 without a known profit\n"
        "2 failed: ValueError: no (first with a=1, b=20)"
    )
    assert repr(found) == str(found)
    assert "shown: the first 1 by profit" in found.table(most=1)


def test_a_sweep_is_a_sequence_in_the_grids_order():
    assert len(FOUR) == 4
    assert FOUR[0].params == {"a": 1, "b": 10}
    assert [trial["profit"].text for trial in FOUR[1:3]] == ["-3", "7.25"]
    assert list(FOUR)[-1] is FOUR[-1]
    assert FOUR.params == ["a", "b"]
    assert FOUR.figures == ["profit"]


def test_ranked_keeps_equal_ones_in_order_and_leaves_out_what_is_not_known():
    assert [trial.params["b"] for trial in FOUR.ranked()] == [10, 10, 20, 20]
    assert [trial.params["a"] for trial in FOUR.ranked(descending=False)] == [1, 2, 1, 2]
    nan = Sweep([Trial({"n": n}, {"x": x}) for n, x in enumerate([float("nan"), 1.0, float("inf"), None, Decimal("NaN")])])
    assert [trial.params["n"] for trial in nan.ranked("x")] == [2, 1]
    assert FOUR.best() is FOUR[2]
    assert FOUR.best("profit", descending=False) is FOUR[1]


@pytest.mark.parametrize("by", ["proft", "a", 3])
def test_a_figure_that_is_not_there_is_refused(by):
    with pytest.raises(VaultError, match=r"no figure .* in this sweep: there are profit"):
        FOUR.ranked(by)


def test_what_has_no_order_is_refused():
    mixed = Sweep([Trial({"a": 1, "b": 1}, {"x": USD(1)}), Trial({"a": 1, "b": 1}, {"x": SOL(1)})])
    for ask in (mixed.ranked, lambda: mixed.cells("a", "b", "x")):
        with pytest.raises(VaultError, match="cannot be put in order"):
            ask()
    with pytest.raises(VaultError, match="2 of 2 failed"):
        Sweep([Trial({"a": 1}, {}, "no"), Trial({"a": 2}, {}, "no")]).best()


def test_without_a_trial_there_is_a_table_too():
    assert str(Sweep([])) == "0 trials"
    assert Sweep([]).rows() == []
    assert "0 trials" in Sweep([])._repr_html_()
    failed = Sweep([Trial({"a": 1}, {}, "no")])
    assert str(failed) == "1 trial\n1 failed: no (first with a=1)"


# -- hostile text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_parameter_is_text_of_one_line(text):
    found = Sweep([Trial({"a": text, "b": 1}, {"profit": USD(1)}), Trial({"a": text, "b": 2}, {}, text or "no")], text, text)
    shown = str(found)
    assert len(shown.splitlines()) == 6
    assert all(line.isprintable() and len(line) < 1_000 for line in shown.splitlines())
    html = found._repr_html_()
    assert "<script>alert" not in html
    assert set(re.findall(r"</?([a-z]+)", html)) <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert all(line.isprintable() for line in found.heat_text("a", "b").splitlines())
    assert found.rows()[0]["a"] == text, "rows are for programs: they have it as it is"


class Rude:
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


def test_a_parameter_without_a_text_is_shown_all_the_same():
    found = Sweep([Trial({"a": Rude(), "b": 1}, {"profit": USD(1)})])
    assert "<Rude whose text raises RuntimeError>" in str(found)
    assert "Rude" in found.heat_text("a", "b")


@law
@given(st.text(), st.text())
def test_any_text_is_shown_in_one_line(a, b):
    found = Sweep([Trial({"a": a, "b": b}, {"profit": USD(1), a: b})])
    assert all(line.isprintable() for line in str(found).splitlines())
    assert len(str(found).splitlines()) == 5


# -- rows and frames -----------------------------------------------------------------------------------------------------


def test_rows_have_exact_money_and_say_of_which_asset():
    found = trials((1, 10, "5.000001"), (2, 20, "Boom: x"), fills=3)
    assert found.rows() == [
        {"a": 1, "b": 10, "profit": "5.000001", "fills": 3, "asset": "USD", "error": "", "digest": ""},
        {"a": 2, "b": 20, "profit": None, "fills": None, "asset": "USD", "error": "Boom: x", "digest": ""},
    ]
    two = Sweep([Trial({}, {"x": USD(1), "y": SOL(2)})]).rows()
    assert two == [{"x": "1 USD", "y": "2 SOL", "error": "", "digest": ""}]


def test_names_that_meet_are_told_apart():
    found = Sweep([Trial({"profit": 1, "error": 2, "asset": 3}, {"profit": USD(5)})])
    assert found.rows() == [{"profit": 1, "error": 2, "asset": 3, "figure profit": "5", "asset_": "USD", "error_": "", "digest": ""}]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_frames_have_the_kinds_of_their_columns(backend):
    found = Sweep(
        [
            Trial({"fast": 3, "size": 0.5, "name": "x", "on": True, "odd": (1, 2)}, {"profit": USD("1.5"), "fills": 3, "r": 0.25}),
            Trial({"fast": 4, "size": 1, "name": "y", "on": False, "odd": None}, {}, "no"),
        ]
    )
    frame = found.to_frame(backend=backend)
    assert list(frame["fast"]) == [3, 4]
    assert list(frame["size"]) == [0.5, 1.0]
    assert list(frame["on"]) == [True, False]
    assert frame["profit"][0] == "1.5"
    assert frame["odd"][0] == "(1, 2)"
    assert list(frame["error"]) == ["", "no"]
    assert found.to_frame(backend=backend, money="decimal")["profit"][0] == Decimal("1.5")


def test_frames_are_written_as_parquet(tmp_path):
    import polars

    FOUR.to_parquet(tmp_path / "sweep.parquet")
    assert polars.read_parquet(tmp_path / "sweep.parquet")["profit"].to_list() == ["5", "-3", "7.25", "-3"]


# -- heat maps -----------------------------------------------------------------------------------------------------------


def test_cells_are_the_figures_by_their_parameters():
    assert FOUR.cells("a", "b") == ([1, 2], [10, 20], [[USD(5), USD("7.25")], [USD(-3), USD(-3)]])
    gap = trials((2, 20, "1"), (1, 10, "2"), (1, 20, "Err: x"))
    assert gap.cells("a", "b", "profit") == ([1, 2], [10, 20], [[USD(2), None], [None, USD(1)]])


def test_where_several_trials_meet_one_of_them_is_picked():
    many = Sweep([Trial({"a": 1, "b": 1, "c": c}, {"x": x}) for c, x in enumerate([5, 1, 4, 2])])
    assert [many.cells("a", "b", pick=pick)[2] for pick in ("best", "worst", "median")] == [[[5]], [[1]], [[2]]]


@pytest.mark.parametrize(
    ("ask", "rule"),
    [
        (("a", "a"), "needs two of the parameters"),
        (("a", "c"), "needs two of the parameters"),
        (("a", "b", "loss"), "no figure"),
    ],
)
def test_what_no_map_can_show_is_refused(ask, rule):
    for show in (FOUR.cells, FOUR.heatmap, FOUR.heat_text):
        with pytest.raises(VaultError, match=rule):
            show(*ask)
    with pytest.raises(VaultError, match="pick is best, worst or median"):
        FOUR.cells("a", "b", pick="mean")


def test_text_has_no_shade_and_is_refused():
    said = Sweep([Trial({"a": 1, "b": 1}, {"x": "word"})])
    with pytest.raises(VaultError, match="is no number that a heat map can show"):
        said.heat_text("a", "b", "x")
    with pytest.raises(VaultError, match="is no number that a heat map can show"):
        said.heatmap("a", "b", "x")


def test_a_map_as_text():
    lines = FOUR.heat_text("a", "b").splitlines()
    assert lines[0].split() == ["b", "\\", "a", "1", "2"]
    assert lines[1].split() == ["10", "5.00", "▓", "7.25", "█"]
    assert lines[2].split() == ["20", "-3.00", "-3.00"]


def test_a_map_as_a_figure():
    pytest.importorskip("plotly")
    figure = FOUR.heatmap("a", "b")
    (heat,) = figure.data
    assert [list(row) for row in heat.z] == [[5.0, 7.25], [-3.0, -3.0]]
    assert (heat.zmin, heat.zmax) == (-7.25, 7.25), "colours part at zero"
    assert list(heat.x) == ["1", "2"]
    assert figure.layout.title.text == "profit, USD"
    assert FOUR.heatmap("a", "b", pick="worst").layout.title.text == "profit, worst, USD"
    gains = trials((1, 1, "2"), (1, 2, "6")).heatmap("a", "b").data[0]
    assert (gains.zmin, gains.zmax) == (2, 6)
    nothing = Sweep([Trial({"a": 1, "b": 2}, {"x": None})]).heatmap("a", "b", "x")
    assert not nothing.data


def test_a_figure_takes_hostile_names_for_text():
    pytest.importorskip("plotly")
    found = Sweep([Trial({"a": text, "b": "<b>"}, {"profit": USD(1)}) for text in HOSTILE])
    page = found.heatmap("a", "b").to_json()
    assert "<script>" not in page
    assert "<b>" not in page.replace("<extra></extra>", "")


def test_the_map_of_a_real_sweep():
    found = sweep(cross, grid(fast=[3, 5], slow=[13, 21]), walk(), executor="here", rules=RULES)
    across, down, cells = found.cells("fast", "slow", "fills")
    assert (across, down) == ([3, 5], [13, 21])
    assert cells[0][0] > cells[1][1] > 0
