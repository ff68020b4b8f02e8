"""The tutorial's notebooks: stored clean, run whole by a real kernel, and what their widgets tell a page meanwhile."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from dashboard import stand

nbformat = pytest.importorskip("nbformat", reason="no nbformat here: it comes with the extra test")
pytest.importorskip("ipykernel", reason="no ipykernel here: it comes with the extra test")
start_new_kernel = pytest.importorskip("jupyter_client.manager").start_new_kernel

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial"
NOTEBOOKS = sorted(path.stem for path in TUTORIAL.glob("*.ipynb"))
SECONDS = 120


def read(name):
    return nbformat.read(TUTORIAL / f"{name}.ipynb", as_version=4)


def test_both_are_there():
    assert NOTEBOOKS == ["first-look", "watch-it-live"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs_and_without_traces_of_who_ran_it(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    text = (TUTORIAL / f"{name}.ipynb").read_text()
    assert nbformat.writes(notebook, indent=1) + "\n" == text, "written as nbformat writes it"
    places = "|".join(f"/{folder}/" for folder in ("home", "root", "work", "tmp"))
    assert not re.search(rf"127\.0\.0\.1|localhost|{places}", text)
    assert "asyncio.run(" not in re.sub(r"`[^`]*`", "", text), "it fails in a notebook"


class Page(stand.Page):
    """What a notebook's page has of one widget, from when that was made."""

    def __init__(self, state):
        super().__init__()
        self.take(state["first"].encode())
        self.state, self.gaps, self.ended = state, 0, ""
        self.told = {}
        """By cell, how often it was told while that ran."""

    def hear(self, frame, cell):
        self.ended = frame.get("ended", self.ended)
        body = json.loads(frame.get("text", "null"))
        if body is not None and body["type"] in ("snapshot", "delta"):
            self.gaps += self.take(frame["text"].encode()) == "gap"
            self.told[cell] = self.told.get(cell, 0) + 1


class Room:
    """A notebook run by a kernel, cell after cell, as JupyterLab does: it takes in all that the kernel says, whatever asked for it."""

    def __init__(self, kernel, notebook):
        self.kernel, self.cells = kernel, notebook.cells
        self.pages, self.outputs = {}, []
        for number, cell in enumerate(self.cells):
            if cell.cell_type == "code":
                self.run(number, cell.source)
        self.run(len(self.cells), "widget.close()")

    def run(self, number, source):
        asked = self.kernel.execute(source, stop_on_error=True)
        while True:
            message = self.kernel.get_iopub_msg(timeout=SECONDS)
            kind, content = message["msg_type"], message["content"]
            if kind == "error":
                raise AssertionError(f"cell {number}: " + "\n".join(content["traceback"]))
            if kind in ("stream", "execute_result", "display_data"):
                self.outputs.append((kind, content))
            elif kind in ("comm_open", "comm_msg"):
                self.hear(content, number)
            elif kind == "status" and content["execution_state"] == "idle" and message["parent_header"].get("msg_id") == asked:
                return

    def hear(self, content, number):
        comm, data = content["comm_id"], content["data"]
        if "_esm" in data.get("state", {}):
            page = self.pages.setdefault(comm, Page(data["state"]))
            self.say(comm, {"front": "test", "views": 1})
            self.say(comm, {"text": json.dumps({"type": "hello", "session": page.session, "seq": page.seq})})
        elif comm in self.pages and data.get("method") == "custom":
            self.pages[comm].hear(data["content"], number)

    def say(self, comm, frame):
        body = {"comm_id": comm, "data": {"method": "custom", "content": frame}}
        self.kernel.shell_channel.send(self.kernel.session.msg("comm_msg", body))

    def shown(self, kind):
        """What cells showed as this type, such as "text/html"."""
        return [content["data"][kind] for _, content in self.outputs if kind in content.get("data", {})]

    def printed(self, name="stdout"):
        return "".join(content["text"] for kind, content in self.outputs if kind == "stream" and content["name"] == name)

    @property
    def page(self):
        """That of the only widget, which was closed."""
        (page,) = self.pages.values()
        assert page.ended == "The widget was closed."
        assert not page.gaps
        return page

    def number(self, text):
        """The number of the first cell with this text."""
        return next(n for n, cell in enumerate(self.cells) if cell.cell_type == "code" and text in cell.source)


@contextmanager
def run(name):
    manager, kernel = start_new_kernel(kernel_name="python3", startup_timeout=SECONDS, cwd=str(TUTORIAL))
    try:
        yield Room(kernel, read(name))
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.slow
def test_first_look_runs_and_its_widget_follows_the_replay():
    with run("first-look") as room:
        assert room.printed("stderr") == ""
        assert len(room.shown("text/html")) >= 6, "vault, report, waterfall, inventory, proof and frames show themselves"
        assert len(room.shown("application/vnd.plotly.v1+json")) == 2
        page = room.page
        row = page.tables["sleeves"]["flash"]
        assert f"{row['returned']} USD" in room.printed(), "the page says what the books say"
        assert page.tables["desk"]["desk:main"]["records"] > 5_000
        assert page.tables["desk"]["desk:main"]["laws"] == "hold"
        assert row["status"] == "active"


@pytest.mark.slow
def test_watch_it_live_runs_and_its_widget_follows_the_run():
    with run("watch-it-live") as room:
        assert room.printed("stderr") == ""
        text = room.printed()
        assert "confirmed: main-transfer-1 is through: 2000 USD" in text
        assert text.count("status paused") == 2, "sent twice, done once"
        assert "the run is over; the desk is halted" in text

        page = room.page
        assert page.told.get(room.number("create_task"), 0) >= 3, "told while the run went on"
        sleeves = page.tables["sleeves"]
        assert {row["status"] for row in sleeves.values()} == {"halted"}
        assert page.tables["positions"] == {}
        assert sleeves["quiet"]["allocation"] == "11000"
        assert Decimal(page.tables["vaults"]["core:main:USD"]["tradeable"]) >= 17_000
        assert len([item for item in page.streams["log"] if item["kind"] == "instruction"]) >= 5, "pause, resume, deposit, allocate, kill"
