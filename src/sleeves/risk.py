"""Risk and performance figures as pure functions of numbers in order.

Opinions, not money: floats in, floats out. A year has 365 days here, because these markets never close.

    loss        value_at_risk, expected_shortfall, drawdowns; how good they were: backtest, kupiec
    movement    volatility, covariance, correlation, beta, contributions, concentration
    size        kelly, kelly_of_returns, to_volatility, risk_parity, into_bands
    order       by_risk, and how near a limit is: tier

A loss has the sign of a return: a value at risk of -0.03 is 3% lost. Only `drawdown`, which reports print, is a size. A
day that is not known is None among the daily returns, and is never taken for 0. Everywhere: what is no finite number, and
lists that do not fit together, raise `InvalidAmount`; where there is not enough data the answer is None.

This module knows nothing of sleeves, journals or prices: `riskview` takes the figures from the books.
"""

from __future__ import annotations

import bisect
import fractions
import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from numbers import Real
from typing import TypeVar

from attrs import frozen

from .errors import InvalidAmount
from .money import PPM, Fraction, parse_units, ppm

__all__ = [
    "DAYS_A_YEAR",
    "Drawdown",
    "Kupiec",
    "Method",
    "Tier",
    "ValueAtRisk",
    "backtest",
    "beta",
    "by_risk",
    "compound",
    "concentration",
    "contributions",
    "correlation",
    "correlations",
    "covariance",
    "drawdown",
    "drawdowns",
    "expected_shortfall",
    "into_bands",
    "kelly",
    "kelly_of_returns",
    "kupiec",
    "left_of",
    "limit_of",
    "profit_factor",
    "realized_volatility",
    "returns",
    "returns_needed",
    "risk_parity",
    "sharpe",
    "sortino",
    "tier",
    "to_volatility",
    "value_at_risk",
    "volatility",
    "volatility_of",
    "win_rate",
]

DAYS_A_YEAR = 365
LIMIT_SCALE = 9
"""Decimal places in which a limit is exact."""

K = TypeVar("K", bound=Hashable)
Matrix = Sequence[Sequence[float]]


# -- what goes in ------------------------------------------------------------------------------------------------------


def _number(value: object, what: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidAmount(f"{what} {value!r} is a {type(value).__name__}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidAmount(f"{what} {value!r} is not a finite number")
    return number


def _listed(values: object, what: str) -> list[object]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping)):
        raise InvalidAmount(f"{what} must be a list of numbers, not {values!r}")
    return list(values)


def _numbers(values: object, what: str) -> list[float]:
    return [_number(value, what) for value in _listed(values, what)]


def _known(values: object, what: str) -> list[float | None]:
    return [None if value is None else _number(value, what) for value in _listed(values, what)]


def _same_length(what: str, *lists: Sequence[object]) -> None:
    if len({len(one) for one in lists}) > 1:
        raise InvalidAmount(f"{what} must be of one length, not {' and '.join(str(len(one)) for one in lists)}")


def _least(least: object, lowest: int) -> int:
    if type(least) is not int or least < lowest:
        raise InvalidAmount(f"least {least!r} must be a whole number, at least {lowest}")
    return least


def _confidence(confidence: Fraction) -> int:
    level = ppm(confidence, "confidence")
    if not PPM // 2 <= level < PPM:
        raise InvalidAmount(f"confidence {confidence} must be at least 50% and below 100%")
    return level


# -- returns and ratios ------------------------------------------------------------------------------------------------


def returns(values: Sequence[float], paid_in: Sequence[float], taken_out: Sequence[float]) -> list[float]:
    """The return of each period from equity at its ends, with what was paid in and taken out during it.

    Time-weighted: what was paid in counts from the period's start and what was taken out to its end, so that neither
    is ever taken for profit. All three have one length; entry `i` of the flows lies between `values[i - 1]` and
    `values[i]`. A period that starts with nothing returns 0.
    """
    _same_length("values and flows", values, paid_in, taken_out)
    out = []
    for i in range(1, len(values)):
        base = values[i - 1] + paid_in[i]
        out.append((values[i] + taken_out[i]) / base - 1 if base > 0 else 0.0)
    return out


