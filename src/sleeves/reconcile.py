"""The books held against the venue: every difference gets a name, stands in SUSPENSE, and is shown.

    ours      all coins of the wallet's owners, what stands in SUSPENSE included
    theirs    what the venue says it holds
    residual  the difference, of every asset that either side has

A residual is named by the lines of the venue's own ledger that the books do not have; what no line explains is unknown.
It is never guessed into a sleeve, and never absorbed: a human adopts it, by name and reason, to a core vault or to a
sleeve. While more than the tolerance of an asset stands in SUSPENSE nothing takes new risk in that asset; exits go on.

How the venue is asked is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from . import booking, contracts
from .books import Books
from .errors import NotEnough, VaultError
from .facts import CashFlow, FlowKind, Transferred
from .ledger import Account, Entry, Role
from .money import Amount, AmountLike, Asset
from .netting import missing
from .orders import Fill, Position
from .records import Alert, Cause, Changed, Level, Reconciled, Record, Residual
from .sleeve import Sleeve
from .trades import entry_of
from .vault import CoreVault, netted

__all__ = [
    "Discrepancy",
    "Line",
    "Misplaced",
    "Reconciliation",
    "adopt",
    "adopt_trade",
    "adoptable",
    "check_balances",
    "check_holdings",
    "check_legs",
    "check_told",
    "compare_holdings",
    "compare_positions",
    "reconcile",
    "transfers_in",
]

_CAUSES: Mapping[FlowKind, Cause] = {
    FlowKind.TRADE: Cause.MANUAL_TRADE,
    FlowKind.FEE: Cause.FEE,
    FlowKind.DEPOSIT: Cause.DEPOSIT,
    FlowKind.WITHDRAWAL: Cause.WITHDRAWAL,
    FlowKind.FUNDING: Cause.FUNDING,
    FlowKind.SETTLEMENT: Cause.SETTLEMENT,
    FlowKind.LIQUIDATION: Cause.LIQUIDATION,
    FlowKind.REWARD: Cause.REWARD,
    FlowKind.EARN: Cause.EARN,
    FlowKind.DUST: Cause.DUST,
    FlowKind.INTEREST: Cause.INTEREST,
    FlowKind.OTHER: Cause.UNKNOWN,
}


@frozen(order=False)
class Line:
    """One asset: what the venue holds, what the books had, and what was booked to SUSPENSE because of it."""

    asset: Asset
    theirs: Amount
    ours: Amount
    found: tuple[Residual, ...] = ()
    standing: tuple[Residual, ...] = ()
    """All residuals of this asset that nobody has adopted yet, those just found included."""


@frozen(order=False)
class Discrepancy:
    """Contracts that the venue holds otherwise than the slices of all sleeves say: quantity, or the money side of it."""

    symbol: str
    ours: tuple[int, int]
    theirs: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"{self.symbol}: slices sum to {self.ours[0]} units for {self.ours[1]}, the venue holds {self.theirs[0]} for {self.theirs[1]}"
        )


@frozen(order=False)
class Misplaced:
    """A sub-account that holds more of a coin, or less, than those whose coins lie there have; on its way is either way.

    The account as a whole may well have what the books say.
    """

    account: int
    theirs: Amount
    least: Amount
    most: Amount

    @property
    def off(self) -> Amount:
        """How much more lies there than there may; below zero: less."""
        return self.theirs - (self.most if self.theirs.units > self.most.units else self.least)

    def __str__(self) -> str:
        ours = f"{self.most}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"sub-account {self.account} holds {self.theirs}, the books say {ours}"


@frozen(order=False, repr=False)
class Reconciliation:
    """What a look at the venue brought: a line for each asset, the contracts that do not agree, and coins that lie elsewhere."""

    at: int
    wallet: str
    lines: tuple[Line, ...]
    contracts: tuple[Discrepancy, ...] = ()
    misplaced: tuple[Misplaced, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing stands unexplained, and everything lies where it should."""
        return not self.contracts and not self.misplaced and not any(line.standing for line in self.lines)

    @property
    def found(self) -> tuple[Residual, ...]:
        """What was not known before."""
        return tuple(residual for line in self.lines for residual in line.found)

    @property
    def standing(self) -> tuple[Residual, ...]:
        """All that nobody has adopted yet."""
        return tuple(residual for line in self.lines for residual in line.standing)

    def __str__(self) -> str:
        rows = [("asset", "venue holds", "books had", "in suspense", "cause")]
        for line in self.lines:
            first = (line.asset.code, line.theirs.text, line.ours.text)
            rows += [(*(first if n == 0 else ("", "", "")), r.amount.text, str(r.cause)) for n, r in enumerate(line.standing)]
            if not line.standing:
                rows.append((*first, "", ""))
        wide = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *map(str, self.contracts), *map(str, self.misplaced)])

    __repr__ = __str__


