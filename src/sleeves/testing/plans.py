"""The promise of a plan, tried: an engine that is asked on the rows that its plan names does what it does asked on every row.

    check_plan(EmaCross(market), tape)

One run over the tape on a real desk, with two memories: one decides on every row, the other only where the plan says so,
brought there by the plan. Both see the same view. The first row at which they differ is named.

What an engine decides and how a plan finds its rows is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from typing import Any

import attrs

from ..desk import Desk
from ..errors import EngineFault, VaultError
from ..gates import describe
from ..market import Instrument
from ..money import AmountLike
from ..orders import Intent, Place
from ..policy import QUIET
from ..protocols import Plan, Planned, View
from ..sim.models import Rules
from ..sim.replay import replay
from ..sim.tape import Tape
from ..vault import CoreVault

__all__ = ["PlanBroken", "PlanTried", "check_plan"]


class PlanBroken(AssertionError):
    """A plan and the stream differ. The message names the row, counted from 0, and what differs; `row` is the former."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(f"row {row}: {what}")
        self.row = row


@attrs.frozen
class PlanTried:
    """What was tried: rows of the tape, those that the engine was asked on, those that its plan named, and at how many it wished."""

    rows: int
    asked: int
    named: int
    wished: int

    def __str__(self) -> str:
        told = f"{self.rows:,} rows: the plan named {self.named:,} of them, and at {self.wished:,} of those something was wished for"
        return told if self.wished else f"{told}: on this tape nothing was proved"


def check_plan(engine: Planned[Any], tape: Tape, *, money: AmountLike = "100000", rules: Rules | None = None) -> PlanTried:
    """Try an engine's plan on a tape, with so much money, in the instrument's quote asset, under these rules of the venue.

    At every row that the plan names, and behind the last one, the memory that it brought there must be what deciding on every
    row has made of another, to the bit; both must wish for the same; and at no other row may anything be wished for. Raises
    `PlanBroken` with the first row at which that is not so, `EngineFault` where the engine raises, and `VaultError` for an
    engine that has no plan for this tape.
    """
    made = engine.plan(tape) if hasattr(engine, "plan") else None
    if made is None:
        raise VaultError(f"{engine.name} has no plan for {tape}")
    vault = CoreVault(tape.instrument.quote, total=money, tradeable=money)
    sleeve = vault.sleeve("tried", QUIET, allocate=money)
    desk = Desk(vault)
    both = _Both(engine, made, tape)
    desk.assign(both, to=sleeve)
    try:
        replay(desk, tape, rules=rules, progress=False, bounds=False)
    except EngineFault as fault:
        if isinstance(fault.__cause__, PlanBroken):
            raise fault.__cause__ from None
        raise
    return both.end()


