"""One engine at the desk: its memory, its sleeve, when it wants to be woken, and the view it is shown.

The view is the only thing an engine ever gets. It reads the ledger; nothing in it can move money.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .booking import Allowance
from .errors import InvalidMarket
from .exposure import Ground
from .gates import describe, opens
from .ledger import Role
from .margin import MarginAccount
from .market import DAY, HOUR, MINUTE, SECOND, Book, FundingRate, Instrument
from .money import PPM, Amount, Asset, Rounding, divide
from .news import FairValue, News, PoolState, Reading, TokenFacts
from .orders import Bundle, Cancel, Intent, Order, Place, Side
from .protocols import Engine, Gate, N, View
from .records import Refusal
from .state import note_sent
from .status import Status
from .vault import EngineVault, Sleeve

__all__ = ["NEVER", "Decide", "Seat", "SeatView", "Telemetry"]

_NEWS = (FundingRate, FairValue, PoolState, Reading, TokenFacts)
Decide = Callable[[Any, View], Iterable[Intent] | None]
"""What an engine is asked by."""
NEVER = 1 << 62
"""A time that does not come: the wake time of an engine that is not to be asked."""


class SeatView:
    """The `View` of one sleeve. `now` and `book` are set before each call; the rest is read when asked for."""

    __slots__ = (
        "_allowance",
        "_assumed",
        "_boards",
        "_day",
        "_day_pnl",
        "_ground",
        "_last_exit",
        "_left",
        "_news",
        "_orders",
        "_peak",
        "_sending",
        "_sent",
        "_sleeve",
        "_spent",
        "_terms",
        "book",
        "bundles",
        "legs",
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
        news: Mapping[tuple[type, str], News],
    ) -> None:
        self.now = 0
        self.bundles = 0
        self.legs: Sequence[Place] = ()
        self._news = news
        self._assumed: list[Place] = []
        """Legs of the bundle that is judged, which are taken for filled."""
        self._spent = 0
        """What those would set aside of the vault's asset, net of what they would bring."""
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
        self._sent: list[int] = []
        """When orders of new risk were sent, the latest of them, in order of time."""
        self._sending = 0
        """How many of the assumed legs take new risk."""
        self._terms: tuple[Place, int, tuple[int | None, Asset, int]] | None = None

    @property
    def status(self) -> Status:
        return self._sleeve.status

    def book_of(self, instrument: Instrument) -> Book | None:
        book = self._boards.get(instrument.symbol)
        return book if book is not None and book.bid else None

    def news(self, kind: type[N], topic: str) -> N | None:
        if kind not in _NEWS or type(topic) is not str:
            kinds = ", ".join(one.__name__ for one in _NEWS)
            raise InvalidMarket(f"news is of a kind ({kinds}) about a topic in text, such as a symbol, not of {kind!r} about {topic!r}")
        return self._news.get((kind, topic))  # type: ignore[return-value]

    def position(self, instrument: Instrument) -> int:
        position = self._sleeve.position_units(instrument)
        if not self._assumed:
            return position
        least = min(0, position)
        for leg in self._assumed:
            if leg.instrument.symbol == instrument.symbol:
                position += leg.side.sign * leg.qty
                if instrument.contract is None:  # a sale of coins draws on those bought elsewhere, and owes none
                    position = max(least, position)
        return position

    def sellable(self, instrument: Instrument) -> int:
        return self._coins(instrument.base, instrument) if instrument.contract is None else 0

    def spendable(self, instrument: Instrument) -> int:
        asset = self._sleeve.vault.asset
        return self.free() if instrument.quote is asset or instrument.quote == asset else self._coins(instrument.quote, instrument)

    def _coins(self, coin: Asset, market: Instrument) -> int:
        """Free coins of a kind that trades brought, those of assumed legs as well."""
        sleeve = self._sleeve
        free = sleeve.free_units(coin)
        if not self._assumed and market.base is coin and sleeve.position_units(market) >= free:
            return free
        owned = sum(qty for market, qty in sleeve._positions() if market.contract is None and market.base == coin)
        coins = min(owned, free)
        for leg in self._assumed:
            if leg.instrument.contract is None and leg.instrument.base == coin:
                coins += leg.side.sign * leg.qty
            elif leg.instrument.contract is None and leg.instrument.quote == coin:
                coins += self._brings(leg) if leg.side is Side.SELL else -(self.hold(leg) or 0)
        return max(0, coins)

    def home(self, coin: Asset) -> Instrument | None:
        market = self._sleeve.home(coin)
        return market if market is not None and self.book_of(market) is not None else None

    def needs(self, place: Place) -> int | None:
        asset, quote = self._sleeve.vault.asset, place.instrument.quote
        return self.hold(place) if (quote is asset or quote == asset) and self._pays(place) else 0

    @staticmethod
    def _pays(place: Place) -> bool:
        return place.side is Side.BUY or place.instrument.contract is not None

    @property
    def reserved(self) -> int:
        return self._spent

    def assume(self, leg: Place) -> None:
        """Take a leg that was judged for filled, for the judgement of those behind it."""
        self._sending += opens(leg, self)
        spent = self.needs(leg) or 0
        if leg.instrument.contract is None and leg.side is Side.SELL and leg.instrument.quote == self._sleeve.asset:
            spent -= self._brings(leg)
        self._assumed.append(leg)
        self._spent += spent

    def forget(self) -> None:
        """Nothing is assumed any more."""
        self._assumed, self._spent, self._sending = [], 0, 0

    def _brings(self, leg: Place) -> int:
        """What a sale brings at least: at its limit, or at the bid with the allowances of an order at market against it."""
        market, book = leg.instrument, self.book_of(leg.instrument)
        price = leg.limit or (0 if book is None else market.shift(book.bid, -self._allowance.slippage_ppm, Rounding.FLOOR))
        proceeds = market.cost(price, leg.qty, Rounding.FLOOR)
        return max(0, proceeds - divide(proceeds * self._allowance.fee_ppm, PPM, Rounding.CEIL) - self._allowance.roundings(market))

    def open_cost(self, instrument: Instrument) -> int:
        return self._sleeve.open_cost_units(instrument)

    def closable(self, place: Place) -> int:
        market, side = place.instrument, place.side
        if market.contract is None:
            return 0
        against = -side.sign * self.position(market)
        if against <= 0:
            return 0
        ordered = [o for o in self._orders.values() if o.place.side is side and o.place.instrument.symbol == market.symbol]
        return max(0, against - sum(map(self._left, ordered)))

    def free(self) -> int:
        return self.own_free() - self._spent

    def own_free(self) -> int:
        """The same with nothing assumed."""
        sleeve = self._sleeve
        free = sleeve.free_units() + sleeve.pending_units()
        return free - self.lost() if sleeve.vault.books.perpetuals else free

    def lost(self) -> int:
        """What open contracts and what is not settled of them have lost, as far as prices are known; never below zero."""
        sleeve, lost = self._sleeve, 0
        books, own = sleeve.vault.books, sleeve.vault.asset.code
        for (_, role, of), code, units in books.ledger.cells(sleeve.name):
            if not units:
                continue
            if role is _UNSETTLED:
                lost -= min(0, units) if code == own else 0
            elif role is _TRADING:
                market, book = books.instruments[of], self._boards.get(of)
                if market.contract is not None and code == market.base.code and book is not None and book.bid:
                    lost -= min(0, market.cost(book.mid, -units, Rounding.FLOOR) - sleeve.open_cost_units(market))
        return max(0, lost)

    def exposure(self, place: Place | None = None) -> MarginAccount | None:
        return self._ground.own(self._sleeve, place, also=self._assumed, spend=self._cash())

    def joint_exposure(self, place: Place | None = None) -> MarginAccount | None:
        sleeve = self._sleeve
        return self._ground.joint(sleeve.vault, place, account=sleeve.account or 0, also=self._assumed, spend=self._cash())

    def _cash(self) -> int:
        """What the coins that a bundle buys cost, whichever of its legs comes first."""
        buys = [leg for leg in self.legs if leg.instrument.contract is None and leg.side is Side.BUY]
        return sum(self.needs(leg) or 0 for leg in buys)

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

    def sent_since(self, at: int) -> int:
        """Legs that are assumed count as sent now."""
        return len(self._sent) - bisect_left(self._sent, at) + (self._sending if at <= self.now else 0)

    def note_sent(self, at: int) -> None:
        """An order of new risk was sent."""
        note_sent(self._sent, at)

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


