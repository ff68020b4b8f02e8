"""Routing: which pools to trade through, in which order and how much of each, so that a coin comes back as more of it.

Coins are names here, and a market is a pool under a name between two coins (`Pair`) or several (`Basket`), or a book's
best prices (`Quoted`). Each of its ways is an `Edge`, whose rate is what a size really brings: after the fee, along the curve.

    negative_cycle   whether anything gains at all: Bellman-Ford on minus the logarithm of the rates
    best_cycle       one way out and back: all of them by bounded search, each at its best size (`sizing.best_input`)
    optimum          the most that all markets give together: a convex problem, by its dual prices (`dual`)
    best_plan        what to do with one coin at hand, after gas and the chance of failing

Floats find a plan; what it brings is computed by the pools' own swaps in whole units, and by nothing else. `upper_bound`
proves how little was left behind. Nothing is known here of instruments, lots, limits, accounts, or who trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import inf, isfinite, log

from attrs import evolve, field, frozen

from .amm import ConstantProduct, Outside, Pool, Swap, _amount
from .dual import FLAT, BasketOffer, Dual, Offer, PairOffer, kept, least_prices
from .errors import InvalidAmount, InvalidMarket
from .money import PPM
from .sizing import Hop, best_input

__all__ = [
    "Basket",
    "Costs",
    "Edge",
    "Market",
    "Pair",
    "Plan",
    "Quoted",
    "Step",
    "along",
    "best_cycle",
    "best_plan",
    "best_sale",
    "cycles",
    "edges",
    "negative_cycle",
    "optimum",
    "upper_bound",
]

NOISE = 1e-12
"""What a product of rates may be off by rounding."""

PARTS = 64
"""The sizes of a cycle that are looked at where its steps may fail, as parts of the one that gains most."""

AGAIN = 6
"""How often a plan that goes in with a few units too many is made again with less."""


# -- markets and their ways --------------------------------------------------------------------------------------------------


def _check_names(name: object, coins: object, what: str) -> None:
    named = isinstance(name, str) and name
    if not named or type(coins) is not tuple or not all(isinstance(coin, str) and coin for coin in coins) or len({*coins}) < len(coins):
        raise InvalidMarket(f"{what} {name!r} needs a name and a tuple of coins that differ, not {coins!r}")


@frozen(order=False)
class Pair:
    """A pool under a name, between its base coin and its quote coin."""

    name: str
    base: str
    quote: str
    pool: Pool

    def __attrs_post_init__(self) -> None:
        _check_names(self.name, self.coins, "pair")
        if not hasattr(self.pool, "at_price"):
            raise InvalidMarket(f"pair {self.name!r} needs a pool, not {self.pool!r}")

    @property
    def coins(self) -> tuple[str, ...]:
        return self.base, self.quote

    def hop(self, into: str, out: str) -> Hop:
        if (into, out) not in ((self.base, self.quote), (self.quote, self.base)):
            raise InvalidMarket(f"{self.name} trades {self.base} and {self.quote}, not {into} for {out}")
        return Hop(self.pool, sells=into == self.base)

    def after(self, _into: str, _out: str, swap: Swap) -> Pair:
        """The market as a swap through `hop(into, out)` leaves it."""
        return evolve(self, pool=swap.pool)

    def offer(self, flat: float = FLAT) -> Offer:
        return PairOffer(self.pool, self.pool, flat)


@frozen(order=False)
class Quoted:
    """An order book's best prices under a name: base is sold to its bid and bought from its ask, each as far as it goes."""

    name: str
    base: str
    quote: str
    bid: Outside
    ask: Outside

    def __attrs_post_init__(self) -> None:
        _check_names(self.name, self.coins, "book")
        if not isinstance(self.bid, Outside) or not isinstance(self.ask, Outside) or self.bid.price() > self.ask.price():
            raise InvalidMarket(
                f"book {self.name!r} needs a bid and an ask, each Outside, and the bid not above: {self.bid!r}, {self.ask!r}"
            )

    @property
    def coins(self) -> tuple[str, ...]:
        return self.base, self.quote

    def hop(self, into: str, out: str) -> Hop:
        if (into, out) == (self.base, self.quote):
            return Hop(self.bid, sells=True)
        if (into, out) == (self.quote, self.base):
            return Hop(self.ask, sells=False)
        raise InvalidMarket(f"{self.name} trades {self.base} and {self.quote}, not {into} for {out}")

    def after(self, into: str, _out: str, swap: Swap) -> Quoted:
        """The market as a swap through `hop(into, out)` leaves it."""
        left = swap.pool
        assert isinstance(left, Outside)
        return evolve(self, bid=left) if into == self.base else evolve(self, ask=left)

    def offer(self, flat: float = FLAT) -> Offer:
        return PairOffer(self.bid, self.ask, flat)


