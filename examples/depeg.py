"""Three staking tokens below their fair value: one comes back, one does not, and one is worth less than it was.

    python examples/depeg.py

All prices are synthetic: there is no public series of these markets at hand. mSOL falls by 14% and is back within half an
hour, shaped on 12 December 2023, when one seller did that. jitoSOL sinks by 2.5% and stays there for four days, so that it
is unstaked. The pool of bSOL loses 8% at once and the price follows: there is no discount, and nothing is bought.

With plotly installed, a picture of prices, fair values and trades is written to depeg.html.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from sleeves import QUIET, SOL, CoreVault, Desk, Instrument
from sleeves.amm import Outside
from sleeves.engines.depeg import BSOL, JITOSOL, MSOL, Depeg, Peg, Token
from sleeves.market import HOUR, MINUTE
from sleeves.news import FairValue
from sleeves.orders import Fill, Side
from sleeves.records import Placed
from sleeves.report import Report
from sleeves.sim import Fees, Latency, Rules, Slippage, Tape, replay

STEP = 5 * MINUTE
ROWS_A_DAY = 288
DAYS = 9
BEGIN = 1_767_225_600_000_000_000  # 2026-01-01
TICK = "0.000001"

Path = list[Fraction]


def line(path: Path, rows: int, to: str) -> Path:
    """The path with a straight line behind it, over so many rows to a value."""
    begin = path[-1]
    return [*path, *(begin + (Fraction(to) - begin) * Fraction(n, rows) for n in range(1, rows + 1))]


def noisy(path: Path, seed: int) -> Path:
    """Up to three hundredths of a percent more or less, seeded."""
    dice = random.Random(seed)
    return [value + Fraction(dice.randint(-300, 300), 1_000_000) for value in path]


def worlds() -> dict[Token, tuple[Path, Path]]:
    """Fair value and discount of each token at each row."""
    length = DAYS * ROWS_A_DAY + 1
    crash = line([Fraction(1, 1_000)], ROWS_A_DAY, "0.001")
    for rows, to in ((2, "0.14"), (1, "0.14"), (3, "0.001"), (length - len(crash) - 6, "0.001")):
        crash = line(crash, rows, to)
    sinks = line([Fraction(1, 1_000)], 2 * ROWS_A_DAY, "0.001")
    for rows, to in ((ROWS_A_DAY // 2, "0.025"), (4 * ROWS_A_DAY, "0.025"), (ROWS_A_DAY // 2, "0.0005")):
        sinks = line(sinks, rows, to)
    sinks = line(sinks, length - len(sinks), "0.0005")
    calm = [Fraction(1, 1_000)] * length
    grows = [(1 + Fraction(38, 100_000)) ** (row // (2 * ROWS_A_DAY)) for row in range(length)]  # about 7% a year, by epochs
    lost = [Fraction(92, 100) if row >= 4 * ROWS_A_DAY + 7 else Fraction(1) for row in range(length)]
    return {
        MSOL: ([Fraction("1.34") * n for n in grows], noisy(crash, 1)),
        JITOSOL: ([Fraction("1.24") * n for n in grows], noisy(sinks, 2)),
        BSOL: ([Fraction("1.27") * n * part for n, part in zip(grows, lost, strict=True)], noisy(calm, 3)),
    }


def market(token: Token, suffix: str = "") -> Instrument:
    return Instrument(f"{token.coin}/SOL{suffix}", base=token.coin, quote=SOL, tick=TICK, lot="0.000001", min_qty="0.001")


def tape(instrument: Instrument, prices: Path) -> Tape:
    text = [instrument.price_text(instrument.round_price(float(price))) for price in prices]
    rows = range(len(text) - 1)
    return Tape.from_columns(
        instrument,
        ts=[BEGIN + STEP * row for row in rows],
        open=text[:-1],
        high=[max(text[row : row + 2], key=float) for row in rows],
        low=[min(text[row : row + 2], key=float) for row in rows],
        close=text[1:],
        name="synthetic",
    )


def unstaking(token: Token) -> Rules:
    """Any amount at fair value, which is the tape's price, less the fee and after the delay."""
    pool = Outside(base=0, quote=SOL("100000").units, numerator=1, denominator=1, fee_ppm=token.unstake_fee)
    return Rules(pool=pool, latency=Latency(order_ns=token.unstake_delay))


