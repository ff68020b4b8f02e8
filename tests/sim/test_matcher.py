"""The simulated exchange: what fills, when, at which price, and that its account moves by fills and by nothing else.

The scripted markets read like a bank statement, with ` / ` between the lines. Four or five numbers are a bar (open high
low close, and its volume in coins where that is known), `> a buy 10 limit 95` submits an order after it, `x a` cancels
one. Bars are numbered from 0. Of what is expected, `1.2 a fill 10 at 95 maker` is a fill two quarters into bar 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket
from sleeves.market import MINUTE, Instrument
from sleeves.money import PPM, USD, Amount, Asset
from sleeves.orders import Accepted, Canceled, Event, Fill, Liquidity, Order, Place, Rejected, Side, TimeInForce
from sleeves.sim.matcher import Matcher
from sleeves.sim.models import FeeIn, Fees, Rules, Slippage

COIN = Asset("COIN", 4)
MARKET = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.1", lot="0.01", min_qty="0.05")
PLAIN = Rules(Fees(0, 0), Slippage.none())
QUARTER = MINUTE // 4


def matcher(rules: Rules = PLAIN, usd: str = "100000", coins: str = "1000", market: Instrument = MARKET) -> Matcher:
    return Matcher(market, {"USD": USD(usd), "COIN": COIN(coins)}, rules)


def ordered(order_id: str, side: Side, qty: int, worst: int | None = None, market: Instrument = MARKET, **terms: Any) -> Order:
    return Order(order_id, "sleeve", Place(market, side, qty, **terms), 0, worst)


# -- scripted markets ------------------------------------------------------------------------------------------------------


def read_order(words: list[str]) -> Order:
    """`a buy 10 limit 95 stop 100 worst 101 ioc post reduce`."""
    order_id, side, qty, *rest = words
    prices = {name: MARKET.price(rest[rest.index(name) + 1]) for name in ("limit", "stop", "worst") if name in rest}
    return ordered(
        order_id,
        Side(side),
        MARKET.qty(qty),
        prices.pop("worst", None),
        tif=TimeInForce.IOC if "ioc" in rest else TimeInForce.GTC,
        post_only="post" in rest,
        reduce_only="reduce" in rest,
        **prices,
    )


def statement(event: Event) -> str:
    when = f"{event.at // MINUTE}.{event.at % MINUTE // QUARTER}"
    if isinstance(event, Fill):
        price, qty = MARKET.price_text(event.price), MARKET.qty_text(event.qty)
        return f"{when} {event.order_id} fill {qty} at {price} {event.liquidity}"
    if isinstance(event, Accepted):
        return f"{when} {event.order_id} accepted"
    assert isinstance(event, Canceled | Rejected)
    return f"{when} {event.order_id} {type(event).__name__.lower()}: {event.reason}"


def play(exchange: Matcher, script: str) -> list[str]:
    """Run a script and tell what happened, one line for each event."""
    bar = 0
    for line in lines(script):
        words = line.split()
        if words[0] == ">":
            exchange.submit(read_order(words[1:]), bar * MINUTE)
        elif words[0] == "x":
            exchange.cancel(words[1], bar * MINUTE)
        else:
            prices = [MARKET.price(word) for word in words[:4]]
            volume = MARKET.base(words[4]).units // MARKET.lot_units if len(words) == 5 else -1
            exchange.advance(bar * MINUTE, MINUTE, *prices, volume)  # type: ignore[arg-type]
            bar += 1
    return [statement(event) for event in exchange.outbox]


def lines(text: str) -> list[str]:
    return text.split(" / ") if text else []


AT_MARKET = {
    "a buy at market fills at the next bar's open, whatever the bar it was decided on did": (
        "100 120 80 110 / > a buy 10 / 105 130 70 90",
        "1.0 a fill 10 at 105 taker",
    ),
    "a sale at market too": (
        "100 120 80 110 / > a sell 10 / 105 130 70 90",
        "1.0 a fill 10 at 105 taker",
    ),
    "two orders at market fill in the order in which they came": (
        "100 100 100 100 / > b buy 1 / > a sell 2 / 101 101 101 101",
        "1.0 b fill 1 at 101 taker / 1.0 a fill 2 at 101 taker",
    ),
    "an order before the first price ever seen fills at that price": (
        "> a sell 10 / 100 100 100 100",
        "0.0 a fill 10 at 100 taker",
    ),
    "a gap above what its hold covers cancels a buy at market": (
        "100 100 100 100 / > a buy 10 worst 100.5 / 100.6 101 100 100 / 100 100 100 100",
        "1.0 a canceled: the price 100.6 is beyond what the hold covers",
    ),
    "and exactly what its hold covers does not": (
        "100 100 100 100 / > a buy 10 worst 100.5 / 100.5 101 100 100",
        "1.0 a fill 10 at 100.5 taker",
    ),
}

LIMITS = {
    "a resting buy is not filled by a low that only touches its limit": (
        "100 100 100 100 / > a buy 10 limit 95 / 100 101 95 100",
        "1.0 a accepted",
    ),
    "one tick below fills it, at its limit, as maker": (
        "100 100 100 100 / > a buy 10 limit 95 / 100 101 94.9 100",
        "1.0 a accepted / 1.1 a fill 10 at 95 maker",
    ),
    "a resting sale is not filled by a high that only touches its limit": (
        "100 100 100 100 / > a sell 10 limit 105 / 100 105 99 100",
        "1.0 a accepted",
    ),
    "one tick above fills it": (
        "100 100 100 100 / > a sell 10 limit 105 / 100 105.1 99 100",
        "1.0 a accepted / 1.2 a fill 10 at 105 maker",
    ),
    "an open at a resting buy's limit only touches it": (
        "100 100 100 100 / > a buy 10 limit 95 / 100 101 99 100 / 95 96 95 96",
        "1.0 a accepted",
    ),
    "an open at a resting sale's limit only touches it": (
        "100 100 100 100 / > a sell 10 limit 105 / 100 101 99 100 / 105 105 104 104",
        "1.0 a accepted",
    ),
    "the low of the bar on which it was decided fills nothing": (
        "100 100 90 100 / > a buy 10 limit 95 / 100 100 96 100",
        "1.0 a accepted",
    ),
    "it rests for many bars": (
        "100 100 100 100 / > a buy 10 limit 95 / 100 100 96 100 / 100 100 96 100 / 100 100 94 100",
        "1.0 a accepted / 3.1 a fill 10 at 95 maker",
    ),
    "a marketable buy takes at the next open, not at its limit": (
        "100 100 100 100 / > a buy 10 limit 105 / 101 110 90 100",
        "1.0 a accepted / 1.0 a fill 10 at 101 taker",
    ),
    "a marketable sale too": (
        "100 100 100 100 / > a sell 10 limit 95 / 99 110 90 100",
        "1.0 a accepted / 1.0 a fill 10 at 99 taker",
    ),
    "an open exactly at the limit of a new order is taken": (
        "100 100 100 100 / > a buy 10 limit 101 / 101 110 101 105",
        "1.0 a accepted / 1.0 a fill 10 at 101 taker",
    ),
    "what was marketable when it was sent rests when the market has run away": (
        "100 100 100 100 / > a buy 10 limit 101 / 102 104 101.5 103 / 103 103 100.9 103",
        "1.0 a accepted / 2.1 a fill 10 at 101 maker",
    ),
    "of two resting buys the nearer one fills first": (
        "100 100 100 100 / > a buy 1 limit 93 / > b buy 1 limit 95 / 100 100 90 100",
        "1.0 a accepted / 1.0 b accepted / 1.1 b fill 1 at 95 maker / 1.1 a fill 1 at 93 maker",
    ),
    "of two at one price the older one fills first": (
        "100 100 100 100 / > b buy 1 limit 95 / > a buy 1 limit 95 / 100 100 90 100",
        "1.0 b accepted / 1.0 a accepted / 1.1 b fill 1 at 95 maker / 1.1 a fill 1 at 95 maker",
    ),
}

PATHS = {
    "a bar that closes up goes to its low first": (
        "100 100 100 100 / > s sell 10 limit 105 / > b buy 10 limit 95 / 100 110 90 100",
        "1.0 s accepted / 1.0 b accepted / 1.1 b fill 10 at 95 maker / 1.2 s fill 10 at 105 maker",
    ),
    "a bar that closes down goes to its high first": (
        "100 100 100 100 / > s sell 10 limit 105 / > b buy 10 limit 95 / 100 110 90 99.9",
        "1.0 s accepted / 1.0 b accepted / 1.1 s fill 10 at 105 maker / 1.2 b fill 10 at 95 maker",
    ),
    "what the low missed, the way down to the close can fill": (
        "100 100 100 100 / > s sell 10 stop 97 / 100 110 99 100 / 110 120 90 95",
        "1.0 s accepted / 2.2 s fill 10 at 97 taker",
    ),
    "the last quarter is the way to the close": (
        "100 100 100 100 / > b buy 10 stop 101 limit 100.5 / 100 105 90 100",
        "1.0 b accepted / 1.3 b fill 10 at 100.5 maker",
    ),
    "a stop loss before a take profit when the low comes first": (
        "100 100 100 100 / > profit sell 10 limit 105 / > loss sell 10 stop 95 / 100 110 90 100",
        "1.0 profit accepted / 1.0 loss accepted / 1.1 loss fill 10 at 95 taker / 1.2 profit fill 10 at 105 maker",
    ),
    "a take profit before a stop loss when the high comes first": (
        "100 100 100 100 / > profit sell 10 limit 105 / > loss sell 10 stop 95 / 100 110 90 99.9",
        "1.0 profit accepted / 1.0 loss accepted / 1.1 profit fill 10 at 105 maker / 1.2 loss fill 10 at 95 taker",
    ),
}

STOPS = {
    "a stop to buy goes off when the price reaches it": (
        "100 100 100 100 / > a buy 10 stop 105 / 100 105 99 100",
        "1.0 a accepted / 1.2 a fill 10 at 105 taker",
    ),
    "and not one tick before": (
        "100 100 100 100 / > a buy 10 stop 105 / 100 104.9 99 100",
        "1.0 a accepted",
    ),
    "a stop to sell goes off when the price reaches it": (
        "100 100 100 100 / > a sell 10 stop 95 / 100 101 95 100",
        "1.0 a accepted / 1.1 a fill 10 at 95 taker",
    ),
    "and not one tick above": (
        "100 100 100 100 / > a sell 10 stop 95 / 100 101 95.1 100",
        "1.0 a accepted",
    ),
    "a gap through a stop to sell fills at the open, below it": (
        "100 100 100 100 / > a sell 10 stop 95 / 100 100 99 100 / 90 92 89 91",
        "1.0 a accepted / 2.0 a fill 10 at 90 taker",
    ),
    "a gap through a stop to buy fills at the open, above it": (
        "100 100 100 100 / > a buy 10 stop 105 / 100 100 99 100 / 110 111 108 109",
        "1.0 a accepted / 2.0 a fill 10 at 110 taker",
    ),
    "an open exactly at a stop sets it off": (
        "100 100 100 100 / > a buy 10 stop 105 / 100 100 99 100 / 105 111 104 109",
        "1.0 a accepted / 2.0 a fill 10 at 105 taker",
    ),
    "a gap beyond what the hold of a stop to buy covers cancels it": (
        "100 100 100 100 / > a buy 10 stop 105 worst 105.5 / 106 107 106 107",
        "1.0 a accepted / 1.0 a canceled: the price 106 is beyond what the hold covers",
    ),
    "a stop that the market is already through goes off at the next open": (
        "100 100 100 100 / > a buy 10 stop 95 / 100 101 99 100",
        "1.0 a accepted / 1.0 a fill 10 at 100 taker",
    ),
    "a stop-limit with room takes when it goes off": (
        "100 100 100 100 / > a buy 10 stop 105 limit 106 / 100 110 99 100",
        "1.0 a accepted / 1.2 a fill 10 at 105 taker",
    ),
    "a gap through the stop of a stop-limit takes at the open": (
        "100 100 100 100 / > a buy 10 stop 105 limit 112 / 100 100 99 100 / 110 111 108 109",
        "1.0 a accepted / 2.0 a fill 10 at 110 taker",
    ),
    "a stop-limit whose limit the gap has passed rests at its limit": (
        "100 100 100 100 / > a buy 10 stop 105 limit 106 / 107 108 106 107 / 107 107 105.9 107",
        "1.0 a accepted / 2.1 a fill 10 at 106 maker",
    ),
    "a stop-limit to sell below a gap rests at its limit": (
        "100 100 100 100 / > a sell 10 stop 95 limit 94 / 93 94 92 93 / 93 94.1 92 93",
        "1.0 a accepted / 2.2 a fill 10 at 94 maker",
    ),
    "a stop-limit that is not off yet is no limit": (
        "100 100 100 100 / > a buy 10 stop 105 limit 104 / 100 104.9 90 100",
        "1.0 a accepted",
    ),
    "once off it rests, and fills on the way back": (
        "100 100 100 100 / > a buy 10 stop 105 limit 104 / 100 105 100 103.9",
        "1.0 a accepted / 1.3 a fill 10 at 104 maker",
    ),
}

POST_ONLY = {
    "post-only that would take is rejected": (
        "100 100 100 100 / > a buy 10 limit 101 post / > b sell 10 limit 99 post / 101 102 98 100",
        "1.0 a rejected: post only order would take / 1.0 b rejected: post only order would take",
    ),
    "at the very price it would take too": (
        "100 100 100 100 / > a buy 10 limit 100 post / > b sell 10 limit 100 post",
        "1.0 a rejected: post only order would take / 1.0 b rejected: post only order would take",
    ),
    "one tick away it rests": (
        "100 100 100 100 / > a buy 10 limit 99.9 post / > b sell 10 limit 100.1 post / 100 100.1 99.9 100",
        "1.0 a accepted / 1.0 b accepted",
    ),
}

REFUSED = {
    "below the least quantity": (
        "100 100 100 100 / > a buy 0.04",
        "1.0 a rejected: order minimum or lot not met",
    ),
    "exactly the least quantity is taken": (
        "100 100 100 100 / > a buy 0.05 / 100 100 100 100",
        "1.0 a fill 0.05 at 100 taker",
    ),
    "more coins than there are": (
        "100 100 100 100 / > a sell 1000.01",
        "1.0 a rejected: insufficient funds",
    ),
    "exactly the coins that there are": (
        "100 100 100 100 / > a sell 1000 / 100 100 100 100",
        "1.0 a fill 1000 at 100 taker",
    ),
    "more money than there is": (
        "100 100 100 100 / > a buy 999 limit 100.2",
        "1.0 a rejected: insufficient funds",
    ),
    "exactly the money that there is": (
        "100 100 100 100 / > a buy 1000 limit 100",
        "1.0 a accepted",
    ),
    "more at market than the money at the last price": (
        "100 100 100 100 / > a buy 1000 / > b buy 0.05",
        "1.0 b rejected: insufficient funds",
    ),
    "what an older order holds": (
        "100 100 100 100 / > a sell 600 limit 110 / > b sell 401 limit 110 / > c sell 400 limit 110",
        "1.0 a accepted / 1.0 b rejected: insufficient funds / 1.0 c accepted",
    ),
    "what an older order has held until it was canceled": (
        "100 100 100 100 / > a sell 600 limit 110 / x a / > b sell 1000 limit 110",
        "1.0 a accepted / 1.0 a canceled: requested / 1.0 b accepted",
    ),
    "a buy that should reduce": (
        "100 100 100 100 / > a buy 10 reduce",
        "1.0 a rejected: reduce only: no position to reduce",
    ),
    "a sale that should reduce": (
        "100 100 100 100 / > a sell 10 reduce / 100 100 100 100",
        "1.0 a fill 10 at 100 taker",
    ),
}

IOC = {
    "a limit that is not marketable at the first price is canceled": (
        "100 100 100 100 / > a buy 10 limit 99 ioc / 100 100 90 100",
        "1.0 a accepted / 1.0 a canceled: immediate or cancel",
    ),
    "a marketable one fills": (
        "100 100 100 100 / > a buy 10 limit 101 ioc / 100 100 90 100",
        "1.0 a accepted / 1.0 a fill 10 at 100 taker",
    ),
    "one at market fills": (
        "100 100 100 100 / > a sell 10 ioc / 100 100 90 100",
        "1.0 a fill 10 at 100 taker",
    ),
}

CANCELS = {
    "a canceled order never fills": (
        "100 100 100 100 / > a buy 10 limit 95 / 100 100 99 100 / x a / 100 100 90 100",
        "1.0 a accepted / 2.0 a canceled: requested",
    ),
    "an order at market can be canceled before the next price": (
        "100 100 100 100 / > a buy 10 / x a / 100 100 90 100",
        "1.0 a canceled: requested",
    ),
    "a cancel of nothing does nothing": (
        "100 100 100 100 / x nobody",
        "",
    ),
    "a second cancel does nothing": (
        "100 100 100 100 / > a buy 10 limit 95 / x a / x a",
        "1.0 a accepted / 1.0 a canceled: requested",
    ),
    "a cancel after the fill does nothing": (
        "100 100 100 100 / > a buy 10 / 100 100 100 100 / x a",
        "1.0 a fill 10 at 100 taker",
    ),
    "the same id again does nothing, be it open": (
        "100 100 100 100 / > a buy 1 limit 90 / > a buy 1 limit 90 / 100 100 89 100",
        "1.0 a accepted / 1.1 a fill 1 at 90 maker",
    ),
    "or filled": (
        "100 100 100 100 / > a buy 1 / 100 100 99 100 / > a buy 1 / 100 100 99 100",
        "1.0 a fill 1 at 100 taker",
    ),
    "or canceled": (
        "100 100 100 100 / > a buy 1 limit 90 / x a / > a buy 1 limit 90 / 100 100 89 100",
        "1.0 a accepted / 1.0 a canceled: requested",
    ),
    "or rejected": (
        "100 100 100 100 / > a buy 0.01 / > a buy 1 / 100 100 99 100",
        "1.0 a rejected: order minimum or lot not met",
    ),
}


def cases(*tables: dict[str, tuple[str, str]]) -> Any:
    table = {name: case for cases in tables for name, case in cases.items()}
    return pytest.mark.parametrize(("script", "expected"), table.values(), ids=table.keys())


@cases(AT_MARKET, LIMITS, PATHS, STOPS, POST_ONLY, REFUSED, IOC, CANCELS)
def test_a_scripted_market_without_costs(script: str, expected: str) -> None:
    assert play(matcher(), script) == lines(expected)


TENTH = Rules(Fees(0, 0), Slippage.none(), 100_000)

VOLUME = {
    "a large order takes its part of each bar until it is done": (
        "100 100 100 100 10 / > a buy 2.5 / 100 100 100 100 10 / 101 101 101 101 5 / 102 102 102 102 0 / 103 103 103 103 100",
        "1.0 a fill 1 at 100 taker / 2.0 a fill 0.5 at 101 taker / 4.0 a fill 1 at 103 taker",
    ),
    "its part is rounded down to whole lots": (
        "100 100 100 100 10 / > a sell 10 / 100 100 100 100 0.09 / 100 100 100 100 0.19",
        "2.0 a fill 0.01 at 100 taker",
    ),
    "orders share one bar's part, the older first": (
        "100 100 100 100 10 / > a buy 0.7 / > b sell 0.7 / 100 100 100 100 10",
        "1.0 a fill 0.7 at 100 taker / 1.0 b fill 0.3 at 100 taker",
    ),
    "what the path reaches shares it too, the nearer first": (
        "100 100 100 100 10 / > a buy 0.7 limit 94 / > b buy 0.7 limit 95 / 100 100 90 100 10",
        "1.0 a accepted / 1.0 b accepted / 1.1 b fill 0.7 at 95 maker / 1.1 a fill 0.3 at 94 maker",
    ),
    "a resting limit fills in parts at its limit": (
        "100 100 100 100 10 / > a buy 1 limit 95 / 100 100 94 100 6 / 100 100 94 100 6",
        "1.0 a accepted / 1.1 a fill 0.6 at 95 maker / 2.1 a fill 0.4 at 95 maker",
    ),
    "what took at the open leaves less for what the path reaches": (
        "100 100 100 100 10 / > a buy 1 limit 95 / > b buy 0.7 / 100 100 94 100 10",
        "1.0 a accepted / 1.0 b fill 0.7 at 100 taker / 1.1 a fill 0.3 at 95 maker",
    ),
    "a stop that went off goes on taking at later opens": (
        "100 100 100 100 10 / > a sell 1 stop 95 / 100 100 94 94 6 / 93 93 93 93 6",
        "1.0 a accepted / 1.2 a fill 0.6 at 95 taker / 2.0 a fill 0.4 at 93 taker",
    ),
    "the rest of a buy at market is canceled by a gap above what its hold covers": (
        "100 100 100 100 10 / > a buy 1 worst 100.5 / 100 100 100 100 6 / 100.6 101 100 100 6",
        "1.0 a fill 0.6 at 100 taker / 2.0 a canceled: the price 100.6 is beyond what the hold covers",
    ),
    "what is left can be canceled": (
        "100 100 100 100 10 / > a buy 1 / 100 100 100 100 6 / x a / 100 100 100 100 6",
        "1.0 a fill 0.6 at 100 taker / 2.0 a canceled: requested",
    ),
    "where the volume is not known, nothing limits a fill": (
        "100 100 100 100 / > a buy 900 / 100 100 100 100",
        "1.0 a fill 900 at 100 taker",
    ),
    "immediate or cancel at market: what one bar's part leaves is canceled": (
        "100 100 100 100 10 / > a buy 1 ioc / 100 100 100 100 6 / 100 100 100 100 6",
        "1.0 a fill 0.6 at 100 taker / 1.0 a canceled: immediate or cancel",
    ),
}


@cases(VOLUME)
def test_a_fill_takes_a_tenth_of_each_bars_volume(script: str, expected: str) -> None:
    assert play(matcher(TENTH), script) == lines(expected)


REMAINDERS = {
    "a marketable limit takes on at the next open, for as long as that is within its limit": (
        "100 100 100 100 10 / > a buy 1 limit 110 / 100 100 100 100 6 / 101 102 99 100 6",
        "1.0 a accepted / 1.0 a fill 0.6 at 100 taker / 2.0 a fill 0.4 at 101 taker",
    ),
    "a marketable limit that met no volume does not pay its limit later": (
        "100 100 100 100 10 / > a buy 0.5 limit 110 / 100 100 100 100 0 / 100 101 99 100 6",
        "1.0 a accepted / 2.0 a fill 0.5 at 100 taker",
    ),
    "a marketable limit that met no volume rests once the market has closed beyond it": (
        "100 100 100 100 10 / > a buy 0.5 limit 101 / 100 103 100 103 0 / 100 100 100 100 6",
        "1.0 a accepted / 2.0 a fill 0.5 at 101 maker",
    ),
    "a stop-limit that went off into too little volume takes on too": (
        "100 100 100 100 10 / > a buy 1 stop 105 limit 110 / 100 106 100 104 6 / 104 105 103 104 6",
        "1.0 a accepted / 1.2 a fill 0.6 at 105 taker / 2.0 a fill 0.4 at 104 taker",
    ),
    "immediate or cancel with a limit: what one bar's part leaves is canceled, once": (
        "100 100 100 100 10 / > a buy 1 limit 110 ioc / 100 100 100 100 6 / 100 100 100 100 6",
        "1.0 a accepted / 1.0 a fill 0.6 at 100 taker / 1.0 a canceled: immediate or cancel",
    ),
    "immediate or cancel at market is canceled by a bar without volume": (
        "100 100 100 100 10 / > a buy 1 ioc / 100 100 100 100 0 / 100 100 100 100 100",
        "1.0 a canceled: immediate or cancel",
    ),
    "immediate or cancel with a stop is canceled when it goes off into no volume": (
        "100 100 100 100 10 / > a buy 1 stop 105 ioc / 100 105 100 105 0 / 100 110 100 100 100",
        "1.0 a accepted / 1.2 a canceled: immediate or cancel",
    ),
}


@cases(REMAINDERS)
def test_what_a_bars_volume_leaves_over(script: str, expected: str) -> None:
    assert play(matcher(TENTH), script) == lines(expected)


@pytest.mark.parametrize("post", ["", "post"])
@pytest.mark.parametrize(
    ("order", "bar"),
    [
        ("buy 10 limit 95", "90 92 89 91"),
        ("buy 10 limit 95", "90 91 90 91"),  # only up from its open
        ("buy 10 limit 95", "90 90 90 90"),
        ("buy 10 limit 95", "94.9 100 94.9 100"),
        ("sell 10 limit 105", "110 111 108 109"),
        ("sell 10 limit 105", "110 110 109 109"),  # only down from its open
        ("sell 10 limit 105", "110 110 110 110"),
        ("sell 10 limit 105", "105.1 105.1 100 100"),
    ],
)
@pytest.mark.parametrize("quiet_bars", [0, 1, 5])
def test_a_resting_limit_that_was_gapped_through_is_filled_at_its_limit_as_maker(order: str, bar: str, quiet_bars: int, post: str) -> None:
    """The price traded through it, wherever in the bar one says that it happened."""
    if not quiet_bars and not post:
        return  # that order came just now, and takes at the open
    events = play(matcher(), " / ".join(["100 100 100 100", f"> a {order} {post}", *["100 101 99 100"] * quiet_bars, bar]))
    price = order.rpartition(" ")[2]
    assert [line.split(" ", 1)[1] for line in events] == ["a accepted", f"a fill 10 at {price} maker"]


@pytest.mark.parametrize("bar", ["95 101.5 95 101.5", "101 101.5 100.5 101"])
def test_a_post_only_stop_that_would_take_does_not_fill(bar: str) -> None:
    """It goes off at 100 on the way up, or at an open of 101, where its limit of 102 would take."""
    events = play(matcher(), f"105 105 105 105 / > a buy 10 stop 100 limit 102 post / {bar}")
    assert events == ["1.0 a accepted", f"{'1.2' if bar[:2] == '95' else '1.0'} a canceled: post only order would take"]


def test_immediate_or_cancel_with_a_stop_and_a_limit_does_not_rest() -> None:
    """It goes off at 105, beyond its limit: what does not fill at that price is canceled."""
    events = play(matcher(), "100 100 100 100 / > a buy 10 stop 105 limit 104 ioc / 100 106 100 106 / 106 106 90 95")
    assert events == ["1.0 a accepted", "1.2 a canceled: immediate or cancel"]


# -- costs -----------------------------------------------------------------------------------------------------------------

COSTLY = Rules(Fees(2_500, 4_000), Slippage(1_000, 3_000, "1000"))


def only_fill(exchange: Matcher, script: str) -> Fill:
    play(exchange, script)
    (fill,) = [event for event in exchange.outbox if isinstance(event, Fill)]
    return fill


@pytest.mark.parametrize("script", ["buy 10 limit 100", "buy 10 limit 100.1", "sell 10 limit 100"])
def test_a_limit_that_any_slippage_would_break_waits(script: str) -> None:
    events = play(matcher(COSTLY), f"100 100 100 100 / > a {script} / 100 100 100 100")
    assert events == ["1.0 a accepted"]


@pytest.mark.parametrize("worst", ["100", "100.1"])
def test_an_order_at_market_that_its_hold_does_not_cover_with_its_slippage_is_canceled(worst: str) -> None:
    events = play(matcher(COSTLY), f"100 100 100 100 / > a buy 10 worst {worst} / 100 100 100 100")
    assert events == ["1.0 a canceled: more of it would slip beyond what the hold covers"]


@pytest.mark.parametrize(
    ("script", "price", "cost", "fee"),
    [
        # 0.3% beyond 1,000 coins of size: up for who buys, down for who sells
        ("100 100 100 100 / > a buy 10 / 100 100 100 100", "100.3", "1003", "4.012"),
        ("100 100 100 100 / > a sell 10 / 100 100 100 100", "99.7", "997", "3.988"),
        # 0.2% at half of it
        ("100 100 100 100 / > a buy 5 / 100 100 100 100", "100.2", "501", "2.004"),
        # a marketable limit takes as much as slips no further than its limit, and the rest of it waits there
        ("100 100 100 100 / > a buy 10 limit 100.2 / 100 100 100 100", "100.2", "501", "2.004"),
        ("100 100 100 100 / > a buy 10 limit 100.3 / 100 100 100 100", "100.3", "1003", "4.012"),
        ("100 100 100 100 / > a buy 10 limit 101 / 100 100 100 100", "100.3", "1003", "4.012"),
        ("100 100 100 100 / > a sell 10 limit 99.8 / 100 100 100 100", "99.8", "499", "1.996"),
        ("100 100 100 100 / > a sell 10 limit 99 / 100 100 100 100", "99.7", "997", "3.988"),
        # and a buy at market as much as its hold covers
        ("100 100 100 100 / > a buy 10 worst 100.2 / 100 100 100 100", "100.2", "501", "2.004"),
        ("100 100 100 100 / > a buy 10 worst 100.3 / 100 100 100 100", "100.3", "1003", "4.012"),
        # a resting limit pays no slippage and the maker's fee
        ("100 100 100 100 / > a buy 10 limit 95 / 100 100 90 100", "95", "950", "2.375"),
        # a stop pays slippage from its own price, or from the open that gapped through it
        ("100 100 100 100 / > a sell 10 stop 95 / 100 100 90 100", "94.7", "947", "3.788"),
        ("100 100 100 100 / > a sell 20 stop 95 / 90 90 90 90", "89.7", "1794", "7.176"),
        # a stop-limit pays slippage within its limit
        ("100 100 100 100 / > a buy 10 stop 105 limit 105.2 / 100 110 100 110", "105.2", "452.36", "1.80944"),
    ],
)
def test_a_fill_costs_its_slippage_and_its_fee(script: str, price: str, cost: str, fee: str) -> None:
    exchange = matcher(COSTLY)
    fill = only_fill(exchange, script)
    assert (MARKET.price_text(fill.price), USD.units(fill.cost).text, fill.fee) == (price, cost, USD(fee))
    sign = fill.side.sign
    assert exchange.balances() == {
        "USD": USD("100000") - USD.units(sign * fill.cost) - fill.fee,
        "COIN": COIN("1000") + COIN.units(sign * fill.qty),
    }


def test_a_fee_in_the_coin_received_comes_out_of_it() -> None:
    exchange = matcher(Rules(Fees(2_500, 4_000, FeeIn.RECEIVED), Slippage.none()))
    fill = only_fill(exchange, "100 100 100 100 / > a buy 10 / 100 100 100 100")
    assert fill.fee == COIN("0.04")
    assert exchange.balances() == {"USD": USD("99000"), "COIN": COIN("1009.96")}


def test_a_rebate_comes_in() -> None:
    exchange = matcher(Rules(Fees(-100, 4_000), Slippage.none()))
    fill = only_fill(exchange, "100 100 100 100 / > a buy 10 limit 95 / 100 100 90 100")
    assert fill.fee == USD("-0.095")
    assert exchange.balances()["USD"] == USD("99050.095")


# -- the account -----------------------------------------------------------------------------------------------------------


def test_an_account_that_counts_a_coin_otherwise_is_refused() -> None:
    with pytest.raises(InvalidMarket, match="decimal places"):
        Matcher(MARKET, {"COIN": Asset("COIN", 8)("1")})


def test_coins_that_the_market_does_not_trade_stay_as_they_are() -> None:
    exchange = Matcher(MARKET, {"USD": USD("1000"), "EUR": Asset("EUR", 6)("7")}, PLAIN)
    play(exchange, "100 100 100 100 / > a buy 1 / 100 100 100 100")
    assert exchange.balances() == {"USD": USD("900"), "EUR": Asset("EUR", 6)("7"), "COIN": COIN("1")}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (Instrument("DOGE/USD", base=Asset("DOGE", 4), quote=USD, tick="0.1", lot="0.01"), "unknown instrument DOGE/USD"),
        # the same symbol on other terms is another instrument
        (Instrument("COIN/USD", base=COIN, quote=USD, tick="0.01", lot="0.01"), "unknown instrument COIN/USD"),
    ],
)
def test_an_order_for_another_market_is_rejected(other: Instrument, reason: str) -> None:
    exchange = matcher()
    exchange.submit(ordered("a", Side.BUY, 1_000, market=other), 7)
    assert list(exchange.outbox) == [Rejected("a", 7, reason)]
    assert exchange.available("USD") == USD("100000").units


@pytest.mark.parametrize("terms", [{"limit": 1_005}, {"stop": 1_005}, {"stop": 1_000, "limit": 1_001}])
def test_a_price_off_the_tick_is_rejected(terms: dict[str, int]) -> None:
    market = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.2", lot="0.01")
    exchange = matcher(market=market)
    exchange.submit(ordered("a", Side.SELL, 1_000, market=market, **terms), 0)
    assert list(exchange.outbox) == [Rejected("a", 0, "tick size check failed")]


@pytest.mark.parametrize("qty", [501, 550, 599])
def test_a_quantity_off_the_lot_is_rejected(qty: int) -> None:
    exchange = matcher()
    exchange.submit(ordered("a", Side.SELL, qty), 0)
    assert list(exchange.outbox) == [Rejected("a", 0, "order minimum or lot not met")]


def test_reduce_only_needs_a_coin_to_reduce() -> None:
    exchange = matcher(coins="0")
    exchange.submit(ordered("a", Side.SELL, 1_000, reduce_only=True), 0)
    assert list(exchange.outbox) == [Rejected("a", 0, "reduce only: no position to reduce")]


@pytest.mark.parametrize(
    ("qty", "terms", "taken"),
    [
        ("0.1", {"limit": "100"}, True),
        ("0.1", {"limit": "99.9"}, False),
        ("0.1", {"stop": "99.9"}, False),
        ("0.1", {}, True),  # at market: by the last price
        ("0.09", {}, False),
    ],
)
def test_an_order_worth_less_than_the_venue_takes_is_rejected(qty: str, terms: dict[str, str], taken: bool) -> None:
    """`min_notional` is the venue's least order, and this is the venue."""
    market = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.1", lot="0.01", min_notional="10")
    exchange = matcher(market=market)
    exchange.advance(0, MINUTE, 1_000, 1_000, 1_000, 1_000)
    exchange.submit(ordered("a", Side.SELL, market.qty(qty), market=market, **{k: market.price(v) for k, v in terms.items()}), 0)
    assert (not any(isinstance(event, Rejected) for event in exchange.outbox)) is taken


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("price", range(1_000, 1_010))
def test_parts_of_an_order_never_cost_more_than_was_set_aside(parts: int, price: int) -> None:
    """Cost and fee of each part are rounded up by themselves; an account with just enough for the order is not overdrawn."""
    market = Instrument("COIN/CENT", base=COIN, quote=Asset("CENT", 0), tick="0.1", lot="0.01")
    rules = Rules(Fees(4_000, 4_000), Slippage.none(), PPM)
    order = Order("a", "sleeve", Place(market, Side.BUY, 300 * parts, limit=price), 0)
    for cents in range(1, 1_000):
        exchange = Matcher(market, {"CENT": market.quote.units(cents)}, rules)
        exchange.submit(order, 0)
        if isinstance(exchange.outbox[0], Accepted):
            break
    for bar in range(parts):
        exchange.advance(bar * MINUTE, MINUTE, price, price, price - 1, price, 3)
        assert exchange.available("CENT") >= 0
    assert exchange.balances()["COIN"].units == 300 * parts


