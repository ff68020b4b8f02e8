"""Write an engine: four names and one decision. No base class, no configuration, nothing to register.

This one holds while a fast average stands above a slow one. It never sees an account: it sees prices and its own
sleeve, and says what it wishes; gates, holds, fees and books are the desk's.
"""

from __future__ import annotations

from collections.abc import Iterable

from sleeves import QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.gates import Cooldown, DailyLoss, OrderCap
from sleeves.market import HOUR
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Tape, replay


class Averages:
    """The engine's memory: the desk keeps it and hands it back."""

    fast = slow = 0.0
    prices = 0


class Cross:
    name = "ema-cross"
    every = 0  # nanoseconds between decisions; 0: each price

    def __init__(self, market: Instrument, fast: int, slow: int) -> None:
        self.watches = (market,)
        self.market = market
        self.fast, self.slow = 2 / (fast + 1), 2 / (slow + 1)
        self.warm_up = slow

    def begin(self) -> Averages:
        return Averages()

    def decide(self, memory: Averages, view: View) -> Iterable[Intent] | None:
        price = self.market.price_float(view.book.mid)
        if not memory.prices:
            memory.fast = memory.slow = price
        memory.fast += self.fast * (price - memory.fast)
        memory.slow += self.slow * (price - memory.slow)
        memory.prices += 1
        if memory.prices < self.warm_up or view.orders():
            return None
        held = view.position(self.market)
        if memory.fast > memory.slow and not held:
            return [Place(self.market, Side.BUY, view.affordable(self.market), why="fast above slow")]
        if memory.fast < memory.slow and held:
            return [Place(self.market, Side.SELL, held, reduce_only=True, why="fast below slow")]
        return None


def main() -> None:
    tape = Tape.sample()
    vault = CoreVault(USD, total="10000", tradeable="10000")
    daily = vault.sleeve("daily", QUIET, allocate="5000")
    weekly = vault.sleeve("weekly", QUIET, allocate="5000")
    desk = Desk(vault)
    desk.assign(Cross(tape.instrument, 12, 48), to=daily, gates=[DailyLoss.of("5%"), Cooldown(12 * HOUR)])
    desk.assign(Cross(tape.instrument, 72, 336), to=weekly, gates=[OrderCap("6000")])
    report = replay(desk, tape)
    print(report)
    print()
    print("\n".join(report.notes()))
    assert report.proof.holds


if __name__ == "__main__":
    main()
