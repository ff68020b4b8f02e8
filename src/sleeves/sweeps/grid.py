"""Grids: which parameters the trials of a sweep are run with, as plain dicts in a stable order.

What is no list, has no order, or is there twice is refused before anything runs. It knows nothing of what the parameters mean.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice, product
from typing import Any

from ..errors import VaultError
from .identity import told

__all__ = ["MOST", "Params", "combinations", "grid"]

Params = dict[str, Any]
"""The parameters of one trial, by name."""

MOST = 1_000_000
"""How many combinations a grid may have."""


def grid(*, where: Callable[..., object] | None = None, **axes: Sequence[Any]) -> list[Params]:
    """Every combination of these values, the last name changing fastest; of them those for which `where(**params)` is true.

    Raises `VaultError` for an axis that is empty, has no order or holds a value twice, and when nothing is left.

        >>> grid(fast=[5, 10], slow=[10, 20], where=lambda fast, slow: fast < slow)
        [{'fast': 5, 'slow': 10}, {'fast': 5, 'slow': 20}, {'fast': 10, 'slow': 20}]
    """
    return _product(axes, where)


def combinations(given: Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]]) -> list[Params]:
    """The parameters of each trial: of a mapping from name to values every combination, else the dicts that were given.

    Raises `VaultError` for what is neither, for names that no function could take, and for two trials that are the same.
    """
    if isinstance(given, Mapping):
        return _product(given, None)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise VaultError(f"a grid is a mapping from names to values, or dicts of parameters, not {_shown(given)}")
    if isinstance(given, Set):
        raise VaultError("a grid has an order, and a set has none: give a list")
    found: list[Params] = []
    for params in islice(given, MOST + 1):
        if not isinstance(params, Mapping):
            raise VaultError(f"a grid of trials holds dicts of parameters, not {_shown(params)}")
        found.append({_name(name): _plain(value) for name, value in params.items()})
    if not found:
        raise VaultError("the grid is empty: there is no trial to run")
    if len(found) > MOST:
        raise VaultError(f"the grid has more than {MOST:,} trials")
    _once(found, "trial")
    return found


def _product(axes: Mapping[str, Sequence[Any]], where: Callable[..., object] | None) -> list[Params]:
    if not axes:
        raise VaultError("the grid is empty: name at least one parameter with its values")
    names = [_name(name) for name in axes]
    columns = [_axis(name, values) for name, values in axes.items()]
    count = 1
    for column in columns:
        count *= len(column)
    if count > MOST:
        raise VaultError(f"the grid has {count:,} combinations: more than {MOST:,}")
    found = [dict(zip(names, values, strict=True)) for values in product(*columns)]
    if where is not None:
        found = [params for params in found if where(**params)]
        if not found:
            raise VaultError(f"the grid is empty: where is true of none of its {count:,} combinations")
    return found


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise VaultError(f"{_shown(name)} is no name of a parameter: one is a word that a function could take")
    return name


def _plain(value: Any) -> Any:
    """A single number of numpy as Python's own, which engines check for."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def _axis(name: str, values: object) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()  # of numpy and pandas: plain numbers, which engines check for
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise VaultError(f"the values of {name} are a list, not {_shown(values)}")
    if isinstance(values, Set):
        raise VaultError(f"the values of {name} have an order, and a set has none: give a list")
    column = [_plain(value) for value in islice(values, MOST + 1)]
    if not column:
        raise VaultError(f"the grid is empty: {name} has no values")
    if len(column) > MOST:
        raise VaultError(f"{name} has more than {MOST:,} values")
    _once(column, f"value of {name}")
    return column


def _once(values: Iterable[Any], what: str) -> None:
    """Raise for what is there twice. A value of a kind that is not known counts as itself alone."""
    seen = set()
    for value in values:
        try:
            token = told(value, pickles=False)
        except VaultError:
            continue
        if token in seen:
            raise VaultError(f"the {what} {_shown(value)} is there twice")
        seen.add(token)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return text if len(text) <= 80 else text[:80] + "..."
