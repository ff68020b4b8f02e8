"""The promises of a venue, as tests: what a driver must keep before anybody's money is traded through it.

    class TestMyVenue(venue_suite(make_venue, OFFER)): ...

A `Script` is what the world will do. `make_venue` gives a driver connected to whatever plays it: the simulator, or a
fake server. The suite reads the driver's events and gives its commands through the public protocol and nothing else;
each promise is one test, and a failure is a sentence that says what was promised and what was seen.

What a driver does inside, which wire it speaks, and how its fake server is built is not known here. Nothing in the core
imports this module; pytest is needed only where a suite is made, `audit` does without.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from .desk import Desk
from .errors import VenueUnavailable, VenueUnknown
from .facts import AccountFact, Bankrupted, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from .live import trade
from .market import BP, MINUTE, SECOND, FundingRate, Instrument, Quote
from .money import PPM, Amount, Asset, Rounding, divide
from .orders import (
    Accepted,
    Canceled,
    CancelOrder,
    Command,
    Event,
    Fill,
    Intent,
    Liquidity,
    Order,
    Place,
    Position,
    Rejected,
    SettlePnl,
    Side,
    SubmitOrder,
    TimeInForce,
    Transfer,
)
from .policy import QUIET
from .protocols import Venue, View
from .vault import CoreVault

__all__ = [
    "PROMISES",
    "Audit",
    "Feature",
    "Folded",
    "Offer",
    "Promise",
    "PromiseBroken",
    "Row",
    "Script",
    "Verdict",
    "audit",
    "fold_events",
    "venue_suite",
]

BEGIN = 1_700_000_000 * SECOND
"""When every script begins."""

PLENTY = 1_000_000
"""How many times the suite's usual order trades in a row whose volume limits nothing."""


class PromiseBroken(AssertionError):
    """A venue did what `sleeves.protocols` says it never does. The message is a sentence: the promise, and what was seen."""


# -- what the world will do ------------------------------------------------------------------------------------------


@frozen(order=False)
class Row:
    """One interval of a market: prices in the instrument's units, `volume` in base units, `at` the nanosecond it begins."""

    at: int
    open: int
    high: int
    low: int
    close: int
    volume: int


@frozen(order=False)
class Script:
    """What the world will do: one instrument, an account's coins, a wallet outside of it, rows of prices, funding that falls due.

    Whoever plays it promises to: tell each row's close as a `Quote` at the row's end, and play the next row only when that
    was taken in and what came of it was carried out; have an order act on the row that follows; pay each funding rate at its
    instant on what is held then; and end `events()` when all is told.
    """

    name: str
    instrument: Instrument
    interval: int
    rows: tuple[Row, ...]
    balances: Mapping[str, Amount]
    wallet: Mapping[str, Amount] = field(factory=dict)
    funding: tuple[FundingRate, ...] = ()

    def end(self, row: int) -> int:
        """When a row is over and its close is told."""
        return self.rows[row].at + self.interval

    def columns(self) -> dict[str, Any]:
        """The rows as `Tape.from_columns` takes them: times in nanoseconds, prices and volumes as text."""
        market = self.instrument
        columns: dict[str, Any] = {"ts": [row.at for row in self.rows], "interval": self.interval, "name": self.name}
        for what in ("open", "high", "low", "close"):
            columns[what] = [market.price_text(getattr(row, what)) for row in self.rows]
        return columns | {"volume": [market.qty_text(row.volume) for row in self.rows]}


# -- what a venue offers -----------------------------------------------------------------------------------------------


class Feature(StrEnum):
    """What not every venue has. A promise about it is put to the test only where it is offered."""

    RESTING = "limits that rest"
    """A limit waits on a book until the price trades through it, then fills as maker; every fill is on a tick."""
    PARTIAL = "fills by volume"
    """An order fills at most with what trades in a row, and goes on with the next."""
    POST_ONLY = "post-only orders"
    REDUCE_ONLY = "reduce-only orders"
    TRANSFERS = "transfers"
    FUNDING = "funding"
    LIQUIDATION = "liquidation"
    SETTLES = "settling when asked"
    """Profit stays unsettled until it is asked for; a venue that settles by itself does not have this."""
    HEALTH = "a least health"
    """A withdrawal that would leave health below 80 is refused."""
    REPLAY = "replay"
    """The same script and the same commands give the same events, times and ids included."""
    IN_STEP = "balances in step"
    """When a price is told, `balances` and `positions` are what all events so far make, no more and no less."""


