"""Routing finds what pools give together, proves how little it left, and never plans a loss.

The figures come from `amm_cases.json`, made with cvxpy and scipy: the environment variable SLEEVES_CASES names the folder
that holds it, and without it the tests that read it are skipped. On random networks no solver is needed: any prices of
the coins bound what can be earned at all, so that a plan beside its bound is proven good. That bound is worked out here
anew, pool by pool, by the integer search of `sleeves.sizing`.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from attrs import frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sleeves.amm import Concentrated, ConstantProduct, Outside, Pool, Range, Stable, sqrt_price
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.money import PPM
from sleeves.routing import (
    Basket,
    Costs,
    Edge,
    Market,
    Pair,
    Plan,
    Quoted,
    along,
    best_cycle,
    best_plan,
    best_sale,
    cycles,
    edges,
    negative_cycle,
    optimum,
    upper_bound,
)
from sleeves.sizing import Hop, best_input, compose
from strategies import law

FINE = 12
"""Decimal places of every coin where a figure is real."""


def units(value: float) -> int:
    return int(Decimal(repr(value)).scaleb(FINE))


def coins(amount: float) -> float:
    return amount / 10**FINE


# -- the cases -------------------------------------------------------------------------------------------------------------


def case(name: str) -> tuple[dict[str, Any], dict[str, Any], float]:
    folder = os.environ.get("SLEEVES_CASES")
    if not folder:
        pytest.skip("SLEEVES_CASES is not set: it names the folder that holds amm_cases.json")
    found = next(one for one in json.loads((Path(folder) / "amm_cases.json").read_text())["cases"] if one["name"] == name)
    return found["inputs"], found["expect"], found["tol"]


def five_pools() -> list[Market]:
    given, _, _ = case("routing_arbitrage_5_pools")
    markets: list[Market] = []
    for n, one in enumerate(given["pools"]):
        fee, reserves = round((1 - one["gamma"]) * PPM), tuple(map(units, one["reserves"]))
        if one["kind"] == "mean":
            markets.append(Basket(f"pool {n}", tuple(one["tokens"]), reserves, fee))
        else:
            markets.append(Pair(f"pool {n}", *one["tokens"], ConstantProduct(*reserves, fee)))
    return markets


def test_case_routing_arbitrage_5_pools() -> None:
    given, expect, tol = case("routing_arbitrage_5_pools")
    markets = five_pools()
    plan = optimum(markets, "USDC")
    net = {coin: coins(over) for coin, over in plan.left.items()}
    assert all(over >= 0 for over in net.values())
    worth = sum(price * net[coin] for coin, price in zip(given["tokens"], given["value_of_tokens"], strict=True))
    assert worth == pytest.approx(expect["objective"], rel=tol)
    assert coins(plan.gain) == pytest.approx(expect["net"][1], rel=tol)
    assert coins(upper_bound(markets, "USDC", plan.prices)) == pytest.approx(expect["objective"], rel=tol)


def test_case_routing_sell_400_sol() -> None:
    given, expect, tol = case("routing_sell_400_sol")
    markets, amount = five_pools(), units(given["amount_in"])
    plan = best_sale(markets, given["sell"], amount, given["buy"])
    assert coins(plan.gain) == pytest.approx(expect["amount_out"], rel=tol)
    assert plan.left["SOL"] >= -amount and plan.left["LST"] >= 0
    assert coins(plan.gain) > expect["best_without_joint_lst_legs"] > expect["best_single_pool"]
    bound = upper_bound(markets, "USDC", plan.prices, have={"SOL": amount})
    assert coins(bound) == pytest.approx(expect["amount_out"], rel=1e-8)


def test_case_negative_log_cycle() -> None:
    given, expect, tol = case("negative_log_cycle")
    found = negative_cycle(tuple(rate) for rate in given["rates"])
    assert found is not None
    ring, product = found
    first = ring.index(expect["cycle_rotation_of"][0]) if ring[0] != expect["cycle_rotation_of"][0] else 0
    assert [*ring[first:-1], *ring[:first], ring[first]] == expect["cycle_rotation_of"]
    assert product == pytest.approx(expect["product"], rel=tol)


# -- edges: the origin had both of them inverted ------------------------------------------------------------------------------

CHEAP = Pair("orca", "SOL", "USDC", ConstantProduct(10_000 * 10**9, 1_500_000 * 10**6, 3_000))
DEAR = Pair("raydium", "SOL", "USDC", ConstantProduct(8_000 * 10**9, 1_216_000 * 10**6, 2_500))


def test_an_edge_goes_the_way_it_says() -> None:
    """150 USDC buy a little less than 1 SOL, and 1 SOL brings a little less than 150 USDC."""
    buy, sell = Edge(CHEAP, "USDC", "SOL"), Edge(CHEAP, "SOL", "USDC")
    assert buy.hop.swap(150 * 10**6).got == pytest.approx(0.997 * 10**9, rel=1e-3)
    assert sell.hop.swap(10**9).got == pytest.approx(149.55 * 10**6, rel=1e-3)
    assert buy.first_rate() == pytest.approx(0.997 / 150 * 1_000) and sell.first_rate() == pytest.approx(0.997 * 150 / 1_000)
    with pytest.raises(InvalidMarket, match="orca trades SOL and USDC, not LST for SOL"):
        Edge(CHEAP, "LST", "SOL")


def test_there_and_back_through_one_market_costs_its_fee_twice() -> None:
    """The origin's two edges multiplied to exactly 1: the fee was summed and never charged."""
    there, back = Edge(CHEAP, "USDC", "SOL"), Edge(CHEAP, "SOL", "USDC")
    assert there.first_rate() * back.first_rate() == pytest.approx(0.997**2, rel=1e-12)
    assert there.rate(10**6) * back.rate(10**6) < Fraction(997, 1000) ** 2


