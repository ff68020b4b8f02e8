"""Fills told 1 to 5 times, in any order, over many restarts: the books differ by nothing from one clean delivery.

    python tests/faults/fills.py [--fills 100000] [--restarts 100] [--seed 1]

Two sleeves order on one market; each order is filled in parts. One desk hears each fill once and in order. Another, on a
SQLite journal that is killed and opened again and again, hears copies of all of them shuffled. What each sleeve has, holds
and has paid must be the same to the unit. Ends with one line of JSON; the exit code is 1 when it is not.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sleeves import BTC, QUIET, USD, Books, CoreVault, Desk, Instrument, Place, Side, Treasury
from sleeves.journals import SQLite
from sleeves.ledger import Role
from sleeves.market import SECOND
from sleeves.money import Amount, Rounding
from sleeves.orders import Fill, Liquidity

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001", min_notional="1")
PARTS = 50
PRICE = MARKET.price("10000")


class Buyer:
    """Buys a little each time that it is asked, as often as it is told."""

    watches, every = (MARKET,), 0

    def __init__(self, name, times):
        self.name, self.times = name, times

    def begin(self):
        return None

    def decide(self, memory, view):
        if self.times:
            self.times -= 1
            return [Place(MARKET, Side.BUY, MARKET.qty("0.0005"), limit=PRICE)]
        return None


def opened(journal, orders):
    """A desk whose two sleeves have ordered, and the orders."""
    vault = CoreVault(USD, total="1000000000", tradeable="1000000000", books=Books(journal), at=0)
    desk = Desk(vault)
    for name in ("one", "two"):
        desk.assign(Buyer(name, orders // 2), to=vault.sleeve(name, QUIET, allocate="400000000"))
    for n in range(orders // 2):
        desk.quote(0, (n + 1) * SECOND, PRICE + 100, PRICE + 200)
    return desk


def reopened(journal):
    desk = Desk(*Treasury.reopen(Books(journal)).vaults)
    for name in ("one", "two"):
        desk.assign(Buyer(name, 0), to=desk.treasury.vaults[0].sleeves[name])
    desk.recovered()
    return desk


def fills_of(desk, dice):
    """Each order filled whole, in parts of any size, at any price up to its limit."""
    found, now = [], desk.books.now
    for order in desk.open_orders():
        cuts = sorted(dice.sample(range(1, order.place.qty), PARTS - 1))
        for n, (low, high) in enumerate(zip([0, *cuts], [*cuts, order.place.qty], strict=True)):
            price, now = PRICE - dice.randrange(50_000), now + 1
            cost = MARKET.cost(price, high - low, Rounding.CEIL)
            fee = Amount(-(-cost * 2_500 // 1_000_000), USD)
            found.append(Fill(order.id, now, MARKET, Side.BUY, high - low, price, cost, fee, Liquidity.MAKER, f"{order.id}/{n}", "sim"))
    return found


def figures(desk):
    """What each sleeve has and has paid; the order in which facts were told moves nothing of it."""
    roles = (Role.FREE, Role.HELD, Role.FEES, Role.TRADING, Role.PNL)
    cells = desk.books.ledger.accounts()
    return {f"{account} {amount.asset}": amount.units for account, amount in cells if account.role in roles and amount.units}


def run(fills, restarts, seed, folder):
    """Returns what was counted; `broken` says what differs."""
    dice = random.Random(seed)
    orders = max(2, fills // PARTS // 2 * 2)
    clean = opened(None, orders)
    facts = fills_of(clean, dice)
    for fact in facts:
        clean.step(fact)
    told = [fact for fact in facts for _ in range(dice.randint(1, 5))]
    dice.shuffle(told)
    path = Path(folder) / "main.sleeves"
    journal, slowest = SQLite.open(path), 0.0
    try:
        with journal.group():
            desk = opened(journal, orders)
        for n in range(restarts + 1):
            with journal.group():
                for fact in told[len(told) * n // (restarts + 1) : len(told) * (n + 1) // (restarts + 1)]:
                    desk.step(fact)
            if n < restarts:
                journal.close()
                began = time.perf_counter()
                journal = SQLite.open(path)
                desk = reopened(journal)
                slowest = max(slowest, time.perf_counter() - began)
        ours, theirs = figures(desk), figures(clean)
        different = {name: (ours.get(name, 0), theirs.get(name, 0)) for name in ours | theirs if ours.get(name) != theirs.get(name)}
        seen = {"fills": len(facts), "told": len(told), "restarts": restarts, "records": len(journal), "broken": different}
        if not desk.check(deep=True).holds:
            seen["broken"] = str(desk.check(deep=True))
    finally:
        journal.close()
    return seen | {"slowest_opening_s": round(slowest, 2)}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fills", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    began = time.perf_counter()
    with TemporaryDirectory(prefix="sleeves-fills-") as folder:
        seen = run(args.fills, args.restarts, args.seed, folder)
    took = {"sqlite": sqlite3.sqlite_version, "s": round(time.perf_counter() - began, 1)}
    print(json.dumps({"test": "fills", "seed": args.seed, **seen, **took}))
    return 1 if seen["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
