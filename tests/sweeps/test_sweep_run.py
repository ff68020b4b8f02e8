"""A sweep comes to the same whoever carries it out; what goes wrong in one trial stays there; nothing is left running or lying about."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sleeves import ETH, USD, Instrument
from sleeves.errors import VaultError
from sleeves.news import PoolState
from sleeves.sim import ConstantProduct, Rules, Tape, replay
from sleeves.sweeps import Sweep, SweepStopped, grid, sweep, totals
from sweep_desks import MARKET, RULES, cross, moody, walk

TAPE = walk()
GRID = grid(fast=[3, 5, 8], slow=[13, 21, 34])
HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def serial() -> Sweep:
    return sweep(cross, GRID, TAPE, executor="here", rules=RULES, digest=True)


@pytest.fixture(scope="module")
def pool():
    """One pool of two processes for those tests that do not break it."""
    with cf.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left(request, monkeypatch, tmp_path):
    """No process that was not there before, and no file in the folder for temporary ones."""
    before = multiprocessing.active_children()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    if "pool" not in request.fixturenames:
        assert not [process for process in multiprocessing.active_children() if process not in before]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("sleeves-")]


def plain(found):
    return [(trial.params, trial.figures, trial.error, trial.digest) for trial in found]


def test_each_trial_is_the_replay_of_its_desk(serial):
    for params, trial in zip(GRID, serial, strict=True):
        desk = cross(**params)
        report = replay(desk, TAPE, rules=RULES, bounds=False, progress=False)
        assert (trial.params, trial.digest) == (params, desk.books.journal.digest())
        assert trial["profit"] == USD(report.rows()[0]["net_profit"])
        assert trial.ok
    assert len({trial.digest for trial in serial}) > 5, "trials differ"


def test_an_own_pool_comes_to_the_same(serial):
    assert plain(sweep(cross, GRID, TAPE, rules=RULES, digest=True, workers=2, chunk=2)) == plain(serial)


def test_threads_come_to_the_same(serial):
    with cf.ThreadPoolExecutor(3) as executor:
        assert plain(sweep(cross, GRID, TAPE, executor=executor, rules=RULES, digest=True)) == plain(serial)
        assert executor.submit(int, "1").result() == 1, "it stays open"


def test_a_pool_that_was_handed_in_comes_to_the_same_and_stays_open(serial, pool):
    assert plain(sweep(cross, GRID, TAPE, executor=pool, rules=RULES, digest=True)) == plain(serial)
    assert pool.submit(int, "1").result() == 1


def test_a_tape_with_a_file_is_used_as_it_is(serial, pool, tmp_path, monkeypatch):
    TAPE.save(tmp_path / "walk.tape")
    tape = Tape.open_file(tmp_path / "walk.tape")
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: pytest.fail("no file is needed"))
    assert plain(sweep(cross, GRID, tape, executor=pool, rules=RULES, digest=True)) == plain(serial)
    part = sweep(cross, GRID[:2], tape.slice(500, 1500), executor=pool, rules=RULES, digest=True)
    assert plain(part) == plain(sweep(cross, GRID[:2], TAPE.slice(500, 1500), executor="here", rules=RULES, digest=True))


class Elsewhere(cf.Executor):
    """Workers that see no file of this machine: what is sent is pickled, and a tape's file is gone before it arrives."""

    def __init__(self, pool, hidden):
        self.pool, self.hidden, self.sent = pool, hidden, []

    def submit(self, fn, /, *args, **kwargs):
        for path in self.hidden.glob("sleeves-sweep-*/*.tape"):
            path.unlink()
        self.sent.append(args[3])
        return self.pool.submit(fn, *args, **kwargs)


def test_where_nobody_sees_the_file_the_tape_is_sent(serial, tmp_path):
    with cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        executor = Elsewhere(pool, tmp_path)
        assert plain(sweep(cross, GRID, TAPE, executor=executor, rules=RULES, digest=True, workers=1, chunk=1)) == plain(serial)
    assert sum(data is not None for data in executor.sent) <= 2, "once it is there it is there"
    assert len(executor.sent) > len(GRID)


def test_a_tape_that_no_file_keeps_travels_too(serial, pool):
    tape = TAPE.with_news([PoolState(MARKET, TAPE.at[3], ConstantProduct(10**12, 10**12, 3_000))])
    assert [trial.figures for trial in sweep(cross, GRID[:2], tape, executor=pool, rules=RULES)] == [t.figures for t in serial[:2]]


