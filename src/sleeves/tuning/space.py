"""What may be varied: each parameter's name with its range or its choices, checked before anything runs.

    {"fast": (5, 50), "slow": (20, 200, 10), "band": (0.001, 0.1, "log"), "side": ["long", "both"]}

A tuple is a range, ends included: of whole numbers where both ends are, else of floats; a third entry is its step, or "log".
A list is a choice among text, numbers, True, False and None. It knows nothing of what searches in it, nor of desks.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from attrs import field, frozen

from ..errors import VaultError

__all__ = ["Choice", "Given", "Param", "Range", "space_of"]

Given: TypeAlias = tuple[Any, ...] | list[Any]
"""A range or a choice as it is written."""

EDGE = 0.01
"""How near to an end of its range, as a part of it, a float counts as being at it."""


@frozen(order=False)
class Range:
    """Numbers from low to high, both in it, in steps; `log` searches in the logarithm of it."""

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        return type(self.low) is int and type(self.high) is int

    def at_edge(self, value: int | float) -> bool:
        """Whether a value lies at an end of the range, so that a better one may lie beyond it."""
        place = self.place(value)
        near = 0.0 if self.whole or self.step else EDGE
        return self.low < self.high and (place <= near or place >= 1 - near)

    def place(self, value: int | float) -> float:
        """Where a value lies in the range, from 0 to 1."""
        low, high, at = (math.log(one) if self.log else float(one) for one in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.0

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + (f" by {self.step}" if self.step else "") + (" (log)" if self.log else "")


@frozen(order=False)
class Choice:
    """One of these."""

    choices: tuple[str | int | float | bool | None, ...] = field(converter=tuple)

    def at_edge(self, _: object) -> bool:
        return False

    def __str__(self) -> str:
        return " | ".join(map(repr, self.choices))


Param: TypeAlias = Range | Choice


def space_of(given: Mapping[str, Given]) -> dict[str, Param]:
    """Each parameter as it is meant. Raises `VaultError`, with the name and the rule, for what cannot be searched."""
    if not isinstance(given, Mapping) or not given:
        raise VaultError(f"a space is a mapping of names to ranges (5, 50) or choices [1, 2], with one or more, not {given!r}")
    found: dict[str, Param] = {}
    for name, one in given.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise VaultError(f"a parameter is named as Python names one, not {name!r}")
        if isinstance(one, list):
            found[name] = _choice(name, one)
        elif isinstance(one, tuple):
            found[name] = _range(name, one)
        else:
            raise VaultError(f"{name}: a range is a tuple (5, 50) and a choice is a list [1, 2], not {one!r}")
    return found


def _choice(name: str, given: Sequence[Any]) -> Choice:
    if not given:
        raise VaultError(f"{name}: a choice needs something to choose from")
    for one in given:
        if not (one is None or isinstance(one, (str, bool, int, float))) or (isinstance(one, float) and not math.isfinite(one)):
            raise VaultError(f"{name}: a choice is among text, finite numbers, True, False and None, not {one!r}")
    if len({(type(one), one) for one in given}) < len(given) or len(set(given)) < len(given):
        raise VaultError(f"{name}: a choice lists nothing twice: {list(given)!r}")
    return Choice(tuple(given))


def _range(name: str, given: tuple[Any, ...]) -> Range:
    if not 2 <= len(given) <= 3:
        raise VaultError(f'{name}: a range is (low, high), (low, high, step) or (low, high, "log"), not {given!r}')
    low, high = given[:2]
    for one in (low, high):
        if type(one) not in (int, float) or not math.isfinite(one):
            raise VaultError(f"{name}: a range has finite numbers, int or float, as its ends, not {one!r}")
    if abs(low) > 2**53 or abs(high) > 2**53:
        raise VaultError(f"{name}: the ends of a range lie within 2^53, not {low!r} and {high!r}")
    if low > high:
        raise VaultError(f"{name}: low {low!r} lies above high {high!r}")
    if type(low) is not type(high):
        low, high = float(low), float(high)
    more = given[2] if len(given) == 3 else None
    if more is None:
        return Range(low, high)
    if more == "log":
        if low <= 0:
            raise VaultError(f"{name}: a range searched in logarithms lies above zero, not {low!r}")
        return Range(low, high, log=True)
    kinds = (int,) if type(low) is int else (int, float)
    if type(more) not in kinds or not math.isfinite(more) or more <= 0:
        raise VaultError(f'{name}: a step is a positive {"whole " if type(low) is int else ""}number, or "log", not {more!r}')
    if (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(more)):
        raise VaultError(f"{name}: from {low!r} to {high!r} are no whole steps of {more!r}")
    return Range(low, high, more)
