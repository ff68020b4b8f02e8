"""Risk and performance figures as pure functions of numbers in order.

Opinions, not money: floats in, floats out, None where there is not enough data. A year has 365 days here, because
these markets never close.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

__all__ = ["DAYS_A_YEAR", "drawdown", "realized_volatility", "returns", "sharpe", "sortino"]

DAYS_A_YEAR = 365


def returns(values: Sequence[float], paid_in: Sequence[float], taken_out: Sequence[float]) -> list[float]:
    """The return of each period from equity at its ends, with what was paid in and taken out during it.

    Time-weighted: what was paid in counts from the period's start and what was taken out to its end, so that neither
    is ever taken for profit. All three have one length; entry `i` of the flows lies between `values[i - 1]` and
    `values[i]`. A period that starts with nothing returns 0.
    """
    out = []
    for i in range(1, len(values)):
        base = values[i - 1] + paid_in[i]
        out.append((values[i] + taken_out[i]) / base - 1 if base > 0 else 0.0)
    return out


def _mean_and_deviation(sample: Sequence[float]) -> tuple[float, float] | None:
    if len(sample) < 2:
        return None
    mean = math.fsum(sample) / len(sample)
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in sample) / (len(sample) - 1))


def sharpe(daily: Sequence[float]) -> float | None:
    """Mean over standard deviation of daily returns, times the root of 365, no risk-free rate. None below two days."""
    found = _mean_and_deviation(daily)
    if found is None or found[1] <= 1e-12 * max(1.0, abs(found[0])):
        return None
    return found[0] / found[1] * math.sqrt(DAYS_A_YEAR)


def sortino(daily: Sequence[float]) -> float | None:
    """Like `sharpe`, but over the root mean square of the losing days alone, taken over all days."""
    if len(daily) < 2:
        return None
    downside = math.sqrt(math.fsum(min(0.0, x) ** 2 for x in daily) / len(daily))
    return None if downside == 0 else math.fsum(daily) / len(daily) / downside * math.sqrt(DAYS_A_YEAR)


def drawdown(values: Sequence[float]) -> float:
    """The deepest fall from a previous high, as a fraction of that high: 0 for none, 1 for all. Needs positive highs."""
    high, worst = 0.0, 0.0
    for value in values:
        high = max(high, value)
        if high > 0:
            worst = max(worst, (high - value) / high)
    return worst


def realized_volatility(prices: Sequence[float], seconds: float) -> float | None:
    """Yearly volatility from prices that are `seconds` apart: standard deviation of log returns, scaled by root time."""
    if len(prices) < 3 or seconds <= 0 or min(prices) <= 0:
        return None
    found = _mean_and_deviation([math.log(b / a) for a, b in itertools.pairwise(prices)])
    return None if found is None else found[1] * math.sqrt(DAYS_A_YEAR * 86_400 / seconds)
