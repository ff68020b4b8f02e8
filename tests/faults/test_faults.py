"""Faults of the storage, made for real: kills, power cuts, flipped bits, full disks, failed syncs, foreign processes.

The long form of the first three is in their own scripts, by arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import cuts
import pytest
from writer import record

from sleeves.errors import JournalError
from sleeves.journals import SQLite

HERE = Path(__file__).parent
NOBODY = 65534


def script(name, *words):
    """What a script ends with: its exit code and its last line of JSON."""
    done = subprocess.run([sys.executable, str(HERE / name), *map(str, words)], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout + done.stderr
    return done.returncode, json.loads(lines[-1])


needs_strace = pytest.mark.skipif(bool(cuts.unavailable()), reason=cuts.unavailable())
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


# -- kills, power cuts, flipped bits -----------------------------------------------------------------------------------


def test_what_was_acknowledged_outlives_kills():
    code, seen = script("kill.py", "--kills", 15, "--seed", 8)
    assert code == 0, seen
    assert seen["kills"] == 15
    assert seen["records"] > 100


@needs_strace
def test_what_was_acknowledged_outlives_power_cuts():
    code, seen = script("cuts.py", "--cuts", 100, "--steps", 50, "--seed", 7)
    assert code == 0, seen
    assert seen["lost"] == seen["refused"] == 0
    assert seen["acknowledged"] > 200


@needs_strace
def test_the_cuts_would_show_what_is_not_synced():
    """The same with a setting that is too weak, and acknowledged records are lost: the cuts are real."""
    code, seen = script("cuts.py", "--cuts", 40, "--steps", 30, "--synchronous", "NORMAL")
    assert code == 1
    assert seen["broken"] > 10


def test_each_flipped_bit_that_matters_is_refused():
    code, seen = script("flips.py", "--flips", 150, "--clean", 30, "--steps", 40, "--seed", 7)
    assert code == 0, seen
    assert seen["refused_of_these"] == seen["matter"] > 100
    assert seen["alarms"] == 0


# -- other processes ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writer(path, *words, before=(), **terms):
    """A process that writes a journal, see `writer.py`."""
    command = [*before, sys.executable, str(HERE / "writer.py"), str(path), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **terms) as process:
        try:
            yield process
        finally:
            process.kill()


def said(path, *words, **terms):
    """All that a writer says."""
    with writer(path, *words, **terms) as process:
        return process.stdout.read().splitlines()


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "main.sleeves"
    with writer(path, "--count", 3, "--wait") as first:
        assert [first.stdout.readline() for _ in range(4)] == ["open\n", "1\n", "2\n", "3\n"]
        told = rf"journal {path} is open in process {first.pid} on .*: one process writes it"
        with pytest.raises(JournalError, match=told):
            SQLite.open(path)
        with pytest.raises(JournalError, match=told), SQLite.reading(path):
            pass
        (line,) = said(path)
        assert re.match("refused " + told, line)
        first.send_signal(signal.SIGKILL)
        first.wait()
        with SQLite.open(path) as journal:
            assert list(journal) == list(map(record, range(3)))


def test_one_that_is_held_back_and_wakes_goes_on(tmp_path):
    """Nobody could have taken it meanwhile."""
    path = tmp_path / "main.sleeves"
    with writer(path, "--count", 200) as first:
        assert first.stdout.readline() == "open\n"
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(JournalError, match=f"is open in process {first.pid}"):
            SQLite.open(path)
        first.send_signal(signal.SIGCONT)
        assert first.stdout.read().splitlines()[-1] == "200"
        first.wait()
    with SQLite.open(path) as journal:
        assert len(journal) == 200


def test_a_forked_child_can_do_nothing_and_takes_nothing_away(tmp_path):
    """It ends as programs end, and the log that its parent writes to must still be there."""
    path = tmp_path / "main.sleeves"
    with writer(path, "--count", 5, "--fork", "--wait") as process:
        lines = [process.stdout.readline() for _ in range(13)]
        assert lines[0] == "open\n"
        assert lines[8:] == [f"{n}\n" for n in range(1, 6)]
        for line in lines[1:7]:
            assert line.startswith(f"child refused journal {path} belongs to process {process.pid}, not to its child ")
        assert lines[7].startswith(f"child refused journal {path} is open in process {process.pid} on ")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with SQLite.open(path) as journal:
        assert len(journal) == 5


@pytest.mark.parametrize("kept", ["journal = ", ""], ids=["kept", "forgotten"])
def test_a_child_that_outlives_its_parent_does_not_hold_the_journal(tmp_path, kept):
    code = f"import os, sys, time; from sleeves.journals import SQLite; {kept}SQLite.open(sys.argv[1]); os.fork() or time.sleep(60)"
    path = tmp_path / "main.sleeves"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], start_new_session=True) as process:
        try:
            process.wait()
            SQLite.open(path).close()
        finally:
            os.killpg(process.pid, signal.SIGKILL)


# -- who may not -------------------------------------------------------------------------------------------------------

AS_NOBODY = """
import os, sys
from sleeves.errors import JournalError
from sleeves.journals import SQLite
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    with (SQLite.open(sys.argv[2]) if sys.argv[1] == "open" else SQLite.reading(sys.argv[2])) as journal:
        print("opened", len(journal))
except JournalError as error:
    print(error)
"""


def as_nobody(what, path):
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, what, str(path)], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shared():
    """A journal of 5 records in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.sleeves"
        with SQLite.open(path) as journal:
            for n in range(5):
                journal.append(record(n))
        for one in path.parent.iterdir():
            one.chmod(0o666)
        path.parent.chmod(0o777)
        yield path
        path.parent.chmod(0o777)


