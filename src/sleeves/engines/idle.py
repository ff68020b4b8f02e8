"""Idle: the engine that never wishes for anything. It keeps a seat, so that a human can trade and close by hand."""

from __future__ import annotations

from ..market import Instrument
from ..protocols import View

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

    def describe(self) -> str:
        return "idle"