@pytest.mark.parametrize(
    ("order", "bar", "inside"),
    [
        ("buy 10 stop 105", "100 105 99 100", "100 104.9 90 100"),
        ("sell 10 stop 95", "100 101 95 100", "100 110 95.1 100"),
        ("buy 10 limit 95", "100 101 94.9 100", "100 110 95.1 100"),
        ("sell 10 limit 105", "100 105.1 99 100", "100 104.9 90 100"),
    ],
)
def test_a_caller_sees_by_two_prices_whether_a_bar_can_do_anything(order: str, bar: str, inside: str) -> None:
    """A bar that sets an order off is at or beyond a trigger; one that stays a tick away from all orders may be skipped."""
    exchange = matcher()
    play(exchange, f"100 100 100 100 / > a {order} / 100 100 100 100")
    for text, skipped in ((inside, True), (bar, False)):
        _, high, low, _ = (MARKET.price(word) for word in text.split())
        assert (exchange.low_trigger < low and high < exchange.high_trigger) is skipped
    assert "fill" in play(exchange, bar)[-1]
    assert exchange.low_trigger < 1
    assert exchange.high_trigger > 10**12


# -- laws over random markets ----------------------------------------------------------------------------------------------


@frozen
class Bar:
    open: int
    high: int
    low: int
    close: int
    volume: int


