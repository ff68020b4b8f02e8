"""Kraken's endpoints: the shapes of the reference, every page, what is asked again, and what is sent once."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sentinel import Sentinel
from sleeves.errors import InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import Health, InvalidKey, KeyRing, KeySet, NoKey, Right, Rights, Secret
from sleeves.market import SECOND
from sleeves.venues.kraken.client import (
    AMEND_COSTS,
    CANCEL_COSTS,
    EDIT_COSTS,
    HOST,
    NO_TIER,
    PERMISSIONS,
    TIERS,
    Act,
    Balance,
    Client,
    Query,
    Rate,
    Tier,
    aged,
)
from sleeves.venues.kraken.faults import Kind, KrakenRejected, KrakenUnavailable, KrakenUnknown
from sleeves.venues.retry import Retry
from strategies import law
from venues.kraken.tiny_kraken import KEY, SECRET, Said, tiny
from venues.raw_server import HANG, closed_port, raw

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
ways = pytest.mark.parametrize("way", ["httpx", "krakenex"])
VAULT = "core:main:USD"
WIDE = Tier("wide", 100_000, 1_000, 60, 1, 60)
FAST = Retry(attempts=4, first=0.001, most=0.002, jitter=0)
D = Decimal


def run(story, kraken, backend="asyncio", *, keys=None, **terms):
    """A story with a client of a tiny Kraken."""

    async def main():
        given = {"tier": WIDE, "retry": FAST, "timeout": 2.0, "connect_timeout": 1.0} | terms
        async with Client(kraken.keys() if keys is None else keys, base_url=kraken.url, **given) as client:
            return await story(client)

    return anyio.run(main, backend=backend)


def ask(answers, story, backend="asyncio", **terms):
    with tiny(answers) as kraken:
        return run(story, kraken, backend, **terms)


# -- what is public: shapes of reference/venues.md, 1.1 ----------------------------------------------------------------


@both
@ways
def test_time_and_status(backend, way):
    answers = {
        "Time": {"unixtime": 1762820224, "rfc1123": "Tue, 11 Nov 25 00:17:04 +0000"},
        "SystemStatus": {"status": "cancel_only", "timestamp": "2025-11-11T00:17:10Z"},
    }

    async def story(client):
        return await client.time(), await client.status()

    assert ask(answers, story, backend, transport=way) == (1_762_820_224 * SECOND, "cancel_only")


TICKER = {
    "XETHZUSD": {
        "a": ["2500.50000", "1", "1.250"],
        "b": ["2500.00000", "2", "2.000"],
        "c": ["2500.25000", "0.01"],
        "o": "2400.00",
        "v": ["10.5", "20.75"],
        "p": ["2490", "2480"],
        "t": [100, 200],
        "l": ["2300", "2290"],
        "h": ["2600", "2610"],
    }
}


def test_prices():
    found = ask({"Ticker": TICKER}, lambda client: client.ticker("ETHUSD"))
    price = found["XETHZUSD"]
    assert (price.bid, price.bid_qty, price.ask, price.ask_qty) == (D("2500"), D("2"), D("2500.5"), D("1.25"))
    assert (price.last, price.volume) == (D("2500.25"), D("20.75"))


def test_bars_and_books_and_trades():
    bar = [1790000040, "2500.0", "2501.0", "2499.0", "2500.5", "2500.2", "1.5", 7]
    answers = {
        "OHLC": {"XETHZUSD": [bar], "last": 1789999980},
        "Depth": {"XETHZUSD": {"asks": [["2500.50", "20.000", 1790000000]], "bids": [["2500.00", "1.0", 1790000001]]}},
        "Trades": {"XETHZUSD": [["2500.50", "0.01", 1790000000.5, "b", "l", "", 1000]], "last": "1790000000123456789"},
    }

    async def story(client):
        return await client.ohlc("ETHUSD", 1), await client.depth("ETHUSD"), await client.trades("ETHUSD", since=5, count=10)

    ohlc, depth, (trades, last) = ask(answers, story)
    assert ohlc.rows == ((1790000040, D("2500.0"), D("2501.0"), D("2499.0"), D("2500.5"), D("1.5"), 7),)
    assert ohlc.last == 1789999980
    assert depth.asks == ((D("2500.50"), D("20"), 1790000000 * SECOND),)
    assert depth.bids == ((D("2500"), D("1"), 1790000001 * SECOND),)
    assert trades == ((D("2500.5"), D("0.01"), 1790000000_500_000_000, "buy", "limit"),)
    assert last == 1790000000123456789


def test_what_is_asked():
    with tiny({"Ticker": TICKER, "OHLC": {"X": [], "last": 0}, "AssetPairs": {}, "Trades": {"X": [], "last": "5"}}) as kraken:

        async def story(client):
            await client.ticker("A", "B")
            await client.ticker()
            await client.ohlc("A", 60, 7)
            await client.asset_pairs("A")
            await client.trades("A")

        run(story, kraken)
    assert kraken.calls == [
        ("Ticker", {"pair": "A,B"}),
        ("Ticker", {}),
        ("OHLC", {"pair": "A", "interval": "60", "since": "7"}),
        ("AssetPairs", {"pair": "A"}),
        ("Trades", {"pair": "A"}),
    ]


# -- what is private: 1.2 ----------------------------------------------------------------------------------------------

ORDER = {
    "refid": None,
    "userref": None,
    "cl_ord_id": "6d1b345e-2821-40e2-ad83-4ecb18a06876",
    "status": "closed",
    "reason": None,
    "opentm": 1790000000.1234,
    "closetm": 1790000001.5,
    "starttm": 0,
    "expiretm": 0,
    "descr": {
        "pair": "ETHUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "2400.00",
        "price2": "0",
        "leverage": "none",
        "order": "buy 0.1… ",
        "close": "",
    },
    "vol": "0.10000000",
    "vol_exec": "0.10000000",
    "cost": "240.00000",
    "fee": "0.96000",
    "price": "2400.00",
    "stopprice": "0.00000",
    "limitprice": "0.00000",
    "misc": "",
    "oflags": "fciq",
    "trades": ["T1", "T2"],
}
TRADE = {
    "ordertxid": "O1",
    "postxid": "TK1",
    "pair": "XETHZUSD",
    "time": 1790000001.4,
    "type": "buy",
    "ordertype": "limit",
    "price": "2400.00000",
    "cost": "240.00000",
    "fee": "0.96000",
    "vol": "0.10000000",
    "margin": "0.00000",
    "leverage": "0",
    "misc": "",
    "trade_id": 7,
    "maker": True,
    "ledgers": ["L1", "L2"],
}
LINE = {
    "refid": "T1",
    "time": 1790000001.4,
    "type": "trade",
    "subtype": "",
    "aclass": "currency",
    "asset": "ZUSD",
    "amount": "-240.0000",
    "fee": "0.9600",
    "balance": "9759.0400",
}
PRIVATE = {
    "BalanceEx": {
        "ZUSD": {"balance": "10000.0000", "hold_trade": "240.0000", "credit": "5.0000", "credit_used": "1.0000"},
        "ETH.F": {"balance": "1.2500000000", "hold_trade": "0"},
    },
    "TradeVolume": {
        "currency": "ZUSD",
        "volume": "12.5000",
        "fees": {"XETHZUSD": {"fee": "0.4000", "minfee": "0.1000"}, "USDCUSD": {"fee": "0.2000"}},
        "fees_maker": {"XETHZUSD": {"fee": "-0.0200"}},
    },
    "OpenOrders": {"open": {"O1": ORDER | {"status": "open", "closetm": 0}}},
    "QueryOrders": {"O1": ORDER},
    "QueryTrades": {"T1": TRADE},
    "QueryLedgers": {"L1": LINE},
    "GetWebSocketsToken": {"token": "1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw", "expires": 900},
}


@both
@ways
def test_wallets(backend, way):
    found = ask(PRIVATE, lambda client: client.balance_ex(VAULT), backend, transport=way)
    assert found["ZUSD"] == Balance("ZUSD", D("10000"), D("240"), D("5"), D("1"))
    assert found["ZUSD"].available == D("9764"), "balance + credit - credit_used - hold_trade"
    assert str(found["ETH.F"].balance) == "1.2500000000"


def test_the_accounts_own_fees():
    volume = ask(PRIVATE, lambda client: client.trade_volume(VAULT, "ETHUSD", "USDCUSD"))
    assert (volume.currency, volume.volume) == ("ZUSD", D("12.5"))
    assert volume.rates == {"XETHZUSD": Rate(D("0.4"), D("-0.02")), "USDCUSD": Rate(D("0.2"), D("0.2"))}, "a rebate; maker as taker"


def test_orders():
    async def story(client):
        return (await client.open_orders(VAULT))["O1"], (await client.query_orders(VAULT, "O1"))["O1"]

    still, done = ask(PRIVATE, story)
    assert (done.id, done.status, done.pair, done.side, done.ordertype) == ("O1", "closed", "ETHUSD", "buy", "limit")
    assert (done.price, done.qty, done.filled, done.cost, done.fee, done.average) == (
        D("2400"),
        D("0.1"),
        D("0.1"),
        D("240"),
        D("0.96"),
        D("2400"),
    )
    assert (done.opened, done.closed, done.expires) == (1790000000_123_400_000, 1790000001_500_000_000, None)
    assert (done.cl_ord_id, done.userref, done.reason) == ("6d1b345e-2821-40e2-ad83-4ecb18a06876", None, "")
    assert (done.oflags, done.trades) == (frozenset({"fciq"}), ("T1", "T2"))
    assert (still.status, still.closed) == ("open", None)


def test_fills_and_lines():
    async def story(client):
        return await client.query_trades(VAULT, "T1"), await client.query_ledgers(VAULT, "L1")

    ((trade,), (line,)) = ask(PRIVATE, story)
    assert (trade.id, trade.order, trade.pair, trade.at, trade.side) == ("T1", "O1", "XETHZUSD", 1790000001_400_000_000, "buy")
    assert (trade.price, trade.qty, trade.cost, trade.fee, trade.maker, trade.ledgers) == (
        D("2400"),
        D("0.1"),
        D("240"),
        D("0.96"),
        True,
        ("L1", "L2"),
    )
    assert (line.id, line.refid, line.at, line.type, line.asset) == ("L1", "T1", 1790000001_400_000_000, "trade", "ZUSD")
    assert (str(line.amount), str(line.fee), str(line.balance)) == ("-240.0000", "0.9600", "9759.0400")


@pytest.mark.parametrize(
    "missing", ["cl_ord_id", "userref", "reason", "closetm", "expiretm", "cost", "fee", "price", "oflags", "trades", "refid", "misc"]
)
def test_an_order_without_what_moves_nothing_is_read(missing):
    row = {name: value for name, value in ORDER.items() if name != missing}
    assert ask({"QueryOrders": {"O1": row}}, lambda client: client.query_orders(VAULT, "O1"))["O1"].filled == D("0.1")


@pytest.mark.parametrize("missing", ["status", "descr", "vol", "vol_exec"])
def test_an_order_without_what_it_is_is_refused(missing):
    row = {name: value for name, value in ORDER.items() if name != missing}
    with pytest.raises(KrakenUnavailable, match="QueryOrders of Kraken: the answer cannot be read"):
        ask({"QueryOrders": {"O1": row}}, lambda client: client.query_orders(VAULT, "O1"))


@pytest.mark.parametrize("missing", ["maker", "ledgers", "margin", "postxid", "misc", "ordertype", "trade_id"])
def test_a_fill_without_what_moves_nothing_is_read(missing):
    row = {name: value for name, value in TRADE.items() if name != missing}
    ((trade),) = ask({"QueryTrades": {"T1": row}}, lambda client: client.query_trades(VAULT, "T1"))
    assert trade.fee == D("0.96") and (trade.maker is None) is (missing == "maker")


@pytest.mark.parametrize(
    ("row", "call", "ask_it"), [(TRADE, "QueryTrades", Client.query_trades), (LINE, "QueryLedgers", Client.query_ledgers)]
)
@pytest.mark.parametrize("wrong", ["missing", None, "", "NaN", "1e", 5.5, True, [], "Infinity"])
def test_what_moves_money_must_be_there_and_be_a_figure(row, call, ask_it, wrong):
    for name in ("price", "vol", "cost", "fee", "amount", "balance"):
        if name not in row:
            continue
        broken = {key: value for key, value in row.items() if key != name} | ({} if wrong == "missing" else {name: wrong})
        with tiny({call: {"X1": broken}}) as kraken:
            if wrong == 5.5:  # a number of JSON is as good as its text
                assert run(lambda client: ask_it(client, VAULT, "X1"), kraken)
                continue
            with pytest.raises(KrakenUnavailable, match=f"{call} of Kraken: the answer cannot be read"):
                run(lambda client: ask_it(client, VAULT, "X1"), kraken)


@law
@given(whole=st.integers(1, 4_000_000_000), digits=st.from_regex(r"[0-9]{1,9}", fullmatch=True))
def test_a_time_is_exact_to_the_nanosecond(whole, digits):
    from sleeves.venues.kraken.client import _ns

    wanted = whole * SECOND + int(digits.ljust(9, "0"))
    assert _ns(D(f"{whole}.{digits}"), "time") == _ns(f"{whole}.{digits}", "time") == wanted


def test_a_token_is_a_secret_and_says_until_when():
    token = ask(PRIVATE, lambda client: client.ws_token(VAULT), clock=lambda: 1_790_000_000 * SECOND)
    assert token.token.reveal() == PRIVATE["GetWebSocketsToken"]["token"]
    assert token.until == 1_790_000_900 * SECOND
    assert "1Dwc" not in repr(token)


# -- keys --------------------------------------------------------------------------------------------------------------

INFO = {
    "apiKeyName": "my-api-key",
    "apiKey": KEY,
    "nonce": "1772627060997",
    "nonceWindow": 0,
    "permissions": [
        "query-funds",
        "query-open-trades",
        "query-closed-trades",
        "query-ledger",
        "modify-trades",
        "close-trades",
        "create-ws-token",
    ],
    "iban": "AA88 N84G WOAK NMOI",
    "validUntil": "0",
    "queryFrom": "0",
    "queryTo": "0",
    "createdTime": "1772542900",
    "modifiedTime": "1772543095",
    "ipAllowlist": ["10.0.0.1"],
    "lastUsed": "1772627061",
}


def test_what_is_said_about_a_key_is_told_without_its_value():
    info = ask({"GetApiKeyInfo": INFO}, lambda client: client.api_key_info(VAULT))
    assert info == {name: value for name, value in INFO.items() if name != "apiKey"}


@pytest.mark.parametrize(
    ("info", "health"),
    [
        (INFO, Health.HEALTHY),
        (INFO | {"permissions": [*INFO["permissions"], "withdraw-funds"]}, Health.SUSPECT),
        (INFO | {"permissions": [*INFO["permissions"], "add-withdraw-address"]}, Health.SUSPECT),
        (INFO | {"permissions": [*INFO["permissions"], "what-is-this"]}, Health.SUSPECT),
        (INFO | {"permissions": None}, Health.SUSPECT),
        (INFO | {"permissions": [5]}, Health.SUSPECT),
        (INFO | {"ipAllowlist": None}, Health.HEALTHY),
        ({name: value for name, value in INFO.items() if name != "permissions"}, Health.SUSPECT),
    ],
)
def test_a_probe_looks_at_a_keys_rights(info, health):
    with tiny({"GetApiKeyInfo": info}) as kraken:
        ring = kraken.keys()
        ring.told("main", "nonce")
        assert ring.health("main") is Health.SUSPECT
        assert run(lambda client: client.probe("main"), kraken, keys=ring) is health
        assert ring.health("main") is health


def test_what_kraken_says_of_permissions_has_a_meaning_each():
    rights = Rights.of(*PERMISSIONS, means=PERMISSIONS)
    assert rights.unknown == frozenset()
    assert rights.granted == {Right.READ, Right.TRADE, Right.DEPOSIT, Right.WITHDRAW}


EFFECTS = [
    ("EAPI:Invalid key", Health.DEAD, Health.DEAD),
    ("EAPI:Invalid signature", Health.DEAD, Health.DEAD),
    ("EAPI:Invalid nonce", Health.HEALTHY, Health.HEALTHY),  # once
    ("EAPI:Rate limit exceeded", Health.COOLING, Health.HEALTHY),
    ("EGeneral:Temporary lockout", Health.LOCKED, Health.LOCKED),
    ("EGeneral:Permission denied", Health.DENIED, Health.HEALTHY),
    ("EOrder:Insufficient funds", Health.HEALTHY, Health.HEALTHY),
    ("EService:Busy", Health.HEALTHY, Health.HEALTHY),
    ("EService: Throttled: 1790000005", Health.COOLING, Health.HEALTHY),
    ("EOrder:Rate limit exceeded", Health.HEALTHY, Health.HEALTHY),
    ("ETrade:User Locked", Health.LOCKED, Health.LOCKED),
]


@pytest.mark.parametrize(("text", "key", "right"), EFFECTS)
def test_what_an_error_does_to_the_key_that_asked(text, key, right):
    clock = lambda: 1_790_000_000 * SECOND  # noqa: E731
    with tiny({"AddOrder": Said(text)}) as kraken:
        ring = kraken.keys(clock=clock)
        with pytest.raises(VenueError):
            run(lambda client: client.add_order(VAULT, {"pair": "X"}), kraken, keys=ring, clock=clock)
        assert ring.health("main") is key
        if key is Health.DENIED:
            assert ring.health("main", "read") is right, "it keeps its other rights"


def test_a_key_that_is_no_base64_is_dead_and_nothing_is_sent():
    key = KeySet("main", venue="kraken", api_key=Secret("key of a test"), secret=Secret("not base64!"), rights=Rights.of("read", "trade"))
    for way in ("httpx", "krakenex"):
        with tiny(PRIVATE) as kraken:
            ring = kraken.keys(key)
            with pytest.raises(VenueUnavailable, match="is not base64"):
                run(lambda client: client.add_order(VAULT, {"pair": "X"}), kraken, keys=ring, transport=way)
            assert ring.health("main") is Health.DEAD
            assert kraken.calls == []


@both
def test_when_a_key_dies_a_question_goes_on_with_another_one_and_an_order_does_not(backend):
    with tiny({"BalanceEx": [Said("EAPI:Invalid key"), PRIVATE["BalanceEx"]], "AddOrder": Said("EAPI:Invalid key")}) as kraken:
        spare = KeySet("spare", venue="kraken", api_key=Secret(KEY[::-1] * 2), secret=Secret(SECRET), rights=Rights.of("read", "trade"))
        ring = kraken.keys(kraken.key(), spare)
        with pytest.raises(VenueUnavailable):  # the spare one is none for this server: it is tried, and dies too
            run(lambda client: client.balance_ex(VAULT), kraken, backend, keys=ring)
        assert [ring.health(name) for name in ring.names] == [Health.DEAD, Health.DEAD]
        assert len(kraken.calls) == 2
        ring = kraken.keys(kraken.key("one"), spare)
        with pytest.raises(KrakenUnavailable, match="Invalid key"):
            run(lambda client: client.add_order(VAULT, {"pair": "X"}), kraken, backend, keys=ring)
        assert ring.health("spare") is Health.HEALTHY
        assert len(kraken.named("AddOrder")) == 1


def test_a_locked_account_locks_its_other_keys_and_says_who_fares_how():
    with tiny({"BalanceEx": Said("EGeneral:Temporary lockout")}) as kraken:
        spare = KeySet("spare", venue="kraken", api_key=Secret("another key"), secret=Secret(SECRET), rights=Rights.of("read", "trade"))
        ring = kraken.keys(kraken.key(), spare)

        async def story(client):
            with pytest.raises(VenueUnavailable):
                await client.balance_ex(VAULT)
            with pytest.raises(NoKey, match=r"main is locked for .* \(EGeneral:Temporary lockout\)"):
                await client.balance_ex(VAULT)

        run(story, kraken, keys=ring)
    assert len(kraken.calls) == 1, "each call of a locked account makes its lock longer"
    assert ring.health("spare") is Health.LOCKED


# -- asked again, or sent once -----------------------------------------------------------------------------------------

OUTAGES = [
    Said("EService:Unavailable"),
    Said("EService:Busy"),
    Said("EGeneral:Internal error"),
    Said(status=520, text="<html>"),
    Said(text="<html>"),
]


@both
@ways
@pytest.mark.parametrize("outage", OUTAGES, ids=lambda said: f"{said.status} {said.errors or said.text}")
def test_a_question_is_asked_again_in_an_outage(backend, way, outage):
    with tiny({"BalanceEx": [outage, outage, PRIVATE["BalanceEx"]], "Time": [outage, {"unixtime": 5}]}) as kraken:

        async def story(client):
            return await client.balance_ex(VAULT), await client.time()

        balances, now = run(story, kraken, backend, transport=way)
    assert balances["ZUSD"].balance == D("10000") and now == 5 * SECOND
    assert [name for name, _ in kraken.calls] == ["BalanceEx"] * 3 + ["Time"] * 2
    assert kraken.refused == []


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda said: f"{said.status} {said.errors or said.text}")
def test_a_question_that_has_no_answer_is_unavailable(outage):
    with tiny({"BalanceEx": outage, "Time": outage}) as kraken:
        for story in (lambda client: client.balance_ex(VAULT), lambda client: client.time()):
            with pytest.raises(KrakenUnavailable):
                run(story, kraken)
    assert len(kraken.calls) == 8


ACTS = {
    "AddOrder": lambda client: client.add_order(VAULT, {"pair": "ETHUSD", "type": "buy"}),
    "CancelOrder": lambda client: client.cancel_order(VAULT, cl_ord_id="c"),
    "CancelAll": lambda client: client.cancel_all(VAULT),
    "CancelAllOrdersAfter": lambda client: client.cancel_all_after(VAULT, 60),
}
FATES = [
    (Said("EOrder:Insufficient funds"), KrakenRejected),
    (Said("EService:Market in cancel_only mode"), KrakenRejected),
    (Said("EGeneral:Invalid arguments:volume"), KrakenRejected),
    (Said("EAPI:Invalid nonce"), KrakenUnavailable),
    (Said("EAPI:Rate limit exceeded"), KrakenUnavailable),
    (Said("EService: Throttled: 99"), KrakenUnavailable),
    (Said("EGeneral:Temporary lockout"), KrakenUnavailable),
    (Said("EAPI:Invalid key"), KrakenUnavailable),
    (Said("EOrder:Rate limit exceeded"), KrakenUnavailable),
    (Said(status=429, text="slow"), KrakenUnavailable),
    (Said("EService:Unavailable"), KrakenUnknown),
    (Said("EService:Deadline elapsed"), KrakenUnknown),
    (Said("EGeneral:Nobody knows this"), KrakenUnknown),
    (Said(status=502, text=""), KrakenUnknown),
    (Said(text="<html>"), KrakenUnknown),
    (Said(text='{"error":[]}'), KrakenUnknown),
    (Said(text='{"error":[],"result":[]}'), KrakenUnknown),
    (Said(silent=True), VenueUnknown),
]


@ways
@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_sent_once_whatever_comes_back(act, way):
    for said, fate in FATES:
        with tiny({act: said}) as kraken, pytest.raises(fate) as told:
            run(ACTS[act], kraken, transport=way, timeout=0.15, clock=lambda: 1_790_000_000 * SECOND)
        assert not isinstance(told.value, tuple({VenueRejected, VenueUnavailable, VenueUnknown} - {fate, *fate.__mro__})), said.errors
        assert len(kraken.named(act)) == 1, f"sent again after {said.errors or said.text}"


@both
def test_an_act_that_is_not_sent_is_unavailable(backend):
    async def main():
        ring = KeyRing([tiny_key()], clock=time.time_ns, nonces=None)
        with pytest.raises(InvalidKey, match="nonces"):
            Client(ring)
        async with Client(tiny_key(), base_url=closed_port(), retry=FAST) as client:
            for act in ACTS.values():
                with pytest.raises(VenueUnavailable, match="nothing was sent"):
                    await act(client)
        async with Client(base_url=closed_port()) as client:
            with pytest.raises(VenueUnavailable, match="needs keys"):
                await client.cancel_all(VAULT)

    anyio.run(main, backend=backend)


def tiny_key():
    return KeySet("main", venue="kraken", api_key=Secret("key of a test"), secret=Secret(SECRET), rights=Rights.of("read", "trade"))


def test_acts():
    answers = {
        "AddOrder": [
            {"descr": {"order": "buy 0.10000000 ETHUSD @ limit 2400.00"}, "txid": ["OAAAAA-BBBBB-CCCCCC"]},
            {"descr": {"order": "buy 0.10000000 ETHUSD @ limit 2400.00"}},
        ],
        "CancelOrder": {"count": 1},
        "CancelAll": {"count": 4},
        "CancelAllOrdersAfter": [
            {"currentTime": "2026-11-20T23:40:00Z", "triggerTime": "2026-11-20T23:41:00Z"},
            {"currentTime": "2026-11-20T23:40:00Z", "triggerTime": "0"},
        ],
    }
    with tiny(answers) as kraken:

        async def story(client):
            return [
                await client.add_order(VAULT, {"pair": "ETHUSD"}),
                await client.add_order(VAULT, {"pair": "ETHUSD", "validate": "true"}),
                await client.cancel_order(VAULT, txid="O"),
                await client.cancel_order(VAULT, cl_ord_id="c"),
                await client.cancel_all(VAULT),
                await client.cancel_all_after(VAULT, 60),
                await client.cancel_all_after(VAULT, 0),
            ]

        added, validated, *rest = run(story, kraken)
    assert (added.txids, added.description) == (("OAAAAA-BBBBB-CCCCCC",), "buy 0.10000000 ETHUSD @ limit 2400.00")
    assert validated.txids == ()
    assert rest == [1, 1, 4, True, False]
    sent = [{name: value for name, value in args.items() if name != "nonce"} for args in kraken.named("CancelOrder")]
    assert sent == [{"txid": "O"}, {"cl_ord_id": "c"}]
    assert [args["timeout"] for args in kraken.named("CancelAllOrdersAfter")] == ["60", "0"]


@pytest.mark.parametrize("seconds", [-1, 86_401, 1.5, True, None, "60"])
def test_the_switch_takes_whole_seconds(seconds):
    with tiny({}) as kraken, pytest.raises(InvalidMarket, match="dead-man switch"):
        run(lambda client: client.cancel_all_after(VAULT, seconds), kraken)


@pytest.mark.parametrize("ids", [{}, {"txid": "O", "cl_ord_id": "c"}])
def test_a_cancel_names_one_order(ids):
    with tiny({}) as kraken, pytest.raises(InvalidMarket, match="by its txid or by its cl_ord_id"):
        run(lambda client: client.cancel_order(VAULT, **ids), kraken)


def test_a_cancel_goes_out_with_a_key_that_rests_and_an_order_does_not():
    with tiny({"CancelOrder": {"count": 1}, "AddOrder": {"txid": ["O"]}}) as kraken:
        ring = kraken.keys()

        async def story(client):
            async with ring.use(VAULT, "kraken"):
                pass
            ring.told("main", "nonce")
            with pytest.raises(NoKey, match="main is suspect"):
                await client.add_order(VAULT, {"pair": "X"})
            return await client.cancel_order(VAULT, txid="O"), await client.add_order(VAULT, {"pair": "X"}, exit=True)

        count, added = run(story, kraken, keys=ring)
    assert (count, added.txids) == (1, ("O",))


@both
@ways
def test_the_arguments_of_an_order_are_made_in_its_turn_and_once(backend, way):
    with tiny({"AddOrder": [Said("EAPI:Invalid nonce"), {"txid": ["O"]}]}) as kraken:
        ring, made = kraken.keys(), []

        def args():
            made.append(kraken.flying)
            return {"pair": "X"}

        async def story(client):
            with pytest.raises(KrakenUnavailable, match="Invalid nonce"):
                await client.add_order(VAULT, args)
            assert made == [0], "an order is not asked again with a higher nonce"
            return await client.add_order(VAULT, args)

        assert run(story, kraken, backend, keys=ring, transport=way).txids == ("O",)
    assert [args["pair"] for args in kraken.named("AddOrder")] == ["X", "X"] and made == [0, 0]


def test_an_order_that_is_too_late_in_its_turn_is_unavailable_and_nothing_is_said_of_the_key():
    with tiny({"AddOrder": {"txid": ["O"]}}) as kraken:
        ring = kraken.keys()

        def late():
            raise VenueUnavailable("its deadline went by")

        with pytest.raises(VenueUnavailable, match="AddOrder of Kraken: its deadline went by"):
            run(lambda client: client.add_order(VAULT, late), kraken, keys=ring)
        assert kraken.calls == [] and ring.health("main") is Health.HEALTHY


# -- what a key may do -------------------------------------------------------------------------------------------------


@both
def test_a_question_that_a_key_may_not_ask_is_that_one_and_another_key_asks_it(backend):
    ledger = {"ledger": {}, "count": 0}
    with tiny({"Ledgers": [Said("EGeneral:Permission denied"), ledger], "BalanceEx": PRIVATE["BalanceEx"]}) as kraken:
        ring = kraken.keys()

        async def story(client):
            with pytest.raises(NoKey, match=r"main is refused Ledgers \(EGeneral:Permission denied\)"):
                await client.ledgers(VAULT)
            assert ring.health("main", "read") is Health.HEALTHY
            assert await client.balance_ex(VAULT)
            assert len(kraken.named("Ledgers")) == 1, "what was refused is not asked again"
            ring.clear("main", by="ana", why="it has query-ledger now")
            return await client.ledgers(VAULT)

        assert run(story, kraken, backend, keys=ring) == []


def less(*words):
    return INFO | {"permissions": [word for word in INFO["permissions"] if word not in words]}


@both
@pytest.mark.parametrize("word", ["query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "modify-trades"])
def test_a_permission_that_is_missing_is_named(backend, word):
    right = "trade" if word == "modify-trades" else "read"
    said = f"at kraken there is key main to {right} without the permission {word}: give it"
    with tiny({"GetApiKeyInfo": less(word)}) as kraken, pytest.raises(InvalidKey, match=said) as told:
        run(lambda client: client.check_rights(), kraken, backend)
    assert KEY not in str(told.value) and len(kraken.calls) == 1


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (INFO, ""),
        (less("close-trades", "create-ws-token"), ""),
        (Said("EGeneral:Unknown method"), "does not tell what key main may do: GetApiKeyInfo of Kraken: EGeneral:Unknown method"),
        (Said("EService:Busy"), "does not tell what key main may do"),
        (Said("EAPI:Invalid key"), "does not tell what key main may do"),
        (Said("EGeneral:Permission denied"), "does not tell what key main may do"),
        (INFO | {"permissions": None}, ""),
        (INFO | {"permissions": ["Query Funds", "Trade"]}, ""),
    ],
)
def test_what_is_not_told_is_held_against_nobody(info, said, caplog):
    with tiny({"GetApiKeyInfo": info}) as kraken:
        ring = kraken.keys()
        run(lambda client: client.check_rights(), kraken, keys=ring)
    assert said in caplog.text and bool(said) == bool(caplog.records and "does not tell" in caplog.text)
    assert ring.health("main") is (Health.DEAD if said and "Invalid key" in caplog.text else Health.HEALTHY)


def test_what_one_key_lacks_another_one_of_its_vault_may_have(caplog):
    """Questions about the account are asked by any key; orders of a vault by its own."""
    for kind, refused in (("query-ledger", False), ("modify-trades", True)):
        with tiny({"GetApiKeyInfo": [less(kind), INFO]}) as kraken:
            main, kraken.api_key = kraken.key(vault="core:one:USD"), KEY[::-1]
            ring = kraken.keys(main, kraken.key("second", vault="core:two:USD"))
            kraken.api_key = AnyKey()
            if refused:
                with pytest.raises(InvalidKey, match="key main to trade without the permission modify-trades"):
                    run(lambda client: client.check_rights(), kraken, keys=ring)
            else:
                run(lambda client: client.check_rights(), kraken, keys=ring)
                assert "there is key main to read without the permission query-ledger" in caplog.text


class AnyKey:
    def __eq__(self, other):
        return True

    __hash__ = None


def test_a_key_that_is_said_to_read_alone_needs_no_permission_to_trade():
    with tiny({"GetApiKeyInfo": less("modify-trades", "close-trades")}) as kraken:
        reader = KeySet("main", venue="kraken", api_key=Secret(KEY), secret=Secret(SECRET), rights=Rights.of("read"))
        run(lambda client: client.check_rights(), kraken, keys=kraken.keys(reader))


# -- one ring for a key ------------------------------------------------------------------------------------------------


@both
def test_a_key_is_used_by_one_ring_at_a_time_at_one_place(backend):
    with tiny({"BalanceEx": PRIVATE["BalanceEx"], "GetApiKeyInfo": INFO}) as kraken, tiny(kraken.answers) as elsewhere:
        ring = kraken.keys()

        async def story(client):
            client.claim()
            await client.balance_ex(VAULT)
            terms = {"base_url": kraken.url, "tier": None}
            async with Client(kraken.key("renamed"), **terms) as other:
                for _ in range(2):
                    with pytest.raises(NoKey, match=r"key renamed of kraken is used already .* hand it to both"):
                        await other.balance_ex(VAULT)
                with pytest.raises(InvalidKey, match="used already in this process"):
                    await other.check_rights()
                with pytest.raises(NoKey):
                    await other.by("renamed").balance_ex(VAULT)
                assert other.ring.health("renamed") is Health.HEALTHY
                async with Client(ring, **terms) as third, Client(kraken.key(), base_url=elsewhere.url) as far:
                    third.claim()
                    far.claim()
                    await third.balance_ex(VAULT)
                    await far.balance_ex(VAULT)
                with pytest.raises(NoKey):
                    await other.balance_ex(VAULT)
                await client.aclose()
                other.claim()
                return await other.balance_ex(VAULT)

        assert run(story, kraken, backend, keys=ring)
    assert len(kraken.named("BalanceEx")) == 3 and kraken.refused == []


@both
def test_a_key_that_is_retired_while_others_are_probed_is_logged(backend, caplog):
    with tiny({"GetApiKeyInfo": Said(pause=0.2)}) as kraken:
        other = KeySet("other", venue="kraken", api_key=Secret("another key"), secret=Secret(SECRET), rights=Rights.of("read", "trade"))
        ring = kraken.keys(kraken.key(), other)
        for name in ring.names:
            ring.told(name, "nonce")

        async def story(client):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.tend)
                await anyio.sleep(0.05)
                await ring.retire("other")

        run(story, kraken, backend, keys=ring, retry=Retry(attempts=1))
    assert "key other of kraken could not be probed: the ring has no such key" in caplog.text


# -- nonces ------------------------------------------------------------------------------------------------------------


@both
@ways
def test_a_question_whose_nonce_is_refused_is_asked_once_more_with_a_higher_one(backend, way):
    with tiny({"BalanceEx": [Said("EAPI:Invalid nonce"), PRIVATE["BalanceEx"]]}) as kraken:
        ring = kraken.keys()
        run(lambda client: client.balance_ex(VAULT), kraken, backend, keys=ring, transport=way)
    first, second = (int(args["nonce"]) for args in kraken.named("BalanceEx"))
    assert second > first
    assert ring.health("main") is Health.HEALTHY, "once may be somebody's jitter"


def test_a_nonce_that_is_refused_twice_makes_the_key_suspect():
    with tiny({"BalanceEx": Said("EAPI:Invalid nonce")}) as kraken:
        ring = kraken.keys()
        with pytest.raises(VenueUnavailable):
            run(lambda client: client.balance_ex(VAULT), kraken, keys=ring)
    assert ring.health("main") is Health.SUSPECT
    assert len(kraken.calls) == 2


def test_two_orders_in_a_row_whose_nonces_are_refused_make_the_key_suspect_and_a_probe_mends_it():
    """One order is told that it was not processed, and nothing else happens; the second one says that somebody else uses the key."""
    refused, taken = Said("EAPI:Invalid nonce"), {"txid": ["O"]}
    with tiny({"AddOrder": [refused, taken, refused, refused, taken], "GetApiKeyInfo": INFO}) as kraken:
        ring, fared = kraken.keys(), []

        async def story(client):
            for _ in range(4):
                try:
                    await client.add_order(VAULT, {"pair": "X"})
                except KrakenUnavailable:
                    pass
                fared.append(ring.health("main"))
            tended = await client.tend(), await client.tend()
            await client.add_order(VAULT, {"pair": "X"})
            return tended

        assert run(story, kraken, keys=ring) == ({"main": Health.HEALTHY}, {})
    assert fared == [Health.HEALTHY, Health.HEALTHY, Health.HEALTHY, Health.SUSPECT]


def test_a_key_that_cannot_be_probed_is_logged_and_stays_as_it_is(caplog):
    with tiny({"GetApiKeyInfo": Said("EService:Busy")}) as kraken:
        ring = kraken.keys()
        ring.told("main", "nonce")
        assert run(lambda client: client.tend(), kraken, keys=ring) == {}
    assert ring.health("main") is Health.SUSPECT
    assert "key main of kraken could not be probed: GetApiKeyInfo of Kraken: EService:Busy" in caplog.text


@pytest.mark.parametrize(("backend", "way"), [("asyncio", "krakenex"), ("trio", "httpx")])
def test_300_calls_of_all_kinds_at_once_without_one_nonce_error(backend, way):
    answers = PRIVATE | {"AddOrder": {"txid": ["O"]}, "CancelOrder": {"count": 1}}
    with tiny(answers, jitter=0.002) as kraken:

        async def story(client):
            async with anyio.create_task_group() as tasks:
                for n in range(100):
                    tasks.start_soon(partial(client.balance_ex, VAULT))
                    tasks.start_soon(partial(client.add_order, VAULT, {"pair": "X", "volume": str(n)}))
                    tasks.start_soon(partial(client.cancel_order, VAULT, cl_ord_id=str(n)))

        run(story, kraken, backend, transport=way)
    assert len(kraken.calls) == 300
    assert kraken.refused == []
    assert sorted(int(args["volume"]) for args in kraken.named("AddOrder")) == list(range(100))


# -- how much may be asked ---------------------------------------------------------------------------------------------


def test_limits_are_krakens():
    """Reference 1.4."""
    rows = [(t.name, t.rest_max, t.rest_decay, t.engine_max, t.engine_decay, t.open_orders) for t in TIERS.values()]
    assert rows == [("starter", 15, 0.33, 60, 1, 60), ("intermediate", 20, 0.5, 125, 2.34, 80), ("pro", 20, 1, 180, 3.75, 225)]


@pytest.mark.parametrize(
    ("table", "steps"),
    [
        (CANCEL_COSTS, [(5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)]),
        (AMEND_COSTS, [(5, 3), (10, 2), (15, 1)]),
        (EDIT_COSTS, [(5, 6), (10, 5), (15, 4), (45, 2), (90, 1)]),
    ],
)
def test_a_young_order_costs_more_on_both_sides_of_each_threshold(table, steps):
    assert aged(table, 0) == steps[0][1]
    for (seconds, cost), (_, later) in zip(steps, [*steps[1:], (0, 0)], strict=True):
        assert aged(table, seconds * SECOND - 1) == cost
        assert aged(table, seconds * SECOND) == later


@pytest.mark.parametrize(
    ("story", "cost"),
    [
        (lambda client: client.balance_ex(VAULT), 1),
        (lambda client: client.open_orders(VAULT), 1),
        (lambda client: client.query_ledgers(VAULT, "L1"), 2),
        (lambda client: client.trades_history(VAULT), 2),
        (lambda client: client.ledgers(VAULT), 2),
        (lambda client: client.ws_token(VAULT), 1),
        (lambda client: client.cancel_all_after(VAULT, 60), 0),
        (lambda client: client.add_order(VAULT, {"pair": "X"}), 0),
    ],
)
def test_what_a_call_counts(story, cost):
    answers = PRIVATE | {
        "TradesHistory": {"trades": {}, "count": 0},
        "Ledgers": {"ledger": {}, "count": 0},
        "CancelAllOrdersAfter": {"triggerTime": "x"},
        "AddOrder": {"txid": ["O"]},
    }
    slow = Tier("slow", 15, 0.0001, 60, 1, 60)

    async def told(client):
        await story(client)
        return client.bucket("main").level

    assert ask(answers, told, tier=slow) == pytest.approx(cost, abs=0.01)


def test_who_would_wait_too_long_is_told_and_an_order_goes_out_all_the_same():
    with tiny(PRIVATE | {"AddOrder": {"txid": ["O"]}, "CancelAllOrdersAfter": {"triggerTime": "x"}}) as kraken:

        async def story(client):
            for _ in range(14):
                await client.balance_ex(VAULT)
            with pytest.raises(VenueUnavailable, match="too many calls of key main"):
                await client.balance_ex(VAULT)
            await client.add_order(VAULT, {"pair": "X"})
            await client.cancel_all_after(VAULT, 60)

        run(story, kraken, tier="starter", patience=0.5, retry=Retry(attempts=1))
    assert [name for name, _ in kraken.calls] == ["BalanceEx"] * 14 + ["AddOrder", "CancelAllOrdersAfter"]


def test_where_kraken_says_that_it_was_too_much_the_counter_is_full():
    with tiny({"BalanceEx": Said("EAPI:Rate limit exceeded")}) as kraken:

        async def story(client):
            with pytest.raises(VenueUnavailable):
                await client.balance_ex(VAULT)
            return client.bucket("main").level

        assert run(story, kraken, tier="starter", patience=0.2) == pytest.approx(15, abs=0.5)
    assert len(kraken.calls) == 1


@both
def test_a_question_waits_until_a_key_that_rests_is_back(backend):
    with tiny({"BalanceEx": [Said("EService: Throttled"), PRIVATE["BalanceEx"]]}) as kraken:
        start = time.monotonic()
        found = run(lambda client: client.balance_ex(VAULT), kraken, backend, patience=3.0)
        took = time.monotonic() - start
    assert found["ZUSD"].balance == D("10000")
    assert 0.9 < took < 3, "a first rest takes a second"


def test_a_rest_that_is_longer_than_our_patience_is_told_at_once():
    with tiny(
        {"BalanceEx": Said(f"EService: Throttled: {int(time.time()) + 3600}"), "Time": Said("EService: Throttled: 9999999999")}
    ) as kraken:
        start = time.monotonic()
        for story in (lambda client: client.balance_ex(VAULT), lambda client: client.time()):
            with pytest.raises(VenueUnavailable):
                run(story, kraken, patience=3.0)
        assert time.monotonic() - start < 2
    assert len(kraken.calls) == 2


def test_public_calls_are_paced_at_krakens_own_host_only():
    with tiny({"Time": {"unixtime": 5}, "SystemStatus": {"status": "online"}}) as kraken:

        async def story(client):
            start = anyio.current_time()
            for _ in range(4):
                await client.time()
            await client.status()
            return anyio.current_time() - start

        assert run(story, kraken, pace=0.1) >= 0.29
        assert run(story, kraken) < 0.25
    assert Client()._public is not None and Client(base_url=HOST + "/")._public is not None
    assert Client(base_url="http://127.0.0.1:1")._public is None and Client(pace=0)._public is None


# -- pages -------------------------------------------------------------------------------------------------------------

BEGIN = 1_790_000_000


class Paged:
    """An account's ledger as Kraken pages it: newest first, 50 to a page, the count of all beside it; `grows` lines come in with a call."""

    def __init__(self, lines, *, grows=0, count=True, size=50, most=10_000):
        self.at, self.grows, self.count, self.size, self.most = lines, grows, count, size, most

    def __call__(self, args):
        start, end = int(args.get("start", 0)), int(args.get("end", 10**10))
        all_ = [n for n in range(self.at) if start < BEGIN + n <= end]
        offset = int(args.get("ofs", 0))
        page = sorted(all_, reverse=True)[offset : offset + self.size]
        self.at = min(self.at + self.grows, self.most)
        rows = {f"L{n}": LINE | {"time": BEGIN + n} for n in page}
        return {"ledger": rows} | ({"count": len(all_)} if self.count else {})


