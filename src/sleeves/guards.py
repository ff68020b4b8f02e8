"""Guards: gates for live money, that weigh a wish against its cost, the venue, the wallet, the account and the coin.

They are gates like those of `sleeves.gates`: None, or a `Refusal` with a reason code and the numbers that decided. All
are off until they are handed to `Desk.assign(..., gates=...)`. They fail closed, and none of them ever stands in the
way of an exit: they judge only what takes new risk (`gates.opens`).

    gate         reason codes                         guards
    profit       unprofitable, no_expectation,        what a trade is expected to bring covers what it costs
                 no_price
    latency      latency, no_latency, stale_latency   a venue that answers in time
    gas_reserve  gas_reserve, no_price                the coins that pay for transactions, also for those of the exit
    health_after health, joint_health, stale_price    the account, and the sleeve alone, stay far from liquidation
    leverage     leverage, stale_price                contracts over equity, stricter than the desk's own limit
    one_engine   other_engine                         one sleeve of a vault at a time
    account_age  never_reconciled, stale_account      books that were held against the venue lately
    slippage     spread, worst_price, no_price        prices that are close together, and limits that are close to them
    token_safety no_facts, stale_facts, liquidity,    coins of which nobody can make more or lock them, that can be sold
                 mint_authority, freeze_authority,    again and are not in a few hands
                 top_holders, no_price

A gate answers at once, so the confirmation of an order by a human is none: it needs a command, a time limit and somebody
who is asked. This module knows nothing of where latency is measured, nor of what the engine's expectation rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from attrs import evolve, field, frozen

from .errors import InvalidAmount
from .gates import FINEST, opens, refuse, unpriced, whole
from .ledger import Role
from .margin import MarginAccount, equity, health_bp, notional
from .market import BP, HOUR, MINUTE, SECOND
from .money import PPM, Amount, AmountLike, Asset, Fraction, Rounding, decimal_text, divide, parse_units, ppm
from .news import Reading, TokenFacts
from .orders import Place, Side
from .protocols import View
from .records import Refusal
from .vault import EngineVault

__all__ = ["AccountAge", "GasReserve", "HealthAfter", "Latency", "Leverage", "OneEngine", "Profit", "Slippage", "TokenSafety"]


def _money(units: int, asset: Asset) -> str:
    return decimal_text(units, asset.scale)


def _rate(value: Fraction, what: str) -> int:
    """A rate of 0% to 100% as parts per million, or `InvalidAmount`."""
    units = ppm(value, what)
    if not 0 <= units <= PPM:
        raise InvalidAmount(f"{what} {value!r} must lie between 0% and 100%")
    return units


def _check_charge(value: AmountLike, what: str) -> None:
    """Raise `InvalidAmount` unless it is an exact amount, of any asset or of none, that is not negative."""
    units = value.units if isinstance(value, Amount) else parse_units(value, FINEST, what)
    if units < 0:
        raise InvalidAmount(f"{what} {value} must not be negative")


def _plain(value: AmountLike, asset: Asset) -> int:
    """An amount that names no coin, in units of the vault's asset, rounded up."""
    assert not isinstance(value, Amount)
    return divide(parse_units(value, FINEST), int(10 ** (FINEST - asset.scale)), Rounding.CEIL)


def _derive(gate: object, **values: int) -> None:
    """Note what follows from a frozen gate's parameters."""
    for name, value in values.items():
        object.__setattr__(gate, name, value)


def _legs(place: Place, view: View) -> tuple[Place, ...]:
    """The whole bundle that is judged; of a lone order that order."""
    return tuple(view.legs) or (place,)


def _in(asset: Asset, coin: Asset, units: int, view: View, rounding: Rounding) -> int | None:
    """Units of a coin in units of the vault's asset; None while no fresh price says what they are."""
    if coin == asset or not units:
        return units
    market = view.home(coin)
    book = None if market is None else view.book_of(market)
    if market is None or book is None or book.stale(view.now):
        return None
    return market.cost(book.ask if (units > 0) is (rounding is Rounding.CEIL) else book.bid, units, rounding)


