"""ccxt's unified trades: the exchange's own text wins over the float that was made of it, and fees are never guessed.

The structure is that of ccxt's manual ("Trade structure"), the Kraken reply that of the venue notes (section 1.2).
"""

from __future__ import annotations

import pytest
from past_exports import BTC, BTCUSD, ETHBTC, ETHUSD, USD, refusal

from sleeves.facts import FlowKind
from sleeves.market import Instrument, Kind
from sleeves.money import USDT, Asset
from sleeves.orders import Liquidity, Side
from sleeves.past import ccxt_trades

BNB = Asset("BNB", 8)
KRAKEN = {
    "id": "TAAAAA-1",
    "order": "OAAAAA-1",
    "info": {
        "ordertxid": "OAAAAA-1",
        "postxid": "TK",
        "pair": "XETHZUSD",
        "time": "1790000001.4",
        "type": "buy",
        "ordertype": "limit",
        "price": "2400.00000",
        "cost": "240.00000",
        "fee": "0.96000",
        "vol": "0.10000000",
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": "7",
        "maker": True,
        "ledgers": ["L1", "L2"],
    },
    "timestamp": 1790000001400,
    "datetime": "2026-09-21T14:13:21.400Z",
    "symbol": "ETH/USD",
    "type": "limit",
    "side": "buy",
    "takerOrMaker": "maker",
    "price": 2400.0,
    "amount": 0.1,
    "cost": 240.0,
    "fee": {"cost": 0.96, "currency": "USD"},
    "fees": [{"cost": 0.96, "currency": "USD"}],
}
BINANCE = {
    "id": "123",
    "order": 77,
    "info": {"price": "4000.00000000", "qty": "0.12345678", "quoteQty": "493.82712000", "commission": "0.00012", "commissionAsset": "BNB"},
    "timestamp": 1600000000000,
    "symbol": "BTC/USDT",
    "side": "sell",
    "takerOrMaker": "taker",
    "price": 4000.0,
    "amount": 0.12345678,
    "cost": 493.82712,
    "fee": {"cost": 0.00012, "currency": "BNB"},
}
BTCUSDT = Instrument("BTC/USDT", base=BTC, quote=USDT, tick="0.01")
FINE = Instrument("FINE/USD", base=Asset("FINE", 20), quote=USD, tick="0.01")


def read(*trades, markets=(ETHUSD, ETHBTC, BTCUSD), **options):
    return ccxt_trades(trades, markets, venue="kraken", **options)


def test_krakens_trade_is_a_fill_to_the_last_unit():
    (fill,) = read(KRAKEN).fills
    assert (fill.trade_id, fill.order_id, fill.venue, fill.at) == ("TAAAAA-1", "OAAAAA-1", "kraken", 1_790_000_001_400_000_000)
    assert (fill.instrument, fill.side, fill.liquidity) == (ETHUSD, Side.BUY, Liquidity.MAKER)
    assert (fill.qty, fill.price, fill.cost, fill.fee) == (1_000_000_000, 240_000, 240_000_000, USD("0.96"))


def test_a_fee_in_a_third_coin_needs_that_coin():
    (fill,) = ccxt_trades([BINANCE], [BTCUSDT], venue="binance", assets=[BNB]).fills
    assert (fill.fee, fill.order_id, fill.cost) == (BNB("0.00012"), "77", USDT("493.82712").units)
    error = refusal(ccxt_trades, [BINANCE], [BTCUSDT], venue="binance")
    assert str(error) == "ccxt trades, row 1: fee in 'BNB', which is none of BTC, USDT: name it in assets"


def test_the_text_of_the_exchange_wins_over_the_float_made_of_it():
    """A float has 15 sure digits; the exchange sent 20."""
    raw = "0.12345678901234567891"
    trade = KRAKEN | {"symbol": "FINE/USD", "amount": float(raw), "info": {"deep": [{"qty": raw}]}}
    assert read(trade, markets=[FINE]).fills[0].qty == 12345678901234567891
    assert read(trade | {"info": {}}, markets=[FINE]).fills[0].qty == 12345678901234568000


def test_two_texts_for_one_float_decide_nothing():
    trade = KRAKEN | {"amount": 0.1, "symbol": "FINE/USD", "info": {"a": "0.1", "b": "0.10000000000000000001"}}
    assert read(trade, markets=[FINE]).fills[0].qty == 10**19


@pytest.mark.parametrize("number", [str, float])
def test_an_exchange_that_hands_out_text_is_read_as_well(number):
    trade = (
        KRAKEN | {name: number(KRAKEN[name]) for name in ("price", "amount", "cost")} | {"fee": {"cost": number(0.96), "currency": "USD"}}
    )
    assert read(trade).fills == read(KRAKEN).fills


def test_a_small_float_is_its_shortest_text():
    (fill,) = read(KRAKEN | {"amount": 1e-08, "cost": 2.4e-05, "fee": {"cost": 1e-06, "currency": "USD"}, "fees": [], "info": {}}).fills
    assert (fill.qty, fill.cost, fill.fee.units) == (100, 24, 1)


@pytest.mark.parametrize(("side", "cost"), [("buy", 45_678_902), ("sell", 45_678_901)])
def test_a_cost_that_ccxt_made_in_floats_is_worked_out_again_against_us(side, cost):
    """0.37 times 123.45649003 is 45.6789013111, finer than USD counts here."""
    trade = KRAKEN | {"info": {}, "side": side, "price": 123.45649003, "amount": 0.37, "cost": 45.6789013111}
    past = read(trade)
    assert past.fills[0].cost == cost
    assert "costs not told, worked out of price and quantity: 1, ccxt trades row 1" in str(past)
    assert read(trade | {"cost": None}).fills[0].cost == cost


