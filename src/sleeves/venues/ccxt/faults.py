"""What an error that ccxt raised means: whether anything was done at the exchange, and what it says of the key.

ccxt turns what an exchange answers into its own classes, and where it knows no class for it into a bare `ExchangeError`, whose
message has the exchange's own words. Both are read here, the words first, because they say more:

    REFUSED    the exchange understood and said no: nothing of it was done
    NOT_DONE   it was never sent, or was turned away before it was looked at
    GONE       the exchange has no such order, or no longer
    UNKNOWN    it was sent, or may have been, and nobody knows what became of it

What is in no table is UNKNOWN for what was sent: an order is looked for then, and never sent again. This module knows no
exchange object and no order; it is given an error, and keeps nothing of it but text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import evolve, frozen

from ...keys import HIDDEN, Sign
from ...market import SECOND

__all__ = ["CLASSES", "WORDS", "Kind", "Trouble", "trouble_of"]

MOST_TEXT = 300


class Kind(StrEnum):
    """What an error means for what was asked."""

    REFUSED = "refused"
    NOT_DONE = "not done"
    GONE = "gone"
    UNKNOWN = "unknown"


@frozen
class Trouble:
    """An error, read: what it means, in the exchange's own words, and what it says of the key. `until` is UTC ns."""

    kind: Kind
    text: str
    sign: Sign | None = None
    until: int | None = None


@frozen
class Rule:
    """What certain words mean."""

    kind: Kind
    sign: Sign | None = None


_REFUSED, _NOT_DONE, _GONE, _UNKNOWN = Rule(Kind.REFUSED), Rule(Kind.NOT_DONE), Rule(Kind.GONE), Rule(Kind.UNKNOWN)
_LIMITED = Rule(Kind.NOT_DONE, Sign.RATE_LIMITED)
_NONCE = Rule(Kind.NOT_DONE, Sign.NONCE)
_INVALID = Rule(Kind.NOT_DONE, Sign.INVALID)
_DENIED = Rule(Kind.NOT_DONE, Sign.PERMISSION)
_LOCKED = Rule(Kind.NOT_DONE, Sign.LOCKOUT)

CLASSES: Mapping[str, Rule] = {
    # the tree of ccxt.base.errors, from its leaves; the first class of an error's own that is here counts
    "AccountNotEnabled": _DENIED,
    "PermissionDenied": _DENIED,
    "AccountSuspended": _INVALID,
    "AuthenticationError": _INVALID,
    "ArgumentsRequired": _REFUSED,
    "BadSymbol": _REFUSED,
    "BadRequest": _REFUSED,
    "OperationRejected": _REFUSED,
    "InsufficientFunds": _REFUSED,
    "InvalidAddress": _REFUSED,
    "OrderNotFound": _GONE,
    "OrderNotCached": _GONE,
    "DuplicateOrderId": _UNKNOWN,
    "InvalidOrder": _REFUSED,
    "NotSupported": _REFUSED,
    "InvalidProxySettings": _NOT_DONE,
    "ExchangeError": _UNKNOWN,
    "DDoSProtection": _LIMITED,
    "RateLimitExceeded": _LIMITED,
    "ExchangeNotAvailable": _UNKNOWN,
    "ChecksumError": _UNKNOWN,
    "InvalidNonce": _NONCE,
    "RequestTimeout": _UNKNOWN,
    "NetworkError": _UNKNOWN,
    "OperationFailed": _UNKNOWN,
}
"""ccxt's classes. A duplicate client id says that the order is there already: it is looked for."""

