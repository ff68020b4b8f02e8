"""How each instruction is carried out: what it asks of the desk, and what its venues are handed.

An act raises `No`, or an error of the house, for what cannot be done; `control` makes an answer of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from ..errors import InvalidMarket, NotEnough, VaultError
from ..exposure import without
from ..instructions import (
    Allocate,
    Answer,
    Arm,
    Cancel,
    Close,
    CloseAll,
    Code,
    Confirm,
    Decline,
    Deposit,
    Disarm,
    Instruction,
    Kill,
    Open,
    Pause,
    Rebalance,
    Reclaim,
    Resume,
    Revive,
    Settle,
    SetTradeable,
    Start,
    Stop,
    Withdraw,
)
from ..margin import health_bp
from ..market import SECOND, Instrument
from ..money import Amount, Rounding, decimal_text
from ..orders import CancelOrder, Command, Order, Place, Side, Transfer
from ..records import Refusal
from ..sleeve import Sleeve
from ..vault import CoreVault
from .case import Case, Deed, No

__all__ = ["ACTS", "LEAST_HEALTH", "Act", "refused", "takes_more"]

Act = Callable[[Deed], Awaitable[Answer | None]]
"""Carries an instruction out; None: its answer is how it then stands."""
LEAST_HEALTH = 80
"""What the account's health must be after a withdrawal."""


def refused(case: Case, refusal: Refusal, **evidence: object) -> Answer:
    """What a gate's no is answered, with its own code and numbers."""
    numbers = dict(refusal.numbers)
    if refusal.gate == "confirm":
        code, numbers = Code.NEEDS_CONFIRMATION, {"confirmation": numbers.pop("id", "")} | numbers
    elif refusal.gate == "armed":
        code = Code.NOT_ARMED if refusal.reason == "not_armed" else Code.GATE_REFUSED
    else:
        code = Code.RECOVERING if refusal.reason == "recovering" else Code.GATE_REFUSED
    return case.say(code, str(refusal), **{"gate": refusal.gate, "reason": refusal.reason, **numbers, **evidence})


async def _start(case: Deed) -> Answer | None:
    """The venues of its instruments are there, answer, and are of paper or armed; then the engine is asked again."""
    one = cast(Start, case.instruction)
    sleeve, desk = case.sleeve(one.sleeve), case.desk
    if desk.recovering:
        raise No(Code.RECOVERING, "the desk was opened on a journal with records and is not recovered yet")
    seat = case.seat(sleeve)
    venues = {venue.name: venue for market in seat.engine.watches for venue in case.venues_of(market)}
    for name, venue in venues.items():
        case.traces["venues"] = " ".join(venues)
        if getattr(venue, "real_money", True) is not False and name not in desk.armed:
            raise No(Code.NOT_ARMED, f"{name} moves real money and is not armed", venue=name)
        await venue.balances()
    desk.start(sleeve, by=one.author, why=one.why)
    return case.say(Code.DONE, f"the engine of {sleeve.name} is asked again", status=sleeve.status, engine=seat.engine.name)


async def _stop(case: Deed) -> Answer | None:
    one = cast(Stop, case.instruction)
    await case.carry(case.desk.stop(case.sleeve(one.sleeve), by=one.author, why=one.why))
    return None


async def _deposit(case: Deed) -> Answer | None:
    one = cast(Deposit, case.instruction)
    vault, venue = case.vault(one.vault), case.venue(one.venue)
    coins = case.coins(vault.asset, one.amount)
    case.traces |= {"amount": str(coins), "venue": venue.name}
    await _send(case, case.desk.deposit(vault, coins, venue=venue.name, by=one.author))
    return None


async def _withdraw(case: Deed) -> Answer | None:
    one = cast(Withdraw, case.instruction)
    vault, venue = case.vault(one.vault), case.venue(one.venue)
    coins = case.coins(vault.asset, one.amount)
    case.traces |= {"amount": str(coins), "venue": venue.name}
    health = _health(case, vault, coins)
    case.traces |= health
    try:
        commands = case.desk.withdraw(vault, coins, venue=venue.name, by=one.author, why=one.why)
    except VaultError as error:
        after = health.get("health_after", "100")
        if isinstance(error, NotEnough) or (after != "unknown" and float(after) >= LEAST_HEALTH):
            raise
        raise No(Code.HEALTH, str(error), least_health=LEAST_HEALTH) from error
    await _send(case, commands)
    return None


def _health(case: Case, vault: CoreVault, coins: Amount) -> dict[str, str]:
    """The account's health now, and after these coins have left it; nothing where it has no contracts."""
    contracts = [sleeve for sleeve in vault.sleeves.values() if sleeve.contracts()]
    joint = case.desk.account(vault)
    if joint is None:
        return {"health": "unknown", "health_after": "unknown"} if contracts else {}
    if not joint.contracts:
        return {}
    return {"health": decimal_text(health_bp(joint), 2), "health_after": decimal_text(health_bp(without(joint, coins)), 2)}


