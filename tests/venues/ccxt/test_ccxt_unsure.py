"""What an exchange does not say, or says too late, is not taken for a no: orders that may live, fills that may be ours, lists cut short."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

import ccxt
from attrs import evolve
from ccxt_house import START, Answer, flat_script
from ccxt_stand import SHAPES, InStep
from test_ccxt_shapes import order, stand, stand_again

from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.market import SECOND, Quote
from sleeves.orders import Accepted, Canceled, Event, Fill, OrderStatus, Rejected, Side
from sleeves.venues.ccxt import Ccxt, Manner
from sleeves.venues.ccxt.names import Names
from sleeves.venues.ccxt.past import Past

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def gone() -> Answer:
    return Answer(400, {"code": -2013, "msg": "Order does not exist."})


def of_orders(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, (Accepted, Canceled, Fill, Rejected))]


# -- orders that may live ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
async def test_an_order_whose_id_is_there_already_is_found_and_not_refused(name: str) -> None:
    """A gateway that sends a request on twice: the second is a duplicate, and the order of the first rests."""
    async with stand(name, ["2000.0"] * 6) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", limit="1900.0")
        real = on.shape.place

        def twice(args: dict[str, str]) -> Any:
            real(args)
            code, said = (-4116, "ClientOrderId is duplicated.") if name == "binanceusdm" else (-2010, "Duplicate order sent.")
            raise Answer(400, {"code": code, "msg": said})

        on.shape.place = twice
        await on.submit(one)
        assert [type(event) for event in of_orders(await on.said())] == [Accepted]
        report = await on.look_up(one)
        assert report is not None and report.status is OrderStatus.OPEN
        await on.cancel(one)
        assert [row.status for row in on.house.rows.values()] == ["canceled"]


async def test_an_order_that_was_said_to_be_refused_is_looked_for_and_canceled_all_the_same() -> None:
    """The exchange's word may be wrong; what is on its book counts."""
    async with stand("binanceusdm", ["2000.0"] * 6) as on:
        await on.step()
        one, two = order(on, 1, Side.BUY, "0.1", limit="1900.0"), order(on, 2, Side.BUY, "0.1", limit="1900.0")
        real = on.shape.place

        def refused(args: dict[str, str]) -> Any:
            real(args)
            raise Answer(400, {"code": -2019, "msg": "Margin is insufficient."})

        on.shape.place = refused
        await on.submit(one)
        assert [type(event) for event in of_orders(await on.said())] == [Rejected]
        report = await on.look_up(one)
        assert report is not None and report.status is OrderStatus.OPEN
        await on.cancel(one)
        assert [row.status for row in on.house.rows.values()] == ["canceled"]
        on.shape.place = lambda args: (_ for _ in ()).throw(Answer(400, {"code": -2019, "msg": "Margin is insufficient."}))
        await on.submit(two)
        report = await on.look_up(two)
        assert report is not None and (report.status, report.filled) == (OrderStatus.REJECTED, 0)
        await on.cancel(two)  # it is nowhere, and it was refused: there is nothing to cancel


async def test_of_an_order_that_was_never_sent_nothing_is_asked() -> None:
    async with stand("binanceusdm", ["2000.0"] * 3) as on:
        await on.step()
        one = order(on, 1, Side.SELL, "0.1", stop=on.house.market.price("1900"))
        await on.submit(one)
        assert [type(event) for event in of_orders(await on.said())] == [Rejected]
        before = len(on.house.calls)
        report = await on.look_up(one)
        await on.cancel(one)
        assert report is not None and report.status is OrderStatus.REJECTED
        assert len(on.house.calls) == before


async def test_the_cancel_of_an_order_that_is_not_found_is_not_dropped_in_silence() -> None:
    """Its answer was lost, and it is on its way still: later it rests, and whoever asked must know that it does."""
    async with stand("binanceusdm", ["2000.0"] * 6, look_after=0.01) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", limit="1900.0")
        on.house.faults.append(("/order", lambda: Answer(503, "<html>down</html>")))
        with pytest.raises(VenueUnknown):
            await on.submit(one)
        with pytest.raises(VenueUnknown, match="may be on its way still"):
            await on.cancel(one)
        own = on.venue._ids.uuid(one.id)
        on.shape.place(
            {"newClientOrderId": own, "side": "BUY", "quantity": "0.1", "price": "1900.0", "timeInForce": "GTC", "type": "LIMIT"}
        )
        await on.cancel(one)
        assert [row.status for row in on.house.rows.values()] == ["canceled"]
        await on.cancel(one)  # over, by the exchange's own word


