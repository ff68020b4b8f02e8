"""Windows of a tape: on which rows parameters are chosen, which are left out, and on which they are judged. Pure arithmetic.

    |  warm-up  |       train       |    gap    |       test       |
    | not counted                   | purged    | rows before its begin are its warm-up

Time goes on within a split: a test lies behind its train window, and behind a gap of rows that count for neither, so that
what is known only later (a label that looks ahead, an average that reaches back) does not tell the one of the other. No row
is tested twice, and of each row it is told what became of it.

A window takes the rows that begin and end in it: a bar that is not over at its end is not known there. Nothing here knows
desks, engines, or what is searched for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Protocol, TypeAlias, overload

from attrs import field, frozen

from ..errors import BadTape, VaultError
from ..market import DAY, HOUR, MINUTE, SECOND

__all__ = ["Rows", "Span", "Split", "Splits", "Window", "walk_forward"]

MOST = 10_000
"""The most tests that a tape is split into."""


class Times(Protocol):
    """What is asked of a tape."""

    @property
    def at(self) -> Sequence[int]: ...

    @property
    def interval(self) -> int: ...

    def ends(self) -> Sequence[int]: ...

    def __len__(self) -> int: ...


@frozen(order=False)
class Rows:
    """A length in rows of the tape, where one in time would not say what is meant: `Rows(50)`."""

    count: int

    def __attrs_post_init__(self) -> None:
        if type(self.count) is not int or self.count < 0:
            raise VaultError(f"a count of rows {self.count!r} must be a whole number, and not negative")

    def __str__(self) -> str:
        return f"{self.count:,} rows"


Span: TypeAlias = int | Rows
"""How long something is: whole nanoseconds of the tape's time, such as 30 * DAY, or `Rows`."""


@frozen(order=False)
class Window:
    """Rows start to before stop, which count, behind the rows from `warm` to before start, which an engine sees and which do not."""

    start: int
    stop: int
    warm: int = field()

    @warm.default
    def _no_warm_up(self) -> int:
        return self.start

    def __attrs_post_init__(self) -> None:
        rows = (self.warm, self.start, self.stop)
        if not all(type(row) is int for row in rows) or not 0 <= self.warm <= self.start < self.stop:
            raise VaultError(
                f"a window has whole rows, 0 <= warm <= start < stop: not warm {rows[0]!r}, start {rows[1]!r}, stop {rows[2]!r}"
            )

    def __len__(self) -> int:
        """The rows that count."""
        return self.stop - self.start


@frozen(order=False)
class Split:
    """A train window and the test window behind it. The rows between them are purged. The test's warm-up may reach into both."""

    train: Window
    test: Window

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.train, Window) or not isinstance(self.test, Window):
            raise VaultError(f"a split is of two Windows, not of {self.train!r} and {self.test!r}")
        if self.test.start < self.train.stop:
            raise VaultError(
                f"a test from row {self.test.start} on is not behind its train window, which ends at row {self.train.stop}: "
                "what was chosen on a row cannot be judged on it"
            )

    @classmethod
    def of(cls, train: tuple[int, int], test: tuple[int, int], *, warm: int = 0) -> Split:
        """From rows as (start, stop), with so many rows of warm-up: the first of the train window, and those before the test."""
        if type(warm) is not int or warm < 0:
            raise VaultError(f"warm-up {warm!r} must be a whole number of rows, and not negative")
        return cls(Window(train[0] + warm, train[1], train[0]), Window(test[0], test[1], test[0] - warm))

    @property
    def purged(self) -> int:
        """The rows between the two, which count for neither."""
        return self.test.start - self.train.stop


