"""Quoting: the rules on both sides of their thresholds, and laws over any parameters, leverage, price and book."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount
from sleeves.market import SECOND
from sleeves.money import PPM, Rounding
from sleeves.quoting import (
    Change,
    InvalidQuoting,
    LayerOrder,
    QuotingParams,
    Resting,
    Stance,
    base_to_quote,
    capped,
    check_shares,
    clamp,
    client_id,
    client_ids,
    effective_params,
    flipped,
    leverage,
    order_size,
    outset_ppm,
    quote_to_base,
    quotes,
    refresh,
    skew_antiderivative,
    skew_ppm,
    spread_ppm,
    subticks,
    to_multiple,
    unit_worth,
    withdrawal_slippage,
)
from strategies import law, rounded

NOW = 1_700_000_000 * SECOND

# -- parameters ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_chain() -> None:
    """`x/vault/types/params.go` of dYdX v4: 2 layers, 1%, 0.15%, 2, 10%, 60 s, 1,000 USDC."""
    assert QuotingParams() == QuotingParams.of() == QuotingParams(2, 10_000, 1_500, 2_000_000, 100_000, 60, 1_000_000_000)


def test_rates_may_be_given_as_text() -> None:
    params = QuotingParams.of(
        layers=3, spread_min="0.1%", spread_buffer="0", skew_factor="1.5", order_size="2.5%", expiry_s=9, activation=7
    )
    assert params == QuotingParams(3, 1_000, 0, 1_500_000, 25_000, 9, 7)
    with pytest.raises(InvalidAmount, match=r"spread_min 0\.01"):
        QuotingParams.of(spread_min=0.01)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "good", "bad", "rule"),
    [
        ("layers", (0, 255), (-1, 256), "layers"),
        ("spread_min_ppm", (1, 10**7), (0, -1), "spread_min"),
        ("spread_buffer_ppm", (0, 10**7), (-1,), "spread_buffer"),
        ("order_size_ppm", (1, 999_999), (0, -1), "order_size"),
        ("expiry_s", (1, 10**9), (0, -1), "expiry"),
        ("activation", (0, 10**30), (-1,), "activation"),
        ("skew_factor_ppm", (0, 19_999_999), (-1, 20_000_000), "skew"),
    ],
)
def test_each_parameter_on_both_sides_of_its_rule(name: str, good: tuple[int, ...], bad: tuple[int, ...], rule: str) -> None:
    for value in good:
        assert getattr(QuotingParams(**{name: value}), name) == value
    for value in (*bad, True, None, "1", 1.0, math.nan, math.inf, Fraction(1)):
        with pytest.raises(InvalidQuoting, match=name) as refused:
            QuotingParams(**{name: value})
        assert refused.value.rule == rule
        assert repr(value) in str(refused.value) or rule == "skew"


def test_the_skew_of_one_order_stays_below_two() -> None:
    """The product rule, at its threshold from either factor."""
    assert QuotingParams(skew_factor_ppm=2_000_000, order_size_ppm=999_999).order_size_ppm == 999_999
    with pytest.raises(InvalidQuoting, match="skew_factor_ppm 2000000 and order_size_ppm 1000000") as refused:
        QuotingParams(skew_factor_ppm=2_000_000, order_size_ppm=1_000_000)
    assert refused.value.rule == "skew"


def test_the_first_broken_rule_is_named_in_the_chains_order() -> None:
    broken: dict[str, Any] = {
        "layers": 256,
        "spread_min_ppm": 0,
        "order_size_ppm": 0,
        "expiry_s": 0,
        "activation": -1,
        "skew_factor_ppm": 10**9,
    }
    found = []
    while broken:
        with pytest.raises(InvalidQuoting) as refused:
            QuotingParams(**({"order_size_ppm": 999_999} | broken))
        found.append(refused.value.rule)
        del broken[next(iter(broken))]
    assert found == ["layers", "spread_min", "order_size", "expiry", "activation", "skew"]


def test_a_vaults_own_parameters_come_before_the_default() -> None:
    own, default = QuotingParams(layers=1), QuotingParams()
    assert effective_params(own, default) is own
    assert effective_params(None, default) is default


# -- rounding and units ---------------------------------------------------------------------------------------------------

whole = st.integers(-(10**24), 10**24)


@law
@given(whole, st.integers(1, 10**9), st.sampled_from(Rounding))
def test_law_a_multiple_is_the_rounded_ratio_times_the_step(value: int, step: int, rounding: Rounding) -> None:
    assert to_multiple(value, step, rounding) == rounded(Fraction(value, step), rounding) * step


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_is_above_zero(step: int) -> None:
    with pytest.raises(InvalidAmount):
        to_multiple(1, step, Rounding.FLOOR)


@pytest.mark.parametrize(
    ("value", "least", "most", "found"), [(4, 5, 3, 5), (5, 5, 3, 3), (0, 1, 9, 1), (1, 1, 9, 1), (9, 1, 9, 9), (10, 1, 9, 9)]
)
def test_the_lower_bound_is_looked_at_first(value: int, least: int, most: int, found: int) -> None:
    assert clamp(value, least, most) == found


worths = st.fractions(min_value=Fraction(1, 10**12), max_value=10**12)


@law
@given(whole, worths)
def test_law_units_turn_into_money_and_back_toward_zero(units: int, worth: Fraction) -> None:
    assert base_to_quote(units, worth) == math.trunc(units * worth)
    assert quote_to_base(units, worth) == math.trunc(Fraction(units) / worth)
    assert abs(base_to_quote(quote_to_base(units, worth), worth)) <= abs(units)


@pytest.mark.parametrize("worth", [0, Fraction(0), Fraction(-1), 1.5, math.nan, "1", True])
def test_nothing_is_bought_with_a_worth_that_is_none(worth: Any) -> None:
    with pytest.raises(InvalidQuoting) as refused:
        quote_to_base(1, worth)
    assert refused.value.rule == "price"


def test_an_oracle_price_in_the_units_of_a_book() -> None:
    """29,001 USDC a coin at exponent -5: one quantum of 10^-10 coins is worth 2.9001 quote quanta, and as many subticks / 10^8."""
    price, exponent = 2_900_100_000, -5
    assert unit_worth(price, exponent, -10) == Fraction(29_001, 10_000)
    assert subticks(price, exponent, -8, -10) == 290_010_000
    assert subticks(1_200_000_000, -6, -9, -18) == Fraction(6, 5)  # what does not divide is kept


def test_leverage_is_truncated_notional_over_equity() -> None:
    assert leverage(-3, Fraction(1, 2), 7) == Fraction(-1, 7)
    assert leverage(0, Fraction(1), 1) == 0
    for equity in (0, -1, 1.0, True):
        with pytest.raises(InvalidQuoting, match="equity") as refused:
            leverage(1, Fraction(1), equity)  # type: ignore[arg-type]
        assert refused.value.rule == "equity"


# -- spread, skew, ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "spread"), [(0, 3_000), (1_499, 3_000), (1_500, 3_000), (1_501, 3_001), (9_000, 10_500)])
def test_the_spread_keeps_the_buffer_above_the_least_change(change: int, spread: int) -> None:
    assert spread_ppm(QuotingParams(spread_min_ppm=3_000, spread_buffer_ppm=1_500), change) == spread


@pytest.mark.parametrize("change", [-1, 1.0, True, "1", None])
def test_a_least_change_is_whole_and_not_below_zero(change: Any) -> None:
    with pytest.raises(InvalidQuoting):
        spread_ppm(QuotingParams(), change)


@pytest.mark.parametrize(
    ("lever", "layer", "ask", "bid"),
    [
        (Fraction(0), 0, 0, 0),
        (Fraction(0), 1, 200_000, -440_000),  # flat: x is -0.2 for the ask and 0.2 for the bid, of which only the bid is squared
        (Fraction(1, 2), 0, -1_000_000, -3_000_000),
        (Fraction(1, 2), 1, -800_000, -3_840_000),
        (Fraction(-1, 2), 0, 3_000_000, 1_000_000),
        (Fraction(-1, 2), 1, 3_840_000, 800_000),
        (Fraction(1, 10), 2, 200_000, -1_560_000),  # the deeper ask has turned its sign and keeps its rule
        (Fraction(-1, 10**7), 0, 0, 0),  # rounds up to flat: the long rules
        (Fraction(-1, 10**7), 1, 200_000, -440_000),
        (Fraction(-1, 10**6), 1, 440_005, -199_998),
    ],
)
def test_skews_of_the_default_parameters(lever: Fraction, layer: int, ask: int, bid: int) -> None:
    params = QuotingParams()
    assert skew_ppm(params, lever, layer, sells=True) == ask
    assert skew_ppm(params, lever, layer, sells=False) == bid


def test_the_factor_times_the_leverage_is_rounded_up() -> None:
    """Half a ppm of skew, of either sign: 1 and 0, and of their squares the rest is rounded up too."""
    params = QuotingParams(skew_factor_ppm=500_000)
    assert [skew_ppm(params, Fraction(1, PPM), 0, sells=sells) for sells in (True, False)] == [-1, -3]
    assert [skew_ppm(params, Fraction(-1, PPM), 0, sells=sells) for sells in (True, False)] == [0, 0]
    assert [skew_ppm(params, Fraction(-3, PPM), 0, sells=sells) for sells in (True, False)] == [3, 1]


def test_a_client_id_holds_side_and_layer_and_flips() -> None:
    assert client_ids(2) == (1 << 31, 0, 1 << 31 | 1 << 23, 1 << 23)
    assert client_id(255, sells=True) == 4_286_578_688
    assert flipped(flipped(1 << 31)) == 1 << 31 != flipped(1 << 31)
    for layer in (-1, 256, True, 1.0):
        with pytest.raises(InvalidQuoting, match="layer"):
            client_id(layer, sells=True)  # type: ignore[arg-type]


@law
@given(st.integers(0, 255))
def test_law_no_two_numbers_are_the_same_flipped_or_not(layers: int) -> None:
    ids = client_ids(layers)
    assert len({*ids, *map(flipped, ids)}) == 4 * layers
    assert all(0 <= one < 2**32 for one in map(flipped, ids))


# -- what stands ------------------------------------------------------------------------------------------------------------


@st.composite
def parameters(draw: st.DrawFn) -> QuotingParams:
    size = draw(st.integers(1, 2 * PPM))
    return QuotingParams(
        layers=draw(st.integers(0, 6)),
        spread_min_ppm=draw(st.integers(1, PPM)),
        spread_buffer_ppm=draw(st.integers(0, 100_000)),
        skew_factor_ppm=draw(st.integers(0, min(10 * PPM, (2 * PPM * PPM - 1) // size))),
        order_size_ppm=size,
        expiry_s=draw(st.integers(1, 10**6)),
    )


levers = st.fractions(min_value=-20, max_value=20, max_denominator=10**9)


@st.composite
def markets(draw: st.DrawFn) -> dict[str, Any]:
    """A book and an account: price, its worth, steps, and equity."""
    return {
        "price": draw(st.fractions(min_value=Fraction(1, 100), max_value=10**12, max_denominator=10**6)),
        "worth": draw(st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6)),
        "tick": draw(st.integers(1, 10**4)),
        "step": draw(st.integers(1, 10**6)),
        "equity": draw(st.integers(1, 10**15)),
        "now": draw(st.integers(0, 2 * 10**18)),
        "min_price_change_ppm": draw(st.integers(0, 10**5)),
    }


def listed(params: QuotingParams, market: Mapping[str, Any], lever: Fraction = Fraction(0), **more: Any) -> tuple[LayerOrder, ...]:
    return quotes(params, **({"leverage": lever, "inventory": 0} | dict(market) | more))


def sides(orders: tuple[LayerOrder, ...]) -> tuple[list[LayerOrder], list[LayerOrder]]:
    return [one for one in orders if one.sells], [one for one in orders if not one.sells]


@law
@given(parameters(), markets(), levers)
def test_law_every_quote_lies_on_the_steps_and_within_the_bounds(params: QuotingParams, market: dict[str, Any], lever: Fraction) -> None:
    most = 10**13
    orders = listed(params, market, lever, most_price=most)
    assert len(orders) in (0, 2 * params.layers)
    assert [one.id for one in orders] == list(client_ids(params.layers))[: len(orders)]
    for order in orders:
        assert order.price % market["tick"] == 0
        assert market["tick"] <= order.price <= most
        assert order.size > 0
        assert order.size % market["step"] == 0
        assert base_to_quote(order.size, market["worth"]) <= market["equity"] * params.order_size_ppm // PPM
        assert order.good_til % SECOND == 0
        assert 0 <= market["now"] + params.expiry_s * SECOND - order.good_til < SECOND
        assert order.id == client_id(order.layer, sells=order.sells)


@law
@given(parameters(), markets())
def test_law_flat_quotes_stand_off_the_price_and_deeper_ones_further(params: QuotingParams, market: dict[str, Any]) -> None:
    asks, bids = sides(listed(params, market))
    spread = spread_ppm(params, market["min_price_change_ppm"])
    for ask in asks:
        assert ask.price >= market["price"] * (PPM + spread) / PPM
        assert ask.post_only
    for bid in bids:
        assert bid.price <= max(market["tick"], market["price"] * (PPM - spread) / PPM)
        assert bid.post_only
    assert [one.price for one in asks] == sorted(one.price for one in asks)
    assert [one.price for one in bids] == sorted((one.price for one in bids), reverse=True)


@law
@given(parameters(), markets(), levers)
def test_law_asks_stand_above_bids_whatever_the_leverage(params: QuotingParams, market: dict[str, Any], lever: Fraction) -> None:
    """But for a bid that would be below the least price, which is one tick."""
    asks, bids = sides(listed(params, market, lever))
    assert all(ask.price > bid.price or bid.price == market["tick"] for ask in asks for bid in bids)


@law
@given(parameters(), markets(), levers, levers)
@example(
    QuotingParams(),
    {"price": Fraction(10**6), "worth": Fraction(1), "tick": 1, "step": 1, "equity": 10**9, "now": 0},
    Fraction(0),
    Fraction(-1, 10**6),
)
def test_law_more_inventory_moves_every_quote_down(params: QuotingParams, market: dict[str, Any], one: Fraction, other: Fraction) -> None:
    """Monotone in the leverage, for both sides and every layer: so quotes always move against what is held."""
    less, more = sorted((one, other))
    for high, low in zip(listed(params, market, less), listed(params, market, more), strict=True):
        assert low.price <= high.price


@law
@given(parameters(), markets(), levers)
def test_law_what_grows_the_position_is_post_only_and_nothing_else(params: QuotingParams, market: dict[str, Any], lever: Fraction) -> None:
    for order in listed(params, market, lever):
        assert order.post_only is ((outset_ppm(lever) <= 0) if order.sells else (outset_ppm(lever) >= 0))


@law
@given(parameters(), st.integers(-20, 20), st.integers(0, 6))
def test_law_skews_are_the_formulas_where_nothing_is_rounded(params: QuotingParams, lever: int, layer: int) -> None:
    params = evolve(params, skew_factor_ppm=params.skew_factor_ppm // PPM * PPM)
    s, size = params.skew_factor_ppm // PPM, Fraction(params.order_size_ppm, PPM)
    x, y = s * (lever - layer * size), s * (lever + layer * size)
    ask = (x - 1) ** 2 - 1 if lever < 0 else -x
    bid = -y if lever < 0 else -((y + 1) ** 2 - 1)
    assert skew_ppm(params, Fraction(lever), layer, sells=True) == math.ceil(ask * PPM)
    assert skew_ppm(params, Fraction(lever), layer, sells=False) == math.floor(bid * PPM)


@law
@given(parameters(), markets(), st.integers(-(10**15), 10**15))
def test_law_close_only_never_quotes_more_than_there_is_to_close(params: QuotingParams, market: dict[str, Any], inventory: int) -> None:
    lever = leverage(inventory, market["worth"], market["equity"])
    orders = listed(params, market, lever, inventory=inventory, stance=Stance.CLOSE_ONLY)
    both = listed(params, market, lever, inventory=inventory)
    assert sum(one.size for one in orders) <= abs(inventory)
    assert all(one.sells is (inventory > 0) and one.size > 0 and one.size % market["step"] == 0 for one in orders)
    by_id = {one.id: one for one in both}
    assert all(evolve(by_id[one.id], size=one.size) == one and one.size <= by_id[one.id].size for one in orders)
    assert all(one.size == by_id[one.id].size for one in orders[:-1])  # only the last one may be smaller
    if orders and len(orders) < params.layers:
        assert sum(one.size for one in orders) == to_multiple(abs(inventory), market["step"], Rounding.FLOOR)


PLAIN: dict[str, Any] = {"price": Fraction(10_000), "worth": Fraction(1), "tick": 10, "step": 10, "equity": 1_000_000, "now": NOW}


@pytest.mark.parametrize(
    ("inventory", "sizes"), [(9, []), (10, [10]), (99_999, [99_990]), (100_010, [100_000, 10]), (10**7, [100_000] * 2)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_close_only_on_both_sides_of_each_step(inventory: int, sizes: list[int], sign: int) -> None:
    lever = Fraction(sign * inventory, 10**6)
    orders = listed(QuotingParams(), PLAIN, lever, inventory=sign * inventory, stance=Stance.CLOSE_ONLY)
    assert [(one.sells, one.size) for one in orders] == [(sign > 0, size) for size in sizes]


@pytest.mark.parametrize("stance", [Stance.DEACTIVATED, Stance.STAND_BY])
def test_who_stands_by_quotes_nothing(stance: Stance) -> None:
    assert listed(QuotingParams(), PLAIN, Fraction(1), inventory=10**6, stance=stance) == ()


def test_close_only_with_no_leverage_quotes_nothing_though_a_unit_is_held() -> None:
    assert listed(QuotingParams(), PLAIN, Fraction(0), inventory=100, stance=Stance.CLOSE_ONLY) == ()
    assert len(listed(QuotingParams(), PLAIN, Fraction(1, 10**9), inventory=100, stance=Stance.CLOSE_ONLY)) == 1


@pytest.mark.parametrize(("equity", "size"), [(1_000_000, 100_000), (1_000_099, 100_000), (1_000_100, 100_010), (100, 10), (99, 0), (1, 0)])
def test_the_size_is_a_part_of_equity_on_the_step(equity: int, size: int) -> None:
    assert order_size(QuotingParams(), equity, Fraction(1), 10) == size
    assert {one.size for one in listed(QuotingParams(), PLAIN | {"equity": equity})} == ({size} if size else set())


def test_a_size_beyond_what_the_book_holds_is_refused() -> None:
    assert listed(QuotingParams(), PLAIN, most_size=100_000)
    with pytest.raises(InvalidQuoting, match="100000 base units: the book holds at most 99999") as refused:
        listed(QuotingParams(), PLAIN, most_size=99_999)
    assert refused.value.rule == "size"


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"price": Fraction(0), "equity": 0}, "price"),  # the price is looked at first
        ({"price": -1}, "price"),
        ({"price": 1.5}, "price"),
        ({"price": math.nan}, "price"),
        ({"price": True}, "price"),
        ({"worth": Fraction(0)}, "price"),
        ({"equity": 0}, "equity"),
        ({"equity": -1}, "equity"),
        ({"equity": math.inf}, "equity"),
        ({"leverage": 0.5}, "leverage"),
        ({"equity": Fraction(3, 2)}, "equity"),
        ({"most_price": 9}, "price"),
        ({"inventory": "1"}, "size"),
        ({"tick": 0}, "size"),
        ({"step": -1}, "size"),
        ({"min_price_change_ppm": -1}, "price"),
    ],
)
def test_what_cannot_be_quoted_with(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidQuoting) as refused:
        listed(QuotingParams(), PLAIN | given)
    assert refused.value.rule == rule


@pytest.mark.parametrize(("spread", "bid"), [(998_000, 20), (998_999, 10), (999_001, 10), (1_000_000, 10), (5_000_000, 10)])
def test_a_bid_stands_at_one_tick_at_least(spread: int, bid: int) -> None:
    orders = listed(QuotingParams(layers=1, spread_min_ppm=spread), PLAIN)
    assert orders[1].price == bid


@pytest.mark.parametrize(("most", "ask"), [(10_099, 10_090), (10_100, 10_100), (10_110, 10_100), (10, 10)])
def test_an_ask_stands_at_the_highest_tick_that_the_book_holds(most: int, ask: int) -> None:
    assert listed(QuotingParams(layers=1), PLAIN, most_price=most)[0].price == ask


# -- room --------------------------------------------------------------------------------------------------------------------


@law
@given(st.lists(st.integers(1, 50), max_size=5), st.integers(-5, 200), st.integers(1, 10))
def test_law_what_is_capped_takes_its_room_in_order(lots: list[int], room: int, step: int) -> None:
    orders = [LayerOrder(n, True, n, 10, n_lots * step, True, 0) for n, n_lots in enumerate(lots)]
    kept = capped(orders, room, step)
    usable = max(0, room) // step * step
    assert sum(one.size for one in kept) == min(usable, sum(one.size for one in orders))
    assert all(a.id == b.id and 0 < b.size <= a.size for a, b in zip(orders, kept, strict=False))
    assert all(a == b for a, b in zip(orders, kept[:-1], strict=False))


# -- refresh -----------------------------------------------------------------------------------------------------------------

PLACES = client_ids(3)


@st.composite
def lists(draw: st.DrawFn) -> list[LayerOrder | None]:
    """What should stand at each place of three layers; None for nothing."""
    orders: list[LayerOrder | None] = []
    for place in PLACES:
        terms = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
        sells, layer = bool(place >> 31), place >> 23 & 255
        orders.append(None if terms is None else LayerOrder(place, sells, layer, *terms, draw(st.booleans()), draw(st.integers(0, 9))))
    return orders


def applied(book: Mapping[int, LayerOrder], changes: tuple[Change, ...]) -> dict[int, LayerOrder]:
    """A book after the changes; whatever an exchange would refuse is an error here."""
    after = dict(book)
    for change in changes:
        if change.cancel is not None:
            del after[change.cancel]
        if change.place is not None:
            assert change.place.id not in after
            assert change.place.id == change.id
            after[change.place.id] = change.place
    return after


@law
@given(st.lists(st.tuples(lists(), st.sets(st.sampled_from(PLACES))), max_size=6))
def test_law_after_a_refresh_exactly_what_should_stands_once(rounds: list[tuple[list[LayerOrder | None], set[int]]]) -> None:
    """Over any rounds in which quotes are filled or run out in between: one live order for each place, under either number."""
    book: dict[int, LayerOrder] = {}
    ids: list[int | None] = []
    for wanted, gone in rounds:
        book = {number: order for number, order in book.items() if number & ~1 not in gone}
        before = dict(book)
        changes = refresh(ids, {number: order.terms for number, order in book.items()}, wanted)
        book, ids = applied(book, changes), [one.id for one in changes[: len(wanted)]]
        assert sorted(number & ~1 for number in book) == sorted(one.id for one in wanted if one is not None)
        assert {number & ~1: order.terms for number, order in book.items()} == {one.id: one.terms for one in wanted if one is not None}
        for number, order in book.items():
            assert (before.get(number) is order) or flipped(number) in before or number not in before  # kept, or under a fresh number
        again = refresh(ids, {number: order.terms for number, order in book.items()}, wanted)
        assert all(one.cancel is None and one.place is None for one in again)
        assert [one.id for one in again] == ids


def order(number: int, price: int = 10, size: int = 10, good_til: int = 60) -> LayerOrder:
    return LayerOrder(number & ~1, bool(number >> 31), number >> 23 & 255, price, size, True, good_til)


ASK, BID = client_ids(1)


@pytest.mark.parametrize(
    ("old", "live", "new", "changes"),
    [
        ([], {}, [order(ASK)], [Change(ASK, None, order(ASK))]),
        ([ASK], {ASK: order(ASK)}, [order(ASK)], [Change(ASK)]),
        ([ASK], {ASK: order(ASK)}, [order(ASK, good_til=99)], [Change(ASK)]),
        ([ASK], {ASK: order(ASK)}, [order(ASK, price=11)], [Change(ASK ^ 1, ASK, evolve(order(ASK, price=11), id=ASK ^ 1))]),
        ([ASK], {ASK: order(ASK)}, [order(ASK, size=9)], [Change(ASK ^ 1, ASK, evolve(order(ASK, size=9), id=ASK ^ 1))]),
        ([ASK ^ 1], {ASK ^ 1: order(ASK)}, [order(ASK, size=9)], [Change(ASK, ASK ^ 1, order(ASK, size=9))]),
        ([ASK], {}, [order(ASK)], [Change(ASK ^ 1, None, evolve(order(ASK), id=ASK ^ 1))]),
        ([ASK], {ASK: order(ASK)}, [order(BID)], [Change(ASK ^ 1, ASK, evolve(order(BID), id=ASK ^ 1))]),  # a side is not kept
        ([ASK, BID], {ASK: order(ASK), BID: order(BID)}, [order(ASK)], [Change(ASK), Change(None, BID)]),
        ([ASK, BID], {ASK: order(ASK)}, [order(ASK)], [Change(ASK)]),
        ([ASK, BID], {ASK: order(ASK), BID: order(BID)}, [None, order(BID)], [Change(ASK, ASK), Change(BID)]),
        ([ASK, None], {}, [None, None], [Change(ASK), Change(None)]),
        ([None], {}, [order(BID)], [Change(BID, None, order(BID))]),
    ],
)
def test_what_becomes_of_each_place(
    old: list[int | None], live: dict[int, LayerOrder], new: list[LayerOrder | None], changes: list[Change]
) -> None:
    assert list(refresh(old, {number: one.terms for number, one in live.items()}, new)) == changes


def test_what_is_near_enough_is_for_the_caller_to_say() -> None:
    def near(stands: Resting, wanted: Resting) -> bool:
        return abs(stands.price - wanted.price) <= 1

    live = {ASK: order(ASK).terms}
    assert refresh([ASK], live, [order(ASK, price=11)], near) == (Change(ASK),)
    assert refresh([ASK], live, [order(ASK, price=12)], near)[0].cancel == ASK


# -- withdrawals --------------------------------------------------------------------------------------------------------------

factors = st.integers(0, 10 * PPM)
positive = st.fractions(min_value=0, max_value=50, max_denominator=10**6)


@law
@given(factors, positive, positive)
def test_law_the_antiderivative_grows_by_the_skew_between(factor: int, one: Fraction, other: Fraction) -> None:
    """Its derivative is (s l + 1)^2 - 1, which rises: what it grows by lies between the skews at both ends, times the way."""
    low, high = sorted((one, other))
    s = Fraction(factor, PPM)
    grown = skew_antiderivative(factor, high) - skew_antiderivative(factor, low)
    assert ((s * low + 1) ** 2 - 1) * (high - low) <= grown <= ((s * high + 1) ** 2 - 1) * (high - low)


@law
@given(factors, st.integers(-30, 30))
def test_law_the_antiderivative_is_that_of_the_skew_by_parts(factor: int, lever: int) -> None:
    """Simpson's rule is exact for a square."""
    s = Fraction(factor, PPM)

    def skew(z: Fraction) -> Fraction:
        return (s * z + 1) ** 2 - 1

    exact = Fraction(lever, 6) * (skew(Fraction(0)) + 4 * skew(Fraction(lever, 2)) + skew(Fraction(lever)))
    assert skew_antiderivative(factor, Fraction(lever)) == exact


