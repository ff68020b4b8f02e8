"""Other participants of a simulated market: who quotes, who takes, and trades as they happened. Data, played row by row.

A `Flow` is a description that never changes; `begin` gives what one run of a market draws from it. What it does follows
from its options, its seed, the instrument and each row of the tape alone, so the same row brings the same flow whatever
stood before it, and whatever our orders do. Only what is left of a quote depends on who has taken it, also we.

The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) with
the constants of Vigna's reference code in the public domain. What a book is, and who we are, is not known here.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from attrs import field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import Instrument
from ..money import PPM, Fraction, Rounding, decimal_text, divide, parse_units, ppm
from ..orders import Side

__all__ = ["Action", "Flow", "Leg", "Print", "Prints", "Quotes", "Running", "Seeded", "SplitMix64", "Take", "price_on"]

_MASK = (1 << 64) - 1

Leg: TypeAlias = tuple[int, int, int, int]
"""A straight line of the tape's price: from when, from where, until when, to where."""


def price_on(leg: Leg, when: int, tick: int) -> int:
    """The price of a leg at an instant, half-even on the tick, and never beyond its ends."""
    begin, start, end, there = leg
    price = divide(start * (end - when) + there * (when - begin), (end - begin) * tick, Rounding.HALF_EVEN) * tick
    return min(max(price, min(start, there)), max(start, there))


class SplitMix64:
    """64 bits at a time from a seed, the same on every machine."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """A whole number from 0 to below `bound`, by multiplying: its bias is below bound / 2**64."""
        return (self.next() * bound) >> 64


# -- what a flow does ------------------------------------------------------------------------------------------------------


class Quotes(NamedTuple):
    """From this instant on the background makers quote just this: (side, price, units), the best first."""

    at: int
    quotes: tuple[tuple[Side, int, int], ...]


class Take(NamedTuple):
    """Somebody takes: at most at `limit`, and what finds nobody is gone. `printed`: it has happened, at just that price."""

    at: int
    side: Side
    qty: int
    limit: int
    printed: bool = False


Action: TypeAlias = Quotes | Take


@frozen(order=False)
class Print:
    """A trade that has happened: when, at what price, how many base units, and the taker's side where it is known."""

    at: int
    price: int
    qty: int
    side: Side | None = None

    @classmethod
    def of(cls, market: Instrument, at: int, price: str, qty: str, side: Side | str | None = None) -> Print:
        """A trade from text: exact, on the instrument's tick and lot, or `InvalidMarket`."""
        try:
            taker = None if side is None else Side(side)
        except ValueError as error:
            raise InvalidMarket(f"the taker of a trade is 'buy', 'sell' or None, not {side!r}") from error
        return cls(at, market.price(price), market.qty(qty), taker)

    def __attrs_post_init__(self) -> None:
        whole = type(self.at) is int and type(self.price) is int and type(self.qty) is int
        if not whole or self.at < 0 or self.price <= 0 or self.qty <= 0:
            raise InvalidMarket(
                f"a trade at {self.at!r} of {self.qty!r} at {self.price!r}: need whole nanoseconds and positive whole units"
            )
        if self.side is not None and not isinstance(self.side, Side):
            raise InvalidMarket(f"the taker of a trade is a Side or None, not {self.side!r}")


# -- seeded ----------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Seeded:
    """Background makers around the tape's price, and takers at random instants. Made with `Flow.seeded`, which tells the options."""

    seed: int
    spread_ppm: int = 1_000
    layers: int = 3
    step_ppm: int = 500
    size: str = "1"
    refreshes: int = 4
    takes_milli: int = 4_000
    take_size: str = "0.5"
    informed_ppm: int = 0

    def __attrs_post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed <= _MASK:
            raise InvalidAmount(f"seed {self.seed!r} of a flow must be a whole number of 64 bits, 0 to {_MASK}")
        for name, value, least, most in (
            ("spread", self.spread_ppm, 0, PPM - 1),
            ("step", self.step_ppm, 0, PPM - 1),
            ("layers", self.layers, 0, 100),
            ("refreshes", self.refreshes, 1, 1_000),
            ("takes", self.takes_milli, 0, 10_000_000),
            ("informed", self.informed_ppm, 0, PPM),
        ):
            if type(value) is not int or not least <= value <= most:
                raise InvalidAmount(f"{name} {value!r} of a flow must be a whole number from {least} to {most}")
        if self.spread_ppm // 2 + (self.layers or 1) * self.step_ppm >= PPM:
            raise InvalidAmount(f"{self.layers} layers of {_percent(self.step_ppm)} reach down to a price of zero")
        for name, text in (("size", self.size), ("take_size", self.take_size)):
            if not isinstance(text, str) or parse_units(text, 30, f"{name} of a flow") <= 0:
                raise InvalidAmount(f"{name} {text!r} of a flow must be base coins as text, and positive")

    def begin(self, market: Instrument) -> _SeededRun:
        return _SeededRun(self, market)

    def describe(self) -> list[str]:
        takes = f"{decimal_text(self.takes_milli, 3)} takers a row of {self.take_size} on average, seed {self.seed}"
        quotes = (
            f"makers quote {self.layers} layers of {self.size} each side, {_percent(self.spread_ppm)} between the best, "
            f"{_percent(self.step_ppm)} apart, {self.refreshes} times a row"
        )
        informed = [f"{_percent(self.informed_ppm)} of takers know where the row closes"] if self.informed_ppm else []
        return [quotes if self.layers else "no background makers", takes, *informed]