def reconcile(
    vaults: Sequence[CoreVault],
    wallet: str,
    balances: Mapping[str, Amount],
    flows: Iterable[CashFlow],
    *,
    by: str,
    at: int,
    lying: Mapping[tuple[int, str], int] | None = None,
) -> Reconciliation:
    """Hold the books of a wallet against what its venue says; book what differs to SUSPENSE, by cause, all of it or nothing.

    `flows` are the lines of the venue's own ledger since the books were opened, or since an earlier look; lines that the
    books have, or that explained something before, are passed over. A deposit or withdrawal in a vault's own asset is a
    fact and is booked as one before this is called (`transfers_in`), and what the venue is said to say was checked
    (`check_told`, `check_balances`). `lying` is by sub-account and coin how much more lies there than the books say, or less (below
    zero), where that is known: interest of one may cancel out with that of another. Raises `VaultError` for a wallet that no vault is of.
    """
    own = _of(vaults, wallet)
    books = own[0].books
    ours = books.coins(wallet)
    lines: list[Line] = []
    records: list[Record] = []
    maker = _Maker(books, by, at)
    seen: list[tuple[CoreVault, dict[str, int]]] = []
    unbooked = _unbooked(books, flows)
    assets = dict.fromkeys([*ours, *(amount.asset for amount in balances.values())])
    for asset in sorted(assets, key=lambda one: one.code):
        theirs = balances.get(asset.code, asset.zero)
        had = Amount(ours.get(asset, 0), asset)
        vault = next((vault for vault in own if vault.asset == asset), None)
        home = own[0] if vault is None else vault
        explaining = [line for line in unbooked if line.amount.asset == asset and (vault is None or not vault.awaits(line))]
        found: list[Residual] = []
        rest, earned = maker.by_lines(found, records, home, theirs.units - had.units, explaining, lying or {})
        if vault is not None and rest:
            known, more, matched = vault.of_transfers(rest, at=at, by=by)
            records += more
            rest -= known
            seen.append((vault, matched))
        for line in earned:
            maker.interest(found, records, home, line)
        maker.rest(found, records, home, asset, rest)
        lines.append(Line(asset, theirs, had, tuple(found)))
    text = {line.asset.code: (line.theirs.text, _after(line, records).text) for line in lines}
    books.post(*records, Reconciled(at, by, wallet, text))
    books.reconciled[wallet] = at
    for vault, matched in seen:
        vault.see(matched)
    owners = {vault.owner for vault in own}
    standing = [one for one in books.residuals.values() if one.vault in owners]

    def whole(line: Line) -> Line:
        return evolve(line, standing=tuple(one for one in standing if one.amount.asset == line.asset))

    return Reconciliation(at, wallet, tuple(map(whole, lines)))


def _of(vaults: Sequence[CoreVault], wallet: str) -> list[CoreVault]:
    own = [vault for vault in vaults if vault.wallet == wallet]
    if not own:
        raise VaultError(f"no vault here is of a wallet {wallet!r}: {', '.join(sorted({vault.wallet for vault in vaults}))}")
    return own


def check_told(balances: object, flows: object, positions: object) -> None:
    """What a venue is said to say is of the right kinds. Raises `VaultError`."""
    for what, given, kind in (("balances", balances, Amount), ("positions", positions or {}, Position)):
        if not isinstance(given, Mapping) or not all(isinstance(one, kind) for one in given.values()):
            raise VaultError(f"{what} are {kind.__name__}s by name, not {given!r}")
    if not isinstance(flows, (list, tuple)) or not all(isinstance(line, CashFlow) for line in flows):
        raise VaultError(f"flows are CashFlows, not {flows!r}")


