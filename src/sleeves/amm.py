"""Automated market makers as integer arithmetic: what a pool pays for an amount, and what the amount leaves behind.

Three kinds of pool hold coin 0, the base, and coin 1, the quote, and count both in smallest units:

    ConstantProduct   x * y = k                              Uniswap v2 white paper, section 2
    Concentrated      x * y = k on virtual reserves, by range   Uniswap v3 white paper, section 6.2
    Stable            4A(x + y) + D = 4AD + D^3 / (4xy)       Egorov, "StableSwap", 2019, with n = 2

`Outside` is a market elsewhere at one price. All of them answer the questions of `Pool` with a `Swap`, which carries
the pool as it is afterwards; a pool itself never changes.

Every division is rounded against the trader: amounts out down, amounts in and fees up. So no swap lowers what a pool
holds per share: k, D, or what the liquidity of a range is owed. Exact out is the least exact in that brings at least
as much. A fee of k and D pools stays in the reserves; that of concentrated liquidity is owed to its providers and is
held apart from it.

This module knows nothing of which coins these are, of accounts, chains, gas, time or where a pool's state was read.

    >>> pool = ConstantProduct(base=4_000_000_000_000, quote=1_000_000_000_000, fee_ppm=3_000)
    >>> pool.buy_with(1_000_000_000).got
    3984027924
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from math import isqrt
from typing import Protocol

from attrs import evolve, frozen

from .errors import InvalidAmount, InvalidMarket
from .money import PPM, Rounding, decimal_text, divide

__all__ = [
    "MAX_TICK",
    "Concentrated",
    "ConstantProduct",
    "Outside",
    "Pool",
    "Range",
    "Stable",
    "Swap",
    "sqrt_at_tick",
    "sqrt_price",
]

Q = 96
"""Fractional bits of a square root of a price. A price is in quote units per base unit."""

MAX_TICK = 887_272
"""The ticks of 0.01% that a square root of a price spans, up and down from 1."""

_FINER = 32
"""Fractional bits of the balances that `Stable` computes with: what its invariant is rounded by is no whole unit."""


@frozen(order=False)
class Swap:
    """One trade with a pool. `paid` is all that went in, its fee included; `got` may be zero for dust.

    `fee` is in the coin that went in, or in the coin that came out where the pool takes it there (`Stable.fee_on_output`).
    `crossed` counts the edges of liquidity that lie strictly between the price before and the price after.
    """

    paid: int
    got: int
    fee: int
    pool: Pool
    crossed: int = 0


class Pool(Protocol):
    """What every market maker here answers. Amounts are positive whole smallest units, or `InvalidAmount` is raised;
    what cannot be filled in full raises `InvalidMarket` and says how much can be."""

    def sell(self, base_in: int) -> Swap:
        """Exact in: all of `base_in` for quote, rounded down."""

    def sell_for(self, quote_out: int) -> Swap:
        """Exact out: the least base that brings at least `quote_out`."""

    def buy_with(self, quote_in: int) -> Swap:
        """Exact in: all of `quote_in` for base, rounded down."""

    def buy(self, base_out: int) -> Swap:
        """Exact out: the least quote that brings at least `base_out`."""

    def sell_limit(self) -> int | None:
        """The most base that `sell` takes, fee included. None: any amount."""

    def buy_limit(self) -> int | None:
        """The most quote that `buy_with` takes, fee included. None: any amount."""

    def reserves(self) -> tuple[int, int]:
        """Base and quote that the pool can pay out at the very most."""

    def price(self) -> Fraction:
        """Quote units per base unit for the next infinitesimal trade, its fee apart."""

    def at_price(self, numerator: int, denominator: int) -> Pool:
        """The same liquidity after others moved its price to `numerator / denominator`; rounding never adds to it."""

    def describe(self) -> str:
        """The pool in one sentence, for reports."""


# -- checks and fees -------------------------------------------------------------------------------------------------------


def _amount(value: int, what: str) -> int:
    if type(value) is not int or value <= 0:
        raise InvalidAmount(f"{what} {value!r} must be a positive whole number of smallest units")
    return value


def _positive(value: int, what: str) -> None:
    if type(value) is not int or value <= 0:
        raise InvalidMarket(f"{what} {value!r} must be a positive whole number")


def _check_fee(fee_ppm: int) -> None:
    if type(fee_ppm) is not int or not 0 <= fee_ppm < PPM:
        raise InvalidMarket(f"fee {fee_ppm!r} of a pool must be whole parts per million from 0 to below 1,000,000")


def _check_price(numerator: int, denominator: int) -> None:
    if type(numerator) is not int or type(denominator) is not int or numerator <= 0 or denominator <= 0:
        raise InvalidMarket(f"price {numerator!r} / {denominator!r} must be a positive whole number over another")


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _fee(paid: int, fee_ppm: int) -> int:
    return _ceil(paid * fee_ppm, PPM)


def _gross(net: int, fee_ppm: int) -> int:
    """The least amount that leaves `net` after its fee."""
    return _ceil(net * PPM, PPM - fee_ppm)


def _gross_most(net: int, fee_ppm: int) -> int:
    """The greatest amount that leaves no more than `net` after its fee."""
    return ((net + 1) * PPM - 1) // (PPM - fee_ppm)


def _percent(fee_ppm: int) -> str:
    return decimal_text(fee_ppm, 4) + "%"


class _TwoSided:
    """The four questions of a pool, from two: what an amount brings, and the least that brings an amount."""

    __slots__ = ()

    def sell(self, base_in: int) -> Swap:
        return self._take(_amount(base_in, "base_in"), sells=True)

    def sell_for(self, quote_out: int) -> Swap:
        return self._take(self._least(_amount(quote_out, "quote_out"), sells=True), sells=True)

    def buy_with(self, quote_in: int) -> Swap:
        return self._take(_amount(quote_in, "quote_in"), sells=False)

    def buy(self, base_out: int) -> Swap:
        return self._take(self._least(_amount(base_out, "base_out"), sells=False), sells=False)

    def sell_limit(self) -> int | None:
        return None

    def buy_limit(self) -> int | None:
        return None

    def _take(self, paid: int, *, sells: bool) -> Swap:
        raise NotImplementedError

    def _least(self, out: int, *, sells: bool) -> int:
        raise NotImplementedError


# -- constant product ------------------------------------------------------------------------------------------------------


@frozen(order=False)
class ConstantProduct(_TwoSided):
    """Two reserves, in smallest units (`SOL("10000").units`), whose product no swap lowers.

    The fee is taken from what goes in and stays in the pool.

        fee = ceil(paid * fee_ppm / 10^6)      net = paid - fee      got = floor(net * reserve_out / (reserve_in + net))

    Raises `InvalidMarket` for an empty side or a fee of 100% and more.
    """

    base: int
    quote: int
    fee_ppm: int

    def __attrs_post_init__(self) -> None:
        _positive(self.base, "base of a constant product pool")
        _positive(self.quote, "quote of a constant product pool")
        _check_fee(self.fee_ppm)

    @property
    def invariant(self) -> int:
        """k, in base units times quote units."""
        return self.base * self.quote

    def _take(self, paid: int, *, sells: bool) -> Swap:
        fee = _fee(paid, self.fee_ppm)
        net = paid - fee
        into, out_of = (self.base, self.quote) if sells else (self.quote, self.base)
        got = net * out_of // (into + net)
        base, quote = (into + paid, out_of - got) if sells else (out_of - got, into + paid)
        return Swap(paid, got, fee, ConstantProduct(base, quote, self.fee_ppm))

    def _least(self, out: int, *, sells: bool) -> int:
        into, out_of = (self.base, self.quote) if sells else (self.quote, self.base)
        if out >= out_of:
            raise InvalidMarket(f"cannot pay {out} out of a reserve of {out_of}: only {out_of - 1} can be filled")
        return _gross(_ceil(out * into, out_of - out), self.fee_ppm)

    def reserves(self) -> tuple[int, int]:
        return self.base - 1, self.quote - 1

    def price(self) -> Fraction:
        return Fraction(self.quote, self.base)

    def at_price(self, numerator: int, denominator: int) -> ConstantProduct:
        """Both reserves rounded down from sqrt(k / price) and sqrt(k * price), so k never grows."""
        _check_price(numerator, denominator)
        base = isqrt(self.invariant * denominator // numerator)
        quote = isqrt(self.invariant * numerator // denominator)
        if not base or not quote:
            raise InvalidMarket(f"price {numerator} / {denominator} leaves no whole unit on one side of {self}")
        return ConstantProduct(base, quote, self.fee_ppm)

    def describe(self) -> str:
        return f"constant product pool of {self.base} base and {self.quote} quote units, fee {_percent(self.fee_ppm)} of what goes in"


# -- concentrated liquidity ------------------------------------------------------------------------------------------------


def sqrt_price(numerator: int, denominator: int) -> int:
    """The square root of a price in quote units per base unit, as an integer of 2**-96, rounded down."""
    _check_price(numerator, denominator)
    return isqrt((numerator << 2 * Q) // denominator)


def sqrt_at_tick(tick: int) -> int:
    """The square root of 1.0001**tick as an integer of 2**-96, rounded down.

    The power is taken with 256 fractional bits, so the last bit of what is returned may be off by one.
    """
    if type(tick) is not int or not -MAX_TICK <= tick <= MAX_TICK:
        raise InvalidMarket(f"tick {tick!r} must be a whole number from -{MAX_TICK} to {MAX_TICK}")
    bits = 256
    power, factor = 1 << bits, (10_001 << bits) // 10_000
    for digit in reversed(f"{abs(tick):b}"):
        if digit == "1":
            power = power * factor >> bits
        factor = factor * factor >> bits
    square = power >> (bits - 2 * Q) if tick >= 0 else (1 << (2 * Q + bits)) // power
    return isqrt(square)


def _base_between(low: int, high: int, liquidity: int, rounding: Rounding) -> int:
    """The base of `liquidity` between two roots: L * (1 / low - 1 / high)."""
    return divide((liquidity << Q) * (high - low), low * high, rounding)


def _quote_between(low: int, high: int, liquidity: int, rounding: Rounding) -> int:
    """The quote of `liquidity` between two roots: L * (high - low)."""
    return divide(liquidity * (high - low), 1 << Q, rounding)


@frozen(order=False)
class Range:
    """Liquidity between two square roots of a price (`sqrt_price`, `sqrt_at_tick`).

    `liquidity` is L of the Uniswap v3 white paper: sqrt(base units * quote units) of the virtual reserves.
    """

    lower: int
    upper: int
    liquidity: int

    def __attrs_post_init__(self) -> None:
        _positive(self.lower, "lower end of a range")
        _positive(self.upper, "upper end of a range")
        _positive(self.liquidity, "liquidity of a range")
        if self.lower >= self.upper:
            raise InvalidMarket(f"range from {self.lower} to {self.upper}: the lower end must be below the upper")


@frozen(order=False)
class Concentrated(_TwoSided):
    """Liquidity in ranges of price, ascending, which may touch and may leave gaps but never overlap.

    `sqrt_price` is an integer of 2**-96, so a swap of less than a step of price moves nothing. In a range with root s:

        quote in:   s' = s + floor(net / L)                got = floor(L * (1/s - 1/s'))
        base in:    s' = ceil(L * s / (L + net * s))       got = floor(L * (s - s'))

    A swap that reaches the end of a range pays the rounded-up rest of it and goes on in the next. The fee is rounded
    up once, on all that goes in, and leaves the pool. A swap that the ranges cannot fill in full is refused.
    Raises `InvalidMarket` for ranges that overlap or descend, and for a price outside of them.
    """

    sqrt_price: int
    ranges: tuple[Range, ...]
    fee_ppm: int

    def __attrs_post_init__(self) -> None:
        _positive(self.sqrt_price, "square root of the price")
        _check_fee(self.fee_ppm)
        if type(self.ranges) is not tuple or not self.ranges or not all(isinstance(one, Range) for one in self.ranges):
            raise InvalidMarket(f"a concentrated pool needs a tuple of at least one Range, not {self.ranges!r}")
        for below, above in pairwise(self.ranges):
            if above.lower < below.upper:
                raise InvalidMarket(f"{below} and {above} overlap or descend: give positions to Concentrated.of_positions")
        if not self.ranges[0].lower <= self.sqrt_price <= self.ranges[-1].upper:
            ends = f"{self.ranges[0].lower} to {self.ranges[-1].upper}"
            raise InvalidMarket(f"square root of the price {self.sqrt_price} lies outside of all liquidity, {ends}")

    @classmethod
    def of_positions(cls, sqrt_price: int, positions: Iterable[Range], fee_ppm: int) -> Concentrated:
        """A pool of positions that may overlap: their liquidity adds up."""
        positions = tuple(positions)
        edges = sorted({edge for one in positions for edge in (one.lower, one.upper)})
        ranges = []
        for lower, upper in pairwise(edges):
            liquidity = sum(one.liquidity for one in positions if one.lower <= lower and upper <= one.upper)
            if liquidity:
                ranges.append(Range(lower, upper, liquidity))
        return cls(sqrt_price, tuple(ranges), fee_ppm)

    def _way(self, sells: bool) -> Iterator[tuple[int, int, int]]:
        """The ranges ahead of the price: where a swap enters each, where it would leave it, and its liquidity."""
        at = self.sqrt_price
        if sells:
            return ((min(at, one.upper), one.lower, one.liquidity) for one in reversed(self.ranges) if one.lower < at)
        return ((max(at, one.lower), one.upper, one.liquidity) for one in self.ranges if one.upper > at)

    def _take(self, paid: int, *, sells: bool) -> Swap:
        fee = _fee(paid, self.fee_ppm)
        left, got, at = paid - fee, 0, self.sqrt_price
        for start, end, liquidity in self._way(sells):
            if not left:
                break
            cost = _cost(start, end, liquidity)
            at = end if left >= cost else _root_after(start, left, liquidity, sells)
            got += _proceeds(start, at, liquidity)
            left -= min(left, cost)
        if left:
            most = self.sell_limit() if sells else self.buy_limit()
            raise InvalidMarket(f"{paid} {'base' if sells else 'quote'} units run out of liquidity: only {most} can be filled")
        low, high = sorted((self.sqrt_price, at))
        edges = {edge for one in self.ranges for edge in (one.lower, one.upper)}
        return Swap(paid, got, fee, evolve(self, sqrt_price=at), sum(low < edge < high for edge in edges))

    def _least(self, out: int, *, sells: bool) -> int:
        left, net = out, 0
        for start, end, liquidity in self._way(sells):
            held = _proceeds(start, end, liquidity)
            if left <= held:
                return _gross(net + _least_in_range(start, left, liquidity, sells), self.fee_ppm)
            left -= held
            net += _cost(start, end, liquidity)
        raise InvalidMarket(f"cannot pay {out} {'quote' if sells else 'base'} units: only {out - left} can be filled")

    def sell_limit(self) -> int:
        return _gross_most(sum(_cost(*step) for step in self._way(sells=True)), self.fee_ppm)

    def buy_limit(self) -> int:
        return _gross_most(sum(_cost(*step) for step in self._way(sells=False)), self.fee_ppm)

    def reserves(self) -> tuple[int, int]:
        base = sum(_proceeds(*step) for step in self._way(sells=False))
        return base, sum(_proceeds(*step) for step in self._way(sells=True))

    def price(self) -> Fraction:
        return Fraction(self.sqrt_price**2, 1 << 2 * Q)

    def at_price(self, numerator: int, denominator: int) -> Concentrated:
        """Its ranges as they are, at the root rounded down; a price outside of all liquidity is refused."""
        return evolve(self, sqrt_price=sqrt_price(numerator, denominator))

    def describe(self) -> str:
        base, quote = self.reserves()
        several = "1 range" if len(self.ranges) == 1 else f"{len(self.ranges)} ranges"
        return (
            f"concentrated liquidity in {several} holding {base} base and {quote} quote units, fee {_percent(self.fee_ppm)} of what goes in"
        )


def _cost(start: int, end: int, liquidity: int) -> int:
    """What moves the root from `start` to `end`, without fee: base downward, quote upward."""
    if end < start:
        return _base_between(end, start, liquidity, Rounding.CEIL)
    return _quote_between(start, end, liquidity, Rounding.CEIL)


def _proceeds(start: int, end: int, liquidity: int) -> int:
    """What is paid out on the way from `start` to `end`: quote downward, base upward."""
    if end < start:
        return _quote_between(end, start, liquidity, Rounding.FLOOR)
    return _base_between(start, end, liquidity, Rounding.FLOOR)


def _root_after(start: int, net: int, liquidity: int, sells: bool) -> int:
    """Where `net` takes the root inside a range: never farther than it paid for."""
    if sells:
        return _ceil((liquidity << Q) * start, (liquidity << Q) + net * start)
    return start + (net << Q) // liquidity


def _least_in_range(start: int, out: int, liquidity: int, sells: bool) -> int:
    """The least amount, without fee, for which `_root_after` goes far enough that `_proceeds` are `out`."""
    if sells:
        return _cost(start, start - _ceil(out << Q, liquidity), liquidity)
    virtual = liquidity << Q
    return _cost(start, _ceil(virtual * start, virtual - out * start), liquidity)


# -- stable swap -----------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Stable(_TwoSided):
    """Two coins that should be worth the same, flat around balance. D, the worth at balance, never falls through a swap.

        4A(x + y) + D = 4AD + D^3 / (4xy)         x = base * base_factor, y = quote * quote_factor

    `amplification` is A of the paper: Ann = A * n^n = 4A. Contracts that keep Ann = A * n, as Curve's do, call 2A their A.
    The factors bring both coins to one measure: 1 and 1 for equal decimals, 1 and 1,000 for 9 and 6 of them; a coin that
    is worth 1.08 of the other has 108 against 100. The fee is taken from what goes in, or from what comes out with
    `fee_on_output`, and stays in the pool. D is rounded up and the new balance is the least that keeps it: both exact,
    by integer roots. Raises `InvalidMarket` for an empty side, A below 1 or a fee of 100% and more.
    """

    base: int
    quote: int
    amplification: int
    fee_ppm: int
    fee_on_output: bool = False
    base_factor: int = 1
    quote_factor: int = 1

    def __attrs_post_init__(self) -> None:
        for name in ("base", "quote", "amplification", "base_factor", "quote_factor"):
            _positive(getattr(self, name), f"{name} of a stable pool")
        _check_fee(self.fee_ppm)
        if not isinstance(self.fee_on_output, bool):
            raise InvalidMarket(f"fee_on_output {self.fee_on_output!r} of a stable pool must be True or False")

    @property
    def invariant(self) -> int:
        """D, rounded down, in units times factor."""
        return self._d() >> _FINER

    def _balances(self) -> tuple[int, int]:
        return self.base * self._unit(sells=True), self.quote * self._unit(sells=False)

    def _unit(self, *, sells: bool) -> int:
        """One smallest unit of the coin that goes in, as a balance."""
        return (self.base_factor if sells else self.quote_factor) << _FINER

    def _d(self, *, up: bool = False) -> int:
        """D of the balances, rounded as asked.

        The root of D^3 + 4xy(Ann - 1)D - 4xy * Ann * (x + y), which rises and is convex: Newton's steps from above come
        down to it and, rounded down, end on its floor, as they do for integer square roots.
        """
        x, y = self._balances()
        ann, product = 4 * self.amplification, 4 * x * y
        root = x + y
        while True:
            step = (2 * root**3 + product * ann * (x + y)) // (3 * root**2 + product * (ann - 1))
            if step >= root:
                break
            root = step
        return root + int(up and root**3 + product * (ann - 1) * root < product * ann * (x + y))

    def _other(self, x: int, d: int) -> tuple[int, bool]:
        """The least balance beside `x` that keeps the invariant at `d` or above, and whether it keeps it exactly.

        The upper root of 4x * Ann * y^2 + 4x(Ann(x - d) + d)y - d^3, rounded up.
        """
        ann = 4 * self.amplification
        square, linear, constant = 4 * x * ann, 4 * x * (ann * (x - d) + d), d**3
        y = (isqrt(linear**2 + 4 * square * constant) - linear) // (2 * square)
        rest = (square * y + linear) * y - constant
        return (y, rest == 0) if rest >= 0 else (y + 1, False)

    def _take(self, paid: int, *, sells: bool) -> Swap:
        x, y = self._balances() if sells else self._balances()[::-1]
        fee = 0 if self.fee_on_output else _fee(paid, self.fee_ppm)
        kept, _ = self._other(x + (paid - fee) * self._unit(sells=sells), self._d(up=True))
        got = max(0, (y - kept) // self._unit(sells=not sells))
        if self.fee_on_output:
            fee = _fee(got, self.fee_ppm)
            got -= fee
        base, quote = (self.base + paid, self.quote - got) if sells else (self.base - got, self.quote + paid)
        return Swap(paid, got, fee, evolve(self, base=base, quote=quote))

    def _least(self, out: int, *, sells: bool) -> int:
        x, y = self._balances() if sells else self._balances()[::-1]
        gross = _gross(out, self.fee_ppm) if self.fee_on_output else out
        rest = y - gross * self._unit(sells=not sells)
        if rest <= 0:
            most = self.reserves()[1 if sells else 0]
            raise InvalidMarket(f"cannot pay {out} {'quote' if sells else 'base'} units: only {most} can be filled")
        need, _ = self._other(rest, self._d(up=True))
        net = _ceil(need - x, self._unit(sells=sells))
        return net if self.fee_on_output else _gross(net, self.fee_ppm)

    def reserves(self) -> tuple[int, int]:
        base, quote = self.base - 1, self.quote - 1
        if self.fee_on_output:
            return base - _fee(base, self.fee_ppm), quote - _fee(quote, self.fee_ppm)
        return base, quote

    def price(self) -> Fraction:
        return self._slope(*self._balances(), self._d())

    def _slope(self, x: int, y: int, d: int) -> Fraction:
        """Quote units per base unit at a point of the curve: the invariant's slopes, each times 4x^2y^2."""
        both = 16 * self.amplification * (x * y) ** 2
        return Fraction((both + d**3 * y) * self.base_factor, (both + d**3 * x) * self.quote_factor)

    def at_price(self, numerator: int, denominator: int) -> Stable:
        """On the curve of its D, at the greatest whole base whose price is not below, with quote rounded down."""
        _check_price(numerator, denominator)
        price, d = Fraction(numerator, denominator), self._d()
        unit, other = self._unit(sells=True), self._unit(sells=False)

        def slope(base: int) -> Fraction:
            x = base * unit
            return self._slope(x, self._other(x, d)[0], d)

        low, high = 1, max(1, self._other(other, d)[0] // unit)
        if not slope(low) >= price >= slope(high):
            raise InvalidMarket(f"price {numerator} / {denominator} leaves no whole unit on one side of {self}")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if slope(middle) >= price else (low, middle)
        y, exact = self._other(low * unit, d)
        return evolve(self, base=low, quote=(y if exact else y - 1) // other)

    def describe(self) -> str:
        side = "comes out" if self.fee_on_output else "goes in"
        kind = f"stable pool (A = {self.amplification}, Ann = A * n^n)"
        return f"{kind} of {self.base} base and {self.quote} quote units, fee {_percent(self.fee_ppm)} of what {side}"


# -- a market elsewhere ----------------------------------------------------------------------------------------------------


@frozen(order=False)
class Outside(_TwoSided):
    """A market elsewhere that fills at one price as far as its stock goes: a book beside the pools, or a redemption.

    `numerator / denominator` is its price in quote units per base unit. It is no market maker: what trades here moves
    no price, and `at_price` quotes anew on the same stock.
    """

    base: int
    quote: int
    numerator: int
    denominator: int
    fee_ppm: int = 0

    def __attrs_post_init__(self) -> None:
        if type(self.base) is not int or type(self.quote) is not int or min(self.base, self.quote) < 0 or not (self.base or self.quote):
            raise InvalidMarket(f"stock of {self.base!r} base and {self.quote!r} quote must be whole, not negative, and not both zero")
        _check_price(self.numerator, self.denominator)
        _check_fee(self.fee_ppm)

    def _rate(self, sells: bool) -> tuple[int, int, int]:
        """Units out per units in, and the stock of the coin that goes out."""
        return (self.numerator, self.denominator, self.quote) if sells else (self.denominator, self.numerator, self.base)

    def _take(self, paid: int, *, sells: bool) -> Swap:
        most = self._limit(sells)
        if paid > most:
            raise InvalidMarket(f"{paid} {'base' if sells else 'quote'} units run out of stock: only {most} can be filled")
        fee = _fee(paid, self.fee_ppm)
        out, per, stock = self._rate(sells)
        got = min(stock, (paid - fee) * out // per)
        base, quote = (self.base + paid, self.quote - got) if sells else (self.base - got, self.quote + paid)
        return Swap(paid, got, fee, evolve(self, base=base, quote=quote))

    def _least(self, out: int, *, sells: bool) -> int:
        rate, per, stock = self._rate(sells)
        if out > stock:
            raise InvalidMarket(f"cannot pay {out} {'quote' if sells else 'base'} units: only {stock} can be filled")
        return _gross(_ceil(out * per, rate), self.fee_ppm)

    def _limit(self, sells: bool) -> int:
        """What the whole stock costs: the last unit in may be worth more than what is left of it."""
        out, per, stock = self._rate(sells)
        return _gross_most(_ceil(stock * per, out), self.fee_ppm)

    def sell_limit(self) -> int:
        return self._limit(sells=True)

    def buy_limit(self) -> int:
        return self._limit(sells=False)

    def reserves(self) -> tuple[int, int]:
        return self.base, self.quote

    def price(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)

    def at_price(self, numerator: int, denominator: int) -> Outside:
        return evolve(self, numerator=numerator, denominator=denominator)

    def describe(self) -> str:
        stock = f"{self.base} base and {self.quote} quote units"
        return f"outside market at {self.numerator} / {self.denominator} with {stock}, fee {_percent(self.fee_ppm)} of what goes in"
