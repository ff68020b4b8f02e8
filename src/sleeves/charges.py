"""The terms of a pool and the fees that follow from them, in shares: part of a megavault.

    management fee    shares are issued to the manager as time passes: all others are diluted
    performance fee   shares of an investor go to the manager, when that investor comes, leaves, or is charged

New terms that are better for investors hold at once; what is worse for them waits, so that they can leave before.

What was said of a pool is written as records about it, and kept here by name: its terms, when fees were last paid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction

from . import booking
from .books import Books
from .errors import VaultError
from .ledger import Account, Entry, Role
from .money import Amount, Asset
from .records import Changed, Record
from .register import Register
from .shares import Rules, ShareError, Terms, grown, management_shares, performance_fee, price_of
from .sleeve import OWNER

__all__ = ["Charges"]


class Charges(Register):
    """A register with terms. Part of a `Megavault`; `said` is what was said of the pool so far, the latest of each."""

    def __init__(self, books: Books, share: Asset, asset: Asset, core: str, terms: Terms, said: dict[str, str]) -> None:
        super().__init__(books, share, asset, core)
        self._terms = terms
        self._said = said

    @property
    def terms(self) -> Terms:
        """What investors have agreed to, as it holds now."""
        return self.terms_at(self._time(None))

    def terms_at(self, at: int) -> Terms:
        """The terms that hold at a time: those that were announced, once they are due."""
        due = int(self._said.get("next_at") or 0)
        return self._next() if due and due <= at else self._terms

    def _next(self) -> Terms:
        return Terms.from_text(json.loads(self._said["next"]))

    @property
    def _chain(self) -> bool:
        return self._terms.rules is Rules.CHAIN

    # -- fees ------------------------------------------------------------------------------------------------------------

    def accrue(self, *, by: str = OWNER, at: int | None = None) -> int:
        """Issue the management fee that has fallen due, to the manager; returns the shares. Every deposit and withdrawal does it first."""
        at = self._at(at)
        records, _, said = self._accruing(at, by)
        before = self.total
        self._post(records, said, by=by, at=at)
        return self.total - before

    def _accruing(self, at: int, by: str, *, moves: bool = False) -> tuple[list[Record], int, dict[str, str]]:
        """What books the management fee until now, all shares after it, and what is to be said; terms that fall due come in.

        A fee of less than a share waits until it is one; where somebody comes or leaves (`moves`), it is forgone, for it is not
        to be charged on the shares that there are then.
        """
        records: list[Record] = []
        said: dict[str, str] = {}
        since, total, terms = int(self._said["accrued"]), self.total, self._terms
        if since <= 0 and terms.fees.management_ppm:
            since = at  # it was opened before any time was known: fees begin with the first that is
        steps = [(terms, at)]
        if self.terms_at(at) is not terms:
            steps = [(terms, int(self._said["next_at"])), (self._next(), at)]
        for one, until in steps:
            shares = management_shares(total, one.fees.management_ppm, until - since)
            if shares:
                records.append(self._minting(one.manager, 0, shares, at=at, by=by, why="management fee"))
                total += shares
            if shares or len(steps) == 2 or (one.fees.management_ppm and (moves or not total)):
                since = max(since, until)
        if len(steps) == 2:
            said |= {"terms": json.dumps(self._next().text(), sort_keys=True), "next_at": "", "next": ""}
        if since != int(self._said["accrued"]):
            said["accrued"] = str(since)
        return records, total, said

    def basis(self, investor: str) -> Amount:
        """What an investor's shares must be worth before a performance fee is due, the hurdle since the last change aside."""
        return self._amount(self.books.ledger.units(Account(booking.investor(investor), Role.BASIS, self.share.code), self.asset))

    def _fee(self, investor: str, equity: Fraction, total: int, at: int) -> tuple[int, int]:
        """(the basis with its hurdle, the fee that is due in shares) of an investor."""
        basis, fees = self.basis(investor).units, self.terms_at(at).fees
        if fees.hurdle_ppm:
            basis = grown(basis, fees.hurdle_ppm, at - (int(self._said.get(f"charged {investor}", "0")) or at))
        owned = self.shares(investor) - sum(shares for _, shares in self._bound(investor, "notice"))
        if investor == self._terms.manager or not fees.performance_ppm or not owned or equity <= 0:
            return basis, 0
        price = price_of(total, equity, self._terms)
        return basis, int(performance_fee(owned * price, basis, fees.performance_ppm) / price)

    def _charging(
        self, investor: str, equity: Fraction, total: int, freed: Iterable[Entry] = (), *, at: int, by: str
    ) -> tuple[list[Record], dict[str, str]]:
        """What books an investor's performance fee, and its basis with its hurdle; and what is to be said.

        `freed` books locks that have run out, and is posted before it.
        """
        fees = self.terms_at(at).fees
        if not fees.performance_ppm or investor == self._terms.manager:
            return [], {}
        before = self.basis(investor).units
        basis, due = self._fee(investor, equity, total, at)
        records: list[Record] = []
        if due:
            owned = self.shares(investor) - sum(shares for _, shares in self._bound(investor, "notice"))
            worth = owned * price_of(total, equity, self._terms)
            basis = max(basis, -(-worth.numerator // worth.denominator))
            left = due
            there = {"": self.free_shares(investor), **dict(self._bound(investor, "lock"))}
            for account, _, units in (posting for entry in freed for posting in entry.postings):
                there[account.of] += units
            for of, shares in there.items():
                part = min(left, shares)
                if part:
                    manager = self._terms.manager
                    entry = booking.bind(
                        self.asset, self.share, investor, of, "", part, whither=manager, at=at, by=by, why="performance fee"
                    )
                    records.append(entry)
                    left -= part
        if basis != before:
            records.append(booking.bind(self.asset, self.share, investor, "", "", 0, basis=basis - before, at=at, by=by, why="basis"))
        last = int(self._said.get(f"charged {investor}", str(at)))
        said = {f"charged {investor}": str(max(last, at))} if fees.hurdle_ppm else {}
        return records, said

    def change_terms(self, terms: Terms, *, by: str, why: str = "", at: int | None = None) -> int:
        """New terms: what is better for investors holds at once, what is worse after `Terms.change_rest_ns`. Returns from when on.

        Raises `ShareError` (terms) for a longer notice, and for another guard, manager or rules: those are for a new pool.
        """
        at = self._at(at)
        now = self.terms_at(at)
        if not isinstance(terms, Terms):
            raise ShareError(f"terms are Terms, not {terms!r}", "terms")
        fixed = ("virtual", "rules", "manager", "first_least", "first_loss")
        if any(getattr(terms, one) != getattr(now, one) for one in fixed):
            raise ShareError(f"{', '.join(fixed)} of a pool stay as they are", "terms")
        if terms.notice_ns > now.notice_ns:
            raise ShareError(f"a notice can only become shorter than {now.notice_ns} ns, not {terms.notice_ns}", "terms")
        records, _, said = self._accruing(at, by)
        at_once = now.gentler(terms)
        accrued = max(at, int(self._said["accrued"]))  # a time that is past already is not charged again
        told = {"terms": json.dumps(at_once.text(), sort_keys=True), "accrued": str(accrued), "next": "", "next_at": ""}
        from_on = at
        if at_once != terms:
            from_on = at + now.change_rest_ns
            told |= {"next": json.dumps(terms.text(), sort_keys=True), "next_at": str(from_on)}
        self._post(records, said | told, by=by, at=at, why=why)
        return from_on

    def _minting(
        self, investor: str, units: int, shares: int, *, basis: int = 0, fresh: bool = True, at: int, by: str, ref: str = "", why: str = ""
    ) -> Entry:
        core = self._core
        return booking.mint(
            core, self.asset, self.owner, self.share, investor, units, shares, basis=basis, fresh=fresh, at=at, by=by, ref=ref, why=why
        )

    # -- writing ---------------------------------------------------------------------------------------------------------

    def _told(self, what: str, name: str) -> str:
        return self._said.get(f"{what} {name}", "")

    def _say(self, what: str, after: str, *, by: str, why: str = "", at: int | None = None) -> None:
        self._post([], {what: after}, by=by, at=self._at(at), why=why)

    def _post(self, records: Iterable[Record], said: Mapping[str, str], *, by: str, at: int, why: str = "") -> None:
        """Write it down, all of it or nothing, and then go by it: what is said of the pool, by whom, when and why, then the records.

        Entries that move nothing are left out. Raises `VaultError` for a by that names nobody, and a why or ref that is no text.
        """
        if not isinstance(by, str) or not by.strip():
            raise VaultError(f"by names who does it, not {by!r}")
        given = [one for one in records if not isinstance(one, Entry) or one.postings]
        for word in (why, *(getattr(one, name, "") for one in given for name in ("why", "ref"))):
            if not isinstance(word, str):
                raise VaultError(f"why and ref are text, not {word!r}")
        changed = [Changed(at, by, self.owner, what, self._said.get(what, ""), after, why) for what, after in said.items()]
        self._write([*changed, *given])
        self._said.update(said)
        if "terms" in said:
            self._terms = Terms.from_text(json.loads(said["terms"]))
