"""NautilusTrader 2.0: a strategy in Python over its engine in Rust, with what can be switched off switched off.

Off are logging, the analysis of the result, the risk engine's checks and the venue's message queue. Timed is `BacktestEngine.run`
alone: making the bars and giving them to the engine is not.
"""

from __future__ import annotations

import argparse
import time

began = time.perf_counter()

from array import array  # noqa: E402
from decimal import Decimal  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402

from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig  # noqa: E402
from nautilus_trader.common import CacheConfig, LoggerConfig, LogLevel  # noqa: E402
from nautilus_trader.execution import MakerTakerFeeModel  # noqa: E402
from nautilus_trader.model import (  # noqa: E402
    AccountType,
    AggressorSide,
    Bar,
    BarType,
    Currency,
    CurrencyPair,
    InstrumentId,
    Money,
    OmsType,
    OrderFilled,
    OrderSide,
    Price,
    Quantity,
    Symbol,
    TradeId,
    TradeTick,
    Venue,
)
from nautilus_trader.risk import RiskEngineConfig  # noqa: E402
from nautilus_trader.trading import Strategy, StrategyConfig  # noqa: E402
from work import BARS, FAST, FEE, MONEY, SLOW, TICK_EVERY, TICK_FIRST, TICK_SPAN, TICKS, read, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began
VENUE = Venue("SIM")
PAIR = InstrumentId(Symbol("ETH/USD"), VENUE)
USD, ETH = Currency.from_str("USD"), Currency.from_str("ETH")
BAR_TYPE = BarType.from_str(f"{PAIR}-1-MINUTE-LAST-EXTERNAL")
PLACES = 9


class Cross(Strategy):
    """Averages in Python floats, as that is faster than the built-in ones, and cash from the fills: asking the portfolio for the
    account makes a copy of all that ever happened to it.
    """

    def __new__(cls, *_: object) -> Cross:
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(StrategyConfig(log_events=False, log_commands=False, manage_stop=False))
        self.fast = self.slow = 0.0
        self.seen, self.above, self.held, self.fills, self.cash = 0, False, None, 0, MONEY

    def on_start(self) -> None:
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar: Bar) -> None:
        price = bar.close.as_double()
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
        if above and self.held is None:
            self.held = Quantity(self.cash / 10 / (price * (1 + FEE)), PLACES)
            self.submit_order(self.order_factory.market(PAIR, OrderSide.BUY, self.held))
        elif self.held is not None and not above:
            self.submit_order(self.order_factory.market(PAIR, OrderSide.SELL, self.held))
            self.held = None

    def on_order_filled(self, event: OrderFilled) -> None:
        self.fills += 1
        value = event.last_qty.as_double() * event.last_px.as_double()
        self.cash += (value if event.order_side == OrderSide.SELL else -value) - event.commission.as_double()


class Average(Strategy):
    def __new__(cls, *_: object) -> Average:
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(StrategyConfig(log_events=False, log_commands=False, manage_stop=False))
        self.seen, self.value, self.holds, self.fills = 0, 0.0, False, 0
        self.one = Quantity(1.0, PLACES)

    def on_start(self) -> None:
        self.subscribe_trades(PAIR)

    def on_trade(self, trade: TradeTick) -> None:
        price = trade.price.as_double()
        if not self.seen:
            self.value = price
        self.value += 2 / (TICK_SPAN + 1) * (price - self.value)
        if self.seen % TICK_EVERY == TICK_FIRST:
            self.submit_order(self.order_factory.market(PAIR, OrderSide.SELL if self.holds else OrderSide.BUY, self.one))
            self.holds = not self.holds
        self.seen += 1

    def on_order_filled(self, _: object) -> None:
        self.fills += 1


def bars(columns: dict[str, array[int]]) -> list[Bar]:
    prices: dict[int, Price] = {}

    def price(cents: int) -> Price:
        found = prices.get(cents)
        if found is None:
            found = prices[cents] = Price(cents / 100, 2)
        return found

    volume = Quantity(1e6, PLACES)
    minute = 60 * 10**9
    return [
        Bar(BAR_TYPE, price(open_), price(high), price(low), price(close), volume, at + minute, at + minute)
        for at, open_, high, low, close in zip(*columns.values(), strict=True)
    ]


def trades(columns: dict[str, array[int]]) -> list[TradeTick]:
    size = Quantity(1e6, PLACES)
    return [
        TradeTick(PAIR, Price(cents / 100, 2), size, AggressorSide.BUY, TradeId(str(number)), at, at)
        for number, (at, cents) in enumerate(zip(*columns.values(), strict=True))
    ]


def engine(strategy: Strategy, data: list[Bar] | list[TradeTick]) -> BacktestEngine:
    made = BacktestEngine(
        BacktestEngineConfig(
            bypass_logging=True,
            run_analysis=False,
            logging=LoggerConfig(stdout_level=LogLevel.OFF, bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            cache=CacheConfig(tick_capacity=10, bar_capacity=10),
        )
    )
    made.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.CASH,
        [Money(MONEY, USD), Money(0.0, ETH)],
        fee_model=MakerTakerFeeModel(Decimal(str(FEE)), Decimal(str(FEE))),
        support_contingent_orders=False,
        use_message_queue=False,
    )
    made.add_instrument(CurrencyPair(PAIR, Symbol("ETH/USD"), ETH, USD, 2, PLACES, Price(0.01, 2), Quantity(10**-PLACES, PLACES), 0, 0))
    made.add_strategy(strategy)
    made.add_data(data, validate=False)
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1", "w2"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    columns = read(args.data, BARS if args.work == "w1" else TICKS)
    data = bars(columns) if args.work == "w1" else trades(columns)
    last = columns["close" if args.work == "w1" else "price"][-1] / 100
    seconds, figures = [], (0, 0.0)
    for _ in range(args.runs):
        strategy = Cross() if args.work == "w1" else Average()
        made = engine(strategy, data)
        taken, _ = timed(1, made.run)
        seconds += taken
        account = made.portfolio.account(VENUE)
        figures = strategy.fills, account.balance_total(USD).as_double() + account.balance_total(ETH).as_double() * last
        made.dispose()
    tell(version=version("nautilus_trader"), seconds=seconds, rows=len(data), fills=figures[0], equity=figures[1], imported=IMPORTED)


if __name__ == "__main__":
    main()
