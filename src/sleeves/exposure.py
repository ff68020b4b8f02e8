"""What a sleeve, and the account that it shares, stand at: margin accounts made of the books, and what a move would do.

The venue sees one account: all coins of the wallet behind one netted position per contract. The books see each sleeve's
own money behind its own slices. Both are the same `margin` arithmetic over different sums, and an order must pass both.

The rule by which sleeves share margin: **each sleeve stands for its own slice as if it were alone**, at the ratio that
the venue asks of the whole position, which size may have made dearer. Netting can then only lower what the venue asks
for. When a loss goes beyond what its sleeve has, others pay, in ring-fence order: the sleeve
itself, then the vault's idle coins, then its reserve, then the other sleeves, the largest first.

Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from attrs import evolve, field, frozen

from .booking import Allowance
from .books import Books
from .errors import InvalidMarket, VaultError
from .ledger import Role
from .margin import (
    Check,
    Coin,
    Contract,
    Lone,
    MarginAccount,
    Weights,
    cash_of,
    collateral,
    equity,
    health,
    health_bp,
    joint_of,
    leverage_bp,
    liquidatable,
    liquidation_tick,
    margin_ratio,
    requirement,
    safe_within,
    slice_of,
)
from .market import BP, Book, Instrument
from .money import PPM, Amount, Asset, Rounding, decimal_text, divide
from .orders import Order, Place, Side
from .vault import CoreVault, Sleeve

__all__ = ["Exposure", "Footing", "Ground", "Payer", "WhatIf", "check_collateral", "without"]

_CASH = frozenset({Role.FREE, Role.HELD, Role.MARGIN})


@frozen(order=False)
class Exposure:
    """What one sleeve, or the account as a whole, stands at."""

    who: str
    equity: Amount
    collateral: Amount
    """What counts at maintenance weights."""
    requirement: Amount
    """What open contracts and orders need to be kept."""
    initial: Amount
    """What they would need to be opened, with all open orders filled."""
    health: int
    """0 to 100; below 1 it may be liquidated."""
    leverage_bp: int | None
    """Contracts, with all open orders filled, over equity: 10,000 is once. None when there is no equity."""
    liquidation: Mapping[str, Decimal | None] = field(factory=dict, hash=False)
    """By symbol, the price that liquidates it while all others stay; None when none does."""
    health_bp: int = 0
    """The health in hundredths, rounded down."""

    def __str__(self) -> str:
        lever = "none" if self.leverage_bp is None else decimal_text(self.leverage_bp, 4) + "x"
        prices = "".join(f", {symbol} liquidated at {price}" for symbol, price in self.liquidation.items() if price is not None)
        return f"{self.who}: equity {self.equity}, health {self.health}, leverage {lever}{prices}"


@frozen(order=False)
class Payer:
    """Who bears how much of the loss at the price that liquidates the account: an own loss, or what others cannot pay."""

    who: str
    amount: Amount
    own: bool = True

    def __str__(self) -> str:
        return f"{self.who} {self.amount:,.2f} {self.amount.asset}" + ("" if self.own else ", of a loss that is not its own")


@frozen(order=False)
class Footing:
    """Every sleeve with contracts, the account that they share, and who would pay if it were liquidated."""

    sleeves: Mapping[str, Exposure] = field(hash=False)
    joint: Exposure
    payers: tuple[Payer, ...]

    def __str__(self) -> str:
        lines = [str(one) for one in (*self.sleeves.values(), self.joint)]
        return "\n".join([*lines, *(f"would pay: {payer}" for payer in self.payers)])


@frozen(order=False)
class WhatIf:
    """Before a move and after it, filled whole at the price that was assumed for it."""

    before: Footing
    after: Footing

    def __str__(self) -> str:
        def cell(one: Exposure | None) -> str:
            if one is None or not one.liquidation:
                return "no contracts" if one is None else f"{one.equity:,.2f} {one.equity.asset}, no contracts"
            prices = [str(price) for price in one.liquidation.values() if price is not None]
            return f"{one.equity:,.2f} {one.equity.asset}, health {one.health}, liquidated at {' or '.join(prices) or 'no price'}"

        before, after = self.before, self.after
        names = dict.fromkeys([*before.sleeves, *after.sleeves])
        rows = [(name, cell(before.sleeves.get(name)), cell(after.sleeves.get(name))) for name in names]
        rows.append(("together", cell(before.joint), cell(after.joint)))
        wide = [max(len(row[i]) for row in rows) for i in range(2)]
        lines = [f"{'':<{wide[0]}}  {'before':<{wide[1]}}  after"]
        lines += [f"{name:<{wide[0]}}  {left:<{wide[1]}}  {right}" for name, left, right in rows]
        return "\n".join([*lines, *(f"would pay: {payer}" for payer in after.payers)])


class Ground:
    """Where exposures are read: the latest books of the market, and how coins weigh as collateral at the venue.

    `left` says how much of an open order is not filled; `orders` are the open orders of a sleeve by its name, `ordered` those of
    contracts by symbol and id; `books` know the time. An account with a contract, or collateral, whose price is stale
    (`Book.stale`) is not known.
    """

    def __init__(
        self,
        boards: Mapping[str, Book],
        collateral: Mapping[str, Weights],
        allowance: Allowance,
        orders: Callable[[str], Iterable[Order]],
        left: Callable[[Order], int],
        books: Books,
        ordered: Mapping[str, Mapping[str, Order]],
    ) -> None:
        self._ordered = ordered
        self._changed: set[str] | None = None
        """Owners to whom something was booked since slices were last read; None before they ever were."""
        self._sliced: dict[str, tuple[dict[str, int], dict[str, tuple[int, int]]]] = {}
        """By sleeve, its slices as they were last read."""
        self._joined: dict[tuple[str, int | None], _Joined] = {}
        """By vault and sub-account, or by vault, the sum of slices as it was last asked for."""
        self._boards = boards
        self._weights = dict(collateral)
        self._allowance = allowance
        self._orders = orders
        self._left = left
        self._books = books

    # -- one sleeve ----------------------------------------------------------------------------------------------------

    def own(
        self,
        sleeve: Sleeve,
        place: Place | None = None,
        *,
        orders: bool = True,
        stale: bool = False,
        also: Iterable[Place] = (),
        spend: int = 0,
    ) -> MarginAccount | None:
        """A sleeve as if it were alone, with a further order open; None while a contract or collateral has no price.

        `also` are more orders that are taken for open, `spend` units of its asset that are taken for spent.

        With `stale` an old price is taken for the present one: to close what may be in danger, never to open anything.
        """
        coins, contracts = self._slices(sleeve)
        wishes = self._open(sleeve) if orders else {}
        for one in (*also, *(() if place is None else (place,))):
            if one.instrument.contract is not None:
                _wish(wishes, one, one.qty)
        if spend:
            coins = {**coins, sleeve.asset.code: coins[sleeve.asset.code] - spend}
        return self._account(sleeve.asset, coins, contracts, wishes, stale)

    def _slices(self, sleeve: Sleeve) -> tuple[Mapping[str, int], Mapping[str, tuple[int, int]]]:
        """A sleeve's coins by asset code, and by symbol of its contracts (base units, money side)."""
        if self._changed is None:
            self._changed = self._books.ledger.follow()
        if self._changed:
            self._forget_changed()
        known = self._sliced.get(sleeve.name)
        if known is None:
            known = self._sliced[sleeve.name] = _slices(sleeve)
        return known

    def _forget_changed(self) -> None:
        changed = self._changed
        assert changed is not None
        for name in changed:
            self._sliced.pop(name, None)
        for joined in self._joined.values():
            joined.changed |= changed
        changed.clear()

    def _sum(self, vault: CoreVault, account: int | None) -> Mapping[str, tuple[int, int]]:
        """By symbol, the sum of all slices of a vault's sleeves whose coins lie in a sub-account, or of all its sleeves."""
        joined = self._joined.get((vault.owner, account))
        if joined is None:
            joined = self._joined[vault.owner, account] = _Joined(vault.sleeves)
        if self._changed:
            self._forget_changed()
        sums, parts = joined.sums, joined.parts
        for name in joined.changed:
            sleeve = vault.sleeves.get(name)
            if sleeve is None or (account is not None and (sleeve.account or 0) != account):
                continue
            for symbol, (base, money) in parts.get(name, {}).items():
                had = sums[symbol]
                sums[symbol] = (had[0] - base, had[1] - money)
            parts[name] = self._slices(sleeve)[1]
            for symbol, (base, money) in parts[name].items():
                had = sums.get(symbol, (0, 0))
                sums[symbol] = (had[0] + base, had[1] + money)
        joined.changed.clear()
        return sums

    def _open(self, sleeve: Sleeve) -> dict[str, tuple[int, int]]:
        """By symbol, base units that open orders buy and sell of contracts."""
        wishes: dict[str, tuple[int, int]] = {}
        for order in self._orders(sleeve.name):
            if order.place.instrument.contract is not None:
                _wish(wishes, order.place, self._left(order))
        return wishes

    def _account(
        self,
        quote: Asset,
        coins: Mapping[str, int],
        contracts: Mapping[str, tuple[int, int]],
        wishes: Mapping[str, tuple[int, int]],
        stale: bool,
    ) -> MarginAccount | None:
        held: list[Coin] = [cash_of(quote, coins.get(quote.code, 0))]
        for code, units in coins.items() if self._weights else ():
            weights = self._weights.get(code)
            if code == quote.code or weights is None or not units:
                continue
            asset = self._books.ledger.asset(code)
            market = self._priced_in(asset, quote)
            if market is None or not self._priced(market, stale):
                return None
            held.append(
                Coin(asset.code, units, asset.scale, self._boards[market].mid, price_scale=_scale(self._boards, market), weights=weights)
            )
        open_: list[Contract] = []
        for symbol in contracts if not wishes else dict.fromkeys([*contracts, *wishes]):
            base, money = contracts.get(symbol, (0, 0))
            bids, asks = wishes.get(symbol, (0, 0))
            book = self._boards.get(symbol)
            if not (base or money or bids or asks):
                continue
            if book is None or not self._priced(symbol, stale):
                return None
            market_ = book.instrument
            open_.append(slice_of(market_, base, money, book.mid, bids, asks))
        return joint_of(tuple(held), tuple(open_), quote.scale)

    def _priced(self, symbol: str, stale: bool) -> bool:
        book = self._boards.get(symbol)
        return book is not None and book.bid > 0 and (stale or not book.stale(self._books.now))

    def _priced_in(self, asset: Asset, quote: Asset) -> str | None:
        """The spot market, or failing that the contract, whose latest price says what a coin is worth."""
        seen = [b for b in self._boards.values() if b.bid > 0 and b.instrument.base == asset and b.instrument.quote == quote]
        best = max(seen, key=lambda b: (b.instrument.contract is None, b.at), default=None)
        return None if best is None else best.instrument.symbol

    # -- the account that sleeves share --------------------------------------------------------------------------------

    def joint(
        self,
        vault: CoreVault,
        place: Place | None = None,
        *,
        account: int = 0,
        stale: bool = False,
        also: Iterable[Place] = (),
        spend: int = 0,
    ) -> MarginAccount | None:
        """All that the venue sees of a vault's wallet: all its coins, and the sum of all slices and open orders.

        Of one sub-account of it, where sleeves have some: what is on its way there or away is not counted.
        """
        contracts = self._sum(vault, account)
        wishes: dict[str, tuple[int, int]] = {}
        for orders in self._ordered.values():
            for order in orders.values():
                sleeve = vault.sleeves.get(order.sleeve)
                if sleeve is not None and (sleeve.account or 0) == account:
                    _wish(wishes, order.place, self._left(order))
        for one in (*also, *(() if place is None else (place,))):
            if one.instrument.contract is not None:
                _wish(wishes, one, one.qty)
        coins = vault.books.lying(vault.wallet, account)
        if spend:
            coins[vault.asset.code] = coins.get(vault.asset.code, 0) - spend
        return self._account(vault.asset, coins, contracts, wishes, stale)

    # -- for people ----------------------------------------------------------------------------------------------------

    def footing(self, vault: CoreVault, account: int = 0) -> Footing:
        """Where a vault's sleeves and the account that they share stand. Raises `VaultError` when a contract has no price yet."""
        owns = {sleeve.name: self.own(sleeve) for sleeve in _in(vault, account)}
        return self._footing(vault, account, owns, self.joint(vault, account=account), None)

    def what_if(self, sleeve: Sleeve, place: Place) -> WhatIf:
        """Where they stand, and where they would with this order filled whole.

        It fills at its limit or stop, else at the best price on the other side; the fee is what orders set aside for it.
        Raises `VaultError` when its instrument, or a contract, has no price yet.
        """
        vault, market, account = sleeve.vault, place.instrument, sleeve.account or 0
        before = self.footing(vault, account)
        book = self._boards.get(market.symbol)
        price = place.limit or place.stop or (0 if book is None else book.ask if place.side is Side.BUY else book.bid)
        if not price or book is None or not self._priced(market.symbol, False):
            raise VaultError(f"{market} has no fresh price: what the order would do is not known")
        sign = place.side.sign
        cost = market.cost(price, place.qty, Rounding.CEIL if sign > 0 else Rounding.FLOOR)
        fee = divide(cost * self._allowance.fee_ppm, PPM, Rounding.CEIL)
        moved = _Moved(market, sign * place.qty, -sign * cost - fee)
        owns = {one.name: self.own(one) for one in _in(vault, account)}
        owns[sleeve.name] = self._after(self.own(sleeve), moved)
        joint = self.joint(vault, account=account)
        return WhatIf(before, self._footing(vault, account, owns, self._after(joint, moved), moved))

    def _after(self, account: MarginAccount | None, moved: _Moved) -> MarginAccount | None:
        if account is None:
            return None
        market, book = moved.market, self._boards[moved.market.symbol]
        if market.contract is None:
            coins = [evolve(one, units=one.units + moved.money) if one.is_quote else one for one in account.coins]
            codes = [one.code for one in coins]
            weights = self._weights.get(market.base.code)
            if market.base.code in codes:
                i = codes.index(market.base.code)
                coins[i] = evolve(coins[i], units=coins[i].units + moved.base)
            elif weights is not None:
                coins.append(
                    Coin(market.base.code, moved.base, market.base.scale, book.mid, price_scale=market.price_scale, weights=weights)
                )
            return evolve(account, coins=tuple(coins))
        contracts = list(account.contracts)
        for i, one in enumerate(contracts):
            if one.symbol == market.symbol:
                contracts[i] = evolve(one, base=one.base + moved.base, quote=one.quote + moved.money)
                return evolve(account, contracts=tuple(contracts))
        new = Contract(
            market.symbol,
            market.contract,
            moved.base,
            moved.money,
            book.mid,
            base_scale=market.base.scale,
            price_scale=market.price_scale,
        )
        return evolve(account, contracts=(*contracts, new))

    def _footing(
        self, vault: CoreVault, account: int, owns: Mapping[str, MarginAccount | None], joint: MarginAccount | None, moved: _Moved | None
    ) -> Footing:
        if joint is None or any(own is None for own in owns.values()):
            raise VaultError(f"a contract or collateral of {vault.owner} has no fresh price: where it stands is not known")
        known = {name: own for name, own in owns.items() if own is not None}
        sleeves = {name: self._exposure(name, own, vault.asset) for name, own in known.items() if own.contracts}
        who = f"{vault.owner}, sub-account {account}" if account else vault.owner
        return Footing(sleeves, self._exposure(who, joint, vault.asset), self._payers(vault, account, known, joint, moved))

    def _exposure(self, who: str, account: MarginAccount, asset: Asset) -> Exposure:
        def amount(units: int) -> Amount:
            return Amount(units, asset)

        markets = [self._boards[one.symbol].instrument for one in account.contracts if one.base]
        ticks = {market: self.liquidation(account, market) for market in markets}
        return Exposure(
            who,
            amount(equity(account)),
            amount(collateral(account, Check.MAINTENANCE)),
            amount(requirement(account, Check.MAINTENANCE)),
            amount(requirement(account, Check.INITIAL)),
            health(account),
            leverage_bp(account),
            {market.symbol: None if tick is None else Decimal(market.price_text(tick)) for market, tick in ticks.items()},
            health_bp(account),
        )

    @staticmethod
    def liquidation(account: MarginAccount, market: Instrument) -> int | None:
        """The first price on the tick, away from the present one, at which the account may be liquidated."""
        return liquidation_tick(account, market.symbol, market.tick_units)

    def _payers(
        self, vault: CoreVault, account: int, owns: Mapping[str, MarginAccount], joint: MarginAccount, moved: _Moved | None
    ) -> tuple[Payer, ...]:
        """At the price that liquidates the account: what each loses of its own, and who makes good what is beyond that."""
        symbol = _largest(joint) if moved is None or moved.market.contract is None else moved.market.symbol
        if symbol is None or not joint.contract(symbol).base:
            return ()
        price = self.liquidation(joint, self._boards[symbol].instrument)
        if price is None:
            return ()
        now = {name: equity(own) for name, own in owns.items()}
        then = {name: equity(own.at(symbol, price)) if _has(own, symbol) else now[name] for name, own in owns.items()}
        paid = [(name, min(max(0, now[name]), now[name] - then[name]), True) for name in owns if then[name] < now[name]]
        beyond = sum(min(0, now[name]) - min(0, then[name]) for name in owns if then[name] < now[name])
        core = [(f"{vault.owner} idle", max(0, vault.idle.units)), (f"{vault.owner} reserve", max(0, vault.reserve.units))]
        if account:  # what lies in another sub-account pays for nothing here
            core = []
        for who, has in [*core, *sorted(then.items(), key=lambda one: -one[1])]:
            share = min(beyond, max(0, has))
            if share:
                paid.append((who, share, False))
                beyond -= share
        theirs = (
            0 if account else vault.books.ledger.total(vault.owner, Role.CLIENT, vault.asset)
        )  # what is on its way out is gone already, as in `joint`
        for who, has in ((f"clients of {vault.owner}", theirs), ("the venue", beyond)):
            share = min(beyond, max(0, has))
            if share:
                paid.append((who, share, False))
                beyond -= share
        return tuple(Payer(who, Amount(units, vault.asset), own) for who, units, own in paid if units)

    # -- for the desk and its gates ------------------------------------------------------------------------------------

    def _fenced(self, sleeve: Sleeve) -> MarginAccount | None:
        """A sleeve as if it were alone, open orders aside, at the ratios that the venue asks of the whole position."""
        own = self.own(sleeve, orders=False, stale=True)
        if own is None or not any(one.terms.imf for one in own.contracts):
            return own
        whole = self._sum(sleeve.vault, None)
        return evolve(own, contracts=tuple(_at_size(one, whole[one.symbol][0]) for one in own.contracts))

    def broken(self, sleeve: Sleeve) -> bool:
        """Whether a sleeve alone, open orders aside, is below what its contracts need; False while that is not known."""
        own = self._fenced(sleeve)
        return own is not None and bool(own.contracts) and liquidatable(own)

    def health_band(self, vault: CoreVault, market: Instrument, levels: Sequence[int]) -> tuple[int, int] | None:
        """The prices between which the account's health stays among the same `levels`, both outside.

        None when other prices matter too.
        """
        joint = self.joint(vault, stale=True, account=market.account or 0)
        if joint is None or len(joint.coins) > 1 or [one.symbol for one in joint.contracts] != [market.symbol]:
            return None
        contract, lone = joint.contracts[0], Lone.of(joint)
        if not contract.base:
            return (0, 1 << 200)
        assert lone is not None, "one contract and the quote coin, nothing else"

        def level(price: int) -> int:
            now = lone.health_bp(price)
            return sum(now < one * 100 for one in levels)

        here, side = level(contract.price), 1 if contract.base > 0 else -1
        down = _last(level, here, contract.price, -1) if side > 0 or here else 0
        up = _last(level, here, contract.price, 1) if side < 0 or here else 1 << 200
        return down, up

    def safe(self, vault: CoreVault, account: int, sleeves: Iterable[Sleeve], health: int) -> dict[str, tuple[int, int]]:
        """By symbol, prices between which, whatever each is, these sleeves keep their slices and the account such a health.

        Nothing where that is not known, or other prices matter too. With open orders as they are.
        """
        accounts = [self.joint(vault, stale=True, account=account), *map(self._fenced, sleeves)]
        found: dict[str, tuple[int, int]] = {}
        for one in accounts:
            within = None if one is None else safe_within(one, health=0 if found else health)
            if within is None:
                return {}
            for symbol, (low, high) in within.items():
                known = found.get(symbol, (low, high))
                found[symbol] = max(low, known[0]), min(high, known[1])
        return found

    def fence(self, sleeve: Sleeve, market: Instrument) -> tuple[int, int] | None:
        """The prices between which a sleeve alone keeps its slice, both outside; None when other prices matter too."""
        own = self._fenced(sleeve)
        if own is None or len(own.coins) > 1 or any(one.symbol != market.symbol for one in own.contracts):
            return None
        if not own.contracts or not own.contracts[0].base:
            return (0, 1 << 200)
        price = self.liquidation(own, market)
        long = own.contracts[0].base > 0
        if price is None:
            return (0, 1 << 200)
        return (price, 1 << 200) if long else (0, price)


