"""jesse: its `research.backtest` in fast mode on a spot exchange, bars of one minute.

Timed is that call: its own copies and checks of the bars, the run, and the metrics that it always makes. Averages are kept in
floats. The bars are moved to whole minutes, as it insists on.
"""

from __future__ import annotations

import argparse
import time

began = time.perf_counter()

from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from jesse import research  # noqa: E402
from jesse.strategies import Strategy  # noqa: E402
from work import FAST, FEE, MONEY, SLOW, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began
MINUTE = 60 * 10**9
VENUE = "Binance Spot"
FIGURES = {}


class Cross(Strategy):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.seen, self.quick, self.slowly, self.above, self.crossed = 0, 0.0, 0.0, False, False

    def before(self) -> None:
        price = self.price
        if not self.seen:
            self.quick = self.slowly = price
        self.quick += 2 / (FAST + 1) * (price - self.quick)
        self.slowly += 2 / (SLOW + 1) * (price - self.slowly)
        self.seen += 1
        above = self.quick > self.slowly
        self.crossed = above != self.above and self.seen > SLOW
        self.above = above

    def should_long(self) -> bool:
        return self.crossed and self.above

    def go_long(self) -> None:
        self.buy = self.balance / 10 / (self.price * (1 + FEE)), self.price

    def update_position(self) -> None:
        if self.crossed and not self.above:
            self.liquidate()

    def should_cancel_entry(self) -> bool:
        return False

    def on_open_position(self, _: object) -> None:
        FIGURES["fills"] += 1

    def on_close_position(self, _: object, __: object) -> None:
        FIGURES["fills"] += 1

    def terminate(self) -> None:
        FIGURES["equity"] = self.portfolio_value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    at, *prices = np.fromfile(args.data, "<i8").reshape(5, -1)
    open_, high, low, close = (one / 100 for one in prices)
    bars = np.column_stack(((at - at[0] % MINUTE) / 10**6, open_, close, high, low, np.full(len(at), 1e6)))
    config = {"starting_balance": MONEY, "fee": FEE, "type": "spot", "exchange": VENUE, "warm_up_candles": 0}
    route = [{"exchange": VENUE, "strategy": Cross, "symbol": "ETH-USDT", "timeframe": "1m"}]
    candles = {f"{VENUE}-ETH-USDT": {"exchange": VENUE, "symbol": "ETH-USDT", "candles": bars}}

    def play() -> None:
        FIGURES["fills"] = 0
        research.backtest(config, route, [], candles, fast_mode=True)

    seconds, _ = timed(args.runs, play)
    tell(version=version("jesse"), seconds=seconds, rows=len(at), fills=FIGURES["fills"], equity=FIGURES["equity"], imported=IMPORTED)


if __name__ == "__main__":
    main()
