"""The command line, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sleeves.cli import main


def test_the_demo_prints_its_table_and_writes_one_file_with_the_pictures(tmp_path, capsys):
    pytest.importorskip("plotly")
    out = tmp_path / "r.html"
    assert main(["demo", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "quiet (USD)",
        "flash (USD)",
        "swept to Tradeable",
        "exact to the unit and equal the venue's balances",
        "adds up to the unit",
    ):
        assert part in printed
    assert printed.rstrip().endswith("open it in a browser")
    assert "<html" in out.read_text()[:500]
    assert list(tmp_path.iterdir()) == [out]


def test_without_plotly_the_demo_says_how_to_get_the_pictures(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    monkeypatch.delitem(sys.modules, "sleeves.plots", raising=False)
    monkeypatch.delattr("sleeves.plots", raising=False)
    out = tmp_path / "r.html"
    assert main(["demo", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "exact to the unit" in printed
    assert 'pip install "sleeves[plots]"' in printed
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_an_error_and_not_a_traceback(tmp_path, capsys):
    pytest.importorskip("plotly")
    assert main(["demo", "--out", str(tmp_path / "no" / "such" / "r.html")]) == 2
    assert capsys.readouterr().err.startswith("sleeves: ")


def test_wrong_use_exits_with_two():
    for args in ([], ["nonsense"], ["demo", "--nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            main(args)
        assert stopped.value.code == 2


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sleeves", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sleeves 0.")
