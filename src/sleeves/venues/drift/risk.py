"""What a sub-account is worth and what it needs, in the program's own figures: from its accounts, the markets' and the oracles'.

    account_of   the accounts of one slot as `margin.MarginAccount`, whose pure functions give every figure; the simulator uses the same
    figures_of   all figures at once: `Figures`; each of initial and maintenance from its own check, and never from the other's
    price_of     an oracle's price with its age, and whether the program itself would rely on it (`Validity`)
    funding_quotes   what the markets pay, as ratios of the oracle's average: the program writes quote coins per base coin

Rules are protocol-v2's (`math/margin.rs`, `math/oracle.rs`, `state/perp_market.rs`) and the like ones of Velocity. Prices are those of
the exchange's oracle, as in the program; the market's own price and its market makers' oracle count nowhere here. Interest and
funding count as the program has written them down last.

It reads no account's bytes, asks nobody, and repairs nothing: where an oracle is missing or says no price, no figure is made and the
error says which; where a price is too old, too unsure or too far from its average, the figures say so (`Figures.doubts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from fractions import Fraction
from typing import Protocol

from attrs import evolve, field, frozen

from ...errors import InvalidMarket, VenueError, VenueUnavailable
from ...funding import next_update, payment
from ...funding_quotes import FundingQuote, ShareOf
from ...funding_quotes import Kind as QuoteKind
from ...margin import (
    Check,
    Coin,
    Contract,
    MarginAccount,
    Standing,
    Weights,
    asset_weight,
    equity,
    health,
    health_bp,
    leverage_bp,
    liability_weight,
    liquidatable,
    liquidation_price,
    liquidation_tick,
    max_withdrawable,
    notional,
    standing,
    unrealized,
)
from ...market import PPB, SECOND, Perpetual
from ...money import PPM, Rounding, divide
from ...settlement import claimable, net_user_pnl, pool_excess, token_amount
from .accounts import PerpMarket, PerpPosition, SpotMarket, SpotPosition, State, User
from .deployment import Deployment, Feature
from .oracles import Oracle
from .words import AssetTier, ContractTier, MarketStatus, OracleSource

__all__ = [
    "Figures",
    "NoPrice",
    "PerpFigures",
    "Price",
    "Seen",
    "SpotFigures",
    "Validity",
    "account_of",
    "coin_name",
    "contract_name",
    "figures_of",
    "funding_quote",
    "funding_quotes",
    "funding_ratio",
    "price_of",
    "settleable",
    "terms_of",
    "tokens",
    "validity",
    "withdrawable",
]

PER_ORDER = 10_000
"""Quote units of margin that every open order needs: one cent."""
GAIN_CAP = 100 * PPM
"""The most that one position's gain adds to initial collateral, in quote units."""

_PERP_DOUBT = {
    ContractTier.A: 1,
    ContractTier.B: 1,
    ContractTier.C: 2,
    ContractTier.SPECULATIVE: 10,
    ContractTier.HIGHLY_SPECULATIVE: 50,
    ContractTier.ISOLATED: 50,
}
"""How many times the guard rails' confidence an oracle of a perp market may be unsure by. Source: `state/perp_market.rs`."""
_SPOT_DOUBT = {AssetTier.COLLATERAL: 1, AssetTier.PROTECTED: 1, AssetTier.CROSS: 5, AssetTier.ISOLATED: 50, AssetTier.UNLISTED: 50}
"""The same for a coin. Source: velocity-v1 `state/spot_market.rs`."""
_SLOWER = frozenset({OracleSource.PYTH_STABLE_COIN, OracleSource.PYTH_STABLE_COIN_PULL, OracleSource.PYTH_LAZER_STABLE_COIN})
"""Stable coins may be three times as old. Source: protocol-v2 and velocity-v1 `math/oracle.rs`; of Lazer's at Drift v2 it is assumed."""


class NoPrice(VenueError):
    """An oracle is missing, or says what is no price: whatever it would price is not known."""


class Validity(Enum):
    """What the program makes of an oracle's price, the worst that is true of it."""

    NON_POSITIVE = "not above zero"
    TOO_VOLATILE = "too far from its average"
    TOO_UNCERTAIN = "too unsure"
    STALE_FOR_MARGIN = "too old"
    STALE_FOR_AMM = "too old for the market's own fills"
    VALID = "valid"

    @property
    def usable(self) -> bool:
        """Whether the program works out margin with it for whoever wants to add risk or take money out."""
        return self in (Validity.VALID, Validity.STALE_FOR_AMM)


