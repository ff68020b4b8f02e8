"""The live shell and its wires: what a venue that does not wait tells, what is lost and found again, and real money."""

from __future__ import annotations

import logging
from functools import partial

import anyio
import pytest

from helpers import Puppet
from live_stand import BEGIN, MARKET, Pit, alerts, looked, mocked, soon, stand, until
from sleeves import BTC, EUR, QUIET, USD, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves import recovery as recovery_module
from sleeves.errors import VaultError, VenueUnavailable
from sleeves.live import carry, trade
from sleeves.orders import Fill, OrderStatus
from sleeves.pulse import Pulse
from sleeves.records import Alert, Changed, Placed, Reconciled, Refusal
from sleeves.recovery import reconcile, recover
from sleeves.status import Hold, Status

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def buy(qty="0.01", **terms):
    return Place(MARKET, Side.BUY, MARKET.qty(qty), **terms)


def beside(story, **terms):
    """Run a story beside `trade` on a fresh stand; the run is over when the story is."""

    async def main():
        desk, pit, (puppet,) = stand()
        pulse = Pulse()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, pulse=pulse, **terms))
            await looked(desk, pit)
            await story(desk, pit, puppet, pulse)
            tasks.cancel_scope.cancel()
        assert pit.closed == pit.connections, "a feed was left open"
        desk.check(dict(pit.coins), deep=True).require()

    return main


# -- what is told ------------------------------------------------------------------------------------------------------------


@both
def test_criterion_2_1_it_connects_trades_and_every_fact_is_booked(backend):
    async def story(desk, pit, puppet, pulse):
        puppet.wishes = [buy()]
        pit.quote("10000")
        await until(lambda: any(isinstance(record, Fill) for record in desk.books.journal))
        assert puppet.sleeve.position(MARKET) == BTC("0.01") and pit.sent == ["a-1"]
        assert (pulse.events, pulse.commands, pulse.venue("pit").lost) == (2, 1, False)

    anyio.run(beside(story), backend=backend)


@both
def test_criterion_2_9_what_changed_is_told_to_listeners_at_once(backend):
    """Within the 500 ms that are asked for: whoever listens to the books hears it before the event is through."""

    async def story(desk, pit, puppet, pulse):
        heard = []
        desk.books.listen(lambda record: heard.append((type(record), anyio.current_time())))
        puppet.wishes = [buy()]
        told = anyio.current_time()
        pit.quote("10000")
        await until(lambda: any(kind is Fill for kind, _ in heard))
        assert {Placed, Fill} <= {kind for kind, _ in heard} and all(at - told < 0.5 for _, at in heard)

    anyio.run(beside(story), backend=backend)


@both
def test_criterion_2_7_what_is_not_realized_is_worked_out_anew_with_each_price(backend):
    async def story(desk, pit, puppet, pulse):
        puppet.wishes = [buy("0.1")]
        pit.quote("10000")
        await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.1"))
        for price, worth in (("10100", "10"), ("9000", "-100"), ("10000", "0")):
            pit.quote(price)
            await until(lambda price=price: desk.marks()["BTC/USD"].price == MARKET.price(price))
            assert puppet.sleeve.unrealized(desk.marks()) == USD(worth)

    anyio.run(beside(story), backend=backend)


