"""Accounts as views, from the worlds of the table tests or from a few words: no bytes and no network."""

from __future__ import annotations

import sys
import typing
from enum import Enum, Flag

from attrs import evolve, field, fields, frozen

from sleeves.venues.drift import accounts as views
from sleeves.venues.drift.accounts import GuardRails, PerpMarket, PerpPosition, Pool, SpotMarket, SpotPosition, State, User
from sleeves.venues.drift.deployment import DRIFT_V2, Deployment
from sleeves.venues.drift.oracles import Oracle
from sleeves.venues.drift.words import AssetTier, ContractKind, ContractTier, MarginMode, MarketStatus, OracleSource

ONE = 10**10
RAILS = GuardRails(
    mark_oracle_divergence=100_000, twap_5min_divergence=500_000, stale_for_amm=10, stale_for_margin=120, confidence=20_000, too_volatile=5
)
SLOT = 400_000_000


def blank(kind, /, **known):
    """A view with all that is not named at nothing."""
    hints = typing.get_type_hints(kind, vars(sys.modules[kind.__module__]))
    made = {}
    for one in fields(kind):
        hint = hints[one.name]
        if one.name in known:
            made[one.name] = known.pop(one.name)
        elif hint is bool:
            made[one.name] = False
        elif hint is int:
            made[one.name] = 0
        elif hint is str:
            made[one.name] = ""
        elif hint is Pool:
            made[one.name] = Pool(0, 0)
        elif isinstance(hint, type) and issubclass(hint, Flag):
            made[one.name] = hint(0)
        elif isinstance(hint, type) and issubclass(hint, Enum):
            made[one.name] = next(iter(hint))
        elif typing.get_origin(hint) is tuple:
            made[one.name] = ()
        else:
            made[one.name] = None
    assert not known, known
    return kind(**made)


STATE = blank(State, guard_rails=RAILS, liquidation_margin_buffer=200)


@frozen
class World:
    """What a monitor would have read, as `risk.Seen`. `ages` in slots by oracle, `unsure` their confidence, `lost` those that are gone."""

    deployment: Deployment
    slot: int
    state: State
    spots: dict
    perps: dict
    prices: dict
    ages: dict = field(factory=dict)
    unsure: dict = field(factory=dict)

    def oracle(self, market):
        if market.oracle not in self.prices:
            raise views.WrongAccount(f"the oracle {market.oracle} of {market.name} is not there")
        age = self.ages.get(market.oracle, 0)
        return Oracle(self.prices[market.oracle], self.unsure.get(market.oracle, 0), self.slot - age, None, market.oracle_source)

    def at(self, oracle, price):
        return evolve(self, prices={**self.prices, oracle: price})


def spot_market(index=0, *, name="USDC", decimals=6, oracle=None, price=10**6, twap=None, weights=(10_000,) * 4, **more):
    """A coin; the quote coin by default."""
    initial, maintenance, owed, owed_maintenance = weights
    known = {
        "index": index,
        "name": name,
        "decimals": decimals,
        "oracle": oracle or f"oracle of {name}",
        "oracle_source": OracleSource.PYTH_LAZER,
        "deposit_index": ONE,
        "borrow_index": ONE,
        "initial_asset_weight": initial,
        "maintenance_asset_weight": maintenance,
        "initial_liability_weight": owed,
        "maintenance_liability_weight": owed_maintenance,
        "twap_5min": price if twap is None else twap,
        "oracle_twap": price,
        "status": MarketStatus.ACTIVE,
        "tier": AssetTier.COLLATERAL,
    }
    return blank(SpotMarket, **{**known, **more})


def perp_market(index=0, *, name="SOL-PERP", oracle="oracle of SOL", price=10**8, ratios=(1_000, 500), **more):
    known = {
        "index": index,
        "name": name,
        "oracle": oracle,
        "oracle_source": OracleSource.PYTH_LAZER,
        "status": MarketStatus.ACTIVE,
        "kind": ContractKind.PERPETUAL,
        "tier": ContractTier.A,
        "funding_period": 3_600,
        "last_oracle_price": price,
        "oracle_twap": price,
        "tick": 100,
        "step": 10_000_000,
        "initial_ratio": ratios[0],
        "maintenance_ratio": ratios[1],
        "pnl_weight_maintenance": 10_000,
    }
    return blank(PerpMarket, **{**known, **more})


def spot(market=0, balance=0, borrowed=False, **more):
    """A position in a coin, in whole quote coins scaled by 1e9 unless it is given otherwise."""
    return blank(SpotPosition, market=market, balance=balance, borrowed=borrowed, **more)


def perp(market=0, base=0, quote=0, **more):
    return blank(PerpPosition, market=market, base=base, quote=quote, **{"entry": quote, **more})


