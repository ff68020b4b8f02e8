"""The local Kraken's WebSocket v2: subscriptions, what each channel tells and in which order, tokens, and broken wires."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from kraken_caller import Caller, Clock
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sleeves.testing.kraken_server import kraken_server

MONEY = {"USD": "10000", "ETH": "2", "ETH.F": "0.5"}
HEARTBEAT = {"channel": "heartbeat"}


class Wire:
    """A socket that reads what comes, heartbeats apart; numbers as they were written."""

    def __init__(self, socket):
        self.socket = socket
        self.beats = 0

    def read(self, timeout=5):
        while True:
            message = json.loads(self.socket.recv(timeout=timeout), parse_float=Decimal)
            if message != HEARTBEAT:
                return message
            self.beats += 1

    def ask(self, method, req_id=None, **params):
        message = {"method": method, **({"params": params} if params else {}), **({} if req_id is None else {"req_id": req_id})}
        self.socket.send(json.dumps(message))

    def until_pong(self, req_id=77):
        """All that was sent before now."""
        self.ask("ping", req_id)
        found = []
        while (message := self.read()).get("method") != "pong":
            found.append(message)
        assert message["req_id"] == req_id
        return found

    def join(self, channel, **params):
        """The answer to a subscription, and the snapshot after it if there is one."""
        self.ask("subscribe", 1, channel=channel, **params)
        return self.until_pong()


@contextmanager
def wire(url):
    with connect(url) as socket:
        opened = Wire(socket)
        status = opened.read()
        assert status["channel"] == "status" and status["type"] == "update"
        (state,) = status["data"]
        assert state["system"] == "online" and state["api_version"] == "v2" and {"connection_id", "version"} <= set(state)
        yield opened


@pytest.fixture
def exchange():
    with kraken_server(pairs=["ETH/USD", "BTC/USD"], balances=MONEY, tier=None) as exchange:
        yield exchange


@pytest.fixture
def caller(exchange):
    with Caller(exchange) as caller:
        yield caller


@pytest.fixture
def public(exchange):
    with wire(exchange.socket_url) as public:
        yield public


@pytest.fixture
def private(exchange):
    with wire(exchange.private_socket_url) as private:
        yield private


# -- asking ------------------------------------------------------------------------------------------------------------


def test_ping_and_pong(public):
    public.ask("ping", 101)
    pong = public.read()
    assert pong["method"] == "pong" and pong["req_id"] == 101 and pong["time_in"] <= pong["time_out"] and pong["time_in"].endswith("Z")


def test_each_symbol_is_answered_for_itself(public):
    public.ask("subscribe", 4, channel="ticker", symbol=["ETH/USD", "NO/USD", "BTC/USD"])
    told = public.until_pong()
    assert [message.get("success") for message in told] == [True, None, False, True, None]
    assert told[0]["result"] == {"channel": "ticker", "event_trigger": "trades", "snapshot": True, "symbol": "ETH/USD"}
    assert told[0]["method"] == "subscribe" and told[0]["req_id"] == 4 and {"time_in", "time_out"} <= set(told[0])
    assert told[2]["error"] == "Currency pair not supported NO/USD" and told[2]["symbol"] == "NO/USD" and told[2]["req_id"] == 4


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "Malformed request"),
        ("[1]", "Malformed request"),
        ('{"method":"add_order","params":{}}', "Unsupported method"),
        ('{"method":7}', "Unsupported method"),
        ('{"method":"subscribe"}', "Missing or malformed channel"),
        ('{"method":"subscribe","params":{"channel":"level3"}}', "Channel level3 not found"),
        ('{"method":"subscribe","params":{"channel":"ticker"}}', "Currency pair not supported None"),
        (
            '{"method":"subscribe","params":{"channel":"ticker","symbol":["ETH/USD"],"event_trigger":"x"}}',
            "event_trigger must be bbo or trades",
        ),
        ('{"method":"subscribe","params":{"channel":"ohlc","symbol":["ETH/USD"],"interval":2}}', "Ohlc interval not supported 2"),
        ('{"method":"subscribe","params":{"channel":"book","symbol":["ETH/USD"],"depth":3}}', "Book depth not supported 3"),
        ('{"method":"unsubscribe","params":{"channel":"trade","symbol":["ETH/USD"]}}', "Subscription Not Found"),
        ('{"method":"unsubscribe","params":{"channel":"instrument"}}', "Subscription Not Found"),
    ],
)
def test_what_cannot_be_asked(public, text, error):
    public.socket.send(text)
    told = public.read()
    assert told["success"] is False and told["error"] == error
    assert public.until_pong() == []  # it goes on


@pytest.mark.parametrize("channel", ["ticker", "trade", "book", "ohlc"])
def test_one_can_leave_and_come_back(exchange, public, channel):
    assert public.join(channel, symbol=["ETH/USD"])[0]["success"] is True
    assert public.join(channel, symbol=["ETH/USD"])[0]["error"] == "Already subscribed"
    public.ask("unsubscribe", 2, channel=channel, symbol=["ETH/USD"])
    assert public.until_pong()[0]["result"] == {"channel": channel, "symbol": "ETH/USD"}
    exchange.price("ETH/USD", "2400.00", volume="1")
    assert public.until_pong() == []
    assert public.join(channel, symbol=["ETH/USD"])[0]["success"] is True


def test_private_channels_are_not_on_the_public_socket(exchange, public):
    told = public.join("executions", token="x")
    assert told[0]["success"] is False and "unavailable on this endpoint" in told[0]["error"]


def test_a_socket_elsewhere_is_refused(exchange):
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus), connect(exchange.socket_url.replace("/v2", "/v9")):
        pass


# -- public channels ---------------------------------------------------------------------------------------------------


def test_a_ticker_tells_prices_as_numbers(exchange, public):
    snapshot = public.join("ticker", symbol=["ETH/USD"])[1]
    assert snapshot["channel"] == "ticker" and snapshot["type"] == "snapshot"
    exchange.price("ETH/USD", "2400.50", volume="3")
    (update,) = public.until_pong()
    assert update["type"] == "update"
    (told,) = update["data"]
    assert told["symbol"] == "ETH/USD" and told["last"] == told["bid"] == told["ask"] == Decimal("2400.50")
    assert all(isinstance(told[name], Decimal) for name in set(told) - {"symbol"})
    names = {"symbol", "bid", "bid_qty", "ask", "ask_qty", "last", "volume", "vwap", "low", "high", "change", "change_pct"}
    assert set(told) == names
    assert (told["volume"], told["change"], told["change_pct"]) == (Decimal(3), Decimal("-99.5"), Decimal("-3.98"))


def test_a_book_moves_the_best_bid_and_ask_and_is_no_trade(exchange, public):
    public.join("ticker", symbol=["ETH/USD"], event_trigger="trades", snapshot=False)
    with wire(exchange.socket_url) as other:
        assert len(other.join("ticker", symbol=["ETH/USD"], event_trigger="bbo", snapshot=False)) == 1
        exchange.book("ETH/USD", bids=[("2499.00", "1")], asks=[("2501.00", "2")])
        (update,) = other.until_pong()
        assert (update["data"][0]["bid"], update["data"][0]["ask"]) == (2499, 2501)
        assert public.until_pong() == []
        exchange.price("ETH/USD", "2500.00")
        assert len(other.until_pong()) == len(public.until_pong()) == 1


def test_trades_and_candles():
    clock = Clock(1_790_000_040 * 10**9)
    with kraken_server(pairs=["ETH/USD"], clock=clock) as exchange, wire(exchange.socket_url) as public:
        public.join("trade", symbol=["ETH/USD"])
        ack, snapshot = public.join("ohlc", symbol=["ETH/USD"], interval=1)
        assert ack["result"] == {"channel": "ohlc", "interval": 1, "snapshot": True, "symbol": "ETH/USD"}
        assert len(snapshot["data"]) == 1
        exchange.price("ETH/USD", "2510.00", volume="0.5")
        clock.forward(60)
        exchange.price("ETH/USD", "2490.00", volume="1")
        trade, candle, last_trade, last_candle = public.until_pong()
        assert trade["channel"] == "trade" and trade["data"][0]["price"] == 2510 and trade["data"][0]["qty"] == Decimal("0.5")
        assert {"symbol", "side", "price", "qty", "ord_type", "trade_id", "timestamp"} == set(trade["data"][0])
        assert last_trade["data"][0]["trade_id"] == trade["data"][0]["trade_id"] + 1
        (first,), (second,) = candle["data"], last_candle["data"]
        assert first["interval_begin"] == "2026-09-21T14:14:00.000000000Z" and second["interval_begin"] == "2026-09-21T14:15:00.000000000Z"
        assert (first["open"], first["high"], first["close"], first["volume"]) == (2500, 2510, 2510, Decimal("0.5"))
        assert first["interval"] == 1 and first["trades"] == 1


def test_a_book_tells_what_changed_and_its_checksum(exchange, public):
    _, snapshot = public.join("book", symbol=["ETH/USD"], depth=10)
    assert snapshot["data"][0]["bids"] == [{"price": Decimal("2500.00"), "qty": Decimal("1000.00000000")}]
    exchange.book("ETH/USD", bids=[("2499.00", "1"), ("2498.50", "2")], asks=[("2501.00", "0.05")])
    (update,) = public.until_pong()
    (told,) = update["data"]
    assert told["bids"] == [{"price": 2500, "qty": 0}, {"price": 2499, "qty": 1}, {"price": Decimal("2498.5"), "qty": 2}]
    assert told["asks"] == [{"price": 2500, "qty": 0}, {"price": 2501, "qty": Decimal("0.05")}]
    digits = "2501005000000" + "249900100000000" + "249850200000000"
    assert told["checksum"] == zlib.crc32(digits.encode())


def test_the_checksum_is_that_of_kraken_s_guide():
    """The ten levels a side of the worked example of Kraken's guide, "Book checksum", and the figure that it comes to."""
    from sleeves.testing.kraken_server import KrakenExchange, Pair

    asks = "0.05005 0.00000500|0.05010 0.00000500|0.05015 0.00000500|0.05020 0.00000500|0.05025 0.00000500|0.05030 0.00000500"
    asks += "|0.05035 0.00000500|0.05040 0.00000500|0.05045 0.00000500|0.05050 0.00000500"
    bids = "0.05000 0.00000500|0.04995 0.00000500|0.04990 0.00000500|0.04980 0.00000500|0.04975 0.00000500|0.04970 0.00000500"
    bids += "|0.04965 0.00000500|0.04960 0.00000500|0.04955 0.00000500|0.04950 0.00000500"
    exchange = KrakenExchange(pairs=[Pair("ETH/USD", tick="0.00005", lot="0.00000001", price="0.05005")])
    levels = [[tuple(level.split()) for level in side.split("|")] for side in (bids, asks)]
    exchange.book("ETH/USD", *levels)
    assert exchange.market("ETH/USD").checksum() == 974947235


