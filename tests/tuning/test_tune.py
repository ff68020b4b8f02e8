"""Tuning as a whole: the same seed gives the same, wherever it is run; nothing leaks; hostile input is named; Optuna keeps quiet."""

from __future__ import annotations

import builtins
import logging
import os
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from decimal import Decimal
from multiprocessing import get_context

import optuna
import pytest

from sleeves import USD
from sleeves.errors import BadTape, InvalidAmount, MissingExtra, VaultError
from sleeves.market import DAY, HOUR
from sleeves.sim import Fees, Rules, Slippage, Tape, replay
from sleeves.tuning import Rows, Split, Splits, tune, walk_forward
from sleeves.tuning.play import Run, play
from sleeves.tuning.search import opened
from tuning_stand import CHEAP, MARKET, SPACE, Swing, Told, desk_of, swinging, tape_of, walk

TAPE = walk(480)
SPLITS = walk_forward(TAPE, train=7 * DAY + 12 * HOUR, test=3 * DAY, gap=12 * HOUR, warm=6 * HOUR)


def tuned(make_desk=swinging, space=SPACE, tape=TAPE, **more):
    more = {"splits": SPLITS, "trials": 8, "seed": 3, "rules": CHEAP, "progress": False} | more
    return tune(make_desk, space, tape, **more)


def same(one, other):
    return [fold.tries for fold in one.folds] == [fold.tries for fold in other.folds] and str(one) == str(other)


# -- what comes out ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_and_another_one_another():
    one = tuned()
    assert same(one, tuned())
    assert not same(one, tuned(seed=4))


def test_what_was_chosen_is_the_best_of_its_fold_and_runs_behind_it():
    one = tuned()
    assert len(one.folds) == len(SPLITS)
    for fold, split in zip(one.folds, SPLITS, strict=True):
        assert fold.split == split
        assert fold.chosen.value == max(t.value for t in fold.tries if t.value is not None)
        assert fold.repeated
        report, inside = play(Run(swinging, fold.chosen.params, TAPE, split.train, CHEAP))
        assert inside == fold.inside and float(inside.profit.decimal) == fold.chosen.value
        report, outside = play(Run(swinging, fold.chosen.params, TAPE, split.test, CHEAP))
        assert outside == fold.outside
        assert report.desk.books.journal.digest() == fold.report.desk.books.journal.digest()
        assert fold.report.proof.holds
        assert fold.outside_value == float(outside.profit.decimal)
    assert one.profit == USD.units(sum(fold.outside.profit.units for fold in one.folds))
    assert one.latest == one.folds[-1].chosen.params
    assert 0 <= one.chance <= 1


def test_of_equal_values_the_first_is_chosen():
    one = tuned(objective=lambda report: 1.0)
    assert all(fold.chosen.number == next(t.number for t in fold.tries if t.value is not None) for fold in one.folds)


def test_holding_is_run_under_the_same_rules_in_the_same_rows():
    one = tuned()
    fold = one.folds[0]
    window = TAPE.slice(fold.split.test.start, fold.split.test.stop)
    bought = Told([window.at[n] + HOUR for n in range(len(window))])
    report = replay(desk_of(bought), window, rules=CHEAP, progress=False, bounds=False)
    assert fold.hold.profit.text == report.rows()[0]["net_profit"]
    assert fold.hold.fills == 1