@frozen(order=False)
class Splits(Sequence[Split]):
    """Splits of one tape, in order of time, and what becomes of each of its rows. Printed, it is a table."""

    splits: tuple[Split, ...]
    at: Sequence[int] = field(repr=False, eq=False)
    """When each row of the tape begins."""
    empty: tuple[str, ...] = ()
    """Windows that were left out because too little of the tape lies in them, in words."""

    def __attrs_post_init__(self) -> None:
        if not self.splits or not all(isinstance(one, Split) for one in self.splits):
            raise VaultError(f"there must be one Split or more, not {self.splits!r}")
        for one in self.splits:
            if one.test.stop > len(self.at):
                raise BadTape(f"a test window ends at row {one.test.stop} of a tape of {len(self.at)}")

    @overload
    def __getitem__(self, index: int) -> Split: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Split]: ...
    def __getitem__(self, index: int | slice) -> Split | Sequence[Split]:
        return self.splits[index]

    def __len__(self) -> int:
        return len(self.splits)

    def __iter__(self) -> Iterator[Split]:
        return iter(self.splits)

    def uses(self) -> dict[str, int]:
        """How many rows of the tape were tested, else trained on, else purged, else a warm-up, and how many no window has: all of them."""
        found = dict.fromkeys(("tested", "trained", "purged", "warm-up", "left over"), 0)
        for first, last in self._stretches():
            parts = {
                "tested": any(one.test.start <= first < one.test.stop for one in self.splits),
                "trained": any(one.train.start <= first < one.train.stop for one in self.splits),
                "purged": any(one.train.stop <= first < one.test.start for one in self.splits),
                "warm-up": any(w.warm <= first < w.start for one in self.splits for w in (one.train, one.test)),
            }
            found[next((name for name, inside in parts.items() if inside), "left over")] += last - first
        return found

    def _stretches(self) -> list[tuple[int, int]]:
        """The tape, cut wherever a window begins or ends."""
        cuts = {0, len(self.at)}
        for one in self.splits:
            cuts |= {one.train.warm, one.train.start, one.train.stop, one.test.warm, one.test.start, one.test.stop}
        return list(pairwise(sorted(cuts)))

    def tested_twice(self) -> int:
        """Rows that lie in more than one test window: a total would count them more than once. None from `walk_forward`."""
        twice = 0
        for first, last in self._stretches():
            if sum(one.test.start <= first < one.test.stop for one in self.splits) > 1:
                twice += last - first
        return twice

    def rows(self) -> list[dict[str, object]]:
        """One plain row per split: rows of each part, and when they begin, in nanoseconds."""
        return [
            {
                "split": number,
                "train_since": self.at[one.train.start],
                "train_rows": len(one.train),
                "train_warm": one.train.start - one.train.warm,
                "purged": one.purged,
                "test_since": self.at[one.test.start],
                "test_rows": len(one.test),
                "test_warm": one.test.start - one.test.warm,
            }
            for number, one in enumerate(self.splits, 1)
        ]

    def __str__(self) -> str:
        lines = [
            f"{row['split']}: {_warmed(one.train)}trains on {row['train_rows']:,} rows from {_day(self.at[one.train.start])}, "
            f"purges {row['purged']:,}, tests on {row['test_rows']:,} rows from {_day(self.at[one.test.start])}"
            for row, one in zip(self.rows(), self.splits, strict=True)
        ]
        return "\n".join([*lines, f"of {len(self.at):,} rows: {self.told()}", *self.empty])

    def told(self) -> str:
        """`uses` in words: each row by the first of these that some split makes of it."""
        return ", ".join(f"{count:,} {_USES[name]}" for name, count in self.uses().items())


_USES = {
    "tested": "tested",
    "trained": "only trained on",
    "purged": "only purged",
    "warm-up": "only warm-up",
    "left over": "left over",
}


def _warmed(window: Window) -> str:
    rows = window.start - window.warm
    return f"after {rows:,} of warm-up " if rows else ""


