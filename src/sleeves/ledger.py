"""The ledger: who has how much of what, as the running sum of balanced entries.

Rule 1. An entry sums to zero in every asset, or it does not exist.
Rule 2. An entry touches at most one sleeve. A payment from one sleeve to another cannot be written.
Rule 3. An entry is posted whole or not at all.
Rule 4. A command may not take a guarded account below zero. A fact is posted as it happened.

Accounts are `(owner, role, of)`. What a role means is in `Role`; together they are the chart of accounts. A ledger
holds nothing but balances, and every balance is the fold of its entries: drop it, post the journal's entries again,
and the same ledger stands there.

This module does not know what a vault, an order or a price is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from attrs import evolve, frozen

from .errors import AssetMismatch, IsolationBreach, LedgerError, Overdraft, Unbalanced
from .money import Amount, Asset

__all__ = ["Account", "Entry", "EntryKind", "Ledger", "Posting", "Role"]


class Role(StrEnum):
    """The chart of accounts. Coins that exist stand in the first two groups; the third says how they came to be."""

    # of a sleeve: its coins, and what a venue owes it
    FREE = "free"
    """Coins that the sleeve may use now, in any asset that it holds."""
    HELD = "held"
    """Coins set aside for one open order (`of` is the order's id)."""
    MARGIN = "margin"
    """Coins set aside behind open contracts in one perpetual (`of`)."""
    BETWEEN = "between"
    """Coins of a sleeve that are not in its sub-account, or are to leave it. `of` says why, and by which transfer once it is asked for."""
    UNSETTLED = "unsettled"
    """Profit, fees and funding of one perpetual (`of`) that the venue has not settled to cash yet; below zero: owed to it."""

    # of a core vault, or of nobody yet: its coins
    IDLE = "idle"
    """Coins in no sleeve. `of` names a sleeve when they are set aside for it while it has a position open."""
    RESERVED = "reserved"
    """The safety reserve."""
    SUSPENSE = "suspense"
    """Residuals that are not, or not yet, ours to name. Negative when coins are missing. `of` is the cause."""
    IN_TRANSIT = "in_transit"
    """Coins on their way between two backings."""
    CLIENT = "client"
    """Client money: coins on the wallet that belong to an investor (`of`), paid in and not invested, or redeemed and not paid out."""

    # how the coins came and went
    TRADING = "trading"
    """The other side of trades in one instrument (`of`). In the quote asset: the open cost. In the base: minus the position."""
    CONTRACTS = "contracts"
    """The other side of perpetual contracts (`of`): they are no coins, and what they cost was never paid."""
    FEES = "fees"
    """Fees paid; negative when rebates came in."""
    FUNDING = "funding"
    """Funding paid; negative when it was received."""
    PNL = "pnl"
    """Minus the realized profit, before fees."""
    WORLD = "world"
    """The outside: minus all that was ever brought in, net."""

    # numbers that are permissions or marks, not coins; their other side is MEMO
    TRADEABLE = "tradeable"
    """What the user puts at risk: a limit on allocations."""
    HIGH_WATER = "high_water"
    """Profit above its allocation that a sleeve has already shared and kept."""
    BASIS = "basis"
    """What an investor's shares must be worth before there is profit to share; of a notice, what its shares were worth then."""
    MEMO = "memo"
    """The other side of every permission and mark."""
    SHARES = "shares"
    """Shares of a megavault that an investor has; `of` says what binds them, a lock or a notice."""
    ISSUED = "issued"
    """The other side of shares: minus all that were issued and not redeemed."""


COIN_ROLES = frozenset(
    {Role.FREE, Role.HELD, Role.MARGIN, Role.BETWEEN, Role.IDLE, Role.RESERVED, Role.SUSPENSE, Role.IN_TRANSIT, Role.CLIENT}
)
"""Coins that exist. Their sum is what the venue holds for us, what it has not settled yet apart."""

SLEEVE_ROLES = frozenset(
    {
        Role.FREE,
        Role.HELD,
        Role.MARGIN,
        Role.BETWEEN,
        Role.UNSETTLED,
        Role.TRADING,
        Role.CONTRACTS,
        Role.FEES,
        Role.FUNDING,
        Role.PNL,
        Role.HIGH_WATER,
    }
)
"""Roles that only a sleeve has: at most one owner of these in an entry."""

FLOW_ROLES = (SLEEVE_ROLES - {Role.HIGH_WATER}) | {Role.IDLE, Role.RESERVED, Role.SUSPENSE}
"""Their sum over an owner moves only when money comes from, or goes to, another owner or the world."""

MARK_ROLES = frozenset({Role.TRADEABLE, Role.HIGH_WATER, Role.BASIS, Role.MEMO, Role.SHARES, Role.ISSUED})
"""Permissions, marks and shares. In an entry they sum to zero among themselves, so that none ever becomes a coin."""

COIN_MOVES = SLEEVE_ROLES - MARK_ROLES - {Role.BETWEEN}
"""What an entry that stays within one sleeve may touch, one that moves its coins between sub-accounts aside."""

PASSAGE = frozenset({Role.FREE, Role.BETWEEN})
"""What an entry that moves a sleeve's coins between sub-accounts may touch."""

GUARDED_ROLES = frozenset(
    {
        Role.FREE,
        Role.HELD,
        Role.MARGIN,
        Role.BETWEEN,
        Role.IDLE,
        Role.RESERVED,
        Role.IN_TRANSIT,
        Role.CLIENT,
        Role.TRADEABLE,
        Role.BASIS,
        Role.SHARES,
    }
)
"""Roles that no command may take below zero."""


class EntryKind(StrEnum):
    """Why an entry was written."""

    # commands: may be refused
    OPEN = "open"
    """A core vault was opened over a wallet with this total."""
    TRADEABLE = "tradeable"
    """The user set what is at risk."""
    RESERVE = "reserve"
    """The safety reserve was raised or lowered."""
    EARMARK = "earmark"
    """Coins set aside for a sleeve's next buy, or given back."""
    ALLOCATE = "allocate"
    """Core vault to sleeve."""
    RECLAIM = "reclaim"
    """Sleeve to core vault, out of its allocation."""
    SWEEP = "sweep"
    """Sleeve to core vault, out of its profit."""
    HOLD = "hold"
    """Set aside for an order."""
    SEND = "send"
    """Coins set out on their way, or back from it."""
    MOVE = "move"
    """Coins of a sleeve are to go to, or come from, the sub-account that backs it, or stay where they are after all."""
    MINT = "mint"
    """Shares of a megavault were issued, for money or as a fee."""
    REDEEM = "redeem"
    """Shares of a megavault were redeemed for money, or given up."""
    BIND = "bind"
    """Shares of an investor were locked, put under notice, or are free again."""
    # facts: always booked
    RELEASE = "release"
    """An order is done; what is left of its hold is free again."""
    FILL = "fill"
    FUNDING = "funding"
    SETTLE = "settle"
    LIQUIDATION = "liquidation"
    """The venue closed contracts by force."""
    BANKRUPTCY = "bankruptcy"
    """A loss beyond all that the account had, borne by others."""
    DEPOSIT = "deposit"
    """New coins were seen in the wallet."""
    WITHDRAWAL = "withdrawal"
    """Coins have left the wallet."""
    ARRIVE = "arrive"
    """Coins of a sleeve have come to the sub-account that backs it."""
    ADJUST = "adjust"
    """A named human, or reconciliation, put a residual in its place."""

    @property
    def is_fact(self) -> bool:
        return self in FACTS


FACTS = frozenset(
    {
        EntryKind.RELEASE,
        EntryKind.FILL,
        EntryKind.FUNDING,
        EntryKind.SETTLE,
        EntryKind.LIQUIDATION,
        EntryKind.BANKRUPTCY,
        EntryKind.DEPOSIT,
        EntryKind.WITHDRAWAL,
        EntryKind.ARRIVE,
        EntryKind.ADJUST,
    }
)
"""Kinds that have already happened: they are booked even where they overdraw."""

INTERNAL = frozenset(
    {
        EntryKind.HOLD,
        EntryKind.RELEASE,
        EntryKind.FILL,
        EntryKind.FUNDING,
        EntryKind.SETTLE,
        EntryKind.LIQUIDATION,
        EntryKind.BANKRUPTCY,
        EntryKind.MOVE,
        EntryKind.ARRIVE,
    }
)
"""Kinds that stay within one sleeve: they can make a profit or a loss there, never a payment."""

PASSAGES = frozenset({EntryKind.MOVE, EntryKind.ARRIVE})
"""Kinds that move a sleeve's coins between sub-accounts: they make neither profit nor loss."""

_OWNER = re.compile(r"[^/\s]+")
_OF = re.compile(r"\S*")
_ACCOUNT = re.compile(r"([^/\s]+)/([a-z_]+)(?::([^\s]+))?")


class Account(NamedTuple):
    """Whose, in which role, and of what (an order, an instrument, a cause; usually nothing)."""

    owner: str
    role: Role
    of: str = ""

    def __str__(self) -> str:
        return f"{self.owner}/{self.role}" + (f":{self.of}" if self.of else "")

    @classmethod
    def parse(cls, text: str) -> Account:
        """Read back what `str` wrote: "flash/trading:BTC/USD"."""
        match = _ACCOUNT.fullmatch(text)
        if match is None or match.group(2) not in Role.__members__.values():
            raise LedgerError(f"{text!r} is not an account: write owner/role or owner/role:of")
        return cls(match.group(1), Role(match.group(2)), match.group(3) or "")


def _check_account(account: Account) -> None:
    """An account that is booked must read back from its text."""
    owner, role, of = account
    words = isinstance(owner, str) and isinstance(of, str) and isinstance(role, Role)
    if not words or _OWNER.fullmatch(owner) is None or _OF.fullmatch(of) is None:
        raise LedgerError(f"{account!r} cannot be an account: owner and of are text without blanks, the owner without /")


class Posting(NamedTuple):
    """So many units of an asset into (or, below zero, out of) an account."""

    account: Account
    asset: Asset
    units: int

    def __str__(self) -> str:
        return f"{self.account} {Amount(self.units, self.asset)}"

    @classmethod
    def parse(cls, text: str, assets: Iterable[Asset]) -> Posting:
        """Read back what `str` wrote: "flash/free -150.15 USD"."""
        parts = text.split()
        known = {asset.code: asset for asset in assets}
        if len(parts) != 3 or parts[2] not in known:
            raise LedgerError(f"{text!r} is not a posting in one of {', '.join(sorted(known))}: write account, number, asset")
        amount = known[parts[2]](parts[1])
        return cls(Account.parse(parts[0]), amount.asset, amount.units)


@frozen(order=False)
class Entry:
    """One balanced movement: when, why, by whom, what moved, and the record that it follows from (`ref`)."""

    at: int
    kind: EntryKind
    by: str
    postings: tuple[Posting, ...]
    ref: str = ""
    why: str = ""

    def reverse(self) -> Entry:
        """The entry that undoes this one."""
        return evolve(self, postings=tuple(Posting(p.account, p.asset, -p.units) for p in self.postings))

    def __str__(self) -> str:
        return " | ".join(str(posting) for posting in self.postings)


_Cell = tuple[Account, str]


class Ledger:
    """Balances by account and asset, changed by `post` alone."""

    __slots__ = ("_assets", "_cells", "_flows", "_owned")

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        self._cells: dict[_Cell, int] = {}
        self._owned: dict[str, dict[_Cell, None]] = {}
        self._flows: dict[tuple[str, EntryKind, str], int] = {}

    def check(self, entry: Entry) -> list[_Cell]:
        """Raise what `post` would raise; change nothing. Returns the cells of the postings, for `apply`."""
        cells = self._cells
        assets = self._assets
        sums: dict[str, int] = {}
        fresh: dict[str, Asset] = {}
        touched: list[_Cell] = []
        marks: dict[str, int] | None = None
        sleeve = None
        internal = entry.kind in INTERNAL
        allowed = SLEEVE_ROLES if not internal else PASSAGE if entry.kind in PASSAGES else COIN_MOVES
        for account, asset, units in entry.postings:
            code = asset.code
            known = assets.get(code) or fresh.setdefault(code, asset)
            if known is not asset and known != asset:
                raise AssetMismatch(f"{code} is counted here with {known.scale} decimal places, not {asset.scale}")
            sums[code] = sums.get(code, 0) + units
            role = account[1]
            if role in allowed:
                if sleeve is None:
                    sleeve = account[0]
                elif sleeve != account[0]:
                    raise IsolationBreach(f"entry touches two sleeves, {sleeve!r} and {account[0]!r}: {entry}")
            elif internal:
                raise IsolationBreach(f"a {entry.kind} moves coins within its sleeve and cannot touch {account}: {entry}")
            if role in MARK_ROLES:
                marks = {} if marks is None else marks
                marks[code] = marks.get(code, 0) + units
            cell = (account, code)
            if cell not in cells:
                _check_account(account)
            touched.append(cell)
        for code, total in sums.items():
            if total or type(total) is not int:
                raise Unbalanced(f"{code} of the entry sums to {total} units, not 0: {entry}")
        if marks and any(marks.values()):
            raise Unbalanced(f"permissions and marks of the entry do not sum to 0 among themselves: {entry}")
        if not entry.by or not isinstance(entry.by, str):
            raise LedgerError(f"an entry names who wrote it, not {entry.by!r}: {entry}")
        if entry.kind not in FACTS:
            self._check_overdraft(entry)
        return touched

    def _check_overdraft(self, entry: Entry) -> None:
        after: dict[_Cell, int] = {}
        for account, asset, units in entry.postings:
            if account[1] in GUARDED_ROLES:
                cell = (account, asset.code)
                after[cell] = after.get(cell, self._cells.get(cell, 0)) + units
        for (account, code), units in after.items():
            if units < 0 and units < self._cells.get((account, code), 0):
                raise Overdraft(f"{entry.kind} would overdraw {account} by {-units} units of {code}: {entry}")

    def apply(self, entry: Entry, touched: list[_Cell] | None = None) -> None:
        """Post an entry that `check` has passed, with what it returned."""
        cells = self._cells
        if touched is None:
            touched = [(posting.account, posting.asset.code) for posting in entry.postings]
        for cell, posting in zip(touched, entry.postings, strict=True):
            units = posting[2]
            if cell in cells:
                balance = cells[cell] + units
                if balance or cell[0][1] is not Role.HELD:
                    cells[cell] = balance
                else:
                    del cells[cell]
                    del self._owned[cell[0][0]][cell]
            elif units:
                self._assets.setdefault(cell[1], posting[1])
                cells[cell] = units
                self._owned.setdefault(cell[0][0], {})[cell] = None
        if entry.kind not in INTERNAL:
            for account, asset, units in entry.postings:
                if account[1] in FLOW_ROLES:
                    key = (account[0], entry.kind, asset.code)
                    self._flows[key] = self._flows.get(key, 0) + units

    def post(self, entry: Entry) -> None:
        """Post an entry whole, or raise and post nothing.

        Raises `Unbalanced`, `IsolationBreach`, `Overdraft` (commands only), `AssetMismatch` (an asset's scale changed).
        """
        self.apply(entry, self.check(entry))

    def dump(self) -> dict[str, list[list[Any]]]:
        """All that it holds as plain lists, units as text; `load` makes the same ledger of it."""
        return {
            "assets": [[asset.code, asset.scale] for asset in self._assets.values()],
            "cells": [[*account, code, str(units)] for (account, code), units in self._cells.items()],
            "flows": [[owner, kind.value, code, str(units)] for (owner, kind, code), units in self._flows.items()],
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Iterable[Sequence[Any]]]) -> Ledger:
        """Read back what `dump` wrote. Raises `ValueError` or `LookupError` for what it cannot have written."""
        ledger = cls()
        ledger._assets = {code: Asset(code, scale) for code, scale in dumped["assets"]}
        for owner, role, of, code, units in dumped["cells"]:
            cell = (Account(owner, Role(role), of), code)
            ledger._cells[cell] = int(units)
            ledger._owned.setdefault(owner, {})[cell] = None
        ledger._flows = {(owner, EntryKind(kind), code): int(units) for owner, kind, code, units in dumped["flows"]}
        return ledger

    # -- reading -----------------------------------------------------------------------------------------------------

    def units(self, account: Account, asset: Asset) -> int:
        """The balance of an account in smallest units; zero for an account that was never posted to."""
        return self._cells.get((account, asset.code), 0)

    def balance(self, account: Account, asset: Asset) -> Amount:
        return Amount(self.units(account, asset), asset)

    def total(self, owner: str, role: Role, asset: Asset) -> int:
        """The sum over all `of` of an owner's accounts in one role."""
        code, cells = asset.code, self._cells
        return sum([cells[cell] for cell in self._owned.get(owner, ()) if cell[0][1] is role and cell[1] == code])

    def cells(self, owner: str) -> list[tuple[Account, str, int]]:
        """An owner's balances as (account, asset code, units): `accounts` without the amounts, for the desk."""
        cells = self._cells
        return [(cell[0], cell[1], cells[cell]) for cell in self._owned.get(owner, ())]

    def accounts(self, owner: str | None = None) -> Iterator[tuple[Account, Amount]]:
        """All accounts, or an owner's, with their balances, in the order in which they were opened."""
        for cell in self._cells if owner is None else self._owned.get(owner, ()):
            yield cell[0], Amount(self._cells[cell], self._assets[cell[1]])

    def owners(self) -> Iterator[str]:
        return iter(self._owned)

    def asset(self, code: str) -> Asset:
        """The asset that is booked under this code. Raises `LedgerError` when there is none."""
        try:
            return self._assets[code]
        except KeyError:
            raise LedgerError(f"no asset {code!r} was ever booked here") from None

    def flow(self, owner: str, kind: EntryKind, asset: Asset) -> int:
        """What entries of this kind have brought to an owner, net, in units: a sleeve's allocations, its sweeps (negative)."""
        return self._flows.get((owner, kind, asset.code), 0)

    def net_flow(self, owner: str, asset: Asset) -> int:
        """What an owner has received from others, net of all that it gave: the capital that its profit is measured against."""
        return sum(self.flow(owner, kind, asset) for kind in EntryKind)

    def trial_balance(self) -> Mapping[Asset, int]:
        """The sum over all accounts per asset. Always zeros; law 1."""
        sums: dict[str, int] = {}
        for (_, code), units in self._cells.items():
            sums[code] = sums.get(code, 0) + units
        return {self._assets[code]: units for code, units in sums.items()}
