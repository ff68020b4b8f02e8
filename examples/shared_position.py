"""Two strategies on one perpetual position that the venue nets: whose margin, whose funding, whose profit.

`swing` follows two averages, long or short; `carry` stays short to collect funding. The exchange sees one account and
one netted position. The prices are the packaged candles of BTC/USD, taken as if they were the contract's; the funding
rate of 0.01% per 8 hours is an assumption and not a measurement.
"""

from __future__ import annotations

from collections.abc import Iterable

from sleeves import BTC, FLASH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import HOUR, FundingRate, Kind, Perpetual
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Fees, Latency, Rules, Tape, replay

MARKET = Instrument(
    "BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", min_qty="0.001", kind=Kind.PERP, contract=Perpetual(funding_every=8 * HOUR)
)


class Averages:
    fast = slow = 0.0
    prices = 0


class Swing:
    """Long while a fast average stands above a slow one, short below; it closes before it turns."""

    name = "swing"
    every = 4 * HOUR
    watches = (MARKET,)

    def begin(self) -> Averages:
        return Averages()

    def decide(self, memory: Averages, view: View) -> Iterable[Intent] | None:
        price = MARKET.price_float(view.book.mid)
        memory.fast += (price - memory.fast) * (2 / 13 if memory.prices else 1)
        memory.slow += (price - memory.slow) * (2 / 61 if memory.prices else 1)
        memory.prices += 1
        if memory.prices < 60 or view.orders():
            return None
        side = Side.BUY if memory.fast > memory.slow else Side.SELL
        held = view.position(MARKET) * side.sign
        if held > 0:
            return None
        if held < 0:
            return [Place(MARKET, side, -held, reduce_only=True, why="the averages have crossed")]
        return [Place(MARKET, side, MARKET.affordable(view.free(), view.book.ask), why="worth its money once")]


class Carry:
    """Short a fixed quantity for as long as it can."""

    name = "carry"
    every = 24 * HOUR
    watches = (MARKET,)

    def begin(self) -> None:
        return None

    def decide(self, _memory: None, view: View) -> Iterable[Intent] | None:
        if view.position(MARKET) or view.orders():
            return None
        return [Place(MARKET, Side.SELL, MARKET.qty("0.2"), why="collects funding")]


def perpetual_tape() -> Tape:
    spot = Tape.sample()
    columns = {name: [spot.instrument.price_text(price) for price in getattr(spot, name)] for name in ("open", "high", "low", "close")}
    tape = Tape.from_columns(MARKET, ts=list(spot.at), **columns, name="BTC/USD candles as a contract's prices")
    due = [(at, price) for at, price in zip(tape.at, tape.open, strict=True) if at % (8 * HOUR) == 0]
    return tape.with_funding([FundingRate.of(MARKET, "0.01%", price=price, at=at) for at, price in due])


def main() -> None:
    vault = CoreVault(USD, total="20000", tradeable="16000")
    swing = vault.sleeve("swing", FLASH, allocate="8000")
    carry = vault.sleeve("carry", QUIET, allocate="8000")
    desk = Desk(vault, most_leverage=3)
    desk.assign(Swing(), to=swing)
    desk.assign(Carry(), to=carry)
    tape = perpetual_tape()
    report = replay(desk, tape, rules=Rules(Fees(-100, 400), latency=Latency(order_ns=200_000_000)), progress=False)

    print(report)
    print("\nEach sleeve's slice of the position that the venue nets:")
    for sleeve in (swing, carry):
        part = sleeve.slice(MARKET)
        print(
            f"  {sleeve.name}: {part.qty}, margin {part.margin}, funding {part.funding}, settled {part.settled}, unsettled {part.unsettled}"
        )
    held = {symbol: MARKET.qty_text(position.qty) for symbol, position in (report.positions or {}).items()}
    print(f"  the venue holds: {held}")

    print("\nWhat if swing sold 0.5 more, before it is sent:")
    print(desk.what_if(Place(MARKET, Side.SELL, MARKET.qty("0.5")), swing))
    print("\n" + "\n".join(f"- {note}" for note in report.notes()))


if __name__ == "__main__":
    main()
