"""A desk with one sleeve and an engine that wishes what a test tells it to. The desk and the books are the real ones."""

from __future__ import annotations

from sleeves import BTC, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.money import Rounding
from sleeves.orders import Fill, Liquidity, SubmitOrder
from sleeves.records import Refusal

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001", min_qty="0.0001", min_notional="1")
SECOND = 1_000_000_000
FEE_PPM = 2_500


class Puppet:
    """An engine that wishes what it is told to, at the price that it is told."""

    name = "puppet"
    every = 0

    def __init__(self, market=BTCUSD, name=None):
        self.name = name or self.name
        self.market = market
        self.watches = (market,)
        self.wishes = []
        self.price = "10000"
        self.now = 0

    def begin(self):
        return None

    def decide(self, memory, view):
        wishes, self.wishes = self.wishes, []
        return wishes

    def sit(self, desk, sleeve, **kwargs):
        self.desk, self.sleeve = desk, sleeve
        self.vault = desk.assign(self, to=sleeve, **kwargs)
        self.index = desk.index(self.market)
        return self.vault

    def quote(self, price=None, *, after=SECOND):
        """Show the engine a price; what came of its wishes."""
        units = self.market.price(price or self.price)
        self.price = price or self.price
        self.now = max(self.now, self.desk.books.now) + after
        return self.desk.quote(self.index, self.now, units, units)

    def wish(self, *wishes, price=None):
        """The command or refusal that the last wish led to; None for neither."""
        self.wishes = list(wishes)
        written = len(self.desk.books.journal)
        commands = self.quote(price)
        if commands:
            return commands[-1]
        refusals = [r for r in list(self.desk.books.journal)[written:] if isinstance(r, Refusal)]
        repeated = self.desk._seats[self.sleeve.name].refusal if not refusals and not self.wishes else None
        return refusals[-1] if refusals else repeated

    def buy(self, qty, price=None, **kwargs):
        return self.wish(Place(self.market, Side.BUY, self.market.qty(qty), **kwargs), price=price)

    def sell(self, qty, price=None, **kwargs):
        return self.wish(Place(self.market, Side.SELL, self.market.qty(qty), **kwargs), price=price)


def new_desk(policy, *, total="20000", tradeable="15000", reserve=None, allocate="5000", gates=(), **kwargs):
    """(desk, vault, sleeve, puppet)"""
    vault = CoreVault(USD, total=total, tradeable=tradeable, reserve=reserve, **kwargs)
    sleeve = vault.sleeve("a", policy, allocate=allocate)
    desk = Desk(vault)
    puppet = Puppet()
    puppet.sit(desk, sleeve, gates=gates)
    puppet.quote()
    return desk, vault, sleeve, puppet


def fill(order, *, qty=None, price=None, fee=None, trade="", at=None):
    """A fill of an order at the price that it was ordered at, with a taker fee of 0.25%."""
    market, place = order.place.instrument, order.place
    units = place.qty if qty is None else market.qty(qty)
    if price is None:
        price = place.limit or (order.worst * 1_000_000 // 1_005_000 if order.worst else None)
    else:
        price = market.price(price)
    cost = market.cost(price, units, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
    fee = USD.units(-(-cost * FEE_PPM // 1_000_000)) if fee is None else fee
    when = order.at + 1 if at is None else at
    return Fill(order.id, when, market, place.side, units, price, cost, fee, Liquidity.TAKER, trade or f"t-{order.id}-{units}", "test")


def carry(desk, command):
    """Fill a submitted order whole at the price of the moment it was ordered at."""
    assert isinstance(command, SubmitOrder), command
    order = command.order
    book = desk._boards[order.place.instrument.symbol]
    desk.step(fill(order, price=order.place.instrument.price_text(order.place.limit or book.bid)))
