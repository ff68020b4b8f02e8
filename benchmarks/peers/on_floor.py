"""The floors of the language: the same EMA cross as a bare loop, without an order, a book or a ledger.

--variant float    averages and money in floats
--variant int      averages in 2**-32 of a cent and money in cents, each rounding written out
"""

from __future__ import annotations

import argparse
from array import array
from pathlib import Path

from work import BARS, FAST, FEE, MONEY, SLOW, read, tell, timed


def floats(close: array[int]) -> tuple[int, float]:
    quick, slowly = 2 / (FAST + 1), 2 / (SLOW + 1)
    cash, held, fills, above = MONEY, 0.0, 0, False
    fast = slow = close[0] / 100
    for row, cents in enumerate(close):
        price = cents / 100
        fast += quick * (price - fast)
        slow += slowly * (price - slow)
        if (fast > slow) is above:
            continue
        above = not above
        if row < SLOW:
            continue
        if above and not held:
            held = cash / 10 / (price * (1 + FEE))
            cash -= held * price * (1 + FEE)
            fills += 1
        elif held and not above:
            cash += held * price * (1 - FEE)
            held, fills = 0.0, fills + 1
    return fills, cash + held * close[-1] / 100


def ints(close: array[int]) -> tuple[int, float]:
    cash, held, fills, above = round(MONEY) * 100, 0, 0, False
    fast = slow = close[0] << 32
    for row, price in enumerate(close):
        at = price << 32
        fast += 2 * (at - fast) // (FAST + 1)
        slow += 2 * (at - slow) // (SLOW + 1)
        if (fast > slow) is above:
            continue
        above = not above
        if row < SLOW:
            continue
        if above and not held:
            held = cash // 10 * 10**10 * 1000 // (price * 1001)
            paid = -(-held * price // 10**10)
            cash -= paid - (-paid // 1000)
            fills += 1
        elif held and not above:
            got = held * price // 10**10
            cash += got + (-got // 1000)
            held, fills = 0, fills + 1
    return fills, (cash + held * close[-1] // 10**10) / 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="w1", choices=["w1"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--variant", choices=["float", "int"], default="float")
    args = parser.parse_args()
    close = read(args.data, BARS)["close"]
    seconds, (fills, equity) = timed(args.runs, lambda: (floats if args.variant == "float" else ints)(close))
    tell(version="", seconds=seconds, rows=len(close), fills=fills, equity=equity)


if __name__ == "__main__":
    main()
