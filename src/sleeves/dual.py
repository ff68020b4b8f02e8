"""The prices at which nothing more is to be earned: what pools give at prices, and the least of their sum.

For any prices v of coins, with v = 1 for the one that counts, no trades whatever between pools earn more than the sum of
what each pool alone would give against a market at these prices: coins that are passed on between pools cancel out, and
coins that are left are worth something. The sum is convex in v, and its least is what can be earned: the dual of routing
(Angeris, Evans, Chitra, Boyd, "Optimal Routing for Constant Function Market Makers", 2022).

All in floats, which find prices and prove bounds. What a trade really brings, in whole units, is the pools' own to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log, sqrt
from typing import NamedTuple, Protocol

from .amm import Concentrated, ConstantProduct, Outside, Pool, Stable
from .money import PPM
from .sizing import Hop

__all__ = ["FLAT", "BasketOffer", "Dual", "Offer", "PairOffer", "kept", "least_prices"]

FLAT = 1e-7
"""How much the price of a market at one price is taken to fall over its stock, so that prices settle what is traded there."""

STEP = FLAT / 10
"""By how much of itself a price is moved to see what a trade does."""

ROUNDS = 60
"""The most steps towards the least prices."""

DONE = 1e-7
"""What may be over and lacking of all coins at the least prices, as a part of what is earned."""

EXACT = 1e-9
"""The same, as a part of what is traded: floats know no better."""

HOLD = 4
"""A price that nothing else holds moves by a quarter of itself at most."""


def kept(pool: Pool) -> float:
    """What a pool's fee leaves of a trade; all of it where its fee is not known, which no trade exceeds."""
    return 1 - getattr(pool, "fee_ppm", 0) / PPM


# -- one way through one pool ------------------------------------------------------------------------------------------------

_Curve = Callable[[float], tuple[float, float]]
"""From the least that the last unit in must bring, to what goes in and what comes out."""


def _product(pool: ConstantProduct, sells: bool) -> _Curve:
    part = kept(pool)
    into, out = (float(pool.base), float(pool.quote)) if sells else (float(pool.quote), float(pool.base))

    def trade(rate: float) -> tuple[float, float]:
        if rate >= part * out / into:
            return 0.0, 0.0
        return (sqrt(part * into * out / rate) - into) / part, out - sqrt(into * out * rate / part)

    return trade


def _concentrated(pool: Concentrated, sells: bool) -> _Curve:
    part, one = kept(pool), float(1 << 96)
    here = pool.sqrt_price / one
    ranges = [(each.lower / one, each.upper / one, float(each.liquidity)) for each in pool.ranges]

    def trade(rate: float) -> tuple[float, float]:
        there = sqrt(rate / part) if sells else sqrt(part / rate)
        into = out = 0.0
        for lower, upper, liquidity in ranges:
            low, high = (max(lower, there), min(upper, here)) if sells else (max(lower, here), min(upper, there))
            if low < high:
                base, quote = liquidity * (high - low) / (low * high), liquidity * (high - low)
                into, out = (into + base, out + quote) if sells else (into + quote, out + base)
        return into / part, out

    return trade


def _stable(pool: Stable, sells: bool) -> _Curve:
    """On 4A(u + v) + 1 = 4A + 1 / (4uv), the invariant over D, where u is the balance that goes in."""
    part, ann, d = kept(pool), 4.0 * pool.amplification, float(pool.invariant)
    units = (pool.base_factor, pool.quote_factor) if sells else (pool.quote_factor, pool.base_factor)
    u0 = (pool.base if sells else pool.quote) * units[0] / d
    taken, given = (1.0, part) if pool.fee_on_output else (part, 1.0)

    def other(u: float) -> float:
        square, linear = ann * u, u * (ann * (u - 1) + 1)
        root = sqrt(linear * linear + square)
        return 1 / (2 * (root + linear)) if linear > 0 else (root - linear) / (2 * square)

    def steepness(u: float) -> float:
        v = other(u)
        return v / u * (4 * ann * u * u * v + 1) / (4 * ann * u * v * v + 1)

    def trade(rate: float) -> tuple[float, float]:
        least = rate / part * units[1] / units[0]
        if steepness(u0) <= least:
            return 0.0, 0.0
        low, high = u0, 2 * u0
        while steepness(high) > least:
            low, high = high, 2 * high
        above, below = log(steepness(low) / least), log(steepness(high) / least)
        stayed = 0
        for _ in range(60):  # false position, which halves the weight of an end that stays twice (the Illinois method)
            middle = low + (high - low) * above / (above - below)
            at = log(steepness(middle) / least)
            if at > 0:
                low, above, below, stayed = middle, at, below / (2 if stayed > 0 else 1), 1
            else:
                high, below, above, stayed = middle, at, above / (2 if stayed < 0 else 1), -1
            if abs(at) < 1e-14 or high - low < 1e-14 * high:
                break
        low = middle
        return (low - u0) * d / units[0] / taken, max(0.0, other(u0) - other(low)) * d / units[1] * given

    return trade