@frozen(order=False)
class Basket:
    """A pool of several coins, whose product no swap lowers: a geometric mean of equal weights (Balancer's white paper, 2019).

    One coin for another trades as in a constant product pool of those two reserves, the others untouched.
    """

    name: str
    coins: tuple[str, ...]
    reserves: tuple[int, ...]
    fee_ppm: int

    def __attrs_post_init__(self) -> None:
        _check_names(self.name, self.coins, "basket")
        if type(self.reserves) is not tuple or len(self.coins) != len(self.reserves) or len(self.coins) < 2:
            raise InvalidMarket(f"basket {self.name!r} needs a reserve for each of at least two coins: {self.coins!r}, {self.reserves!r}")
        for reserve in self.reserves:
            ConstantProduct(reserve, reserve, self.fee_ppm)  # refuses what is no reserve, and what is no fee

    def hop(self, into: str, out: str) -> Hop:
        if into == out or into not in self.coins or out not in self.coins:
            raise InvalidMarket(f"{self.name} trades {', '.join(self.coins)}, not {into} for {out}")
        held = dict(zip(self.coins, self.reserves, strict=True))
        return Hop(ConstantProduct(held[into], held[out], self.fee_ppm), sells=True)

    def after(self, into: str, out: str, swap: Swap) -> Basket:
        """The market as a swap through `hop(into, out)` leaves it."""
        held = dict(zip(self.coins, self.reserves, strict=True))
        held[into] += swap.paid
        held[out] -= swap.got
        return evolve(self, reserves=tuple(held.values()))

    def offer(self, _flat: float = FLAT) -> Offer:
        return BasketOffer(self.reserves, self.fee_ppm)


Market = Pair | Quoted | Basket


@frozen(order=False)
class Edge:
    """One way through one market: `into` goes in, `out` comes out."""

    market: Market
    into: str
    out: str
    hop: Hop = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "hop", self.market.hop(self.into, self.out))

    def rate(self, size: int) -> Fraction:
        """What each unit of `size` brings, after the fee and along the curve. Zero where the market cannot take so much."""
        limit = self.hop.limit()
        if limit is not None and _amount(size, "size") > limit:
            return Fraction(0)
        return Fraction(self.hop.swap(size).got, size)

    def first_rate(self) -> float:
        """What the first unit brings, after the fee: no size brings more per unit. Zero where nothing can go in."""
        if self.hop.limit() == 0 or self.hop.most_out() <= 0:
            return 0.0
        price = self.hop.pool.price()
        return float(price if self.hop.sells else 1 / price) * kept(self.hop.pool)

    def __str__(self) -> str:
        return f"{self.into} to {self.out} at {self.market.name}"


def edges(markets: Iterable[Market]) -> tuple[Edge, ...]:
    """Both ways through each pair, and each way through a basket. Names must differ."""
    found: list[Edge] = []
    names: set[str] = set()
    for market in markets:
        if not isinstance(market, (Pair, Quoted, Basket)) or market.name in names:
            raise InvalidMarket(f"markets are Pairs, Quoted and Baskets, each under a name of its own, not {market!r}")
        names.add(market.name)
        found += [Edge(market, into, out) for into in market.coins for out in market.coins if into != out]
    return tuple(found)


