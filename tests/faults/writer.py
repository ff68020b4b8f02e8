"""A process that writes a journal, for tests to hold back, kill and starve: says on its output what is durable.

    python tests/faults/writer.py PATH [--count N] [--fork] [--wait]

Says `open`, then the number of each record once it is kept; at an error `refused TEXT`, and once more for what the next
append says. `--fork` forks a child first, which ends as programs end; `--wait` waits at the end instead of closing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from sleeves.errors import JournalError
from sleeves.journals import SQLite
from sleeves.records import Alert, Level


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def record(n):
    return Alert(n, Level.INFO, "writer", "written", f"number {n}, " + "and so on " * 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--fork", action="store_true")
    parser.add_argument("--wait", action="store_true")
    args = parser.parse_args()
    try:
        journal = SQLite.open(args.path)
    except JournalError as error:
        say("refused", error)
        return
    say("open")
    if args.fork:
        child = os.fork()
        if not child:
            in_the_child(journal)
            sys.exit(0)
        os.waitpid(child, 0)
    start = len(journal)
    try:
        for n in range(start, start + args.count):
            journal.append(record(n))
            say(n + 1)
    except JournalError as error:
        say("refused", error)
        try:
            journal.append(record(0))
        except JournalError as again:
            say("refused", again)
    while args.wait:
        time.sleep(60)
    journal.close()


def in_the_child(journal):
    """All that a child may try on its parent's journal."""
    for act in (
        lambda: journal.append(record(0)),
        lambda: list(journal),
        lambda: journal.find("a key"),
        journal.load,
        lambda: journal.save("{}"),
        lambda: journal.copy(f"{journal.path}.copy"),
        lambda: SQLite.open(journal.path),
    ):
        try:
            act()
        except JournalError as error:
            say("child refused", error)
        else:
            say("child did it")
    journal.close()


if __name__ == "__main__":
    main()
