"""What is peculiar to an exchange behind ccxt's one face, each on its own shape: whose money goes where, and what is never sent."""

from __future__ import annotations

import builtins
from typing import Any

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

import ccxt
from attrs import evolve
from ccxt_house import START, Answer, flat_script
from ccxt_stand import SHAPES, InStep

from sleeves import Asset
from sleeves.errors import InvalidMarket, MissingExtra, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind, FundingPaid, Liquidated, Settled
from sleeves.market import HOUR, MINUTE, SECOND, Basis, FundingRate, Instrument, Quote
from sleeves.money import Amount
from sleeves.orders import Accepted, Canceled, Event, Fill, Order, OrderStatus, Place, Rejected, Side
from sleeves.sim.models import Fees
from sleeves.testing import Folded
from sleeves.venues.ccxt import MANNERS, Ccxt

PERPS = ("binanceusdm", "krakenfutures", "hyperliquid")
pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stand(
    name: str, prices: list[str], *, funding: dict[int, int] | None = None, fees: Fees | None = None, cash: str = "10000", **more: Any
) -> InStep:
    shape = SHAPES[name] if fees is None else evolve(SHAPES[name], fees=fees)
    market = shape.market
    rates = tuple(
        FundingRate(market, START + row * MINUTE + 30 * SECOND, ppb, market.price(prices[row]), HOUR)
        for row, ppb in (funding or {}).items()
    )
    return InStep(shape, flat_script(market, prices, {market.quote.code: market.quote(cash)}, rates), **more)


def order(on: InStep, n: int, side: Side, qty: str, **terms: Any) -> Order:
    market: Instrument = on.house.market
    worst = terms.pop("worst", None)
    if "limit" in terms:
        terms["limit"] = market.price(terms["limit"])
    place = Place(market, side, market.qty(qty), **terms)
    return Order(f"quiet-{n}", "quiet", place, on.house.now, place.limit if worst is None else market.price(worst))


class Told:
    """All that was told, counted along and held against what the exchange says at each step."""

    def __init__(self, on: InStep) -> None:
        self.on, self.events = on, list[Event]()
        self.folded = Folded(on.house.script.balances)

    def take(self, events: list[Event]) -> None:
        for event in events:
            self.folded.take(event)
        self.events += events

    async def step(self, steps: int = 1) -> list[Event]:
        seen = []
        for _ in range(steps):
            events = await self.on.step()
            self.take(events)
            seen += events
        assert self.folded.differ(await self.on.balances(), await self.on.positions()) == []
        return seen

    async def row(self) -> None:
        """To the end of a row."""
        await self.step()
        while self.on.last is not None and not self.on.last.price:
            await self.step()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


# -- contracts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERPS)
async def test_a_position_that_grows_shrinks_turns_and_is_funded(name: str) -> None:
    """In and out in odd parts, long and short, with fees and funding that do not come out even: told and held agree at each step."""
    prices = ["2000.0", "2010.3", "1995.7", "2033.1", "2007.9", "1988.2", "2001.4", "2000.0", "2000.0"]
    async with stand(name, prices, funding={2: 123_457, 4: -77_777}, fees=Fees(123, 777)) as on:
        told = Told(on)
        buy, sell = Side.BUY, Side.SELL
        for n, (side, qty) in enumerate([(buy, "0.101"), (buy, "0.037"), (sell, "0.055"), (sell, "0.2"), (buy, "0.117")], 1):
            await told.row()
            await on.submit(order(on, n, side, qty, worst="2500.0" if side is Side.BUY else "1500.0"))
        while on.house.now < START + len(prices) * MINUTE:
            await told.row()
        fills, funded = told.of(Fill), [one for one in told.of(FundingPaid) if one.qty]
        assert len(fills) == 5 and len(funded) == 2
        assert [fill.order_id for fill in fills] == [f"quiet-{n}" for n in range(1, 6)]
        assert [fill.fee for fill in fills] == [trade.fee for trade in on.house.trades]
        assert [one.amount for one in funded] == [one.amount for one in on.house.funding if one.qty]
        assert all(one.rate.every in (HOUR, 8 * HOUR) for one in funded)
        assert not told.folded.positions, "all is closed, and nothing is left of it"
        facts = [event for event in told.events if isinstance(event, (Fill, FundingPaid, Settled))]
        assert {fact.key: fact for fact in await on.history(0)} == {fact.key: fact for fact in facts}
        flows = await on.cash_flows(0)
        quote = on.house.market.quote
        assert sum(flow.amount.units for flow in flows) == (await on.balances())[quote.code].units - quote("10000").units
        keys = {fact.key for fact in facts}
        assert all(flow.ref in keys for flow in flows)
        again = await InStep.__aenter__(stand_again(on))
        assert {fact.key: fact for fact in await again.history(0)} == {fact.key: fact for fact in facts}, "another process says the same"
        await again.venue.aclose()