def test_a_cost_finer_than_money_that_the_exchange_itself_told_is_refused():
    error = refusal(read, KRAKEN | {"cost": 45.6789013, "info": {"cost": "45.6789013"}})
    assert "cost: USD amount 45.6789013 has 7 decimal places" in str(error)


def test_several_fees_of_one_coin_are_one_and_further_coins_go_along():
    fees = [{"cost": 0.5, "currency": "USD"}, {"cost": 0.001, "currency": "BNB"}, {"cost": 0.46, "currency": "USD"}]
    (trade,) = read(KRAKEN | {"fees": [*fees, {"cost": None, "currency": None}]}, assets=[BNB]).trades
    assert trade.fill.fee == USD("0.96")
    (flow,) = trade.fees
    assert (flow.kind, flow.amount, flow.ref) == (FlowKind.FEE, BNB("-0.001"), trade.fill.key)
    assert trade.charged == (USD("0.96"), BNB("0.001"))


def test_a_fee_in_the_base_coin_is_the_fills_own():
    fees = [{"cost": 0.5, "currency": "USD"}, {"cost": 0.0001, "currency": "ETH"}]
    (trade,) = read(KRAKEN | {"fees": fees}).trades
    assert (str(trade.fill.fee), str(trade.fees[0].amount)) == ("0.0001 ETH", "-0.5 USD")


def test_a_rebate_is_a_fee_below_zero_and_a_fee_of_zero_is_told():
    assert read(KRAKEN | {"fees": [{"cost": -0.02, "currency": "USD"}]}).fills[0].fee == USD("-0.02")
    assert read(KRAKEN | {"fees": [], "fee": {"cost": 0, "currency": "USD"}}).fills[0].fee == USD.zero


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fee": None, "fees": None}, "says no fee"),
        ({"fee": {"cost": None, "currency": None}, "fees": []}, "says no fee"),
        ({"fees": [{"cost": None, "currency": "USD"}]}, "fee 'None' is not a plain finite number"),
        ({"fees": [{"cost": 1, "currency": None}]}, "fee in 'None', which is none of BTC, ETH, USD"),
        ({"fees": [{"cost": float("nan"), "currency": "USD"}]}, "fee 'nan' is not"),
        ({"symbol": "XRP/USD"}, "symbol 'XRP/USD' is none of BTC/USD, ETH/BTC, ETH/USD"),
        ({"symbol": None}, "symbol 'None' is none of"),
        ({"side": None}, "side 'None' is neither buy nor sell"),
        ({"id": None}, "id 'None' is none: a trade is known by it"),
        ({"id": True}, "id 'True' is none"),
        ({"timestamp": None}, "timestamp 'None' is no whole number of milliseconds"),
        ({"timestamp": 1.5}, "timestamp '1.5' is no whole number"),
        ({"takerOrMaker": "both"}, "takerOrMaker 'both'"),
        ({"amount": None}, "amount 'None' is not a plain finite number"),
        ({"amount": float("inf")}, "amount 'inf' is not"),
        ({"amount": True}, "amount 'True' is not"),
        ({"price": 0.0}, "price Decimal('0.0') of ETH/USD is not a positive"),
        ({"info": {"margin": "48.0"}}, "a margin trade (margin '48.0'): it moves no coins"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named_and_with_repair_listed(changes, says):
    error = refusal(read, KRAKEN, KRAKEN | {"id": "T2"} | changes)
    assert str(error).startswith("ccxt trades, row 2: ")
    assert says in str(error)
    past = read(KRAKEN, KRAKEN | {"id": "T2"} | changes, repair=True)
    assert (len(past.trades), len(past.left_out)) == (1, 1)


def test_what_is_no_trade_is_refused():
    assert "a str is no trade" in str(refusal(read, "BTC/USD"))


@pytest.mark.parametrize(
    ("changes", "tag"),
    [
        ({"clientOrderId": "quiet-1"}, "quiet-1"),
        ({"info": {"userref": 17}}, "17"),
        ({"info": {"clOrdId": "flash-2", "userref": 0}}, "flash-2"),
        ({}, ""),
    ],
)
def test_the_tag_is_the_clients_word_wherever_the_exchange_puts_it(changes, tag):
    assert read(KRAKEN | changes).trades[0].tag == tag


def test_an_order_may_be_unknown_and_a_symbol_may_be_mapped():
    (fill,) = read(KRAKEN | {"order": None, "symbol": "ETHUSD"}, markets={"ETHUSD": ETHUSD}).fills
    assert (fill.order_id, fill.instrument) == ("", ETHUSD)


def test_the_same_trade_on_two_pages_is_one_and_another_content_is_an_error():
    assert len(read(KRAKEN, KRAKEN).trades) == 1
    assert "side 'sell', not 'buy'" in str(refusal(read, KRAKEN, KRAKEN | {"side": "sell"}))


def test_a_perpetuals_fills_are_read():
    """Reading them is one thing; attribute refuses them."""
    perp = Instrument("BTC/USDT:USDT", base=BTC, quote=USDT, kind=Kind.PERP)
    assert ccxt_trades([BINANCE | {"symbol": "BTC/USDT:USDT"}], [perp], venue="binance", assets=[BNB]).fills[0].instrument == perp