def compound(daily: Sequence[float]) -> float:
    """What returns one after the other come to: the product of what each makes of one coin, less one. 0 of none.

    Who has lost all, or more, has nothing that could grow again: the loss is whole from there on, whatever follows.
    """
    return math.prod(left_of(one) for one in _numbers(daily, "return")) - 1


def left_of(gain: float) -> float:
    """What a return leaves of one coin: nothing where all was lost, or more than all."""
    return max(0.0, 1 + gain)


def _mean_and_deviation(sample: Sequence[float]) -> tuple[float, float] | None:
    if len(sample) < 2:
        return None
    mean = math.fsum(sample) / len(sample)
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in sample) / (len(sample) - 1))


def _varies(mean: float, deviation: float) -> bool:
    """Whether a deviation is more than what rounding leaves of equal numbers."""
    return deviation > 1e-12 * max(1.0, abs(mean))


def sharpe(daily: Sequence[float]) -> float | None:
    """Mean over standard deviation of daily returns, times the root of 365, no risk-free rate. None below two days."""
    found = _mean_and_deviation(_numbers(daily, "return"))
    if found is None or not _varies(*found):
        return None
    return found[0] / found[1] * math.sqrt(DAYS_A_YEAR)


def sortino(daily: Sequence[float]) -> float | None:
    """Like `sharpe`, but over the root mean square of the losing days alone, taken over all days."""
    daily = _numbers(daily, "return")
    if len(daily) < 2:
        return None
    downside = math.sqrt(math.fsum(min(0.0, x) ** 2 for x in daily) / len(daily))
    return None if downside == 0 else math.fsum(daily) / len(daily) / downside * math.sqrt(DAYS_A_YEAR)


def win_rate(nets: Sequence[float]) -> float | None:
    """The part of trades that made something after all their costs. None without a trade."""
    nets = _numbers(nets, "net profit")
    return sum(net > 0 for net in nets) / len(nets) if nets else None


def profit_factor(nets: Sequence[float]) -> float | None:
    """What winning trades made over what losing trades lost. None without a losing one."""
    nets = _numbers(nets, "net profit")
    lost = math.fsum(-net for net in nets if net < 0)
    return math.fsum(net for net in nets if net > 0) / lost if lost else None


# -- loss --------------------------------------------------------------------------------------------------------------


class Method(StrEnum):
    """How a value at risk over several days was found."""

    OVERLAPPING = "overlapping"
    """From returns over as many days as are asked for, one beginning on each day."""
    ROOT_OF_TIME = "root of time"
    """From returns of one day, because there were too few of the others: a guess that days do not hang together."""


@frozen(order=False)
class ValueAtRisk:
    """What was lost, or more, in the worst so many percent of the time. Losses are below zero; 0 means none was.

    `shortfall` is what was lost on average in those times. `windows` is how many returns were looked at, and
    `independent` how many of them do not overlap, which is what they are worth as evidence.
    """

    loss: float
    shortfall: float
    days: int
    confidence_ppm: int
    windows: int
    independent: int
    method: Method


