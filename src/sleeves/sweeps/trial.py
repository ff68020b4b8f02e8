"""One trial: a desk made of its parameters, run over the tape, and what came of it. This is what runs in the workers.

A trial that cannot be made, whose engine raises or whose books break a law says so in its outcome, and harms no other one.
It knows nothing of pools: `carry_out` is handed trials and tapes, and gives outcomes.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from ..desk import Desk
from ..errors import BadTape, EngineFault, LedgerError, VaultError
from ..report import Report
from ..sim import Rules, Tape, replay, replay_many
from .figures import Figure, Measure, checked
from .grid import Params

__all__ = ["TOGETHER", "Carried", "Job", "Missing", "Outcome", "Sent", "carry_out", "error_text", "forget"]

LONGEST = 2_000
"""Characters of an error that are kept."""

TOGETHER = 8
"""Trials of one chunk whose desks are alive at once."""


@frozen(eq=False)
class Job:
    """What all trials of a sweep share: how a desk is made and measured, and the venue's rules."""

    make_desk: Callable[..., Desk]
    measure: Measure
    rules: Rules | Mapping[str, Rules] | None
    digest: bool
    """Whether each trial's journal is summed up in its digest."""


@frozen(eq=False)
class Outcome:
    """What one trial came to: figures, or the error that ended it. `number` is its place in the grid."""

    number: int
    figures: Mapping[str, Figure]
    error: str = ""
    digest: str = ""


@frozen(eq=False)
class Sent:
    """A tape on its way to a worker, as little of it as will do: by where its file is."""

    key: str
    """What it is kept under in a worker."""
    pickled: bytes
    """The tape as Python pickles it: by its file where it has one. Empty where that would be by what is in it."""
    path: str = ""
    """Then: the file where that is."""


@frozen(eq=False)
class Carried:
    """What is in a tape, for a worker that does not see its file: the bytes of a file, and the digest that the tape then has."""

    data: bytes
    pickled: bool
    digest: str


@frozen
class Missing:
    """A worker's answer when it does not see a tape's file, or sees another one there: send what is in it."""


def carry_out(
    job: Job,
    tapes: Sequence[Sent | Tape],
    trials: Sequence[tuple[int, Params]],
    data: Mapping[str, Carried] | None = None,
    attempt: int = 0,  # noqa: ARG001
) -> list[Outcome] | Missing:
    """Run the trials one after the other. `data` is what is in the tapes, by key, where it was sent along.

    `attempt` tells a second try from the first, where equal calls are taken for one.
    """
    found: list[Tape] = []
    for one in tapes:
        tape = one if isinstance(one, Tape) else _tape(one, (data or {}).get(one.key))
        if tape is None:
            return Missing()
        found.append(tape)
    outcomes: list[Outcome] = []
    for first in range(0, len(trials), TOGETHER):
        outcomes += _together(job, found, trials[first : first + TOGETHER])
    return outcomes


def _together(job: Job, tapes: Sequence[Tape], trials: Sequence[tuple[int, Params]]) -> list[Outcome]:
    """In one pass over the tape; where one of them cannot be made, or not be run at all, each by itself."""
    if len(trials) > 1:
        with suppress(Exception, SystemExit):  # whose fault it was is found out below, where each has a desk of its own again
            desks = [_desk(job, params) for _, params in trials]
            reports: list[Report | EngineFault] = replay_many(desks, tapes, rules=job.rules, progress=False, catch=True)
            found: list[Outcome] = []
            while reports:
                number, _ = trials[len(found)]
                report = reports.pop(0)
                found.append(Outcome(number, {}, error_text(report)) if isinstance(report, EngineFault) else _judged(job, number, report))
            return found
    return [_alone(job, tapes, number, params) for number, params in trials]


def _alone(job: Job, tapes: Sequence[Tape], number: int, params: Params) -> Outcome:
    try:
        desk = _desk(job, params)
        report = replay(desk, tapes[0] if len(tapes) == 1 else tapes, rules=job.rules, progress=False, bounds=False)
    except (Exception, SystemExit) as error:
        return Outcome(number, {}, error_text(error))
    return _judged(job, number, report)


def _desk(job: Job, params: Params) -> Desk:
    desk = job.make_desk(**params)
    if not isinstance(desk, Desk):
        raise VaultError(f"make_desk gives a Desk, not a {type(desk).__name__}")
    return desk


def _judged(job: Job, number: int, report: Report) -> Outcome:
    try:
        proof = report.desk.check(report.holdings, positions=report.positions)
        if not proof.holds:
            raise LedgerError(f"the books do not hold: {'; '.join(breach for law in proof.findings for breach in law.breaches)}")
        figures = checked(job.measure(report))
        digest = report.desk.books.journal.digest() if job.digest else ""
    except (Exception, SystemExit) as error:
        return Outcome(number, {}, error_text(error))
    return Outcome(number, figures, "", digest)


def error_text(error: BaseException) -> str:
    """An error as one text: its kind and what it says."""
    try:
        said = str(error)
    except Exception as worse:
        said = f"(it cannot be told: {type(worse).__name__})"
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


# -- tapes in a worker ---------------------------------------------------------------------------------------------------


KEPT = 8
"""Tapes that a process keeps open for the trials to come."""

_OPEN: OrderedDict[str, Tape] = OrderedDict()


def forget(key: str) -> None:
    """Keep a tape open no more, in this process."""
    _OPEN.pop(key, None)


def _tape(sent: Sent, carried: Carried | None) -> Tape | None:
    """The tape that was sent, opened once in each process; None where its file is not here and what is in it was not sent."""
    tape = _OPEN.get(sent.key)
    if tape is None:
        try:
            tape = _opened(sent) if carried is None else _unpacked(carried)
        except (BadTape, OSError):
            if carried is not None:
                raise
            return None
        _OPEN[sent.key] = tape
        while len(_OPEN) > KEPT:
            _OPEN.popitem(last=False)
    _OPEN.move_to_end(sent.key)
    return tape


def _opened(sent: Sent) -> Tape:
    """Raises `BadTape` or `OSError` where the file is not here, or another one is."""
    tape: Tape = pickle.loads(sent.pickled or Path(sent.path).read_bytes())
    return tape


def _unpacked(carried: Carried) -> Tape:
    """A tape from what is in its file: by way of a file of this machine, which is gone from its folder at once."""
    if carried.pickled:
        tape: Tape = pickle.loads(carried.data)
    else:
        handle, path = tempfile.mkstemp(prefix="sleeves-tape-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(carried.data)
            tape = Tape.open_file(path)
        finally:
            with suppress(OSError):  # some systems keep an open file in its folder: it is for their own cleaning of such files
                os.unlink(path)
    if tape.digest() != carried.digest:
        raise BadTape(f"{tape.name} has arrived as another tape than was sent")
    return tape
