"""Many desks over one tape: a grid of parameters, tried by all cores or by a cluster, each trial with exact books of its own.

    grid        which parameters: every combination, or those that make sense
    figures     what a trial comes to: money exact, taken off its report where it ran
    crew        who carries trials out: a pool of processes, this process, any executor
    keep        finished trials in a file, so that a sweep goes on where it was stopped
    results     the trials as a table, rows, a heat map

It needs no extra. A sweep waits for its workers, and so is part of the shell; the trials themselves are `replay`, and no less exact.
"""

from __future__ import annotations

from .figures import Figure, figures, totals
from .grid import grid
from .results import Sweep, Trial
from .sweep import SweepStopped, sweep

__all__ = ["Figure", "Sweep", "SweepStopped", "Trial", "figures", "grid", "sweep", "totals"]
