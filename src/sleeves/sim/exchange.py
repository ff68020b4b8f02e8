"""The simulated exchange: one account over several markets, and their tapes played in the order in which time passes.

Time passes for all markets together: what happens at one instant, in any of them, is done and told before the next, and
an order that is sent at an instant meets each market as it is then. What each step brings waits in `outbox`, and whoever
plays carries out the desk's commands before the next step: `replay` and `VirtualDriver` alike.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import VaultError, VenueRejected
from ..margin import safe_within
from ..market import Instrument, Quote
from ..money import Amount
from ..news import News, PoolState
from ..orders import CancelOrder, Command, Event, Position, Rejected, SettlePnl, SubmitOrder
from .account import Account
from .book_market import BookMarket
from .matcher import Matcher
from .models import Rules
from .tape import Depth, Tape

__all__ = ["Exchange", "Step"]


class Step(NamedTuple):
    """What has been played: the market that moved, and the price that is seen at its end; 0 when only facts came."""

    market: int
    at: int
    price: int
    volume: int = -1
    """Base units that were traded up to it since the price before; -1: not known."""
    bid: int = 0
    ask: int = 0
    """Best bid and ask, where the market has a book; 0: both are the price."""


class Exchange:
    """Several markets and one account. `rules` are for all, or by symbol.

    What the account as a whole follows (leverage, settlement, liquidation, collateral) are those of its contracts, and of
    the first tape where it has none. `wallet` are coins outside of the account, which a deposit can bring in. Raises
    `VaultError` for no tape, two of one symbol, rules for another one, or contracts whose rules differ in what is the
    account's.
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
        own = [self.rules[tape.instrument.symbol] for tape in tapes if tape.instrument.contract is not None]
        if any(one.of_account() != own[0].of_account() for one in own):
            raise VaultError("contracts of one account need one rule for leverage, settlement, liquidation and collateral")
        self.account = Account(balances, own[0] if own else self.rules[symbols[0]], name=name, wallet=wallet)
        self.markets: list[Matcher] = []
        for tape in tapes:
            kind: type[Matcher] = Matcher if self.rules[tape.instrument.symbol].book is None else BookMarket
            self.markets.append(kind(tape.instrument, self.account, self.rules[tape.instrument.symbol]))
        perpetuals = [market.net for market in self.markets if market.net is not None]
        for market in self.markets:
            market.markets = self.markets
            market.joint = len(perpetuals) > 1 or bool(perpetuals and self.account.rules.collateral)
        self._now = 0
        self._calm: bool | None = None
        """Whether the rows under way cannot break the account; None while that is not worked out."""
        self._safe: tuple[tuple[int, ...], dict[Matcher, tuple[int, int]]] = ((), {})
        """A state of the account, and prices between which it does not break in that state."""
        self._by_symbol = {market.instrument.symbol: market for market in self.markets}
        self.outbox: deque[Event] = self.account.outbox
        self._strangers: set[str] = set()

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def plain(self) -> bool:
        """Whether there is one market and nothing but its rows: what can be played fastest."""
        tape, rules = self.tapes[0], self.rules[self.tapes[0].instrument.symbol]
        return len(self.tapes) == 1 and not (tape.funding or tape.depths or tape.news or rules.pool or rules.book)

    def balances(self) -> dict[str, Amount]:
        return self.account.balances()

    def positions(self) -> dict[str, Position]:
        return self.account.positions()

    # -- commands ------------------------------------------------------------------------------------------------------

    def carry(self, command: Command, now: int) -> None:
        """Do what the desk commands. What becomes of it waits in `outbox`."""
        self._calm = None
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
        yield from self._rows() if self.plain else self._instants()

    def _rows(self) -> Iterator[Step]:
        """One market and nothing but its rows: each as a whole."""
        tape, market = self.tapes[0], self.markets[0]
        lot = market.instrument.lot_units
        for (at, open_, high, low, close, volume), end in zip(tape.rows(), tape.ends(), strict=True):
            if low <= market.low_trigger or high >= market.high_trigger:
                market.advance(at, end - at, open_, high, low, close, volume if tape.has_volume else -1)
                if self.outbox:
                    yield Step(0, end, 0)
            else:
                market.last = close
            yield Step(0, end, close, volume * lot if tape.has_volume else -1)

    def _instants(self) -> Iterator[Step]:
        """Several markets, funding, books: from instant to instant, all that happens at one before the next.

        At one instant rows end, pools are told, closes are shown; then books are shown, funding falls due, news is told, and new
        rows begin.
        """
        rows = [_Rows(tape) for tape in self.tapes]
        rare = heapq.merge(*(_rare(number, tape) for number, tape in enumerate(self.tapes)), key=_order)
        special = next(rare, None)
        while True:
            linear = self._linear(rows)
            due = [t for number, row in enumerate(rows) if (t := self._due(number, row, linear)) is not None]
            due += [] if special is None else [special[0]]
            if not due:
                return
            now = min(due + self._ends(rows))
            for _ in self._pass_until(now, rows):
                self._calm = None
                yield Step(0, now, 0)
            for number, row in enumerate(rows):
                self.markets[number].end_orders(now)
                if row.now is not None and row.now.end == now:
                    self.markets[number].finish()
                    if self.outbox:
                        yield Step(number, now, 0)
            self._tell_pools(rows, now)
            if self.outbox:
                yield Step(0, now, 0)
            for number, row in enumerate(rows):
                if row.now is not None and row.now.end == now:
                    market = self.markets[number]
                    traded = -1 if row.now.volume < 0 else row.now.volume * market.instrument.lot_units
                    row.now = None
                    yield Step(number, now, market.last, traded, *market.top())
            while special is not None and special[0] == now:
                self._rare_at(special[3], special[1], special[4])
                if self.outbox:
                    yield Step(special[3], now, 0)
                special = next(rare, None)
            begun = [number for number, row in enumerate(rows) if row.begins(now)]
            if begun:
                self._calm = None
                self._begin(begun, rows, now)
                if self.outbox:
                    yield Step(begun[0], now, 0)

    def _due(self, number: int, row: _Rows, linear: bool) -> int | None:
        """When something of a market is next: its row begins, ends, or turns where that matters."""
        if row.now is None:
            return row.next_at
        legs = self.markets[number].legs
        return legs[0][2] if linear and legs else row.now.end

    def _ends(self, rows: Sequence[_Rows]) -> list[int]:
        """When orders end by themselves in markets that have no row under way; a row looks after its own."""
        idle = [market for market, row in zip(self.markets, rows, strict=True) if row.now is None]
        return [end for market in idle if (end := market.next_end) is not None and end > self._now]

    def _linear(self, rows: Sequence[_Rows]) -> bool:
        """Whether prices must be looked at together: where rows under way could break contracts that several markets move.

        They cannot while the account stands even where each contract and coin is at the worst price of its row.
        """
        if not self.markets[0].joint or not any(net.base for net in self.account.nets.values()):
            return False
        if self._calm is None:
            rest = [(self.markets[n], row.now) for n, row in enumerate(rows) if row.now is not None]
            reached = {market: (row.low, row.high) for market, row in rest}
            self._calm = self._is_safe(reached) or not self._breaks({market: _worse(market, (row.low, row.high)) for market, row in rest})
        return not self._calm

    def _begin(self, begun: Sequence[int], rows: Sequence[_Rows], now: int) -> None:
        """Rows begin: all first prices are there before any order, or any check, meets one of them."""
        for number in begun:
            rows[number].take()
            row, market = rows[number].now, self.markets[number]
            assert row is not None
            market.last = row.open
            market.sync()
        for number in begun:
            row = rows[number].now
            assert row is not None
            self.markets[number].begin(now, row.end - now, row.open, row.high, row.low, row.close, row.volume)
        self._break_if_broken(now)

    def _tell_pools(self, rows: Sequence[_Rows], now: int) -> None:
        """What the pools hold whose rows end now: all of them before any price of this instant."""
        for number, row in enumerate(rows):
            pool = self.markets[number].pool_at(now) if row.now is not None and row.now.end == now else None
            if pool is not None:
                self.outbox.append(PoolState(self.tapes[number].instrument, now, pool))

    def _rare_at(self, number: int, kind: int, what: Any) -> None:
        """A book is shown, funding falls due and is then known, or news is told."""
        self._calm = None
        if kind == _BOOK:
            self.markets[number].display(what)
            return
        if kind == _DUE:
            self.markets[number].fund(what)
        self.outbox.append(what)

    def _pass_until(self, until: int, rows: Sequence[_Rows]) -> Iterator[None]:
        """All rows that are under way go on to an instant; where they break the account together, it is closed by force."""
        going = [self.markets[number] for number, row in enumerate(rows) if row.now is not None]
        while going:
            broken = self._first_break(going, until) if self._linear(rows) else None
            stop, told = until if broken is None else broken, len(self.outbox)
            for market in going:
                market.move(stop)
            self._now = stop
            if broken is not None or len(self.outbox) > told:
                self._break_if_broken(stop)
            if self.outbox:
                yield
            if stop == until:
                return
        self._now = until

    def _break_if_broken(self, at: int) -> None:
        if not self.markets[0].joint or self._is_safe({}):
            return
        for market in self.markets:
            if market.net is not None and market.net.base and self.account.broken(market.instrument.quote):
                market.break_at(at)

    def _is_safe(self, reached: Mapping[Matcher, tuple[int, int]]) -> bool:
        """Whether no price from now on, up to the lowest and highest that are reached, can break the account: proven, or not known.

        Without open orders and collateral in other coins; what was proven is kept while the account stands still.
        """
        if self.account.rules.collateral:
            return False
        state = [*self.account.coins.values()]
        for net in self.account.nets.values():
            if net.orders:
                return False
            state += net.base, net.money
        now = tuple(state)
        if self._safe[0] == now and self._stays(reached):
            return True
        self._safe = now, self._safe_prices()
        return self._stays(reached)

    def _stays(self, reached: Mapping[Matcher, tuple[int, int]]) -> bool:
        """Whether the prices of all contracts that there are lie among the safe ones, and go on to do so."""
        safe = self._safe[1]
        for market in self.markets:
            net = market.net
            if net is not None and (net.base or net.money):
                ends = safe.get(market)
                if ends is None or not ends[0] <= net.price <= ends[1]:
                    return False
                if market in reached and not ends[0] <= reached[market][0] <= reached[market][1] <= ends[1]:
                    return False
        return True

    def _safe_prices(self) -> dict[Matcher, tuple[int, int]]:
        """Prices around the present ones between which the account does not break, whatever each of them is."""
        found: dict[Matcher, tuple[int, int]] = {}
        for quote in {net.market.quote for net in self.account.nets.values() if net.base or net.money}:
            within = safe_within(self.account.margin(quote))
            for symbol, ends in (within or {}).items():
                found[self._by_symbol[symbol]] = ends
        return found

    def _first_break(self, going: Sequence[Matcher], until: int) -> int | None:
        """The first instant in (now, until] at which the prices of all markets together break the account.

        Each price goes in a straight line. If the account stands even where each contract and coin is at its own worse
        end, it stands all the way; otherwise sixteen instants are tried, and the first that breaks it is found to the ns.
        """
        since = self._now
        ends = {market: (market.price_at(since), market.price_at(until)) for market in going}
        if not self._breaks({market: _worse(market, pair) for market, pair in ends.items()}):
            return None
        safe = since
        for n in range(1, 17):
            there = since + (until - since) * n // 16
            if there > safe and self._breaks({market: market.price_at(there) for market in going}):
                while there - safe > 1:
                    middle = (safe + there) // 2
                    if self._breaks({market: market.price_at(middle) for market in going}):
                        there = middle
                    else:
                        safe = middle
                return there
            safe = there
        return None

    def _breaks(self, prices: Mapping[Matcher, int]) -> bool:
        """Whether the account would be broken at these prices."""
        kept = {market: market.last for market in prices}
        for market, price in prices.items():
            market.last = price
            market.sync()
        try:
            quotes = {net.market.quote for net in self.account.nets.values() if net.base}
            return any(self.account.broken(quote) for quote in quotes)
        finally:
            for market, price in kept.items():
                market.last = price
                market.sync()

    def quote(self, step: Step) -> Quote:
        """The price of a step as an event: of a market with a book, its best bid and ask."""
        return Quote(self.tapes[step.market].instrument, step.at, step.bid or step.price, step.ask or step.price, step.volume)


