"""A sleeve: one strategy's own money inside a core vault, as a named view of the ledger.

It stores no balance. What it keeps besides the ledger is its status and its policy, and each change of those is a record
in the journal. Only its core vault moves money to and from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from .books import Books
from .errors import NotEnough, VaultError, WrongStatus
from .ledger import Account, EntryKind, Role, _Cell
from .market import Instrument, Mark
from .markup import block, figures, table
from .money import Amount, Asset, Rounding
from .policy import ProfitPolicy, Sweep
from .records import Changed, Record
from .status import HOLDS, Hold, Latch, Lifter, Move, Status, next_status, worse, worst

if TYPE_CHECKING:
    from .vault import CoreVault

__all__ = ["OWNER", "Sleeve", "Slice", "Stateful", "move_together", "named"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
OWNER = "owner"
"""Who acts when a command names nobody: the owner of the books."""


def named(name: object, what: str) -> str:
    """The name, if it is one: `VaultError` says what a name must be."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        shown = repr(name) if len(repr(name)) <= 60 else repr(name)[:60] + "..."
        raise VaultError(f"{what} name {shown} must be 1 to 32 of a-z 0-9 _ - and start with a letter or digit")
    return name


class Stateful:
    """What the status table moves, and latches hold: a sleeve, a vault, a venue or the desk. `_subject` is its name in the journal."""

    def __init__(self, books: Books, kind: str, subject: str, status: Status) -> None:
        self.books = books
        self._kind = kind
        self._subject = subject
        self._status = status
        self.latches: dict[Hold, Latch] = {}
        """What holds it now, by cause. To be read: `latch` and `lift` change it."""

    @property
    def own_status(self) -> Status:
        """Its own status by the table, whatever else holds it."""
        return self._status

    @property
    def stands(self) -> Status:
        """The worst of its own status and of what its latches demand."""
        return worst((self._status, *(latch.status for latch in self.latches.values()))) if self.latches else self._status

    def move(self, move: Move, *, by: str, why: str = "", at: int | None = None, after: Iterable[Record] = ()) -> Status:
        """Make a move of the status table. Raises `WrongStatus` when the table does not have it.

        `after` are the records that led to it: they are posted with the move, all of it or nothing.
        """
        to, change = self.try_move(move, by=by, why=why, at=at)
        self.books.post(*after, *([change] if to is not self._status else ()))
        self._status = to
        return to

    def try_move(self, move: Move, *, by: str, why: str = "", at: int | None = None) -> tuple[Status, Changed]:
        """Where a move would lead, and the record of it. Raises what `move` raises; changes nothing."""
        to = next_status(self._status, move, f"{self._kind} {self._subject}")
        return to, Changed(self.books.time(at), by, self._subject, "status", self._status, to, why)

    def latch(self, cause: Hold, *, by: str, why: str = "", at: int | None = None, until: int | None = None) -> bool:
        """Hold it for a cause, until that is lifted. False, and nothing changes, where it is held for that cause already.

        `until` is the earliest time at which the desk lifts it, by default after the rest that its rule names.
        """
        if cause in self.latches:
            return False
        at = self.books.time(at)
        one = Latch(cause, at, by, why, at + HOLDS[cause].rest_ns if until is None else until)
        self.books.record(Changed(at, by, self._subject, f"latch {cause}", "", str(one.until), why))
        self.latches[cause] = one
        return True

    def lift(self, cause: Hold, *, by: str, human: bool, why: str = "", at: int | None = None) -> bool:
        """Hold it for that cause no more. False where it was not. Raises `WrongStatus` for one who may not, or not yet."""
        one = self.latches.get(cause)
        if one is None:
            return False
        at = self.books.time(at)
        if not one.may_lift(at, human=human):
            lifter = HOLDS[cause].lifted_by
            who = "only a human" if lifter is Lifter.HUMAN else "only the desk itself" if human else "nobody but a human yet: it"
            raise WrongStatus(f"{self._kind} {self._subject} is held by {cause} ({one.why or 'no reason given'}): {who} may lift that")
        self.books.record(Changed(at, by, self._subject, f"latch {cause}", str(one.until), "", why))
        del self.latches[cause]
        return True


