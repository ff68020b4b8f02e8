"""Margin of one account at a venue that nets coins and perpetual contracts: collateral, requirement, health, liquidation price.

Pure functions of a `MarginAccount`: what is held, at which prices, under which terms. Integers only, so that a figure
here is the venue's own figure, and so that the price of a liquidation is a fact and not an estimate.

The rules are those of Drift v2 (protocol-v2 `math/margin.rs`, `state/perp_market.rs`, `state/spot_market.rs`,
`state/user.rs`; health, leverage and the closed liquidation price as in its SDK). A venue with simpler rules is the
same account with the extras left at their defaults, which switch them off.

    value         = units x price, floored                                    in quote units
    collateral    = coins x asset weight + gains x gain weight - losses       a loss always counts in full
    requirement   = borrowings x liability weight + contracts x ratio         at the worst that open orders can make of them
    ratio         = max(r, r - r // 5 + isqrt(10 x size + 1) x imf // 1e7)    size in 1e-9, see `size_premium`
    free          = max(0, collateral - requirement)
    liquidatable  = collateral < requirement, both at maintenance

This module knows no time, no fees, no order book and no other account, and it never asks where a price came from.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen

from .errors import InvalidMarket
from .making import maker
from .market import BP, Instrument, Perpetual
from .money import PPM, Asset, Rounding, divide

__all__ = [
    "Check",
    "Coin",
    "Contract",
    "Lone",
    "MarginAccount",
    "Standing",
    "Weights",
    "WorstCase",
    "asset_weight",
    "cash_of",
    "collateral",
    "equity",
    "free_collateral",
    "gain_weight",
    "health",
    "health_bp",
    "joint_of",
    "leverage_bp",
    "liability_weight",
    "liquidatable",
    "liquidation_price",
    "liquidation_tick",
    "margin_ratio",
    "max_withdrawable",
    "notional",
    "requirement",
    "safe_within",
    "size_discount",
    "size_premium",
    "slice_of",
    "standing",
    "unrealized",
    "whole",
    "worst_case",
]

SIZE_SCALE = 9
"""Size premium and discount count a position in 10**-9 coins, whatever the coin's own scale."""

UNCAPPED = 2**64 - 1
"""What Drift answers for a coin that backs nothing: as much as its integers can say."""

MAX_SCALE = 30


class Check(StrEnum):
    """Which test an account is put to: to open or withdraw, to have an order filled, or to stay open."""

    INITIAL = "initial"
    FILL = "fill"
    MAINTENANCE = "maintenance"


# -- what is held -----------------------------------------------------------------------------------------------------


def whole(value: object, what: str, least: int | None = None) -> int:
    """`value` if it is a whole number (a bool is none) and at least `least`, or `InvalidMarket` with the value and the rule."""
    if type(value) is not int:
        raise InvalidMarket(f"{what} must be a whole number, not {value!r}")
    if least is not None and value < least:
        raise InvalidMarket(f"{what} must be at least {least}, not {value}")
    return value


def _scale(value: object, what: str) -> None:
    if whole(value, what, 0) > MAX_SCALE:
        raise InvalidMarket(f"{what} must be at most {MAX_SCALE}, not {value}")


def _name(value: object, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidMarket(f"{what} must be text, not {value!r}")


def _check(value: object) -> None:
    if not isinstance(value, Check):
        raise InvalidMarket(f"a margin check is one of {', '.join(Check.__members__)}, not {value!r}")


@frozen(order=False)
class Weights:
    """How much of a coin counts, in basis points: below one as collateral, above one as debt.

    `imf` (millionths) makes both worse with the root of the size. Where the whole market's deposits are worth more than
    `scale_initial_start` quote units, the initial asset weight shrinks in proportion; 0 switches that off.
    """

    initial_asset: int = BP
    maintenance_asset: int = BP
    initial_liability: int = BP
    maintenance_liability: int = BP
    imf: int = 0
    scale_initial_start: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("initial_asset", "maintenance_asset", "initial_liability", "maintenance_liability", "imf", "scale_initial_start"):
            whole(getattr(self, name), f"the weight {name}", 0)


@frozen(order=False, weakref_slot=False)
class Coin:
    """A balance: `units` of 10**-scale coins, below zero when borrowed, at `price` quote coins (10**-price_scale) per coin.

    `bids` and `asks` are the base units of open spot orders, `orders` their number; `deposits` is what all users of the
    market have deposited, in units, for `Weights.scale_initial_start`. `twap` is the price's five-minute average for
    strict checks. `oracle` names the contract (its symbol, or its `oracle`) that is priced with this coin. `is_quote`
    marks the coin that everything is counted in: it weighs one both ways and takes the account's `quote_price`.
    """

    code: str
    units: int
    scale: int
    price: int
    twap: int | None = field(default=None, kw_only=True)
    price_scale: int = field(default=6, kw_only=True)
    weights: Weights = field(default=Weights(), kw_only=True)
    bids: int = field(default=0, kw_only=True)
    asks: int = field(default=0, kw_only=True)
    orders: int = field(default=0, kw_only=True)
    deposits: int = field(default=0, kw_only=True)
    oracle: str = field(default="", kw_only=True)
    is_quote: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self.code, "the code of a coin")
        whole(self.units, f"units of {self.code}")
        whole(self.price, f"the price of {self.code}", 1)
        if self.twap is not None:
            whole(self.twap, f"the average price of {self.code}", 1)
        _scale(self.scale, f"the scale of {self.code}")
        _scale(self.price_scale, f"the price scale of {self.code}")
        for name in ("bids", "asks", "orders", "deposits"):
            whole(getattr(self, name), f"{name} of {self.code}", 0)
        if not isinstance(self.weights, Weights) or not isinstance(self.oracle, str) or not isinstance(self.is_quote, bool):
            raise InvalidMarket(f"{self.code} needs Weights, the name of an oracle and a truth value: {self.weights!r}, {self.oracle!r}")
        if self.is_quote and (self.bids or self.asks or self.orders):
            raise InvalidMarket(f"{self.code} is the quote coin: it is paid with and has no orders of its own")


