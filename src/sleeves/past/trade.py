"""One trade as a fill: what is exact stays exact, and what had to be worked out is told.

Quantity, cost and fee are money and must fit their assets to the last unit. A price is what the money came to per coin:
one that is finer than the instrument's own is rounded half-even, and no figure of the books hangs on it but the value of
a fee in the base coin. A cost that the venue does not tell is worked out of price and quantity, rounded against us.

This module knows no file format and no venue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from ..errors import InvalidAmount, SleevesError
from ..facts import CashFlow, FlowKind
from ..market import Instrument
from ..money import Amount, Asset, Rounding, divide, parse_units
from ..orders import Fill, Liquidity, Side
from .history import Note, PastTrade
from .table import Place

__all__ = ["Rounded", "amount_of", "by_coin", "fee_flows", "trade_of"]


def amount_of(place: Place, what: str, number: Decimal, asset: Asset) -> Amount:
    """A number as an exact amount. Raises `BadHistory`, and says which scale would hold it."""
    try:
        return asset(number)
    except InvalidAmount as error:
        places = len(format(number, "f").partition(".")[2].rstrip("0"))
        fits = f"; an Asset({asset.code!r}, {places}) counts it" if asset.scale < places <= 18 else ""
        raise place.wrong(f"{what}: {error}{fits}") from error


class Rounded:
    """Where prices were rounded and costs worked out, to be told in a history's notes."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.costs: list[str] = []

    @property
    def notes(self) -> tuple[Note, ...]:
        """What there is to tell, if anything."""
        found = (
            Note("prices finer than the instrument's, rounded half-even to it", tuple(self.prices)),
            Note("costs not told, worked out of price and quantity", tuple(self.costs)),
        )
        return tuple(note for note in found if note.where)


def trade_of(
    place: Place,
    market: Instrument,
    *,
    id: str,  # noqa: A002 the field's word
    order: str,
    at: int,
    side: Side,
    qty: Decimal,
    price: Decimal,
    cost: Decimal | None,
    fees: Sequence[Amount],
    liquidity: Liquidity,
    venue: str,
    rounded: Rounded,
    tag: str = "",
) -> PastTrade:
    """The trade, exactly, or `BadHistory` naming the place, the value and the rule."""
    units = amount_of(place, "quantity", qty, market.base).units
    try:
        shown_price = market.whole_price(price)
    except SleevesError as error:
        raise place.wrong(f"price: {error}") from error
    try:
        parse_units(price, market.price_scale)
    except InvalidAmount:
        rounded.prices.append(str(place))
    if cost is None:
        rounded.costs.append(str(place))
        money = _worked_out(market, side, units, price)
    else:
        money = amount_of(place, "cost", cost, market.quote).units
    main, *further = by_coin(fees, market)
    try:
        fill = Fill(order, at, market, side, units, shown_price, money, main, liquidity, id, venue)
    except SleevesError as error:
        raise place.wrong(str(error)) from error
    return PastTrade(fill, fee_flows(fill, further), tag)


def fee_flows(fill: Fill, fees: Iterable[Amount]) -> tuple[CashFlow, ...]:
    """Fees of a fill in further coins, as flows that follow from it."""
    return tuple(
        CashFlow(fill.at, -fee, FlowKind.FEE, f"{fill.key}/fee {fee.asset.code}", fill.key, fill.venue) for fee in fees if fee.units
    )


def _worked_out(market: Instrument, side: Side, qty: int, price: Decimal) -> int:
    """Price times quantity in quote units: rounded up for what was paid, down for what was received."""
    numerator, denominator = price.as_integer_ratio()
    times = numerator * qty * 10**market.quote.scale
    return divide(times, denominator * 10**market.base.scale, Rounding.CEIL if side is Side.BUY else Rounding.FLOOR)


def by_coin(fees: Iterable[Amount], market: Instrument) -> list[Amount]:
    """One fee per coin. The first is the fill's own: in the base coin if there is one, for then it takes from the position."""
    sums: dict[str, Amount] = {}
    for fee in fees:
        sums[fee.asset.code] = sums.get(fee.asset.code, fee.asset.zero) + fee
    found = [fee for fee in sums.values() if fee.units]
    found.sort(key=lambda fee: (fee.asset != market.base, fee.asset != market.quote))
    return found or [market.quote.zero]
