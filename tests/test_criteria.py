"""The acceptance criteria of delta-neutral trading, 1.x, 4.x, 5.x and 6.x, and its properties P1 to P30, one test each.

They are those of the origin's specification, tried on the real objects: the desk, the simulated venue, the margin
functions, the gates and the funding engine, each threshold from both sides. Where two of them contradict each other,
the docstring says which is taken, and why. The others are in test_criteria_live.py; what speaks of something that does not
exist here yet is in `criteria.LATER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from funding_stand import GOOD, PERP, PLAIN, SPOT, Stand, engine, entered, text
from sleeves import QUIET, SOL, USDC, Allowance, CoreVault, Desk, Instrument, Place, Side
from sleeves.engines import Idle
from sleeves.engines.carry import Carry, Hedge, Pair
from sleeves.engines.funding import Result
from sleeves.errors import NotEnough, VaultError
from sleeves.facts import FundingPaid, Settled, Transferred, TransferRefused
from sleeves.guards import GasReserve, HealthAfter, Latency, Leverage, Profit
from sleeves.margin import Coin, Contract, MarginAccount, equity, health, health_bp
from sleeves.market import DAY, HOUR, MINUTE, SECOND, FundingRate, Kind, Perpetual, Quote
from sleeves.money import PPM
from sleeves.news import Reading
from sleeves.orders import Command, Fill, Order, Rejected, SettlePnl, SubmitOrder
from sleeves.protocols import Gate
from sleeves.records import Alert, Refusal
from sleeves.sim import Exchange, Fees, Matcher, Rules, Slippage, Tape, account_of, replay
from strategies import heavy, law

NO_COST = Rules(Fees(0, 0), Slippage.none())
BUY, SELL = Side.BUY, Side.SELL


class Floor:
    """One sleeve at a real desk, a simulated venue with one perpetual, and a human who trades by hand."""

    def __init__(
        self,
        money: str = "1000",
        *,
        total: str = "",
        market: Instrument = PERP,
        rules: Rules = NO_COST,
        gates: Iterable[Gate] = (),
        wallet: str = "0",
        price: str = "100",
        **desk: Any,
    ) -> None:
        self.market = market
        self.vault = CoreVault(USDC, total=total or money, tradeable=total or money, cap="1000000000")
        self.sleeve = self.vault.sleeve("a", QUIET, allocate=money)
        self.desk = Desk(self.vault, **desk)
        self.desk.assign(Idle(market), to=self.sleeve, gates=gates)
        here = ["100", "100"]
        tape = Tape.from_columns(market, ts=[0, 60], open=here, high=here, low=here, close=here)
        self.exchange = Exchange([tape], account_of(self.desk), rules, wallet={"USDC": USDC(wallet)})
        self.venue: Matcher = self.exchange.markets[0]
        self.now = 0
        self.facts: list[Any] = []
        self.at(price)

    def at(self, price: str | int, after: int = MINUTE) -> list[Any]:
        """The market moves here and the desk sees it; what the venue told on the way."""
        units = self.market.price(price) if isinstance(price, str) else price
        told = len(self.facts)
        self.now += after
        self.venue.advance(self.now, after, units, units, units, units)
        self.drain()
        self.carry(self.desk.step(Quote(self.market, self.now, units, units)))
        return self.facts[told:]

    def carry(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self.exchange.carry(command, self.now)
        self.drain()

    def drain(self) -> None:
        while self.exchange.outbox:
            self.facts.append(self.exchange.outbox.popleft())
            self.carry(self.desk.step(self.facts[-1]))

    def ask(self, side: Side, qty: str, **terms: Any) -> Sequence[Command] | Refusal:
        return self.desk.order(self.sleeve, Place(self.market, side, self.market.qty(qty), **terms), by="ann", at=self.now)

    def trade(self, side: Side, qty: str) -> list[Any]:
        answer = self.ask(side, qty)
        assert not isinstance(answer, Refusal), answer
        self.carry(answer)
        return self.at(self.venue.last)

    def fund(self, rate: str, price: str = "100") -> None:
        self.venue.fund(FundingRate.of(self.market, rate, price=price, at=self.now))
        self.drain()

    def settle(self) -> None:
        self.carry(self.desk.settle(self.market))

    @property
    def slice(self) -> Any:
        return self.sleeve.slice(self.market)

    def alerts(self) -> list[str]:
        return [record.level.value for record in self.desk.books.journal if isinstance(record, Alert) and record.code == "health"]


def passes(answer: object) -> bool:
    return not isinstance(answer, Refusal)


def the(answer: object, reason: str) -> Refusal:
    """The refusal, for this reason."""
    assert isinstance(answer, Refusal), answer
    assert answer.reason == reason
    return answer


# -- 1.x: the simulated venue ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "rate", "received"), [(SELL, "0.1%", "1.5"), (BUY, "0.1%", "-1.5"), (SELL, "-0.1%", "-1.5"), (BUY, "-0.1%", "1.5")]
)
def test_criterion_1_1_funding_accrues_and_longs_pay_shorts_at_a_positive_rate(side: Side, rate: str, received: str) -> None:
    """10 contracts at 150. In the origin a short with +0.1% on 1,500 gets -1.50: the sign is inverted, and nobody calls it."""
    f = Floor(price="150")
    f.trade(side, "10")
    f.fund(rate, "150")
    assert f.sleeve.funding == USDC(received)


def test_criterion_1_2_settled_and_unsettled_are_apart_and_nothing_is_lost_on_close() -> None:
    """The origin drops what was settled together with the position."""
    f = Floor()
    f.trade(SELL, "5")
    f.fund("0.1%")
    assert (f.slice.unsettled, f.slice.settled, f.sleeve.balance) == (USDC("0.5"), USDC.zero, USDC("1000.5"))
    f.settle()
    assert (f.slice.unsettled, f.slice.settled, f.sleeve.free_units()) == (USDC.zero, USDC("0.5"), USDC("950.5").units)
    f.at("100")
    f.fund("0.2%")
    f.at("90")
    f.trade(BUY, "5")
    assert f.sleeve.is_flat()
    assert f.sleeve.balance == USDC("1051.5"), "50 of the price, and 0.5 and 1 of funding"
    assert f.sleeve.unsettled == USDC.zero


def test_criterion_1_3_funding_falls_due_every_eight_hours_and_at_no_other_time() -> None:
    assert Perpetual().funding_every == 8 * HOUR
    assert FundingRate.of(PERP, "0.01%", price="100", at=0).every == 8 * HOUR
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    sleeve = vault.sleeve("a", QUIET, allocate="1000")
    desk = Desk(vault)

    class Short:
        name, every, watches = "short", 0, (PERP,)

        def begin(self) -> list[int]:
            return []

        def decide(self, memory: list[int], view: Any) -> list[Place] | None:
            return None if memory or memory.append(1) else [Place(PERP, SELL, PERP.qty("1"))]  # type: ignore[func-returns-value]

    desk.assign(Short(), to=sleeve)
    prices = ["100"] * 48
    tape = Tape.from_columns(PERP, ts=[3600 * n for n in range(48)], open=prices, high=prices, low=prices, close=prices)
    due = [FundingRate.of(PERP, "0.01%", price="100", at=n * 8 * HOUR) for n in range(1, 6)]
    replay(desk, tape.with_funding(due), rules=NO_COST, progress=False, bounds=False)
    paid = [record for record in desk.books.journal if isinstance(record, FundingPaid)]
    assert [fact.at for fact in paid] == [n * 8 * HOUR for n in range(1, 6)]
    assert sleeve.funding == USDC("0.05")


@pytest.mark.parametrize(("qty", "needs", "worth"), [("40", "200", 80), ("100", "500", 50), ("20", "100", 90)])
def test_criterion_1_4_health_reckons_with_five_percent_of_the_notional(qty: str, needs: str, worth: int) -> None:
    lenient = Instrument("SOL-20X", base=SOL, quote=USDC, tick="0.01", lot="0.001", kind=Kind.PERP, contract=Perpetual(initial_bp=600))
    rules = Rules.of(fees=Fees(0, 0), slippage=Slippage.none(), most_leverage=20)
    f = Floor(most_leverage=20, market=lenient, rules=rules)
    f.trade(SELL, qty)
    joint = f.desk.exposure(f.vault).joint
    assert (joint.requirement, joint.health) == (USDC(needs), worth)


@pytest.mark.parametrize(
    ("notional", "ppm"),
    [("0.01", 1_001), ("100", 1_004), ("1500", 1_060), ("1500.01", 1_061), ("25000", 2_000), ("50000", 3_000), ("5000000", 3_000)],
)
def test_criterion_1_5_slippage_goes_from_a_tenth_to_three_tenths_of_a_percent_by_size(notional: str, ppm: int) -> None:
    """By what the order is worth, and not by coins: 10 BTC are not 10 SOL. It has no jump, as the origin's has at 10 coins."""
    assert Slippage().of_notional(USDC(notional).units, USDC) == ppm


