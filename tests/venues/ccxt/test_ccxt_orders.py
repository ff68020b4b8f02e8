"""Orders in ccxt's words, for each exchange as it takes them, and what ccxt says of them in ours."""

from __future__ import annotations

from typing import Any

import pytest
from test_ccxt_names import CURRENCIES, names, spot, swap

from sleeves.errors import InvalidAmount
from sleeves.market import SECOND
from sleeves.orders import Order, OrderStatus, Place, Side, TimeInForce
from sleeves.venues.ccxt.manners import Manner, manner_of
from sleeves.venues.ccxt.orders import Request, Unsaid, client_id, report_of, request_of
from sleeves.venues.ids import ClientIds

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
FEATURES = {"timeInForce": {"IOC": True, "FOK": True, "PO": True}, "stopLossPrice": True, "triggerPrice": True}


def sent(exchange: str, *, worst: str | None = None, features: dict[str, Any] | None = None, **terms: Any) -> Request:
    """How an order would be sent to an exchange; prices in text."""
    contract = exchange in ("krakenfutures", "hyperliquid", "binanceusdm")
    known = names(swap() if contract else spot(), exchange=exchange, currencies=CURRENCIES)
    market = known.instrument("ETH/USDT:USDT" if contract else "ETH/USD")
    for name in ("limit", "stop"):
        if name in terms:
            terms[name] = market.price(terms[name])
    rounded, last = terms.pop("rounded", lambda what, symbol, text: text), terms.pop("last", (200_000, 200_100))
    params, manner = terms.pop("params", {}), terms.pop("manner", None) or manner_of(exchange)
    place = Place(market, terms.pop("side", Side.BUY), terms.pop("qty", market.qty("1")), **terms)
    order = Order("quiet-1", "quiet", place, 0, None if worst is None else market.whole_price(worst))
    said = FEATURES if features is None else features
    return request_of(order, market, known, manner, "own", can=said.get, rounded=rounded, last=last, params=params)


ASKED = [
    # exchange, what is ordered, type, price, what goes with it besides our own id
    ("kraken", {"limit": "2000"}, "limit", "2000", {"oflags": "fciq"}),
    ("kraken", {}, "market", None, {"oflags": "fciq"}),
    ("kraken", {"worst": "2100"}, "limit", "2100", {"oflags": "fciq", "timeInForce": "IOC"}),
    ("kraken", {"limit": "2000", "tif": FOK}, "limit", "2000", {"oflags": "fciq", "timeInForce": "FOK"}),
    ("kraken", {"limit": "2000", "post_only": True}, "limit", "2000", {"oflags": "fciq", "postOnly": True}),
    ("kraken", {"stop": "1900", "side": Side.SELL}, "market", None, {"oflags": "fciq", "stopLossPrice": "1900"}),
    ("kraken", {"stop": "2100", "worst": "2200"}, "limit", "2200", {"oflags": "fciq", "stopLossPrice": "2100"}),
    ("kraken", {"limit": "2000", "good_til": 90 * SECOND}, "limit", "2000", {"oflags": "fciq", "timeInForce": "GTD", "expiretm": "90"}),
    ("kraken", {"side": Side.SELL, "reduce_only": True}, "market", None, {"oflags": "fciq"}),
    ("krakenfutures", {"worst": "2100"}, "limit", "2100", {"timeInForce": "ioc"}),
    ("krakenfutures", {"limit": "2000", "reduce_only": True}, "limit", "2000", {"reduceOnly": True}),
    ("krakenfutures", {"stop": "1900", "side": Side.SELL}, "market", None, {"triggerPrice": "1900"}),
    ("hyperliquid", {"limit": "2000", "tif": IOC}, "limit", "2000", {"timeInForce": "Ioc"}),
    ("hyperliquid", {"side": Side.SELL, "reduce_only": True}, "market", "2000", {"reduceOnly": True}),
    ("hyperliquid", {"side": Side.BUY, "reduce_only": True}, "market", "2001", {"reduceOnly": True}),
    ("binanceusdm", {"limit": "2000", "post_only": True}, "limit", "2000", {"postOnly": True}),
    ("binance", {"worst": "2100", "tif": FOK}, "limit", "2100", {"timeInForce": "FOK"}),
    ("gate", {"limit": "2100", "params": {"account": "spot"}}, "limit", "2100", {"account": "spot"}),
    # an exchange that is not in the table: where a Manner of the user's own says how it words them
    (
        "gate",
        {"worst": "2100", "params": {"account": "spot"}, "manner": Manner(ioc="IOC")},
        "limit",
        "2100",
        {"timeInForce": "IOC", "account": "spot"},
    ),
    ("gate", {"limit": "2000", "tif": FOK, "manner": Manner(fok="fok")}, "limit", "2000", {"timeInForce": "fok"}),
    ("gate", {"limit": "2000", "post_only": True, "manner": Manner(post_only=True)}, "limit", "2000", {"postOnly": True}),
]


