"""What is told comes in an order of time that makes sense."""

from __future__ import annotations

from itertools import pairwise

from attrs import evolve

from ...facts import FundingPaid
from ...market import SECOND, Quote
from ...orders import Accepted, Canceled, Fill, Liquidity, Place, Rejected, Side, SubmitOrder
from .. import scenes
from ..offer import Feature
from ..stage import Played, Stage
from ..words import event_text, events_text, fill_text
from .promise import Chapter

__all__ = ["TIMES"]

TIMES = Chapter()


@TIMES.promise()
async def _events_come_in_an_order_that_makes_sense(stage: Stage) -> None:
    """Nothing is said of an order before it was sent, no rest fills before it was accepted, and prices come in order of time."""
    for played in await scenes.play_every(stage):
        _check_sent_first(played)
        for order_id in played.sent:
            said = played.said_of(order_id)
            kinds = [type(event) for event in said]
            if Accepted in kinds:
                first = kinds.index(Accepted)
                played.check(not first, f"{order_id} was Accepted after {event_text(said[0])}")
            elif any(isinstance(event, Fill) and event.liquidity is Liquidity.MAKER for event in said):
                played.check(False, f"{order_id} rested and was filled, but was never Accepted: {events_text(said)}")
            if Rejected in kinds:
                played.check(Fill not in kinds, f"{order_id} was Rejected, and filled: {events_text(said)}")
            if Canceled in kinds:
                behind = said[kinds.index(Canceled) + 1 :]
                played.check(all(isinstance(event, Fill) for event in behind), f"{order_id} was Canceled, and then: {events_text(behind)}")
        prices = [event.at for event in played.told if isinstance(event, Quote)]
        played.check(prices == sorted(prices), "prices were told out of order")


@TIMES.promise()
async def _the_times_of_an_order_never_run_backwards(stage: Stage) -> None:
    """What is told of an order is in order of time and after it was sent; only a fill from before a cancel may be told after it."""
    for scene in scenes.every(stage):
        if scene.script.name != scenes.RACED_ACROSS:  # has a promise of its own
            _check_times(await stage.play(scene))


@TIMES.promise(Feature.RESTING, Feature.PARTIAL)
async def _a_cancel_is_not_of_an_earlier_time_than_a_fill_before_it(stage: Stage) -> None:
    """A cancel that was asked for when the order had filled in part, untold as yet, is of no earlier time than that part."""
    played = await stage.play(scenes.raced_across(stage))
    far = list(played.scene.orders.values())[2]
    played.check(
        0 < played.filled(far) < far.place.qty, f"{far.id} was filled with {played.filled(far)} units, not in part: nothing was proved"
    )
    _check_times(played)


@TIMES.promise(Feature.FUNDING, kind="perp")
async def _an_order_never_fills_in_the_past(stage: Stage) -> None:
    """An order that is sent in the middle of a row, when funding is told, fills at no earlier time."""
    scene = stage.scene("an order sent between two prices", (0, 1, (2, 300, 1, 290), 295, 300, 298), funding={2: 100_003})
    order = scene.draft(2, Place(stage.market, Side.BUY, stage.qty))
    due = scene.script.funding[0].at
    order = evolve(order, at=due)
    scene.answers = lambda event: [SubmitOrder(order)] if isinstance(event, FundingPaid) else ()
    played = await stage.play(scene)
    fills = played.fills_of(order)
    played.check(fills, f"{order.id} was sent when funding was told, and never filled: nothing was proved")
    for fill in fills:
        late = (order.at - fill.at) / SECOND
        played.check(fill.at >= order.at, f"{fill_text(fill)} happened {late:g} s before the order was sent")


def _check_times(played: Played) -> None:
    for order_id in played.sent:
        for fill in played.fills_of(order_id):
            order = played.scene.orders[order_id]
            played.check(fill.at >= order.at, f"{fill_text(fill)} happened {(order.at - fill.at) / SECOND:g} s before the order was sent")
        for before, after in pairwise(played.said_of(order_id)):
            late = isinstance(after, Fill) and isinstance(before, Canceled)
            played.check(
                late or after.at >= before.at, f"{event_text(after)} was told after {event_text(before)}, but is of an earlier time"
            )


def _check_sent_first(played: Played) -> None:
    for number, event in enumerate(played.told):
        if isinstance(event, (Accepted, Fill, Canceled, Rejected)):
            since = min(played.sent.get(event.order_id, len(played.told)), played.cancels.get(event.order_id, len(played.told)))
            played.check(number >= since, f"{event_text(event)} was told before its order was sent")