@pytest.mark.parametrize("side", Side)
def test_criterion_1_6_more_than_ten_times_equity_is_rejected_order_by_order_and_what_reduces_never_is(side: Side) -> None:
    """The origin looks at each order alone: twenty shorts in a row came to 180 times the money."""
    f = Floor("100000", total="100000", allowance=None)
    exchange, now = f.exchange, f.now
    place = [Place(PERP, side, PERP.qty(qty)) for qty in ("5000", "4999", "1", "0.001")]
    for n, one in enumerate(place):
        exchange.carry(SubmitOrder(Order(f"x-{n}", "x", one, now)), now)
    told = [event for event in exchange.outbox if isinstance(event, Rejected)]
    assert [event.order_id for event in told] == ["x-3"], "10,000 coins at 100 are ten times 100,000, and a lot more is too many"
    exchange.outbox.clear()
    f.venue.advance(now + 1, 1, 10_000, 10_000, 10_000, 10_000)
    back = Side.BUY if side is Side.SELL else Side.SELL
    exchange.outbox.clear()
    exchange.carry(SubmitOrder(Order("x-9", "x", Place(PERP, back, PERP.qty("10000")), now + 1)), now + 1)
    assert not [event for event in exchange.outbox if isinstance(event, Rejected)]


def test_criterion_1_7_health_leverage_positions_and_profit_are_there_to_be_told() -> None:
    """After each event, read off the books. Whoever tells them over a socket, a later issue, has them whole."""
    f = Floor()
    f.trade(SELL, "20")
    f.fund("0.1%")
    f.at("97")
    joint = f.desk.exposure(f.vault).joint
    assert (joint.health, joint.leverage_bp, joint.equity) == (91, 18_267, USDC("1062"))
    assert (f.slice.qty, f.slice.cost) == (-SOL("20"), -USDC("2000"))
    assert f.sleeve.unrealized(f.desk.marks()) == USDC("60")
    assert (f.sleeve.realized, f.sleeve.funding, f.sleeve.fees) == (USDC.zero, USDC("2"), USDC.zero)


# -- 4.x: opening and closing by hand -------------------------------------------------------------------------------------------


