"""What a venue under test says of itself: its markets, its fees, its features, and how a driver is made.

It does not know what is promised about any of these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import field, frozen

from ..market import Instrument
from ..protocols import Venue
from .script import Script

__all__ = ["Feature", "MakeVenue", "Offer"]


class Feature(StrEnum):
    """What not every venue has. A promise about it is put to the test only where it is offered."""

    RESTING = "limits that rest"
    """A limit waits on a book until the price trades through it, then fills as maker; every fill is on a tick."""
    PARTIAL = "fills by volume"
    """An order fills at most with what trades in a row, and goes on with the next."""
    POST_ONLY = "post-only orders"
    REDUCE_ONLY = "reduce-only orders"
    FILL_OR_KILL = "fill-or-kill orders"
    GOOD_TIL = "orders that end at a time"
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
