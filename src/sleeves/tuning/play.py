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

__all__ = ["BY", "Begin", "Fit", "MakeDesk", "Run", "Scored", "Value", "play", "try_run", "warm_up"]

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
    _cuts: dict[tuple[int, int], Tape] = field(factory=dict, repr=False, eq=False, alias="cuts")

    def cut(self, first: int, last: int) -> Tape:
        """Rows first to before last of the tape, cut once for all runs that are evolved from this one."""
        known = self._cuts.get((first, last))
        if known is None:
            known = self._cuts[first, last] = self.tape.slice(first, last)
        return known

    @property
    def counted(self) -> Tape:
        """The rows that count."""
        return self.cut(self.window.start, self.window.stop)


@frozen(order=False)
class Scored:
    """What came of a run: its value, or why it has none. `outcome` is there where it ran to its end in this process."""

    value: float | None
    reason: str = ""
    outcome: Outcome | None = None
    error: BaseException | None = field(default=None, eq=False)
    sharpe: float | None = None
    """Of daily returns, of one day."""


@frozen(order=False)
class Begin:
    """`make_desk` for a run whose window is about to begin: what is to be learned is learned, and the warm-up is over.

    Called with parameters it makes the desk. `func` is the user's own function.
    """

    func: MakeDesk
    warm: Tape | None = field(default=None, repr=False)
    rules: Rules | None = None
    fit: Fit | None = None
    learns: Tape | None = field(default=None, repr=False)

    def __call__(self, **params: Any) -> Desk:
        learned = {} if self.fit is None else self.fit(self.learns, **params)
        if not isinstance(learned, Mapping):
            raise VaultError(f"fit answers with a mapping of what make_desk is given besides, not with {learned!r}")
        desk = self.func(**params, **learned)
        if not isinstance(desk, Desk):
            raise VaultError(f"make_desk answers with a Desk, not with {desk!r}")
        if any(sleeve.positions() for vault in desk.treasury.vaults for sleeve in vault.sleeves.values()):
            raise VaultError("make_desk answers with a fresh desk: this one has positions")
        if self.warm is not None:
            warm_up(desk, self.warm, self.rules)
        return desk

    @classmethod
    def of(cls, run: Run) -> Begin:
        window = run.window
        warm = run.cut(window.warm, window.start) if window.warm < window.start else None
        return cls(run.make_desk, warm, run.rules, run.fit, None if run.fit is None else run.cut(*run.learns))


@frozen(order=False)
class Value:
    """A measure of `sweeps`: the value of a run whose window began at an instant and has so many rows, or why it has none."""

    objective: Objective
    since: int
    rows: int

    def __call__(self, report: Report) -> dict[str, float | str | None]:
        outcome = outcome_of(report, self.since, self.rows)
        value, reason = score(self.objective, outcome, report)
        return {"value": value, "reason": reason, "sharpe": sharpe_of(outcome)}


def sharpe_of(outcome: Outcome) -> float | None:
    """Of daily returns, of one day; None where it is not known."""
    shape = outcome.shape
    return None if shape is None else shape.sharpe


def play(run: Run) -> tuple[Report, Outcome]:
    """Make the desk and run it: the report, of the warm-up too, and what was made in the window alone.

    Raises what `make_desk`, `fit` and an engine raise, and `VaultError` where what was made is no fresh desk.
    """
    desk = Begin.of(run)(**run.params)
    known, rows = len(desk.books.journal), run.counted
    report = replay(desk, rows, rules=run.rules, progress=False, bounds=False)
    return report, outcome_of(report, rows.at[0], len(rows), known)


def warm_up(desk: Desk, tape: Tape, rules: Rules | None = None) -> None:
    """Show a desk the rows of a tape while all that would be new risk is refused. Vaults that were not active stay as they were."""
    paused = [vault for vault in desk.treasury.vaults if vault.own_status is Status.ACTIVE]
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
        return Scored(None, f"{type(error).__name__}: {error}", outcome, error)
    return Scored(value, reason, outcome, sharpe=sharpe_of(outcome))
