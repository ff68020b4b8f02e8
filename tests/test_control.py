"""Instructions are carried out once, answered in time, and truthfully: whatever the venue does, and over a crash."""

from __future__ import annotations

import inspect
import logging
from functools import partial, wraps

import anyio
import anyio.lowlevel
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from helpers import Puppet
from sleeves import BTC, FLASH, QUIET, SOL, USD, USDC, Books, CoreVault, Desk, Instrument, Place, Side, Treasury
from sleeves.control import Control
from sleeves.control.acts import ACTS
from sleeves.engines import Idle
from sleeves.errors import JournalError, VaultError, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import Settled, Transferred, TransferRefused
from sleeves.instructions import (
    DESK,
    INSTRUCTIONS,
    Allocate,
    Arm,
    Cancel,
    Close,
    CloseAll,
    Code,
    Confirm,
    Decline,
    Deposit,
    Disarm,
    Kill,
    Open,
    Pause,
    Rebalance,
    Reclaim,
    Resume,
    Revive,
    Settle,
    SetTradeable,
    Start,
    Stop,
    Withdraw,
    to_terms,
)
from sleeves.journals import SQLite
from sleeves.ledger import Entry
from sleeves.live import trade
from sleeves.market import SECOND, Kind, Quote
from sleeves.money import Rounding
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, OrderStatus
from sleeves.records import Alert, Answered, Asked, Instructed, Level, Placed, Refusal
from sleeves.recovery import reconcile
from sleeves.shell import carry_out
from sleeves.sim import Fees, Rules, Slippage, Tape, VirtualDriver, account_of
from sleeves.sim.faults import Dice, Faults, FaultyVenue
from sleeves.status import Hold, Status
from strategies import law

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_qty="0.0001", min_notional="1")
VAULT = "core:main:USD"
PRICE = MARKET.price("10000")


