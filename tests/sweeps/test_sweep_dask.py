"""Sweeps on a real Dask cluster of this machine: the same results, with workers killed in the middle and with workers that see no file."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest

pytest.importorskip("distributed")

import dask
from distributed import Client, LocalCluster

from sleeves.sweeps import Sweep, grid, sweep
from sleeves.sweeps.crew import Crew
from sweep_desks import RULES, cross, moody, walk

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # what Dask warns of is not ours

TAPE = walk(4_000)
GRID = grid(fast=[3, 5, 8, 13], slow=[21, 34, 55, 89])


@pytest.fixture(scope="module")
def client():
    quiet = {
        "distributed.scheduler.allowed-failures": 1,  # a task that ends two workers is given up: 3, as Dask has it, takes longer
        "logging": {"distributed": "critical", "distributed.nanny": "critical", "distributed.worker": "critical"},
    }
    with (
        dask.config.set(quiet),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=60) as cluster,
        Client(cluster) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def serial() -> Sweep:
    return sweep(cross, GRID, TAPE, executor="here", rules=RULES, digest=True)


def plain(found):
    return [(trial.params, trial.figures, trial.error, trial.digest) for trial in found]


class Killer:
    """Told how many trials are done, it kills one worker after the other, each once."""

    def __init__(self, client):
        self.pids = list(client.run(os.getpid).values())
        self.killed = 0
        self.done = 0

    def __call__(self, count):
        self.done += count
        if self.pids and self.done >= 3 * (self.killed + 1):
            os.kill(self.pids.pop(), signal.SIGKILL)
            self.killed += 1


def test_a_cluster_comes_to_the_same(client, serial):
    executor = client.get_executor()
    assert Crew(executor, None, [TAPE], None).workers == 2
    assert plain(sweep(cross, GRID, TAPE, executor=executor, rules=RULES, digest=True)) == plain(serial)
    assert client.submit(int, "1").result() == 1, "it is open still"


def test_with_all_workers_killed_on_the_way_it_comes_to_the_same(client, serial):
    killer = Killer(client)
    found = sweep(cross, GRID, TAPE, executor=client.get_executor(), rules=RULES, digest=True, chunk=1, progress=killer)
    assert killer.killed == 2
    assert plain(found) == plain(serial)


def test_workers_that_see_no_file_are_sent_the_tape_and_may_die_too(client, serial, monkeypatch, tmp_path):
    """As on machines of their own: each file is gone before a worker could look at it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    submit, carried = Crew.submit, []

    def hidden(crew, chunk):
        for path in tmp_path.glob("sleeves-sweep-*/*.tape"):
            path.unlink()
        carried.append(chunk.carried)
        return submit(crew, chunk)

    monkeypatch.setattr(Crew, "submit", hidden)
    killer = Killer(client)
    found = sweep(cross, GRID, TAPE, executor=client.get_executor(), rules=RULES, digest=True, chunk=1, progress=killer)
    assert killer.killed == 2
    assert any(carried)
    assert plain(found) == plain(serial)


def test_a_trial_that_kills_every_worker_is_given_up(client):
    calm = [{"n": n} for n in range(4)]
    found = sweep(moody, [calm[0], {"mood": "die:"}, {"mood": "raise:x"}, *calm[1:]], TAPE, executor=client.get_executor(), rules=RULES)
    assert [trial.ok for trial in found] == [True, False, False, True, True, True]
    assert "given up, no worker came back with it: KilledWorker" in found[1].error
    assert plain(t for t in found if t.ok) == plain(sweep(moody, calm, TAPE, executor="here", rules=RULES))
