"""Arb: buy a coin where it is cheap and sell it where it is dear, at once, in one bundle that ends in the coin it began with.

Markets are pools, of which `PoolState` news tells the reserves, and order books, whose bid and ask are taken to hold so
much. Each way through one is an edge with the rate that a size really gets, after its fee (`routing`). What is looked for
is any plan that begins and ends in the vault's asset: one cycle, or several markets together.

    net      = what comes back - what goes in - legs * (gas + tip)
    expected = p^n * gain - sum over k < n of p^k * (1 - p) * cost of taking k legs back - legs * (gas + tip)

of n legs that each go through with a chance of p. A plan is proposed in whole lots, and only if both are above zero and
`net` is what is asked for, worked out by the pools' own swaps in whole units, with coins that are left over worth nothing.
Its purchases are limited so that a profit is kept. Its sales take any price that is no worse than taking the purchases back.

- A market whose state or price is older than `age_ns` is left out; with fewer than two fresh ones nothing is decided.
- One bundle at a time, and a rest of `cooldown` after one that made nothing.
- Coins that a bundle left behind are sold when there is nothing better to do.

The engine sees prices, news and its own coins, nothing of accounts, and knows no chain. Its memory is what it last saw and
the bundle that it last wished for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, evolve, field, frozen

from ..amm import Outside
from ..errors import InvalidAmount, InvalidMarket
from ..market import MINUTE, SECOND, Book, Instrument, Kind
from ..money import PPM, Asset, Rounding, divide
from ..news import PoolState
from ..orders import Bundle, Intent, Place, Side, TimeInForce
from ..protocols import View
from ..routing import Costs, Edge, Pair, Plan, Quoted, Step, best_plan, edges, negative_cycle
from .rates import part, percent, said

__all__ = ["Arb", "ArbMemory"]

TRIES = 6
"""How often a plan is made smaller until it fits."""


def _markets(given: Instrument | Iterable[Instrument]) -> tuple[Instrument, ...]:
    if isinstance(given, Instrument):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise InvalidMarket(f"Arb watches Instruments, not {given!r}")
    return tuple(given)


@define
class ArbMemory:
    """What the last decision was made on, and the bundle that was wished for last."""

    left_out: tuple[str, ...] = ()
    """Markets that were not fresh, each with the reason."""
    ring: str = ""
    """The coins of a ring whose rates gain, and what they multiply to before any size and cost."""
    plan: str = ""
    net: int | None = None
    """What the plan was to make after gas and tips, in units of the asset."""
    did: str = ""
    why: str = ""
    flying: bool = False
    """Whether a wish is under way, or was when this was last looked at."""
    before: int | None = None
    """The profit of the sleeve when it was wished for."""
    rests_until: int = 0
    looked_at: tuple[object, ...] = ()
    """What was looked at in vain: markets as they were, and the free money. While it is the same it is not looked at again."""


@frozen
class _Way:
    """A market as it can be routed through. Of a book with what it is taken to cost: its prices with slippage, and the fee."""

    market: Instrument
    route: Pair | Quoted
    bid: int = 0
    ask: int = 0
    fee: int = 0


@frozen
class _Leg:
    """One order of a plan, in whole lots. `used` of the coin that goes in is gone then, `sure` of the other is there."""

    way: _Way
    side: Side
    qty: int
    step: Step
    used: int = field()
    sure: int = 0

    @used.default
    def _all(self) -> int:
        return self.qty

    @property
    def money(self) -> int:
        """What it pays or brings, in quote units, fees included."""
        return self.step.swap.paid if self.side is Side.BUY else self.step.swap.got

    def at(self, slack: int) -> int:
        """A limit on the tick that lets it fill as planned, and worse by so many parts per million at most."""
        market, buys = self.way.market, self.side is Side.BUY
        times, over = market.ratio
        # as a fraction: the average price of a swap, or the book's price with its slippage
        best = self.way.ask if buys else self.way.bid
        price, per = (best, 1) if best else (self.money * over, self.qty * times)
        near, far = (Rounding.CEIL, Rounding.FLOOR) if buys else (Rounding.FLOOR, Rounding.CEIL)
        exact = divide(price, per * market.tick_units, near)
        loose = divide(price * (PPM + self.side.sign * slack), per * market.tick_units * PPM, far)
        return max(1, max(exact, loose) if buys else min(exact, loose)) * market.tick_units

    def worst(self, limit: int) -> int:
        """What it brings at its limit, fees included, in quote units; below zero what it pays."""
        market = self.way.market
        if self.side is Side.BUY:
            return -market.cost(limit, self.qty, Rounding.CEIL, self.way.fee)
        return market.cost(limit, self.qty, Rounding.FLOOR, -self.way.fee)

    def place(self, limit: int, side: Side | None = None) -> Place:
        return Place(self.way.market, side or self.side, self.qty, limit=limit, tif=TimeInForce.IOC, why="arb")


@frozen
class Arb:
    """The arbitrage engine between spot markets, in a vault of `asset`.

    `pools` are markets that trade with a pool, `books` such that have a bid and an ask. Each is quoted in the asset, or
    trades two coins for each other that both have a market here that is. Amounts are text in the asset, rates text
    ("0.1%"), times nanoseconds. The defaults are assumptions and not advice.
    """

    asset: Asset
    pools: tuple[Instrument, ...] = field(default=(), converter=_markets)
    books: tuple[Instrument, ...] = field(default=(), converter=_markets)
    least: str = "0.1"
    """The least that a bundle must make after gas and tips."""
    least_rate: int = field(default=said("0.1%"), converter=part)
    """The same as a part of what goes in."""
    most: str = "1000"
    """The most that goes into one bundle."""
    gas: str = "0.001"
    """What each leg costs to send, whatever becomes of it."""
    tip: str = "0.002"
    """What is paid on top for each leg."""
    success: int = field(default=said("99%"), converter=part)
    """The chance that a leg goes through."""
    fee: int = field(default=said("0.4%"), converter=part)
    """What an order book's venue takes of a trade. A pool's fee is its own."""
    slip: int = field(default=said("0.1%"), converter=part)
    """How much worse than its best price a book is taken to fill."""
    depth: str = "1000"
    """What a book's best price is taken to hold, in coins of the asset."""
    most_hops: int = 4
    """The most markets that one cycle passes."""
    most_legs: int = 8
    """The most legs of a bundle."""
    age_ns: int = 5 * SECOND
    cooldown: int = MINUTE
    """The rest after a bundle that was refused, or made nothing."""
    every: int = 0
    name: str = "arb"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.asset, Asset):
            raise InvalidMarket(f"Arb begins and ends in an Asset, not in {self.asset!r}")
        if not isinstance(self.name, str) or not self.name:
            raise InvalidMarket(f"an engine has a name, not {self.name!r}")
        self._check_markets()
        for what in ("least_rate", "fee", "slip"):
            if not 0 <= getattr(self, what) < PPM:
                raise InvalidAmount(f"{what} {percent(getattr(self, what))} must lie from 0% to below 100%")
        if not 0 < self.success <= PPM:
            raise InvalidAmount(f"success {percent(self.success)} must lie above 0% and up to 100%")
        for what, least in (("least", 0), ("gas", 0), ("tip", 0), ("most", 1), ("depth", 1)):
            if self._units(what) < least:
                raise InvalidAmount(f"{what} {getattr(self, what)} must {'be positive' if least else 'not be negative'}")
        if self._units("least") >= self._units("most"):
            raise InvalidAmount(f"least {self.least} must lie below most {self.most}, which is all that goes into a bundle")
        for what, fewest in (("most_hops", 2), ("most_legs", 2), ("age_ns", 1), ("cooldown", 0), ("every", 0)):
            value = getattr(self, what)
            if type(value) is not int or value < fewest:
                raise InvalidAmount(f"{what} {value!r} must be a whole number of at least {fewest}")

    def _check_markets(self) -> None:
        for market in self.watches:
            if not isinstance(market, Instrument) or market.kind is not Kind.SPOT:
                raise InvalidMarket(f"Arb trades spot Instruments, not {market!r}")
        symbols = [market.symbol for market in self.watches]
        if len(symbols) < 2 or len(set(symbols)) < len(symbols):
            raise InvalidMarket(f"Arb needs at least two markets, each once, not {', '.join(symbols) or 'none'}")
        valued = {market.base for market in self.watches if market.quote == self.asset}
        for market in self.watches:
            if market.quote != self.asset and not {market.base, market.quote} <= valued:
                raise InvalidMarket(f"{market} is not quoted in {self.asset}, and not both of its coins have a market here that is")

    def _units(self, what: str) -> int:
        return self.asset(getattr(self, what)).units

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (*self.pools, *self.books)

    @property
    def costs(self) -> Costs:
        """Gas and tip of each leg, and its chance."""
        return Costs(self._units("gas") + self._units("tip"), self.success)

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        pools = f"pools {', '.join(map(str, self.pools))}" if self.pools else ""
        books = (
            f"order books {', '.join(map(str, self.books))} at a fee of {percent(self.fee)}, {percent(self.slip)} off their best "
            f"price, for up to {self.depth} {self.asset}"
            if self.books
            else ""
        )
        return (
            f"{self.name} in {self.asset} between {' and '.join(filter(None, (pools, books)))}: trades round any cycle of up to "
            f"{self.most_hops} markets, or through several at once in up to {self.most_legs} legs, that brings back at least "
            f"{self.least} {self.asset} and {percent(self.least_rate)} more than goes in, after every fee and {self.gas} of gas and "
            f"{self.tip} of tip for each leg, and is worth it with a chance of {percent(self.success)} that a leg goes through; at "
            f"most {self.most} {self.asset} at a time; leaves out what is older than {self.age_ns / SECOND:g} s; rests "
            f"{self.cooldown / SECOND:g} s after a bundle that made nothing"
        )

    def begin(self) -> ArbMemory:
        return ArbMemory()

    def saw(self, memory: ArbMemory) -> Mapping[str, str]:
        """What the last decision was made on, and why nothing was done."""
        return {
            "fresh": f"{len(self.watches) - len(memory.left_out)} of {len(self.watches)} markets",
            "left out": ", ".join(memory.left_out) or "none",
            "ring": memory.ring or "none",
            "plan": memory.plan or "none",
            "net": "none" if memory.net is None else str(self.asset.units(memory.net)),
            "decision": memory.did,
            "why": memory.why,
        }

    def decide(self, memory: ArbMemory, view: View) -> Iterable[Intent] | None:
        if view.bundles or view.orders():
            memory.did, memory.why = "waits", "a bundle is under way" if view.bundles else "an order is under way"
            return None
        self._notice(memory, view)
        fresh, left_out = self._fresh(view)
        memory.left_out = tuple(left_out)
        same = (*(way.route for way in fresh.values()), view.free())
        if same == memory.looked_at and view.now >= memory.rests_until:
            return None
        memory.ring, memory.plan, memory.net, memory.did, memory.why, memory.looked_at = "", "", None, "nothing", "", ()
        if view.now < memory.rests_until:
            memory.why = "cooldown"
            return None
        if len(fresh) < 2:
            memory.why = "fewer than two markets are fresh"
            return None
        wish: Intent | None
        legs = self._legs(memory, view, fresh)
        if legs:
            wish, memory.did = Bundle(legs, why=memory.plan), "bundle"
        else:
            wish = self._leftover(view, fresh)
            if wish is None:
                memory.looked_at = same
                return None
            memory.did, memory.why = "sell", wish.why
        memory.flying, memory.before = True, view.pnl()
        return (wish,)

    def _notice(self, memory: ArbMemory, view: View) -> None:
        """What has become of the last wish: one that was refused, or made nothing, is rested after."""
        if memory.flying:
            memory.flying = False
            now = view.pnl()
            if now is None or memory.before is None or now <= memory.before:
                memory.rests_until = view.now + self.cooldown

    # -- what there is -----------------------------------------------------------------------------------------------------

    def _fresh(self, view: View) -> tuple[dict[str, _Way], list[str]]:
        """What can be routed through, by name, and the markets that are left out, with the reason."""
        found: list[_Way] = []
        left_out = []
        for market in self.watches:
            book = view.book_of(market)
            state = view.news(PoolState, market.symbol) if market in self.pools else None
            inputs = (book, state) if market in self.pools else (book,)
            if book is None or None in inputs:
                left_out.append(f"{market} (no price)" if book is None else f"{market} (no PoolState)")
            elif not all(one is not None and 0 <= view.now - one.at <= self.age_ns for one in inputs):
                left_out.append(f"{market} (stale)")
            elif state is not None:
                found.append(_Way(market, Pair(market.symbol, market.base.code, market.quote.code, state.pool)))
            else:
                found += self._quoted(market, book, view)
        return {way.market.symbol: way for way in found}, left_out

    def _quoted(self, market: Instrument, book: Book, view: View) -> Iterator[_Way]:
        """A book's bid and ask, each with the slippage, the fee and the depth that are assumed; nothing less than a lot deep."""
        stock = self._units("depth")
        if market.quote != self.asset:
            home = view.home(market.quote)
            board = None if home is None else view.book_of(home)
            stock = 0 if home is None or board is None else home.affordable(stock, board.ask)
        times, over = market.ratio
        bid, ask = market.shift(book.bid, -self.slip, Rounding.FLOOR), market.shift(book.ask, self.slip, Rounding.CEIL)
        lots = market.affordable(stock, ask)
        if lots:
            sides = Outside(0, stock, bid * times, over, self.fee), Outside(lots, 0, ask * times, over, self.fee)
            yield _Way(market, Quoted(market.symbol, market.base.code, market.quote.code, *sides), bid, ask, self.fee)

    # -- what to do --------------------------------------------------------------------------------------------------------

    def _legs(self, memory: ArbMemory, view: View, fresh: Mapping[str, _Way]) -> Sequence[Place]:
        """The legs of the best bundle; none, with the reason noted, where none pays.

        What does not fit is tried again with less: less money, or without a market whose part would be less than it takes.
        """
        routes = {name: way.route for name, way in fresh.items()}
        ring = negative_cycle((edge.into, edge.out, edge.first_rate()) for edge in edges(routes.values()))
        if ring is None:
            memory.why = "no ring of markets gains after their fees"
            return ()
        memory.ring = f"{' > '.join(ring[0])} x {ring[1]:.6f}"
        cap = min(self._units("most"), view.free())
        for _ in range(TRIES):
            if cap <= 0:
                memory.why = memory.why or "no free money"
                return ()
            wished = best_plan(
                routes.values(), self.asset.code, max_in=cap, most_hops=self.most_hops, most_steps=self.most_legs, costs=self.costs
            )
            if not wished.steps:
                memory.why = memory.why or "what it gains does not cover gas, tips and the chance of failing"
                return ()
            legs = self._in_lots(wished, view, fresh)
            if isinstance(legs, str):
                memory.why = f"too little for {routes.pop(legs).name}"
                continue
            plan = Plan(self.asset.code, tuple(leg.step for leg in legs))
            net = self.costs.net(plan)
            memory.plan, memory.net = _told(legs), net
            least = divide(self.least_rate * plan.paid, PPM, Rounding.CEIL)
            if not self.costs.pays(plan) or net < self._units("least"):
                memory.why = f"it would make less than {self.least} {self.asset}, or is not worth the chance of failing"
                return ()
            if net < least:
                memory.why, cap = f"it would make less than {percent(self.least_rate)} of what goes in", plan.paid // 2
                continue
            places = self._at_limits(legs, plan, net, max(1, least, self._units("least")))
            if not places:
                memory.why = "its limits on the tick would not keep the profit"
                return ()
            needed = sum(view.needs(place) or 0 for place in places)
            spent = -sum(min(0, leg.worst(place.limit or 0)) for leg, place in zip(legs, places, strict=True) if self._own(leg))
            free, most = view.free(), self._units("most")
            if needed <= free and spent <= most:
                memory.why = ""
                return places
            memory.why = "too little free money" if needed > free else "the most that may go in"
            cap = min(cap - 1, plan.paid * free // max(1, needed), plan.paid * most // max(1, spent))
        return ()

    def _in_lots(self, plan: Plan, view: View, fresh: Mapping[str, _Way]) -> list[_Leg] | str:
        """The plan in whole lots, each leg with no more than those before it are sure to bring; or where that is too little."""
        stock: dict[str, int] = {}
        legs: list[_Leg] = []
        for n, step in enumerate(plan.steps):
            into, out, name = step.edge.into, step.edge.out, step.edge.market.name
            way = fresh[name]
            amount = step.swap.paid
            if into != self.asset.code:
                following = sum(other.swap.paid for other in plan.steps[n:] if other.edge.into == into)
                amount = stock.get(into, 0) * amount // following
            leg = self._leg(way, into, out, amount, view)
            if leg is None:
                return name
            legs.append(leg)
            stock[into] = stock.get(into, 0) - leg.used
            stock[out] = stock.get(out, 0) + leg.sure
        return legs

    def _leg(self, way: _Way, into: str, out: str, amount: int, view: View) -> _Leg | None:
        """A leg that puts in at most so much; None where that is less than the market takes."""
        market, edge = way.market, Edge(way.route, into, out)
        limit = edge.hop.limit()
        amount = amount if limit is None else min(amount, limit)
        sells, spent = into == market.base.code, amount
        for _ in range(TRIES):
            qty = market.round_qty(spent if sells else edge.hop.swap(spent).got) if spent > 0 else 0
            if qty < max(market.lot_units, market.min_qty_units):
                return None
            swap = edge.hop.swap(qty) if sells else edge.hop.swap_for(qty)
            leg = _Leg(way, Side.SELL if sells else Side.BUY, qty, Step(edge, swap))
            tight = leg.at(0)
            if market.cost(tight, qty, Rounding.FLOOR) < market.min_notional_units:
                return None
            if market.quote == self.asset:
                return leg if sells else evolve(leg, used=swap.paid, sure=qty)
            # coins for coins: what the desk sets aside beyond the price is not there for the leg behind
            needed = view.hold(leg.place(tight, Side.BUY)) or 0
            if sells:
                aside = needed - market.cost(tight, qty, Rounding.CEIL)
                return evolve(leg, sure=max(0, market.cost(tight, qty, Rounding.FLOOR) - aside))
            if needed <= amount:
                return evolve(leg, used=needed, sure=qty)
            spent = min(spent - 1, spent * amount // needed)
        return None

    def _at_limits(self, legs: Sequence[_Leg], plan: Plan, net: int, least: int) -> Sequence[Place]:
        """The orders, each with a limit; none where purchases on the tick would not keep a profit.

        Purchases may give away half of what is more than `least`: one that misses its limit costs nothing. Sales take what
        is no worse than taking the purchases back, because that is what becomes of one that misses its limit.
        """
        bought = sum(leg.money for leg in legs if self._own(leg) and leg.side is Side.BUY)
        sold = sum(leg.money for leg in legs if self._own(leg) and leg.side is Side.SELL)
        first = next(n for n, leg in enumerate(legs) if self._own(leg) and leg.side is Side.SELL)
        slack = {Side.BUY: max(0, net - least) * PPM // (2 * bought), Side.SELL: (plan.gain + plan.unwound(first)) * PPM // sold}
        limits = [leg.at(slack[leg.side] if self._own(leg) else 0) for leg in legs]
        worst = sum(leg.worst(limit) for leg, limit in zip(legs, limits, strict=True) if self._own(leg) and leg.side is Side.BUY)
        if sold + worst <= self.costs.per_step * len(legs):
            return ()
        places = [leg.place(limit) for leg, limit in zip(legs, limits, strict=True)]
        return (*places[:-1], evolve(places[-1], expect=net))

    def _own(self, leg: _Leg) -> bool:
        """Whether a leg pays or brings the asset."""
        return leg.way.market.quote == self.asset

    def _leftover(self, view: View, fresh: Mapping[str, _Way]) -> Place | None:
        """A sale of coins that a bundle left behind, where they bring most, if they bring as much as a bundle must make."""
        best, brings = None, self._units("least") + self.costs.per_step
        for way in fresh.values():
            market = way.market
            edge = Edge(way.route, market.base.code, market.quote.code)
            if market.quote != self.asset or not edge.first_rate():
                continue
            leg = self._leg(way, market.base.code, market.quote.code, view.sellable(market), view)
            if leg is not None and leg.step.swap.got > brings:
                best, brings = leg, leg.step.swap.got
        return None if best is None else evolve(best.place(best.at(self.slip)), reduce_only=True, why="leftover")


def _told(legs: Sequence[_Leg]) -> str:
    """A bundle in words."""
    return ", ".join(f"{leg.side} {leg.way.market.qty_text(leg.qty)} {leg.way.market}" for leg in legs)
