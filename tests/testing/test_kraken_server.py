"""The local Kraken over REST: shapes, signatures, nonces, limits, permissions, modes, paging, and the words of its refusals.

Field shapes, error texts and figures are those of Kraken's documentation as kept in the project's reference.
"""

from __future__ import annotations

import ast
import inspect
import re
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kraken_caller import OFFICIAL_SECRET, Caller, Clock, sign

from sleeves import BTC, USD, Instrument
from sleeves.errors import InvalidAmount, InvalidMarket, VaultError
from sleeves.market import Kind
from sleeves.sim import Fees, Rules, Slippage
from sleeves.testing.kraken_server import KrakenExchange, Pair, kraken_server, signature
from sleeves.testing.kraken_server.keys import Strangers
from strategies import law

MONEY = {"USD": "10000", "ETH": "2", "BTC": "1"}


@pytest.fixture
def exchange():
    with kraken_server(pairs=["ETH/USD", "BTC/USD", "SOL/USD", "ETH/USDT"], balances=MONEY, tier=None) as exchange:
        yield exchange


@pytest.fixture
def caller(exchange):
    with Caller(exchange) as caller:
        yield caller


# -- shapes ------------------------------------------------------------------------------------------------------------


class TestShapes:
    """Every field that real clients read (reference, sections 1.1, 1.2 and the table of section 3), and its type."""

    def test_time_and_status(self, caller):
        told = caller.public("Time")
        assert type(told["unixtime"]) is int and told["rfc1123"].endswith("+0000")
        assert caller.public("SystemStatus")["status"] == "online"

    def test_assets_have_kraken_s_names_and_decimals(self, caller):
        told = caller.public("Assets")
        names = {"XETH": ("ETH", 10), "ZUSD": ("USD", 4), "XXBT": ("XBT", 10), "SOL": ("SOL", 10), "USDT": ("USDT", 8)}
        assert {key: (one["altname"], one["decimals"]) for key, one in told.items()} == names
        for one in told.values():
            assert one["aclass"] == "currency" and one["status"] == "enabled" and type(one["display_decimals"]) is int
        assert list(caller.public("Assets", asset="ETH,XBT")) == ["XETH", "XXBT"]
        assert caller.public_error("Assets", asset="NONE") == "EQuery:Unknown asset"

    def test_pairs_have_kraken_s_names_and_steps(self, caller):
        told = caller.public("AssetPairs")
        names = {
            "XETHZUSD": ("ETHUSD", "ETH/USD", "XETH", "ZUSD"),
            "XXBTZUSD": ("XBTUSD", "XBT/USD", "XXBT", "ZUSD"),
            "SOLUSD": ("SOLUSD", "SOL/USD", "SOL", "ZUSD"),
            "ETHUSDT": ("ETHUSDT", "ETH/USDT", "XETH", "USDT"),
        }
        assert {key: (one["altname"], one["wsname"], one["base"], one["quote"]) for key, one in told.items()} == names
        eth = told["XETHZUSD"]
        assert (eth["pair_decimals"], eth["lot_decimals"], eth["cost_decimals"], eth["lot_multiplier"]) == (2, 8, 5, 1)
        assert (eth["ordermin"], eth["costmin"], eth["tick_size"], eth["status"]) == ("0.002", "0.5", "0.01", "online")
        assert eth["fees"][0] == [0, 0.4] and eth["fees_maker"][0] == [0, 0.25] and eth["fees"][1] == [10000, 0.35]
        assert eth["leverage_buy"] == [2, 3] and eth["execution_venue"] == "international" and eth["fee_volume_currency"] == "ZUSD"
        assert told["XXBTZUSD"]["pair_decimals"] == 1 and told["XXBTZUSD"]["tick_size"] == "0.1"

    @pytest.mark.parametrize("name", ["XETHZUSD", "ETHUSD", "ETH/USD"])
    def test_a_pair_is_found_by_each_of_its_names_and_answered_by_its_id(self, caller, name):
        for method in ("AssetPairs", "Ticker", "Depth", "Trades", "OHLC"):
            assert "XETHZUSD" in caller.public(method, pair=name)

    def test_a_pair_that_is_not_there(self, caller):
        for method in ("AssetPairs", "Ticker", "Depth", "Trades", "OHLC"):
            assert caller.public_error(method, pair="ETHXYZ") == "EQuery:Unknown asset pair"

    def test_a_ticker(self, exchange, caller):
        exchange.price("ETH/USD", "2600.00", volume="3")
        exchange.price("ETH/USD", "2400.00", volume="1")
        told = caller.public("Ticker")["XETHZUSD"]
        assert told["a"] == ["2400.00", "1000", "1000.000"] == told["b"]
        assert told["c"] == ["2400.00", "1.00000000"] and told["v"] == ["4.00000000"] * 2
        assert told["p"] == ["2550.00"] * 2 and told["t"] == [2, 2]
        assert told["h"] == ["2600.00"] * 2 and told["l"] == ["2400.00"] * 2 and told["o"] == "2500.00"

    def test_a_book_and_trades(self, exchange, caller):
        exchange.price("ETH/USD", "2500.00", volume="0.5")
        exchange.book("ETH/USD", bids=[("2499.00", "1"), ("2498.00", "2.5")], asks=[("2501.00", "3"), ("2502.00", "4")])
        told = caller.public("Depth", pair="ETHUSD", count=1)["XETHZUSD"]
        assert [row[:2] for row in told["bids"]] == [["2499.00", "1.000"]] and [row[:2] for row in told["asks"]] == [["2501.00", "3.000"]]
        assert type(told["bids"][0][2]) is int
        ticker = caller.public("Ticker", pair="ETHUSD")["XETHZUSD"]
        assert ticker["a"][0] == "2501.00" and ticker["b"][0] == "2499.00" and ticker["c"][0] == "2500.00"
        trades = caller.public("Trades", pair="ETHUSD")
        (row,) = trades["XETHZUSD"]
        assert row[:2] == ["2500.00", "0.50000000"] and row[3:6] == ["b", "l", ""] and type(row[6]) is int and type(row[2]) is float
        assert type(trades["last"]) is str
        assert caller.public("Trades", pair="ETHUSD", since=trades["last"])["XETHZUSD"] == []

    def test_candles_are_closed_but_for_the_running_one(self):
        clock = Clock(1_790_000_040 * 10**9)
        with kraken_server(pairs=["ETH/USD"], clock=clock) as exchange, Caller(exchange) as caller:
            exchange.row("ETH/USD", "2500.00", "2510.00", "2490.00", "2505.00", "2")
            clock.forward(60)
            exchange.price("ETH/USD", "2520.00", volume="1")
            clock.forward(180)
            told = caller.public("OHLC", pair="ETHUSD", interval=1)
            rows = told["XETHZUSD"]
            assert [row[0] for row in rows] == [1_790_000_040 + 60 * n for n in range(5)]
            assert rows[0] == [1_790_000_040, "2500.00", "2510.00", "2490.00", "2505.00", "2505.00", "2.00000000", 1]
            assert rows[2] == [1_790_000_160, "2520.00", "2520.00", "2520.00", "2520.00", "0", "0.00000000", 0]
            assert told["last"] == 1_790_000_220
            assert [row[0] for row in caller.public("OHLC", pair="ETHUSD", since=1_790_000_160)["XETHZUSD"]] == [
                1_790_000_220,
                1_790_000_280,
            ]
            assert caller.public_error("OHLC", pair="ETHUSD", interval=2) == "EGeneral:Invalid arguments"

    def test_there_are_never_more_than_721_candles_however_far_one_asks_back(self):
        begins = 1_790_000_040
        with kraken_server(pairs=["ETH/USD"], clock=Clock(begins * 10**9)) as exchange, Caller(exchange) as caller:
            exchange.history("ETH/USD", 1, [(begins - 60 * n, "1", "3", "1", "2") for n in range(1, 1001)])
            rows = caller.public("OHLC", pair="ETHUSD", interval=1, since=begins - 60_000)["XETHZUSD"]
            assert len(rows) == 721 and rows[-1][0] == begins and rows[0][0] == begins - 720 * 60
            assert rows[0][1:] == ["1", "3", "1", "2", "0", "0", 0]

    def test_balances_and_holds(self, caller):
        assert caller.call("Balance") == {"XXBT": "1.0000000000", "XETH": "2.0000000000", "ZUSD": "10000.0000"}
        caller.buy("0.1", "2400.00")
        caller.sell("0.5", "2600.00")
        told = caller.call("BalanceEx")
        assert told["ZUSD"] == {"balance": "10000.0000", "hold_trade": "240.9600", "credit": "0.0000", "credit_used": "0.0000"}
        assert told["XETH"]["hold_trade"] == "0.5000000000" and told["XXBT"]["hold_trade"] == "0.0000000000"

    def test_the_worth_of_the_account_and_its_fees(self, caller):
        told = caller.call("TradeBalance", asset="ZUSD")
        assert told["eb"] == "115000.0000" and told["tb"] == "10000.0000"
        assert {"eb", "tb", "m", "uv", "n", "c", "v", "e", "mf"} <= set(told)
        told = caller.call("TradeVolume", pair="ETHUSD", **{"fee-info": "True"})
        assert told["currency"] == "ZUSD" and told["volume"] == "0.0000"
        assert told["fees"]["XETHZUSD"]["fee"] == "0.4000" and told["fees_maker"]["XETHZUSD"]["fee"] == "0.2500"
        rest = {"tiervolume": "0.0000", "nextvolume": "10000.0000"}
        assert told["fees"]["XETHZUSD"] == {"fee": "0.4000", "minfee": "0.1000", "maxfee": "0.4000", "nextfee": "0.3500", **rest}
        assert told["fees_maker"]["XETHZUSD"] == {"fee": "0.2500", "minfee": "0.0000", "maxfee": "0.2500", "nextfee": "0.2000", **rest}
        caller.buy("0.1")
        assert caller.call("TradeVolume")["volume"] == "250.0000"

    def test_an_order_s_life(self, exchange, caller):
        made = caller.call("AddOrder", pair="ETHUSD", type="buy", ordertype="limit", price="2400.00", volume="0.1", cl_ord_id="mine-1")
        assert made["descr"]["order"] == "buy 0.10000000 ETHUSD @ limit 2400.00"
        (txid,) = made["txid"]
        assert len(txid) == 19 and txid[0] == "O" and txid[6] == txid[12] == "-"
        order = caller.call("OpenOrders")["open"][txid]
        assert order["status"] == "open" and order["cl_ord_id"] == "mine-1" and order["userref"] is None and order["refid"] is None
        assert type(order["opentm"]) is float and order["starttm"] == 0 and order["expiretm"] == 0 and "closetm" not in order
        assert order["descr"] == {
            "pair": "ETHUSD",
            "aclass": "forex",
            "type": "buy",
            "ordertype": "limit",
            "price": "2400.00",
            "price2": "0",
            "leverage": "none",
            "order": "buy 0.10000000 ETHUSD @ limit 2400.00",
            "close": "",
        }
        assert (order["vol"], order["vol_exec"], order["cost"], order["fee"], order["price"]) == (
            "0.10000000",
            "0.00000000",
            "0.00000",
            "0.00000",
            "0.00",
        )
        assert (order["stopprice"], order["limitprice"], order["misc"], order["oflags"]) == ("0.00000", "0.00000", "", "fciq")
        assert "trades" not in order
        exchange.price("ETH/USD", "2390.00")
        assert caller.call("OpenOrders")["open"] == {}
        closed = caller.call("ClosedOrders", trades="true")
        assert closed["count"] == 1
        order = closed["closed"][txid]
        assert order["status"] == "closed" and order["reason"] is None and order["closetm"] >= order["opentm"]
        assert (order["vol_exec"], order["cost"], order["fee"], order["price"]) == ("0.10000000", "240.00000", "0.60000", "2400.00")
        history = caller.call("TradesHistory")
        ((trade_id, trade),) = history["trades"].items()
        assert history["count"] == 1 and order["trades"] == [trade_id] and trade_id[0] == "T"
        assert trade["ordertxid"] == txid and trade["pair"] == "XETHZUSD" and type(trade["time"]) is float and trade["maker"] is True
        assert (trade["type"], trade["ordertype"], trade["price"]) == ("buy", "limit", "2400.00000")
        assert (trade["cost"], trade["fee"], trade["vol"], trade["margin"]) == ("240.00000", "0.60000", "0.10000000", "0.00000")
        assert {"postxid", "leverage", "misc", "trade_id", "ledgers"} <= set(trade)
        assert caller.call("QueryTrades", txid=trade_id) == {trade_id: trade}
        assert caller.call("QueryOrders", txid=txid, trades="true") == {txid: order}
        ledger = caller.call("Ledgers", type="trade")["ledger"]
        assert set(ledger) == set(trade["ledgers"])
        by_asset = {line["asset"]: line for line in ledger.values()}
        dollars = by_asset["ZUSD"]
        assert (dollars["amount"], dollars["fee"], dollars["balance"]) == ("-240.0000", "0.6000", "9759.4000")
        assert dollars["refid"] == trade_id == by_asset["XETH"]["refid"] and dollars["aclass"] == "currency" and dollars["subtype"] == ""
        assert (by_asset["XETH"]["amount"], by_asset["XETH"]["balance"]) == ("0.1000000000", "2.1000000000")
        line_id = next(iter(ledger))
        assert caller.call("QueryLedgers", id=line_id) == {line_id: ledger[line_id]}

    def test_a_trade_names_its_lines_as_they_are_asked_for(self, exchange, caller):
        """The reference's example has them; Kraken's documents have them for `ledgers=true` alone. A client must get on with both."""

        def lines(**args):
            (trade,) = caller.call("TradesHistory", **args)["trades"].values()
            return len(trade["ledgers"]) if "ledgers" in trade else None

        caller.buy("0.1")
        assert (lines(), lines(ledgers="true"), lines(ledgers="True"), lines(ledgers="False")) == (2, 2, 2, None)
        exchange.names_lines = False
        assert (lines(), lines(ledgers="true"), lines(ledgers="false")) == (None, 2, None)

    @pytest.mark.parametrize(
        ("info", "fields"),
        [
            ("leverage", {"leverage_buy", "leverage_sell"}),
            ("fees", {"fees", "fees_maker", "fee_volume_currency"}),
            ("margin", {"margin_call", "margin_stop"}),
        ],
    )
    def test_a_part_of_a_pair(self, caller, info, fields):
        assert set(caller.public("AssetPairs", pair="ETHUSD", info=info)["XETHZUSD"]) == fields
        whole = caller.public("AssetPairs", pair="ETHUSD", info="info")
        assert whole == caller.public("AssetPairs", pair="ETHUSD") and fields < set(whole["XETHZUSD"])
        assert caller.public_error("AssetPairs", info="all") == "EGeneral:Invalid arguments:info"

    def test_the_key_tells_what_it_may(self, exchange, caller):
        told = caller.call("GetApiKeyInfo")
        assert told["apiKeyName"] == "default" and told["apiKey"] == exchange.key.api_key and told["nonce"] == "1"
        assert told["permissions"] == sorted(exchange.key.permissions) and told["ipAllowlist"] == []
        assert {"nonceWindow", "validUntil", "queryFrom", "queryTo", "createdTime", "modifiedTime", "lastUsed", "iban"} <= set(told)

    def test_a_token(self, caller):
        told = caller.call("GetWebSocketsToken")
        assert told["expires"] == 900 and len(told["token"]) == 43

    def test_what_is_not_an_endpoint(self, exchange, caller):
        assert caller.public_error("Nothing") == caller.error("Withdraw") == "EGeneral:Unknown method"
        assert caller.http.get("/0/private/Balance").json() == {"error": ["EGeneral:Unknown method"]}
        assert caller.http.get("/1/public/Time").status_code == 404

    def test_a_failure_has_no_result_and_a_success_has_an_empty_list(self, caller):
        assert caller.whole("CancelOrder", txid="OAAAAA-BBBBB-CCCCCC") == {"error": ["EOrder:Unknown order"]}
        assert caller.whole("CancelAll") == {"error": [], "result": {"count": 0}}


