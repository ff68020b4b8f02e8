"""Kraken's spot market as a venue: orders and questions over REST, prices and what becomes of orders over WebSocket v2.

    feed       the sockets                              watch    what is known of orders, and what of it was told
    clerk      fills, once the ledger has their lines   account  which key speaks for what
    tickets    an order as Kraken takes it              client   the calls

An order is sent once, under a client id that is our order id. Where its answer is lost it is looked for under that id, and never sent
again. Kraken cancels all orders of the account unless it hears from here in time (the dead-man switch). Whatever is lost on the way is
found by looking: when the sockets are back, when an order lacks a fill, when a cancel finds nothing.

It decides nothing, books nothing, and sends nothing twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import frozen

from ...errors import InvalidAmount, InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...facts import CashFlow
from ...keys import InvalidKey, KeyRing, KeysError, KeySet, Secret
from ...market import SECOND, Instrument, Quote
from ...money import PPM, Amount, Asset, divide
from ...money import Rounding as Round
from ...orders import Event, Fill, Order, OrderReport, OrderStatus, Place, Position, Transfer
from ..ids import ClientIds
from ..rate import Buckets
from .account import Account
from .clerk import BACK, Clerk
from .client import ADD_COST, CANCEL_COSTS, HOST, Client, OrderInfo, Tier, aged
from .faults import Kind, KrakenRejected, KrakenUnavailable
from .feed import Feed
from .names import Names, Pair, Wallet
from .outbox import Outbox
from .socket import socket_url as check_url
from .tickets import objection, ticket
from .transport import Transport
from .watch import Track, Watch, figure, instant, report_of

__all__ = ["FeeRate", "Holding", "Kraken"]

log = logging.getLogger("sleeves.venues.kraken")
log.addHandler(logging.NullHandler())

T = TypeVar("T")

SOCKET = "wss://ws.kraken.com/v2"
PRIVATE_SOCKET = "wss://ws-auth.kraken.com/v2"

LOOKS = (0.0, 0.3, 0.7, 1.5, 3.0)
"""After how many seconds each an order whose answer was lost is looked for, within the deadline."""
TEND_EVERY = 10.0
"""How often keys are looked at, in seconds."""
MOST_COUNTED = 1_000_000
"""A count of the engine beyond this is none."""
STATUS_AGE = 5.0
"""How old, in seconds, what is known of a pair's status may be to refuse an order by it."""
LISTING_WITHIN = 10.0
"""How long an order waits for a look at such a status, in seconds; where that fails it is judged by what is known."""
EXIT_WITHIN = 2.0
"""The same for an exit; where that fails it is sent."""
CLOCK_EVERY = 300.0
"""How often Kraken's clock is looked at, in seconds, besides when ours was set."""
CLOCK_WITHIN = 2.0
"""How long that may take before an order, in seconds."""
OFF = SECOND
"""So far our clock may be from what has passed since it was compared with Kraken's."""
OLDER = 2 * SECOND
"""An order that was opened so long before another was made is not that one."""
NO_DEADLINE = "EGeneral:Invalid arguments:deadline"
LATE = "EService:Deadline elapsed"


@frozen
class FeeRate:
    """What the account pays in a market now, in parts per million; below zero: a rebate."""

    maker_ppm: int
    taker_ppm: int


@frozen
class Holding:
    """One wallet of the account. `held` is set aside for open orders. What is not `counted` is in no balance: see `Wallet`."""

    wallet: Wallet
    balance: Amount
    held: Amount

    @property
    def counted(self) -> bool:
        return self.wallet.counted

    @property
    def tradeable(self) -> bool:
        return self.wallet.tradeable


class _Events(AsyncIterator[Event]):
    """What `events` gives: to be left at any time, and by a canceled wait, without anything lost."""

    def __init__(self, take: Callable[[bool], Awaitable[Event]]) -> None:
        self._take = take
        self._first = True
        self._closed = False

    async def __anext__(self) -> Event:
        if self._closed:
            raise StopAsyncIteration
        event = await self._take(self._first)
        self._first = False
        return event

    async def aclose(self) -> None:
        """Nothing is left open: others may read on."""
        self._closed = True


