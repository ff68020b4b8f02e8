"""No test leaves anything behind that another one would stumble over: whoever does fails, and not the one that comes after it.

Tests that race the wall clock, most of them over real sockets, get two more tries: a machine that stands still for a second is
no fault of ours. What fails three times is one, and every second try is counted in the last line of the run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import leftovers

WALL_CLOCK = ("keys/test_ring", "sim/test_sos", "test_alerts", "test_control", "test_criteria_chain", "test_criteria_live")
WALL_CLOCK += ("dashboard/browser/", "dashboard/test_app", "dashboard/test_mounting", "dashboard/test_serve", "dashboard/test_socket")
WALL_CLOCK += ("test_criteria_page", "test_exits", "test_live", "test_notebooks")
WALL_CLOCK += ("test_metrics", "test_recovery", "test_secrets", "test_survival", "test_tracing", "test_watchdog", "testing/", "venues/")
"""What the paths of their files begin with: there, tests wait in real seconds."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two more tries for what races the wall clock, where the plugin for it is installed."""
    if not config.pluginmanager.hasplugin("rerunfailures"):
        return
    home = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(home) and item.path.relative_to(home).as_posix().startswith(WALL_CLOCK):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    loggers, disabled, alarm = leftovers.loggers(), logging.root.manager.disable, leftovers.alarm()
    yield
    left = leftovers.changed(loggers)
    leftovers.put_back(loggers)
    assert not left, f"loggers are set otherwise than before this test, as (then, now): {left}"
    assert logging.root.manager.disable == disabled, "logging was disabled"
    assert leftovers.alarm() == alarm, "SIGALRM, or its clock, is not as it was"
