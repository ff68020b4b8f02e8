"""How far something long has come: the caller's own function, a bar that shows itself after a second, or nothing.

A bar is tqdm's, where that is installed: on a terminal, or in a notebook as a notebook draws it; it goes away at the end, and is
left out where output goes to a file. Nothing is imported before one is wanted. (tqdm itself draws none where TQDM_DISABLE=1.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

__all__ = ["Progress", "bar", "told"]

T = TypeVar("T")
Progress = bool | Callable[[int], object] | None
"""A function is called with how many are done since its last call; True draws a bar, False none; None one where it takes long."""
EACH = 512
"""How many are done between two calls of `told`."""
FEW = 20_000
"""So many need no bar, nor what it takes to have one, where none is asked for."""


def bar(total: int | None, unit: str, progress: Progress = None) -> AbstractContextManager[Callable[[int], object] | None]:
    """Who to tell how many more are done, as a context manager; None for nobody. `total` is None where it is not known."""
    if callable(progress):
        return nullcontext(progress)
    if progress is False:
        return nullcontext(None)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return nullcontext(None)
    return _Bar(tqdm, total, unit, force=bool(progress))


def told(items: Iterable[T], unit: str, progress: Progress = None, *, total: int | None = None) -> Iterator[T]:
    """The items, while it is told how many of them are done: that of a sequence is known, else `total` says how many there are."""
    count = len(items) if total is None and isinstance(items, Sized) else total
    with bar(count, unit, False if progress is None and count is not None and count < FEW else progress) as advance:
        if advance is None:
            yield from items
            return
        done = 0
        for item in items:
            yield item
            done += 1
            if done == EACH:
                advance(done)
                done = 0
        if done:
            advance(done)


class _Bar:
    def __init__(self, tqdm: Any, total: int | None, unit: str, *, force: bool) -> None:
        shown = {"delay": 0 if force else 1, "disable": False if force else None, "leave": False}
        self._bar = tqdm(total=total, unit=f" {unit}", unit_scale=True, **shown)

    def __enter__(self) -> Callable[[int], object]:
        update: Callable[[int], object] = self._bar.update
        return update

    def __exit__(self, *_: object) -> None:
        self._bar.close()
