"""The venue's terms: slippage is continuous and never helps the order, fees are rounded against the payer, bad terms are refused."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from fractions import Fraction
from typing import Any

import pytest
from attrs import fields
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount
from sleeves.market import Instrument
from sleeves.money import BTC, PPM, USD, Amount, Asset
from sleeves.orders import Liquidity, Side
from sleeves.sim.book import SelfMatch
from sleeves.sim.models import FeeIn, Fees, Maker, Rules, Settles, Slippage

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001")
COARSE = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.5", lot="0.001")
FULL = 50_000_000_000  # 50,000 USD in units
FAIR = Slippage()

notionals = st.integers(0, 3 * FULL)
prices = st.integers(1, 10_000_000)
lots = st.integers(1, 10_000_000)
bands = st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)).map(sorted)


# -- slippage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notional", "expected_ppm"),
    [
        ("0", 1_000),  # exactly 0.1% for next to nothing
        ("0.000001", 1_001),  # and rounded up from there
        ("25", 1_001),
        ("25.000001", 1_002),
        ("25000", 2_000),
        ("25000.000001", 2_001),
        ("49975", 2_999),
        ("49975.000001", 3_000),
        ("49999.999999", 3_000),
        ("50000", 3_000),  # exactly 0.3% at full size
        ("50000.000001", 3_000),  # and never more
        ("1000000000", 3_000),
    ],
)
def test_slippage_goes_from_a_tenth_of_a_percent_to_three_tenths_at_full_size(notional: str, expected_ppm: int) -> None:
    assert FAIR.of_notional(USD(notional).units, USD) == expected_ppm


@given(notionals, st.integers(0, FULL))
def test_slippage_is_monotone_and_continuous_in_size(notional: int, more: int) -> None:
    """A step of size moves it by no more than that step's share of the band, and one part per million of rounding."""
    rise = FAIR.of_notional(notional + more, USD) - FAIR.of_notional(notional, USD)
    assert 0 <= rise <= math.ceil(Fraction(2_000 * more, FULL))


@given(bands, notionals, st.integers(1, 3 * FULL))
def test_slippage_stays_within_its_band_and_reaches_both_ends(band: list[int], notional: int, full: int) -> None:
    low, high = band
    slippage = Slippage(low, high, USD.units(full).text)
    exact = low + Fraction((high - low) * min(notional, full), full)
    assert exact <= slippage.of_notional(notional, USD) < exact + 1
    assert slippage.of_notional(0, USD) == low
    assert slippage.of_notional(full, USD) == slippage.of_notional(full + notional, USD) == high


@given(st.sampled_from([MARKET, COARSE]), st.sampled_from(Side), lots, prices, bands)
def test_a_market_order_fills_on_the_tick_at_its_slippage_or_just_worse(
    market: Instrument, side: Side, size: int, price: int, band: list[int]
) -> None:
    qty, price = size * market.lot_units, price * market.tick_units
    slippage = Slippage(band[0], band[1])
    exact_cost = Fraction(price * qty, 10 ** (market.price_scale + market.base.scale - market.quote.scale))
    rate = Fraction(slippage.of_notional(math.ceil(exact_cost), USD), PPM)
    fill = slippage.fill_price(market, side, qty, price)
    assert fill % market.tick_units == 0
    if side is Side.BUY:
        exact = price * (1 + rate)
        assert exact <= fill < exact + market.tick_units
    else:
        exact = price * (1 - rate)
        assert fill == market.tick_units if exact < market.tick_units else exact - market.tick_units < fill <= exact


@pytest.mark.parametrize(
    ("market", "side", "qty", "price", "expected"),
    [
        # next to nothing: 0.1%, and a single part per million more for having any size at all
        (MARKET, Side.BUY, "0.00001", "20000.00", "20020.02"),
        (MARKET, Side.SELL, "0.00001", "20000.00", "19979.98"),
        # 25,000 coins: 0.2%; 50,000 and beyond: 0.3%
        (MARKET, Side.BUY, "1.25", "20000.00", "20040"),
        (MARKET, Side.SELL, "1.25", "20000.00", "19960"),
        (MARKET, Side.BUY, "2.5", "20000.00", "20060"),
        (MARKET, Side.BUY, "250", "20000.00", "20060"),
        (MARKET, Side.SELL, "250", "20000.00", "19940"),
        # off the tick: up for who buys, down for who sells
        (COARSE, Side.BUY, "2.5", "20100.5", "20161"),  # 20160.8015
        (COARSE, Side.SELL, "2.5", "20100.5", "20040"),  # 20040.1985
        # never below one tick
        (COARSE, Side.SELL, "1", "0.5", "0.5"),
    ],
)
def test_fill_prices_to_the_cent(market: Instrument, side: Side, qty: str, price: str, expected: str) -> None:
    assert FAIR.fill_price(market, side, market.qty(qty), market.price(price)) == market.price(expected)


