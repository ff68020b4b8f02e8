"""Who is stopped, and what is closed because of it: kill, pause, revive, cancels, and positions that are sold off.

Stopping is never in the way of anything that closes. What cannot be closed is said, as an alert `residual`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from .blotter import Blotter, Working
from .books import Books
from .errors import NotEnough, VaultError, WrongStatus
from .ledger import COIN_ROLES, Role
from .market import MINUTE, SECOND, Instrument
from .money import Rounding
from .netting import FENCE
from .orders import CancelOrder, Command, Order, Place, Side, SubmitOrder
from .records import Alert, Changed, Level, Record
from .seat import NEVER, Seat
from .sleeve import Sleeve, Stateful
from .standings import Standings
from .status import Hold, Move, Status
from .vault import CoreVault

__all__ = ["FLATTEN_TRIES", "Stops"]

NOTHING: tuple[Command, ...] = ()
FLATTEN_TRIES = 5
"""How many orders are sent to flatten one position before it is said that it cannot be."""
FLATTEN_AGAIN = 10 * SECOND
"""How long after a venue was not reached what closes a position is ordered again."""
_THERE = COIN_ROLES | {Role.UNSETTLED, Role.CONTRACTS, Role.MARGIN, Role.TRADING}
"""Accounts of a sleeve on which something may lie or be owed."""


class Stops:
    """The stops of one desk. `order` holds and journals an order without asking gates, `index` registers an instrument."""

    def __init__(
        self,
        vaults: Sequence[CoreVault],
        seats: Mapping[str, Seat],
        blotter: Blotter,
        books: Books,
        order: Callable[[Seat, Place, int, str], SubmitOrder],
        index: Callable[[Instrument], int],
        standings: Standings,
    ) -> None:
        self.recovering = books.reopened
        """Nothing is ordered before the desk is recovered."""
        self.flattening: set[str] = set()
        """Orders that were sent to close a position for good."""
        self.again_at = NEVER
        """When `again` is to be asked next: something is to be closed that a venue was not reached for."""
        self._doubted: set[str] = set()
        """Orders of unknown fate of which it was said that they hold a flattening up."""
        self._vaults = vaults
        self._seats = seats
        self._blotter = blotter
        self._books = books
        self._order = order
        self._index = index
        self._standings = standings

    def kill(self, target: Stateful, *, flatten: bool, by: str, why: str = "", at: int | None = None) -> list[Command]:
        """Stop a sleeve, or a vault or the desk with all its sleeves: engines are asked no more and orders are canceled.

        With `flatten`, positions are then sold at market, as soon as the cancels are through, what is at most risk first;
        what cannot be sold is reported as an alert `residual`, and so is what a flattening before had not closed yet, when
        this kill does not flatten. Returns the commands to carry out now. Raises `VaultError` for what is not of this desk.
        """
        sleeves = self.sleeves(target)
        at = self._books.time(at)
        if not isinstance(target, Sleeve):
            target.move(Move.KILL, by=by, why=why, at=at)
        commands: list[Command] = []
        for sleeve in sorted(sleeves, key=self._at_risk, reverse=True):
            seat = self._seats.get(sleeve.name)
            sleeve.move(Move.KILL, by=by, why=why, at=at, after=() if flatten else self._given_up(seat, "killed without flattening", at))
            if seat is not None:
                seat.wake = NEVER
                self.close_by(seat, by if flatten else "", at)
                commands += self.cancel_all(sleeve) or (self.flatten(seat, at) if flatten else NOTHING)
        return commands

    @staticmethod
    def _given_up(seat: Seat | None, what: str, at: int) -> list[Record]:
        """What is said of a flattening that is not through and is given up now."""
        if seat is None or not seat.flatten_by or seat.sleeve.is_flat():
            return []
        text = f"it was {what} before its positions were sold: what is open stays open, but for orders that fill before their cancel"
        return [Alert(at, Level.WARNING, seat.sleeve.name, "residual", text)]

    def _at_risk(self, sleeve: Sleeve) -> int:
        """What a sleeve's positions are worth, in units of its vault's asset, whichever way they are; at cost without a price."""
        return sum(self._worth(sleeve, market, abs(amount.units)) for market, amount in sleeve.positions().items())

    def _worth(self, sleeve: Sleeve, market: Instrument, qty: int) -> int:
        seat = self._seats.get(sleeve.name)
        book = None if seat is None else seat.view.book_of(market)
        return abs(sleeve.open_cost_units(market)) if book is None else market.cost(book.mid, qty, Rounding.CEIL)

    def asleep(self, seat: Seat) -> bool:
        """Whether an engine is not to be asked: it was killed, stopped or deactivated, it raised, or the desk is recovering."""
        sleeve = seat.sleeve
        stopped = sleeve.own_status in (Status.HALTED, Status.DEACTIVATED) or Hold.STOPPED in sleeve.latches
        return self.recovering or stopped or seat.fault is not None

    def stop(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> list[Command]:
        """Ask a sleeve's engine no more, until `start`. Returns cancels of its orders that take new risk; exits stay.

        Raises `VaultError` when no engine sits there. One that is stopped already stays so.
        """
        seat = self.seat(sleeve)
        sleeve.latch(Hold.STOPPED, by=by, why=why, at=at)
        seat.wake = NEVER
        seat.vault.idle_reason = seat.vault.idle_reason or f"stopped by {by}; Desk.start asks it again"
        return self.cancel_opening(seat)

    def start(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> None:
        """Ask an engine again that was stopped, or that raised, with fresh memory.

        Raises `WrongStatus` when it runs already, and while the sleeve is killed or deactivated; `VaultError` when no engine
        sits there, or it watches nothing that it could trade; and what the engine's `begin` raises: then it stays stopped.
        """
        seat = self.seat(sleeve)
        self._check_startable(seat)
        if Hold.STOPPED not in sleeve.latches and seat.fault is None:
            raise WrongStatus(f"the engine of {sleeve.name} runs already")
        memory = seat.engine.begin()
        at = self._books.time(at)
        if not sleeve.lift(Hold.STOPPED, by=by, human=True, why=why, at=at):
            self._books.record(Changed(at, by, sleeve.name, "engine", "stopped", "restarted", why))
        self.begin(seat, memory, at)

    def _check_startable(self, seat: Seat) -> None:
        if seat.sleeve.own_status in (Status.HALTED, Status.DEACTIVATED):
            raise WrongStatus(f"sleeve {seat.sleeve.name} is {seat.sleeve.own_status}: revive or reactivate it")

    def deactivate(self, target: Sleeve | CoreVault, *, by: str, why: str, at: int | None = None) -> None:
        """Close a sleeve with nothing in it, or a vault whose sleeves are all closed, until `reactivate`.

        Raises `WrongStatus` from a status that does not lead there (pause it first), and `NotEnough` while something is in
        it: positions, orders, bundles, coins, or coins that are set aside for it.
        """
        for sleeve in self.sleeves(target):
            if target is not sleeve and sleeve.own_status is not Status.DEACTIVATED:
                raise WrongStatus(f"sleeve {sleeve.name} of it is {sleeve.own_status}: deactivate it first")
            left = self._left_in(sleeve)
            if left:
                raise NotEnough(f"sleeve {sleeve.name} cannot be deactivated while it has {', '.join(left)}", sleeve.free)
        target.move(Move.DEACTIVATE, by=by, why=why, at=at)
        for sleeve in self.sleeves(target):
            if sleeve.name in self._seats:
                self._seats[sleeve.name].wake = NEVER

    def _left_in(self, sleeve: Sleeve) -> list[str]:
        """What is in a sleeve, in words: coins, positions, what is owed, what is under way."""
        seat = self._seats.get(sleeve.name)
        cells = self._books.ledger.cells(sleeve.name)
        left = [f"{units} units of {code} on {account.role}" for account, code, units in cells if units and account.role in _THERE]
        left += [f"{sleeve.pending} set aside"] if sleeve.pending.units else []
        return left + (["open orders"] if seat is not None and (seat.open_orders or seat.view.bundles) else [])

    def reactivate(self, target: Sleeve | CoreVault, *, by: str, why: str, at: int | None = None) -> None:
        """Take a deactivated sleeve, or vault, back: paused, its engine with fresh memory. Raises `WrongStatus` if it was not."""
        self.sleeves(target)
        target.try_move(Move.REACTIVATE, by=by, why=why, at=at)
        seat = self._seats.get(target.name) if isinstance(target, Sleeve) else None
        memory = None if seat is None else seat.engine.begin()
        at = self._books.time(at)
        target.move(Move.REACTIVATE, by=by, why=why, at=at)
        if seat is not None:
            self.begin(seat, memory, at)

    def latch(self, target: Stateful | str, cause: Hold, *, by: str, why: str, at: int | None, until: int | None = None) -> list[Command]:
        """Hold a sleeve, a vault, the desk or a venue for a cause. Returns cancels of what would take new risk there."""
        meant = isinstance(target, str) and Hold(cause) not in (Hold.CONNECTION, Hold.SYNC)  # those are venues' alone
        if meant and any(target == vault.owner or target in vault.sleeves for vault in self._vaults):
            raise VaultError(f"{target!r} is a sleeve or a vault here: hand it in itself; a name alone is a venue's")
        subject = self._standings.subject(target)
        if not subject.latch(Hold(cause), by=by, why=why, at=at, until=until):
            return []
        return self.cancel_opening_at(target) if isinstance(target, str) else self.cancel_opening_of(self.sleeves(subject))

    def cancel_opening_at(self, venue: str) -> list[Command]:
        """Cancels for open orders that take new risk at a venue, or may be there because their instruments name none."""
        every = self.cancel_opening_of(seat.sleeve for seat in self._seats.values())
        return [one for one in every if isinstance(one, CancelOrder) and one.order.place.instrument.venue in ("", venue)]

    def revive(self, target: Stateful, *, by: str, why: str, at: int | None = None) -> Sequence[Command]:
        """Take a killed sleeve, or a vault or the desk with all its killed sleeves, back: paused, with engines' memories fresh.

        A flattening that is not through is given up, and an alert `residual` says so. Returns the cancels of orders
        that are still open. Raises `WrongStatus` if it was not killed, `NotEnough` while a sleeve is overdrawn,
        `VaultError` for what is not of this desk, and what an engine's `begin` raises; then nothing has changed.
        """
        sleeves = self.sleeves(target)
        at = self._books.time(at)
        if not isinstance(target, Sleeve):
            sleeves = [sleeve for sleeve in sleeves if sleeve.own_status is Status.HALTED]
        for one in (target, *sleeves):
            one.try_move(Move.REVIVE, by=by, why=why, at=at)
        for sleeve in sleeves:
            sleeve.check_not_overdrawn()
        memories = {sleeve.name: self._seats[sleeve.name].engine.begin() for sleeve in sleeves if sleeve.name in self._seats}
        commands: list[Command] = []
        for sleeve in sleeves:
            seat = self._seats.get(sleeve.name)
            sleeve.move(Move.REVIVE, by=by, why=why, at=at, after=self._given_up(seat, "revived", at))
            if seat is not None:
                self.begin(seat, memories[sleeve.name], at)
                commands += self.cancel_all(sleeve)
        if not isinstance(target, Sleeve):
            target.move(Move.REVIVE, by=by, why=why, at=at)
        return commands

    def restart(self, sleeve: Sleeve, *, by: str, why: str = "", at: int | None = None) -> None:
        """Ask a sleeve's engine again, with fresh memory, after it raised. The sleeve's status is moved apart.

        Raises `WrongStatus` while the sleeve is killed, which `revive` ends; `VaultError` when no engine sits there.
        """
        seat = self.seat(sleeve)
        self._check_startable(seat)
        if Hold.STOPPED in sleeve.latches:
            return self.start(sleeve, by=by, why=why, at=at)
        memory = seat.engine.begin()
        before = "running" if seat.fault is None else "stopped"
        at = self._books.time(at)
        self._books.record(Changed(at, by, sleeve.name, "engine", before, "restarted", why))
        self.begin(seat, memory, at)
        return None

    def begin(self, seat: Seat, memory: object, at: int) -> None:
        """Give an engine fresh memory, and ask it from now on, if nothing else speaks against it."""
        seat.vault.idle_reason = seat.untradeable
        self.close_by(seat, "", at)
        seat.memory, seat.fault = memory, None
        seat.wake = NEVER if self.asleep(seat) else 0

    def close_by(self, seat: Seat, by: str, at: int) -> None:
        """Somebody has a seat's positions closed from here on; nobody any more, when `by` is empty."""
        seat.flatten_tries, seat.flatten_after = {}, {}
        if seat.flatten_by != by:
            self._books.record(Changed(at, by or "desk", seat.sleeve.name, "flatten", seat.flatten_by, by))
            seat.flatten_by = by

    def pause(self, target: Stateful, *, by: str, why: str = "", at: int | None = None) -> list[Command]:
        """Pause a sleeve, a vault or the desk. Returns cancels of buys that rest at the venue, but for those that only close.

        `Sleeve.pause` alone stops new orders; what is at the venue already may still fill.
        """
        sleeves = self.sleeves(target)
        target.move(Move.PAUSE, by=by, why=why, at=at)
        return self.cancel_opening_of(sleeves)

    def cancel_all(self, sleeve: Sleeve) -> Sequence[Command]:
        """Cancel every open order of a sleeve. While it is being closed, what none of them holds up is closed behind them."""
        seat = self.seat(sleeve)
        cancels: list[Command] = [CancelOrder(order) for order in seat.open_orders.values()]
        return [*cancels, *self.flatten(seat, self._books.now)] if cancels and seat.flatten_by else cancels

    def cancel_opening_of(self, sleeves: Iterable[Sleeve]) -> list[Command]:
        return [cancel for sleeve in sleeves if sleeve.name in self._seats for cancel in self.cancel_opening(self._seats[sleeve.name])]

    def cancel_blocked(self, vaults: Iterable[CoreVault]) -> list[Command]:
        """Cancels for open orders that take new risk where none is to be taken: what they trade does not agree with the venue."""
        cancels: list[Command] = []
        for vault in vaults:
            mismatched = self._books.mismatched.get(vault.wallet, frozenset())
            off, tolerated = self._books.misplaced.get(vault.wallet, {}), self._books.tolerances
            misplaced = {account for (account, code), units in off.items() if abs(units) > tolerated.get(code, 0)}
            for cancel in self.cancel_opening_of(vault.sleeves.values()):
                assert isinstance(cancel, CancelOrder)
                market = cancel.order.place.instrument
                coins = (market.base, market.quote) if market.contract is None else (market.quote,)
                lies = self._books.accounts.get(cancel.order.sleeve, 0)
                if vault.short() or market.symbol in mismatched or lies in misplaced or any(vault.unexplained(asset) for asset in coins):
                    cancels.append(cancel)
        return cancels

    def cancel_opening(self, seat: Seat, *, closing: bool = False) -> list[Command]:
        """Cancels for open orders that take new risk: all but those that were ordered to close, and still only do.

        A sale of coins never takes any; a buy closes what facts have oversold, an order of contracts the slice on its
        other side. With `closing`, just those that were ordered to close and no longer only do.
        """
        owed: dict[tuple[str, Side], int] = {}
        cancels: list[Command] = []
        for order in seat.open_orders.values():
            market, side, working = order.place.instrument, order.place.side, self._blotter.get(order.id)
            if working is None or (market.contract is None and side is Side.SELL):
                continue
            left = owed.get((market.symbol, side), -side.sign * seat.sleeve.position_units(market))
            if working.closes and working.left <= left:
                owed[market.symbol, side] = left - working.left
            elif working.closes or not closing:
                cancels.append(CancelOrder(order))
        return cancels

    def flatten(self, seat: Seat, now: int) -> Sequence[Command]:
        """Close what is left at market, each position once no order of it is open; say what cannot be closed.

        What an order of unknown fate holds, or may still close, stays until that is known, and is said too; the rest of
        the position does not wait for it.
        """
        if self.recovering:
            return NOTHING
        by, sleeve = seat.flatten_by, seat.sleeve
        commands: list[Command] = []
        waits = False
        held = sleeve.positions()
        for market in sorted(held, key=lambda market: self._worth(sleeve, market, abs(held[market].units)), reverse=True):
            amount, after = held[market], seat.flatten_after.get(market.symbol, 0)
            self._index(market)
            orders = self._orders_of(seat, market)
            if now < after:
                waits = True
                self.again_at = min(self.again_at, after)
                continue
            if any(one.order.id not in self._blotter.unknown for one in orders):
                waits = True  # until its cancel, or its fill, is through
                continue
            if market.contract is not None and seat.view.book_of(market) is None:
                waits = True  # after a restart, until the first price of it
                continue
            side = Side.SELL if amount.units > 0 else Side.BUY
            stays = self._kept(market, side, orders)
            if market.contract is None:
                qty = market.round_qty(min(amount.units, sleeve.free_units(market.base)))
            else:
                qty = market.round_qty(max(0, abs(amount.units) - sum(stays.values())))
            self._tell_doubt(sleeve, market, stays, now)
            tries = seat.flatten_tries.get(market.symbol, 0)
            if tries < FLATTEN_TRIES and qty >= max(market.lot_units, market.min_qty_units):
                seat.flatten_tries[market.symbol] = tries + 1
                submit = self._order(seat, Place(market, side, qty, reduce_only=True, why="flatten"), now, by)
                self.flattening.add(submit.order.id)
                commands.append(submit)
            elif tries <= FLATTEN_TRIES and not stays:
                seat.flatten_tries[market.symbol] = FLATTEN_TRIES + 1
                self.alert(now, Level.WARNING, sleeve.name, "residual", f"{amount} of {market} cannot be closed")
        if by == FENCE and not commands and not seat.open_orders and not waits:
            self.close_by(seat, "", now)
            seat.fence_after = now + MINUTE
        return commands

    def _orders_of(self, seat: Seat, market: Instrument) -> list[Working]:
        """Open orders that change, or hold something of, a seat's position in an instrument."""
        found = []
        for order in seat.open_orders.values():
            working, other = self._blotter.get(order.id), order.place.instrument
            if working is None:
                continue
            coins = market.contract is None and other.contract is None and market.base in (other.base, working.asset)
            if coins or other == market:
                found.append(working)
        return found

    def _kept(self, market: Instrument, side: Side, orders: Iterable[Working]) -> dict[str, int]:
        """By order of unknown fate, the base units of a position that it holds, or may still close."""
        kept = {}
        for one in orders:
            if market.contract is not None:
                units = one.left if one.order.place.side is side else 0
            else:
                units = self._books.ledger.units(one.held, market.base)
            if units:
                kept[one.order.id] = units
        return kept

    def _tell_doubt(self, sleeve: Sleeve, market: Instrument, kept: Mapping[str, int], now: int) -> None:
        for name in kept.keys() - self._doubted:
            self._doubted.add(name)
            text = f"{market.qty_text(kept[name])} of {market} stays open while the fate of {name} is unknown; Desk.give_up ends that"
            self.alert(now, Level.WARNING, sleeve.name, "residual", text)

    def not_reached(self, seat: Seat, order: Order, at: int, reason: str) -> None:
        """An order that was to close a position did not reach its venue: it costs no try, and `again` orders it anew."""
        if not seat.flatten_by:
            return
        market, now = order.place.instrument, max(self._books.now, at)
        if not seat.flatten_after:
            often = f"it is tried every {FLATTEN_AGAIN // SECOND} s until it is flat"
            text = f"flattening order {order.id} of {market} did not get through: {reason}; {often}"
            self.alert(now, Level.WARNING, seat.sleeve.name, "flatten_waits", text)
        seat.flatten_tries[market.symbol] = max(0, seat.flatten_tries.get(market.symbol, 0) - 1)
        seat.flatten_after[market.symbol] = now + FLATTEN_AGAIN
        self.again_at = min(self.again_at, now + FLATTEN_AGAIN)

    def again(self, now: int) -> list[Command]:
        """Order anew what a venue was not reached for, as far as it is due; `again_at` is then when to ask next."""
        self.again_at = NEVER
        waiting = [seat for seat in self._seats.values() if seat.flatten_by and seat.flatten_after]
        return [command for seat in waiting for command in self.flatten(seat, now)]

    def alert(self, now: int, level: Level, subject: str, code: str, text: str) -> None:
        """Journal something that a human should know."""
        self._books.record(Alert(now, level, subject, code, text))

    def sleeves(self, target: Stateful) -> list[Sleeve]:
        """The sleeve, or the vault's sleeves, or all of the desk. Raises `VaultError` for what is not of this desk."""
        if target is self._standings.desk:
            return [sleeve for vault in self._vaults for sleeve in vault.sleeves.values()]
        if isinstance(target, CoreVault) and any(target is vault for vault in self._vaults):
            return list(target.sleeves.values())
        if isinstance(target, Sleeve) and any(target.vault is vault for vault in self._vaults):
            return [target]
        raise VaultError(f"{target!r} is not a vault or a sleeve of this desk")

    def seat(self, sleeve: Sleeve) -> Seat:
        seat = self._seats.get(sleeve.name) if isinstance(sleeve, Sleeve) else None
        if seat is None or seat.sleeve is not sleeve:
            raise VaultError(f"{sleeve!r} is no sleeve with an engine at this desk")
        return seat