def story(test):
    """A test that waits, on both backends."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    @wraps(test)
    def run(backend, *args, **kwargs):
        async def main():
            with anyio.fail_after(20):
                await test(*args, **kwargs)

        anyio.run(main, backend=backend)

    own = list(inspect.signature(test).parameters.values())
    run.__signature__ = inspect.Signature([*own, inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY)])
    del run.__wrapped__
    return run


class Shop:
    """A venue in a few lines, which does at once what it is told, and says so when it is asked to: `tell`.

    `fails` holds what a call raises, by its name; `hangs` names calls that never answer; `late` those that do after a while.
    What is in `deaf` is done all the same when the call then raises.
    """

    def __init__(self, name="shop", real=False):
        self.name = name
        self.real_money = real
        self.fails, self.hangs, self.late, self.deaf = {}, set(), {}, set()
        self.calls, self.waiting = [], []
        self.rests = False
        self.outside = USD("1000")

    async def _call(self, kind, what):
        self.calls.append((kind, what))
        await anyio.lowlevel.checkpoint()
        if kind in self.hangs:
            await anyio.sleep(60)
        if kind in self.late:
            await anyio.sleep(self.late[kind])
        if kind in self.fails and kind not in self.deaf:
            raise self.fails[kind]

    def _after(self, kind):
        if kind in self.fails:
            raise self.fails[kind]

    async def submit(self, order):
        await self._call("submit", order.id)
        place, at = order.place, order.at + 1
        self.waiting.append(Accepted(order.id, at) if self.rests or place.limit is not None else filled(order))
        self._after("submit")

    async def cancel(self, order):
        await self._call("cancel", order.id)
        self.waiting.append(Canceled(order.id, order.at + 2))

    async def settle(self, instrument):
        await self._call("settle", instrument.symbol)
        self.waiting.append(Settled(1, instrument, 0, f"s{len(self.calls)}", self.name))

    async def rehearse(self, transfer):
        if transfer.amount > self.outside:
            raise VenueRejected(f"the wallet holds {self.outside}, less than {transfer.amount}")

    async def transfer(self, transfer):
        await self._call("transfer", transfer.id)
        self.waiting.append(Transferred(1, transfer.amount, transfer.id, self.name))
        self._after("transfer")

    async def balances(self):
        await self._call("balances", "")
        return {}

    def of(self, kind):
        return [what for one, what in self.calls if one == kind]


def filled(order, price=PRICE):
    place = order.place
    cost = MARKET.cost(price, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
    return Fill(
        order.id, order.at + 1, place.instrument, place.side, place.qty, price, cost, USD.zero, Liquidity.TAKER, f"t-{order.id}", "shop"
    )


async def until(holds):
    """Wait for it."""
    while not holds():
        await anyio.sleep(0.01)


class House:
    """A desk with two sleeves, a price, a shop, and a control over them."""

    def __init__(self, *, journal=None, within=5.0, shops=(), most_per_second=1_000, clock=None, desk=None, **terms):
        if desk is None:
            self.vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal), at=SECOND)
            self.vault.sleeve("flash", FLASH, allocate="5000", at=SECOND)
            self.vault.sleeve("quiet", QUIET, allocate="5000", at=SECOND)
            desk = Desk(self.vault)
        self.vault = desk.treasury.vaults[0]
        self.desk, self.books = desk, desk.books
        self.flash, self.quiet = self.vault.sleeves["flash"], self.vault.sleeves["quiet"]
        self.engine, self.other = Puppet(MARKET, "puppet"), Puppet(MARKET, "other")
        self.engine.sit(desk, self.flash)
        self.other.sit(desk, self.quiet)
        self.shops = shops or (Shop(),)
        self.shop = self.shops[0]
        rate = {} if clock is None else {"clock": clock}
        self.control = Control(desk, *self.shops, within=within, most_per_second=most_per_second, **rate)
        self.number = 0

    def price(self, text="10000"):
        self.books.now += SECOND
        units = MARKET.price(text)
        return self.desk.step(Quote(MARKET, self.books.now, units, units))

    async def tell(self):
        """What the shops have to say is heard, and what follows is carried out, until there is nothing more."""
        by_name = {shop.name: shop for shop in self.shops}
        while any(shop.waiting for shop in self.shops):
            for shop in self.shops:
                while shop.waiting:
                    await carry_out(self.desk, self.desk.step(shop.waiting.pop(0)), shop, by_name)

    def id(self):
        self.number += 1
        return f"r-{self.number}"

    async def do(self, kind, *terms, **more):
        return await self.control.do(kind(self.id(), "ann", *terms, **more))

    async def buys(self, qty="0.1", sleeve="flash"):
        answer = await self.do(Open, sleeve, "BTC/USD", "buy", qty)
        assert answer.code is Code.SENT, answer
        await self.tell()

    def kept(self, kind):
        return [record for record in self.books.journal if isinstance(record, kind)]

    def sound(self):
        proof = self.desk.check(deep=True)
        assert proof.holds, proof


def house(**terms):
    one = House(**terms)
    one.price()
    return one


# -- criteria 8.x: the commands ------------------------------------------------------------------------------------------


@story
async def test_criterion_8_1_a_start_is_on_paper_or_on_a_venue_that_is_armed_and_anything_else_is_refused():
    """There is no mode to name: paper is a venue, and so is live. P38."""
    paper = house()
    await paper.do(Stop, "flash")
    answer = await paper.do(Start, "flash")
    assert (answer.code, answer.evidence["venues"]) == (Code.DONE, "shop")

    for shop in (Shop(real=True), Shop(real=None)):  # whatever does not say that it is of paper counts as real
        real = house(shops=(shop,))
        await real.do(Stop, "flash")
        refused = await real.do(Start, "flash")
        assert (refused.code, refused.evidence["venue"]) == (Code.NOT_ARMED, "shop")
        assert Hold.STOPPED in real.flash.latches
        await real.do(Arm, "shop", "1000", "arm shop for 1000 USD an hour")
        assert (await real.do(Start, "flash")).code is Code.DONE
        assert not real.flash.latches


@story
async def test_criterion_8_2_a_start_reaches_its_venue_first_and_one_that_fails_leaves_the_engine_stopped():
    one = house(within=0.2)
    await one.do(Stop, "flash")
    one.shop.fails["balances"] = VenueUnavailable("no route")
    answer = await one.do(Start, "flash")
    assert (answer.code, answer.message) == (Code.UNAVAILABLE, "no route")
    one.shop.hangs.add("balances")
    answer = await one.do(Start, "flash")
    assert answer.code is Code.UNAVAILABLE
    assert "nothing of it was done" in answer.message
    assert Hold.STOPPED in one.flash.latches
    one.engine.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    assert not one.price()
    one.shop.hangs.clear()
    one.shop.fails.clear()
    assert (await one.do(Start, "flash")).code is Code.DONE
    assert len(one.price()) == 1
    assert (await one.do(Start, "flash")).code is Code.WRONG_STATUS, "it runs already"


@story
async def test_criterion_8_3_a_stop_ends_an_engine_and_takes_its_opening_orders_off_and_nothing_else():
    one = house()
    await one.buys("0.1")
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.do(Open, "flash", "BTC/USD", "sell", "0.1", "11000")
    await one.do(Open, "quiet", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    answer = await one.do(Stop, "flash", why="lunch")
    assert (answer.code, answer.evidence["canceled"], answer.evidence["pending"]) == (Code.SENT, "flash-2", "flash-2")
    await one.tell()
    assert (await one.control.outcome(answer.id)).code is Code.DONE
    assert [order.id for order in one.desk.open_orders()] == ["flash-3", "quiet-1"]
    assert one.flash.position(MARKET) == BTC("0.1")
    one.engine.wishes = one.other.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    assert [command.order.sleeve for command in one.price()] == ["quiet"]
    assert (await one.do(Stop, "flash")).code is Code.DONE, "one that is stopped already stays so"
    one.sound()


@story
async def test_criterion_8_4_a_deposit_goes_to_the_vault_that_it_names():
    one = house()
    answer = await one.do(Deposit, VAULT, "100")
    assert answer.ok
    assert answer.code is Code.SENT
    assert answer.evidence == {"amount": "100 USD", "venue": "shop", "transfer": "main-transfer-1", "status": "sent"}
    assert one.vault.total == USD("20000")
    await one.tell()
    assert one.vault.total == USD("20100")
    late = await one.control.outcome(answer.id)
    assert (late.code, late.evidence["status"]) == (Code.CONFIRMED, "confirmed")
    (asked,) = one.kept(Asked)
    assert asked.by == "ann/r-1"
    one.sound()


@story
async def test_criterion_8_5_a_withdrawal_goes_from_the_vault_that_it_names():
    one = house()
    answer = await one.do(Withdraw, VAULT, "100", why="rent")
    assert (answer.code, answer.evidence["status"]) == (Code.SENT, "sent")
    assert one.vault.in_transit == USD("100")
    await one.tell()
    assert (one.vault.total, one.vault.in_transit) == (USD("19900"), USD.zero)
    assert (await one.control.outcome(answer.id)).code is Code.CONFIRMED
    one.sound()


@story
async def test_criterion_8_6_an_order_goes_through_the_gates_of_its_sleeve():
    one = house()
    answer = await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
    assert (answer.code, answer.evidence["orders"], answer.evidence["status"]) == (Code.SENT, "flash-1", "submitted")
    await one.tell()
    done = await one.control.outcome(answer.id)
    assert (done.code, done.evidence["status"], done.evidence["filled"]) == (Code.DONE, "filled", "0.1 BTC")
    (placed,) = one.kept(Placed)
    assert (placed.by, placed.order.id) == ("ann/r-1", "flash-1")
    refused = await one.do(Open, "flash", "BTC/USD", "buy", "10")
    assert (refused.code, refused.evidence["gate"], refused.evidence["reason"]) == (Code.GATE_REFUSED, "funds", "funds")
    assert refused.evidence["free"] == "4000"
    assert refused.message in [str(record) for record in one.kept(Refusal)]


@story
async def test_criterion_8_7_a_close_is_for_the_exact_size_of_the_position():
    """P15."""
    one = house()
    await one.buys("0.12345")
    answer = await one.do(Close, "flash", "BTC/USD")
    assert answer.code is Code.SENT
    assert one.kept(Placed)[-1].order.place.qty == MARKET.qty("0.12345")
    again = await one.do(Close, "flash", "BTC/USD")
    assert again.code is Code.NOT_ENOUGH
    assert "closing" in again.message or "does already" in again.message
    await one.tell()
    assert (await one.control.outcome(answer.id)).code is Code.DONE
    assert one.flash.is_flat()
    one.sound()


@story
@pytest.mark.parametrize("entered", [False, True])
@pytest.mark.parametrize("call", ["submit", "cancel", "transfer", "balances"])
async def test_criterion_8_8_an_answer_comes_within_the_bound_whatever_hangs(call, entered):
    """P39."""
    one = house(within=0.1)
    await one.do(Open, "flash", "BTC/USD", "buy", "0.01", "9000")
    await one.do(Stop, "quiet")
    one.shop.hangs.add(call)

    async def told():
        began = anyio.current_time()
        if call == "submit":
            answer = await one.do(Open, "flash", "BTC/USD", "buy", "0.01")
        elif call == "cancel":
            answer = await one.do(Kill, DESK, True)
        elif call == "transfer":
            answer = await one.do(Deposit, VAULT, "10")
        else:
            answer = await one.do(Start, "quiet")
        assert anyio.current_time() - began < 2, "a call that hangs takes a minute"
        return answer

    if entered:
        async with one.control:
            answer = await told()
    else:
        answer = await told()
    if call == "balances" and not entered:
        assert answer.code is Code.UNAVAILABLE
    else:
        assert answer.code is Code.UNDER_WAY
        assert answer.ok
    assert one.control._register.doing == {}
    one.sound()


@story
async def test_criterion_8_9_a_refusal_has_a_code_a_message_and_its_numbers():
    """P40: each code that an instruction can be answered is reached here, or in a test of its own that `ELSEWHERE` names."""
    one = house()
    await one.buys("0.1")
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    told = {
        Code.UNKNOWN_SLEEVE: (Open, "nobody", "BTC/USD", "buy", "1"),
        Code.UNKNOWN_VAULT: (Deposit, "core:main:EUR", "1"),
        Code.UNKNOWN_MARKET: (Open, "flash", "ETH/USD", "buy", "1"),
        Code.UNKNOWN_VENUE: (Deposit, VAULT, "1", "kraken"),
        Code.UNKNOWN_ORDER: (Cancel, "flash-99"),
        Code.UNKNOWN_CONFIRMATION: (Confirm, "flash-c1"),
        Code.BAD_AMOUNT: (Deposit, VAULT, "0"),
        Code.NOT_ENOUGH: (Allocate, "flash", "5000.000001"),
        Code.WRONG_STATUS: (Resume, "flash"),
        Code.VAULT_REFUSED: (SetTradeable, VAULT, "20001"),
        Code.GATE_REFUSED: (Open, "flash", "BTC/USD", "buy", "10"),
        Code.REFUSED: (Deposit, VAULT, "1001"),
        Code.NOTHING: (Rebalance, "flash"),
        Code.DONE: (Reclaim, "flash", "1"),
        Code.SENT: (Cancel, "flash-2"),
    }
    for code, (kind, *terms) in told.items():
        answer = await one.do(kind, *terms)
        assert answer.code is code, answer
        assert answer.message
        assert answer.ok is code.ok
    assert set(told) | set(ELSEWHERE) == set(Code)
    assert all(test in globals() for test in ELSEWHERE.values())


ELSEWHERE = {
    Code.CONFIRMED: "test_criterion_8_4_a_deposit_goes_to_the_vault_that_it_names",
    Code.UNDER_WAY: "test_criterion_8_8_an_answer_comes_within_the_bound_whatever_hangs",
    Code.CANCELED: "test_an_order_that_was_canceled_is_not_called_filled",
    Code.REJECTED: "test_what_a_venue_said_no_to_is_said",
    Code.UNAVAILABLE: "test_criterion_8_2_a_start_reaches_its_venue_first_and_one_that_fails_leaves_the_engine_stopped",
    Code.UNKNOWN: "test_p42_a_transfer_whose_answer_is_lost_is_unknown_until_the_venue_tells",
    Code.RESIDUAL: "test_a_kill_names_what_it_could_not_close",
    Code.NOT_ARMED: "test_criterion_8_1_a_start_is_on_paper_or_on_a_venue_that_is_armed_and_anything_else_is_refused",
    Code.NEEDS_CONFIRMATION: "test_an_order_beyond_the_worth_that_was_armed_waits_for_a_human",
    Code.HEALTH: "test_criterion_3_8_a_withdrawal_that_leaves_the_health_under_80_is_refused_with_both_numbers",
    Code.ENGINE_FAULT: "test_an_engine_that_raises_when_it_is_asked_is_stopped_and_said",
    Code.RECOVERING: "test_nothing_is_opened_while_the_desk_is_not_recovered",
    Code.ID_USED: "test_the_same_id_with_other_content_is_refused_and_does_nothing",
    Code.TOO_MANY: "test_more_than_so_many_in_a_second_are_refused_and_stops_are_not",
    Code.BUSY: "test_one_at_a_time_in_order_and_what_stops_waits_for_nobody",
    Code.INTERNAL: "test_a_bug_is_answered_and_logged_with_its_stack",
}


@story
async def test_criterion_8_10_what_is_told_of_an_instruction_is_that_it_came_and_what_it_was_answered():
    one = house()
    heard = []
    one.books.listen(heard.append)
    answer = await one.do(Allocate, "flash", "10")
    instructed, entry, answered = heard
    assert instructed == Instructed(one.books.now, "ann", "r-1", "allocate", to_terms(Allocate("r-1", "ann", "flash", "10")))
    assert isinstance(entry, Entry)
    assert entry.by == instructed.author == "ann/r-1"
    assert answered == Answered(one.books.now, "r-1", "done", answer.message, answer.evidence)


# -- criteria 3.x: money in and out ----------------------------------------------------------------------------------------


@law
@given(st.decimals("0", "2000", places=6).map(lambda one: format(one, "f")))
def test_criterion_3_1_a_deposit_is_taken_for_more_than_nothing_and_up_to_what_the_wallet_outside_holds(amount):
    """P9: where the venue can say what that is."""
    one = house()
    answer = anyio.run(one.do, Deposit, VAULT, amount)
    coins = USD(amount)
    if coins.units == 0:
        assert answer.code is Code.BAD_AMOUNT
    elif coins <= one.shop.outside:
        assert answer.code is Code.SENT
    else:
        assert answer.code is Code.REFUSED
        assert answer.evidence["reason"] == f"the wallet holds 1000 USD, less than {coins}"
    assert len(one.shop.of("transfer")) == (answer.code is Code.SENT)


@story
async def test_criterion_3_2_a_deposit_goes_to_the_venue_that_it_names():
    one = house(shops=(Shop("kraken"), Shop("drift")))
    await one.do(Deposit, VAULT, "10", "drift")
    assert [shop.of("transfer") for shop in one.shops] == [[], ["main-transfer-1"]]
    unnamed = await one.do(Deposit, VAULT, "10")
    assert (unnamed.code, unnamed.evidence["known"]) == (Code.UNKNOWN_VENUE, "kraken drift")
    assert len(one.kept(Asked)) == 1


@story
async def test_criterion_3_4_a_rehearsal_that_fails_refuses_with_the_venues_message_and_nothing_is_sent():
    """P10: and nothing is sent again."""
    one = house()
    answer = await one.do(Deposit, VAULT, "5000")
    assert (answer.code, answer.evidence["status"]) == (Code.REFUSED, "refused")
    assert "the wallet holds 1000 USD, less than 5000 USD" in answer.message
    assert one.shop.of("transfer") == []
    assert (await one.control.outcome(answer.id)).code is Code.REFUSED
    out = await one.do(Withdraw, VAULT, "10")
    assert out.code is Code.SENT
    one.shop.fails["transfer"] = VenueRejected("destination unknown")
    out = await one.do(Withdraw, VAULT, "10")
    assert (out.code, out.evidence["reason"]) == (Code.REFUSED, "destination unknown")
    assert one.vault.in_transit == USD("10")
    one.shop.fails["transfer"] = VenueUnavailable("no route")
    out = await one.do(Withdraw, VAULT, "10")
    assert (out.code, out.evidence["reason"]) == (Code.UNAVAILABLE, "no route")
    one.sound()


@story
async def test_criterion_3_7_a_withdrawal_leaves_what_sleeves_and_the_reserve_count_on():
    one = house()
    answer = await one.do(Withdraw, VAULT, "10000.000001")
    assert (answer.code, answer.evidence["free"]) == (Code.NOT_ENOUGH, "10000 USD")
    assert one.shop.calls == []
    assert (await one.do(Withdraw, VAULT, "10000")).code is Code.SENT


@story
async def test_p41_and_p42_what_became_of_a_transfer_is_said_later_by_its_request():
    """Sent, then confirmed or refused by the venue's own word."""
    one = house()
    sent = await one.do(Withdraw, VAULT, "10")
    assert one.control.find(sent.id).evidence["status"] == "sent"
    one.shop.waiting = [TransferRefused(2, "main-transfer-1", "limit of the day")]
    await one.tell()
    late = await one.control.outcome(sent.id)
    assert (late.code, late.evidence["reason"]) == (Code.REFUSED, "limit of the day")
    assert (await one.control.do(Withdraw("r-1", "ann", VAULT, "10"))) == sent, "the answer of then is kept"


