"""The daybook: orders and fills noted in figures as they happen, written out as journal records when somebody reads them.

Merchants noted a day's business briefly and wrote it into the journal in full afterwards. A fast replay does the same: what
it does to the ledger is done at once, to the unit, and the records that say so are made from these figures by the very
functions that every other record comes from (`booking.hold`, `booking.fill`). Equal figures make equal records.

A note is a plain tuple whose first item writes it out. It knows nothing of desks and venues, and checks nothing: who notes
has checked before.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, TypeAlias

from .booking import fill as booked
from .booking import hold
from .market import Instrument
from .money import Amount, Asset
from .orders import Fill, Liquidity, Order, Place, Side
from .records import Marked, Placed, Record

__all__ = ["Daybook", "Note", "mark_of"]

Note: TypeAlias = tuple[Any, ...]
"""(what writes it out, figures ...)"""

_N = 1


def mark_of(note: Note) -> tuple[Record, ...]:
    """Write out (mark_of, at, symbol, price, seen)."""
    _, at, symbol, price, seen = note
    return (Marked(at, {symbol: (price, seen)}, {}),)


class Daybook:
    """What one sleeve ordered at market in one market and got whole, by whom, at which venue. To be read, not changed.

    An order is noted as (order, n, at, place, worst, held), its fill as (fill, n, at, place, price, cost, fee, held, position,
    open_cost, worst, trade, ordered): `n` is the order's number, `held` what was set aside, `position` and `open_cost` what the
    sleeve had before, `trade` the venue's number of the trade, `ordered` when it was ordered. All in the smallest units.
    """

    __slots__ = ("_by", "_market", "_sleeve", "_venue", "fills")

    def __init__(self, sleeve: str, market: Instrument, by: str, venue: str) -> None:
        self._sleeve, self._market, self._by, self._venue = sleeve, market, by, venue
        self.fills: list[Note] = []
        """The notes of fills, so that each is found again by its order or its key. Whoever notes adds to it; numbers only rise."""

    def same(self, other: Daybook) -> bool:
        """Whether another is of the same sleeve, market, author and venue."""
        mine, its = (self._sleeve, self._by, self._venue), (other._sleeve, other._by, other._venue)
        return mine == its and self._market == other._market

    @property
    def sleeve(self) -> str:
        return self._sleeve

    @property
    def market(self) -> Instrument:
        return self._market

    def __len__(self) -> int:
        return len(self.fills)

    # -- written out -------------------------------------------------------------------------------------------------------

    def ordered(self, n: int, at: int, place: Place, worst: int | None) -> Order:
        return Order(f"{self._sleeve}-{n}", self._sleeve, place, at, worst)

    def order(self, note: Note) -> tuple[Record, ...]:
        """Write out an order: how it was placed, and its hold."""
        _, n, at, place, worst, held = note
        order = self.ordered(n, at, place, worst)
        placed = Placed(at, order, self._by, place.side is not Side.BUY)
        return placed, hold(self._sleeve, order.id, self._holds(place), held, at=at, by=self._by)

    def fill(self, note: Note) -> tuple[Record, ...]:
        """Write out a fill, and the entry that books it."""
        held, position, open_cost = note[7:10]
        fill = self.written(note)
        return fill, booked(self._sleeve, fill, held=held, position=position, open_cost=open_cost, by=self._venue)

    def both(self, note: Note) -> tuple[Record, ...]:
        """Write out an order and its fill, noted as one fill."""
        _, n, _, place, _, _, _, held, _, _, worst, _, ordered = note
        return *self.order((None, n, ordered, place, worst, held)), *self.fill(note)

    def written(self, note: Note) -> Fill:
        """The fill of a note."""
        _, n, at, place, price, cost, fee, _, _, _, _, trade, _ = note
        market, name = self._market, f"{self._sleeve}-{n}"
        paid = Amount(fee, market.quote)
        return Fill(name, at, market, place.side, place.qty, price, cost, paid, Liquidity.TAKER, f"{self._venue}-{trade}", self._venue)

    def _holds(self, place: Place) -> Asset:
        return self._market.quote if place.side is Side.BUY else self._market.base

    # -- found again -------------------------------------------------------------------------------------------------------

    def fact(self, key: str) -> Fill | None:
        """The fill that bears this key, if it is one of these."""
        note = self._of(key.rpartition("|")[2])
        if note is None:
            return None
        fill = self.written(note)
        return fill if fill.key == key else None

    def facts(self) -> list[Fill]:
        """All fills, in order."""
        return [self.written(note) for note in self.fills]

    def find(self, order_id: str) -> tuple[Order, Asset] | None:
        """The order of an id, and what it held, if it is one of these: it is filled whole."""
        note = self._of(order_id)
        return None if note is None else (self.ordered(note[1], note[12], note[3], note[10]), self._holds(note[3]))

    def _of(self, order_id: str) -> Note | None:
        name, _, number = order_id.rpartition("-")
        if name != self._sleeve or not number.isdecimal():
            return None
        n = int(number)
        place = bisect_left(self.fills, n, key=lambda note: note[_N])
        note = self.fills[place] if place < len(self.fills) else None
        return note if note is not None and note[_N] == n and f"{name}-{n}" == order_id else None
