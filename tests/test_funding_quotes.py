"""Funding rates side by side: exact, each with its interval, and in the order of what they come to in a year."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket
from sleeves.funding_quotes import FundingQuote, Kind, ShareOf, ranked
from sleeves.market import DAY, HOUR, Basis, FundingRate, Instrument
from sleeves.market import Kind as MarketKind
from sleeves.money import SOL, USDT


def quote(rate="0.01%", interval=8 * HOUR, venue="binance", symbol="SOL", basis="mark", kind="live", **more):
    return FundingQuote(venue, symbol, rate, interval, basis, more.pop("next", None), kind)


def test_it_is_what_it_says():
    one = FundingQuote("velocity", "SOL-PERP", "0.00125%", HOUR, "oracle twap", 1_700_000_000, "settled")
    assert (one.rate, one.interval, one.next) == (Fraction(1, 80_000), HOUR, 1_700_000_000)
    assert (one.basis, one.kind, one.rate_ppb) == (ShareOf.ORACLE_TWAP, Kind.SETTLED, 12_500)
    assert one.per_hour == Fraction(1, 80_000) and one.per_year == Fraction(24 * 365, 80_000)
    assert str(one) == "SOL-PERP at velocity"


@pytest.mark.parametrize("interval", [None, 0, -1, 1.5, True, "1h", 8.0 * HOUR])
def test_without_an_interval_there_is_no_quote(interval):
    with pytest.raises(InvalidMarket, match="without an interval is no rate"):
        quote(interval=interval)
    assert quote(interval=1).interval == 1


@pytest.mark.parametrize("rate", [0.0001, 1, 0, True, None, "x", "1e-4", "0.01%%", "", "NaN", Decimal("NaN"), Decimal("Infinity"), "1/3"])
def test_a_rate_that_is_no_exact_ratio_is_refused(rate):
    with pytest.raises(InvalidMarket, match="a ratio, exactly"):
        quote(rate)


@pytest.mark.parametrize("rate", ["1", "-1", "100%", "-100%", "15", Fraction(3, 2)])
def test_a_rate_of_all_and_more_is_no_rate_but_money_per_coin(rate):
    with pytest.raises(InvalidMarket, match="between -100% and 100%"):
        quote(rate)


@pytest.mark.parametrize(
    ("rate", "exactly"),
    [
        ("0.01%", Fraction(1, 10_000)),
        ("-0.0001", Fraction(-1, 10_000)),
        (" 0.5 ", Fraction(1, 2)),
        ("+99.9999%", Fraction(999_999, 1_000_000)),
        (Decimal("0.000012345678901234567890"), Fraction(12345678901234567890, 10**24)),
        (Fraction(1, 3), Fraction(1, 3)),
        (Fraction(0), 0),
        ("0", 0),
    ],
)
def test_rates_are_exact(rate, exactly):
    assert quote(rate).rate == exactly


@pytest.mark.parametrize(("field", "value"), [("venue", ""), ("symbol", None), ("basis", "gut feeling"), ("kind", "sure"), ("kind", None)])
def test_what_makes_no_sense_is_refused(field, value):
    with pytest.raises(InvalidMarket):
        quote(**{field: value})


@pytest.mark.parametrize("due", [-1, 1.5, "soon", True])
def test_a_next_payment_is_a_time_or_nobody_says(due):
    with pytest.raises(InvalidMarket, match="next payment"):
        quote(next=due)
    assert quote(next=0).next == 0 and quote(next=None).next is None


def test_the_larger_rate_is_not_the_better_one():
    """1 bp an hour is more than 5 bp in eight, and the seed's mistake would turn them round."""
    hourly, slow = quote("0.01%", HOUR, "dydx"), quote("0.05%", 8 * HOUR, "binance")
    daily = quote("0.24%", DAY, "daily")
    minus = quote("-0.3%", DAY, "minus")
    assert [one.venue for one in ranked([slow, minus, hourly, daily])] == ["daily", "dydx", "binance", "minus"]
    assert hourly.per_year == daily.per_year  # a tie goes by name
    assert ranked([]) == ()


def test_kinds_may_be_chosen():
    live, settled = quote(), quote("0.02%", kind="settled")
    assert ranked([live, settled], kinds=["live"]) == (live,) and ranked([live, settled], kinds=[Kind.SETTLED]) == (settled,)
    with pytest.raises(InvalidMarket, match="one of settled, predicted, live"):
        ranked([live], kinds=["maybe"])


def test_what_is_no_quote_is_not_ranked():
    with pytest.raises(InvalidMarket, match="has no interval"):
        ranked([quote(), Fraction(1, 1000)])


RATES = st.fractions(min_value="-999/1000", max_value="999/1000", max_denominator=10**9)
QUOTES = st.lists(st.builds(lambda rate, hours: quote(rate, hours * HOUR), RATES, st.integers(1, 200)), max_size=8)


@given(QUOTES, st.randoms())
def test_law_the_order_is_that_of_what_a_year_comes_to(quotes, chance):
    found = ranked(quotes)
    assert sorted(map(id, found)) == sorted(map(id, quotes))
    assert [one.per_year for one in found] == sorted((one.per_year for one in quotes), reverse=True)
    chance.shuffle(quotes)
    assert [one.per_year for one in ranked(quotes)] == [one.per_year for one in found]


@given(RATES, st.integers(1, 1_000), st.integers(2, 50))
def test_law_the_same_pay_in_other_intervals_is_the_same_quote(rate, hours, times):
    whole = quote(rate, hours * HOUR * times)
    assert whole.per_year == evolve(whole, rate=rate / times, interval=hours * HOUR).per_year == whole.per_hour * 24 * 365


PERP = Instrument("SOL-PERP", base=SOL, quote=USDT, tick="0.01", lot="0.01", kind=MarketKind.PERP, venue="velocity")


@pytest.mark.parametrize(
    ("basis", "told"), [("mark", Basis.MARK), ("index", Basis.INDEX), ("oracle", Basis.ORACLE), ("oracle twap", Basis.ORACLE)]
)
def test_engines_are_fed_with_it(basis, told):
    one = quote("0.0125%", HOUR, "velocity", "SOL-PERP", basis)
    assert one.news(PERP, price=15_000, at=7) == FundingRate(PERP, 7, 125_000, 15_000, HOUR, told)


def test_news_of_another_market_is_refused():
    for wrong in (quote(venue="velocity"), quote(venue="drift", symbol="SOL-PERP")):
        with pytest.raises(InvalidMarket, match="is none of SOL-PERP at velocity"):
            wrong.news(PERP, price=15_000, at=7)


HALVES = [(Fraction(1, 2 * 10**9), 0), (Fraction(3, 2 * 10**9), 2), (Fraction(-3, 2 * 10**9), -2), (Fraction(1, 3), 333_333_333)]


@pytest.mark.parametrize(("rate", "ppb"), HALVES)
def test_parts_in_a_billion_are_rounded_half_to_even(rate, ppb):
    assert quote(rate).rate_ppb == ppb
