"""The terms of an order are kept: post-only never takes, reduce-only never opens, fill-or-kill is whole, an end is an end."""

from __future__ import annotations

from ...market import SECOND
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


@TERMS.promise(Feature.FILL_OR_KILL)
async def _fill_or_kill_is_whole_or_nothing(stage: Stage) -> None:
    """A fill-or-kill order is filled whole, or refused or canceled with nothing filled; it never waits."""
    played = await stage.play(scenes.fill_or_kill(stage))
    whole, dear, short = played.scene.orders.values()
    for order in (whole, dear, short):
        filled, off = played.filled(order), any(isinstance(event, (Rejected, Canceled)) for event in played.said_of(order))
        played.check(filled in (0, order.place.qty), f"{order.id} was for {order.place.qty} units or none, and {filled} were filled")
        played.check(off is not bool(filled), f"{order.id} was neither filled nor taken off: {events_text(played.said_of(order))}")
    played.check(played.filled(whole), f"{whole.id} was never filled, though the market had it all: nothing was proved")
    played.check(not played.filled(dear), f"{dear.id} was filled, though the market never came to its limit")


@TERMS.promise(Feature.RESTING, Feature.GOOD_TIL)
async def _an_order_ends_at_its_time(stage: Stage) -> None:
    """An order that is good until an instant is canceled then, and not before; at that instant and after it nothing of it fills."""
    played = await stage.play(scenes.good_til(stage))
    *ended, goes_on = played.scene.orders.values()
    for order in played.scene.orders.values():
        end = order.place.good_til
        assert end is not None
        for fill in played.fills_of(order):
            late = (fill.at - end) / SECOND
            played.check(fill.at < end, f"{fill_text(fill)} happened {late:g} s after {order.id} had ended")
        for event in played.said_of(order):
            early = isinstance(event, Canceled) and event.at < end
            played.check(not early, f"{event_text(event)} is {(end - event.at) / SECOND:g} s before {order.id} was to end")
    for order in ended:
        said = played.said_of(order)
        played.check(isinstance(said[-1], Canceled), f"{order.id} ended before the market came to it, and was not: {events_text(said)}")
    played.check(
        played.filled(goes_on), f"{goes_on.id} was passed through by the market before its end and never filled: nothing was proved"
    )
