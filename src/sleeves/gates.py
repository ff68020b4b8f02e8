"""Gates: what stands between a wish and an order.

A gate answers None, or a `Refusal` with a reason code and the numbers that decided. Gates run in order and the first
refusal ends it. They fail closed: one that raises, or lacks what it needs to know, refuses.

`CORE` gates guard the books. They run first, for every order of every engine, and cannot be left out. The others are
handed to `Desk.assign(..., gates=...)`.

    gate       reason codes                                            guards
    status     status, shortfall, tradeable, recovering, residual,     nothing new while paused, stopped, not backed or not explained
               mismatch, backing
    quote      quote_asset, account                                    a vault trades only what is quoted in its asset, where its coins lie
    price_age  no_price, stale_price                                   no decision on an old price
    size       lot, tick, min_qty, min_notional, ended, no_price       what the venue would refuse anyway
    funds      funds, position, no_price                               a sleeve spends and sells only what it owns
    margin     leverage, margin, joint_margin, stale_price             contracts that a sleeve, and the account, can carry
    order_cap  order_cap                                               one order's size
    daily_loss daily_loss, unknown_equity                              the loss since midnight UTC
    drawdown   drawdown, unknown_equity                                the fall from the highest equity
    cooldown   cooldown                                                a rest between a sale and the next buy
    any        gate_error                                              a gate that raises refuses
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen

from .errors import InvalidAmount
from .margin import Check, Standing, equity, notional, standing
from .market import BP, MINUTE, SECOND
from .money import PPM, Amount, AmountLike, Asset, Fraction, Rounding, decimal_text, divide, parse_units, ppm
from .orders import Place, Side
from .protocols import Gate, View
from .records import Refusal
from .status import Status
from .vault import EngineVault

__all__ = [
    "CORE",
    "Cooldown",
    "DailyLoss",
    "Drawdown",
    "OrderCap",
    "PriceAge",
    "cap_units",
    "check_cap",
    "funds",
    "margin",
    "opens",
    "quote",
    "size",
    "status",
    "unpriced",
    "whole",
    "worth",
]

FINEST = 30
"""Decimal places that an amount given as text, of no coin in particular, may have."""


def opens(place: Place, view: View) -> bool:
    """Whether an order takes new risk: a buy of coins does, a sale does not; contracts do when more is ordered than closes some.

    A buy of no more than facts have oversold, which left the position below zero, only closes it. The buys of that
    instrument that are open already count with it, each in full.
    """
    if place.instrument.contract is not None:
        return place.qty > view.closable(place)
    if place.side is not Side.BUY:
        return False
    oversold = -view.position(place.instrument)
    if oversold <= 0:
        return True
    ordered = sum(o.place.qty for o in view.orders() if o.place.side is Side.BUY and o.place.instrument == place.instrument)
    return place.qty + ordered > oversold


_ACTIVE = Status.ACTIVE
"""The one status that may take new risk."""


def describe(place: Place) -> str:
    """A wish in words, for the journal."""
    market = place.instrument
    price = "market" if place.limit is None else market.price_text(place.limit)
    stop = "" if place.stop is None else f" stop {market.price_text(place.stop)}"
    return f"{place.side} {market.qty_text(place.qty)} {market.symbol} at {price}{stop}"


def refuse(gate: str, reason: str, place: Place, view: View, vault: EngineVault, **numbers: object) -> Refusal:
    """A refusal of this wish, with the numbers as text."""
    return Refusal(view.now, vault.sleeve.name, gate, reason, {k: str(v) for k, v in numbers.items()}, describe(place))


def unpriced(place: Place, view: View, vault: EngineVault) -> str:
    """The instruments without a fresh price, among what is ordered and what the sleeves of the vault have, for a refusal."""
    markets = dict.fromkeys([place.instrument, *(market for one in vault.sleeve.vault.sleeves.values() for market in one.positions())])
    books = [(market, view.book_of(market)) for market in markets]
    return ", ".join(str(market) for market, book in books if book is None or book.stale(view.now)) or "another instrument"


def whole(what: str, least: int, most: int | None = None) -> Callable[[Any, Any, int], None]:
    """A check of a gate's parameter: a whole number within these, or `InvalidAmount`."""

    def check(_: Any, __: Any, value: int) -> None:
        if type(value) is not int or value < least or (most is not None and value > most):
            rule = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise InvalidAmount(f"{what} {value!r} must be a whole number {rule}")

    return check