@both
def test_prices_that_come_while_an_order_is_sent_are_conflated_and_fills_never(backend):
    """The desk is busy with a slow answer; a thousand prices and three fills come meanwhile."""

    async def story(desk, pit, puppet, pulse):
        pit.gate = anyio.Event()
        puppet.wishes = [buy()]
        pit.quote("10000")
        await until(lambda: len(desk.open_orders()) == 1)
        for n in range(1_000):
            pit.quote(str(10_000 + n % 7))
            if n % 400 == 0:
                pit.tell(Fill("b-9", pit.now, MARKET, Side.BUY, 1, 1, 1, USD.zero, pit_liquidity(), f"foreign-{n}", "pit"))
        last = pit.now
        await until(lambda: pulse.events == 1_004)
        await anyio.sleep(0.05)
        pit.gate.set()
        await until(lambda: desk.books.now == last and not len(desk.open_orders()))
        venue = pulse.venue("pit")
        assert venue.conflated > 900 and venue.events >= 1_005 and venue.depth == 0
        assert sorted(desk.books.quarantine) and len(desk.books.quarantine) == 3, "fills of a stranger, each kept"
        assert 0.0 < venue.median_lag <= venue.p99_lag < 1.0
        assert venue.p99_lag >= 0.03, "what came first waited for the slow answer"

    anyio.run(beside(story), backend=backend)


def pit_liquidity():
    from sleeves.orders import Liquidity

    return Liquidity.TAKER


@both
def test_a_reader_waits_when_too_many_facts_wait(backend):
    async def story(desk, pit, puppet, pulse):
        pit.gate = anyio.Event()
        puppet.wishes = [buy()]
        pit.quote("10000")
        await until(lambda: len(desk.open_orders()) == 1)
        for n in range(50):
            pit.tell(Fill("b-9", pit.now, MARKET, Side.BUY, 1, 1, 1, USD.zero, pit_liquidity(), f"foreign-{n}", "pit"))
        venue = pulse.venue("pit")
        await until(lambda: len(pit.outbox) == 41)  # 8 wait in the inbox, one for room in it
        await soon()
        assert (len(pit.outbox), venue.depth) == (41, 8), "it takes no more until there is room"
        pit.gate.set()
        await until(lambda: len(desk.books.quarantine) == 50 and not desk.open_orders())
        assert venue.most_depth == 8 and venue.waits > 0

    anyio.run(beside(story, most_waiting=8), backend=backend)


@both
def test_a_feed_that_is_over_ends_the_run_once_all_of_it_is_taken_in(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        puppet.wishes = [buy()]
        pit.quote()
        pit.end()
        await trade(desk, pit)
        pit.end()
        await trade(desk, pit)
        assert puppet.sleeve.position(MARKET) == BTC("0.01")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "8"])
def test_a_bound_of_waiting_events_that_is_none_is_refused(wrong):
    desk, pit, _ = stand()
    with pytest.raises(VaultError, match="most_waiting"):
        anyio.run(partial(trade, desk, pit, most_waiting=wrong))
    for terms in ({"pulse": 5}, {"stop": "hold"}, {"on_signal": "sell"}, {"engine_patience": 0}, {"most_wishes": 0}, {"grace": None}):
        with pytest.raises(VaultError):
            anyio.run(partial(trade, desk, pit, **terms))
    for name in ("reconnect", "silent_after", "grace", "patience", "reconcile_every"):
        for value in (0, -1, float("nan"), float("inf"), "1", True):
            with pytest.raises(VaultError, match=f"{name} .* must be a number of seconds"):
                anyio.run(partial(trade, desk, pit, **{name: value}))


# -- real money ----------------------------------------------------------------------------------------------------------------


@both
def test_a_venue_that_does_not_say_otherwise_moves_real_money_and_takes_no_new_risk_until_it_is_armed(backend, caplog):
    class Real(Pit):
        real_money = True

    async def main():
        desk, _, (puppet,) = stand()
        pit = Real()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade, desk, pit)
            puppet.wishes = [buy("0.001")]
            pit.quote()
            await until(lambda: not puppet.wishes)
            (refusal,) = [record for record in desk.books.journal if isinstance(record, Refusal)]
            assert (refusal.gate, refusal.reason) == ("armed", "not_armed") and not pit.sent
            desk.arm("pit", per_hour="1000", phrase=desk.arming_phrase("pit", per_hour="1000"), by="ann")
            puppet.wishes = [buy("0.001")]
            pit.quote()
            await until(lambda: pit.sent == ["a-1"])
            tasks.cancel_scope.cancel()

    with caplog.at_level(logging.WARNING, "sleeves.live"):
        anyio.run(main, backend=backend)
    assert "REAL MONEY: pit moves real money; it is not armed" in caplog.text


