"""A sweep: one tape, many desks. Each trial is a desk of its own, with books of its own, made of one set of parameters.

    found = sweep(make_desk, {"fast": [5, 10, 20], "slow": [50, 100]}, tape)

What a trial comes to is exact, and the same wherever it ran. This module says in which order things happen; who carries trials out
is `crew`'s, what is kept is `keep`'s, what is shown is `results`'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

from ..desk import Desk
from ..errors import VaultError
from ..money import PPM
from ..progress import Progress, bar
from ..sim import Rules, Tape
from .crew import crew_of, work
from .figures import Measure, figures
from .grid import Params, combinations
from .identity import told
from .keep import Keep
from .results import Sweep, Trial
from .trial import TOGETHER, Job, Outcome, carry_out

__all__ = ["SweepStopped", "sweep"]

HERE = "here"
"""The executor that is none: this process."""


class SweepStopped(KeyboardInterrupt):
    """A sweep was interrupted. `sweep` is what had come until then; with `keep` it is kept, and the same sweep goes on from there."""

    def __init__(self, found: Sweep, of: int) -> None:
        super().__init__(f"the sweep was interrupted: {len(found)} of {of} trials are done, see .sweep of this error")
        self.sweep = found


def sweep(
    make_desk: Callable[..., Desk],
    grid: Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]],
    tape: Tape | Sequence[Tape],
    *,
    executor: object = None,
    workers: int | None = None,
    rules: Rules | Mapping[str, Rules] | None = None,
    measure: Measure = figures,
    digest: bool = False,
    keep: str | os.PathLike[str] | None = None,
    progress: Progress = None,
    chunk: int | None = None,
) -> Sweep:
    """Run `make_desk(**params)` over the tape, or over several that share one account, for each set of parameters; in the grid's order.

    `grid` is a mapping from names to values, of which every combination is run, or dicts of parameters, see `grid`. `measure` takes
    the figures off each report where it was made; with `digest` the digest of each journal comes along. A trial that
    raises says so, and the others go on.

    `executor` is None for a pool of processes that lasts as long as the sweep, "here" for this process, any
    `concurrent.futures.Executor`, which stays open, or a function that makes one. `workers` is how many there are: by default the cores of
    this process, or what the executor says. `chunk` is how many trials are sent at once.

    `keep` is a file in which finished trials are kept as they come; the same sweep again runs only what is missing. `progress` is as in
    `replay`, counted in trials.

    Raises `VaultError` for a grid, executor or function that cannot be used, `JournalError` for a file that cannot, and
    `SweepStopped`, a KeyboardInterrupt, with what there is when it is interrupted.
    """
    tapes = _tapes(tape)
    trials = combinations(grid)
    _check(make_desk, measure, workers, chunk, executor)
    job = Job(make_desk, measure, rules, bool(digest))
    tokens = [told(params) for params in trials] if keep is not None else []
    with nullcontext() if keep is None else closing(Keep.open(keep, _what(job, tapes))) as kept:
        known = {} if kept is None else kept.found()
        outcomes: dict[int, Trial] = {}
        for number, token in enumerate(tokens):
            if token in known:
                found, chain = known[token]
                outcomes[number] = Trial(trials[number], found, "", chain, kept=True)
        missing = [(number, params) for number, params in enumerate(trials) if number not in outcomes]
        names = _named(make_desk), ", ".join(str(one) for one in tapes)
        try:
            with (
                bar(len(missing), "trials", progress) as advance,
                closing(_run(executor, job, tapes, missing, workers, chunk)) as coming,
            ):
                for came in coming:
                    if kept is not None:
                        kept.put((tokens[one.number], one.figures, one.digest) for one in came if not one.error)
                    for one in came:
                        outcomes[one.number] = Trial(trials[one.number], one.figures, one.error, one.digest)
                    if advance is not None:
                        advance(len(came))
        except KeyboardInterrupt:
            raise SweepStopped(_sweep(outcomes, names), len(trials)) from None
    return _sweep(outcomes, names)


def _sweep(outcomes: Mapping[int, Trial], names: tuple[str, str]) -> Sweep:
    return Sweep([outcomes[number] for number in sorted(outcomes)], *names)


def _run(
    executor: object, job: Job, tapes: Sequence[Tape], trials: Sequence[tuple[int, Params]], workers: int | None, chunk: int | None
) -> Generator[list[Outcome], None, None]:
    if not trials:
        return
    if executor == HERE:
        for first in range(0, len(trials), chunk or TOGETHER):
            came = carry_out(job, tapes, trials[first : first + (chunk or TOGETHER)])
            assert isinstance(came, list)  # tapes that are here are not missing
            yield came
        return
    with crew_of(executor, job, tapes, workers) as crew:
        yield from work(crew, trials, chunk)


def _tapes(given: Tape | Sequence[Tape]) -> tuple[Tape, ...]:
    tapes = (given,) if isinstance(given, Tape) else tuple(given) if isinstance(given, (list, tuple)) else ()
    if not tapes or not all(isinstance(one, Tape) for one in tapes):
        raise VaultError(f"a sweep runs over a Tape, or a list of them, not over {type(given).__name__}")
    return tapes


def _check(make_desk: object, measure: object, workers: object, chunk: object, executor: object) -> None:
    for what, function in (("make_desk", make_desk), ("measure", measure)):
        if not callable(function):
            raise VaultError(f"{what} is a function, not {function!r:.80}")
    for what, number in (("workers", workers), ("chunk", chunk)):
        if number is not None and (type(number) is not int or not 0 < number <= PPM):
            raise VaultError(f"{what} is a whole number above zero, not {number!r:.80}")
    if isinstance(executor, str) and executor != HERE:
        raise VaultError(f'the only executor that goes by a name is "here", not {executor!r:.80}')


def _named(make_desk: Callable[..., Desk]) -> str:
    inner: Any = make_desk
    while hasattr(inner, "func"):
        inner = inner.func
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def _what(job: Job, tapes: Sequence[Tape]) -> str:
    """What is run, as one line of text: another line is another sweep."""
    from .. import __version__

    return told(
        {
            "sleeves": __version__,
            "make_desk": job.make_desk,
            "measure": job.measure,
            "tapes": tapes,
            "rules": job.rules,
            "digest": job.digest,
        }
    )