def _weights(revenue: int, cost: int, asset: Asset) -> dict[str, object]:
    return {"revenue": _money(revenue, asset), "cost": _money(cost, asset), "net": _money(revenue - cost, asset)}


@frozen
class Profit:
    """What is expected must cover what it costs. Equal is enough.

    Revenue is `Place.expect` times `part`: half of it by default, because the rate that it rests on may not last. The
    cost is the notional times `fee` and `slippage`, rounded up, with `tip` and `base_fee` once:

        Profit(fee="0.02%", slippage="0.1%", tip=SOL("0.00001"), base_fee="0.00075")

    Both are coins of the vault's asset, or amounts of another coin, such as the tip, that are brought into it at the ask
    of the coin's `view.home`; so is a leg that is quoted in another coin. A bundle is judged whole: what its legs expect
    together, and what all of them cost, also those that close something; each leg that takes new risk gets the same
    answer. A wish that says nothing about what it expects is refused.

    Raises `InvalidAmount` for a rate below 0% or above 100%, for a part that is not above 0%, and for a charge that is
    negative or no exact number.
    """

    fee: Fraction
    slippage: Fraction = "0%"
    tip: AmountLike = 0
    base_fee: AmountLike = 0
    part: Fraction = "50%"
    _cost_ppm: int = field(init=False, repr=False, eq=False)
    _part_ppm: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        part = _rate(self.part, "the part of what is expected")
        if not part:
            raise InvalidAmount(f"the part of what is expected, {self.part!r}, must be above 0%: nothing would ever pass")
        _check_charge(self.tip, "tip")
        _check_charge(self.base_fee, "base fee")
        _derive(self, _cost_ppm=_rate(self.fee, "fee") + _rate(self.slippage, "slippage"), _part_ppm=part)

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        legs, asset = _legs(place, view), vault.sleeve.asset
        if all(leg.expect is None for leg in legs):
            return refuse("profit", "no_expectation", place, view, vault, legs=len(legs))
        weighed = self._weigh(legs, view, asset)
        if weighed is None:
            return refuse("profit", "no_price", place, view, vault, lacks=self._lacks(legs, view, asset))
        revenue, cost = weighed
        if revenue >= cost:
            return None
        return refuse("profit", "unprofitable", place, view, vault, **_weights(revenue, cost, asset))

    def notes(self, place: Place, view: View, vault: EngineVault) -> dict[str, str]:
        """Revenue, cost and net of what it let pass, for the journal."""
        asset = vault.sleeve.asset
        weighed = self._weigh(_legs(place, view), view, asset)
        return {} if weighed is None else {name: str(value) for name, value in _weights(*weighed, asset).items()}

    def _weigh(self, legs: Sequence[Place], view: View, asset: Asset) -> tuple[int, int] | None:
        """(the revenue that counts, the cost), in units of the vault's asset; None while a price is missing."""
        told = [(leg.instrument.quote, leg.expect) for leg in legs if leg.expect is not None]
        costs = [self._cost(leg, view, asset) for leg in legs]
        costs += [self._charged(charge, view, asset) for charge in (self.tip, self.base_fee)]
        expected = [_in(asset, quote, units, view, Rounding.FLOOR) for quote, units in told]
        known_costs = [units for units in costs if units is not None]
        known = [units for units in expected if units is not None]
        if len(known_costs) < len(costs) or len(known) < len(expected):
            return None
        return divide(sum(known) * self._part_ppm, PPM, Rounding.FLOOR), sum(known_costs)

    def _cost(self, leg: Place, view: View, asset: Asset) -> int | None:
        """Fee and slippage of a leg at its own price; a sale that the market pays more for, at the market's."""
        market, price = leg.instrument, leg.limit or leg.stop or 0
        book = view.book_of(market)
        if book is None:
            return None
        price = (price or book.ask) if leg.side is Side.BUY else max(price, book.bid)
        times, over = market.ratio
        units = divide(price * leg.qty * times * self._cost_ppm, over * PPM, Rounding.CEIL)
        return _in(asset, market.quote, units, view, Rounding.CEIL)

    def _lacks(self, legs: Sequence[Place], view: View, asset: Asset) -> str:
        """What has no fresh price: the legs' instruments, and the coins that they, or a charge, are paid in."""
        lacks = [str(leg.instrument) for leg in legs if view.book_of(leg.instrument) is None]
        charges = [one.asset for one in (self.tip, self.base_fee) if isinstance(one, Amount)]
        coins = dict.fromkeys([*(leg.instrument.quote for leg in legs), *charges])
        return ", ".join([*lacks, *(str(coin) for coin in coins if _in(asset, coin, 1, view, Rounding.CEIL) is None)])

    def _charged(self, charge: AmountLike, view: View, asset: Asset) -> int | None:
        if isinstance(charge, Amount):
            return _in(asset, charge.asset, charge.units, view, Rounding.CEIL)
        return _plain(charge, asset)


