"""The Kraken driver call by call, over real sockets: what it sends, what it tells, and what it raises."""

from __future__ import annotations

import logging
import time

import anyio
import pytest
from attrs import evolve
from kraken_stand import an_order, driver, ether, key_set, of_kind, ring, stand, told, until, until_lost

from sleeves import ETH, USD, Asset, Instrument, Place
from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind
from sleeves.keys import Health, InvalidKey
from sleeves.market import SECOND, Quote
from sleeves.orders import Accepted, Canceled, Fill, Liquidity, Order, OrderStatus, Rejected, Side, TimeInForce, Transfer
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.venues.kraken import FeeRate, Kraken
from sleeves.venues.kraken.client import TIERS


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.slow)])
def anyio_backend(request):
    return request.param


pytestmark = pytest.mark.anyio


def calls(exchange, *methods):
    return [call for call in exchange.calls if call.method in methods]


# -- opening and closing ---------------------------------------------------------------------------------------------------------


async def test_it_opens_tells_its_markets_and_closes():
    async with stand() as (exchange, venue):
        assert venue.status == "online" and venue.name == "kraken" and venue.real_money is True
        assert venue.instrument("ETH/USD") == ether == venue.instruments["ETH/USD"] == venue.instrument("XETHZUSD")
        assert venue.instrument("BTC/USD").base == Asset("BTC", 10)  # as finely as Kraken counts it
        (quote,) = of_kind(await told(venue), Quote)
        assert (quote.instrument, quote.bid, quote.ask) == (ether, ether.price("2500.00"), ether.price("2500.00"))
        assert abs(quote.at - time.time_ns()) < 5 * SECOND
        assert {call.method for call in exchange.calls if call.signed} == {"GetApiKeyInfo", "GetWebSocketsToken"}
        await venue.aclose()
        await venue.aclose()
        with pytest.raises(VenueUnavailable, match="not open"):
            await venue.balances()
        await venue.aopen()
        assert of_kind(await told(venue), Quote)


async def test_nothing_is_done_before_it_is_open():
    venue = Kraken(_key(), ["ETH/USD"])
    order = Order("flash-1", "flash", Place(ether, Side.BUY, ether.qty("1")), 1)
    asked = [
        venue.balances(),
        venue.positions(),
        venue.history(0),
        venue.cash_flows(0),
        venue.submit(order),
        venue.cancel(order),
        venue.look_up(order),
        venue.open_orders(),
        venue.settle(ether),
        venue.transfer(Transfer("t-1", USD("1"))),
        venue.wallets(),
        venue.fees(),
        venue.caught_up(),
        venue.arm(),
        anext(venue.events()),
    ]
    for call in asked:
        with pytest.raises(VenueUnavailable, match="not open"):
            await call
    with pytest.raises(VenueUnavailable, match="not open"):
        venue.instrument("ETH/USD")


def _key():
    exchange = kraken_server()
    return key_set(exchange.key)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"markets": "ETH/USD"}, "several symbols"),
        ({"markets": [7]}, "7"),
        ({"markets": ["ETH/USD", ether]}, "twice"),
        ({"name": ""}, "name"),
        ({"dead_man": 2}, "dead_man 2"),
        ({"dead_man": float("nan")}, "dead_man nan"),
        ({"deadline": 61}, "deadline 61"),
        ({"deadline": True}, "deadline True"),
        ({"ledger_patience": -1}, "ledger_patience -1"),
        ({"rate_patience": float("inf")}, "rate_patience inf"),
        ({"quiet": "30"}, "quiet '30'"),
        ({"tier": "gold"}, "gold"),
        ({"transport": "requests"}, "requests"),
        ({"base_url": "ftp://x"}, "http"),
        ({"socket_url": "http://x"}, "socket_url"),
        ({"private_socket_url": "wss://user@x"}, "private_socket_url"),
        ({"sleeves": ["NO NAME"]}, "NO NAME"),
    ],
)
async def test_terms_that_are_none(terms, says):
    given = {"markets": ["ETH/USD"]} | terms
    with pytest.raises((InvalidMarket, VenueRejected), match=says):
        Kraken(_key(), **given)


async def test_keys_that_are_none():
    with pytest.raises(InvalidKey):
        Kraken(None, ["ETH/USD"])
    with pytest.raises(InvalidKey):
        Kraken("key", ["ETH/USD"])


async def test_a_market_that_kraken_does_not_list_and_one_that_counts_otherwise():
    exchange = kraken_server(balances={"USD": "10000"}, tier=None)
    await anyio.to_thread.run_sync(exchange.start)
    try:
        wrong = [
            "FOO/USD",
            "XBT/USD",
            evolve(ether, venue="elsewhere"),
            evolve(ether, tick="0.001"),
            evolve(ether, lot="0.000000001"),
            Instrument("ETH/USD", base=Asset("ETH", 9), quote=USD, tick="0.01", lot="0.00000001", venue="kraken"),
        ]
        for market in wrong:
            with pytest.raises(InvalidMarket):
                await driver(exchange, markets=[market]).aopen()
        coarser = evolve(ether, tick="0.05", lot="0.001", min_qty="0.01", min_notional="5")
        async with driver(exchange, markets=[coarser]) as venue:
            assert venue.instrument("ETH/USD") == coarser == of_kind(await told(venue), Quote)[0].instrument
            await venue.submit(an_order(venue))
            assert [fill.instrument for fill in of_kind(await told(venue), Fill)] == [coarser]
            assert [fill.instrument for fill in await venue.history(0)] == [coarser]
    finally:
        await anyio.to_thread.run_sync(exchange.stop)


async def test_a_server_that_is_not_there():
    exchange = kraken_server(tier=None)
    await anyio.to_thread.run_sync(exchange.start)
    venue = driver(exchange)
    await anyio.to_thread.run_sync(exchange.stop)
    with pytest.raises(VenueUnavailable):
        await venue.aopen()
    await anyio.to_thread.run_sync(exchange.start)
    with anyio.fail_after(10):
        async with driver(exchange) as again:
            assert of_kind(await told(again), Quote)
    await anyio.to_thread.run_sync(exchange.stop)


@pytest.mark.parametrize(("ahead", "most"), [(0, 0), (3_600 * SECOND, 1 * SECOND), (-90 * SECOND, 1 * SECOND)])
async def test_krakens_clock_is_what_counts(ahead, most):
    async with stand({"clock": lambda: time.time_ns() + ahead}, clock=time.time_ns) as (exchange, venue):
        assert abs(venue.skew - ahead) <= most
        await venue.submit(an_order(venue))
        (fill,) = of_kind(await told(venue), Fill)
        assert abs(fill.at - time.time_ns() - ahead) < 5 * SECOND


