"""The desk's commands carried out: each at its venue, and what the desk must know when a venue did not.

An order that a venue did not get is rejected; one whose answer is lost is of unknown fate, and stays held for. Nothing is
ever sent again, under this id or another. A transfer is rehearsed first where the venue can do that: what it says no to then
is not sent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
import anyio.lowlevel

from .desk import Desk
from .errors import JournalError, VaultError, VenueRejected, VenueUnavailable, VenueUnknown
from .facts import TransferRefused
from .orders import CancelOrder, Command, Event, Rejected, SettlePnl, SubmitOrder, Transfer, Unanswered
from .protocols import Venue
from .records import Refusal

__all__ = ["carry", "carry_out", "named", "real_money", "stands_for"]

log = logging.getLogger("sleeves.live")
log.addHandler(logging.NullHandler())


def named(venues: Sequence[Venue], what: str) -> dict[str, Venue]:
    """Venues by name. Raises `VaultError` for none, and for two of one name."""
    by_name = {venue.name: venue for venue in venues}
    if len(by_name) != len(venues) or not venues:
        raise VaultError(f"{what} needs at least one venue, each with its own name")
    return by_name


def stands_for(desk: Desk, by_name: Mapping[str, Venue], name: str) -> list[str]:
    """The names under which the desk's orders find a venue: its own, and where it is the only one what instruments name."""
    if len(by_name) > 1:
        return [name]
    return list(dict.fromkeys([name, *(market.venue for market in desk.books.instruments.values() if market.venue)]))


def real_money(venues: Sequence[Venue]) -> dict[str, bool]:
    """Venues by name, and whether each moves real money: one that does not say that it moves none is taken to."""
    return {venue.name: getattr(venue, "real_money", True) is not False for venue in venues}


async def carry(desk: Desk, commands: Sequence[Command], *venues: Venue) -> None:
    """Have venues carry out what a human's command to the desk returned, while `trade` runs beside it or between runs.

        await carry(desk, desk.kill(sleeve, flatten=True, by="ann"), venue)

    What becomes of it comes as events, to `trade`. With several venues a command goes to the one that it or its
    instrument names. Raises `VaultError` when two venues bear one name, `TypeError` for what is no list of commands,
    such as the `Refusal` of an order that no gate let pass.
    """
    by_name = named(venues, "carry")
    if isinstance(commands, Refusal):
        raise TypeError(
            f"there is nothing to carry out: {commands.wish} was refused ({commands.gate}: {commands.reason} {dict(commands.numbers)})"
        )
    if not isinstance(commands, (list, tuple)):
        raise TypeError(f"{commands!r} is no list of commands to carry out")
    desk.meet(real_money(venues))
    await carry_out(desk, commands, venues[0] if len(venues) == 1 else None, by_name)


async def carry_out(desk: Desk, commands: Sequence[Command], heard_from: Venue | None, by_name: Mapping[str, Venue]) -> None:
    """Carry out commands in order; what the desk answers to a failure is carried out after them.

    Where several sleeves cancel and close, each goes its own way, so that a venue that hangs over one order holds up no
    other sleeve's exit; they set out in their order. A venue that waits for the desk (`lockstep`) is told one by one. All
    that the journal has of the commands is durable before the first one leaves the house.
    """
    desk.books.journal.flush()
    lanes = [] if any(getattr(venue, "lockstep", False) is True for venue in by_name.values()) else _lanes(commands)
    if len(lanes) < 2:
        await _in_order(desk, commands, heard_from, by_name)
        return
    try:
        async with anyio.create_task_group() as tasks:
            for lane in lanes:
                tasks.start_soon(_in_order, desk, lane, heard_from, by_name)
                await anyio.lowlevel.cancel_shielded_checkpoint()  # it sets out before the next one
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


def _lanes(commands: Sequence[Command]) -> list[list[Command]]:
    """Cancels and exits by sleeve, each in order; none where there is anything else among them."""
    lanes: dict[str, list[Command]] = {}
    for one in commands:
        if not isinstance(one, CancelOrder) and not (isinstance(one, SubmitOrder) and one.order.place.reduce_only):
            return []
        lanes.setdefault(one.order.sleeve, []).append(one)
    return list(lanes.values())


async def _in_order(desk: Desk, commands: Sequence[Command], heard_from: Venue | None, by_name: Mapping[str, Venue]) -> None:
    waiting = list(commands)
    while waiting:
        command = waiting.pop(0)
        named = _venue_of(command)
        alone = len(by_name) == 1 and not isinstance(command, Transfer)
        venue = by_name.get(named, heard_from if not named or alone else None)
        if isinstance(command, Transfer) and command.inside and not named:
            venue = _with_accounts(by_name)
        try:
            event = await _send(desk, command, venue)
        except BaseException as error:
            _broken_off(desk, command, waiting, error)
            raise
        if event is not None:
            waiting.extend(desk.step(event))
            desk.books.journal.flush()