class Kraken:
    """Kraken spot, for `live.trade`. Made without any I/O: `async with Kraken(...) as venue`, on asyncio or trio.

    `keys` is a `KeyRing` with nonces, or one `KeySet`. `markets` are the symbols whose prices are told ("ETH/USD"); an `Instrument`
    is taken as it stands, where it counts as Kraken does: give a journal's own, so that its positions keep theirs.
    `vaults` says by the code of a quote asset whose key trades there, a `CoreVault` or its `owner`; without it that is the key whose
    vault ends with that code, and with one key set that key for all. `sleeves` are names of sleeves with more than 15 characters,
    `assets` replace assets by code. `tier` is the account's (None: no limits of ours, for a local exchange), `transport` "httpx",
    "krakenex" or one of your own.
    `account` is whose keys these are, as they call it, where the ring has keys of several.

    Seconds: `dead_man` is after how long without a word Kraken cancels all orders of the account (None: never), `deadline` how late an
    order may reach the engine (at most 60; None: whenever), `deadline_grace` how long after that one that Kraken nowhere shows is taken
    for never come in, `ledger_patience` how long a fill waits for its ledger lines before it is
    told by the trade's own figures, `rate_patience` how long an order waits for room below the engine's counter, `quiet` how long a
    socket may say nothing. `clock` gives ns UTC.

    A fill that was told by the trade's own figures keeps them for as long as this object lasts, opened again or not. The next process
    finds the ledger's, which may differ in the last digits: what it books anew it books by those.

    Raises `InvalidMarket` for arguments that are none of this, `InvalidKey` for keys that are none.
    """

    real_money = True

    def __init__(
        self,
        keys: KeyRing | KeySet,
        markets: Iterable[str | Instrument],
        *,
        name: str = "kraken",
        base_url: str = HOST,
        socket_url: str = SOCKET,
        private_socket_url: str = PRIVATE_SOCKET,
        transport: str | Transport = "httpx",
        tier: str | Tier | None = "starter",
        account: str | None = None,
        vaults: Mapping[str, Any] | None = None,
        sleeves: Iterable[str] = (),
        assets: Mapping[str, Asset] | None = None,
        dead_man: float | None = 60.0,
        deadline: float | None = 5.0,
        deadline_grace: float = 30.0,
        ledger_patience: float = 30.0,
        rate_patience: float = 10.0,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        quiet: float = 30.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = _named(name)
        self._wanted = _markets(markets)
        self._urls = check_url(socket_url, "socket_url"), check_url(private_socket_url, "private_socket_url")
        for what, value in (
            ("ledger_patience", ledger_patience),
            ("rate_patience", rate_patience),
            ("quiet", quiet),
            ("deadline_grace", deadline_grace),
        ):
            _seconds(what, value, 0, 3_600)
        self._grace = int(deadline_grace * SECOND)
        self._dead_man = None if dead_man is None else int(_seconds("dead_man", dead_man, 3, 86_400))
        self._deadline = None if deadline is None else int(_seconds("deadline", deadline, 0.5, 60) * SECOND)
        self._ledger_patience, self._rate_patience, self._quiet = ledger_patience, rate_patience, quiet
        self._timeout, self._connect_timeout = timeout, connect_timeout
        self._clock = clock
        self._assets = dict(assets or {})
        self._ids = ClientIds(sleeves)
        self.client = Client(
            keys, base_url=base_url, transport=transport, tier=tier, timeout=timeout, connect_timeout=connect_timeout, clock=clock
        )
        if self.client.ring is None:
            raise InvalidKey("Kraken as a venue needs keys: a KeyRing or a KeySet")
        self._account = Account(self.client.ring, self.client.venue, vaults, account)
        self.client.account = self._account.name
        limits = self.client.tier
        self._engine = Buckets(limits.engine_max, limits.engine_decay, name=f"{name} orders in")
        self.status = ""
        """What Kraken says of itself: online, maintenance, cancel_only or post_only."""
        self.skew = 0
        """By how many ns Kraken's clock is ahead of ours; 0 within what its whole seconds can tell."""
        self._armed = dead_man is not None
        self._outbox = Outbox()
        self._tasks: TaskGroup | None = None
        self._stale = False
        """Whether an order was refused by the mode of its pair, so that what is known of modes is old."""
        self._latest: dict[str, int] = {}
        self._sent: dict[str, float] = {}
        """When orders were sent whose fate is not known, by our own clock."""
        self._once: set[str] = set()
        """The ids that were sent or refused from here: none is sent a second time, also when this was opened again."""
        self._unsent: dict[str, int] = {}
        """Orders that were broken off before they were sent, and when."""
        self._missed: dict[str, float] = {}
        """When an order was first looked for in vain that cannot come in any more."""
        self._estimates: dict[str, Fill] = {}
        self._before: Watch | None = None
        self._flying = 0
        """How many orders are on the wire."""
        self._landed = anyio.Event()

    # -- opening and closing -------------------------------------------------------------------------------------------------------

    async def aopen(self) -> None:
        """Ask what there is, and connect. Raises `VenueUnavailable` where Kraken is not reached or the keys may not, `InvalidMarket` for a
        market that Kraken does not list, or that an instrument counts otherwise, `InvalidKey` where the keys lack a permission, by name,
        or are used by another venue or client of this process that has a ring of its own. Then it is closed, and may be opened again.
        """
        if self._tasks is not None:
            raise VenueUnavailable(f"{self.name} is open already")
        self._outbox = Outbox()
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        try:
            self.skew = await self._look_at_the_clock()
            begun = self.now()
            self._heard_status(await self.client.status())
            await self.client.check_rights()
            await self._take_names()
            self._watch = Watch(self._ids, self.names, self.instruments, self._outbox.put, self.now)
            if self._before is not None:
                self._watch.follow(self._before)
            self._before = self._watch
            self._feed = Feed(
                self._urls,
                tuple(self.instruments),
                name=self.name,
                hear=self._hear,
                token=self._token,
                again=self._again,
                lost=self._lost,
                quiet=self._quiet,
                connect_timeout=self._connect_timeout,
            )
            self._clerk = Clerk(
                self.client,
                self._account,
                self._watch,
                name=self.name,
                begun=begun,
                patience=self._ledger_patience,
                estimates=self._estimates,
                give_up=self._feed.lose,
            )
            tasks.start_soon(self._clerk.run, name=f"{self.name} fills")
            await self._feed.connect(tasks)
            tasks.start_soon(self._tend, name=f"{self.name} keys")
            self._armed = self._dead_man is not None
            if self._armed:
                tasks.start_soon(self._hold_the_switch, name=f"{self.name} dead-man switch")
        except BaseException:
            await self._close(disarm=False)
            raise

    async def aclose(self) -> None:
        """Disarm the dead-man switch, close the connections, end what runs. Orders stay as they are. Closing again does nothing.

        An order that is on the wire is waited for; one that still waits for its turn is not sent (`VenueUnavailable`).
        """
        if self._tasks is not None:
            await self._close(disarm=True)

    async def __aenter__(self) -> Kraken:
        await self.aopen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Kraken {self.name}: {', '.join(self._wanted)}{'' if self._tasks is None else ', open'}>"

    async def _close(self, *, disarm: bool) -> None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        self._outbox.end(VenueUnavailable(f"{self.name} is closed"))
        try:
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(self._timeout):
                    while self._flying:
                        await self._landed.wait()
                if disarm and self._armed:
                    with anyio.move_on_after(self._timeout):
                        await self._switch(0)
        finally:
            tasks.cancel_scope.cancel()
            try:
                await tasks.__aexit__(None, None, None)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                    await self.client.aclose()

    async def _look_at_the_clock(self) -> int:
        """How far Kraken's clock is ahead: nothing where the second that it tells can be ours."""
        before = self._clock()
        told = await self.client.time()
        after = self._clock()
        self._compared = after, anyio.current_time()
        least, most = told - after, told + SECOND - before
        return 0 if least <= 0 <= most else (least + most) // 2

    async def _mind_the_clock(self, *, always: bool = False) -> None:
        """Look at Kraken's clock anew where ours was set since, or with `always`. Where that fails what was known stays."""
        wall, at = self._compared
        if not always and abs(self._clock() - wall - int((anyio.current_time() - at) * SECOND)) < OFF:
            return
        with anyio.move_on_after(CLOCK_WITHIN):
            try:
                self.skew = await self._look_at_the_clock()
            except VenueUnavailable as error:
                log.warning("%s: its clock cannot be read: %s", self.name, error)
            return
        log.warning("%s: its clock was not told within %g s", self.name, CLOCK_WITHIN)

    async def _take_names(self) -> None:
        self.names = Names(await self.client.assets(), await self.client.asset_pairs(), venue=self.name, override=self._assets)
        self._named_at = anyio.current_time()
        self.instruments = {symbol: self._chosen(symbol, given) for symbol, given in self._wanted.items()}
        """The markets whose prices are told, by symbol."""

    def _chosen(self, symbol: str, given: Instrument | None) -> Instrument:
        """A market as it was handed in, where it counts as Kraken does, else as Kraken lists it."""
        pair = self.names.pair(symbol)
        if pair.symbol != symbol:
            raise InvalidMarket(f"{symbol!r} is called {pair.symbol!r} on Kraken's sockets: use that")
        listed = pair.instrument
        if given is None or given == listed:
            return listed
        fits = given.base == listed.base and given.quote == listed.quote and given.kind is listed.kind and given.venue == self.name
        scale = 10 ** max(0, given.price_scale - listed.price_scale), 10 ** max(0, listed.price_scale - given.price_scale)
        on_tick = given.tick_units * scale[1] % (listed.tick_units * scale[0]) == 0
        if not fits or not on_tick or given.lot_units % listed.lot_units:
            raise InvalidMarket(f"{given} was given with {given.terms()}: Kraken has {listed.terms()}")
        return given

    def instrument(self, symbol: str) -> Instrument:
        """A market that Kraken lists, by any of its names. Raises `InvalidMarket` for none, `VenueUnavailable` before it is open."""
        self._open()
        pair = self.names.pair(symbol)
        return self.instruments.get(pair.symbol) or pair.instrument

    def now(self) -> int:
        """Kraken's time, in ns UTC."""
        return self._clock() + self.skew

    # -- events ------------------------------------------------------------------------------------------------------------------------

    def events(self) -> AsyncIterator[Event]:
        """See `protocols.Feed`. What the sockets had told when they were lost is told first; called again, it connects again and tells
        what was missed.
        """
        return _Events(self._next_event)

    async def _next_event(self, first: bool) -> Event:
        tasks = self._open()
        if first and not self._feed.up:
            self._outbox.begin()
            await self._feed.connect(tasks)
        return await self._outbox.take()

    @property
    def waiting(self) -> int:
        """How many events wait to be read."""
        return len(self._outbox)

    async def caught_up(self) -> None:
        """Returns once all is read that both sockets had sent before now, and what follows from it is told to `events`.

        Raises `VenueUnavailable` where the sockets are lost meanwhile.
        """
        self._open()
        await self._feed.ping()
        while self._watch.busy:
            self._connected()
            await self._clerk.settled()

    async def _token(self) -> Secret:
        return (await self._account.read(self.client.ws_token)).token

    async def _again(self) -> None:
        await self._clerk.catch_up()

    def _lost(self, error: Exception) -> None:
        self._outbox.end(error)
        self._clerk.stir()

    async def _hear(self, message: Mapping[str, Any]) -> None:
        """A message of either socket. It waits while too much that was told is not read."""
        await self._outbox.room()
        rows = message.get("data")
        channel = message.get("channel")
        for row in rows if isinstance(rows, list) else ():
            if not isinstance(row, Mapping):
                continue
            if channel == "ticker":
                self._price(row)
            elif channel == "executions":
                self._watch.report(row, self._clerk.begun)
                self._count(row)
            elif channel == "status" and isinstance(row.get("system"), str):
                self._heard_status(row["system"])
        if channel == "executions":
            self._clerk.seen = self.now()
            self._clerk.stir()

    def _heard_status(self, status: str) -> None:
        if status not in (self.status, "online" if not self.status else ""):
            log.warning("%s is %s, it was %s", self.name, status, self.status or "not known")
        self.status, self._status_at = status, anyio.current_time()

    def _price(self, row: Mapping[str, Any]) -> None:
        """A row of the ticker; one without two prices, or with a bid above its ask, is passed over."""
        market = self.instruments.get(str(row.get("symbol")))
        bid, ask = figure(row.get("bid")), figure(row.get("ask"))
        if market is None or bid is None or ask is None or not 0 < bid <= ask:
            return
        at = instant(row.get("timestamp"))
        at = max(self.now() if at is None else at, self._latest.get(market.symbol, 0))
        try:
            quote = Quote(market, at, market.whole_price(bid), market.whole_price(ask))
        except InvalidMarket as error:
            log.warning("%s: a price of %s is passed over: %s", self.name, market, error)
            return
        self._latest[market.symbol] = at
        self._outbox.put(quote)

    def _count(self, row: Mapping[str, Any]) -> None:
        """The engine's own count of a pair, where Kraken tells it."""
        level = figure(row.get("ratecounter", row.get("ratecount")))
        track = self._watch.at(str(row.get("order_id")))
        if level is not None and 0 <= level < MOST_COUNTED and track is not None and track.market is not None:
            self._engine[track.market.symbol].note(float(level))

    # -- orders --------------------------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        """See `protocols.Broker`. At market with a worst price it is a limit there, immediate or cancel.

        An id that another order at Kraken bears already, of former books, is refused; where it may be the same order, that is unknown.
        """
        tasks = self._open()
        await anyio.lowlevel.checkpoint()
        watch = self._watch
        track = watch.of(order.id)
        if order.id in self._once or (track is not None and track.order is not None):
            return
        if track is not None:
            await self._meet(order, track, tasks)
            return
        place = order.place
        try:
            pair = self.names.pair(place.instrument.symbol)
            known = self.instruments.get(pair.symbol) or pair.instrument
            client_id = self._ids.uuid(order.id)
            reason = objection(place, known)
        except (InvalidMarket, VenueRejected) as error:
            reason = str(error)
        self._once.add(order.id)
        self._unsent.pop(order.id, None)
        if reason is not None:
            watch.refuse(order, f"{self.name}: {reason}")
            return
        track = watch.sent(order, self.now())
        try:
            await self._send(order, track, client_id, tasks)
        except VenueUnavailable:
            if track.txid:
                return  # it was reported meanwhile: it is there
            self._forget(watch, track, order)
            raise
        except BaseException:
            if not track.handed and not track.txid:  # broken off while it waited
                self._forget(watch, track, order)
                self._unsent[order.id] = self.now()
            raise

    def _forget(self, watch: Watch, track: Track, order: Order) -> None:
        watch.forget(track)
        self._sent.pop(order.id, None)
        self._once.discard(order.id)

    async def _meet(self, order: Order, track: Track, tasks: TaskGroup) -> None:
        """An order is to be sent under an id that one at Kraken bears, which was not sent from here: it is not sent."""
        rows = await self._account.read(lambda vault: self.client.query_orders(vault, track.txid)) if track.txid else {}
        self._still(tasks, order)
        info = rows.get(track.txid)
        opened = track.opened if info is None else info.opened
        told = f"{self.name} has an order {track.txid} of the id {order.id} already, that was not sent from here"
        if opened is None or opened + OLDER >= order.at + min(self.skew, 0):
            raise VenueUnknown(f"{told}: it may be this one")
        self._once.add(order.id)
        self._watch.disown(track)
        self._watch.refuse(order, f"{told}, and is older: it was not sent", reached=False)

    async def _send(self, order: Order, track: Track, client_id: str, tasks: TaskGroup) -> None:
        txid, watch = "", self._watch
        try:
            if (closed := await self._closed(order)) is not None:
                watch.refuse(order, f"{self.name}: {closed}; it was not sent", reached=False)
                return
            pair = self.names.pair(order.place.instrument.symbol)
            bucket = self._engine[pair.symbol]
            await bucket.take(ADD_COST, within=self._rate_patience)
            if self._deadline is not None:
                await self._mind_the_clock()
            make = partial(self._ticket, order, track, pair, client_id, tasks, anyio.current_time())
            try:
                added = await self.client.add_order(self._vault(order), make, exit=order.place.exits)
            except KrakenRejected as error:
                if _says(error, NO_DEADLINE):
                    await self._mind_the_clock(always=True)
                    raise VenueUnavailable(f"{self.name} did not take the deadline of {order.id}, and so not the order: {error}") from error
                self._refused(order, error)
            except VenueRejected as error:
                watch.refuse(order, str(error))
            except KrakenUnavailable as error:
                if Kind.ENGINE in error.kinds:
                    bucket.note(bucket.capacity)
                raise
            except VenueUnknown as error:
                if _says(error, LATE):
                    await self._mind_the_clock(always=True)
                txid = await self._look_for(order, track, error, tasks)
            else:
                lost = VenueUnknown("AddOrder named no order")
                txid = added.txids[0] if added.txids else await self._look_for(order, track, lost, tasks)
        finally:
            watch.answered(track, txid)
            if track.handed:
                self._flying -= 1
                self._landed.set()
                self._landed = anyio.Event()
            if txid or track.refused is not None:
                self._sent.pop(order.id, None)
            self._clerk.stir()

    def _ticket(self, order: Order, track: Track, pair: Pair, client_id: str, tasks: TaskGroup, begun: float) -> Mapping[str, str]:
        """The order as it is sent now that its key's turn is had. Raises `VenueUnavailable` where it is not to be sent any more."""
        self._still(tasks, order)
        waited = anyio.current_time() - begun
        if self._deadline is not None and waited * SECOND > self._deadline:
            raise VenueUnavailable(f"{self.name}: {order.id} waited {waited:.1f} s for its key, beyond its deadline: it was not sent")
        track.sent_at = self.now()
        track.deadline = None if self._deadline is None else track.sent_at + self._deadline
        args = ticket(order, pair, client_id, track.deadline)
        self._sent[order.id] = anyio.current_time()
        track.handed = True
        self._flying += 1
        return args

    def _still(self, tasks: TaskGroup, order: Order) -> None:
        if self._tasks is not tasks:
            raise VenueUnavailable(f"{self.name} was closed while {order.id} waited: it was not sent")

    def _refused(self, order: Order, error: KrakenRejected) -> None:
        """Kraken's own words, kept as they came."""
        text = "; ".join(fault.text for fault in error.faults) or str(error)
        self._stale |= Kind.MARKET in error.kinds
        self._watch.refuse(order, text, reached=Kind.MARKET not in error.kinds)  # its engine was not: an exit may be ordered again

    async def _closed(self, order: Order) -> str | None:
        """Why neither Kraken nor the pair would take such an order now. A status is looked at again before it is held against one; where
        that fails an order is judged by what is known, and an exit is sent.
        """
        symbol, exits = order.place.instrument.symbol, order.place.exits
        within = EXIT_WITHIN if exits else LISTING_WITHIN
        by_status = _closed_to(order, self.status, self.name)
        if by_status and anyio.current_time() - self._status_at > STATUS_AGE:
            await self._in_time(self._look_at_status, within)
        by_pair = _closed_to(order, self.names.pair(symbol).status, symbol)
        old = anyio.current_time() - self._named_at > STATUS_AGE
        looked = True
        if (by_pair and old) or (self._stale and not exits):
            looked = await self._in_time(self._look_at_pairs, within)
        by_status, by_pair = _closed_to(order, self.status, self.name), _closed_to(order, self.names.pair(symbol).status, symbol)
        return by_status or (by_pair if looked or not exits else None)

    async def _look_at_status(self) -> None:
        self._heard_status(await self.client.status())

    async def _look_at_pairs(self) -> None:
        """Raises `VenueUnavailable`, also for a list that cannot be read; what was known stays then."""
        rows = await self.client.assets(), await self.client.asset_pairs()
        self.names = self._watch.names = _exactly(partial(Names, *rows, venue=self.name, override=self._assets))
        self._named_at, self._stale = anyio.current_time(), False

    async def _in_time(self, look: Callable[[], Awaitable[None]], within: float) -> bool:
        """Have something looked at; whether that was done. No order fails of it."""
        with anyio.move_on_after(within):
            try:
                await look()
            except VenueError as error:
                log.warning("%s: what it takes orders for cannot be looked at: %s", self.name, error)
                return False
            return True
        log.warning("%s: what it takes orders for was not told within %g s", self.name, within)
        return False

    async def _look_for(self, order: Order, track: Track, error: VenueUnknown, tasks: TaskGroup) -> str:
        """Kraken's id of an order whose answer was lost. Raises `VenueUnknown` where it is not found in time; it is not sent again."""
        log.warning("%s: the answer to %s is lost (%s): it is looked for", self.name, order.id, error)
        within = (self._deadline or 5 * SECOND) / SECOND + 1.0
        with anyio.move_on_after(within):
            for pause in LOOKS:
                await anyio.sleep(pause)
                if track.txid:
                    return track.txid
                if self._tasks is not tasks:
                    break
                try:
                    info, _ = await self._find(order, track)
                except VenueUnavailable as failed:
                    log.warning("%s: it cannot be looked for: %s", self.name, failed)
                    continue
                if info is not None:
                    self._watch.join(track, info.id)
                    self._watch.listed(info)
                    log.warning("%s: %s was found, as %s: %s", self.name, order.id, info.id, info.status)
                    return info.id
        if track.txid:
            return track.txid
        raise VenueUnknown(f"{self.name}: {order.id} was sent, and the answer is lost ({error}); it was not found in {within:g} s")

    async def cancel(self, order: Order) -> None:
        """See `protocols.Broker`. Of an order that is off the book, or was never sent from here, nothing is told. One that was sent,
        and that Kraken does not find yet, is not taken for canceled: `VenueUnknown`, so that it is asked for again.
        """
        self._open()
        await anyio.lowlevel.checkpoint()
        self._know_sleeve(order)
        track = self._watch.of(order.id)
        if track is not None and track.done and not track.presumed:
            return
        txid = track.txid if track is not None else ""
        try:
            client_id = self._ids.uuid(order.id)
        except VenueRejected:
            if not txid:
                return  # such an id was never sent
        symbol = order.place.instrument.symbol
        if symbol in self.names:
            age = self.now() - (track.sent_at if track is not None and track.sent_at else order.at)
            await self._engine[self.names.pair(symbol).symbol].take(aged(CANCEL_COSTS, max(0, age)), within=self._rate_patience)
        try:
            count = await self.client.cancel_order(self._vault(order), **({"txid": txid} if txid else {"cl_ord_id": client_id}))
        except VenueRejected as error:
            if not isinstance(error, KrakenRejected) or Kind.STATE not in error.kinds:
                raise VenueUnavailable(f"{self.name} refused to cancel {order.id}: {error}") from error
            count = 0
        if not count:
            info, _ = await self._find(order, track)
            if info is not None:
                self._join(track, info)
                self._watch.listed(info, end=track is not None and track.followed)
            elif track is not None and track.handed and not track.done:
                raise VenueUnknown(f"{self.name} does not find {order.id}, which was sent: what would cancel it may not have")
        self._clerk.stir()

    async def settle(self, instrument: Instrument) -> None:
        """Raises `VenueRejected`: Kraken's spot market has no contracts; `VenueUnavailable` while it is not connected."""
        self._connected()
        await anyio.lowlevel.checkpoint()
        raise VenueRejected(f"{instrument} is no contract of {self.name}: its spot market has none")

    async def transfer(self, transfer: Transfer) -> None:
        """Raises `VenueRejected`: a key that may withdraw is none for trading. Move money at Kraken's own site; it is then found in the
        ledger.
        """
        self._connected()
        await anyio.lowlevel.checkpoint()
        raise VenueRejected(f"{self.name} moves no money in or out ({transfer.id}, {transfer.amount}): do it at Kraken's own site")

    async def look_up(self, order: Order) -> OrderReport | None:
        """See `protocols.Broker`. An order that was refused is known for as long as this lasts; Kraken itself forgets it at once. One whose
        answer was lost is taken for never come in when its deadline is over for `deadline_grace` by Kraken's clock, the sockets are up,
        and two looks, a sixth of that apart, find nothing that could be it: no order, and no trade of an order of nobody's.
        """
        self._open()
        await anyio.lowlevel.checkpoint()
        self._know_sleeve(order)
        track = self._watch.of(order.id)
        if track is None and order.id in self._unsent:
            why = f"{self.name}: it was broken off before it was sent"
            return OrderReport(order.id, max(order.at, self._unsent[order.id]), OrderStatus.REJECTED, 0, why, "")
        if track is None or track.refused is None:
            info, alike = await self._find(order, track)
            if info is not None:
                self._join(track, info)
                return await self._report(order, info, followed=track is not None and track.followed)
            if track is None or not await self._never_came(order, track, alike=alike):
                return None
            self._sent.pop(order.id, None)
            track.presumed = True
            self._watch.refuse(order, f"{self.name}: its answer was lost, its deadline is over, and it is not there: it never came in")
        assert track.refused is not None
        return OrderReport(order.id, track.refused.at, OrderStatus.REJECTED, 0, track.refused.reason, track.txid)

    async def _report(self, order: Order, info: OrderInfo, *, followed: bool) -> OrderReport:
        self._watch.listed(info, end=followed)  # of one that was over before this was opened, who asks is told
        self._clerk.stir()
        report = _exactly(report_of, info, order.id, order.place.instrument, self.now(), order.place.qty)
        if report.status.done and report.filled:
            await self._clerk.all_listed(info)
        return report

    def _join(self, track: Track | None, info: OrderInfo) -> None:
        """What Kraken shows is this order of ours, whatever the clocks say."""
        if track is not None and track.order is not None and not track.txid:
            self._watch.join(track, info.id)

    def _know_sleeve(self, order: Order) -> None:
        """Its id is read back from now on, however long the name of its sleeve."""
        with suppress(VenueRejected):
            self._ids.know(order.sleeve)

    async def _never_came(self, order: Order, track: Track, *, alike: bool) -> bool:
        """Whether it is sure that an order that was not found will never be: in any doubt it is not. Raises `VenueUnavailable`."""
        if alike or not self._too_late(track):
            self._missed.pop(order.id, None)
            return False
        await self._mind_the_clock(always=True)
        if not self._too_late(track) or not self._feed.up:
            return False
        await self._feed.ping()  # all that was reported is heard, and what is open was shown when this connection began
        if track.txid or await self._clerk.strangers(track.sent_at, order.place):
            self._missed.pop(order.id, None)
            return False
        now = anyio.current_time()
        return now - self._missed.setdefault(order.id, now) >= self._grace / SECOND / 6 and not track.txid

    def _too_late(self, track: Track) -> bool:
        """Whether an order that nobody has seen cannot be taken by the engine any more, by Kraken's clock and by ours."""
        sent = self._sent.get(track.order_id or "")
        if sent is None or track.deadline is None or self._deadline is None or track.txid:
            return False
        waits = (self._deadline + self._grace) / SECOND
        return self.now() > track.deadline + self._grace and anyio.current_time() - sent > waits

    async def open_orders(self) -> Sequence[OrderReport]:
        """See `protocols.Broker`. Of pairs that Kraken does not list any more there are none."""
        self._open()
        found = []
        for info in (await self._account.read(self.client.open_orders)).values():
            track = self._watch.listed(info, end=False)
            try:
                market = self.instrument(info.pair)
            except InvalidMarket:
                log.warning("%s: order %s is in a pair %r that is not listed", self.name, info.id, info.pair)
                continue
            found.append(_exactly(report_of, info, track.order_id or info.id, market, self.now()))
        return found

    async def _find(self, order: Order, track: Track | None) -> tuple[OrderInfo | None, bool]:
        """An order as Kraken shows it, by its id there or by our client id, the newest of that; and, where there is none, whether an order
        of nobody's looks like it. Raises `VenueUnavailable`.
        """
        if track is not None and track.txid:
            txid = track.txid
            try:
                return (await self._account.ask(lambda vault: self.client.query_orders(vault, txid))).get(txid), True
            except VenueRejected:
                return None, True
        try:
            mine = self._ids.uuid(order.id).replace("-", "")
        except VenueRejected:
            return None, False
        sent = track is not None and track.order is not None
        at = min(order.at, order.at + self.skew, track.sent_at if sent and track is not None and track.sent_at else order.at)
        alike, since = False, max(0, at - BACK)
        for ask in (self.client.open_orders, partial(self._closed_since, since)):
            rows = list((await self._account.read(ask)).values())
            named = [one for one in rows if _plain(one.cl_ord_id) == mine]
            alike |= bool(named)  # an older one is of former books; but what clocks say is no evidence
            if not sent or ask != self.client.open_orders:
                named = [one for one in named if (one.opened or since) >= since]
            if named:
                return max(named, key=lambda one: one.opened or 0), True
            place = order.place
            alike |= any(one.cl_ord_id is None and one.side == place.side and one.qty == _qty(place) for one in rows)
        return None, alike

    async def _closed_since(self, since: int, vault: str) -> dict[str, OrderInfo]:
        return await self.client.closed_orders(vault, since)

    # -- money ---------------------------------------------------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Amount]:
        """See `protocols.Custody`: of each asset the wallet that is traded from and the one that earns by itself (`.F`), together."""
        found: dict[str, Amount] = {}
        for holding in await self.wallets():
            code = holding.balance.asset.code
            if holding.counted:
                found[code] = found[code] + holding.balance if code in found else holding.balance
        return found

    async def wallets(self) -> tuple[Holding, ...]:
        """All wallets of the account, those apart that are not counted. Raises `VenueUnavailable`."""
        self._open()
        rows = await self._account.read(self.client.balance_ex)
        found = []
        for name, row in rows.items():
            if not row.balance and not row.hold and not self._knows(name):
                continue
            await self._know(name)
            wallet = self.names.wallet(name)
            found.append(Holding(wallet, _exactly(wallet.asset, row.balance), _exactly(wallet.asset, row.hold)))
        return tuple(found)

    async def positions(self) -> Mapping[str, Position]:
        """None: there are no contracts here."""
        self._open()
        await anyio.lowlevel.checkpoint()
        return {}

    async def history(self, since: int) -> Sequence[Fill]:
        """See `protocols.Custody`. Fills are all that happens here besides what the ledger alone tells (`cash_flows`)."""
        self._open()
        return await self._clerk.fills(since)

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """See `protocols.Custody`: the account's ledger, trades with their fees, rewards, moves between wallets, deposits and all."""
        self._open()
        lines, make = await self._clerk.flows(since)
        for line in lines:
            await self._know(line.asset)
        return _exactly(make)

    async def fees(self) -> dict[str, FeeRate]:
        """What the account pays in each of its markets now, by symbol, rounded up to a millionth. Raises `VenueUnavailable`."""
        self._open()
        pairs = {symbol: self.names.pair(symbol) for symbol in self.instruments}
        volume = await self._account.read(lambda vault: self.client.trade_volume(vault, *(pair.altname for pair in pairs.values())))
        found = {}
        for symbol, pair in pairs.items():
            rate = volume.rates.get(pair.id) or volume.rates.get(pair.altname)
            if rate is None:
                raise VenueUnavailable(f"{self.name} does not tell its fees in {symbol}")
            found[symbol] = FeeRate(_ppm(rate.maker), _ppm(rate.taker))
        return found

    def _knows(self, wallet: str) -> bool:
        try:
            self.names.wallet(wallet)
        except InvalidMarket:
            return False
        return True

    async def _know(self, wallet: str) -> None:
        """Have a wallet's name known: what was listed since this was opened is asked for. Raises `VenueUnavailable`."""
        if self._knows(wallet):
            return
        await self._look_at_pairs()
        if not self._knows(wallet):
            raise VenueUnavailable(f"{self.name} names an asset {wallet!r} that it does not list")

    # -- the dead-man switch ---------------------------------------------------------------------------------------------------------------

    async def arm(self) -> None:
        """Have Kraken cancel all orders of the account when nothing is heard from here. Raises as `submit`."""
        self._open()
        if self._dead_man is None:
            raise VenueRejected(f"{self.name} was made with dead_man=None: there is nothing to arm")
        await self._switch(self._dead_man, strict=True)
        self._armed = True

    async def disarm(self) -> None:
        """Have Kraken leave the orders alone, as before a maintenance that was announced, until `arm`. Raises as `submit`."""
        self._open()
        self._armed = False
        await self._switch(0, strict=True)

    async def _hold_the_switch(self) -> None:
        assert self._dead_man is not None
        while True:
            if self._armed and self.status != "maintenance":
                await self._switch(self._dead_man)
            await anyio.sleep(self._dead_man / 3)

    async def _switch(self, seconds: int, *, strict: bool = False) -> None:
        try:
            await self._account.ask(lambda vault: self.client.cancel_all_after(vault, seconds))
        except VenueError as error:
            if strict:
                raise
            what = f"not held: all orders are canceled {self._dead_man} s after the last time" if seconds else "not disarmed"
            log.warning("%s: the dead-man switch was %s: %s", self.name, what, error)

    async def _tend(self) -> None:
        """Probe keys that are due, so that one that was suspected and is sound is used again."""
        while True:
            await anyio.sleep(TEND_EVERY)
            await self._mind_the_clock(always=anyio.current_time() - self._compared[1] > CLOCK_EVERY)
            try:
                await self.client.tend()
            except (VenueError, KeysError) as error:
                log.warning("%s: keys cannot be probed: %s", self.name, error)

    # -- how -------------------------------------------------------------------------------------------------------------------------------

    def _vault(self, order: Order) -> str:
        return self._account.vault_of(order.place.instrument.quote.code)

    def _open(self) -> TaskGroup:
        if self._tasks is None:
            raise VenueUnavailable(f"{self.name} is not open: `async with Kraken(...) as venue`, or `await venue.aopen()`")
        return self._tasks

    def _connected(self) -> None:
        self._open()
        if not self._feed.up:
            raise VenueUnavailable(f"{self.name} is not connected: read events() again")


def _closed_to(order: Order, status: str, what: str) -> str | None:
    """Why something in this status takes no such order."""
    place = order.place
    if status in ("", "online"):
        return None
    if status == "post_only" and place.post_only:
        return None
    if status == "limit_only" and place.stop is None and (place.limit is not None or order.worst is not None):
        return None
    if status == "reduce_only" and place.side.value == "sell":
        return None
    return f"{what} is {status}"


def _says(error: VenueError, text: str) -> bool:
    """Whether Kraken's words begin so."""
    return any(fault.text.startswith(text) for fault in getattr(error, "faults", ()))


def _exactly(make: Callable[..., T], *args: Any) -> T:
    """What is made of Kraken's figures. Raises `VenueUnavailable` where they cannot be counted exactly: none is rounded."""
    try:
        return make(*args)
    except (InvalidAmount, InvalidMarket) as error:
        raise VenueUnavailable(f"what Kraken says cannot be counted: {error}") from error


def _ppm(percent: Decimal) -> int:
    numerator, denominator = percent.as_integer_ratio()
    return divide(numerator * PPM, denominator * 100, Round.CEIL)


def _qty(place: Place) -> Decimal:
    return Amount(place.qty, place.instrument.base).decimal


def _plain(client_id: str | None) -> str:
    return "" if client_id is None else client_id.replace("-", "").removeprefix("0x").lower()


def _named(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InvalidMarket(f"a venue has a name, not {name!r}")
    return name


def _markets(given: Iterable[str | Instrument]) -> dict[str, Instrument | None]:
    if isinstance(given, str):
        raise InvalidMarket(f"markets are several symbols, not one text: [{given!r}]")
    found: dict[str, Instrument | None] = {}
    for one in given:
        if not isinstance(one, (str, Instrument)):
            raise InvalidMarket(f"a market is a symbol or an Instrument, not {one!r}")
        symbol = one if isinstance(one, str) else one.symbol
        if symbol in found:
            raise InvalidMarket(f"market {symbol} is named twice")
        found[symbol] = None if isinstance(one, str) else one
    return found


def _seconds(what: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidMarket(f"{what} {value!r} must be seconds from {least:g} to {most:g}")
    return value
