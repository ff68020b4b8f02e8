"""Tapes as Arrow tables, and from Arrow tables and parquet files, batch by batch. The extra `arrow` brings pyarrow.

A table that a tape made holds its integers, and its terms beside them; it is read back as it is. Any other table holds
figures, and is read as columns of figures are: its decimals and texts exactly, its floats as their shortest texts.

This module knows no tape: it hands out tables, and parts of columns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import BadTape, MissingExtra
from .cells import DATED, Unit, cells_of
from .columns import Column64, column64
from .contents import Contents, read_contents, told_along, told_contents
from .reading import PRICES, Parts, places

__all__ = ["batches_of", "contents_of", "parts_of", "table_of", "units_of"]

KEY = b"sleeves.tape"
"""Under which a table's metadata hold the terms of its tape."""

NAMES = ("at", *PRICES, "volume")
_NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("pyarrow", "arrow", "Arrow and parquet") from error
    return pyarrow


def table_of(contents: Contents, columns: Mapping[str, Column64]) -> Any:
    """A table of int64 columns, which are not copied."""
    arrow = _arrow()
    made: dict[int, Any] = {}
    for column in columns.values():
        if id(column) not in made:
            made[id(column)] = arrow.Array.from_buffers(arrow.int64(), len(column), [None, arrow.py_buffer(column)])
    told = json.dumps({**told_contents(contents), "along": told_along(contents.along)}, allow_nan=False)
    return arrow.table({what: made[id(column)] for what, column in columns.items()}).replace_schema_metadata({KEY: told.encode()})


# -- reading -------------------------------------------------------------------------------------------------------------


def batches_of(source: Any, rows: int) -> tuple[Any, Iterator[Any]]:
    """The schema of a table or a parquet file, and its batches of at most so many rows."""
    arrow = _arrow()
    if isinstance(source, arrow.RecordBatch):
        source = arrow.Table.from_batches([source])
    if isinstance(source, arrow.Table):
        return source.schema, iter(source.to_batches(max_chunksize=rows))
    if not isinstance(source, (str, os.PathLike)):
        raise BadTape(f"a {type(source).__name__} is no Arrow table")
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(os.fspath(source))
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise BadTape(f"{os.path.basename(os.fspath(source))} cannot be read: {error}") from error
    return file.schema_arrow, _batches(file, rows, os.path.basename(os.fspath(source)))


def _batches(file: Any, rows: int, name: str) -> Iterator[Any]:
    arrow = _arrow()
    try:
        with file:
            yield from file.iter_batches(batch_size=rows)
    except (OSError, arrow.ArrowException) as error:
        raise BadTape(f"{name} cannot be read: {error}") from error


def contents_of(schema: Any) -> Contents | None:
    """The terms of the tape that made a table; None where none did."""
    text = (schema.metadata or {}).get(KEY)
    if text is None:
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadTape(f"the terms of the table are no JSON: {error}") from error
    if not isinstance(told, dict):
        raise BadTape("the terms of the table are no table")
    return read_contents(told, told.get("along"), "volume" in schema.names)


def units_of(batch: Any) -> dict[str, Column64]:
    """The columns of a batch in units."""
    missing = [what for what in NAMES[:-1] if what not in batch.schema.names]
    if missing:
        raise BadTape(f"the table has the terms of a tape and no column {', '.join(missing)}")
    return {what: _integers(batch.column(what), what) for what in NAMES if what in batch.schema.names}


def _integers(column: Any, what: str) -> Column64:
    if str(column.type) != "int64" or column.null_count:
        raise BadTape(f"the table has the terms of a tape, and its column {what} is {column.type} with {column.null_count} null(s)")
    return column64(column.to_numpy(), what)


def parts_of(schema: Any, batches: Iterator[Any], columns: Mapping[str, str] | None) -> Parts:
    """The wanted columns of each batch as cells. `columns` names them where their names are others: `{"ts": "Date"}`."""
    names = _named(list(schema.names), columns)
    for batch in batches:
        if batch.num_rows:
            when, unit = _calendar(batch.column(names["ts"]))
            yield {"ts": when} | {what: _cells(batch.column(place), what) for what, place in names.items() if what != "ts"}, unit


def _named(there: list[str], columns: Mapping[str, str] | None) -> dict[str, int]:
    if not columns:
        return places(there)
    wrong = sorted(set(columns) - {"ts", *PRICES, "volume"})
    if wrong:
        raise BadTape(f"columns names {', '.join(wrong)}: a tape has ts, open, high, low, close and volume")
    missing = sorted(set(columns.values()) - set(there))
    if missing:
        raise BadTape(f"missing column(s) {', '.join(missing)}; found {', '.join(there[:20]) or 'none'}")
    others = {theirs: what for what, theirs in columns.items()}
    return places([others.get(name, "" if name.strip().lower() in columns else name) for name in there])


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if str(column.type).startswith("dictionary") else column


def _cells(column: Any, what: str) -> Sequence[Any]:
    column, kind = _plain(column), str(_plain(column).type)
    if kind == "double" and not column.null_count:
        floats: Sequence[Any] = column.to_numpy()
        return floats
    if kind in ("float", "halffloat"):
        return cells_of(column.to_numpy(zero_copy_only=False), what)
    if kind.startswith(("date", "time", "duration")):
        raise BadTape(f"column {what} holds {kind}: give numbers")
    return cells_of(column.to_pylist(), what)


def _calendar(column: Any) -> tuple[list[Any], Unit | None]:
    """As `cells.calendar`: a ts column as nanoseconds where its type says what it is, else as cells."""
    column, kind = _plain(column), str(_plain(column).type)
    if kind.startswith(("date", "timestamp")):
        arrow = _arrow()
        dates = kind.startswith("date")
        step = _NANOS["s"] if dates else _NANOS[column.type.unit]
        whole = (column.cast(arrow.timestamp("s")) if dates else column).cast(arrow.int64()).to_pylist()
        return [None if value is None else value * step for value in whole], DATED
    return list(_cells(column, "ts")), None