@frozen
class Market:
    """A random market: bars, what is submitted and canceled after each, and the venue's terms."""

    rules: Rules
    usd: int
    coins: int
    bars: tuple[Bar, ...]
    orders: tuple[tuple[Order, ...], ...]
    cancels: tuple[tuple[str, ...], ...]
    market: Instrument = field(default=MARKET)

    def matcher(self) -> Matcher:
        return Matcher(self.market, {"USD": USD.units(self.usd), "COIN": COIN.units(self.coins)}, self.rules)

    def all_orders(self) -> dict[str, Order]:
        return {order.id: order for orders in self.orders for order in orders}


LOW, HIGH = 980, 1_020  # a narrow market, so that orders meet prices, and each other, often
ticks = st.integers(LOW, HIGH)


def bars(with_volume: bool) -> st.SearchStrategy[Bar]:
    return st.builds(
        lambda prices, volume: Bar(prices[0], max(prices), min(prices), prices[1], volume if with_volume else -1),
        st.tuples(ticks, ticks, ticks, ticks),
        st.integers(0, 400),
    )


GTC, IOC_ = TimeInForce.GTC, TimeInForce.IOC
SHAPES = [
    ((), GTC, False),
    (("limit",), GTC, False),
    (("limit",), GTC, True),
    (("stop",), GTC, False),
    (("limit", "stop"), GTC, False),
    ((), IOC_, False),
    (("limit",), IOC_, False),
    (("stop",), IOC_, False),
    (("limit", "stop"), IOC_, False),
]