def test_criterion_4_1_a_market_must_exist() -> None:
    """At the desk a market that nobody has seen has no price; at the venue it has no order book."""
    f, unknown = Floor(), Instrument("XYZ-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.001", kind=Kind.PERP)
    place = Place(unknown, SELL, unknown.qty("1"))
    the(f.desk.order(f.sleeve, place, by="ann"), "no_price")
    f.exchange.carry(SubmitOrder(Order("x-1", "x", place, f.now)), f.now)
    (told,) = f.exchange.outbox
    assert isinstance(told, Rejected)
    assert "unknown instrument" in told.reason
    f.exchange.outbox.clear()
    assert passes(f.ask(SELL, "1"))


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("qty", "passed"), [("50", True), ("50.001", False)])
def test_criterion_4_2_leverage_is_at_most_five_times_in_live_trading(side: Side, qty: str, passed: bool) -> None:
    """With the order filled, in times of all the equity behind it: 5,000 on 1,000."""
    f = Floor(most_leverage=5)
    answer = f.ask(side, qty, limit=PERP.price("100"))
    assert passes(answer) if passed else the(answer, "leverage")


def test_criterion_4_3_a_short_is_an_order_at_market_of_that_size_and_side() -> None:
    f = Floor()
    answer = f.ask(SELL, "2.5")
    assert not isinstance(answer, Refusal)
    (command,) = answer
    assert isinstance(command, SubmitOrder)
    place = command.order.place
    assert (place.side, place.qty, place.limit, place.stop) == (SELL, SOL("2.5").units, None, None)
    f.carry(answer)
    (fill,) = [fact for fact in f.at("100") if isinstance(fact, Fill)]
    assert (fill.side, fill.qty) == (SELL, SOL("2.5").units)


@pytest.mark.parametrize(("side", "worst"), [(BUY, "100.5"), (SELL, "99.5")])
def test_criterion_4_4_an_order_at_market_carries_the_worst_price_that_it_may_fill_at(side: Side, worst: str) -> None:
    """Half a percent from the present price, and not from the entry. The venue fills it at that price, and a tick beyond not."""
    for move, filled in ((0, 1), (side.sign, 0)):
        f = Floor()
        answer = f.ask(side, "1")
        assert not isinstance(answer, Refusal)
        (command,) = answer
        assert isinstance(command, SubmitOrder)
        assert command.order.worst == PERP.price(worst)
        f.carry(answer)
        assert sum(isinstance(fact, Fill) for fact in f.at(PERP.price(worst) + move)) == filled


def test_criterion_4_7_an_open_position_is_in_the_books_with_its_size_and_entry() -> None:
    f = Floor()
    f.trade(SELL, "2")
    f.at("104")
    f.trade(SELL, "1")
    assert (f.slice.qty, f.slice.cost) == (-SOL("3"), -USDC("304"))
    assert f.sleeve.position(PERP) == -SOL("3")
    assert f.exchange.positions()["SOL-PERP"].qty == -SOL("3").units


@pytest.mark.parametrize(("side", "qty"), [(BUY, "7.5"), (SELL, "0.001"), (SELL, "12.345")])
def test_criterion_4_8_a_close_is_for_exactly_what_is_open(side: Side, qty: str) -> None:
    f = Floor()
    f.trade(side, qty)
    answer = f.desk.close(f.sleeve, PERP, by="ann")
    assert not isinstance(answer, Refusal)
    (command,) = answer
    assert isinstance(command, SubmitOrder)
    assert (command.order.place.qty, command.order.place.reduce_only) == (SOL(qty).units, True)
    f.carry(answer)
    f.at("100")
    assert f.sleeve.is_flat()
    with pytest.raises(NotEnough):
        f.desk.close(f.sleeve, PERP, by="ann")


@pytest.mark.parametrize(("side", "closes"), [(BUY, SELL), (SELL, BUY)])
def test_criterion_4_9_a_close_is_on_the_other_side(side: Side, closes: Side) -> None:
    f = Floor()
    f.trade(side, "1")
    answer = f.desk.close(f.sleeve, PERP, by="ann")
    assert not isinstance(answer, Refusal)
    (command,) = answer
    assert isinstance(command, SubmitOrder)
    assert command.order.place.side is closes


@pytest.mark.parametrize(("price", "settles"), [("99.9", False), ("99.89", True), ("100.1", False), ("100.11", True), ("100", False)])
def test_criterion_4_10_more_than_one_coin_unsettled_is_settled_on_close(price: str, settles: bool) -> None:
    """Ten contracts: exactly 1.00 stays, 1.10 is settled, a loss like a gain."""
    f = Floor()
    f.trade(SELL, "10")
    f.at(price)
    told = f.trade(BUY, "10")
    assert any(isinstance(fact, Settled) for fact in told) is settles
    assert (f.sleeve.unsettled == USDC.zero) is (settles or price == "100")


def test_criterion_4_11_settling_moves_what_is_unsettled_to_cash() -> None:
    f = Floor()
    f.trade(SELL, "10")
    f.fund("0.05%")
    assert f.desk.settle(PERP) == [SettlePnl(PERP)]
    f.settle()
    (settled,) = [fact for fact in f.facts if isinstance(fact, Settled)]
    assert settled.amount == USDC("0.5").units
    assert f.exchange.balances()["USDC"] == USDC("1000.5")
    assert f.slice.unsettled == USDC.zero


# -- 5.x: rebalancing ----------------------------------------------------------------------------------------------------------


