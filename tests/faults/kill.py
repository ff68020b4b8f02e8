"""Kills -9 while a desk trades on a `SQLite` journal, and while it opens it: what was acknowledged is there, once.

    python tests/faults/kill.py [--kills 300] [--seed 1]

A child lives a `Life` and tells on a pipe what is durable. It is killed at a random moment, another goes on where it
was, and so on; the venue tells the facts of the last steps again. At the end the journal must verify and the balances
must be those of a life that nobody killed. Ends with one line of JSON; the exit code is 1 when a promise was broken.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import sqlite3
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

from life import Life, lived, verified

from sleeves.journals import SQLite

AGAIN = 5
"""Steps whose facts the venue tells once more after a restart."""
PER_LIFE = 120
"""The most acknowledgements that a life gives before it is killed."""
LAST_STEPS = 10
"""Steps that the last child does in peace."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    began = time.perf_counter()
    with TemporaryDirectory(prefix="sleeves-kill-") as folder:
        seen = Run(Path(folder) / "main.sleeves", args.kills, args.seed).run()
    print(
        json.dumps(
            {"test": "kill", "seed": args.seed, **seen, "sqlite": sqlite3.sqlite_version, "s": round(time.perf_counter() - began, 1)}
        )
    )
    return 0 if not seen["broken"] else 1


class Run:
    """The one who kills: what the children said, and how many were killed doing what."""

    def __init__(self, path, kills, seed):
        self.path = path
        self.seed = seed
        self.kills = kills
        self.draw = random.Random(seed)
        self.acked = (0, "")
        self.next = 0
        self.killed = {"opening": 0, "trading": 0}
        self.unheard = 0
        self.broken = []

    def run(self):
        while sum(self.killed.values()) < self.kills and not self.broken:
            self.one_life()
        steps = self.next + LAST_STEPS
        if not self.broken:
            self.one_life(until=steps)
        if not self.broken:
            self.look(steps)
        return {
            "kills": sum(self.killed.values()),
            "while": self.killed,
            "steps": self.next,
            "records": self.acked[0],
            "there_though_unacknowledged": self.unheard,
            "broken": self.broken,
        }

    def one_life(self, until=None):
        """Start a child and hear it out, or kill it: while it opens, or after so many acknowledgements and a moment."""
        to_kill = until is None
        listening, speaking = os.pipe()
        child = os.fork()
        if not child:
            os.close(listening)
            _live(self.path, self.seed, self.acked, self.next, until or sys.maxsize, speaking)
        os.close(speaking)
        opening = self.draw.random() < 0.3
        patience, moment = self.draw.randint(5, PER_LIFE), self.draw.random() * (0.02 if opening else 0.003)
        heard, state, deadline = b"", "starting", None
        while True:
            ready, _, _ = select.select([listening], [], [], None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not ready:
                self.killed["opening" if state == "opening" else "trading"] += 1
                os.kill(child, signal.SIGKILL)
                deadline = None
                continue
            said = os.read(listening, 65_536)
            if not said:
                break
            *lines, heard = (heard + said).split(b"\n")
            for line in lines:
                state = self.hear(line.decode(), state)
                patience -= state == "trading"
            if to_kill and deadline is None and (state == "opening" if opening else patience < 0):
                deadline = time.monotonic() + moment
                to_kill = False
        os.close(listening)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
            self.broken.append(f"a child ended with {os.waitstatus_to_exitcode(status)}")

    def hear(self, line, state):
        what, _, rest = line.partition(" ")
        if what == "opening":
            return "opening"
        if what == "there":
            self.unheard += int(rest) - self.acked[0]
        elif what == "durable":
            count, digest = rest.split()
            self.acked = int(count), digest
            return "trading"
        elif what == "step":
            self.next = int(rest) + 1
        elif what == "broken":
            self.broken.append(rest)
        return state

    def look(self, steps):
        """At the end: against a life that was never killed, and against the venue."""
        journal = verified(self.path)
        journal.close()
        life = Life(SQLite.open(self.path), self.seed)
        twin = lived(self.path.with_name("twin.sleeves"), steps, self.seed)
        if life.balances() != twin.balances():
            self.broken.append("the balances are not those of a life without kills")
        if dict(life.books.coins(life.vault.wallet)) != life.by_the_venue():
            self.broken.append("the coins are not those that the venue counts")
        if set(life.fills()) != set(twin.fills()):
            self.broken.append("other facts are booked than in a life without kills")
        if any(times > 1 for times in life.fills().values()):
            self.broken.append("a fact is booked twice")
        proof = life.desk.check(deep=True)
        if not proof.holds:
            self.broken.append(str(proof))
        twin.journal.close()
        life.journal.close()


def _live(path, seed, acked, start, steps, pipe):
    """The child: opens, compares with what was acknowledged, goes on. Never returns."""

    def say(*words):
        os.write(pipe, (" ".join(map(str, words)) + "\n").encode())

    code = 1
    try:
        say("opening")
        journal = SQLite.open(path)
        count, digest = acked
        if count and (len(journal) < count or journal._ask("SELECT digest FROM records WHERE number = ?", count) != [(digest,)]):
            say("broken", f"record {count} was acknowledged and is not there: {len(journal)} are")
            os._exit(0)
        say("there", len(journal))
        life = Life(journal, seed, lambda count, digest: say("durable", count, digest))
        for k in range(max(0, start - AGAIN), start):
            life.again(k)
        for k in range(start, steps):
            life.step(k)
            say("step", k)
        journal.close()
        code = 0
    except BaseException:
        say("broken", traceback.format_exc().replace("\n", " | "))
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