@pytest.mark.parametrize(("says", "needs"), [("nothing", True), (True, True), (None, True), (0, True), (False, False)])
def test_only_a_plain_no_says_that_no_real_money_is_moved(says, needs):
    class Silent(Pit):
        real_money = says

    if says == "nothing":
        Silent.real_money = property(lambda self: (_ for _ in ()).throw(AttributeError("nothing")))

    async def main():
        desk, _, (puppet,) = stand()
        pit = Silent()
        puppet.wishes = [buy("0.001")]
        pit.quote()
        pit.end()
        await trade(desk, pit)
        assert bool(pit.sent) is not needs

    anyio.run(main)


# -- a feed that is lost -------------------------------------------------------------------------------------------------------


@both
def test_criterion_9_6_what_was_missed_is_booked_before_the_feed_is_heard_again(backend):
    """And 9.9, 9.10: no new risk meanwhile, exits all the same, and a word when it is back."""

    async def story(desk, pit, puppet, pulse):
        puppet.wishes = [buy("0.05")]
        pit.quote("10000")
        await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.05"))
        pit.down = VenueUnavailable("503")
        pit.cut()
        await until(lambda: desk.venue_status("pit") is Status.IMPAIRED)
        assert alerts(desk) == [("warning", "connection_lost")] and pulse.venue("pit").lost
        refused = desk.order(puppet.sleeve, buy(), by="ann")
        assert isinstance(refused, Refusal) and (refused.gate, refused.reason) == ("status", "venue")
        pit.mute = True
        commands = desk.order(puppet.sleeve, Place(MARKET, Side.SELL, MARKET.qty("0.02"), reduce_only=True), by="ann")
        await carry(desk, commands, pit)  # exits are sent where the venue answers; what became of it is not heard
        assert pit.sent == ["a-1", "a-2"]
        pit.down, pit.mute = None, False
        pit.quote("10001")
        await until(lambda: desk.venue_status("pit") is Status.ACTIVE)
        assert pit.connections == 2 and pulse.reconnects == 1 and not pulse.venue("pit").lost
        assert puppet.sleeve.position(MARKET) == BTC("0.03")
        codes = [code for _, code in alerts(desk)]
        assert codes == ["connection_lost", "reconnected"] and alerts(desk)[-1][0] == "info"
        kinds = [(type(r).__name__, getattr(r, "trade_id", getattr(r, "code", ""))) for r in desk.books.journal]
        fill, back = kinds.index(("Fill", "pit-1")), kinds.index(("Alert", "reconnected"))
        assert ("Reconciled", "") in kinds[fill:back]
        puppet.wishes = [buy()]
        pit.quote()
        await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.04"))
        assert pit.sent[-1] == "a-3"

    anyio.run(beside(story, reconnect=0.01), backend=backend)


def test_criterion_9_5_a_lost_feed_is_tried_every_ten_seconds_until_its_venue_answers():
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        await until(lambda: pulse.events == 1)
        pit.down = VenueUnavailable("503")
        begun = anyio.current_time()
        pit.cut()
        await anyio.sleep(95)
        tries = [round(at - begun) for at in pit.looks("open_orders")]
        assert tries == list(range(10, 100, 10))
        assert alerts(desk) == [("warning", "connection_lost"), ("critical", "connection_lost")], "at first, and once it is a minute"
        assert pulse.errors["VenueUnavailable"] == 10
        pit.down = None
        await anyio.sleep(10)
        assert pit.connections == 2 and desk.venue_status("pit") is Status.IMPAIRED, "it answers, and tells nothing yet"
        pit.quote()
        await until(lambda: desk.venue_status("pit") is Status.ACTIVE)

    anyio.run(beside(story), **mocked())