def user(spots=(), perps=(), **more):
    return blank(User, address="the user", slot=SLOT, spots=tuple(spots), perps=tuple(perps), **more)


def world(spots=None, perps=None, prices=None, **more):
    """A small exchange: a quote coin, SOL and a perpetual on it, SOL at 100."""
    spots = spots or [spot_market(), spot_market(1, name="SOL", decimals=9, price=10**8, weights=(8_000, 9_000, 12_000, 11_000))]
    perps = perps or [perp_market()]
    known = {"oracle of USDC": 10**6, "oracle of SOL": 10**8, **(prices or {})}
    return World(DRIFT_V2, SLOT, STATE, {one.index: one for one in spots}, {one.index: one for one in perps}, known, **more)


# -- the worlds of the table tests --------------------------------------------------------------------------------------------


def of_table(told):
    """A world of margin.json or snapshots.json, and its user."""
    prices, spots, perps = {}, [], []
    for one in told["spot_markets"]:
        oracle = one.get("oracle_key") or f"oracle of spot {one['market_index']}"
        prices[oracle] = one["oracle_price"]
        made = {
            "deposit_balance": one.get("deposit_balance", 0),
            "deposit_index": one.get("cumulative_deposit_interest", ONE),
            "borrow_index": one.get("cumulative_borrow_interest", ONE),
            "imf": one.get("imf_factor", 0),
            "scale_initial_start": one.get("scale_initial_asset_weight_start", 0),
        }
        names = ("initial_asset_weight", "maintenance_asset_weight", "initial_liability_weight", "maintenance_liability_weight")
        spots.append(
            spot_market(
                one["market_index"],
                name=one.get("name", f"coin {one['market_index']}"),
                decimals=one["decimals"],
                oracle=oracle,
                price=one["oracle_price"],
                twap=one.get("twap_5min"),
                weights=tuple(one.get(name, 0) for name in names),
                **made,
            )
        )
    if not any(one.index == 0 for one in spots):
        spots.append(spot_market())
        prices["oracle of USDC"] = 10**6
    for one in told["perp_markets"]:
        oracle = one.get("oracle_key") or f"oracle of perp {one['market_index']}"
        prices[oracle] = one["oracle_price"]
        perps.append(
            perp_market(
                one["market_index"],
                name=one.get("name", f"perp {one['market_index']}"),
                oracle=oracle,
                price=one["oracle_price"],
                ratios=(one["margin_ratio_initial"], one["margin_ratio_maintenance"]),
                last_oracle_price=one.get("last_oracle_price", one["oracle_price"]),
                imf=one.get("imf_factor", 0),
                pnl_imf=one.get("unrealized_pnl_imf_factor", 0),
                pnl_weight_initial=one.get("unrealized_pnl_initial_asset_weight", 0),
                pnl_weight_maintenance=one.get("unrealized_pnl_maintenance_asset_weight", 10_000),
                unrealized_pnl_max_imbalance=one.get("unrealized_pnl_max_imbalance", 0),
                cumulative_funding_long=one["cumulative_funding_rate_long"],
                cumulative_funding_short=one["cumulative_funding_rate_short"],
                high_leverage_initial=one.get("high_leverage_margin_ratio_initial", 0),
                high_leverage_maintenance=one.get("high_leverage_margin_ratio_maintenance", 0),
                base_with_amm=one.get("base_asset_amount_with_amm", 0),
                quote=one.get("amm_quote_asset_amount", 0),
                net_unsettled_funding=one.get("net_unsettled_funding_pnl", 0),
            )
        )
    held = told["user"]
    made = user(
        [
            spot(
                one["market_index"],
                one.get("scaled_balance", 0),
                one.get("balance_type") == "borrow",
                open_bids=one.get("open_bids", 0),
                open_asks=one.get("open_asks", 0),
                open_orders=one.get("open_orders", 0),
            )
            for one in held["spot_positions"]
        ],
        [
            perp(
                one["market_index"],
                one["base_asset_amount"],
                one["quote_asset_amount"],
                entry=one.get("quote_entry_amount", 0),
                last_funding=one["last_cumulative_funding_rate"],
                open_bids=one["open_bids"],
                open_asks=one["open_asks"],
                open_orders=one["open_orders"],
                max_margin_ratio=one.get("max_margin_ratio", 0),
                is_isolated=bool(one.get("position_flag", 0) & 1),
                isolated=one.get("isolated_position_scaled_balance", 0) if one.get("position_flag", 0) & 1 else 0,
            )
            for one in held["perp_positions"]
        ],
        max_margin_ratio=held["max_margin_ratio"],
        margin_mode=MarginMode.HIGH_LEVERAGE if held["high_leverage_mode"] else MarginMode.DEFAULT,
    )
    return world(spots, perps, prices), made
