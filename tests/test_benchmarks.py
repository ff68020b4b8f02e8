"""The benchmarks run: each at a tiny size, to its line of JSON. What they measure is not looked at here: no test times anything.

Those of peers are not run, because they need environments of their own; what reads and judges figures is tried on figures.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from array import array
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"

SMALL = {
    "book": "--orders 300 --rows 50 --runs 1",
    "contracts": "--rows 300 --runs 1",
    "kraken": "--calls 20 --orders 20 --runs 1",
    "latency": "--events 200 --runs 1",
    "many": "--rows 800 --pairs 3 --runs 1",
    "memory": "--events 120000 --every 5000",
    "replay": "--rows 1500 --runs 1 --whole 1",
    "ticks": "--rows 2500 --runs 1 --whole 1",
}
ELSEWHERE = {
    "dashboard": "needs a browser; tests/dashboard/browser",
    "growth": "takes half a minute at its smallest",
    "instructions": "needs valgrind; its works are run below",
    "journals": "its sizes have a floor of a minute",
    "sweeps": "tests/sweeps",
    "work": "no script",
}


def load(path: Path) -> ModuleType:
    """A script as a module, with its folder to import from, as when it is run."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    kept = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = kept
    return module


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_script_is_run_here_or_it_is_said_why_not() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} <= SMALL.keys() | ELSEWHERE.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_script_ends_with_its_line_of_json(name: str) -> None:
    told = json.loads(run(str(FOLDER / f"{name}.py"), *SMALL[name].split()).splitlines()[-1])
    assert told.get("benchmark") == name


@pytest.mark.slow
def test_replay_makes_the_same_of_both_paths_and_of_tape_file_and_columns(tmp_path: Path) -> None:
    work = load(FOLDER / "work.py")
    rows, tape = tmp_path / "rows.i64", tmp_path / "rows.tape"
    work.write(rows, work.bars(1_500))
    script = str(FOLDER / "replay.py")
    run(script, "--make", str(tape), "--rows", "1500")
    found = [
        json.loads(run(script, "--data", str(data), "--path", path, "--runs", "2").splitlines()[-1])
        for data, path in ((rows, "event"), (tape, "event"), (tape, "plan"))
    ]
    assert found[0]["fills"] > 10
    assert len({(one["fills"], one["equity"]) for one in found}) == 1


class TestRows:
    def test_a_seed_is_a_walk_and_each_bar_opens_where_the_last_one_closed(self) -> None:
        work = load(FOLDER / "work.py")
        columns = work.bars(500)
        assert columns == work.bars(500)
        assert columns != work.bars(500, seed=2)
        assert list(columns["open"][1:]) == list(columns["close"][:-1])
        assert all(
            low <= min(a, b) and max(a, b) <= high
            for a, high, low, b in zip(columns["open"], columns["high"], columns["low"], columns["close"], strict=True)
        )

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        work = load(FOLDER / "work.py")
        for columns, names in ((work.bars(70), work.BARS), (work.ticks(70), work.TICKS)):
            path = tmp_path / "rows.i64"
            work.write(path, columns)
            assert path.stat().st_size == 8 * 70 * len(names)
            assert work.read(path, names) == columns
            assert path.read_bytes()[:8] == columns["at"][0].to_bytes(8, "little")
            assert all(type(column) is array for column in columns.values())

    def test_a_run_is_settled_outside_of_the_time_taken_and_let_go(self) -> None:
        work = load(FOLDER / "work.py")
        seen: list[int] = []
        seconds, last = work.timed(3, lambda: [1, 2, 3], lambda made: seen.append(len(made)) or len(seen))
        assert (len(seconds), last, seen) == (3, 3, [3, 3, 3])
        assert work.spread([2.0, 1.0, 4.0]) == "2.000 s (1.000 to 4.000)"


