"""vectorbt: the averages, the crosses and the portfolio of W1, and W3's hundred pairs as a hundred columns.

Timed is what its users call: `MA.run`, `ma_crossed_above`, `Portfolio.from_signals`, to the figures of the result. A cold run
compiles, or loads what its caches keep, for numba.
"""

from __future__ import annotations

import argparse
import time

began = time.perf_counter()

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import vectorbt as vbt  # noqa: E402
from work import FAST, FEE, MONEY, SLOW, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1", "w3"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--variant", choices=["rust", "numba"], default="rust")
    args = parser.parse_args()
    vbt.settings["engine"] = args.variant
    close = np.fromfile(args.data, "<i8").reshape(5, -1)[4] / 100.0

    def play(fast: object, slow: object) -> vbt.Portfolio:
        quick = vbt.MA.run(close, fast, ewm=True, short_name="fast")
        slowly = vbt.MA.run(close, slow, ewm=True, short_name="slow")
        return vbt.Portfolio.from_signals(
            close if args.work == "w1" else close[:, None],
            quick.ma_crossed_above(slowly),
            quick.ma_crossed_below(slowly),
            size=0.1,
            size_type="percent",
            fees=FEE,
            init_cash=MONEY,
            freq="1min",
        )

    if args.work == "w1":
        seconds, (fills, equity) = timed(
            args.runs, lambda: play(FAST, SLOW), lambda made: (int(made.orders.count()), float(made.final_value()))
        )
        tell(version=vbt.__version__, seconds=seconds, rows=len(close), fills=fills, equity=equity, imported=IMPORTED)
    else:
        pairs = [(fast, slow) for fast in range(5, 15) for slow in range(20, 70, 5)]
        fast, slow = zip(*pairs, strict=True)
        seconds, (fills, equity) = timed(
            args.runs, lambda: play(list(fast), list(slow)), lambda made: (int(made.orders.count().sum()), float(made.final_value().sum()))
        )
        tell(version=vbt.__version__, seconds=seconds, rows=len(close) * len(pairs), fills=fills, equity=equity, imported=IMPORTED)


if __name__ == "__main__":
    main()
