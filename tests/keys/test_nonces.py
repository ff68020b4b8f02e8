"""A number that a key was given is never given again: not at a crash, not when the clock goes back, not to two at once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.keys import MICROSECOND, MILLISECOND, InvalidKey, KeysError, Nonces
from sleeves.market import DAY, HOUR, SECOND

NOW = 1_790_000_000 * SECOND


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_is_the_time_in_the_venues_unit(clock, tmp_path):
    assert Nonces(clock).draw("a") == NOW // MILLISECOND
    assert Nonces(clock, unit_ns=MICROSECOND).draw("a") == NOW // MICROSECOND
    with Nonces.open(tmp_path / "n", clock, unit_ns=1) as nonces:
        assert nonces.draw("a") == NOW


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(-DAY, DAY)), max_size=60), st.sampled_from([1, MICROSECOND, MILLISECOND, SECOND])
)
def test_numbers_rise_for_each_key_whatever_the_clock_does(steps, unit):
    clock, last = Clock(), {"a": -1, "b": -1}
    nonces = Nonces(clock, unit_ns=unit)
    for key, step in steps:
        clock.now += step
        number = nonces.draw(key)
        assert number > last[key]
        assert number >= clock.now // unit
        last[key] = number


@given(st.lists(st.tuples(st.sampled_from(["draw", "open", "crash", "raise"]), st.integers(-HOUR, HOUR)), max_size=25))
def test_numbers_rise_over_starts_and_crashes(tmp_path_factory, steps):
    path, clock, last = tmp_path_factory.mktemp("nonces") / "n", Clock(), -1
    nonces = Nonces.open(path, clock)
    for what, step in steps:
        clock.now += step
        if what == "draw":
            number = nonces.draw("a")
            assert number > last
            last = number
        elif what == "raise":
            last = max(last, clock.now // MILLISECOND + abs(step) // MILLISECOND)
            nonces.raise_to("a", last)
        else:
            if what == "open":
                nonces.close()
            else:
                nonces._db.close()  # what the process knew is gone, what the file has is there
            nonces = Nonces.open(path, clock)
    nonces.close()


def test_it_is_at_most_a_second_ahead_of_the_clock_after_a_crash(tmp_path, clock):
    for _ in range(5):
        nonces = Nonces.open(tmp_path / "n", clock)
        assert nonces.draw("a") <= (clock.now + 2 * SECOND) // MILLISECOND
        nonces._db.close()
        clock.now += SECOND


def test_the_file_is_written_once_a_second_and_not_for_each_number(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        statements = []
        nonces._db.set_trace_callback(statements.append)
        for _ in range(2_500):
            nonces.draw("a")
            clock.now += 2 * MILLISECOND
        assert 4 <= sum("INSERT" in one for one in statements) <= 6


def test_what_the_file_has_is_always_ahead_of_what_was_given_out(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        for step in (0, 1, 5 * SECOND, -HOUR, 1, HOUR):
            clock.now += step
            number = nonces.draw("a")
            kept = nonces._db.execute("SELECT ceiling FROM nonces WHERE key = 'a'").fetchone()[0]
            assert kept >= number


def test_another_unit_goes_on_rising(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock, unit_ns=MICROSECOND) as nonces:
        last = nonces.draw("a")
    with Nonces.open(tmp_path / "n", clock, unit_ns=MILLISECOND) as nonces:
        assert nonces.draw("a") > last


def test_a_key_that_another_program_used_is_raised(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        nonces.raise_to("a", 9_000_000_000_000)
        assert nonces.draw("a") == 9_000_000_000_001
        nonces.raise_to("a", 5)
        assert nonces.draw("a") == 9_000_000_000_002
        assert nonces.draw("b") == NOW // MILLISECOND
    with Nonces.open(tmp_path / "n", clock) as nonces:
        assert nonces.draw("a") > 9_000_000_000_002


@pytest.mark.parametrize("number", [-1, 2**63, 1.5, True, None, "7", float("nan"), float("inf")])
def test_a_number_that_is_none_raises(clock, number):
    with pytest.raises(InvalidKey, match="a nonce"):
        Nonces(clock).raise_to("a", number)


def test_the_end_of_the_numbers_is_an_error_and_no_number(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        nonces.raise_to("a", 2**63 - 1_500)
        given_out = []

        def draw_all():
            while True:
                given_out.append(nonces.draw("a"))

        with pytest.raises(InvalidKey, match="come to their end"):
            draw_all()
        assert given_out == sorted(set(given_out)) and given_out[-1] < 2**63


@pytest.mark.parametrize("now", [None, -1, 1.5, "now", True, float("nan")])
def test_a_clock_that_gives_no_time_is_refused(now):
    with pytest.raises(InvalidKey, match="the clock"):
        Nonces(lambda: now).draw("a")


@pytest.mark.parametrize("unit", [0, -1, 1.5, None, True, 2 * SECOND, float("inf")])
def test_a_unit_that_is_none_is_refused(clock, unit):
    with pytest.raises(InvalidKey, match="unit_ns"):
        Nonces(clock, unit_ns=unit)


def test_a_clock_is_called_and_a_key_has_a_name(clock):
    with pytest.raises(InvalidKey, match="the clock"):
        Nonces(NOW)
    for key in ("", None, 7):
        with pytest.raises(InvalidKey, match="for a name"):
            Nonces(clock).draw(key)


# -- the file ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_the_file_is_its_owners(tmp_path, clock):
    before = os.umask(0)
    try:
        with Nonces.open(tmp_path / "n", clock) as nonces:
            nonces.draw("a")
            assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_a_second_one_is_refused_at_once(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        began = time.monotonic()
        with pytest.raises(KeysError, match="another program has them open"):
            Nonces.open(tmp_path / "n", clock)
        assert time.monotonic() - began < 4, "sqlite3 alone waits for 5 s"
        assert nonces.draw("a")
    Nonces.open(tmp_path / "n", clock).close()


def test_a_second_process_is_refused(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock):
        done = _drawer(tmp_path / "n", NOW, stderr=subprocess.PIPE)
        said = done.communicate(timeout=30)
    assert done.returncode
    assert b"another program has them open" in said[1]


@pytest.mark.parametrize("text", [b"x" * 5_000, b"SQLite format 3\0" + b"\1" * 4_080])
def test_what_is_no_file_of_nonces_is_refused_and_left(tmp_path, clock, text):
    path = tmp_path / "n"
    path.write_bytes(text)
    with pytest.raises(KeysError, match="cannot be trusted"):
        Nonces.open(path, clock)
    assert path.read_bytes() == text


def test_a_database_of_somebody_else_is_refused(tmp_path, clock):
    other = sqlite3.connect(tmp_path / "n")
    other.execute("CREATE TABLE things (a)")
    other.commit()
    other.close()
    with pytest.raises(KeysError, match="it is no file of nonces"):
        Nonces.open(tmp_path / "n", clock)


def test_a_folder_that_is_not_there_is_told(tmp_path, clock):
    with pytest.raises(KeysError, match="cannot be made"):
        Nonces.open(tmp_path / "none" / "n", clock)


def test_what_cannot_be_kept_is_not_given_out(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        last = nonces.draw("a")
        nonces._db.execute("PRAGMA query_only = ON")
        clock.now += HOUR
        with pytest.raises(KeysError, match="none is given out"):
            nonces.draw("a")
        nonces._db.execute("PRAGMA query_only = OFF")
        assert nonces.draw("a") == clock.now // MILLISECOND > last


def test_closed_ones_give_nothing(tmp_path, clock):
    nonces = Nonces.open(tmp_path / "n", clock)
    nonces.close()
    nonces.close()
    for do in (lambda: nonces.draw("a"), lambda: nonces.raise_to("a", 1)):
        with pytest.raises(KeysError, match="were closed"):
            do()


def test_another_thread_gets_nothing(tmp_path, clock):
    with Nonces.open(tmp_path / "n", clock) as nonces:
        nonces.draw("a")
        found = []

        def other():
            try:
                found.append(nonces.draw("a"))
            except KeysError as error:
                found.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "belong to the thread" in str(found[0])


FORKS = """
import os, sys
from sleeves.keys import KeysError, Nonces
nonces = Nonces.open(sys.argv[1], lambda: 10**18)
first = nonces.draw("a")
child = os.fork()
if not child:
    try:
        nonces.draw("a")
    except KeysError as error:
        print("child:", "forked" in str(error), flush=True)
    sys.exit()