class TestPeers:
    def found(self, **given: Any) -> dict[str, Any]:
        base = {"work": "w1", "name": "ours", "version": "1", "rows": 10, "fills": 4, "equity": 1000.0, "run": 0.5, "run_best": 0.4}
        return base | {"run_worst": 0.6, "rows_per_s": 2_000_000, "process": 1.0, "peak_mb": 50, "why": ""} | given

    def test_every_contender_has_its_script_and_every_environment_its_list(self) -> None:
        peers = load(FOLDER / "peers" / "run.py")
        for one in peers.CONTENDERS:
            assert (FOLDER / "peers" / one.script).exists(), one
            assert not one.env or (FOLDER / "peers" / f"{one.env}.txt").read_text().strip()
            assert not one.env or one.env in peers.OLDEST
        assert len({(one.work, one.name) for one in peers.CONTENDERS}) == len(peers.CONTENDERS)

    def test_what_is_pinned_is_pinned_to_one_version(self) -> None:
        for path in (FOLDER / "peers").glob("*.txt"):
            assert all("==" in line for line in path.read_text().split()), path

    def test_a_table_says_where_results_differ_and_who_is_missing(self) -> None:
        peers = load(FOLDER / "peers" / "run.py")
        figures = [
            self.found(),
            self.found(name="other", fills=5, equity=1100.0, why="it rounds", rows_per_s=200_000, cold=3.25),
            self.found(name="same", equity=1000.9),
            {"work": "w1", "name": "gone", "missing": "not installed"},
        ]
        told = peers.table("w1", 10, figures)
        assert "| ours 1 | 0.500 (0.400 to 0.600) | 2.00 M |" in told
        assert "| 200 k | 3.25 |" in told
        assert "- gone: not installed" in told
        assert "- other: +1 fills against ours" in told
        assert "- other: final equity differs by +10.0000% from ours: it rounds" in told
        assert "same:" not in told

    def test_a_median_stands_on_warm_runs_where_there_are_any(self) -> None:
        peers = load(FOLDER / "peers" / "run.py")
        one = peers.Contender("it", "w1", "on_floor.py", warm=2)
        its = peers.Found(
            warm=[1.0, 3.0, 2.0], cold=[9.0], process=[10.0], peak=[7.0], told={"version": "1", "rows": 4, "fills": 1, "equity": 1.0}
        )
        told = peers.figures_of(one, its)
        assert (told["run"], told["run_best"], told["run_worst"], told["rows_per_s"], told["cold"]) == (2.0, 1.0, 3.0, 2, 9.0)
        its.warm = []
        told = peers.figures_of(one, its)
        assert (told["run"], "cold" in told) == (9.0, False)
        its.missing = "it fell"
        assert peers.figures_of(one, its) == {"work": "w1", "name": "it", "missing": "it fell"}

    @pytest.mark.slow
    def test_ours_and_the_floors_are_measured_and_what_is_not_installed_is_said_to_be_missing(self, tmp_path: Path) -> None:
        told = run(str(FOLDER / "peers" / "run.py"), "--home", str(tmp_path), *["--work", "w1", "--rows", "2000", "--rounds", "1"])
        whole = json.loads(told.splitlines()[-1])
        found = {one["name"]: one for one in whole["found"]}
        assert found["sleeves-plan"]["fills"] == found["sleeves-event"]["fills"] == found["floor-float"]["fills"] > 10
        assert abs(found["sleeves-plan"]["equity"] - found["floor-float"]["equity"]) < 0.1
        assert found["nautilus"]["missing"] == "not installed: --make makes its environment"
        assert "- nautilus: not installed" in told

    def test_a_process_that_fails_is_told_with_its_last_words(self, tmp_path: Path) -> None:
        peers = load(FOLDER / "peers" / "run.py")
        one = peers.Contender("floor", "w1", "on_floor.py")
        with pytest.raises(RuntimeError, match="No such file"):
            peers.measure(one, Path(sys.executable), tmp_path / "nowhere.i64", 1, tmp_path)

    def test_a_process_that_takes_too_long_is_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        peers = load(FOLDER / "peers" / "run.py")
        work = load(FOLDER / "work.py")
        monkeypatch.setattr(peers, "LONGEST", 0)
        work.write(tmp_path / "rows.i64", work.bars(200_00))
        with pytest.raises(RuntimeError, match="took more than 0 seconds"):
            peers.measure(peers.Contender("floor", "w1", "on_floor.py"), Path(sys.executable), tmp_path / "rows.i64", 50, tmp_path)


class TestInstructions:
    def test_a_count_is_judged_on_both_sides_of_its_tolerance(self) -> None:
        judged = load(FOLDER / "instructions.py").judged
        kept = {"row": 1000.0, "lane": 1000.0, "plan": 1000.0}
        assert judged({"row": 1030.0, "lane": 970.0}, kept, 3.0) == []
        told = judged({"lane": 969.0, "row": 1031.0, "plan": 1000.0, "new": 5.0}, kept, 3.0)
        assert told == [
            "row: 1,031 instructions, +3.1% against 1,000",
            "lane: 969 instructions, -3.1% against 1,000",
            "new: nothing is kept for it",
        ]

    def test_what_is_kept_is_of_works_that_there_are(self) -> None:
        script = load(FOLDER / "instructions.py")
        assert script.WORKS.keys() == script.SIZES.keys()
        for build, counts in json.loads(script.KEPT.read_text()).items():
            assert "Python 3." in build
            assert counts.keys() <= script.WORKS.keys()
            assert all(type(units) is float and units > 0 for units in counts.values())

    @pytest.mark.slow
    def test_every_work_does_as_many_units_as_it_is_asked_for(self, tmp_path: Path) -> None:
        script = load(FOLDER / "instructions.py")
        work = load(FOLDER / "work.py")
        work.write(tmp_path / "rows.i64", work.bars(script.ROWS))
        for name in script.WORKS:
            told = run(str(FOLDER / "instructions.py"), "--child", name, "--size", "1", "--data", str(tmp_path / "rows.i64"), "--tell")
            assert int(told) == (0 if name == "plan" else 1), name
