"""Orders whose answer is lost: each is resolved as the venue has it, none is sent twice, what it holds stays held meanwhile.

    python tests/faults/timeouts.py [--orders 10000] [--seed 1]

Each order times out: most after the venue took it (and it is filled, rests, or is refused), some before it came there. The
desk then asks after each. Ends with one line of JSON; the exit code is 1 when an order was resolved wrongly or sent twice.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

import anyio

from sleeves import BTC, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import MINUTE
from sleeves.orders import OrderStatus
from sleeves.recovery import Chase
from sleeves.shell import carry
from sleeves.sim import Rules, Tape, VirtualDriver
from sleeves.sim.faults import Dice, Faults, FaultyVenue

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001", min_notional="1")
PRICE = MARKET.price("10000")
BEGIN = 1_700_000_000_000_000_000


class Orders:
    """Orders one after the other: at market, far below it, or at once or never."""

    name, watches, every = "orders", (MARKET,), 0

    def __init__(self, times, seed):
        self.left, self.dice = times, Dice(seed)

    def begin(self):
        return None

    def decide(self, memory, view):
        if not self.left:
            return None
        self.left -= 1
        kind = self.dice.below(3)
        qty = MARKET.qty("0.0002")
        return [Place(MARKET, Side.BUY, qty) if kind == 0 else Place(MARKET, Side.BUY, qty, limit=PRICE // (2 if kind == 1 else 1))]


async def run(orders, seed):
    """Returns what was counted; `broken` says what went wrong."""
    rows = orders + 5
    at = [BEGIN + n * MINUTE for n in range(rows)]
    prices = ["10000"] * rows
    tape = Tape.from_columns(MARKET, ts=at, open=prices, high=["10001"] * rows, low=["9999"] * rows, close=prices)
    driver = VirtualDriver(tape, {"USD": USD("10000000")}, Rules(), name="sim")
    venue = FaultyVenue(driver, Faults(request_lost=100_000, answer_lost=1_000_000), Dice(seed))
    vault = CoreVault(USD, total="10000000", tradeable="10000000", at=BEGIN - 1)
    sleeve = vault.sleeve("a", QUIET, allocate="10000000")
    desk = Desk(vault)
    desk.assign(Orders(orders, seed), to=sleeve)
    chase = Chase(desk, {"sim": venue}, 60.0)
    broken, became, held_in_doubt = [], Counter(), 0
    async for event in venue.events():
        await carry(desk, desk.step(event), venue)
        waiting = desk.in_doubt
        for order in waiting:
            held_in_doubt += desk.books.ledger.units(desk._blotter.get(order.id).held, USD) > 0
        if waiting:
            await chase.once()
            broken += [order.id for order in waiting if desk.status_of(order.id).done and venue.arrived[order.id] == 0]
    for name in venue.sent:
        status = desk.status_of(name)
        report = await driver.look_up(desk._blotter.find(name).order)
        became[str(status)] += 1
        right = status is OrderStatus.UNKNOWN if report is None else status is report.status
        if not right:
            broken.append(f"{name} is {status} here, {report} there")
    broken += [f"{name} was sent {times} times" for name, times in venue.sent.items() if times > 1]
    if not desk.check(await driver.balances(), deep=True).holds:
        broken.append(str(desk.check(await driver.balances(), deep=True)))
    unknown = [order for order in desk.in_doubt if not desk.books.ledger.units(desk._blotter.get(order.id).held, USD)]
    broken += [f"{order.id} is unknown and holds nothing" for order in unknown]
    return {"orders": len(venue.sent), "became": dict(became), "looks_while_held": held_in_doubt, "broken": broken}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    began = time.perf_counter()
    seen = anyio.run(run, args.orders, args.seed)
    print(json.dumps({"test": "timeouts", "seed": args.seed, **seen, "s": round(time.perf_counter() - began, 1)}))
    return 1 if seen["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