class _Row(NamedTuple):
    at: int
    end: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class _Rows:
    """A tape's rows in order: the one under way, if any, and the next."""

    def __init__(self, tape: Tape) -> None:
        known = tape.has_volume
        self._rows = (
            _Row(at, end, open_, high, low, close, volume if known else -1)
            for (at, open_, high, low, close, volume), end in zip(tape.rows(), tape.ends(), strict=True)
        )
        self.now: _Row | None = None
        self._next: _Row | None = next(self._rows, None)

    @property
    def next_at(self) -> int | None:
        return None if self._next is None else self._next.at

    def begins(self, at: int) -> bool:
        return self.now is None and self._next is not None and self._next.at == at

    def take(self) -> None:
        self.now, self._next = self._next, next(self._rows, None)


def _worse(market: Matcher, ends: tuple[int, int]) -> int:
    """The end that is worse for what the account has there: the higher for a short, the lower for all else."""
    return max(ends) if market.net is not None and market.net.base < 0 else min(ends)


_BOOK, _DUE, _NEWS = 1, 2, 3


def _rare(number: int, tape: Tape) -> Iterator[tuple[int, int, str, int, Any]]:
    """A tape's books, funding and news at their instants; at one instant in this order, and then by symbol."""
    symbol = tape.instrument.symbol

    def of(kind: int, given: Sequence[Depth | News]) -> Iterator[tuple[int, int, str, int, Any]]:
        return ((one.at, kind, symbol, number, one) for one in given)

    return heapq.merge(of(_BOOK, tape.depths), of(_DUE, tape.funding), of(_NEWS, tape.news), key=_order)


def _order(step: tuple[int, int, str, int, Any]) -> tuple[int, int, str]:
    return step[:3]
