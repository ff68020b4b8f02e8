"""What Kraken's errors mean: for an order, for a question, and for the key that asked.

    what it says                        for an order        for a question    for the key
    the key, the nonce, a limit         nothing was done    no answer         a sign, and until when
    the order, the market, the money    rejected            rejected          -
    an outage, or a text not known      look: unknown       no answer         -

`RULES` is the table, by the beginning of Kraken's text; the longest that fits counts, and the text is kept as it came. What begins
with W is a warning beside a result. A text that nobody knows is an error that is not asked again, and never a success.

It knows no wire and no ring of keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

from ...errors import VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...keys import Sign
from ...market import MINUTE, SECOND
from ..wire import Reply, exact

__all__ = [
    "RULES",
    "Fault",
    "Kind",
    "KrakenRejected",
    "KrakenUnavailable",
    "KrakenUnknown",
    "Outcome",
    "Rule",
    "error_of",
    "fault_of",
    "outage",
    "read_envelope",
]

LOCKED_FOR = 15 * MINUTE
"""How long a temporary lockout is taken to last: today's documentation says minutes, an older one 15."""
MOST_SHOWN = 300


class Kind(StrEnum):
    """What went wrong, by who can mend it."""

    AUTH = "auth"
    """The key, or its signature, is wrong."""
    NONCE = "nonce"
    """The nonce is not above the last; the call was not processed."""
    LIMIT = "limit"
    """Too many calls of this key."""
    THROTTLED = "throttled"
    """Too many calls at once; again after a time that is said."""
    LOCKOUT = "lockout"
    """The account is locked for a time."""
    PERMISSION = "permission"
    """The key may not do this."""
    ACCOUNT = "account"
    """The account is disabled, locked or not confirmed."""
    REQUEST = "request"
    """The request itself is wrong."""
    MARKET = "market"
    """The market, or Kraken, takes no such orders now."""
    REJECT = "reject"
    """The order is refused."""
    ENGINE = "engine"
    """Too many orders for the trading engine: of the account and the pair, so another key does not help."""
    STATE = "state"
    """There is no such order, or no longer."""
    MARGIN = "margin"
    """Refused by the rules for margin and positions."""
    FUNDING = "funding"
    """Refused by the rules for deposits, withdrawals or the region."""
    OUTAGE = "outage"
    """Kraken could not; whether it did is not known."""
    STRANGE = "strange"
    """A text that is in no table."""


class Outcome(StrEnum):
    """What an error means for an order, or a cancel, that was sent."""

    REJECTED = "rejected"
    """Kraken understood, and said no."""
    UNAVAILABLE = "unavailable"
    """It was not processed."""
    UNKNOWN = "unknown"
    """It may have been done."""


@frozen
class Rule:
    """What a beginning of a text means. `again`: a question may be asked again, in time. `sign` is what the ring of keys is told;
    `rest` is for how many ns the key, or the account, rests, None where the ring decides.
    """

    kind: Kind
    order: Outcome
    again: bool = False
    sign: Sign | None = None
    rest: int | None = None


_NOT_DONE, _NO, _LOOK = Outcome.UNAVAILABLE, Outcome.REJECTED, Outcome.UNKNOWN
_INVALID = Rule(Kind.AUTH, _NOT_DONE, sign=Sign.INVALID)
_DENIED = Rule(Kind.PERMISSION, _NOT_DONE, sign=Sign.PERMISSION)
_BUSY = Rule(Kind.ACCOUNT, _NOT_DONE, again=True, sign=Sign.RATE_LIMITED)
_LOCKED = Rule(Kind.LOCKOUT, _NOT_DONE, sign=Sign.LOCKOUT, rest=LOCKED_FOR)
_ACCOUNT = Rule(Kind.ACCOUNT, _NOT_DONE)
_REQUEST = Rule(Kind.REQUEST, _NO)
_OUTAGE = Rule(Kind.OUTAGE, _LOOK, again=True)
_MARKET = Rule(Kind.MARKET, _NO)
_REJECT = Rule(Kind.REJECT, _NO)
_ENGINE = Rule(Kind.ENGINE, _NOT_DONE)
_MARGIN = Rule(Kind.MARGIN, _NO)
_STRANGE = Rule(Kind.STRANGE, _LOOK)