class _Clock:
    """Instants and rows of one tape. A cut between windows is an instant, whatever lengths are given in."""

    def __init__(self, tape: Times) -> None:
        self.at, self.ends, self.count, self.interval = tape.at, tape.ends(), len(tape), tape.interval
        self.since, self.until = self.at[0], max(self.ends[-1], self.at[-1] + 1)

    def row(self, at: int) -> int:
        """The first row that begins at an instant or later."""
        return bisect_left(self.at, at)

    def over(self, until: int) -> int:
        """The row behind the last that begins before an instant and is over by it."""
        return min(bisect_right(self.ends, until), self.row(until))

    def later(self, at: int, span: Span) -> int | None:
        """The instant a span later; None where it would lie behind the tape's end."""
        if isinstance(span, Rows):
            row = self.row(at) + span.count
            return None if row > self.count else self.until if row == self.count else self.at[row]
        return at + span if at + span <= self.until else None

    def sooner(self, at: int, span: Span) -> int | None:
        """The instant a span before; None where it would lie before the tape's begin."""
        if isinstance(span, Rows):
            row = self.row(at) - span.count
            return None if row < 0 else at if not span.count else self.at[row]
        return at - span if at - span >= self.since else None

    def parts(self, at: int, folds: int, *, in_rows: bool) -> Span:
        """How long each of so many equal tests can be from an instant on: in whole bars, where the tape has them."""
        if in_rows:
            return Rows((self.count - self.row(at)) // folds)
        span = (self.until - at) // folds
        return span - span % self.interval if 0 < self.interval <= span else span


def walk_forward(
    tape: Times,
    *,
    train: Span,
    test: Span | None = None,
    folds: int | None = None,
    gap: Span = 0,
    warm: Span = 0,
    anchored: bool = False,
) -> Splits:
    """Split a tape for a walk forward: train, a gap, test; then on by one test window, until the tape ends.

    Lengths are in nanoseconds of the tape's time (30 * DAY) or in `Rows`. `test` says how long each test is, or `folds` how
    many of equal length there are. The train window is of one length and rolls on; `anchored`, it begins with the tape and
    grows. `gap` is purged between train and test: at least as long as anything in the train window looks ahead. `warm` is
    what an engine sees before a window counts: the first of the train window, and what lies right before the test.

    What is left at the end and is too short for a test is left over. Where the tape has a hole, a window without a row is
    left out and told in `empty`. Raises `VaultError` for lengths that cannot be, a window shorter than a row, more than
    `MOST` tests, and a train window no longer than its warm-up; `BadTape` when the tape is too short for one test.
    """
    _check(train, test, folds, gap, warm)
    if not len(tape):
        raise BadTape("a tape without a row cannot be split")
    for what, span in (("train", train), ("test", test)):
        if not isinstance(span, Rows) and span is not None and span < tape.interval:
            raise VaultError(f"{what} {span} ns is shorter than a row of {_told(tape)}, {tape.interval} ns: write lengths such as 30 * DAY")
    clock = _Clock(tape)
    trained = clock.later(clock.since, train)
    tested = None if trained is None else clock.later(trained, gap)
    if tested is None:
        raise BadTape(f"{_told(tape)} is too short for a train window of {_said(train)} and a gap of {_said(gap)}")
    length = test if test is not None else clock.parts(tested, folds or 1, in_rows=isinstance(train, Rows))
    splits: list[Split] = []
    empty: list[str] = []
    until = clock.later(tested, length) if _size(length) else None
    while until is not None and (folds is None or len(splits) + len(empty) < folds):
        found = _split(clock, tested, until, train, gap, warm, anchored)
        if isinstance(found, Split):
            splits.append(found)
        else:
            empty.append(f"left out, the test from {_day(tested)} to {_day(until)}: {found}")
        if len(splits) + len(empty) > MOST:
            raise VaultError(f"tests of {_said(length)} over {_told(tape)} would be more than {MOST:,}: nobody reads so many")
        tested = until
        until = clock.later(tested, length)
    if not splits:
        short = f"{_told(tape)} is too short for a train window of {_said(train)}, a gap of {_said(gap)} and a test of {_said(length)}"
        raise BadTape("; ".join(empty) or short)
    return Splits(tuple(splits), tape.at, tuple(empty))


def _split(clock: _Clock, tested: int, until: int, train: Span, gap: Span, warm: Span, anchored: bool) -> Split | str:
    """The split whose test begins and ends at these instants, or why there is none."""
    trained = clock.sooner(tested, gap)
    since = None if trained is None else clock.since if anchored else clock.sooner(trained, train)
    counted = None if since is None else clock.later(since, warm)
    warmed = clock.sooner(tested, warm)
    if trained is None or since is None or counted is None or warmed is None:
        return "there is too little of the tape before it"
    start, stop, first, last = clock.row(counted), clock.over(trained), clock.row(tested), clock.over(until)
    if start >= stop:
        return "its train window has no row behind its warm-up"
    if first >= last:
        return "it has no row"
    return Split(Window(start, stop, clock.row(since)), Window(first, last, min(first, clock.row(warmed))))


def _check(train: Span, test: Span | None, folds: int | None, gap: Span, warm: Span) -> None:
    for what, span in (("train", train), ("test", test), ("gap", gap), ("warm", warm)):
        if what == "test" and span is None:
            continue
        if not isinstance(span, Rows) and (type(span) is not int or span < 0):
            raise VaultError(f"{what} {span!r} must be whole nanoseconds such as 30 * DAY, or Rows(50), and not negative")
        if what in ("train", "test") and not _size(span):
            raise VaultError(f"{what} {span!r} must be longer than nothing")
    if (test is None) is (folds is None):
        raise VaultError(f"say how long a test is or how many there are, one of both: test {test!r}, folds {folds!r}")
    if folds is not None and (type(folds) is not int or folds < 1):
        raise VaultError(f"folds {folds!r} must be a whole number, at least 1")
    if isinstance(train, Rows) is isinstance(warm, Rows) and _size(train) <= _size(warm):
        raise VaultError(f"a train window of {_said(train)} is no longer than its warm-up of {_said(warm)}: nothing of it would count")


def _size(span: Span) -> int:
    return span.count if isinstance(span, Rows) else span


def _said(span: Span) -> str:
    if isinstance(span, Rows):
        return str(span)
    for unit, name in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes"), (SECOND, "seconds")):
        if span >= unit:
            return f"{span / unit:.6g} {name}"
    return f"{span} ns"


def _told(tape: Times) -> str:
    return f"a tape of {len(tape):,} rows from {_day(tape.at[0])} to {_day(tape.at[-1])}"


def _day(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M")
