"""What a drill tells: the switches of a desk, and what came of each when it was thrown on paper.

Values and how they read; nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from ...desk import Desk
from ...errors import VaultError
from ...market import SECOND, Instrument
from ...money import Amount
from ...sleeve import Sleeve
from ...standings import DESK
from ...vault import CoreVault

__all__ = ["OF_VENUES", "Act", "Drill", "Left", "Rehearsal", "Switch", "subject_of"]


class Act(StrEnum):
    """What is done to a subject."""

    STOP = "stop"
    """The engine of a sleeve is asked no more; its orders that take risk are canceled."""
    PAUSE = "pause"
    """No new risk; orders that take some are canceled, exits go on."""
    KILL = "kill"
    """Engines are asked no more, all orders are canceled and all positions closed."""
    LOST = "lost"
    """The line to a venue breaks for ten seconds: no new risk there until the books were held against it again."""
    SYNC = "sync"
    """The books cannot be held against a venue: no new risk there."""
    DISARM = "disarm"
    """No new risk at a venue of real money."""


OF_VENUES = frozenset({Act.LOST, Act.SYNC, Act.DISARM})


def _act(given: Act | str) -> Act:
    try:
        return Act(given)
    except ValueError:
        raise VaultError(f"a switch is one of {', '.join(Act)}, not {given!r}") from None


def subject_of(given: Sleeve | CoreVault | Desk | str) -> str:
    """Its name in the journal; a venue's name as it is."""
    if isinstance(given, Desk):
        return DESK
    if isinstance(given, (Sleeve, CoreVault)):
        return given.name if isinstance(given, Sleeve) else given.owner
    if not isinstance(given, str) or not given:
        raise VaultError(f"a switch is of a sleeve, a vault, a desk, or a subject by its name in `desk.statuses`, not of {given!r}")
    return given


@frozen
class Switch:
    """One switch: `Switch("kill", desk)`, `Switch("pause", vault)`, `Switch("stop", sleeve)`, `Switch("lost", "venue:kraken")`.

    In text a subject bears its name in `desk.statuses`. Raises `VaultError` for an act or a subject that is none.
    """

    act: Act = field(converter=_act)
    target: str = field(converter=subject_of)

    def __str__(self) -> str:
        return f"{self.act} {self.target.removeprefix('venue:') if self.act in OF_VENUES else self.target}"


@frozen
class Left:
    """What was not closed, and why."""

    sleeve: str
    instrument: Instrument
    amount: Amount
    why: str
    least: bool
    """Whether it is less than the venue's least order: nobody could close it."""

    def __str__(self) -> str:
        return f"{self.sleeve} keeps {self.amount} of {self.instrument}: {self.why}"


@frozen(order=False)
class Rehearsal:
    """What came of one switch. Times are nanoseconds of simulated time since it was thrown."""

    switch: Switch
    sleeves: tuple[str, ...]
    """The sleeves that it concerns."""
    orders: int
    """Orders that were to be canceled."""
    canceled: int
    filled: int
    """Of those, how many were filled before their cancel came."""
    open: tuple[str, ...]
    """Orders that should be off the venue's book and may not be."""
    last_cancel_ns: int | None
    """When the last of the cancels was through; None where none was."""
    closed_ns: int | None
    """When the last order that closes something was filled; None where none was."""
    flat_ns: int | None
    """When nothing was left, not a unit; None for never, and for a switch that leaves positions where they are."""
    cost: Mapping[str, Amount | None] = field(hash=False)
    """By asset, what closing cost against the prices at which the switch was thrown, fees in it; None for not known."""
    left: tuple[Left, ...] = ()
    """What a kill did not close."""
    new_risk: tuple[str, ...] = ()
    """Orders that took new risk after the switch was thrown: there must be none."""
    refused: tuple[str, ...] = ()
    """How orders that were tried after it were refused, as "gate reason"."""
    asked: int = 0
    """How often its engines were asked after it."""
    exact: bool = True
    """Whether the copy's books were the paper account's at the end, to the unit."""
    note: str = ""
    """Why it could not be thrown, where that is so."""

    @property
    def ok(self) -> bool:
        """Whether it did what it is there for. What is less than the venue's least order does not count against it."""
        asked = self.asked and self.switch.act in (Act.STOP, Act.KILL)
        closed = all(one.least for one in self.left)
        return not (self.note or self.new_risk or self.open or asked) and closed and self.exact

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        found = [f"it could not be thrown: {self.note}"] if self.note else []
        found += [f"new risk was taken: {', '.join(self.new_risk)}"] if self.new_risk else []
        found += [f"not off the book: {', '.join(self.open)}"] if self.open else []
        if self.asked and self.switch.act in (Act.STOP, Act.KILL):
            found.append(f"its engines were asked {self.asked} times")
        found += [] if self.exact else ["the books were not the paper account's at the end"]
        return found + [str(one) for one in self.left]


@frozen(order=False, repr=False)
class Drill:
    """What came of each switch, and on what terms. Printed, it is a table."""

    at: int
    """The time of the living desk's books at which they were copied."""
    rehearsals: tuple[Rehearsal, ...]
    terms: tuple[str, ...]
    """The paper venue, in sentences."""
    notes: tuple[str, ...] = ()
    """What of the desk could not be copied, and what stood in for it."""

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.rehearsals)

    def of(self, act: Act | str, target: Sleeve | CoreVault | Desk | str) -> Rehearsal:
        """What came of a switch. Raises `VaultError` for one that was not rehearsed."""
        switch = Switch(act, target)
        for one in self.rehearsals:
            if one.switch == switch:
                return one
        raise VaultError(f"{switch} was not rehearsed")

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per switch, times in seconds."""
        return [
            {
                "switch": str(one.switch),
                "orders": one.orders,
                "canceled": one.canceled,
                "filled": one.filled,
                "last_cancel_s": _seconds(one.last_cancel_ns),
                "closed_s": _seconds(one.closed_ns),
                "flat_s": _seconds(one.flat_ns),
                "cost": _costs(one.cost),
                "left": [str(left) for left in one.left],
                "new_risk": list(one.new_risk),
                "ok": one.ok,
            }
            for one in self.rehearsals
        ]

    def __str__(self) -> str:
        head = ("switch", "orders", "last cancel", "flat", "cost", "left", "new risk", "ok")
        lines = [head]
        for one in self.rehearsals:
            flat = _time(one.flat_ns, "never") if one.switch.act is Act.KILL else "-"
            left, risk = len(one.left) or "-", len(one.new_risk) or "none"
            last = _time(one.last_cancel_ns, "never" if one.open else "-")
            orders = f"{one.orders}, {one.filled} filled" if one.filled else f"{one.orders}"
            cost = _costs(one.cost) or "-"
            lines.append((str(one.switch), orders, last, flat, cost, str(left), str(risk), "yes" if one.ok else "NO"))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        told = [f"{one.switch}: {fault}" for one in self.rehearsals for fault in one.faults()]
        return "\n".join([*text, *([""] if told else []), *told, "", *self.terms, *self.notes])

    __repr__ = __str__


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / SECOND


def _time(ns: int | None, none: str) -> str:
    return none if ns is None else f"{ns / SECOND:.2f} s"


def _costs(cost: Mapping[str, Amount | None]) -> str:
    return ", ".join(f"unknown {code}" if amount is None else str(amount) for code, amount in cost.items())
