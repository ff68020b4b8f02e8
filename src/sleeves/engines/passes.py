"""Passes: what plans of engines share. The only engine module that knows numpy, and none is made without it.

A pass works on a stretch of a tape at once, in the very float operations that `decide` does row by row, so that both
come to the same bits: numpy and Python round each of them alike, and neither fuses two into one.

What a plan looks for, and what an engine remembers, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..protocols import Columns

__all__ = ["MOST_PRICE", "STRETCH", "Rows", "numpy_or_none"]

STRETCH = 1 << 16
"""Rows that are worked out at once: what a pass needs does not grow with the tape."""
MOST_PRICE = 1 << 53
"""A price in units beyond this is no exact float."""


def numpy_or_none() -> Any:
    """numpy, or None where it is not installed: plans are for those who have it."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _column(np: Any, column: Sequence[int]) -> Any:
    try:
        return np.frombuffer(column, np.int64)
    except (TypeError, ValueError):  # what has no buffer of 64-bit integers is copied
        return np.asarray(column, np.int64)


class Rows:
    """A tape's columns as numpy sees them, nothing copied, and which of its rows an engine is asked on."""

    def __init__(self, np: Any, tape: Columns, every: int = 0) -> None:
        self.np = np
        self.every = every
        self.at, self.close, self.volume = _column(np, tape.at), _column(np, tape.close), _column(np, tape.volume)
        self.interval = tape.interval
        self.count = len(self.at)

    def ends(self, first: int, last: int) -> Any:
        """When the rows from `first` to before `last` are over, as `Tape.ends` says it."""
        ends = self.at[first:last] + self.interval
        after = self.at[first + 1 : last + 1]
        self.np.minimum(ends[: len(after)], after, out=ends[: len(after)])
        return ends

    def asked(self, first: int, last: int, wake: int) -> Any:
        """Which of these rows an engine with an `every` is asked on that is woken from `wake` on; None for all of them."""
        ends = self.ends(first, last)
        if ends[0] >= wake and (len(ends) == 1 or int(self.np.diff(ends).min()) >= self.every):
            return None
        found = []
        for row, end in enumerate(ends.tolist(), first):
            if end >= wake:
                found.append(row)
                wake = end + self.every
        return self.np.array(found, self.np.int64)

    def next_asked(self, row: int, wake: int) -> int:
        """The first row from `row` on that is over at `wake` or later; the number of rows for none."""
        while row < self.count:
            last = min(row + STRETCH, self.count)
            place = int(self.np.searchsorted(self.ends(row, last), wake))
            if row + place < last:
                return row + place
            row = last
        return self.count