def test_what_the_origin_could_not_find_is_found() -> None:
    """One price per coin, taken the wrong way round, and its inverse: every ring multiplies to 1, whatever the prices are."""
    prices = {("USDC", "SOL"): 150.0, ("USDC", "LST"): 165.0, ("SOL", "LST"): 0.5}
    inverted = [rate for (a, b), price in prices.items() for rate in ((a, b, price), (b, a, 1 / price))]
    assert negative_cycle([one for one in inverted if "LST" not in one[:2]]) is None
    found = negative_cycle((edge.into, edge.out, edge.first_rate()) for edge in edges([CHEAP, DEAR]))
    assert found is not None and set(found[0]) == {"SOL", "USDC"}
    assert found[1] == pytest.approx(152 / 150 * 0.997 * 0.9975, rel=1e-9)
    assert best_cycle([CHEAP, DEAR], "USDC").gain == 10_061_183  # cases/amm_cases.json: integer_two_pool_arb


def test_a_gap_narrower_than_the_fees_is_no_gain() -> None:
    near = Pair("near", "SOL", "USDC", CHEAP.pool.at_price(150_800, 10**6))  # 0.53% above, and 0.6% of fees
    assert negative_cycle((edge.into, edge.out, edge.first_rate()) for edge in edges([CHEAP, near])) is None
    assert not best_cycle([CHEAP, near], "USDC").steps
    assert not optimum([CHEAP, near], "USDC").steps
    assert not best_plan([CHEAP, near], "USDC").steps


def test_a_rate_falls_with_the_size_and_ends_where_the_stock_does() -> None:
    edge = Edge(Pair("book", "SOL", "USDC", Outside(5 * 10**9, 0, 150, 1_000)), "USDC", "SOL")
    assert edge.rate(3 * 10**6) == edge.rate(3 * 10**8) == Fraction(1_000, 150)
    assert edge.rate(751 * 10**6) == 0  # 5 SOL cost 750
    assert Edge(edge.market, "SOL", "USDC").first_rate() == 0.0


kinds = st.sampled_from(["product", "concentrated", "stable", "outside"])
FEES = [0, 100, 400, 500, 2_500, 3_000, 10_000]


