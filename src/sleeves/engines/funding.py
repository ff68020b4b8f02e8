"""Funding: own the coin, be short its perpetual, and be paid for it while the price cancels out between the two.

What a hedge is, brings and costs is in `carry.py`. The engine's rules:

- Enter where the carry over `horizon` pays for both legs in and out, the best market first, as a `Bundle`: the less liquid
  leg first, and both or none.
- Leave after four readings of the rate below -0.05% in a row, or once what was paid in funding has come to what leaving
  and coming back costs. Come back after two readings above +0.05%.
- Rebalance beyond 1% of drift, 30 minutes apart, from 0.005 coins on: net above zero expands the short, net below zero
  reduces it. Contracts without coins are never within tolerance, and wait for nothing.
- Below a health of 20 reduce both legs until there is room again as after an entry, whatever the time. Open nothing that
  would leave a health below 60.

What opens needs a rate and prices that are fresh. What closes needs the price of what it closes.

The other way round, coins sold short and contracts long, needs a venue that lends coins. No borrowed coin is in these
books, so `reverse` is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from attrs import define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..margin import Check, MarginAccount, equity, health_bp, notional, standing
from ..market import BP, DAY, HOUR, MINUTE, PPB, FundingRate, Instrument
from ..money import PPM, Rounding, decimal_text, divide, parse_units
from ..orders import Bundle, Intent, Place, Side
from ..protocols import View
from .carry import Carry, Hedge, Pair
from .rates import lasting, part, percent, rate_ppb, said, within

__all__ = ["Funding", "FundingMemory", "MarketMemory", "Result"]


class Result(StrEnum):
    """What the engine came to about one market, the last time that it looked."""

    OUT = "out"
    """Nothing is held, and nothing is entered."""
    ENTERING = "entering"
    OK = "ok"
    """Held, and within tolerance."""
    COOLDOWN = "cooldown"
    """Beyond tolerance, and rebalanced too short a time ago."""
    SKIP = "skip"
    """Beyond tolerance by less than is worth an order, or than the venue takes."""
    REBALANCING = "rebalancing"
    """A rebalance is wished for."""
    REBALANCED = "rebalanced"
    """It has filled."""
    BLOCKED = "blocked"
    """It could not be, was refused or did not fill; it is tried again, without a cooldown."""
    REDUCING = "reducing"
    """Both legs are reduced, for health."""
    LEAVING = "leaving"
    WAITING = "waiting"
    """Orders are under way."""


@define
class MarketMemory:
    """What the engine remembers of one market, and what it last saw of it."""

    read_at: int = -1
    """Of what time the last reading of the rate was."""
    below: int = 0
    """Readings in a row at which the rate was low enough to leave."""
    above: int = 0
    """Readings in a row at which it was high enough to come back."""
    paid_ppb: int = 0
    """What funding has cost since the short was opened, less what it has brought since then; never below zero."""
    left: bool = False
    """Whether it was left for its rate: it is entered again only after readings that are high enough."""
    leaving: str = ""
    """Why it is being closed, until it is."""
    rebalanced_at: int | None = None
    asked: tuple[int, Hedge] | None = None
    """When a rebalance was last wished for, and what was held then; None once it is known what became of it."""
    failed: bool = False
    """Whether the last rebalance was refused or did not fill."""
    entered_at: int = 0
    """When an entry was last wished for."""
    tries: int = 0
    """Entries in a row that were wished for and came to nothing so far."""
    rate: FundingRate | None = None
    carry: Carry | None = None
    hedge: Hedge = field(factory=lambda: Hedge(0, 0))
    result: Result = Result.OUT
    why: str = ""

    @property
    def net_ppm(self) -> int:
        """The net carry, for comparing; nothing known is nothing earned."""
        return 0 if self.carry is None else self.carry.net_ppm

    def say(self, result: Result, why: str) -> None:
        self.result, self.why = result, why


@define
class FundingMemory:
    """What the engine remembers: a few numbers for each market, by the symbol of its perpetual."""

    markets: dict[str, MarketMemory] = field(factory=dict)
    health_bp: int | None = None
    """Of the sleeve's contracts, as if it were alone; None while it is not known."""


def _pairs(pairs: Pair | Iterable[Pair]) -> tuple[Pair, ...]:
    if isinstance(pairs, Pair) or not isinstance(pairs, Iterable):
        return (pairs,)
    return tuple(pairs)


