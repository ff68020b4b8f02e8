"""The byte layouts of the accounts, as tables: one word a field, in the program's order; offsets follow from the widths.

A layout belongs to a program and a declared version, never to a discriminator: all versions of a User carry the same one, and the
wrong table reads them without an error, as garbage. Facts: Drift's IDL 2.162, velocity-v1's IDL 2.165, and the User of Velocity's
order-book branch. Fields of the two programs that mean the same carry the same name here.

It refuses to know what a field means, and reads no bytes (`codec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

__all__ = ["DISCRIMINATORS", "DRIFT", "DRIFT_LEGACY", "VELOCITY", "VELOCITY_CLOB", "WIDTHS", "Field", "Layout", "struct"]

WIDTHS: Final[Mapping[str, int]] = {
    "u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "u128": 16, "i128": 16, "key": 32,
}  # fmt: skip
"""Bytes of each plain type. `key` is an address; a yes-or-no and an enum are a u8."""

DISCRIMINATORS: Final[Mapping[str, str]] = {
    "PerpMarket": "0adf0c2c6bf537f7",
    "PythLazerOracle": "9f07a1f922517985",
    "SpotMarket": "64b1086ba8414127",
    "State": "d8926b5e684bb6b1",
    "User": "9f755fe3ef973aec",
    "UserStats": "b0df881b7a4f20e3",
}
"""The first eight bytes of each account, in hex: of sha256("account:Name"), the same for every deployment."""


@frozen
class Field:
    """One field: `kind` is a name of `WIDTHS`, "bytes" (its `size` bytes as they are) or "layout" (`count` of `of`, a list when `many`)."""

    name: str
    kind: str
    offset: int
    size: int
    of: Layout | None = None
    count: int = 1
    many: bool = False


@frozen
class Layout:
    """A packed table: `size` in bytes with the discriminator, which is None for a part of an account. `version` is the IDL's."""

    name: str
    version: str
    size: int
    discriminator: bytes | None
    fields: tuple[Field, ...]
    by_name: Mapping[str, Field] = field(init=False, repr=False, eq=False, hash=False)

    @by_name.default
    def _by_name(self) -> Mapping[str, Field]:
        return {one.name: one for one in self.fields}

    def offset(self, path: str) -> int:
        """The offset of a field from the first byte: "sub_account_id", "perp_positions.7.base_asset_amount". A KeyError if none."""
        where = 0
        layout: Layout | None = self
        found: Field | None = None
        for step in path.split("."):
            if step.isdigit() and found is not None and found.many and layout is not None:
                if int(step) >= found.count:
                    raise KeyError(f"{self.name} has {found.count} of {found.name}, and no {path!r}")
                where += int(step) * layout.size
                found = None
                continue
            if layout is None or step not in layout.by_name:
                raise KeyError(f"{self.name} of {self.version} has no field {path!r}")
            found = layout.by_name[step]
            where += found.offset
            layout = found.of
        return where


def struct(name: str, version: str, size: int, words: str, parts: Mapping[str, Layout] | None = None, account: bool = False) -> Layout:
    """A layout from words "name:type": a plain type, `bytes*N`, the name of a part, or `Part*N` for N of them.

    `size` is what the reference says it is, discriminator included: a ValueError when the words do not sum up to it.
    """
    offset = 8 if account else 0
    fields = []
    for word in words.split():
        called, kind = word.split(":")
        kind, many, count = kind.partition("*")
        times = int(count) if many else 1
        if kind == "bytes":
            one = Field(called, "bytes", offset, times)
        elif kind in WIDTHS:
            one = Field(called, kind, offset, WIDTHS[kind])
        else:
            part = (parts or {})[kind]
            one = Field(called, "layout", offset, part.size * times, part, times, bool(many))
        fields.append(one)
        offset += one.size
    if offset != size:
        raise ValueError(f"the fields of {name} {version} are {offset} bytes, and the layout is {size}")
    return Layout(name, version, size, bytes.fromhex(DISCRIMINATORS[name]) if account else None, tuple(fields))


def _parts(*layouts: Layout) -> dict[str, Layout]:
    return {one.name: one for one in layouts}


# -- what both programs share ------------------------------------------------------------------------------------------

