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

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, Flag
from typing import Any, Final, TypeVar, cast

from attrs import frozen

from ...errors import VenueError
from .codec import Record
from .deployment import DEPLOYMENTS, Deployment, Feature
from .words import (
    AssetTier,
    ContractKind,
    ContractTier,
    ExchangePause,
    MarginMode,
    MarketStatus,
    OracleSource,
    OrderKind,
    OrderStatus,
    PerpPause,
    PositionFlag,
    SpotPause,
    TokenFlag,
    Trigger,
    UserStatus,
    name_text,
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
    """An order that lies in a User's slots. `id` is the program's (u32), `user_id` the client's (u8, 0: none); `slot`: when it was placed.

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
    """One sub-account. Empty slots of the three tables are dropped, and orders that are not open; what is left keeps its order.

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
    margin_mode: MarginMode
    pool: int
    equity_floor: int
    equity_buffer: int
    open_orders: int
    idle: bool
    margin_trading: bool
    next_liquidation_id: int
    liquidation_margin_freed: int

    @property
    def high_leverage(self) -> bool:
        """Whether the lowered ratios hold for everything, initial margin too."""
        return self.margin_mode is MarginMode.HIGH_LEVERAGE

    @property
    def high_leverage_maintenance(self) -> bool:
        """Whether the lowered ratios hold for maintenance margin."""
        return self.margin_mode is not MarginMode.DEFAULT


@frozen
class UserStats:
    """What an authority has done over all its sub-accounts. Volumes and fees in 1e6, times in seconds.

    `sub_accounts` exist now; `sub_accounts_created` were ever made, and is the number that the next one gets. `referrer_reward` and
    `staked_gov` are None where the deployment does not keep them. `equity_breaker`: the program refuses new risk, withdrawals and
    transfers out of every sub-account until an admin resets it (Velocity).
    """

    address: str
    slot: int
    authority: str
    referrer: str | None
    fee_paid: int
    fee_rebate: int
    token_discount: int
    referee_discount: int
    referrer_reward: int | None
    maker_volume: int
    taker_volume: int
    filler_volume: int
    maker_volume_at: int
    taker_volume_at: int
    filler_volume_at: int
    sub_accounts: int
    sub_accounts_created: int
    staked_quote: int
    staked_gov: int | None
    delegate_permissions: int
    equity_breaker: bool


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
    `withdraw_breaker_bps` is the part of the 24-hour deposits that may leave within a day (0: the program's own default), and
    `max_deposit_bps` the part that may be added (0: no limit) above `deposit_guard`; all three are 0 on Drift, which keeps none.
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
    withdraw_breaker_bps: int
    max_deposit_bps: int
    deposit_guard: int
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
    `funding_dead_zone` (1e-4) and `funding_slope` (1e6) shape Velocity's premium, `taker_addon` (1e-5 of the quote amount) is added to
    its taker fee; they are 0 on Drift, which has none of them.
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
    funding_dead_zone: int
    funding_slope: int
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
    taker_addon: int
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
    """What the program asks of an oracle price: divergences and `confidence` 1e6, ages in slots, `too_volatile` a multiple."""

    mark_oracle_divergence: int
    twap_5min_divergence: int
    stale_for_amm: int
    stale_for_margin: int
    confidence: int
    too_volatile: int


@frozen
class State:
    """The exchange as a whole. `liquidation_margin_buffer` and `initial_pct_to_liquidate` 1e4; `liquidation_duration` and
    `min_auction_duration` in slots, `settlement_duration` in seconds. `promo_tier`: the fee tier that every account has at least
    (Velocity; 0 elsewhere).
    """

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
    promo_tier: int
    exchange_status: ExchangePause


View = TypeVar("View", User, UserStats, SpotMarket, PerpMarket, State)
"""Any of the views."""


def read(deployment: Deployment, kind: type[View], address: str, owner: str, data: bytes, slot: int) -> View:
    """The view of class `kind` of an account's bytes, as its own `read_...` says. A `WrongAccount` on any mismatch."""
    if kind not in _READERS:
        raise TypeError(f"there is no view {kind!r} of an account: it is one of {', '.join(one.__name__ for one in _READERS)}")
    return cast(View, _READERS[kind](deployment, address, owner, data, slot))


def read_user(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> User:
    """A User. `address` must be the one that its authority and sub-account number derive to.

    On Drift, a position whose flag or ratio stands beside leftovers of liquidity shares is refused: those bytes once meant something
    else, and which of the two they are cannot be told. `DRIFT_V2_LEGACY` reads them as what they were.
    """
    account = _Account(deployment, "User", address, owner, data)
    record = account.record
    authority, sub = record["authority"], record["sub_account_id"]
    account.must_be(deployment.user(authority, sub), f"of sub-account {sub} of {authority}")
    status = account.flags(UserStatus, record["status"], "status", deployment.user_statuses.value)
    mode = account.word(_MARGIN_MODES if deployment.has(Feature.HIGH_LEVERAGE) else _NO_MODES, record.get("margin_mode", 0), "margin_mode")
    for name in ("has_open_order", "has_open_auction"):
        account.yes(record[name], name)
    return User(
        address=address,
        slot=slot,
        authority=authority,
        delegate=_or_none(record["delegate"]),
        name=account.name(record["name"]),
        sub=sub,
        spots=_spots(account, record["spot_positions"]),
        perps=_perps(account, record["perp_positions"]),
        orders=_orders(account, record["orders"]),
        being_liquidated=UserStatus.BEING_LIQUIDATED in status,
        bankrupt=UserStatus.BANKRUPT in status,
        reduce_only=UserStatus.REDUCE_ONLY in status,
        max_margin_ratio=record["max_margin_ratio"],
        next_order_id=record["next_order_id"],
        last_active_slot=record["last_active_slot"],
        settled_perp_pnl=record["settled_perp_pnl"],
        cumulative_perp_funding=record["cumulative_perp_funding"],
        total_deposits=record["total_deposits"],
        total_withdraws=record["total_withdraws"],
        total_social_loss=record["total_social_loss"],
        margin_mode=mode,
        pool=record["pool_id"],
        equity_floor=record.get("equity_floor", 0),
        equity_buffer=record.get("equity_floor_buffer", 0),
        open_orders=record["open_orders"],
        idle=account.yes(record["idle"], "idle"),
        margin_trading=account.yes(record["is_margin_trading_enabled"], "is_margin_trading_enabled"),
        next_liquidation_id=record["next_liquidation_id"],
        liquidation_margin_freed=record["liquidation_margin_freed"],
    )


def _spots(account: _Account, slots: Sequence[Record]) -> tuple[SpotPosition, ...]:
    found = []
    for at, one in enumerate(slots):
        if not one["scaled_balance"] and not one["open_orders"]:
            continue
        where = f"spot_positions.{at}"
        account.reserved(one["padding"], f"{where}.padding")
        account.signs(one, where)
        found.append(
            SpotPosition(
                market=one["market_index"],
                balance=one["scaled_balance"],
                borrowed=account.yes(one["balance_type"], f"{where}.balance_type"),
                open_bids=one["open_bids"],
                open_asks=one["open_asks"],
                cumulative_deposits=one["cumulative_deposits"],
                open_orders=one["open_orders"],
            )
        )
    account.once([one.market for one in found], "spot_positions")
    return tuple(found)


def _perps(account: _Account, slots: Sequence[Record]) -> tuple[PerpPosition, ...]:
    found = []
    flagged = not account.deployment.has(Feature.LIQUIDITY_SHARES)
    for at, one in enumerate(slots):
        alive = one["base_asset_amount"] or one["quote_asset_amount"] or one["open_orders"] or one.get("lp_shares", 0)
        deposit = one["isolated_position_scaled_balance"] if flagged and one["position_flag"] & 1 else 0
        if not alive and not deposit:
            continue
        where = f"perp_positions.{at}"
        account.signs(one, where)
        flag = _position_flag(account, one, where) if flagged else PositionFlag(0)
        found.append(
            PerpPosition(
                market=one["market_index"],
                base=one["base_asset_amount"],
                quote=one["quote_asset_amount"],
                break_even=one["quote_break_even_amount"],
                entry=one["quote_entry_amount"],
                last_funding=one["last_cumulative_funding_rate"],
                open_bids=one["open_bids"],
                open_asks=one["open_asks"],
                settled_pnl=one["settled_pnl"],
                isolated=deposit,
                is_isolated=PositionFlag.ISOLATED in flag,
                max_margin_ratio=one["max_margin_ratio"] if flagged else 0,
                open_orders=one["open_orders"],
                being_liquidated=PositionFlag.BEING_LIQUIDATED in flag,
                bankrupt=PositionFlag.BANKRUPT in flag,
            )
        )
    account.once([one.market for one in found], "perp_positions")
    return tuple(found)


def _position_flag(account: _Account, one: Record, where: str) -> PositionFlag:
    """The flag of a position, once it is certain that it is one."""
    flag = account.flags(PositionFlag, one["position_flag"], f"{where}.position_flag")
    if account.deployment.has(Feature.ISOLATED):
        left = [name for name in ("lp_shares", "last_quote_asset_amount_per_lp") if one[name]] + ["padding"] * any(one["padding"])
        if left and (flag or one["max_margin_ratio"]):
            raise account.wrong(
                f"{where} has the flag {flag.value} and the ratio {one['max_margin_ratio']} beside {', '.join(left)}, which liquidity "
                "shares left there: it cannot be told whether the flag and the ratio are that; DRIFT_V2_LEGACY reads it as it was"
            )
    elif PositionFlag.ISOLATED in flag or one["isolated_position_scaled_balance"]:
        raise account.wrong(
            f"{where} has the flag {flag.value} and the isolated balance {one['isolated_position_scaled_balance']}, "
            f"and {account.deployment.name} has no isolated positions"
        )
    return flag


def _orders(account: _Account, slots: Sequence[Record]) -> tuple[OpenOrder, ...]:
    found = []
    for at, one in enumerate(slots):
        if not one["status"]:
            continue
        where = f"orders.{at}"
        status = account.word(_ORDER_STATUSES, one["status"], f"{where}.status")
        if status is not OrderStatus.OPEN:
            continue
        account.reserved(one["padding"], f"{where}.padding")
        account.yes(one["existing_position_direction"], f"{where}.existing_position_direction")
        if one["base_asset_amount_filled"] > one["base_asset_amount"]:
            raise account.wrong(f"{where} is filled by {one['base_asset_amount_filled']} of {one['base_asset_amount']}, more than all")
        found.append(
            OpenOrder(
                id=one["order_id"],
                user_id=one["user_order_id"],
                slot=one["slot"],
                market=one["market_index"],
                perp=account.yes(one["market_type"], f"{where}.market_type"),
                long=not account.yes(one["direction"], f"{where}.direction"),
                kind=account.word(_ORDER_KINDS, one["order_type"], f"{where}.order_type"),
                status=status,
                price=one["price"],
                base=one["base_asset_amount"],
                filled=one["base_asset_amount_filled"],
                quote_filled=one["quote_asset_amount_filled"],
                trigger_price=one["trigger_price"],
                trigger_condition=account.word(_TRIGGERS, one["trigger_condition"], f"{where}.trigger_condition"),
                auction_start=one["auction_start_price"],
                auction_end=one["auction_end_price"],
                auction_duration=one["auction_duration"],
                expires=one["max_ts"],
                oracle_offset=one["oracle_price_offset"],
                reduce_only=account.yes(one["reduce_only"], f"{where}.reduce_only"),
                post_only=account.yes(one["post_only"], f"{where}.post_only"),
                immediate=account.yes(one["immediate_or_cancel"], f"{where}.immediate_or_cancel"),
            )
        )
    account.once([one.id for one in found], "orders")
    return tuple(found)


def read_user_stats(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> UserStats:
    """A UserStats. `address` must be the one that its authority derives to."""
    account = _Account(deployment, "UserStats", address, owner, data)
    record = account.record
    account.must_be(deployment.user_stats(record["authority"]), f"of the stats of {record['authority']}")
    account.yes(record["disable_update_perp_bid_ask_twap"], "disable_update_perp_bid_ask_twap")
    fees = record["fees"]
    return UserStats(
        address=address,
        slot=slot,
        authority=record["authority"],
        referrer=_or_none(record["referrer"]),
        fee_paid=fees["total_fee_paid"],
        fee_rebate=fees["total_fee_rebate"],
        token_discount=fees["total_token_discount"],
        referee_discount=fees["total_referee_discount"],
        referrer_reward=fees.get("total_referrer_reward"),
        maker_volume=record["maker_volume_30d"],
        taker_volume=record["taker_volume_30d"],
        filler_volume=record["filler_volume_30d"],
        maker_volume_at=record["last_maker_volume_30d_ts"],
        taker_volume_at=record["last_taker_volume_30d_ts"],
        filler_volume_at=record["last_filler_volume_30d_ts"],
        sub_accounts=record["number_of_sub_accounts"],
        sub_accounts_created=record["number_of_sub_accounts_created"],
        staked_quote=record["if_staked_quote_asset_amount"],
        staked_gov=record.get("if_staked_gov_token_amount"),
        delegate_permissions=record.get("delegate_permissions", 0),
        equity_breaker=account.yes(record.get("equity_breaker_tripped", 0), "equity_breaker_tripped"),
    )


def read_spot_market(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> SpotMarket:
    """A SpotMarket. `address` must be the one written in it and the one that its index derives to; so must its vault."""
    account = _Account(deployment, "SpotMarket", address, owner, data)
    record = account.record
    index = record["market_index"]
    account.must_be(record["pubkey"], "that is written in it")
    account.must_be(deployment.spot_market(index), f"of spot market {index}")
    if record["vault"] != deployment.spot_vault(index):
        raise account.wrong(f"the vault of spot market {index} is {deployment.spot_vault(index)}, and {record['vault']} is written in it")
    if record["decimals"] > MOST_DECIMALS:
        raise account.wrong(f"decimals are {record['decimals']}, and the program's arithmetic has {MOST_DECIMALS} at most")
    for name in ("cumulative_deposit_interest", "cumulative_borrow_interest"):
        account.positive(record[name], name)
    token = account.flags(TokenFlag, record["token_program_flag"], "token_program_flag")
    account.yes(record["orders_enabled"], "orders_enabled")
    prices = record["historical_oracle_data"]
    return SpotMarket(
        address=address,
        slot=slot,
        index=index,
        name=account.name(record["name"]),
        mint=record["mint"],
        vault=record["vault"],
        oracle=record["oracle"],
        oracle_source=account.word(deployment.oracle_sources, record["oracle_source"], "oracle_source"),
        decimals=record["decimals"],
        deposit_balance=record["deposit_balance"],
        borrow_balance=record["borrow_balance"],
        deposit_index=record["cumulative_deposit_interest"],
        borrow_index=record["cumulative_borrow_interest"],
        initial_asset_weight=record["initial_asset_weight"],
        maintenance_asset_weight=record["maintenance_asset_weight"],
        initial_liability_weight=record["initial_liability_weight"],
        maintenance_liability_weight=record["maintenance_liability_weight"],
        imf=record["imf_factor"],
        scale_initial_start=record["scale_initial_asset_weight_start"],
        last_oracle_price=prices["last_oracle_price"],
        oracle_twap=prices["last_oracle_price_twap"],
        twap_5min=prices["last_oracle_price_twap_5min"],
        oracle_twap_at=prices["last_oracle_price_twap_ts"],
        last_interest_at=record["last_interest_ts"],
        last_twap_at=record["last_twap_ts"],
        deposit_token_twap=record["deposit_token_twap"],
        borrow_token_twap=record["borrow_token_twap"],
        utilization_twap=record["utilization_twap"],
        optimal_utilization=record["optimal_utilization"],
        optimal_rate=record["optimal_borrow_rate"],
        max_rate=record["max_borrow_rate"],
        min_rate=record["min_borrow_rate"],
        status=account.word(deployment.market_statuses, record["status"], "status"),
        tier=account.word(_ASSET_TIERS, record["asset_tier"], "asset_tier"),
        paused=account.flags(SpotPause, record["paused_operations"], "paused_operations"),
        tick=record["order_tick_size"],
        step=record["order_step_size"],
        min_size=record["min_order_size"],
        withdraw_guard=record["withdraw_guard_threshold"],
        max_deposits=record["max_token_deposits"],
        max_borrows_fraction=record["max_token_borrows_fraction"],
        withdraw_breaker_bps=record.get("withdraw_circuit_breaker_bps", 0),
        max_deposit_bps=record.get("max_deposit_bps_per_day", 0),
        deposit_guard=record.get("deposit_guard_threshold", 0),
        liquidator_fee=record["liquidator_fee"],
        insurance_liquidation_fee=record["if_liquidation_fee"],
        insurance_total_factor=record["insurance_fund"]["total_factor"],
        expires=record["expiry_ts"],
        pool=record["pool_id"],
        token_2022=TokenFlag.TOKEN_2022 in token,
        transfer_hook=TokenFlag.TRANSFER_HOOK in token,
        revenue_pool=_pool(record["revenue_pool"]),
    )


def read_perp_market(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> PerpMarket:
    """A PerpMarket. `address` must be the one written in it and the one that its index derives to."""
    account = _Account(deployment, "PerpMarket", address, owner, data)
    record = account.record
    index = record["market_index"]
    account.must_be(record["pubkey"], "that is written in it")
    account.must_be(deployment.perp_market(index), f"of perp market {index}")
    # What Drift keeps in the AMM, Velocity keeps in the market and in its statistics; a name is in one of the three alone.
    amm, stats = record["amm"], record.get("market_stats", {})
    told: Mapping[str, Any] = {**amm, **stats, **record}
    prices = told["historical_oracle_data"]
    account.yes(told["last_oracle_valid"], "last_oracle_valid")
    for name in ("order_tick_size", "order_step_size", "funding_period", "base_asset_reserve", "peg_multiplier"):
        account.positive(told[name], name)
    return PerpMarket(
        address=address,
        slot=slot,
        index=index,
        name=account.name(record["name"]),
        oracle=told["oracle"],
        oracle_source=account.word(deployment.oracle_sources, told["oracle_source"], "oracle_source"),
        status=account.word(deployment.market_statuses, record["status"], "status"),
        kind=account.word(_CONTRACT_KINDS, record["contract_type"], "contract_type"),
        tier=account.word(_CONTRACT_TIERS, record["contract_tier"], "contract_tier"),
        paused=account.flags(PerpPause, record["paused_operations"], "paused_operations"),
        quote_market=record["quote_spot_market_index"],
        base_with_amm=amm["base_asset_amount_with_amm"],
        long_base=told["base_asset_amount_long"],
        short_base=told["base_asset_amount_short"],
        quote=told["quote_asset_amount"],
        quote_entry_long=told["quote_entry_amount_long"],
        quote_entry_short=told["quote_entry_amount_short"],
        quote_break_even_long=told["quote_break_even_amount_long"],
        quote_break_even_short=told["quote_break_even_amount_short"],
        max_open_interest=told["max_open_interest"],
        cumulative_funding_long=told["cumulative_funding_rate_long"],
        cumulative_funding_short=told["cumulative_funding_rate_short"],
        last_funding_rate=told["last_funding_rate"],
        last_funding_rate_long=told["last_funding_rate_long"],
        last_funding_rate_short=told["last_funding_rate_short"],
        last_funding_oracle_twap=told["last_funding_oracle_twap"],
        last_funding_at=told["last_funding_rate_ts"],
        funding_period=told["funding_period"],
        funding_rate_24h=told["last_24h_avg_funding_rate"],
        funding_dead_zone=record.get("funding_clamp_threshold", 0),
        funding_slope=record.get("funding_ramp_slope", 0),
        net_unsettled_funding=told["net_unsettled_funding_pnl"],
        mark_twap=told["last_mark_price_twap"],
        mark_twap_5min=told["last_mark_price_twap_5min"],
        mark_twap_at=told["last_mark_price_twap_ts"],
        bid_twap=told["last_bid_price_twap"],
        ask_twap=told["last_ask_price_twap"],
        last_oracle_price=prices["last_oracle_price"],
        oracle_twap=prices["last_oracle_price_twap"],
        oracle_twap_5min=prices["last_oracle_price_twap_5min"],
        oracle_twap_at=prices["last_oracle_price_twap_ts"],
        base_reserve=amm["base_asset_reserve"],
        quote_reserve=amm["quote_asset_reserve"],
        sqrt_k=amm["sqrt_k"],
        peg=amm["peg_multiplier"],
        bid_base_reserve=amm["bid_base_asset_reserve"],
        bid_quote_reserve=amm["bid_quote_asset_reserve"],
        ask_base_reserve=amm["ask_base_asset_reserve"],
        ask_quote_reserve=amm["ask_quote_asset_reserve"],
        total_fee_minus_distributions=amm["total_fee_minus_distributions"],
        last_update_slot=amm["last_update_slot"],
        tick=told["order_tick_size"],
        step=told["order_step_size"],
        min_size=told["min_order_size"],
        initial_ratio=record["margin_ratio_initial"],
        maintenance_ratio=record["margin_ratio_maintenance"],
        high_leverage_initial=record.get("high_leverage_margin_ratio_initial", 0),
        high_leverage_maintenance=record.get("high_leverage_margin_ratio_maintenance", 0),
        imf=record["imf_factor"],
        pnl_imf=record["unrealized_pnl_imf_factor"],
        pnl_weight_initial=record["unrealized_pnl_initial_asset_weight"],
        pnl_weight_maintenance=record["unrealized_pnl_maintenance_asset_weight"],
        unrealized_pnl_max_imbalance=record["unrealized_pnl_max_imbalance"],
        pnl_pool=_pool(record["pnl_pool"]),
        fee_pool=_pool(amm["fee_pool"]),
        fee_adjustment=record["fee_adjustment"],
        taker_addon=record.get("taker_fee_addon_tenth_bps", 0),
        liquidator_fee=record["liquidator_fee"],
        insurance_liquidation_fee=record["if_liquidation_fee"],
        expiry_price=record["expiry_price"],
        expires=record["expiry_ts"],
        pool=record["pool_id"],
    )


def read_state(deployment: Deployment, address: str, owner: str, data: bytes, slot: int) -> State:
    """The State. `address` and the signer written in it must be the deployment's."""
    account = _Account(deployment, "State", address, owner, data)
    record = account.record
    account.must_be(deployment.state(), f"of the State of {deployment.name}")
    if record["signer"] != deployment.signer():
        raise account.wrong(f"the signer of {deployment.name} is {deployment.signer()}, and {record['signer']} is written in it")
    rails = record["oracle_guard_rails"]
    return State(
        address=address,
        slot=slot,
        signer=record["signer"],
        signer_nonce=record["signer_nonce"],
        perp_fees=_tiers(record["perp_fee_structure"]),
        spot_fees=_tiers(record["spot_fee_structure"]),
        guard_rails=GuardRails(
            mark_oracle_divergence=rails["mark_oracle_percent_divergence"],
            twap_5min_divergence=rails["oracle_twap_5min_percent_divergence"],
            stale_for_amm=rails["slots_before_stale_for_amm"],
            stale_for_margin=rails["slots_before_stale_for_margin"],
            confidence=rails["confidence_interval_max_size"],
            too_volatile=rails["too_volatile_ratio"],
        ),
        authorities=record["number_of_authorities"],
        sub_accounts=record["number_of_sub_accounts"],
        max_sub_accounts=record["max_number_of_sub_accounts"],
        perp_markets=record["number_of_markets"],
        spot_markets=record["number_of_spot_markets"],
        liquidation_margin_buffer=record["liquidation_margin_buffer_ratio"],
        settlement_duration=record["settlement_duration"],
        liquidation_duration=record["liquidation_duration"],
        initial_pct_to_liquidate=record["initial_pct_to_liquidate"],
        min_auction_duration=record["min_perp_auction_duration"],
        market_order_seconds=record["default_market_order_time_in_force"],
        max_initialize_fee=record["max_initialize_user_fee"],
        promo_tier=record.get("promo_fee_tier", 0),
        exchange_status=account.flags(ExchangePause, record["exchange_status"], "exchange_status"),
    )


def _pool(record: Record) -> Pool:
    return Pool(record["scaled_balance"], record["market_index"])


def _tiers(record: Record) -> tuple[FeeTier, ...]:
    return tuple(FeeTier(*one.values()) for one in record["fee_tiers"])


# -- the checks that all of them share ---------------------------------------------------------------------------------

NOBODY: Final = "1" * 32
"""The address of zeros, which stands for no address."""
MOST_DECIMALS: Final = 19
"""A balance times an index is divided by 10**(19 - decimals)."""

_MARGIN_MODES = dict(enumerate(MarginMode))
_NO_MODES = {0: MarginMode.DEFAULT}
_ORDER_STATUSES = dict(enumerate(OrderStatus))
_ORDER_KINDS = dict(enumerate(OrderKind))
_TRIGGERS = dict(enumerate(Trigger))
_ASSET_TIERS = dict(enumerate(AssetTier))
_CONTRACT_KINDS = dict(enumerate(ContractKind))
_CONTRACT_TIERS = dict(enumerate(ContractTier))

_Word = TypeVar("_Word", bound=Enum)
_Flags = TypeVar("_Flags", bound=Flag)


def _or_none(address: str) -> str | None:
    return None if address == NOBODY else address


_SPARE: Final = 256
"""Bytes that Velocity's markets were seen to have beyond their layout."""


class _Account:
    """One account under reading: its record, and the refusals that name it."""

    def __init__(self, deployment: Deployment, kind: str, address: str, owner: str, data: bytes) -> None:
        self.deployment, self.kind, self.address = deployment, kind, address
        if kind not in deployment.layouts:
            raise self.wrong(f"the layout of a {kind} of {deployment.name} ({deployment.version}) is not known")
        if owner != deployment.program_id:
            raise self.wrong(f"its owner is {owner}, and {deployment.name} is {deployment.program_id}")
        try:
            self.record = deployment.codec(kind).decode(data)
        except ValueError as wrong:
            raise self.wrong(str(wrong)) from None
        size, has = deployment.layout(kind).size, len(data)
        for other in DEPLOYMENTS.values():
            more = other.layouts.get(kind) if other.program_id == owner else None
            if more is not None and more.size > size and has - more.size in (0, _SPARE):
                raise self.wrong(f"it has {has} bytes, as many as one of {other.version} would: which of the two it is, nobody says")

    def wrong(self, why: str) -> WrongAccount:
        return WrongAccount(f"{self.address} is no {self.kind} of {self.deployment.name}: {why}")

    def must_be(self, address: str, what: str) -> None:
        if address != self.address:
            raise self.wrong(f"the address {what} is {address}")

    def yes(self, value: int, where: str) -> bool:
        if value > 1:
            raise self.wrong(f"{where} is {value}, and it is 0 or 1")
        return value == 1

    def word(self, table: Mapping[int, _Word], number: int, where: str) -> _Word:
        if (word := table.get(number)) is None:
            raise self.wrong(f"{where} is {number}, and {self.deployment.name} knows {', '.join(map(str, table))}")
        return word

    def flags(self, kind: type[_Flags], number: int, where: str, known: int | None = None) -> _Flags:
        known = sum(one.value for one in kind) if known is None else known
        if number & ~known:
            raise self.wrong(f"{where} is {number}, and its known bits are {known}")
        return kind(number)

    def name(self, data: bytes) -> str:
        try:
            return name_text(data)
        except UnicodeDecodeError:
            raise self.wrong(f"its name {data!r} is not UTF-8") from None

    def reserved(self, data: bytes, where: str) -> None:
        if any(data):
            raise self.wrong(f"{where} is {data.hex()}, and the reserved bytes of {self.deployment.version} are zero: a newer version?")

    def positive(self, number: int, where: str) -> None:
        if number <= 0:
            raise self.wrong(f"{where} is {number}, and it is above 0")

    def signs(self, one: Record, where: str) -> None:
        if one["open_bids"] < 0:
            raise self.wrong(f"{where}.open_bids is {one['open_bids']}, and bids are not negative")
        if one["open_asks"] > 0:
            raise self.wrong(f"{where}.open_asks is {one['open_asks']}, and asks are not positive")

    def once(self, numbers: Sequence[int], where: str) -> None:
        if len(set(numbers)) != len(numbers):
            raise self.wrong(f"{where} name {sorted(numbers)}: one of them twice")


_READERS: Final[Mapping[type, Callable[[Deployment, str, str, bytes, int], Any]]] = {
    PerpMarket: read_perp_market,
    SpotMarket: read_spot_market,
    State: read_state,
    User: read_user,
    UserStats: read_user_stats,
}