def orders(order_id: str) -> st.SearchStrategy[Order]:
    """Orders of every shape; a buy comes with its worst price, as the desk sends it."""

    def order(side: Side, lots: int, shape: tuple[tuple[str, ...], TimeInForce, bool], limit: int, stop: int) -> Order:
        named, tif, post_only = shape
        prices = {name: price for name, price in (("limit", limit), ("stop", stop)) if name in named}
        worst = prices.get("limit", stop + 5) if side is Side.BUY else None
        return ordered(order_id, side, lots * MARKET.lot_units, worst, tif=tif, post_only=post_only, **prices)

    return st.builds(order, st.sampled_from(Side), st.integers(5, 300), st.sampled_from(SHAPES), ticks, ticks)


fee_rates = st.integers(-500, 5_000)
all_rules = st.builds(
    Rules,
    st.builds(Fees, fee_rates, fee_rates, st.sampled_from(FeeIn)),
    st.sampled_from([Slippage.none(), Slippage(1_000, 3_000, "100"), Slippage(0, 20_000, "200")]),
    st.sampled_from([None, 100_000, 500_000, PPM]),
)


@st.composite
def markets(draw: st.DrawFn, rules: st.SearchStrategy[Rules] = all_rules) -> Market:
    terms = draw(rules)
    count = draw(st.integers(2, 8))
    with_volume = draw(st.booleans())
    placed: list[tuple[Order, ...]] = []
    for bar in range(count):
        placed.append(tuple(draw(orders(f"{bar}{letter}")) for letter in "abc"[: draw(st.integers(0, 2))]))
    names = [order.id for some in placed for order in some] or ["nobody"]
    return Market(
        terms,
        draw(st.integers(0, 1_000)) * 10**6,
        draw(st.integers(0, 20)) * 10**4,
        tuple(draw(st.lists(bars(with_volume), min_size=count, max_size=count))),
        tuple(placed),
        tuple((name,) if name else () for name in draw(st.lists(st.sampled_from(["", *names]), min_size=count, max_size=count))),
    )


