"""Kraken's REST endpoints as typed calls: which key asks, how fast, what is asked again, and every page to the end.

    a question (`Query`)   may be asked again; ends with the answer, `KrakenUnavailable` or `KrakenRejected`
    an act (`Act`)         is sent once, ever; `KrakenUnknown` where what became of it is not known

Each private call takes a key from the ring for its vault, waits for room below the venue's counter, and tells the ring what
Kraken said. All figures are Decimals and all times ns UTC, as Kraken wrote them, to the digit; what a listing leaves out is
None, and what moves money must be there.

It knows neither orders of ours nor facts, and keeps nothing but the counters: see `driver`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from decimal import Decimal
from types import TracebackType
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

from attrs import evolve, field, frozen

from ...errors import InvalidMarket, VenueError, VenueUnavailable, VenueUnknown
from ...keys import Health, Held, InvalidKey, KeyRing, KeysError, KeySet, NoKey, Nonces, Right, Rights, Secret, Sign
from ...market import DAY, SECOND
from ...money import Asset
from ..checkup import KRAKEN_PERMISSIONS as PERMISSIONS
from ..rate import Bucket, Buckets
from ..retry import Reading, Retry
from .faults import Fault, Kind, KrakenUnavailable, KrakenUnknown, error_of, read_envelope
from .names import Names
from .transport import Args, Transport, open_transport

__all__ = [
    "ADD_COST",
    "AMEND_COSTS",
    "CANCEL_COSTS",
    "EDIT_COSTS",
    "HOST",
    "NO_TIER",
    "PERMISSIONS",
    "TIERS",
    "Act",
    "Added",
    "Balance",
    "Client",
    "Depth",
    "LedgerLine",
    "Ohlc",
    "OrderInfo",
    "Query",
    "Rate",
    "Ticker",
    "Tier",
    "Token",
    "TradeInfo",
    "Volume",
    "aged",
]

log = logging.getLogger("sleeves.venues.kraken")
log.addHandler(logging.NullHandler())

T = TypeVar("T")

HOST = "https://api.kraken.com"


@frozen
class Tier:
    """What Kraken allows: calls of a key (a counter up to `rest_max` that falls by `rest_decay` per second), orders of an account in a
    pair (likewise), and open orders of an account in a pair.
    """

    name: str
    rest_max: float
    rest_decay: float
    engine_max: float
    engine_decay: float
    open_orders: int


TIERS: Mapping[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier("starter", 15, 0.33, 60, 1, 60),
        Tier("intermediate", 20, 0.5, 125, 2.34, 80),
        Tier("pro", 20, 1, 180, 3.75, 225),
    )
}
"""Kraken's published limits, by what the account is verified for."""

NO_TIER = Tier("none", 1e12, 1e12, 1e12, 1e12, 10**9)
"""No limits of ours: for a local exchange that has none."""

MOST_ROUNDS = 5
"""How often all pages are read anew where the count says that rows are missing."""

HEADROOM = 1
"""How far below Kraken's cap ours is: it counts a call when it arrives, and the way takes longer once than another time."""

ADD_COST = 1
CANCEL_COSTS: Sequence[tuple[int, int]] = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND_COSTS: Sequence[tuple[int, int]] = ((5, 3), (10, 2), (15, 1))
EDIT_COSTS: Sequence[tuple[int, int]] = ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1))
"""What the trading engine counts besides, for an order younger than so many seconds."""


def aged(costs: Sequence[tuple[int, int]], age_ns: int) -> int:
    """What an order of this age costs by such a table: `aged(CANCEL_COSTS, 4 * SECOND)` is 8, from 300 s on 0."""
    return next((cost for seconds, cost in costs if age_ns < seconds * SECOND), 0)


NEEDED: Mapping[Right, tuple[str, ...]] = {
    Right.READ: ("query-funds", "query-open-trades", "query-closed-trades", "query-ledger"),
    Right.TRADE: ("modify-trades",),
}
"""What a key must be permitted for a right to be worth anything: without query-ledger no fill is ever told."""


class _User:
    """A client that has its ring's keys for itself."""

    def __init__(self, ring: KeyRing | None) -> None:
        self.ring = ring


_USERS: dict[tuple[str, str], WeakSet[_User]] = {}
"""Who in this process has a key at a place, by both: two rings with nonces of their own would have each other's refused."""


@frozen
class Query:
    """An endpoint that changes nothing, and what a call of it counts."""

    name: str
    cost: int = 1


@frozen
class Act:
    """An endpoint that does something: it is never sent twice. Kraken counts none of these calls."""

    name: str


# -- what it answers ---------------------------------------------------------------------------------------------------------


@frozen
class Ticker:
    """Prices of a pair: the best bid and ask with their quantities, the last trade, and the volume of 24 hours."""

    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    last: Decimal
    volume: Decimal