_TRADING, _UNSETTLED = Role.TRADING, Role.UNSETTLED
_SPENT = frozenset({Role.PNL, Role.FEES, Role.FUNDING})


@frozen(order=False)
class Telemetry:
    """What an engine was last seen to do, as plain values: for people and dashboards, never journaled."""

    at: int
    sleeve: str
    engine: str
    saw: Mapping[str, str] = field(hash=False)
    """What its last decision was made on, in its own words; nothing of an engine that does not tell."""
    wanted_at: int
    """When it last wished for anything; 0 for never."""
    wanted: tuple[str, ...]
    refused: Refusal | None
    """The last refusal of one of its wishes: which gate, why, and the numbers."""
    idle: str = ""
    """Why it is not asked at all; empty where it is."""

    def __str__(self) -> str:
        lines = [f"{self.sleeve}: {self.engine}", *(f"  {name}: {value}" for name, value in self.saw.items())]
        lines += [f"  idle: {self.idle}"] if self.idle else []
        lines += [f"  wanted {self._ago(self.wanted_at)}: {wish}" for wish in self.wanted]
        return "\n".join([*lines, *([] if self.refused is None else [f"  {self._ago(self.refused.at)}: {self.refused}"])])

    def _ago(self, at: int) -> str:
        """How long ago that was."""
        gone = max(0, self.at - at)
        for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
            if gone >= unit:
                return f"{gone / unit:.4g} {name} ago"
        return "now"


