"""One run of one desk over one window: warm-up first, with orders refused, then the rows that count.

The warm-up is the same desk on the rows before the window, with its vaults paused: engines are asked on each of them, and
remember; every wish for new risk is refused by the status gate, so that no money moves. When the window begins the vaults are
resumed, and the books still hold exactly what they began with. An engine that thinks it has bought in the warm-up finds that
it has not, and waits for its next occasion: a window begins flat. Both are written in the journal, by "tune".

A run is described by values that can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from ..desk import Desk
from ..errors import VaultError
from ..report import Report
from ..sim.models import Rules
from ..sim.replay import replay
from ..sim.tape import Tape
from ..status import Status
from .outcome import Objective, Outcome, outcome_of, score
from .splits import Window

__all__ = ["BY", "Fit", "MakeDesk", "Run", "Scored", "play"]

BY = "tune"
"""By whom vaults are paused and resumed around a warm-up."""

MakeDesk: TypeAlias = Callable[..., Desk]
"""Makes a fresh desk from keyword parameters."""
Fit: TypeAlias = Callable[..., Mapping[str, Any]]
"""Learns on a train window: (tape, **parameters) -> what `MakeDesk` is given besides."""


@frozen(order=False)
class Run:
    """What it takes to make one run: a desk from these parameters, and the rows of a tape."""

    make_desk: MakeDesk
    params: Mapping[str, Any]
    tape: Tape = field(repr=False)
    window: Window
    rules: Rules | None = None
    fit: Fit | None = None
    learns: tuple[int, int] = (0, 0)
    """The rows that `fit` is shown."""
    objective: Objective = "profit"


@frozen(order=False)
class Scored:
    """What came of a run: its value, or why it has none; `outcome` is None where it did not come to an end."""

    value: float | None
    reason: str = ""
    outcome: Outcome | None = None
    error: BaseException | None = field(default=None, eq=False)


def play(run: Run) -> tuple[Report, Outcome]:
    """Make the desk and run it: the report, of the warm-up too, and what was made in the window alone.

    Raises what `make_desk`, `fit` and an engine raise, and `VaultError` where what was made is no fresh desk.
    """
    window, tape = run.window, run.tape
    learned = {} if run.fit is None else run.fit(tape.slice(*run.learns), **run.params)
    if not isinstance(learned, Mapping):
        raise VaultError(f"fit answers with a mapping of what make_desk is given besides, not with {learned!r}")
    desk = run.make_desk(**run.params, **learned)
    if not isinstance(desk, Desk):
        raise VaultError(f"make_desk answers with a Desk, not with {desk!r}")
    if any(sleeve.positions() for vault in desk.treasury.vaults for sleeve in vault.sleeves.values()):
        raise VaultError("make_desk answers with a fresh desk: this one has positions")
    if window.warm < window.start:
        warm_up(desk, tape.slice(window.warm, window.start), run.rules)
    known, since = len(desk.books.journal), tape.at[window.start]
    report = replay(desk, tape.slice(window.start, window.stop), rules=run.rules, progress=False, bounds=False)
    return report, outcome_of(report, since, len(window), known)


def warm_up(desk: Desk, tape: Tape, rules: Rules | None = None) -> None:
    """Show a desk the rows of a tape while all that would be new risk is refused. Vaults that were not active stay as they were."""
    paused = [vault for vault in desk.treasury.vaults if vault.own_status in (Status.ACTIVE, Status.STAND_BY)]
    for vault in paused:
        desk.pause(vault, by=BY, why="warm-up", at=desk.books.now)
    replay(desk, tape, rules=rules, progress=False, bounds=False)
    for vault in paused:
        desk.resume(vault, by=BY, why="the window begins", at=desk.books.now)


def try_run(run: Run) -> Scored:
    """`play` and `score`: an exception becomes the reason why there is no value. For one trial among many, in any process."""
    try:
        report, outcome = play(run)
    except Exception as error:
        return Scored(None, f"{type(error).__name__}: {error}", error=error)
    try:
        value, reason = score(run.objective, outcome, report)
    except Exception as error:
        return Scored(None, f"objective: {type(error).__name__}: {error}", outcome, error)
    return Scored(value, reason, outcome)