class Seen(Protocol):
    """Accounts as of one slot, as whoever read them holds them."""

    @property
    def deployment(self) -> Deployment:
        """Whose accounts they are."""

    @property
    def slot(self) -> int:
        """The slot of the read."""

    @property
    def state(self) -> State:
        """The exchange."""

    @property
    def spots(self) -> Mapping[int, SpotMarket]:
        """Spot markets by index: the quote market, and each that a user stands in."""

    @property
    def perps(self) -> Mapping[int, PerpMarket]:
        """Perp markets by index: each that a user stands in."""

    def oracle(self, market: PerpMarket | SpotMarket) -> Oracle:
        """What a market's oracle says. Raises `VenueError` where it is not there, or is none."""


# -- prices -------------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Price:
    """An oracle's price (1e6) for one market. `age` is in slots, never below zero; `at` its time in ns where the oracle says it."""

    name: str
    oracle: str
    price: int
    confidence: int
    twap: int
    age: int
    at: int | None
    validity: Validity


def validity(oracle: Oracle, state: State, *, twap: int, slot: int, times: int) -> Validity:
    """What the program makes of a price at `slot`. `twap` is the market's own average of it, `times` what its tier multiplies doubt by.

    Each bound is the guard rails' own, and reached is not passed. Source: protocol-v2 `math/oracle.rs`.
    """
    rails = state.guard_rails
    if oracle.price <= 0:
        return Validity.NON_POSITIVE
    if max(oracle.price, twap) // max(1, min(oracle.price, twap)) > rails.too_volatile:
        return Validity.TOO_VOLATILE
    if oracle.confidence * PPM // oracle.price > rails.confidence * times:
        return Validity.TOO_UNCERTAIN
    age = max(0, slot - oracle.slot)
    if age > rails.stale_for_margin * (3 if oracle.source in _SLOWER else 1):
        return Validity.STALE_FOR_MARGIN
    return Validity.STALE_FOR_AMM if age > rails.stale_for_amm else Validity.VALID


def price_of(seen: Seen, market: PerpMarket | SpotMarket) -> Price:
    """The price of a market's oracle, whatever the program makes of it. Raises `NoPrice` where there is no such account."""
    try:
        oracle = seen.oracle(market)
    except VenueError as error:
        raise NoPrice(f"no price of {market.name}: {error}") from error
    times = _PERP_DOUBT[market.tier] if isinstance(market, PerpMarket) else _SPOT_DOUBT[market.tier]
    if oracle.source is OracleSource.QUOTE_ASSET:
        told = Validity.VALID if oracle.price > 0 else Validity.NON_POSITIVE
    else:
        told = validity(oracle, seen.state, twap=market.oracle_twap, slot=seen.slot, times=times)
    age = 0 if oracle.source is OracleSource.QUOTE_ASSET else max(0, seen.slot - oracle.slot)
    return Price(market.name, market.oracle, oracle.price, oracle.confidence, market.oracle_twap, age, oracle.at, told)


def _priced(seen: Seen, market: PerpMarket | SpotMarket) -> int:
    found = price_of(seen, market)
    if found.price <= 0:
        raise NoPrice(f"the oracle {found.oracle} of {market.name} says {found.price}: a price is above zero")
    return found.price


# -- the account --------------------------------------------------------------------------------------------------------------


def contract_name(market: PerpMarket) -> str:
    """What a perp market's contract is called in a `MarginAccount`: its name and number, since names are not unique."""
    return f"{market.name} #{market.index}"


def coin_name(market: SpotMarket) -> str:
    """What a coin is called in a `MarginAccount`."""
    return f"{market.name} ##{market.index}"


def _key(market: PerpMarket | SpotMarket) -> str:
    """What prices it: the oracle and how it is read, since one account may stand for a coin and for a thousand of it."""
    return f"{market.oracle} as {market.oracle_source.value}"


def tokens(position: SpotPosition, market: SpotMarket) -> int:
    """What a user has of a coin, in its units, below zero where it is borrowed: a deposit rounded down, a borrowing away from zero."""
    index = market.borrow_index if position.borrowed else market.deposit_index
    units = token_amount(position.balance, index, market.decimals, borrowed=position.borrowed)
    return -units if position.borrowed else units