def check_cap(most: AmountLike, what: str) -> None:
    """Raise `InvalidAmount` unless it is an exact amount, or a part of capital such as "30%", above zero."""
    if isinstance(most, Amount):
        units = most.units
    else:
        units = ppm(str(most), what) if _is_part(most) else parse_units(most, FINEST, what)
    if units <= 0:
        raise InvalidAmount(f"{what} {most} must be above zero: nothing would ever pass")


def cap_units(most: AmountLike, capital: int, asset: Asset) -> int:
    """A cap in units of an asset, rounded down. Raises `AssetMismatch` for an amount of another one."""
    if isinstance(most, Amount):
        return asset(most).units
    if _is_part(most):
        return divide(max(0, capital) * ppm(str(most)), PPM, Rounding.FLOOR)
    return divide(parse_units(most, FINEST), int(10 ** (FINEST - asset.scale)), Rounding.FLOOR)


def _is_part(most: object) -> bool:
    return isinstance(most, str) and most.strip().endswith("%")


def _money(units: int, vault: EngineVault) -> str:
    return decimal_text(units, vault.sleeve.asset.scale)


def status(place: Place, view: View, vault: EngineVault) -> Refusal | None:
    """Nothing new unless active; exits unless halted. Nothing new beyond Tradeable, or while coins are missing."""
    now = vault.sleeve.status
    if not opens(place, view):
        return None if now is _ACTIVE or now.may_exit else refuse("status", "status", place, view, vault, status=now)
    if now is not _ACTIVE:
        return refuse("status", "status", place, view, vault, status=now)
    core = vault.sleeve.vault
    books = core.books
    in_suspense = bool(books.ledger.suspense)
    if in_suspense and core.short():
        return refuse("status", "shortfall", place, view, vault, suspense=core.suspense)
    market = place.instrument
    venue, stands = core.venue_of(market)
    if stands is not _ACTIVE:
        return refuse("status", "venue", place, view, vault, venue=venue, status=stands)
    if in_suspense:
        for asset in (market.base, market.quote) if market.contract is None else (market.quote,):
            if core.unexplained(asset):
                return refuse("status", "residual", place, view, vault, asset=asset, residual=books.unexplained(core.wallet, asset))
    if books.mismatched and market.symbol in books.mismatched.get(core.wallet, ()):
        return refuse("status", "mismatch", place, view, vault, instrument=market.symbol)
    if books.misplaced:
        own = vault.sleeve.account or 0
        for (account, code), off in books.misplaced.get(core.wallet, {}).items():
            if account == own and abs(off) > books.tolerances.get(code, 0):
                return refuse("status", "backing", place, view, vault, account=account, asset=code, off=off)
    tradeable = core.tradeable_units()
    if tradeable < core.allocated_units() + core.earmarked_units():
        needed = view.needs(place)
        risked = core.at_risk_units() + max(0, view.reserved)
        if needed is None or risked + needed > tradeable:
            return refuse("status", "tradeable", place, view, vault, tradeable=core.tradeable, at_risk=_money(risked, vault))
    return None


def quote(place: Place, view: View, vault: EngineVault) -> Refusal | None:
    """A vault trades what is quoted in its asset; one coin for another only where both have a market and a price in it.

    A sleeve with a sub-account of its own trades there and nowhere else, and nobody else does.
    """
    asset, market = vault.sleeve.vault.asset, place.instrument
    own, there = vault.sleeve.account, market.account
    if own != there and (own or there):
        return refuse("quote", "account", place, view, vault, traded_in=there, lies_in=own)
    if market.quote is asset or market.quote == asset:
        return None
    if market.contract is None and market.base != asset and view.home(market.base) is not None and view.home(market.quote) is not None:
        return None
    return refuse("quote", "quote_asset", place, view, vault, quoted_in=market.quote, traded_in=asset)


