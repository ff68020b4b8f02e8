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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
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


@lru_cache(maxsize=4096)
def _is_owner(name: str) -> bool:
    return _OWNER.fullmatch(name) is not None


def _check_account(account: Account) -> None:
    """An account that is booked must read back from its text."""
    owner, role, of = account
    words = isinstance(owner, str) and isinstance(of, str) and isinstance(role, Role)
    if not words or not _is_owner(owner) or _OF.fullmatch(of) is None:
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


@frozen(order=False, weakref_slot=False)
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


_Key = tuple[Account, str]

_OWN, _MOVES, _PASSES, _MARK, _GUARDED, _FLOWS = 1, 2, 4, 8, 16, 32
_BITS: Mapping[Role, int] = {
    role: _OWN * (role in SLEEVE_ROLES)
    + _MOVES * (role in COIN_MOVES)
    + _PASSES * (role in PASSAGE)
    + _MARK * (role in MARK_ROLES)
    + _GUARDED * (role in GUARDED_ROLES)
    + _FLOWS * (role in FLOW_ROLES)
    for role in Role
}
"""Which of the sets above a role is in, in one number."""
_MAY_TOUCH: Mapping[EntryKind, int] = {kind: _PASSES if kind in PASSAGES else _MOVES for kind in INTERNAL}
"""By kind that stays within one sleeve: which roles it may touch."""
_HELD, _SUSPENSE = Role.HELD, Role.SUSPENSE
_HOLDS = frozenset({EntryKind.HOLD, EntryKind.RELEASE})
_STANDS = frozenset({Role.TRADING, Role.UNSETTLED, Role.MARGIN})


class _Sum:
    """What an owner's accounts in one role and asset sum to."""

    __slots__ = ("units",)

    def __init__(self) -> None:
        self.units = 0


class _Cell:
    """One account in one asset: its balance, the sum that it is part of, and what its role allows.

    `rare`: a posting to it does more than to change two numbers: it opens it, closes it, or is looked for.
    """

    __slots__ = ("account", "asset", "bits", "code", "open", "rare", "sum", "units")

    def __init__(self, account: Account, asset: Asset, code: str, sum_: _Sum) -> None:
        self.account = account
        self.asset = asset
        self.code = code
        self.bits = _BITS.get(account[1], 0)
        self.sum = sum_
        self.units = 0
        self.open = False
        self.rare = True


