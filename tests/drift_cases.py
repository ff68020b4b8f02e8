"""Loader of the table tests of Drift's mathematics, which are no part of this project.

The environment variable SLEEVES_CASES names a folder that holds `drift/margin.json` and its neighbours. Without it,
every test over those tables is skipped and says so; the laws and the single figures beside them run regardless.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sleeves.funding import payment
from sleeves.margin import Coin, Contract, MarginAccount, Weights
from sleeves.market import Perpetual

VARIABLE = "SLEEVES_CASES"

RUNS: dict[str, list] = {}
"""What runs the cases of a file, by its name: (how their topics start, the test of one case); `table` fills it."""


def table(name, topic):
    """Decorates a test of one case: it runs for each case of a file whose topic starts with `topic` (or one of several), by their ids."""
    cases = _cases(name, topic)

    def marked(test):
        RUNS.setdefault(name, []).append((topic, test))
        return cases(test)

    return marked


def _cases(name, topic):
    folder = os.environ.get(VARIABLE)
    if not folder:
        reason = f"{VARIABLE} is not set: it names the folder that holds drift/{name}.json"
        return pytest.mark.parametrize("case", [pytest.param({}, id="no-tables", marks=pytest.mark.skip(reason=reason))])
    cases = json.loads((Path(folder) / "drift" / f"{name}.json").read_text("utf-8"))["cases"]
    chosen = [one for one in cases if one["topic"].startswith(topic)]
    if not chosen:
        raise LookupError(f"no case in {name}.json has a topic that starts with {topic!r}")
    return pytest.mark.parametrize("case", [pytest.param(one, id=one["id"]) for one in chosen])


def covers(name, tested):
    """Pass when every topic of a file is among `tested`; skip, naming them, for topics that have no test here."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set: it names the folder that holds drift/{name}.json")
    cases = json.loads((Path(folder) / "drift" / f"{name}.json").read_text("utf-8"))["cases"]
    topics = {one["topic"] for one in cases}
    assert topics & set(tested), f"no topic of {name}.json is tested"
    if topics - set(tested):
        pytest.skip(f"topics of {name}.json without a test here: {'; '.join(sorted(topics - set(tested)))}")


# -- the tables' words in ours ----------------------------------------------------------------------------------------

INTEREST = 10**10


def tokens(balance, index, decimals, borrowed=False):
    """A scaled balance (1e9) in the coin's signed units: deposits rounded down, borrowings away from zero."""
    divisor = 10 ** (19 - decimals)
    return -((balance * index + divisor - 1) // divisor) if borrowed else balance * index // divisor


def deposited(market):
    return tokens(market.get("deposit_balance", 0), market.get("cumulative_deposit_interest", INTEREST), market["decimals"])


def weights(market):
    return Weights(
        market.get("initial_asset_weight", 0),
        market.get("maintenance_asset_weight", 0),
        market.get("initial_liability_weight", 0),
        market.get("maintenance_liability_weight", 0),
        market.get("imf_factor", 0),
        market.get("scale_initial_asset_weight_start", 0),
    )


def coin(market, position=None, *, units=None, price=None):
    position = position or {}
    if units is None:
        borrowed = position.get("balance_type") == "borrow"
        index = market["cumulative_borrow_interest" if borrowed else "cumulative_deposit_interest"]
        units = tokens(position.get("scaled_balance", 0), index, market["decimals"], borrowed)
    quote = market.get("market_index") == 0
    return Coin(
        market.get("name", f"coin {market.get('market_index', '')}"),
        units,
        market["decimals"],
        market["oracle_price"] if price is None else price,
        twap=market.get("twap_5min"),
        weights=weights(market),
        bids=position.get("open_bids", 0),
        asks=-position.get("open_asks", 0),
        orders=position.get("open_orders", 0),
        deposits=deposited(market),
        oracle=market.get("oracle_key", ""),
        is_quote=quote,
    )


def perpetual(market):
    return Perpetual(
        initial_bp=market["margin_ratio_initial"],
        maintenance_bp=market["margin_ratio_maintenance"],
        imf=market.get("imf_factor", 0),
        gain_initial_bp=market.get("unrealized_pnl_initial_asset_weight", 0),
        gain_maintenance_bp=market.get("unrealized_pnl_maintenance_asset_weight", 10_000),
        gain_imf=market.get("unrealized_pnl_imf_factor", 0),
        liquidation_fee_ppm=0,
    )


def contract(market, position, quote_market):
    base = position["base_asset_amount"]
    index = market["cumulative_funding_rate_long" if base > 0 else "cumulative_funding_rate_short"]
    isolated = None
    if position.get("position_flag", 0) & 1:
        balance = position["isolated_position_scaled_balance"]
        isolated = tokens(balance, quote_market["cumulative_deposit_interest"], quote_market["decimals"])
    held = market.get("base_asset_amount_with_amm", 0)
    net = held * market.get("last_oracle_price", market["oracle_price"]) // 10**9 + market.get("amm_quote_asset_amount", 0)
    return Contract(
        f"perp {market['market_index']}",
        perpetual(market),
        base,
        position["quote_asset_amount"],
        market["oracle_price"],
        funding=payment(base, index, position["last_cumulative_funding_rate"]),
        bids=position["open_bids"],
        asks=-position["open_asks"],
        orders=position["open_orders"],
        custom_bp=position.get("max_margin_ratio", 0),
        isolated=isolated,
        high_initial_bp=market.get("high_leverage_margin_ratio_initial", 0),
        high_maintenance_bp=market.get("high_leverage_margin_ratio_maintenance", 0),
        net_user_pnl=net,
        max_imbalance=market.get("unrealized_pnl_max_imbalance", 0),
        oracle=market.get("oracle_key", ""),
    )


def account(world):
    """The account of a world, under Drift's rules: a cent per order, and initial gains capped at $100."""
    spots = {one["market_index"]: one for one in world["spot_markets"]}
    perps = {one["market_index"]: one for one in world["perp_markets"]}
    user = world["user"]
    quote = spots.get(0, {})
    return MarginAccount(
        tuple(coin(spots[one["market_index"]], one) for one in user["spot_positions"]),
        tuple(contract(perps[one["market_index"]], one, quote) for one in user["perp_positions"]),
        per_order=10_000,
        quote_price=quote.get("oracle_price", 10**6),
        quote_twap=quote.get("twap_5min"),
        custom_bp=user["max_margin_ratio"],
        high_leverage=user["high_leverage_mode"],
        gain_cap=100_000_000,
    )