@st.composite
def withdrawals(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(st.integers(1, 10**12))
    return draw(st.integers(1, total)), total


@law
@given(levers, withdrawals(), st.integers(1, PPM), parameters(), st.integers(0, 10**5))
def test_law_slippage_lies_between_none_and_the_margin(
    lever: Fraction, shares: tuple[int, int], margin: int, params: QuotingParams, change: int
) -> None:
    slippage = withdrawal_slippage(lever, *shares, margin, params, change)
    simple = abs(lever) * Fraction(margin, PPM)
    assert 0 <= slippage <= simple
    assert (slippage == 0) is (lever == 0)
    assert slippage == withdrawal_slippage(-lever, *shares, margin, params, change)
    assert withdrawal_slippage(lever, shares[1], shares[1], margin, params, change) == simple
    least = abs(lever) * Fraction(spread_ppm(params, change), PPM)
    assert slippage >= min(simple, least)  # never less than the spread on what has to be closed


@law
@given(levers, withdrawals(), withdrawals(), st.integers(1, PPM), parameters())
def test_law_who_withdraws_more_pays_no_smaller_part(
    lever: Fraction, one: tuple[int, int], other: tuple[int, int], margin: int, params: QuotingParams
) -> None:
    assume(one != other)
    less, more = sorted((one, other), key=lambda pair: Fraction(*pair))
    assert withdrawal_slippage(lever, *less, margin, params, 0) <= withdrawal_slippage(lever, *more, margin, params, 0)


@law
@given(st.fractions(min_value=Fraction(1, 100), max_value=9, max_denominator=1000), withdrawals(), parameters())
def test_law_slippage_is_the_spread_with_the_average_skew_on_the_way(
    lever: Fraction, shares: tuple[int, int], params: QuotingParams
) -> None:
    m, n = shares
    assume(m < n)
    after = lever * Fraction(n, n - m)
    factor = params.skew_factor_ppm
    average = (skew_antiderivative(factor, after) - skew_antiderivative(factor, lever)) / (after - lever)
    expected = Fraction(spread_ppm(params, 0), PPM) * (1 + average) * lever
    assert withdrawal_slippage(lever, m, n, 10**30, params, 0) == expected


@pytest.mark.parametrize(
    ("shares", "total"), [(0, 100), (-1, 100), (101, 100), (1, 0), (0, 0), (1.0, 100), (True, 100), (1, "100"), (1, math.inf)]
)
def test_shares_that_cannot_be_withdrawn(shares: Any, total: Any) -> None:
    with pytest.raises(InvalidQuoting, match="shares") as refused:
        withdrawal_slippage(Fraction(1), shares, total, 50_000, QuotingParams(), 0)
    assert refused.value.rule == "shares"


@pytest.mark.parametrize(("shares", "total"), [(1, 1), (1, 100), (100, 100)])
def test_shares_that_can(shares: int, total: int) -> None:
    check_shares(shares, total)
