"""What a sweep came to: its trials in the grid's order, as a table, as rows and frames, as a heat map.

Whatever a parameter is, or an error says, is shown as text and taken for nothing else. It knows nothing of how trials were run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median_low
from typing import TYPE_CHECKING, Any, Literal, overload

from attrs import frozen

from .. import export
from ..errors import MissingExtra, VaultError
from ..markup import block, table
from ..money import Amount
from .figures import Figure
from .identity import told

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Sweep", "Trial"]

Pick = Literal["best", "worst", "median"]
MOST = 20
"""Trials that are printed."""
WIDEST = 40
"""Characters of a cell that are printed."""
SHADES = " ░▒▓█"


@frozen(order=False)
class Trial:
    """One set of parameters and what it came to: figures by name, or the text of the error that ended it."""

    params: Mapping[str, Any]
    figures: Mapping[str, Figure]
    error: str = ""
    digest: str = ""
    """The digest of its journal, where the sweep was asked for them: equal runs have equal ones."""
    kept: bool = False
    """Whether it was taken from a file of kept trials, and not run."""

    @property
    def ok(self) -> bool:
        """Whether it ran to its end, and its books hold."""
        return not self.error

    def __getitem__(self, name: str) -> Figure:
        """A figure by name. Raises `VaultError` for one that it has not: a trial that failed has none."""
        if name not in self.figures:
            raise VaultError(f"no figure {name!r} of this trial: {self.error or 'it has ' + ', '.join(self.figures)}")
        return self.figures[name]


class Sweep(Sequence[Trial]):
    """The trials of a sweep, in the grid's order. Print it, show it in a notebook, take its rows, draw its heat map."""

    def __init__(self, trials: Sequence[Trial], of: str = "", over: str = "") -> None:
        self._trials = tuple(trials)
        self.of = of
        """The name of the function that made the desks."""
        self.over = over
        """The tapes, as they describe themselves."""

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | Sequence[Trial]:
        return self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def params(self) -> list[str]:
        """The names of all parameters, in the order in which they are first met."""
        return list(dict.fromkeys(name for trial in self._trials for name in trial.params))

    @property
    def figures(self) -> list[str]:
        """The names of all figures, in the order in which they are first met."""
        return list(dict.fromkeys(name for trial in self._trials for name in trial.figures))

    @property
    def failed(self) -> list[Trial]:
        """The trials that ended in an error."""
        return [trial for trial in self._trials if trial.error]

    def ranked(self, by: str | None = None, *, descending: bool = True) -> list[Trial]:
        """The trials in order of a figure, by default the first of them, the greatest first; those of which it is not known are left out.

        Equal ones stay in the grid's order. Raises `VaultError` for a figure that no trial has, or that cannot be put in order.
        """
        by = self._figure(by)
        known = [trial for trial in self._trials if _is_known(trial.figures.get(by))]
        try:
            return sorted(known, key=lambda trial: trial.figures[by], reverse=descending)  # type: ignore[arg-type,return-value]
        except TypeError as error:
            raise VaultError(f"the trials cannot be put in order of {by}: {error}") from error

    def best(self, by: str | None = None, *, descending: bool = True) -> Trial:
        """The first of `ranked`. Raises `VaultError` where there is none."""
        found = self.ranked(by, descending=descending)
        if not found:
            raise VaultError(f"no trial has a {by or 'figure'} that is known: {len(self.failed)} of {len(self)} failed")
        return found[0]

    def _figure(self, by: str | None) -> str:
        names = self.figures
        if not names:
            raise VaultError(f"no trial of this sweep has any figure: {len(self.failed)} of {len(self)} failed")
        if by is None:
            return names[0]
        if by not in names:
            raise VaultError(f"no figure {_safe(by)} in this sweep: there are {', '.join(names)}")
        return by

    # -- rows ----------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per trial, in the grid's order: parameters, figures, `error` and `digest`.

        Money is exact text, `asset` says of which; where figures are in several assets, each says its own. What a trial does not have
        is None. A figure that is called as a parameter is gets "figure " before its name.
        """
        params, figures = self.params, self._columns()
        several = len(self._assets()) > 1
        rows = []
        for trial in self._trials:
            row: dict[str, Any] = {name: trial.params.get(name) for name in params}
            for name, column in figures.items():
                value = trial.figures.get(name)
                row[column] = (str(value) if several else value.text) if isinstance(value, Amount) else value
            if len(self._assets()) == 1:
                row[self._free("asset")] = self._assets()[0]
            row[self._free("error")], row[self._free("digest")] = trial.error, trial.digest
            rows.append(row)
        return rows

    def _assets(self) -> list[str]:
        return list(
            dict.fromkeys(value.asset.code for trial in self._trials for value in trial.figures.values() if isinstance(value, Amount))
        )

    def _columns(self) -> dict[str, str]:
        params = set(self.params)
        return {name: f"figure {name}" if name in params else name for name in self.figures}

    def _free(self, name: str) -> str:
        """A column's name that no parameter or figure has."""
        taken = {*self.params, *self._columns().values()}
        while name in taken:
            name += "_"
        return name

    def to_frame(self, *, backend: str = "pandas", money: str = "text") -> Any:
        """The rows as a frame of pandas, polars or pyarrow, through narwhals (the extra `frames`), as `Report.to_frame` makes them.

        A parameter that is no number, truth or text is its text.
        """
        kinds, rows = self._frame()
        return export.frame(kinds, rows, backend=backend, money=money)

    def to_parquet(self, path: str | Path, *, backend: str = "polars", money: str = "text") -> None:
        """Write the frame as parquet: by polars, or by pyarrow."""
        kinds, rows = self._frame()
        export.frame_to_parquet(kinds, rows, path, backend=backend, money=money)

    def _frame(self) -> tuple[dict[str, str], list[dict[str, Any]]]:
        rows = self.rows()
        columns = self._columns()
        money = {
            columns[name] for name in self.figures if any(isinstance(trial.figures.get(name), (Amount, Decimal)) for trial in self._trials)
        }
        if len(self._assets()) > 1:
            money = set()
        kinds = {}
        for name in rows[0] if rows else ():
            values = [row[name] for row in rows if row[name] is not None]
            kinds[name] = "money" if name in money else _kind(values, gaps=len(values) < len(rows))
            if kinds[name] in ("text", "money"):
                for row in rows:
                    row[name] = None if row[name] is None else row[name] if isinstance(row[name], str) else str(row[name])
        return kinds, rows

    # -- for people ------------------------------------------------------------------------------------------------------

    def table(self, by: str | None = None, *, most: int = MOST, descending: bool = True) -> str:
        """The first `most` of `ranked` as text, and below them what failed and why."""
        head, body, notes = self._shown(by, most, descending)
        lines = []
        if body:
            widths = [max(len(row[n]) for row in [head, *body]) for n in range(len(head))]
            lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *body]]
            lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*lines, *[""] * bool(lines and notes), *notes])

    def _shown(self, by: str | None, most: int, descending: bool) -> tuple[list[str], list[list[str]], list[str]]:
        names = self.figures
        ranked = self.ranked(by, descending=descending) if names else []
        assets = self._assets()
        head = [*self.params, *(f"{name} ({assets[0]})" if len(assets) == 1 and self._is_money(name) else name for name in names)]
        body = []
        for trial in ranked[:most]:
            shown = [_cell(trial.figures.get(name), several=len(assets) > 1) for name in names]
            body.append([*(_safe(trial.params[name]) if name in trial.params else "" for name in self.params), *shown])
        return [_safe(name) for name in head], body, self._notes(by, len(ranked), most)

    def _is_money(self, name: str) -> bool:
        return any(isinstance(trial.figures.get(name), Amount) for trial in self._trials)

    def _notes(self, by: str | None, ranked: int, most: int) -> list[str]:
        failed = self.failed
        kept = sum(trial.kept for trial in self._trials)
        first = (
            f"{len(self)} trial{'s' * (len(self) != 1)}"
            + (f" of {_safe(self.of)}" if self.of else "")
            + (f" over {_safe(self.over, 120)}" if self.over else "")
        )
        told_ = [first + (f"; {kept} of them kept from before" if kept else "")]
        if ranked > most:
            told_.append(f"shown: the first {most} by {_safe(self._figure(by))}")
        unknown = len(self) - len(failed) - ranked
        if unknown and self.figures:
            told_.append(f"{unknown} without a known {_safe(self._figure(by))}")
        for error, times in Counter(trial.error for trial in failed).most_common(5):
            one = next(trial for trial in failed if trial.error == error)
            params = ", ".join(f"{name}={_safe(value)}" for name, value in one.params.items())
            told_.append(f"{times} failed: {_safe(error, 200)} (first with {params})")
        more = len({trial.error for trial in failed}) - 5
        return [*told_, *([f"and {more} other errors"] if more > 0 else [])]

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, body, notes = self._shown(None, MOST, True)
        return block("Sweep", *([table(head, body, words=1)] if body else []), notes=notes)

    # -- heat maps -------------------------------------------------------------------------------------------------------

    def cells(self, x: str, y: str, value: str | None = None, *, pick: Pick = "best") -> tuple[list[Any], list[Any], list[list[Figure]]]:
        """What a heat map shows: the values of `x`, those of `y`, and for each y a row of the figure by x.

        Where several trials meet in a cell it is the best of them, the worst, or the (lower) median: a figure that some trial has. None
        where there is none. Raises `VaultError` for names that are not there.
        """
        value = self._figure(value)
        if x == y or x not in self.params or y not in self.params:
            raise VaultError(f"a heat map needs two of the parameters {', '.join(self.params)}, not {_safe(x)} and {_safe(y)}")
        if pick not in ("best", "worst", "median"):
            raise VaultError(f"pick is best, worst or median, not {_safe(pick)}")
        across, down = _values(self._trials, x), _values(self._trials, y)
        found: dict[tuple[str, str], list[Any]] = {}
        for trial in self._trials:
            if x in trial.params and y in trial.params and _is_known(trial.figures.get(value)):
                found.setdefault((_token(trial.params[x]), _token(trial.params[y])), []).append(trial.figures[value])
        choose: Any = {"best": max, "worst": min, "median": median_low}[pick]
        try:
            grid = [[choose(here) if (here := found.get((_token(a), _token(b)))) else None for a in across] for b in down]
        except TypeError as error:
            raise VaultError(f"{value} cannot be put in order: {error}") from error
        return across, down, grid

    def heatmap(self, x: str, y: str, value: str | None = None, *, pick: Pick = "best") -> Any:
        """`cells` as a plotly figure, red below zero and blue above it. Raises `MissingExtra` without plotly."""
        across, down, grid = self.cells(x, y, value, pick=pick)
        value = self._figure(value)
        assets = self._assets()
        unit = assets[0] if len(assets) == 1 and self._is_money(value) else ""
        try:
            from .. import plots
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "plotly":
                raise
            raise MissingExtra("plotly", "plots", "drawing a heat map") from error
        numbers = [[None if one is None else _number(one) for one in row] for row in grid]
        words = [[_cell(one, several=True) if one is not None else "" for one in row] for row in grid]
        named = value if pick == "best" else f"{value}, {pick}"
        return plots.heatmap(
            [_safe(one) for one in across],
            [_safe(one) for one in down],
            numbers,
            words,
            x=x,
            y=y,
            value=named + (f", {unit}" if unit else ""),
        )

    def heat_text(self, x: str, y: str, value: str | None = None, *, pick: Pick = "best") -> str:
        """`cells` as text: each figure with a shade, the darker the greater."""
        across, down, grid = self.cells(x, y, value, pick=pick)
        numbers = [_number(one) for row in grid for one in row if one is not None]
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)

        def shade(one: Figure) -> str:
            if one is None:
                return " "
            place = 0.5 if high == low else (_number(one) - low) / (high - low)
            return SHADES[min(len(SHADES) - 1, int(place * len(SHADES)))]

        several = len(self._assets()) > 1
        rows = [[f"{y} \\ {x}", *(_safe(one, 16) for one in across)]]
        for b, row in zip(down, grid, strict=True):
            rows.append([_safe(b, 16), *(f"{_cell(one, several=several) if one is not None else ''} {shade(one)}" for one in row)])
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
        lines[0] = [
            rows[0][0].ljust(widths[0]),
            *(cell.rjust(width - 2) + "  " for cell, width in zip(rows[0][1:], widths[1:], strict=True)),
        ]
        return "\n".join("  ".join(line).rstrip() for line in lines)