# -- orders ------------------------------------------------------------------------------------------------------------------------


async def test_an_order_at_market_is_a_limit_at_its_worst_price_and_its_fill_is_the_ledgers():
    async with stand() as (exchange, venue):
        order = an_order(venue, worst="2500.00", qty="0.33333333")
        await venue.submit(order)
        accepted, fill = of_kind(await told(venue), Accepted, Fill)
        (call,) = calls(exchange, "AddOrder")
        sent = {name: value for name, value in call.args.items() if name not in ("nonce", "deadline", "cl_ord_id")}
        assert sent == {
            "pair": "ETHUSD",
            "type": "buy",
            "ordertype": "limit",
            "volume": "0.33333333",
            "price": "2500",
            "timeinforce": "IOC",
            "oflags": "fciq",
        }
        assert accepted == Accepted("flash-1", accepted.at, next(iter(exchange.orders())))
        assert (fill.qty, fill.price, fill.liquidity) == (ether.qty("0.33333333"), ether.price("2500"), Liquidity.TAKER)
        lines = {row["asset"]: row for row in exchange.ledger().values() if row["type"] == "trade"}
        assert -USD(lines["ZUSD"]["amount"]).units == fill.cost and USD(lines["ZUSD"]["fee"]) == fill.fee
        assert await venue.history(0) == [fill]
        assert {flow.ref for flow in await venue.cash_flows(0) if flow.kind in (FlowKind.TRADE, FlowKind.FEE)} == {fill.key}


async def test_a_limit_rests_fills_as_maker_and_is_told_once():
    async with stand() as (exchange, venue):
        order = an_order(venue, limit="2400.00", post_only=True)
        await venue.submit(order)
        await venue.submit(order)
        (accepted,) = of_kind(await told(venue), Accepted)
        (report,) = await venue.open_orders()
        assert (report.order_id, report.status, report.filled, report.venue_id) == ("flash-1", OrderStatus.OPEN, 0, accepted.venue_id)
        exchange.repeat_reports(50)
        exchange.price("ETH/USD", "2399.00")
        (fill,) = of_kind(await told(venue), Fill)
        assert (fill.price, fill.liquidity, fill.fee) == (ether.price("2400"), Liquidity.MAKER, USD("0.6"))
        report = await venue.look_up(order)
        assert (report.status, report.filled) == (OrderStatus.FILLED, ether.qty("0.1"))
        assert not await venue.open_orders() and len(calls(exchange, "AddOrder")) == 1
        assert calls(exchange, "AddOrder")[0].args["oflags"] == "fciq,post"


async def test_a_cancel_and_one_of_what_is_not_there():
    async with stand() as (exchange, venue):
        order = an_order(venue, limit="2400.00")
        await venue.submit(order)
        await told(venue)
        await venue.cancel(order)
        await venue.cancel(order)
        (canceled,) = of_kind(await told(venue), Canceled)
        assert canceled.order_id == order.id and canceled.reason == "User requested"
        await venue.cancel(order)
        await venue.cancel(an_order(venue, 2))
        assert not of_kind(await told(venue), Canceled, Rejected)
        assert (await venue.look_up(order)).status is OrderStatus.CANCELED
        assert await venue.look_up(an_order(venue, 2)) is None
        named = [sorted(set(call.args) - {"nonce"}) for call in calls(exchange, "CancelOrder")]
        assert named[0] == ["txid"] and named[-1] == ["cl_ord_id"] and len(named) in (2, 3)


async def test_a_cancel_that_comes_too_late_tells_what_became_of_the_order():
    async with stand() as (exchange, venue):
        order = an_order(venue, limit="2400.00")
        await venue.submit(order)
        await told(venue)
        exchange.lose_reports(9)
        exchange.price("ETH/USD", "2390.00")
        await venue.cancel(order)
        (fill,) = of_kind(await told(venue), Fill, Canceled)
        assert fill.qty == order.place.qty and fill.order_id == order.id


async def test_a_part_is_told_before_the_cancel_of_the_rest():
    from sleeves.money import PPM
    from sleeves.sim import Rules, Slippage

    rules = Rules(slippage=Slippage.none(), participation_ppm=PPM)
    async with stand({"rules": rules}) as (exchange, venue):
        exchange.delay_ledger(0.3)
        order = an_order(venue, limit="2400.00", qty="1")
        await venue.submit(order)
        await told(venue)
        exchange.price("ETH/USD", "2390.00", volume="0.4")
        await venue.cancel(order)
        fill, canceled = of_kind(await told(venue), Fill, Canceled)
        assert isinstance(fill, Fill) and fill.qty == ether.qty("0.4") and canceled.at >= fill.at
        report = await venue.look_up(order)
        assert (report.status, report.filled) == (OrderStatus.CANCELED, fill.qty)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"qty": "5", "worst": "3000"}, "EOrder:Insufficient funds"),
        ({"side": Side.SELL, "qty": "2"}, "EOrder:Insufficient funds"),
        ({"qty": "0.001"}, "EOrder:Order minimum not met"),
        ({"limit": "2600.00", "post_only": True}, "EOrder:Post only order"),
    ],
)
async def test_what_kraken_refuses_is_rejected_in_its_words(terms, reason):
    async with stand() as (exchange, venue):
        order = an_order(venue, **terms)
        await venue.submit(order)
        await venue.submit(order)
        (rejected,) = of_kind(await told(venue), Accepted, Rejected, Canceled)
        assert (rejected.order_id, rejected.reason, rejected.reached) == (order.id, reason, True) and rejected.at >= order.at
        report = await venue.look_up(order)
        assert (report.status, report.reason) == (OrderStatus.REJECTED, reason)
        assert len(calls(exchange, "AddOrder")) == 1