RULES: Mapping[str, Rule] = {
    "EAPI:Invalid key": _INVALID,
    "EAPI:Invalid signature": _INVALID,
    "EAPI:Invalid nonce": Rule(Kind.NONCE, _NOT_DONE, again=True, sign=Sign.NONCE),
    "EAPI:Rate limit exceeded": Rule(Kind.LIMIT, _NOT_DONE, again=True, sign=Sign.RATE_LIMITED),
    "EAPI:Bad request": Rule(Kind.REQUEST, _NO, sign=Sign.RATE_LIMITED),
    "EGeneral:Temporary lockout": _LOCKED,
    "EGeneral:Permission denied": _DENIED,
    "EAccount:Invalid permissions": _DENIED,
    "EGeneral:Invalid arguments": _REQUEST,
    "EGeneral:Unknown method": _REQUEST,
    "EGeneral:Internal error": _OUTAGE,
    "EDatabase:Internal error": _OUTAGE,
    "EQuery:Unknown asset": _REQUEST,
    "EQuery:Unknown asset pair": _REQUEST,
    "EQuery:Invalid asset pair": _REQUEST,
    "EService:Unavailable": _OUTAGE,
    "EService:Busy": _OUTAGE,
    "EService:Deadline elapsed": _OUTAGE,
    "EService:Timeout": _OUTAGE,
    "EService: Throttled": Rule(Kind.THROTTLED, _NOT_DONE, again=True, sign=Sign.RATE_LIMITED),
    "EService:Throttled": Rule(Kind.THROTTLED, _NOT_DONE, again=True, sign=Sign.RATE_LIMITED),
    "EService:Market in cancel_only mode": _MARKET,
    "EService:Market in post_only mode": _MARKET,
    "EService:Market in": _MARKET,
    "EOrder:Insufficient funds": _REJECT,
    "EOrder:Order minimum not met": _REJECT,
    "EOrder:Cost minimum not met": _REJECT,
    "EOrder:Tick size check failed": _REJECT,
    "EOrder:Invalid price": _REJECT,
    "EOrder:Invalid order": _REJECT,
    "EOrder:Post only order": _REJECT,
    "EOrder:Rate limit exceeded": _ENGINE,
    "EOrder:Domain rate limit exceeded": _ENGINE,
    "EOrder:Orders limit exceeded": Rule(Kind.ENGINE, _NO),
    "EOrder:Scheduled orders limit exceeded": Rule(Kind.ENGINE, _NO),
    "EOrder:Unknown order": Rule(Kind.STATE, _NO),
    "EOrder:Margin": _MARGIN,
    "EOrder:Positions limit exceeded": _MARGIN,
    "EOrder:Reduce only": _MARGIN,
    "EOrder:Cannot open position": _MARGIN,
    "EOrder:": _REJECT,
    "EAuth:Account temporary disabled": Rule(Kind.ACCOUNT, _NOT_DONE, sign=Sign.LOCKOUT, rest=LOCKED_FOR),
    "EAuth:Account unconfirmed": _ACCOUNT,
    "EAuth:Rate limit exceeded": _BUSY,
    "EAuth:Too many requests": _BUSY,
    "ETrade:User Locked": Rule(Kind.ACCOUNT, _NOT_DONE, sign=Sign.LOCKOUT, rest=LOCKED_FOR),
    "ESession:Invalid session": _ACCOUNT,
    "EFunding:": Rule(Kind.FUNDING, _NO),
    "EBM:limit exceeded": Rule(Kind.FUNDING, _NO),
}
"""Kraken's texts, by their beginning. What is said for a whole category stands under its name alone."""

_LONGEST_FIRST = sorted(RULES, key=len, reverse=True)
_THROTTLED_UNTIL = re.compile(r"Throttled: ?([0-9]{9,11})(?:\.[0-9]+)?$")


@frozen
class Fault:
    """One error of Kraken's: its text as it came, what it means, and until when (ns UTC) a key rests for it, None where it is not said."""

    text: str
    kind: Kind
    order: Outcome
    again: bool = False
    sign: Sign | None = None
    until: int | None = None