def step(exchange: Matcher, market: Market, number: int) -> list[Event]:
    """One bar and what is submitted and canceled after it; the events of it."""
    bar = market.bars[number]
    exchange.advance(number * MINUTE, MINUTE, bar.open, bar.high, bar.low, bar.close, bar.volume)
    for order in market.orders[number]:
        exchange.submit(order, (number + 1) * MINUTE)
    for order_id in market.cancels[number]:
        exchange.cancel(order_id, (number + 1) * MINUTE)
    events = list(exchange.outbox)
    exchange.outbox.clear()
    return events


def run(market: Market) -> tuple[Matcher, list[list[Event]]]:
    exchange = market.matcher()
    return exchange, [step(exchange, market, number) for number in range(len(market.bars))]


def fills(events: Iterable[Iterable[Event]]) -> Iterator[tuple[int, Fill]]:
    """Each fill with the number of its bar."""
    for number, some in enumerate(events):
        for event in some:
            if isinstance(event, Fill):
                yield number, event


def ended(events: Sequence[Sequence[Event]], market: Market) -> set[str]:
    """The ids of the orders that are off the book by what the events say."""
    filled: dict[str, int] = {}
    for _, fill in fills(events):
        filled[fill.order_id] = filled.get(fill.order_id, 0) + fill.qty
    off = {event.order_id for some in events for event in some if isinstance(event, Canceled | Rejected)}
    return off | {order.id for order in market.all_orders().values() if filled.get(order.id) == order.place.qty}