async def _send(case: Deed, commands: Sequence[Command]) -> None:
    case.traces["transfer"] = " ".join(one.id for one in commands if isinstance(one, Transfer))
    await case.carry(commands)


async def _allocate(case: Deed) -> Answer | None:
    one = cast("Allocate | Reclaim", case.instruction)
    sleeve = case.sleeve(one.sleeve)
    move = sleeve.vault.allocate if isinstance(one, Allocate) else sleeve.vault.reclaim
    coins = case.coins(sleeve.asset, one.amount)
    move(sleeve, coins, by=one.author, why=one.why)
    said = f"{coins} {'allocated to' if isinstance(one, Allocate) else 'reclaimed from'} {sleeve.name}"
    if sleeve.between.units:
        said += f": what is to go to or from sub-account {sleeve.account} is there when the venue says so"
    return case.say(
        Code.DONE,
        said,
        allocation=sleeve.allocation,
        free=sleeve.free,
        set_aside=sleeve.pending if sleeve.pending.units else None,
        on_its_way=sleeve.between if sleeve.between.units else None,
        remaining=sleeve.vault.remaining,
    )


async def _set_tradeable(case: Deed) -> Answer | None:
    one = cast(SetTradeable, case.instruction)
    vault = case.vault(one.vault)
    vault.set_tradeable(one.amount, cap=one.cap or None, by=one.author, why=one.why)
    return case.say(Code.DONE, f"tradeable is {vault.tradeable}", tradeable=vault.tradeable, remaining=vault.remaining, total=vault.total)


async def _ordered(case: Deed, done: Sequence[Command] | Refusal) -> Answer | None:
    """What an order by hand led to."""
    if isinstance(done, Refusal):
        return refused(case, done)
    await case.carry(done)
    return None


async def _open(case: Deed) -> Answer | None:
    one = cast(Open, case.instruction)
    sleeve, market = case.sleeve(one.sleeve), case.market(one.market)
    case.venues_of(market)
    limit = market.price(one.limit) if one.limit else None
    place = Place(
        market, Side(one.side), market.qty(one.qty), limit=limit, reduce_only=one.reduce_only, post_only=one.post_only, why=one.why
    )
    case.traces["market"] = market.symbol
    return await _ordered(case, case.desk.order(sleeve, place, by=one.author))


async def _close(case: Deed) -> Answer | None:
    one = cast(Close, case.instruction)
    sleeve, market = case.sleeve(one.sleeve), case.market(one.market)
    case.venues_of(market)
    case.traces["market"] = market.symbol
    return await _ordered(case, case.desk.close(sleeve, market, by=one.author))


async def _close_all(case: Deed) -> Answer | None:
    """Opening orders first, so that what is sold is not bought again behind it; then what is worth most."""
    one = cast(CloseAll, case.instruction)
    desk, marks = case.desk, case.desk.marks()
    held: list[tuple[int, Sleeve, Instrument]] = []
    commands: list[Command] = []
    for sleeve in case.sleeves(one.target):
        mine = [order for order in desk.open_orders() if order.sleeve == sleeve.name]
        commands += [CancelOrder(order) for order in mine if takes_more(sleeve, order)]
        for market, amount in sleeve.positions().items():
            mark, size = marks.get(market.symbol), abs(amount.units)
            worth = abs(sleeve.open_cost_units(market)) if mark is None else market.cost(mark.price, size, Rounding.FLOOR)
            held.append((worth, sleeve, market))
    not_sent: list[str] = []
    for _, sleeve, market in sorted(held, key=lambda one: -one[0]):
        try:
            done = desk.close(sleeve, market, by=one.author)
        except (VaultError, InvalidMarket) as error:
            not_sent.append(f"{sleeve.name} {market}: {error}")
            continue
        if isinstance(done, Refusal):
            not_sent.append(str(done))
        else:
            commands += done
    if not_sent:
        case.traces["not_sent"] = "; ".join(not_sent)
    if not held and not commands:
        return case.say(Code.NOTHING, "there was nothing to close")
    await case.carry(commands)
    return None


def takes_more(sleeve: Sleeve, order: Order) -> bool:
    """Whether an open order of a sleeve would take more, not close."""
    place = order.place
    if place.instrument.contract is None:
        return place.side is Side.BUY
    return not place.reduce_only and sleeve.position_units(place.instrument) * place.side.sign >= 0


async def _cancel(case: Deed) -> Answer | None:
    one = cast(Cancel, case.instruction)
    order = next((order for order in case.desk.open_orders() if order.id == one.order), None)
    if order is None:
        try:
            status = case.desk.status_of(one.order)
        except VaultError as error:
            raise No(Code.UNKNOWN_ORDER, str(error), order=one.order) from error
        return case.say(Code.NOTHING, f"{one.order} is {status} already", order=one.order, status=status)
    case.traces["market"] = order.place.instrument.symbol
    await case.carry([CancelOrder(order)])
    return None


