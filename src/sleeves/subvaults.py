"""The sub-vaults of a pool: what each is worth, how it stands, and what becomes of one whose money is frozen.

    sub-vault    a sleeve of the core vault; its status is the sleeve's own
    counts       all but those that are deactivated or in a side pocket; what is worth less than nothing counts as such
    frozen       written down by a haircut, put in a side pocket, or waited for: until then nobody comes or leaves

Worth is exact: rationals of units, nothing rounded. A price that is missing or too old makes it unknown, never nothing.

Nothing here issues or redeems a share for money.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from attrs import asdict, frozen

from . import booking
from .charges import Charges
from .errors import VaultError
from .ledger import Entry, Role
from .market import Mark
from .money import PPM, Amount, AmountLike, Asset, ppm
from .money import Fraction as Part
from .policy import QUIET, ProfitPolicy
from .quoting import QuotingParams
from .records import Alert, Changed, Level, Record
from .shares import ShareError, Terms, given_up
from .sleeve import OWNER, Sleeve
from .status import Hold, Latch, Move, Status, next_status
from .vault import CoreVault

__all__ = ["Marks", "SubVault", "SubVaults", "Worth"]

Marks = Mapping[str, Mark] | Iterable[Mark]
"""Prices to value holdings at, by symbol or in any order."""

_PATHS: Mapping[Status, Mapping[Status, tuple[Move, ...]]] = {
    Status.ACTIVE: {
        Status.STAND_BY: (Move.START,),
        Status.PAUSED: (Move.RESUME,),
        Status.CLOSE_ONLY: (Move.CLEAR, Move.RESUME),
        Status.DEACTIVATED: (Move.REACTIVATE, Move.RESUME),
    },
    Status.STAND_BY: {
        Status.ACTIVE: (Move.PAUSE,),
        Status.CLOSE_ONLY: (Move.CLEAR,),
        Status.DEACTIVATED: (Move.REACTIVATE,),
        Status.PAUSED: (),
    },
    Status.CLOSE_ONLY: {
        Status.ACTIVE: (Move.BREACH,),
        Status.STAND_BY: (Move.BREACH,),
        Status.PAUSED: (Move.BREACH,),
        Status.DEACTIVATED: (Move.BREACH,),
    },
    Status.DEACTIVATED: {
        Status.ACTIVE: (Move.PAUSE, Move.DEACTIVATE),
        Status.STAND_BY: (Move.DEACTIVATE,),
        Status.PAUSED: (Move.DEACTIVATE,),
        Status.CLOSE_ONLY: (Move.CLEAR, Move.DEACTIVATE),
        Status.HALTED: (Move.DEACTIVATE,),
    },
}
"""By the status that a sub-vault is to have, and the one that it has: the moves of the status table that lead there."""


@frozen(order=False)
class SubVault:
    """A sub-vault as it stands. `worth` is in units, exact; None when it is not known now."""

    name: str
    status: Status
    worth: Fraction | None
    leverage: Fraction
    counts: bool
    """Whether it is part of what shares are worth: not when it is deactivated or in a side pocket, but for its debts."""
    quoting: QuotingParams
    haircut_ppm: int = 0
    pocket: str = ""
    """The code of the side pocket that it is in, or nothing."""


class Worth(NamedTuple):
    """What a sub-vault is worth, in units."""

    equity: Fraction | None
    """None when it is not known."""
    gross: Fraction
    """What its positions are worth, all taken as positive."""
    margin: Fraction
    """What opening them takes, exact."""
    required: int
    """The same, each rounded up."""


class SubVaults(Charges):
    """The sub-vaults of a core vault, and what they are worth. Part of a `Megavault`."""

    def __init__(
        self,
        core: CoreVault,
        share: Asset,
        marks: Callable[[], Mapping[str, Mark]] | None,
        terms: Terms,
        said: dict[str, str],
    ) -> None:
        super().__init__(core.books, share, core.asset, core.owner, terms, said)
        self.core = core
        self._marks = marks

    def _shown(self, units: Fraction) -> Amount:
        return self._amount(units.numerator // units.denominator)

    def _prices(self, marks: Marks | None) -> Mapping[str, Mark]:
        if marks is None:
            marks = {} if self._marks is None else self._marks()
        given = marks.values() if isinstance(marks, Mapping) else marks
        known = list(given) if isinstance(given, Iterable) else [given]
        if not all(isinstance(mark, Mark) for mark in known):
            raise VaultError(f"prices are Marks, by symbol or in a list, not {marks!r}")
        return marks if isinstance(marks, Mapping) else {mark.instrument.symbol: mark for mark in known}

    def main_units(self) -> int:
        """What is in no sub-vault: idle coins and the reserve, less what is missing of them."""
        idle = self.books.ledger.total(self.core.owner, Role.IDLE, self.asset)
        return idle + self.core.reserve_units() - self.core.missing_units()

    def sub_vaults(self, *, marks: Marks | None = None, at: int | None = None) -> list[SubVault]:
        """All sub-vaults as they stand, in the order in which they were opened; those that were decommissioned aside."""
        prices, at = self._prices(marks), self._time(at)
        return [self._sub_vault(sleeve, prices, at) for name, sleeve in self.core.sleeves.items() if not self._told("decommissioned", name)]

    def _sub_vault(self, sleeve: Sleeve, prices: Mapping[str, Mark], at: int) -> SubVault:
        one = self._worth(sleeve, prices, at)
        worth, gross = one.equity, one.gross
        lever = gross / worth if worth is not None and worth > 0 else Fraction(0)
        pocket, haircut = self._told("pocket", sleeve.name), int(self._told("haircut", sleeve.name) or 0)
        counts = sleeve.own_status is not Status.DEACTIVATED and not pocket
        counts = counts or (not self._chain and worth is not None and worth < 0)  # its debt is paid from the wallet all the same
        return SubVault(sleeve.name, sleeve.status, worth, lever, counts, self.quoting(sleeve.name), haircut, pocket)

    def _worth(self, sleeve: Sleeve, prices: Mapping[str, Mark], at: int) -> Worth:
        """What a sleeve is worth at these prices."""
        equity, gross, margin, required = Fraction(sleeve.balance_units()), Fraction(0), Fraction(0), 0
        for market, amount in sleeve.positions().items():
            mark = prices.get(market.symbol)
            if mark is None or mark.instrument != market or market.quote != self.asset or not (self._chain or self._fresh(mark, at)):
                return Worth(None, gross, margin, required)
            times, over = market.ratio
            value = Fraction(mark.price * amount.units * times, over)
            value = Fraction(int(value)) if self._chain else value
            equity += value - sleeve.open_cost_units(market)
            gross += abs(value)
            initial = self._initial_ppm(sleeve.name, None if market.contract is None else market.contract.initial_bp)
            need = abs(value) * initial / PPM
            margin += need
            required += -(-need.numerator // need.denominator)
        haircut = int(self._told("haircut", sleeve.name) or 0)
        return Worth(equity * (PPM - haircut) / PPM if equity > 0 else equity, gross, margin, required)

    def _initial_ppm(self, name: str, contract_bp: int | None) -> int:
        said = self._told("margin", name)
        return int(said) if said else PPM if contract_bp is None else contract_bp * 100

    def _fresh(self, mark: Mark, at: int) -> bool:
        return 0 <= at - mark.at <= self.terms_at(at).price_age_ns

    def equity(self, *, marks: Marks | None = None, at: int | None = None) -> Fraction:
        """What the pool is worth, in units, exact: the main account and all sub-vaults that count.

        A sub-vault below zero counts as such, for its losses are the wallet's; with `Rules.CHAIN` it counts as nothing.
        Raises `ShareError` (price) while the worth of one is not known; with `Rules.CHAIN` that one is passed over.
        """
        prices, at = self._prices(marks), self._time(at)
        equity = Fraction(self.main_units())
        for one in self.sub_vaults(marks=prices, at=at):
            if not one.counts:
                continue
            self._check_known(one)
            worth = one.worth or Fraction(0)
            equity += max(Fraction(0), worth) if self._chain else worth
        return equity

    def _check_known(self, one: SubVault) -> None:
        if self._chain:
            return
        sleeve = self.core.sleeves[one.name]
        if Hold.FROZEN in sleeve.latches and not one.pocket and not self._told("haircut", one.name):
            raise ShareError(f"{one.name} is frozen: write it down, put it in a side pocket, or take it back", "price")
        if one.worth is None:
            age = self._terms.price_age_ns / 1_000_000_000
            raise ShareError(f"what {one.name} is worth is not known: a price of what it has is missing or older than {age:g} s", "price")

    def _check_held(self) -> None:
        """Raises `ShareError` (price) while a coin or contract of a sub-vault that counts is not what its venue holds."""
        mismatched = self.books.mismatched.get(self.core.wallet, frozenset())
        for sleeve in self.core.sleeves.values():
            if sleeve.own_status is Status.DEACTIVATED or self._told("pocket", sleeve.name):
                continue
            for market in sleeve.positions():
                if market.symbol in mismatched or (market.contract is None and self.core.unexplained(market.base)):
                    raise ShareError(f"what {sleeve.name} has of {market.symbol} is not what its venue holds", "price")

    # -- running them ----------------------------------------------------------------------------------------------------

    def quoting(self, name: str) -> QuotingParams:
        """The parameters of a sub-vault: its own, or those of all."""
        said = self._told("quoting", name) or self._said.get("quoting", "")
        return QuotingParams(**json.loads(said)) if said else QuotingParams()

    def set_quoting(self, params: QuotingParams | None, name: str = "", *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """Give a sub-vault parameters of its own (None: those of all), or, with no name, set those of all.

        They say what a withdrawal from it costs; an engine that quotes for it is given the same.
        """
        if params is not None and not isinstance(params, QuotingParams):
            raise VaultError(f"quoting parameters are QuotingParams, not {params!r}")
        if name:
            self._sleeve(name)
        self._say(f"quoting {name}".strip(), "" if params is None else json.dumps(asdict(params)), by=by, why=why, at=at)

    def set_market(
        self, name: str, *, initial: Part | None = None, step: Part | None = None, by: str = OWNER, at: int | None = None
    ) -> None:
        """For what a withdrawal from a sub-vault costs: its initial margin, where it is not its contracts' own, and the least
        change of its oracle's price.
        """
        self._sleeve(name)
        said = {what: ppm(value, what) for what, value in (("margin", initial), ("step", step)) if value is not None}
        for what, part in said.items():
            if not 0 <= part <= PPM:
                raise ShareError(f"{what} of {name} is from 0% to 100%, not {part} ppm", "terms")
        self._post([], {f"{what} {name}": str(part) for what, part in said.items()}, by=by, at=self._at(at))

    def allocate(
        self, name: str, amount: AmountLike, *, policy: ProfitPolicy = QUIET, by: str = OWNER, why: str = "", at: int | None = None
    ) -> Sleeve:
        """Main account to sub-vault; one that is not known is opened, on stand-by. Raises what `CoreVault.allocate` raises.

        And `VaultError` for one that is frozen: what is put there would be written down with it, or be that of its side pocket.
        """
        units = self.asset(amount).units
        if units <= 0:
            raise VaultError(f"allocate {self.asset(amount)} to {name}: the amount must be positive")
        sleeve = self.core.sleeves.get(name)
        if sleeve is None:
            return self.core.sleeve(name, policy, allocate=amount, by=by, why=why, at=at)
        self._check_thawed(self._sleeve(name), "allocated to it")
        self.core.allocate(sleeve, amount, by=by, why=why, at=at)
        return sleeve

    def _check_thawed(self, sleeve: Sleeve, what: str) -> None:
        pocket = self._told("pocket", sleeve.name)
        if pocket:
            raise VaultError(f"{sleeve.name} is in the side pocket {pocket}: nothing is {what}; distribute pays what comes back")
        if Hold.FROZEN in sleeve.latches:
            raise VaultError(f"{sleeve.name} is frozen: nothing is {what} until it is restored")

    def retrieve(
        self, name: str, amount: AmountLike, *, marks: Marks | None = None, by: str = OWNER, why: str = "", at: int | None = None
    ) -> None:
        """Sub-vault to main account, as far as its positions leave it free. Raises `NotEnough` beyond that, `VaultError` for one
        that is frozen.

        With `Rules.CHAIN` as far as its equity then still covers the margin that opening its positions takes.
        """
        sleeve = self._sleeve(name)
        self._check_thawed(sleeve, "retrieved from it")
        if not self._chain:
            self.core.reclaim(sleeve, amount, by=by, why=why, at=at)
            return
        money, at = self.asset(amount), self._at(at)
        one = self._worth(sleeve, self._prices(marks), at)
        if money.units <= 0 or one.equity is None or one.equity - money.units < one.required:
            raise ShareError(f"retrieve {money} from {name}: it must be above zero and leave its initial margin", "short")
        self._write(self.core.reclaiming(sleeve, money.units, at=at, by=by, why=why))

    def _sleeve(self, name: str) -> Sleeve:
        sleeve = self.core.sleeves.get(name)
        if sleeve is None or self._told("decommissioned", name):
            raise VaultError(f"{name!r} is no sub-vault of {self.owner}")
        return sleeve

    def set_status(self, name: str, status: Status, *, marks: Marks | None = None, by: str, why: str = "", at: int | None = None) -> Status:
        """Move a sub-vault: ACTIVE (it quotes), CLOSE_ONLY, STAND_BY (no orders; it counts) or DEACTIVATED (it does not count).

        To be deactivated it must be worth nothing and hold nothing; with `Rules.CHAIN`, nothing or less. One that has traded
        stands by as PAUSED: its exits still may. Orders at a venue are the desk's: pause or kill the sleeve there, and they are
        canceled. Returns the status that it has. Raises `ShareError` (status, positive), `NotEnough` while it is overdrawn.
        """
        if status not in _PATHS:
            raise ShareError(f"a sub-vault is set to {', '.join(_PATHS)}, not {status!r}", "status")
        sleeve, at = self._sleeve(name), self._at(at)
        if status is sleeve.own_status or (status is Status.STAND_BY and sleeve.own_status is Status.PAUSED):
            return sleeve.own_status
        if status is Status.DEACTIVATED:
            self._check_empty(sleeve, marks, at)
        path = _PATHS[status].get(sleeve.own_status)
        if path is None:
            raise ShareError(f"{name} is {sleeve.own_status}: revive it before it is set to {status}", "status")
        if sleeve.own_status is Status.CLOSE_ONLY and not self._chain:
            sleeve.check_not_overdrawn()
        records, here = [], sleeve.own_status
        for move in path:
            to = next_status(here, move, f"sub-vault {name}")
            records.append(Changed(at, by, name, "status", here, to, why))
            here = to
        self._write(records)
        sleeve._status = here
        return here

    def _check_empty(self, sleeve: Sleeve, marks: Marks | None, at: int) -> None:
        worth = self._worth(sleeve, self._prices(marks), at).equity
        chained = self._chain and worth is not None and worth <= 0
        if not chained and (worth is None or worth or sleeve.positions() or sleeve.held_units() or sleeve.pending_units()):
            shown = "not known" if worth is None else str(self._shown(worth))
            raise ShareError(f"{sleeve.name} is worth {shown}: what is deactivated must be worth nothing and hold nothing", "positive")

    def decommission(self, *, marks: Marks | None = None, by: str = OWNER, at: int | None = None) -> list[str]:
        """Forget the deactivated sub-vaults that are worth nothing (`Rules.CHAIN`: nothing or less); returns their names.

        Their records stay in the journal, and their names are not used again.
        """
        prices, at = self._prices(marks), self._at(at)
        gone = []
        for one in self.sub_vaults(marks=prices, at=at):
            if one.status is not Status.DEACTIVATED or one.worth is None:
                continue
            if one.worth == 0 or (self._chain and one.worth < 0):
                gone.append(one.name)
        self._post([], {f"decommissioned {name}": "yes" for name in gone}, by=by, at=at)
        return gone

    def sweep(self, balance: AmountLike, *, by: str = OWNER, why: str = "", at: int | None = None) -> Amount:
        """The wallet holds this much: what was sent to it without a deposit is the pool's, nobody is issued shares for it.

        Returns the difference. The guard of `Terms.virtual` is against who does that to raise the price of a share.
        """
        core, before, why = self.core, self.main_units(), why or "swept"
        change = core.observe_balance(balance, by=by, why=why, at=at)
        grown = self.main_units() - before  # a client's deposit that was seen is not the pool's
        lacks = core.allocated_units() + core.earmarked_units() + core.idle_units() - core.tradeable_units()
        if grown > 0 and lacks > 0:
            more = min(grown, lacks)
            self.books.post(booking.tradeable(core.owner, self.asset, more, at=self._at(at), by=by, why=why))
        return change

    # -- losses ----------------------------------------------------------------------------------------------------------

    def impair(
        self, name: str, haircut: Part | None = None, *, marks: Marks | None = None, by: str, why: str, at: int | None = None
    ) -> int:
        """Mark a sub-vault frozen: what it has cannot be had now. Nothing is issued or redeemed until it is known what it is worth:

        with a `haircut`, that much less than its books say. The loss is borne by all shares alike, unless the terms name an
        investor for the first loss: then his shares are given up, as far as they reach, so that the price of all others stays.
        Returns the shares that were given up. Otherwise `side_pocket` it, or `restore` it when it is well again.
        """
        if not why:
            raise VaultError(f"impairing {name} needs a reason")
        sleeve, at = self._sleeve(name), self._at(at)
        cut = None if haircut is None else ppm(haircut, "haircut")
        if cut is not None and not 0 <= cut <= PPM:
            raise ShareError(f"a haircut is from 0% to 100%, not {haircut}", "terms")
        if cut is None:
            sleeve.latch(Hold.FROZEN, by=by, why=why, at=at)
            return 0
        latch = Latch(Hold.FROZEN, at, by, why, at)
        given = self._first_loss(sleeve, cut, marks, at=at, by=by) if self._terms.first_loss else []
        records: list[Record] = [*given]
        if Hold.FROZEN not in sleeve.latches:
            records.insert(0, Changed(at, by, name, f"latch {Hold.FROZEN}", "", str(latch.until), why))
        self._post(records, {f"haircut {name}": str(cut)}, by=by, at=at, why=why)
        sleeve.latches.setdefault(Hold.FROZEN, latch)
        return sum(p.units for entry in given for p in entry.postings if p.account.role is Role.ISSUED)

    def _first_loss(self, sleeve: Sleeve, cut: int, marks: Marks | None, *, at: int, by: str) -> list[Entry]:
        """What gives up the shares of the investor who bears losses first, for a haircut that is deeper than before."""
        before, total, was = self._unfrozen_equity(marks, at), self.total, int(self._told("haircut", sleeve.name) or 0)
        one = self._sub_vault(sleeve, self._prices(marks), at)
        if not one.counts or one.worth is None or one.worth <= 0 or cut <= was or before <= 0 or not total:
            return []
        after = before - one.worth * (cut - was) / (PPM - was)
        investor, left, core = self._terms.first_loss, given_up(total, before, after, self._terms), self.core.owner
        entries = []
        for of, there in [("", self.free_shares(investor)), *self._bound(investor, "lock"), *self._bound(investor, "notice")]:
            part = min(left, there)
            if part:
                why = f"first loss: {sleeve.name}"
                entries.append(
                    booking.redeem(core, self.asset, self.owner, self.share, investor, of, part, 0, 0, 0, 0, at=at, by=by, why=why)
                )
                left -= part
        return entries

    def _unfrozen_equity(self, marks: Marks | None, at: int) -> Fraction:
        """The equity as it is before a haircut, whether it is frozen already or not."""
        prices, equity = self._prices(marks), Fraction(self.main_units())
        for one in self.sub_vaults(marks=prices, at=at):
            if one.counts:
                if one.worth is None:
                    raise ShareError(f"what {one.name} is worth is not known: a price of what it has is missing or too old", "price")
                equity += one.worth
        return equity

    def restore(self, name: str, *, by: str, why: str, at: int | None = None) -> None:
        """What was frozen can be had again, at what its books say. Raises `VaultError` for one in a side pocket."""
        sleeve = self._sleeve(name)
        if self._told("pocket", name):
            raise VaultError(f"{name} is in a side pocket: what it has belongs to the holders of that")
        if self._told("haircut", name):  # first, so that it is frozen and of no known worth where the rest fails
            self._say(f"haircut {name}", "", by=by, why=why, at=at)
        sleeve.lift(Hold.FROZEN, by=by, human=True, why=why, at=at)

    def side_pocket(self, name: str, *, by: str, why: str, at: int | None = None) -> Asset:
        """Take a frozen sub-vault out of the pool: who has shares now gets as many claims on it, an asset of their own.

        The pool goes on without it: who comes later has no part in it, and who leaves keeps the claim. Returns the asset of
        the claims. Raises `VaultError` for a sub-vault that is not impaired, or in a pocket already.
        """
        sleeve, at = self._sleeve(name), self._at(at)
        if Hold.FROZEN not in sleeve.latches or self._told("pocket", name):
            raise VaultError(f"{name} must be impaired, and in no side pocket yet")
        number = 1 + sum(what.startswith("pocket ") for what in self._said)
        while self._counted(f"{self.share.code}.{number}"):
            number += 1
        claim = Asset(f"{self.share.code}.{number}", 0)
        pending, records = sleeve.pending_units(), list[Record]()
        if pending:  # set aside for it and not there yet: it is the pool's
            records.append(booking.earmark(self.core.owner, name, self.asset, -pending, at=at, by=by, why=f"side pocket {name}"))
        for investor in self.investors():
            core, shares = self.core.owner, self.shares(investor)
            records.append(booking.mint(core, self.asset, self.owner, claim, investor, 0, shares, at=at, by=by, why=f"side pocket {name}"))
        alert = Alert(at, Level.WARNING, self.owner, "side_pocket", f"{name} is in the side pocket {claim}: {why}")
        self._post([*records, alert], {f"pocket {name}": claim.code}, by=by, at=at, why=why)
        return claim

    def claims(self, name: str) -> dict[str, int]:
        """By investor, the claims on a sub-vault in a side pocket."""
        claim = Asset(self._told("pocket", name) or "none", 0)
        owners = [owner for owner in self.books.ledger.owners() if owner.startswith("investor:")]
        found = {owner.partition(":")[2]: self.books.ledger.total(owner, Role.SHARES, claim) for owner in owners}
        return {investor: units for investor, units in found.items() if units}

    def distribute(
        self, name: str, amount: AmountLike | None = None, *, by: str, why: str = "", at: int | None = None
    ) -> dict[str, Amount]:
        """Pay what came back of a side pocket to who has claims on it, each part rounded down; all that is free, or an amount.

        It is client money of each then; what rounding leaves stays in the sub-vault. Raises `VaultError` where there is no
        pocket, `ShareError` (short) beyond what is free.
        """
        sleeve, at, holders = self._sleeve(name), self._at(at), self.claims(name)
        total, core = sum(holders.values()), self.core
        if not total:
            raise VaultError(f"{name} is in no side pocket that anybody has a claim on")
        free = sleeve.loose_units()
        units = free if amount is None else self.asset(amount).units
        if not 0 < units <= free:
            raise ShareError(f"distribute {self._amount(units)} of {name}: {self._amount(free)} is free there", "short")
        parts = {investor: units * claims // total for investor, claims in holders.items()}
        paid = sum(parts.values())
        records = core.reclaiming(sleeve, paid, at=at, by=by, why=why or "side pocket") if paid else []
        swept = sum(p.units for one in records if isinstance(one, Entry) for p in one.postings if p.account.role is Role.TRADEABLE)
        risk = core.tradeable_units() + swept
        for investor, part in parts.items():
            if part:
                less = min(part, risk)
                risk -= less
                records.append(
                    booking.redeem(
                        core.owner, self.asset, self.owner, self.share, investor, "", 0, part, 0, less, 0, at=at, by=by, why=f"claim {name}"
                    )
                )
        self._write(records)
        return {investor: self._amount(part) for investor, part in parts.items()}

    def _counted(self, code: str) -> bool:
        """Whether something is counted in these books under a code, or will be."""
        coins = {one.code for market in self.books.instruments.values() for one in (market.base, market.quote)}
        return code in coins or any(asset.code == code for asset in self.books.ledger.trial_balance())

    def issues(self) -> list[Asset]:
        """All assets whose units are issued to investors here: its shares, and the claims on each side pocket."""
        pockets = [code for what, code in self._said.items() if what.startswith("pocket ") and code]
        return [self.share, *(Asset(code, 0) for code in pockets)]