DECIMAL = re.compile(r"-?\d+\.\d+")
WHOLE = re.compile(r"\d+")
READ = {
    "Assets": {"altname": str, "decimals": int, "status": str, "aclass": str, "display_decimals": int},
    "AssetPairs": {
        "altname": str,
        "wsname": str,
        "base": str,
        "quote": str,
        "lot_decimals": int,
        "pair_decimals": int,
        "cost_decimals": int,
        "fees": [(int, float)],
        "fees_maker": [(int, float)],
        "ordermin": DECIMAL,
        "costmin": DECIMAL,
        "tick_size": DECIMAL,
        "status": str,
        "leverage_buy": [int],
        "leverage_sell": [int],
        "lot": str,
        "lot_multiplier": int,
        "aclass_base": str,
        "aclass_quote": str,
        "fee_volume_currency": str,
        "margin_call": int,
        "margin_stop": int,
        "long_position_limit": int,
        "short_position_limit": int,
    },
    "Ticker": {
        "a": (DECIMAL, WHOLE, DECIMAL),
        "b": (DECIMAL, WHOLE, DECIMAL),
        "c": (DECIMAL, DECIMAL),
        **dict.fromkeys("vplh", (DECIMAL, DECIMAL)),
        "t": (int, int),
        "o": DECIMAL,
    },
    "OHLC": [(int, DECIMAL, DECIMAL, DECIMAL, DECIMAL, DECIMAL, DECIMAL, int)],
    "Depth": {"asks": [(DECIMAL, DECIMAL, int)], "bids": [(DECIMAL, DECIMAL, int)]},
    "Trades": [(DECIMAL, DECIMAL, float, str, str, str, int)],
    "BalanceEx": {"balance": DECIMAL, "hold_trade": DECIMAL, "credit": DECIMAL, "credit_used": DECIMAL},
    "QueryOrders": {
        "status": str,
        "opentm": float,
        "closetm": float,
        "vol": DECIMAL,
        "vol_exec": DECIMAL,
        "cost": DECIMAL,
        "fee": DECIMAL,
        "price": DECIMAL,
        "oflags": str,
        "cl_ord_id": str,
        "trades": [str],
        "refid": type(None),
        "userref": type(None),
        "reason": type(None),
        "starttm": int,
        "expiretm": int,
        "stopprice": DECIMAL,
        "limitprice": DECIMAL,
        "misc": str,
        "descr": {
            "pair": str,
            "type": str,
            "ordertype": str,
            "price": DECIMAL,
            "price2": WHOLE,
            "leverage": str,
            "order": str,
            "close": str,
        },
    },
    "TradesHistory": {
        "ordertxid": str,
        "postxid": str,
        "pair": str,
        "time": float,
        "type": str,
        "ordertype": str,
        "price": DECIMAL,
        "cost": DECIMAL,
        "fee": DECIMAL,
        "vol": DECIMAL,
        "margin": DECIMAL,
        "leverage": WHOLE,
        "misc": str,
        "trade_id": int,
        "maker": bool,
        "ledgers": [str],
    },
    "Ledgers": {
        "refid": str,
        "time": float,
        "type": str,
        "subtype": str,
        "aclass": str,
        "asset": str,
        "amount": DECIMAL,
        "fee": DECIMAL,
        "balance": DECIMAL,
    },
}
"""What clients read of each thing that an endpoint tells of, and of which type it is (reference, 1.1, 1.2 and 3)."""


