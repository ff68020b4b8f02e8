"""Caps: gates that limit how much a sleeve, or a whole core vault, may have at stake, and how often it may order.

They are gates like those of `sleeves.gates` and `sleeves.guards`: off until they are handed to
`Desk.assign(..., gates=...)`, they fail closed, and none of them ever stands in the way of an exit: they judge only what
takes new risk (`gates.opens`). Exactly the cap passes.

    gate          reason codes                           caps
    position_cap  position_cap, unknown_position         what a sleeve has of one coin, or of one contract
    exposure_cap  exposure, joint_exposure,              all that a sleeve has, and all that the sleeves of its vault have
                  unknown_exposure
    order_rate    order_rate                             orders of new risk in a window of time

What is at stake, in units of the vault's asset, rounded up:

    coins      all that trades brought, through whichever market, at the ask of the dearest of their markets in that asset
    buys       what is set aside for open ones, their worst price with fees; the order that is judged likewise
    contracts  at their mark, with all open orders and this one filled; those of several sleeves as the venue nets them

An order of a bundle is judged as if the legs before it were filled. What cannot be valued, because a price is missing or
old, is not known, and refuses. This module knows nothing of who set a cap, nor why; the breakers that watch a desk while
nobody orders are in `sleeves.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from attrs import field, frozen

from .errors import InvalidAmount
from .gates import cap_units, check_cap, opens, refuse, unpriced, whole
from .ledger import Account, Role
from .margin import Contract, MarginAccount
from .market import SECOND
from .money import AmountLike, Asset, Rounding, decimal_text, divide
from .orders import Place, Side
from .protocols import View
from .records import Refusal
from .sleeve import Sleeve
from .state import MOST_SENT
from .vault import EngineVault

__all__ = ["ExposureCap", "OrderRate", "PositionCap"]


def _money(units: int, asset: Asset) -> str:
    return decimal_text(units, asset.scale)


@frozen
class PositionCap:
    """What a sleeve has of the coin, or the contract, that it orders is worth at most this: `PositionCap("1000")`.

    As coins of the vault's asset, or as a part of what the vault has put into the sleeve: "30%". A coin counts through all
    markets that it is traded on, a contract by itself and on the side of the order. Raises `InvalidAmount` unless the cap
    is exact and above zero.
    """

    most: AmountLike

    def __attrs_post_init__(self) -> None:
        check_cap(self.most, "position cap")

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        asset = vault.sleeve.asset
        stake = _of_coin(place, view, vault.sleeve) if place.instrument.contract is None else _of_contract(place, view)
        if stake is None:
            return refuse("position_cap", "unknown_position", place, view, vault, lacks=unpriced(place, view, vault))
        most = cap_units(self.most, view.capital(), asset)
        if stake <= most:
            return None
        return refuse("position_cap", "position_cap", place, view, vault, position=_money(stake, asset), most=_money(most, asset))


def _of_coin(place: Place, view: View, sleeve: Sleeve) -> int | None:
    """What a sleeve has of the coin that it buys, with its open buys of it and this one; None while not known."""
    market, ledger = place.instrument, sleeve.vault.books.ledger
    needed = view.hold(place)
    if needed is None:
        return None
    spent = {market.quote: needed}
    for order in view.orders():
        other = order.place.instrument
        if order.place.side is Side.BUY and other.contract is None and other.base == market.base:
            held = ledger.units(Account(sleeve.name, Role.HELD, order.id), other.quote)
            spent[other.quote] = spent.get(other.quote, 0) + held
    worths = [_value(_has(market.base, view, sleeve), market.base, view, sleeve)]
    worths += [_value(units, coin, view, sleeve) for coin, units in spent.items()]
    return _sum(worths)


def _of_contract(place: Place, view: View) -> int | None:
    """What a sleeve has of a contract on the side of an order, with all open orders of that side filled; None while not known."""
    account = view.exposure(place)
    if account is None:
        return None
    one = account.contract(place.instrument.symbol)
    return _worth(one, one.base + one.bids if place.side is Side.BUY else one.base - one.asks, account.quote_scale)


@frozen
class ExposureCap:
    """All that a sleeve has at stake is worth at most `most`, and what all sleeves of its vault have at most `joint`.

    Each as coins of the vault's asset, or as a part of what the vault has put into the sleeve, or into all of them: "150%".
    Either may be left out:

        ExposureCap("3000")    ExposureCap("100%", joint="10000")    ExposureCap(joint="80%")

    What a bundle under way has not sent yet counts with what is set aside for it, and so do other sleeves' open orders of
    contracts besides their worth. Raises `InvalidAmount` unless what is given is exact and above zero, and when nothing is.
    """

    most: AmountLike | None = None
    joint: AmountLike | None = None

    def __attrs_post_init__(self) -> None:
        if self.most is None and self.joint is None:
            raise InvalidAmount("an exposure cap is of a sleeve, of all sleeves together (joint=...), or of both: this one caps nothing")
        for most, what in ((self.most, "exposure cap"), (self.joint, "joint exposure cap")):
            if most is not None:
                check_cap(most, what)

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        mine = vault.sleeve
        together = list(mine.vault.sleeves.values())
        alone = None if self.most is None else _Stake.of(self.most, [mine], place, view, mine, view.exposure)
        joint = None if self.joint is None else _Stake.of(self.joint, together, place, view, mine, view.joint_exposure)
        for one in (alone, joint):
            if one is not None and one.units is None:
                return refuse("exposure_cap", "unknown_exposure", place, view, vault, lacks=unpriced(place, view, vault))
        if alone is not None and alone.over:
            return refuse("exposure_cap", "exposure", place, view, vault, **alone.numbers(mine.asset))
        if joint is not None and joint.over:
            return refuse("exposure_cap", "joint_exposure", place, view, vault, sleeves=len(together), **joint.numbers(mine.asset))
        return None


@frozen
class _Stake:
    """What is at stake, None while not known, against what may be."""

    units: int | None
    most: int

    @classmethod
    def of(
        cls,
        cap: AmountLike,
        sleeves: Sequence[Sleeve],
        place: Place,
        view: View,
        mine: Sleeve,
        account: Callable[[Place | None], MarginAccount | None],
    ) -> _Stake:
        """That of these sleeves with an order of one of them, `mine`; `account` shows their contracts with it."""
        asset, net_flow = mine.asset, mine.vault.books.ledger.net_flow
        contracts = _in_contracts(account(None if place.instrument.contract is None else place))
        units = _sum([_in_coins(place, view, mine, sleeves), contracts])
        return cls(units, cap_units(cap, sum(net_flow(one.name, asset) for one in sleeves), asset))

    @property
    def over(self) -> bool:
        return self.units is not None and self.units > self.most

    def numbers(self, asset: Asset) -> dict[str, str]:
        return {"exposure": _money(self.units or 0, asset), "most": _money(self.most, asset)}


def _in_coins(place: Place, view: View, mine: Sleeve, sleeves: Iterable[Sleeve]) -> int | None:
    """What sleeves have in coins, and what is set aside for their orders and this one; None while not known.

    Without what is set aside for open contracts of the sleeve's own: those count by their worth.
    """
    units = 0 if place.instrument.contract is not None else view.needs(place)
    if units is None:
        return None
    for order in view.orders():
        if order.place.instrument.contract is not None:
            units -= mine.vault.books.ledger.units(Account(mine.name, Role.HELD, order.id), mine.asset)
    coins: dict[Asset, int] = {}
    for sleeve in sleeves:
        units += sleeve.held_units()
        for coin in _traded(sleeve):
            has = _has(coin, view, sleeve) if sleeve is mine else max(0, sum(qty for _, qty in sleeve.kept(coin)))
            coins[coin] = coins.get(coin, 0) + has
    return _sum([units, *(_value(has, coin, view, mine) for coin, has in coins.items())])


def _in_contracts(account: MarginAccount | None) -> int | None:
    """What contracts are worth with all open orders filled, each whichever way makes more of it; None while not known."""
    return None if account is None else sum(_worth(one, one.worst, account.quote_scale) for one in account.contracts)


def _worth(contract: Contract, base: int, quote_scale: int) -> int:
    """So many base units of a contract, long or short, at its mark in quote units, rounded up."""
    over = int(10 ** (contract.base_scale + contract.price_scale))
    return divide(abs(base) * contract.price * int(10**quote_scale), over, Rounding.CEIL)


def _traded(sleeve: Sleeve) -> set[Asset]:
    """The coins that a sleeve can have through trades: the bases of all spot markets that the books know, its own aside."""
    known = sleeve.vault.books.instruments.values()
    return {market.base for market in known if market.contract is None and market.base != sleeve.asset}


def _has(coin: Asset, view: View, sleeve: Sleeve) -> int:
    """Units of a coin that the view's own sleeve has, offered ones and those of assumed legs too."""
    market = next(one for one in sleeve.vault.books.instruments.values() if one.contract is None and one.base == coin)
    return view.sellable(market) + sleeve.held_units(coin)