async def test_the_cancel_of_an_order_of_another_run_that_is_over_is_passed_over() -> None:
    async with stand("binanceusdm", ["2000.0"] * 6) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", worst="2100.0")
        await on.submit(one)
        await on.step()
        async with stand_again(on).venue as again:
            await again.cancel(one)
            await again.cancel(order(on, 2, Side.BUY, "0.1", limit="1900.0"))  # and one that was sent by nobody


# -- fills that may be ours ---------------------------------------------------------------------------------------------------


async def test_a_fill_of_an_order_whose_answer_was_lost_is_ours_though_its_order_is_not_found_yet() -> None:
    async with stand("binanceusdm", ["2000.0"] * 9, look_after=0.01) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", worst="2100.0")
        on.house.faults.append(("/order", lambda: lambda: None))  # done, and the answer is cut
        real, left = on.shape.order, [8]  # three looks, and some of whose trade it is

        def lagging(args: dict[str, str]) -> Any:
            if left[0]:
                left[0] -= 1
                raise gone()
            return real(args)

        on.shape.order = lagging
        with pytest.raises(VenueUnknown):
            await on.submit(one)
        told: list[Event] = []
        for _ in range(6):
            try:
                told += await on.step()
            except VenueUnavailable as error:
                assert "whose orders" in str(error)
                told += await on.said()
        assert not left[0]
        assert [event.order_id for event in told if isinstance(event, Fill)] == ["quiet-1"]
        assert [fact.order_id for fact in await on.history(0) if isinstance(fact, Fill)] == ["quiet-1"]


@pytest.mark.parametrize(("seconds", "told"), [(1, False), (2, True)])
async def test_a_strangers_order_that_is_not_found_is_asked_for_again_before_it_is_a_strangers(seconds: int, told: bool) -> None:
    now = [0]
    async with stand("binanceusdm", ["2000.0"] * 4) as on:
        on.house.play(1)
        on.house.order("", "buy", "0.1")
        on.house.play(1)
        assert on.house.trades
        now[0] = on.house.now
        on.venue._clock = lambda: now[0]

        def unknown(args: dict[str, str]) -> Any:
            raise gone()

        on.shape.order = unknown
        with pytest.raises(VenueUnavailable, match="whose orders"):
            await on.history(0)
        now[0] += seconds * SECOND
        if told:
            assert [fact.order_id for fact in await on.history(0) if isinstance(fact, Fill)] == [str(on.house.trades[0].order)]
        else:
            with pytest.raises(VenueUnavailable, match="whose orders"):
                await on.history(0)


async def test_an_order_of_ours_stays_ours_where_a_list_does_not_bear_our_id() -> None:
    async with stand("binanceusdm", ["2000.0", "2000.0", "1890.0", "1890.0"]) as on:
        await on.step()
        await on.submit(order(on, 1, Side.BUY, "0.1", limit="1900.0"))
        row = on.shape.row
        on.shape.openOrders = lambda args: [row(one) | {"clientOrderId": ""} for one in on.house.rows.values() if one.status == "open"]
        assert [report.order_id for report in await on.open_orders()] == ["quiet-1"]
        told = [event for _ in range(3) for event in await on.step()]
        assert [event.order_id for event in told if isinstance(event, Fill)] == ["quiet-1"]


async def test_after_a_restart_no_fill_counts_twice_against_an_orders_end() -> None:
    """`Canceled` waits for the last fill, though the list of trades lags, and what was filled before the restart is told anew."""
    shape = SHAPES["binance"]
    script = flat_script(shape.market, ["2000.0", *["1890.0"] * 4], {"USDT": shape.market.quote("10000")})
    lot = script.instrument.lot_units
    rows = tuple(evolve(row, at=START + n * 10 * SECOND, volume=100 * lot) for n, row in enumerate(script.rows))
    async with InStep(shape, evolve(script, rows=rows)) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.5", limit="1900.0")
        await on.submit(one)
        await on.step()
        await on.step()
        (row,) = on.house.rows.values()
        assert row.status == "open" and 0 < row.filled < row.qty
        two = stand_again(on)
        async with two.venue:
            await two.asked()
            known, before = on.shape.myTrades, {trade.id for trade in on.house.trades}
            on.house.step()
            on.house.cancel(row)
            on.shape.myTrades = lambda args: [one for one in known(args) if int(one["id"]) in before]
            assert of_orders(await two.asked()) == []
            on.shape.myTrades = known
            assert [type(event) for event in of_orders(await two.asked())] == [Fill, Canceled]


