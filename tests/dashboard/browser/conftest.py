"""A Chromium for the tests in this folder; without one they are skipped by name.

Playwright runs a loop of its own in this thread for as long as it is there, so it lives for one file of tests and not longer:
other tests run loops in this thread too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import browsing
import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright", reason="no Playwright here: it comes with the extra test")
    if browsing.found_chromium() is None:
        pytest.skip(browsing.HOW)
    with browsing.chromium() as found:
        yield found


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., browsing.Watch]]:
    """Makes fresh contexts that are watched: `watched(hosts=(...), viewport=..., color_scheme=...)`; at the end each is asked."""
    with ExitStack() as stack:
        watches: list[browsing.Watch] = []

        def make(*, hosts: tuple[str, ...] = (), **options: Any) -> browsing.Watch:
            settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "timezone_id": "UTC"} | options
            context = browser.new_context(**settings)
            context.set_default_timeout(15_000)
            stack.callback(context.close)
            watch = browsing.Watch(context, hosts)
            watches.append(watch)
            return watch

        yield make
        for watch in watches:
            watch.require()