_SPOT_POSITION = """
    scaled_balance:u64 open_bids:i64 open_asks:i64 cumulative_deposits:i64 market_index:u16 balance_type:u8 open_orders:u8
    padding:bytes*4
"""
_HISTORICAL_ORACLE = """
    last_oracle_price:i64 last_oracle_conf:u64 last_oracle_delay:i64 last_oracle_price_twap:i64 last_oracle_price_twap_5min:i64
    last_oracle_price_twap_ts:i64
"""
_HISTORICAL_INDEX = """
    last_index_bid_price:u64 last_index_ask_price:u64 last_index_price_twap:u64 last_index_price_twap_5min:u64
    last_index_price_twap_ts:i64
"""
_INSURANCE_CLAIM = """
    revenue_withdraw_since_last_settle:i64 max_revenue_withdraw_per_period:u64 quote_max_insurance:u64 quote_settled_insurance:u64
    last_revenue_withdraw_ts:i64
"""
_FEE_TIER = """
    fee_numerator:u32 fee_denominator:u32 maker_rebate_numerator:u32 maker_rebate_denominator:u32
    referrer_reward_numerator:u32 referrer_reward_denominator:u32 referee_fee_numerator:u32 referee_fee_denominator:u32
"""
_GUARD_RAILS = """
    mark_oracle_percent_divergence:u64 oracle_twap_5min_percent_divergence:u64
    slots_before_stale_for_amm:i64 slots_before_stale_for_margin:i64 confidence_interval_max_size:u64 too_volatile_ratio:i64
"""
_LAZER = "price:i64 publish_time:u64 posted_slot:u64 exponent:i32 padding:bytes*4 conf:u64"


# -- Drift v2 ----------------------------------------------------------------------------------------------------------