def test_criterion_5_1_drift_is_net_over_hedgeable() -> None:
    stand = Stand(engine(Pair(SPOT, PERP))).holds("10.017", "-9.5")
    stand.rate("0%", MINUTE)
    saw = engine(Pair(SPOT, PERP)).saw(stand.memory)
    assert Hedge(SOL("10.017").units, SOL("-9.5").units, SOL("0.017").units).drift_ppm == 50_000
    assert stand.orders[0].place.qty == SOL("0.5").units
    assert saw["SOL-PERP hedgeable"] == "10 SOL"


@pytest.mark.parametrize(("contracts", "moves"), [("-9.9", False), ("-9.899", True), ("-10.1", False), ("-10.101", True)])
def test_criterion_5_2_beyond_one_percent_there_is_a_signal_and_at_one_percent_none(contracts: str, moves: bool) -> None:
    stand = Stand(engine()).holds("10", contracts)
    assert bool(stand.rate(GOOD, MINUTE)) is moves


@pytest.mark.parametrize(("wait", "moves"), [(30 * MINUTE - 1, False), (30 * MINUTE, True)])
def test_criterion_5_3_rebalances_are_thirty_minutes_apart(wait: int, moves: bool) -> None:
    assert bool(after_a_rebalance(wait).orders) is moves


def after_a_rebalance(wait: int) -> Stand:
    """Unbalanced again, so long after a rebalance."""
    stand = Stand(engine()).holds("10", "-9")
    assert text(stand.rate(GOOD, MINUTE)) == ["sell 1 SOL-PERP"]
    stamp = stand.now
    stand.at("100")
    stand.trade(PERP, "2")
    stand.orders.clear()
    stand.now = stamp
    stand.at("100", wait)
    return stand


def test_criterion_5_4_inside_the_cooldown_it_is_skipped_and_says_how_long() -> None:
    stand = after_a_rebalance(10 * MINUTE)
    assert stand.result is Result.COOLDOWN
    assert stand.desk.telemetry(stand.sleeve).saw["SOL-PERP why"] == "drift 20%, 20 min left"


@pytest.mark.parametrize(("contracts", "qty"), [("-9", "1"), ("-9.123", "0.877"), ("-11.5", "1.5")])
def test_criterion_5_5_a_rebalance_is_for_what_is_off(contracts: str, qty: str) -> None:
    (order,) = Stand(engine()).holds("10", contracts).rate(GOOD, MINUTE)
    assert order.place.qty == SOL(qty).units


@pytest.mark.parametrize(("contracts", "result"), [("-0.095", Result.REBALANCING), ("-0.096", Result.SKIP), ("-0.104", Result.SKIP)])
def test_criterion_5_6_below_0_005_coins_it_is_skipped(contracts: str, result: Result) -> None:
    stand = Stand(engine()).holds("0.1", contracts)
    assert bool(stand.rate(GOOD, MINUTE)) is (result is Result.REBALANCING)
    assert stand.result is result


def test_criterion_5_7_net_long_expands_the_short() -> None:
    assert text(Stand(engine()).holds("10", "-9").rate(GOOD, MINUTE)) == ["sell 1 SOL-PERP"]


def test_criterion_5_8_net_short_reduces_the_short_and_only_that() -> None:
    """The origin's order is not reduce-only, and its own leverage gate counts it as new exposure."""
    (order,) = Stand(engine()).holds("10", "-11").rate(GOOD, MINUTE)
    assert (order.place.side, order.place.qty, order.place.reduce_only) == (BUY, SOL("1").units, True)
    assert order.worst is None, "nothing is set aside, and nothing stands in its way"


def test_criterion_5_9_a_rebalance_that_filled_starts_the_cooldown() -> None:
    """In paper trading too, where the origin stamps nothing."""
    stand = Stand(engine()).holds("10", "-9")
    stand.rate(GOOD, MINUTE)
    at = stand.now
    stand.at("100")
    assert stand.seen().rebalanced_at == at


def test_criterion_5_10_a_rebalance_that_failed_does_not() -> None:
    stand = Stand(engine()).holds("10", "-11")
    stand.refusing = {PERP}
    assert stand.rate(GOOD, MINUTE)
    stand.at("100")
    assert stand.seen().rebalanced_at is None
    stand.refusing = set()
    assert text(stand.at("100")) == ["buy 1 SOL-PERP*"]


# -- 6.x: what stands before an order ---------------------------------------------------------------------------------------------

P25 = Profit("0.02%", "0.1%", tip=USDC("0.001"), base_fee=USDC("0.0005"))


def test_criterion_6_1_gas_tip_slippage_and_fees_are_estimated() -> None:
    """The gate for one order, the engine for both legs in and out: 10 coins at 100 are 1,000, of which 0.12% and 0.0015."""
    refusal = the(Floor(gates=[P25]).ask(SELL, "10", expect=0), "unprofitable")
    assert refusal.numbers["cost"] == "1.2015"
    assert Pair(SPOT, PERP, per_order="0.0015").cost_ppm(USDC("1000").units) == 2 * (1_000 + 200 + 2 * 1_000) + 6


def test_criterion_6_2_expected_revenue_is_worked_out() -> None:
    """What an entry says that it expects is what the rate pays on it over the horizon, and not a constant."""
    stand = Stand(engine(horizon=DAY, least_net="-100%"))
    stand.at("100")
    short, _ = stand.rate("0.1%")
    rate = FundingRate.of(PERP, "0.1%", price="100", at=0)
    assert short.place.expect == 3 * rate.payment(-short.place.qty)