def test_several_tapes_are_one_account(pool):
    market = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0000000001")
    other = Tape.from_units(market, **{name: getattr(TAPE, name) for name in ("at", "open", "high", "low", "close")})
    rules = {"BTC/USD": RULES, "ETH/USD": RULES}
    alone = sweep(cross, GRID[:2], [TAPE, other], executor="here", rules=rules, digest=True)
    assert alone[0]["fills"] > 10
    assert plain(sweep(cross, GRID[:2], [TAPE, other], executor=pool, rules=rules, digest=True)) == plain(alone)


def test_a_measure_takes_its_own_figures(pool):
    assert [list(trial.figures) for trial in sweep(cross, GRID[:2], TAPE, executor=pool, measure=totals)] == [
        ["profit", "equity", "fees", "funding", "returned"]
    ] * 2
    found = sweep(cross, GRID[:2], TAPE, executor=pool, measure=own_measure, rules=RULES)
    assert [trial["fills"] for trial in found] == [len(list(trial["sides"].split())) for trial in found]


def own_measure(report):
    return {"fills": report.rows()[0]["fills"], "sides": " ".join(row["side"] for row in report.fills())}


def bad_measure(report):
    return {"fine": 1, "bad": [report.rows()]}


# -- what goes wrong -----------------------------------------------------------------------------------------------------


CALM = [{"n": n} for n in range(6)]
TROUBLE = [{"mood": "raise:one"}, {"mood": "raise:<b>two</b>", "at": "make"}, {"mood": "exit:3", "n": 1}, {"fast": 3}]


@pytest.mark.parametrize("chunk", [1, 3, 10])
@pytest.mark.parametrize("where", ["here", "pool"])
def test_a_trial_that_fails_says_why_and_the_others_go_on(where, chunk, pool):
    alone = sweep(moody, CALM, TAPE, executor="here", rules=RULES, digest=True)
    found = sweep(
        moody, [*CALM[:3], *TROUBLE, *CALM[3:]], TAPE, executor=pool if where == "pool" else where, rules=RULES, digest=True, chunk=chunk
    )
    assert plain(t for t in found if t.ok) == plain(alone)
    assert [trial.error.partition(": ")[0] for trial in found.failed] == ["EngineFault", "ValueError", "SystemExit", "TypeError"]
    assert "an engine in a mood: one" in found.failed[0].error
    assert found.failed[1].error == "ValueError: an engine in a mood: <b>two</b>"
    assert all(not trial.figures and not trial.digest for trial in found.failed)
    with pytest.raises(VaultError, match="no figure 'profit' of this trial: TypeError"):
        found.failed[-1]["profit"]


def no_desk(n=0):
    return "a desk"


def broken_books(n=0):
    """A desk whose ledger has been meddled with."""
    desk = moody(n=n)
    vault = desk.treasury.vaults[0]
    ledger = vault.books.ledger
    cell = next(cell for (account, _), cell in ledger._cells.items() if account.owner == "moody")
    cell.units += 1
    return desk


@pytest.mark.parametrize(("make", "said"), [(no_desk, "make_desk gives a Desk, not a str"), (broken_books, "the books do not hold")])
def test_what_is_no_desk_or_breaks_a_law_is_a_failure_and_never_a_number(make, said):
    found = sweep(make, [{"n": 1}, {"n": 2}], TAPE, executor="here")
    assert len(found.failed) == 2
    assert all(said in trial.error and not trial.figures for trial in found)


def test_a_measure_that_gives_no_figure_is_a_failure():
    (trial,) = sweep(cross, [{}], TAPE, executor="here", measure=bad_measure)
    assert trial.error == "VaultError: the figure bad is a list: give an Amount, a number, text, or None"