class Seat:
    """What the desk knows of one engine besides its view."""

    __slots__ = (
        "counter",
        "decide",
        "engine",
        "every",
        "fault",
        "fence_after",
        "flatten_after",
        "flatten_by",
        "flatten_tries",
        "gates",
        "memory",
        "open_orders",
        "refusal",
        "refused",
        "repeats",
        "sleeve",
        "untradeable",
        "vault",
        "view",
        "wake",
        "wanted",
    )

    def __init__(self, engine: Engine[Any], vault: EngineVault, gates: Sequence[Gate], view: SeatView) -> None:
        self.engine = engine
        self.vault = vault
        self.sleeve: Sleeve = vault.sleeve
        self.open_orders: dict[str, Order] = view._orders
        self.gates = gates
        self.view = view
        self.memory = engine.begin()
        self.decide: Decide = engine.decide
        self.untradeable = vault.idle_reason
        """Why it cannot trade at all, whatever else stands in its way."""
        self.every = engine.every
        self.wake = 0
        self.wanted: tuple[int, tuple[object, ...]] = (0, ())
        """When it last wished for anything, and for what."""
        self.counter = 0
        self.fault: Exception | None = None
        self.flatten_by = ""
        self.fence_after = 0
        """When the ring fence tries again, after the venue would not close the contracts."""
        self.flatten_after: dict[str, int] = {}
        """By symbol, when what is being closed is ordered again, after the venue was not reached."""
        self.flatten_tries: dict[str, int] = {}
        self.refusal: Refusal | None = None
        """The last one, until a wish passes: equal ones are counted and not written again."""
        self.refused: Refusal | None = None
        """The last one, however long ago."""
        self.repeats = 0

    def notes(self, place: Place) -> dict[str, str]:
        """What gates that let an order pass have to say of it, such as what it is expected to bring and to cost."""
        notes: dict[str, str] = {}
        for gate in self.gates:
            told = getattr(gate, "notes", None)
            if callable(told):
                notes |= told(place, self.view, self.vault)
        return notes

    def telemetry(self, now: int) -> Telemetry:
        """What its engine last saw, what it last wished for, and what was refused and why."""
        told = getattr(self.engine, "saw", None)
        try:
            saw = {str(name): str(value) for name, value in told(self.memory).items()} if callable(told) else {}
        except Exception as error:  # what an engine says of itself must not stand in the way of the rest
            saw = {"saw": f"raised {type(error).__name__}: {error}"}
        at, wishes = self.wanted
        wanted = tuple(map(_wish_text, wishes))
        return Telemetry(now, self.sleeve.name, self.engine.name, saw, at, wanted, self.refused, self.vault.idle_reason)


def _wish_text(wish: object) -> str:
    if isinstance(wish, Place):
        return describe(wish) + (f": {wish.why}" if wish.why else "")
    if isinstance(wish, Bundle):
        return " then ".join(map(describe, wish.legs)) + (f": {wish.why}" if wish.why else "")
    return f"cancel {wish.order_id}" if isinstance(wish, Cancel) else str(wish)
