"""What a cell says: exact numbers and exact instants, or an error that says what is wrong with the text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from past_exports import BERLIN

from sleeves.errors import InvalidAmount
from sleeves.past.cells import Clock, Figures, exact, instant

NOON = 1_709_294_400_000_000_000
"""2024-03-01 12:00:00 UTC."""


@pytest.mark.parametrize(
    ("value", "is_exactly"),
    [
        ("1e-8", "0.00000001"),
        ("1E-8", "0.00000001"),
        ("5e-08", "0.00000005"),
        ("+2.50", "2.5"),
        (" 7 ", "7"),
        (".5", "0.5"),
        ("3.", "3"),
        ("-0.0", "0"),
        (0.1, "0.1"),
        (1e-07, "0.0000001"),
        (12, "12"),
        (Decimal("1.10"), "1.1"),
    ],
)
def test_a_number_is_read_exactly(value, is_exactly):
    assert exact(value) == Decimal(is_exactly)


@pytest.mark.parametrize(
    "value",
    ["", " ", "NaN", "nan", "inf", "-Infinity", "1,234", "1_000", "1 000", "0x10", "=1+1", "٣", "1e", "e5", "--1", "1e9999", "9" * 101]
    + ["9" * 5000, "x" * 1_000_000, None, True, float("nan"), float("inf"), Decimal("NaN"), 10**200, b"1", [1]],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_plain_number_is_refused_and_shown_short(value):
    with pytest.raises(InvalidAmount) as caught:
        exact(value)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "says"),
    [
        (",", "", "1234,5", "1234.5"),
        (",", ".", "1.234,5", "1234.5"),
        (",", ".", "1.234.567", "1234567"),
        (",", ".", "234,5", "234.5"),
        (".", ",", "-1,234.50", "-1234.5"),
        (".", "'", "1'234", "1234"),
        (".", " ", "1 234 567.8", "1234567.8"),
        (".", "\u202f", "1\u202f234", "1234"),
        (".", ",", "1e-8", "0.00000001"),
        (",", "", "1,5e-3", "0.0015"),
    ],
)
def test_a_decimal_comma_and_thousands_are_taken_when_announced(decimal, thousands, text, says):
    assert Figures(decimal, thousands).read(text) == Decimal(says)


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [
        (".", "", "1,234"),
        (",", "", "1.5"),
        (",", "", "1.234,5"),
        (",", ".", "12.34"),
        (".", ",", "12,34"),
        (".", ",", "1,2345"),
        (",", "", "1,2,3"),
    ],
)
def test_and_never_guessed(decimal, thousands, text):
    with pytest.raises(InvalidAmount, match="not a plain finite number"):
        Figures(decimal, thousands).read(text)


@pytest.mark.parametrize(("decimal", "thousands"), [(";", ""), (".", "."), (".", "0"), (".", "-"), (",", "  ")])
def test_signs_that_cannot_be_told_apart_are_refused(decimal, thousands):
    with pytest.raises(InvalidAmount):
        Figures(decimal, thousands)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-03-01 12:00:00", NOON),
        ("2024-03-01T12:00:00Z", NOON),
        ("2024-03-01 12:00:00 UTC", NOON),
        ("2024-03-01 13:00:00+01:00", NOON),
        ("2024-03-01 13:00:00 +0100", NOON),
        ("2024-03-01 12:00", NOON),
        ("2024-03-01", NOON - 12 * 3600 * 10**9),
        ("2024-03-01 12:00:00.1234", NOON + 123_400_000),
        ("2024-03-01 12:00:00.123456789", NOON + 123_456_789),
        ("1969-12-31 23:59:59.5", -500_000_000),
    ],
)
def test_an_instant_is_read_to_the_nanosecond(text, at):
    assert instant(text) == at


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "01.03.2024", "2024-13-01", "2024-02-30 12:00:00", "2024-03-01 24:00:00", "2024-03-01 12:00:60", "0000-01-01"]
    + [
        "2024-03-01 12:00:00.1234567891",
        "2024-03-01 12:00:00+25:00",
        "2024-03-01 12",
        "٢٠٢٤-03-01",
        "9999-12-31 23:59:59-12:00x",
        "2" * 10**6,
    ],
    ids=lambda text: text[:24],
)
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(InvalidAmount):
        instant(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 the zone follows
def test_an_instant_is_the_same_in_any_offset(moment, minutes):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert instant(moment.isoformat(sep=" ")) == expected
    assert instant(moment.replace(tzinfo=None).isoformat(sep=" "), moment.tzinfo) == expected


def test_a_time_in_a_zone_is_its_wall_clock():
    assert Clock("iso", BERLIN).read("2024-03-01 13:00:00") == NOON
    assert Clock("%d.%m.%Y %H:%M:%S", BERLIN).read("01.03.2024 13:00:00") == NOON
    assert Clock("%Y-%m-%d %H:%M:%S%z").read("2024-03-01 13:00:00+0100") == NOON


@pytest.mark.parametrize("text", ["2024-10-27 02:30:00", "2024-03-31 02:30:00"])
def test_a_time_that_the_clock_shows_twice_or_never_is_refused(text):
    """At the end of summer time in Berlin 02:30 comes twice; at its beginning not at all."""
    with pytest.raises(InvalidAmount, match="clock change"):
        Clock("iso", BERLIN).read(text)


@pytest.mark.parametrize(
    ("form", "text"), [("s", "1709294400"), ("s", "1709294400.0"), ("ms", "1709294400000"), ("us", "1.7092944e15"), ("ns", str(NOON))]
)
def test_a_time_may_be_a_number(form, text):
    assert Clock(form).read(text) == NOON


def test_times_with_and_without_a_zone_do_not_mix():
    clock = Clock()
    clock.read("2024-03-01 12:00:00")
    with pytest.raises(InvalidAmount, match="names its zone, and times before it do not"):
        clock.read("2024-03-01 12:00:00Z")
    clock = Clock()
    clock.read("2024-03-01 12:00:00Z")
    with pytest.raises(InvalidAmount, match="names no zone, and times before it do"):
        clock.read("2024-03-01 12:00:00")


def test_an_unknown_form_is_refused():
    with pytest.raises(InvalidAmount, match="strptime"):
        Clock("minutes")
    with pytest.raises(InvalidAmount, match="not written as"):
        Clock("%d.%m.%Y").read("2024-03-01")