def a_pool(rng: random.Random, kind: str, base: int, quote: int, fee: int) -> Pool:
    """A pool of this kind with about these reserves."""
    if kind == "concentrated":
        root, depth = sqrt_price(quote, base), math.isqrt(base * quote)
        near, wide = Range(int(root * 0.97), int(root * 1.02), 3 * depth), Range(int(root * 0.8), int(root * 1.3), depth)
        return Concentrated.of_positions(root, [near, wide, Range(int(root * 1.05), int(root * 1.1), depth)], fee)
    if kind == "stable":
        peg = Fraction(quote, base).limit_denominator(10**6)
        off = int(quote * rng.uniform(0.8, 1.25))
        return Stable(base, off, rng.choice([10, 50, 200]), fee, rng.random() < 0.5, max(1, peg.numerator), max(1, peg.denominator))
    if kind == "outside":
        return Outside(base // 20, quote // 20, quote, base, fee)
    return ConstantProduct(base, quote, fee)


@law
@given(kinds, st.integers(0, 10**6), st.integers(10**9, 10**13), st.integers(10**9, 10**13), st.sampled_from(FEES), st.data())
def test_no_size_brings_more_per_unit_than_the_first(kind: str, seed: int, base: int, quote: int, fee: int, data: st.DataObject) -> None:
    market = Pair("one", "A", "B", a_pool(random.Random(seed), kind, base, quote, fee))
    for edge in edges([market]):
        sizes = sorted(data.draw(st.lists(st.integers(1, 10**13), min_size=2, max_size=2)))
        rates = [edge.rate(size) for size in sizes]
        assert all(float(rate) <= edge.first_rate() * (1 + 1e-6) for rate in rates)
        # a larger size never brings more per unit, a unit of fee and of output aside
        assert rates[1] <= rates[0] + 2 * Fraction(1 + Fraction(edge.first_rate())) / sizes[0]


# -- cycles ------------------------------------------------------------------------------------------------------------------


def network(rng: random.Random, *, hub: bool = False) -> list[Market]:
    """Pools whose prices are off by about 1%, between USDC and up to five coins of any worth.

    Any coin against any other, and a basket at times; with `hub` each coin has markets against USDC, as a sleeve's have,
    only some have one against another coin, and prices are off by 0.4%.
    """
    names = ["USDC", *(f"C{n}" for n in range(1, rng.randint(2, 6 if not hub else 5)))]
    worth = {name: 1.0 if name == "USDC" else 10 ** rng.uniform(-4, 1) for name in names}
    if hub:
        pairs = [(one, "USDC") for one in names[1:] for _ in range(rng.randint(1, 3))]
        pairs += [(a, b) for a, b in itertools.pairwise(names[1:]) if rng.random() < 0.5]
        pairs += [pairs[0]] * (len(pairs) < 2)
    else:
        pairs = [(one, rng.choice(names[: n + 1])) for n, one in enumerate(names[1:])]
        pairs += [(a, b) for a, b in (rng.sample(names, 2) for _ in range(rng.randint(1, 9)))]
    choices = ["product", "product", "concentrated", "outside", "quoted"] + ([] if hub else ["product", "product", "stable"])
    markets: list[Market] = []
    for n, (base, quote) in enumerate(pairs):
        depth, off = 10 ** rng.uniform(10, 13), math.exp(rng.gauss(0, 0.004 if hub else 0.01))
        reserves, kind, fee = (int(depth / worth[base]), int(depth / worth[quote] * off)), rng.choice(choices), rng.choice(FEES[1:])
        if kind == "quoted":
            stock, into = (reserves[0] // 20, reserves[1] // 20), (reserves[0] * 10_000, fee)
            bid, ask = Outside(0, stock[1], reserves[1] * 9_998, *into), Outside(stock[0], 0, reserves[1] * 10_003, *into)
            markets.append(Quoted(f"m{n}", base, quote, bid, ask))
        else:
            markets.append(Pair(f"m{n}", base, quote, a_pool(rng, kind, *reserves, fee)))
    if not hub and len(names) >= 3 and rng.random() < 0.2:
        some, depth = tuple(rng.sample(names, 3)), 10 ** rng.uniform(10, 13)
        markets.append(Basket("basket", some, tuple(int(depth / worth[one] * math.exp(rng.gauss(0, 0.01))) for one in some), 3_000))
    return markets


@settings(law, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_the_search_finds_every_cycle_that_gains_and_no_other(seed: int, most_hops: int) -> None:
    markets = network(random.Random(seed))[:6]
    found = set(cycles(edges(markets), "USDC", most_hops=most_hops))
    expected = set()
    for count in range(2, most_hops + 1):
        for way in itertools.permutations(edges(markets), count):
            ring = [way[0].into, *(edge.out for edge in way)]
            joined = all(one.out == other.into for one, other in itertools.pairwise(way))
            apart = len({edge.market.name for edge in way}) == count and len(set(ring)) == count
            if joined and apart and ring[0] == ring[-1] == "USDC" and math.prod(edge.first_rate() for edge in way) > 1 + 1e-12:
                expected.add(way)
    assert found == expected


@law
@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"), st.floats(0.4, 2.2)), max_size=12))
def test_a_ring_that_gains_is_found_if_there_is_one(rates: list[tuple[str, str, float]]) -> None:
    best: dict[tuple[str, str], float] = {}
    for into, out, rate in rates:
        if into != out:
            best[into, out] = max(rate, best.get((into, out), 0))
    products = [
        math.prod(best.get(way, 0) for way in itertools.pairwise((*ring, ring[0])))
        for count in range(2, 6)
        for ring in itertools.permutations("ABCDE", count)
    ]
    assume(not any(1 - 1e-9 < product < 1 + 1e-9 for product in products))
    found = negative_cycle(rates)
    assert (found is not None) is (max(products) > 1)
    if found is not None:
        ring, product = found
        assert ring[0] == ring[-1] and len(set(ring)) == len(ring) - 1
        assert product == pytest.approx(math.prod(best[way] for way in itertools.pairwise(ring))) and product > 1


@settings(law, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 2_000), st.sampled_from([None, 10**6, 10**9]))
def test_the_best_cycle_is_the_best_of_all_at_its_best_size(seed: int, per_step: int, max_in: int | None) -> None:
    markets, costs = network(random.Random(seed)), Costs(per_step)
    found = best_cycle(markets, "USDC", max_in=max_in, costs=costs)
    sized = [(best_input([edge.hop for edge in way], max_in=max_in), len(way)) for way in cycles(edges(markets), "USDC")]
    assert costs.expected(found) == max([0, *(size.gross - per_step * count for size, count in sized if size.paid)])
    check(markets, found)
    assert max_in is None or found.paid <= max_in
    names, passed = [step.edge.market.name for step in found.steps], [step.edge.into for step in found.steps]
    assert len(set(names)) == len(names) <= 4 and len(set(passed)) == len(passed)


# -- plans: whole, sound, and never at a loss ----------------------------------------------------------------------------------


def check(markets: list[Market], plan: Plan, have: dict[str, int] | None = None) -> None:
    """Made step by step, each pool pays what the plan says, and nothing is lacking of any other coin. A plan gains or is empty."""
    states, stock = {market.name: market for market in markets}, dict(have or {})
    for step in plan.steps:
        market, into, out = states[step.edge.market.name], step.edge.into, step.edge.out
        swap = market.hop(into, out).swap(step.swap.paid)
        assert (swap.got, swap.fee) == (step.swap.got, step.swap.fee)
        states[market.name] = market.after(into, out, swap)
        stock[into] = stock.get(into, 0) - swap.paid
        stock[out] = stock.get(out, 0) + swap.got
    assert all(over >= 0 for coin, over in stock.items() if coin != plan.coin)
    assert stock.get(plan.coin, 0) == plan.gain
    assert plan.gain > 0 if plan.steps else plan.gain == plan.paid == 0


def bound(markets: list[Market], coin: str, prices: dict[str, float]) -> float:
    """What no trades earn more than: the most that each pool alone gives against a market at these prices, by search."""
    total = 0.0
    for market in markets:
        if isinstance(market, Basket):
            total += bound_of(market, [prices[one] for one in market.coins])
            continue
        for edge in edges([market]):
            rate = Fraction(prices[edge.into] / prices[edge.out])
            if edge.first_rate() <= rate * (1 - Fraction(1, 10**9)):
                continue
            back = Hop(Outside(0, int(edge.hop.most_out() / rate) + 1, rate.denominator, rate.numerator), sells=True)
            curve = compose([edge.hop, back])
            most = curve.bound() if curve is not None and curve.c else best_input([edge.hop, back]).gross
            assert most is not None
            total += (most + 4) * prices[edge.into] + 2 * prices[edge.out]  # a few units of rounding
    return total


def bound_of(basket: Basket, prices: list[float]) -> float:
    """For any pressure on the logarithm of the product: what each reserve would give on its own. The least over many."""
    gamma, sizes = 1 - basket.fee_ppm / PPM, [price * reserve for price, reserve in zip(prices, basket.reserves, strict=True)]

    def under(pressure: float) -> float:
        found = 0.0
        for size in sizes:
            part = pressure / size if pressure < size else max(1.0, gamma * pressure / size)  # of the reserve, that stays
            found += size * (1 - part) / (gamma if part > 1 else 1) + pressure * math.log(part)
        return found

    low, high = min(sizes) / 2, max(sizes) * 2
    for _ in range(200):  # convex in the pressure
        third = (high - low) / 3
        low, high = (low, high - third) if under(low + third) < under(high - third) else (low + third, high)
    return under(low)


def joined(markets: list[Market], coin: str) -> list[Market]:
    known = {coin}
    for _ in markets:
        known.update(*(market.coins for market in markets if known & set(market.coins)))
    return [market for market in markets if known & set(market.coins)]


def test_on_a_thousand_networks_it_never_loses_and_finds_99_percent_of_what_there_is() -> None:
    """Proven without a solver: any prices bound every plan, and the plan comes within 1% of the bound that its prices prove."""
    parts = []
    for seed in range(1_000):
        markets = network(random.Random(seed))
        plan = optimum(markets, "USDC")
        check(markets, plan)
        most = bound(joined(markets, "USDC"), "USDC", plan.prices) if plan.prices else 0.0
        assert plan.gain >= 0.99 * most - 100, f"network {seed}: {plan.gain} of {most}"
        assert most == pytest.approx(upper_bound(markets, "USDC", plan.prices), rel=1e-3, abs=1_000)
        if most > 10_000:  # a cent
            parts.append(plan.gain / most)
    assert len(parts) > 900
    assert mean(parts) > 0.999


def test_on_a_thousand_networks_of_a_sleeve_it_needs_no_other_coin_and_finds_99_percent() -> None:
    """Against the bound of all trades whatever, those included for which other coins would have to be at hand first."""
    parts = []
    for seed in range(1_000):
        markets = network(random.Random(seed), hub=True)
        plan = best_plan(markets, "USDC", most_hops=3, most_steps=12)
        check(markets, plan)
        assert not plan.needs
        most = upper_bound(markets, "USDC", optimum(markets, "USDC").prices)
        assert plan.gain >= 0.99 * most - 100, f"network {seed}: {plan.gain} of {most}"
        if most > 10_000:
            parts.append(plan.gain / most)
    assert len(parts) > 700
    assert mean(parts) > 0.999


@settings(law, max_examples=40)
@given(st.integers(0, 10**6), st.lists(st.floats(0.2, 5), min_size=6, max_size=6))
def test_any_prices_bound_what_can_be_earned(seed: int, factors: list[float]) -> None:
    """Also wrong ones: there is no price list at which the bound lies below what a plan earns."""
    markets = network(random.Random(seed))
    plan = optimum(markets, "USDC")
    assume(plan.steps)
    prices = {coin: price * (factors[n] if coin != "USDC" else 1) for n, (coin, price) in enumerate(plan.prices.items())}
    assert plan.gain <= upper_bound(markets, "USDC", prices) * (1 + 1e-6) + 10
    assert upper_bound(markets, "USDC", prices) >= upper_bound(markets, "USDC", plan.prices) * (1 - 1e-6) - 10


@settings(law, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 200_000), st.integers(900_000, PPM), st.integers(2, 6), st.sampled_from([None, 10**7, 10**10]))
def test_what_is_to_be_done_pays_after_all_its_costs(seed: int, per_step: int, success: int, most_steps: int, max_in: int | None) -> None:
    markets, costs = network(random.Random(seed)), Costs(per_step, success)
    plan = best_plan(markets, "USDC", max_in=max_in, most_steps=most_steps, costs=costs)
    check(markets, plan)
    assert not plan.needs
    assert len(plan.steps) <= max(most_steps, 4)
    assert max_in is None or plan.paid <= max_in
    if plan.steps:
        assert costs.net(plan) > 0 and costs.expected(plan) > 0
    assert costs.expected(plan) >= costs.expected(best_cycle(markets, "USDC", max_in=max_in, costs=costs))


def test_two_dear_pools_share_what_one_cheap_pool_sells() -> None:
    """The optimum sells into both until their prices are level; the best single cycle sells into one."""
    third = Pair("meteora", "SOL", "USDC", DEAR.pool)
    markets: list[Market] = [CHEAP, DEAR, third]
    plan, one = best_plan(markets, "USDC"), best_cycle(markets, "USDC")
    sold = {step.edge.market.name: step.swap.paid for step in plan.steps if step.edge.into == "SOL"}
    assert plan.steps[0].edge.market == CHEAP and len(plan.steps) == 3
    assert sold["raydium"] == pytest.approx(sold["meteora"], rel=1e-5)
    assert plan.gain > 1.3 * one.gain
    assert 0 <= plan.left["SOL"] < 20  # what the last unit of USDC buys


def test_gas_decides_how_many_pools_are_worth_it() -> None:
    third = Pair("meteora", "SOL", "USDC", DEAR.pool)
    markets: list[Market] = [CHEAP, DEAR, third]
    three, two = best_plan(markets, "USDC"), best_cycle(markets, "USDC")
    apart = three.gain - two.gain  # what the third step brings
    assert len(best_plan(markets, "USDC", costs=Costs(apart - 1)).steps) == 3
    assert len(best_plan(markets, "USDC", costs=Costs(apart + 1)).steps) == 2
    assert len(best_plan(markets, "USDC", costs=Costs(two.gain // 2 - 1)).steps) == 2
    assert not best_plan(markets, "USDC", costs=Costs(two.gain // 2 + 1)).steps


@settings(law, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 99))
def test_a_cap_is_kept_and_used(seed: int, percent: int) -> None:
    """A part of the money brings at least that part of the gain: what it buys first is what gains most."""
    markets = network(random.Random(seed))
    whole = optimum(markets, "USDC")
    assume(whole.paid > 10**6 and whole.gain > 10**5)
    cap = whole.paid * percent // 100
    part = optimum(markets, "USDC", max_in=cap)
    check(markets, part)
    assert part.paid <= cap
    assert whole.gain * percent / 100 * 0.99 - 10_000 <= part.gain <= whole.gain * 1.001 + 100


def test_a_ring_apart_from_the_coin_is_told_by_what_it_needs() -> None:
    """SOL is worth more LST at one place than at the other, and SOL itself costs 2% to buy: a sleeve with USDC stays out."""
    markets: list[Market] = [
        Pair("a", "LST", "SOL", ConstantProduct(10**13, 11 * 10**12, 500)),
        Pair("b", "LST", "SOL", ConstantProduct(10**13, 112 * 10**11, 500)),
        Pair("c", "SOL", "USDC", ConstantProduct(10**13, 15 * 10**11, 20_000)),
    ]
    plan = optimum(markets, "USDC")
    assert plan.gain > 0 and set(plan.needs) <= {"SOL", "LST"} and plan.needs
    check(markets, plan)
    assert not best_plan(markets, "USDC").steps
    ring = negative_cycle((edge.into, edge.out, edge.first_rate()) for edge in edges(markets))
    assert ring is not None and set(ring[0]) == {"SOL", "LST"}


def test_the_same_ring_is_used_where_the_coin_passes_anyway() -> None:
    """SOL is cheap at d and dear at c. On its way it goes round a to b, before it is sold."""
    markets: list[Market] = [
        Pair("a", "LST", "SOL", ConstantProduct(10**13, 11 * 10**12, 500)),
        Pair("b", "LST", "SOL", ConstantProduct(10**13, 112 * 10**11, 500)),
        Pair("c", "SOL", "USDC", ConstantProduct(10**14, 156 * 10**11, 500)),
        Pair("d", "SOL", "USDC", ConstantProduct(10**14, 15 * 10**12, 500)),
    ]
    plan = best_plan(markets, "USDC")
    check(markets, plan)
    assert not plan.needs
    assert [step.edge.market.name for step in plan.steps] == ["d", "a", "b", "c"]


# -- the chance of failing -----------------------------------------------------------------------------------------------------


def test_what_is_expected_is_what_all_that_may_come_averages_to() -> None:
    """Three steps: what each first failing costs is worked out at the pools themselves."""
    lst = Pair("lst", "LST", "SOL", ConstantProduct(5_000 * 10**9, 5_500 * 10**9, 1_000))
    out = Pair("out", "LST", "USDC", ConstantProduct(5_000 * 10**9, 850_000 * 10**6, 1_000))
    plan = along([Edge(CHEAP, "USDC", "SOL"), Edge(lst, "SOL", "LST"), Edge(out, "LST", "USDC")], 2_000 * 10**6)
    assert plan.gain > 0
    bought = CHEAP.pool.buy_with(2_000 * 10**6)
    one = 2_000 * 10**6 - CHEAP.pool.sell(bought.got).got
    swapped = lst.pool.buy_with(bought.got)
    two = 2_000 * 10**6 - CHEAP.pool.sell(lst.pool.sell(swapped.got).got).got
    assert (plan.unwound(1), plan.unwound(2), plan.unwound(0)) == (one, two, 0)
    p = Fraction(97, 100)
    exact = p**3 * plan.gain - p * (1 - p) * one - p**2 * (1 - p) * two - 3 * 1_000
    assert Costs(1_000, 970_000).expected(plan) == math.floor(exact)
    assert Costs(1_000).expected(plan) == Costs(1_000).net(plan) == plan.gain - 3_000


def test_what_the_market_before_could_not_take_back_is_taken_back_as_it_was_left() -> None:
    """A market with no USDC of its own has those that it was paid."""
    stock = Pair("stock", "SOL", "USDC", Outside(10**12, 0, 150, 1_000, 1_000))
    plan = along([Edge(stock, "USDC", "SOL"), Edge(DEAR, "SOL", "USDC")], 150 * 10**6)
    assert plan.unwound(1) == pytest.approx(150 * 10**6 * (1 - 0.999**2), rel=1e-6)


@pytest.mark.parametrize("success", [990_000, 800_000, 600_000])
def test_where_steps_may_fail_a_smaller_size_is_worth_more(success: int) -> None:
    costs, way = Costs(3_000, success), [Edge(CHEAP, "USDC", "SOL"), Edge(DEAR, "SOL", "USDC")]
    found = best_plan([CHEAP, DEAR], "USDC", costs=costs)
    most = max(costs.expected(along(way, paid)) for paid in range(10**7, 3 * 10**9, 10**7))
    assert costs.expected(found) >= 0.999 * most
    assert found.paid < best_plan([CHEAP, DEAR], "USDC", costs=Costs(3_000)).paid


def test_a_gain_that_failing_eats_up_is_left_alone() -> None:
    plan = best_plan([CHEAP, DEAR], "USDC")
    assert best_plan([CHEAP, DEAR], "USDC", costs=Costs(0, 900_000)).steps
    loss = plan.unwound(1)
    even = next(p for p in range(PPM, 0, -1_000) if Fraction(p, PPM) ** 2 * plan.gain <= Fraction(p * (PPM - p), PPM**2) * loss)
    assert not Costs(0, even).pays(plan)
    assert Costs(0, even + 1_000).pays(plan)


def test_taking_a_purchase_back_at_a_book_costs_its_spread_and_two_fees() -> None:
    book = Quoted("book", "SOL", "USDC", Outside(0, 10**12, 149, 1_000, 1_000), Outside(10**13, 0, 151, 1_000, 1_000))
    plan = along([Edge(book, "USDC", "SOL"), Edge(DEAR, "SOL", "USDC")], 151 * 10**6)
    assert plan.unwound(1) == pytest.approx((151 - 149 * 0.999**2) * 10**6, rel=1e-6)


# -- other pools ---------------------------------------------------------------------------------------------------------------


@frozen
class Strange:
    """A pool of a user's own, of which routing knows nothing but what `Pool` asks for: not even its fee."""

    one: ConstantProduct

    def sell(self, base_in: int) -> Any:
        return self.one.sell(base_in)

    def sell_for(self, quote_out: int) -> Any:
        return self.one.sell_for(quote_out)

    def buy_with(self, quote_in: int) -> Any:
        return self.one.buy_with(quote_in)

    def buy(self, base_out: int) -> Any:
        return self.one.buy(base_out)

    def sell_limit(self) -> int | None:
        return None

    def buy_limit(self) -> int | None:
        return None

    def reserves(self) -> tuple[int, int]:
        return self.one.reserves()

    def price(self) -> Fraction:
        return self.one.price()

    def at_price(self, numerator: int, denominator: int) -> Any:
        return self.one.at_price(numerator, denominator)

    def describe(self) -> str:
        return "strange"


def test_a_pool_of_a_users_own_is_routed_through_by_its_swaps_alone() -> None:
    known: list[Market] = [CHEAP, DEAR, Pair("third", "SOL", "USDC", ConstantProduct(10**13, 1_540 * 10**9, 400))]
    own: list[Market] = [*known[:2], Pair("third", "SOL", "USDC", Strange(known[2].pool))]  # type: ignore[union-attr, arg-type]
    plan, twin = optimum(own, "USDC"), optimum(known, "USDC")
    check(own, plan)
    assert plan.gain == pytest.approx(twin.gain, rel=1e-4)
    assert plan.gain <= upper_bound(own, "USDC", plan.prices) <= plan.gain * 1.001


THREE = Basket("three", ("SOL", "USDC", "LST"), (3_000 * 10**9, 450_000 * 10**6, 2_700 * 10**9), 2_000)


@law
@given(st.permutations(["SOL", "USDC", "LST"]), st.integers(1, 10**13))
def test_a_basket_trades_two_coins_and_leaves_the_third(order: list[str], paid: int) -> None:
    into, out, other = order
    swap = THREE.hop(into, out).swap(paid)
    after = THREE.after(into, out, swap)
    before, held = (dict(zip(one.coins, one.reserves, strict=True)) for one in (THREE, after))
    assert held[other] == before[other]
    assert held[into] == before[into] + paid and held[out] == before[out] - swap.got
    assert math.prod(after.reserves) >= math.prod(THREE.reserves)
    net = paid - math.ceil(Fraction(paid * 2_000, PPM))  # what it holds of both is as in the white paper, fee apart
    assert (
        (before[into] + net) * (before[out] - swap.got - 1) < before[into] * before[out] <= (before[into] + net) * (before[out] - swap.got)
    )


def test_a_basket_takes_two_coins_for_one() -> None:
    """SOL and LST are cheap outside: both go in and USDC comes out, which no cycle of single coins does as well."""
    outside: list[Market] = [
        Pair("sol", "SOL", "USDC", Outside(10**13, 10**13, 148, 1_000)),
        Pair("lst", "LST", "USDC", Outside(10**13, 10**13, 163, 1_000)),
    ]
    plan = best_plan([*outside, THREE], "USDC")
    check([*outside, THREE], plan)
    swaps = [(step.edge.into, step.edge.out) for step in plan.steps if step.edge.market.name == "three"]
    assert sorted(swaps) == [("LST", "USDC"), ("SOL", "USDC")]
    assert plan.gain >= 0.999 * bound([*outside, THREE], "USDC", dict(plan.prices))
    assert plan.gain > best_cycle([*outside, THREE], "USDC").gain


def test_a_sale_over_several_pools_beats_each_alone_and_is_split_where_prices_meet() -> None:
    amount = 400 * 10**9
    plan = best_sale([CHEAP, DEAR], "SOL", amount, "USDC")
    check([CHEAP, DEAR], plan, {"SOL": amount})
    assert plan.left["SOL"] == -amount
    assert plan.gain > max(CHEAP.pool.sell(amount).got, DEAR.pool.sell(amount).got)
    ends = [step.swap.pool.price() * (PPM - step.edge.market.pool.fee_ppm) for step in plan.steps]  # type: ignore[union-attr]
    assert float(ends[0] / ends[1]) == pytest.approx(1, rel=1e-4)


def test_a_sale_sells_no_more_than_there_are_takers_for() -> None:
    book: list[Market] = [Pair("book", "SOL", "USDC", Outside(0, 15 * 10**6, 150, 1_000))]
    plan = best_sale(book, "SOL", 10**9, "USDC")
    assert plan.gain == pytest.approx(15 * 10**6, rel=1e-5) and -plan.left["SOL"] == pytest.approx(10**8, rel=1e-5)


# -- what is refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, 1.0, float("nan"), float("inf"), True, "1", None, Decimal(1)], ids=repr)
def test_amounts_are_whole_and_positive(bad: Any) -> None:
    if bad is not None:
        for ask in (optimum, best_cycle, best_plan):
            with pytest.raises(InvalidAmount, match="must be a positive whole number"):
                ask([CHEAP, DEAR], "USDC", max_in=bad)
    with pytest.raises(InvalidAmount, match="must be a positive whole number"):
        best_sale([CHEAP], "SOL", bad, "USDC")
    with pytest.raises(InvalidAmount, match="must be a positive whole number"):
        Edge(CHEAP, "SOL", "USDC").rate(bad)


@pytest.mark.parametrize("bad", [-1, 1.0, float("nan"), True, None, "0"], ids=repr)
def test_costs_are_whole_and_not_negative(bad: Any) -> None:
    with pytest.raises(InvalidAmount, match="per_step"):
        Costs(bad)
    with pytest.raises(InvalidAmount, match="success_ppm"):
        Costs(0, bad)


@pytest.mark.parametrize("bad", [0, PPM + 1], ids=repr)
def test_a_chance_lies_above_none_and_up_to_all(bad: int) -> None:
    with pytest.raises(InvalidAmount, match="success_ppm"):
        Costs(0, bad)
    assert Costs(0, 1).success_ppm == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1, True, None, "1"], ids=repr)
def test_a_rate_is_a_number(bad: Any) -> None:
    with pytest.raises(InvalidAmount, match="must be a finite number and not negative"):
        negative_cycle([("A", "B", bad)])


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")], ids=repr)
def test_a_bound_needs_prices(bad: float) -> None:
    with pytest.raises(InvalidAmount, match=r"price .* of SOL must be a positive finite number"):
        upper_bound([CHEAP], "USDC", {"SOL": bad})
    with pytest.raises(InvalidAmount, match="price None of SOL"):
        upper_bound([CHEAP], "USDC", {})


def test_markets_have_names_coins_and_reserves() -> None:
    for make in (
        lambda: Pair("", "A", "B", CHEAP.pool),
        lambda: Pair("a", "A", "A", CHEAP.pool),
        lambda: Pair("a", "A", "", CHEAP.pool),
        lambda: Pair("a", "A", "B", None),  # type: ignore[arg-type]
        lambda: Basket("a", ("A", "B"), (1,), 0),
        lambda: Basket("a", ("A",), (1,), 0),
        lambda: Basket("a", ("A", "A"), (1, 1), 0),
        lambda: Basket("a", ("A", "B"), (1, 0), 0),
        lambda: Basket("a", ("A", "B"), (1, 1), PPM),
        lambda: Basket("a", ["A", "B"], (1, 1), 0),  # type: ignore[arg-type]
        lambda: THREE.hop("SOL", "SOL"),
        lambda: THREE.hop("SOL", "BTC"),
        lambda: Quoted("a", "A", "B", Outside(1, 1, 3, 2), Outside(1, 1, 4, 3)),
        lambda: Quoted("a", "A", "A", Outside(1, 1, 1, 1), Outside(1, 1, 1, 1)),
        lambda: Quoted("a", "A", "B", CHEAP.pool, CHEAP.pool),  # type: ignore[arg-type]
        lambda: Quoted("a", "A", "B", Outside(1, 1, 1, 1), Outside(1, 1, 1, 1)).hop("A", "C"),
        lambda: edges([CHEAP, CHEAP]),
        lambda: edges([CHEAP.pool]),  # type: ignore[list-item]
        lambda: best_plan([CHEAP, CHEAP], "USDC"),
        lambda: cycles(edges([CHEAP]), "USDC", most_hops=1),
        lambda: best_plan([CHEAP, DEAR], "USDC", most_hops=1),
        lambda: best_sale([CHEAP], "USDC", 1, "USDC"),
        lambda: best_sale([CHEAP], "BTC", 1, "USDC"),
    ):
        with pytest.raises(InvalidMarket):
            make()


def test_nothing_comes_of_nothing() -> None:
    for ask in (optimum, best_cycle, best_plan):
        assert ask([], "USDC") == Plan("USDC", (), ask([], "USDC").prices)
        assert not ask([CHEAP], "USDC").steps and not ask([CHEAP, DEAR], "BTC").steps
    assert negative_cycle([]) is None
    apart = Pair("apart", "ETH", "BTC", ConstantProduct(10**9, 10**8, 0))
    assert optimum([CHEAP, DEAR, apart], "USDC").gain == optimum([CHEAP, DEAR], "USDC").gain
    assert along([Edge(CHEAP, "USDC", "SOL")], 0).steps == ()
