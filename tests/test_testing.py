"""The conformance suite: the paper venue keeps its promises, and each kind of broken driver is caught by the test meant for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import evolve

from sleeves import BTC, ETH, USD, Amount, Instrument
from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.facts import Bankrupted, CashFlow, FlowKind, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from sleeves.market import HOUR, SECOND, FundingRate, Kind, Perpetual, Quote
from sleeves.orders import (
    Accepted,
    Canceled,
    Event,
    Fill,
    Liquidity,
    Order,
    OrderReport,
    OrderStatus,
    Position,
    Rejected,
    Side,
    TimeInForce,
    Transfer,
)
from sleeves.records import Fact
from sleeves.sim import ConstantProduct, FeeIn, Fees, Flow, Rules, Settles, Slippage, Tape, VirtualDriver
from sleeves.testing import PROMISES, Feature, Folded, Offer, Script, audit, fold_events, venue_suite

pytest_plugins = ["pytester"]

SPOT = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_qty="0.0001", min_notional="1")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.1", lot="0.0001", kind=Kind.PERP)
COARSE = Instrument("ETH-PERP", base=ETH, quote=USD, tick="0.05", lot="0.01", kind=Kind.PERP, contract=Perpetual(2_000, 600))

EVERYTHING = frozenset(Feature)
AT_ONCE = EVERYTHING - {Feature.SETTLES}
POOLED = EVERYTHING - {Feature.RESTING, Feature.PARTIAL, Feature.POST_ONLY}


def paper(rules: Rules, driver: type[VirtualDriver] = VirtualDriver) -> Callable[[Script], VirtualDriver]:
    """Paper venues that play a script under these rules."""

    def make_venue(script: Script) -> VirtualDriver:
        tape = Tape.from_columns(script.instrument, **script.columns()).with_funding(script.funding)
        return driver(tape, script.balances, rules, wallet=script.wallet)

    return make_venue


def rules_of(maker: int, taker: int, **rules: Any) -> Rules:
    return Rules(Fees(maker, taker), participation_ppm=1_000_000, **rules)


REBATE = rules_of(-123, 457)
"""A maker is paid, a taker pays, and neither comes out even."""


# -- the paper venue keeps its promises ------------------------------------------------------------------------------------


class TestSpot(venue_suite(paper(REBATE), Offer(SPOT, maker_ppm=-123, taker_ppm=457, features=EVERYTHING))):
    """Coins, with a rebate for makers."""


RECEIVED = Rules(Fees(2_500, 4_000, FeeIn.RECEIVED), Slippage.none(), 1_000_000)


class TestSpotWithFeesInWhatIsReceived(venue_suite(paper(RECEIVED), Offer(SPOT, None, 2_500, 4_000, EVERYTHING))):
    """A buy pays its fee in the coin that it brings."""


class TestPool(
    venue_suite(paper(Rules(pool=ConstantProduct(BTC("1000").units, USD("20000000").units, 3_000))), Offer(SPOT, features=POOLED))
):
    """Coins swapped with a pool, whose fee is in its price."""


class TestPerpetualsSettledWhenAsked(venue_suite(paper(REBATE), Offer(None, PERP, -123, 457, EVERYTHING))):
    """As on Drift."""


class TestPerpetualsSettledAtOnce(venue_suite(paper(rules_of(211, 503, settles=Settles.AT_ONCE)), Offer(None, PERP, 211, 503, AT_ONCE))):
    """As on most exchanges."""


class TestCoarsePerpetuals(venue_suite(paper(rules_of(0, 0)), Offer(None, COARSE, features=EVERYTHING, price="1800"))):
    """Five times leverage, ticks of 0.05, no fees."""


DEEP = Flow.seeded(1, spread="0%", layers=1, size="100000", takes="0")
"""Makers who quote the tape's price and the tick above it, in any size: what the price passes through is filled."""

BOOKED = EVERYTHING - {Feature.PARTIAL}
"""A row's volume limits nothing where there is a book: its own sizes do."""


class TestSpotOnABook(venue_suite(paper(Rules(Fees(-123, 457), book=DEEP)), Offer(SPOT, None, -123, 457, BOOKED))):
    """Coins, in one queue with others' orders."""


class TestPerpetualsOnABook(venue_suite(paper(Rules(Fees(211, 503), book=DEEP)), Offer(None, PERP, 211, 503, BOOKED))):
    """Contracts, in one queue with others' orders."""


# -- broken drivers -----------------------------------------------------------------------------------------------------------


