"""How much to put in: the size of an arbitrage over a chain of pools, and how to split an order over two.

Exact integers where it counts: the size that is answered is a whole input whose profit was computed by the pools'
own swaps. Where coins line up, what gas costs beyond a fixed cost, and whether to trade at all is for an engine to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import isqrt

from attrs import frozen

from .amm import ConstantProduct, Outside, Pool, Swap, _amount
from .errors import InvalidAmount, InvalidMarket
from .money import PPM

__all__ = ["Chain", "Hop", "Sizing", "best_input", "compose", "split"]

_TEETH = 8
"""How many steps of rounding up and down from its first guess `best_input` looks at."""


@frozen(order=False)
class Hop:
    """A pool and the way through it: `sells` puts base in and takes quote out, otherwise quote in and base out."""

    pool: Pool
    sells: bool

    def swap(self, amount: int) -> Swap:
        """Exact in."""
        return self.pool.sell(amount) if self.sells else self.pool.buy_with(amount)

    def swap_for(self, out: int) -> Swap:
        """Exact out."""
        return self.pool.sell_for(out) if self.sells else self.pool.buy(out)

    def limit(self) -> int | None:
        """The most that goes in. None: any amount."""
        return self.pool.sell_limit() if self.sells else self.pool.buy_limit()

    def most_out(self) -> int:
        return self.pool.reserves()[1 if self.sells else 0]


@frozen(order=False)
class Chain:
    """What a chain of constant product pools pays before any rounding: out = a * paid / (b + c * paid), in integers.

    Each hop with reserves x in, y out and gamma = 1 - fee turns (a, b, c) into (gamma y a, x b, x c + gamma a).
    """

    a: int
    b: int
    c: int

    def out(self, paid: int) -> Fraction:
        return Fraction(self.a * paid, self.b + self.c * paid)

    def best(self, most: int) -> int:
        """The input of greatest profit up to `most`, rounded down: (sqrt(ab) - b) / c, zero where a <= b."""
        if self.a <= self.b:
            return 0
        return min(most, (isqrt(self.a * self.b) - self.b) // self.c) if self.c else most

    def bound(self) -> int | None:
        """What no input of whole units earns more than: (sqrt(a) - sqrt(b))^2 / c, rounded down. None: there is no bound."""
        if self.a <= self.b:
            return 0
        return (self.a + self.b - 2 * isqrt(self.a * self.b)) // self.c if self.c else None


def compose(hops: Sequence[Hop]) -> Chain | None:
    """The chain as one curve, or None where a pool is neither of constant product nor of one price. Stocks are not looked at."""
    a, b, c = 1, 1, 0
    for hop in hops:
        pool = hop.pool
        if isinstance(pool, ConstantProduct):
            into, out_of = (pool.base, pool.quote) if hop.sells else (pool.quote, pool.base)
            bend = PPM - pool.fee_ppm
        elif isinstance(pool, Outside):
            out_of, into = (pool.numerator, pool.denominator) if hop.sells else (pool.denominator, pool.numerator)
            bend = 0
        else:
            return None
        a, b, c = (PPM - pool.fee_ppm) * out_of * a, PPM * into * b, PPM * into * c + bend * a
    return Chain(a, b, c)


@frozen(order=False)
class Sizing:
    """The best that a cycle can do. `paid` is zero, and there are no swaps, where no input brings back more than it is."""

    paid: int
    got: int
    cost: int
    swaps: tuple[Swap, ...]

    @property
    def gross(self) -> int:
        return self.got - self.paid

    @property
    def net(self) -> int:
        """What is left after the fixed cost, which falls due only if there is a trade."""
        return self.gross - self.cost if self.paid else 0

    @property
    def pays(self) -> bool:
        return self.net > 0


def best_input(hops: Sequence[Hop], *, max_in: int | None = None, fixed_cost: int = 0) -> Sizing:
    """The input that brings back most over what went in, around a cycle that ends in the coin that it began with.

    The hops' coins must line up, each pool may stand in the cycle once, and `fixed_cost` is in the first coin. The first
    guess is the closed form where all curves compose, and else a search over whole units, for a profit that rises and then falls. From
    there the rounding's own steps are walked, up and down: each output with the least input that brings it. The profit
    found is the greatest up to a few units of rounding; of equal profits, the smallest input wins.
    A size whose profit does not cover `fixed_cost` is returned too: see `Sizing.pays`.
    """
    if not hops:
        raise InvalidMarket("a cycle needs at least one hop")
    if max_in is not None:
        _amount(max_in, "max_in")
    if type(fixed_cost) is not int or fixed_cost < 0:
        raise InvalidAmount(f"fixed_cost {fixed_cost!r} must be a whole number of smallest units and not negative")
    ceiling = hops[-1].most_out()  # what goes in must come out
    most = _most_in(hops, ceiling if max_in is None else min(max_in, ceiling))
    curve = compose(hops)
    guess = curve.best(most) if curve else _peak(lambda paid: _out(hops, min(paid, most)) - paid, most)
    best = (0, 0)
    for paid in _teeth(hops, guess, most):
        best = max(best, (_out(hops, paid) - paid, -paid))
    return _sized(hops, -best[1], fixed_cost)


def split(first: Hop, second: Hop, amount: int) -> tuple[int, int]:
    """How much of `amount` to give to each of two pools so that both together pay most, within a few units of rounding.

    Raises `InvalidMarket` if they cannot take all of it.
    """
    _amount(amount, "amount")
    into_first, into_second = _most_in([first], amount), _most_in([second], amount)
    if into_first + into_second < amount:
        raise InvalidMarket(f"{amount} units run out of liquidity: only {into_first + into_second} can be filled")
    least = amount - into_second

    def paid_out(more: int) -> int:
        part = least + min(more, into_first - least)
        return _out([first], part) + _out([second], amount - part) - (least + more - part)

    part = least + max(0, into_first - least, _peak(paid_out, into_first - least), key=paid_out)
    return part, amount - part


def _out(hops: Sequence[Hop], amount: int) -> int:
    for hop in hops:
        amount = hop.swap(amount).got if amount else 0
    return amount


def _sized(hops: Sequence[Hop], paid: int, cost: int) -> Sizing:
    swaps, amount = [], paid
    for hop in hops if paid else ():
        swaps.append(hop.swap(amount))
        amount = swaps[-1].got
    return Sizing(paid, amount, cost, tuple(swaps))


def _fits(hops: Sequence[Hop], amount: int) -> bool:
    for hop in hops:
        limit = hop.limit()
        if limit is not None and amount > limit:
            return False
        if not amount:
            return True
        amount = hop.swap(amount).got
    return True


def _most_in(hops: Sequence[Hop], ceiling: int) -> int:
    """The greatest input up to `ceiling` that no pool on the way runs out on."""
    if _fits(hops, ceiling):
        return ceiling
    low, high = 0, ceiling
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(hops, middle) else (low, middle)
    return low


def _peak(value: Callable[[int], int], most: int) -> int:
    """Where a function of 0..most that rises and then falls is greatest: Kiefer's Fibonacci search.

    It is also asked past `most`, where it must fall.
    """
    small, large = 1, 1
    while small + large <= most:
        small, large = large, small + large
    low = 0
    left, right = value(low + small), value(low + large)
    while small < large:
        if left < right:
            low += small
            small, large = large - small, small
            left, right = right, value(low + large)
        else:
            small, large = large - small, small
            left, right = value(low + small), left
    return min(low + small, most)


def _teeth(hops: Sequence[Hop], guess: int, most: int) -> Iterator[int]:
    """Inputs around a guess that waste nothing: the least for what they bring, a few steps of the output up and down."""
    paid = min(max(guess, 1), most)
    for _ in range(_TEETH):
        out = _out(hops, paid) if paid else 0
        if not out:
            break
        paid = _least(hops, out)
        yield paid
        paid -= 1
    paid = min(max(guess, 1), most)
    for _ in range(_TEETH):
        if not 0 < paid < most:
            break
        ahead = _out(hops, paid) + 1
        if ahead > _out(hops, most):
            break
        paid = _least(hops, ahead)
        yield paid


def _least(hops: Sequence[Hop], out: int) -> int:
    """The least input that brings at least `out`."""
    for hop in reversed(hops):
        out = hop.swap_for(out).paid
    return out
