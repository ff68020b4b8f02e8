"""Markets as instruments, and the program's numbers as ours: exact both ways, refused where they are not."""

from __future__ import annotations

import pytest
from attrs import evolve
from drift_worlds import perp_market, spot_market
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket, VenueRejected
from sleeves.market import HOUR, Kind
from sleeves.money import Asset, Rounding
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY
from sleeves.venues.drift.markets import (
    Coin,
    Markets,
    Perp,
    UnknownMarket,
    asset_of,
    average_price,
    funding_ppb,
    near_price,
    our_price,
    perpetual,
    program_price,
)
from sleeves.venues.drift.words import ContractKind, MarketStatus
from strategies import law

TERMS = {
    "status": MarketStatus.ACTIVE,
    "kind": ContractKind.PERPETUAL,
    "tick": 100,
    "step": 10**7,
    "min_size": 10**7,
    "funding_period": 3_600,
}
TERMS |= {"imf": 50, "pnl_imf": 60, "pnl_weight_initial": 0, "pnl_weight_maintenance": 10_000, "liquidator_fee": 10_000}
TERMS |= {"insurance_liquidation_fee": 7_000}


def sol(**more):
    return perp_market(0, **{**TERMS, **more})


def quote(deployment=DRIFT_V2, **more):
    return spot_market(0, name=deployment.quote.asset.code, mint=deployment.quote.mint, **more)


def test_a_perp_market_is_an_instrument_for_each_sub_account():
    made = perpetual(DRIFT_V2, sol(), 2)
    assert (made.symbol, made.venue, made.kind, made.account) == ("SOL-PERP:2", "drift", Kind.PERP, 2)
    assert (made.base, made.quote) == (Asset("SOL", 9), DRIFT_V2.quote.asset)
    assert (made.tick_units, made.price_scale, made.lot_units, made.min_qty_units) == (1, 4, 10**7, 10**7)
    terms = made.contract
    assert (terms.initial_bp, terms.maintenance_bp, terms.imf, terms.gain_imf) == (1_000, 500, 50, 60)
    assert (terms.gain_initial_bp, terms.gain_maintenance_bp, terms.liquidation_fee_ppm, terms.funding_every) == (0, 10_000, 17_000, HOUR)
    assert perpetual(VELOCITY, sol(), 0).quote.code == "USDT"
    one = Perp.of(DRIFT_V2, sol())
    assert one.instrument(1) is one.instrument(1) and one.instrument(1) != one.instrument(0)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": ContractKind.PREDICTION}, "is no perpetual"),
        ({"name": "TRUMP-WIN"}, "must end in -PERP"),
        ({"quote_market": 1}, "settled in spot market 1"),
        ({"tick": 0}, "above zero"),
        ({"step": 0}, "above zero"),
        ({"funding_period": 0}, "above zero"),
        ({"ratios": (500, 500)}, "margin ratios"),
        ({"liquidator_fee": 43_000}, "liquidation fee"),
        ({"name": "-PERP"}, "asset code"),
    ],
)
def test_what_is_no_perpetual_of_ours_is_refused(wrong, why):
    with pytest.raises(InvalidMarket, match=why):
        Perp.of(DRIFT_V2, sol(**wrong))
    assert Perp.of(DRIFT_V2, sol(liquidator_fee=42_999)).contract.liquidation_fee_ppm == 49_999


@pytest.mark.parametrize("deployment", [DRIFT_V2, VELOCITY])
def test_the_quote_coin_is_the_one_that_was_declared(deployment):
    assert asset_of(deployment, quote(deployment)) == deployment.quote.asset
    other = VELOCITY if deployment is DRIFT_V2 else DRIFT_V2
    for wrong in (quote(other), quote(deployment, decimals=9)):
        with pytest.raises(InvalidMarket, match="quote coin"):
            Coin.of(deployment, wrong)
    with pytest.raises(InvalidMarket, match="as the quote coin is"):
        Coin.of(deployment, spot_market(3, name=deployment.quote.asset.code))


