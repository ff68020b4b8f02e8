"""Money is exact: what goes in as text comes out as text, every rounding is named, and nothing is guessed."""

from __future__ import annotations

import copy
import operator
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sleeves.errors import AssetMismatch, InvalidAmount, SleevesError
from sleeves.money import BTC, ETH, EUR, PPM, SOL, USD, USDC, USDT, Amount, Asset, Rounding, decimal_text, divide, parse_units, ppm
from strategies import NOT_NUMBERS, LooksLikeText, amounts, assets, hostile_numbers, hostile_text, law, rounded, roundings, units

SHIB = Asset("SHIB", 18)
scales = st.integers(0, 30)


def shown(value: object) -> str:
    """How an error may show a value: its text, cut where it is long."""
    return repr(str(value))[1:-1][:12]


# -- text in, text out -------------------------------------------------------------------------------------------------


@law
@given(units, scales)
def test_printing_and_parsing_are_inverse(number, scale):
    assert parse_units(decimal_text(number, scale), scale) == number


@law
@given(units, scales)
def test_the_text_is_the_exact_value_and_the_shortest_plain_one(number, scale):
    text = decimal_text(number, scale)
    assert Fraction(Decimal(text)) == Fraction(number, 10**scale)
    whole, _, decimals = text.lstrip("-").partition(".")
    assert not decimals.endswith("0")
    assert whole == "0" or not whole.startswith("0")
    assert "e" not in text.lower()
    assert not text.endswith(".")
    assert (text[0] == "-") is (number < 0)


@law
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=8), st.integers(8, 30))
def test_text_and_decimal_parse_to_the_value_that_decimal_reads(value, scale):
    expected = Fraction(value) * 10**scale
    assert parse_units(format(value, "f"), scale) == expected
    assert parse_units(value, scale) == expected


@law
@given(st.integers(-(10**59), 10**59), scales)
def test_whole_numbers_are_coins(number, scale):
    assert parse_units(number, scale) == number * 10**scale


@law
@given(assets.flatmap(amounts))
def test_an_amount_reads_back_from_its_text_with_or_without_its_code(amount):
    assert amount.asset(str(amount)) == amount
    assert amount.asset(amount.text) == amount
    assert amount.asset(amount) is amount


@pytest.mark.parametrize(
    ("text", "units_"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.000000", 0),
        ("+1", 1_000_000),
        ("1.5", 1_500_000),
        ("001.50", 1_500_000),
        ("1.50000000000000000000", 1_500_000),
        (" 1.5 ", 1_500_000),
        ("-12.000001", -12_000_001),
        ("1 USD", 1_000_000),
        ("-0.25 USD", -250_000),
        (LooksLikeText("2"), 2_000_000),
        (Decimal("1E+3"), 1_000_000_000),
        (Decimal("-0"), 0),
        (Decimal("1.10"), 1_100_000),
        (Decimal("1E-6"), 1),
        (7, 7_000_000),
        (-7, -7_000_000),
        ("0." + "0" * 60, 0),
        ("9" * 54, int("9" * 54) * 10**6),
    ],
)
def test_what_is_written_in_full_is_read_in_full(text, units_):
    assert USD(text).units == units_


def test_an_amount_made_from_its_own_text_is_the_same_amount():
    assert USD("1 USD") == USD(str(USD("1"))) == USD(1) == USD(Decimal(1)) == USD("1.000000") == USD.units(1_000_000)


@pytest.mark.parametrize("zeros", [61, 70, 1_000])
def test_trailing_zeros_of_a_decimal_are_not_precision(zeros):
    assert USD(Decimal("1." + "0" * zeros)) == USD("1")
    assert USD(Decimal(f"0E-{zeros}")) == USD.zero


@law
@given(st.integers(1, 28), st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_parsing_does_not_look_at_the_ambient_decimal_context(precision, value):
    with localcontext() as context:
        context.prec = precision
        found = USD(value).units
    assert found == Fraction(value) * 10**6


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=ascii)
def test_what_is_no_plain_finite_number_is_refused(value):
    with pytest.raises(InvalidAmount):
        USD(value)