class _KrakenError(VenueError):
    """Holds the faults that Kraken told. `kinds` are theirs."""

    def __init__(self, message: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(fault.kind for fault in self.faults)

    @property
    def until(self) -> int | None:
        """When it is worth asking again, ns UTC, where Kraken said so."""
        return max((fault.until for fault in self.faults if fault.until is not None), default=None)

    @property
    def again(self) -> bool:
        """Whether a question may be asked again."""
        return all(fault.again for fault in self.faults)


class KrakenRejected(_KrakenError, VenueRejected):
    """Kraken understood and refused: nothing was done."""


class KrakenUnavailable(_KrakenError, VenueUnavailable):
    """It was not processed: nothing was done."""


class KrakenUnknown(_KrakenError, VenueUnknown):
    """It may have been done."""


def fault_of(text: str, now: int = 0) -> Fault:
    """What a text of Kraken's means; `now` is in ns UTC."""
    rule = next((RULES[prefix] for prefix in _LONGEST_FIRST if text.startswith(prefix)), _STRANGE)
    until = None if rule.rest is None else now + rule.rest
    if rule.kind is Kind.THROTTLED and (said := _THROTTLED_UNTIL.search(text)) is not None:
        until = int(said.group(1)) * SECOND
    return Fault(text[:MOST_SHOWN], rule.kind, rule.order, rule.again, rule.sign, until)


def outage(why: str, *, limit: bool = False) -> Fault:
    """What is no answer of Kraken's at all: a page in HTML, a status of 500 and more, JSON that is none. `limit`: status 429, which a
    gateway says before anything is processed.
    """
    if limit:
        return Fault(why[:MOST_SHOWN], Kind.LIMIT, Outcome.UNAVAILABLE, again=True, sign=Sign.RATE_LIMITED)
    return Fault(why[:MOST_SHOWN], Kind.OUTAGE, Outcome.UNKNOWN, again=True)


def read_envelope(reply: Reply, now: int = 0) -> tuple[Any, tuple[Fault, ...], tuple[str, ...]]:
    """A reply as (result, faults, warnings): with a fault there is no result to rely on, without one there is.

    Anything but an envelope `{"error": [...], "result": ...}` with a status below 500 is an outage.
    """
    if reply.status >= 500 or reply.status == 429:
        return None, (outage(f"status {reply.status}", limit=reply.status == 429),), ()
    try:
        envelope = exact(reply.text)
    except ValueError:
        return None, (outage(f"status {reply.status}, and no JSON"),), ()
    errors = envelope.get("error") if isinstance(envelope, dict) else None
    if not isinstance(errors, list) or not all(isinstance(text, str) for text in errors):
        return None, (outage(f"status {reply.status}, and no list of errors in it"),), ()
    warnings = tuple(text[:MOST_SHOWN] for text in errors if text.startswith("W"))
    faults = tuple(fault_of(text, now) for text in errors if not text.startswith("W"))
    if faults:
        return None, faults, warnings
    if reply.status not in (200, 201, 202) or envelope.get("result") is None:
        return None, (outage(f"status {reply.status}, neither an error nor a result"),), warnings
    return envelope["result"], (), warnings


_CLASSES: tuple[tuple[Outcome, type[KrakenUnknown] | type[KrakenUnavailable] | type[KrakenRejected]], ...] = (
    (Outcome.UNKNOWN, KrakenUnknown),
    (Outcome.UNAVAILABLE, KrakenUnavailable),
    (Outcome.REJECTED, KrakenRejected),
)


def error_of(what: str, faults: Iterable[Fault], *, order: bool) -> KrakenUnknown | KrakenUnavailable | KrakenRejected:
    """The error to raise for faults: for an order the worst of what they mean; for a question, which does nothing, no answer
    (`KrakenUnavailable`) unless Kraken refused it for what it says.
    """
    told = tuple(faults)
    text = f"{what}: {'; '.join(fault.text for fault in told)}"
    found = {fault.order for fault in told}
    worst = next(kind for outcome, kind in _CLASSES if outcome in found)
    if not order and worst is KrakenUnknown:
        worst = KrakenUnavailable
    return worst(text, told)
