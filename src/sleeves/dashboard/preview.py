"""What an instruction would do, in numbers, before it is sent: `look(desk, venues, instruction)`.

It reads the desk and asks no venue: nothing is ordered, moved, journaled or counted. What the deed would be refused for is told
with the deed's own code, as far as the desk knows it; what cannot be known is left out, and a warning says so. It may be
other a moment later: the deed is judged anew.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

from attrs import define, evolve, field, frozen

from ..control.acts import LEAST_HEALTH, refused, takes_more
from ..control.case import CODES, Case, No, Told
from ..desk import Desk
from ..errors import NotEnough, SleevesError, VaultError, WrongStatus
from ..exposure import Exposure, WhatIf, without
from ..instructions import (
    Allocate,
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
from ..ledger import Entry, Role
from ..margin import Contract, MarginAccount, health_bp, leverage_bp, notional
from ..market import Book, Instrument
from ..money import PPM, Amount, Rounding, decimal_text, divide
from ..orders import Bundle, Order, Place, Side
from ..protocols import Venue
from ..records import Record, Refusal
from ..sleeve import Sleeve, Stateful
from ..status import Hold, Move, Status
from ..transfers import check_whose
from ..vault import CoreVault

__all__ = ["READY", "STOPS", "WARN_BELOW", "Look", "look"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

READY = "ready"
"""The code of what could be done now."""
STOPS = (Pause, Stop, Disarm, Kill, Cancel, Decline)
"""What only takes risk away, and so needs no ticket: nobody should have to ask twice in a hurry."""
WARN_BELOW = ((20, "critical: close to liquidation"), (50, "poor"), (LEAST_HEALTH, f"nothing can be withdrawn below {LEAST_HEALTH}"))
"""What is said of an account's health below these, the lowest first."""


@frozen(order=False)
class Look:
    """What an instruction would do. Amounts are exact, with their asset; what is not known is in none of the mappings."""

    ok: bool
    code: str
    """`READY`, or the code that the deed would be answered."""
    message: str
    numbers: Mapping[str, str] = field(factory=dict, hash=False)
    before: Mapping[str, str] = field(factory=dict, hash=False)
    after: Mapping[str, str] = field(factory=dict, hash=False)
    """By the same names as before."""
    warnings: tuple[str, ...] = ()

    @property
    def may_be_sent(self) -> bool:
        """Whether it makes sense to send it: it could be done, or would wait for a human's yes."""
        return self.ok or self.code == Code.NEEDS_CONFIRMATION


def look(desk: Desk, venues: Mapping[str, Venue], instruction: Instruction) -> Look:
    """What an instruction would do at this desk, with these venues by name. Raises `VaultError` for what is no instruction."""
    told = LOOKS.get(type(instruction))
    if told is None:
        raise VaultError(f"an instruction is one of sleeves.instructions, not {instruction!r}")
    sheet = Sheet(desk, Case(desk, venues, instruction, Told()))
    try:
        message, code, ok = told(sheet), READY, True
    except No as no:
        message, code, ok = str(no), no.code.value, False
        sheet.numbers |= no.evidence
    except NotEnough as error:
        message, code, ok = str(error), Code.NOT_ENOUGH.value, False
        sheet.numbers["free"] = str(error.free)
    except SleevesError as error:
        message, code, ok = str(error), next((code for kind, code in CODES if isinstance(error, kind)), Code.INTERNAL).value, False
    except Exception as error:  # a bug, here or in what the desk was handed: the deed would be answered so as well
        log.exception("a look at %s %s failed", type(instruction).__name__, instruction.id)
        message, code, ok = f"{type(error).__name__}: it cannot be looked at", Code.INTERNAL.value, False
    return Look(ok, code, message, sheet.numbers, sheet.before, sheet.after, tuple(dict.fromkeys(sheet.warnings)))


# -- what is written down meanwhile ----------------------------------------------------------------------------------------