@both
@pytest.mark.parametrize("lines", [0, 1, 49, 50, 51, 100, 101, 173])
@pytest.mark.parametrize("count", [True, False])
def test_every_line_is_there_once_and_in_order(backend, lines, count):
    found = ask({"Ledgers": Paged(lines, count=count)}, lambda client: client.ledgers(VAULT), backend)
    assert [line.id for line in found] == [f"L{n}" for n in range(lines)]


@pytest.mark.parametrize("grows", [1, 7, 49, 50, 60])
def test_what_comes_in_between_pages_hides_nothing(grows):
    pages = Paged(120, grows=grows, most=400)
    found = [line.id for line in ask({"Ledgers": pages}, lambda client: client.ledgers(VAULT))]
    assert found == [f"L{n}" for n in range(len(found))], "a line is missing in between"
    assert len(found) >= 120


def test_a_list_that_never_holds_still_is_not_told_in_part():
    """More new lines with each call than a page has: the last page cannot be reached."""
    with pytest.raises(KrakenUnavailable, match=r"Ledgers of Kraken: [0-9]+ of [0-9]+ rows were found in 5 rounds"):
        ask({"Ledgers": lambda args: Paged(500)({}) | {"count": 500}}, lambda client: client.ledgers(VAULT))


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [(0, None, 0, 119), (10, None, 10, 119), (10, 20, 10, 20), (None, 20, 0, 20), (119, None, 119, 119), (120, None, None, None)],
)
def test_both_ends_are_included(since, until, first, last):
    begin = BEGIN * SECOND
    ends = {"since": None if since is None else begin + since * SECOND, "until": None if until is None else begin + until * SECOND}
    found = [line.id for line in ask({"Ledgers": Paged(120)}, lambda client: client.ledgers(VAULT, **ends))]
    assert found == ([] if first is None else [f"L{n}" for n in range(first, last + 1)])