def matches(told, wanted):
    if isinstance(wanted, re.Pattern):
        return isinstance(told, str) and wanted.fullmatch(told) is not None
    if isinstance(wanted, dict):
        return isinstance(told, dict) and all(name in told and matches(told[name], kind) for name, kind in wanted.items())
    if isinstance(wanted, tuple):
        return isinstance(told, list) and len(told) == len(wanted) and all(map(matches, told, wanted))
    if isinstance(wanted, list):
        return isinstance(told, list) and bool(told) and all(matches(one, wanted[0]) for one in told)
    return type(told) is wanted


@pytest.mark.parametrize("method", READ)
def test_every_field_that_a_client_reads_is_there_and_of_its_type(exchange, caller, method):
    exchange.price("ETH/USD", "2500.00", volume="0.5")
    txid = caller.buy("0.1", "2600.00", cl_ord_id="mine")
    args = {"OHLC": {"pair": "ETHUSD"}, "Depth": {"pair": "ETHUSD"}, "Trades": {"pair": "ETHUSD"}}.get(method, {})
    if method in ("Assets", "AssetPairs", "Ticker", "OHLC", "Depth", "Trades"):
        told = caller.public(method, **args)
    else:
        told = caller.call(method, **({"txid": txid, "trades": "true"} if method == "QueryOrders" else {}))
    told = told.get({"TradesHistory": "trades", "Ledgers": "ledger"}.get(method, ""), told)
    things = {name: one for name, one in told.items() if name != "last"}
    if method in ("Assets", "AssetPairs", "Ticker", "OHLC", "Depth", "Trades"):
        assert set(things) <= {"XETH", "XXBT", "ZUSD", "SOL", "USDT", "XETHZUSD", "XXBTZUSD", "SOLUSD", "ETHUSDT"}  # ids, never names
    assert things
    wanted = READ[method]
    for name, one in things.items():
        if isinstance(wanted, dict):
            assert [field for field, kind in wanted.items() if field not in one or not matches(one[field], kind)] == [], name
        else:
            assert matches(one, wanted), one


