"""A journal as a table for other programs: JSON lines, CSV, parquet.

JSON lines are the journal itself, each with its digest: `sleeves verify` reads them back. CSV and parquet have a row for
each posting, with amounts as exact decimal text, so that a spreadsheet sums what the ledger sums.

And plain rows of a report as a frame of pandas, polars or pyarrow. It knows nothing of reports: the caller says what is in
which column.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from .codec import chain, encode
from .errors import MissingExtra, VaultError
from .ledger import Entry
from .money import Amount
from .records import Record

__all__ = ["BACKENDS", "COLUMNS", "csv_lines", "frame", "frame_to_parquet", "json_lines", "parquet", "postings", "returns_series"]

BACKENDS = ("pandas", "polars", "pyarrow")
"""What a frame can be of."""

COLUMNS = ("record", "at_ns", "entry", "by", "owner", "role", "of", "asset", "amount", "ref", "why")


def postings(records: Iterable[Record]) -> Iterator[dict[str, str | int]]:
    """One row for each posting of each entry; `amount` is decimal text, exact to the asset's last unit."""
    for number, record in enumerate(records, 1):
        if isinstance(record, Entry):
            for account, asset, units in record.postings:
                yield dict(
                    zip(
                        COLUMNS,
                        (
                            number,
                            record.at,
                            record.kind.value,
                            record.by,
                            *account,
                            asset.code,
                            Amount(units, asset).text,
                            record.ref,
                            record.why,
                        ),
                        strict=True,
                    )
                )


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """Each record on a line, followed by a space and its digest."""
    for line in chain(map(encode, records)):
        yield line + "\n"


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """The postings as CSV. A cell that a spreadsheet would take for a formula is given an apostrophe before it."""
    yield _line(COLUMNS)
    for row in postings(records):
        yield _line(tuple(_harmless(name, row[name]) for name in COLUMNS))


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _harmless(name: str, cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and name != "amount" and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def parquet(records: Iterable[Record], out: Any) -> None:
    """Write the postings as parquet, to a path or a binary file. Raises `MissingExtra` without polars."""
    try:
        import polars
    except ImportError as error:
        raise MissingExtra("polars", "parquet", "writing parquet") from error
    kinds: Mapping[str, Any] = {name: polars.Int64 if name in ("record", "at_ns") else polars.String for name in COLUMNS}
    polars.DataFrame(list(postings(records)), schema=dict(kinds), orient="row").write_parquet(out)


def frame(kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, backend: str = "pandas", money: str = "text") -> Any:
    """Rows as a frame of `backend`, a column for each of `kinds`, in order; None is null.

    A kind is "text", "whole" (64 bits), "float", "bool", "time" (nanoseconds since 1970, as UTC datetimes to the nanosecond)
    or "money": exact decimal text as it is, with money="decimal" as Decimals (of 38 digits at most in polars), with
    "float" as the nearest float. A column of Decimals in which nothing is known is text. Raises `VaultError` for another
    backend or money, `MissingExtra` without narwhals and the backend.
    """
    return _frame(kinds, rows, backend, money).to_native()


def frame_to_parquet(
    kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]], out: str | Path, *, backend: str = "polars", money: str = "text"
) -> None:
    """Write such a frame as parquet to a path, by polars or by pyarrow. Raises as `frame` does."""
    if backend == "pandas":
        raise VaultError("pandas writes parquet through pyarrow: backend is polars or pyarrow")
    _frame(kinds, rows, backend, money).write_parquet(out)


def _frame(kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]], backend: str, money: str) -> Any:
    if backend not in BACKENDS:
        raise VaultError(f"no backend {backend!r}: there are {', '.join(BACKENDS)}")
    if money not in ("text", "decimal", "float"):
        raise VaultError(f"money is text, decimal or float, not {money!r}")
    try:
        import narwhals as nw
    except ImportError as error:
        raise MissingExtra("narwhals", "frames", "making a frame") from error
    try:
        __import__(backend)
    except ImportError as error:
        extra = {"pandas": "frames", "polars": "parquet", "pyarrow": "arrow"}[backend]
        raise MissingExtra(backend, extra, f"making a frame of {backend}") from error
    dtypes: dict[str, Any] = {
        "text": nw.String,
        "whole": nw.Int64,
        "float": nw.Float64,
        "bool": nw.Boolean,
        "time": nw.Int64,
        "money": nw.String,
    }
    columns = {}
    of: Any = backend
    for name, kind in kinds.items():
        values, dtype = [row[name] for row in rows], dtypes[kind]
        if kind == "money" and money == "float":
            values, dtype = [None if value is None else float(value) for value in values], nw.Float64
        elif kind == "money" and money == "decimal" and any(value is not None for value in values):
            decimals = [None if value is None else Decimal(value) for value in values]
            columns[name] = nw.new_series(name, decimals, backend=of)
            continue
        columns[name] = nw.new_series(name, values, dtype, backend=of)
    found = nw.from_dict(columns)
    times = [nw.col(name).cast(nw.Datetime("ns")).dt.replace_time_zone("UTC") for name, kind in kinds.items() if kind == "time"]
    return found.with_columns(*times) if times else found


def returns_series(days: Mapping[int, float], name: str) -> Any:
    """Returns by whole days since 1970 as a pandas Series of floats over dates without a zone, in order, as quantstats takes it.

    Raises `MissingExtra` without pandas.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra("pandas", "frames", "a pandas Series of returns") from error
    dates = pandas.to_datetime(sorted(days), unit="D")
    return pandas.Series([days[day] for day in sorted(days)], index=pandas.DatetimeIndex(dates, name="date"), name=name, dtype="float64")
