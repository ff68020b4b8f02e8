"""Three investors, one pool, two makers on a simulated order book: who owns what of it, from hour to hour.

Mia runs it, for 2% a year and 10% of what is won. Ann brings money at the start, Bob a third of the way in, Cleo after two
thirds. Ann leaves early, Bob late, Cleo stays. Two sub-vaults quote perpetuals on order books where others trade, all of it
from one seed. The prices are a random walk and no market's; the example shows whose the money is, not that making markets
pays.

    python examples/megavault.py            writes megavault.html where plotly is installed
"""

from __future__ import annotations

import argparse
import random

import anyio

from sleeves import QUIET, SOL, USDC, Asset, CoreVault, Desk, Instrument, Megavault
from sleeves.engines import Maker
from sleeves.live import carry
from sleeves.market import HOUR, MINUTE, Kind
from sleeves.megavault import PoolSample
from sleeves.quoting import QuotingParams
from sleeves.shares import Fees as PoolFees
from sleeves.shares import Terms
from sleeves.sim import Fees, Flow, Rules, Tape, VirtualDriver

JTO = Asset("JTO", 6)
MARKETS = {
    "sol": Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP),
    "jto": Instrument("JTO-PERP", base=JTO, quote=USDC, tick="0.0001", lot="1", kind=Kind.PERP),
}
START = {"sol": 15_000, "jto": 25_000}
QUOTES = QuotingParams.of(layers=2, spread_min="0.2%", spread_buffer="0%", skew_factor="2", order_size="5%", expiry_s=3_600, activation=0)


def walk(name: str, hours: int, seed: int) -> Tape:
    """A price per minute that wanders and returns, in ticks, from a seed."""
    dice, price, market = random.Random(f"{seed}{name}"), START[name], MARKETS[name]
    rows = []
    for minute in range(hours * 60):
        before = price
        price = max(START[name] // 2, price + dice.choice((-1, 0, 1)) * max(1, price // 4_000) + (START[name] - price) // 500)
        rows.append((minute * 60 + 1_700_000_000, before, max(before, price), min(before, price), price))
    columns = dict(zip(("ts", "open", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    texts = {what: list(values) if what == "ts" else [market.price_text(one) for one in values] for what, values in columns.items()}
    return Tape.from_columns(market, **texts, interval=MINUTE, name=f"a walk from seed {seed}")


async def run(hours: int, seed: int) -> tuple[Megavault, list[PoolSample]]:
    tapes = [walk(name, hours, seed) for name in MARKETS]
    fees = Fees.of(maker="-0.01%", taker="0.05%")
    flows = {
        "SOL-PERP": Rules.of(fees=fees, book=Flow.seeded(seed, spread="0.4%", size="4", refreshes=1, takes="0.5", take_size="2")),
        "JTO-PERP": Rules.of(fees=fees, book=Flow.seeded(seed + 1, spread="0.4%", size="200", refreshes=1, takes="0.5", take_size="100")),
    }
    venue = VirtualDriver(tapes, {"USDC": USDC("0")}, flows, wallet={"USDC": USDC("100000")})

    vault = CoreVault(USDC, total="0")
    desk = Desk(vault)
    terms = Terms.of(USDC, fees=PoolFees.of(management="2%", performance="10%"), manager="mia", price_age_ns=5 * MINUTE)
    pool = Megavault(vault, terms=terms, marks=desk.marks)
    pool.set_quoting(QUOTES)
    for name, market in MARKETS.items():
        desk.assign(Maker(market, QUOTES, every=MINUTE, name=f"maker-{name}"), to=vault.sleeve(name, QUIET))

    begin = 1_700_000_000 * 1_000_000_000
    brings = {"ann": (0, "6000"), "bob": (hours // 3, "3000"), "cleo": (2 * hours // 3, "4000")}
    leaves = {"ann": hours // 2, "bob": 5 * hours // 6}
    asked: set[str] = set()
    left: set[str] = set()
    samples: list[PoolSample] = []
    async for event in venue.events():
        await carry(desk, list(desk.step(event)), venue)
        now = desk.books.now
        if len(desk.marks()) < len(MARKETS):
            continue
        for who, (hour, money) in brings.items():
            if who not in asked and now >= begin + hour * HOUR:
                asked.add(who)
                await carry(desk, list(desk.deposit(vault, money, client=who)), venue)
            waiting = vault.client_money(who)
            if waiting.units and who not in left:  # it is here: invest it, and share it among the makers
                issued = pool.invest(who, waiting)
                for name in MARKETS:
                    pool.allocate(name, USDC.units(waiting.units * 2 // 5))
                print(f"{(now - begin) // HOUR:>4} h  {who} brings {issued.money}, is issued {issued.shares:,} shares")
        for who, hour in leaves.items():
            if who not in left and who in pool.investors() and now >= begin + hour * HOUR:
                out = pool.withdraw(who, "all")
                left.add(who)
                parts = ", ".join(f"{one.name or 'main'} {USDC.units(one.units)}" for one in out.drawn)
                print(f"{(now - begin) // HOUR:>4} h  {who} leaves with {out.money} ({parts})")
                await carry(desk, list(desk.withdraw(vault, out.money, by=who, client=who)), venue)
        if pool.total and (not samples or now >= samples[-1].at + HOUR):
            samples.append(pool.sample())
    desk.check(venue.exchange.balances(), positions=venue.exchange.positions()).require()
    pool.check()
    return pool, samples


def table(samples: list[PoolSample], every: int) -> list[str]:
    """What each investor has, every so many hours."""
    names = list(dict.fromkeys(name for one in samples for name in one.worth))
    lines = [f"{'hour':>6}{'price':>11}" + "".join(f"{name:>12}" for name in names)]
    for n, one in enumerate(samples):
        if n % every == 0 or n == len(samples) - 1:
            worth = "".join(f"{one.worth[name]:>12,.2f}" if name in one.worth else f"{'':>12}" for name in names)
            lines.append(f"{n:>6}{float(one.price or 0):>11.6f}{worth}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=24, help="how long the market is open (default: 24)")
    parser.add_argument("--seed", type=int, default=7, help="which market (default: 7)")
    parser.add_argument("--out", default="megavault.html", help="where the picture goes (default: megavault.html)")
    args = parser.parse_args()
    if args.hours < 6:
        parser.error("the story takes six hours at least: investors come and leave in it")

    pool, samples = anyio.run(run, args.hours, args.seed)
    print("\n".join(["", *table(samples, max(1, args.hours // 12))]))
    print()
    for name, sleeve in pool.core.sleeves.items():
        print(f"{name}: realized {sleeve.realized}, fees {sleeve.fees} (below zero: rebates), position {sleeve.position(MARKETS[name])}")
    print(f"{pool.total:,} shares are out; what was minted less what was redeemed is what investors have, and the books equal the venue.")
    try:
        from sleeves.plots import pool as picture

        picture(samples).write_html(args.out, include_plotlyjs=True)
        print(f"The picture is in {args.out}.")
    except ImportError:
        print('No picture: python -m pip install ".[plots]" brings plotly.')


if __name__ == "__main__":
    main()