def test_a_feed_that_breaks_again_at_once_stays_latched_until_it_tells_something():
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        for _ in range(3):
            pit.cut()
        await anyio.sleep(25)
        assert desk.venue_status("pit") is Status.IMPAIRED and pulse.reconnects == 0 and pit.connections == 3
        pit.quote()
        await anyio.sleep(15)
        assert desk.venue_status("pit") is Status.ACTIVE and pulse.reconnects == 1 and pit.connections == 4

    anyio.run(beside(story), **mocked())


def test_a_feed_that_falls_silent_is_taken_for_lost():
    async def story(desk, pit, puppet, pulse):
        for _ in range(5):
            pit.quote()
            await anyio.sleep(29)
        assert not alerts(desk)
        await anyio.sleep(2)
        assert alerts(desk) == [("warning", "connection_lost")] and desk.venue_status("pit") is Status.IMPAIRED
        (alert,) = [record for record in desk.books.journal if isinstance(record, Alert)]
        assert "pit has told nothing for 30 s" in alert.text
        await anyio.sleep(12)
        pit.quote()
        await until(lambda: desk.venue_status("pit") is Status.ACTIVE)

    anyio.run(beside(story, silent_after=30), **mocked())


@both
def test_what_happens_between_the_look_and_the_first_word_is_found_too(backend):
    async def story(desk, pit, puppet, pulse):
        puppet.wishes = [buy(limit=MARKET.price("9000"))]
        pit.quote()
        await until(lambda: desk.open_orders() and desk.status_of("a-1") is OrderStatus.OPEN)
        pit.cancel = pit.look_up  # it comes too late
        pit.cut()
        await until(lambda: pit.connections == 2)
        pit.mute = True
        pit.fill(pit.open["a-1"])
        pit.quote()
        with anyio.fail_after(10):
            await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.01"))

    anyio.run(beside(story, reconnect=0.01), backend=backend)


def test_while_a_feed_is_lost_the_regular_looks_leave_its_venue_to_who_brings_it_back():
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        await until(lambda: pulse.events == 1)
        pit.down = VenueUnavailable("503")
        pit.cut()
        await anyio.sleep(1_000)
        assert set(desk.latches("pit")) == {Hold.CONNECTION} and not alerts(desk, "sync_failed")

    anyio.run(beside(story), **mocked())


@both
def test_orders_that_take_risk_are_canceled_when_the_feed_is_lost(backend):
    async def story(desk, pit, puppet, pulse):
        puppet.wishes = [buy(limit=MARKET.price("9000"))]
        pit.quote()
        await until(lambda: desk.open_orders() and desk.status_of("a-1") is OrderStatus.OPEN)
        pit.cut()
        await until(lambda: pit.canceled == ["a-1"])
        await until(lambda: not desk.open_orders())

    anyio.run(beside(story, reconnect=0.01), backend=backend)


@both
def test_without_reconnect_what_the_feed_raises_ends_the_run_and_nothing_that_it_told_is_lost(backend):
    async def main():
        desk, pit, (puppet,) = stand()
        puppet.wishes = [buy()]
        pit.slow = 0.02
        pit.quote()
        fills = [Fill("b-9", BEGIN, MARKET, Side.BUY, 1, 1, 1, USD.zero, pit_liquidity(), f"foreign-{n}", "pit") for n in range(20)]
        pit.tell(*fills)
        pit.cut(VenueUnavailable("for good"))
        with pytest.raises(VenueUnavailable, match="for good"):
            await trade(desk, pit, reconnect=None)
        assert len(desk.books.quarantine) == 20 and not alerts(desk, "critical")

    anyio.run(main, backend=backend)


