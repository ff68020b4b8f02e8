"""How a market maker quotes: layers around a price, moved against what it holds, and which of them have to be placed anew.

The rules of dYdX's megavault, exactly as its chain works them out (`protocol/x/vault/keeper/orders.go` and `withdraw.go`, and
`lib/vault/utils.go`), on integers and exact fractions. With L the leverage in ppm, rounded up, and layer i from 0:

    size    = equity x order_size, in base units, rounded down to the step
    spread  = max(spread_min, spread_buffer + least change of the price)
    lev_i   = L - i x order_size for an ask, L + i x order_size for a bid;  x = skew_factor x lev_i, rounded up
    skew    L <  0: ask (x - 1)^2 - 1, bid -x          L >= 0: ask -x, bid -((x + 1)^2 - 1)
    ask     = price x (1 + (1 + skew) x spread), up to the tick       bid = price x (1 - (1 - skew) x spread), down to it

So both sides move against the inventory: what would grow it ever faster, what closes it towards the price and beyond. An
order that grows it is post-only.

Prices are in the units of whatever book is quoted on, sizes in base units, money in quote units; an `Instrument`'s ratio, or
`unit_worth` for a chain's own units, turns one into the other. Times are nanoseconds. This module knows no order that was
sent, no account and no venue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction

from attrs import evolve, frozen

from .errors import InvalidAmount
from .market import SECOND
from .money import PPM, Rounding, divide, ppm
from .money import Fraction as Rate

__all__ = [
    "MOST_LAYERS",
    "Change",
    "InvalidQuoting",
    "LayerOrder",
    "QuotingParams",
    "Resting",
    "Stance",
    "base_to_quote",
    "capped",
    "check_shares",
    "clamp",
    "client_id",
    "client_ids",
    "effective_params",
    "flipped",
    "leverage",
    "order_size",
    "outset_ppm",
    "quote_to_base",
    "quotes",
    "refresh",
    "skew_antiderivative",
    "skew_ppm",
    "spread_ppm",
    "subticks",
    "to_multiple",
    "unit_worth",
    "withdrawal_slippage",
]

MOST_LAYERS = 255
"""A layer has eight bits of a client id."""
_ASK_BIT, _LAYER_BIT = 31, 23


class InvalidQuoting(InvalidAmount):
    """What cannot be quoted with. `rule` names the rule that was broken.

    rule          broken by
    layers        layers that are not from 0 to 255
    spread_min    a least spread that is not above zero
    spread_buffer one below zero
    order_size    a size that is not above zero
    expiry        an expiry that is not above zero
    activation    a threshold below zero
    skew          a skew factor below zero, or so high that skew x size reaches 2
    price         a price that is not above zero
    equity        equity that is not above zero
    leverage      leverage that is no exact fraction
    size          an order larger than the book can hold; a step or an inventory that is none
    shares        shares to withdraw that are none, or more than there are
    """

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class Stance(StrEnum):
    """Which sides a vault quotes."""

    DEACTIVATED = "deactivated"
    STAND_BY = "stand_by"
    """Neither side, like a deactivated one."""
    QUOTING = "quoting"
    CLOSE_ONLY = "close_only"
    """The side that closes the position, at most all of it."""


@frozen(order=False)
class QuotingParams:
    """How a vault quotes: dYdX's parameters with its defaults, in integers. `QuotingParams.of` takes rates as text.

    Raises `InvalidQuoting` for the first rule that is broken, in the order of the chain's own checks.
    """

    layers: int = 2
    """Pairs of an ask and a bid; 0: none."""
    spread_min_ppm: int = 10_000
    """The least distance of a quote from the price, flat."""
    spread_buffer_ppm: int = 1_500
    """What is kept above the least change of the price that is told."""
    skew_factor_ppm: int = 2_000_000
    """How strongly quotes move for each unit of leverage."""
    order_size_ppm: int = 100_000
    """Each order's size, as a part of equity."""
    expiry_s: int = 60
    """How long an order stands, in whole seconds."""
    activation: int = 1_000_000_000
    """Equity without a position below which nothing is quoted, in quote units: 1,000 coins of six decimal places."""

    def __attrs_post_init__(self) -> None:
        rules = (
            ("layers", "layers", 0, f"from 0 to {MOST_LAYERS}"),
            ("spread_min_ppm", "spread_min", 1, "above zero"),
            ("spread_buffer_ppm", "spread_buffer", 0, "not below zero"),
            ("order_size_ppm", "order_size", 1, "above zero"),
            ("expiry_s", "expiry", 1, "above zero"),
            ("activation", "activation", 0, "not below zero"),
            ("skew_factor_ppm", "skew", 0, "not below zero"),
        )
        for name, rule, least, words in rules:
            value = getattr(self, name)
            if type(value) is not int or value < least or (rule == "layers" and value > MOST_LAYERS):
                raise InvalidQuoting(f"{name} {value!r} must be a whole number {words}", rule)
        if self.skew_factor_ppm * self.order_size_ppm >= 2 * PPM * PPM:
            what = f"skew_factor_ppm {self.skew_factor_ppm} and order_size_ppm {self.order_size_ppm}"
            raise InvalidQuoting(f"{what}: the skew of one order, their product, must stay below 2", "skew")

    @classmethod
    def of(
        cls,
        *,
        layers: int = 2,
        spread_min: Rate = "1%",
        spread_buffer: Rate = "0.15%",
        skew_factor: Rate = "2",
        order_size: Rate = "10%",
        expiry_s: int = 60,
        activation: int = 1_000_000_000,
    ) -> QuotingParams:
        """With rates as text: `QuotingParams.of(spread_min="0.1%", order_size="5%")`."""
        rates = ppm(spread_min, "spread_min"), ppm(spread_buffer, "spread_buffer"), ppm(skew_factor, "skew_factor")
        return cls(layers, *rates, ppm(order_size, "order_size"), expiry_s, activation)


