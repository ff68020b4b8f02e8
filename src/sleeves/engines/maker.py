"""Maker: quotes both sides of one market in layers around a price, moves them against what it holds, renews what changed.

Where quotes stand, and how large they are, is `sleeves.quoting`: the rules of dYdX's megavault with its parameters. Here they
meet an account that has to pay, and a venue that needs time.

- The price is the middle of the book or, with `fair_value`, what the latest `FairValue` says of the coin.
- Equity is what the sleeve was given with all it made, leverage its position at that price over it. Coins cannot be sold
  short: on a spot market `neutral` of equity in coins counts as flat, and leverage is measured from there.
- Asks are for no more coins than there are, bids for no more money with the fee: the deeper layers get smaller, or go.
- A quote that changed is cancelled and placed again in one go, under its other number, where both fit; otherwise it is placed
  once the old one is gone. While the old one's cancel is under way nothing else is placed there: never more than one quote of
  a side and layer stands that is not being cancelled, however slow the venue is.
- A quote that would meet an order of the sleeve's own, or a post-only one that would be refused, waits.
- A quote that is gone, and was not cancelled here, did not end and was not filled, is taken for refused, by the venue or a
  gate. Its place waits until `FIRST_WAIT` after it was placed, and twice as long after each further one, up to `LONGEST_WAIT`,
  until a quote is seen to stand there again. See `PlaceMemory`.
- A sleeve that only closes, or is paused, quotes the closing side, reduce-only, for what it has. In any other state, and
  without a price, with one that is stale, or without equity, nothing is quoted and what stands is cancelled.

An engine is asked when a price or news comes. When no more come nobody asks it: then it is the venue that takes its quotes off,
at their `good_til`. So no quote outlives its price by more than `expiry_s`.

Quotes are found again by their tag, which is the client id of `quoting` in text: also after a restart. The engine sees prices
and its own sleeve, nothing of accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from attrs import define, evolve, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import MINUTE, SECOND, Instrument
from ..money import PPM, Rounding, decimal_text, divide
from ..money import Fraction as Rate
from ..news import FairValue
from ..orders import Cancel, Intent, Order, Place, Side
from ..protocols import View
from ..quoting import LayerOrder, QuotingParams, Resting, Stance, capped, client_ids, leverage, quotes, refresh
from ..status import Status
from .rates import lasting, part, percent, said

__all__ = ["Maker", "MakerMemory"]

AGAIN = 5 * SECOND
"""How long after a cancel that brought nothing another one is sent."""
FIRST_WAIT = SECOND
"""How long after a quote that was refused was placed the next one is, at the least."""
LONGEST_WAIT = MINUTE
"""What that grows to."""
TRACE = SECOND
"""A quote that is still there so long after it was placed was taken by the venue, until it turns out otherwise."""
STOOD = 10 * SECOND
"""And after so long it was for certain: earlier refusals are forgotten."""
FORGOTTEN = 2 * LONGEST_WAIT
"""So long after the last refusal they are as well, once a quote leaves a trace."""
UNTRACED = 30
"""So many quotes of a place in a row may be gone without a trace for a reason that could be a good one; the next is taken for refused."""
_STANCE = {Status.ACTIVE: Stance.QUOTING, Status.CLOSE_ONLY: Stance.CLOSE_ONLY, Status.PAUSED: Stance.CLOSE_ONLY}
_FREE_BITS = (1 << 23) - 2
"""What no client id has set: between the layer and the bit that flips."""


def _part_or_none(value: Rate | None) -> int | None:
    return None if value is None else part(value)


@define
class PlaceMemory:
    """What became of the quotes of one place: a side and layer.

    An engine is not told of a refusal: it sees that an order is gone. Where its sleeve traded meanwhile that may have been
    the reason, and a quote that was cancelled before it could leave a trace may have been refused as well. Neither is taken
    for a refusal, up to `UNTRACED` times in a row. A venue that takes longer to refuse than the maker takes to renew is not
    found out: there no more is sent than to one that takes everything.
    """

    wish: Place | None = None
    """The last quote, until it is gone."""
    at: int = 0
    """When it was placed."""
    asked: bool = False
    """Whether its cancel was asked for."""
    traced: bool = False
    """Whether it was seen to stand."""
    untraced: int = 0
    """How many before it, in a row, were gone without a trace and without being taken for refused."""
    refused: int = 0
    """How many were refused since one stood."""
    refused_at: int = 0
    again_at: int = 0
    """When the place may be tried again; 0 where nothing was refused since a quote left a trace there."""

    @property
    def doubted(self) -> bool:
        """Whether a quote has to show that it stands: it is not renewed before it left a trace."""
        return self.again_at > 0 or self.untraced >= UNTRACED

    def sent(self, wish: Place, now: int) -> None:
        """A quote was wished for; the one before it is cancelled, if it was still there."""
        if self.wish is not None:
            self.gone(now, explained=True)
        self.wish, self.at, self.asked, self.traced = wish, now, False, False

    def seen(self, now: int) -> None:
        """The last quote is still there."""
        if now - self.at >= TRACE:
            self.traced, self.untraced, self.again_at = True, 0, 0
            if now - self.at >= STOOD or now - self.refused_at >= FORGOTTEN:
                self.refused = 0

    def filled(self) -> None:
        """The last quote was taken whole."""
        self.wish, self.untraced, self.refused, self.again_at = None, 0, 0, 0

    def gone(self, now: int, *, explained: bool) -> None:
        """The last quote is gone, for a reason that may be a good one or without any."""
        wish, self.wish = self.wish, None
        if wish is None or self._ended(wish, now) or (explained and self.traced):
            return
        refused = not explained or self.untraced >= UNTRACED
        if refused:
            self.refused, self.refused_at = self.refused + 1, now
        else:
            self.untraced += 1
        if refused or self.again_at:
            self.again_at = self.at + min(FIRST_WAIT << min(self.refused - 1, 32), LONGEST_WAIT)

    def _ended(self, wish: Place, now: int) -> bool:
        """Whether its time was over. One that was seen to stand may end a little earlier, by the venue's clock."""
        return wish.good_til is not None and now >= wish.good_til - (TRACE if self.traced else 0)