def test_an_end_within_a_second_is_exact():
    """Whether Kraken counts its own bounds in or not, which are whole seconds."""
    rows = {f"L{n}": LINE | {"time": BEGIN + n / 10} for n in range(1, 9)}
    since, until = BEGIN * SECOND + 300_000_000, BEGIN * SECOND + 600_000_000

    def page(args):
        found = {name: line for name, line in rows.items() if int(args["start"]) < line["time"] < int(args["end"])}
        return {"ledger": found, "count": len(found)}

    found = ask({"Ledgers": page}, lambda client: client.ledgers(VAULT, since, until))
    assert [line.id for line in found] == ["L3", "L4", "L5", "L6"]


def test_a_page_that_fails_is_asked_again_and_the_pages_go_on():
    pages, failed = Paged(120), []

    def page(args):
        if args.get("ofs") == "50" and not failed:
            failed.append(1)
            return Said("EService:Busy")
        return pages(args)

    assert len(ask({"Ledgers": page}, lambda client: client.ledgers(VAULT))) == 120


def test_fills_and_closed_orders_are_paged_likewise():
    def paged(name, row, time_):
        def page(args):
            said = Paged(70)(args)
            return {name: {one: row | {time_: line["time"]} for one, line in said["ledger"].items()}, "count": said["count"]}

        return page

    async def story(client):
        return await client.trades_history(VAULT, BEGIN * SECOND), await client.closed_orders(VAULT, BEGIN * SECOND, (BEGIN + 60) * SECOND)

    with tiny({"TradesHistory": paged("trades", TRADE, "time"), "ClosedOrders": paged("closed", ORDER, "closetm")}) as kraken:
        trades, orders = run(story, kraken)
    assert [trade.id for trade in trades] == [f"L{n}" for n in range(70)]
    assert set(orders) == {f"L{n}" for n in range(61)}
    assert kraken.named("ClosedOrders")[0]["closetime"] == "close"
    assert kraken.named("TradesHistory")[0]["ledgers"] == "true"


