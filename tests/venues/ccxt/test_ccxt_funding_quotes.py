"""Funding through ccxt as quotes: hourly at Hyperliquid and dYdX v4, eight hours at Binance, and refused by name where nobody says."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

import ccxt
from ccxt_house import flat_script
from ccxt_stand import SHAPES, InStep

from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.funding_quotes import Kind, ShareOf, ranked
from sleeves.market import HOUR, SECOND, FundingRate
from sleeves.testing.serving import serve
from sleeves.venues.ccxt import Ccxt

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stand(name: str) -> InStep:
    shape = SHAPES[name]
    market = shape.market
    return InStep(shape, flat_script(market, ["2000.0"] * 3, {market.quote.code: market.quote("10000")}, ()))


@pytest.mark.parametrize(
    ("name", "rate", "every", "basis"),
    [
        ("binanceusdm", Fraction(1, 10_000), 8 * HOUR, ShareOf.MARK),
        ("krakenfutures", Fraction(1, 100_000), HOUR, ShareOf.MARK),  # 0.02 quote coins a contract at 2000
        ("hyperliquid", Fraction(125, 10_000_000), HOUR, ShareOf.ORACLE),
    ],
)
async def test_a_quote_has_the_interval_that_the_exchange_tells(name: str, rate: Fraction, every: int, basis: ShareOf) -> None:
    async with stand(name) as on:
        (quote,) = await on.venue.funding_quotes()
        assert (quote.rate, quote.interval, quote.basis, quote.kind) == (rate, every, basis, Kind.LIVE)
        assert quote.venue == on.venue.name and quote.symbol == on.house.market.symbol
        (news,) = [event for event in await on.asked() if isinstance(event, FundingRate)]
        assert quote.news(on.house.market, price=news.price, at=news.at) == news  # engines see the same


async def test_without_an_interval_it_is_refused_by_name() -> None:
    async with stand("binanceusdm") as on:
        on.venue._line.exchange.has["fetchFundingIntervals"] = False
        with pytest.raises(InvalidMarket, match=f"does not say for how long {on.house.market.symbol} is funded"):
            await on.venue.funding_quotes()


async def test_what_is_no_contract_is_refused_and_nothing_asked_is_nothing() -> None:
    async with stand("hyperliquid") as on:
        for wrong in ("NOBODY/USDC:USDC", "x"):
            with pytest.raises(InvalidMarket, match="is no perpetual contract"):
                await on.venue.funding_quotes([wrong])
        assert await on.venue.funding_quotes([]) == ()
        with pytest.raises(InvalidMarket, match="not of 'hope'"):
            await on.venue.funding_quotes(basis="hope")
        (quote,) = await on.venue.funding_quotes(basis="index")
        assert quote.basis is ShareOf.INDEX


async def test_it_must_be_open() -> None:
    with pytest.raises(VenueUnavailable, match="is not open"):
        await Ccxt("dydx", []).funding_quotes()


# -- dYdX v4, which tells what was paid ---------------------------------------------------------------------------------------

MARKET = {
    "clobPairId": "0",
    "ticker": "BTC-USD",
    "status": "ACTIVE",
    "oraclePrice": "60000",
    "tickSize": "1",
    "stepSize": "0.0001",
    "initialMarginFraction": "0.02",
    "maintenanceMarginFraction": "0.012",
    "nextFundingRate": "0",
}
"""The fields of a market as ccxt's own source quotes the indexer's answer."""


def paid(hour: int, rate: str, minute: int = 0) -> dict[str, Any]:
    at = f"2025-07-25T{hour:02}:{minute:02}:00.013Z"  # a block's time, a little after the hour
    return {"ticker": "BTC-USD", "rate": rate, "price": "60000", "effectiveAtHeight": "1", "effectiveAt": at}


HOURLY = [paid(11, "0.0000125"), paid(10, "0.00001"), paid(9, "0"), paid(8, "-0.00001")]
ELEVEN = 1_753_441_200 * SECOND


@asynccontextmanager
async def dydx(rows: list[dict[str, Any]], now: int = ELEVEN + 60 * SECOND):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        said = {"historicalFunding": rows} if "historicalFunding" in scope["path"] else {"markets": {"BTC-USD": MARKET}}
        body = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with serve(app) as url:
        exchange = ccxt.dydx()
        exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], f"{url}/v4")
        async with Ccxt(exchange, [], poll=None, clock=lambda: now) as venue:
            yield venue


async def test_dydx_is_hourly_and_tells_what_was_paid() -> None:
    async with dydx(HOURLY) as venue:
        (quote,) = await venue.funding_quotes(["BTC/USDC:USDC"])
        assert (quote.venue, quote.symbol, quote.rate, quote.interval) == ("dydx", "BTC/USDC:USDC", Fraction(125, 10_000_000), HOUR)
        assert (quote.basis, quote.kind, quote.next) == (ShareOf.ORACLE, Kind.SETTLED, ELEVEN + HOUR)
        assert quote.per_year == Fraction(125, 10_000_000) * 24 * 365


async def test_what_was_paid_long_ago_does_not_say_when_it_is_due() -> None:
    async with dydx(HOURLY, ELEVEN + HOUR) as venue:
        assert (await venue.funding_quotes(["BTC/USDC:USDC"]))[0].next is None


@pytest.mark.parametrize(
    "rows",
    [
        HOURLY[:3],  # too few to know
        [paid(11, "0.1"), paid(10, "0"), paid(9, "0"), paid(7, "0")],  # one is missing: an hour or two
        [paid(11, "0.1"), paid(11, "0"), paid(11, "0"), paid(11, "0")],
    ],
)
async def test_an_interval_that_the_payments_do_not_tell_is_not_guessed(rows: list[dict[str, Any]]) -> None:
    async with dydx(rows) as venue:
        with pytest.raises(InvalidMarket, match="does not say for how long BTC/USDC:USDC is funded"):
            await venue.funding_quotes(["BTC/USDC:USDC"])


async def test_no_payments_are_no_rate_of_zero() -> None:
    async with dydx([]) as venue:
        with pytest.raises(InvalidMarket, match="tells no funding rate of BTC/USDC:USDC"):
            await venue.funding_quotes(["BTC/USDC:USDC"])


async def test_an_exchange_of_which_nothing_is_known_must_be_told_the_basis() -> None:
    async with dydx(HOURLY) as venue:
        venue._line.id = "somewhere"
        with pytest.raises(InvalidMarket, match="say it with basis="):
            await venue.funding_quotes(["BTC/USDC:USDC"])
        assert (await venue.funding_quotes(["BTC/USDC:USDC"], basis="oracle"))[0].basis is ShareOf.ORACLE


async def test_venues_are_ranked_by_what_a_year_comes_to() -> None:
    async with stand("binanceusdm") as one, stand("hyperliquid") as other, dydx(HOURLY) as third:
        quotes = [*await one.venue.funding_quotes(), *await other.venue.funding_quotes(), *await third.funding_quotes(["BTC/USDC:USDC"])]
    # 0.01% for eight hours is the same as 0.00125% for one: a tie goes by name
    assert [quote.per_hour for quote in ranked(quotes)] == [Fraction(1, 80_000)] * 3
    assert [quote.venue for quote in ranked(quotes)] == ["binanceusdm", "dydx", "hyperliquid"]
