"""How much of a good result luck alone explains, when the best of many was chosen: pure figures, floats in, floats out.

    expected_best   the best Sharpe ratio to expect of so many tries that are worth nothing
    probable        how probable it is that the true Sharpe ratio lies above a threshold (the probabilistic Sharpe ratio)
    deflated        the same with what luck is expected to find as the threshold (the deflated Sharpe ratio)
    years_needed    how long a past it takes so that luck is not expected to find a Sharpe ratio of 1 a year in it

Sources: Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (Journal of Risk, 2012) and "The Deflated Sharpe
Ratio" (Journal of Portfolio Management, 2014); Bailey, Borwein, Lopez de Prado and Zhu, "Pseudo-Mathematics and Financial
Charlatanism" (Notices of the AMS, 2014). All of them take the tries to be independent. Those of a search are not: what it has
seen leads it on, so that they are worth fewer, and these figures err on the side of doubt.

A Sharpe ratio here is of one period, not of a year: mean over standard deviation of the returns as they are given. What is no
finite number raises `InvalidAmount`; where there is not enough data the answer is None. Nothing here knows of desks or tapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from attrs import frozen

from ..errors import InvalidAmount

__all__ = ["Shape", "deflated", "expected_best", "probable", "shape_of", "years_needed"]

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329

MOST_TRIES = 10**100
"""More tries than any search makes."""


@frozen(order=False)
class Shape:
    """The moments of a list of returns: how many, their Sharpe ratio, their skewness and their kurtosis (3: as if normal)."""

    count: int
    sharpe: float
    skewness: float
    kurtosis: float


def shape_of(returns: Sequence[float]) -> Shape | None:
    """The moments of these returns; None of fewer than two, and where they do not vary.

    The deviation of the Sharpe ratio is that of a sample (n - 1), as in `sleeves.risk`; skewness and kurtosis are plain moments.
    """
    if not all(map(_finite, returns)):
        raise InvalidAmount(f"returns must be finite numbers: {next(one for one in returns if not _finite(one))!r:.80}")
    count = len(returns)
    if count < 2:
        return None
    try:
        mean = math.fsum(returns) / count
        second, third, fourth = (math.fsum((one - mean) ** power for one in returns) / count for power in (2, 3, 4))
        deviation = math.sqrt(second * count / (count - 1))
        if deviation <= 1e-12 * max(1.0, abs(mean)):
            return None
        shape = Shape(count, mean / deviation, third / second**1.5, fourth / second**2)
    except OverflowError as error:
        raise InvalidAmount("returns are too large: their fourth powers do not fit a float") from error
    if not all(map(math.isfinite, (shape.sharpe, shape.skewness, shape.kurtosis))):
        raise InvalidAmount("returns are too large: their fourth powers do not fit a float")
    return shape


def _finite(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # a whole number that fits no float
        return False


def _tries(tries: int) -> int:
    if type(tries) is not int or tries < 1:
        raise InvalidAmount(f"tries {tries!r} must be a whole number, at least 1")
    return tries


def expected_best(tries: int, variance: float = 1.0) -> float:
    """The greatest of so many Sharpe ratios that is to be expected where the true ones are all 0 and vary so much by chance.

    sqrt(variance) x ((1 - g) z(1 - 1/n) + g z(1 - 1/(n e))), z the inverse of the normal distribution and g Euler's and
    Mascheroni's constant (Bailey and others 2014); 0 of one try.
    """
    if not _finite(variance) or variance < 0:
        raise InvalidAmount(f"variance {variance!r} must be a finite number, and not negative")
    if _tries(tries) == 1:
        return 0.0
    if tries > MOST_TRIES:
        raise InvalidAmount(f"tries must be at most {MOST_TRIES:,}")
    usual, rare = -_NORMAL.inv_cdf(1 / tries), -_NORMAL.inv_cdf(1 / (tries * math.e))  # by the other tail, which 1 - 1/n would round
    return math.sqrt(variance) * ((1 - _EULER_MASCHERONI) * usual + _EULER_MASCHERONI * rare)


def probable(shape: Shape, above: float = 0.0) -> float | None:
    """How probable it is that the true Sharpe ratio lies above a threshold, from 0 to 1, given how the returns are spread.

    z((SR - threshold) sqrt(n - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)), z the normal distribution. None
    where what is under the root is not positive, which moments of so few returns can be.
    """
    if not _finite(above):
        raise InvalidAmount(f"threshold {above!r} must be a finite number")
    spread = 1 - shape.skewness * shape.sharpe + (shape.kurtosis - 1) / 4 * shape.sharpe**2
    if shape.count < 2 or spread <= 0:
        return None
    return _NORMAL.cdf((shape.sharpe - above) * math.sqrt(shape.count - 1) / math.sqrt(spread))


def deflated(shape: Shape, tries: int, variance: float) -> float | None:
    """How probable it is that the best of so many tries is worth more than luck would find; None as of `probable`.

    `variance` is that of the Sharpe ratios of all tries, of one period like that of the shape.
    """
    return probable(shape, expected_best(tries, variance))


def years_needed(tries: int) -> float:
    """The years of data below which the best of so many tries is expected to show a yearly Sharpe ratio of 1 by luck alone.

    The square of `expected_best` (the minimum backtest length of Bailey and others 2014): 5 years for 45 tries, 0 for one.
    """
    return expected_best(tries) ** 2