def stand_again(on: InStep) -> InStep:
    """Another driver on the same exchange."""
    twin = object.__new__(InStep)
    twin.house, twin.shape, twin.server = on.house, on.shape, on.server
    name = on.venue._line.id
    keys = SHAPES[name].keys()
    config = on.shape.config(on.server.url)
    twin.venue = Ccxt(name, [on.house.market], keys=keys, config=config, poll=None, clock=lambda: on.house.now, news_every=0)
    return twin


@pytest.mark.parametrize("name", ["krakenfutures", "hyperliquid"])
async def test_what_the_exchange_closes_by_force_is_a_liquidation(name: str) -> None:
    async with stand(name, ["2000.0", "2000.0", "2000.0", "1860.0", "1800.0", "1800.0"], cash="1000") as on:
        told = Told(on)
        await told.step()
        await on.submit(order(on, 1, Side.BUY, "4.5", worst="2100.0"))
        for _ in range(8):
            await told.step()
        gone = told.of(Liquidated)
        assert gone and all(one.change < 0 for one in gone)
        assert sum(one.change for one in gone) + sum(fill.qty for fill in told.of(Fill)) == told.folded.position(on.house.market).qty


@pytest.mark.parametrize("name", PERPS)
async def test_settling_has_nothing_left_to_move(name: str) -> None:
    async with stand(name, ["2000.0"] * 3) as on:
        market = on.house.market
        await on.settle(market)
        (said,) = [event for event in await on.said() if isinstance(event, Settled)]
        assert said.amount == 0 and said in await on.history(0)
        with pytest.raises(VenueRejected, match="is not traded"):
            await on.settle(evolve(market, symbol="OTHER/USD:USD"))


async def test_slices_that_cancel_out_are_told_of_funding_on_nothing() -> None:
    async with stand("binanceusdm", ["2000.0"] * 4, funding={1: 100_000}) as on:
        told = Told(on)
        await told.step(5)
        (one,) = told.of(FundingPaid)
        assert (one.qty, one.amount, one.rate.rate_ppb, one.at) == (0, 0, 100_000, START + 90 * SECOND)


# -- news -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ppb", "every", "basis"),
    [
        ("binanceusdm", 100_000, 8 * HOUR, Basis.MARK),
        ("krakenfutures", 10_000, HOUR, Basis.MARK),  # 0.02 quote coins a contract at 2000
        ("hyperliquid", 12_500, HOUR, Basis.ORACLE),
    ],
)
async def test_a_rate_is_told_with_its_interval(name: str, ppb: int, every: int, basis: Basis) -> None:
    async with stand(name, ["2000.0"] * 2) as on:
        (rate,) = [event for event in await on.asked() if isinstance(event, FundingRate)]
        assert (rate.rate_ppb, rate.every, rate.basis, rate.price) == (ppb, every, basis, on.house.market.price("2000.0"))


async def test_a_rate_whose_interval_nobody_tells_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async with stand("binanceusdm", ["2000.0"] * 3) as on:
        on.venue._line.exchange.has["fetchFundingIntervals"] = False
        for _ in range(2):
            assert not [event for event in await on.step() if isinstance(event, FundingRate)]
        assert caplog.text.count("does not say for how long") == 1


# -- Hyperliquid ------------------------------------------------------------------------------------------------------------


async def test_nothing_of_ccxts_own_is_signed_with_the_users_key() -> None:
    """Left to itself, ccxt approves a fee for its maker and a referral at the first private call."""
    async with stand("hyperliquid", ["2000.0"] * 4) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", limit="1900.0")
        await on.submit(one)
        await on.cancel(one)
        await on.balances()
        assert [action["type"] for action in on.shape.actions] == ["order", "cancel"]
        assert "builder" not in on.shape.actions[0]