def test_instruments_and_their_status(exchange, public):
    ack, snapshot = public.join("instrument")
    assert ack["result"] == {"channel": "instrument", "snapshot": True}
    pairs = {pair["symbol"]: pair for pair in snapshot["data"]["pairs"]}
    assert set(pairs) == {"ETH/USD", "BTC/USD"} and {asset["id"] for asset in snapshot["data"]["assets"]} == {"ETH", "USD", "BTC"}
    eth = pairs["ETH/USD"]
    assert (eth["price_increment"], eth["qty_increment"], eth["qty_min"], eth["cost_min"]) == tuple(
        map(Decimal, ("0.01", "0.00000001", "0.002", "0.5"))
    )
    exchange.pair_status("ETH/USD", "post_only")
    (update,) = public.until_pong()
    assert update["data"]["pairs"][0]["status"] == "post_only"


def test_the_status_of_the_exchange_is_told_to_all(exchange, public, private):
    exchange.status("cancel_only")
    for one in (public, private):
        (told,) = one.until_pong()
        assert told["channel"] == "status" and told["data"][0]["system"] == "cancel_only"


def test_an_idle_socket_hears_heartbeats(exchange):
    exchange.heartbeat = 0.02
    with wire(exchange.socket_url) as public:
        for _ in range(3):
            assert json.loads(public.socket.recv(timeout=5)) == HEARTBEAT


