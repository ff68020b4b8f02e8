"""Coins bought on one market and sold on another, and one coin for another: to the unit, and nothing made by a swap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import FLASH, SOL, USDC, Asset, Instrument, Place, Side
from sleeves.booking import released_cost
from sleeves.ledger import Account, Role
from sleeves.money import Amount, Rounding
from sleeves.orders import Fill, Liquidity
from sleeves.sim.past import flows_of
from sleeves.swaps import Kept, cross, sale
from strategies import law
from test_bundles import OTHER, SPOT, House

LST = Asset("LST", 9)
HERE = Instrument("SOL-A/USDC", base=SOL, quote=USDC, tick="0.000001", lot="0.000000001")
TOKEN = Instrument("LST/SOL", base=LST, quote=SOL, tick="0.000001", lot="0.000000001")


def made(entry, market=HERE, asset=USDC):
    return -sum(p.units for p in entry.postings if p.account.role is Role.PNL)


def moves(entry, role, of, asset):
    return sum(p.units for p in entry.postings if p.account == Account("a", role, of) and p.asset == asset)


def fill_of(market, side, qty, cost, fee):
    price = max(1, market.cost(1, 1, Rounding.CEIL) and cost * 10**9 // qty)
    return Fill("a-1", 7, market, side, qty, price, cost, fee, Liquidity.TAKER, "t", "v")


def test_a_sale_takes_its_own_market_first_and_then_the_others_at_average_cost():
    """2 of its own for 300, 3 elsewhere for 480; 4 sold at 170: 340 - 300 on its own, 340 - 320 on the others."""
    fill = fill_of(HERE, Side.SELL, SOL("4").units, USDC("680").units, USDC("0.68"))
    own, other = Kept("SOL-A/USDC", SOL("2").units, USDC("300").units), Kept("SOL-B/USDC", SOL("3").units, USDC("480").units)
    entry = sale("a", fill, held=SOL("4").units, own=own, others=[other], by="v")
    assert made(entry) == USDC("60").units
    assert moves(entry, Role.TRADING, "SOL-A/USDC", SOL) == SOL("2").units
    assert moves(entry, Role.TRADING, "SOL-B/USDC", SOL) == SOL("2").units
    assert moves(entry, Role.TRADING, "SOL-B/USDC", USDC) == -USDC("320").units
    assert moves(entry, Role.FREE, "", USDC) == USDC("679.32").units
    assert moves(entry, Role.FEES, "SOL-A/USDC", USDC) == USDC("0.68").units


def test_what_nobody_has_leaves_the_market_it_was_sold_on_below_zero():
    fill = fill_of(HERE, Side.SELL, SOL("4").units, USDC("600").units, USDC("0"))
    other = Kept("SOL-B/USDC", SOL("3").units, USDC("450").units)
    entry = sale("a", fill, held=SOL("4").units, own=Kept("SOL-A/USDC", 0, 0), others=[other], by="v")
    assert moves(entry, Role.TRADING, "SOL-A/USDC", SOL) == SOL("1").units
    assert moves(entry, Role.TRADING, "SOL-A/USDC", USDC) == -USDC("150").units
    assert made(entry) == 0


coins = st.integers(1, 10**12)


@law
@given(
    st.integers(0, 10**12), st.integers(0, 10**12), st.lists(st.tuples(coins, st.integers(0, 10**12)), min_size=1, max_size=3),
    st.integers(1, 100), st.integers(1, 10**12), st.integers(0, 10**6), st.sampled_from(["quote", "base", "third"]),
)  # fmt: skip
def test_a_sale_balances_and_makes_what_it_brought_less_what_left_had_cost(own, own_cost, others, part, brought, fee, taken_in):
    kept = [Kept(f"M{n}", qty, cost) for n, (qty, cost) in enumerate(others)]
    first = Kept("SOL-A/USDC", own, own_cost if own else 0)
    everything = own + sum(one.qty for one in kept)
    qty = max(1, everything * part // 100)
    fee_of = {"quote": Amount(fee, USDC), "base": Amount(min(fee, everything - qty), SOL), "third": Amount(fee, LST)}[taken_in]
    fill = fill_of(HERE, Side.SELL, qty, brought, fee_of)
    entry = sale("a", fill, held=qty, own=first, others=kept, by="v")  # an entry that does not balance cannot be made
    gone = qty + (fee_of.units if taken_in == "base" else 0)
    left = 0
    for one in (first, *kept):
        away = moves(entry, Role.TRADING, one.symbol, SOL)
        assert 0 <= away <= one.qty
        gone -= away
        assert -moves(entry, Role.TRADING, one.symbol, USDC) == (released_cost(one.cost, one.qty, away) if away else 0)
        left -= moves(entry, Role.TRADING, one.symbol, USDC)
    assert gone == 0
    fees = moves(entry, Role.FEES, "SOL-A/USDC", USDC)
    assert made(entry) == brought + (fees if taken_in == "base" else 0) - left


@law
@given(
    st.sampled_from(Side), st.lists(st.tuples(coins, st.integers(0, 10**12)), max_size=3),
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), coins, coins, st.integers(0, 10**6),
    st.sampled_from(["quote", "base", "third"]),
)  # fmt: skip
def test_one_coin_for_another_makes_nothing_and_carries_the_cost_over(side, out, into, qty, cost, fee, taken_in):
    goes, comes = (SOL, LST) if side is Side.BUY else (LST, SOL)
    kept = [Kept(f"M{n}", units, paid) for n, (units, paid) in enumerate(out)] or [Kept("M0", 0, 0)]
    fee_of = {"quote": Amount(min(fee, cost - 1), SOL), "base": Amount(min(fee, qty - 1), LST), "third": Amount(fee, USDC)}[taken_in]
    fill = fill_of(TOKEN, side, qty, cost, fee_of)
    home = Kept("HOME", into[0], into[1] if into[0] else 0)
    held = cost if side is Side.BUY else qty
    entry = cross("a", fill, USDC, held=held, out=kept, into=home, by="v")
    assert made(entry) == 0
    released = -sum(moves(entry, Role.TRADING, one.symbol, USDC) for one in kept)
    fees = moves(entry, Role.FEES, "LST/SOL", USDC) - (fee_of.units if taken_in == "third" else 0)
    assert moves(entry, Role.TRADING, "HOME", USDC) == released - fees
    assert 0 <= fees <= released
    away = sum(moves(entry, Role.TRADING, one.symbol, goes) for one in kept)
    due = (cost if side is Side.BUY else qty) + (fee_of.units if fee_of.asset == goes else 0)
    assert away == due
    assert -moves(entry, Role.TRADING, "HOME", comes) == (qty if side is Side.BUY else cost) - (
        fee_of.units if fee_of.asset == comes else 0
    )


def test_a_round_through_two_coins_makes_what_came_back_less_what_went_in():
    """1,000 USDC to 6.6 SOL to 6 LST to 1,003 USDC, all through the real books, in `test_bundle_laws` and here by hand."""
    bought = Kept("SOL-A/USDC", SOL("6.6").units, USDC("1000").units)
    swap = fill_of(TOKEN, Side.BUY, LST("6").units, SOL("6.6").units, SOL.zero)
    entry = cross("a", swap, USDC, held=SOL("6.6").units, out=[bought], into=Kept("LST/USDC", 0, 0), by="v")
    assert moves(entry, Role.TRADING, "LST/USDC", USDC) == USDC("1000").units


@pytest.mark.parametrize("side", Side)
def test_coins_that_are_not_there_leave_their_market_below_zero_and_cost_nothing(side):
    fill = fill_of(TOKEN, side, LST("1").units, SOL("1.1").units, SOL.zero)
    entry = cross("a", fill, USDC, held=0, out=[Kept("M0", 0, 0)], into=Kept("HOME", 0, 0), by="v")
    assert moves(entry, Role.TRADING, "M0", SOL if side is Side.BUY else LST) == (SOL("1.1") if side is Side.BUY else LST("1")).units
    assert not [p for p in entry.postings if p.asset == USDC]


def test_a_trade_by_hand_that_sold_coins_bought_elsewhere_is_adopted_as_what_it_was():
    """4 SOL bought on one market for 600, sold by hand on another for 640: 40 are made, and swept."""
    h = House(policy=FLASH)
    h.fill(h.wish(Place(SPOT, Side.BUY, SPOT.qty("4"))))
    by_hand = Fill("by-hand", h.now, OTHER, Side.SELL, OTHER.qty("4"), 16_000, USDC("640").units, USDC.zero, Liquidity.TAKER, "m1", "v")
    h.desk.step(by_hand)
    h.desk.reconcile({"USDC": USDC("20040")}, flows_of([by_hand]))
    h.desk.adopt(by_hand, h.sleeve, by="ann", why="mine")
    assert h.sleeve.is_flat()
    assert (h.sleeve.realized, h.sleeve.returned) == (USDC("40"), USDC("40"))
    assert h.desk.check({"USDC": USDC("20040")}, deep=True).holds