def check_balances(vaults: Sequence[CoreVault], wallet: str, balances: Mapping[str, Amount]) -> None:
    """Balances are Amounts by the code of their asset, counted as here. Raises `VaultError`."""
    scales = {asset.code: asset for asset in _of(vaults, wallet)[0].books.coins(wallet)}
    for code, amount in balances.items():
        if not isinstance(amount, Amount) or amount.asset.code != code:
            raise VaultError(f"balances are Amounts by the code of their asset, not {amount!r} by {code!r}")
        if scales.get(code, amount.asset) != amount.asset:
            raise VaultError(f"{code} is counted here with {scales[code].scale} decimal places, by the venue with {amount.asset.scale}")


def _after(line: Line, records: Iterable[Record]) -> Amount:
    """What the books have of an asset once these records are posted."""
    units = line.ours.units
    for record in records:
        for posting in getattr(record, "postings", ()):
            if posting.asset == line.asset and posting.account.role is not Role.WORLD and posting.account.role not in _MARKS:
                units += posting.units
    return Amount(units, line.asset)


_MARKS = frozenset({Role.TRADEABLE, Role.MEMO, Role.HIGH_WATER})


def transfers_in(vaults: Sequence[CoreVault], wallet: str, flows: Iterable[CashFlow]) -> list[Transferred]:
    """Lines of the venue's ledger that are deposits and withdrawals of a vault's own asset, as facts, but those known."""
    own = _of(vaults, wallet)
    kinds = (FlowKind.DEPOSIT, FlowKind.WITHDRAWAL)
    return [
        Transferred(line.at, line.amount, line.id, line.venue)
        for line in _unbooked(own[0].books, flows)
        if line.kind in kinds and not line.ref and any(vault.asset == line.amount.asset for vault in own)
    ]


def _unbooked(books: Books, flows: Iterable[CashFlow]) -> list[CashFlow]:
    """Lines that follow from no fact that is booked, and that no residual, standing or adopted, was named by."""
    found = []
    for line in flows:
        asset_in = Transferred(line.at, line.amount, line.id, line.venue) if line.amount.units else None
        booked = (line.ref and books.fact(line.ref) is not None) or (asset_in is not None and books.fact(asset_in.key) is not None)
        if line.amount.units and not booked and line.key not in books.explained:
            found.append(line)
    return sorted(found, key=lambda line: (line.at, line.id))


