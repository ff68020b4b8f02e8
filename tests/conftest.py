"""No test leaves anything behind that another one would stumble over: whoever does fails, and not the one that comes after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import leftovers


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    loggers, disabled, alarm = leftovers.loggers(), logging.root.manager.disable, leftovers.alarm()
    yield
    left = leftovers.changed(loggers)
    leftovers.put_back(loggers)
    assert not left, f"loggers are set otherwise than before this test, as (then, now): {left}"
    assert logging.root.manager.disable == disabled, "logging was disabled"
    assert leftovers.alarm() == alarm, "SIGALRM, or its clock, is not as it was"
