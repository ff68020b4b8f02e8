"""VirtualDriver: the simulated exchange as a venue, so that paper runs the very code that live runs.

It plays its tapes through the async `Venue` protocol at the pace of whoever reads its events: it moves on to the next
step only when the last event was taken in and what came of it was carried out. So a run through `live.trade` writes the
same journal as `replay` of the same tapes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from math import inf

import anyio
import anyio.lowlevel

from ..errors import VaultError, VenueRejected
from ..facts import CashFlow, FlowKind
from ..market import Instrument
from ..money import Amount
from ..orders import CancelOrder, Event, Order, OrderReport, Position, SettlePnl, SubmitOrder, Transfer
from ..records import Fact
from .exchange import Exchange, Step
from .matcher import Matcher
from .models import Rules
from .past import Past, flows_of
from .tape import Tape

__all__ = ["VirtualDriver"]


class VirtualDriver:
    """A paper venue over one tape or several. `balances` are the coins of the simulated account by asset code.

    `wallet` are coins outside of the account, which a deposit brings in and a withdrawal goes to. With a `pace` it waits so
    many real seconds behind each price, for people who look on: what was sent meanwhile is answered at once where the answer
    needs no price. It changes nothing of what is written. Raises what `Exchange` raises, and `VaultError` for a pace below zero.
    """

    lockstep = True
    """Time stands still here while the desk is at work."""
    real_money = False

    def __init__(
        self,
        tape: Tape | Sequence[Tape],
        balances: Mapping[str, Amount],
        rules: Rules | Mapping[str, Rules] | None = None,
        *,
        name: str = "sim",
        wallet: Mapping[str, Amount] | None = None,
        pace: float = 0.0,
    ) -> None:
        if isinstance(pace, bool) or not isinstance(pace, (int, float)) or not 0 <= pace < inf:
            raise VaultError(f"pace {pace!r} must be a number of seconds, 0 or more")
        tapes = (tape,) if isinstance(tape, Tape) else tuple(tape)
        self.exchange = Exchange(tapes, balances, rules, name=name, wallet=wallet)
        self._now = 0
        self._steps: Iterator[Step] | None = None
        self._past = Past()
        self._waiting: deque[Event] = deque()
        self.pace = float(pace)
        """Real seconds behind each price; may be changed while it plays."""
        self._told: anyio.Event | None = None
        """What wakes it up while it waits for its pace."""

    async def __aenter__(self) -> VirtualDriver:
        """Nothing has to be opened here: so that paper is written as live is, `async with venue:`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    def name(self) -> str:
        return self.exchange.name

    @property
    def tape(self) -> Tape:
        """The first tape."""
        return self.exchange.tapes[0]

    @property
    def matcher(self) -> Matcher:
        """The market of the first tape."""
        return self.exchange.markets[0]

    async def events(self) -> AsyncIterator[Event]:
        """The tapes' prices and what became of our orders, to the tapes' end; asked again, what has come since."""
        exchange = self.exchange
        if self._steps is None:
            self._steps = exchange.play()
        while self._waiting:
            yield self._waiting.popleft()
        for step in self._steps:
            self._now = step.at
            self._look()
            while self._waiting:
                yield self._waiting.popleft()
            if step.price:
                yield exchange.quote(step)
            while self._waiting:
                yield self._waiting.popleft()
            if self.pace and step.price:
                until = anyio.current_time() + self.pace
                while await self._rest(until):
                    while self._waiting:
                        yield self._waiting.popleft()
            await anyio.lowlevel.checkpoint()
        while self._waiting:
            yield self._waiting.popleft()

    async def _rest(self, until: float) -> bool:
        """Wait for an instant of the loop's clock, or until there is something to tell: whether there is."""
        self._told = anyio.Event()
        try:
            if not self._waiting:
                with anyio.move_on_after(until - anyio.current_time()):
                    await self._told.wait()
        finally:
            self._told = None
        return bool(self._waiting)

    def _look(self) -> None:
        """Take what the exchange has made: it is remembered here, and waits to be told."""
        outbox = self.exchange.outbox
        while outbox:
            event = outbox.popleft()
            self._past.note(event)
            self._waiting.append(event)
        if self._waiting and self._told is not None:
            self._told.set()

    async def submit(self, order: Order) -> None:
        self._past.sent(order)
        self.exchange.carry(SubmitOrder(order), self._now)
        self._look()

    async def cancel(self, order: Order) -> None:
        self.exchange.carry(CancelOrder(order), self._now)
        self._look()

    async def settle(self, instrument: Instrument) -> None:
        """Have what is unsettled moved to cash. Raises `VenueRejected` for an instrument that is not traded here."""
        self.exchange.carry(SettlePnl(instrument), self._now)
        self._look()

    async def transfer(self, transfer: Transfer) -> None:
        """Bring coins in from the wallet, or take them out to it: refused beyond what is there, or below health 80."""
        self.exchange.carry(transfer, self._now)
        self._look()

    async def rehearse(self, transfer: Transfer) -> None:
        """Nothing, where the transfer would be taken. Raises `VenueRejected` with the reason where it would not."""
        reason = _refusal(self.exchange, transfer)
        if reason:
            raise VenueRejected(reason)

    async def look_up(self, order: Order) -> OrderReport | None:
        return self._past.report(order.id, self._now)

    async def open_orders(self) -> Sequence[OrderReport]:
        return self._past.open_orders(self._now)

    async def history(self, since: int) -> Sequence[Fact]:
        return [fact for fact in self._past.facts if fact.at >= since]

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        lines = [*flows_of(self._past.facts), *self.exchange.account.flows]
        return sorted((line for line in lines if line.at >= since), key=lambda line: line.at)

    def credit(self, amount: Amount, kind: FlowKind = FlowKind.OTHER) -> None:
        """Coins come into the account, or leave it (below zero), behind everybody's back: for tests of what must notice."""
        self.exchange.account.credit(amount, kind, self._now)

    async def balances(self) -> Mapping[str, Amount]:
        return self.exchange.balances()

    async def positions(self) -> Mapping[str, Position]:
        return self.exchange.positions()


def _refusal(exchange: Exchange, transfer: Transfer) -> str:
    """Why the exchange would refuse a transfer now, or nothing."""
    for market in exchange.markets:
        market.sync()
    return exchange.account.refuses(transfer)
