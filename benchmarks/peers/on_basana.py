"""basana: an asyncio dispatcher, every price and sum a Decimal.

Timed is the dispatcher's run, with averages in floats. Orders fill at the next bar's open. Its bars are made before the run.
"""

from __future__ import annotations

import argparse
import asyncio
import time

began = time.perf_counter()

import datetime  # noqa: E402
from decimal import Decimal  # noqa: E402
from pathlib import Path  # noqa: E402

import basana  # noqa: E402
from basana.backtesting import exchange, fees, liquidity  # noqa: E402
from work import BARS, FAST, FEE, MONEY, SLOW, read, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began
PAIR = basana.Pair("ETH", "USD")
LOT = Decimal("1e-8")


class Bars(basana.EventSource):  # type: ignore[misc]
    """The bars in order, from memory."""

    def __init__(self, events: list[basana.BarEvent]) -> None:
        super().__init__()
        self.events = iter(events)

    def pop(self) -> basana.BarEvent | None:
        return next(self.events, None)


class Cross:
    def __init__(self, market: exchange.Exchange) -> None:
        self.market = market
        self.fast = self.slow = 0.0
        self.seen, self.above, self.held, self.fills = 0, False, Decimal(0), 0

    async def on_bar(self, event: basana.BarEvent) -> None:
        close = event.bar.close
        price = float(close)
        if not self.seen:
            self.fast = self.slow = price
        self.fast += 2 / (FAST + 1) * (price - self.fast)
        self.slow += 2 / (SLOW + 1) * (price - self.slow)
        self.seen += 1
        above = self.fast > self.slow
        if above is self.above:
            return
        self.above = above
        if self.seen <= SLOW:
            return
        if above and not self.held:
            cash = (await self.market.get_balance("USD")).available
            self.held = (cash / 10 / (close * (1 + Decimal(str(FEE))))).quantize(LOT, "ROUND_DOWN")
            await self.market.create_market_order(basana.OrderOperation.BUY, PAIR, self.held)
            self.fills += 1
        elif self.held and not above:
            await self.market.create_market_order(basana.OrderOperation.SELL, PAIR, self.held)
            self.held = Decimal(0)
            self.fills += 1


def events(path: Path) -> list[basana.BarEvent]:
    begin, minute, volume = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(minutes=1), Decimal(10**9)
    prices: dict[int, Decimal] = {}

    def price(cents: int) -> Decimal:
        return prices.get(cents) or prices.setdefault(cents, Decimal(cents).scaleb(-2))

    made = []
    for at, open_, high, low, close in zip(*read(path, BARS).values(), strict=True):
        opened = begin + datetime.timedelta(seconds=at // 10**9)
        bar = basana.Bar(opened, PAIR, price(open_), price(high), price(low), price(close), volume, minute)
        made.append(basana.BarEvent(opened + minute, bar))
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rows = events(args.data)

    def play() -> tuple[int, float]:
        dispatcher = basana.backtesting_dispatcher()
        market = exchange.Exchange(
            dispatcher,
            {"USD": Decimal(round(MONEY))},
            liquidity_strategy_factory=liquidity.InfiniteLiquidity,
            fee_strategy=fees.Percentage(Decimal(str(FEE * 100))),
        )
        market.set_pair_info(PAIR, basana.PairInfo(8, 2))
        market.add_bar_source(Bars(rows))
        strategy = Cross(market)
        market.subscribe_to_bar_events(PAIR, strategy.on_bar)

        async def run() -> float:
            await dispatcher.run(stop_signals=[])
            coins = await market.get_balances()
            return float(coins["USD"].total + (coins["ETH"].total if "ETH" in coins else 0) * rows[-1].bar.close)

        equity = asyncio.run(run())
        return strategy.fills, equity

    seconds, (fills, equity) = timed(args.runs, play)
    from importlib.metadata import version

    tell(version=version("basana"), seconds=seconds, rows=len(rows), fills=fills, equity=equity, imported=IMPORTED)


if __name__ == "__main__":
    main()
