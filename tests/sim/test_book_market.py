"""A market with a book: queue position, who comes first at one instant, what the desk sees, contracts, and the parity law.

And what a market without one has in common with it: fill or kill, and orders that end at their instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import anyio
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import FLASH, QUIET, SOL, USDC, Cancel, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.facts import Liquidated
from sleeves.live import trade
from sleeves.market import HOUR, MINUTE, SECOND, FundingRate, Kind, Perpetual, Quote
from sleeves.orders import Canceled, Event, Fill, Intent, Liquidity, Order, Rejected, SubmitOrder, TimeInForce
from sleeves.protocols import View
from sleeves.sim import (
    BookMarket,
    ConstantProduct,
    Depth,
    Exchange,
    Fees,
    Flow,
    Latency,
    Matcher,
    Print,
    Rules,
    SelfMatch,
    Settles,
    Slippage,
    Tape,
    VirtualDriver,
    account_of,
    replay,
)

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01")
TERMS = Perpetual(imf=200, funding_every=HOUR)
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01", kind=Kind.PERP, contract=TERMS)
FREE = Fees(0, 0)
GTC, IOC, FOK = TimeInForce
QUIETLY = Flow.of_trades([Print(10**15, 1, 10**7)])
"""Nobody else, as long as these tests last."""


def coins(text: str) -> int:
    return SOL(text).units


def price(text: str) -> int:
    return SPOT.price(text)


def order(
    name: str, side: str, qty: str, limit: str | None = None, market: Instrument = SPOT, worst: str | None = None, **terms: Any
) -> Order:
    place = Place(market, Side(side), coins(qty), limit=None if limit is None else price(limit), **terms)
    return Order(name, "sleeve", place, 0, None if worst is None else price(worst))


def prints(*told: tuple[int, str, str, str]) -> Flow:
    """Trades as (at, price, size, taker)."""
    return Flow.of_trades([Print.of(SPOT, at, *rest) for at, *rest in told])


def market_of(flow: Flow, market: Instrument = SPOT, usdc: str = "100000", sol: str = "1000", **rules: Any) -> BookMarket:
    balances = {"USDC": USDC(usdc)} | ({"SOL": SOL(sol)} if market.contract is None else {})
    return BookMarket(market, balances, Rules(rules.pop("fees", FREE), book=flow, **rules))


def row(market: Matcher, number: int, *prices: str) -> None:
    """One minute: open, high, low and close, or one price for all."""
    told = [price(one) for one in (prices * 4 if len(prices) == 1 else prices)]
    market.advance(number * MINUTE, MINUTE, *told)  # type: ignore[arg-type]


def said(market: Matcher) -> list[str]:
    """What has happened, and is not told any more afterwards."""
    found = []
    while market.outbox:
        event = market.outbox.popleft()
        if isinstance(event, Fill):
            found.append(f"{event.order_id} {SPOT.qty_text(event.qty)} at {SPOT.price_text(event.price)} {event.liquidity}")
        elif isinstance(event, (Canceled, Rejected)):
            found.append(f"{event.order_id} {type(event).__name__.lower()}: {event.reason}")
    return found


def shown(at: int, bids: Iterable[tuple[str, str]] = (), asks: Iterable[tuple[str, str]] = ()) -> Depth:
    return Depth(at, *(tuple((price(p), coins(q)) for p, q in side) for side in (bids, asks)))


# -- queue position ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traded", "filled"), [("5", []), ("5.01", ["a 0.01 at 99 maker"]), ("6.5", ["a 1.5 at 99 maker"]), ("9", ["a 2 at 99 maker"])]
)
def test_a_trade_at_our_price_first_meets_what_stood_before_us(traded: str, filled: list[str]) -> None:
    market = market_of(prints((MINUTE + 1, "99", traded, "sell")))
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5"), ("98", "5")], [("101", "5")]))
    market.submit(order("a", "buy", "2", "99"), MINUTE)
    row(market, 1, "100")
    assert said(market) == filled


def test_what_is_canceled_goes_from_behind_us_first_and_what_comes_later_stands_behind_us() -> None:
    market = market_of(QUIETLY)
    row(market, 0, "100")
    ask = [("101", "5")]
    market.display(shown(MINUTE, [("99", "5")], ask))
    market.submit(order("a", "buy", "2", "99"), MINUTE)
    row(market, 1, "100")
    ahead = []
    for shows in ("9", "7", "5", "4", "0.5", "6"):
        market.display(shown(2 * MINUTE, [("99", shows)], ask))
        ahead.append(market.ahead("a"))
    assert ahead == [coins("5")] * 3 + [coins("4"), coins("0.5"), coins("0.5")]
    market.display(shown(2 * MINUTE, [("98", "1")], ask))
    assert market.ahead("a") == 0


@pytest.mark.parametrize(
    ("at", "size", "filled"),
    [("99", "10", []), ("98.99", "0.5", ["a 0.5 at 99 maker"]), ("98.99", "10", ["a 2 at 99 maker"]), ("90", "1", ["a 1 at 99 maker"])],
)
def test_where_no_book_is_shown_only_what_trades_through_us_fills_us_and_at_most_its_size(at: str, size: str, filled: list[str]) -> None:
    market = market_of(prints((MINUTE + 1, at, size, "sell")))
    row(market, 0, "100")
    market.submit(order("a", "buy", "2", "99"), MINUTE)
    row(market, 1, "100")
    assert said(market) == filled


def test_a_trade_beyond_what_was_shown_has_passed_it() -> None:
    """The book showed 50 at 99.5 and the market trades at 98.5: those are gone, and we at 99 are filled."""
    market = market_of(prints((MINUTE + 1, "98.5", "3", "sell")))
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99.5", "50"), ("98.5", "5")], [("101", "5")]))
    market.submit(order("a", "buy", "2", "99"), MINUTE)
    row(market, 1, "100")
    assert said(market) == ["a 2 at 99 maker"]
    assert market.book.depth()[0] == [(price("98.5"), coins("4"))]


def test_a_shown_book_that_the_price_leaves_is_gone() -> None:
    market = market_of(QUIETLY)
    market.display(shown(0, [("99", "5")], [("101", "5")]))
    row(market, 0, "100", "101", "99", "100")
    assert market.book.depth() == ([(price("99"), coins("5"))], [(price("101"), coins("5"))])
    row(market, 1, "100", "101.01", "99", "100")
    assert market.book.depth() == ([], [])


def test_our_orders_at_market_take_what_is_shown_and_no_more() -> None:
    market = market_of(QUIETLY, fees=Fees(0, 1_000))
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5")], [("101", "1"), ("102", "1")]))
    market.submit(order("a", "buy", "1.5", worst="102"), MINUTE)
    market.submit(order("b", "buy", "1", worst="101.5"), MINUTE)
    market.submit(order("c", "sell", "6"), MINUTE)
    market.submit(order("d", "sell", "1"), MINUTE)
    row(market, 1, "100")
    assert said(market) == [
        "a 1 at 101 taker",
        "a 0.5 at 102 taker",
        "b canceled: nothing left to take within its worst price",
        "c 5 at 99 taker",
        "c canceled: nothing left to take",
        "d canceled: nothing left to take",
    ]
    cost = USDC("152") - USDC("495")
    assert market.balances() == {"SOL": SOL("996.5"), "USDC": USDC("100000") - cost - USDC("0.647")}
    assert (market.available("USDC"), market.available("SOL")) == tuple(market.balances()[code].units for code in ("USDC", "SOL"))


def test_a_buy_that_nobody_bounded_pays_no_more_than_its_hold_covers() -> None:
    market = market_of(QUIETLY, usdc="102", fees=FREE, slippage=Slippage(10_000, 10_000))
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5")], [("101", "0.5"), ("150", "5")]))
    market.submit(order("a", "buy", "1"), MINUTE)
    row(market, 1, "100")
    assert said(market) == ["a 0.5 at 101 taker", "a canceled: nothing left to take within its worst price"]


# -- one instant ---------------------------------------------------------------------------------------------------------------


def test_at_one_instant_the_others_act_before_an_order_of_ours_arrives() -> None:
    """The ask that we have seen is taken at the very instant at which our order arrives: nothing is left for us."""
    late = Latency(order_ns=1_000)
    for when, expected in ((MINUTE + 1_000, ["a canceled: immediate or cancel"]), (MINUTE + 1_001, ["a 1 at 101 taker"])):
        market = market_of(prints((when, "101", "1", "buy")), latency=late)
        row(market, 0, "100")
        market.display(shown(MINUTE, [("99", "1")], [("101", "1")]))
        market.submit(order("a", "buy", "1", "101", tif=IOC), MINUTE)
        row(market, 1, "100")
        assert said(market) == expected


def test_an_order_that_was_sent_acts_when_the_next_row_has_begun_and_makers_have_looked_again() -> None:
    """Decided on 100, filled at the next open: nobody trades at a price that is gone."""
    market = market_of(Flow.seeded(1, spread="0%", layers=1, size="1000", takes="0", refreshes=1))
    row(market, 0, "100")
    assert market.top() == (price("100"), price("100.01"))
    market.submit(order("a", "buy", "1", worst="200"), MINUTE)
    row(market, 1, "105")
    assert said(market) == ["a 1 at 105.01 taker"]


@pytest.mark.parametrize(("end", "expected"), [(0, []), (1, ["a 2 at 99 maker"])])
def test_an_end_comes_before_a_trade_of_the_same_instant(end: int, expected: list[str]) -> None:
    trade_at = MINUTE + 7
    market = market_of(prints((trade_at, "98", "5", "sell")))
    row(market, 0, "100")
    market.submit(order("a", "buy", "2", "99", good_til=trade_at + end), MINUTE)
    row(market, 1, "100")
    events = [event for event in market.outbox if isinstance(event, Canceled)]
    assert [(event.at, event.reason) for event in events] == ([] if end else [(trade_at, "expired")])
    assert [one for one in said(market) if "canceled" not in one] == expected
    assert market.book.left("a") == 0


def test_an_order_ends_at_its_instant_though_nobody_else_acts_then() -> None:
    """The price falls by 5.5 in 15 s, and reaches a stop 5 below after 13.64 s: an end at 13 s is before that, one at 14 s not."""
    for end, expected in ((MINUTE + 13 * SECOND, ["a canceled: expired"]), (MINUTE + 14 * SECOND, ["a 1 at 94 taker"])):
        market = market_of(QUIETLY)
        row(market, 0, "100")
        market.display(shown(MINUTE, [("94", "5")], [("101", "5")]))
        market.submit(order("a", "sell", "1", "94", stop=price("95"), good_til=end), MINUTE)
        row(market, 1, "100", "101", "94.5", "100")
        cancels = [event.at for event in market.outbox if isinstance(event, Canceled)]
        assert (cancels, said(market)) == ([end] if "expired" in expected[0] else [], expected)


def test_a_cancel_takes_an_order_off_at_once_or_when_it_arrives() -> None:
    for latency, filled in ((0, []), (10, ["a 2 at 99 maker"])):
        market = market_of(prints((2 * MINUTE + 20, "98", "2", "sell"), (2 * MINUTE + 45, "98", "5", "sell")), latency=Latency(latency * 3))
        row(market, 0, "100")
        market.submit(order("a", "buy", "2", "99"), MINUTE)
        market.submit(order("b", "buy", "2", "98.5"), MINUTE)
        row(market, 1, "100")
        for name in ("a", "b"):
            market.cancel(name, 2 * MINUTE)
        row(market, 2, "100")
        assert [one for one in said(market) if "at" in one.split()] == filled
        assert market.book.depth() == ([], [])
        assert market.available("USDC") == market.balances()["USDC"].units


# -- terms of an order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "off"), [("100.99", False), ("101", True)])
def test_post_only_is_judged_by_the_book(limit: str, off: bool) -> None:
    market = market_of(QUIETLY)
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5")], [("101", "5")]))
    market.submit(order("a", "buy", "1", limit, post_only=True), MINUTE)
    row(market, 1, "100")
    assert said(market) == (["a rejected: post only order would take"] if off else [])


def test_post_only_is_judged_again_where_it_arrives() -> None:
    market = market_of(Flow.seeded(1, spread="0%", layers=1, size="1000", takes="0", refreshes=1))
    row(market, 0, "100")
    market.submit(order("a", "buy", "1", "99", post_only=True), MINUTE)
    row(market, 1, "98")
    assert said(market) == ["a canceled: post only order would take"]


@pytest.mark.parametrize(("qty", "expected"), [("3", ["a 1 at 101 taker", "a 2 at 102 taker"]), ("3.01", ["a canceled: fill or kill"])])
def test_fill_or_kill_is_whole_or_nothing_on_a_book(qty: str, expected: list[str]) -> None:
    market = market_of(QUIETLY)
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5")], [("101", "1"), ("102", "2"), ("103", "9")]))
    market.submit(order("a", "buy", qty, "102", tif=FOK), MINUTE)
    row(market, 1, "100")
    assert said(market) == expected


SELVES = {
    SelfMatch.CANCEL_NEWEST: ["sale canceled: self-trade prevention"],
    SelfMatch.CANCEL_OLDEST: ["buy canceled: self-trade prevention", "sale canceled: immediate or cancel"],
    SelfMatch.CANCEL_BOTH: ["buy canceled: self-trade prevention", "sale canceled: self-trade prevention"],
    SelfMatch.DECREMENT: ["sale canceled: self-trade prevention"],
}


@pytest.mark.parametrize("mode", SelfMatch)
def test_orders_of_one_account_never_trade_with_each_other(mode: SelfMatch) -> None:
    market = market_of(QUIETLY, self_match=mode)
    row(market, 0, "100")
    market.submit(order("buy", "buy", "3", "100"), MINUTE)
    market.submit(order("sale", "sell", "2", "99", tif=IOC), MINUTE)
    row(market, 1, "100")
    assert said(market) == SELVES[mode]
    assert market.book.left("buy") == coins({"cancel newest": "3", "decrement and cancel": "1"}.get(mode, "0"))
    assert market.available("SOL") == coins("1000")


def test_what_a_decrement_leaves_is_filled_and_then_the_order_is_off() -> None:
    """3 wanted, 2 taken away by our own sale, 1 bought: the desk hears that no more will come."""
    market = market_of(prints((2 * MINUTE, "98", "5", "sell")), self_match=SelfMatch.DECREMENT)
    row(market, 0, "100")
    market.submit(order("buy", "buy", "3", "100"), MINUTE)
    market.submit(order("sale", "sell", "2", "99", tif=IOC), MINUTE)
    row(market, 1, "100")
    row(market, 2, "100")
    assert said(market) == ["sale canceled: self-trade prevention", "buy 1 at 100 maker", "buy canceled: self-trade prevention"]
    assert market.available("USDC") == market.balances()["USDC"].units == USDC("99900").units


def test_a_stop_waits_for_the_tapes_price_and_then_goes_to_the_book() -> None:
    for low, expected in (("95.01", []), ("95", ["a 1 at 94 taker"])):
        market = market_of(QUIETLY)
        row(market, 0, "100")
        market.display(shown(MINUTE, [("94", "5")], [("101", "5")]))
        market.submit(order("a", "sell", "1", stop=price("95")), MINUTE)
        row(market, 1, "100", "101", low, "100")
        assert said(market) == expected


def test_contracts_are_only_reduced_by_what_is_held_across_orders_and_instants() -> None:
    """Long 2 with two reduce-only sales of 2 and a plain one of 1 at better prices: a sweep of all finds 2."""
    market = market_of(Flow.of_trades([Print.of(PERP, 2 * MINUTE + 1, "110", "20", "buy")]), PERP)
    row(market, 0, "100")
    market.display(shown(MINUTE, [("99", "5")], [("101", "5")]))
    market.submit(order("in", "buy", "2", market=PERP, worst="102"), MINUTE)
    row(market, 1, "100")
    market.submit(order("plain", "sell", "1", "104", market=PERP), 2 * MINUTE)
    market.submit(order("first", "sell", "2", "105", market=PERP, reduce_only=True), 2 * MINUTE)
    market.submit(order("second", "sell", "2", "106", market=PERP, reduce_only=True), 2 * MINUTE)
    row(market, 2, "100")
    assert said(market)[1:] == [
        "plain 1 at 104 maker",
        "first 1 at 105 maker",
        "first canceled: reduce only: no position left to reduce",
        "second canceled: reduce only: no position left to reduce",
    ]
    assert market.net is not None
    assert market.net.base == 0


def test_coins_that_are_not_there_are_not_reduced() -> None:
    market = market_of(QUIETLY, sol="0")
    row(market, 0, "100")
    market.submit(order("a", "buy", "1", "99", reduce_only=True), MINUTE)
    market.submit(order("b", "sell", "1", "101", reduce_only=True), MINUTE)
    assert said(market) == ["a rejected: reduce only: no position to reduce", "b rejected: reduce only: no position to reduce"]


def test_a_forced_close_is_at_the_tapes_price_beside_the_book_and_takes_the_orders_off() -> None:
    market = market_of(QUIETLY, PERP, usdc="100")
    row(market, 0, "100")
    market.display(shown(MINUTE, [("80", "50")], [("100", "50")]))
    market.submit(order("in", "buy", "7", market=PERP, worst="101"), MINUTE)
    market.submit(order("rest", "sell", "1", "120", market=PERP), MINUTE)
    row(market, 1, "100")
    assert market.book.left("rest")
    row(market, 2, "100", "100", "88", "88")
    (forced,) = [event for event in market.outbox if isinstance(event, Liquidated)]
    assert 0 < -forced.change <= coins("7")
    assert price("88") <= forced.price < price("100")
    assert "rest canceled: liquidation" in said(market)
    assert market.book.left("rest") == 0
    assert market.book.depth()[0] == [(price("80"), coins("50"))]  # what the venue closes does not come to the book


# -- what the desk sees ----------------------------------------------------------------------------------------------------------

TOPS = {
    "others on both sides": ([("99", "5")], [("101", "5")], [], ("99", "101")),
    "ours within": ([("99", "5")], [("101", "5")], [("buy", "99.5"), ("sell", "100.5")], ("99.5", "100.5")),
    "ours behind": ([("99", "5")], [("101", "5")], [("buy", "98"), ("sell", "102")], ("99", "101")),
    "nobody": ([], [], [], ("100", "100")),
    "only ours": ([], [], [("buy", "98"), ("sell", "102")], ("100", "100")),
    "only ours, beyond the price": ([], [], [("buy", "101")], ("101", "101")),
    "ours below the price, to sell": ([], [], [("sell", "99")], ("99", "99")),
    "no bid": ([], [("101", "5")], [], ("100", "101")),
    "no ask": ([("99", "5")], [], [], ("99", "100")),
}


@pytest.mark.parametrize(("bids", "asks", "ours", "top"), TOPS.values(), ids=TOPS)
def test_the_desk_sees_the_best_bid_and_ask_and_the_tapes_price_where_nobody_else_stands(bids: Any, asks: Any, ours: Any, top: Any) -> None:
    market = market_of(QUIETLY)
    row(market, 0, "100")
    if bids or asks:
        market.display(shown(MINUTE, bids, asks))
    for number, (side, limit) in enumerate(ours):
        market.submit(order(f"o{number}", side, "1", limit), MINUTE)
    row(market, 1, "100")
    assert market.top() == tuple(map(price, top))


def tape_of(market: Instrument, bars: list[tuple[int, int, int, int]], step: int = 60) -> Tape:
    columns = {name: [Decimal(bar[place]).scaleb(-2) for bar in bars] for place, name in enumerate(("open", "high", "low", "close"))}
    return Tape.from_columns(market, ts=[1_700_000_000 + step * n for n in range(len(bars))], **columns)


def test_an_exchange_with_a_book_shows_both_prices_and_is_not_played_as_rows_alone() -> None:
    tape = tape_of(SPOT, [(10_000, 10_100, 9_900, 10_050)] * 3)
    rules = Rules(FREE, book=Flow.seeded(1, spread="1%", takes="0"))
    exchange = Exchange([tape], {"USDC": USDC("1")}, rules)
    assert not exchange.plain
    assert Exchange([tape], {"USDC": USDC("1")}).plain
    quotes = [exchange.quote(step) for step in exchange.play() if step.price]
    assert quotes == [Quote(SPOT, end, 9_999, 10_101, -1) for end in tape.ends()]


def test_rules_with_a_book_say_what_goes_with_it() -> None:
    flow = Flow.seeded(1)
    for terms in ({"pool": ConstantProduct(10**9, 10**9, 3_000)}, {"participation_ppm": 1}):
        with pytest.raises(InvalidAmount, match="with no pool, and its own sizes"):
            Rules(book=flow, **terms)
    with pytest.raises(InvalidAmount, match="a book is a Flow"):
        Rules(book=7)  # type: ignore[arg-type]
    with pytest.raises(InvalidAmount, match="one of SelfMatch"):
        Rules(self_match="cancel newest")  # type: ignore[arg-type]
    with pytest.raises(InvalidMarket, match="for a BookMarket"):
        Matcher(SPOT, {}, Rules(book=flow))
    with pytest.raises(InvalidMarket, match="needs rules that say who else is there"):
        BookMarket(SPOT, {}, Rules())
    rules = Rules.of(book=flow, self_match="cancel both")
    assert rules == Rules(book=flow, self_match=SelfMatch.CANCEL_BOTH)
    assert rules.pessimistic().book == rules.optimistic().book == flow
    told = "\n".join(rules.describe())
    assert "at one price who came first" in told
    assert "others: makers quote 3 layers of 1 each side, 0.1% between the best, 0.05% apart, 4 times a row" in told
    assert "own orders that would trade with each other: cancel both" in told
    assert "slippage" not in told


# -- a market without a book: fill or kill, and orders that end --------------------------------------------------------------------


def plain(usdc: str = "100000", sol: str = "1000", **rules: Any) -> Matcher:
    terms = {"fees": FREE, "slippage": Slippage.none()} | rules
    return Matcher(SPOT, {"USDC": USDC(usdc), "SOL": SOL(sol)}, Rules(**terms))


KILLS = {
    "at market, all of it": ({}, None, None, ["a 2 at 100 taker"]),
    "a limit that the price has reached": ({}, "100", None, ["a 2 at 100 taker"]),
    "a limit a tick below it": ({}, "99.99", None, ["a canceled: fill or kill"]),
    "a row that has exactly so much": ({"participation_ppm": 20_000}, "101", None, ["a 2 at 100 taker"]),
    "a row that has a lot less": ({"participation_ppm": 19_900}, "101", None, ["a canceled: fill or kill"]),
    "slippage up to its limit": ({"slippage": Slippage(1_000, 1_000)}, "100.1", None, ["a 2 at 100.1 taker"]),
    "slippage a tick beyond": ({"slippage": Slippage(1_000, 1_000)}, "100.09", None, ["a canceled: fill or kill"]),
    "a book that shows enough": ({}, "102", "2", ["a 1 at 101 taker", "a 1 at 102 taker"]),
    "a book that shows a lot too little": ({}, "102", "0.99", ["a canceled: fill or kill"]),
    "a book that shows enough beyond its limit": ({}, "101.99", "9", ["a canceled: fill or kill"]),
}


@pytest.mark.parametrize(("rules", "limit", "second", "expected"), KILLS.values(), ids=KILLS)
def test_fill_or_kill_is_whole_at_the_first_price_or_nothing(
    rules: Any, limit: str | None, second: str | None, expected: list[str]
) -> None:
    market = plain(**rules)
    row(market, 0, "100")
    if second is not None:
        market.display(shown(MINUTE, [("99", "9")], [("101", "1"), ("102", second)]))
    market.submit(order("a", "buy", "2", limit, worst=None if limit else "110", tif=FOK), MINUTE)
    market.advance(MINUTE, MINUTE, *[price("100")] * 4, volume=10_000)  # of 100 coins
    assert said(market) == expected
    assert market.available("USDC") == market.balances()["USDC"].units


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("100.5", ["a 2 at 100.2 taker"]), ("100.1", ["a canceled: the pool's price for this size is beyond the order's"])],
)
def test_fill_or_kill_is_whole_or_nothing_in_a_pool(limit: str, expected: list[str]) -> None:
    market = plain(pool=ConstantProduct(SOL("1000").units, USDC("100000").units, 0))
    row(market, 0, "100")
    market.submit(order("a", "buy", "2", limit, tif=FOK), MINUTE)
    row(market, 1, "100")
    assert said(market) == expected


def test_a_pool_holds_no_order_that_waits() -> None:
    market = plain(pool=ConstantProduct(SOL("1000").units, USDC("100000").units, 0))
    row(market, 0, "100")
    market.submit(order("a", "buy", "2", "100", good_til=HOUR), MINUTE)
    assert said(market) == ["a rejected: a pool holds no resting orders"]


def test_a_reduce_only_fill_or_kill_beyond_what_is_held_is_killed() -> None:
    for qty, expected in (("2", ["out 2 at 100 taker"]), ("2.01", ["out canceled: fill or kill"])):
        market = Matcher(PERP, {"USDC": USDC("1000")}, Rules(FREE, Slippage.none()))
        row(market, 0, "100")
        market.submit(order("in", "buy", "2", market=PERP), MINUTE)
        row(market, 1, "100")
        market.submit(order("out", "sell", qty, market=PERP, reduce_only=True, tif=FOK), 2 * MINUTE)
        row(market, 2, "100")
        assert said(market)[1:] == expected


FALLS = MINUTE + MINUTE // 4 + MINUTE // 8
"""In the second row the price falls from 101 to 99 in its second quarter, and is at 100 here."""


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (FALLS - 1, ["a canceled: expired"]),
        (FALLS + MINUTE // 8, ["a 2 at 100 maker"]),
        (2 * MINUTE, ["a 2 at 100 maker"]),
    ],
)
def test_an_order_ends_on_the_way_of_the_price(end: int, expected: list[str]) -> None:
    market = plain()
    row(market, 0, "100.5")
    market.submit(order("a", "buy", "2", "100", good_til=end), MINUTE)
    market.advance(MINUTE, MINUTE, *map(price, ("100.5", "101", "99", "99.5")))  # type: ignore[arg-type]
    assert [one for one in said(market) if "accepted" not in one] == expected


@pytest.mark.parametrize("before", [0, 1])
def test_an_end_is_exact_to_the_nanosecond(before: int) -> None:
    """The price is below the limit at an instant, and was not a nanosecond before: an order that ends then is not filled."""
    market, length = plain(), 4_000
    market.advance(0, length, *[price("100")] * 4)  # type: ignore[arg-type]
    # falls by 100 ticks within 1,000 ns, from 2,000 ns on: a tick each 10 ns, half-even; 99.99 first at 6,006 (5.5 rounds to 6)
    first = next(t for t in range(5_000, 7_000) if tick_at(t) < price("100"))
    market.submit(order("a", "buy", "2", "100", good_til=first + before), length)
    market.advance(length, length, price("101"), price("101"), price("99"), price("99"))
    cancels = [event for event in market.outbox if isinstance(event, Canceled)]
    fills = [event for event in market.outbox if isinstance(event, Fill)]
    assert [event.at for event in fills] == ([first] if before else [])
    assert [(event.at, event.reason) for event in cancels] == ([] if before else [(first, "expired")])


def tick_at(when: int) -> int:
    """Where a row from 4,000 to 8,000 has the price that opens at 101, its high, and falls to 99 in its second quarter."""
    probe = plain()
    probe.begin(4_000, 4_000, price("101"), price("101"), price("99"), price("99"))
    return probe.price_at(when)


def test_an_order_that_is_sent_after_its_end_is_refused_and_one_that_arrives_after_it_is_off() -> None:
    market = plain(latency=Latency(order_ns=10))
    row(market, 0, "100")
    market.submit(order("a", "buy", "1", "99", good_til=MINUTE), MINUTE)
    market.submit(order("b", "buy", "1", "99", good_til=MINUTE + 5), MINUTE)
    row(market, 1, "100")
    (canceled,) = [event for event in market.outbox if isinstance(event, Canceled)]
    assert canceled == Canceled("b", MINUTE + 10, "expired")
    assert said(market) == ["a rejected: good til a time that is past", "b canceled: expired"]


@pytest.mark.parametrize("rules", [Rules(FREE, Slippage.none()), Rules(FREE, book=QUIETLY)], ids=["rows", "book"])
def test_an_order_ends_in_rows_that_are_skipped_and_between_rows_and_is_told(rules: Rules) -> None:
    """Rows of a minute at one price, an hour without any, and more rows: no price comes near these orders."""
    at = 1_700_000_000
    ts = [*range(at, at + 600, 60), *range(at + 4_200, at + 4_800, 60)]
    tape = Tape.from_columns(SPOT, ts=ts, **{name: ["100"] * 20 for name in ("open", "high", "low", "close")})
    ends = {"within": at + 330, "at a row's end": at + 420, "in the gap": at + 2_000, "as a row begins": at + 4_200, "late": at + 4_700}
    for played in ([tape], [tape, tape_of(evolve(SPOT, symbol="OTHER"), [(10_000,) * 4] * 100)]):
        exchange = Exchange(played, {"USDC": USDC("10000")}, rules)
        told: list[tuple[int, Event]] = []
        for step in exchange.play():
            while exchange.outbox:
                told.append((step.at, exchange.outbox.popleft()))
            if step.price and step.market == 0 and step.at == (at + 120) * SECOND:
                for name, end in ends.items():
                    exchange.carry(SubmitOrder(order(name, "buy", "1", "50", good_til=end * SECOND)), step.at)
                exchange.carry(SubmitOrder(order("beyond the tape", "buy", "1", "50", good_til=10**19)), step.at)
        cancels = [(told_at, event) for told_at, event in told if isinstance(event, Canceled)]
        assert [(event.order_id, event.at // SECOND, event.reason) for _, event in cancels] == [
            (name, end, "expired") for name, end in ends.items()
        ]
        assert exchange.markets[0].available("USDC") == USDC("9950").units
        if len(played) == 2:  # another market makes time pass: each end is told at its instant
            assert all(told_at == event.at or "within" in event.order_id or "late" in event.order_id for told_at, event in cancels)


def test_a_cancel_that_came_before_the_end_is_a_cancel() -> None:
    for end, reason in ((2 * MINUTE + 11, "requested"), (2 * MINUTE + 10, "expired")):
        market = plain(latency=Latency(order_ns=10))
        row(market, 0, "100")
        market.submit(order("a", "buy", "1", "99", good_til=end), MINUTE)
        row(market, 1, "100")
        market.cancel("a", 2 * MINUTE)
        row(market, 2, "100")
        (canceled,) = [event for event in market.outbox if isinstance(event, Canceled)]
        assert canceled == Canceled("a", 2 * MINUTE + 10, reason)


# -- the parity law --------------------------------------------------------------------------------------------------------------


@frozen
class Wish:
    market: Instrument
    side: Side
    percent: int
    limit: int | None = None
    tif: TimeInForce = GTC
    post_only: bool = False
    reduce_only: bool = False
    til: int | None = None
    cancel: bool = False

    def intent(self, view: View) -> Intent | None:
        if self.cancel:
            return Cancel(view.orders()[0].id) if view.orders() else None
        book = view.book_of(self.market)
        if book is None:
            return None
        reduce = self.reduce_only and self.market is PERP
        if reduce:
            most = view.closable(Place(self.market, self.side, 1))
        elif self.market is PERP or self.side is Side.BUY:
            most = view.affordable(self.market)
        else:
            most = view.position(self.market)
        qty = self.market.round_qty(most * self.percent // 100)
        if qty <= 0:
            return None
        limit = None if self.limit is None else max(1, book.mid + self.limit)
        waits = limit is not None and self.tif is GTC
        til = view.now + self.til * SECOND if waits and self.til is not None else None
        return Place(
            self.market,
            self.side,
            qty,
            limit=limit,
            tif=self.tif,
            post_only=self.post_only and waits,
            reduce_only=reduce,
            good_til=til,
        )


@frozen
class Scripted:
    plan: tuple[tuple[Wish, ...], ...]
    watches: tuple[Instrument, ...]
    name: str = "scripted"
    every: int = 0

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] > len(self.plan):
            return None
        return [intent for wish in self.plan[memory[0] - 1] if (intent := wish.intent(view)) is not None]


def wishes(*markets: Instrument) -> st.SearchStrategy[Wish]:
    return st.builds(
        Wish,
        st.sampled_from(markets),
        st.sampled_from(Side),
        st.sampled_from([5, 20, 60, 95, 95]),
        st.none() | st.integers(-150, 150),
        st.sampled_from([GTC, GTC, GTC, IOC, FOK]),
        st.booleans(),
        st.booleans(),
        st.none() | st.integers(1, 9_000),
        st.sampled_from([False] * 5 + [True]),
    )


def engines(*markets: Instrument) -> st.SearchStrategy[Scripted]:
    """Some go all in at market before anything else: where the price then turns, the venue closes them by force."""
    plans = st.lists(st.lists(wishes(*markets), max_size=3).map(tuple), max_size=14).map(tuple)
    all_in = st.sampled_from(Side).map(lambda side: ((Wish(markets[-1], side, 95),),) * 2)
    return st.builds(lambda first, plan: Scripted(first + plan, markets), st.just(()) | all_in, plans)


steps = st.integers(-600, 600) | st.sampled_from([-2_500, 2_500])
moves = st.tuples(steps, steps, *[st.integers(0, 500)] * 2)
BEGIN = 1_700_000_000


@st.composite
def tapes(draw: st.DrawFn, market: Instrument) -> Tape:
    now, bars = 10_000, []
    for gap, move, up, down in draw(st.lists(moves, min_size=1, max_size=12)):
        open_ = max(100, now + gap // 3)
        now = max(100, open_ + move)
        bars.append((open_, max(open_, now) + up, max(50, min(open_, now) - down), now))
    tape = tape_of(market, bars, 3_600)
    if market.contract is not None and len(bars) > 1:
        tape = tape.with_funding([FundingRate(market, (BEGIN + 1_800) * SECOND, draw(st.integers(-(10**6), 10**6)), 10_000, HOUR)])
    if draw(st.booleans()) and len(bars) > 1:
        levels = ((9_990, coins("3")), (9_800, coins("30"))), ((10_010, coins("2")), (10_200, coins("30")))
        tape = tape.with_depth([Depth((BEGIN + 900 * draw(st.integers(0, 4))) * SECOND, *levels)])
    return tape


print_of = st.builds(
    lambda at, p, q, side: Print((BEGIN + at) * SECOND, p, q * coins("0.01"), side),
    st.integers(0, 40_000),
    st.integers(9_500, 10_500),
    st.integers(1, 900),
    st.none() | st.sampled_from(Side),
)
seeded = st.builds(
    lambda seed, size, takes: Flow.seeded(seed, size=size, takes=takes, take_size="2", refreshes=2),
    st.integers(0, 99),
    st.sampled_from(["0.5", "3", "500", "500"]),
    st.sampled_from(["0", "6"]),
)
flows = (
    seeded
    | st.lists(print_of, min_size=1, max_size=30).map(Flow.of_trades)
    | st.builds(Flow.__add__, seeded, st.just(Flow.of_trades([Print(BEGIN * SECOND, 9_000, coins("5"))])))
)
book_rules = st.builds(
    lambda maker, taker, latency, settles, flow, mode: Rules(
        Fees(maker, taker), latency=latency, settles=settles, book=flow, self_match=mode
    ),
    st.integers(-500, 4_000),
    st.integers(0, 4_000),
    st.builds(Latency, st.sampled_from([0, 0, 1_000 * SECOND]), st.sampled_from([0, 10 * SECOND])),
    st.sampled_from(Settles),
    flows,
    st.sampled_from(SelfMatch),
)
row_rules = st.builds(
    lambda maker, taker, latency, part: Rules(Fees(maker, taker), latency=latency, participation_ppm=part),
    st.integers(-500, 4_000),
    st.integers(0, 4_000),
    st.builds(Latency, st.sampled_from([0, 1_000 * SECOND])),
    st.none() | st.just(500_000),
)


def desk_of(one: Scripted, other: Scripted) -> Desk:
    vault = CoreVault(USDC, total="2000", tradeable="2000")
    desk = Desk(vault, self_trade="allow")
    desk.assign(one, to=vault.sleeve("quiet", QUIET, allocate="1000"))
    desk.assign(other, to=vault.sleeve("flash", FLASH, allocate="1000"))
    return desk


def check(one: Scripted, other: Scripted, played: list[Tape], rules: Any, backend: str) -> Desk:
    replayed, traded = desk_of(one, other), desk_of(one, other)
    report = replay(replayed, played, rules=rules, progress=False, bounds=False)
    venue = VirtualDriver(played, account_of(traded), rules)
    anyio.run(trade, traded, venue, backend=backend)
    assert list(map(str, replayed.books.journal)) == list(map(str, traded.books.journal))
    assert report.holdings == venue.exchange.balances()
    assert report.positions == venue.exchange.positions()
    assert report.proof.holds, str(report.proof)
    for market in venue.exchange.markets:
        assert all(units >= 0 for units in market.account.held.values())
        if isinstance(market, BookMarket):
            ours = {name: live.left - market._cut.get(name, 0) for name, live in market._live.items() if name in market._entered}
            assert ours == {name: market.book.left(name) for name in ours}
            assert all(isinstance(name, int) or name in ours for name in market.book._standing)
            bid, ask = market.top()
            assert 0 < bid <= ask
    return replayed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(tape=tapes(SPOT), one=engines(SPOT), other=engines(SPOT), rules=book_rules)
def test_coins_on_a_book_write_one_journal(backend: str, tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    check(one, other, [tape], rules, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(tape=tapes(PERP), one=engines(PERP), other=engines(PERP), rules=book_rules)
def test_contracts_on_a_book_write_one_journal(backend: str, tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    check(one, other, [tape], rules, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40, deadline=None)
@given(spot=tapes(SPOT), perp=tapes(PERP), one=engines(SPOT, PERP), other=engines(PERP), rules=book_rules, rows=row_rules)
def test_a_book_and_rows_of_one_account_write_one_journal(
    backend: str, spot: Tape, perp: Tape, one: Scripted, other: Scripted, rules: Rules, rows: Rules
) -> None:
    check(one, other, [spot, perp], {"SOL/USDC": evolve(rules, settles=Settles.ASKED), "SOL-PERP": rows}, backend)
    check(one, other, [spot, perp], {"SOL/USDC": rows, "SOL-PERP": rules}, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(tape=tapes(SPOT), one=engines(SPOT), other=engines(SPOT), rules=row_rules)
def test_fill_or_kill_and_ends_in_rows_write_one_journal(backend: str, tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    check(one, other, [tape], rules, backend)


def test_these_runs_are_worth_running() -> None:
    """What the laws above are drawn from does happen: fills of both kinds, kills, ends, self-trade prevention, forced closes."""
    seen: dict[str, int] = {}

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(tape=tapes(PERP), one=engines(PERP), other=engines(PERP), rules=book_rules)
    def run(tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
        desk = desk_of(one, other)
        replay(desk, tape, rules=rules, progress=False, bounds=False)
        for record in desk.books.journal:
            kind = record.liquidity if isinstance(record, Fill) else getattr(record, "reason", None) or type(record).__name__
            seen[str(kind)] = seen.get(str(kind), 0) + 1

    run()
    for kind in (
        *Liquidity,
        "fill or kill",
        "expired",
        "self-trade prevention",
        "post only order would take",
        "immediate or cancel",
        "Liquidated",
    ):
        assert seen.get(kind), (kind, seen)