@both
def test_a_run_that_was_stopped_while_the_feed_was_lost_holds_the_books_against_the_venue_first(backend, tmp_path):
    """The latch survives the process: recovery lifts it, and where there was none the next run does."""

    async def main():
        desk, pit, (puppet,) = stand()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade, desk, pit)
            pit.quote()
            pit.cut()
            await until(lambda: desk.venue_status("pit") is Status.IMPAIRED)
            tasks.cancel_scope.cancel()
        assert Hold.CONNECTION in desk.latches("pit")
        begun = len(desk.books.journal)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade, desk, pit)
            pit.quote()
            await until(lambda: desk.venue_status("pit") is Status.ACTIVE)
            kinds = [type(record) for record in desk.books.journal]
            assert Reconciled in kinds[begun:]
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@both
def test_only_the_venue_that_is_lost_is_held_and_the_other_ones_account_is_not_asked_for(backend):
    other = Instrument("BTC/EUR", base=BTC, quote=EUR, tick="0.01", lot="0.00001", min_notional="1", venue="east")

    async def main():
        books = Books()
        vaults = [
            CoreVault(USD, total="20000", tradeable="15000", books=books, at=BEGIN, wallet="pit"),
            CoreVault(EUR, total="20000", tradeable="15000", books=books, at=BEGIN, wallet="east"),
        ]
        desk, puppets = Desk(*vaults), []
        for vault, market in zip(vaults, (MARKET, other), strict=True):
            puppet = Puppet(market, name=f"p-{vault.asset.code}")
            puppet.sit(desk, vault.sleeve(vault.asset.code.lower(), QUIET, allocate="4000"))
            puppets.append(puppet)
        pit = Pit()
        east = Pit(other, "east", {"EUR": EUR("20000"), "BTC": BTC("0")})
        east.fill = lambda order: east.open.setdefault(order.id, order)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, east, reconnect=0.01))
            pit.quote()
            east.quote()
            await until(lambda: len(desk.marks()) == len(desk.books.reconciled) == 2)
            pit.asked.clear()
            east.asked.clear()
            east.down = VenueUnavailable("east does not answer either")
            pit.cut()
            await until(lambda: desk.venue_status("pit") is Status.IMPAIRED)
            puppets[1].wishes = [Place(other, Side.BUY, other.qty("0.01"), limit=other.price("9000"))]
            east.quote()
            await until(lambda: east.sent == ["eur-1"])
            pit.quote()
            await until(lambda: desk.venue_status("pit") is Status.ACTIVE)
            assert pit.looks("balances") and not east.looks("balances")
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@both
def test_the_only_venue_is_meant_also_by_instruments_that_name_another(backend):
    """Paper stands in for the exchange that the instrument names: when it is lost, nothing new is ordered all the same."""

    async def main():
        desk, _, (puppet,) = stand()
        paper = Pit(name="paper")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, paper, reconnect=0.01))
            paper.down = VenueUnavailable("503")
            paper.quote()
            paper.cut()
            await until(lambda: desk.venue_status("paper") is Status.IMPAIRED)
            refused = desk.order(puppet.sleeve, buy(), by="ann")
            assert isinstance(refused, Refusal) and refused.reason == "venue"
            paper.down = None
            paper.quote()
            await until(lambda: desk.venue_status("paper") is Status.ACTIVE)
            assert not isinstance(desk.order(puppet.sleeve, buy(), by="ann"), Refusal)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


# -- the books against the venue -----------------------------------------------------------------------------------------------


def test_criterion_7_7_a_look_that_fails_is_tried_again_after_one_two_and_four_seconds():
    """And 7.8: then an alert is raised and trading is off there until one comes through."""

    async def story(desk, pit, puppet, pulse):
        pit.quote()
        begun = anyio.current_time()
        await anyio.sleep(1)
        pit.down = VenueUnavailable("503")
        await anyio.sleep(308)
        assert [round(at - begun) for at in pit.looks("open_orders")] == [300, 301, 303, 307]
        assert alerts(desk) == [("critical", "sync_failed")] and Hold.SYNC in desk.latches("pit")
        refused = desk.order(puppet.sleeve, buy(), by="ann")
        assert isinstance(refused, Refusal) and refused.reason == "venue"
        await anyio.sleep(310)
        assert alerts(desk) == [("critical", "sync_failed")], "told once"
        pit.down = None
        await anyio.sleep(300)
        assert alerts(desk)[1:] == [("info", "sync_restored")] and not desk.latches("pit")
        assert pulse.errors["VenueUnavailable"] == 8 and pulse.syncs == 2

    anyio.run(beside(story), **mocked())


