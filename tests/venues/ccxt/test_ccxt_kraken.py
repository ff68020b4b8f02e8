"""The ccxt driver on the local Kraken in real time: a desk that trades, answers that are lost, keys that fail, feeds that break."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

from sleeves import FLASH, USD, CoreVault, Desk, Instrument
from sleeves.errors import VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind
from sleeves.keys import Health, KeyRing, KeySet, NoKey, Nonces, Rights, Secret
from sleeves.live import Stop, trade
from sleeves.market import Quote
from sleeves.orders import Accepted, Canceled, Event, Fill, Order, OrderStatus, Place, Rejected, Side, Transfer
from sleeves.recovery import reconcile
from sleeves.testing.kraken_server import Fault, KrakenServer, kraken_server
from sleeves.venues.ccxt import Ccxt

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server() -> Iterable[KrakenServer]:
    with kraken_server(pairs=("ETH/USD",), balances={"USD": "10000", "ETH": "1"}, prices={"ETH/USD": "2500.00"}, tier=None) as exchange:
        yield exchange


def key_of(server: KrakenServer, name: str = "main") -> KeySet:
    rights = Rights.of("read", "trade", addresses=["127.0.0.1"])
    return KeySet(name, venue="kraken", api_key=Secret(server.key.api_key), secret=Secret(server.key.secret), rights=rights)


@asynccontextmanager
async def opened(server: KrakenServer, **more: Any) -> AsyncIterator[Ccxt]:
    hosts = {"api": {"public": server.url, "private": server.url}}
    terms: dict[str, Any] = {"keys": key_of(server), "poll": None, "timeout": 0.6, "look_after": 0.05} | more
    async with Ccxt("kraken", ["ETH/USD"], config={"enableRateLimit": False, "urls": hosts}, **terms) as venue:
        yield venue


def order(market: Instrument, n: int, side: Side = Side.BUY, qty: str = "0.1", **terms: Any) -> Order:
    worst = terms.pop("worst", None)
    for name in ("limit", "stop"):
        if name in terms:
            terms[name] = market.price(terms[name])
    place = Place(market, side, market.qty(qty), **terms)
    return Order(f"quiet-{n}", "quiet", place, time.time_ns(), place.limit if worst is None else market.price(worst))


async def said(venue: Ccxt) -> list[Event]:
    """One round of asking, and all that waits then, prices apart."""
    await venue.polled()
    stream = venue.events()
    try:
        return [event for event in [await anext(stream) for _ in range(venue.waiting)] if not isinstance(event, Quote)]
    finally:
        await stream.aclose()


async def drained(stream: AsyncIterator[Event]) -> None:
    async for _ in stream:
        pass


def placed(server: KrakenServer) -> int:
    return sum(call.method == "AddOrder" for call in server.calls)


# -- a desk -----------------------------------------------------------------------------------------------------------


class InAndOut:
    """Buys at the first price, rests a sale above, and is done."""

    name, every = "in-and-out", 0

    def __init__(self, market: Instrument) -> None:
        self.watches = (market,)

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: Any) -> Any:
        memory[0] += 1
        market = self.watches[0]
        if memory[0] == 1:
            return [Place(market, Side.BUY, market.qty("0.1"))]
        if view.position(market) and not view.orders() and memory[0] < 1_000:
            memory[0] = 1_000
            return [Place(market, Side.SELL, view.position(market), limit=market.price("2600"), reduce_only=True)]
        return None


async def test_a_desk_trades_and_its_books_are_the_exchanges(server: KrakenServer) -> None:
    async with opened(server, poll=0.05, timeout=5.0) as venue:
        market = venue.instrument("ETH/USD")
        vault = CoreVault(USD, total="10000", tradeable="10000")
        desk = Desk(vault)
        sleeve = vault.sleeve("flash", FLASH, allocate="1000")
        desk.assign(InAndOut(market), to=sleeve)
        phrase = desk.arming_phrase("kraken", per_hour="5000")
        desk.arm("kraken", per_hour="5000", phrase=phrase, by="test", confirm_above="5000", at=time.time_ns())
        stop = Stop()

        async def world() -> None:
            while not any(one["status"] == "open" for one in server.orders().values()):
                await anyio.sleep(0.02)
            server.price("ETH/USD", "2650.00")
            while sleeve.position_units(market) or sum(isinstance(fact, Fill) for fact in desk.books.facts.values()) < 2:
                await anyio.sleep(0.02)
            stop("leave", by="test")

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world)
                await trade(desk, venue, stop=stop, reconcile_every=None)
        await reconcile(desk, venue)
        balances = await venue.balances()
        there = server.balances()
        assert balances["USD"].decimal == there["USD"] and balances["ETH"].decimal == there["ETH"]
        books = desk.books.coins("main")
        assert books[market.quote] == balances["USD"].units
        assert sleeve.realized.units > 0


# -- answers that are lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.lost(2.0), Fault.cut(), Fault.after(Fault.status(502)), Fault.after(Fault.html())])
async def test_an_order_whose_answer_is_lost_is_found(server: KrakenServer, fault: Fault) -> None:
    async with opened(server) as venue:
        market = venue.instrument("ETH/USD")
        one = order(market, 1, limit="2400")
        server.fault("AddOrder", fault)
        await venue.submit(one)
        await venue.submit(one)
        events = await said(venue)
        assert [type(event) for event in events] == [Accepted]
        assert placed(server) == 1
        server.price("ETH/USD", "2390.00")
        (fill,) = await said(venue)
        assert isinstance(fill, Fill) and fill.order_id == "quiet-1"
        assert (await venue.history(0))[-1] == fill


@pytest.mark.parametrize("fault", [Fault.hang(2.0), Fault.drop(), Fault.status(520), Fault.html(), "EService:Unavailable", "EService:Busy"])
async def test_an_order_that_is_not_found_is_of_unknown_fate_and_never_sent_again(server: KrakenServer, fault: Fault | str) -> None:
    async with opened(server) as venue:
        one = order(venue.instrument("ETH/USD"), 1, limit="2400")
        server.fault("AddOrder", fault)
        with pytest.raises(VenueUnknown, match="it is not found"):
            await venue.submit(one)
        await venue.submit(one)
        assert placed(server) <= 1 and not server.orders()
        assert await venue.look_up(one) is None
        assert await said(venue) == []


async def test_an_order_of_unknown_fate_that_shows_up_later_is_told(server: KrakenServer) -> None:
    async with opened(server) as venue:
        one = order(venue.instrument("ETH/USD"), 1, worst="2600")
        server.fault("AddOrder", Fault.cut())
        server.fault("OpenOrders", "EService:Busy", times=3)
        with pytest.raises(VenueUnknown):
            await venue.submit(one)
        report = await venue.look_up(one)
        assert report is not None and report.status is OrderStatus.FILLED
        assert [event.order_id for event in await said(venue) if isinstance(event, Fill)] == ["quiet-1"]


@pytest.mark.parametrize(
    ("said_no", "health"),
    [
        ("EAPI:Invalid nonce", Health.SUSPECT),
        ("EAPI:Rate limit exceeded", Health.COOLING),
        ("EAPI:Invalid key", Health.DEAD),
        ("EAPI:Invalid signature", Health.DEAD),
        ("EGeneral:Permission denied", Health.DENIED),
        ("EGeneral:Temporary lockout", Health.LOCKED),
        ("EService: Throttled: 1999999999", Health.COOLING),
        ("EOrder:Rate limit exceeded", Health.HEALTHY),
    ],
)
async def test_what_was_turned_away_was_not_done_and_its_key_is_told(server: KrakenServer, said_no: str, health: Health) -> None:
    ring = KeyRing([key_of(server)], clock=time.time_ns, nonces=Nonces(time.time_ns))
    async with opened(server, keys=ring) as venue:
        server.fault("AddOrder", said_no)
        with pytest.raises(VenueUnavailable, match="was not taken"):
            await venue.submit(order(venue.instrument("ETH/USD"), 1, limit="2400"))
        assert ring.health("main", "trade") is health
        assert not server.orders()


@pytest.mark.parametrize(
    "said_no",
    [
        "EOrder:Insufficient funds",
        "EOrder:Cost minimum not met",
        "EOrder:Tick size check failed",
        "EOrder:Post only order",
        "EGeneral:Invalid arguments:price",
    ],
)
async def test_a_no_is_an_event_with_the_exchanges_own_words(server: KrakenServer, said_no: str) -> None:
    async with opened(server) as venue:
        one = order(venue.instrument("ETH/USD"), 1, limit="2400")
        server.fault("AddOrder", said_no)
        await venue.submit(one)
        (rejected,) = await said(venue)
        assert isinstance(rejected, Rejected) and said_no in rejected.reason
        report = await venue.look_up(one)
        assert report is not None and report.status is OrderStatus.REJECTED


async def test_a_cancel_whose_answer_is_lost_is_unknown_and_what_is_gone_is_passed_over(server: KrakenServer) -> None:
    async with opened(server) as venue:
        market = venue.instrument("ETH/USD")
        one, two = order(market, 1, limit="2400"), order(market, 2, limit="2300")
        await venue.submit(one)
        await venue.submit(two)
        server.fault("CancelOrder", Fault.cut())
        with pytest.raises(VenueUnknown):
            await venue.cancel(one)
        assert [type(event) for event in await said(venue)] == [Accepted, Accepted, Canceled]
        await venue.cancel(one)
        server.fault("CancelOrder", "EAPI:Invalid nonce")
        with pytest.raises(VenueUnavailable):
            await venue.cancel(two)
        with pytest.raises(NoKey, match="main is suspect"):
            await venue.open_orders()
        await venue.polled()  # which probes it
        assert [report.order_id for report in await venue.open_orders()] == ["quiet-2"]


async def test_an_order_that_is_canceled_from_outside_while_it_is_sent_is_sent_once_and_told(server: KrakenServer) -> None:
    async with opened(server, timeout=5.0) as venue:
        one = order(venue.instrument("ETH/USD"), 1, limit="2400")
        server.fault("AddOrder", Fault.slow(0.4))
        with anyio.move_on_after(0.1):
            await venue.submit(one)
        assert [type(event) for event in await said(venue)] == [Accepted]
        assert placed(server) == 1 and len(server.orders()) == 1


@pytest.mark.parametrize("fault", [Fault.html(), Fault.garbage(), Fault.status(503), Fault.cut(), "EGeneral:Internal error"])
async def test_what_is_no_answer_is_not_taken_for_nothing(server: KrakenServer, fault: Fault | str) -> None:
    """A page of HTML is no account without coins, without orders, without a past."""
    async with opened(server) as venue:
        reads = {"BalanceEx": venue.balances, "OpenOrders": venue.open_orders, "TradesHistory": lambda: venue.history(0)}
        for method, read in (reads | {"Ledgers": lambda: venue.cash_flows(0)}).items():
            server.fault(method, fault)
            with pytest.raises(VenueUnavailable):
                await read()
            await read()


# -- another run, and others ------------------------------------------------------------------------------------------------


async def test_another_process_finds_the_orders_of_the_one_before(server: KrakenServer) -> None:
    async with opened(server) as venue:
        market = venue.instrument("ETH/USD")
        resting, filled = order(market, 1, limit="2400"), order(market, 2, worst="2600")
        await venue.submit(resting)
        await venue.submit(filled)
        before = await said(venue)
    async with opened(server) as again:
        reports = [await again.look_up(one) for one in (resting, filled)]
        assert [report.status for report in reports if report is not None] == [OrderStatus.OPEN, OrderStatus.FILLED]
        assert list(await again.history(0)) == [event for event in before if isinstance(event, Fill)]
        await again.polled()
        await again.cancel(resting)
        assert [event.order_id for event in await said(again) if isinstance(event, Canceled)] == ["quiet-1"]


async def test_what_others_do_is_told_under_the_exchanges_own_ids(server: KrakenServer) -> None:
    async with opened(server) as venue:
        await said(venue)
        other = server.manual("ETH/USD", "sell", "0.25")
        server.earn("ETH", "0.5")
        (fill,) = await said(venue)
        assert isinstance(fill, Fill) and fill.order_id == other
        flows = await venue.cash_flows(0)
        assert {flow.ref for flow in flows if flow.kind in (FlowKind.TRADE, FlowKind.FEE)} == {fill.key}
        earned = [flow.amount.units for flow in flows if flow.kind is FlowKind.EARN]
        assert len(earned) == 2 and not sum(earned)
        balances = await venue.balances()
        assert balances["ETH"].text == "0.75", "the wallet that earns is counted with its coin"
        sums = {code: sum(flow.amount.units for flow in flows if flow.amount.asset.code == code) for code in balances}
        assert sums == {code: amount.units for code, amount in balances.items()}


async def test_a_fill_is_told_when_the_ledger_has_it_and_not_before(server: KrakenServer) -> None:
    async with opened(server) as venue:
        server.delay_ledger(0.4)
        await venue.submit(order(venue.instrument("ETH/USD"), 1, worst="2600"))
        with pytest.raises(VenueUnavailable, match="does not have the lines"):
            await venue.polled()
        await anyio.sleep(0.5)
        fills = [event for event in await said(venue) if isinstance(event, Fill)]
        assert len(fills) == 1 and await venue.history(0) == fills


async def test_more_than_a_page_is_told_whole(server: KrakenServer) -> None:
    for _ in range(60):
        server.manual("ETH/USD", "buy", "0.002")
    async with opened(server, timeout=5.0) as venue:
        fills, flows = await venue.history(0), await venue.cash_flows(0)
        assert len(fills) == 60 and len({fill.key for fill in fills}) == 60
        assert sum(flow.amount.units for flow in flows if flow.amount.asset == USD) == (await venue.balances())["USD"].units


# -- the feed -----------------------------------------------------------------------------------------------------------


async def test_a_feed_that_breaks_says_so_and_comes_back(server: KrakenServer) -> None:
    async with opened(server, poll=0.05, misses=2) as venue:
        stream = venue.events()
        assert isinstance(await anext(stream), Quote)
        server.stop()
        with anyio.fail_after(10), pytest.raises(VenueUnavailable, match="was not reached 2 times"):
            await drained(stream)
        server.start()
        with anyio.fail_after(10):
            again = venue.events()
            assert isinstance(await anext(again), Quote)
            await again.aclose()


async def test_one_miss_is_no_loss(server: KrakenServer) -> None:
    async with opened(server, poll=0.05, misses=2) as venue:
        stream = venue.events()
        await anext(stream)
        server.fault("TradesHistory", Fault.status(502))
        with anyio.fail_after(10):
            for _ in range(3):
                assert isinstance(await anext(stream), Quote)
        await stream.aclose()


async def test_a_driver_that_is_not_open_says_what_to_do(server: KrakenServer) -> None:
    async with opened(server) as venue:
        market = venue.instrument("ETH/USD")
    one = order(market, 1, limit="2400")
    for call in (
        venue.submit(one),
        venue.cancel(one),
        venue.balances(),
        venue.history(0),
        venue.open_orders(),
        venue.settle(market),
        venue.polled(),
    ):
        with pytest.raises(VenueUnavailable, match="is not open"):
            await call
    with pytest.raises(VenueUnavailable, match="is not open"):
        await anext(venue.events())


async def test_what_it_does_not_do_is_refused(server: KrakenServer) -> None:
    async with opened(server) as venue:
        assert await venue.positions() == {}
        with pytest.raises(VenueRejected, match="not moved through ccxt"):
            await venue.transfer(Transfer("t-1", USD("5")))
        await venue.settle(venue.instrument("ETH/USD"))
        assert await said(venue) == []


async def test_many_calls_on_one_key_bear_rising_numbers(server: KrakenServer) -> None:
    server.jitter = (0.0, 0.01)
    async with opened(server, timeout=10.0) as venue:
        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(venue.balances)
        assert not [call for call in server.calls if call.error]
