"""The simulated venue's contracts: margin, the leverage cap, funding, settlement, liquidation to the tick, bankruptcy."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from sleeves import SOL, USDC, Instrument, Place, Side
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from sleeves.margin import Check, Weights, equity, health, liquidatable, standing
from sleeves.market import HOUR, MINUTE, FundingRate, Kind, Perpetual
from sleeves.money import Amount, Rounding
from sleeves.orders import Accepted, Canceled, Fill, Order, Rejected, SettlePnl, SubmitOrder, TimeInForce, Transfer
from sleeves.sim import Exchange, Fees, Matcher, Rules, Settles, Slippage, Tape
from strategies import law

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
FREE = Rules(Fees(0, 0), Slippage.none())


class Market:
    """One perpetual and an account, moved by hand."""

    def __init__(self, cash="1000", rules=FREE, market=PERP, price="100"):
        self.market = market
        self.matcher = Matcher(market, {"USDC": USDC(cash)}, rules)
        self.account = self.matcher.account
        self.now = 0
        self.orders = 0
        self.at(price)

    def at(self, *prices):
        """The price goes from here to there, each at a jump; what happened."""
        for price in prices:
            units = price if isinstance(price, int) else self.market.price(price)
            self.row(units, units, units, units)
        return self.events()

    def row(self, open_, high, low, close, volume=-1):
        self.now += MINUTE
        self.matcher.advance(self.now, MINUTE, open_, high, low, close, volume)

    def events(self):
        found = list(self.matcher.outbox)
        self.matcher.outbox.clear()
        return found

    def order(self, side, qty, *, limit=None, worst=None, **terms):
        self.orders += 1
        units = self.market.qty(qty) if isinstance(qty, str) else qty
        price = None if limit is None else self.market.price(limit)
        place = Place(self.market, side, units, limit=price, **terms)
        order = Order(f"a-{self.orders}", "a", place, self.now, worst)
        self.matcher.submit(order, self.now)
        return order

    def trade(self, side, qty, price):
        """Into a position at this price."""
        self.order(side, qty)
        return self.at(price)

    @property
    def net(self):
        return self.matcher.net

    @property
    def cash(self):
        return Amount(self.account.coins["USDC"], USDC)

    def stands(self, *, orders=True):
        return self.account.margin(USDC, orders=orders)


# -- positions -------------------------------------------------------------------------------------------------------------


def test_contracts_cost_no_coins_and_what_they_make_is_unsettled():
    """The origin books perps as spot: a short with no coins receives the money (part 2)."""
    m = Market("1000")
    m.trade(Side.SELL, "10", "100")
    assert (m.net.base, m.cash) == (-SOL("10").units, USDC("1000"))
    m.trade(Side.BUY, "4", "90")
    assert (m.net.base, m.net.unsettled) == (-SOL("6").units, USDC("40").units)
    m.trade(Side.BUY, "10", "80")
    assert (m.net.base, m.net.unsettled) == (SOL("4").units, USDC("160").units)
    assert m.cash == USDC("1000")
    assert equity(m.stands()) == USDC("1160").units


@law
@given(st.lists(st.tuples(st.integers(-500, 500).filter(bool), st.integers(9_000, 11_000)), max_size=12), st.integers(9_000, 11_000))
def test_the_money_side_is_what_was_paid_and_received_and_nothing_else(trades, last):
    m = Market("1000000")
    spent = base = 0
    for lots, price in trades:
        m.order(Side.BUY if lots > 0 else Side.SELL, abs(lots) * PERP.lot_units)
        (fill,) = [e for e in m.at(price) if isinstance(e, Fill)]
        spent += fill.cost if lots > 0 else -fill.cost
        base += lots * PERP.lot_units
        assert (m.net.base, m.net.money) == (base, -spent)
        assert base or m.net.cost == 0
    before = equity(m.stands())
    m.matcher.settle(m.now)
    assert equity(m.stands()) == before
    assert m.net.unsettled == 0
    assert m.cash.units - USDC("1000000").units == sum(e.amount for e in m.events() if isinstance(e, Settled))


def test_unrealized_follows_the_price_as_size_times_move():
    """Reference P7: unrealized = (mark - entry) x size x side."""
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        m = Market("1000")
        m.trade(side, "2", "100")
        for price in ("97", "100", "104.5"):
            m.at(price)
            assert equity(m.stands()) - USDC("1000").units == sign * 2 * (USDC(price).units - USDC("100").units)


def test_what_is_settled_at_once_is_cash_at_once():
    m = Market("1000", evolve(FREE, settles=Settles.AT_ONCE))
    m.trade(Side.BUY, "1", "100")
    events = m.trade(Side.SELL, "1", "103")
    assert [type(e) for e in events] == [Fill, Settled]
    assert m.cash == USDC("1003")
    assert m.net.money == 0


def test_fees_are_charged_to_the_money_side_and_a_rebate_is_paid():
    m = Market("1000", Rules(Fees(-100, 400), Slippage.none()))
    m.trade(Side.BUY, "1", "100")
    assert m.net.unsettled == -USDC("0.04").units
    m.order(Side.SELL, "1", limit="101")
    m.at("100", "102")
    assert m.net.unsettled == USDC("1").units - USDC("0.04").units + USDC("0.0101").units


# -- the leverage cap --------------------------------------------------------------------------------------------------------


def rejected(m):
    return [e.reason for e in m.events() if isinstance(e, Rejected)]


@pytest.mark.parametrize("side", Side)
def test_ten_times_equity_and_not_a_lot_more(side):
    """Reference P4, both sides of the threshold."""
    m = Market("1000")
    m.order(side, "100")
    assert rejected(m) == []
    m = Market("1000")
    m.order(side, "100.01")
    assert rejected(m) == ["leverage would exceed 10"]


def test_five_times_where_the_venue_allows_no_more():
    rules = evolve(FREE, most_leverage_bp=50_000)
    m = Market("1000", rules)
    m.order(Side.BUY, "50")
    m.order(Side.BUY, "0.01")
    assert rejected(m) == ["leverage would exceed 5"]


def test_stacked_orders_do_not_pass_the_cap():
    """The origin checks each order alone: 20 successive shorts reached 180x (part 2)."""
    m = Market("1000")
    for _ in range(20):
        m.order(Side.SELL, "9", limit="120")
    assert rejected(m) == ["leverage would exceed 10"] * 11
    m.at("121")
    m.at("100")
    assert m.net.base == -SOL("81").units


def test_bids_and_asks_are_not_added_up_but_the_worse_side_counts():
    m = Market("1000")
    m.order(Side.BUY, "90", limit="90")
    m.order(Side.SELL, "90", limit="110")
    m.order(Side.SELL, "20", limit="110")
    assert rejected(m) == ["leverage would exceed 10"]


def test_reducing_is_always_let_pass():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.at("95")
    assert m.stands() and standing(m.stands(), Check.INITIAL).short
    m.order(Side.SELL, "100")
    assert rejected(m) == []
    m.order(Side.SELL, "0.01")
    assert rejected(m) == ["leverage would exceed 10"]


orders_ = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 6_000), st.sampled_from([None, -300, 0, 300]), st.integers(-200, 200)), max_size=15
)


@law
@given(orders_)
def test_no_sequence_of_orders_is_taken_beyond_ten_times(wishes):
    """Seed property 4 also under stacked orders: at the moment an order is taken, all filled, it is at most 10x."""
    m, price = Market("1000"), 10_000
    for side, lots, offset, move in wishes:
        limit = None if offset is None else PERP.price_text(max(1, price + offset))
        m.events()
        m.order(side, lots * PERP.lot_units, limit=limit)
        if not rejected(m):
            account, net = m.stands(), m.net
            worst = max(abs(net.base + net.bids()), abs(net.base - net.asks()))
            against = net.base * (1 if side is Side.BUY else -1) < 0
            open_same = net.bids() if side is Side.BUY else net.asks()
            if not (against and open_same <= abs(net.base)):
                assert worst * net.price // 10**5 <= 10 * equity(account)
        price = max(100, price + move)
        m.at(price)


def test_reduce_only_is_cut_to_the_position_and_never_opens():
    m = Market("1000")
    m.order(Side.SELL, "1", reduce_only=True)
    assert rejected(m) == ["reduce only: no position to reduce"]
    m.trade(Side.BUY, "3", "100")
    m.events()
    m.order(Side.SELL, "5", reduce_only=True)
    events = m.at("100")
    assert [e.qty for e in events if isinstance(e, Fill)] == [SOL("3").units]
    assert [e.reason for e in events if isinstance(e, Canceled)] == ["reduce only: no position left to reduce"]
    assert m.net.base == 0


def test_a_netted_reduce_only_order_is_not_reduced_again():
    """The desk has sized it to its owner; the venue, which sees the net, must take it as it is."""
    m = Market("1000")
    m.trade(Side.BUY, "3", "100")
    place = Place(PERP, Side.SELL, SOL("5").units, reduce_only=True)
    m.matcher.submit(Order("b-1", "b", place, m.now, None, True), m.now)
    m.at("100")
    assert m.net.base == -SOL("2").units


# -- funding -----------------------------------------------------------------------------------------------------------------


def test_funding_is_paid_on_what_is_held_at_that_instant():
    m = Market("1000")
    m.trade(Side.SELL, "10", "150")
    m.events()
    m.matcher.fund(FundingRate.of(PERP, "0.1%", price="150", at=m.now))
    (paid,) = m.events()
    assert isinstance(paid, FundingPaid)
    assert (paid.qty, paid.amount) == (-SOL("10").units, USDC("1.5").units)
    assert m.net.unsettled == USDC("1.5").units
    m.trade(Side.BUY, "10", "150")
    m.events()
    m.matcher.fund(FundingRate.of(PERP, "0.1%", price="150", at=m.now))
    (nothing,) = m.events()
    assert (nothing.qty, nothing.amount) == (0, 0)


def test_a_funding_payment_can_be_what_breaks_the_account():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.at("94.75")
    m.events()
    stands = standing(m.stands(), Check.MAINTENANCE)
    spare = stands.collateral - stands.requirement
    ppb = spare * 10**9 // USDC("9475").units
    m.matcher.fund(FundingRate(PERP, m.now, ppb, 9_475, HOUR))
    assert [type(e) for e in m.events()] == [FundingPaid]
    m.matcher.fund(FundingRate(PERP, m.now + 1, 1_000, 9_475, HOUR))
    assert [type(e) for e in m.events()] == [FundingPaid, Liquidated]


# -- liquidation -------------------------------------------------------------------------------------------------------------


def test_a_long_at_ten_times_is_closed_at_the_computed_price_and_not_a_tick_before():
    """1,000 of cash, 100 at 100: below 9,000 / 95 = 94.736... it has less than 5% of its notional, so at 94.73."""
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    assert m.at("94.74") == []
    (closed,) = m.at("94.73")
    assert isinstance(closed, Liquidated)
    assert (closed.price, closed.change < 0) == (9_473, True)


def test_a_short_at_ten_times_is_closed_at_the_computed_price_and_not_a_tick_before():
    """11,000 / 105 = 104.7619...: at 104.77."""
    m = Market("1000")
    m.trade(Side.SELL, "100", "100")
    assert m.at("104.76") == []
    (closed,) = m.at("104.77")
    assert (closed.price, closed.change > 0) == (10_477, True)


def test_it_is_closed_on_the_way_at_the_tick_and_not_at_the_end_of_the_bar():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.row(10_000, 10_100, 9_400, 9_900)
    closed = [e for e in m.events() if isinstance(e, Liquidated)]
    assert closed[0].price == 9_473


def test_a_gap_is_closed_at_the_price_behind_it():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.row(9_300, 9_400, 9_300, 9_350)
    (closed,) = [e for e in m.events() if isinstance(e, Liquidated)]
    assert closed.price == 9_300


def test_stops_and_limits_on_the_way_come_in_their_turn():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.order(Side.SELL, "100", stop=9_600, reduce_only=True)
    m.row(10_000, 10_000, 9_000, 9_000)
    events = m.events()
    assert [type(e) for e in events] == [Accepted, Fill]
    assert events[1].price == 9_600
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    m.order(Side.SELL, "100", stop=9_400, reduce_only=True)
    m.row(10_000, 10_000, 9_300, 9_300)
    kinds = [type(e) for e in m.events()]
    assert kinds[:3] == [Accepted, Canceled, Liquidated]


long_or_short = st.sampled_from(Side)
settings_ = st.tuples(st.integers(100, 5_000), st.integers(10, 99), st.sampled_from([0, 0, 300, 2_000]), st.sampled_from([500, 300, 999]))


@law
@given(long_or_short, settings_)
def test_liquidation_happens_at_the_computed_tick_and_not_one_before(side, terms):
    """The venue's own trigger, the margin rules' predicate and the path agree, with size premium in it."""
    cash, part, imf, maintenance = terms
    market = evolve(PERP, contract=Perpetual(initial_bp=1_000, maintenance_bp=maintenance, imf=imf, liquidation_fee_ppm=5_000))
    m = Market(str(cash), FREE, market)
    m.order(side, max(1, cash * part // 10) * market.lot_units)
    m.at("100")
    assume(m.net.base and m.events()[-1:] != [Rejected])
    assume(m.net.base)
    tick = m.matcher._breaking_price()
    assume(tick is not None and 1 < tick < 100_000)
    step = -1 if side is Side.BUY else 1
    here = m.net.price
    m.row(here, max(here, tick - step), min(here, tick - step), tick - step)
    assert not [e for e in m.events() if isinstance(e, Liquidated)]
    assert not liquidatable(m.stands())
    m.row(tick - step, max(tick, tick - step), min(tick, tick - step), tick)
    closed = [e for e in m.events() if isinstance(e, Liquidated)]
    assert closed[0].price == tick


@law
@given(long_or_short, st.integers(60, 100), st.integers(1, 1_500), st.sampled_from([0, 200, 1_000]))
def test_no_more_is_closed_than_brings_the_account_back_above_its_buffer(side, lots, gap, buffer):
    m = Market("1000", evolve(FREE, liquidation_buffer_bp=buffer))
    m.trade(side, lots * 100 * PERP.lot_units, "100")
    m.events()
    price = 10_000 - gap if side is Side.BUY else 10_000 + gap
    before = m.net.base, m.net.money
    m.at(price)
    # the row's own events were taken by `at`; ask the account
    if m.net.base == before[0]:
        assert not liquidatable(m.stands())
        return
    assert not standing(m.stands(), Check.MAINTENANCE).short
    closed = abs(before[0]) - abs(m.net.base)
    if m.net.base:
        assert not standing(m.stands(), Check.MAINTENANCE, buffer_bp=buffer).short
        one_less = closed - PERP.lot_units
        sign = -1 if side is Side.BUY else 1
        cost = PERP.cost(price, one_less, Rounding.CEIL if sign > 0 else Rounding.FLOOR)
        fee = -(-cost * PERP.contract.liquidation_fee_ppm // 10**6)
        (contract,) = m.stands().contracts
        was = evolve(contract, base=before[0] + sign * one_less, quote=before[1] - sign * cost - fee)
        assert one_less == 0 or standing(evolve(m.stands(), contracts=(was,)), Check.MAINTENANCE, buffer_bp=buffer).short


def test_what_was_lost_beyond_all_that_was_there_is_borne_by_others():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    events = m.at("80")
    assert [type(e) for e in events] == [Liquidated, Bankrupted]
    assert events[1].amount == USDC("1000").units + USDC("80").units
    assert equity(m.stands()) == 0
    assert m.net.base == 0


def test_a_liquidation_is_charged_its_fee():
    m = Market("1000")
    m.trade(Side.BUY, "100", "100")
    (closed,) = m.at("94")
    assert closed.fee.units == -(-closed.cost // 100)
    assert closed.cost == PERP.cost(9_400, -closed.change, Rounding.FLOOR)


@law
@given(st.integers(-(10**10), 10**10), st.integers(-(10**6), 10**6), st.integers(100, 10**6), st.integers(0, 10**9))
def test_health_lies_from_0_to_100(base, cash, price, money):
    """Seed property 2."""
    m = Market("0", price="100")
    m.net.base, m.net.price, m.net.money = base // 100 * PERP.lot_units, price, money - base
    m.account.coins["USDC"] = cash * 10**4
    assert 0 <= health(m.stands()) <= 100


def test_other_coins_count_as_collateral_as_far_as_they_weigh():
    """SOL at 80% to open and 90% to keep: drift.md 3.6, fifth row ('10 SOL ... long 5') has the same weights."""
    rules = evolve(FREE, collateral=((SOL, Weights(8_000, 9_000, 12_000, 11_000)),))
    tapes = [
        Tape.from_columns(market, ts=[0, 60], open=["100", "100"], high=["100", "100"], low=["100", "100"], close=["100", "100"])
        for market in (SPOT, PERP)
    ]
    exchange = Exchange(tapes, {"USDC": USDC("200"), "SOL": SOL("10")}, rules)
    list(exchange.play())
    account = exchange.account.margin(USDC)
    assert standing(account, Check.INITIAL).collateral == USDC("1000").units
    assert standing(account, Check.MAINTENANCE).collateral == USDC("1100").units


# -- commands of the seed ------------------------------------------------------------------------------------------------------


def exchange_of(cash="1000", wallet="500", rules=FREE):
    tape = Tape.from_columns(PERP, ts=[0, 60], open=["100", "100"], high=["100", "100"], low=["100", "100"], close=["100", "100"])
    exchange = Exchange([tape], {"USDC": USDC(cash)}, rules, wallet={"USDC": USDC(wallet)})
    return exchange, exchange.play()


def told(exchange):
    found = list(exchange.outbox)
    exchange.outbox.clear()
    return found


@pytest.mark.parametrize(("amount", "taken"), [("0.000001", True), ("500", True), ("500.000001", False)])
def test_a_deposit_is_taken_from_more_than_nothing_up_to_what_the_wallet_holds(amount, taken):
    """Reference P9."""
    exchange, _ = exchange_of()
    exchange.carry(Transfer("t-1", USDC(amount)), 0)
    exchange.carry(Transfer("t-1", USDC(amount)), 0)
    (answer,) = told(exchange)
    assert isinstance(answer, Transferred if taken else TransferRefused)
    assert exchange.balances()["USDC"] == USDC("1000") + (USDC(amount) if taken else USDC.zero)
    assert exchange.account.wallet["USDC"] == (USDC("500") - USDC(amount) if taken else USDC("500")).units


@pytest.mark.parametrize(
    ("amount", "refused"), [("975", ""), ("975.000001", "health would go from 99.5 to 79.99, below 80"), ("1000.01", "to withdraw")]
)
def test_a_withdrawal_that_would_leave_health_below_80_is_refused(amount, refused):
    """Reference P12, both sides: one contract at 100 needs 5 to keep; with 25 health is 80, and no rounding lifts less."""
    exchange, steps = exchange_of()
    place = Place(PERP, Side.BUY, PERP.qty("1"))
    exchange.carry(SubmitOrder(Order("a-1", "a", place, 0)), 0)
    list(steps)
    told(exchange)
    assert exchange.positions()["SOL-PERP"].qty == SOL("1").units
    exchange.carry(Transfer("t-1", -USDC(amount)), 0)
    (answer,) = told(exchange)
    if refused:
        assert isinstance(answer, TransferRefused)
        assert refused in answer.reason
        assert exchange.balances()["USDC"] == USDC("1000")
    else:
        assert isinstance(answer, Transferred)
        assert exchange.balances()["USDC"] == USDC("1000") - USDC(amount)


def test_settling_moves_what_is_unsettled_and_says_how_much_also_when_it_is_nothing():
    m = Market("1000")
    m.trade(Side.BUY, "1", "100")
    m.trade(Side.SELL, "1", "103")
    m.events()
    m.matcher.settle(m.now)
    m.matcher.settle(m.now)
    assert [e.amount for e in m.events()] == [USDC("3").units, 0]
    assert m.cash == USDC("1003")


def test_the_exchange_carries_a_settlement_by_its_instrument():
    exchange, steps = exchange_of()
    list(steps)
    exchange.carry(SettlePnl(PERP), 7)
    (settled,) = told(exchange)
    assert (settled.instrument, settled.amount, settled.at) == (PERP, 0, 7)


def test_an_order_that_only_the_first_price_can_fill_is_canceled_after_it():
    m = Market("1000")
    m.order(Side.BUY, "1", limit="99", tif=TimeInForce.IOC)
    assert [type(e) for e in m.at("100")] == [Accepted, Canceled]


def test_an_order_of_contracts_does_not_fill_beyond_its_worst_price_either_way():
    m = Market("1000")
    m.order(Side.SELL, "1", worst=9_900)
    events = m.at("98")
    assert [type(e) for e in events] == [Canceled]
    m.order(Side.BUY, "1", worst=9_900)
    assert [type(e) for e in m.at("99.01")] == [Canceled]
    m.order(Side.BUY, "1", worst=9_900)
    assert [type(e) for e in m.at("99")] == [Fill]


moves_ = st.lists(
    st.tuples(st.integers(-300, 300), st.integers(-700, 700), st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12
)
sent = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(Side), st.integers(1, 9_900), st.none() | st.integers(-800, 800), st.booleans()),
    max_size=6,
)


@law
@given(moves_, sent, st.sampled_from([0, 300]))
def test_a_bar_between_the_triggers_may_be_skipped(moves, orders, imf):
    """Nothing happens in it: a run that skips such bars, as a fast caller does, tells the same events."""
    market = evolve(PERP, contract=Perpetual(imf=imf))
    told = []
    for quick in (False, True):
        matcher, price = Matcher(market, {"USDC": USDC("1000")}, Rules(Fees(100, 400), Slippage.none())), 10_000
        for number, (gap, move, up, down) in enumerate(moves):
            open_ = max(200, price + gap)
            price = max(200, open_ + move)
            high, low = max(open_, price) + up, max(100, min(open_, price) - down)
            if quick and matcher.low_trigger < low and high < matcher.high_trigger:
                matcher.last = price
            else:
                matcher.advance(number * MINUTE, MINUTE, open_, high, low, price)
            for n, (row, side, lots, offset, stop) in enumerate(orders):
                if row == number:
                    at = None if offset is None else max(1, price + offset)
                    terms = {"stop" if stop else "limit": at}
                    matcher.submit(Order(f"a-{n}", "a", Place(market, side, lots * market.lot_units, **terms), 0), (number + 1) * MINUTE)
        told.append(list(matcher.outbox))
    assert told[0] == told[1]
