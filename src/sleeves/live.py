"""The async shell around a desk: venues' events in, the desk's commands out.

One task per venue reads its events and carries out at once what the desk answers, so that a venue is never ahead of
the books. The desk itself knows nothing of tasks.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence

import anyio

from .desk import Desk
from .errors import VaultError, VenueRejected, VenueUnavailable, VenueUnknown
from .facts import TransferRefused
from .orders import CancelOrder, Command, Event, Rejected, SettlePnl, SubmitOrder, Transfer
from .protocols import Venue

__all__ = ["carry", "trade"]

log = logging.getLogger("sleeves.live")
log.addHandler(logging.NullHandler())


async def trade(desk: Desk, *venues: Venue) -> None:
    """Run the desk on these venues until each has no more events, or the surrounding scope is canceled.

    With several venues an order goes to the one that its instrument names, or that its price came from when it names
    none; one that names a stranger is rejected. Raises `VaultError` when two venues bear
    one name, and what `Feed.events` raises (as a group when several venues raise at once).
    """
    if len({venue.name for venue in venues}) != len(venues) or not venues:
        raise VaultError("trade needs at least one venue, each with its own name")
    by_name = {venue.name: venue for venue in venues}
    heard: set[str] = set()
    try:
        async with anyio.create_task_group() as tasks:
            for venue in venues:
                tasks.start_soon(_serve, desk, venue, by_name, heard, name=f"sleeves {venue.name}")
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            only = group.exceptions[0]
            raise only from only.__cause__
        raise
    if heard:
        desk.mark(desk.books.now)


async def carry(desk: Desk, commands: Sequence[Command], *venues: Venue) -> None:
    """Have venues carry out what a human's command to the desk returned, while `trade` runs beside it or between runs.

        await carry(desk, desk.kill(sleeve, flatten=True, by="ann"), venue)

    What becomes of it comes as events, to `trade`. With several venues a command goes to the one that it or its
    instrument names. Raises `VaultError` when two venues bear one name, `TypeError` for what is no list of commands,
    such as the `Refusal` of an order that no gate let pass.
    """
    by_name = {venue.name: venue for venue in venues}
    if len(by_name) != len(venues) or not venues:
        raise VaultError("carry needs at least one venue, each with its own name")
    if not isinstance(commands, (list, tuple)):
        raise TypeError(f"{commands!r} is no list of commands to carry out")
    await _carry(desk, commands, venues[0] if len(venues) == 1 else None, by_name)


async def _serve(desk: Desk, venue: Venue, by_name: dict[str, Venue], heard: set[str]) -> None:
    events = venue.events()
    try:
        async for event in events:
            heard.add(venue.name)
            commands = desk.step(event)
            if commands:
                await _carry(desk, commands, venue, by_name)
    finally:
        if isinstance(events, AsyncGenerator):
            with anyio.move_on_after(5, shield=True):
                await events.aclose()


async def _carry(desk: Desk, commands: Sequence[Command], heard_from: Venue | None, by_name: dict[str, Venue]) -> None:
    """Carry out commands in order; what the desk answers to a failure is carried out after them."""
    waiting = list(commands)
    while waiting:
        command = waiting.pop(0)
        named = _venue_of(command)
        alone = len(by_name) == 1 and not isinstance(command, Transfer)
        venue = by_name.get(named, heard_from if not named or alone else None)
        event = await _send(desk, command, venue)
        if event is not None:
            waiting.extend(desk.step(event))


def _venue_of(command: Command) -> str:
    if isinstance(command, Transfer):
        return command.venue
    return command.instrument.venue if isinstance(command, SettlePnl) else command.order.place.instrument.venue


async def _send(desk: Desk, command: Command, venue: Venue | None) -> Event | None:
    """Have a venue carry a command out. What the desk must know when it did not is returned as an event."""
    if venue is None:
        return _undone(desk, command, f"no venue here is named {_venue_of(command)}")
    try:
        if isinstance(command, SubmitOrder):
            await venue.submit(command.order)
        elif isinstance(command, CancelOrder):
            await venue.cancel(command.order)
        elif isinstance(command, SettlePnl):
            await venue.settle(command.instrument)
        else:
            await venue.transfer(command)
    except VenueRejected as error:
        log.warning("%s refused: %s", venue.name, error, extra=_about(command, venue))
        return _undone(desk, command, f"{venue.name}: {error}")
    except VenueUnavailable as error:
        log.warning("%s was not reached: %s", venue.name, error, extra=_about(command, venue))
        return _undone(desk, command, f"{venue.name} was not reached")
    except VenueUnknown as error:
        log.warning("%s did not answer: %s; what is held stays held", venue.name, error, extra=_about(command, venue))
    return None


def _about(command: Command, venue: Venue) -> dict[str, str]:
    order = command.order.id if isinstance(command, (SubmitOrder, CancelOrder)) else ""
    return {"command": type(command).__name__, "order_id": order, "venue": venue.name}


def _undone(desk: Desk, command: Command, reason: str) -> Event | None:
    if isinstance(command, SubmitOrder):
        return Rejected(command.order.id, command.order.at, reason)
    return TransferRefused(desk.books.now, command.id, reason) if isinstance(command, Transfer) else None