# -- private channels --------------------------------------------------------------------------------------------------


def token_of(caller):
    return caller.call("GetWebSocketsToken")["token"]


def reports(messages):
    """(exec_type, order_status) of each report, and all sequences."""
    of_channel = [message for message in messages if message.get("channel") == "executions"]
    return [(one["exec_type"], one["order_status"]) for message in of_channel for one in message["data"]], [
        m["sequence"] for m in of_channel
    ]


def test_without_a_token_that_lives_nothing_is_told():
    clock = Clock()
    with kraken_server(balances=MONEY, clock=clock) as exchange, Caller(exchange) as caller:
        token = token_of(caller)
        with wire(exchange.private_socket_url) as private:
            for wrong in ("", "x", None, 7):
                told = private.join("executions", token=wrong)
                assert told[0]["success"] is False and told[0]["error"] == "ESession:Invalid session"
            clock.forward(900)
            assert private.join("executions", token=token)[0]["success"] is True
            clock.forward(1)
            assert private.join("balances", token=token)[0]["success"] is True  # it lives on with its connection
        with wire(exchange.private_socket_url) as private:
            assert private.join("balances", token=token)[0]["error"] == "ESession:Invalid session"


def test_the_snapshot_has_what_is_open_and_if_asked_the_last_trades(exchange, caller, private):
    done = caller.buy("0.1", cl_ord_id="done")
    standing = caller.buy("0.2", "2400.00", cl_ord_id="stands", oflags="post")
    ack, snapshot = private.join("executions", token=token_of(caller))
    assert ack["result"] == {"channel": "executions", "maxratecount": 180, "snap_orders": True, "snap_trades": False}
    assert snapshot["type"] == "snapshot" and snapshot["sequence"] == 1
    (order,) = snapshot["data"]
    assert (order["order_id"], order["cl_ord_id"], order["exec_type"], order["order_status"]) == (standing, "stands", "new", "new")
    assert (order["symbol"], order["side"], order["order_type"], order["time_in_force"]) == ("ETH/USD", "buy", "limit", "GTC")
    assert (order["order_qty"], order["limit_price"], order["cum_qty"]) == (Decimal("0.2"), 2400, 0) and order["post_only"] is True
    with wire(exchange.private_socket_url) as other:
        _, snapshot = other.join("executions", token=token_of(caller), snap_trades=True, snap_orders=False)
        (trade,) = snapshot["data"]
        assert trade["order_id"] == done and trade["exec_type"] == "trade" and trade["exec_id"] in exchange.trades()


