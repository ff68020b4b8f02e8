"""Where driftpy's mathematics departs from the program's, each shown: our figure is the program's, driftpy's is what it was measured to be.

Source of the figures: `reference/drift.md` section 3.7 and `margin.json`, `funding.json` (column driftpy 0.8.89). A line that fails here
says that one of the two has changed: the difference is documented, not wanted.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

pytest.importorskip("driftpy", reason="driftpy is not installed: .ci/parity makes the environment that has it")

from driftpy.drift_user import DriftUser
from driftpy.math.margin import MarginCategory, calculate_size_discount_asset_weight, calculate_size_premium_liability_weight
from driftpy.math.perp_position import calculate_position_funding_pnl
from driftpy.types import OraclePriceData, SpotBalanceType
from parity_world import World, cases

from sleeves.funding import payment
from sleeves.margin import Coin, MarginAccount, Weights, liquidatable, size_discount, size_premium
from sleeves.venues.drift.driftpy import Driftpy

N = 10**9


@pytest.mark.parametrize(
    ("weight", "size", "imf", "program", "driftpy"),
    [
        (9_000, 1_000 * N, 10_000, 8_357, 8_358),  # worked number of section 3.6: the program floors, driftpy rounds up
        (9_000, 1_000 * N, 0, 9_000, 9_000),
        (9_000, 0, 10_000, 9_000, 9_000),
    ],
)
def test_the_discount_of_a_large_deposit(weight, size, imf, program, driftpy):
    assert size_discount(weight, size, imf) == program
    assert calculate_size_discount_asset_weight(size, imf, weight) == driftpy


def test_the_discounts_of_the_cases_differ_where_they_are_said_to():
    found = {"match": 0, "differs": 0}
    for one in cases("margin")["cases"]:
        if not one["id"].startswith("weight.asset") or one["inputs"]["margin_type"] != "initial":
            continue
        market, column = one["inputs"]["market"], one["verified"]["driftpy_0_8_89"]
        size = one["inputs"]["token_amount"] * N // 10 ** market["decimals"]
        weight, imf = market["initial_asset_weight"], market["imf_factor"]
        assert size_discount(weight, size, imf) == one["expected"]["weight"], one["id"]
        said = one["expected"]["weight"] if column == "match" else json.loads(column.partition(":")[2])["weight"]
        assert calculate_size_discount_asset_weight(size, imf, weight) == said, one["id"]
        found[column.partition(":")[0]] += 1
    assert found["match"] >= 2
    assert found["differs"] >= 4


@pytest.mark.parametrize(("weight", "size", "program"), [(1_000, 100_000 * N, 1_000), (500, 100_000 * N, 558)])
def test_the_premium_of_a_large_position_is_the_same(weight, size, program):
    assert size_premium(weight, size, 50) == program
    assert calculate_size_premium_liability_weight(size, 50, weight, 10_000) == program


@pytest.mark.parametrize(
    ("base", "cumulative", "last", "program", "driftpy"),
    [
        (10 * N, 1_250_000_000, N, -2_500_000, -2_500_000.0),  # long 10, index 1.00 to 1.25
        (-10 * N, 1_250_000_000, N, 2_500_000, 2_500_000.0),
        (1, 1_000_000_000, 0, 0, -0.001),  # less than a unit: the program pays nothing, driftpy a fraction
        (0, 5, 1, 0, 0),
    ],
)
def test_funding_is_whole_units_here_and_fractions_there(base, cumulative, last, program, driftpy):
    assert payment(base, cumulative, last) == program
    market = SimpleNamespace(amm=SimpleNamespace(cumulative_funding_rate_long=cumulative, cumulative_funding_rate_short=cumulative))
    assert calculate_position_funding_pnl(market, SimpleNamespace(base_asset_amount=base, last_cumulative_funding_rate=last)) == driftpy


def test_driftpy_says_that_an_account_in_good_health_can_be_liquidated():
    """driftpy's `can_be_liquidated` holds initial-weighted collateral against the maintenance requirement; ours holds like against like.

    An account of 10 SOL at 100 with a borrow that lies between its initial and its maintenance collateral, over the real markets.
    """
    world = World()
    client, coins = world.client, world.markets.spots
    client.get_oracle_price_data_for_spot_market = lambda index: oracle(1_000_000 if index == 0 else 100_000_000)
    sol = coins[1]
    account = Driftpy().decode(bytes.fromhex("9f755fe3ef973aec") + bytes(4376 - 8))
    account.spot_positions[1].market_index = 1
    account.spot_positions[1].scaled_balance = 10 * N * 10**10 // sol.deposit_index
    account.perp_positions = []  # as driftpy's own `decode_user` leaves out the empty ones
    user = object.__new__(DriftUser)
    user.drift_client = client
    user.get_user_account = lambda: account
    initial, maintenance = (user.get_total_collateral(kind) for kind in (MarginCategory.INITIAL, MarginCategory.MAINTENANCE))
    assert 0 < initial < maintenance
    owed = int(initial + maintenance) // 2
    account.spot_positions[0].balance_type = SpotBalanceType.Borrow()
    account.spot_positions[0].scaled_balance = owed * 10**13 // coins[0].borrow_index
    assert user.can_be_liquidated()
    assert user.get_total_collateral(MarginCategory.MAINTENANCE) > user.get_margin_requirement(MarginCategory.MAINTENANCE)
    weights = Weights(
        sol.initial_asset_weight, sol.maintenance_asset_weight, sol.initial_liability_weight, sol.maintenance_liability_weight
    )
    ours = MarginAccount(
        (Coin("USDC", -owed, 6, 1_000_000, is_quote=True), Coin("SOL", 10 * N, 9, 100_000_000, weights=weights)),
    )
    assert not liquidatable(ours)


def oracle(price):
    return OraclePriceData(price=price, slot=1, confidence=1, twap=price, twap_confidence=1, has_sufficient_number_of_data_points=True)
