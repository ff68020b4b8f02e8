"""What the doctor finds through ccxt: on the local Kraken, and on the shapes of Binance and Hyperliquid."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

pytest.importorskip("ccxt")
pytest.importorskip("uvicorn")

from ccxt_house import flat_script
from ccxt_hyperliquid import ADDRESS, PRIVATE
from ccxt_stand import SHAPES, InStep

from sleeves.errors import VenueRejected
from sleeves.keys import Health, KeyRing, KeySet, Nonces, Right, Rights, Secret
from sleeves.market import SECOND
from sleeves.testing.kraken_server import Fault, Key, KrakenServer, kraken_server
from sleeves.testing.kraken_server.keys import TRADING
from sleeves.venues import doctor
from sleeves.venues.ccxt import Ccxt
from sleeves.venues.ccxt.checkup import NEEDED, RIGHTS, checkup, isolation
from sleeves.venues.checkup import Checkup, Grade
from sleeves.venues.kraken.client import PERMISSIONS

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
NOON = 1_790_000_000 * SECOND


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def exchange() -> Any:
    balances = {"USD": "10000", "ETH": "1", "ETH.F": "0.5"}
    with kraken_server(balances=balances, prices={"ETH/USD": "2500.00"}, tier=None) as server:
        yield server


def ring_of(*keys: tuple[str, Key]) -> KeyRing:
    sets = [
        KeySet(name, venue="kraken", api_key=Secret(key.api_key), secret=Secret(key.secret), rights=Rights.of("read")) for name, key in keys
    ]
    return KeyRing(sets, clock=time.time_ns, nonces=Nonces(time.time_ns))


async def look(server: KrakenServer, ring: KeyRing | None = None, *markets: str, **terms: Any) -> Checkup:
    return await doctor.ccxt("kraken", markets or ("ETH/USD",), keys=ring, base_url=server.url, timeout=2.0, **terms)


def texts(found: Checkup, grade: Grade, subject: str | None = None) -> list[str]:
    return [one.text for one in found.findings if one.grade is grade and subject in (None, one.subject)]


# -- on Kraken -----------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_sound_key_is_fit_and_everything_is_told(exchange: KrakenServer) -> None:
    ring = ring_of(("main", exchange.add_key("sound", addresses=["203.0.113.7"])))
    before = exchange.balances()
    found = await look(exchange, ring)
    assert found.fit and not texts(found, Grade.WARNING)
    for part in (
        "clock: the venue's and this machine's are less than a second apart",
        "status: ok",
        "market ETH/USD: active; at least 0.002 ETH and 0.5 USD; prices in steps of 0.01 USD, quantities of 0.00000001 ETH",
        "ccxt: has all that the driver asks for here",
        "key main: it may read, trade",
        "wallet ETH.F: 0.5, counted as ETH",
        "fees: ETH/USD: maker 0.25 %, taker 0.4 %, as the exchange tells for this account; in and out at market costs 0.8 %",
        "sub-account: not known",
        "on-chain: no",
    ):
        assert part in str(found)
    assert ring.vault_of("main") == "" and ring.describe()[0]["rights"] == "read, trade"
    assert exchange.balances() == before and not exchange.orders()
    assert {call.method for call in exchange.calls if call.key} == {"BalanceEx", "GetApiKeyInfo", "TradeVolume"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({*TRADING, "withdraw-funds"}, "drop the right to withdraw: it can send money out of the account"),
        ({*TRADING, "rule-the-world"}, "drop rule-the-world: what that permits is not known here, so it is refused"),
        (TRADING - {"modify-trades"}, "lacks modify-trades: the driver needs it"),
        (TRADING - {"query-ledger"}, "lacks query-ledger: the driver needs it"),
    ],
)
async def test_what_a_key_may_and_should_not(exchange: KrakenServer, words: set[str], said: str) -> None:
    ring = ring_of(("main", exchange.add_key("k", permissions=words)))
    found = await look(exchange, ring)
    assert texts(found, Grade.BAD) == [said]
    assert (ring.health("main") is Health.SUSPECT) is said.startswith("drop")


def test_the_words_of_kraken_mean_the_same_through_ccxt() -> None:
    """The two drivers know nothing of each other, so each has its table."""
    assert RIGHTS["kraken"].means == PERMISSIONS


async def test_without_keys_the_public_part_alone(exchange: KrakenServer) -> None:
    found = await look(exchange)
    assert found.fit and texts(found, Grade.WARNING, "keys")
    assert "by ccxt's own table" in texts(found, Grade.NOTE, "fees")[0]
    assert not [call for call in exchange.calls if call.key]


async def test_an_object_with_credentials_of_its_own(exchange: KrakenServer) -> None:
    config = {"apiKey": exchange.key.api_key, "secret": exchange.key.secret}
    found = await look(exchange, None, config=config)
    assert found.fit and texts(found, Grade.NOTE, "key of the object") == ["it may read, trade"]


async def test_a_wrong_secret_and_a_second_key_that_works(exchange: KrakenServer) -> None:
    wrong = Key.made("wrong", api_key=exchange.add_key("real").api_key)
    ring = ring_of(("wrong", wrong), ("main", exchange.key))
    found = await look(exchange, ring)
    assert "EAPI:Invalid signature" in texts(found, Grade.BAD, "key wrong")[0]
    assert ring.health("wrong") is Health.DEAD and ring.health("main") is Health.HEALTHY
    assert found.of("wallet USD"), "what the account holds is told by the key that works"


async def test_no_answer_about_rights_is_not_held_against_the_key(exchange: KrakenServer) -> None:
    exchange.fault("GetApiKeyInfo", "EGeneral:Permission denied", times=9)
    ring = ring_of(("main", exchange.key))
    found = await look(exchange, ring)
    assert "see at the exchange that it may not withdraw" in texts(found, Grade.WARNING, "key main, rights")[0]
    assert ring.health("main", Right.READ) is Health.HEALTHY


@pytest.mark.parametrize("skew", [0, 3 * SECOND, -9 * SECOND])
async def test_a_clock_that_differs(skew: int) -> None:
    with kraken_server(clock=lambda: NOON + skew, tier=None) as server:
        found = await look(server, clock=lambda: NOON)
    grade = {0: Grade.GOOD, 3: Grade.WARNING, -9: Grade.BAD}[skew // SECOND]
    assert [one.grade for one in found.of("clock")] == [grade]


async def test_a_market_that_is_not_there_and_one_that_is_closed(exchange: KrakenServer) -> None:
    exchange.pair_status("BTC/USD", "cancel_only")
    found = await look(exchange, None, "NO/USD", "BTC/USD")
    assert texts(found, Grade.BAD, "market NO/USD") == ["kraken has no market 'NO/USD', as ccxt names them"]
    assert found.of("market BTC/USD")[0].text.partition(";")[0] in ("is not active: it takes no orders", "active")


async def test_maintenance_and_silence_are_findings(exchange: KrakenServer) -> None:
    exchange.system = "maintenance"
    assert not (await look(exchange, ring_of(("main", exchange.key)))).fit
    exchange.stop()
    found = await look(exchange)
    assert [one.subject for one in found.findings] == ["reached"] and not found.fit
    assert found.isolation == isolation("kraken")


@pytest.mark.parametrize("method", ["Time", "SystemStatus", "BalanceEx", "GetApiKeyInfo", "TradeVolume"])
async def test_what_cannot_be_asked_is_a_finding_and_never_an_exception(exchange: KrakenServer, method: str) -> None:
    for fault in (Fault.error("EWhat:Ever"), Fault.html(), Fault.garbage(), Fault.status(500), Fault.drop()):
        exchange.fault(method, fault, times=9)
        found = await look(exchange, ring_of(("main", exchange.key)))
        assert [text for text in texts(found, Grade.WARNING) + texts(found, Grade.BAD) if "could not be asked" in text], fault
        exchange.faults.clear()


async def test_no_secret_is_shown(exchange: KrakenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exchange.fault("BalanceEx", f"EWhat:Ever {exchange.key.secret}", times=9)
    found = await look(exchange, ring_of(("main", exchange.key)))
    page = str(found) + caplog.text + repr(doctor.rows(found))
    assert "EWhat:Ever ****" in page and exchange.key.secret not in page and exchange.key.api_key not in page


async def test_an_exchange_that_nobody_knows_is_wrong_use() -> None:
    with pytest.raises(VenueRejected, match="ccxt knows no exchange 'nope'"):
        await doctor.ccxt("nope")
    with pytest.raises(VenueRejected, match="no host for tests"):
        await doctor.ccxt("kraken", sandbox=True)


# -- other exchanges -----------------------------------------------------------------------------------------------------


def stand(name: str) -> InStep:
    market = SHAPES[name].market
    return InStep(SHAPES[name], flat_script(market, ["2000.0", "2000.0"], {market.quote.code: market.quote("100")}))


SOUND = {
    "ipRestrict": True,
    "createTime": 1_698_645_219_000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": True,
    "permitsUniversalTransfer": False,
    "enableSpotAndMarginTrading": True,
}


@pytest.mark.parametrize(
    ("more", "grade", "said"),
    [
        ({}, None, ""),
        ({"enableWithdrawals": True}, Grade.BAD, "drop the right to withdraw"),
        ({"enableInternalTransfer": True}, Grade.BAD, "drop the right to transfer"),
        ({"permitsUniversalTransfer": True}, Grade.BAD, "drop the right to transfer"),
        ({"enableFutures": False}, Grade.BAD, "lacks enableFutures"),
        ({"enableTeleport": True}, Grade.BAD, "drop enableTeleport: what that permits is not known here"),
        ({"ipRestrict": False}, Grade.WARNING, "it is bound to no IP address"),
    ],
)
async def test_what_binance_says_of_a_key(more: dict[str, bool], grade: Grade | None, said: str) -> None:
    async with stand("binanceusdm") as on:
        on.shape.apiRestrictions = lambda args: SOUND | more
        found = await checkup(on.venue)
        assert found.of("market ETH/USDT:USDT")[0].grade is Grade.GOOD
        mine = texts(found, Grade.BAD, "key kit") + texts(found, Grade.WARNING, "key kit")
        if grade is None:
            assert mine == [] and "key kit: it may read, trade" in str(found)
        else:
            assert [text for text in texts(found, grade, "key kit") if text.startswith(said)] == mine


async def test_an_answer_of_another_form_says_nothing_of_rights() -> None:
    async with stand("binanceusdm") as on:
        for answer in ({}, [], "yes", {"enableWithdrawals": True}):
            on.shape.apiRestrictions = lambda args, answer=answer: answer
            found = await checkup(on.venue)
            assert "could not be asked" in texts(found, Grade.WARNING, "key kit, rights")[0], answer


async def test_an_exchange_without_a_word_about_rights_says_so() -> None:
    async with stand("krakenfutures") as on:
        found = await checkup(on.venue)
        (said,) = texts(found, Grade.NOTE, "key kit")
        assert said == "what it may do is not told through ccxt: see at the exchange that it may not withdraw or transfer"


async def test_the_wallets_own_key_is_found_and_an_api_wallet_is_not() -> None:
    async with stand("hyperliquid") as on:
        found = await checkup(on.venue)
        assert [one.offered for one in found.isolation] == [True, None, True]
        assert any("the wallet's own private key" in text for text in texts(found, Grade.BAD, "key kit"))
        other = KeySet("kit", venue="hyperliquid", api_key=Secret(ADDRESS), secret=Secret("0x" + "42" * 32), rights=Rights.of("read"))
        async with Ccxt("hyperliquid", [], keys=other, config=on.shape.config(on.server.url), poll=None) as venue:
            found = await checkup(venue)
            assert found.fit and "an API wallet may trade, and not withdraw" in str(found)
        broken = KeySet("kit", venue="hyperliquid", api_key=Secret(ADDRESS), secret=Secret("0xnothex"), rights=Rights.of("read"))
        async with Ccxt("hyperliquid", [], keys=broken, config=on.shape.config(on.server.url), poll=None) as venue:
            found = await checkup(venue)
            assert "could not be worked out" in str(found) and "nothex" not in str(found)
        assert PRIVATE not in str(found)


async def test_what_ccxt_lacks_is_told_with_what_it_costs(exchange: KrakenServer) -> None:
    async with Ccxt("kraken", [], config={"enableRateLimit": False, "urls": {"api": {"public": exchange.url}}}, poll=None) as venue:
        for name, why in NEEDED.items():
            venue._line.exchange.has[name] = None
            found = await checkup(venue, [])
            assert f"has no {name} here: {why}" in texts(found, Grade.BAD, "ccxt")
        venue._line.exchange.has["fetchLedger"] = venue._line.exchange.has["fetchTime"] = False
        found = await checkup(venue, [])
        assert "the ledger, which is the truth about money" in texts(found, Grade.WARNING, "ccxt")[0]
        assert texts(found, Grade.NOTE, "clock") == ["the exchange does not tell its time"]
        assert texts(found, Grade.NOTE, "markets") == ["none was named, so none was looked at"]