@pytest.mark.parametrize("value", [v for v in NOT_NUMBERS if isinstance(v, str | int | float | Decimal | bytes | None)], ids=ascii)
def test_a_refusal_names_the_value(value):
    with pytest.raises(InvalidAmount) as refused:
        USD(value)
    assert shown(value) in str(refused.value)
    assert len(str(refused.value)) < 300


@law
@given(hostile_numbers, scales)
def test_no_input_raises_anything_but_invalid_amount(value, scale):
    try:
        found = parse_units(value, scale)
    except InvalidAmount:
        return
    assert type(found) is int
    assert Fraction(found, 10**scale) == Fraction(str(value).strip())


@law
@given(hostile_text)
def test_text_is_an_amount_or_refused(text):
    try:
        amount = USD(text)
    except InvalidAmount:
        return
    assert Fraction(amount.units, 10**6) == Fraction(text.removesuffix(" USD").strip(" "))


@law
@given(scales, st.integers(1, 9))
def test_one_place_too_many_is_refused_and_zero_places_too_many_are_not(scale, digit):
    exact = "0." + "0" * (scale - 1) + str(digit) if scale else str(digit)
    assert parse_units(exact, scale) == digit
    finer = "0." + "0" * scale + str(digit)
    with pytest.raises(InvalidAmount, match="decimal places"):
        parse_units(finer, scale)


@pytest.mark.parametrize("value", [Decimal("1E+999999999"), Decimal("-1E+999999999"), Decimal("1E-999999999")])
def test_a_decimal_with_a_vast_exponent_is_refused_before_it_is_written_out(value):
    with pytest.raises(InvalidAmount):
        USD(value)


def test_sixty_digits_are_read_and_sixty_one_are_not():
    assert USD("9" * 60).text == "9" * 60
    assert USD(10**60 - 1).text == "9" * 60
    with pytest.raises(InvalidAmount):
        USD("9" * 61)
    with pytest.raises(InvalidAmount):
        USD(10**60)


def test_a_float_is_refused_with_the_text_to_write_instead():
    with pytest.raises(InvalidAmount, match=r"'0\.1'"):
        USD(0.1)


# -- rounding ----------------------------------------------------------------------------------------------------------


@law
@given(st.one_of(st.integers(-50, 50), units), st.one_of(st.integers(1, 12), st.integers(1, 10**30)), roundings)
def test_division_rounds_as_its_name_says(numerator, denominator, rounding):
    assert divide(numerator, denominator, rounding) == rounded(Fraction(numerator, denominator), rounding)


@pytest.mark.parametrize(
    ("numerator", "down", "up", "floor", "ceil", "half_even"),
    [  # over 2; written out by hand
        (-5, -2, -3, -3, -2, -2),
        (-4, -2, -2, -2, -2, -2),
        (-3, -1, -2, -2, -1, -2),
        (-1, 0, -1, -1, 0, 0),
        (0, 0, 0, 0, 0, 0),
        (1, 0, 1, 0, 1, 0),
        (3, 1, 2, 1, 2, 2),
        (5, 2, 3, 2, 3, 2),
    ],
)
def test_halves_go_where_each_rounding_sends_them(numerator, down, up, floor, ceil, half_even):
    order = (Rounding.DOWN, Rounding.UP, Rounding.FLOOR, Rounding.CEIL, Rounding.HALF_EVEN)
    assert tuple(divide(numerator, 2, rounding) for rounding in order) == (down, up, floor, ceil, half_even)


@pytest.mark.parametrize("denominator", [0, -1, -(10**9)])
@pytest.mark.parametrize("rounding", Rounding)
def test_a_denominator_must_be_positive(denominator, rounding):
    with pytest.raises(InvalidAmount, match=str(denominator)):
        divide(1, denominator, rounding)


@pytest.mark.parametrize("rounding", ["up", "down", None, 0, True])
def test_a_division_whose_rounding_is_not_named_is_refused(rounding):
    with pytest.raises((SleevesError, TypeError)):
        divide(7, 2, rounding)


@law
@given(amounts(USD), st.integers(-(10**12), 10**12), st.integers(1, 10**12), roundings)
def test_a_portion_is_the_exact_part_rounded_as_named(amount, numerator, denominator, rounding):
    part = amount.portion(numerator, denominator, rounding)
    assert part == USD.units(rounded(Fraction(amount.units * numerator, denominator), rounding))


# -- arithmetic --------------------------------------------------------------------------------------------------------


