"""Funding, de-peg, scalp and arbitrage beside the trend engine: one treasury, one account, one pass over the data.

    python examples/four_engines.py

Five engines, five purses, in two core vaults: US dollars for four of them, SOL for the staking token. Trend and funding
trade the same BTC/USD market, and neither knows of the other: each fares as it would alone. Should they want to trade with
each other at one instant, it is done inside at the middle, with no fee.

BTC prices are a month of the packaged candles, taken as the contract's too; its funding rates are assumed. All else is
synthetic, shaped so that each engine meets what it waits for, and says nothing of what it would earn: the pages under
docs/engines show what real data made of them. With plotly installed the report with its graphs is written to
four_engines.html.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from sleeves import BTC, FLASH, QUIET, SOL, USD, Allowance, Asset, CoreVault, Desk, Instrument, ProfitPolicy
from sleeves.engines import Arb, Depeg, Funding, Pair, Peg, Pod, Scalp, Trend
from sleeves.engines.depeg import JITOSOL
from sleeves.errors import MissingExtra
from sleeves.market import DAY, HOUR, MINUTE, SECOND, FundingRate, Kind
from sleeves.news import FairValue
from sleeves.records import BundleUpdate, Crossed
from sleeves.sim import ConstantProduct, Fees, Rules, Settles, Slippage, Tape, replay

SPOT = Tape.sample().instrument
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", min_qty="0.001", kind=Kind.PERP)
TOKEN = Instrument("jitoSOL/SOL", base=JITOSOL.coin, quote=SOL, tick="0.000001", lot="0.000001", min_qty="0.001")
WIF = Instrument("WIF/USD", base=Asset("WIF", 6), quote=USD, tick="0.0001", lot="0.01", min_notional="1")
BONK = Instrument("BONK/USD", base=Asset("BONK", 5), quote=USD, tick="0.00000001", lot="1", min_notional="1")
POOLS = tuple(Instrument(f"SOL-{name}/USD", base=SOL, quote=USD, tick="0.0001", lot="0.0001") for name in "AB")
MONTH = Tape.sample().slice(24 * 40, 24 * 70)
BEGIN = MONTH.at[0]


def drawn(market: Instrument, since: int, step: int, rows: int, price: Callable[[int], float], volume: Callable[[int], float]) -> Tape:
    """A tape whose closes follow a function of the row; each row opens where the last one closed."""
    closes = [market.price_text(market.round_price(price(row))) for row in range(rows + 1)]
    bars = list(pairwise(closes))
    return Tape.from_columns(
        market,
        ts=[since + step * row for row in range(rows)],
        open=[bar[0] for bar in bars],
        high=[max(bar, key=float) for bar in bars],
        low=[min(bar, key=float) for bar in bars],
        close=[bar[1] for bar in bars],
        volume=[f"{volume(row):.2f}" for row in range(rows)],
        name=f"synthetic {market}",
    )


def bitcoin() -> Sequence[Tape]:
    """A month of real prices, for the coin and, as an assumption, for the contract; rates of 0.06% every eight hours, assumed."""
    columns = {name: [PERP.price_text(price) for price in getattr(MONTH, name)] for name in ("open", "high", "low", "close")}
    perp = Tape.from_columns(PERP, ts=list(MONTH.at), **columns, name="BTC/USD candles as a contract's prices")
    due = [(at, price) for at, price in zip(MONTH.at, MONTH.open, strict=True) if at % (8 * HOUR) == 0 and at > BEGIN]
    return MONTH, perp.with_funding([FundingRate.of(PERP, "0.06%", price=price, at=at) for at, price in due])


def bursts() -> Sequence[Tape]:
    """An hour of five-second prices of two coins: one burst goes on, the other turns."""
    tapes = []
    for market, start, begins, path in (
        (WIF, 2.4, 240, [1.01, 1.02, 1.03, *(1.03 + 0.004 * n for n in range(1, 16))]),
        (BONK, 0.0000125, 400, [1.01, 1.02, 1.03, 1.03, *(1.03 - 0.01 * n for n in range(1, 8))]),
    ):
        dice, walk = random.Random(start), [start]
        for _ in range(720):
            walk.append(walk[-1] * math.exp(dice.gauss(0, 0.0002)))

        def price(row: int, walk: list[float] = walk, begins: int = begins, path: list[float] = path) -> float:
            return walk[row] * (path[min(row - begins, len(path) - 1)] if row >= begins else 1)

        def volume(row: int, dice: random.Random = dice, begins: int = begins) -> float:
            return dice.lognormvariate(3, 0.5) * (20 if begins <= row < begins + 3 else 1)

        tapes.append(drawn(market, BEGIN + 3 * DAY, 5 * SECOND, 720, price, volume))
    return tapes


def pools() -> Sequence[Tape]:
    """Two pools of SOL; now and then others push the second one up by one or two percent, for a minute."""
    dice = random.Random(7)
    walk = [80.0]
    for _ in range(360):
        walk.append(walk[-1] * math.exp(dice.gauss(0, 0.0002)))

    def pushed(row: int) -> float:
        return walk[row] * (1 + (0.01 * (1 + row // 120 % 2) if 60 <= row % 120 < 72 else 0))

    since = BEGIN + 5 * DAY
    prices: Sequence[Callable[[int], float]] = (lambda row: walk[row], pushed)
    return [drawn(market, since, 5 * SECOND, 360, price, lambda _: 100.0) for market, price in zip(POOLS, prices, strict=True)]


def token() -> Tape:
    """jitoSOL at 1.24 SOL, with a seller who drives it down by 8% for half an hour, and what its pool says that it is worth."""
    since, step, rows = BEGIN + 7 * DAY, 5 * MINUTE, 3 * 288

    def price(row: int) -> float:
        down = {288: 0.05, 289: 0.08, 290: 0.08, 291: 0.08, 292: 0.06, 293: 0.03}
        return 1.24 * (1 - down.get(row, 0.001))

    tape = drawn(TOKEN, since, step, rows, price, lambda _: 1_000.0)
    return tape.with_news([FairValue(JITOSOL.coin, SOL, since + step * row, 124, 100, "synthetic") for row in range(rows)])


def engines() -> dict[str, tuple[Any, str, ProfitPolicy, str]]:
    """By name: the engine, the vault that it is in, what becomes of its profit, and its money."""
    pair = Pair(SPOT, PERP, spot_fee="0.1%", perp_fee="0.05%", slippage="0.02%")
    return {
        "trend": (Trend.quiet(SPOT), "USD", QUIET, "10000"),
        "funding": (Funding(pair, room="60%", least_health=80, critical=75), "USD", QUIET, "20000"),
        "scalp": (Scalp([Pod("memes", [WIF, BONK], budget="2000")]), "USD", FLASH, "2000"),
        "arb": (Arb(USD, POOLS, most="2000", least="0.5"), "USD", FLASH, "5000"),
        "depeg": (Depeg([Peg(JITOSOL, TOKEN)], cap="20", total="40", price_age=5 * MINUTE, fair_age=HOUR), "SOL", QUIET, "40"),
    }


def desk_with(*names: str) -> Desk:
    """A desk over both vaults, with these engines at sleeves of their own."""
    dollars = CoreVault(USD, total="50000", tradeable="40000", reserve="5%")
    vaults = {"USD": dollars, "SOL": CoreVault(SOL, total="60", tradeable="50", books=dollars.books)}
    desk = Desk(*vaults.values(), self_trade="cross", most_leverage=5, allowance=Allowance.of(fee="0.4%", slippage="1%"))
    for name, (engine, vault, policy, money) in engines().items():
        if name in names:
            desk.assign(engine, to=vaults[vault].sleeve(name, policy, allocate=money))
    return desk


def market() -> tuple[list[Tape], dict[str, Rules]]:
    exchange = Rules(Fees.of("0.05%", "0.1%"), Slippage.of("0.02%", "0.05%"), settles=Settles.AT_ONCE)
    pool = Rules(pool=ConstantProduct(SOL("4000").units, USD("320000").units, 2_500))
    tapes = [*bitcoin(), *bursts(), *pools(), token()]
    return tapes, {tape.instrument.symbol: pool if tape.instrument in POOLS else exchange for tape in tapes}


def main() -> None:
    desk = desk_with(*engines())
    tapes, rules = market()
    report = replay(desk, tapes, rules=rules, progress=False, bounds=False)

    print(report)
    print("\nWho earned what, and why:")
    for name, (engine, *_) in engines().items():
        print(f"\n{desk.explain(name)}")
        print(f"  {engine.describe()}")
        print("  at the end: " + "; ".join(f"{what}: {value}" for what, value in desk.telemetry(name).saw.items() if value))
    crossed = sum(isinstance(record, Crossed) for record in desk.books.journal)
    bundles = [record.status for record in desk.books.journal if isinstance(record, BundleUpdate) and record.status.over]
    print(f"\nBundles: {', '.join(f'{bundles.count(status)} {status}' for status in dict.fromkeys(bundles))}; traded inside: {crossed}x")
    print(f"\n{desk.inventory()}\n")
    print(report.proof.require())
    try:
        report.save("four_engines.html")
        print("\nthe report with its graphs: four_engines.html")
    except MissingExtra as missing:
        print(f"\nno picture: {missing}")


if __name__ == "__main__":
    main()
