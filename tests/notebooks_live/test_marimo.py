"""The widget in marimo, as an app and in its editor: live during a cell that waits and one that does not."""

from __future__ import annotations

import json

import pytest
from looks import DESK, KEEP, REPLAY, TRADE, equal, state, until

from dashboard.browser import browsing

pytest.importorskip("marimo", reason="no marimo here: .ci/notebooks installs one")
pytestmark = pytest.mark.slow

from rooms import cells, marimo  # noqa: E402 only where there is one

WIDGET = 'widget = desk.widget(title="In marimo")\nwidget'


@pytest.mark.parametrize("mode", ["run", "edit"])
def test_it_follows_a_replay_and_a_run_and_ends_as_the_books_do(mode, context, tmp_path):
    # marimo orders cells by the names that they take: each takes what the one before it made
    trade = "replayed\n" + TRADE.replace("venue", "paper")
    (tmp_path / "runs.py").write_text(cells(DESK, WIDGET, "widget\n" + REPLAY, trade, "traded\n" + KEEP))
    with marimo(tmp_path / "runs.py", mode) as address:
        page = context.new_page()
        page.goto(address)
        if mode == "edit":
            page.get_by_test_id("run-button").first.wait_for()

            def asked():  # its editor takes a while to listen
                page.keyboard.press("Control+Shift+r")  # run all that is stale
                page.wait_for_timeout(2_000)
                return state(page)

            until(asked, "the editor runs its cells")
        told = []

        def through():
            now = state(page)
            if now and (not told or now["records"] != told[-1]):
                told.append(now["records"])
            return (tmp_path / "kept.json").is_file()

        until(through, "the notebook is through", 120)
        until(lambda: equal(page, tmp_path / "kept.json"), "the page has what the books have")
        whole = json.loads((tmp_path / "kept.json").read_text())["tables"]["desk"]["desk:main"]["records"]
        assert len([records for records in told if 0 < records < whole]) >= 8, f"told while cells ran: {told}"
        assert state(page)["state"] == "live"
        page.mouse.wheel(0, -5_000)
        browsing.keep_picture(page, f"marimo-{mode}")