@story
async def test_p42_a_transfer_whose_answer_is_lost_is_unknown_until_the_venue_tells():
    one = house()
    one.shop.fails["transfer"] = VenueUnknown("timed out")
    one.shop.deaf.add("transfer")
    answer = await one.do(Withdraw, VAULT, "10")
    assert (answer.code, answer.evidence["status"], answer.ok) == (Code.UNKNOWN, "unknown", False)
    assert one.vault.in_transit == USD("10")
    assert (await one.control.outcome(answer.id, within=0.05)).code is Code.UNKNOWN

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.tell)
        late = await one.control.outcome(answer.id, within=5)
    assert late.code is Code.CONFIRMED
    assert one.shop.of("transfer") == ["main-transfer-1"]


@story
async def test_a_transfer_of_which_the_shell_alerts_that_it_is_unknown_is_no_longer_called_sent():
    one = house()
    answer = await one.do(Deposit, VAULT, "10")
    assert one.control.find(answer.id).code is Code.SENT
    one.desk.alert(one.books.now, Level.CRITICAL, VAULT, "transfer_unknown", "main-transfer-1: not told for 60 s")
    assert one.control.find(answer.id).code is Code.UNKNOWN


# -- truth ---------------------------------------------------------------------------------------------------------------


@story
async def test_what_a_venue_said_no_to_is_said():
    one = house()
    for error, code in ((VenueRejected("post only"), Code.REJECTED), (VenueUnavailable("no route"), Code.UNAVAILABLE)):
        one.shop.fails["submit"] = error
        answer = await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
        assert (answer.code, answer.evidence["status"], answer.evidence["reason"]) == (code, "rejected", str(error))
    assert one.flash.free == USD("5000")
    one.shop.fails["submit"] = VenueUnknown("timed out")
    answer = await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
    assert (answer.code, answer.evidence["status"], answer.evidence["orders"]) == (Code.UNKNOWN, "unknown", "flash-3")
    assert [order.id for order in one.desk.in_doubt] == ["flash-3"]
    one.sound()


@story
async def test_an_order_that_was_canceled_is_not_called_filled():
    one = house()
    opened = await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    assert one.control.find(opened.id).evidence["status"] == "open"
    canceled = await one.do(Cancel, "flash-1")
    assert (canceled.code, canceled.evidence["status"]) == (Code.SENT, "open")
    await one.tell()
    assert (await one.control.outcome(opened.id)).code is Code.CANCELED
    assert (await one.control.outcome(opened.id)).evidence["filled"] == "0 BTC"
    assert (await one.control.outcome(canceled.id)).code is Code.DONE
    again = await one.do(Cancel, "flash-1")
    assert (again.code, again.evidence["status"]) == (Code.NOTHING, "canceled")