def test_an_error_is_kept_short():
    (trial,) = sweep(moody, [{"mood": "raise:" + "x" * 10_000, "at": "make"}], TAPE, executor="here")
    assert len(trial.error) < 2_100


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 4])
def test_a_trial_that_kills_its_worker_is_given_up_and_all_others_are_run(chunk, tmp_path):
    alone = sweep(moody, CALM, TAPE, executor="here", rules=RULES, digest=True)
    once = {"mood": f"once:{tmp_path / 'seen'}"}
    found = sweep(moody, [*CALM[:2], {"mood": "die:"}, once, *CALM[2:]], TAPE, rules=RULES, digest=True, chunk=chunk, workers=2)
    assert plain(t for t in found if t.params in CALM) == plain(alone)
    assert "given up, no worker came back with it: BrokenProcessPool" in found[2].error
    assert found[3].ok, "one that killed its worker once has another try"


def test_an_executor_of_others_that_breaks_is_said_to_be_broken():
    with (
        cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor,
        pytest.raises(VaultError, match=r"the executor broke \(BrokenProcessPool.*a function that makes one"),
    ):
        sweep(moody, [{"mood": "die:"}, *CALM], TAPE, executor=executor)


def test_an_executor_that_was_shut_down_is_said_to_take_no_work():
    with cf.ThreadPoolExecutor(1) as executor:
        pass
    with pytest.raises(VaultError, match="the executor takes no work: RuntimeError"):
        sweep(cross, GRID, TAPE, executor=executor)


class Deaf(cf.Executor):
    """Its workers cannot read what they are sent."""

    def submit(self, fn, /, *args, **kwargs):
        future: cf.Future[object] = cf.Future()
        future.set_exception(ModuleNotFoundError("No module named 'mine'"))
        return future


def test_workers_that_cannot_import_the_work_are_told_of_at_once():
    with pytest.raises(VaultError, match=r"no worker could take up the work \(ModuleNotFoundError.*must be importable"):
        sweep(cross, GRID, TAPE, executor=Deaf())


@pytest.mark.slow
def test_an_executor_that_a_function_makes_is_made_anew():
    made = []

    def make():
        made.append(cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
        return made[-1]

    found = sweep(moody, [{"mood": "die:"}, *CALM], TAPE, executor=make, rules=RULES, chunk=1)
    assert [trial.ok for trial in found] == [False, *[True] * len(CALM)]
    assert len(made) == 3
    with pytest.raises(RuntimeError):
        made[-1].submit(int)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"executor": "there"}, 'the only executor that goes by a name is "here"'),
        ({"executor": 7}, "executor is a concurrent.futures.Executor"),
        ({"executor": cf.ThreadPoolExecutor}, "executor is a concurrent.futures.Executor"),
        ({"executor": lambda: 3}, "makes a int"),
        ({"workers": 0}, "workers is a whole number above zero, not 0"),
        ({"workers": True}, "workers is a whole number"),
        ({"chunk": -1}, "chunk is a whole number"),
        ({"chunk": 1.5}, "chunk is a whole number"),
        ({"make_desk": "cross"}, "make_desk is a function"),
        ({"measure": None}, "measure is a function"),
        ({"tape": "walk"}, "a sweep runs over a Tape"),
        ({"tape": []}, "a sweep runs over a Tape"),
        ({"tape": [TAPE, 3]}, "a sweep runs over a Tape"),
        ({"grid": {}}, "the grid is empty"),
        ({"make_desk": lambda: cross()}, "make_desk cannot be sent to another process"),
        ({"measure": lambda report: {}}, "measure cannot be sent to another process"),
    ],
)
def test_misuse_is_refused_before_anything_runs(change, rule):
    asked = {"make_desk": cross, "grid": GRID, "tape": TAPE, **change}
    with pytest.raises(VaultError, match=rule):
        sweep(asked.pop("make_desk"), asked.pop("grid"), asked.pop("tape"), **asked)


def test_a_rule_that_no_venue_has_fails_each_trial():
    found = sweep(cross, GRID[:2], TAPE, executor="here", rules=Rules(RULES.fees.of("2%", "2%")))
    assert all("more than buys set aside" in trial.error for trial in found)


def test_functions_with_parts_filled_in_are_functions(serial, pool):
    small = functools.partial(cross, slow=21)
    found = sweep(small, {"fast": [3, 5, 8]}, TAPE, executor=pool, rules=RULES, digest=True)
    assert [trial.digest for trial in found] == [trial.digest for trial in serial if trial.params["slow"] == 21]
    assert "cross over" in str(found)


