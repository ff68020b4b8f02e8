"""The terms of an order are kept: post-only never takes, reduce-only never opens."""

from __future__ import annotations

from ...orders import Canceled, Liquidity, Rejected
from .. import scenes
from ..offer import Feature
from ..stage import Stage
from ..words import event_text, events_text, fill_text
from .promise import Chapter

__all__ = ["TERMS"]

TERMS = Chapter()


@TERMS.promise(Feature.RESTING, Feature.POST_ONLY)
async def _post_only_never_takes(stage: Stage) -> None:
    """A post-only order is refused rather than taking liquidity; otherwise it rests and fills as maker."""
    played = await stage.play(scenes.post_only(stage))
    taking, resting = played.scene.orders.values()
    for fill in played.fills:
        played.check(fill.liquidity is Liquidity.MAKER, f"{fill_text(fill)} took liquidity")
    off = any(isinstance(event, (Rejected, Canceled)) for event in played.said_of(taking))
    played.check(
        off or played.filled(taking), f"{taking.id} would take, and was neither refused nor moved: {events_text(played.said_of(taking))}"
    )
    played.check(played.filled(resting), f"{resting.id} was passed through by the market and never filled: nothing was proved")


@TERMS.promise(Feature.REDUCE_ONLY)
async def _reduce_only_never_opens(stage: Stage) -> None:
    """A reduce-only order never opens, turns or grows a position."""
    played = await stage.play(scenes.reduce_only(stage))
    held, reduced = 0, 0
    for fill in played.fills:
        order = played.scene.orders[fill.order_id]
        after = held + fill.side.sign * fill.qty
        if order.place.reduce_only:
            shrinks = abs(after) < abs(held) and after * held >= 0
            played.check(shrinks, f"{fill_text(fill)} took the position from {held} to {event_text(after)}, though {order.id} only reduces")
            reduced += fill.qty
        held = after
    played.check(reduced, "no reduce-only order was filled, so nothing was proved")
    if stage.perp:
        played.check(held == 0, f"what was sold reduce-only was more than was held, and {held} units are left")