@story
async def test_an_order_that_filled_before_its_cancel_is_said_to_be_filled():
    one = house()
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    canceled = await one.do(Cancel, "flash-1")
    one.shop.waiting.insert(0, filled(one.desk.open_orders()[0]))
    await one.tell()
    late = await one.control.outcome(canceled.id)
    assert (late.code, late.evidence["filled"]) == (Code.NOTHING, "0.1 BTC")


@story
async def test_a_kill_never_says_closed_of_what_is_not_closed_yet():
    one = house()
    await one.buys("0.1", "flash")
    await one.buys("0.2", "quiet")
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    answer = await one.do(Kill, DESK, True, why="fire")
    assert answer.code is Code.UNDER_WAY
    assert answer.evidence["canceled"] == "flash-2"
    assert answer.evidence["orders"] == "quiet-2"
    assert answer.evidence["open"] == "flash-2 quiet-2"
    assert answer.evidence["left"] == "flash 0.1 BTC of BTC/USD, quiet 0.2 BTC of BTC/USD"
    assert answer.evidence["status"] == "halted"
    assert "closed" not in answer.message
    assert "flat" not in answer.message
    await one.tell()
    late = await one.control.outcome(answer.id)
    assert (late.code, late.message) == (Code.DONE, "halted and flat")
    assert "left" not in late.evidence
    assert one.flash.is_flat()
    assert one.quiet.is_flat()
    assert {one.flash.status, one.quiet.status, one.desk.status} == {Status.HALTED}
    one.sound()


@story
async def test_a_kill_names_what_it_could_not_close():
    one = house()
    await one.buys("0.1")
    one.shop.fails["submit"] = VenueRejected("market closed")
    answer = await one.do(Kill, "flash", True)
    assert (answer.code, answer.ok) == (Code.RESIDUAL, False)
    assert answer.evidence["residual"] == "flash 0.1 BTC of BTC/USD"
    assert {record.code for record in one.kept(Alert)} == {"residual"}


@story
async def test_a_kill_that_leaves_positions_on_purpose_says_that_they_stay():
    one = house()
    await one.buys("0.1")
    answer = await one.do(Kill, VAULT, False)
    assert (answer.code, answer.evidence["left"]) == (Code.DONE, "flash 0.1 BTC of BTC/USD")
    assert "stay" in answer.message
    assert one.flash.position(MARKET) == BTC("0.1")
    assert (await one.do(Revive, VAULT)).code is Code.VAULT_REFUSED
    assert (await one.do(Revive, VAULT, why="it was a drill")).code is Code.DONE
    assert one.flash.own_status is Status.PAUSED


@story
async def test_a_close_all_takes_opening_orders_off_and_sells_the_largest_first():
    one = house()
    await one.buys("0.1", "flash")
    await one.buys("0.3", "quiet")
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    answer = await one.do(CloseAll, VAULT)
    assert (answer.code, answer.evidence["canceled"], answer.evidence["orders"]) == (Code.UNDER_WAY, "flash-2", "quiet-2 flash-3")
    await one.tell()
    assert (await one.control.outcome(answer.id)).code is Code.DONE
    assert one.flash.own_status is Status.ACTIVE, "engines go on"
    assert (await one.do(CloseAll, DESK)).code is Code.NOTHING
    one.sound()


@story
async def test_a_close_all_leaves_exits_that_rest_and_says_what_they_are_for():
    one = house()
    await one.buys("0.3")
    await one.do(Open, "flash", "BTC/USD", "sell", "0.1", "11000")
    await one.tell()
    answer = await one.do(CloseAll, "flash")
    assert "canceled" not in answer.evidence
    assert one.kept(Placed)[-1].order.place.qty == MARKET.qty("0.2")
    await one.tell()
    late = one.control.find(answer.id)
    assert (late.code, late.evidence["left"]) == (Code.RESIDUAL, "flash 0.1 BTC of BTC/USD")
    assert [order.id for order in one.desk.open_orders()] == ["flash-2"]


@story
async def test_a_close_all_names_what_is_left():
    one = house()
    await one.buys("0.1")
    await one.do(Kill, "flash", False)
    answer = await one.do(CloseAll, VAULT)
    assert (answer.code, answer.evidence["left"]) == (Code.RESIDUAL, "flash 0.1 BTC of BTC/USD")
    assert "halted" in answer.evidence["not_sent"]


# -- the other instructions ------------------------------------------------------------------------------------------------


@story
async def test_money_between_vault_and_sleeve_moves_exactly():
    one = house()
    answer = await one.do(Allocate, "flash", "123.456789", why="more")
    assert (answer.code, answer.evidence["allocation"], answer.evidence["remaining"]) == (Code.DONE, "5123.456789 USD", "4876.543211 USD")
    await one.buys("0.1")
    assert (await one.do(Allocate, "flash", "10")).evidence["set_aside"] == "10 USD"
    answer = await one.do(Reclaim, "flash", "9999")
    assert (answer.code, answer.evidence["free"]) == (Code.NOT_ENOUGH, "4133.456789 USD")
    answer = await one.do(SetTradeable, VAULT, "16000", "17000")
    assert (answer.code, answer.evidence["tradeable"], one.vault.cap) == (Code.DONE, "16000 USD", USD("17000").units)
    one.sound()


@story
async def test_a_pause_cancels_what_opens_and_a_resume_takes_it_back():
    one = house()
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    await one.tell()
    answer = await one.do(Pause, DESK)
    assert (answer.code, answer.evidence["pending"], answer.evidence["status"]) == (Code.SENT, "flash-1", "paused")
    await one.tell()
    assert (await one.control.outcome(answer.id)).code is Code.DONE
    refused = await one.do(Open, "quiet", "BTC/USD", "buy", "0.1")
    assert (refused.code, refused.evidence["gate"]) == (Code.GATE_REFUSED, "status")
    assert (await one.do(Resume, DESK)).code is Code.DONE
    assert (await one.do(Open, "quiet", "BTC/USD", "buy", "0.1")).code is Code.SENT


@story
async def test_a_rebalance_asks_the_engine_now():
    one = house()
    one.engine.every = 10**15
    assert (await one.do(Rebalance, "flash")).code is Code.NOTHING
    one.engine.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    one.other.wishes = [Place(MARKET, Side.BUY, MARKET.qty("0.1"))]
    answer = await one.do(Rebalance, "flash")
    assert (answer.code, answer.evidence["orders"], answer.evidence["engine"]) == (Code.SENT, "flash-1", "puppet")
    assert one.other.wishes, "the others are not asked"
    assert one.kept(Placed)[0].by == "puppet"
    one.engine.wishes = [Place(MARKET, Side.BUY, MARKET.qty("100"))]
    refused = await one.do(Rebalance, "flash")
    assert (refused.code, refused.evidence["gate"]) == (Code.GATE_REFUSED, "funds")
    await one.do(Stop, "flash")
    assert (await one.do(Rebalance, "flash")).code is Code.WRONG_STATUS
    one.sound()


@story
async def test_an_engine_that_raises_when_it_is_asked_is_stopped_and_said():
    one = house()
    await one.do(Open, "flash", "BTC/USD", "buy", "0.1", "9000")
    one.engine.wishes = ["nonsense"]
    answer = await one.do(Rebalance, "flash")
    assert answer.code is Code.ENGINE_FAULT
    assert "TypeError" in answer.message
    assert one.flash.own_status is Status.CLOSE_ONLY
    assert one.shop.of("cancel") == ["flash-1"]


