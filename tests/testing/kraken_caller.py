"""Calls of Kraken's API over a socket, signed by what its documentation says and by nothing of the server's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from itertools import count
from urllib.parse import urlencode

import httpx

OFFICIAL_SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
"""The secret of the vector in Kraken's documentation."""


def sign(secret: str, path: str, nonce: str, body: bytes) -> str:
    inner = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(base64.b64decode(secret), path.encode() + inner, hashlib.sha512).digest()).decode()


class Caller:
    """One key's calls. Nonces count up from one unless they are given."""

    def __init__(self, exchange, key=None, *, timeout=5.0):
        self.exchange = exchange
        self.key = key or exchange.key
        self.http = httpx.Client(base_url=exchange.url, timeout=timeout)
        self._nonces = count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def send(self, method, args=None, *, nonce=None, as_json=False, secret=None, order=None, api_key=None):
        """The reply to a private call, as it came."""
        nonce = str(next(self._nonces) if nonce is None else nonce)
        fields = {"nonce": nonce, **(args or {})}
        if order is not None:
            fields = {name: fields[name] for name in order}
        body = (json.dumps(fields) if as_json else urlencode(fields)).encode()
        path = f"/0/private/{method}"
        headers = {
            "API-Key": self.key.api_key if api_key is None else api_key,
            "API-Sign": sign(secret or self.key.secret, path, nonce, body),
            "Content-Type": "application/json" if as_json else "application/x-www-form-urlencoded",
        }
        return self.http.post(path, content=body, headers=headers)

    def whole(self, method, **args):
        """The envelope of a private call."""
        reply = self.send(method, {name.rstrip("_"): value for name, value in args.items()})
        assert reply.status_code == 200
        return reply.json()

    def call(self, method, **args):
        """The result of a private call that must go well."""
        told = self.whole(method, **args)
        assert told["error"] == [], told
        return told["result"]

    def error(self, method, **args):
        """The error of a private call that must be refused, or nothing."""
        told = self.whole(method, **args)
        return told["error"][0] if told["error"] else ""

    def public(self, method, **args):
        told = self.http.get(f"/0/public/{method}", params=args).json()
        assert told["error"] == [], told
        return told["result"]

    def public_error(self, method, **args):
        told = self.http.get(f"/0/public/{method}", params=args).json()
        return told["error"][0] if told["error"] else ""

    def buy(self, volume="0.1", price=None, **terms):
        """An AddOrder of ETHUSD, at market or at a limit."""
        return self.order("buy", volume, price, **terms)

    def sell(self, volume="0.1", price=None, **terms):
        return self.order("sell", volume, price, **terms)

    def order(self, side, volume, price=None, **terms):
        usual = {"pair": "ETHUSD", "type": side, "ordertype": "market" if price is None else "limit", "volume": volume}
        usual |= {} if price is None else {"price": price}
        return self.call("AddOrder", **usual | terms)["txid"][0]

    def state(self, txid):
        return self.call("QueryOrders", txid=txid, trades="true")[txid]


class Clock:
    """A clock that the test moves."""

    def __init__(self, now=1_790_000_000_000_000_000):
        self.now = now

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += round(seconds * 1_000_000_000)
