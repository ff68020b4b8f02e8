"""A wish that cannot be an order is not even a wish, and what a venue says moves an order only along the table."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket, SleevesError
from sleeves.market import Instrument, Kind
from sleeves.money import BTC, ETH, SOL, USD
from sleeves.orders import ORDER_TRANSITIONS, Fill, Liquidity, OrderStatus, Place, Side, TimeInForce
from strategies import hostile_text, law

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD)
ETHUSD = Instrument("ETH/USD", base=ETH, quote=USD)

S = OrderStatus


def place(**changes):
    terms = {"instrument": BTCUSD, "side": Side.BUY, "qty": 1} | changes
    return Place(**terms)


def fill(**changes):
    terms = {
        "order_id": "flash-1",
        "at": 1,
        "instrument": BTCUSD,
        "side": Side.BUY,
        "qty": 1,
        "price": 1,
        "cost": 1,
        "fee": USD("0"),
        "liquidity": Liquidity.TAKER,
        "trade_id": "t1",
        "venue": "sim",
    }
    return Fill(**(terms | changes))


# -- wishes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "reduce_only", "exits"),
    [
        ("spot", Side.BUY, False, False),
        ("spot", Side.SELL, False, True),
        ("perp", Side.BUY, False, False),
        ("perp", Side.SELL, False, False),
        ("perp", Side.BUY, True, True),
        ("perp", Side.SELL, True, True),
    ],
)
def test_a_sale_of_coins_and_what_only_reduces_exits(kind, side, reduce_only, exits):
    market = Instrument("BTC/USD", base=BTC, quote=USD, kind=Kind(kind))
    assert place(instrument=market, side=side, reduce_only=reduce_only).exits is exits


def test_a_wish_says_at_market_for_as_long_as_it_takes_unless_told_otherwise():
    wish = place()
    assert (wish.limit, wish.stop, wish.tif, wish.reduce_only, wish.post_only, wish.expect) == (
        None,
        None,
        TimeInForce.GTC,
        False,
        False,
        None,
    )


@pytest.mark.parametrize("side", ["buy", "sell", "BUY", "", None, 1, -1, True])
def test_a_side_is_buy_or_sell(side):
    with pytest.raises(InvalidMarket, match="side"):
        place(side=side)


NO_COUNT = [0, -1, 1.0, 0.5, math.nan, math.inf, "1", "", True, False, b"1"]


@pytest.mark.parametrize("qty", [*NO_COUNT, None], ids=repr)
def test_a_quantity_is_a_positive_whole_number(qty):
    assert place(qty=1).qty == 1
    with pytest.raises(InvalidMarket, match="quantity"):
        place(qty=qty)


@pytest.mark.parametrize("name", ["limit", "stop"])
@pytest.mark.parametrize("price", NO_COUNT, ids=repr)
def test_a_limit_and_a_stop_are_positive_whole_prices(name, price):
    assert getattr(place(**{name: 1}), name) == 1
    with pytest.raises(InvalidMarket, match=name):
        place(**{name: price})


def test_post_only_needs_a_limit():
    assert place(post_only=True, limit=1).post_only
    for prices in ({}, {"stop": 1}):
        with pytest.raises(InvalidMarket, match="post-only"):
            place(post_only=True, **prices)


def test_a_side_has_a_sign():
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


# -- the order table ---------------------------------------------------------------------------------------------------

ALLOWED = {
    (S.SUBMITTED, S.OPEN),
    (S.SUBMITTED, S.UNKNOWN),
    (S.OPEN, S.UNKNOWN),
    (S.UNKNOWN, S.OPEN),
    (S.UNKNOWN, S.FILLED),
    (S.UNKNOWN, S.CANCELED),
    (S.UNKNOWN, S.REJECTED),
    (S.SUBMITTED, S.FILLED),
    (S.SUBMITTED, S.CANCELED),
    (S.SUBMITTED, S.REJECTED),
    (S.OPEN, S.FILLED),
    (S.OPEN, S.CANCELED),
    (S.OPEN, S.REJECTED),
    (S.CANCELED, S.FILLED),
    (S.REJECTED, S.FILLED),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_which_status_may_follow_which(before, after):
    assert (after in ORDER_TRANSITIONS[before]) is ((before, after) in ALLOWED)


@pytest.mark.parametrize("status", [s for s in S if s.done])
def test_what_is_done_is_undone_by_a_fact_alone(status):
    assert ORDER_TRANSITIONS[status] <= {S.FILLED}


def test_filled_is_the_end():
    assert not ORDER_TRANSITIONS[S.FILLED]


def test_the_table_speaks_of_every_status():
    assert set(ORDER_TRANSITIONS) == set(S)
    assert {s for s in S if not s.done} == {S.SUBMITTED, S.UNKNOWN, S.OPEN}


@pytest.mark.parametrize("status", [s for s in S if s is not S.FILLED])
def test_a_fill_completes_an_order_from_everywhere(status):
    assert S.FILLED in ORDER_TRANSITIONS[status]


# -- fills -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qty", "price"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_fill_is_of_something_at_a_price(name, value):
    with pytest.raises(InvalidMarket, match="'t1'"):
        fill(**{name: value})


def test_a_fill_may_cost_nothing_but_not_less():
    assert fill(cost=0).cost == 0
    with pytest.raises(InvalidMarket, match="cost -1"):
        fill(cost=-1)


@pytest.mark.parametrize("name", ["qty", "price", "cost"])
@pytest.mark.parametrize("value", [1.5, math.nan, math.inf, "1", None, True], ids=repr)
def test_a_fill_counts_whole_units(name, value):
    """A fact goes straight into the ledger: no float, no NaN and no text gets that far."""
    with pytest.raises((SleevesError, TypeError)):
        fill(**{name: value})


@pytest.mark.parametrize("fee", [USD("-0.15"), BTC("0.0001"), SOL("0.1"), USD("0")], ids=repr)
def test_a_fee_may_be_a_rebate_and_in_any_asset(fee):
    assert fill(fee=fee).fee == fee


def test_the_same_fill_told_twice_has_one_key_and_is_equal():
    assert fill() == fill()
    assert fill().key == fill().key
    assert hash(fill()) == hash(fill())


@pytest.mark.parametrize(
    "change", [{"qty": 2}, {"price": 2}, {"cost": 2}, {"at": 2}, {"fee": USD("1")}, {"liquidity": Liquidity.MAKER}], ids=repr
)
def test_a_fill_told_with_other_content_has_the_same_key_and_is_not_equal(change):
    assert fill(**change).key == fill().key
    assert fill(**change) != fill()


@pytest.mark.parametrize("change", [{"venue": "kraken"}, {"instrument": ETHUSD}, {"trade_id": "t2"}, {"order_id": "flash-2"}], ids=repr)
def test_another_trade_has_another_key(change):
    assert fill(**change).key != fill().key


identity = st.tuples(hostile_text, st.sampled_from([BTCUSD, ETHUSD]), hostile_text, hostile_text)


@law
@given(identity, identity)
def test_two_trades_share_a_key_only_if_they_are_one(one, other):
    """Exactly once: a fact is told from another by venue, instrument, trade and order, whatever characters they hold."""
    keys = [fill(venue=v, instrument=i, trade_id=t, order_id=o).key for v, i, t, o in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("k", "1|a", "b"), ("k", "1", "a|b")),
        (("k|BTC/USD", "1", "a"), ("k", "BTC/USD|1", "a")),
    ],
)
def test_a_separator_inside_an_id_does_not_make_two_trades_one(one, other):
    keys = {fill(venue=venue, trade_id=trade, order_id=order).key for venue, trade, order in (one, other)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"good_til": 0, "limit": 10}, "good_til 0"),
        ({"good_til": -1, "limit": 10}, "good_til -1"),
        ({"good_til": 1.5, "limit": 10}, "good_til 1.5"),
        ({"good_til": True, "limit": 10}, "good_til True"),
        ({"good_til": 5}, "that rests"),
        ({"good_til": 5, "limit": 10, "tif": TimeInForce.IOC}, "not ioc"),
        ({"good_til": 5, "limit": 10, "tif": TimeInForce.FOK}, "not fok"),
        ({"limit": 10, "post_only": True, "tif": TimeInForce.IOC}, "post-only order"),
        ({"limit": 10, "post_only": True, "tif": TimeInForce.FOK}, "post-only order"),
        ({"tif": "fok"}, "TimeInForce"),
        ({"tag": 5}, "tag 5"),
        ({"tag": "x" * 65}, "64 characters"),
    ],
)
def test_what_is_no_wish_is_refused_with_the_value_and_the_rule(terms, says):
    with pytest.raises(InvalidMarket, match=says):
        Place(BTCUSD, Side.BUY, 1_000, **terms)


def test_a_wish_may_name_its_end_and_its_mark():
    wish = Place(BTCUSD, Side.BUY, 1_000, limit=10, good_til=1, tag="x" * 64)
    assert (wish.good_til, wish.tag) == (1, "x" * 64)