@frozen
class Ohlc:
    """Bars, oldest first, each (open time in s, open, high, low, close, volume, trades). `last` is the open time of the last closed one,
    None where it is not said.
    """

    rows: tuple[tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, int], ...]
    last: int | None


@frozen
class Depth:
    """A book: levels of (price, quantity, ns UTC), best first."""

    bids: tuple[tuple[Decimal, Decimal, int], ...]
    asks: tuple[tuple[Decimal, Decimal, int], ...]


@frozen
class Balance:
    """A wallet: `hold` is set aside for open orders."""

    name: str
    balance: Decimal
    hold: Decimal
    credit: Decimal
    credit_used: Decimal

    @property
    def available(self) -> Decimal:
        """What an order can be for."""
        return self.balance + self.credit - self.credit_used - self.hold


@frozen
class Rate:
    """The account's own fees in a pair, in percent. Below zero for a rebate."""

    taker: Decimal
    maker: Decimal


@frozen
class Volume:
    """The account's volume of 30 days in `currency`, and its fees by the ids of pairs."""

    currency: str
    volume: Decimal
    rates: Mapping[str, Rate]


@frozen
class Added:
    """Kraken took an order: its ids there, none where it was validated only, and Kraken's words for it."""

    txids: tuple[str, ...]
    description: str


@frozen
class OrderInfo:
    """An order as Kraken tells of it. `price` is its limit, or trigger, `average` what its fills came to. Times are ns UTC or None."""

    id: str
    status: str
    pair: str
    side: str
    ordertype: str
    price: Decimal
    price2: Decimal
    qty: Decimal
    filled: Decimal
    cost: Decimal
    fee: Decimal
    average: Decimal
    opened: int | None
    closed: int | None
    expires: int | None
    cl_ord_id: str | None
    userref: int | None
    reason: str
    oflags: frozenset[str]
    trades: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False)


@frozen
class TradeInfo:
    """A fill as Kraken tells of it. `cost` and `fee` are in the pair's quote and rounded for show: what was moved is in `ledgers`."""

    id: str
    order: str
    pair: str
    at: int
    side: str
    ordertype: str
    price: Decimal
    qty: Decimal
    cost: Decimal
    fee: Decimal
    margin: Decimal
    maker: bool | None
    ledgers: tuple[str, ...]
    cl_ord_id: str | None
    raw: Mapping[str, Any] = field(repr=False)


@frozen
class LedgerLine:
    """A line of Kraken's own ledger: the balance of `asset`, a wallet's name, changed by `amount` less `fee`."""

    id: str
    refid: str
    at: int
    type: str
    subtype: str
    aclass: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal


@frozen
class Token:
    """What opens a private socket, until `until` (ns UTC); a socket that is open keeps it."""

    token: Secret
    until: int


# -- the calls -----------------------------------------------------------------------------------------------------------------


