"""What becomes of an order: it is filled, in parts or whole, or goes off the book."""

from __future__ import annotations

from ...facts import AccountFact
from ...orders import Canceled, Fill
from .. import scenes
from ..offer import Feature
from ..stage import Stage
from ..words import event_text, events_text, fill_text
from .promise import Chapter

__all__ = ["ORDERS"]

ORDERS = Chapter()


@ORDERS.promise()
async def _a_cancel_of_what_is_not_open_is_passed_over(stage: Stage) -> None:
    """A cancel of an order that is filled says nothing more of it, and one of an unknown order is passed over or answered once."""
    played = await stage.play(scenes.canceled(stage))
    unknown, filled = list(played.scene.orders.values())[:2]
    played.check(
        len(played.said_of(unknown)) <= 1, f"{unknown.id} was never sent, and was spoken of: {events_text(played.said_of(unknown))}"
    )
    played.check(played.filled(unknown) == 0, f"{unknown.id} was never sent, and was filled")
    played.check(played.filled(filled) == filled.place.qty, f"{filled.id}, at market, was not filled within three rows: nothing was proved")
    last = played.said_of(filled)[-1]
    played.check(isinstance(last, Fill), f"{filled.id} was filled, and a cancel was answered with {event_text(last)}")


@ORDERS.promise()
async def _an_order_is_canceled_or_filled_and_not_both(stage: Stage) -> None:
    """An order that is filled whole is not canceled, and one that is canceled has a rest that never fills."""
    for played in await scenes.play_every(stage):
        for order in played.scene.orders.values():
            canceled = [event for event in played.said_of(order) if isinstance(event, Canceled)]
            filled = played.filled(order)
            both = canceled and filled >= order.place.qty
            played.check(not both, f"{order.id} was filled with all its {order.place.qty} units, and Canceled: {events_text(canceled)}")


@ORDERS.promise()
async def _nothing_fills_after_a_cancel(stage: Stage) -> None:
    """After `Canceled`, no fill of the order happens; one may still be told that happened before."""
    for played in await scenes.play_every(stage):
        for order_id in played.sent:
            canceled = None
            for event in played.said_of(order_id):
                if isinstance(event, Canceled):
                    canceled = event
                elif canceled is not None and isinstance(event, Fill):
                    played.check(event.at <= canceled.at, f"{fill_text(event)} happened at {event.at}, after {event_text(canceled)}")


@ORDERS.promise(Feature.RESTING)
async def _a_canceled_order_goes_off_the_book(stage: Stage) -> None:
    """`Canceled` comes for every open order whose cancel was asked for, unless it was filled first."""
    played = await stage.play(scenes.canceled(stage))
    order = next(one for one in played.scene.orders.values() if one.place.limit is not None)
    said = played.said_of(order)
    played.check(
        any(isinstance(event, Canceled) for event in said),
        f"a cancel of {order.id} was asked for, and all that was said is: {events_text(said)}",
    )
    played.check(
        not played.filled(order), f"{order.id} was canceled before the market came to it, and {played.filled(order)} units were filled"
    )


@ORDERS.promise()
async def _fills_never_exceed_their_order(stage: Stage) -> None:
    """The fills of an order never come to more than it was for, and are of its instrument and side."""
    for played in await scenes.play_every(stage):
        for order in played.scene.orders.values():
            filled = played.filled(order)
            played.check(filled <= order.place.qty, f"{order.id} was for {order.place.qty} units, and {filled} were filled")
            for fill in played.fills_of(order):
                same = fill.side is order.place.side and fill.instrument == order.place.instrument
                played.check(same, f"{fill_text(fill)} is of another side or instrument than was ordered")


@ORDERS.promise()
async def _every_fill_has_a_key_of_its_own(stage: Stage) -> None:
    """Each trade has an id of its own at its venue: two fills with one key are one fill told twice, word for word."""
    for played in await scenes.play_every(stage):
        keys: dict[str, Fill | AccountFact] = {}
        trades: dict[tuple[str, str, str], Fill] = {}
        for event in played.told:
            if isinstance(event, (Fill, AccountFact)):
                played.check(
                    keys.setdefault(event.key, event) == event,
                    f"two facts have the key {event.key}: {events_text([keys[event.key], event])}",
                )
            if isinstance(event, Fill):
                trade = trades.setdefault((event.venue, event.instrument.symbol, event.trade_id), event)
                played.check(trade == event, f"two fills have the trade id {event.trade_id!r}: {events_text([trade, event])}")


@ORDERS.promise(Feature.RESTING, Feature.PARTIAL)
async def _a_part_fills_when_only_a_part_is_there(stage: Stage) -> None:
    """An order for more than what trades fills in parts: all of it in time, or what there was until its cancel."""
    played = await stage.play(scenes.parts(stage))
    first, second = played.scene.orders.values()
    parts, cut = played.fills_of(first), played.filled(second)
    played.check(len(parts) > 1, f"{first.id} was filled in {len(parts)} parts, though a third of it trades in a row")
    played.check(played.filled(first) == first.place.qty, f"{first.id} was filled with {played.filled(first)} of {first.place.qty} units")
    played.check(0 < cut < second.place.qty, f"{second.id}, canceled after a part, was filled with {cut} of {second.place.qty} units")
    ends = isinstance(played.said_of(second)[-1], Canceled)
    played.check(ends, f"{second.id} was canceled with a rest, and the last that was said is {event_text(played.said_of(second)[-1])}")
