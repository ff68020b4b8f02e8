"""A price-time priority order book, sans I/O: orders in, trades and removals out, in integers.

Rule 1. The better price first; at one price, who came first. A trade is at the price of the order that rested.
Rule 2. The book is never crossed once an operation is done.
Rule 3. What was placed is traded, taken off, or still standing: to the unit.
Rule 4. An order whose time has come is off before anything else happens at that instant.

Owners are words, prices whole steps of a tick, sizes whole steps of a lot, time whole nanoseconds that never run
backwards. Accounts, money and who an owner is are not known here; what an owner holds is told, where its orders may
only reduce it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from ..errors import InvalidMarket
from ..orders import Side, TimeInForce

__all__ = ["OrderBook", "OrderId", "Removed", "SelfMatch", "Trade", "Why"]

OrderId: TypeAlias = str | int
"""A word, or a number above every number before it: so that no id comes twice, and numbers need not be remembered."""


class SelfMatch(StrEnum):
    """What is done when an order would trade with a resting order of its own owner; they never trade."""

    CANCEL_NEWEST = "cancel newest"
    """The order that comes is taken off, what rests stays."""
    CANCEL_OLDEST = "cancel oldest"
    """What rests is taken off, and the order that comes goes on."""
    CANCEL_BOTH = "cancel both"
    DECREMENT = "decrement and cancel"
    """Both lose the smaller of their sizes, untraded: the smaller one is off."""


class Why(StrEnum):
    """Why an order, or a part of it, is off the book without a trade."""

    REQUESTED = "requested"
    EXPIRED = "expired"
    IMMEDIATE = "immediate or cancel"
    KILLED = "fill or kill"
    POST_ONLY = "post only order would take"
    SELF = "self-trade prevention"
    REDUCE_ONLY = "reduce only: no position left to reduce"
    EMPTY = "nothing left to take"
    BEYOND = "nothing left to take within its worst price"


class Trade(NamedTuple):
    """Two orders have met. `side` is the taker's; the price is the maker's."""

    at: int
    price: int
    qty: int
    maker: OrderId
    taker: OrderId
    side: Side


class Removed(NamedTuple):
    """`qty` units of an order are off, untraded; `left` still stand, after a decrement or a smaller size."""

    at: int
    order: OrderId
    qty: int
    why: Why
    left: int = 0


Result: TypeAlias = Trade | Removed


class _Order:
    __slots__ = ("buy", "good_til", "id", "left", "limit", "owner", "post_only", "reduce_only")

    def __init__(
        self, id_: OrderId, owner: str, buy: bool, left: int, limit: int | None, post_only: bool, reduce_only: bool, good_til: int | None
    ) -> None:
        self.id = id_
        self.owner = owner
        self.buy = buy
        self.left = left
        self.limit = limit
        self.post_only = post_only
        self.reduce_only = reduce_only
        self.good_til = good_til


class _Level:
    """What stands at one price, the oldest first, and how much that is."""

    __slots__ = ("orders", "price", "units")

    def __init__(self, price: int) -> None:
        self.price = price
        self.units = 0
        self.orders: OrderedDict[OrderId, _Order] = OrderedDict()


class _Half:
    """One side of a book. Keys are prices with a sign, so that the best is the last and is taken off at no cost."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, _Level] = {}

    def add(self, order: _Order) -> None:
        assert order.limit is not None
        level = self.levels.get(order.limit)
        if level is None:
            level = self.levels[order.limit] = _Level(order.limit)
            insort(self.keys, self.sign * order.limit)
        level.orders[order.id] = order
        level.units += order.left

    def take_off(self, order: _Order, level: _Level) -> None:
        """An order leaves its level with what is left of it."""
        del level.orders[order.id]
        level.units -= order.left
        if not level.orders:
            key = self.sign * level.price
            if self.keys[-1] == key:
                self.keys.pop()
            else:
                del self.keys[bisect_left(self.keys, key)]
            del self.levels[level.price]

    def best(self) -> int | None:
        return self.sign * self.keys[-1] if self.keys else None


