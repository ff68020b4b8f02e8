"""Core vaults, their sleeves, and engine vaults: named views of the ledger, with rules.

A `CoreVault` stands over one asset of one wallet and is the only one that moves money to and from sleeves. A `Sleeve`
is one strategy's own money. An `EngineVault` is a sleeve together with the engine that trades it and what backs it.

None of them stores a balance. What they keep besides the ledger is their status and their terms, and each change of
those is a record in the journal.

    Total      = idle + reserve + the balances of all sleeves (open positions at cost) + suspense
    Tradeable  = what the user puts at risk: a limit on allocations. It rises by exactly what sleeves sweep back.
    remaining  = what can still be allocated: Tradeable less all allocations, as far as idle coins are there
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from . import booking
from .books import Books
from .errors import NotEnough, VaultError, WrongStatus
from .facts import CashFlow, Transferred
from .facts import key as fact_key
from .ledger import Account, EntryKind, Role
from .market import Instrument, Mark
from .markup import block, figures, table
from .money import Amount, AmountLike, Asset
from .policy import ProfitPolicy, Reserve
from .records import Alert, Cause, Changed, Level, Opened, Record, Residual
from .sleeve import ALLOCATED, OWNER, RECLAIMED, SWEPT, Sleeve, Slice, Stateful, move_together, named
from .status import Hold, Move, Status, worse

__all__ = ["Backing", "CoreVault", "EngineVault", "Sleeve", "Slice", "SubAccount", "Virtual", "move_together", "netted"]


SHORTFALL = "shortfall"
"""The cause under which coins stand in SUSPENSE that have left the wallet and are promised to sleeves."""


_CLIENTS = re.compile(r"[^:]*-transfer-[0-9]+:([A-Za-z0-9][A-Za-z0-9_.@-]{0,63})")


def client_of(transfer: str) -> str:
    """The client whose money a transfer moves, "alice" of "main-transfer-3:alice"; nothing for one that a desk did not ask for."""
    match = _CLIENTS.fullmatch(transfer)
    return "" if match is None else match.group(1)


def of_client(account: Account) -> bool:
    """Whether coins in an account of a core vault are a client's: at rest, or on their way."""
    return account.role is Role.CLIENT or (account.role is Role.IN_TRANSIT and bool(client_of(account.of)))


def _no_venue(_: Instrument) -> tuple[str, Status]:
    return "", Status.ACTIVE


def _risked_and_owed(sleeve: Sleeve) -> tuple[int, int]:
    """What a sleeve has in orders and open positions, less profit that it kept; and what it lacks where it is overdrawn."""
    kept = max(0, sleeve.balance_units() - sleeve.allocation_units())
    return max(0, sleeve.held_units() + sleeve.cost_units() + sleeve.margin_units() - kept), max(0, -sleeve.free_units())


def _reserve_rule(reserve: str | Reserve | None) -> Reserve | None:
    if reserve is not None and not isinstance(reserve, (str, Reserve)):
        raise VaultError(f'a reserve is text such as "10%" or a Reserve, not {reserve!r}')
    return Reserve.fixed(reserve) if isinstance(reserve, str) else reserve