def effective_params(own: QuotingParams | None, default: QuotingParams) -> QuotingParams:
    """A vault's own parameters where it has some, else the default."""
    return default if own is None else own


def _exact(what: str, value: object, rule: str, *, positive: bool = True, whole: bool = False) -> None:
    """Raise `InvalidQuoting` unless a value is a whole number, or a fraction where it may be one, above zero where it has to be."""
    kinds = int if whole else (int, Fraction)
    if isinstance(value, bool) or not isinstance(value, kinds) or (positive and value <= 0):
        form = "a whole number" if whole else "a whole number or a fraction"
        raise InvalidQuoting(f"{what} {value!r} must be {form}{', above zero' if positive else ''}", rule)


# -- rounding -----------------------------------------------------------------------------------------------------------


def to_multiple(value: int, step: int, rounding: Rounding) -> int:
    """A number as a multiple of a step above zero, rounded as named. Raises `InvalidAmount` for another step."""
    return divide(value, step, rounding) * step


def clamp(value: int, least: int, most: int) -> int:
    """Within two bounds. The lower one is looked at first, and so decides where they contradict each other."""
    return least if value < least else min(value, most)


# -- units --------------------------------------------------------------------------------------------------------------


def subticks(price: int, exponent: int, conversion: int, base_resolution: int, quote_resolution: int = -6) -> Fraction:
    """A dYdX oracle price, `price` x 10^`exponent` coins, in its order book's price units: exact.

    `conversion` is the pair's quantum conversion exponent; resolutions are powers of ten of the smallest units.
    """
    return price * Fraction(10) ** (exponent - conversion + base_resolution - quote_resolution)


def unit_worth(price: int, exponent: int, base_resolution: int, quote_resolution: int = -6) -> Fraction:
    """Quote units that one base unit is worth at a dYdX oracle price: exact."""
    return price * Fraction(10) ** (exponent + base_resolution - quote_resolution)


def base_to_quote(units: int, worth: Fraction) -> int:
    """Base units in quote units at so many quote units each, toward zero."""
    return divide(units * worth.numerator, worth.denominator, Rounding.DOWN)


def quote_to_base(units: int, worth: Fraction) -> int:
    """Quote units in base units at so many quote units each, toward zero. Raises `InvalidQuoting` unless that is above zero."""
    _exact("the worth of a base unit", worth, "price")
    return divide(units * worth.denominator, worth.numerator, Rounding.DOWN)


def leverage(inventory: int, worth: Fraction, equity: int) -> Fraction:
    """A position of base units over equity, with its sign. Raises `InvalidQuoting` unless equity is above zero."""
    _exact("equity", equity, "equity", whole=True)
    return Fraction(base_to_quote(inventory, worth), equity)


# -- where and how much --------------------------------------------------------------------------------------------------


def spread_ppm(params: QuotingParams, min_price_change_ppm: int) -> int:
    """How far from the price a flat maker quotes, in ppm. Below zero is no change of a price: `InvalidQuoting`."""
    if type(min_price_change_ppm) is not int or min_price_change_ppm < 0:
        raise InvalidQuoting(f"the least change of a price, {min_price_change_ppm!r} ppm, must be whole and not below zero", "price")
    return max(params.spread_min_ppm, params.spread_buffer_ppm + min_price_change_ppm)


def outset_ppm(leverage: Fraction) -> int:
    """The leverage at layer 0 in ppm, rounded up, whose sign says which rule each side follows."""
    _exact("leverage", leverage, "leverage", positive=False)
    return divide(leverage.numerator * PPM, leverage.denominator, Rounding.CEIL)


