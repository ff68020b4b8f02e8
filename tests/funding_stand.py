"""Where the funding engine is tried: a real desk over a real vault, and a venue that the test plays.

It fills what the desk sends, at the price that was shown and without a fee, unless it is told to refuse a market.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sleeves import BTC, QUIET, SOL, USDC, CoreVault, Desk, Instrument
from sleeves.engines.carry import Pair
from sleeves.engines.funding import Funding, FundingMemory, Result
from sleeves.market import HOUR, MINUTE, FundingRate, Kind
from sleeves.money import Rounding
from sleeves.orders import Command, Fill, Intent, Liquidity, Order, Place, Rejected, SettlePnl, Side, SubmitOrder
from sleeves.protocols import View
from sleeves.records import Refusal

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.001", kind=Kind.PERP)
BTCSPOT = Instrument("BTC/USDC", base=BTC, quote=USDC, tick="0.01", lot="0.00001")
BTCPERP = Instrument("BTC-PERP", base=BTC, quote=USDC, tick="0.01", lot="0.00001", kind=Kind.PERP)
START = 100_000 * HOUR
PLAIN = Pair(SPOT, PERP, reserved="0")
GOOD, ZERO = "0.1%", "0%"


class Stand:
    """An engine with its money at a desk. `at` shows a price of both legs; times are nanoseconds since the start."""

    def __init__(self, engine: Funding, money: str = "10000", **desk: Any) -> None:
        self.engine = engine
        self.vault = CoreVault(USDC, total="10000000", tradeable="10000000")
        self.sleeve = self.vault.sleeve("funding", QUIET, allocate=money)
        self.desk = Desk(self.vault, **desk)
        self.desk.assign(engine, to=self.sleeve)
        self.now = START
        self.refusing: set[Instrument] = set()
        self.filling = True
        self.orders: list[Order] = []
        """All that was sent, oldest first."""
        self.prices: dict[Instrument, int] = {}
        self.told = 0
        self.results: list[Result] = []
        """What the engine came to about SOL, at each decision since the test last did something."""
        seat = self.desk._seats["funding"]
        decide = seat.decide

        def noted(memory: FundingMemory, view: View) -> Iterable[Intent] | None:
            wishes = decide(memory, view)
            self.results += [memory.markets["SOL-PERP"].result] if "SOL-PERP" in memory.markets else []
            return wishes

        seat.decide = noted

    @property
    def memory(self) -> FundingMemory:
        memory = self.desk._seats["funding"].memory
        assert isinstance(memory, FundingMemory)
        return memory

    def view(self) -> View:
        view = self.desk._seats["funding"].view
        view.now = self.now
        return view

    def seen(self, symbol: str = "SOL-PERP") -> Any:
        return self.memory.markets[symbol]

    @property
    def result(self) -> Result:
        result = self.seen().result
        assert isinstance(result, Result)
        return result

    # -- the world ---------------------------------------------------------------------------------------------------------

    def at(self, price: int | str, after: int = MINUTE, *, markets: Sequence[Instrument] = (SPOT, PERP)) -> list[Order]:
        """Show a price of these markets, at one instant; the orders that came of it."""
        self.now += after
        self.results.clear()
        sent = len(self.orders)
        for market in markets:
            units = market.price(price) if isinstance(price, str) else price
            self.prices[market] = units
            self.carry(self.desk.quote(self.desk.index(market), self.now, units, units))
        return self.orders[sent:]

    def rate(self, rate: str, after: int = 0, *, market: Instrument = PERP, every: int = 8 * HOUR, at: int | None = None) -> list[Order]:
        self.now += after
        self.results.clear()
        sent = len(self.orders)
        news = FundingRate.of(market, rate, price=self.prices.get(market, 10_000), at=self.now if at is None else at, every=every)
        self.carry(self.desk.step(news))
        return self.orders[sent:]

    def carry(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, SubmitOrder):
                self.orders.append(command.order)
                if command.order.place.instrument in self.refusing:
                    self.carry(self.desk.step(Rejected(command.order.id, self.now, "no")))
                elif self.filling:
                    self.carry(self.desk.step(self.fill(command.order)))
            else:
                assert isinstance(command, SettlePnl)

    def fill(self, order: Order, qty: int | None = None) -> Fill:
        place, self.told = order.place, self.told + 1
        qty, price = place.qty if qty is None else qty, self.prices[place.instrument]
        cost = place.instrument.cost(price, qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
        return Fill(order.id, self.now, place.instrument, place.side, qty, price, cost, USDC.zero, Liquidity.TAKER, f"t{self.told}", "v")

    def trade(self, market: Instrument, qty: str) -> None:
        """By hand: the engine is not asked."""
        units = market.base(qty).units
        if units:
            place = Place(market, Side.BUY if units > 0 else Side.SELL, abs(units))
            commands = self.desk.order(self.sleeve, place, by="test", at=self.now)
            assert not isinstance(commands, Refusal), commands
            self.carry(commands)

    def holds(self, coins: str, contracts: str, price: str = "100") -> Stand:
        """Prices, and so much of both legs bought by hand, before the engine has ever heard of a rate."""
        assert self.at(price) == []
        self.trade(SPOT, coins)
        self.trade(PERP, contracts)
        self.orders.clear()
        return self

    @property
    def hedge(self) -> tuple[str, str]:
        return self.sleeve.position(SPOT).text, self.sleeve.position(PERP).text


def text(orders: Iterable[Order]) -> list[str]:
    """Orders as they are read: "sell 10 SOL-PERP", with a star where they only reduce."""
    return [
        f"{one.place.side} {one.place.instrument.qty_text(one.place.qty)} {one.place.instrument}{'*' if one.place.reduce_only else ''}"
        for one in orders
    ]


def engine(pair: Pair = PLAIN, **changes: Any) -> Funding:
    return Funding(pair, **({"every": 0} | changes))


def entered(stand: Stand, price: str = "100", rate: str = GOOD) -> Stand:
    """In the market at this price."""
    stand.at(price)
    stand.rate(rate)
    assert stand.sleeve.position(PERP).units < 0
    stand.orders.clear()
    return stand
