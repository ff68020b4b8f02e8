"""The doctor: opens what is needed to look at a venue, has the driver's own `checkup` look, and closes it again.

    print(anyio.run(partial(kraken, ["ETH/USD"], keys=key)))

It is the one place that knows all drivers, and it imports each on demand. It trades nothing. What a venue does not answer is a
finding; what raises is wrong use: an exchange that there is none of, keys that are none, an extra that is not installed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import InvalidMarket, VenueUnavailable
from ..keys import KeyRing, KeySet, NoSecret, Rights, Secret
from ..keys.sources import SecretSource
from .checkup import Checkup, Look

__all__ = ["ccxt", "drift", "jupiter", "key_pair", "key_set", "kraken", "rows"]

ATTEMPTS = 3
"""How often a question is asked: somebody waits."""
PATIENCE = 15.0
"""For how many seconds a question waits where the venue counts too many."""
_HOST = re.compile(r"https?://[^/]+")


async def kraken(
    pairs: Iterable[str] = (),
    *,
    keys: KeyRing | KeySet | None = None,
    base_url: str | None = None,
    tier: str = "starter",
    transport: str = "httpx",
    timeout: float = 10.0,
    validate: bool = True,
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """Kraken spot; without keys what is public. `validate`: also have an order checked, and not placed, with each key that may trade.

    Raises `MissingExtra`, `InvalidMarket` for a tier or a URL that is none, `InvalidKey` for keys that are none.
    """
    from .kraken.checkup import checkup
    from .kraken.client import HOST, Client
    from .retry import Retry

    retry = Retry(attempts=ATTEMPTS)
    given: dict[str, Any] = {"base_url": base_url or HOST, "tier": tier, "transport": transport, "timeout": timeout, "clock": clock}
    async with Client(keys, retry=retry, patience=PATIENCE, **given) as client:
        return await checkup(client, pairs, validate=validate)


async def ccxt(
    exchange: Any,
    markets: Iterable[str] = (),
    *,
    keys: KeyRing | KeySet | None = None,
    base_url: str | None = None,
    sandbox: bool = False,
    config: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """An exchange by ccxt's id of it; without keys what is public. `base_url` stands in for its host in all addresses, and
    calls are not paced there.

    Raises `MissingExtra`, `VenueRejected` for an exchange that ccxt does not know, or that has no sandbox.
    """
    from .ccxt import Ccxt
    from .ccxt.checkup import checkup, isolation

    venue = Ccxt(exchange, [], keys=keys, sandbox=sandbox, config=config, poll=None, timeout=timeout, clock=clock)
    if base_url is not None:
        api = venue._line.exchange
        api.urls["api"], api.enableRateLimit = _moved(api.urls["api"], base_url.rstrip("/")), False
    look = Look(venue.name)
    try:
        await venue.aopen()
    except VenueUnavailable as error:
        look.bad("reached", f"could not be asked: {error}; nothing else was asked")
        await venue.aclose()
        return look.done(*isolation(venue._line.id))
    try:
        return await checkup(venue, markets)
    finally:
        await venue.aclose()


async def jupiter(
    rpc: str | Secret,
    wallet: str | None = None,
    *,
    key: Secret | None = None,
    base_url: str | None = None,
    jito: str | None = None,
    dexes: Iterable[str] = (),
    timeout: float = 10.0,
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """A wallet on Solana by its address, the node at `rpc`, and Jupiter. `jito` is a block engine: "" for the public one, or its URL,
    which then tells the tip floor too.

    Raises `MissingExtra`, `InvalidMarket` for an address or a URL that is none.
    """
    from .jito import FLOOR, MAINNET, Jito
    from .jupiter import HOST, JupiterApi
    from .jupiter.checkup import checkup
    from .retry import Retry
    from .solana import Rpc

    engine = None if jito is None else Jito(jito or MAINNET, floor_url=jito or FLOOR, timeout=timeout, attempts=ATTEMPTS)
    async with (
        Rpc(rpc, timeout=timeout, retry=Retry(attempts=ATTEMPTS)) as node,
        JupiterApi(base_url or HOST, key=key, timeout=timeout, attempts=ATTEMPTS, clock=clock) as api,
    ):
        try:
            return await checkup(node, wallet, api=api, jito=engine, dexes=dexes, clock=clock)
        finally:
            if engine is not None:
                await engine.aclose()


async def drift(
    rpc: str | Secret,
    deployment: str = "velocity",
    wallet: str | None = None,
    *,
    key: Secret | None = None,
    markets: Iterable[str] = (),
    jito: str | None = None,
    genesis: str | None = None,
    base_url: str | None = None,
    timeout: float = 10.0,
    clock: Callable[[], int] = time.time_ns,
) -> Checkup:
    """Drift v2 or Velocity by the name of the deployment, the node at `rpc`, and an authority's sub-accounts by its address.

    `key` is the wallet's key that shall sign: its address is looked at, it signs nothing, and without `wallet` it is the authority's.
    `genesis` is the hash that the chain must begin with, for a chain of one's own. `base_url` is not for this venue: the node is all
    that is asked. `jito` is as for `jupiter`.

    Raises `MissingExtra`, `InvalidMarket` for a deployment that there is none of, for an address or a URL that is none, `InvalidKey`
    for a key that is none.
    """
    from .drift import DEPLOYMENTS
    from .drift.checkup import checkup
    from .jito import FLOOR, MAINNET, Jito
    from .retry import Retry
    from .solana import Rpc, Signer

    if deployment not in DEPLOYMENTS:
        raise InvalidMarket(f"there is no deployment {deployment!r}: {', '.join(DEPLOYMENTS)}")
    if base_url is not None:
        raise InvalidMarket(f"{deployment} has no host of its own: its node is given by rpc")
    signs = None if key is None else str(Signer(key).address)
    owner = signs if wallet is None else wallet
    engine = None if jito is None else Jito(jito or MAINNET, floor_url=jito or FLOOR, timeout=timeout, attempts=ATTEMPTS)
    async with Rpc(rpc, timeout=timeout, retry=Retry(attempts=ATTEMPTS)) as node:
        try:
            return await checkup(
                node, DEPLOYMENTS[deployment], owner, key=signs, markets=markets, genesis=genesis, jito=engine, clock=clock
            )
        finally:
            if engine is not None:
                await engine.aclose()


def key_set(source: SecretSource, name: str, venue: str) -> KeySet:
    """The keys of that name from a source, `name.key`, `name.secret` and, if there is one, `name.passphrase`, to be looked at: they
    are taken for keys that may read, until the venue has said what they may. Raises what the source raises.
    """
    rights = Rights.of("read")
    try:
        return KeySet.load(source, name, venue=venue, passphrase=True, rights=rights)
    except NoSecret:
        return KeySet.load(source, name, venue=venue, rights=rights)


def key_pair(source: SecretSource, key: str, secret: str, venue: str) -> KeySet:
    """The keys that a source has under two names of their own, as `key_set` gives them."""
    return KeySet("main", venue=venue, api_key=source.get(key), secret=source.get(secret), rights=Rights.of("read"))


def rows(found: Checkup) -> list[dict[str, Any]]:
    """A checkup as rows for a program: findings, ways to keep money apart, and the verdict last."""
    said: list[dict[str, Any]] = [
        {"venue": found.venue, "kind": "finding", "grade": one.grade.value, "subject": one.subject, "text": one.text}
        for one in found.findings
    ]
    said += [
        {"venue": found.venue, "kind": "isolation", "way": one.kind, "offered": one.offered, "how": one.how, "fails": list(one.fails)}
        for one in found.isolation
    ]
    return [*said, {"venue": found.venue, "kind": "verdict", "fit": found.fit, "bad": len(found.bad)}]


def _moved(urls: Any, base: str) -> Any:
    """Addresses with another host, their paths kept."""
    if isinstance(urls, Mapping):
        return {name: _moved(url, base) for name, url in urls.items()}
    return _HOST.sub(lambda _: base, urls, count=1) if isinstance(urls, str) else urls