@pytest.mark.parametrize(("expect", "passed"), [("2.403", True), ("2.402999", False)])
def test_criterion_6_3_revenue_below_cost_is_rejected_and_equal_is_not(expect: str, passed: bool) -> None:
    answer = Floor(gates=[P25]).ask(SELL, "10", expect=USDC(expect).units)
    assert passes(answer) if passed else the(answer, "unprofitable")


def test_criterion_6_4_half_of_the_present_rate_counts() -> None:
    refusal = the(Floor(gates=[P25]).ask(SELL, "10", expect=USDC("2").units), "unprofitable")
    assert refusal.numbers["revenue"] == "1"
    rate = FundingRate.of(PERP, "0.1%", price="100", at=0)
    assert Carry.of(PLAIN, rate, worth=1, horizon=8 * HOUR).revenue_ppm == 500


@pytest.mark.parametrize(("ms", "passed"), [(500, True), (501, False)])
def test_criterion_6_5_above_500_ms_is_rejected(ms: float, passed: bool) -> None:
    f = Floor(gates=[Latency()])
    f.desk.step(Reading("latency", f.now, ms))
    answer = f.ask(SELL, "1")
    assert passes(answer) if passed else the(answer, "latency")


@pytest.mark.parametrize(("coins", "passed"), [("0.017", True), ("0.016", False)])
def test_criterion_6_6_below_0_017_sol_is_rejected(coins: str, passed: bool) -> None:
    assert passes(gas(coins)) if passed else the(gas(coins), "gas_reserve")


def gas(coins: str) -> object:
    """An order that opens contracts, in a wallet with so much SOL."""
    stand = Stand(engine())
    stand.at("100")
    if Decimal(coins):
        stand.trade(SPOT, coins)
    seat = stand.desk._seats["funding"]
    seat.gates = (*seat.gates, GasReserve(SOL, "0.017"))
    return stand.desk.order(stand.sleeve, Place(PERP, SELL, PERP.qty("1")), by="ann", at=stand.now)


@pytest.mark.parametrize(("qty", "passed"), [("50", True), ("50.001", False)])
def test_criterion_6_7_leverage_above_five_times_is_rejected(qty: str, passed: bool) -> None:
    """By a gate at a desk that allows ten."""
    answer = Floor(gates=[Leverage()]).ask(SELL, qty, limit=PERP.price("100"))
    assert passes(answer) if passed else the(answer, "leverage")


@pytest.mark.parametrize(("qty", "passed"), [("80", True), ("80.001", False)])
def test_criterion_6_8_health_after_the_trade_below_60_is_rejected(qty: str, passed: bool) -> None:
    """80 contracts at 100 need 400 of 1,000: 60 exactly. The origin shows it in a picture and trades."""
    answer = Floor(gates=[HealthAfter(fee="0%")]).ask(SELL, qty, limit=PERP.price("100"))
    assert passes(answer) if passed else the(answer, "health")


def test_criterion_6_9_what_is_blocked_is_in_the_journal_with_its_reason_and_its_numbers() -> None:
    """Told over a socket it is by the dashboard, a later issue; the record that is told is this one."""
    f = Floor(gates=[Leverage()])
    refusal = the(f.ask(SELL, "60", limit=PERP.price("100")), "leverage")
    assert [record for record in f.desk.books.journal if isinstance(record, Refusal)] == [refusal]
    assert (refusal.gate, dict(refusal.numbers)) == ("leverage", {"leverage": "6", "most": "5"})
    assert refusal.wish == "sell 60 SOL-PERP at 100"


# -- P1 to P17: the venue and the account --------------------------------------------------------------------------------------------

contracts_held = st.integers(1, 20_000).map(lambda lots: lots * PERP.lot_units)
rates = st.integers(-2_000_000, 2_000_000)
prices = st.integers(5_000, 20_000)


@heavy
@given(contracts_held, st.sampled_from(Side), rates, prices)
def test_p01_after_a_cycle_profit_has_grown_by_size_times_rate_times_price(qty: int, side: Side, rate: int, price: int) -> None:
    """The text says *settled* profit, which contradicts 1.2: it is unsettled until the venue moves it, and profit all the same."""
    f = Floor("100000", price=PERP.price_text(price))
    f.trade(side, PERP.qty_text(qty))
    before = f.sleeve.equity(f.desk.marks()).units
    f.venue.fund(FundingRate(PERP, f.now, rate, price, 8 * HOUR))
    f.drain()
    exact = Fraction(-side.sign * qty * price * rate, 10 ** (9 + 2 + 9 - 6))
    grown = f.sleeve.equity(f.desk.marks()).units - before
    assert exact - 1 < grown <= exact
    assert f.slice.unsettled.units == grown
    assert f.slice.settled == USDC.zero