def _leverage(most: str | int) -> int:
    units = parse_units(most, 4, "most_leverage")
    if units <= 0:
        raise InvalidAmount(f"most_leverage {most} must be above zero")
    return units


@frozen
class Funding:
    """The funding engine, on one pair or on several. Rates and amounts are text, times whole nanoseconds.

    `leave` and `enter` are rates for an interval of `per` ns; a market's own rate is scaled to that, exactly. `keep` is the
    part of a gain that is counted on, `size` the part of free money that may be used, and `room` the rise of the price, as
    a part of it, for which money is left behind the contracts. `most_leverage` caps them in times of what then stands
    behind them. A rate may be `age_ns` old, twice its interval by default, a price `price_age_ns`, see `Book.stale`.

    Raises `InvalidMarket` for pairs that are none, trade a market twice or are quoted in several assets, and for `reverse`;
    `InvalidAmount` for a figure that makes no sense.
    """

    pairs: tuple[Pair, ...] = field(converter=_pairs)
    horizon: int = field(default=14 * DAY, kw_only=True)
    keep_ppm: int = field(alias="keep", converter=part, default=said("50%"), kw_only=True)
    least_net_ppm: int = field(alias="least_net", converter=part, default=said("0%"), kw_only=True)
    per: int = field(default=8 * HOUR, kw_only=True)
    leave_ppb: int = field(alias="leave", converter=rate_ppb, default=said("-0.05%"), kw_only=True)
    leave_after: int = field(default=4, kw_only=True)
    enter_ppb: int = field(alias="enter", converter=rate_ppb, default=said("0.05%"), kw_only=True)
    enter_after: int = field(default=2, kw_only=True)
    tolerance_ppm: int = field(alias="tolerance", converter=part, default=said("1%"), kw_only=True)
    cooldown: int = field(default=30 * MINUTE, kw_only=True)
    least_qty: str = field(default="0.005", kw_only=True)
    """The least rebalance, in base coins."""
    size_ppm: int = field(alias="size", converter=part, default=said("100%"), kw_only=True)
    least: str = field(default="10", kw_only=True)
    """The least entry, in quote coins."""
    room_ppm: int = field(alias="room", converter=part, default=said("20%"), kw_only=True)
    retry: int = field(default=30 * MINUTE, kw_only=True)
    """How long to wait after an entry that failed, which may have cost fees; twice as long after each further one, up to 32 times."""
    most_markets: int | None = field(default=None, kw_only=True)
    most_leverage_bp: int = field(alias="most_leverage", converter=_leverage, default=said("5"), kw_only=True)
    least_health: int = field(default=60, kw_only=True)
    critical: int = field(default=20, kw_only=True)
    age_ns: int | None = field(default=None, kw_only=True)
    price_age_ns: int = field(default=MINUTE, kw_only=True)
    every: int = field(default=MINUTE, kw_only=True)
    name: str = field(default="funding", kw_only=True)
    reverse: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.reverse is not False:
            rule = "short coins are borrowed ones, and no borrowed coin is in these books"
            raise InvalidMarket(f"reverse {self.reverse!r} of {self.name}: {rule}; it owns the coin and is short the perpetual")
        self._check_pairs()
        least = {"horizon": 1, "per": 1, "leave_after": 1, "enter_after": 1, "price_age_ns": 1, "cooldown": 0, "retry": 0, "every": 0}
        least |= {what: 1 for what in ("age_ns", "most_markets") if getattr(self, what) is not None}
        for what, floor in least.items():
            value = getattr(self, what)
            if type(value) is not int or value < floor:
                raise InvalidAmount(f"{what} {value!r} must be a whole number, at least {floor}")
        for what in ("least_health", "critical"):
            if type(getattr(self, what)) is not int or not 0 <= getattr(self, what) <= 100:
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be a whole number from 0 to 100")
        for what, low, high in (("keep", 0, PPM), ("least_net", -PPM, PPM), ("tolerance", 0, PPM), ("size", 1, PPM), ("room", 0, 10 * PPM)):
            within(what, getattr(self, f"{what}_ppm"), low, high)
        if self.critical > self.least_health:
            raise InvalidAmount(f"critical {self.critical} must not be above least_health {self.least_health}")
        if self.leave_ppb >= self.enter_ppb:
            raise InvalidAmount(f"leave {percent(self.leave_ppb, PPB)} must lie below enter {percent(self.enter_ppb, PPB)}")

    def _check_pairs(self) -> None:
        if not self.pairs or not all(isinstance(pair, Pair) for pair in self.pairs):
            raise InvalidMarket(f"Funding trades Pairs of a spot market and a perpetual, not {self.pairs!r}")
        symbols = [market.symbol for pair in self.pairs for market in (pair.perp, pair.spot)]
        if len(set(symbols)) != len(symbols):
            raise InvalidMarket(f"Funding trades each market in one pair, not {', '.join(symbols)}")
        quotes = {pair.perp.quote.code for pair in self.pairs}
        if len(quotes) != 1:
            raise InvalidMarket(f"Funding trades what is quoted in one asset, not in {', '.join(sorted(quotes))}")
        for pair in self.pairs:
            if pair.spot.base(self.least_qty).units < 0 or pair.spot.quote(self.least).units < 0:
                raise InvalidAmount(f"least_qty {self.least_qty} and least {self.least} must not be negative")

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return tuple(market for pair in self.pairs for market in (pair.perp, pair.spot))

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        per, most = lasting(self.per), len(self.pairs) if self.most_markets is None else self.most_markets
        markets = "1 market" if most == 1 else f"{most} markets"
        return (
            f"{self.name} on {'; '.join(map(str, self.pairs))}: owns the coin and is short the perpetual where funding over "
            f"{lasting(self.horizon)}, at {percent(self.keep_ppm)} of the present rate, brings {percent(self.least_net_ppm)} or more "
            f"after all costs of both legs in and out; in at most {markets}, the best first; leaves after {self.leave_after} "
            f"readings in a row below {percent(self.leave_ppb, PPB)} per {per}, or when it has paid as much in funding as leaving and "
            f"coming back costs; comes back after {self.enter_after} above {percent(self.enter_ppb, PPB)}; rebalances beyond "
            f"{percent(self.tolerance_ppm)} of drift, {lasting(self.cooldown)} apart, from {self.least_qty} coins on; opens nothing that "
            f"leaves a health below {self.least_health} or more than {decimal_text(self.most_leverage_bp, 4)}x, and reduces below a "
            f"health of {self.critical}; uses {percent(self.size_ppm)} of its free money, with room for a rise of {percent(self.room_ppm)}"
        )

    def begin(self) -> FundingMemory:
        return FundingMemory({pair.perp.symbol: MarketMemory() for pair in self.pairs})

    def saw(self, memory: FundingMemory) -> Mapping[str, str]:
        """What the last decision was made on, by market and figure."""
        told = {} if memory.health_bp is None else {"health": decimal_text(memory.health_bp, 2)}
        for pair in self.pairs:
            seen, symbol, coin = memory.markets[pair.perp.symbol], pair.perp.symbol, pair.spot.base
            rate = seen.rate
            told[f"{symbol} rate"] = "none" if rate is None else f"{percent(rate.rate_ppb, PPB)} per {lasting(rate.every)}"
            told[f"{symbol} carry"] = "unknown" if seen.carry is None else percent(seen.carry.net_ppm)
            told[f"{symbol} hedgeable"] = f"{decimal_text(seen.hedge.hedgeable, coin.scale)} {coin}"
            told[f"{symbol} net"] = f"{decimal_text(seen.hedge.net, coin.scale)} {coin}"
            told[f"{symbol} drift"] = percent(seen.hedge.drift_ppm)
            told[f"{symbol} action"] = seen.result.value
            told[f"{symbol} why"] = seen.why
        return told

    # -- deciding ----------------------------------------------------------------------------------------------------------

    def decide(self, memory: FundingMemory, view: View) -> Iterable[Intent] | None:
        markets = [(pair, memory.markets[pair.perp.symbol]) for pair in self.pairs]
        for pair, seen in markets:
            self._read(pair, seen, view)
        if view.bundles or view.orders():
            for _, seen in markets:
                seen.say(Result.WAITING, "orders are under way")
            return None
        wishes = self._relieve(memory, markets, view)
        if wishes:
            return wishes
        held = 0
        for pair, seen in markets:
            if self._is_held(pair, seen.hedge, view):
                held, seen.tries = held + 1, 0
                wishes += self._keep(pair, seen, view)
            else:
                seen.leaving, seen.asked, seen.failed, seen.result = "", None, False, Result.OUT
        return wishes or self._enter(markets, held, view)

    def _read(self, pair: Pair, seen: MarketMemory, view: View) -> None:
        """Take note of what is held, and of the rate: one with a new time is a reading."""
        seen.hedge = Hedge(view.position(pair.spot), view.position(pair.perp), pair.reserved_units)
        seen.rate = rate = view.news(FundingRate, pair.perp.symbol)
        if not seen.hedge.contracts:
            seen.paid_ppb = 0
        if rate is None:
            seen.carry = None
            return
        seen.carry = Carry.of(pair, rate, worth=self._worth(pair, seen, view), horizon=self.horizon, keep_ppm=self.keep_ppm)
        if rate.at <= seen.read_at:
            return
        seen.read_at = rate.at
        seen.below = seen.below + 1 if rate.rate_ppb * self.per < self.leave_ppb * rate.every else 0
        seen.above = seen.above + 1 if rate.rate_ppb * self.per > self.enter_ppb * rate.every else 0
        if seen.hedge.contracts < 0:
            seen.paid_ppb = max(0, seen.paid_ppb - rate.rate_ppb)

    def _worth(self, pair: Pair, seen: MarketMemory, view: View) -> int:
        """What the hedge is worth, or would be with all that may be used for it, in quote units; at least one."""
        book = view.book_of(pair.perp)
        held = 0 if book is None else pair.perp.cost(book.mid, abs(seen.hedge.contracts), Rounding.FLOOR)
        return held or max(1, self._money(pair, view))

    def _money(self, pair: Pair, view: View) -> int:
        """What may be used for one market, in quote units."""
        money = divide(max(0, view.free()) * self.size_ppm, PPM, Rounding.DOWN)
        return money if pair.cap_units is None else min(money, pair.cap_units)

    def _fresh(self, market: Instrument, view: View) -> bool:
        book = view.book_of(market)
        return book is not None and not book.stale(view.now, self.price_age_ns)

    def _rated(self, seen: MarketMemory, view: View) -> FundingRate | None:
        """The rate, unless it is too old, or of a time to come."""
        rate = seen.rate
        if rate is None:
            return None
        most = 2 * rate.every if self.age_ns is None else self.age_ns
        return rate if 0 <= view.now - rate.at <= most else None

    def _is_held(self, pair: Pair, hedge: Hedge, view: View) -> bool:
        """Whether there is more than dust of it."""
        return bool(_tradeable(pair.perp, abs(hedge.contracts), view) or _tradeable(pair.spot, hedge.hedgeable, view))

    def _closing(self, pair: Pair, hedge: Hedge, view: View, coins: int, contracts: int, why: str) -> list[Intent]:
        """Sell so many coins and close so many contracts, as far as there are any: both as a bundle, one alone as an order."""
        legs: list[Place] = []
        close = _tradeable(pair.perp, min(contracts, abs(hedge.contracts)), view)
        if close and self._fresh(pair.perp, view):
            legs.append(Place(pair.perp, Side.BUY if hedge.contracts < 0 else Side.SELL, close, reduce_only=True, why=why))
        sell = _tradeable(pair.spot, min(coins, hedge.hedgeable, view.sellable(pair.spot)), view)
        if sell and self._fresh(pair.spot, view):
            legs.append(Place(pair.spot, Side.SELL, sell, reduce_only=True, why=why))
        return [_bundle(pair, legs, why, rollback=False)] if len(legs) == 2 else [*legs]

    # -- health ------------------------------------------------------------------------------------------------------------

    def _relieve(self, memory: FundingMemory, markets: list[tuple[Pair, MarketMemory]], view: View) -> list[Intent]:
        """Below the critical health, reduce both legs until there is room again as after an entry; the worst carry first."""
        account = view.exposure()
        memory.health_bp = None if account is None else health_bp(account)
        if account is None or memory.health_bp is None or memory.health_bp >= self.critical * 100:
            return []
        why = f"health {decimal_text(memory.health_bp, 2)} is below {self.critical}"
        missing, wishes = _to_close(account, self.least_health, self.room_ppm), list[Intent]()
        for pair, seen in sorted(markets, key=lambda one: one[1].net_ppm):
            book = view.book_of(pair.perp)
            if missing <= 0 or book is None or not seen.hedge.contracts:
                continue
            lot = max(1, pair.perp.cost(book.mid, pair.step, Rounding.FLOOR))
            qty = min(abs(seen.hedge.contracts), divide(missing, lot, Rounding.CEIL) * pair.step)
            found = self._closing(pair, seen.hedge, view, qty, qty, why)
            if found:
                missing -= pair.perp.cost(book.mid, qty, Rounding.FLOOR)
                seen.say(Result.REDUCING, why)
                wishes += found
        return wishes

    # -- a market that is held -----------------------------------------------------------------------------------------------

    def _keep(self, pair: Pair, seen: MarketMemory, view: View) -> list[Intent]:
        hedge = seen.hedge
        if not seen.leaving:
            seen.leaving = self._reason_to_leave(pair, seen, view)
            seen.left = seen.left or bool(seen.leaving)
        if not seen.leaving:
            return self._balance(pair, seen, view)
        wishes = self._closing(pair, hedge, view, hedge.hedgeable, abs(hedge.contracts), seen.leaving)
        seen.say(Result.LEAVING if wishes else Result.BLOCKED, seen.leaving if wishes else "no fresh price to leave at")
        return wishes

    def _reason_to_leave(self, pair: Pair, seen: MarketMemory, view: View) -> str:
        if seen.below >= self.leave_after:
            return f"{seen.below} readings in a row below {percent(self.leave_ppb, PPB)} per {lasting(self.per)}"
        cost = pair.cost_ppm(self._worth(pair, seen, view))
        if seen.paid_ppb and seen.paid_ppb * PPM >= cost * PPB:
            return f"paid {percent(seen.paid_ppb, PPB)} in funding, while leaving and coming back costs {percent(cost)}"
        return ""

    def _balance(self, pair: Pair, seen: MarketMemory, view: View) -> list[Intent]:
        """Rebalance, or say why not."""
        hedge, filled = seen.hedge, _has_filled(seen)
        drift = f"drift {percent(hedge.drift_ppm)}"
        naked = hedge.contracts < 0 and hedge.hedgeable < pair.spot.lot_units
        if hedge.within(self.tolerance_ppm):
            seen.failed = False
            seen.say(Result.REBALANCED if filled else Result.OK, drift)
        elif not naked and seen.rebalanced_at is not None and view.now - seen.rebalanced_at < self.cooldown:
            seen.say(Result.COOLDOWN, f"{drift}, {lasting(self.cooldown - (view.now - seen.rebalanced_at))} left")
        elif not naked and abs(hedge.net) < pair.spot.base(self.least_qty).units:
            seen.say(Result.SKIP, f"{drift}, {decimal_text(abs(hedge.net), pair.spot.base.scale)} is below {self.least_qty}")
        elif not self._fresh(pair.perp, view) or (hedge.net > 0 and not self._fresh(pair.spot, view)):
            seen.say(Result.BLOCKED, f"{drift}, no fresh price")
        elif hedge.net < 0:
            why = "contracts without coins" if naked else "reduces the short"
            return self._wish(seen, view, self._closing(pair, hedge, view, 0, -hedge.contracts if naked else -hedge.net, why))
        else:
            wishes = self._expansion(pair, seen, view)
            return self._wish(seen, view, wishes or self._closing(pair, hedge, view, hedge.net, 0, "sells what is not hedged"))
        return []

    @staticmethod
    def _wish(seen: MarketMemory, view: View, wishes: list[Intent]) -> list[Intent]:
        if not wishes:
            seen.say(Result.SKIP, f"drift {percent(seen.hedge.drift_ppm)}, less than the venue takes")
            return []
        why = wishes[0].why if isinstance(wishes[0], (Place, Bundle)) else ""
        seen.say(Result.BLOCKED if seen.failed else Result.REBALANCING, why + ("; the last try came to nothing" if seen.failed else ""))
        seen.asked = (view.now, seen.hedge)
        return wishes

    def _expansion(self, pair: Pair, seen: MarketMemory, view: View) -> list[Intent]:
        """Sell contracts for all that is not hedged. Nothing where that cannot be carried or was just refused, and for coins
        that have no short yet where their carry does not pay."""
        qty, rate = _tradeable(pair.perp, seen.hedge.net, view), self._rated(seen, view)
        if seen.failed or not qty or rate is None:
            return []
        if not seen.hedge.contracts and (seen.left or seen.net_ppm < self.least_net_ppm):
            return []
        place = Place(pair.perp, Side.SELL, qty, expect=self._expects(pair, rate, qty, view), why="expands the short")
        needs = view.hold(place)
        return [place] if needs is not None and needs <= view.free() and self._carries(pair, place, 0, view) else []

    # -- what can be carried -------------------------------------------------------------------------------------------------

    def _expects(self, pair: Pair, rate: FundingRate, qty: int, view: View) -> int:
        """What so many contracts are paid over the horizon if the rate stays, in quote units: gates count on a part of it."""
        book = view.book_of(pair.perp)
        worth = 0 if book is None else pair.perp.cost(book.bid, qty, Rounding.FLOOR)
        return divide(worth * rate.rate_ppb * self.horizon, rate.every * PPB, Rounding.FLOOR)

    def _carries(self, pair: Pair, place: Place, spent: int, view: View, *, room: int | None = None) -> bool:
        """Whether the sleeve carries one more order of contracts once so much is spent on coins: room, health and leverage.

        `room` is the free money that is left for a rise of the price. What coins count as collateral is left aside.
        """
        account, needs, book, terms = view.exposure(place), view.hold(place), view.book_of(pair.perp), pair.perp.contract
        if account is None or needs is None or book is None or terms is None:
            return False
        owed = sum(notional(one, one.worst, quote_scale=account.quote_scale) for one in account.contracts)
        if room is not None and divide(owed * self.room_ppm, PPM, Rounding.CEIL) > room:
            return False
        margin = divide(pair.perp.cost(book.bid, place.qty, Rounding.FLOOR) * terms.initial_bp, BP, Rounding.DOWN)
        spent += max(0, needs - margin)  # the fee, and what a worse fill loses
        stands, worth = standing(account, Check.MAINTENANCE), equity(account) - spent
        left = stands.collateral - spent
        if left <= 0 or worth <= 0 or (left - stands.requirement) * BP < self.least_health * 100 * left:
            return False
        return owed * BP <= min(self.most_leverage_bp, view.most_leverage_bp) * worth

    # -- a market that may be entered ----------------------------------------------------------------------------------------

    def _enter(self, markets: list[tuple[Pair, MarketMemory]], held: int, view: View) -> list[Intent] | None:
        """Enter the market with the best carry that can be; one at a time, so that each is sized to the money that is left."""
        able = [(pair, seen) for pair, seen in markets if seen.result is Result.OUT and self._may_enter(seen, pair, held, view)]
        for pair, seen in sorted(able, key=lambda one: -one[1].net_ppm):
            bundle = self._entry(pair, seen, view)
            if bundle is not None:
                seen.entered_at, seen.tries = view.now, seen.tries + 1
                seen.say(Result.ENTERING, bundle.why)
                return [bundle]
        return None

    def _may_enter(self, seen: MarketMemory, pair: Pair, held: int, view: View) -> bool:
        if seen.carry is None or self._rated(seen, view) is None:
            seen.why = "no funding rate" if seen.rate is None else "the funding rate is too old"
        elif seen.left and seen.above < self.enter_after:
            seen.why = f"{seen.above} of {self.enter_after} readings above {percent(self.enter_ppb, PPB)} per {lasting(self.per)}"
        elif seen.carry.net_ppm < self.least_net_ppm:
            seen.why = f"carry {percent(seen.carry.net_ppm)} is below {percent(self.least_net_ppm)}"
        elif not self._fresh(pair.perp, view) or not self._fresh(pair.spot, view):
            seen.why = "no fresh price"
        elif self.most_markets is not None and held >= self.most_markets:
            seen.why = f"{held} market(s) held, and no more may be"
        elif seen.tries and view.now - seen.entered_at < self._wait(seen):
            seen.why = f"the last entry came to nothing; again in {lasting(self._wait(seen) - (view.now - seen.entered_at))}"
        else:
            return True
        return False

    def _wait(self, seen: MarketMemory) -> int:
        return self.retry << min(seen.tries - 1, 5)

    def _entry(self, pair: Pair, seen: MarketMemory, view: View) -> Bundle | None:
        """Both legs, as large as money, cap, room, health and leverage allow."""
        book, rate = view.book_of(pair.spot), self._rated(seen, view)
        if book is None or rate is None:
            return None
        money = divide(max(0, view.free()) * self.size_ppm, PPM, Rounding.DOWN)
        capped = None if pair.cap_units is None else pair.cap_units - view.open_cost(pair.spot)

        def legs(steps: int) -> tuple[Place, Place]:
            return self._legs(pair, seen.hedge, rate, steps * pair.step, view)

        def fits(steps: int) -> bool:
            short, buy = legs(steps)
            margin, price = view.hold(short), view.hold(buy)
            if margin is None or price is None or (capped is not None and price > capped):
                return False
            return self._carries(pair, short, price, view, room=money - price - margin)

        steps = _largest(fits, pair.spot.affordable(self._money(pair, view), book.ask) // pair.step)
        short, buy = legs(max(1, steps))
        worth = pair.spot.cost(book.bid, short.qty, Rounding.FLOOR)
        if not steps or not _tradeable(pair.perp, short.qty, view) or not _tradeable(pair.spot, buy.qty, view):
            seen.why = "free money or health are too little for the least order"
        elif worth < pair.spot.quote(self.least).units:
            seen.why = f"{decimal_text(worth, pair.spot.quote.scale)} {pair.spot.quote} is below {self.least}"
        else:
            seen.carry = Carry.of(pair, rate, worth=worth, horizon=self.horizon, keep_ppm=self.keep_ppm)
            why = f"carry {percent(seen.carry.net_ppm)} over {lasting(self.horizon)}"
            if seen.carry.net_ppm >= self.least_net_ppm:
                return _bundle(pair, [short, buy], why)
            seen.why = f"{why} for {decimal_text(worth, pair.spot.quote.scale)} {pair.spot.quote} is below {percent(self.least_net_ppm)}"
        return None

    def _legs(self, pair: Pair, hedge: Hedge, rate: FundingRate, qty: int, view: View) -> tuple[Place, Place]:
        """The short of so many contracts, and the coins that it hedges, with what is still to be reserved of them."""
        lot = pair.spot.lot_units
        coins = divide(max(lot, qty + pair.reserved_units - max(0, hedge.coins)), lot, Rounding.CEIL) * lot
        short = Place(pair.perp, Side.SELL, qty, expect=self._expects(pair, rate, qty, view), why="short, to be paid funding")
        return short, Place(pair.spot, Side.BUY, coins, why="owned, hedged by the short")


def _has_filled(seen: MarketMemory) -> bool:
    """What became of the last rebalance: only one that has filled, be it in part, starts the cooldown."""
    if seen.asked is None:
        return False
    (at, before), seen.asked = seen.asked, None
    filled = (before.coins, before.contracts) != (seen.hedge.coins, seen.hedge.contracts)
    seen.failed = not filled
    if filled:
        seen.rebalanced_at = at
    return filled


def _to_close(account: MarginAccount, least_health: int, room_ppm: int) -> int:
    """Quote units of both legs to be closed: sold coins add to what stands behind the contracts, closed contracts need no more.

    With collateral C, contracts worth N, their maintenance m and initial ratio i, a health h and room r, rounded up:

        C + x >= (i + r) (N - x)            x >= ((i + r) N - C) / (1 + i + r)
        C + x - m (N - x) >= h (C + x)      x >= (m N - (1 - h) C) / (1 - h + m)
    """
    keep, open_ = standing(account, Check.MAINTENANCE), standing(account, Check.INITIAL)
    worth = sum(notional(one, one.base, quote_scale=account.quote_scale) for one in account.contracts)
    if not worth:
        return 0
    wanted = open_.requirement + divide(worth * room_ppm, PPM, Rounding.CEIL)
    for_room = divide((wanted - keep.collateral) * worth, worth + wanted, Rounding.CEIL)
    rest = BP - least_health * 100
    for_health = divide(
        (keep.requirement * BP - rest * keep.collateral) * worth, max(1, rest * worth + keep.requirement * BP), Rounding.CEIL
    )
    return max(for_room, for_health)


def _tradeable(market: Instrument, qty: int, view: View) -> int:
    """What of a quantity the venue takes an order for: whole lots, or nothing where they are too few."""
    lots = market.round_qty(max(0, qty))
    if not lots or lots < market.min_qty_units:
        return 0
    if not market.min_notional_units:
        return lots
    book = view.book_of(market)
    return lots if book is not None and market.cost(book.bid, lots, Rounding.FLOOR) >= market.min_notional_units else 0


def _bundle(pair: Pair, legs: list[Place], why: str, *, rollback: bool = True) -> Bundle:
    """Both legs, the less liquid first."""
    return Bundle(tuple(sorted(legs, key=lambda leg: leg.instrument.kind is not pair.first)), rollback=rollback, why=why)


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest whole number up to `most` that fits, where whatever is below one that fits does too; 0 when none does."""
    if most <= 0 or fits(most):
        return max(0, most)
    least = 0
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least