class Broken(VirtualDriver):
    """A paper venue that tells something else than what happened: `tell` turns each event into what is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin()

    def begin(self) -> None:
        """What it remembers."""

    def tell(self, event: Event) -> Iterable[Event]:
        return [event]

    async def events(self) -> AsyncIterator[Event]:
        async with aclosing(super().events()) as events:
            async for event in events:
                for told in self.tell(event):
                    yield told


def altered(kind: type, alter: Callable[[Any], Event | None]) -> type[Broken]:
    """A driver that tells events of one kind in another way, or not at all."""

    class Altered(Broken):
        def tell(self, event: Event) -> Iterable[Event]:
            told = alter(event) if isinstance(event, kind) else event
            return [] if told is None else [told]

    return Altered


class FillsTwiceOnResubmission(Broken):
    """An order that is sent again is taken for another one."""

    async def submit(self, order: Order) -> None:
        self.matcher._known.discard(order.id)
        await super().submit(order)


class RejectsAgain(Broken):
    """Each sending of a refused order is refused."""

    def begin(self) -> None:
        self.refused: set[str] = set()

    async def submit(self, order: Order) -> None:
        if order.id in self.refused:
            self.exchange.outbox.append(Rejected(order.id, self._now, "still no"))
        await super().submit(order)
        self.refused.update(event.order_id for event in self._waiting if isinstance(event, Rejected))


class CancelsTwice(Broken):
    """Each cancel is answered."""

    async def cancel(self, order: Order) -> None:
        self.matcher.cancel(order.id, self._now)
        self.exchange.outbox.append(Canceled(order.id, self._now, "you asked"))


class CancelsNothing(Broken):
    """A cancel is lost."""

    async def cancel(self, order: Order) -> None:
        await anyio.lowlevel.checkpoint()


class FillsAfterCancel(Broken):
    """It says that an order is off, and leaves it on the book."""

    async def cancel(self, order: Order) -> None:
        if order.id in self.matcher._live:
            self.exchange.outbox.append(Canceled(order.id, self._now, "requested"))


class CancelsWhatIsFilled(Broken):
    """Behind each fill that ends an order comes a cancel of the rest, which is nothing."""

    def tell(self, event: Event) -> Iterable[Event]:
        live = isinstance(event, Fill) and event.order_id in self.matcher._live
        return [event, Canceled(event.order_id, event.at, "the rest")] if isinstance(event, Fill) and not live else [event]


class TransfersTwice(Broken):
    """A transfer that is sent again is done again."""

    async def transfer(self, transfer: Transfer) -> None:
        self.exchange.account._transfers.discard(transfer.id)
        await super().transfer(transfer)


class TransfersAnything(Broken):
    """The wallet and the account are never asked, and neither is health."""

    def begin(self) -> None:
        self.exchange.account._refuse_transfer = lambda amount: ""  # type: ignore[method-assign]


class RaisesOnRefusal(Broken):
    """A refusal is a ValueError."""

    async def submit(self, order: Order) -> None:
        await super().submit(order)
        for event in self._waiting:
            if isinstance(event, Rejected):
                raise ValueError(event.reason)  # noqa: TRY004 the very fault


class StaleBalances(Broken):
    """Balances are fetched once and cached."""

    def begin(self) -> None:
        self.cached = self.exchange.balances()

    async def balances(self) -> Mapping[str, Amount]:
        return self.cached


class StalePositions(Broken):
    """Positions are those of the first look that found any."""

    def begin(self) -> None:
        self.cached: Mapping[str, Position] = {}

    async def positions(self) -> Mapping[str, Position]:
        self.cached = self.cached or await super().positions()
        return self.cached


class LosesSettlements(Broken):
    """What is settled leaves the contracts and never reaches the cash."""

    def tell(self, event: Event) -> Iterable[Event]:
        if isinstance(event, Settled):
            self.exchange.account.coins[event.instrument.quote.code] -= event.amount
        return [event]


class OneTradeId(Broken):
    """Trades are numbered by the order, not by the trade."""

    def tell(self, event: Event) -> Iterable[Event]:
        return [evolve(event, trade_id=event.order_id)] if isinstance(event, Fill) else [event]


class SharedTradeId(Broken):
    """All trades of all orders have one id."""

    def tell(self, event: Event) -> Iterable[Event]:
        return [evolve(event, trade_id="1")] if isinstance(event, Fill) else [event]


class FillsBeyond(Broken):
    """The first fill of each order is told again under a new id."""

    def begin(self) -> None:
        self.seen: set[str] = set()

    def tell(self, event: Event) -> Iterable[Event]:
        if not isinstance(event, Fill) or event.order_id in self.seen:
            return [event]
        self.seen.add(event.order_id)
        return [event, evolve(event, trade_id=event.trade_id + "-again")]


class AcceptsLate(Broken):
    """An order is accepted when its first fill is known."""

    def begin(self) -> None:
        self.late: dict[str, Event] = {}

    def tell(self, event: Event) -> Iterable[Event]:
        if isinstance(event, Accepted):
            self.late[event.order_id] = event
            return []
        late = self.late.pop(event.order_id, None) if isinstance(event, Fill) else None
        return [event] if late is None else [event, late]


class FillsEarly(Broken):
    """A rest is told as filled a while before it was accepted."""

    def tell(self, event: Event) -> Iterable[Event]:
        return [evolve(event, at=event.at - HOUR)] if isinstance(event, Fill) else [event]


class SpeaksFirst(Broken):
    """It speaks of orders that are not sent yet."""

    async def events(self) -> AsyncIterator[Event]:
        yield Accepted("suite-1", 1_700_000_000 * SECOND)
        async with aclosing(super().events()) as events:
            async for event in events:
                yield event


class IgnoresReduceOnly(Broken):
    async def submit(self, order: Order) -> None:
        await super().submit(evolve(order, place=evolve(order.place, reduce_only=False)))


class IgnoresPostOnly(Broken):
    async def submit(self, order: Order) -> None:
        await super().submit(evolve(order, place=evolve(order.place, post_only=False)))


class IgnoresFillOrKill(Broken):
    async def submit(self, order: Order) -> None:
        kills = order.place.tif is TimeInForce.FOK
        await super().submit(evolve(order, place=evolve(order.place, tif=TimeInForce.IOC)) if kills else order)


class KeepsWaiting(Broken):
    """What cannot be filled whole waits for it."""

    async def submit(self, order: Order) -> None:
        kills = order.place.tif is TimeInForce.FOK
        await super().submit(evolve(order, place=evolve(order.place, tif=TimeInForce.GTC)) if kills else order)


class IgnoresTheEnd(Broken):
    async def submit(self, order: Order) -> None:
        await super().submit(evolve(order, place=evolve(order.place, good_til=None)))


class EndsOrdersEarly(Broken):
    """A minute early."""

    async def submit(self, order: Order) -> None:
        end = order.place.good_til
        await super().submit(order if end is None else evolve(order, place=evolve(order.place, good_til=end - 60 * SECOND)))


class EndsOrdersLate(Broken):
    """A minute late."""

    async def submit(self, order: Order) -> None:
        end = order.place.good_til
        await super().submit(order if end is None else evolve(order, place=evolve(order.place, good_til=end + 60 * SECOND)))


class IgnoresWorst(Broken):
    async def submit(self, order: Order) -> None:
        await super().submit(evolve(order, worst=None if order.place.limit else order.worst and order.worst * 2))


class FillsWhole(Broken):
    """It fills as if all of an order's quantity were there."""

    def begin(self) -> None:
        self.matcher.rules = evolve(self.matcher.rules, participation_ppm=None)


