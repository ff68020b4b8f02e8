"""How values are made that the program has worked out itself: whole, and without asking again whether they may be.

A frozen class checks what it is given, because anybody may give it anything; that takes longer than many a trade may. What the
desk and the simulator make of numbers that they have checked already is made here. It knows no class in particular.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import fields

__all__ = ["maker", "opened"]

T = TypeVar("T")


def opened(cls: type[T]) -> type[Any]:
    """A class that is not frozen, with the very slots of this one: an object is of it while it is filled in, and then of this one.

    `cls` must have no `__weakref__` among its slots: CPython keeps that elsewhere, and such classes cannot be exchanged.
    """
    return type(f"_open_{cls.__name__}", cls.__bases__, {"__slots__": cls.__dict__["__slots__"], "__module__": cls.__module__})


def maker(cls: type[T]) -> Callable[..., T]:
    """A function that makes one of a frozen, slotted attrs class from all of its fields, in order, with nothing checked or converted.

    What comes of it is that class's own: equal to, hashed, shown and pickled like one that was made the usual way from the same
    values. Of a class without `__weakref__` it is filled in as one that is not frozen, with the same slots, and then made what it
    is: that is fastest.
    """
    names = [one.name for one in fields(cls)]  # type: ignore[arg-type]
    slots = cls.__dict__["__slots__"]
    known: dict[str, Any] = {"new": object.__new__, "cls": cls, "twin": cls}
    lines = [f"def make({', '.join(names)}):", "    made = new(twin)"]
    if "__weakref__" in slots:
        known |= {f"set_{name}": cls.__dict__[name].__set__ for name in names}
        lines += [f"    set_{name}(made, {name})" for name in names]
    else:
        known["twin"] = opened(cls)
        lines += [*(f"    made.{name} = {name}" for name in names), "    made.__class__ = cls"]
    exec("\n".join([*lines, "    return made"]), known)
    make: Callable[..., T] = known["make"]
    make.__doc__ = f"One {cls.__name__} of ({', '.join(names)}), unchecked."
    return make