@frozen
class PriceAge:
    """The instrument's price must have been seen within `age_ns`, or within twice the step of its feed, see `Book.stale`."""

    age_ns: int = field(default=MINUTE, validator=whole("age_ns", 0))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        book = view.book_of(place.instrument)
        if book is None:
            return refuse("price_age", "no_price", place, view, vault, lacks=place.instrument)
        if not book.stale(view.now, self.age_ns):
            return None
        age = view.now - book.at
        return refuse("price_age", "stale_price", place, view, vault, age_s=age / SECOND, limit_s=self.age_ns / SECOND)


def size(place: Place, view: View, vault: EngineVault) -> Refusal | None:
    """Whole lots, prices on the tick, at least what the venue takes, and an end that is ahead."""
    market, qty = place.instrument, place.qty
    if qty % market.lot_units:
        return refuse("size", "lot", place, view, vault, qty=market.qty_text(qty), lot=market.lot)
    for price in (place.limit, place.stop):
        if price is not None and price % market.tick_units:
            return refuse("size", "tick", place, view, vault, price=market.price_text(price), tick=market.tick)
    if qty < market.min_qty_units:
        return refuse("size", "min_qty", place, view, vault, qty=market.qty_text(qty), least=market.min_qty)
    if market.min_notional_units:
        notional = _notional(place, view)
        if notional is None:
            return refuse("size", "no_price", place, view, vault, lacks=market)
        if notional < market.min_notional_units:
            return refuse("size", "min_notional", place, view, vault, notional=_money(notional, vault), least=market.min_notional)
    if place.good_til is not None and place.good_til <= view.now:
        return refuse("size", "ended", place, view, vault, good_til_ns=place.good_til, now_ns=view.now)
    return None


def _notional(place: Place, view: View) -> int | None:
    """What the order is worth at its own price, or at the market's, rounded down."""
    price = place.limit or place.stop
    if price is None:
        book = view.book_of(place.instrument)
        if book is None:
            return None
        price = book.ask if place.side is Side.BUY else book.bid
    return place.instrument.cost(price, place.qty, Rounding.FLOOR)


def _at_most(place: Place, view: View) -> int | None:
    """What it may be filled for: a buy at its limit at most, a sale at its own price or at the market's where that is higher."""
    book = view.book_of(place.instrument)
    if place.side is Side.BUY:
        price = place.limit or (None if book is None else max(place.stop or 0, book.ask))
    else:
        price = None if book is None else max(place.limit or place.stop or 0, book.bid)
    return None if price is None else place.instrument.cost(price, place.qty, Rounding.FLOOR)


def worth(place: Place, view: View, vault: EngineVault) -> int | None:
    """What an order is worth in units of the vault's asset; None while a price is missing."""
    notional, quote = _at_most(place, view), place.instrument.quote
    if notional is None or quote == vault.sleeve.asset:
        return notional
    market = view.home(quote)
    book = None if market is None else view.book_of(market)
    return None if market is None or book is None else market.cost(book.ask, notional, Rounding.CEIL)


def funds(place: Place, view: View, vault: EngineVault) -> Refusal | None:
    """A buy fits into the sleeve's free money with its allowances; a sale into its position and its free coins.

    Contracts need their margin and fee of free money; a reduce-only order fits into the sleeve's own slice.
    """
    contracts = place.instrument.contract is not None
    if contracts and place.reduce_only:
        market, closable = place.instrument, view.closable(place)
        if place.qty <= closable:
            return None
        return refuse("funds", "position", place, view, vault, qty=market.qty_text(place.qty), owned=market.qty_text(closable))
    if contracts and not opens(place, view):
        return None
    if contracts or place.side is Side.BUY:
        needed = view.hold(place)
        if needed is None:
            return refuse("funds", "no_price", place, view, vault, lacks=place.instrument)
        free, scale = view.spendable(place.instrument), place.instrument.quote.scale
        if needed <= free:
            return None
        return refuse("funds", "funds", place, view, vault, needed=decimal_text(needed, scale), free=decimal_text(free, scale))
    market = place.instrument
    owned = view.sellable(market)
    if place.qty <= owned:
        return None
    return refuse("funds", "position", place, view, vault, qty=market.qty_text(place.qty), owned=market.qty_text(max(0, owned)))