def test_an_order_s_life_in_reports(exchange, caller, private):
    private.join("executions", token=token_of(caller))
    txid = caller.buy("0.4", "2450.00", cl_ord_id="mine")
    pending, new = (message["data"][0] for message in private.until_pong())
    assert {"order_id", "cl_ord_id", "symbol", "side", "order_type", "order_qty", "limit_price", "time_in_force", "timestamp"} <= set(
        pending
    )
    assert pending["order_status"] == "pending_new" and pending["fee_ccy_pref"] == "fciq"
    assert set(new) == {"timestamp", "order_status", "exec_type", "order_id", "cl_ord_id"} and new["exec_type"] == "new"
    exchange.price("ETH/USD", "2449.00")
    trade, filled = (message["data"][0] for message in private.until_pong())
    (trade_id,) = exchange.trades()
    assert (trade["exec_id"], trade["order_id"], trade["cl_ord_id"]) == (trade_id, txid, "mine")
    assert (trade["last_qty"], trade["last_price"], trade["cost"], trade["liquidity_ind"]) == (Decimal("0.4"), 2450, 980, "m")
    assert trade["fees"] == [{"asset": "USD", "qty": Decimal("2.45")}] and trade["order_status"] == "partially_filled"
    assert (trade["cum_qty"], trade["cum_cost"], trade["avg_price"]) == (Decimal("0.4"), 980, 2450)
    assert filled["exec_type"] == filled["order_status"] == "filled" and "symbol" not in filled and filled["cum_qty"] == Decimal("0.4")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (lambda exchange, caller, txid: caller.call("CancelOrder", txid=txid), ("canceled", "User requested")),
        (lambda exchange, caller, txid: caller.call("CancelAll"), ("canceled", "User requested")),
        (lambda exchange, caller, txid: exchange.price("ETH/USD", "2399.00"), ("filled", None)),
    ],
)
def test_how_an_order_ends(exchange, caller, private, ends, told):
    private.join("executions", token=token_of(caller))
    txid = caller.buy("0.1", "2400.00", userref="7")
    private.until_pong()
    ends(exchange, caller, txid)
    last = private.until_pong()[-1]["data"][0]
    assert (last["exec_type"], last.get("reason")) == told and last["order_status"] == told[0] and last["order_userref"] == 7
    assert last["cum_qty"] == (Decimal("0.1") if told[0] == "filled" else 0)


