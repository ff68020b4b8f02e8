"""What is wished, what was ordered, and what came of it.

An engine wishes (`Place`, `Cancel`). The desk turns an accepted wish into an `Order` with a deterministic id and
tells the shell to `SubmitOrder`. The venue answers with events: `Accepted`, `Fill`, `Canceled`, `Rejected`. The order
table at the end says which status may follow which.

This module knows nothing of accounts: an order says what to do, the ledger says whose money does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, fields, frozen

from .errors import InvalidMarket
from .facts import AccountFact, TransferRefused
from .making import maker, opened
from .market import Instrument, Quote
from .money import Amount
from .news import News

__all__ = [
    "ORDER_TRANSITIONS",
    "Accepted",
    "Bundle",
    "Cancel",
    "CancelOrder",
    "Canceled",
    "Command",
    "Event",
    "Fill",
    "Intent",
    "Liquidity",
    "Order",
    "OrderReport",
    "OrderStatus",
    "Place",
    "Position",
    "Rejected",
    "SettlePnl",
    "Side",
    "SubmitOrder",
    "TimeInForce",
    "Transfer",
    "Unanswered",
    "fill_of",
]


_set = object.__setattr__


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class TimeInForce(StrEnum):
    GTC = "gtc"
    """Good till canceled."""
    IOC = "ioc"
    """Immediate or cancel: what does not fill at the first price is canceled."""
    FOK = "fok"
    """Fill or kill: whole at the first price, or canceled and nothing of it filled."""


class Liquidity(StrEnum):
    MAKER = "maker"
    TAKER = "taker"


class OrderStatus(StrEnum):
    SUBMITTED = "submitted"
    """Held, journaled, and handed to the shell. The venue has not answered."""
    UNKNOWN = "unknown"
    """It was sent and the answer is lost, or the venue does not find it. It may be filled: what it holds stays held."""
    OPEN = "open"
    """The venue has it."""
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def done(self) -> bool:
        return self is OrderStatus.FILLED or self is OrderStatus.CANCELED or self is OrderStatus.REJECTED


# -- wishes ----------------------------------------------------------------------------------------------------------


@frozen(order=False, weakref_slot=False)
class Place:
    """A wish to trade. `limit` and `stop` are prices in the instrument's units; neither given means at market.

    A `stop` rests until the price reaches it and then trades at market, or at `limit` where one is given.
    `post_only` is refused by the venue rather than taking liquidity. `reduce_only` never opens or grows a position.
    `expect` is the profit in quote units that the engine expects, before the costs that a gate weighs it against.
    `good_til` is when the venue takes what is left of it off the book by itself, in nanoseconds: for a limit order that rests.
    `tag` is the engine's own mark for the order, by which it finds it again; no venue is told.
    """

    instrument: Instrument
    side: Side
    qty: int
    limit: int | None = None
    stop: int | None = None
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    post_only: bool = False
    expect: int | None = None
    why: str = ""
    good_til: int | None = None
    tag: str = ""

    def __init__(
        self,
        instrument: Instrument,
        side: Side,
        qty: int,
        limit: int | None = None,
        stop: int | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        reduce_only: bool = False,
        post_only: bool = False,
        expect: int | None = None,
        why: str = "",
        good_til: int | None = None,
        tag: str = "",
    ) -> None:
        # engines make many: what most are is seen at one look, and all others are checked term by term
        plain = (
            type(instrument) is Instrument
            and type(side) is Side
            and type(qty) is int
            and qty > 0
            and (limit is None or (type(limit) is int and limit > 0))
            and (stop is None or (type(stop) is int and stop > 0))
            and tif is _GTC
            and post_only is False
            and (reduce_only is False or reduce_only is True)
            and expect is None
            and good_til is None
            and type(why) is str
            and type(tag) is str
            and len(tag) <= 64
        )
        cls = type(self)
        if cls is Place:
            _set(self, "__class__", _OpenPlace)  # one that is not frozen, with the same slots, for the time it takes to fill it in
            self.instrument = instrument  # type: ignore[misc]
            self.side = side  # type: ignore[misc]
            self.qty = qty  # type: ignore[misc]
            self.limit = limit  # type: ignore[misc]
            self.stop = stop  # type: ignore[misc]
            self.tif = tif  # type: ignore[misc]
            self.reduce_only = reduce_only  # type: ignore[misc]
            self.post_only = post_only  # type: ignore[misc]
            self.expect = expect  # type: ignore[misc]
            self.why = why  # type: ignore[misc]
            self.good_til = good_til  # type: ignore[misc]
            self.tag = tag  # type: ignore[misc]
            self.__class__ = Place
        else:
            given = (instrument, side, qty, limit, stop, tif, reduce_only, post_only, expect, why, good_til, tag)
            for name, value in zip(_PLACE, given, strict=True):
                _set(self, name, value)
        if not plain:
            self._check()

    def _check(self) -> None:
        """Raise `InvalidMarket` for a wish that cannot be, with the value and the rule."""
        if not isinstance(self.instrument, Instrument):
            raise InvalidMarket(f"an order is for an Instrument, not for {self.instrument!r}")
        if not isinstance(self.side, Side):
            raise InvalidMarket(f"order side {self.side!r} must be Side.BUY or Side.SELL")
        if isinstance(self.qty, bool) or not isinstance(self.qty, int) or self.qty <= 0:
            raise InvalidMarket(f"order quantity {self.qty!r} of {self.instrument} must be a positive whole number of base units")
        for name, price in (("limit", self.limit), ("stop", self.stop)):
            if price is not None and (isinstance(price, bool) or not isinstance(price, int) or price <= 0):
                raise InvalidMarket(f"order {name} {price!r} of {self.instrument} must be a positive whole number of price units")
        if not isinstance(self.tif, TimeInForce):
            raise InvalidMarket(f"order time in force {self.tif!r} must be one of TimeInForce: GTC, IOC, FOK")
        if type(self.reduce_only) is not bool or type(self.post_only) is not bool:
            raise InvalidMarket(f"reduce_only {self.reduce_only!r} and post_only {self.post_only!r} must be True or False")
        if not isinstance(self.why, str) or (self.expect is not None and type(self.expect) is not int):
            raise InvalidMarket(f"order why {self.why!r} must be text and expect {self.expect!r} a whole number of quote units")
        if self.post_only and self.limit is None:
            raise InvalidMarket(f"a post-only order of {self.instrument} needs a limit price")
        if self.post_only and self.tif is not TimeInForce.GTC:
            raise InvalidMarket(f"a post-only order of {self.instrument} rests, so it cannot be {self.tif.value}")
        if self.good_til is not None:
            if type(self.good_til) is not int or self.good_til <= 0:
                raise InvalidMarket(f"order good_til {self.good_til!r} of {self.instrument} must be whole nanoseconds since 1970, UTC")
            if self.tif is not TimeInForce.GTC or self.limit is None:
                raise InvalidMarket(f"good_til of an order of {self.instrument} is for a limit order that rests, not {self.tif.value}")
        if not isinstance(self.tag, str) or len(self.tag) > 64:
            raise InvalidMarket(f"order tag {self.tag!r} of {self.instrument} must be text of at most 64 characters")

    @property
    def exits(self) -> bool:
        """Whether it takes no new risk by its own terms: a sale of coins, and what only reduces."""
        return self.reduce_only or (self.side is Side.SELL and self.instrument.contract is None)


_GTC = TimeInForce.GTC
_PLACE = tuple(one.name for one in fields(Place))
_OpenPlace = opened(Place)


@frozen(order=False)
class Cancel:
    """A wish to cancel one's own order. One that is not open, or not one's own, is passed over."""

    order_id: str

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.order_id, str):
            raise InvalidMarket(f"an order id is text, not {self.order_id!r}")


def _legs(given: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)


def _leg_text(leg: object) -> str:
    if not isinstance(leg, Place):
        return repr(leg)
    terms = [f"{name} {value}" for name, value in (("limit", leg.limit), ("stop", leg.stop)) if value is not None]
    return f"{leg.side} {leg.qty} {leg.instrument} ({', '.join([*terms, leg.tif.value])})"


@frozen(order=False)
class Bundle:
    """A wish for orders that belong together: a hedge, an arbitrage. It passes the gates whole or not at all.

    Legs are sent one after the other, the less liquid first, each for as much as what was filled of the leg before calls
    for: `legs[n].qty` are in proportion. A leg that is not filled whole is sent again for the rest, at most `tries` times
    in all; then what stands alone of the legs before it is rolled back to the unit, in the opposite direction and at
    market, unless `rollback` is False: then it is left as it is, with an alert. Gates judge each leg as if those before
    it were filled. A leg is at market, or a limit that is immediate or cancel: none rests.
    """

    legs: tuple[Place, ...] = field(converter=_legs)
    tries: int = 2
    rollback: bool = True
    why: str = ""

    def __attrs_post_init__(self) -> None:
        if len(self.legs) < 2 or not all(isinstance(leg, Place) for leg in self.legs):
            given = ", ".join(map(_leg_text, self.legs)) or "none"
            raise InvalidMarket(f"a bundle is of at least two Places, not of {len(self.legs)}: {given}")
        if type(self.tries) is not int or self.tries < 1 or type(self.rollback) is not bool or not isinstance(self.why, str):
            said = f"tries {self.tries!r}, rollback {self.rollback!r}, why {self.why!r}"
            raise InvalidMarket(f"a bundle needs tries above zero, rollback True or False, and why in text, not {said}")
        for leg in self.legs:
            if leg.stop is not None or leg.post_only or (leg.limit is not None and leg.tif is not TimeInForce.IOC):
                raise InvalidMarket(f"a leg of a bundle is at market, or a limit that is immediate or cancel, not {_leg_text(leg)}")


Intent = Place | Cancel | Bundle


# -- orders and commands ---------------------------------------------------------------------------------------------


@frozen(order=False, weakref_slot=False)
class Order:
    """An accepted wish: its id is `f"{sleeve}-{n}"`, so that sending it again is recognised.

    `worst` is the worst price that the money held for it covers: no venue may fill it beyond, so that one sleeve never
    spends what another counts on. None for a sale of coins, which holds what it sells, and for an order that only
    closes contracts.

    `netted`: the sleeve owns a slice of a position that the venue nets with other sleeves' slices. The desk has sized a
    reduce-only order to its owner; the venue, which sees only the net, must not apply the flag again.
    """

    id: str
    sleeve: str
    place: Place
    at: int
    worst: int | None = None
    netted: bool = False

    @property
    def reduce_only(self) -> bool:
        """Whether the venue is to apply reduce-only."""
        return self.place.reduce_only and not self.netted


@frozen(order=False, weakref_slot=False)
class SubmitOrder:
    """Told to the shell: send this order to its venue."""

    order: Order


@frozen(order=False)
class CancelOrder:
    """Told to the shell: ask the venue to cancel this order."""

    order: Order


@frozen(order=False)
class SettlePnl:
    """Told to the shell: have the venue settle a perpetual's unsettled profit or loss to cash."""

    instrument: Instrument