class Client:
    """Kraken's REST. Made without any I/O; `aclose` closes the connections. To be used in one event loop at a time.

    `keys` is a ring with nonces, or one key set, whose nonces then rise for this process alone; None for public calls. `transport` is
    "httpx", "krakenex" or a `Transport`. `tier` is the account's; None: there are no limits of ours, for a local exchange. `account`
    is whose keys are used alone, as they call it, where the ring has others too. `pace` is the least time between two public calls of one
    endpoint, in seconds: by default 1 at Kraken's own host and none elsewhere. `patience` is how long a call waits for room
    below a counter. `clock` gives ns UTC.

    Raises `InvalidMarket` for a tier or a transport that there is none of, `InvalidKey` for keys without nonces.
    """

    def __init__(
        self,
        keys: KeyRing | KeySet | None = None,
        *,
        base_url: str = HOST,
        transport: str | Transport = "httpx",
        tier: str | Tier | None = "starter",
        account: str | None = None,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        pace: float | None = None,
        patience: float = 60.0,
        retry: Retry | None = None,
        clock: Callable[[], int] = time.time_ns,
        venue: str = "kraken",
    ) -> None:
        if isinstance(keys, KeySet):
            keys = KeyRing([keys], clock=clock, nonces=Nonces(clock))
        if keys is not None and (not isinstance(keys, KeyRing) or keys.nonces is None):
            raise InvalidKey("the keys of a client are a KeyRing with nonces=Nonces.open(path, clock), or a KeySet")
        found = NO_TIER if tier is None else TIERS.get(tier) if isinstance(tier, str) else tier
        if not isinstance(found, Tier):
            raise InvalidMarket(f"tier {tier!r} is none of {', '.join(TIERS)}, or a Tier, or None for no limits")
        self.ring = keys
        self.tier = found
        self.venue = venue
        self.clock = clock
        self.account = account
        self._place = base_url.rstrip("/")
        self._user = _User(keys)
        self._transport = open_transport(transport, base_url, timeout=timeout, connect_timeout=connect_timeout)
        self._patience = patience
        self._retry = evolve(retry or Retry(), again=self._again)
        pace = (1.0 if base_url.rstrip("/") == HOST else 0.0) if pace is None else pace
        self._public = Buckets(1, 1 / pace, name="public") if pace else None
        self._only = ""
        self._nonces: dict[str, int] = {}
        """By key how many nonces were refused in a row."""
        self._counters = Buckets(max(found.rest_max - HEADROOM, 2), found.rest_decay, name="key")

    async def aclose(self) -> None:
        """Close the connections, and leave the keys to others. Closing again does nothing."""
        for users in _USERS.values():
            users.discard(self._user)
        await self._transport.aclose()

    def claim(self) -> None:
        """Have the keys for this ring until `aclose`, as a venue does that is open: no client with another ring uses them meanwhile.

        Raises `InvalidKey` where one has them already: their nonces would cross.
        """
        marks = [(self._place, self._free(name, self._keys().fingerprint(name))) for name in self._names()]
        for mark in marks:
            _USERS.setdefault(mark, WeakSet()).add(self._user)

    def _free(self, name: str, fingerprint: str) -> str:
        if any(user.ring is not self._user.ring for user in _USERS.get((self._place, fingerprint), ())):
            raise InvalidKey(
                f"key {name} of {self.venue} is used already in this process, by a venue that is open with another ring: make one "
                "KeyRing([...], nonces=...) and hand it to both, else each one's nonces are refused for the other's"
            )
        return fingerprint

    def _names(self) -> list[str]:
        """The keys that calls are made with."""
        rows = self._keys().describe()
        return [row["key"] for row in rows if row["venue"] == self.venue and self.account in (None, row["account"])]

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client of {self.venue} by {self._transport!r}>"

    def bucket(self, key: str) -> Bucket:
        """The counter of a key's calls, by the key's name."""
        return self._counters[key]

    def by(self, key: str) -> Client:
        """This client with all private calls made by one key, by its name: for a look at that key. Whose it is does not change by it,
        and what a vault is named in a call does not matter. Calls raise `NoKey` where the key may not be probed.
        """
        made = copy(self)
        made._only = key
        return made

    # -- public ------------------------------------------------------------------------------------------------------------

    async def time(self) -> int:
        """Kraken's time, ns UTC, to the second."""
        return _ns(_need(await self._ask("Time"), "unixtime", "Time"), "Time")

    async def status(self) -> str:
        """online, maintenance, cancel_only or post_only."""
        return str(_need(await self._ask("SystemStatus"), "status", "SystemStatus"))

    async def assets(self) -> dict[str, Any]:
        """All assets as Kraken lists them, by id."""
        return _table(await self._ask("Assets"), "Assets")

    async def asset_pairs(self, *pairs: str) -> dict[str, Any]:
        """Pairs as Kraken lists them, by id; all where none is named."""
        return _table(await self._ask("AssetPairs", {"pair": ",".join(pairs)} if pairs else {}), "AssetPairs")

    async def names(self, override: Mapping[str, Asset] | None = None) -> Names:
        """What everything is called. Raises what `Names` raises, too."""
        return Names(await self.assets(), await self.asset_pairs(), venue=self.venue, override=override)

    async def ticker(self, *pairs: str) -> dict[str, Ticker]:
        """Prices by the ids of pairs; of all where none is named."""
        rows = _table(await self._ask("Ticker", {"pair": ",".join(pairs)} if pairs else {}), "Ticker")
        return {name: _read("Ticker", _ticker, row) for name, row in rows.items()}

    async def ohlc(self, pair: str, minutes: int, since: int | None = None) -> Ohlc:
        """Bars of so many minutes that open after `since` (s UTC), at most the last 720; the running one is the last of them."""
        args = {"pair": pair, "interval": str(minutes)} | ({} if since is None else {"since": str(since)})
        result = _table(await self._ask("OHLC", args), "OHLC")
        return _read("OHLC", _ohlc, result)

    async def depth(self, pair: str, count: int = 100) -> Depth:
        """The book, at most 500 levels of a side."""
        result = _table(await self._ask("Depth", {"pair": pair, "count": str(count)}), "Depth")
        return _read("Depth", _depth, result)

    async def trades(
        self, pair: str, since: int | None = None, count: int | None = None
    ) -> tuple[tuple[tuple[Decimal, Decimal, int, str, str], ...], int]:
        """Trades of everybody after `since` (ns UTC), at most 1,000, each (price, quantity, ns UTC, side, ordertype); and the `since` of
        the next page.
        """
        given = {"pair": pair, "since": since, "count": count}
        args = {name: str(value) for name, value in given.items() if value is not None}
        result = _table(await self._ask("Trades", args), "Trades")
        return _read("Trades", _trades, result)

    # -- questions about the account -------------------------------------------------------------------------------------------

    async def balance_ex(self, vault: str) -> dict[str, Balance]:
        """All wallets of the account by their names, held coins included."""
        rows = _table(await self._private(Query("BalanceEx"), vault), "BalanceEx")
        return {name: _read("BalanceEx", _balance, name, row) for name, row in rows.items()}

    async def trade_volume(self, vault: str, *pairs: str) -> Volume:
        """The account's volume, and its own fees in these pairs. Where maker fees are not told they are the taker's."""
        result = await self._private(Query("TradeVolume"), vault, {"pair": ",".join(pairs)} if pairs else {})
        return _read("TradeVolume", _volume, _table(result, "TradeVolume"))

    async def open_orders(self, vault: str) -> dict[str, OrderInfo]:
        """All open orders of the account, by id."""
        result = _table(await self._private(Query("OpenOrders"), vault, {"trades": "true"}), "OpenOrders")
        return _orders("OpenOrders", _need(result, "open", "OpenOrders"))

    async def closed_orders(self, vault: str, since: int | None = None, until: int | None = None) -> dict[str, OrderInfo]:
        """All orders that were closed from `since` to `until`, ns UTC, both included; by id, all pages."""
        rows = await self._pages(Query("ClosedOrders"), vault, "closed", since, until, {"trades": "true", "closetime": "close"})
        found = _orders("ClosedOrders", rows)
        return {name: order for name, order in found.items() if _inside(order.closed, since, until)}

    async def query_orders(self, vault: str, *txids: str) -> dict[str, OrderInfo]:
        """Orders by their ids, 50 to a call. Raises `KrakenRejected` for ids that are none."""
        found: dict[str, OrderInfo] = {}
        for part in _parts(txids, 50):
            result = await self._private(Query("QueryOrders"), vault, {"txid": ",".join(part), "trades": "true"})
            found |= _orders("QueryOrders", result)
        return found

    async def trades_history(self, vault: str, since: int | None = None, until: int | None = None) -> list[TradeInfo]:
        """All fills of the account from `since` to `until`, ns UTC, both included; oldest first, all pages."""
        rows = await self._pages(Query("TradesHistory", 2), vault, "trades", since, until, {"ledgers": "true"})
        return [trade for trade in _fills("TradesHistory", rows) if _inside(trade.at, since, until)]

    async def query_trades(self, vault: str, *ids: str) -> list[TradeInfo]:
        """Fills by their ids, 20 to a call; oldest first. Raises `KrakenRejected` for ids that are none."""
        rows: dict[str, Any] = {}
        for part in _parts(ids, 20):
            result = await self._private(Query("QueryTrades"), vault, {"txid": ",".join(part)})
            rows |= _table(result, "QueryTrades")
        return _fills("QueryTrades", rows)

    async def ledgers(self, vault: str, since: int | None = None, until: int | None = None, assets: Iterable[str] = ()) -> list[LedgerLine]:
        """All lines of the account's ledger from `since` to `until`, ns UTC, both included; oldest first, all pages."""
        named = ",".join(assets)
        rows = await self._pages(Query("Ledgers", 2), vault, "ledger", since, until, {"asset": named} if named else {})
        return [line for line in _lines("Ledgers", rows) if _inside(line.at, since, until)]

    async def query_ledgers(self, vault: str, *ids: str) -> list[LedgerLine]:
        """Lines by their ids, 20 to a call; oldest first. Raises `KrakenRejected` for ids that are none."""
        rows: dict[str, Any] = {}
        for part in _parts(ids, 20):
            rows |= _table(await self._private(Query("QueryLedgers", 2), vault, {"id": ",".join(part)}), "QueryLedgers")
        return _lines("QueryLedgers", rows)

    async def ws_token(self, vault: str) -> Token:
        """A token for a private socket. It is given even with a key that is cooling or suspect, since fills come by it."""
        asked = self.clock()
        result = _table(await self._private(Query("GetWebSocketsToken"), vault, leaves=True), "GetWebSocketsToken")
        token, expires = result.get("token"), result.get("expires", 900)
        if not isinstance(token, str) or not token or type(expires) is not int:
            del token, result
            raise KrakenUnavailable("GetWebSocketsToken of Kraken: there is no token in the answer")
        return Token(Secret(token), asked + expires * SECOND)

    async def api_key_info(self, vault: str) -> dict[str, Any]:
        """What Kraken says about the key that asks, the key itself left out. Needs no permission."""
        return _key_info(await self._private(Query("GetApiKeyInfo"), vault))

    async def probe(self, key: str) -> Health:
        """Ask about a certain key by its name, and tell the ring what it may do; returns how it fares then. Raises as questions do, and
        `NoKey` where it may not be probed.
        """
        ring = self._keys()
        async with ring.probe(key) as held:
            self._begin(held)
            self.bucket(key).spend(1)
            result = _key_info(await self._once(held, Query("GetApiKeyInfo"), {}, first=False))
            words, addresses = result.get("permissions"), result.get("ipAllowlist")
            listed = isinstance(words, list) and all(isinstance(word, str) for word in words)
            if addresses is not None and not (isinstance(addresses, list) and all(isinstance(one, str) for one in addresses)):
                addresses = None
            rights = Rights.of(*words, addresses=addresses, means=PERMISSIONS) if listed and words is not None else None
            return ring.probed(key, rights)

    async def tend(self, every: int = DAY) -> dict[str, Health]:
        """Probe the keys that are due: suspect ones, and those that nobody looked at for `every` ns. Returns how they fare then.

        To be called now and then: a suspect key is used for exits alone until it was probed. What Kraken does not answer is logged.
        """
        ring = self._keys()
        here = set(self._names())
        found = {}
        for key in ring.due(every):
            if key in here:
                try:
                    found[key] = await self.probe(key)
                except (VenueError, KeysError) as error:  # the latter of one that was retired meanwhile
                    log.warning("key %s of %s could not be probed: %s", key, self.venue, error, extra={"key": key})
        return found

    async def check_rights(self) -> None:
        """That the keys have the permissions that they must have for the rights that they are said to have: asked of Kraken.

        Raises `InvalidKey` naming those that are missing: of a right to read where no key has one, of a right to trade where none
        of the vault's has; and as `claim` does. A key of which nothing can be learned is not held against anybody: that is logged,
        and so is a key that lacks what another one has.
        """
        ring = self._keys()
        self.claim()
        listed: dict[str, frozenset[str] | None] = {}
        for name in self._names():
            words: Any = None
            try:
                words = (await self.by(name).api_key_info("any")).get("permissions")
            except (VenueError, KeysError) as error:
                log.warning("%s does not tell what key %s may do: %s", self.venue, name, error, extra={"key": name})
            known = isinstance(words, list) and any(isinstance(word, str) and word in PERMISSIONS for word in words)
            listed[name] = frozenset(word for word in words if isinstance(word, str)) if known else None
        vaults = {name: ring.vault_of(name) for name in listed}
        missing = []
        for right, needed in NEEDED.items():
            having = [name for name in listed if right in ring.rights(name).granted]
            groups = [[name for name in having if vaults[name] in ("", vault)] for vault in sorted(set(vaults.values()))]
            for group in [having] if right is Right.READ else groups:
                for word in needed:
                    lacking = [name for name in group if (words := listed[name]) is not None and word not in words]
                    if not lacking:
                        continue
                    what = f"key {' and '.join(lacking)} to {right} without the permission {word}"
                    if len(lacking) == len(group):
                        missing.append(what)
                    else:
                        log.warning("%s: there is %s", self.venue, what, extra={"key": lacking[0]})
        if missing:
            said = "; ".join(dict.fromkeys(missing))
            raise InvalidKey(f"at {self.venue} there is {said}: give it to the key there, or state what it may do (Rights.of(...))")

    # -- acts ------------------------------------------------------------------------------------------------------------------

    async def add_order(self, vault: str, args: Args, *, exit: bool = False) -> Added:  # noqa: A002
        """Send an order: AddOrder's own arguments, as text. Sent once.

        What makes the arguments (a callable) is called once, when no other call with the key is under way any more, right before it
        is sent: a deadline in them begins then. A `VenueUnavailable` of it is raised, and nothing is sent.

        Raises `KrakenRejected` where it was refused, `VenueUnavailable` where it was not processed, `VenueUnknown` where that is not
        known: look for its cl_ord_id then.
        """
        result = await self._private(Act("AddOrder"), vault, args, right=Right.TRADE, leaves=exit)
        txids = result.get("txid", []) if isinstance(result, dict) else None
        if not isinstance(txids, list) or not all(isinstance(txid, str) for txid in txids):
            raise KrakenUnknown("AddOrder of Kraken: the answer names no order, and no error")
        described = result.get("descr")
        return Added(tuple(txids), str(described.get("order", "")) if isinstance(described, dict) else "")

    async def cancel_order(self, vault: str, *, txid: str | None = None, cl_ord_id: str | None = None) -> int:
        """Cancel an order by one of its ids; returns how many were. Raises as `add_order` does; with Kind.STATE where there is none."""
        if (txid is None) is (cl_ord_id is None):
            raise InvalidMarket("an order is canceled by its txid or by its cl_ord_id")
        args = {"txid": txid} if txid is not None else {"cl_ord_id": str(cl_ord_id)}
        return self._count(await self._private(Act("CancelOrder"), vault, args, right=Right.TRADE, leaves=True), "CancelOrder")

    async def cancel_all(self, vault: str) -> int:
        """Cancel all orders of the account, whoever sent them; returns how many were. Raises as `add_order` does."""
        return self._count(await self._private(Act("CancelAll"), vault, right=Right.TRADE, leaves=True), "CancelAll")

    async def cancel_all_after(self, vault: str, seconds: int) -> bool:
        """Have Kraken cancel everything in so many seconds unless it is told again; 0: not at all. Returns whether it is armed.

        It does not wait for room below the counter: whoever is late here loses all orders. Raises as `add_order` does.
        """
        if type(seconds) is not int or not 0 <= seconds <= 86_400:
            raise InvalidMarket(f"the dead-man switch takes a whole number of seconds, 0 to 86400, not {seconds!r}")
        args = {"timeout": str(seconds)}
        result = await self._private(Act("CancelAllOrdersAfter"), vault, args, right=Right.TRADE, leaves=True)
        if not isinstance(result, dict):
            raise KrakenUnknown("CancelAllOrdersAfter of Kraken: the answer is no object")
        return str(result.get("triggerTime", "" if not seconds else "set")) not in ("", "0")

    # -- how -------------------------------------------------------------------------------------------------------------------

    async def _ask(self, name: str, args: Mapping[str, str] | None = None) -> Any:
        """A public question."""

        async def ask() -> Any:
            if self._public is not None:
                await self._public[name].take(within=self._patience)
            reply = await self._transport.call(None, f"/0/public/{name}", args or {})
            result, faults, warnings = read_envelope(reply, self.clock())
            self._warned(name, warnings)
            if faults:
                raise error_of(f"{name} of Kraken", faults, order=False)
            return result

        return await self._retry(Reading(f"{name} of Kraken", ask))

    async def _private(
        self,
        call: Query | Act,
        vault: str,
        args: Args | None = None,
        *,
        right: Right = Right.READ,
        leaves: bool = False,
    ) -> Any:
        """A private call: an act once; a question again, with another key where the ring has one by then."""
        ring, given = self._keys(), args if callable(args) else dict(args or {})

        async def once() -> Any:
            taken = (
                ring.probe(self._only, call=call.name)
                if self._only
                else ring.use(vault, self.venue, right=right, exit=leaves, account=self.account, call=call.name)
            )
            async with taken as held:
                held.right = right
                self._begin(held)
                if isinstance(call, Query):
                    await self.bucket(held.name).take(call.cost, within=self._patience)
                return await self._once(held, call, given)

        if isinstance(call, Act):
            return await once()
        return await self._retry(Reading(f"{call.name} of Kraken", once))

    def _begin(self, held: Held) -> None:
        """Raises `NoKey` where a venue with another ring has the key: nothing was sent."""
        try:
            self._free(held.name, held.fingerprint)
        except InvalidKey as error:
            raise NoKey(str(error)) from None

    async def _once(self, held: Held, call: Query | Act, args: Args, *, first: bool = True) -> Any:
        """One call with one key. A question whose nonce is refused is asked once more with a higher one: it was not processed."""
        what, order = f"{call.name} of Kraken", isinstance(call, Act)
        try:
            reply = await self._transport.call(held, f"/0/private/{call.name}", args)
        except InvalidKey as error:
            held.told(Sign.INVALID, why=str(error))
            raise KrakenUnavailable(f"{what}: {error}") from None
        except VenueUnknown as error:
            raise VenueUnknown(held.hide(f"{what}: {error}")) from None
        except VenueUnavailable as error:
            raise VenueUnavailable(held.hide(f"{what}: {error}")) from None
        result, faults, warnings = read_envelope(reply, self.clock())
        warnings = tuple(map(held.hide, warnings))  # and no frame of a traceback holds them as they came
        del reply
        self._warned(call.name, warnings)
        faults = tuple(evolve(fault, text=held.hide(fault.text)) for fault in faults)
        self._tell(held, call, faults)
        if not faults:
            return result
        if first and not order and all(fault.kind is Kind.NONCE for fault in faults):
            log.warning("%s: %s; asked once more with a higher nonce", what, faults[0].text, extra={"key": held.name})
            return await self._once(held, call, args, first=False)
        raise error_of(what, faults, order=order)

    def _tell(self, held: Held, call: Query | Act, faults: Sequence[Fault]) -> None:
        """Tell the ring what Kraken said. A nonce that is refused once is nothing yet; twice in a row, somebody else uses the key. A
        question that is not permitted is that one question: each has a permission of its own.
        """
        refused = any(fault.kind is Kind.NONCE for fault in faults)
        self._nonces[held.name] = self._nonces.get(held.name, 0) + 1 if refused else 0
        for fault in faults:
            if fault.kind is Kind.PERMISSION and isinstance(call, Query):
                held.refused(call.name, fault.text)
            elif fault.sign is not None and not (fault.kind is Kind.NONCE and self._nonces[held.name] < 2):
                held.told(fault.sign, until=fault.until, why=fault.text)
            if fault.kind is Kind.LIMIT:
                self.bucket(held.name).note(self.tier.rest_max)

    def _again(self, error: VenueError) -> bool | float:
        """Whether a question is asked again after an error, and in how many seconds where Kraken says."""
        if isinstance(error, NoKey) and error.until is None:
            return False
        if isinstance(error, (KrakenUnavailable, KrakenUnknown)) and not error.again:
            return all(fault.again or fault.sign in (Sign.INVALID, Sign.PERMISSION) for fault in error.faults)  # by another key
        until = getattr(error, "until", None)
        if until is None:
            return True
        wait = max((until - self.clock()) / SECOND, 0.0) + 0.01  # it is over then, not about to be
        return wait if wait <= self._patience else False

    def _warned(self, name: str, warnings: Iterable[str]) -> None:
        for text in warnings:
            log.warning("%s of Kraken: %s", name, text)

    def _count(self, result: Any, what: str) -> int:
        count = result.get("count") if isinstance(result, dict) else None
        if type(count) is not int:
            raise KrakenUnknown(f"{what} of Kraken: the answer does not say how many")
        return count

    def _keys(self) -> KeyRing:
        if self.ring is None:
            raise VenueUnavailable("a private call of Kraken needs keys: Client(keys=ring); nothing was sent")
        return self.ring

    async def _pages(
        self, call: Query, vault: str, field_name: str, since: int | None, until: int | None, args: Mapping[str, str]
    ) -> dict[str, Any]:
        """All rows by id, however many come in meanwhile: rows are newest first, so new ones push old ones to a later page, where they
        are met twice and none is missed; where the count says that one was, all is read anew.
        """
        bounds = {} if since is None else {"start": str(max(since // SECOND - 1, 0))}
        bounds |= {} if until is None else {"end": str(until // SECOND + 1)}
        found: dict[str, Any] = {}
        for _ in range(MOST_ROUNDS):
            offset = 0
            while True:
                paged = {**args, **bounds} | ({"ofs": str(offset)} if offset else {})
                result = _table(await self._private(call, vault, paged), call.name)
                rows = _table(_need(result, field_name, call.name), call.name)
                count = result.get("count")
                fresh = rows.keys() - found.keys()
                found.update(rows)
                offset += len(rows)
                count = count if type(count) is int else None
                if not rows or (count is not None and len(found) >= count) or (not fresh and (count is None or offset >= count)):
                    break
            if count is None or len(found) >= count:
                return found
        raise KrakenUnavailable(f"{call.name} of Kraken: {len(found)} of {count} rows were found in {MOST_ROUNDS} rounds")


# -- reading answers -----------------------------------------------------------------------------------------------------------


def _key_info(result: Any) -> dict[str, Any]:
    """What is said about a key, without its value."""
    return {name: value for name, value in _table(result, "GetApiKeyInfo").items() if name.lower().replace("_", "") != "apikey"}


def _inside(at: int | None, since: int | None, until: int | None) -> bool:
    return at is None or ((since is None or at >= since) and (until is None or at <= until))


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _wrong(what: str, why: str) -> NoReturn:
    raise KrakenUnavailable(f"{what} of Kraken: the answer cannot be read: {why}")


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _wrong(what, f"a {type(value).__name__} where an object should be")
    return value


def _need(result: Any, name: str, what: str) -> Any:
    table = _table(result, what)
    if name not in table:
        _wrong(what, f"{name} is missing")
    return table[name]


def _read(what: str, read: Callable[..., T], *args: Any) -> T:
    try:
        return read(*args)
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        why = f"{type(error).__name__} {str(error)[:100]}"
    _wrong(what, why)


def _decimal(value: Any) -> Decimal:
    """A figure as Kraken wrote it: text, or a number of its JSON."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise TypeError(f"{value!r} is no figure")
    found = Decimal(value)
    if not found.is_finite():
        raise ValueError(f"{value!r} is no finite figure")
    return found


def _ns(value: Any, what: str) -> int:
    """Seconds since 1970 as ns, exactly: 1790000000.1234 is 1790000000123400000."""
    return _read(what, lambda: int(_decimal(value) * SECOND))


def _ns_or_none(value: Any, what: str) -> int | None:
    return None if value in (None, "", "0") or not (at := _ns(value, what)) else at


def _ticker(row: Mapping[str, Any]) -> Ticker:
    bid, ask = row["b"], row["a"]
    return Ticker(_decimal(bid[0]), _decimal(bid[2]), _decimal(ask[0]), _decimal(ask[2]), _decimal(row["c"][0]), _decimal(row["v"][1]))


def _one(result: Mapping[str, Any]) -> Any:
    """The one list or book beside `last`, whatever name it has."""
    (rows,) = (value for name, value in result.items() if name != "last")
    return rows


def _ohlc(result: Mapping[str, Any]) -> Ohlc:
    rows = []
    for row in _one(result):
        at, (open_, high, low, close), volume = row[0], map(_decimal, row[1:5]), _decimal(row[6])
        if type(at) is not int:
            raise TypeError(f"{at!r} is no time of a bar")
        rows.append((at, open_, high, low, close, volume, int(row[7]) if len(row) > 7 else 0))
    last = result.get("last")
    return Ohlc(tuple(rows), None if last is None else int(last))


def _depth(result: Mapping[str, Any]) -> Depth:
    book = _one(result)
    bids, asks = (tuple((_decimal(p), _decimal(q), _ns(t, "Depth")) for p, q, t in book[side]) for side in ("bids", "asks"))
    return Depth(bids, asks)


def _trades(result: Mapping[str, Any]) -> tuple[tuple[tuple[Decimal, Decimal, int, str, str], ...], int]:
    sides, types = {"b": "buy", "s": "sell"}, {"m": "market", "l": "limit"}
    rows = tuple(
        (_decimal(row[0]), _decimal(row[1]), _ns(row[2], "Trades"), sides[row[3]], types.get(row[4], str(row[4]))) for row in _one(result)
    )
    return rows, int(result["last"])


def _balance(name: str, row: Mapping[str, Any]) -> Balance:
    rest = (_decimal(row.get(what, "0")) for what in ("hold_trade", "credit", "credit_used"))
    return Balance(name, _decimal(row["balance"]), *rest)


def _volume(result: Mapping[str, Any]) -> Volume:
    fees, makers = result.get("fees") or {}, result.get("fees_maker") or {}
    rates = {name: Rate(_decimal(row["fee"]), _decimal(makers.get(name, row)["fee"])) for name, row in fees.items()}
    return Volume(str(result.get("currency", "")), _decimal(result.get("volume", "0")), rates)


def _orders(what: str, rows: Any) -> dict[str, OrderInfo]:
    return {name: _read(what, _order, name, row) for name, row in _table(rows, what).items()}


def _order(name: str, row: Mapping[str, Any]) -> OrderInfo:
    described = row["descr"]
    userref = row.get("userref")
    return OrderInfo(
        id=name,
        status=str(row["status"]),
        pair=str(described["pair"]),
        side=_side(described["type"]),
        ordertype=str(described["ordertype"]),
        price=_decimal(described.get("price") or "0"),
        price2=_decimal(described.get("price2") or "0"),
        qty=_decimal(row["vol"]),
        filled=_decimal(row["vol_exec"]),
        cost=_decimal(row.get("cost") or "0"),
        fee=_decimal(row.get("fee") or "0"),
        average=_decimal(row.get("price") or "0"),
        opened=_ns_or_none(row.get("opentm"), "opentm"),
        closed=_ns_or_none(row.get("closetm"), "closetm"),
        expires=_ns_or_none(row.get("expiretm"), "expiretm"),
        cl_ord_id=row.get("cl_ord_id") or None,
        userref=userref if type(userref) is int else None,
        reason=str(row.get("reason") or ""),
        oflags=frozenset(filter(None, str(row.get("oflags") or "").split(","))),
        trades=tuple(row.get("trades") or ()),
        raw=row,
    )


def _side(value: Any) -> str:
    if value not in ("buy", "sell"):
        raise ValueError(f"{value!r} is no side")
    return str(value)


def _fills(what: str, rows: Mapping[str, Any]) -> list[TradeInfo]:
    return sorted((_read(what, _fill, name, row) for name, row in rows.items()), key=lambda trade: (trade.at, trade.id))


def _fill(name: str, row: Mapping[str, Any]) -> TradeInfo:
    maker = row.get("maker")
    return TradeInfo(
        id=name,
        order=str(row["ordertxid"]),
        pair=str(row["pair"]),
        at=_ns(row["time"], "time"),
        side=_side(row["type"]),
        ordertype=str(row.get("ordertype", "")),
        price=_decimal(row["price"]),
        qty=_decimal(row["vol"]),
        cost=_decimal(row["cost"]),
        fee=_decimal(row["fee"]),
        margin=_decimal(row.get("margin") or "0"),
        maker=maker if isinstance(maker, bool) else None,
        ledgers=tuple(row.get("ledgers") or ()),
        cl_ord_id=row.get("cl_ord_id") or None,
        raw=row,
    )


def _lines(what: str, rows: Mapping[str, Any]) -> list[LedgerLine]:
    return sorted((_read(what, _line, name, row) for name, row in rows.items()), key=lambda line: (line.at, line.id))


def _line(name: str, row: Mapping[str, Any]) -> LedgerLine:
    return LedgerLine(
        id=name,
        refid=str(row["refid"]),
        at=_ns(row["time"], "time"),
        type=str(row["type"]),
        subtype=str(row.get("subtype") or ""),
        aclass=str(row.get("aclass") or ""),
        asset=str(row["asset"]),
        amount=_decimal(row["amount"]),
        fee=_decimal(row["fee"]),
        balance=_decimal(row["balance"]),
    )
