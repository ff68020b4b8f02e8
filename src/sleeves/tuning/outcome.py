"""What one run has made in its window, read off its report: money exact, ratios as floats. It judges nothing.

Only what happened in the window counts: `since` is when it begins, and what the books say of the time before, of a warm-up, is
taken off. Several sleeves count as one, at their marks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TypeAlias

from attrs import frozen

from ..errors import InvalidAmount, VaultError
from ..market import DAY
from ..money import Amount
from ..orders import Fill, OrderStatus
from ..records import LEFT_OVER, OrderUpdate, Refusal
from ..report import Report, Sample
from ..risk import compound, sharpe
from ..tearsheet import days, periods, together
from .luck import Shape, shape_of

__all__ = ["OBJECTIVES", "Objective", "Outcome", "check_objective", "outcome_of", "score"]


@frozen(order=False)
class Outcome:
    """One run over one window. Money is exact, in the asset that the desk's sleeves count in, and after all fees.

    What is still held at the end is worth the last price, and is not sold.
    """

    since: int
    until: int
    rows: int
    capital: Amount
    """What the sleeves had when the window began."""
    profit: Amount
    fees: Amount
    drawdown: Amount
    """The deepest fall of the profit from its high before, at marks."""
    fills: int
    trades: int
    """Round trips that were closed in the window."""
    best_trade: Amount | None
    """What the best round trip made after its fees; None without one."""
    refused: int
    """Wishes that a gate refused, repetitions counted."""
    lost: int
    """Orders that the venue rejected, or canceled unasked."""
    returns: tuple[float, ...]
    """By UTC day, flows apart, from the window's begin on; a day without a mark is in the next one's."""

    @property
    def days(self) -> float:
        return (self.until - self.since) / DAY

    @property
    def gain(self) -> float | None:
        """The return, flows apart; None without a day."""
        return compound(self.returns) if self.returns else None

    @property
    def sharpe(self) -> float | None:
        """Of daily returns, a year; None where they are too few or do not vary."""
        return sharpe(self.returns)

    @property
    def shape(self) -> Shape | None:
        """The moments of the daily returns, of one day."""
        return shape_of(self.returns)

    @property
    def per_day(self) -> float:
        """Profit a day, in coins."""
        return float(self.profit.decimal) / self.days if self.days > 0 else 0.0


def outcome_of(report: Report, since: int, rows: int, known: int = 0) -> Outcome:
    """What a report says of the window from an instant on, where the journal had so many records.

    Raises `VaultError` where sleeves count in several assets, there is none, or the last price of what is held is not known.
    """
    sleeves = report.story.sleeves
    assets = {sleeve.fold.asset for sleeve in sleeves.values()}
    if len(assets) != 1:
        found = ", ".join(sorted(asset.code for asset in assets)) or "no asset at all"
        raise VaultError(f"a desk is tuned on profit in one asset, and its sleeves count in {found}")
    asset = assets.pop()
    samples = _together(report)
    if not samples or samples[-1].equity is None:
        raise VaultError("what the desk holds has no price at the end of the window: its profit is not known")
    before = next((one for one in reversed(samples) if one.at <= since and one.equity is not None), samples[0])
    path = [_made(one) for one in (before, *(one for one in samples if one.at > since)) if one.equity is not None]
    nets = [trade.net for sleeve in sleeves.values() for trade in sleeve.trades if trade.closed > since]
    daily, first = days(periods(samples, since)), since // DAY
    fills = refused = lost = 0
    for record in report.desk.books.journal.after(known):
        if isinstance(record, Fill):
            fills += 1
        elif isinstance(record, Refusal):
            refused += record.times
        elif isinstance(record, OrderUpdate):
            lost += record.status in (OrderStatus.CANCELED, OrderStatus.REJECTED) and record.reason not in _OWN_REASONS
    return Outcome(
        since,
        max(report.story.until, since),
        rows,
        capital=asset.units(before.equity or 0),
        profit=asset.units(path[-1] - path[0]),
        fees=asset.units(samples[-1].fees - before.fees),
        drawdown=asset.units(_deepest(path)),
        fills=fills,
        trades=len(nets),
        best_trade=max(nets, key=lambda net: net.units) if nets else None,
        refused=refused,
        lost=lost,
        returns=tuple(gain for day, gain in daily.items() if day >= first),
    )


_OWN_REASONS = frozenset({"requested", LEFT_OVER})
"""Why orders are off that nobody lost."""


def _together(report: Report) -> list[Sample]:
    """The samples of all sleeves as one, those from before there was any money left out."""
    of = [sleeve.samples for sleeve in report.story.sleeves.values()]
    marks = [sample.at for sample in next(iter(report.story.vaults.values())).samples]
    if len(of) == 1:
        return of[0][next((n for n, one in enumerate(of[0]) if one.equity), 0) :]
    opened = max(next((one.at for one in samples if one.equity), 0) for samples in of)
    return together(of, sorted({opened, *marks}), Sample)


def _made(sample: Sample) -> int:
    """What trading has made by a sample, in units: equity less what was paid in net."""
    return (sample.equity or 0) - sample.paid_in + sample.taken_out


def _deepest(path: Sequence[int]) -> int:
    high, deepest = path[0], 0
    for made in path:
        high = max(high, made)
        deepest = max(deepest, high - made)
    return deepest


# -- what is searched for ------------------------------------------------------------------------------------------------


def _profit(outcome: Outcome) -> float | None:
    return float(outcome.profit.decimal)


def _over_drawdown(outcome: Outcome) -> float | None:
    return outcome.profit.units / outcome.drawdown.units if outcome.drawdown.units else None


OBJECTIVES: Mapping[str, Callable[[Outcome], float | None]] = {
    "profit": _profit,
    "return": lambda outcome: outcome.gain,
    "sharpe": lambda outcome: outcome.sharpe,
    "profit over drawdown": _over_drawdown,
}
"""What can be searched for by name: the net profit in coins after all fees, the return, the Sharpe ratio of daily returns, and the
profit over its deepest fall. None where it is not defined."""

Objective: TypeAlias = str | Callable[[Report], float | None]
"""One of `OBJECTIVES`, or a function of the report; the higher the better. None says that there is nothing to judge.

The report is of the whole run, the rows of its warm-up with it, on which nothing is held: its profit is the window's, its ratios are
not. Those of `OBJECTIVES` are of the window alone."""


def check_objective(objective: object) -> Objective:
    """Raise `VaultError` for what is none."""
    if isinstance(objective, str) and objective in OBJECTIVES:
        return objective
    if not isinstance(objective, str) and callable(objective):
        return objective
    raise VaultError(f"objective {objective!r} is none of {', '.join(OBJECTIVES)}, nor a function of a Report")


def score(objective: Objective, outcome: Outcome, report: Report) -> tuple[float | None, str]:
    """The value of a run, or None and why there is none: nothing was traded, or the objective is not defined there.

    Raises `InvalidAmount` where a function answers with what is no real number.
    """
    if not outcome.fills:
        return None, "no fills"
    value = OBJECTIVES[objective](outcome) if isinstance(objective, str) else objective(report)
    if value is None:
        return None, "objective not defined"
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise InvalidAmount(f"an objective answers with a number or None, not with {value!r}, a {type(value).__name__}")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    return (number, "") if math.isfinite(number) else (None, f"objective {value!r} is not finite")