def _is_known(value: Figure) -> bool:
    """Whether it can be put in order: something, and no NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    return not (isinstance(value, Decimal) and value.is_nan())


def _number(value: Figure) -> float:
    if isinstance(value, Amount):
        value = value.decimal
    if isinstance(value, (Decimal, int, float)):
        number = float(value)
        if math.isfinite(number):
            return number
    raise VaultError(f"{_safe(value)} is no number that a heat map can show")


def _kind(values: Sequence[Any], *, gaps: bool) -> str:
    """What is in a column, see `export.frame`: of whole numbers and truths none may be missing."""
    kinds = set(map(type, values))
    if kinds == {bool} and not gaps:
        return "bool"
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values) and not gaps:
        return "whole"
    exact = all(type(value) is float or -(2**53) <= value <= 2**53 for value in values) if kinds <= {int, float} else False
    return "float" if kinds and exact and (gaps or float in kinds) else "text"


def _token(value: Any) -> str:
    try:
        return told(value)
    except VaultError:
        return f"{type(value).__qualname__} {_safe(value, 10_000)}"


def _values(trials: Sequence[Trial], name: str) -> list[Any]:
    """The values of a parameter, each once: numbers in order, else as they are first met."""
    found = {_token(trial.params[name]): trial.params[name] for trial in trials if name in trial.params}
    values = list(found.values())
    if all(type(value) in (int, float, Decimal) and value == value for value in values):
        return sorted(values)
    return values


def _safe(value: object, widest: int = WIDEST) -> str:
    """A value as text of one line, without anything that a terminal would act on."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose text raises {type(error).__name__}>"
    if not text.isprintable() or not text.strip():
        text = repr(text)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def _cell(value: Figure, *, several: bool) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, Amount):
        shown = f"{value.decimal:z,.2f}"
        return f"{shown} {value.asset}" if several else shown
    if isinstance(value, (bool, str)):
        return _safe(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**30 else _safe(hex(value))
    return f"{value:,.4g}" if isinstance(value, float) else _safe(value)
