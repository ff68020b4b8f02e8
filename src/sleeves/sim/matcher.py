"""One market of the simulated exchange, sans I/O: orders and prices in, events out. Coins, contracts and pools.

Rule 1. An order acts on the first price after it arrived, never on the one it was decided on.
Rule 2. A limit never fills worse than its limit, and no order beyond the worst price that its hold covers.
Rule 3. A resting limit fills at its own price, as maker, and only when the price trades through it, unless `Rules.maker`
        says otherwise.
Rule 4. An order that is good until an instant is off the book before anything else happens at that instant.
Rule 5. Contracts are closed by force where the price first reaches the tick that breaks the account, in its turn with
        whatever else the price reaches on its way there.

Inside a bar the price is taken to go open, low, high, close when the bar closes at or above its open, and open, high,
low, close otherwise: in a straight line from each quarter of the bar's time to the next, and to stay there in the last.
Orders that are reached fill in the order in which that path reaches them, the older first.

What a sleeve is, and why anybody trades, is not known here. Events wait in `outbox` until somebody takes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from ..amm import Pool
from ..errors import InvalidMarket
from ..making import maker
from ..margin import liquidation_tick
from ..market import FundingRate, Instrument
from ..money import PPM, Amount, Rounding, divide
from ..orders import Accepted, Canceled, Event, Liquidity, Order, Rejected, Side, TimeInForce, fill_of
from .account import Account
from .flow import Leg, price_on
from .models import FeeIn, Maker, Rules
from .tape import Depth

__all__ = ["Matcher"]

FAR = 1 << 62
"""A price that is never reached."""
ALL = 1 << 256
"""A quantity that no order has: nothing limits what fills."""


class _Live:
    """An order on the exchange: what is left of it, and what the exchange holds for it."""

    __slots__ = (
        "ahead",
        "arrives",
        "cancel_at",
        "fee_due",
        "fee_paid",
        "held",
        "held_asset",
        "left",
        "new",
        "order",
        "paid",
        "rests",
        "stopped",
        "traded",
    )

    def __init__(self, order: Order, held_asset: str, held: int, arrives: int) -> None:
        self.order = order
        self.arrives = arrives
        """When the market can first see it; 0 once it has."""
        self.cancel_at = 0
        """When a cancel that is on its way arrives; 0 for none."""
        self.ahead: int | None = None
        """Base units that stand before it at its price; None while no book has shown them."""
        self.left = order.place.qty
        self.new = True
        self.rests = False
        """Whether more of it would have slipped beyond its limit when it last took: the rest waits there."""
        self.stopped = order.place.stop is not None
        self.held_asset = held_asset
        self.held = held
        self.traded = 0
        """The sum of price times quantity over its fills: they are rounded together, never each for itself."""
        self.paid = 0
        self.fee_due = 0
        """Its fees so far in millionths of a unit."""
        self.fee_paid = 0


class Matcher:
    """One instrument's market, and an account on it.

    `balances` are the account's coins by asset code, or the account itself, which several markets may share.
    `low_trigger` and `high_trigger` are the prices at or beyond which `advance` could do anything: a caller with many
    rows compares two integers and skips the rest.
    """

    has_book = False
    """Whether orders stand in one book with those of others, and others' orders come in: a `BookMarket`."""

    def __init__(
        self, instrument: Instrument, balances: Mapping[str, Amount] | Account, rules: Rules | None = None, *, name: str = "sim"
    ) -> None:
        self.instrument = instrument
        self.rules = Rules() if rules is None else rules
        self.account = balances if isinstance(balances, Account) else Account(balances, self.rules, name=name)
        self.name = self.account.name
        self.outbox: deque[Event] = self.account.outbox
        self.account.trade_in(instrument)
        self.net = self.account.nets.get(instrument.symbol)
        self.markets: list[Matcher] = [self]
        """All markets of the account, this one included."""
        self._book: tuple[list[list[int]], list[list[int]]] | None = None
        """Bids and asks as displayed last, best first, as [price, base units left]."""
        self.joint = False
        """Whether the account has more that moves its margin than this market: then the exchange looks after it."""
        self.legs: list[Leg] = []
        """What is left of the present row: straight lines of the price."""
        self._since = 0
        self._room = ALL
        self._single = 0
        """The base units that were traded at the one price of the row, where it has but one and says how much."""
        self._breaks: tuple[tuple[int, ...], int | None] | None = None
        """The state of the account, and the tick that breaks it."""
        self._pool: tuple[tuple[int, int], Pool] | None = None
        """The pool as our own swaps at one instant and price have left it."""
        self.low_trigger = -1
        self.high_trigger = FAR
        self.last = 0
        self.trades = 0
        if self.rules.book is not None and not self.has_book:
            raise InvalidMarket(f"rules with a book are for a BookMarket, not for a {type(self).__name__} of {instrument.symbol}")
        self._coins = self.account.coins
        self._held = self.account.held
        self._live: dict[str, _Live] = {}
        self._known: set[str] = set()

    # -- the account -------------------------------------------------------------------------------------------------

    def balances(self) -> dict[str, Amount]:
        """All coins of the account, held ones included."""
        return self.account.balances()

    def available(self, code: str) -> int:
        return self.account.available(code)

    # -- orders ------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, now: int) -> None:
        """Take an order. The same id again does nothing. A refusal is a `Rejected` event."""
        if order.id in self._known:
            return
        self._known.add(order.id)
        if self.net is not None:
            for market in self.markets:
                market.sync()
        good_til = order.place.good_til
        reason = self._refuse(order) or ("good til a time that is past" if good_til is not None and good_til <= now else "")
        if reason:
            self.outbox.append(Rejected(order.id, now, reason))
            return
        code, units = self._hold(order)
        reason = "insufficient funds" if units > self.available(code) else self._refuse_to_spend(order, units)
        if reason:
            self.outbox.append(Rejected(order.id, now, reason))
            return
        self._held[code] += units
        self._live[order.id] = _Live(order, code, units, now + self.rules.latency.total)
        if self.net is not None and not order.reduce_only:
            self.net.orders[order.id] = (order.place.qty, 0) if order.place.side is Side.BUY else (0, order.place.qty)
        if order.place.limit is not None or order.place.stop is not None:
            self.outbox.append(Accepted(order.id, now, f"{self.name}-{order.id}"))
        self.low_trigger = FAR

    def _refuse(self, order: Order) -> str:
        place, market = order.place, self.instrument
        if place.instrument is not market and place.instrument != market:
            return f"unknown instrument {place.instrument.symbol}"
        if place.qty % market.lot_units or place.qty < market.min_qty_units:
            return "order minimum or lot not met"
        if (place.limit or 0) % market.tick_units or (place.stop or 0) % market.tick_units:
            return "tick size check failed"
        least = market.min_notional_units
        if least and market.cost(place.limit or place.stop or self.last, place.qty, Rounding.FLOOR) < least:
            return "cost minimum not met"
        if place.post_only and place.limit is not None and self._would_take(place.side, place.limit):
            return "post only order would take"
        if self.rules.pool is not None and (place.stop is not None or (place.limit is not None and place.tif is TimeInForce.GTC)):
            return "a pool holds no resting orders"
        if self.net is not None:
            return self.account.refuse_contracts(order, self.last or place.limit or place.stop or order.worst or 1)
        if place.reduce_only and (place.side is Side.BUY or self._coins[market.base.code] <= 0):
            return "reduce only: no position to reduce"
        return ""

    def _would_take(self, side: Side, limit: int) -> bool:
        """Whether a limit would take as the market is now."""
        return self.last > 0 and (limit >= self.last if side is Side.BUY else limit <= self.last)

    def _refuse_to_spend(self, order: Order, units: int) -> str:
        """Why coins that contracts need may not be spent on others, or nothing."""
        market = self.instrument
        if self.net is not None or order.place.side is Side.SELL or not any(net.base for net in self.account.nets.values()):
            return ""
        for one in self.markets:
            one.sync()
        return self.account.refuse_to_spend(market, units, order.place.qty)

    def _hold(self, order: Order) -> tuple[str, int]:
        """What the exchange sets aside: the coins to sell, or the cost at the highest price that the order may pay."""
        place, market = order.place, self.instrument
        if self.net is not None:
            return market.quote.code, 0
        if place.side is Side.SELL:
            return market.base.code, place.qty
        price = self._dearest(order)
        fee = 0 if self.rules.fees.taken_in is FeeIn.RECEIVED else max(0, self.rules.fees.taker_ppm, self.rules.fees.maker_ppm)
        cost = market.cost(price, place.qty, Rounding.CEIL)
        return market.quote.code, cost + divide(cost * fee, PPM, Rounding.CEIL)

    def _dearest(self, order: Order) -> int:
        """The highest price that a buy may pay, as far as anybody said; else where one of its size would fill."""
        place = order.place
        slips = self.rules.slippage.fill_price
        return place.limit or order.worst or slips(self.instrument, Side.BUY, place.qty, place.stop or self.last)

    def cancel(self, order_id: str, now: int) -> None:
        """Take an order off the book. One that is not there any more is passed over: its fill or cancel was told."""
        live = self._live.get(order_id)
        if live is None:
            return
        if self.rules.latency.total:
            live.cancel_at = live.cancel_at or now + self.rules.latency.total
            self.low_trigger = FAR
            return
        self._expire(live, now, "requested")
        self._watch()

    def _off(self, live: _Live) -> None:
        del self._live[live.order.id]
        self._held[live.held_asset] -= live.held
        if self.net is not None:
            self.net.orders.pop(live.order.id, None)

    # -- prices ------------------------------------------------------------------------------------------------------

    def advance(self, at: int, interval: int, open_: int, high: int, low: int, close: int, volume: int = -1) -> None:
        """One row of the market, `interval` ns long. `volume` in lots; -1: not known, and then nothing limits a fill."""
        self.begin(at, interval, open_, high, low, close, volume)
        self.move(at + interval)
        self.finish()

    def begin(self, at: int, interval: int, open_: int, high: int, low: int, close: int, volume: int = -1) -> None:
        """A row begins: its first price. `move` goes on with it, and `finish` ends it."""
        self._room = ALL
        if self.rules.participation_ppm is not None and volume >= 0:
            self._room = divide(volume * self.rules.participation_ppm, PPM, Rounding.DOWN) * self.instrument.lot_units
        self._single = volume * self.instrument.lot_units if low == high and volume > 0 else 0
        path = (open_, low, high, close, close) if close >= open_ else (open_, high, low, close, close)
        self.legs = [(at + interval * n // 4, path[n], at + interval * (n + 1) // 4, path[n + 1]) for n in range(4)]
        self._since = at
        self.end_orders(at)
        self._point(at, open_)
        self._meet(at, open_, every=True)

    def move(self, until: int) -> None:
        """The price goes on to this instant, in straight lines; orders and cancels that arrive on its way meet it there."""
        if self._live:
            self._meet(self._since, self.last)
        elif self.net is None and self._book is None and self.legs and until >= self.legs[-1][2]:
            self._since = until  # nothing can happen on the way
            self._point(until, self.legs[-1][3])
            self.legs = []
            return
        while self.legs:
            _, _, end, there = self.legs[0]
            stop = min(end, until)
            if self._live or self.net is not None:
                arrivals = {t for live in self._live.values() for t in (live.arrives, live.cancel_at) if self._since < t <= stop}
                ends = {t for live in self._live.values() if (g := live.order.place.good_til) for t in (g - 1, g)}
                for when in sorted(arrivals | {t for t in ends if self._since < t <= stop} | {stop}):
                    if when in ends:
                        self.end_orders(when)
                    to = there if when == end else price_on(self.legs[0], when, self.instrument.tick_units)
                    if to != self.last:
                        self._walk(when, self.last, to)
                    self._point(when, to)
                    if when in arrivals:
                        self._meet(when, to)
            else:
                self._point(stop, there if stop == end else price_on(self.legs[0], stop, self.instrument.tick_units))
            self._since = stop
            if stop < end:
                return
            del self.legs[0]

    def finish(self) -> None:
        """The row is over."""
        if self._single and self.rules.maker is Maker.QUEUE:
            self._consume_queue(self._since, self.last, self._single)
        close = self.last
        for live in self._live.values():
            limit = live.order.place.limit
            if live.new and not live.arrives and limit is not None:
                live.new = close <= limit if live.order.place.side is Side.BUY else close >= limit
        self._watch()

    def top(self) -> tuple[int, int]:
        """Best bid and ask, where there is a book; zero where one price is both."""
        return 0, 0

    def price_at(self, when: int) -> int:
        """Where the present row has the price at an instant that is not past."""
        for leg in self.legs:
            if when < leg[2]:
                return price_on(leg, when, self.instrument.tick_units)
        return self.legs[-1][3] if self.legs else self.last

    @property
    def next_end(self) -> int | None:
        """The first instant at which an order ends by itself."""
        return min((good_til for live in self._live.values() if (good_til := live.order.place.good_til) is not None), default=None)

    def end_orders(self, at: int) -> None:
        """Orders whose time has come by now go off, each at its own instant; one that is still on its way is found out when it arrives."""
        for live in list(self._live.values()):
            good_til = live.order.place.good_til
            if good_til is not None and max(good_til, live.arrives) <= at and live.order.id in self._live:
                if live.cancel_at and live.cancel_at < good_til:
                    self._expire(live, live.cancel_at, "requested")
                else:
                    self._expire(live, max(good_til, live.arrives), "expired")

    def _meet(self, at: int, price: int, *, every: bool = False) -> None:
        """Orders that have arrived meet the price; at a row's first price, every order does."""
        for live in list(self._live.values()):
            arrives = live.arrives
            if self._here(live, at) and (every or arrives):
                self._room -= self._at_first_price(live, at, price, self._room)

    def _here(self, live: _Live, at: int) -> bool:
        """Whether the market sees an order by now; one whose cancel came first is gone."""
        if live.order.id not in self._live or live.arrives > at:
            return False
        if live.cancel_at and live.cancel_at <= at:
            self._expire(live, live.cancel_at, "requested")
            return False
        if live.order.place.good_til is not None and live.order.place.good_til <= at:
            self._expire(live, max(live.order.place.good_til, live.arrives), "expired")
            return False
        live.arrives = 0
        return True

    def _point(self, at: int, price: int) -> None:
        """The market is at a price: what the account holds is worth that now, and is closed by force if it breaks it.

        A shown book that the price has left is of another time.
        """
        self.last = price
        if self._book is not None and not _within(self._book, price):
            self._book = None
        if self.net is None:
            self.account.price(self.instrument, price)
        elif self.net.price != price or self.net.base:
            self.net.price = price
            if self.net.base and not self.joint and self.account.broken(self.instrument.quote):
                self.break_at(at)

    def sync(self) -> None:
        """Tell the account the latest price: rows that could not do anything were skipped."""
        if self.last:
            if self.net is not None:
                self.net.price = self.last
            else:
                self.account.price(self.instrument, self.last)

    def break_at(self, at: int) -> None:
        """The venue cancels the account's orders of contracts and closes as much as it takes, at the latest prices."""
        for market in self.markets:
            if market.net is not None:
                for live in list(market._live.values()):
                    market._expire(live, at, "liquidation")
        if self.account.broken(self.instrument.quote):
            self.account.liquidate(self.instrument, at)
        for market in self.markets:
            if market is not self and market.net is not None:
                market._watch()

    def fund(self, rate: FundingRate) -> None:
        """Funding falls due: paid on what is held now, and a payment may be what breaks the account."""
        for market in self.markets:
            market.sync()
        self.account.fund(rate)
        if self.net is not None and self.net.price and self.net.base and self.account.broken(self.instrument.quote):
            self.break_at(rate.at)
        self._watch()

    def settle(self, now: int) -> None:
        """Have what is unsettled of these contracts moved to cash."""
        if self.net is not None:
            self.account.settle(self.instrument, now)
            self._watch()

    def display(self, depth: Depth) -> None:
        """A book is shown: what orders at market take, until the price leaves it, and what stands before orders that rest."""
        self._book = ([list(level) for level in depth.bids], [list(level) for level in depth.asks])
        for live in self._live.values():
            if live.ahead is None and live.order.place.limit is not None and not live.stopped:
                live.ahead = self._displayed(live)

    def _displayed(self, live: _Live) -> int | None:
        """What stands before an order at its own price: what the book shows there, and our own older orders.

        None when no book was shown, or none that reaches that price.
        """
        place, buy = live.order.place, live.order.place.side is Side.BUY
        levels = [] if self._book is None else self._book[0] if buy else self._book[1]
        limit = place.limit
        if limit is None or not levels or (limit < levels[-1][0] if buy else limit > levels[-1][0]):
            return None
        ahead = sum(qty for price, qty in levels if price == limit)
        for other in self._live.values():
            if other is live:
                break
            if other.order.place.side is place.side and other.order.place.limit == limit and not other.stopped:
                ahead += other.left
        return ahead

    def _consume_queue(self, at: int, price: int, traded: int) -> None:
        """Trades at one price fill what stood there first, and then the orders behind it, the older first."""
        for live in list(self._live.values()):
            place = live.order.place
            if place.limit != price or live.stopped or live.new or live.arrives or live.ahead is None:
                continue
            live.ahead -= traded
            if live.ahead < 0:
                over, live.ahead = -live.ahead, 0
                self._room -= self._trade(live, at, price, min(live.left, over, self._room), Liquidity.MAKER)

    def _at_first_price(self, live: _Live, at: int, price: int, room: int) -> int:
        """The row's first price: orders at market fill, orders that just came may take, gapped stops and limits go off."""
        place = live.order.place
        buy = place.side is Side.BUY
        if live.stopped and place.stop is not None:
            if (price < place.stop) if buy else (price > place.stop):
                live.new = False
                return 0
            live.stopped = False
            live.new = True
            if place.post_only:
                return self._refuse_to_take(live, at, price)
        if place.limit is None:
            return self._take(live, at, price, room)
        if live.new and not place.post_only:
            return self._take_or_rest(live, at, price, room)
        if live.new and self.rules.latency.total:
            return self._refuse_to_take(live, at, price)
        live.new = False
        through = self._through(buy, price, place.limit)
        return self._trade(live, at, place.limit, min(live.left, room), Liquidity.MAKER) if through else 0

    def _through(self, buy: bool, price: int, limit: int) -> bool:
        """Whether a price fills what rests at a limit."""
        if self.rules.maker is Maker.TOUCH:
            return price <= limit if buy else price >= limit
        return price < limit if buy else price > limit

    def _take_or_rest(self, live: _Live, at: int, price: int, room: int) -> int:
        """A limit order that meets the market: it takes what it can, and what is left rests, or is canceled if immediate.

        What only the row's volume kept from filling goes on taking at the next row's first price.
        """
        place = live.order.place
        assert place.limit is not None
        crossed = price <= place.limit if place.side is Side.BUY else price >= place.limit
        filled = self._take(live, at, price, room) if crossed else 0
        self._expire_if_immediate(live, at)
        live.new = crossed and not live.rests
        if not live.new and live.ahead is None:
            live.ahead = self._displayed(live)
        return filled

    def _walk(self, at: int, here: int, there: int) -> None:
        """The price moves from here to there: what it reaches goes off, the nearest first, the older first.

        The tick that breaks an account with contracts takes its turn among them, and is found anew after each fill.
        """
        falling = there < here
        reached = []
        for age, live in enumerate(self._live.values()):
            place = live.order.place
            buy = place.side is Side.BUY
            if live.arrives:
                continue
            if live.stopped and place.stop is not None:
                if falling is not buy and (place.stop >= there if falling else place.stop <= there):
                    reached.append((abs(place.stop - here), age, live))
            elif place.limit is not None and falling is buy and self._through(buy, there, place.limit):
                reached.append((max(0, (here - place.limit) if falling else (place.limit - here)), age, live))
        for distance, _, live in sorted(reached, key=lambda hit: hit[:2]):
            if self.net is not None and not self.joint:
                self._break_on_the_way(at, here, there, distance)
            if live.order.id in self._live:
                self._room -= self._reach(live, at, self._room)
        if self.net is not None and not self.joint:
            self._break_on_the_way(at, here, there, abs(there - here))

    def _break_on_the_way(self, at: int, here: int, there: int, distance: int) -> None:
        """Close by force where the price breaks the account before it has gone this far."""
        net, sign = self.net, 1 if there > here else -1
        while net is not None and net.base * sign < 0:
            tick = self._breaking_price()
            if tick is None or (tick - here) * sign > distance:
                return
            before = net.base, len(net.orders)
            net.price = max(tick, here) if sign > 0 else min(tick, here)
            if not self.account.broken(self.instrument.quote):
                return
            self.break_at(at)
            if (net.base, len(net.orders)) == before:
                return

    def _breaking_price(self) -> int | None:
        """The tick, against the position, at which the account breaks, with its open orders as they are.

        Where nothing but this contract and the quote coin matters it does not depend on the present price, and is kept.
        """
        net = self.net
        assert net is not None
        alone = self.account.alone(net)
        state = (net.base, net.money, self._coins[self.instrument.quote.code], net.bids(), net.asks())
        if alone and self._breaks is not None and self._breaks[0] == state:
            return self._breaks[1]
        account = self.account.margin(self.instrument.quote)
        if not any(one.symbol == self.instrument.symbol and one.base for one in account.contracts):
            return None
        tick = liquidation_tick(account, self.instrument.symbol, self.instrument.tick_units)
        self._breaks = (state, tick) if alone else None
        return tick

    def _reach(self, live: _Live, at: int, room: int) -> int:
        place = live.order.place
        if not live.stopped or place.stop is None:
            assert place.limit is not None
            return self._trade(live, at, place.limit, min(live.left, room), Liquidity.MAKER)
        live.stopped = False
        if place.limit is None:
            return self._take(live, at, place.stop, room)
        if place.post_only:
            return self._refuse_to_take(live, at, place.stop)
        return self._take_or_rest(live, at, place.stop, room)

    def _refuse_to_take(self, live: _Live, at: int, price: int) -> int:
        """A post-only stop goes off: it rests, unless it would take at this price."""
        place = live.order.place
        live.new = False
        if place.limit is not None and (price <= place.limit if place.side is Side.BUY else price >= place.limit):
            self._expire(live, at, "post only order would take")
        return 0

    def _take(self, live: _Live, at: int, price: int, room: int) -> int:
        """Take liquidity at a price, with slippage by size, never beyond the order's limit or the hold's worst price."""
        place, market = live.order.place, self.instrument
        qty = min(live.left, room, self._reducible(live)) // market.lot_units * market.lot_units
        if qty <= 0:
            self._expire_if_nothing_to_reduce(live, at)
            self._expire_if_immediate(live, at)
            return 0
        bound = live.order.worst if place.limit is None else place.limit
        buy = place.side is Side.BUY
        if bound is not None and (price > bound if buy else price < bound):
            if place.limit is None:
                self._expire(live, at, f"the price {market.price_text(price)} is beyond what the hold covers")
            return 0
        if place.tif is TimeInForce.FOK and (qty < live.left or not self._has_all(live, price, qty, bound)):
            self._expire_if_immediate(live, at)
            return 0
        if self.rules.pool is not None:
            filled = self._swap(live, at, price, qty, bound)
        elif self._book is not None:
            filled = self._take_levels(live, at, qty, bound)
        else:
            fits = self._fitting(place.side, qty, price, bound)
            filled = 0
            if fits:
                filled = self._trade(live, at, self.rules.slippage.fill_price(market, place.side, fits, price), fits, Liquidity.TAKER)
            live.rests = fits < qty
            if live.rests and place.limit is None and live.order.id in self._live:
                self._expire(live, at, "more of it would slip beyond what the hold covers")
        self._expire_if_immediate(live, at)
        return filled

    def _has_all(self, live: _Live, price: int, qty: int, bound: int | None) -> bool:
        """Whether the market has all of this at once: at least so much within the bound, before anything trades."""
        if self.rules.pool is not None:
            return True  # a swap is whole or not at all
        if self._book is None:
            return self._fitting(live.order.place.side, qty, price, bound) == qty
        buy = live.order.place.side is Side.BUY
        levels = self._book[1] if buy else self._book[0]
        return sum(shown for at, shown in levels if bound is None or (at <= bound if buy else at >= bound)) >= qty

    def _expire_if_immediate(self, live: _Live, at: int) -> None:
        """What did not fill at once of an order that does not wait is canceled."""
        tif = live.order.place.tif
        if tif is not TimeInForce.GTC and live.left and live.order.id in self._live:
            self._expire(live, at, "immediate or cancel" if tif is TimeInForce.IOC else "fill or kill")

    def _fitting(self, side: Side, qty: int, price: int, bound: int | None) -> int:
        """The most of a quantity, in whole lots, that takes at a price within the bound, its own slippage in it."""
        market, slips = self.instrument, self.rules.slippage.fill_price

        def within(units: int) -> bool:
            return bound is None or (
                slips(market, side, units, price) <= bound if side is Side.BUY else slips(market, side, units, price) >= bound
            )

        if within(qty):
            return qty
        none, some = 0, qty // market.lot_units
        while some - none > 1:
            middle = (none + some) // 2
            none, some = (middle, some) if within(middle * market.lot_units) else (none, middle)
        return none * market.lot_units

    def _reducible(self, live: _Live) -> int:
        """How much of a reduce-only order of contracts there is a position for."""
        if self.net is None or not live.order.reduce_only:
            return ALL
        return max(0, -live.order.place.side.sign * self.net.base)

    def _take_levels(self, live: _Live, at: int, qty: int, bound: int | None) -> int:
        """Take the levels that the book shows, the best first, each at its own price, down to the bound."""
        assert self._book is not None
        buy, filled = live.order.place.side is Side.BUY, 0
        for level in self._book[1] if buy else self._book[0]:
            price, shown = level
            if filled >= qty or (bound is not None and (price > bound if buy else price < bound)):
                break
            part = self._trade(live, at, price, min(qty - filled, shown), Liquidity.TAKER)
            level[1] -= part
            filled += part
        return filled

    def _swap(self, live: _Live, at: int, price: int, qty: int, bound: int | None) -> int:
        """Swap with the pool, which others keep at the market's price; whole or, beyond the bound, not at all.

        The fill's price is the average that was paid, rounded so that the money is never better than it says.
        """
        market, buy = self.instrument, live.order.place.side is Side.BUY
        times, over = market.ratio
        try:
            pool = self._pool_at(at, price)
            swap = pool.buy(qty) if buy else pool.sell(qty)
        except InvalidMarket as error:
            self._expire(live, at, f"the pool cannot fill it: {error}")
            return 0
        money = swap.paid if buy else swap.got
        limit = None if bound is None else market.cost(bound, qty, Rounding.FLOOR if buy else Rounding.CEIL)
        if money <= 0 or (limit is not None and (money > limit if buy else money < limit)):
            self._expire(live, at, "the pool's price for this size is beyond the order's")
            return 0
        average = divide(money * over, qty * times, Rounding.FLOOR if buy else Rounding.CEIL)
        self._pool = (at, price), swap.pool
        return self._trade(live, at, max(1, average), qty, Liquidity.TAKER, cost=money)

    def pool_at(self, at: int) -> Pool | None:
        """What the pool holds at the latest price, if this market is one; None too where it cannot stand at that price."""
        if self.rules.pool is None or not self.last:
            return None
        try:
            return self._pool_at(at, self.last)
        except InvalidMarket:
            return None

    def _pool_at(self, at: int, price: int) -> Pool:
        """The pool as others keep it at a price, and as our own swaps at this very instant have left it."""
        if self._pool is not None and self._pool[0] == (at, price):
            return self._pool[1]
        assert self.rules.pool is not None
        times, over = self.instrument.ratio
        pool = self.rules.pool.at_price(price * times, over)
        self._pool = (at, price), pool
        return pool

    def _trade(self, live: _Live, at: int, price: int, qty: int, liquidity: Liquidity, cost: int | None = None) -> int:
        market, order = self.instrument, live.order
        side = order.place.side
        qty = min(qty, self._reducible(live)) // market.lot_units * market.lot_units
        if qty <= 0:
            self._expire_if_nothing_to_reduce(live, at)
            return 0
        buy = side is Side.BUY
        if cost is None:
            live.traded += price * qty
            exact = live.traded * market._times
            cost = (-(-exact // market._over) if buy else exact // market._over) - live.paid
            live.paid += cost
        if self.rules.pool is not None:
            asset, millionths = market.quote, 0
        elif self.net is not None:  # a contract brings no coin that a fee could be taken in
            asset, millionths = market.quote, cost * self.rules.fees.rate(liquidity)
        else:
            asset, millionths = self.rules.fees.due(market, side, qty, cost, liquidity)
        live.fee_due += millionths
        charged = -(-live.fee_due // PPM) - live.fee_paid
        fee = _amount(charged, asset)
        live.fee_paid += charged
        live.left -= qty
        if self.net is not None:
            self.account.trade(market, qty if buy else -qty, cost if buy else -cost, fee.units)
            if order.id in self.net.orders:
                self.net.orders[order.id] = (live.left, 0) if buy else (0, live.left)
        else:
            base, quote = market.base.code, market.quote.code
            coins = self._coins
            if buy:
                coins[base] += qty
                coins[quote] -= cost
            else:
                coins[base] -= qty
                coins[quote] += cost
            coins[asset.code] -= charged
            if self.account.nets:
                for other in self.markets:
                    if other.net is not None and other.net.base:
                        other._watch()
        self.trades += 1
        if live.left:
            spent = cost + (charged if asset is market.quote else 0)
            share = min(live.held, max(spent, divide(live.held * qty, live.left + qty, Rounding.DOWN)) if buy else qty)
            live.held -= share
            self._held[live.held_asset] -= share
        else:
            self._off(live)
        self.outbox.append(fill_of(order, at, qty, price, cost, fee, liquidity, f"{self.name}-{self.trades}", self.name))
        if self.net is not None:
            self.account.after_trade(market, at)
            self._expire_if_nothing_to_reduce(live, at)
        return qty

    def _expire_if_nothing_to_reduce(self, live: _Live, at: int) -> None:
        if live.order.id in self._live and not self._reducible(live):
            self._expire(live, at, "reduce only: no position left to reduce")

    def _expire(self, live: _Live, at: int, reason: str) -> None:
        self._off(live)
        self.outbox.append(Canceled(live.order.id, at, reason))

    def _watch(self) -> None:
        """Work out the two prices between which nothing can happen."""
        low, high = -1, FAR
        for live in self._live.values():
            place = live.order.place
            price = place.stop if live.stopped else place.limit
            if price is None or live.new or live.arrives or live.cancel_at or place.good_til is not None:
                low = FAR
            elif live.stopped is (place.side is Side.BUY):
                high = min(high, price)
            else:
                low = max(low, price)
        if self.net is not None and self.net.base and not self.joint:
            tick = self._breaking_price()
            if tick is not None and self.net.base > 0:
                low = max(low, tick)
            elif tick is not None:
                high = min(high, tick)
        self.low_trigger, self.high_trigger = low, high


_amount = maker(Amount)


def _within(book: tuple[list[list[int]], list[list[int]]], price: int) -> bool:
    """Whether a price lies between the deepest levels that a book shows."""
    bids, asks = book
    return (not bids or price >= bids[-1][0]) and (not asks or price <= asks[-1][0])