# -- signatures and nonces ---------------------------------------------------------------------------------------------


class TestSignatures:
    VECTOR = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    SIGNED = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="

    def test_the_official_vector(self):
        assert signature(OFFICIAL_SECRET, "/0/private/AddOrder", "1616492376594", self.VECTOR.encode()) == self.SIGNED

    def test_the_very_bytes_of_the_official_vector_are_an_order(self):
        with kraken_server(pairs=["BTC/USD"], balances={"USD": "50000"}) as exchange:
            key = exchange.add_key("official", api_key="official", secret=OFFICIAL_SECRET)
            headers = {"API-Key": key.api_key, "API-Sign": self.SIGNED, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            told = httpx.post(exchange.url + "/0/private/AddOrder", content=self.VECTOR, headers=headers).json()
            assert told["result"]["descr"]["order"] == "buy 1.25000000 XBTUSD @ limit 37500.0"
            changed = self.VECTOR.replace("594&", "595&")
            told = httpx.post(exchange.url + "/0/private/AddOrder", content=changed, headers=headers).json()
            assert told == {"error": ["EAPI:Invalid signature"]}
            assert [call.signed for call in exchange.calls] == [True, False]

    def test_fields_may_stand_in_any_order_and_in_json(self, caller):
        args = {"asset": "ZUSD", "extra": "a b&c=ä"}
        assert caller.send("TradeBalance", args, order=["nonce", "asset", "extra"]).json()["error"] == []
        assert caller.send("TradeBalance", args, order=["extra", "asset", "nonce"]).json()["error"] == []
        assert caller.send("TradeBalance", args, as_json=True).json()["error"] == []
        assert caller.send("TradeBalance", {"asset": "ZUSD"}, nonce=4, as_json=True).json()["error"] == []

    def test_what_is_signed_is_the_body_that_came(self, exchange):
        nonce, signed_body = "7", b"nonce=7&asset=ZUSD"
        for sent in (b"asset=ZUSD&nonce=7", b"nonce=7&asset=ZUSD&x=1", b"nonce=7&asset=ZEUR"):
            headers = {
                "API-Key": exchange.key.api_key,
                "API-Sign": sign(exchange.key.secret, "/0/private/TradeBalance", nonce, signed_body),
            }
            assert httpx.post(exchange.url + "/0/private/TradeBalance", content=sent, headers=headers).json() == {
                "error": ["EAPI:Invalid signature"]
            }
        path_of_another = {"API-Key": exchange.key.api_key, "API-Sign": sign(exchange.key.secret, "/0/private/Balance", nonce, signed_body)}
        told = httpx.post(exchange.url + "/0/private/TradeBalance", content=signed_body, headers=path_of_another).json()
        assert told == {"error": ["EAPI:Invalid signature"]}

    @pytest.mark.parametrize("bad", ["", "AAAA", "ä", "not base64!"])
    def test_a_signature_that_is_none(self, exchange, bad):
        headers = [(b"API-Key", exchange.key.api_key.encode()), (b"API-Sign", bad.encode())]
        told = httpx.post(exchange.url + "/0/private/Balance", content=b"nonce=1", headers=headers).json()
        assert told == {"error": ["EAPI:Invalid signature"]}

    def test_get_and_post_are_the_same_to_a_public_endpoint(self, exchange, caller):
        there = exchange.url + "/0/public/Ticker"
        for told in (
            caller.http.get(there, params={"pair": "ETHUSD"}),
            caller.http.post(there, params={"pair": "ETHUSD"}),
            caller.http.post(there, data={"pair": "ETHUSD"}),
            caller.http.post(there, json={"pair": "ETHUSD"}),
        ):
            assert list(told.json()["result"]) == ["XETHZUSD"]
        assert [call.args for call in exchange.calls] == [{"pair": "ETHUSD"}] * 4
        assert caller.http.post(there, content=b"{", headers={"Content-Type": "application/json"}).json() == {
            "error": ["EGeneral:Invalid arguments"]
        }

    def test_a_key_that_nobody_knows(self, caller):
        assert caller.send("Balance", api_key="nobody").json() == {"error": ["EAPI:Invalid key"]}
        told = httpx.post(caller.exchange.url + "/0/private/Balance", content=b"nonce=1").json()
        assert told == {"error": ["EAPI:Invalid key"]}

    @pytest.mark.parametrize("body", [b"[1]", b"{", b"\xff\xfe"])
    def test_a_body_that_cannot_be_read(self, exchange, body):
        headers = {"API-Key": exchange.key.api_key, "API-Sign": "x", "Content-Type": "application/json"}
        told = httpx.post(exchange.url + "/0/private/Balance", content=body, headers=headers).json()
        assert told == {"error": ["EGeneral:Invalid arguments"]}

    def test_a_revoked_and_an_expired_key(self):
        clock = Clock()
        with kraken_server(clock=clock) as exchange:
            ends = exchange.add_key("ends", expires=clock() + 10**9)
            with Caller(exchange, ends) as caller:
                assert caller.error("Balance") == ""
                clock.forward(0.999_999_999)
                assert caller.error("Balance") == ""
                clock.forward(0.000_000_001)
                assert caller.error("Balance") == "EAPI:Invalid key"
            with Caller(exchange) as caller:
                exchange.revoke(exchange.key)
                assert caller.error("GetApiKeyInfo") == "EAPI:Invalid key"


class TestNonces:
    @pytest.mark.parametrize(
        ("nonces", "window", "good"),
        [
            ([5, 6, 7], 0, [True, True, True]),
            ([5, 5], 0, [True, False]),
            ([5, 4], 0, [True, False]),
            ([5, 1_000, 999], 0, [True, True, False]),
            ([1_000, 901, 900], 100, [True, True, False]),
            ([1_000, 950, 950], 100, [True, True, False]),
            ([1_000, 1_000], 100, [True, False]),
            ([1, (1 << 64) - 1], 0, [True, True]),
            ([1 << 64], 0, [False]),
            ([0], 0, [False]),
            (["-1", "1.5", "ten", "", "²"], 0, [False] * 5),
        ],
    )
    def test_it_rises_in_the_order_of_arrival(self, exchange, nonces, window, good):
        key = exchange.add_key("other", nonce_window=window)
        with Caller(exchange, key) as caller:
            told = [caller.send("Balance", nonce=nonce).json()["error"] for nonce in nonces]
        assert [one == [] for one in told] == good
        assert all(one in ([], ["EAPI:Invalid nonce"]) for one in told)

    def test_it_is_each_key_s_own(self, exchange):
        with Caller(exchange) as one, Caller(exchange, exchange.add_key("other")) as two:
            assert one.send("Balance", nonce=1_000).json()["error"] == two.send("Balance", nonce=1).json()["error"] == []

    def test_a_refused_nonce_has_done_nothing_and_used_up_nothing(self, exchange, caller):
        caller.send("Balance", nonce=100)
        fields = {"pair": "ETHUSD", "type": "buy", "ordertype": "market", "volume": "0.1"}
        assert caller.send("AddOrder", fields, nonce=100).json() == {"error": ["EAPI:Invalid nonce"]}
        assert exchange.orders() == {}
        assert caller.send("AddOrder", fields, nonce=101).json()["error"] == []

    def test_a_wrong_signature_uses_up_no_nonce(self, caller):
        assert caller.send("Balance", nonce=50, secret=OFFICIAL_SECRET).json() == {"error": ["EAPI:Invalid signature"]}
        assert caller.send("Balance", nonce=50).json()["error"] == []

    def test_late_arrivals_overtake_each_other(self, exchange):
        from concurrent.futures import ThreadPoolExecutor

        exchange.jitter = (0.0, 0.05)
        with Caller(exchange) as caller, ThreadPoolExecutor(10) as pool:
            told = list(pool.map(lambda nonce: caller.send("Balance", nonce=nonce).json()["error"], range(1, 31)))
        assert ["EAPI:Invalid nonce"] in told and [] in told


class TestLockout:
    def test_the_fifth_wrong_signature_in_a_row_locks_the_account_with_all_its_keys(self):
        clock = Clock()
        with kraken_server(clock=clock) as exchange, Caller(exchange) as caller, Caller(exchange, exchange.add_key("two")) as other:
            for _ in range(4):
                assert caller.send("Balance", secret=OFFICIAL_SECRET).json() == {"error": ["EAPI:Invalid signature"]}
            assert other.error("Balance") == ""
            assert caller.send("Balance", secret=OFFICIAL_SECRET).json() == {"error": ["EAPI:Invalid signature"]}
            assert caller.error("Balance") == other.error("Balance") == "EGeneral:Temporary lockout"
            assert other.public("Time")
            clock.forward(899.999)
            assert other.error("Balance") == "EGeneral:Temporary lockout"
            clock.forward(0.002)
            assert other.error("Balance") == caller.error("Balance") == ""

    def test_a_key_that_nobody_knows_is_locked_out_alone(self):
        clock = Clock()
        with kraken_server(clock=clock) as exchange, Caller(exchange) as caller:
            for _ in range(2):
                told = [caller.send("Balance", api_key="nobody").json()["error"] for _ in range(7)]
                assert told == [["EAPI:Invalid key"]] * 5 + [["EGeneral:Temporary lockout"]] * 2
                assert caller.send("Balance", api_key="another").json()["error"] == ["EAPI:Invalid key"]
                assert caller.error("Balance") == ""
                clock.forward(899.999_999_999)
                assert caller.send("Balance", api_key="nobody").json()["error"] == ["EGeneral:Temporary lockout"]
                clock.forward(0.000_000_001)

    def test_of_keys_that_nobody_knows_only_so_many_are_remembered(self):
        strangers = Strangers()
        for n in range(1_001):
            for _ in range(5):
                assert strangers.refuse(f"key {n}", 0, 5) == "EAPI:Invalid key"
        assert strangers.refuse("key 0", 0, 5) == "EAPI:Invalid key"
        assert strangers.refuse("key 1000", 0, 5) == "EGeneral:Temporary lockout"
        assert strangers.refuse("key 2", 0, 5) == "EGeneral:Temporary lockout"  # the oldest make room: key 0, then key 1

    def test_a_good_call_in_between_forgives(self, exchange, caller):
        for _ in range(3):
            for _ in range(4):
                caller.send("Balance", secret=OFFICIAL_SECRET)
            assert caller.error("Balance") == ""

    def test_the_hand_locks_and_unlocks(self, exchange, caller):
        exchange.add_account("other", {"USD": "5"})
        exchange.lock_out(60)
        with Caller(exchange, exchange.add_key("theirs", account="other")) as theirs:
            assert caller.error("AddOrder") == "EGeneral:Temporary lockout" and theirs.error("Balance") == ""
        exchange.unlock()
        assert caller.error("Balance") == ""


# -- limits and permissions --------------------------------------------------------------------------------------------


class TestLimits:
    @pytest.mark.parametrize(("tier", "most", "decay"), [("starter", 15, 0.33), ("intermediate", 20, 0.5), ("pro", 20, 1.0)])
    def test_the_counter_of_a_key_fills_and_decays(self, tier, most, decay):
        clock = Clock()
        with kraken_server(clock=clock, tier=tier) as exchange, Caller(exchange) as caller:
            assert [caller.error("Balance") for _ in range(most)] == [""] * most
            assert caller.error("Balance") == "EAPI:Rate limit exceeded"
            assert caller.error("AddOrder", pair="ETHUSD") != "EAPI:Rate limit exceeded"
            clock.forward(2 / decay - 0.01)
            assert caller.error("Balance") == "EAPI:Rate limit exceeded"  # calls while limited prolong it
            clock.forward(2 / decay + 0.02)
            assert caller.error("Balance") == ""

    def test_it_is_each_key_s_own(self):
        with kraken_server(clock=Clock()) as exchange, Caller(exchange) as one, Caller(exchange, exchange.add_key("other")) as other:
            assert [one.error("Balance") for _ in range(21)][-1] == "EAPI:Rate limit exceeded"
            assert other.error("Balance") == ""

    @pytest.mark.parametrize(
        ("method", "cost"),
        [("Ledgers", 2), ("TradesHistory", 2), ("QueryLedgers", 2), ("ClosedOrders", 1), ("CancelAll", 0), ("CancelOrder", 0)],
    )
    def test_what_a_call_costs(self, method, cost):
        with kraken_server(clock=Clock(), tier="pro") as exchange, Caller(exchange) as caller:
            for _ in range(10):
                caller.error(method)
            left = 20 - 10 * cost
            assert [caller.error("Balance") for _ in range(left)] == [""] * left
            assert caller.error("Balance") == "EAPI:Rate limit exceeded"

    @pytest.mark.parametrize(("tier", "most"), [("starter", 60), ("intermediate", 125), ("pro", 180)])
    def test_the_engine_counts_orders_of_a_pair(self, tier, most):
        with kraken_server(clock=Clock(), tier=tier, balances=MONEY) as exchange, Caller(exchange) as caller:
            args = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "price": "1.00", "volume": "0.001"}  # below the minimum
            assert {caller.error("AddOrder", **args) for _ in range(most)} == {"EOrder:Order minimum not met"}  # counted all the same
            assert caller.error("AddOrder", **args) == "EOrder:Rate limit exceeded"
            assert caller.error("AddOrder", **args | {"pair": "XBTUSD"}) != "EOrder:Rate limit exceeded"

    @pytest.mark.parametrize(
        ("age", "cost"),
        [
            (0, 8),
            (4.99, 8),
            (5, 6),
            (9.99, 6),
            (10, 5),
            (14.99, 5),
            (15, 4),
            (44.99, 4),
            (45, 2),
            (89.99, 2),
            (90, 1),
            (299.99, 1),
            (300, 0),
        ],
    )
    def test_canceling_a_young_order_costs(self, age, cost):
        clock = Clock()
        with kraken_server(clock=clock, tier="starter", balances=MONEY) as exchange, Caller(exchange) as caller:
            txid = caller.buy("0.1", "2400.00")
            clock.forward(age)
            caller.call("CancelOrder", txid=txid)
            (counter,) = exchange.account().engine.values()
            assert counter.level == max(0, 1_000_000_000 - round(age * 1e9)) + cost * 1_000_000_000

    def test_so_does_each_of_several_at_once(self):
        with kraken_server(clock=Clock(), tier="pro", balances=MONEY) as exchange, Caller(exchange) as caller:
            ids = [caller.buy("0.1", "2400.00") for _ in range(3)]
            assert caller.send("CancelOrderBatch", {"orders": ids[:2]}, as_json=True).json()["result"] == {"count": 2}
            (counter,) = exchange.account().engine.values()
            assert counter.level == (3 + 2 * 8) * 1_000_000_000

    def test_open_orders_of_a_pair_are_limited(self):
        clock = Clock()
        with kraken_server(clock=clock, tier="starter", balances=MONEY) as exchange, Caller(exchange) as caller:
            for _ in range(60):
                caller.buy("0.01", "2400.00")
                clock.forward(2)
            args = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "price": "2400.00", "volume": "0.01"}
            assert caller.error("AddOrder", **args) == "EOrder:Orders limit exceeded"

    def test_a_tier_that_is_none(self):
        with pytest.raises(VaultError, match="starter, intermediate, pro"):
            KrakenExchange(tier="gold")


