"""The accounts as typed views, the same for every deployment: nobody above this module looks at a layout.

Each `read_...` checks what it is given before it believes it: that the owner is the deployment's program, that the discriminator
is the account's, that the bytes are long enough, that the address is the one that the contents derive to, and that every enum
number, flag and yes-or-no byte is one that the program can have written. A mismatch raises `WrongAccount` with the value and the
rule; nothing is ever taken for zero.

All numbers are integers in the program's own units: prices and quote amounts 1e6, base amounts and scaled balances 1e9, cumulative
interest 1e10, funding rates 1e9, weights and margin ratios 1e4, times in seconds. `slot` is the slot of the read.

It refuses to know what an account is worth (`risk`), and how it was fetched.
"""

from __future__ import annotations

from typing import TypeVar

from attrs import frozen

from ...errors import VenueError
from .deployment import Deployment
from .words import (
    AssetTier,
    ContractKind,
    ContractTier,
    ExchangePause,
    MarketStatus,
    OracleSource,
    OrderKind,
    OrderStatus,
    PerpPause,
    SpotPause,
    Trigger,
)

__all__ = [
    "FeeTier",
    "GuardRails",
    "OpenOrder",
    "PerpMarket",
    "PerpPosition",
    "Pool",
    "SpotMarket",
    "SpotPosition",
    "State",
    "User",
    "UserStats",
    "WrongAccount",
    "read",
    "read_perp_market",
    "read_spot_market",
    "read_state",
    "read_user",
    "read_user_stats",
]


class WrongAccount(VenueError):
    """Bytes that are not the account that they were taken for, or that the program cannot have written: names the value and the rule."""


@frozen
class SpotPosition:
    """One coin of a user: a deposit, or a borrowing when `borrowed`.

    `balance` is scaled (1e9) and unsigned: tokens are `balance * index / 10**(19 - decimals)` with the market's cumulative interest.
    `open_bids` and `open_asks` are in the coin's units, asks negative. `cumulative_deposits` is signed, in the coin's units.
    """

    market: int
    balance: int
    borrowed: bool
    open_bids: int
    open_asks: int
    cumulative_deposits: int
    open_orders: int


@frozen
class PerpPosition:
    """One perp position: `base` 1e9 (negative: short), the quote sums 1e6, `last_funding` the cumulative rate (1e9) that it has paid up to.

    `isolated` is a scaled deposit of its own (1e9) and is 0 unless the flag says isolated and the deployment has isolated positions;
    `max_margin_ratio` (1e4) is 0 where the deployment does not keep one. `open_asks` is negative.
    """

    market: int
    base: int
    quote: int
    break_even: int
    entry: int
    last_funding: int
    open_bids: int
    open_asks: int
    settled_pnl: int
    isolated: int
    is_isolated: bool
    max_margin_ratio: int
    open_orders: int
    being_liquidated: bool
    bankrupt: bool


@frozen
class OpenOrder:
    """An order that lies in a User's slots. `id` is the program's (u32), `user_id` the client's (u8, 0: none); `slot` is when it was placed.

    `price` 1e6 (0: none), `base` and `filled` 1e9 (a spot order: the coin's units), `quote_filled` 1e6; `expires` in seconds, 0: never;
    `oracle_offset` 1e6 signed; `auction_duration` in slots.
    """

    id: int
    user_id: int
    slot: int
    market: int
    perp: bool
    long: bool
    kind: OrderKind
    status: OrderStatus
    price: int
    base: int
    filled: int
    quote_filled: int
    trigger_price: int
    trigger_condition: Trigger
    auction_start: int
    auction_end: int
    auction_duration: int
    expires: int
    oracle_offset: int
    reduce_only: bool
    post_only: bool
    immediate: bool