def test_many_ids_are_asked_for_in_parts():
    with tiny({"QueryOrders": lambda args: dict.fromkeys(args["txid"].split(","), ORDER)}) as kraken:
        found = run(lambda client: client.query_orders(VAULT, *[f"O{n}" for n in range(120)]), kraken)
    assert set(found) == {f"O{n}" for n in range(120)}
    assert [len(args["txid"].split(",")) for args in kraken.named("QueryOrders")] == [50, 50, 20]


# -- answers that are none ---------------------------------------------------------------------------------------------

QUESTIONS = {
    "Time": lambda client: client.time(),
    "SystemStatus": lambda client: client.status(),
    "Assets": lambda client: client.assets(),
    "AssetPairs": lambda client: client.asset_pairs(),
    "Ticker": lambda client: client.ticker(),
    "OHLC": lambda client: client.ohlc("X", 1),
    "Depth": lambda client: client.depth("X"),
    "Trades": lambda client: client.trades("X"),
    "BalanceEx": lambda client: client.balance_ex(VAULT),
    "TradeVolume": lambda client: client.trade_volume(VAULT, "X"),
    "OpenOrders": lambda client: client.open_orders(VAULT),
    "ClosedOrders": lambda client: client.closed_orders(VAULT),
    "QueryOrders": lambda client: client.query_orders(VAULT, "O"),
    "TradesHistory": lambda client: client.trades_history(VAULT),
    "QueryTrades": lambda client: client.query_trades(VAULT, "T"),
    "Ledgers": lambda client: client.ledgers(VAULT),
    "QueryLedgers": lambda client: client.query_ledgers(VAULT, "L"),
    "GetWebSocketsToken": lambda client: client.ws_token(VAULT),
    "GetApiKeyInfo": lambda client: client.api_key_info(VAULT),
}
NONSENSE = [
    [],
    "text",
    5,
    True,
    {"x": 5},
    {"x": []},
    {"x": None},
    {"open": 5, "closed": 5, "trades": 5, "ledger": 5},
    {"unixtime": "soon"},
    {"x": {"a": []}},
]


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_of_another_shape_is_unavailable_and_nothing_else(name):
    with tiny({name: [*NONSENSE]}) as kraken:

        async def story(client):
            for _ in NONSENSE:
                try:
                    await QUESTIONS[name](client)
                except KrakenUnavailable as error:
                    assert f"{name} of Kraken: " in str(error)

        run(story, kraken, retry=Retry(attempts=1))


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_request_that_kraken_refuses_is_refused_at_once(name):
    why = f"{name} of Kraken: EGeneral:Invalid arguments:ofs"
    with tiny({name: Said("EGeneral:Invalid arguments:ofs")}) as kraken, pytest.raises(KrakenRejected, match=why) as told:
        run(QUESTIONS[name], kraken)
    assert told.value.kinds == {Kind.REQUEST}
    assert len(kraken.calls) == 1