class _Maker:
    """Makes residuals and the entries that book them, with ids of their own."""

    def __init__(self, books: Books, by: str, at: int) -> None:
        self.books = books
        self.by = by
        self.at = at
        self.made = 0

    def by_lines(
        self,
        found: list[Residual],
        records: list[Record],
        vault: CoreVault,
        rest: int,
        lines: Sequence[CashFlow],
        lying: Mapping[tuple[int, str], int],
    ) -> tuple[int, list[CashFlow]]:
        """Name a difference by lines of the venue's own ledger; returns what they do not explain, and those of interest, see `interest`.

        All of them where they bring the books nearer to the venue, else each that does, in their order: a line may be of
        something that was found, and adopted, before it was written.
        """
        earned: list[CashFlow] = []
        all_of_them = abs(rest - sum(line.amount.units for line in lines)) < abs(rest)
        if not all_of_them:
            apart = _apart(vault, lines, lying)
            after = rest - sum(line.amount.units for line in apart)
            if abs(after) <= abs(rest):
                earned, rest, lines = apart, after, [line for line in lines if line not in apart]
        for line in lines if rest else ():
            if all_of_them or abs(rest - line.amount.units) < abs(rest):
                rest -= line.amount.units
                if line.kind is FlowKind.INTEREST and line.amount.asset == vault.asset:
                    earned.append(line)
                    continue
                by_hand = line.ref in self.books.quarantine
                cause = Cause.MANUAL_TRADE if by_hand and line.kind is FlowKind.FEE else _CAUSES[line.kind]
                records += self._book(found, vault, line.amount, cause, line.ref, line.key, _note(line))
        return rest, earned

    def interest(self, found: list[Residual], records: list[Record], vault: CoreVault, line: CashFlow) -> None:
        """Interest is booked at once to those whose coins earned it: the sleeves of that sub-account, else the core vault.

        What they cannot pay of interest on what was borrowed stands in SUSPENSE, as everything does that nobody can bear. What
        they can pay is measured with all that this look has led to so far.
        """
        named: list[Residual] = []
        one, suspended, alert = self._book(named, vault, line.amount, Cause.INTEREST, line.ref, line.key, _note(line))
        units, of, ref, at, by = line.amount.units, named[0].of, named[0].id, self.at, self.by
        own = [sleeve for sleeve in vault.sleeves.values() if sleeve.apart and sleeve.account == line.account]
        if own:
            there = [max(0, sum(_units(self.books, records, sleeve.name, role, vault.asset) for role in _EARN)) for sleeve in own]
            parts = contracts.share(abs(units), there if any(there) else [1] * len(own))
            loose = [sleeve.loose_units() + _change(records, sleeve.name, Role.FREE, vault.asset) for sleeve in own]
            bearable = units > 0 or all(part <= max(0, has) for part, has in zip(parts, loose, strict=True))
            sign = 1 if units > 0 else -1
            booked: list[Record] = [
                booking.gain(
                    vault.owner, sleeve.name, vault.asset, of, sign * part, ref=ref, at=at, by=by, why="interest", cause="interest"
                )
                for sleeve, part in zip(own, parts, strict=True)
                if part
            ]
        else:
            bearable = units > 0 or -units <= vault.idle_units() + _change(records, vault.owner, Role.IDLE, vault.asset)
            booked = [booking.take_in(vault.owner, vault.owner, vault.asset, of, units, 0, ref=ref, at=at, by=by, why="interest")]
        records += [one, suspended, *(booked if bearable else [alert])]
        if not bearable:
            found.append(named[0])

    def rest(self, found: list[Residual], records: list[Record], vault: CoreVault, asset: Asset, rest: int) -> None:
        """What nothing explains takes back what nothing explained before; what is left of it is unknown, or dust."""
        for one in list(self.books.residuals.values()) if rest else ():
            if one.amount.asset != asset or one.vault != vault.owner or one.line or one.cause not in (Cause.UNKNOWN, Cause.DUST):
                continue
            there = self.books.ledger.units(Account(one.vault, Role.SUSPENSE, one.of), asset)
            if there * rest < 0:
                part = max(-there, rest) if rest < 0 else min(-there, rest)
                why = "explained since"
                records.append(booking.suspend(one.vault, asset, one.of, part, ref=one.id, at=self.at, by=self.by, why=why))
                rest -= part
        if rest:
            dust = any(market.base == asset and abs(rest) < market.lot_units for market in self.books.instruments.values())
            records += self._book(found, vault, Amount(rest, asset), Cause.DUST if dust else Cause.UNKNOWN, "", "", "")

    def _book(self, found: list[Residual], vault: CoreVault, amount: Amount, cause: Cause, ref: str, key: str, note: str) -> list[Record]:
        self.made += 1
        one = Residual(self.at, f"r{self.books.found + self.made}", vault.owner, amount, cause, ref, key, note)
        found.append(one)
        text = f"the venue holds {amount} that the books do not know ({cause}{', ' + note if note else ''})"
        if amount.units < 0:
            text = f"the venue lacks {-amount} of what the books say ({cause}{', ' + note if note else ''})"
        return [
            one,
            booking.suspend(vault.owner, amount.asset, one.of, amount.units, ref=one.id, at=self.at, by=self.by, why=str(cause)),
            Alert(self.at, Level.WARNING, vault.owner, "residual_found", f"{one.id}: {text}"),
        ]


def _apart(vault: CoreVault, lines: Sequence[CashFlow], lying: Mapping[tuple[int, str], int]) -> list[CashFlow]:
    """Lines of interest that bring the sub-accounts which they name nearer to the venue, for each all of them together.

    What one earned and another owed may be nothing for the account as a whole.
    """
    numbers = {0, *(sleeve.account for sleeve in vault.sleeves.values() if sleeve.apart)}
    by_account: dict[int, list[CashFlow]] = {}
    for line in lines:
        if line.kind is FlowKind.INTEREST and line.amount.asset == vault.asset and (line.account or 0) in numbers:
            by_account.setdefault(line.account or 0, []).append(line)
    nearer = []
    for account, some in by_account.items():
        off = lying.get((account, vault.asset.code), 0)
        if abs(off - sum(line.amount.units for line in some)) < abs(off):
            nearer += some
    return nearer


