"""A second reader of the accounts, by plain offsets: what the fuzzed bytes of `test_drift_fuzz.py` are held against.

It shares no code with `sleeves.venues.drift`: every offset is a literal. Drift's are those of `layouts.json` of the reference (which
`test_drift_cases.py` compares our tables with, field by field), Velocity's those of its repository's IDL 2.165, written down when they
were checked against what others saw on chain (328 and 544 of its markets, the sizes 808, 1304 and 1752).
"""

from __future__ import annotations

from solders.pubkey import Pubkey

WIDTH = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "u128": 16, "i128": 16}
STRIDES = {"DRIFT": (424, 96, 1192, 96), "VELOCITY": (424, 80, 1064, 104), "CLOB": (424, 88, 1128, 104)}
"""Where perp positions and orders begin, and how long each of them is."""

SOURCES = (
    *("pyth", "switchboard", "quote asset", "pyth 1k", "pyth 1m", "pyth stable coin", "prelaunch", "pyth pull", "pyth 1k pull"),
    *("pyth 1m pull", "pyth stable coin pull", "switchboard on demand", "pyth lazer", "pyth lazer 1k", "pyth lazer 1m"),
    "pyth lazer stable coin",
)
STATUSES = {
    "DRIFT": (
        *("initialized", "active", "funding paused", "amm paused", "fill paused", "withdraw paused", "reduce only", "settlement"),
        "delisted",
    ),
    "VELOCITY": ("initialized", "active", "reduce only", "settlement", "delisted"),
}
KINDS = ("perpetual", "future", "prediction")
TIERS = ("A", "B", "C", "speculative", "highly speculative", "isolated")
ASSET_TIERS = ("collateral", "protected", "cross", "isolated", "unlisted")
ORDER_KINDS = ("market", "limit", "trigger market", "trigger limit", "oracle")
TRIGGERS = ("above", "below", "triggered above", "triggered below")
MODES = ("default", "high leverage", "high leverage maintenance")
NOBODY = "1" * 32


def at(data, offset, kind):
    """The value of one field. A name is its text, an address its base58."""
    if kind == "key":
        return str(Pubkey(data[offset : offset + 32]))
    if kind == "text":
        return data[offset : offset + 32].decode().rstrip(" \0")
    return int.from_bytes(data[offset : offset + WIDTH[kind]], "little", signed=kind[0] == "i")


def flat(data, table):
    """Every plain field of a table."""
    return {name: at(data, *where) for name, where in table.items() if where[1] != "at"}


def user(data, who):
    """A User as nested plain values: what is not an empty slot, by the positions' own numbers."""
    told = flat(data, {"DRIFT": USER_DRIFT, "VELOCITY": USER_VELOCITY, "CLOB": USER_CLOB}[who])
    perps, perp, orders, order = STRIDES[who]
    told |= {"authority": at(data, 8, "key"), "delegate": at(data, 40, "key"), "name": at(data, 72, "text")}
    told["spots"] = [found for slot in range(8) if (found := _spot(data, 104 + 40 * slot)) is not None]
    told["perps"] = [found for slot in range(8) if (found := _perp(data, perps + perp * slot, who)) is not None]
    told["orders"] = [found for slot in range(32) if (found := _order(data, orders + order * slot, who)) is not None]
    return told


def _spot(data, start):
    told = {
        "balance": at(data, start, "u64"),
        "open_bids": at(data, start + 8, "i64"),
        "open_asks": at(data, start + 16, "i64"),
        "cumulative_deposits": at(data, start + 24, "i64"),
        "market": at(data, start + 32, "u16"),
        "borrowed": at(data, start + 34, "u8"),
        "open_orders": at(data, start + 35, "u8"),
    }
    return told if told["balance"] or told["open_orders"] else None


