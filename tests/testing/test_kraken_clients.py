"""Clients that nobody here wrote, unmodified, at the local Kraken: krakenex, ccxt in plain code and on asyncio, python-kraken-sdk.

A server that agrees with our own driver proves little; these know nothing of it. Each fields' table is that of the
reference's section 3: what is absent there makes a client raise or lose a value.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from sleeves.testing.kraken_server import Fault, kraken_server

ccxt = pytest.importorskip("ccxt")
krakenex = pytest.importorskip("krakenex")
kraken_spot = pytest.importorskip("kraken.spot")
kraken_exceptions = pytest.importorskip("kraken.exceptions")

MONEY = {"USD": "10000", "ETH": "2", "BTC": "0.5", "ETH.F": "1.25"}
PAIRS = ["ETH/USD", "BTC/USD", "SOL/USD", "ETH/USDT", "DOGE/USD"]
CLIENT_ID = "6d1b345e-2821-40e2-ad83-4ecb18a06876"


@pytest.fixture
def exchange():
    with kraken_server(pairs=PAIRS, balances=MONEY, tier=None) as exchange:
        exchange.price("ETH/USD", "2500.00", volume="0.01")
        yield exchange
        private = [call for call in exchange.calls if call.key]
        assert all(call.signed for call in private), "every private call arrives signed"


# -- krakenex ----------------------------------------------------------------------------------------------------------


class TestKrakenex:
    @pytest.fixture
    def api(self, exchange):
        api = krakenex.API(exchange.key.api_key, exchange.key.secret)
        api.uri = exchange.url
        yield api
        api.close()

    def call(self, api, method, **args):
        time.sleep(0.0015)  # its nonces are milliseconds
        told = api.query_private(method, args, timeout=5)
        assert told["error"] == [], told
        return told["result"]

    def test_every_public_endpoint(self, api):
        for method, args in [
            ("Time", {}),
            ("SystemStatus", {}),
            ("Assets", {"asset": "ETH,XBT"}),
            ("AssetPairs", {"pair": "ETHUSD"}),
            ("Ticker", {"pair": "ETHUSD,XBTUSD"}),
            ("OHLC", {"pair": "ETHUSD", "interval": 5}),
            ("Depth", {"pair": "ETHUSD", "count": 10}),
            ("Trades", {"pair": "ETHUSD"}),
        ]:
            told = api.query_public(method, args, timeout=5)
            assert told["error"] == [] and told["result"], method

    def test_an_order_through_its_life(self, exchange, api):
        terms = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "price": "2400.00", "volume": "0.1", "cl_ord_id": CLIENT_ID}
        (txid,) = self.call(api, "AddOrder", **terms)["txid"]
        assert self.call(api, "OpenOrders")["open"][txid]["cl_ord_id"] == CLIENT_ID
        exchange.price("ETH/USD", "2399.00")
        assert self.call(api, "QueryOrders", txid=txid)[txid]["status"] == "closed"
        assert list(self.call(api, "ClosedOrders")["closed"]) == [txid]
        (trade_id,) = self.call(api, "TradesHistory")["trades"]
        assert {line["refid"] for line in self.call(api, "Ledgers", type="trade")["ledger"].values()} == {trade_id}
        assert self.call(api, "Balance") == {"XETH": "2.1000000000", "ETH.F": "1.2500000000", "XXBT": "0.5000000000", "ZUSD": "9759.4000"}
        for method in ("BalanceEx", "TradeBalance", "TradeVolume", "GetWebSocketsToken", "GetApiKeyInfo", "CancelAll"):
            self.call(api, method)
        assert self.call(api, "CancelAllOrdersAfter", timeout="60")["triggerTime"]

    def test_it_parses_as_it_is_told_to(self, exchange, api):
        api.json_options(parse_float=Decimal)
        exchange.manual("ETH/USD", "buy", "0.1")
        (trade,) = self.call(api, "TradesHistory")["trades"].values()
        assert isinstance(trade["time"], Decimal)

    def test_it_knows_a_key_that_is_none_from_a_signature_that_is_wrong(self, exchange):
        for key, secret, error in (
            ("nobody", exchange.key.secret, "EAPI:Invalid key"),
            (exchange.key.api_key, exchange.add_key("other").secret, "EAPI:Invalid signature"),
        ):
            api = krakenex.API(key, secret)
            api.uri = exchange.url
            assert api.query_private("Balance", {}, timeout=5) == {"error": [error]}
            api.close()
        exchange.calls.clear()  # these were not to be signed

    def test_a_float_that_is_small_is_no_volume(self, exchange, api):
        """Another of its traps: it sends what Python makes of a float, 1e-05."""
        terms = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": 0.00001}
        assert api.query_private("AddOrder", terms, timeout=5) == {"error": ["EGeneral:Invalid arguments:volume"]}
        assert exchange.orders() == {}

    def test_two_calls_at_once_trip_over_each_other(self, exchange, api):
        """Its first trap: nonces of one millisecond, and calls that overtake each other."""
        exchange.jitter = (0.0, 0.02)
        apis = [krakenex.API(exchange.key.api_key, exchange.key.secret) for _ in range(12)]
        for one in apis:
            one.uri = exchange.url
        with ThreadPoolExecutor(12) as pool:
            told = [one["error"] for one in pool.map(lambda one: one.query_private("Balance", {}, timeout=5), apis)]
        for one in apis:
            one.close()
        assert ["EAPI:Invalid nonce"] in told
        assert all(error in ([], ["EAPI:Invalid nonce"]) for error in told)

    def test_a_list_is_no_argument(self, api):
        told = api.query_private("CancelOrder", {"txid": ["a", "b"]}, timeout=5)
        assert told["error"] == ["EAPI:Invalid signature"]  # its third trap
        api.session.close()

    @pytest.fixture(autouse=True)
    def _signed_but_for_its_trap(self, request, exchange):
        yield
        if request.node.name == "test_a_list_is_no_argument":
            for call in exchange.calls:
                call.signed = True

    def test_errors_come_as_they_are_and_statuses_raise(self, exchange, api):
        import requests

        exchange.fault("Balance", "EGeneral:Internal error")
        assert api.query_private("Balance", {}, timeout=5) == {"error": ["EGeneral:Internal error"]}
        exchange.fault("Balance", Fault.status(520))
        with pytest.raises(requests.HTTPError):
            api.query_private("Balance", {}, timeout=5)
        exchange.fault("Balance", Fault.lost())
        with pytest.raises(requests.Timeout):
            api.query_private("Balance", {}, timeout=0.2)


# -- ccxt --------------------------------------------------------------------------------------------------------------


def options(exchange, key=None):
    key = key or exchange.key
    urls = {"api": {"public": exchange.url, "private": exchange.url}}
    return {"apiKey": key.api_key, "secret": key.secret, "enableRateLimit": False, "urls": urls, "number": str}


ERRORS = [
    ("EOrder:Insufficient funds", "InsufficientFunds"),
    ("EAPI:Invalid nonce", "InvalidNonce"),
    ("EAPI:Invalid key", "AuthenticationError"),
    ("EGeneral:Permission denied", "PermissionDenied"),
    ("EAPI:Rate limit exceeded", "DDoSProtection"),
    ("EGeneral:Temporary lockout", "DDoSProtection"),
    ("EService:Unavailable", "ExchangeNotAvailable"),
    ("EService:Busy", "ExchangeNotAvailable"),
    ("EAPI:Invalid signature", "ExchangeError"),
    ("EOrder:Cost minimum not met", "ExchangeError"),
    ("EOrder:Tick size check failed", "ExchangeError"),
    ("EService: Throttled: 1790000005", "ExchangeError"),
    ("EService:Deadline elapsed", "ExchangeError"),
    ("EOrder:Orders limit exceeded", "ExchangeError"),
]
"""What ccxt makes of an error; the last six it does not know (reference, section 3)."""


class TestCcxt:
    @pytest.fixture
    def client(self, exchange):
        client = ccxt.kraken(options(exchange))
        client.load_markets()
        yield client
        client.session.close()

    def test_markets(self, exchange, client):
        assert set(client.markets) == set(PAIRS)
        eth = client.market("ETH/USD")
        assert (eth["id"], eth["altname"], eth["base"], eth["quote"], eth["active"]) == ("XETHZUSD", "ETHUSD", "ETH", "USD", True)
        assert eth["precision"]["amount"] == "0.00000001" and eth["precision"]["price"] == "0.01"
        assert (eth["taker"], eth["maker"]) == ("0.004", "0.0025")
        assert eth["limits"]["amount"]["min"] == "0.002" and eth["limits"]["cost"]["min"] == "0.5"
        assert client.market("DOGE/USD")["id"] == "XXDGZUSD" and client.market("BTC/USD")["id"] == "XXBTZUSD"
        assert client.currency("ETH")["id"] == "XETH" and client.currency("ETH")["active"] is True

    def test_prices(self, exchange, client):
        exchange.price("ETH/USD", "2600.00", volume="2")
        ticker = client.fetch_ticker("ETH/USD")
        assert all(
            float(ticker[name]) > 0
            for name in ("bid", "ask", "last", "open", "high", "low", "baseVolume", "vwap", "bidVolume", "askVolume")
        )
        assert ticker["last"] == "2600.00" and ticker["high"] == "2600.00" and ticker["open"] == "2500.00"
        row = client.fetch_ohlcv("ETH/USD", "1d")[-1]
        assert [float(value) for value in row[1:6]] == [2500, 2600, 2500, 2600, 2.01]
        book = client.fetch_order_book("ETH/USD")
        assert book["bids"][0][:2] == ["2600.00", "1000.000"] == book["asks"][0][:2]
        trade = client.fetch_trades("ETH/USD")[-1]
        assert (trade["price"], trade["amount"], trade["side"]) == ("2600.00", "2.00000000", "buy") and trade["id"] and trade["timestamp"]
        assert client.fetch_status()["status"] == "ok"
        assert abs(client.fetch_time() - time.time() * 1000) < 5_000

    def test_balances(self, client):
        client.create_order("ETH/USD", "limit", "sell", 0.5, 2600)
        told = client.fetch_balance()
        assert (told["ETH"]["total"], told["ETH"]["used"], told["ETH"]["free"]) == ("2.0000000000", "0.5000000000", "1.5")
        assert told["ETH.F"]["total"] == "1.2500000000" and told["USD"]["total"] == "10000.0000" and told["BTC"]["total"] == "0.5000000000"

    def test_an_order_through_its_life(self, exchange, client):
        made = client.create_order("ETH/USD", "limit", "buy", 0.1, 2400, {"clientOrderId": CLIENT_ID, "postOnly": True})
        assert (made["symbol"], made["side"], made["type"], made["amount"], made["price"]) == (
            "ETH/USD",
            "buy",
            "limit",
            "0.10000000",
            "2400.00",
        )
        (standing,) = client.fetch_open_orders("ETH/USD")
        assert standing["id"] == made["id"] and standing["clientOrderId"] == CLIENT_ID and standing["status"] == "open"
        assert standing["postOnly"] is True and standing["filled"] == "0.00000000" and standing["timestamp"]
        exchange.price("ETH/USD", "2399.00")
        order = client.fetch_order(made["id"], "ETH/USD")
        assert (order["status"], order["filled"], order["average"], order["price"]) == ("closed", "0.10000000", "2400.00", "2400.00")
        assert order["fee"]["cost"] == "0.60000" and order["fee"]["currency"] == "USD" and order["lastUpdateTimestamp"]
        (trade,) = client.fetch_my_trades("ETH/USD")
        assert (trade["order"], trade["price"], trade["amount"], trade["takerOrMaker"]) == (made["id"], "2400.00000", "0.10000000", "maker")
        assert (trade["fee"]["cost"], trade["fee"]["currency"], trade["side"], trade["type"]) == ("0.60000", "USD", "buy", "limit")
        assert trade["id"] in exchange.trades() and trade["timestamp"]
        (closed,) = client.fetch_closed_orders("ETH/USD")
        assert closed["id"] == made["id"]
        assert [one["id"] for one in client.fetch_order_trades(made["id"], "ETH/USD", None, None, {"trades": order["info"]["trades"]})] == [
            trade["id"]
        ]
        lines = client.fetch_ledger("ETH")
        assert {line["referenceId"] for line in lines if line["type"] == "trade"} == {trade["id"]}

    def test_types_and_cancels(self, exchange, client):
        market = client.create_order("ETH/USD", "market", "buy", 0.1)
        assert client.fetch_order(market["id"])["status"] == "closed"
        spent = client.create_market_buy_order_with_cost("ETH/USD", 100)
        assert client.fetch_order(spent["id"])["filled"] == "0.04000000"
        stop = client.create_order("ETH/USD", "market", "sell", 0.1, None, {"stopLossPrice": 2300})
        assert stop["type"] == "market" and client.fetch_order(stop["id"])["stopLossPrice"] == "2300.00"
        gain = client.create_order("ETH/USD", "limit", "sell", 0.1, 2700, {"takeProfitPrice": 2690})
        assert (gain["takeProfitPrice"], gain["price"]) == ("2690.00", "2700.00")
        hasty = client.create_order("ETH/USD", "limit", "buy", 0.1, 2400, {"timeInForce": "IOC"})
        assert client.fetch_order(hasty["id"])["status"] == "canceled"
        client.cancel_order(stop["id"])
        assert client.fetch_order(stop["id"])["status"] == "canceled"
        client.cancel_all_orders()
        assert client.fetch_open_orders() == []
        assert client.fetch_order(gain["id"])["status"] == "canceled"
        told = client.cancel_all_orders_after(60_000)
        assert told["result"]["triggerTime"] > told["result"]["currentTime"]

    def test_several_at_once(self, exchange, client):
        orders = [{"symbol": "ETH/USD", "type": "limit", "side": "buy", "amount": 0.1, "price": price} for price in (2400, 2300)]
        made = client.create_orders(orders)
        assert [one["price"] for one in made] == ["2400.00", "2300.00"]
        client.cancel_orders([one["id"] for one in made])
        assert client.fetch_open_orders() == []

    def test_fees(self, client):
        fee = client.fetch_trading_fee("ETH/USD")
        assert (float(fee["taker"]), float(fee["maker"])) == (0.004, 0.0025)

    def test_its_nonces_are_milliseconds_that_never_repeat(self, exchange, client):
        """As text, first in forms and in JSON alike; in order, where one call follows the other."""
        for _ in range(5):
            client.fetch_balance()
        orders = [{"symbol": "ETH/USD", "type": "limit", "side": "buy", "amount": 0.1, "price": price} for price in (2400, 2300)]
        client.create_orders(orders)
        nonces = [call.args["nonce"] for call in exchange.calls if call.key]
        assert all(type(nonce) is str and len(nonce) == 13 for nonce in nonces) and nonces == sorted(set(nonces)) and len(nonces) == 6
        assert [call.error for call in exchange.calls if call.error] == []

    def test_deposits_are_not_there(self, client):
        with pytest.raises(ccxt.ExchangeError, match="Unknown method"):
            client.fetch_deposits("ETH")

    @pytest.mark.parametrize(("error", "kind"), ERRORS)
    def test_errors_become_its_own(self, exchange, client, error, kind):
        exchange.fault("BalanceEx", error)
        with pytest.raises(ccxt.BaseError) as raised:
            client.fetch_balance()
        assert type(raised.value).__name__ == kind and error in str(raised.value)

    def test_what_it_raises_for_what_really_is_so(self, exchange, client):
        with pytest.raises(ccxt.InsufficientFunds):
            client.create_order("ETH/USD", "market", "sell", 100)
        with pytest.raises(ccxt.OrderNotFound):
            client.cancel_order("OAAAAA-BBBBB-CCCCCC")
        with pytest.raises(ccxt.OrderNotFound):
            client.fetch_order("OAAAAA-BBBBB-CCCCCC")
        exchange.fault("BalanceEx", Fault.status(520))
        with pytest.raises(ccxt.ExchangeNotAvailable):
            client.fetch_balance()
        narrow = ccxt.kraken(options(exchange, exchange.add_key("narrow", permissions=["query-funds"])))
        with pytest.raises(ccxt.PermissionDenied):
            narrow.create_order("ETH/USD", "limit", "buy", 0.1, 2400)
        narrow.session.close()

    def test_on_asyncio(self, exchange):
        import ccxt.async_support as ccxt_async

        async def story():
            client = ccxt_async.kraken(options(exchange))
            try:
                await client.load_markets()
                made = await client.create_order("ETH/USD", "market", "buy", 0.1)
                order = await client.fetch_order(made["id"])
                return order["status"], (await client.fetch_balance())["ETH"]["total"]
            finally:
                await client.close()

        assert asyncio.run(story()) == ("closed", "2.1000000000")


# -- python-kraken-sdk -------------------------------------------------------------------------------------------------


class TestKrakenSdk:
    @pytest.fixture
    def terms(self, exchange):
        return {"key": exchange.key.api_key, "secret": exchange.key.secret, "url": exchange.url}

    def test_the_market(self, exchange, terms):
        market = kraken_spot.Market(url=exchange.url)
        with market:
            assert market.get_assets(assets=["ETH", "XBT"])["XETH"]["altname"] == "ETH"
            assert market.get_asset_pairs(pair="ETHUSD")["XETHZUSD"]["wsname"] == "ETH/USD"
            assert market.get_ticker(pair="ETHUSD")["XETHZUSD"]["a"][0] == "2500.00"
            assert market.get_ohlc(pair="ETHUSD")["last"] and market.get_order_book(pair="ETHUSD")["XETHZUSD"]["asks"]
            assert market.get_recent_trades(pair="ETHUSD")["last"] and market.get_system_status()["status"] == "online"

    def test_an_order_through_its_life(self, exchange, terms):
        with kraken_spot.Trade(**terms) as trade, kraken_spot.User(**terms) as user:
            made = trade.create_order(ordertype="limit", side="buy", volume="0.1", pair="ETHUSD", price="2400.00", cl_ord_id=CLIENT_ID)
            (txid,) = made["txid"]
            assert user.get_open_orders(trades=True)["open"][txid]["cl_ord_id"] == CLIENT_ID
            exchange.price("ETH/USD", "2399.00")
            assert user.get_orders_info(txid=txid)[txid]["status"] == "closed"
            assert list(user.get_closed_orders()["closed"]) == [txid]
            (trade_id,) = user.get_trades_history()["trades"]
            assert user.get_trades_info(txid=trade_id)[trade_id]["ordertxid"] == txid
            ledger = user.get_ledgers_info(type_="trade")["ledger"]
            line = next(iter(ledger))
            assert user.get_ledgers(id_=line)[line]["refid"] == trade_id
            assert user.get_account_balance()["XETH"] == "2.1000000000" and user.get_balances()["ZUSD"]["hold_trade"] == "0.0000"
            assert user.get_trade_balance()["eb"] and user.get_trade_volume(pair="ETHUSD")["fees"]["XETHZUSD"]["fee"] == "0.4000"
            other = trade.create_order(ordertype="stop-loss-limit", side="sell", volume="0.1", pair="ETHUSD", price="2300", price2="2290")
            assert trade.cancel_order(txid=other["txid"][0]) == {"count": 1} and trade.cancel_all_orders() == {"count": 0}
            assert trade.cancel_all_orders_after_x(timeout=60)["triggerTime"]
            orders = [
                {"type": "buy", "ordertype": "limit", "price": price, "volume": "0.1", "timeinforce": "GTC"} for price in ("2300", "2200")
            ]
            batch = trade.create_order_batch(orders=orders, pair="ETHUSD")
            assert trade.cancel_order_batch(orders=[one["txid"] for one in batch["orders"]]) == {"count": 2}
            checked = trade.create_order(ordertype="market", side="buy", volume="0.1", pair="ETHUSD", validate=True)
            assert "txid" not in checked

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ("EOrder:Insufficient funds", "KrakenInsufficientFundsError"),
            ("EGeneral:Permission denied", "KrakenPermissionDeniedError"),
            ("EAPI:Invalid nonce", "KrakenInvalidNonceError"),
            ("EAPI:Rate limit exceeded", "KrakenApiLimitExceededError"),
            ("EService:Unavailable", "KrakenServiceUnavailableError"),
            ("EOrder:Unknown order", "KrakenUnknownOrderError"),
            ("EGeneral:Temporary lockout", "KrakenTemporaryLockoutError"),
        ],
    )
    def test_errors_become_its_own(self, exchange, terms, error, kind):
        exchange.fault("Balance", error)
        with kraken_spot.User(**terms) as user, pytest.raises(getattr(kraken_exceptions, kind)):
            user.get_account_balance()

    def test_an_error_that_it_does_not_know_comes_as_if_it_were_a_result(self, exchange, terms):
        exchange.fault("Balance", "EService: Throttled: 1790000005")
        with kraken_spot.User(**terms) as user:
            assert user.get_account_balance() == {"error": ["EService: Throttled: 1790000005"]}

    def test_on_asyncio(self, exchange, terms):
        async def story():
            async with kraken_spot.SpotAsyncClient(**terms) as client:
                return await client.request("POST", "/0/private/Balance")

        assert asyncio.run(story())["XETH"] == "2.0000000000"

    def test_its_sockets(self, exchange, terms):
        """Public and private WebSocket v2: prices, reports and balances as they happen."""
        exchange.heartbeat = 0.02
        seen = []

        async def story():
            async def hear(message):
                seen.append(message)

            async def until(found):
                async with asyncio.timeout(10):
                    while not any(map(found, seen)):
                        await asyncio.sleep(0.005)

            base = exchange.url.replace("http", "ws", 1)
            client = kraken_spot.SpotWSClient(
                key=terms["key"],
                secret=terms["secret"],
                callback=hear,
                rest_url=exchange.url,
                ws_url=base,
                auth_ws_url=base + "/private",
            )
            async with client:
                await client.subscribe(params={"channel": "ticker", "symbol": ["ETH/USD"]})
                await client.subscribe(params={"channel": "executions", "snap_orders": True, "snap_trades": True})
                await client.subscribe(params={"channel": "balances"})
                await until(lambda one: one.get("channel") == "balances" and one.get("type") == "snapshot")
                exchange.price("ETH/USD", "2450.00")
                txid = exchange.manual("ETH/USD", "buy", "0.1")
                await until(lambda one: one.get("channel") == "executions" and one["data"] and one["data"][0]["exec_type"] == "filled")
                await until(lambda one: one.get("channel") == "ticker" and one["type"] == "update")
            return txid

        txid = asyncio.run(story())
        acks = [one for one in seen if one.get("method") == "subscribe"]
        assert len(acks) == 3 and all(one["success"] for one in acks)
        executed = [report for one in seen if one.get("channel") == "executions" for report in one["data"]]
        assert {report["order_id"] for report in executed} == {txid}
        assert [report["exec_type"] for report in executed] == ["pending_new", "new", "trade", "filled"]
        lines = [one["data"][0] for one in seen if one.get("channel") == "balances" and one["type"] == "update"]
        assert [(line["asset"], line["amount"]) for line in lines] == [("USD", -245.0), ("ETH", 0.1)]
        assert not any("error" in one for one in seen)