_EARN = (Role.FREE, Role.HELD, Role.MARGIN)
"""Coins of a sleeve that lie in its sub-account."""


def _note(line: CashFlow) -> str:
    return line.ref if line.ref else f"{line.venue} {line.id}".strip()


def _units(books: Books, records: Iterable[Record], owner: str, role: Role, asset: Asset) -> int:
    """What an owner has in a role, once these records are posted."""
    return books.ledger.total(owner, role, asset) + _change(records, owner, role, asset)


def _change(records: Iterable[Record], owner: str, role: Role, asset: Asset) -> int:
    """What these records do to that, but for what is set aside for others."""
    return sum(
        posting.units
        for record in records
        if isinstance(record, Entry)
        for posting in record.postings
        if posting.account.owner == owner and posting.account.role is role and posting.asset == asset
        if role is not Role.IDLE or not posting.account.of
    )


def compare_positions(vaults: Sequence[CoreVault], positions: Mapping[str, Position]) -> tuple[Discrepancy, ...]:
    """The contracts whose slices do not sum to what the venue holds."""
    ours = netted(vaults)
    found = []
    for symbol in sorted(ours.keys() | positions.keys()):
        theirs = (positions[symbol].qty, positions[symbol].money) if symbol in positions else (0, 0)
        if ours.get(symbol, (0, 0)) != theirs:
            found.append(Discrepancy(symbol, ours.get(symbol, (0, 0)), theirs))
    return tuple(found)


def check_holdings(holdings: object, balances: Mapping[str, Amount] | None = None) -> None:
    """Coins by sub-account, counted as in the balances of the whole, where these are known, and summing to them. Raises `VaultError`."""
    rule = "holdings are Amounts by the code of their asset, by sub-account"
    if not isinstance(holdings, Mapping):
        raise VaultError(f"{rule}, not {holdings!r}")
    sums: dict[str, int] = {}
    for account, coins in holdings.items():
        if type(account) is not int or account < 0 or not isinstance(coins, Mapping):
            raise VaultError(f"{rule}, not {coins!r} by {account!r}")
        for code, amount in coins.items():
            if not isinstance(amount, Amount) or amount.asset.code != code:
                raise VaultError(f"{rule}, not {amount!r} by {code!r}")
            if balances is not None and code in balances and balances[code].asset != amount.asset:
                raise VaultError(
                    f"{code} has {balances[code].asset.scale} decimal places in all, {amount.asset.scale} in sub-account {account}"
                )
            sums[code] = sums.get(code, 0) + amount.units
    if balances is None:
        return
    for code in sums.keys() | balances.keys():
        whole = balances[code].units if code in balances else 0
        if sums.get(code, 0) != whole:
            raise VaultError(f"the sub-accounts hold {sums.get(code, 0)} units of {code} together, the account {whole}: of two instants")


def compare_holdings(
    expected: Mapping[tuple[int, str], tuple[int, int]], holdings: Mapping[int, Mapping[str, Amount]], books: Books, wallet: str
) -> tuple[Misplaced, ...]:
    """Where coins lie elsewhere than the books say. What stands in SUSPENSE, wherever that lies, is taken for the main account's."""
    theirs = {(account, code): amount for account, coins in holdings.items() for code, amount in coins.items()}
    suspended = _suspended(books, wallet)
    found = []
    for account, code in sorted(expected.keys() | theirs.keys()):
        least, most = expected.get((account, code), (0, 0))
        there = theirs.get((account, code))
        asset = books.ledger.asset(code) if there is None else there.asset
        if account == 0:
            below, above = suspended.get(code, (0, 0))
            least, most = least + below, most + above
        if not least <= (0 if there is None else there.units) <= most:
            found.append(Misplaced(account, asset.zero if there is None else there, Amount(least, asset), Amount(most, asset)))
    return tuple(found)


