"""The keys of the local exchange: who signs, with which nonce, and what the key may do.

The signature is checked on the very bytes that came. What a call does is not known here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import deque
from hashlib import sha256, sha512
from typing import Any

from attrs import define, field

from .limits import Counter, Tier
from .wire import Refused

__all__ = ["LOCKOUT", "PERMISSIONS", "TRADING", "Key", "Strangers", "signature"]

SECOND = 1_000_000_000
LOCKOUT = 15 * 60.0
"""Seconds that a lockout lasts."""
_MOST_STRANGERS = 1_000

_QUERY_ORDERS = ("query-open-trades", "query-closed-trades")
_CANCEL = ("modify-trades", "close-trades")
PERMISSIONS: dict[str, tuple[str, ...]] = {
    "Balance": ("query-funds",),
    "BalanceEx": ("query-funds",),
    "TradeBalance": ("query-funds",),
    "TradeVolume": ("query-funds",),
    "OpenOrders": ("query-open-trades",),
    "ClosedOrders": ("query-closed-trades",),
    "QueryOrders": _QUERY_ORDERS,
    "TradesHistory": ("query-closed-trades",),
    "QueryTrades": ("query-closed-trades",),
    "Ledgers": ("query-ledger",),
    "QueryLedgers": ("query-ledger",),
    "AddOrder": ("modify-trades",),
    "AddOrderBatch": ("modify-trades",),
    "CancelOrder": _CANCEL,
    "CancelOrderBatch": _CANCEL,
    "CancelAll": _CANCEL,
    "CancelAllOrdersAfter": _CANCEL,
    "GetWebSocketsToken": ("create-ws-token",),
    "GetApiKeyInfo": (),
}
"""By method, the permissions of which one is enough; none: every key may."""

TRADING = frozenset(
    {"query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades", "query-ledger", "create-ws-token"}
)
"""What a key needs to query and to trade, and no more."""


def signature(secret: str, path: str, nonce: str, body: bytes) -> str:
    """API-Sign of a call: base64 of HMAC-SHA512 over the path and the SHA-256 of nonce and body."""
    digest = sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(base64.b64decode(secret), path.encode() + digest, sha512).digest()).decode()


@define(eq=False)
class Key:
    """A key of an account. `expires` and the times are nanoseconds; 0: never. `addresses` are told, and not enforced."""

    name: str
    api_key: str
    secret: str = field(repr=False)
    permissions: frozenset[str] = TRADING
    nonce_window: int = 0
    account: str = "main"
    tier: Tier | None = None
    expires: int = 0
    addresses: tuple[str, ...] = ()
    created: int = 0
    revoked: bool = False
    last_used: int = 0
    highest: int = 0
    """The highest nonce so far."""
    counter: Counter = field(factory=Counter)
    strikes: int = 0
    """How often in a row it was refused as unknown or wrongly signed."""
    _seen: deque[int] = field(factory=lambda: deque(maxlen=10_000), repr=False)

    @classmethod
    def made(cls, name: str, **terms: Any) -> Key:
        """A key with values of Kraken's form, that its name decides."""
        public = base64.b64encode(sha512(f"key {name}".encode()).digest()[:42]).decode()
        secret = base64.b64encode(sha512(f"secret {name}".encode()).digest()).decode()
        return cls(name, terms.pop("api_key", None) or public, terms.pop("secret", None) or secret, **terms)

    def signed(self, path: str, nonce: str, body: bytes, sign: str) -> bool:
        try:
            return hmac.compare_digest(signature(self.secret, path, nonce, body), sign)
        except (TypeError, binascii.Error):
            return False

    def take_nonce(self, text: str) -> None:
        """Judge a nonce as it arrives. Raises `Refused` for one that does not rise, the window aside, or is no number of 64 bits."""
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 64:
            raise Refused("EAPI:Invalid nonce")
        nonce = int(text)
        if nonce <= self.highest - self.nonce_window or (nonce <= self.highest and (not self.nonce_window or nonce in self._seen)):
            raise Refused("EAPI:Invalid nonce")
        self.highest = max(self.highest, nonce)
        self._seen.append(nonce)

    def info(self) -> dict[str, Any]:
        """The answer of GetApiKeyInfo."""
        return {
            "apiKeyName": self.name,
            "apiKey": self.api_key,
            "nonce": str(self.highest),
            "nonceWindow": self.nonce_window,
            "permissions": sorted(self.permissions),
            "iban": "AA00 N00G TEST 0000",
            "validUntil": str(self.expires // SECOND),
            "queryFrom": "0",
            "queryTo": "0",
            "createdTime": str(self.created // SECOND),
            "modifiedTime": str(self.created // SECOND),
            "ipAllowlist": list(self.addresses),
            "lastUsed": str(self.last_used // SECOND),
        }


class Strangers:
    """Keys that nobody knows, and how often each was tried: whoever does not stop is locked out, as with a key that is known."""

    def __init__(self) -> None:
        self._tried: dict[str, tuple[int, int]] = {}
        """Tries since the last lockout, and until when it lasts."""

    def refuse(self, name: str, now: int, most: int) -> str:
        """What a call with a key that nobody knows is answered; the `most`-th in a row begins a lockout."""
        tries, until = self._tried.pop(name, (0, 0))
        locked = now < until
        if not locked and (tries := tries + 1) >= most:
            tries, until = 0, now + int(LOCKOUT * SECOND)
        while len(self._tried) >= _MOST_STRANGERS:
            del self._tried[next(iter(self._tried))]
        self._tried[name] = tries, until
        return "EGeneral:Temporary lockout" if locked else "EAPI:Invalid key"
