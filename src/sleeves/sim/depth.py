"""A book as a market showed it: what a tape may have along its rows, and a matcher displays.

It knows no orders of ours.
"""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen

from ..errors import BadTape

__all__ = ["Depth"]


@frozen(order=False)
class Depth:
    """A book as it was shown at one instant: (price, base units) by level, best first, in the instrument's units.

    Raises `BadTape` unless prices fall from bid to bid, rise from ask to ask, do not cross, and all figures are positive.
    """

    at: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]

    def __attrs_post_init__(self) -> None:
        levels = (*self.bids, *self.asks)
        if type(self.at) is not int or not all(type(n) is int and n > 0 for level in levels for n in level):
            raise BadTape(f"a book at {self.at!r} needs whole nanoseconds and levels of positive whole units: {levels!r}")
        down = [price for price, _ in reversed(self.bids)] + [price for price, _ in self.asks]
        if any(a >= b for a, b in pairwise(down)):
            raise BadTape(f"a book at {self.at} has levels that cross or are out of order: bids {self.bids}, asks {self.asks}")