def sums(market: Market, events: Sequence[Sequence[Event]]) -> dict[str, Amount]:
    """The balances recomputed from the fills alone."""
    usd, coins = market.usd, market.coins
    for _, fill in fills(events):
        usd -= fill.side.sign * fill.cost + (fill.fee.units if fill.fee.asset == USD else 0)
        coins += fill.side.sign * fill.qty - (fill.fee.units if fill.fee.asset == COIN else 0)
    return {"USD": USD.units(usd), "COIN": COIN.units(coins)}


@settings(max_examples=60)
@given(markets())
def test_balances_move_by_the_fills_told_and_by_nothing_else(market: Market) -> None:
    exchange, events = run(market)
    assert exchange.balances() == sums(market, events)


@settings(max_examples=60)
@given(markets())
def test_a_fill_costs_its_price_times_its_quantity_and_an_order_in_parts_no_less(market: Market) -> None:
    """To the unit for each fill, and over all fills of an order rounded against it: a buyer pays at least what is due."""
    _, events = run(market)
    exact: dict[str, Fraction] = {}
    paid: dict[str, int] = {}
    for _, fill in fills(events):
        due = Fraction(fill.price, 10**MARKET.price_scale) * Fraction(fill.qty, 10**COIN.scale) * 10**USD.scale
        assert floor(due) <= fill.cost <= ceil(due)
        fee = market.rules.fees.charge(MARKET, fill.side, fill.qty, fill.cost, fill.liquidity)
        assert fill.fee.asset == fee.asset
        assert abs(fill.fee.units - fee.units) <= 1
        exact[fill.order_id] = exact.get(fill.order_id, Fraction(0)) + fill.side.sign * due
        paid[fill.order_id] = paid.get(fill.order_id, 0) + fill.side.sign * fill.cost
    assert all(paid[order_id] >= due for order_id, due in exact.items())


