"""How a venue answers: the same to the same, an event to refuse, an error only when the connection is lost."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ...errors import VenueRejected, VenueUnavailable, VenueUnknown
from ...orders import Place, Rejected, Side, Transfer
from .. import scenes
from ..offer import Feature
from ..stage import Played, Stage, aclose
from ..words import event_text, events_text
from .promise import Chapter

__all__ = ["ANSWERS"]

ANSWERS = Chapter()


@ANSWERS.promise(Feature.REPLAY)
async def _the_same_script_says_the_same(stage: Stage) -> None:
    """The same script and the same commands give the same events."""
    for first, second in zip(await scenes.play_every(stage), await scenes.play_every(stage), strict=True):
        for number, (one, other) in enumerate(zip(first.told, second.told, strict=False), 1):
            first.check(one == other, f"event {number} was {event_text(one)}, and {event_text(other)} when it was played again")
        first.check(
            len(first.told) == len(second.told), f"{len(first.told)} events were told, and {len(second.told)} when it was played again"
        )


@ANSWERS.promise()
async def _a_refusal_is_an_event(stage: Stage) -> None:
    """An order that the venue refuses comes back as one `Rejected` with a reason; nothing of it is done, and nothing raised."""
    played = await stage.play(scenes.refused(stage))
    for order in played.scene.orders.values():
        said = played.said_of(order)
        rejected = [event for event in said if isinstance(event, Rejected)]
        played.check(rejected, f"{order.id} ({order.place.side} {order.place.qty}) was not Rejected; what was said is: {events_text(said)}")
        played.check(rejected[0].reason, f"{order.id} was Rejected without a reason")
        played.check(len(said) == len(rejected), f"{order.id} was Rejected, and more was said of it: {events_text(said)}")


@ANSWERS.promise()
async def _an_order_for_a_stranger_is_refused(stage: Stage) -> None:
    """An order for an instrument that the venue does not have is a `Rejected` event."""
    played = await stage.play(scenes.stranger(stage))
    (order,) = played.scene.orders.values()
    said = played.said_of(order)
    played.check(said and isinstance(said[0], Rejected), f"{order.id} for {order.place.instrument} was answered with: {events_text(said)}")


@ANSWERS.promise()
async def _an_order_for_a_stranger_sent_twice_is_refused_once(stage: Stage) -> None:
    """Sending the same id again does nothing, also when it was refused for its instrument."""
    played = await stage.play(scenes.stranger(stage))
    (order,) = played.scene.orders.values()
    said = played.said_of(order)
    played.check(len(said) <= 1, f"{order.id} was sent twice, and answered {len(said)} times: {events_text(said)}")


@ANSWERS.promise(kind="wire")
async def _only_venue_errors_leave_a_broken_connection(stage: Stage) -> None:
    """A driver whose connection is cut raises `VenueUnavailable` or `VenueUnknown` and nothing else."""
    assert stage.offer.break_connection is not None
    scene = stage.scene("a connection that breaks", scenes.CALM)
    played = Played(scene, await stage.open(scene))
    venue, events = played.venue, played.venue.events()
    order, transfer = scene.draft(1, Place(stage.market, Side.BUY, stage.qty)), Transfer("suite-transfer-cut", stage.market.quote.units(1))
    sent, read = (VenueUnavailable, VenueUnknown), (VenueUnavailable,)
    calls: list[tuple[str, Callable[[], Awaitable[Any]], tuple[type[Exception], ...]]] = [
        ("submit()", lambda: venue.submit(order), sent),
        ("cancel()", lambda: venue.cancel(order), sent),
        ("settle()", lambda: venue.settle(stage.market), sent if stage.perp else (*sent, VenueRejected)),
        ("transfer()", lambda: venue.transfer(transfer), sent),
        ("balances()", venue.balances, read),
        ("positions()", venue.positions, read),
        ("events()", lambda: anext(events, None), read),
    ]
    try:
        await stage.next_event(played, events)
        cut = stage.offer.break_connection(venue)
        if inspect.isawaitable(cut):
            await cut
        raised = 0
        for what, call, allowed in calls:
            if what == "transfer()" and not stage.has(Feature.TRANSFERS):
                continue
            try:
                with stage.offer.patience():
                    await call()
            except allowed as error:
                raised += not isinstance(error, VenueRejected)  # a no to coins that have nothing to settle needs no wire
            except Exception as error:
                names = " or ".join(kind.__name__ for kind in allowed)
                played.check(False, f"{what} raised {type(error).__name__}({str(error)!r}) where only {names} may leave it")
        played.check(raised, "nothing was raised, so the connection was not cut and nothing was proved")
    finally:
        await aclose(events)
        await aclose(venue)