def cycles(ways: Iterable[Edge], start: str, *, most_hops: int = 4) -> Iterator[tuple[Edge, ...]]:
    """Every way out of `start` and back over at most so many edges that passes no market and no other coin twice.

    Only those whose first unit comes back as more: no size gains on any other, because no pool pays more for the second
    unit than for the first.
    """
    if type(most_hops) is not int or most_hops < 2:
        raise InvalidMarket(f"a cycle has at least 2 hops: most_hops is {most_hops!r}")
    leaving: dict[str, list[tuple[Edge, float]]] = {}
    for edge in ways:
        rate = edge.first_rate()
        if rate > 0:
            leaving.setdefault(edge.into, []).append((edge, rate))

    def search(path: tuple[Edge, ...], coin: str, product: float) -> Iterator[tuple[Edge, ...]]:
        names, coins = {edge.market.name for edge in path}, {edge.into for edge in path}
        for edge, rate in leaving.get(coin, ()):
            if edge.market.name in names:
                continue
            if edge.out == start:
                if path and product * rate > 1 + NOISE:
                    yield (*path, edge)
            elif edge.out not in coins and len(path) + 2 <= most_hops:
                yield from search((*path, edge), edge.out, product * rate)

    return search((), start, 1.0)


def negative_cycle(rates: Iterable[tuple[str, str, float]]) -> tuple[tuple[str, ...], float] | None:
    """Coins in a ring along which the rates multiply to more than 1, the first again at the end, and their product; or None.

    `rates` are (into, out, units out per unit in). Bellman-Ford on -log(rate), from all coins at once: a ring that gains
    is a cycle of negative weight.
    """
    best: dict[tuple[str, str], float] = {}
    for into, out, rate in rates:
        if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not isfinite(rate) or rate < 0:
            raise InvalidAmount(f"rate {rate!r} of {into} to {out} must be a finite number and not negative")
        if rate > 0 and into != out:
            best[into, out] = max(best.get((into, out), 0.0), float(rate))
    coins = sorted({coin for way in best for coin in way})
    far, before = dict.fromkeys(coins, 0.0), dict.fromkeys(coins, "")
    at = ""
    for _ in coins:
        at = ""
        for (into, out), rate in best.items():
            if far[into] - log(rate) < far[out] - NOISE:
                far[out], before[out], at = far[into] - log(rate), into, out
        if not at:
            break
    if not at:
        return None
    for _ in coins:
        at = before[at]
    ring = [at]
    while len(ring) == 1 or ring[-1] != at:
        ring.append(before[ring[-1]])
    ring.reverse()
    product = 1.0
    for into, out in pairwise(ring):
        product *= best[into, out]
    return (tuple(ring), product) if product > 1 + NOISE else None


# -- plans -------------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Step:
    """One swap of a plan. Its edge is of the market as the steps before it leave it."""

    edge: Edge
    swap: Swap


@frozen(order=False)
class Plan:
    """Swaps in the order in which they are to be made, and what they come to in whole units.

    `coin` is what is counted. `prices`, of each coin in units of it, are those that a convex problem found.
    """

    coin: str
    steps: tuple[Step, ...] = ()
    prices: Mapping[str, float] = field(factory=dict, hash=False)

    @property
    def left(self) -> dict[str, int]:
        """What is over of each coin when all is done; below zero, what is lacking."""
        over: dict[str, int] = {}
        for step in self.steps:
            over[step.edge.into] = over.get(step.edge.into, 0) - step.swap.paid
            over[step.edge.out] = over.get(step.edge.out, 0) + step.swap.got
        return over

    @property
    def gain(self) -> int:
        """What is over of the coin that counts."""
        return self.left.get(self.coin, 0)

    @property
    def paid(self) -> int:
        """What goes in of the coin that counts, all steps together."""
        return sum(step.swap.paid for step in self.steps if step.edge.into == self.coin)

    @property
    def needs(self) -> dict[str, int]:
        """What must be at hand of other coins before the first step; nothing, where the steps bring it in time."""
        stock: dict[str, int] = {}
        least: dict[str, int] = {}
        for step in self.steps:
            into, out = step.edge.into, step.edge.out
            stock[into] = stock.get(into, 0) - step.swap.paid
            least[into] = min(least.get(into, 0), stock[into])
            stock[out] = stock.get(out, 0) + step.swap.got
        return {coin: -units for coin, units in least.items() if units < 0 and coin != self.coin}

    def unwound(self, steps: int) -> int:
        """What it costs to make so many of the first steps and then to take them back, the last first, each where it was made.

        By then others have brought the markets back to where they were; one that cannot take it so takes it as it was left.
        """
        stock: dict[str, int] = {}
        for step in self.steps[:steps]:
            stock[step.edge.into] = stock.get(step.edge.into, 0) - step.swap.paid
            stock[step.edge.out] = stock.get(step.edge.out, 0) + step.swap.got
        for step in reversed(self.steps[:steps]):
            into, out = step.edge.out, step.edge.into
            back = min(step.swap.got, stock[into])
            hop = step.edge.market.hop(into, out)
            limit = hop.limit()
            if limit is not None and limit < back:
                hop = step.edge.market.after(out, into, step.swap).hop(into, out)
                back = min(back, limit if (limit := hop.limit()) is not None else back)
            if back > 0:
                stock[into] -= back
                stock[out] = stock.get(out, 0) + hop.swap(back).got
        return max(0, -stock.get(self.coin, 0))


