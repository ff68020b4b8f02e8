"""Power cuts: the disk as it may be at any moment of a life, with torn sectors. What was acknowledged is on each.

    python tests/faults/cuts.py [--cuts 1000] [--seed 1] [--synchronous NORMAL]

A child lives a `Life` under `strace`, which records what it writes, syncs, cuts, renames and removes. A disk keeps what
was synced; of the rest, at a cut, each 512-byte sector of each write is on it or not, by chance, and of the changes of
names in a folder the first few. On each such disk the journal must open, verify, and have every record that was
acknowledged before the cut. Needs strace; the journal under test is the very one of `sleeves.journals`.

Ends with one line of JSON; the exit code is 1 when a promise was broken. With `--synchronous NORMAL` it must be: that is
how one sees that cuts lose what is not synced.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from life import Life, scratch, verified

from sleeves.errors import JournalError
from sleeves.journals import SQLite, sqlite

NAME = "main.sleeves"
SECTOR = 512
OFTEN = 10
"""How much more often a cut falls where a file comes or goes, as when a journal is begun, opened or closed."""
CALLS = "openat,write,pwrite64,lseek,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=160, help="how long the life is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synchronous", default="", choices=["", "OFF", "NORMAL"], help="weaken the journal's own setting")
    parser.add_argument("--live", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.live:
        return live(Path(args.live), args.steps, args.seed, args.synchronous)
    if why := unavailable():
        print(why)
        return 2
    began = time.perf_counter()
    with scratch() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        calls = recorded(home, args)
        seen = Cuts(calls, home, Path(folder) / "image", args.cuts, args.seed).run()
    more = {"weakened": args.synchronous, "sqlite": sqlite3.sqlite_version, "s": round(time.perf_counter() - began, 1)}
    print(json.dumps({"test": "cuts", "seed": args.seed, **seen, **more}))
    return 1 if seen["broken"] else 0


def unavailable():
    """Why cuts cannot be made here; nothing where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace does not work here: {done.stderr.strip()}" if done.returncode else ""


# -- the life that is recorded -----------------------------------------------------------------------------------------


def live(home, steps, seed, synchronous):
    """The child: a life that is closed and opened again four times; two parts of five checkpoint far more often than by default."""
    settings = sqlite._SETTINGS
    if synchronous:
        settings = (*settings, f"PRAGMA synchronous = {synchronous}")
    for part in range(5):
        sqlite._SETTINGS = (*settings, "PRAGMA wal_autocheckpoint = 20") if part % 2 else settings
        journal = SQLite.open(home / NAME)
        life = Life(journal, seed, lambda count, digest: os.write(1, f"durable {count} {digest}\n".encode()))
        for k in range(part * steps // 5, (part + 1) * steps // 5):
            life.step(k)
        journal.close()
    return 0


def recorded(home, args):
    """What the child did to the files of its folder, in order."""
    log = home.with_name("strace.log")
    me = [sys.executable, __file__, "--live", str(home), "--steps", str(args.steps), "--seed", str(args.seed)]
    strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)]
    subprocess.run([*strace, *me, "--synchronous", args.synchronous], check=True, stdout=subprocess.DEVNULL, env=os.environ)
    with log.open() as lines:
        calls = [call for line in lines if (call := parsed(line, str(home))) is not None]
    log.unlink()
    assert any(call[0] == "sync" for call in calls) and any(call[0] == "told" for call in calls), "strace has seen nothing"
    return calls


_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"^\d+<([^>]*)>")


def parsed(line, home):
    """One line of strace's as (what, path, ...); None for what concerns no file of the folder."""
    found = _CALL.match(line)
    if found is None or int(found[3]) < 0:
        return None
    call, words, result = found[1], found[2], int(found[3])
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(words)]
    if call == "write" and texts and texts[0].startswith(b"durable "):
        count, digest = texts[0].decode().split()[1:]
        return "told", int(count), digest
    if call == "openat":
        path = _decoded(found[4] or "")
        made = path.startswith(home + "/") and "O_CREAT" in words
        return ("made", path, "O_TRUNC" in words) if made else None
    if call.startswith(("unlink", "rename")):
        names = [text.decode() for text in texts]
        return (call[:6], *names) if names[0].startswith(home + "/") else None
    path = _decoded((_FILE.match(words) or ("", ""))[1])
    if path != home and not path.startswith(home + "/"):
        return None
    numbers = [int(word) for word in re.findall(r"(?<=, )\d+(?=,|$)", words)]
    if call in ("fsync", "fdatasync"):
        return "sync", path
    if call == "pwrite64":
        return "write", path, numbers[-1], texts[0][:result]
    if call == "write":
        return "write", path, None, texts[0][:result]
    if call == "ftruncate":
        return "cut", path, numbers[-1]
    return ("seek", path, result) if call == "lseek" else None


