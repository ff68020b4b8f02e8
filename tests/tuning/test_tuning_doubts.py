"""Each doubt on both sides of its threshold, on results as `tune` makes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import evolve

from sleeves import USD
from sleeves.market import DAY
from sleeves.sim import Fees, Rules, Slippage, SquareRoot
from sleeves.sim.models import Maker
from sleeves.tuning import CODES, Fold, Outcome, Range, Split, Splits, Try, Tuned
from sleeves.tuning.doubts import of_rules
from sleeves.tuning.space import space_of

HONEST = Rules()


def codes(doubts):
    return {doubt.code for doubt in doubts}


# -- rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (HONEST, set()),
        (Rules(Fees(1, 1)), set()),
        (Rules(Fees(0, 4000)), {"no_fee"}),
        (Rules(Fees(2500, 0)), {"no_fee"}),
        (Rules(Fees(-1, 4000)), {"rebate"}),
        (Rules(Fees(-2500, -4000)), {"rebate"}),
        (Rules(Fees(-100, 0)), {"rebate", "no_fee"}),
        (Rules(slippage=Slippage.none()), {"no_slippage"}),
        (Rules(slippage=Slippage(0, 1)), set()),
        (Rules(slippage=SquareRoot(0, 0, "1000000")), {"no_slippage"}),
        (Rules(slippage=SquareRoot(1, 0, "1000000")), set()),
        (Rules(maker=Maker.TOUCH), {"touch"}),
        (Rules(maker=Maker.QUEUE), set()),
        (Rules(Fees(0, 0), Slippage.none()), {"no_fee", "no_slippage"}),
    ],
)
def test_rules_that_no_venue_has(rules, found):
    assert codes(of_rules(rules)) == found


def test_slippage_does_not_matter_where_the_tape_has_a_book():
    assert not of_rules(Rules(slippage=Slippage.none()), has_book=True)


def test_a_fee_with_the_wrong_sign_is_told_with_its_figure():
    maker, taker = of_rules(Rules(Fees.of("-0.25%", "-0.4%")))
    assert "the maker fee is -0.25%, below zero" in maker.text and maker.numbers == {"maker": "-0.25%"}
    assert taker.numbers == {"taker": "-0.4%"}
    assert str(maker).startswith("rebate: ")


# -- results -------------------------------------------------------------------------------------------------------------

AT = [n * DAY for n in range(1000)]
SPLIT = Split.of((0, 600), (610, 900))
SURE = tuple(0.01 + 0.001 * (n % 3) for n in range(600))
"""Returns that leave little to luck."""


def outcome(profit="100", *, days=600, trades=40, best="10", returns=SURE, fills=80, refused=0, lost=0):
    drawn = {"fees": USD("1"), "drawdown": USD("5"), "best_trade": None if best is None else USD(best)}
    return Outcome(
        0, days * DAY, days, USD("1000"), USD(profit), **drawn, fills=fills, trades=trades, refused=refused, lost=lost, returns=returns
    )


def tries(*values, name="a", start=40):
    reasons = ["no fills" if value is None else "" for value in values]
    return tuple(Try(n, {name: start + n}, value, reasons[n], sharpe=0.01 * n) for n, value in enumerate(values))


def fold(**more):
    made = tries(1.0, 3.0, 2.0)
    inside, outside = outcome(), outcome(days=290)
    return evolve(Fold(1, SPLIT, made, made[1], inside, outside, outside, outside_value=1.0), **more)


def result(*folds, **more):
    folds = folds or (fold(),)
    terms = {
        "splits": Splits(tuple(one.split for one in folds), AT),
        "space": space_of({"a": (1, 100)}),
        "objective": "profit",
        "asset": USD,
        "rules": HONEST,
        "seed": 0,
        "least_trades": 10,
    }
    return Tuned(folds, **(terms | more))


def test_a_result_without_a_doubt_says_that_this_proves_nothing():
    assert result().doubts == ()
    assert "none was found, which proves nothing" in str(result())


@pytest.mark.parametrize(("trades", "few"), [(9, True), (10, False), (0, True)])
@pytest.mark.parametrize("window", ["test", "train"])
def test_too_few_trades_in_a_window(trades, few, window):
    part = "outside" if window == "test" else "inside"
    found = result(fold(**{part: outcome(trades=trades, days=290 if window == "test" else 600)})).doubts
    assert codes(found) == ({"few_trades"} if few else set())
    if few:
        assert found[0].numbers == {"fold": "1", "window": window, "trades": str(trades), "least": "10"}
    assert result(fold(outside=outcome(trades=trades, days=290)), least_trades=0).doubts == ()


@pytest.mark.parametrize(("best", "one"), [("50", False), ("50.000001", True), (None, False)])
def test_one_trade_that_made_more_than_half_of_the_profit(best, one):
    found = result(fold(outside=outcome("100", best=best, days=290))).doubts
    assert codes(found) == ({"one_trade"} if one else set())
    if one:
        assert found[0].numbers == {"trade": "50.000001 USD", "profit": "100 USD"}
        assert "without it 49.999999 USD were made" in found[0].text


def test_where_nothing_was_made_no_single_trade_made_most_of_it():
    assert "one_trade" not in codes(result(fold(outside=outcome("-5", best="50", days=290))).doubts)


@pytest.mark.parametrize(("outside", "worse"), [("145", False), ("144.999999", True), ("-1", True)])
def test_out_of_sample_below_half_of_what_was_made_in_sample_a_day(outside, worse):
    """600 in 600 days in sample is one a day; 290 days of half of that are 145."""
    found = result(fold(inside=outcome("600", best="10"), outside=outcome(outside, best="10", days=290))).doubts
    assert ("worse_outside" in codes(found)) is worse


def test_where_nothing_was_made_in_sample_less_of_it_is_no_surprise():
    found = result(fold(inside=outcome("-600"), outside=outcome("-600", days=290))).doubts
    assert "worse_outside" not in codes(found)


@pytest.mark.parametrize(("value", "edge"), [(1, True), (2, False), (99, False), (100, True)])
def test_a_best_at_the_end_of_its_range(value, edge):
    made = (Try(0, {"a": value}, 3.0, sharpe=0.1), Try(1, {"a": 50}, 1.0, sharpe=0.11))
    assert ("at_edge" in codes(result(fold(tries=made, chosen=made[0])).doubts)) is edge


def test_a_range_of_one_value_has_no_edge():
    assert not Range(5, 5).at_edge(5)


@pytest.mark.parametrize(("values", "flat"), [((2.0, 2.0, 2.0), True), ((2.0, 2.0, 2.1), False), ((2.0, None, 2.0), False)])
def test_whatever_was_tried_had_the_same_value(values, flat):
    made = tries(*values)
    assert ("flat" in codes(result(fold(tries=made, chosen=made[0])).doubts)) is flat


@pytest.mark.parametrize(("values", "most"), [((1.0, None), False), ((1.0, None, None), True), ((1.0, None, None, 2.0), False)])
def test_most_tries_had_no_value(values, most):
    made = tries(*values)
    found = [doubt for doubt in result(fold(tries=made, chosen=made[0])).doubts if doubt.code == "undefined"]
    assert bool(found) is most
    if most:
        assert "no fills" in found[0].text


@pytest.mark.parametrize(("refused", "lost", "found"), [(80, 0, False), (81, 0, True), (40, 41, True), (0, 80, False)])
def test_more_was_refused_or_lost_than_filled(refused, lost, found):
    one = result(fold(outside=outcome(refused=refused, lost=lost, days=290)))
    assert ("refused" in codes(one.doubts)) is found


def test_luck_explains_what_wavers():
    wavering = tuple(0.02 if n % 2 else -0.0195 for n in range(600))
    found = result(fold(inside=outcome(returns=wavering))).doubts
    assert codes(found) == {"luck"}
    assert float(found[0].numbers["sure"]) < 0.95
    assert found[0].numbers["tries"] == "3" and found[0].numbers["days"] == "600"


def test_luck_is_not_told_from_skill_in_no_days():
    found = result(fold(inside=outcome(returns=(0.01,)))).doubts
    assert codes(found) == {"luck"} and "too few daily returns" in found[0].text


def test_how_long_a_past_so_many_tries_need():
    """Three tries need 0.73 years, 265.5 days, by the published formula."""
    just, short = outcome(days=266), outcome(days=265)
    assert "many_tries" not in codes(result(fold(inside=just)).doubts)
    assert "many_tries" in codes(result(fold(inside=short)).doubts)


def test_a_try_that_is_repeated_is_no_further_try():
    made = tries(1.0, 2.0)
    again = (*made, *(evolve(one, number=one.number + 2) for one in made))
    assert fold(tries=again).distinct == fold(tries=made).distinct == 2


def test_something_learned_next_to_its_test():
    tight = Split.of((0, 600), (600, 900))
    assert codes(result(fold(split=tight), learns=True).doubts) == {"no_gap"}
    assert not result(fold(), learns=True).doubts
    assert not result(fold(split=tight)).doubts


def test_rows_that_are_tested_twice():
    other = fold(number=2, split=Split.of((0, 600), (890, 1000)))
    found = [doubt for doubt in result(fold(), other).doubts if doubt.code == "tested_twice"]
    assert [doubt.numbers for doubt in found] == [{"rows": "10"}]


def test_what_broke_what_was_not_chosen_and_what_does_not_repeat():
    nothing = evolve(fold(), tries=tries(None, None), chosen=None, inside=None, outside=None, hold=None)
    assert codes(result(nothing).doubts) == {"nothing_chosen"}
    assert codes(result(fold(outside=None, broken="RuntimeError: gone")).doubts) == {"broken"}
    assert codes(result(fold(repeated=False)).doubts) == {"not_repeatable"}


def test_doubts_of_one_kind_are_one_line_and_all_in_the_list():
    few = fold(outside=outcome(trades=1, days=290))
    one = result(few, evolve(few, number=2, split=Split.of((0, 600), (900, 1000))))
    assert [doubt.code for doubt in one.doubts] == ["few_trades"] * 2
    assert "- few_trades: fold 1: 1 round trip in its test window, fewer than 10; and 1 more like it" in str(one)


def test_every_code_is_said_and_every_said_code_is_tried_here():
    source = Path(__file__).read_text()
    said = set(re.findall(r'"([a-z_]+)"', source))
    assert set(CODES) <= said
    assert all(text for text in CODES.values())


def test_the_table_says_how_steady_a_parameter_was():
    made = tries(1.0, 3.0)
    one = fold(tries=made, chosen=evolve(made[0], params={"a": 20}))
    two = evolve(one, number=2, chosen=evolve(made[0], params={"a": 60}), split=Split.of((0, 600), (900, 1000)))
    assert "within 40% of the range" in str(result(one, two))
    assert "chosen once" in str(result(one))
    assert result(one, two).rows()[1]["a"] == 60