@frozen(order=False)
class Transfer:
    """Told to the shell: bring coins into the venue's account (above zero) or take them out of it.

    With `source` and `target` they stay in it, and move from one of its sub-accounts to another (`inside`).
    """

    id: str
    amount: Amount
    venue: str = ""
    source: int | None = None
    target: int | None = None

    def __attrs_post_init__(self) -> None:
        words = isinstance(self.id, str) and isinstance(self.venue, str)
        if not words or not isinstance(self.amount, Amount) or not self.amount.units:
            raise InvalidMarket(f"transfer {self.id!r} of {self.amount!r} needs an id and an Amount other than zero")
        if self.source is None and self.target is None:
            return
        numbers = type(self.source) is int and type(self.target) is int and self.source >= 0 and self.target >= 0
        if not numbers or self.source == self.target or self.amount.units < 0:
            between = f"transfer {self.id!r} of {self.amount} from sub-account {self.source!r} to {self.target!r}"
            raise InvalidMarket(f"{between}: need two numbers from 0 on, and an amount above zero")

    @property
    def inside(self) -> bool:
        """Whether the coins stay in the account."""
        return self.source is not None


@frozen(order=False)
class Position:
    """An account's contracts in one instrument, as the venue nets them.

    `qty` is below zero when short. `money` is what was received for them less what was paid, with all that was realized
    and is not settled yet, in quote units: the same whichever way slices are cut.
    """

    instrument: Instrument
    qty: int
    money: int

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument) or type(self.qty) is not int or type(self.money) is not int:
            raise InvalidMarket(f"a position in {self.instrument!r} of {self.qty!r} for {self.money!r}: need an Instrument and whole units")


