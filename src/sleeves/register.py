"""Who has which shares: a view of the ledger, with the locks that bind some of them.

Shares of a pool are an asset of the ledger with no decimal places. An investor's stand in `investor:<name>/shares`, those
that are bound in an account of the lock or notice that binds them, and the other side of all is `<pool>/issued`. So minted
less redeemed is what investors have, by the law that all accounts of an asset sum to zero.

Nothing here knows what a share is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from . import booking
from .books import Books
from .errors import LedgerError, VaultError
from .ledger import Account, Entry, EntryKind, Role
from .money import Amount, Asset
from .records import Record
from .shares import Lock, ShareError, client_named
from .sleeve import OWNER

__all__ = ["Holding", "Notice", "Register", "ShareMove"]

_SHARES = frozenset({EntryKind.MINT, EntryKind.REDEEM, EntryKind.BIND})


@frozen(order=False)
class Holding:
    """What an investor has."""

    name: str
    shares: int
    locked: int
    """Of them: under a lock."""
    noticed: int
    """Of them: under notice."""
    worth: Amount
    """Their part of the pool, rounded down; slippage and fees that are not charged yet aside."""
    withdrawable: Amount
    """The same of those that are neither locked nor under notice, rounded down once more. `preview_withdraw` says what would be paid."""
    client_money: Amount

    @property
    def free(self) -> int:
        """Shares that nothing binds."""
        return self.shares - self.locked - self.noticed


@frozen(order=False)
class Notice:
    """Shares whose owner has said that he leaves: redeemed from `due` on, at the worse of what they were worth then and are."""

    id: str
    investor: str
    shares: int
    due: int
    worth: Amount


@frozen(order=False)
class ShareMove:
    """A line of the register: shares that came to an investor (below zero: left), with the money that he put in or took out."""

    at: int
    investor: str
    shares: int
    money: Amount
    kind: EntryKind
    why: str


class Register:
    """The shares of one pool, and who has them. Part of a `Megavault`.

    `asset` is what the pool's money is counted in and `core` the owner of its main account.
    """

    def __init__(self, books: Books, share: Asset, asset: Asset, core: str) -> None:
        self.books = books
        self.share = share
        self.asset = asset
        self.owner = f"mega:{share.code}"
        self._core = core
        self._issued = Account(self.owner, Role.ISSUED)

    def _at(self, at: int | None) -> int:
        """The time of a command: the one given, or the latest that the books have seen where that is later.

        So nobody comes, leaves or gives notice at a price, or on a date, that is past. It moves nothing: `_write` does.
        """
        return max(self._time(at), self.books.now)

    def _time(self, at: int | None) -> int:
        """A time to look at: it moves nothing. Raises `VaultError` for one that is not whole nanoseconds."""
        if at is None:
            return self.books.clock() if self.books.clock else self.books.now
        if type(at) is not int or at >= 1 << 63:
            raise VaultError(f"time {at!r} must be a whole number of nanoseconds since 1970, UTC, of 63 bits")
        return at

    def _write(self, records: Iterable[Record]) -> None:
        """Post records, all of them or none; only then is it their time."""
        given = list(records)
        self.books.post(*given)
        for one in given:
            self.books.time(one.at)

    def _amount(self, units: int) -> Amount:
        return Amount(units, self.asset)

    @property
    def total(self) -> int:
        """All shares that are out."""
        return -self.books.ledger.units(self._issued, self.share)

    def investors(self) -> list[str]:
        """All who have shares, in the order in which they first came."""
        owners = [owner for owner in self.books.ledger.owners() if owner.startswith("investor:")]
        return [owner.partition(":")[2] for owner in owners if self.books.ledger.total(owner, Role.SHARES, self.share)]

    def shares(self, investor: str) -> int:
        """All shares of an investor, bound ones included."""
        return self.books.ledger.total(booking.investor(investor), Role.SHARES, self.share)

    def free_shares(self, investor: str) -> int:
        """Shares of an investor that nothing binds."""
        return self.books.ledger.units(Account(booking.investor(investor), Role.SHARES), self.share)

    def _bound(self, investor: str, how: str) -> list[tuple[str, int]]:
        """(what binds them, shares) of an investor's bound shares, by how: "lock" or "notice"."""
        code, cells = self.share.code, self.books.ledger.cells(booking.investor(investor))
        return [(a.of, u) for a, asset, u in cells if a.role is Role.SHARES and asset == code and u and a.of.startswith(f"{how}:")]

    def locks(self, investor: str) -> list[Lock]:
        """The locks on an investor's shares, in the order in which they were made."""
        return [_lock(of, shares) for of, shares in self._bound(investor, "lock")]

    def notices(self, investor: str) -> list[Notice]:
        """The notices that an investor gave and has not used."""
        found = []
        for of, shares in self._bound(investor, "notice"):
            worth = self.books.ledger.units(Account(booking.investor(investor), Role.BASIS, of), self.asset)
            found.append(Notice(of, investor, shares, int(of.split(":")[1]), self._amount(worth)))
        return found

    def history(self) -> list[ShareMove]:
        """Every issue, redemption and move of shares since the pool was opened, as the journal has it, oldest first."""
        found = []
        for record in self.books.journal:
            if isinstance(record, Entry) and record.kind in _SHARES:
                found += list(self._lines(record))
        return found

    def _lines(self, entry: Entry) -> Iterator[ShareMove]:
        """What an entry moved of this pool's shares, by investor."""
        moved: dict[str, int] = {}
        for account, asset, units in entry.postings:
            if account.role is Role.SHARES and asset == self.share:
                moved[account.owner] = moved.get(account.owner, 0) + units
        main = {Role.IDLE, Role.RESERVED}
        money = sum(p.units for p in entry.postings if p.account.role in main and p.account.owner == self._core)
        for owner, shares in moved.items():
            if shares or money:
                yield ShareMove(entry.at, owner.partition(":")[2], shares, self._amount(money), entry.kind, entry.why)

    # -- locks -------------------------------------------------------------------------------------------------------------

    def lock(
        self, investor: str, shares: int, til: int, *, now: int | None = None, clock: str = "time", by: str = OWNER, at: int | None = None
    ) -> Lock:
        """Bind shares of an investor until a time (ns), or with `clock="height"` and `now` until a height.

        Raises `ShareError` (lock) for no shares or an end that is not ahead, (owner), and (locked) for more than are free.
        """
        at = self._at(at)
        here = at if now is None and clock == "time" else now
        named = isinstance(investor, str) and investor
        if not named or type(shares) is not int or shares <= 0 or type(til) is not int or type(here) is not int or til <= here:
            raise ShareError(f"lock {shares!r} shares of {investor!r} until {til!r}, now {here!r}: need some, and an end ahead", "lock")
        if clock not in ("time", "height"):
            raise ShareError(f"a lock is read on the clock 'time' or 'height', not {clock!r}", "lock")
        if not self.shares(client_named(investor)):
            raise ShareError(f"{investor} has no shares of {self.share}", "owner")
        free = self.free_shares(investor)
        if shares > free:
            raise ShareError(f"{investor} has {free} free shares: {shares} cannot be locked", "locked")
        of = f"lock:{clock}:{til}:{self._times(investor, 'lock')}"
        self._write([booking.bind(self.asset, self.share, investor, "", of, shares, at=at, by=by, why="locked")])
        return Lock(of, shares, til, clock)

    def unlock(self, investor: str, *, now: int | None = None, clock: str = "time", by: str = OWNER, at: int | None = None) -> int:
        """Free the shares of an investor whose locks have run out; returns how many. Raises `ShareError` (owner) where there is no lock."""
        at = self._at(at)
        here = at if now is None and clock == "time" else now
        if type(here) is not int:
            raise ShareError(f"a lock on the clock {clock!r} needs to know what it shows now, not {here!r}", "lock")
        if not self._bound(client_named(investor), "lock"):
            raise ShareError(f"{investor} has no locks", "owner")
        freed = self._freeing(investor, here, clock, at=at, by=by)
        self._write(freed)
        return sum(p.units for entry in freed for p in entry.postings if p.units > 0)

    def _freeing(self, investor: str, now: int, clock: str, *, at: int, by: str) -> list[Entry]:
        over = [lock for lock in self.locks(investor) if lock.over(now, clock)]
        return [booking.bind(self.asset, self.share, investor, one.name, "", one.shares, at=at, by=by, why="unlocked") for one in over]

    def _times(self, investor: str, how: str) -> int:
        """How many accounts of a kind an investor has had: the number of the next, for no two are ever the same."""
        accounts = self.books.ledger.cells(booking.investor(investor))
        return len({a.of for a, _, _ in accounts if a.role is Role.SHARES and a.of.startswith(f"{how}:")}) + 1

    def issues(self) -> list[Asset]:
        """All assets whose units are issued to investors here: its shares."""
        return [self.share]

    def check(self) -> None:
        """Hold what investors have against what was issued, of each asset that is issued here.

        Raises `LedgerError` with every breach.
        """
        ledger, breaches = self.books.ledger, []
        for share in self.issues():
            owned = 0
            for owner in ledger.owners():
                for account, code, units in ledger.cells(owner) if owner.startswith("investor:") else ():
                    if code == share.code and account.role is Role.SHARES:
                        owned += units
                        breaches += [f"{account} is {units} {share}"] if units < 0 else []
            issued = -ledger.units(self._issued, share)
            breaches += [f"investors have {owned} {share}, {issued} were issued"] if owned != issued else []
        for account, asset, units in ledger.cells(self._core):
            if account.role is Role.CLIENT and units < 0:
                breaches.append(f"{account} is {units} units of {asset}")
        if breaches:
            raise LedgerError("; ".join(breaches))


def _lock(of: str, shares: int) -> Lock:
    _, clock, til, _ = of.split(":")
    return Lock(of, shares, int(til), clock)