async def test_post_only_that_is_canceled_at_once():
    async with stand() as (exchange, venue):
        exchange.post_only_cancels()
        await venue.submit(an_order(venue, limit="2600.00", post_only=True))
        (canceled,) = of_kind(await told(venue), Canceled, Rejected, Fill)
        assert canceled.reason == "Post only order"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ({"qty": ether.qty("0.1") + 1}, "no multiple of the lot"),
        ({"limit": 240_050 + 1, "instrument": evolve(ether, tick="0.05")}, "another instrument"),
        ({"reduce_only": True}, "no position that a buy could reduce"),
        ({"instrument": evolve(ether, symbol="FOO/USD")}, "FOO/USD"),
        ({"instrument": evolve(ether, min_qty="0.01")}, "min_qty"),
    ],
)
async def test_what_could_not_be_sent_as_it_is_is_rejected_here(place, says):
    async with stand() as (exchange, venue):
        given = {"instrument": ether, "side": Side.BUY, "qty": ether.qty("0.1")} | place
        order = Order("flash-1", "flash", Place(**given), venue.now(), ether.price("3000"))
        await venue.submit(order)
        (rejected,) = of_kind(await told(venue), Rejected)
        assert says in rejected.reason and rejected.reached and rejected.at >= order.at
        assert not calls(exchange, "AddOrder") and (await venue.look_up(order)).status is OrderStatus.REJECTED


async def test_a_sleeve_of_a_long_name_is_known_or_its_orders_are_not_sent():
    name = "a-sleeve-with-a-long-name"
    async with stand() as (exchange, venue):
        await venue.submit(an_order(venue, sleeve=name))
        (rejected,) = of_kind(await told(venue), Rejected)
        assert "hand it in" in rejected.reason and not calls(exchange, "AddOrder")
    async with stand(sleeves=[name]) as (exchange, venue):
        await venue.submit(an_order(venue, sleeve=name))
        assert {fill.order_id for fill in of_kind(await told(venue), Fill)} == {f"{name}-1"}