Command = SubmitOrder | CancelOrder | SettlePnl | Transfer


# -- what the venue says ---------------------------------------------------------------------------------------------


@frozen(order=False, weakref_slot=False)
class Accepted:
    """The venue has the order on its book."""

    order_id: str
    at: int
    venue_id: str = ""

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.venue_id)


@frozen(order=False, weakref_slot=False)
class Fill:
    """A trade that has happened. `cost` is the exact money that changed hands, as the venue booked it, fee apart.

    `fee` may be negative (a rebate) and in any asset. `trade_id` is the venue's own. `account` names the account where a
    venue has several under one name, `leg` the part where it tells one trade of one order as two (a position that turns).
    `key` is what makes the same fill the same fill however often it is told: venue, market, trade, order, account, leg.
    """

    order_id: str
    at: int
    instrument: Instrument
    side: Side
    qty: int
    price: int
    cost: int
    fee: Amount
    liquidity: Liquidity
    trade_id: str
    venue: str = ""
    account: str = ""
    leg: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.trade_id, self.venue, self.account, self.leg)
        kinds = isinstance(self.instrument, Instrument) and isinstance(self.side, Side) and isinstance(self.liquidity, Liquidity)
        if not kinds or not isinstance(self.fee, Amount):
            what = f"fill {self.trade_id!r} of {self.instrument}: side {self.side!r}, fee {self.fee!r}, {self.liquidity!r}"
            raise InvalidMarket(f"{what}: need an Instrument, a Side, an Amount and a Liquidity")
        whole = type(self.qty) is int and type(self.price) is int and type(self.cost) is int
        if not whole or self.qty <= 0 or self.price <= 0 or self.cost < 0:
            what = f"fill {self.trade_id!r} of {self.instrument}: quantity {self.qty}, price {self.price}, cost {self.cost}"
            raise InvalidMarket(f"{what}: need whole numbers of units, quantity > 0, price > 0, cost >= 0")
        more = (self.account, self.leg) if self.account or self.leg else ()
        object.__setattr__(self, "key", _key(self.venue, self.instrument.symbol, self.trade_id, self.order_id, *more))