def test_out_of_sample_is_printed_first_and_all_of_it_is_in_the_rows():
    one = tuned()
    text = str(one)
    parts = ["Out of sample: 4 test windows", "nothing done", "Doubts: ", "Parameters, fold by fold", "In sample, where they were chosen"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert text.startswith("Out of sample")
    rows = one.rows()
    total = next(line for line in text.splitlines() if line.startswith("in all")).split()
    assert total[3] == f"{one.profit.decimal:z,.2f}"
    assert total[-2] == f"{sum(Decimal(row['hold_profit']) for row in rows):z,.2f}"
    assert [row["fold"] for row in rows] == [1, 2, 3, 4]
    assert sum(Decimal(row["test_profit"]) for row in rows) == one.profit.decimal
    assert {"dip", "keep", "hold_profit", "deflated_sharpe", "train_value"} <= set(rows[0])
    assert len(one.tries()) == 32
    html = one._repr_html_()
    assert html.index("Out of sample") < html.index("Doubts") < html.index("Parameters") < html.index("In sample")


def test_what_is_named_by_a_human_is_no_markup():
    def chosen(style):
        return swinging()

    one = tuned(chosen, {"style": ["<b>x</b>", "<script>"]}, trials=2)
    assert "<script>" not in one._repr_html_() and "&lt;" in one._repr_html_()
    assert "<b>x</b>" in str(one) or "<script>" in str(one)


def test_whole_numbers_floats_steps_and_choices_arrive_as_what_they_are():
    seen = []

    def make(whole, part, step, log, kind):
        seen.append((whole, part, step, log, kind))
        return swinging(0.001, 3)

    tuned(make, {"whole": (1, 9), "part": (0, 0.5), "step": (10, 50, 20), "log": (1, 1000, "log"), "kind": ["a", None, 3]}, trials=12)
    for whole, part, step, log, kind in seen:
        assert type(whole) is int and 1 <= whole <= 9
        assert type(part) is float and 0 <= part <= 0.5
        assert type(step) is int and step in (10, 30, 50)
        assert type(log) is int and 1 <= log <= 1000
        assert kind in ("a", None, 3)


def test_parameters_that_were_tried_before_are_not_run_again():
    made = []

    def make(keep):
        made.append(keep)
        return swinging(0.001, keep)

    one = tuned(make, {"keep": (1, 2)}, trials=10)
    folds = len(one.folds)
    assert len(one.tries()) == 10 * folds
    assert len(made) <= 2 * folds + 2 * folds, "each once in the search, and the best again in sample and in its test"
    assert all(fold.distinct == 2 for fold in one.folds)


# -- wherever it is run --------------------------------------------------------------------------------------------------


def test_threads_and_this_process_make_the_same_tries():
    here = tuned(batch=4)
    with ThreadPoolExecutor(2) as pool:
        assert same(here, tuned(executor=pool, batch=4))
    assert same(here, tuned(executor="here", batch=4)), "many desks in one pass over the tape"


def test_processes_make_the_same_tries():
    splits = Splits(SPLITS.splits[:2], TAPE.at)
    here = tuned(batch=4, splits=splits)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert same(here, tuned(executor=pool, batch=4, splits=splits))


MADE = []


def counting(dip, keep):
    MADE.append((dip, keep))
    if len(MADE) == int(os.environ.get("STOP_AT", "0")):
        raise KeyboardInterrupt
    return swinging(dip, keep)


@pytest.fixture(autouse=True)
def fresh():
    MADE.clear()


def test_a_study_that_is_kept_goes_on_where_it_was(tmp_path):
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    whole = tuned(trials=8)
    first = tuned(counting, trials=3, storage=storage)
    assert [len(fold.tries) for fold in first.folds] == [3] * 4
    MADE.clear()  # a function is also what it uses by name
    assert same(tuned(counting, trials=8, storage=storage), whole), "as if it had never been interrupted"
    MADE.clear()
    assert same(tuned(counting, trials=8, storage=storage), whole)
    assert len(MADE) == 2 * 4, "nothing is left to search; what was chosen is run again"


def test_a_study_of_something_else_is_not_gone_on_with(tmp_path):
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    tuned(trials=2, storage=storage)
    for other in ({"rules": Rules()}, {"seed": 9}, {"objective": "sharpe"}, {"space": {"dip": (0.001, 0.03)}}):
        with pytest.raises(VaultError, match="give this one another name"):
            tuned(trials=2, storage=storage, **other)
    with pytest.raises(VaultError, match="another name"):
        tuned(tape=walk(480, seed=2), trials=2, storage=storage)
    with pytest.raises(VaultError, match="another name"):
        tuned(counting, trials=2, storage=storage)
    tuned(trials=2, storage=storage, seed=9, name="other")


class Kept:
    def __init__(self, keep):
        self.keep = keep


def of_kept(kept):
    return lambda dip: swinging(dip, kept.keep)


def test_a_study_of_another_function_sampler_or_version_is_not_gone_on_with(tmp_path, monkeypatch):
    terms = {"storage": f"sqlite:///{tmp_path / 'studies.db'}", "space": {"dip": (0.001, 0.03)}, "trials": 2, "splits": SPLITS[:1]}
    one, two = (lambda report: 1.0), (lambda report: 2.0)
    first = {"sampler": optuna.samplers.RandomSampler(seed=1), "objective": one, "pruner": optuna.pruners.MedianPruner()}
    same_again = tuned(of_kept(Kept(5)), **terms, **first)
    assert same(tuned(of_kept(Kept(5)), **terms, **first), same_again)
    others = [
        (of_kept(Kept(20)), {}),
        (of_kept(Kept(5)), {"objective": two}),
        (of_kept(Kept(5)), {"sampler": optuna.samplers.RandomSampler(seed=2)}),
        (of_kept(Kept(5)), {"pruner": optuna.pruners.MedianPruner(n_startup_trials=9)}),
    ]
    for make, change in others:
        with pytest.raises(VaultError, match="another name"):
            tuned(make, **{**terms, **first, **change})
    with pytest.raises(VaultError, match=r"it must be certain what was tried: .* closed over kept: a builtins\.object cannot be told"):
        tuned(of_kept(object()), **terms, **first)
    monkeypatch.setattr("sleeves.__version__", "99.0")
    with pytest.raises(VaultError, match="another name"):
        tuned(of_kept(Kept(5)), **terms, **first)


@pytest.mark.parametrize(("batch", "stop"), [(1, 13), (4, 14)])
def test_trials_that_an_end_left_open_do_not_change_what_comes(tmp_path, monkeypatch, batch, stop):
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    terms = {"trials": 16, "batch": batch, "splits": SPLITS[:1]}
    whole = tuned(**terms)
    monkeypatch.setenv("STOP_AT", str(stop))
    with pytest.raises(KeyboardInterrupt):
        tuned(counting, storage=storage, **terms)
    assert len(MADE) == stop
    monkeypatch.delenv("STOP_AT")
    MADE.clear()
    assert same(tuned(counting, storage=storage, **terms), whole)


def test_a_sampler_and_a_pruner_of_the_callers_own():
    random = tuned(sampler=optuna.samplers.RandomSampler(seed=5))
    assert same(random, tuned(sampler=optuna.samplers.RandomSampler(seed=5)))
    made = []

    def by_seed(seed):
        made.append(seed)
        return optuna.samplers.RandomSampler(seed=seed)

    tuned(sampler=by_seed)
    assert len(set(made)) == 4, "each fold has a seed of its own"
    pruned = tuned(pruner=optuna.pruners.MedianPruner(n_startup_trials=2), trials=12)
    given_up = [one for fold in pruned.folds for one in fold.tries if one.pruned]
    assert given_up
    assert all(one.value is None and one.reason.startswith("pruned after ") for one in given_up)
    assert all(fold.chosen is not None and not fold.chosen.pruned for fold in pruned.folds)
    assert same(pruned, tuned(pruner=optuna.pruners.MedianPruner(n_startup_trials=2), trials=12))


def test_optuna_keeps_quiet_and_is_left_as_it_was(capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tuned(trials=3, batch=3)
            with pytest.raises(VaultError):
                tuned(lambda **params: None, trials=2)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert not caught
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("optuna").handlers


def test_progress_is_told_in_tries(tmp_path):
    told = []
    tuned(trials=3, progress=told.append)
    assert sum(told) == 3 * 4
    told.clear()
    storage = f"sqlite:///{tmp_path / 's.db'}"
    tuned(trials=2, storage=storage)
    tuned(trials=3, storage=storage, progress=told.append)
    assert sum(told) == 3 * 4, "those that were kept are told as done"


# -- nothing leaks -------------------------------------------------------------------------------------------------------


def test_knowing_the_train_window_by_heart_earns_nothing_in_the_test():
    """A planted engine that knows each price of its train window beforehand, and nothing else."""

    def by_heart(tape, **_):
        ends, close = tape.ends(), tape.close
        return {"times": [ends[n] for n in range(len(tape) - 1) if close[n + 1] > close[n]]}

    def make(times, unused):
        return desk_of(Told(times))

    one = tuned(make, {"unused": (1, 3)}, fit=by_heart, trials=2)
    assert all(fold.inside.profit > USD("1000") for fold in one.folds), "in sample it is a machine that prints money"
    assert all(fold.outside.fills == 0 and fold.outside.profit == USD("0") for fold in one.folds)
    assert {"worse_outside", "few_trades"} <= {doubt.code for doubt in one.doubts}


AHEAD = 12


def blocks(seed=11, count=40):
    """A market that goes one way for twelve hours, then one way again, drawn anew each time."""
    import random

    rng, price, closes = random.Random(seed), 10_000.0, []
    for _ in range(count):
        way = rng.choice([1.01, 1 / 1.01])
        for _ in range(AHEAD):
            price *= way
            closes.append(round(price, 2))
    return tape_of(closes)


def labelled(tape):
    """The mistake: labels that look twelve rows ahead, made for all rows at once. What is learned is the latest label."""
    close, place = list(tape.close), {at: row for row, at in enumerate(tape.at)}

    def fit(train, **_):
        row = place[train.at[-1]]
        return {"rising": close[min(row + AHEAD, len(close) - 1)] > close[row]}

    return fit


def follows(rising, unused):
    """Long through its whole window where the latest label said that it rises."""

    class Long(Swing):
        def decide(self, memory, view):
            from sleeves import Place, Side

            if rising and not memory["last"]:
                memory["last"] = 1
                return (Place(MARKET, Side.BUY, view.affordable(MARKET)),)
            return None

    return desk_of(Long())


def test_a_gap_as_long_as_a_label_looks_ahead_keeps_the_test_out_of_it():
    tape = blocks()
    made = {}
    for gap in (0, AHEAD):
        splits = walk_forward(tape, train=Rows(8 * AHEAD), test=Rows(AHEAD), gap=Rows(gap))
        made[gap] = tuned(follows, {"unused": (1, 2)}, tape, splits=splits, fit=labelled(tape), trials=1)
    leaked, kept = made[0], made[AHEAD]
    traded = [fold for fold in leaked.folds if fold.outside is not None and fold.outside.fills]
    assert len(traded) >= 8
    assert all(fold.outside.profit.units > 0 for fold in traded), "what looks ahead into the test is never wrong"
    losses = [fold for fold in kept.folds if fold.outside is not None and fold.outside.profit.units < 0]
    assert len(losses) >= 3, "behind the gap it is a guess"
    assert float(leaked.profit.decimal) > 3 * abs(float(kept.profit.decimal))
    assert "no_gap" in {doubt.code for doubt in leaked.doubts}
    assert "no_gap" not in {doubt.code for doubt in kept.doubts}


def test_no_try_ever_sees_a_row_behind_its_train_window():
    seen = []

    class Spy(Swing):
        def decide(self, memory, view):
            seen[-1].append(view.now)
            return super().decide(memory, view)

    def make(dip, keep):
        seen.append([])
        return desk_of(Spy(dip, keep))

    one = tuned(make, trials=4)
    per_fold = 4 + 1 + 1
    assert len(seen) == per_fold * len(one.folds)
    for number, split in enumerate(SPLITS):
        runs = seen[number * per_fold : (number + 1) * per_fold]
        begins = TAPE.at[split.test.start]
        assert all(max(run) <= begins - 12 * HOUR for run in runs[:-1])
        assert max(runs[-1]) == TAPE.at[split.test.stop - 1] + HOUR
        assert min(runs[-1]) == TAPE.at[split.test.warm] + HOUR


# -- what cannot be ------------------------------------------------------------------------------------------------------


def test_without_optuna_the_extra_is_named_and_the_rest_works(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"tuning parameters needs optuna: .*sleeves\[tuning\]"):
        tuned()
    assert len(walk_forward(TAPE, train=8 * DAY, test=3 * DAY)) == 4
    with pytest.raises(VaultError):
        tuned(space={})


def test_importing_it_loads_no_optuna():
    code = "import sys, sleeves.tuning; print(sorted({'optuna', 'numpy', 'pandas', 'sqlalchemy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"space": {"dip": (float("nan"), 1.0)}}, "finite"),
        ({"space": {"dip": (0.03, 0.001)}}, "above high"),
        ({"splits": ()}, "one Split or more"),
        ({"splits": None}, "one Split or more"),
        ({"splits": "abc"}, "one Split or more"),
        ({"splits": walk_forward(walk(240), train=DAY, test=DAY)}, "another tape"),
        ({"trials": 0}, "trials"),
        ({"trials": True}, "trials"),
        ({"trials": 1.5}, "trials"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"batch": 0}, "batch"),
        ({"least_trades": -1}, "least_trades"),
        ({"least_trades": float("nan")}, "least_trades"),
        ({"objective": "best"}, "none of profit"),
        ({"objective": 3}, "none of profit"),
        ({"make_desk": None}, "tune runs desks"),
        ({"tape": [1, 2]}, "tune runs desks"),
        ({"rules": {"BTC/USD": CHEAP}}, "rules are Rules"),
        ({"fit": 3}, "fit is a function"),
        ({"name": " "}, "a study has a name"),
        ({"sampler": 5}, "sampler is one of"),
        ({"pruner": optuna.pruners.MedianPruner}, "pruner is one of"),
        ({"executor": "nowhere"}, "here"),
        ({"executor": 5}, "executor"),
    ],
)
def test_what_cannot_be_is_named_before_anything_runs(wrong, says):
    with pytest.raises(VaultError, match=says):
        tuned(**wrong)


