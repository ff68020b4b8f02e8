"""Pools pay what independent figures say, never lose by rounding, and refuse what cannot be; sizing finds the peak.

The figures come from `amm_cases.json`, made with closed forms, scipy and cvxpy. The environment variable SLEEVES_CASES
names the folder that holds it; without it the tests that read it are skipped, and the inline figures remain.
`test_routing.py` has the others: routing_arbitrage_5_pools, routing_sell_400_sol and negative_log_cycle.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sleeves.amm import MAX_TICK, Concentrated, ConstantProduct, Outside, Range, Stable, Swap, sqrt_at_tick, sqrt_price
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.money import PPM
from sleeves.sizing import Chain, Hop, best_input, compose, split
from strategies import law

FINE = 18
"""Decimal places of both coins where a figure is real: enough that rounding is out of sight."""

ONE = 1 << 96
"""The square root of a price of 1."""


@cache
def cases(folder):
    return {one["name"]: one for one in json.loads((Path(folder) / "amm_cases.json").read_text())["cases"]}


def case(name):
    folder = os.environ.get("SLEEVES_CASES")
    if not folder:
        pytest.skip("SLEEVES_CASES is not set: it names the folder that holds amm_cases.json")
    found = cases(folder)[name]
    return found["inputs"], found["expect"], found["tol"]


def units(value, scale=FINE):
    return int(Decimal(repr(value)).scaleb(scale))


def coins(amount, scale=FINE):
    return float(Decimal(amount).scaleb(-scale))


def root(value):
    return int(Decimal(repr(value)) * ONE)


def fee_of(gamma):
    return round((1 - gamma) * PPM)


def product_hop(reserve_in, reserve_out, gamma):
    """A constant product pool that sells its base, out of [reserve_in, reserve_out, gamma]."""
    return Hop(ConstantProduct(units(reserve_in), units(reserve_out), fee_of(gamma)), sells=True)


# -- the cases -------------------------------------------------------------------------------------------------------------


def test_case_cp_exact_in():
    given, expect, tol = case("cp_exact_in")
    fee = given["fee_bps"] * 100
    pool = ConstantProduct(units(given["reserve_out"]), units(given["reserve_in"]), fee)
    swap = pool.buy_with(units(given["amount_in"]))
    assert coins(swap.got) == pytest.approx(expect["amount_out"], rel=tol)
    assert float(swap.pool.price()) == pytest.approx(expect["spot_after_gross"], rel=tol)
    whole = given["integer"]
    assert ConstantProduct(whole["reserve_out"], whole["reserve_in"], fee).buy_with(whole["amount_in"]).got == expect["integer_amount_out"]


@pytest.mark.parametrize("name", ["two_pool_arb", "triangle_arb"])
def test_case_arbitrage_over_a_cycle(name):
    given, expect, tol = case(name)
    found = best_input([product_hop(*hop) for hop in given["hops"]])
    assert coins(found.paid) == pytest.approx(expect["amount_in"], rel=tol)
    assert coins(found.gross) == pytest.approx(expect["profit"], rel=tol)
    assert found.pays


def test_case_two_pool_no_arb():
    given, expect, _ = case("two_pool_no_arb")
    found = best_input([product_hop(*hop) for hop in given["hops"]])
    assert (found.paid, found.gross, found.swaps, found.pays) == (expect["amount_in"], expect["profit"], (), False)


@pytest.mark.parametrize("name", ["two_pool_arb_capped_with_cost", "two_pool_arb_dust"])
def test_case_arbitrage_with_a_fixed_cost(name):
    given, expect, tol = case(name)
    cap = units(given["max_in"]) if "max_in" in given else None
    found = best_input([product_hop(*hop) for hop in given["hops"]], max_in=cap, fixed_cost=units(given["fixed_cost"]))
    assert coins(found.paid) == pytest.approx(expect["amount_in"], rel=tol)
    assert coins(found.gross) == pytest.approx(expect["gross"], rel=tol)
    assert coins(found.net) == pytest.approx(expect["net"], rel=tol)
    assert found.pays is expect["trade"]


def test_case_pool_vs_outside_price():
    given, expect, tol = case("pool_vs_outside_price")
    outside = Outside(0, units(10**9), int(given["outside_price"]), 1)
    found = best_input([product_hop(given["reserve_in"], given["reserve_out"], given["gamma"]), Hop(outside, sells=True)])
    assert coins(found.paid) == pytest.approx(expect["amount_in"], rel=tol)
    assert coins(found.gross) == pytest.approx(expect["profit"], rel=tol)


def test_case_cl_within_range():
    given, expect, tol = case("cl_within_range")
    only = Range(root(given["sqrt_lower"]), root(given["sqrt_upper"]), units(given["liquidity"]))
    pool = Concentrated(root(given["sqrt_price"]), (only,), fee_of(given["gamma"]))
    bought, sold = pool.buy_with(units(given["token1_in"])), pool.sell(units(given["token0_in"]))
    assert coins(bought.got) == pytest.approx(expect["token0_out"], rel=tol)
    assert bought.pool.sqrt_price / ONE == pytest.approx(expect["sqrt_price_after_buy"], rel=tol)
    assert coins(sold.got) == pytest.approx(expect["token1_out"], rel=tol)
    assert sold.pool.sqrt_price / ONE == pytest.approx(expect["sqrt_price_after_sell"], rel=tol)
    with pytest.raises(InvalidMarket, match=f"only {pool.buy_limit()} can be filled"):
        pool.buy_with(units(given["token1_in_too_big"]))
    assert coins(pool.buy_limit()) == pytest.approx(expect["too_big_used"], rel=tol)
    assert coins(pool.buy_with(pool.buy_limit()).got) == pytest.approx(expect["too_big_out"], rel=tol)


@pytest.mark.parametrize("name", ["cl_vs_cp_interior", "cl_vs_cp_at_edge"])
def test_case_concentrated_against_constant_product(name):
    given, expect, tol = case(name)
    only = Range(root(12.0), root(given["sqrt_upper"]), units(given["liquidity"]))
    pool = Concentrated(root(given["sqrt_price"]), (only,), fee_of(given["gamma"]))
    found = best_input([Hop(pool, sells=False), product_hop(*given["sell_pool"])])
    assert coins(found.paid) == pytest.approx(expect["token1_in"], rel=tol)
    assert coins(found.gross) == pytest.approx(expect["profit"], rel=tol)
    at_edge = found.swaps[0].pool.sqrt_price / only.upper > 1 - 1e-12
    assert at_edge is (name == "cl_vs_cp_at_edge")


def test_case_stable_swap():
    given, expect, tol = case("stable_swap")
    x, y = given["balances"]
    pool = Stable(units(x), units(y), given["A"], fee_of(given["gamma_on_output"]), fee_on_output=True)
    assert coins(pool.invariant) == pytest.approx(expect["D"], rel=tol)
    assert coins(pool.sell(units(given["amount_in"])).got) == pytest.approx(expect["amount_out"], rel=tol)
    outside = Outside(0, units(10**9), round(given["outside_price_of_out"] * 10_000), 10_000)
    found = best_input([Hop(pool, sells=True), Hop(outside, sells=True)])
    assert coins(found.paid) == pytest.approx(expect["best_in"], rel=tol)
    assert coins(found.gross) == pytest.approx(expect["best_profit"], rel=tol)


def test_case_split_two_pools():
    given, expect, tol = case("split_two_pools")
    first, second = (product_hop(*pool) for pool in given["pools"])
    amount = units(given["amount_in"])
    one, two = split(first, second, amount)
    assert one + two == amount
    assert coins(one) == pytest.approx(expect["in_1"], rel=tol)
    assert coins(two) == pytest.approx(expect["in_2"], rel=tol)
    assert coins(first.swap(one).got + second.swap(two).got) == pytest.approx(expect["amount_out"], rel=tol)
    assert coins(first.swap(amount).got) == pytest.approx(expect["one_pool_only"], rel=tol)


def test_case_integer_two_pool_arb():
    given, expect, _ = case("integer_two_pool_arb")
    (usdc, sol, fee_a), (sol_b, usdc_b, fee_b) = given["pool_a"], given["pool_b"]
    hops = [Hop(ConstantProduct(sol, usdc, fee_a * 100), sells=False), Hop(ConstantProduct(sol_b, usdc_b, fee_b * 100), sells=True)]
    found = best_input(hops)
    assert found.gross == expect["best_integer_profit_in_window"] == compose(hops).bound()
    assert abs(found.paid - expect["amount_in_near"]) <= 2_000  # the window that the case enumerates
    at = hops[1].swap(hops[0].swap(expect["amount_in_near"]).got).got - expect["amount_in_near"]
    assert at == expect["profit_at_floor_of_real_optimum"]


# -- figures that stand here, so that they hold without the file ----------------------------------------------------------

CHEAP = ConstantProduct(10_000_000_000_000, 1_500_000_000_000, 3_000)
DEAR = ConstantProduct(8_000_000_000_000, 1_216_000_000_000, 2_500)
CYCLE = [Hop(CHEAP, sells=False), Hop(DEAR, sells=True)]
LENT = Stable(900_000_000_000, 1_250_000_000_000, 100, 400, fee_on_output=True)


def test_one_constant_product_quote_to_the_unit():
    # cases/amm_cases.json: cp_exact_in, closed form verified by scipy's brentq on the invariant
    pool = ConstantProduct(4_000_000_000_000, 1_000_000_000_000, 3_000)
    swap = pool.buy_with(1_000_000_000)
    after = ConstantProduct(4_000_000_000_000 - 3_984_027_924, 1_001_000_000_000, 3_000)
    assert swap == Swap(paid=1_000_000_000, got=3_984_027_924, fee=3_000_000, pool=after)
    assert pool == ConstantProduct(4_000_000_000_000, 1_000_000_000_000, 3_000)


def test_one_arbitrage_to_the_unit():
    # cases/amm_cases.json: integer_two_pool_arb, 4001 neighbours and a grid of 2000 enumerated
    found = best_input(CYCLE)
    assert found.gross == 10_061_183
    assert found.paid == pytest.approx(2_595_572_329, abs=2_000)
    assert [swap.paid for swap in found.swaps] == [found.paid, found.swaps[0].got]
    assert found.swaps[-1].got == found.got


def test_one_range_around_150():
    # cases/amm_cases.json: cl_within_range, L = 2,000,000, price 150, range 149 to 151, fee 0.04%; closed form in 40 digits
    pool = Concentrated(sqrt_price(150, 1), (Range(sqrt_price(149, 1), sqrt_price(151, 1), 2 * 10**18),), 400)
    assert pool.buy_with(20_000 * 10**12).got == 133_171309574622
    assert pool.sell(100 * 10**12).got == 14_984_827375279814


def test_one_stable_quote():
    # cases/amm_cases.json: stable_swap, root of the invariant by brentq
    assert LENT.invariant == 2_149_854_438_008
    assert LENT.sell(10_000_000_000).got == 10_012_552_874


# -- pools of every kind ---------------------------------------------------------------------------------------------------

fees = st.one_of(st.sampled_from([0, 1, 100, 400, 3_000, 500_000, PPM - 1]), st.integers(0, 20_000))
sizes = st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 10**24))
products = st.builds(ConstantProduct, sizes, sizes, fees)


liquidities = st.one_of(st.integers(1, 10**20), st.sampled_from([1 << 60, 1 << 96, 3 << 97]))
"""Any, and some in which a unit is a whole number of steps of price."""


@st.composite
def concentrated(draw, fee=fees):
    """One to five ranges, some with gaps between, with the price anywhere: on an edge, in a gap, inside."""
    scale = draw(st.sampled_from([-40, -10, 0, 3, 30]))
    edges = sorted(draw(st.sets(st.integers(1, 10**6), min_size=2, max_size=10)))
    edges = [((1000_000 + edge) << (96 + scale)) // 1_000_000 for edge in edges]
    touching = list(pairwise(edges))
    ranges = touching if draw(st.booleans()) else touching[::2]
    ranges = tuple(Range(low, high, draw(liquidities)) for low, high in ranges)
    low, high = ranges[0].lower, ranges[-1].upper
    at = draw(st.one_of(st.integers(low, high), st.sampled_from([end for one in ranges for end in (one.lower, one.upper)])))
    return Concentrated(at, ranges, draw(fee))


@st.composite
def stables(draw, fee=fees, most_tilt=1_000):
    """Any amplification and pair of decimals, up to a thousand times out of balance unless told otherwise."""
    base_factor, quote_factor = draw(st.sampled_from([(1, 1), (1, 1_000), (1_000, 1), (108, 100), (10**9, 10**12)]))
    worth = draw(st.integers(10**4, 10**24)) * max(base_factor, quote_factor)
    tilt = Fraction(draw(st.integers(1, most_tilt)), draw(st.integers(1, most_tilt)))
    base, quote = max(1, worth // base_factor), max(1, int(worth * tilt) // quote_factor)
    return Stable(base, quote, draw(st.integers(1, 5_000)), draw(fee), draw(st.booleans()), base_factor, quote_factor)


outsides = st.builds(Outside, sizes, sizes, st.integers(1, 10**6), st.integers(1, 10**6), fees)
pools = st.one_of(products, concentrated(), stables(), outsides)
hops = st.builds(Hop, pools, st.booleans())


def an_amount(data, hop, share=1):
    """An amount that the hop can fill, from dust to all of it; `share` leaves room for more."""
    limit = hop.limit()
    most = (10 * max(hop.pool.reserves()) + 100 if limit is None else limit) // share
    assume(most >= 1)
    return data.draw(st.one_of(st.integers(1, min(most, 100)), st.integers(1, most), st.just(most)))


def back(swap, hop):
    """The way back through the pool that a swap left."""
    return Hop(swap.pool, sells=not hop.sells)


def exact_d(pool):
    """D as a Decimal of 100 digits, by bisection on the invariant as it stands in the paper: nothing of the pool's own."""
    x, y = Decimal(pool.base) * pool.base_factor, Decimal(pool.quote) * pool.quote_factor
    ann = 4 * pool.amplification
    low, high = Decimal(0), x + y
    for _ in range(300):
        d = (low + high) / 2
        low, high = (d, high) if ann * (x + y) + d > ann * d + d**3 / (4 * x * y) else (low, d)
    return low


