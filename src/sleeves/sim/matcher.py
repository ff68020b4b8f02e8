"""The simulated exchange account, sans I/O: orders and prices in, events out. Spot.

Rule 1. An order acts on the first price after it was submitted, never on the one it was decided on.
Rule 2. A limit never fills worse than its limit, and no buy above the worst price that its hold covers.
Rule 3. A resting limit fills at its own price, as maker, and only when the price trades through it.
Rule 4. The account's balances are the exchange's own: they move with fills and with nothing else, and know no sleeve.

Inside a bar the price is taken to go open, low, high, close when the bar closes at or above its open, and open, high,
low, close otherwise. Orders that are reached fill in the order in which that path reaches them, the older first.

What a sleeve is, and why anybody trades, is not known here. Events wait in `outbox` until somebody takes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from ..errors import InvalidMarket
from ..market import Instrument
from ..money import PPM, Amount, Asset, Rounding, divide
from ..orders import Accepted, Canceled, Event, Fill, Liquidity, Order, Rejected, Side, TimeInForce
from .models import FeeIn, Rules

__all__ = ["Matcher"]

FAR = 1 << 62
"""A price that is never reached."""


class _Live:
    """An order on the exchange: what is left of it, and what the exchange holds for it."""

    __slots__ = ("fee_due", "fee_paid", "held", "held_asset", "left", "new", "order", "paid", "stopped", "traded")

    def __init__(self, order: Order, held_asset: str, held: int) -> None:
        self.order = order
        self.left = order.place.qty
        self.new = True
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
    """One instrument's market and one account on it.

    `balances` are the account's coins by asset code. `low_trigger` and `high_trigger` are the prices at or beyond
    which `advance` could do anything: a caller with many rows compares two integers and skips the rest.
    """

    def __init__(self, instrument: Instrument, balances: Mapping[str, Amount], rules: Rules | None = None, *, name: str = "sim") -> None:
        self.instrument = instrument
        self.rules = Rules() if rules is None else rules
        self.name = name
        self.outbox: deque[Event] = deque()
        self.low_trigger = -1
        self.high_trigger = FAR
        self.last = 0
        self.trades = 0
        self._coins: dict[str, int] = {code: amount.units for code, amount in balances.items()}
        self._assets: dict[str, Asset] = {code: amount.asset for code, amount in balances.items()}
        for asset in (instrument.base, instrument.quote):
            if self._assets.setdefault(asset.code, asset) != asset:
                raise InvalidMarket(f"the account counts {asset.code} with other decimal places than {instrument.symbol}")
            self._coins.setdefault(asset.code, 0)
        self._held: dict[str, int] = dict.fromkeys(self._coins, 0)
        self._live: dict[str, _Live] = {}
        self._known: set[str] = set()

    # -- the account -------------------------------------------------------------------------------------------------

    def balances(self) -> dict[str, Amount]:
        """All coins of the account, held ones included."""
        return {code: Amount(units, self._assets[code]) for code, units in self._coins.items()}

    def available(self, code: str) -> int:
        return self._coins[code] - self._held[code]

    # -- orders ------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, now: int) -> None:
        """Take an order. The same id again does nothing. A refusal is a `Rejected` event."""
        if order.id in self._known:
            return
        self._known.add(order.id)
        reason = self._refuse(order)
        if reason:
            self.outbox.append(Rejected(order.id, now, reason))
            return
        code, units = self._hold(order)
        if units > self.available(code):
            self.outbox.append(Rejected(order.id, now, "insufficient funds"))
            return
        self._held[code] += units
        self._live[order.id] = _Live(order, code, units)
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
        worth = market.cost(place.limit or place.stop or self.last, place.qty, Rounding.FLOOR)
        if worth < market.min_notional_units:
            return "cost minimum not met"
        if place.post_only and place.limit is not None and self.last:
            if place.side is Side.BUY and place.limit >= self.last:
                return "post only order would take"
            if place.side is Side.SELL and place.limit <= self.last:
                return "post only order would take"
        if place.reduce_only and (place.side is Side.BUY or self._coins[market.base.code] <= 0):
            return "reduce only: no position to reduce"
        return ""

    def _hold(self, order: Order) -> tuple[str, int]:
        """What the exchange sets aside: the coins to sell, or the cost at the highest price that the order may pay."""
        place, market = order.place, self.instrument
        if place.side is Side.SELL:
            return market.base.code, place.qty
        price = place.limit or order.worst or self.rules.slippage.fill_price(market, Side.BUY, place.qty, place.stop or self.last)
        fee = 0 if self.rules.fees.taken_in is FeeIn.RECEIVED else max(0, self.rules.fees.taker_ppm, self.rules.fees.maker_ppm)
        cost = market.cost(price, place.qty, Rounding.CEIL)
        return market.quote.code, cost + divide(cost * fee, PPM, Rounding.CEIL)

    def cancel(self, order_id: str, now: int) -> None:
        """Take an order off the book. One that is not there any more is passed over: its fill or cancel was told."""
        live = self._live.get(order_id)
        if live is not None:
            self._off(live)
            self.outbox.append(Canceled(order_id, now, "requested"))
            self._watch()

    def _off(self, live: _Live) -> None:
        del self._live[live.order.id]
        self._held[live.held_asset] -= live.held

    # -- prices ------------------------------------------------------------------------------------------------------

    def advance(self, at: int, interval: int, open_: int, high: int, low: int, close: int, volume: int = -1) -> None:
        """One row of the market, `interval` ns long. `volume` in lots; -1: not known, and then nothing limits a fill."""
        room = FAR
        if self.rules.participation_ppm is not None and volume >= 0:
            room = divide(volume * self.rules.participation_ppm, PPM, Rounding.DOWN) * self.instrument.lot_units
        for live in list(self._live.values()):
            room -= self._at_first_price(live, at, open_, room)
        here = open_
        path = (low, high, close) if close >= open_ else (high, low, close)
        for step, there in enumerate(path, 1):
            if here != there and self._live:
                room = self._walk(at + interval * step // 4, here, there, room)
            here = there
        self.last = close
        for live in self._live.values():
            limit = live.order.place.limit
            if live.new and limit is not None and (close > limit if live.order.place.side is Side.BUY else close < limit):
                live.new = False
        self._watch()

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
        live.new = False
        through = price < place.limit if buy else price > place.limit
        return self._trade(live, at, place.limit, min(live.left, room), Liquidity.MAKER) if through else 0

    def _take_or_rest(self, live: _Live, at: int, price: int, room: int) -> int:
        """A limit order that meets the market: it takes what it can, and what is left rests, or is canceled if immediate.

        What only the row's volume kept from filling goes on taking at the next row's first price.
        """
        place = live.order.place
        assert place.limit is not None
        crossed = price <= place.limit if place.side is Side.BUY else price >= place.limit
        filled = self._take(live, at, price, room) if crossed else 0
        if place.tif is TimeInForce.IOC and live.left and live.order.id in self._live:
            self._expire(live, at, "immediate or cancel")
        live.new = crossed
        return filled

    def _walk(self, at: int, here: int, there: int, room: int) -> int:
        """The price moves from here to there: what it reaches goes off, the nearest first, the older first."""
        falling = there < here
        reached = []
        for age, live in enumerate(self._live.values()):
            place = live.order.place
            buy = place.side is Side.BUY
            if live.stopped and place.stop is not None:
                if falling is not buy and (place.stop >= there if falling else place.stop <= there):
                    reached.append((abs(place.stop - here), age, live))
            elif place.limit is not None and falling is buy and (there < place.limit if falling else there > place.limit):
                reached.append((max(0, (here - place.limit) if falling else (place.limit - here)), age, live))
        for _, _, live in sorted(reached, key=lambda hit: hit[:2]):
            room -= self._reach(live, at, room)
        return room

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
        qty = min(live.left, room) // market.lot_units * market.lot_units
        if qty <= 0:
            if place.tif is TimeInForce.IOC:
                self._expire(live, at, "immediate or cancel")
            return 0
        fill_price = self.rules.slippage.fill_price(market, place.side, qty, price)
        if place.side is Side.BUY:
            bound = live.order.worst if place.limit is None else place.limit
            if bound is not None and fill_price > bound:
                if price > bound:
                    if place.limit is None:
                        self._expire(live, at, f"the price {market.price_text(price)} is beyond what the hold covers")
                    return 0
                fill_price = bound
        elif place.limit is not None:
            fill_price = max(fill_price, place.limit)
        filled = self._trade(live, at, fill_price, qty, Liquidity.TAKER)
        if place.tif is TimeInForce.IOC and live.left:
            self._expire(live, at, "immediate or cancel")
        return filled

    def _trade(self, live: _Live, at: int, price: int, qty: int, liquidity: Liquidity) -> int:
        market, order = self.instrument, live.order
        side = order.place.side
        qty = qty // market.lot_units * market.lot_units
        if qty <= 0:
            return 0
        buy = side is Side.BUY
        live.traded += price * qty
        cost = market.cost(1, live.traded, Rounding.CEIL if buy else Rounding.FLOOR) - live.paid
        live.paid += cost
        asset, millionths = self.rules.fees.due(market, side, qty, cost, liquidity)
        live.fee_due += millionths
        fee = Amount(divide(live.fee_due, PPM, Rounding.CEIL) - live.fee_paid, asset)
        live.fee_paid += fee.units
        base, quote = market.base.code, market.quote.code
        coins = self._coins
        if buy:
            coins[base] += qty
            coins[quote] -= cost
        else:
            coins[base] -= qty
            coins[quote] += cost
        coins[fee.asset.code] -= fee.units
        live.left -= qty
        self.trades += 1
        if live.left:
            spent = cost + (fee.units if fee.asset is market.quote else 0)
            share = min(live.held, max(spent, divide(live.held * qty, live.left + qty, Rounding.DOWN)) if buy else qty)
            live.held -= share
            self._held[live.held_asset] -= share
        else:
            self._off(live)
        self.outbox.append(Fill(order.id, at, market, side, qty, price, cost, fee, liquidity, f"{self.name}-{self.trades}", self.name))
        return qty

    def _expire(self, live: _Live, at: int, reason: str) -> None:
        self._off(live)
        self.outbox.append(Canceled(live.order.id, at, reason))

    def _watch(self) -> None:
        """Work out the two prices between which nothing can happen."""
        low, high = -1, FAR
        for live in self._live.values():
            place = live.order.place
            price = place.stop if live.stopped else place.limit
            if price is None or live.new:
                low = FAR
            elif live.stopped is (place.side is Side.BUY):
                high = min(high, price)
            else:
                low = max(low, price)
        self.low_trigger, self.high_trigger = low, high
