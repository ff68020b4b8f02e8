"""Money is rounded against us: fees, costs and prices are never better than what was offered, ordered or held for."""

from __future__ import annotations

from ...facts import Liquidated
from ...money import PPM, Amount, Rounding
from ...orders import Fill, Liquidity, Side
from .. import scenes
from ..offer import Feature, Offer
from ..stage import Played, PromiseBroken, Stage
from ..words import event_text, fill_text
from .promise import Chapter

__all__ = ["ROUNDING"]

ROUNDING = Chapter()


def _check_fees(played: Played, stage: Stage, liquidity: Liquidity, rate: int) -> None:
    """Every fill of this liquidity has a fee of the rate's sign, and of its size to within a step for each fill."""
    met = [fill for fill in played.fills if fill.liquidity is liquidity]
    played.check(met, f"no order was filled as {liquidity}, so nothing was proved")
    for fill in met:
        played.check(
            fill.fee.units * (rate or 1) >= 0 and (rate or not fill.fee.units), f"{fill_text(fill)} has a fee of {fill.fee} at {rate} ppm"
        )
        played.check(fill.fee.asset in (fill.instrument.quote, fill.instrument.base), f"{fill_text(fill)} has its fee in {fill.fee.asset}")
        most = _due(fill, stage.offer) + len(met) * stage.offer.fee_step * PPM
        played.check(
            fill.fee.units * PPM < most, f"{fill_text(fill)} has a fee of {fill.fee}, more than {rate} ppm and the rounding come to"
        )


def _due(fill: Fill, offer: Offer) -> int:
    """A fill's fee in millionths of a unit, as offered."""
    rate = offer.maker_ppm if fill.liquidity is Liquidity.MAKER else offer.taker_ppm
    return rate * (fill.cost if fill.fee.asset == fill.instrument.quote else fill.qty)


@ROUNDING.promise()
async def _a_taker_pays_its_fee(stage: Stage) -> None:
    """Who takes pays the fee that is offered: above zero it is paid, below zero it is received."""
    for scene in (scenes.round_trip(stage), scenes.worst(stage)):
        _check_fees(await stage.play(scene), stage, Liquidity.TAKER, stage.offer.taker_ppm)


@ROUNDING.promise(Feature.RESTING)
async def _a_maker_pays_its_fee_or_receives_its_rebate(stage: Stage) -> None:
    """Who makes pays the fee that is offered, or receives it where it is below zero."""
    _check_fees(await stage.play(scenes.resting(stage)), stage, Liquidity.MAKER, stage.offer.maker_ppm)


@ROUNDING.promise()
async def _a_fee_is_rounded_against_us(stage: Stage) -> None:
    """The fees of an order come to no less than its rate says."""
    for played in await scenes.play_every(stage):
        for order_id in played.sent:
            fills = played.fills_of(order_id)
            for asset in {fill.fee.asset.code: fill.fee.asset for fill in fills}.values():
                taken = [fill for fill in fills if fill.fee.asset == asset]
                paid, due = sum(fill.fee.units for fill in taken), sum(_due(fill, stage.offer) for fill in taken)
                told = f"{order_id} paid {Amount(paid, asset)} in fees for {len(taken)} fills, less than the {due} millionths of a unit due"
                played.check(paid * PPM >= due, told)


@ROUNDING.promise()
async def _a_cost_is_rounded_against_us(stage: Stage) -> None:
    """What is bought costs no less than its price times its quantity, and what is sold brings no more, a unit aside."""
    for played in await scenes.play_every(stage):
        for fill in played.fills:
            least, most = (fill.instrument.cost(fill.price, fill.qty, way) for way in (Rounding.FLOOR, Rounding.CEIL))
            if fill.side is Side.BUY:
                played.check(fill.cost >= least, f"{fill_text(fill)} cost less than the {least} that its price says")
            else:
                played.check(fill.cost <= most, f"{fill_text(fill)} brought more than the {most} that its price says")
        for liquidation in played.facts(Liquidated):
            market, qty = liquidation.instrument, abs(liquidation.change)
            least, most = (market.cost(liquidation.price, qty, way) for way in (Rounding.FLOOR, Rounding.CEIL))
            holds = liquidation.cost >= least if liquidation.change > 0 else liquidation.cost <= most
            played.check(holds, f"{event_text(liquidation)} was for better money than its price says: {least} to {most}")


@ROUNDING.promise()
async def _a_fill_is_of_whole_lots_and_ticks(stage: Stage) -> None:
    """A fill is of whole lots and, on a book, at a price on the tick."""
    for played in await scenes.play_every(stage):
        for fill in played.fills:
            market = fill.instrument
            played.check(not fill.qty % market.lot_units, f"{fill_text(fill)} is not of whole lots of {market.lot_units} units")
            on_tick = not fill.price % market.tick_units or not stage.has(Feature.RESTING)
            played.check(on_tick, f"{fill_text(fill)} is not at a whole tick of {market.tick_units} units")


@ROUNDING.promise()
async def _a_limit_is_never_filled_worse(stage: Stage) -> None:
    """A limit is never filled worse than its limit."""
    seen = 0
    for played in await scenes.play_every(stage):
        for order in played.scene.orders.values():
            limit = order.place.limit
            for fill in played.fills_of(order) if limit is not None else ():
                assert limit is not None
                seen += 1
                worse = (fill.price - limit) * order.place.side.sign > 0
                played.check(not worse, f"{fill_text(fill)} is worse than the limit {limit}")
                bound = fill.instrument.cost(limit, fill.qty, Rounding.CEIL if order.place.side is Side.BUY else Rounding.FLOOR)
                dear = (fill.cost - bound) * order.place.side.sign > 0
                played.check(not dear, f"{fill_text(fill)} is for worse money than its limit {limit} allows, {bound}")
    if not seen:
        raise PromiseBroken("no limit was filled in any scene, so nothing was proved.")


@ROUNDING.promise()
async def _no_order_is_filled_beyond_its_worst_price(stage: Stage) -> None:
    """An order is never filled beyond `order.worst`, the price that the money held for it covers."""
    played = await stage.play(scenes.worst(stage))
    tight, wide = list(played.scene.orders.values())[:2]
    for order in played.scene.orders.values():
        for fill in played.fills_of(order):
            beyond = order.worst is not None and (fill.price - order.worst) * order.place.side.sign > 0
            played.check(not beyond, f"{fill_text(fill)} is beyond the order's worst price {order.worst}")
    played.check(played.filled(wide), f"{wide.id} was not filled, though its worst price covers the gap: nothing was proved")
    played.check(played.filled(tight) < tight.place.qty, f"{tight.id} was filled, though the market had left its worst price")