@frozen(order=False)
class Offer:
    """What a venue under test says of itself.

    `maker_ppm` and `taker_ppm` are its fees in parts per million of the trade (below zero: a rebate), rounded up to
    `fee_step` units. `price` is about where its markets stand. `break_connection` cuts the wire of a venue, where a driver
    has one. `patience` gives a context in which each wait for the venue is spent: `lambda: anyio.fail_after(5)` turns a
    driver that hangs into a test that fails.
    """

    spot: Instrument | None = None
    perp: Instrument | None = None
    maker_ppm: int = 0
    taker_ppm: int = 0
    features: frozenset[Feature] = field(factory=frozenset, converter=frozenset)
    price: str = "20000"
    fee_step: int = 1
    break_connection: Callable[[Any], Awaitable[None] | None] | None = None
    patience: Callable[[], AbstractContextManager[object]] = nullcontext

    def __attrs_post_init__(self) -> None:
        if not self.markets:
            raise ValueError("an offer names a spot instrument, a perpetual, or both")
        for what, market, contract in (("spot", self.spot, False), ("perp", self.perp, True)):
            if market is not None and (market.contract is not None) is not contract:
                raise ValueError(f"{market.symbol} was offered as {what}, but it is of kind {market.kind}")
        if not all(isinstance(feature, Feature) for feature in self.features):
            raise ValueError(f"features {sorted(map(str, self.features))} must all be members of Feature")

    @property
    def markets(self) -> tuple[Instrument, ...]:
        return tuple(market for market in (self.spot, self.perp) if market is not None)


MakeVenue: TypeAlias = Callable[[Script], Venue | Awaitable[Venue]]
"""A fresh driver, connected to whatever plays this script. It is closed with `aclose`, where it has one."""


# -- what the events make -----------------------------------------------------------------------------------------------


class Folded:
    """What an account holds, by nothing but what its venue said. Read `coins` and `positions` at any time.

    Each fact with a key counts once, however often it is told; one that comes again with other content is not counted and
    noted in `conflicts`. It never asks the venue, and knows no order that was not filled.
    """

    def __init__(self, start: Mapping[str, Amount]) -> None:
        self.coins: dict[str, Amount] = dict(start)
        self.filled: dict[str, int] = {}
        """Base units filled by order id."""
        self.conflicts: list[str] = []
        self._positions: dict[str, Position] = {}
        self._known: dict[str, Fill | AccountFact] = {}

    @property
    def positions(self) -> dict[str, Position]:
        """Contracts by symbol, and what is unsettled of them; those with neither left out."""
        return {symbol: held for symbol, held in self._positions.items() if held.qty or held.money}

    def position(self, instrument: Instrument) -> Position:
        return self._positions.get(instrument.symbol, Position(instrument, 0, 0))

    def take(self, event: Event) -> None:
        """Count one event. Prices and what is only said of an order move nothing."""
        if not isinstance(event, (Fill, AccountFact)):
            return
        known = self._known.setdefault(event.key, event)
        if known is not event:
            if known != event:
                self.conflicts.append(f"{event.key} was told with other content before: {known} and {event}")
            return
        if isinstance(event, Fill):
            self._fill(event)
        elif isinstance(event, Transferred):
            self._move(event.amount)
        else:
            self._contract(event)

    def _fill(self, fill: Fill) -> None:
        self.filled[fill.order_id] = self.filled.get(fill.order_id, 0) + fill.qty
        market, sign, fee = fill.instrument, fill.side.sign, fill.fee
        if market.contract is None:
            self._move(Amount(sign * fill.qty, market.base), Amount(-sign * fill.cost, market.quote), -fee)
        elif fee.asset == market.quote:
            self._hold(market, sign * fill.qty, -sign * fill.cost - fee.units)
        else:
            self._hold(market, sign * fill.qty, -sign * fill.cost)
            self._move(-fee)

    def _contract(self, fact: FundingPaid | Settled | Liquidated | Bankrupted) -> None:
        market = fact.instrument
        if isinstance(fact, Settled):
            self._hold(market, 0, -fact.amount)
            self._move(Amount(fact.amount, market.quote))
        elif isinstance(fact, Liquidated):
            self._hold(market, fact.change, (-fact.cost if fact.change > 0 else fact.cost) - fact.fee.units)
        else:
            self._hold(market, 0, fact.amount)

    def _hold(self, market: Instrument, qty: int, money: int) -> None:
        held = self.position(market)
        self._positions[market.symbol] = evolve(held, qty=held.qty + qty, money=held.money + money)

    def _move(self, *amounts: Amount) -> None:
        for amount in amounts:
            code = amount.asset.code
            self.coins[code] = self.coins.get(code, amount.asset.zero) + amount

    def differ(self, balances: Mapping[str, Amount], positions: Mapping[str, Position] | None = None) -> list[str]:
        """Where what the venue says it holds is not what its events make, each in a sentence; nothing where both agree."""
        found = []
        for code in sorted(self.coins.keys() | balances.keys()):
            made = self.coins.get(code) or_zero(balances, code)