@frozen
class Latency:
    """The venue answers within so many milliseconds, as the outside reading named `topic` says.

    No reading, or one older than `age_ns` or from the future, refuses: what was not measured is not fast. Raises
    `InvalidAmount` unless `most_ms` and `age_ns` are whole numbers above zero and the topic is a name.
    """

    most_ms: int = field(default=500, validator=whole("most_ms", 1))
    topic: str = "latency"
    age_ns: int = field(default=MINUTE, validator=whole("age_ns", 1))

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.topic, str) or not self.topic:
            raise InvalidAmount(f"latency is read from a reading's name, not from {self.topic!r}")

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        reading = view.news(Reading, self.topic)
        if reading is None:
            return refuse("latency", "no_latency", place, view, vault, topic=self.topic)
        age = view.now - reading.at
        if not 0 <= age <= self.age_ns:
            return refuse("latency", "stale_latency", place, view, vault, age_s=age / SECOND, limit_s=self.age_ns / SECOND)
        if 0 <= reading.value <= self.most_ms:
            return None
        return refuse("latency", "latency", place, view, vault, latency_ms=reading.value, limit_ms=self.most_ms)


@frozen
class GasReserve:
    """The wallet keeps coins to pay for transactions: `GasReserve(SOL, "0.017")`.

    All coins of that kind in the vault's wallet count, less those that are held for open orders, before this order and
    after it: of a bundle, after each of its legs. So an order that buys the coin is refused too while there is too
    little to send it with. Raises `InvalidAmount` unless the coin is an Asset and the least an exact amount of it that
    is not negative.
    """

    coin: Asset
    least: AmountLike
    _least: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.coin, Asset):
            raise InvalidAmount(f"transactions are paid with an Asset such as sleeves.SOL, not with {self.coin!r}")
        _derive(self, _least=self.coin(self.least).units)
        if self._least < 0:
            raise InvalidAmount(f"the gas reserve {self.coin(self.least)} must not be negative")

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        there = lowest = self._loose(vault)
        for leg in _legs(place, view):
            change = self._change(leg, view)
            if change is None:
                return refuse("gas_reserve", "no_price", place, view, vault, lacks=leg.instrument)
            there += change
            lowest = min(lowest, there)
        if lowest >= self._least:
            return None
        left, kept = _money(lowest, self.coin), _money(self._least, self.coin)
        return refuse("gas_reserve", "gas_reserve", place, view, vault, coin=self.coin, left=left, least=kept)

    def _loose(self, vault: EngineVault) -> int:
        """Coins of the wallet that no open order holds, in units."""
        core = vault.sleeve.vault
        books = core.books
        units = books.coins(core.wallet, leaving=False).get(self.coin, 0)
        for owner, wallet in books.wallets.items():
            if wallet == core.wallet:
                units -= books.ledger.total(owner, Role.HELD, self.coin)
        return units

    def _change(self, leg: Place, view: View) -> int | None:
        """What a leg brings of the coin, or takes; None while that is not known. Contracts are no coins."""
        market = leg.instrument
        if market.contract is not None or self.coin not in (market.base, market.quote):
            return 0
        if self.coin == market.base:
            return leg.side.sign * leg.qty
        if leg.side is Side.BUY:
            spent = view.hold(leg)
            return None if spent is None else -spent
        book = view.book_of(market)
        return None if book is None else market.cost(leg.limit or leg.stop or book.bid, leg.qty, Rounding.FLOOR)


