"""How fast Kraken's API is spoken: this driver, krakenex and ccxt against one local exchange, in one run.

    python benchmarks/kraken.py [--calls 500] [--orders 200] [--runs 5]

The exchange is `sleeves.testing.kraken_server` in a process of its own, on a loopback socket, without limits; each client has an
account and a key of its own. What is timed, one call after the other:

    private calls    BalanceEx, signed: `Client.balance_ex` (exact decimals), krakenex's `query_private` (the parsed envelope, nothing
                     more), ccxt's `fetch_balance` (its unified dictionary); and bare httpx, which signs and parses and no more
    an order         AddOrder of a limit that rests, from the call to the answer: `Kraken.submit`, `query_private`, `create_order`
    Accepted         the same order, from the call of `Kraken.submit` to the event `Accepted` of `Kraken.events`; the others have no
                     events over REST: what they know, they know with the answer

Clients take turns, 20 calls each, within each run. Orders are canceled between the measurements, and that is not timed. krakenex is
given a counter for its nonces, because two of its calls within a millisecond would be refused. Prints the median of the runs, of
medians and 99th percentiles too, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import base64
import gc
import hashlib
import hmac
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from itertools import count
from typing import Any
from urllib.parse import urlencode

import anyio
import ccxt
import httpx
import krakenex

from sleeves.keys import KeySet, Rights, Secret
from sleeves.orders import Accepted, Order, Place, Side
from sleeves.testing.kraken_server import kraken_server
from sleeves.venues.kraken import Kraken
from sleeves.venues.kraken.client import Client, Tier

LIBRARIES = ("krakenex", "ccxt", "httpx", "uvicorn")
FREE = Tier("free", 1e9, 1e9, 1e9, 1e9, 1_000)
TERMS = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "price": "2000.00", "volume": "0.01"}
TURN = 20
"""So many calls of one client, then it is the next one's turn: what else the machine does meets all of them."""
SERVED = ("driver", "client", "krakenex", "ccxt", "httpx")


def serve() -> None:
    """The exchange, until its input ends."""
    money = {"USD": "1000000", "ETH": "10", "BTC": "1", "ETH.F": "1.25"}
    with kraken_server(pairs=["ETH/USD", "BTC/USD"], balances=money, tier=None) as exchange:
        for name in SERVED:
            exchange.add_account(name, money)
        keys = {name: exchange.add_key(name, account=name) for name in SERVED}
        told = {name: (key.api_key, key.secret) for name, key in keys.items()}
        print(json.dumps([exchange.url, exchange.socket_url, exchange.private_socket_url, told]), flush=True)
        sys.stdin.read()


class Bare:
    """Signs, sends and parses, and no more: what the socket and the exchange take by themselves."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self.http, self.key, self.secret = httpx.Client(base_url=url), key, base64.b64decode(secret)
        self.nonces = count(1)

    def call(self, method: str, **args: str) -> Any:
        nonce, path = str(next(self.nonces)), f"/0/private/{method}"
        body = urlencode({"nonce": nonce, **args}).encode()
        digest = hashlib.sha256(nonce.encode() + body).digest()
        sign = base64.b64encode(hmac.new(self.secret, path.encode() + digest, hashlib.sha512).digest()).decode()
        headers = {"API-Key": self.key, "API-Sign": sign, "Content-Type": "application/x-www-form-urlencoded"}
        told = self.http.post(path, content=body, headers=headers).json()
        assert told["error"] == [], told
        return told["result"]


class Krakenex:
    """krakenex as it is, but for the nonce."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self.api = krakenex.API(key, secret)
        self.api.uri = url
        self.api._nonce = partial(next, count(1))

    def call(self, method: str, **args: str) -> Any:
        told = self.api.query_private(method, args, timeout=10)
        assert told["error"] == [], told
        return told["result"]


def of_ccxt(url: str, key: str, secret: str) -> Any:
    client = ccxt.kraken(
        {"apiKey": key, "secret": secret, "enableRateLimit": False, "urls": {"api": {"public": url, "private": url}}, "number": str}
    )
    client.load_markets()
    return client


def key_set(key: str, secret: str) -> KeySet:
    return KeySet("bench", venue="kraken", api_key=Secret(key), secret=Secret(secret), rights=Rights.of("read", "trade"))


def of_driver(place: list[str], key: str, secret: str) -> Kraken:
    url, socket_url, private_url = place
    keys = key_set(key, secret)
    return Kraken(keys, ["ETH/USD"], base_url=url, socket_url=socket_url, private_socket_url=private_url, tier=FREE, dead_man=None)


async def each(n: int, ask: Callable[[], Awaitable[Any]]) -> list[int]:
    """Nanoseconds of each of so many calls."""
    took = []
    for _ in range(n):
        begun = time.perf_counter_ns()
        await ask()
        took.append(time.perf_counter_ns() - begun)
    return took