PERMITTED = {
    "query-funds": ("Balance", "BalanceEx", "TradeBalance", "TradeVolume"),
    "query-open-trades": ("OpenOrders", "QueryOrders"),
    "query-closed-trades": ("ClosedOrders", "QueryOrders", "TradesHistory", "QueryTrades"),
    "modify-trades": ("AddOrder", "AddOrderBatch", "CancelOrder", "CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"),
    "close-trades": ("CancelOrder", "CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"),
    "query-ledger": ("Ledgers", "QueryLedgers"),
    "create-ws-token": ("GetWebSocketsToken",),
}


@pytest.mark.parametrize("permission", PERMITTED)
def test_a_key_may_do_what_it_may_and_nothing_else(exchange, permission):
    every = {method for methods in PERMITTED.values() for method in methods}
    with Caller(exchange, exchange.add_key("narrow", permissions=[permission])) as caller:
        may = {method for method in every if caller.error(method) != "EGeneral:Permission denied"}
        assert may == set(PERMITTED[permission])
        assert caller.call("GetApiKeyInfo")["permissions"] == [permission]


# -- paging ------------------------------------------------------------------------------------------------------------


class TestPages:
    @pytest.fixture
    def story(self):
        clock = Clock()
        with kraken_server(balances=MONEY, tier=None, clock=clock) as exchange, Caller(exchange) as caller:
            for _ in range(60):
                clock.forward(1)
                caller.buy("0.01")
                clock.forward(1)
                caller.sell("0.01")
            yield exchange, caller, clock

    @pytest.mark.parametrize(
        ("method", "inside", "more", "total"),
        [("TradesHistory", "trades", {}, 120), ("ClosedOrders", "closed", {}, 120), ("Ledgers", "ledger", {"type": "trade"}, 240)],
    )
    def test_fifty_at_a_time_newest_first_each_once(self, story, method, inside, more, total):
        _, caller, _ = story
        pages, found = [], {}
        while len(found) < total:
            page = caller.call(method, ofs=str(len(found)), **more)
            assert page["count"] == total
            pages.append(len(page[inside]))
            assert not set(page[inside]) & set(found)
            found |= page[inside]
        assert pages == [50] * (total // 50) + [total % 50]
        times = [one.get("time", one.get("closetm")) for one in found.values()]
        assert times == sorted(times, reverse=True)
        assert caller.call(method, ofs=str(total), **more)[inside] == {}
        assert "count" not in caller.call(method, without_count="true", **more)

    def test_start_is_left_out_and_end_is_not(self, story):
        _, caller, _ = story
        trades = caller.call("TradesHistory")["trades"]
        ids, times = list(trades), [one["time"] for one in trades.values()]
        part = caller.call("TradesHistory", start=str(times[4]), end=str(times[2]))
        assert list(part["trades"]) == ids[2:4] and part["count"] == 2
        assert list(caller.call("TradesHistory", start=ids[4], end=ids[2])["trades"]) == ids[2:4]

    def test_ledgers_of_one_asset(self, story):
        _, caller, _ = story
        for name in ("XETH", "ETH"):
            told = caller.call("Ledgers", asset=name)
            assert told["count"] == 121 and {line["asset"] for line in told["ledger"].values()} == {"XETH"}
        assert caller.call("Ledgers", type="deposit")["count"] == 3
        assert caller.error("Ledgers", asset="NONE") == "EQuery:Unknown asset"

    @pytest.mark.parametrize("method", ["TradesHistory", "Ledgers", "ClosedOrders"])
    @pytest.mark.parametrize("args", [{"ofs": "-1"}, {"ofs": "x"}, {"start": "NaN"}, {"end": "yesterday"}])
    def test_arguments_that_make_no_page(self, caller, method, args):
        assert caller.error(method, **args).startswith("EGeneral:Invalid arguments")

    def test_ids_that_are_unknown_are_left_out_and_ids_that_are_none_are_refused(self, caller):
        assert caller.call("QueryOrders", txid="OAAAAA-BBBBB-CCCCCC") == {}
        assert caller.call("QueryTrades", txid="TAAAAA-BBBBB-CCCCCC") == caller.call("QueryLedgers", id="LAAAAA-BBBBB-CCCCCC") == {}
        assert caller.error("QueryOrders", txid="hello") == "EOrder:Invalid order"
        assert caller.error("QueryOrders", txid=",".join(["OAAAAA-BBBBB-CCCCCC"] * 51)) == "EGeneral:Invalid arguments:txid"


# -- modes -------------------------------------------------------------------------------------------------------------

POST = {"price": "2400.00", "oflags": "post"}
MODES = [
    ("status", "cancel_only", {}, "EService:Market in cancel_only mode"),
    ("status", "cancel_only", POST, "EService:Market in cancel_only mode"),
    ("status", "post_only", {}, "EService:Market in post_only mode"),
    ("status", "post_only", {"price": "2400.00"}, "EService:Market in post_only mode"),
    ("status", "post_only", POST, ""),
    ("status", "maintenance", {}, "EService:Unavailable"),
    ("pair", "cancel_only", {}, "EService:Market in cancel_only mode"),
    ("pair", "post_only", POST, ""),
    ("pair", "limit_only", {}, "EService:Market in limit_only mode"),
    ("pair", "limit_only", {"price": "2400.00"}, ""),
    ("pair", "reduce_only", POST, "EService:Market in reduce_only mode"),
]


@pytest.mark.parametrize(("where", "mode", "terms", "error"), MODES)
def test_modes_refuse_orders_and_never_cancels(exchange, caller, where, mode, terms, error):
    standing = caller.buy("0.01", "2300.00")
    if where == "status":
        exchange.status(mode)
        assert caller.public("SystemStatus")["status"] == mode
    else:
        exchange.pair_status("ETH/USD", mode)
        assert caller.public("AssetPairs")["XETHZUSD"]["status"] == mode
        assert caller.error("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.01") == ""
    args = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit" if "price" in terms else "market", "volume": "0.01", **terms}
    assert caller.error("AddOrder", **args) == error
    if mode == "maintenance":
        assert caller.error("Balance") == caller.public_error("Ticker") == "EService:Unavailable"
        exchange.status("online")
    assert caller.call("CancelOrder", txid=standing) == {"count": 1}


def test_a_mode_that_is_none(exchange):
    with pytest.raises(VaultError, match="online, maintenance"):
        exchange.status("limit_only")
    with pytest.raises(VaultError, match="reduce_only"):
        exchange.pair_status("ETH/USD", "maintenance")


# -- terms that make no exchange ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ({"pairs": ["FOO/BAR"]}, InvalidMarket, "give a Pair or an Instrument"),
        ({"pairs": ["ETH/USD", "ETH/USD"]}, InvalidMarket, "listed twice"),
        ({"pairs": [Pair("ETH/USD", lot="0.0003")]}, InvalidMarket, "power of ten"),
        ({"pairs": [Instrument("BTC/USD", base=BTC, quote=USD, kind=Kind.PERP)]}, InvalidMarket, "perpetual"),
        ({"pairs": [Instrument("XX/USD", base=BTC, quote=USD)]}, InvalidMarket, "called by its coins"),
        ({"balances": {"USD": "0.00001"}}, InvalidAmount, "decimal places"),
        ({"balances": {"USD": "-1"}}, InvalidAmount, "less than"),
        ({"prices": {"ETH/USD": "2500.001"}}, InvalidMarket, "2500.001"),
        ({"prices": {"NO/NO": "1"}}, InvalidMarket, "not listed"),
        ({"rules": Rules.of(), "tier": "none"}, VaultError, "tier"),
    ],
)
def test_what_makes_no_exchange(terms, error, words):
    with pytest.raises(error, match=words):
        KrakenExchange(**terms)


