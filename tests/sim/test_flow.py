"""Other participants' flow: the same from the same seed and row, within its bounds, and trades in as they happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.market import MINUTE, Instrument
from sleeves.money import USD, Asset
from sleeves.orders import Side
from sleeves.sim.flow import Flow, Print, Quotes, SplitMix64, Take, price_on
from strategies import law

COIN = Asset("COIN", 4)
MARKET = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.5", lot="0.01")
OTHER = Instrument("CENT/USD", base=COIN, quote=USD, tick="0.5", lot="0.01")


def legs_of(at: int, *path: int, interval: int = MINUTE) -> list[tuple[int, int, int, int]]:
    return [(at + interval * n // 4, path[n], at + interval * (n + 1) // 4, path[n + 1]) for n in range(4)]


def test_the_generator_is_splitmix64() -> None:
    """The first outputs for seed 1234567, as published with the reference code of Vigna."""
    draw = SplitMix64(1234567)
    assert [draw.next() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@law
@given(st.integers(0, 2**64 - 1), st.integers(1, 1_000))
def test_a_draw_lies_below_its_bound(seed: int, bound: int) -> None:
    assert 0 <= SplitMix64(seed).below(bound) < bound


def test_draws_are_spread_evenly() -> None:
    draw, counts = SplitMix64(42), [0] * 10
    for _ in range(20_000):
        counts[draw.below(10)] += 1
    assert all(1_850 < count < 2_150 for count in counts)  # 2,000 each, give or take 3.5 standard deviations of 42


@law
@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 5_000), st.integers(1, 5_000), st.data())
def test_a_price_lies_on_its_leg_and_on_the_tick(begin: int, length: int, start: int, there: int, data: st.DataObject) -> None:
    leg = (begin, start * 10, begin + length, there * 10)
    first, second = sorted(data.draw(st.integers(begin, begin + length)) for _ in range(2))
    one, two = price_on(leg, first, 10), price_on(leg, second, 10)
    assert not one % 10
    assert min(leg[1], leg[3]) <= one <= max(leg[1], leg[3])
    assert (one <= two) if leg[1] <= leg[3] else (one >= two)
    assert (price_on(leg, begin, 10), price_on(leg, begin + length, 10)) == (leg[1], leg[3])


flows = st.builds(
    lambda seed, spread, step, terms: Flow.seeded(seed, spread=f"{spread}%", step=f"{step}%", **terms),
    st.integers(0, 2**64 - 1),
    st.integers(0, 4),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {
            "layers": st.integers(0, 5),
            "refreshes": st.integers(1, 6),
            "size": st.sampled_from(["0.004", "0.01", "1", "33.3"]),
            "takes": st.sampled_from(["0", "0.5", "3", "12.25"]),
            "take_size": st.sampled_from(["0.01", "2"]),
            "informed": st.sampled_from(["0%", "50%", "100%"]),
        }
    ),
)
paths = st.tuples(*[st.integers(1, 3_000).map(lambda n: 10 * n)] * 3).map(lambda p: (p[0], min(p), max(p), p[2], p[2]))


@law
@given(flows, paths, st.integers(0, 10**18))
def test_a_row_of_flow_is_in_order_on_the_tick_and_never_crosses_itself(flow: Flow, path: tuple[int, ...], at: int) -> None:
    terms = flow.parts[0]
    actions = flow.begin(MARKET).row(at, legs_of(at, *path))
    assert actions == flow.begin(MARKET).row(at, legs_of(at, *path))
    assert [one.at for one in actions] == sorted(one.at for one in actions)
    assert all(at <= one.at < at + MINUTE for one in actions)
    quotes = [one for one in actions if isinstance(one, Quotes)]
    takes = [one for one in actions if isinstance(one, Take)]
    assert len(quotes) == (terms.refreshes if terms.layers else 0)
    assert terms.takes_milli // 1_000 <= len(takes) <= -(-terms.takes_milli // 1_000)
    for one in quotes:
        bids = [price for side, price, _ in one.quotes if side is Side.BUY]
        asks = [price for side, price, _ in one.quotes if side is Side.SELL]
        assert max(bids) < min(asks)
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert all(
            units > 0 and not units % MARKET.lot_units and price > 0 and not price % MARKET.tick_units for _, price, units in one.quotes
        )
    for take in takes:
        assert take.limit > 0
        assert not take.limit % MARKET.tick_units
        assert 0 < take.qty < 2 * max(MARKET.lot_units, COIN(terms.take_size).units)
        assert not take.qty % MARKET.lot_units


def test_what_a_row_brings_depends_on_nothing_before_it() -> None:
    flow, row = Flow.seeded(7), (5 * MINUTE, legs_of(5 * MINUTE, 1_000, 990, 1_020, 1_010, 1_010))
    alone, after = flow.begin(MARKET), flow.begin(MARKET)
    for n in range(5):
        after.row(n * MINUTE, legs_of(n * MINUTE, 1_000, 1_000, 1_000, 1_000, 1_000))
    assert after.row(*row) == alone.row(*row)


def test_another_seed_row_or_market_is_another_flow() -> None:
    def takes(flow: Flow, market: Instrument = MARKET, at: int = 0) -> list[Any]:
        return [one[1:3] for one in flow.begin(market).row(at, legs_of(at, 1_000, 990, 1_020, 1_010, 1_010)) if isinstance(one, Take)]

    many = Flow.seeded(7, takes="40")
    found = [takes(many), takes(Flow.seeded(8, takes="40")), takes(many, OTHER), takes(many, at=MINUTE)]
    assert all(one != other for n, one in enumerate(found) for other in found[:n])


def test_the_rate_and_the_size_of_takers_are_those_that_were_asked_for() -> None:
    running = Flow.seeded(3, takes="2.5", take_size="0.5", layers=0).begin(MARKET)
    takes = [one for n in range(4_000) for one in running.row(n * MINUTE, legs_of(n * MINUTE, *[1_000] * 5))]
    assert abs(len(takes) - 10_000) < 130  # 4,000 draws of one half: 4 standard deviations of 32
    assert abs(sum(one.side is Side.BUY for one in takes) - len(takes) // 2) < 220
    assert abs(sum(one.qty for one in takes) // len(takes) - COIN("0.5").units) < COIN("0.02").units


def test_makers_stand_where_they_were_told_to() -> None:
    flow = Flow.seeded(1, spread="2%", layers=2, step="1%", size="2", refreshes=1, takes="0")
    (quotes,) = flow.begin(MARKET).row(0, legs_of(0, *[10_000] * 5))
    assert [one[:2] for one in quotes.quotes] == [(Side.BUY, 9_900), (Side.SELL, 10_100), (Side.BUY, 9_800), (Side.SELL, 10_200)]
    assert all(COIN("1").units <= units <= COIN("3").units for *_, units in quotes.quotes)


@pytest.mark.parametrize(("close", "side"), [(1_100, Side.BUY), (900, Side.SELL)])
def test_the_informed_go_where_the_row_closes_and_pay_no_more(close: int, side: Side) -> None:
    low, high = min(1_000, close), max(1_000, close)
    path = (1_000, low, high, close, close) if close > 1_000 else (1_000, high, low, close, close)
    takes = Flow.seeded(1, takes="50", informed="100%", layers=0).begin(MARKET).row(0, legs_of(0, *path))
    early = [one for one in takes if one.at < MINUTE * 3 // 8]
    assert len(early) > 10
    assert {(one.side, one.limit) for one in early} == {(side, close)}


# -- trades of a tape --------------------------------------------------------------------------------------------------------

SIDES = {
    "told": ([(100, "buy"), (101, "sell"), (99, "buy")], "buy sell buy"),
    "up is a buy, down a sale, the same as before": (
        [(100, None), (101, None), (101, None), (100, None), (100, None)],
        "sell buy buy sell sell",
    ),
    "before the first change it is the other side": ([(100, None), (100, None), (99, None)], "buy buy sell"),
    "no change at all": ([(100, None), (100, None)], "buy buy"),
    "one trade": ([(100, None)], "buy"),
    "what is told is believed, and goes on": ([(100, "sell"), (100, None), (101, "sell"), (101, None)], "sell sell sell sell"),
}


@pytest.mark.parametrize(("trades", "sides"), SIDES.values(), ids=SIDES)
def test_the_takers_side_is_told_or_follows_the_tick(trades: list[tuple[int, Any]], sides: str) -> None:
    flow = Flow.of_trades([Print.of(MARKET, n, str(price), "1", side) for n, (price, side) in enumerate(trades)])
    actions = flow.begin(MARKET).row(0, legs_of(0, *[1_000] * 5))
    assert " ".join(one.side for one in actions) == sides
    assert all(one.printed for one in actions)


def test_trades_come_in_their_rows_from_the_begin_to_before_the_end() -> None:
    whens = [0, 5, MINUTE - 1, MINUTE, 2 * MINUTE - 1, 2 * MINUTE]
    running = Flow.of_trades([Print(at, 1_000, 100) for at in reversed(whens)]).begin(MARKET)
    assert [[one.at for one in running.row(n * MINUTE, legs_of(n * MINUTE, *[1_000] * 5))] for n in (0, 1)] == [whens[:3], whens[3:5]]


def test_flows_come_together_in_order_of_time() -> None:
    both = Flow.seeded(1) + Flow.of_trades([Print(20 * n, 1_000, 100) for n in range(50)])
    actions = both.begin(MARKET).row(0, legs_of(0, *[1_000] * 5))
    assert [one.at for one in actions] == sorted(one.at for one in actions)
    assert sum(isinstance(one, Take) and one.printed for one in actions) == 50
    assert both == Flow.seeded(1) + Flow.of_trades([Print(20 * n, 1_000, 100) for n in range(50)])
    assert len(both.describe()) == 3


# -- misuse ------------------------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a seed below zero": ({"seed": -1}, "seed -1"),
    "a seed beyond 64 bits": ({"seed": 2**64}, "64 bits"),
    "a truth value as seed": ({"seed": True}, "seed True"),
    "a float rate": ({"spread": 0.001}, "spread 0.001 is a float"),
    "a spread below zero": ({"spread": "-0.1%"}, "spread -1000"),
    "a spread of all": ({"spread": "100%"}, "spread 1000000"),
    "layers below zero": ({"layers": -1}, "layers -1"),
    "a truth value of layers": ({"layers": True}, "layers True"),
    "layers down to nothing": ({"layers": 3, "step": "40%"}, "down to a price of zero"),
    "no size": ({"size": "0"}, "size '0'"),
    "a float size": ({"size": 1.5}, "size 1.5"),
    "NaN": ({"take_size": "NaN"}, "take_size"),
    "no refresh": ({"refreshes": 0}, "refreshes 0"),
    "takers below zero": ({"takes": "-1"}, "takes -1000"),
    "a tenth of a thousandth of a taker": ({"takes": "0.0001"}, "takes"),
    "more than all are informed": ({"informed": "101%"}, "informed 1010000"),
}


@pytest.mark.parametrize(("terms", "said"), BAD.values(), ids=BAD)
def test_bad_options_are_named(terms: dict[str, Any], said: str) -> None:
    given = {"seed": 1} | terms
    with pytest.raises(InvalidAmount, match=said):
        Flow.seeded(given.pop("seed"), **given)


def test_bad_trades_are_named() -> None:
    for at, price, qty in ((-1, 10, 100), (0, 0, 100), (0, 10, 0), (0, 10.0, 100), (0, True, 100), (0, float("nan"), 100)):
        with pytest.raises(InvalidMarket, match="whole nanoseconds and positive"):
            Print(at, price, qty)  # type: ignore[arg-type]
    with pytest.raises(InvalidMarket, match="a Side or None"):
        Print(0, 10, 100, "buy")  # type: ignore[arg-type]
    with pytest.raises(InvalidMarket, match="not 'bid'"):
        Print.of(MARKET, 0, "1", "1", "bid")
    with pytest.raises(InvalidMarket, match=r"multiple of the tick 0\.5"):
        Print.of(MARKET, 0, "1.3", "1")
    for trades, said in (([], "at least one trade"), ([(0, 10, 100)], "is of Prints"), (3, "is of Prints")):
        with pytest.raises(InvalidMarket, match=said):
            Flow.of_trades(trades)  # type: ignore[arg-type]
    for bad in (Print(0, 11, 3), Print(0, 1, 1)):
        with pytest.raises(InvalidMarket, match="off the tick or the lot"):
            Flow.of_trades([bad]).begin(Instrument("X/USD", base=COIN, quote=USD, tick="0.2", lot="0.01"))
    with pytest.raises(InvalidMarket, match=r"Flow\.seeded or Flow\.of_trades"):
        Flow(())
    with pytest.raises(TypeError):
        Flow.seeded(1) + 1  # type: ignore[operator]