@frozen(order=False)
class Slice:
    """A sleeve's part of a position, on a venue that may net it with the parts of others."""

    instrument: Instrument
    qty: Amount
    cost: Amount
    """What opening it cost (below zero: brought), at average cost."""
    margin: Amount
    unsettled: Amount
    realized: Amount
    fees: Amount
    funding: Amount
    """Received, net of paid."""

    @property
    def entry(self) -> Decimal | None:
        """The average price of the open position; None when there is none."""
        return abs(self.cost.decimal / self.qty.decimal) if self.qty.units else None

    @property
    def settled(self) -> Amount:
        """Of what it made net of fees and funding, the part that the venue has settled to cash."""
        return self.realized - self.fees + self.funding - self.unsettled

    def unrealized(self, mark: Mark) -> Amount:
        """The open position at this mark less what it cost, rounded down."""
        return self.instrument.notional(mark.price, self.qty.units, Rounding.FLOOR) - self.cost


_ACTIVE, _TRADING = Status.ACTIVE, Role.TRADING
ALLOCATED, RECLAIMED, SWEPT = "allocate", "reclaim", "sweep"
"""Why coins are between a core vault and a sleeve with a sub-account of its own."""

_BALANCE = frozenset({Role.FREE, Role.HELD, Role.MARGIN, Role.BETWEEN, Role.UNSETTLED, Role.TRADING, Role.CONTRACTS})
"""What a sleeve's balance is the sum of, in its vault's asset."""


def move_together(books: Books, records: Iterable[Record], moves: Iterable[tuple[Sleeve, Move, str]], *, by: str, at: int) -> None:
    """Post records with moves of several sleeves, (sleeve, move, why): all of it or nothing. Raises what `move` raises."""
    tried = [(sleeve, *sleeve.try_move(move, by=by, why=why, at=at)) for sleeve, move, why in moves]
    books.post(*records, *(change for sleeve, to, change in tried if to is not sleeve.own_status))
    for sleeve, to, _ in tried:
        sleeve._status = to