def _perp(data, start, who):
    ratio, market, orders, flag, isolated = {
        "DRIFT": (90, 92, (94, "u8"), 95, 72),
        "VELOCITY": (74, 76, (78, "u8"), 79, 64),
        "CLOB": (74, 76, (78, "u16"), 80, 64),
    }[who]
    names = ("last_funding", "base", "quote", "break_even", "entry", "open_bids", "open_asks", "settled_pnl")
    told = {name: at(data, start + 8 * place, "i64") for place, name in enumerate(names)}
    flags = data[start + flag]
    told |= {
        "market": at(data, start + market, "u16"),
        "open_orders": at(data, start + orders[0], orders[1]),
        "max_margin_ratio": at(data, start + ratio, "u16"),
        "isolated": at(data, start + isolated, "u64") if flags & 1 else 0,
        "is_isolated": flags & 1,
        "being_liquidated": flags >> 1 & 1,
        "bankrupt": flags >> 2 & 1,
    }
    shares = at(data, start + 64, "u64") if who == "DRIFT" else 0
    return told if told["base"] or told["quote"] or told["open_orders"] or shares or told["isolated"] else None


def _order(data, start, who):
    names = ("slot", "price", "base", "filled", "quote_filled", "trigger_price")
    told = {name: at(data, start + 8 * place, "u64") for place, name in enumerate(names)}
    told |= {
        "auction_start": at(data, start + 48, "i64"),
        "auction_end": at(data, start + 56, "i64"),
        "expires": at(data, start + 64, "i64"),
    }
    told["oracle_offset"] = at(data, start + 72, "i32" if who == "DRIFT" else "i64")
    rest = start + (76 if who == "DRIFT" else 80)
    if data[rest + 6] != 1:
        return None
    return told | {
        "id": at(data, rest, "u32"),
        "market": at(data, rest + 4, "u16"),
        "status": "open",
        "kind": _word(ORDER_KINDS, data[rest + 7]),
        "perp": data[rest + 8],
        "user_id": data[rest + 9],
        "long": 1 - data[rest + 11],
        "reduce_only": data[rest + 12],
        "post_only": data[rest + 13],
        "immediate": data[rest + 14],
        "trigger_condition": _word(TRIGGERS, data[rest + 15]),
        "auction_duration": data[rest + 16],
    }


def _word(words, number):
    return words[number] if number < len(words) else f"no word for {number}"


def market(data, kind, who):
    """A market as plain values; enums by their words."""
    told = flat(data, TABLES[kind, who])
    told["status"] = _word(STATUSES[who], told["status"])
    told["oracle_source"] = _word(SOURCES, told["oracle_source"])
    if kind == "PerpMarket":
        told |= {"kind": _word(KINDS, told["kind"]), "tier": _word(TIERS, told["tier"])}
    else:
        told["tier"] = _word(ASSET_TIERS, told["tier"])
        token = told.pop("token")
        told |= {"token_2022": token & 1, "transfer_hook": token >> 1 & 1}
    return told


def state(data, who):
    """The State as plain values, with the ten tiers of both fee tables."""
    table = TABLES["State", who]
    told = flat(data, table)
    for name in ("perp_fees", "spot_fees"):
        start = table[name][0]
        told[name] = [[at(data, start + 32 * tier + 4 * place, "u32") for place in range(8)] for tier in range(10)]
    rails = table["guard_rails"][0]
    told["guard_rails"] = [at(data, rails + 8 * place, kind) for place, kind in enumerate(("u64", "u64", "i64", "i64", "u64", "i64"))]
    return told