@story
async def test_an_order_beyond_the_worth_that_was_armed_waits_for_a_human():
    one = house(shops=(Shop(real=True),))
    one.desk.require_arming("shop")
    refused = await one.do(Open, "flash", "BTC/USD", "buy", "0.01")
    assert (refused.code, refused.evidence["venue"]) == (Code.NOT_ARMED, "shop")
    wrong = await one.do(Arm, "shop", "1000", "arm shop")
    assert wrong.code is Code.VAULT_REFUSED
    assert "arm shop for 1000 USD an hour" in wrong.message
    assert (await one.do(Arm, "shop", "1000 EUR", "arm shop")).code is Code.BAD_AMOUNT
    armed = await one.do(Arm, "shop", "1000 USD", "arm shop for 1000 USD an hour", confirm_above="50")
    assert armed.code is Code.DONE
    asks = await one.do(Open, "flash", "BTC/USD", "buy", "0.01")
    assert (asks.code, asks.ok) == (Code.NEEDS_CONFIRMATION, False)
    name = asks.evidence["confirmation"]
    assert one.shop.of("submit") == []
    confirmed = await one.do(Confirm, name)
    assert (confirmed.code, confirmed.evidence["orders"]) == (Code.SENT, "flash-1")
    assert one.kept(Placed)[0].by == f"ann/{confirmed.id}"
    assert (await one.do(Confirm, name)).code is Code.UNKNOWN_CONFIRMATION
    other = await one.do(Open, "quiet", "BTC/USD", "buy", "0.01")
    declined = await one.do(Decline, other.evidence["confirmation"], why="no")
    assert declined.code is Code.DONE
    assert one.shop.of("submit") == ["flash-1"]
    assert (await one.do(Disarm, "shop")).ok
    assert (await one.do(Open, "flash", "BTC/USD", "buy", "0.001")).code is Code.NOT_ARMED


# -- beside a run on the simulated venue -----------------------------------------------------------------------------------

PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
FREE = Rules(Fees(0, 0), Slippage.none())
PERPS = "core:main:USDC"


