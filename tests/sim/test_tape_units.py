"""Columns in a tape's own units are taken as they are, and proved: with numpy and without it in the same words."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import BadTape
from sleeves.market import HOUR, MINUTE, SECOND, FundingRate, Instrument, Kind
from sleeves.money import BTC, USD
from sleeves.sim import columns as of_columns
from sleeves.sim import reading
from sleeves.sim.columns import INT64, PART, STEP
from sleeves.sim.tape import Count, Repairs, Tape
from strategies import law

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
HALVES = Instrument("BTC-HALF", base=BTC, quote=USD, tick="0.5", lot="1")  # a price unit is 0.1, the tick 5 of them
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
T0 = 1_506_816_000 * SECOND

GOOD: dict[str, list[int]] = {
    "at": [T0, T0 + HOUR, T0 + 2 * HOUR],
    "open": [100, 105, 110],
    "high": [110, 106, 120],
    "low": [95, 100, 110],
    "close": [105, 102, 115],
    "volume": [7, 0, 9],
}


@pytest.fixture(params=["numpy", "builtins"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rows proved by numpy, and by builtins as where it is not installed."""
    if request.param == "builtins":
        monkeypatch.setattr(of_columns, "numpy_for", lambda rows: None)
    return str(request.param)


def with_cell(what: str, row: int, value: object) -> dict[str, list[Any]]:
    return {name: [value if (name, place) == (what, row) else cell for place, cell in enumerate(cells, 1)] for name, cells in GOOD.items()}


# -- what is taken ---------------------------------------------------------------------------------------------------------

KINDS = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "array": lambda cells: array("q", cells),
    "array of l": lambda cells: array("l", cells),
    "memoryview": lambda cells: memoryview(array("q", cells)),
    "numpy": lambda cells: np.array(cells, dtype="int64"),
    "numpy not native": lambda cells: np.array(cells, dtype=">i8"),
    "numpy strided": lambda cells: np.repeat(np.array(cells, dtype="int64"), 2)[::2],
    "numpy unsigned": lambda cells: np.array(cells, dtype="uint64"),
    "numpy objects": lambda cells: np.array(cells, dtype=object),
    "numpy scalars": lambda cells: [np.int64(cell) for cell in cells],
    "pandas": lambda cells: pd.Series(cells, index=[9, 8, 7]),
    "pandas Int64": lambda cells: pd.Series(cells, dtype="Int64"),
    "polars": lambda cells: pl.Series(cells),
}


@pytest.mark.parametrize("kind", KINDS)
def test_integers_of_any_kind_are_the_same_tape(kind: str, way: str) -> None:
    tape = Tape.from_units(BTCUSD, **{name: KINDS[kind](cells) for name, cells in GOOD.items()})
    assert list(tape.rows()) == list(zip(*GOOD.values(), strict=True))
    assert (tape.interval, tape.has_volume, tape.name, tape.repairs) == (HOUR, True, "columns", Repairs())
    assert tape.digest() == Tape.from_units(BTCUSD, **GOOD).digest()
    assert np.frombuffer(tape.close, "int64").tolist() == GOOD["close"]


def test_what_offers_its_buffer_is_not_copied() -> None:
    column = np.array(GOOD["close"], dtype="int64")
    tape = Tape.from_units(BTCUSD, **GOOD | {"close": column})
    assert np.shares_memory(np.frombuffer(tape.close, "int64"), column)
    with pytest.raises(TypeError):
        tape.close[0] = 1  # type: ignore[index]  # a view that cannot be written to
    plain = array("q", GOOD["close"])
    assert Tape.from_units(BTCUSD, **GOOD | {"close": plain}).close is plain


def test_without_volume_it_is_unknown_and_zero() -> None:
    tape = Tape.from_units(BTCUSD, **{name: cells for name, cells in GOOD.items() if name != "volume"})
    assert (tape.has_volume, list(tape.volume)) == (False, [0, 0, 0])


