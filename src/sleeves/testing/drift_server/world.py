"""The first state of a local exchange: its State, its coins and their vaults, its perpetuals and their oracles, as bytes on a chain.

    Coin("SOL", 9, "150")           a coin that can be deposited, with Drift's weights of SOL
    Perp("SOL-PERP", "150")         a perpetual with Drift's terms of a major

It is written out of nowhere, once; everything after it is a transaction. Defaults: margin terms as Drift's majors have them (reference/
drift.md, sections 2.3 and 3), fees as the two State accounts are told of there (section 5), interest as a stable coin's.
"""

from __future__ import annotations

import math
from decimal import Decimal

from attrs import field, frozen
from solders.pubkey import Pubkey

from ...venues.drift.deployment import Deployment, Feature
from ...venues.drift.words import OracleSource, name_bytes
from ..solana_server import Chain
from ..solana_server.layout import TOKEN, token_bytes
from .fields import Fields
from .words import active, source_number

__all__ = ["Coin", "Perp", "build", "oracle_address", "reserves"]

PRICE = 10**6
EXPONENT = -8
SPARE = 256
ROOT = 10**15


@frozen
class Coin:
    """A coin to deposit and borrow. Prices in quote coins, weights in 1e-4, rates in 1e-6 a year."""

    name: str
    decimals: int = 9
    price: str = "150"
    asset_weights: tuple[int, int] = (8_000, 9_000)
    liability_weights: tuple[int, int] = (12_000, 11_000)
    imf: int = 0
    optimal_utilization: int = 800_000
    optimal_rate: int = 60_000
    max_rate: int = 1_000_000
    withdraw_guard: int = 10**15
    max_deposits: int = 10**16
    liquidator_fee: int = 0
    insured: int = 0
    """The part of the interest that goes to the revenue pool, in 1e-6."""
    mint: Pubkey | None = field(default=None, repr=str)


@frozen
class Perp:
    """A perpetual. `price` in quote coins; `tick` 1e-6, `step` and `min_size` 1e-9; ratios 1e-4; `spread_ppm` of its own bid and ask.

    `pool` and `fees` are quote units that its pools begin with: what profits are settled from.
    """

    name: str
    price: str = "150"
    tick: int = 100
    step: int = 10**7
    min_size: int = 10**7
    initial: int = 1_000
    maintenance: int = 500
    imf: int = 0
    pnl_weights: tuple[int, int] = (0, 10_000)
    tier: int = 0
    spread_ppm: int = 500
    pool: int = 1_000_000 * 10**6
    fees: int = 0
    fee_adjustment: int = 0
    liquidator_fee: int = 10_000
    insurance_fee: int = 10_000
    max_imbalance: int = 40_000_000 * 10**6
    funding_period: int = 3_600


def units(text: str) -> int:
    """A price in 1e-6. `ValueError` for one that has more places."""
    exact = Decimal(text) * PRICE
    if exact != int(exact) or exact <= 0:
        raise ValueError(f"a price must be above zero with at most 6 places, not {text}")
    return int(exact)


def oracle_address(deployment: Deployment, feed: int) -> str:
    """Where a feed's price lies: derived as Pyth Lazer accounts of the program are."""
    return deployment.address(b"pyth_lazer", feed.to_bytes(4, "little"))