def _broken_off(desk: Desk, command: Command, waiting: Sequence[Command], error: BaseException) -> None:
    """It was canceled, or something failed, while a command was under way: its fate is unknown, those behind it never left."""
    with suppress(JournalError):  # then the desk is dead, and its journal says what there was
        behind, what = list(waiting), f"broken off: {type(error).__name__}"
        if isinstance(command, (SubmitOrder, CancelOrder)):
            behind += desk.step(Unanswered(command.order.id, max(desk.books.now, command.order.at), what))
        for one in (command, *behind):
            if isinstance(one, CancelOrder):
                desk.cancels_lost.add(one.order.id)
        left = [one for one in behind if isinstance(one, SubmitOrder)]
        while left:
            order = left.pop(0).order
            more = desk.step(Rejected(order.id, max(desk.books.now, order.at), what, reached=False))
            left += [one for one in more if isinstance(one, SubmitOrder)]


def _with_accounts(by_name: Mapping[str, Venue]) -> Venue | None:
    """The only venue with sub-accounts; None where there is none, or more than one."""
    able = [venue for venue in by_name.values() if getattr(venue, "holdings", None) is not None]
    return able[0] if len(able) == 1 else None


def _venue_of(command: Command) -> str:
    if isinstance(command, Transfer):
        return command.venue
    return command.instrument.venue if isinstance(command, SettlePnl) else command.order.place.instrument.venue


async def _send(desk: Desk, command: Command, venue: Venue | None) -> Event | None:
    """Have a venue carry a command out. What the desk must know when it did not is returned as an event."""
    inside = isinstance(command, Transfer) and command.inside
    if inside and (venue is None or getattr(venue, "holdings", None) is None):
        who = "no single venue here has" if venue is None else f"{venue.name} has no"
        return _undone(desk, command, f"{who} sub-accounts")
    if venue is None:
        return _undone(desk, command, f"no venue here is named {_venue_of(command)}")
    if isinstance(command, SubmitOrder) and desk.unarmed(command.order, venue.name):
        return _undone(desk, command, f"{venue.name} moves real money and is not armed")
    try:
        if isinstance(command, SubmitOrder):
            await venue.submit(command.order)
        elif isinstance(command, CancelOrder):
            await venue.cancel(command.order)
        elif isinstance(command, SettlePnl):
            await venue.settle(command.instrument)
        else:
            refused = await _rehearse(command, venue)
            if refused is not None:
                log.warning("%s would refuse %s of %s: %s", venue.name, command.id, command.amount, refused, extra=_about(command, venue))
                return TransferRefused(desk.books.now, command.id, refused)
            await venue.transfer(command)
    except VenueRejected as error:
        log.warning("%s refused: %s", venue.name, error, extra=_about(command, venue))
        return _undone(desk, command, f"{venue.name}: {error}")
    except VenueUnavailable as error:
        log.warning("%s was not reached: %s", venue.name, error, extra=_about(command, venue))
        if isinstance(command, CancelOrder):
            desk.cancels_lost.add(command.order.id)
        return _undone(desk, command, f"{venue.name} was not reached", reached=False)
    except VenueUnknown as error:
        log.warning("%s did not answer: %s; what is held stays held", venue.name, error, extra=_about(command, venue))
        if isinstance(command, (SubmitOrder, CancelOrder)):
            if isinstance(command, CancelOrder):
                desk.cancels_lost.add(command.order.id)
            return Unanswered(command.order.id, max(desk.books.now, command.order.at), f"{venue.name}: {error}")
    return None


async def _rehearse(transfer: Transfer, venue: Venue) -> str | None:
    """Why a transfer would be refused; None where nothing speaks against it, and where the venue has no `rehearse`.

    Raises `VenueUnavailable` when that could not be found out: nothing was sent then either.
    """
    rehearse = getattr(venue, "rehearse", None)
    if rehearse is None:
        return None
    try:
        await rehearse(transfer)
    except VenueRejected as error:
        return str(error)
    except VenueUnknown as error:
        raise VenueUnavailable(f"no answer to the rehearsal: {error}") from error
    return None


def _about(command: Command, venue: Venue) -> dict[str, str]:
    order = command.order.id if isinstance(command, (SubmitOrder, CancelOrder)) else ""
    about = {"command": type(command).__name__, "order_id": order, "venue": venue.name}
    return about | ({"transfer_id": command.id, "amount": str(command.amount)} if isinstance(command, Transfer) else {})


def _undone(desk: Desk, command: Command, reason: str, *, reached: bool = True) -> Event | None:
    if isinstance(command, SubmitOrder):
        return Rejected(command.order.id, command.order.at, reason, reached)
    return TransferRefused(desk.books.now, command.id, reason) if isinstance(command, Transfer) else None