# -- how far it is, and how it ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "pool"])
def test_progress_counts_trials(where, pool):
    heard = []
    sweep(cross, GRID, TAPE, executor=pool if where == "pool" else where, progress=heard.append, chunk=2)
    assert sum(heard) == len(GRID)
    assert len(heard) == 5


def test_a_progress_that_raises_ends_the_sweep_and_its_pool():
    with pytest.raises(ZeroDivisionError):
        sweep(cross, GRID, TAPE, progress=lambda _: 1 // 0, workers=1, chunk=1)


def test_stopped_here_it_tells_what_there_is(serial):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(SweepStopped, match="2 of 9 trials are done") as stopped:
        sweep(cross, GRID, TAPE, executor="here", rules=RULES, digest=True, progress=stop, chunk=2)
    assert plain(stopped.value.sweep) == plain(serial)[:2]
    assert isinstance(stopped.value, KeyboardInterrupt)


STOPPED = """
import os, signal, sys, time
# a run of tests in the background of a shell has its children ignore the signal: this one is to hear it, as in a terminal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sleeves.sweeps import SweepStopped, sweep
from sweep_desks import moody, walk
def told(count):
    print("came", count, flush=True)
if __name__ == "__main__":
    began = time.monotonic()
    try:
        grid = [{"n": 1}, *({"mood": "wait:60", "n": n} for n in range(2, 9))]
        sweep(moody, grid, walk(), keep="kept.db", progress=told, chunk=1, workers=2)
    except SweepStopped as stopped:
        took = time.monotonic() - began
        print("stopped with", len(stopped.sweep), "in time" if took < 50 else "too late", flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_with_what_there_is(tmp_path):
    """As a terminal does it: the signal goes to all processes of the group."""
    (tmp_path / "run.py").write_text(STOPPED)
    run = subprocess.Popen(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout.readline() == "came 1\n"
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert out == "stopped with 1 in time\n"
    assert "Traceback" not in err
    _gone(run.pid)
    again = sweep(moody, [{"n": 1}], walk(), executor="here", keep=tmp_path / "kept.db")
    assert again[0].kept


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_process(tmp_path):
    (tmp_path / "run.py").write_text(STOPPED)
    run = subprocess.Popen(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "TMPDIR": str(tmp_path / "elsewhere")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    (tmp_path / "elsewhere").mkdir()
    assert run.stdout.readline() == "came 1\n"
    run.kill()
    run.communicate(timeout=60)
    _gone(run.pid)


def _gone(group: int) -> None:
    """Wait until no process of that group is there."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes were left behind")


UNGUARDED = """
from sleeves.sweeps import sweep
from sweep_desks import cross, walk
sweep(cross, {"fast": [3, 4]}, walk(50), workers=1)
"""


def test_a_script_without_a_guard_is_told_what_is_missing(tmp_path):
    (tmp_path / "run.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert 'stands under if __name__ == "__main__"' in done.stderr.splitlines()[-1]


NOTEBOOK = """
from sleeves.sweeps import sweep
import sweep_desks
class Named(sweep_desks.Moody):
    name = "written-here"
def mine(n):
    desk = sweep_desks.moody(n=n)
    sleeve = desk.treasury.vaults[0].sleeve("second", sweep_desks.QUIET, allocate="50")
    desk.assign(Named("calm"), to=sleeve)
    return desk
def engines(report):
    return {"engines": ",".join(row["engine"] for row in report.rows())}
found = sweep(mine, {"n": [1, 2, 3]}, sweep_desks.walk(300), workers=1, measure=engines)
print([trial.figures or trial.error for trial in found])
"""


def test_functions_of_a_notebook_travel_with_their_code():
    """As in a notebook: a main module without a file, which no other process can import."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == f"{[{'engines': 'moody,written-here'}] * 3}\n", done.stderr


def test_without_cloudpickle_a_notebook_is_told_what_to_do():
    code = "import sys\nsys.modules['cloudpickle'] = None\n" + NOTEBOOK
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, timeout=120
    )
    assert "was written in a notebook" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_benchmark_of_sweeps_runs():
    """At a tiny size, to its line of JSON; each way comes to the same there, and nothing is timed here."""
    script = HERE.parent / "benchmarks" / "sweeps.py"
    small = ["--rows", "600", "--pairs", "3", "--runs", "1", "--most", "1"]
    done = subprocess.run([sys.executable, str(script), *small], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["benchmark"] == "sweeps"