def test_the_tape_is_that_of_the_same_figures_as_text() -> None:
    columns = {name: [f"{cell // 100}.{cell % 100:02}" for cell in GOOD[name]] for name in ("open", "high", "low", "close")}
    text = Tape.from_columns(BTCUSD, ts=GOOD["at"], volume=[f"0.{lots:03}" for lots in GOOD["volume"]], **columns)
    assert text.digest() == Tape.from_units(BTCUSD, **GOOD).digest()


# -- what is refused -------------------------------------------------------------------------------------------------------

BAD = [
    ("at", 1, -1, "at -1 is before 1970"),
    ("at", 2, T0, f"at {T0} does not come after that of the row before it, {T0}"),
    ("at", 3, T0, f"at {T0} does not come after that of the row before it, {T0 + HOUR}"),
    ("open", 2, 0, "open 0 is not a positive number of price units"),
    ("low", 3, -5, "low -5 is not a positive number of price units"),
    ("open", 2, 99, "open 99 is outside low 100 and high 106"),
    ("open", 2, 107, "open 107 is outside low 100 and high 106"),
    ("close", 1, 111, "close 111 is outside low 95 and high 110"),
    ("close", 1, 94, "close 94 is outside low 95 and high 110"),
    ("high", 2, 99, "high 99 is below low 100"),
    ("volume", 2, -1, "volume -1 is not a number of lots, zero or more"),
]


@pytest.mark.parametrize(("what", "row", "value", "says"), BAD)
def test_a_row_that_cannot_be_true_is_named(what: str, row: int, value: int, says: str, way: str) -> None:
    with pytest.raises(BadTape) as caught:
        Tape.from_units(BTCUSD, **with_cell(what, row, value))
    assert (str(caught.value), caught.value.row) == (f"row {row}: {says}", row)


@pytest.mark.parametrize("what", ["open", "high", "low", "close"])
def test_a_price_off_the_tick_is_named_and_not_rounded(what: str, way: str) -> None:
    good = GOOD | {"open": [100, 105, 110], "high": [110, 110, 120], "low": [95, 100, 110], "close": [105, 105, 115]}
    assert len(Tape.from_units(HALVES, **good)) == 3
    cells = [*good[what][:2], good[what][2] + 1]
    with pytest.raises(BadTape, match=rf"row 3: {what} {cells[2]} is not on the tick of 5 price units"):
        Tape.from_units(HALVES, **good | {what: cells})


CELLS: list[tuple[object, str]] = [
    (1.0, "is not a whole number"),
    (float("nan"), "is not a whole number"),
    (float("inf"), "is not a whole number"),
    ("100", "is not a whole number"),
    (None, "is not a whole number"),
    (True, "is not a whole number"),
    (pd.NA, "is not a whole number"),
    (2**63, "does not fit 64 bits"),
    (-(2**63) - 1, "does not fit 64 bits"),
    (10**5000, "does not fit 64 bits"),
]


@pytest.mark.parametrize("what", list(GOOD))
@pytest.mark.parametrize(("value", "says"), CELLS, ids=range(len(CELLS)))
def test_a_cell_that_is_no_64_bit_integer_is_named(what: str, value: object, says: str) -> None:
    with pytest.raises(BadTape, match=says) as caught:
        Tape.from_units(BTCUSD, **with_cell(what, 2, value))
    assert caught.value.row == 2


COLUMNS: list[tuple[Any, str]] = [
    ("123", "is a str"),
    (b"12345678" * 3, "is a bytes"),
    (5, "is a int"),
    (None, "is a NoneType"),
    ({1: 2}, "is a dict"),
    (np.array(3), "is a ndarray"),
    (np.array([1.0, 2.0, 3.0]), "1.0 is not a whole number"),
    (np.array([1, 2, 3], dtype="datetime64[ns]"), "holds datetime64"),
    (np.array([1, 2, 3], dtype="timedelta64[s]"), "holds timedelta64"),
    (np.array([[1, 2, 3]]), "is not a whole number"),
    (np.array([1, 2, 2**63], dtype="uint64"), "does not fit 64 bits"),
    (np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]), "None is not a whole number"),
    (pd.Series([1, None, 3], dtype="Int64"), "is not a whole number"),
    (pl.Series([1, None, 3]), "is not a whole number"),
]


