"""The works that benchmarks share: the rows, how they lie on disk, and how a run is timed and told.

    bars    minute bars of a seeded random walk from 3,000, each opening where the last one closed: W1 and W3
    ticks   trades a tenth of a second apart, of such a walk too: W2

A file of rows is its columns one after another, each of little-endian 64-bit integers: nanoseconds, then prices in cents.
Standard library only and nothing of sleeves, because each peer's runner, in an environment of its own, imports it too.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import resource
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

START = 300_000
"""Where a walk begins, in cents."""

FEE = 0.001
MONEY = 1_000_000.0
FAST, SLOW = 10, 50

BARS = ("at", "open", "high", "low", "close")
TICKS = ("at", "price")

TICK_SPAN = 100
"""The span of the average that W2 moves with each tick."""

TICK_EVERY, TICK_FIRST = 1_000, 500
"""W2 orders on row 500, 1,500, 2,500, ...: buys one coin, and sells it the next time."""


def bars(rows: int, seed: int = 1) -> dict[str, array[int]]:
    """Minute bars: nanoseconds, and prices in cents."""
    rng = random.Random(seed)
    columns = {name: array("q", bytes(8 * rows)) for name in BARS}
    at, open_, high, low, close = columns.values()
    price = START
    for row in range(rows):
        path = [price]
        for _ in range(3):
            price = max(100, round(price * (1 + rng.gauss(0, 0.0004))))
            path.append(price)
        at[row] = (1_600_000_000 + 60 * row) * 10**9
        open_[row], high[row], low[row], close[row] = path[0], max(path), min(path), price
    return columns


def ticks(rows: int, seed: int = 2) -> dict[str, array[int]]:
    """Trades a tenth of a second apart: nanoseconds, and prices in cents."""
    rng = random.Random(seed)
    columns = {name: array("q", bytes(8 * rows)) for name in TICKS}
    at, prices = columns.values()
    price = START
    for row in range(rows):
        price = max(100, price + round(rng.gauss(0, 6)))
        at[row] = 1_600_000_000 * 10**9 + 100_000_000 * row
        prices[row] = price
    return columns


def write(path: Path, columns: dict[str, array[int]]) -> None:
    with path.open("wb") as file:
        for column in columns.values():
            file.write((column if sys.byteorder == "little" else _swapped(column)).tobytes())


def read(path: Path, names: Sequence[str]) -> dict[str, array[int]]:
    """The columns of a file; numpy's users read it with `np.fromfile(path, "<i8").reshape(len(names), -1)`."""
    rows = path.stat().st_size // 8 // len(names)
    columns = {}
    with path.open("rb") as file:
        for name in names:
            column = array("q")
            column.fromfile(file, rows)
            columns[name] = column if sys.byteorder == "little" else _swapped(column)
    return columns


def _swapped(column: array[int]) -> array[int]:
    other = array("q", column)
    other.byteswap()
    return other


def timed(runs: int, run: Callable[[], Any], settle: Callable[[Any], Any] = lambda made: made) -> tuple[list[float], Any]:
    """The seconds of so many runs, and what `settle` makes of the last one. What a run made is let go, garbage collected,
    and settled outside of the time taken.
    """
    seconds, settled = [], None
    for _ in range(runs):
        gc.collect()
        begin = time.perf_counter()
        made = run()
        seconds.append(time.perf_counter() - begin)
        settled = settle(made)
        del made
    return seconds, settled


def peak_mb() -> int:
    """The most memory that this process has had resident, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))


def spread(seconds: Sequence[float]) -> str:
    """A median with its best and worst: `0.412 s (0.401 to 0.530)`."""
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    try:
        model = next(
            line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
        )
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
    }


def tell(**figures: Any) -> None:
    """The line of JSON with which each of these scripts ends."""
    print(json.dumps(figures), flush=True)
