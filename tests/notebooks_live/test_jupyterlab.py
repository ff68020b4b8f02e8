"""The widget in a real JupyterLab: live during a cell that waits and one that does not, with buttons, in several views, light and dark."""

from __future__ import annotations

import pytest
from looks import DESK, KEEP, REPLAY, TRADE, equal, seen, state, until

from dashboard.browser import browsing

pytest.importorskip("jupyterlab", reason="no JupyterLab here: .ci/notebooks installs one")
pytestmark = pytest.mark.slow

from rooms import jupyterlab, notebook  # noqa: E402 only where there is one


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    widget = 'widget = desk.widget(title="In JupyterLab")\nwidget'
    notebook(folder / "runs.ipynb", DESK, widget, REPLAY, TRADE, KEEP)
    notebook(folder / "again.ipynb", DESK, "widget = desk.widget()\nwidget", "venue.pace = 0.02\nawait trade(desk, venue)")
    buttons = 'widget = desk.widget(control=Control(desk, venue), by="ann", show=["engine-vault-card", "order-log"])\nwidget'
    run = "venue.pace = 0.02\nawait trade(desk, venue)"
    notebook(folder / "buttons.ipynb", DESK, buttons, run)
    with jupyterlab(folder) as one:
        one.folder = folder
        yield one


def test_it_follows_a_replay_and_a_run_and_ends_as_the_books_do(lab, context):
    (lab.folder / "kept.json").unlink(missing_ok=True)  # of a try before
    page = lab.open(context, "runs.ipynb")
    dark = "() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    light = dark.replace("Dark", "Light")
    page.evaluate(dark)
    until(lambda: page.evaluate("() => document.body.dataset.jpThemeLight") == "false", "a dark notebook")
    lab.command(page, "notebook:run-all-cells", wait=False)
    told, busy = [], []

    def through():
        now = state(page)
        if now and (not told or now["records"] != told[-1]):
            told.append(now["records"])
            busy.append(page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"))
        return (lab.folder / "kept.json").is_file()

    until(through, "the notebook is through", 120)
    results = page.locator(".jp-OutputArea-executeResult .jp-RenderedText")
    until(lambda: results.count() >= 3, "the cells' results are on the page")
    replayed, traded = (int(text) for text in results.all_inner_texts()[-3:-1])
    assert len([records for records in told if 0 < records < replayed]) >= 5, f"told while the replay ran: {told}"
    assert len([records for records in told if replayed < records < traded]) >= 5, f"told while the run ran: {told}"
    assert busy.count("busy") >= 10
    until(lambda: equal(page, lab.folder / "kept.json"), "the page has what the books have")
    assert state(page)["state"] == "live"

    # both themes, and a second view of the same output
    page.locator("sleeves-page").first.scroll_into_view_if_needed()
    assert state(page)["theme"] == "dark", "as the notebook was when the cell ran"
    browsing.keep_picture(page, "jupyterlab-dark")
    page.evaluate(light)
    until(lambda: state(page)["theme"] == "light", "light as the notebook is")
    browsing.keep_picture(page, "jupyterlab")
    page.evaluate(dark)
    until(lambda: state(page)["theme"] == "dark", "dark again")
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    lab.command(page, "notebook:create-output-view")
    until(lambda: len(seen(page)) == 2 and all(one["state"] == "live" for one in seen(page)), "two views")


def test_a_button_moves_the_desk_while_its_run_goes_on_in_a_cell(lab, context):
    page = lab.open(context, "buttons.ipynb")
    lab.command(page, "notebook:run-all-cells", wait=False)
    until(lambda: page.locator("engine-vault-card").count() == 2, "a card of each sleeve")
    card = page.locator("engine-vault-card[sleeve=flash]")
    store = "document.querySelector('engine-vault-card').store"
    records = f"() => {store}.desk.records"
    begun = page.evaluate(records)
    until(lambda: page.evaluate(records) > begun + 20, "the run is under way")
    card.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="pause flash").click()
    until(lambda: page.evaluate(f"() => {store}.row('sleeves', 'flash').status") == "paused", "the sleeve is paused")
    assert page.locator(".jp-InputPrompt").all_inner_texts()[2] == "[*]:", "its run goes on in the cell"
    assert page.evaluate(f"() => {store}.row('sleeves', 'quiet').status") == "active"
    browsing.keep_picture(page, "jupyterlab-cards")


def test_a_page_that_is_reloaded_during_a_run_and_a_second_one_are_told_as_well(lab, context):
    page = lab.open(context, "again.ipynb")
    lab.command(page, "notebook:run-all-cells", wait=False)
    until(lambda: state(page).get("records", 0) > 50, "the run is under way")
    lab.command(page, "docmanager:save")
    another = context.browser.new_context()  # closed with the browser
    second = lab.open(another, "again.ipynb")
    until(lambda: state(second).get("state") == "live", "the second page")
    page.reload()
    begun = until(lambda: state(page).get("records", 0), "the page is back")
    until(lambda: state(page)["records"] > begun + 5 and state(second)["records"] > begun + 5, "both are told on")


def test_what_is_typed_into_the_widget_is_no_shortcut_of_the_notebook(lab, context):
    page = lab.open(context, "buttons.ipynb")
    lab.command(page, "notebook:run-all-cells", wait=False)
    until(lambda: page.locator("engine-vault-card").count() == 2, "a card of each sleeve")
    cells = page.locator(".jp-Notebook-cell").count()
    deposit = page.locator("engine-vault-card[sleeve=flash]").get_by_role("button", name="Deposit")
    deposit.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").first.press_sequentially("100 aabbddxxmy", delay=30)
    typed = dialog.get_by_role("textbox").first.input_value()
    assert typed.startswith("100"), "it was typed into the amount"
    page.keyboard.press("Escape")
    assert page.locator(".jp-Notebook-cell").count() == cells, "no cell was made or deleted"
    assert page.get_by_text("Restart Kernel?").count() == 0