class OrderBook:
    """One market's book. Each operation returns what it brought, in the order in which it happened.

    Raises `InvalidMarket`, with nothing done, for an id that was used before, a price off the tick, a size off the lot, a
    time before the latest, and terms that contradict each other.

        >>> book = OrderBook()
        >>> book.place("maker", "ann", Side.SELL, 5, now=1, limit=100)
        []
        >>> book.place("taker", "bob", Side.BUY, 3, now=2)
        [Trade(at=2, price=100, qty=3, maker='maker', taker='taker', side=<Side.BUY: 'buy'>)]
        >>> book.best_ask, book.left("maker")
        (100, 2)
    """

    def __init__(self, *, tick: int = 1, lot: int = 1, self_match: SelfMatch = SelfMatch.CANCEL_NEWEST) -> None:
        for name, step in (("tick", tick), ("lot", lot)):
            if type(step) is not int or step <= 0:
                raise InvalidMarket(f"the {name} {step!r} of a book must be a positive whole number of units")
        if not isinstance(self_match, SelfMatch):
            raise InvalidMarket(f"self match {self_match!r} must be one of SelfMatch: {', '.join(SelfMatch)}")
        self.tick = tick
        self.lot = lot
        self.self_match = self_match
        self.now = 0
        self.held: dict[str, int] = {}
        """What owners hold (below zero: short) whose orders may only reduce: told with `hold`, counted along by each trade."""
        self._bids = _Half(1)
        self._asks = _Half(-1)
        self._standing: dict[OrderId, _Order] = {}
        self._words: set[str] = set()
        self._number = -1
        self._ends: list[tuple[int, int, _Order]] = []
        self._ended = 0

    # -- what stands ---------------------------------------------------------------------------------------------------

    @property
    def best_bid(self) -> int | None:
        return self._bids.best()

    @property
    def best_ask(self) -> int | None:
        return self._asks.best()

    @property
    def next_end(self) -> int | None:
        """The next instant at which `advance` may have something to take off."""
        return self._ends[0][0] if self._ends else None

    def left(self, order: OrderId) -> int:
        """Units of an order that stand on the book; 0 for one that does not."""
        found = self._standing.get(order)
        return 0 if found is None else found.left

    def ahead(self, order: OrderId) -> int | None:
        """Units that stand before an order at its price; None for one that is not on the book."""
        found = self._standing.get(order)
        if found is None or found.limit is None:
            return None
        ahead = 0
        for other in self._half(found.buy).levels[found.limit].orders.values():
            if other is found:
                break
            ahead += other.left
        return ahead

    def depth(self, levels: int | None = None) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks as (price, units), the best first."""
        if levels is not None and (type(levels) is not int or levels < 0):
            raise InvalidMarket(f"depth of {levels!r} levels: need a whole number, or None for all")
        bids, asks = (
            [(half.levels[abs(key)].price, half.levels[abs(key)].units) for key in half.keys[::-1][:levels]]
            for half in (self._bids, self._asks)
        )
        return bids, asks

    def best_besides(self, owner: str, side: Side) -> int | None:
        """The best price on a side at which somebody else than this owner stands."""
        half = self._half(side is Side.BUY)
        for key in reversed(half.keys):
            level = half.levels[abs(key)]
            if any(order.owner != owner for order in level.orders.values()):
                return level.price
        return None

    def _half(self, buy: bool) -> _Half:
        return self._bids if buy else self._asks

    # -- operations ------------------------------------------------------------------------------------------------------

    def hold(self, owner: str, units: int) -> None:
        """Tell what an owner holds: its reduce-only orders trade at most against that. An owner that was never told holds nothing."""
        if not isinstance(owner, str) or type(units) is not int:
            raise InvalidMarket(f"{owner!r} holds {units!r}: need a word and whole units")
        self.held[owner] = units

    def advance(self, now: int) -> list[Result]:
        """Time goes on to this instant: orders that end by then are off, each at its own instant."""
        if type(now) is not int or now < self.now:
            raise InvalidMarket(f"time {now!r} of a book must be whole nanoseconds, not before {self.now}")
        self.now = now
        out: list[Result] = []
        while self._ends and self._ends[0][0] <= now:
            end, _, order = heappop(self._ends)
            if self._standing.get(order.id) is order:
                self._remove(order)
                out.append(Removed(end, order.id, order.left, Why.EXPIRED))
        return out

    def place(
        self,
        order: OrderId,
        owner: str,
        side: Side,
        qty: int,
        *,
        now: int,
        limit: int | None = None,
        worst: int | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        good_til: int | None = None,
    ) -> list[Result]:
        """An order comes: it takes what its price reaches, and the rest stands at its limit, or is off.

        Without a limit it is at market, at most to `worst` where that is given, and never rests. Fill or kill is looked
        at before anything is done: whole, or nothing at all happens but its removal. One that is good until an instant
        that has come is off at once. A reduce-only order trades at most against what its owner holds (`hold`) at each
        trade, and is off when that is nothing.
        """
        self._check(order, owner, side, qty, limit, worst, tif, post_only, reduce_only, good_til)
        out = self.advance(now)
        if type(order) is int:
            self._number = order
        else:
            self._words.add(str(order))
        one = _Order(order, owner, side is Side.BUY, qty, limit, post_only, reduce_only, good_til)
        if good_til is not None:
            if good_til <= now:
                out.append(Removed(now, order, qty, Why.EXPIRED))
                return out
            self._ended += 1
            heappush(self._ends, (good_til, self._ended, one))
        bound = worst if limit is None else limit
        if tif is TimeInForce.FOK and self._fillable(one, bound) < qty:
            out.append(Removed(now, order, qty, Why.KILLED))
            return out
        self._come(one, bound, tif, now, out)
        return out

    def cancel(self, order: OrderId, *, now: int) -> list[Result]:
        """Take an order off. One that does not stand on the book is passed over: its trades or its removal were told."""
        out = self.advance(now)
        found = self._standing.get(order)
        if found is not None:
            self._remove(found)
            out.append(Removed(now, order, found.left, Why.REQUESTED))
        return out

    def replace(self, order: OrderId, *, now: int, qty: int | None = None, limit: int | None = None) -> list[Result]:
        """Change what is left of an order, its price, or both. One that does not stand on the book is passed over.

        A size that is not larger at the same price keeps its place. Everything else goes to the back, and takes what its
        new price reaches; a post-only order that would take is off instead.
        """
        if qty is not None and (type(qty) is not int or qty <= 0 or qty % self.lot):
            raise InvalidMarket(f"quantity {qty!r} of a replacement must be a positive multiple of the lot {self.lot}")
        if limit is not None and (type(limit) is not int or limit <= 0 or limit % self.tick):
            raise InvalidMarket(f"price {limit!r} of a replacement must be a positive multiple of the tick {self.tick}")
        out = self.advance(now)
        found = self._standing.get(order)
        if found is None:
            return out
        assert found.limit is not None
        qty = found.left if qty is None else qty
        limit = found.limit if limit is None else limit
        if limit == found.limit and qty <= found.left:
            less = found.left - qty
            if less:
                self._half(found.buy).levels[limit].units -= less
                found.left = qty
                out.append(Removed(now, order, less, Why.REQUESTED, qty))
            return out
        self._remove(found)
        if qty < found.left:
            out.append(Removed(now, order, found.left - qty, Why.REQUESTED, qty))
        found.left, found.limit = qty, limit
        self._come(found, limit, TimeInForce.GTC, now, out)
        return out

    def _check(
        self,
        order: OrderId,
        owner: str,
        side: Side,
        qty: int,
        limit: int | None,
        worst: int | None,
        tif: TimeInForce,
        post_only: bool,
        reduce_only: bool,
        good_til: int | None,
    ) -> None:
        """Raise `InvalidMarket` for what no book takes; nothing is done."""
        fresh = order > self._number if type(order) is int else isinstance(order, str) and order != "" and order not in self._words
        if not fresh:
            rule = "a word, or a whole number above every number before it, and none that was used before"
            raise InvalidMarket(f"order id {order!r} must be {rule}")
        if not isinstance(owner, str) or not owner or not isinstance(side, Side) or not isinstance(tif, TimeInForce):
            raise InvalidMarket(f"order {order!r} of {owner!r}, {side!r}, {tif!r}: need an owner, a Side and a TimeInForce")
        if type(qty) is not int or qty <= 0 or qty % self.lot:
            raise InvalidMarket(f"quantity {qty!r} of order {order!r} must be a positive multiple of the lot {self.lot}")
        if limit is not None and (type(limit) is not int or limit <= 0 or limit % self.tick):
            raise InvalidMarket(f"limit {limit!r} of order {order!r} must be a positive multiple of the tick {self.tick}")
        if worst is not None and (type(worst) is not int or worst <= 0 or limit is not None):
            raise InvalidMarket(f"worst {worst!r} of order {order!r} must be a positive price, and is for orders at market, not at {limit}")
        if type(post_only) is not bool or type(reduce_only) is not bool:
            raise InvalidMarket(f"order {order!r}: post_only {post_only!r} and reduce_only {reduce_only!r} must be True or False")
        if (post_only or good_til is not None) and (limit is None or tif is not TimeInForce.GTC):
            raise InvalidMarket(f"order {order!r}: post only and good til are for a limit order that rests, not {tif.value} at {limit}")
        if good_til is not None and (type(good_til) is not int or good_til <= 0):
            raise InvalidMarket(f"good_til {good_til!r} of order {order!r} must be whole nanoseconds")

    # -- matching --------------------------------------------------------------------------------------------------------

    def _come(self, order: _Order, bound: int | None, tif: TimeInForce, now: int, out: list[Result]) -> None:
        """An order meets the other side, and its rest finds its place or none."""
        if order.reduce_only and not self._reducible(order):
            out.append(Removed(now, order.id, order.left, Why.REDUCE_ONLY))
            return
        if order.post_only:
            best = self._half(not order.buy).best()
            if best is not None and bound is not None and (best <= bound if order.buy else best >= bound):
                out.append(Removed(now, order.id, order.left, Why.POST_ONLY))
                return
        elif not self._match(order, bound, now, out):
            return
        if order.left:
            why = Why.IMMEDIATE if tif is TimeInForce.IOC else Why.KILLED if tif is TimeInForce.FOK else None
            if order.limit is None:
                why = why or (Why.EMPTY if not self._half(not order.buy).keys else Why.BEYOND)
            if why is not None:
                out.append(Removed(now, order.id, order.left, why))
                return
            self._half(order.buy).add(order)
            self._standing[order.id] = order

    def _match(self, order: _Order, bound: int | None, now: int, out: list[Result]) -> bool:
        """Trade an order with all that it reaches. Whether its rest, if any, may go on: nothing has taken it off."""
        half = self._half(not order.buy)
        side, sign = (Side.BUY, 1) if order.buy else (Side.SELL, -1)
        keys, levels, held, owner = half.keys, half.levels, self.held, order.owner
        while order.left and keys:
            price = abs(keys[-1])
            if bound is not None and (price - bound) * sign > 0:
                break
            level = levels[price]
            maker = next(iter(level.orders.values()))
            if maker.owner == owner:
                if not self._prevent(order, maker, level, half, now, out):
                    return False
                continue
            most = maker.left
            if maker.reduce_only:
                most = min(most, self._reducible(maker))
                if not most:
                    self._off(maker, level, half)
                    out.append(Removed(now, maker.id, maker.left, Why.REDUCE_ONLY))
                    continue
            if order.reduce_only:
                most = min(most, self._reducible(order))
                if not most:
                    out.append(Removed(now, order.id, order.left, Why.REDUCE_ONLY))
                    return False
            qty = min(order.left, most)
            order.left -= qty
            level.units -= qty
            maker.left -= qty
            if not maker.left:
                self._off(maker, level, half)
            if owner in held:
                held[owner] += sign * qty
            if maker.owner in held:
                held[maker.owner] -= sign * qty
            out.append(Trade(now, price, qty, maker.id, order.id, side))
        if order.left and order.reduce_only and not self._reducible(order):
            out.append(Removed(now, order.id, order.left, Why.REDUCE_ONLY))
            return False
        return True

    def _prevent(self, order: _Order, maker: _Order, level: _Level, half: _Half, now: int, out: list[Result]) -> bool:
        """An order meets one of its own owner's. Whether it goes on."""
        mode = self.self_match
        if mode is SelfMatch.DECREMENT:
            qty = min(order.left, maker.left)
            order.left -= qty
            maker.left -= qty
            level.units -= qty
            if not maker.left:
                self._off(maker, level, half)
            out.append(Removed(now, maker.id, qty, Why.SELF, maker.left))
            out.append(Removed(now, order.id, qty, Why.SELF, order.left))
            return order.left > 0
        if mode is not SelfMatch.CANCEL_NEWEST:
            self._off(maker, level, half)
            out.append(Removed(now, maker.id, maker.left, Why.SELF))
        if mode is not SelfMatch.CANCEL_OLDEST:
            out.append(Removed(now, order.id, order.left, Why.SELF))
            return False
        return True

    def _fillable(self, order: _Order, bound: int | None) -> int:
        """How much of an order would trade if it came now, up to all of it. Nothing is done."""
        half = self._half(not order.buy)
        sign = 1 if order.buy else -1
        held = dict(self.held)
        filled = 0
        for key in reversed(half.keys):
            price = abs(key)
            if bound is not None and (price - bound) * sign > 0:
                break
            for maker in half.levels[price].orders.values():
                if maker.owner == order.owner:
                    if self.self_match is SelfMatch.CANCEL_OLDEST:
                        continue
                    return filled
                qty = min(order.left - filled, maker.left)
                for one, one_sign in ((maker, -sign), (order, sign)):
                    if one.reduce_only:
                        qty = min(qty, max(0, -one_sign * held.get(one.owner, 0)) // self.lot * self.lot)
                filled += qty
                for one, one_sign in ((maker, -sign), (order, sign)):
                    if one.owner in held:
                        held[one.owner] += one_sign * qty
                if filled == order.left:
                    return filled
        return filled

    def _reducible(self, order: _Order) -> int:
        """How many units of what its owner holds an order may close, in whole lots."""
        held = self.held.get(order.owner, 0)
        return max(0, -held if order.buy else held) // self.lot * self.lot

    def _remove(self, order: _Order) -> None:
        assert order.limit is not None
        half = self._half(order.buy)
        self._off(order, half.levels[order.limit], half)

    def _off(self, order: _Order, level: _Level, half: _Half) -> None:
        half.take_off(order, level)
        del self._standing[order.id]