def test_splits_beyond_the_tape_are_refused():
    with pytest.raises(BadTape, match="ends at row 500"):
        tuned(splits=[Split.of((0, 100), (110, 500))])


@pytest.mark.parametrize("answer", ["best", 1j, True, [1]])
def test_an_objective_that_never_answers_with_a_number_is_raised(answer):
    with pytest.raises(VaultError, match=r"none of 8 tries of fold 1 came to an end; .* answers with a number") as caught:
        tuned(objective=lambda report: answer)
    assert isinstance(caught.value.__cause__, InvalidAmount)


def test_an_objective_that_always_raises_is_raised_with_its_cause():
    with pytest.raises(VaultError, match="ZeroDivisionError") as caught:
        tuned(objective=lambda report: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -float("inf"), None])
def test_where_the_objective_is_never_defined_nothing_is_chosen_and_it_is_said(answer):
    one = tuned(objective=lambda report: answer, trials=3)
    assert all(fold.chosen is None and fold.outside is None and fold.hold is None for fold in one.folds)
    assert [doubt.code for doubt in one.doubts] == ["nothing_chosen"] * 4
    assert one.profit == USD("0")
    assert one.latest is None and one.chance is None
    assert "nothing chosen" in str(one) and "never chosen" in str(one)
    assert one.rows()[0]["test_profit"] is None
    assert one._repr_html_()