def oracle_fields(deployment: Deployment, address: str, price: int, slot: int, now: int) -> Fields:
    """A feed's account with a price (1e6) of this slot; its confidence is a 10,000th of it."""
    fields = Fields("PythLazerOracle", address, deployment.codec("PythLazerOracle").blank())
    raw = price * 10 ** (-EXPONENT - 6)
    return fields.all({"price": raw, "publish_time": now * 10**6, "posted_slot": slot, "exponent": EXPONENT, "conf": raw // 10_000})


def reserves(price: int, spread_ppm: int) -> dict[str, int]:
    """The market's own curve at a price, and its bid and ask by so much: deep, and never moved by a fill."""
    found = {"base_asset_reserve": ROOT, "quote_asset_reserve": ROOT, "sqrt_k": ROOT, "peg_multiplier": price}
    for side, at in (("bid", PRICE - spread_ppm), ("ask", PRICE + spread_ppm)):
        base = ROOT * PRICE // math.isqrt(at * PRICE)
        found |= {f"{side}_base_asset_reserve": base, f"{side}_quote_asset_reserve": ROOT * ROOT // base}
    return found


def build(chain: Chain, deployment: Deployment, coins: list[Coin], perps: list[Perp], now: int) -> tuple[list[Pubkey], dict[str, str]]:
    """Write it all. The mints of the coins, the quote coin's first, and the oracles' addresses by market name."""
    chain.set_account(Pubkey.from_string(deployment.state()), owner=_program(deployment), data=_state(deployment, coins, perps))
    mints, oracles = [], {}
    quote = Coin(
        deployment.quote.asset.code,
        deployment.quote.asset.scale,
        "1",
        (10_000, 10_000),
        (10_000, 10_000),
        mint=Pubkey.from_string(deployment.quote.mint),
    )
    pools = sum(perp.pool + perp.fees for perp in perps)
    for index, coin in enumerate([quote, *coins]):
        mint = chain.create_mint(coin.decimals, mint=coin.mint)
        mints.append(mint)
        oracle = _coin_oracle(chain, deployment, index, coin, now, perps)
        oracles[coin.name] = oracle
        holds = pools if index == 0 else 0
        vault = Pubkey.from_string(deployment.spot_vault(index))
        chain.set_account(vault, owner=TOKEN, data=token_bytes(mint, Pubkey.from_string(deployment.signer()), holds))
        _put(chain, deployment, _spot_market(deployment, index, coin, str(mint), oracle, now, holds))
    for index, perp in enumerate(perps):
        oracle = oracles[perp.name] = oracle_address(deployment, 1 + index)
        _put_oracle(chain, deployment, oracle, units(perp.price), now)
        _put(chain, deployment, _perp_market(deployment, index, perp, oracle, now))
    return mints, oracles


def _program(deployment: Deployment) -> Pubkey:
    return Pubkey.from_string(deployment.program_id)


def _put(chain: Chain, deployment: Deployment, fields: Fields) -> None:
    spare = bytes(SPARE) if deployment.has(Feature.BUILDER_OPTIONS) and fields.kind.endswith("Market") else b""
    data = deployment.codec(fields.kind).encode(fields.record) + spare
    chain.set_account(Pubkey.from_string(fields.address), owner=_program(deployment), data=data)


def _put_oracle(chain: Chain, deployment: Deployment, address: str, price: int, now: int) -> None:
    _put(chain, deployment, oracle_fields(deployment, address, price, chain.slot, now))


def _coin_oracle(chain: Chain, deployment: Deployment, index: int, coin: Coin, now: int, perps: list[Perp]) -> str:
    """Drift's quote coin has none, Velocity's a stable coin's feed; a coin shares the feed of its perpetual."""
    if index == 0 and not deployment.has(Feature.BUILDER_OPTIONS):
        return str(Pubkey.default())
    twin = next((at for at, perp in enumerate(perps) if perp.name == f"{coin.name}-PERP"), None)
    address = oracle_address(deployment, 100 + index if twin is None else 1 + twin)
    _put_oracle(chain, deployment, address, units(coin.price), now)
    return address


def _source(deployment: Deployment, index: int) -> int:
    if index:
        return source_number(deployment, OracleSource.PYTH_LAZER)
    stable = deployment.has(Feature.BUILDER_OPTIONS)
    return source_number(deployment, OracleSource.PYTH_LAZER_STABLE_COIN if stable else OracleSource.QUOTE_ASSET)


def _state(deployment: Deployment, coins: list[Coin], perps: list[Perp]) -> bytes:
    fields = Fields("State", deployment.state(), deployment.codec("State").blank())
    velocity = deployment.has(Feature.BUILDER_OPTIONS)
    # taker fee in 1e-5 and maker rebate in 1e-5 of each tier; Velocity's rebate is a quarter of a basis point
    table = [(40, 250), (30, 250), (20, 250)] if velocity else [(100, 20), (80, 20), (60, 20), (50, 20), (40, 20), (35, 20)]
    rows = []
    for fee, rebate in [*table, *[table[-1]] * (10 - len(table))]:
        row = dict.fromkeys(fields["perp_fee_structure"]["fee_tiers"][0], 0)
        row.update(fee_numerator=fee, fee_denominator=100_000, maker_rebate_numerator=rebate, maker_rebate_denominator=100_000)
        if velocity:
            row["maker_rebate_denominator"] = 10_000_000
        row.update(referrer_reward_numerator=15, referrer_reward_denominator=100)
        row.update(referee_fee_numerator=5, referee_fee_denominator=100)
        rows.append(row)
    fields["perp_fee_structure"].update(
        fee_tiers=rows,
        filler_reward_numerator=1,
        filler_reward_denominator=10,
        time_based_reward_lower_bound=10_000,
        flat_filler_fee=10_000,
    )
    fields["spot_fee_structure"].update(fields["perp_fee_structure"])
    fields["oracle_guard_rails"].update(
        mark_oracle_percent_divergence=100_000,
        oracle_twap_5min_percent_divergence=500_000,
        slots_before_stale_for_amm=10,
        slots_before_stale_for_margin=120,
        confidence_interval_max_size=20_000,
        too_volatile_ratio=5,
    )
    signer, nonce = Pubkey.find_program_address([deployment.seeds.signer], _program(deployment))
    return deployment.codec("State").encode(
        fields.all(
            {
                "signer": str(signer),
                "signer_nonce": nonce,
                "liquidation_margin_buffer_ratio": 200,
                "number_of_markets": len(perps),
                "number_of_spot_markets": len(coins) + 1,
                "min_perp_auction_duration": 10,
                "default_market_order_time_in_force": 60,
                "initial_pct_to_liquidate": 1_000,
                "liquidation_duration": 150,
                "max_number_of_sub_accounts": 0,
                "settlement_duration": 3_600,
            }
        ).record
    )


def _pool(fields: Fields, name: str, tokens: int, decimals: int) -> None:
    fields[name].update(scaled_balance=tokens * 10 ** (9 - decimals), market_index=fields[name]["market_index"])


def _spot_market(deployment: Deployment, index: int, coin: Coin, mint: str, oracle: str, now: int, holds: int) -> Fields:
    fields = Fields("SpotMarket", deployment.spot_market(index), deployment.codec("SpotMarket").blank())
    price = units(coin.price)
    fields["revenue_pool"]["market_index"] = index
    return fields.all(
        {
            "pubkey": fields.address,
            "oracle": oracle,
            "mint": mint,
            "vault": deployment.spot_vault(index),
            "name": name_bytes(coin.name),
            "last_oracle_price": price,
            "last_oracle_price_twap": price,
            "last_oracle_price_twap_5min": price,
            "last_oracle_price_twap_ts": now,
            "insurance_fund": {**fields["insurance_fund"], "vault": deployment.insurance_vault(index), "total_factor": coin.insured},
            "deposit_balance": holds * 10 ** (9 - coin.decimals) if coin.decimals <= 9 else holds // 10 ** (coin.decimals - 9),
            "cumulative_deposit_interest": 10**10,
            "cumulative_borrow_interest": 10**10,
            "withdraw_guard_threshold": coin.withdraw_guard,
            "max_token_deposits": coin.max_deposits,
            "deposit_token_twap": holds,
            "last_interest_ts": now,
            "last_twap_ts": now,
            "order_step_size": 10**4,
            "order_tick_size": 100,
            "min_order_size": 10**4,
            "initial_asset_weight": coin.asset_weights[0],
            "maintenance_asset_weight": coin.asset_weights[1],
            "initial_liability_weight": coin.liability_weights[0],
            "maintenance_liability_weight": coin.liability_weights[1],
            "imf_factor": coin.imf,
            "liquidator_fee": coin.liquidator_fee,
            "optimal_utilization": coin.optimal_utilization,
            "optimal_borrow_rate": coin.optimal_rate,
            "max_borrow_rate": coin.max_rate,
            "decimals": coin.decimals,
            "market_index": index,
            "oracle_source": _source(deployment, index),
            "status": active(deployment),
        }
    )


def _perp_market(deployment: Deployment, index: int, perp: Perp, oracle: str, now: int) -> Fields:
    fields = Fields("PerpMarket", deployment.perp_market(index), deployment.codec("PerpMarket").blank())
    price = units(perp.price)
    fields.all(
        {
            "pubkey": fields.address,
            "oracle": oracle,
            "oracle_source": source_number(deployment, OracleSource.PYTH_LAZER),
            "name": name_bytes(perp.name),
            "market_index": index,
            "status": active(deployment),
            "contract_tier": perp.tier,
            "last_oracle_price": price,
            "last_oracle_price_twap": price,
            "last_oracle_price_twap_5min": price,
            "last_oracle_price_twap_ts": now,
            "last_mark_price_twap": price,
            "last_mark_price_twap_5min": price,
            "last_mark_price_twap_ts": now,
            "last_bid_price_twap": price,
            "last_ask_price_twap": price,
            "last_funding_oracle_twap": price,
            "last_oracle_valid": 1,
            "order_step_size": perp.step,
            "order_tick_size": perp.tick,
            "min_order_size": perp.min_size,
            "funding_period": perp.funding_period,
            "last_funding_rate_ts": now - now % perp.funding_period,
            "margin_ratio_initial": perp.initial,
            "margin_ratio_maintenance": perp.maintenance,
            "imf_factor": perp.imf,
            "unrealized_pnl_initial_asset_weight": perp.pnl_weights[0],
            "unrealized_pnl_maintenance_asset_weight": perp.pnl_weights[1],
            "unrealized_pnl_max_imbalance": perp.max_imbalance,
            "liquidator_fee": perp.liquidator_fee,
            "if_liquidation_fee": perp.insurance_fee,
            "fee_adjustment": perp.fee_adjustment,
            "next_fill_record_id": 1,
            "next_funding_rate_record_id": 1,
            "base_spread": perp.spread_ppm,
            "total_fee_minus_distributions": perp.fees,
            **reserves(price, perp.spread_ppm),
        }
    )
    _pool(fields, "pnl_pool", perp.pool, deployment.quote.asset.scale)
    _pool(fields, "fee_pool", perp.fees, deployment.quote.asset.scale)
    return fields