def test_status_reports_can_be_left_out_and_trades_cannot(exchange, caller, private):
    private.join("executions", token=token_of(caller), order_status=False, snap_orders=False)
    caller.buy("0.1")
    kinds, sequence = reports(private.until_pong())
    assert kinds == [("new", "new"), ("trade", "partially_filled"), ("filled", "filled")] and sequence == [1, 2, 3]


def test_everything_is_told_in_the_order_in_which_it_happened(exchange, caller, private):
    private.join("executions", token=token_of(caller))
    private.join("balances", token=token_of(caller))
    exchange.book("ETH/USD", bids=[("2499.00", "1")], asks=[("2500.00", "0.25"), ("2501.00", "0.5")])
    caller.buy("0.75", "2501.00")
    messages = private.until_pong()
    kinds, sequence = reports(messages)
    assert kinds == [("pending_new",) * 2, ("new",) * 2, *[("trade", "partially_filled")] * 2, ("filled",) * 2]
    assert sequence == list(range(2, 7))
    channels = [message["channel"] for message in messages]
    assert channels == ["executions"] * 3 + ["balances"] * 2 + ["executions"] + ["balances"] * 2 + ["executions"]
    lines = [message["data"][0] for message in messages if message["channel"] == "balances"]
    assert [line["ledger_id"] for line in lines] == list(exchange.ledger())[-4:]
    assert {line["ref_id"] for line in lines} == set(exchange.trades())


def test_balances_by_wallet_and_every_change_of_them(exchange, caller, private):
    ack, snapshot = private.join("balances", token=token_of(caller))
    assert ack["result"] == {"channel": "balances", "snapshot": True} and snapshot["sequence"] == 1
    told = {one["asset"]: one for one in snapshot["data"]}
    assert told["ETH"]["balance"] == Decimal("2.5") and told["ETH"]["asset_class"] == "currency"
    assert told["ETH"]["wallets"] == [
        {"type": "spot", "id": "main", "balance": 2},
        {"type": "earn", "id": "flex", "balance": Decimal("0.5")},
    ]
    exchange.earn("ETH", "1")
    exchange.deposit("USD", "5.0001", fee="0.0001")
    lines = [message["data"][0] for message in private.until_pong()]
    assert [(line["wallet_type"], line["wallet_id"], line["amount"], line["balance"]) for line in lines[:2]] == [
        ("spot", "main", -1, Decimal("1.5")),
        ("earn", "flex", 1, Decimal("2.5")),
    ]
    deposit = lines[2]
    assert (deposit["type"], deposit["amount"], deposit["fee"], deposit["balance"]) == (
        "deposit",
        Decimal("5.0001"),
        Decimal("0.0001"),
        10005,
    )
    assert {"ledger_id", "ref_id", "timestamp", "asset", "asset_class", "category"} <= set(deposit)