def test_a_look_that_comes_through_at_the_third_try_disturbs_nobody():
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        await anyio.sleep(299)
        pit.down = VenueUnavailable("503")
        await anyio.sleep(3.5)
        pit.down = None
        await anyio.sleep(10)
        assert not alerts(desk) and not desk.latches("pit") and pulse.syncs == 2

    anyio.run(beside(story), **mocked())


def test_criterion_2_8_how_often_the_books_are_held_against_the_venue_is_for_the_caller_to_say():
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        await anyio.sleep(101)
        assert len(pit.looks("balances")) == 10

    anyio.run(beside(story, reconcile_every=10), **mocked())


def test_a_venue_that_never_answers_is_not_waited_for_for_ever():
    async def story(desk, pit, puppet, pulse):
        async def hangs():
            await anyio.sleep_forever()

        pit.quote()
        pit.open_orders = hangs
        await anyio.sleep(300 + 4 * recovery_module.LOOK_WITHIN + 8)
        assert alerts(desk) == [("critical", "sync_failed")]
        assert all("did not answer within 60 s" in record.text for record in desk.books.journal if isinstance(record, Alert))

    anyio.run(beside(story), **mocked())


@both
def test_criterion_7_2_the_books_follow_the_account_within_seconds_of_a_lost_answer(backend):
    """Though the next regular look is minutes away."""

    async def story(desk, pit, puppet, pulse):
        pit.lose_answers = {"a-1"}
        pit.mute = True
        puppet.wishes = [buy()]
        pit.quote()
        with anyio.fail_after(10):
            await until(lambda: puppet.sleeve.position(MARKET) == BTC("0.01"))
            await until(lambda: pit.looks())

    anyio.run(beside(story), backend=backend)


@both
def test_criterion_2_2_coins_and_contracts_are_asked_of_the_venue(backend):
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        await until(lambda: pulse.syncs > 2)
        assert {"balances", "positions", "history", "cash_flows", "open_orders"} <= {what for what, _ in pit.asked}

    anyio.run(beside(story, reconcile_every=0.01), backend=backend)


@both
def test_only_the_wallet_that_was_asked_for_is_looked_at(backend):
    async def main():
        desk, pit, _ = stand()
        pit.quote()
        pit.end()
        await trade(desk, pit)
        (found,) = await reconcile(desk, pit, only="pit")
        assert found.clean
        with pytest.raises(VaultError, match="no venue here is named 'drift'"):
            await reconcile(desk, pit, only="drift")

    anyio.run(main, backend=backend)


# -- questions are asked again, commands never -----------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["history", "open_orders", "look_up", "balances", "positions", "cash_flows"])
def test_criterion_9_1_a_question_of_recovery_is_asked_again_after_one_two_and_four_seconds(question, tmp_path):
    from sleeves import Treasury
    from sleeves.journals import SQLite

    async def main():
        with SQLite.open(tmp_path / "a.sleeves") as journal:
            desk, pit, (puppet,) = stand(journal)
            puppet.wishes = [buy(limit=MARKET.price("9000"))]
            pit.quote()
            pit.end()
            await trade(desk, pit)
        with SQLite.open(tmp_path / "a.sleeves") as journal:
            again = Desk(*Treasury.reopen(Books(journal)).vaults)
            Puppet(MARKET).sit(again, again.treasury["USD"].sleeves["a"])
            answer, fails, times = getattr(pit, question), [3], []

            async def failing(*words):
                times.append(anyio.current_time())
                if fails[0]:
                    fails[0] -= 1
                    raise VenueUnavailable("503")
                return await answer(*words)

            setattr(pit, question, failing)
            begun = anyio.current_time()
            await recover(again, pit)
            assert [round(at - begun) for at in times[:4]] == [0, 1, 3, 7]
            fails[0] = 99
            sent, canceled = len(pit.sent), len(pit.canceled)
            with pytest.raises(VaultError, match="recovered already"):
                await recover(again, pit)
            assert (len(pit.sent), len(pit.canceled)) == (sent, canceled) == (1, 0)

    anyio.run(main, **mocked())