def _average(market: SpotMarket) -> int:
    """The five-minute average that strict checks take; without one they cannot be made."""
    if market.twap_5min <= 0:
        raise NoPrice(f"the five-minute average of {market.name} is {market.twap_5min}: a price is above zero")
    return market.twap_5min


def _spot(seen: Seen, index: int) -> SpotMarket:
    if index not in seen.spots:
        raise VenueUnavailable(f"spot market {index} of {seen.deployment.name} was not read")
    return seen.spots[index]


def _perp(seen: Seen, index: int) -> PerpMarket:
    if index not in seen.perps:
        raise VenueUnavailable(f"perp market {index} of {seen.deployment.name} was not read")
    return seen.perps[index]


def _quote(seen: Seen) -> SpotMarket:
    return _spot(seen, seen.deployment.quote.market)


def _coin(seen: Seen, market: SpotMarket, position: SpotPosition | None) -> Coin:
    quote = market.index == seen.deployment.quote.market
    if quote and position is not None and (position.open_bids or position.open_asks or position.open_orders):
        raise InvalidMarket(f"{market.name} is the quote coin, and a position in it has {position.open_orders} orders")
    return Coin(
        coin_name(market),
        0 if position is None else tokens(position, market),
        market.decimals,
        _priced(seen, market),
        twap=_average(market),
        weights=Weights(
            market.initial_asset_weight,
            market.maintenance_asset_weight,
            market.initial_liability_weight,
            market.maintenance_liability_weight,
            market.imf,
            market.scale_initial_start,
        ),
        bids=0 if position is None else position.open_bids,
        asks=0 if position is None else -position.open_asks,
        orders=0 if position is None else position.open_orders,
        deposits=token_amount(market.deposit_balance, market.deposit_index, market.decimals),
        oracle="" if quote else _key(market),
        is_quote=quote,
    )


def terms_of(market: PerpMarket) -> Perpetual:
    """A market's terms as margin takes them."""
    return Perpetual(
        initial_bp=market.initial_ratio,
        maintenance_bp=market.maintenance_ratio,
        imf=market.imf,
        gain_initial_bp=market.pnl_weight_initial,
        gain_maintenance_bp=market.pnl_weight_maintenance,
        gain_imf=market.pnl_imf,
        liquidation_fee_ppm=0,  # margin does not ask for it
        funding_every=market.funding_period * SECOND,
    )


def _cumulative(market: PerpMarket, base: int) -> int:
    """The index of a position's own side."""
    return market.cumulative_funding_long if base > 0 else market.cumulative_funding_short


def _contract(seen: Seen, market: PerpMarket, position: PerpPosition) -> Contract:
    quote = _quote(seen)
    if market.quote_market != quote.index:
        raise InvalidMarket(f"{market.name} settles in spot market {market.quote_market}; {seen.deployment.name} counts in {quote.index}")
    expired = market.status is MarketStatus.SETTLEMENT
    price = market.expiry_price if expired else _priced(seen, market)
    if price <= 0:
        raise NoPrice(f"{market.name} is in settlement at {price}: a price is above zero")
    funding = payment(position.base, _cumulative(market, position.base), position.last_funding) if position.base else 0
    imbalance = market.unrealized_pnl_max_imbalance
    net = _users_gain(market, market.last_oracle_price) if imbalance else 0
    high = seen.deployment.has(Feature.HIGH_LEVERAGE)
    return Contract(
        contract_name(market),
        terms_of(market),
        position.base,
        position.quote,
        price,
        funding=funding,
        bids=position.open_bids,
        asks=-position.open_asks,
        orders=position.open_orders,
        custom_bp=position.max_margin_ratio,
        isolated=token_amount(position.isolated, quote.deposit_index, quote.decimals) if position.is_isolated else None,
        high_initial_bp=market.high_leverage_initial if high else 0,
        high_maintenance_bp=market.high_leverage_maintenance if high else 0,
        net_user_pnl=net,
        max_imbalance=imbalance,
        expired=expired,
        oracle=_key(market),
    )


def _users_gain(market: PerpMarket, price: int) -> int:
    """What all users would gain together at a price, funding that none of them has settled counted in. Source: `math/amm.rs`."""
    return net_user_pnl(market.base_with_amm, market.quote + market.net_unsettled_funding, price)


