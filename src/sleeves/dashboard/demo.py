"""The demo on the page: four engines on a simulated market, paced so that people can follow. No key, no network.

`quiet` and `flash` follow the trend of real candles of BTC/USD; `carry` owns coins, is short of a perpetual on them, and is paid
funding; `maker` quotes that perpetual's book. The contract's prices are taken to be the coin's, its funding rate and the others
in its book are assumptions from a seed: none of it says what any of this would earn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..booking import Allowance
from ..desk import Desk
from ..engines import Funding, Maker, Pair, Trend
from ..market import HOUR, FundingRate, Instrument, Kind, Perpetual
from ..money import BTC, USD
from ..policy import FLASH, QUIET
from ..quoting import QuotingParams
from ..sim import Fees, Flow, Rules, Settles, Slippage, Tape, VirtualDriver
from ..sim.book_market import BookMarket
from ..vault import CoreVault

__all__ = ["LEVELS", "TITLE", "Market", "market"]

TITLE = "simulated market: real candles of 2017 and 2018, money that is none"
LEVELS = 10
"""How many levels of a book are shown a side."""
PERP = Instrument(
    "BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", min_qty="0.001", kind=Kind.PERP, contract=Perpetual(funding_every=8 * HOUR)
)
QUOTES = QuotingParams.of(layers=2, spread_min="0.8%", spread_buffer="0.1%", order_size="5%", expiry_s=7_200, activation=0)


class Market:
    """The demo's desk and its venue."""

    def __init__(self, desk: Desk, venue: VirtualDriver) -> None:
        self.desk, self.venue = desk, venue

    def depth(self, market: Instrument) -> tuple[list[tuple[str, str]], list[tuple[str, str]]] | None:
        """What rests in an instrument's book, the best first, as (price, quantity); None where it has none."""
        for one in self.venue.exchange.markets:
            if isinstance(one, BookMarket) and one.instrument == market:
                bids, asks = one.book.depth(LEVELS)
                return _texts(market, bids), _texts(market, asks)
        return None


def _texts(market: Instrument, levels: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(market.price_text(price), market.qty_text(units)) for price, units in levels]


def market(pace: float = 0.0, *, seed: int = 7, rows: int | None = None, first: int = 0) -> Market:
    """The desk and its venue, which waits `pace` seconds behind each price of each of its two markets; `rows` hours of it."""
    sample = Tape.sample()
    spot = sample.slice(first, len(sample.at) if rows is None else first + rows)
    columns: dict[str, Any] = {name: [PERP.price_text(price) for price in getattr(spot, name)] for name in ("open", "high", "low", "close")}
    perp = Tape.from_columns(PERP, ts=list(spot.at), **columns, name="BTC/USD candles as a contract's prices")
    due = [(at, price) for at, price in zip(perp.at, perp.open, strict=True) if at % (8 * HOUR) == 0 and at > perp.at[0]]
    perp = perp.with_funding([FundingRate.of(PERP, "0.03%", price=price, at=at) for at, price in due])

    vault = CoreVault(USD, total="40000", tradeable="36000", reserve="5%")
    desk = Desk(vault, most_leverage=5, self_trade="cross", allowance=Allowance.of(fee="0.2%", slippage="1%"), mark_every=HOUR)
    pair = Pair(spot.instrument, PERP, spot_fee="0.1%", perp_fee="0.05%", slippage="0.02%")
    for name, engine, policy, money in (
        ("quiet", Trend.quiet(spot.instrument), QUIET, "10000"),
        ("flash", Trend.flash(spot.instrument), FLASH, "5000"),
        ("carry", Funding(pair, room="60%", least_health=80, critical=75), QUIET, "12000"),
        ("maker", Maker(PERP, QUOTES, every=HOUR, name="maker"), FLASH, "6000"),
    ):
        desk.assign(engine, to=vault.sleeve(name, policy, allocate=money))
    others = Flow.seeded(seed, spread="0.2%", layers=8, step="0.12%", size="2", refreshes=20, takes="3", take_size="4")
    rules = {
        spot.instrument.symbol: Rules(Fees.of("0.05%", "0.1%"), Slippage.of("0.02%", "0.05%"), settles=Settles.AT_ONCE),
        PERP.symbol: Rules.of(fees=Fees.of("-0.01%", "0.05%"), book=others, settles=Settles.AT_ONCE),
    }
    venue = VirtualDriver([spot, perp], {"USD": USD("40000")}, rules, name="simulated", wallet={"USD": USD("25000")}, pace=pace)
    return Market(desk, venue)
