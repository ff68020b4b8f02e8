"""The simulated exchange: one account over several markets, and their tapes played in the order in which time passes.

A row's information is complete when the row ends, so rows of several tapes are taken in the order of their ends; books
and funding take their turn at their own instant, after all that ended by then. What each step brings waits in
`outbox`, and whoever plays carries out the desk's commands before the next step: `replay` and `VirtualDriver` alike.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import VaultError, VenueRejected
from ..market import FundingRate, Instrument, Quote
from ..money import Amount
from ..orders import CancelOrder, Command, Event, Position, Rejected, SettlePnl, SubmitOrder
from .account import Account
from .matcher import Matcher
from .models import Rules
from .tape import Depth, Tape

__all__ = ["Exchange", "Step"]


class Step(NamedTuple):
    """What has been played: the market that moved, and the price that is seen at its end; 0 when only facts came."""

    market: int
    at: int
    price: int


class Exchange:
    """Several markets and one account. `rules` are for all, or by symbol; the account follows the first tape's.

    `wallet` are coins outside of the account, which a deposit can bring in. Raises `VaultError` for no tape, or two of
    one symbol.
    """

    def __init__(
        self,
        tapes: Sequence[Tape],
        balances: Mapping[str, Amount],
        rules: Rules | Mapping[str, Rules] | None = None,
        *,
        name: str = "sim",
        wallet: Mapping[str, Amount] | None = None,
    ) -> None:
        symbols = [tape.instrument.symbol for tape in tapes]
        if not tapes or len(set(symbols)) != len(symbols):
            raise VaultError(f"an exchange needs tapes of different instruments, not of {', '.join(symbols) or 'none'}")
        by_symbol = rules if isinstance(rules, Mapping) else dict.fromkeys(symbols, Rules() if rules is None else rules)
        unknown = [symbol for symbol in by_symbol if symbol not in symbols]
        if unknown:
            raise VaultError(f"rules for {', '.join(unknown)}, which no tape is of")
        self.tapes = tuple(tapes)
        self.rules = {symbol: by_symbol.get(symbol, Rules()) for symbol in symbols}
        self.account = Account(balances, self.rules[symbols[0]], name=name, wallet=wallet)
        self.markets = [Matcher(tape.instrument, self.account, self.rules[tape.instrument.symbol]) for tape in tapes]
        for market in self.markets:
            market.markets = self.markets
        self._by_symbol = {market.instrument.symbol: market for market in self.markets}
        self.outbox: deque[Event] = self.account.outbox
        self._strangers: set[str] = set()

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def plain(self) -> bool:
        """Whether there is one market and nothing but its rows: what can be played fastest."""
        return len(self.tapes) == 1 and not self.tapes[0].funding and not self.tapes[0].depths

    def balances(self) -> dict[str, Amount]:
        return self.account.balances()

    def positions(self) -> dict[str, Position]:
        return self.account.positions()

    # -- commands ------------------------------------------------------------------------------------------------------

    def carry(self, command: Command, now: int) -> None:
        """Do what the desk commands. What becomes of it waits in `outbox`."""
        if isinstance(command, SubmitOrder):
            market = self._by_symbol.get(command.order.place.instrument.symbol)
            if market is not None:
                market.submit(command.order, now)
            elif command.order.id not in self._strangers:
                self._strangers.add(command.order.id)
                self.outbox.append(Rejected(command.order.id, now, f"unknown instrument {command.order.place.instrument.symbol}"))
        elif isinstance(command, CancelOrder):
            market = self._by_symbol.get(command.order.place.instrument.symbol)
            if market is not None:
                market.cancel(command.order.id, now)
        elif isinstance(command, SettlePnl):
            self._market(command.instrument).settle(now)
        else:
            for market in self.markets:
                market.sync()
            self.account.transfer(command, now)
            for market in self.markets:
                market._watch()

    def _market(self, instrument: Instrument) -> Matcher:
        market = self._by_symbol.get(instrument.symbol)
        if market is None or market.instrument != instrument:
            raise VenueRejected(f"{instrument.symbol} is not traded at {self.name}")
        return market

    # -- time ----------------------------------------------------------------------------------------------------------

    def play(self) -> Iterator[Step]:
        """Play all tapes to their end. After each step take what is in `outbox`, then show the price, if it has one."""
        shared = sum(market.net is not None for market in self.markets) > 1 or bool(self.account.rules.collateral)
        steps = [_steps(number, tape) for number, tape in enumerate(self.tapes)]
        for at, _, number, what in heapq.merge(*steps, key=_order):
            market = self.markets[number]
            if isinstance(what, FundingRate):
                market.fund(what)
                yield Step(number, at, 0)
            elif isinstance(what, Depth):
                market.display(what)
            else:
                begin, open_, high, low, close, volume = what
                if shared or low <= market.low_trigger or high >= market.high_trigger:
                    market.advance(begin, at - begin, open_, high, low, close, volume)
                    if self.outbox:
                        yield Step(number, at, 0)
                else:
                    market.last = close
                market.seen = at
                yield Step(number, at, close)

    def quote(self, step: Step) -> Quote:
        """The price of a step as an event."""
        return Quote(self.tapes[step.market].instrument, step.at, step.price, step.price)


def _steps(number: int, tape: Tape) -> Iterator[tuple[int, int, int, Any]]:
    """A tape's rows at their ends, its books and funding at their instants; at one instant in this order."""
    known = tape.has_volume
    rows = (
        (end, 0, number, (at, open_, high, low, close, volume if known else -1))
        for (at, open_, high, low, close, volume), end in zip(tape.rows(), tape.ends(), strict=True)
    )
    depths = ((depth.at, 1, number, depth) for depth in tape.depths)
    rates = ((rate.at, 2, number, rate) for rate in tape.funding)
    return heapq.merge(rows, depths, rates, key=_order)


def _order(step: tuple[int, int, int, Any]) -> tuple[int, int, int]:
    return step[:3]