class _Joined:
    """The slices of several sleeves, their sums, and which of them have changed since."""

    __slots__ = ("changed", "parts", "sums")

    def __init__(self, names: Iterable[str]) -> None:
        self.changed = set(names)
        self.parts: dict[str, Mapping[str, tuple[int, int]]] = {}
        self.sums: dict[str, tuple[int, int]] = {}


def _slices(sleeve: Sleeve) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    code = sleeve.asset.code
    coins: dict[str, int] = {code: 0}
    contracts: dict[str, tuple[int, int]] = {}
    for (_, role, of), asset, units in sleeve.vault.books.ledger.cells(sleeve.name):
        if role in _CASH:
            coins[asset] = coins.get(asset, 0) + units
        elif role is Role.CONTRACTS or role is Role.UNSETTLED:
            base, quote = contracts.get(of, (0, 0))
            contracts[of] = (base, quote + units) if asset == code else (base + units, quote)
    return coins, contracts


@frozen(order=False)
class _Moved:
    """A trade that is thought to have happened: base units, and money received (below zero: paid) with the fee in it."""

    market: Instrument
    base: int
    money: int


def _at_size(contract: Contract, whole: int) -> Contract:
    """A slice at the flat ratio that a position of the whole size, or of its own where that is larger, is asked for."""
    keep = margin_ratio(contract, Check.MAINTENANCE, size=max(abs(whole), abs(contract.base)))
    terms = evolve(contract.terms, maintenance_bp=min(keep, BP - 1), initial_bp=min(BP, max(contract.terms.initial_bp, keep + 1)), imf=0)
    return evolve(contract, terms=terms)