def owed(pool):
    """Base and quote that a concentrated pool's providers could take out, exactly."""
    base = quote = Fraction(0)
    for one in pool.ranges:
        at = min(max(pool.sqrt_price, one.lower), one.upper)
        base += Fraction((one.liquidity << 96) * (one.upper - at), at * one.upper)
        quote += Fraction(one.liquidity * (at - one.lower), ONE)
    return base, quote


def worth(pool):
    return pool.base * Fraction(pool.numerator, pool.denominator) + pool.quote


# -- laws ------------------------------------------------------------------------------------------------------------------


@law
@given(hops, st.data())
def test_what_goes_in_and_out_is_what_the_pool_gained_and_lost(hop, data):
    swap = hop.swap(an_amount(data, hop))
    pool, after = hop.pool, swap.pool
    on_output = isinstance(pool, Stable) and pool.fee_on_output
    assert swap.fee == -(-(swap.got + swap.fee if on_output else swap.paid) * pool.fee_ppm // PPM)
    assert 0 <= swap.got <= hop.most_out()
    if not isinstance(pool, Concentrated):
        change = (after.base - pool.base, after.quote - pool.quote)
        assert change == ((swap.paid, -swap.got) if hop.sells else (-swap.got, swap.paid))


@law
@given(st.builds(Hop, products, st.booleans()), st.data())
def test_k_never_falls(hop, data):
    swap = hop.swap(an_amount(data, hop))
    assert swap.pool.invariant >= hop.pool.invariant
    into, out_of = (hop.pool.base, hop.pool.quote) if hop.sells else (hop.pool.quote, hop.pool.base)
    net = swap.paid - swap.fee
    assert (into + net) * (out_of - swap.got) >= into * out_of  # even before its fee
    assert (into + net) * (out_of - swap.got - 1) < into * out_of  # and not a unit too little is paid


@law
@given(st.builds(Hop, st.one_of(stables(), stables(most_tilt=10**12)), st.booleans()), st.data())
def test_d_never_falls_not_even_in_its_eightieth_digit(hop, data):
    swap = hop.swap(an_amount(data, hop))
    with localcontext(prec=130):
        before, after = exact_d(hop.pool), exact_d(swap.pool)
        assert after >= before * (1 - Decimal(10) ** -80)
        assert hop.pool.invariant == int(before * (1 + Decimal(10) ** -80))


@law
@given(st.integers(1, 100), st.integers(10**55, 10**60), st.integers(1, 10), st.integers(1, 100))
def test_d_never_falls_where_a_trace_of_it_is_worth_a_fortune(base, quote, amplification, paid):
    pool = Stable(base, quote, amplification, 0)
    swap = pool.sell(paid)
    with localcontext(prec=130):
        assert exact_d(swap.pool) >= exact_d(pool) * (1 - Decimal(10) ** -70)
    assert swap.pool.buy_with(swap.got).got <= paid
    assume(base > 1)
    least = pool.buy(base - 1)
    assert least.got == base - 1 and pool.buy_with(least.paid - 1).got < base - 1


@law
@given(st.builds(Hop, stables(fee=st.just(0)), st.booleans()), st.data())
def test_a_stable_pool_without_fee_keeps_less_than_two_units(hop, data):
    swap = hop.swap(an_amount(data, hop))
    pool = swap.pool
    assume(hop.pool.reserves()[1 if hop.sells else 0] > swap.got)
    generous = (0, -2) if hop.sells else (-2, 0)
    assume(pool.base + generous[0] > 0 and pool.quote + generous[1] > 0)
    taken = Stable(pool.base + generous[0], pool.quote + generous[1], pool.amplification, 0, False, pool.base_factor, pool.quote_factor)
    with localcontext(prec=130):
        assert exact_d(taken) < exact_d(hop.pool)


@law
@given(st.builds(Hop, concentrated(), st.booleans()), st.data())
def test_concentrated_liquidity_can_always_pay_what_it_owes(hop, data):
    swap = hop.swap(an_amount(data, hop))
    net, change = swap.paid - swap.fee, [after - before for before, after in zip(owed(hop.pool), owed(swap.pool), strict=True)]
    into, out_of = change if hop.sells else change[::-1]
    assert into <= net and out_of <= -swap.got
    assert swap.pool.ranges == hop.pool.ranges
    whole = owed(hop.pool)
    assert all(exact - len(hop.pool.ranges) < held <= exact for held, exact in zip(hop.pool.reserves(), whole, strict=True))


@law
@given(st.builds(Hop, outsides, st.booleans()), st.data())
def test_an_outside_market_never_trades_below_its_price(hop, data):
    assert worth(hop.swap(an_amount(data, hop)).pool) >= worth(hop.pool)


@law
@given(hops, st.data())
def test_a_round_trip_never_gains(hop, data):
    there = hop.swap(an_amount(data, hop))
    assume(there.got)
    way = back(there, hop)
    limit = way.limit()
    assert limit is None or there.got <= limit  # what it paid, it can take back
    assert way.swap(there.got).got <= there.paid


@law
@given(hops, st.data())
def test_more_in_never_brings_less(hop, data):
    one, two = sorted((an_amount(data, hop), an_amount(data, hop)))
    assert hop.swap(one).got <= hop.swap(two).got
    assert hop.swap(max(1, one - 1)).got <= hop.swap(one).got


@law
@given(st.builds(Hop, pools, st.booleans()), st.data())
def test_a_swap_in_two_parts_never_brings_more_than_in_one(hop, data):
    one, two = an_amount(data, hop, share=2), an_amount(data, hop, share=2)
    first = hop.swap(one)
    again = Hop(first.pool, hop.sells)
    limit = again.limit()
    assume(limit is None or two <= limit)
    whole = hop.limit()
    assume(whole is None or one + two <= whole)
    parts = first.got + again.swap(two).got
    slack = 0
    if isinstance(hop.pool, Stable):
        slack = 1 + (first.fee if hop.pool.fee_on_output else 0)  # a fee taken on output is back in the reserve that pays the rest
    if isinstance(hop.pool, Concentrated):
        low, deepest = hop.pool.ranges[0].lower, max(one.liquidity for one in hop.pool.ranges)
        step = Fraction(deepest, ONE) if hop.sells else Fraction(deepest << 96, low**2)
        slack = len(hop.pool.ranges) + int(step)  # each range rounds its own proceeds, and the price to a step
    assert parts <= hop.swap(one + two).got + slack


@law
@given(hops, st.data())
def test_exact_out_is_the_least_exact_in(hop, data):
    most = hop.most_out()
    assume(most >= 1)
    out = data.draw(st.one_of(st.integers(1, min(most, 100)), st.integers(1, most), st.just(most)))
    swap = hop.swap_for(out)
    assert swap == hop.swap(swap.paid)
    assert swap.got >= out
    assert swap.paid == 1 or hop.swap(swap.paid - 1).got < out


@law
@given(hops)
def test_one_unit_more_than_all_is_refused_and_says_how_much_there_is(hop):
    most, limit = hop.most_out(), hop.limit()
    with pytest.raises(InvalidMarket, match=f"only {most} can be filled"):
        hop.swap_for(most + 1)
    if limit is None:
        assert hop.swap(1000 * max(hop.pool.reserves()) + 1000).got <= most
        return
    with pytest.raises(InvalidMarket, match=f"only {limit} can be filled"):
        hop.swap(limit + 1)
    assert limit == 0 or hop.swap(limit).got == most


free = st.one_of(st.builds(ConstantProduct, sizes, sizes, st.just(0)), concentrated(fee=st.just(0)), stables(fee=st.just(0)))


@law
@given(st.builds(Hop, free, st.booleans()), st.data())
def test_a_swap_fills_between_the_price_before_and_the_price_after(hop, data):
    swap = hop.swap(an_amount(data, hop))
    best, worst = hop.pool.price(), swap.pool.price()
    if not hop.sells:
        best, worst = 1 / best, 1 / worst
    slack = 2
    if isinstance(hop.pool, Concentrated):
        low, deepest = hop.pool.ranges[0].lower, max(one.liquidity for one in hop.pool.ranges)
        step = Fraction(deepest, ONE) if hop.sells else Fraction(deepest << 96, low**2)
        slack = len(hop.pool.ranges) * (1 + worst) + 2 * step  # each range rounds its cost and its proceeds, and the price to a step
    assert swap.got <= best * swap.paid * (1 + Fraction(1, 10**9)) + 1
    assert swap.got >= worst * swap.paid * (1 - Fraction(1, 10**9)) - slack


# -- constant product ------------------------------------------------------------------------------------------------------


@law
@given(products, sizes, sizes)
def test_constant_product_at_a_price_keeps_k_and_is_within_a_unit(pool, numerator, denominator):
    price = Fraction(numerator, denominator)
    try:
        moved = pool.at_price(numerator, denominator)
    except InvalidMarket:
        assert min(pool.invariant * price, pool.invariant / price) < 1
        return
    assert moved.invariant <= pool.invariant < (moved.base + 1) * (moved.quote + 1)
    assert Fraction(moved.quote, moved.base + 1) < price < Fraction(moved.quote + 1, moved.base)
    assert moved.fee_ppm == pool.fee_ppm


@law
@given(products)
def test_constant_product_at_its_own_price_is_itself(pool):
    assert pool.at_price(pool.quote, pool.base) == pool


def test_dust_pays_its_fee_and_brings_nothing():
    assert CHEAP.sell(1) == Swap(1, 0, 1, ConstantProduct(CHEAP.base + 1, CHEAP.quote, 3_000))
    assert ConstantProduct(10, 10, 0).sell(1).got == 0
    assert ConstantProduct(10, 11, 0).sell(1).got == 1  # 11 / 11, to the unit


# -- concentrated ----------------------------------------------------------------------------------------------------------

PAIR = Concentrated(ONE, (Range(ONE // 2, ONE * 3 // 4, 10**15), Range(ONE * 3 // 4, ONE * 2, 10**14)), 0)
"""Two ranges that touch at a root of 0.75, and a price of 1."""


@law
@given(st.integers(1, 10**24), st.integers(ONE >> 5, ONE << 20), fees, st.booleans(), st.data())
def test_inside_one_range_it_is_a_constant_product_on_virtual_reserves(liquidity, at, fee, sells, data):
    hop = Hop(Concentrated(at, (Range(at // 1000, at * 1000, liquidity),), fee), sells)
    virtual = Fraction(liquidity << 96, at), Fraction(liquidity * at, ONE)
    into, out_of = virtual if sells else virtual[::-1]
    swap = hop.swap(an_amount(data, hop))
    net = swap.paid - swap.fee
    assume(net <= into)  # or it ends at the edge of the range, by a unit that brings nothing more
    exact = net * out_of / (into + net)
    assert exact - 2 < swap.got <= exact


@law
@given(concentrated(fee=st.just(0)), st.booleans(), st.data())
def test_crossing_is_the_sum_of_its_partial_swaps(pool, sells, data):
    hop = Hop(pool, sells)
    paid = an_amount(data, hop)
    whole = hop.swap(paid)
    left, got, at = paid, 0, pool.sqrt_price
    for one in reversed(pool.ranges) if sells else pool.ranges:
        if left and (one.lower < at if sells else one.upper > at):
            alone = Hop(Concentrated(min(max(at, one.lower), one.upper), (one,), 0), sells)
            part = alone.swap(min(left, alone.limit()))
            left, got, at = left - part.paid, got + part.got, part.pool.sqrt_price
    assert (left, got, at) == (0, whole.got, whole.pool.sqrt_price)
    passed = {end for one in pool.ranges for end in (one.lower, one.upper) if min(at, pool.sqrt_price) < end < max(at, pool.sqrt_price)}
    assert whole.crossed == len(passed)


@law
@given(concentrated(), st.booleans(), st.data())
def test_stopping_on_the_way_changes_nothing_but_rounding(pool, sells, data):
    """A swap that stops at the price that it passes, and goes on from there, ends where it would have ended."""
    hop = Hop(pool, sells)
    paid = an_amount(data, hop)
    assume(paid > 1)
    first = data.draw(st.integers(1, paid - 1))
    one = hop.swap(first)
    rest = Hop(one.pool, sells)
    assume(paid - first <= rest.limit())
    two, whole = rest.swap(paid - first).pool.sqrt_price, hop.swap(paid).pool.sqrt_price
    assert (two >= whole) if sells else (two <= whole)


def test_the_edge_of_a_range_exactly_and_one_unit_to_either_side():
    middle = ONE * 3 // 4
    to_edge = Concentrated(ONE, PAIR.ranges[1:], 0).sell_limit()
    before, on, beyond = (PAIR.sell(to_edge + step) for step in (-1, 0, 1))
    assert (before.crossed, on.crossed, beyond.crossed) == (0, 0, 1)
    assert before.pool.sqrt_price > on.pool.sqrt_price == middle > beyond.pool.sqrt_price
    assert before.got <= on.got <= beyond.got
    # and upward again: what starts on the edge has not passed it
    up = on.pool.buy_with(10)
    assert up.crossed == 0 and up.pool.sqrt_price > middle
    assert beyond.pool.buy_with(10).crossed == 1


def test_the_edge_exactly_by_exact_out():
    at_edge = Concentrated(ONE, PAIR.ranges[1:], 0).reserves()[1]
    on, beyond = PAIR.sell_for(at_edge), PAIR.sell_for(at_edge + 1)
    assert on.crossed == 0 and beyond.crossed == 1
    assert on.paid < beyond.paid and (on.got, beyond.got) == (at_edge, at_edge + 1)


def test_the_last_edge_fills_exactly_and_not_a_unit_more():
    limit = PAIR.buy_limit()
    full = PAIR.buy_with(limit)
    assert full.pool.sqrt_price == 2 * ONE and full.pool.buy_limit() == 0 and full.pool.reserves()[0] == 0
    with pytest.raises(InvalidMarket, match="only 0 can be filled"):
        full.pool.buy_with(1)
    with pytest.raises(InvalidMarket, match=f"{limit + 1} quote units run out of liquidity: only {limit} can be filled"):
        PAIR.buy_with(limit + 1)


def test_a_gap_is_jumped_at_no_cost():
    low, high = Range(ONE // 4, ONE // 2, 10**12), Range(ONE, 2 * ONE, 10**12)
    pool = Concentrated(ONE * 3 // 2, (low, high), 0)
    to_gap = Concentrated(ONE * 3 // 2, (high,), 0).sell_limit()
    on, beyond = pool.sell(to_gap), pool.sell(to_gap + 1000)
    assert on.pool.sqrt_price == ONE and on.crossed == 0
    assert beyond.pool.sqrt_price < ONE // 2 and beyond.crossed == 2
    inside = Concentrated(ONE * 3 // 4, (low, high), 0)
    assert inside.sell(1000) == Swap(1000, 249, 0, Concentrated(inside.sell(1000).pool.sqrt_price, (low, high), 0), 1)
    assert inside.reserves() == (Concentrated(ONE, (high,), 0).reserves()[0], Concentrated(ONE // 2, (low,), 0).reserves()[1])


def test_positions_that_overlap_add_up():
    pool = Concentrated.of_positions(ONE, [Range(ONE // 2, 2 * ONE, 5), Range(ONE, 3 * ONE, 7), Range(4 * ONE, 5 * ONE, 1)], 30)
    expected = (Range(ONE // 2, ONE, 5), Range(ONE, 2 * ONE, 12), Range(2 * ONE, 3 * ONE, 7), Range(4 * ONE, 5 * ONE, 1))
    assert pool == Concentrated(ONE, expected, 30)


@law
@given(concentrated(), st.integers(1, 10**12), st.integers(1, 10**12))
def test_concentrated_at_a_price_is_within_a_step_and_keeps_its_liquidity(pool, numerator, denominator):
    low, high = pool.ranges[0].lower, pool.ranges[-1].upper
    at = sqrt_price(numerator, denominator)
    assert at**2 <= Fraction(numerator, denominator) * ONE**2 < (at + 1) ** 2
    if low <= at <= high:
        assert pool.at_price(numerator, denominator) == Concentrated(at, pool.ranges, pool.fee_ppm)
    else:
        with pytest.raises(InvalidMarket, match="outside of all liquidity"):
            pool.at_price(numerator, denominator)
    square, scale = pool.sqrt_price**2, ONE**2
    assert pool.at_price(square, scale) == pool and pool.price() == Fraction(square, scale)


def test_a_price_at_the_edges_of_all_liquidity_and_a_step_outside():
    low, high = Range(ONE // 2, ONE, 9), Range(ONE, 2 * ONE, 9)
    pool = Concentrated(ONE, (low, high), 0)
    assert pool.at_price(1, 4).sqrt_price == ONE // 2 and pool.at_price(4, 1).sqrt_price == 2 * ONE
    for numerator, denominator in ((ONE**2 // 4 - 1, ONE**2), ((2 * ONE + 1) ** 2, ONE**2)):
        with pytest.raises(InvalidMarket, match="outside of all liquidity"):
            pool.at_price(numerator, denominator)


@law
@given(st.integers(-MAX_TICK, MAX_TICK))
def test_a_tick_is_a_hundredth_of_a_percent(tick):
    with localcontext(prec=140):
        exact = (Decimal("1.0001") ** tick).sqrt() * ONE
        assert abs(int(exact) - sqrt_at_tick(tick)) <= 1


def test_the_ends_of_all_ticks():
    # Uniswap v3, TickMath.MIN_SQRT_RATIO and MAX_SQRT_RATIO; those are rounded up, the second with 64 bits only
    assert sqrt_at_tick(-MAX_TICK) == 4_295_128_739 - 1
    assert sqrt_at_tick(MAX_TICK) == pytest.approx(1461446703485210103287273052203988822378723970342, rel=2**-63)
    assert sqrt_at_tick(0) == ONE
    for tick in (MAX_TICK + 1, -MAX_TICK - 1, 1.0, True, "1", None):
        with pytest.raises(InvalidMarket, match="tick"):
            sqrt_at_tick(tick)


# -- stable ----------------------------------------------------------------------------------------------------------------


@law
@given(stables(), st.integers(1, 10**6), st.integers(1, 10**6))
def test_stable_at_a_price_is_within_a_unit_and_never_gains(pool, numerator, denominator):
    price = Fraction(numerator * pool.base_factor, denominator * pool.quote_factor)
    try:
        moved = pool.at_price(price.numerator, price.denominator)
    except InvalidMarket as error:
        assert "leaves no whole unit on one side" in str(error)
        assume(False)
    with localcontext(prec=130):
        assert exact_d(moved) <= exact_d(pool) * (1 + Decimal(10) ** -80)
        richer = Stable(moved.base + 1, moved.quote + 1, *_terms(pool))
        assert exact_d(richer) > exact_d(pool)
    # the price of whole balances jumps where a side is a few units: around it, on both sides
    assert Stable(moved.base, moved.quote + 1, *_terms(pool)).price() >= price
    assume(moved.quote > 1)
    steps = 2 + moved.price() * 2  # units of quote that a unit of base moves along the curve
    assert Stable(moved.base + 2, max(1, moved.quote - int(steps)), *_terms(pool)).price() < price


def _terms(pool):
    return pool.amplification, pool.fee_ppm, pool.fee_on_output, pool.base_factor, pool.quote_factor


@law
@given(stables())
def test_a_stable_pool_at_its_own_price_stays(pool):
    assume(min(pool.base, pool.quote) > 100)
    price = pool.price()
    moved = pool.at_price(price.numerator, price.denominator)
    assert abs(moved.base - pool.base) <= 2 + 2 / price
    assert abs(moved.quote - pool.quote) <= 2 + 2 * price


@pytest.mark.parametrize("price", [(1, 1), (9_990, 10_000), (10_010, 10_000), (1, 2), (3, 1)])
def test_a_stable_pool_at_a_price_trades_there(price):
    moved = LENT.at_price(*price)
    assert float(moved.price()) == pytest.approx(price[0] / price[1], rel=1e-9)
    assert moved.invariant == pytest.approx(LENT.invariant, rel=1e-11) and moved.invariant <= LENT.invariant


CURVE = [(140, 1_890), (210, 1_680), (840, 840), (1_000, 686)]
"""Points in whole units on one curve, A = 2 and D = 1,680: the first two and the last solve the invariant in rationals."""


@pytest.mark.parametrize(("x", "y"), CURVE)
@pytest.mark.parametrize("scale", [1, 10**9])
def test_from_point_to_point_of_a_curve_to_the_unit(x, y, scale):
    assert 8 * (x + y) + 1_680 == 8 * 1_680 + Fraction(1_680**3, 4 * x * y)
    pool = Stable(x * scale, y * scale, 2, 0)
    assert pool.invariant == 1_680 * scale
    # dy/dx of the invariant
    assert pool.price() == (8 + Fraction(1_680**3, 4 * x * x * y)) / (8 + Fraction(1_680**3, 4 * x * y * y))
    for other_x, other_y in CURVE:
        there = Stable(other_x * scale, other_y * scale, 2, 0)
        if other_x > x:
            paid, got = (other_x - x) * scale, (y - other_y) * scale
            assert pool.sell(paid) == Swap(paid, got, 0, there) == pool.sell_for(got)
        if other_x < x:
            paid, got = (other_y - y) * scale, (x - other_x) * scale
            assert pool.buy_with(paid) == Swap(paid, got, 0, there) == pool.buy(got)
        price = there.price()
        assert pool.at_price(price.numerator, price.denominator) == there


def test_a_balanced_stable_pool_is_at_par_and_its_worth_is_the_sum():
    pool = Stable(5_000_000, 5_000_000, 85, 0)
    assert pool.invariant == 10_000_000 and pool.price() == 1
    even = LENT.at_price(1, 1)
    assert abs(even.base - even.quote) <= 1


@law
@given(st.integers(10**6, 10**15), st.integers(10**6, 10**15), st.integers(1, 1000), fees, st.booleans(), st.integers(10**3, 10**15))
def test_decimals_are_only_a_way_to_count(base, quote, amplification, fee, on_output, paid):
    """A pool of 9 and 6 decimals, told by its factors, pays what one of 9 and 9 pays, rounded to its own units."""
    same = Stable(base, quote * 1000, amplification, fee, on_output)
    mixed = Stable(base, quote, amplification, fee, on_output, 1, 1_000)
    assert mixed.invariant == same.invariant
    assert mixed.price() * 1000 == same.price()
    assert 0 <= same.sell(paid).got - mixed.sell(paid).got * 1000 <= 2_000
    swapped = Stable(quote, base, amplification, fee, on_output, 1_000, 1)
    assert swapped.buy_with(paid).got == mixed.sell(paid).got


def test_more_amplification_is_flatter():
    paid = 500_000_000_000
    outs = [Stable(10**12, 10**12, a, 0).sell(paid).got for a in (1, 10, 100, 1_000, 100_000)]
    assert outs == sorted(set(outs))
    assert ConstantProduct(10**12, 10**12, 0).sell(paid).got < outs[0] and outs[-1] < paid


def test_the_fee_of_a_stable_pool_is_in_the_coin_that_it_is_taken_from():
    free = Stable(10**12, 10**12, 100, 0)
    inside, outside = (Stable(10**12, 10**12, 100, 400, on_output).sell(10**9) for on_output in (False, True))
    assert inside.fee == 400_000 and inside.got == free.sell(10**9 - 400_000).got
    gross = free.sell(10**9).got
    assert outside.fee == -(-gross * 400 // PPM) and outside.got == gross - outside.fee < inside.got


# -- sizing ----------------------------------------------------------------------------------------------------------------


@st.composite
def small_cycles(draw):
    """Two or three small pools, so that every input can be tried; the second is off the first's price."""
    base, quote = draw(st.integers(5, 2_000)), draw(st.integers(5, 2_000))
    fee = draw(st.sampled_from([0, 400, 3_000, 50_000]))
    scale, off = draw(st.integers(2, 30)), draw(st.integers(10, 16))
    other_base, other_quote = base * scale // 10 + 2, quote * scale * off // 100 + 2
    at = sqrt_price(other_quote, other_base)
    depth = 10 * (other_base + other_quote)
    second = draw(
        st.sampled_from(
            [
                ConstantProduct(other_base, other_quote, fee),
                Concentrated(at, (Range(at * 9 // 10, at * 95 // 100, 2 * depth), Range(at * 95 // 100, at * 11 // 10, depth)), fee),
                Stable(other_base, other_quote, 5, fee, False, max(1, quote // base), max(1, base // quote)),
                Outside(other_base, other_quote, other_quote, other_base, fee),
            ]
        )
    )
    cycle = [Hop(ConstantProduct(base, quote, fee), sells=False), Hop(second, sells=True)]
    return cycle if draw(st.booleans()) else [Hop(cycle[1].pool, sells=False), Hop(cycle[0].pool, sells=True)]


def brings(cycle, amount):
    """What a cycle pays, or None where it cannot fill."""
    for hop in cycle:
        limit = hop.limit()
        if limit is not None and amount > limit:
            return None
        if not amount:
            return 0
        amount = hop.swap(amount).got
    return amount


@law
@given(small_cycles(), st.integers(1, 2_000))
def test_sizing_finds_the_best_of_all_inputs(cycle, cap):
    profits = {paid: out - paid for paid in range(1, cap + 1) if (out := brings(cycle, paid)) is not None}
    found = best_input(cycle, max_in=cap)
    assert found.paid <= cap
    best = max([0, *profits.values()])
    assert best - 2 <= found.gross <= best
    assert found.paid == 0 or profits[found.paid] == found.gross > 0


big_products = st.builds(ConstantProduct, st.integers(10**12, 10**18), st.integers(10**12, 10**18), st.sampled_from([0, 400, 3_000]))


@law
@given(big_products, st.integers(1_001, 2_000), st.integers(100, 10_000), st.sampled_from([400, 3_000]))
def test_closed_form_and_search_agree(first, off, scale, fee):
    second = ConstantProduct(first.base * scale // 1_000, first.quote * scale * off // 1_000_000, fee)
    cycle = [Hop(first, sells=False), Hop(second, sells=True)]
    closed = best_input(cycle)
    # the same second pool as liquidity in a range so wide that it never ends: no closed form is taken
    at, depth = sqrt_price(second.quote, second.base), sqrt_price(second.base * second.quote, 1) >> 96
    wide = [cycle[0], Hop(Concentrated(at, (Range(at // 2**20, at * 2**20, depth),), fee), sells=True)]
    assert compose(wide) is None
    searched = best_input(wide)
    unit = float(1 + first.price())  # a unit between the pools is worth so much: what rounding can hide
    assert searched.gross == pytest.approx(closed.gross, rel=1e-6, abs=3 * unit)
    assert closed.gross <= compose(cycle).bound()


@law
@given(big_products, big_products, st.booleans(), st.integers(10**9, 10**18))
def test_a_composed_chain_pays_what_its_hops_pay(one, two, sells, paid):
    chain = [Hop(one, sells), Hop(Outside(10**60, 10**60, 7, 3, 100), sells=True), Hop(two, not sells)]
    exact, out = compose(chain).out(paid), brings(chain, paid)
    assert out <= exact
    hidden = Fraction(0)  # a unit of fee before each hop and a unit of output after it, at the best price that the hops behind can give
    for hop in chain:
        hidden = (hidden + 1) * (hop.pool.price() if hop.sells else 1 / hop.pool.price()) + 1
    assert exact - out < hidden


def test_a_cycle_that_loses_everywhere_is_not_traded():
    found = best_input([Hop(CHEAP, sells=False), Hop(CHEAP, sells=True)], fixed_cost=5)
    assert (found.paid, found.got, found.gross, found.net, found.swaps, found.pays) == (0, 0, 0, 0, (), False)


def test_a_fixed_cost_is_covered_exactly_or_by_a_unit():
    assert not best_input(CYCLE, fixed_cost=10_061_183).pays
    assert best_input(CYCLE, fixed_cost=10_061_182).pays
    assert best_input(CYCLE, fixed_cost=10_061_182).net == 1


def test_a_cap_at_the_peak_and_a_unit_below():
    peak = compose(CYCLE).best(10**30)
    assert peak == 2_595_572_329  # cases/amm_cases.json: integer_two_pool_arb
    assert compose(CYCLE).best(peak - 1) == peak - 1 and compose(CYCLE).best(peak + 1) == peak
    assert 10**9 - 20 <= best_input(CYCLE, max_in=10**9).paid <= 10**9
    assert best_input(CYCLE, max_in=1).paid == 0  # one unit pays its fee and is gone


def test_an_outside_market_ends_where_its_stock_ends():
    cheap = Hop(ConstantProduct(10**12, 10**14, 0), sells=False)
    deep, shallow = (best_input([cheap, Hop(Outside(0, stock, 121, 1), sells=True)]) for stock in (10**15, 10**12))
    assert deep.paid == pytest.approx(10**13, abs=2_000)  # sqrt(121 * 10^14 * 10^12) - 10^14
    assert deep.gross == pytest.approx(10**12, abs=130)  # a unit of base is worth 121 of quote
    assert shallow.got == pytest.approx(10**12, abs=130) and shallow.got <= 10**12 and shallow.pays


def test_two_prices_without_a_curve_trade_all_of_the_stock():
    cycle = [Hop(Outside(1_000, 0, 100, 1), sells=False), Hop(Outside(0, 10**9, 101, 1), sells=True)]
    found = best_input(cycle)
    assert (found.paid, found.got) == (100_000, 101_000)
    chain = compose(cycle)
    assert isinstance(chain, Chain) and chain.bound() is None and chain.c == 0


@law
@given(st.builds(Hop, products, st.booleans()), st.builds(Hop, products, st.booleans()), st.integers(1, 400))
def test_a_split_is_the_best_of_all_splits(first, second, amount):
    one, two = split(first, second, amount)
    assert one + two == amount and min(one, two) >= 0

    def paid_out(part):
        return (first.swap(part).got if part else 0) + (second.swap(amount - part).got if amount - part else 0)

    best = max(paid_out(part) for part in range(amount + 1))
    # either side's floor hides less than a unit, either fee's ceiling less than what a unit brings
    steps = 4 + 2 * sum((hop.pool.price() if hop.sells else 1 / hop.pool.price()) for hop in (first, second))
    assert best - steps <= paid_out(one) <= best


def test_a_split_fills_what_one_pool_alone_cannot():
    small = Hop(PAIR, sells=False)
    limit = PAIR.buy_limit()
    other = Hop(Outside(limit, 0, 10**6, 1), sells=False)  # dear, and deep
    one, two = split(small, other, 2 * limit)
    assert one == pytest.approx(limit, rel=1e-3) and one <= limit and one + two == 2 * limit
    with pytest.raises(InvalidMarket, match=f"{2 * limit + 1} units run out of liquidity: only {2 * limit} can be filled"):
        split(small, small, 2 * limit + 1)
    assert split(small, small, 2 * limit) == (limit, limit)


# -- what is refused -------------------------------------------------------------------------------------------------------

BAD = [0, -1, 1.0, 0.5, float("nan"), float("inf"), True, False, None, "1", Decimal(1), Fraction(1), b"1", [1]]
EVERY = [CHEAP, PAIR, LENT, Outside(10**9, 10**9, 3, 2)]


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("pool", EVERY, ids=lambda pool: type(pool).__name__)
def test_an_amount_is_a_positive_whole_number(pool, bad):
    for question, name in ((pool.sell, "base_in"), (pool.sell_for, "quote_out"), (pool.buy_with, "quote_in"), (pool.buy, "base_out")):
        with pytest.raises(InvalidAmount, match=f"{name} .*must be a positive whole number of smallest units"):
            question(bad)


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("pool", EVERY, ids=lambda pool: type(pool).__name__)
def test_a_price_is_one_positive_whole_number_over_another(pool, bad):
    for numerator, denominator in ((bad, 1), (1, bad)):
        with pytest.raises(InvalidMarket, match=r"price .*must be a positive whole number over another"):
            pool.at_price(numerator, denominator)


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_an_empty_pool_is_refused(bad):
    for make in (
        lambda: ConstantProduct(bad, 1, 0),
        lambda: ConstantProduct(1, bad, 0),
        lambda: Stable(bad, 1, 1, 0),
        lambda: Stable(1, bad, 1, 0),
        lambda: Stable(1, 1, bad, 0),
        lambda: Stable(1, 1, 1, 0, False, bad),
        lambda: Stable(1, 1, 1, 0, False, 1, bad),
        lambda: Range(bad, 2, 1),
        lambda: Range(1, bad, 1),
        lambda: Range(1, 2, bad),
        lambda: Concentrated(bad, (Range(1, 2, 1),), 0),
        lambda: sqrt_price(bad, 1),
        lambda: sqrt_price(1, bad),
        lambda: Outside(1, 1, bad, 1),
        lambda: Outside(1, 1, 1, bad),
    ):
        with pytest.raises(InvalidMarket, match="must be a positive whole number"):
            make()


@pytest.mark.parametrize("bad", [-1, PPM, PPM + 1, 0.003, True, None, "30", float("nan")], ids=repr)
def test_a_fee_lies_below_all(bad):
    for make in (
        lambda: ConstantProduct(1, 1, bad),
        lambda: Stable(1, 1, 1, bad),
        lambda: Concentrated(1, (Range(1, 2, 1),), bad),
        lambda: Outside(1, 1, 1, 1, bad),
    ):
        with pytest.raises(InvalidMarket, match=r"fee .*from 0 to below 1,000,000"):
            make()
    assert ConstantProduct(10, 10**9, PPM - 1).sell(10).got == 0


@pytest.mark.parametrize("ranges", [(), None, [Range(1, 2, 1)], ((1, 2, 3),), 7], ids=repr)
def test_a_concentrated_pool_has_ranges(ranges):
    with pytest.raises(InvalidMarket, match="needs a tuple of at least one Range"):
        Concentrated(1, ranges, 0)


def test_ranges_ascend_and_never_overlap():
    Concentrated(3, (Range(1, 3, 1), Range(3, 9, 1)), 0)
    for second in (Range(2, 9, 1), Range(1, 3, 1)):
        with pytest.raises(InvalidMarket, match="overlap or descend"):
            Concentrated(3, (Range(1, 3, 1), second), 0)
    with pytest.raises(InvalidMarket, match="the lower end must be below the upper"):
        Range(3, 3, 1)
    for outside in (2, 10):
        with pytest.raises(InvalidMarket, match="outside of all liquidity, 3 to 9"):
            Concentrated(outside, (Range(3, 9, 1),), 0)


def test_a_price_that_leaves_nothing_on_one_side_is_refused():
    for pool in (ConstantProduct(1000, 1000, 0), Stable(1000, 1000, 10, 0)):
        for price in ((10**30, 1), (1, 10**30)):
            with pytest.raises(InvalidMarket, match="leaves no whole unit on one side"):
                pool.at_price(*price)


@pytest.mark.parametrize("stock", [(-1, 1), (1, -1), (0, 0), (1.0, 1), (True, 1), (None, 1)], ids=repr)
def test_an_outside_market_has_a_stock(stock):
    with pytest.raises(InvalidMarket, match="must be whole, not negative, and not both zero"):
        Outside(*stock, 1, 1)


def test_a_fee_is_on_output_or_not():
    with pytest.raises(InvalidMarket, match="must be True or False"):
        Stable(1, 1, 1, 0, 1)


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_sizing_refuses_what_is_no_amount(bad):
    if bad is not None:
        with pytest.raises(InvalidAmount, match="max_in"):
            best_input(CYCLE, max_in=bad)
    if bad != 0 or bad is False:
        with pytest.raises(InvalidAmount, match="fixed_cost"):
            best_input(CYCLE, fixed_cost=bad)
    with pytest.raises(InvalidAmount, match="amount"):
        split(*CYCLE, bad)
    with pytest.raises(InvalidMarket, match="at least one hop"):
        best_input([])


def test_each_pool_says_what_it_is():
    assert CHEAP.describe() == "constant product pool of 10000000000000 base and 1500000000000 quote units, fee 0.3% of what goes in"
    assert PAIR.describe() == (
        "concentrated liquidity in 2 ranges holding 50000000000000 base and 275000000000000 quote units, fee 0% of what goes in"
    )
    assert LENT.describe() == (
        "stable pool (A = 100, Ann = A * n^n) of 900000000000 base and 1250000000000 quote units, fee 0.04% of what comes out"
    )
    assert Outside(5, 6, 3, 2).describe() == "outside market at 3 / 2 with 5 base and 6 quote units, fee 0% of what goes in"


def test_pools_are_values():
    assert CHEAP == ConstantProduct(10_000_000_000_000, 1_500_000_000_000, 3_000) != DEAR
    assert len({CHEAP, DEAR, PAIR, LENT, PAIR.sell(10).pool, PAIR.at_price(1, 1)}) == 5
