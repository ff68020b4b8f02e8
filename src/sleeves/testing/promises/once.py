"""What is sent twice is done once."""

from __future__ import annotations

from ...orders import Accepted, Canceled, Rejected
from .. import scenes
from ..offer import Feature
from ..stage import Stage
from ..words import events_text
from .promise import Chapter

__all__ = ["ONCE"]

ONCE = Chapter()


@ONCE.promise()
async def _an_order_sent_twice_is_one_order(stage: Stage) -> None:
    """Sending the same order id again does nothing: there is one order, one set of fills and one refusal."""
    played = await stage.play(scenes.twice(stage))
    for order in played.scene.orders.values():
        filled = played.filled(order)
        played.check(filled == order.place.qty, f"{order.id} was sent four times for {order.place.qty} units, and {filled} were filled")
    refused = await stage.play(scenes.refused(stage))
    for one in (played, refused):
        for order_id in one.sent:
            for kind in (Accepted, Rejected):
                times = sum(isinstance(event, kind) for event in one.said_of(order_id))
                one.check(times <= 1, f"{order_id} was {kind.__name__} {times} times: each sending was taken for an order of its own")


@ONCE.promise()
async def _a_cancel_sent_twice_is_one_cancel(stage: Stage) -> None:
    """However often a cancel is asked for, it is answered once."""
    played = await stage.play(scenes.canceled(stage))
    for order_id in played.cancels:
        times = sum(isinstance(event, Canceled) for event in played.said_of(order_id))
        played.check(times <= 1, f"{order_id} was Canceled {times} times")


@ONCE.promise(Feature.TRANSFERS)
async def _a_transfer_sent_twice_is_one_transfer(stage: Stage) -> None:
    """Sending the same transfer id again does nothing."""
    played = await stage.play(scenes.transfers(stage))
    for transfer_id in played.asked:
        answers = played.answers(transfer_id)
        played.check(len(answers) == 1, f"{transfer_id} was answered {len(answers)} times: {events_text(answers)}")
