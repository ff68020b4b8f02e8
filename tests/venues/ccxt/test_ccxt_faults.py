"""What errors that ccxt raises are taken to mean: its classes, the exchanges' own words, and what never left."""

from __future__ import annotations

import pytest

from sleeves.keys import Sign
from sleeves.venues.ccxt.faults import CLASSES, WORDS, Kind, trouble_of

ccxt = pytest.importorskip("ccxt")
requests = pytest.importorskip("requests")

R, N, G, U = Kind.REFUSED, Kind.NOT_DONE, Kind.GONE, Kind.UNKNOWN

KRAKEN = [
    # reference: the error table of Kraken spot; class as ccxt 4.5 maps it, where it does not: a bare ExchangeError
    ("EAPI:Invalid key", ccxt.AuthenticationError, N, Sign.INVALID),
    ("EAPI:Invalid signature", ccxt.ExchangeError, N, Sign.INVALID),
    ("EAPI:Invalid nonce", ccxt.InvalidNonce, N, Sign.NONCE),
    ("EAPI:Rate limit exceeded", ccxt.DDoSProtection, N, Sign.RATE_LIMITED),
    ("EGeneral:Temporary lockout", ccxt.DDoSProtection, N, Sign.LOCKOUT),
    ("EGeneral:Permission denied", ccxt.PermissionDenied, N, Sign.PERMISSION),
    ("EGeneral:Invalid arguments:volume", ccxt.BadRequest, R, None),
    ("EGeneral:Internal error", ccxt.ExchangeNotAvailable, U, None),
    ("EService:Unavailable", ccxt.ExchangeNotAvailable, U, None),
    ("EService:Busy", ccxt.ExchangeNotAvailable, U, None),
    ("EService:Deadline elapsed", ccxt.ExchangeError, U, None),
    ("EService:Market in cancel_only mode", ccxt.ExchangeNotAvailable, R, None),
    ("EOrder:Insufficient funds", ccxt.InsufficientFunds, R, None),
    ("EOrder:Cost minimum not met", ccxt.ExchangeError, R, None),
    ("EOrder:Tick size check failed", ccxt.ExchangeError, R, None),
    ("EOrder:Orders limit exceeded", ccxt.ExchangeError, R, None),
    ("EOrder:Rate limit exceeded", ccxt.ExchangeError, N, None),
    ("EOrder:Post only order", ccxt.ExchangeError, R, None),
    ("EOrder:Unknown order", ccxt.InvalidOrder, G, None),
]