class CoreVault(Stateful):
    """One asset of one wallet: what is there, what is at risk, and who has it. The only mover of money between sleeves.

    `total` is what the wallet holds, `tradeable` what the user puts at risk, `reserve` a part of the total that is
    never allocated, `cap` how far Tradeable may grow by itself when new coins arrive (not at all by default). Raises
    `VaultError` when these do not fit together, `InvalidAmount` for a number that is none.
    """

    def __init__(
        self,
        asset: Asset,
        *,
        total: AmountLike,
        tradeable: AmountLike = 0,
        reserve: str | Reserve | None = None,
        cap: AmountLike | None = None,
        wallet: str = "main",
        books: Books | None = None,
        by: str = OWNER,
        at: int | None = None,
    ) -> None:
        if not isinstance(asset, Asset):
            raise VaultError(f"a core vault is over an Asset such as sleeves.USD, not {asset!r}")
        if books is not None and not isinstance(books, Books):
            raise VaultError(f"the books of a vault are Books(journal), not {books!r}")
        rule = _reserve_rule(reserve)
        self._begin(asset, named(wallet, "wallet"), Books() if books is None else books, rule, None if cap is None else asset(cap).units)
        units, limit = asset(total).units, asset(tradeable).units
        kept = self.reserve_rule.target(units) if self.reserve_rule else 0
        if units < 0 or limit < 0 or (self.cap is not None and self.cap < limit):
            raise VaultError(f"total {asset(total)}, tradeable {asset(tradeable)}, cap {cap}: need 0 <= total, 0 <= tradeable <= cap")
        if limit > units - kept:
            raise VaultError(f"tradeable {asset(tradeable)} exceeds the total {asset(total)} less the reserve {asset.units(kept)}")
        at = self.books.time(at)
        terms = {"asset": f"{asset.code}:{asset.scale}", "wallet": wallet, "reserve": str(rule or "none"), "cap": str(self.cap)}
        records: list[Record] = [Opened(at, by, "vault", self.owner, terms)]
        if units:
            records.append(booking.open_vault(self.owner, asset, units, at=at, by=by))
        if kept:
            records.append(booking.reserve(self.owner, asset, kept, at=at, by=by, why=str(self.reserve_rule)))
        if limit:
            records.append(booking.tradeable(self.owner, asset, limit, at=at, by=by))
        self.books.claim(self.owner, wallet, *records)

    def _begin(self, asset: Asset, wallet: str, books: Books, reserve: Reserve | None, cap: int | None) -> None:
        self.asset = asset
        self.wallet = wallet
        self.owner = f"core:{wallet}:{asset.code}"
        super().__init__(books, "vault", self.owner, Status.ACTIVE)
        self.reserve_rule = reserve
        self.cap = cap
        self.volatility_ppm: int | None = None
        self._expected: dict[str, int] = {}
        self._observed: dict[str, int] = {}
        """By transfer, what a look at the wallet has found of it before it was told."""
        self._sleeves: dict[str, Sleeve] = {}
        self.pool = ""
        """The megavault that its money belongs to, or nothing."""
        self.over: Stateful | None = None
        """The standing of the desk that trades it; set by the desk."""
        self.venue_of: Callable[[Instrument], tuple[str, Status]] = _no_venue
        """Which venue an instrument's orders go to, and how that stands; set by the desk."""
        self.set_out: Callable[[], None] = lambda: None
        """Told when coins are to be moved between sub-accounts; set by the desk."""
        self._idle = Account(self.owner, Role.IDLE)
        self._tradeable = Account(self.owner, Role.TRADEABLE)
        self._changed: set[str] | None = None
        """Owners to whom something was booked since `_sums` were last worked out; None while nobody has asked."""
        self._parts: dict[str, tuple[int, int]] = {}
        self._sums = [0, 0]

    @classmethod
    def reopen(cls, books: Books) -> list[CoreVault]:
        """The vaults of books that were opened on a journal with records, with their sleeves, as they stood."""
        state = books.state
        vaults: dict[str, CoreVault] = {}
        for owner, known in (state.vaults if state is not None else {}).items():
            vault = vaults[owner] = cls.__new__(cls)
            vault._begin(known.asset, known.wallet, books, known.reserve, known.cap)
            vault._status, vault.volatility_ppm = known.status, known.volatility_ppm
            vault._expected, vault._observed = dict(known.expected), dict(known.observed)
        for pool, said in (state.pools if state is not None else {}).items():
            vaults[said["vault"]].pool = pool
        for name, one in (state.sleeves if state is not None else {}).items():
            sleeve = Sleeve(vaults[one.vault], name, one.policy, one.account)
            sleeve._status = one.status
            vaults[one.vault]._sleeves[name] = sleeve
        return list(vaults.values())

    # -- in units ----------------------------------------------------------------------------------------------------

    def _units(self, account: Account) -> int:
        return self.books.ledger.units(account, self.asset)

    def tradeable_units(self) -> int:
        return self._units(self._tradeable)

    def allocated_units(self) -> int:
        """The allocations of all sleeves: what was handed over less what came back out of allocations."""
        ledger = self.books.ledger
        return -ledger.flow(self.owner, EntryKind.ALLOCATE, self.asset) - ledger.flow(self.owner, EntryKind.RECLAIM, self.asset)

    def at_risk_units(self) -> int:
        """What sleeves have in orders and open positions, less profit that they kept: what Tradeable limits."""
        return self._looked_after()[0]

    def _looked_after(self) -> list[int]:
        """What all sleeves have at risk, and what those that are overdrawn lack: of those anew to whom something was booked since."""
        if self._changed is None:
            self._changed = self.books.ledger.follow()
            self._changed.update(self._sleeves)
        sums = self._sums
        for name in self._changed:
            sleeve = self._sleeves.get(name)
            if sleeve is not None:
                before, now = self._parts.get(name, (0, 0)), _risked_and_owed(sleeve)
                self._parts[name] = now
                sums[0] += now[0] - before[0]
                sums[1] += now[1] - before[1]
        self._changed.clear()
        return sums

    def differences(self) -> list[str]:
        """What is kept of all sleeves together and is not their sum, in words; none, or something is wrong."""
        parts = [_risked_and_owed(sleeve) for sleeve in self._sleeves.values()]
        risked, owed = sum(part[0] for part in parts), sum(part[1] for part in parts)
        if self._looked_after() == [risked, owed]:
            return []
        return [f"{self.owner}: its sleeves are kept as {self._sums} units at risk and owed, they have {risked} and {owed}"]

    def reserve_units(self) -> int:
        return self.books.ledger.total(self.owner, Role.RESERVED, self.asset)

    def suspense_units(self) -> int:
        return self.books.ledger.total(self.owner, Role.SUSPENSE, self.asset)

    def earmarked_units(self) -> int:
        return self.books.ledger.total(self.owner, Role.IDLE, self.asset) - self._units(self._idle)

    def owed_units(self) -> int:
        """What sleeves that are overdrawn lack: others count on coins that idle ones have to stand for."""
        return self._looked_after()[1]

    def remaining_units(self, own: Sleeve | None = None) -> int:
        """Units that may still be allocated: to the sleeve `own`, what it owes itself does not stand in its way."""
        promised = self.allocated_units() + self.earmarked_units()
        spare = self._units(self._idle) - self._reserve_gap() - self.owed_units() - self.missing_units()
        if own is not None:
            spare += max(0, -own.free_units())
        return max(0, min(self.tradeable_units() - promised, spare))

    def _reserve_gap(self) -> int:
        """What the reserve still lacks: it is cured before anything is allocated."""
        if self.reserve_rule is None:
            return 0
        return max(0, self.reserve_rule.target(self.total.units, self.volatility_ppm) - self.reserve_units())

    def short(self) -> bool:
        """Coins are missing that are promised to sleeves: no new risk until they are back, or are fewer than is tolerated."""
        return self.missing_units() > self.books.tolerances.get(self.asset.code, 0)

    def missing_units(self) -> int:
        """All that is missing of its asset, whatever else is there too many of."""
        code, missing = self.asset.code, 0
        for account, asset, units in self.books.ledger.suspense:
            if units < 0 and account[0] == self.owner and asset == code:
                missing -= units
        return missing

    def unexplained(self, asset: Asset) -> bool:
        """Whether more of an asset stands in SUSPENSE of this wallet, either way, than is tolerated."""
        return self.books.unexplained(self.wallet, asset) > self.books.tolerances.get(asset.code, 0)

    def idle_units(self) -> int:
        """Idle coins that are set aside for nobody; at least 0."""
        return max(0, self._units(self._idle))

    # -- in amounts --------------------------------------------------------------------------------------------------

    def _amount(self, units: int) -> Amount:
        return Amount(units, self.asset)

    @property
    def status(self) -> Status:
        """The strictest of its own status, of what holds it, and of its desk's."""
        return self.stands if self.over is None else worse(self.stands, self.over.stands)

    @property
    def sleeves(self) -> Mapping[str, Sleeve]:
        """Its sleeves by name."""
        return self._sleeves

    @property
    def total(self) -> Amount:
        """Total Coins: all coins of this asset on this wallet, traded or not, with open positions at cost; no clients' money."""
        return self._amount(self._own_coins(_CORE_COINS) + sum(sleeve.balance_units() for sleeve in self._sleeves.values()))

    @property
    def coins(self) -> Amount:
        """The coins of this asset that the wallet must hold right now, whoever in these books they belong to."""
        return self._amount(self.books.coins(self.wallet).get(self.asset, 0))

    @property
    def tradeable(self) -> Amount:
        """Tradeable Coins: what the user puts at risk."""
        return self._amount(self.tradeable_units())

    @property
    def allocated(self) -> Amount:
        """The allocations of all sleeves."""
        return self._amount(self.allocated_units())

    @property
    def remaining(self) -> Amount:
        """What can still be allocated."""
        return self._amount(self.remaining_units())

    @property
    def reserve(self) -> Amount:
        """The safety reserve."""
        return self._amount(self.reserve_units())

    @property
    def idle(self) -> Amount:
        """Coins in no sleeve and not in the reserve."""
        return self._amount(self.books.ledger.total(self.owner, Role.IDLE, self.asset))

    @property
    def in_transit(self) -> Amount:
        """Coins that set out to leave the wallet and have neither left nor come back; clients' money aside."""
        return self._amount(self._own_coins(_ON_THE_WAY))

    def _own_coins(self, roles: frozenset[Role]) -> int:
        """Coins of this asset in these roles, clients' money on its way aside."""
        cells, code = self.books.ledger.cells(self.owner), self.asset.code
        return sum(units for account, asset, units in cells if asset == code and account.role in roles and not of_client(account))

    @property
    def suspense(self) -> Amount:
        """Residuals that nobody has named yet; negative when coins are missing."""
        return self._amount(self.suspense_units())

    # -- commands ----------------------------------------------------------------------------------------------------

    def sleeve(
        self,
        name: str,
        policy: ProfitPolicy,
        *,
        allocate: AmountLike = 0,
        account: int | None = None,
        by: str = OWNER,
        why: str = "",
        at: int | None = None,
    ) -> Sleeve:
        """Open a sleeve, and allocate to it. Raises `VaultError` for a bad or taken name, `NotEnough` for the money.

        With an `account` above 0 its coins lie in that sub-account at the venue: the desk has what is allocated moved there, and what
        is reclaimed or swept moved back. 0 is the core vault's own.
        """
        named(name, "sleeve")
        if not isinstance(policy, ProfitPolicy):
            raise VaultError(f"the policy of a sleeve is QUIET, FLASH or another ProfitPolicy, not {policy!r}")
        policy.check(self.asset)
        units = self.asset(allocate).units
        if account is not None and (type(account) is not int or not 0 <= account < 2**16):
            raise VaultError(f"the sub-account of {name} is a whole number from 0 to 65535, not {account!r}")
        if account and self.pool:
            raise VaultError(
                f"{self.owner} is the pool {self.pool}: its sub-vaults share one account, {name} cannot have sub-account {account}"
            )
        self._check_allocatable(units, name)
        at = self.books.time(at)
        terms = {"vault": self.owner, **policy.terms(), **({} if account is None else {"account": str(account)})}
        records: list[Record] = [Opened(at, by, "sleeve", name, terms)]
        sleeve = Sleeve(self, name, policy, account)
        if units:
            records.append(self._giving(sleeve, units, at=at, by=by, why=why))
        self.books.claim(name, self.wallet, *records, account=account)
        self._sleeves[name] = sleeve
        if self._changed is not None:
            self._changed.add(name)
        if units and sleeve.apart:
            self.set_out()
        return sleeve

    def _giving(self, sleeve: Sleeve, units: int, *, at: int, by: str, why: str) -> Record:
        """What books coins that are given to a sleeve now: into its hands, or on their way to its sub-account."""
        if sleeve.apart:
            return booking.set_out(self.owner, sleeve.name, self.asset, units, ALLOCATED, at=at, by=by, why=why)
        return booking.allocate(self.owner, sleeve.name, self.asset, units, at=at, by=by, why=why)

    def allocate(self, sleeve: Sleeve, amount: AmountLike, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """Give a sleeve more to trade with.

        While the sleeve has a position open the coins are set aside, so that the open position goes on under the old
        allocation; they arrive with its next buy, or when it is flat. One that is overdrawn gets them at once. To one with a
        sub-account of its own they set out at once, and are its to use when the venue says that they are there.
        Raises `NotEnough` beyond what is `remaining`.
        """
        self._own(sleeve)
        if sleeve.own_status is Status.DEACTIVATED:
            raise WrongStatus(f"sleeve {sleeve.name} is deactivated: reactivate it before anything is allocated to it")
        units = self.asset(amount).units
        self._check_allocatable(units, sleeve.name)
        if not units:
            raise VaultError(f"allocate {self.asset(amount)} to {sleeve.name}: the amount must be positive")
        at = self.books.time(at)
        if sleeve.apart or sleeve.is_flat() or sleeve.free_units() < 0:
            self.books.post(self._giving(sleeve, units, at=at, by=by, why=why))
        else:
            self.books.post(booking.earmark(self.owner, sleeve.name, self.asset, units, at=at, by=by, why=why))
        if sleeve.apart:
            self.set_out()

    def _check_allocatable(self, units: int, name: str) -> None:
        if units < 0:
            raise VaultError(f"allocate {self._amount(units)} to {name}: the amount must be positive; use reclaim to take back")
        if units and self.short():
            raise VaultError(f"nothing can be allocated to {name} while {-self.suspense} is missing in suspense")
        most = self._amount(self.remaining_units(self._sleeves.get(name)))
        if units > most.units:
            raise NotEnough(f"allocate {self._amount(units)} to {name}: only {most} remains to allocate", most)

    def land(self, sleeve: Sleeve, *, by: str = "desk", at: int | None = None) -> int:
        """Hand over what was set aside for the sleeve's next buy. Returns the units that arrived."""
        units = sleeve.pending_units()
        if units:
            self.books.post(
                booking.land(self.owner, sleeve.name, self.asset, units, at=self.books.time(at), by=by, why="set aside earlier")
            )
        return units

    def reclaim(self, sleeve: Sleeve, amount: AmountLike, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """Take coins back from a sleeve: what is set aside first, then its allocation, then profit that it kept.

        From one with a sub-account of its own: what has not set out first; the rest is idle when the venue says that it came.
        Raises `NotEnough`, with the free amount, beyond what is set aside or free.
        """
        self._own(sleeve)
        units = self.asset(amount).units
        if units <= 0:
            raise VaultError(f"reclaim {self.asset(amount)} from {sleeve.name}: the amount must be positive")
        pending, free = sleeve.pending.units, sleeve.loose_units()
        if sleeve.apart:
            pending = self._not_sent(sleeve)
        if units > pending + free:
            loose = self._amount(pending + free)
            raise NotEnough(f"reclaim {self._amount(units)} from {sleeve.name}: only {loose} is free there", loose)
        if sleeve.apart:
            self._call_back(sleeve, units, min(units, pending), at=self.books.time(at), by=by, why=why)
        else:
            self.books.post(*self.reclaiming(sleeve, units, at=self.books.time(at), by=by, why=why))

    def _not_sent(self, sleeve: Sleeve) -> int:
        """What was allocated to a sleeve's sub-account and has not set out."""
        return self._units(Account(sleeve.name, Role.BETWEEN, ALLOCATED))

    def _call_back(self, sleeve: Sleeve, units: int, here: int, *, at: int, by: str, why: str) -> None:
        """Take back what has not set out, and have the rest moved back."""
        records: list[Record] = []
        if here:
            records.append(booking.call_back(self.owner, sleeve.name, self.asset, here, ALLOCATED, at=at, by=by, why=why))
        if units > here:
            records.append(booking.move(sleeve.name, self.asset, units - here, "", RECLAIMED, at=at, by=by, why=why))
        self.books.post(*records)
        if units > here:
            self.set_out()

    def came_back(self, sleeve: Sleeve, units: int, of: str, *, ref: str, at: int, by: str) -> list[Record]:
        """What books units that were reclaimed and have come from a sub-account: of its allocation, then of profit that it kept.

        What of its allocation is still on its way there has not come back from there.
        """
        principal = min(units, max(0, sleeve.allocation_units() - sleeve.between_units(ALLOCATED)))
        entries: list[Record] = []
        if principal:
            entries.append(booking.call_back(self.owner, sleeve.name, self.asset, principal, of, at=at, by=by, ref=ref))
        profit = units - principal
        if profit:
            kept = -min(profit, sleeve.high_water_units())
            why = "reclaimed profit"
            entries.append(booking.come_home(self.owner, sleeve.name, self.asset, profit, kept, of, at=at, by=by, ref=ref, why=why))
        return entries

    def reclaiming(
        self, sleeve: Sleeve, units: int, *, at: int, by: str, why: str = "", ref: str = "", set_aside: bool = True
    ) -> list[Record]:
        """What books units that come back from a sleeve: those set aside for it, then of its allocation, then of profit that it kept.

        Without `set_aside` those stay where they are. Raises `VaultError` for one with a sub-account of its own: its coins are
        not here.
        """
        if sleeve.apart:
            raise VaultError(f"the coins of {sleeve.name} lie in sub-account {sleeve.account}: reclaim them, and wait until they are here")
        pending = sleeve.pending.units if set_aside else 0
        entries: list[Record] = []
        from_pending = min(units, pending)
        if from_pending:
            entries.append(booking.earmark(self.owner, sleeve.name, self.asset, -from_pending, at=at, by=by, why=why))
        rest = units - from_pending
        principal = min(rest, max(0, sleeve.allocation_units()))
        if principal:
            entries.append(booking.reclaim(self.owner, sleeve.name, self.asset, principal, at=at, by=by, why=why))
        profit = rest - principal
        if profit:
            kept = -min(profit, sleeve.high_water_units())
            why = why or "reclaimed profit"
            entries.append(booking.sweep(self.owner, sleeve.name, self.asset, profit, kept, at=at, by=by, ref=ref, why=why))
        return entries

    def sweep(self, sleeve: Sleeve, *, by: str = "desk", ref: str = "", at: int | None = None) -> Amount:
        """Apply the sleeve's profit policy, if it is flat. Returns what went back to Tradeable.

        The desk calls this on every full close; calling it again changes nothing. One of a pool that is frozen sweeps nothing. From
        a sub-account of its own the profit sets out, nothing has gone back yet, and Tradeable rises when it is here.
        """
        self._own(sleeve)
        if not sleeve.policy.share_ppm or not sleeve.is_flat() or (self.pool and Hold.FROZEN in sleeve.latches):
            return self.asset.zero
        units, kept = sleeve.next_sweep()
        if units and sleeve.apart:
            at = self.books.time(at)
            self.books.post(booking.move(sleeve.name, self.asset, units, "", SWEPT, at=at, by=by, ref=ref, why=sleeve.policy.name))
            self.set_out()
            return self.asset.zero
        if units:
            at = self.books.time(at)
            self.books.post(booking.sweep(self.owner, sleeve.name, self.asset, units, kept, at=at, by=by, ref=ref, why=sleeve.policy.name))
        return self._amount(units)

    def set_tradeable(
        self, amount: AmountLike, *, cap: AmountLike | None = None, by: str = OWNER, why: str = "", at: int | None = None
    ) -> None:
        """Say anew how much is at risk, and, with `cap`, how far deposits may raise it.

        Lowering it below what is allocated moves no coin: sleeves keep what they have, and take no new risk beyond it.
        Raises `VaultError` above the total less the reserve.
        """
        units = self.asset(amount).units
        most = self.total.units - self.reserve_units() - self._reserve_gap()
        if units < 0:
            raise VaultError(f"tradeable {self.asset(amount)} must not be negative")
        if units > most:
            raise VaultError(f"tradeable {self.asset(amount)} exceeds the total less the reserve, {self._amount(most)}")
        new_cap = self.cap if cap is None else self.asset(cap).units
        if cap is not None and new_cap is not None and new_cap < units:
            raise VaultError(f"cap {self.asset(cap)} is below tradeable {self.asset(amount)}")
        at = self.books.time(at)
        change = units - self.tradeable_units()
        if change:
            self.books.post(booking.tradeable(self.owner, self.asset, change, at=at, by=by, why=why))
        if new_cap != self.cap:
            self.books.record(Changed(at, by, self.owner, "cap", str(self.cap), str(new_cap), why))
            self.cap = new_cap

    def set_reserve(self, reserve: str | Reserve | None, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """Change the reserve rule, and move idle coins to or from the reserve as it asks, as far as they are there."""
        rule = _reserve_rule(reserve)
        at = self.books.time(at)
        change = Changed(at, by, self.owner, "reserve", str(self.reserve_rule or "none"), str(rule or "none"), why)
        self.books.post(change, *self._reserving(rule, self.volatility_ppm, at=at, by=by, why=why))
        self.reserve_rule = rule

    def flex_reserve(self, volatility_ppm: int, *, by: str = "desk", at: int | None = None) -> None:
        """Tell a flexing reserve the realized volatility of the market, in parts per million a year."""
        if type(volatility_ppm) is not int or volatility_ppm < 0:
            raise VaultError(f"volatility {volatility_ppm!r} must be whole parts per million a year, and not negative")
        rule = self.reserve_rule
        if rule is not None and rule.flexes:
            at = self.books.time(at)
            change = Changed(at, by, self.owner, "volatility", str(self.volatility_ppm), str(volatility_ppm))
            changed = [change] if volatility_ppm != self.volatility_ppm else []
            self.books.post(*changed, *self._reserving(rule, volatility_ppm, at=at, by=by, why=f"volatility {volatility_ppm} ppm"))
            self.volatility_ppm = volatility_ppm

    def _reserving(self, rule: Reserve | None, volatility_ppm: int | None, *, at: int, by: str, why: str) -> list[Record]:
        """What moves idle coins to or from the reserve as the rule asks, as far as they are there."""
        target = 0 if rule is None else rule.target(self.total.units, volatility_ppm)
        change = min(target - self.reserve_units(), max(0, self._units(self._idle)))
        return [booking.reserve(self.owner, self.asset, change, at=at, by=by, why=why)] if change else []

    def observe_balance(self, balance: AmountLike, *, by: str = "reconcile", why: str = "", at: int | None = None) -> Amount:
        """Take note of what the wallet really holds. Returns the difference from what the books expected.

        More: new coins make good what was missing, and the rest is idle; Tradeable grows with it as far as the cap
        says. Less: coins in no sleeve go first (idle, then set aside, then the reserve); what is still missing is
        promised to sleeves: it stands in SUSPENSE, an alert is written, and no new risk is taken. No sleeve's profit
        moves. Buys at the venue stay there: `Desk.observe_balance` cancels them.
        """
        units = self.asset(balance).units
        if units < 0:
            raise VaultError(f"a wallet cannot hold {self.asset(balance)}")
        at = self.books.time(at)
        change = units - self.coins.units
        matched, known, records = self._of_transfers(change, at=at, by=by)
        records += self._seen(matched, at=at, by=by)
        if change > 0:
            own = change - sum(self._client_part(matched).values())
            records += self._clients_paid(matched, at=at, by=by)
            records += self._finding(own, at=at, by=by, why=why) if own else []
        elif change < known:
            records += self._losing(known - change, at=at, by=by, why=why)
        self.books.post(*records)
        self._observed |= matched
        return self._amount(change)

    def _of_transfers(self, change: int, *, at: int, by: str) -> tuple[dict[str, int], int, list[Record]]:
        """What of a change belongs to transfers that are asked for and not told yet: the venue may act before it speaks.

        By id, all that was then seen of each; how much of the change that is; and what books coins that left their way.
        """
        matched: dict[str, int] = {}
        records: list[Record] = []
        left = change
        if change > 0:
            for name, units in self._expected.items():
                part = min(left, units - self._observed.get(name, 0))
                if part > 0:
                    matched[name] = self._observed.get(name, 0) + part
                    left -= part
        else:
            for account, asset, units in self.books.ledger.cells(self.owner):
                part = min(-left, units) if account.role is Role.IN_TRANSIT and asset == self.asset.code else 0
                if part > 0:
                    matched[account.of] = self._observed.get(account.of, 0) - part
                    left += part
                    records.append(booking.gone(self.owner, self.asset, account.of, part, at=at, by=by, ref=account.of))
        return matched, change - left, records

    def _client_part(self, matched: Mapping[str, int]) -> dict[str, int]:
        """Of what was found of transfers: what is new of those that bring clients' money, by id."""
        was = self._observed
        return {name: units - was.get(name, 0) for name, units in matched.items() if client_of(name) and units > was.get(name, 0)}

    def _clients_paid(self, matched: Mapping[str, int], *, at: int, by: str) -> list[Record]:
        part = self._client_part(matched).items()
        return [booking.paid_in(self.owner, self.asset, client_of(name), units, at=at, by=by, ref=name) for name, units in part]

    def _seen(self, matched: Mapping[str, int], *, at: int, by: str) -> list[Record]:
        was = self._observed.get
        return [Changed(at, by, self.owner, f"observed {name}", str(was(name, 0)), str(units)) for name, units in matched.items()]

    def of_transfers(self, change: int, *, at: int, by: str) -> tuple[int, list[Record], dict[str, int]]:
        """What of a change of the wallet belongs to transfers that are asked for and not told yet, and what books it.

        And what was then seen of each: `see` takes it in once all is posted.
        """
        matched, known, records = self._of_transfers(change, at=at, by=by)
        if known > 0:
            own = known - sum(self._client_part(matched).values())
            records += self._clients_paid(matched, at=at, by=by)
            records += self._finding(own, at=at, by=by, why="a transfer that is not told yet") if own else []
        records += self._seen(matched, at=at, by=by)
        return known, records, matched

    def see(self, matched: Mapping[str, int]) -> None:
        """So much of each transfer was seen before it was told."""
        self._observed |= matched

    def expect(self, transfer: str, units: int) -> None:
        """A deposit was asked for: what is found of it before it is told is not found again when it is."""
        self._expected[transfer] = units

    def forget(self, transfer: str) -> None:
        """A transfer is done with, either way."""
        self._expected.pop(transfer, None)
        self._observed.pop(transfer, None)

    def send(
        self, amount: AmountLike, transfer: str, *, by: str = OWNER, why: str = "", at: int | None = None, after: Iterable[Record] = ()
    ) -> None:
        """Set idle coins out on their way from the wallet, under the id of the transfer; nobody can be given them now.

        An id that names a client, see `client_of`, sets that client's money out. `after` are the records that led to it: they are
        posted with it, all of it or nothing.

        Raises `NotEnough` beyond the idle coins that are set aside for no sleeve, `VaultError` for an id in use.
        """
        client = client_of(transfer)
        units = self.check_sendable(amount, client)
        if self.on_its_way(transfer).units:
            raise VaultError(f"transfer {transfer} is on its way already")
        sent = booking.send(self.owner, self.asset, transfer, units, at=self.books.time(at), by=by, why=why, client=client)
        self.books.post(*after, sent)

    def client_money(self, client: str) -> Amount:
        """The money of an investor that is on the wallet and not in the pool: paid in and not invested, or redeemed and not paid out."""
        return self._amount(self._units(Account(self.owner, Role.CLIENT, client)))

    def settled_client_money(self, client: str) -> Amount:
        """Of it, what may be invested or sent: not what was only seen on the wallet and taken for a deposit that is not told yet.

        It may be somebody else's, and is not to be gone when the venue says so.
        """
        seen = sum(max(0, self._observed.get(name, 0)) for name in self._expected if client_of(name) == client)
        return self._amount(max(0, self.client_money(client).units - seen))

    def check_sendable(self, amount: AmountLike, client: str = "") -> int:
        """The units of an amount that may be sent, of a client's money where one is named. Raises what `send` raises of it."""
        units, idle = self.asset(amount).units, max(0, self._units(self._idle) - self._reserve_gap() - self.owed_units())
        if units <= 0:
            raise VaultError(f"send {self.asset(amount)}: the amount must be positive")
        if client:
            mine = self.settled_client_money(client)
            if units > mine.units:
                raise NotEnough(f"send {self._amount(units)} of {client}'s money from {self.owner}: only {mine} of it is here", mine)
            return units
        if self.pool:
            raise VaultError(f"the coins of {self.owner} belong to the investors of {self.pool}: redeem shares, and send client money")
        if self.short():
            raise VaultError(f"nothing can be sent from {self.owner} while {-self.suspense} is missing in suspense")
        if units > idle:
            loose = self._amount(idle)
            raise NotEnough(f"send {self._amount(units)} from {self.owner}: only {loose} is idle and stands for nothing else", loose)
        return units

    def on_its_way(self, transfer: str) -> Amount:
        """What set out under this id and has neither left nor come back."""
        return self._amount(self._units(Account(self.owner, Role.IN_TRANSIT, transfer)))

    def awaits(self, line: CashFlow) -> bool:
        """Whether a line of the venue's ledger is of a transfer that is asked for and will be told."""
        asked = {*self._expected, *(a.of for a, _, units in self.books.ledger.cells(self.owner) if a.role is Role.IN_TRANSIT and units)}
        return any(line.ref == fact_key(line.venue, "transferred", self.asset.code, name) for name in asked)

    def refused(self, transfer: str, *, by: str = "venue", why: str = "", at: int | None = None) -> Amount:
        """A transfer was refused: what set out under its id stays after all, it is idle again. Returns how much that is.

        What was taken for it when the wallet was looked at was something else: it stands in SUSPENSE.
        """
        at = self.books.time(at)
        way, seen = self.on_its_way(transfer), self._observed.get(transfer, 0)
        records: list[Record] = [Changed(at, by, self.owner, f"transfer {transfer}", "asked", "refused", why)]
        client = client_of(transfer)
        if way.units:
            records.append(booking.send(self.owner, self.asset, transfer, -way.units, at=at, by=by, why=why, client=client))
        idle = max(0, self.client_money(client).units if client else self._units(self._idle)) + way.units
        if seen > 0:
            seen = min(seen, idle)
        if seen:
            one = Residual(at, f"r{self.books.found + 1}", self.owner, self._amount(seen), Cause.UNKNOWN, "", "", f"taken for {transfer}")
            text = f"{one.id}: {one.amount} were taken for {transfer}, which was refused"
            records.append(one)
            if client:  # what was taken for a client's money is the pool's to explain
                records.append(booking.paid_out(self.owner, self.asset, client, seen, at=at, by=by, ref=one.id, why=text))
                records.append(booking.suspend(self.owner, self.asset, one.of, seen, ref=one.id, at=at, by=by, why=text))
            else:
                records.append(booking.take_in(self.owner, self.owner, self.asset, one.of, -seen, 0, ref=one.id, at=at, by=by, why=text))
            records.append(Alert(at, Level.WARNING, self.owner, "residual_found", text))
        self.books.post(*records)
        self.forget(transfer)
        return way

    def transferred(self, fact: Transferred, *, by: str = "venue") -> None:
        """Coins came in, or left, as the venue says: a fact. What left without having set out is missing, see `observe_balance`."""
        left = self.asset(fact.amount).units - self._observed.get(fact.id, 0)
        at, way, client = fact.at, self.on_its_way(fact.id).units, client_of(fact.id)
        records: list[Record] = [fact, *self.books.release(fact.key, at=at, by=by)]
        if left > 0 and client:
            records.append(booking.paid_in(self.owner, self.asset, client, left, at=at, by=by, ref=fact.key))
        elif left > 0:
            records += self._finding(left, at=at, by=by, why=fact.key)
        elif left < 0:
            sent = min(-left, way)
            if sent:
                records.append(booking.gone(self.owner, self.asset, fact.id, sent, at=at, by=by, ref=fact.key))
            if way > sent:
                why = "less left than set out"
                records.append(booking.send(self.owner, self.asset, fact.id, sent - way, at=at, by=by, why=why, client=client))
            more = -left - sent
            theirs = min(more, max(0, self.client_money(client).units)) if client else 0
            less_came = fact.amount.units > 0
            if theirs:  # it left this client's money first: also what was told as refused before, or is more than was asked
                why = "less came than was seen" if less_came else fact.key
                records.append(booking.paid_out(self.owner, self.asset, client, theirs, at=at, by=by, ref=fact.key, why=why))
            if theirs and less_came:  # more was taken for this client's deposit than came: the rest was somebody else's, and is idle
                records += self._finding(theirs, at=at, by=by, why="taken for a client's deposit")
            if more > theirs:
                records += self._losing(more - theirs, at=at, by=by, why=fact.key)
        self.books.post(*records)
        self.books.booked(fact)
        self.forget(fact.id)

    def _finding(self, units: int, *, at: int, by: str, why: str) -> list[Record]:
        """What books new coins: they make good what is missing, the rest is idle, and the reserve is filled from it."""
        cures: dict[str, int] = {}
        left = units
        lacking = -self._units(Account(self.owner, Role.SUSPENSE, SHORTFALL))
        if lacking > 0:
            cures[SHORTFALL] = min(left, lacking)
            left -= cures[SHORTFALL]
        brought = self._brought_units() + units
        grows = 0 if self.cap is None else self._growth(min(left, brought - self.books.most_brought.get(self.owner, 0)), units)
        records: list[Record] = [booking.deposit(self.owner, self.asset, units, cures, grows, at=at, by=by, why=why)]
        if self.reserve_rule is not None:
            lacks = self.reserve_rule.target(self.total.units + units, self.volatility_ppm) - self.reserve_units()
            fills = min(max(0, lacks), max(0, self._units(self._idle) + left))
            if fills:
                records.append(booking.reserve(self.owner, self.asset, fills, at=at, by=by, why=f"reserve {self.reserve_rule}"))
        return records

    def _brought_units(self) -> int:
        """All that came in from outside since the vault was opened, less all that left."""
        kinds = (EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.SEND)
        return sum(self.books.ledger.flow(self.owner, kind, self.asset) for kind in kinds)

    def _growth(self, fresh: int, found: int) -> int:
        """How far Tradeable rises with new coins: not for coins that only came back, nor beyond the cap or the reserve."""
        total = self.total.units + found
        kept = self.reserve_rule.target(total, self.volatility_ppm) if self.reserve_rule else 0
        cap = total - kept if self.cap is None else min(self.cap, total - kept)
        return max(0, min(fresh, cap - self.tradeable_units()))

    def _losing(self, units: int, *, at: int, by: str, why: str) -> list[Record]:
        """What books coins that are missing: idle ones go first, then what is set aside, then the reserve."""
        left = units
        idle = min(left, max(0, self._units(self._idle)))
        left -= idle
        earmarked: dict[str, int] = {}
        for name, sleeve in self._sleeves.items():
            taken = min(left, sleeve.pending.units)
            if taken:
                earmarked[name] = taken
                left -= taken
        reserved = min(left, max(0, self.reserve_units()))
        left -= reserved
        entry = booking.withdrawal(self.owner, self.asset, idle, reserved, earmarked, left, SHORTFALL, at=at, by=by, why=why)
        records: list[Record] = [
            Alert(at, Level.WARNING, name, "earmark_lost", f"{self._amount(taken)} that was set aside for {name} has left the wallet")
            for name, taken in earmarked.items()
        ]
        if left:
            text = f"the wallet lacks {self._amount(left)} of what is promised to sleeves; no new risk until it is back"
            records.append(Alert(at, Level.CRITICAL, self.owner, "shortfall", text))
        return [*records, entry]

    def cure(self, *, by: str = OWNER, why: str = "", at: int | None = None) -> Amount:
        """Make a shortfall good out of the vault's own idle coins and reserve. Returns what is still missing."""
        missing = max(0, -self._units(Account(self.owner, Role.SUSPENSE, SHORTFALL)))
        idle = min(missing, max(0, self._units(self._idle)))
        reserved = min(missing - idle, max(0, self.reserve_units()))
        if idle or reserved:
            at = self.books.time(at)
            self.books.post(
                booking.adjust(self.owner, self.asset, SHORTFALL, idle, reserved, at=at, by=by, why=why or "made good by the core vault")
            )
        return self._amount(missing - idle - reserved)

    def pause(self, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """No new buys in any sleeve; open positions wait for their exit."""
        self.move(Move.PAUSE, by=by, why=why, at=at)

    def resume(self, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        self.move(Move.RESUME, by=by, why=why, at=at)

    def _own(self, sleeve: Sleeve) -> None:
        if sleeve.vault is not self:
            raise VaultError(f"sleeve {sleeve.name} belongs to {sleeve.vault.owner}, not to {self.owner}")

    def __repr__(self) -> str:
        return (
            f"CoreVault({self.asset}, total {self.total}, tradeable {self.tradeable}, remaining {self.remaining}, "
            f"idle {self.idle}, reserve {self.reserve}, {len(self._sleeves)} sleeves, {self.status})"
        )

    def _figures(self) -> dict[str, Amount]:
        """Its figures by name, as people are shown them: what is nothing and seldom more is left out."""
        always = {
            "Total Coins": self.total,
            "Tradeable Coins": self.tradeable,
            "allocated to sleeves": self.allocated,
            "remains to allocate": self.remaining,
            "idle": self.idle,
            "reserve": self.reserve,
        }
        seldom = {"in transit": self.in_transit, "in suspense, unexplained": self.suspense}
        return always | {name: amount for name, amount in seldom.items() if amount.units}

    def _repr_html_(self) -> str:
        head = ["sleeve", "policy", "status", "allocation", "balance", "free", "realized", "fees", "funding", "returned"]
        rows = [
            [s.name, s.policy.name, s.status, s.allocation, s.balance, s.free, s.realized, s.fees, s.funding, s.returned]
            for s in self._sleeves.values()
        ]
        tables = [figures(self._figures()), *([table(head, rows, words=3)] if rows else [])]
        held = [f"held by {cause}: {one.why or 'no reason given'}" for cause, one in self.latches.items()]
        told = list(dict.fromkeys(note for sleeve in self._sleeves.values() for note in sleeve._notes()))
        return block(f"Core vault {self.owner}: {self.status}", *tables, notes=[*held, *(told if rows else ["No sleeve yet."])])


_ON_THE_WAY = frozenset({Role.IN_TRANSIT})
_CORE_COINS = frozenset({Role.IDLE, Role.RESERVED, Role.SUSPENSE, Role.IN_TRANSIT})


@frozen(order=False)
class Virtual:
    """A slice of a shared wallet: the sum of all slices must not exceed what the wallet holds."""


@frozen(order=False)
class SubAccount:
    """A real sub-account at the venue: it holds exactly what the sleeves have whose coins lie there.

    Recorded with the engine. `Desk.reconcile` and `Desk.check` hold each against what the venue says lies there.
    """

    venue: str
    number: int


Backing = Virtual | SubAccount


def netted(vaults: Iterable[CoreVault]) -> dict[str, tuple[int, int]]:
    """By symbol, the sum of all slices: (base units, the money side in quote units), as a venue that nets them sees it."""
    sums: dict[str, tuple[int, int]] = {}
    for vault in vaults:
        for sleeve in vault.sleeves.values():
            for account, code, units in vault.books.ledger.cells(sleeve.name):
                if account.role is Role.CONTRACTS or account.role is Role.UNSETTLED:
                    base, money = sums.get(account.of, (0, 0))
                    sums[account.of] = (base, money + units) if code == sleeve.asset.code else (base + units, money)
    return sums


class EngineVault:
    """A sleeve bound to the engine that trades it and to what backs it. Made by `Desk.assign`."""

    def __init__(self, sleeve: Sleeve, engine: str, backing: Backing, idle_reason: str = "") -> None:
        self.sleeve = sleeve
        self.engine = engine
        self.backing = backing
        self.idle_reason = idle_reason
        """Why it cannot trade at all, or nothing."""

    @property
    def status(self) -> Status:
        return self.sleeve.status

    @property
    def allocated(self) -> Amount:
        return self.sleeve.allocation

    @property
    def available(self) -> Amount:
        """What it may use for an order now."""
        return self.sleeve.free

    @property
    def realized(self) -> Amount:
        return self.sleeve.realized

    def unrealized(self, marks: Iterable[Mark] | Mapping[str, Mark]) -> Amount | None:
        """See `Sleeve.unrealized`."""
        return self.sleeve.unrealized(marks)

    def __repr__(self) -> str:
        return f"EngineVault({self.engine} on {self.sleeve.name}, {self.status}, allocated {self.allocated}, available {self.available})"

    def _repr_html_(self) -> str:
        account = self.backing.number if isinstance(self.backing, SubAccount) else None
        backing = "a slice of the wallet" if account is None else f"sub-account {account}"
        idle = [f"It cannot trade: {self.idle_reason}"] if self.idle_reason else []
        return block(
            f"Engine {self.engine} on sleeve {self.sleeve.name}: {self.status}, backed by {backing}",
            figures(self.sleeve._figures()),
            *self.sleeve._positions_html(),
            notes=[*idle, *self.sleeve._notes()],
        )
