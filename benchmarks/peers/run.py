"""Ours and the peers on the same rows, each in an environment of its own, by turns.

    python benchmarks/peers/run.py --make        make the environments (minutes, a few GB)
    python benchmarks/peers/run.py --all         measure everything that is there
    python benchmarks/peers/run.py --work w1 --only sleeves-plan vectorbt-rust --rounds 5

The works, which `benchmarks/work.py` makes from a seed, so that all read the same files:

    w1   500,000 minute bars, EMA(10/50) cross, long with a tenth of the cash at the cross up, flat at the cross down, fee 0.1%
    w2   1,000,000 trades, an average moved with each, 1,000 orders at market
    w3   w1's strategy with 100 pairs of spans over 100,000 bars, each with money of its own

What is measured, in a process of its own each time, ours and the peers by turns, medians with best and worst:

    run       one run in a process that has run it before, so that whatever compiles has compiled; what does not compile has its first
    cold      the first run of a process, with what the caches on disk hold by then
    fresh     the first run with an empty cache of numba, where numba compiles
    process   the whole process with one run: interpreter, imports, reading the rows, the run
    peak      the most memory that this process had resident

The environments lie in --home, else in SLEEVES_PEERS, else beside other temporary files. A peer that is not there is told with the
reason, and no figure stands for it. Fills and final equity are compared; where they differ, the line says so. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import work  # noqa: E402

OLDEST = {"vectorbt": (3, 11), "hftbacktest": (3, 11), "backtesting": (3, 11), "basana": (3, 11), "jesse": (3, 11), "nautilus": (3, 12)}
NEWEST = {"jesse": (3, 12)}
LONGEST = 180
"""Seconds after which a process is ended and said to have taken too long."""


@dataclass(frozen=True)
class Contender:
    """One way to do a work: which script, with which environment, and how often."""

    name: str
    work: str
    script: str
    env: str = ""
    flags: tuple[str, ...] = ()
    warm: int = 0
    """Warm runs after the first one in each round; 0 where nothing compiles and the first is as good as any."""
    rounds: int = 99
    fresh: bool = False
    why: str = ""
    """Why its final equity is another one."""


CONTENDERS = (
    Contender("sleeves-plan", "w1", "../replay.py", flags=("--path", "plan"), warm=5),
    Contender("sleeves-event", "w1", "../replay.py", flags=("--path", "event"), warm=3),
    Contender("floor-float", "w1", "on_floor.py", flags=("--variant", "float"), warm=3),
    Contender("floor-int", "w1", "on_floor.py", flags=("--variant", "int"), warm=3, why="fees rounded up to the cent, averages down"),
    Contender("vectorbt-rust", "w1", "on_vectorbt.py", "vectorbt", ("--variant", "rust"), warm=5, fresh=True),
    Contender("vectorbt-numba", "w1", "on_vectorbt.py", "vectorbt", ("--variant", "numba"), warm=5, rounds=2, fresh=True),
    Contender("hftbacktest", "w1", "on_hftbacktest.py", "hftbacktest", warm=5, fresh=True, why="a spread of one cent"),
    Contender("nautilus", "w1", "on_nautilus.py", "nautilus", why="cents rounded at each fill"),
    Contender("backtesting", "w1", "on_backtesting.py", "backtesting"),
    Contender("basana", "w1", "on_basana.py", "basana", rounds=2, why="fees rounded up to cents"),
    Contender("jesse", "w1", "on_jesse.py", "jesse", rounds=1, why="ends with a sale"),
    Contender("sleeves", "w2", "../ticks.py", warm=3),
    Contender("hftbacktest", "w2", "on_hftbacktest.py", "hftbacktest", warm=5, why="a spread of one cent"),
    Contender("nautilus", "w2", "on_nautilus.py", "nautilus", why="fills at the trade seen, not at the next one"),
    Contender("sleeves-many", "w3", "../many.py", warm=2),
    Contender("vectorbt-rust", "w3", "on_vectorbt.py", "vectorbt", ("--variant", "rust"), warm=2, rounds=2),
    Contender("vectorbt-numba", "w3", "on_vectorbt.py", "vectorbt", ("--variant", "numba"), warm=2, rounds=1),
)

ROWS = {"w1": 500_000, "w2": 1_000_000, "w3": 100_000}


@dataclass
class Found:
    """What was measured of one contender."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


def home_of(given: Path | None) -> Path:
    return given or Path(os.environ.get("SLEEVES_PEERS") or Path(tempfile.gettempdir()) / "sleeves-peers")


def python_of(home: Path, env: str) -> Path:
    if not env:
        return Path(sys.executable)
    return home / env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make(home: Path, names: Sequence[str]) -> None:
    """One environment for each peer, with what its list pins. What fails is told, and the others go on."""
    home.mkdir(parents=True, exist_ok=True)
    for name in names:
        python = python_of(home, name)
        if python.exists() and not (home / f"{name}.failed").exists():
            print(f"{name}: there already")
            continue
        shutil.rmtree(home / name, ignore_errors=True)
        why = _made(home, name)
        if why:
            shutil.rmtree(home / name, ignore_errors=True)
            (home / f"{name}.failed").write_text(why)
        else:
            (home / f"{name}.failed").unlink(missing_ok=True)
        print(f"{name}: {why or 'made'}", flush=True)