def test_a_pair_of_one_s_own_and_fees_of_one_s_own():
    rules = Rules(fees=Fees(maker_ppm=-100, taker_ppm=1_000), slippage=Slippage.none())
    pair = Pair("DOGE/EUR", tick="0.0005", lot="0.1", ordermin="10", costmin="1", price="0.2")
    with kraken_server(pairs=[pair], balances={"EUR": "100"}, rules=rules) as exchange, Caller(exchange) as caller:
        ((name, told),) = caller.public("AssetPairs").items()
        assert name == "XXDGZEUR" and told["altname"] == "XDGEUR" and told["wsname"] == "XDG/EUR"
        assert (told["tick_size"], told["lot_decimals"], told["pair_decimals"]) == ("0.0005", 1, 4)
        assert told["fees"] == [[0, 0.1]] and told["fees_maker"] == [[0, -0.01]]
        caller.order("buy", "100", pair="XDGEUR")
        assert exchange.balances() == {"DOGE": Decimal(100), "EUR": Decimal("79.98")}


@law
@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_no_body_breaks_it(body, kind):
    """Bytes of any kind are answered with an error of Kraken's, and the exchange goes on."""
    exchange = BROKEN
    headers = {"API-Key": exchange.key.api_key, "API-Sign": "x", "Content-Type": kind}
    told = httpx_of(exchange).post("/0/private/AddOrder", content=body, headers=headers)
    assert told.status_code == 200 and len(told.json()["error"]) == 1
    exchange.unlock()