@given(st.sampled_from(Side), lots, prices)
def test_without_slippage_an_order_fills_at_the_very_price(side: Side, size: int, price: int) -> None:
    assert Slippage.none().fill_price(MARKET, side, size * MARKET.lot_units, price) == price


def test_slippage_is_read_from_text() -> None:
    assert Slippage.of() == FAIR
    assert Slippage.of("0.05%", "0.25%", full_at="1000") == Slippage(500, 2_500, "1000")


# -- fees ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fees", "side", "liquidity", "expected"),
    [
        (Fees(), Side.BUY, Liquidity.MAKER, USD("25")),
        (Fees(), Side.BUY, Liquidity.TAKER, USD("40")),
        (Fees(), Side.SELL, Liquidity.MAKER, USD("25")),
        (Fees(), Side.SELL, Liquidity.TAKER, USD("40")),
        (Fees.of("0.25%", "0.40%", taken_in="received"), Side.BUY, Liquidity.MAKER, BTC("0.00125")),
        (Fees.of("0.25%", "0.40%", taken_in="received"), Side.BUY, Liquidity.TAKER, BTC("0.002")),
        (Fees.of("0.25%", "0.40%", taken_in="received"), Side.SELL, Liquidity.MAKER, USD("25")),
        (Fees.of("0.25%", "0.40%", taken_in="received"), Side.SELL, Liquidity.TAKER, USD("40")),
        (Fees(0, 0), Side.SELL, Liquidity.TAKER, USD("0")),
        (Fees(-100, 500), Side.SELL, Liquidity.MAKER, USD("-1")),
    ],
)
def test_the_fee_of_half_a_coin_for_ten_thousand(fees: Fees, side: Side, liquidity: Liquidity, expected: Amount) -> None:
    assert fees.charge(MARKET, side, BTC("0.5").units, USD("10000").units, liquidity) == expected


@pytest.mark.parametrize(
    ("cost", "rate_ppm", "expected"),
    [
        (1_000_000, 1, 1),
        (1_000_001, 1, 2),  # a fee is rounded up
        (1, 1, 1),
        (999_999, 1, 1),
        (0, 4_000, 0),
        (1_000_000, -1, -1),
        (1_999_999, -1, -1),  # a rebate toward zero
        (999_999, -1, 0),
        (1, -999_999, 0),
    ],
)
@pytest.mark.parametrize("liquidity", Liquidity)
def test_fees_are_rounded_up_and_rebates_toward_zero(cost: int, rate_ppm: int, expected: int, liquidity: Liquidity) -> None:
    assert Fees(rate_ppm, rate_ppm).charge(MARKET, Side.SELL, 1, cost, liquidity) == USD.units(expected)
    received = Fees(rate_ppm, rate_ppm, FeeIn.RECEIVED)
    assert received.charge(MARKET, Side.BUY, cost, 1, liquidity) == BTC.units(expected)


@given(st.integers(-PPM + 1, PPM - 1), st.integers(0, 10**15), st.sampled_from(FeeIn), st.sampled_from(Side), st.sampled_from(Liquidity))
def test_a_fee_is_never_less_than_its_rate_and_at_most_one_unit_more(
    rate_ppm: int, traded: int, taken_in: FeeIn, side: Side, liquidity: Liquidity
) -> None:
    fee = Fees(rate_ppm, rate_ppm, taken_in).charge(MARKET, side, traded, traded, liquidity)
    exact = Fraction(traded * rate_ppm, PPM)
    assert exact <= fee.units < exact + 1
    assert fee.asset == (BTC if taken_in is FeeIn.RECEIVED and side is Side.BUY else USD)


# -- rules -----------------------------------------------------------------------------------------------------------------