class Drifts(Broken):
    """Its ids differ from run to run."""

    runs = 0

    def begin(self) -> None:
        Drifts.runs += 1
        self.run = Drifts.runs

    def tell(self, event: Event) -> Iterable[Event]:
        return [evolve(event, trade_id=f"{self.run}-{event.trade_id}")] if isinstance(event, Fill) else [event]


class EndsEarly(Broken):
    async def events(self) -> AsyncIterator[Event]:
        left = 3
        async with aclosing(super().events()) as events:
            async for event in events:
                yield event
                left -= isinstance(event, Quote)
                if not left:
                    return


class TakesItBack(Broken):
    """It says that others bore what a bankrupt account owed, and has the account owe it still."""

    def tell(self, event: Event) -> Iterable[Event]:
        if isinstance(event, Bankrupted):
            self.exchange.account.nets[event.instrument.symbol].money -= event.amount
        return [event]


def in_our_favour(fill: Fill) -> Fill:
    """A unit better than its price says, once rounded."""
    return evolve(fill, cost=max(0, fill.cost - 2 * fill.side.sign))


def beyond_its_price(fill: Fill) -> Fill:
    """Filled a tick worse, at the money of that price."""
    price = fill.price + fill.side.sign * fill.instrument.tick_units
    return evolve(fill, price=price)