def plain(ask: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    async def asked() -> Any:
        return ask()

    return asked


class Accepts:
    """Reads the driver's events, and says when an order was accepted."""

    def __init__(self, venue: Kraken) -> None:
        self.venue = venue
        self.at: dict[str, int] = {}
        self.heard = anyio.Event()

    async def listen(self) -> None:
        async for event in self.venue.events():
            if isinstance(event, Accepted):
                self.at[event.order_id] = time.perf_counter_ns()
                self.heard.set()

    async def of(self, order: Order) -> int:
        while order.id not in self.at:
            self.heard = anyio.Event()
            await self.heard.wait()
        return self.at.pop(order.id)


async def orders_of_driver(venue: Kraken, accepts: Accepts, n: int, numbers: Any) -> tuple[list[int], list[int]]:
    """Nanoseconds from the call to the answer, and to the event."""
    market = venue.instrument("ETH/USD")
    place = Place(market, Side.BUY, market.qty("0.01"), limit=market.price("2000.00"))
    answered, accepted = [], []
    for _ in range(n):
        order = Order(f"bench-{next(numbers)}", "bench", place, time.time_ns(), place.limit)
        begun = time.perf_counter_ns()
        await venue.submit(order)
        answered.append(time.perf_counter_ns() - begun)
        accepted.append(await accepts.of(order) - begun)
        await venue.cancel(order)
    return answered, accepted


def orders_of_caller(caller: Bare | Krakenex, n: int) -> list[int]:
    took = []
    for _ in range(n):
        begun = time.perf_counter_ns()
        told = caller.call("AddOrder", **TERMS)
        took.append(time.perf_counter_ns() - begun)
        caller.call("CancelOrder", txid=told["txid"][0])
    return took


def orders_of_ccxt(client: Any, n: int) -> list[int]:
    took = []
    for _ in range(n):
        begun = time.perf_counter_ns()
        made = client.create_order("ETH/USD", "limit", "buy", "0.01", "2000.00")
        took.append(time.perf_counter_ns() - begun)
        client.cancel_order(made["id"])
    return took


async def measure(told: list[Any], calls: int, orders: int, runs: int) -> dict[str, list[list[int]]]:
    """All that was timed, by client and subject, a list for each run."""
    *place, keys = told
    url = place[0]
    bare, theirs, unified = Bare(url, *keys["httpx"]), Krakenex(url, *keys["krakenex"]), of_ccxt(url, *keys["ccxt"])
    found: dict[str, list[list[int]]] = {}
    numbers = count(1)
    client = Client(key_set(*keys["client"]), base_url=url, tier=FREE)
    async with client, of_driver(place, *keys["driver"]) as venue, anyio.create_task_group() as tasks:
        accepts = Accepts(venue)
        tasks.start_soon(accepts.listen)
        asks = {
            "this driver": lambda: client.balance_ex("bench"),
            "krakenex": plain(lambda: theirs.call("BalanceEx")),
            "ccxt": plain(unified.fetch_balance),
            "bare httpx": plain(lambda: bare.call("BalanceEx")),
        }
        for ask in asks.values():
            await each(20, ask)  # connections, caches
        for _ in range(runs):
            gc.collect()
            run: dict[str, list[int]] = {}
            for _ in range(calls // TURN):
                for name, ask in asks.items():
                    run.setdefault(f"{name}, calls", []).extend(await each(TURN, ask))
            for _ in range(orders // TURN):
                answered, accepted = await orders_of_driver(venue, accepts, TURN, numbers)
                run.setdefault("this driver, order", []).extend(answered)
                run.setdefault("this driver, Accepted", []).extend(accepted)
                run.setdefault("krakenex, order", []).extend(orders_of_caller(theirs, TURN))
                run.setdefault("ccxt, order", []).extend(orders_of_ccxt(unified, TURN))
                run.setdefault("bare httpx, order", []).extend(orders_of_caller(bare, TURN))
            for what, took in run.items():
                found.setdefault(what, []).append(took)
        tasks.cancel_scope.cancel()
    unified.session.close()
    theirs.api.close()
    bare.http.close()
    return found


def figures(runs: list[list[int]]) -> dict[str, float]:
    """Medians of the runs: calls a second, and milliseconds."""
    ordered = [sorted(run) for run in runs]
    return {
        "per_second": round(statistics.median(len(run) * 1e9 / sum(run) for run in ordered)),
        "median_ms": round(statistics.median(run[len(run) // 2] for run in ordered) / 1e6, 2),
        "p99_ms": round(statistics.median(run[len(run) * 99 // 100] for run in ordered) / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help="be the exchange, for the process that started this")
    args = parser.parse_args()
    if min(args.calls, args.orders) < TURN or args.runs < 1:
        parser.error(f"at least {TURN} calls, {TURN} orders and one run")
    if args.serve:
        serve()
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as exchange:
        assert exchange.stdin is not None
        assert exchange.stdout is not None
        try:
            told = json.loads(exchange.stdout.readline())
            found = anyio.run(measure, told, args.calls, args.orders, args.runs)
        finally:
            exchange.stdin.close()
    told_of = {what: figures(runs) for what, runs in found.items()}
    print(f"{args.calls} calls and {args.orders} orders a run, {args.runs} runs, median:")
    for what, one in told_of.items():
        print(f"  {what:24} {one['per_second']:6,} a second   median {one['median_ms']:6.2f} ms   p99 {one['p99_ms']:6.2f} ms")
    machine = {"python": platform.python_version(), "machine": platform.machine()} | {name: version(name) for name in LIBRARIES}
    print(json.dumps({"benchmark": "kraken", "calls": args.calls, "orders": args.orders, "runs": args.runs} | told_of | machine))


if __name__ == "__main__":
    main()
