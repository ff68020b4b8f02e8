"""Jito's block engine: bundles of transactions that land together or not at all, for a tip.

A bundle that was accepted has not landed: the chain says what landed, and statuses are only asked to know when to try again. A
tip is a transfer to one of the engine's tip accounts inside of a transaction, so it is paid wherever that transaction lands.

    send_bundle         up to five signed transactions                   accepted is not landed
    inflight_statuses   Invalid, Pending, Failed, Landed                 the last five minutes; Invalid is normal right after sending
    bundle_statuses     where it landed, and whether with an error       nothing for one that has not landed
    tip_floor           what landed bundles have paid, in lamports       told in SOL by another host, kept exactly

It holds no key, signs nothing, and decides nothing but how high a tip may be at most: `tip_for`.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from ..errors import InvalidAmount, InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ..keys import Secret
from ..money import PPM
from .rate import Bucket
from .retry import Reading, Retry
from .wire import Reply, Wire

__all__ = [
    "BUNDLES",
    "FLOOR",
    "LEAST_TIP",
    "MAINNET",
    "MOST_IN_BUNDLE",
    "TIP_ACCOUNTS",
    "Bundle",
    "Inflight",
    "Jito",
    "Landing",
    "TipFloor",
    "bundles_first",
    "tip_for",
]

log = logging.getLogger("sleeves.venues.jito")
log.addHandler(logging.NullHandler())

BUNDLES = 3
"""How often a transaction is tried as a bundle before it goes through a node."""
MAINNET = "https://mainnet.block-engine.jito.wtf"
FLOOR = "https://bundles.jito.wtf"
"""Another host than the block engine, and no JSON-RPC."""
TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)
"""The engine's tip accounts on the main chain, as it has published them."""
LEAST_TIP = 1_000
"""Lamports below which the engine takes no bundle."""
MOST_IN_BUNDLE = 5
MOST_ASKED = 5
"""The most bundles that one question may be about."""
_LAMPORTS = 10**9
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Inflight(StrEnum):
    """What the engine says of a bundle of the last five minutes."""

    INVALID = "Invalid"
    """It does not know the bundle, or not yet."""
    PENDING = "Pending"
    FAILED = "Failed"
    """Every region has given it up. Its transactions may still land by another way."""
    LANDED = "Landed"


@frozen(order=False)
class Landing:
    """What the engine says of one bundle: its status, and the slot where it landed."""

    id: str
    status: Inflight
    slot: int | None


@frozen(order=False)
class Bundle:
    """A bundle that landed: the signatures in it, where, how sure that is, and its error; None for none."""

    id: str
    transactions: tuple[str, ...]
    slot: int
    confirmation: str
    err: object | None