BROKEN = kraken_server()
_CLIENTS: list[httpx.Client] = []


def httpx_of(exchange):
    if not _CLIENTS:
        _CLIENTS.append(httpx.Client(base_url=exchange.start().url))
    return _CLIENTS[0]


def teardown_module():
    BROKEN.stop()
    for client in _CLIENTS:
        client.close()


def test_every_call_that_arrived_is_remembered(exchange, caller):
    caller.public("Time")
    caller.call("Balance")
    caller.error("CancelOrder", txid="OAAAAA-BBBBB-CCCCCC")
    seen = [(call.method, call.key, call.signed, call.error) for call in exchange.calls]
    assert seen == [("Time", "", False, ""), ("Balance", "default", True, ""), ("CancelOrder", "default", True, "EOrder:Unknown order")]
    assert exchange.calls[2].args["txid"] == "OAAAAA-BBBBB-CCCCCC"


def test_a_key_does_not_show_its_secret(exchange, caller):
    caller.call("Balance")
    shown = repr(exchange.key) + repr(exchange.keys) + repr(exchange.calls)
    assert exchange.key.name in shown and exchange.key.secret not in shown


KNOWN = (
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EAPI:Invalid nonce",
    "EAPI:Rate limit exceeded",
    "EGeneral:Temporary lockout",
    "EGeneral:Permission denied",
    "EGeneral:Invalid arguments",
    "EGeneral:Unknown method",
    "EQuery:Unknown asset",
    "EQuery:Unknown asset pair",
    "EService:Unavailable",
    "EService:Deadline elapsed",
    "EService:Market in ",
    "EOrder:Insufficient funds",
    "EOrder:Order minimum not met",
    "EOrder:Cost minimum not met",
    "EOrder:Tick size check failed",
    "EOrder:Invalid price",
    "EOrder:Invalid order",
    "EOrder:Post only order",
    "EOrder:Rate limit exceeded",
    "EOrder:Orders limit exceeded",
    "EOrder:Unknown order",
    "EOrder:Reduce only:No position exists",
    "EOrder:Cannot open position",
    "ESession:Invalid session",
)
"""Kraken's spelling of what the server can say by itself (reference, 1.5); field names and words of detail come after a colon."""