async def test_an_account_that_keeps_no_contracts_apart_is_refused() -> None:
    async with stand("hyperliquid", ["2000.0"] * 2) as on:
        on.shape.userAbstraction = lambda said: '"unifiedAccount"'
        on.shape.spotClearinghouseState = lambda said: {"balances": [{"coin": "USDC", "total": "5", "hold": "0"}]}
        with pytest.raises(VenueUnavailable, match="does not keep contracts' coins apart"):
            await on.balances()


# -- Kraken Futures -----------------------------------------------------------------------------------------------------------


async def test_an_immediate_order_is_sent_as_one() -> None:
    """ccxt knows the word in small letters only, and sends anything else as an order that rests."""
    async with stand("krakenfutures", ["2000.0"] * 4) as on:
        await on.step()
        await on.submit(order(on, 1, Side.BUY, "0.1", worst="1999.0"))
        (sent,) = [args for _, path, args in on.house.calls if path.endswith("sendorder")]
        assert (sent["orderType"], sent["limitPrice"]) == ("ioc", "1999")
        events = await on.step() + await on.step()
        assert [type(event) for event in events if isinstance(event, (Accepted, Fill, Canceled))] == [Accepted, Canceled]


async def test_an_order_that_ended_long_ago_is_found_in_the_history() -> None:
    """`orders/status` knows an order for five seconds after its end; its history tells what is left of it as its quantity."""
    async with stand("krakenfutures", ["2000.0", "2000.0", "1990.0", "2000.0", "2000.0", "2000.0"]) as on:
        await on.step()
        filled, gone = order(on, 1, Side.BUY, "0.1", limit="1995.0"), order(on, 2, Side.BUY, "0.1", limit="1900.0")
        for one in (filled, gone):
            await on.submit(one)
        await on.step()
        await on.cancel(gone)
        on.house.play(3)
        for driver in (on, await InStep.__aenter__(stand_again(on))):
            reports = [await driver.look_up(one) for one in (filled, gone)]
            assert [report.status for report in reports if report is not None] == [OrderStatus.FILLED, OrderStatus.CANCELED]
            assert [report.filled for report in reports if report is not None] == [filled.place.qty, 0]
            if driver is not on:
                await driver.venue.aclose()


async def test_more_fills_than_a_page_has_are_told_whole() -> None:
    async with stand("krakenfutures", ["2000.0"] * 30) as on:
        on.shape.page = 7
        for n in range(1, 26):
            side = Side.BUY if n % 2 else Side.SELL
            on.house.order(f"other-{n}", side.value, "0.01")
            on.house.play(1)
        facts = await on.history(0)
        assert len([fact for fact in facts if isinstance(fact, Fill)]) == 24
        assert len(await on.cash_flows(0)) == 24


# -- Binance ----------------------------------------------------------------------------------------------------------------


async def test_a_hedged_account_is_refused() -> None:
    async with stand("binanceusdm", ["2000.0"] * 4) as on:
        told = Told(on)
        await told.step()
        await on.submit(order(on, 1, Side.BUY, "0.1", worst="2100.0"))
        await told.step(2)
        rows = on.shape.positionRisk({})
        on.shape.positionRisk = lambda args: [row | {"positionSide": "LONG"} for row in rows]
        with pytest.raises(VenueUnavailable, match="hedge mode"):
            await on.positions()


async def test_a_position_that_no_trade_made_is_not_counted_away() -> None:
    async with stand("binanceusdm", ["2000.0"] * 4) as on:
        await on.step()
        row = {
            "symbol": on.shape.id,
            "positionSide": "BOTH",
            "positionAmt": "-0.5",
            "entryPrice": "2000",
            "markPrice": "2000",
            "notional": "-1000",
        }
        on.shape.positionRisk = lambda args: [
            row | {"unRealizedProfit": "0", "liquidationPrice": "0", "isolatedMargin": "0", "initialMargin": "1"}
        ]
        with pytest.raises(VenueUnavailable, match="flat_at="):
            await on.positions()


