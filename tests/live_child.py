"""A live run in a process of its own, to be ended by real signals: python live_child.py journal backend way grace [stubborn]

It buys, leaves an order resting, says `ready`, and tells at its end how it stands. A stubborn venue answers no cancel.
"""

from __future__ import annotations

import sys
from functools import partial

import anyio

from live_stand import MARKET, stand, until
from sleeves import Place, Side
from sleeves.journals import SQLite
from sleeves.live import trade
from sleeves.orders import OrderStatus


def say(words):
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


async def main(path, way, grace, stubborn):
    with SQLite.open(path) as journal:
        desk, pit, (puppet,) = stand(journal)
        if stubborn:
            pit.cancel = lambda order: anyio.sleep_forever()

        async def world():
            puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.05"))]
            pit.quote("10000")
            await until(lambda: puppet.sleeve.position(MARKET).units > 0)
            puppet.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.05"), limit=MARKET.price("9000"))]
            pit.quote()
            await until(lambda: desk.open_orders() and desk.status_of("a-2") is OrderStatus.OPEN)
            say("ready")
            while True:
                pit.quote()
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world)
            await trade(desk, pit, on_signal=way, grace=grace)
            tasks.cancel_scope.cancel()
        desk.check(dict(pit.coins), deep=True).require()
        say(f"over {desk.status} {puppet.sleeve.position(MARKET)} {len(desk.open_orders())} {journal.waiting}")


if __name__ == "__main__":
    path, backend, way, grace, *rest = sys.argv[1:]
    anyio.run(partial(main, path, None if way == "none" else way, float(grace), bool(rest)), backend=backend)