def returns_needed(confidence: Fraction = "95%") -> int:
    """How many returns it takes to say anything at a confidence: as many as leave one beyond it. 20 at 95%, 100 at 99%."""
    return -(-PPM // (PPM - _confidence(confidence)))


def value_at_risk(daily: Sequence[float | None], days: int = 1, confidence: Fraction = "95%") -> ValueAtRisk | None:
    """Historical value at risk over so many days, as a return, from daily returns of which None are not known.

    The loss is the smallest that was exceeded in at most 1 - confidence of all windows: of n returns in order the one
    behind the first floor(n(1 - confidence)), or 0 where that is a gain (McNeil, Frey and Embrechts, Quantitative Risk
    Management, definition 2.8, on the empirical distribution). The shortfall is that of Acerbi and Tasche (2002).

    Over several days they are taken of real returns over that many days, all that overlap, if there are
    `returns_needed` of them. If not, they are scaled from one day by the root of time, in logarithms so that nobody
    loses more than all, and `method` says so. None when there are fewer than `returns_needed` known days.
    """
    if type(days) is not int or days < 1:
        raise InvalidAmount(f"days {days!r} must be a whole number, at least 1")
    level, need = _confidence(confidence), returns_needed(confidence)
    known = _known(daily, "return")
    single = [one for one in known if one is not None]
    windows = single if days == 1 else _windows(known, days)
    if len(windows) >= need:
        loss, shortfall = _tail(windows, level)
        return ValueAtRisk(
            loss, shortfall, days, level, len(windows), len(windows) if days == 1 else _apart(known, days), Method.OVERLAPPING
        )
    if len(single) < need:
        return None
    loss, shortfall = (_stretch(one, days) for one in _tail(single, level))
    return ValueAtRisk(loss, shortfall, days, level, len(single), len(single), Method.ROOT_OF_TIME)


def expected_shortfall(daily: Sequence[float | None], days: int = 1, confidence: Fraction = "95%") -> float | None:
    """The mean of the worst 1 - confidence of returns, at most 0, never above the value at risk; None like `value_at_risk`."""
    found = value_at_risk(daily, days, confidence)
    return None if found is None else found.shortfall


def _runs(known: Sequence[float | None]) -> list[list[float]]:
    """The stretches of days that are known, one after the other."""
    runs: list[list[float]] = [[]]
    for one in known:
        if one is not None:
            runs[-1].append(one)
        elif runs[-1]:
            runs.append([])
    return runs


def _windows(known: Sequence[float | None], days: int) -> list[float]:
    return [math.prod(1 + one for one in run[i : i + days]) - 1 for run in _runs(known) for i in range(len(run) - days + 1)]


def _apart(known: Sequence[float | None], days: int) -> int:
    return sum(len(run) // days for run in _runs(known))


def _tail(sample: Sequence[float], level: int) -> tuple[float, float]:
    """(value at risk, expected shortfall). Where the tail ends is counted in whole numbers: 5% of 100 returns are five."""
    ordered = sorted(sample)
    beyond = len(ordered) * (PPM - level)
    whole, rest = divmod(beyond, PPM)
    part = math.fsum([*ordered[:whole], ordered[whole] * (rest / PPM)]) / (beyond / PPM)
    loss = min(0.0, ordered[whole])
    return loss, min(loss, max(ordered[0], part))  # rounding must not make a mean worse than the worst


def _stretch(one: float, days: int) -> float:
    return one if one <= -1 else math.expm1(math.log1p(one) * math.sqrt(days))


@frozen(order=False)
class Kupiec:
    """How a value at risk has held. `statistic` is 0 where it was broken as often as it says, and grows from there either way."""

    breaches: int
    days: int
    expected: float
    statistic: float
    p_value: float
    """How likely it is to be at least as far off by chance, if it is right."""
    rejected: bool
    """Whether that is below 5%."""


def kupiec(breaches: int, days: int, confidence: Fraction = "95%") -> Kupiec | None:
    """Kupiec's test of the proportion of failures: was the value at risk broken as often as it says?

    statistic = 2 (ln L(x / n) - ln L(p)) with L(q) = q^x (1 - q)^(n - x), x breaches in n days, p = 1 - confidence; never
    below zero, and chi-squared with one degree of freedom (Kupiec 1995). None without a day.
    """
    if type(breaches) is not int or type(days) is not int or not 0 <= breaches <= days:
        raise InvalidAmount(f"{breaches!r} breaches in {days!r} days: need whole numbers, and no more breaches than days")
    rate = (PPM - _confidence(confidence)) / PPM
    if not days:
        return None

    def likelihood(q: float) -> float:
        hit = breaches * math.log(q) if breaches else 0.0
        return hit + ((days - breaches) * math.log1p(-q) if breaches < days else 0.0)

    statistic = max(0.0, 2 * (likelihood(breaches / days) - likelihood(rate)))
    p_value = math.erfc(math.sqrt(statistic / 2))
    return Kupiec(breaches, days, rate * days, statistic, p_value, p_value < 0.05)


def backtest(daily: Sequence[float], confidence: Fraction = "95%", window: int | None = None) -> Kupiec | None:
    """Try the value at risk of one day on its own past: each day against that of the `window` days before it.

    The window is `returns_needed` by default, and cannot be shorter. None when no day is left behind the first window.
    """
    level, need = _confidence(confidence), returns_needed(confidence)
    window = need if window is None else window
    if type(window) is not int or window < need:
        raise InvalidAmount(f"window {window!r} must be a whole number of days, at least {need} at this confidence")
    sample = _numbers(daily, "return")
    if len(sample) <= window:
        return None
    ordered, breaches = sorted(sample[:window]), 0
    at = window * (PPM - level) // PPM
    for old, new in zip(sample, sample[window:], strict=False):
        breaches += new < min(0.0, ordered[at])
        del ordered[bisect.bisect_left(ordered, old)]
        bisect.insort(ordered, new)
    return kupiec(breaches, len(sample) - window, confidence)


def drawdown(values: Sequence[float]) -> float:
    """The deepest fall from a previous high, as a fraction of that high: 0 for none, 1 for all. Needs positive highs."""
    high, worst = 0.0, 0.0
    for value in _numbers(values, "value"):
        high = max(high, value)
        if high > 0:
            worst = max(worst, (high - value) / high)
    return worst


@frozen(order=False)
class Drawdown:
    """Falls from previous highs, below zero, and how long they took, in the unit of the times that were given.

    `high_at`, `low_at` and `recovered_at` are of the deepest fall; None while it has not recovered.
    """

    deepest: float
    current: float
    high_at: int
    low_at: int
    recovered_at: int | None
    duration: int
    """How long the deepest fall took, from its high until it was made up for, or until the end."""
    longest: int
    """The longest time below a previous high, whichever fall that was."""

    @property
    def to_recovery(self) -> int | None:
        """How long it took from the low until the fall was made up for; None while it has not been."""
        return None if self.recovered_at is None else self.recovered_at - self.low_at


def drawdowns(values: Sequence[float], at: Sequence[int] | None = None) -> Drawdown | None:
    """The falls of a curve and how long they lasted. `at` are its times, whole and in order; without it, values are counted.

    A fall is measured as a fraction of the high before it, which has to be above zero. Of equal falls the first counts.
    None of no values.
    """
    values = _numbers(values, "value")
    times = list(range(len(values))) if at is None else list(at)
    _same_length("values and times", values, times)
    if any(type(one) is not int for one in times) or any(b < a for a, b in itertools.pairwise(times)):
        raise InvalidAmount("times must be whole numbers in order")
    if not values:
        return None
    high, high_at, below = values[0], times[0], False
    deepest, high_then, low_at, recovered, here = 0.0, times[0], times[0], times[0], False
    longest, standing = 0, False
    for value, now in zip(values, times, strict=True):
        if value >= high:
            if below:
                longest = max(longest, now - high_at)
            if here:
                recovered, standing = now, False
            high, high_at, below, here = value, now, False, False
        else:
            below = True
            if high > 0 and (value - high) / high < deepest:
                deepest, high_then, low_at, here, standing = (value - high) / high, high_at, now, True, True
    current = (values[-1] - high) / high if below and high > 0 else 0.0
    longest = max(longest, times[-1] - high_at if below else 0)
    ended = times[-1] if standing else recovered
    return Drawdown(deepest, current, high_then, low_at, None if standing else recovered, ended - high_then, longest)


# -- movement ----------------------------------------------------------------------------------------------------------


def volatility(daily: Sequence[float | None]) -> float | None:
    """Standard deviation of the known daily returns times the root of 365. None below two of them."""
    found = _mean_and_deviation([one for one in _known(daily, "return") if one is not None])
    return None if found is None else found[1] * math.sqrt(DAYS_A_YEAR)


def realized_volatility(prices: Sequence[float], seconds: float) -> float | None:
    """Yearly volatility from prices that are `seconds` apart: standard deviation of log returns, scaled by root time."""
    if len(prices) < 3 or seconds <= 0 or min(prices) <= 0:
        return None
    found = _mean_and_deviation([math.log(b / a) for a, b in itertools.pairwise(prices)])
    return None if found is None else found[1] * math.sqrt(DAYS_A_YEAR * 86_400 / seconds)


def covariance(columns: Sequence[Sequence[float | None]], least: int = 2) -> list[list[float]] | None:
    """The sample covariance of columns of returns over the days on which all are known; None with fewer than `least`."""
    known = [_known(column, "return") for column in _listed(columns, "columns")]
    _same_length("columns", *known)
    rows = [row for row in zip(*known, strict=True) if None not in row]
    if len(rows) < _least(least, 2):
        return None
    parted = []
    for column in zip(*rows, strict=True):
        mean = math.fsum(one for one in column if one is not None) / len(rows)
        parted.append([one - mean for one in column if one is not None])
    return [[math.fsum(map(float.__mul__, a, b)) / (len(rows) - 1) for b in parted] for a in parted]


def _pairs(a: Sequence[float | None], b: Sequence[float | None]) -> tuple[list[float], list[float]]:
    _same_length("returns that are compared", a, b)
    both = [(x, y) for x, y in zip(_known(a, "return"), _known(b, "return"), strict=True) if x is not None and y is not None]
    return [x for x, _ in both], [y for _, y in both]


def correlation(a: Sequence[float | None], b: Sequence[float | None], least: int = 3) -> float | None:
    """Pearson's correlation over the days on which both are known, from -1 to 1.

    None with fewer than `least` of them (two points always lie on a line), or when one of both does not vary.
    """
    xs, ys = _pairs(a, b)
    if len(xs) < _least(least, 3):
        return None
    x, y = _mean_and_deviation(xs), _mean_and_deviation(ys)
    if x is None or y is None or not _varies(*x) or not _varies(*y):
        return None
    covered = math.fsum((p - x[0]) * (q - y[0]) for p, q in zip(xs, ys, strict=True)) / (len(xs) - 1)
    return max(-1.0, min(1.0, covered / x[1] / y[1]))


def correlations(columns: Mapping[str, Sequence[float | None]], least: int = 3) -> dict[str, dict[str, float | None]]:
    """The correlation of each with each, by name: symmetric, 1 with itself, None where `correlation` has no answer."""
    found: dict[str, dict[str, float | None]] = {name: {} for name in columns}
    for name in columns:
        found[name][name] = 1.0
    for one, other in itertools.combinations(columns, 2):
        found[one][other] = found[other][one] = correlation(columns[one], columns[other], least)
    return {name: {other: row[other] for other in columns} for name, row in found.items()}


def beta(of: Sequence[float | None], benchmark: Sequence[float | None], least: int = 3) -> float | None:
    """How much `of` moved for one of the benchmark: their covariance over the benchmark's variance, on days that both know.

    None with fewer than `least` of them, or when the benchmark does not vary.
    """
    ys, xs = _pairs(of, benchmark)
    if len(xs) < _least(least, 3):
        return None
    x, mean = _mean_and_deviation(xs), math.fsum(ys) / len(ys)
    if x is None or not _varies(*x):
        return None
    covered = math.fsum((p - x[0]) * (q - mean) for p, q in zip(xs, ys, strict=True)) / (len(xs) - 1)
    found = covered / x[1] / x[1]
    return found if math.isfinite(found) else None


def _matrix(matrix: Matrix) -> list[list[float]]:
    """A covariance as it must be: square, symmetric, no variance below zero."""
    rows = [_numbers(row, "covariance") for row in _listed(matrix, "a covariance")]
    for i, row in enumerate(rows):
        if len(row) != len(rows):
            raise InvalidAmount(f"a covariance must be square: row {i} of {len(rows)} has {len(row)} numbers")
        if row[i] < 0:
            raise InvalidAmount(f"a covariance has no variance below zero, as {row[i]} in row {i}")
        for j in range(i):
            most = math.sqrt(row[i] * rows[j][j])
            if abs(row[j] - rows[j][i]) > 1e-9 * most or abs(row[j]) > most * (1 + 1e-9):
                rule = "symmetric, and none more than its two variances allow"
                raise InvalidAmount(f"a covariance must be {rule}, not {row[j]} and {rows[j][i]} at {i}, {j}")
    return rows


def _marginal(weights: Sequence[float], covariance: Matrix) -> tuple[list[float], list[float], float]:
    """(the weights, the covariance of each with the whole, the volatility of the whole)"""
    held, rows = _numbers(weights, "weight"), _matrix(covariance)
    _same_length("weights and covariance", held, rows)
    with_whole = [math.fsum(w * cov for w, cov in zip(held, row, strict=True)) for row in rows]
    variance = math.fsum(w * cov for w, cov in zip(held, with_whole, strict=True))
    size = math.fsum(abs(w) * math.sqrt(row[i]) for i, (w, row) in enumerate(zip(held, rows, strict=True)))
    if variance < -1e-9 * size * size:
        raise InvalidAmount(f"variance {variance} of the whole is below zero: that is no covariance")
    return held, with_whole, 0.0 if variance <= 1e-15 * size * size else math.sqrt(variance)


def volatility_of(weights: Sequence[float], covariance: Matrix) -> float:
    """The volatility of a sum of positions: the root of w' C w, in the time unit of the covariance."""
    return _marginal(weights, covariance)[2]


def contributions(weights: Sequence[float], covariance: Matrix) -> list[float]:
    """What each position adds to the volatility of the whole: w (C w) / volatility. They sum to it; a hedge is below zero.

    All zero when the whole does not move. Euler's theorem on the root of w' C w (Litterman 1996, "Hot Spots and Hedges").
    """
    held, with_whole, whole = _marginal(weights, covariance)
    return [w * cov / whole if whole else 0.0 for w, cov in zip(held, with_whole, strict=True)]


def concentration(values: Sequence[float]) -> float | None:
    """Herfindahl and Hirschman's index: the sum of squared shares of sizes. 1 for all in one, 1 / n for n alike; None of nothing."""
    sizes = [abs(value) for value in _numbers(values, "value")]
    most = max(sizes, default=0.0)
    if not most:
        return None
    sizes = [size / most for size in sizes]
    total = math.fsum(sizes)
    return math.fsum((size / total) ** 2 for size in sizes)


# -- size --------------------------------------------------------------------------------------------------------------


def _most(most: float) -> float:
    if _number(most, "most") <= 0:
        raise InvalidAmount(f"most {most} must be above zero")
    return float(most)


def kelly(win_rate: float, payoff: float, most: float = 1.0) -> float:
    """The part of one's money to bet that makes it grow fastest: p - (1 - p) / b, from 0 to `most` (Kelly 1956).

    `win_rate` p is from 0 to 1, `payoff` b is what is won for one that is lost. It knows nothing of how sure they are: a
    `most` of one half or less is wise.
    """
    p, b = _number(win_rate, "win rate"), _number(payoff, "payoff")
    if not 0 <= p <= 1 or b <= 0:
        raise InvalidAmount(f"win rate {win_rate} must be from 0 to 1, payoff {payoff} above zero")
    return max(0.0, min(_most(most), p - (1 - p) / b))


def kelly_of_returns(mean: float, variance: float, most: float = 1.0) -> float | None:
    """The same for returns that spread: mean / variance of one period, from 0 to `most` (Thorp 2006). None without variance."""
    mean, variance = _number(mean, "mean"), _number(variance, "variance")
    if variance < 0:
        raise InvalidAmount(f"variance {variance} must not be below zero")
    limit = _most(most)
    if not variance:
        return None
    return max(0.0, min(limit, mean / variance))


def to_volatility(target: float, volatility: float | None, most: float = 1.0) -> float | None:
    """What to multiply a position by, so that its volatility is the target or, where that takes more than `most`, below it.

    Both in the same time unit. `most` where it does not move; None while its volatility is not known.
    """
    wanted, limit = _number(target, "target"), _most(most)
    if wanted < 0:
        raise InvalidAmount(f"target {target} must not be below zero")
    if volatility is None:
        return None
    has = _number(volatility, "volatility")
    if has < 0:
        raise InvalidAmount(f"volatility {volatility} must not be below zero")
    return limit if has * limit <= wanted else wanted / has


SWEEPS = 5_000


def risk_parity(covariance: Matrix, budgets: Sequence[float] | None = None, tolerance: float = 1e-9) -> list[float]:
    """Weights above zero that sum to 1 and whose contributions to volatility are as the budgets: equal, if none are given.

    Each share of the variance is within `tolerance` of its budget. Solved by cyclical coordinate descent on the convex
    form of Spinu (2013), as Griveau-Billion, Richard and Roncalli (2013) do. Raises `InvalidAmount` where a variance or a
    budget is not above zero, and where there are no such weights: of two that cancel out, no share can be told.
    """
    rows = _matrix(covariance)
    asked = [1.0] * len(rows) if budgets is None else _numbers(budgets, "budget")
    _same_length("budgets and covariance", asked, rows)
    if not rows or min(asked) <= 0 or min(row[i] for i, row in enumerate(rows)) <= 0:
        raise InvalidAmount(f"risk parity needs variances and budgets above zero, not {covariance!r} and {asked!r}")
    if not 0 < _number(tolerance, "tolerance") < 1:
        raise InvalidAmount(f"tolerance {tolerance} must be between 0 and 1")
    share = [one / math.fsum(asked) for one in asked]
    deviation = [math.sqrt(row[i]) for i, row in enumerate(rows)]
    linked = [[cov / deviation[i] / deviation[j] for j, cov in enumerate(row)] for i, row in enumerate(rows)]
    found = [math.sqrt(one) for one in share]
    for _ in range(SWEEPS):
        for i, row in enumerate(linked):
            others = math.fsum(r * y for r, y in zip(row, found, strict=True)) - found[i]
            root = math.sqrt(others * others + 4 * share[i])
            found[i] = 2 * share[i] / (others + root) if others > 0 else (root - others) / 2
        parts = [y * math.fsum(r * x for r, x in zip(row, found, strict=True)) for y, row in zip(found, linked, strict=True)]
        whole = math.fsum(parts)
        if whole > 0 and max(abs(part / whole - one) for part, one in zip(parts, share, strict=True)) <= tolerance:
            weights = [y / one for y, one in zip(found, deviation, strict=True)]
            return [one / math.fsum(weights) for one in weights]
    raise InvalidAmount(f"no weights were found whose risk is within {tolerance} of the budgets {share}: positions may cancel out")


def into_bands(weights: Sequence[float], targets: Sequence[float], band: float) -> list[float]:
    """The changes that bring each weight within `band` of its target with the least total trade, and sum to zero.

    Nothing changes where all are within. What is beyond its band goes to its edge, no further; where that does not come out
    even, those with the most room within theirs take the rest in proportion. Weights and targets have one sum.
    """
    held, wanted, width = _numbers(weights, "weight"), _numbers(targets, "target"), _number(band, "band")
    _same_length("weights and targets", held, wanted)
    total, aimed = math.fsum(held), math.fsum(wanted)
    if width < 0 or abs(total - aimed) > 1e-9 * max(1.0, abs(total)):
        raise InvalidAmount(f"band {band} must not be below zero, and weights and targets have one sum, not {total} and {aimed}")
    changes = [min(t + width, max(t - width, w)) - w for w, t in zip(held, wanted, strict=True)]
    left = -math.fsum(changes)
    side = 1.0 if left > 0 else -1.0
    room = [width - side * (w + c - t) for w, c, t in zip(held, changes, wanted, strict=True)]
    whole = math.fsum(room)
    return (
        changes
        if abs(left) <= 1e-12 * max(1.0, abs(total)) or whole <= 0
        else [c + left * one / whole for c, one in zip(changes, room, strict=True)]
    )


# -- order and limits --------------------------------------------------------------------------------------------------


def by_risk(values: Mapping[K, float | None], contributions: Mapping[K, float | None] | None = None) -> list[K]:
    """In which order to close: what adds most to the risk first. Names of `values`, each once.

    By contribution where that is known of all of them, and by size of value between equals; otherwise by size of value
    alone, since the two do not compare. What has no value comes first, because nobody knows how large it is; of equals the
    one that was named first.
    """
    sizes = {name: math.inf if value is None else abs(_number(value, f"value of {name}")) for name, value in values.items()}
    told = {} if contributions is None else {name: contributions.get(name) for name in values}
    added = {name: _number(one, f"contribution of {name}") for name, one in told.items() if one is not None}
    if values and len(added) == len(values):
        return sorted(values, key=lambda name: (-added[name], -sizes[name]))
    return sorted(values, key=lambda name: -sizes[name])


class Tier(StrEnum):
    """How near a figure is to its limit: warnings come before the limit does."""

    OK = "ok"
    NEAR = "80%"
    CLOSE = "90%"
    BREACHED = "breached"
    UNKNOWN = "not enough data"


def tier(value: float | Decimal | None, most: Fraction | int) -> Tier:
    """Where a value stands to its limit: from exactly 80%, from exactly 90%, and from exactly the limit on.

    A float counts as the decimal that it prints as, so that 0.12 is 80% of "15%". `most` is above zero, and text such as
    "15%" or "3", a whole number or a Decimal: raises `InvalidAmount` for a float. An unknown value is not ok.
    """
    limit = limit_of(most)
    if value is None:
        return Tier.UNKNOWN
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidAmount(f"value {value} is not a finite number")
    else:
        _number(value, "value")
    exact = fractions.Fraction(value if isinstance(value, (int, Decimal)) else Decimal(repr(float(value))))
    if exact >= limit:
        return Tier.BREACHED
    if 10 * exact >= 9 * limit:
        return Tier.CLOSE
    return Tier.NEAR if 10 * exact >= 8 * limit else Tier.OK


def limit_of(most: Fraction | int) -> fractions.Fraction:
    """A limit as an exact number above zero: "15%", "3", 3 and Decimal("0.15"). Raises `InvalidAmount` for anything else."""
    percent = isinstance(most, str) and most.strip().endswith("%")
    text = most.strip()[:-1].strip() if isinstance(most, str) and percent else most
    units = parse_units(text, LIMIT_SCALE - 2 if percent else LIMIT_SCALE, "limit")
    if units <= 0:
        raise InvalidAmount(f"limit {most} must be above zero")
    return fractions.Fraction(units, 10**LIMIT_SCALE)