class Sleeve(Stateful):
    """One strategy's own money inside a core vault. Made by `CoreVault.sleeve`; every figure is read from the ledger.

    `account` is the sub-account at the venue that its coins lie in; None for a slice of the wallet's main account.
    """

    def __init__(self, vault: CoreVault, name: str, policy: ProfitPolicy, account: int | None = None) -> None:
        super().__init__(vault.books, "sleeve", name, Status.STAND_BY)
        self.vault = vault
        self.name = name
        self.policy = policy
        self.account = account
        self._free = Account(name, Role.FREE)
        self._pending = Account(vault.owner, Role.IDLE, name)
        self._trading: dict[str, Account] = {}
        self._cells: dict[tuple[str, str], _Cell] = {}
        """By instrument and asset code, its TRADING accounts; under no instrument, FREE."""
        self.losing: Callable[[], int] | None = None
        """What its contracts have lost so far, open ones at the latest prices; set by the desk, which knows them."""

    # -- in units, for the desk ---------------------------------------------------------------------------------------

    def free_units(self, asset: Asset | None = None) -> int:
        code = self.vault.asset.code if asset is None else asset.code
        cell = self._cells.get(("", code))
        if cell is None:
            cell = self.vault.books.ledger.cell(self._free, code)
            if cell is None:
                return 0
            self._cells["", code] = cell
        return cell.units

    def pending_units(self) -> int:
        return self.vault.books.ledger.units(self._pending, self.vault.asset)

    def held_units(self, asset: Asset | None = None) -> int:
        return self.vault.books.ledger.total(self.name, Role.HELD, asset or self.vault.asset)

    def _trading_account(self, instrument: Instrument) -> Account:
        account = self._trading.get(instrument.symbol)
        if account is None:
            account = self._trading[instrument.symbol] = Account(self.name, Role.TRADING, instrument.symbol)
        return account

    def position_units(self, instrument: Instrument) -> int:
        """Base units owned through trades in this instrument."""
        return -self._traded(instrument, instrument.base.code)

    def open_cost_units(self, instrument: Instrument) -> int:
        """What the open position cost, in quote units."""
        return self._traded(instrument, instrument.quote.code)

    def _traded(self, instrument: Instrument, code: str) -> int:
        key = (instrument.symbol, code)
        cell = self._cells.get(key)
        if cell is None:
            cell = self.vault.books.ledger.cell(self._trading_account(instrument), code)
            if cell is None:
                return 0
            self._cells[key] = cell
        return cell.units

    def margin_units(self, instrument: Instrument | None = None) -> int:
        """Set aside behind contracts: of one instrument, or of all."""
        if instrument is None:
            return self.vault.books.ledger.total(self.name, Role.MARGIN, self.vault.asset)
        return self.vault.books.ledger.units(Account(self.name, Role.MARGIN, instrument.symbol), instrument.quote)

    def unsettled_units(self, instrument: Instrument | None = None) -> int:
        """What the venue has not settled yet: of one perpetual, or of all."""
        if instrument is None:
            return self.vault.books.ledger.total(self.name, Role.UNSETTLED, self.vault.asset)
        return self.vault.books.ledger.units(Account(self.name, Role.UNSETTLED, instrument.symbol), instrument.quote)

    def unsettled_parts(self) -> tuple[int, int]:
        """What it is owed by the venue for some contracts, and what it owes for others (below zero): never set off."""
        code = self.vault.asset.code
        parts = [u for account, asset, u in self.vault.books.ledger.cells(self.name) if account[1] is Role.UNSETTLED and asset == code]
        return sum(u for u in parts if u > 0), sum(u for u in parts if u < 0)

    def loose_units(self) -> int:
        """Free coins less what it owes the venue for losses that are not settled yet, or not even realized; at least 0."""
        lost = 0 if self.losing is None else self.losing()
        return max(0, self.free_units() - max(lost, -self.unsettled_parts()[1]))

    def cost_units(self) -> int:
        """What its open positions cost in coins; contracts cost nothing."""
        ledger, asset = self.vault.books.ledger, self.vault.asset
        return ledger.total(self.name, Role.TRADING, asset) + ledger.total(self.name, Role.CONTRACTS, asset)

    def allocation_units(self) -> int:
        ledger, asset = self.vault.books.ledger, self.vault.asset
        return ledger.flow(self.name, EntryKind.ALLOCATE, asset) + ledger.flow(self.name, EntryKind.RECLAIM, asset)

    def balance_units(self) -> int:
        units, code = 0, self.vault.asset.code
        for account, asset, balance in self.vault.books.ledger.cells(self.name):
            if asset == code and account[1] in _BALANCE:
                units += balance
        return units

    def high_water_units(self) -> int:
        return self.vault.books.ledger.units(Account(self.name, Role.HIGH_WATER), self.vault.asset)

    def next_sweep(self) -> Sweep:
        """What its policy would sweep if it were flat now. A gain that the venue has not settled yet is no cash to sweep."""
        leaving = self.between_units(SWEPT) if self.apart else 0
        settled = self.balance_units() - self.unsettled_parts()[0] - leaving
        kept = self.high_water_units() + self.policy.kept(leaving)
        return self.policy.sweep(settled, self.allocation_units(), kept, self.loose_units(), self.vault.asset)

    @property
    def apart(self) -> bool:
        """Whether its coins lie in a sub-account other than the core vault's own: they have to be moved there and back."""
        return bool(self.account)

    def between_units(self, why: str = "") -> int:
        """Coins that are not in its sub-account, or are to leave it: for one reason, or for all (`ALLOCATED`, `RECLAIMED`, `SWEPT`)."""
        cells, code = self.vault.books.ledger.cells(self.name), self.asset.code
        roles = [(account.of, units) for account, asset, units in cells if account.role is Role.BETWEEN and asset == code]
        return sum(units for of, units in roles if not why or of.partition(":")[0] == why)

    # -- in amounts, for people ---------------------------------------------------------------------------------------

    def _amount(self, units: int) -> Amount:
        return Amount(units, self.vault.asset)

    @property
    def asset(self) -> Asset:
        return self.vault.asset

    @property
    def status(self) -> Status:
        """The strictest of its own status, of what holds it, and of its vault's."""
        vault = self.vault
        if self._status is _ACTIVE and not self.latches and vault._status is _ACTIVE and not vault.latches:
            over = vault.over
            return _ACTIVE if over is None or (over._status is _ACTIVE and not over.latches) else over.stands
        return worse(self.stands, self.vault.status)

    @property
    def allocation(self) -> Amount:
        """What the core vault put in, net of what it reclaimed; its own profits and losses do not change it."""
        return self._amount(self.allocation_units())

    @property
    def pending(self) -> Amount:
        """Allocated while a position was open: set aside in the core vault, arrives with the next buy."""
        return self._amount(self.pending_units())

    @property
    def free(self) -> Amount:
        """What it may use for an order now."""
        return self._amount(self.free_units())

    @property
    def between(self) -> Amount:
        """On its way to or from its sub-account, or to be sent on it: not to be traded with."""
        return self._amount(self.between_units())

    @property
    def held(self) -> Amount:
        """Set aside for its open orders."""
        return self._amount(self.held_units())

    @property
    def margin(self) -> Amount:
        """Set aside behind its open contracts."""
        return self._amount(self.margin_units())

    @property
    def unsettled(self) -> Amount:
        """Profit, fees and funding of contracts that the venue has not settled to cash yet."""
        return self._amount(self.unsettled_units())

    @property
    def deployed(self) -> Amount:
        """What its open positions cost, and what is set aside behind open contracts."""
        return self._amount(self.cost_units() + self.margin_units())

    @property
    def balance(self) -> Amount:
        """Free, held, deployed, unsettled and on its way: its money with open positions at cost."""
        return self._amount(self.balance_units())

    @property
    def realized(self) -> Amount:
        """Profit of closed trades, before fees."""
        return self._amount(-self.vault.books.ledger.total(self.name, Role.PNL, self.asset))

    @property
    def fees(self) -> Amount:
        """Fees paid in, or booked at their value in, the vault's asset."""
        return self._amount(self.vault.books.ledger.total(self.name, Role.FEES, self.asset))

    @property
    def funding(self) -> Amount:
        """Funding received, net of funding paid."""
        return self._amount(-self.vault.books.ledger.total(self.name, Role.FUNDING, self.asset))

    @property
    def returned(self) -> Amount:
        """Profit swept back to Tradeable so far."""
        return self._amount(-self.vault.books.ledger.flow(self.name, EntryKind.SWEEP, self.asset))

    def slice(self, instrument: Instrument) -> Slice:
        """Its part of a position in this instrument, with what that part has made and paid so far."""
        units, asset = self.vault.books.ledger.units, instrument.quote

        def of(role: Role) -> Amount:
            return Amount(units(Account(self.name, role, instrument.symbol), asset), asset)

        cost = Amount(self.open_cost_units(instrument), asset)
        return Slice(
            instrument,
            self.position(instrument),
            cost,
            of(Role.MARGIN),
            of(Role.UNSETTLED),
            -of(Role.PNL),
            of(Role.FEES),
            -of(Role.FUNDING),
        )

    def position(self, instrument: Instrument) -> Amount:
        """Base coins owned through trades in this instrument; below zero for contracts sold short."""
        return Amount(self.position_units(instrument), instrument.base)

    def positions(self) -> dict[Instrument, Amount]:
        """Every open position, dust included."""
        return {market: Amount(units, market.base) for market, units in self._positions()}

    def _positions(self) -> list[tuple[Instrument, int]]:
        books = self.vault.books
        found = []
        for (_, role, of), code, units in books.ledger.cells(self.name):
            if role is _TRADING and units:
                instrument = books.instruments[of]
                if code == instrument.base.code:
                    found.append((instrument, -units))
        return found

    def kept(self, coin: Asset) -> list[tuple[Instrument, int]]:
        """Base units of a coin by the spot market under which they stand: where it was bought."""
        known = self.vault.books.instruments.values()
        markets = [market for market in known if market.contract is None and market.base == coin and market.quote == self.asset]
        return [(market, qty) for market in markets if (qty := self.position_units(market))]

    def home(self, coin: Asset) -> Instrument | None:
        """The spot market, quoted in its vault's asset, under which a coin stands that a trade for another coin brought.

        One where it has some already, else the first that the books know; None where they know none.
        """
        kept = self.kept(coin)
        if kept:
            return kept[0][0]
        known = self.vault.books.instruments.values()
        return next((market for market in known if market.contract is None and market.base == coin and market.quote == self.asset), None)

    def contracts(self) -> dict[Instrument, int]:
        """Base units of its open contracts, by instrument."""
        return {market: units for market, units in self._positions() if market.contract is not None}

    def is_flat(self) -> bool:
        """No position that could be sold: what is left, if anything, is less than the venue's least order."""
        return all(abs(units) < max(market.lot_units, market.min_qty_units) for market, units in self._positions())

    def unrealized(self, marks: Iterable[Mark] | Mapping[str, Mark]) -> Amount | None:
        """Open positions at these marks less what they cost; None ("unknown") when one of them has no mark.

        The value of a position is rounded down.
        """
        by_symbol = marks if isinstance(marks, Mapping) else {mark.instrument.symbol: mark for mark in marks}
        units = 0
        for market, amount in self.positions().items():
            mark = by_symbol.get(market.symbol)
            if mark is None:
                return None
            units += market.cost(mark.price, amount.units, Rounding.FLOOR) - self.open_cost_units(market)
        return self._amount(units)

    def equity(self, marks: Iterable[Mark] | Mapping[str, Mark]) -> Amount | None:
        """Its balance with open positions at these marks; None ("unknown") when one of them has no mark."""
        unrealized = self.unrealized(marks)
        return None if unrealized is None else self.balance + unrealized

    # -- commands -----------------------------------------------------------------------------------------------------

    def pause(self, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """No new buys; an open position waits for its exit. Buys at the venue stay there: `Desk.pause` cancels them too."""
        self.move(Move.PAUSE, by=by, why=why, at=at)

    def resume(self, *, by: str = OWNER, why: str = "", at: int | None = None) -> None:
        """Take a paused sleeve back to work. One that the books stopped needs `clear`."""
        self.move(Move.RESUME, by=by, why=why, at=at)

    def clear(self, *, by: str, why: str, at: int | None = None) -> None:
        """A human has looked at what made it close-only, and says by name and reason that it may trade again."""
        if not why:
            raise VaultError(f"clearing {self.name} needs a reason")
        self.check_not_overdrawn()
        self.move(Move.CLEAR, by=by, why=why, at=at)

    def check_not_overdrawn(self) -> None:
        """Raise `NotEnough` while an account of this sleeve is below zero: it must be made good before risk is taken."""
        for account, code, units in self.vault.books.ledger.cells(self.name):
            if account.role is Role.FREE and units < 0:
                short = Amount(units, self.vault.books.ledger.asset(code))
                raise NotEnough(f"{self.name} is overdrawn, {short} free: allocate to it, or buy back, before it is cleared", short)

    def __repr__(self) -> str:
        return f"Sleeve({self.name!r}, {self.policy.name}, {self.status}, balance {self.balance}, free {self.free})"

    def _figures(self) -> dict[str, Amount]:
        """What it has and has made, by name, as people are shown it: what is nothing and seldom more is left out."""
        always = {
            "allocation": self.allocation,
            "balance": self.balance,
            "free": self.free,
            "held for orders": self.held,
            "deployed": self.deployed,
            "realized": self.realized,
            "fees": self.fees,
            "funding received": self.funding,
            "returned": self.returned,
        }
        seldom = {"of deployed, margin": self.margin, "unsettled": self.unsettled, "on its way": self.between, "set aside": self.pending}
        return always | {name: amount for name, amount in seldom.items() if amount.units}

    def _repr_html_(self) -> str:
        return block(
            f"Sleeve {self.name}: {self.policy.name}, {self.status}",
            figures(self._figures()),
            *self._positions_html(),
            notes=self._notes(),
        )

    def _positions_html(self) -> list[str]:
        rows = []
        for market, amount in self.positions().items():
            side = "contracts " * (market.contract is not None) + ("long" if amount.units > 0 else "short")
            rows.append([market.symbol, side, abs(amount), self._amount(self.open_cost_units(market))])
        return [table(["open position", "side", "size", "cost"], rows, words=2)] if rows else []

    def _notes(self) -> list[str]:
        """What a reader of its figures has to know besides."""
        held = [f"{self.name} is held by {cause}: {one.why or 'no reason given'}" for cause, one in self.latches.items()]
        at_cost = ["Open positions count at what they cost; desk.inventory() values them at the latest prices."]
        return [*held, *(at_cost if self.positions() else [])]