class Script(VirtualDriver):
    """The paper venue, with a human who acts after each of its prices."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.acts = []

    async def events(self):
        async for event in super().events():
            yield event
            if isinstance(event, Quote) and self.acts:
                act = self.acts.pop(0)
                if act is not None:
                    await act()


def perps(prices, *, wallet="500", total="2000", allocate="1000"):
    """(desk, venue, control) over hourly prices of a perpetual."""
    rows = [str(price) for price in prices]
    tape = Tape.from_columns(PERP, ts=[3600 * n for n in range(len(rows))], open=rows, high=rows, low=rows, close=rows)
    vault = CoreVault(USDC, total=total, tradeable=allocate)
    sleeve = vault.sleeve("flash", FLASH, allocate=allocate)
    desk = Desk(vault)
    desk.assign(Idle(PERP), to=sleeve)
    venue = Script(tape, account_of(desk), FREE, wallet={"USDC": USDC(wallet)})
    return desk, venue, Control(desk, venue)


@story
async def test_criterion_3_3_3_5_3_6_and_3_9_a_deposit_and_a_withdrawal_beside_a_run_are_rehearsed_confirmed_and_booked():
    desk, venue, control = perps([100] * 6)
    vault, told, rehearsed = desk.treasury.vaults[0], {}, []
    real = venue.rehearse

    async def rehearse(transfer):
        rehearsed.append(transfer.id)
        await real(transfer)

    venue.rehearse = rehearse

    async def give(instruction):
        told[instruction.id] = await control.do(instruction)

    venue.acts = [
        partial(give, Deposit("in", "ann", PERPS, "400")),
        partial(give, Deposit("more", "ann", PERPS, "100.000001")),
        partial(give, Withdraw("out", "ann", PERPS, "900")),
    ]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trade, desk, venue)
    assert [told[name].code for name in ("in", "more", "out")] == [Code.SENT, Code.REFUSED, Code.SENT]
    assert told["more"].evidence["reason"] == "the wallet holds 100 USDC, less than 100.000001 USDC"
    assert rehearsed == ["main-transfer-1", "main-transfer-2", "main-transfer-3"]
    assert [(await control.outcome(name)).code for name in ("in", "more", "out")] == [Code.CONFIRMED, Code.REFUSED, Code.CONFIRMED]
    assert vault.total == USDC("1500")
    assert venue.exchange.account.wallet["USDC"] == USDC("1000").units, "the wallet outside has it"
    assert desk.check(await venue.balances(), deep=True).holds


@story
async def test_criterion_3_8_a_withdrawal_that_leaves_the_health_under_80_is_refused_with_both_numbers():
    """P12: refused just below, taken at 80 and above."""
    desk, venue, control = perps([100] * 6)
    told = []

    async def give(instruction):
        told.append(await control.do(instruction))

    async def withdraw():
        vault = desk.treasury.vaults[0]
        at_80 = next(n for n in range(1000, 0, -1) if health_after(desk, vault, n) >= 80)
        await give(Withdraw("w1", "ann", PERPS, str(at_80 + 1)))
        await give(Withdraw("w2", "ann", PERPS, str(at_80)))

    venue.acts = [partial(give, Open("o", "ann", "flash", "SOL-PERP", "buy", "70")), None, withdraw]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trade, desk, venue)
    opened, refused, taken = told
    assert opened.code is Code.SENT
    assert (refused.code, refused.evidence["least_health"]) == (Code.HEALTH, "80")
    assert float(refused.evidence["health"]) > 80 > float(refused.evidence["health_after"])
    assert taken.code is Code.SENT
    assert float(taken.evidence["health_after"]) >= 80
    assert [record.transfer.amount for record in desk.books.journal if isinstance(record, Asked)] == [-USDC(taken.evidence["amount"])]


@story
async def test_a_withdrawal_against_another_rule_is_not_laid_at_the_healths_door():
    desk, venue, control = perps([100] * 4)

    async def opens():
        assert (await control.do(Open("o", "ann", "flash", "SOL-PERP", "buy", "1"))).code is Code.SENT

    venue.acts = [opens]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trade, desk, venue)
    desk.observe_balance(desk.treasury.vaults[0], "999")
    answer = await control.do(Withdraw("w", "ann", PERPS, "1"))
    assert (answer.code, float(answer.evidence["health_after"]) > 80) == (Code.VAULT_REFUSED, True)
    assert "missing" in answer.message


def health_after(desk, vault, coins):
    """By its definition, from the public exposure: what counts less what is required, of what counts."""
    joint = desk.exposure(vault).joint
    collateral = joint.collateral.units - USDC(coins).units
    return 100 * (collateral - joint.requirement.units) / collateral


@story
async def test_criterion_3_10_a_transfer_that_fails_is_logged_with_all_that_is_known_of_it(caplog):
    one = house()
    one.shop.fails["transfer"] = VenueUnavailable("no route")
    with caplog.at_level(logging.WARNING, "sleeves.live"):
        await one.do(Withdraw, VAULT, "10")
    (record,) = caplog.records
    assert "shop was not reached: no route" in record.getMessage()
    assert (record.command, record.venue, record.transfer_id, record.amount) == ("Transfer", "shop", "main-transfer-1", "-10 USD")


@story
async def test_a_perpetual_is_opened_settled_and_flattened_beside_a_run():
    desk, venue, control = perps([100, 100, 110, 110, 110, 110, 110, 110])
    told = {}

    async def give(instruction):
        told[instruction.id] = await control.do(instruction)

    venue.acts = [
        partial(give, Open("open", "ann", "flash", "SOL-PERP", "sell", "5")),
        None,
        partial(give, Settle("settle", "ann", "SOL-PERP")),
        None,
        partial(give, Kill("kill", "ann", DESK, True)),
    ]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trade, desk, venue)
    sleeve = desk.treasury.vaults[0].sleeves["flash"]
    assert {name: answer.code for name, answer in told.items()} == {"open": Code.SENT, "settle": Code.SENT, "kill": Code.UNDER_WAY}
    assert told["kill"].evidence["left"] == "flash -5 SOL of SOL-PERP"
    assert {name: control.find(name).code for name in told} == {"open": Code.DONE, "settle": Code.CONFIRMED, "kill": Code.DONE}
    assert control.find("settle").evidence["settled"]
    assert sleeve.is_flat()
    assert desk.check(await venue.balances(), positions=await venue.positions(), deep=True).holds
    spot = await house().do(Settle, "BTC/USD")
    assert spot.code is Code.UNKNOWN_MARKET


@pytest.mark.parametrize("seed", range(6))
@story
async def test_over_a_bad_wire_every_answer_is_true_and_nothing_is_done_twice(seed):
    """Orders, transfers and stops through faults, each given twice; at the end all is asked after, and what was said holds."""
    desk, inner, _ = perps([100 + n % 7 for n in range(60)], total="5000")
    venue = FaultyVenue(inner, Faults(answer_lost=150_000, request_lost=100_000, unavailable=100_000, event_lost=50_000), Dice(seed))
    control = Control(desk, venue, most_per_second=1_000)
    told = {}

    async def give(instruction):
        told[instruction.id] = await control.do(instruction)
        assert await control.do(instruction) == told[instruction.id]

    sides = ("buy", "sell")
    for n in range(40):
        inner.acts.append(
            partial(give, Withdraw(f"w-{n}", "ann", PERPS, "1"))
            if n % 5 == 4
            else partial(give, Open(f"o-{n}", "ann", "flash", "SOL-PERP", sides[n % 2], "1"))
        )
    inner.acts.append(partial(give, Kill("kill", "ann", DESK, True)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, patience=0.01, reconcile_every=None))
    venue.calm()
    await reconcile(desk, venue)
    await reconcile(desk, venue)
    assert max(venue.arrived.values()) == 1, "no order was sent twice"
    placed = [record.by for record in desk.books.journal if isinstance(record, Placed) and record.by.startswith("ann/o-")]
    assert len(placed) == len(set(placed)), "nor ordered twice"
    for name, answer in told.items():
        now = control.find(name)
        if name.startswith("w-") and now.code is Code.CONFIRMED:
            assert answer.code in (Code.SENT, Code.UNKNOWN, Code.CONFIRMED)
        if answer.code in (Code.REJECTED, Code.UNAVAILABLE, Code.REFUSED, Code.GATE_REFUSED):
            assert now.code is answer.code, "what was not done stays not done"
        assert answer.code not in (Code.INTERNAL, Code.BUSY)
    gone = sum(control.find(name).code is Code.CONFIRMED for name in told if name.startswith("w-"))
    assert inner.exchange.account.wallet["USDC"] == USDC(500 + gone).units
    assert desk.check(deep=True).holds


# -- while the desk is not recovered -----------------------------------------------------------------------------------------


@story
async def test_nothing_is_opened_while_the_desk_is_not_recovered(tmp_path):
    one = house(journal=SQLite.open(tmp_path / "a.sleeves"))
    await one.buys("0.1")
    one.books.journal.close()
    two = reopened(tmp_path / "a.sleeves")
    assert two.desk.recovering
    two.price()
    two.number = 100
    codes = [(await two.do(kind, "flash", *more)).code for kind, *more in ((Open, "BTC/USD", "buy", "0.1"), (Start,), (Rebalance,))]
    assert codes == [Code.RECOVERING] * 3
    killed = await two.do(Kill, "flash", True)
    assert killed.code is Code.UNDER_WAY
    assert "once the desk is recovered" in killed.message
    assert two.shop.calls == []
    two.books.journal.close()


# -- once, and only once -----------------------------------------------------------------------------------------------------


@story
async def test_the_same_instruction_again_does_nothing_and_is_answered_the_same():
    one = house()
    given_ = Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.1")
    first = await one.control.do(given_)
    await one.tell()
    records = len(one.books.journal)
    assert await one.control.do(given_) == first
    assert await Control(one.desk, one.shop).do(given_) == first, "whichever control is asked"
    assert len(one.books.journal) == records
    assert one.shop.of("submit") == ["flash-1"]


@story
async def test_the_same_instruction_at_the_same_time_is_carried_out_once():
    one = house()
    one.shop.late["submit"] = 0.05
    given_ = Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.1")
    answers = []

    async def give():
        answers.append(await one.control.do(given_))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(give)
    assert len(answers) == 5
    assert all(answer == answers[0] for answer in answers)
    assert one.shop.of("submit") == ["flash-1"]
    assert len(one.kept(Instructed)) == len(one.kept(Answered)) == 1


@story
async def test_the_same_id_with_other_content_is_refused_and_does_nothing():
    one = house()
    await one.control.do(Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.1"))
    records = len(one.books.journal)
    for other in (
        Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.2"),
        Open("r-1", "bob", "flash", "BTC/USD", "buy", "0.1"),
        Kill("r-1", "ann", DESK, True),
    ):
        assert (await one.control.do(other)).code is Code.ID_USED
    assert len(one.books.journal) == records
    one.shop.late["submit"] = 0.05
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.control.do, Open("r-2", "ann", "flash", "BTC/USD", "buy", "0.1"))
        await anyio.wait_all_tasks_blocked()
        assert (await one.control.do(Kill("r-2", "ann", DESK, True))).code is Code.ID_USED
    assert one.desk.status is Status.ACTIVE


def reopened(path, **terms):
    """The same house after a restart of the program."""
    treasury = Treasury.reopen(Books(SQLite.open(path)))
    return House(desk=Desk(*treasury.vaults), **terms)


@story
async def test_i19_the_same_instruction_after_a_restart_does_nothing_and_is_answered_the_same(tmp_path):
    path = tmp_path / "a.sleeves"
    one = house(journal=SQLite.open(path))
    first = await one.control.do(Allocate("r-1", "ann", "flash", "100"))
    sent = await one.control.do(Withdraw("r-2", "ann", VAULT, "10"))
    filled_ = await one.control.do(Open("r-3", "ann", "flash", "BTC/USD", "buy", "0.1"))
    await one.tell()
    assert one.books.journal.waiting == 0
    one.books.journal.close()

    two = reopened(path)
    records = len(two.books.journal)
    assert await two.control.do(Allocate("r-1", "ann", "flash", "100")) == first
    assert await two.control.do(Withdraw("r-2", "ann", VAULT, "10")) == sent
    assert await two.control.do(Open("r-3", "ann", "flash", "BTC/USD", "buy", "0.1")) == filled_
    assert (await two.control.do(Allocate("r-1", "ann", "flash", "101"))).code is Code.ID_USED
    assert len(two.books.journal) == records
    assert two.control.find("r-2").code is Code.CONFIRMED, "what became of it later is found all the same"
    assert two.control.find("r-3").code is Code.DONE
    assert two.control.find("r-4") is None
    assert two.flash.allocation == USD("5100")
    two.books.journal.close()


@story
async def test_an_answer_is_durable_before_it_is_heard(tmp_path):
    """Also within the group of appends that a run opens."""
    one = house(journal=SQLite.open(tmp_path / "a.sleeves"))
    with one.books.journal.group():
        one.price("10001")
        assert (await one.do(Allocate, "flash", "1")).code is Code.DONE
        assert one.books.journal.waiting == 0
    one.books.journal.close()


def test_every_journal_finds_an_instruction_and_its_answer_by_their_keys():
    from sleeves.codec import encode
    from sleeves.journals.postgres import _KEYED
    from sleeves.records import key_of

    instructed = Instructed(1, "ann", "r-1", "kill", {"target": DESK})
    answered = Answered(2, "r-1", "done", "halted", {})
    assert [key_of(instructed), key_of(answered)] == ["instruction|r-1", "answer|r-1"]
    assert all(_KEYED.search(encode(record)) for record in (instructed, answered))


@story
async def test_another_program_may_not_write_a_second_instruction_or_answer_under_one_id(tmp_path):
    """The store itself refuses it: whatever else goes wrong, nothing is done twice."""
    one = house(journal=SQLite.open(tmp_path / "a.sleeves"))
    await one.do(Allocate, "flash", "1")
    for record in (one.kept(Instructed)[0], one.kept(Answered)[0]):
        with pytest.raises(JournalError):
            one.books.journal.append(record)
        one.books.journal.close()
        one = reopened(tmp_path / "a.sleeves")
    one.books.journal.close()


class Died(BaseException):
    """The process ends here."""


@story
@pytest.mark.parametrize("at", ["Instructed", "Placed", "Asked", "submit", "transfer"])
async def test_i21_i23_an_instruction_that_was_cut_off_is_unknown_with_what_the_journal_has_and_is_never_done_again(tmp_path, at):
    """The process is killed at any point between the instruction and its answer; then the books are opened again."""
    path = tmp_path / "a.sleeves"
    journal = SQLite.open(path)
    one = house(journal=journal)
    moves = at in ("Asked", "transfer")
    given_ = Withdraw("r-1", "ann", VAULT, "10") if moves else Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.1")
    real = journal.append

    def append(*records):
        if any(isinstance(record, Answered) for record in records):
            raise Died
        real(*records)
        if type(records[0]).__name__ == at:
            raise Died

    async def die(_):
        raise Died

    journal.append = append
    if at in ("submit", "transfer"):
        setattr(one.shop, at, die)
    with pytest.raises(Died):
        await one.control.do(given_)
    del journal.append
    journal.close()

    again = reopened(path)
    again.books.snapshot()
    again.books.journal.close()
    two = reopened(path)
    records = len(two.books.journal)
    found = two.control.find("r-1")
    assert found.code is Code.UNKNOWN
    assert len(two.books.journal) == records, "asking writes nothing"
    answer = await two.control.do(given_)
    assert (answer.code, answer.ok) == (Code.UNKNOWN, False)
    assert answer.evidence.get("orders", "") == ("" if moves or at == "Instructed" else "flash-1")
    assert answer.evidence.get("transfer", "") == ("main-transfer-1" if moves else "")
    assert two.shop.calls == []
    assert await two.control.do(given_) == answer
    assert len(two.kept(Answered)) == 1
    assert len(two.books.journal) == records + 1
    if moves:
        two.desk.step(Transferred(2, USD("-10"), "main-transfer-1", "shop"))
        assert two.control.find("r-1").code is Code.CONFIRMED
    two.sound()
    two.books.journal.close()
    three = reopened(path)
    assert await three.control.do(given_) == answer
    three.books.journal.close()


@story
@pytest.mark.parametrize("kind", [Kill, CloseAll, Stop, Start])
async def test_an_instruction_that_was_cut_off_before_anything_was_done_is_not_read_off_how_things_stand(tmp_path, kind):
    one = house(journal=SQLite.open(tmp_path / "a.sleeves"))
    given_ = Kill("r-1", "ann", "flash", True) if kind is Kill else kind("r-1", "ann", "flash")
    real = one.books.journal.append

    def append(*records):
        real(*records)
        raise Died

    one.books.journal.append = append
    with pytest.raises(Died):
        await one.control.do(given_)
    del one.books.journal.append
    one.books.journal.close()
    two = reopened(tmp_path / "a.sleeves")
    assert two.control.find("r-1").code is Code.UNKNOWN
    assert (await two.control.do(given_)).message.endswith("the journal has nothing of it")
    assert two.control.find("r-1").code is Code.UNKNOWN
    assert two.flash.own_status is Status.ACTIVE
    two.books.journal.close()


GIVEN = st.one_of(
    st.builds(Allocate, st.just("x"), st.just("ann"), st.sampled_from(["flash", "quiet"]), st.sampled_from(["1", "250.5", "6000"])),
    st.builds(Reclaim, st.just("x"), st.just("ann"), st.sampled_from(["flash", "quiet"]), st.sampled_from(["1", "250.5", "6000"])),
    st.builds(Deposit, st.just("x"), st.just("ann"), st.just(VAULT), st.sampled_from(["5", "1001", "0"])),
    st.builds(Withdraw, st.just("x"), st.just("ann"), st.just(VAULT), st.sampled_from(["5", "9000", "99999"])),
    st.builds(
        Open,
        st.just("x"),
        st.just("ann"),
        st.sampled_from(["flash", "quiet"]),
        st.just("BTC/USD"),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["0.1", "0.5"]),
        st.sampled_from(["", "9000", "11000"]),
    ),
    st.builds(Close, st.just("x"), st.just("ann"), st.sampled_from(["flash", "quiet"]), st.just("BTC/USD")),
    st.builds(CloseAll, st.just("x"), st.just("ann"), st.sampled_from(["flash", VAULT, DESK])),
    st.builds(Pause, st.just("x"), st.just("ann"), st.sampled_from(["flash", VAULT, DESK])),
    st.builds(Resume, st.just("x"), st.just("ann"), st.sampled_from(["flash", VAULT, DESK])),
    st.builds(Stop, st.just("x"), st.just("ann"), st.sampled_from(["flash", "quiet"])),
    st.builds(Start, st.just("x"), st.just("ann"), st.sampled_from(["flash", "quiet"])),
    st.builds(Kill, st.just("x"), st.just("ann"), st.sampled_from(["flash", VAULT]), st.booleans()),
    st.builds(Revive, st.just("x"), st.just("ann"), st.sampled_from(["flash", VAULT]), why=st.just("again")),
    st.builds(SetTradeable, st.just("x"), st.just("ann"), st.just(VAULT), st.sampled_from(["15000", "12000", "99999"])),
)


@law
@given(st.lists(st.tuples(GIVEN, st.integers(0, 2), st.booleans()), max_size=8), st.sampled_from(["asyncio", "trio"]))
def test_any_instructions_with_repeats_are_the_same_instructions_without_them(given_, backend):
    """Repeats come at once, or after all the others; the journals are equal, record for record, and the books are sound."""
    numbered = [(evolve(one, id=f"r-{n}"), again, tells) for n, (one, again, tells) in enumerate(given_)]

    async def live(repeats):
        one = house()
        answers = []
        for instruction, again, tells in numbered:
            answers.append(await one.control.do(instruction))
            for _ in range(again if repeats else 0):
                assert await one.control.do(instruction) == answers[-1]
            if tells:
                await one.tell()
        await one.tell()
        for (instruction, _, _), answer in zip(numbered if repeats else (), answers, strict=False):
            assert await one.control.do(instruction) == answer
            assert one.control.find(instruction.id) is not None
        return one, answers

    once, answers = anyio.run(live, False, backend=backend)
    more, same = anyio.run(live, True, backend=backend)
    assert answers == same
    assert list(once.books.journal.lines()) == list(more.books.journal.lines())
    assert not [answer for answer in answers if answer.code in (Code.INTERNAL, Code.BUSY, Code.TOO_MANY)], answers
    more.sound()


# -- in time, and in order ---------------------------------------------------------------------------------------------------


@story
async def test_more_than_so_many_in_a_second_are_refused_and_stops_are_not():
    now = [0.0]
    one = house(most_per_second=3, clock=lambda: now[0])
    answers = [await one.do(Allocate, "flash", "1") for _ in range(4)]
    assert [answer.code for answer in answers] == [Code.DONE] * 3 + [Code.TOO_MANY]
    assert answers[-1].evidence == {"per_second": "3"}
    assert len(one.kept(Instructed)) == 3, "nothing is written of what is refused so"
    assert (await one.do(Pause, "flash")).code is Code.DONE
    now[0] = 0.999
    assert (await one.do(Allocate, "flash", "1")).code is Code.TOO_MANY
    now[0] = 1.0
    assert (await one.control.do(Allocate("r-4", "ann", "flash", "1"))).code is Code.DONE, "the same id may be asked again"
    assert one.flash.allocation == USD("5004")
    stops = [await one.do(Pause, "flash") for _ in range(4)]
    assert [answer.code for answer in stops] == [Code.DONE] * 3 + [Code.TOO_MANY]


@story
async def test_one_at_a_time_in_order_and_what_stops_waits_for_nobody():
    one = house(within=0.5)
    one.shop.hangs.add("submit")
    told = {}

    async def give(instruction):
        told[instruction.id] = (await one.control.do(instruction), anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give, Open("a", "ann", "flash", "BTC/USD", "buy", "0.1"))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(give, Allocate("b", "ann", "quiet", "1"))
        await anyio.wait_all_tasks_blocked()
        assert one.quiet.allocation == USD("5000"), "it waits for the one before it"
        tasks.start_soon(give, Kill("c", "ann", "quiet", False))
        await anyio.wait_all_tasks_blocked()
        assert one.quiet.status is Status.HALTED
        assert told["c"][0].code is Code.DONE
    assert told["a"][0].code is Code.UNDER_WAY
    assert told["b"][0].code in (Code.DONE, Code.BUSY)
    assert told["b"][1] - began < 3
    one.shop.hangs.add("transfer")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give, Deposit("d", "ann", VAULT, "1"))
        tasks.start_soon(give, Deposit("e", "ann", VAULT, "1"))
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep(0.1)
        tasks.start_soon(give, Deposit("f", "ann", VAULT, "1"))
    codes = sorted(told[name][0].code for name in "def")
    assert Code.BUSY in codes
    busy = next(name for name in "def" if told[name][0].code is Code.BUSY)
    one.shop.hangs.clear()
    assert (await one.control.do(Deposit(busy, "ann", VAULT, "1"))).code is Code.SENT, "nothing was done: the id is free"


@story
async def test_a_kill_waits_for_an_order_of_ours_that_is_on_its_way_before_it_cancels_it():
    """A cancel that overtakes its order would find nothing, and the order would rest at a halted sleeve."""
    one = house()
    one.shop.late["submit"] = 0.05
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.do, Open, "flash", "BTC/USD", "buy", "0.1", "9000")
        await anyio.wait_all_tasks_blocked()
        answer = await one.do(Kill, "flash", True)
    assert [type(event) for event in one.shop.waiting] == [Accepted, Canceled]
    assert answer.evidence["canceled"] == "flash-1"
    await one.tell()
    assert (await one.control.outcome(answer.id)).code is Code.DONE


@story
async def test_one_venue_that_hangs_does_not_keep_a_kill_from_the_others():
    here = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", venue="one")
    there = Instrument("BTC-USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", venue="two")
    vault = CoreVault(USD, total="20000", tradeable="15000", at=SECOND)
    desk = Desk(vault)
    for name, market in (("flash", here), ("quiet", there)):
        Puppet(market, name).sit(desk, vault.sleeve(name, QUIET, allocate="5000", at=SECOND))
        units = market.price("10000")
        desk.step(Quote(market, 2 * SECOND, units, units))
    shops = Shop("one"), Shop("two")
    control = Control(desk, *shops, within=0.2)
    for n, (name, market) in enumerate((("flash", here), ("quiet", there))):
        await control.do(Open(f"o-{n}", "ann", name, market.symbol, "buy", "0.1", "9000"))
    shops[0].hangs.add("cancel")
    answer = await control.do(Kill("k", "ann", DESK, True))
    assert answer.code is Code.UNDER_WAY
    assert shops[1].of("cancel") == ["quiet-1"]
    assert desk.cancels_lost == {"flash-1"}, "broken off: it is asked for again by the run"


@story
async def test_what_takes_longer_than_the_bound_is_finished_behind_the_answer():
    one = house(within=0.3)
    one.shop.late["submit"] = one.shop.late["transfer"] = 0.4
    async with one.control:
        answer = await one.do(Deposit, VAULT, "10")
        assert (answer.code, answer.evidence["status"]) == (Code.UNDER_WAY, "unknown")
        assert one.control.find(answer.id).code is Code.UNDER_WAY
        assert await one.control.do(Deposit("r-1", "ann", VAULT, "10")) == answer
        await until(lambda: not one.control._register.doing)
        assert one.control.find(answer.id).evidence["status"] == "sent"
        opened = await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
        assert opened.code is Code.UNDER_WAY
    assert one.desk.status_of("flash-1") is OrderStatus.SUBMITTED, "at the end it is waited for"
    await one.tell()
    assert one.control.find(opened.id).code is Code.DONE
    assert one.control.find(answer.id).code is Code.CONFIRMED
    assert await one.control.do(Deposit("r-1", "ann", VAULT, "10")) == answer
    assert one.control._register.doing == {}
    one.sound()


@story
async def test_what_fails_behind_the_answer_is_found_later():
    one = house(within=0.1)
    await one.do(Stop, "flash")
    one.shop.late["balances"], one.shop.fails["balances"] = 0.15, VenueUnavailable("no route")
    async with one.control:
        answer = await one.do(Start, "flash")
        assert answer.code is Code.UNDER_WAY
        await until(lambda: one.control.find(answer.id).code is Code.UNAVAILABLE)
        assert (await one.control.outcome(answer.id)).code is Code.UNAVAILABLE
        assert await one.control.do(Start(answer.id, "ann", "flash")) == answer


@story
async def test_a_caller_that_goes_away_leaves_a_sound_desk_and_an_answer():
    one = house(within=5)
    one.shop.hangs.add("submit")
    async with anyio.create_task_group() as callers:
        callers.start_soon(one.do, Open, "flash", "BTC/USD", "buy", "0.1")
        await until(lambda: any(kind == "submit" for kind, _ in one.shop.calls))
        callers.cancel_scope.cancel()
    assert [record.code for record in one.kept(Answered)] == ["under_way"]
    assert [order.id for order in one.desk.in_doubt] == ["flash-1"]
    one.shop.hangs.clear()
    assert (await one.do(Open, "quiet", "BTC/USD", "buy", "0.1")).code is Code.SENT, "the next one has its turn"
    one.sound()


# -- what is raised ------------------------------------------------------------------------------------------------------------


@story
async def test_a_bug_is_answered_and_logged_with_its_stack(caplog):
    one = house()
    one.shop.fails["submit"] = ZeroDivisionError("a bug in a venue")
    with caplog.at_level(logging.ERROR, "sleeves.control"):
        answer = await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
    assert (answer.code, answer.evidence["orders"]) == (Code.INTERNAL, "flash-1")
    assert "ZeroDivisionError: a bug in a venue" in answer.message
    (record,) = [record for record in caplog.records if record.name == "sleeves.control"]
    assert record.exc_info is not None
    assert record.exc_info[2] is not None
    assert [order.id for order in one.desk.in_doubt] == ["flash-1"], "what it did is not known: its money stays held"
    one.sound()


@story
@pytest.mark.parametrize("entered", [False, True])
async def test_a_journal_that_fails_is_raised(entered):
    one = house()

    def full(*records):
        raise JournalError("disk full")

    one.books.journal.append = full

    async def told():
        async with one.control if entered else anyio.create_task_group():
            await one.do(Allocate, "flash", "1")

    with pytest.raises((JournalError, ExceptionGroup)) as raised:
        await told()
    assert "disk full" in str(raised.value) or raised.group_contains(JournalError, match="disk full")
    real = type(one.books.journal).append

    def full_at_the_order(*records):
        if any(isinstance(record, Placed) for record in records):
            raise JournalError("disk full")
        real(one.books.journal, *records)

    one.books.journal.append = full_at_the_order
    with pytest.raises(JournalError, match="disk full"):
        await one.do(Open, "flash", "BTC/USD", "buy", "0.1")
    assert one.shop.calls == []


@story
async def test_a_journal_that_fails_behind_the_answer_ends_the_control():
    one = house(within=0.05)
    one.shop.late["submit"], one.shop.fails["submit"] = 0.1, VenueUnavailable("no route")

    async def told():
        async with one.control:
            assert (await one.do(Open, "flash", "BTC/USD", "buy", "0.1")).code is Code.UNDER_WAY

            def full(*records):
                raise JournalError("disk full")

            one.books.journal.append = full
            await anyio.sleep(5)

    with pytest.raises((JournalError, ExceptionGroup)) as raised:
        await told()
    assert raised.group_contains(JournalError, match="disk full")


@story
async def test_misuse_is_raised():
    one = house()
    for nonsense in (None, "kill", to_terms(Kill("a", "b", DESK, True)), object(), Kill):
        with pytest.raises(VaultError, match="an instruction is one of"):
            await one.control.do(nonsense)
    with pytest.raises(VaultError, match="no instruction 'r-9' was ever given"):
        await one.control.outcome("r-9")
    with pytest.raises(VaultError, match="Control"):
        Control(one.desk)
    with pytest.raises(VaultError, match="Control"):
        Control(one.desk, one.shop, one.shop)
    with pytest.raises(VaultError, match="is a Desk"):
        Control(one.shop, one.desk)
    for within in (0, -1, float("nan"), float("inf"), True, "5", None):
        with pytest.raises(VaultError, match="within"):
            Control(one.desk, one.shop, within=within)
    for most in (0, -1, 1.5, True, None):
        with pytest.raises(VaultError, match="most_per_second"):
            Control(one.desk, one.shop, most_per_second=most)
    async with one.control:
        with pytest.raises(VaultError, match="entered already"):
            async with one.control:
                pass
    for strange in (None, 7, "", "../x"):
        assert one.control.find(strange) is None


def test_every_instruction_can_be_carried_out():
    assert set(ACTS) == set(INSTRUCTIONS.values())