@pytest.mark.parametrize(("column", "says"), COLUMNS)
def test_what_is_no_column_of_integers_is_refused(column: Any, says: str) -> None:
    with pytest.raises(BadTape, match=says):
        Tape.from_units(BTCUSD, **GOOD | {"open": column})


def test_columns_must_be_of_one_length_and_have_rows() -> None:
    with pytest.raises(BadTape, match="row 3: the columns differ in length: at 3, open 3, high 2"):
        Tape.from_units(BTCUSD, **GOOD | {"high": [110, 120]})
    for empty in ([], array("q"), np.array([], dtype="int64")):
        with pytest.raises(BadTape, match="there are no rows"):
            Tape.from_units(BTCUSD, **dict.fromkeys(GOOD, empty))
    with pytest.raises(BadTape, match="a tape is of an Instrument, not of 'BTC/USD'"):
        Tape.from_units("BTC/USD", **GOOD)  # type: ignore[arg-type]


@pytest.mark.parametrize("interval", [0, -1, 1.5, True, "60", INT64 + 1])
def test_an_interval_is_a_positive_number_of_nanoseconds(interval: Any) -> None:
    with pytest.raises(BadTape, match="must be a positive whole number of nanoseconds"):
        Tape.from_units(BTCUSD, **GOOD, interval=interval)


@pytest.mark.parametrize("given_by", ["units", "columns"])
def test_the_last_row_is_over_before_64_bits_are(given_by: str, way: str) -> None:
    def tape(last: int) -> Tape:
        if given_by == "units":
            return Tape.from_units(BTCUSD, **GOOD | {"at": [T0, T0 + HOUR, last]}, interval=HOUR)
        return Tape.from_columns(BTCUSD, ts=[T0, last], open=[1, 1], high=[1, 1], low=[1, 1], close=[1, 1], interval=HOUR)

    assert tape(INT64 - HOUR).ends()[-1] == INT64
    with pytest.raises(BadTape, match="after the year 2262"):
        tape(INT64 - HOUR + 1)


# -- trades ----------------------------------------------------------------------------------------------------------------


def test_a_trade_is_a_row_whose_prices_are_one_column(way: str) -> None:
    tape = Tape.from_ticks(BTCUSD, at=[T0, T0 + 5, T0 + 9], price=[100, 101, 99], size=[1, 2, 3])
    assert list(tape.rows()) == [(T0, 100, 100, 100, 100, 1), (T0 + 5, 101, 101, 101, 101, 2), (T0 + 9, 99, 99, 99, 99, 3)]
    assert tape.open is tape.high is tape.low is tape.close
    assert (tape.interval, tape.name, tape.has_volume, tape.repairs.any) == (0, "ticks", True, False)
    assert list(tape.ends()) == list(tape.at)
    at, open_, high, low, close, volume, ends = tape.block(0, 3)
    assert open_ is high is low is close
    assert (ends, volume) == (at, [1, 2, 3])
    part = tape.slice(1)
    assert part.open is part.close
    assert not Tape.from_ticks(BTCUSD, at=[T0], price=[100]).has_volume