@frozen(order=False, weakref_slot=False)
class Contract:
    """A position in a perpetual contract: `base` units (below zero: short) and the money side of it.

    `quote` is what was received minus what was paid, with all that was realized and not settled yet; `funding` is what
    is still to be received. `bids`, `asks` and `orders` are open orders, as in `Coin`. `custom_bp` is an own, stricter
    ratio that counts for INITIAL only.

    Extras, off by default: `isolated` is the quote units set apart for this position alone (`MarginAccount.bucket`);
    `high_initial_bp` and `high_maintenance_bp` are the ratios of an account in high leverage; when the gains of all
    users, `net_user_pnl`, exceed `max_imbalance`, a gain weighs less for INITIAL and FILL; an `expired` contract needs
    no margin, and its price is the expiry price.
    """

    symbol: str
    terms: Perpetual
    base: int
    quote: int
    price: int
    funding: int = field(default=0, kw_only=True)
    bids: int = field(default=0, kw_only=True)
    asks: int = field(default=0, kw_only=True)
    orders: int = field(default=0, kw_only=True)
    custom_bp: int = field(default=0, kw_only=True)
    isolated: int | None = field(default=None, kw_only=True)
    high_initial_bp: int = field(default=0, kw_only=True)
    high_maintenance_bp: int = field(default=0, kw_only=True)
    net_user_pnl: int = field(default=0, kw_only=True)
    max_imbalance: int = field(default=0, kw_only=True)
    expired: bool = field(default=False, kw_only=True)
    oracle: str = field(default="", kw_only=True)
    base_scale: int = field(default=SIZE_SCALE, kw_only=True)
    price_scale: int = field(default=6, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self.symbol, "the symbol of a contract")
        if not isinstance(self.terms, Perpetual):
            raise InvalidMarket(f"the terms of {self.symbol} must be a Perpetual, not {self.terms!r}")
        whole(self.price, f"the price of {self.symbol}", 1)
        for name in ("base", "quote", "funding", "net_user_pnl"):
            whole(getattr(self, name), f"{name} of {self.symbol}")
        for name in ("bids", "asks", "orders", "custom_bp", "high_initial_bp", "high_maintenance_bp", "max_imbalance"):
            whole(getattr(self, name), f"{name} of {self.symbol}", 0)
        if self.isolated is not None:
            whole(self.isolated, f"the isolated deposit of {self.symbol}", 0)
        _scale(self.base_scale, f"the base scale of {self.symbol}")
        _scale(self.price_scale, f"the price scale of {self.symbol}")
        if not isinstance(self.expired, bool) or not isinstance(self.oracle, str):
            raise InvalidMarket(f"{self.symbol}: expired {self.expired!r} is a truth value, oracle {self.oracle!r} a name")

    @property
    def key(self) -> str:
        """What prices it: all that shares the key moves with it."""
        return self.oracle or self.symbol

    @property
    def worst(self) -> int:
        """The larger position that its open orders can make of it."""
        bought, sold = self.base + self.bids, self.base - self.asks
        return bought if abs(bought) > abs(sold) else sold