@define
class MakerMemory:
    """The numbers of the quotes that were placed last, the cancels that are under way, and what the last decision was made on."""

    numbers: dict[int, int] = field(factory=dict)
    """By place, which is a client id that was never flipped, the number that was used last."""
    asked: dict[str, int] = field(factory=dict)
    """When the cancel of an order was asked for last, by its id."""
    places: dict[int, PlaceMemory] = field(factory=dict)
    """What became of the quotes, by place."""
    position: int = 0
    """Base units, at the last decision."""
    exit_at: int | None = None
    """When the sleeve had last sold or closed, then."""
    next_at: int = 0
    price: Fraction | None = None
    equity: int | None = None
    leverage: Fraction | None = None
    wanted: int = 0
    """How many quotes should stand."""
    standing: int = 0
    """How many of them stood already."""
    why: str = ""
    """Why nothing was quoted, or why a quote waits."""


@frozen
class _Ground:
    """What one decision is made on."""

    price: Fraction
    worth: Fraction
    """Quote units that one base unit is worth at that price."""
    equity: int
    leverage: Fraction
    stance: Stance


@frozen
class Maker:
    """The market maker on one instrument, spot or perpetual. Rates are text ("0.1%"), times nanoseconds.

    The parameters are dYdX's defaults, which are wide and mean what the vault's asset counts with six decimal places:
    `QuotingParams.of(...)` for others. Raises `InvalidMarket` and `InvalidAmount` for what cannot be.
    """

    instrument: Instrument
    params: QuotingParams = field(factory=QuotingParams)
    every: int = SECOND
    """The least time between two decisions, news or not."""
    tolerance: int = field(default=said("0%"), converter=part)
    """How far the price of a quote may be off before it is renewed, as a part of it. 0%: it is exact, as on the chain."""
    size_tolerance: int = field(default=said("0%"), converter=part)
    """The same of its size."""
    neutral: int | None = field(default=None, converter=_part_or_none)
    """The part of equity in coins that counts as flat on a spot market: half where it is not said. Contracts are flat at none."""
    fair_value: bool = False
    """Whether the price is that of `FairValue` news of the coin, and not the middle of the book."""
    price_change: int = field(default=said("0%"), converter=part)
    """The least change of the price that is told, for the spread's buffer: 0% of a book's middle, of an oracle its threshold."""
    age_ns: int = MINUTE
    """How old the price may be. A book's may be as old as twice the step between its last two, see `Book.stale`."""
    name: str = "maker"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.instrument, Instrument):
            raise InvalidMarket(f"Maker quotes an Instrument, not {self.instrument!r}")
        if not isinstance(self.params, QuotingParams):
            raise InvalidAmount(f"Maker quotes by QuotingParams, not by {self.params!r}")
        if not isinstance(self.name, str) or not self.name:
            raise InvalidMarket(f"an engine has a name, not {self.name!r}")
        if type(self.fair_value) is not bool:
            raise InvalidAmount(f"fair_value {self.fair_value!r} must be True or False")
        for what in ("tolerance", "size_tolerance", "price_change", "neutral"):
            value = getattr(self, what)
            if value is not None and not 0 <= value <= PPM:
                raise InvalidAmount(f"{what} {percent(value)} must lie from 0% to 100%")
        if self.neutral and self.instrument.contract is not None:
            raise InvalidAmount(f"neutral {percent(self.neutral)} is for coins: contracts of {self.instrument} are flat at none")
        for what, least in (("every", 0), ("age_ns", 1)):
            value = getattr(self, what)
            if type(value) is not int or value < least:
                raise InvalidAmount(f"{what} {value!r} must be a whole number of nanoseconds, at least {least}")

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (self.instrument,)

    @property
    def flat_ppm(self) -> int:
        """The part of equity in coins that counts as flat."""
        if self.instrument.contract is not None:
            return 0
        return PPM // 2 if self.neutral is None else self.neutral

    def describe(self) -> str:
        """The rules in words, with these parameters."""
        params, market = self.params, self.instrument
        flat = "" if market.contract is not None else f"; with {percent(self.flat_ppm)} of equity in coins it is flat"
        around = "the fair value of its coin" if self.fair_value else "the middle of the book"
        return (
            f"{self.name} on {market}: {params.layers} layers of asks and bids around {around}, at least "
            f"{percent(params.spread_min_ppm)} off and {percent(params.spread_buffer_ppm)} above its least change of "
            f"{percent(self.price_change)}, each for {percent(params.order_size_ppm)} of equity, moved by "
            f"{percent(params.skew_factor_ppm)} of the spread for each unit of leverage{flat}; an order stands {params.expiry_s} s and is "
            f"renewed when its price is off by more than {percent(self.tolerance)} or its size by more than "
            f"{percent(self.size_tolerance)}, looked at every {lasting(self.every)}; nothing without a position while equity is below "
            f"{market.quote.units(params.activation)}, or while the price is older than {lasting(self.age_ns)}"
        )

    def begin(self) -> MakerMemory:
        return MakerMemory()

    def saw(self, memory: MakerMemory) -> Mapping[str, str]:
        """What the last decision was made on, and why something is not quoted."""
        market, price, lever = self.instrument, memory.price, memory.leverage
        near = Rounding.HALF_EVEN
        return {
            "price": "unknown" if price is None else market.price_text(divide(price.numerator, price.denominator, near)),
            "equity": "unknown" if memory.equity is None else str(market.quote.units(memory.equity)),
            "leverage": "unknown" if lever is None else decimal_text(divide(lever.numerator * PPM, lever.denominator, near), 6),
            "quotes": f"{memory.standing} of {memory.wanted} stood",
            "why": memory.why,
        }

    # -- a decision --------------------------------------------------------------------------------------------------------

    def decide(self, memory: MakerMemory, view: View) -> Iterable[Intent] | None:
        if view.now < memory.next_at:
            return None
        memory.next_at = view.now + self.every
        memory.wanted = memory.standing = 0
        memory.why = ""
        self._notice(memory, view)
        here = self._look(memory, view)
        if here is None:
            return self._renew(memory, view, {}, Stance.STAND_BY) or None
        flat = abs(view.position(self.instrument)) < self.instrument.lot_units
        if here.stance is Stance.QUOTING and flat and here.equity < self.params.activation:
            memory.why = "equity is below the activation threshold"
            return None
        wanted = self._wanted(view, here)
        memory.wanted = len(wanted)
        return self._renew(memory, view, wanted, here.stance) or None

    def _look(self, memory: MakerMemory, view: View) -> _Ground | None:
        """The price, equity and leverage; None, with the reason, where nothing may be quoted."""
        market, stance = self.instrument, _STANCE.get(view.status, Stance.STAND_BY)
        memory.price, memory.equity, memory.leverage = self._price(memory, view), None, None
        made = view.pnl()
        if memory.price is None:
            return None
        if made is None:
            memory.why = "a holding has no price"
            return None
        memory.equity = equity = view.capital() + made
        if equity <= 0:
            memory.why = "no equity"
            return None
        times, over = market.ratio
        worth = memory.price * Fraction(times, over)
        lever = leverage(view.position(market), worth, equity)
        if stance is Stance.QUOTING:
            lever -= Fraction(self.flat_ppm, PPM)
        memory.leverage = lever
        if stance is Stance.STAND_BY:
            memory.why = f"the sleeve is {view.status}"
            return None
        return _Ground(memory.price, worth, equity, lever, stance)

    def _price(self, memory: MakerMemory, view: View) -> Fraction | None:
        """What to quote around, in price units; None, with the reason, where that is not known or too old."""
        market = self.instrument
        book = view.book_of(market)
        if book is None:
            memory.why = "no price"
            return None
        if not self.fair_value:
            if book.stale(view.now, self.age_ns):
                memory.why = "the price is stale"
                return None
            return Fraction(book.bid + book.ask, 2)
        fair = view.news(FairValue, market.base.code)
        if fair is None or fair.base != market.base or fair.quote != market.quote:
            memory.why = f"no fair value of {market.base} in {market.quote}"
            return None
        if not 0 <= view.now - fair.at <= self.age_ns:
            memory.why = "the fair value is stale"
            return None
        times, over = market.ratio
        return Fraction(fair.worth * over, fair.units * times)

    # -- what should stand -------------------------------------------------------------------------------------------------

    def _wanted(self, view: View, here: _Ground) -> dict[int, LayerOrder]:
        """The quotes that should stand, by place: as the rules have them, as far as there are coins and money for them."""
        market = self.instrument
        orders: Sequence[LayerOrder] = quotes(
            self.params,
            equity=here.equity,
            leverage=here.leverage,
            inventory=view.position(market),
            price=here.price,
            worth=here.worth,
            tick=market.tick_units,
            step=market.lot_units,
            now=view.now,
            stance=here.stance,
            min_price_change_ppm=self.price_change,
        )
        if market.contract is None:
            asks = capped([one for one in orders if one.sells], self._coins(view), market.lot_units)
            bids = self._paid_for(view, [one for one in orders if not one.sells], self._money(view, here))
            orders = [*asks, *bids]
        orders = [one for one in orders if self._is_order(one)]
        lowest = min((one.price for one in orders if one.sells), default=None)
        return {one.id: one for one in orders if one.sells or lowest is None or one.price < lowest}

    def _is_order(self, order: LayerOrder) -> bool:
        """Whether the venue takes one so small."""
        market = self.instrument
        worth = market.cost(order.price, order.size, Rounding.FLOOR)
        return order.size >= market.min_qty_units and worth >= market.min_notional_units

    def _coins(self, view: View) -> int:
        """Coins to sell: all that were bought here, those aside that other orders of the sleeve sell."""
        sold = sum(order.place.qty for order in self._others(view) if order.place.side is Side.SELL)
        return max(0, view.position(self.instrument) - sold)

    def _money(self, view: View, here: _Ground) -> int:
        """Money to buy with, quotes that stand included: equity less the coins, and less what other orders set aside."""
        market, book = self.instrument, view.book_of(self.instrument)
        if book is None:
            return 0
        kept = sum(view.hold(order.place) or 0 for order in self._others(view) if order.place.side is Side.BUY)
        return max(view.spendable(market), here.equity - market.cost(book.mid, view.position(market), Rounding.CEIL) - kept)

    def _others(self, view: View) -> list[Order]:
        """Open orders in this market that are no quotes of ours."""
        return [order for order in view.orders() if order.place.instrument == self.instrument and _number(order) is None]

    def _paid_for(self, view: View, bids: Iterable[LayerOrder], money: int) -> list[LayerOrder]:
        """Bids, one after the other, as far as money goes, with the fee that is set aside."""
        fit = []
        for bid in bids:
            for _ in range(3):  # an order made smaller in proportion may still be a rounding too large
                needed = view.hold(self._place(bid, Stance.QUOTING))
                if needed is None or needed <= money:
                    break
                less = self.instrument.round_qty(bid.size * max(0, money) // needed)
                bid = evolve(bid, size=min(less, bid.size - self.instrument.lot_units))
                if bid.size <= 0:
                    break
            if needed is None or needed > money or bid.size <= 0:
                break
            money -= needed
            fit.append(bid)
        return fit

    # -- what became of the quotes -----------------------------------------------------------------------------------------

    def _notice(self, memory: MakerMemory, view: View) -> None:
        """Which quotes stand, and why those may be gone that do not."""
        now, position, exit_at = view.now, view.position(self.instrument), view.last_exit()
        moved, traded = position - memory.position, (position, exit_at) != (memory.position, memory.exit_at)
        memory.position, memory.exit_at = position, exit_at
        there = {order.place.tag for order in view.orders() if order.place.instrument == self.instrument}
        missing: dict[Side, list[PlaceMemory]] = {Side.BUY: [], Side.SELL: []}
        for one in memory.places.values():
            if one.wish is None:
                continue
            if one.wish.tag in there:
                one.seen(now)
            elif one.asked:
                one.gone(now, explained=True)
            else:
                missing[one.wish.side].append(one)
        for side, ones in missing.items():
            whole = sum(one.wish.qty for one in ones if one.wish is not None) <= moved * side.sign
            for one in ones:
                if whole:
                    one.filled()
                else:
                    one.gone(now, explained=traded)

    # -- what has to be done about it --------------------------------------------------------------------------------------

    def _renew(self, memory: MakerMemory, view: View, wanted: Mapping[int, LayerOrder], stance: Stance) -> list[Intent]:
        """Cancels and new quotes, so that what is wanted stands; what stands and is wanted is left alone."""
        now = view.now
        standing = self._standing(memory, view)
        live: dict[int, Resting] = {}
        current: dict[int, Order] = {}
        leaving: set[int] = set()
        cancels: list[Intent] = []
        for place, orders in standing.items():
            for order in orders:
                ends, number = order.place.good_til, _number(order)
                assert number is not None
                if order is not orders[-1] or order.id in memory.asked or (ends is not None and now >= ends):
                    leaving.add(place)
                    cancels += self._cancel(memory, order, now)
                else:
                    live[number], current[number] = self._terms(order), order
                memory.numbers[place] = number
        same = self._near if stance is Stance.QUOTING else self._near_and_no_larger
        places = tuple(dict.fromkeys([*client_ids(self.params.layers), *standing]))
        changes = refresh([memory.numbers.get(place) for place in places], live, [wanted.get(place) for place in places], same)
        placed: list[Place] = []
        for place, change in zip(places, changes, strict=True):
            past = memory.places.setdefault(place, PlaceMemory())
            shows = stance is Stance.QUOTING and past.wish is not None and past.doubted
            if shows and change.cancel is not None and change.place is not None:
                memory.standing += 1
                continue
            if change.cancel is not None:
                cancels += self._cancel(memory, current[change.cancel], now)
            if change.place is None:
                memory.standing += place in wanted
                continue
            wish = self._place(change.place, stance)
            if place in leaving:
                why = "a cancel is under way"
            elif now < past.again_at:
                why = f"waits: the venue or a gate refused it, {past.refused} in a row; again in {lasting(past.again_at - now)}"
            else:
                why = self._waits(view, wish, placed)
            memory.why = memory.why or (why and f"{wish.why}: {why}")
            if not why and change.id is not None:
                memory.numbers[place] = change.id
                past.sent(wish, now)
                placed.append(wish)
        return [*cancels, *placed]

    def _standing(self, memory: MakerMemory, view: View) -> dict[int, list[Order]]:
        """Our quotes at the venue by place, oldest first."""
        standing: dict[int, list[Order]] = {}
        open_ids = set()
        for order in view.orders():
            open_ids.add(order.id)
            number = _number(order)
            if number is not None and order.place.instrument == self.instrument:
                standing.setdefault(number & ~1, []).append(order)
        memory.asked = {one: at for one, at in memory.asked.items() if one in open_ids}
        return standing

    def _cancel(self, memory: MakerMemory, order: Order, now: int) -> list[Intent]:
        """A cancel, unless one was sent a moment ago."""
        asked = memory.asked.get(order.id)
        if asked is not None and now - asked < AGAIN:
            return []
        memory.asked[order.id] = now
        past = memory.places.get((_number(order) or 0) & ~1)
        if past is not None and past.wish is not None and past.wish.tag == order.place.tag:
            past.asked = True
        return [Cancel(order.id)]

    def _near(self, stands: Resting, wanted: Resting) -> bool:
        """Whether what stands is near enough to what should."""
        if stands.sells is not wanted.sells:
            return False
        off, more = abs(stands.price - wanted.price), abs(stands.size - wanted.size)
        return off * PPM <= self.tolerance * wanted.price and more * PPM <= self.size_tolerance * wanted.size

    def _near_and_no_larger(self, stands: Resting, wanted: Resting) -> bool:
        """The same where a size is all that there is to close."""
        return stands.size <= wanted.size and self._near(stands, wanted)

    @staticmethod
    def _terms(order: Order) -> Resting:
        return Resting(order.place.side is Side.SELL, order.place.limit or 0, order.place.qty)

    def _place(self, quote: LayerOrder, stance: Stance) -> Place:
        return Place(
            self.instrument,
            Side.SELL if quote.sells else Side.BUY,
            quote.size,
            quote.price,
            reduce_only=stance is Stance.CLOSE_ONLY,
            post_only=quote.post_only,
            why=f"{'ask' if quote.sells else 'bid'} {quote.layer}",
            good_til=quote.good_til,
            tag=str(quote.id),
        )

    def _waits(self, view: View, wish: Place, placed: Sequence[Place]) -> str:
        """Why a quote cannot be placed now, behind those of this decision; nothing where it can."""
        market, book = self.instrument, view.book_of(self.instrument)
        limit, buys = wish.limit, wish.side is Side.BUY
        if book is None or limit is None:
            return "no price"
        if wish.post_only and (limit >= book.ask if buys else limit <= book.bid):
            return "it would take"
        against = [one.place.limit for one in view.orders() if one.place.instrument == market and one.place.side is not wish.side]
        if any(one is not None and (limit >= one if buys else limit <= one) for one in against):
            return "it would meet an order of this sleeve"
        mine = [one for one in placed if one.side is wish.side]
        if wish.reduce_only and market.contract is not None:
            return "" if wish.qty <= view.closable(wish) - sum(one.qty for one in mine) else "more than is left to close"
        if market.contract is None and not buys:
            return "" if wish.qty <= view.sellable(market) - sum(one.qty for one in mine) else "coins are set aside"
        needed = view.hold(wish)
        spent = sum(view.hold(one) or 0 for one in (placed if market.contract is not None else mine))
        return "" if needed is not None and needed <= view.spendable(market) - spent else "money is set aside"


def _number(order: Order) -> int | None:
    """The client id that an order is tagged with; None of one that is no quote of ours."""
    tag = order.place.tag
    if not tag.isdecimal() or not tag.isascii() or len(tag) > 10:
        return None
    number = int(tag)
    return number if number < 1 << 32 and not number & _FREE_BITS else None