def _made(home: Path, name: str) -> str:
    """What went wrong in one sentence; nothing if all is well."""
    interpreter = _interpreter(OLDEST[name], NEWEST.get(name, (3, 99)))
    if interpreter is None:
        return f"no Python from {'.'.join(map(str, OLDEST[name]))} on was found for it"
    for command in (
        [interpreter, "-m", "venv", str(home / name)],
        [str(python_of(home, name)), "-m", "pip", "install", "-q", "-r", str(HERE / f"{name}.txt")],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except subprocess.TimeoutExpired:
            return "installing it took more than 15 minutes"
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["no message"]
            return f"it could not be installed: {lines[0][:200]}"
    return ""


def _interpreter(oldest: tuple[int, int], newest: tuple[int, int]) -> str | None:
    """The oldest Python that will do: this one, one on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = {}
    for one in (
        sys.executable,
        *(shutil.which(f"python3.{minor}") for minor in range(10, 16)),
        *sorted(map(str, pyenv.glob("versions/3.*/bin/python"))),
    ):
        if one is None:
            continue
        asked = subprocess.run([one, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            major, minor = map(int, asked.stdout.split())
            if oldest <= (major, minor) <= newest:
                found.setdefault((major, minor), one)
    return found[min(found)] if found else None


def write_rows(folder: Path, works: Sequence[str], rows: dict[str, int]) -> dict[tuple[str, bool], Path]:
    """The rows of each work, once as plain columns for the peers and once as our tape file."""
    files: dict[tuple[str, bool], Path] = {}
    for name in works:
        columns = work.ticks(rows[name]) if name == "w2" else work.bars(rows[name])
        files[name, False] = folder / f"{name}.i64"
        work.write(files[name, False], columns)
        files[name, True] = folder / f"{name}.tape"
        script = HERE.parent / ("ticks.py" if name == "w2" else "replay.py")
        made = subprocess.run(
            [sys.executable, str(script), "--make", str(files[name, True]), "--rows", str(rows[name])],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            why = (made.stderr.splitlines() or ["no message"])[-1]
            print(f"our tape file for {name} could not be made, so that we read columns too: {why}")
            files[name, True] = files[name, False]
    return files


def measure(one: Contender, python: Path, data: Path, runs: int, folder: Path, **extra: str) -> tuple[dict[str, Any], float, float]:
    """One process: what it told, its seconds from start to end, and its peak in MB. Raises `RuntimeError` with its last words."""
    command = [str(python), str(HERE / one.script), "--data", str(data), "--runs", str(runs), *one.flags]
    if one.script.startswith("on_"):
        command += ["--work", one.work]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0", **extra}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=environment)
        status, usage = _ended(process, begin)
        seconds = time.perf_counter() - begin
        for file in (out, err):
            file.seek(0)
        if status:
            raise RuntimeError((err.read().strip().splitlines() or [f"ended with {status}"])[-1][:200])
        told = json.loads(out.read().strip().splitlines()[-1])
    return told, seconds, usage / (1024 if sys.platform != "darwin" else 1024**2)


def _ended(process: subprocess.Popen[bytes], begin: float) -> tuple[int, int]:
    """Wait for it, so that its own peak is known; one that takes too long is ended."""
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss
        if time.perf_counter() - begin > LONGEST:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = -9
            raise RuntimeError(f"it took more than {LONGEST} seconds, and was ended")
        time.sleep(0.002)


def play(chosen: Sequence[Contender], files: dict[tuple[str, bool], Path], home: Path, rounds: int, folder: Path) -> dict[Contender, Found]:
    found = {one: Found() for one in chosen}
    for one, its in found.items():
        if not python_of(home, one.env).exists():
            failed = home / f"{one.env}.failed"
            its.missing = failed.read_text().strip() if failed.exists() else "not installed: --make makes its environment"
    for round_ in range(rounds):
        for one, its in found.items():
            if its.missing or round_ >= one.rounds:
                continue
            print(f"round {round_ + 1} of {rounds}: {one.work} {one.name}", file=sys.stderr, flush=True)
            python, data = python_of(home, one.env), files[one.work, not one.script.startswith("on_")]
            try:
                told, seconds, peak = measure(one, python, data, 1, folder)
                its.cold.append(told["seconds"][0])
                its.process.append(seconds)
                its.peak.append(peak)
                if one.warm:
                    told, _, _ = measure(one, python, data, 1 + one.warm, folder)
                    its.warm += told["seconds"][1:]
                if one.fresh and not round_:
                    with tempfile.TemporaryDirectory() as empty:
                        fresh, _, _ = measure(one, python, data, 1, folder, NUMBA_CACHE_DIR=empty)
                    its.fresh.append(fresh["seconds"][0])
                its.told = told
            except (RuntimeError, ValueError, KeyError, IndexError) as error:
                its.missing = f"it did not run: {error}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", action="store_true", help="make the environments")
    parser.add_argument("--all", action="store_true", help="measure all works")
    parser.add_argument("--work", nargs="+", choices=sorted(ROWS), default=[])
    parser.add_argument("--only", nargs="+", help="contenders, or environments with --make")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="rows of each work, instead of its own number")
    parser.add_argument("--home", type=Path, help="where the environments are")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    args = parser.parse_args()
    home = home_of(args.home)
    if args.make:
        make(home, args.only or list(OLDEST))
    works = sorted(ROWS) if args.all else args.work
    if not works:
        if not args.make:
            parser.error("nothing to do: --make, --all or --work")
        return
    chosen = [one for one in CONTENDERS if one.work in works and (args.make or not args.only or one.name in args.only)]
    rows = {name: args.rows or ROWS[name] for name in works}
    before = work.machine()
    with tempfile.TemporaryDirectory() as folder:
        files = write_rows(Path(folder), works, rows)
        found = play(chosen, files, home, args.rounds, Path(folder))
    after = work.machine()
    print(f"{before['cpu']}, {before['cores']} cores, {before['system']}; load {before['load'][0]} before, {after['load'][0]} after\n")
    figures = [figures_of(one, its) for one, its in found.items()]
    for name in works:
        told = [one for one in figures if one["work"] == name]
        print(table(name, rows[name], told), end="\n\n")
    whole = {"benchmark": "peers", "rounds": args.rounds, "rows": rows, "machine": before, "load_after": after["load"], "found": figures}
    if args.json:
        args.json.write_text(json.dumps(whole, indent=1) + "\n")
    print(json.dumps(whole))


def figures_of(one: Contender, its: Found) -> dict[str, Any]:
    """Medians, and what they stand on, of one contender; only its name and the reason where it did not run."""
    told: dict[str, Any] = {"work": one.work, "name": one.name}
    if its.missing or not its.cold:
        return {**told, "missing": its.missing or "no round"}
    runs = its.warm or its.cold
    told |= {
        "version": its.told["version"],
        "rows": its.told["rows"],
        "fills": its.told["fills"],
        "equity": round(its.told["equity"], 2),
        "run": round(statistics.median(runs), 4),
        "run_best": round(min(runs), 4),
        "run_worst": round(max(runs), 4),
        "runs": len(runs),
        "rows_per_s": round(its.told["rows"] / statistics.median(runs)),
        "process": round(statistics.median(its.process), 3),
        "process_worst": round(max(its.process), 3),
        "peak_mb": round(statistics.median(its.peak)),
        "why": one.why,
    }
    if its.warm:
        told["cold"] = round(statistics.median(its.cold), 4)
    if "proved_s" in its.told:
        told |= {"written": its.told["written_s"], "proved": its.told["proved_s"]}
    if its.fresh:
        told["fresh"] = round(its.fresh[0], 3)
    return told


def table(name: str, rows: int, figures: Sequence[dict[str, Any]]) -> str:
    """The figures of one work as a table of Markdown, with what differs in the results under it."""
    lines = [
        f"{name.upper()}, {rows:,} rows",
        "",
        "| | run, s (best to worst) | rows a second | cold | fresh | process, s | peak, MB | fills | final equity |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    known = [one for one in figures if "missing" not in one]
    for one in figures:
        if "missing" in one:
            notes.append(f"{one['name']}: {one['missing']}")
            continue
        cold, fresh = (f"{one[key]:.2f}" if key in one else "" for key in ("cold", "fresh"))
        run = f"{one['run']:.3f} ({one['run_best']:.3f} to {one['run_worst']:.3f})"
        lines.append(
            f"| {one['name']} {one['version']} | {run} | {_short(one['rows_per_s'])} | {cold} | {fresh} | {one['process']:.2f} "
            f"| {one['peak_mb']} | {one['fills']:,} | {one['equity']:,.2f} |"
        )
    for one in known:
        first = known[0]
        if "proved" in one:
            notes.append(
                f"{one['name']}: then its records are written out in {one['written']:.2f} s, and all laws proved in {one['proved']:.2f} s"
            )
        if one["fills"] != first["fills"]:
            notes.append(
                f"{one['name']}: {one['fills'] - first['fills']:+,} fills against {first['name']}. {one['why'].capitalize()}.".rstrip(" .")
            )
        if abs(one["equity"] - first["equity"]) > 1:
            off = (one["equity"] - first["equity"]) / first["equity"]
            notes.append(
                f"{one['name']}: final equity differs by {off:+.4%} from {first['name']}"
                + (f": {one['why']}" if one["why"] else ", unexplained")
            )
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)])


def _short(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"


if __name__ == "__main__":
    main()