@frozen
class User:
    """One sub-account. Empty slots of the three tables are dropped; what is left keeps its order.

    `total_deposits` and `total_withdraws` are in quote units (1e6), at the price of their time. `equity_floor` and `equity_buffer`
    (1e6) are 0 where the deployment has none. `settled_perp_pnl` and `cumulative_perp_funding` are 1e6, signed.
    """

    address: str
    slot: int
    authority: str
    delegate: str | None
    name: str
    sub: int
    spots: tuple[SpotPosition, ...]
    perps: tuple[PerpPosition, ...]
    orders: tuple[OpenOrder, ...]
    being_liquidated: bool
    bankrupt: bool
    reduce_only: bool
    max_margin_ratio: int
    next_order_id: int
    last_active_slot: int
    settled_perp_pnl: int
    cumulative_perp_funding: int
    total_deposits: int
    total_withdraws: int
    total_social_loss: int
    high_leverage: bool
    pool: int
    equity_floor: int
    equity_buffer: int
    open_orders: int
    idle: bool
    margin_trading: bool
    next_liquidation_id: int
    liquidation_margin_freed: int


@frozen
class UserStats:
    """What an authority has done over all its sub-accounts. Volumes and fees in 1e6, times in seconds.

    `sub_accounts` exist now; `sub_accounts_created` were ever made, and is the number that the next one gets at least.
    """

    address: str
    slot: int
    authority: str
    referrer: str | None
    fee_paid: int
    fee_rebate: int
    token_discount: int
    referee_discount: int
    referrer_reward: int
    maker_volume: int
    taker_volume: int
    filler_volume: int
    maker_volume_at: int
    taker_volume_at: int
    filler_volume_at: int
    sub_accounts: int
    sub_accounts_created: int
    staked_quote: int
    staked_gov: int


@frozen
class Pool:
    """A balance of the market's own: scaled (1e9), a deposit of that spot market."""

    balance: int
    market: int


@frozen
class SpotMarket:
    """A coin of the exchange. Balances are scaled (1e9), indices 1e10, weights 1e4, `imf` 1e6, rates and utilizations 1e6, prices 1e6.

    `withdraw_guard`, `max_deposits` (0: no cap), `tick`, `step`, `min_size` and the token twaps are in the coin's units, but `tick` 1e6.
    `token_2022` and `transfer_hook` say what the mint's program is. `min_rate` is in units of 0.5 % (program's u8).
    """

    address: str
    slot: int
    index: int
    name: str
    mint: str
    vault: str
    oracle: str
    oracle_source: OracleSource
    decimals: int
    deposit_balance: int
    borrow_balance: int
    deposit_index: int
    borrow_index: int
    initial_asset_weight: int
    maintenance_asset_weight: int
    initial_liability_weight: int
    maintenance_liability_weight: int
    imf: int
    scale_initial_start: int
    last_oracle_price: int
    oracle_twap: int
    twap_5min: int
    oracle_twap_at: int
    last_interest_at: int
    last_twap_at: int
    deposit_token_twap: int
    borrow_token_twap: int
    utilization_twap: int
    optimal_utilization: int
    optimal_rate: int
    max_rate: int
    min_rate: int
    status: MarketStatus
    tier: AssetTier
    paused: SpotPause
    tick: int
    step: int
    min_size: int
    withdraw_guard: int
    max_deposits: int
    max_borrows_fraction: int
    liquidator_fee: int
    insurance_liquidation_fee: int
    insurance_total_factor: int
    expires: int
    pool: int
    token_2022: bool
    transfer_hook: bool
    revenue_pool: Pool


