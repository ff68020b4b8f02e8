"""Random bit flips in the files of a journal: each that matters is refused when it is opened, and no clean file is.

    python tests/faults/flips.py [--flips 3000] [--clean 100] [--seed 1]

Half of the flips fall on a file that was closed, half on the file, log and anchor of a process that was killed. A flip
matters when a plain reader of the database, who checks nothing, sees anything else than was written, or when what the
books fold does. Ends with one line of JSON; the exit code is 1 when a flip that matters was let through, or a clean
journal refused.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import random
import re
import sqlite3
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from life import Life, lived, scratch, verified

from sleeves.errors import JournalError
from sleeves.journals import SQLite

NAME = "main.sleeves"
FILES = (NAME, NAME + "-wal", NAME + ".anchor")

CAUSES = {
    "the chain of digests": "its digest does not follow|is missing, ",
    "the anchor": "but its anchor knows",
    "the head of the file": "is no journal|but no journal|tables of version",
    "its tables": "tables are not those",
    "the snapshot": "snapshot",
    "the key of a record": "a key that is not its own",
    "SQLite, reading": r"cannot be read|cannot be opened|is damaged: (?!.*\*\*\*|row|wrong|non-unique|NULL|non-TEXT)",
    "SQLite's integrity check": "is damaged: ",
}
"""What an error says, by which check it comes from; the first that fits."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=3_000)
    parser.add_argument("--clean", type=int, default=100)
    parser.add_argument("--steps", type=int, default=60, help="how long the journal lived that is flipped")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    began = time.perf_counter()
    draw = random.Random(args.seed)
    with scratch() as folder:
        folder = Path(folder)
        alarms = clean(folder, args.clean, args.seed)
        closed, killed = images(folder, args.steps, args.seed)
        seen = [flip(subject, folder, draw) for n in range(args.flips) for subject in [(closed, killed)[n % 2]]]
    let_through = [where for where, matters, refused in seen if matters and not refused]
    totals = {
        "flips": args.flips,
        "matter": sum(1 for _, matters, _ in seen if matters),
        "refused_of_these": sum(1 for _, matters, refused in seen if matters and refused),
        "refused_of_the_rest": sum(1 for _, matters, refused in seen if not matters and refused),
        "clean": args.clean,
        "alarms": alarms,
    }
    table(seen)
    print(
        json.dumps(
            {"test": "flips", "seed": args.seed, **totals, "sqlite": sqlite3.sqlite_version, "s": round(time.perf_counter() - began, 1)}
        )
    )
    for where in let_through:
        print(f"let through: {where}")
    return 1 if let_through or alarms else 0


def table(seen):
    """How many flips mattered, by what they changed, and which check refused them; how many did not, by where they fell."""
    refused = Counter((matters, refused) for _, matters, refused in seen if matters)
    print(f"{'what a reader would see':34}{'refused by':30}{'flips':>6}")
    for (matters, by), count in sorted(refused.items(), key=str):
        print(f"{matters:34}{by or 'NOTHING':30}{count:>6}")
    print(f"\n{'nothing: it fell on':34}{'refused all the same by':30}{'flips':>6}")
    for (where, by), count in sorted(Counter((place(where), by) for where, matters, by in seen if not matters).items(), key=str):
        print(f"{where:34}{by or '':30}{count:>6}")
    print()


def place(where):
    return re.sub(r" byte \d.*", "", where)


# -- what is flipped ---------------------------------------------------------------------------------------------------


class Image:
    """The files of a journal at one moment, and what every reader must see in them."""

    def __init__(self, what, folder, snapshots):
        self.what = what
        self.files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
        self.snapshots = snapshots
        """All that were ever saved: one of these, or none, may be found."""
        self.truth = None

    def write(self, folder, name=None, content=b""):
        for one in (*FILES, NAME + "-shm", NAME + "-journal"):
            (folder / one).unlink(missing_ok=True)
        for one, bytes_ in self.files.items():
            (folder / one).write_bytes(content if one == name else bytes_)
        return folder / NAME


def images(folder, steps, seed):
    """A life that was closed, and one that was killed."""
    saved = []
    images = []
    for what in ("closed", "killed"):
        home = folder / what
        home.mkdir()
        life = Life(_noting(SQLite.open(home / NAME), saved), seed)
        for k in range(steps):
            life.step(k)
        if what == "closed":
            life.books.snapshot()
            life.journal.close()
        images.append(Image(what, home, saved))
        if what == "killed":
            life.journal.close()
    for image in images:
        image.truth = seen_plainly(image.write(folder), None)
        assert not image.truth.snapshots - set(image.snapshots)
    assert NAME + "-wal" in images[1].files
    return images