@frozen(order=False)
class Costs:
    """What a plan costs besides the pools' fees: gas and tip of each step, and what comes of steps that fail.

    `per_step` is in units of the coin that counts, and falls due for every step of a plan that is begun, whatever becomes
    of it. Each step goes through with a chance of `success_ppm`; at the first that does not, those before it are taken
    back where they were made.
    """

    per_step: int = 0
    success_ppm: int = PPM

    def __attrs_post_init__(self) -> None:
        if type(self.per_step) is not int or self.per_step < 0:
            raise InvalidAmount(f"per_step {self.per_step!r} must be a whole number of smallest units and not negative")
        if type(self.success_ppm) is not int or not 0 < self.success_ppm <= PPM:
            raise InvalidAmount(f"success_ppm {self.success_ppm!r} must be whole parts per million above 0 and up to 1,000,000")

    def net(self, plan: Plan) -> int:
        """What is left if all goes through."""
        return plan.gain - self.per_step * len(plan.steps)

    def expected(self, plan: Plan) -> int:
        """What is left on average, rounded down, of n steps that each go through with a chance of p:

        p^n * gain - sum over k < n of p^k * (1 - p) * what taking k steps back costs - n * per_step
        """
        count, p = len(plan.steps), self.success_ppm
        worth: int = p**count * plan.gain
        if p < PPM:
            worth -= sum(p**k * (PPM - p) * PPM ** (count - k - 1) * plan.unwound(k) for k in range(1, count))
        whole: int = PPM**count
        return worth // whole - self.per_step * count

    def pays(self, plan: Plan) -> bool:
        return bool(plan.steps) and self.net(plan) > 0 and self.expected(plan) > 0


FREE = Costs()


def along(way: Sequence[Edge], paid: int) -> Plan:
    """A chain as a plan: `paid` goes into the first edge, and all that comes out of each goes into the next."""
    steps = []
    for edge in way:
        if not paid:
            return Plan(way[0].into)
        steps.append(Step(edge, edge.hop.swap(paid)))
        paid = steps[-1].swap.got
    return Plan(way[0].into, tuple(steps))


# -- the most that all markets give together ---------------------------------------------------------------------------------