@frozen
class PerpMarket:
    """A perpetual of the exchange. Base 1e9, quote and prices 1e6, funding rates and their sums 1e9, ratios and weights 1e4, imf 1e6.

    `base_with_amm` is what users hold net against the market itself. `quote` and the four sums beside it are over all users.
    Reserves and `sqrt_k` are 1e9 and `peg` 1e6: the market's own price is `quote_reserve * peg / base_reserve`, and the bid and ask
    reserves are those after its spreads. `pnl_pool` and `fee_pool` are balances of the quote coin. `high_leverage_initial` and
    `..._maintenance` are 0 where the deployment has no such mode. `funding_rate_24h` is the program's average, 1e9.
    """

    address: str
    slot: int
    index: int
    name: str
    oracle: str
    oracle_source: OracleSource
    status: MarketStatus
    kind: ContractKind
    tier: ContractTier
    paused: PerpPause
    quote_market: int
    base_with_amm: int
    long_base: int
    short_base: int
    quote: int
    quote_entry_long: int
    quote_entry_short: int
    quote_break_even_long: int
    quote_break_even_short: int
    max_open_interest: int
    cumulative_funding_long: int
    cumulative_funding_short: int
    last_funding_rate: int
    last_funding_rate_long: int
    last_funding_rate_short: int
    last_funding_oracle_twap: int
    last_funding_at: int
    funding_period: int
    funding_rate_24h: int
    net_unsettled_funding: int
    mark_twap: int
    mark_twap_5min: int
    mark_twap_at: int
    bid_twap: int
    ask_twap: int
    last_oracle_price: int
    oracle_twap: int
    oracle_twap_5min: int
    oracle_twap_at: int
    base_reserve: int
    quote_reserve: int
    sqrt_k: int
    peg: int
    bid_base_reserve: int
    bid_quote_reserve: int
    ask_base_reserve: int
    ask_quote_reserve: int
    total_fee_minus_distributions: int
    last_update_slot: int
    tick: int
    step: int
    min_size: int
    initial_ratio: int
    maintenance_ratio: int
    high_leverage_initial: int
    high_leverage_maintenance: int
    imf: int
    pnl_imf: int
    pnl_weight_initial: int
    pnl_weight_maintenance: int
    unrealized_pnl_max_imbalance: int
    pnl_pool: Pool
    fee_pool: Pool
    fee_adjustment: int
    liquidator_fee: int
    insurance_liquidation_fee: int
    expiry_price: int
    expires: int
    pool: int


@frozen
class FeeTier:
    """One row of a fee table: each fee is numerator over denominator of the quote amount."""

    fee_numerator: int
    fee_denominator: int
    maker_numerator: int
    maker_denominator: int
    referrer_numerator: int
    referrer_denominator: int
    referee_numerator: int
    referee_denominator: int


@frozen
class GuardRails:
    """What the program asks of an oracle price: divergences and `confidence` 1e6 (confidence and volatility as the program counts them), ages in slots."""

    mark_oracle_divergence: int
    twap_5min_divergence: int
    stale_for_amm: int
    stale_for_margin: int
    confidence: int
    too_volatile: int


@frozen
class State:
    """The exchange as a whole. `liquidation_margin_buffer` 1e4; `initial_pct_to_liquidate` 1e4; durations in seconds (`liquidation_duration`: slots)."""

    address: str
    slot: int
    signer: str
    signer_nonce: int
    perp_fees: tuple[FeeTier, ...]
    spot_fees: tuple[FeeTier, ...]
    guard_rails: GuardRails
    authorities: int
    sub_accounts: int
    max_sub_accounts: int
    perp_markets: int
    spot_markets: int
    liquidation_margin_buffer: int
    settlement_duration: int
    liquidation_duration: int
    initial_pct_to_liquidate: int
    min_auction_duration: int
    market_order_seconds: int
    max_initialize_fee: int
    exchange_status: ExchangePause


View = TypeVar("View", User, UserStats, SpotMarket, PerpMarket, State)


def read(deployment: Deployment, kind: type[View], address: str, owner: str, data: bytes, slot: int) -> View:
    """The view of class `kind` of an account's bytes, as its own `read_...` says. A `WrongAccount` on any mismatch."""
    raise NotImplementedError


def read_user(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> User:
    """A User. `address` must be the one that its authority and sub-account number derive to."""
    raise NotImplementedError


def read_user_stats(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> UserStats:
    """A UserStats. `address` must be the one that its authority derives to."""
    raise NotImplementedError


def read_spot_market(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> SpotMarket:
    """A SpotMarket. `address` must be the one written in it and the one that its index derives to; so must its vault."""
    raise NotImplementedError


def read_perp_market(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> PerpMarket:
    """A PerpMarket. `address` must be the one written in it and the one that its index derives to."""
    raise NotImplementedError


def read_state(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> State:
    """The State. `address` and the signer written in it must be the deployment's."""
    raise NotImplementedError
