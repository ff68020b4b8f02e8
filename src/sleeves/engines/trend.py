"""Trend: buy a rise that has a trend behind it, stop losses short, let a gain run until it turns.

The rules of the seed's ETH/USDT script, over any spot instrument, with each threshold a named parameter:

- Buy when the last hour rose by `enter`, or when the price turned up by more than `turn` from a tracked low that lies within
  `band` of the lowest price of the last 8 hours; in both cases only while the price stands `trend` above the mean of
  the last four hourly closes. Checked every `buy_every`.
- Sell at `stop` net of two fees; or, once the net gain has reached `arm`, when the price has turned down by `trail`
  from its high since the buy. Never while the last hour rose by `hold`. Checked every `sell_every`.

Memory is bounded: one price a minute for the last hour, the falling minima of the last 8 hours, four hourly closes.

The engine sees prices and its own position, nothing of accounts. It computes in float: only the instrument turns its
opinion into a quantity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import HOUR, MINUTE, SECOND, Instrument
from ..money import Rounding
from ..orders import Intent, Place, Side
from ..protocols import Columns, Plan, View
from .passes import MOST_PRICE, Rows, numpy_or_none
from .rates import in_percent, opinion
from .trend_plan import Trends

__all__ = ["Trend", "TrendMemory"]

WINDOW = 8 * HOUR
HAIR = 1e-12
"""What a float may be off: a price exactly at a threshold is at it."""


@define
class TrendMemory:
    """What the trend engine remembers: bounded, and fresh from `Trend.begin`."""

    samples: deque[tuple[int, float]] = field(factory=deque)
    """(time, price), a minute apart, reaching back one hour."""
    lows: deque[tuple[int, float]] = field(factory=deque)
    """Falling minima of the last 8 hours: the first is the lowest."""
    hours: deque[float] = field(factory=lambda: deque(maxlen=4))
    """The last four hourly closes."""
    hour: int = -1
    last: float = 0.0
    low: float = 0.0
    """The lowest price since the last sale, while it is of this window."""
    low_at: int = 0
    high: float = 0.0
    """The highest price since the buy."""
    armed: bool = False
    buy_at: int = 0
    sell_at: int = 0


@frozen
class Trend:
    """The trend engine on one instrument. Thresholds are rates, best as text ("1.25%"); `size` is the part of free money that a buy uses.

    The defaults are the script's own; at an exchange's entry fees they trade far too often to pay (the docs show it).
    `Trend.quiet` and `Trend.flash` are two slower settings that differ in what they ask for and how long they hold.
    """

    instrument: Instrument
    enter: float = field(default=0.0125, converter=opinion)
    trend: float = field(default=0.002, converter=opinion)
    turn: float = field(default=0.002, converter=opinion)
    band: float = field(default=0.02, converter=opinion)
    stop: float = field(default=0.016, converter=opinion)
    arm: float = field(default=0.001, converter=opinion)
    trail: float = field(default=0.002, converter=opinion)
    hold: float = field(default=0.011, converter=opinion)
    fee: float = field(default=0.004, converter=opinion)
    size: float = field(default=1.0, converter=opinion)
    least: str = "10"
    """The least order in quote coins."""
    buy_every: int = 30 * SECOND
    sell_every: int = 15 * SECOND
    name: str = "trend"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument):
            raise InvalidMarket(f"Trend trades an Instrument, not {self.instrument!r}")
        if not 0 < self.size <= 1:
            raise InvalidAmount(f"size {in_percent(self.size)} must lie above 0% and up to 100%")
        for what in ("enter", "turn", "band", "stop", "arm", "trail", "hold", "fee"):
            if getattr(self, what) < 0:
                raise InvalidAmount(f"{what} {in_percent(getattr(self, what))} must not be negative")
        for what in ("buy_every", "sell_every"):
            if type(getattr(self, what)) is not int or getattr(self, what) <= 0:
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be a positive whole number of nanoseconds")
        if self.instrument.quote(self.least).units < 0:
            raise InvalidAmount(f"the least order {self.least} must not be negative")

    @classmethod
    def quiet(cls, instrument: Instrument, **changes: Any) -> Trend:
        """Conservative: only strong trends, wide stops, a gain is given room to run; half of its money at a time."""
        preset: dict[str, Any] = {
            "enter": "3%",
            "trend": "3%",
            "turn": "2%",
            "band": "0.5%",
            "stop": "8%",
            "arm": "8%",
            "trail": "12%",
            "hold": "2%",
            "size": "50%",
            "buy_every": 15 * MINUTE,
            "sell_every": 5 * MINUTE,
            "name": "trend-quiet",
        }
        return cls(instrument, **(preset | changes))

    @classmethod
    def flash(cls, instrument: Instrument, **changes: Any) -> Trend:
        """Aggressive: the script's entry on a firmer trend, all its money at once, gains taken sooner than `quiet` does."""
        preset: dict[str, Any] = {"trend": "2%", "stop": "4%", "arm": "3%", "trail": "6%", "name": "trend-flash"}
        return cls(instrument, **(preset | changes))

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (self.instrument,)

    @property
    def every(self) -> int:
        return min(self.buy_every, self.sell_every)

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        return (
            f"{self.name} on {self.instrument}: buys when the last hour rose {in_percent(self.enter)}, or the price turned up "
            f"{in_percent(self.turn)} from a low within {in_percent(self.band)} of the 8 h low, each with a 4 h trend of "
            f"{in_percent(self.trend)}; sells at -{in_percent(self.stop)} net, or on a turn of {in_percent(self.trail)} once "
            f"{in_percent(self.arm)} net was reached; holds while the last hour rose {in_percent(self.hold)}; uses {in_percent(self.size)} "
            "of its free money"
        )

    def begin(self) -> TrendMemory:
        return TrendMemory()

    def saw(self, memory: TrendMemory) -> Mapping[str, str]:
        """What the last decision was made on: the price, the rise of the last hour, the trend, and where it turned."""
        before = memory.samples[0][1] if memory.samples else 0.0
        mean = sum(memory.hours) / 4 if len(memory.hours) == 4 else 0.0
        return {
            "price": self.instrument.price_text(int(memory.last)),
            "last hour": in_percent(memory.last / before - 1) if before else "unknown",
            "trend": in_percent(memory.last / mean - 1) if mean else "unknown",
            "low": self.instrument.price_text(int(memory.low)) if memory.low else "",
            "high since the buy": self.instrument.price_text(int(memory.high)) if memory.high else "",
            "armed": "yes" if memory.armed else "no",
        }

    def decide(self, memory: TrendMemory, view: View) -> Iterable[Intent] | None:
        market = self.instrument
        book = view.book_of(market)
        if book is None:
            return None
        now = view.now
        price = float(book.mid)
        before = _hour_ago(memory, now)
        _remember(memory, now, price)
        rise = price / before - 1 if before else None
        position = view.position(market)
        if position >= max(market.lot_units, market.min_qty_units):
            return self._exit(memory, view, price, position, rise)
        return self._entry(memory, view, price, rise)

    def plan(self, tape: Columns) -> Plan[TrendMemory] | None:
        """Where it can buy and sell on this tape; None for another market's, without numpy, or at prices beyond 2**53 units."""
        np = numpy_or_none()
        if np is None or tape.instrument != self.instrument or int(Rows(np, tape).close.max()) > MOST_PRICE:
            return None
        return Trends(np, self, tape)

    # -- buying ------------------------------------------------------------------------------------------------------

    def _entry(self, memory: TrendMemory, view: View, price: float, rise: float | None) -> Iterable[Intent] | None:
        now = view.now
        memory.armed, memory.high = False, 0.0
        lowest = memory.lows[0][1]
        if not memory.low or price < memory.low or now - memory.low_at > WINDOW or memory.low / lowest - 1 > self.band + HAIR:
            memory.low, memory.low_at = price, now
        if now < memory.buy_at:
            return None
        memory.buy_at = now + self.buy_every
        if view.orders() or len(memory.hours) < 4:
            return None
        if price / (sum(memory.hours) / 4) - 1 < self.trend - HAIR:
            return None
        risen = rise is not None and rise >= self.enter - HAIR
        turned = memory.low / lowest - 1 <= self.band + HAIR and price / memory.low - 1 > self.turn + HAIR
        if not risen and not turned:
            return None
        money = int(view.free() * self.size)
        qty = view.affordable(self.instrument, money)
        book = view.book_of(self.instrument)
        if book is None or not qty or self.instrument.cost(book.ask, qty, Rounding.FLOOR) < self.instrument.quote(self.least).units:
            return None
        return (Place(self.instrument, Side.BUY, qty, why="momentum" if risen else "turn"),)

    # -- selling -----------------------------------------------------------------------------------------------------

    def net(self, price: int, position: int, cost: int) -> float:
        """What a position of that cost would gain at a price, less two fees, as a part of the cost; 0 where it cost nothing."""
        worth = self.instrument.cost(price, position, Rounding.FLOOR)
        return worth / cost - 1 - 2 * self.fee if cost > 0 else 0.0

    def _exit(self, memory: TrendMemory, view: View, price: float, position: int, rise: float | None) -> Iterable[Intent] | None:
        market = self.instrument
        memory.low = 0.0
        memory.high = max(memory.high, price)
        net = self.net(int(price), position, view.open_cost(market))
        if net >= self.arm - HAIR:
            memory.armed = True
        if view.now < memory.sell_at:
            return None
        memory.sell_at = view.now + self.sell_every
        if view.orders() or (rise is not None and rise >= self.hold - HAIR):
            return None
        if net <= -self.stop + HAIR:
            why = "stop"
        elif memory.armed and price / memory.high - 1 <= -self.trail + HAIR:
            why = "trail"
        else:
            return None
        qty = market.round_qty(position)
        return (Place(market, Side.SELL, qty, reduce_only=True, why=why),)


def _hour_ago(memory: TrendMemory, now: int) -> float:
    """The newest sample that is at least an hour old; 0 while there is none."""
    samples = memory.samples
    while len(samples) > 1 and samples[1][0] <= now - HOUR:
        samples.popleft()
    return samples[0][1] if samples and samples[0][0] <= now - HOUR else 0.0


def _remember(memory: TrendMemory, now: int, price: float) -> None:
    samples, lows = memory.samples, memory.lows
    if not samples or now - samples[-1][0] >= MINUTE:
        samples.append((now, price))
    while lows and lows[-1][1] >= price:
        lows.pop()
    lows.append((now, price))
    while lows[0][0] < now - WINDOW:
        lows.popleft()
    hour = (now - 1) // HOUR  # the price on the hour is the close of the hour that ends there
    if hour != memory.hour:
        if memory.hour >= 0:
            memory.hours.append(memory.last)
        memory.hour = hour
    memory.last = price