def optimum(markets: Iterable[Market], coin: str, *, max_in: int | None = None) -> Plan:
    """The swaps that bring most of `coin` out of nothing, and leave nothing lacking of any other. Empty where none gains.

    They earn so much when all are made at once, or with coins at hand where the plan `needs` any; `best_plan` asks for
    none. At most `max_in` of `coin` goes in. Markets that no way leads to from `coin` are left out.
    """
    joined = _joined(markets, coin)
    if max_in is not None:
        _amount(max_in, "max_in")
    plan = _trade(joined, coin, {})
    if max_in is not None and plan.paid > max_in:
        most = max_in
        for tried in range(AGAIN):
            plan = _trade(joined, coin, {}, most)
            if plan.paid <= max_in:
                break
            most = max(1, most - (plan.paid - max_in + max_in // 10**8) * 4**tried)
        else:
            plan = evolve(plan, steps=())
    return plan if plan.gain > 0 else evolve(plan, steps=())


def best_sale(markets: Iterable[Market], into: str, amount: int, out: str) -> Plan:
    """The swaps that bring most of `out` for `amount` of `into`, over all markets at once. `gain` is what they bring.

    What no market takes is left over.
    """
    joined = _joined(markets, out)
    if into == out or not any(into in market.coins for market in joined):
        raise InvalidMarket(f"no market leads from {into} to {out}")
    return _trade(joined, out, {into: _amount(amount, "amount")})


def upper_bound(markets: Iterable[Market], coin: str, prices: Mapping[str, float], *, have: Mapping[str, int] | None = None) -> float:
    """What no trades whatever at these markets earn more than, in units of `coin`; coins at hand count at their price.

    `prices` are of all other coins, in units of `coin`. Any prices prove a bound (see `dual`); those of `optimum` and
    `best_sale` prove the least.
    """
    dual = _dual(_joined(markets, coin), coin, have or {}, flat=0.0)
    for one in dual.coins:
        price = prices.get(one, 0.0)
        if not isfinite(price) or price <= 0:
            raise InvalidAmount(f"price {prices.get(one)!r} of {one} must be a positive finite number")
    return dual.look([prices[one] for one in dual.coins]).value


def _joined(markets: Iterable[Market], coin: str) -> list[Market]:
    """The markets that a way leads to from a coin."""
    markets = list(markets)
    edges(markets)  # refuses what is no market, and two under one name
    known = {coin}
    while True:
        joined = [market for market in markets if known & set(market.coins)]
        reached = known.union(*(market.coins for market in joined))
        if reached == known:
            return joined
        known = reached


def _dual(markets: Sequence[Market], coin: str, have: Mapping[str, int], most: int | None = None, *, flat: float = FLAT) -> Dual:
    return Dual([(market.coins, market.offer(flat)) for market in markets], coin, have, most)


def _trade(markets: Sequence[Market], coin: str, have: Mapping[str, int], most: int | None = None) -> Plan:
    """The convex problem, by its prices, in whole units, in an order in which coins are at hand where there is one."""
    dual = _dual(markets, coin, have, most)
    known = _first_prices(markets, coin)
    found = least_prices(dual, [known[one] for one in dual.coins])
    prices = {coin: 1.0, **dict(zip(dual.coins, found, strict=False))}
    steps = _whole(markets, coin, have, _moves(markets, dual.trades(found)), prices)
    done, waiting = _in_turn(steps, coin, have)
    return Plan(coin, (*done, *waiting), prices)


def _first_prices(markets: Sequence[Market], coin: str) -> dict[str, float]:
    """Prices to begin with: each coin's at the first market on a shortest way from the one that counts."""
    known = {coin: 1.0}
    while len(known) < len({one for market in markets for one in market.coins} | {coin}):
        for edge in edges(markets):
            if edge.out in known and edge.into not in known:
                price = edge.hop.pool.price()
                known[edge.into] = known[edge.out] * float(price if edge.hop.sells else 1 / price)
    return known


@frozen
class _Move:
    """One way through one market, and how much the convex problem puts in."""

    name: str
    into: str
    out: str
    paid: float


def _moves(markets: Sequence[Market], trades: Sequence[Sequence[float]]) -> list[_Move]:
    """What each market trades, one coin for one other at a time; less than half a unit is nothing."""
    found: list[_Move] = []
    for market, deltas in zip(markets, trades, strict=True):
        ins = [(one, -delta) for one, delta in zip(market.coins, deltas, strict=True) if delta < 0]
        outs = [(one, delta) for one, delta in zip(market.coins, deltas, strict=True) if delta > 0]
        if len(ins) == len(outs) == 1:
            found.append(_Move(market.name, ins[0][0], outs[0][0], ins[0][1]))
        elif isinstance(market, Basket):
            found += _pieces(market, ins, outs)
    return [move for move in found if move.paid >= 0.5]


def _pieces(market: Basket, ins: list[tuple[str, float]], outs: list[tuple[str, float]]) -> Iterator[_Move]:
    """A trade of several coins for several as swaps, one after the other: each brings all of a coin, or spends all of one."""
    held = {one: float(reserve) for one, reserve in zip(market.coins, market.reserves, strict=True)}
    part = 1 - market.fee_ppm / PPM
    while ins and outs:
        (into, paid), (out, got) = ins[0], outs[0]
        needed = held[into] * got / (held[out] - got) / part if got < held[out] else inf
        if needed <= paid and len(outs) > 1:
            paid = needed
            outs = outs[1:]
            ins = [(into, ins[0][1] - paid), *ins[1:]]
        else:
            got = held[out] * part * paid / (held[into] + part * paid)
            ins = ins[1:]
            outs = [(out, max(0.0, outs[0][1] - got)), *outs[1:]]
        held[into], held[out] = held[into] + part * paid, held[out] - got
        yield _Move(market.name, into, out, paid)


def _whole(
    markets: Sequence[Market], coin: str, have: Mapping[str, int], moves: Sequence[_Move], prices: Mapping[str, float]
) -> list[Step]:
    """The moves in whole units, so that nothing is lacking of any coin but the one that counts; nothing where that cannot be.

    Each coin has one move that settles it: it sells what is over, or buys what is lacking. All others are rounded.
    """
    states = {market.name: market for market in markets}
    settling = _settling(states, coin, moves, prices)
    joined = {coin, *(one for one, _ in settling)}
    stock = dict(have)
    steps: list[Step] = []

    def make(move: _Move, amount: int, *, brings: bool = False) -> None:
        edge = Edge(states[move.name], move.into, move.out)
        limit = edge.hop.limit()
        amount = amount if limit is None or brings else min(amount, limit)
        if amount > 0:
            swap = edge.hop.swap_for(amount) if brings else edge.hop.swap(amount)
            steps.append(Step(edge, swap))
            states[move.name] = edge.market.after(move.into, move.out, swap)
            stock[move.into] = stock.get(move.into, 0) - swap.paid
            stock[move.out] = stock.get(move.out, 0) + swap.got

    try:
        for move in moves:
            if move.into in joined and not any(move is other for _, other in settling):
                make(move, round(move.paid))
        for one, move in reversed(settling):
            make(move, stock.get(one, 0) if move.into == one else -stock.get(one, 0), brings=move.out == one)
    except InvalidMarket:  # a pool runs out by a few units
        return []
    return steps if all(units >= 0 for one, units in stock.items() if one != coin) else []


def _settling(markets: Mapping[str, Market], coin: str, moves: Sequence[_Move], prices: Mapping[str, float]) -> list[tuple[str, _Move]]:
    """For each coin the move with most room that joins it to those nearer to the one that counts, the nearest first."""

    def room(move: _Move) -> float:
        limit = markets[move.name].hop(move.into, move.out).limit()
        return prices[move.into] * (move.paid if limit is None else min(move.paid, limit - move.paid))

    found: list[tuple[str, _Move]] = []
    known = {coin}
    widest = sorted(moves, key=room, reverse=True)
    while True:
        for move in widest:
            if (move.into in known) is not (move.out in known):
                found.append((move.out if move.into in known else move.into, move))
                known.add(found[-1][0])
                break
        else:
            return found


def _in_turn(steps: Sequence[Step], coin: str, have: Mapping[str, int]) -> tuple[list[Step], list[Step]]:
    """Steps in an order in which each finds its coins at hand, and those for which there is none.

    Those that end in the coin that counts come last, so that others may use before what they sell. Steps at one market
    keep their order.
    """
    stock, waiting, found = dict(have), list(steps), []
    while waiting:
        first = {step.edge.market.name: step for step in reversed(waiting)}.values()
        ready = [step for step in first if step.edge.into == coin or stock.get(step.edge.into, 0) >= step.swap.paid]
        if not ready:
            break
        step = min(reversed(ready), key=lambda one: one.edge.out == coin)
        waiting.remove(step)
        found.append(step)
        stock[step.edge.into] = stock.get(step.edge.into, 0) - step.swap.paid
        stock[step.edge.out] = stock.get(step.edge.out, 0) + step.swap.got
    return found, waiting


# -- what to do --------------------------------------------------------------------------------------------------------------


def best_cycle(markets: Iterable[Market], coin: str, *, max_in: int | None = None, most_hops: int = 4, costs: Costs = FREE) -> Plan:
    """The one way out of `coin` and back that is worth most, each at its best size. Empty where none pays."""
    return _best_of(cycles(edges(markets), coin, most_hops=most_hops), coin, max_in, costs)


def _best_of(ways: Iterable[tuple[Edge, ...]], coin: str, max_in: int | None, costs: Costs) -> Plan:
    best, worth = Plan(coin), 0
    for way in ways:
        plan = _best_size(way, best_input([edge.hop for edge in way], max_in=max_in).paid, costs)
        expected = costs.expected(plan)
        if expected > worth and costs.pays(plan):
            best, worth = plan, expected
    return best


def _best_size(way: Sequence[Edge], most: int, costs: Costs) -> Plan:
    """The part of an input, in sixty-fourths, that is worth most: all of it where nothing fails, less where failing costs more."""
    if costs.success_ppm == PPM or not most:
        return along(way, most)
    low, high = 1, PARTS  # what is expected rises with the size and then falls
    while low < high:
        middle = (low + high) // 2
        here, there = (costs.expected(along(way, most * part // PARTS)) for part in (middle, middle + 1))
        low, high = (middle + 1, high) if there > here else (low, middle)
    return along(way, most * low // PARTS)


def best_plan(
    markets: Iterable[Market], coin: str, *, max_in: int | None = None, most_hops: int = 4, most_steps: int = 8, costs: Costs = FREE
) -> Plan:
    """What to do with nothing but `coin` at hand: the plan of at most so many steps that is worth most. Empty where none pays.

    One cycle of at most so many hops, or several markets together: the optimum, less the markets for which it would need
    other coins first, and less those that do not earn what their steps cost.
    """
    joined = _joined(markets, coin)
    ways = edges(joined)
    rates = [(edge.into, edge.out, edge.first_rate()) for edge in ways]
    if negative_cycle(rates) is None:
        return Plan(coin)
    gaining = list(cycles(ways, coin, most_hops=most_hops))
    alone = _best_of(gaining, coin, max_in, costs)
    every = len({one for market in joined for one in market.coins}) <= most_hops  # no cycle passes a coin twice
    if every and len(gaining) < 2 and negative_cycle(rate for rate in rates if coin not in rate) is None:
        return alone  # all that gains is this one cycle
    together = _together(joined, coin, max_in, most_steps, costs)
    while costs.success_ppm < PPM and together.paid > 1:  # half of it, if that is worth more
        half = _together(joined, coin, together.paid // 2, most_steps, costs)
        if costs.expected(half) <= costs.expected(together):
            break
        together = half
    return together if costs.pays(together) and costs.expected(together) > costs.expected(alone) else alone


def _together(markets: list[Market], coin: str, max_in: int | None, most_steps: int, costs: Costs) -> Plan:
    """The optimum, less one market after the other as long as it has to be, or as that is worth more."""
    plan = optimum(markets, coin, max_in=max_in)
    while plan.steps:
        waiting = _waiting_for_each_other(_in_turn(plan.steps, coin, {})[1])
        must = bool(waiting) or len(plan.steps) > most_steps
        if not must and costs == FREE:
            break
        least = min(waiting or plan.steps, key=lambda step: step.swap.paid * plan.prices[step.edge.into]).edge.market.name
        markets = [market for market in markets if market.name != least]
        less = optimum(markets, coin, max_in=max_in)
        if not must and costs.expected(less) <= costs.expected(plan):
            break
        plan = less
    return plan


def _waiting_for_each_other(steps: Sequence[Step]) -> Sequence[Step]:
    """Of steps that wait for their coins, those on rings: what each waits for is what another of them brings."""
    ring = list(steps)
    while True:
        outs, ins = {step.edge.out for step in ring}, {step.edge.into for step in ring}
        kept_on = [step for step in ring if step.edge.into in outs and step.edge.out in ins]
        if len(kept_on) == len(ring):
            return ring or steps
        ring = kept_on
