"""Kept trials: a sweep goes on where it was stopped; another sweep is another one; a file that is not to be trusted is refused."""

from __future__ import annotations

import functools
import multiprocessing
import sqlite3
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import SOL, USD
from sleeves.errors import JournalError, VaultError
from sleeves.sim import Rules
from sleeves.sweeps import SweepStopped, grid, sweep, totals
from sleeves.sweeps.identity import code_of, told
from sleeves.sweeps.keep import Keep
from strategies import amounts, law
from sweep_desks import MARKET, RULES, cross, moody, walk

TAPE = walk(600)
GRID = grid(fast=[3, 5], slow=[13, 21, 34])


def run(path, grid=GRID, tape=TAPE, make=cross, **asked):
    return sweep(make, grid, tape, executor="here", **{"rules": RULES, "keep": path, **asked})


def test_the_same_sweep_again_runs_only_what_is_missing(tmp_path):
    path = tmp_path / "kept.db"
    ran = []
    first = run(path, GRID[:4], digest=True, progress=ran.append)
    assert not any(trial.kept for trial in first)
    whole = run(path, GRID, digest=True, progress=ran.append)
    assert [trial.kept for trial in whole] == [True] * 4 + [False] * 2
    assert sum(ran) == len(GRID)
    fresh = sweep(cross, GRID, TAPE, executor="here", rules=RULES, digest=True)
    assert [(t.params, t.figures, t.digest) for t in whole] == [(t.params, t.figures, t.digest) for t in fresh]
    assert all(trial.kept for trial in run(path, list(reversed(GRID)), digest=True))
    assert "6 of them kept from before" in str(run(path, digest=True))


def other_measure(report):
    return {"fills": report.rows()[0]["fills"]}


def other_cross(fast, slow):
    return cross(fast, slow)