# -- what it is made of ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", ["vip", "", 5, 1.5])
def test_a_tier_that_there_is_none_of_is_refused(tier):
    with pytest.raises(InvalidMarket, match="tier"):
        Client(tier=tier)


@both
def test_without_a_tier_nothing_waits_for_a_counter_of_ours(backend):
    with tiny({"TradesHistory": {"trades": {}, "count": 0}}) as kraken:

        async def story(client):
            assert client.tier is NO_TIER and NO_TIER not in TIERS.values()
            start = time.monotonic()
            for _ in range(20):  # 40 on the counter, where the highest cap is 20
                await client.trades_history(VAULT)
            client.bucket("main").note(client.tier.rest_max)  # as after a refusal
            await client.trades_history(VAULT)
            return time.monotonic() - start

        assert run(story, kraken, backend, tier=None) < 3


@pytest.mark.parametrize("keys", ["key", 5, object()])
def test_keys_that_are_none_are_refused(keys):
    with pytest.raises(InvalidKey):
        Client(keys)


def test_an_act_is_no_query():
    """What `_private` asks again is a Query, and AddOrder is none: there is no argument that would have it sent twice."""
    assert not isinstance(Act("AddOrder"), Query) and not isinstance(Query("Balance"), Act)


# -- secrets -----------------------------------------------------------------------------------------------------------