def test_a_try_that_is_not_defined_is_never_the_best_however_high():
    def objective(report):
        keep = report.story.sleeves["a"].engine
        return float("inf") if keep == "swing-high" else 1.0

    def make(kind):
        engine = Swing(0.001, 3)
        engine.name = f"swing-{kind}"
        return desk_of(engine)

    one = tuned(make, {"kind": ["high", "low"]}, objective=objective, trials=8)
    assert all(fold.chosen.params == {"kind": "low"} for fold in one.folds)


def test_tries_that_raise_say_so_and_the_others_go_on():
    def make(dip, keep):
        if keep > 6:
            raise InvalidAmount(f"keep {keep} is too long")
        return swinging(dip, keep)

    one = tuned(make, trials=12)
    failed = [t for fold in one.folds for t in fold.tries if t.value is None]
    assert any("InvalidAmount: keep" in t.reason for t in failed)
    assert all(fold.chosen.params["keep"] <= 6 for fold in one.folds)


def test_an_engine_that_breaks_in_its_test_window_does_not_take_the_others_along():
    warm, begins = (TAPE.at[row] for row in (SPLITS[1].test.warm, SPLITS[1].test.start))

    class Breaks(Swing):
        def decide(self, memory, view):
            if memory.setdefault("first", view.now) == warm + HOUR and view.now > begins + DAY:
                raise RuntimeError("out of range")
            return super().decide(memory, view)

    one = tuned(lambda dip, keep: desk_of(Breaks(dip, keep)))
    assert "out of range" in one.folds[1].broken and one.folds[1].outside is None
    assert all(fold.outside is not None for number, fold in enumerate(one.folds) if number != 1)
    assert "broken" in {doubt.code for doubt in one.doubts} and "broken" in str(one)
    assert one.profit.units == sum(fold.outside.profit.units for fold in one.folds if fold.outside is not None)
    came = [fold for fold in one.folds if fold.outside is not None]
    total = next(line for line in str(one).splitlines() if line.startswith("3 of 4 in all"))
    held = sum(fold.hold.profit.decimal for fold in came)
    inside = sum(float(fold.inside.profit.decimal) for fold in came) / sum(fold.inside.days for fold in came)
    assert total.split()[-2:] == [f"{held:z,.2f}", f"{inside:z,.2f}"], "the same windows on both sides"
    assert "1 test window broke before the end: what was lost in there is in none of these figures" in str(one)