class ForgetsFees(Broken):
    """Its own ledger leaves the fees out."""

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        return [line for line in await super().cash_flows(since) if line.kind is not FlowKind.FEE]


class NamesStrangers(Broken):
    """The lines of its ledger follow from ids of their own."""

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        return [evolve(line, ref="L" + line.id) for line in await super().cash_flows(since)]


class OnePage(Broken):
    """Its history is the latest page."""

    async def history(self, since: int) -> Sequence[Fact]:
        return (await super().history(since))[-1:]


class ForgetsOrders(Broken):
    """An order that is done is not found."""

    async def look_up(self, order: Order) -> OrderReport | None:
        report = await super().look_up(order)
        return None if report is None or report.status.done else report


class InventsOrders(Broken):
    """What is not found is called canceled."""

    async def look_up(self, order: Order) -> OrderReport | None:
        return await super().look_up(order) or OrderReport(order.id, 0, OrderStatus.CANCELED)


class SinceIsAfter(Broken):
    """Since an instant, without the instant."""

    async def history(self, since: int) -> Sequence[Fact]:
        return [fact for fact in await super().history(since) if fact.at > since]


class NothingIsOpen(Broken):
    """Lists orders that are done as open."""

    async def open_orders(self) -> Sequence[OrderReport]:
        return [OrderReport(name, 0, OrderStatus.OPEN) for name in self._past._orders]