def _suspended(books: Books, wallet: str) -> dict[str, tuple[int, int]]:
    """By coin, all that is missing in SUSPENSE of a wallet (below zero), and all that is there too much."""
    found: dict[str, tuple[int, int]] = {}
    for owner, where in books.wallets.items():
        for account, code, units in books.ledger.cells(owner) if where == wallet else ():
            if account.role is Role.SUSPENSE:
                below, above = found.get(code, (0, 0))
                found[code] = (below + min(0, units), above + max(0, units))
    return found


# -- adopting ----------------------------------------------------------------------------------------------------------


def adopt(
    books: Books, one: Residual, to: CoreVault | Sleeve, vault: CoreVault, value: AmountLike | None, *, by: str, why: str, at: int
) -> None:
    """Book a residual, that is no trade, where a human says; see `Desk.adopt`. `vault` is the one that it stands in."""
    asset = one.amount.asset
    home = to if isinstance(to, CoreVault) else to.vault
    if home.wallet != vault.wallet:
        raise VaultError(f"{one} lies in wallet {vault.wallet}: {home.owner} and its sleeves have another")
    units = books.ledger.units(Account(one.vault, Role.SUSPENSE, one.of), asset)
    if isinstance(to, CoreVault):
        if to.asset != asset:
            raise VaultError(f"{one} is no coin of {to.owner}: a core vault adopts its own asset")
        idle, reserved = to.idle_units(), to.reserve_units()
        if -units > idle + reserved:
            loose = Amount(idle + reserved, asset)
            raise NotEnough(f"{to.owner} cannot bear {one}: only {loose} is idle or in reserve", loose)
        from_reserve = max(0, -units - idle)
        books.post(booking.take_in(one.vault, to.owner, asset, one.of, units, from_reserve, ref=one.id, at=at, by=by, why=why))
    elif to.asset == asset:
        if -units > to.loose_units():
            raise NotEnough(f"{to.name} cannot bear {one}: only {to.free} is free there", to.free)
        books.post(booking.gain(one.vault, to.name, asset, one.of, units, ref=one.id, at=at, by=by, why=why))
    elif to.free_units(asset) < 0:
        books.post(_cover(books, one, units, to, value, by=by, why=why, at=at))
    else:
        books.post(_coins(one, units, to, value, by=by, why=why, at=at))


def _coins(one: Residual, units: int, to: Sleeve, value: AmountLike | None, *, by: str, why: str, at: int) -> Entry:
    """Coins that a sleeve trades were found, at what they are worth, or are gone, with what they had cost."""
    asset = one.amount.asset
    market = next((m for m in to.positions() if m.base == asset and m.quote == to.asset and m.contract is None), None)
    if market is None:
        hint = f"a core vault of {asset} may adopt it, or a sleeve the trade that it is of"
        raise VaultError(f"{one} is no coin of {to.name}, which is kept in {to.asset} and holds no {asset}: {hint}")
    if units < 0:
        if -units > to.free_units(asset):
            free = Amount(to.free_units(asset), asset)
            raise NotEnough(f"{to.name} cannot bear {one}: only {free} of its coins are in no order", free)
        cost = -booking.released_cost(to.open_cost_units(market), to.position_units(market), -units)
    elif value is None:
        raise VaultError(f"{one} adds to what {to.name} holds of {market}: say by value= what it is worth in {to.asset}, or 0")
    else:
        cost = to.asset(value).units
        if cost < 0:
            raise VaultError(f"{one} cannot be worth {to.asset(value)}")
    return booking.adopt_coins(one.vault, to.name, market, one.of, units, cost, ref=one.id, at=at, by=by, why=why)


def _cover(books: Books, one: Residual, units: int, to: Sleeve, value: AmountLike | None, *, by: str, why: str, at: int) -> Entry:
    """Coins of a residual stand for what a sleeve lacks of them, and the sleeve pays what they are worth."""
    asset = one.amount.asset
    lacks = -to.free_units(asset)
    if units <= 0:
        raise VaultError(f"{to.name} lacks {asset} itself: {one} would make that worse")
    if value is None:
        raise VaultError(
            f"{to.name} lacks {Amount(lacks, asset)}, and {one} may stand for it: say by value= what that is worth in {to.asset}"
        )
    worth, loose = to.asset(value).units, to.loose_units()
    if worth < 0 or worth > loose:
        free = Amount(loose, to.asset)
        raise NotEnough(f"{to.name} cannot pay {Amount(worth, to.asset)} for {one}: {free} is free there", free)
    part, market, core = min(units, lacks), _fee_of(books, to, asset), to.vault.owner
    return booking.cover(one.vault, core, to.name, asset, one.of, part, to.asset, worth, market, ref=one.id, at=at, by=by, why=why)