def _decoded(text):
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


# -- the disk ----------------------------------------------------------------------------------------------------------


class File:
    """What of a file is surely on the disk, and what was done to it since it was synced."""

    def __init__(self):
        self.kept = bytearray()
        self.since = []

    def sync(self):
        for change in self.since:
            _apply(self.kept, *change)
        self.since.clear()

    def torn(self, draw):
        """What may be on the disk after a cut: each sector of each write, or not."""
        content = bytearray(self.kept)
        for at, data in self.since:
            if data is None:
                if draw.random() < 0.5:
                    _apply(content, at, None)
                continue
            start = at
            while start < at + len(data):
                end = min(at + len(data), start - start % SECTOR + SECTOR)
                if draw.random() < 0.5:
                    _apply(content, start, data[start - at : end - at])
                start = end
        return bytes(content)


def _apply(content, at, data):
    """Write at a place, or with no data cut there."""
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if data is None:
        del content[at:]
    else:
        content[at : at + len(data)] = data


class Disk:
    """Files by name, as the process sees them, and as the folder on the disk surely has them."""

    def __init__(self, home):
        self.home = str(home)
        self.names = {}
        self.kept = {}
        self.since = []
        """Changes of names since the folder was synced: (name, file or None)."""
        self.at = {}

    def do(self, what, path, *words):
        if what == "made":
            if path not in self.names:
                self.name(path, File())
            elif words[0]:
                self.names[path].since.append((0, None))
            self.at[path] = 0
        elif what == "unlink":
            self.name(path, None)
        elif what == "rename":
            self.name(words[0], self.names[path])
            self.name(path, None)
        elif what == "sync" and path == self.home:
            self.kept, self.since = dict(self.names), []
        elif what == "sync":
            self.names[path].sync()
        elif what == "seek":
            self.at[path] = words[0]
        elif what == "cut":
            self.names[path].since.append((words[0], None))
        elif what == "write":
            place, data = words
            if place is None:
                place = self.at[path]
                self.at[path] += len(data)
            self.names[path].since.append((place, data))

    def name(self, path, file):
        self.since.append((path, file))
        if file is None:
            self.names.pop(path, None)
        else:
            self.names[path] = file

    def image(self, draw):
        """The files that may be there after a cut, and what is in them."""
        names = dict(self.kept)
        for path, file in self.since[: draw.randint(0, len(self.since))]:
            if file is None:
                names.pop(path, None)
            else:
                names[path] = file
        return {Path(path).name: file.torn(draw) for path, file in names.items()}


class Cuts:
    """So many cuts over the calls of a life, and what was found on each disk."""

    def __init__(self, calls, home, folder, count, seed):
        self.calls = calls
        self.disk = Disk(home)
        self.folder = folder
        self.draw = random.Random(seed)
        around = {n + near for n, call in enumerate(calls) if call[0] in ("made", "unlink", "rename") for near in range(-2, 3)}
        weights = [OFTEN if n in around else 1 for n in range(len(calls))]
        self.moments = sorted(self.draw.choices(range(len(calls)), weights, k=count))
        self.told = (0, "")
        self.seen = {"cuts": count, "calls": len(calls), "empty": 0, "more_than_acknowledged": 0, "lost": 0, "refused": 0}
        self.broken = []

    def run(self):
        moments = iter(self.moments)
        moment = next(moments, None)
        for n, call in enumerate(self.calls):
            if call[0] == "told":
                self.told = call[1:]
            else:
                self.disk.do(*call)
            while moment == n:
                self.cut()
                moment = next(moments, None)
        return {**self.seen, "acknowledged": self.told[0], "broken": len(self.broken), "first": self.broken[:3]}

    def cut(self):
        self.folder.mkdir()
        try:
            files = self.disk.image(self.draw)
            for name, content in files.items():
                (self.folder / name).write_bytes(content)
            self.seen["empty"] += NAME not in files
            self.look()
        finally:
            shutil.rmtree(self.folder)

    def look(self):
        count, digest = self.told
        try:
            journal = verified(self.folder / NAME)
        except JournalError as error:
            self.seen["refused"] += 1
            self.broken.append(str(error))
            return
        try:
            there = journal._ask("SELECT digest FROM records WHERE number = ?", count)
            if count and there != [(digest,)]:
                self.seen["lost"] += 1
                self.broken.append(f"record {count} was acknowledged; there are {len(journal)}")
            self.seen["more_than_acknowledged"] += len(journal) > count
        finally:
            journal.close()


if __name__ == "__main__":
    sys.exit(main())