def test_every_choice_of_the_venue_is_told_in_words() -> None:
    rules = Rules.of(
        fees=Fees.of("-0.01%", "0.05%", taken_in="received"), slippage=Slippage.of("0.1%", "0.3%", full_at="20000"), participation="2.5%"
    )
    text = "\n".join(rules.describe())
    for told in (
        "maker -0.01%",
        "taker 0.05%",
        "received",
        "0.1% rising with size to 0.3% at 20000",
        "2.5% of a row's volume",
        "next bar's open",
    ):
        assert told in text
    assert "slippage: none" in Rules(slippage=Slippage.none()).describe()
    assert not any("volume" in line for line in Rules().describe())


@pytest.mark.parametrize(("participation", "ppm"), [("0.0001%", 1), ("10%", 100_000), ("100%", PPM), (None, None)])
def test_participation_is_a_part_of_the_volume(participation: str | None, ppm: int | None) -> None:
    assert Rules.of(participation=participation).participation_ppm == ppm


@pytest.mark.parametrize(
    "make",
    [
        lambda: Slippage(-1, 0),
        lambda: Slippage(2, 1),
        lambda: Slippage(0, PPM),
        lambda: Slippage.of("0.3%", "0.1%"),
        lambda: Slippage.of(0.001, 0.003),
        lambda: Slippage.of("NaN", "NaN"),
        lambda: Slippage(full_at="0"),
        lambda: Slippage(full_at="-1"),
        lambda: Slippage(full_at="NaN"),
        lambda: Slippage(full_at="Infinity"),
        lambda: Slippage(full_at=""),
        lambda: Fees(PPM, 0),
        lambda: Fees(0, PPM),
        lambda: Fees(-PPM, 0),
        lambda: Fees.of("100%", "0.4%"),
        lambda: Fees.of("0.25%", 0.004),
        lambda: Fees(math.nan, 0),
        lambda: Rules(participation_ppm=0),
        lambda: Rules(participation_ppm=-1),
        lambda: Rules(participation_ppm=PPM + 1),
        lambda: Rules.of(participation="0%"),
        lambda: Rules.of(participation="101%"),
        lambda: Rules.of(participation=0.1),
    ],
)
def test_terms_that_cannot_be_are_refused(make: Any) -> None:
    with pytest.raises(InvalidAmount):
        make()


def test_a_fee_is_taken_in_an_asset_that_exists() -> None:
    for make in (lambda: Fees.of("0.25%", "0.40%", taken_in="third"), lambda: Fees(taken_in="third"), lambda: Fees(taken_in="received")):
        with pytest.raises(InvalidAmount, match="must be one of FeeIn: quote, received"):
            make()


KINDS = {"maker": Maker, "settles": Settles, "self_match": SelfMatch}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("bad", ["x", "", "THROUGH", None, True, 1, math.nan, b"through", [], Side.BUY], ids=repr)
def test_a_choice_of_the_venue_is_one_of_its_kind(name: str, bad: Any) -> None:
    """As text in `Rules.of`, and as itself everywhere; a rule that is neither is refused by name, with all that there are."""
    kind = KINDS[name]
    for good in kind:
        assert getattr(Rules.of(**{name: good.value}), name) is getattr(Rules(**{name: good}), name) is good
    shown = re.escape(f"{name.replace('_', ' ')} {bad!r} must be one of {kind.__name__}: {', '.join(kind)}")
    with pytest.raises(InvalidAmount, match=f"^{shown}$"):
        Rules.of(**{name: bad})
    with pytest.raises(InvalidAmount):
        Rules(**{name: bad})


def test_every_choice_that_rules_of_takes_as_text_is_held_against_its_kind() -> None:
    kinds = {one.name for one in fields(Rules) if isinstance(one.default, StrEnum)}
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Slippage(0.001, 0.003),
        lambda: Slippage(1_000, 3_000.5),
        lambda: Fees(0.0025, 0.004),
        lambda: Fees(2_500, 0.4),
        lambda: Rules(participation_ppm=0.1),
    ],
)
def test_a_rate_that_is_no_whole_number_of_parts_per_million_is_refused(make: Any) -> None:
    """Such a rate would put a float into a fill price, a fee or a quantity, and so into the books."""
    with pytest.raises(InvalidAmount):
        make()


def test_full_at_is_counted_in_the_quote_asset_of_the_trade() -> None:
    yen = Asset("JPY", 0)
    assert Slippage(full_at="100").of_notional(50, yen) == 2_000
    assert Slippage(full_at="100").of_notional(50, USD) == 1_001