async def _settle(case: Deed) -> Answer | None:
    one = cast(Settle, case.instruction)
    market = case.market(one.market)
    case.venues_of(market)
    if market.contract is None:
        raise No(Code.UNKNOWN_MARKET, f"{market} is no perpetual: nothing of it is ever unsettled", market=market)
    case.traces["market"] = market.symbol
    case.told.settling.setdefault(market.symbol, []).append(one.id)
    await case.carry(case.desk.settle(market))
    return None


async def _rebalance(case: Deed) -> Answer | None:
    one = cast(Rebalance, case.instruction)
    sleeve, desk = case.sleeve(one.sleeve), case.desk
    if desk.recovering:
        raise No(Code.RECOVERING, "the desk was opened on a journal with records and is not recovered yet")
    seat = case.seat(sleeve)
    before = seat.refused
    commands = desk.ask(sleeve)
    refusal = seat.refused if seat.refused is not before else None
    case.traces["engine"] = seat.engine.name
    await case.carry(commands)
    if seat.fault is not None:
        return case.say(Code.ENGINE_FAULT, f"the engine raised {type(seat.fault).__name__}: {seat.fault}", status=sleeve.status)
    if refusal is not None and not commands:
        return refused(case, refusal)
    if not commands:
        return case.say(Code.NOTHING, "the engine wishes for nothing now")
    if refusal is not None:
        case.traces["not_sent"] = str(refusal)
    return None


async def _pause(case: Deed) -> Answer | None:
    one = cast(Pause, case.instruction)
    await case.carry(case.desk.pause(case.target(one.target), by=one.author, why=one.why))
    return None


async def _resume(case: Deed) -> Answer | None:
    one = cast(Resume, case.instruction)
    target = case.target(one.target)
    case.desk.resume(target, by=one.author, why=one.why)
    return case.say(Code.DONE, f"{one.target} is resumed", status=target.status)


async def _kill(case: Deed) -> Answer | None:
    one = cast(Kill, case.instruction)
    await case.carry(case.desk.kill(case.target(one.target), flatten=one.flatten, by=one.author, why=one.why))
    return None


async def _revive(case: Deed) -> Answer | None:
    one = cast(Revive, case.instruction)
    if not one.why:
        raise No(Code.VAULT_REFUSED, f"reviving {one.target} needs a reason")
    target = case.target(one.target)
    await case.carry(case.desk.revive(target, by=one.author, why=one.why))
    return case.say(Code.DONE, f"{one.target} is revived: paused, to be resumed", status=target.status)


async def _arm(case: Deed) -> Answer | None:
    one = cast(Arm, case.instruction)
    venue = case.venue(one.venue)
    done = case.desk.arm(
        venue.name,
        per_hour=_cap(case, one.per_hour),
        total=_cap(case, one.total) if one.total else None,
        confirm_above=_cap(case, one.confirm_above),
        confirm_within=one.confirm_within * SECOND,
        lasts=one.lasts * SECOND,
        by=one.author,
        phrase=one.phrase,
    )
    return case.say(Code.DONE, f"{venue.name} is armed", venue=venue.name, until=done.until, per_hour=one.per_hour)


def _cap(case: Case, text: str) -> str | Amount:
    """A cap that names its asset, as an amount of it."""
    number, _, code = text.partition(" ")
    assets = {vault.asset.code: vault.asset for vault in case.desk.treasury.vaults}
    if not code:
        return number
    if code not in assets:
        raise No(Code.BAD_AMOUNT, f"no vault of this desk is over {code}", known=" ".join(assets))
    return assets[code](number)


async def _disarm(case: Deed) -> Answer | None:
    one = cast(Disarm, case.instruction)
    await case.carry(case.desk.disarm(case.venue(one.venue).name, by=one.author, why=one.why))
    return None


async def _confirm(case: Deed) -> Answer | None:
    one = cast("Confirm | Decline", case.instruction)
    waiting = {waits.id: waits for waits in case.desk.confirmations}
    if one.confirmation not in waiting:
        message = f"nothing waits under {one.confirmation}: it has expired, was answered, or never was"
        raise No(Code.UNKNOWN_CONFIRMATION, message, confirmation=one.confirmation, waiting=" ".join(waiting))
    waits = waiting[one.confirmation]
    case.traces |= {"confirmation": waits.id, "worth": str(waits.worth)}
    if isinstance(one, Confirm):
        return await _ordered(case, case.desk.confirm(waits.id, by=one.author))
    case.desk.decline(waits.id, by=one.author, why=one.why)
    return case.say(Code.DONE, f"declined: {waits}")


ACTS: Mapping[type[Instruction], Act] = {
    Start: _start,
    Stop: _stop,
    Deposit: _deposit,
    Withdraw: _withdraw,
    Allocate: _allocate,
    Reclaim: _allocate,
    SetTradeable: _set_tradeable,
    Open: _open,
    Close: _close,
    CloseAll: _close_all,
    Cancel: _cancel,
    Settle: _settle,
    Rebalance: _rebalance,
    Pause: _pause,
    Resume: _resume,
    Kill: _kill,
    Revive: _revive,
    Arm: _arm,
    Disarm: _disarm,
    Confirm: _confirm,
    Decline: _confirm,
}