def test_a_trade_may_stand_for_a_time(way: str) -> None:
    tape = Tape.from_ticks(BTCUSD, at=[T0, T0 + 5, T0 + 100], price=[100, 101, 99], interval=10)
    assert list(tape.ends()) == [T0 + 5, T0 + 15, T0 + 110]
    assert tape.block(0, 3)[6] == [T0 + 5, T0 + 15, T0 + 110]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"price": [100, 0, 99]}, "row 2: open 0 is not a positive number"),
        ({"at": [T0, T0, T0 + 1]}, f"row 2: at {T0} does not come after"),
        ({"size": [1, -2, 3]}, "row 2: volume -2"),
        ({"price": [100, 1.5, 99]}, "row 2: price 1.5 is not a whole number"),
        ({"interval": -1}, "the interval -1"),
        ({"interval": False}, "the interval False"),
    ],
)
def test_trades_that_cannot_be_true_are_refused(change: dict[str, Any], says: str, way: str) -> None:
    with pytest.raises(BadTape, match=says):
        Tape.from_ticks(BTCUSD, **{"at": [T0, T0 + 5, T0 + 9], "price": [100, 101, 99], "size": [1, 2, 3]} | change)


@law
@given(steps=st.lists(st.sampled_from([0, 0, 1, 2, 50]), min_size=1, max_size=60))
def test_trades_of_one_instant_are_told_apart_where_repair_is_asked_for(steps: list[int]) -> None:
    at = [T0 + sum(steps[: place + 1]) for place in range(len(steps))]
    apart: list[int] = []
    for now in at:
        apart.append(max(now, apart[-1] + 1) if apart else now)
    moved = [row for row, (now, was) in enumerate(zip(apart, at, strict=True), 1) if now != was]
    price = range(1, len(at) + 1)
    for patched in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if patched:
                patch.setattr(of_columns, "numpy_for", lambda rows: None)
            tape = Tape.from_ticks(BTCUSD, at=at, price=price, repair=True)
        assert list(tape.at) == apart
        assert tape.repairs == Repairs(nudged=Count(len(moved), tuple(moved[:20])))
    if moved:
        with pytest.raises(BadTape, match=f"row {moved[0]}: at"):
            Tape.from_ticks(BTCUSD, at=at, price=price)
        assert str(tape.repairs).startswith("trades of one instant, each moved a nanosecond behind the one before: ")


def test_trades_out_of_order_are_refused_with_repair_too(way: str) -> None:
    for at, row in (([T0, T0 - 1, T0], 2), ([T0, T0, T0 - 1], 3), ([T0, T0 + 9, T0 + 8], 3)):
        with pytest.raises(BadTape, match=rf"row {row}: at {at[row - 1]} is earlier than that of the row before it, {at[row - 2]}"):
            Tape.from_ticks(BTCUSD, at=at, price=[1, 2, 3], repair=True)
    for wrong, says in (([], "there are no rows"), ([-5, -5], "row 1: at -5 is before 1970"), ([2**63 - 1] * 2, "row 2: at")):
        with pytest.raises(BadTape, match=says):
            Tape.from_ticks(BTCUSD, at=wrong, price=[1] * len(wrong), repair=True)


# -- what a tape answers ---------------------------------------------------------------------------------------------------


@st.composite
def tapes(draw: st.DrawFn, most: int = 700) -> Tape:
    """Tapes with gaps, crowds and even steps, of one row up to several steps of `Extremes`."""
    rows = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = rng.choice(draw(st.sampled_from([[MINUTE], [MINUTE, 1, HOUR], [1, 2, 3]])), rows)
    close = np.maximum(1_000 + np.cumsum(rng.integers(-9, 10, rows)), 50)
    open_ = np.maximum(close + rng.integers(-5, 6, rows), 50)
    wide = rng.integers(0, 20, rows)
    low, high = np.minimum(open_, close) - wide, np.maximum(open_, close) + wide
    kind = draw(st.sampled_from(["array", "view", "ticks"]))
    given = {"at": T0 + np.cumsum(steps), "open": open_, "high": high, "low": low, "close": close}
    if kind == "ticks":
        return Tape.from_ticks(BTCUSD, at=given["at"], price=close, interval=draw(st.sampled_from([0, 2])))
    columns = {name: cells.tolist() if kind == "array" else cells.astype("int64") for name, cells in given.items()}
    return Tape.from_units(BTCUSD, **columns, interval=draw(st.none() | st.sampled_from([1, MINUTE])))