@define(eq=False)
class Sheet:
    """The numbers of one look."""

    desk: Desk
    case: Case
    numbers: dict[str, str] = field(factory=dict)
    before: dict[str, str] = field(factory=dict)
    after: dict[str, str] = field(factory=dict)
    warnings: list[str] = field(factory=list)

    def goes(self, name: str, before: object, after: object) -> None:
        """A figure from what it is to what it would be."""
        self.before[name], self.after[name] = str(before), str(after)

    def health(self, before: MarginAccount | None, after: MarginAccount | None) -> None:
        """The health and leverage of an account; nothing of one without contracts."""
        if before is None or after is None:
            self.warnings.append("a contract or collateral has no fresh price: what health would be is not known")
            return
        if not before.contracts and not after.contracts:
            return
        self.goes("health", decimal_text(health_bp(before), 2), decimal_text(health_bp(after), 2))
        self.goes("leverage", _times(leverage_bp(before)), _times(leverage_bp(after)))
        self.warn_of(health_bp(after) / 100)

    def exposed(self, name: str, before: Exposure | None, after: Exposure | None) -> None:
        """The health and leverage of a sleeve alone, or of the account, as a `WhatIf` has them."""
        for what, read in (("health", _health), ("leverage", _leverage)):
            if before is not None:
                self.before[name + what] = read(before)
            if after is not None:
                self.after[name + what] = read(after)

    def warn_of(self, health: float) -> None:
        for level, text in WARN_BELOW:
            if health < level:
                self.warnings.append(f"health would be {health:g}: {text}")
                return

    def stale(self, markets: Iterable[Instrument]) -> None:
        """Warn of prices that are old, or not there."""
        now = self.desk.books.now
        for market in dict.fromkeys(markets):
            book = self.book(market)
            if book is None:
                self.warnings.append(f"{market} has no price yet")
            elif book.stale(now):
                self.warnings.append(f"the price of {market} is {(now - book.at) / 1e9:,.0f} s old")

    def book(self, market: Instrument) -> Book | None:
        book = self.desk._boards.get(market.symbol)
        return book if book is not None and book.bid else None

    def amount(self, units: int, market: Instrument) -> Amount:
        return Amount(units, market.quote)


def _times(bp: int | None) -> str:
    return "no equity" if bp is None else decimal_text(bp, 4) + "x"


def _health(one: Exposure) -> str:
    return decimal_text(one.health_bp, 2)


def _leverage(one: Exposure) -> str:
    return _times(one.leverage_bp)


# -- orders ----------------------------------------------------------------------------------------------------------------


def _open(sheet: Sheet) -> str:
    one, case = cast(Open, sheet.case.instruction), sheet.case
    sleeve, market = case.sleeve(one.sleeve), case.market(one.market)
    case.venues_of(market)
    limit = market.price(one.limit) if one.limit else None
    place = Place(market, Side(one.side), market.qty(one.qty), limit=limit, reduce_only=one.reduce_only, post_only=one.post_only)
    _check_seated(sheet, sleeve)
    _order(sheet, sleeve, place)
    _judge(sheet, sleeve, place)
    return f"{place.side} {market.qty_text(place.qty)} {market.base} for {sleeve.name}"


def _close(sheet: Sheet) -> str:
    one, case = cast(Close, sheet.case.instruction), sheet.case
    sleeve, market = case.sleeve(one.sleeve), case.market(one.market)
    case.venues_of(market)
    place = _exit(sheet, sleeve, market)
    _check_seated(sheet, sleeve)
    _order(sheet, sleeve, place)
    _judge(sheet, sleeve, place)
    return f"close {sleeve.position(market)} of {sleeve.name} in {market}"


def _exit(sheet: Sheet, sleeve: Sleeve, market: Instrument) -> Place:
    """The order that closes a sleeve's position, as `Desk.close` makes it. Raises `NotEnough` for nothing to close."""
    qty = sleeve.position_units(market)
    side = Side.BUY if qty < 0 else Side.SELL
    ordered = _exits(sheet, sleeve, market, side)
    left = abs(qty) - sum(o.place.qty - sheet.desk.filled(o.id) for o in ordered)
    left = market.round_qty(left) if left > 0 else 0
    if not left:
        what = f"{_named(ordered)} does already; cancel that first" if ordered and qty else "nothing of it to close"
        raise NotEnough(f"{sleeve.name} has {sleeve.position(market)} of {market}: {what}", sleeve.position(market))
    return Place(market, side, left, reduce_only=True, why="close")


def _exits(sheet: Sheet, sleeve: Sleeve, market: Instrument, side: Side) -> list[Order]:
    """The open orders of a sleeve that close a position already, as `Desk.close` counts them."""
    return [order for order in _orders(sheet, sleeve) if order.place.side is side and order.place.instrument == market]


def _named(orders: Iterable[Order]) -> str:
    """Orders by id, with their limits."""
    limits = ((order.id, order.place.limit, order.place.instrument) for order in orders)
    return ", ".join(name if limit is None else f"{name} at {market.price_text(limit)}" for name, limit, market in limits)


def _orders(sheet: Sheet, sleeve: Sleeve) -> list[Order]:
    return [order for order in sheet.desk.open_orders() if order.sleeve == sleeve.name]


