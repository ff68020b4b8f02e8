"""Depeg: buy a liquid staking token below what it redeems for, and let it go at its peg, to its pool, or at a loss.

What a token is worth is told as `FairValue` news: what its stake pool holds over the tokens it has issued, or the rate
that its protocol publishes. It is never a constant, and never taken from the price. While the fair value or the price
of a token is missing or old, nothing is decided about that token.

    discount = 1 - price / fair value

- Buy when the discount at the ask is at least the cost of both ways and `threshold`, and a fair value was told since it
  was first seen: a price that fell because the pool lost must not be compared with what the pool had. What is held, at
  cost, grows in proportion to the discount beyond the cost of both ways: all of `cap` where that is `full`.
- Sell on a widening loss limit, at the peg, or when its time is up; or unstake, on the token's redemption market, where
  that pays more than the market does and at least what was paid.

Everything is reckoned in whole numbers: prices against an exact ratio, rates in parts per million. Memory is a few
numbers for each token. The engine sees prices, news and its own coins, nothing of accounts, and knows no chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import DAY, HOUR, MINUTE, Book, Instrument, Kind
from ..money import PPM, SOL, Amount, Asset, Rounding, divide
from ..news import FairValue
from ..orders import Intent, Place, Side, TimeInForce
from ..protocols import View
from .rates import lasting, part, percent, said

__all__ = ["BSOL", "EPOCH", "INF", "JITOSOL", "JUPSOL", "MSOL", "TOKENS", "Depeg", "DepegMemory", "Holding", "Peg", "Token"]

EPOCH = 2 * DAY
"""An epoch of Solana: 432,000 slots of 400 ms, an assumption, for slots take longer when the network is slow."""

YEAR = 365 * DAY


# -- which tokens --------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Token:
    """A liquid staking token: what it is, where its rate comes from, and on which terms it is redeemed.

    `rate` says in words what its `FairValue` is to be read from. `unstake_fee` is what redeeming costs, `unstake_delay` how
    long it takes, in nanoseconds: assumptions until they were read from the pool. `redeems` is what it redeems for.
    """

    coin: Asset
    rate: str
    unstake_fee: int = field(default=said("0.1%"), converter=part)
    unstake_delay: int = EPOCH
    redeems: Asset = SOL

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.coin, Asset) or not isinstance(self.redeems, Asset) or self.coin == self.redeems:
            raise InvalidMarket(f"a staking token is an Asset that redeems for another, not {self.coin!r} for {self.redeems!r}")
        if not isinstance(self.rate, str) or not self.rate.strip():
            raise InvalidMarket(f"{self.coin}: say in words where its rate comes from, not {self.rate!r}")
        if not 0 <= self.unstake_fee < PPM:
            raise InvalidAmount(f"{self.coin}: unstake_fee {percent(self.unstake_fee)} must lie between 0% and 100%")
        if type(self.unstake_delay) is not int or self.unstake_delay < 0:
            raise InvalidAmount(f"{self.coin}: unstake_delay {self.unstake_delay!r} must be whole nanoseconds, and not negative")


JITOSOL = Token(Asset("jitoSOL", 9), "spl-stake-pool: total lamports over pool token supply", "0.1%")
MSOL = Token(Asset("mSOL", 9), "Marinade: msol_price over 2^32", "0.2%", 2 * EPOCH)
BSOL = Token(Asset("bSOL", 9), "spl-stake-pool: total lamports over pool token supply", "0.1%")
JUPSOL = Token(Asset("jupSOL", 9), "spl-stake-pool: total lamports over pool token supply", "0.1%")
INF = Token(Asset("INF", 9), "Sanctum: SOL value of one INF, in lamports over 10^9", "0.1%")
TOKENS = (JITOSOL, MSOL, BSOL, JUPSOL, INF)
"""What is traded most. Fees and delays are assumptions, see docs/engines/depeg.md; add your own with `Token(...)`."""


@frozen(order=False)
class Peg:
    """A token, the spot market where it is bought and sold, and the one where it is redeemed, if there is one.

    A redemption market is a spot market of the same pair under another symbol, where a sale is an unstaking: it fills at
    the fair value less the fee, after the delay. Raises `InvalidMarket` for a market of another pair, or of contracts:
    a token that redeems for SOL is priced in SOL.
    """

    token: Token
    market: Instrument
    redemption: Instrument | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.token, Token) or not isinstance(self.market, Instrument):
            raise InvalidMarket(f"a peg is of a Token on an Instrument, not of {self.token!r} on {self.market!r}")
        if self.redemption is not None and not isinstance(self.redemption, Instrument):
            raise InvalidMarket(f"{self.token.coin}: its redemption market is an Instrument, not {self.redemption!r}")
        pair = self.token.coin, self.token.redeems
        for market in self.markets:
            if market.kind is not Kind.SPOT or (market.base, market.quote) != pair:
                raise InvalidMarket(f"{self.token.coin} is traded on a spot market of {pair[0]} in {pair[1]}, not on {market!r}")
        if self.redemption is not None and self.redemption.symbol == self.market.symbol:
            raise InvalidMarket(f"{self.market.symbol} cannot be the market and the redemption of {self.token.coin} at once")

    @property
    def markets(self) -> tuple[Instrument, ...]:
        return (self.market,) if self.redemption is None else (self.market, self.redemption)


def _pegs(given: Peg | Iterable[Peg]) -> tuple[Peg, ...]:
    if isinstance(given, Peg):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise InvalidMarket(f"Depeg watches Pegs, not {given!r}")
    return tuple(given)


# -- what is remembered ----------------------------------------------------------------------------------------------------


@define
class Holding:
    """What is remembered of one token: when and on what it was bought, and what was seen when it was last decided about."""

    qty: int = 0
    """The position at the last look."""
    worth: int = 0
    """What it was worth at fair value when it was bought, in quote units; 0 while that is not known."""
    since: int = 0
    """When the first of it was seen."""
    changed: int | None = None
    """When the position last grew or fell: from then the cooldown runs."""
    opened: int | None = None
    """When the discount that could be bought was first seen; None while there is none."""
    barred: bool = False
    """Given up, at a loss or for time: not bought again before it was back at its peg."""
    bought_on: FairValue | None = None
    """The fair value that the last buy was decided on."""
    price: int = 0
    fair: FairValue | None = None
    discount: int | None = None
    """Parts per million at the ask; None where it could not be told."""
    did: str = ""
    why: str = ""


@define
class DepegMemory:
    """One `Holding` for each peg, in their order. Fresh from `Depeg.begin`."""

    tokens: tuple[Holding, ...]


# -- the engine ------------------------------------------------------------------------------------------------------------


@frozen
class Depeg:
    """The de-peg engine on one or several tokens that redeem for the same coin, in a vault of that coin.

    Rates are text ("0.5%"), times nanoseconds, amounts text in that coin. `fee` and `slip` are what one trade on the market
    is taken to cost. Caps are at cost, fees apart, with what is ordered: `cap` for each token, `total` for all, `most` for
    one buy, `least` for the least one. The defaults are assumptions and not advice.
    """

    pegs: tuple[Peg, ...] = field(converter=_pegs)
    threshold: int = field(default=said("0.5%"), converter=part)
    """What a discount must promise beyond the cost of both ways."""
    full: int = field(default=said("2%"), converter=part)
    """The discount beyond the cost of both ways from which on `cap` is used whole."""
    exit: int = field(default=said("0.1%"), converter=part)
    """The discount at the bid up to which the token counts as back at its peg."""
    fee: int = field(default=said("0.1%"), converter=part)
    slip: int = field(default=said("0.1%"), converter=part)
    cap: str = "10"
    total: str = "25"
    most: str = "5"
    least: str = "0.1"
    widen: int = field(default=said("15%"), converter=part)
    """How much wider than when it was bought a discount may grow."""
    loss: int = field(default=said("15%"), converter=part)
    """How much less than was paid the coins may bring."""
    patience: int = DAY
    """How long a re-peg is waited for before unstaking is thought of."""
    hold: int = 14 * DAY
    """How long a token is held at most."""
    carry: int = field(default=said("7%"), converter=part)
    """What money could earn in a year while an unstaking is under way."""
    cooldown: int = HOUR
    """The rest after a token was bought or sold, before it is bought again."""
    fair_age: int = HOUR
    price_age: int = MINUTE
    every: int = 0
    name: str = "depeg"

    def __attrs_post_init__(self) -> None:
        if not self.pegs or not all(isinstance(peg, Peg) for peg in self.pegs):
            raise InvalidMarket(f"Depeg watches Pegs, at least one, not {self.pegs!r}")
        coins, symbols = [peg.token.coin.code for peg in self.pegs], [market.symbol for market in self.watches]
        if len(set(coins)) != len(coins) or len(set(symbols)) != len(symbols):
            raise InvalidMarket(f"each token has one peg, and each market one: {', '.join(coins)} on {', '.join(symbols)}")
        if any(peg.market.quote != self.quote for peg in self.pegs):
            raise InvalidMarket(
                f"all tokens of one engine redeem for the same coin, not {', '.join(str(p.market.quote) for p in self.pegs)}"
            )
        for what in ("threshold", "full", "exit", "fee", "slip", "widen", "loss", "carry"):
            if not 0 <= getattr(self, what) < PPM:
                raise InvalidAmount(f"{what} {percent(getattr(self, what))} must lie between 0% and 100%")
        if not self.exit < self.threshold <= self.full:
            rule = "exit < threshold <= full, or a round trip to the peg does not pay for itself"
            raise InvalidAmount(f"exit {percent(self.exit)}, threshold {percent(self.threshold)}, full {percent(self.full)}: need {rule}")
        if self.costs + self.threshold >= PPM:
            raise InvalidAmount(f"cost of both ways {percent(self.costs)} and threshold {percent(self.threshold)} leave no price to buy at")
        for what in ("hold", "fair_age", "price_age"):
            if type(getattr(self, what)) is not int or getattr(self, what) <= 0:
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be a positive whole number of nanoseconds")
        for what in ("patience", "cooldown", "every"):
            if type(getattr(self, what)) is not int or getattr(self, what) < 0:
                raise InvalidAmount(f"{what} {getattr(self, what)!r} must be whole nanoseconds, and not negative")
        if not isinstance(self.name, str) or not self.name:
            raise InvalidMarket(f"an engine has a name, not {self.name!r}")
        least, most, cap, total = (self._money(what).units for what in ("least", "most", "cap", "total"))
        if not 0 < least <= most <= cap <= total:
            told = f"least {self.least}, most {self.most}, cap {self.cap}, total {self.total} {self.quote}"
            raise InvalidAmount(f"{told}: need 0 < least <= most <= cap <= total")

    def _money(self, what: str) -> Amount:
        return self.quote(getattr(self, what))

    @property
    def quote(self) -> Asset:
        """What the tokens redeem for, and what the vault must be in."""
        return self.pegs[0].market.quote

    @property
    def costs(self) -> int:
        """The cost of both ways, in parts per million."""
        return 2 * (self.fee + self.slip)

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return tuple(market for peg in self.pegs for market in peg.markets)

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        tokens = ", ".join(f"{peg.token.coin} on {' and '.join(map(str, peg.markets))}" for peg in self.pegs)
        redeemed = [str(peg.token.coin) for peg in self.pegs if peg.redemption is not None]
        unstakes = (
            f"; unstakes {', '.join(redeemed)} after {lasting(self.patience)} where that pays more than the market and at least what "
            f"was paid, with {percent(self.carry)} a year for the delay"
            if redeemed
            else ""
        )
        return (
            f"{self.name}, {tokens}: buys when the discount to fair value is at least {percent(self.costs + self.threshold)} "
            f"({percent(self.costs)} both ways and {percent(self.threshold)}), in proportion to it up to {self.cap} {self.quote} "
            f"at cost for each token at {percent(self.costs + self.full)}, {self.most} at once, {self.total} in all, "
            f"{lasting(self.cooldown)} apart; "
            f"sells at a discount of {percent(self.exit)} that brings back what was paid{unstakes}; gives up after {lasting(self.hold)}, "
            f"when the discount is {percent(self.widen)} wider than when bought, or {percent(self.loss)} of what was paid is lost; "
            f"decides nothing on a fair value older than {lasting(self.fair_age)} or a price older than {lasting(self.price_age)}"
        )

    def begin(self) -> DepegMemory:
        return DepegMemory(tuple(Holding() for _ in self.pegs))

    def saw(self, memory: DepegMemory) -> Mapping[str, str]:
        """What each token's last decision was made on, and why nothing was done."""
        told: dict[str, str] = {}
        for peg, held in zip(self.pegs, memory.tokens, strict=True):
            coin = peg.token.coin
            told[f"{coin} price"] = peg.market.price_text(held.price) if held.price else "unknown"
            told[f"{coin} fair"] = "unknown" if held.fair is None else f"{held.fair.worth / held.fair.units:.9g}"
            told[f"{coin} discount"] = "unknown" if held.discount is None else percent(held.discount)
            told[f"{coin} decision"] = held.did
            told[f"{coin} why"] = held.why
        return told

    def decide(self, memory: DepegMemory, view: View) -> Iterable[Intent] | None:
        wishes: list[Place] = []
        for peg, held in zip(self.pegs, memory.tokens, strict=True):
            _notice(peg, held, view)
            wish = self._about(peg, held, view, wishes)
            if wish is not None:
                wishes.append(wish)
        return wishes or None

    def _about(self, peg: Peg, held: Holding, view: View, wishes: Sequence[Place]) -> Place | None:
        """What to do about one token, after what was wished for the others."""
        held.did, held.discount = "nothing", None
        book, fair = self._fresh(peg, held, view)
        if book is None or fair is None:
            return None
        market = peg.market
        held.discount = _discount(market, fair, book.ask, Rounding.FLOOR)
        at_peg = _discount(market, fair, book.bid, Rounding.CEIL) <= self.exit
        held.barred = held.barred and not at_peg
        if held.discount < self.costs + self.threshold:
            held.opened = None
        elif held.opened is None:
            held.opened = view.now
        if any(order.place.instrument in peg.markets for order in view.orders()):
            held.why = "an order of it is under way"
            return None
        position = view.position(market)
        if position > 0 and not held.worth:
            held.worth = _value(fair, position)
        wish = self._exit(peg, held, view, book, fair, at_peg) if not _dust(market, position, book.bid) else None
        if wish is not None:
            held.did, held.why = "unstake" if wish.instrument == peg.redemption else "sell", wish.why
            return wish
        wish = self._entry(peg, held, view, book, fair, wishes)
        if wish is not None:
            held.did, held.why, held.bought_on = "buy", wish.why, fair
        elif position > 0:
            held.did = "hold"
        return wish

    def _fresh(self, peg: Peg, held: Holding, view: View) -> tuple[Book | None, FairValue | None]:
        """The price and the fair value to decide on; where one is missing or old, neither, and why is noted."""
        book, fair = view.book_of(peg.market), view.news(FairValue, peg.token.coin.code)
        held.price, held.fair, held.why = 0 if book is None else book.ask, fair, ""
        if book is None:
            held.why = "no price"
        elif not 0 <= view.now - book.at <= self.price_age:
            held.why = "the price is stale"
        elif fair is None:
            held.why = "no fair value"
        elif fair.quote != peg.market.quote:
            held.why = f"the fair value is in {fair.quote}"
        elif fair.base != peg.market.base:
            held.why = f"the fair value is of {fair.base} with {fair.base.scale} decimals, not {peg.market.base.scale}"
        elif not 0 <= view.now - fair.at <= self.fair_age:
            held.why = "the fair value is stale"
        return (book, fair) if not held.why else (None, None)

    # -- buying --------------------------------------------------------------------------------------------------------

    def _entry(self, peg: Peg, held: Holding, view: View, book: Book, fair: FairValue, wishes: Sequence[Place]) -> Place | None:
        market = peg.market
        assert held.discount is not None
        edge = held.discount - self.costs
        if held.opened is None:
            held.why = f"the discount is below {percent(self.costs + self.threshold)}"
        elif fair.at < held.opened:
            held.why = "the fair value is older than the discount"
        elif held.barred:
            held.why = "given up, and not back at its peg since"
        elif held.changed is not None and view.now - held.changed < self.cooldown:
            held.why = "cooldown"
        if held.why:
            return None
        limit = self._most_to_pay(market, fair)
        bought = [wish for wish in wishes if wish.side is Side.BUY]
        room = self._room(market, edge, view, bought)
        free = view.free() - sum(view.hold(wish) or 0 for wish in bought)
        if room < self._money("least").units:
            held.why = "the caps are reached"
            return None
        money = Amount(max(0, min(room, free)), self.quote)  # an amount, not a number: in a vault of another coin this raises
        wish = self._fit(market, market.affordable(money.units, limit), limit, free, view) if view.affordable(market, money) else None
        least = max(self._money("least").units, market.min_notional_units)
        if wish is None or wish.qty < market.min_qty_units or market.cost(book.ask, wish.qty, Rounding.FLOOR) < least:
            held.why = "too little free money"
            return None
        expect = _value(fair, wish.qty) - market.cost(book.ask, wish.qty, Rounding.CEIL)
        return Place(market, Side.BUY, wish.qty, limit=limit, tif=TimeInForce.IOC, expect=expect, why="de-peg")

    def _most_to_pay(self, market: Instrument, fair: FairValue) -> int:
        """The price at which what is bought, its slippage paid, promises just `threshold`: no buy fills beyond it."""
        times, over = market.ratio
        kept = PPM - (self.costs - self.slip + self.threshold)
        ticks = divide(fair.worth * over * kept, fair.units * times * PPM * market.tick_units, Rounding.FLOOR)
        return max(1, ticks) * market.tick_units

    def _room(self, market: Instrument, edge: int, view: View, bought: Sequence[Place]) -> int:
        """What may be spent on this token now, in quote units: under its size at this discount and every cap."""
        spent = {peg.market.symbol: view.open_cost(peg.market) for peg in self.pegs}
        for place in (*(order.place for order in view.orders() if order.place.side is Side.BUY), *bought):
            if place.instrument.symbol in spent and place.limit is not None:
                spent[place.instrument.symbol] += place.instrument.cost(place.limit, place.qty, Rounding.CEIL)
        target = divide(self._money("cap").units * min(edge, self.full), self.full, Rounding.FLOOR)
        rest = self._money("total").units - sum(spent.values())
        return min(target - spent[market.symbol], rest, self._money("most").units)

    @staticmethod
    def _fit(market: Instrument, qty: int, limit: int, free: int, view: View) -> Place | None:
        """A buy of at most this quantity whose hold fits into free money; None where not a lot does."""
        for _ in range(3):
            if qty <= 0:
                return None
            wish = Place(market, Side.BUY, qty, limit=limit, tif=TimeInForce.IOC)
            needed = view.hold(wish)
            if needed is None:
                return None
            if needed <= free:
                return wish
            qty = market.round_qty(min(qty - market.lot_units, qty * max(0, free) // needed))
        return None

    # -- selling -------------------------------------------------------------------------------------------------------

    def _exit(self, peg: Peg, held: Holding, view: View, book: Book, fair: FairValue, at_peg: bool) -> Place | None:
        market = peg.market
        position, cost = view.position(market), view.open_cost(market)
        paid = divide(cost * (PPM + self.fee), PPM, Rounding.CEIL)
        brings = market.cost(book.bid, position, Rounding.FLOOR, -(self.fee + self.slip))
        redeems = self._redeems(peg, view, fair, position)
        age = view.now - held.since
        if _wider(market, fair, book.bid, cost, held.worth, self.widen):
            return self._sale(peg.market, held, view, "widened")
        if brings * PPM < paid * (PPM - self.loss):
            return self._sale(peg.market, held, view, "loss")
        if at_peg and brings >= paid:
            return self._sale(peg.market, held, view, "re-peg", limit=market.shift(book.bid, -self.slip, Rounding.FLOOR))
        pays = redeems is not None and redeems > brings
        if age >= self.hold:
            where = peg.redemption if pays and peg.redemption is not None else peg.market
            return self._sale(where, held, view, "time stop")
        if pays and redeems is not None and redeems >= paid and age >= self.patience and peg.redemption is not None:
            return self._sale(peg.redemption, held, view, "unstake")
        return None

    def _redeems(self, peg: Peg, view: View, fair: FairValue, qty: int) -> int | None:
        """What unstaking brings in the end, less what the money could earn meanwhile; None without a fresh redemption market."""
        if peg.redemption is None:
            return None
        book = view.book_of(peg.redemption)
        if book is None or not 0 <= view.now - book.at <= self.price_age:
            return None
        worth = min(_value(fair, qty), peg.redemption.cost(book.bid, qty, Rounding.FLOOR))
        waits = divide(self.carry * peg.token.unstake_delay, YEAR, Rounding.CEIL)
        return divide(worth * (PPM - peg.token.unstake_fee) * max(0, PPM - waits), PPM * PPM, Rounding.FLOOR)

    @staticmethod
    def _sale(market: Instrument, held: Holding, view: View, why: str, *, limit: int | None = None) -> Place | None:
        """All that can be sold; what is given up is not bought again before it was back at its peg."""
        if why in _GIVES_UP:
            held.barred = True
        qty = market.round_qty(max(0, view.sellable(market)))
        if qty < max(market.lot_units, market.min_qty_units):
            held.why = f"{why}, and nothing of it can be sold"
            return None
        tif = TimeInForce.GTC if limit is None else TimeInForce.IOC
        return Place(market, Side.SELL, qty, limit=limit, tif=tif, reduce_only=True, why=why)


_GIVES_UP = frozenset({"widened", "loss", "time stop"})


def _notice(peg: Peg, held: Holding, view: View) -> None:
    """Take in what has become of the position since the last look, whatever can be decided now."""
    qty = max(0, view.position(peg.market))
    if qty == held.qty:
        return
    if qty < held.qty:
        held.worth = divide(held.worth * qty, held.qty, Rounding.FLOOR)
    elif held.bought_on is not None:
        held.worth += _value(held.bought_on, qty - held.qty)
    else:
        held.worth = 0  # bought before a restart: taken as bought on the next fair value that is seen
    book = view.book_of(peg.market)
    if _dust(peg.market, held.qty, 0 if book is None else book.bid):
        held.since = view.now
    held.qty, held.changed = qty, view.now


def _value(fair: FairValue, qty: int) -> int:
    """What base units redeem for, in quote units, rounded down."""
    return divide(qty * fair.worth, fair.units, Rounding.FLOOR)


def _discount(market: Instrument, fair: FairValue, price: int, rounding: Rounding) -> int:
    """How far a price lies below fair value, in parts per million; below zero when above it."""
    times, over = market.ratio
    whole = fair.worth * over
    return divide((whole - price * times * fair.units) * PPM, whole, rounding)


def _wider(market: Instrument, fair: FairValue, price: int, cost: int, worth: int, by_ppm: int) -> bool:
    """Whether the discount at a price exceeds that of the buys (what was paid over what it was worth then) by more than this."""
    times, over = market.ratio
    whole = fair.worth * over
    if worth <= 0:
        return False
    return (cost * whole - price * times * fair.units * worth) * PPM > by_ppm * whole * worth


def _dust(market: Instrument, qty: int, price: int) -> bool:
    """Whether this is too little to be sold there."""
    sold = market.round_qty(max(0, qty))
    return sold < max(market.lot_units, market.min_qty_units) or market.cost(price, sold, Rounding.FLOOR) < market.min_notional_units
