"""The least Kraken that a client can be tried on: one key, its signature over the raw body, its nonces as they arrive, a table of answers.

    with tiny(answers) as kraken:
        Client(kraken.keys(), base_url=kraken.url)

`answers` maps a method to its result, to a function of the arguments that gives one, or to a list of such to be taken in turn. A
`Said` is an answer of another kind: errors, a status, a text, or silence. What came is in `kraken.calls`, and the nonces that were
refused in `kraken.refused`. It shares no code with the driver: the signature is made anew here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from contextlib import contextmanager
from urllib.parse import parse_qsl

from sleeves.keys import KeyRing, KeySet, Nonces, Rights, Secret
from sleeves.testing.serving import serve

SECRET = base64.b64encode(bytes(range(64))).decode()
KEY = "ThisIsTheKeyOfATest/0123456789"


class Said:
    """An answer that is no result: `errors`, or a `status` with a `text`; `silent`: none at all."""

    def __init__(self, *errors, status=200, text=None, silent=False, pause=0.0):
        self.errors, self.status, self.text, self.silent, self.pause = errors, status, text, silent, pause


class Tiny:
    def __init__(self, answers, *, jitter=0.0, api_key=KEY, secret=SECRET):
        self.answers = {name: list(said) if isinstance(said, list) else said for name, said in answers.items()}
        self.jitter, self.api_key, self.secret = random.Random(5), api_key, secret
        self.most = jitter
        self.calls, self.refused, self.last, self.flying, self.most_flying = [], [], -1, 0, 0
        self.url = ""

    def key(self, name="main", **terms):
        return KeySet(
            name, venue="kraken", api_key=Secret(self.api_key), secret=Secret(self.secret), rights=Rights.of("read", "trade"), **terms
        )

    def keys(self, *keys, clock=time.time_ns):
        return KeyRing(keys or [self.key()], clock=clock, nonces=Nonces(clock))

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        kind, name = scope["path"].removeprefix("/0/").split("/", 1)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if kind == "public":
            args = dict(parse_qsl(scope["query_string"].decode()))
            self.calls.append((name, args))
            said = self.take(name, args)
        else:
            await asyncio.sleep(self.jitter.uniform(0, self.most))
            said = await self.private(scope["path"], name, headers, body)
        if isinstance(said, Said):
            await asyncio.sleep(said.pause)
            if said.silent:
                await asyncio.sleep(60)
            status, text = said.status, said.text if said.text is not None else json.dumps({"error": list(said.errors)})
        else:
            status, text = 200, json.dumps({"error": [], "result": said})
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": text.encode()})

    async def private(self, path, name, headers, body):
        args = dict(parse_qsl(body.decode(), keep_blank_values=True))
        self.calls.append((name, args))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            if headers.get("api-key") != self.api_key:
                return Said("EAPI:Invalid key")
            message = path.encode() + hashlib.sha256(args.get("nonce", "").encode() + body).digest()
            wanted = base64.b64encode(hmac.new(base64.b64decode(self.secret), message, hashlib.sha512).digest()).decode()
            if headers.get("api-sign") != wanted:
                return Said("EAPI:Invalid signature")
            if int(args["nonce"]) <= self.last:
                self.refused.append(int(args["nonce"]))
                return Said("EAPI:Invalid nonce")
            self.last = int(args["nonce"])
            await asyncio.sleep(self.jitter.uniform(0, self.most))
            return self.take(name, args)
        finally:
            self.flying -= 1

    def take(self, name, args):
        if name not in self.answers:
            return Said("EGeneral:Unknown method")
        said = self.answers[name]
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        return said(args) if callable(said) else said

    def named(self, name):
        return [args for called, args in self.calls if called == name]


@contextmanager
def tiny(answers, **terms):
    kraken = Tiny(answers, **terms)
    with serve(kraken) as url:
        kraken.url = url
        yield kraken