def test_accounts_hear_their_own(exchange, caller, private):
    exchange.add_account("other", {"USD": "1000"})
    with Caller(exchange, exchange.add_key("theirs", account="other")) as theirs, wire(exchange.private_socket_url) as their:
        private.join("executions", token=token_of(caller))
        their.join("executions", token=token_of(theirs))
        txid = theirs.buy("0.1")
        assert private.until_pong() == []
        assert {one["order_id"] for message in their.until_pong() for one in message["data"]} == {txid}


def test_what_others_do_with_the_account_is_told_too(exchange, caller, private):
    private.join("executions", token=token_of(caller), snap_orders=False)
    txid = exchange.manual("ETH/USD", "sell", "0.1")
    told = [message["data"][0] for message in private.until_pong()]
    assert {one["order_id"] for one in told} == {txid} and not any("cl_ord_id" in one for one in told)


def test_a_stop_tells_its_trigger(exchange, caller, private):
    private.join("executions", token=token_of(caller), snap_orders=False)
    caller.sell("0.1", "2400.00", ordertype="stop-loss")
    pending = private.until_pong()[0]["data"][0]
    assert pending["triggers"] == {
        "reference": "last",
        "price": 2400,
        "price_type": "static",
        "actual_price": 2400,
        "status": "untriggered",
    }


def test_the_engine_s_counter_is_told_where_it_is_asked_for():
    exchange = kraken_server(balances=MONEY, tier="pro", clock=Clock())
    with exchange, Caller(exchange) as caller, wire(exchange.private_socket_url) as private:
        private.join("executions", token=token_of(caller), ratecounter=True, snap_orders=False)
        caller.buy("0.1", "2400.00")
        caller.buy("0.1", "2400.00")
        assert [message["data"][0]["ratecount"] for message in private.until_pong()] == [1, 1, 2, 2]


# -- broken wires ------------------------------------------------------------------------------------------------------


def test_dropped_sockets_are_gone_without_a_word_and_can_come_back(exchange, caller, public, private):
    private.join("executions", token=token_of(caller))
    exchange.drop_sockets(public=False)
    with pytest.raises(ConnectionClosed):
        private.read()
    assert public.until_pong() == []
    exchange.drop_sockets()
    with pytest.raises(ConnectionClosed):
        public.read()
    txid = caller.buy("0.1", "2400.00")
    with wire(exchange.private_socket_url) as again:
        _, snapshot = again.join("executions", token=token_of(caller))
        assert [one["order_id"] for one in snapshot["data"]] == [txid]


def test_reports_can_come_twice_or_never_and_sequences_can_jump(exchange, caller, private):
    private.join("executions", token=token_of(caller), snap_orders=False)
    exchange.repeat_reports(4)
    caller.buy("0.1")
    kinds, sequence = reports(private.until_pong())
    assert kinds == [kind for kind in [("pending_new",) * 2, ("new",) * 2, ("trade", "partially_filled"), ("filled",) * 2] for _ in (1, 2)]
    assert sequence == list(range(1, 9))
    exchange.lose_reports(3)
    caller.buy("0.1")
    assert reports(private.until_pong()) == ([("filled", "filled")], [12])
    exchange.skip_sequence(5)
    caller.buy("0.1", "2400.00")
    assert reports(private.until_pong())[1] == [18, 19]


def test_stopping_closes_every_socket():
    exchange = kraken_server().start()
    with wire(exchange.socket_url) as public:
        exchange.stop()
        with pytest.raises(ConnectionClosed):
            public.read()


def test_nothing_of_the_server_knows_the_driver():
    import ast

    import sleeves.testing.kraken_server as package

    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.ImportFrom) or "venues" not in (node.module or "")
