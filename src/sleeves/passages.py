"""Coins on their way between the wallet's main account and the sub-accounts that back sleeves: a fold of three steps.

    set out   the core vault allocates, or takes back, or a sleeve's profit is swept: BETWEEN:allocate, :reclaim or :sweep
    asked     the desk asks the venue to move it, under an id: BETWEEN:allocate:ID
    there     the venue says that it moved: it is the sleeve's to use, or the core vault's; or that it did not: it is where it was

One at a time for each sleeve, so that it is known what of a sub-account may be at either end. What nobody here asked for, or
was given up, is written down when the venue tells of it, and nothing is booked: a look at the sub-accounts finds that the coins
lie elsewhere, and a human says what that means (`Desk.follow`).

How a venue moves coins is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from . import booking
from .books import Books
from .errors import NotEnough, VaultError, WrongStatus
from .facts import Shifted, TransferRefused
from .ledger import Role
from .money import Amount
from .orders import Transfer
from .records import Alert, Asked, Changed, Level, Record
from .sleeve import ALLOCATED, RECLAIMED, SWEPT, Sleeve
from .status import Status
from .vault import CoreVault

__all__ = ["MAIN", "Passage", "Passages", "account_of"]

MAIN = 0
"""The sub-account in which the coins of core vaults lie, and of sleeves that have none of their own."""


def account_of(sleeve: Sleeve) -> int:
    """The sub-account that a sleeve's coins lie in."""
    return sleeve.account or MAIN


@frozen(order=False)
class Passage:
    """One sum on its way: whose, why it goes, and under which id it was asked for."""

    sleeve: Sleeve
    why: str
    units: int
    id: str

    @property
    def of(self) -> str:
        """Which BETWEEN account of the sleeve it stands in."""
        return f"{self.why}:{self.id}"