class _Both:
    """An engine that decides with both memories, and wishes what the one that is asked on every row does."""

    def __init__(self, engine: Planned[Any], plan: Plan[Any], tape: Tape) -> None:
        self.name, self.every = engine.name, engine.every
        self.watches: tuple[Instrument, ...] = engine.watches
        self._engine, self._plan = engine, plan
        self._ends, self._row = tape.ends(), -1
        self._streamed, self._planned = engine.begin(), engine.begin()
        self._since = 0
        """Rows before this one are in the memory of the plan."""
        self._named = -1
        """The row that the plan names."""
        self._stood: object = None
        """How the sleeve stood when it was asked for it."""
        self.asked = self.named = self.wished = 0

    def begin(self) -> None:
        """Both memories are kept here."""

    def decide(self, memory: None, view: View) -> Iterable[Intent] | None:  # noqa: ARG002
        row = self._row + 1
        while self._ends[row] != view.now:
            row += 1
        self._row = row
        self.asked += 1
        if self._standing(view) != self._stood:
            self._ask(row, view)
        if self._named < row:
            raise PlanBroken(self._named, "the plan names this row, and the engine is not asked on it")
        if self._named > row:
            wishes = self._decided(self._streamed, view)
            if wishes is not None:
                raise PlanBroken(row, f"the engine wishes for {_told(wishes)}, and the plan does not name the row")
            return None
        self._seek(row)
        self.named += 1
        wishes, planned = self._decided(self._streamed, view), self._decided(self._planned, view)
        if wishes != planned:
            raise PlanBroken(row, f"the stream wishes for {_told(wishes)}, the plan for {_told(planned)}")
        self.wished += wishes is not None
        self._since = row + 1
        self._ask(row + 1, view)
        return wishes

    def _decided(self, memory: object, view: View) -> list[Intent] | None:
        wishes = self._engine.decide(memory, view)
        return None if wishes is None else list(wishes)

    def _standing(self, view: View) -> object:
        """What changes with the sleeve's orders: then a plan is asked anew."""
        return [(view.position(one), view.open_cost(one)) for one in self.watches], [order.id for order in view.orders()]

    def _ask(self, row: int, view: View) -> None:
        self._stood = self._standing(view)
        self._named = self._plan.next(self._planned, row, view)
        if type(self._named) is not int or not row <= self._named <= len(self._ends):
            raise PlanBroken(row, f"the plan, asked from this row of {len(self._ends)} on, names {self._named!r}")

    def _seek(self, row: int) -> None:
        self._plan.seek(self._planned, self._since, row)
        found = _difference(self._streamed, self._planned, "memory")
        if found:
            raise PlanBroken(row, f"before the decision, {found}")

    def end(self) -> PlanTried:
        self._seek(len(self._ends))
        return PlanTried(len(self._ends), self.asked, self.named, self.wished)


def _difference(streamed: object, planned: object, where: str) -> str:
    """Where two memories differ, and how; nothing where they are the same to the bit."""
    differ = f"{where} is {streamed!r} asked on every row and {planned!r} by the plan"
    if type(streamed) is not type(planned):
        return differ
    if isinstance(streamed, float) and isinstance(planned, float):
        same = streamed == planned and math.copysign(1, streamed) == math.copysign(1, planned)
        return "" if same or (math.isnan(streamed) and math.isnan(planned)) else differ
    if isinstance(streamed, Mapping) and isinstance(planned, Mapping):
        if list(streamed) != list(planned):
            return f"{where} has the keys {list(streamed)} asked on every row and {list(planned)} by the plan"
        return next(filter(None, (_difference(streamed[key], planned[key], f"{where}[{key!r}]") for key in streamed)), "")
    if isinstance(streamed, (str, bytes, int, Enum, Set, type)):
        return "" if streamed == planned else differ
    if not isinstance(streamed, Iterable):
        parts, others = _parts(streamed), _parts(planned)
        if not parts and not others:
            return "" if streamed == planned else differ
        return _difference(parts, others, where)
    one, other = list(streamed), list(planned)  # type: ignore[call-overload]  # of the same type
    if len(one) != len(other):
        return f"{where} holds {len(one)} asked on every row and {len(other)} by the plan"
    return next(filter(None, (_difference(a, b, f"{where}[{n}]") for n, (a, b) in enumerate(zip(one, other, strict=True)))), "")


def _parts(thing: object) -> dict[str, object]:
    """The attributes of an object of one's own, by name; nothing of a plain value."""
    names: Sequence[str] = [name for kind in type(thing).__mro__ for name in _slots(kind)]
    return {name: getattr(thing, name) for name in [*names, *getattr(thing, "__dict__", ())] if hasattr(thing, name)}


def _slots(kind: type) -> Sequence[str]:
    slots = kind.__dict__.get("__slots__", ())
    return [name for name in ((slots,) if isinstance(slots, str) else tuple(slots)) if name not in ("__weakref__", "__dict__")]


def _told(wishes: list[Intent] | None) -> str:
    """Wishes in a few words."""
    return " and ".join(describe(one) if isinstance(one, Place) else str(one) for one in wishes) if wishes else "nothing"