@both
def test_what_is_sent_is_sent_once_whatever_the_venue_raises(backend):
    async def story(desk, pit, puppet, pulse):
        calls = []

        async def deaf(order):
            calls.append(order.id)
            raise VenueUnavailable("no route")

        pit.submit = deaf
        puppet.wishes = [buy()]
        pit.quote()
        await until(lambda: calls)
        await until(lambda: desk.status_of("a-1") is OrderStatus.REJECTED)
        for _ in range(5):
            pit.quote()
            await soon()
        assert calls == ["a-1"]

    anyio.run(beside(story), backend=backend)


# -- what nobody expected ----------------------------------------------------------------------------------------------------------


@both
def test_criterion_9_7_an_error_that_nobody_expected_ends_the_run_and_is_told(backend, caplog, tmp_path):
    from sleeves.journals import SQLite

    async def main():
        with SQLite.open(tmp_path / "a.sleeves") as journal:
            desk, pit, _ = stand(journal)
            pulse = Pulse()

            async def broken():
                raise ZeroDivisionError("in the driver")

            pit.open_orders = broken
            pit.quote()
            with caplog.at_level(logging.ERROR, "sleeves.live"), pytest.raises(ZeroDivisionError, match="in the driver"):
                await trade(desk, pit, reconcile_every=0.01, pulse=pulse)
            assert alerts(desk) == [("critical", "critical")] and pulse.errors["ZeroDivisionError"] == 1
            assert journal.waiting == 0 and pit.closed == 1
        with SQLite.open(tmp_path / "a.sleeves") as journal:
            assert [record.code for record in journal if isinstance(record, Alert)] == ["critical"]

    anyio.run(main, backend=backend)
    (record,) = [one for one in caplog.records if one.name == "sleeves.live"]
    assert record.exc_info and "ZeroDivisionError: in the driver" in caplog.text


@both
def test_a_feed_that_cannot_even_be_asked_for_is_tried_again(backend):
    async def main():
        desk, pit, _ = stand()
        events, tries = pit.events, []

        def asked():
            tries.append(1)
            if len(tries) < 3:
                raise VenueUnavailable("no route")
            return events()

        pit.events = asked
        pulse = Pulse()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, pulse=pulse, reconnect=0.01))
            pit.quote()
            await until(lambda: pulse.reconnects == 1)
            tasks.cancel_scope.cancel()
        assert len(tries) == 3

    anyio.run(main, backend=backend)


@both
def test_a_feed_that_tells_what_is_no_event_ends_the_run(backend):
    async def main():
        desk, pit, _ = stand()
        pit.tell("a price, perhaps")
        with pytest.raises(TypeError, match="not an event"):
            await trade(desk, pit)
        assert alerts(desk) == [("critical", "critical")] and pit.closed == 1

    anyio.run(main, backend=backend)


@both
def test_changes_of_latches_name_the_shell_and_the_reason(backend):
    async def story(desk, pit, puppet, pulse):
        pit.quote()
        pit.cut(VenueUnavailable("reset by peer"))
        await until(lambda: desk.venue_status("pit") is Status.IMPAIRED)
        (latched,) = [record for record in desk.books.journal if isinstance(record, Changed) and "latch" in record.what]
        assert latched.by == "live" and latched.why == "reset by peer" and latched.subject == "venue:pit"

    anyio.run(beside(story), backend=backend)