BREAKS: list[tuple[str, type[VirtualDriver], Instrument, str]] = [
    ("a_taker_pays_its_fee", altered(Fill, lambda fill: evolve(fill, fee=-fill.fee)), SPOT, "has a fee of -"),
    ("a_taker_pays_its_fee", altered(Fill, lambda fill: evolve(fill, fee=fill.fee + fill.fee)), SPOT, "more than 457 ppm"),
    ("a_maker_pays_its_fee_or_receives_its_rebate", altered(Fill, lambda fill: evolve(fill, fee=abs(fill.fee))), SPOT, "at -123 ppm"),
    ("a_fee_is_rounded_against_us", altered(Fill, lambda fill: evolve(fill, fee=fill.fee - USD.units(1))), PERP, "less than the"),
    ("a_cost_is_rounded_against_us", altered(Fill, in_our_favour), SPOT, "cost less than"),
    ("a_fill_is_of_whole_lots_and_ticks", altered(Fill, lambda fill: evolve(fill, qty=fill.qty - 1)), SPOT, "not of whole lots"),
    ("a_limit_is_never_filled_worse", altered(Fill, beyond_its_price), SPOT, "is worse than the limit"),
    ("no_order_is_filled_beyond_its_worst_price", IgnoresWorst, SPOT, "beyond the order's worst price"),
    ("an_order_sent_twice_is_one_order", FillsTwiceOnResubmission, SPOT, "was sent four times"),
    ("an_order_sent_twice_is_one_order", RejectsAgain, SPOT, "was Rejected 2 times"),
    ("a_cancel_sent_twice_is_one_cancel", CancelsTwice, SPOT, "was Canceled"),
    ("history_tells_what_was_told", OnePage, SPOT, "and history() has None"),
    ("history_begins_where_it_is_asked_to", SinceIsAfter, PERP, "is not what happened since then"),
    ("an_order_is_found_by_its_id", ForgetsOrders, SPOT, "look_up() did not find it"),
    ("an_order_is_found_by_its_id", InventsOrders, SPOT, "was never sent, and look_up() found"),
    ("open_orders_are_those_that_are_open", NothingIsOpen, SPOT, "open_orders() names"),
    ("cash_flows_sum_to_what_balances_changed_by", ForgetsFees, SPOT, "and balances() says"),
    ("cash_flows_sum_to_what_balances_changed_by", NamesStrangers, SPOT, "which history() has not"),
    ("a_transfer_sent_twice_is_one_transfer", TransfersTwice, SPOT, "was answered 3 times"),
    ("a_cancel_of_what_is_not_open_is_passed_over", CancelsTwice, SPOT, "was filled, and a cancel was answered"),
    ("an_order_is_canceled_or_filled_and_not_both", CancelsWhatIsFilled, SPOT, "and Canceled"),
    ("nothing_fills_after_a_cancel", FillsAfterCancel, SPOT, "happened at"),
    ("a_canceled_order_goes_off_the_book", CancelsNothing, SPOT, "a cancel of suite-3 was asked for"),
    ("fills_never_exceed_their_order", FillsBeyond, SPOT, "were filled"),
    ("every_fill_has_a_key_of_its_own", OneTradeId, SPOT, "two facts have the key"),
    ("every_fill_has_a_key_of_its_own", SharedTradeId, SPOT, "two fills have the trade id '1'"),
    ("a_part_fills_when_only_a_part_is_there", FillsWhole, SPOT, "was filled in 1 parts"),
    ("the_same_script_says_the_same", Drifts, SPOT, "when it was played again"),
    ("a_refusal_is_an_event", RaisesOnRefusal, SPOT, "raised ValueError"),
    ("a_refusal_is_an_event", altered(Rejected, lambda event: evolve(event, reason="")), SPOT, "without a reason"),
    ("an_order_for_a_stranger_is_refused", altered(Rejected, lambda event: None), SPOT, "was answered with: nothing"),
    ("events_come_in_an_order_that_makes_sense", AcceptsLate, SPOT, "was Accepted after Fill"),
    ("events_come_in_an_order_that_makes_sense", altered(Accepted, lambda event: None), SPOT, "was never Accepted"),
    ("events_come_in_an_order_that_makes_sense", SpeaksFirst, SPOT, "told before its order was sent"),
    ("the_times_of_an_order_never_run_backwards", FillsEarly, SPOT, "3600 s before the order was sent"),
    ("balances_are_what_the_events_said", StaleBalances, SPOT, "its events make"),
    ("balances_are_what_the_events_said", altered(Transferred, lambda event: None), SPOT, "balances() says"),
    ("balances_are_what_the_events_said", EndsEarly, SPOT, "ended before the price of row 4"),
    ("balances_are_what_the_events_said", altered(Fill, in_our_favour), SPOT, "balances() says"),
    ("positions_are_what_the_events_said", StalePositions, PERP, "positions() says"),
    ("positions_are_what_the_events_said", altered(FundingPaid, lambda event: None), PERP, "quote units"),
    ("positions_are_what_the_events_said", altered(Liquidated, lambda event: None), PERP, "base units"),
    ("post_only_never_takes", IgnoresPostOnly, SPOT, "took liquidity"),
    ("reduce_only_never_opens", IgnoresReduceOnly, PERP, "only reduces"),
    ("fill_or_kill_is_whole_or_nothing", IgnoresFillOrKill, SPOT, "units or none, and"),
    ("fill_or_kill_is_whole_or_nothing", KeepsWaiting, PERP, "was neither filled nor taken off"),
    ("an_order_ends_at_its_time", IgnoresTheEnd, SPOT, "had ended"),
    ("an_order_ends_at_its_time", EndsOrdersEarly, PERP, "60 s before suite-1 was to end"),
    ("an_order_ends_at_its_time", EndsOrdersLate, SPOT, "after suite-2 had ended"),
    ("an_order_ends_at_its_time", altered(Canceled, lambda event: None), SPOT, "and was not"),
    (
        "positive_funding_goes_from_long_to_short",
        altered(FundingPaid, lambda fact: evolve(fact, amount=-fact.amount)),
        PERP,
        "where the sign says",
    ),
    (
        "positive_funding_goes_from_long_to_short",
        altered(FundingPaid, lambda fact: evolve(fact, amount=fact.amount + 1)),
        PERP,
        "more than",
    ),
    ("funding_is_paid_on_what_is_held", altered(FundingPaid, lambda fact: evolve(fact, qty=fact.qty + 1)), PERP, "were held"),
    ("funding_is_paid_on_what_is_held", altered(FundingPaid, lambda fact: None if fact.qty < 0 else fact), PERP, "told 2 times"),
    ("settling_changes_no_equity", LosesSettlements, PERP, "come to"),
    ("settling_changes_no_equity", altered(Settled, lambda fact: None), PERP, "nothing was ever Settled"),
    ("a_transfer_moves_what_was_asked", altered(Transferred, lambda fact: evolve(fact, amount=fact.amount + USD.units(1))), SPOT, "moved"),
    ("a_transfer_moves_what_was_asked", altered(TransferRefused, lambda event: None), SPOT, "never answered"),
    ("a_transfer_beyond_what_is_there_is_refused", TransfersAnything, SPOT, "asked for more than there is"),
    ("a_withdrawal_leaves_the_account_healthy", TransfersAnything, PERP, "health at 75"),
    ("a_liquidation_only_closes", altered(Liquidated, lambda fact: evolve(fact, change=-fact.change)), PERP, "changed a position"),
    ("a_liquidation_only_closes", altered(Liquidated, lambda fact: evolve(fact, fee=-fact.fee)), PERP, "paid a fee of -"),
    ("a_bankrupt_account_begins_at_nothing", altered(Bankrupted, lambda fact: None), PERP, "nothing was Bankrupted"),
    ("a_bankrupt_account_begins_at_nothing", TakesItBack, PERP, "are left of a bankrupt account"),
    ("a_desk_balances_on_it", altered(Fill, in_our_favour), SPOT, "the proof does not hold"),
    ("a_desk_balances_on_it", StaleBalances, SPOT, "law  6 backing"),
    ("a_desk_balances_on_it", altered(FundingPaid, lambda fact: None), PERP, "law  9 ownership"),
]