def _value(units: int, coin: Asset, view: View, sleeve: Sleeve) -> int | None:
    """Units of a coin in units of the sleeve's asset, at the ask of the dearest market with a fresh price; None for none."""
    if coin == sleeve.asset or not units:
        return units
    worths = []
    for market in sleeve.vault.books.instruments.values():
        if market.contract is None and market.base == coin and market.quote == sleeve.asset:
            book = view.book_of(market)
            if book is not None and not book.stale(view.now):
                worths.append(market.cost(book.ask, units, Rounding.CEIL))
    return max(worths, default=None)


def _sum(worths: Iterable[int | None]) -> int | None:
    """The sum; None when one is not known."""
    total = 0
    for worth in worths:
        if worth is None:
            return None
        total += worth
    return total


@frozen
class OrderRate:
    """At most so many orders of new risk within a window of time: `OrderRate(10, HOUR)`, and beside it `OrderRate(50, DAY)`.

    Counted are those that were sent, by whoever they were ordered: what a gate refused does not count, what the venue
    rejected does. An order that was sent exactly `window_ns` ago does not count any more. A bundle counts with each of its
    legs that takes new risk. Raises `InvalidAmount` unless `most` is a whole number from 1 to `state.MOST_SENT`, which is how
    many are remembered, and the window a whole number of nanoseconds above zero.
    """

    most: int = field(validator=whole("most", 1, MOST_SENT))
    window_ns: int = field(validator=whole("window_ns", 1))

    def __call__(self, place: Place, view: View, vault: EngineVault) -> Refusal | None:
        if not opens(place, view):
            return None
        sent = view.sent_since(view.now - self.window_ns + 1)
        if sent < self.most:
            return None
        return refuse("order_rate", "order_rate", place, view, vault, sent=sent, most=self.most, window_s=self.window_ns / SECOND)
