"""What has to be made up for: after a restart, when the venue holds something else, when a human says whose it is.

Nothing is ordered here: what is to be carried out is returned, as by the desk itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import evolve

from .answers import Answers
from .blotter import Blotter
from .books import Books
from .bundles import Bundles
from .errors import VaultError, WrongStatus
from .facts import CashFlow, TransferRefused
from .market import Instrument
from .money import Amount, AmountLike
from .netting import Netting
from .orders import CancelOrder, Command, Event, Fill, OrderStatus, Position
from .passages import MAIN, Passages
from .reconcile import (
    Discrepancy,
    Misplaced,
    Reconciliation,
    adopt,
    adopt_trade,
    adoptable,
    check_balances,
    check_holdings,
    check_told,
    compare_holdings,
    compare_positions,
    reconcile,
    transfers_in,
)
from .records import Level, Policy, Recovered, Residual
from .seat import NEVER, Seat
from .sleeve import Sleeve
from .standings import Standings
from .status import Status
from .stops import Stops
from .trades import closes
from .transfers import Transfers
from .vault import CoreVault

__all__ = ["Aftermath"]

NOTHING: tuple[Command, ...] = ()


class Aftermath:
    """What one desk makes up for, from the rooms that know of it."""

    def __init__(
        self,
        vaults: Sequence[CoreVault],
        seats: Mapping[str, Seat],
        books: Books,
        standings: Standings,
        stops: Stops,
        netting: Netting,
        bundles: Bundles,
        blotter: Blotter,
        transfers: Transfers,
        passages: Passages,
        answers: Answers,
        step: Callable[[Event], Sequence[Command]],
        index: Callable[[Instrument], int],
    ) -> None:
        self._vaults, self._seats, self._books = vaults, seats, books
        self._standings, self._stops, self._netting, self._bundles = standings, stops, netting, bundles
        self._blotter, self._transfers, self._passages, self._answers = blotter, transfers, passages, answers
        self._step, self._index = step, index

    def recovered(self, policy: Policy, found: Mapping[str, str], venues: Iterable[str], *, by: str, at: int | None) -> list[Command]:
        """See `Desk.recovered`."""
        if not self._stops.recovering:
            raise WrongStatus("this desk was not opened on a journal with records, or is recovered already")
        at = self._books.time(at)
        words = {str(name): str(value) for name, value in found.items()}
        self._books.record(Recovered(at, by, policy, words))
        self._stops.recovering = False
        self._standings.lift_seen(venues, at=at)
        commands: list[Command] = []
        for seat in self._seats.values():
            seat.wake = NEVER if self._stops.asleep(seat) else 0
            commands += self._make_up(seat, at)
            if policy is Policy.FLATTEN:
                commands += self._stops.kill(seat.sleeve, flatten=True, by=by, why="recovered", at=at)
            elif policy is Policy.HOLD and seat.sleeve.own_status is Status.ACTIVE:
                commands += self._stops.pause(seat.sleeve, by=by, why="recovered", at=at)
        self._netting.look_again()
        return commands

    def _make_up(self, seat: Seat, at: int) -> list[Command]:
        """What should have followed from what is booked; nothing where it has."""
        sleeve = seat.sleeve
        commands: list[Command] = []
        if sleeve.is_flat():
            sleeve.vault.sweep(sleeve, ref="recovery", at=at)
            sleeve.vault.land(sleeve, at=at)
        for market in self._books.instruments.values():
            if market.contract is not None and market.quote == sleeve.asset:
                commands += self._netting.settle_if_closed(sleeve, market)
        commands += self._bundles.take_back(seat, at, "the desk was restarted")
        if seat.flatten_by:
            others = [order for order in seat.open_orders.values() if order.id not in self._stops.flattening]
            return [*commands, *map(CancelOrder, others), *self._stops.flatten(seat, at)]
        if sleeve.status is Status.HALTED:
            return [*commands, *self._stops.cancel_all(sleeve)]
        return [*commands, *self._stops.cancel_opening(seat, closing=sleeve.status.may_open)]

    def reconcile(
        self,
        balances: Mapping[str, Amount],
        flows: Iterable[CashFlow],
        positions: Mapping[str, Position] | None,
        wallet: str | None,
        holdings: Mapping[int, Mapping[str, Amount]] | None,
        *,
        by: str,
        at: int | None,
    ) -> tuple[Reconciliation, list[Command]]:
        """See `Desk.reconcile`."""
        wallets = sorted({vault.wallet for vault in self._vaults})
        if wallet is None and len(wallets) > 1:
            raise VaultError(f"which wallet is it: {', '.join(wallets)}?")
        wallet, at = wallets[0] if wallet is None else wallet, self._books.time(at)
        flows = list(flows) if isinstance(flows, Iterable) else flows
        check_told(balances, flows, positions)
        check_balances(self._vaults, wallet, balances)
        if holdings is not None:
            check_holdings(holdings, balances)
        commands: list[Command] = []
        for fact in transfers_in(self._vaults, wallet, flows):
            commands += self._step(fact)
        lying = None if holdings is None else _off(self._looked(wallet, holdings))
        found = reconcile(self._vaults, wallet, balances, flows, by=by, at=at, lying=lying)
        if positions is not None:
            found = evolve(found, contracts=self._compare(wallet, positions, at))
        if holdings is not None:
            found = evolve(found, misplaced=self._lie(wallet, holdings, at))
        return found, [*commands, *self._stops.cancel_blocked([vault for vault in self._vaults if vault.wallet == wallet])]

    def _compare(self, wallet: str, positions: Mapping[str, Position], at: int) -> tuple[Discrepancy, ...]:
        """The contracts of a wallet that do not agree with its venue's; new ones are told."""
        contracts = compare_positions([vault for vault in self._vaults if vault.wallet == wallet], positions)
        for one in contracts:
            if one.symbol not in self._books.mismatched.get(wallet, ()):
                self._stops.alert(at, Level.CRITICAL, one.symbol, "position_mismatch", f"{one}: no new risk in it until they agree")
        self._books.mismatched[wallet] = frozenset(one.symbol for one in contracts)
        return contracts

    def _lie(self, wallet: str, holdings: Mapping[int, Mapping[str, Amount]], at: int) -> tuple[Misplaced, ...]:
        """Coins that lie in other sub-accounts than the books say; what is new of it, and more than is tolerated, is told."""
        found = self._looked(wallet, holdings)
        known = self._books.misplaced.get(wallet, {})
        off = _off(found)
        for one in found:
            code = one.theirs.asset.code
            if known.get((one.account, code)) != one.off.units and abs(one.off.units) > self._books.tolerances.get(code, 0):
                text = f"{one}: no new risk there until they agree"
                self._stops.alert(at, Level.CRITICAL, wallet, "misplaced", text)
        self._books.misplaced[wallet] = off
        return found

    def _looked(self, wallet: str, holdings: Mapping[int, Mapping[str, Amount]]) -> tuple[Misplaced, ...]:
        return compare_holdings(self._passages.expected(wallet), holdings, self._books, wallet)

    def follow(self, vault: CoreVault, account: int, *, by: str, why: str, at: int | None) -> None:
        """See `Desk.follow`."""
        if not isinstance(by, str) or not by.strip() or not isinstance(why, str) or not why:
            raise VaultError("following a sub-account needs a name and a reason")
        off = self._books.misplaced.get(vault.wallet, {})
        units = off.get((account, vault.asset.code))
        if type(account) is not int or not account or units is None:
            where = ", ".join(f"{one} of {code} in sub-account {number}" for (number, code), one in off.items()) or "nothing"
            raise VaultError(f"no coins of {vault.owner} were found misplaced in sub-account {account!r} at the last look: {where}")
        self._passages.follow(vault, account, units, by=by, why=why, at=self._books.time(at))
        del off[account, vault.asset.code]
        main = MAIN, vault.asset.code
        off[main] = off.get(main, 0) + units  # what lay too much there lacked here, or in a third: the next look says
        if not off[main]:
            del off[main]

    def adopt(
        self, what: Residual | Fill | str, to: CoreVault | Sleeve, value: AmountLike | None, *, by: str, why: str, at: int | None
    ) -> Sequence[Command]:
        """See `Desk.adopt`."""
        if not isinstance(by, str) or not by.strip() or not isinstance(why, str) or not why:
            raise VaultError("adopting a residual needs a name and a reason")
        self._stops.sleeves(to)
        at = self._books.time(at)
        legs, trade = adoptable(self._books, what)
        if trade is not None and isinstance(to, Sleeve):
            return self._adopt_trade(trade, legs, to, by=by, why=why, at=at)
        named = what.id if isinstance(what, Residual) else what
        meant = legs if trade is None else [leg for leg in legs if leg.id == named]
        if not meant:
            ids = ", ".join(leg.id for leg in legs)
            raise VaultError(f"{named} is a trade of several coins: a sleeve adopts it whole, a core vault each of {ids or 'its coins'}")
        for one in meant:
            adopt(self._books, one, to, next(v for v in self._vaults if v.owner == one.vault), value, by=by, why=why, at=at)
        if isinstance(to, Sleeve) and to.is_flat() and not to.held_units():
            to.vault.sweep(to, ref="adopted", at=at)
            to.vault.land(to, at=at)
        return NOTHING

    def _adopt_trade(self, trade: Fill, legs: Sequence[Residual], to: Sleeve, *, by: str, why: str, at: int) -> Sequence[Command]:
        """Book somebody else's trade as a sleeve's own, with what follows from it."""
        market, closed = trade.instrument, closes(to, trade)
        adopt_trade(self._books, trade, legs, to, by=by, why=why, at=at)
        self._index(market)
        if market.contract is not None:
            self._netting.moved(market, trade.at, to.name, trade.side.sign * trade.qty)
        if closed and to.is_flat():
            to.vault.sweep(to, ref=trade.key, at=at)
            to.vault.land(to, at=at)
        return NOTHING if market.contract is None else self._netting.retry(market)

    def give_up(self, name: str, *, by: str, why: str, at: int | None) -> Sequence[Command]:
        """See `Desk.give_up`."""
        if not isinstance(by, str) or not by.strip() or not isinstance(why, str) or not why:
            raise VaultError(f"giving up {name} needs a name and a reason")
        said = f"given up by {by}: {why}"
        if isinstance(name, str) and (self._transfers.under_way(name) or self._passages.find(name) is not None):
            return self._step(TransferRefused(self._books.time(at), name, said))
        working = self._blotter.get(name) if isinstance(name, str) else None
        if working is None or working.status is not OrderStatus.UNKNOWN:
            raise VaultError(f"{name!r} is no order of unknown fate and no transfer: only the venue says what became of it")
        return self._answers.off(name, self._books.time(at), OrderStatus.CANCELED, said)


def _off(found: Sequence[Misplaced]) -> dict[tuple[int, str], int]:
    """By sub-account and coin, how much more lies there than the books say."""
    return {(one.account, one.theirs.asset.code): one.off.units for one in found}