def broken_by(driver: type[VirtualDriver], market: Instrument, *names: str, rules: Rules = REBATE) -> dict[str, str]:
    """The promises that a driver breaks, and what was said of each."""
    spot, perp = (market, None) if market.contract is None else (None, market)
    offer = Offer(spot, perp, rules.fees.maker_ppm, rules.fees.taker_ppm, EVERYTHING)
    return {verdict.promise: verdict.said for verdict in anyio.run(audit, paper(rules, driver), offer, *names).broken}


@pytest.mark.parametrize(("name", "driver", "market", "said"), BREAKS, ids=[f"{one[0]}-{number}" for number, one in enumerate(BREAKS)])
def test_a_broken_driver_is_caught_by_the_promise_that_it_breaks(
    name: str, driver: type[VirtualDriver], market: Instrument, said: str
) -> None:
    assert name not in broken_by(VirtualDriver, market, name)
    assert said in broken_by(driver, market, name)[name]


@pytest.mark.parametrize(
    ("name", "driver", "market", "said"),
    [
        ("an_order_for_a_stranger_sent_twice_is_refused_once", RejectsAgain, SPOT, "answered"),
        ("an_order_never_fills_in_the_past", FillsEarly, PERP, "before the order was sent"),
        (
            "a_cancel_is_not_of_an_earlier_time_than_a_fill_before_it",
            altered(Canceled, lambda event: evolve(event, at=event.at - HOUR)),
            SPOT,
            "is of an earlier time",
        ),
    ],
)
def test_a_promise_that_the_paper_venue_breaks_itself_catches_a_broken_driver_too(
    name: str, driver: type[VirtualDriver], market: Instrument, said: str
) -> None:
    assert said in broken_by(driver, market, name)[name]


def test_a_venue_that_settles_at_once_and_says_that_it_waits_is_caught() -> None:
    name = "what_is_unsettled_waits_until_it_is_asked_for"
    assert broken_by(VirtualDriver, PERP, name) == {}
    assert "what was Settled is" in broken_by(VirtualDriver, PERP, name, rules=rules_of(-123, 457, settles=Settles.AT_ONCE))[name]


# -- a wire that breaks -----------------------------------------------------------------------------------------------------------


class Wired(Broken):
    """A driver on a wire that can be cut. What it raises then is `raises`."""

    raises: Exception = VenueUnavailable("no route to the exchange")

    def begin(self) -> None:
        self.up = True

    async def submit(self, order: Order) -> None:
        if not self.up:
            raise self.raises
        await super().submit(order)

    async def balances(self) -> Mapping[str, Amount]:
        if not self.up:
            raise self.raises
        return await super().balances()


def cut(venue: Wired) -> None:
    venue.up = False


WIRE = "only_venue_errors_leave_a_broken_connection"


@pytest.mark.parametrize(
    ("raises", "result", "said"),
    [
        (VenueUnavailable("no route"), "holds", ""),
        (VenueUnknown("no answer"), "broken", "balances() raised VenueUnknown('no answer') where only VenueUnavailable"),
        (OSError("reset by peer"), "broken", "submit() raised OSError('reset by peer')"),
        (None, "broken", "the connection was not cut"),
    ],
)
def test_what_leaves_a_broken_connection(raises: Exception | None, result: str, said: str) -> None:
    driver = VirtualDriver if raises is None else type("Cut", (Wired,), {"raises": raises})
    offer = Offer(SPOT, None, -123, 457, EVERYTHING, break_connection=(lambda venue: None) if raises is None else cut)
    (verdict,) = anyio.run(audit, paper(REBATE, driver), offer, WIRE).verdicts
    assert verdict.result == result
    assert said in verdict.said


def test_a_connection_that_nobody_cut_does_not_break() -> None:
    class Flaky(Wired):
        def begin(self) -> None:
            self.up = False

    assert "nobody had cut the connection" in broken_by(Flaky, SPOT, "a_taker_pays_its_fee")["a_taker_pays_its_fee"]