@pytest.mark.parametrize(("exchange", "terms", "kind", "price", "more"), ASKED, ids=lambda value: str(value)[:40])
def test_how_it_is_sent(exchange: str, terms: dict[str, Any], kind: str, price: str | None, more: dict[str, Any]) -> None:
    request = sent(exchange, **dict(terms))
    assert (request.type, request.price, request.amount) == (kind, price, "1")
    assert request.params == {"clientOrderId": "own", **more}


REFUSED = [
    ("krakenfutures", {"limit": "2000", "tif": FOK}, "no orders that are FOK"),  # ccxt would send one that rests
    ("hyperliquid", {"limit": "2000", "tif": FOK}, "no orders that are FOK"),
    ("kraken", {"tif": FOK}, "needs a limit or a worst price"),
    ("kraken", {"side": Side.BUY, "reduce_only": True}, "never bought"),
    ("kraken", {"limit": "2000", "good_til": 90 * SECOND + 1}, "whole second"),
    ("krakenfutures", {"limit": "2000", "good_til": 90 * SECOND}, "not sent through ccxt"),
    ("binanceusdm", {"stop": "1900", "side": Side.SELL}, "stops are not sent"),
    ("gate", {"stop": "1900", "side": Side.SELL}, "stops are not sent"),
    ("hyperliquid", {"side": Side.SELL, "last": None}, "none of ETH/USDT:USDT was told yet"),
    ("gate", {"limit": "2000", "tif": IOC, "features": {"timeInForce": {"IOC": False}}}, "no orders that are IOC"),
    ("gate", {"limit": "2000", "post_only": True, "features": {"timeInForce": {"PO": False}}}, "no orders that are post-only"),
    ("kraken", {"stop": "1900", "features": {"stopLossPrice": False}}, "stops are not sent"),
    # of these ccxt says that they have them, and hands the word on as it stands: bitso, coinmate, luno and others let the order rest
    ("gate", {"limit": "2000", "tif": IOC}, r"no orders that are IOC .*manner=Manner\(ioc="),
    ("gate", {"limit": "2000", "tif": FOK}, r"no orders that are FOK .*manner=Manner\(fok="),
    ("gate", {"worst": "2100"}, r"no orders that are IOC .*manner=Manner\(ioc="),
    ("gate", {"limit": "2000", "post_only": True}, r"post-only .*manner=Manner\(post_only=True"),
    ("gate", {"limit": "2000", "tif": IOC, "manner": Manner(ioc="IOC"), "features": {"timeInForce": {"IOC": False}}}, "are IOC"),
    (
        "gate",
        {"limit": "2000", "post_only": True, "manner": Manner(post_only=True), "features": {"timeInForce": {"PO": False}}},
        "are post-only",
    ),
]