def _drift(version: str, position: str) -> dict[str, Layout]:
    parts = _parts(
        struct("SpotPosition", version, 40, _SPOT_POSITION),
        struct("PerpPosition", version, 96, position),
        struct(
            "Order",
            version,
            96,
            """
            slot:u64 price:u64 base_asset_amount:u64 base_asset_amount_filled:u64 quote_asset_amount_filled:u64 trigger_price:u64
            auction_start_price:i64 auction_end_price:i64 max_ts:i64 oracle_price_offset:i32 order_id:u32 market_index:u16
            status:u8 order_type:u8 market_type:u8 user_order_id:u8 existing_position_direction:u8 direction:u8
            reduce_only:u8 post_only:u8 immediate_or_cancel:u8 trigger_condition:u8 auction_duration:u8 posted_slot_tail:u8
            bit_flags:u8 padding:bytes*1
            """,
        ),
        struct(
            "UserFees",
            version,
            48,
            """
            total_fee_paid:u64 total_fee_rebate:u64 total_token_discount:u64 total_referee_discount:u64 total_referrer_reward:u64
            current_epoch_referrer_reward:u64
            """,
        ),
        struct("HistoricalOracleData", version, 48, _HISTORICAL_ORACLE),
        struct("HistoricalIndexData", version, 40, _HISTORICAL_INDEX),
        struct("PoolBalance", version, 24, "scaled_balance:u128 market_index:u16 padding:bytes*6"),
        struct(
            "InsuranceFund",
            version,
            112,
            """
            vault:key total_shares:u128 user_shares:u128 shares_base:u128 unstaking_period:i64 last_revenue_settle_ts:i64
            revenue_settle_period:i64 total_factor:u32 user_factor:u32
            """,
        ),
        struct("InsuranceClaim", version, 40, _INSURANCE_CLAIM),
        struct("FeeTier", version, 32, _FEE_TIER),
        struct("OracleGuardRails", version, 48, _GUARD_RAILS),
    )
    parts |= _parts(
        struct(
            "FeeStructure",
            version,
            360,
            """
            fee_tiers:FeeTier*10 filler_reward_numerator:u32 filler_reward_denominator:u32 time_based_reward_lower_bound:u128
            referrer_reward_epoch_upper_bound:u64 flat_filler_fee:u64
            """,
            parts,
        ),
        struct(
            "AMM",
            version,
            936,
            """
            oracle:key historical_oracle_data:HistoricalOracleData base_asset_amount_per_lp:i128 quote_asset_amount_per_lp:i128
            fee_pool:PoolBalance base_asset_reserve:u128 quote_asset_reserve:u128 concentration_coef:u128
            min_base_asset_reserve:u128 max_base_asset_reserve:u128 sqrt_k:u128 peg_multiplier:u128
            terminal_quote_asset_reserve:u128 base_asset_amount_long:i128 base_asset_amount_short:i128
            base_asset_amount_with_amm:i128 base_asset_amount_with_unsettled_lp:i128 max_open_interest:u128
            quote_asset_amount:i128 quote_entry_amount_long:i128 quote_entry_amount_short:i128
            quote_break_even_amount_long:i128 quote_break_even_amount_short:i128 user_lp_shares:u128
            last_funding_rate:i64 last_funding_rate_long:i64 last_funding_rate_short:i64 last_24h_avg_funding_rate:i64
            total_fee:i128 total_mm_fee:i128 total_exchange_fee:u128 total_fee_minus_distributions:i128
            total_fee_withdrawn:u128 total_liquidation_fee:u128 cumulative_funding_rate_long:i128
            cumulative_funding_rate_short:i128 total_social_loss:u128 ask_base_asset_reserve:u128
            ask_quote_asset_reserve:u128 bid_base_asset_reserve:u128 bid_quote_asset_reserve:u128
            last_oracle_normalised_price:i64 last_oracle_reserve_price_spread_pct:i64 last_bid_price_twap:u64
            last_ask_price_twap:u64 last_mark_price_twap:u64 last_mark_price_twap_5min:u64 last_update_slot:u64
            last_oracle_conf_pct:u64 net_revenue_since_last_funding:i64 last_funding_rate_ts:i64 funding_period:i64
            order_step_size:u64 order_tick_size:u64 min_order_size:u64 mm_oracle_slot:u64 volume_24h:u64
            long_intensity_volume:u64 short_intensity_volume:u64 last_trade_ts:i64 mark_std:u64 oracle_std:u64
            last_mark_price_twap_ts:i64 base_spread:u32 max_spread:u32 long_spread:u32 short_spread:u32 mm_oracle_price:i64
            max_fill_reserve_fraction:u16 max_slippage_ratio:u16 curve_update_intensity:u8 amm_jit_intensity:u8
            oracle_source:u8 last_oracle_valid:u8 target_base_asset_amount_per_lp:i32 per_lp_base:i8
            oracle_low_risk_slot_delay_override:i8 amm_spread_adjustment:i8 oracle_slot_delay_override:i8
            mm_oracle_sequence_id:u64 net_unsettled_funding_pnl:i64 quote_asset_amount_with_unsettled_lp:i64
            reference_price_offset:i32 amm_inventory_spread_adjustment:i8 reference_price_offset_deadband_pct:u8
            padding:bytes*2 last_funding_oracle_twap:i64
            """,
            parts,
        ),
    )
    return _parts(
        struct(
            "User",
            version,
            4376,
            """
            authority:key delegate:key name:bytes*32 spot_positions:SpotPosition*8 perp_positions:PerpPosition*8 orders:Order*32
            last_add_perp_lp_shares_ts:i64 total_deposits:u64 total_withdraws:u64 total_social_loss:u64 settled_perp_pnl:i64
            cumulative_spot_fees:i64 cumulative_perp_funding:i64 liquidation_margin_freed:u64 last_active_slot:u64
            next_order_id:u32 max_margin_ratio:u32 next_liquidation_id:u16 sub_account_id:u16 status:u8
            is_margin_trading_enabled:u8 idle:u8 open_orders:u8 has_open_order:u8 open_auctions:u8 has_open_auction:u8
            margin_mode:u8 pool_id:u8 padding1:bytes*3 last_fuel_bonus_update_ts:u32 padding:bytes*12
            """,
            parts,
            account=True,
        ),
        struct(
            "UserStats",
            version,
            240,
            """
            authority:key referrer:key fees:UserFees next_epoch_ts:i64 maker_volume_30d:u64 taker_volume_30d:u64
            filler_volume_30d:u64 last_maker_volume_30d_ts:i64 last_taker_volume_30d_ts:i64 last_filler_volume_30d_ts:i64
            if_staked_quote_asset_amount:u64 number_of_sub_accounts:u16 number_of_sub_accounts_created:u16 referrer_status:u8
            disable_update_perp_bid_ask_twap:u8 paused_operations:u8 fuel_overflow_status:u8 fuel_insurance:u32
            fuel_deposits:u32 fuel_borrows:u32 fuel_positions:u32 fuel_taker:u32 fuel_maker:u32
            if_staked_gov_token_amount:u64 last_fuel_if_bonus_update_ts:u32 padding:bytes*12
            """,
            parts,
            account=True,
        ),
        struct(
            "SpotMarket",
            version,
            776,
            """
            pubkey:key oracle:key mint:key vault:key name:bytes*32 historical_oracle_data:HistoricalOracleData
            historical_index_data:HistoricalIndexData revenue_pool:PoolBalance spot_fee_pool:PoolBalance
            insurance_fund:InsuranceFund total_spot_fee:u128 deposit_balance:u128 borrow_balance:u128
            cumulative_deposit_interest:u128 cumulative_borrow_interest:u128 total_social_loss:u128
            total_quote_social_loss:u128 withdraw_guard_threshold:u64 max_token_deposits:u64 deposit_token_twap:u64
            borrow_token_twap:u64 utilization_twap:u64 last_interest_ts:u64 last_twap_ts:u64 expiry_ts:i64
            order_step_size:u64 order_tick_size:u64 min_order_size:u64 max_position_size:u64 next_fill_record_id:u64
            next_deposit_record_id:u64 initial_asset_weight:u32 maintenance_asset_weight:u32 initial_liability_weight:u32
            maintenance_liability_weight:u32 imf_factor:u32 liquidator_fee:u32 if_liquidation_fee:u32
            optimal_utilization:u32 optimal_borrow_rate:u32 max_borrow_rate:u32 decimals:u32 market_index:u16
            orders_enabled:u8 oracle_source:u8 status:u8 asset_tier:u8 paused_operations:u8 if_paused_operations:u8
            fee_adjustment:i16 max_token_borrows_fraction:u16 flash_loan_amount:u64 flash_loan_initial_token_amount:u64
            total_swap_fee:u64 scale_initial_asset_weight_start:u64 min_borrow_rate:u8 fuel_boost_deposits:u8
            fuel_boost_borrows:u8 fuel_boost_taker:u8 fuel_boost_maker:u8 fuel_boost_insurance:u8 token_program_flag:u8
            pool_id:u8 padding:bytes*40
            """,
            parts,
            account=True,
        ),
        struct(
            "PerpMarket",
            version,
            1216,
            """
            pubkey:key amm:AMM pnl_pool:PoolBalance name:bytes*32 insurance_claim:InsuranceClaim
            unrealized_pnl_max_imbalance:u64 expiry_ts:i64 expiry_price:i64 next_fill_record_id:u64
            next_funding_rate_record_id:u64 next_curve_record_id:u64 imf_factor:u32 unrealized_pnl_imf_factor:u32
            liquidator_fee:u32 if_liquidation_fee:u32 margin_ratio_initial:u32 margin_ratio_maintenance:u32
            unrealized_pnl_initial_asset_weight:u32 unrealized_pnl_maintenance_asset_weight:u32
            number_of_users_with_base:u32 number_of_users:u32 market_index:u16 status:u8 contract_type:u8 contract_tier:u8
            paused_operations:u8 quote_spot_market_index:u16 fee_adjustment:i16 fuel_boost_position:u8 fuel_boost_taker:u8
            fuel_boost_maker:u8 pool_id:u8 high_leverage_margin_ratio_initial:u16 high_leverage_margin_ratio_maintenance:u16
            protected_maker_limit_price_divisor:u8 protected_maker_dynamic_divisor:u8 lp_fee_transfer_scalar:u8 lp_status:u8
            lp_paused_operations:u8 lp_exchange_fee_excluscion_scalar:u8 last_fill_price:u64 lp_pool_id:u8 market_config:u8
            padding:bytes*22
            """,
            parts,
            account=True,
        ),
        struct(
            "State",
            version,
            992,
            """
            admin:key whitelist_mint:key discount_mint:key signer:key srm_vault:key perp_fee_structure:FeeStructure
            spot_fee_structure:FeeStructure oracle_guard_rails:OracleGuardRails number_of_authorities:u64
            number_of_sub_accounts:u64 lp_cooldown_time:u64 liquidation_margin_buffer_ratio:u32 settlement_duration:u16
            number_of_markets:u16 number_of_spot_markets:u16 signer_nonce:u8 min_perp_auction_duration:u8
            default_market_order_time_in_force:u8 default_spot_auction_duration:u8 exchange_status:u8
            liquidation_duration:u8 initial_pct_to_liquidate:u16 max_number_of_sub_accounts:u16 max_initialize_user_fee:u16
            feature_bit_flags:u8 lp_pool_feature_bit_flags:u8 padding:bytes*8
            """,
            parts,
            account=True,
        ),
        struct("PythLazerOracle", version, 48, _LAZER, account=True),
    )