def test_a_driver_that_hangs_is_a_failure_where_patience_is_given() -> None:
    class Hangs(Broken):
        async def submit(self, order: Order) -> None:
            await anyio.sleep_forever()

    offer = Offer(SPOT, features=EVERYTHING, patience=lambda: anyio.fail_after(0.01))
    (verdict,) = anyio.run(audit, paper(REBATE, Hangs), offer, "a_taker_pays_its_fee").verdicts
    assert "submit(suite-1) did not answer in the time" in verdict.said


# -- as tests of pytest --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_a_failing_test_bears_the_name_of_the_promise_and_reads_like_a_sentence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from attrs import evolve
        from sleeves.orders import Fill
        from sleeves.testing import Feature, Offer, venue_suite
        from test_testing import EVERYTHING, REBATE, SPOT, altered, paper

        PaysUs = altered(Fill, lambda fill: evolve(fill, fee=-abs(fill.fee)))
        OFFER = Offer(SPOT, None, -123, 457, EVERYTHING - {Feature.TRANSFERS})

        class TestPaysUs(venue_suite(paper(REBATE, PaysUs), OFFER)):
            pass
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "-p", "no:pytest_anchorpy", "-rsf", "-k", "taker or transfer_sent or lots")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == outcomes["passed"] == outcomes["skipped"]
    result.stdout.fnmatch_lines(["*SKIPPED*the venue does not offer transfers*"])
    result.stdout.fnmatch_lines(["*PromiseBroken: Who takes pays the fee that is offered*In 'a round trip' on BTC/USD, fill sim-1*"])
    result.stdout.fnmatch_lines(["FAILED *TestPaysUs::test_a_taker_pays_its_fee*"])


def test_every_promise_is_a_test_and_has_a_sentence_and_a_driver_that_breaks_it() -> None:
    suite = venue_suite(paper(REBATE), Offer(SPOT))
    assert [name for name in vars(suite) if name.startswith("test_")] == [f"test_{promise.name}" for promise in PROMISES]
    assert all(promise.says.endswith(".") for promise in PROMISES)
    elsewhere = {
        WIRE,
        "what_is_unsettled_waits_until_it_is_asked_for",
        "an_order_for_a_stranger_sent_twice_is_refused_once",  # the paper venue itself breaks these three
        "an_order_never_fills_in_the_past",
        "a_cancel_is_not_of_an_earlier_time_than_a_fill_before_it",
    }
    assert {promise.name for promise in PROMISES} == {name for name, *_ in BREAKS} | elsewhere


def test_an_audit_says_what_was_passed_over_and_why() -> None:
    found = anyio.run(audit, paper(REBATE), Offer(SPOT, PERP, -123, 457), "funding_is_paid_on_what_is_held", WIRE, "a_taker_pays_its_fee")
    assert found.holds
    assert [(verdict.market, verdict.result, verdict.said) for verdict in found.verdicts] == [
        ("BTC/USD", "holds", ""),
        ("BTC-PERP", "holds", ""),
        ("BTC/USD", "passed over", "the offer has no break_connection"),
        ("BTC-PERP", "passed over", "the offer has no break_connection"),
        ("BTC/USD", "passed over", "the venue does not offer funding"),
        ("BTC-PERP", "passed over", "the venue does not offer funding"),
    ]


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="no promise is named a_free_lunch"):
        anyio.run(audit, paper(REBATE), Offer(SPOT), "a_free_lunch")
    with pytest.raises(ValueError, match="a spot instrument, a perpetual, or both"):
        Offer()
    with pytest.raises(ValueError, match="BTC-PERP was offered as spot"):
        Offer(spot=PERP)
    with pytest.raises(ValueError, match="must all be members of Feature"):
        Offer(SPOT, features=frozenset({"teleport"}))  # type: ignore[arg-type]


def test_a_venue_may_come_later_and_is_closed() -> None:
    closed: list[str] = []

    class Closing(VirtualDriver):
        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(self.tape.name)

    async def make_venue(script: Script) -> VirtualDriver:
        await anyio.lowlevel.checkpoint()
        return paper(REBATE, Closing)(script)

    assert anyio.run(audit, make_venue, Offer(SPOT, None, -123, 457), "a_refusal_is_an_event").holds
    assert closed == ["refusals"]


# -- the fold ----------------------------------------------------------------------------------------------------------------------

START = {"USD": USD("1000"), "BTC": BTC("0")}


