"""Orders at the local Kraken: every type, every refusal in Kraken's words, what money they move, and what time ends."""

from __future__ import annotations

import time
from decimal import Decimal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kraken_caller import Caller, Clock

from sleeves import Amount, Asset, Instrument, Side
from sleeves.errors import InvalidAmount, InvalidMarket, VaultError
from sleeves.market import SECOND, Quote
from sleeves.orders import Fill, Order, Place, TimeInForce
from sleeves.sim import Latency, Rules, Slippage, Tape, VirtualDriver
from sleeves.testing import Row, Script
from sleeves.testing.kraken_server import Fault, KrakenExchange, Refused, kraken_server
from strategies import heavy

MONEY = {"USD": "10000", "ETH": "2"}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange(clock):
    with kraken_server(pairs=["ETH/USD"], balances=MONEY, tier=None, clock=clock) as exchange:
        yield exchange


@pytest.fixture
def caller(exchange):
    with Caller(exchange) as caller:
        yield caller


def moved(exchange):
    """What came to each wallet since the beginning."""
    return {name: held - Decimal(MONEY.get(name, "0")) for name, held in exchange.balances().items()}


# -- what is refused ---------------------------------------------------------------------------------------------------

LIMIT = {"ordertype": "limit", "price": "2400.00"}
STAMP = "2026-09-21T14:13:20"  # the clock's beginning
REFUSED = [
    ({"pair": ""}, "EGeneral:Invalid arguments:pair"),
    ({"pair": "ETHXYZ"}, "EQuery:Unknown asset pair"),
    ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
    ({"ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
    ({"ordertype": "trailing-stop", "price": "+5"}, "EGeneral:Invalid arguments:ordertype"),
    ({"volume": ""}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "NaN"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "1e30"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "0.100000001"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "1e-01"}, "EGeneral:Invalid arguments:volume"),  # as a float is written when it is small
    ({"volume": "0_1"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "\u0661"}, "EGeneral:Invalid arguments:volume"),  # a digit, and not of ours
    ({"volume": "."}, "EGeneral:Invalid arguments:volume"),
    ({"volume": ".1"}, ""),
    ({"volume": "1."}, ""),
    ({**LIMIT, "price": "+5"}, "EGeneral:Invalid arguments:price"),  # from where the market is: not here, and never as 5
    ({**LIMIT, "price": "-5"}, "EOrder:Invalid price"),
    ({**LIMIT, "price": "#5"}, "EGeneral:Invalid arguments:price"),
    ({**LIMIT, "price": "5%"}, "EGeneral:Invalid arguments:price"),
    ({"ordertype": "stop-loss", "price": "2600", "trigger": "index"}, "EGeneral:Invalid arguments:Index unavailable"),
    ({"ordertype": "stop-loss", "price": "2600", "trigger": "mark"}, "EGeneral:Invalid arguments:trigger"),
    ({"ordertype": "stop-loss", "price": "2600", "trigger": "last"}, ""),
    ({"volume": "0.00199999"}, "EOrder:Order minimum not met"),
    ({"volume": "0.002"}, ""),
    ({"ordertype": "limit"}, "EGeneral:Invalid arguments:price"),
    ({"ordertype": "limit", "price": "x"}, "EGeneral:Invalid arguments:price"),
    ({"ordertype": "limit", "price": "0"}, "EOrder:Invalid price"),
    ({"ordertype": "limit", "price": "2400.001"}, "EOrder:Invalid price:ETH/USD price can only be specified up to 2 decimals."),
    ({"ordertype": "limit", "price": "4.99"}, "EOrder:Cost minimum not met"),
    ({"ordertype": "limit", "price": "5.00"}, ""),
    ({"ordertype": "stop-loss-limit", "price": "2400"}, "EGeneral:Invalid arguments:price2"),
    ({"volume": "4"}, "EOrder:Insufficient funds"),
    ({"type": "sell", "volume": "2.00000001"}, "EOrder:Insufficient funds"),
    ({"type": "sell", "volume": "2"}, ""),
    ({**LIMIT, "volume": "4.15628117"}, "EOrder:Insufficient funds"),  # 10,000 over 2,406: the price and the fee
    ({**LIMIT, "volume": "4.1"}, ""),
    ({"oflags": "post"}, "EGeneral:Invalid arguments:oflags"),
    ({"oflags": "what"}, "EGeneral:Invalid arguments:oflags"),
    ({"oflags": "fcib,fciq"}, "EGeneral:Invalid arguments:oflags"),
    ({**LIMIT, "oflags": "viqc"}, "EGeneral:Invalid arguments:oflags"),
    ({**LIMIT, "price": "2500.00", "oflags": "post"}, "EOrder:Post only order"),
    ({**LIMIT, "price": "2499.99", "oflags": "post"}, ""),
    ({**LIMIT, "type": "sell", "price": "2500.00", "oflags": "post"}, "EOrder:Post only order"),
    ({**LIMIT, "type": "sell", "price": "2500.01", "oflags": "post"}, ""),
    ({**LIMIT, "oflags": "post", "timeinforce": "IOC"}, "EGeneral:Invalid arguments:timeinforce"),
    ({**LIMIT, "timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
    ({**LIMIT, "timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
    ({**LIMIT, "timeinforce": "GTD", "expiretm": "1"}, "EGeneral:Invalid arguments:expiretm"),
    ({**LIMIT, "timeinforce": "GTD", "expiretm": "+5"}, ""),
    ({"timeinforce": "GTD", "expiretm": "+5"}, "EGeneral:Invalid arguments:timeinforce"),
    ({**LIMIT, "expiretm": "+5"}, "EGeneral:Invalid arguments:expiretm"),
    ({**LIMIT, "starttm": "+5"}, "EGeneral:Invalid arguments:starttm"),
    ({**LIMIT, "close[ordertype]": "limit"}, "EGeneral:Invalid arguments:close"),
    ({**LIMIT, "displayvol": "0.01"}, "EGeneral:Invalid arguments:displayvol"),
    ({"leverage": "2"}, "EOrder:Cannot open position"),
    ({"leverage": "none"}, ""),
    ({"reduce_only": "true"}, "EOrder:Reduce only:No position exists"),
    ({"reduce_only": "False"}, ""),
    ({"userref": "7", "cl_ord_id": "mine"}, "EGeneral:Invalid arguments:cl_ord_id"),
    ({"userref": "seven"}, "EGeneral:Invalid arguments:userref"),
    ({"userref": str(2**31)}, "EGeneral:Invalid arguments:userref"),
    ({"userref": str(2**31 - 1)}, ""),
    ({"cl_ord_id": "a" * 19}, "EGeneral:Invalid arguments:cl_ord_id"),
    ({"cl_ord_id": "a" * 18}, ""),
    ({"cl_ord_id": "6d1b345e-2821-40e2-ad83-4ecb18a06876"}, ""),
    ({"cl_ord_id": "6d1b345e282140e2ad834ecb18a06876"}, ""),
    ({"cl_ord_id": "6d1b345e282140e2ad834ecb18a0687g"}, "EGeneral:Invalid arguments:cl_ord_id"),
    ({"deadline": "soon"}, "EGeneral:Invalid arguments:deadline"),
    ({"deadline": STAMP}, "EGeneral:Invalid arguments:deadline"),  # no zone
    ({"deadline": STAMP + "Z"}, ""),
    ({"deadline": "2026-09-21T14:13:19.999Z"}, "EService:Deadline elapsed"),
    ({"deadline": "2026-09-21T14:14:20Z"}, ""),
    ({"deadline": "2026-09-21T14:14:20.001Z"}, "EGeneral:Invalid arguments:deadline"),
    ({"deadline": "2026-09-21T16:13:21+02:00"}, ""),
]


@pytest.mark.parametrize(("terms", "error"), REFUSED)
def test_each_refusal_has_kraken_s_words_and_does_nothing(exchange, caller, terms, error):
    args = {"pair": "ETHUSD", "type": "buy", "ordertype": "market", "volume": "0.1", **terms}
    assert caller.error("AddOrder", **args, validate="true") == error
    assert exchange.orders() == {}
    assert caller.error("AddOrder", **args) == error
    assert (exchange.orders() == {}) is bool(error)
    if error:
        assert set(moved(exchange).values()) == {0}


def test_validate_says_what_it_would_be_and_does_nothing(exchange, caller):
    for yes in ("true", "True", "1"):
        told = caller.call("AddOrder", pair="ETHUSD", type="buy", ordertype="limit", price="2400", volume="1", validate=yes)
        assert told == {"descr": {"order": "buy 1.00000000 ETHUSD @ limit 2400.00"}}
    assert exchange.orders() == {}
    assert "txid" in caller.call("AddOrder", pair="ETHUSD", type="buy", ordertype="market", volume="0.1", validate="False")


def test_tick_and_decimals_are_judged_apart():
    from sleeves.testing.kraken_server import Pair

    with kraken_server(pairs=[Pair("ETH/USD", tick="0.25", price="2500")], balances=MONEY) as exchange, Caller(exchange) as caller:
        args = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "volume": "0.1"}
        assert caller.error("AddOrder", **args, price="2400.13") == "EOrder:Tick size check failed"
        assert caller.error("AddOrder", **args, price="2400.25") == ""


def test_a_client_id_is_unique_among_open_orders_only(exchange, caller):
    args = {"pair": "ETHUSD", "type": "buy", **LIMIT, "volume": "0.1", "cl_ord_id": "mine"}
    first = caller.call("AddOrder", **args)["txid"][0]
    assert caller.error("AddOrder", **args) == "EGeneral:Invalid arguments:cl_ord_id"
    caller.call("CancelOrder", cl_ord_id="mine")
    second = caller.call("AddOrder", **args)["txid"][0]
    assert set(caller.call("QueryOrders", cl_ord_id="mine")) == {first, second}


# -- what fills --------------------------------------------------------------------------------------------------------


class TestTypes:
    def test_at_market_it_takes_at_once(self, exchange, caller):
        order = caller.state(caller.buy("0.4"))
        assert (order["status"], order["vol_exec"], order["cost"], order["fee"]) == ("closed", "0.40000000", "1000.00000", "4.00000")
        assert moved(exchange) == {"ETH": Decimal("0.4"), "USD": Decimal(-1004)}
        caller.sell("0.4")
        assert moved(exchange) == {"ETH": 0, "USD": Decimal(-8)}

    def test_a_limit_that_crosses_takes_and_one_that_does_not_rests_and_makes(self, exchange, caller):
        taker = caller.state(caller.buy("0.1", "2600.00"))
        assert taker["status"] == "closed" and taker["price"] == "2500.00" and taker["fee"] == "1.00000"
        resting = caller.buy("0.1", "2450.00")
        exchange.price("ETH/USD", "2450.00")
        assert caller.state(resting)["status"] == "open"  # at its price is not through it
        exchange.price("ETH/USD", "2449.99")
        maker = caller.state(resting)
        assert maker["status"] == "closed" and maker["price"] == "2450.00" and maker["fee"] == "0.61250"

    def test_immediate_or_cancel(self, exchange, caller):
        exchange.book("ETH/USD", bids=[("2499.00", "1")], asks=[("2500.00", "0.25"), ("2501.00", "0.5")])
        order = caller.state(caller.buy("1", "2500.00", timeinforce="IOC"))
        assert (order["status"], order["vol_exec"], order["reason"]) == ("canceled", "0.25000000", "Immediate or cancel")
        assert caller.state(caller.buy("1", "2400.00", timeinforce="IOC"))["vol_exec"] == "0.00000000"

    def test_fill_or_kill(self, exchange, caller):
        exchange.book("ETH/USD", bids=[("2499.00", "1")], asks=[("2500.00", "0.25"), ("2501.00", "0.5")])
        killed = caller.state(caller.buy("0.76", "2501.00", timeinforce="FOK"))
        assert (killed["status"], killed["vol_exec"], killed["reason"]) == ("canceled", "0.00000000", "Fill or kill")
        filled = caller.state(caller.buy("0.75", "2501.00", timeinforce="FOK"))
        assert (filled["status"], filled["vol_exec"], filled["price"]) == ("closed", "0.75000000", "2500.67")
        assert len(filled["trades"]) == 2

    def test_good_till_a_date(self, exchange, caller, clock):
        txid = caller.buy("0.1", "2400.00", timeinforce="GTD", expiretm="+5")
        order = caller.state(txid)
        assert order["status"] == "open" and order["expiretm"] == clock() // SECOND + 5 and order["timeinforce"] == "GTD"
        clock.forward(4.999)
        exchange.tick()
        assert caller.state(txid)["status"] == "open"
        clock.forward(0.001)
        order = caller.state(txid)
        assert order["status"] == "expired" and order["closetm"] == 1_790_000_005.0
        assert caller.call("BalanceEx")["ZUSD"]["hold_trade"] == "0.0000"

    def test_post_only_is_refused_or_canceled_at_once_and_never_takes(self, exchange, caller):
        args = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "price": "2500.00", "volume": "0.1", "oflags": "post"}
        assert caller.error("AddOrder", **args) == "EOrder:Post only order"
        exchange.post_only_cancels()
        order = caller.state(caller.call("AddOrder", **args)["txid"][0])
        assert (order["status"], order["reason"], order["vol_exec"]) == ("canceled", "Post only order", "0.00000000")
        rests = caller.buy("0.1", "2499.99", oflags="post")
        assert caller.state(rests)["oflags"] == "fciq,post"
        exchange.price("ETH/USD", "2400.00")
        assert caller.state(rests)["fee"] == "0.62500"  # as maker, at 2499.99

    def test_volume_in_quote_coins(self, exchange, caller):
        made = caller.call("AddOrder", pair="ETHUSD", type="buy", ordertype="market", volume="100.00", oflags="viqc")
        assert made["descr"]["order"] == "buy 100.00 ETHUSD @ market"
        order = caller.state(made["txid"][0])
        assert (order["vol_exec"], order["cost"]) == ("0.04000000", "100.00000")

    def test_the_fee_in_the_base_coin(self, exchange, caller):
        txid = caller.buy("0.1", oflags="fcib")
        order = caller.state(txid)
        assert order["oflags"] == "fcib" and order["fee"] == "0.00040000"
        assert moved(exchange) == {"ETH": Decimal("0.0996"), "USD": Decimal(-250)}
        lines = {line["asset"]: line for line in caller.call("Ledgers", type="trade")["ledger"].values()}
        assert (lines["XETH"]["amount"], lines["XETH"]["fee"], lines["ZUSD"]["fee"]) == ("0.1000000000", "0.0004000000", "0.0000")
        assert caller.state(caller.buy("0.1"))["fee"] == "1.00000"  # nobody else's fee is in it
        assert moved(exchange) == {"ETH": Decimal("0.1996"), "USD": Decimal(-501)}

    @pytest.mark.parametrize(
        ("side", "ordertype", "before", "reached"),
        [
            ("sell", "stop-loss", "2400.01", "2400.00"),
            ("buy", "stop-loss", "2599.99", "2600.00"),
            ("sell", "take-profit", "2599.99", "2600.00"),
            ("buy", "take-profit", "2400.01", "2400.00"),
        ],
    )
    def test_what_waits_for_a_price(self, exchange, caller, side, ordertype, before, reached):
        txid = caller.order(side, "0.1", reached, ordertype=ordertype)
        made = caller.state(txid)
        assert made["descr"]["order"] == f"{side} 0.10000000 ETHUSD @ {ordertype.replace('-', ' ')} {reached}"
        assert made["trigger"] == "last" and made["descr"]["price"] == reached and made["stopprice"] == "0.00000"
        exchange.price("ETH/USD", before)
        assert caller.state(txid)["status"] == "open"
        exchange.price("ETH/USD", reached)
        order = caller.state(txid)
        assert (order["status"], order["price"]) == ("closed", reached) and order["stopprice"] != "0.00000"

    @pytest.mark.parametrize(("ordertype", "price"), [("stop-loss-limit", "2400.00"), ("take-profit-limit", "2600.00")])
    def test_what_waits_and_then_is_a_limit(self, exchange, caller, ordertype, price):
        limit = str(Decimal(price) + 10)
        txid = caller.order("sell", "0.1", price, ordertype=ordertype, price2=limit)
        assert caller.state(txid)["descr"]["order"].endswith(f"{price} -> limit {limit}")
        exchange.price("ETH/USD", price)
        assert caller.state(txid)["status"] == "open"
        exchange.price("ETH/USD", str(Decimal(limit) + 1))
        order = caller.state(txid)
        assert (order["status"], order["price"]) == ("closed", limit)

    def test_what_waits_can_be_canceled_and_needs_its_money_when_it_goes(self, exchange, caller):
        gone = caller.order("sell", "1", "2600.00", ordertype="take-profit")
        caller.call("CancelOrder", txid=gone)
        assert caller.state(gone)["reason"] == "User requested"
        poor = caller.order("sell", "2", "2600.00", ordertype="take-profit")
        caller.sell("1")
        exchange.price("ETH/USD", "2600.00")
        assert (caller.state(poor)["status"], caller.state(poor)["reason"]) == ("canceled", "insufficient funds")

    def test_a_row_is_walked(self, exchange, caller):
        low, high = caller.buy("0.1", "2450.00"), caller.sell("0.1", "2550.00")
        exchange.row("ETH/USD", "2500.00", "2560.00", "2440.00", "2520.00", "10")
        assert caller.state(low)["price"] == "2450.00" and caller.state(high)["price"] == "2550.00"

    def test_slippage_and_latency_are_the_simulator_s(self, clock):
        rules = Rules(slippage=Slippage.of("0.1%", "0.1%"), latency=Latency(order_ns=SECOND))
        with kraken_server(pairs=["ETH/USD"], balances=MONEY, rules=rules, clock=clock) as exchange, Caller(exchange) as caller:
            txid = caller.buy("0.1")
            assert caller.state(txid)["vol_exec"] == "0.00000000"
            clock.forward(1)
            assert caller.state(txid)["price"] == "2502.50"


def test_an_order_by_hand_is_the_owner_s(exchange, caller):
    txid = exchange.manual("ETH/USD", "sell", "0.5")
    assert caller.state(txid)["status"] == "closed" and "cl_ord_id" not in caller.state(txid)
    resting = exchange.manual("ETH/USD", "buy", "0.1", "2400.00")
    assert list(caller.call("OpenOrders")["open"]) == [resting]
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        exchange.manual("ETH/USD", "sell", "50")


# -- cancels -----------------------------------------------------------------------------------------------------------


class TestCancels:
    def test_by_each_of_its_names(self, exchange, caller):
        by_txid = caller.buy("0.1", "2400.00")
        by_client = caller.buy("0.1", "2400.00", cl_ord_id="mine")
        by_ref = [caller.buy("0.1", "2400.00", userref="7"), caller.buy("0.1", "2300.00", userref="7")]
        assert caller.call("CancelOrder", txid=by_txid) == {"count": 1}
        assert caller.call("CancelOrder", cl_ord_id="mine") == {"count": 1}
        assert caller.call("CancelOrder", txid="7") == {"count": 2}
        for txid in (by_txid, by_client, *by_ref):
            assert (caller.state(txid)["status"], caller.state(txid)["reason"]) == ("canceled", "User requested")
        assert caller.call("BalanceEx")["ZUSD"]["hold_trade"] == "0.0000"

    def test_what_is_not_open_is_unknown(self, exchange, caller):
        done = caller.buy("0.1")
        for args in ({"txid": done}, {"txid": "OAAAAA-BBBBB-CCCCCC"}, {"cl_ord_id": "nobody"}, {"txid": "12"}):
            assert caller.error("CancelOrder", **args) == "EOrder:Unknown order"
        assert caller.error("CancelOrder") == caller.error("CancelOrder", txid=done, cl_ord_id="x") == "EGeneral:Invalid arguments"

    def test_all_and_several(self, exchange, caller):
        ids = [caller.buy("0.1", "2400.00") for _ in range(4)]
        told = caller.send("CancelOrderBatch", {"orders": [ids[0], ids[2]]}, as_json=True).json()
        assert told == {"error": [], "result": {"count": 2}}
        assert caller.call("CancelAll") == {"count": 2}
        assert caller.send("CancelOrderBatch", {"orders": [ids[0]]}, as_json=True).json() == {"error": ["EOrder:Unknown order"]}

    def test_a_part_that_was_filled_stays_filled(self, exchange, caller):
        exchange.book("ETH/USD", bids=[("2499.00", "1")], asks=[("2500.00", "0.25")])
        txid = caller.buy("1", "2500.00")
        assert caller.state(txid)["vol_exec"] == "0.25000000"
        caller.call("CancelOrder", txid=txid)
        order = caller.state(txid)
        assert (order["status"], order["vol_exec"], order["cost"]) == ("canceled", "0.25000000", "625.00000")


def test_a_batch_answers_for_each_order(exchange, caller):
    orders = [
        {"type": "buy", "ordertype": "limit", "price": "2400.00", "volume": "0.1", "cl_ord_id": "one"},
        {"type": "buy", "ordertype": "limit", "price": "2400.00", "volume": "0.0001"},
    ]
    told = caller.send("AddOrderBatch", {"pair": "ETHUSD", "orders": orders}, as_json=True).json()
    assert told["error"] == []
    first, second = told["result"]["orders"]
    assert caller.state(first["txid"])["cl_ord_id"] == "one" and first["descr"]["order"] == "buy 0.10000000 ETHUSD @ limit 2400.00"
    assert second == {"error": "EOrder:Order minimum not met"}
    for wrong in ([], orders[:1], orders * 8, "x", [1, 2]):
        told = caller.send("AddOrderBatch", {"pair": "ETHUSD", "orders": wrong}, as_json=True).json()
        assert told == {"error": ["EGeneral:Invalid arguments:orders"]}


# -- the dead man's switch ---------------------------------------------------------------------------------------------


class TestDeadMan:
    def test_it_cancels_everything_and_is_off(self, exchange, caller, clock):
        mine, by_hand = caller.buy("0.1", "2400.00"), exchange.manual("ETH/USD", "buy", "0.1", "2300.00")
        told = caller.call("CancelAllOrdersAfter", timeout="60")
        assert told == {"currentTime": "2026-09-21T14:13:20Z", "triggerTime": "2026-09-21T14:14:20Z"}
        clock.forward(59.999)
        assert set(caller.call("OpenOrders")["open"]) == {mine, by_hand}
        clock.forward(0.001)
        assert caller.call("OpenOrders")["open"] == {} and caller.state(mine)["reason"] == "Cancel all orders after"
        later = caller.buy("0.1", "2400.00")
        clock.forward(3_600)
        assert set(caller.call("OpenOrders")["open"]) == {later}

    def test_each_call_begins_anew_and_zero_disarms(self, exchange, caller, clock):
        caller.buy("0.1", "2400.00")
        for _ in range(5):
            caller.call("CancelAllOrdersAfter", timeout="10")
            clock.forward(9)
        assert len(caller.call("OpenOrders")["open"]) == 1
        assert caller.call("CancelAllOrdersAfter", timeout="0")["triggerTime"] == "0"
        clock.forward(1_000)
        assert len(caller.call("OpenOrders")["open"]) == 1
        for wrong in ("", "-1", "soon", "86401"):
            assert caller.error("CancelAllOrdersAfter", timeout=wrong) == "EGeneral:Invalid arguments:timeout"

    def test_it_is_the_account_s_and_not_the_key_s(self, exchange, caller, clock):
        exchange.add_account("other", MONEY)
        with (
            Caller(exchange, exchange.add_key("second")) as second,
            Caller(exchange, exchange.add_key("theirs", account="other")) as theirs,
        ):
            second.call("CancelAllOrdersAfter", timeout="10")
            caller.buy("0.1", "2400.00")
            theirs.buy("0.1", "2400.00")
            clock.forward(10)
            assert caller.call("OpenOrders")["open"] == {} and len(theirs.call("OpenOrders")["open"]) == 1

    def test_nobody_needs_to_call_for_it_to_go_off(self):
        with kraken_server(pairs=["ETH/USD"], balances=MONEY) as exchange, Caller(exchange) as caller:
            caller.buy("0.1", "2400.00")
            expiring = caller.buy("0.1", "2300.00", timeinforce="GTD", expiretm="+0.1")
            caller.call("CancelAllOrdersAfter", timeout="1")
            until = time.monotonic() + 5
            while {one["status"] for one in exchange.orders().values()} != {"canceled", "expired"} and time.monotonic() < until:
                time.sleep(0.01)
            assert sorted(one["status"] for one in exchange.orders().values()) == ["canceled", "expired"]
            assert exchange.orders()[expiring]["status"] == "expired"


# -- wallets and the ledger --------------------------------------------------------------------------------------------


def sums(exchange, account="main"):
    """What the lines of the ledger come to, by wallet as Kraken calls it."""
    found = {}
    for line in exchange.ledger(account).values():
        found[line["asset"]] = found.get(line["asset"], 0) + Decimal(line["amount"]) - Decimal(line["fee"])
        assert Decimal(line["balance"]) == found[line["asset"]]
    return found


class TestWallets:
    def test_what_happens_behind_one_s_back_is_in_the_ledger(self, exchange, caller):
        exchange.earn("ETH", "1.25")
        exchange.reward("ETH.F", "0.001", fee="0.0001")
        exchange.deposit("USD", "100", fee="1")
        exchange.withdraw("USD", "50", fee="0.5")
        exchange.credit("USD", "-0.0001", type="adjustment")
        exchange.earn("ETH", "-0.25")
        assert caller.call("Balance") == {"XETH": "1.0000000000", "ETH.F": "1.0009000000", "ZUSD": "10048.4999"}
        lines = [(line["type"], line["subtype"], line["asset"], line["amount"], line["fee"]) for line in exchange.ledger().values()]
        assert lines[2:] == [
            ("earn", "autoallocation", "XETH", "-1.2500000000", "0.0000000000"),
            ("earn", "autoallocation", "ETH.F", "1.2500000000", "0.0000000000"),
            ("earn", "reward", "ETH.F", "0.0010000000", "0.0001000000"),
            ("deposit", "", "ZUSD", "100.0000", "1.0000"),
            ("withdrawal", "", "ZUSD", "-50.0000", "0.5000"),
            ("adjustment", "", "ZUSD", "-0.0001", "0.0000"),
            ("earn", "deallocation", "XETH", "0.2500000000", "0.0000000000"),
            ("earn", "deallocation", "ETH.F", "-0.2500000000", "0.0000000000"),
        ]
        refs = [line["refid"] for line in exchange.ledger().values()]
        assert refs[2] == refs[3] != refs[8] == refs[9]
        assert sums(exchange) == {key: Decimal(value) for key, value in caller.call("Balance").items()}

    def test_a_sale_draws_on_what_earns_when_the_rest_is_used_up(self, exchange, caller):
        exchange.earn("ETH", "1.5")
        caller.sell("0.4")
        assert caller.call("Balance")["ETH.F"] == "1.5000000000"
        held = caller.sell("0.7", "2600.00")
        extended = caller.call("BalanceEx")
        assert (extended["XETH"]["hold_trade"], extended["ETH.F"]["hold_trade"]) == ("0.1000000000", "0.6000000000")
        exchange.price("ETH/USD", "2601.00")
        assert caller.call("Balance")["XETH"] == "0.0000000000" and caller.call("Balance")["ETH.F"] == "0.9000000000"
        (trade_id,) = caller.state(held)["trades"]
        lines = [line for line in exchange.ledger().values() if line["refid"] == trade_id]
        assert [(line["asset"], line["amount"]) for line in lines] == [
            ("XETH", "-0.1000000000"),
            ("ETH.F", "-0.6000000000"),
            ("ZUSD", "1820.0000"),
        ]
        assert sums(exchange) == {key: Decimal(value) for key, value in caller.call("Balance").items()}

    def test_so_does_a_purchase_with_its_fee(self, exchange, caller):
        exchange.earn("USD", "9999")
        caller.buy("0.1")
        lines = [(line["asset"], line["amount"], line["fee"]) for line in caller.call("Ledgers", type="trade")["ledger"].values()]
        assert lines == [("XETH", "0.1000000000", "0.0000000000"), ("USD.F", "-250.0000", "0.0000"), ("ZUSD", "0.0000", "1.0000")]
        exchange.earn("USD", "-0.5")
        caller.buy("0.1")
        assert sums(exchange) == {key: Decimal(value) for key, value in caller.call("Balance").items()}
        assert min(exchange.balances().values()) >= 0

    def test_nobody_takes_what_is_not_there_or_held(self, exchange, caller):
        caller.sell("1.5", "2600.00")
        for wrong in (lambda: exchange.withdraw("ETH", "0.6"), lambda: exchange.earn("ETH", "2.1"), lambda: exchange.earn("ETH", "-1")):
            with pytest.raises(InvalidAmount):
                wrong()
        exchange.withdraw("ETH", "0.5")
        with pytest.raises(InvalidMarket, match="no wallet here"):
            exchange.deposit("DOGE", "1")
        with pytest.raises(VaultError, match="no account"):
            exchange.deposit("USD", "1", account="nobody")

    def test_lines_can_be_late_and_balances_are_not(self, exchange, caller, clock):
        exchange.delay_ledger(5)
        caller.buy("0.1")
        assert caller.call("Balance")["XETH"] == "2.1000000000" and caller.call("Ledgers", type="trade") == {"ledger": {}, "count": 0}
        clock.forward(4.99)
        assert caller.call("Ledgers", type="trade")["count"] == 0
        clock.forward(0.01)
        assert caller.call("Ledgers", type="trade")["count"] == 2
        caller.buy("0.1")
        line = list(exchange.ledger())[-1]
        assert caller.call("QueryLedgers", id=line) == {}
        exchange.delay_ledger(None)
        assert caller.call("Ledgers", type="trade")["count"] == 4 and set(caller.call("QueryLedgers", id=line)) == {line}

    def test_a_trade_tells_five_decimals_and_the_ledger_four(self, exchange, caller):
        exchange.price("ETH/USD", "2500.03")
        caller.buy("0.00300001")
        (trade,) = exchange.trades().values()
        assert (trade["cost"], trade["fee"]) == ("7.50012", "0.03001")  # 7.5001150003 and 0.030000460001
        dollars = exchange.ledger()[trade["ledgers"][0]]
        assert (dollars["amount"], dollars["fee"]) == ("-7.5002", "0.0301")

    def test_accounts_are_apart(self, exchange, caller):
        exchange.add_account("other", {"USD": "500"})
        with Caller(exchange, exchange.add_key("theirs", account="other")) as theirs:
            txid = theirs.buy("0.1")
            assert theirs.call("Balance") == {"XETH": "0.1000000000", "ZUSD": "249.0000"}
            assert caller.call("Balance")["ZUSD"] == "10000.0000" and caller.call("QueryOrders", txid=txid) == {}
        assert not set(exchange.ledger()) & set(exchange.ledger("other"))


# -- laws --------------------------------------------------------------------------------------------------------------

PRICES = st.integers(230_000, 270_000)
QTYS = st.integers(200_000, 50_000_000)
ACTS = st.one_of(
    st.tuples(st.just("price"), PRICES),
    st.tuples(st.just("order"), st.sampled_from(["buy", "sell"]), QTYS, st.none() | PRICES, st.sampled_from(["", "fcib", "post"])),
    st.tuples(st.just("stop"), st.sampled_from(["stop-loss", "take-profit"]), st.sampled_from(["buy", "sell"]), QTYS, PRICES),
    st.tuples(st.just("cancel"), st.integers(0, 10)),
    st.tuples(st.just("earn"), st.sampled_from(["ETH", "USD"]), st.integers(-3_000_000, 3_000_000)),
    st.tuples(st.just("book"), PRICES, QTYS),
)


def act(exchange, call, *args):
    """What a client or the world does; a refusal is an answer."""
    from sleeves.testing.kraken_server.private import PRIVATE

    try:
        if call == "price":
            exchange.price("ETH/USD", f"{Decimal(args[0]) / 100:.2f}")
        elif call == "book":
            last = Decimal(exchange.market("ETH/USD").last) / 100
            size = f"{Decimal(args[1]) / 10**8:.8f}"
            exchange.book("ETH/USD", bids=[(f"{last - 1:.2f}", size)], asks=[(f"{last:.2f}", size), (f"{last + 1:.2f}", size)])
        elif call == "earn":
            exchange.earn(args[0], str(Decimal(args[1]) / 10_000))
        elif call == "cancel":
            standing = [txid for txid, order in exchange.orders().items() if order["status"] == "open"]
            PRIVATE["CancelOrder"](exchange, exchange.key, {"txid": standing[args[0] % len(standing)] if standing else "0"})
        else:
            side, qty, price = (args[1], args[2], args[3]) if call == "stop" else args[:3]
            terms = {"pair": "ETHUSD", "type": side, "volume": f"{Decimal(qty) / 10**8:.8f}"}
            terms |= {"ordertype": args[0]} if call == "stop" else {"ordertype": "market" if price is None else "limit", "oflags": args[3]}
            terms |= {} if price is None else {"price": f"{Decimal(price) / 100:.2f}"}
            PRIVATE["AddOrder"](exchange, exchange.key, terms)
    except (Refused, InvalidAmount):
        pass


@heavy
@given(st.lists(ACTS, max_size=25))
def test_whatever_happens_the_ledger_explains_every_coin(acts):
    """Wallets are the sums of their lines and never overdrawn; trades are their lines; the simulator agrees; holds are of open orders."""
    exchange = KrakenExchange(pairs=["ETH/USD"], balances=MONEY, tier=None, clock=Clock())
    for one in acts:
        act(exchange, *one)
    names = {"ETH": "XETH", "ETH.F": "ETH.F", "USD": "ZUSD", "USD.F": "USD.F"}
    assert sums(exchange) == {names[name]: held for name, held in exchange.balances().items()}
    assert min(exchange.balances().values()) >= 0
    account = exchange.account()
    for code in ("ETH", "USD"):
        wallets = sum(held for name, held in exchange.balances().items() if name.removesuffix(".F") == code)
        assert account.sim.balances()[code].decimal == wallets
    for order in exchange.orders().values():
        trades = [exchange.trades()[trade_id] for trade_id in order["trades"]]
        assert sum(Decimal(trade["vol"]) for trade in trades) == Decimal(order["vol_exec"])
        for what in ("cost", "fee"):
            assert sum(Decimal(trade[what]) for trade in trades) == Decimal(order[what])
        assert (order["status"] == "closed") is (order["vol_exec"] == order["vol"])
    for trade_id, trade in exchange.trades().items():
        lines = [exchange.ledger()[one] for one in trade["ledgers"]]
        assert {line["refid"] for line in lines} == {trade_id}
        coins = {"ETH": Decimal(0), "USD": Decimal(0)}
        for line in lines:
            coins["USD" if "USD" in line["asset"] else "ETH"] += Decimal(line["amount"])
        sign = 1 if trade["type"] == "buy" else -1
        assert coins["ETH"] == sign * Decimal(trade["vol"]) and abs(coins["USD"] + sign * Decimal(trade["cost"])) <= Decimal("0.00011")
    if not any(order["status"] == "open" for order in exchange.orders().values()):
        assert set(account.sim.account.held.values()) == {0}


# -- scripts -----------------------------------------------------------------------------------------------------------

COIN, CASH = Asset("ETH", 10), Asset("USD", 4)
MARKET = Instrument("ETH/USD", base=COIN, quote=CASH, tick="0.01", lot="0.00000001", min_qty="0.002", min_notional="0.5")
BEGIN = 1_790_000_000 * SECOND


def script(*closes, interval=60):
    rows = tuple(Row(BEGIN + n * interval * SECOND, close, close + 500, close - 500, close, 10**14) for n, close in enumerate(closes))
    balances = {"USD": Amount(10_000 * 10**4, CASH), "ETH": Amount(2 * 10**10, COIN)}
    return Script("a script", MARKET, interval * SECOND, rows, balances)


def test_a_script_is_played_in_its_own_time():
    with kraken_server(script=script(250_000, 240_000, 250_000), tier=None) as exchange, Caller(exchange) as caller:
        assert exchange.now == BEGIN and caller.public("Time")["unixtime"] == BEGIN // SECOND
        assert exchange.ledger() == {}  # what it begins with is older than its ledger
        step = exchange.step()
        assert (step.at, step.price) == (BEGIN + 60 * SECOND, 250_000) and exchange.now == step.at
        txid = caller.buy("0.1", "2396.00")
        assert caller.state(txid)["status"] == "open"  # it acts on the row that follows
        fact, price = exchange.step(), exchange.step()
        assert fact.price == 0 and price.price == 240_000 and fact.at == price.at
        order = caller.state(txid)
        assert order["status"] == "closed" and BEGIN // SECOND + 60 <= order["closetm"] < BEGIN // SECOND + 120
        assert exchange.play() == 1 and exchange.step() is None
        rows = caller.public("OHLC", pair="ETHUSD")["XETHZUSD"]
        assert [row[1:5] for row in rows[:3]] == [[f"{p}.00", f"{p + 5}.00", f"{p - 5}.00", f"{p}.00"] for p in (2500, 2400, 2500)]
        with pytest.raises(InvalidMarket, match="play it with step"):
            exchange.price("ETH/USD", "2400.00")


def test_limits_do_not_follow_the_script_s_time():
    clock = Clock()
    with kraken_server(script=script(*[250_000] * 50), clock=clock) as exchange, Caller(exchange) as caller:
        caller.call("CancelAllOrdersAfter", timeout="60")
        exchange.step()
        caller.buy("0.1", "2000.00")
        exchange.play()  # fifty minutes
        assert len(caller.call("OpenOrders")["open"]) == 1
        clock.forward(60)
        assert caller.call("OpenOrders")["open"] == {}


def test_in_a_script_too_what_waits_for_a_price_goes_when_it_is_shown():
    with kraken_server(script=script(250_000, 250_000, 260_000, 260_000), tier=None) as exchange, Caller(exchange) as caller:
        exchange.step()
        txid = caller.sell("0.1", "2600.00", ordertype="take-profit")
        exchange.step()
        assert caller.state(txid)["status"] == "open"
        exchange.play()
        assert (caller.state(txid)["status"], caller.state(txid)["price"]) == ("closed", "2600.00")


def test_a_purchase_at_market_in_a_script_never_costs_more_than_there_is():
    with kraken_server(script=script(250_000, 300_000, 300_000), tier=None) as exchange, Caller(exchange) as caller:
        exchange.step()
        txid = caller.buy("3.9")
        exchange.play()
        assert caller.state(txid)["status"] == "canceled" and "beyond what the hold covers" in caller.state(txid)["reason"]
        assert exchange.balances() == {"ETH": Decimal(2), "USD": Decimal(10_000)}


STEPS = st.lists(
    st.tuples(
        st.integers(245_000, 255_000),
        st.lists(
            st.tuples(st.sampled_from(Side), st.integers(200_000, 40_000_000), st.integers(245_000, 255_000), st.sampled_from(TimeInForce)),
            max_size=2,
        ),
    ),
    min_size=2,
    max_size=8,
)


@heavy
@given(STEPS)
def test_the_same_orders_fill_as_in_the_simulator(steps):
    """A script with limit orders, once through the paper venue and once through Kraken's API: the same fills, to the unit."""
    from sleeves.testing.kraken_server.private import PRIVATE

    rows = [close for close, _ in steps]
    rules = Rules(slippage=Slippage.of("0.1%", "0.3%"))
    told = script(*rows)
    tape = Tape.from_columns(MARKET, **told.columns())
    places = [[Place(MARKET, side, qty * 100, limit=price, tif=tif) for side, qty, price, tif in orders] for _, orders in steps]

    async def on_paper():
        venue, fills, row, number = VirtualDriver(tape, told.balances, rules), [], 0, 0
        async for event in venue.events():
            if isinstance(event, Fill):
                fills.append((event.order_id, event.at, event.side, event.qty, event.price, event.cost, event.fee.units, event.liquidity))
            if isinstance(event, Quote):
                for place in places[row]:
                    await venue.submit(Order(f"o-{number}", "o", place, event.at, place.limit))
                    number += 1
                row += 1
        return fills, await venue.balances()

    exchange = KrakenExchange(script=told, rules=rules, tier=None, clock=Clock())
    ids, row, number = {}, 0, 0
    while (step := exchange.step()) is not None:
        if not step.price:
            continue
        for place in places[row]:
            terms = {
                "pair": "ETHUSD",
                "type": place.side.value,
                "ordertype": "limit",
                "price": MARKET.price_text(place.limit),
                "volume": MARKET.qty_text(place.qty),
                "timeinforce": place.tif.value.upper(),
            }
            try:
                ids[PRIVATE["AddOrder"](exchange, exchange.key, terms)["txid"][0]] = f"o-{number}"
            except Refused as refused:
                assert refused.error == "EOrder:Insufficient funds"
            number += 1
        row += 1
    there = []
    for trade in exchange.account().trades.values():
        lines = [exchange.account().ledger[one] for one in trade.ledgers]
        (dollars,) = (line for line in lines if line.asset == CASH)
        maker = "maker" if trade.maker else "taker"
        there.append((ids[trade.order.txid], trade.at, trade.order.side, trade.qty, trade.price, abs(dollars.amount), dollars.fee, maker))
    fills, balances = anyio.run(on_paper)
    assert there == fills
    assert exchange.balances() == {code: amount.decimal for code, amount in balances.items()}


# -- faults ------------------------------------------------------------------------------------------------------------

ORDER = {"pair": "ETHUSD", "type": "buy", "ordertype": "market", "volume": "0.1"}


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "body"),
        [
            (Fault.error("EService:Unavailable"), 200, '{"error":["EService:Unavailable"]}'),
            ("EService: Throttled: 1790000005", 200, '{"error":["EService: Throttled: 1790000005"]}'),
            (Fault.status(520), 520, "<!DOCTYPE html>"),
            (Fault.status(503, "no"), 503, "no"),
            (Fault.html(), 200, "<!DOCTYPE html>"),
            (Fault.garbage(), 200, '{"error":[],"result":{"tx'),
        ],
    )
    def test_what_is_answered_instead_was_not_done(self, exchange, caller, fault, status, body):
        exchange.fault("AddOrder", fault)
        reply = caller.send("AddOrder", ORDER)
        assert reply.status_code == status and reply.text.startswith(body)
        assert exchange.orders() == {} and exchange.calls[-1].signed and exchange.calls[-1].method == "AddOrder"
        assert caller.send("AddOrder", ORDER).json()["error"] == []  # each strikes once

    def test_what_is_answered_after_was_done(self, exchange, caller):
        exchange.fault("AddOrder", Fault.after(Fault.status(502)))
        assert caller.send("AddOrder", ORDER).status_code == 502 and len(exchange.orders()) == 1
        exchange.fault("AddOrder", Fault.after(Fault.error("EService:Busy")))
        assert caller.error("AddOrder", **ORDER) == "EService:Busy" and len(exchange.orders()) == 2

    @pytest.mark.parametrize(
        ("fault", "done"), [(Fault.drop(), False), (Fault.cut(), True), (Fault.hang(0.05), False), (Fault.lost(0.05), True)]
    )
    def test_a_connection_that_is_cut(self, exchange, caller, fault, done, caplog):
        import httpx

        exchange.fault("AddOrder", fault)
        with pytest.raises(httpx.TransportError) as failed:
            caller.send("AddOrder", ORDER)
        assert not isinstance(failed.value, httpx.TimeoutException)
        assert len(exchange.orders()) == done
        assert caller.error("Balance") == ""
        assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []  # on purpose, and no accident

    @pytest.mark.parametrize(("fault", "done"), [(Fault.hang(), False), (Fault.lost(), True)])
    def test_a_time_out(self, exchange, fault, done):
        import httpx

        exchange.fault("AddOrder", fault)
        with Caller(exchange, timeout=0.2) as caller:
            with pytest.raises(httpx.ReadTimeout):
                caller.send("AddOrder", ORDER)
            assert len(exchange.orders()) == done
            assert caller.error("Balance") == ""

    def test_a_slow_call_is_judged_when_it_arrives(self, exchange, caller, clock):
        exchange.fault("AddOrder", Fault.slow(0.05))
        began = time.monotonic()
        assert caller.error("AddOrder", **ORDER) == ""
        assert time.monotonic() - began >= 0.05

    def test_they_wait_in_line_by_method_and_for_any(self, exchange, caller):
        exchange.fault("Balance", "EService:Busy")
        exchange.fault("Balance", "EService:Unavailable", times=2)
        exchange.fault("*", "EGeneral:Internal error")
        told = [caller.error("Balance") for _ in range(3)]
        assert told == ["EService:Busy", "EService:Unavailable", "EService:Unavailable"]
        assert caller.public_error("Time") == "EGeneral:Internal error"
        assert caller.error("Balance") == "" and len(exchange.faults) == 0

    def test_stopping_ends_what_hangs(self):
        import threading

        import httpx

        exchange = kraken_server(balances=MONEY).start()
        exchange.fault("Balance", Fault.hang())
        failed = []

        def ask():
            with Caller(exchange, timeout=30) as caller:
                try:
                    caller.send("Balance")
                except httpx.TransportError as error:
                    failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while len(exchange.faults):
            time.sleep(0.005)
        began = time.monotonic()
        exchange.stop()
        asking.join(5)
        assert failed and time.monotonic() - began < 3

    def test_it_goes_on_where_it_was_when_it_is_started_again(self, exchange, caller):
        caller.buy("0.1")
        url = exchange.url
        exchange.stop()
        exchange.start()
        assert exchange.url == url and len(caller.call("TradesHistory")["trades"]) == 1