_KRAKEN: Mapping[str, Rule] = {
    "EAPI:Invalid key": _INVALID,
    "EAPI:Invalid signature": _INVALID,
    "EAPI:Invalid nonce": _NONCE,
    "EAPI:Rate limit exceeded": _LIMITED,
    "EAPI:Bad request": _REFUSED,
    "EGeneral:Temporary lockout": _LOCKED,
    "EGeneral:Permission denied": _DENIED,
    "EAccount:Invalid permissions": _DENIED,
    "EGeneral:Invalid arguments": _REFUSED,
    "EGeneral:Unknown method": _REFUSED,
    "EQuery:Unknown asset": _REFUSED,
    "EQuery:Invalid asset pair": _REFUSED,
    "EGeneral:Internal error": _UNKNOWN,
    "EDatabase:Internal error": _UNKNOWN,
    "EService:Unavailable": _UNKNOWN,
    "EService:Busy": _UNKNOWN,
    "EService:Deadline elapsed": _UNKNOWN,
    "EService: Throttled": _LIMITED,
    "EService:Market in": _REFUSED,
    "EOrder:Unknown order": _GONE,
    "EOrder:Rate limit exceeded": _NOT_DONE,
    "EOrder:Domain rate limit exceeded": _NOT_DONE,
    "EOrder:Orders limit exceeded": _REFUSED,
    "EOrder:Scheduled orders limit exceeded": _REFUSED,
    "EOrder:Positions limit exceeded": _REFUSED,
    "EOrder:Insufficient funds": _REFUSED,
    "EOrder:Insufficient initial margin": _REFUSED,
    "EOrder:Insufficient margin": _REFUSED,
    "EOrder:Order minimum not met": _REFUSED,
    "EOrder:Cost minimum not met": _REFUSED,
    "EOrder:Tick size check failed": _REFUSED,
    "EOrder:Invalid price": _REFUSED,
    "EOrder:Invalid order": _REFUSED,
    "EOrder:Post only order": _REFUSED,
    "EOrder:Margin": _REFUSED,
    "EOrder:Reduce only": _REFUSED,
    "EOrder:Cannot open": _REFUSED,
    "EAuth:Account temporary disabled": _INVALID,
    "EAuth:Account unconfirmed": _INVALID,
    "EAuth:Rate limit exceeded": _LIMITED,
    "EAuth:Too many requests": _LIMITED,
    "ETrade:User Locked": _LOCKED,
    "ESession:Invalid session": _NOT_DONE,
    "EFunding:": _REFUSED,
    "EBM:limit exceeded": _REFUSED,
}

_FUTURES: Mapping[str, Rule] = {
    # how `sendorder` and `cancelorder` say no beside a `success`, as ccxt words it
    "due to invalidOrderType": _REFUSED,
    "due to selfFill": _REFUSED,
    "due to tooManySmallOrders": _REFUSED,
    "due to maxPositionViolation": _REFUSED,
    "due to marketSuspended": _REFUSED,
    "due to marketInactive": _REFUSED,
    "due to wouldNotReducePosition": _REFUSED,
    "due to clientOrderIdTooLong": _REFUSED,
    "due to filled": _GONE,
    "due to notFound": _GONE,
    "apiLimitExceeded": _LIMITED,
    "authenticationError": _INVALID,
    "nonceBelowThreshold": _NONCE,
    "nonceDuplicate": _NONCE,
    "insufficientFunds": _REFUSED,
    "INSUFFICIENT_MARGIN": _REFUSED,
    "marketUnavailable": _REFUSED,
    "accountInactive": _REFUSED,
    "Json Parse Error": _REFUSED,
}

_HYPERLIQUID: Mapping[str, Rule] = {
    "User or API Wallet": _INVALID,
    "Must deposit before performing actions": _REFUSED,
    "Invalid nonce": _NONCE,
    "Too many cumulative requests sent": _LIMITED,
    "Order must have minimum value": _REFUSED,
    "Insufficient margin": _REFUSED,
    "Reduce only order would increase position": _REFUSED,
    "Post only order would have immediately matched": _REFUSED,
    "Order could not immediately match": _REFUSED,
    "Price must be divisible by tick size": _REFUSED,
    "Order has invalid size": _REFUSED,
    "Order was never placed, already canceled, or filled": _GONE,
}

_NO_ORDER = (
    # filters and states by which Binance's futures turn an order down before there is one
    *(4001, 4002, 4003, 4004, 4005, 4006, 4007, 4013, 4014, 4015, 4016, 4023, 4024, 4061, 4087, 4088, 4089, 4112, 4113, 4118, 4131),
    *(4140, 4141, 4164, 4183, 4184, 4192, 4400, 4401, 4402),
)