@law
@given(tape=tapes(), data=st.data())
def test_a_block_is_the_rows_and_their_ends(tape: Tape, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(tape)))
    last = data.draw(st.integers(first, len(tape)))
    *columns, ends = tape.block(first, last)
    assert [tuple(row) for row in zip(*columns, strict=True)] == list(tape.rows())[first:last]
    assert ends == list(tape.ends())[first:last]
    assert all(type(column) is list for column in (*columns, ends))


@law
@given(tape=tapes())
def test_a_bar_is_over_after_an_interval_or_where_the_next_begins(tape: Tape) -> None:
    begins = [*tape.at, INT64]
    expected = [min(at + tape.interval, after) for at, after in pairwise(begins)]
    assert list(tape.ends()) == expected
    plain = Tape(tape.instrument, tape.interval, *(array("q", column) for column in (tape.at, *[tape.open] * 5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_columns, "numpy_for", lambda rows: None)
        assert list(plain.ends()) == expected
        assert plain.block(0, len(plain))[6] == expected


@law
@given(tape=tapes(), data=st.data())
def test_the_first_row_beyond_is_the_one_that_is_found_row_by_row(tape: Tape, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(tape) + 2))
    low = data.draw(st.integers(0, 1_100) | st.sampled_from([-1, 10**30]))
    high = data.draw(st.integers(900, 1_400) | st.sampled_from([1, 1 << 62, 10**30]))
    stop = data.draw(st.none() | st.integers(0, len(tape) + 5))
    end = len(tape) if stop is None else min(stop, len(tape))
    expected = next((n for n in range(row, end) if tape.low[n] <= low or tape.high[n] >= high), end)
    assert tape.first_beyond(row, low, high, stop) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_columns, "numpy_for", lambda rows: None)
        assert tape.slice(0).first_beyond(row, low, high, stop) == expected


@pytest.mark.parametrize("place", [0, STEP - 1, STEP, PART - 1, PART, PART + STEP, 2 * PART, 2 * PART + 9])
def test_rows_are_found_across_the_parts_of_a_tape(place: int, way: str) -> None:
    rows = 2 * PART + 10
    low, high = array("q", [100] * rows), array("q", [100] * rows)
    low[place] = 90
    close = array("q", [100] * rows)
    tape = Tape.from_units(BTCUSD, at=array("q", range(rows)), open=close, high=high, low=low, close=close)
    assert tape.first_beyond(0, 90, 200) == place
    assert tape.first_beyond(place, 90, 200) == place
    assert tape.first_beyond(place + 1, 90, 200) == rows
    assert tape.first_beyond(0, 90, 200, place) == place
    assert tape.first_beyond(0, 89, 200) == rows
    assert tape.first_beyond(0, 0, 100) == 0
    assert tape.ends()[place] == place + 1


def test_what_lies_outside_of_a_tape_is_no_block() -> None:
    tape = Tape.from_units(BTCUSD, **GOOD)
    for first, last in ((-1, 2), (0, 4), (2, 1)):
        with pytest.raises(BadTape, match=rf"rows {first}\.\.{last} are not in columns"):
            tape.block(first, last)
    with pytest.raises(BadTape, match="row -1 is not in"):
        tape.first_beyond(-1, 0, 200)
    assert tape.block(3, 3) == ([], [], [], [], [], [], [])


@law
@given(tape=tapes(most=300))
def test_a_tape_is_pickled_and_copied_as_it_is(tape: Tape) -> None:
    for again in (pickle.loads(pickle.dumps(tape)), deepcopy(tape)):
        assert again.digest() == tape.digest()
        assert (again.interval, again.name, again.repairs, again.has_volume) == (tape.interval, tape.name, tape.repairs, tape.has_volume)
        assert (again.open is again.close) is (tape.open is tape.close)
        assert list(again.ends()) == list(tape.ends())


