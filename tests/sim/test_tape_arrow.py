"""A tape goes to Arrow and parquet and comes back as it was; figures of any Arrow type are read as columns of figures are."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import BadTape, MissingExtra
from sleeves.market import HOUR, SECOND, FundingRate, Instrument, Kind
from sleeves.money import BTC, USD
from sleeves.news import Reading
from sleeves.sim.columns import PART
from sleeves.sim.tape import SAMPLE_INSTRUMENT, Depth, Tape
from strategies import law

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
T0 = 1_506_816_000


def told(tape: Tape) -> tuple[Any, ...]:
    what = ("instrument", "interval", "has_volume", "repairs", "name", "funding", "depths", "news", "outside")
    return tape.digest(), list(tape.ends()), *(getattr(tape, name) for name in what)


def small(market: Instrument = BTCUSD) -> Tape:
    close = [100, 101, 102]
    columns = {"open": close, "high": [103, 104, 105], "low": [99, 98, 97], "close": close}
    return Tape.from_units(market, at=[(T0 + 3600 * row) * SECOND for row in range(3)], volume=[7, 0, 9], **columns)


# -- there and back --------------------------------------------------------------------------------------------------------


def test_a_tape_comes_back_from_arrow_and_parquet_as_it_was(tmp_path: Path) -> None:
    sample = Tape.sample()
    table = sample.to_arrow()
    assert table.schema.names == ["at", "open", "high", "low", "close", "volume"]
    assert table.column("close").chunk(0).buffers()[1].address == np.frombuffer(sample.close, "int64").ctypes.data
    pq.write_table(table, tmp_path / "sample.parquet")
    assert told(Tape.from_arrow(table)) == told(sample)
    assert told(Tape.read_parquet(tmp_path / "sample.parquet")) == told(sample)
    assert told(Tape.from_arrow(table.combine_chunks().to_batches()[0])) == told(sample)


def test_all_that_lies_along_goes_with_it(tmp_path: Path) -> None:
    tape = small(PERP).with_funding([FundingRate(PERP, (T0 + 3600) * SECOND, 5, 100, HOUR)])
    tape = tape.with_depth([Depth(T0 * SECOND, ((99, 1),), ((101, 2),))]).with_news([Reading("x", T0 * SECOND, 0.1)])
    assert told(Tape.from_arrow(tape.to_arrow())) == told(tape)


@law
@given(rows=st.integers(1, 50), volume=st.booleans(), first=st.integers(0, 10), size=st.integers(1, 60))
def test_trades_and_slices_come_back(rows: int, volume: bool, first: int, size: int) -> None:
    lots = range(rows) if volume else None
    tape = Tape.from_ticks(BTCUSD, at=range(5, 5 + rows), price=range(1, 1 + rows), size=lots)
    tape = tape.slice(min(first, rows - 1))
    table = tape.to_arrow()
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=size))
    again = Tape.from_arrow(chunked)
    assert told(again) == told(tape)
    assert again.open is again.close


def test_a_table_that_a_tape_made_is_read_as_nothing_else() -> None:
    table = small().to_arrow()
    assert told(Tape.from_arrow(table, BTCUSD)) == told(small())
    for wrong in ({"instrument": PERP}, {"interval": 5}, {"repair": True}, {"columns": {"ts": "at"}}):
        with pytest.raises(BadTape, match=r"was made by a tape of BTC/USD"):
            Tape.from_arrow(table, **wrong)


def forged(change: Any = None, **columns: Any) -> Any:
    table = small().to_arrow()
    terms = json.loads(table.schema.metadata[b"sleeves.tape"])
    if change:
        change(terms)
    made = {name: columns.get(name, table.column(name)) for name in table.schema.names if columns.get(name, 0) is not None}
    return pa.table(made).replace_schema_metadata({b"sleeves.tape": json.dumps(terms).encode()})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (lambda: forged(lambda terms: terms.clear()), "names it None"),
        (lambda: forged(lambda terms: terms.update(interval=-1)), "interval is -1"),
        (lambda: forged(lambda terms: terms.update(along=None)), "along"),
        (lambda: forged(close=None), "no column close"),
        (lambda: forged(close=[1.0, 2.0, 3.0]), "close is double"),
        (lambda: forged(close=pa.array([100, None, 102])), "close is int64 with 1 null"),
        (lambda: forged(close=[100, 106, 102]), "row 2: close 106 is outside"),
        (lambda: forged(at=[1, 1, 2]), "row 2: at 1 does not come after"),
        (lambda: forged(lambda terms: terms.update(interval=2**63 - 1)), "after the year 2262"),
        (lambda: small().to_arrow().slice(0, 0), "there are no rows"),
        (lambda: small().to_arrow().replace_schema_metadata({b"sleeves.tape": b"{"}), "no JSON"),
        (lambda: small().to_arrow().replace_schema_metadata({b"sleeves.tape": b"[]"}), "no table"),
        (lambda: [1, 2], "a list is no Arrow table"),
        (lambda: None, "a NoneType is no Arrow table"),
    ],
)
def test_what_no_tape_made_is_refused(table: Any, says: str) -> None:
    with pytest.raises(BadTape, match=says):
        Tape.from_arrow(table())


# -- figures ---------------------------------------------------------------------------------------------------------------

FIGURES = {
    "open": ["100.00", "105", "102"],
    "high": ["110", "106.25", "103"],
    "low": ["95.5", "101", "99"],
    "close": ["105", "102.03", "100"],
    "volume": ["1.5", "0", "7"],
}
KINDS = {
    "text": lambda cells: pa.array(cells),
    "large text": lambda cells: pa.array(cells, pa.large_string()),
    "dictionary": lambda cells: pa.array(cells).dictionary_encode(),
    "float64": lambda cells: pa.array([float(cell) for cell in cells]),
    "float32": lambda cells: pa.array([float(cell) for cell in cells], pa.float32()),
    "decimal": lambda cells: pa.array([Decimal(cell) for cell in cells], pa.decimal128(20, 6)),
}
WHENS = {
    "seconds": lambda whens: pa.array(whens),
    "milliseconds": lambda whens: pa.array([1000 * when for when in whens]),
    "text": lambda whens: pa.array([str(when) for when in whens]),
    **{
        f"timestamp[{unit}]": lambda whens, unit=unit, times=times: pa.array([times * when for when in whens]).cast(pa.timestamp(unit))
        for unit, times in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9))
    },
    "zoned": lambda whens: pa.array(whens).cast(pa.timestamp("s", tz="Europe/Berlin")),
}
SECONDS = [T0, T0 + 3600, T0 + 7200]
EXPECTED = Tape.from_columns(BTCUSD, ts=SECONDS, **FIGURES).digest()


@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_any_type_are_the_same_tape(kind: str, when: str, tmp_path: Path) -> None:
    table = pa.table({"TS": WHENS[when](SECONDS), "more": ["a", "b", "c"], **{name: KINDS[kind](cells) for name, cells in FIGURES.items()}})
    pq.write_table(table, tmp_path / "figures.parquet")
    assert Tape.from_arrow(table, BTCUSD).digest() == EXPECTED
    tape = Tape.read_parquet(tmp_path / "figures.parquet", BTCUSD)
    assert (tape.digest(), tape.name, tape.has_volume) == (EXPECTED, "figures.parquet", True)


def test_days_are_dates(tmp_path: Path) -> None:
    for kind in (pa.date32(), pa.date64()):
        days = pa.array([0, 86_400_000, 3 * 86_400_000]).cast(pa.timestamp("ms")).cast(kind)
        tape = Tape.from_arrow(pa.table({"ts": days, **{name: pa.array(cells) for name, cells in FIGURES.items()}}), BTCUSD)
        assert list(tape.at) == [0, 24 * HOUR, 72 * HOUR]
        assert tape.repairs.missing_bars == 1


REST = ("high", "low", "close", "volume")


def test_columns_of_other_names_are_named() -> None:
    table = pa.table(
        {"Date": SECONDS, "Open": ["9"] * 3, "O": FIGURES["open"], **{n: FIGURES[n] for n in ("high", "low", "close", "volume")}}
    )
    assert Tape.from_arrow(table, BTCUSD, columns={"ts": "Date", "open": "O"}).digest() == EXPECTED
    with pytest.raises(BadTape, match=r"missing column\(s\) Nope; found Date, Open"):
        Tape.from_arrow(table, BTCUSD, columns={"ts": "Nope"})
    with pytest.raises(BadTape, match="columns names when: a tape has ts"):
        Tape.from_arrow(table, BTCUSD, columns={"when": "Date"})
    with pytest.raises(BadTape, match=r"missing column\(s\) ts"):
        Tape.from_arrow(table, BTCUSD)
    with pytest.raises(BadTape, match="say which instrument it is of"):
        Tape.from_arrow(table)
    with pytest.raises(BadTape, match="of an Instrument, not of 'BTC'"):
        Tape.from_arrow(table, "BTC")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "cells", "says"),
    [
        ("close", pa.array([105.0, None, 100.0]), "row 2: close '' is not a positive finite number"),
        ("close", pa.array([105.0, float("nan"), 100.0]), "row 2: close 'nan' is not a positive finite number"),
        ("close", pa.array([105.0, float("inf"), 100.0]), "row 2: close 'inf' is not a positive finite number"),
        ("close", pa.array([105.0, -1.0, 100.0]), "row 2: close '-1.0' is not a positive finite number"),
        ("close", pa.array([105, 102, 10**12]), "row 3: close '1000000000000' is outside"),
        ("close", pa.array([[1], [2], [3]]), "row 1: close"),
        ("close", pa.array(["105", "x", "100"]), "row 2: close 'x'"),
        ("close", pa.array([1, 2, 3], pa.time32("s")), "column close holds time32"),
        ("volume", pa.array([1, -2, 3]), "row 2: volume '-2'"),
        ("ts", pa.array([T0, None, T0 + 7200]), "row 2: ts '' is not a number"),
        ("ts", pa.array([T0, T0, T0 + 7200]), "row 2: ts '1506816000' is in row 1 already"),
        ("ts", pa.array([T0, None, T0]).cast(pa.timestamp("s")), "row 2: ts"),
        ("ts", pa.array([T0, 2**50, 2**51]).cast(pa.timestamp("s")), "row 2: ts .* is after the year 2262"),
    ],
)
def test_figures_that_cannot_be_true_are_named(column: str, cells: Any, says: str, tmp_path: Path) -> None:
    table = pa.table({"ts": pa.array(SECONDS), **{name: pa.array(texts) for name, texts in FIGURES.items()}} | {column: cells})
    with pytest.raises(BadTape, match=says):
        Tape.from_arrow(table, BTCUSD)


def test_repairs_are_those_of_columns() -> None:
    messy: dict[str, Any] = {
        "ts": [0, 7200, 3600, 3600, 10800, 14400],
        "open": ["10", "12", "11", "11", "NaN", "14.001"],
        "high": ["11", "13", "12", "12", "14", "13"],
        "low": ["9", "11", "10", "10", "12", "14"],
        "close": ["11", "13", "12", "12", "14", "15"],
    }
    plain = Tape.from_columns(BTCUSD, **messy, repair=True)
    for size in (1, 2, 6):
        table = pa.Table.from_batches(pa.table(messy).to_batches(max_chunksize=size))
        tape = Tape.from_arrow(table, BTCUSD, repair=True, interval=HOUR)
        assert (list(tape.rows()), tape.repairs) == (list(plain.rows()), plain.repairs)


def test_a_long_file_is_read_in_batches(tmp_path: Path) -> None:
    rows = 2 * PART + 5
    price = [100.5 + row % 7 for row in range(rows)]
    names = ("open", "high", "low", "close", "volume")
    table = pa.table({"ts": [T0 + 60 * row for row in range(rows)], **dict.fromkeys(names, price)})
    pq.write_table(table, tmp_path / "long.parquet", row_group_size=10_000)
    whole = Tape.from_columns(BTCUSD, ts=table["ts"].to_pylist(), open=price, high=price, low=price, close=price, volume=price)
    assert Tape.read_parquet(tmp_path / "long.parquet", BTCUSD).digest() == whole.digest()


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    for path in (tmp_path / "no.parquet", tmp_path / "not there.parquet", tmp_path):
        with pytest.raises(BadTape, match="cannot be read"):
            Tape.read_parquet(path, BTCUSD)
    Tape.sample().save(tmp_path / "sample.tape")
    with pytest.raises(BadTape, match="cannot be read"):
        Tape.read_parquet(tmp_path / "sample.tape")
    pq.write_table(Tape.sample().to_arrow(), tmp_path / "torn.parquet")
    content = (tmp_path / "torn.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(content[:2_000] + bytes(4_000) + content[6_000:])
    with pytest.raises(BadTape):
        Tape.read_parquet(tmp_path / "torn.parquet")


def test_without_pyarrow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for ask in (Tape.sample().to_arrow, lambda: Tape.from_arrow([], SAMPLE_INSTRUMENT), lambda: Tape.read_parquet("x")):
        with pytest.raises(MissingExtra, match=r"Arrow and parquet needs pyarrow: .*sleeves\[arrow\]"):
            ask()