SPOT_MARKET_DRIFT = {
    "index": (684, "u16"),
    "decimals": (680, "u32"),
    "deposit_balance": (432, "u128"),
    "borrow_balance": (448, "u128"),
    "deposit_index": (464, "u128"),
    "borrow_index": (480, "u128"),
    "initial_asset_weight": (640, "u32"),
    "maintenance_asset_weight": (644, "u32"),
    "initial_liability_weight": (648, "u32"),
    "maintenance_liability_weight": (652, "u32"),
    "imf": (656, "u32"),
    "scale_initial_start": (720, "u64"),
    "last_oracle_price": (168, "i64"),
    "oracle_twap": (192, "i64"),
    "twap_5min": (200, "i64"),
    "oracle_twap_at": (208, "i64"),
    "last_interest_at": (568, "u64"),
    "last_twap_at": (576, "u64"),
    "deposit_token_twap": (544, "u64"),
    "borrow_token_twap": (552, "u64"),
    "utilization_twap": (560, "u64"),
    "optimal_utilization": (668, "u32"),
    "optimal_rate": (672, "u32"),
    "max_rate": (676, "u32"),
    "min_rate": (728, "u8"),
    "tick": (600, "u64"),
    "step": (592, "u64"),
    "min_size": (608, "u64"),
    "withdraw_guard": (528, "u64"),
    "max_deposits": (536, "u64"),
    "max_borrows_fraction": (694, "u16"),
    "liquidator_fee": (660, "u32"),
    "insurance_liquidation_fee": (664, "u32"),
    "insurance_total_factor": (408, "u32"),
    "expires": (584, "i64"),
    "pool": (735, "u8"),
    "mint": (72, "key"),
    "vault": (104, "key"),
    "oracle": (40, "key"),
    "name": (136, "text"),
    "oracle_source": (687, "u8"),
    "status": (688, "u8"),
    "tier": (689, "u8"),
    "paused": (690, "u8"),
    "token": (734, "u8"),
    "orders_enabled": (686, "u8"),
    "revenue_pool.balance": (256, "u128"),
    "revenue_pool.market": (272, "u16"),
}
SPOT_MARKET_VELOCITY = {
    "index": (700, "u16"),
    "decimals": (696, "u32"),
    "deposit_balance": (296, "u128"),
    "borrow_balance": (312, "u128"),
    "deposit_index": (328, "u128"),
    "borrow_index": (344, "u128"),
    "initial_asset_weight": (656, "u32"),
    "maintenance_asset_weight": (660, "u32"),
    "initial_liability_weight": (664, "u32"),
    "maintenance_liability_weight": (668, "u32"),
    "imf": (672, "u32"),
    "scale_initial_start": (736, "u64"),
    "last_oracle_price": (456, "i64"),
    "oracle_twap": (480, "i64"),
    "twap_5min": (488, "i64"),
    "oracle_twap_at": (496, "i64"),
    "last_interest_at": (584, "u64"),
    "last_twap_at": (592, "u64"),
    "deposit_token_twap": (560, "u64"),
    "borrow_token_twap": (568, "u64"),
    "utilization_twap": (576, "u64"),
    "optimal_utilization": (684, "u32"),
    "optimal_rate": (688, "u32"),
    "max_rate": (692, "u32"),
    "min_rate": (744, "u8"),
    "tick": (616, "u64"),
    "step": (608, "u64"),
    "min_size": (624, "u64"),
    "withdraw_guard": (544, "u64"),
    "max_deposits": (552, "u64"),
    "max_borrows_fraction": (710, "u16"),
    "withdraw_breaker_bps": (748, "u16"),
    "max_deposit_bps": (750, "u16"),
    "deposit_guard": (752, "u64"),
    "liquidator_fee": (676, "u32"),
    "insurance_liquidation_fee": (680, "u32"),
    "insurance_total_factor": (272, "u32"),
    "expires": (600, "i64"),
    "pool": (746, "u8"),
    "mint": (72, "key"),
    "vault": (104, "key"),
    "oracle": (40, "key"),
    "name": (136, "text"),
    "oracle_source": (703, "u8"),
    "status": (704, "u8"),
    "tier": (705, "u8"),
    "paused": (706, "u8"),
    "token": (745, "u8"),
    "orders_enabled": (702, "u8"),
    "revenue_pool.balance": (392, "u128"),
    "revenue_pool.market": (408, "u16"),
}
PERP_MARKET_DRIFT = {
    "base_with_amm": (336, "i128"),
    "base_reserve": (176, "u128"),
    "quote_reserve": (192, "u128"),
    "sqrt_k": (256, "u128"),
    "peg": (272, "u128"),
    "bid_base_reserve": (688, "u128"),
    "bid_quote_reserve": (704, "u128"),
    "ask_base_reserve": (656, "u128"),
    "ask_quote_reserve": (672, "u128"),
    "total_fee_minus_distributions": (560, "i128"),
    "last_update_slot": (768, "u64"),
    "fee_pool.balance": (152, "u128"),
    "fee_pool.market": (168, "u16"),
    "pnl_pool.balance": (976, "u128"),
    "pnl_pool.market": (992, "u16"),
    "index": (1160, "u16"),
    "name": (1000, "text"),
    "status": (1162, "u8"),
    "kind": (1163, "u8"),
    "tier": (1164, "u8"),
    "paused": (1165, "u8"),
    "quote_market": (1166, "u16"),
    "initial_ratio": (1136, "u32"),
    "maintenance_ratio": (1140, "u32"),
    "high_leverage_initial": (1174, "u16"),
    "high_leverage_maintenance": (1176, "u16"),
    "imf": (1120, "u32"),
    "pnl_imf": (1124, "u32"),
    "pnl_weight_initial": (1144, "u32"),
    "pnl_weight_maintenance": (1148, "u32"),
    "unrealized_pnl_max_imbalance": (1072, "u64"),
    "fee_adjustment": (1168, "i16"),
    "liquidator_fee": (1128, "u32"),
    "insurance_liquidation_fee": (1132, "u32"),
    "expiry_price": (1088, "i64"),
    "expires": (1080, "i64"),
    "pool": (1173, "u8"),
    "oracle": (40, "key"),
    "oracle_source": (926, "u8"),
    "long_base": (304, "i128"),
    "short_base": (320, "i128"),
    "quote": (384, "i128"),
    "quote_entry_long": (400, "i128"),
    "quote_entry_short": (416, "i128"),
    "quote_break_even_long": (432, "i128"),
    "quote_break_even_short": (448, "i128"),
    "max_open_interest": (368, "u128"),
    "cumulative_funding_long": (608, "i128"),
    "cumulative_funding_short": (624, "i128"),
    "last_funding_rate": (480, "i64"),
    "last_funding_rate_long": (488, "i64"),
    "last_funding_rate_short": (496, "i64"),
    "last_funding_oracle_twap": (968, "i64"),
    "last_funding_at": (792, "i64"),
    "funding_period": (800, "i64"),
    "funding_rate_24h": (504, "i64"),
    "net_unsettled_funding": (944, "i64"),
    "mark_twap": (752, "u64"),
    "mark_twap_5min": (760, "u64"),
    "mark_twap_at": (888, "i64"),
    "bid_twap": (736, "u64"),
    "ask_twap": (744, "u64"),
    "last_oracle_price": (72, "i64"),
    "oracle_twap": (96, "i64"),
    "oracle_twap_5min": (104, "i64"),
    "oracle_twap_at": (112, "i64"),
    "tick": (816, "u64"),
    "step": (808, "u64"),
    "min_size": (824, "u64"),
    "last_oracle_valid": (927, "u8"),
}
PERP_MARKET_VELOCITY = {
    "base_with_amm": (1064, "i128"),
    "base_reserve": (936, "u128"),
    "quote_reserve": (952, "u128"),
    "sqrt_k": (1016, "u128"),
    "peg": (1032, "u128"),
    "bid_base_reserve": (1176, "u128"),
    "bid_quote_reserve": (1192, "u128"),
    "ask_base_reserve": (1144, "u128"),
    "ask_quote_reserve": (1160, "u128"),
    "total_fee_minus_distributions": (1112, "i128"),
    "last_update_slot": (1208, "u64"),
    "fee_pool.balance": (904, "u128"),
    "fee_pool.market": (920, "u16"),
    "pnl_pool.balance": (344, "u128"),
    "pnl_pool.market": (360, "u16"),
    "index": (640, "u16"),
    "name": (424, "text"),
    "status": (642, "u8"),
    "kind": (643, "u8"),
    "tier": (644, "u8"),
    "paused": (645, "u8"),
    "quote_market": (646, "u16"),
    "initial_ratio": (616, "u32"),
    "maintenance_ratio": (620, "u32"),
    "imf": (600, "u32"),
    "pnl_imf": (604, "u32"),
    "pnl_weight_initial": (624, "u32"),
    "pnl_weight_maintenance": (628, "u32"),
    "unrealized_pnl_max_imbalance": (560, "u64"),
    "fee_adjustment": (648, "i16"),
    "taker_addon": (412, "u16"),
    "liquidator_fee": (608, "u32"),
    "insurance_liquidation_fee": (612, "u32"),
    "expiry_price": (576, "i64"),
    "expires": (568, "i64"),
    "pool": (664, "u8"),
    "funding_dead_zone": (536, "u32"),
    "funding_slope": (540, "u32"),
    "oracle": (312, "key"),
    "oracle_source": (673, "u8"),
    "long_base": (40, "i128"),
    "short_base": (56, "i128"),
    "quote": (72, "i128"),
    "quote_entry_long": (88, "i128"),
    "quote_entry_short": (104, "i128"),
    "quote_break_even_long": (120, "i128"),
    "quote_break_even_short": (136, "i128"),
    "max_open_interest": (152, "u128"),
    "cumulative_funding_long": (184, "i128"),
    "cumulative_funding_short": (200, "i128"),
    "last_funding_rate": (496, "i64"),
    "last_funding_rate_long": (504, "i64"),
    "last_funding_rate_short": (512, "i64"),
    "last_funding_oracle_twap": (840, "i64"),
    "last_funding_at": (520, "i64"),
    "funding_period": (784, "i64"),
    "funding_rate_24h": (776, "i64"),
    "net_unsettled_funding": (528, "i64"),
    "mark_twap": (680, "u64"),
    "mark_twap_5min": (688, "u64"),
    "mark_twap_at": (696, "i64"),
    "bid_twap": (704, "u64"),
    "ask_twap": (712, "u64"),
    "last_oracle_price": (848, "i64"),
    "oracle_twap": (872, "i64"),
    "oracle_twap_5min": (880, "i64"),
    "oracle_twap_at": (888, "i64"),
    "tick": (552, "u64"),
    "step": (544, "u64"),
    "min_size": (792, "u64"),
    "last_oracle_valid": (836, "u8"),
}
STATE_DRIFT = {
    "signer": (104, "key"),
    "signer_nonce": (970, "u8"),
    "authorities": (936, "u64"),
    "sub_accounts": (944, "u64"),
    "max_sub_accounts": (978, "u16"),
    "perp_markets": (966, "u16"),
    "spot_markets": (968, "u16"),
    "liquidation_margin_buffer": (960, "u32"),
    "settlement_duration": (964, "u16"),
    "liquidation_duration": (975, "u8"),
    "initial_pct_to_liquidate": (976, "u16"),
    "min_auction_duration": (971, "u8"),
    "market_order_seconds": (972, "u8"),
    "max_initialize_fee": (980, "u16"),
    "exchange_status": (974, "u8"),
    "perp_fees": (168, "at"),
    "spot_fees": (528, "at"),
    "guard_rails": (888, "at"),
}
STATE_VELOCITY = {
    "signer": (488, "key"),
    "signer_nonce": (1362, "u8"),
    "authorities": (1336, "u64"),
    "sub_accounts": (1344, "u64"),
    "max_sub_accounts": (1370, "u16"),
    "perp_markets": (1358, "u16"),
    "spot_markets": (1360, "u16"),
    "liquidation_margin_buffer": (1352, "u32"),
    "settlement_duration": (1356, "u16"),
    "liquidation_duration": (1367, "u8"),
    "initial_pct_to_liquidate": (1368, "u16"),
    "min_auction_duration": (1363, "u8"),
    "market_order_seconds": (1364, "u8"),
    "max_initialize_fee": (1372, "u16"),
    "promo_tier": (1505, "u8"),
    "exchange_status": (1366, "u8"),
    "perp_fees": (552, "at"),
    "spot_fees": (920, "at"),
    "guard_rails": (1288, "at"),
}
STATS_DRIFT = {
    "authority": (8, "key"),
    "referrer": (40, "key"),
    "fee_paid": (72, "u64"),
    "fee_rebate": (80, "u64"),
    "token_discount": (88, "u64"),
    "referee_discount": (96, "u64"),
    "referrer_reward": (104, "u64"),
    "maker_volume": (128, "u64"),
    "taker_volume": (136, "u64"),
    "filler_volume": (144, "u64"),
    "maker_volume_at": (152, "i64"),
    "taker_volume_at": (160, "i64"),
    "filler_volume_at": (168, "i64"),
    "sub_accounts": (184, "u16"),
    "sub_accounts_created": (186, "u16"),
    "staked_quote": (176, "u64"),
    "staked_gov": (216, "u64"),
    "disable": (189, "u8"),
}
STATS_VELOCITY = {
    "authority": (8, "key"),
    "referrer": (40, "key"),
    "fee_paid": (72, "u64"),
    "fee_rebate": (80, "u64"),
    "token_discount": (88, "u64"),
    "referee_discount": (96, "u64"),
    "maker_volume": (104, "u64"),
    "taker_volume": (112, "u64"),
    "filler_volume": (120, "u64"),
    "maker_volume_at": (128, "i64"),
    "taker_volume_at": (136, "i64"),
    "filler_volume_at": (144, "i64"),
    "sub_accounts": (160, "u16"),
    "sub_accounts_created": (162, "u16"),
    "staked_quote": (152, "u64"),
    "delegate_permissions": (176, "u8"),
    "equity_breaker": (177, "u8"),
    "disable": (165, "u8"),
}
USER_DRIFT = {
    "total_deposits": (4272, "u64"),
    "total_withdraws": (4280, "u64"),
    "total_social_loss": (4288, "u64"),
    "settled_perp_pnl": (4296, "i64"),
    "cumulative_perp_funding": (4312, "i64"),
    "liquidation_margin_freed": (4320, "u64"),
    "last_active_slot": (4328, "u64"),
    "next_order_id": (4336, "u32"),
    "max_margin_ratio": (4340, "u32"),
    "next_liquidation_id": (4344, "u16"),
    "sub": (4346, "u16"),
    "status": (4348, "u8"),
    "margin_trading": (4349, "u8"),
    "idle": (4350, "u8"),
    "open_orders": (4351, "u8"),
    "has_open_order": (4352, "u8"),
    "has_open_auction": (4354, "u8"),
    "margin_mode": (4355, "u8"),
    "pool": (4356, "u8"),
}
USER_VELOCITY = {
    "total_deposits": (4392, "u64"),
    "total_withdraws": (4400, "u64"),
    "total_social_loss": (4408, "u64"),
    "settled_perp_pnl": (4416, "i64"),
    "cumulative_perp_funding": (4432, "i64"),
    "liquidation_margin_freed": (4440, "u64"),
    "last_active_slot": (4448, "u64"),
    "next_order_id": (4456, "u32"),
    "max_margin_ratio": (4460, "u32"),
    "next_liquidation_id": (4464, "u16"),
    "sub": (4466, "u16"),
    "status": (4468, "u8"),
    "margin_trading": (4469, "u8"),
    "idle": (4470, "u8"),
    "open_orders": (4471, "u8"),
    "has_open_order": (4472, "u8"),
    "has_open_auction": (4474, "u8"),
    "pool": (4475, "u8"),
    "equity_floor": (4480, "u64"),
    "equity_buffer": (4488, "u64"),
}
USER_CLOB = {
    "total_deposits": (4456, "u64"),
    "total_withdraws": (4464, "u64"),
    "total_social_loss": (4472, "u64"),
    "settled_perp_pnl": (4480, "i64"),
    "cumulative_perp_funding": (4496, "i64"),
    "liquidation_margin_freed": (4504, "u64"),
    "last_active_slot": (4512, "u64"),
    "next_order_id": (4520, "u32"),
    "max_margin_ratio": (4524, "u32"),
    "next_liquidation_id": (4528, "u16"),
    "sub": (4530, "u16"),
    "status": (4532, "u8"),
    "margin_trading": (4533, "u8"),
    "idle": (4534, "u8"),
    "open_orders": (4536, "u16"),
    "has_open_order": (4535, "u8"),
    "has_open_auction": (4539, "u8"),
    "pool": (4540, "u8"),
    "equity_floor": (4544, "u64"),
    "equity_buffer": (4552, "u64"),
}

TABLES = {
    ("PerpMarket", "DRIFT"): PERP_MARKET_DRIFT,
    ("PerpMarket", "VELOCITY"): PERP_MARKET_VELOCITY,
    ("SpotMarket", "DRIFT"): SPOT_MARKET_DRIFT,
    ("SpotMarket", "VELOCITY"): SPOT_MARKET_VELOCITY,
    ("State", "DRIFT"): STATE_DRIFT,
    ("State", "VELOCITY"): STATE_VELOCITY,
    ("UserStats", "DRIFT"): STATS_DRIFT,
    ("UserStats", "VELOCITY"): STATS_VELOCITY,
}