async def test_stops_and_times_in_force_as_kraken_takes_them():
    async with stand() as (exchange, venue):
        end = venue.now() + 3_600 * SECOND + 999
        orders = [
            an_order(venue, 1, Side.SELL, stop="2300.00"),
            an_order(venue, 2, Side.SELL, stop="2300.00", limit="2290.00"),
            an_order(venue, 3, stop="2700.00", worst="2750.00"),
            an_order(venue, 4, limit="2500.00", tif=TimeInForce.FOK),
            an_order(venue, 5, limit="2400.00", good_til=end),
        ]
        for order in orders:
            await venue.submit(order)
        assert not of_kind(await told(venue), Rejected)
        names = ("ordertype", "price", "price2", "timeinforce", "expiretm")
        assert [tuple(call.args.get(name) for name in names) for call in calls(exchange, "AddOrder")] == [
            ("stop-loss", "2300", None, None, None),
            ("stop-loss-limit", "2300", "2290", None, None),
            ("stop-loss-limit", "2700", "2750", None, None),
            ("limit", "2500", None, "FOK", None),
            ("limit", "2400", None, "GTD", str(end // SECOND)),
        ]
        exchange.price("ETH/USD", "2295.00")
        sold = of_kind(await told(venue), Fill)
        assert {fill.order_id for fill in sold} >= {"flash-1", "flash-2"}


# -- an answer that is lost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.lost(0.2), Fault.cut(), Fault.after(Fault.status(503)), Fault.after(Fault.html())])
@pytest.mark.parametrize("mute", [False, True])
async def test_an_order_whose_answer_is_lost_is_found_and_not_sent_again(fault, mute):
    """By its report, or where none comes by looking for its client id."""
    async with stand() as (exchange, venue):
        await told(venue)
        exchange.fault("AddOrder", fault)
        exchange.lose_reports(9 if mute else 0)
        order = an_order(venue)
        await venue.submit(order)
        fills = of_kind(await told(venue), Fill)
        assert [fill.order_id for fill in fills] == [order.id] and len(exchange.orders()) == len(calls(exchange, "AddOrder")) == 1
        assert (await venue.look_up(order)).status is OrderStatus.FILLED


async def test_the_cancel_of_an_order_that_is_not_found_yet_is_not_taken_for_done():
    """A stop cancels what may still come in: said to be canceled, it would rest and fill."""
    async with stand(deadline=0.5, deadline_grace=60.0) as (exchange, venue):
        order = an_order(venue, limit="2400.00")
        exchange.fault("AddOrder", Fault.drop())
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        with pytest.raises(VenueUnknown, match="does not find flash-1, which was sent"):
            await venue.cancel(order)
        await venue.cancel(an_order(venue, 2, limit="2400.00"))  # one that was never sent is passed over


@pytest.mark.parametrize("fault", [Fault.hang(0.2), Fault.drop(), Fault.status(520), Fault.error("EService:Unavailable")])
async def test_an_order_that_never_came_in_is_unknown_then_not_found_and_at_last_known_not_to_come(fault):
    async with stand(deadline=0.5, deadline_grace=0.5) as (exchange, venue):
        exchange.fault("AddOrder", fault)
        order = an_order(venue)
        with pytest.raises(VenueUnknown, match="flash-1 was sent"):
            await venue.submit(order)
        assert not of_kind(await told(venue), Rejected, Accepted)
        await venue.submit(order)
        assert len(calls(exchange, "AddOrder")) <= 1 and not exchange.orders()
        while (report := await venue.look_up(order)) is None:
            await anyio.sleep(0.05)
        assert report.status is OrderStatus.REJECTED and "never came in" in report.reason
        assert [event.reason for event in of_kind(await told(venue), Rejected)] == [report.reason]


async def test_not_found_is_no_evidence_without_a_deadline_or_beside_an_order_that_could_be_it(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.LOOKS", (0.0,))
    async with stand(deadline=None) as (exchange, venue):
        exchange.fault("AddOrder", Fault.drop())
        with pytest.raises(VenueUnknown):
            await venue.submit(an_order(venue))
        assert await venue.look_up(an_order(venue)) is None
    async with stand(deadline=0.5, deadline_grace=0) as (exchange, venue):
        exchange.fault("AddOrder", Fault.drop())
        order = an_order(venue, limit="2400.00")
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        exchange.manual("ETH/USD", "buy", "0.1", "2400.00")
        await anyio.sleep(0.6)
        assert await venue.look_up(order) is None


async def test_nothing_was_sent_when_nobody_is_there():
    async with stand() as (exchange, venue):
        await until_lost(venue, lambda: anyio.to_thread.run_sync(exchange.stop))
        order = an_order(venue)
        for call in (venue.submit, venue.cancel):
            with pytest.raises(VenueUnavailable):
                await call(order)
        with pytest.raises(VenueUnavailable):
            await anext(venue.events())
        asked = (venue.balances(), venue.open_orders(), venue.history(0), venue.cash_flows(0), venue.look_up(order), venue.settle(ether))
        for ask in asked:
            with pytest.raises(VenueUnavailable):
                await ask
        await anyio.to_thread.run_sync(exchange.start)


@pytest.mark.parametrize(
    "error",
    [
        "EAPI:Invalid nonce",
        "EAPI:Rate limit exceeded",
        "EOrder:Rate limit exceeded",
        "EGeneral:Temporary lockout",
        "EService: Throttled: 1",
    ],
)
async def test_what_kraken_did_not_look_at_was_not_sent(error):
    async with stand() as (exchange, venue):
        exchange.fault("AddOrder", error)
        with pytest.raises(VenueUnavailable, match=error.split(":")[0]):
            await venue.submit(an_order(venue))
        assert len(calls(exchange, "AddOrder")) == 1 and not exchange.orders()


async def test_a_driver_that_follows_knows_what_the_one_before_did():
    async with stand() as (exchange, venue):
        filled, resting = an_order(venue), an_order(venue, 2, limit="2400.00")
        await venue.submit(filled)
        await venue.submit(resting)
        before = of_kind(await told(venue), Fill)
        await venue.aclose()
        async with driver(exchange) as later:
            assert await later.history(0) == before
            assert (await later.look_up(filled)).status is OrderStatus.FILLED
            assert [(report.order_id, report.status) for report in await later.open_orders()] == [("flash-2", OrderStatus.OPEN)]
            exchange.price("ETH/USD", "2390.00")
            (fill,) = of_kind(await told(later), Fill)
            assert fill.order_id == "flash-2"
            assert await later.history(0) == [*before, fill] and await later.history(fill.at) == [fill]


# -- modes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "pair", "place", "takes"),
    [
        ("cancel_only", None, {"limit": "2400.00", "post_only": True}, False),
        ("maintenance", None, {"limit": "2400.00", "post_only": True}, False),
        ("post_only", None, {"limit": "2400.00"}, False),
        ("post_only", None, {"limit": "2400.00", "post_only": True}, True),
        (None, "cancel_only", {"limit": "2400.00"}, False),
        (None, "post_only", {}, False),
        (None, "post_only", {"limit": "2400.00", "post_only": True}, True),
        (None, "limit_only", {"side": Side.SELL}, False),
        (None, "limit_only", {"stop": "2700.00"}, False),
        (None, "limit_only", {"limit": "2400.00"}, True),
        (None, "limit_only", {"worst": "2600.00"}, True),
        (None, "reduce_only", {}, False),
    ],
)
async def test_a_mode_that_takes_no_such_order_refuses_it_without_a_call(system, pair, place, takes, monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.STATUS_AGE", 0.0)
    async with stand() as (exchange, venue):
        if system:
            exchange.status(system)
        else:
            exchange.pair_status("ETH/USD", pair)
            await venue._look_at_pairs()
        await told(venue)
        await venue.submit(an_order(venue, **place))
        rejected = of_kind(await told(venue), Rejected)
        assert bool(rejected) is not takes and len(calls(exchange, "AddOrder")) == takes
        if rejected:
            assert (system or pair) in rejected[0].reason and not rejected[0].reached


async def test_a_mode_is_looked_at_again_before_it_is_held_against_an_order(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.STATUS_AGE", 0.0)
    async with stand() as (exchange, venue):
        exchange.pair_status("ETH/USD", "cancel_only")
        await venue.submit(an_order(venue))
        (rejected,) = of_kind(await told(venue), Rejected)
        assert rejected.reason == "EService:Market in cancel_only mode" and not rejected.reached
        await venue.submit(an_order(venue, 2))
        (rejected,) = of_kind(await told(venue), Rejected)
        assert "cancel_only" in rejected.reason and not rejected.reached and len(calls(exchange, "AddOrder")) == 1
        exchange.pair_status("ETH/USD", "online")
        await venue.submit(an_order(venue, 3))
        assert of_kind(await told(venue), Fill)


# -- money -----------------------------------------------------------------------------------------------------------------------


async def test_wallets_are_shown_and_those_that_count_are_the_balance():
    balances = {"USD": "10000", "ETH": "1", "ETH.F": "0.25"}
    async with stand({"balances": balances}) as (exchange, venue):
        await venue.submit(an_order(venue, limit="2400.00"))
        await told(venue)
        assert await venue.balances() == {"USD": USD("10000"), "ETH": ETH("1.25")}
        found = {one.wallet.name: (one.balance, one.held, one.counted, one.tradeable) for one in await venue.wallets()}
        assert found["ETH.F"] == (ETH("0.25"), ETH("0"), True, False)
        assert found["ZUSD"][0] == USD("10000") and found["ZUSD"][1] >= USD("240") and found["ZUSD"][2:] == (True, True)
        assert await venue.positions() == {}


async def test_the_fees_that_the_account_pays():
    async with stand(markets=["ETH/USD", "BTC/USD"]) as (_, venue):
        assert await venue.fees() == {"ETH/USD": FeeRate(2_500, 4_000), "BTC/USD": FeeRate(2_500, 4_000)}


async def test_spot_settles_nothing_and_moves_no_money():
    async with stand() as (_, venue):
        with pytest.raises(VenueRejected, match="no contract"):
            await venue.settle(ether)
        with pytest.raises(VenueRejected, match="own site"):
            await venue.transfer(Transfer("t-1", USD("1")))


async def test_every_line_of_the_ledger_is_a_flow_and_they_sum_to_the_balances():
    async with stand() as (exchange, venue):
        exchange.earn("ETH", "0.5")
        exchange.reward("ETH.F", "0.00012345", fee="0.00000045")
        exchange.deposit("USD", "100.5", fee="0.5")
        exchange.withdraw("USD", "50", fee="1")
        exchange.credit("USD", "-3", type="adjustment")
        exchange.credit("USD", "-0.0123", type="rollover")
        exchange.manual("ETH/USD", "sell", "0.7")
        await venue.submit(an_order(venue))
        await told(venue)
        flows = await venue.cash_flows(0)
        sums = {}
        for flow in flows:
            sums[flow.amount.asset.code] = sums.get(flow.amount.asset.code, flow.amount.asset.zero) + flow.amount
        assert sums == await venue.balances()
        assert len({flow.id for flow in flows}) == len(flows) and [flow.at for flow in flows] == sorted(flow.at for flow in flows)
        kinds = [flow.kind for flow in flows]
        assert kinds.count(FlowKind.EARN) == 2 and FlowKind.REWARD in kinds and FlowKind.OTHER in kinds and FlowKind.FUNDING in kinds
        assert {flow.ref for flow in flows if flow.kind is FlowKind.TRADE} == {fill.key for fill in await venue.history(0)}
        middle = flows[len(flows) // 2].at
        assert await venue.cash_flows(middle) == [flow for flow in flows if flow.at >= middle]


async def test_a_ledger_that_never_shows_a_trade_is_told_by_its_own_figures_once_and_so_for_good(caplog):
    async with stand(ledger_patience=0.2) as (exchange, venue):
        exchange.delay_ledger(60)
        await venue.submit(an_order(venue))
        (fill,) = of_kind(await told(venue), Fill)
        (trade,) = exchange.trades().values()
        assert (fill.cost, fill.fee) == (USD(trade["cost"]).units, USD(trade["fee"]))
        assert "does not show trade" in caplog.text
        exchange.delay_ledger(None)
        assert await venue.history(0) == [fill]


async def test_past_more_than_a_page_is_whole():
    async with stand() as (exchange, venue):
        for number in range(60):
            exchange.manual("ETH/USD", "buy" if number % 2 else "sell", "0.01")
        fills = await venue.history(0)
        assert len(fills) == 60 == len({fill.key for fill in fills}) and {fill.order_id for fill in fills} == set(exchange.orders())
        assert len([flow for flow in await venue.cash_flows(0) if flow.ref]) == 180
        exchange.calls.clear()
        assert await venue.history(fills[30].at) == [fill for fill in fills if fill.at >= fills[30].at]
        assert {call.method for call in exchange.calls} == {"TradesHistory"}  # what is known is not asked for again


# -- keys ------------------------------------------------------------------------------------------------------------------------


async def test_each_vault_trades_with_its_own_key_and_one_that_dies_leaves_the_other():
    terms = {"pairs": ("ETH/USD", "ETH/EUR"), "balances": {"USD": "10000", "EUR": "10000", "ETH": "2"}}
    async with anyio.create_task_group():
        exchange = kraken_server(**terms, tier=None)
        await anyio.to_thread.run_sync(exchange.start)
        try:
            dollars, euros, spare = (exchange.add_key(name) for name in ("dollars", "euros", "spare"))
            keys = ring(
                key_set(dollars, "dollars", vault="core:main:USD", account="k"),
                key_set(euros, "euros", vault="core:main:EUR", account="k"),
                key_set(spare, "spare", account="k"),
                clock=time.time_ns,
            )
            async with driver(exchange, keys, markets=["ETH/USD", "ETH/EUR"]) as venue:
                await venue.submit(an_order(venue))
                await venue.submit(an_order(venue, 2, market="ETH/EUR"))
                assert [call.key for call in calls(exchange, "AddOrder")] == ["dollars", "euros"]
                exchange.revoke(dollars)
                with pytest.raises(VenueUnavailable, match="Invalid key"):
                    await venue.submit(an_order(venue, 3, Side.SELL, reduce_only=True))
                assert keys.health("dollars") is Health.DEAD and keys.health("euros") is Health.HEALTHY
                await venue.submit(an_order(venue, 4, Side.SELL, reduce_only=True))
                await venue.submit(an_order(venue, 5, Side.SELL, reduce_only=True, market="ETH/EUR"))
                assert [call.key for call in calls(exchange, "AddOrder")] == ["dollars", "euros", "dollars", "spare", "euros"]
                fills = of_kind(await told(venue), Fill)
                assert {fill.order_id for fill in fills} == {"flash-1", "flash-2", "flash-4", "flash-5"}
                assert await venue.balances() and await venue.history(0) == sorted(fills, key=lambda fill: (fill.at, fill.trade_id))
        finally:
            await anyio.to_thread.run_sync(exchange.stop)


async def test_the_sockets_come_back_with_another_key_when_the_first_is_gone():
    exchange = kraken_server(balances={"USD": "10000"}, tier=None)
    await anyio.to_thread.run_sync(exchange.start)
    try:
        first, second = exchange.add_key("first"), exchange.add_key("second")
        keys = ring(key_set(first, "first", account="k"), key_set(second, "second", account="k"), clock=time.time_ns)
        async with driver(exchange, keys) as venue:
            await told(venue)
            exchange.revoke(first)
            await until_lost(venue, exchange.drop_sockets)
            quote = await anext(venue.events())
            assert isinstance(quote, Quote)
            assert [call.key for call in calls(exchange, "GetWebSocketsToken")] == ["first", "first", "second"]
    finally:
        await anyio.to_thread.run_sync(exchange.stop)


async def test_an_order_waits_for_the_engine_only_so_long():
    slow = evolve(TIERS["starter"], rest_max=1e9, rest_decay=1e9, engine_max=8, engine_decay=0.01)
    async with stand(tier=slow, rate_patience=0.05) as (exchange, venue):
        orders = [an_order(venue, number, limit="2400.00", qty="0.01") for number in range(1, 10)]
        await venue.submit(orders[0])
        with pytest.raises(VenueUnavailable, match="too many"):  # eight for a young order
            await venue.cancel(orders[0])
        for order in orders[1:8]:
            await venue.submit(order)
        with pytest.raises(VenueUnavailable, match="too many"):
            await venue.submit(orders[8])
        assert len(calls(exchange, "AddOrder")) == 8 and not calls(exchange, "CancelOrder")


# -- the dead-man switch ---------------------------------------------------------------------------------------------------------


async def test_the_switch_is_held_and_let_go():
    async with stand(dead_man=3) as (exchange, venue):
        await until(lambda: len(calls(exchange, "CancelAllOrdersAfter")) >= 2)
        await venue.disarm()
        held = len(calls(exchange, "CancelAllOrdersAfter"))
        await anyio.sleep(1.2)
        assert len(calls(exchange, "CancelAllOrdersAfter")) == held
        await venue.arm()
    seconds = [call.args["timeout"] for call in calls(exchange, "CancelAllOrdersAfter")]
    assert set(seconds[:-3]) == {"3"} and seconds[-3:] == ["0", "3", "0"]


async def test_a_switch_that_goes_off_cancels_and_that_is_told():
    async with stand(dead_man=3) as (exchange, venue):
        await venue.submit(an_order(venue, limit="2400.00"))
        await told(venue)
        exchange.fault("CancelAllOrdersAfter", "EService:Unavailable", times=99)
        with anyio.fail_after(10):
            events = venue.events()
            while not isinstance(event := await anext(events), Canceled):
                pass
        assert event.order_id == "flash-1"


# -- what is told when the sockets are lost ----------------------------------------------------------------------------------------


async def test_what_happened_while_the_sockets_were_gone_is_told_when_they_are_back():
    async with stand() as (exchange, venue):
        orders = [an_order(venue, 1, limit="2400.00"), an_order(venue, 2, limit="2300.00")]
        for order in orders:
            await venue.submit(order)
        await told(venue)

        async def meanwhile():
            exchange.drop_sockets()
            exchange.price("ETH/USD", "2390.00")
            await venue.cancel(orders[1])
            await venue.submit(an_order(venue, 3))

        found = await until_lost(venue, meanwhile)
        events = venue.events()
        found.append(await anext(events))
        found += await told(venue)
        assert {fill.order_id for fill in of_kind(found, Fill)} == {"flash-1", "flash-3"}
        assert [event.order_id for event in of_kind(found, Canceled)] == ["flash-2"]
        assert len(of_kind(found, Fill)) == 2 and [event.order_id for event in of_kind(found, Accepted)] == ["flash-3"]


async def test_what_is_told_waits_for_nobody_and_prices_give_way_to_newer_ones():
    async with stand() as (exchange, venue):
        for cents in range(50):
            exchange.price("ETH/USD", f"2500.{cents:02d}")
        await venue.caught_up()
        (quote,) = await told(venue)
        assert quote.bid == ether.price("2500.49")


# -- nothing that is secret is told ------------------------------------------------------------------------------------------------


async def test_no_secret_is_in_any_log_or_error_at_debug(caplog, monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.LOOKS", (0.0,))
    caplog.set_level(logging.DEBUG)
    for transport in ("httpx", "krakenex"):
        async with stand(transport=transport, deadline=0.5) as (exchange, venue):
            venue_errors = []
            faults = Fault.drop(), Fault.lost(0.1), Fault.status(500), Fault.garbage(), Fault.error("EAPI:Invalid nonce")
            for number, fault in enumerate(faults, 1):
                exchange.fault("AddOrder", fault)
                try:
                    await venue.submit(an_order(venue, number, qty="0.01"))
                except (VenueUnavailable, VenueUnknown) as error:
                    venue_errors.append(error)
            await venue.client.probe("main")
            await venue.balances()
            await until_lost(venue, exchange.drop_sockets)
            await anext(venue.events())
            tokens = list(exchange.tokens)
        assert len(tokens) >= 2 and len(venue_errors) >= 3
        spoken = caplog.text + "".join(f"{error!r}{error.__cause__!r}{error.__context__!r}" for error in venue_errors)
        assert not [secret for secret in (exchange.key.api_key, exchange.key.secret, *tokens) if secret in spoken]


# -- servers that are not quite Kraken ---------------------------------------------------------------------------------------------


async def test_reports_that_name_a_trade_otherwise_than_the_list_of_trades_are_one_fill(monkeypatch):
    """Told by the id of the list, once, since two ids of one trade would be booked twice."""
    from sleeves.testing.kraken_server.sockets import Sockets

    whole = Sockets._of_trade
    monkeypatch.setattr(
        Sockets, "_of_trade", lambda self, trade, snapshot: whole(self, trade, snapshot=snapshot) | {"exec_id": f"E{trade.id}"}
    )
    async with stand() as (exchange, venue):
        await venue.submit(an_order(venue))
        (fill,) = of_kind(await told(venue), Fill)
        assert list(exchange.trades()) == [fill.trade_id] and await venue.history(0) == [fill]


async def test_reports_without_our_client_id_find_their_order_all_the_same(monkeypatch):
    from sleeves.testing.kraken_server.sockets import Sockets

    monkeypatch.setattr(Sockets, "_ids", staticmethod(lambda order: {"order_id": order.txid}))
    async with stand() as (exchange, venue):
        resting = an_order(venue, 2, limit="2400.00")
        await venue.submit(an_order(venue))
        await venue.submit(resting)
        assert {fill.order_id for fill in of_kind(await told(venue), Fill)} == {"flash-1"}
        await venue.cancel(resting)
        assert [event.order_id for event in of_kind(await told(venue), Canceled)] == ["flash-2"]
        exchange.fault("AddOrder", Fault.cut())
        await venue.submit(an_order(venue, 3))
        assert {fill.order_id for fill in of_kind(await told(venue), Fill)} == {"flash-3"}


async def test_a_ledger_that_is_refused_leaves_a_trades_own_figures():
    async with stand(ledger_patience=0.2) as (exchange, venue):
        exchange.fault("Ledgers", "EGeneral:Unknown method", times=99)
        await venue.submit(an_order(venue))
        (fill,) = of_kind(await told(venue), Fill)
        assert fill.cost == USD("250").units and await venue.history(0) == [fill]
        with pytest.raises(VenueUnavailable, match="Unknown method"):
            await venue.cash_flows(0)


async def test_an_order_of_an_earlier_run_that_ends_while_the_sockets_are_gone_is_told():
    async with stand() as (exchange, venue):
        order = an_order(venue, limit="2400.00")
        await venue.submit(order)
        await told(venue)
        await venue.aclose()
        async with driver(exchange) as later:
            assert [event.order_id for event in of_kind(await told(later), Accepted)] == ["flash-1"]

            def gone():
                exchange.drop_sockets()
                exchange.account().cancel_all(exchange.now, "by hand")

            found = await until_lost(later, gone)
            found.append(await anext(later.events()))
            found += await told(later)
            assert [(event.order_id, event.reason) for event in of_kind(found, Canceled)] == [("flash-1", "by hand")]


# -- at the end ----------------------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_canceled_lets_the_switch_go_and_leaves_nothing_behind():
    exchange = kraken_server(balances={"USD": "10000"}, tier=None)
    await anyio.to_thread.run_sync(exchange.start)
    try:
        with anyio.move_on_after(0.5):
            async with driver(exchange, dead_man=60) as venue:
                await venue.submit(an_order(venue, limit="2400.00"))
                await anyio.sleep(60)
        assert [call.args["timeout"] for call in calls(exchange, "CancelAllOrdersAfter")] == ["60", "0"]
        assert [row["status"] for row in exchange.orders().values()] == ["open"]
        with pytest.raises(VenueUnavailable, match="not open"):
            await venue.balances()
        with pytest.raises(RuntimeError, match="ours"):
            async with driver(exchange) as venue:
                raise RuntimeError("ours")
    finally:
        await anyio.to_thread.run_sync(exchange.stop)


# -- what may not happen to an order -------------------------------------------------------------------------------------------------


def _after(order, seconds=3):
    """The same order, made so much later."""
    return evolve(order, at=order.at + seconds * SECOND)


@pytest.mark.parametrize("step", [300, -300])
async def test_a_clock_that_is_set_while_it_is_open_hinders_no_order(step):
    off = [0]
    async with stand({"clock": time.time_ns}, clock=lambda: time.time_ns() + off[0]) as (exchange, venue):
        off[0] = step * SECOND
        await venue.submit(an_order(venue, side=Side.SELL, reduce_only=True))
        (call,) = calls(exchange, "AddOrder")
        assert not call.error and len(of_kind(await told(venue), Fill)) == 1
        assert abs(venue.skew + off[0]) <= 1 * SECOND


async def test_a_deadline_that_kraken_does_not_take_is_no_refusal_of_the_order(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.CLOCK_WITHIN", 0.1)
    off = [0]
    async with stand({"clock": time.time_ns}, clock=lambda: time.time_ns() + off[0]) as (exchange, venue):
        off[0] = 300 * SECOND
        exchange.fault("Time", Fault.status(520), times=99)
        order = an_order(venue)
        with pytest.raises(VenueUnavailable, match="deadline"):
            await venue.submit(order)
        assert not of_kind(await told(venue), Rejected) and len(calls(exchange, "AddOrder")) == 1
        exchange.faults.clear()
        await venue.submit(an_order(venue, 2))
        assert of_kind(await told(venue), Fill)


async def test_an_order_that_lives_is_found_although_the_desks_clock_is_ahead():
    behind = {"clock": lambda: time.time_ns() - 300 * SECOND}
    async with stand(behind, clock=time.time_ns, deadline=0.5, deadline_grace=0) as (exchange, venue):
        order = evolve(an_order(venue, limit="2000.00"), at=time.time_ns())
        await told(venue)
        exchange.fault("AddOrder", Fault.cut())
        exchange.drop_sockets()
        await venue.submit(order)
        await anyio.sleep(0.7)
        assert (await venue.look_up(order)).status is OrderStatus.OPEN
        await venue.cancel(order)
        await venue.aclose()
        async with driver(exchange, clock=time.time_ns) as later:
            assert (await later.look_up(order)).status is OrderStatus.CANCELED


async def test_nothing_is_known_not_to_come_while_the_sockets_are_down_or_after_one_look(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.LOOKS", (0.0,))
    async with stand(deadline=0.5, deadline_grace=1.2) as (exchange, venue):
        order = an_order(venue)
        exchange.fault("AddOrder", Fault.drop())
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        await until_lost(venue, exchange.drop_sockets)
        await anyio.sleep(1.8)
        for _ in range(3):
            assert await venue.look_up(order) is None
            await anyio.sleep(0.1)
        await anext(venue.events())
        assert await venue.look_up(order) is None  # the first look that counts
        await anyio.sleep(0.25)
        assert (await venue.look_up(order)).status is OrderStatus.REJECTED
        asked = len(calls(exchange, "CancelOrder"))
        await venue.cancel(order)  # it is presumed: a cancel goes out all the same
        assert [set(call.args) - {"nonce"} for call in calls(exchange, "CancelOrder")[asked:]] == [{"cl_ord_id"}]


async def test_a_trade_of_nobodys_order_could_be_of_the_one_that_is_not_found(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.LOOKS", (0.0,))
    async with stand(deadline=0.5, deadline_grace=0) as (exchange, venue):
        exchange.fault("AddOrder", Fault.drop())
        order = an_order(venue)
        with pytest.raises(VenueUnknown):
            await venue.submit(order)
        exchange.manual("ETH/USD", "buy", "0.03")
        await anyio.sleep(0.7)
        for _ in range(3):
            assert await venue.look_up(order) is None
        assert not of_kind(await told(venue), Rejected)


async def test_an_id_that_an_order_of_former_books_bears_is_refused_and_its_fills_are_nobodys():
    async with stand() as (exchange, old):
        await old.submit(an_order(old, limit="2000.00", qty="1"))
        await old.submit(an_order(old, 2, limit="2000.00", qty="1"))
        await told(old)
        (first, _) = exchange.orders()
        async with driver(exchange, key_set(exchange.add_key("second"), "second")) as venue:
            await told(venue)
            exits = an_order(venue, side=Side.SELL, qty="0.5", reduce_only=True)
            await venue.submit(_after(exits))
            (rejected,) = of_kind(await told(venue), Rejected, Accepted)
            assert rejected.order_id == exits.id and not rejected.reached and first in rejected.reason
            with pytest.raises(VenueUnknown, match="may be this one"):  # as far as clocks can tell
                await venue.submit(an_order(venue, 2, limit="2000.00", qty="1"))
            assert len(calls(exchange, "AddOrder")) == 2
            assert (await venue.look_up(exits)).status is OrderStatus.REJECTED
            await venue.cancel(exits)
            assert not calls(exchange, "CancelOrder")
            exchange.price("ETH/USD", "1999.00")
            assert {fill.order_id for fill in of_kind(await told(venue), Fill)} == {first, "flash-2"}


async def test_a_fee_that_was_not_reported_is_not_none_and_what_was_told_once_is_told_so_for_good(monkeypatch):
    async with stand({"prices": {"ETH/USD": "2500.37"}}, ledger_patience=0.2) as (exchange, venue):
        exchange.delay_ledger(60)
        hear = venue._watch.report
        monkeypatch.setattr(venue._watch, "report", lambda item, since=0: hear({k: v for k, v in item.items() if k != "fees"}, since))
        await venue.submit(an_order(venue, qty="0.12345678"))
        (fill,) = of_kind(await told(venue), Fill)
        (trade,) = exchange.trades().values()
        assert fill.fee == USD(trade["fee"]) and fill.cost == USD(trade["cost"]).units
        exchange.delay_ledger(None)
        await venue.aclose()
        await venue.aopen()
        assert await venue.history(0) == [fill]


async def test_an_end_that_does_not_say_how_far_it_went_waits_for_the_fill_behind_it(monkeypatch):
    from sleeves.money import PPM
    from sleeves.sim import Rules, Slippage

    async with stand({"rules": Rules(slippage=Slippage.none(), participation_ppm=PPM)}) as (exchange, venue):
        hear = venue._watch.report

        def bare(item, since=0):
            if item.get("exec_type") != "trade":
                hear({name: value for name, value in item.items() if name != "cum_qty"}, since)

        monkeypatch.setattr(venue._watch, "report", bare)
        order = an_order(venue, limit="2400.00", qty="1")
        await venue.submit(order)
        exchange.price("ETH/USD", "2390.00", volume="0.4")
        await venue.cancel(order)
        fill, canceled = of_kind(await told(venue), Fill, Canceled)
        assert isinstance(fill, Fill) and fill.qty == ether.qty("0.4") and canceled.at >= fill.at


async def test_an_exit_waits_for_no_listing_and_one_that_is_odd_ends_nothing(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.LISTING_WITHIN", 0.3)
    async with stand(markets=("ETH/USD", "BTC/USD")) as (exchange, venue):
        exchange.fault("AddOrder", "EService:Market in post_only mode")
        await venue.submit(an_order(venue, market="BTC/USD", qty="0.1", worst="90000"))
        exchange.fault("AssetPairs", Fault.status(520), times=99)
        with anyio.fail_after(0.5):
            await venue.submit(an_order(venue, 2, Side.SELL, reduce_only=True))
        assert not calls(exchange, "AssetPairs")[1:] and len(of_kind(await told(venue), Fill)) == 1
        await venue.submit(an_order(venue, 3))
        assert len(of_kind(await told(venue), Fill)) == 1
        exchange.faults.clear()
        exchange.fault("Assets", Fault(body='{"error":[],"result":{"NEW":{"altname":"NEW","status":"enabled"}}}'))
        await venue.submit(an_order(venue, 4))
        assert len(of_kind(await told(venue), Fill)) == 1


async def test_an_exit_goes_out_where_an_old_refusal_of_its_market_cannot_be_looked_at(monkeypatch):
    monkeypatch.setattr("sleeves.venues.kraken.driver.STATUS_AGE", 0.0)
    monkeypatch.setattr("sleeves.venues.kraken.driver.EXIT_WITHIN", 0.2)
    async with stand() as (exchange, venue):
        exchange.pair_status("ETH/USD", "cancel_only")
        await venue._look_at_pairs()
        exchange.pair_status("ETH/USD", "online")
        exchange.fault("AssetPairs", Fault.status(520), times=99)
        await venue.submit(an_order(venue, 1, Side.SELL, reduce_only=True))
        assert len(of_kind(await told(venue), Fill)) == 1


SLOW = evolve(TIERS["starter"], rest_max=1e9, rest_decay=1e9, engine_max=1, engine_decay=2.0)


async def test_an_order_that_waits_for_room_is_not_sent_once_it_is_closed():
    async with anyio.create_task_group() as tasks, stand(tier=SLOW) as (exchange, venue):
        await venue.submit(an_order(venue, limit="2400.00"))
        raised = []

        async def submits():
            try:
                await venue.submit(an_order(venue, 2, limit="2400.00"))
            except VenueUnavailable as error:
                raised.append(error)

        tasks.start_soon(submits)
        await anyio.sleep(0.05)
        await venue.aclose()
        await venue.aopen()
        await until(lambda: raised)
        assert len(raised) == 1 and len(calls(exchange, "AddOrder")) == 1 and venue._watch.sending == 0


async def test_closing_waits_for_an_order_that_is_on_the_wire():
    async with anyio.create_task_group() as tasks, stand() as (exchange, venue):
        exchange.fault("AddOrder", Fault.slow(0.3))
        tasks.start_soon(venue.submit, an_order(venue, limit="2400.00"))
        await until(lambda: venue._flying)
        await venue.aclose()
        assert [row["status"] for row in exchange.orders().values()] == ["open"]  # and nothing was raised


async def test_an_id_that_was_sent_is_not_sent_again_when_it_was_closed_and_opened():
    async with stand() as (exchange, venue):
        filled, refused = an_order(venue), an_order(venue, 2, qty="9")
        await venue.submit(filled)
        await venue.submit(refused)
        await venue.aclose()
        await venue.aopen()
        await venue.submit(filled)
        await venue.submit(refused)
        assert len(calls(exchange, "AddOrder")) == 2
        assert (await venue.look_up(filled)).status is OrderStatus.FILLED
        assert (await venue.look_up(refused)).status is OrderStatus.REJECTED


async def test_an_order_that_is_broken_off_while_it_waits_was_never_sent():
    async with stand(tier=SLOW) as (exchange, venue):
        await venue.submit(an_order(venue, limit="2400.00"))
        order = an_order(venue, 2, limit="2400.00")
        with anyio.move_on_after(0.05):
            await venue.submit(order)
        report = await venue.look_up(order)
        assert report.status is OrderStatus.REJECTED and "before it was sent" in report.reason and len(calls(exchange, "AddOrder")) == 1
        await venue.submit(order)
        assert (await venue.look_up(order)).status is OrderStatus.OPEN and len(calls(exchange, "AddOrder")) == 2


async def test_an_order_that_is_broken_off_on_the_wire_may_be_there():
    async with stand() as (exchange, venue):
        exchange.fault("AddOrder", Fault.slow(0.3))
        order = an_order(venue, limit="2400.00")
        with anyio.move_on_after(0.1):
            await venue.submit(order)
        await venue.submit(order)
        assert len(calls(exchange, "AddOrder")) == 1 and (await venue.look_up(order)).status is OrderStatus.OPEN


async def test_an_order_of_a_long_name_is_found_by_a_driver_that_was_not_told_the_name():
    name = "a-sleeve-with-a-long-name"
    async with stand(sleeves=[name]) as (exchange, venue):
        resting, other = (an_order(venue, number, sleeve=name, limit="2400.00") for number in (1, 2))
        await venue.submit(resting)
        await venue.submit(other)
        await venue.aclose()
        async with driver(exchange) as later:
            await told(later)
            assert (await later.look_up(resting)).status is OrderStatus.OPEN
        async with driver(exchange) as later:
            await told(later)
            await later.cancel(other)
            assert {row["status"] for row in exchange.orders().values()} == {"open", "canceled"}


async def test_looks_for_fills_leave_room_for_other_questions():
    starter = evolve(TIERS["starter"], engine_max=1e9, engine_decay=1e9)
    async with stand(tier=starter, ledger_patience=5.0) as (exchange, venue):
        exchange.delay_ledger(1.0)
        orders = [an_order(venue, number, qty="0.01") for number in range(1, 7)]
        for order in orders:
            await venue.submit(order)
            await anyio.sleep(0.2)
        with anyio.fail_after(1.0):
            assert (await venue.look_up(an_order(venue, 7))) is None
        assert len(calls(exchange, "Ledgers")) <= 4
        assert len(of_kind(await told(venue, 15.0), Fill)) == 6
