"""What the tests of tuning stand on: small tapes, small engines, and desks made of them. The desks and the books are the real ones."""

from __future__ import annotations

import random

from sleeves import BTC, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import HOUR
from sleeves.sim import Fees, Rules, Slippage, Tape

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
BEGIN = 1_600_000_000 // 86_400 * 86_400
CHEAP = Rules(Fees(100, 100), Slippage.of("0.001%", "0.001%"))
"""Rules that cost next to nothing, so that what a test is about is what decides."""


def tape_of(closes, *, begin=BEGIN, step=3600, ts=None, name="made"):
    """Bars that open where the last one closed."""
    opens = [closes[0], *closes[:-1]]
    ts = [begin + step * n for n in range(len(closes))] if ts is None else ts
    pairs = list(zip(opens, closes, strict=True))
    highs, lows = list(map(max, pairs)), list(map(min, pairs))
    return Tape.from_columns(MARKET, ts=ts, open=opens, high=highs, low=lows, close=closes, interval=step * 1_000_000_000, name=name)


def walk(rows, seed=1, *, step=0.01):
    rng, price, closes = random.Random(seed), 10_000.0, []
    for _ in range(rows):
        price *= 1 + rng.gauss(0, step)
        closes.append(round(price, 2))
    return tape_of(closes, name=f"walk {seed}")


class Swing:
    """Buys with all it has when the price fell by `dip` from one row to the next, sells `keep` rows later."""

    name = "swing"
    every = 0
    watches = (MARKET,)

    def __init__(self, dip=0.005, keep=5):
        self.dip, self.keep = dip, keep

    def begin(self):
        return {"last": 0, "since": 0}

    def decide(self, memory, view):
        price, last = view.book.bid, memory["last"]
        memory["last"] = price
        held = view.position(MARKET)
        if held:
            memory["since"] += 1
            return (Place(MARKET, Side.SELL, held),) if memory["since"] >= self.keep and not view.orders() else None
        memory["since"] = 0
        if last and price < last * (1 - self.dip) and not view.orders():
            return (Place(MARKET, Side.BUY, view.affordable(MARKET)),)
        return None


def desk_of(engine, *, money="10000"):
    vault = CoreVault(USD, total=money, tradeable=money)
    desk = Desk(vault)
    desk.assign(engine, to=vault.sleeve("a", QUIET, allocate=money))
    return desk


def swinging(dip=0.005, keep=5):
    return desk_of(Swing(dip, keep))


SPACE = {"dip": (0.001, 0.03), "keep": (1, 24)}


class Told:
    """Is long on the rows at whose times it was told to be, and flat on the others."""

    name = "told"
    every = 0
    watches = (MARKET,)

    def __init__(self, times):
        self.times = frozenset(times)

    def begin(self):
        return None

    def decide(self, memory, view):
        held = view.position(MARKET)
        if view.now in self.times and not held:
            return (Place(MARKET, Side.BUY, view.affordable(MARKET)),)
        if held and view.now not in self.times:
            return (Place(MARKET, Side.SELL, held),)
        return None


DAY_ROWS = 24
HOURS = HOUR