@frozen
class HealthAfter:
    """With this order filled, the account together and the sleeve alone have at least this health, 0 to 100.

    Contracts are moved into the position at the order's own price, or at the present one where that is worse for it, and
    pay `fee`; other open orders count as `margin.health` counts them. A buy of coins is judged as well while there are
    contracts, because it spends what stands behind them; the bought coins count where the account already shows such
    coins as collateral. Nothing is rounded up to the threshold.

    Raises `InvalidAmount` for a health that is no whole number from 0 to 100, and for a fee below 0% or above 100%.
    """

    least: int = field(default=60, validator=whole("the least health", 0, 100))
    fee: Fraction = "0.4%"
    _fee_ppm: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _derive(self, _fee_ppm=_rate(self.fee, "fee"))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        own, joint = view.exposure(place), view.joint_exposure(place)
        filled = _filling(place, view, self._fee_ppm, vault.sleeve.asset)
        if own is None or joint is None or filled is None:
            return refuse("health_after", "stale_price", place, view, vault, lacks=unpriced(place, view, vault))
        alone, together = health_bp(filled(own)), health_bp(filled(joint))
        if alone < self.least * 100:
            return refuse("health_after", "health", place, view, vault, health=decimal_text(alone, 2), least=self.least)
        if together < self.least * 100:
            return refuse("health_after", "joint_health", place, view, vault, health=decimal_text(together, 2), least=self.least)
        return None


def _filling(place: Place, view: View, fee_ppm: int, asset: Asset) -> Callable[[MarginAccount], MarginAccount] | None:
    """What fills an order in an account that shows it as open, whole and with its fee paid; None while it has no price."""
    market, qty, sign = place.instrument, place.qty, place.side.sign
    book = view.book_of(market)
    if book is None:
        return None
    price = place.limit or place.stop or (book.ask if sign > 0 else book.bid)
    price = max(price, book.mid) if sign > 0 else min(price, book.mid)
    cost = market.cost(price, qty, Rounding.CEIL if sign > 0 else Rounding.FLOOR)
    received = -sign * cost - divide(cost * fee_ppm, PPM, Rounding.CEIL)

    def coins(account: MarginAccount) -> MarginAccount:
        aside = bool(view.legs) and market.quote == asset  # what a bundle pays for coins has left the account that a gate sees
        moved = {market.base.code: sign * qty, market.quote.code: 0 if aside else received}
        return evolve(account, coins=tuple(evolve(one, units=one.units + moved.get(one.code, 0)) for one in account.coins))

    def contracts(account: MarginAccount) -> MarginAccount:
        one = account.contract(market.symbol)
        bids, asks = (one.bids - qty, one.asks) if sign > 0 else (one.bids, one.asks - qty)
        after = evolve(one, base=one.base + sign * qty, quote=one.quote + received, bids=bids, asks=asks)
        return evolve(account, contracts=tuple(after if other is one else other for other in account.contracts))

    return coins if market.contract is None else contracts