def account_of(seen: Seen, user: User, check: Check = Check.MAINTENANCE) -> MarginAccount:
    """The sub-account for the functions of `margin`: exact, as the program would have it at the slot that was seen.

    `check` is what it is for: a user whose margin mode lowers the maintenance ratios alone is another account for the rest.

    Its coins are called by `coin_name`, its contracts by `contract_name`; the quote coin is always among them, at zero if
    need be. Raises `NoPrice` where an oracle is missing or says no price, `VenueUnavailable` for a market that was not read and
    for a user of a pool apart, whose rules are not known here, `InvalidMarket` for figures that the program cannot have. Prices
    that are old or unsure are taken as they are: ask `figures_of`.
    """
    quote = _quote(seen)
    if user.pool != quote.pool:
        raise VenueUnavailable(
            f"{user.address} is in pool {user.pool} and {quote.name} in {quote.pool}: margin across pools is not known here"
        )
    positions = {one.market: one for one in user.spots}
    if len(positions) != len(user.spots) or len({one.market for one in user.perps}) != len(user.perps):
        raise InvalidMarket(f"{user.address} stands twice in one market")
    indices = [quote.index, *(index for index in positions if index != quote.index)]
    return MarginAccount(
        tuple(_coin(seen, _spot(seen, index), positions.get(index)) for index in indices),
        tuple(_contract(seen, _perp(seen, one.market), one) for one in user.perps),
        quote_scale=quote.decimals,
        per_order=PER_ORDER,
        quote_price=_priced(seen, quote),
        quote_twap=_average(quote),
        custom_bp=user.max_margin_ratio,
        high_leverage=user.high_leverage_maintenance if check is Check.MAINTENANCE else user.high_leverage,
        gain_cap=GAIN_CAP,
    )


# -- figures ------------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class SpotFigures:
    """A coin of a sub-account. `tokens` are its units, interest included, below zero where borrowed; `value` quote units, unweighted.

    Weights in basis points, as the size of the balance makes them: asset weights of what is had, liability weights of what is owed.
    `index` is the cumulative interest (1e10) that the balance is counted by.
    """

    market: int
    name: str
    decimals: int
    balance: int
    borrowed: bool
    index: int
    tokens: int
    value: int
    initial_weight: int
    maintenance_weight: int
    open_bids: int
    open_asks: int
    open_orders: int
    withdrawable: int
    price: Price


@frozen(order=False)
class PerpFigures:
    """A contract of a sub-account. `base` 1e9, money in quote units, prices 1e6, ratios in basis points.

    `unsettled_funding` has fallen due and is not in `quote` yet; `unsettled_pnl` is all profit or loss at the oracle's price with
    it; `settleable` what of that could be settled now, before the market's own conditions. `liquidation_price` is the program's
    estimate and `liquidation_tick` exact on the market's tick; None where no price does it. `isolated` is the deposit of its own,
    None for a position that shares the account's; of such a one `initial`, `maintenance` and `liquidatable` are its own bucket's.
    `funding_ratio` is what the last period's funding was of the oracle's average, None where that is not known.
    """

    market: int
    name: str
    base: int
    quote: int
    entry: int
    notional: int
    unsettled_funding: int
    unsettled_pnl: int
    settled_pnl: int
    settleable: int
    liquidation_price: int | None
    liquidation_tick: int | None
    liquidatable: bool
    isolated: int | None
    initial: Standing | None
    maintenance: Standing | None
    open_bids: int
    open_asks: int
    open_orders: int
    funding_ratio: Fraction | None
    status: MarketStatus
    price: Price


@frozen(order=False)
class Figures:
    """What a sub-account comes to at one slot, in quote units unless said otherwise. Isolated buckets are in `perps` alone.

    `initial` is the strict check that withdrawals and new risk must pass, `maintenance` the one that liquidation follows; `free` is
    what the first leaves, `room` what the second does. `health` is 0 to 100 and `leverage_bp` 10,000 for once (None without equity);
    both `net_equity` and leverage count isolated positions in. `doubts` names each price that the program would not rely on, and
    why: with any there, the figures are arithmetic and no more. `account` is what all but `initial` was worked out from.
    """

    sub: int
    slot: int
    initial: Standing
    maintenance: Standing
    health: int
    health_bp: int
    leverage_bp: int | None
    net_equity: int
    unsettled_pnl: int
    unsettled_funding: int
    liquidatable: bool
    spots: tuple[SpotFigures, ...]
    perps: tuple[PerpFigures, ...]
    doubts: tuple[str, ...]
    account: MarginAccount = field(repr=False)

    @property
    def free(self) -> int:
        """Collateral that the strict initial check leaves: what new risk may use."""
        return self.initial.free

    @property
    def room(self) -> int:
        """Collateral above the maintenance requirement: what may be lost before the account can be liquidated."""
        return self.maintenance.free

    @property
    def sure(self) -> bool:
        """Whether the program would rely on every price in it."""
        return not self.doubts