class Ledger:
    """Balances by account and asset, changed by `post` alone.

    Sums that are asked for again and again are kept beside the balances: by owner, role and asset (`total`), and by owner what came
    from others (`net_flow`). `differences` holds them against the balances themselves.
    """

    __slots__ = ("_assets", "_cells", "_flows", "_followers", "_net", "_owned", "_stood", "_sums", "_suspense")

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        self._cells: dict[_Key, _Cell] = {}
        self._owned: dict[str, dict[_Key, _Cell]] = {}
        self._flows: dict[tuple[str, EntryKind, str], int] = {}
        self._net: dict[tuple[str, str], int] = {}
        """By owner and asset, the sum of its flows."""
        self._sums: dict[tuple[str, Role, str], _Sum] = {}
        self._suspense: dict[_Key, _Cell] = {}
        """What stands in SUSPENSE and is not zero."""
        self._followers: list[set[str]] = []
        self._stood: dict[str, dict[str, None]] = {}
        """By instrument, who ever had a position, margin or something unsettled in it."""

    def check(self, entry: Entry) -> list[_Cell]:
        """Raise what `post` would raise; change nothing. Returns the cells of the postings, for `apply`."""
        cells = self._cells
        kind, postings = entry.kind, entry.postings
        if len(postings) == 2 and kind in _HOLDS:  # there are two for every order: seen at one look, where nothing is wrong
            (one_account, asset, units), (other_account, other_asset, other_units) = postings
            code = asset.code
            one_cell, other_cell = cells.get((one_account, code)), cells.get((other_account, code))
            if one_cell is not None and asset is other_asset is one_cell.asset and type(units) is int and units + other_units == 0:
                if other_cell is None and other_account != one_account:
                    other_cell = self._fresh(other_account, asset, code, ())
                    _check_account(other_account)
                if other_cell is not None and one_account[0] == other_account[0] and type(other_units) is int and type(entry.by) is str:
                    inside = one_cell.bits & other_cell.bits & _MOVES and other_cell.asset is asset
                    if inside and entry.by and one_cell.units + units >= 0 and other_cell.units + other_units >= 0:
                        return [one_cell, other_cell]
        allowed = _MAY_TOUCH.get(kind, 0)
        internal = allowed != 0
        own = allowed or _OWN
        touched: list[_Cell] = []
        marks: dict[str, int] | None = None
        more: dict[str, int] | None = None
        sleeve = first = second = None
        one = two = 0
        for account, asset, units in postings:
            code = asset.code
            cell = cells.get((account, code))
            if cell is None:
                cell = self._fresh(account, asset, code, touched)
            if cell.asset is not asset and cell.asset != asset:
                raise AssetMismatch(f"{code} is counted here with {cell.asset.scale} decimal places, not {asset.scale}")
            if code == first:
                one += units
            elif code == second:
                two += units
            elif first is None:
                first, one = code, 0 + units
            elif second is None:
                second, two = code, 0 + units
            else:
                more = {} if more is None else more
                more[code] = more.get(code, 0) + units
            bits = cell.bits
            if bits & own:
                if sleeve is None:
                    sleeve = account[0]
                elif sleeve != account[0]:
                    raise IsolationBreach(f"entry touches two sleeves, {sleeve!r} and {account[0]!r}: {entry}")
            elif internal:
                raise IsolationBreach(f"a {kind} moves coins within its sleeve and cannot touch {account}: {entry}")
            if bits & _MARK:
                marks = {} if marks is None else marks
                marks[code] = marks.get(code, 0) + units
            if not cell.open:
                _check_account(account)
            touched.append(cell)
        if one or two or more or type(one) is not int or type(two) is not int:
            for name, total in ((first, one), (second, two), *(more or {}).items()):
                if total or type(total) is not int:
                    raise Unbalanced(f"{name} of the entry sums to {total} units, not 0: {entry}")
        if marks and any(marks.values()):
            raise Unbalanced(f"permissions and marks of the entry do not sum to 0 among themselves: {entry}")
        if not entry.by or not isinstance(entry.by, str):
            raise LedgerError(f"an entry names who wrote it, not {entry.by!r}: {entry}")
        if kind not in FACTS:
            self._check_overdraft(entry, touched)
        return touched

    def _fresh(self, account: Account, asset: Asset, code: str, touched: Sequence[_Cell]) -> _Cell:
        """The cell of an account that is not open yet: it is opened when something is posted to it."""
        known = self._assets.get(code)
        for cell in touched:
            if cell.code == code:
                if cell.account == account:
                    return cell
                known = known or cell.asset
        key = (account[0], account[1], code)
        return _Cell(account, known or asset, code, self._sums.get(key) or _Sum())

    def _check_overdraft(self, entry: Entry, touched: Sequence[_Cell]) -> None:
        if len(touched) == 2:  # mostly so: nothing that goes out of a guarded account takes it below zero
            (one, two), ((_, _, first), (_, _, second)) = touched, entry.postings
            if (first >= 0 or one.units + first >= 0) and (second >= 0 or two.units + second >= 0):
                return
        after: dict[int, tuple[_Cell, int]] = {}
        for cell, posting in zip(touched, entry.postings, strict=True):
            if cell.bits & _GUARDED:
                after[id(cell)] = cell, after.get(id(cell), (cell, cell.units))[1] + posting[2]
        for cell, units in after.values():
            if units < 0 and units < cell.units:
                raise Overdraft(f"{entry.kind} would overdraw {cell.account} by {-units} units of {cell.code}: {entry}")

    def apply(self, entry: Entry, touched: list[_Cell] | None = None) -> None:
        """Post an entry that `check` has passed, with what it returned."""
        postings = entry.postings
        if touched is None:
            touched = []
            for account, asset, _ in postings:
                code = asset.code
                touched.append(self._cells.get((account, code)) or self._fresh(account, asset, code, touched))
        for cell, posting in zip(touched, postings, strict=True):
            if cell.rare:
                self._move(cell, posting[2])
            else:
                cell.units += posting[2]
                cell.sum.units += posting[2]
        kind = entry.kind
        if kind not in INTERNAL:
            for cell, posting in zip(touched, postings, strict=True):
                if cell.bits & _FLOWS:
                    owner, code = cell.account[0], cell.code
                    self._flows[owner, kind, code] = self._flows.get((owner, kind, code), 0) + posting[2]
                    self._net[owner, code] = self._net.get((owner, code), 0) + posting[2]
        for changed in self._followers:
            changed.update([cell.account[0] for cell in touched])

    def _move(self, cell: _Cell, units: int) -> None:
        """What a posting does to an account that is opened by it, closed by it, or looked for."""
        account, code = cell.account, cell.code
        if not cell.open:
            if not units:
                return
            self._open(cell)
        cell.units += units
        cell.sum.units += units
        if account[1] is _HELD and not cell.units:
            key = (account, code)
            del self._cells[key]
            del self._owned[account[0]][key]
            cell.open, cell.rare = False, True
        elif account[1] is _SUSPENSE:
            if cell.units:
                self._suspense[account, code] = cell
            else:
                self._suspense.pop((account, code), None)

    def _open(self, cell: _Cell) -> None:
        account, code = cell.account, cell.code
        owner, role, _ = account
        self._assets.setdefault(code, cell.asset)
        cell.sum = self._sums.setdefault((owner, role, code), cell.sum)
        self._cells[account, code] = self._owned.setdefault(owner, {})[account, code] = cell
        cell.open, cell.rare = True, role is _HELD or role is _SUSPENSE
        if role in _STANDS:
            self._stood.setdefault(account[2], {})[owner] = None

    def follow(self) -> set[str]:
        """A set into which the owners of all accounts are put that are posted to from now on; whoever asked takes them out."""
        changed: set[str] = set()
        self._followers.append(changed)
        return changed

    def differences(self) -> list[str]:
        """Sums that are kept beside the balances and are not what the balances sum to, in words; none, or something is wrong."""
        sums: dict[tuple[str, Role, str], int] = {}
        for (account, code), cell in self._cells.items():
            key = (account[0], account[1], code)
            sums[key] = sums.get(key, 0) + cell.units
        found = [
            f"{owner}/{role} is kept as {kept.units} units of {code}, its accounts sum to {sums.get((owner, role, code), 0)}"
            for (owner, role, code), kept in self._sums.items()
            if kept.units != sums.get((owner, role, code), 0)
        ]
        net: dict[tuple[str, str], int] = {}
        for (owner, _, code), units in self._flows.items():
            net[owner, code] = net.get((owner, code), 0) + units
        if net != self._net:
            found.append("what owners received from others is not the sum of their flows")
        looked = self._suspense
        lost = [str(key[0]) for key, cell in self._cells.items() if key[0][1] is _SUSPENSE and (cell.units != 0) is not (key in looked)]
        return found + [f"{name} is in SUSPENSE and is not looked for, or is looked for and empty" for name in lost]

    def post(self, entry: Entry) -> None:
        """Post an entry whole, or raise and post nothing.

        Raises `Unbalanced`, `IsolationBreach`, `Overdraft` (commands only), `AssetMismatch` (an asset's scale changed).
        """
        self.apply(entry, self.check(entry))

    def dump(self) -> dict[str, list[list[Any]]]:
        """All that it holds as plain lists, units as text; `load` makes the same ledger of it."""
        return {
            "assets": [[asset.code, asset.scale] for asset in self._assets.values()],
            "cells": [[*account, code, str(cell.units)] for (account, code), cell in self._cells.items()],
            "flows": [[owner, kind.value, code, str(units)] for (owner, kind, code), units in self._flows.items()],
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Iterable[Sequence[Any]]]) -> Ledger:
        """Read back what `dump` wrote. Raises `ValueError` or `LookupError` for what it cannot have written."""
        ledger = cls()
        ledger._assets = {code: Asset(code, scale) for code, scale in dumped["assets"]}
        for owner, role, of, code, units in dumped["cells"]:
            cell = ledger._fresh(Account(owner, Role(role), of), ledger._assets[code], code, ())
            ledger._open(cell)
            ledger._move(cell, int(units))
        ledger._flows = {(owner, EntryKind(kind), code): int(units) for owner, kind, code, units in dumped["flows"]}
        for (owner, _, code), units in ledger._flows.items():
            ledger._net[owner, code] = ledger._net.get((owner, code), 0) + units
        return ledger

    # -- reading -----------------------------------------------------------------------------------------------------

    def units(self, account: Account, asset: Asset) -> int:
        """The balance of an account in smallest units; zero for an account that was never posted to."""
        cell = self._cells.get((account, asset.code))
        return 0 if cell is None else cell.units

    def balance(self, account: Account, asset: Asset) -> Amount:
        return Amount(self.units(account, asset), asset)

    def cell(self, account: Account, code: str) -> _Cell | None:
        """An account in one asset, once it was posted to: it stays the same object, but for one that is HELD. To be read."""
        return self._cells.get((account, code))

    def total(self, owner: str, role: Role, asset: Asset) -> int:
        """The sum over all `of` of an owner's accounts in one role."""
        kept = self._sums.get((owner, role, asset.code))
        return 0 if kept is None else kept.units

    @property
    def suspense(self) -> list[tuple[Account, str, int]]:
        """All that stands in SUSPENSE of anybody and is not zero, as (account, asset code, units)."""
        return [(account, code, cell.units) for (account, code), cell in self._suspense.items()] if self._suspense else []

    def cells(self, owner: str) -> list[tuple[Account, str, int]]:
        """An owner's balances as (account, asset code, units): `accounts` without the amounts, for the desk."""
        owned = self._owned.get(owner)
        return [] if owned is None else [(cell.account, cell.code, cell.units) for cell in owned.values()]

    def accounts(self, owner: str | None = None) -> Iterator[tuple[Account, Amount]]:
        """All accounts, or an owner's, with their balances, in the order in which they were opened."""
        for cell in (self._cells if owner is None else self._owned.get(owner, {})).values():
            yield cell.account, Amount(cell.units, self._assets[cell.code])

    def owners_in(self, symbol: str) -> Collection[str]:
        """Who ever had a position, margin or something unsettled in an instrument."""
        return self._stood.get(symbol, {})

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
        return self._net.get((owner, asset.code), 0)

    def trial_balance(self) -> Mapping[Asset, int]:
        """The sum over all accounts per asset. Always zeros; law 1."""
        sums: dict[str, int] = {}
        for (_, code), cell in self._cells.items():
            sums[code] = sums.get(code, 0) + cell.units
        return {self._assets[code]: units for code, units in sums.items()}