@pytest.mark.parametrize(
    "change",
    [
        {"tape": walk(601)},
        {"tape": walk(600, seed=2)},
        {"rules": Rules()},
        {"rules": {"BTC/USD": RULES}},
        {"measure": totals},
        {"measure": other_measure},
        {"make": other_cross},
        {"make": functools.partial(cross, size="20%")},
        {"digest": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_tape_rule_or_function_is_another_sweep(tmp_path, change):
    run(tmp_path / "kept.db")
    assert not any(trial.kept for trial in run(tmp_path / "kept.db", **change))
    assert all(trial.kept for trial in run(tmp_path / "kept.db", **change))
    assert all(trial.kept for trial in run(tmp_path / "kept.db")), "the first one is there still"


def test_another_version_of_sleeves_is_another_sweep(tmp_path, monkeypatch):
    run(tmp_path / "kept.db")
    monkeypatch.setattr("sleeves.__version__", "99.0")
    assert not any(trial.kept for trial in run(tmp_path / "kept.db"))


def test_a_changed_source_is_another_sweep(tmp_path, monkeypatch):
    """What stands in the file of make_desk, and in the files of which it uses something by name."""
    import importlib
    import sys

    (tmp_path / "sweep_engine_here.py").write_text("SIZE = '10%'\n")
    (tmp_path / "sweep_maker_here.py").write_text(
        "import sweep_desks\nimport sweep_engine_here\n\n\ndef make(fast):\n"
        "    return sweep_desks.cross(fast, 30, sweep_engine_here.SIZE)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def made():
        for name in ("sweep_maker_here", "sweep_engine_here"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("sweep_maker_here").make

    assert not run(tmp_path / "kept.db", [{"fast": 3}], make=made())[0].kept
    assert run(tmp_path / "kept.db", [{"fast": 3}], make=made())[0].kept
    (tmp_path / "sweep_engine_here.py").write_text("SIZE = '25%'\n")
    assert not run(tmp_path / "kept.db", [{"fast": 3}], make=made())[0].kept
    for name in ("sweep_maker_here", "sweep_engine_here"):
        sys.modules.pop(name, None)


def test_what_failed_is_tried_again(tmp_path):
    mood = {"mood": f"raise:{tmp_path}", "n": 1}
    found = run(tmp_path / "kept.db", [mood, {"n": 2}], make=moody)
    assert [trial.ok for trial in found] == [False, True]
    found = run(tmp_path / "kept.db", [mood, {"n": 2}], make=moody)
    assert [trial.kept for trial in found] == [False, True]


def test_what_came_before_an_interrupt_is_kept(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(SweepStopped):
        run(tmp_path / "kept.db", progress=stop, chunk=2)
    assert [trial.kept for trial in run(tmp_path / "kept.db")] == [True] * 2 + [False] * 4


def test_a_sweep_that_is_whole_needs_no_executor(tmp_path):
    run(tmp_path / "kept.db")
    found = sweep(cross, GRID, TAPE, executor=lambda: pytest.fail("none is needed"), rules=RULES, keep=tmp_path / "kept.db")
    assert all(trial.kept for trial in found)


def test_closed_over_values_count_and_must_be_told(tmp_path):
    def maker(of):
        return lambda fast, slow: cross(fast, slow, *([of] if isinstance(of, str) else []))

    run(tmp_path / "kept.db", make=maker("10%"))
    assert all(trial.kept for trial in run(tmp_path / "kept.db", make=maker("10%")))
    assert not any(trial.kept for trial in run(tmp_path / "kept.db", make=maker("20%")))
    with pytest.raises(VaultError, match="cannot be told from another one of its kind"):
        run(tmp_path / "kept.db", make=maker(object()))


def test_parameters_that_cannot_be_told_cannot_be_kept(tmp_path):
    with pytest.raises(VaultError, match="cannot be told"):
        run(tmp_path / "kept.db", [{"fast": object()}])
    assert not (tmp_path / "kept.db").exists()


# -- the file ------------------------------------------------------------------------------------------------------------


figure = st.one_of(
    amounts(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")),
    st.booleans(),
    st.none(),
)


@settings(law, max_examples=40)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), figure, max_size=5))
def test_figures_come_back_as_they_went(tmp_path_factory, figures):
    path = tmp_path_factory.mktemp("keep") / "kept.db"
    keep = Keep.open(path, "what")
    keep.put([("params", figures, "digest")])
    keep.put([("params", {}, "another")])
    keep.close()
    keep = Keep.open(path, "what")
    ((found, digest),) = keep.found().values()
    keep.close()
    assert digest == "digest", "what is kept stays as it is"
    assert list(found.items()) == list(figures.items())
    assert [type(value) for value in found.values()] == [type(value) for value in figures.values()]


def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "kept.db"
    for content in (b"ts,open,high\n1,2,3\n" * 200, b"\0" * 4096):
        path.write_bytes(content)
        with pytest.raises(JournalError, match=str(path)):
            run(path)
        assert path.read_bytes() == content
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="another kind of file"):
        run(path)
    assert path.read_bytes() == before


def test_a_later_version_is_refused(tmp_path):
    run(tmp_path / "kept.db")
    with sqlite3.connect(tmp_path / "kept.db") as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(JournalError, match="a later version"):
        run(tmp_path / "kept.db")


def test_a_torn_file_is_refused(tmp_path):
    path = tmp_path / "kept.db"
    run(path)
    whole = path.read_bytes()
    for size in (50, len(whole) // 2, len(whole) - 5_000):
        path.write_bytes(whole[:size])
        with pytest.raises(JournalError):
            run(path)


def test_whatever_was_written_over_it_is_refused_or_does_not_matter(tmp_path):
    path = tmp_path / "kept.db"
    figures = [trial.figures for trial in run(path)]
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 512):
        path.write_bytes(whole[:place] + b"\xa5" * 100 + whole[place + 100 :])
        try:
            assert [trial.figures for trial in run(path)] == figures
        except JournalError:
            refused += 1
    assert refused > 5


def test_a_row_that_was_changed_is_refused(tmp_path):
    run(tmp_path / "kept.db")
    with sqlite3.connect(tmp_path / "kept.db") as db:
        db.execute("UPDATE trials SET figures = replace(figures, 'USD', 'EUR')")
    db.close()
    with pytest.raises(JournalError, match="is not what was written"):
        run(tmp_path / "kept.db")


@pytest.mark.parametrize("path", [".", "no/such/folder/kept.db", "a\0b"])
def test_a_file_that_cannot_be_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JournalError):
        run(path)


def test_an_empty_file_is_a_new_one(tmp_path):
    (tmp_path / "kept.db").touch()
    assert not run(tmp_path / "kept.db")[0].kept


def keep_some(path, first):
    run(path, grid(fast=range(first, first + 12), slow=[40, 50]), chunk=1)


@pytest.mark.slow
def test_two_processes_may_keep_their_trials_in_one_file(tmp_path):
    """Half of what they run is the same."""
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=keep_some, args=(tmp_path / "kept.db", first)) for first in (3, 9)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    found = run(tmp_path / "kept.db", grid(fast=range(3, 21), slow=[40, 50]))
    assert all(trial.kept for trial in found)
    fresh = sweep(cross, grid(fast=range(3, 21), slow=[40, 50]), TAPE, executor="here", rules=RULES)
    assert [trial.figures for trial in found] == [trial.figures for trial in fresh]
    with sqlite3.connect(tmp_path / "kept.db") as db:
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (36,)
    db.close()


# -- what a value is -----------------------------------------------------------------------------------------------------


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from([USD("1.5"), SOL(2), USD, MARKET])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3), st.tuples(inner)),
    max_leaves=8,
)


@law
@given(values, values)
def test_equal_values_are_told_alike_and_others_are_not(a, b):
    assert told(a) == told(a)
    if told(a) == told(b):
        assert repr(a) == repr(b) or a == b
    assert told(a).isascii()


def test_the_order_of_names_does_not_matter_and_kinds_do():
    assert told({"a": 1, "b": 2}) == told({"b": 2, "a": 1})
    assert len({told(value) for value in (1, 1.0, True, "1", Decimal("1"), Decimal("1.0"), b"1", (1,), [1], {1}, {"1": 1}, USD(1))}) == 12
    assert told(TAPE) == told(walk(600))
    assert told(10**5000)


def test_functions_are_told_by_their_source():
    assert code_of(cross) == code_of(cross)
    assert (
        len({code_of(function) for function in (cross, moody, other_cross, functools.partial(cross, 3), functools.partial(cross, 4), len)})
        == 6
    )
