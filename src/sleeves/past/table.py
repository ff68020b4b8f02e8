"""An export as rows of named cells, and the error that names the place where one cannot be trusted.

A file is read whole, as UTF-8 text in CSV. A row is never dropped here: it is too short, and that is an error, or it is
handed on. Rows are counted from 1 without the header; blank lines are no rows.

This module does not know what a cell means.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import BadHistory
from ..progress import told

__all__ = ["BadHistory", "Place", "Row", "read_all", "shown", "table"]

T = TypeVar("T")


def shown(value: object) -> str:
    """A value as an error shows it: quoted, in one line, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 40 else text[:40] + "...")


class Place(NamedTuple):
    """Where something is told: a file or list, and the 1-based row in it."""

    source: str
    row: int

    def wrong(self, message: str) -> BadHistory:
        return BadHistory(message, self.source, self.row)

    def __str__(self) -> str:
        return f"{self.source} row {self.row}"


class Row(NamedTuple):
    """One row of a file: its cells by the name of their column."""

    place: Place
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """A cell that must say something. Raises `BadHistory` when it is empty."""
        text = self.cells[name].strip()
        if not text:
            raise self.place.wrong(f"{name} is empty")
        return text

    def maybe(self, name: str | None) -> str:
        """A cell that may be empty, in a column that may be missing."""
        return "" if name is None else self.cells.get(name, "").strip()


def table(path: str | os.PathLike[str], needed: Iterable[str], *, delimiter: str = ",") -> tuple[list[Row | BadHistory], tuple[str, ...]]:
    """The rows of a CSV file, and the names of its columns. A row with too many or too few cells is told as the error it is.

    Raises `BadHistory` when the file cannot be read, is no CSV in UTF-8, or lacks a needed column. A header alone is a
    file without rows.
    """
    source = Path(path).name
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise BadHistory(f"cannot be read: {error}", source) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadHistory(f"not a text file in UTF-8: {error.reason} at byte {error.start}", source) from error
    if "\0" in text:
        raise BadHistory(f"not a text file: it holds a zero byte at character {text.index(chr(0))}", source)
    lines: list[list[str]] = []
    try:
        for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            if any(cell.strip() for cell in line):
                lines.append(line)  # one by one: an error needs to know how far it came
    except csv.Error as error:
        raise BadHistory(f"not a CSV file: {error}", source, len(lines) or None) from error
    if not lines:
        raise BadHistory("the file is empty", source)
    header = tuple(name.strip() for name in lines[0])
    _check_header(header, needed, source)
    rows: list[Row | BadHistory] = []
    for number, line in enumerate(lines[1:], 1):
        place = Place(source, number)
        if len(line) != len(header):
            rows.append(place.wrong(f"{len(line)} cell(s), but the header names {len(header)} columns"))
        else:
            rows.append(Row(place, dict(zip(header, line, strict=True))))
    return rows, header


def _check_header(header: tuple[str, ...], needed: Iterable[str], source: str) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        found = ", ".join(shown(name) for name in header[:30])
        raise BadHistory(f"missing column(s) {', '.join(missing)}; found {found}", source)
    double = next((name for name in header if name and header.count(name) > 1), None)
    if double is not None:
        raise BadHistory(f"column {shown(double)} is there {header.count(double)} times", source)


def read_all(rows: Iterable[T | BadHistory], read: Callable[[T], None], repair: bool) -> tuple[BadHistory, ...]:
    """Read every row. One that cannot be read raises, or, with `repair`, is left out and handed back as its error.

    Where that is long a bar says how far it is.
    """
    left_out = []
    for row in told(rows, "rows"):
        try:
            if isinstance(row, BadHistory):
                raise row
            read(row)
        except BadHistory as error:
            if not repair:
                raise
            left_out.append(error)
    return tuple(left_out)