_BINANCE: Mapping[str, Rule] = {
    **{f'"code":-{code}': _REFUSED for code in _NO_ORDER},
    "Duplicate order sent": _UNKNOWN,  # a -2010, like every other refusal of the spot market's
    '"code":-4111': _UNKNOWN,  # these three: our own id is there already
    '"code":-4115': _UNKNOWN,
    '"code":-4116': _UNKNOWN,
    '"code":-1003': _LIMITED,
    '"code":-1006': _UNKNOWN,
    '"code":-1007': _UNKNOWN,
    '"code":-1015': _NOT_DONE,
    '"code":-1021': _NOT_DONE,
    '"code":-1022': _INVALID,
    '"code":-2011': _GONE,
    '"code":-2013': _GONE,
    '"code":-2014': _INVALID,
    '"code":-2015': _DENIED,  # it may be the key, its address, or what was asked: the least of these is taken
    '"code":-2018': _REFUSED,
    '"code":-2019': _REFUSED,
    '"code":-2021': _REFUSED,
    '"code":-2022': _REFUSED,
    '"code":-2027': _REFUSED,
    '"code":-2028': _REFUSED,
    '"code":-5021': _REFUSED,
    '"code":-5022': _REFUSED,
}

WORDS: Mapping[str, Mapping[str, Rule]] = {
    "kraken": _KRAKEN,
    "krakenfutures": _FUTURES,
    "hyperliquid": _HYPERLIQUID,
    "binance": _BINANCE,
    "binanceusdm": _BINANCE,
}
"""An exchange's own words, by its id; the longest that a message has counts. A clock that is off is no fault of the key."""

_TWICE = re.compile(r"duplicat|already.?exist", re.IGNORECASE)
"""Words of an exchange that has an order under our id already: whatever else they are taken for, the order may live."""

_THROTTLED = re.compile(r"EService:\s*Throttled:\s*([0-9]{9,11})")
_QUERY = re.compile(r"\?[^\s\"']*")


def trouble_of(exchange: str, error: BaseException, *, sent: bool | int, hide: Iterable[str] = ()) -> Trouble:
    """Read an error that ccxt raised. `sent` says whether a request had left, or how many had; `hide` are values that no text may have.

    An error of none of ccxt's classes, such as one of its parsers' own, is UNKNOWN once something was sent. So is what was turned
    away, or never left, behind another request of the same call: which of the two was the order, nobody knows.
    """
    trouble = _read(exchange, error, bool(sent), hide)
    if trouble.kind is Kind.NOT_DONE and sent > 1:
        return evolve(trouble, kind=Kind.UNKNOWN)
    if trouble.kind is Kind.REFUSED and sent and _TWICE.search(_text(error, ())):
        return evolve(trouble, kind=Kind.UNKNOWN)
    return trouble


def _read(exchange: str, error: BaseException, sent: bool, hide: Iterable[str]) -> Trouble:
    whole = _text(error, hide)
    text = whole[:MOST_TEXT]
    if _never_left(error):
        return Trouble(Kind.NOT_DONE, text)
    words, read = WORDS.get(exchange, {}), whole.replace('": ', '":')
    found = max((word for word in words if _says(read, word)), key=len, default="")
    if found and sent:
        rule = words[found]
        throttled = _THROTTLED.search(read)
        return Trouble(rule.kind, text, rule.sign, int(throttled.group(1)) * SECOND if throttled else None)
    for one in type(error).__mro__:
        if one.__module__.startswith("ccxt.") and one.__name__ in CLASSES:
            rule = CLASSES[one.__name__]
            if not sent and rule.kind is Kind.UNKNOWN:
                return Trouble(Kind.NOT_DONE, text)
            return Trouble(rule.kind, text, rule.sign if sent else None)
    return Trouble(Kind.UNKNOWN if sent else Kind.NOT_DONE, text)


def _says(text: str, word: str) -> bool:
    """Whether a text has a word; one that ends in a digit as a whole number only."""
    return re.search(re.escape(word) + r"(?![0-9])", text) is not None if word[-1:].isdigit() else word in text


def _never_left(error: BaseException) -> bool:
    """Whether no connection ever came about, so that nothing can have been sent."""
    cause = error.__cause__
    for _ in range(4):
        if cause is None:
            return False
        if type(cause).__name__ in ("ConnectTimeout", "NewConnectionError", "ConnectTimeoutError", "NameResolutionError"):
            return True
        inner = getattr(cause, "reason", None) or next(iter(getattr(cause, "args", ())), None)
        cause = inner if isinstance(inner, BaseException) else None
    return False


def _text(error: BaseException, hide: Iterable[str]) -> str:
    """What it says, without queries of addresses and without what is to be hidden."""
    text = f"{type(error).__name__}: {error}"
    for value in hide:
        if len(value) >= 4:
            text = text.replace(value, HIDDEN)
    return _QUERY.sub("", text)
