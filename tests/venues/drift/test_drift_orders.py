"""From an order to what the program takes: exact, never beyond what was said, and refused where it would be cut, rounded or dropped."""

from __future__ import annotations

import pytest
from attrs import evolve
from drift_views import BASE, INSTRUMENT, held, perp, resting, state, user
from hypothesis import given
from hypothesis import strategies as st

from sleeves.orders import Order, Place, Side, TimeInForce
from sleeves.orders import OrderStatus as Status
from sleeves.venues.drift.instructions import OrderKind, PostOnly
from sleeves.venues.drift.orders import MOST_ORDERS, Ask, bound_of, lying, open_report, order_params, refusal
from sleeves.venues.drift.words import MarketStatus

NOW = 1_800_000_000 * 10**9
ASK = Ask(slippage_bps=50, auction_slots=20, last_s=60)
ORACLE = 150_000_000
"""150 dollars."""
BUY, SELL = Side.BUY, Side.SELL
LONG = user(1, perps=(held(base=2 * BASE),))
SHORT = user(1, perps=(held(base=-2 * BASE),))


def order(side=BUY, qty=BASE, *, worst=None, netted=False, **place):
    return Order("quiet-1", "quiet", Place(INSTRUMENT, side, qty, **place), NOW, worst, netted)


def why(one, market=None, account=None, now=NOW):
    return refusal(one, INSTRUMENT, market or perp(), account or user(1), now)


def params(one, oracle=ORACLE, market=None, ask=ASK):
    return order_params(one, INSTRUMENT, market or perp(), state(), oracle, ask, NOW)


# -- what is asked for --------------------------------------------------------------------------------------------------------


def test_at_market_is_an_auction_from_the_oracle_to_the_worst_price():
    found = params(order())
    assert (found.kind, found.long, found.base, found.market) == (OrderKind.MARKET, True, BASE, 0)
    assert (found.auction_start, found.auction_end, found.price) == (150_000_000, 150_750_000, 150_750_000)
    assert found.auction_duration == 20
    assert found.expires == NOW // 10**9 + 60
    assert not found.immediate, "the program refuses it in a transaction of its own"
    assert not found.reduce_only
    assert found.user_id == 0


def test_a_sale_at_market_goes_the_other_way():
    found = params(order(SELL))
    assert not found.long
    assert (found.auction_start, found.auction_end, found.price) == (150_000_000, 149_250_000, 149_250_000)


def test_the_money_that_is_held_bounds_an_order_at_market():
    assert params(order(worst=15_010)).price == 150_100_000
    assert params(order(worst=15_075)).price == 150_750_000
    assert params(order(worst=15_076)).price == 150_750_000, "the slippage is tighter"
    assert params(order(SELL, worst=14_990)).price == 149_900_000
    assert params(order(SELL, worst=14_000)).price == 149_250_000


def test_immediate_or_cancel_is_the_same_to_its_limit():
    found = params(order(limit=15_010, tif=TimeInForce.IOC))
    assert (found.kind, found.price, found.auction_end) == (OrderKind.MARKET, 150_100_000, 150_100_000)
    below = params(order(limit=14_900, tif=TimeInForce.IOC))
    assert below.auction_start == below.auction_end == below.price == 149_000_000


def test_a_limit_rests_at_its_price():
    found = params(order(limit=14_900))
    assert (found.kind, found.price, found.post_only, found.expires) == (OrderKind.LIMIT, 149_000_000, PostOnly.NONE, None)
    assert found.auction_duration is None
    assert found.auction_start is None
    assert params(order(limit=14_900, post_only=True)).post_only is PostOnly.MUST


def test_good_til_is_rounded_down_to_the_programs_seconds():
    assert params(order(limit=14_900, good_til=NOW + 90 * 10**9 + 999)).expires == NOW // 10**9 + 90


def test_the_auction_lasts_as_long_as_the_exchange_wants_at_least():
    assert params(order(), ask=Ask(50, 5, 60)).auction_duration == 10


def test_reduce_only_is_the_programs_where_the_venue_is_to_apply_it():
    assert params(order(SELL, reduce_only=True)).reduce_only
    assert not params(order(SELL, reduce_only=True, netted=True)).reduce_only, "a slice of a netted position is sized by the desk"


def test_a_limit_beyond_what_its_money_covers_is_refused():
    assert "beyond the worst price" in params(order(limit=15_100, worst=15_050))
    assert params(order(limit=15_100, worst=15_100)).price == 151_000_000