def test_an_engine_that_keeps_something_outside_of_its_memory_is_found_out():
    count = [0]

    def moody(dip, keep):
        count[0] += 1
        return swinging(0.001, 1 + count[0] % 7)

    assert "not_repeatable" in {doubt.code for doubt in tuned(moody, trials=3).doubts}


def test_rules_that_a_desk_cannot_pay_are_raised():
    with pytest.raises(VaultError, match="more than buys set aside"):
        tuned(rules=Rules(Fees.of("1%", "2%"), Slippage()))


def test_a_tape_in_a_file_is_tuned_like_one_in_memory(tmp_path):
    TAPE.save(tmp_path / "walk.tape")
    kept = Tape.open_file(tmp_path / "walk.tape")
    splits = walk_forward(kept, train=7 * DAY + 12 * HOUR, test=3 * DAY, gap=12 * HOUR, warm=6 * HOUR)
    assert list(splits) == list(SPLITS)
    here, there = tuned(trials=3), tuned(trials=3, tape=kept, splits=splits)
    assert [fold.tries for fold in here.folds] == [fold.tries for fold in there.folds]
    assert here.rows() == there.rows()


def test_a_picture_has_a_bar_for_each_window():
    pytest.importorskip("plotly")
    one = tuned(trials=2)
    out, held, inside = one.plot().data
    assert list(out.y) == [fold.outside.per_day for fold in one.folds]
    assert list(held.y) == [fold.hold.per_day for fold in one.folds]
    assert list(inside.y) == [fold.inside.per_day for fold in one.folds]
    assert out.x[0] == "2020-09-21 00:00"
    empty = tuned(objective=lambda report: None, trials=1).plot()
    assert [list(bar.y) for bar in empty.data] == [[None] * 4] * 3


