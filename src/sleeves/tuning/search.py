"""The search: Optuna says which parameters to try, desks are replayed with them, and it is told what they made. Only this knows Optuna.

Trials are asked for in batches and told in the order in which they were asked for, whoever runs them and whoever is done first: so the
same seed and the same batch give the same trials, in one process and in many. With the default sampler each trial is sampled
with a seed of its own, made of the search's seed, its fold and its number, so that a study that was interrupted and goes on
makes the very trials that it would have made.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeAlias

from attrs import define, evolve, field

from ..errors import MissingExtra, VaultError
from .play import Run, Scored
from .space import Choice, Param
from .splits import Window
from .tuned import Try

__all__ = ["RUNGS", "Evaluate", "Search", "import_optuna", "opened", "quiet"]

RUNGS = (0.25, 0.5)
"""With a pruner: after which parts of the train window it is asked. Each is a run of its own, from the window's begin."""

Evaluate: TypeAlias = Callable[[Sequence[Run]], Sequence[Scored]]
"""Makes runs and scores them, in their order."""


def import_optuna() -> Any:
    """The library. Raises `MissingExtra` without it."""
    try:
        import optuna
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "optuna":
            raise
        raise MissingExtra("optuna", "tuning", "tuning parameters") from error
    return optuna


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Let Optuna log errors alone meanwhile, and nothing of what it calls experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def opened(optuna: Any, storage: Any) -> Iterator[Any]:
    """A storage for studies: one that is named by its URL is opened once, and closed at the end; one that is handed in stays open."""
    if not isinstance(storage, str):
        yield storage
        return
    kept = optuna.storages.get_storage(storage)
    try:
        yield kept
    finally:
        kept.remove_session()
        engine = getattr(getattr(kept, "_backend", kept), "engine", None)  # Optuna closes no connection of its own accord
        if engine is not None:
            engine.dispose()