@pytest.mark.parametrize(("words", "raised", "kind", "sign"), KRAKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_krakens_own_words_count(words: str, raised: type[Exception], kind: Kind, sign: Sign | None) -> None:
    read = trouble_of("kraken", raised('kraken {"error":["' + words + '"]}'), sent=True)
    assert (read.kind, read.sign) == (kind, sign)
    assert words in read.text


def test_a_throttled_call_rests_until_the_exchange_says() -> None:
    read = trouble_of("kraken", ccxt.ExchangeError('kraken {"error":["EService: Throttled: 1790000060"]}'), sent=True)
    assert (read.kind, read.sign, read.until) == (N, Sign.RATE_LIMITED, 1_790_000_060 * 10**9)


OTHERS = [
    ("krakenfutures", ccxt.ExchangeError("krakenfutures: createOrder failed due to selfFill"), R, None),
    ("krakenfutures", ccxt.ExchangeNotAvailable("krakenfutures: createOrder failed due to marketSuspended"), R, None),
    ("krakenfutures", ccxt.ExchangeError("krakenfutures: createOrder failed due to wouldNotReducePosition"), R, None),
    ("krakenfutures", ccxt.OrderNotFound("krakenfutures: cancelOrder failed due to filled"), G, None),
    ("krakenfutures", ccxt.DuplicateOrderId("krakenfutures: createOrder failed due to clientOrderIdAlreadyExist"), U, None),
    ("krakenfutures", ccxt.AuthenticationError('{"result":"error","error":"authenticationError"}'), N, Sign.INVALID),
    ("hyperliquid", ccxt.InvalidOrder('{"status":"err","response":"User or API Wallet 0xb8 does not exist."}'), N, Sign.INVALID),
    ("hyperliquid", ccxt.InvalidOrder("Order could not immediately match against any resting orders. asset=0"), R, None),
    ("hyperliquid", ccxt.ExchangeError('{"status":"err","response":"something that nobody has seen"}'), U, None),
    ("hyperliquid", ccxt.OrderNotFound('{"status":"unknownOid"}'), G, None),
    ("binanceusdm", ccxt.InvalidNonce('binance {"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}'), N, None),
    ("binanceusdm", ccxt.RequestTimeout('binance {"code":-1007,"msg":"Timeout waiting for response from backend server."}'), U, None),
    ("binanceusdm", ccxt.InvalidOrder('binance {"code":-5022,"msg":"Due to the order could not be executed as maker"}'), R, None),
    (
        "binanceusdm",
        ccxt.DDoSProtection('binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'),
        N,
        Sign.PERMISSION,
    ),
    # an order of our own id is there already: whatever class ccxt makes of it, it may live
    ("binanceusdm", ccxt.InvalidOrder('binanceusdm {"code":-4116,"msg":"ClientOrderId is duplicated."}'), U, None),
    ("binanceusdm", ccxt.BadRequest('binanceusdm {"code":-4111,"msg":"clientTranId is duplicated"}'), U, None),
    ("binance", ccxt.InvalidOrder('binance {"code":-2010,"msg":"Duplicate order sent."}'), U, None),
    ("binance", ccxt.InsufficientFunds('binance {"code":-2010,"msg":"Account has insufficient balance."}'), R, None),
    ("gate", ccxt.InvalidOrder('gate {"label":"DUPLICATE_REQUEST"}'), U, None),
    ("gate", ccxt.BadRequest("gate client order id already exists"), U, None),
    # refusals of the futures' filters; and no code is taken for one that it only begins like
    ("binanceusdm", ccxt.ExchangeError('binanceusdm {"code":-4164,"msg":"notional must be no smaller than 5"}'), R, None),
    ("binanceusdm", ccxt.ExchangeError('binanceusdm {"code":-4003,"msg":"Quantity less than zero."}'), R, None),
    ("binanceusdm", ccxt.ExchangeError('binanceusdm {"code":-40031,"msg":"what nobody has seen"}'), U, None),
    ("binanceusdm", ccxt.ExchangeError('binanceusdm {"code":-4999,"msg":"what nobody has seen"}'), U, None),
    ("binance", ccxt.OrderNotFound('binance {"code": -2013, "msg": "Order does not exist."}'), G, None),
    ("gate", ccxt.InsufficientFunds("gate whatever"), R, None),
    ("gate", ccxt.ExchangeError("gate whatever"), U, None),
    ("gate", ccxt.BadResponse("gate whatever"), U, None),
    ("gate", ccxt.OnMaintenance("gate whatever"), U, None),
    ("gate", ccxt.RequestTimeout("gate POST"), U, None),
    ("gate", KeyError("id"), U, None),
]


@pytest.mark.parametrize(("exchange", "error", "kind", "sign"), OTHERS, ids=lambda value: str(value)[:50])
def test_other_exchanges(exchange: str, error: Exception, kind: Kind, sign: Sign | None) -> None:
    read = trouble_of(exchange, error, sent=True)
    assert (read.kind, read.sign) == (kind, sign)


def test_what_was_not_sent_was_not_done() -> None:
    for error in (ccxt.ExchangeError("x"), ccxt.NetworkError("x"), KeyError("x"), ValueError("x")):
        assert trouble_of("gate", error, sent=False).kind is N
        assert trouble_of("gate", error, sent=True).kind is U
    assert trouble_of("gate", ccxt.InvalidOrder("too small"), sent=False).kind is R
    assert trouble_of("gate", ccxt.AuthenticationError("requires apiKey"), sent=False).sign is None, "the exchange has said nothing"


def test_what_fails_behind_another_request_of_the_same_call_may_have_been_done() -> None:
    """Which of two requests was the order nobody knows: only of the first it is sure that nothing was done."""
    never = ccxt.RequestTimeout("gate POST")
    never.__cause__ = requests.exceptions.ConnectTimeout("connect timed out")
    for error, sign in ((never, None), (ccxt.RateLimitExceeded("gate 429"), Sign.RATE_LIMITED), (ccxt.InvalidNonce("gate"), Sign.NONCE)):
        assert [trouble_of("gate", error, sent=requests).kind for requests in (0, 1, 2, 3)] == [N, N, U, U]
        assert trouble_of("gate", error, sent=2).sign is sign, "what it says of the key stays"
    assert trouble_of("gate", ccxt.InsufficientFunds("gate"), sent=2).kind is R


def test_a_connection_that_never_came_about_sent_nothing() -> None:
    """What `requests` raises, really, where nobody listens; and its twin, where the answer was cut."""
    exchange = ccxt.kraken({"enableRateLimit": False, "urls": {"api": {"public": "http://127.0.0.1:9", "private": "http://127.0.0.1:9"}}})
    with pytest.raises(ccxt.NetworkError) as refused:
        exchange.fetch_time()
    assert trouble_of("kraken", refused.value, sent=True).kind is N
    cut = ccxt.NetworkError("kraken POST")
    cut.__cause__ = requests.exceptions.ConnectionError("Connection aborted.", ConnectionResetError(104, "reset"))
    assert trouble_of("kraken", cut, sent=True).kind is U
    slow = ccxt.RequestTimeout("kraken POST")
    slow.__cause__ = requests.exceptions.ReadTimeout("read timed out")
    assert trouble_of("kraken", slow, sent=True).kind is U
    never = ccxt.RequestTimeout("kraken POST")
    never.__cause__ = requests.exceptions.ConnectTimeout("connect timed out")
    assert trouble_of("kraken", never, sent=True).kind is N


def test_every_class_of_ccxt_means_something() -> None:
    """No class of this version falls through to nothing, so a new one is read as the one that it derives from."""
    kinds = [getattr(ccxt, name) for name in dir(ccxt) if isinstance(getattr(ccxt, name), type)]
    errors = [kind for kind in kinds if issubclass(kind, ccxt.BaseError) and kind is not ccxt.BaseError]
    assert len(errors) > 35
    for kind in errors:
        known = any(one.__name__ in CLASSES for one in kind.__mro__)
        assert known or kind.__name__ == "UnsubscribeError", kind
        assert trouble_of("gate", kind("x"), sent=True).kind in Kind


def test_the_longest_words_count() -> None:
    assert trouble_of("kraken", ccxt.ExchangeError('{"error":["EOrder:Rate limit exceeded"]}'), sent=True).sign is None
    assert all(word == word.strip() and word for words in WORDS.values() for word in words)


def test_values_and_queries_are_hidden() -> None:
    error = ccxt.ExchangeError("binance GET https://x/api?apiKey=abcd&signature=0011 said s3cr3t-value")
    read = trouble_of("binance", error, sent=True, hide=["s3cr3t-value"])
    assert "s3cr3t-value" not in read.text and "signature" not in read.text and "****" in read.text
    assert len(trouble_of("binance", ccxt.ExchangeError("x" * 5_000), sent=True).text) <= 300