def skew_ppm(params: QuotingParams, leverage: Fraction, layer: int, *, sells: bool) -> int:
    """How far a quote is moved for the leverage, in ppm of the spread: above zero up, below zero down.

    The sign of `outset_ppm` says which rule a side follows, also where a deeper layer's leverage has the other sign.
    """
    outset = outset_ppm(leverage)
    at_layer = outset + (-layer if sells else layer) * params.order_size_ppm
    x = divide(at_layer * params.skew_factor_ppm, PPM, Rounding.CEIL)
    if sells is (outset >= 0):
        return -x
    grown = x - PPM if sells else x + PPM
    away = divide(grown * grown, PPM, Rounding.CEIL) - PPM
    return away if sells else -away


def skew_antiderivative(skew_factor_ppm: int, leverage: Fraction) -> Fraction:
    """s l^2 + s^2 l^3 / 3: what, differentiated by the leverage, is the skew of the side that grows it, (s l + 1)^2 - 1."""
    s = Fraction(skew_factor_ppm, PPM)
    return s * leverage**2 + s**2 * leverage**3 / 3


def order_size(params: QuotingParams, equity: int, worth: Fraction, step: int) -> int:
    """The size of every order, in base units on the step; 0 where the equity is too small for one."""
    return to_multiple(quote_to_base(equity * params.order_size_ppm, worth * PPM), step, Rounding.FLOOR)


def _price(price: Fraction, skew: int, spread: int, tick: int, most: int | None, *, sells: bool) -> int:
    """Where a quote stands: on the tick, rounded away from the middle, at least one tick."""
    away = (PPM + skew) * spread if sells else -(PPM - skew) * spread
    rounding = Rounding.CEIL if sells else Rounding.FLOOR
    units = divide(price.numerator * (PPM * PPM + away), price.denominator * PPM * PPM * tick, rounding) * tick
    return max(units, tick) if most is None else clamp(units, tick, to_multiple(most, tick, Rounding.FLOOR))


# -- the list of quotes --------------------------------------------------------------------------------------------------


def client_id(layer: int, *, sells: bool) -> int:
    """The number of a quote: side in bit 31, layer in bits 30 to 23. Bit 0 flips when it is placed anew."""
    if type(layer) is not int or not 0 <= layer <= MOST_LAYERS:
        raise InvalidQuoting(f"layer {layer!r} must be a whole number from 0 to {MOST_LAYERS}", "layers")
    return (1 << _ASK_BIT if sells else 0) | layer << _LAYER_BIT


def client_ids(layers: int) -> tuple[int, ...]:
    """The numbers of so many layers in their order: ask 0, bid 0, ask 1, bid 1 and so on."""
    return tuple(client_id(layer, sells=sells) for layer in range(layers) for sells in (True, False))


def flipped(number: int) -> int:
    """The other number of the same quote."""
    return number ^ 1


@frozen(order=False)
class Resting:
    """What is compared of an order: its side, its price, and the size that it was placed with."""

    sells: bool
    price: int
    size: int


@frozen(order=False)
class LayerOrder:
    """One quote. `good_til` is when it ends, in nanoseconds on a whole second."""

    id: int
    sells: bool
    layer: int
    price: int
    size: int
    post_only: bool
    good_til: int

    @property
    def terms(self) -> Resting:
        return Resting(self.sells, self.price, self.size)


def capped(orders: Sequence[LayerOrder], room: int, step: int) -> tuple[LayerOrder, ...]:
    """Orders one after the other as far as there is room, in base units rounded down to the step; the last one may be smaller."""
    room = to_multiple(room, step, Rounding.FLOOR)
    kept = []
    for order in orders:
        if room <= 0:
            break
        size = min(order.size, room)
        room -= size
        kept.append(order if size == order.size else evolve(order, size=size))
    return tuple(kept)


