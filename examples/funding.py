"""Own bitcoin, be short its perpetual, and be paid funding, through half a year in which the price went up fourfold.

    python examples/funding.py

The prices are the packaged candles of BTC/USD, for the coin and, as an assumption, for the contract as well. The funding
rates are an assumption too and no measurement: 0.01% every 8 hours, more or less by a fiftieth of what the price did in
the day before, from -0.15% to 0.3%. Fees and slippage are those of an exchange's better tiers.

The engine is warier than its defaults, because these prices moved by up to a fifth within hours: it leaves room for a
rise of 60%, and reduces both legs below a health of 75. With plotly installed, a picture is written to funding.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

from sleeves import BTC, QUIET, USD, Allowance, CoreVault, Desk, Instrument
from sleeves.engines import Funding, Pair
from sleeves.facts import FundingPaid
from sleeves.guards import HealthAfter, Leverage
from sleeves.market import HOUR, PPB, SECOND, FundingRate, Kind
from sleeves.orders import Fill, Side
from sleeves.records import Placed
from sleeves.sim import Fees, Rules, Settles, Slippage, Tape, replay

SPOT = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001", min_qty="0.0001")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", min_qty="0.001", kind=Kind.PERP)
EVERY = 8 * HOUR


def tapes() -> tuple[Tape, Tape]:
    """The sample as the prices of both markets, with the assumed rates along the contract's."""
    sample = Tape.sample()
    spot, perp = (
        Tape.from_columns(
            market,
            ts=list(sample.at),
            **{name: [market.price_text(price) for price in getattr(sample, name)] for name in ("open", "high", "low", "close")},
            name="BTC/USD candles",
        )
        for market in (SPOT, PERP)
    )
    prices = dict(zip(sample.at, sample.open, strict=True))
    due = [(at, price, prices.get(at - 24 * HOUR, price)) for at, price in prices.items() if at % EVERY == 0 and at > sample.at[0]]
    return spot, perp.with_funding([FundingRate(PERP, at, assumed(price, before), price, EVERY) for at, price, before in due])