def _noting(journal, saved):
    """Have a journal's snapshots noted down."""
    save = journal.save

    def noted(state):
        saved.append((len(journal), _short(state)))
        save(state)

    journal.save = noted
    return journal


def flip(image, folder, draw):
    """One bit of one file: (where it fell, what a reader would see or "", which check refused it or "")."""
    names = list(image.files)
    name = draw.choices(names, [len(image.files[one]) for one in names])[0]
    content = bytearray(image.files[name])
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    where = f"{part(image.files[name], name, at)} {image.what} byte {at} bit {bit}"
    matters = difference(image, seen_plainly(image.write(folder, name, content), image.truth))
    path = image.write(folder, name, content)
    try:
        journal = verified(path)
    except JournalError as error:
        return where, matters, next(cause for cause, says in CAUSES.items() if re.search(says, str(error)))
    try:
        told = list(journal.lines()), [journal.find(key) is not None for key in image.truth.keys]
    finally:
        journal.close()
    if told != (image.truth.told(), [True] * len(image.truth.keys)):
        return where, matters or "other records", ""
    return where, matters, ""


def part(content, name, at):
    """What a byte is of, for the table."""
    if name.endswith(".anchor"):
        return "the anchor"
    if name.endswith("-wal"):
        return "the log"
    if at < 100:
        return "the head of the file"
    size = int.from_bytes(content[16:18], "big")
    page = content[at - at % size :][:size]
    kind = page[100 if at < size else 0]
    if kind not in (2, 5, 10, 13):
        return "a free page, or the rest of a long line"
    return "a page of a table" if kind in (5, 13) else "a page of the index"


# -- what a reader sees ------------------------------------------------------------------------------------------------


class Seen:
    """What a program sees that reads the database and checks nothing."""

    def __init__(self, rows, by_number, by_key, snapshots, postings, schema):
        self.rows, self.by_number, self.by_key = rows, by_number, by_key
        self.snapshots, self.postings, self.schema = snapshots, postings, schema
        self.keys = [row[1] for row in rows if row[1] is not None]

    def told(self):
        return [f"{line} {digest}" for _, _, line, digest in self.rows]


def seen_plainly(path, truth):
    """All that can be read, by every way that the tables and the index offer; None where nothing can."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        rows = db.execute("SELECT number, key, line, digest FROM records ORDER BY number").fetchall()
        numbers = [row[0] for row in (truth.rows if truth else rows)]
        keys = truth.keys if truth else [row[1] for row in rows if row[1] is not None]
        return Seen(
            rows,
            [db.execute("SELECT line FROM records WHERE number = ?", (n,)).fetchall() for n in numbers],
            [db.execute("SELECT number FROM records WHERE key = ?", (key,)).fetchall() for key in keys],
            {(n, _short(state)) for n, state in db.execute("SELECT number, state FROM snapshots")},
            _short(repr(db.execute("SELECT * FROM postings ORDER BY number").fetchall())),
            db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall(),
        )
    except (sqlite3.Error, OverflowError, TypeError, ValueError):
        return None
    finally:
        db.close()


def difference(image, seen):
    """What is other than it was written; "" where nothing is. An older snapshot is none: records are folded behind it."""
    truth = image.truth
    if seen is None:
        return "errors"
    if len(seen.rows) < len(truth.rows) and seen.rows == truth.rows[: len(seen.rows)]:
        return "fewer records"
    if seen.rows != truth.rows:
        return "other records"
    if (seen.by_number, seen.by_key) != (truth.by_number, truth.by_key):
        return "records that are not found"
    if seen.schema != truth.schema or seen.postings != truth.postings:
        return "other tables"
    return "another snapshot" if seen.snapshots - set(image.snapshots) else ""


def _short(text):
    return sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()


# -- clean journals ----------------------------------------------------------------------------------------------------


def clean(folder, count, seed):
    """Open so many good journals, of lives of many lengths, closed and killed in turn; returns how many raised an alarm."""
    alarms = 0
    for n in range(count):
        home = folder / f"clean-{n}"
        home.mkdir()
        life = lived(home / NAME, n % 60, seed + n)
        if n % 2:
            life.books.snapshot()
            life.journal.close()
        path = Image("", home, ()).write(folder)
        life.journal.close()
        try:
            verified(path).close()
        except JournalError as error:
            print(f"false alarm: {error}")
            alarms += 1
    return alarms


if __name__ == "__main__":
    sys.exit(main())