@law
@given(st.integers(1, 10**12), st.integers(-(10**6), 10**6).filter(bool), st.integers(1, 10**5))
def test_p02_health_is_what_collateral_is_not_needed_from_0_to_100(cash: int, lots: int, price: int) -> None:
    """The text says C / M x 100; code, tests and 2.3 say (C - M) / C x 100, which is taken: a ratio of 0 to 100 it is only so."""
    base, quote = lots * 10**6, -lots * price * 10  # bought, or sold, at the very price
    account = MarginAccount(
        (Coin("USDC", cash, 6, PPM, is_quote=True),), (Contract("SOL-PERP", Perpetual(), base, quote, price, price_scale=2),)
    )
    assert equity(account) == cash
    needed = abs(lots) * price * 10 * 500 // 10_000
    assert health_bp(account) == max(0, (cash - needed) * 10_000 // cash)
    assert 0 <= health(account) <= 100


@law
@given(st.integers(1, 10**13), st.integers(1, 10**13))
def test_p03_slippage_lies_between_its_bounds_and_grows_with_size(one: int, other: int) -> None:
    low, high = (Slippage().of_notional(units, USDC) for units in sorted((one, other)))
    assert 1_000 <= low <= high <= 3_000


@heavy
@given(st.sampled_from([("5", 5), ("10", 10)]), st.sampled_from(Side), st.integers(1, 20), st.integers(1, 2_000))
def test_p04_no_row_of_orders_is_let_pass_beyond_the_highest_leverage(most: tuple[str, int], side: Side, orders: int, lots: int) -> None:
    """5 in live trading and 10 on paper, with all open orders filled. At ten times the margin ends where the leverage does."""
    f = Floor(most_leverage=most[0])
    sent = 0
    for _ in range(orders):
        answer = f.ask(side, PERP.qty_text(lots * 50 * PERP.lot_units), limit=PERP.price("100"))
        if not isinstance(answer, Refusal):
            sent += lots * 50
        else:
            assert answer.reason in ("leverage", "funds", "margin")
    assert sent * 100 <= most[1] * 1_000 * 1_000
    if sent and sent < orders * lots * 50:
        assert (sent + lots * 50) * 105 > most[1] * 1_000 * 1_000, "what was refused would have been too much, with its fee"


def test_p05_every_figure_that_is_told_is_there() -> None:
    """Health, leverage, positions, collateral, margin and delta, after each event. The message itself is of a later issue."""
    stand = entered(Stand(engine()))
    told = stand.desk.exposure(stand.vault).joint
    for figure in (told.health, told.leverage_bp, told.collateral, told.requirement, told.initial, told.equity):
        assert figure is not None
    assert set(told.liquidation) == {"SOL-PERP"}
    assert {market.symbol for market in stand.sleeve.positions()} == {"SOL/USDC", "SOL-PERP"}
    saw = stand.desk.telemetry(stand.sleeve).saw
    assert {"health", "SOL-PERP hedgeable", "SOL-PERP net", "SOL-PERP drift", "SOL-PERP action"} <= set(saw)


def test_p06_below_50_is_a_warning_and_below_20_critical() -> None:
    """Both sides of both, at the very tick; the critical one says what price liquidates the account."""
    low, high = edges(50), edges(20)
    for steps, expected in (
        ((low - 1,), []),
        ((low,), ["warning"]),
        ((low, high - 1), ["warning"]),
        ((low, high), ["warning", "critical"]),
        ((high,), ["critical"]),
    ):
        f = Floor("2000")
        f.trade(SELL, "90")
        for price in steps:
            f.at(price, 2 * MINUTE)
        assert f.alerts() == expected, steps
    told = [record for record in f.desk.books.journal if isinstance(record, Alert) and record.code == "health"]
    assert "liquidates the account" in told[-1].text


def edges(level: int) -> int:
    """The first price, in cents, at which 90 contracts short from 100 on 2,000 have a health below this level."""
    for price in range(10_000, 20_000):
        collateral, needed = Fraction(2_000) - 90 * Fraction(price - 10_000, 100), 90 * Fraction(price, 100) / 20
        if (collateral - needed) * 100 < level * collateral:
            return price
    raise AssertionError(level)


@heavy
@given(st.lists(prices, min_size=1, max_size=8), st.sampled_from(Side), st.integers(1, 400))
def test_p07_unrealized_follows_each_price_as_move_times_size_times_side(path: list[int], side: Side, lots: int) -> None:
    f = Floor("1000000")
    f.trade(side, PERP.qty_text(lots * PERP.lot_units))
    for price in path:
        f.at(price)
        exact = Fraction(side.sign * (price - 10_000) * lots * PERP.lot_units, 100 * 10**9) * 10**6
        found = f.sleeve.unrealized(f.desk.marks())
        assert found is not None
        assert exact - 1 <= found.units <= exact


@pytest.mark.parametrize(("amount", "taken"), [("0", False), ("-1", False), ("0.000001", True), ("500", True), ("500.000001", False)])
def test_p09_a_deposit_is_accepted_from_more_than_nothing_up_to_the_balance(amount: str, taken: bool) -> None:
    f = Floor(wallet="500")
    if Decimal(amount) <= 0:
        with pytest.raises(VaultError):
            f.desk.deposit(f.vault, amount)
        return
    f.carry(f.desk.deposit(f.vault, amount, at=f.now))
    (told,) = f.facts
    assert isinstance(told, Transferred if taken else TransferRefused)
    assert f.vault.total == USDC("1000") + (USDC(amount) if taken else USDC.zero)


@heavy
@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_p11_a_vault_changes_by_exactly_what_came_and_what_left(came: int, left: int) -> None:
    """And at once, with the venue's word that it did: nothing polls, so that nothing has to be waited for."""
    f = Floor("1000", total="2500", wallet="1000")
    f.carry(f.desk.deposit(f.vault, USDC.units(came), at=f.now))
    assert f.vault.total == USDC("2500") + USDC.units(came)
    assume(left <= f.vault.idle.units)
    f.carry(f.desk.withdraw(f.vault, USDC.units(left), by="ann", at=f.now))
    assert f.vault.total == USDC("2500") + USDC.units(came - left)
    assert f.exchange.balances()["USDC"] == f.vault.total
    assert f.desk.check(f.exchange.balances()).holds


@pytest.mark.parametrize(("amount", "passed"), [("975", True), ("975.000001", False)])
def test_p12_a_withdrawal_that_leaves_a_health_below_80_is_rejected(amount: str, passed: bool) -> None:
    """One contract at 100 needs 5 to keep: with 25 behind it health is 80, and no rounding lifts what is less."""
    f = Floor("20", total="1000")
    f.trade(SELL, "1")
    if passed:
        f.carry(f.desk.withdraw(f.vault, amount, by="ann", at=f.now))
        assert f.vault.total == USDC("25")
        assert f.desk.exposure(f.vault).joint.health == 80
    else:
        with pytest.raises(VaultError, match="below 80"):
            f.desk.withdraw(f.vault, amount, by="ann", at=f.now)


@law
@given(st.sampled_from(["SOL-PERP", "SOL-PERP2", "sol-perp", "BTC-PERP", "X"]))
def test_p13_an_order_is_accepted_iff_its_market_is_known(symbol: str) -> None:
    f = Floor()
    market = Instrument(symbol, base=SOL, quote=USDC, tick="0.01", lot="0.001", kind=Kind.PERP)
    answer = f.desk.order(f.sleeve, Place(market, SELL, market.qty("1")), by="ann", at=f.now)
    assert passes(answer) is (symbol == "SOL-PERP")


@law
@given(prices, st.sampled_from(Side), st.integers(0, 50_000))
def test_p14_the_worst_price_is_so_far_from_the_present_one_and_never_farther(price: int, side: Side, slippage: int) -> None:
    """P(1 + S) for a buy, P(1 - S) for a sale, on the tick and rounded toward the price, so that the hold covers it."""
    f = Floor("1000000", price=PERP.price_text(price), allowance=Allowance(4_000, slippage))
    answer = f.ask(side, "0.001")
    assert not isinstance(answer, Refusal)
    (command,) = answer
    assert isinstance(command, SubmitOrder)
    exact = Fraction(price * (PPM + side.sign * slippage), PPM)
    worst = command.order.worst
    assert worst is not None
    assert 0 <= side.sign * (exact - worst) < 1


@heavy
@given(st.lists(st.integers(-3_000, 3_000).filter(bool), min_size=1, max_size=6))
def test_p15_a_close_is_for_the_size_of_the_position_whatever_made_it(trades: list[int]) -> None:
    f = Floor("100000")
    for lots in trades:
        f.trade(BUY if lots > 0 else SELL, PERP.qty_text(abs(lots) * PERP.lot_units))
    position = sum(trades) * PERP.lot_units
    assume(position)
    answer = f.desk.close(f.sleeve, PERP, by="ann")
    assert not isinstance(answer, Refusal)
    (command,) = answer
    assert isinstance(command, SubmitOrder)
    assert command.order.place.side.sign * command.order.place.qty == -position


@heavy
@given(st.integers(-300, 300), st.integers(1, 2_000))
def test_p16_a_close_is_settled_iff_more_than_one_coin_is_unsettled(move: int, lots: int) -> None:
    f = Floor("1000000")
    f.trade(SELL, PERP.qty_text(lots * PERP.lot_units))
    f.at(10_000 + move)
    told = f.trade(BUY, PERP.qty_text(lots * PERP.lot_units))
    made = Fraction(-move * lots, 100 * 1_000)
    assert any(isinstance(fact, Settled) for fact in told) is (abs(made) > 1)


# -- P18 to P24: the engine ------------------------------------------------------------------------------------------------------------

held = st.integers(1, 30_000)
"""Thousandths of a coin."""


@law
@given(held, st.integers(-40_000, 0), st.integers(0, 1_000))
def test_p18_drift_is_net_of_what_is_hedgeable(coins: int, contracts: int, reserved: int) -> None:
    """((S - R + P) / (S - R)) x 100, in parts per million. Where nothing is hedgeable it is no figure, and a short naked."""
    hedge = Hedge(coins, contracts, reserved)
    if coins <= reserved:
        assert hedge.within(PPM) is (contracts == 0)
    else:
        exact = Fraction(coins - reserved + contracts, coins - reserved)
        assert abs(hedge.drift_ppm - exact * PPM) <= Fraction(1, 2)


@heavy
@given(held, held)
def test_p19_there_is_a_signal_iff_drift_is_beyond_tolerance(coins: int, contracts: int) -> None:
    """And worth an order, which P22 says."""
    stand, net = Stand(engine(), "1000000").holds(_coins(coins), _coins(-contracts)), coins - contracts
    assert bool(stand.rate(GOOD, MINUTE)) is (abs(net) * 100 > coins and abs(net) >= 5)


def _coins(thousandths: int) -> str:
    return SPOT.qty_text(thousandths * SPOT.lot_units)


@heavy
@given(st.integers(0, 60 * 60))
def test_p20_signals_inside_the_cooldown_are_skipped(seconds: int) -> None:
    stand = after_a_rebalance(seconds * SECOND)
    assert bool(stand.orders) is (seconds >= 30 * 60)
    assert seconds >= 30 * 60 or stand.result is Result.COOLDOWN


@heavy
@given(held, held)
def test_p21_the_correction_is_what_is_net(coins: int, contracts: int) -> None:
    assume(abs(coins - contracts) * 100 > coins and abs(coins - contracts) >= 5)
    (order,) = Stand(engine(), "1000000").holds(_coins(coins), _coins(-contracts)).rate(GOOD, MINUTE)
    assert order.place.qty == abs(coins - contracts) * SPOT.lot_units


@heavy
@given(st.integers(1, 400), st.integers(-8, 8))
def test_p22_a_correction_below_the_least_is_skipped(coins: int, net: int) -> None:
    contracts = coins - net
    assume(contracts > 0 and abs(net) * 100 > coins)
    stand = Stand(engine()).holds(_coins(coins), _coins(-contracts))
    assert bool(stand.rate(GOOD, MINUTE)) is (abs(net) >= 5)
    assert abs(net) >= 5 or stand.result is Result.SKIP


@heavy
@given(held, held)
def test_p23_net_long_expands_and_net_short_reduces(coins: int, contracts: int) -> None:
    assume(abs(coins - contracts) * 100 > coins and abs(coins - contracts) >= 5)
    (order,) = Stand(engine(), "1000000").holds(_coins(coins), _coins(-contracts)).rate(GOOD, MINUTE)
    assert order.place.instrument == PERP
    assert order.place.side is (SELL if coins > contracts else BUY)
    assert order.place.reduce_only is (coins < contracts)


@heavy
@given(held, held, st.booleans(), st.integers(1, 100))
def test_p24_the_cooldown_begins_with_a_fill_and_with_nothing_else(coins: int, contracts: int, fills: bool, part: int) -> None:
    assume(abs(coins - contracts) * 100 > coins and abs(coins - contracts) >= 5)
    stand = Stand(engine(), "1000000").holds(_coins(coins), _coins(-contracts))
    stand.filling = False
    (order,) = stand.rate(GOOD, MINUTE)
    at = stand.now
    if fills:
        qty = PERP.round_qty(order.place.qty * part // 100) or PERP.lot_units
        stand.carry(stand.desk.step(stand.fill(order, qty)))
    if not fills or stand.desk.open_orders():
        stand.carry(stand.desk.step(Rejected(order.id, stand.now, "no")))
    stand.at("100")
    assert stand.seen().rebalanced_at == (at if fills else None)


# -- P25 to P30: cost, latency, gas -------------------------------------------------------------------------------------------------------


@heavy
@given(st.integers(1, 9_000), prices, st.integers(0, 10**7), st.integers(0, 10**5))
def test_p25_cost_is_tip_and_base_fee_and_the_fees_of_the_notional(lots: int, price: int, tip: int, base_fee: int) -> None:
    """tip x P + 0.1% A + 0.02% A + base fee, rounded up to the unit."""
    gate = Profit("0.02%", "0.1%", tip=USDC.units(tip), base_fee=USDC.units(base_fee))
    f = Floor("10000000", price=PERP.price_text(price), gates=[gate])
    refusal = the(f.ask(SELL, PERP.qty_text(lots * PERP.lot_units), expect=-1), "unprofitable")
    exact = Fraction(lots * price * 12, 1_000 * 100 * 10_000) * 10**6 + tip + base_fee
    assert exact <= USDC(refusal.numbers["cost"]).units < exact + 1


@law
@given(st.integers(1, 10**6), st.integers(-(10**8), 10**8), st.integers(1, 24), st.integers(1, 90))
def test_p26_revenue_is_rate_times_size_times_price_over_the_horizon(worth: int, rate: int, hours: int, days: int) -> None:
    """A year's figure is 365 days of it, whatever the interval: 3 x 365 only where that is 8 hours."""
    news = FundingRate(PERP, 0, rate, 10_000, hours * HOUR)
    exact = Fraction(rate, 10**9) * Fraction(days * 24, hours)
    found = Carry.of(PLAIN, news, worth=worth, horizon=days * DAY, keep_ppm=PPM).revenue_ppm
    assert exact * PPM - 1 < found <= exact * PPM


@heavy
@given(st.integers(0, 10**8))
def test_p27_it_is_rejected_iff_revenue_is_below_cost(expect: int) -> None:
    """Equal is let pass: 1.2 for 10 contracts at 100."""
    answer = Floor(gates=[Profit("0.02%", "0.1%", part="100%")]).ask(SELL, "10", expect=expect)
    assert passes(answer) is (expect >= USDC("1.2").units)


@heavy
@given(st.integers(1, 10**8), st.integers(0, 10**7))
def test_p28_half_of_the_rate_counts_for_a_gain(rate: int, expect: int) -> None:
    """By the engine and by the gate. A loss the engine counts in full: half of one would be a hope."""
    news = FundingRate(PERP, 0, rate, 10_000, 8 * HOUR)
    loss = FundingRate(PERP, 0, -rate, 10_000, 8 * HOUR)
    assert Carry.of(PLAIN, news, worth=1, horizon=8 * HOUR).revenue_ppm == rate // 2_000
    assert Carry.of(PLAIN, loss, worth=1, horizon=8 * HOUR).revenue_ppm == -rate // 1_000
    answer = Floor(gates=[Profit("0.02%", "0.1%")]).ask(SELL, "10", expect=expect)
    assert passes(answer) is (expect // 2 >= USDC("1.2").units)


@heavy
@given(st.integers(0, 2_000), st.sampled_from(Side))
def test_p29_above_the_threshold_all_that_takes_new_risk_is_rejected(ms: int, side: Side) -> None:
    """The text says all trades. An exit is let pass: a slow venue is a reason to be out, not to stay in."""
    f = Floor(gates=[Latency()])
    f.desk.step(Reading("latency", f.now, 1))
    f.trade(side, "5")
    f.desk.step(Reading("latency", f.now, ms))
    assert passes(f.ask(side, "1")) is (ms <= 500)
    back = BUY if side is SELL else SELL
    assert passes(f.ask(back, "4", reduce_only=True))


@heavy
@given(st.integers(0, 40))
def test_p30_below_the_reserve_what_needs_gas_is_rejected(thousandths: int) -> None:
    assert passes(gas(_coins(thousandths) if thousandths else "0")) is (thousandths >= 17)