@pytest.mark.parametrize(("exchange", "terms", "why"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_an_exchange_has_no_words_for_is_refused_by_name(exchange: str, terms: dict[str, Any], why: str) -> None:
    with pytest.raises(Unsaid, match=why):
        sent(exchange, **dict(terms))


def test_steps_are_looked_at_here_because_ccxt_would_cut_them() -> None:
    known = names(swap(), exchange="binanceusdm")
    market = known.instrument("ETH/USDT:USDT")
    with pytest.raises(Unsaid, match=r"no multiple of the lot 0\.001"):
        sent("binanceusdm", qty=market.qty("1") + 1)
    with pytest.raises(Unsaid, match="would be sent as 0"):
        sent("binanceusdm", limit="2000", rounded=lambda what, symbol, text: "0" if what == "amount" else text)
    with pytest.raises(Unsaid, match=r"price 2000\.01 of ETH/USDT:USDT would be sent as 2000"):
        sent("binanceusdm", limit="2000.01", rounded=lambda what, symbol, text: text.split(".")[0])


@pytest.mark.parametrize(
    ("side", "worst", "price"), [(Side.BUY, "2000.07", "2000"), (Side.SELL, "2000.07", "2001"), (Side.BUY, "2000", "2000")]
)
def test_a_worst_price_is_brought_inward_to_what_an_exchange_takes(side: Side, worst: str, price: str) -> None:
    """Hyperliquid takes five significant digits, whatever the tick was when its markets were read."""
    request = sent(
        "hyperliquid", side=side, worst=worst, rounded=lambda what, symbol, text: text if "." not in text else text.split(".")[0]
    )
    assert request.price == price


def test_a_worst_price_between_ticks_is_brought_inward() -> None:
    known = names(spot(info={"tick_size": "0.25"}), currencies=CURRENCIES)
    market = known.instrument("ETH/USD")
    for side, wanted in ((Side.BUY, "2000"), (Side.SELL, "2000.25")):
        order = Order("quiet-1", "quiet", Place(market, side, market.qty("1")), 0, market.whole_price("2000.10"))
        request = request_of(
            order, market, known, manner_of("kraken"), "own", can=FEATURES.get, rounded=lambda a, b, text: text, last=None, params={}
        )
        assert request.price == wanted


def test_a_netted_exit_does_not_bear_the_flag_again() -> None:
    known = names(swap(), exchange="binanceusdm")
    market = known.instrument("ETH/USDT:USDT")
    place = Place(market, Side.SELL, market.qty("1"), reduce_only=True)
    for netted in (False, True):
        order = Order("quiet-1", "quiet", place, 0, netted=netted)
        said = request_of(
            order, market, known, manner_of("binanceusdm"), "own", can=FEATURES.get, rounded=lambda a, b, text: text, last=None, params={}
        )
        assert ("reduceOnly" in said.params) is not netted


@pytest.mark.parametrize(
    ("exchange", "length"), [("kraken", 36), ("krakenfutures", 36), ("binance", 36), ("hyperliquid", 34), ("gate", 36)]
)
def test_our_id_goes_there_and_back(exchange: str, length: int) -> None:
    ids = ClientIds()
    own = client_id(ids, manner_of(exchange), "quiet-77")
    assert len(own) == length and ids.order_id(own) == "quiet-77"


# -- what is said of an order --------------------------------------------------------------------------------------------

SAID = [
    ({"status": "open", "filled": "0", "amount": "1"}, OrderStatus.OPEN, "0"),
    ({"status": "open", "filled": "0.4", "amount": "1"}, OrderStatus.OPEN, "0.4"),
    ({"status": "closed", "filled": "1", "amount": "1"}, OrderStatus.FILLED, "1"),
    ({"status": "closed", "filled": "0.4", "amount": "1"}, OrderStatus.CANCELED, "0.4"),
    ({"status": "canceled", "filled": "0.4", "amount": "1"}, OrderStatus.CANCELED, "0.4"),
    ({"status": "expired", "filled": "0", "amount": "1"}, OrderStatus.CANCELED, "0"),
    ({"status": "canceled", "filled": "1", "amount": "1"}, OrderStatus.FILLED, "1"),
    ({"status": "open", "filled": "1", "amount": "1"}, OrderStatus.FILLED, "1"),
    ({"status": "rejected", "filled": None, "amount": None}, OrderStatus.REJECTED, "0"),
]


@pytest.mark.parametrize(("row", "status", "filled"), SAID)
def test_what_became_of_it(row: dict[str, Any], status: OrderStatus, filled: str) -> None:
    known = names(swap(), exchange="binanceusdm")
    market = known.instrument("ETH/USDT:USDT")
    report = report_of({"id": "7", **row}, "quiet-1", market, known, at=5, qty=market.qty("1"))
    assert report is not None
    assert (report.status, report.filled, report.venue_id) == (status, market.base(filled).units, "7")


def test_what_is_not_said_is_no_evidence() -> None:
    known = names(swap(), exchange="binanceusdm")
    market = known.instrument("ETH/USDT:USDT")
    assert report_of({"id": "7", "status": None, "filled": "1"}, "quiet-1", market, known, at=5, qty=1) is None
    with pytest.raises(InvalidAmount, match="how much of it was filled is not told"):
        report_of({"id": "7", "status": "closed", "filled": None}, "quiet-1", market, known, at=5, qty=1)


def test_the_end_of_an_order_is_told_with_its_time_and_reason() -> None:
    known = names(swap(), exchange="binanceusdm")
    market = known.instrument("ETH/USDT:USDT")
    row = {"id": "7", "status": "canceled", "filled": "0", "lastUpdateTimestamp": 1_700_000_000_123, "info": {"reason": "User requested"}}
    report = report_of(row, "quiet-1", market, known, at=5, qty=market.qty("1"))
    assert report is not None and (report.at, report.reason) == (1_700_000_000_123_000_000, "User requested")
