"""No value of a key is ever shown: in no log at DEBUG, in no error or its traceback, in nothing that the driver shows of itself."""

from __future__ import annotations

import base64
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

from ccxt_house import flat_script
from ccxt_stand import SHAPES, InStep

from sleeves.errors import VenueError
from sleeves.keys import KeySet, Rights, Secret
from sleeves.orders import Order, Place, Side
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.venues.ccxt import Ccxt

FAULTS: list[Fault | str] = [
    "EAPI:Invalid key",
    "EAPI:Invalid nonce",
    "EGeneral:Permission denied",
    "EOrder:Insufficient funds",
    "EService:Unavailable",
    "EMade:Up",
    Fault.status(500),
    Fault.html(),
    Fault.garbage(),
    Fault.cut(),
    Fault.drop(),
    Fault.lost(1.0),
]


def forms(values: list[str]) -> list[str]:
    """How a value could be written down."""
    found = []
    for value in values:
        raw = value.encode()
        found += [value, raw.hex(), base64.b64encode(raw).decode(), repr(value)[1:-1]]
    return found


def check(text: str, values: list[str]) -> None:
    for form in forms(values):
        assert form not in text, f"a value of the key, {form[:4]}..., is in: {text[max(0, text.find(form) - 200) : text.find(form) + 40]}"


async def shown(call: Callable[[], Awaitable[Any]]) -> str:
    """All that an error shows, causes and contexts and their frames' variables in it."""
    try:
        await call()
    except VenueError as error:
        with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(with_locals.format()) + repr(error) + repr(error.__dict__) + repr(error.__context__) + repr(error.__cause__)
    return ""


def test_no_value_is_shown_on_any_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    with kraken_server(pairs=("ETH/USD",), balances={"USD": "10000"}, prices={"ETH/USD": "2500.00"}, tier=None) as server:
        values = [server.key.api_key, server.key.secret]

        async def run() -> None:
            for number, fault in enumerate(FAULTS):
                rights = Rights.of("read", "trade", addresses=["127.0.0.1"])
                key = KeySet("main", venue="kraken", api_key=Secret(values[0]), secret=Secret(values[1]), rights=rights)
                hosts = {"api": {"public": server.url, "private": server.url}}
                config = {"enableRateLimit": False, "urls": hosts}
                async with Ccxt("kraken", ["ETH/USD"], keys=key, config=config, poll=None, timeout=0.4, look_after=0.01) as venue:
                    market = venue.instrument("ETH/USD")
                    order = Order(
                        f"quiet-{number + 1}",
                        "quiet",
                        Place(market, Side.BUY, market.qty("0.1"), limit=market.price("2000")),
                        time.time_ns(),
                    )
                    server.fault("AddOrder", fault)
                    texts.append(await shown(lambda venue=venue, order=order: venue.submit(order)))
                    server.fault("BalanceEx", fault)
                    texts.append(await shown(venue.balances))
                    server.fault("CancelOrder", fault)
                    texts.append(await shown(lambda venue=venue, order=order: venue.cancel(order)))
                    texts.append(await shown(venue.polled))
                    line = venue._line.exchange
                    texts.append(repr(venue) + repr(vars(venue)) + repr(vars(line)))

        anyio.run(run)
    assert sum(bool(text) for text in texts) > 3 * len(FAULTS)
    for text in [caplog.text, *(record.getMessage() + repr(record.__dict__) for record in caplog.records), *texts]:
        check(text, values)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_no_value_is_logged_on_any_shape(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shape = SHAPES[name]
    script = flat_script(shape.market, ["2000.00"] * 3, {shape.market.quote.code: shape.market.quote("10000")})

    async def run() -> str:
        async with InStep(shape, script) as stand:
            await stand.step()
            market = shape.market
            order = Order("quiet-1", "quiet", Place(market, Side.BUY, market.qty("0.1")), stand.house.now, market.price("2100"))
            await stand.venue.submit(order)
            await stand.step()
            await stand.venue.balances()
            return repr(stand.venue) + repr(vars(stand.venue._line.exchange))

    text = anyio.run(run)
    values = [value for value in shape.key if not value.startswith("0x14")]  # an address is public
    check(text, values)
    check(caplog.text, values)


def test_a_key_of_the_objects_own_is_hidden_too() -> None:
    """Where the credentials are ccxt's own, errors do not have them either."""
    import ccxt

    with kraken_server(pairs=("ETH/USD",), balances={"USD": "1"}, tier=None) as server:
        hosts = {"api": {"public": server.url, "private": server.url}}
        own = ccxt.kraken(
            {"apiKey": "own-key-0123456789", "secret": base64.b64encode(b"own secret").decode(), "enableRateLimit": False, "urls": hosts}
        )

        async def run() -> str:
            async with Ccxt(own, ["ETH/USD"], poll=None) as venue:
                server.fault("BalanceEx", "EGeneral:Invalid arguments:own-key-0123456789")
                return await shown(venue.balances)

        text = anyio.run(run)
        assert "****" in text
        check(text, ["own-key-0123456789"])