@frozen
class Leverage:
    """With all open orders and this one filled, the sleeve's contracts are worth at most so many times its equity.

    The same figure that the desk's `most_leverage` caps, for an engine that is to keep below it: 5 in live trading, say,
    at a desk that allows 10. Exactly that much passes. Raises `InvalidAmount` unless it is an exact number above zero.
    """

    most: str | int | Decimal = "5"
    _most_bp: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _derive(self, _most_bp=parse_units(self.most, 4, "leverage"))
        if self._most_bp <= 0:
            raise InvalidAmount(f"leverage {self.most} must be above zero")

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if place.instrument.contract is None or not opens(place, view):
            return None
        own = view.exposure(place)
        if own is None:
            return refuse("leverage", "stale_price", place, view, vault, lacks=unpriced(place, view, vault))
        worth, most = equity(own), decimal_text(self._most_bp, 4)
        owed = sum(notional(one, one.worst, quote_scale=own.quote_scale) for one in own.contracts)
        if worth > 0 and owed * BP <= self._most_bp * worth:
            return None
        now = "none" if worth <= 0 else decimal_text(divide(owed * BP, worth, Rounding.CEIL), 4)
        return refuse("leverage", "leverage", place, view, vault, leverage=now, most=most)


@frozen
class OneEngine:
    """One sleeve of a core vault at a time: no new risk while another has a position, or money held for orders.

    What is less than a venue's least order is no position. Every sleeve has its own money here, so nothing is gained by
    it but quiet: isolation does what this rule was for.
    """

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        mine = vault.sleeve
        ledger = mine.vault.books.ledger
        for name, other in mine.vault.sleeves.items():
            if other is mine:
                continue
            if not other.is_flat():
                return refuse("one_engine", "other_engine", place, view, vault, other=name, has="a position")
            if any(account.role is Role.HELD and units for account, _, units in ledger.cells(name)):
                return refuse("one_engine", "other_engine", place, view, vault, other=name, has="open orders")
        return None


@frozen
class AccountAge:
    """The books were held against the venue (`recovery.reconcile`) within `age_ns` of this order, before or after.

    Ten minutes by default: twice what `live.trade` waits between two. It says only that somebody looked; what was found
    then is for the `status` gate. Never looked: refused. Raises `InvalidAmount` unless it is a whole number above zero.
    """

    age_ns: int = field(default=10 * MINUTE, validator=whole("age_ns", 1))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        core = vault.sleeve.vault
        last = core.books.reconciled.get(core.wallet)
        if last is None:
            return refuse("account_age", "never_reconciled", place, view, vault, wallet=core.wallet)
        if abs(view.now - last) <= self.age_ns:
            return None
        age, limit = (view.now - last) / SECOND, self.age_ns / SECOND
        return refuse("account_age", "stale_account", place, view, vault, wallet=core.wallet, age_s=age, limit_s=limit)


@frozen
class Slippage:
    """No order pays much more than the middle of bid and ask: `Slippage("0.5%", spread="0.2%")`. Exactly so much passes.

    An order at market is refused while the spread is more than `spread` of the middle. An order with a limit is refused
    when that lies more than `most` of the middle on the side that it pays: a slip of the finger, or a price long gone. A
    stop with a limit is judged by the distance between the two; one without is at market when its price comes, and the
    desk sends it with a worst price of its own (`booking.Allowance`). Raises `InvalidAmount` for a rate below 0% or above
    100%.
    """

    most: Fraction = "1%"
    spread: Fraction = "1%"
    _most_ppm: int = field(init=False, repr=False, eq=False)
    _spread_ppm: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _derive(self, _most_ppm=_rate(self.most, "slippage"), _spread_ppm=_rate(self.spread, "spread"))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        market, book = place.instrument, view.book_of(place.instrument)
        if book is None:
            return refuse("slippage", "no_price", place, view, vault, lacks=market)
        twice = book.bid + book.ask
        if place.limit is None:
            if place.stop is not None or 2 * (book.ask - book.bid) * PPM <= self._spread_ppm * twice:
                return None
            spread, most = _percent(2 * (book.ask - book.bid), twice), _percent(self._spread_ppm, PPM)
            return refuse("slippage", "spread", place, view, vault, spread=spread, most=most)
        twice = twice if place.stop is None else 2 * place.stop
        beyond = place.side.sign * (2 * place.limit - twice)
        if beyond * PPM <= self._most_ppm * twice:
            return None
        numbers = {"beyond": _percent(beyond, twice), "most": _percent(self._most_ppm, PPM)}
        return refuse("slippage", "worst_price", place, view, vault, limit=market.price_text(place.limit), **numbers)


