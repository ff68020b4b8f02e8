"""One engine's way along a tape by its plan: which row is next, and what its memory is there.

Plans are written by users. What one raises, or answers that cannot be, is the fault of its engine and is told as that. Books
and exchanges are not known here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from inspect import signature
from typing import Any

from ..errors import EngineFault
from ..protocols import Plan, View
from ..seat import NEVER, Seat
from .tape import Tape

__all__ = ["Trip", "plan_of"]


class _Guarded:
    """A plan whose faults are its engine's: what it raises, and answers that no plan may give."""

    __slots__ = ("_next", "_seek", "_sleeve")

    def __init__(self, plan: Plan[Any], sleeve: str) -> None:
        self._next, self._seek, self._sleeve = plan.next, plan.seek, sleeve

    def next(self, memory: Any, row: int, view: View) -> int:
        try:
            found = self._next(memory, row, view)
        except Exception as error:
            raise self._fault(error) from error
        if type(found) is not int or found < row:
            raise EngineFault(
                f"the plan of sleeve {self._sleeve} answered {found!r} for the next row from {row} on: need a whole number, not below"
            )
        return found

    def seek(self, memory: Any, since: int, row: int) -> None:
        try:
            self._seek(memory, since, row)
        except Exception as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> EngineFault:
        return EngineFault(f"the plan of sleeve {self._sleeve} raised {type(error).__name__}: {error}")


def plan_of(seat: Seat, tape: Tape) -> Plan[Any] | None:
    """The plan that a seat's engine has for a tape, if it is one to believe: of the class that says how it decides.

    One that is inherited knows nothing of what a subclass decides, so that it says `plan = Its.plan` where it still holds.
    """
    engine = seat.engine
    own: dict[str, Any] = getattr(engine, "__dict__", {})
    make = own.get("plan") or (None if "plan" not in vars(type(engine)) or "decide" in own else engine.plan)  # type: ignore[attr-defined]
    if not callable(make) or seat.decide != engine.decide:
        return None
    try:
        signature(make).bind(tape)
    except (TypeError, ValueError):
        return None  # something else of the same name
    try:
        plan: Any = make(tape)
    except Exception as error:
        raise EngineFault(f"the plan of sleeve {seat.sleeve.name} raised {type(error).__name__}: {error}") from error
    return plan if callable(getattr(plan, "next", None)) and callable(getattr(plan, "seek", None)) else None


class Trip:
    """One seat's way along a tape: the row that its plan names next, and how far its memory has come."""

    __slots__ = ("asked", "memory", "next", "plan", "seat", "since", "view")

    def __init__(self, seat: Seat, plan: Plan[Any]) -> None:
        self.seat, self.plan, self.memory, self.view = seat, _Guarded(plan, seat.sleeve.name), seat.memory, seat.view
        self.since = 0
        """The rows before this one are in the memory."""
        self.asked = -1
        """The last row that is known as one at which the engine was asked, or would have been; -1 for none."""
        self.next = self.plan.next(self.memory, 0, self.view)

    def look(self, row: int) -> None:
        """See what comes next, from this row on; nothing for an engine that is asked no more."""
        self.next = NEVER if self.seat.wake == NEVER else self.plan.next(self.memory, row, self.view)

    def come_to(self, row: int, ends: Sequence[int]) -> None:
        """Have the memory, and the seat's rhythm, stand as before this row; of an engine that is asked no more they stay."""
        if self.seat.wake != NEVER:
            self.wake_before(row, ends)
            self.plan.seek(self.memory, self.since, row)
            self.since = row

    def wake_before(self, row: int, ends: Sequence[int]) -> None:
        """Have the seat's rhythm stand as if its engine had been asked on every row before this one, whenever it was time."""
        every, size = self.seat.every, len(ends)
        if not every:
            return
        asked = self.asked
        while True:
            wake = self.seat.wake if asked < 0 else ends[asked] + every
            due = asked + 1
            if due < size and ends[due] < wake:
                due = bisect_left(ends, wake, due)
            if due >= row:
                break
            asked = due
        self.asked = asked
        if asked >= 0:
            self.seat.wake = ends[asked] + every