def test_markets_are_found_by_number_and_by_name():
    markets = Markets(DRIFT_V2)
    for index, perp in ((0, False), (7, True)):
        with pytest.raises(UnknownMarket) as caught:
            markets.perp(index) if perp else markets.coin(index)
        assert (caught.value.perp, caught.value.index) == (perp, index)
    markets.add(quote())
    markets.add(spot_market(1, name="SOL", decimals=9))
    markets.add(sol())
    assert [coin.asset.code for coin in markets.coins()] == ["USDC", "SOL"] and markets.quote.index == 0
    assert markets.coin_of(Asset("SOL", 9)).index == 1
    perp, sub = markets.find("SOL-PERP:12")
    assert (perp.index, sub) == (0, 12) and markets.perp_of(perp.instrument(3)) == (perp, 3)
    for wrong in ("SOL-PERP", "SOL-PERP:", "SOL-PERP:x", "SOL-PERP:01", "SOL-PERP:65536", "BTC-PERP:0"):
        with pytest.raises(InvalidMarket):
            markets.find(wrong)
    for wrong in (Asset("SOL", 8), Asset("JUP", 6)):
        with pytest.raises(InvalidMarket, match="no coin"):
            markets.coin_of(wrong)
    with pytest.raises(InvalidMarket, match="both called"):
        markets.add(spot_market(2, name="SOL", decimals=9))
    with pytest.raises(InvalidMarket, match="two perp markets"):
        markets.add(perp_market(5, **TERMS))
    other = perpetual(DRIFT_V2, sol(tick=1_000), 0)
    with pytest.raises(InvalidMarket, match="not on these terms"):
        markets.perp_of(other)
    coin = markets.coin(1)
    assert coin.tokens(coin.amount(7)) == 7
    with pytest.raises(InvalidMarket):
        coin.tokens(markets.quote.amount(7))


@pytest.mark.parametrize(
    ("status", "any_order", "reducing"),
    [
        (MarketStatus.ACTIVE, True, True),
        (MarketStatus.REDUCE_ONLY, False, True),
        (MarketStatus.SETTLEMENT, False, False),
        (MarketStatus.DELISTED, False, False),
        (MarketStatus.INITIALIZED, False, False),
        (MarketStatus.FILL_PAUSED, False, False),
    ],
)
def test_which_markets_take_orders(status, any_order, reducing):
    perp = Perp.of(DRIFT_V2, sol(status=status))
    for reduces, taken in ((False, any_order), (True, reducing)):
        if taken:
            perp.check_open(reduces=reduces)
        else:
            with pytest.raises(VenueRejected, match=status.value):
                perp.check_open(reduces=reduces)


@law
@given(st.integers(0, 6), st.integers(1, 10**12))
def test_a_price_goes_there_and_back_or_is_refused(places, price):
    market = perpetual(DRIFT_V2, sol(tick=10**places), 0)
    assert our_price(market, program_price(market, price)) == price
    each = 10 ** (6 - market.price_scale)
    if price % each:
        with pytest.raises(InvalidMarket):
            our_price(market, price)
    assert abs(near_price(market, price) * each - price) <= max(each - price, each // 2)
    for wrong in (0, -1):
        with pytest.raises(InvalidMarket):
            program_price(market, wrong)
        with pytest.raises(InvalidMarket):
            near_price(market, wrong)


@law
@given(st.integers(1, 10**15), st.integers(0, 10**15))
def test_an_average_price_is_borne_out_by_what_was_paid(qty, cost):
    market = perpetual(DRIFT_V2, sol(), 0)
    low, high = average_price(market, qty, cost, buys=True), average_price(market, qty, cost, buys=False)
    assert 0 < low <= high <= low + 1
    assert low == 1 or market.cost(low, qty, Rounding.FLOOR) <= cost
    assert market.cost(high, qty, Rounding.CEIL) >= cost


@pytest.mark.parametrize(
    ("per_base", "price", "ppb"),
    [
        (-140_002_666, 51_000_000, -2_745_150),  # reference 3.6: -0.140002666 a coin of 51
        (41_666_666, 50_000_000, 833_333),
        (126_000_000_000, 100_000_000_000, 1_260_000),  # more than one coin of quote for one of base is no more than 100%
        (1, 2_000_000, 0),
        (3, 2_000_000, 2),
        (0, 1, 0),
    ],
)
def test_funding_per_coin_is_divided_by_the_price(per_base, price, ppb):
    assert funding_ppb(per_base, price) == ppb


def test_funding_needs_a_price():
    with pytest.raises(InvalidMarket):
        funding_ppb(1, 0)


def test_newer_terms_take_the_place_of_older():
    markets = Markets(DRIFT_V2)
    before = markets.add(sol())
    after = markets.add(evolve(sol(), status=MarketStatus.REDUCE_ONLY))
    assert markets.perp(0) is after and before.instrument(0) == after.instrument(0)