os.waitpid(child, 0)
print("parent:", nonces.draw("a") - first, flush=True)
print("journal:", os.path.exists(sys.argv[1] + "-journal"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_gets_nothing_and_takes_nothing_away(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, tmp_path / "n"], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2] / "src"
    )
    assert done.stdout.splitlines() == ["child: True", "parent: 1", "journal: True"]


# -- killed --------------------------------------------------------------------------------------------------------------


def _drawer(path, start, **pipes):
    program = [sys.executable, str(Path(__file__).with_name("drawer.py")), str(path), str(start)]
    return subprocess.Popen(
        program, bufsize=0, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2] / "src", env={**os.environ, "PYTHONPATH": "."}, **pipes
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system does not kill")
def test_no_number_comes_again_after_a_kill_though_the_clock_goes_back(tmp_path):
    chance, last, seen = random.Random(5), -1, 0
    for life in range(12):
        program = _drawer(tmp_path / "n", NOW - life * HOUR)
        said = program.stdout.readline()  # it draws by now
        time.sleep(chance.uniform(0, 0.05))
        program.send_signal(signal.SIGKILL)
        said += program.communicate(timeout=30)[0]
        assert program.returncode == -signal.SIGKILL
        numbers = [int(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n")]
        assert numbers
        for number in numbers:
            assert number > last
            last = number
        seen += len(numbers)
    assert seen > 1_000
