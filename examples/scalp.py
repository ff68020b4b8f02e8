"""Scalp: six coins in three pods, an hour of five-second prices, bursts that go on, turn, or die. All of it is made up.

The prices are random walks of a seed, into which this file puts four bursts, so that each rule of the engine can be seen
at work. They say nothing about what scalping earns: docs/engines/scalp.md shows what a month of real candles made of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from sleeves import BTC, ETH, QUIET, SOL, USD, Asset, CoreVault, Desk, Instrument
from sleeves.engines import Pod, Scalp, Sentiment
from sleeves.errors import MissingExtra
from sleeves.market import HOUR, MINUTE, SECOND
from sleeves.news import Reading
from sleeves.orders import Fill
from sleeves.records import Placed
from sleeves.sim import Tape, replay

ROWS, STEP, BEGIN = 720, 5, 1_700_000_000


def market(base: Asset, tick: str) -> Instrument:
    return Instrument(f"{base.code}/USD", base=base, quote=USD, tick=tick, lot="0.00001", min_notional="1")


MARKETS = {
    name: market(base, tick)
    for name, base, tick in (
        ("BTC", BTC, "0.01"),
        ("ETH", ETH, "0.01"),
        ("SOL", SOL, "0.001"),
        ("BONK", Asset("BONK", 5), "0.00000001"),
        ("WIF", Asset("WIF", 6), "0.0001"),
        ("JUP", Asset("JUP", 6), "0.0001"),
    )
}
PRICES = {"BTC": 43_000.0, "ETH": 2_300.0, "SOL": 60.0, "BONK": 0.0000125, "WIF": 2.4, "JUP": 0.62}
BURSTS = {
    "WIF": (240, [1.01, 1.02, 1.03, *(1.03 + 0.004 * n for n in range(1, 16))]),  # goes on
    "BONK": (300, [1.01, 1.02, 1.03, 1.03, *(1.03 - 0.01 * n for n in range(1, 8))]),  # turns
    "SOL": (420, [1.01, 1.02, 1.03] + [1.03] * 80),  # dies
    "JUP": (520, [1.01, 1.02, 1.03, *(1.03 + 0.004 * n for n in range(1, 16))]),  # goes on, while the feed says: fear
}
SURGE = 3  # rows with twenty times the volume


def tape(name: str, seed: int) -> Tape:
    rng, instrument, price = random.Random(seed), MARKETS[name], PRICES[name]
    closes, volumes = [], []
    begins, path = BURSTS.get(name, (ROWS, []))
    base = 0.0
    for row in range(ROWS):
        if begins <= row < begins + len(path):
            base = base or price
            price = base * path[row - begins]
        else:
            price *= math.exp(rng.gauss(0, 0.0002))
        closes.append(instrument.price_text(instrument.round_price(price)))
        volumes.append(f"{rng.lognormvariate(3, 0.5) * (20 if begins <= row < begins + SURGE else 1):.5f}")
    opens = [closes[0], *closes[:-1]]
    bars = list(zip(opens, closes, strict=True))
    return Tape.from_columns(
        instrument,
        ts=[BEGIN + STEP * row for row in range(ROWS)],
        open=opens,
        high=[max(bar, key=float) for bar in bars],
        low=[min(bar, key=float) for bar in bars],
        close=closes,
        volume=volumes,
        name=f"synthetic {name}",
    )


def tapes() -> Sequence[Tape]:
    """The six markets, and an outside feed along the first of them: a mood of 60 of 100, then, from minute 40 on, of 5."""
    made = [tape(name, seed) for seed, name in enumerate(MARKETS)]
    begin = made[0].at[0]
    feed = [Reading("fear-and-greed", begin + minute * MINUTE, value) for minute, value in ((1, 60.0), (20, 60.0), (40, 5.0))]
    return [made[0].with_news(feed), *made[1:]]


def main() -> None:
    pods = [
        Pod("majors", [MARKETS["BTC"], MARKETS["ETH"], MARKETS["SOL"]], budget="2000", priority=8),
        Pod("memes", [MARKETS["BONK"], MARKETS["WIF"]], budget="600"),
        Pod("defi", [MARKETS["JUP"]], budget="400"),
    ]
    mood = Sentiment("fear-and-greed", low=10, high=80, age=HOUR, weight=0.2)
    engine = Scalp(pods, sentiments=[mood])
    vault = CoreVault(USD, total="3000", tradeable="3000")
    sleeve = vault.sleeve("scalp", QUIET, allocate="3000")
    desk = Desk(vault, mark_every=MINUTE)
    desk.assign(engine, to=sleeve)
    report = replay(desk, tapes())

    print(engine.describe())
    print()
    print(report)
    print("\nWhat it did, and why:")
    why = {record.order.id: record.order.place.why for record in desk.books.journal if isinstance(record, Placed)}
    for fill in desk.books.journal:
        if isinstance(fill, Fill):
            minute, seconds = divmod((fill.at // SECOND) - BEGIN, 60)
            price = fill.instrument.price_text(fill.price)
            print(f"  {minute:>2}:{seconds:02} {fill.side:<4} {fill.instrument.symbol:<9} at {price:<12} {why[fill.order_id]}")
    print("\nWhat it last saw:")
    print(desk.telemetry(sleeve))
    assert report.proof.holds
    try:
        report.save("scalp.html")
        print("\nThe report with its graphs is in scalp.html")
    except MissingExtra as missing:
        print(f"\nNo picture: {missing}")


if __name__ == "__main__":
    main()