def test_things_along_a_tape_go_with_it() -> None:
    rates = [FundingRate(PERP, T0 + HOUR, 100, 100, 8 * HOUR)]
    tape = Tape.from_units(PERP, **GOOD).with_funding(rates)
    assert pickle.loads(pickle.dumps(tape)).funding == tape.funding == tuple(rates)
    assert tape.first_beyond(0, 95, 1_000) == 0


@law
@given(tape=tapes())
def test_gaps_are_the_same_however_they_are_counted(tape: Tape) -> None:
    steps = [after - before for before, after in pairwise(tape.at)]
    if not tape.interval:
        assert tape.repairs == Repairs()
        return
    wide = [step for step in steps if step > tape.interval]
    row = steps.index(max(wide)) + 2 if wide else None
    expected = Repairs(
        gaps=len(wide),
        missing_bars=sum((step - 1) // tape.interval for step in wide),
        longest_gap_ns=max(wide, default=0),
        longest_gap_row=row,
    )
    assert tape.repairs == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_columns, "numpy_for", lambda rows: None)
        patch.setattr(of_columns, "PART", 7)
        columns = {name: array("q", getattr(tape, name)) for name in ("at", "open", "high", "low", "close")}
        assert Tape.from_units(BTCUSD, **columns, interval=tape.interval).repairs == expected
        assert of_columns.steps_of(columns["at"]).interval == Tape.from_units(BTCUSD, **columns).interval


# -- reading in parts ------------------------------------------------------------------------------------------------------

FIGURES = st.sampled_from(["1", "1.5", "2", "1.005", "1e1", "1000000"]) | st.sampled_from(["0", "nan", "x", "", "-1", "9e30"])
ROWS = st.lists(st.tuples(st.integers(1, 9), *[FIGURES] * 5), min_size=1, max_size=12)


@law
@given(rows=ROWS, repair=st.booleans(), step=st.booleans())
def test_reading_in_parts_gives_what_reading_as_a_whole_gives(rows: list[Any], repair: bool, step: bool) -> None:
    """Whatever is in the columns: the same tape and counts, or the same words."""
    whens = [sum(row[0] for row in rows[: place + 1]) if step else row[0] for place, row in enumerate(rows)]
    figures = {name: [row[place] for row in rows] for place, name in enumerate(("open", "high", "low", "close", "volume"), 1)}

    def read() -> object:
        try:
            tape = Tape.from_columns(BTCUSD, ts=[10**9 + when for when in whens], **figures, repair=repair)
        except BadTape as error:
            return str(error), error.row
        return list(tape.rows()), tape.interval, tape.repairs

    def never(*_: Any) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_clean_rows", never)
        whole = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PART", 2)
        assert read() == whole


def test_clean_input_of_many_parts_is_never_read_as_a_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("clean input was read as a whole")

    monkeypatch.setattr(reading, "_whole", refuse)
    rows = 2 * PART + 3
    price: Sequence[float] = [100.004 if row % PART == 5 else 100.0 for row in range(rows)]
    columns = {"ts": [1_000_000_000 + 60 * row for row in range(rows)], **dict.fromkeys(("open", "high", "low", "close", "volume"), price)}
    off = Count(12, (6, PART + 6, 2 * PART + 6)) if rows > 2 * PART + 5 else Count(8, (6, PART + 6))
    path = tmp_path / "long.csv"
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]))
    frames = (columns, pd.DataFrame(columns), pl.DataFrame(columns), {name: np.array(cells) for name, cells in columns.items()})
    tapes = [Tape.load(path, BTCUSD), *(Tape.from_frame(BTCUSD, frame) for frame in frames)]
    assert len({tape.digest() for tape in tapes}) == 1
    assert all(tape.repairs.off_tick == off and len(tape) == rows for tape in tapes)