class Passages:
    """The passages of a desk's vaults.

    `number` gives the id of the next transfer of a vault, `unfit` says why coins are not to leave a sub-account now, `woken` is told
    when something is to be asked for.
    """

    def __init__(
        self,
        vaults: Sequence[CoreVault],
        number: Callable[[CoreVault], str],
        unfit: Callable[[CoreVault, int, Amount], str],
        woken: Callable[[], None],
    ) -> None:
        self._vaults = vaults
        self._number = number
        self._unfit = unfit
        self._woken = woken
        self.waiting = any(units for sleeve in self._apart() for _, units in self._between(sleeve))
        """Whether something may have to be asked for."""
        for vault in vaults:
            vault.set_out = self._set_out
        if self.waiting:
            woken()

    def _set_out(self) -> None:
        self.waiting = True
        self._woken()

    def _apart(self) -> list[Sleeve]:
        return [sleeve for vault in self._vaults for sleeve in vault.sleeves.values() if sleeve.apart]

    @property
    def _books(self) -> Books:
        return self._vaults[0].books

    def _between(self, sleeve: Sleeve) -> list[tuple[str, int]]:
        """What of a sleeve's coins is between, as (of, units)."""
        cells = self._books.ledger.cells(sleeve.name)
        return [
            (account.of, units) for account, code, units in cells if account.role is Role.BETWEEN and units and code == sleeve.asset.code
        ]

    def all(self) -> list[Passage]:
        """Those that were asked for and are not through."""
        found = []
        for sleeve in self._apart():
            for of, units in self._between(sleeve):
                why, asked, name = of.partition(":")
                if asked:
                    found.append(Passage(sleeve, why, units, name))
        return found

    def find(self, name: str) -> Passage | None:
        """The passage that was asked for under this id and is not through."""
        return next((one for one in self.all() if one.id == name), None)

    # -- asking --------------------------------------------------------------------------------------------------------

    def due(self, now: int) -> list[Transfer]:
        """Ask for what is to be moved, for each sleeve one sum at a time. What is asked for is in the journal first."""
        transfers: list[Transfer] = []
        self.waiting = False
        for sleeve in self._apart():
            sums = self._between(sleeve)
            if any(":" in of for of, _ in sums):
                continue  # the next one goes when this is through, which wakes this again
            for of, units in sums:
                coins = Amount(units, sleeve.asset)
                whence = MAIN if of == ALLOCATED else account_of(sleeve)
                why = self._unfit(sleeve.vault, whence, coins)
                if not why:
                    transfers.append(self._ask(sleeve, of, units, now))
                    break
                self._keep(sleeve, of, coins, whence, why, now)
        return transfers

    def _keep(self, sleeve: Sleeve, of: str, coins: Amount, whence: int, why: str, now: int) -> None:
        """Coins that are not to leave are idle again, or the sleeve's."""
        vault, asset, units = sleeve.vault, sleeve.asset, coins.units
        text = f"{coins} do not leave sub-account {whence} ({of}): {why}"
        alert = Alert(now, Level.WARNING, sleeve.name, "shift_unfit", text)
        if of == ALLOCATED:
            kept = booking.call_back(vault.owner, sleeve.name, asset, units, of, at=now, by="desk", why=why)
        else:
            kept = booking.move(sleeve.name, asset, units, of, "", at=now, by="desk", why=why)
        self._books.post(kept, alert)

    def _ask(self, sleeve: Sleeve, why: str, units: int, now: int) -> Transfer:
        vault, out = sleeve.vault, why == ALLOCATED
        venue = vault.wallet if len({one.wallet for one in self._vaults}) > 1 else ""
        ends = (MAIN, account_of(sleeve)) if out else (account_of(sleeve), MAIN)
        transfer = Transfer(self._number(vault), Amount(units, sleeve.asset), venue, *ends)
        asked = Asked(now, "desk", vault.owner, transfer, sleeve.name)
        moved = booking.move(sleeve.name, sleeve.asset, units, why, f"{why}:{transfer.id}", at=now, by="desk", ref=transfer.id)
        self._books.post(asked, moved)
        return transfer

    # -- what the venue says -------------------------------------------------------------------------------------------

    def shifted(self, fact: Shifted) -> None:
        """Book that coins moved. What nobody asked for, or does not fit what was, is told to a human."""
        one, by = self.find(fact.id), fact.venue or "venue"
        records: list[Record] = [fact, *self._books.release(fact.key, at=fact.at, by=by)]
        if one is None or fact.amount.asset != one.sleeve.asset or (fact.source, fact.target) != self._ends(one):
            text = f"{fact.amount} went from sub-account {fact.source} to {fact.target}, which nobody asked for here ({fact.id})"
            records.append(Alert(fact.at, Level.WARNING, by, "shift_unasked", text))
            self._books.post(*records)
            self._books.booked(fact)
            return
        came = min(one.units, fact.amount.units)
        records += self._there(one, came, fact.key, at=fact.at, by=by)
        if came < one.units:
            records += self._stays(one, one.units - came, f"only {fact.amount} of it moved", at=fact.at, by=by)
        if came != fact.amount.units or came != one.units:
            text = f"{fact.id}: {Amount(one.units, one.sleeve.asset)} were to move, and {fact.amount} did"
            records.append(Alert(fact.at, Level.CRITICAL, one.sleeve.name, "shift_mismatch", text))
        self._books.post(*records)
        self._books.booked(fact)
        self._set_out()

    def _ends(self, one: Passage) -> tuple[int, int]:
        own = account_of(one.sleeve)
        return (MAIN, own) if one.why == ALLOCATED else (own, MAIN)

    def _there(self, one: Passage, units: int, ref: str, *, at: int, by: str) -> list[Record]:
        sleeve, vault, asset = one.sleeve, one.sleeve.vault, one.sleeve.asset
        if one.why == ALLOCATED:
            return [booking.arrive(sleeve.name, asset, units, one.of, at=at, by=by, ref=ref)]
        if one.why == SWEPT:
            kept, why = sleeve.policy.kept(units), sleeve.policy.name
            return [booking.come_home(vault.owner, sleeve.name, asset, units, kept, one.of, at=at, by=by, ref=ref, why=why)]
        return vault.came_back(sleeve, units, one.of, ref=ref, at=at, by=by)

    def _stays(self, one: Passage, units: int, why: str, *, at: int, by: str) -> list[Record]:
        """What books units that did not move after all: they are again what they were before they set out."""
        sleeve = one.sleeve
        if one.why == ALLOCATED:
            return [
                booking.call_back(sleeve.vault.owner, sleeve.name, sleeve.asset, units, one.of, at=at, by=by, ref=one.id, why=why),
            ]
        return [booking.move(sleeve.name, sleeve.asset, units, one.of, "", at=at, by=by, ref=one.id, why=why)]

    def refused(self, event: TransferRefused) -> Sleeve | None:
        """It did not move, and will not: an allocation is idle again, all else the sleeve's. None for one that is not under way here.

        What was to be swept is swept again when its sleeve closes next.
        """
        one = self.find(event.id)
        if one is None:
            return None
        vault = one.sleeve.vault
        change = Changed(event.at, "venue", vault.owner, f"transfer {event.id}", "asked", "refused", event.reason)
        text = f"{event.id}: {Amount(one.units, one.sleeve.asset)} did not move ({one.why}): {event.reason}"
        alert = Alert(event.at, Level.WARNING, one.sleeve.name, "transfer_refused", text)
        self._books.post(change, *self._stays(one, one.units, event.reason, at=event.at, by="venue"), alert)
        self._set_out()
        return one.sleeve

    # -- where coins must lie --------------------------------------------------------------------------------------------

    def expected(self, wallet: str) -> dict[tuple[int, str], tuple[int, int]]:
        """By sub-account and coin, the least and the most that must lie there: what is on its way is at either end.

        SUSPENSE is left out: where it lies is not known. So for the main account without what residuals say.
        """
        found: dict[tuple[int, str], tuple[int, int]] = {}
        books = self._books

        def add(account: int, code: str, least: int, most: int) -> None:
            had = found.get((account, code), (0, 0))
            found[account, code] = (had[0] + least, had[1] + most)

        sleeves = {sleeve.name: sleeve for vault in self._vaults for sleeve in vault.sleeves.values()}
        for owner, where in books.wallets.items():
            if where != wallet:
                continue
            sleeve = sleeves.get(owner)
            own = MAIN if sleeve is None else account_of(sleeve)
            for account, code, units in books.ledger.cells(owner):
                if account.role is Role.BETWEEN:
                    why, asked, _ = account.of.partition(":")
                    whence, to = (MAIN, own) if why == ALLOCATED else (own, MAIN)
                    add(whence, code, 0 if asked else units, units)
                    if asked:
                        add(to, code, 0, units)
                elif account.role is Role.IN_TRANSIT:
                    add(own, code, 0, units)
                elif account.role in _LIE:
                    add(own, code, units, units)
        return found

    def follow(self, vault: CoreVault, account: int, off: int, *, by: str, why: str, at: int) -> None:
        """The books follow coins that lie in a sub-account beyond what they say (`off` units; below zero: that do not lie there).

        More is allocated to its only sleeve, less is taken out of its allocation, then of profit that it kept.

        Raises `VaultError` where no sleeve, or more than one, has that sub-account, `NotEnough` where the core vault has not so much
        idle, or the sleeve not so much free, `WrongStatus` where more lies there and the sleeve is deactivated.
        """
        own = [sleeve for sleeve in self._apart() if sleeve.vault is vault and sleeve.account == account]
        if len(own) != 1:
            names = ", ".join(sleeve.name for sleeve in own) or "none"
            raise VaultError(
                f"sub-account {account} must be that of one sleeve of {vault.owner}, and is that of {names}: move the coins back"
            )
        sleeve, asset = own[0], vault.asset
        if off > 0:
            if sleeve.own_status is Status.DEACTIVATED:
                raise WrongStatus(
                    f"sleeve {sleeve.name} is deactivated: reactivate it before it is given what lies in sub-account {account}"
                )
            idle = max(0, vault.remaining_units(sleeve))
            if off > idle:
                most = Amount(idle, asset)
                raise NotEnough(f"{Amount(off, asset)} more lie in sub-account {account}: only {most} remains to allocate", most)
            self._books.post(booking.allocate(vault.owner, sleeve.name, asset, off, at=at, by=by, why=why))
        elif off < 0:
            if -off > sleeve.loose_units():
                free = Amount(sleeve.loose_units(), asset)
                raise NotEnough(f"{Amount(-off, asset)} less lie in sub-account {account}: {sleeve.name} has only {free} free", free)
            records = [booking.move(sleeve.name, asset, -off, "", RECLAIMED, at=at, by=by, why=why)]
            self._books.post(*records, *vault.came_back(sleeve, -off, RECLAIMED, ref=f"follow {account}", at=at, by=by))


_LIE = frozenset({Role.FREE, Role.HELD, Role.MARGIN, Role.IDLE, Role.RESERVED, Role.CLIENT})
"""Coins of which it is known in which sub-account they lie."""