async def test_a_past_before_an_instant_at_which_nothing_was_held_is_left_out() -> None:
    on = stand("binanceusdm", ["2000.0"] * 9)
    on.house.play(1)
    on.house.order("other-1", "buy", "0.01")
    on.house.play(2)
    on.house.order("other-2", "sell", "0.01")
    on.house.play(2)
    flat = on.house.now
    on.house.order("other-3", "buy", "0.02")
    on.house.play(2)
    on.venue._flat_at = flat
    async with on:
        assert [fact.trade_id for fact in await on.history(0) if isinstance(fact, Fill)] == [str(on.house.trades[-1].id)]
        (held,) = (await on.positions()).values()
        assert held.qty == on.house.market.qty("0.02")


async def test_deposits_are_lines_where_trades_stand_for_a_ledger() -> None:
    async with stand("binance", ["2000.0"] * 4, deposited=True) as on:
        await on.step()
        await on.submit(order(on, 1, Side.BUY, "0.1", worst="2100.0"))
        await on.step()
        await on.step()
        flows = await on.cash_flows(0)
        assert [flow.kind for flow in flows if flow.amount.asset.code == "USDT"] == [FlowKind.DEPOSIT, FlowKind.FEE, FlowKind.TRADE]
        sums: dict[str, int] = {}
        for flow in flows:
            sums[flow.amount.asset.code] = sums.get(flow.amount.asset.code, 0) + flow.amount.units
        assert sums == {code: amount.units for code, amount in (await on.balances()).items()}


async def test_where_transfers_may_not_be_asked_for_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """What they were is found as a difference then; the key is not held to be worse for it."""

    def denied(args: dict[str, str]) -> Any:
        raise Answer(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})

    async with stand("binance", ["2000.0"] * 3) as on:
        on.shape.hisrec = denied
        for _ in range(2):
            assert await on.cash_flows(0) == []
        assert caplog.text.count("does not tell fetch_deposits") == 1
        await on.balances()


@pytest.mark.parametrize("broken", [{"price": "abc"}, {"commission": None}, {"qty": "0.1000000000001"}, {"side": "SIDEWAYS"}])
async def test_a_trade_that_cannot_be_read_is_no_part_of_a_past(broken: dict[str, Any]) -> None:
    async with stand("binanceusdm", ["2000.0"] * 4) as on:
        await on.step()
        await on.submit(order(on, 1, Side.BUY, "0.1", worst="2100.0"))
        on.house.play(1)
        told = on.shape.trade
        on.shape.trade = lambda trade: told(trade) | broken
        for read in (on.history, on.cash_flows):
            with pytest.raises(VenueUnavailable):
                await read(0)
        on.shape.trade = told
        assert len([fact for fact in await on.history(0) if isinstance(fact, Fill)]) == 1


async def test_an_amount_finer_than_it_is_counted_is_never_rounded() -> None:
    async with stand("binance", ["2000.0"] * 3) as on:
        on.shape.account = lambda args: {"balances": [{"asset": "USDT", "free": "1.0000000001", "locked": "0"}], "updateTime": 1}
        with pytest.raises(VenueUnavailable, match=r"1\.0000000001"):
            await on.balances()


# -- what fails on the way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SHAPES))
async def test_an_order_whose_answer_is_lost_is_found_by_our_id(name: str) -> None:
    async with stand(name, ["2000.0"] * 4) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", limit="1900.0")
        place = "/exchange" if name == "hyperliquid" else "sendorder" if name == "krakenfutures" else "/order"
        on.house.faults.append((place, lambda: lambda: None))  # done, and the connection is cut
        await on.submit(one)
        (accepted,) = [event for event in await on.said() if isinstance(event, Accepted)]
        assert accepted.order_id == "quiet-1"
        assert len(on.house.rows) == 1
        assert [report.order_id for report in await on.open_orders()] == ["quiet-1"]


@pytest.mark.parametrize("name", sorted(SHAPES))
async def test_an_outage_leaves_an_order_of_unknown_fate(name: str) -> None:
    async with stand(name, ["2000.0"] * 4, look_after=0.01) as on:
        await on.step()
        one = order(on, 1, Side.BUY, "0.1", limit="1900.0")
        place = "/exchange" if name == "hyperliquid" else "sendorder" if name == "krakenfutures" else "/order"
        on.house.faults.append((place, lambda: Answer(503, "<html>down</html>")))
        with pytest.raises(VenueUnknown):
            await on.submit(one)
        await on.submit(one)
        assert not on.house.rows and await on.look_up(one) is None


