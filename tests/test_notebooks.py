"""The tutorial's notebooks: stored clean, run whole by a real kernel, and what their widgets tell a page meanwhile."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="no nbclient here: it comes with the extra test")
nbclient = pytest.importorskip("nbclient", reason="no nbclient here: it comes with the extra test")
pytest.importorskip("ipykernel", reason="no ipykernel here: it comes with the extra test")
sys.path.insert(0, str(Path(__file__).parent / "dashboard"))

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
    assert not re.search(r"127\.0\.0\.1|localhost|/home/|/root/|/work/|/tmp/", text)
    assert "asyncio.run(" not in re.sub(r"`[^`]*`", "", text), "it fails in a notebook"


class Client(nbclient.NotebookClient):
    """Runs a notebook and is, to its widgets, the page: it says that it is there, and keeps what it is told."""

    def __init__(self, notebook):
        super().__init__(notebook, timeout=SECONDS, kernel_name="python3", store_widget_state=False)
        self.widgets = {}
        """By comm: its state, and what it was told, each with the cell that ran meanwhile."""

    def handle_comm_msg(self, outs, msg, cell_index):
        content = msg["content"]
        data = content.get("data", {})
        if msg["msg_type"] == "comm_open" and "_esm" in data.get("state", {}):
            self.widgets[content["comm_id"]] = (data["state"], [])
            first = json.loads(data["state"]["first"])
            self.say(content["comm_id"], {"front": "test", "views": 1})
            hello = {"type": "hello", "session": first["session"], "seq": first["seq"]}
            self.say(content["comm_id"], {"text": json.dumps(hello)})
        elif content.get("comm_id") in self.widgets and data.get("method") == "custom":
            self.widgets[content["comm_id"]][1].append((cell_index, data["content"]))
        return super().handle_comm_msg(outs, msg, cell_index)

    def say(self, comm, frame):
        body = {"comm_id": comm, "data": {"method": "custom", "content": frame}}
        self.kc.shell_channel.send(self.kc.session.msg("comm_msg", body))


def run(name):
    client = Client(read(name))
    client.execute(cwd=str(TUTORIAL))
    return client


def outputs(client, kind):
    return [output for cell in client.nb.cells if cell.cell_type == "code" for output in cell.outputs if output.output_type == kind]


def printed(client):
    return "".join(output.text for output in outputs(client, "stream") if output.name == "stdout")


def told(client):
    """(state, page as told, by cell how often it was told) of the only widget."""
    from stand import Page

    ((state, frames),) = client.widgets.values()
    page, cells = Page(), {}
    page.take(state["first"].encode())
    for cell, frame in frames:
        body = json.loads(frame.get("text", "null"))
        if body is not None and body["type"] in ("snapshot", "delta"):
            assert page.take(frame["text"].encode()) == "ok"
            cells[cell] = cells.get(cell, 0) + 1
    assert frames[-1][1] == {"ended": "The widget was closed."}
    return state, page, cells


def at(client, text):
    return next(n for n, cell in enumerate(client.nb.cells) if cell.cell_type == "code" and text in cell.source)


@pytest.mark.slow
def test_first_look_runs_and_its_widget_follows_the_replay():
    client = run("first-look")
    assert [output.text for output in outputs(client, "stream") if output.name == "stderr"] == []
    html = [output.data["text/html"] for output in outputs(client, "execute_result") if "text/html" in output.data]
    assert len(html) >= 6, "vault, report, waterfall, inventory, proof and frames show themselves"
    figures = [output for output in outputs(client, "display_data") if "application/vnd.plotly.v1+json" in output.data]
    assert len(figures) == 2

    _, page, _ = told(client)
    row = page.tables["sleeves"]["flash"]
    assert f"{row['returned']} USD" in printed(client), "the page says what the books say"
    assert page.tables["desk"]["desk:main"]["records"] > 5_000
    assert page.tables["desk"]["desk:main"]["laws"] == "hold"


@pytest.mark.slow
def test_watch_it_live_runs_and_its_widget_follows_the_run():
    client = run("watch-it-live")
    assert [output.text for output in outputs(client, "stream") if output.name == "stderr"] == []
    text = printed(client)
    assert "confirmed: main-transfer-1 is through: 2000 USD" in text
    assert text.count("status paused") == 2, "sent twice, done once"
    assert "the run is over; the desk is halted" in text

    _, page, cells = told(client)
    assert cells.get(at(client, "create_task"), 0) >= 3, "told while the run went on"
    sleeves = page.tables["sleeves"]
    assert {row["status"] for row in sleeves.values()} == {"halted"}
    assert page.tables["positions"] == {}
    assert sleeves["quiet"]["allocation"] == "11000"
    vault = page.tables["vaults"]["core:main:USD"]
    assert vault["tradeable"] >= "17000"
    said = [item["text"] for item in page.streams["log"] if item["kind"] == "instruction"]
    assert len(said) >= 5, "pause, resume, deposit, allocate, kill"
