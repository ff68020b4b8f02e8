"""Five pools that drift apart, and the bundles that go round them: what each was to make, and what it made.

    python examples/arbitrage.py

All prices are synthetic: there is no public series of pools at hand. Three pools trade SOL for USDC, one jitoSOL for
USDC, one jitoSOL for SOL; their prices follow one walk, each with a drift of its own that comes back within seconds. An
order meets the pools at the price of the next second, when they have moved on: some bundles miss their limits.

With plotly installed, a picture of the gaps and of what was made is written to arbitrage.html.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

from sleeves import QUIET, SOL, USDC, Allowance, Asset, CoreVault, Desk, Instrument
from sleeves.amm import ConstantProduct
from sleeves.engines import Arb
from sleeves.market import SECOND
from sleeves.orders import Fill
from sleeves.records import Bundled, BundleStatus, BundleUpdate, Placed
from sleeves.sim import Fees, Rules, Tape, replay

JITOSOL = Asset("jitoSOL", 9)
BEGIN = 1_767_225_600_000_000_000  # 2026-01-01
SECONDS = 300

ORCA, RAYDIUM, METEORA = (
    Instrument(f"SOL/USDC.{name}", base=SOL, quote=USDC, tick="0.0001", lot="0.001") for name in ("orca", "ray", "met")
)
LST = Instrument("jitoSOL/USDC", base=JITOSOL, quote=USDC, tick="0.0001", lot="0.001")
CROSS = Instrument("jitoSOL/SOL", base=JITOSOL, quote=SOL, tick="0.000001", lot="0.001")

POOLS = {
    ORCA: ConstantProduct(SOL("40000").units, USDC("6000000").units, 400),
    RAYDIUM: ConstantProduct(SOL("20000").units, USDC("3000000").units, 2_500),
    METEORA: ConstantProduct(SOL("8000").units, USDC("1200000").units, 400),
    CROSS: ConstantProduct(JITOSOL("20000").units, SOL("22000").units, 100),
    LST: ConstantProduct(JITOSOL("8000").units, USDC("1320000").units, 400),
}
"""Reserves, and a fee in parts per million, at a price that the tapes then move. In the order in which cycles pass them."""


def world(seed: int) -> dict[Instrument, list[str]]:
    """Prices by the second: a common walk, and for each pool a drift that loses a thirtieth of itself each second."""
    dice = random.Random(seed)
    drift, mid = dict.fromkeys(POOLS, 0.0), 150.0
    paths: dict[Instrument, list[str]] = {market: [] for market in POOLS}
    for _ in range(SECONDS):
        mid *= 1 + dice.gauss(0, 0.0001)
        for market in POOLS:
            drift[market] = 0.97 * drift[market] + dice.gauss(0, 0.0004)
            fair = 1.1 if market is CROSS else 1.1 * mid if market is LST else mid
            paths[market].append(market.price_text(market.round_price(fair * (1 + drift[market]))))
    return paths


def tape(market: Instrument, prices: Sequence[str]) -> Tape:
    ts = [BEGIN + SECOND * row for row in range(len(prices))]
    return Tape.from_columns(market, ts=ts, open=prices, high=prices, low=prices, close=prices, name="synthetic")


def picture(paths: Mapping[Instrument, Sequence[str]], made: Sequence[tuple[int, float, str]]) -> None:
    """How far each pool stands from the mean of the three SOL pools, and what bundles made, one below the other."""
    try:
        from plotly.subplots import make_subplots
    except ImportError:
        print("no picture: plotly is not installed (pip install 'sleeves[plots]')")
        return
    three = (ORCA, RAYDIUM, METEORA)
    mean = [sum(float(paths[market][row]) for market in three) / 3 for row in range(SECONDS)]
    titles = ["SOL/USDC, percent off the mean of three pools", "made so far, USDC, gas and tips apart"]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, subplot_titles=titles)
    for market, colour in zip(three, ("#0072B2", "#E69F00", "#56B4E9"), strict=True):
        off = [100 * (float(price) / mid - 1) for price, mid in zip(paths[market], mean, strict=True)]
        figure.add_scatter(x=list(range(SECONDS)), y=off, name=market.symbol, line={"color": colour, "width": 1}, row=1, col=1)
    total, x, y, colours = 0.0, [], [], []
    for second, net, status in made:
        total += net
        x, y, colours = [*x, second], [*y, total], [*colours, "#009E73" if status == "done" else "#D55E00"]
    marker = {"color": colours, "size": 6}
    figure.add_scatter(x=x, y=y, name="bundles: green done, red rolled back", mode="lines+markers", marker=marker, row=2, col=1)
    figure.update_layout(title=f"Arbitrage, synthetic: {total:.2f} USDC in {SECONDS // 60} minutes", height=640, template="plotly_white")
    figure.write_html("arbitrage.html", include_plotlyjs=True)
    print("picture: arbitrage.html")


def main() -> None:
    paths = world(seed=7)
    vault = CoreVault(USDC, total="60000", tradeable="50000")
    sleeve = vault.sleeve("arb", QUIET, allocate="40000")
    engine = Arb(USDC, tuple(POOLS), least="0.25", least_rate="0.02%", most="20000", success="80%", age_ns=2 * SECOND, cooldown=2 * SECOND)
    desk = Desk(vault, allowance=Allowance(0, 0))  # the pools' fees are in their prices: nothing more needs to be set aside
    desk.assign(engine, to=sleeve)
    print(engine.describe() + "\n")
    rules = {market.symbol: Rules(Fees(0, 0), pool=pool) for market, pool in POOLS.items()}
    report = replay(desk, [tape(market, path) for market, path in paths.items()], rules=rules, progress=False)
    print(report)

    placed = {record.order.id: record for record in desk.books.journal if isinstance(record, Placed)}
    bundles = {record.id: record for record in desk.books.journal if isinstance(record, Bundled)}
    ends = {record.id: record.status for record in desk.books.journal if isinstance(record, BundleUpdate)}
    cash, last, paid = Counter[str](), dict[str, int](), Counter[str]()
    for fill in desk.books.journal:
        if isinstance(fill, Fill) and fill.instrument.quote == USDC:
            name = placed[fill.order_id].bundle
            cash[name] -= fill.side.sign * fill.cost
            paid[name] += fill.cost if fill.side.sign > 0 else 0
            last[name] = fill.at
    done = [name for name in bundles if ends.get(name) is BundleStatus.DONE]
    missed = [name for name in bundles if ends.get(name) is BundleStatus.NOTHING and cash[name]]
    untouched = [name for name in bundles if ends.get(name) is BundleStatus.NOTHING and not cash[name]]
    going = [name for name in bundles if name not in ends]
    costs = engine.costs.per_step * sum(len(bundles[name].bundle.legs) for name in (*done, *missed, *untouched))
    expected = sum(bundles[name].bundle.legs[-1].expect or 0 for name in done)
    print(f"\n{len(bundles)} bundles in {SECONDS // 60} minutes:")
    print(f"  {len(done):>3} went through: {USDC.units(sum(cash[name] for name in done))} of {USDC.units(expected)} expected after gas")
    print(f"  {len(missed):>3} missed a limit and were rolled back: {USDC.units(sum(cash[name] for name in missed))}")
    print(f"  {len(untouched):>3} missed their first limit: nothing was traded")
    if going:
        print(f"  {len(going):>3} under way at the end: {USDC.units(sum(cash[name] for name in going))}")
    print(f"  coins that were left over, sold apart: {USDC.units(cash[''])}")
    made = USDC.units(sum(cash.values())) + sleeve.deployed
    print(f"  coins that are held at the end, at cost: {sleeve.deployed}")
    print(f"  together {made}: what the sleeve has made, {sleeve.balance - sleeve.allocation}")
    print(f"  gas and tips, which the simulator does not book: {USDC.units(-costs)}")
    share = Decimal(sum(cash[name] for name in done)) / sum(paid[name] for name in done)
    print(f"  those that went through made {share:.3%} of what went in")
    legs = Counter(len(bundles[name].bundle.legs) for name in done)
    print("  legs: " + ", ".join(f"{count} with {number}" for number, count in sorted(legs.items())))

    print("\nWhat it saw last:")
    print(desk.telemetry(sleeve))
    report.proof.require()
    picture(paths, [((last[name] - BEGIN) // SECOND, cash[name] / 10**6, str(ends[name])) for name in (*done, *missed) if name in last])


if __name__ == "__main__":
    main()
