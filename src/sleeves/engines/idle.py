"""Idle: the engine that never wishes for anything. It keeps a seat, so that a human can trade and close by hand."""

from __future__ import annotations

from ..market import Instrument
from ..protocols import Columns, View

__all__ = ["Idle"]


class Idle:
    """Does nothing on these instruments. Orders by hand and exits of a sleeve without a strategy need a seat all the same."""

    every = 1 << 60

    def __init__(self, *watches: Instrument, name: str = "idle") -> None:
        self.watches = watches
        self.name = name

    def begin(self) -> None:
        """It remembers nothing."""

    def decide(self, memory: None, view: View) -> None:
        """Nothing."""

    def plan(self, tape: Columns) -> Nowhere:
        """There is nothing to ask it for, on any tape."""
        return Nowhere(len(tape))

    def describe(self) -> str:
        return "idle"


class Nowhere:
    """The plan of an engine that never wishes and remembers nothing."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def next(self, memory: None, row: int, view: View) -> int:  # noqa: ARG002
        return self._rows

    def seek(self, memory: None, since: int, row: int) -> None:
        """There is nothing to bring along."""