def _percent(part: int, of: int) -> str:
    """A part in percent, rounded up to the sixth decimal place."""
    return decimal_text(divide(part * 100 * PPM, of, Rounding.CEIL), 6) + "%"


def _assets(given: object) -> tuple[Asset, ...]:
    if not isinstance(given, (list, tuple, set, frozenset)) or not all(isinstance(one, Asset) for one in given):
        raise InvalidAmount(f"trusted coins are a list of Assets such as [sleeves.SOL], not {given!r}")
    return tuple(given)


@frozen
class TokenSafety:
    """A coin is bought only if nobody can make more of it or lock it, it can be sold again, and no few hold most of it.

    `TokenSafety("100000", top_holders="30%", trusted=[SOL])` reads the latest `TokenFacts` about the coin: no mint and no
    freeze authority, pools that hold at least `liquidity` coins of the vault's asset, and the ten largest holders at most
    `top_holders` of it all. What nobody looked at within `age_ns`, or only in a time to come, refuses. The facts of `trusted`
    coins are not asked for: an issuer that you trust, such as of a dollar coin, keeps both authorities. Contracts are no
    coins. Whether a coin can be sold at all is seen only by selling some.

    Raises `InvalidAmount` unless the liquidity is exact and not negative, the share from 0% to 100%, the age a whole number
    above zero, and trusted are Assets.
    """

    liquidity: AmountLike = "100000"
    top_holders: Fraction = "30%"
    age_ns: int = field(default=HOUR, validator=whole("age_ns", 1))
    trusted: Sequence[Asset] = field(default=(), converter=_assets)
    _top_ppm: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _check_charge(self.liquidity, "liquidity")
        _derive(self, _top_ppm=_rate(self.top_holders, "top holders"))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        coin, asset = place.instrument.base, vault.sleeve.asset
        if place.instrument.contract is not None or coin in self.trusted or not opens(place, view):
            return None
        facts = view.news(TokenFacts, coin.code)
        if facts is None or facts.coin != coin:
            return refuse("token_safety", "no_facts", place, view, vault, coin=coin)
        age = view.now - facts.at
        if not 0 <= age <= self.age_ns:
            return refuse("token_safety", "stale_facts", place, view, vault, coin=coin, age_s=age / SECOND, limit_s=self.age_ns / SECOND)
        if facts.mint_authority:
            return refuse("token_safety", "mint_authority", place, view, vault, coin=coin, source=facts.source or "unknown")
        if facts.freeze_authority:
            return refuse("token_safety", "freeze_authority", place, view, vault, coin=coin, source=facts.source or "unknown")
        there = _in(asset, facts.liquidity.asset, facts.liquidity.units, view, Rounding.FLOOR)
        if there is None:
            return refuse("token_safety", "no_price", place, view, vault, coin=coin, lacks=facts.liquidity.asset)
        least = asset(self.liquidity).units if isinstance(self.liquidity, Amount) else _plain(self.liquidity, asset)
        if there < least:
            return refuse(
                "token_safety", "liquidity", place, view, vault, coin=coin, there=_money(there, asset), least=_money(least, asset)
            )
        if facts.top_holders_ppm > self._top_ppm:
            share, most = _percent(facts.top_holders_ppm, PPM), _percent(self._top_ppm, PPM)
            return refuse("token_safety", "top_holders", place, view, vault, coin=coin, share=share, most=most)
        return None
