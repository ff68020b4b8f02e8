"""A venue that does not wait: it tells what a test has it tell, when it does, over connections that can be cut.

It keeps an account of its own: orders at market fill at its last price, limits rest, and what it holds is what books are
held against.
"""

from __future__ import annotations

from collections import deque

import anyio
import trio.testing

from helpers import Puppet
from sleeves import BTC, QUIET, USD, Amount, CoreVault, Desk, Instrument, Side
from sleeves.errors import VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import Transferred, TransferRefused
from sleeves.market import Quote
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, OrderReport, OrderStatus
from sleeves.records import Alert
from sleeves.sim.past import flows_of

SECOND = 1_000_000_000
MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="1", venue="pit")
BEGIN = 1_700_000_000 * SECOND
END = object()


class Pit:
    real_money = False

    def __init__(self, market=MARKET, name="pit", coins=None, price="10000"):
        self.market, self.name, self.last = market, name, market.price(price)
        self.coins = {"USD": USD("20000"), "BTC": BTC("0")} if coins is None else coins
        self.wallet = USD("100000")
        self.now = BEGIN
        self.outbox = deque()
        self.orders, self.open, self.facts = {}, {}, []
        self.sent, self.canceled, self.transfers, self.asked = [], [], [], []
        self.connections = 0
        self.closed = 0
        self.down = None
        """What every question raises while it is set."""
        self.mute = False
        """Whether what happens is not told."""
        self.lose_answers, self.lose_transfers, self.refuse_transfers = set(), set(), ""
        self.rehearsals = []
        self.slow = 0.0
        self.gate = None
        """What an order waits for on its way, an `anyio.Event`; None for nothing."""
        self._bell = anyio.Event()

    # -- the test's hand -----------------------------------------------------------------------------------------------

    def tell(self, *events):
        self.outbox.extend(events)
        self._bell.set()

    def quote(self, price=None, after=SECOND):
        self.now += after
        self.last = self.last if price is None else self.market.price(price)
        self.tell(Quote(self.market, self.now, self.last, self.last))

    def cut(self, error=None):
        self.tell(error or VenueUnavailable("the line is dead"))

    def end(self):
        self.tell(END)

    def happen(self, fact):
        self.facts.append(fact)
        if not self.mute:
            self.tell(fact)

    # -- the venue -----------------------------------------------------------------------------------------------------

    async def events(self):
        self.connections += 1
        try:
            while True:
                while self.outbox:
                    one = self.outbox.popleft()
                    if isinstance(one, Exception):
                        raise one
                    if one is END:
                        return
                    yield one
                self._bell = anyio.Event()
                await self._bell.wait()
        finally:
            self.closed += 1

    async def submit(self, order):
        await anyio.sleep(self.slow)
        if self.gate is not None:
            await self.gate.wait()
        if order.id in self.orders:
            return
        self.sent.append(order.id)
        self.orders[order.id] = order
        if order.place.limit is not None:
            self.open[order.id] = order
            self.tell(Accepted(order.id, self.now))
        else:
            self.fill(order)
        if order.id in self.lose_answers:
            raise VenueUnknown("timed out")

    def fill(self, order):
        self.open.pop(order.id, None)
        place, buy = order.place, order.place.side is Side.BUY
        cost = self.market.notional(self.last, place.qty, Rounding.CEIL if buy else Rounding.FLOOR)
        fee = cost.portion(1, 1000, Rounding.CEIL)
        qty = Amount(place.qty, self.market.base)
        self.coins["BTC"] += qty if buy else -qty
        self.coins["USD"] += (-cost if buy else cost) - fee
        trade_id, taker = f"{self.name}-{len(self.facts)}", Liquidity.TAKER
        fill = Fill(order.id, self.now, self.market, place.side, place.qty, self.last, cost.units, fee, taker, trade_id, self.name)
        self.happen(fill)

    async def cancel(self, order):
        await anyio.lowlevel.checkpoint()
        if self.down is not None:
            raise VenueUnavailable(str(self.down))
        self.canceled.append(order.id)
        if self.open.pop(order.id, None) is not None:
            self.tell(Canceled(order.id, self.now))

    async def settle(self, instrument):
        raise VenueRejected(f"{instrument} is no perpetual of this venue")

    async def rehearse(self, transfer):
        self.rehearsals.append(transfer.id)
        if self.refuse_transfers:
            raise VenueRejected(self.refuse_transfers)
        if transfer.amount.units > self.wallet.units:
            raise VenueRejected(f"the wallet holds {self.wallet}")

    async def transfer(self, transfer):
        self.transfers.append(transfer.id)
        if self.refuse_transfers:
            self.tell(TransferRefused(self.now, transfer.id, self.refuse_transfers))
        elif transfer.id not in self.lose_transfers:
            self.arrive(transfer)

    def arrive(self, transfer):
        self.coins["USD"] += transfer.amount
        self.wallet -= transfer.amount
        self.happen(Transferred(self.now, transfer.amount, transfer.id, self.name))

    async def _answer(self, what):
        await anyio.lowlevel.checkpoint()
        self.asked.append((what, anyio.current_time()))
        if self.down is not None:
            raise self.down

    async def look_up(self, order):
        await self._answer("look_up")
        if order.id not in self.orders:
            return None
        if order.id in self.open:
            return OrderReport(order.id, self.now, OrderStatus.OPEN)
        filled = sum(fact.qty for fact in self.facts if isinstance(fact, Fill) and fact.order_id == order.id)
        return OrderReport(order.id, self.now, OrderStatus.FILLED if filled else OrderStatus.CANCELED, filled)

    async def open_orders(self):
        await self._answer("open_orders")
        return [OrderReport(name, self.now, OrderStatus.OPEN) for name in self.open]

    async def history(self, since):
        await self._answer("history")
        return [fact for fact in self.facts if fact.at >= since]

    async def cash_flows(self, since):
        await self._answer("cash_flows")
        return flows_of([fact for fact in self.facts if fact.at >= since])

    async def balances(self):
        await self._answer("balances")
        return dict(self.coins)

    async def positions(self):
        await self._answer("positions")
        return {}

    def looks(self, what="balances"):
        """When a question was asked."""
        return [at for asked, at in self.asked if asked == what]


def stand(journal=None, *, names=("a",), market=MARKET, **terms):
    """(desk, pit, puppets)"""
    from sleeves import Books

    vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal), at=BEGIN, **terms)
    desk = Desk(vault)
    puppets = []
    for name in names:
        puppet = Puppet(market, name=f"puppet-{name}")
        puppet.sit(desk, vault.sleeve(name, QUIET, allocate="4000"))
        puppets.append(puppet)
    return desk, Pit(market), puppets


def alerts(desk, *codes):
    found = [(record.level.value, record.code) for record in desk.books.journal if isinstance(record, Alert)]
    return [one for one in found if not codes or one[1] in codes]


async def until(done, seconds=5.0):
    """Wait until something holds. In a mocked time the seconds pass at once."""
    with anyio.fail_after(seconds):
        while not done():
            await anyio.sleep(0.002)


async def looked(desk, pit):
    """Wait for the look at the start of a run, and forget it."""
    await until(lambda: desk.books.reconciled)
    pit.asked.clear()


async def soon(steps=20):
    """Let the others run."""
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()


def mocked():
    """Options of a run on trio in which time is made up: it passes when all wait."""
    return {"backend": "trio", "backend_options": {"clock": trio.testing.MockClock(autojump_threshold=0)}}
