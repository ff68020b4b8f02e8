"""Tune a strategy's parameters on the past, and say first what they made on data that they were not chosen on.

    splits -> for each: search on the train window -> the best, run on the test window -> Tuned

Each trial is a desk of its own, replayed with its own exact books. It knows neither how parameters are searched for (`search`)
nor how a run is made (`play`), and believes no result (`doubts`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from ..errors import VaultError
from ..money import Asset
from ..progress import Progress, bar
from ..sim.models import Rules
from ..sim.tape import Tape
from ..sweeps import Trial, sweep
from ..sweeps.identity import told
from .doubts import LEAST_TRADES
from .hold import hold
from .outcome import Objective, check_objective, score
from .play import Begin, Fit, MakeDesk, Run, Scored, Value, play, try_run
from .search import Evaluate, Search, import_optuna, opened, quiet
from .space import Given, space_of
from .splits import Split, Splits
from .tuned import Fold, Try, Tuned

__all__ = ["tune"]


def tune(
    make_desk: MakeDesk,
    space: Mapping[str, Given],
    tape: Tape,
    *,
    splits: Splits | Sequence[Split],
    objective: Objective = "profit",
    trials: int = 50,
    seed: int = 0,
    rules: Rules | None = None,
    fit: Fit | None = None,
    sampler: Any = None,
    pruner: Any = None,
    executor: object = None,
    batch: int | None = None,
    storage: Any = None,
    name: str = "tune",
    least_trades: int = LEAST_TRADES,
    progress: Progress = None,
) -> Tuned:
    """Search for the best parameters on each train window, and run them on the test window behind it.

    `make_desk(**params)` makes a fresh desk; `space` says what is varied (see `sleeves.tuning.space`), `splits` where
    (`walk_forward`), `objective` what is sought: one of `OBJECTIVES`, or a function of the `Report`, the higher the better. A
    try without a fill, whose objective is None or not finite, or that raises, has no value and is never the best. The report is of
    the whole run, its warm-up with it: a ratio of a function's own is thinned by those days, one of `OBJECTIVES` is not.

    `fit(tape, **params)` learns on the rows of the train window, and alone on those: what it answers with is given to
    `make_desk` besides. `sampler` is one of Optuna's, or a function from a seed to one; Optuna's TPE by default. `pruner` is
    one of Optuna's, asked after a quarter and half of the train window. Desks are run one by one in this process; with an
    `executor`, as `sleeves.sweeps.sweep` takes it, `batch` of them at a time (8 by default), and `make_desk`, `fit` and
    `objective` are sent there.

    The same seed and batch make the same tries, wherever they are run. `storage` is Optuna's, a URL or an object: studies are
    kept there under `name`, and go on where they were; functions and a sampler must be such that it can be told for certain whether
    they are the same, see `sleeves.sweeps.sweep`.

    Raises `MissingExtra` without Optuna; `VaultError` for what cannot be searched, when each try of a fold raised (with the first
    error as the cause), and for a study of something else; `BadTape` for splits of another tape.
    """
    params = space_of(space)
    sought = check_objective(objective)
    if not callable(make_desk) or not isinstance(tape, Tape):
        raise VaultError(f"tune runs desks that make_desk makes over one Tape, not {make_desk!r} over {type(tape).__name__}")
    given = splits if isinstance(splits, Splits) else Splits(tuple(splits) if isinstance(splits, (list, tuple)) else (), tape.at)
    if len(given.at) != len(tape) or given.at[0] != tape.at[0] or given.at[-1] != tape.at[-1]:
        raise VaultError(f"these splits are of another tape, of {len(given.at)} rows, not of {tape}")
    size = (1 if executor is None else 8) if batch is None else batch
    for what, number, least in (("trials", trials, 1), ("batch", size, 1), ("least_trades", least_trades, 0), ("seed", seed, 0)):
        if type(number) is not int or number < least:
            raise VaultError(f"{what} {number!r} must be a whole number, at least {least}")
    if rules is not None and not isinstance(rules, Rules):
        raise VaultError(f"rules are Rules, for the one market of the tape, not {rules!r}")
    if fit is not None and not callable(fit):
        raise VaultError(f"fit is a function of a tape and parameters, not {fit!r}")
    if not isinstance(name, str) or not name.strip():
        raise VaultError(f"a study has a name, not {name!r}")
    optuna = import_optuna()
    if sampler is not None and not callable(sampler) and not isinstance(sampler, optuna.samplers.BaseSampler):
        raise VaultError(f"sampler is one of Optuna's, or a function from a seed to one, not {sampler!r}")
    if pruner is not None and not isinstance(pruner, optuna.pruners.BasePruner):
        raise VaultError(f"pruner is one of Optuna's, not {pruner!r}")
    rules = rules if rules is not None else Rules()
    evaluate: Evaluate = _here if executor is None else _Swept(executor)
    terms = "" if storage is None else _terms(tape, params, rules, seed, size, sampler, pruner, make_desk, sought, fit)
    folds = []
    with quiet(optuna), opened(optuna, storage) as kept, bar(trials * len(given), "tries", progress) as tell:
        for number, split in enumerate(given, 1):
            run = Run(make_desk, {}, tape, split.train, rules, fit, (split.train.start, split.train.stop), sought)
            who = hashlib.sha256(repr([terms, split]).encode()).hexdigest()
            search = Search(optuna, params, run, number, seed, trials, size, evaluate, sampler, pruner, kept, name, who, tell)
            folds.append(_fold(number, split, search.tries(), run))
    return Tuned(
        folds=tuple(folds),
        splits=given,
        space=params,
        objective=sought if isinstance(sought, str) else _named(sought),
        asset=_asset(folds, tape),
        rules=rules,
        seed=seed,
        least_trades=least_trades,
        about=(_made(trials, sought, seed, size, sampler), f"data: {tape}", f"rows: {given.told()}", *given.empty, *rules.describe()),
        has_book=bool(tape.depths),
        learns=fit is not None,
    )


def _terms(*terms: object) -> str:
    """What is searched, as text: another text is another study. Raises `VaultError` where it cannot be told, functions included."""
    from .. import __version__

    try:
        return told([__version__, *terms])
    except VaultError as error:
        raise VaultError(f"with a storage, it must be certain what was tried: {error}") from error


def _named(what: object) -> str:
    """What a function, or whatever is callable, is called."""
    return "" if what is None else what if isinstance(what, str) else getattr(what, "__qualname__", type(what).__qualname__)


def _made(trials: int, sought: Objective, seed: int, size: int, sampler: object) -> str:
    by = "TPE" if sampler is None else getattr(sampler, "__name__", type(sampler).__name__)
    return f"{trials} tries on each train window for the most {_named(sought)}; seed {seed}, {size} at a time, sampler {by}"


def _asset(folds: Sequence[Fold], tape: Tape) -> Asset:
    found = [one.inside.profit.asset for one in folds if one.inside is not None]
    return found[0] if found else tape.instrument.quote


def _here(runs: Sequence[Run]) -> list[Scored]:
    return [try_run(run) for run in runs]


class _Swept:
    """Runs as trials of a sweep, in whatever executor it takes."""

    def __init__(self, executor: object) -> None:
        self._executor = executor

    def __call__(self, runs: Sequence[Run]) -> list[Scored]:
        one = runs[0]
        rows = one.counted
        value = Value(one.objective, rows.at[0], len(rows))
        params = [run.params for run in runs]
        chunk = len(runs) if self._executor == "here" else None
        found = sweep(Begin.of(one), params, rows, executor=self._executor, rules=one.rules, measure=value, progress=False, chunk=chunk)
        return [_scored(trial) for trial in found]


def _scored(trial: Trial) -> Scored:
    if trial.error:
        return Scored(None, trial.error, error=RuntimeError(trial.error))
    value, reason, sharpe = (trial.figures[name] for name in ("value", "reason", "sharpe"))
    assert value is None or isinstance(value, float)
    assert sharpe is None or isinstance(sharpe, float)
    return Scored(value, str(reason), sharpe=sharpe)


def _fold(number: int, split: Split, tries: tuple[Try, ...], run: Run) -> Fold:
    """The best of the tries, run once more on the train window, and then on the test window."""
    valued = [one for one in tries if one.value is not None]
    chosen = max(valued, key=lambda one: (one.value or 0.0, -one.number), default=None)
    if chosen is None:
        return Fold(number, split, tries)
    best = evolve(run, params=dict(chosen.params))
    report, inside = play(best)
    again, _ = score(run.objective, inside, report)
    held = hold(run.tape, split.test, inside.capital, run.rules)
    fold = Fold(number, split, tries, chosen, inside, hold=held, repeated=again == chosen.value)
    try:
        report, outside = play(evolve(best, window=split.test))
    except Exception as error:
        return evolve(fold, broken=f"{type(error).__name__}: {error}")
    report.proof.require()
    try:
        value, _ = score(run.objective, outside, report)
    except Exception:
        value = None
    return evolve(fold, outside=outside, outside_value=value, report=report)