def _check_seated(sheet: Sheet, sleeve: Sleeve) -> None:
    if sleeve.name not in sheet.desk.engines:
        raise VaultError(f"{sleeve.name} has no engine at this desk: orders go through an engine's gates")
    if sleeve.own_status is Status.HALTED:
        raise WrongStatus(f"sleeve {sleeve.name} is halted: revive it")


def _order(sheet: Sheet, sleeve: Sleeve, place: Place) -> None:
    """The numbers of an order that is filled whole, at its limit or else at the best price on the other side."""
    market, book = place.instrument, sheet.book(place.instrument)
    sheet.stale([market, *sleeve.contracts()])
    price = place.limit or (0 if book is None else book.ask if place.side is Side.BUY else book.bid)
    sheet.numbers |= {"market": market.symbol, "side": str(place.side), "quantity": f"{market.qty_text(place.qty)} {market.base}"}
    position = sleeve.position_units(market)
    sheet.goes("position", sleeve.position(market), Amount(position + place.side.sign * place.qty, market.base))
    if not price:
        return
    cost = market.cost(price, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
    fee = divide(cost * sheet.desk.allowance.fee_ppm, PPM, Rounding.CEIL)
    sheet.numbers |= {"price": f"{market.price_text(price)} {market.quote}", "notional": str(sheet.amount(cost, market))}
    sheet.numbers["fee_allowed"] = str(sheet.amount(fee, market))
    if place.limit is None:
        sheet.warnings.append("at market: it fills at the prices that are there then")
    view = sheet.desk._seats[sleeve.name].view
    free = view.free()
    terms = view.terms(place)
    if terms is not None and terms[2] and terms[1] == sleeve.asset:
        sheet.numbers["set_aside"] = str(Amount(terms[2], terms[1]))
        if terms[2] > free:
            sheet.warnings.append(f"{sleeve.name} has only {Amount(free, sleeve.asset)} available")
    if _ends_flat(sleeve, place) and (sleeve.policy.share_ppm or sleeve.pending.units):
        what = "what it has made goes back to the vault" if sleeve.policy.share_ppm else "what is set aside for it arrives"
        sheet.warnings.append(f"{sleeve.name} is flat then, and {what}: what is available after that is not worked out here")
    elif market.contract is None and market.quote == sleeve.asset:
        sheet.goes("available", Amount(free, sleeve.asset), Amount(free - place.side.sign * cost - fee, sleeve.asset))
    elif market.contract is not None and terms is not None and terms[2]:
        sheet.goes("available", Amount(free, sleeve.asset), Amount(free - terms[2], sleeve.asset))
    try:
        _risked(sheet, sleeve, market, sheet.desk.what_if(place, sleeve))
    except VaultError as error:
        sheet.warnings.append(f"what it does to health is not known: {error}")


def _ends_flat(sleeve: Sleeve, place: Place) -> bool:
    """Whether a sleeve has nothing left once an order is filled whole; less than the venue takes is nothing."""
    left = sleeve.position_units(place.instrument) + place.side.sign * place.qty
    others = [one for one in sleeve.positions() if one != place.instrument]
    return not others and abs(left) < max(1, place.instrument.lot_units, place.instrument.min_qty_units)


def _risked(sheet: Sheet, sleeve: Sleeve, market: Instrument, found: WhatIf) -> None:
    before, after = found.before, found.after
    if not (before.joint.liquidation or after.joint.liquidation):
        return
    sheet.exposed("", before.joint, after.joint)
    sheet.exposed("sleeve_", before.sleeves.get(sleeve.name), after.sleeves.get(sleeve.name))
    if market.contract is not None:
        prices = [one.joint.liquidation.get(market.symbol) for one in (before, after)]
        sheet.goes("liquidated_at", *("no price" if price is None else f"{price} {market.quote}" for price in prices))
    sheet.warn_of(after.joint.health_bp / 100)


def _judge(sheet: Sheet, sleeve: Sleeve, place: Place) -> None:
    """Ask the gates as the order would, on a copy of the view, so that nothing of it is remembered."""
    desk = sheet.desk
    seat = desk._seats[sleeve.name]
    view, now = seat.view, desk.books.now
    seat.view = copy.copy(view)
    seat.view.now = now
    try:
        refusal = desk._judge(seat, place)
    finally:
        seat.view = view
    if isinstance(refusal, Refusal):
        answer = refused(sheet.case, refusal)
        if answer.code is Code.NOT_ARMED:
            sheet.warnings.append(f"{refusal.numbers.get('venue', 'its venue')} is not armed")
        raise No(answer.code, answer.message, **{name: value for name, value in answer.evidence.items() if value})


def _confirm(sheet: Sheet) -> str:
    one, desk = cast("Confirm | Decline", sheet.case.instruction), sheet.desk
    waiting = {waits.id: waits for waits in desk.confirmations}
    if one.confirmation not in waiting:
        message = f"nothing waits under {one.confirmation}: it has expired, was answered, or never was"
        raise No(Code.UNKNOWN_CONFIRMATION, message, confirmation=one.confirmation, waiting=" ".join(waiting))
    waits = waiting[one.confirmation]
    sheet.numbers |= {"sleeve": waits.sleeve, "by": waits.by, "worth": str(waits.worth)}
    if isinstance(one, Decline):
        return f"decline: {waits}"
    sleeve = sheet.case.sleeve(waits.sleeve)
    _check_seated(sheet, sleeve)
    if isinstance(waits.wish, Bundle):
        sheet.warnings.append("its legs go through all gates again when it is sent")
        return f"confirm: {waits}"
    _order(sheet, sleeve, waits.wish)
    try:
        _judge(sheet, sleeve, waits.wish)
    except No as no:
        if no.code is not Code.NEEDS_CONFIRMATION:
            raise
    return f"confirm: {waits}"


def _cancel(sheet: Sheet) -> str:
    one, desk = cast(Cancel, sheet.case.instruction), sheet.desk
    order = next((order for order in desk.open_orders() if order.id == one.order), None)
    if order is None:
        try:
            return f"{one.order} is {desk.status_of(one.order)} already"
        except VaultError as error:
            raise No(Code.UNKNOWN_ORDER, str(error), order=one.order) from error
    market = order.place.instrument
    left = order.place.qty - desk.filled(order.id)
    sheet.numbers |= {"sleeve": order.sleeve, "market": market.symbol, "side": str(order.place.side)}
    sheet.numbers["left"] = f"{market.qty_text(left)} {market.base}"
    if not takes_more(sheet.case.sleeve(order.sleeve), order):
        sheet.warnings.append("this order closes: the position stays open without it")
    return f"take {order.id} off the book"


# -- closing more than one -------------------------------------------------------------------------------------------------


def _close_all(sheet: Sheet) -> str:
    target = cast(CloseAll, sheet.case.instruction).target
    sleeves = sheet.case.sleeves(target)
    orders = [order for sleeve in sleeves for order in _orders(sheet, sleeve) if takes_more(sleeve, order)]
    held = [(sleeve, market, amount) for sleeve in sleeves for market, amount in sleeve.positions().items()]
    going: list[tuple[Sleeve, Instrument, Amount]] = []
    staying: list[str] = []
    for sleeve, market, whole in held:
        try:
            place = _exit(sheet, sleeve, market)
            _check_seated(sheet, sleeve)
            _judge(sheet, sleeve, place)
        except SleevesError as error:
            staying.append(f"{sleeve.name} {market} is not closed at market: {error}")
            continue
        going.append((sleeve, market, Amount(place.side.sign * -place.qty, market.base)))
        exits = _exits(sheet, sleeve, market, place.side)
        if exits:
            left = f"{market.qty_text(place.qty)} {market.base}"
            sheet.warnings.append(
                f"{sleeve.name} has {whole} of {market}: {_named(exits)} closes some of it, and only {left} goes at market"
            )
    closed = _positions(sheet, going, closed=True)
    sheet.numbers["orders_off"] = str(len(orders))
    sheet.warnings += staying
    if not held and not orders:
        return "there is nothing to close"
    if not closed and not orders:
        raise No(Code.RESIDUAL, f"nothing of {target} would be closed: {'; '.join(staying)}")
    sheet.warnings.append("at market: it fills at the prices that are there then")
    return f"close {closed} positions of {target} at market" + (f"; {len(staying)} stay" if staying else "")


def _kill(sheet: Sheet) -> str:
    one = cast(Kill, sheet.case.instruction)
    sleeves = sheet.case.sleeves(one.target)
    _moves(sheet, one.target, Move.KILL)
    sheet.numbers["engines_stopped"] = str(sum(sleeve.name in sheet.desk.engines for sleeve in sleeves))
    sheet.numbers["orders_off"] = str(sum(len(_orders(sheet, sleeve)) for sleeve in sleeves))
    held = [(sleeve, market, amount) for sleeve in sleeves for market, amount in sleeve.positions().items()]
    open_ones = _positions(sheet, held, closed=one.flatten)
    if one.flatten:
        sheet.warnings.append("at market: it fills at the prices that are there then")
        return f"stop {one.target} and close {open_ones} positions at market"
    if open_ones:
        sheet.warnings.append(f"{open_ones} positions stay open, and nobody looks after them")
    return f"stop {one.target}; positions stay as they are"


def _positions(sheet: Sheet, held: Collection[tuple[Sleeve, Instrument, Amount]], *, closed: bool) -> int:
    """So much of sleeves' positions, and what that is worth at the latest middle prices; how many they are."""
    marks = sheet.desk.marks()
    worth: dict[str, Amount] = {}
    gains: dict[str, Amount] = {}
    gone: dict[tuple[str, int], dict[str, int]] = {}
    vaults: dict[str, CoreVault] = {}
    unpriced: list[str] = []
    for sleeve, market, amount in held:
        mark = marks.get(market.symbol)
        name = f"{sleeve.name} {market.symbol}"
        if mark is None:
            sheet.numbers[name] = str(amount)
            unpriced.append(name)
            continue
        units = market.cost(mark.price, amount.units, Rounding.FLOOR)
        value = sheet.amount(abs(units), market)
        sheet.numbers[name] = f"{amount}, worth {value}"
        spent = divide(sleeve.open_cost_units(market) * abs(amount.units), abs(sleeve.position_units(market)), Rounding.FLOOR)
        gain = sheet.amount(units - spent, market)
        code = market.quote.code
        worth[code] = worth[code] + value if code in worth else value
        gains[code] = gains[code] + gain if code in gains else gain
        if market.contract is not None:
            key = sleeve.vault.owner, sleeve.account or 0
            vaults[key[0]] = sleeve.vault
            there = gone.setdefault(key, {})
            there[market.symbol] = there.get(market.symbol, 0) + amount.units
    sheet.stale(market for _, market, _ in held)
    sheet.numbers["positions"] = str(len(held))
    sheet.numbers |= {"worth" if len(worth) == 1 else f"worth_{code}": str(value) for code, value in worth.items()}
    sheet.numbers |= {"unrealized" if len(gains) == 1 else f"unrealized_{code}": str(value) for code, value in gains.items()}
    if unpriced:
        sheet.warnings.append(f"no price is known for {', '.join(unpriced)}: what it is worth is left out")
    if closed and len(gone) == 1:
        ((owner, number), sizes), *_ = gone.items()
        joint = sheet.desk.account(vaults[owner], number)
        sheet.health(joint, None if joint is None else _closed(joint, sizes))
    return len(held)


def _closed(account: MarginAccount, sizes: Mapping[str, int]) -> MarginAccount:
    """An account with so much of its contracts closed at the prices that it has them at, before fees."""
    contracts = []
    for one in account.contracts:
        size = sizes.get(one.symbol, 0)
        left = one.base - size
        # what is closed leaves its gain or loss behind, in quote units that the contract carries
        contracts.append(evolve(one, base=left, quote=one.quote + _money(one, size, account.quote_scale)) if size else one)
    return evolve(account, contracts=tuple(contracts))


def _money(contract: Contract, base: int, quote_scale: int) -> int:
    """What so many base units of a contract are worth at its price, with their sign: as `margin` values them."""
    worth = notional(contract, abs(base), quote_scale=quote_scale)
    return worth if base > 0 else -worth


# -- coins -----------------------------------------------------------------------------------------------------------------


def _deposit(sheet: Sheet) -> str:
    one, case = cast(Deposit, sheet.case.instruction), sheet.case
    vault, venue = case.vault(one.vault), case.venue(one.venue)
    coins = case.coins(vault.asset, one.amount)
    check_whose(vault)
    _check_home(sheet, vault, venue.name)
    sheet.numbers |= {"amount": str(coins), "venue": venue.name}
    made = _booked(vault._finding(coins.units, at=vault.books.now, by=one.author, why=""), vault)
    for name in ("idle", "reserve", "tradeable", "suspense"):
        now: Amount = getattr(vault, name)
        if name in ("idle", "tradeable") or made[name]:
            sheet.goes(name, now, now + Amount(made[name], vault.asset))
    sheet.goes("total", vault.total, vault.total + coins)
    if made["reserve"]:
        sheet.warnings.append(f"what the reserve ({vault.reserve_rule}) lacks is filled from idle coins")
    if made["suspense"]:
        sheet.warnings.append(f"{-vault.suspense} is missing: new coins make that good first")
    _health_with(sheet, vault, -coins)
    sheet.warnings.append(f"whether {venue.name} takes it is asked when it is sent; the books change when it says that the coins came")
    return f"bring {coins} into {vault.owner} at {venue.name}"


def _booked(records: Iterable[Record], vault: CoreVault) -> dict[str, int]:
    """What records that are not posted would change of a vault, in units of its asset."""
    changes = {"idle": 0, "reserve": 0, "tradeable": 0, "suspense": 0}
    roles = {Role.IDLE: "idle", Role.RESERVED: "reserve", Role.SUSPENSE: "suspense"}
    for record in records:
        for account, asset, units in record.postings if isinstance(record, Entry) else ():
            if account.owner == vault.owner and asset == vault.asset:
                name = "tradeable" if account == vault._tradeable else roles.get(account.role)
                if name is not None:
                    changes[name] += units
    return changes


def _withdraw(sheet: Sheet) -> str:
    one, case = cast(Withdraw, sheet.case.instruction), sheet.case
    vault, venue = case.vault(one.vault), case.venue(one.venue)
    coins = case.coins(vault.asset, one.amount)
    sheet.numbers |= {"amount": str(coins), "venue": venue.name, "least_health": str(LEAST_HEALTH)}
    sheet.goes("idle", vault.idle, vault.idle - coins)
    sheet.goes("total", vault.total, vault.total - coins)
    sheet.goes("remaining", vault.remaining, _remaining_without(vault, coins))
    _health_with(sheet, vault, coins)
    vault.check_sendable(coins)
    for owner in (one for one in sheet.desk.treasury.vaults if one.wallet == vault.wallet):
        joint = sheet.desk.account(owner)
        if joint is None:
            raise No(Code.HEALTH, f"withdraw {coins}: a contract or collateral has no fresh price, so its health is not known")
        if joint.contracts and health_bp(without(joint, coins)) < LEAST_HEALTH * 100:
            after = decimal_text(health_bp(without(joint, coins)), 2)
            raise No(Code.HEALTH, f"withdraw {coins}: health would be {after}, below {LEAST_HEALTH}", least_health=LEAST_HEALTH)
    _check_home(sheet, vault, venue.name)
    sheet.warnings.append(f"whether {venue.name} takes it is asked when it is sent; they are on their way until it says that they left")
    return f"take {coins} out of {vault.owner} at {venue.name}"


def _remaining_without(vault: CoreVault, coins: Amount) -> Amount:
    """What could still be allocated with so many idle coins fewer, as `CoreVault.remaining_units` works it out."""
    promised = vault.allocated_units() + vault.earmarked_units()
    spare = vault._units(vault._idle) - vault._reserve_gap() - vault.owed_units() - vault.missing_units()
    return Amount(max(0, min(vault.tradeable_units() - promised, spare - coins.units)), vault.asset)


def _health_with(sheet: Sheet, vault: CoreVault, leaving: Amount) -> None:
    """The health of the account that a vault's coins lie in, now and with some of them gone (below zero: come)."""
    joint = sheet.desk.account(vault)
    if joint is None and not any(sleeve.contracts() for sleeve in vault.sleeves.values()):
        return
    sheet.health(joint, None if joint is None else without(joint, leaving))


def _check_home(sheet: Sheet, vault: CoreVault, venue: str) -> None:
    """With several wallets each bears the name of its venue, as `Desk.deposit` has it."""
    if len({one.wallet for one in sheet.desk.treasury.vaults}) > 1 and venue not in ("", vault.wallet):
        raise VaultError(f"{venue} holds no coins of {vault.owner}: with several wallets each bears the name of its venue")


def _allocate(sheet: Sheet) -> str:
    one, case = cast(Allocate, sheet.case.instruction), sheet.case
    sleeve = case.sleeve(one.sleeve)
    vault, coins = sleeve.vault, case.coins(sleeve.asset, one.amount)
    sheet.numbers["amount"] = str(coins)
    at_once = sleeve.apart or sleeve.is_flat() or sleeve.free_units() < 0
    sheet.goes("idle", vault.idle, vault.idle - coins if at_once else vault.idle)
    sheet.goes("allocation", sleeve.allocation, sleeve.allocation + coins if at_once else sleeve.allocation)
    if at_once and not sleeve.apart:
        sheet.goes("free", sleeve.free, sleeve.free + coins)
    elif not at_once:
        sheet.goes("pending", sleeve.pending, sleeve.pending + coins)
        sheet.warnings.append(f"{sleeve.name} has positions: the coins are set aside, and arrive with its next buy or when it is flat")
    else:
        sheet.goes("between", sleeve.between, sleeve.between + coins)
        sheet.warnings.append(f"the coins are in sub-account {sleeve.account} when the venue says so")
    if sleeve.own_status is Status.DEACTIVATED:
        raise WrongStatus(f"sleeve {sleeve.name} is deactivated: reactivate it before anything is allocated to it")
    vault._check_allocatable(coins.units, sleeve.name)
    if sleeve.free_units() >= 0:
        sheet.goes("remaining", vault.remaining, vault.remaining - coins)
    return f"give {sleeve.name} {coins} of {vault.owner}"


def _reclaim(sheet: Sheet) -> str:
    one, case = cast(Reclaim, sheet.case.instruction), sheet.case
    sleeve = case.sleeve(one.sleeve)
    vault, coins = sleeve.vault, case.coins(sleeve.asset, one.amount)
    sheet.numbers["amount"] = str(coins)
    if sleeve.apart:
        sheet.warnings.append(f"what has to come from sub-account {sleeve.account} is idle when the venue says that it came")
    pending = Amount(vault._not_sent(sleeve), sleeve.asset) if sleeve.apart else sleeve.pending
    loose = Amount(sleeve.loose_units(), sleeve.asset)
    if coins.units > pending.units + loose.units:
        raise NotEnough(f"reclaim {coins} from {sleeve.name}: only {pending + loose} is free there", pending + loose)
    first = min(coins.units, pending.units)
    if first:
        sheet.warnings.append(f"{Amount(first, sleeve.asset)} of it is what is still set aside for {sleeve.name}: that is taken first")
    if not sleeve.apart:
        sheet.goes("free", sleeve.free, sleeve.free - Amount(coins.units - first, sleeve.asset))
        sheet.goes("pending", pending, pending - Amount(first, sleeve.asset))
        sheet.goes("idle", vault.idle, vault.idle + Amount(coins.units - first, sleeve.asset))
    return f"take {coins} back from {sleeve.name}"


def _set_tradeable(sheet: Sheet) -> str:
    one, case = cast(SetTradeable, sheet.case.instruction), sheet.case
    vault = case.vault(one.vault)
    wanted = vault.asset(one.amount)
    most = Amount(vault.total.units - vault.reserve_units() - vault._reserve_gap(), vault.asset)
    sheet.numbers["most"] = str(most)
    sheet.goes("tradeable", vault.tradeable, wanted)
    if wanted.units > most.units:
        raise VaultError(f"tradeable {wanted} exceeds the total less the reserve, {most}")
    if one.cap and vault.asset(one.cap).units < wanted.units:
        raise VaultError(f"cap {vault.asset(one.cap)} is below tradeable {wanted}")
    if one.cap:
        sheet.goes("cap", "none" if vault.cap is None else Amount(vault.cap, vault.asset), vault.asset(one.cap))
    promised = vault.allocated_units() + vault.earmarked_units()
    if wanted.units < promised:
        sheet.warnings.append(f"{Amount(promised, vault.asset)} is allocated: no coin moves, and sleeves take no new risk beyond Tradeable")
    return f"Tradeable of {vault.owner} becomes {wanted}"


def _settle(sheet: Sheet) -> str:
    one, case = cast(Settle, sheet.case.instruction), sheet.case
    market = case.market(one.market)
    case.venues_of(market)
    if market.contract is None:
        raise No(Code.UNKNOWN_MARKET, f"{market} is no perpetual: nothing of it is ever unsettled", market=market)
    for vault in sheet.desk.treasury.vaults:
        for name, sleeve in vault.sleeves.items():
            units = sleeve.unsettled_units(market)
            if units:
                sheet.numbers[f"{name} unsettled"] = str(sheet.amount(units, market))
    sheet.warnings.append("how much the venue settles is its own to say")
    return f"have what is unsettled of {market} moved to cash"


# -- engines and standing --------------------------------------------------------------------------------------------------


def _start(sheet: Sheet) -> str:
    one, case = cast(Start, sheet.case.instruction), sheet.case
    sleeve = case.sleeve(one.sleeve)
    if sheet.desk.recovering:
        raise No(Code.RECOVERING, "the desk was opened on a journal with records and is not recovered yet")
    seat = case.seat(sleeve)
    venues = {venue.name: venue for market in seat.engine.watches for venue in case.venues_of(market)}
    for name, venue in venues.items():
        if getattr(venue, "real_money", True) is not False and name not in sheet.desk.armed:
            raise No(Code.NOT_ARMED, f"{name} moves real money and is not armed", venue=name)
    if sleeve.own_status in (Status.HALTED, Status.DEACTIVATED):
        raise WrongStatus(f"sleeve {sleeve.name} is {sleeve.own_status}: revive or reactivate it")
    if Hold.STOPPED not in sleeve.latches and seat.fault is None:
        raise WrongStatus(f"the engine of {sleeve.name} runs already")
    sheet.numbers |= {"engine": seat.engine.name, "venues": " ".join(venues)}
    sheet.warnings.append("whether its venues answer is asked when it is started")
    return f"ask the engine of {sleeve.name} again, with fresh memory"


def _stop(sheet: Sheet) -> str:
    sleeve = sheet.case.sleeve(cast(Stop, sheet.case.instruction).sleeve)
    seat = sheet.case.seat(sleeve)
    orders = [order for order in _orders(sheet, sleeve) if takes_more(sleeve, order)]
    sheet.numbers |= {"engine": seat.engine.name, "orders_off": str(len(orders)), "positions": str(len(sleeve.positions()))}
    return f"ask the engine of {sleeve.name} no more; positions and exits stay"


def _rebalance(sheet: Sheet) -> str:
    one, case, desk = cast(Rebalance, sheet.case.instruction), sheet.case, sheet.desk
    sleeve = case.sleeve(one.sleeve)
    if desk.recovering:
        raise No(Code.RECOVERING, "the desk was opened on a journal with records and is not recovered yet")
    seat = case.seat(sleeve)
    if desk._stops.asleep(seat) or seat.vault.idle_reason:
        raise WrongStatus(f"the engine of {sleeve.name} is not asked: {seat.vault.idle_reason or sleeve.status}")
    if not any(sheet.book(market) for market in seat.engine.watches):
        raise VaultError(f"nothing that {seat.engine.name} watches has a price yet")
    sheet.stale(seat.engine.watches)
    sheet.numbers["engine"] = seat.engine.name
    sheet.warnings.append("what the engine wishes for is not known before it is asked; its wishes go through its gates as ever")
    return f"ask the engine of {sleeve.name} now"


def _moves(sheet: Sheet, target: str, move: Move) -> Stateful:
    """Where a status would move to. Raises `WrongStatus` where it cannot."""
    subject = sheet.desk._of(sheet.case.target(target))
    status, _ = subject.try_move(move, by=sheet.case.instruction.author)
    sheet.goes("status", subject.own_status, status)
    return subject


def _pause(sheet: Sheet) -> str:
    target = cast(Pause, sheet.case.instruction).target
    _moves(sheet, target, Move.PAUSE)
    off = [order for sleeve in sheet.case.sleeves(target) for order in _orders(sheet, sleeve) if takes_more(sleeve, order)]
    sheet.numbers["orders_off"] = str(len(off))
    return f"pause {target}: no new risk; positions wait for their exits"


def _resume(sheet: Sheet) -> str:
    target = cast(Resume, sheet.case.instruction).target
    subject = _moves(sheet, target, Move.RESUME)
    held = ", ".join(str(cause) for cause in subject.latches if cause is not Hold.STOPPED)
    if held:
        sheet.warnings.append(f"{target} stays held by {held}")
    return f"take {target} back to work"


def _revive(sheet: Sheet) -> str:
    one = cast(Revive, sheet.case.instruction)
    if not one.why:
        raise No(Code.VAULT_REFUSED, f"reviving {one.target} needs a reason")
    _moves(sheet, one.target, Move.REVIVE)
    for sleeve in sheet.case.sleeves(one.target):
        if sleeve.own_status is Status.HALTED:
            sleeve.check_not_overdrawn()
    return f"take {one.target} back: paused, to be resumed"


def _arm(sheet: Sheet) -> str:
    one, case, desk = cast(Arm, sheet.case.instruction), sheet.case, sheet.desk
    venue = case.venue(one.venue)
    number, _, code = one.per_hour.partition(" ")
    assets = {vault.asset.code: vault.asset for vault in desk.treasury.vaults}
    if code and code not in assets:
        raise No(Code.BAD_AMOUNT, f"no vault of this desk is over {code}", known=" ".join(assets))
    needed = desk.arming_phrase(venue.name, per_hour=assets[code](number) if code else number)
    sheet.numbers |= {"venue": venue.name, "per_hour": one.per_hour, "phrase": needed, "lasts_s": str(one.lasts)}
    sheet.numbers |= {"total": one.total} if one.total else {}
    sheet.numbers |= {"confirm_above": one.confirm_above}
    real = getattr(venue, "real_money", True) is not False
    sheet.warnings.append(f"{venue.name} moves real money" if real else f"{venue.name} moves no real money: nothing there needs arming")
    if one.phrase != needed:
        raise VaultError(f"to arm {venue.name} say exactly: {needed!r}")
    return f"arm {venue.name}: {needed.partition(' for ')[2]}"


def _disarm(sheet: Sheet) -> str:
    venue = sheet.case.venue(cast(Disarm, sheet.case.instruction).venue)
    if venue.name not in sheet.desk.armed:
        return f"{venue.name} is not armed"
    return f"disarm {venue.name}: no more new risk there; orders that take some are taken off"


LOOKS: Mapping[type[Instruction], Callable[[Sheet], str]] = {
    Start: _start,
    Stop: _stop,
    Deposit: _deposit,
    Withdraw: _withdraw,
    Allocate: _allocate,
    Reclaim: _reclaim,
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