DRIFT: Final[Mapping[str, Layout]] = _drift(
    "2.162",
    """
    last_cumulative_funding_rate:i64 base_asset_amount:i64 quote_asset_amount:i64 quote_break_even_amount:i64
    quote_entry_amount:i64 open_bids:i64 open_asks:i64 settled_pnl:i64 lp_shares:u64 isolated_position_scaled_balance:u64
    last_quote_asset_amount_per_lp:i64 padding:bytes*2 max_margin_ratio:u16 market_index:u16 open_orders:u8 position_flag:u8
    """,
)
"""Drift v2 by its IDL 2.162."""

DRIFT_LEGACY: Final[Mapping[str, Layout]] = _drift(
    "before 2.142",
    """
    last_cumulative_funding_rate:i64 base_asset_amount:i64 quote_asset_amount:i64 quote_break_even_amount:i64
    quote_entry_amount:i64 open_bids:i64 open_asks:i64 settled_pnl:i64 lp_shares:u64 last_base_asset_amount_per_lp:i64
    last_quote_asset_amount_per_lp:i64 remainder_base_asset_amount:i32 market_index:u16 open_orders:u8 per_lp_base:i8
    """,
)
"""Drift v2 as it was while liquidity providers' shares lay in perp positions: 72..80, 88..92 and 95 of one mean something else."""


