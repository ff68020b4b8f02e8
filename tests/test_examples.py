"""Every example runs offline in seconds, imports public names only, and shows something."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DATA = ROOT.parent / "shared" / "data"


def run(path, *args, cwd):
    done = subprocess.run([sys.executable, str(path), *args], capture_output=True, text=True, cwd=cwd, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(path, tmp_path):
    assert len(run(path, cwd=tmp_path).splitlines()) > 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_imports_public_names_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sleeves"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert alias.name in module.__all__, f"{node.module}.{alias.name} is not public"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr


def test_the_examples_are_all_tried():
    known = {"planned", "quiet_and_flash", "own_engine", "paper_and_replay", "shared_position", "restart", "past"}
    known |= {
        "four_engines",
        "funding",
        "depeg",
        "scalp",
        "arbitrage",
        "live_desk",
        "drill",
        "megavault",
        "kraken",
        "drift",
        "dashboard",
        "sweep",
    }
    assert known <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("name", ["btc-usd-1h-2017-2019.csv.gz", "btc-perp-1m-2022-01.csv.gz"])
def test_quiet_and_flash_runs_real_candle_files(name, tmp_path):
    """Runs where the folder of real data lies beside the project; skipped, by name, where it does not."""
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not beside the project")
    out = run(ROOT / "examples" / "quiet_and_flash.py", "--candles", str(DATA / name), cwd=tmp_path)
    assert "exact to the unit and equal the venue's balances" in out
    assert "Tradeable rose from 15,000 USD" in out