@ways
def test_no_secret_is_in_any_error_or_log_even_where_kraken_says_it(way, caplog, capsys):
    """Kraken's own words may have the key in them; libraries log at DEBUG; errors have frames with locals."""
    caplog.set_level(logging.DEBUG)
    api_key, secret, token = Sentinel(21), Sentinel(22, signs=""), Sentinel(23, signs="")
    import base64

    encoded = base64.b64encode(secret.value.encode()).decode()
    echo = f"EGeneral:Invalid arguments:{api_key.value} {encoded}"
    answers = {
        "AddOrder": [
            Said(echo),
            Said("WGeneral:" + api_key.value, "EService:Busy " + encoded),
            Said(text=api_key.value),
            Said(silent=True),
        ],
        "BalanceEx": [Said("EGeneral:Nobody knows " + encoded)],
        "GetApiKeyInfo": INFO | {"apiKey": api_key.value, "permissions": 5},
        "GetWebSocketsToken": [
            {"token": token.value, "expires": "soon"},
            {"token": [token.value]},
            {"token": token.value, "expires": 9},
        ],
        "CancelOrder": Said("EAPI:Invalid key: " + api_key.value),
    }
    said, shown = [], []
    with tiny(answers, api_key=api_key.value, secret=encoded) as kraken:
        ring = kraken.keys()

        async def story(client):
            calls = [partial(client.add_order, VAULT, {"pair": "X"}, exit=True) for _ in range(4)]
            calls += [partial(client.balance_ex, VAULT), partial(client.api_key_info, VAULT), partial(client.probe, "main")]
            calls += [partial(client.ws_token, VAULT)] * 3 + [
                partial(client.cancel_order, VAULT, txid="O"),
                partial(client.cancel_all, VAULT),
            ]
            for call in calls:
                try:
                    shown.append(repr(await call()))
                except VenueError as error:
                    error.__traceback__ = error.__traceback__.tb_next
                    said.append(error)
            shown.append(repr(client) + repr(vars(client)) + repr(ring.describe()))

        run(story, kraken, keys=ring, transport=way, timeout=0.2, retry=Retry(attempts=2, first=0.001, jitter=0))
    assert len(said) >= 8 and len(shown) >= 3
    out = capsys.readouterr()
    for sentinel in (api_key, secret, token):
        found = sentinel.found(caplog.text, *[str(vars(record)) for record in caplog.records], *said, *shown, out.out, out.err)
        assert found == []
    assert {"sleeves.keys", "sleeves.venues.kraken"} <= {record.name for record in caplog.records}


def test_what_is_lost_on_the_wire_is_told_in_words():
    with raw(lambda _: HANG) as (url, requests):

        async def main():
            async with Client(tiny_key(), base_url=url, timeout=0.1, connect_timeout=0.1, retry=FAST) as client:
                with pytest.raises(
                    VenueUnknown, match=r"AddOrder of Kraken: POST /0/private/AddOrder of http://127.0.0.1:[0-9]+: no answer within 0.1 s"
                ):
                    await client.add_order(VAULT, {"pair": "X"})
                with pytest.raises(VenueUnavailable, match=r"BalanceEx of Kraken: .* no answer within 0.1 s"):
                    await client.balance_ex(VAULT)

        anyio.run(main)
    assert len(requests) == 5, "the order once, the question four times"