def assumed(price: int, before: int) -> int:
    """A funding rate in parts per billion: what a crowd pays to follow the price of the last day."""
    return max(-1_500_000, min(3_000_000, 100_000 + (price - before) * PPB // (50 * before)))


def when(at: int) -> datetime:
    return datetime.fromtimestamp(at / SECOND, UTC)


def holds(fills: Sequence[Fill], paid: Sequence[FundingPaid], whys: dict[str, str]) -> None:
    """One line for each time that it was in the market."""
    print("\nEach time that it was in the market, and why it left:")
    held, since, most, left = 0, 0, 0, ""
    for fill in fills:
        if fill.instrument != PERP:
            continue
        if not held:
            since, most, left = fill.at, 0, ""
        held += fill.side.sign * fill.qty
        most = min(most, held)
        if fill.side is Side.BUY:
            left = whys[fill.order_id]
        if not held:
            brought = USD.units(sum(one.amount for one in paid if since < one.at <= fill.at))
            print(f"  {when(since):%d %b} to {when(fill.at):%d %b}, {PERP.qty_text(-most):>5} BTC, funding {brought:>7,.2f} USD: {left}")


def picture(perp: Tape, fills: Sequence[Fill], paid: Sequence[FundingPaid]) -> None:
    """The price, the rate, what is held of both legs, and what funding and the whole came to."""
    try:
        from plotly.subplots import make_subplots
    except ImportError:
        print("\nno picture: plotly is not installed (pip install 'sleeves[plots]')")
        return
    titles = ("price, and trades of the coin, USD", "assumed rate per 8 hours, %", "held, BTC", "funding, and profit after all costs, USD")
    figure = make_subplots(rows=4, cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.06)
    due = [when(one.at) for one in paid]
    figure.add_scatter(x=due, y=[PERP.price_float(one.rate.price) for one in paid], name="price", line_color="#56B4E9", row=1, col=1)
    for side, symbol, colour in ((Side.BUY, "triangle-up", "#009E73"), (Side.SELL, "triangle-down", "#D55E00")):
        own = [fill for fill in fills if fill.instrument == SPOT and fill.side is side]
        marker = {"symbol": symbol, "color": colour, "size": 9}
        at, price = [when(fill.at) for fill in own], [SPOT.price_float(fill.price) for fill in own]
        figure.add_scatter(x=at, y=price, name=side.value, mode="markers", marker=marker, row=1, col=1)
    rates = [one.rate.rate_ppb / 10_000_000 for one in paid]
    figure.add_scatter(x=due, y=rates, name="rate", line={"color": "#CC79A7", "shape": "hv"}, row=2, col=1)
    for level in (-0.05, 0.05):
        figure.add_hline(y=level, line={"color": "#808790", "dash": "dot", "width": 1}, row=2, col=1)
    for market, colour in ((SPOT, "#009E73"), (PERP, "#D55E00")):
        own = [fill for fill in fills if fill.instrument == market]
        x, y = [when(perp.at[0]), *(when(fill.at) for fill in own)], accumulate((fill.side.sign * fill.qty for fill in own), initial=0)
        line = {"color": colour, "shape": "hv"}
        figure.add_scatter(x=x, y=[qty / 10**BTC.scale for qty in y], name=market.symbol, line=line, row=3, col=1)
    funding = [units / 10**USD.scale for units in accumulate(one.amount for one in paid)]
    figure.add_scatter(x=due, y=funding, name="funding", line_color="#CC79A7", row=4, col=1)
    figure.add_scatter(x=due, y=profits(fills, paid), name="profit", line_color="#0072B2", row=4, col=1)
    title = "Funding of BTC: the price cancels out, and what is left is funding less costs (assumed rates on packaged candles)"
    figure.update_layout(title=title, height=1_100, template="plotly_white")
    figure.write_html("funding.html", include_plotlyjs=True)
    print("\npicture: funding.html")


def profits(fills: Sequence[Fill], paid: Sequence[FundingPaid]) -> list[float]:
    """At each payment, in USD: all that was received and paid, and what is held at the price of that instant."""
    found, cash, held, left = [], 0, 0, list(fills)
    for one in paid:
        while left and left[0].at < one.at:
            fill = left.pop(0)
            cash -= fill.side.sign * fill.cost + fill.fee.units
            held += fill.side.sign * fill.qty
        cash += one.amount
        worth = held / 10**BTC.scale * PERP.price_float(one.rate.price)
        found.append(cash / 10**USD.scale + worth)
    return found


def main() -> None:
    pair = Pair(SPOT, PERP, spot_fee="0.05%", perp_fee="0.03%", slippage="0.02%")
    vault = CoreVault(USD, total="20000", tradeable="20000")
    carry = vault.sleeve("carry", QUIET, allocate="20000")
    desk = Desk(vault, most_leverage=5, allowance=Allowance.of(fee="0.05%", slippage="2%"))
    engine = Funding(pair, room="60%", least_health=80, critical=75)
    desk.assign(engine, to=carry, gates=[HealthAfter(80, fee="0.05%"), Leverage("3")])
    slippage, fees = Slippage.of("0.02%", "0.02%"), {SPOT: Fees.of("0.02%", "0.05%"), PERP: Fees.of("0.01%", "0.03%")}
    rules = {market.symbol: Rules(fee, slippage, settles=Settles.AT_ONCE) for market, fee in fees.items()}
    spot, perp = tapes()
    report = replay(desk, [spot, perp], rules=rules, progress=False, bounds=False)
    print(engine.describe())
    print(f"\n{report}")

    journal = list(desk.books.journal)
    fills = [record for record in journal if isinstance(record, Fill)]
    paid = [record for record in journal if isinstance(record, FundingPaid)]
    holds(fills, paid, {record.order.id: record.order.place.why for record in journal if isinstance(record, Placed)})
    print("\nWhy its equity is what it is:")
    print(report.explain(carry))
    print("\nWhat it last saw:")
    print(desk.telemetry(carry))
    print("\n" + "\n".join(f"- {note}" for note in report.notes()))
    picture(perp, fills, paid)


if __name__ == "__main__":
    main()
