"""A journal as a table for other programs: JSON lines, CSV, parquet.

JSON lines are the journal itself, each with its digest: `sleeves verify` reads them back. CSV and parquet have a row for
each posting, with amounts as exact decimal text, so that a spreadsheet sums what the ledger sums.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .codec import chain, encode
from .errors import MissingExtra
from .ledger import Entry
from .money import Amount
from .records import Record

__all__ = ["COLUMNS", "csv_lines", "json_lines", "parquet", "postings"]

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
