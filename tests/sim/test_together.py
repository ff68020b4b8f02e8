"""Several markets of one account, together in time: no price, book or funding is met before its instant, or after it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sleeves import BTC, SOL, USDC, USDT, Instrument, Place, Side
from sleeves.errors import VaultError
from sleeves.facts import Bankrupted, FundingPaid, Liquidated
from sleeves.margin import Weights
from sleeves.market import HOUR, MINUTE, SECOND, FundingRate, Kind
from sleeves.orders import Canceled, Fill, Order, Rejected, SubmitOrder
from sleeves.sim import ConstantProduct, Depth, Exchange, FeeIn, Fees, Latency, Maker, Matcher, Rules, Slippage, Tape

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
A = Instrument("A-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
B = Instrument("B-PERP", base=BTC, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
FREE = Rules(Fees(0, 0), Slippage.none())

Bar = tuple[int, int, int, int]


def tape(market: Instrument, bars: Sequence[Bar | int], step: int = 3600, start: int = 0) -> Tape:
    rows = [(bar,) * 4 if isinstance(bar, int) else bar for bar in bars]
    columns = {name: [market.price_text(row[i]) for row in rows] for i, name in enumerate(("open", "high", "low", "close"))}
    return Tape.from_columns(market, ts=[start + step * i for i in range(len(rows))], interval=step * SECOND, **columns)


class Venue:
    """An exchange, and what to send it when: [(time in seconds, order)], sent with the first step at or after that time."""

    def __init__(self, tapes, cash, rules=FREE, **coins):
        self.exchange = Exchange(tapes, {"USDC": USDC(str(cash)), **coins}, rules)
        self.events = []
        self.orders = 0

    def order(self, market, side, qty, **terms):
        self.orders += 1
        return Order(f"a-{self.orders}", "a", Place(market, side, market.qty(qty), **terms), 0)

    def run(self, *sent):
        waiting = sorted(sent, key=lambda one: one[0])

        def send(now):
            while waiting and waiting[0][0] * SECOND <= now:
                self.exchange.carry(SubmitOrder(waiting.pop(0)[1]), now)

        send(0)
        for step in self.exchange.play():
            self.events += self.exchange.outbox
            self.exchange.outbox.clear()
            send(step.at)
        self.events += self.exchange.outbox
        return self

    def of(self, kind, market=None):
        return [e for e in self.events if isinstance(e, kind) and market in (None, getattr(e, "instrument", None))]


# -- liquidation -------------------------------------------------------------------------------------------------------------


def test_an_order_that_rests_far_away_does_not_make_a_liquidation_miss_its_tick():
    """Its cancel lets the account stand for a moment; the price goes on, and breaks it where it would have anyway."""
    prices = []
    for far in (False, True):
        matcher = Matcher(A, {"USDC": USDC("1000")}, FREE)
        matcher.submit(Order("a-1", "a", Place(A, Side.BUY, A.qty("50")), 0), 0)
        matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
        if far:
            matcher.submit(Order("a-2", "a", Place(A, Side.BUY, A.qty("40"), limit=5_000), 0), MINUTE)
        matcher.advance(MINUTE, MINUTE, 10_000, 10_000, 7_000, 7_000)
        prices.append([e.price for e in matcher.outbox if isinstance(e, Liquidated)])
        assert not [e for e in matcher.outbox if isinstance(e, Bankrupted)]
    assert prices[0] == prices[1]
    assert prices[0][0] == 8_421


@pytest.mark.parametrize(
    ("a", "b", "low", "larger", "price"),
    [
        ("40", "50", 8_552, B, 10_000),  # 1,000 - 40 d = 5% of 40 (100 - d) + 250: 550 = 38 d
        ("50", "40", 8_842, A, 8_842),  # 1,000 - 50 d = 5% of 50 (100 - d) + 200: 550 = 47.5 d
    ],
)
def test_a_contract_opened_later_counts_in_the_price_that_breaks_the_first_one(a, b, low, larger, price):
    """A alone would be carried further; with B open to where both need what is left. The larger is closed first."""
    venue = Venue([tape(A, [10_000, 10_000, 10_000, (10_000, 10_000, 7_000, 7_000)]), tape(B, [10_000] * 4)], 1_000)
    venue.run((0, venue.order(A, Side.BUY, a)), (3_600, venue.order(B, Side.BUY, b)))
    first = venue.of(Liquidated)[0]
    # the bar goes from 100 to 70 in its second quarter: the price of A at the instant that broke the account
    quarter = HOUR // 4
    there = 10_000 - 3_000 * (first.at - 3 * HOUR - quarter) // quarter
    assert low <= there <= low + 1
    assert first.instrument == larger
    assert first.price == price


def test_coins_bought_with_cash_move_the_price_that_breaks_contracts():
    """The cash is gone into coins that are no collateral: what is left carries the contracts less far."""
    venue = Venue([tape(SPOT, [10_000] * 4), tape(A, [10_000, 10_000, 10_000, (10_000, 10_000, 9_300, 9_300)])], 2_000)
    venue.run((0, venue.order(A, Side.BUY, "95")), (3_600, venue.order(SPOT, Side.BUY, "9.9")))
    assert [e.price for e in venue.of(Liquidated)][:1] == [9_407]  # 535 = 90.25 d


def test_cash_that_contracts_need_is_not_spent_on_coins():
    venue = Venue([tape(SPOT, [10_000] * 4), tape(A, [10_000] * 4)], 2_000)
    venue.run((0, venue.order(A, Side.BUY, "95")), (3_600, venue.order(SPOT, Side.BUY, "10.6")))
    assert [e.reason for e in venue.of(Rejected)] == ["insufficient margin for open contracts"]


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_a_hedge_that_moves_together_is_not_broken_by_the_order_of_its_tapes(order):
    """Long one and short the other, both fall by a fifth in one bar: nothing is lost on the way, and nothing made."""
    fall = [10_000, 10_000, (10_000, 10_000, 8_000, 8_000)]
    venue = Venue([tape(market, fall) for market in order], 2_000)
    venue.run((0, venue.order(A, Side.BUY, "80")), (0, venue.order(B, Side.SELL, "80")))
    assert not venue.of(Liquidated)
    nets = venue.exchange.account.nets
    assert nets["A-PERP"].money + nets["B-PERP"].money == 0


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_a_gap_of_two_contracts_at_one_instant_closes_both_at_its_far_side(order):
    venue = Venue([tape(market, [10_000, 10_000, 6_000]) for market in order], 2_000)
    venue.run((0, venue.order(A, Side.BUY, "80")), (0, venue.order(B, Side.BUY, "80")))
    assert {e.price for e in venue.of(Liquidated)} == {6_000}


def test_collateral_that_falls_breaks_the_contracts_it_stands_behind():
    rules = Rules(Fees(0, 0), Slippage.none(), collateral={SOL: Weights(8_000, 9_000, 12_000, 11_000)})
    bars = [10_000, 10_000, (10_000, 10_000, 2_000, 10_000)]
    venue = Venue([tape(SPOT, bars), tape(B, [10_000] * 3)], 100, rules, SOL=SOL("10"))
    venue.run((0, venue.order(B, Side.BUY, "60")))
    closed = venue.of(Liquidated)
    # 100 + 10 coins at 90% need to be 300: at 22.22
    assert closed
    assert closed[0].at < 2 * HOUR + 15 * MINUTE
    assert closed[0].price == 10_000


walks = st.lists(st.tuples(*[st.integers(-900, 900)] * 3), min_size=2, max_size=5)


def walk(market, moves):
    price, bars = 10_000, []
    for gap, up, move in moves:
        open_ = max(500, price + gap // 4)
        price = max(500, open_ + move)
        bars.append((open_, max(open_, price) + abs(up) // 2, max(400, min(open_, price) - abs(up) // 3), price))
    return tape(market, [10_000, *bars])


@settings(max_examples=100, deadline=None)
@given(walks, walks, st.tuples(st.integers(-95, 95), st.integers(-95, 95)))
@example(  # the price of either is past what the account bears at one instant: the larger is closed, not the first
    one=[(0, 0, 0), (0, 0, -69), (-1, 0, -900), (-1, 0, -900)],
    other=[(-1, 0, 0), (-2, 0, -347), (-1, 0, -897), (0, 4, -832)],
    sizes=(95, 95),
)
def test_the_order_of_tapes_decides_nothing(one, other, sizes):
    """Two contracts and a cash account: whichever tape is named first, the same money is there in the end."""
    length = min(len(one), len(other))
    results = []
    for flip in (False, True):
        tapes = [walk(A, one[:length]), walk(B, other[:length])]
        venue = Venue(tapes[::-1] if flip else tapes, 2_000)
        orders = [(0, venue.order(m, Side.BUY if s > 0 else Side.SELL, str(abs(s) / 2 or 1))) for m, s in zip((A, B), sizes, strict=True)]
        venue.run(*orders)
        account = venue.exchange.account
        nets = {symbol: (net.base, net.money) for symbol, net in account.nets.items()}
        results.append((account.coins["USDC"], nets, sorted((e.at, e.instrument.symbol, e.price) for e in venue.of(Liquidated))))
        for net in account.nets.values():
            assert not (net.base and account.broken(USDC)), "an account is left broken"
    assert results[0] == results[1]


# -- time --------------------------------------------------------------------------------------------------------------------


def test_an_order_sent_amid_a_long_bar_does_not_meet_its_open():
    """An hour's bar from 100 to 200, a minute's tape beside it: an order after 30 minutes meets the price of then."""
    long = tape(A, [10_000, (10_000, 20_000, 10_000, 20_000)])
    short = tape(B, [10_000] * 120, step=60)
    venue = Venue([long, short], 100_000)
    venue.run((3_600 + 1_350, venue.order(A, Side.BUY, "1")))
    (fill,) = venue.of(Fill)
    # low first (100 at 15 min), then 200 at 30 min: the order is sent with the step at 22.5 minutes past
    assert fill.at >= (3_600 + 1_350) * SECOND
    assert fill.price >= 15_000


def test_funding_inside_a_bar_is_paid_on_what_is_held_then():
    daily = tape(A, [10_000, 10_000, 10_000], step=86_400)
    at = [hour * HOUR for hour in (8, 16, 24, 32, 40, 48, 56)]
    daily = daily.with_funding([FundingRate.of(A, "0.01%", price="100", at=t) for t in at])
    venue = Venue([daily], 1_000)
    venue.run((0, venue.order(A, Side.BUY, "5")), (86_400, venue.order(A, Side.SELL, "5")))
    held = {e.at // HOUR: e.qty for e in venue.of(FundingPaid)}
    assert held == {8: SOL("5").units, 16: SOL("5").units, 24: SOL("5").units, 32: 0, 40: 0, 48: 0, 56: 0}


def test_a_book_is_not_taken_before_it_is_shown_nor_after_the_price_has_left_it():
    shown = Depth(90 * SECOND, ((9_990, SOL("5").units),), ((10_010, SOL("5").units),))
    venue = Venue([tape(SPOT, [10_000, 10_000, 10_000, 20_000], step=60).with_depth([shown])], 100_000)
    venue.run((0, venue.order(SPOT, Side.BUY, "1")), (120, venue.order(SPOT, Side.BUY, "1")), (180, venue.order(SPOT, Side.BUY, "1")))
    assert [(e.at // SECOND, e.price) for e in venue.of(Fill)] == [(0, 10_000), (120, 10_010), (180, 20_000)]


# -- the rest of a reviewer's list -------------------------------------------------------------------------------------------


def test_a_contract_pays_its_fee_in_the_quote_whatever_coins_pay_theirs_in():
    matcher = Matcher(A, {"USDC": USDC("1000")}, Rules(Fees(2_500, 4_000, FeeIn.RECEIVED), Slippage.none()))
    matcher.submit(Order("a-1", "a", Place(A, Side.BUY, A.qty("1")), 0), 0)
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    (fill,) = matcher.outbox
    assert fill.fee == USDC("0.4")
    assert matcher.net.money == -USDC("100.4").units


def test_trades_that_fill_one_order_do_not_fill_the_next_one_too():
    matcher = Matcher(SPOT, {"USDC": USDC("100000")}, Rules(Fees(0, 0), maker=Maker.QUEUE))
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    matcher.display(Depth(0, ((9_990, SOL("5").units),), ((10_010, SOL("5").units),)))
    for n in (1, 2):
        matcher.submit(Order(f"a-{n}", "a", Place(SPOT, Side.BUY, SPOT.qty("5"), limit=9_990), 0), 0)
    matcher.advance(MINUTE, MINUTE, 10_000, 10_000, 10_000, 10_000)
    matcher.advance(2 * MINUTE, MINUTE, 9_990, 9_990, 9_990, 9_990, 1_000)
    assert [(e.order_id, e.qty) for e in matcher.outbox if isinstance(e, Fill)] == [("a-1", SOL("5").units)]


def test_a_queue_takes_its_part_of_the_volume_and_no_more():
    matcher = Matcher(SPOT, {"USDC": USDC("100000")}, Rules(Fees(0, 0), maker=Maker.QUEUE, participation_ppm=100_000))
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    matcher.display(Depth(0, ((9_990, SOL("1").units),), ((10_010, SOL("5").units),)))
    matcher.submit(Order("a-1", "a", Place(SPOT, Side.BUY, SPOT.qty("50"), limit=9_990), 0), 0)
    matcher.advance(MINUTE, MINUTE, 10_000, 10_000, 10_000, 10_000)
    matcher.advance(2 * MINUTE, MINUTE, 9_990, 9_990, 9_990, 9_990, 2_000)
    assert [e.qty for e in matcher.outbox if isinstance(e, Fill)] == [SOL("2").units]


def test_a_book_that_does_not_reach_a_price_says_nothing_about_its_queue():
    matcher = Matcher(SPOT, {"USDC": USDC("100000")}, Rules(Fees(0, 0), maker=Maker.QUEUE))
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    matcher.display(Depth(0, ((9_990, SOL("1").units),), ((10_010, SOL("5").units),)))
    matcher.submit(Order("a-1", "a", Place(SPOT, Side.BUY, SPOT.qty("5"), limit=9_900), 0), 0)
    matcher.advance(MINUTE, MINUTE, 9_950, 10_000, 9_950, 10_000)
    matcher.advance(2 * MINUTE, MINUTE, 9_900, 9_900, 9_900, 9_900, 1_000)
    assert not [e for e in matcher.outbox if isinstance(e, Fill)]


@pytest.mark.parametrize(("qty", "taken"), [("99", False), ("49", True)])
@pytest.mark.parametrize("terms", [{"side": Side.SELL, "limit": 20_000}, {"side": Side.BUY, "stop": 20_000}])
def test_leverage_counts_an_order_at_the_price_at_which_it_fills(qty, taken, terms):
    """Sold at 200, 99 contracts are 19.8 times 1,000: the price of today says 9.9."""
    matcher = Matcher(A, {"USDC": USDC("1000")}, FREE)
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    place = Place(A, terms["side"], A.qty(qty), limit=terms.get("limit"), stop=terms.get("stop"))
    matcher.submit(Order("a-1", "a", place, 0), MINUTE)
    assert (not [e for e in matcher.outbox if isinstance(e, Rejected)]) is taken


def test_contracts_of_one_account_follow_one_rule():
    tapes = [tape(A, [10_000]), tape(B, [10_000])]
    with pytest.raises(VaultError, match="need one rule"):
        Exchange(tapes, {}, {"A-PERP": FREE, "B-PERP": Rules(most_leverage_bp=20_000)})
    spot_first = Exchange([tape(SPOT, [10_000]), tape(A, [10_000])], {}, {"SOL/USDC": FREE, "A-PERP": Rules(most_leverage_bp=20_000)})
    assert spot_first.account.rules.most_leverage_bp == 20_000


def test_a_price_that_a_pool_cannot_have_cancels_the_swap_and_says_so():
    from sleeves.amm import Range, sqrt_price
    from sleeves.sim import Concentrated

    low, here, high = (sqrt_price(n * 10**6, 100 * 10**9) for n in (9_000, 10_000, 11_000))
    matcher = Matcher(SPOT, {"USDC": USDC("100000")}, Rules(pool=Concentrated(here, (Range(low, high, 10**15),), 500)))
    matcher.submit(Order("a-1", "a", Place(SPOT, Side.BUY, SPOT.qty("1")), 0), 0)
    matcher.advance(0, MINUTE, 20_000, 20_000, 20_000, 20_000)
    (event,) = matcher.outbox
    assert isinstance(event, Canceled)
    assert "the pool cannot fill it" in event.reason


def test_collateral_is_priced_in_the_quote_that_it_stands_behind():
    other = Instrument("SOL/USDT", base=SOL, quote=USDT, tick="0.01", lot="0.01")
    rules = Rules(Fees(0, 0), Slippage.none(), collateral={SOL: Weights()})
    exchange = Exchange([tape(SPOT, [10_000] * 2), tape(other, [5_000] * 2), tape(B, [10_000] * 2)], {"SOL": SOL("1")}, rules)
    list(exchange.play())
    assert exchange.account.margin(USDC).coin("SOL").price == 10_000
    assert exchange.account.margin(USDT).coin("SOL").price == 5_000


def test_reduce_only_orders_take_no_margin():
    matcher = Matcher(A, {"USDC": USDC("1000")}, FREE)
    matcher.submit(Order("a-0", "a", Place(A, Side.BUY, A.qty("90")), 0), 0)
    matcher.advance(0, MINUTE, 10_000, 10_000, 10_000, 10_000)
    for n in range(1, 6):
        matcher.submit(Order(f"a-{n}", "a", Place(A, Side.SELL, A.qty("90"), limit=11_000, reduce_only=True), 0), MINUTE)
    assert not [e for e in matcher.outbox if isinstance(e, Rejected)]
    matcher.advance(MINUTE, MINUTE, 10_000, 10_000, 9_600, 9_600)
    assert not [e for e in matcher.outbox if isinstance(e, Canceled)]


def test_a_report_names_the_fee_of_a_pool_and_not_one_that_is_not_charged():
    lines = Rules(pool=ConstantProduct(10**12, 10**12, 3_000), latency=Latency()).describe()
    assert lines[0] == "fees: those of the pool"
    assert "0.3%" in lines[1]


def test_funding_of_one_instant_breaks_the_account_the_same_way_whichever_tape_is_first():
    """Both are due at 1:30, and that of A alone is too much: 2,000 - 13% of 9,000 is less than 5% of 18,500."""
    at, closed = HOUR + HOUR // 2, []
    for order in ((A, 130_000_000), (B, 70_000_000)), ((B, 70_000_000), (A, 130_000_000)):
        tapes = [tape(m, [10_000] * 3).with_funding([FundingRate(m, at, ppb, 10_000, HOUR)]) for m, ppb in order]
        venue = Venue(tapes, 2_000)
        venue.run(*((0, venue.order(m, Side.BUY, qty)) for m, qty in ((A, "90"), (B, "95"))))
        closed.append([(e.instrument.symbol, e.at, e.change, e.price) for e in venue.of(Liquidated)])
    assert closed[0] == closed[1]
    assert closed[0][0][:2] == ("B-PERP", at)
