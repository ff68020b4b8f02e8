"""hftbacktest: the strategy compiled by numba, the exchange in Rust.

The market is a book of one level: half a cent below and above each price, so that an order at market pays half a cent more
than with the others. W1's rows are the two quotes of each close, taken with `elapse` of a minute; W2's rows are a trade and
the two quotes, taken feed by feed. No latency. Building the events is not timed; copying them into the engine is.
"""

from __future__ import annotations

import argparse
import time

began = time.perf_counter()

from pathlib import Path  # noqa: E402

import hftbacktest as hft  # noqa: E402
import numpy as np  # noqa: E402
from hftbacktest.types import event_dtype  # noqa: E402
from numba import njit  # noqa: E402
from work import FAST, FEE, MONEY, SLOW, TICK_EVERY, TICK_FIRST, TICK_SPAN, tell, timed  # noqa: E402

IMPORTED = time.perf_counter() - began
BOTH = hft.EXCH_EVENT | hft.LOCAL_EVENT
MINUTE = 60 * 10**9


@njit
def cross(bot, fast_span, slow_span, fee, money, rows, interval):  # type: ignore[no-untyped-def]
    quick, slowly = 2 / (fast_span + 1), 2 / (slow_span + 1)
    fast = slow = 0.0
    above = False
    number = 0
    for row in range(rows):
        if bot.elapse(interval) != 0:
            break
        depth = bot.depth(0)
        price = (depth.best_bid + depth.best_ask) / 2
        if row == 0:
            fast = slow = price
        fast += quick * (price - fast)
        slow += slowly * (price - slow)
        if (fast > slow) == above:
            continue
        above = not above
        if row < slow_span:
            continue
        held = bot.position(0)
        if above and held == 0.0:
            values = bot.state_values(0)
            cash = money + values.balance - values.fee
            number += 1
            bot.submit_buy_order(0, number, depth.best_ask, cash / 10 / (price * (1 + fee)), hft.GTC, hft.MARKET, False)
        elif held > 0.0 and not above:
            number += 1
            bot.submit_sell_order(0, number, depth.best_bid, held, hft.GTC, hft.MARKET, False)
        bot.clear_inactive_orders(0)
    return price


@njit
def average(bot, span, first, every):  # type: ignore[no-untyped-def]
    share = 2 / (span + 1)
    value = 0.0
    seen = number = 0
    price = 0.0
    while bot.wait_next_feed(False, 10**15) == 2:
        trades = bot.last_trades(0)
        for trade in trades:
            price = trade.px
            if seen == 0:
                value = price
            value += share * (price - value)
            if seen % every == first:
                number += 1
                if bot.position(0) == 0.0:
                    bot.submit_buy_order(0, number, price, 1.0, hft.GTC, hft.MARKET, False)
                else:
                    bot.submit_sell_order(0, number, price, 1.0, hft.GTC, hft.MARKET, False)
                bot.clear_inactive_orders(0)
            seen += 1
        bot.clear_last_trades(0)
    return price


def quotes(at: np.ndarray, prices: np.ndarray, trades: bool) -> np.ndarray:
    """A bid and an ask half a cent around each price, after the trade itself where trades are told."""
    width = 3 if trades else 2
    events = np.zeros(len(at) * width, event_dtype)
    for place, (kind, price, shift) in enumerate(
        [
            *([(hft.TRADE_EVENT | hft.BUY_EVENT, prices, 0.0)] if trades else []),
            (hft.DEPTH_EVENT | hft.BUY_EVENT, prices, -0.005),
            (hft.DEPTH_EVENT | hft.SELL_EVENT, prices, 0.005),
        ]
    ):
        rows = events[place::width]
        rows["ev"] = kind | BOTH
        rows["exch_ts"] = rows["local_ts"] = at
        rows["px"] = price + shift
        rows["qty"] = 1e9
    return events


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1", "w2"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--variant", choices=["roi", "hash"], default="roi")
    args = parser.parse_args()
    columns = np.fromfile(args.data, "<i8").reshape(5 if args.work == "w1" else 2, -1)
    at, prices = columns[0], columns[-1] / 100
    events = quotes(at, prices, args.work == "w2")
    built = time.perf_counter() - began

    def play() -> tuple[int, float]:
        asset = (
            hft.BacktestAsset()
            .add_data(events)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(FEE, FEE)
            .tick_size(0.005)
            .lot_size(1e-10)
            .last_trades_capacity(16)
        )
        if args.variant == "roi":
            asset = asset.roi_lb(0.0).roi_ub(2 * float(prices.max()))
        bot = (hft.ROIVectorMarketDepthBacktest if args.variant == "roi" else hft.HashMapMarketDepthBacktest)([asset])
        if args.work == "w1":
            last = cross(bot, FAST, SLOW, FEE, MONEY, len(prices), MINUTE)
        else:
            last = average(bot, TICK_SPAN, TICK_FIRST, TICK_EVERY)
        values = bot.state_values(0)
        figures = (int(values.num_trades), float(MONEY + values.balance - values.fee + values.position * last))
        bot.close()
        return figures

    seconds, (fills, equity) = timed(args.runs, play)
    tell(version=hft.__version__, seconds=seconds, rows=len(prices), fills=fills, equity=equity, imported=IMPORTED, built=built)


if __name__ == "__main__":
    main()