def test_no_error_is_spelled_otherwise_than_kraken_does():
    folder = Path(inspect.getfile(KrakenExchange)).parent
    said = {text for file in folder.glob("*.py") if file.name != "faults.py" for text in _texts(ast.parse(file.read_text("utf-8")))}
    errors = {text for text in said if re.match(r"E[A-Z]?[A-Za-z]+:", text)}
    in_detail = (*(f"{known}:" for known in KNOWN), "EService:Market in ")
    assert {text for text in errors if text not in KNOWN and not text.startswith(in_detail)} == set()
    assert {known for known in KNOWN if not any(text.startswith(known) for text in errors)} == set()


def _texts(tree):
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


@pytest.mark.parametrize(
    ("method", "fault", "times", "words"),
    [
        ("AddOrdr", "EService:Busy", 1, "AddOrdr"),
        ("addOrder", "EService:Busy", 1, "addOrder"),
        ("", "EService:Busy", 1, "never strike"),
        ("AddOrder", "EService:Busy", 0, "at least once"),
        ("AddOrder", "EService:Busy", True, "at least once"),
        ("AddOrder", "out of order", 1, "no error of Kraken's"),
        ("AddOrder", "", 1, "no error of Kraken's"),
    ],
)
def test_a_fault_that_would_never_strike_is_refused(exchange, method, fault, times, words):
    with pytest.raises(VaultError, match=re.escape(words)):
        exchange.fault(method, fault, times=times)
    assert len(exchange.faults) == 0


def test_an_endpoint_that_is_not_here_can_fail_otherwise(exchange, caller):
    exchange.fault("Withdraw", "EFunding:Unknown withdraw key")
    assert caller.error("Withdraw", asset="XETH", key="home", amount="1") == "EFunding:Unknown withdraw key"
    assert caller.error("Withdraw", asset="XETH", key="home", amount="1") == "EGeneral:Unknown method"


def test_a_port_of_one_s_own(exchange):
    with kraken_server(port=0, tier=None) as other:
        port = int(other.url.rpartition(":")[2])
    with kraken_server(port=port) as again, Caller(again) as caller:
        assert again.url.endswith(f":{port}") and caller.public("SystemStatus")["status"] == "online"
        with pytest.raises(OSError, match=f"port {port} .* is in use"):
            kraken_server(port=port).start()
