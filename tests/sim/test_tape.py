"""A tape is trusted: what it holds is exactly what the file said, and what cannot be true is named by its row."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves.errors import BadTape
from sleeves.market import HOUR, MINUTE, SECOND, Instrument
from sleeves.money import BTC, USD, Asset
from sleeves.sim.tape import SAMPLE_INSTRUMENT, Count, Repairs, Tape

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
HALVES = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.5", lot="1")
FINE = Instrument("XRP/USD", base=Asset("XRP", 6), quote=USD, tick="0.00001", lot="0.1")
ETHER = Instrument("ETH/USD", base=Asset("ETH", 18), quote=USD, tick="0.01", lot="0.0001")

T0 = 1_506_816_000
HEADER = "ts,open,high,low,close,volume"
GOOD = [
    (T0, "100.00", "110", "95.5", "105", "1.5"),
    (T0 + 3600, "105", "106.25", "101", "102.03", "0"),
    (T0 + 7200, "102", "103", "99", "100", "7"),
]
SHARED = Path(__file__).parents[2].parent / "shared" / "data"  # the folder beside the project

Row = tuple[Any, ...]


def csv_text(rows: Sequence[Row], header: str = HEADER) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def load(tmp_path: Path, content: str | bytes, instrument: Instrument = BTCUSD, **options: Any) -> Tape:
    path = tmp_path / "market.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Tape.load(path, instrument, **options)


def with_row(row: int, **changes: object) -> list[Row]:
    """The good rows with some cells of one (1-based) changed."""
    rows: list[Row] = list(GOOD)
    cells = zip(HEADER.split(","), rows[row - 1], strict=True)
    rows[row - 1] = tuple(changes.get(name, cell) for name, cell in cells)
    return rows


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(HEADER.split(","))}


# -- what a tape holds -----------------------------------------------------------------------------------------------------


def test_a_file_becomes_integers_in_ns_price_units_and_lots(tmp_path: Path) -> None:
    tape = load(tmp_path, csv_text(GOOD))
    assert list(tape.rows()) == [
        (T0 * SECOND, 10_000, 11_000, 9_550, 10_500, 1_500),
        ((T0 + 3600) * SECOND, 10_500, 10_625, 10_100, 10_203, 0),
        ((T0 + 7200) * SECOND, 10_200, 10_300, 9_900, 10_000, 7_000),
    ]
    assert len(tape) == 3
    assert tape.interval == HOUR
    assert tape.name == "market.csv"
    assert tape.instrument is BTCUSD
    assert tape.has_volume
    assert not tape.repairs.any
    assert str(tape.repairs) == ""
    assert {column.typecode for column in (tape.at, tape.open, tape.high, tape.low, tape.close, tape.volume)} == {"q"}
    assert str(tape) == "market.csv: 3 rows of BTC/USD from 2017-10-01 00:00:00 to 2017-10-01 02:00:00 UTC"


def test_gzip_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    plain, packed = csv_text(GOOD), gzip.compress(csv_text(GOOD).encode())
    (tmp_path / "plain.csv.gz").write_text(plain)
    assert Tape.load(tmp_path / "plain.csv.gz", BTCUSD).digest() == load(tmp_path, packed).digest() == load(tmp_path, plain).digest()


def test_columns_may_stand_in_any_order_and_case_with_others_between_them(tmp_path: Path) -> None:
    rows = [(close, "x", volume, low, high, open_, ts) for ts, open_, high, low, close, volume in GOOD]
    text = csv_text(rows, '"Close",note, VOLUME ,Low,High,Open,TS').replace("\n", "\r\n")
    assert load(tmp_path, "\ufeff" + text + "\r\n\r\n").digest() == load(tmp_path, csv_text(GOOD)).digest()


def test_without_a_volume_column_the_volume_is_unknown(tmp_path: Path) -> None:
    tape = load(tmp_path, csv_text([row[:5] for row in GOOD], "ts,open,high,low,close"))
    assert not tape.has_volume
    assert list(tape.volume) == [0, 0, 0]


def test_volume_is_rounded_down_to_whole_lots(tmp_path: Path) -> None:
    assert load(tmp_path, csv_text(with_row(1, volume="1.23499999999999999999")), HALVES).volume[0] == 1
    assert load(tmp_path, csv_text(with_row(1, volume="1.2349"))).volume[0] == 1_234
    assert load(tmp_path, csv_text(with_row(1, volume="1e-9"))).volume[0] == 0
    assert load(tmp_path, csv_text(with_row(1, volume="9e9")), ETHER).volume[0] == 90_000_000_000_000


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_ts_is_read_in_the_unit_of_its_magnitude(tmp_path: Path, unit: str, factor: int) -> None:
    rows = [(row[0] * factor, *row[1:]) for row in GOOD]
    same = load(tmp_path, csv_text(GOOD)).digest()
    assert load(tmp_path, csv_text(rows)).digest() == same
    assert load(tmp_path, csv_text([(f"{row[0]}.0", *row[1:]) for row in rows])).digest() == same
    assert Tape.from_columns(BTCUSD, **columns(rows)).digest() == same
    floats = columns(rows) | {"ts": [float(row[0]) for row in rows]}
    assert Tape.from_columns(BTCUSD, **floats).digest() == same


def test_fractions_of_a_second_are_exact() -> None:
    ts = ["1506816000.123456789", 1506816001.5, Decimal("1506816002.25")]
    tape = Tape.from_columns(BTCUSD, **columns(GOOD) | {"ts": ts})
    assert list(tape.at) == [1506816000_123456789, 1506816001_500000000, 1506816002_250000000]


def test_the_interval_is_the_most_common_step_unless_given() -> None:
    def tape(*minutes: int, **options: Any) -> Tape:
        ts = [T0 + 60 * minute for minute in minutes]
        flat = [1] * len(ts)
        return Tape.from_columns(BTCUSD, ts=ts, open=flat, high=flat, low=flat, close=flat, **options)

    assert tape(0).interval == 0
    assert tape(0, 5).interval == 5 * MINUTE
    assert tape(0, 5, 10, 11, 12, 13).interval == MINUTE
    assert tape(0, 5, 6).interval == MINUTE
    assert tape(0, 5, interval=MINUTE).interval == MINUTE
    for wrong in (0, -1, 1.5, True, "60"):
        with pytest.raises(BadTape, match="interval"):
            tape(0, 5, interval=wrong)


def test_gaps_are_counted_and_never_an_error() -> None:
    ts = [T0 + 60 * minute for minute in (0, 1, 2, 5, 6, 8, 9)]
    flat = [1] * len(ts)
    repairs = Tape.from_columns(BTCUSD, ts=ts, open=flat, high=flat, low=flat, close=flat).repairs
    assert repairs == Repairs(gaps=2, missing_bars=3, longest_gap_ns=3 * MINUTE, longest_gap_row=4)
    assert repairs.any
    assert str(repairs) == "gaps: 2, with 3 bar(s) missing; the longest is 0:03:00 from open to open and ends in row 4"


def test_slices_are_tapes_of_the_same_terms() -> None:
    tape = Tape.from_columns(BTCUSD, **columns(GOOD), name="mine")
    part = tape.slice(1)
    assert list(part.rows()) == list(tape.rows())[1:]
    assert (part.interval, part.instrument, part.name, part.has_volume) == (HOUR, BTCUSD, "mine", True)
    assert list(tape.slice(0, 2).rows()) == list(tape.slice(-3, -1).rows()) == list(tape.rows())[:2]
    assert list(tape.between(tape.at[0], tape.at[2]).at) == list(tape.at[:2])
    assert list(tape.between(tape.at[0] + 1, tape.at[2] + 1).at) == list(tape.at[1:])
    part.at[0] = 0
    assert tape.at[1] == (T0 + 3600) * SECOND
    for nothing in (lambda: tape.slice(3), lambda: tape.between(0, tape.at[0]), lambda: tape.between(tape.at[2], tape.at[0])):
        with pytest.raises(BadTape):
            nothing()


def test_the_digest_covers_the_terms_and_every_column() -> None:
    digests = {Tape.from_columns(BTCUSD, **columns(GOOD)).digest()}
    assert digests == {Tape.from_columns(BTCUSD, **columns(GOOD), name="other").digest()}
    assert digests == {"38c73f38c2c2f3c3e99bc852ac5de4595cedbb08e57205c47e4cfed2e9951d6d"}, "the same on every machine, for good"
    changes: list[dict[str, object]] = [{"ts": T0 + 1}, {"open": "101"}, {"high": "111"}, {"low": "95"}, {"close": "106"}, {"volume": "2"}]
    for change in changes:
        digests.add(Tape.from_columns(BTCUSD, **columns(with_row(1, **change))).digest())
    other = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001", min_notional="5")
    digests.add(Tape.from_columns(other, **columns(GOOD)).digest())
    assert len(digests) == 1 + len(changes) + 1


# -- all kinds of columns --------------------------------------------------------------------------------------------------

FLOATS = {name: [float(cell) for cell in cells] for name, cells in columns(GOOD).items()}
MOMENTS = np.array([row[0] * 10**9 for row in GOOD], dtype="datetime64[ns]")
WHENS = {
    "int": [row[0] for row in GOOD],
    "numpy": np.array([row[0] for row in GOOD]),
    "numpy float": np.array(FLOATS["ts"]),
    "datetime64[ns]": MOMENTS,
    "datetime64[s]": MOMENTS.astype("datetime64[s]"),
    "datetime64[60s]": MOMENTS.astype("datetime64[60s]"),
    "pandas": pd.Series(MOMENTS),
    "pandas zoned": pd.Series(MOMENTS).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    "pandas index": pd.DatetimeIndex(MOMENTS, tz="UTC"),
    "polars": pl.Series(MOMENTS),
    "polars zoned": pl.Series(MOMENTS).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
    "polars ms": pl.Series(MOMENTS).dt.cast_time_unit("ms"),
    "timestamps": list(pd.Series(MOMENTS)),
    "datetimes": [datetime.fromtimestamp(row[0], UTC) for row in GOOD],
    "naive datetimes are UTC": [datetime.fromtimestamp(row[0], UTC).replace(tzinfo=None) for row in GOOD],
}
PRICES = {
    "text": columns(GOOD),
    "Decimal": {name: [Decimal(cell) for cell in cells] for name, cells in columns(GOOD).items()},
    "float": FLOATS,
    "numpy": {name: np.array(cells) for name, cells in FLOATS.items()},
    "numpy float32": {name: np.array(cells, dtype="float32") for name, cells in FLOATS.items()},
    "numpy scalars": {name: [np.float64(cell) for cell in cells] for name, cells in FLOATS.items()},
    "numpy text": {name: np.array(list(map(str, cells))) for name, cells in columns(GOOD).items()},
    "numpy objects": {name: np.array(cells, dtype=object) for name, cells in FLOATS.items()},
    "pandas": {name: pd.Series(cells, index=[7, 8, 9]) for name, cells in FLOATS.items()},
    "pandas Float32": {name: pd.Series(cells, dtype="Float32") for name, cells in FLOATS.items()},
    "polars": {name: pl.Series(cells) for name, cells in FLOATS.items()},
    "polars Float32": {name: pl.Series(cells, dtype=pl.Float32) for name, cells in FLOATS.items()},
    "tuple": {name: tuple(cells) for name, cells in FLOATS.items()},
    "mixed": {name: [cells[0], Decimal(str(cells[1])), str(cells[2])] for name, cells in FLOATS.items()},
}


@pytest.mark.parametrize("kind", PRICES)
def test_columns_of_any_kind_give_the_tape_of_the_file(tmp_path: Path, kind: str) -> None:
    given_columns = PRICES[kind] | {"ts": WHENS["int"]}
    assert Tape.from_columns(BTCUSD, **given_columns).digest() == load(tmp_path, csv_text(GOOD)).digest()
    assert not Tape.from_columns(BTCUSD, **given_columns).repairs.any


@pytest.mark.parametrize("kind", WHENS)
def test_ts_of_any_kind_gives_the_tape_of_the_file(tmp_path: Path, kind: str) -> None:
    assert Tape.from_columns(BTCUSD, **columns(GOOD) | {"ts": WHENS[kind]}).digest() == load(tmp_path, csv_text(GOOD)).digest()


def test_iterators_and_whole_numbers_are_columns() -> None:
    tape = Tape.from_columns(BTCUSD, ts=iter([T0, T0 + 60]), open=np.array([1, 2]), high=(n for n in (3, 3)), low=[1, 1], close=range(1, 3))
    assert list(tape.close) == [100, 200]


def test_frames_are_read_by_name(tmp_path: Path) -> None:
    same = load(tmp_path, csv_text(GOOD)).digest()
    frame = {name.upper(): cells for name, cells in (FLOATS | {"ts": WHENS["int"], "extra": ["a", "b", "c"]}).items()}
    dated = frame | {"TS": MOMENTS}
    for given_frame in (frame, pd.DataFrame(frame), pl.DataFrame(frame), pd.DataFrame(dated), pl.DataFrame(dated)):
        tape = Tape.from_frame(BTCUSD, given_frame, name="f")
        assert (tape.digest(), tape.name, tape.has_volume) == (same, "f", True)
    with pytest.raises(BadTape, match=r"missing column\(s\) high, close; found 'ts', 'open', 'low'"):
        Tape.from_frame(BTCUSD, pd.DataFrame({"ts": [1], "open": [1], "low": [1]}))
    with pytest.raises(BadTape, match="open is there 2 times"):
        Tape.from_frame(BTCUSD, frame | {"Open": [1, 2, 3]})
    with pytest.raises(BadTape, match="a list has no named columns"):
        Tape.from_frame(BTCUSD, [1, 2])
    assert not Tape.from_frame(BTCUSD, pl.DataFrame(frame).drop("VOLUME")).has_volume


@pytest.mark.parametrize("column", ["123", b"123", 5, None, {1: 2}, np.array(3), MOMENTS, np.array([1, 2, 3], dtype="timedelta64[s]")])
def test_what_is_no_column_of_numbers_is_refused(column: Any) -> None:
    with pytest.raises(BadTape, match="column open"):
        Tape.from_columns(BTCUSD, **columns(GOOD) | {"open": column})


def test_columns_must_be_of_one_length() -> None:
    with pytest.raises(BadTape, match="row 3: the columns differ in length: ts 3, open 3, high 2") as caught:
        Tape.from_columns(BTCUSD, **columns(GOOD) | {"high": [110, 120]})
    assert caught.value.row == 3
    with pytest.raises(BadTape, match="no rows"):
        Tape.from_columns(BTCUSD, ts=[], open=[], high=[], low=[], close=[])


@pytest.mark.parametrize("missing", [np.datetime64("NaT", "ns"), pd.NaT, None])
def test_a_missing_datetime_is_named(missing: Any) -> None:
    for ts in (pd.Series([MOMENTS[0], missing, MOMENTS[2]]), pd.Series([*MOMENTS[:1], missing, MOMENTS[2]]).dt.tz_localize("UTC")):
        with pytest.raises(BadTape, match="row 2: ts '' is not a number"):
            Tape.from_columns(BTCUSD, **columns(GOOD) | {"ts": ts})


def test_datetimes_keep_their_nanoseconds() -> None:
    moments = pd.Series(np.array([T0 * 10**9 + 123_456_789], dtype="datetime64[ns]"))
    for ts in (moments, list(moments), moments.to_numpy(), pl.Series(moments.to_numpy()), moments.dt.tz_localize("UTC")):
        assert Tape.from_columns(BTCUSD, ts=ts, open=[1], high=[1], low=[1], close=[1]).at[0] == T0 * 10**9 + 123_456_789


def test_datetimes_that_ns_cannot_hold_are_refused_and_never_wrapped_around() -> None:
    for ts in (np.array(["2017", "2018", "2300"], dtype="datetime64[s]"), np.array(["2017", "2018", "1900"], dtype="datetime64[s]")):
        with pytest.raises(BadTape, match=r"row 3: ts .* (2262|1970)"):
            Tape.from_columns(BTCUSD, **columns(GOOD) | {"ts": ts})
    with pytest.raises(BadTape, match="days or finer"):
        Tape.from_columns(BTCUSD, **columns(GOOD) | {"ts": np.array(["2017", "2018", "2019"], dtype="datetime64[Y]")})


# -- what is always an error -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no rows"),
        (HEADER.encode() + b"\n\r\n", "no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a text file"),
        (b"ts,open\x00,high", "zero byte"),
        (bytes(range(256)) * 4, "not a text file"),
        (b"\x1f\x8b garbage", "gzip"),
        (gzip.compress(csv_text(GOOD).encode())[:-9], "gzip"),
        (gzip.compress(b""), "empty"),
        (b"hello world\n1\n", r"missing column\(s\) ts, open, high, low, close; found 'hello world'"),
        (b"ts,open,high,close,volume\n1,1,1,1,1\n", r"missing column\(s\) low; found 'ts', 'open', 'high', 'close', 'volume'"),
        (csv_text(GOOD).replace(",", ";").encode(), "missing column"),
        (b"ts,open,Open,high,low,close\n1,1,1,1,1,1\n", "open is there 2 times"),
        (csv_text(GOOD).encode().replace(b"100.00", b'"100.00'), "not a CSV file"),
        (csv_text(GOOD).encode().replace(b"100.00", b"9" * 200_000), "not a CSV file"),
    ],
)
def test_a_file_that_is_no_table_is_an_error(tmp_path: Path, content: bytes, says: str, repair: bool) -> None:
    with pytest.raises(BadTape, match=says):
        load(tmp_path, content, repair=repair)


@pytest.mark.parametrize("repair", [False, True])
def test_a_file_that_is_not_there_is_a_bad_tape_and_says_so(tmp_path: Path, repair: bool) -> None:
    for path in (tmp_path / "none.csv", tmp_path, "nul\0.csv"):
        with pytest.raises(BadTape, match="cannot be read") as caught:
            Tape.load(path, BTCUSD, repair=repair)
        assert caught.value.row is None


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("broken", ["1506823200,102,103,99,100", "1506823200,102,103,99,100,7,8", "   ", "x"])
def test_short_and_long_rows_are_an_error_with_their_row(tmp_path: Path, broken: str, repair: bool) -> None:
    with pytest.raises(BadTape, match=r"row 3: \d field\(s\), but the header names 6") as caught:
        load(tmp_path, csv_text(GOOD[:2]) + "\n" + broken, repair=repair)
    assert caught.value.row == 3


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ts": ""}, "ts '' is not a number"),
        ({"ts": "2017-10-01"}, "is not a number"),
        ({"ts": "nan"}, "is not a number"),
        ({"ts": "-1"}, "is before 1970"),
        ({"ts": "1506819600000"}, "would be in milliseconds, but the first row is in seconds"),
        ({"ts": "1506819600000000"}, "would be in microseconds, but the first row is in seconds"),
        ({"ts": "1506819600000000000"}, "would be in nanoseconds, but the first row is in seconds"),
        ({"ts": "99999999999"}, "is after the year 2262"),
        ({"ts": "1e999999"}, "is after the year 2262"),
        ({"ts": "1506819600.0000000001"}, "is not a whole number of nanoseconds"),
        ({"volume": "-1"}, "volume '-1' is not a finite number of zero or more"),
        ({"volume": "nan"}, "volume 'nan' is not a finite number"),
        ({"volume": "inf"}, "volume 'inf' is not a finite number"),
        ({"volume": ""}, "volume '' is not a finite number"),
        ({"volume": "much"}, "volume 'much' is not a finite number"),
        ({"volume": "1e30"}, "volume '1e30' is too large"),
        ({"high": "1e30"}, "high '1e30' is too large"),
        ({"open": "92233720368547758.08"}, "open '92233720368547758.08' is too large"),
        ({"close": "1e999999"}, "close '1e999999' is too large"),
    ],
)
def test_what_has_no_obvious_repair_is_an_error_with_its_row(tmp_path: Path, change: dict[str, object], says: str, repair: bool) -> None:
    with pytest.raises(BadTape, match=says) as caught:
        load(tmp_path, csv_text(with_row(2, **change)), repair=repair)
    assert caught.value.row == 2
    assert str(caught.value).startswith("row 2: ")


def test_the_first_row_decides_the_unit_of_ts(tmp_path: Path) -> None:
    rows = [(str(T0 * 1000), *GOOD[0][1:]), *GOOD[1:]]
    with pytest.raises(BadTape, match="row 2: ts '1506819600' would be in seconds, but the first row is in milliseconds"):
        load(tmp_path, csv_text(rows))


def test_the_largest_price_that_fits_is_taken(tmp_path: Path) -> None:
    tape = load(tmp_path, csv_text(with_row(2, high="92233720368547758.07")))
    assert tape.high[1] == sys.maxsize == 2**63 - 1


# -- what is an error, or repaired when asked ------------------------------------------------------------------------------

NOT_A_PRICE = ["", " ", "0", "0.00", "-0.01", "-5", "nan", "NaN", "inf", "-Infinity", "None", "true", "abc", "\t1", "'1'", "9" * 5000]
NOT_A_PRICE += ["1,5", "1 000", "1_000", "0x10", "१२", "１２", "²", "1e", "e5", "1e-5e", ".", "+", "1.2.3", "--1"]


@pytest.mark.parametrize("text", NOT_A_PRICE)
def test_a_price_that_is_not_a_positive_finite_number_is_an_error_or_its_row_dropped(tmp_path: Path, text: str) -> None:
    rows = with_row(2, close=f'"{text}"')
    with pytest.raises(BadTape, match=r"close .* is not a positive finite number") as caught:
        load(tmp_path, csv_text(rows))
    assert caught.value.row == 2
    assert len(str(caught.value)) < 200
    tape = load(tmp_path, csv_text(rows), repair=True)
    assert list(tape.rows()) == [row for n, row in enumerate(load(tmp_path, csv_text(GOOD)).rows(), 1) if n != 2]
    assert tape.repairs == Repairs(dropped=Count(1, (2,)))


HUGE = pytest.param(-(10**5000), id="huge")
NOT_A_NUMBER = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, -1.5, HUGE, Decimal("NaN"), Decimal("sNaN")]
NOT_A_NUMBER += [None, pd.NA, True, [1], object()]


@pytest.mark.parametrize("value", NOT_A_NUMBER)
def test_a_cell_that_is_not_a_positive_finite_number_is_an_error_or_its_row_dropped(value: Any) -> None:
    given_columns = columns(GOOD) | {"open": [100.0, 105.0, value]}
    with pytest.raises(BadTape, match=r"row 3: open .* is not a positive finite number"):
        Tape.from_columns(BTCUSD, **given_columns)
    assert Tape.from_columns(BTCUSD, **given_columns, repair=True).repairs.dropped == Count(1, (3,))


def test_a_tape_of_nothing_but_bad_rows_cannot_be_repaired(tmp_path: Path) -> None:
    with pytest.raises(BadTape, match="no row is left"):
        load(tmp_path, csv_text([(T0, "", "", "", "", "1")] * 3), repair=True)


REPAIRABLE = [
    (with_row(2, high="101", low="106.25"), 2, "high '101' is below low '106.25'", GOOD, Repairs(swapped=Count(1, (2,)))),
    (with_row(2, close="107"), 2, "close '107' is outside", with_row(2, close="107", high="107"), Repairs(widened=Count(1, (2,)))),
    (with_row(2, open="100.99"), 2, "open '100.99' is outside", with_row(2, open="100.99", low="100.99"), Repairs(widened=Count(1, (2,)))),
    (
        with_row(3, open="104", high="99", low="103", close="98"),
        3,
        "high '99' is below low '103'",
        with_row(3, open="104", high="104", low="98", close="98"),
        Repairs(swapped=Count(1, (3,)), widened=Count(1, (3,))),
    ),
    ([GOOD[0], GOOD[1], GOOD[1], GOOD[2]], 3, "is in row 2 already, with the same values", GOOD, Repairs(duplicates=Count(1, (3,)))),
    ([GOOD[0], GOOD[1], GOOD[0], GOOD[2]], 3, "is in row 1 already, with the same values", GOOD, Repairs(duplicates=Count(1, (3,)))),
    ([*GOOD, (GOOD[2][0], *GOOD[1][1:])], 4, "is in row 3 already, with other values", GOOD, Repairs(conflicts=Count(1, (4,)))),
    ([GOOD[1], GOOD[0], GOOD[2]], 2, "ts '1506816000' is earlier than that of a row before it", GOOD, Repairs(unsorted=Count(1, (2,)))),
    (GOOD[::-1], 2, "is earlier than", GOOD, Repairs(unsorted=Count(2, (2, 3)))),
]


@pytest.mark.parametrize(("rows", "row", "says", "mended", "repairs"), REPAIRABLE)
def test_a_row_that_cannot_be_true_is_an_error_or_mended_and_counted(
    tmp_path: Path, rows: list[Row], row: int, says: str, mended: list[Row], repairs: Repairs
) -> None:
    with pytest.raises(BadTape, match=says) as caught:
        load(tmp_path, csv_text(rows))
    assert caught.value.row == row
    assert "(repair=True " in str(caught.value)
    for tape in (load(tmp_path, csv_text(rows), repair=True), Tape.from_columns(BTCUSD, **columns(rows), repair=True)):
        assert list(tape.rows()) == list(load(tmp_path, csv_text(mended)).rows())
        assert tape.repairs == repairs
        assert tape.repairs.any


def test_strict_mode_names_the_first_bad_row_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    rows = [GOOD[0], (T0 + 60, "-1", "1", "1", "1", "1"), GOOD[0], (T0, "1", "1", "2", "1", "-1"), ("x",) * 6]
    for first in range(1, 5):
        with pytest.raises(BadTape) as caught:
            load(tmp_path, csv_text([GOOD[0], *rows[first:]]))
        assert caught.value.row == 2


def test_of_rows_with_one_ts_the_first_in_the_file_is_kept(tmp_path: Path) -> None:
    late = [GOOD[2], GOOD[0], (T0 + 7200, "1", "1", "1", "1", "1"), GOOD[1], GOOD[2]]
    tape = load(tmp_path, csv_text(late), repair=True)
    assert list(tape.rows()) == list(load(tmp_path, csv_text(GOOD)).rows())
    assert tape.repairs == Repairs(duplicates=Count(1, (5,)), conflicts=Count(1, (3,)), unsorted=Count(2, (2, 4)))


def test_repairs_read_as_one_line_each_and_list_twenty_rows(tmp_path: Path) -> None:
    rows = [*GOOD, *[GOOD[2]] * 30, (T0 + 36_000, "100.001", "100.002", "99", "100", "1"), (T0 + 39_600, "0", "1", "1", "1", "1")]
    repairs = load(tmp_path, csv_text(rows), repair=True).repairs
    assert repairs.duplicates == Count(30, tuple(range(4, 24)))
    assert repairs.longest_gap_row == 34
    assert str(repairs).splitlines() == [
        "prices off the tick, rounded to it: 2, in row(s) 34",
        "rows repeated exactly, dropped: 30, first in row(s) 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23",
        "rows with a price that is not a positive number, dropped: 1, in row(s) 35",
        "gaps: 1, with 7 bar(s) missing; the longest is 8:00:00 from open to open and ends in row 34",
    ]


# -- numbers are exact -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repair", [False, True])
def test_a_float_artefact_is_rounded_to_the_tick_and_counted(tmp_path: Path, repair: bool) -> None:
    row = (T0, "0.09946999000000001", "0.0995", "0.09947", "0.09947", "1")
    tape = load(tmp_path, csv_text([row, (T0 + 60, *["0.1"] * 4, "1")]), FINE, repair=repair)
    assert next(tape.rows())[1:5] == (9947, 9950, 9947, 9947)
    assert tape.repairs == Repairs(off_tick=Count(1, (1,)))
    floats = {name: [float(cell), 0.1] for name, cell in zip(HEADER.split(",")[1:], row[1:], strict=True)}
    assert Tape.from_columns(FINE, ts=[T0, T0 + 60], **floats, repair=repair).repairs.off_tick == Count(1, (1,))


@pytest.mark.parametrize(
    ("text", "units", "off"),
    [
        ("0.25", 5, True),  # a tie goes to the even tick, but never below one
        ("0.75", 10, True),
        ("1.25", 10, True),
        ("1.2500000000000000000000001", 15, True),
        ("1.75", 20, True),
        ("0.0000001", 5, True),
        ("1e-999999", 5, True),
        ("1.5000000000", 15, False),
        ("15e-1", 15, False),
        ("0.15E+1", 15, False),
        ("+1.5", 15, False),
        (" 1.5 ", 15, False),
        ("01.5", 15, False),
        ("1.", 10, False),
        (".5", 5, False),
        ("1e3", 10_000, False),
        ("0" * 900 + "1", 10, False),
        ("1" + "0" * 300 + "e-300", 10, False),
    ],
)
def test_text_is_rounded_half_even_to_the_tick_and_at_least_to_one(text: str, units: int, off: bool) -> None:
    tape = Tape.from_columns(HALVES, ts=[T0], open=[text], high=[text], low=[text], close=[text])
    assert tape.open[0] == units
    assert tape.repairs.off_tick == (Count(4, (1,)) if off else Count())


def test_a_price_that_leaves_its_range_by_less_than_rounding_is_in_its_range() -> None:
    tape = Tape.from_columns(BTCUSD, ts=[T0], open=["100.0000001"], high=["100"], low=["100"], close=["99.9999999"])
    assert next(tape.rows())[1:5] == (10_000,) * 4


def test_only_prices_that_are_kept_count_as_rounded(tmp_path: Path) -> None:
    rows = [(T0, "100.001", "101", "99", "0", "1"), *with_row(2, open="105.001")]
    assert load(tmp_path, csv_text(rows), repair=True).repairs == Repairs(off_tick=Count(1, (3,)), dropped=Count(1, (1,)))


def test_where_float_arithmetic_would_round_another_way_the_text_decides() -> None:
    assert 1.015 * 100 < 101.5
    below = float(np.nextafter(0.117, 0))
    assert below * 1000 == 117.0
    tape = Tape.from_columns(BTCUSD, ts=[T0], open=[1.015], high=[1.015], low=[1.015], close=[1.015], volume=[below])
    assert tape.open[0] == 102
    assert tape.volume[0] == 116


def tick_reference(value: Decimal, instrument: Instrument) -> int:
    with localcontext(prec=400):
        ticks = (value / Decimal(instrument.tick)).quantize(Decimal(1), ROUND_HALF_EVEN)
        return max(1, int(ticks)) * instrument.tick_units


def lot_reference(value: Decimal, instrument: Instrument) -> int:
    with localcontext(prec=400):
        return int((value / Decimal(instrument.lot)).to_integral_value(ROUND_FLOOR))


INSTRUMENTS = st.sampled_from([BTCUSD, HALVES, FINE, ETHER])
PRICE = st.decimals("0.000001", "999999", places=6) | st.decimals("0.01", "99999", places=2) | st.decimals("1e-12", "1e9", allow_nan=False)
VOLUME = st.decimals("0", "999999", places=4) | st.decimals("0", "1e6", allow_nan=False)
Figures = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]


@st.composite
def valid_rows(draw: st.DrawFn) -> list[Figures]:
    ts = draw(st.integers(10**8, 9 * 10**9))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        low, first, last, high = sorted(draw(st.lists(PRICE, min_size=4, max_size=4)))
        open_, close = draw(st.sampled_from([(first, last), (last, first)]))
        rows.append((ts, open_, high, low, close, draw(VOLUME)))
        ts += draw(st.integers(1, 10**5))
    return rows


@settings(max_examples=100, deadline=None)
@given(rows=valid_rows(), instrument=INSTRUMENTS, exponents=st.booleans(), packed=st.booleans())
def test_any_valid_rows_load_back_to_exactly_the_same_integers(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Figures], instrument: Instrument, exponents: bool, packed: bool
) -> None:
    text = csv_text([(row[0], *(f"{cell:e}" if exponents else f"{cell:f}" for cell in row[1:])) for row in rows])
    tape = load(tmp_path_factory.getbasetemp(), gzip.compress(text.encode()) if packed else text, instrument)
    assert list(tape.rows()) == [
        (row[0] * SECOND, *(tick_reference(cell, instrument) for cell in row[1:5]), lot_reference(row[5], instrument)) for row in rows
    ]
    scale = instrument.price_scale
    off = [n for n, row in enumerate(rows, 1) for cell in row[1:5] if Decimal(tick_reference(cell, instrument)).scaleb(-scale) != cell]
    assert tape.repairs.off_tick == Count(len(off), tuple(dict.fromkeys(off)))


FLOAT = (
    st.floats(1e-9, 1e9)
    | st.floats(5e-324, 9e13)
    | st.integers(1, 10**7).map(lambda cents: cents / 100)
    | st.integers(1, 10**7).map(lambda eighths: eighths / 8)
    | st.integers(1, 10**12).map(lambda units: float(np.nextafter(units / 10**5, 1)))
)


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(FLOAT, min_size=1, max_size=30), instrument=INSTRUMENTS)
def test_a_float_is_read_as_its_shortest_text(cells: list[float], instrument: Instrument) -> None:
    def read(column: Sequence[object]) -> Tape:
        ts = range(T0, T0 + len(column))
        return Tape.from_columns(instrument, ts=ts, open=column, high=column, low=column, close=column, volume=column)

    floats, texts, vector = read(cells), read([repr(cell) for cell in cells]), read(np.array(cells))
    assert list(floats.rows()) == list(texts.rows()) == list(vector.rows())
    assert floats.repairs == texts.repairs == vector.repairs
    assert list(floats.open) == [tick_reference(Decimal(repr(cell)), instrument) for cell in cells]
    assert list(floats.volume) == [lot_reference(Decimal(repr(cell)), instrument) for cell in cells]


# -- nothing but a tape or a BadTape ---------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0), byte=st.integers(0, 255), packed=st.booleans(), repair=st.booleans())
def test_a_corrupted_byte_gives_a_tape_or_a_bad_tape(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, packed: bool, repair: bool
) -> None:
    content = bytearray(gzip.compress(csv_text(GOOD).encode(), mtime=0) if packed else csv_text(GOOD).encode())
    content[place % len(content)] = byte
    try:
        tape = load(tmp_path_factory.getbasetemp(), bytes(content), repair=repair)
    except BadTape:
        return
    assert is_true(tape)


CELLS = st.sampled_from(["1", "1.5", "2", "-1", "0", "nan", "", "x", "1e9", "1e400", "9e18", "٣", '"', "\r"])


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(st.lists(CELLS, min_size=6, max_size=6), max_size=8), repair=st.booleans())
def test_hostile_cells_give_a_tape_or_a_bad_tape(tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], repair: bool) -> None:
    try:
        tape = load(tmp_path_factory.getbasetemp(), csv_text([tuple(row) for row in cells]), repair=repair)
    except BadTape:
        return
    assert is_true(tape)


def is_true(tape: Tape) -> bool:
    """Whether a tape keeps what its class promises."""
    rising = all(before < after for before, after in zip(tape.at, tape.at[1:], strict=False))
    ranged = all(0 < row[3] <= min(row[1:5]) and max(row[1:5]) <= row[2] and row[5] >= 0 for row in tape.rows())
    on_tick = all(price % tape.instrument.tick_units == 0 for row in tape.rows() for price in row[1:5])
    return len(tape) > 0 and rising and ranged and on_tick


# -- real data -------------------------------------------------------------------------------------------------------------


def test_the_sample_is_six_months_of_real_hours() -> None:
    tape = Tape.sample()
    assert len(tape) == 4_368 == 182 * 24
    assert tape.instrument is SAMPLE_INSTRUMENT
    assert tape.interval == HOUR
    assert not tape.repairs.any
    assert is_true(tape)
    first = int(datetime(2017, 10, 1, tzinfo=UTC).timestamp()) * SECOND
    assert (tape.at[0], tape.at[-1]) == (first, first + 4_367 * HOUR)
    assert max(tape.high) == SAMPLE_INSTRUMENT.price("19891.99")
    assert [n for n, volume in enumerate(tape.volume, 1) if volume == 0] == [1472, 1735, 2958, 2959, 2960]
    assert list(tape.slice(1007, 1012).volume) == list(tape.slice(1012, 1017).volume), "five hours were published twice"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the project")
    return path


def test_the_sample_is_cut_unchanged_from_the_shared_file() -> None:
    tape, whole = Tape.sample(), Tape.load(shared("btc-usd-1h-2017-2019.csv.gz"), SAMPLE_INSTRUMENT)
    assert tape.digest() == whole.between(tape.at[0], tape.at[-1] + 1).digest()
    assert len(whole) == 20_111
    assert not whole.repairs.any


def test_a_month_of_real_minutes_has_prices_off_its_tick() -> None:
    tape = Tape.load(shared("btc-perp-1m-2022-01.csv.gz"), HALVES)
    assert len(tape) == 45_031
    assert tape.interval == MINUTE
    assert tape.repairs == Repairs(off_tick=Count(26, (243, 245, 247, 249, 17523, 17524, 17525, 17527, 17528, 17529)))
    assert is_true(tape)


def test_a_file_of_another_kind_is_named_by_what_it_lacks() -> None:
    with pytest.raises(BadTape, match=r"missing column\(s\) open, high, low, close; found 'ts', 'funding_rate', 'mark_open'"):
        Tape.load(shared("xrp-perp-funding-8h-2021.csv.gz"), FINE)


def test_half_a_million_rows_take_seconds_not_minutes() -> None:
    count = 500_000
    price = 10_000 + (np.arange(count) * 37 % 9_973) / 100
    ts = np.datetime64("2020-01-01T00:00", "ns") + np.arange(count) * np.timedelta64(1, "m")
    begun = datetime.now(UTC)
    tape = Tape.from_columns(BTCUSD, ts=ts, open=price, high=price + 1, low=price - 1, close=price, volume=price)
    assert datetime.now(UTC) - begun < timedelta(seconds=15)
    assert (len(tape), tape.interval, tape.repairs.gaps) == (count, MINUTE, 0)