@law
@given(assets, units, units)
def test_amounts_add_and_compare_as_their_units(asset, a, b):
    left, right = asset.units(a), asset.units(b)
    assert left + right == asset.units(a + b)
    assert left - right == asset.units(a - b)
    assert -left == asset.units(-a)
    assert abs(left) == asset.units(abs(a))
    assert left + asset.zero == left
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        assert compare(left, right) is compare(a, b)


OTHERS = [EUR("1"), Asset("USD", 2)("1"), Asset("usd", 6)("1"), USDC("1"), 1, 0, "1", 1.0, Decimal(1), None, USD]


@pytest.mark.parametrize("compute", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_two_assets_never_meet(compute, other):
    with pytest.raises(AssetMismatch, match="USD"):
        compute(USD("1"), other)


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_nothing_else_equals_an_amount(other):
    assert USD("1") != other
    assert not USD("1") == other  # noqa: SIM201


@pytest.mark.parametrize("compute", [operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow])
def test_there_is_no_unnamed_product_or_division(compute):
    with pytest.raises(TypeError):
        compute(USD("1"), 2)


def test_a_plain_sum_does_not_start_from_a_bare_zero():
    with pytest.raises(TypeError):
        sum([USD("1"), USD("2")])
    assert sum([USD("1"), USD("2")], USD.zero) == USD("3")


@pytest.mark.parametrize("amount", [USD("0"), USD("1"), USD("-1")])
@pytest.mark.parametrize("ask", [bool, operator.not_, lambda a: a and 1, lambda a: 1 if a else 0], ids=["bool", "not", "and", "if"])
def test_an_amount_has_no_truth_value(amount, ask):
    with pytest.raises(TypeError, match="ambiguous"):
        ask(amount)


@law
@given(st.lists(amounts(USD), max_size=8))
def test_amounts_sort_by_value(values):
    assert [a.units for a in sorted(values)] == sorted(a.units for a in values)


@pytest.mark.parametrize("value", [1.0, "1", None, True, Decimal(1), Fraction(1), b"1"])
def test_units_are_whole_numbers(value):
    with pytest.raises(InvalidAmount):
        Amount(value, USD)
    with pytest.raises(InvalidAmount):
        USD.units(value)


# -- values ------------------------------------------------------------------------------------------------------------


@law
@given(amounts())
def test_equal_amounts_hash_alike_and_survive_copy_and_pickle(amount):
    for again in (copy.copy(amount), copy.deepcopy(amount), pickle.loads(pickle.dumps(amount)), Amount(amount.units, amount.asset)):
        assert again == amount
        assert hash(again) == hash(amount)
        assert str(again) == str(amount)
    assert len({amount, copy.copy(amount)}) == 1


def test_amounts_and_assets_cannot_be_changed():
    amount = USD("1")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        amount.units = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        amount.asset = EUR
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        USD.scale = 2
    with pytest.raises(AttributeError):
        amount.note = "more"
    assert amount == USD("1")


@law
@given(amounts())
def test_the_decimal_of_an_amount_is_its_exact_value(amount):
    assert Fraction(amount.decimal) == Fraction(amount.units, 10**amount.asset.scale)


@pytest.mark.parametrize("amount", [USD("123456.789"), SHIB("12345678901.123456789012345678"), USD(10**30), USD("-0.000001")])
@pytest.mark.parametrize("precision", [3, 28])
def test_the_decimal_of_an_amount_does_not_look_at_the_ambient_context(amount, precision):
    with localcontext() as context:
        context.prec = precision
        found = amount.decimal
    assert Fraction(found) == Fraction(amount.units, 10**amount.asset.scale)


@pytest.mark.parametrize(
    ("amount", "spec", "text"),
    [
        (USD("1234.5"), "", "1234.5 USD"),
        (USD("1234.5"), ",.2f", "1,234.50"),
        (USD("-0.000001"), "f", "-0.000001"),
        (USD("0"), ",.2f", "0.00"),
        (SHIB("12345678901.123456789012345678"), "f", "12345678901.123456789012345678"),
        (SHIB("12345678901.123456789012345678"), ",.18f", "12,345,678,901.123456789012345678"),
    ],
)
def test_formatting_shows_the_exact_value(amount, spec, text):
    assert format(amount, spec) == text


def test_how_an_amount_is_shown():
    assert str(USD("150.250000")) == "150.25 USD"
    assert repr(USD("150.250000")) == 'USD("150.25")'
    assert eval(repr(USD("-0.000001"))) == USD("-0.000001")


# -- assets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["A", "0", "USD", "usd", "1INCH", "BTC.F", "a_b-c.d", "A" * 16])
@pytest.mark.parametrize("scale", [0, 1, 30])
def test_an_asset_takes_a_code_and_a_scale(code, scale):
    asset = Asset(code, scale)
    assert (asset.code, asset.scale, str(asset)) == (code, scale, code)
    assert asset(1).units == 10**scale


@pytest.mark.parametrize("code", ["", " ", "A" * 17, ".A", "-A", "_A", "A B", "A/B", "A:B", "USD\n", "€", "А", "١", None, 1, b"USD", USD])
def test_an_asset_refuses_a_code_that_could_not_be_written(code):
    with pytest.raises(InvalidAmount, match="asset code"):
        Asset(code, 6)


@law
@given(hostile_text)
def test_a_code_is_plain_or_refused(text):
    try:
        Asset(text, 6)
    except InvalidAmount:
        return
    assert text.isascii()
    assert 1 <= len(text) <= 16
    assert not set(text) & set(" /:|\\\"'\n\0")


@pytest.mark.parametrize("scale", [-1, 31, 6.0, "6", None, True, False, Decimal(6)])
def test_an_asset_refuses_a_scale_that_is_no_count_of_places(scale):
    with pytest.raises(InvalidAmount, match="scale"):
        Asset("USD", scale)


def test_an_asset_is_its_code_and_its_scale():
    assert Asset("USD", 6) == USD
    assert hash(Asset("USD", 6)) == hash(USD)
    assert Asset("USD", 2) != USD
    assert Asset("usd", 6) != USD
    assert pickle.loads(pickle.dumps(USD)) == USD


@pytest.mark.parametrize("other", [EUR("1"), Asset("USD", 2)("1")], ids=repr)
def test_an_asset_does_not_take_an_amount_of_another(other):
    with pytest.raises(AssetMismatch, match="USD"):
        USD(other)


@pytest.mark.parametrize("asset", ["USD", None, 6, ("USD", 6)])
def test_an_amount_is_of_an_asset(asset):
    with pytest.raises(SleevesError):
        Amount(5, asset)


@pytest.mark.parametrize(
    ("asset", "scale"),
    [(USD, 6), (EUR, 6), (USDC, 6), (USDT, 6), (BTC, 8), (ETH, 10), (SOL, 9)],
)
def test_the_ready_made_assets_count_this_finely(asset, scale):
    assert asset.scale == scale


# -- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.25%", 12_500),
        ("0.0125", 12_500),
        ("100%", PPM),
        ("1", PPM),
        ("0%", 0),
        ("0", 0),
        ("0.0001%", 1),
        ("0.000001", 1),
        (" 5 % ", 50_000),
        ("-0.02%", -200),
        ("250%", 2_500_000),
        (Decimal("0.0026"), 2_600),
        (Decimal("1E-6"), 1),
    ],
)
def test_a_rate_is_exact_parts_per_million(text, parts):
    assert ppm(text) == parts


@pytest.mark.parametrize(
    "value",
    ["", "%", "5%%", "%5", "0.00001%", "0.0000001", "1e-3", "nan", "inf%", "١%", "1,5%", 0.01, float("nan"), True, 1, 0, None, b"1%"],
)
def test_a_rate_that_is_not_exact_or_not_plain_is_refused(value):
    with pytest.raises(InvalidAmount):
        ppm(value)


@law
@given(st.integers(-(10**9), 10**9))
def test_percent_and_fraction_are_two_ways_to_write_one_rate(parts):
    assert ppm(decimal_text(parts, 4) + "%") == ppm(decimal_text(parts, 6)) == ppm(Decimal(decimal_text(parts, 6))) == parts


@law
@given(hostile_numbers)
def test_no_rate_raises_anything_but_invalid_amount(value):
    assume(not isinstance(value, str) or not value.strip().endswith("%"))
    try:
        ppm(value)
    except InvalidAmount:
        return
    assert isinstance(value, str | Decimal)