def _last(level: Callable[[int], int], here: int, price: int, step: int) -> int:
    """The first price in a direction at which the level is another one; 0, or beyond all prices, when there is none."""
    same, far, stride = price, price + step, max(1, price // 256)
    if step < 0 and (price <= 1 or level(1) == here):
        return 0
    while level(far) == here:
        if far <= 1 or far > 64 * price:
            return 0 if step < 0 else 1 << 200
        same, far, stride = far, max(1, far + step * stride), 2 * stride
    while abs(far - same) > 1:
        middle = (far + same) // 2
        if level(middle) == here:
            same = middle
        else:
            far = middle
    return far


def _wish(wishes: dict[str, tuple[int, int]], place: Place, qty: int) -> None:
    bids, asks = wishes.get(place.instrument.symbol, (0, 0))
    wishes[place.instrument.symbol] = (bids + qty, asks) if place.side is Side.BUY else (bids, asks + qty)


def _scale(boards: Mapping[str, Book], symbol: str) -> int:
    return boards[symbol].instrument.price_scale


def _in(vault: CoreVault, account: int) -> list[Sleeve]:
    """The sleeves of a vault whose coins lie in this sub-account."""
    return [sleeve for sleeve in vault.sleeves.values() if (sleeve.account or 0) == account]


def _has(account: MarginAccount, symbol: str) -> bool:
    return any(one.symbol == symbol for one in account.contracts)


def _largest(account: MarginAccount) -> str | None:
    """The contract with the most at stake."""
    best = max(account.contracts, key=lambda one: abs(one.base) * one.price * 10 ** (36 - one.base_scale - one.price_scale), default=None)
    return None if best is None or not best.base else best.symbol


def without(account: MarginAccount, coins: Amount) -> MarginAccount:
    """The account after these coins have left it."""
    left = [evolve(one, units=one.units - coins.units) if one.code == coins.asset.code else one for one in account.coins]
    return evolve(account, coins=tuple(left))


def check_collateral(collateral: Mapping[Asset, Weights] | None) -> dict[str, Weights]:
    """Collateral weights by asset code. Raises `InvalidMarket` for anything else."""
    found: dict[str, Weights] = {}
    for asset, weights in (collateral or {}).items():
        if not isinstance(asset, Asset) or not isinstance(weights, Weights):
            raise InvalidMarket(f"collateral is Weights by Asset, not {weights!r} by {asset!r}")
        found[asset.code] = weights
    return found
