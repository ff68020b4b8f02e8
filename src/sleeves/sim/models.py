"""What the simulated venue charges and how it fills: fees, slippage by size, and how much of a row's volume one may take.

Integers and named rounding only; every choice is data, and `Rules.describe` names it for the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import isqrt
from typing import TypeVar

from attrs import evolve, field, frozen

from ..amm import Pool
from ..errors import InvalidAmount
from ..margin import Weights
from ..market import BP, Instrument
from ..money import PPM, Amount, Asset, Fraction, Rounding, decimal_text, divide, parse_units, ppm
from ..orders import Liquidity, Side
from .book import SelfMatch
from .flow import Flow

__all__ = ["FeeIn", "Fees", "Latency", "Maker", "Rules", "Settles", "Slippage", "SquareRoot"]

_Kind = TypeVar("_Kind", bound=StrEnum)


class FeeIn(StrEnum):
    """In which asset a fee is taken."""

    QUOTE = "quote"
    RECEIVED = "received"
    """In the asset that the trade brings: base on a buy, quote on a sale."""


@frozen(order=False)
class Fees:
    """Maker and taker fee in parts per million of the trade; a maker fee below zero is a rebate.

    The defaults are Kraken's entry tier for spot, 0.25% and 0.40% (its schedule of November 2025).
    """

    maker_ppm: int = 2_500
    taker_ppm: int = 4_000
    taken_in: FeeIn = FeeIn.QUOTE

    @classmethod
    def of(cls, maker: Fraction, taker: Fraction, *, taken_in: FeeIn | str = FeeIn.QUOTE) -> Fees:
        return cls(ppm(maker, "maker fee"), ppm(taker, "taker fee"), _one(FeeIn, taken_in, "taken in"))

    def __attrs_post_init__(self) -> None:
        for name, value in (("maker", self.maker_ppm), ("taker", self.taker_ppm)):
            if type(value) is not int or not -PPM < value < PPM:
                rule = "whole parts per million between -1,000,000 and 1,000,000"
                raise InvalidAmount(f"{name} fee {value!r} must be {rule}; write rates as text with Fees.of('0.25%', '0.4%')")
        if not isinstance(self.taken_in, FeeIn):
            raise InvalidAmount(f"taken in {self.taken_in!r} must be one of FeeIn: {', '.join(FeeIn)}")

    def due(self, market: Instrument, side: Side, qty: int, cost: int, liquidity: Liquidity) -> tuple[Asset, int]:
        """The asset of a trade's fee, and the fee in millionths of its smallest unit: exact, not rounded yet."""
        rate = self.rate(liquidity)
        if self.taken_in is FeeIn.RECEIVED and side is Side.BUY:
            return market.base, qty * rate
        return market.quote, cost * rate

    def rate(self, liquidity: Liquidity) -> int:
        return self.maker_ppm if liquidity is Liquidity.MAKER else self.taker_ppm

    def charge(self, market: Instrument, side: Side, qty: int, cost: int, liquidity: Liquidity) -> Amount:
        """The fee of one trade, rounded up (a rebate toward zero)."""
        asset, millionths = self.due(market, side, qty, cost, liquidity)
        return Amount(divide(millionths, PPM, Rounding.CEIL), asset)


@frozen(order=False)
class Slippage:
    """How far from the price an order at market fills, by its size in quote coins: continuous, from `low` to `high`.

        slippage = low + (high - low) x min(notional / full_at, 1)

    in parts per million, rounded up. The fill price is rounded to the tick against the order.
    """

    low_ppm: int = 1_000
    high_ppm: int = 3_000
    full_at: str = field(default="50000", converter=str)
    """The notional, in quote coins, from which on `high` applies."""

    @classmethod
    def of(cls, low: Fraction = "0.1%", high: Fraction = "0.3%", *, full_at: str = "50000") -> Slippage:
        return cls(ppm(low, "slippage"), ppm(high, "slippage"), full_at)

    @classmethod
    def none(cls) -> Slippage:
        """Orders fill at the very price. For comparisons, not for belief."""
        return cls(0, 0)

    def __attrs_post_init__(self) -> None:
        if type(self.low_ppm) is not int or type(self.high_ppm) is not int or not 0 <= self.low_ppm <= self.high_ppm < PPM:
            rule = "whole parts per million, 0 <= low <= high < 1,000,000"
            raise InvalidAmount(f"slippage {self.low_ppm!r} to {self.high_ppm!r} must be {rule}; write rates as text with Slippage.of(...)")
        if Asset("QUOTE", 18)(self.full_at).units <= 0:
            raise InvalidAmount(f"full_at {self.full_at} must be positive")

    def of_notional(self, notional: int, quote: Asset) -> int:
        """Slippage in parts per million for this notional in units of the quote asset."""
        if self.high_ppm == self.low_ppm:
            return self.low_ppm
        full = quote(self.full_at).units
        return self.low_ppm + divide((self.high_ppm - self.low_ppm) * min(notional, full), full, Rounding.CEIL)

    def fill_price(self, market: Instrument, side: Side, qty: int, price: int) -> int:
        """Where an order of this size fills when the market is at `price`."""
        if not self.high_ppm:
            return price
        by = self.of_notional(market.cost(price, qty, Rounding.CEIL), market.quote)
        return market.shift(price, by, Rounding.CEIL) if side is Side.BUY else market.shift(price, -by, Rounding.FLOOR)

    def describe(self) -> str:
        if not self.high_ppm:
            return "slippage: none"
        return f"slippage at market: {_percent(self.low_ppm)} rising with size to {_percent(self.high_ppm)} at {self.full_at} quote coins"

    def worst(self) -> Slippage:
        """Every size slips like the largest."""
        return Slippage(self.high_ppm, self.high_ppm, self.full_at)

    def best(self) -> Slippage:
        """Every size slips like the smallest."""
        return Slippage(self.low_ppm, self.low_ppm, self.full_at)


