"""What an order and its fill cost does not grow with how many others there are: counted in lines that run, not in time."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest

from sleeves import BTC, ETH, FLASH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import Kind
from sleeves.orders import Fill
from sleeves.sim import Fees, Rules, Slippage
from sleeves.sim.exchange import Exchange
from sleeves.sim.tape import Tape

COIN = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.001")
PERP = Instrument("ETH-PERP", base=ETH, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
OTHER = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")


class Turns:
    """In, and out again, with every price."""

    name, every = "turns", 0

    def __init__(self, market):
        self.watches = (market,)

    def begin(self):
        return None

    def decide(self, memory, view):
        (market,) = self.watches
        held = view.position(market)
        if held:
            return (Place(market, Side.SELL, held, reduce_only=market.contract is not None),)
        return (Place(market, Side.BUY, market.qty("1")),)


class Waits(Turns):
    def decide(self, memory, view):
        return None


@contextmanager
def lines():
    """Counts lines of Python that run, loops and comprehensions by each of their turns."""
    count = [0]

    def trace(frame, event, _):
        frame.f_trace_opcodes = False
        count[0] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def cost(market, policy, *, sleeves, before=4, tradeable=10**8):
    """Lines that one turn out and one turn in take, after so many turns before them, beside so many other sleeves."""
    vault = CoreVault(USD, total=10**8, tradeable=10**8)
    desk = Desk(vault)
    desk.assign(Turns(market), to=vault.sleeve("a", policy, allocate=1_000_000))
    for number in range(sleeves - 1):
        desk.assign(Waits(OTHER), to=vault.sleeve(f"s{number}", policy, allocate=1_000))
    vault.set_tradeable(tradeable)
    tape = Tape.from_columns(market, ts=[60], open=["3000"], high=["3000"], low=["3000"], close=["3000"])
    exchange = Exchange((tape,), {"USD": USD(10**8)}, Rules(Fees(1_000, 1_000), Slippage.none()))
    matcher, index = exchange.markets[0], desk.index(market)

    def turn(number):
        now = 60_000_000_000 * (number + 1)
        matcher.advance(now, 60_000_000_000, 300_000, 300_000, 300_000, 300_000)
        while matcher.outbox:
            for command in desk.step(matcher.outbox.popleft()):
                exchange.carry(command, now)
        for command in desk.quote(index, now, 300_000, 300_000):
            exchange.carry(command, now)

    for number in range(before):
        turn(number)
    with lines() as count:
        turn(before)
        turn(before + 1)
    assert sum(isinstance(fact, Fill) for fact in desk.books.facts.values()) == before + 1
    desk.check(deep=True).require()
    return count[0]


@pytest.mark.parametrize("market", [COIN, PERP], ids=str)
@pytest.mark.parametrize("policy", [QUIET, FLASH], ids=["quiet", "flash"])
def test_other_sleeves_cost_an_order_nothing(market, policy):
    few, many = cost(market, policy, sleeves=3), cost(market, policy, sleeves=120)
    assert abs(many - few) <= few // 20


def test_nor_do_they_where_tradeable_is_below_what_is_allocated():
    """Then what all of them have at risk decides, and is kept up."""
    few = cost(COIN, QUIET, sleeves=3, tradeable=900_000)
    many = cost(COIN, QUIET, sleeves=120, tradeable=900_000)
    assert abs(many - few) <= few // 20


@pytest.mark.parametrize("market", [COIN, PERP], ids=str)
def test_orders_that_are_done_cost_those_that_follow_nothing(market):
    few, many = cost(market, QUIET, sleeves=2, before=4), cost(market, QUIET, sleeves=2, before=400)
    assert abs(many - few) <= few // 20