def figures_of(seen: Seen, user: User) -> Figures:
    """All figures of a sub-account. Raises as `account_of` does; a price that is old or unsure makes a doubt."""
    account, opening = account_of(seen, user), account_of(seen, user, Check.INITIAL)
    spots = tuple(_spot_figures(seen, opening, one) for one in user.spots)
    perps = tuple(_perp_figures(seen, account, opening, one) for one in user.perps)
    prices = [price_of(seen, _quote(seen)), *(one.price for one in spots)]
    prices += [one.price for one in perps if one.status is not MarketStatus.SETTLEMENT]
    doubts = dict.fromkeys(f"{one.name}: {one.validity.value} ({_why(seen, one)})" for one in prices if not one.validity.usable)
    maintenance = standing(account, Check.MAINTENANCE)
    # the program's own flag counts: who is in liquidation stays so until the buffer is reached
    return Figures(
        user.sub,
        seen.slot,
        standing(opening, Check.INITIAL, strict=True),
        maintenance,
        0 if user.being_liquidated else health(account),
        0 if user.being_liquidated else health_bp(account),
        leverage_bp(account),
        equity(account),
        sum(one.unsettled_pnl for one in perps),
        sum(one.unsettled_funding for one in perps),
        user.being_liquidated or liquidatable(account),
        spots,
        perps,
        tuple(doubts),
        account,
    )


def _why(seen: Seen, price: Price) -> str:
    rails = seen.state.guard_rails
    if price.validity is Validity.STALE_FOR_MARGIN:
        return f"{price.age} slots, at most {rails.stale_for_margin}"
    if price.validity is Validity.TOO_UNCERTAIN:
        return f"{price.confidence} of {price.price}"
    return f"{price.price}, its average {price.twap}"


def _spot_figures(seen: Seen, account: MarginAccount, position: SpotPosition) -> SpotFigures:
    market = _spot(seen, position.market)
    coin = account.coin(coin_name(market))
    weight = liability_weight if coin.units < 0 else asset_weight
    value = divide(coin.units * coin.price * 10**account.quote_scale, 10 ** (coin.scale + coin.price_scale), Rounding.FLOOR)
    whole = (10_000, 10_000) if coin.is_quote else (weight(coin, Check.INITIAL), weight(coin, Check.MAINTENANCE))
    return SpotFigures(
        market.index,
        market.name,
        market.decimals,
        position.balance,
        position.borrowed,
        market.borrow_index if position.borrowed else market.deposit_index,
        coin.units,
        value,
        whole[0],
        whole[1],
        position.open_bids,
        position.open_asks,
        position.open_orders,
        withdrawable(account, coin.code),
        price_of(seen, market),
    )


def _perp_figures(seen: Seen, account: MarginAccount, opening: MarginAccount, position: PerpPosition) -> PerpFigures:
    market = _perp(seen, position.market)
    contract = account.contract(contract_name(market))
    bucket = account.bucket(contract.symbol) if contract.isolated is not None else None
    return PerpFigures(
        market.index,
        market.name,
        position.base,
        position.quote,
        position.entry,
        notional(contract, position.base, quote_scale=account.quote_scale),
        contract.funding,
        unrealized(contract, quote_scale=account.quote_scale),
        position.settled_pnl,
        settleable(seen, market, position, contract),
        liquidation_price(account, contract.symbol) if position.base else None,
        liquidation_tick(account, contract.symbol, max(1, market.tick)) if position.base else None,
        position.being_liquidated or liquidatable(account if bucket is None else bucket),
        contract.isolated,
        None if bucket is None else standing(opening.bucket(contract.symbol), Check.INITIAL, strict=True),
        None if bucket is None else standing(bucket, Check.MAINTENANCE),
        position.open_bids,
        position.open_asks,
        position.open_orders,
        _ratio_or_none(market),
        market.status,
        price_of(seen, market) if market.status is not MarketStatus.SETTLEMENT else _expiry(market),
    )


def _ratio_or_none(market: PerpMarket) -> Fraction | None:
    """A rate that cannot be told leaves the rest of the account as it is: what it is worth does not hang on it."""
    try:
        return funding_ratio(market)
    except InvalidMarket:
        return None