@settings(max_examples=150)
@given(markets())
def test_no_account_is_ever_overdrawn(market: Market) -> None:
    exchange = market.matcher()
    for number in range(len(market.bars)):
        step(exchange, market, number)
        assert exchange.available("USD") >= 0
        assert exchange.available("COIN") >= 0


@settings(max_examples=60)
@given(markets())
def test_nothing_stays_held_for_orders_that_are_over(market: Market) -> None:
    exchange, events = run(market)
    for order_id in market.all_orders():
        exchange.cancel(order_id, 0)
    assert {event.order_id for event in exchange.outbox} == market.all_orders().keys() - ended(events, market)
    assert {code: exchange.available(code) for code in ("USD", "COIN")} == {c: a.units for c, a in exchange.balances().items()}


@settings(max_examples=60)
@given(markets())
def test_an_order_fills_no_more_than_its_quantity_and_nothing_after_its_end(market: Market) -> None:
    _, events = run(market)
    known = market.all_orders()
    left = {order.id: order.place.qty for order in known.values()}
    over: set[str] = set()
    for event in (event for some in events for event in some):
        assert event.order_id not in over  # type: ignore[union-attr]
        if isinstance(event, Fill):
            assert event.side is known[event.order_id].place.side
            assert event.qty % MARKET.lot_units == 0
            left[event.order_id] -= event.qty
            assert left[event.order_id] >= 0
        if isinstance(event, Canceled | Rejected) or (isinstance(event, Fill) and not left[event.order_id]):
            over.add(event.order_id)