def test_a_picture_without_plotly_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "plotly" or name.endswith("plots.windows"):
            raise ModuleNotFoundError("No module named 'plotly'", name="plotly")
        return real(name, *args, **kwargs)

    one = tuned(trials=1)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"drawing what was tuned needs plotly: .*sleeves\[plots\]"):
        one.plot()


def test_a_perpetual_is_tuned_and_held_against_too():
    from sleeves import BTC, CoreVault, Desk, Instrument, Place, Side
    from sleeves.market import Kind
    from sleeves.policy import QUIET

    market = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.0001", kind=Kind.PERP)

    class Short(Swing):
        watches = (market,)

        def decide(self, memory, view):
            held = view.position(market)
            memory["since"] += 1
            if not held and memory["since"] > self.keep:
                memory["since"] = 0
                return (Place(market, Side.SELL, market.qty("0.1")),)
            if held and memory["since"] > self.keep:
                memory["since"] = 0
                return (Place(market, Side.BUY, -held, reduce_only=True),)
            return None

    def make(keep):
        vault = CoreVault(USD, total="10000", tradeable="10000")
        desk = Desk(vault)
        desk.assign(Short(keep=keep), to=vault.sleeve("a", QUIET, allocate="10000"))
        return desk

    perp = Tape.from_columns(
        market,
        ts=[at // 10**9 for at in TAPE.at],
        **{name: [price / 100 for price in getattr(TAPE, name)] for name in ("open", "high", "low", "close")},
    )
    one = tuned(make, {"keep": (1, 12)}, perp, trials=3)
    assert all(fold.outside is not None and fold.outside.fills for fold in one.folds), str(one)
    assert all(fold.hold is not None and fold.hold.fills == 1 for fold in one.folds)


def test_a_storage_named_by_its_url_is_closed_at_the_end_and_one_that_is_handed_in_is_not(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with opened(optuna, url) as kept:
        optuna.create_study(storage=kept, study_name="one")
        engine = kept._backend.engine
        assert engine.pool.checkedin()
    assert not engine.pool.checkedin()
    own = optuna.storages.RDBStorage(url)
    with opened(optuna, own) as kept:
        assert kept is own
        assert kept.get_all_studies()
    assert own.engine.pool.checkedin()
    own.remove_session()
    own.engine.dispose()