@frozen(order=False, weakref_slot=False)
class MarginAccount:
    """All that stands behind each other: coins and contracts, counted in 10**-quote_scale quote coins.

    `per_order` is the margin that every open order needs, in quote units (Drift: 10,000, one cent). `quote_price` and
    `quote_twap` (millionths) say what a quote coin itself is worth: a depeg scales collateral and requirement alike.
    `custom_bp` is the user's own stricter ratio, for INITIAL only. `gain_cap` is the most that the gain of one contract
    adds to INITIAL collateral, in quote units (Drift: 100 coins); None is no cap.
    """

    coins: tuple[Coin, ...] = ()
    contracts: tuple[Contract, ...] = ()
    quote_scale: int = field(default=6, kw_only=True)
    per_order: int = field(default=0, kw_only=True)
    quote_price: int = field(default=PPM, kw_only=True)
    quote_twap: int | None = field(default=None, kw_only=True)
    custom_bp: int = field(default=0, kw_only=True)
    high_leverage: bool = field(default=False, kw_only=True)
    gain_cap: int | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.coins, tuple) or not all(isinstance(one, Coin) for one in self.coins):
            raise InvalidMarket(f"the coins of an account must be a tuple of Coin, not {self.coins!r}")
        if not isinstance(self.contracts, tuple) or not all(isinstance(one, Contract) for one in self.contracts):
            raise InvalidMarket(f"the contracts of an account must be a tuple of Contract, not {self.contracts!r}")
        _scale(self.quote_scale, "the quote scale")
        for name in ("per_order", "custom_bp"):
            whole(getattr(self, name), f"{name} of an account", 0)
        whole(self.quote_price, "the price of the quote coin", 1)
        if self.quote_twap is not None:
            whole(self.quote_twap, "the average price of the quote coin", 1)
        if self.gain_cap is not None:
            whole(self.gain_cap, "the cap of a gain", 0)
        if not isinstance(self.high_leverage, bool):
            raise InvalidMarket(f"high leverage is a truth value, not {self.high_leverage!r}")
        names = [one.code for one in self.coins] + [one.symbol for one in self.contracts]
        if len(set(names)) < len(names):
            raise InvalidMarket(f"an account has each coin and contract once, not {', '.join(names)}")
        quotes = [one for one in self.coins if one.is_quote]
        if len(quotes) > 1:
            raise InvalidMarket(f"an account counts in one quote coin, not in {', '.join(one.code for one in quotes)}")
        for one in quotes:
            if (one.scale, one.price_scale, one.price) != (self.quote_scale, 6, self.quote_price):
                rule = f"{self.quote_scale} places and the account's price of {self.quote_price} millionths"
                raise InvalidMarket(f"the quote coin {one.code} must have {rule}, not {one.scale} and {one.price}")
        scales = {one.key: one.price_scale for one in self.contracts}
        priced = [(one.key, one.price_scale) for one in self.contracts] + [(one.oracle, one.price_scale) for one in self.coins]
        for key, scale in priced:
            if scales.get(key, scale) != scale:
                raise InvalidMarket(f"what {key} prices must have one price scale, not both {scales[key]} and {scale}")

    def contract(self, symbol: str) -> Contract:
        """The contract of that symbol, or `InvalidMarket`."""
        for one in self.contracts:
            if one.symbol == symbol:
                return one
        raise InvalidMarket(f"no contract {symbol!r} in this account: {', '.join(one.symbol for one in self.contracts) or 'it has none'}")

    def coin(self, code: str) -> Coin:
        """The balance of that coin, or `InvalidMarket`."""
        for one in self.coins:
            if one.code == code:
                return one
        raise InvalidMarket(f"no coin {code!r} in this account: {', '.join(one.code for one in self.coins) or 'it has none'}")

    def at(self, symbol: str, price: int) -> MarginAccount:
        """The same account with that contract, and all that shares its oracle, at `price`."""
        key = self.contract(symbol).key
        coins = tuple(evolve(one, price=price) if one.oracle == key else one for one in self.coins)
        contracts = tuple(evolve(one, price=price) if one.key == key else one for one in self.contracts)
        return evolve(self, coins=coins, contracts=contracts)

    def bucket(self, symbol: str) -> MarginAccount:
        """What stands behind that contract: its isolated deposit alone, or the account without its isolated contracts."""
        contract = self.contract(symbol)
        if contract.isolated is None:
            return evolve(self, contracts=tuple(one for one in self.contracts if one.isolated is None))
        deposit = Coin(f"deposit of {symbol}", contract.isolated, self.quote_scale, self.quote_price, is_quote=True)
        return evolve(self, coins=(deposit,), contracts=(evolve(contract, isolated=None),))

    @property
    def low(self) -> int:
        """The quote coin's price for what is owned, in a strict check."""
        return self.quote_price if self.quote_twap is None else min(self.quote_price, self.quote_twap)

    @property
    def high(self) -> int:
        """The quote coin's price for what is owed, in a strict check."""
        return self.quote_price if self.quote_twap is None else max(self.quote_price, self.quote_twap)


@frozen(order=False, weakref_slot=False)
class Standing:
    """Collateral against requirement, in quote units."""

    collateral: int
    requirement: int

    @property
    def free(self) -> int:
        return max(0, self.collateral - self.requirement)

    @property
    def short(self) -> int:
        """What is missing."""
        return max(0, self.requirement - self.collateral)


@frozen(order=False)
class WorstCase:
    """A coin with all bids or all asks filled, whichever leaves less: all in quote units but `units`."""

    units: int
    value: int
    weighted: int
    orders_value: int

    @property
    def contribution(self) -> int:
        return self.weighted + self.orders_value


_coin, _contract, _account, _standing = maker(Coin), maker(Contract), maker(MarginAccount), maker(Standing)
_WEIGHTS = Weights()


def cash_of(quote: Asset, units: int) -> Coin:
    """A balance of the quote coin. This and the next two are made of what the books, or a venue's, have checked, and check nothing."""
    return _coin(quote.code, units, quote.scale, PPM, None, 6, _WEIGHTS, 0, 0, 0, 0, "", True)


def slice_of(market: Instrument, base: int, money: int, price: int, bids: int = 0, asks: int = 0) -> Contract:
    """Contracts in an instrument, at a price, with what open orders buy and sell of it."""
    terms, base_scale, price_scale = market.contract, market.base.scale, market.price_scale
    return _contract(market.symbol, terms, base, money, price, 0, bids, asks, 0, 0, None, 0, 0, 0, 0, False, "", base_scale, price_scale)


def joint_of(coins: tuple[Coin, ...], contracts: tuple[Contract, ...], quote_scale: int) -> MarginAccount:
    """An account of each of these once, without extras."""
    return _account(coins, contracts, quote_scale, 0, PPM, None, 0, False, None)


_TEN: list[int] = [10**places for places in range(3 * MAX_SCALE + 1)]
"""Powers of ten, by their exponent."""