def a_fill(market: Instrument, side: Side, trade: str = "t", **terms: Any) -> Fill:
    terms = {"qty": BTC("0.01").units, "price": 2_000_000, "cost": USD("200").units, "fee": USD("0.5")} | terms
    return Fill("a-1", 1, market, side, **terms, liquidity=Liquidity.TAKER, trade_id=trade)


def test_coins_move_with_what_was_bought_paid_and_charged() -> None:
    folded = fold_events(START, [a_fill(SPOT, Side.BUY), a_fill(SPOT, Side.SELL, "u", qty=BTC("0.004").units, fee=BTC("0.0001"))])
    assert folded.coins == {"USD": USD("999.5"), "BTC": BTC("0.0059")}
    assert folded.filled == {"a-1": BTC("0.014").units}
    assert folded.positions == {}


def test_contracts_are_no_coins_and_their_fees_are_in_their_money() -> None:
    folded = fold_events(START, [a_fill(PERP, Side.SELL)])
    assert folded.coins == START
    assert folded.positions == {"BTC-PERP": Position(PERP, -BTC("0.01").units, USD("199.5").units)}
    other = fold_events(START, [a_fill(PERP, Side.SELL, fee=BTC("0.00001"))])
    assert (other.coins["BTC"], other.position(PERP).money) == (BTC("-0.00001"), USD("200").units)


def test_what_happens_to_an_account_is_folded_by_hand() -> None:
    rate = FundingRate(PERP, 2, 100_000, 200_000, 8 * HOUR)
    facts: list[Event] = [
        a_fill(PERP, Side.BUY, qty=1_000_000, cost=200_000_000, fee=USD("0")),
        FundingPaid(rate, 1_000_000, -20_000, "f"),
        Liquidated(3, PERP, -400_000, 190_000, 76_000_000, USD("0.76"), "l"),
        Settled(4, PERP, -5_000_000, "s"),
        Bankrupted(5, PERP, 7, "b"),
        Transferred(6, USD("-100"), "t"),
    ]
    folded = fold_events(START, facts)
    assert folded.position(PERP) == Position(PERP, 600_000, -200_000_000 - 20_000 + 76_000_000 - 760_000 + 5_000_000 + 7)
    assert folded.coins["USD"] == USD("1000") - USD("5") - USD("100")
    assert fold_events(START, [*facts, *facts]).positions == folded.positions


def test_prices_and_what_is_only_said_move_nothing() -> None:
    said: list[Event] = [
        Quote(SPOT, 1, 1, 1),
        Accepted("a-1", 1),
        Canceled("a-1", 2),
        Rejected("a-1", 1, "no"),
        TransferRefused(1, "t", "no"),
    ]
    assert fold_events(START, said).coins == START


def test_a_fact_that_comes_again_with_other_content_is_not_counted_and_noted() -> None:
    folded = Folded(START)
    for cost in (200_000_000, 200_000_000, 100_000_000):
        folded.take(a_fill(SPOT, Side.BUY, cost=cost))
    assert folded.coins["USD"] == USD("799.5")
    (conflict,) = folded.conflicts
    assert "told with other content before" in conflict


def test_where_a_venue_differs_is_said_in_a_sentence() -> None:
    folded = fold_events(START, [a_fill(PERP, Side.BUY)])
    held = {"BTC-PERP": folded.position(PERP)}
    assert folded.differ({"USD": USD("1000")}, held) == []
    assert folded.differ({"USD": USD("1000"), "ETH": ETH("0")}, held) == []
    assert folded.differ({"BTC": BTC("1"), "ETH": ETH("2")}, {}) == [
        "balances() says 1 BTC, its events make 0 BTC",
        "balances() says 2 ETH, its events make none of ETH",
        "balances() says none of USD, its events make 1000 USD",
        "positions() says 0 base units and 0 quote units of BTC-PERP, its events make 1000000 base units and -200500000 quote units",
    ]


def test_a_script_is_a_tape() -> None:
    scripts: list[Script] = []

    def make_venue(script: Script) -> VirtualDriver:
        scripts.append(script)
        return paper(REBATE)(script)

    anyio.run(audit, make_venue, Offer(None, PERP, -123, 457, EVERYTHING), "funding_is_paid_on_what_is_held")
    (script,) = scripts
    tape = Tape.from_columns(PERP, **script.columns())
    assert list(tape.rows()) == [(r.at, r.open, r.high, r.low, r.close, r.volume // PERP.lot_units) for r in script.rows]
    assert not tape.repairs.any
    assert list(tape.ends()) == [script.end(row) for row in range(len(script.rows))]