def contents(path):
    return {one.name: one.read_bytes() for one in path.parent.iterdir() if one.suffix != ".lock"}


def test_the_one_who_may_not_is_who_these_tests_take_him_for(shared):
    assert as_nobody("open", shared) == "opened 5"


@pytest.mark.parametrize("what", ["file", "lock", "anchor"])
def test_a_file_that_may_only_be_read_is_refused(shared, what):
    (shared if what == "file" else shared.with_name(f"main.sleeves.{what}")).chmod(0o444)
    before = contents(shared)
    told = as_nobody("open", shared)
    assert "main.sleeves" in told
    assert "Permission denied" in told
    assert contents(shared) == before
    assert as_nobody("read", shared) == "opened 5"


def test_a_folder_that_may_only_be_read_is_refused(shared):
    shared.with_name("main.sleeves.lock").unlink()
    shared.parent.chmod(0o555)
    before = contents(shared)
    told = as_nobody("open", shared)
    assert told.startswith(f"journal {shared} cannot be opened: its lock cannot be taken: ")
    assert "Permission denied" in told
    assert contents(shared) == before
    assert as_nobody("read", shared) == "opened 5"


def test_a_file_that_may_not_be_read_is_refused(shared):
    shared.chmod(0)
    for what in ("open", "read"):
        assert re.match(rf"journal {shared} cannot be .*Permission denied", as_nobody(what, shared))


def test_a_reader_that_cannot_look_at_the_lock_is_refused(shared):
    """Whether somebody writes just now could not be told."""
    shared.with_name("main.sleeves.lock").chmod(0)
    assert re.match(rf"journal {shared} cannot be opened: its lock cannot be taken: .*Permission denied", as_nobody("read", shared))


# -- the disk ----------------------------------------------------------------------------------------------------------


def held_against(path, lines):
    """Open again what a writer stopped at: all that it said to be kept is there. Returns how many more are."""
    kept = sum(line.isdigit() for line in lines)
    with SQLite.open(path) as journal:
        assert list(journal) == list(map(record, range(len(journal))))
        assert kept <= len(journal) <= kept + 1
        more = len(journal) - kept
        journal.append(record(len(journal)))
    return more


def stopped(path, lines, why):
    """It stopped at once, said why, and that it takes no more."""
    refused = [line for line in lines if line.startswith("refused")]
    assert len(refused) == 2, lines
    number = sum(line.isdigit() for line in lines)
    assert re.match(rf"refused journal {path}: ({why}); records behind number {number} may be there or not", refused[0]), refused[0]
    assert re.match(rf"refused journal {path} takes no more \(({why})\): open it again and recover", refused[1]), refused[1]


@needs_strace
@pytest.mark.parametrize("when", [2, 3, 7])
def test_a_failed_sync_stops_the_journal_and_the_record_is_there(tmp_path, when):
    """The system has the bytes, the disk may not: what raised was written all the same, and is found."""
    path = tmp_path / "main.sleeves"
    SQLite.open(path).close()
    lines = said(path, "--count", 10, before=failing(f"inject=fdatasync,fsync:error=EIO:when={when}+", tmp_path))
    stopped(path, lines, "disk I/O error")
    assert held_against(path, lines) == 1


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_failed_write_stops_the_journal_and_the_record_is_not_there(tmp_path, error):
    path = tmp_path / "main.sleeves"
    SQLite.open(path).close()
    lines = said(path, "--count", 10, before=failing(f"inject=pwrite64:error={error}:when=10+", tmp_path))
    stopped(path, lines, "disk I/O error|database or disk is full")
    assert held_against(path, lines) == 0


@needs_strace
def test_a_sync_that_fails_once_in_a_checkpoint_loses_nothing(tmp_path):
    """The log is on the disk: writing it back is only put off."""
    path = tmp_path / "main.sleeves"
    lines = said(path, "--count", 600, before=failing("inject=fdatasync,fsync:error=EIO:when=500..620+3", tmp_path))
    held_against(path, lines)


def failing(inject, folder):
    """Have system calls of a process fail."""
    return ["strace", "-f", "-o", os.devnull, "-e", "trace=fdatasync,fsync,pwrite64", "-e", inject]


@needs_root
@pytest.mark.parametrize("size", ["150k", "400k"])
def test_a_full_disk_stops_the_journal_and_it_goes_on_when_there_is_space(tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        path = disk / "main.sleeves"
        lines = said(path, "--count", 2_000)
        stopped(path, lines, "database or disk is full")
        assert sum(line.isdigit() for line in lines) > 10
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        held_against(path, lines)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        shutil.rmtree(disk)


def test_a_process_that_may_open_no_more_files_says_so(tmp_path):
    """At whichever file it comes to its end; what is there already is left alone."""
    path = tmp_path / "main.sleeves"
    said(path, "--count", 3)
    before = contents(path)
    for spare in range(4):
        code = f"""
import os, resource, sys
sys.argv = ["writer.py", {str(path)!r}, "--count", "1"]
sys.path.insert(0, {str(HERE)!r})
import writer
from sleeves.journals import SQLite
lowest = os.dup(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + {spare}, 4096))
writer.main()
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        assert re.match(rf"refused (journal|anchor) {path}.*(Too many open files|unable to open database file)", done.stdout), done.stdout
        assert contents(path) == before
    assert said(path, "--count", 1) == ["open", "4"]