def _fee_of(books: Books, sleeve: Sleeve, asset: Asset) -> str:
    """The instrument for whose fees the sleeve paid most of this coin."""
    fees = [cell for cell in books.ledger.cells(sleeve.name) if cell[0].role is Role.FEES and cell[1] == asset.code]
    return max(((units, account.of) for account, _, units in fees), default=(0, ""))[1]


def check_legs(books: Books, trade: Fill, legs: Sequence[Residual]) -> None:
    """The coins of a trade that is to be adopted stand in SUSPENSE, all of them. Raises `VaultError`."""
    moved: dict[Asset, int] = {}
    if trade.instrument.contract is None:
        moved = {trade.instrument.base: trade.side.sign * trade.qty, trade.instrument.quote: -trade.side.sign * trade.cost}
    if trade.instrument.contract is None or trade.fee.asset != trade.instrument.quote:
        moved[trade.fee.asset] = moved.get(trade.fee.asset, 0) - trade.fee.units
    for leg in legs:
        asset = leg.amount.asset
        moved[asset] = moved.get(asset, 0) - books.ledger.units(Account(leg.vault, Role.SUSPENSE, leg.of), asset)
    left = ", ".join(str(Amount(units, asset)) for asset, units in moved.items() if units)
    if left:
        raise VaultError(f"{trade.key} cannot be adopted: {left} of it does not stand in suspense; reconcile first")


def adopt_trade(books: Books, trade: Fill, legs: Sequence[Residual], to: Sleeve, *, by: str, why: str, at: int) -> None:
    """Book somebody else's trade as a sleeve's own, and take its coins out of SUSPENSE: all of it or nothing."""
    market = trade.instrument
    if market.quote != to.asset:
        raise VaultError(f"{trade.key} is quoted in {market.quote}: {to.name} is kept in {to.asset}")
    if market.account != to.account and (market.account or to.account):
        raise VaultError(f"{trade.key} was made in sub-account {market.account}: the coins of {to.name} lie in {to.account}")
    if any(books.wallets[leg.vault] != to.vault.wallet for leg in legs):
        raise VaultError(f"{trade.key} lies in another wallet than {to.name}")
    check_legs(books, trade, legs)
    entry = entry_of(to, trade, held=0, by=by)
    lacks = missing(books, entry)
    if lacks is not None:
        raise NotEnough(f"{to.name} cannot bear {trade.key}: it would leave {lacks} free", to.free)
    change = Changed(at, by, to.name, "adopted", "", trade.key, why)
    books.post(change, trade, *books.release(trade.key, at=at, by=by), entry)
    books.booked(trade)


def adoptable(books: Books, what: Residual | Fill | str) -> tuple[list[Residual], Fill | None]:
    """The residuals that are meant, and the trade that they are of, if they are of one.

    Raises `VaultError` for what stands nowhere, or is no residual.
    """
    if not isinstance(what, (Residual, Fill, str)):
        raise VaultError(f"what is adopted is a Residual, its id, or a trade, not {what!r}")
    name = what.id if isinstance(what, Residual) else what.key if isinstance(what, Fill) else what
    one = books.residuals.get(name)
    key = name if one is None else one.ref
    trade = next((fact for fact in books.quarantine.get(key, ()) if isinstance(fact, Fill)), None)
    if trade is not None and books.fact(trade.key) is not None:
        raise VaultError(f"{trade.key} is booked with other content: it cannot be adopted")
    if one is None and trade is None:
        raise VaultError(
            f"{name!r} is no residual that stands here, and no trade that waits: {', '.join(books.residuals) or 'there is none'}"
        )
    legs = [r for r in books.residuals.values() if r.ref == key] if trade is not None else []
    return (legs or ([one] if one is not None else [])), trade