# -- Velocity ----------------------------------------------------------------------------------------------------------

_VELOCITY_USER_HEAD = """
    authority:key delegate:key name:bytes*32 spot_positions:SpotPosition*8 perp_positions:PerpPosition*8 orders:Order*32
    total_deposits:u64 total_withdraws:u64 total_social_loss:u64 settled_perp_pnl:i64 cumulative_spot_fees:i64
    cumulative_perp_funding:i64 liquidation_margin_freed:u64 last_active_slot:u64 next_order_id:u32 max_margin_ratio:u32
    next_liquidation_id:u16 sub_account_id:u16 status:u8 is_margin_trading_enabled:u8 idle:u8
"""
_VELOCITY_USER = (
    _VELOCITY_USER_HEAD
    + """
    open_orders:u8 has_open_order:u8 open_auctions:u8 has_open_auction:u8 pool_id:u8 special_user_status:u8 padding:bytes*3
    equity_floor:u64 equity_floor_buffer:u64
"""
)
# With a book on chain a user has more orders than a byte counts: the count has grown, and what follows has moved.
_CLOB_USER = (
    _VELOCITY_USER_HEAD
    + """
    has_open_order:u8 open_orders:u16 open_auctions:u8 has_open_auction:u8 pool_id:u8 special_user_status:u8 padding:bytes*2
    equity_floor:u64 equity_floor_buffer:u64
"""
)
_VELOCITY_POSITION = """
    last_cumulative_funding_rate:i64 base_asset_amount:i64 quote_asset_amount:i64 quote_break_even_amount:i64
    quote_entry_amount:i64 open_bids:i64 open_asks:i64 settled_pnl:i64 isolated_position_scaled_balance:u64
"""
_VELOCITY_ORDER = """
    slot:u64 price:u64 base_asset_amount:u64 base_asset_amount_filled:u64 quote_asset_amount_filled:u64 trigger_price:u64
    auction_start_price:i64 auction_end_price:i64 max_ts:i64 oracle_price_offset:i64 order_id:u32 market_index:u16
    status:u8 order_type:u8 market_type:u8 user_order_id:u8 existing_position_direction:u8 direction:u8
    reduce_only:u8 post_only:u8 immediate_or_cancel:u8 trigger_condition:u8 auction_duration:u8 posted_slot_tail:u8
    bit_flags:u8 padding:bytes*5
"""