def quotes(
    params: QuotingParams,
    *,
    equity: int,
    leverage: Fraction,
    inventory: int,
    price: Fraction,
    worth: Fraction,
    tick: int,
    step: int,
    now: int,
    stance: Stance = Stance.QUOTING,
    min_price_change_ppm: int = 0,
    most_price: int | None = None,
    most_size: int | None = None,
) -> tuple[LayerOrder, ...]:
    """What should stand in the book now: ask 0, bid 0, ask 1, bid 1 and so on; only the closing side when it only closes.

    `price` is the reference in the book's price units, `worth` what a base unit is worth at it in quote units, `tick` and
    `step` the steps of price and size, `most_price` and `most_size` what the book's numbers can hold. `leverage` and
    `inventory` bear their sign. There is no look at the book: with much inventory the closing side may cross it.

    Raises `InvalidQuoting` for a price (first) or equity that is not above zero, for what is no exact number, and for
    orders beyond `most_size`; nothing is quoted where the equity is too small for a step.
    """
    _exact("the price", price, "price")
    _exact("equity", equity, "equity", whole=True)
    _exact("the inventory", inventory, "size", positive=False, whole=True)
    for what, units in (("the step of a price", tick), ("the step of a size", step)):
        _exact(what, units, "size", whole=True)
    if most_price is not None and most_price < tick:
        raise InvalidQuoting(f"the highest price {most_price} must be at least one tick, {tick}", "price")
    outset = outset_ppm(leverage)
    closes = stance is Stance.CLOSE_ONLY
    if stance in (Stance.DEACTIVATED, Stance.STAND_BY) or (closes and not leverage):
        return ()
    size = order_size(params, equity, worth, step)
    if not size:
        return ()
    if most_size is not None and size > most_size:
        raise InvalidQuoting(f"an order of {size} base units: the book holds at most {most_size}", "size")
    spread = spread_ppm(params, min_price_change_ppm)
    good_til = (now // SECOND + params.expiry_s) * SECOND

    def at(layer: int, sells: bool) -> LayerOrder:
        skew = skew_ppm(params, leverage, layer, sells=sells)
        where = _price(price, skew, spread, tick, most_price, sells=sells)
        grows = outset <= 0 if sells else outset >= 0
        return LayerOrder(client_id(layer, sells=sells), sells, layer, where, size, grows, good_til)

    if closes:
        return capped([at(layer, leverage > 0) for layer in range(params.layers)], abs(inventory), step)
    return tuple(at(layer, sells) for layer in range(params.layers) for sells in (True, False))


# -- what has to be done about it ----------------------------------------------------------------------------------------


@frozen(order=False)
class Change:
    """What becomes of one place in the list: `cancel` what stands there, `place` what should; neither: it stays as it is."""

    id: int | None
    """The number that is remembered for this place; None where there never was one, and for what is left over."""
    cancel: int | None = None
    place: LayerOrder | None = None


def refresh(
    old: Sequence[int | None],
    live: Mapping[int, Resting],
    new: Sequence[LayerOrder | None],
    same: Callable[[Resting, Resting], bool] = Resting.__eq__,
) -> tuple[Change, ...]:
    """Which quotes to place and to cancel, place by place of the list; `[one.id for one in changes[:len(new)]]` is to be remembered.

    `old` are the numbers that were remembered, `live` what stands by number, `new` what should stand, None for nothing at
    a place. What stands is kept where it is the `same`, of side, price and original size; how long it still stands and
    how much of it is left are not compared. What takes the place of another, or of one that is gone, has its number
    flipped. What stands beyond the end of the new list is cancelled.
    """
    changes = []
    for place, order in enumerate(new):
        before = old[place] if place < len(old) else None
        stands = None if before is None else live.get(before)
        if order is None:
            changes.append(Change(before, cancel=None if stands is None else before))
        elif before is None:
            changes.append(Change(order.id, place=order))
        elif stands is not None and same(stands, order.terms):
            changes.append(Change(before))
        else:
            number = flipped(before)
            changes.append(Change(number, None if stands is None else before, evolve(order, id=number)))
    changes += [Change(None, cancel=before) for before in old[len(new) :] if before is not None and before in live]
    return tuple(changes)


# -- what a withdrawal costs ---------------------------------------------------------------------------------------------


def check_shares(shares: int, total_shares: int) -> None:
    """Raise `InvalidQuoting` unless there are some to withdraw, and no more than there are."""
    for what, value in (("shares", shares), ("total shares", total_shares)):
        if type(value) is not int:
            raise InvalidQuoting(f"{what} {value!r} must be a whole number", "shares")
    if not 0 < shares <= total_shares:
        raise InvalidQuoting(f"{shares} shares to withdraw must be above zero, and at most all {total_shares}", "shares")


def withdrawal_slippage(
    leverage: Fraction, shares: int, total_shares: int, initial_margin_ppm: int, params: QuotingParams, min_price_change_ppm: int
) -> Fraction:
    """The part of what a withdrawal takes out that stays behind for what it does to the leverage: exact.

    With l the leverage without its sign and l' = l n / (n - m) what m of n shares make of it:

        min(l x initial margin, spread x (l + (A(l') - A(l)) x (n - m) / m))

    where A is `skew_antiderivative`: the spread with the average skew on the way, times l. All shares leave with the first of
    the two. It may exceed 1. Raises `InvalidQuoting` for the shares of `check_shares`.
    """
    check_shares(shares, total_shares)
    lever = abs(Fraction(leverage))
    simple = lever * Fraction(initial_margin_ppm, PPM)
    left = total_shares - shares
    if not lever or not left:
        return simple
    after = lever * Fraction(total_shares, left)
    way = skew_antiderivative(params.skew_factor_ppm, after) - skew_antiderivative(params.skew_factor_ppm, lever)
    return min(simple, Fraction(spread_ppm(params, min_price_change_ppm), PPM) * (lever + way * Fraction(left, shares)))