def _key(*parts: str) -> str:
    key = "|".join(parts)
    if key.count("|") != 3:
        key = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return key


_fill = maker(Fill)


def fill_of(order: Order, at: int, qty: int, price: int, cost: int, fee: Amount, liquidity: Liquidity, trade_id: str, venue: str) -> Fill:
    """A fill of an order by a market that has worked it out in whole units: nothing is checked again."""
    place = order.place
    market, key = place.instrument, _key(venue, place.instrument.symbol, trade_id, order.id)
    return _fill(order.id, at, market, place.side, qty, price, cost, fee, liquidity, trade_id, venue, "", "", key)


@frozen(order=False, weakref_slot=False)
class Canceled:
    """The order is off the book; what was not filled never will be."""

    order_id: str
    at: int
    reason: str = ""

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.reason)


@frozen(order=False)
class Rejected:
    """The venue refused the order, or it was never `reached` by it: nothing of it was done."""

    order_id: str
    at: int
    reason: str
    reached: bool = True
    """Whether the venue had the order and said no. What it was never asked may be ordered again."""

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.reason)
        if not isinstance(self.reached, bool):
            raise InvalidMarket(f"rejected {self.order_id!r}: reached {self.reached!r} must be True or False")


@frozen(order=False)
class Unanswered:
    """The shell sent an order and the answer is lost. Whatever it was sent for stays set aside until the venue tells."""

    order_id: str
    at: int
    reason: str = ""

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.reason)


@frozen(order=False)
class OrderReport:
    """What a venue says of one order when it is asked: evidence. `filled` are base units; FILLED, CANCELED and REJECTED are final.

    A final report is no fill: the fills come by `Custody.history`, and are taken in before the order is taken for done.
    """

    order_id: str
    at: int
    status: OrderStatus
    filled: int = 0
    reason: str = ""
    venue_id: str = ""

    def __attrs_post_init__(self) -> None:
        _check_words(self, self.at, self.order_id, self.reason, self.venue_id)
        known = self.status is OrderStatus.OPEN or (isinstance(self.status, OrderStatus) and self.status.done)
        if not known or type(self.filled) is not int or self.filled < 0:
            raise InvalidMarket(
                f"report of {self.order_id!r}: {self.status!r}, filled {self.filled!r}: need open or a final status, units >= 0"
            )


def _check_words(event: object, at: object, *words: object) -> None:
    """What a venue says can be written down: its time in whole nanoseconds, its ids and reasons in text."""
    if type(at) is int:
        for word in words:
            if not isinstance(word, str):
                break
        else:
            return
    raise InvalidMarket(f"{type(event).__name__} at {at!r} with {words!r}: need whole nanoseconds and text")


Event = Quote | News | Accepted | Fill | Canceled | Rejected | Unanswered | OrderReport | AccountFact | TransferRefused

_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED})
ORDER_TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.SUBMITTED: _FINAL | {OrderStatus.OPEN, OrderStatus.UNKNOWN},
    OrderStatus.UNKNOWN: _FINAL | {OrderStatus.OPEN},
    OrderStatus.OPEN: _FINAL | {OrderStatus.UNKNOWN},
    OrderStatus.FILLED: frozenset(),
    OrderStatus.CANCELED: frozenset({OrderStatus.FILLED}),
    OrderStatus.REJECTED: frozenset({OrderStatus.FILLED}),
}
"""Which status may follow which. A fill is a fact: it may complete an order that was already said to be off the book."""