@settings(max_examples=150)
@given(markets())
def test_no_fill_is_worse_than_its_limit_or_than_what_its_hold_covers(market: Market) -> None:
    _, events = run(market)
    known = market.all_orders()
    for _, fill in fills(events):
        order = known[fill.order_id]
        if order.place.limit is not None:
            assert (order.place.limit - fill.price) * fill.side.sign >= 0
        if order.worst is not None:
            assert fill.price <= order.worst


@settings(max_examples=150)
@given(markets())
def test_every_fill_is_at_a_price_that_traded_or_the_slippage_beyond_it(market: Market) -> None:
    """A taker pays a price of the bar and its slippage; a maker gets its limit, which the price has gone through.

    A limit that waits beyond the market, because more of it would have slipped beyond it, is filled at its limit too.
    """
    _, events = run(market)
    known = market.all_orders()
    for number, fill in fills(events):
        place, bar = known[fill.order_id].place, market.bars[number]
        buy = place.side is Side.BUY
        if fill.liquidity is Liquidity.MAKER:
            assert fill.price == place.limit
            assert bar.low < fill.price if buy else fill.price < bar.high
        else:
            best, worst = (bar.low, bar.high) if buy else (bar.high, bar.low)
            bound = market.rules.slippage.fill_price(MARKET, place.side, fill.qty, worst)
            assert best <= fill.price <= bound if buy else bound <= fill.price <= best


@settings(max_examples=60)
@given(markets())
def test_a_bar_gives_no_more_than_its_part_of_the_volume(market: Market) -> None:
    _, events = run(market)
    part = market.rules.participation_ppm
    for number, bar in enumerate(market.bars):
        traded = sum(fill.qty for at, fill in fills(events) if at == number)
        if part is not None and bar.volume >= 0:
            assert traded * PPM <= bar.volume * MARKET.lot_units * part


@settings(max_examples=150)
@given(markets())
def test_a_bar_between_the_triggers_may_be_skipped(market: Market) -> None:
    """Nothing happens in it; and a run that skips such bars, as a fast caller does, tells the same events."""
    full, quick = market.matcher(), market.matcher()
    for number, bar in enumerate(market.bars):
        between = full.low_trigger < bar.low and bar.high < full.high_trigger
        state = full.balances(), full.available("USD"), full.available("COIN"), full.low_trigger, full.high_trigger
        full.advance(number * MINUTE, MINUTE, bar.open, bar.high, bar.low, bar.close, bar.volume)
        if between:
            assert not full.outbox
            assert state == (full.balances(), full.available("USD"), full.available("COIN"), full.low_trigger, full.high_trigger)
        if bar.low <= quick.low_trigger or bar.high >= quick.high_trigger:
            quick.advance(number * MINUTE, MINUTE, bar.open, bar.high, bar.low, bar.close, bar.volume)
        else:
            quick.last = bar.close
        for exchange in (full, quick):
            for order in market.orders[number]:
                exchange.submit(order, (number + 1) * MINUTE)
            for order_id in market.cancels[number]:
                exchange.cancel(order_id, (number + 1) * MINUTE)
        assert list(full.outbox) == list(quick.outbox)
        full.outbox.clear()
        quick.outbox.clear()


@settings(max_examples=60)
@given(markets(), st.data())
def test_what_comes_later_changes_nothing_that_has_happened(market: Market, data: st.DataObject) -> None:
    """No look-ahead: with other bars after it, the events up to a bar are the same."""
    here = data.draw(st.integers(0, len(market.bars) - 1))
    others = tuple(data.draw(bars(False)) for _ in market.bars[here + 1 :])
    _, one = run(market)
    _, other = run(Market(market.rules, market.usd, market.coins, market.bars[: here + 1] + others, market.orders, market.cancels))
    assert one[: here + 1] == other[: here + 1]


@settings(max_examples=60)
@given(markets())
def test_an_order_does_nothing_on_the_bar_that_it_was_decided_on_and_time_does_not_run_backwards(market: Market) -> None:
    _, events = run(market)
    decided = {order.id: number for number, some in enumerate(market.orders) for order in some}
    for number, fill in fills(events):
        assert number > decided[fill.order_id]
        assert number * MINUTE <= fill.at < (number + 1) * MINUTE
    assert all(a.at <= b.at for a, b in pairwise([event for some in events for event in some]))


@settings(max_examples=150)
@given(markets(st.just(PLAIN)))
def test_a_resting_limit_is_filled_as_soon_as_the_price_has_traded_through_it(market: Market) -> None:
    """With nothing to limit a fill, no order that is a limit stays on the book with the price beyond it."""
    exchange = market.matcher()
    told: list[list[Event]] = []
    resting: dict[str, Place] = {}
    for number, bar in enumerate(market.bars):
        told.append(step(exchange, market, number))
        for order_id, place in resting.items():
            assert place.limit is not None
            through = bar.low < place.limit if place.side is Side.BUY else bar.high > place.limit
            if through:
                assert order_id in ended(told, market)
        accepted = [order for order in market.orders[number] if order.place.limit is not None and order.place.stop is None]
        resting.update({order.id: order.place for order in accepted})
        resting = {order_id: place for order_id, place in resting.items() if order_id not in ended(told, market)}


@settings(max_examples=150)
@given(markets(st.just(PLAIN)))
def test_a_stop_goes_off_as_soon_as_the_price_has_reached_it(market: Market) -> None:
    exchange = market.matcher()
    told: list[list[Event]] = []
    waiting: dict[str, Place] = {}
    for number, bar in enumerate(market.bars):
        told.append(step(exchange, market, number))
        for order_id, place in waiting.items():
            assert place.stop is not None
            reached = bar.high >= place.stop if place.side is Side.BUY else bar.low <= place.stop
            assert (order_id in ended(told, market)) is (reached or order_id in market.cancels[number])
        waiting.update({o.id: o.place for o in market.orders[number] if o.place.stop is not None and o.place.limit is None})
        waiting = {order_id: place for order_id, place in waiting.items() if order_id not in ended(told, market)}
