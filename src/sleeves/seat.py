"""One engine at the desk: its memory, its sleeve, when it wants to be woken, and the view it is shown.

The view is the only thing an engine ever gets. It reads the ledger; nothing in it can move money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .booking import Allowance
from .exposure import Ground
from .ledger import Role
from .margin import MarginAccount
from .market import DAY, Book, Instrument
from .money import Amount, Asset, Rounding
from .orders import Order, Place, Side
from .protocols import Engine, Gate
from .records import Refusal
from .vault import EngineVault, Sleeve

__all__ = ["NEVER", "Seat", "SeatView"]

NEVER = 1 << 62
"""A time that does not come: the wake time of an engine that is not to be asked."""


class SeatView:
    """The `View` of one sleeve. `now` and `book` are set before each call; the rest is read when asked for."""

    __slots__ = (
        "_allowance",
        "_boards",
        "_day",
        "_day_pnl",
        "_ground",
        "_last_exit",
        "_left",
        "_orders",
        "_peak",
        "_sleeve",
        "_terms",
        "book",
        "most_leverage_bp",
        "now",
    )

    def __init__(
        self,
        sleeve: Sleeve,
        boards: Mapping[str, Book],
        allowance: Allowance,
        book: Book,
        ground: Ground,
        left: Callable[[Order], int],
        most_leverage_bp: int,
    ) -> None:
        self.now = 0
        self.book = book
        self.most_leverage_bp = most_leverage_bp
        self._ground = ground
        self._left = left
        self._sleeve = sleeve
        self._boards = boards
        self._allowance = allowance
        self._orders: dict[str, Order] = {}
        self._peak: int | None = None
        self._day = -1
        self._day_pnl: int | None = None
        self._last_exit: int | None = None
        self._terms: tuple[Place, int, tuple[int | None, Asset, int]] | None = None

    def book_of(self, instrument: Instrument) -> Book | None:
        book = self._boards.get(instrument.symbol)
        return book if book is not None and book.bid else None

    def position(self, instrument: Instrument) -> int:
        return self._sleeve.position_units(instrument)

    def open_cost(self, instrument: Instrument) -> int:
        return self._sleeve.open_cost_units(instrument)

    def closable(self, place: Place) -> int:
        market, side = place.instrument, place.side
        if market.contract is None:
            return 0
        against = -side.sign * self._sleeve.position_units(market)
        if against <= 0:
            return 0
        ordered = [o for o in self._orders.values() if o.place.side is side and o.place.instrument.symbol == market.symbol]
        return max(0, against - sum(map(self._left, ordered)))

    def free(self) -> int:
        sleeve = self._sleeve
        free = sleeve.free_units() + sleeve.pending_units()
        return free - self.lost() if sleeve.vault.books.perpetuals else free

    def lost(self) -> int:
        """What open contracts and what is not settled of them have lost, as far as prices are known; never below zero."""
        lost = -self._sleeve.unsettled_parts()[1]
        for market, qty in self._sleeve.contracts().items():
            book = self._boards.get(market.symbol)
            if book is not None and book.bid:
                lost -= min(0, market.cost(book.mid, qty, Rounding.FLOOR) - self._sleeve.open_cost_units(market))
        return max(0, lost)

    def exposure(self, place: Place | None = None) -> MarginAccount | None:
        return self._ground.own(self._sleeve, place)

    def joint_exposure(self, place: Place | None = None) -> MarginAccount | None:
        return self._ground.joint(self._sleeve.vault, place)

    def capital(self) -> int:
        return self._sleeve.vault.books.ledger.net_flow(self._sleeve.name, self._sleeve.asset)

    def pnl(self) -> int | None:
        """Equity less capital, read off the accounts that made it."""
        pnl = 0
        asset, boards = self._sleeve.asset.code, self._boards
        for (_, role, of), code, units in self._sleeve.vault.books.ledger.cells(self._sleeve.name):
            if role is Role.TRADING:
                if code == asset:
                    pnl -= units
                elif units:
                    book = boards.get(of)
                    if book is None or not book.bid:
                        return None
                    pnl += book.instrument.cost(book.mid, -units, Rounding.FLOOR)
            elif code == asset and role in _SPENT:
                pnl -= units
        return pnl

    def observe(self) -> None:
        """Note today's start and the peak. The desk calls it at each mark and before gates judge."""
        pnl = self.pnl()
        if pnl is None:
            return
        if self._peak is None or pnl > self._peak:
            self._peak = max(0, pnl)
        day = self.now // DAY
        if day != self._day:
            self._day, self._day_pnl = day, pnl

    def watched(self) -> tuple[int, int, int] | None:
        """(day, profit at its start, highest profit), once all are known."""
        return None if self._day_pnl is None or self._peak is None else (self._day, self._day_pnl, self._peak)

    def day_pnl(self) -> int | None:
        self.observe()
        pnl = self.pnl()
        return None if pnl is None or self._day_pnl is None else pnl - self._day_pnl

    def peak_pnl(self) -> int | None:
        self.observe()
        return self._peak

    def last_exit(self) -> int | None:
        return self._last_exit

    def orders(self) -> Sequence[Order]:
        return tuple(self._orders.values())

    def affordable(self, instrument: Instrument, money: int | Amount | None = None) -> int:
        if isinstance(money, Amount):
            money = self._sleeve.asset(money).units
        book = self.book_of(instrument)
        if book is None:
            return 0
        free = self.free()
        return self._allowance.affordable(instrument, free if money is None else min(money, free), book.ask)

    def hold(self, place: Place) -> int | None:
        terms = self.terms(place)
        return None if terms is None else terms[2]

    def terms(self, place: Place) -> tuple[int | None, Asset, int] | None:
        """What an order at this moment would be sent and held with: its worst price, and the asset and units set aside."""
        book = self.book_of(place.instrument)
        ask = book.ask if book else 0
        if place.instrument.contract is not None:
            if book is None:
                return None
            opening = place.qty - min(place.qty, self.closable(place))
            units = self._allowance.contract_units(place, book, opening)
            return self._allowance.worst_contract(place, book, opening), place.instrument.quote, units
        known = self._terms
        if known is not None and known[0] is place and known[1] == ask:
            return known[2]
        if book is None and place.limit is None and place.stop is None and place.side is Side.BUY:
            return None
        worst = self._allowance.worst(place, ask)
        terms = (worst, *self._allowance.units(place, worst))
        self._terms = (place, ask, terms)
        return terms


_SPENT = frozenset({Role.PNL, Role.FEES, Role.FUNDING})


class Seat:
    """What the desk knows of one engine besides its view."""

    __slots__ = (
        "counter",
        "decide",
        "engine",
        "every",
        "fault",
        "fence_after",
        "flatten_by",
        "flatten_tries",
        "gates",
        "memory",
        "open_orders",
        "refusal",
        "repeats",
        "sleeve",
        "vault",
        "view",
        "wake",
    )

    def __init__(self, engine: Engine[Any], vault: EngineVault, gates: Sequence[Gate], view: SeatView) -> None:
        self.engine = engine
        self.vault = vault
        self.sleeve: Sleeve = vault.sleeve
        self.open_orders: dict[str, Order] = view._orders
        self.gates = gates
        self.view = view
        self.memory = engine.begin()
        self.decide = engine.decide
        self.every = engine.every
        self.wake = 0
        self.counter = 0
        self.fault: Exception | None = None
        self.flatten_by = ""
        self.fence_after = 0
        """When the ring fence tries again, after the venue would not close the contracts."""
        self.flatten_tries: dict[str, int] = {}
        self.refusal: Refusal | None = None
        self.repeats = 0