def picture(report: Report, pegs: Sequence[Peg], paths: dict[Token, tuple[Path, Path]], fills: Sequence[Fill]) -> None:
    """Prices, fair values and trades of each token, one below the other."""
    try:
        from plotly.subplots import make_subplots
    except ImportError:
        print("no picture: plotly is not installed (pip install 'sleeves[plots]')")
        return

    def when(at: int) -> str:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1_000)).isoformat()

    figure = make_subplots(rows=len(pegs), cols=1, shared_xaxes=True, subplot_titles=[f"{peg.token.coin} in SOL" for peg in pegs])
    for number, peg in enumerate(pegs, 1):
        fair, discount = paths[peg.token]
        times = [when(BEGIN + STEP * row) for row in range(len(fair))]
        prices = [float(f * (1 - d)) for f, d in zip(fair, discount, strict=True)]
        first = number == 1
        for name, values, colour in (("price", prices, "#56B4E9"), ("fair value", [float(f) for f in fair], "#808790")):
            figure.add_scatter(x=times, y=values, name=name, line_color=colour, showlegend=first, row=number, col=1)
        for side, symbol, colour in ((Side.BUY, "triangle-up", "#009E73"), (Side.SELL, "triangle-down", "#D55E00")):
            own = [fill for fill in fills if fill.side is side and fill.instrument.base == peg.token.coin]
            marker = {"symbol": symbol, "size": 11, "color": colour}
            x, y = [when(fill.at) for fill in own], [fill.instrument.price_float(fill.price) for fill in own]
            figure.add_scatter(x=x, y=y, name=side.value, mode="markers", marker=marker, showlegend=first, row=number, col=1)
    net = report.rows()[0]["net_profit"]
    figure.update_layout(title=f"De-pegs, synthetic: {net} SOL earned", height=260 * len(pegs) + 120, template="plotly_white")
    figure.write_html("depeg.html", include_plotlyjs=True)
    print("picture: depeg.html")


def main() -> None:
    paths = worlds()
    pegs = (
        Peg(MSOL, market(MSOL), market(MSOL, ".unstake")),
        Peg(JITOSOL, market(JITOSOL), market(JITOSOL, ".unstake")),
        Peg(BSOL, market(BSOL)),
    )
    costs = Rules(Fees.of("0.1%", "0.1%"), Slippage.of("0.05%", "0.15%", full_at="20"))
    tapes, rules = [], {}
    for peg in pegs:
        fair, discount = paths[peg.token]
        news = [FairValue(peg.token.coin, SOL, BEGIN + STEP * row, int(f * 10**12), 10**12, "synthetic") for row, f in enumerate(fair)]
        tapes.append(tape(peg.market, [f * (1 - d) for f, d in zip(fair, discount, strict=True)]).with_news(news))
        rules[peg.market.symbol] = costs
        if peg.redemption is not None:
            tapes.append(tape(peg.redemption, fair))
            rules[peg.redemption.symbol] = unstaking(peg.token)

    vault = CoreVault(SOL, total="60", tradeable="50")
    sleeve = vault.sleeve("depeg", QUIET, allocate="40")
    engine = Depeg(pegs, cap="20", total="35", most="10", least="2", cooldown=5 * MINUTE, price_age=STEP, fair_age=HOUR)
    desk = Desk(vault)
    desk.assign(engine, to=sleeve)
    print(engine.describe() + "\n")
    report = replay(desk, tapes, rules=rules, progress=False)
    print(report)

    print("\nWhat it did, and why:")
    fills = [record for record in desk.books.journal if isinstance(record, Fill)]
    why = {record.order.id: record.order.place.why for record in desk.books.journal if isinstance(record, Placed)}
    for fill in fills:
        of = fill.instrument
        money = of.quote.units(fill.cost)
        hours = (fill.at - BEGIN) / HOUR
        what = f"{fill.side.value:<4} {of.base.units(fill.qty)} for {money:.6f} SOL"
        print(f"  after {hours:6.2f} h  {what:<46} {of.symbol:<20} {why[fill.order_id]}")
    for peg in pegs:
        made = sum(fill.cost * -fill.side.sign for fill in fills if fill.instrument.base == peg.token.coin)
        fees = sum(fill.fee.units for fill in fills if fill.instrument.base == peg.token.coin)
        print(f"  {peg.token.coin}: {SOL.units(made - fees)} after {SOL.units(fees)} of fees")

    print("\nWhat it saw last:")
    print(desk.telemetry(sleeve))
    report.proof.require()
    picture(report, pegs, paths, fills)


if __name__ == "__main__":
    main()