@define
class Search:
    """One fold's search. `run` is what every trial runs, but for its parameters."""

    optuna: Any
    space: Mapping[str, Param]
    run: Run
    fold: int
    seed: int
    trials: int
    batch: int
    evaluate: Evaluate
    sampler: Any = None
    pruner: Any = None
    storage: Any = None
    name: str = "tune"
    identity: str = ""
    tell: Callable[[int], object] | None = None
    _known: dict[str, Scored] = field(factory=dict)

    def tries(self) -> tuple[Try, ...]:
        """Search to the end, and give all tries in the order in which they were asked for.

        Raises `VaultError` when each of them ended in an error, with the first as its cause; and when the study that is kept
        under this name is another one's.
        """
        study = self._study()
        done = self._finished(study)
        if self.tell is not None and done:
            self.tell(min(len(done), self.trials))
        first: BaseException | None = None
        count = len(done)
        while count < self.trials:
            size = min(self.batch, self.trials - count)
            trials = [self._ask(study, count + n) for n in range(size)]
            for trial, scored in self._scored(trials):
                first = first or scored.error
                self._tell(study, trial, scored)
            count += size
            if self.tell is not None:
                self.tell(size)
        found = self._finished(study)
        if all(one.reason.startswith("error: ") for one in found):
            raise VaultError(f"none of {len(found)} tries of fold {self.fold} came to an end; the first: {found[0].reason[7:]}") from first
        return found

    # -- Optuna ------------------------------------------------------------------------------------------------------

    def _study(self) -> Any:
        sampler = None if callable(self.sampler) or self.sampler is None else deepcopy(self.sampler)
        if callable(self.sampler):
            sampler = self.sampler(seed_of(self.seed, self.fold, 0))
        pruner = self.optuna.pruners.NopPruner() if self.pruner is None else deepcopy(self.pruner)
        study = self.optuna.create_study(
            storage=self.storage,
            study_name=None if self.storage is None else f"{self.name}, fold {self.fold}",
            direction="maximize",
            sampler=sampler or self.optuna.samplers.RandomSampler(seed=0),
            pruner=pruner,
            load_if_exists=self.storage is not None,
        )
        known = study.user_attrs.get("sleeves")
        if known is None and not study.trials:
            study.set_user_attr("sleeves", self.identity)
        elif known != self.identity:
            what = "another tape, space, split, objective, seed, sampler, set of rules, function or version of sleeves"
            raise VaultError(f"the study {study.study_name!r} is kept in this storage already, of {what}: give this one another name")
        for trial in study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)  # of a process that ended in between
        return study

    def _finished(self, study: Any) -> tuple[Try, ...]:
        tries: list[Try] = []
        for trial in study.get_trials(deepcopy=False):
            kept = trial.user_attrs.get("sleeves")
            if kept is None or not trial.state.is_finished():
                continue
            value = trial.value if trial.state is self.optuna.trial.TrialState.COMPLETE else None
            params = {name: trial.params[name] for name in self.space}
            tries.append(Try(len(tries), params, value, kept["reason"], kept["pruned"], kept["sharpe"]))
        return tuple(tries)

    def _ask(self, study: Any, number: int) -> tuple[Any, dict[str, Any]]:
        if self.sampler is None:
            seed = seed_of(self.seed, self.fold, number)
            study.sampler = self.optuna.samplers.TPESampler(seed=seed, constant_liar=self.batch > 1)
        trial = study.ask()
        return trial, {name: self._suggest(trial, name, param) for name, param in self.space.items()}

    @staticmethod
    def _suggest(trial: Any, name: str, param: Param) -> Any:
        if isinstance(param, Choice):
            return trial.suggest_categorical(name, param.choices)
        if param.whole:
            return trial.suggest_int(name, param.low, param.high, step=param.step or 1, log=param.log)
        return trial.suggest_float(name, param.low, param.high, step=param.step, log=param.log)

    def _tell(self, study: Any, trial: Any, scored: Scored) -> None:
        pruned = scored.reason.startswith("pruned")
        reason = f"error: {scored.reason}" if scored.error is not None else scored.reason
        trial.set_user_attr("sleeves", {"reason": reason, "pruned": pruned, "sharpe": scored.sharpe})
        if scored.value is None:
            study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, scored.value)

    # -- running -----------------------------------------------------------------------------------------------------

    def _scored(self, trials: Sequence[tuple[Any, dict[str, Any]]]) -> Iterator[tuple[Any, Scored]]:
        """What came of trials, in their order; those that a pruner gives up are not run to their end."""
        given_up: dict[int, Scored] = {}
        whole = self.run.window
        for step, part in enumerate(RUNGS if self.pruner is not None else ()):
            left = [one for one in trials if one[0].number not in given_up]
            window = Window(whole.start, whole.start + max(1, int(len(whole) * part)), whole.warm)
            for (trial, _), scored in zip(left, self._run([params for _, params in left], window), strict=True):
                if scored.value is not None:
                    trial.report(scored.value, step)
                    if trial.should_prune():
                        given_up[trial.number] = Scored(None, f"pruned after {part:.0%} of the train window")
        left = [one for one in trials if one[0].number not in given_up]
        ended = dict(zip((trial.number for trial, _ in left), self._run([params for _, params in left], whole), strict=True))
        for trial, _ in trials:
            yield trial, given_up.get(trial.number) or ended[trial.number]

    def _run(self, params: Sequence[Mapping[str, Any]], window: Window) -> list[Scored]:
        """Each set of parameters over a window; what was run before, or is asked for twice, is run once."""
        keys = [f"{window.stop}: {sorted(one.items())!r}" for one in params]
        new = {key: one for key, one in zip(keys, params, strict=True) if key not in self._known}
        runs = [evolve(self.run, params=dict(one), window=window) for one in new.values()]
        self._known.update(zip(new, self.evaluate(runs) if runs else (), strict=True))
        return [self._known[key] for key in keys]


def seed_of(seed: int, fold: int, number: int) -> int:
    """A seed of its own for a trial, of 32 bits."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, fold, number]).encode()).digest()[:4], "big")
