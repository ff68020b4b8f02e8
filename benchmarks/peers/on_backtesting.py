"""backtesting.py: averages by pandas before the run, `next` asked on each bar, fractions of a coin allowed.

Timed is `Backtest.run`: averages, bars, and the statistics that it always makes. Orders fill at the next bar's open.
"""

from __future__ import annotations

import argparse
import time
import warnings

began = time.perf_counter()

from pathlib import Path  # noqa: E402

import backtesting  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from backtesting.lib import FractionalBacktest  # noqa: E402
from work import FAST, FEE, MONEY, SLOW, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began
warnings.simplefilter("ignore")
backtesting.backtesting._tqdm = lambda rows, **_: rows


class Cross(backtesting.Strategy):  # type: ignore[misc]
    def init(self) -> None:
        close = self.data.Close.s
        self.fast = self.I(lambda: close.ewm(span=FAST, adjust=False).mean().to_numpy(), plot=False)
        self.slow = self.I(lambda: close.ewm(span=SLOW, adjust=False).mean().to_numpy(), plot=False)
        self.above = False

    def next(self) -> None:
        above = self.fast[-1] > self.slow[-1]
        if above == self.above:
            return
        self.above = above
        if len(self.data) <= SLOW:
            return
        if above and not self.position:
            self.buy(size=0.1)
        elif self.position and not above:
            self.position.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    at, *prices = np.fromfile(args.data, "<i8").reshape(5, -1)
    columns = dict(zip(("Open", "High", "Low", "Close"), (one / 100 for one in prices), strict=True))
    frame = pd.DataFrame({**columns, "Volume": 1.0}, index=pd.to_datetime(at))
    test = FractionalBacktest(frame, Cross, cash=MONEY, commission=FEE, fractional_unit=1e-8, finalize_trades=False)

    def settle(stats: pd.Series) -> tuple[int, float]:
        return 2 * int(stats["# Trades"]) + len(stats._strategy.trades), float(stats["Equity Final [$]"])

    seconds, (fills, equity) = timed(args.runs, test.run, settle)
    tell(version=backtesting.__version__, seconds=seconds, rows=len(frame), fills=fills, equity=equity, imported=IMPORTED)


if __name__ == "__main__":
    main()