# -- weights and ratios -----------------------------------------------------------------------------------------------


def _nano(units: int, scale: int) -> int:
    """A size of 10**-scale as 10**-9, floored."""
    return units * int(10 ** max(0, SIZE_SCALE - scale)) // int(10 ** max(0, scale - SIZE_SCALE))


def size_premium(ratio_bp: int, size: int, imf: int, *, bounded: bool = True) -> int:
    """A liability weight or margin ratio for a position of `size` (10**-9 coins): it grows with the root of the size.

    `max(r, r - r // 5 + isqrt(10 x size + 1) x imf // 1e7)`. Unbounded it may also fall below `r`, by a fifth at most,
    which is what high leverage is scaled by. Source: protocol-v2 `math/margin.rs`.
    """
    whole(ratio_bp, "a ratio", 0)
    whole(size, "a size", 0)
    if not whole(imf, "an imf", 0):
        return ratio_bp
    grown = ratio_bp - ratio_bp // 5 + math.isqrt(10 * size + 1) * imf // 10_000_000  # Drift's floor, twice
    return max(ratio_bp, grown) if bounded else grown


def size_discount(weight_bp: int, size: int, imf: int) -> int:
    """An asset weight for `size` (10**-9 coins): `min(w, 1.1e10 // (1e6 + isqrt(10 x size + 1) x imf // 1e5))`."""
    whole(weight_bp, "a weight", 0)
    whole(size, "a size", 0)
    if not whole(imf, "an imf", 0):
        return weight_bp
    return min(weight_bp, (PPM + PPM // 10) * BP // (PPM + math.isqrt(10 * size + 1) * imf // 100_000))  # Drift's floor


def _between(initial: int, maintenance: int, check: Check) -> int:
    if check is Check.FILL:
        return (initial + maintenance) // 2  # Drift's floor
    return initial if check is Check.INITIAL else maintenance


def asset_weight(coin: Coin, check: Check, *, units: int | None = None, quote_scale: int = 6) -> int:
    """Basis points that this much of a coin counts as collateral (by default its balance)."""
    _check(check)
    initial = coin.weights.initial_asset
    if coin.weights.scale_initial_start:
        deposited = _value(coin.deposits, coin.price, coin.scale, coin.price_scale, quote_scale)
        if deposited >= coin.weights.scale_initial_start:
            initial = divide(initial * coin.weights.scale_initial_start, deposited, Rounding.FLOOR)
    base = _between(initial, coin.weights.maintenance_asset, check)
    return size_discount(base, _nano(abs(coin.units if units is None else units), coin.scale), coin.weights.imf)


def liability_weight(coin: Coin, check: Check, *, units: int | None = None) -> int:
    """Basis points of its value that this much of a borrowed coin needs (by default its balance)."""
    _check(check)
    base = _between(coin.weights.initial_liability, coin.weights.maintenance_liability, check)
    return size_premium(base, _nano(abs(coin.units if units is None else units), coin.scale), coin.weights.imf)


def margin_ratio(contract: Contract, check: Check, *, size: int | None = None, high_leverage: bool = False) -> int:
    """Basis points of notional that a position of `size` base units needs (by default the worst its orders can make of it).

    In high leverage the ratio for INITIAL and FILL climbs back from the lower to the ordinary one as the size premium
    does. Own stricter ratios are not in it. Source: protocol-v2 `state/perp_market.rs`.
    """
    _check(check)
    if contract.expired:
        return 0
    nano = _nano(abs(contract.worst if size is None else size), contract.base_scale)
    ordinary = _between(contract.terms.initial_bp, contract.terms.maintenance_bp, check)
    if not (high_leverage and contract.high_initial_bp and contract.high_maintenance_bp):
        return size_premium(ordinary, nano, contract.terms.imf)
    low = _between(contract.high_initial_bp, contract.high_maintenance_bp, check)
    if check is Check.MAINTENANCE:
        return size_premium(low, nano, contract.terms.imf)
    grown = size_premium(ordinary, nano, contract.terms.imf, bounded=False)
    if grown > ordinary:
        return grown
    if grown == ordinary or ordinary < 5:  # below 5 bp a fifth is nothing, and there is no way back to scale
        return low
    climbed = max(0, PPM - divide((ordinary - grown) * PPM, ordinary // 5, Rounding.FLOOR))
    return low + divide(max(1, ordinary - low) * climbed, PPM, Rounding.FLOOR)


def gain_weight(contract: Contract, pnl: int, check: Check, *, quote_scale: int = 6) -> int:
    """Basis points of an unrealized `pnl` (quote units) that count as collateral. A loss counts in full."""
    _check(check)
    if pnl <= 0:
        return BP
    if check is Check.MAINTENANCE:
        return contract.terms.gain_maintenance_bp
    weight = contract.terms.gain_initial_bp
    if 0 < contract.max_imbalance < contract.net_user_pnl:
        weight = divide(weight * contract.max_imbalance, contract.net_user_pnl, Rounding.FLOOR)
    return size_discount(weight, _nano(pnl, quote_scale), contract.terms.gain_imf) if weight else 0


# -- values -----------------------------------------------------------------------------------------------------------


def _value(units: int, price: int, scale: int, price_scale: int, quote_scale: int) -> int:
    """`units` at `price` in quote units, floored also below zero: what is owned counts less, what is owed counts more."""
    return units * price * _TEN[quote_scale] // _TEN[scale + price_scale]


def _priced(contract: Contract, base: int, quote_scale: int) -> int:
    """The notional of a base amount, without its sign."""
    return _value(abs(base), contract.price, contract.base_scale, contract.price_scale, quote_scale)


def notional(contract: Contract, base: int, *, quote_scale: int = 6) -> int:
    """What so many base units of a contract are worth at its price, whatever their sign, in quote units, rounded down."""
    return _priced(contract, base, quote_scale)


def _part(amount: int, of: int, whole_: int) -> int:
    """A share of a signed amount, toward zero as Drift divides."""
    return divide(amount * of, whole_, Rounding.DOWN)


def unrealized(contract: Contract, *, quote_scale: int = 6) -> int:
    """Profit or loss of a contract at its price, with funding that is not settled, in quote units."""
    notional = _priced(contract, contract.base, quote_scale)
    return (notional if contract.base > 0 else -notional) + contract.quote + contract.funding


def worst_case(coin: Coin, check: Check, *, strict: bool = False, custom_bp: int = 0, quote_scale: int = 6) -> WorstCase:
    """A coin after its open orders filled on the side that leaves less; the money of those orders is `orders_value`.

    A strict check takes what is owned at the lower and what is owed at the higher of price and average. `custom_bp` is
    the user's own ratio: debt then weighs at least one plus it, collateral at most one minus it.
    """
    high = max(coin.price, coin.twap) if strict and coin.twap is not None else coin.price
    low = min(coin.price, coin.twap) if strict and coin.twap is not None else coin.price
    value = _value(coin.units, low if coin.units > 0 else high, coin.scale, coin.price_scale, quote_scale)

    def filled(change: int) -> WorstCase:
        order = _value(-change, high, coin.scale, coin.price_scale, quote_scale) if change else 0
        units, after = coin.units + change, value - order
        weighted = 0
        if after > 0:
            weighted = _part(after, asset_weight(coin, check, units=units, quote_scale=quote_scale), BP)
        elif after < 0:
            weighted = _part(after, liability_weight(coin, check, units=units), BP)
        return WorstCase(units, after, weighted, order)

    sold, bought = filled(-coin.asks), filled(coin.bids)
    worst = sold if sold.contribution <= bought.contribution else bought
    if not custom_bp or not worst.weighted:
        return worst
    if worst.weighted < 0:
        weight = max(liability_weight(coin, Check.INITIAL, units=worst.units), BP + custom_bp)
    else:
        weight = min(asset_weight(coin, Check.INITIAL, units=worst.units, quote_scale=quote_scale), max(0, BP - custom_bp))
    return evolve(worst, weighted=_part(worst.value, weight, BP))


# -- the account ------------------------------------------------------------------------------------------------------


def standing(account: MarginAccount, check: Check, *, strict: bool = False, buffer_bp: int = 0) -> Standing:
    """Collateral and requirement of all that is not isolated.

    With a buffer, every liability needs that much more of its value and every loss counts that much more: what an
    account must reach to leave a liquidation. An isolated contract stands in its own `bucket`.
    """
    if type(check) is not Check:
        _check(check)
    whole(buffer_bp, "a buffer", 0)
    custom = account.custom_bp if check is Check.INITIAL else 0
    owned = owed = 0
    plain = not (strict or buffer_bp or custom or account.high_leverage) and account.gain_cap is None and account.quote_price == PPM

    def owe(margin: int, liability: int) -> int:
        return margin + liability * buffer_bp // BP  # Drift's floor

    for coin in account.coins:
        if coin.is_quote:
            if plain:  # a quote coin is worth one, and has the account's own scale
                owned += max(0, coin.units)
                owed += max(0, -coin.units)
                continue
            price = (account.low if coin.units > 0 else account.high) if strict else account.quote_price
            value = _value(coin.units, price, coin.scale, 6, account.quote_scale)
            owned += max(0, value)
            owed += owe(max(0, -value), max(0, -value))
            continue
        case = worst_case(coin, check, strict=strict, custom_bp=custom, quote_scale=account.quote_scale)
        owed += coin.orders * account.per_order
        if case.value > 0:
            owned += case.weighted
        elif case.value < 0:
            owed += owe(-case.weighted, -case.value)
        owned += max(0, case.orders_value)
        owed += owe(max(0, -case.orders_value), max(0, -case.orders_value))
    for contract in account.contracts:
        if contract.isolated is not None:
            continue
        if plain and not (contract.expired or contract.custom_bp):
            gain, need = _plainly(contract, contract.price, check, account.quote_scale)
            owned += gain
            owed += need + contract.orders * account.per_order
        else:
            gain = _weighted_gain(account, contract, check, strict)
            owned += gain + (_part(gain, buffer_bp, BP) if gain < 0 else 0)
            owed += owe(*_needed(account, contract, check, strict, custom))
    return _standing(owned, owed)


def _plainly(contract: Contract, price: int, check: Check, quote_scale: int) -> tuple[int, int]:
    """What a contract at a price adds to the collateral and what margin it needs, where no extra and no strictness counts.

    The same integers as those of `_weighted_gain` and `_needed`.
    """
    base, bids, asks = contract.base, contract.bids, contract.asks
    top, under = _TEN[quote_scale], _TEN[contract.base_scale + contract.price_scale]
    worth = base * price * top // under if base > 0 else -(-base * price * top // under)
    gain = worth + contract.quote + contract.funding
    if gain > 0:
        terms = contract.terms
        if check is Check.MAINTENANCE:
            weight = terms.gain_maintenance_bp
        elif terms.gain_initial_bp == 0:
            weight = 0
        else:
            weight = gain_weight(contract, gain, check, quote_scale=quote_scale)
        gain = gain * weight // BP
    worst = contract.worst if bids or asks else base
    return gain, abs(worst) * price * top // under * _plain_ratio(contract, worst, check) // BP  # Drift's floors


def _plain_ratio(contract: Contract, worst: int, check: Check) -> int:
    """`margin_ratio` of a position, of an account that is not in high leverage."""
    terms = contract.terms
    if terms.imf:
        return margin_ratio(contract, check, size=worst)
    if check is Check.MAINTENANCE:
        return terms.maintenance_bp
    return terms.initial_bp if check is Check.INITIAL else (terms.initial_bp + terms.maintenance_bp) // 2  # Drift's floor


def _needed(account: MarginAccount, contract: Contract, check: Check, strict: bool, custom_bp: int) -> tuple[int, int]:
    """Margin of a contract and the liability it is for."""
    quote_price = account.high if strict else account.quote_price
    liability = _priced(contract, contract.worst, account.quote_scale) * quote_price // PPM  # Drift's floor
    ratio = margin_ratio(contract, check, high_leverage=account.high_leverage)
    if not contract.expired:
        ratio = max(ratio, custom_bp, contract.custom_bp if check is Check.INITIAL else 0)
    return liability * ratio // BP + contract.orders * account.per_order, liability  # Drift's floor


def _weighted_gain(account: MarginAccount, contract: Contract, check: Check, strict: bool) -> int:
    """What a contract's profit adds to the collateral, or its loss takes away."""
    pnl = unrealized(contract, quote_scale=account.quote_scale)
    price = (account.low if pnl > 0 else account.high) if strict and pnl else account.quote_price
    weighted = _part(pnl, gain_weight(contract, pnl, check, quote_scale=account.quote_scale), BP)
    weighted = _part(weighted, price, PPM)
    if check is Check.INITIAL and account.gain_cap is not None:
        weighted = min(weighted, account.gain_cap)
    return weighted


def collateral(account: MarginAccount, check: Check, strict: bool = False, buffer_bp: int = 0) -> int:
    """What stands behind the account's debts and contracts, in quote units; below zero when losses ate it all."""
    return standing(account, check, strict=strict, buffer_bp=buffer_bp).collateral


def requirement(account: MarginAccount, check: Check, strict: bool = False, buffer_bp: int = 0) -> int:
    """What the account's debts, contracts and open orders need, in quote units."""
    return standing(account, check, strict=strict, buffer_bp=buffer_bp).requirement


def free_collateral(account: MarginAccount, check: Check, strict: bool = False) -> int:
    """Collateral that nothing needs, never below zero."""
    return standing(account, check, strict=strict).free


def liquidatable(account: MarginAccount) -> bool:
    """Whether the collateral is below the maintenance requirement. Exactly at it, the account is still safe."""
    return standing(account, Check.MAINTENANCE).short > 0


def health(account: MarginAccount) -> int:
    """0 to 100: the share of the maintenance collateral that is not needed, rounded half up. 0 may be liquidated."""
    now = standing(account, Check.MAINTENANCE)
    if now.requirement == 0 and now.collateral >= 0:
        return 100
    if now.collateral <= 0:
        return 0
    return max(0, min(100, (200 * (now.collateral - now.requirement) + now.collateral) // (2 * now.collateral)))  # half up


def health_bp(account: MarginAccount) -> int:
    """The same in basis points, 0 to 10,000, rounded down: for thresholds, which no rounding must lift anybody over."""
    now = standing(account, Check.MAINTENANCE)
    return _health_bp(now.collateral, now.requirement)


def _health_bp(owned: int, owed: int) -> int:
    if owed == 0 and owned >= 0:
        return BP
    return max(0, (owned - owed) * BP // owned) if owned > 0 else 0


def equity(account: MarginAccount) -> int:
    """What all would come to at these prices, unweighted, isolated deposits and unsettled profits included."""
    scale, total = account.quote_scale, 0
    if account.quote_price == PPM and len(account.coins) == 1 and account.coins[0].is_quote:
        total = account.coins[0].units
        for contract in account.contracts:
            total += unrealized(contract, quote_scale=scale) + (contract.isolated or 0)
        return total
    for coin in account.coins:
        price, places = (account.quote_price, 6) if coin.is_quote else (coin.price, coin.price_scale)
        total += _value(coin.units, price, coin.scale, places, scale)
    for contract in account.contracts:
        total += _part(unrealized(contract, quote_scale=scale), account.quote_price, PPM)
        total += _value(contract.isolated or 0, account.quote_price, scale, 6, scale)
    return total


def leverage_bp(account: MarginAccount, *, signed: bool = False) -> int | None:
    """Borrowings and contracts, open orders included, over equity: 10,000 is once. None without equity to divide by.

    `signed` answers below zero too, as Drift's SDK does for an account whose losses exceed what it has.
    """
    net, scale = equity(account), account.quote_scale
    if net == 0 or (net < 0 and not signed):
        return None
    owed = sum(_priced(one, one.worst, scale) for one in account.contracts)
    for coin in account.coins:
        price, places = (account.quote_price, 6) if coin.is_quote else (coin.price, coin.price_scale)
        owed -= min(0, _value(coin.units, price, coin.scale, places, scale))
    return divide(owed * BP if net > 0 else -owed * BP, abs(net), Rounding.DOWN)


def max_withdrawable(account: MarginAccount, code: str, *, borrow: bool = False) -> int:
    """Units of a coin that can leave and still pass INITIAL: one quote unit is kept back against rounding.

    Never more than the balance, unless `borrow` allows for a debt; then it is the program's own figure, which knows no
    borrow limit and answers `2**64 - 1` for a coin that backs nothing. Source: protocol-v2 `math/margin.rs`.
    """
    coin = account.coin(code)
    held = max(0, coin.units)
    weight = BP if coin.is_quote else asset_weight(coin, Check.INITIAL, quote_scale=account.quote_scale)
    if weight == 0:
        return UNCAPPED if borrow else held
    if not _owes(account):
        return held
    free = max(0, free_collateral(account, Check.INITIAL) - 1)
    # Drift's floors, in its order: by weight, by price in quote units, then by the scale of the coin
    coins = free * BP // weight * int(10**coin.price_scale) // coin.price
    units = coins * int(10**coin.scale) // int(10**account.quote_scale)
    return units if borrow else min(held, units)


def _owes(account: MarginAccount) -> bool:
    """Whether anything stands against the collateral: a debt, a position, an order."""
    for contract in account.contracts:
        if contract.base or contract.quote < 0 or contract.bids or contract.asks or contract.orders:
            return True
    for coin in account.coins:
        if coin.is_quote:
            if coin.units < 0:
                return True
            continue
        case = worst_case(coin, Check.INITIAL, quote_scale=account.quote_scale)
        if case.value < 0 or case.orders_value < 0 or (case.value == 0 and bool(coin.orders or coin.bids or coin.asks)):
            return True
    return False


# -- the price of a liquidation ---------------------------------------------------------------------------------------


def liquidation_price(account: MarginAccount, symbol: str) -> int | None:
    """Drift's closed form: the price at which free collateral runs out, open orders left aside; None when it is below zero.

    `price - free / slope`, the slope being what one coin of price moves: `(1 - ratio) x base` for a long,
    `-(1 + ratio) x |base|` for a short, and the weighted balance of a coin with the same oracle. It takes the slope of
    a loss and leaves the quote coin's own price aside, so it is an estimate; `liquidation_tick` is exact.
    """
    bare = _without_orders(account.bucket(symbol))
    contract = bare.contract(symbol)
    if contract.base == 0:
        return None
    ratio = margin_ratio(contract, Check.MAINTENANCE, high_leverage=bare.high_leverage)
    unit = int(10**bare.quote_scale)
    need = ratio * unit // BP  # Drift's floor
    per_coin = (unit - need) if contract.base > 0 else -(unit + need)
    slope = _part(per_coin, abs(contract.base), int(10**contract.base_scale))
    for coin in bare.coins:
        if coin.oracle == contract.key and coin.units:
            weight = (asset_weight if coin.units > 0 else liability_weight)(coin, Check.MAINTENANCE)
            slope += _part(unit * weight // BP, coin.units, int(10**coin.scale))  # Drift's floor
    if slope == 0:
        return None
    step = _part(standing(bare, Check.MAINTENANCE).free, int(10**contract.price_scale), abs(slope))
    price = contract.price - (step if slope > 0 else -step)
    return price if price >= 0 else None


def _without_orders(account: MarginAccount) -> MarginAccount:
    none: dict[str, Any] = {"bids": 0, "asks": 0, "orders": 0}
    coins = tuple(evolve(one, **none) for one in account.coins)
    return evolve(account, coins=coins, contracts=tuple(evolve(one, **none) for one in account.contracts))


class Lone:
    """An account of nothing but quote coins and one contract, at any price of it: `standing` at MAINTENANCE in a few whole numbers.

    `of` answers None where something else counts too: another coin or contract, an extra, another price of the quote coin.
    """

    __slots__ = ("_base", "_cash", "_gain_bp", "_money", "_ratio", "_size", "_top", "_under", "contract", "quote_scale")

    def __init__(self, cash: int, contract: Contract, quote_scale: int) -> None:
        self.contract = contract
        self.quote_scale = quote_scale
        self._base, self._cash = contract.base, cash
        worst = contract.worst
        self._size = abs(worst)
        self._money = contract.quote + contract.funding
        self._ratio = _plain_ratio(contract, worst, Check.MAINTENANCE)
        self._gain_bp = contract.terms.gain_maintenance_bp
        self._top, self._under = _TEN[quote_scale], _TEN[contract.base_scale + contract.price_scale]

    @classmethod
    def of(cls, account: MarginAccount) -> Lone | None:
        """The account as one, if it is one."""
        if len(account.contracts) != 1 or len(account.coins) > 1 or account.high_leverage or account.per_order:
            return None
        contract, cash = account.contracts[0], 0
        if account.coins:
            if not account.coins[0].is_quote or account.coins[0].oracle:
                return None
            cash = account.coins[0].units
        if account.quote_price != PPM or contract.isolated is not None or contract.expired:
            return None
        return cls(cash, contract, account.quote_scale)

    def at(self, price: int) -> tuple[int, int]:
        """Collateral and requirement at a price."""
        top, under, base, cash = self._top, self._under, self._base, self._cash
        gain = (base * price * top // under if base > 0 else -(-base * price * top // under)) + self._money
        if gain > 0:
            gain = gain * self._gain_bp // BP
        need = self._size * price * top // under * self._ratio // BP  # Drift's floors
        return (gain + cash, need) if cash > 0 else (gain, need - cash)

    def broken(self, price: int) -> bool:
        """`liquidatable` at a price."""
        owned, owed = self.at(price)
        return owned < owed

    def health_bp(self, price: int) -> int:
        """`health_bp` at a price."""
        return _health_bp(*self.at(price))

    def closed(self) -> int | None:
        """`liquidation_price`, Drift's closed form."""
        contract, base = self.contract, self._base
        ratio = _plain_ratio(contract, base, Check.MAINTENANCE)
        unit = self._top
        need = ratio * unit // BP  # Drift's floor
        slope = _part((unit - need) if base > 0 else -(unit + need), abs(base), _TEN[contract.base_scale])
        if slope == 0:
            return None
        owned, owed = self.at(contract.price) if self._size == abs(base) else self._bare(ratio)
        step = _part(max(0, owned - owed), _TEN[contract.price_scale], abs(slope))
        price = contract.price - (step if slope > 0 else -step)
        return price if price >= 0 else None

    def _bare(self, ratio: int) -> tuple[int, int]:
        """Collateral and requirement at the present price without open orders."""
        owned, owed = self.at(self.contract.price)
        price, top, under = self.contract.price, self._top, self._under
        with_orders = self._size * price * top // under * self._ratio // BP
        return owned, owed - with_orders + abs(self._base) * price * top // under * ratio // BP


def safe_within(account: MarginAccount, *, health: int = 0) -> dict[str, tuple[int, int]] | None:
    """By symbol, lowest and highest prices: wherever each is between its own, the account is not liquidatable.

    Nor is its health then below so much of a hundred. None where no such prices are found around the present ones, or where more
    counts than quote coins and contracts without extras. What a contract adds, less what it needs, is concave in its own price and
    knows no other, so it is least at an end; what is rounded on the way is left over.
    """
    plain = account.quote_price == PPM and not (account.high_leverage or account.per_order)
    if not plain or health >= 100 or len(account.coins) > 1 or any(not one.is_quote or one.oracle for one in account.coins):
        return None
    keys = {one.key for one in account.contracts}
    if len(keys) < len(account.contracts) or any(one.isolated is not None or one.expired for one in account.contracts):
        return None
    cash, keep = account.coins[0].units if account.coins else 0, BP - 100 * health
    alone = [Lone(0, one, account.quote_scale) for one in account.contracts]
    for part in _PARTS:
        left = cash * (keep if cash > 0 else BP)
        found: dict[str, tuple[int, int]] = {}
        for one in alone:
            price = one.contract.price
            ends = max(1, price - price // part), price + price // part
            left += min([gain * keep - need * BP for gain, need in map(one.at, ends)]) - 8 * BP
            found[one.contract.symbol] = ends
        if left >= 0:
            return found
    return None


_PARTS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Parts of a price by which it may move: the largest that is safe is taken."""


def liquidation_tick(account: MarginAccount, symbol: str, tick: int) -> int | None:
    """The price on the tick, nearest to the present one and against the position, at which the account can be liquidated.

    Exact: `liquidatable(account.at(symbol, price))` is true there and false one tick nearer, with size premium, weighted
    gains, coins of the same oracle and every other contract in it. None when no positive price does it, or when there is
    no position. An account that is already liquidatable answers its present price, rounded against the position.

    Free collateral is concave in the price, so there is at most one such place in a direction. Only where a tick moves
    an account by less than the rounding of its parts can the verdict flicker; the answer is then one of these flips.
    """
    whole(tick, "a tick", 1)
    lone = Lone.of(account)
    mine = account if lone is not None else account.bucket(symbol)
    contract = mine.contract(symbol)
    if contract.base == 0:
        return None
    side = 1 if contract.base < 0 else -1
    start = divide(contract.price, tick, Rounding.CEIL if side > 0 else Rounding.FLOOR)

    def broken(steps: int) -> bool:
        price = (start + side * steps) * tick
        return liquidatable(mine.at(symbol, price)) if lone is None else lone.broken(price)

    if liquidatable(mine) if lone is None else lone.broken(contract.price):
        return max(1, start) * tick
    if start == 0:
        return None
    if broken(0):
        return start * tick
    last = start - 1 if side < 0 else 2 * start * 2**200
    if side < 0 and (last < 1 or not broken(last)):
        return None  # concave, and safe at both ends
    closed = liquidation_price(account, symbol) if lone is None else lone.closed()
    safe, far = 0, min(last, 1) if closed is None else min(last, max(1, abs(closed - contract.price) // tick))
    # the closed form is mostly a tick or two away: step from it in growing strides before halving what is left
    stride = 1
    while not broken(far):
        if far == last:
            return None
        safe, far, stride = far, min(last, far + stride), 2 * stride
    stride = 1
    while far - safe > 2 * stride:
        if not broken(far - stride):
            safe = far - stride
            break
        far, stride = far - stride, 2 * stride
    while far - safe > 1:
        middle = (safe + far) // 2
        if broken(middle):
            far = middle
        else:
            safe = middle
    return (start + side * far) * tick