class _SeededRun:
    """One market's seeded flow."""

    def __init__(self, terms: Seeded, market: Instrument) -> None:
        self._terms = terms
        self._market = market
        lot = market.lot_units
        scale = market.base.scale
        self._lots, self._take_lots = (
            max(1, divide(parse_units(text, 30), 10 ** (30 - scale) * lot, Rounding.HALF_EVEN)) for text in (terms.size, terms.take_size)
        )
        self._salt = 0xCBF29CE484222325  # FNV-1a of the symbol: markets of one seed do not move together
        for byte in market.symbol.encode():
            self._salt = ((self._salt ^ byte) * 0x100000001B3) & _MASK

    def row(self, at: int, legs: Sequence[Leg]) -> list[Action]:
        terms, end = self._terms, legs[-1][2]
        draw = SplitMix64(SplitMix64(terms.seed ^ self._salt).next() ^ SplitMix64(at).next())
        actions: list[Action] = []
        if terms.layers:
            whens = dict.fromkeys(at + (end - at) * n // terms.refreshes for n in range(terms.refreshes))
            actions += [self._quotes(when, self._fair(when, legs), draw) for when in whens]
        whole, rest = divmod(terms.takes_milli, 1_000)
        takes = whole + (draw.below(1_000) < rest)
        actions += [self._take(at + draw.below(max(1, end - at)), legs, draw) for _ in range(takes)]
        actions.sort(key=attrgetter("at"))
        return actions

    def _fair(self, when: int, legs: Sequence[Leg]) -> int:
        leg = next((leg for leg in legs if when < leg[2]), None)
        return legs[-1][3] if leg is None else price_on(leg, when, self._market.tick_units)

    def _quotes(self, when: int, fair: int, draw: SplitMix64) -> Quotes:
        terms, tick = self._terms, self._market.tick_units
        lots, lot = self._lots, self._market.lot_units
        least = (lots + 1) // 2
        quotes: dict[tuple[Side, int], int] = {}
        for n in range(terms.layers):
            off = terms.spread_ppm // 2 + n * terms.step_ppm
            bid = max(1, fair * (PPM - off) // (PPM * tick)) * tick
            ask = -(-fair * (PPM + off) // (PPM * tick)) * tick
            if bid >= ask:
                ask = fair + tick
            for side, price in ((Side.BUY, bid), (Side.SELL, ask)):
                units = (least + draw.below(lots)) * lot
                quotes[side, price] = quotes.get((side, price), 0) + units
        return Quotes(when, tuple((side, price, units) for (side, price), units in quotes.items()))

    def _take(self, when: int, legs: Sequence[Leg], draw: SplitMix64) -> Take:
        terms, market = self._terms, self._market
        fair, close = self._fair(when, legs), legs[-1][3]
        informed, buys = draw.below(PPM) < terms.informed_ppm, draw.below(2) == 1
        qty = (1 + draw.below(2 * self._take_lots - 1)) * market.lot_units
        reach = min(PPM - 1, terms.spread_ppm + 2 * max(1, terms.layers) * terms.step_ppm)
        if informed and close != fair:
            return Take(when, Side.BUY if close > fair else Side.SELL, qty, close)
        if buys:
            return Take(when, Side.BUY, qty, market.shift(fair, reach, Rounding.CEIL) + market.tick_units)
        return Take(when, Side.SELL, qty, max(market.tick_units, market.shift(fair, -reach, Rounding.FLOOR) - market.tick_units))


# -- from a tape of trades -------------------------------------------------------------------------------------------------


def _prints(given: Iterable[Print]) -> tuple[Print, ...]:
    told = tuple(given) if isinstance(given, Iterable) else (given,)
    for one in told:
        if not isinstance(one, Print):
            raise InvalidMarket(f"a flow of trades is of Prints, not of {one!r}")
    return tuple(sorted(told, key=attrgetter("at")))


@frozen(order=False)
class Prints:
    """Trades that have happened, as takers. Made with `Flow.of_trades`."""

    trades: tuple[Print, ...] = field(converter=_prints)

    def __attrs_post_init__(self) -> None:
        if not self.trades:
            raise InvalidMarket("a flow of trades needs at least one trade")

    def begin(self, market: Instrument) -> _PrintsRun:
        return _PrintsRun(self, market)

    def describe(self) -> list[str]:
        return [f"{len(self.trades)} trades of the tape come in as takers"]


class _PrintsRun:
    """One market's trades, each with its taker's side."""

    def __init__(self, terms: Prints, market: Instrument) -> None:
        for one in terms.trades:
            if one.price % market.tick_units or one.qty % market.lot_units:
                raise InvalidMarket(f"a trade of {one.qty} units at {one.price} is off the tick or the lot of {market}")
        self._takes = [Take(one.at, side, one.qty, one.price, True) for one, side in zip(terms.trades, _sides(terms.trades), strict=True)]
        self._at = [one.at for one in terms.trades]

    def row(self, at: int, legs: Sequence[Leg]) -> list[Action]:
        return list(self._takes[bisect_left(self._at, at) : bisect_left(self._at, legs[-1][2])])


def _sides(trades: Sequence[Print]) -> Iterator[Side]:
    """Who took in each trade. Where it is not told, the tick test (Lee and Ready, 1991): up is a buy, down a sale, the same as before.

    Trades before any change of price are what the first change is not: it comes from the other side. With none, buys.
    """
    changes = (b.price - a.price for a, b in pairwise(trades))
    first = next((change for change in changes if change), -1)
    latest = Side.SELL if first > 0 else Side.BUY
    before = trades[0].price
    for one in trades:
        if one.price != before:
            latest = Side.BUY if one.price > before else Side.SELL
        before = one.price
        latest = one.side or latest
        yield latest


# -- flows -----------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Flow:
    """Other participants' orders in one market: parts that come together, in order of time.

    Made with `seeded` or `of_trades`; `a + b` is both at once.
    """

    parts: tuple[Seeded | Prints, ...]

    @classmethod
    def seeded(
        cls,
        seed: int,
        *,
        spread: Fraction = "0.1%",
        layers: int = 3,
        step: Fraction = "0.05%",
        size: str = "1",
        refreshes: int = 4,
        takes: str | int = "4",
        take_size: str = "0.5",
        informed: Fraction = "0%",
    ) -> Flow:
        """Makers and takers drawn from a seed around the tape's price.

        `spread` lies between the makers' best bid and ask, at least one tick; `layers` a side stand `step` apart, each of
        half to one and a half of `size` base coins; they look at the price anew `refreshes` times in each row, the first time
        at its begin (so with one, the book at a row's end still stands around its open), cancel what is off and fill up what
        was taken, at the back of the queue. `takes` takers come in each row on average (at most three decimals) at random
        instants, each of up to twice `take_size` base coins, to either side, at most as far as the makers reach twice over.
        A part `informed` of them know the row's close, go there, and pay no more than that. No layers: no makers. Raises
        `InvalidAmount` for what is out of range.
        """
        milli = parse_units(takes, 3, "takes")
        rates = ppm(spread, "spread"), ppm(step, "step"), ppm(informed, "informed")
        return cls((Seeded(seed, rates[0], layers, rates[1], size, refreshes, milli, take_size, rates[2]),))

    @classmethod
    def of_trades(cls, trades: Iterable[Print]) -> Flow:
        """Trades as they happened: each comes in as a taker at its price, and first meets what stands before us.

        What stood before us is known where the tape shows books (`Tape.with_depth`). Where none is shown that reaches a
        trade's price, the trade fills what stands at better prices than its own, and nothing at its very price: the queue
        there is not known. Trades outside of the tape's rows do not come in.
        """
        return cls((Prints(trades),))

    def __attrs_post_init__(self) -> None:
        if not self.parts or not all(isinstance(part, (Seeded, Prints)) for part in self.parts):
            raise InvalidMarket(f"a flow is made with Flow.seeded or Flow.of_trades, not of {self.parts!r}")

    def __add__(self, other: Flow) -> Flow:
        return Flow((*self.parts, *other.parts)) if isinstance(other, Flow) else NotImplemented

    def begin(self, market: Instrument) -> Running:
        """What one run of a market draws from it. Raises `InvalidMarket` for trades off the market's tick or lot."""
        return Running(self, market)

    def describe(self) -> list[str]:
        """Each part in sentences, for reports."""
        return [line for part in self.parts for line in part.describe()]


class Running:
    """A flow in one market."""

    def __init__(self, flow: Flow, market: Instrument) -> None:
        self._runs = [part.begin(market) for part in flow.parts]

    def row(self, at: int, legs: Sequence[Leg]) -> list[Action]:
        """What happens in one row, from its begin to before its end, in order of time. `legs` are its price, without a gap."""
        if len(self._runs) == 1:
            return self._runs[0].row(at, legs)
        return list(heapq.merge(*(run.row(at, legs) for run in self._runs), key=attrgetter("at")))


def _percent(rate: int) -> str:
    return decimal_text(rate, 4) + "%"
