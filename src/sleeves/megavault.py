"""A pool of several investors' money over one core vault: who owns how much of it, and how one comes in and leaves.

    Megavault   shares of all that a core vault has: its idle coins and reserve (main), and its sleeves (sub-vaults)
    investor    has shares, some of them bound by locks or notices, and client money that is not in the pool
    sub-vault   a sleeve of the core vault, with the terms on which its quotes, and what a withdrawal from it costs, are worked out

It stores no balance. Shares are an asset of the ledger: each is issued or redeemed in the very entry that moves its money, a
lock and a notice are accounts, so a pool is known from the journal alone. Terms and what was said of sub-vaults are records.

The maths is in `sleeves.shares`, and follows dYdX v4's megavault; where this departs from it, and why, is in
docs/decisions/0015. Nothing here knows an order, an engine or a venue: prices are handed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from attrs import evolve, frozen

from . import booking
from .errors import VaultError
from .ledger import Account, Entry, Role
from .market import Mark
from .money import Amount, AmountLike, Asset
from .records import Opened, Record
from .register import Holding, Notice, ShareMove
from .shares import Drawn, Rules, ShareError, Stake, Terms, client_named, draw, issue, price_of, redeemable
from .sleeve import OWNER
from .state import State
from .status import Hold
from .subvaults import Marks, SubVault, SubVaults
from .vault import CoreVault, client_of

__all__ = ["Holding", "Issued", "Megavault", "Notice", "PoolSample", "Redeemed", "ShareMove", "SubVault"]


@frozen(order=False)
class Issued:
    """What a deposit came to."""

    investor: str
    money: Amount
    shares: int
    total: int
    """All shares after it."""
    equity: Fraction
    """What the pool was worth before it, in units."""


@frozen(order=False)
class Redeemed:
    """What a withdrawal came to, or would. `money` is client money of the investor now, until it is paid out."""

    investor: str
    shares: int
    money: Amount
    drawn: tuple[Drawn, ...]
    """What the main account ("") and each sub-vault paid, and why one paid less than its part."""
    total: int
    """All shares after it."""
    equity: Fraction
    """What the pool was worth before it, in units."""
    counted: Fraction
    """The same of the main account and those that paid."""

    @property
    def skipped(self) -> tuple[Drawn, ...]:
        """Sub-vaults that paid less than their part, or nothing."""
        return tuple(one for one in self.drawn if one.why)


@frozen(order=False)
class PoolSample:
    """A pool at one time: what it is worth in units, all shares, the price of one, and what each investor has."""

    at: int
    equity: Fraction
    total: int
    price: Fraction | None
    asset: Asset
    worth: Mapping[str, Amount]


class Megavault(SubVaults):
    """Shares of a core vault for several investors.

    `marks` is asked for the latest prices where a call is given none: `Megavault(vault, marks=desk.marks)`. `code` names its
    shares. A core vault that has money already needs a `founder`, who is issued shares for it.

    All money is exact, and rounding goes against who comes or leaves. Raises `ShareError` for what the terms refuse,
    `VaultError` for what the core vault does; then nothing has changed.
    """

    def __init__(
        self,
        core: CoreVault,
        *,
        terms: Terms | None = None,
        marks: Callable[[], Mapping[str, Mark]] | None = None,
        code: str = "MEGA",
        founder: str = "",
        by: str = OWNER,
        at: int | None = None,
    ) -> None:
        terms = Terms() if terms is None else terms
        if not isinstance(core, CoreVault) or not isinstance(terms, Terms):
            raise VaultError(f"a megavault stands over a CoreVault on Terms, not over {core!r} on {terms!r}")
        if marks is not None and not callable(marks):
            raise VaultError(f"marks is what is asked for the latest prices, such as desk.marks, not {marks!r}")
        if core.pool:
            raise VaultError(f"{core.owner} is the pool {core.pool} already")
        apart = ", ".join(sleeve.name for sleeve in core.sleeves.values() if sleeve.apart)
        if apart:
            raise VaultError(f"the sub-vaults of a pool share one account: {apart} of {core.owner} have sub-accounts of their own")
        if not isinstance(code, str) or not 0 < len(code) <= 12:
            raise VaultError(f"the code of a pool's shares is 1 to 12 characters, not {code!r}")
        super().__init__(core, Asset(code, 0), marks, terms, {})
        known = core.books.state
        if code == core.asset.code or self._counted(code) or (known is not None and self.owner in known.pools):
            raise VaultError(f"{code} is counted in these books already: give the shares another code")
        at = self._at(at)
        said = {"vault": core.owner, "share": code, "accrued": str(at), **terms.text()}
        self._said.update(said)
        there = self.equity(at=at) if founder or terms.rules is Rules.STRICT else Fraction(0)
        records: list[Record] = [Opened(at, by, "megavault", self.owner, said)]
        if there and not founder:
            raise VaultError(f"{core.owner} is worth {self._shown(there)} already: name the founder whose that is")
        if founder:
            client_named(founder)
            if there < 1:
                raise VaultError(f"{core.owner} is worth {self._shown(there)}: a founder needs something to be issued shares for")
            shares = int(there)
            records.append(self._minting(founder, 0, shares, basis=shares, at=at, by=by, why="founder"))
        self.books.claim(self.owner, core.wallet, *records)
        self.books.time(at)
        core.pool = self.owner

    @classmethod
    def reopen(cls, core: CoreVault, *, marks: Callable[[], Mapping[str, Mark]] | None = None) -> Megavault:
        """The pool over a core vault of reopened books, as it stood. Raises `VaultError` where there was none, or it is open already."""
        if not isinstance(core, CoreVault):
            raise VaultError(f"a megavault is reopened over a CoreVault, not over {core!r}")
        if core.pool in core.books.wallets:
            raise VaultError(f"the pool {core.pool} over {core.owner} is open already: two would not know what the other said")
        state = core.books.state or State.fold(core.books.journal)
        for name, said in state.pools.items():
            if said["vault"] == core.owner:
                pool = cls.__new__(cls)
                terms = Terms.from_text(json.loads(said["terms"]) if "terms" in said else said)
                SubVaults.__init__(pool, core, Asset(said["share"], 0), marks, terms, dict(said))
                core.books.wallets[name] = core.wallet
                core.pool = name
                for sleeve in core.sleeves.values():  # what is frozen is so with no desk, too
                    frozen = state.latches.get(sleeve.name, {}).get(Hold.FROZEN)
                    if frozen is not None:
                        sleeve.latches.setdefault(Hold.FROZEN, frozen)
                return pool
        raise VaultError(f"no megavault was opened over {core.owner} in these books: open one, Megavault(vault)")

    def holding(self, investor: str, *, marks: Marks | None = None, at: int | None = None) -> Holding:
        """What an investor has. Raises `ShareError` (owner) for one without shares, (price) when their worth is not known."""
        shares = self.shares(client_named(investor))
        if not shares:
            raise ShareError(f"{investor} has no shares of {self.share}", "owner")
        equity = self.equity(marks=marks, at=at)
        worth = max(0, int(shares * price_of(self.total, equity, self._terms)))
        locked = sum(lock.shares for lock in self.locks(investor))
        noticed = sum(notice.shares for notice in self.notices(investor))
        free = (shares - locked - noticed) * worth // shares
        return Holding(investor, shares, locked, noticed, self._amount(worth), self._amount(free), self.core.client_money(investor))

    def price(self, *, marks: Marks | None = None, at: int | None = None) -> Fraction | None:
        """Units of the pool's asset that one share is worth, before slippage; None while there are no shares.

        Raises `ShareError` (price) while that is not known.
        """
        total = self.total
        return price_of(total, self.equity(marks=marks, at=at), self._terms) if total else None

    def sample(self, *, marks: Marks | None = None, at: int | None = None) -> PoolSample:
        """The pool as it stands, for a table or a picture of several. Raises `ShareError` (price) while its worth is not known."""
        at, total = self._time(at), self.total
        equity = self.equity(marks=marks, at=at)
        price = price_of(total, equity, self._terms) if total else None
        worth = {one: self._amount(max(0, int(self.shares(one) * price))) for one in self.investors()} if price is not None else {}
        return PoolSample(at, equity, total, price, self.asset, worth)

    def _settled_equity(self, marks: Marks | None, at: int) -> Fraction:
        """The equity, where it can be stood by. Raises `ShareError` (price) while coins are missing, unexplained or on their way."""
        if not self._chain:
            if self.core.short() or self.core.unexplained(self.asset):
                raise ShareError(f"what {self.core.owner} holds is not explained ({self.core.suspense} in suspense)", "price")
            self._check_held()
            ours = [a for a, _, u in self.books.ledger.cells(self.core.owner) if a.role is Role.IN_TRANSIT and u and not client_of(a.of)]
            if ours:
                raise ShareError(f"coins of the pool are on their way ({ours[0].of})", "price")
        return self.equity(marks=marks, at=at)

    # -- coming ----------------------------------------------------------------------------------------------------------

    def deposit(
        self,
        investor: str,
        amount: AmountLike,
        *,
        at_least: int = 0,
        marks: Marks | None = None,
        by: str = OWNER,
        ref: str = "",
        at: int | None = None,
    ) -> Issued:
        """An investor's money has come into the wallet: issue shares for it, at least so many.

        For money that comes through a desk and is told by its venue, `Desk.deposit(..., client=investor)` and then `invest`.
        Raises `ShareError` (name, amount, first, equity, zero_shares, price, least).
        """
        return self._issue(investor, amount, at_least, True, marks, by=by, ref=ref, at=at)

    def invest(
        self,
        investor: str,
        amount: AmountLike,
        *,
        at_least: int = 0,
        marks: Marks | None = None,
        by: str = OWNER,
        ref: str = "",
        at: int | None = None,
    ) -> Issued:
        """Issue shares for client money of an investor. Raises what `deposit` raises, and `ShareError` (amount) beyond that money."""
        mine = self.core.settled_client_money(client_named(investor))
        if self.asset(amount).units > mine.units:
            raise ShareError(f"invest {self.asset(amount)} of {investor}: only {mine} is here and told", "amount")
        return self._issue(investor, amount, at_least, False, marks, by=by, ref=ref, at=at)

    def preview_deposit(self, amount: AmountLike, *, marks: Marks | None = None, at: int | None = None) -> int:
        """The shares that a deposit would be issued now, fees that fall due before it included. Raises what `deposit` raises."""
        at = self._time(at)
        _, total, _ = self._accruing(at, "preview")
        return issue(self.asset(amount).units, total, self._settled_equity(marks, at), self._terms)

    def _issue(
        self, investor: str, amount: AmountLike, at_least: int, fresh: bool, marks: Marks | None, *, by: str, ref: str, at: int | None
    ) -> Issued:
        client_named(investor)
        money = self.asset(amount)
        if money.units <= 0:
            raise ShareError(f"a deposit of {money} must be above zero", "amount")
        if type(at_least) is not int or at_least < 0:
            raise ShareError(f"at least {at_least!r} shares must be a whole number, and not negative", "least")
        at = self._at(at)
        records, total, said = self._accruing(at, by, moves=True)
        equity = self._settled_equity(marks, at)
        charged, told = self._charging(investor, equity, total, at=at, by=by)
        shares = issue(money.units, total, equity, self._terms)
        if shares < at_least:
            raise ShareError(f"{money} is worth {shares} shares now, less than {at_least}", "least")
        records += charged
        records.append(self._minting(investor, money.units, shares, basis=money.units, fresh=fresh, at=at, by=by, ref=ref, why="deposit"))
        self._post(records, said | told, by=by, at=at)
        return Issued(investor, money, shares, total + shares, equity)

    # -- leaving ---------------------------------------------------------------------------------------------------------

    def withdraw(
        self,
        investor: str,
        shares: int | str,
        *,
        at_least: AmountLike | None = None,
        marks: Marks | None = None,
        by: str = OWNER,
        at: int | None = None,
    ) -> Redeemed:
        """Redeem shares of an investor ("all": all that nothing binds): their money is client money then, to be paid out.

        Where a sub-vault cannot pay its part now, nothing is done unless `at_least` says what is enough: then the rest stays
        with the others. Raises `ShareError` (shares, owner, locked, notice, equity, price, short, least).
        """
        if self._terms.notice_ns:
            days = self._terms.notice_ns / (24 * 3_600_000_000_000)
            raise ShareError(
                f"shares of {self.share} leave after a notice of {days:g} days: give_notice, and redeem when it is due", "notice"
            )
        return self._redeem(investor, shares, "", at_least, None, marks, by=by, at=at)

    def preview_withdraw(self, investor: str, shares: int | str, *, marks: Marks | None = None, at: int | None = None) -> Redeemed:
        """What `withdraw` would come to now; nothing changes. Raises what it raises, but for what is too little or cannot be paid."""
        at = self._time(at)
        _, total, _ = self._accruing(at, "preview")
        equity = self._settled_equity(marks, at)
        _, fee = self._fee(investor, equity, total, at)
        count = self._countable(investor, shares, total, self._loose(investor, at) - fee)
        return self.quote(count, investor=investor, marks=marks, at=at)

    def quote(self, shares: int, *, investor: str = "", marks: Marks | None = None, at: int | None = None) -> Redeemed:
        """What so many shares would be redeemed for now, whoever has them. Raises `ShareError` (shares, price, equity).

        With `Rules.CHAIN`, as dYdX's estimate: a sub-vault that could not pay its part now is counted as if it could.
        """
        at = self._time(at)
        _, total, _ = self._accruing(at, "preview")
        if type(shares) is not int or not 0 < shares <= total:
            raise ShareError(f"{shares!r} shares must be a whole number above zero, and at most all {total}", "shares")
        return self._plan(investor, shares, total, marks, at, bounded=not self._chain)

    def _plan(self, investor: str, shares: int, total: int, marks: Marks | None, at: int, *, bounded: bool = True) -> Redeemed:
        equity = self._settled_equity(marks, at)
        if not self._chain and equity <= 0:
            raise ShareError(f"the pool is worth {self._shown(equity)}: nothing can be redeemed", "equity")
        prices = self._prices(marks)
        stakes = [self._stake(one, prices, at, bounded) for one in self.sub_vaults(marks=prices, at=at) if one.counts]
        main = Fraction(self.main_units())
        drawn = draw(main, stakes, redeemable(shares, total, equity, self._terms), shares, total, self._terms.rules)
        paid = {one.name for one in drawn if one.units > 0}
        counted = main + sum((one.equity for one in stakes if one.name in paid and one.equity is not None), Fraction(0))
        units = sum(one.units for one in drawn)
        return Redeemed(investor, shares, self._amount(units), tuple(drawn), total - shares, equity, counted)

    def _stake(self, one: SubVault, prices: Mapping[str, Mark], at: int, bounded: bool) -> Stake:
        """What a redemption reads of a sub-vault; not `bounded`: as if it could pay whatever is its part."""
        sleeve = self.core.sleeves[one.name]
        worth, _, margin, required = self._worth(sleeve, prices, at)
        if worth is None or worth <= 0:
            return Stake(one.name, worth)
        frozen = Hold.FROZEN in sleeve.latches
        payable = int(worth - required) if self._chain else 0 if frozen else sleeve.loose_units()
        step = int(self._told("step", one.name) or 0)
        return Stake(one.name, worth, one.leverage, margin / worth, payable if bounded else None, one.quoting, step)

    def _loose(self, investor: str, at: int) -> int:
        """The shares of an investor that can leave: free ones, and those under locks by time that have run out."""
        over = [] if self._chain else [one for one in self.locks(investor) if one.over(at, "time")]
        return self.free_shares(investor) + sum(one.shares for one in over)

    def _countable(self, investor: str, shares: int | str, total: int, free: int) -> int:
        """The shares that are to be redeemed, of so many free ones, checked in the order of dYdX's checks."""
        if isinstance(shares, str) and shares == "all" and self.shares(client_named(investor)):
            shares = max(0, free)
        elif isinstance(shares, str) and shares == "all":
            raise ShareError(f"{investor} has no shares of {self.share}", "owner")
        if type(shares) is not int or shares <= 0:
            raise ShareError(
                f"{shares!r} shares to redeem must be a whole number above zero, or 'all'; of money there is `quote`", "shares"
            )
        owned = self.shares(client_named(investor))
        if not owned:
            raise ShareError(f"{investor} has no shares of {self.share}", "owner")
        if shares > free:
            raise ShareError(f"{investor} has {owned} shares, {max(0, free)} of them free: {shares} cannot leave", "locked")
        if shares > total:
            raise ShareError(f"{shares} shares are more than all {total}", "shares")
        return shares

    def _redeem(
        self,
        investor: str,
        shares: int | str,
        bound: str,
        at_least: AmountLike | None,
        most: int | None,
        marks: Marks | None,
        *,
        by: str,
        at: int | None,
    ) -> Redeemed:
        least = None if at_least is None else self.asset(at_least).units
        if least is not None and least < 0:
            raise ShareError(f"at least {self._amount(least)} must not be negative", "least")
        at = self._at(at)
        loose = self.books.ledger.units(Account(booking.investor(investor), Role.SHARES, bound), self.share)
        if not bound:
            loose = self._loose(investor, at)
            self._countable(investor, shares, self.total, loose)
        records, total, said = self._accruing(at, by, moves=True)
        equity = self._settled_equity(marks, at)
        if not bound:
            freed = [] if self._chain else self._freeing(investor, at, "time", at=at, by=by)
            charged, told = self._charging(investor, equity, total, freed, at=at, by=by)
            records, said = [*records, *freed, *charged], said | told
            loose -= self._fee(investor, equity, total, at)[1]
        count = self._countable(investor, shares, total, loose)
        plan = self._plan(investor, count, total, marks, at)
        short = [one for one in plan.drawn if one.short]
        if short and least is None and not self._chain:
            said_short = "; ".join(f"{one.name}: {one.why}" for one in short)
            raise ShareError(f"not all sub-vaults can pay now ({said_short}): say with at_least what is enough", "short")
        units = plan.money.units if most is None else min(plan.money.units, most)
        if units <= 0 or units < (least or 0):
            wish = f", less than {self._amount(least)}" if least else ""
            raise ShareError(f"{count} shares of {investor} bring {self._amount(units)} now{wish}", "least")
        records += self._paying(plan, investor, bound, count, units, basis=self._basis_part(investor, bound, count, records), at=at, by=by)
        self._post(records, said, by=by, at=at)
        return evolve(plan, money=self._amount(units))

    def _basis_part(self, investor: str, bound: str, count: int, before: Iterable[Record]) -> int:
        """What of an investor's basis goes with these shares, rounded down: against who is paid for what is above it."""
        owner = booking.investor(investor)
        account_of = Account(owner, Role.BASIS, bound or self.share.code)
        basis = self.books.ledger.units(account_of, self.asset)
        owned = self.shares(investor) - sum(shares for _, shares in self._bound(investor, "notice"))
        for record in before:
            for account, asset, units in record.postings if isinstance(record, Entry) else ():
                if account == account_of:
                    basis += units
                elif account.owner == owner and account.role is Role.SHARES and asset == self.share:
                    owned += units
        return basis if bound else basis * count // owned

    def _paying(self, plan: Redeemed, investor: str, bound: str, count: int, units: int, *, basis: int, at: int, by: str) -> list[Record]:
        """What books a redemption: sub-vaults pay the main account, and that the investor, as his shares go."""
        core, records = self.core, list[Record]()
        for one in plan.drawn:
            if one.name and one.units:
                why = f"redeemed by {investor}"
                records += core.reclaiming(core.sleeves[one.name], one.units, at=at, by=by, why=why, set_aside=False)
        idle = core.idle_units() + sum(one.units for one in plan.drawn if one.name)
        for sleeve in core.sleeves.values():  # then what is set aside for sub-vaults: it is in the main account still
            part = min(max(0, units - idle), sleeve.pending_units())
            if part > 0:
                records.append(booking.earmark(core.owner, sleeve.name, self.asset, -part, at=at, by=by, why=f"redeemed by {investor}"))
                idle += part
        from_idle = min(units, idle)
        if units - from_idle > core.reserve_units():
            there = self._amount(idle + core.reserve_units())
            raise ShareError(
                f"the main account can pay {there} of {self._amount(units)}: retrieve from sub-vaults, or withdraw less", "short"
            )
        swept = sum(p.units for one in records if isinstance(one, Entry) for p in one.postings if p.account.role is Role.TRADEABLE)
        risk = min(units, core.tradeable_units() + swept)
        records.append(
            booking.redeem(
                core.owner,
                self.asset,
                self.owner,
                self.share,
                investor,
                bound,
                count,
                from_idle,
                units - from_idle,
                risk,
                basis,
                at=at,
                by=by,
                why="redeemed" + "".join(f"; {one.name}: {one.why}" for one in plan.skipped),
            )
        )
        return records

    def paid_out(self, investor: str, amount: AmountLike, *, ref: str = "", by: str = OWNER, at: int | None = None) -> None:
        """Client money of an investor has left the wallet by other ways than a desk's transfer. Raises `ShareError` (amount) beyond it."""
        mine, money = self.core.client_money(client_named(investor)), self.asset(amount)
        if not 0 < money.units <= mine.units:
            raise ShareError(f"{money} cannot have been paid to {investor}: {mine} is here of that money", "amount")
        at = self._at(at)
        self._post([booking.paid_out(self.core.owner, self.asset, investor, money.units, at=at, by=by, ref=ref)], {}, by=by, at=at)

    # -- notice ----------------------------------------------------------------------------------------------------------

    def give_notice(
        self, investor: str, shares: int | str, *, marks: Marks | None = None, by: str = OWNER, at: int | None = None
    ) -> Notice:
        """Say that shares will leave: `redeem` pays from `due` on the worse of what they are worth now and are then.

        Raises `ShareError` (shares, owner, locked, price, equity).
        """
        at = self._at(at)
        loose = self._loose(investor, at)
        self._countable(investor, shares, self.total, loose)
        records, total, said = self._accruing(at, by)
        equity = self._settled_equity(marks, at)
        freed = [] if self._chain else self._freeing(investor, at, "time", at=at, by=by)
        charged, told = self._charging(investor, equity, total, freed, at=at, by=by)
        count = self._countable(investor, shares, total, loose - self._fee(investor, equity, total, at)[1])
        if equity <= 0:
            raise ShareError(f"the pool is worth {self._shown(equity)}: its shares have no worth to be noted", "equity")
        worth = int(equity * redeemable(count, total, equity, self._terms))
        due = at + self._terms.notice_ns
        of = f"notice:{due}:{self.share.code}-{self._times(investor, 'notice')}"
        records += [*freed, *charged]
        gone = self._basis_part(investor, "", count, records)
        records.append(booking.bind(self.asset, self.share, investor, "", of, count, basis=-gone, at=at, by=by, why="notice"))
        records.append(booking.bind(self.asset, self.share, investor, "", of, 0, basis=worth, of=of, at=at, by=by, why="worth at notice"))
        self._post(records, said | told | {f"basis {of}": str(gone)}, by=by, at=at)
        return Notice(of, investor, count, due, self._amount(worth))

    def redeem(
        self, notice: Notice, *, at_least: AmountLike | None = None, marks: Marks | None = None, by: str = OWNER, at: int | None = None
    ) -> Redeemed:
        """Redeem the shares of a notice that is due. Raises what `withdraw` raises, and `ShareError` (notice) for one that is not."""
        at = self._at(at)
        known = self._notice(notice)
        if at < known.due:
            raise ShareError(f"{known.id} of {known.investor} is due in {(known.due - at) / 1_000_000_000:g} s", "notice")
        return self._redeem(known.investor, known.shares, known.id, at_least, known.worth.units, marks, by=by, at=at)

    def cancel_notice(self, notice: Notice, *, marks: Marks | None = None, by: str = OWNER, at: int | None = None) -> int:
        """Stay after all: the shares are free again, as many as are worth no more than they were at notice. Returns how many.

        What they have won meanwhile is the pool's: nobody can give notice, look, and take the better of the two.
        """
        at = self._at(at)
        known = self._notice(notice)
        records, total, said = self._accruing(at, by, moves=True)
        equity = self._settled_equity(marks, at)
        price = price_of(total, equity, self._terms)
        kept = known.shares if price * known.shares <= known.worth.units else int(known.worth.units / price)
        lost = known.shares - kept
        core = self.core.owner
        if lost:
            burnt = booking.redeem(
                core, self.asset, self.owner, self.share, known.investor, known.id, lost, 0, 0, 0, 0, at=at, by=by, why="notice canceled"
            )
            records.append(burnt)
        basis = int(self._said.get(f"basis {known.id}", "0"))
        owner = known.investor
        records.append(booking.bind(self.asset, self.share, owner, known.id, "", kept, basis=basis, at=at, by=by, why="notice canceled"))
        worth_then = known.worth.units
        records.append(
            booking.bind(
                self.asset, self.share, owner, known.id, "", 0, basis=-worth_then, of=known.id, at=at, by=by, why="notice canceled"
            )
        )
        self._post(records, said, by=by, at=at)
        return kept

    def _notice(self, notice: Notice) -> Notice:
        for known in self.notices(client_named(notice.investor)) if isinstance(notice, Notice) else ():
            if known.id == notice.id:
                return known
        raise ShareError(f"{notice!r} is no notice that is open", "notice")

    # -- fees ------------------------------------------------------------------------------------------------------------

    def charge(self, investor: str, *, marks: Marks | None = None, by: str = OWNER, at: int | None = None) -> int:
        """Take the performance fee of an investor's shares that is due now; returns the shares that went to the manager.

        Each deposit, withdrawal and notice does it first for its own investor. Raises `ShareError` (owner, price).
        """
        at = self._at(at)
        if not self.shares(client_named(investor)):
            raise ShareError(f"{investor} has no shares of {self.share}", "owner")
        records, total, said = self._accruing(at, by)
        equity = self._settled_equity(marks, at)
        fee = self._fee(investor, equity, total, at)[1]
        charged, told = self._charging(investor, equity, total, at=at, by=by)
        self._post(records + charged, said | told, by=by, at=at)
        return fee

    def __repr__(self) -> str:
        return f"Megavault({self.share}, {self.total} shares of {len(self.investors())} investors over {self.core.owner})"
