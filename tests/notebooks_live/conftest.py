"""A Chromium before notebooks that really run. Skipped by name where JupyterLab, marimo, Playwright or a Chromium is not there.

`.ci/notebooks` makes an environment of its own for them; the README's test command has none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dashboard.browser import browsing


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright", reason="no Playwright here")
    if browsing.found_chromium() is None:
        pytest.skip(browsing.HOW)
    with browsing.chromium() as found:
        yield found


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A fresh context; a failure of a script fails the test, but for one of JupyterLab's own that never was in our code."""
    with ExitStack() as stack:
        one = browser.new_context(viewport={"width": 1400, "height": 1400}, locale="en-GB", timezone_id="UTC")
        stack.callback(one.close)
        faults: list[str] = []
        one.on(
            "weberror", lambda error: faults.extend([] if _is_jupyterlabs(error.error) else [f"{error.error} {error.error.stack}"[:3000]])
        )
        yield one
        assert not faults, f"scripts failed: {faults}"


def _is_jupyterlabs(error: Any) -> bool:
    """Whether each frame of a failure is in JupyterLab's own files.

    Its splash screen is taken away twice where the theme is changed while it fades (4.6.6: `document.body.removeChild`).
    """
    frames = [line for line in (error.stack or "").splitlines() if line.lstrip().startswith("at ")]
    return bool(frames) and all("/static/lab/" in line for line in frames)