def _velocity(version: str) -> dict[str, Layout]:
    parts = _parts(
        struct("SpotPosition", version, 40, _SPOT_POSITION),
        struct(
            "PerpPosition",
            version,
            80,
            _VELOCITY_POSITION + "padding:bytes*2 max_margin_ratio:u16 market_index:u16 open_orders:u8 position_flag:u8",
        ),
        struct("Order", version, 104, _VELOCITY_ORDER),
        struct(
            "UserFees",
            version,
            32,
            "total_fee_paid:u64 total_fee_rebate:u64 total_token_discount:u64 total_referee_discount:u64",
        ),
        struct("HistoricalOracleData", version, 48, _HISTORICAL_ORACLE),
        struct("HistoricalIndexData", version, 40, _HISTORICAL_INDEX),
        struct(
            "PoolBalance",
            version,
            32,
            "scaled_balance:u128 market_index:u16 padding:bytes*2 pending_interest_split_dust:u32 pending_interest_dust:u64",
        ),
        struct(
            "InsuranceFund",
            version,
            112,
            """
            vault:key total_shares:u128 user_shares:u128 shares_base:u128 unstaking_period:i64 last_revenue_settle_ts:i64
            revenue_settle_period:i64 total_factor:u32 padding:bytes*4
            """,
        ),
        struct("InsuranceClaim", version, 40, _INSURANCE_CLAIM),
        struct("FeeTier", version, 32, _FEE_TIER),
        struct("OracleGuardRails", version, 48, _GUARD_RAILS),
        struct(
            "FeeLedger",
            version,
            96,
            """
            total_exchange_fee:u128 total_liquidation_fee:u128 pending_protocol_fee:u128 pending_if_fee:u128
            amm_protocol_fees_received:u128 pending_amm_provision:u128
            """,
        ),
        struct(
            "HedgeConfig",
            version,
            16,
            """
            pool_id:u8 status:u8 paused_operations:u8 exchange_fee_exclusion_scalar:u8 fee_transfer_scalar:u8 padding:bytes*11
            """,
        ),
    )
    parts |= _parts(
        struct(
            "FeeStructure",
            version,
            368,
            """
            fee_tiers:FeeTier*10 time_based_reward_lower_bound:u128 filler_reward_numerator:u32 filler_reward_denominator:u32
            padding:bytes*8 flat_filler_fee:u64 amm_fee_numerator:u32 if_fee_numerator:u32
            """,
            parts,
        ),
        struct(
            "MarketStats",
            version,
            216,
            """
            last_mark_price_twap:u64 last_mark_price_twap_5min:u64 last_mark_price_twap_ts:i64 last_bid_price_twap:u64
            last_ask_price_twap:u64 mark_std:u64 oracle_std:u64 last_oracle_conf_pct:u64 volume_24h:u64
            long_intensity_volume:u64 short_intensity_volume:u64 last_trade_ts:i64 last_24h_avg_funding_rate:i64
            funding_period:i64 min_order_size:u64 mm_oracle_price:i64 mm_oracle_slot:u64 mm_oracle_sequence_id:u64
            last_oracle_normalised_price:i64 last_reference_price_offset:i32 last_oracle_valid:u8 padding:bytes*3
            last_funding_oracle_twap:i64 historical_oracle_data:HistoricalOracleData
            """,
            parts,
        ),
        struct(
            "AMM",
            version,
            384,
            """
            fee_pool:PoolBalance base_asset_reserve:u128 quote_asset_reserve:u128 concentration_coef:u128
            min_base_asset_reserve:u128 max_base_asset_reserve:u128 sqrt_k:u128 peg_multiplier:u128
            terminal_quote_asset_reserve:u128 base_asset_amount_with_amm:i128 total_fee:i128 total_mm_fee:i128
            total_fee_minus_distributions:i128 total_fee_withdrawn:u128 ask_base_asset_reserve:u128
            ask_quote_asset_reserve:u128 bid_base_asset_reserve:u128 bid_quote_asset_reserve:u128 last_update_slot:u64
            net_revenue_since_last_funding:i64 last_cumulative_funding_rate_long:i64 last_cumulative_funding_rate_short:i64
            last_oracle_reserve_price_spread_pct:i64 last_spread_update_slot:u64 base_spread:u32 max_spread:u32
            long_spread:u32 short_spread:u32 reference_price_offset:i32 max_fill_reserve_fraction:u16 max_slippage_ratio:u16
            curve_update_intensity:u8 amm_jit_intensity:u8 amm_spread_adjustment:i8 amm_inventory_spread_adjustment:i8
            reference_price_offset_deadband_pct:u8 funding_bias_sensitivity:u8 padding:bytes*2
            """,
            parts,
        ),
    )
    return _parts(
        struct("User", version, 4496, _VELOCITY_USER, parts, account=True),
        struct(
            "UserStats",
            version,
            240,
            """
            authority:key referrer:key fees:UserFees maker_volume_30d:u64 taker_volume_30d:u64 filler_volume_30d:u64
            last_maker_volume_30d_ts:i64 last_taker_volume_30d_ts:i64 last_filler_volume_30d_ts:i64
            if_staked_quote_asset_amount:u64 number_of_sub_accounts:u16 number_of_sub_accounts_created:u16 referrer_status:u8
            disable_update_perp_bid_ask_twap:u8 paused_operations:u8 padding1:bytes*9 delegate_permissions:u8
            equity_breaker_tripped:u8 padding:bytes*62
            """,
            parts,
            account=True,
        ),
        struct(
            "SpotMarket",
            version,
            808,
            """
            pubkey:key oracle:key mint:key vault:key name:bytes*32 insurance_fund:InsuranceFund total_spot_fee:u128
            deposit_balance:u128 borrow_balance:u128 cumulative_deposit_interest:u128 cumulative_borrow_interest:u128
            total_social_loss:u128 total_quote_social_loss:u128 revenue_pool:PoolBalance spot_fee_pool:PoolBalance
            historical_oracle_data:HistoricalOracleData historical_index_data:HistoricalIndexData
            withdraw_guard_threshold:u64 max_token_deposits:u64 deposit_token_twap:u64 borrow_token_twap:u64
            utilization_twap:u64 last_interest_ts:u64 last_twap_ts:u64 expiry_ts:i64 order_step_size:u64 order_tick_size:u64
            min_order_size:u64 max_position_size:u64 next_fill_record_id:u64 next_deposit_record_id:u64
            initial_asset_weight:u32 maintenance_asset_weight:u32 initial_liability_weight:u32
            maintenance_liability_weight:u32 imf_factor:u32 liquidator_fee:u32 if_liquidation_fee:u32
            optimal_utilization:u32 optimal_borrow_rate:u32 max_borrow_rate:u32 decimals:u32 market_index:u16
            orders_enabled:u8 oracle_source:u8 status:u8 asset_tier:u8 paused_operations:u8 if_paused_operations:u8
            fee_adjustment:i16 max_token_borrows_fraction:u16 flash_loan_amount:u64 flash_loan_initial_token_amount:u64
            total_swap_fee:u64 scale_initial_asset_weight_start:u64 min_borrow_rate:u8 token_program_flag:u8 pool_id:u8
            padding:bytes*1 withdraw_circuit_breaker_bps:u16 max_deposit_bps_per_day:u16 deposit_guard_threshold:u64
            protocol_fee_pool:PoolBalance protocol_liquidation_fee:u32 protocol_fee_factor:u32 if_last_settle_vault_amount:u64
            """,
            parts,
            account=True,
        ),
        struct(
            "PerpMarket",
            version,
            1304,
            """
            pubkey:key base_asset_amount_long:i128 base_asset_amount_short:i128 quote_asset_amount:i128
            quote_entry_amount_long:i128 quote_entry_amount_short:i128 quote_break_even_amount_long:i128
            quote_break_even_amount_short:i128 max_open_interest:u128 total_social_loss:u128
            cumulative_funding_rate_long:i128 cumulative_funding_rate_short:i128 fee_ledger:FeeLedger oracle:key
            pnl_pool:PoolBalance protocol_fee_pool:PoolBalance protocol_liquidation_fee:u32 taker_fee_addon_tenth_bps:u16
            padding_buffer:bytes*2 fee_pool_buffer_target:u64 name:bytes*32 insurance_claim:InsuranceClaim
            last_funding_rate:i64 last_funding_rate_long:i64 last_funding_rate_short:i64 last_funding_rate_ts:i64
            net_unsettled_funding_pnl:i64 funding_clamp_threshold:u32 funding_ramp_slope:u32 order_step_size:u64
            order_tick_size:u64 unrealized_pnl_max_imbalance:u64 expiry_ts:i64 expiry_price:i64 next_fill_record_id:u64
            next_funding_rate_record_id:u64 imf_factor:u32 unrealized_pnl_imf_factor:u32 liquidator_fee:u32
            if_liquidation_fee:u32 margin_ratio_initial:u32 margin_ratio_maintenance:u32
            unrealized_pnl_initial_asset_weight:u32 unrealized_pnl_maintenance_asset_weight:u32
            number_of_users_with_base:u32 number_of_users:u32 market_index:u16 status:u8 contract_type:u8 contract_tier:u8
            paused_operations:u8 quote_spot_market_index:u16 fee_adjustment:i16 pending_bankruptcy_claims:u16
            padding_align:bytes*4 last_fill_price:u64 pool_id:u8 padding_pmm:bytes*2 padding_hedge:bytes*5 market_config:u8
            oracle_source:u8 oracle_slot_delay_override:i8 oracle_low_risk_slot_delay_override:i8 bankruptcy_if_floor_pct:u32
            market_stats:MarketStats pending_revenue_share:u64 amm:AMM hedge_config:HedgeConfig
            """,
            parts,
            account=True,
        ),
        struct(
            "State",
            version,
            1752,
            """
            cold_admin:key warm_admin:key pause_admin:key hot_amm_crank:key hot_lp_cache:key hot_lp_swap:key
            hot_lp_settle:key hot_feature_flag:key hot_fuel:key hot_user_flag:key hot_vault_deposit:key
            hot_mm_oracle_crank:key hot_amm_spread_adjust:key whitelist_mint:key discount_mint:key signer:key srm_vault:key
            perp_fee_structure:FeeStructure spot_fee_structure:FeeStructure oracle_guard_rails:OracleGuardRails
            number_of_authorities:u64 number_of_sub_accounts:u64 liquidation_margin_buffer_ratio:u32 settlement_duration:u16
            number_of_markets:u16 number_of_spot_markets:u16 signer_nonce:u8 min_perp_auction_duration:u8
            default_market_order_time_in_force:u8 default_spot_auction_duration:u8 exchange_status:u8
            liquidation_duration:u8 initial_pct_to_liquidate:u16 max_number_of_sub_accounts:u16 max_initialize_user_fee:u16
            feature_bit_flags:u8 lp_pool_feature_bit_flags:u8 solvency_status:u8 protocol_fee_recipient_perp:key
            protocol_fee_recipient_spot:key hot_fee_withdraw:key hot_account_extension:key promo_fee_tier:u8
            padding:bytes*238 alignment:bytes*8
            """,
            parts,
            account=True,
        ),
        struct("PythLazerOracle", version, 48, _LAZER, account=True),
    )


VELOCITY: Final[Mapping[str, Layout]] = _velocity("2.165")
"""Velocity by its IDL 2.165. On chain the market accounts carry 256 spare bytes more; `State` ends in 8 bytes of alignment."""

VELOCITY_CLOB: Final[Mapping[str, Layout]] = _parts(
    struct(
        "User",
        "order-book branch",
        4560,
        _CLOB_USER,
        _parts(
            struct("SpotPosition", "order-book branch", 40, _SPOT_POSITION),
            struct(
                "PerpPosition",
                "order-book branch",
                88,
                _VELOCITY_POSITION
                + "reduce_only_clob_orders:u16 max_margin_ratio:u16 market_index:u16 open_orders:u16 position_flag:u8 padding:bytes*7",
            ),
            struct("Order", "order-book branch", 104, _VELOCITY_ORDER),
        ),
        account=True,
    ),
    VELOCITY["PythLazerOracle"],
)
"""The branch with an order book on chain, as far as it is known: the User (perp positions of 88 bytes). Not seen deployed."""