@frozen(order=False)
class TipFloor:
    """Tips of bundles that have landed lately, by percentile, in lamports, exactly as told; `at` is in UTC nanoseconds."""

    at: int
    p25: Fraction
    p50: Fraction
    p75: Fraction
    p95: Fraction
    p99: Fraction
    ema50: Fraction

    def lamports(self, percentile: int) -> int:
        """A percentile in whole lamports, rounded up. Raises `InvalidAmount` for one that is not told."""
        known = {25: self.p25, 50: self.p50, 75: self.p75, 95: self.p95, 99: self.p99}
        if type(percentile) is not int or percentile not in known:
            raise InvalidAmount(f"percentile {percentile!r} of tips is none of {', '.join(map(str, known))}")
        value = known[percentile]
        return -(-value.numerator // value.denominator)


def bundles_first(jito: Jito, send: Callable[[bytes, bool], Awaitable[object]]) -> Callable[[bytes, int], Awaitable[None]]:
    """Three times as a bundle, then through a node by `send(raw, skip_preflight)`. The same bytes each time: they land once.

    What is returned takes a signed transaction and how often it was sent before. It raises `VenueUnavailable` where a bundle was
    not taken and another try is left, and what `send` raises.
    """

    async def broadcast(raw: bytes, times: int) -> None:
        if times < BUNDLES:
            try:
                await jito.send_bundle([raw])
            except VenueUnknown:
                raise
            except VenueError as error:
                log.info("no bundle: %s", error)
                if times + 1 < BUNDLES:
                    raise VenueUnavailable(f"no bundle: {error}") from None
            else:
                return
        await send(raw, times >= BUNDLES)

    return broadcast


def tip_for(expected: int, *, share: int, most: int, least: int = LEAST_TIP) -> int:
    """The tip in lamports for an expected profit in lamports: min(most, max(least, share x expected)); 0: send no bundle.

    `share` is in parts per million. It is never above the expected profit: where the least tip is, or where `most` is below the
    least, nothing is tipped. Raises `InvalidAmount` for what is no whole number in its range.
    """
    for what, value, low, high in (("share", share, 0, PPM), ("most", most, 0, None), ("least", least, 1, None)):
        if type(value) is not int or value < low or (high is not None and value > high):
            raise InvalidAmount(
                f"{what} {value!r} of a tip must be a whole number of at least {low}" + (f", at most {high}" if high else "")
            )
    if type(expected) is not int:
        raise InvalidAmount(f"the expected profit {expected!r} must be whole lamports")
    tip = min(most, max(least, expected * share // PPM))
    return tip if least <= tip <= expected else 0


class Jito:
    """One block engine. It does no I/O before its first call; `async with` it, or close it with `aclose`.

    `auth` goes as the header `x-jito-auth`. The engine takes one request a second of one address, so calls wait for each other
    (`per_second`); `attempts` is how often a question is asked. `tip_accounts` are those that may be tipped: of what the engine
    names, no other is believed. None: those that are known, for an engine under jito.wtf, else whatever it names. Raises
    `InvalidMarket` for a URL that is none, and for no tip account at all.

    Questions raise `VenueUnavailable`. `send_bundle` says what it raises.
    """

    def __init__(
        self,
        base_url: str = MAINNET,
        *,
        floor_url: str = FLOOR,
        auth: Secret | None = None,
        per_second: float = 1.0,
        timeout: float = 10.0,
        attempts: int = 3,
        tip_accounts: Iterable[str] | None = None,
    ) -> None:
        public = (urlsplit(base_url).hostname or "").endswith("jito.wtf")
        self._may_be_tipped = tuple(tip_accounts) if tip_accounts is not None else TIP_ACCOUNTS if public else None
        if self._may_be_tipped == ():
            raise InvalidMarket("tip_accounts of a block engine are at least one; None believes the engine")
        if auth is not None and not isinstance(auth, Secret):
            raise InvalidMarket("auth of a block engine is a keys.Secret")
        self._wire = Wire(base_url, timeout=timeout, extra="jupiter")
        self._floor = Wire(floor_url, timeout=timeout, extra="jupiter")
        self._auth = auth
        self._bucket = Bucket(1, per_second, name="jito")
        self._retry = Retry(attempts=attempts)
        self._tip_accounts: tuple[str, ...] = ()
        self._n = 0

    async def aopen(self) -> None:
        """Nothing has to be opened."""

    async def aclose(self) -> None:
        await self._wire.aclose()
        await self._floor.aclose()

    async def __aenter__(self) -> Jito:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    # -- bundles -------------------------------------------------------------------------------------------------------------

    async def send_bundle(self, transactions: Sequence[bytes]) -> str:
        """Hand in signed transactions, in order, and return the bundle's id. One attempt. Accepted is not landed.

        Raises `VenueRejected` where the engine said no, `VenueUnavailable` where it was not reached or is asked too often, and
        `VenueUnknown` where the answer is lost; `InvalidMarket` for anything but one to five transactions.
        """
        raws = list(transactions)
        if not 1 <= len(raws) <= MOST_IN_BUNDLE or not all(isinstance(raw, bytes) and raw for raw in raws):
            raise InvalidMarket(f"a bundle is of 1 to {MOST_IN_BUNDLE} transactions in bytes, not of {len(raws)}")
        params = [[b64encode(raw).decode() for raw in raws], {"encoding": "base64"}]
        found = await self._call("/api/v1/bundles", "sendBundle", params)
        if not isinstance(found, str) or not found:
            raise VenueUnknown(f"the block engine answered a bundle with {found!r}, which is no id")
        return found

    async def inflight_statuses(self, ids: Sequence[str]) -> dict[str, Landing]:
        """What the engine says of up to five bundles; those that it says nothing of are left out."""
        found = await self._statuses("/api/v1/getInflightBundleStatuses", "getInflightBundleStatuses", ids)
        landings = {}
        for one in found:
            with_id = _text(one, "bundle_id")
            try:
                status = Inflight(_text(one, "status"))
            except ValueError:
                raise VenueUnavailable(f"the block engine says {one.get('status')!r} of a bundle: not known here") from None
            landings[with_id] = Landing(with_id, status, _slot(one.get("landed_slot")))
        return landings

    async def bundle_statuses(self, ids: Sequence[str]) -> dict[str, Bundle]:
        """Where up to five bundles landed; those that have not are left out."""
        found = await self._statuses("/api/v1/getBundleStatuses", "getBundleStatuses", ids)
        bundles = {}
        for one in found:
            signatures = one.get("transactions") or []
            if not isinstance(signatures, list) or not all(isinstance(name, str) for name in signatures):
                raise VenueUnavailable("the block engine told a bundle whose transactions are no signatures")
            slot = _slot(one.get("slot"))
            confirmation = one.get("confirmation_status") or one.get("confirmationStatus") or ""
            name = _text(one, "bundle_id")
            bundles[name] = Bundle(name, tuple(signatures), slot or 0, str(confirmation), _error(one.get("err")))
        return bundles

    async def _statuses(self, path: str, method: str, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        asked = list(ids)
        if not 1 <= len(asked) <= MOST_ASKED or not all(isinstance(one, str) and one for one in asked):
            raise InvalidMarket(f"{method} is about 1 to {MOST_ASKED} ids of bundles, not {asked!r}")
        found = await self._ask(method, lambda: self._call(path, method, [asked]))
        if not isinstance(found, dict):
            raise VenueUnavailable(f"{method} was answered with what is no object")
        value = found.get("value")
        if value is None:
            return []
        if not isinstance(value, list) or not all(one is None or isinstance(one, dict) for one in value):
            raise VenueUnavailable(f"{method} was answered with what is no list of statuses")
        return [one for one in value if one is not None]

    # -- tips ----------------------------------------------------------------------------------------------------------------

    async def tip_accounts(self) -> tuple[str, ...]:
        """The accounts that a tip may go to, in base58; asked once. Never to be reached through a lookup table.

        Raises `VenueUnavailable`, also where the engine names none that may be tipped.
        """
        if not self._tip_accounts:
            found = await self._ask("getTipAccounts", lambda: self._call("/api/v1/bundles", "getTipAccounts", []))
            if not isinstance(found, list) or not found or not all(isinstance(one, str) and one for one in found):
                raise VenueUnavailable("getTipAccounts was answered with what is no list of accounts")
            known = tuple(one for one in found if self._may_be_tipped is None or one in self._may_be_tipped)
            if not known:
                raise VenueUnavailable(f"the block engine names {len(found)} tip accounts, and none of them is known")
            self._tip_accounts = known
        return self._tip_accounts

    async def tip_floor(self) -> TipFloor:
        """What tips have landed lately."""

        async def ask() -> TipFloor:
            reply = await self._floor.get("/api/v1/bundles/tip_floor")
            if reply.status != 200:
                raise VenueUnavailable(f"the tip floor was answered with HTTP {reply.status}")
            return _floor(reply.json())

        return await self._retry(Reading("tip floor", ask))

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _ask(self, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """A question, again where it was not answered; a no is told as not available, since nothing was asked for."""
        try:
            return await self._retry(Reading(what, ask))
        except VenueRejected as error:
            raise VenueUnavailable(f"{what}: {error}") from None

    async def _call(self, path: str, method: str, params: Sequence[object]) -> Any:
        await self._bucket.take()
        self._n += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self._n, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json"}
        if self._auth is not None:
            headers["x-jito-auth"] = self._auth.reveal()
        reply = await self._wire.post(path, body, headers)
        del headers  # a traceback with locals must not show it
        return _result(method, reply)


def _result(method: str, reply: Reply) -> Any:
    """What a reply says. An error of the engine's own is a no; a status that a gateway gives is not."""
    if reply.status == 429:
        raise VenueUnavailable(f"{method}: the block engine is asked too often (HTTP 429)")
    if reply.status >= 500:
        raise VenueUnknown(f"{method}: the block engine answered with HTTP {reply.status}")
    found = reply.json() if reply.status == 200 or reply.text.lstrip().startswith("{") else {}
    error = found.get("error") if isinstance(found, dict) else None
    if error is not None:
        said = f"{error.get('message')} ({error.get('code')})" if isinstance(error, dict) else str(error)
        if isinstance(error, dict) and error.get("code") == -32097:
            raise VenueUnavailable(f"{method}: the block engine is asked too often: {said}")
        raise VenueRejected(f"{method}: {said}")
    if reply.status != 200:
        raise VenueRejected(f"{method}: HTTP {reply.status}")
    if not isinstance(found, dict) or "result" not in found:
        raise VenueUnknown(f"{method}: the block engine answered without a result")
    return found["result"]


def _text(one: Mapping[str, Any], key: str) -> str:
    value = one.get(key)
    if not isinstance(value, str) or not value:
        raise VenueUnavailable(f"the block engine told a bundle without its {key}")
    return value


def _slot(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _error(value: object) -> object | None:
    """`{"Ok": null}` means that there is none."""
    if isinstance(value, dict) and set(value) == {"Ok"}:
        return None
    return value.get("Err", value) if isinstance(value, dict) else value


def _floor(told: object) -> TipFloor:
    one = told[0] if isinstance(told, list) and told else told
    if not isinstance(one, dict):
        raise VenueUnavailable("the tip floor was answered with what is no list of figures")
    figures = {f"p{name}": _lamports(one, f"landed_tips_{name}th_percentile") for name in (25, 50, 75, 95, 99)}
    return TipFloor(at=_time(one.get("time")), ema50=_lamports(one, "ema_landed_tips_50th_percentile"), **figures)


def _lamports(one: Mapping[str, Any], key: str) -> Fraction:
    """A figure in SOL, such as 1.00025e-06, in lamports: exactly 1000.25."""
    value = one.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not 0 <= value < _LAMPORTS:
        raise VenueUnavailable(f"{key} {value!r} of the tip floor is no amount of SOL")
    return Fraction(value) * _LAMPORTS


def _time(value: object) -> int:
    try:
        when = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise VenueUnavailable(f"the tip floor is of {value!r}, which is no time") from None
    if when.tzinfo is None:
        raise VenueUnavailable(f"the tip floor is of {value!r}, which has no time zone")
    gone = when - _EPOCH
    return ((gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds) * 1_000