@pytest.mark.parametrize("name", sorted(SHAPES))
async def test_a_no_is_an_event(name: str) -> None:
    async with stand(name, ["2000.0"] * 4) as on:
        await on.step()
        await on.submit(order(on, 1, Side.BUY, "400", worst="2100.0"))
        (rejected,) = [event for event in await on.said() if isinstance(event, Rejected)]
        assert any(word in rejected.reason.lower() for word in ("insufficient", "balance", "funds"))


# -- opening ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["krakenfutures"])
async def test_an_inverse_contract_is_refused_by_name(name: str) -> None:
    async with stand(name, ["2000.0"] * 2) as on:
        with pytest.raises(InvalidMarket, match="ETH/USD:ETH of krakenfutures is an inverse contract"):
            on.venue.instrument("ETH/USD:ETH")


async def test_a_market_that_nobody_has_is_refused_when_it_is_opened() -> None:
    on = stand("binance", ["2000.0"] * 2)
    on.venue._wanted = ("NO/PE",)
    with pytest.raises(InvalidMarket, match="binance has no market 'NO/PE'"):
        await on.venue.aopen()
    on.server.stop()


async def test_quotes_are_of_the_clock_that_is_handed_in() -> None:
    async with stand("krakenfutures", ["2000.0"] * 2) as on:
        (quote,) = [event for event in await on.asked() if isinstance(event, Quote)]
        assert quote.at == on.house.now, "its ticker says when it was last traded, which may be long ago"


def test_sandbox_is_the_host_for_tests_or_a_clear_no() -> None:
    with pytest.raises(VenueRejected, match="kraken has no host for tests"):
        Ccxt("kraken", ["ETH/USD"], sandbox=True)
    for name in ("krakenfutures", "hyperliquid", "binance", "binanceusdm"):
        venue = Ccxt(name, [], sandbox=True)
        hosts = str(venue._line.exchange.urls["api"])
        assert any(word in hosts for word in ("demo", "test")), hosts
        assert venue.real_money is False
    assert Ccxt("kraken", []).real_money is True


def test_what_it_is_made_of_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VenueRejected, match="ccxt knows no exchange 'krakken'"):
        Ccxt("krakken", [])
    with pytest.raises(VenueRejected, match="ccxt knows no exchange 'Exchange'"):
        Ccxt("Exchange", [])
    with pytest.raises(VenueRejected, match="object of its synchronous classes"):
        Ccxt(object(), [])
    import ccxt.async_support

    with pytest.raises(VenueRejected, match="object of its synchronous classes"):
        Ccxt(ccxt.async_support.kraken(), [])
    with pytest.raises(VenueRejected, match="keys are a KeyRing"):
        Ccxt("kraken", [], keys="abc")  # type: ignore[arg-type]
    real = builtins.__import__

    def without(name: str, *args: Any, **named: Any) -> Any:
        if name == "ccxt":
            raise ImportError(name)
        return real(name, *args, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"sleeves\[ccxt\]"):
        Ccxt("kraken", [])


def test_an_object_that_retries_is_made_not_to() -> None:
    """A retry inside ccxt would send an order again."""
    own = ccxt.kraken({"options": {"maxRetriesOnFailure": 3}, "verbose": True})
    Ccxt(own, [])
    assert own.options["maxRetriesOnFailure"] == 0 and own.verbose is False and own.number is str


def test_the_table_fits_this_ccxt() -> None:
    for name in MANNERS:
        exchange = getattr(ccxt, name)()
        assert exchange.precisionMode == 4
        for what in ("fetchMyTrades", "fetchOpenOrders", "fetchOrder", "fetchBalance"):
            assert exchange.has[what]
    assert Amount(1, Asset("X", 0)).text == "1"


def test_nothing_waits_for_a_thread() -> None:
    """Opened and closed again and again, in several loops."""

    async def run(on: InStep) -> None:
        async with on.venue:
            await on.venue.polled()

    on = stand("krakenfutures", ["2000.0"] * 2)
    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(run, on, backend=backend)
    on.server.stop()