def _outside(pool: Outside, sells: bool, flat: float) -> _Curve:
    """Up to its stock at one price, which falls by `flat` of itself on the way there."""
    full = kept(pool) * (pool.numerator / pool.denominator if sells else pool.denominator / pool.numerator)
    stock = float(pool.quote if sells else pool.base)

    def trade(rate: float) -> tuple[float, float]:
        if rate >= full:
            return 0.0, 0.0
        part = min(1.0, (full - rate) / (full * flat)) if flat else 1.0
        return part * stock / full, part * stock * (1 - part * flat / 2)

    return trade


def _searched(hop: Hop) -> _Curve:
    """A pool of which nothing is known but its swaps: what goes in is where the units around it bring the rate.

    They are a stretch of 1 / 8,192 of the reserve, long enough that whole units do not blur what it brings.
    """
    price = hop.pool.price() if hop.sells else 1 / hop.pool.price()
    half = max(1, int(hop.most_out() / price) >> 14)
    limit = hop.limit()

    def got(paid: int) -> int:
        return hop.swap(paid).got if paid else 0

    def trade(rate: float) -> tuple[float, float]:
        def pays(paid: int) -> bool:
            first, last = max(0, paid - half), paid + half
            return (limit is None or last <= limit) and got(last) - got(first) > rate * (last - first)

        if not pays(0):
            return 0.0, 0.0
        low, high = 0, half
        while pays(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if pays(middle) else (low, middle)
        return float(high), float(got(high))

    return trade


def _curve(pool: Pool, sells: bool, flat: float) -> _Curve:
    if isinstance(pool, ConstantProduct):
        return _product(pool, sells)
    if isinstance(pool, Concentrated):
        return _concentrated(pool, sells)
    if isinstance(pool, Stable):
        return _stable(pool, sells)
    if isinstance(pool, Outside):
        return _outside(pool, sells, flat)
    return _searched(Hop(pool, sells))


# -- one pool ----------------------------------------------------------------------------------------------------------------


class Offer(Protocol):
    """What one pool gives at prices: `ask` is what each of its coins costs to put in, `bid` what it is worth when it comes out."""

    def trade(self, ask: Sequence[float], bid: Sequence[float]) -> list[float]:
        """The best trade: what comes out of each coin, below zero what goes in."""

    def bend(self, ask: Sequence[float], bid: Sequence[float]) -> list[list[float]]:
        """How the trade changes with the prices: symmetric, and never against them."""


class PairOffer:
    """Two coins, base and quote: the pool that base is sold to, and the one that it is bought from."""

    def __init__(self, bid: Pool, ask: Pool, flat: float = FLAT) -> None:
        self._ways = ((_curve(bid, True, flat), 0, 1), (_curve(ask, False, flat), 1, 0))

    def trade(self, ask: Sequence[float], bid: Sequence[float]) -> list[float]:
        found = [0.0, 0.0]
        for curve, i, o in self._ways:
            into, out = curve(ask[i] / bid[o])
            found[i] -= into
            found[o] += out
        return found

    def bend(self, ask: Sequence[float], bid: Sequence[float]) -> list[list[float]]:
        """What more comes out is worth what more goes in, so one number says it all."""
        found = [[0.0, 0.0], [0.0, 0.0]]
        for curve, i, o in self._ways:
            rate = ask[i] / bid[o]
            more = max(0.0, curve(rate * (1 - STEP))[0] - curve(rate)[0]) / (rate * STEP * bid[o])
            found[i][i] += more
            found[o][o] += more * rate * rate
            found[i][o] -= more * rate
            found[o][i] -= more * rate
        return found


class BasketOffer:
    """A pool of several coins that keeps their product.

    Its reserves end at level / bid where coins come out, and at level * kept / ask where they go in.
    """

    def __init__(self, reserves: Sequence[int], fee_ppm: int) -> None:
        self._reserves = [float(one) for one in reserves]
        self._kept = 1 - fee_ppm / PPM

    def _worths(self, ask: Sequence[float], bid: Sequence[float]) -> tuple[list[float], list[float], float]:
        """Logarithms: each reserve's worth outside when it comes out and when it goes in, and the level."""
        outs = [log(price * reserve) for price, reserve in zip(bid, self._reserves, strict=True)]
        ins = [log(price * reserve / self._kept) for price, reserve in zip(ask, self._reserves, strict=True)]
        level = min(ins)
        if level >= max(outs):
            return outs, ins, level  # no coin is worth more outside than inside
        for edge in sorted(edge for edge in {*outs, *ins} if edge > level):
            # the logarithm of the product moves with the level from below zero to above it
            if sum(edge - one for one in outs if one > edge) + sum(edge - one for one in ins if one < edge) > 0:
                break
            level = edge
        moved = [one for one in outs if one > level] + [one for one in ins if one <= level]
        return outs, ins, sum(moved) / len(moved)

    def trade(self, ask: Sequence[float], bid: Sequence[float]) -> list[float]:
        outs, ins, level = self._worths(ask, bid)
        return [
            reserve * (1 - exp(level - out)) if level < out else reserve * (1 - exp(level - into)) / self._kept if level > into else 0.0
            for reserve, out, into in zip(self._reserves, outs, ins, strict=True)
        ]

    def bend(self, ask: Sequence[float], bid: Sequence[float]) -> list[list[float]]:
        """Of n coins that move, coin j changes with price k by level / (price j * price k) * ((1 if j is k else 0) - 1 / n)."""
        outs, ins, level = self._worths(ask, bid)
        prices = [b if level < out else a if level > into else 0.0 for a, b, out, into in zip(ask, bid, outs, ins, strict=True)]
        count = sum(price > 0 for price in prices)
        return [
            [exp(level) / (p * q) * ((j == k) - 1 / count) if p and q else 0.0 for j, q in enumerate(prices)] for k, p in enumerate(prices)
        ]


# -- all of them -------------------------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """What the sum is at prices: `slope` is what is over of each coin, `value` what nothing earns more than."""

    slope: list[float]
    value: float
    turnover: float
    """What all trades at these prices are worth."""


class Dual:
    """The sum over pools of what each gives, as a convex function of the prices of all coins but the one that counts.

    `pools` are each pool's coins and its offer. `have` of each coin is at hand and may be spent. With `most`, only so much
    of the coin that counts may go in: what goes in has a price of its own then, the last one, which is 1 or more.
    """

    def __init__(self, pools: Sequence[tuple[Sequence[str], Offer]], coin: str, have: Mapping[str, int], most: int | None = None) -> None:
        self.coins = sorted({one for coins, _ in pools for one in coins} - {coin})
        self.capped = most is not None
        self._coin = coin
        self._pools = pools
        self._have = [float(have.get(one, 0)) for one in self.coins] + ([] if most is None else [float(most)])
        self._most = 0.0 if most is None else float(most)
        self._place = {one: n for n, one in enumerate(self.coins)}

    def _quotes(self, coins: Sequence[str], prices: Sequence[float]) -> tuple[list[float], list[float]]:
        first = prices[-1] if self.capped else 1.0
        ask = [first if one == self._coin else prices[self._place[one]] for one in coins]
        return ask, [1.0 if one == self._coin else price for one, price in zip(coins, ask, strict=True)]

    def _places(self, coins: Sequence[str], deltas: Sequence[float]) -> list[int | None]:
        """Which price each coin of a pool goes by: none for the coin that counts, unless it goes in and there is but so much."""
        last = len(self.coins) if self.capped else None
        return [self._place[one] if one != self._coin else last if delta < 0 else None for one, delta in zip(coins, deltas, strict=True)]

    def trades(self, prices: Sequence[float]) -> list[list[float]]:
        """What each pool gives of each of its coins, below zero what goes in."""
        return [offer.trade(*self._quotes(coins, prices)) for coins, offer in self._pools]

    def look(self, prices: Sequence[float]) -> Look:
        slope, turnover = list(self._have), 0.0
        value = sum(have * price for have, price in zip(self._have, prices, strict=True)) - self._most
        for coins, offer in self._pools:
            ask, bid = self._quotes(coins, prices)
            deltas = offer.trade(ask, bid)
            for place, delta, a, b in zip(self._places(coins, deltas), deltas, ask, bid, strict=True):
                worth = delta * (b if delta > 0 else a)
                value += worth
                turnover += abs(worth)
                if place is not None:
                    slope[place] += delta
        return Look(slope, value, turnover)

    def bend(self, prices: Sequence[float]) -> list[list[float]]:
        """How the slope changes with the prices."""
        found = [[0.0] * len(prices) for _ in prices]
        for coins, offer in self._pools:
            ask, bid = self._quotes(coins, prices)
            deltas = offer.trade(ask, bid)
            if any(deltas):
                places = self._places(coins, deltas)
                for k, row in zip(places, offer.bend(ask, bid), strict=True):
                    for j, value in zip(places, row, strict=True):
                        if k is not None and j is not None:
                            found[k][j] += value
        return found


def least_prices(dual: Dual, prices: Sequence[float]) -> list[float]:
    """The prices at which the sum is least, by Newton's steps with a search along each.

    The sum is convex and has a slope everywhere, but its slope has corners. So along each step the place is sought where
    the slope turns: that always goes down.
    """
    at = [*prices, 1.0] if dual.capped else list(prices)
    for _ in range(ROUNDS):
        look = dual.look(at)
        # in parts of each price, so that a cheap coin's price counts like a dear one's
        steep = [over * price for over, price in zip(look.slope, at, strict=True)]
        if dual.capped and at[-1] <= 1 and steep[-1] >= 0:
            steep[-1] = 0.0  # less goes in than may
        if sum(map(abs, steep)) <= max(1.0, DONE * look.value, EXACT * look.turnover):
            break
        matrix = [[value * at[k] * at[j] for j, value in enumerate(row)] for k, row in enumerate(dual.bend(at))]
        for k, row in enumerate(matrix):
            row[k] += HOLD * max(map(abs, steep))
        way = _solved(matrix, steep)
        if dual.capped and at[-1] <= 1 and way[-1] > 0:
            way = [*_solved([row[:-1] for row in matrix[:-1]], steep[:-1]), 0.0]
        moved = _along(dual, at, [-part * price for part, price in zip(way, at, strict=True)], look.slope)
        if moved == at:
            break
        at = moved
    return at


def _along(dual: Dual, prices: list[float], way: Sequence[float], slope: Sequence[float]) -> list[float]:
    """As far along a way as the sum falls, or nearly so. No price falls below half of itself, nor what goes in below 1."""

    def ahead(part: float) -> list[float]:
        return [price + part * change for price, change in zip(prices, way, strict=True)]

    def turn(part: float) -> float:
        return sum(over * change for over, change in zip(dual.look(ahead(part)).slope, way, strict=True))

    near = abs(sum(over * change for over, change in zip(slope, way, strict=True))) / 10
    room = [price - 1 if dual.capped and k == len(dual.coins) else price / 2 for k, price in enumerate(prices)]
    low, high = 0.0, min([1.0, *(space / -change for space, change in zip(room, way, strict=True) if change < 0)])
    part, at = high, turn(high)
    if at <= near:
        return ahead(part)
    for _ in range(40):
        part = (low + high) / 2
        at = turn(part)
        if abs(at) <= near:
            break
        low, high = (low, part) if at > 0 else (part, high)
    return ahead(part)


def _solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Gauss, with the largest pivot of each column."""
    count = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(count):
        best = max(range(k, count), key=lambda n: abs(rows[n][k]))
        rows[k], rows[best] = rows[best], rows[k]
        for n in range(k + 1, count):
            part = rows[n][k] / rows[k][k]
            for j in range(k, count + 1):
                rows[n][j] -= part * rows[k][j]
    found = [0.0] * count
    for k in reversed(range(count)):
        found[k] = (rows[k][count] - sum(rows[k][j] * found[j] for j in range(k + 1, count))) / rows[k][k]
    return found
