"""Averages: the exponential average of prices, one by one and of many at once, with the same bits.

    y = k y + a x,  a = 2 / (periods + 1),  k = 1 - a

A recurrence cannot be worked out for all rows at once, but blocks of rows can. Within a block, of `BLOCK` values from the
first one on, only what has come in since its begin is summed, and what stood there fades:

    s = k s + a x   from 0 at the block's begin         value = k^(j+1) base + s   for the j-th value of the block

At its end the value becomes the base, and s is 0 again. That is the same average, rounded otherwise in its last digits, and
the order of operations does not depend on who does them. It begins at the first value.

Pure arithmetic on opinions: nothing here knows a market, a view or money.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import InvalidAmount, MissingExtra
from .passes import numpy_or_none
from .rates import finite

__all__ = ["BLOCK", "Ema", "block_bases", "block_sums", "check_periods", "powers"]

BLOCK = 64
"""Values of one block."""


def check_periods(what: str, periods: object) -> int:
    """The periods of an average: a whole number of at least 1, or `InvalidAmount`."""
    if type(periods) is not int or periods < 1:
        raise InvalidAmount(f"{what} {periods!r} must be a whole number of at least 1")
    return periods


def powers(keep: float) -> tuple[float, ...]:
    """keep, keep^2, ... for each value of a block, each made by one more multiplication."""
    found, power = [], 1.0
    for _ in range(BLOCK):
        power *= keep
        found.append(power)
    return tuple(found)


def block_sums(np: Any, columns: Any, alpha: float, keep: float) -> Any:
    """What has come in since each block's begin: of a value in row j and column b, the j-th of the b-th block."""
    sums = alpha * columns
    sums[0] += 0.0  # as k s + a x is with s = 0, also for a negative nothing
    kept, rows = np.empty(sums.shape[1]), list(sums)
    before = rows[0]
    for row in rows[1:]:
        np.multiply(before, keep, out=kept)
        np.add(row, kept, out=row)
        before = row
    return sums


def block_bases(np: Any, sums: Any, fade: float, base: float) -> Any:
    """What stood at each block's begin, and behind the last one: one number more than there are blocks."""
    bases = [base]
    for last in sums[-1].tolist():
        base = fade * base + last
        bases.append(base)
    return np.array(bases)


class Ema:
    """An exponential average over `periods`: each value weighs 2 / (periods + 1). It begins at the first value.

    `counted`, `place`, `sum` and `base` are all that it remembers, to be read and set: values in whole blocks before this one,
    values of this block, what came in with them, and what stood before them. Raises `InvalidAmount` for periods that are no
    whole number of at least 1.
    """

    __slots__ = ("_alpha", "_keep", "_powers", "base", "counted", "periods", "place", "sum")

    def __init__(self, periods: int) -> None:
        self.periods = check_periods("periods", periods)
        self._alpha = 2 / (periods + 1)
        self._keep = 1 - self._alpha
        self._powers = powers(self._keep)
        self.counted = 0
        self.place = 0
        self.sum = 0.0
        self.base = 0.0

    @property
    def count(self) -> int:
        """How many values it has taken in."""
        return self.counted + self.place

    @property
    def value(self) -> float:
        """The average as it stands; 0 before the first value."""
        return self.base if not self.place else self._powers[self.place - 1] * self.base + self.sum

    def step(self, x: float) -> float:
        """Take one more value in; the average with it. Raises `InvalidAmount` for what is no finite number."""
        x = finite(x)
        if not self.count:
            self.base = x
        self.sum = self._keep * self.sum + self._alpha * x
        value = self._powers[self.place] * self.base + self.sum
        self.place += 1
        if self.place == BLOCK:
            self.counted, self.place, self.sum, self.base = self.counted + BLOCK, 0, 0.0, value
        return value

    def over(self, column: Iterable[float]) -> Any:
        """Take all these values in, a list, array or buffer: a numpy array of the average with each, bit for bit what `step`
        gives. Raises `MissingExtra` without numpy, `InvalidAmount` for what is no finite number; then nothing was taken in.
        """
        np = numpy_or_none()
        if np is None:
            raise MissingExtra("numpy", "fast", "an average of a whole column")
        values = np.asarray(column, np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise InvalidAmount("an average is of one column of finite numbers")
        head = min(len(values), (BLOCK - self.place) % BLOCK)
        found = np.empty(len(values))
        found[:head] = [self.step(x) for x in values[:head].tolist()]
        rest = values[head:]
        if not len(rest):
            return found
        base = self.base if self.count else float(rest[0])
        blocks, more = divmod(len(rest), BLOCK)
        columns = np.zeros((blocks + (more > 0)) * BLOCK)
        columns[: len(rest)] = rest
        sums = block_sums(np, np.ascontiguousarray(columns.reshape(-1, BLOCK).T), self._alpha, self._keep)
        bases = block_bases(np, sums, self._powers[-1], base)
        averages = np.array(self._powers)[:, None] * bases[:-1] + sums
        found[head:] = averages.T.reshape(-1)[: len(rest)]
        self.counted, self.place = self.counted + blocks * BLOCK, more
        self.base, self.sum = float(bases[blocks]), float(sums[more - 1, blocks]) if more else 0.0
        return found