@frozen(order=False)
class SquareRoot:
    """How far from the price an order at market fills, by the square-root law of market impact.

        slippage = half_spread + impact x sqrt(notional / daily_volume)

    in parts per million, the root rounded up. `impact_ppm` is what an order of a whole day's volume would move the
    price by, about the market's daily volatility; `daily_volume` is in quote coins. The law is the one that Almgren and
    others measured (2005) and that practitioners quote as "sigma times the root of the participation".
    """

    half_spread_ppm: int
    impact_ppm: int
    daily_volume: str = field(converter=str)

    @classmethod
    def of(cls, *, half_spread: Fraction, impact: Fraction, daily_volume: str) -> SquareRoot:
        return cls(ppm(half_spread, "half spread"), ppm(impact, "impact"), daily_volume)

    def __attrs_post_init__(self) -> None:
        for name, value in (("half spread", self.half_spread_ppm), ("impact", self.impact_ppm)):
            if type(value) is not int or not 0 <= value < PPM:
                raise InvalidAmount(f"{name} {value!r} must be whole parts per million from 0 to below 1,000,000; use SquareRoot.of")
        if Asset("QUOTE", 18)(self.daily_volume).units <= 0:
            raise InvalidAmount(f"daily volume {self.daily_volume} must be positive")

    def of_notional(self, notional: int, quote: Asset) -> int:
        """Slippage in parts per million for this notional in units of the quote asset; less than all of the price."""
        square = divide(max(0, notional) * self.impact_ppm**2, quote(self.daily_volume).units, Rounding.CEIL)
        root = isqrt(square)
        return min(PPM - 1, self.half_spread_ppm + root + (root * root < square))

    def fill_price(self, market: Instrument, side: Side, qty: int, price: int) -> int:
        """Where an order of this size fills when the market is at `price`."""
        by = self.of_notional(market.cost(price, qty, Rounding.CEIL), market.quote)
        return market.shift(price, by, Rounding.CEIL) if side is Side.BUY else market.shift(price, -by, Rounding.FLOOR)

    def describe(self) -> str:
        law = f"half a spread of {_percent(self.half_spread_ppm)} and {_percent(self.impact_ppm)} times the root of"
        return f"slippage at market: {law} notional over {self.daily_volume} quote coins a day"

    def worst(self) -> SquareRoot:
        """Twice the impact and the spread."""
        return SquareRoot(min(PPM - 1, 2 * self.half_spread_ppm), min(PPM - 1, 2 * self.impact_ppm), self.daily_volume)

    def best(self) -> SquareRoot:
        """Half the impact and the spread."""
        return SquareRoot(self.half_spread_ppm // 2, self.impact_ppm // 2, self.daily_volume)


@frozen(order=False)
class Latency:
    """How late the desk sees a price, and how late the venue sees an order or a cancel, in nanoseconds.

    Both delay when an order can first act: it was decided on a price that is `data_ns` old, and arrives `order_ns` later.
    """

    order_ns: int = 0
    data_ns: int = 0

    def __attrs_post_init__(self) -> None:
        for name, value in (("order_ns", self.order_ns), ("data_ns", self.data_ns)):
            if type(value) is not int or value < 0:
                raise InvalidAmount(f"latency {name} {value!r} must be whole nanoseconds, and not negative")

    @property
    def total(self) -> int:
        return self.order_ns + self.data_ns


class Maker(StrEnum):
    """When a resting limit fills."""

    THROUGH = "through"
    """When the price trades through it: whatever stood before it in the queue is filled too then."""
    QUEUE = "queue"
    """Also when trades at its very price have consumed what stood before it, where the tape shows single trades."""
    TOUCH = "touch"
    """As soon as the price touches it, as if it were first in the queue. For the optimistic bound, not for belief."""


class Settles(StrEnum):
    """When a venue moves profit and loss of contracts to cash."""

    ASKED = "asked"
    """When it is asked to, as Drift does."""
    AT_ONCE = "at once"
    """With every fill and funding payment, as most exchanges do."""


def _one(kind: type[_Kind], given: str, what: str) -> _Kind:
    """The one of its kind that is given, itself or as text."""
    try:
        return kind(given)
    except ValueError as error:
        raise InvalidAmount(f"{what} {given!r} must be one of {kind.__name__}: {', '.join(kind)}") from error


def _percent(rate: int) -> str:
    return decimal_text(rate, 4) + "%"


def _collateral(given: Mapping[Asset, Weights] | Iterable[tuple[Asset, Weights]]) -> tuple[tuple[Asset, Weights], ...]:
    return tuple(given.items() if isinstance(given, Mapping) else given)


@frozen(order=False)
class Rules:
    """How the simulated venue works. Every choice is data, and `describe` names each.

    `participation_ppm` limits fills to a part of each row's volume; None: no limit. Where the tape has a book, orders
    at market walk its levels instead of slipping; where there is a `pool`, they swap with it. Where there is a `book`, our
    orders stand in one price-time priority book with those of that flow: slippage, participation and `maker` do not apply
    then, and `self_match` says what becomes of orders of ours that would trade with each other. For contracts: what an
    account may be worth at most in times of its equity, the buffer above the requirement that a forced close restores
    (Drift: 2%), how coins besides the quote weigh as collateral, and the health that a withdrawal must leave.
    """

    fees: Fees = field(factory=Fees)
    slippage: Slippage | SquareRoot = field(factory=Slippage)
    participation_ppm: int | None = None
    latency: Latency = Latency()
    maker: Maker = Maker.THROUGH
    pool: Pool | None = None
    settles: Settles = Settles.ASKED
    most_leverage_bp: int = 10 * BP
    liquidation_buffer_bp: int = 200
    collateral: tuple[tuple[Asset, Weights], ...] = field(default=(), converter=_collateral)
    least_health: int = 80
    book: Flow | None = None
    self_match: SelfMatch = SelfMatch.CANCEL_NEWEST

    @classmethod
    def of(
        cls,
        *,
        fees: Fees | None = None,
        slippage: Slippage | SquareRoot | None = None,
        participation: Fraction | None = None,
        latency: Latency | None = None,
        maker: Maker | str = Maker.THROUGH,
        pool: Pool | None = None,
        settles: Settles | str = Settles.ASKED,
        most_leverage: str | int = 10,
        collateral: Mapping[Asset, Weights] | None = None,
        book: Flow | None = None,
        self_match: SelfMatch | str = SelfMatch.CANCEL_NEWEST,
    ) -> Rules:
        """With rates and choices as text: `Rules.of(participation="10%", maker="queue")`. Raises `InvalidAmount` for what cannot be."""
        return cls(
            fees or Fees(),
            slippage or Slippage(),
            None if participation is None else ppm(participation, "participation"),
            latency or Latency(),
            _one(Maker, maker, "maker"),
            pool,
            _one(Settles, settles, "settles"),
            parse_units(most_leverage, 4, "most_leverage"),
            collateral=collateral or {},
            book=book,
            self_match=_one(SelfMatch, self_match, "self match"),
        )

    def __attrs_post_init__(self) -> None:
        part = self.participation_ppm
        if part is not None and (type(part) is not int or not 0 < part <= PPM):
            raise InvalidAmount(f"participation of {self.participation_ppm} ppm must lie above 0% and up to 100%")
        if type(self.most_leverage_bp) is not int or self.most_leverage_bp < BP:
            raise InvalidAmount(f"most leverage {self.most_leverage_bp!r} bp must be at least {BP}, once")
        if type(self.liquidation_buffer_bp) is not int or self.liquidation_buffer_bp < 0:
            raise InvalidAmount(f"liquidation buffer {self.liquidation_buffer_bp!r} bp must be whole, and not negative")
        if type(self.least_health) is not int or not 0 <= self.least_health <= 100:
            raise InvalidAmount(f"least health {self.least_health!r} must be a whole number from 0 to 100")
        if not all(isinstance(asset, Asset) and isinstance(weights, Weights) for asset, weights in self.collateral):
            raise InvalidAmount(f"collateral is Weights by Asset, not {self.collateral!r}")
        if self.pool is not None and not hasattr(self.pool, "at_price"):
            raise InvalidAmount(f"a pool is a ConstantProduct, a Concentrated, a Stable or another Pool, not {self.pool!r}")
        if self.book is not None and (not isinstance(self.book, Flow) or self.pool is not None or part is not None):
            given = f"{type(self.book).__name__}, pool {self.pool!r}, participation {part!r}"
            raise InvalidAmount(f"a book is a Flow of others' orders, with no pool, and its own sizes limit what fills: {given}")
        if not isinstance(self.self_match, SelfMatch):
            raise InvalidAmount(f"self match {self.self_match!r} must be one of SelfMatch: {', '.join(SelfMatch)}")
        kinds = isinstance(self.maker, Maker) and isinstance(self.settles, Settles) and isinstance(self.latency, Latency)
        if not kinds or not isinstance(self.slippage, (Slippage, SquareRoot)) or not isinstance(self.fees, Fees):
            raise InvalidAmount(f"{self!r}: fees, slippage, latency, maker and settles are of their own types")

    def of_account(self) -> tuple[object, ...]:
        """What the whole account follows, whatever is traded."""
        return self.settles, self.most_leverage_bp, self.liquidation_buffer_bp, self.collateral, self.least_health

    def pessimistic(self) -> Rules:
        """The same venue on its worst day: most slippage for every size, taker fees for all, twice the latency."""
        fees = Fees(max(self.fees.maker_ppm, self.fees.taker_ppm), self.fees.taker_ppm, self.fees.taken_in)
        latency = Latency(2 * self.latency.order_ns, 2 * self.latency.data_ns)
        return evolve(self, fees=fees, slippage=self.slippage.worst(), latency=latency, maker=Maker.THROUGH)

    def optimistic(self) -> Rules:
        """The same venue on its best day: least slippage for every size, limits fill on touch, no latency, all the volume."""
        return evolve(self, slippage=self.slippage.best(), latency=Latency(), maker=Maker.TOUCH, participation_ppm=None)

    def describe(self) -> list[str]:
        """Each choice in a sentence, for reports."""
        fees, late = self.fees, self.latency
        if self.book is not None:
            return self._describe_book(self.book)
        lines = [
            f"fees: maker {_percent(fees.maker_ppm)}, taker {_percent(fees.taker_ppm)}, taken in the {fees.taken_in} asset"
            if self.pool is None
            else "fees: those of the pool",
            self.slippage.describe() if self.pool is None else f"orders at market swap with a pool: {self.pool.describe()}",
            _MAKER[self.maker],
            (
                "path inside a bar: open, low, high, close when it closes at or above its open; else open, high, low, close; "
                "in straight lines, a quarter of the bar each"
            ),
            "an order acts on the first price after the decision: the next bar's open"
            if not late.total
            else f"an order acts on the first price {late.total / 1e6:g} ms after the price it was decided on "
            f"({late.data_ns / 1e6:g} ms to see it, {late.order_ns / 1e6:g} ms to arrive)",
        ]
        if self.participation_ppm is not None:
            lines.append(f"fills take at most {_percent(self.participation_ppm)} of a row's volume")
        return lines

    def _describe_book(self, flow: Flow) -> list[str]:
        fees, late = self.fees, self.latency
        return [
            f"fees: maker {_percent(fees.maker_ppm)}, taker {_percent(fees.taker_ppm)}, taken in the {fees.taken_in} asset",
            "orders stand in a book with others': the better price first, at one price who came first; each trade at the maker's price",
            *(f"others: {line}" for line in flow.describe()),
            f"own orders that would trade with each other: {self.self_match}",
            "an order acts once the others have acted at the begin of the next row"
            if not late.total
            else f"an order acts {late.total / 1e6:g} ms after the price it was decided on "
            f"({late.data_ns / 1e6:g} ms to see it, {late.order_ns / 1e6:g} ms to arrive), after the others of that instant",
            "stops, margin and liquidation follow the tape's price; a forced close is at that price, beside the book",
        ]

    def describe_contracts(self) -> list[str]:
        """The choices that only contracts meet."""
        leverage = decimal_text(self.most_leverage_bp, 4)
        lines = [
            f"contracts: at most {leverage}x with all open orders filled; profit is settled {_SETTLES[self.settles]}",
            f"liquidation at maintenance, until {_percent(self.liquidation_buffer_bp * 100)} above it; then bankruptcy",
        ]
        for asset, weights in self.collateral:
            share = f"{_percent(weights.initial_asset * 100)} to open, {_percent(weights.maintenance_asset * 100)} to keep"
            lines.append(f"{asset} counts as collateral: {share}")
        return lines


_SETTLES = {Settles.ASKED: "when asked to", Settles.AT_ONCE: "at once"}
_MAKER = {
    Maker.THROUGH: "resting limits fill at their price, as maker, only when the price trades through them",
    Maker.QUEUE: "resting limits fill at their price, as maker, when the price trades through them or trades consume the queue",
    Maker.TOUCH: "resting limits fill at their price, as maker, as soon as the price touches them",
}
