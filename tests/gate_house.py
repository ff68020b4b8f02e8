"""Where gates are tried: a vault with two sleeves at a real desk, each with a puppet, and a market that the test plays."""

from __future__ import annotations

from helpers import Puppet
from sleeves import QUIET, SOL, USDC, Asset, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.news import Reading
from sleeves.orders import Fill, Liquidity, SubmitOrder, TimeInForce
from sleeves.records import Refusal

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.001")
LST = Asset("JITOSOL", 9)
LSTSOL = Instrument("JITOSOL/SOL", base=LST, quote=SOL, tick="0.0001", lot="0.001")
LSTUSDC = Instrument("JITOSOL/USDC", base=LST, quote=USDC, tick="0.01", lot="0.001")
BUY, SELL = Side.BUY, Side.SELL


class Late:
    """Hands each wish to gates that a test may name after the sleeve has a position."""

    def __init__(self, *gates):
        self.gates = gates

    def __call__(self, place, view, vault):
        return next((refusal for gate in self.gates if (refusal := gate(place, view, vault)) is not None), None)

    def notes(self, place, view, vault):
        return {k: v for gate in self.gates if hasattr(gate, "notes") for k, v in gate.notes(place, view, vault).items()}


class House:
    """A vault with two sleeves and a puppet at each; `a` has the gates of the test, `b` none."""

    def __init__(self, *gates, asset=USDC, markets=(PERP, SPOT), prices=("100", "100"), total="2000", allocate="1000", **terms):
        self.vault = CoreVault(asset, total=total, tradeable=total)
        self.desk = Desk(self.vault, **terms)
        self.late = Late(*gates)
        self.now = SECOND
        self.facts = 0
        self.puppets, self.sleeves = {}, {}
        for name in "ab":
            self.sleeves[name] = self.vault.sleeve(name, QUIET, allocate=allocate)
            self.puppets[name] = Puppet(markets[0], name)
            self.puppets[name].watches = markets
            self.puppets[name].sit(self.desk, self.sleeves[name], gates=[self.late] if name == "a" else [])
        for market, price in zip(markets, prices, strict=True):
            self.see(market, price)

    def see(self, market, bid, ask=None, *, after=0):
        """A price; what came of the wishes at it."""
        self.now += after
        return list(self.desk.quote(self.desk.index(market), self.now, market.price(bid), market.price(ask or bid)))

    def hear(self, value, *, topic="latency", at=None):
        self.desk.step(Reading(topic, self.now if at is None else at, value))

    def wish(self, wish, who="a", *, after=0):
        """What a wish led to: a command, or the refusal."""
        self.now += after
        puppet = self.puppets[who]
        puppet.wishes = [wish]
        seat = self.desk._seats[who]
        self.desk._flush(seat, self.now)
        written = len(self.desk.books.journal)
        book = self.desk._boards[puppet.market.symbol]
        commands = list(self.desk.quote(book.index, self.now, book.bid, book.ask))
        assert not puppet.wishes, "it was asked"
        refusals = [r for r in list(self.desk.books.journal)[written:] if isinstance(r, Refusal)]
        assert len(commands) + len(refusals) == 1
        return (commands or refusals)[0]

    def fill(self, command, price=None, fee=0, qty=None):
        order = command.order
        market, place = order.place.instrument, order.place
        book = self.desk._boards[market.symbol]
        at = market.price(price) if price else place.limit or (book.ask if place.side is BUY else book.bid)
        qty = place.qty if qty is None else qty
        cost = market.cost(at, qty, Rounding.CEIL if place.side is BUY else Rounding.FLOOR)
        self.facts += 1
        told = (Amount(fee, market.quote), Liquidity.TAKER, f"t{self.facts}", "v")
        return list(self.desk.step(Fill(order.id, self.now, market, place.side, qty, at, cost, *told)))

    def trade(self, market, side, qty, who="a", **terms):
        """An order and its fill at once, with the gates of the test aside."""
        gates, self.late.gates = self.late.gates, ()
        command = self.wish(Place(market, side, market.qty(qty), **terms), who)
        self.late.gates = gates
        assert isinstance(command, SubmitOrder), command
        self.fill(command)


def passes(answer):
    return isinstance(answer, SubmitOrder)


def order(market, side, qty, **terms):
    for name in ("limit", "stop"):
        if isinstance(terms.get(name), str):
            terms[name] = market.price(terms[name])
    if isinstance(terms.get("expect"), str):
        terms["expect"] = market.quote(terms["expect"]).units
    return Place(market, side, market.qty(qty), **terms)


def leg(market, side, qty, limit, **terms):
    return order(market, side, qty, limit=limit, tif=TimeInForce.IOC, **terms)
