"""What a search has come to. Out of sample first: what was chosen, on data that it was not chosen on; then why to doubt it.

Printed, it has four parts, in this order: the test windows, one by one and in all, beside doing nothing and holding; the doubts;
the parameters of each fold, and how steady they were; and last what they had made in sample. Money is exact.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from attrs import field, frozen

from ..errors import MissingExtra
from ..market import SECOND
from ..markup import block, table
from ..money import Amount, Asset
from ..report import Report
from ..risk import compound, sharpe
from ..sim.models import Rules
from .doubts import Doubt, chance_of, of_tuned
from .luck import probable, shape_of
from .outcome import Outcome
from .space import Param, Range
from .splits import Split, Splits

__all__ = ["Fold", "Try", "Tuned"]


@frozen(order=False)
class Try:
    """One set of parameters on one train window: its value, or why it has none."""

    number: int
    params: Mapping[str, Any] = field(hash=False)
    value: float | None
    reason: str = ""
    pruned: bool = False
    """Given up before its end, because others were better by then."""
    sharpe: float | None = None
    """Of daily returns, of one day."""


@frozen(order=False, eq=False)
class Fold:
    """One split: what was tried on its train window, what was chosen, and what that made in the test window."""

    number: int
    split: Split
    tries: tuple[Try, ...]
    chosen: Try | None = None
    inside: Outcome | None = None
    outside: Outcome | None = None
    hold: Outcome | None = None
    """What holding made in the test window."""
    broken: str = ""
    """Why there is no `outside`, where something was chosen."""
    repeated: bool = True
    """Whether a second run of what was chosen gave the same value."""
    outside_value: float | None = None
    """The objective in the test window; None where it is not defined there."""
    report: Report | None = field(default=None, repr=False)
    """The run over the test window, its warm-up with it."""

    @property
    def distinct(self) -> int:
        """How many sets of parameters were tried, each counted once."""
        return len({tuple(sorted(one.params.items(), key=str)) for one in self.tries})

    @property
    def variance(self) -> float | None:
        """Of the daily Sharpe ratios of distinct tries; None of fewer than two."""
        found = {tuple(sorted(one.params.items(), key=str)): one.sharpe for one in self.tries if one.sharpe is not None}
        return statistics.variance(found.values()) if len(found) > 1 else None


@frozen(order=False, eq=False, repr=False)
class Tuned:
    """The result of `tune`. Print it, show it in a notebook, or take its rows."""

    folds: tuple[Fold, ...]
    splits: Splits
    space: Mapping[str, Param]
    objective: str
    asset: Asset
    rules: Rules
    seed: int
    least_trades: int
    about: tuple[str, ...] = ()
    """How it was made, in sentences."""
    has_book: bool = False
    learns: bool = False

    @cached_property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why not to believe it."""
        return tuple(of_tuned(self))

    @property
    def outside(self) -> tuple[Outcome, ...]:
        """What was made out of sample, window by window."""
        return tuple(fold.outside for fold in self.folds if fold.outside is not None)

    @property
    def inside(self) -> tuple[Outcome, ...]:
        """What the chosen parameters had made in sample."""
        return tuple(fold.inside for fold in self.folds if fold.inside is not None)

    @property
    def profit(self) -> Amount:
        """What was made out of sample in all windows together, after all fees, each on a fresh desk.

        A window that broke before its end, or in which nothing was run, is not in it.
        """
        return self.asset.units(sum(one.profit.units for one in self.outside))

    @property
    def latest(self) -> Mapping[str, Any] | None:
        """The parameters that were chosen last, on the latest train window; None where none were."""
        return next((dict(fold.chosen.params) for fold in reversed(self.folds) if fold.chosen is not None), None)

    @property
    def chance(self) -> float | None:
        """How probable it is that the Sharpe ratio out of sample truly lies above zero, all windows together; None: too little data.

        Nothing was chosen on those days, so that nothing is deflated.
        """
        shape = shape_of([gain for one in self.outside for gain in one.returns])
        return None if shape is None else probable(shape)

    # -- rows --------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per fold, out of sample first in it: money as exact text, ratios as floats, parameters by name. For pandas."""
        return [self._row(fold) for fold in self.folds]

    def _row(self, fold: Fold) -> dict[str, Any]:
        split, at = fold.split, self.splits.at
        row: dict[str, Any] = {"fold": fold.number, "asset": self.asset.code}
        for part, window, outcome in (("test", split.test, fold.outside), ("train", split.train, fold.inside)):
            row |= {
                f"{part}_since": at[window.start],
                f"{part}_rows": len(window),
                f"{part}_days": None if outcome is None else outcome.days,
                f"{part}_profit": None if outcome is None else outcome.profit.text,
                f"{part}_fees": None if outcome is None else outcome.fees.text,
                f"{part}_drawdown": None if outcome is None else outcome.drawdown.text,
                f"{part}_return": None if outcome is None else outcome.gain,
                f"{part}_sharpe": None if outcome is None else outcome.sharpe,
                f"{part}_fills": None if outcome is None else outcome.fills,
                f"{part}_trades": None if outcome is None else outcome.trades,
            }
        row |= {
            "test_value": fold.outside_value,
            "train_value": None if fold.chosen is None else fold.chosen.value,
            "hold_profit": None if fold.hold is None else fold.hold.profit.text,
            "purged": split.purged,
            "tries": len(fold.tries),
            "deflated_sharpe": chance_of(None if fold.inside is None else fold.inside.shape, fold.distinct, fold.variance),
        }
        return row | {name: None if fold.chosen is None else fold.chosen.params[name] for name in self.space}

    def tries(self) -> list[dict[str, Any]]:
        """One plain row per try of every fold, in the order in which they were made."""
        return [
            {"fold": fold.number, "try": one.number, "value": one.value, "reason": one.reason, "pruned": one.pruned, **one.params}
            for fold in self.folds
            for one in fold.tries
        ]

    # -- for people --------------------------------------------------------------------------------------------------

    def _coins(self, value: float | Decimal) -> str:
        """Two places of money, six of coins that are counted finer."""
        return f"{value:z,.{2 if self.asset.scale <= 6 else 6}f}"

    def _money(self, outcome: Outcome | None) -> str:
        return "n/a" if outcome is None else self._coins(outcome.profit.decimal)

    def _outside_table(self) -> list[list[str]]:
        rows = [["window", "days", "profit", "a day", "return", "Sharpe", "trades", "held instead", "in sample, a day"]]
        for fold in self.folds:
            since = _day(self.splits.at[fold.split.test.start])
            inside = "n/a" if fold.inside is None else self._coins(fold.inside.per_day)
            if fold.outside is None:
                rows.append([since, "", "broken" if fold.broken else "nothing chosen", "", "", "", "", self._money(fold.hold), inside])
                continue
            out = fold.outside
            figures = [f"{out.days:.4g}", self._money(out), self._coins(out.per_day), _ratio(out.gain, "{:.1%}"), _ratio(out.sharpe)]
            rows.append([since, *figures, str(out.trades), self._money(fold.hold), inside])
        came = [fold for fold in self.folds if fold.outside is not None]
        made, chosen = self.outside, [fold.inside for fold in came if fold.inside is not None]
        days, returns = sum(one.days for one in made), [gain for one in made for gain in one.returns]
        held = self.asset.units(sum(fold.hold.profit.units for fold in came if fold.hold is not None))
        gain = compound(returns) if returns else None
        figures = [
            f"{days:.4g}",
            self._coins(self.profit.decimal),
            self._coins(_per_day(made)),
            _ratio(gain, "{:.1%}"),
            _ratio(sharpe(returns)),
        ]
        trades = str(sum(one.trades for one in made))
        label = "in all" if len(came) == len(self.folds) else f"{len(came)} of {len(self.folds)} in all"
        rows.append([label, *figures, trades, self._coins(held.decimal), self._coins(_per_day(chosen))])
        rows.append(["nothing done", "", self._coins(0.0), self._coins(0.0), "0.0%", "n/a", "0", "", ""])
        return rows

    def _param_table(self) -> list[list[str]]:
        head = ["parameter", *(str(fold.number) for fold in self.folds), "searched", "how steady"]
        rows = [head]
        for name, param in self.space.items():
            values = [fold.chosen.params[name] for fold in self.folds if fold.chosen is not None]
            cells = ["none" if fold.chosen is None else _value(fold.chosen.params[name]) for fold in self.folds]
            rows.append([name, *cells, str(param), steadiness(param, values)])
        return rows

    def _inside_table(self) -> list[list[str]]:
        rows = [["fold", "train window", "days", "sought", "profit", "a day", "return", "Sharpe", "trades", "tries", "more than luck"]]
        for fold in self.folds:
            since = _day(self.splits.at[fold.split.train.start])
            one, tries = fold.inside, str(len(fold.tries))
            if one is None or fold.chosen is None:
                rows.append([str(fold.number), since, "", "none", "", "", "", "", "", tries, ""])
                continue
            sure = chance_of(one.shape, fold.distinct, fold.variance)
            figures = [
                f"{one.days:.4g}",
                _ratio(fold.chosen.value, "{:,.4g}"),
                self._money(one),
                self._coins(one.per_day),
                _ratio(one.gain, "{:.1%}"),
            ]
            rows.append([str(fold.number), since, *figures, _ratio(one.sharpe), str(one.trades), tries, _ratio(sure, "{:.0%}")])
        return rows

    def _heading(self) -> str:
        rows = self.splits.uses()["tested"]
        windows = f"{len(self.folds)} test window{'s' * (len(self.folds) != 1)}, {rows:,} rows"
        return f"Out of sample: {windows}, each on a fresh desk with what was chosen before it. {self.asset}, after fees"

    def _verdict(self) -> str:
        """How probable it is that this was more than chance; first of all, what of it is missing."""
        broken = sum(bool(fold.broken) for fold in self.folds)
        if broken:
            what = f"{broken} test window{'s' * (broken > 1)} broke before the end: what was lost in there is in none of these figures"
            return f"{what}; {self._probably()}"
        return self._probably()

    def _probably(self) -> str:
        if self.chance is None:
            return "too few days to say how probable it is that this was more than chance"
        return f"a true Sharpe ratio above zero out of sample: probable by {self.chance:.0%}, before all doubts"

    def _doubt_lines(self) -> list[str]:
        """One line for each code: its first doubt, and how many there are like it."""
        found: dict[str, list[Doubt]] = {}
        for one in self.doubts:
            found.setdefault(one.code, []).append(one)
        lines = [f"- {of[0]}" + (f"; and {len(of) - 1} more like it" if len(of) > 1 else "") for of in found.values()]
        return lines or ["- none was found, which proves nothing"]

    def __str__(self) -> str:
        return "\n".join(
            [
                self._heading(),
                _text(self._outside_table()),
                self._verdict(),
                "",
                f"Doubts: {len(self.doubts)}",
                *self._doubt_lines(),
                "",
                "Parameters, fold by fold",
                _text(self._param_table(), right=False),
                "",
                "In sample, where they were chosen: not to be expected again",
                _text(self._inside_table()),
                "",
                *self.about,
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def drawn(rows: Sequence[Sequence[str]], words: int = 1) -> str:
            return table(rows[0], rows[1:], words=words)

        outside = block(self._heading(), drawn(self._outside_table()), notes=[self._verdict()])
        doubts = block(f"Doubts: {len(self.doubts)}", notes=self._doubt_lines())
        params = block("Parameters, fold by fold", drawn(self._param_table()))
        inside = block("In sample, where they were chosen: not to be expected again", drawn(self._inside_table(), 2), notes=self.about)
        return f"<div>{outside}{doubts}{params}{inside}</div>"

    def plot(self) -> Any:
        """A plotly figure: what a day of each test window made, beside what holding made and what was made in sample.

        Raises `MissingExtra` without plotly.
        """
        try:
            from ..plots.windows import windows
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "plotly":
                raise
            raise MissingExtra("plotly", "plots", "drawing what was tuned") from error
        parts = {
            "out of sample": [fold.outside for fold in self.folds],
            "held instead": [fold.hold for fold in self.folds],
            "in sample": [fold.inside for fold in self.folds],
        }
        bars = {name: [None if one is None else one.per_day for one in of] for name, of in parts.items()}
        at = [self.splits.at[fold.split.test.start] for fold in self.folds]
        return windows("Made in each test window, a day", self.asset.code, at, bars)


def steadiness(param: Param, values: Sequence[Any]) -> str:
    """How far apart the chosen values of a parameter lie, in words."""
    if len(values) < 2:
        return "chosen once" if values else "never chosen"
    if isinstance(param, Range):
        places = [param.place(value) for value in values]
        return f"within {max(places) - min(places):.0%} of the range"
    counts = [values.count(value) for value in values]
    return f"{max(counts)} of {len(values)} the same"


def _per_day(outcomes: Sequence[Outcome]) -> float:
    days = math.fsum(one.days for one in outcomes)
    return math.fsum(float(one.profit.decimal) for one in outcomes) / days if days else 0.0


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ratio(value: float | None, form: str = "{:.2f}") -> str:
    return "n/a" if value is None else form.format(value)


def _day(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M")


def _text(rows: Sequence[Sequence[str]], *, right: bool = True) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if not n or not right else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