def margin(place: Place, view: View, vault: EngineVault) -> Refusal | None:
    """With all open orders and this one filled, the sleeve alone, and the account as a whole, carry their contracts.

    Each within the initial requirement, and the sleeve within the desk's highest leverage. Closing is always let pass.
    """
    if place.instrument.contract is None or not opens(place, view):
        return None
    own, joint = view.exposure(place), view.joint_exposure(place)
    if own is None or joint is None:
        return refuse("margin", "stale_price", place, view, vault, lacks=unpriced(place, view, vault))
    has, most = equity(own), view.most_leverage_bp
    owed = sum(notional(one, one.worst, quote_scale=own.quote_scale) for one in own.contracts)
    if has <= 0 or owed * BP > most * has:
        leverage = "none" if has <= 0 else decimal_text(divide(owed * BP, has, Rounding.CEIL), 4)
        numbers = {"equity": _money(has, vault), "leverage": leverage, "most": decimal_text(most, 4)}
        return refuse("margin", "leverage", place, view, vault, **numbers)
    alone, together = standing(own, Check.INITIAL), standing(joint, Check.INITIAL)
    if alone.short:
        return refuse("margin", "margin", place, view, vault, **_lacking(alone, vault))
    if together.short:
        return refuse("margin", "joint_margin", place, view, vault, **_lacking(together, vault))
    return None


def _lacking(stands: Standing, vault: EngineVault) -> dict[str, str]:
    return {"collateral": _money(stands.collateral, vault), "needed": _money(stands.requirement, vault)}


@frozen
class OrderCap:
    """One order that takes new risk is worth at most this many coins of the vault's asset, or this part of capital: "10%".

    Raises `InvalidAmount` unless the cap is exact and above zero.
    """

    most: AmountLike

    def __attrs_post_init__(self) -> None:
        check_cap(self.most, "order cap")

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        notional = worth(place, view, vault)
        most = cap_units(self.most, view.capital(), vault.sleeve.asset)
        if notional is not None and notional <= most:
            return None
        shown = "unknown" if notional is None else _money(notional, vault)
        return refuse("order_cap", "order_cap", place, view, vault, notional=shown, most=_money(most, vault))


def _part(gate: Any, _: Any, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= PPM:
        name = type(gate).__name__
        raise InvalidAmount(f'{name} of {value!r}: need whole parts per million up to 100%, or {name}.of("3%")')


@frozen
class DailyLoss:
    """No new risk once the sleeve has lost this part of its capital since midnight UTC: `DailyLoss.of("3%")`."""

    most_ppm: int = field(validator=_part)

    @classmethod
    def of(cls, most: Fraction) -> DailyLoss:
        return cls(ppm(most, "daily loss"))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        today = view.day_pnl()
        if today is None:
            return refuse("daily_loss", "unknown_equity", place, view, vault, lacks=unpriced(place, view, vault))
        limit = divide(max(0, view.capital()) * self.most_ppm, PPM, Rounding.DOWN)
        if -today < limit:
            return None
        return refuse("daily_loss", "daily_loss", place, view, vault, lost=_money(-today, vault), limit=_money(limit, vault))


@frozen
class Drawdown:
    """No new risk once equity has fallen by this part of its highest value; flows in and out do not count: `Drawdown.of("10%")`."""

    most_ppm: int = field(validator=_part)

    @classmethod
    def of(cls, most: Fraction) -> Drawdown:
        return cls(ppm(most, "drawdown"))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        pnl, peak = view.pnl(), view.peak_pnl()
        if pnl is None or peak is None:
            return refuse("drawdown", "unknown_equity", place, view, vault, lacks=unpriced(place, view, vault))
        limit = divide(max(0, view.capital() + peak) * self.most_ppm, PPM, Rounding.DOWN)
        if peak - pnl < limit:
            return None
        return refuse("drawdown", "drawdown", place, view, vault, fallen=_money(peak - pnl, vault), limit=_money(limit, vault))


@frozen
class Cooldown:
    """No buy within this time of the last sale. Raises `InvalidAmount` unless it is a whole number that is not negative."""

    wait_ns: int = field(validator=whole("wait_ns", 0))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        last = view.last_exit()
        if not opens(place, view) or last is None or view.now - last >= self.wait_ns:
            return None
        left = (self.wait_ns - (view.now - last)) / SECOND
        return refuse("cooldown", "cooldown", place, view, vault, left_s=left)


CORE: Sequence[Gate] = (status, quote, PriceAge(), size, funds, margin)
"""The gates that guard the books: they always run."""
