"""One market of the simulated exchange with a book: our orders and those of others in one queue.

Rule 1. At one instant orders end first, then the others act, then ours arrive: nobody trades on what he has just seen.
Rule 2. A limit of ours fills when somebody takes it, after all that stood before it at its price.
Rule 3. Stops, margin and liquidation follow the tape's price, which is the mark; a forced close is at that price, beside
        the book, as in any other market.
Rule 4. Nothing is slipped and nothing is limited by the row's volume: the sizes on the book do both.

Others come from a `Flow`, and from the books that the tape shows (`Tape.with_depth`). What a shown book has less at a
price than before was canceled behind us first; what it has more came last. When the tape's price leaves what was shown, it
is of another time, and is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ..errors import InvalidMarket
from ..market import Instrument
from ..money import Amount
from ..orders import Liquidity, Order, Side, TimeInForce
from .account import Account
from .book import OrderBook, Removed, Result, Trade, Why
from .flow import Action, Quotes, Take, price_on
from .matcher import ALL, FAR, Matcher, _Live
from .models import Rules
from .tape import Depth

__all__ = ["BookMarket"]

OURS = "account"
MAKERS = "makers"
TAKERS = "takers"
SHOWN = "shown"

_Standing: TypeAlias = dict[tuple[Side, int], list[int]]
"""Orders of others by side and price, the oldest first."""


class BookMarket(Matcher):
    """A `Matcher` whose orders stand in a price-time priority book with others'. Needs `Rules(book=...)`; else `InvalidMarket`."""

    has_book = True

    def __init__(
        self, instrument: Instrument, balances: Mapping[str, Amount] | Account, rules: Rules | None = None, *, name: str = "sim"
    ) -> None:
        super().__init__(instrument, balances, rules, name=name)
        if self.rules.book is None:
            raise InvalidMarket(
                f"a market of {instrument.symbol} with a book needs rules that say who else is there: Rules.of(book=Flow...)"
            )
        self.book = OrderBook(tick=instrument.tick_units, lot=instrument.lot_units, self_match=self.rules.self_match)
        self._flow = self.rules.book.begin(instrument)
        self._actions: list[Action] = []
        """What is left of the present row's flow, the next last."""
        self._number = 0
        self._quoted: _Standing = {}
        self._shown: _Standing = {}
        self._deepest: dict[Side, int] = {}
        """The deepest bid and ask of the latest shown book, where it showed any."""
        self._entered: set[str] = set()
        self._cut: dict[str, int] = {}
        """Units of our orders that self-trade prevention took off."""
        self._bounds: dict[str, int] = {}

    # -- our orders ------------------------------------------------------------------------------------------------------

    def ahead(self, order_id: str) -> int | None:
        """Base units that stand before our order at its price; None while it is not on the book."""
        return self.book.ahead(order_id)

    def top(self) -> tuple[int, int]:
        """Best bid and ask, ours included. Where nobody else stands on a side, the tape's price stands there."""
        book = self.book
        best_bid, best_ask = book.best_bid or 0, book.best_ask or FAR
        bid = best_bid if book.best_besides(OURS, Side.BUY) else max(best_bid, min(self.last, best_ask))
        ask = best_ask if book.best_besides(OURS, Side.SELL) else min(best_ask, max(self.last, bid))
        return bid, ask

    def _would_take(self, side: Side, limit: int) -> bool:
        best = self.book.best_ask if side is Side.BUY else self.book.best_bid
        return best is not None and (limit >= best if side is Side.BUY else limit <= best)

    def _dearest(self, order: Order) -> int:
        """As in any market; a buy at market that nobody bounded goes no further than its hold covers."""
        price = super()._dearest(order)
        if order.place.limit is None and order.worst is None:
            self._bounds[order.id] = price
        return price

    def _off(self, live: _Live) -> None:
        super()._off(live)
        order_id = live.order.id
        self._bounds.pop(order_id, None)
        self._cut.pop(order_id, None)
        if order_id in self._entered:
            self._entered.discard(order_id)
            if self.book.left(order_id):
                self.book.cancel(order_id, now=self.book.now)

    def _enter(self, live: _Live, at: int) -> None:
        """An order of ours comes to the book."""
        order, place = live.order, live.order.place
        live.new = False
        self._entered.add(order.id)
        if self.net is not None:  # the book counts it along; a forced close has taken all our orders off
            self.book.hold(OURS, self.net.base)
        worst = order.worst or self._bounds.get(order.id) if place.limit is None else None
        self._take_in(
            self.book.place(
                order.id,
                OURS,
                place.side,
                live.left,
                now=at,
                limit=place.limit,
                worst=worst,
                tif=place.tif,
                post_only=place.post_only,
                reduce_only=self.net is not None and order.reduce_only,
            )
        )

    def _take_in(self, results: list[Result]) -> None:
        """What the book has done, as far as it is about us."""
        for one in results:
            if isinstance(one, Trade):
                if isinstance(one.maker, str):
                    self._filled(one.maker, one, Liquidity.MAKER)
                elif isinstance(one.taker, str):
                    self._filled(one.taker, one, Liquidity.TAKER)
            elif isinstance(one.order, str):
                self._removed(one.order, one)

    def _filled(self, order_id: str, trade: Trade, liquidity: Liquidity) -> None:
        live = self._live[order_id]
        self._trade(live, trade.at, trade.price, trade.qty, liquidity)
        self._end_if_cut(live, trade.at)

    def _removed(self, order_id: str, removed: Removed) -> None:
        live = self._live.get(order_id)
        if live is None:
            return
        if removed.why is Why.SELF and removed.left:
            self._cut[order_id] = self._cut.get(order_id, 0) + removed.qty
        else:
            self._expire(live, removed.at, removed.why.value)

    def _end_if_cut(self, live: _Live, at: int) -> None:
        """An order of which nothing stands any more, though not all of it was traded, is off."""
        if live.order.id in self._live and live.left == self._cut.get(live.order.id):
            self._expire(live, at, Why.SELF.value)

    # -- the row ---------------------------------------------------------------------------------------------------------

    def begin(self, at: int, interval: int, open_: int, high: int, low: int, close: int, volume: int = -1) -> None:  # noqa: ARG002 the book's sizes are what trades
        path = (open_, low, high, close, close) if close >= open_ else (open_, high, low, close, close)
        self.legs = [(at + interval * n // 4, path[n], at + interval * (n + 1) // 4, path[n + 1]) for n in range(4)]
        self._since = at
        self._room = ALL
        self._actions = self._flow.row(at, self.legs)[::-1]
        self.end_orders(at)
        self._point(at, open_)
        self._act(at)
        self._meet(at, open_, every=True)

    def move(self, until: int) -> None:
        """Time goes on to this instant: the price on its lines, and whoever acts on the way."""
        self._meet(self._since, self.last)
        while self.legs:
            leg = self.legs[0]
            end = leg[2]
            stop = min(end, until)
            while self._since < stop:
                when = self._next(stop)
                self.end_orders(when)
                to = leg[3] if when == end else price_on(leg, when, self.instrument.tick_units)
                if to != self.last and (self._live or self.net is not None):
                    self._walk(when, self.last, to)
                self._point(when, to)
                self._since = when
                self._act(when)
                self._meet(when, to)
            if stop < end:
                return
            del self.legs[0]

    def _next(self, stop: int) -> int:
        """The next instant at which anybody acts, an order of ours arrives, ends, or is about to; at most `stop`."""
        when = min(stop, self._actions[-1].at) if self._actions else stop
        for live in self._live.values():
            good_til = live.order.place.good_til or 0
            for one in (live.arrives, live.cancel_at, good_til - 1, good_til):
                if self._since < one < when:
                    when = one
        return when

    def finish(self) -> None:
        """The row is over."""

    def _watch(self) -> None:
        """Every row is played: others act in each."""

    def _at_first_price(self, live: _Live, at: int, price: int, room: int) -> int:  # noqa: ARG002 the book has its own sizes
        """An order that has arrived comes to the book; a stop first waits for the price."""
        stop = live.order.place.stop
        if live.stopped and stop is not None:
            if price < stop if live.order.place.side is Side.BUY else price > stop:
                live.new = False
                return 0
            live.stopped = False
        if live.order.id not in self._entered:
            self._enter(live, at)
        return 0

    def _reach(self, live: _Live, at: int, room: int) -> int:  # noqa: ARG002 the book has its own sizes
        """The price has reached a stop."""
        live.stopped = False
        self._enter(live, at)
        return 0

    def _through(self, buy: bool, price: int, limit: int) -> bool:  # noqa: ARG002 a price alone fills nothing here
        return False

    def _point(self, at: int, price: int) -> None:
        super()._point(at, price)
        deepest = self._deepest
        if deepest and not deepest.get(Side.BUY, 0) <= price <= deepest.get(Side.SELL, FAR):
            self._deepest = {}
            self._stand(self._shown, {}, SHOWN, at)

    # -- the others ------------------------------------------------------------------------------------------------------

    def _act(self, at: int) -> None:
        """All that others do up to this instant."""
        while self._actions and self._actions[-1].at <= at:
            action = self._actions.pop()
            if isinstance(action, Quotes):
                self._stand(self._quoted, {(side, price): units for side, price, units in action.quotes}, MAKERS, at)
            else:
                self._other_takes(action, at)

    def _other_takes(self, take: Take, at: int) -> None:
        limit, buy = take.limit, take.side is Side.BUY
        if take.printed:
            beyond = [key for key in self._shown if key[0] is not take.side and (key[1] < limit if buy else key[1] > limit)]
            for key in beyond:  # the market traded at a worse price for the taker: what was shown before it is gone
                self._drop(self._shown.pop(key), at)
            deepest = self._deepest.get(Side.SELL if buy else Side.BUY)
            if deepest is None or (limit > deepest if buy else limit < deepest):
                limit += -self.instrument.tick_units if buy else self.instrument.tick_units
        if limit > 0:
            self._place(TAKERS, take.side, take.qty, limit, at, TimeInForce.IOC)

    def display(self, depth: Depth) -> None:
        """A book is shown: so much stands at its prices, besides ours and the makers of the flow."""
        lot = self.instrument.lot_units
        levels = [(Side.BUY, *level) for level in depth.bids] + [(Side.SELL, *level) for level in depth.asks]
        self._deepest = {side: shown[-1][0] for side, shown in ((Side.BUY, depth.bids), (Side.SELL, depth.asks)) if shown}
        wanted = {
            (side, price): units // lot * lot for side, price, units in levels if units >= lot and not price % self.instrument.tick_units
        }
        self._stand(self._shown, wanted, SHOWN, depth.at)

    def _stand(self, standing: _Standing, wanted: dict[tuple[Side, int], int], owner: str, at: int) -> None:
        """Have just this stand at these prices: the rest goes first, what is missing comes last, what is too much goes from the back."""
        book = self.book
        for key in [key for key in standing if key not in wanted]:
            self._drop(standing.pop(key), at)
        for key, units in wanted.items():
            orders = [order for order in standing.get(key, ()) if book.left(order)]
            missing = units - sum(map(book.left, orders))
            while missing < 0 and owner == SHOWN:  # makers of the flow let stand what they have
                there = book.left(orders[-1])
                if there > -missing:
                    self._take_in(book.replace(orders[-1], now=at, qty=there + missing))
                    missing = 0
                else:
                    missing += there
                    self._drop([orders.pop()], at)
            standing[key] = orders
            if missing > 0:
                orders.append(self._place(owner, key[0], missing, key[1], at))

    def _place(self, owner: str, side: Side, qty: int, limit: int, at: int, tif: TimeInForce = TimeInForce.GTC) -> int:
        """An order of somebody else comes. Returns its number."""
        self._number += 1
        self._take_in(self.book.place(self._number, owner, side, qty, now=at, limit=limit, tif=tif))
        return self._number

    def _drop(self, orders: Iterable[int], at: int) -> None:
        for order in orders:
            self.book.cancel(order, now=at)
