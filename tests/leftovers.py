"""What a test may leave behind for the tests after it: how loggers are set, and the alarm clock.

It knows nothing of sleeves, and mends only what it took note of.
"""

from __future__ import annotations

import logging
import signal
from typing import Any

_Logger = tuple[int, bool, bool, list[logging.Handler], list[Any]]


def _is_looked_at(name: str, handler: logging.Handler) -> bool:
    """pytest hangs handlers of its own on the root logger, and takes them off again; a NullHandler does nothing."""
    return not isinstance(handler, logging.NullHandler) and not (name == "" and type(handler).__module__.startswith("_pytest."))


def loggers() -> dict[str, _Logger]:
    """By name, of the root logger ("") and all under "sleeves": level, disabled, propagate, handlers, filters."""
    found = {"": logging.getLogger()}
    for name, one in logging.root.manager.loggerDict.items():
        if isinstance(one, logging.Logger) and name.split(".")[0] == "sleeves":
            found[name] = one
    return {
        name: (one.level, one.disabled, one.propagate, [two for two in one.handlers if _is_looked_at(name, two)], one.filters[:])
        for name, one in found.items()
    }


UNTOUCHED: _Logger = (logging.NOTSET, False, True, [], [])
"""A logger that nobody set."""


def changed(before: dict[str, _Logger]) -> dict[str, tuple[_Logger, _Logger]]:
    """By name, (then, now) of the loggers that are set otherwise than they were; one that is new is to be untouched."""
    then_and_now = {name: (before.get(name, UNTOUCHED), now) for name, now in loggers().items()}
    return {name: both for name, both in then_and_now.items() if both[0] != both[1]}


def put_back(before: dict[str, _Logger]) -> None:
    """Set all loggers as they were."""
    for name, (then, now) in changed(before).items():
        logger = logging.getLogger(name)
        level, logger.disabled, logger.propagate, handlers, filters = then
        logger.setLevel(level)
        for one in now[3]:
            if one not in handlers:
                logger.removeHandler(one)
        for one in handlers:
            logger.addHandler(one)
        logger.filters[:] = filters


def alarm() -> tuple[object, bool]:
    """Who has SIGALRM, and whether the alarm clock runs; nothing where there is none."""
    if not hasattr(signal, "setitimer"):
        return None, False
    return signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