def _expiry(market: PerpMarket) -> Price:
    """A market in settlement has its expiry price, which no oracle moves any more."""
    return Price(market.name, market.oracle, market.expiry_price, 0, market.oracle_twap, 0, None, Validity.VALID)


def withdrawable(account: MarginAccount, code: str) -> int:
    """Units of a coin that can leave an account (`account_of` for INITIAL): never more than is there, and never a borrowing.

    The lesser of the program's own figure (one quote unit kept back) and of what a strict check leaves at the lower of price and
    average, tried out: rounded against whoever withdraws. The market's withdraw guard and its utilisation may allow less.
    """
    held = max(0, account.coin(code).units)
    most = min(held, max_withdrawable(account, code))
    if most <= 0:
        return 0

    def passes(units: int) -> bool:
        left = tuple(evolve(one, units=one.units - units) if one.code == code else one for one in account.coins)
        after = standing(evolve(account, coins=left), Check.INITIAL, strict=True)
        return after.short == 0

    if not _at_stake(account):
        return most
    low, high = 0, most
    if not passes(0):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if passes(middle) else (low, middle - 1)
    return low


def _at_stake(account: MarginAccount) -> bool:
    """Whether anything needs margin."""
    return standing(account, Check.INITIAL, strict=True).requirement > 0 or any(
        unrealized(one, quote_scale=account.quote_scale) < 0 for one in account.contracts
    )


def settleable(seen: Seen, market: PerpMarket, position: PerpPosition, contract: Contract) -> int:
    """What of a position's profit or loss can be settled now, in quote units: all of a loss, of a gain what the pool allows.

    The program asks more than this figure: that the market is not paused, that prices are near each other, and for a loss that
    the account keeps its maintenance margin. Source: protocol-v2 `state/user.rs` (`get_claimable_pnl`), `controller/pnl.rs`.
    """
    quote = _quote(seen)
    pool = token_amount(market.pnl_pool.balance, quote.deposit_index, quote.decimals)
    fees = token_amount(market.fee_pool.balance, quote.deposit_index, quote.decimals)
    pnl = unrealized(contract, quote_scale=quote.decimals)
    may = claimable(pnl, position.quote + contract.funding, position.entry, pool_excess(pool, _users_gain(market, contract.price), fees))
    return min(may, pool + fees // 5)  # what the pool has not got, it does not pay


# -- funding ------------------------------------------------------------------------------------------------------------------


def funding_ratio(market: PerpMarket) -> Fraction | None:
    """The last period's funding as a share of the oracle's average, exactly; None for a market that never had any.

    The program writes `last_funding_rate` in 1e-9 quote coins per base coin: taken for a ratio it would be wrong by the price. The
    average is that of the funding itself; a market that was written before the program kept it (zero) is divided by its present
    average. Raises `InvalidMarket` where neither is a price.
    """
    if not market.last_funding_at:
        return None
    twap = market.last_funding_oracle_twap or market.oracle_twap
    if twap <= 0:
        raise InvalidMarket(f"{market.name} had its last funding at an oracle average of {twap}: a price is above zero")
    return Fraction(market.last_funding_rate * PPM, twap * PPB)


def funding_quote(deployment: Deployment, market: PerpMarket, *, now: int | None = None) -> FundingQuote | None:
    """A market's last funding as a quote: what was paid for the period that ended. None where there was none yet.

    `now` (ns) makes `next` the time at which it may be updated next; without it nobody says. Raises `InvalidMarket` for a period
    or an average that cannot be.
    """
    ratio = funding_ratio(market)
    if ratio is None:
        return None
    if market.funding_period <= 0:
        raise InvalidMarket(f"{market.name} is funded every {market.funding_period} s: a rate without an interval is no rate")
    due = None
    if now is not None:
        seconds = max(now // SECOND, market.last_funding_at)
        due = (seconds + next_update(seconds, market.last_funding_at, market.funding_period)) * SECOND
    return FundingQuote(deployment.name, market.name, ratio, market.funding_period * SECOND, ShareOf.ORACLE_TWAP, due, QuoteKind.SETTLED)


def funding_quotes(deployment: Deployment, markets: Iterable[PerpMarket], *, now: int | None = None) -> tuple[FundingQuote, ...]:
    """The quotes of all markets that have had funding, by index."""
    found = (funding_quote(deployment, one, now=now) for one in sorted(markets, key=lambda one: one.index))
    return tuple(one for one in found if one is not None)
