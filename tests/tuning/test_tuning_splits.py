"""Splits: every row is accounted for, nothing is tested twice, and nothing that is tested was known when it was trained for."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import BadTape, VaultError
from sleeves.market import DAY, HOUR, MINUTE
from sleeves.sim import Tape
from sleeves.tuning import Rows, Split, Splits, Window, walk_forward


def times(at, interval=HOUR):
    """What a split needs of a tape, by its own rule for when a bar is over."""
    at = array("q", at)
    ends = array("q", [min(one + interval, after) for one, after in zip(at, [*at[1:], at[-1] + interval], strict=False)])

    class Times:
        def __len__(self):
            return len(at)

        def ends(self):
            return ends

    tape = Times()
    tape.at, tape.interval = at, interval
    return tape


HOURLY = times([n * HOUR for n in range(240)])


def test_a_walk_forward_in_time_is_what_a_calendar_says():
    splits = walk_forward(HOURLY, train=4 * DAY, test=2 * DAY, gap=6 * HOUR, warm=12 * HOUR)
    assert [(s.train.warm, s.train.start, s.train.stop, s.test.warm, s.test.start, s.test.stop) for s in splits] == [
        (0, 12, 96, 90, 102, 150),
        (48, 60, 144, 138, 150, 198),
    ]
    assert splits.uses() == {"tested": 96, "trained": 90, "purged": 0, "warm-up": 12, "left over": 42}, (
        "a gap that another fold trains on is trained on"
    )
    assert [s.purged for s in splits] == [6, 6]
    assert splits.tested_twice() == 0


def test_in_rows_it_is_the_same_on_a_tape_without_holes():
    in_time = walk_forward(HOURLY, train=4 * DAY, test=2 * DAY, gap=6 * HOUR, warm=12 * HOUR)
    in_rows = walk_forward(HOURLY, train=Rows(96), test=Rows(48), gap=Rows(6), warm=Rows(12))
    mixed = walk_forward(HOURLY, train=4 * DAY, test=Rows(48), gap=Rows(6), warm=12 * HOUR)
    assert list(in_time) == list(in_rows) == list(mixed)


def test_an_anchored_walk_begins_with_the_tape_and_grows():
    splits = walk_forward(HOURLY, train=4 * DAY, test=2 * DAY, anchored=True)
    assert [(s.train.start, s.train.stop) for s in splits] == [(0, 96), (0, 144), (0, 192)]
    assert [(s.test.start, s.test.stop) for s in splits] == [(96, 144), (144, 192), (192, 240)]
    assert splits.uses() == {"tested": 144, "trained": 96, "purged": 0, "warm-up": 0, "left over": 0}


def test_folds_share_what_is_left_equally_in_whole_bars():
    splits = walk_forward(HOURLY, train=4 * DAY, folds=5, gap=HOUR)
    assert [len(s.test) for s in splits] == [28] * 5
    assert splits.uses()["left over"] == 240 - 97 - 140


def test_a_bar_that_is_not_over_when_the_window_ends_is_in_neither():
    tape = times([n * HOUR for n in range(48)])
    splits = walk_forward(tape, train=10 * HOUR + 30 * MINUTE, test=10 * HOUR)
    first = splits[0]
    assert first.train.stop == 10, "bar 10 opens before the window's end and closes behind it"
    assert first.test.start == 11, "and it opened before the test began"
    assert first.purged == 1


def test_a_tick_at_the_very_end_of_a_window_is_in_the_next():
    tape = times([n * HOUR for n in range(48)], interval=0)
    splits = walk_forward(tape, train=10 * HOUR, test=5 * HOUR)
    assert (splits[0].train.stop, splits[0].test.start, splits[0].test.stop) == (10, 10, 15)
    assert splits[1].test.start == 15


def test_windows_are_in_time_not_in_rows_where_the_tape_has_a_hole():
    at = [n * HOUR for n in range(240) if not 110 <= n < 140]
    splits = walk_forward(times(at), train=4 * DAY, test=DAY)
    hole = splits[0]
    assert (at[hole.test.start], at[hole.test.stop - 1]) == (96 * HOUR, 109 * HOUR)
    assert at[splits[1].test.start] == 140 * HOUR
    assert len(splits[1].test) == 4


def test_a_test_window_in_a_hole_is_left_out_and_told():
    at = [n * HOUR for n in range(240) if not 110 <= n < 150]
    splits = walk_forward(times(at), train=4 * DAY, test=DAY)
    assert len(splits.empty) == 1
    assert "from 1970-01-06 00:00 to 1970-01-07 00:00: it has no row" in splits.empty[0]
    assert splits.empty[0] in str(splits)
    assert sum(splits.uses().values()) == len(at)


def test_a_train_window_in_a_hole_is_left_out_and_told():
    at = [n * HOUR for n in range(240) if not 12 <= n < 96]
    splits = walk_forward(times(at), train=2 * DAY, test=DAY, gap=DAY)
    assert any("its train window has no row behind its warm-up" in one for one in splits.empty)


spans = st.one_of(st.integers(1, 40).map(lambda n: n * HOUR + (n % 3) * 17 * MINUTE), st.integers(1, 40).map(Rows))
gaps = st.one_of(st.integers(0, 20).map(lambda n: n * HOUR + (n % 2) * 13 * MINUTE), st.integers(0, 20).map(Rows))
tapes = st.lists(st.integers(0, 400), min_size=2, max_size=200, unique=True).map(sorted)


@given(hours=tapes, interval=st.sampled_from([0, 30 * MINUTE, HOUR]), train=spans, test=spans, gap=gaps, warm=gaps, anchored=st.booleans())
def test_the_laws_of_a_walk_forward(hours, interval, train, test, gap, warm, anchored):
    tape = times([n * HOUR for n in hours], interval)
    try:
        splits = walk_forward(tape, train=train, test=test, gap=gap, warm=warm, anchored=anchored)
    except (BadTape, VaultError):
        return
    ends, count = tape.ends(), len(tape)
    uses = splits.uses()
    assert sum(uses.values()) == count
    assert uses["tested"] == sum(len(s.test) for s in splits), "no row is tested twice"
    assert splits.tested_twice() == 0
    for split in splits:
        assert 0 <= split.train.warm <= split.train.start < split.train.stop <= split.test.start < split.test.stop <= count
        assert split.test.warm <= split.test.start
        known = ends[split.train.stop - 1]
        begins = tape.at[split.test.start]
        assert known <= begins, "all that was trained on was over when the test began"
        if isinstance(gap, int):
            assert begins - known >= gap
        else:
            assert split.purged >= gap.count
        if isinstance(train, Rows) and not anchored and not (warm if isinstance(warm, int) else warm.count):
            assert len(split.train) <= train.count
    for before, after in zip(splits, list(splits)[1:], strict=False):
        assert before.test.stop <= after.test.start
        assert before.train.start <= after.train.start if not anchored else before.train.warm == after.train.warm == 0


@given(hours=tapes, train=spans, folds=st.integers(1, 6), gap=gaps)
def test_so_many_folds_as_are_asked_for_or_fewer(hours, train, folds, gap):
    tape = times([n * HOUR for n in hours])
    try:
        splits = walk_forward(tape, train=train, folds=folds, gap=gap)
    except BadTape:
        return
    assert len(splits) + len(splits.empty) <= folds
    assert splits.tested_twice() == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"train": 0}, "longer than nothing"),
        ({"train": -DAY}, "not negative"),
        ({"train": 1.5}, "whole nanoseconds"),
        ({"train": True}, "whole nanoseconds"),
        ({"train": float("nan")}, "whole nanoseconds"),
        ({"train": "4 days"}, "whole nanoseconds"),
        ({"test": 0}, "longer than nothing"),
        ({"test": Rows(0)}, "longer than nothing"),
        ({"test": None}, "one of both"),
        ({"folds": 3}, "one of both"),
        ({"gap": -1}, "not negative"),
        ({"gap": None}, "whole nanoseconds"),
        ({"warm": 4 * DAY}, "no longer than its warm-up"),
        ({"warm": 5 * DAY}, "no longer than its warm-up"),
    ],
)
def test_lengths_that_cannot_be_are_refused(wrong, says):
    good = {"train": 4 * DAY, "test": 2 * DAY, "gap": HOUR, "warm": HOUR}
    with pytest.raises(VaultError, match=says):
        walk_forward(HOURLY, **(good | wrong))


@pytest.mark.parametrize("folds", [0, -1, 2.0, "3", True])
def test_a_count_of_folds_is_whole_and_positive(folds):
    with pytest.raises(VaultError, match="folds"):
        walk_forward(HOURLY, train=DAY, folds=folds)


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True])
def test_rows_are_whole_and_not_negative(count):
    with pytest.raises(VaultError, match="whole number"):
        Rows(count)


def test_a_tape_too_short_says_what_was_asked_of_it():
    with pytest.raises(BadTape, match=r"240 rows .* too short for a train window of 20 days and a gap of 0 ns"):
        walk_forward(HOURLY, train=20 * DAY, test=DAY)
    with pytest.raises(BadTape, match=r"too short for a train window of 9 days, a gap of 0 ns and a test of 2 days"):
        walk_forward(HOURLY, train=9 * DAY, test=2 * DAY)
    with pytest.raises(BadTape, match="too short"):
        walk_forward(HOURLY, train=Rows(239), folds=2)
    assert len(walk_forward(HOURLY, train=8 * DAY, test=2 * DAY)) == 1, "just long enough"


def test_a_split_cannot_test_what_it_trained_on():
    Split(Window(0, 10), Window(10, 20))
    with pytest.raises(VaultError, match="not behind its train window"):
        Split(Window(0, 10), Window(9, 20))
    with pytest.raises(VaultError, match="two Windows"):
        Split((0, 10), (10, 20))


def test_a_split_by_hand_has_its_warm_up_where_a_walk_has_it():
    split = Split.of((0, 100), (110, 150), warm=20)
    assert split == Split(Window(20, 100, 0), Window(110, 150, 90))
    with pytest.raises(VaultError, match="0 <= warm <= start < stop"):
        Split.of((0, 100), (110, 150), warm=100)
    with pytest.raises(VaultError, match="whole number of rows"):
        Split.of((0, 100), (110, 150), warm=-1)


@pytest.mark.parametrize("rows", [(5, 5, 5), (5, 4, 4), (3, 9, 4), (-1, 5, -1), (0.0, 5, 0), (True, 5, True)])
def test_a_window_has_rows(rows):
    start, stop, warm = rows
    with pytest.raises(VaultError, match="a window has whole rows"):
        Window(start, stop, warm)


def test_splits_by_hand_are_held_against_the_tape():
    with pytest.raises(VaultError, match="one Split or more"):
        Splits((), HOURLY.at)
    with pytest.raises(VaultError, match="one Split or more"):
        Splits(("a",), HOURLY.at)
    with pytest.raises(BadTape, match="ends at row 241 of a tape of 240"):
        Splits((Split.of((0, 100), (110, 241)),), HOURLY.at)
    twice = Splits((Split.of((0, 50), (60, 100)), Split.of((0, 50), (90, 110))), HOURLY.at)
    assert twice.tested_twice() == 10
    assert sum(twice.uses().values()) == 240


def test_an_empty_tape_is_no_tape():
    nothing = SimpleNamespace(at=array("q"), ends=lambda: array("q"), interval=HOUR, __len__=lambda: 0)

    class Empty:
        at, interval = nothing.at, HOUR
        ends = staticmethod(nothing.ends)

        def __len__(self):
            return 0

    with pytest.raises(BadTape, match="without a row"):
        walk_forward(Empty(), train=DAY, test=DAY)


def test_the_sample_prints_as_a_table_and_slices_as_it_says():
    tape = Tape.sample()
    splits = walk_forward(tape, train=60 * DAY, test=20 * DAY, gap=DAY, warm=2 * DAY)
    assert (
        str(splits).splitlines()[-1] == "of 4,368 rows: 2,880 tested, 1,416 only trained on, 0 only purged, 48 only warm-up, 24 left over"
    )
    assert len(str(splits).splitlines()) == 7
    row = splits.rows()[0]
    cut = tape.slice(splits[0].test.start, splits[0].test.stop)
    assert (cut.at[0], len(cut)) == (row["test_since"], row["test_rows"])
    assert list(splits[1:3]) == [splits[1], splits[2]]


@pytest.mark.parametrize("spans", [{"train": 60, "test": 21}, {"train": HOUR - 1, "test": DAY}, {"train": DAY, "test": HOUR - 1}])
def test_a_window_shorter_than_a_row_is_refused_at_once(spans):
    with pytest.raises(VaultError, match=r"is shorter than a row of .*, 3600000000000 ns: write lengths such as 30"):
        walk_forward(Tape.sample(), **spans)


def test_no_more_tests_than_somebody_could_read(monkeypatch):
    splits = walk_forward(Tape.sample(), train=DAY, test=DAY)
    tests = len(list(splits)) + len(splits.empty)
    monkeypatch.setattr("sleeves.tuning.splits.MOST", tests)
    assert list(walk_forward(Tape.sample(), train=DAY, test=DAY)) == list(splits)
    monkeypatch.setattr("sleeves.tuning.splits.MOST", tests - 1)
    with pytest.raises(VaultError, match=rf"would be more than {tests - 1}:"):
        walk_forward(Tape.sample(), train=DAY, test=DAY)