async def test_fills_from_long_before_a_restart_count_and_are_not_told_anew() -> None:
    """A part was filled hours ago: with it the order's end is whole, and nothing waits for ever."""
    shape = SHAPES["binance"]
    script = flat_script(shape.market, ["2000.0", "1890.0", *["2000.0"] * 300], {"USDT": shape.market.quote("10000")})
    rows = tuple(evolve(row, volume=100 * script.instrument.lot_units) for row in script.rows)
    async with InStep(shape, evolve(script, rows=rows)) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.5", limit="1900.0")
        await on.submit(one)
        on.house.play(290)
        (row,) = on.house.rows.values()
        assert row.status == "open" and 0 < row.filled < row.qty
        two = stand_again(on)
        async with two.venue:
            assert of_orders(await two.asked()) == []
            await two.cancel(one)
            assert [type(event) for event in of_orders(await two.asked())] == [Canceled]


# -- lists cut short ------------------------------------------------------------------------------------------------------------


class Bybit:
    """Trades as ccxt tells Bybit's: pages of a hundred at most, the newest first, and an end can be asked for."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], *, heeds: bool) -> None:
        self.rows, self.heeds = rows, heeds
        self.library = ccxt.bybit()
        self.asked: list[tuple[Any, ...]] = []

    def has(self, what: str) -> bool:
        return what == "fetchMyTrades"

    def feature(self, method: str, name: str) -> Any:
        self.library.markets = {}
        return self.library.feature_value_by_type("spot", None, method, name)

    async def ask(self, method: str, *args: Any) -> Any:
        symbol, since, limit, params = (*args, None, None)[:4]
        self.asked.append(args)
        end = (params or {}).get("until", 10**15) if self.heeds else 10**15
        return [row for row in self.rows if since <= row["timestamp"] <= end][-(limit or 50) :]

    async def ask_if_told(self, method: str, *args: Any) -> Any:
        return await self.ask(method, *args)


@pytest.mark.parametrize("heeds", [True, False])
async def test_an_exchange_that_nobody_has_looked_at_tells_all_trades_or_none(heeds: bool) -> None:
    now = 1_700_000_000_000
    market = {"id": "ETHUSDT", "symbol": "ETH/USDT", "base": "ETH", "quote": "USDT", "spot": True, "type": "spot", "limits": {}, "info": {}}
    market |= {"precision": {"amount": 0.001, "price": 0.01}}
    names = Names({"ETH/USDT": market}, {}, mode=4, manner=Manner(), venue="bybit", exchange="bybit")
    trade = {"order": "o1", "symbol": "ETH/USDT", "side": "buy", "amount": "0.001", "price": "2000", "cost": "2", "info": {}}
    fee = {"fee": {"cost": "0.001", "currency": "USDT"}}
    rows = [trade | fee | {"id": str(1_000 + n), "timestamp": now - 10_000 + n * 50} for n in range(120)]
    asks = Bybit(rows, heeds=heeds)

    async def owners(told: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        return {str(row["order"]): "quiet-1" for row in told}

    past = Past(
        asks, names, Manner(), [names.instrument("ETH/USDT")], owners, venue="bybit", flat_at=0, now=lambda: now * 10**6, rates_every=SECOND
    )
    if heeds:
        facts = await past.facts((now - 60_000) * 10**6)
        assert [fact.trade_id for fact in facts if isinstance(fact, Fill)] == [row["id"] for row in rows]
    else:
        with pytest.raises(VenueUnavailable, match="oldest_first"):
            await past.facts((now - 60_000) * 10**6)


# -- answers that never end -----------------------------------------------------------------------------------------------------


def test_an_answer_that_comes_in_drops_is_cut_off() -> None:
    """Each drop is in time, and the whole of it would take minutes."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip(there: socket.socket) -> None:
            with there:
                there.recv(65_536)
                there.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
                try:
                    while not over.wait(0.05):
                        there.sendall(b" ")
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    there, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=drip, args=(there,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        config = {"enableRateLimit": False, "urls": {"api": {"public": url, "private": url}}}

        async def run() -> None:
            venue = Ccxt("kraken", ["ETH/USD"], timeout=0.2, poll=None, config=config)
            with anyio.fail_after(10), pytest.raises(VenueUnavailable):
                await venue.aopen()

        began = time.monotonic()
        try:
            anyio.run(run)
        finally:
            over.set()
        assert time.monotonic() - began < 5


async def test_a_call_in_time_is_not_cut_off() -> None:
    async with stand("binance", ["2000.0"] * 3) as on:
        for _ in range(3):
            assert [event for event in await on.asked() if isinstance(event, Quote)]
        assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer) and not thread.finished.is_set()]
