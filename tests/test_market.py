"""An instrument is the one place where an opinion becomes money: on the tick, in whole lots, and exact."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import AssetMismatch, InvalidMarket, SleevesError
from sleeves.market import DAY, HOUR, MINUTE, SECOND, Book, Instrument, Kind, Mark, Quote
from sleeves.money import BTC, PPM, USD, Asset, Rounding, decimal_text
from strategies import COARSE, FINE, hostile_numbers, hostile_text, instruments, law, markets, rounded, roundings

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001")
COARSE_TICK = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.5", lot="0.001", kind=Kind.PERP, venue="drift")

prices = st.integers(1, 10**15)
quantities = st.integers(0, 10**24)
rates = st.one_of(st.sampled_from([0, 1, 4_000, PPM - 1]), st.integers(0, PPM - 1))


def made(**terms):
    return Instrument("BTC/USD", **({"base": BTC, "quote": USD} | terms))


def exact_cost(market: Instrument, price: int, qty: int, plus_ppm: int) -> Fraction:
    """Price times quantity in quote units, by fractions of coins."""
    coins = Fraction(price, 10**market.price_scale) * Fraction(qty, 10**market.base.scale)
    return coins * 10**market.quote.scale * Fraction(PPM + plus_ppm, PPM)


# -- what an instrument is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "figures"),  # price_scale, tick, lot, min_qty, min_notional in units
    [
        ({}, (2, 1, 1_000, 0, 0)),
        ({"tick": "0.5"}, (1, 5, 1_000, 0, 0)),
        ({"tick": "0.50"}, (1, 5, 1_000, 0, 0)),
        ({"tick": "100"}, (0, 100, 1_000, 0, 0)),
        ({"tick": "1.0"}, (0, 1, 1_000, 0, 0)),
        ({"tick": "0." + "0" * 17 + "1"}, (18, 1, 1_000, 0, 0)),
        ({"lot": "0.00000001"}, (2, 1, 1, 0, 0)),
        ({"lot": "10"}, (2, 1, 10**9, 0, 0)),
        ({"min_qty": "0.0001", "min_notional": "0.5"}, (2, 1, 1_000, 10_000, 500_000)),
    ],
)
def test_steps_are_whole_units(terms, figures):
    market = made(**terms)
    found = (market.price_scale, market.tick_units, market.lot_units, market.min_qty_units, market.min_notional_units)
    assert found == figures


@pytest.mark.parametrize("name", ["tick", "lot", "min_qty", "min_notional"])
@pytest.mark.parametrize(
    "value",
    ["", "-0.01", "nan", "inf", "1e-2", "0,01", "--1", "one", "١", "\ud800", "0." + "0" * 18 + "1", float("nan"), 0.01, None, True, b"1"],
    ids=ascii,
)
def test_a_step_that_is_no_plain_positive_number_is_refused(name, value):
    with pytest.raises(InvalidMarket):
        made(**{name: value})


@pytest.mark.parametrize("name", ["tick", "lot"])
@pytest.mark.parametrize("value", ["0", "0.00", "-0"])
def test_tick_and_lot_are_positive(name, value):
    with pytest.raises(InvalidMarket, match=f"the {name} of BTC/USD must be positive"):
        made(**{name: value})


@pytest.mark.parametrize(("name", "finest", "finer"), [("lot", "0.00000001", "0.000000001"), ("min_notional", "0.000001", "0.0000001")])
def test_a_step_is_no_finer_than_its_asset_counts(name, finest, finer):
    assert getattr(made(**{name: finest}), f"{name}_units") == 1
    with pytest.raises(InvalidMarket, match="decimal places"):
        made(**{name: finer})


@pytest.mark.parametrize("quote", [BTC, Asset("BTC", 8), Asset("BTC", 2)], ids=repr)
def test_a_coin_is_not_traded_against_itself_however_finely_it_is_counted(quote):
    with pytest.raises(InvalidMarket, match="BTC"):
        made(quote=quote)


@pytest.mark.parametrize(
    "terms", [{"base": "BTC"}, {"quote": None}, {"kind": "spot"}, {"venue": None}, {"tick": Decimal("0.01")}, {"lot": 1}], ids=repr
)
def test_terms_are_text_or_refused(terms):
    """Whatever an instrument accepts can be journaled: all of its terms are text."""
    try:
        market = made(**terms)
    except InvalidMarket:
        return
    assert {type(value) for value in market.terms().values()} == {str}


@pytest.mark.parametrize("symbol", ["A", "1INCH/USD", "BTC/USD", "BTC-PERP", "kraken:XBT.USD_1", "A" * 32])
def test_a_symbol_is_plain(symbol):
    assert str(Instrument(symbol, base=BTC, quote=USD)) == symbol


@pytest.mark.parametrize(
    "symbol", ["", " ", "A" * 33, "/A", ".A", "BTC USD", "BTC|USD", "BTC/USD\n", "БТЦ", "١", "\ud800", None, 1, b"BTC"], ids=ascii
)
def test_a_symbol_that_could_not_be_written_is_refused(symbol):
    with pytest.raises(InvalidMarket, match="symbol"):
        Instrument(symbol, base=BTC, quote=USD)


@law
@given(hostile_text)
def test_any_text_is_a_plain_symbol_or_refused(text):
    try:
        Instrument(text, base=BTC, quote=USD)
    except InvalidMarket:
        return
    assert text.isascii()
    assert 1 <= len(text) <= 32
    assert not set(text) & set(" |\\\"'\n\0<>%")


@law
@given(markets)
def test_terms_are_text_and_read_back_to_the_same_instrument(market):
    terms = market.terms()
    assert {type(value) for value in terms.values()} == {str}
    for again in (Instrument.from_terms(market.symbol, terms), pickle.loads(pickle.dumps(market)), copy.deepcopy(market)):
        assert again == market
        assert hash(again) == hash(market)
        assert again.terms() == terms
        for name in ("price_scale", "tick_units", "lot_units", "min_qty_units", "min_notional_units"):
            assert getattr(again, name) == getattr(market, name)


def test_terms_tell_a_perpetual_of_a_venue_from_spot():
    assert Instrument.from_terms("BTC-PERP", COARSE_TICK.terms()) == COARSE_TICK
    assert Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.5", lot="0.001") != COARSE_TICK


def test_an_instrument_cannot_be_changed():
    for name in ("symbol", "tick", "tick_units", "price_scale"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(BTCUSD, name, 1)


# -- prices ------------------------------------------------------------------------------------------------------------


@law
@given(markets, st.integers(1, 10**12))
def test_a_price_on_the_tick_reads_back_from_its_text(market, ticks):
    price = ticks * market.tick_units
    assert market.price(market.price_text(price)) == price
    assert market.price(Decimal(market.price_text(price))) == price
    assert Fraction(market.price_text(price)) == ticks * Fraction(market.tick)


@law
@given(markets.filter(lambda m: m.tick_units > 1), st.integers(0, 10**9), st.data())
def test_a_price_off_the_tick_is_refused(market, ticks, data):
    off = ticks * market.tick_units + data.draw(st.integers(1, market.tick_units - 1))
    with pytest.raises(InvalidMarket, match="tick"):
        market.price(market.price_text(off))


@pytest.mark.parametrize("value", ["0", "-0.01", "0.001", "20000.005", 0, -1, "", "nan", "1e4", 1.5, None, True, BTC("1")], ids=repr)
def test_a_price_that_is_not_a_positive_multiple_of_the_tick_is_refused(value):
    with pytest.raises(InvalidMarket, match="price"):
        BTCUSD.price(value)


@pytest.mark.parametrize(
    ("opinion", "rounding", "price"),
    [  # BTC-PERP: tick 0.5, prices in tenths; by hand
        (100.2, Rounding.HALF_EVEN, 1000),
        (100.3, Rounding.HALF_EVEN, 1005),
        ("100.25", Rounding.HALF_EVEN, 1000),
        ("100.75", Rounding.HALF_EVEN, 1010),
        (100.3, Rounding.FLOOR, 1000),
        (100.3, Rounding.DOWN, 1000),
        (100.0001, Rounding.CEIL, 1005),
        (100.0001, Rounding.UP, 1005),
        (Decimal("0.5"), Rounding.FLOOR, 5),
        (0.1, Rounding.FLOOR, 5),
        (5e-324, Rounding.FLOOR, 5),
        (5e-324, Rounding.HALF_EVEN, 5),
        (7, Rounding.FLOOR, 70),
    ],
)
def test_an_opinion_is_rounded_to_the_tick_and_at_least_one(opinion, rounding, price):
    assert COARSE_TICK.round_price(opinion, rounding) == price


@law
@given(markets, st.one_of(st.floats(1e-12, 1e12), st.decimals("1e-12", "1e12", places=15)), roundings)
def test_a_rounded_opinion_is_on_the_tick_as_its_rounding_says(market, opinion, rounding):
    price = market.round_price(opinion, rounding)
    tick = Fraction(market.tick)
    exact = Fraction(opinion)
    assert price == max(1, rounded(exact / tick, rounding)) * market.tick_units
    away = abs(Fraction(price, 10**market.price_scale) - exact)
    if exact >= tick:
        assert away <= tick / 2 if rounding is Rounding.HALF_EVEN else away < tick


@pytest.mark.parametrize(
    "opinion",
    [
        0,
        0.0,
        -0.0,
        -1,
        -5e-324,
        math.nan,
        math.inf,
        -math.inf,
        "nan",
        "sNaN",
        "-1",
        "",
        "one",
        None,
        [],
        "1e41",
        Decimal("1E+999999"),
        Decimal("NaN"),
    ],
    ids=repr,
)
def test_an_opinion_that_is_no_positive_finite_price_is_refused(opinion):
    with pytest.raises(InvalidMarket, match="price"):
        BTCUSD.round_price(opinion)


@law
@given(hostile_numbers)
def test_an_opinion_is_a_price_or_refused(opinion):
    try:
        price = BTCUSD.round_price(opinion)
    except InvalidMarket:
        return
    assert price >= 1
    assert price % BTCUSD.tick_units == 0


@law
@given(markets, prices, st.integers(-2 * PPM, 2 * PPM), roundings)
def test_a_shifted_price_is_on_the_tick_as_rounded_and_at_least_one_tick(market, price, by_ppm, rounding):
    exact = Fraction(price) * (PPM + by_ppm) / PPM / market.tick_units
    assert market.shift(price, by_ppm, rounding) == max(1, rounded(exact, rounding)) * market.tick_units


@law
@given(markets, st.integers(1, 10**9), roundings)
def test_a_price_on_the_tick_that_is_not_shifted_stays(market, ticks, rounding):
    price = ticks * market.tick_units
    assert market.shift(price, 0, rounding) == price


# -- quantities --------------------------------------------------------------------------------------------------------


@law
@given(markets, st.integers(1, 10**12))
def test_a_quantity_of_whole_lots_reads_back_from_its_text(market, lots):
    qty = lots * market.lot_units
    text = market.qty_text(qty)
    assert market.qty(text) == market.qty(Decimal(text)) == market.qty(market.base.units(qty)) == qty


@pytest.mark.parametrize(
    "value", ["0", "-0.00001", "0.000001", "0.000015", 0, -1, "nan", "1e-5", 0.5, None, True, BTC("0"), BTC("0.000001")], ids=repr
)
def test_a_quantity_that_is_not_a_positive_number_of_lots_is_refused(value):
    with pytest.raises(InvalidMarket, match="quantity"):
        BTCUSD.qty(value)


@pytest.mark.parametrize("amount", [USD("1"), Asset("BTC", 2)("1")], ids=repr)
def test_a_quantity_is_of_the_base_asset(amount):
    with pytest.raises(AssetMismatch):
        BTCUSD.qty(amount)


@law
@given(markets, st.one_of(st.integers(-(10**20), 10**20), st.floats(-1e20, 1e20)))
def test_an_opinion_about_a_quantity_is_rounded_toward_zero_to_whole_lots(market, opinion):
    qty = market.round_qty(opinion)
    assert qty % market.lot_units == 0
    assert abs(qty) <= abs(opinion)
    assert abs(int(opinion)) - abs(qty) < market.lot_units
    assert qty * opinion >= 0


@pytest.mark.parametrize("opinion", [math.nan, math.inf, -math.inf])
def test_an_opinion_that_is_no_quantity_is_refused(opinion):
    with pytest.raises(InvalidMarket, match="not finite"):
        BTCUSD.round_qty(opinion)


# -- money -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [FINE, COARSE, instruments()], ids=["divided", "multiplied", "any"])
def test_cost_is_price_times_quantity_rounded_once_as_named(kinds):
    @law
    @given(kinds, prices, st.one_of(quantities, quantities.map(int.__neg__)), roundings, rates)
    def holds(market, price, qty, rounding, plus_ppm):
        exact = exact_cost(market, price, qty, plus_ppm)
        assert market.cost(price, qty, rounding, plus_ppm) == rounded(exact, rounding)
        assert market.notional(price, qty, rounding) == market.quote.units(rounded(exact_cost(market, price, qty, 0), rounding))

    holds()


@pytest.mark.parametrize(
    ("price", "qty", "rounding", "cost"),
    [  # by hand
        ("20000.50", "0.5", Rounding.CEIL, "10000.25"),
        ("0.01", "0.00001", Rounding.CEIL, "0.000001"),
        ("0.01", "0.00001", Rounding.FLOOR, "0"),
        ("33333.33", "0.00003", Rounding.FLOOR, "0.999999"),
        ("33333.33", "0.00003", Rounding.CEIL, "1"),
    ],
)
def test_what_a_quantity_costs(price, qty, rounding, cost):
    assert BTCUSD.notional(BTCUSD.price(price), BTCUSD.qty(qty), rounding) == USD(cost)


@pytest.mark.parametrize("kinds", [FINE, COARSE, instruments()], ids=["divided", "multiplied", "any"])
def test_affordable_is_the_largest_whole_lot_quantity_that_fits(kinds):
    @law
    @given(kinds, st.one_of(st.integers(1, 10**6), st.integers(1, 10**20)), prices, rates)
    def holds(market, money, price, allowance):
        qty = market.affordable(money, price, allowance)
        assert qty >= 0
        assert qty % market.lot_units == 0
        assert market.cost(price, qty, Rounding.CEIL, allowance) <= money
        assert market.cost(price, qty + market.lot_units, Rounding.CEIL, allowance) > money

    holds()


@law
@given(markets, st.integers(1, 1_000), st.integers(1, 1_000), rates)
def test_what_lots_cost_affords_just_those_lots_and_one_unit_less_does_not(market, lots, ticks, allowance):
    qty, price = lots * market.lot_units, ticks * market.tick_units
    money = market.cost(price, qty, Rounding.CEIL, allowance)
    assert market.affordable(money, price, allowance) >= qty
    assert market.affordable(money - 1, price, allowance) < qty


@pytest.mark.parametrize("money", [0, -1, -(10**20)])
def test_nothing_is_affordable_without_money(money):
    assert BTCUSD.affordable(money, BTCUSD.price("1")) == 0


# -- quotes and marks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bid", "ask"), [(1, 1), (1, 2), (10**18, 10**18)])
def test_a_quote_has_a_positive_bid_at_or_below_its_ask(bid, ask):
    quote = Quote(BTCUSD, 0, bid, ask)
    assert (quote.bid, quote.ask) == (bid, ask)


@pytest.mark.parametrize(("bid", "ask"), [(0, 1), (0, 0), (-1, 1), (1, 0), (2, 1), (-2, -1)])
def test_a_quote_that_is_crossed_or_not_positive_is_refused(bid, ask):
    with pytest.raises(InvalidMarket, match="bid"):
        Quote(BTCUSD, 0, bid, ask)


@pytest.mark.parametrize("price", [0, -1])
def test_a_mark_is_positive(price):
    assert Mark(BTCUSD, 0, 1).price == 1
    with pytest.raises(InvalidMarket, match="mark"):
        Mark(BTCUSD, 0, price)


@pytest.mark.parametrize("price", [math.nan, math.inf, 1.5, "1", None, True], ids=repr)
def test_prices_of_quotes_and_marks_are_whole_units(price):
    with pytest.raises((SleevesError, TypeError)):
        Mark(BTCUSD, 0, price)
    with pytest.raises((SleevesError, TypeError)):
        Quote(BTCUSD, 0, price, price)


def test_a_mark_is_made_from_text():
    assert BTCUSD.mark("20000.50", 7) == Mark(BTCUSD, 7, 2_000_050)
    with pytest.raises(InvalidMarket):
        BTCUSD.mark("20000.505", 7)


def test_a_mark_is_made_from_an_amount_of_the_quote_asset():
    """`mark` says that it takes what an asset turns into an amount."""
    assert BTCUSD.mark(USD("20000.50"), 7) == BTCUSD.mark("20000.50", 7)


@pytest.mark.parametrize(("bid", "ask", "mid"), [(0, 0, 0), (1, 1, 1), (1, 2, 1), (100, 103, 101), (100, 104, 102)])
def test_the_middle_of_a_book_is_rounded_down(bid, ask, mid):
    book = Book(BTCUSD, 0)
    assert not book.seen
    book.bid, book.ask = bid, ask
    assert book.mid == mid
    assert book.seen is (bid > 0)


def test_time_is_in_nanoseconds():
    assert (SECOND, MINUTE, HOUR, DAY) == (10**9, 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9)


@law
@given(markets, prices)
def test_price_text_is_the_exact_price(market, price):
    assert market.price_text(price) == decimal_text(price, market.price_scale)
    assert market.price_float(price) == pytest.approx(float(Fraction(price, 10**market.price_scale)))