@given(
    side=st.sampled_from([BUY, SELL]),
    oracle=st.integers(10_000, 10**11),
    slippage=st.integers(0, 9_000),
    worst=st.none() | st.integers(1, 10**7),
    limit=st.none() | st.integers(1, 10**7),
)
def test_no_order_may_fill_beyond_any_of_its_bounds(side, oracle, slippage, worst, limit):
    tif = TimeInForce.GTC if limit is None else TimeInForce.IOC
    one, ask = order(side, limit=limit, worst=worst, tif=tif), Ask(slippage, 20, 60)
    found = params(one, oracle, ask=ask)
    if isinstance(found, str):
        assert "one tick" in found
        return
    for price in (limit, worst):
        if price is not None:
            assert (found.price - price * 10_000) * side.sign <= 0
    if limit is None:
        assert (found.price * 10_000 - oracle * (10_000 + side.sign * slippage)) * side.sign <= 0
    assert found.price % 10_000 == found.auction_start % 10_000 == 0
    assert (found.auction_end - found.auction_start) * side.sign >= 0
    assert found.auction_end == found.price == bound_of(one, INSTRUMENT, perp(), oracle, ask)


# -- what is refused -----------------------------------------------------------------------------------------------------------


def test_an_order_that_fits_passes():
    assert why(order()) == ""
    assert why(order(SELL, limit=15_000, post_only=True)) == ""


@pytest.mark.parametrize("terms", [{"stop": 14_000}, {"stop": 14_000, "limit": 13_900}, {"tif": TimeInForce.FOK}])
def test_what_the_program_cannot_keep_is_refused(terms):
    assert why(order(**terms))


@pytest.mark.parametrize(("qty", "said"), [(BASE + 1, "steps"), (BASE // 100 - 1, "steps"), (BASE // 100, "least"), (1 << 62, "steps")])
def test_a_size_that_the_program_would_change_is_refused(qty, said):
    assert said in why(order(qty=qty))


def test_the_least_size_is_taken_and_what_only_closes_may_be_smaller():
    assert why(order(qty=BASE // 10)) == ""
    assert "least" in why(order(qty=BASE // 10 - BASE // 100))
    assert why(order(SELL, qty=BASE // 100, reduce_only=True), account=LONG) == ""


def test_more_than_the_program_can_count_is_refused():
    assert "more than the program" in why(order(qty=(1 << 62) // BASE * BASE + BASE))


def test_a_price_between_two_ticks_is_refused():
    coarse = perp(tick=50_000)
    assert why(order(limit=15_005), coarse) == ""
    assert "tick" in why(order(limit=15_001), coarse)


def test_a_time_that_has_passed_is_refused_since_the_program_would_pass_over_the_order_in_silence():
    assert "passed" in why(order(limit=15_000, good_til=NOW))
    assert "passed" in why(order(limit=15_000, good_til=NOW + 10**9 - 1))
    assert why(order(limit=15_000, good_til=NOW + 10**9)) == ""


@pytest.mark.parametrize("status", [one for one in MarketStatus if one not in (MarketStatus.ACTIVE, MarketStatus.REDUCE_ONLY)])
def test_a_market_that_is_not_active_takes_nothing(status):
    assert status.value in why(order(), perp(status=status))


def test_a_reduce_only_market_and_sub_account_take_what_reduces():
    closes = order(SELL, reduce_only=True)
    for market, account in ((perp(status=MarketStatus.REDUCE_ONLY), LONG), (perp(), evolve(LONG, reduce_only=True))):
        assert why(closes, market, account) == ""
        assert "reduce only" in why(order(), market, account)


def test_what_only_reduces_needs_something_to_reduce():
    assert why(order(SELL, reduce_only=True), account=LONG) == ""
    assert "no position" in why(order(BUY, reduce_only=True), account=LONG)
    assert why(order(BUY, reduce_only=True), account=SHORT) == ""
    assert "no position" in why(order(SELL, reduce_only=True))


def test_a_sub_account_in_trouble_and_a_full_one_take_nothing():
    assert "liquidated" in why(order(), account=user(1, being_liquidated=True))
    assert "bankrupt" in why(order(), account=user(1, bankrupt=True))
    full = user(1, orders=tuple(resting(n) for n in range(MOST_ORDERS)))
    assert "no more fit" in why(order(), account=full)
    assert why(order(), account=evolve(full, orders=full.orders[1:])) == ""


# -- and back ------------------------------------------------------------------------------------------------------------------


def test_an_order_that_lies_there_is_found_by_its_number_and_reported():
    account = user(1, orders=(resting(7), resting(8, filled=BASE // 2)))
    one = lying(account, 8)
    assert lying(account, 9) is None
    report = open_report("quiet-1", 1, one, NOW)
    assert (report.order_id, report.status, report.filled, report.venue_id) == ("quiet-1", Status.OPEN, BASE // 2, "1/8")
