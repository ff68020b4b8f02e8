"""Parameters chosen on the past, and judged on data that they were not chosen on: Optuna over replayed desks. Needs the extra `tuning`.

    from sleeves.tuning import tune, walk_forward

    splits = walk_forward(tape, train=60 * DAY, test=20 * DAY, gap=DAY)
    print(tune(make_desk, {"fast": (5, 50), "slow": (20, 200)}, tape, splits=splits, trials=50))

What is printed begins with what was made out of sample, and with every doubt about it. Splits, the figures of luck and the
doubts need no extra.
"""

from __future__ import annotations

from .doubts import CODES, Doubt
from .luck import Shape, deflated, expected_best, probable, shape_of, years_needed
from .outcome import OBJECTIVES, Outcome
from .space import Choice, Range
from .splits import Rows, Split, Splits, Window, walk_forward
from .tune import tune
from .tuned import Fold, Try, Tuned

__all__ = [
    "CODES",
    "OBJECTIVES",
    "Choice",
    "Doubt",
    "Fold",
    "Outcome",
    "Range",
    "Rows",
    "Shape",
    "Split",
    "Splits",
    "Try",
    "Tuned",
    "Window",
    "deflated",
    "expected_best",
    "probable",
    "shape_of",
    "tune",
    "walk_forward",
    "years_needed",
]
